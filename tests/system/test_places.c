/*
 * A study at two places at once. Who runs what, and what deaths and stops do to
 * it, with workers that only talk (tests/system/fake_worker.c); then the demo
 * pair on two single CPUs against one place.
 */
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include <jansson.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

enum { N_PROMPTS = 4, N_TRIALS = 24, WAIT_S = 120 };

#define TWO_GPUS "devices:\n- {verify: cuda:0, draft: cuda:0}\n- {verify: cuda:1, draft: cuda:1}\n"
#define ONE_GPU  "devices: {verify: cuda:0, draft: cuda:0}\n"

static struct program p;

static int open_program(void **state)
{
    char path[96];

    if (!program_init(&p))
        return -1;
    p.path = TEST_BUILD_DIR "/fake/mspeckv";
    snprintf(path, sizeof path, "%s/one", p.dir);
    if (mkdir(path, 0700) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/two", p.dir);
    return mkdir(path, 0700);
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

static void write_study(const char *prefill, const char *more)
{
    char text[2048];

    snprintf(text, sizeof text,
             "name: places\ntarget: %s/experiments/demo/target\n"
             "draft: %s/experiments/demo/draft\ndataset: demo\ndocuments: 1\nseeds: [1, 2, 3]\n"
             "gen_len: 8\non_chip: 0\nresident_layers: 0\nbudget: 64\ngamma: 2\nwarmup: false\n"
             "methods: [baseline, vanilla_specdec]\nprefill: %s\n%s",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR, prefill, more);
    assert_true(program_write(&p, "study.yaml", text));
}

static void write_four(const char *more)
{
    write_study("[64, 96, 128, 160]", more);
}

static void expect_end(int status, const char *words)
{
    int got = program_wait(&p, WAIT_S);

    if (got != status || strstr(program_output(&p), words) == NULL)
        fail_msg("exit %d and \"%s\" were wanted, not %d and:\n%s", status, words, got,
                 program_output(&p));
}

static void expect(const char *arguments, int status, const char *words)
{
    program_start(&p, arguments);
    expect_end(status, words);
}

static void tell(const char *what)
{
    assert_true(program_write(&p, what, ""));
}

static void untell(const char *what)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", p.dir, what);
    assert_int_equal(unlink(path), 0);
}

static void await_file(const char *name)
{
    for (int i = 0; i < 12000 && !program_has_file(&p, name); i++)
        usleep(5000);
    if (!program_has_file(&p, name))
        fail_msg("no %s:\n%s", name, program_output(&p));
}

/* ---- what a run leaves ---- */

static json_t *load(const char *name)
{
    char path[160];
    json_error_t at;
    json_t *json;

    snprintf(path, sizeof path, "%s/%s", p.dir, name);
    json = json_load_file(path, 0, &at);
    if (json == NULL)
        fail_msg("%s:%d: %s", name, at.line, at.text);
    return json;
}

/* By trial: what does not depend on the clock. No trial may have ended twice. */
static json_t *results_of(const char *folder, uint32_t *n_lines)
{
    char path[128], *line = NULL, number[16];
    json_t *all = json_object();
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s/results.jsonl", p.dir, folder);
    file = fopen(path, "r");
    assert_non_null(file);
    for (*n_lines = 0; getline(&line, &size, file) > 0; ++*n_lines) {
        json_t *r = json_loads(line, 0, NULL);
        assert_non_null(r);
        snprintf(number, sizeof number, "%d", (int)json_integer_value(json_object_get(r, "trial")));
        json_object_set_new(all, number,
                            json_pack("[O, O, O, O]", json_object_get(r, "status"),
                                      json_object_get(r, "tokens"), json_object_get(r, "rounds"),
                                      json_object_get(r, "accepted")));
        json_decref(r);
    }
    free(line);
    fclose(file);
    return all;
}

static void assert_n_results(const char *folder, uint32_t wanted)
{
    uint32_t n = 0;
    json_t *all = results_of(folder, &n);

    assert_int_equal(n, wanted);
    assert_int_equal(json_object_size(all), wanted);
    json_decref(all);
}

static void assert_same_results(const char *one, const char *other, uint32_t n_trials)
{
    uint32_t n[2] = {0};
    json_t *a = results_of(one, &n[0]), *b = results_of(other, &n[1]);

    assert_int_equal(n[0], n_trials);
    assert_int_equal(n[1], n_trials);
    assert_int_equal(json_object_size(a), n_trials);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
}

/* In the logs of the workers `name` of all places: "prefill prompt=". */
static uint32_t count_prefills(const char *folder, const char *name)
{
    char command[256], line[32] = "";
    FILE *pipe;

    snprintf(command, sizeof command, "cat %s/%s/logs/*/%s.log | grep -c 'prefill prompt='", p.dir,
             folder, name);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    pclose(pipe);
    return (uint32_t)atoi(line);
}

/* ---- two places ---- */

static void two_places_run_at_once_and_give_the_results_of_one(void **state)
{
    json_t *a, *b, *places;

    write_four(ONE_GPU);
    expect("run @/study.yaml --out @/one/run", 0, "24 trials on 4 prompts");
    write_four(TWO_GPUS);
    tell("two/meet"); /* a trial on one GPU waits for one on the other */
    expect("run @/study.yaml --out @/two/run", 0, "places     2 at once");
    assert_same_results("one/run", "two/run", N_TRIALS);
    /* The workers' times are a function of the trial: the tables are the same bytes. */
    a = load("one/run/summary.json");
    b = load("two/run/summary.json");
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    a = load("two/run/manifest.json");
    places = json_object_get(a, "places");
    assert_int_equal(json_array_size(places), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(places, 1), "device")),
                        "cuda:1 (fake)");
    json_decref(a);
}

