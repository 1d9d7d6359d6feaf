#include "tests/test_helpers.h"

#include <sched.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/pool.h"

enum { MAX_TASKS = 257, MAX_THREADS = 4 };

struct job {
    int n_threads;
    atomic_int bad_thread;
    int runs[MAX_TASKS]; /* plain on purpose: a task run twice at once is a race */
    long value[MAX_TASKS];
    bool slow;
};

static void run_task(void *arg, int task, int thread)
{
    struct job *job = arg;

    if (thread < 0 || thread >= job->n_threads)
        atomic_fetch_add(&job->bad_thread, 1);
    job->runs[task]++;
    job->value[task] = (long)task * task;
    if (job->slow)
        clock_sleep_until(clock_now_ns() + 100000);
}

static void run_and_check(struct pool *pool, int n_tasks, bool slow)
{
    struct job job = {.n_threads = pool_n_threads(pool), .slow = slow};

    pool_run(pool, n_tasks, run_task, &job);
    assert_int_equal(atomic_load(&job.bad_thread), 0);
    for (int i = 0; i < MAX_TASKS; i++) {
        assert_int_equal(job.runs[i], i < n_tasks);
        assert_int_equal(job.value[i], i < n_tasks ? (long)i * i : 0);
    }
}

static void test_every_task_runs_exactly_once_whatever_the_sizes(void **state)
{
    static const int sizes[] = {0, 1, 2, 3, 4, 5, 16, 257};

    for (int n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
        struct pool *pool = NULL;
        assert_int_equal(pool_open(&pool, n_threads, NULL, NULL), ST_OK);
        assert_int_equal(pool_n_threads(pool), n_threads);
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
                run_and_check(pool, sizes[i], false);
        }
        pool_close(pool);
    }
}

/* Jobs in quick succession meet threads that still spin; pauses meet threads
 * that sleep, and slow tasks a caller that sleeps. */
static void test_jobs_after_pauses_and_without_pauses_all_finish(void **state)
{
    struct pool *pool = NULL;

    assert_int_equal(pool_open(&pool, 3, NULL, NULL), ST_OK);
    for (int i = 0; i < 3000; i++)
        run_and_check(pool, 2 + i % 7, false);
    for (int i = 0; i < 200; i++) {
        clock_sleep_until(clock_now_ns() + (uint64_t)(i % 5) * 3000);
        run_and_check(pool, 5, i % 3 == 0);
    }
    pool_close(pool);
}

static void record_thread(void *arg, int task, int thread)
{
    *(int *)arg += thread == 0 ? 1 : 1000;
}

static void test_a_single_task_runs_in_the_caller(void **state)
{
    struct pool *pool = NULL;
    int n_by_caller = 0;

    assert_int_equal(pool_open(&pool, 4, NULL, NULL), ST_OK);
    for (int i = 0; i < 1000; i++)
        pool_run(pool, 1, record_thread, &n_by_caller);
    pool_run(pool, 0, record_thread, &n_by_caller);
    assert_int_equal(n_by_caller, 1000);
    pool_close(pool);
}

struct meeting {
    atomic_int n_here;
};

/* Returns only when the other task runs at the same time. */
static void meet(void *arg, int task, int thread)
{
    struct meeting *m = arg;
    uint64_t start = clock_now_ns();

    atomic_fetch_add(&m->n_here, 1);
    while (atomic_load(&m->n_here) < 2 && clock_seconds_since(start) < 60.0)
        sched_yield();
}

static void test_tasks_really_run_at_the_same_time(void **state)
{
    struct pool *pool = NULL;
    uint64_t start = clock_now_ns();

    assert_int_equal(pool_open(&pool, 2, NULL, NULL), ST_OK);
    for (int i = 0; i < 20; i++) {
        struct meeting m = {0};
        pool_run(pool, 2, meet, &m);
    }
    assert_true(clock_seconds_since(start) < 60.0);
    pool_close(pool);
}

static void record_cpu(void *arg, int task, int thread)
{
    cpu_set_t set;

    if (thread == 0) {
        meet(arg, task, thread);
        return;
    }
    sched_getaffinity(0, sizeof set, &set);
    if (CPU_COUNT(&set) != 1)
        atomic_fetch_add(&((struct meeting *)arg)->n_here, 100);
    meet(arg, task, thread);
}

static void test_threads_are_pinned_to_the_cpus_given(void **state)
{
    struct pool *pool = NULL;
    struct meeting m = {0};
    struct err err = {{0}};
    cpu_set_t set;
    int cpus[2] = {0, 0};
    const int wrong[2] = {0, 100000};

    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    while (!CPU_ISSET((size_t)cpus[1], &set))
        cpus[1]++;
    assert_int_equal(pool_open(&pool, 2, cpus, NULL), ST_OK);
    pool_run(pool, 2, record_cpu, &m);
    assert_int_equal(atomic_load(&m.n_here), 2);
    pool_close(pool);
    assert_int_equal(pool_open(&pool, 2, wrong, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "100000"));
}

static void test_a_pool_without_threads_is_refused(void **state)
{
    struct pool *pool = NULL;
    struct err err = {{0}};

    assert_int_equal(pool_open(&pool, 0, NULL, &err), ST_INVALID);
    assert_null(pool);
    pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_runs_exactly_once_whatever_the_sizes),
        cmocka_unit_test(test_jobs_after_pauses_and_without_pauses_all_finish),
        cmocka_unit_test(test_a_single_task_runs_in_the_caller),
        cmocka_unit_test(test_tasks_really_run_at_the_same_time),
        cmocka_unit_test(test_threads_are_pinned_to_the_cpus_given),
        cmocka_unit_test(test_a_pool_without_threads_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
