/*
 * Whole trials on the CUDA backend whose kernels run on the CPU: retrieval KV
 * and weights opened by the other process, offloaded layers streamed, pages
 * sealed and read. Greedy and coupled outputs of every method are the
 * baseline's of the same KV format, across page borders.
 */
#include "tests/model/tiny_checkpoint.h"
#include "tests/system/rig.h"

#include "kernels/kv_format.h"

/* The pass at 256 is the first that reads a page sealed. */
enum { N_PROMPT = 253, GEN = 5 };

static struct temp_dir checkpoint[2];
static struct rig rig;
static uint64_t snapshot;

struct way {
    enum method method;
    enum kv_format format;
    uint32_t gamma, gamma_draft, on_chip, resident, budget;
};

static void decode(const struct way *way, enum acceptance acceptance, int32_t *token)
{
    struct msg_trial trial = {.prompt = 1,
                              .n_prompt = N_PROMPT,
                              .snapshot = snapshot,
                              .method = way->method,
                              .acceptance = acceptance,
                              .kv_format = way->format,
                              .gamma = way->gamma,
                              .gamma_draft = way->gamma_draft,
                              .budget = way->budget,
                              .chunk = 8,
                              .on_chip = way->on_chip,
                              .resident_layers = way->resident,
                              .gen_len = GEN,
                              .temperature = acceptance == ACCEPT_COUPLED ? 0.8 : 0,
                              .top_p = 0.95,
                              .seed = 11,
                              .ignore_eos = true};
    struct msg_result result = {0};
    struct err err = {{0}};

    if (rig_trial(&rig, &trial, &result, &err) != ST_OK)
        fail_msg("%s: %s", method_name(way->method), err.text);
    assert_int_equal(result.n_tokens, GEN);
    /* A prompt whose pages are offloaded must have come over the link. */
    if (way->on_chip + way->resident < TINY_LAYERS)
        assert_true(result.link_bytes > 0);
    memcpy(token, result.token, GEN * sizeof *token);
    free(result.token);
}

/* The baseline itself with one layer streamed, then the ways. A kernel takes
 * thousands of times longer here than on a GPU, so the ways are few. */
static void compare(const struct way *way, uint32_t n, enum acceptance acceptance)
{
    struct way oracle = {METHOD_BASELINE, way[0].format, 0, 1, 1, 0, 0};
    int32_t want[GEN], have[GEN];

    decode(&oracle, acceptance, want);
    for (uint32_t i = 0; i < n; i++) {
        decode(&way[i], acceptance, have);
        assert_memory_equal(have, want, sizeof want);
    }
}

static void unquantized_methods_give_the_baselines_tokens(void **state)
{
    static const struct way coupled[] = {
        {METHOD_VANILLA_SPECDEC, KV_F16, 3, 1, 0, 0, 0},
        {METHOD_MSPECKV, KV_F16, 4, 2, 2, 0, 40},
    };
    static const struct way greedy[] = {{METHOD_MSPECKV, KV_F16, 6, 1, 0, 0, 4096}};

    compare(coupled, 2, ACCEPT_COUPLED);
    compare(greedy, 1, ACCEPT_REJECTION);
}

static void quantized_methods_give_the_tokens_of_a_baseline_over_the_same_pages(void **state)
{
    static const struct way int8[] = {
        {METHOD_MSPECKV_KV_QUANT, KV_INT8, 4, 1, 0, 0, 64},
        {METHOD_MSPECKV_KV_QUANT, KV_INT8, 3, 2, 1, 1, 64},
    };
    static const struct way int4[] = {{METHOD_MSPECKV_KV_QUANT, KV_INT4, 4, 1, 0, 1, 64}};

    compare(int8, 2, ACCEPT_COUPLED);
    compare(int4, 1, ACCEPT_REJECTION);
}

/* Another draft opens the same memory again. */
static void a_draft_that_died_is_replaced(void **state)
{
    static const struct way way = {METHOD_MSPECKV, KV_F16, 6, 2, 2, 0, 40};
    struct rig_options opt = {.target = checkpoint[0].path,
                              .draft = checkpoint[1].path,
                              .device = "cuda:0",
                              .tree = "/shim"};
    int32_t prompt[N_PROMPT], want[GEN], have[GEN];
    struct err err = {{0}};
    uint64_t other;

    decode(&way, ACCEPT_COUPLED, want);
    proc_stop(&rig.draft, 0);
    if (rig_restart_draft(&rig, &opt, &err) != ST_OK)
        fail_msg("%s", err.text);
    for (int i = 0; i < N_PROMPT; i++)
        prompt[i] = (i * 7 + i * i) % TINY_VOCAB;
    assert_int_equal(rig_prefill(&rig, 1, prompt, N_PROMPT, &other, &err), ST_OK);
    decode(&way, ACCEPT_COUPLED, have);
    assert_memory_equal(have, want, sizeof want);
}

static int open_all(void **state)
{
    struct rig_options opt = {.device = "cuda:0", .tree = "/shim"};
    int32_t prompt[N_PROMPT];
    struct err err = {{0}};

    for (int i = 0; i < 2; i++) {
        struct tiny tiny = {.seed = 5 + (uint64_t)i};
        checkpoint[i] = temp_dir_make();
        tiny_make(&tiny);
        tiny_write(&tiny, &checkpoint[i]);
        tiny_release(&tiny);
    }
    for (int i = 0; i < N_PROMPT; i++)
        prompt[i] = (i * 7 + i * i) % TINY_VOCAB;
    opt.target = checkpoint[0].path;
    opt.draft = checkpoint[1].path;
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
    for (int i = 0; i < 2; i++)
        temp_dir_remove(&checkpoint[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unquantized_methods_give_the_baselines_tokens),
        cmocka_unit_test(quantized_methods_give_the_tokens_of_a_baseline_over_the_same_pages),
        cmocka_unit_test(a_draft_that_died_is_replaced),
    };

    if (access(TEST_BUILD_DIR "/shim/lib/libmspeckv_cuda.so", R_OK) != 0 ||
        access(TEST_BUILD_DIR "/shim/bin/mspeckv-verify", X_OK) != 0)
        test_skip_program("the backend whose kernels run on the CPU is not built (shim/)");
    return cmocka_run_group_tests(tests, open_all, close_all);
}
