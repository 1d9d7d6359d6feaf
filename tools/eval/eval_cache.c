#include "tools/eval/eval_cache.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/rng.h"
#include "kernels/ops.h"

enum { SIGN_SEED = 20 };

struct eval_cache {
    struct eval_cache_options opt;
    const struct model_config *cfg;
    struct kv_shape shape;
    bool seals;
    enum kv_format sealed_format;
    uint32_t end, n_pages, n_sealed;
    uint32_t first_own;                 /* pages below lie in what it forked from */
    uint8_t *tail_block, *sealed_block; /* device, [n_layers] times its own, times all pages */
    void ***tail;                       /* [n_layers][n_pages] */
    void ***sealed;                     /* [n_layers][n_pages]; NULL until sealed */
    float *sign;                        /* device, [head_dim]; NULL: none */
    const float *cos, *sin;
    uint32_t *limit;               /* [EVAL_PREFILL_ROWS] */
    double k_error[2], v_error[2]; /* sums of kv_seal */
};

static size_t base_bytes(const struct eval_cache *c)
{
    return kv_page_bytes(c->opt.base, c->shape);
}

static enum status make_signs(struct eval_cache *c, struct err *err)
{
    const uint32_t key[2] = {SIGN_SEED, 0};
    float sign[KV_MAX_HEAD_DIM];
    size_t n = c->cfg->head_dim * sizeof *sign;
    void *mem = NULL;
    enum status st;

    for (uint32_t i = 0; i < c->cfg->head_dim; i++) {
        const uint32_t counter[4] = {i, 0, 0, 0};
        sign[i] = rng_philox(counter, key).word[0] & 1 ? -1.0f : 1.0f;
    }
    st = device_alloc(c->opt.dev, DEVICE_SCRATCH, n, &mem, err);
    c->sign = mem;
    return st == ST_OK ? device_upload(c->opt.dev, mem, sign, n, err) : st;
}

/* Pages from first_own on are the cache's own; those below stay NULL. */
static enum status make_pages(struct eval_cache *c, struct err *err)
{
    uint32_t n_layers = c->cfg->n_layers, n_own = c->n_pages - c->first_own;
    size_t sealed_bytes = kv_page_bytes(c->sealed_format, c->shape);
    void *mem = NULL;
    enum status st = device_alloc(c->opt.dev, DEVICE_KV_TAIL,
                                  (size_t)n_layers * n_own * base_bytes(c), &mem, err);

    c->tail_block = mem;
    if (st == ST_OK && c->seals)
        st = device_alloc(c->opt.dev, DEVICE_KV_RESIDENT,
                          (size_t)n_layers * c->n_pages * sealed_bytes, &mem, err);
    if (st != ST_OK)
        return st;
    c->sealed_block = c->seals ? mem : NULL;
    for (uint32_t l = 0; l < n_layers; l++)
        for (uint32_t p = c->first_own; p < c->n_pages; p++)
            c->tail[l][p] = c->tail_block + ((size_t)l * n_own + p - c->first_own) * base_bytes(c);
    return ST_OK;
}

static enum status open_at(struct eval_cache **out, const struct eval_cache_options *opt,
                           const struct eval_cache *prompt, const enum kv_format *sealed,
                           struct err *err)
{
    struct eval_cache *c = mem_zalloc(sizeof *c);
    enum status st;

