/*
 * With acceptance by rejection at temperature > 0 the law of the output is the
 * baseline's, through the real processes: counts of whole outputs over many
 * seeds, compared by a two-sample chi-square test. The seeds are fixed, so the
 * verdict is too; its bound would refuse one run in a million of a right law.
 *
 * What it sees: with the residual of the middle level replaced by its own law
 * (in middle_judge, `instead` by accept_own) gamma 2 stands at 1.2 times the
 * bound; with the small draft's density in the slab in place of the middle
 * level's at 4.0 times. A right build stays below 0.4.
 */
#include "tests/system/rig.h"
#include "tests/test_helpers.h"

#include "kernels/kv_format.h"
#include "text/tokenizer.h"

enum { GEN = 4, MAX_CELLS = 8192, N_PROMPT = 21, N_SEEDS = 2400, RARE = 24 };

static int32_t prompt[N_PROMPT];
static struct rig rig;
static uint64_t snapshot;

/* Counts of outputs; side 0 and side 1 of a comparison. */
struct cells {
    int32_t token[MAX_CELLS][GEN];
    uint32_t n[MAX_CELLS][2];
    uint32_t n_cells, total[2];
};

static void count(struct cells *c, int side, const int32_t *token, uint32_t n_tokens)
{
    int32_t key[GEN] = {0};
    uint32_t i = 0;

    memcpy(key, token, n_tokens * sizeof *key);
    while (i < c->n_cells && memcmp(c->token[i], key, sizeof key) != 0)
        i++;
    assert_true(i < MAX_CELLS);
    memcpy(c->token[i], key, sizeof key);
    c->n_cells += i == c->n_cells;
    c->n[i][side]++;
    c->total[side]++;
}

static double term(const struct cells *c, double a, double b)
{
    double k = sqrt((double)c->total[1] / c->total[0]), d = k * a - b / k;

    return a + b > 0 ? d * d / (a + b) : 0;
}

/* The statistic over its bound: above 1 the two sides have different laws. Cells
 * of fewer than RARE outputs are one cell. */
static double chi_square(const struct cells *c)
{
    double sum = 0, rest[2] = {0, 0}, n = 0, z = 4.75 /* one in a million */;

    for (uint32_t i = 0; i < c->n_cells; i++) {
        if (c->n[i][0] + c->n[i][1] < RARE) {
            rest[0] += c->n[i][0];
            rest[1] += c->n[i][1];
            continue;
        }
        sum += term(c, c->n[i][0], c->n[i][1]);
        n++;
    }
    sum += term(c, rest[0], rest[1]);
    n += rest[0] + rest[1] > 0;
    assert_true(n > 8);
    n -= 1; /* degrees of freedom; the quantile is Wilson and Hilferty's */
    return sum / (n * pow(1 - 2 / (9 * n) + z * sqrt(2 / (9 * n)), 3));
}

/* One output per seed, seeds from first on; keeps the first n_kept tokens. */
static void sample(struct cells *c, int side, const struct msg_trial *like, uint64_t first_seed,
                   uint32_t n_kept)
{
    uint32_t proposed = 0, accepted = 0;

    for (uint32_t i = 0; i < N_SEEDS; i++) {
        struct msg_trial trial = *like;
        struct msg_result result = {0};
        struct err err = {{0}};
        trial.seed = first_seed + i;
        if (rig_trial(&rig, &trial, &result, &err) != ST_OK)
            fail_msg("trial: %s", err.text);
        assert_int_equal(result.n_tokens, GEN);
        count(c, side, result.token + GEN - n_kept, n_kept);
        proposed += result.proposed;
        accepted += result.accepted;
        free(result.token);
    }
    /* Both answers must have been given often, or the test would be empty. */
    if (like->method != METHOD_BASELINE)
        assert_true(accepted > proposed / 5 && accepted < proposed * 97 / 100);
}

