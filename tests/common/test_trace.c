/*
 * The trace of one process: what is put is what is read, also after a kill and
 * when the file is full.
 */
#include "tests/test_helpers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/trace_message.h"

static char dir[64], path[96];

static int set_up(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/test_trace_XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/p-1.trace", dir);
    return 0;
}

static int tear_down(void **state)
{
    trace_close();
    unlink(path);
    return rmdir(dir); /* fails if anything was left beside the file */
}

static struct trace_file read_back(void)
{
    struct trace_file f;
    struct err err = {{0}};

    if (trace_file_read(&f, path, &err) != ST_OK)
        fail_msg("%s", err.text);
    return f;
}

static void put_span(enum trace_name name, uint64_t value, uint32_t detail)
{
    uint64_t begin = trace_begin(name);

    trace_end(name, begin, value, detail);
}

static void a_trace_that_is_off_puts_nothing_and_makes_no_file(void **state)
{
    struct msg msg = {.verb = MSG_PING};
    struct trace_route route = {"/run/x", ""};

    assert_int_equal(trace_open("p", NULL, NULL), ST_OK);
    assert_int_equal(trace_now(), 0);
    assert_int_equal(trace_begin(TRACE_PASS), 0);
    put_span(TRACE_PASS, 1, 2);
    trace_total(TRACE_N_ACCEPTED, 3);
    trace_thread("t");
    trace_message(TRACE_SEND, 0, &msg, &route);
    trace_close();
    assert_int_not_equal(access(path, F_OK), 0);
}

static void what_is_put_is_read_back_in_its_order(void **state)
{
    uint64_t outer, before = clock_now_ns(), after;
    struct trace_file f;
    struct stat size;

    assert_int_equal(trace_open("verify", path, NULL), ST_OK);
    outer = trace_begin(TRACE_ROUND);
    put_span(TRACE_PASS, 600, 9);
    trace_total(TRACE_N_ACCEPTED, 77);
    trace_end(TRACE_ROUND, outer, UINT64_MAX, UINT32_MAX);
    trace_close();
    after = clock_now_ns();
    put_span(TRACE_PASS, 1, 1); /* it is off again */
    f = read_back();
    assert_string_equal(f.head.process, "verify");
    assert_string_equal(f.head.thread[0], "verify");
    assert_int_equal(f.head.pid, getpid());
    assert_int_equal(f.n_events, 3);
    assert_int_equal(f.n_dropped, 0);
    assert_int_equal(f.event[0].kind, TRACE_SPAN);
    assert_int_equal(f.event[0].name, TRACE_PASS);
    assert_int_equal(f.event[0].value, 600);
    assert_int_equal(f.event[0].detail, 9);
    assert_int_equal(f.event[1].kind, TRACE_TOTAL);
    assert_int_equal(f.event[1].value, 77);
    assert_int_equal(f.event[1].begin_ns, f.event[1].end_ns);
    assert_true(f.event[2].value == UINT64_MAX && f.event[2].detail == UINT32_MAX);
    assert_true(before <= f.event[2].begin_ns && f.event[2].end_ns <= after);
    assert_true(f.event[2].begin_ns <= f.event[0].begin_ns);
    assert_true(f.event[0].end_ns <= f.event[1].begin_ns);
    trace_file_release(&f);
    assert_int_equal(stat(path, &size), 0);
    assert_int_equal(size.st_size, sizeof(struct trace_head) + 3 * sizeof(struct trace_event));
}

static void what_a_killed_process_had_finished_is_there(void **state)
{
    struct trace_file f;
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (trace_open("draft", path, NULL) != ST_OK)
            _exit(1);
        put_span(TRACE_PROPOSE, 1, 4);
        put_span(TRACE_PROPOSE, 2, 4);
        (void)trace_begin(TRACE_DRAFT_STEP);
        raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    f = read_back();
    assert_int_equal(f.n_events, 2);
    assert_int_equal(f.event[1].value, 2);
    assert_int_equal(f.head.pid, child);
    trace_file_release(&f);
}

static void a_trace_is_read_while_it_is_written(void **state)
{
    struct trace_file f;

    assert_int_equal(trace_open("verify", path, NULL), ST_OK);
    f = read_back();
    assert_int_equal(f.n_events, 0);
    trace_file_release(&f);
    put_span(TRACE_PASS, 5, 0);
    f = read_back();
    assert_int_equal(f.n_events, 1);
    assert_int_equal(f.event[0].value, 5);
    trace_file_release(&f);
}