static void trials_of_a_prompt_share_one_prefill(void **state)
{
    write_four(TWO_GPUS);
    expect("run @/study.yaml --out @/two/run", 0, "24 trials on 4 prompts");
    assert_int_equal(count_prefills("two/run", "verify"), N_PROMPTS);
    assert_int_equal(count_prefills("two/run", "draft"), N_PROMPTS);
}

/* The first place does not end its second trial before the other has taken some. */
static void a_place_that_is_slow_is_helped_with_its_only_group(void **state)
{
    write_study("64", TWO_GPUS);
    tell("two/cheap");
    tell("two/meet-cuda:0-2");
    tell("two/meet-cuda:1-2");
    expect("run @/study.yaml --out @/two/run", 0, "6 trials on 1 prompt");
    assert_n_results("two/run", 6);
    assert_true(program_has_file(&p, "two/in-cuda:0"));
    assert_true(program_has_file(&p, "two/in-cuda:1"));
    assert_int_equal(count_prefills("two/run", "verify"), 2);
}

/* ---- deaths ---- */

static void a_death_costs_one_more_try_and_no_trial(void **state)
{
    write_four(ONE_GPU);
    expect("run @/study.yaml --out @/one/run", 0, "24 trials on 4 prompts");
    write_four(TWO_GPUS);
    tell("two/meet");
    tell("two/die-cuda:0-2");
    tell("two/die-cuda:1-3");
    expect("run @/study.yaml --out @/two/run", 0, "verify died: killed by signal 9");
    assert_non_null(strstr(program_output(&p), "mspeckv run: place 1: "));
    assert_non_null(strstr(program_output(&p), "mspeckv run: place 2: "));
    assert_same_results("one/run", "two/run", N_TRIALS);
}

static void what_a_lost_place_leaves_is_run_by_the_other(void **state)
{
    write_four(ONE_GPU);
    expect("run @/study.yaml --out @/one/run", 0, "24 trials on 4 prompts");
    write_four(TWO_GPUS);
    tell("two/meet");
    tell("two/lose-cuda:0-2");
    expect("run @/study.yaml --out @/two/run", 0, "cuda:0 is gone");
    assert_same_results("one/run", "two/run", N_TRIALS);
}

static void when_every_place_is_lost_the_run_can_go_on_later(void **state)
{
    write_four(ONE_GPU);
    expect("run @/study.yaml --out @/one/run", 0, "24 trials on 4 prompts");
    write_four(TWO_GPUS);
    tell("two/meet");
    tell("two/lose-cuda:0-2");
    tell("two/lose-cuda:1-2");
    expect("run @/study.yaml --out @/two/run", 1, "is gone");
    untell("two/gone-cuda:0");
    untell("two/gone-cuda:1");
    expect("run --resume @/two/run", 0, "24 trials on 4 prompts");
    {
        uint32_t n;
        json_t *a = results_of("one/run", &n), *b = results_of("two/run", &n);
        assert_true(json_equal(a, b)); /* by each trial's last line */
        json_decref(a);
        json_decref(b);
    }
}

/* ---- the user's stop ---- */