static struct msg_trial trial_of(enum method method, uint32_t gamma)
{
    return (struct msg_trial){.prompt = 1,
                              .n_prompt = N_PROMPT,
                              .snapshot = snapshot,
                              .method = method,
                              .acceptance = ACCEPT_REJECTION,
                              .kv_format = KV_F16,
                              .gamma = gamma,
                              .gamma_draft = gamma - 1,
                              .budget = 12,
                              .chunk = 4,
                              .on_chip = 5,
                              .gen_len = GEN,
                              .temperature = 0.9,
                              .top_p = 0.6,
                              .ignore_eos = true};
}

static struct cells base, both;

static void compare(enum method method, uint32_t gamma)
{
    struct msg_trial trial = trial_of(method, gamma);
    double over;

    both = base;
    sample(&both, 1, &trial, 1000000u * (method + 1) + 100000u * gamma, GEN);
    over = chi_square(&both);
    print_message("%s gamma %u: %u outputs, chi-square %.2f of its bound\n", method_name(method),
                  gamma, both.n_cells, over);
    if (over > 1)
        fail_msg("%s gamma %u has another law than the baseline: %.2f of the bound",
                 method_name(method), gamma, over);
}

static void vanilla_specdec_has_the_baselines_law(void **state)
{
    for (uint32_t gamma = 2; gamma <= 4; gamma++)
        compare(METHOD_VANILLA_SPECDEC, gamma);
}

static void mspeckv_has_the_baselines_law(void **state)
{
    for (uint32_t gamma = 2; gamma <= 4; gamma++)
        compare(METHOD_MSPECKV, gamma);
}

/* The power of the comparison: another temperature by a fifth is found. */
static void a_slightly_different_law_is_told_apart(void **state)
{
    struct msg_trial trial = trial_of(METHOD_BASELINE, 2);

    trial.temperature = 0.75;
    both = base;
    sample(&both, 1, &trial, 9000000, GEN);
    assert_true(chi_square(&both) > 1);
}

static enum status read_prompt(const char *dir, struct err *err)
{
    static const char text[] =
        "Once upon a time there was a big dog that liked to play in the park "
        "with a ball. One day he saw";
    struct token_list ids = {0};
    struct tokenizer *tok = NULL;
    enum status st = tokenizer_open(&tok, dir, err);

    if (st == ST_OK)
        st = tokenizer_encode(tok, text, sizeof text - 1, &ids, err);
    if (st == ST_OK) {
        assert_true(ids.n + 1 >= N_PROMPT);
        prompt[0] = tokenizer_bos(tok);
        memcpy(prompt + 1, ids.id + ids.n - (N_PROMPT - 1), (N_PROMPT - 1) * sizeof *prompt);
    }
    token_list_release(&ids);
    tokenizer_close(tok);
    return st;
}

static int open_rig(void **state)
{
    static char target[512], draft[512];
    struct rig_options opt = {.target = test_data_path(target, sizeof target, "hf-stories260K"),
                              .draft = test_data_path(draft, sizeof draft, "hf-llama2xs-300K")};
    struct msg_trial trial;
    struct err err = {{0}};

    if (read_prompt(target, &err) != ST_OK || rig_open(&rig, &opt, &err) != ST_OK ||
        rig_prefill(&rig, 1, prompt, N_PROMPT, &snapshot, &err) != ST_OK) {
        print_message("%s\n", err.text);
        return -1;
    }
    trial = trial_of(METHOD_BASELINE, 2);
    sample(&base, 0, &trial, 1, GEN);
    return 0;
}

static int close_rig(void **state)
{
    rig_close(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vanilla_specdec_has_the_baselines_law),
        cmocka_unit_test(mspeckv_has_the_baselines_law),
        cmocka_unit_test(a_slightly_different_law_is_told_apart),
    };
    char path[512];

    if (test_data_path(path, sizeof path, "hf-stories260K") == NULL ||
        test_data_path(path, sizeof path, "hf-llama2xs-300K") == NULL)
        test_skip_program("the real models are not there");
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
