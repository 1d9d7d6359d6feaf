/*
 * Any process of a run is killed at any time: the run says which and goes on,
 * and nothing of it is left behind. A slow simulated link makes trials last
 * long enough to be hit.
 */
#include <signal.h>
#include <sys/types.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

enum { WAIT_S = 240 }; /* for a run of a few seconds on a machine that is not busy */

static struct program p;
static char target[512], draft[512];

static void write_study(const char *more)
{
    char text[2048];

    snprintf(text, sizeof text,
             "name: deaths\ntarget: %s\ndraft: %s\ndataset: demo\ndocuments: 1\nseeds: [1, 2]\n"
             "gen_len: 60\non_chip: 0\nresident_layers: 0\nbudget: 64\ngamma: 2\nwarmup: false\n"
             "link: {simulate_gbps: 0.006}\nstudy: deaths\ntitle: \"Deaths\"\n"
             "methods: [vanilla_specdec]\nreference: vanilla_specdec\nprefill: [300]\n%s",
             target, draft, more);
    assert_true(program_write(&p, "deaths.yaml", text));
}

static int open_program(void **state)
{
    return program_init(&p) ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

static uint32_t count(const char *text, const char *words)
{
    uint32_t n = 0;

    for (; (text = strstr(text, words)) != NULL; text += strlen(words))
        n++;
    return n;
}

static void await_words(const char *words)
{
    for (int i = 0; i < 12000 && strstr(program_output(&p), words) == NULL; i++)
        usleep(5000);
    assert_non_null(strstr(program_output(&p), words));
}

/* True if verify has answered no trial yet: it logs each before its answer. */
static bool is_first_trial(void)
{
    return !program_await(&p, "run/logs/verify.log", " trial=", 0);
}

/* Returns with verify standing still inside the first trial. A machine that gave
 * this process no time may be past it: then another run is tried. */
static pid_t hold_first_trial(const char *more)
{
    pid_t verify;

    for (int i = 0; i < 20; i++) {
        write_study(more);
        program_start(&p, "run @/deaths.yaml --out @/run");
        verify = program_find(&p, "verify");
        assert_true(verify > 0);
        await_words("300 tokens, seed 1");
        usleep(150000); /* into its rounds: nothing that a case expects depends on it */
        if (program_signal(verify, SIGSTOP) && is_first_trial())
            return verify;
        kill(verify, SIGKILL);
        program_close(&p);
        assert_true(program_init(&p));
    }
    fail_msg("20 runs were past their first trial before it could be stopped");
    return 0;
}

static void expect_recovery_from(const char *name)
{
    char words[128];
    const char *out;
    pid_t verify;

    verify = hold_first_trial("");
    assert_int_equal(kill(program_find(&p, name), SIGKILL), 0);
    kill(verify, SIGCONT);
    assert_int_equal(program_wait(&p, WAIT_S), 0);
    out = program_output(&p);
    snprintf(words, sizeof words, "%s died: killed by signal 9", name);
    if (strstr(out, words) == NULL)
        fail_msg("no \"%s\" in:\n%s", words, out);
    snprintf(words, sizeof words, "/run/logs/%s.log", name);
    assert_non_null(strstr(out, words));
    assert_int_equal(count(out, "ms/token acc "), 2); /* both trials have their line */
    assert_null(strstr(out, "failed:"));
    assert_true(program_is_gone(&p));
}

static void a_killed_draft_is_named_and_the_trial_repeated(void **state)
{
    expect_recovery_from("draft");
}

static void a_killed_verify_is_named_and_the_trial_repeated(void **state)
{
    expect_recovery_from("verify");
    /* The store kept the snapshot: one prefill served both workers. */
    assert_true(program_await(&p, "run/logs/verify.log", "prefill prompt", 1));
    assert_int_equal(count(program_output(&p), "starting the workers again"), 1);
}

static void a_killed_store_is_named_and_everything_started_again(void **state)
{
    expect_recovery_from("kvstore");
    assert_int_equal(count(program_output(&p), "starting all processes again"), 1);
}

static void a_killed_orchestrator_leaves_nothing(void **state)
{
    pid_t verify = hold_first_trial("");

    assert_int_equal(kill(p.pid, SIGKILL), 0);
    kill(verify, SIGCONT);
    assert_int_equal(program_wait(&p, WAIT_S), 128 + SIGKILL);
    assert_true(program_is_gone(&p));
}

static void an_orchestrator_killed_while_it_starts_leaves_nothing(void **state)
{
    write_study("");
    program_start(&p, "run @/deaths.yaml --out @/run");
    assert_true(program_find(&p, "kvstore") > 0);
    assert_int_equal(kill(p.pid, SIGKILL), 0);
    assert_int_equal(program_wait(&p, WAIT_S), 128 + SIGKILL);
    assert_true(program_is_gone(&p));
}

static void a_worker_that_hangs_is_replaced_and_the_trial_repeated(void **state)
{
    (void)hold_first_trial("timeout_s: 8\n");
    assert_int_equal(program_wait(&p, WAIT_S), 0);
    assert_int_equal(count(program_output(&p), "verify has not answered TRIAL"), 1);
    assert_int_equal(count(program_output(&p), "ms/token acc "), 2);
    assert_true(program_is_gone(&p));
}

/* A limit that no trial keeps: each is tried twice, recorded, and the next one comes. */
static void a_trial_that_fails_twice_is_recorded_with_its_log_and_the_next_one_runs(void **state)
{
    char file[128], line[8192];
    uint32_t n_lines = 0;

    write_study("timeout_s: 0.01\n");
    program_start(&p, "run @/deaths.yaml --out @/run --set gen_len=200");
    assert_true(program_find(&p, "verify") > 0);
    assert_int_equal(program_wait(&p, WAIT_S), 1);
    assert_int_equal(count(program_output(&p), "starting the workers again"), 4);
    assert_int_equal(count(program_output(&p), "failed: verify has not answered TRIAL"), 2);
    assert_non_null(strstr(program_output(&p), "2 of 2 trials failed"));
    assert_true(program_has_file(&p, "run/summary.json"));
    assert_true(program_is_gone(&p));
    snprintf(file, sizeof file, "%s/run/results.jsonl", p.dir);
    FILE *results = fopen(file, "r");
    assert_non_null(results);
    while (fgets(line, sizeof line, results) != NULL) {
        n_lines++;
        assert_non_null(strstr(line, "\"status\":\"failed\""));
        assert_non_null(strstr(line, "\"log\":\"20")); /* its lines begin with the date */
    }
    fclose(results);
    assert_int_equal(n_lines, 2);
}

static void expect_one_trial_and_a_summary(void)
{
    assert_int_equal(program_wait(&p, WAIT_S), 1);
    assert_non_null(strstr(program_output(&p), "stopped after 1 of 2 trials"));
    assert_int_equal(count(program_output(&p), "ms/token acc "), 1);
    assert_true(program_has_file(&p, "run/summary.json"));
    assert_true(program_is_gone(&p));
}

static void one_interrupt_finishes_the_trial_and_writes_the_summary(void **state)
{
    pid_t verify = hold_first_trial("");

    assert_true(program_signal(p.pid, SIGINT));
    kill(verify, SIGCONT);
    expect_one_trial_and_a_summary();
}

/* With the draft standing still the trial is at its first step: giving it the
 * prompt. False: it was too late for that. */
static bool interrupt_with_draft_held(void)
{
    pid_t draft_pid;
    bool in_time;

    write_study("");
    program_start(&p, "run @/deaths.yaml --out @/run");
    await_words("prefill, document 1");
    draft_pid = program_find(&p, "draft");
    assert_true(program_signal(draft_pid, SIGSTOP));
    await_words("300 tokens, seed 1");
    in_time = program_signal(p.pid, SIGINT) && is_first_trial();
    kill(draft_pid, SIGCONT);
    return in_time;
}

static void an_interrupt_at_the_start_of_a_trial_finishes_it_too(void **state)
{
    for (int i = 0; i < 20 && !interrupt_with_draft_held(); i++) {
        program_close(&p);
        assert_true(program_init(&p));
    }
    expect_one_trial_and_a_summary();
}

static void two_interrupts_stop_now(void **state)
{
    pid_t verify = hold_first_trial("gamma_draft: 1\n");

    assert_true(program_signal(p.pid, SIGINT));
    assert_true(program_signal(p.pid, SIGINT));
    kill(verify, SIGCONT);
    assert_int_equal(program_wait(&p, WAIT_S), 1);
    assert_non_null(strstr(program_output(&p), "stopped after 0 of 2 trials"));
    assert_true(program_is_gone(&p));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_program, close_program)
    const struct CMUnitTest tests[] = {
        CASE(a_killed_draft_is_named_and_the_trial_repeated),
        CASE(a_killed_verify_is_named_and_the_trial_repeated),
        CASE(a_killed_store_is_named_and_everything_started_again),
        CASE(a_killed_orchestrator_leaves_nothing),
        CASE(an_orchestrator_killed_while_it_starts_leaves_nothing),
        CASE(a_worker_that_hangs_is_replaced_and_the_trial_repeated),
        CASE(a_trial_that_fails_twice_is_recorded_with_its_log_and_the_next_one_runs),
        CASE(one_interrupt_finishes_the_trial_and_writes_the_summary),
        CASE(an_interrupt_at_the_start_of_a_trial_finishes_it_too),
        CASE(two_interrupts_stop_now),
    };

    if (test_data_path(target, sizeof target, "hf-stories260K") == NULL ||
        test_data_path(draft, sizeof draft, "hf-llama2xs-300K") == NULL)
        test_skip_program("the real models are not there");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