static void a_full_file_drops_the_newest_and_counts_them(void **state)
{
    struct trace_file f;

    assert_int_equal(trace_open("verify", path, NULL), ST_OK);
    for (uint64_t i = 0; i < TRACE_CAP_EVENTS + 5; i++)
        trace_put(TRACE_TOTAL, TRACE_N_ACCEPTED, 1, i, 0);
    trace_close();
    f = read_back();
    assert_int_equal(f.n_events, TRACE_CAP_EVENTS);
    assert_int_equal(f.n_dropped, 5);
    assert_int_equal(f.event[TRACE_CAP_EVENTS - 1].value, TRACE_CAP_EVENTS - 1);
    trace_file_release(&f);
}

static void a_file_that_is_there_is_not_overwritten(void **state)
{
    struct err err = {{0}};
    struct stat size;

    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(trace_open("verify", path, &err), ST_IO);
    assert_non_null(strstr(err.text, path));
    assert_false(trace_is_on);
    assert_int_equal(stat(path, &size), 0);
    assert_int_equal(size.st_size, 0);
    assert_int_equal(trace_open("verify", "/nowhere/p-1.trace", &err), ST_IO);
    assert_false(trace_is_on);
}

/* ---- who watches ---- */

struct watcher {
    int depth, n_begun;
    const char *last;
};

static void on_begin(void *self, const char *name)
{
    struct watcher *w = self;

    w->depth++;
    w->n_begun++;
    w->last = name;
}

static void on_end(void *self)
{
    ((struct watcher *)self)->depth--;
}

static void a_watcher_sees_begin_and_end_of_every_span(void **state)
{
    struct watcher w = {0};
    uint64_t outer;

    trace_watch(on_begin, on_end, &w);
    put_span(TRACE_PASS, 0, 0); /* off: nobody is told */
    assert_int_equal(w.n_begun, 0);
    assert_int_equal(trace_open("verify", path, NULL), ST_OK);
    outer = trace_begin(TRACE_ROUND);
    assert_int_equal(w.depth, 1);
    put_span(TRACE_PASS, 0, 0);
    assert_int_equal(w.depth, 1);
    assert_string_equal(w.last, "verify pass");
    trace_end(TRACE_ROUND, outer, 0, 0);
    assert_int_equal(w.depth, 0);
    trace_watch(NULL, NULL, NULL);
    put_span(TRACE_PASS, 0, 0);
    assert_int_equal(w.n_begun, 2);
}

/* ---- messages ---- */

static uint64_t value_of(const struct msg *msg, const char *socket, const char *client)
{
    const struct trace_route route = {socket, client};
    struct trace_file f;
    uint64_t value;

    unlink(path);
    assert_int_equal(trace_open("p", path, NULL), ST_OK);
    trace_message(TRACE_SEND, trace_now(), msg, &route);
    trace_close();
    f = read_back();
    assert_int_equal(f.n_events, 1);
    assert_int_equal(f.event[0].kind, TRACE_SEND);
    assert_int_equal(f.event[0].name, msg->verb);
    value = f.event[0].value;
    trace_file_release(&f);
    return value;
}

static void the_number_of_a_message_tells_what_it_is_of(void **state)
{
    struct msg a = {.verb = MSG_PROPOSE}, b;
    uint64_t value;

    a.propose.seq = 3;
    a.propose.round = 7;
    value = value_of(&a, "/run/a/pair", "");
    b = a;
    b.propose.n_tokens = 4; /* what both ends need not know */
    assert_int_equal(value_of(&b, "/run/a/pair", ""), value);
    b.propose.round = 8;
    assert_int_not_equal(value_of(&b, "/run/a/pair", ""), value);
    b = a;
    b.propose.seq = 4;
    assert_int_not_equal(value_of(&b, "/run/a/pair", ""), value);
    b = a;
    b.request = 1;
    assert_int_not_equal(value_of(&b, "/run/a/pair", ""), value);
    b = a;
    b.verb = MSG_VERDICT;
    assert_int_not_equal(value_of(&b, "/run/a/pair", ""), value);
    assert_int_not_equal(value_of(&a, "/run/b/pair", ""), value);
    assert_int_not_equal(value_of(&a, "/run/a/pair", "verify"), value);
    assert_int_not_equal(value_of(&a, "/run/a/pai", "r"), value);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_trace_that_is_off_puts_nothing_and_makes_no_file),
        CASE(what_is_put_is_read_back_in_its_order),
        CASE(what_a_killed_process_had_finished_is_there),
        CASE(a_trace_is_read_while_it_is_written),
        CASE(a_full_file_drops_the_newest_and_counts_them),
        CASE(a_file_that_is_there_is_not_overwritten),
        CASE(a_watcher_sees_begin_and_end_of_every_span),
        CASE(the_number_of_a_message_tells_what_it_is_of),
    };
#undef CASE

    return cmocka_run_group_tests(tests, NULL, NULL);
}