    c->opt = *opt;
    c->cfg = model_config(opt->model);
    c->shape = (struct kv_shape){c->cfg->n_kv_heads, c->cfg->head_dim};
    c->seals = sealed != NULL;
    c->sealed_format = sealed != NULL ? *sealed : opt->base;
    c->n_pages = (opt->max_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    c->end = prompt != NULL ? prompt->end : 0;
    c->first_own = c->end / PAGE_TOKENS;
    c->limit = mem_array(EVAL_PREFILL_ROWS, sizeof *c->limit);
    c->tail = mem_array(c->cfg->n_layers, sizeof *c->tail);
    c->sealed = mem_array(c->cfg->n_layers, sizeof *c->sealed);
    for (uint32_t l = 0; l < c->cfg->n_layers; l++) {
        c->tail[l] = mem_array(c->n_pages, sizeof **c->tail);
        c->sealed[l] = mem_array(c->n_pages, sizeof **c->sealed);
        for (uint32_t p = 0; p < c->first_own; p++)
            c->tail[l][p] = prompt->tail[l][p];
    }
    st = model_rope_tables(opt->model, opt->max_tokens, &c->cos, &c->sin, err);
    if (st == ST_OK)
        st = make_pages(c, err);
    if (st == ST_OK && opt->turn == EVAL_TURN_SIGNED)
        st = make_signs(c, err);
    if (st != ST_OK) {
        eval_cache_close(c);
        return err_in(err, st, "KV of %u tokens", opt->max_tokens);
    }
    *out = c;
    return ST_OK;
}

enum status eval_cache_open(struct eval_cache **out, const struct eval_cache_options *opt,
                            struct err *err)
{
    return open_at(out, opt, NULL, NULL, err);
}

/* All pages that are full and not sealed yet, layer by layer. */
static enum status seal_full_pages(struct eval_cache *c, struct err *err)
{
    uint32_t from = c->n_sealed, to = c->end / PAGE_TOKENS;
    size_t bytes = kv_page_bytes(c->sealed_format, c->shape);
    enum status st = ST_OK;

    if (!c->seals || from == to)
        return ST_OK;
    for (uint32_t l = 0; st == ST_OK && l < c->cfg->n_layers; l++) {
        for (uint32_t p = from; p < to; p++)
            c->sealed[l][p] = c->sealed_block + ((size_t)l * c->n_pages + p) * bytes;
        struct kv_seal_args seal = {.out = c->sealed[l] + from,
                                    .in = (const void *const *)c->tail[l] + from,
                                    .from_format = c->opt.base,
                                    .to_format = c->sealed_format,
                                    .shape = c->shape,
                                    .n_pages = (int)(to - from),
                                    .k_error = c->k_error,
                                    .v_error = c->v_error};
        st = device_ops(c->opt.dev)->kv_seal(c->opt.dev, &seal, err);
    }
    c->n_sealed = to;
    return st;
}

enum status eval_cache_fork(struct eval_cache **out, const struct eval_cache *prompt, bool seals,
                            enum kv_format sealed, struct err *err)
{
    struct eval_cache *c = NULL;
    enum status st = open_at(&c, &prompt->opt, prompt, seals ? &sealed : NULL, err);

    if (st != ST_OK)
        return st;
    for (uint32_t l = 0; st == ST_OK && c->end % PAGE_TOKENS != 0 && l < c->cfg->n_layers; l++)
        st = device_upload(c->opt.dev, c->tail[l][c->first_own], prompt->tail[l][c->first_own],
                           base_bytes(c), err);
    if (st == ST_OK)
        st = seal_full_pages(c, err);
    if (st != ST_OK) {
        eval_cache_close(c);
        return st;
    }
    *out = c;
    return ST_OK;
}

void eval_cache_close(struct eval_cache *c)
{
    if (c == NULL)
        return;
    for (uint32_t l = 0; l < c->cfg->n_layers; l++) {
        free(c->tail[l]);
        free(c->sealed[l]);
    }
    free(c->tail);
    free(c->sealed);
    free(c->limit);
    device_free(c->opt.dev, c->tail_block);
    device_free(c->opt.dev, c->sealed_block);
    device_free(c->opt.dev, c->sign);
    free(c);
}

/* Positions, then the turn; keys go to their pages. */
static enum status place_rows(struct eval_cache *c, const struct model_attend_args *a,
                              struct err *err)
{
    const struct device_ops *ops = device_ops(c->opt.dev);
    struct device *dev = c->opt.dev;
    int n_heads = (int)c->cfg->n_heads, n_kv = (int)c->cfg->n_kv_heads;
    int dim = (int)c->cfg->head_dim;
    struct rope_args rope = {a->q, c->cos, c->sin, a->pos, a->n_rows, n_heads, dim};
    struct hadamard_args turn = {a->q, c->sign, a->n_rows * n_heads, dim};
    struct kv_write_args write = {c->tail[a->layer], c->opt.base, c->shape, a->k, a->v, a->pos,
                                  a->n_rows};
    enum status st = ops->rope(dev, &rope, err);

