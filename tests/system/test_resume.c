/*
 * A run that is killed, stopped or torn goes on to the results of an unbroken
 * one; what is not the run's own is refused by one line and left as it is. On
 * the demo pair; a slow simulated link makes trials last long enough to be hit.
 */
#include <signal.h>
#include <sys/stat.h>

#include <jansson.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

enum { N_TRIALS = 8, KILLS = 4, WAIT_S = 120 };

static struct program p;

static void write_study(const char *more)
{
    char text[2048];

    snprintf(text, sizeof text,
             "name: resume\ntarget: %s/experiments/demo/target\n"
             "draft: %s/experiments/demo/draft\ndataset: demo\ndocuments: 1\nseeds: [1, 2]\n"
             "gen_len: 12\non_chip: 0\nresident_layers: 0\nbudget: 64\ngamma: 2\n"
             "warmup: false\nlink: {simulate_gbps: 0.03}\n"
             "methods: [baseline, mspeckv_kv_quant]\nprefill: [256, 384]\n%s",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR, more);
    assert_true(program_write(&p, "study.yaml", text));
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

static void expect(const char *arguments, int status, const char *words)
{
    int got;

    program_start(&p, arguments);
    got = program_wait(&p, WAIT_S);
    if (got != status || strstr(program_output(&p), words) == NULL)
        fail_msg("mspeckv %s: exit %d and \"%s\" were wanted, not %d and:\n%s", arguments, status,
                 words, got, program_output(&p));
}

/* In the private directory. */
static void shell(const char *command)
{
    char all[512];

    snprintf(all, sizeof all, "cd '%s' && %s", p.dir, command);
    if (system(all) != 0)
        fail_msg("%s", all);
}

static json_t *load(const char *name)
{
    char path[128];
    json_error_t at;
    json_t *json;

    snprintf(path, sizeof path, "%s/%s", p.dir, name);
    json = json_load_file(path, 0, &at);
    if (json == NULL)
        fail_msg("%s:%d: %s", name, at.line, at.text);
    return json;
}

/* ---- results without their times ---- */

/* By trial: "ok" and the tokens; a later line of a trial replaces an earlier one. */
static json_t *tokens_of(const char *folder)
{
    char path[128], *line = NULL, number[16];
    json_t *all = json_object();
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s/results.jsonl", p.dir, folder);
    file = fopen(path, "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        json_t *result = json_loads(line, 0, NULL);
        assert_non_null(result);
        snprintf(number, sizeof number, "%d",
                 (int)json_integer_value(json_object_get(result, "trial")));
        json_object_set_new(all, number,
                            json_pack("[O, O]", json_object_get(result, "status"),
                                      json_object_get(result, "tokens")));
        json_decref(result);
    }
    free(line);
    fclose(file);
    return all;
}

/* Takes out every member whose value depends on the clock. */
static void drop_times(json_t *json)
{
    static const char *const timed[] = {"tok_per_s", "ms_per_token", "delta_tok_per_s",
                                        "speedup",   "speedup_over", "ttft_s",
                                        "round_ms"};
    const char *key;
    json_t *value;
    size_t i;

    for (i = 0; json_is_object(json) && i < sizeof timed / sizeof timed[0]; i++)
        json_object_del(json, timed[i]);
    json_object_foreach(json, key, value) drop_times(value);
    json_array_foreach(json, i, value) drop_times(value);
}

static void assert_same_runs(const char *one, const char *other)
{
    char path[64];
    json_t *a = tokens_of(one), *b = tokens_of(other);

    assert_int_equal(json_object_size(a), N_TRIALS);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    snprintf(path, sizeof path, "%s/summary.json", one);
    a = load(path);
    snprintf(path, sizeof path, "%s/summary.json", other);
    b = load(path);
    drop_times(a);
    drop_times(b);
    if (!json_equal(a, b))
        fail_msg("%s\n%s", json_dumps(a, 0), json_dumps(b, 0));
    json_decref(a);
    json_decref(b);
}

/* ---- kills ---- */

/* Waits for the first file of the directory, without which there is no run. */
static void await_manifest(void)
{
    for (int i = 0; i < 6000 && !program_has_file(&p, "run/manifest.json"); i++)
        usleep(10000);
    assert_true(program_has_file(&p, "run/manifest.json"));
}

static void a_run_killed_at_any_instant_goes_on_to_the_same_table(void **state)
{
    pid_t worker;

    write_study("");
    expect("run @/study.yaml --out @/whole", 0, "whole: manifest.json");
    for (uint32_t i = 0; i < KILLS; i++) {
        program_start(&p, i == 0 ? "run @/study.yaml --out @/run" : "run --resume @/run");
        if (i == 0)
            await_manifest();
        worker = i % 2 == 1 ? program_find(&p, "verify") : 0;
        /* Anywhere from its start to a trial or two on; what follows holds wherever it is. */
        usleep(2654435769u * (i + 1) % 600000);
        if (worker > 0)
            kill(worker, SIGKILL);
        kill(p.pid, SIGKILL);
        (void)program_wait(&p, 10); /* killed, or done before */
    }
    expect("run --resume @/run", 0, "8 trials on 2 prompts");
    assert_same_runs("whole", "run");
    expect("run --resume @/run", 0, "8 of 8 trials are done");
    assert_same_runs("whole", "run");
}

/* ---- stops ---- */

static void await_results(uint32_t n)
{
    for (int i = 0; i < 6000; i++) {
        uint32_t found = 0;
        for (const char *at = program_output(&p); (at = strstr(at, "ms/token")) != NULL; at++)
            found++;
        if (found >= n)
            return;
        usleep(10000);
    }
    fail_msg("no %u trials in:\n%s", n, program_output(&p));
}

static void one_interrupt_or_two_leave_a_run_that_goes_on(void **state)
{
    write_study("");
    expect("run @/study.yaml --out @/whole", 0, "whole: manifest.json");
    program_start(&p, "run @/study.yaml --out @/run");
    await_results(1);
    kill(p.pid, SIGINT);
    assert_int_equal(program_wait(&p, 60), 1);
    assert_non_null(strstr(program_output(&p), "of 8 trials; `mspeckv run --resume"));
    program_start(&p, "run --resume @/run");
    await_results(1);
    kill(p.pid, SIGINT);
    usleep(50000); /* two signals at once would be one */
    kill(p.pid, SIGINT);
    (void)program_wait(&p, 60);
    expect("run --resume @/run", 0, "run: manifest.json");
    assert_same_runs("whole", "run");
}

/* A limit that no trial keeps; without it, the same directory goes on. */
static void failed_trials_run_again_and_replace_their_failures(void **state)
{
    write_study("timeout_s: 0.01\n");
    expect("run @/study.yaml --out @/run --set prefill=256 --set seeds=[1] "
           "--set methods=[baseline] --set gen_len=60",
           1, "1 of 1 trials failed");
    expect("run --resume @/run", 1, "0 of 1 trials are done");
    assert_non_null(strstr(program_output(&p), "1 of 1 trials failed"));
    shell("[ $(wc -l < run/results.jsonl) = 2 ]");
    json_t *summary = load("run/summary.json");
    json_t *studies = json_object_get(summary, "studies");
    json_t *cell = json_array_get(json_object_get(json_array_get(studies, 0), "cells"), 0);
    assert_int_equal(json_integer_value(json_object_get(cell, "failed")), 1);
    assert_int_equal(json_integer_value(json_object_get(cell, "missing")), 0);
    json_decref(summary);
}

static void only_one_process_works_in_a_directory(void **state)
{
    static struct program other;
    char words[256];

    assert_true(program_init(&other));
    write_study("");
    program_start(&p, "run @/study.yaml --out @/run");
    await_results(1);
    snprintf(words, sizeof words, "run --resume %s/run", p.dir);
    program_start(&other, words);
    assert_int_equal(program_wait(&other, 60), 1);
    if (strstr(program_output(&other), "is at work in it") == NULL)
        fail_msg("%s", program_output(&other));
    program_close(&other);
    kill(p.pid, SIGINT);
    assert_int_equal(program_wait(&p, 60), 1);
    expect("run --resume @/run", 0, "trials are done");
}

/* ---- what is not the run's own ---- */

/* One line, and no file of the run is other than before. */
static void expect_refusal(const char *edit, int status, const char *words)
{
    const char *out;

    shell("rm -rf bad && cp -r run bad");
    shell(edit);
    shell("rm -rf before && cp -r bad before");
    expect("run --resume @/bad", status, words);
    out = program_output(&p);
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
    shell("diff -r bad before");
}

static void what_is_not_the_runs_own_is_refused_and_left_as_it_is(void **state)
{
    write_study("");
    expect("run @/study.yaml --out @/run --set prefill=256 --set seeds=[1] --set gen_len=8", 0,
           "run: manifest.json");
    expect("run --resume @/none", 1, "No such file");
    expect("run --resume @/study.yaml", 1, "is no directory");
    shell("mkdir empty");
    expect("run --resume @/empty", 1, "it has no manifest.json");
    shell("[ -z \"$(ls empty)\" ]");
    expect("run @/study.yaml --out @/run", 2, "--resume DIR` goes on");
    expect("run @/study.yaml --resume @/run", 2, "--resume DIR stands alone");
    expect("run --resume @/run --set gamma=3", 2, "--resume DIR stands alone");

    expect_refusal("sed -i 's/\"version\": \"/&9./' bad/manifest.json", 1, "begun by 9.");
    expect_refusal("sed -i 's/\"manifest\": 2/\"manifest\": 1/' bad/manifest.json", 1, "format 1");
    expect_refusal("truncate -s 300 bad/manifest.json", 1, "manifest.json:");
    expect_refusal("sed -i 's/\"target_fingerprint\": \"xxh3/&x/' bad/manifest.json", 1,
                   "target_fingerprint is \"xxh3x");
    expect_refusal("sed -i 's/\"token_hash\": \"xxh3/&x/' bad/manifest.json", 1,
                   "experiment.text.documents[0].prompts[0].token_hash is");
    expect_refusal("sed -i 's/\"text\": \"name.*gamma: 2/&3/' bad/manifest.json", 1,
                   "experiment.studies[0].fixed.gamma is 2 there and 23 now");
    expect_refusal("sed -i 's/\"cpu_model\": \"/&x/' bad/manifest.json", 1, "machine.cpu_model");
    expect_refusal("sed -i '1s/\"seed\":1/\"seed\":2/' bad/results.jsonl", 1,
                   "results.jsonl:1: field \"seed\"");
    expect_refusal("sed -i '2s/\"tokens\":\\[[0-9]*,/\"tokens\":[/' bad/results.jsonl", 1,
                   "results.jsonl:2: field \"tokens\"");
    expect_refusal("sed -i '1{h;G}' bad/results.jsonl", 1, "has finished on a line before");
    expect_refusal("sed -i '2s/^{/x{/' bad/results.jsonl", 1, "results.jsonl:2: ");
}

static void a_torn_last_line_is_dropped_and_its_trial_runs_again(void **state)
{
    write_study("");
    expect("run @/study.yaml --out @/run --set prefill=256 --set seeds=[1] --set gen_len=8", 0,
           "run: manifest.json");
    shell("cp run/results.jsonl whole.jsonl && truncate -s -40 run/results.jsonl");
    expect("run --resume @/run", 0, "its torn last line of ");
    assert_non_null(strstr(program_output(&p), "1 of 2 trials are done"));
    shell("head -n 1 whole.jsonl > one && head -n 1 run/results.jsonl | cmp - one");
    shell("grep -o '\"tokens\":[^]]*' whole.jsonl > one && "
          "grep -o '\"tokens\":[^]]*' run/results.jsonl | cmp - one");
}

static void a_run_that_was_killed_before_it_measured_begins(void **state)
{
    write_study("");
    expect("run @/study.yaml --out @/run --set prefill=256 --set seeds=[1] --set gen_len=8", 0,
           "run: manifest.json");
    /* As the directory is while the workers load. */
    shell("rm -r run/results.jsonl run/summary.* run/logs && "
          "sed -i 's/\"store\": {/\"store\": null, \"was\": {/' run/manifest.json");
    expect("run --resume @/run", 0, "0 of 2 trials are done");
    shell("grep -q '\"arena_bytes\"' run/manifest.json && [ $(wc -l < run/results.jsonl) = 2 ]");
    /* Results that nothing can have measured. */
    shell("sed -i 's/\"store\": {/\"store\": null, \"was\": {/' run/manifest.json");
    expect("run --resume @/run", 1, "one of them is edited");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_program, close_program)
    const struct CMUnitTest tests[] = {
        CASE(a_run_killed_at_any_instant_goes_on_to_the_same_table),
        CASE(one_interrupt_or_two_leave_a_run_that_goes_on),
        CASE(failed_trials_run_again_and_replace_their_failures),
        CASE(only_one_process_works_in_a_directory),
        CASE(what_is_not_the_runs_own_is_refused_and_left_as_it_is),
        CASE(a_torn_last_line_is_dropped_and_its_trial_runs_again),
        CASE(a_run_that_was_killed_before_it_measured_begins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
