/*
 * Every speculating method gives the baseline's own tokens: greedy, and coupled
 * at temperature 0.6, whatever gamma, placement, page border, prompt length,
 * KV format or link. Real models on real text.
 *
 * By default a seeded set of settings that covers every pair of values; with
 * `test --full` the whole product.
 */
#include "kernels/kv_format.h"
#include "tests/system/rig.h"
#include "tests/test_helpers.h"
#include "text/demo_text.h"
#include "text/prompt.h"
#include "text/tokenizer.h"

enum { N_FACTORS = 9, MAX_VALUES = 16, MAX_PROMPT = 600 };

enum factor { METHOD, GAMMA, ON_CHIP, PROMPT, LAW, FORMAT, BUDGET, RESIDENT, GEN };

static const int values[N_FACTORS][MAX_VALUES] = {
    [METHOD] = {METHOD_VANILLA_SPECDEC, METHOD_MSPECKV, METHOD_MSPECKV_KV_QUANT},
    [GAMMA] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    [ON_CHIP] = {0, 1, 2, 3, 4, 5},
    [PROMPT] = {1, 2, 60, 127, 128, 129, 190, 255, 256, 257, 330, 512},
    /* greedy; coupled at 0.6 with seed value - 1 */
    [LAW] = {0, 2, 3, 4},
    [FORMAT] = {KV_INT8, KV_INT4},
    [BUDGET] = {32, 128, 4096},
    [RESIDENT] = {0, 1, 5},
    [GEN] = {40, 210},
};
static const int n_values[N_FACTORS] = {3, 16, 6, 12, 4, 2, 3, 3, 2};

static int32_t prompt_token[MAX_PROMPT];
static struct rig rig;

/* Snapshots by prompt factor; made when first used. */
static uint64_t snapshot[MAX_VALUES];

/* Baselines by what they depend on. */
static struct reference {
    int key[5]; /* prompt, law, format (or -1), on_chip (quantized only), gen */
    int32_t *token;
} reference[4096];
static int n_references;

static struct msg_trial make_trial(const int v[N_FACTORS])
{
    struct msg_trial t = {.prompt = (uint32_t)v[PROMPT],
                          .n_prompt = (uint32_t)v[PROMPT],
                          .method = (uint32_t)v[METHOD],
                          .acceptance = v[LAW] == 0 ? ACCEPT_REJECTION : ACCEPT_COUPLED,
                          .kv_format = KV_F16,
                          .gamma = (uint32_t)v[GAMMA],
                          .gamma_draft = 1 + (uint32_t)v[GAMMA] % 3,
                          .budget = (uint32_t)v[BUDGET],
                          .chunk = 8,
                          .on_chip = (uint32_t)v[ON_CHIP],
                          .resident_layers = (uint32_t)v[RESIDENT],
                          .gen_len = (uint32_t)v[GEN],
                          .temperature = v[LAW] == 0 ? 0 : 0.6,
                          .top_p = 0.9,
                          .seed = (uint64_t)v[LAW],
                          .ignore_eos = true};

    if (v[METHOD] == METHOD_MSPECKV_KV_QUANT)
        t.kv_format = (uint32_t)v[FORMAT];
    return t;
}

static void run(const struct msg_trial *trial, struct msg_result *result)
{
    struct err err = {{0}};

    if (rig_trial(&rig, trial, result, &err) != ST_OK)
        fail_msg("trial: %s", err.text);
    assert_int_equal(result->n_tokens, trial->gen_len);
    assert_int_equal(result->kv_allocated, result->kv_on_chip + result->kv_resident +
                                               result->kv_tail + result->kv_retrieval +
                                               result->kv_staging + result->kv_draft);
}