    rope.x = a->k;
    rope.n_heads = n_kv;
    if (st == ST_OK)
        st = ops->rope(dev, &rope, err);
    if (st == ST_OK && c->opt.turn != EVAL_TURN_NONE)
        st = ops->hadamard(dev, &turn, err);
    turn.x = a->k;
    turn.n_vectors = a->n_rows * n_kv;
    if (st == ST_OK && c->opt.turn != EVAL_TURN_NONE)
        st = ops->hadamard(dev, &turn, err);
    return st == ST_OK ? ops->kv_write(dev, &write, err) : st;
}

void eval_cache_view(const struct eval_cache *c, uint32_t layer, struct kv_view *out)
{
    *out = (struct kv_view){.shape = c->shape,
                            .sealed_format = c->sealed_format,
                            .tail_format = c->opt.base,
                            .n_pages = c->n_pages,
                            .sealed = (const void *const *)c->sealed[layer],
                            .tail = (const void *const *)c->tail[layer]};
}

static enum status attend(void *self, const struct model_attend_args *a, struct err *err)
{
    struct eval_cache *c = self;
    struct kv_view view;
    struct attention_args attention = {.out = a->out,
                                       .q = a->q,
                                       .limit = c->limit,
                                       .n_rows = a->n_rows,
                                       .n_heads = (int)c->cfg->n_heads,
                                       .scale = 1.0f / sqrtf((float)c->cfg->head_dim),
                                       .view = &view,
                                       .window = model_config_window(c->cfg, (uint32_t)a->layer)};
    enum status st = place_rows(c, a, err);

    eval_cache_view(c, (uint32_t)a->layer, &view);
    view.n_pages = (c->limit[a->n_rows - 1] + PAGE_TOKENS - 1) / PAGE_TOKENS;
    return st == ST_OK ? device_ops(c->opt.dev)->attention(c->opt.dev, &attention, err) : st;
}

enum status eval_cache_pass(struct eval_cache *c, const int32_t *token, int n, float *logits,
                            struct err *err)
{
    uint32_t pos[EVAL_PREFILL_ROWS];
    struct model_forward_args pass = {
        .token = token, .pos = pos, .n_rows = n, .cache = {c, attend}, .logits = logits};
    enum status st;

    CHECK(n > 0 && n <= (c->seals ? EVAL_PASS_ROWS : EVAL_PREFILL_ROWS));
    CHECK(c->end + (uint32_t)n <= c->opt.max_tokens);
    for (int r = 0; r < n; r++) {
        pos[r] = c->end + (uint32_t)r;
        c->limit[r] = pos[r] + 1;
    }
    st = model_forward(c->opt.model, &pass, err);
    if (st != ST_OK)
        return err_in(err, st, "tokens %u to %u", pos[0], pos[n - 1]);
    c->end += (uint32_t)n;
    return seal_full_pages(c, err);
}

uint32_t eval_cache_end(const struct eval_cache *c)
{
    return c->end;
}

void eval_cache_seal_error(const struct eval_cache *c, double *k, double *v)
{
    *k = c->n_sealed > 0 ? sqrt(c->k_error[0] / c->k_error[1]) : NAN;
    *v = c->n_sealed > 0 ? sqrt(c->v_error[0] / c->v_error[1]) : NAN;
}
