/*
 * Traces become one timeline: a JSON that parses, arrows between events that
 * belong together and no others, and a word on what is left out.
 */
#include "tests/test_helpers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/method.h"
#include "common/msg.h"
#include "common/trace.h"
#include "orchestrator/trace_folder.h"
#include "orchestrator/trace_merge.h"

static char dir[96], timeline[128];
static json_t *json, *events; /* of the last merge */

static int set_up(void **state)
{
    /* Letters that mean something to a pattern of file names. */
    snprintf(dir, sizeof dir, "/tmp/test_trace_[a]*?_XXXXXX");
    snprintf(timeline, sizeof timeline, "%s/trace.json", mkdtemp(dir));
    return 0;
}

static int tear_down(void **state)
{
    char *command = mem_printf("rm -r '%s'", dir);
    int rc = system(command);

    free(command);
    json_decref(json);
    json = events = NULL;
    return rc;
}

/* ---- traces ---- */

static void put(enum trace_kind kind, uint32_t name, uint64_t begin_ns, uint64_t value)
{
    trace_put(kind, name, begin_ns, value, 0);
}

static void begin_trace(const char *where, const char *process)
{
    char *path = trace_folder_next(where, process);

    assert_int_equal(trace_open(process, path, NULL), ST_OK);
    free(path);
}

/* Puts `bytes` over those of NAME-1.trace at `at`. */
static void spoil(const char *name, size_t at, const char *bytes)
{
    char *path = mem_printf("%s/%s-1.trace", dir, name);
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, bytes, strlen(bytes), (off_t)at), strlen(bytes));
    close(fd);
    free(path);
}

/* ---- the timeline ---- */

static char *merge(void)
{
    struct err err = {{0}};
    json_error_t at;
    char *said = NULL;

    if (trace_merge(timeline, dir, &said, &err) != ST_OK)
        fail_msg("%s", err.text);
    json_decref(json);
    json = json_load_file(timeline, JSON_REJECT_DUPLICATES, &at);
    if (json == NULL)
        fail_msg("line %d: %s", at.line, at.text);
    events = json_object_get(json, "traceEvents");
    assert_true(json_is_array(events));
    return said;
}

static const char *text(const json_t *e, const char *key)
{
    const char *value = json_string_value(json_object_get(e, key));

    return value != NULL ? value : "";
}

static int64_t number(const json_t *e, const char *key)
{
    return json_integer_value(json_object_get(e, key));
}

static size_t count(const char *ph, const char *name)
{
    size_t i, n = 0;
    json_t *e;

    json_array_foreach(events, i, e) n +=
        strcmp(text(e, "ph"), ph) == 0 && (name == NULL || strcmp(text(e, "name"), name) == 0);
    return n;
}

/* The one event of that letter and name. */
static const json_t *find(const char *ph, const char *name)
{
    const json_t *found = NULL;
    size_t i;
    json_t *e;

    if (count(ph, name) != 1)
        fail_msg("%zu events %s '%s', not one", count(ph, name), ph, name);
    json_array_foreach(events, i, e)
    {
        if (strcmp(text(e, "ph"), ph) == 0 && strcmp(text(e, "name"), name) == 0)
            found = e;
    }
    return found;
}

static double ts(const json_t *e)
{
    return json_real_value(json_object_get(e, "ts"));
}

static void spans_and_totals_stand_with_their_words_and_times(void **state)
{
    uint64_t outer, inner, begin_ns;
    const json_t *trial, *pass, *total;
    char *said;

    begin_trace(dir, "verify");
    begin_ns = clock_now_ns();
    outer = trace_begin(TRACE_TRIAL);
    inner = trace_begin(TRACE_PASS);
    trace_end(TRACE_PASS, inner, 600, 9);
    trace_put(TRACE_TOTAL, TRACE_N_ACCEPTED, inner, 12, 0);
    trace_end(TRACE_TRIAL, outer, 4, METHOD_MSPECKV);
    trace_close();
    said = merge();
    assert_string_equal(said, "3 events of 1 processes");
    free(said);
    trial = find("X", "trial mspeckv");
    pass = find("X", "verify pass");
    total = find("C", "accepted");
    assert_close(ts(trial), 0, 0);
    assert_close(ts(pass), (double)(inner - outer) * 1e-3, 1e-3);
    assert_true(json_real_value(json_object_get(trial, "dur")) >=
                ts(pass) + json_real_value(json_object_get(pass, "dur")) - 2e-3);
    assert_int_equal(number(json_object_get(trial, "args"), "trial"), 4);
    assert_string_equal(text(json_object_get(trial, "args"), "method"), "mspeckv");
    assert_int_equal(number(json_object_get(pass, "args"), "position"), 600);
    assert_int_equal(number(json_object_get(pass, "args"), "rows"), 9);
    assert_int_equal(number(json_object_get(total, "args"), "tokens"), 12);
    assert_int_equal(number(trial, "pid"), 1);
    assert_int_equal(number(trial, "tid"), 1);
    assert_true((uint64_t)number(json_object_get(json, "otherData"), "begin_ns") >= begin_ns);
    assert_string_equal(text(json_object_get(find("M", "process_name"), "args"), "name"), "verify");
}

