#include "kernels/copy_queue.h"

#include <sys/prctl.h>

#include "common/clock.h"
#include "tests/test_helpers.h"

static struct copy_queue *open_queue(double gbps)
{
    struct copy_queue *queue = NULL;
    struct err err = {{0}};

    if (copy_queue_open(&queue, gbps, &err) != ST_OK)
        fail_msg("%s", err.text);
    return queue;
}

/* 1000 copies are far more than the ring first holds. Each reads what the one
 * before it wrote, so any other order gives another result. */
static void copies_run_in_order_and_tickets_grow_by_one(void **state)
{
    enum { N = 1000, BYTES = 300 };
    struct copy_queue *queue = open_queue(0);
    static char chain[N + 1][BYTES];

    memset(chain, 0, sizeof chain);
    for (int i = 0; i < BYTES; i++)
        chain[0][i] = (char)(i + 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(copy_queue_start(queue, chain[i + 1], chain[i], BYTES), i + 1);
    copy_queue_wait(queue, N);
    assert_memory_equal(chain[N], chain[0], BYTES);
    assert_true(copy_queue_is_done(queue, N));
    assert_int_equal(copy_queue_bytes(queue), N * BYTES);
    copy_queue_close(queue);
}

static void a_ticket_is_done_only_after_its_copy(void **state)
{
    enum { BYTES = 1 << 20 };
    struct copy_queue *queue = open_queue(0.02); /* 52 ms a copy */
    char *from = calloc(1, BYTES), *to = calloc(1, BYTES);
    const double due = BYTES / 0.02e9;
    uint64_t start = clock_now_ns();

    from[BYTES - 1] = 42;
    assert_true(copy_queue_is_done(queue, 0));
    uint64_t first = copy_queue_start(queue, to, from, BYTES);
    uint64_t second = copy_queue_start(queue, from, to, BYTES);
    /* Where this thread got no time in between, it may be done rightly. */
    assert_true(!copy_queue_is_done(queue, first) || clock_seconds_since(start) >= due);
    copy_queue_wait(queue, first);
    assert_int_equal(to[BYTES - 1], 42);
    assert_true(copy_queue_is_done(queue, first));
    assert_true(!copy_queue_is_done(queue, second) || clock_seconds_since(start) >= 2 * due);
    copy_queue_wait_all(queue);
    assert_true(copy_queue_is_done(queue, second));
    copy_queue_close(queue);
    free(to);
    free(from);
}

/* How much longer than asked a short sleep takes on this machine now. */
static double mean_oversleep(void)
{
    enum { N = 40, SLEEP_NS = 100000, SLACK_NS = 1000 };
    uint64_t start = clock_now_ns();

    prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0); /* as the copy thread's */
    for (int i = 0; i < N; i++)
        clock_sleep_until(clock_now_ns() + SLEEP_NS);
    return clock_seconds_since(start) / N - SLEEP_NS * 1e-9;
}

/* Never early; late only by what the machine takes from us, so one of many tries
 * is within a few percent, on a busy machine too. */
static void a_paced_copy_takes_bytes_over_rate(void **state)
{
    enum { BYTES = 8 << 20, TRIES = 50 };
    const double gbps = 0.4;
    struct copy_queue *queue = open_queue(gbps);
    char *from = calloc(1, BYTES), *to = calloc(1, BYTES);
    double due = BYTES / (gbps * 1e9), best = INFINITY, limit = 0;

    for (int i = 0; i < TRIES && best > limit; i++) {
        limit = due * 1.03 + mean_oversleep();
        uint64_t start = clock_now_ns();
        copy_queue_wait(queue, copy_queue_start(queue, to, from, BYTES));
        double took = clock_seconds_since(start);
        assert_true(took >= due);
        best = fmin(best, took);
    }
    print_message("8 MiB at %.1f GB/s: %.3f ms, due %.3f ms\n", gbps, best * 1e3, due * 1e3);
    assert_true(best <= limit);
    copy_queue_close(queue);
    free(to);
    free(from);
}

/* True if ten streams of 400 small copies end when they are due, give or take a
 * quarter of what all their sleeps together would be late. */
static bool small_copies_keep_the_rate(struct copy_queue *queue, double gbps)
{
    enum { N = 400, BYTES = 10000, STREAMS = 10 };
    static char from[BYTES], to[BYTES];
    double due = N * BYTES / (gbps * 1e9), late = 0, limit = 0;

    for (int i = 0; i < STREAMS; i++) {
        limit += due * 0.05 + N * mean_oversleep() / 4;
        uint64_t start = clock_now_ns(), ticket = 0;
        for (int c = 0; c < N; c++)
            ticket = copy_queue_start(queue, to, from, BYTES);
        double queued = clock_seconds_since(start);
        copy_queue_wait(queue, ticket);
        double took = clock_seconds_since(start);
        assert_true(took >= due);
        late += took - queued - due;
    }
    return late <= limit;
}

/* Small copies queued together are one stream on the link: what each oversleeps must
 * not add up. A busy machine is late at the end, and where it queues copies late. */
static void many_small_copies_keep_the_rate(void **state)
{
    const double gbps = 0.1;
    struct copy_queue *queue = open_queue(gbps);
    bool kept = false;

    for (int i = 0; i < 5 && !kept; i++)
        kept = small_copies_keep_the_rate(queue, gbps);
    assert_true(kept);
    copy_queue_close(queue);
}

/* An idle link saves nothing up for later. */
static void time_without_copies_gives_no_credit(void **state)
{
    enum { BYTES = 1 << 20 };
    struct copy_queue *queue = open_queue(0.1);
    static char from[BYTES], to[BYTES];

    copy_queue_wait(queue, copy_queue_start(queue, to, from, 1000));
    clock_sleep_until(clock_now_ns() + 30 * 1000 * 1000);
    uint64_t start = clock_now_ns();
    copy_queue_wait(queue, copy_queue_start(queue, to, from, BYTES));
    assert_true(clock_seconds_since(start) >= BYTES / 0.1e9);
    copy_queue_close(queue);
}

static void closing_waits_for_copies_under_way(void **state)
{
    enum { N = 50, BYTES = 100000 };
    struct copy_queue *queue = open_queue(1);
    char *from = malloc(BYTES), *to = calloc(N, BYTES);

    memset(from, 9, BYTES);
    for (int i = 0; i < N; i++)
        copy_queue_start(queue, to + i * BYTES, from, BYTES);
    copy_queue_close(queue);
    for (int i = 0; i < N; i++)
        assert_memory_equal(to + i * BYTES, from, BYTES);
    free(to);
    free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_run_in_order_and_tickets_grow_by_one),
        cmocka_unit_test(a_ticket_is_done_only_after_its_copy),
        cmocka_unit_test(a_paced_copy_takes_bytes_over_rate),
        cmocka_unit_test(many_small_copies_keep_the_rate),
        cmocka_unit_test(time_without_copies_gives_no_credit),
        cmocka_unit_test(closing_waits_for_copies_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
