/*
 * Targets with a sliding window, through whole workers: the baseline gives the model's own tokens,
 * and every method gives the baseline's, with windows that end within, on and behind borders of
 * pages and splits.
 */
#include "tests/model/tiny_checkpoint.h"

#include "kernels/kv_format.h"
#include "tests/model/flat_cache.h"
#include "tests/system/rig.h"

enum { MAX_PROMPT = 1130, GEN = 70 };

/* The window of 1040 reaches over the border of a split of 1024 tokens. */
static const struct kind {
    struct tiny tiny;
    uint32_t prompt[6]; /* 0 ends the list */
} kinds[] = {
    {{.architecture = "MistralForCausalLM", .window = 100}, {1, 60, 127, 128, 190, 330}},
    {{.architecture = "MistralForCausalLM", .window = 129}, {90, 129, 256, 321}},
    {{.architecture = "MistralForCausalLM", .window = 1040}, {1025, MAX_PROMPT - GEN}},
    {{.architecture = "MistralForCausalLM", .window = 300}, {700}},
    {{.architecture = "Qwen3ForCausalLM", .window = 20, .tied = true}, {19, 120, 257}},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static int32_t prompt_token[MAX_PROMPT];
static struct temp_dir target[N_KINDS], other;
static struct rig rig;

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        if ((call) != ST_OK)                                                                       \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

static void open_rig(int kind, const char *draft, const char *kv_base)
{
    struct rig_options opt = {
        .target = target[kind].path, .draft = draft, .kv_base = kv_base, .arena_bytes = "67108864"};

    OK(rig_open(&rig, &opt, &err));
}

static void run(const struct msg_trial *trial, struct msg_result *result)
{
    memset(result, 0, sizeof *result);
    OK(rig_trial(&rig, trial, result, &err));
    assert_int_equal(result->n_tokens, trial->gen_len);
}

static struct msg_trial trial_of(uint32_t n_prompt, uint64_t snapshot)
{
    return (struct msg_trial){.prompt = n_prompt,
                              .n_prompt = n_prompt,
                              .snapshot = snapshot,
                              .method = METHOD_BASELINE,
                              .acceptance = ACCEPT_REJECTION,
                              .kv_format = KV_F16,
                              .gamma = 4,
                              .gamma_draft = 1,
                              .budget = 4096,
                              .chunk = 8,
                              .gen_len = GEN,
                              .top_p = 0.9,
                              .ignore_eos = true};
}

/* Each token is one of largest logit, within rounding, of a pass of the whole text through plain
 * attention. */
static void check_own_tokens(struct model *model, uint32_t n_prompt, const int32_t *out)
{
    int n = (int)n_prompt + GEN;
    int32_t *token = calloc((size_t)n, sizeof *token);
    float *logits = calloc((size_t)n * TINY_VOCAB, sizeof *logits);
    struct flat_cache cache;

    memcpy(token, prompt_token, n_prompt * sizeof *token);
    memcpy(token + n_prompt, out, GEN * sizeof *token);
    OK(flat_cache_init(&cache, model, (uint32_t)n, &err));
    OK(flat_cache_run(&cache, model, token, 0, n, n, logits, &err));
    for (int i = 0; i < GEN; i++) {
        const float *row = logits + ((size_t)n_prompt + (size_t)i - 1) * TINY_VOCAB;
        for (int v = 0; v < TINY_VOCAB; v++)
            if (row[v] > row[out[i]] + 1e-3f)
                fail_msg("prompt %u: token %d is %d, the model's is %d", n_prompt, i, out[i], v);
    }
    flat_cache_release(&cache);
    free(logits);
    free(token);
}

static void the_baseline_gives_the_models_own_tokens(void **state)
{
    struct device_options opt = {.n_threads = 1};
    struct device *dev = NULL;
    uint32_t number = 0;

    OK(device_open(&dev, "cpu:0", &opt, &err));
    for (int kind = 0; kind < N_KINDS; kind++) {
        struct model *model = NULL;
        OK(model_open(&model, dev, target[kind].path, &err));
        open_rig(kind, NULL, "f32");
        for (int i = 0; i < 6 && kinds[kind].prompt[i] > 0; i++) {
            uint32_t n = kinds[kind].prompt[i];
            struct msg_trial trial = trial_of(n, 0);
            struct msg_result result;
            OK(rig_prefill(&rig, n, prompt_token, n, &trial.snapshot, &err));
            trial.kv_format = KV_F32;
            trial.on_chip = number++ % 3;
            run(&trial, &result);
            check_own_tokens(model, n, result.token);
            free(result.token);
        }
        rig_close(&rig);
        model_close(model);
    }
    device_close(dev);
}

/* All methods under one law; `number` turns the other settings. */
static void compare_methods(struct msg_trial trial, uint32_t *number)
{
    static const uint32_t gammas[] = {1, 3, 7, 16}, budgets[] = {4096, 48, 120};
    static const struct {
        enum method method;
        enum kv_format format;
    } methods[] = {{METHOD_VANILLA_SPECDEC, KV_F16},
                   {METHOD_MSPECKV, KV_F16},
                   {METHOD_MSPECKV_KV_QUANT, KV_INT8},
                   {METHOD_MSPECKV_KV_QUANT, KV_INT4}};

    for (int m = 0; m < 4; m++) {
        struct msg_result want, have;
        uint32_t i = (*number)++;
        trial.kv_format = (uint32_t)methods[m].format;
        trial.on_chip = i / 3 % 3;
        trial.method = METHOD_BASELINE;
        run(&trial, &want);
        trial.method = (uint32_t)methods[m].method;
        trial.gamma = gammas[i % 4];
        trial.gamma_draft = 1 + i % 3;
        trial.budget = budgets[i % 3];
        trial.resident_layers = i % 2;
        run(&trial, &have);
        for (uint32_t t = 0; t < GEN; t++)
            if (want.token[t] != have.token[t])
                fail_msg("%s prompt %u gamma %u budget %u on_chip %u format %u law %u: token %u is "
                         "%d, the baseline's is %d",
                         method_name(methods[m].method), trial.n_prompt, trial.gamma, trial.budget,
                         trial.on_chip, trial.kv_format, trial.acceptance, t, have.token[t],
                         want.token[t]);
        free(want.token);
        free(have.token);
    }
}

static void every_method_gives_the_baselines_tokens(void **state)
{
    uint32_t number = 0;

    for (int kind = 0; kind < N_KINDS; kind++) {
        /* A draft of the same weights is often right, another one seldom. */
        open_rig(kind, kind % 2 == 0 ? target[kind].path : other.path, "f16");
        for (int i = 0; i < 6 && kinds[kind].prompt[i] > 0; i++) {
            uint32_t n = kinds[kind].prompt[i];
            struct msg_trial trial = trial_of(n, 0);
            OK(rig_prefill(&rig, n, prompt_token, n, &trial.snapshot, &err));
            compare_methods(trial, &number);
            trial.acceptance = ACCEPT_COUPLED;
            trial.temperature = 0.6;
            trial.seed = 3 + number;
            compare_methods(trial, &number);
        }
        rig_close(&rig);
    }
}

/* Where the budget covers the window, the middle level sees just what the target sees: with exact
 * KV it proposes what the target would say, and everything is accepted. */
static void a_middle_level_whose_budget_covers_the_window_is_always_right(void **state)
{
    struct msg_trial trial = trial_of(330, 0);
    struct msg_result result;

    open_rig(0, other.path, "f16");
    OK(rig_prefill(&rig, 330, prompt_token, 330, &trial.snapshot, &err));
    trial.method = METHOD_MSPECKV;
    trial.budget = 122; /* 15 chunks and the 2 tokens behind them */
    run(&trial, &result);
    assert_int_equal(result.accepted, result.proposed);
    assert_true(result.rounds <= (GEN + 4) / 5);
    free(result.token);
    rig_close(&rig);
}

/* A window of 300 tokens lies on at most 4 pages, two of which are the tail's. */
static void a_link_carries_the_pages_of_the_window_only(void **state)
{
    enum { KIND = 3, PROMPT = 700 };
    struct rig_options opt = {.target = target[KIND].path,
                              .draft = other.path,
                              .link_gbps = "2.0",
                              .arena_bytes = "67108864"};
    size_t page = kv_page_bytes(KV_F16, (struct kv_shape){TINY_KV_HEADS, TINY_HEAD_DIM});
    struct msg_trial trial = trial_of(PROMPT, 0);
    struct msg_result alone, have;
    uint32_t passes;

    open_rig(KIND, other.path, "f16");
    OK(rig_prefill(&rig, PROMPT, prompt_token, PROMPT, &trial.snapshot, &err));
    run(&trial, &alone);
    assert_true(alone.link_bytes > 0);
    assert_true(alone.link_bytes <= page * 2 * TINY_LAYERS * GEN);
    rig_close(&rig);

    OK(rig_open(&rig, &opt, &err));
    OK(rig_prefill(&rig, PROMPT, prompt_token, PROMPT, &trial.snapshot, &err));
    for (uint32_t method = METHOD_BASELINE; method <= METHOD_MSPECKV; method++) {
        trial.method = method;
        run(&trial, &have);
        assert_memory_equal(alone.token, have.token, GEN * sizeof *have.token);
        assert_true(have.link_bytes > 0);
        /* One pass more may have run ahead. */
        passes = have.rounds > 0 ? have.rounds : GEN;
        assert_true(have.link_bytes <= page * 2 * TINY_LAYERS * (passes + 1));
        free(have.token);
    }
    free(alone.token);
    rig_close(&rig);
}

static void write_checkpoint(const struct temp_dir *dir, const struct tiny *like, uint64_t seed)
{
    struct tiny tiny = *like;

    tiny.seed = seed;
    tiny_make(&tiny);
    tiny_write(&tiny, dir);
    tiny_release(&tiny);
}

static int set_up(void **state)
{
    for (int i = 0; i < N_KINDS; i++) {
        target[i] = temp_dir_make();
        write_checkpoint(&target[i], &kinds[i].tiny, 40 + (uint64_t)i);
    }
    other = temp_dir_make();
    write_checkpoint(&other, &(struct tiny){.architecture = "MistralForCausalLM", .window = 50}, 8);
    for (int i = 0; i < MAX_PROMPT; i++)
        prompt_token[i] = (i * 7 + i * i / 3) % TINY_VOCAB;
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < N_KINDS; i++)
        temp_dir_remove(&target[i]);
    temp_dir_remove(&other);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_baseline_gives_the_models_own_tokens),
        cmocka_unit_test(every_method_gives_the_baselines_tokens),
        cmocka_unit_test(a_link_carries_the_pages_of_the_window_only),
        cmocka_unit_test(a_middle_level_whose_budget_covers_the_window_is_always_right),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
