/*
 * What real processes serve: the counts of workers are those of the trial they
 * ran, they grow while it goes on, and a run's are those of its results.jsonl.
 */
#include "tests/metrics/scrape.h"
#include "tests/system/program.h"
#include "tests/system/rig.h"

#include <jansson.h>

#include "kernels/kv_format.h"

enum { N_PROMPT = 600, GEN = 48 };

static char buf[SCRAPE_BYTES], old[SCRAPE_BYTES];
static struct program p;

/* ---- workers ---- */

static uint16_t port_of(const struct rig *rig, const char *name)
{
    char path[128];
    uint16_t port;

    snprintf(path, sizeof path, "%s/%s.log", rig->log_dir, name);
    port = scrape_port(path);
    assert_true(port != 0);
    return port;
}

static const char *page_of(const struct rig *rig, const char *name)
{
    const char *page = scrape(port_of(rig, name), buf);

    assert_non_null(page);
    return page;
}

static void expect_verify(const char *page, const struct msg_result *sum)
{
    assert_close(scrape_value(page, "mspeckv_verify_rounds_total"), sum->rounds, 0);
    assert_close(scrape_value(page, "mspeckv_verify_tokens_total"), sum->n_tokens, 0);
    assert_close(scrape_value(page, "mspeckv_verify_proposed_tokens_total"), sum->proposed, 0);
    assert_close(scrape_value(page, "mspeckv_verify_accepted_tokens_total"), sum->accepted, 0);
    assert_close(scrape_value(page, "mspeckv_verify_link_bytes_total"), (double)sum->link_bytes, 0);
    assert_close(scrape_value(page, "mspeckv_verify_link_stall_seconds_total"), sum->link_wait_s,
                 1e-6);
    assert_close(scrape_value(page, "mspeckv_verify_pass_seconds_total"), sum->verify_s, 1e-6);
}

static void add(struct msg_result *sum, const struct msg_result *m)
{
    sum->rounds += m->rounds;
    sum->n_tokens += m->n_tokens;
    sum->proposed += m->proposed;
    sum->accepted += m->accepted;
    sum->draft_proposed += m->draft_proposed;
    sum->draft_accepted += m->draft_accepted;
    sum->middle_steps += m->middle_steps;
    sum->link_bytes += m->link_bytes;
    sum->link_wait_s += m->link_wait_s;
    sum->verify_s += m->verify_s;
    free(m->token);
}

static void workers_count_what_their_trials_say(void **state)
{
    const struct rig_options opt = {.target = TEST_SOURCE_DIR "/experiments/demo/target",
                                    .draft = TEST_SOURCE_DIR "/experiments/demo/draft",
                                    .link_gbps = "1",
                                    .metrics = true};
    struct msg_trial trial = {.prompt = 1,
                              .n_prompt = N_PROMPT,
                              .acceptance = 0,
                              .kv_format = KV_F16,
                              .gamma = 4,
                              .gamma_draft = 1,
                              .budget = 64,
                              .chunk = 8,
                              .on_chip = 4,
                              .gen_len = GEN,
                              .temperature = 0.6,
                              .top_p = 0.9,
                              .ignore_eos = true};
    struct msg_result sum = {.rounds = 0}, result;
    struct err err = {{0}};
    int32_t prompt[N_PROMPT];
    const char *page;
    struct rig rig;

    for (int32_t i = 0; i < N_PROMPT; i++)
        prompt[i] = 3 + i % 200;
    if (rig_open(&rig, &opt, &err) != ST_OK ||
        rig_prefill(&rig, 1, prompt, N_PROMPT, &trial.snapshot, &err) != ST_OK)
        fail_msg("%s", err.text);
    expect_verify(page_of(&rig, "verify"), &sum);
    for (uint32_t m = 0; m < METHOD_COUNT; m++) {
        trial.method = m;
        if (rig_trial(&rig, &trial, &result, &err) != ST_OK)
            fail_msg("%s", err.text);
        assert_int_equal(result.n_tokens, GEN);
        add(&sum, &result);
        expect_verify(page_of(&rig, "verify"), &sum);
    }
    assert_true(sum.accepted > 0 && sum.link_bytes > 0);
    page = page_of(&rig, "verify");
    assert_close(scrape_value(page, "mspeckv_verify_trials_total"), METHOD_COUNT, 0);
    assert_close(scrape_value(page, "mspeckv_verify_prefill_tokens_total"), N_PROMPT, 0);
    assert_true(scrape_value(page, "mspeckv_verify_prefill_seconds_total") > 0);
    page = page_of(&rig, "draft");
    assert_close(scrape_value(page, "mspeckv_draft_middle_steps_total"), sum.middle_steps, 0);
    assert_close(scrape_value(page, "mspeckv_draft_drafted_tokens_total"), sum.draft_proposed, 0);
    assert_close(scrape_value(page, "mspeckv_draft_accepted_tokens_total"), sum.draft_accepted, 0);
    assert_close(scrape_value(page, "mspeckv_draft_proposed_tokens_total"), sum.proposed, 0);
    page = page_of(&rig, "kvstore");
    assert_close(scrape_value(page, "mspeckv_store_arena_bytes"), 268435456, 0);
    assert_true(scrape_value(page, "mspeckv_store_pages") > 0);
    assert_true(scrape_value(page, "mspeckv_store_requests_total") > METHOD_COUNT);
    assert_close(scrape_value(page, "mspeckv_store_checksum_failures_total"), 0, 0);
    rig_close(&rig);
}

/* ---- a run ---- */