static const int32_t *baseline(const struct msg_trial *like)
{
    int quantized = like->kv_format != KV_F16;
    int key[5] = {(int)like->n_prompt, (int)like->seed, (int)like->kv_format,
                  quantized ? (int)like->on_chip : -1, (int)like->gen_len};
    struct msg_trial trial = *like;
    struct msg_result result = {0};

    for (int i = 0; i < n_references; i++)
        if (memcmp(reference[i].key, key, sizeof key) == 0)
            return reference[i].token;
    assert_true(n_references < 4096);
    trial.method = METHOD_BASELINE;
    run(&trial, &result);
    memcpy(reference[n_references].key, key, sizeof key);
    reference[n_references].token = result.token;
    return reference[n_references++].token;
}

static uint64_t prompt_snapshot(int n_tokens)
{
    struct err err = {{0}};
    int i = 0;

    while (values[PROMPT][i] != n_tokens)
        i++;
    if (snapshot[i] == 0 && rig_prefill(&rig, (uint32_t)n_tokens, prompt_token, (uint32_t)n_tokens,
                                        &snapshot[i], &err) != ST_OK)
        fail_msg("prefill of %d: %s", n_tokens, err.text);
    return snapshot[i];
}

static void compare(const int v[N_FACTORS])
{
    struct msg_trial trial = make_trial(v);
    struct msg_result result = {0};
    const int32_t *want;

    /* The partial chunk at the prompt's end is always taken. */
    if (trial.budget < trial.n_prompt && trial.budget < 8 + trial.n_prompt % 8)
        return;
    trial.snapshot = prompt_snapshot(v[PROMPT]);
    want = baseline(&trial);
    run(&trial, &result);
    for (uint32_t i = 0; i < trial.gen_len; i++) {
        if (result.token[i] != want[i])
            fail_msg("%s gamma %d on_chip %d prompt %d law %d format %u budget %d resident %d: "
                     "token %u of %u is %d, the baseline's is %d",
                     method_name((enum method)v[METHOD]), v[GAMMA], v[ON_CHIP], v[PROMPT], v[LAW],
                     trial.kv_format, v[BUDGET], v[RESIDENT], i, trial.gen_len, result.token[i],
                     want[i]);
    }
    if (result.k_error_generated >= 0 && trial.kv_format == KV_INT8) {
        assert_true(result.k_error_generated < 0.01);
        assert_true(result.v_error_generated < 0.01);
    }
    if (result.k_error_prompt >= 0 && trial.kv_format == KV_INT8)
        assert_true(result.k_error_prompt < 0.01);
    assert_int_equal(result.n_messages, result.rounds > 0 ? 2 * result.rounds + 1 : 0);
    free(result.token);
}

/* ---- covering all pairs ---- */

static bool covered[N_FACTORS][MAX_VALUES][N_FACTORS][MAX_VALUES];
static uint32_t seed = 12345;

static int below(int n)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (uint32_t)n);
}

static int gain(const int pick[N_FACTORS], bool mark)
{
    int n = 0;

    for (int a = 0; a < N_FACTORS; a++) {
        for (int b = a + 1; b < N_FACTORS; b++) {
            bool *seen = &covered[a][pick[a]][b][pick[b]];
            n += !*seen;
            *seen = *seen || mark;
        }
    }
    return n;
}

static void choose(int best[N_FACTORS])
{
    int most = -1;

    for (int k = 0; k < 200; k++) {
        int pick[N_FACTORS], n;
        for (int f = 0; f < N_FACTORS; f++)
            pick[f] = below(n_values[f]);
        n = gain(pick, false);
        if (n > most) {
            most = n;
            memcpy(best, pick, sizeof pick);
        }
    }
}

static void compare_pairs(int n_trials)
{
    for (int i = 0; i < n_trials; i++) {
        int pick[N_FACTORS], v[N_FACTORS];
        choose(pick);
        gain(pick, true);
        for (int f = 0; f < N_FACTORS; f++)
            v[f] = values[f][pick[f]];
        compare(v);
    }
}

/* Every gamma, on_chip, prompt and law for every method and format; budget,
 * residency and length stand at one value each. */
