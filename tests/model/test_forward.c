/* The forward pass of a made-up model (mixed dtypes, biases, grouped heads) against plain loops
 * in double written from the formulas, and what may not change its bits. */
#include "tests/model/flat_cache.h"
#include "tests/model/tiny_checkpoint.h"

enum {
    N_TOKENS = 45,
    Q_COLS = TINY_HEADS * TINY_HEAD_DIM,
    KV_COLS = TINY_KV_HEADS * TINY_HEAD_DIM
};

static const int32_t *tokens(void)
{
    static int32_t token[N_TOKENS];

    for (int i = 0; i < N_TOKENS; i++)
        token[i] = (i * 7 + i * i) % TINY_VOCAB;
    return token;
}

/* The reference. */

struct plain {
    struct tiny *m;
    double k[TINY_LAYERS][N_TOKENS][KV_COLS], v[TINY_LAYERS][N_TOKENS][KV_COLS];
};

static const float *tensor(struct tiny *m, int layer, const char *name, const char *kind)
{
    char full[96];
    struct tiny_tensor *t;

    if (layer >= 0)
        snprintf(full, sizeof full, "model.layers.%d.%s.%s", layer, name, kind);
    else
        snprintf(full, sizeof full, "%s.%s", name, kind);
    t = tiny_find(m, full);
    return t != NULL ? t->value : NULL;
}

static void plain_norm(struct tiny *m, int layer, const char *name, const double *x, double *out)
{
    const float *w = tensor(m, layer, name, "weight");
    double sum = 0;

    for (int i = 0; i < TINY_HIDDEN; i++)
        sum += x[i] * x[i];
    for (int i = 0; i < TINY_HIDDEN; i++)
        out[i] = x[i] / sqrt(sum / TINY_HIDDEN + 1e-5) * w[i];
}

static void plain_linear(struct tiny *m, int layer, const char *name, const double *x, int n_in,
                         double *out, int n_out)
{
    const float *w = tensor(m, layer, name, "weight"), *b = tensor(m, layer, name, "bias");

    for (int o = 0; o < n_out; o++) {
        out[o] = b != NULL ? b[o] : 0;
        for (int i = 0; i < n_in; i++)
            out[o] += x[i] * w[o * n_in + i];
    }
}

static void plain_rotate(double *x, int n_heads, int pos)
{
    enum { HALF = TINY_HEAD_DIM / 2 };

    for (int h = 0; h < n_heads; h++) {
        for (int i = 0; i < HALF; i++) {
            double angle = pos * pow(10000.0, -2.0 * i / TINY_HEAD_DIM);
            double *a = &x[h * TINY_HEAD_DIM + i], *b = a + HALF, a0 = *a;
            *a = a0 * cos(angle) - *b * sin(angle);
            *b = *b * cos(angle) + a0 * sin(angle);
        }
    }
}

/* All layers of a Mistral, the last of a Qwen. */
static bool plain_slides(const struct tiny *m, int layer)
{
    return m->window > 0 && (tiny_is(m, "MistralForCausalLM") || layer == TINY_LAYERS - 1);
}

static void plain_norm_heads(struct tiny *m, int layer, const char *name, double *x, int n_heads)
{
    const float *w = tensor(m, layer, name, "weight");

    for (int h = 0; w != NULL && h < n_heads; h++) {
        double sum = 0;
        for (int i = 0; i < TINY_HEAD_DIM; i++)
            sum += x[h * TINY_HEAD_DIM + i] * x[h * TINY_HEAD_DIM + i];
        for (int i = 0; i < TINY_HEAD_DIM; i++)
            x[h * TINY_HEAD_DIM + i] *= w[i] / sqrt(sum / TINY_HEAD_DIM + 1e-5);
    }
}

