/*
 * A trace from elsewhere is trusted in nothing: what is whole of it is read, the
 * rest is refused by its field.
 */
#include "tests/test_helpers.h"

#include <fcntl.h>

#include "common/msg.h"
#include "common/trace.h"

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

static void put_span(enum trace_name name, uint64_t value, uint32_t detail)
{
    uint64_t begin = trace_begin(name);

    trace_end(name, begin, value, detail);
}

/* A good file of two spans, in memory. */
static struct {
    struct trace_head head;
    struct trace_event event[2];
} good, bad;

static void make_good(void)
{
    int fd;

    unlink(path);
    assert_int_equal(trace_open("verify", path, NULL), ST_OK);
    put_span(TRACE_PASS, 1, 2);
    put_span(TRACE_ROUND, 3, 4);
    trace_close();
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, &good, sizeof good), sizeof good);
    close(fd);
    bad = good;
}

static enum status read_bytes(size_t n_bytes, struct trace_file *f, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, &bad, n_bytes), n_bytes);
    close(fd);
    *err = (struct err){{0}};
    return trace_file_read(f, path, err);
}

static void refused(enum status want, const char *words)
{
    struct trace_file f;
    struct err err;

    assert_int_equal(read_bytes(sizeof bad, &f, &err), want);
    if (strstr(err.text, words) == NULL || strstr(err.text, path) == NULL)
        fail_msg("'%s' and the path were wanted, not '%s'", words, err.text);
    trace_file_release(&f);
    bad = good;
}

static void every_cut_of_a_trace_gives_its_whole_events_or_is_refused(void **state)
{
    struct trace_file f;
    struct err err;

    make_good();
    for (size_t n = 0; n <= sizeof bad; n++) {
        enum status st = read_bytes(n, &f, &err);
        assert_int_equal(st, n < sizeof bad.head ? ST_CORRUPT : ST_OK);
        if (st == ST_OK)
            assert_int_equal(f.n_events, (n - sizeof bad.head) / sizeof bad.event[0]);
        trace_file_release(&f);
    }
}

static void a_head_that_is_not_of_a_trace_is_refused_by_its_field(void **state)
{
    make_good();
    bad.head.magic[7] = 'X';
    refused(ST_CORRUPT, "does not begin with MSKVTRCE");
    bad.head.version++;
    refused(ST_VERSION, "version 2");
    bad.head.event_bytes = 0;
    refused(ST_VERSION, "events of 0 bytes");
    bad.head.n_threads = 0;
    refused(ST_CORRUPT, "n_threads 0");
    bad.head.n_threads = TRACE_MAX_THREADS + 1;
    refused(ST_CORRUPT, "n_threads 17");
    memset(bad.head.process, 'a', sizeof bad.head.process);
    refused(ST_CORRUPT, "no text");
    memset(bad.head.boot, 'a', sizeof bad.head.boot);
    refused(ST_CORRUPT, "no text");
    bad.head.thread[0][0] = '\n';
    refused(ST_CORRUPT, "thread 0");
}

static void an_event_that_cannot_be_is_refused_by_its_field(void **state)
{
    make_good();
    bad.event[1].kind = TRACE_KIND_COUNT;
    refused(ST_CORRUPT, "event 1: field \"kind\"");
    bad.event[0].name = TRACE_NAME_COUNT;
    refused(ST_CORRUPT, "event 0: field \"name\"");
    bad.event[0].kind = TRACE_RECEIVE;
    bad.event[0].name = MSG_VERB_COUNT;
    refused(ST_CORRUPT, "event 0: field \"name\"");
    bad.event[0].thread = 1;
    refused(ST_CORRUPT, "field \"thread\"");
    bad.event[0].begin_ns = bad.event[0].end_ns + 1;
    refused(ST_CORRUPT, "field \"end_ns\"");
    bad.event[0].end_ns = UINT64_MAX;
    refused(ST_CORRUPT, "field \"end_ns\"");
}

static void an_event_that_was_not_finished_is_passed_over(void **state)
{
    struct trace_file f;
    struct err err;

    make_good();
    memset(&bad.event[0], 0, sizeof bad.event[0]);
    bad.event[0].name = UINT16_MAX; /* half of it was written */
    assert_int_equal(read_bytes(sizeof bad, &f, &err), ST_OK);
    assert_int_equal(f.n_events, 1);
    assert_int_equal(f.event[0].name, TRACE_ROUND);
    trace_file_release(&f);
}

static void counts_in_the_head_are_not_believed(void **state)
{
    struct trace_file f;
    struct err err;

    make_good();
    bad.head.n_events = UINT64_MAX;
    bad.head.cap_events = UINT64_MAX;
    assert_int_equal(read_bytes(sizeof bad, &f, &err), ST_OK);
    assert_int_equal(f.n_events, 2);
    assert_int_equal(f.n_dropped, 0);
    trace_file_release(&f);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(every_cut_of_a_trace_gives_its_whole_events_or_is_refused),
        CASE(a_head_that_is_not_of_a_trace_is_refused_by_its_field),
        CASE(an_event_that_cannot_be_is_refused_by_its_field),
        CASE(an_event_that_was_not_finished_is_passed_over),
        CASE(counts_in_the_head_are_not_believed),
    };
#undef CASE

    return cmocka_run_group_tests(tests, NULL, NULL);
}