static void a_span_comes_before_those_within_it(void **state)
{
    size_t i;
    json_t *e;
    double last = -1;
    int n = 0;

    begin_trace(dir, "verify");
    put(TRACE_SPAN, TRACE_LAYER, 5000, 0); /* all end now, each after the one before */
    put(TRACE_SPAN, TRACE_LAYER, 7000, 1);
    put(TRACE_SPAN, TRACE_PASS, 5000, 2);
    trace_close();
    free(merge());
    json_array_foreach(events, i, e)
    {
        if (strcmp(text(e, "ph"), "X") != 0)
            continue;
        if (n++ == 0)
            assert_string_equal(text(e, "name"), "verify pass");
        assert_true(ts(e) >= last);
        last = ts(e);
    }
    assert_int_equal(n, 3);
}

static void an_arrow_joins_a_send_and_its_receipt_and_nothing_else(void **state)
{
    uint64_t now = clock_now_ns() - 1000000;
    const json_t *from, *to;
    size_t i;
    json_t *e;

    begin_trace(dir, "verify");
    put(TRACE_SEND, MSG_VERDICT, now + 500, 1); /* of a draft that was killed */
    put(TRACE_RECEIVE, MSG_PROPOSE, now + 300, 2);
    put(TRACE_RECEIVE, MSG_READY, now + 100, 3); /* before it was sent: not this one */
    put(TRACE_SPAN, TRACE_PASS, now, 2);
    trace_close();
    begin_trace(dir, "draft");
    put(TRACE_SEND, MSG_PROPOSE, now + 200, 2);
    put(TRACE_SEND, MSG_READY, now + 400, 3);
    put(TRACE_RECEIVE, MSG_DONE, now + 600, 1); /* the value of another verb */
    trace_close();
    free(merge());
    assert_int_equal(count("s", NULL), 1);
    assert_int_equal(count("f", NULL), 1);
    assert_int_equal(count("X", "send VERDICT"), 1);
    from = find("s", "PROPOSE");
    to = find("f", "PROPOSE");
    assert_int_equal(number(from, "id"), number(to, "id"));
    assert_int_equal(number(from, "pid"), 2); /* verify comes first */
    assert_int_equal(number(to, "pid"), 1);
    assert_string_equal(text(to, "bp"), "e");
    assert_close(ts(to) - ts(from), 0.1, 1e-6);
    /* It begins and ends in the spans of the message. */
    json_array_foreach(events, i, e)
    {
        if (strcmp(text(e, "name"), "send PROPOSE") == 0)
            assert_close(ts(e), ts(from), 0);
        if (strcmp(text(e, "name"), "receive PROPOSE") == 0)
            assert_close(ts(e), ts(to), 0);
    }
}

static void of_messages_with_one_number_the_first_got_is_the_first_sent(void **state)
{
    uint64_t now = clock_now_ns() - 1000000;
    double sent[3], got[3];
    size_t i;
    json_t *e;

    begin_trace(dir, "verify");
    for (uint64_t k = 0; k < 3; k++)
        put(TRACE_SEND, MSG_TOKENS, now + 1000 * k, 9);
    trace_close();
    begin_trace(dir, "mspeckv");
    for (uint64_t k = 0; k < 3; k++)
        put(TRACE_RECEIVE, MSG_TOKENS, now + 10000 + 1000 * k, 9);
    trace_close();
    free(merge());
    assert_int_equal(count("s", "TOKENS"), 3);
    assert_int_equal(count("f", "TOKENS"), 3);
    json_array_foreach(events, i, e)
    {
        int64_t id = number(e, "id");
        if (strcmp(text(e, "ph"), "s") == 0 || strcmp(text(e, "ph"), "f") == 0)
            assert_true(id >= 1 && id <= 3);
        if (strcmp(text(e, "ph"), "s") == 0)
            sent[id - 1] = ts(e);
        if (strcmp(text(e, "ph"), "f") == 0)
            got[id - 1] = ts(e);
    }
    for (int k = 0; k < 3; k++)
        assert_close(got[k] - sent[k], 10, 1e-6);
}