static int open_program(void **state)
{
    char study[1024];

    if (!program_init(&p))
        return -1;
    snprintf(study, sizeof study,
             "name: counted\ntarget: %s/experiments/demo/target\ndraft: %s/experiments/demo/draft\n"
             "dataset: demo\ndocuments: 1\nseeds: [1, 2, 3]\ngen_len: 96\non_chip: 4\nbudget: 64\n"
             "gamma: 4\nwarmup: false\nlink: {simulate_gbps: 0.05}\nthreads: 1\n"
             "methods: [baseline, mspeckv]\nprefill: 600\n",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR);
    return program_write(&p, "study.yaml", study) ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

/* The port of a process by metrics.json. */
static uint16_t port_by_list(const char *process)
{
    char path[128];
    json_t *list, *one;
    uint16_t port = 0;
    size_t i;

    snprintf(path, sizeof path, "%s/run/metrics.json", p.dir);
    list = json_load_file(path, 0, NULL);
    assert_non_null(list);
    json_array_foreach(list, i, one)
    {
        const char *is =
            json_string_value(json_object_get(json_object_get(one, "labels"), "process"));
        const char *at = json_string_value(json_array_get(json_object_get(one, "targets"), 0));
        assert_non_null(is);
        assert_non_null(at);
        if (strcmp(is, process) == 0)
            port = (uint16_t)atoi(strrchr(at, ':') + 1);
    }
    json_decref(list);
    assert_true(port != 0);
    return port;
}

/* Sums over the first n lines of results.jsonl. */
static double sum_of(const char *field, uint32_t n)
{
    char path[128], *line = NULL;
    double sum = 0;
    size_t cap = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/run/results.jsonl", p.dir);
    f = fopen(path, "r");
    assert_non_null(f);
    for (uint32_t i = 0; i < n; i++) {
        json_t *result;
        assert_true(getline(&line, &cap, f) > 0);
        result = json_loads(line, 0, NULL);
        sum += json_number_value(json_object_get(result, field));
        json_decref(result);
    }
    free(line);
    fclose(f);
    return sum;
}

/* A page twice the same was not read in the middle of a result. */
static bool stable(uint16_t port, uint32_t *n_trials)
{
    const char *page = scrape(port, old);
    bool same;

    if (page == NULL)
        return false;
    page = strstr(old, "\r\n\r\n");
    same = scrape(port, buf) != NULL && strcmp(page, strstr(buf, "\r\n\r\n")) == 0;
    if (same)
        *n_trials = (uint32_t)scrape_value(page + 4, "mspeckv_run_trials_total");
    return same;
}

static void expect_run(const char *page, uint32_t n)
{
    static const struct {
        const char *metric, *field;
    } same[] = {{"mspeckv_run_rounds_total", "rounds"},
                {"mspeckv_run_accepted_tokens_total", "accepted"},
                {"mspeckv_run_proposed_tokens_total", "proposed"},
                {"mspeckv_run_link_bytes_total", "link_bytes"},
                {"mspeckv_run_decode_seconds_total", "decode_s"},
                {"mspeckv_run_link_stall_seconds_total", "link_wait_s"}};

    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_close(scrape_value(page, same[i].metric), sum_of(same[i].field, n), 1e-6);
    assert_close(scrape_value(page, "mspeckv_run_tokens_total"), 96.0 * n, 0);
    assert_close(scrape_value(page, "mspeckv_run_failed_trials_total"), 0, 0);
    assert_close(scrape_value(page, "mspeckv_run_planned_trials"), 6, 0);
}

static void a_runs_counts_grow_and_are_those_of_its_results(void **state)
{
    uint32_t n_seen = 0, n_grew = 0;
    double rounds = -1;
    uint16_t port, verify;

    program_start(&p, "run @/study.yaml --out @/run --metrics 127.0.0.1:0");
    if (!program_await(&p, "run/metrics.json", "draft", 120))
        fail_msg("%s", program_output(&p));
    port = port_by_list("mspeckv");
    verify = port_by_list("verify");
    assert_true(port_by_list("kvstore") != port_by_list("draft"));
    for (;;) {
        const char *page = scrape(verify, buf);
        uint32_t n = 0;
        if (page == NULL)
            break; /* the workers have ended */
        double now = scrape_value(page, "mspeckv_verify_rounds_total");
        assert_true(now >= rounds);
        n_grew += now > rounds;
        rounds = now;
        if (stable(port, &n) && n > n_seen) {
            expect_run(strstr(buf, "\r\n\r\n") + 4, n);
            n_seen = n;
        }
    }
    if (program_wait(&p, 120) != 0)
        fail_msg("%s", program_output(&p));
    /* Six trials of 96 rounds at most, 12 ms each at the link's rate. */
    assert_true(n_grew > 6);
    assert_true(n_seen >= 1);
}

static void an_address_that_cannot_be_served_leaves_no_directory(void **state)
{
    assert_int_equal(program_run(&p, "run @/study.yaml --out @/run --metrics nonsense"), 2);
    assert_non_null(strstr(program_output(&p), "mspeckv run: --metrics: \"nonsense\""));
    assert_false(program_has_file(&p, "run"));
    assert_int_equal(program_run(&p, "run @/study.yaml --out @/run --metrics 192.0.2.1:0"), 1);
    assert_non_null(strstr(program_output(&p), "192.0.2.1:0 cannot be served"));
    assert_false(program_has_file(&p, "run"));
    assert_int_equal(
        program_run(&p, "run @/study.yaml --out @/run --launcher slurm --metrics 9400"), 2);
    assert_non_null(strstr(program_output(&p), "--metrics"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_count_what_their_trials_say),
        cmocka_unit_test_setup_teardown(a_runs_counts_grow_and_are_those_of_its_results,
                                        open_program, close_program),
        cmocka_unit_test_setup_teardown(an_address_that_cannot_be_served_leaves_no_directory,
                                        open_program, close_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
