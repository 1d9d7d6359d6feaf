/* Threads that put events at once lose none and spoil none. */
#include "tests/test_helpers.h"

#include <pthread.h>

#include "common/trace.h"

enum { N_THREADS = 20, N_EVENTS = 500 };

static void *put_many(void *arg)
{
    uint32_t number = *(const uint32_t *)arg;
    char name[TRACE_TEXT];

    snprintf(name, sizeof name, "worker %u", number);
    if (number % 2 == 0)
        trace_thread(name);
    for (uint64_t i = 0; i < N_EVENTS; i++) {
        uint64_t begin = trace_begin(TRACE_COPY);
        trace_end(TRACE_COPY, begin, i, number);
    }
    return NULL;
}

static void every_event_of_every_thread_is_there_once_and_in_its_order(void **state)
{
    char path[] = "/tmp/test_threaded_trace_XXXXXX";
    uint32_t number[N_THREADS];
    uint64_t next[N_THREADS] = {0};
    pthread_t thread[N_THREADS];
    struct trace_file f;

    close(mkstemp(path));
    unlink(path);
    assert_int_equal(trace_open("main", path, NULL), ST_OK);
    for (uint32_t i = 0; i < N_THREADS; i++) {
        number[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, put_many, &number[i]), 0);
    }
    for (uint32_t i = 0; i < N_THREADS; i++)
        pthread_join(thread[i], NULL);
    trace_close();
    assert_int_equal(trace_file_read(&f, path, NULL), ST_OK);
    unlink(path);
    assert_int_equal(f.n_events, N_THREADS * N_EVENTS);
    assert_int_equal(f.head.n_threads, TRACE_MAX_THREADS); /* more than there is room for */
    for (size_t i = 0; i < f.n_events; i++) {
        assert_true(f.event[i].detail < N_THREADS);
        assert_int_equal(f.event[i].value, next[f.event[i].detail]++);
        assert_int_not_equal(f.event[i].thread, 0);
    }
    trace_file_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_of_every_thread_is_there_once_and_in_its_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