static void processes_of_every_start_and_place_are_apart(void **state)
{
    char *place = mem_printf("%s/place-2", dir);
    size_t i;
    json_t *e;
    int n = 0;

    assert_int_equal(mkdir(place, 0700), 0);
    begin_trace(place, "draft");
    put(TRACE_SPAN, TRACE_PROPOSE, clock_now_ns(), 3);
    trace_close();
    for (uint64_t start = 0; start < 2; start++) {
        begin_trace(dir, "draft");
        put(TRACE_SPAN, TRACE_PROPOSE, clock_now_ns(), start);
        trace_close();
    }
    free(merge());
    json_array_foreach(events, i, e)
    {
        if (strcmp(text(e, "ph"), "X") != 0)
            continue;
        n++;
        assert_int_equal(number(e, "pid"), n);
        assert_int_equal(number(json_object_get(e, "args"), "position"), n == 3 ? 3 : n - 1);
    }
    assert_int_equal(n, 3);
    free(place);
}

static void a_name_may_hold_what_json_escapes(void **state)
{
    begin_trace(dir, "verify");
    put(TRACE_SPAN, TRACE_PASS, 1, 0);
    trace_close();
    spoil("verify", offsetof(struct trace_head, process), "a\"\\/b");
    free(merge());
    assert_string_equal(text(json_object_get(find("M", "process_name"), "args"), "name"),
                        "a\"\\/by");
}

static void what_is_damaged_or_of_another_boot_is_left_out_and_named(void **state)
{
    static const char *const name[] = {"draft", "kvstore", "verify"};
    json_t *left_out;
    char *said;

    for (int i = 0; i < 3; i++) {
        begin_trace(dir, name[i]);
        put(TRACE_SPAN, TRACE_PASS, 1, 0);
        trace_close();
    }
    spoil("draft", 0, "no trace");
    spoil("kvstore", offsetof(struct trace_head, boot), "x");
    said = merge();
    assert_non_null(strstr(said, "1 events of 1 processes; 0 did not fit, 2 files are left out"));
    free(said);
    left_out = json_object_get(json_object_get(json, "otherData"), "left_out");
    assert_int_equal(json_array_size(left_out), 2);
    assert_non_null(strstr(json_string_value(json_array_get(left_out, 0)), "draft-1.trace"));
    assert_non_null(strstr(json_string_value(json_array_get(left_out, 1)),
                           "kvstore-1.trace: written before the machine was started anew"));
}

static void a_folder_without_a_trace_is_one_line_and_no_file(void **state)
{
    struct err err = {{0}};

    assert_int_equal(trace_merge(timeline, dir, NULL, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "holds no trace"));
    begin_trace(dir, "verify");
    trace_close(); /* it did nothing */
    assert_int_equal(trace_merge(timeline, dir, NULL, &err), ST_NOT_FOUND);
    assert_int_not_equal(access(timeline, F_OK), 0);
}

static void a_timeline_that_cannot_be_written_leaves_nothing(void **state)
{
    struct err err = {{0}};

    begin_trace(dir, "verify");
    put(TRACE_SPAN, TRACE_PASS, 1, 0);
    trace_close();
    assert_int_equal(mkdir(timeline, 0700), 0); /* in its way */
    assert_int_equal(trace_merge(timeline, dir, NULL, &err), ST_IO);
    assert_non_null(strstr(err.text, "rename"));
    snprintf(timeline, sizeof timeline, "%s/trace.json.tmp", dir);
    assert_int_not_equal(access(timeline, F_OK), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(spans_and_totals_stand_with_their_words_and_times),
        CASE(a_span_comes_before_those_within_it),
        CASE(an_arrow_joins_a_send_and_its_receipt_and_nothing_else),
        CASE(of_messages_with_one_number_the_first_got_is_the_first_sent),
        CASE(processes_of_every_start_and_place_are_apart),
        CASE(a_name_may_hold_what_json_escapes),
        CASE(what_is_damaged_or_of_another_boot_is_left_out_and_named),
        CASE(a_folder_without_a_trace_is_one_line_and_no_file),
        CASE(a_timeline_that_cannot_be_written_leaves_nothing),
    };
#undef CASE

    return cmocka_run_group_tests(tests, NULL, NULL);
}