static void compare_product(void)
{
    int pick[N_FACTORS] = {[BUDGET] = 1, [RESIDENT] = 1}, v[N_FACTORS], f;

    do {
        for (f = 0; f < N_FACTORS; f++)
            v[f] = values[f][pick[f]];
        /* Only the quantized method reads the format. */
        if (v[METHOD] == METHOD_MSPECKV_KV_QUANT || pick[FORMAT] == 0)
            compare(v);
        for (f = 0; f <= FORMAT && ++pick[f] == n_values[f]; f++)
            pick[f] = 0;
    } while (f <= FORMAT);
}

/* ---- the rig ---- */

static char target[512], draft[512], text_path[512];

static void open_rig(const char *link_gbps, const char *threads)
{
    struct rig_options opt = {
        .target = target, .draft = draft, .link_gbps = link_gbps, .threads = threads};
    struct err err = {{0}};

    memset(snapshot, 0, sizeof snapshot);
    if (rig_open(&rig, &opt, &err) != ST_OK)
        fail_msg("rig: %s", err.text);
}

static void every_pair_of_settings_gives_the_baselines_tokens(void **state)
{
    open_rig(NULL, "2");
    compare_pairs(TEST_FULL ? 0 : 110);
    if (TEST_FULL)
        compare_product();
    rig_close(&rig);
}

static void streaming_over_a_link_gives_the_same_tokens(void **state)
{
    /* The baselines of the other case, without a link and with two threads, are
     * the reference here too. */
    open_rig("2.0", "1");
    compare_pairs(30);
    rig_close(&rig);
}

/* A novel, or the demo's own text. */
static enum status read_text(struct text_buf *out, struct err *err)
{
    const struct demo_text_options options = {.seed = 1};
    struct demo_text *demo = NULL;
    size_t n_bytes;
    enum status st;

    if (text_path[0] != '\0')
        return prompt_read(out, text_path, err);
    st = demo_text_open(&demo, &options, err);
    if (st != ST_OK)
        return st;
    demo_text_grow(demo, 40000);
    text_buf_add(out, demo_text_bytes(demo, &n_bytes), 40000);
    demo_text_close(demo);
    return ST_OK;
}

static int read_prompt(void **state)
{
    struct token_list ids = {0};
    struct tokenizer *tok = NULL;
    struct err err = {{0}};
    struct text_buf text;

    text_buf_init(&text);
    if (read_text(&text, &err) != ST_OK || tokenizer_open(&tok, target, &err) != ST_OK ||
        tokenizer_encode(tok, text.data + 30000, 6000, &ids, &err) != ST_OK) {
        printf("%s\n", err.text);
        return -1;
    }
    prompt_token[0] = tokenizer_bos(tok);
    for (uint32_t i = 1; i < MAX_PROMPT && i <= ids.n; i++)
        prompt_token[i] = ids.id[i - 1];
    token_list_release(&ids);
    tokenizer_close(tok);
    text_buf_release(&text);
    return 0;
}

static int forget_baselines(void **state)
{
    for (int i = 0; i < n_references; i++)
        free(reference[i].token);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_settings_gives_the_baselines_tokens),
        cmocka_unit_test(streaming_over_a_link_gives_the_same_tokens),
    };

    if (test_data_path(target, sizeof target, "hf-stories260K") == NULL ||
        test_data_path(draft, sizeof draft, "hf-llama2xs-300K") == NULL ||
        test_data_path(text_path, sizeof text_path, "text/pg1399.txt") == NULL) {
        printf("without the real models: on the demo pair\n");
        snprintf(target, sizeof target, "%s/experiments/demo/target", TEST_SOURCE_DIR);
        snprintf(draft, sizeof draft, "%s/experiments/demo/draft", TEST_SOURCE_DIR);
        text_path[0] = '\0';
    }
    return cmocka_run_group_tests(tests, read_prompt, forget_baselines);
}