/* Each of two attempts waits 0.1 s and a twentieth of a second for each of 16 tokens. */
static void a_prefill_that_hangs_ends_and_its_trials_fail(void **state)
{
    static const char words[] = "verify has not answered PREFILL in 0.9 s";
    char path[160];
    json_t *first;

    write_study("16", ONE_GPU "timeout_s: 0.1\n");
    tell("one/mute-cuda:0");
    program_start(&p, "run @/study.yaml --out @/one/run");
    assert_int_not_equal(program_wait(&p, WAIT_S), 0);
    if (strstr(program_output(&p), words) == NULL)
        fail_msg("no \"%s\" in:\n%s", words, program_output(&p));
    snprintf(path, sizeof path, "%s/one/run/results.jsonl", p.dir);
    first = json_load_file(path, JSON_DISABLE_EOF_CHECK, NULL);
    assert_string_equal(json_string_value(json_object_get(first, "status")), "failed");
    assert_non_null(strstr(json_string_value(json_object_get(first, "reason")), words));
    json_decref(first);
}

static void start_held(void)
{
    write_four(TWO_GPUS);
    tell("two/hold-cuda:0");
    tell("two/hold-cuda:1");
    program_start(&p, "run @/study.yaml --out @/two/run");
    await_file("two/in-cuda:0");
    await_file("two/in-cuda:1");
}

static void one_interrupt_finishes_the_trial_of_every_place(void **state)
{
    start_held();
    assert_true(program_signal(p.pid, SIGINT));
    untell("two/hold-cuda:0");
    untell("two/hold-cuda:1");
    expect_end(1, "stopped after 2 of 24 trials; `mspeckv run --resume");
    assert_n_results("two/run", 2);
    expect("run --resume @/two/run", 0, "2 of 24 trials are done");
    assert_n_results("two/run", N_TRIALS);
}

static void two_interrupts_stop_every_place_now(void **state)
{
    start_held();
    assert_int_not_equal(program_find(&p, "verify"), 0);
    assert_true(program_signal(p.pid, SIGINT));
    assert_true(program_signal(p.pid, SIGINT));
    expect_end(1, "stopped");
    assert_n_results("two/run", 0);
    assert_true(program_is_gone(&p));
}

/* ---- the real thing ---- */

/* The first two CPUs that this process may use; false: there is one. */
static bool two_cpus(int cpu[2])
{
    cpu_set_t set;
    int n = 0;

    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET((size_t)i, &set))
            cpu[n++] = i;
    return n == 2;
}

static void two_single_cpus_give_the_tokens_of_one_place(void **state)
{
    char more[160], cpus[16];
    json_t *manifest, *place;
    int cpu[2];

    if (!two_cpus(cpu)) {
        print_message("skipped: two places of one CPU each need two CPUs\n");
        skip();
    }
    p.path = TEST_BUILD_DIR "/bin/mspeckv";
    write_study("[256, 384]", "");
    expect("run @/study.yaml --out @/one/run --set methods=[baseline,mspeckv_kv_quant]", 0,
           "12 trials on 2 prompts");
    snprintf(more, sizeof more, "devices: [{cpus: %d, numa: 0}, {cpus: %d}]\n", cpu[0], cpu[1]);
    write_study("[256, 384]", more);
    expect("run @/study.yaml --out @/two/run --set methods=[baseline,mspeckv_kv_quant]", 0,
           "12 trials on 2 prompts");
    assert_same_results("one/run", "two/run", 12);
    manifest = load("two/run/manifest.json");
    for (size_t i = 0; i < 2; i++) {
        place = json_array_get(json_object_get(manifest, "places"), i);
        snprintf(cpus, sizeof cpus, "%d", cpu[i]);
        assert_string_equal(json_string_value(json_object_get(place, "cpus")), cpus);
        /* A thread for each CPU of the set. */
        assert_non_null(strstr(json_string_value(json_object_get(place, "device")), "1 thread"));
    }
    json_decref(manifest);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_program, close_program)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(two_places_run_at_once_and_give_the_results_of_one),
        CASE(trials_of_a_prompt_share_one_prefill),
        CASE(a_place_that_is_slow_is_helped_with_its_only_group),
        CASE(a_death_costs_one_more_try_and_no_trial),
        CASE(what_a_lost_place_leaves_is_run_by_the_other),
        CASE(when_every_place_is_lost_the_run_can_go_on_later),
        CASE(a_prefill_that_hangs_ends_and_its_trials_fail),
        CASE(one_interrupt_finishes_the_trial_of_every_place),
        CASE(two_interrupts_stop_every_place_now),
        CASE(two_single_cpus_give_the_tokens_of_one_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
