/*
 * Scores of a tiny checkpoint against plain loops, the rule of what a row reads
 * sealed, and that a format that is wrong is seen.
 */
#include "tests/model/flat_cache.h"
#include "tests/model/tiny_checkpoint.h"
#include "tools/eval/eval_score.h"

enum { N_PREFILL = 200, N_SCORED = 150, N_ALL = N_PREFILL + N_SCORED };

static struct temp_dir dir;
static struct device *dev;
static struct model *model;
static int32_t token[N_ALL + 1];

static int open_model(void **state)
{
    /* The last rows see no more than a window, as those of the plain loops do. */
    struct tiny tiny = {.architecture = "MistralForCausalLM", .window = 300, .seed = 3};
    struct device_options options = {.n_threads = 1};
    struct err err = {{0}};
    uint64_t seed = 8;

    dir = temp_dir_make();
    tiny_make(&tiny);
    tiny_write(&tiny, &dir);
    tiny_release(&tiny);
    for (int i = 0; i <= N_ALL; i++)
        token[i] = (int32_t)((tiny_random(&seed) + 0.5f) * (TINY_VOCAB - 1));
    if (device_open(&dev, "cpu:0", &options, &err) != ST_OK ||
        model_open(&model, dev, dir.path, &err) != ST_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_model(void **state)
{
    model_close(model);
    device_close(dev);
    temp_dir_remove(&dir);
    return 0;
}

/* An arm, its prompt and its reference, all open. */
struct scored {
    struct eval_cache *prompt, *ref_prompt, *ref, *arm;
    double nll[N_SCORED], ref_nll[N_SCORED], kl[N_SCORED], same[N_SCORED];
};

static struct eval_cache *prompt_of(enum kv_format base, enum eval_turn turn)
{
    struct eval_cache_options opt = {dev, model, base, turn, N_ALL};
    struct eval_cache *c = NULL;
    struct err err = {{0}};

    assert_int_equal(eval_cache_open(&c, &opt, &err), ST_OK);
    assert_int_equal(eval_cache_pass(c, token, N_PREFILL, NULL, &err), ST_OK);
    return c;
}

static void open_arm(struct scored *s, enum kv_format format, enum eval_turn turn)
{
    struct err err = {{0}};

    s->ref_prompt = prompt_of(KV_F16, EVAL_TURN_NONE);
    s->prompt = prompt_of(format == KV_F32 ? KV_F32 : KV_F16, turn);
    assert_int_equal(eval_cache_fork(&s->ref, s->ref_prompt, false, KV_F16, &err), ST_OK);
    assert_int_equal(eval_cache_fork(&s->arm, s->prompt, format != KV_F32, format, &err), ST_OK);
}

static void score(struct scored *s, uint32_t pass_rows)
{
    struct eval_arm arm = {s->arm, s->nll, s->kl, s->same};
    struct eval_score_args args = {.ref = s->ref,
                                   .ref_nll = s->ref_nll,
                                   .arm = &arm,
                                   .n_arms = 1,
                                   .token = token + N_PREFILL,
                                   .n = N_SCORED,
                                   .pass_rows = pass_rows,
                                   .n_vocab = TINY_VOCAB};
    struct err err = {{0}};

    if (eval_score(&args, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(eval_cache_end(s->arm), N_ALL);
}

static void close_arm(struct scored *s)
{
    eval_cache_close(s->arm);
    eval_cache_close(s->ref);
    eval_cache_close(s->prompt);
    eval_cache_close(s->ref_prompt);
}

static double sum(const double *x)
{
    double all = 0;

    for (int i = 0; i < N_SCORED; i++)
        all += x[i];
    return all;
}

static double sum_kl(enum kv_format format, enum eval_turn turn)
{
    struct scored s;

    open_arm(&s, format, turn);
    score(&s, 32);
    close_arm(&s);
    return sum(s.kl);
}

/* Logits by a cache of plain loops, -ln softmax in double. */
static void f32_kv_gives_the_perplexity_of_a_plain_computation(void **state)
{
    float *logits = calloc((size_t)N_ALL * TINY_VOCAB, sizeof *logits);
    struct flat_cache flat;
    struct scored s;
    struct err err = {{0}};
    double plain = 0;

    assert_int_equal(flat_cache_init(&flat, model, N_ALL, &err), ST_OK);
    assert_int_equal(flat_cache_run(&flat, model, token, 0, N_ALL, 50, logits, &err), ST_OK);
    open_arm(&s, KV_F32, EVAL_TURN_NONE);
    score(&s, 32);
    for (int i = 0; i < N_SCORED; i++) {
        const float *row = logits + (size_t)(N_PREFILL + i) * TINY_VOCAB;
        double all = 0, nll;
        for (int t = 0; t < TINY_VOCAB; t++)
            all += exp((double)row[t]);
        nll = log(all) - (double)row[token[N_PREFILL + i + 1]];
        assert_close(s.nll[i], nll, 1e-4);
        plain += nll;
    }
    assert_close(exp(sum(s.nll) / N_SCORED), exp(plain / N_SCORED), 1e-4);
    assert_true(sum(s.kl) > 0); /* f16 rounds what f32 does not */
    close_arm(&s);
    flat_cache_release(&flat);
    free(logits);
}

static void sealed_f16_is_at_no_distance_from_f16(void **state)
{
    struct scored s;

    open_arm(&s, KV_F16, EVAL_TURN_NONE);
    score(&s, 32);
    for (int i = 0; i < N_SCORED; i++)
        assert_true(s.kl[i] == 0.0 && s.nll[i] == s.ref_nll[i] && s.same[i] == 1.0);
    close_arm(&s);
}

/* The row at position 256 is the first that reads page 0 sealed. */
static void a_row_reads_a_page_sealed_from_two_pages_on(void **state)
{
    struct scored s;

    open_arm(&s, KV_INT4, EVAL_TURN_NONE);
    score(&s, 32);
    for (int i = 0; i < N_SCORED; i++) {
        bool sees_sealed = N_PREFILL + i >= 2 * PAGE_TOKENS;
        if ((s.kl[i] > 0) != sees_sealed)
            fail_msg("position %d: KL %g", N_PREFILL + i, s.kl[i]);
    }
    close_arm(&s);
}

static void how_many_rows_a_pass_has_changes_nothing(void **state)
{
    static const uint32_t rows[] = {1, 7, 31};
    struct scored want, got;

    open_arm(&want, KV_INT8, EVAL_TURN_NONE);
    score(&want, 32);
    for (int i = 0; i < 3; i++) {
        open_arm(&got, KV_INT8, EVAL_TURN_NONE);
        score(&got, rows[i]);
        assert_memory_equal(got.nll, want.nll, sizeof want.nll);
        assert_memory_equal(got.kl, want.kl, sizeof want.kl);
        close_arm(&got);
    }
    close_arm(&want);
}

/* Halves the scales of K of every page that is sealed at the prompt's end. */
static void halve_scales(struct eval_cache *c, struct kv_shape shape)
{
    for (uint32_t l = 0; l < TINY_LAYERS; l++) {
        struct kv_view view;
        eval_cache_view(c, l, &view);
        for (uint32_t h = 0; h < shape.n_kv_heads; h++) {
            char *head = (char *)(uintptr_t)view.sealed[0] + h * kv_head_bytes(KV_INT8, 8);
            float *scale = (float *)(void *)(head + (size_t)PAGE_TOKENS * 8);
            for (int d = 0; d < 8; d++)
                scale[d] *= 0.5f;
        }
    }
}

static void a_format_with_halved_scales_is_noticed(void **state)
{
    struct kv_shape shape = {TINY_KV_HEADS, TINY_HEAD_DIM};
    double right = sum_kl(KV_INT8, EVAL_TURN_NONE), wrong;
    struct scored s;

    open_arm(&s, KV_INT8, EVAL_TURN_NONE);
    halve_scales(s.arm, shape);
    score(&s, 32);
    wrong = sum(s.kl);
    close_arm(&s);
    if (!(wrong > 100 * right))
        fail_msg("KL %g with halved scales, %g without", wrong, right);
}

static void fewer_bits_are_further_away(void **state)
{
    double int8 = sum_kl(KV_INT8, EVAL_TURN_NONE), int4 = sum_kl(KV_INT4, EVAL_TURN_NONE);

    assert_true(int8 > 0 && int4 > 10 * int8);
}

/* q . k does not change; f32 pages round neither. */
static void turned_keys_over_f32_are_f32(void **state)
{
    struct scored plain, turned;

    for (enum eval_turn turn = EVAL_TURN_HADAMARD; turn <= EVAL_TURN_SIGNED; turn++) {
        open_arm(&plain, KV_F32, EVAL_TURN_NONE);
        open_arm(&turned, KV_F32, turn);
        score(&plain, 32);
        score(&turned, 32);
        assert_memory_not_equal(plain.nll, turned.nll, sizeof plain.nll);
        for (int i = 0; i < N_SCORED; i++)
            assert_close(turned.nll[i], plain.nll[i], 1e-4);
        close_arm(&plain);
        close_arm(&turned);
    }
}

static void sealing_tells_how_much_it_changed(void **state)
{
    struct scored s;
    double k, v;

    open_arm(&s, KV_INT8, EVAL_TURN_NONE);
    eval_cache_seal_error(s.ref, &k, &v);
    assert_true(isnan(k) && isnan(v));
    eval_cache_seal_error(s.arm, &k, &v);
    /* A step is max / 127 and its error a uniform share: max / rms / 127 / sqrt 12. */
    assert_true(k > 0.002 && k < 0.02 && v > 0.002 && v < 0.02);
    close_arm(&s);
}

static void a_token_out_of_range_is_refused(void **state)
{
    struct scored s;
    struct err err = {{0}};
    int32_t bad[3] = {1, 2, TINY_VOCAB};
    struct eval_arm arm = {NULL, s.nll, s.kl, s.same};
    struct eval_score_args args = {
        .ref_nll = s.ref_nll, .arm = &arm, .n_arms = 1, .n = 2, .pass_rows = 32, .token = bad};

    args.n_vocab = TINY_VOCAB;
    open_arm(&s, KV_INT8, EVAL_TURN_NONE);
    args.ref = s.ref;
    arm.cache = s.arm;
    assert_int_equal(eval_score(&args, &err), ST_CORRUPT);
    bad[2] = 1;
    bad[1] = -1;
    assert_int_equal(eval_score(&args, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "token -1 is not in [0, 37)"));
    close_arm(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_kv_gives_the_perplexity_of_a_plain_computation),
        cmocka_unit_test(sealed_f16_is_at_no_distance_from_f16),
        cmocka_unit_test(a_row_reads_a_page_sealed_from_two_pages_on),
        cmocka_unit_test(how_many_rows_a_pass_has_changes_nothing),
        cmocka_unit_test(a_format_with_halved_scales_is_noticed),
        cmocka_unit_test(fewer_bits_are_further_away),
        cmocka_unit_test(turned_keys_over_f32_are_f32),
        cmocka_unit_test(sealing_tells_how_much_it_changed),
        cmocka_unit_test(a_token_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
