/*
 * The timeline of real runs: all processes on one clock, in an order that can be,
 * with as many spans as the results count; whole also where a process was killed.
 */
#include <signal.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/trace_file.h"
#include "tests/system/program.h"
#include "tests/system/timeline.h"
#include "tests/test_helpers.h"

enum { WAIT_S = 240 };

static struct program p;
static json_t *json, *events; /* of the timeline at hand */

static void write_study(const char *methods, const char *link)
{
    char text[2048];

    snprintf(text, sizeof text,
             "name: traced\ntarget: %s/experiments/demo/target\n"
             "draft: %s/experiments/demo/draft\ndataset: demo\ndocuments: 1\nseeds: [1]\n"
             "gen_len: 24\non_chip: 0\nresident_layers: 0\nbudget: 64\ngamma: 4\n"
             "warmup: false\nlink: {simulate_gbps: %s}\nmethods: %s\nprefill: [600]\n",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR, link, methods);
    assert_true(program_write(&p, "study.yaml", text));
}

static int open_program(void **state)
{
    return program_init(&p) ? 0 : -1;
}

static int close_program(void **state)
{
    json_decref(json);
    json = events = NULL;
    program_close(&p);
    return 0;
}

static void expect(const char *arguments, int status, const char *words)
{
    int got;

    program_start(&p, arguments);
    got = program_wait(&p, WAIT_S);
    if (got != status || strstr(program_output(&p), words) == NULL)
        fail_msg("mspeckv %s: exit %d and \"%s\" were wanted, not %d and:\n%s", arguments, status,
                 words, got, program_output(&p));
}

/* ---- the timeline ---- */

static json_t *load(const char *name)
{
    char path[128];
    json_error_t at;
    json_t *root;

    snprintf(path, sizeof path, "%s/%s", p.dir, name);
    root = json_load_file(path, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL)
        fail_msg("%s:%d: %s", name, at.line, at.text);
    return root;
}

static void load_timeline(const char *name)
{
    json_decref(json);
    json = load(name);
    events = json_object_get(json, "traceEvents");
    assert_true(json_is_array(events));
    assert_int_equal(timeline_number(json_object_get(json, "otherData"), "dropped_events"), 0);
}

/* The sum of a field over the trials of run/results.jsonl. */
static int64_t sum(const char *field)
{
    char path[128], *line = NULL;
    size_t size = 0;
    int64_t all = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/run/results.jsonl", p.dir);
    file = fopen(path, "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        json_t *result = json_loads(line, 0, NULL);
        all += timeline_number(result, field);
        json_decref(result);
    }
    free(line);
    fclose(file);
    return all;
}

/* The spans of every round are all there and in the order in which they must be. */
static int check_rounds(void)
{
    static const char *const order[] = {
        "round",  "wait for proposal", "receive PROPOSE", "verify pass", "judge",
        "settle", "send VERDICT"};
    int64_t verify = timeline_pid(events, "verify", 1);
    double end_us = 0;
    int n_seen = 0;
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        bool is_of_round = false;
        for (int k = 0; k < 7; k++)
            is_of_round = is_of_round || timeline_is(e, "X", order[k]);
        /* A baseline's passes come before the first round. */
        if (!is_of_round || timeline_number(e, "pid") != verify ||
            (n_seen == 0 && !timeline_is(e, "X", "round")))
            continue;
        assert_string_equal(timeline_text(e, "name"), order[n_seen % 7]);
        if (n_seen % 7 == 0)
            end_us = timeline_real(e, "ts") + timeline_real(e, "dur");
        assert_true(timeline_real(e, "ts") + timeline_real(e, "dur") <= end_us + 0.002);
        n_seen++;
    }
    assert_int_equal(n_seen % 7, 0);
    return n_seen / 7;
}

/* What the last total of that name says. */
static int64_t last_total(const char *name, const char *unit)
{
    int64_t value = -1;
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        if (timeline_is(e, "C", name))
            value = timeline_number(json_object_get(e, "args"), unit);
    }
    return value;
}

/* ---- runs ---- */

static uint64_t run_begin_ns, run_end_ns;

/* One run for the cases that only look at it. */
static int trace_a_run(void **state)
{
    if (!program_init(&p))
        return -1;
    run_begin_ns = clock_now_ns();
    write_study("[baseline, mspeckv_kv_quant]", "0.5");
    expect("run @/study.yaml --out @/run --trace", 0, "run/trace.json: ");
    run_end_ns = clock_now_ns();
    load_timeline("run/trace.json");
    return 0;
}