static void plain_attend(struct plain *p, int layer, int pos, const double *q, double *out)
{
    for (int h = 0; h < TINY_HEADS; h++) {
        int at = h / (TINY_HEADS / TINY_KV_HEADS) * TINY_HEAD_DIM;
        int first = plain_slides(p->m, layer) ? pos - (int)p->m->window + 1 : 0;
        double sum = 0;
        memset(out + h * TINY_HEAD_DIM, 0, TINY_HEAD_DIM * sizeof *out);
        for (int t = first < 0 ? 0 : first; t <= pos; t++) {
            double s = 0;
            for (int i = 0; i < TINY_HEAD_DIM; i++)
                s += q[h * TINY_HEAD_DIM + i] * p->k[layer][t][at + i];
            s = exp(s / sqrt(TINY_HEAD_DIM));
            sum += s;
            for (int i = 0; i < TINY_HEAD_DIM; i++)
                out[h * TINY_HEAD_DIM + i] += s * p->v[layer][t][at + i];
        }
        for (int i = 0; i < TINY_HEAD_DIM; i++)
            out[h * TINY_HEAD_DIM + i] /= sum;
    }
}

static void plain_layer(struct plain *p, int l, int pos, double *x)
{
    double norm[TINY_HIDDEN], add[TINY_HIDDEN], q[Q_COLS], attended[Q_COLS], g[TINY_FF], u[TINY_FF];

    plain_norm(p->m, l, "input_layernorm", x, norm);
    plain_linear(p->m, l, "self_attn.q_proj", norm, TINY_HIDDEN, q, Q_COLS);
    plain_linear(p->m, l, "self_attn.k_proj", norm, TINY_HIDDEN, p->k[l][pos], KV_COLS);
    plain_linear(p->m, l, "self_attn.v_proj", norm, TINY_HIDDEN, p->v[l][pos], KV_COLS);
    plain_norm_heads(p->m, l, "self_attn.q_norm", q, TINY_HEADS);
    plain_norm_heads(p->m, l, "self_attn.k_norm", p->k[l][pos], TINY_KV_HEADS);
    plain_rotate(q, TINY_HEADS, pos);
    plain_rotate(p->k[l][pos], TINY_KV_HEADS, pos);
    plain_attend(p, l, pos, q, attended);
    plain_linear(p->m, l, "self_attn.o_proj", attended, Q_COLS, add, TINY_HIDDEN);
    for (int i = 0; i < TINY_HIDDEN; i++)
        x[i] += add[i];
    plain_norm(p->m, l, "post_attention_layernorm", x, norm);
    plain_linear(p->m, l, "mlp.gate_proj", norm, TINY_HIDDEN, g, TINY_FF);
    plain_linear(p->m, l, "mlp.up_proj", norm, TINY_HIDDEN, u, TINY_FF);
    for (int i = 0; i < TINY_FF; i++)
        g[i] = g[i] / (1 + exp(-g[i])) * u[i];
    plain_linear(p->m, l, "mlp.down_proj", g, TINY_FF, add, TINY_HIDDEN);
    for (int i = 0; i < TINY_HIDDEN; i++)
        x[i] += add[i];
}

static void plain_run(struct tiny *m, double (*logits)[TINY_VOCAB])
{
    const float *embed = tensor(m, -1, "model.embed_tokens", "weight");
    struct plain *p = calloc(1, sizeof *p);
    double x[TINY_HIDDEN], norm[TINY_HIDDEN];

    p->m = m;
    for (int pos = 0; pos < N_TOKENS; pos++) {
        for (int i = 0; i < TINY_HIDDEN; i++)
            x[i] = embed[tokens()[pos] * TINY_HIDDEN + i];
        for (int l = 0; l < TINY_LAYERS; l++)
            plain_layer(p, l, pos, x);
        plain_norm(m, -1, "model.norm", x, norm);
        plain_linear(m, -1, m->tied ? "model.embed_tokens" : "lm_head", norm, TINY_HIDDEN,
                     logits[pos], TINY_VOCAB);
    }
    free(p);
}

/* The model under test. */

struct fixture {
    struct temp_dir dir;
    struct tiny m;
    struct device *dev;
    struct model *model;
    struct flat_cache cache;
};

