/*
 * Replayed acceptance through the real processes: the mean that is asked for is
 * the mean that comes, at both levels, whatever the weights would accept.
 */
#include "tests/system/rig.h"
#include "tests/test_helpers.h"

#include "kernels/kv_format.h"

enum { GAMMA = 6, GEN = 240, N_PROMPT = 21 };

static struct rig rig;
static uint64_t snapshot;

static struct msg_trial trial_of(enum method method)
{
    return (struct msg_trial){.prompt = 1,
                              .n_prompt = N_PROMPT,
                              .snapshot = snapshot,
                              .method = method,
                              .acceptance = ACCEPT_REJECTION,
                              .kv_format = KV_F16,
                              .gamma = GAMMA,
                              .gamma_draft = 2,
                              .budget = 12,
                              .chunk = 4,
                              .on_chip = 5,
                              .gen_len = GEN,
                              .temperature = 0.9,
                              .top_p = 0.6,
                              .seed = 3,
                              .ignore_eos = true};
}

/* A number is floor or ceil of the mean: its deviation is at most 1/2. The last
 * round may be cut short by the end of the trial. */
static void check_mean(const struct msg_result *r, double mean)
{
    double full = r->rounds - 1;

    assert_true(full > 20);
    assert_true(r->accepted >= full * mean - 5 * 0.5 * sqrt(full));
    assert_true(r->accepted <= full * mean + 5 * 0.5 * sqrt(full) + GAMMA);
    assert_true(r->accepted_at[(int)mean - 1] >= full);
    assert_true(r->accepted_at[(int)mean + 1] == 0);
}

static void the_mean_that_is_asked_for_comes(void **state)
{
    static const enum method methods[] = {METHOD_VANILLA_SPECDEC, METHOD_MSPECKV};
    static const double means[] = {1.25, 3.5, 4.9};

    for (int i = 0; i < 6; i++) {
        struct msg_trial trial = trial_of(methods[i % 2]);
        struct msg_result first = {0}, again = {0};
        struct err err = {{0}};
        trial.replay_accepted = means[i / 2];
        if (rig_trial(&rig, &trial, &first, &err) != ST_OK)
            fail_msg("trial: %s", err.text);
        assert_int_equal(first.n_tokens, GEN);
        check_mean(&first, means[i / 2]);
        assert_int_equal(rig_trial(&rig, &trial, &again, &err), ST_OK);
        assert_memory_equal(first.token, again.token, GEN * sizeof *first.token);
        free(first.token);
        free(again.token);
    }
}

/* Of two draft tokens the second is judged where the first stood: with rate r
 * the share of proposed ones that stand is (r + r^2) / 2. A step at the end of a
 * proposal may have one only. */
static void the_middle_level_takes_its_share(void **state)
{
    static const double rates[] = {0.1, 0.5, 0.9};

    for (int i = 0; i < 3; i++) {
        struct msg_trial trial = trial_of(METHOD_MSPECKV);
        struct msg_result result = {0};
        struct err err = {{0}};
        double r = rates[i], low = (r + r * r) / 2, high = r, n;
        trial.replay_accepted = 2;
        trial.replay_draft_rate = r;
        if (rig_trial(&rig, &trial, &result, &err) != ST_OK)
            fail_msg("trial: %s", err.text);
        n = result.draft_proposed;
        assert_true(n > 100);
        assert_true(result.draft_accepted >= n * low - 5 * sqrt(n * 0.25));
        assert_true(result.draft_accepted <= n * high + 5 * sqrt(n * 0.25));
        free(result.token);
    }
}

static void what_cannot_be_replayed_is_refused(void **state)
{
    struct msg_trial trial = trial_of(METHOD_MSPECKV);
    struct msg_result result = {0};
    struct err err = {{0}};

    trial.replay_accepted = 2;
    trial.ignore_eos = false;
    assert_int_equal(rig_trial(&rig, &trial, &result, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "needs ignore_eos"));
    trial.ignore_eos = true;
    trial.replay_accepted = -1;
    assert_int_equal(rig_trial(&rig, &trial, &result, &err), ST_INVALID);
    trial.replay_accepted = 2;
    trial.replay_draft_rate = 1.5;
    assert_int_equal(rig_trial(&rig, &trial, &result, &err), ST_INVALID);
}

static int open_all(void **state)
{
    static char target[512], draft[512];
    struct rig_options opt = {.target = target, .draft = draft};
    int32_t prompt[N_PROMPT];
    struct err err = {{0}};

    snprintf(target, sizeof target, "%s/experiments/demo/target", TEST_SOURCE_DIR);
    snprintf(draft, sizeof draft, "%s/experiments/demo/draft", TEST_SOURCE_DIR);
    for (int i = 0; i < N_PROMPT; i++)
        prompt[i] = 40 + i * 3;
    if (rig_open(&rig, &opt, &err) != ST_OK ||
        rig_prefill(&rig, 1, prompt, N_PROMPT, &snapshot, &err) != ST_OK) {
        printf("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_all(void **state)
{
    rig_close(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_that_is_asked_for_comes),
        cmocka_unit_test(the_middle_level_takes_its_share),
        cmocka_unit_test(what_cannot_be_replayed_is_refused),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