static void a_traced_run_has_all_processes_on_one_clock(void **state)
{
    double length_us = (double)(run_end_ns - run_begin_ns) * 1e-3;
    uint64_t begin_ns;

    begin_ns = (uint64_t)timeline_number(json_object_get(json, "otherData"), "begin_ns");
    assert_true(begin_ns >= run_begin_ns);
    timeline_check_events(events, length_us);
    assert_int_equal(timeline_pid(events, "mspeckv", 1), 1);
    assert_int_equal(timeline_pid(events, "kvstore", 1), 2);
    assert_int_equal(timeline_pid(events, "verify", 1), 3);
    assert_int_equal(timeline_pid(events, "draft", 1), 4);
    assert_int_equal(timeline_pid(events, "draft", 2), 0);
    for (int64_t pid = 1; pid <= 4; pid++)
        for (int64_t tid = 1; tid <= 2; tid++)
            timeline_check_nesting(events, pid, tid);
}

static void spans_and_totals_are_as_many_as_the_results_count(void **state)
{
    int n_rounds = check_rounds();

    assert_true(n_rounds > 0);
    assert_int_equal(timeline_count(events, "X", "verify pass"), sum("rounds"));
    assert_int_equal(timeline_count(events, "X", "draft step"), sum("draft_proposed"));
    assert_int_equal(timeline_count(events, "X", "middle step"), sum("middle_steps"));
    assert_int_equal(timeline_count(events, "X", "propose"), n_rounds);
    assert_int_equal(timeline_count(events, "X", "prefill"), 2); /* verify's and the draft's */
    assert_int_equal(timeline_count(events, "X", "prefill chunk"), 2);
    assert_int_equal(timeline_count(events, "X", "trial baseline"),
                     2); /* orchestrator and verify */
    assert_int_equal(last_total("accepted", "tokens"), sum("accepted"));
    /* What is streamed ahead of a pass that never comes is not of the results. */
    assert_true(last_total("over the link", "bytes") >= sum("link_bytes"));
    assert_true(sum("link_bytes") > 0);
}

static void every_arrow_joins_two_processes_and_none_is_missing(void **state)
{
    timeline_check_arrows(events);
    /* Nobody was killed, so whatever was received has been sent. */
    assert_int_equal(timeline_count(events, "f", "PROPOSE"),
                     timeline_count(events, "X", "receive PROPOSE"));
    assert_int_equal(timeline_count(events, "f", "VERDICT"),
                     timeline_count(events, "X", "send VERDICT"));
    assert_int_equal(timeline_count(events, "f", "RESULT"), 2);
    assert_int_equal(timeline_count(events, "f", "READY"), 3);
    assert_int_equal(timeline_count(events, "f", "ACQUIRE"),
                     timeline_count(events, "X", "serve ACQUIRE"));
    assert_true(timeline_count(events, "f", "ACQUIRE") > 0);
}

static void a_run_without_it_writes_no_trace_and_the_same_tokens(void **state)
{
    json_t *traced, *plain;
    char path[128];

    write_study("[mspeckv_kv_quant]", "0.5");
    expect("run @/study.yaml --out @/run", 0, "tokens");
    assert_null(strstr(program_output(&p), "trace.json"));
    assert_false(program_has_file(&p, "run/trace.json"));
    assert_false(program_has_file(&p, "run/logs/verify-1.trace"));
    expect("run @/study.yaml --out @/traced --trace", 0, "traced/trace.json: ");
    snprintf(path, sizeof path, "%s/run/results.jsonl", p.dir);
    plain = json_load_file(path, 0, NULL);
    snprintf(path, sizeof path, "%s/traced/results.jsonl", p.dir);
    traced = json_load_file(path, 0, NULL);
    assert_true(json_array_size(json_object_get(plain, "tokens")) > 0);
    assert_true(json_equal(json_object_get(plain, "tokens"), json_object_get(traced, "tokens")));
    json_decref(plain);
    json_decref(traced);
}

/* ---- kills ---- */

/* Spans of that name that a trace of the run holds now. */
static int n_spans(const char *trace, enum trace_name name)
{
    struct trace_file f;
    char path[128];
    int n = 0;

    snprintf(path, sizeof path, "%s/run/logs/%s", p.dir, trace);
    if (trace_file_read(&f, path, NULL) == ST_OK)
        for (size_t i = 0; i < f.n_events; i++)
            n += f.event[i].kind == TRACE_SPAN && f.event[i].name == name;
    trace_file_release(&f);
    return n;
}

/* Returns with verify standing still inside its trial, two rounds of which are
 * done. A machine that gave this process no time may be past it: then again. */