static void set_up_as(struct fixture *f, const struct tiny *kind)
{
    struct device_options opt = {.n_threads = 2};
    struct err err = {{0}};

    memset(f, 0, sizeof *f);
    f->m = *kind;
    f->m.seed = 77;
    f->dir = temp_dir_make();
    tiny_make(&f->m);
    tiny_write(&f->m, &f->dir);
    assert_int_equal(device_open(&f->dev, "cpu:0", &opt, &err), ST_OK);
    if (model_open(&f->model, f->dev, f->dir.path, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(flat_cache_init(&f->cache, f->model, N_TOKENS, &err), ST_OK);
}

static void set_up(struct fixture *f, bool tied, bool attention_bias, bool mlp_bias)
{
    struct tiny kind = {.tied = tied, .attention_bias = attention_bias, .mlp_bias = mlp_bias};

    set_up_as(f, &kind);
}

static void tear_down(struct fixture *f)
{
    flat_cache_release(&f->cache);
    model_close(f->model);
    for (int use = 0; use < DEVICE_USE_COUNT; use++)
        assert_int_equal(device_used(f->dev, (enum device_use)use), 0);
    device_close(f->dev);
    tiny_release(&f->m);
    temp_dir_remove(&f->dir);
}

static void run(struct fixture *f, int rows, float *logits)
{
    struct err err = {{0}};

    if (flat_cache_run(&f->cache, f->model, tokens(), 0, N_TOKENS, rows, logits, &err) != ST_OK)
        fail_msg("%s", err.text);
}

static void check_plain(const struct tiny *kind)
{
    static double want[N_TOKENS][TINY_VOCAB];
    static float got[N_TOKENS][TINY_VOCAB];
    struct fixture f;

    set_up_as(&f, kind);
    plain_run(&f.m, want);
    run(&f, N_TOKENS, &got[0][0]);
    for (int t = 0; t < N_TOKENS; t++) {
        for (int i = 0; i < TINY_VOCAB; i++)
            /* logits of size 1 to 10 after some 20 f32 products and sums: 1e-6 each */
            assert_close(got[t][i], want[t][i], 5e-5);
    }
    tear_down(&f);
}

static void logits_are_those_of_plain_loops(void **state)
{
    for (int kind = 0; kind < 8; kind++) {
        struct tiny tiny = {.tied = kind & 1, .attention_bias = kind & 2, .mlp_bias = kind & 4};
        check_plain(&tiny);
    }
}

static void every_family_gives_the_logits_of_plain_loops(void **state)
{
    static const struct tiny kinds[] = {
        {.architecture = "MistralForCausalLM"},
        {.architecture = "MistralForCausalLM", .window = 7, .tied = true},
        {.architecture = "Qwen2ForCausalLM"},
        {.architecture = "Qwen2ForCausalLM", .window = 1},
        {.architecture = "Qwen3ForCausalLM", .tied = true},
        {.architecture = "Qwen3ForCausalLM", .attention_bias = true, .window = 44},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        check_plain(&kinds[i]);
}

static void logits_do_not_depend_on_the_number_of_rows(void **state)
{
    static const int rows[] = {1, 2, 3, 8, 9, 33, 34, 44};
    static float all[N_TOKENS][TINY_VOCAB], got[N_TOKENS][TINY_VOCAB];
    struct fixture f;

    set_up(&f, false, true, true);
    run(&f, N_TOKENS, &all[0][0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(got, 0, sizeof got);
        run(&f, rows[i], &got[0][0]);
        assert_memory_equal(all, got, sizeof all);
    }
    tear_down(&f);
}

/* Asks for logits from row `from` on, or for none, and expects those of a full pass. */
static void check_from(struct fixture *f, const float *all, int from)
{
    static float got[N_TOKENS + 1][TINY_VOCAB];
    uint32_t pos[N_TOKENS];
    struct err err = {{0}};
    struct model_forward_args args = {.token = tokens(),
                                      .pos = pos,
                                      .n_rows = N_TOKENS,
                                      .cache = {.self = &f->cache, .attend = flat_cache_attend},
                                      .logits = &got[0][0],
                                      .logits_from = from};
    size_t n = (size_t)(N_TOKENS - from) * TINY_VOCAB;

    for (uint32_t i = 0; i < N_TOKENS; i++)
        pos[i] = i;
    memset(got, 0x5a, sizeof got);
    assert_int_equal(model_forward(f->model, &args, &err), ST_OK);
    assert_memory_equal(got, all + (size_t)from * TINY_VOCAB, n * sizeof(float));
    for (size_t i = n * sizeof(float); i < sizeof got; i++)
        assert_int_equal(((uint8_t *)got)[i], 0x5a);
}

static void only_the_wanted_logits_are_written(void **state)
{
    static const int from[] = {0, 1, 11, 12, 13, N_TOKENS - 1, N_TOKENS};
    static float all[N_TOKENS][TINY_VOCAB], last[N_TOKENS][TINY_VOCAB];
    struct fixture f;

    set_up(&f, true, false, false);
    run(&f, N_TOKENS, &all[0][0]);
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++)
        check_from(&f, &all[0][0], from[i]);

    /* A pass without logits fills the cache as well as one with them. */
    struct err err = {{0}};
    uint32_t pos[N_TOKENS];
    struct model_forward_args fill = {.token = tokens(),
                                      .pos = pos,
                                      .n_rows = N_TOKENS - 1,
                                      .cache = {.self = &f.cache, .attend = flat_cache_attend}};
    for (uint32_t i = 0; i < N_TOKENS; i++)
        pos[i] = i;
    memset(f.cache.k, 0, sizeof(float) * TINY_LAYERS * N_TOKENS * KV_COLS);
    memset(f.cache.v, 0, sizeof(float) * TINY_LAYERS * N_TOKENS * KV_COLS);
    assert_int_equal(model_forward(f.model, &fill, &err), ST_OK);
    assert_int_equal(flat_cache_run(&f.cache, f.model, tokens() + N_TOKENS - 1, N_TOKENS - 1, 1, 1,
                                    &last[0][0], &err),
                     ST_OK);
    assert_memory_equal(last[0], all[N_TOKENS - 1], sizeof last[0]);
    tear_down(&f);
}

static void a_token_outside_the_vocabulary_is_refused(void **state)
{
    static const int32_t bad[] = {-1, TINY_VOCAB, INT32_MAX, INT32_MIN};
    struct fixture f;
    float logits[TINY_VOCAB];
    struct err err = {{0}};

    set_up(&f, true, false, false);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(flat_cache_run(&f.cache, f.model, &bad[i], 0, 1, 1, logits, &err),
                         ST_CORRUPT);
        assert_non_null(strstr(err.text, "is not in [0, 37)"));
    }
    tear_down(&f);
}

static void a_failing_cache_ends_the_pass_with_its_words(void **state)
{
    struct fixture f;
    float logits[TINY_VOCAB];
    int32_t token = 1;
    struct err err = {{0}};

    set_up(&f, true, false, false);
    assert_int_equal(flat_cache_run(&f.cache, f.model, &token, N_TOKENS, 1, 1, logits, &err),
                     ST_NO_SPACE);
    assert_string_equal(err.text, "layer 0: position 45");
    tear_down(&f);
}

static void the_fingerprint_tells_config_and_headers_but_not_data(void **state)
{
    struct fixture a, b, c;

    set_up(&a, true, false, false);
    set_up(&b, true, false, false);
    set_up(&c, false, false, false);
    assert_true(model_fingerprint(a.model) == model_fingerprint(b.model));
    assert_true(model_fingerprint(a.model) != model_fingerprint(c.model));
    assert_int_equal(model_weight_bytes(a.model), device_used(a.dev, DEVICE_WEIGHTS));
    tear_down(&c);
    tear_down(&b);
    tear_down(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_plain_loops),
        cmocka_unit_test(every_family_gives_the_logits_of_plain_loops),
        cmocka_unit_test(logits_do_not_depend_on_the_number_of_rows),
        cmocka_unit_test(only_the_wanted_logits_are_written),
        cmocka_unit_test(a_token_outside_the_vocabulary_is_refused),
        cmocka_unit_test(a_failing_cache_ends_the_pass_with_its_words),
        cmocka_unit_test(the_fingerprint_tells_config_and_headers_but_not_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