static pid_t hold_trial(void)
{
    write_study("[mspeckv_kv_quant]", "0.012");
    for (int i = 0; i < 20; i++) {
        pid_t verify;
        program_start(&p, "run @/study.yaml --out @/run --trace");
        verify = program_find(&p, "verify");
        assert_true(verify > 0);
        for (int k = 0; k < 12000 && n_spans("verify-1.trace", TRACE_ROUND) < 2; k++)
            usleep(5000);
        if (program_signal(verify, SIGSTOP) && n_spans("verify-1.trace", TRACE_TRIAL) == 0)
            return verify;
        kill(verify, SIGKILL);
        program_close(&p);
        assert_true(program_init(&p));
        write_study("[mspeckv_kv_quant]", "0.012");
    }
    fail_msg("20 runs were past their trial before it could be stopped");
    return 0;
}

static void a_killed_worker_keeps_what_it_wrote_and_the_timeline_is_whole(void **state)
{
    pid_t verify = hold_trial();
    pid_t draft = program_find(&p, "draft");
    int n_rounds = n_spans("verify-1.trace", TRACE_ROUND);

    assert_int_equal(kill(verify, SIGKILL), 0);
    kill(draft, SIGKILL); /* it may have seen the other's end */
    assert_int_equal(program_wait(&p, WAIT_S), 0);
    load_timeline("run/trace.json");
    timeline_check_events(events, 1e12);
    timeline_check_arrows(events);
    assert_true(timeline_pid(events, "verify", 2) > 0);
    assert_true(timeline_pid(events, "draft", 2) > 0);
    assert_int_equal(timeline_pid(events, "kvstore", 2), 0);
    assert_true(n_rounds >= 2);
    assert_int_equal(timeline_count(events, "X", "round"),
                     n_rounds + n_spans("verify-2.trace", TRACE_ROUND));
    assert_int_equal(timeline_count(events, "X", "trial mspeckv_kv_quant"),
                     2); /* orchestrator, second verify */
}

static void a_resumed_run_has_both_parts_in_its_timeline(void **state)
{
    pid_t verify = hold_trial();

    assert_int_equal(kill(p.pid, SIGKILL), 0);
    kill(verify, SIGCONT);
    assert_int_equal(program_wait(&p, WAIT_S), 128 + SIGKILL);
    assert_true(program_is_gone(&p));
    assert_false(program_has_file(&p, "run/trace.json"));
    expect("run --resume @/run --trace", 0, "run/trace.json: ");
    load_timeline("run/trace.json");
    timeline_check_events(events, 1e12);
    timeline_check_arrows(events);
    assert_true(timeline_pid(events, "mspeckv", 2) > 0);
    assert_true(timeline_pid(events, "verify", 2) > 0);
}

/* ---- elsewhere ---- */

static void generate_writes_the_timeline_of_one_prompt(void **state)
{
    expect("generate --target " TEST_SOURCE_DIR "/experiments/demo/target --draft " TEST_SOURCE_DIR
           "/experiments/demo/draft --prompt cat --gen-len 8 --trace @/g.json",
           0, "");
    load_timeline("g.json");
    timeline_check_events(events, 1e12);
    timeline_check_arrows(events);
    assert_true(timeline_pid(events, "mspeckv", 1) > 0 && timeline_pid(events, "kvstore", 1) > 0);
    assert_int_equal(timeline_count(events, "X", "trial mspeckv"), 2);
    assert_true(check_rounds() > 0);
    expect("generate --target " TEST_SOURCE_DIR "/experiments/demo/target --prompt cat --gen-len 2 "
           "--trace @/no/g.json",
           1, "mspeckv generate: --trace: open ");
}

static void a_run_by_slurm_is_refused_a_trace(void **state)
{
    write_study("[baseline]", "0.5");
    expect("run @/study.yaml --out @/run --trace --launcher slurm", 2, "no clock in common");
    assert_false(program_has_file(&p, "run"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_program, close_program)
    const struct CMUnitTest of_one_run[] = {
        cmocka_unit_test(a_traced_run_has_all_processes_on_one_clock),
        cmocka_unit_test(spans_and_totals_are_as_many_as_the_results_count),
        cmocka_unit_test(every_arrow_joins_two_processes_and_none_is_missing),
    };
    const struct CMUnitTest others[] = {
        CASE(a_run_without_it_writes_no_trace_and_the_same_tokens),
        CASE(a_killed_worker_keeps_what_it_wrote_and_the_timeline_is_whole),
        CASE(a_resumed_run_has_both_parts_in_its_timeline),
        CASE(generate_writes_the_timeline_of_one_prompt),
        CASE(a_run_by_slurm_is_refused_a_trace),
    };
#undef CASE
    int n_failed = cmocka_run_group_tests(of_one_run, trace_a_run, close_program);

    return n_failed + cmocka_run_group_tests(others, NULL, NULL);
}
