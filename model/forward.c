#include "model/forward.h"

#include <string.h>

#include "common/mem.h"
#include "common/trace.h"
#include "kernels/ops.h"

/* Rows of a pass from which on something is wanted. */
struct rows {
    int from, n;
};

static enum status check_tokens(const struct model_config *cfg,
                                const struct model_forward_args *args, struct err *err)
{
    CHECK(args->n_rows > 0);
    CHECK((args->logits == NULL && args->p == NULL) ||
          (args->logits_from >= 0 && args->logits_from <= args->n_rows));
    for (int r = 0; r < args->n_rows; r++) {
        if (args->token[r] < 0 || (uint32_t)args->token[r] >= cfg->n_vocab)
            return err_set(err, ST_CORRUPT, "row %d: token %d is not in [0, %u)", r, args->token[r],
                           cfg->n_vocab);
    }
    return ST_OK;
}

/* Takes n floats from the block, or only counts them while there is none. */
static float *cut(char *block, size_t *at, size_t n_rows, size_t n_cols)
{
    float *piece = block == NULL ? NULL : (float *)(block + *at);

    *at += (n_rows * n_cols * sizeof(float) + 63) / 64 * 64; /* pieces keep the block's alignment */
    return piece;
}

/* Bytes of the whole block. */
static size_t cut_all(struct forward_scratch *s, char *block, const struct model_config *cfg,
                      int n_rows)
{
    size_t q_cols = (size_t)cfg->n_heads * cfg->head_dim;
    size_t kv_cols = (size_t)cfg->n_kv_heads * cfg->head_dim;
    size_t rows = (size_t)n_rows;
    size_t at = 0;

    s->x = cut(block, &at, rows, cfg->hidden);
    s->norm = cut(block, &at, rows, cfg->hidden);
    s->q = cut(block, &at, rows, q_cols);
    s->k = cut(block, &at, rows, kv_cols);
    s->v = cut(block, &at, rows, kv_cols);
    s->attended = cut(block, &at, rows, q_cols);
    s->gate = cut(block, &at, rows, cfg->intermediate);
    s->up = cut(block, &at, rows, cfg->intermediate);
    size_t logit_rows = rows < FORWARD_LOGIT_ROWS ? rows : FORWARD_LOGIT_ROWS;
    s->logits = cut(block, &at, logit_rows, cfg->n_vocab);
    s->p = cut(block, &at, logit_rows, cfg->n_vocab);
    return at;
}

static enum status grow_scratch(struct forward_scratch *s, struct device *dev,
                                const struct model_config *cfg, int n_rows, struct err *err)
{
    struct forward_scratch grown = {.n_rows = n_rows};
    enum status st;

    if (n_rows <= s->n_rows)
        return ST_OK;
    st = device_sync(dev, err); /* queued operations may still use the old block */
    if (st != ST_OK)
        return st;
    forward_scratch_release(s, dev);
    st = device_alloc(dev, DEVICE_SCRATCH, cut_all(&grown, NULL, cfg, n_rows), &grown.block, err);
    if (st != ST_OK)
        return err_in(err, st, "scratch of a pass of %d rows", n_rows);
    cut_all(&grown, grown.block, cfg, n_rows);
    *s = grown;
    return ST_OK;
}

void forward_scratch_release(struct forward_scratch *scratch, struct device *dev)
{
    device_free(dev, scratch->block);
    memset(scratch, 0, sizeof *scratch);
}

static enum status normalize(const struct forward *fw, const struct weight *weight,
                             struct rows rows, struct err *err)
{
    size_t at = (size_t)rows.from * fw->cfg->hidden;
    struct rmsnorm_args args = {
        .out = fw->scratch->norm + at,
        .in = fw->scratch->x + at,
        .weight = weight->data,
        .type = weight->type,
        .n_rows = rows.n,
        .n_cols = (int)fw->cfg->hidden,
        .eps = fw->cfg->rms_eps,
    };

    return device_ops(fw->dev)->rmsnorm(fw->dev, &args, err);
}

/* out = weight x + bias over the rows, added to `out` if it is the residual stream. */
static enum status project(const struct forward *fw, const struct weight *weight, float *out,
                           size_t n_out, const float *x, size_t n_in, struct rows rows,
                           struct err *err)
{
    struct matmul_args args = {
        .out = out + (size_t)rows.from * n_out,
        .x = x + (size_t)rows.from * n_in,
        .w = weight->data,
        .bias = weight->bias,
        .type = weight->type,
        .n_rows = rows.n,
        .n_in = (int)n_in,
        .n_out = (int)n_out,
        .accumulate = out == fw->scratch->x,
    };

    return device_ops(fw->dev)->matmul(fw->dev, &args, err);
}

/* A weight and where its product with the normalized rows goes. */
struct projection {
    const struct weight *weight;
    float *out;
    size_t n_out;
};

/* Products of one x by up to MATMUL_WEIGHTS weights: one operation if the types allow it. */
static enum status project_all(const struct forward *fw, const struct projection *to, int n,
                               struct rows rows, struct err *err)
{
    size_t hidden = fw->cfg->hidden;
    struct matmul_args args = {
        .out = to[0].out + (size_t)rows.from * to[0].n_out,
        .x = fw->scratch->norm + (size_t)rows.from * hidden,
        .w = to[0].weight->data,
        .bias = to[0].weight->bias,
        .type = to[0].weight->type,
        .n_rows = rows.n,
        .n_in = (int)hidden,
        .n_out = (int)to[0].n_out,
    };

    for (int i = 1; i < n; i++) {
        if (to[i].weight->type != args.type) {
            enum status st = project_all(fw, to, i, rows, err);
            return st == ST_OK ? project_all(fw, to + i, n - i, rows, err) : st;
        }
        args.also[args.n_also++] = (struct matmul_also){
            .out = to[i].out + (size_t)rows.from * to[i].n_out,
            .w = to[i].weight->data,
            .bias = to[i].weight->bias,
            .n_out = (int)to[i].n_out,
        };
    }
    return device_ops(fw->dev)->matmul(fw->dev, &args, err);
}

/* Every head of q or k on its own; nothing for families without such norms. */
static enum status normalize_heads(const struct forward *fw, const struct weight *weight, float *x,
                                   int n_heads, struct err *err)
{
    struct rmsnorm_args args = {
        .out = x,
        .in = x,
        .weight = weight->data,
        .type = weight->type,
        .n_rows = n_heads,
        .n_cols = (int)fw->cfg->head_dim,
        .eps = fw->cfg->rms_eps,
    };

    return weight->data == NULL ? ST_OK : device_ops(fw->dev)->rmsnorm(fw->dev, &args, err);
}

/* Keys and values of all rows go to the cache; `wanted` rows of the result are used. */
static enum status attention_block(const struct forward *fw, const struct model_forward_args *args,
                                   int layer, struct rows wanted, struct err *err)
{
    const struct weights_layer *w = &fw->weights->layer[layer];
    struct forward_scratch *s = fw->scratch;
    size_t hidden = fw->cfg->hidden;
    size_t q_cols = (size_t)fw->cfg->n_heads * fw->cfg->head_dim;
    size_t kv_cols = (size_t)fw->cfg->n_kv_heads * fw->cfg->head_dim;
    struct rows all = {0, args->n_rows};
    const struct projection qkv[] = {
        {&w->q, s->q, q_cols}, {&w->k, s->k, kv_cols}, {&w->v, s->v, kv_cols}};
    struct model_attend_args attend = {
        .layer = layer,
        .n_rows = args->n_rows,
        .pos = args->pos,
        .q = s->q,
        .k = s->k,
        .v = s->v,
        .out = s->attended,
    };
    enum status st = normalize(fw, &w->input_norm, all, err);

    if (st == ST_OK)
        st = project_all(fw, qkv, 3, all, err);
    if (st == ST_OK)
        st = normalize_heads(fw, &w->q_norm, s->q, args->n_rows * (int)fw->cfg->n_heads, err);
    if (st == ST_OK)
        st = normalize_heads(fw, &w->k_norm, s->k, args->n_rows * (int)fw->cfg->n_kv_heads, err);
    if (st == ST_OK)
        st = args->cache.attend(args->cache.self, &attend, err);
    if (st == ST_OK)
        st = project(fw, &w->o, s->x, hidden, s->attended, q_cols, wanted, err);
    return st;
}

static enum status mlp_block(const struct forward *fw, int layer, struct rows wanted,
                             struct err *err)
{
    const struct weights_layer *w = &fw->weights->layer[layer];
    struct forward_scratch *s = fw->scratch;
    size_t hidden = fw->cfg->hidden, ff = fw->cfg->intermediate;
    const struct projection gate_up[] = {{&w->gate, s->gate, ff}, {&w->up, s->up, ff}};
    struct swiglu_args swiglu = {
        .out = s->gate + (size_t)wanted.from * ff,
        .gate = s->gate + (size_t)wanted.from * ff,
        .up = s->up + (size_t)wanted.from * ff,
        .n_rows = wanted.n,
        .n_cols = (int)ff,
    };
    enum status st;

    if (wanted.n == 0)
        return ST_OK;
    st = normalize(fw, &w->post_norm, wanted, err);
    if (st == ST_OK)
        st = project_all(fw, gate_up, 2, wanted, err);
    if (st == ST_OK)
        st = device_ops(fw->dev)->swiglu(fw->dev, &swiglu, err);
    if (st == ST_OK)
        st = project(fw, &w->down, s->x, hidden, s->gate, ff, wanted, err);
    return st;
}

/* What is wanted of the `n` rows of logits at hand, which are `at` rows behind the first. */
static enum status download_rows(const struct forward *fw, const struct model_forward_args *args,
                                 int at, int n, struct err *err)
{
    size_t n_vocab = fw->cfg->n_vocab;
    size_t bytes = (size_t)n * n_vocab * sizeof(float);
    struct density_rows_args law = {
        .p = fw->scratch->p,
        .logits = fw->scratch->logits,
        .n_rows = n,
        .n_vocab = (int)n_vocab,
        .law = args->law,
    };
    enum status st = ST_OK;

    if (args->p != NULL) {
        st = device_ops(fw->dev)->density_rows(fw->dev, &law, err);
        if (st == ST_OK)
            st = device_download(fw->dev, args->p + (size_t)at * n_vocab, law.p, bytes, err);
    }
    if (st == ST_OK && args->logits != NULL)
        st = device_download(fw->dev, args->logits + (size_t)at * n_vocab, law.logits, bytes, err);
    return st;
}

static enum status download_logits(const struct forward *fw, const struct model_forward_args *args,
                                   struct rows wanted, struct err *err)
{
    size_t hidden = fw->cfg->hidden, n_vocab = fw->cfg->n_vocab;
    enum status st = normalize(fw, &fw->weights->norm, wanted, err);

    for (int at = 0; st == ST_OK && at < wanted.n; at += FORWARD_LOGIT_ROWS) {
        int left = wanted.n - at;
        struct rows part = {0, left < FORWARD_LOGIT_ROWS ? left : FORWARD_LOGIT_ROWS};
        st = project(fw, &fw->weights->head, fw->scratch->logits, n_vocab,
                     fw->scratch->norm + (size_t)(wanted.from + at) * hidden, hidden, part, err);
        if (st == ST_OK)
            st = download_rows(fw, args, at, part.n, err);
    }
    return st;
}

enum status forward_run(const struct forward *fw, const struct model_forward_args *args,
                        struct err *err)
{
    bool wants_rows = args->logits != NULL || args->p != NULL;
    int first_wanted = wants_rows ? args->logits_from : args->n_rows;
    struct rows logit_rows = {first_wanted, args->n_rows - first_wanted};
    struct rows all = {0, args->n_rows};
    int n_layers = (int)fw->cfg->n_layers;
    enum status st = check_tokens(fw->cfg, args, err);

    if (st == ST_OK)
        st = grow_scratch(fw->scratch, fw->dev, fw->cfg, args->n_rows, err);
    if (st == ST_OK) {
        struct embed_args embed = {
            .out = fw->scratch->x,
            .table = fw->weights->embed.data,
            .type = fw->weights->embed.type,
            .token = args->token,
            .n_rows = args->n_rows,
            .n_cols = (int)fw->cfg->hidden,
        };
        st = device_ops(fw->dev)->embed(fw->dev, &embed, err);
    }
    for (int l = 0; st == ST_OK && l < n_layers; l++) {
        /* After the last layer's keys and values only rows with logits are of use. */
        struct rows wanted = l + 1 < n_layers ? all : logit_rows;
        uint64_t span = trace_begin(TRACE_LAYER);
        st = attention_block(fw, args, l, wanted, err);
        if (st == ST_OK)
            st = mlp_block(fw, l, wanted, err);
        trace_end(TRACE_LAYER, span, (uint64_t)l, (uint32_t)args->n_rows);
        if (st != ST_OK)
            return err_in(err, st, "layer %d", l);
    }
    if (st == ST_OK && logit_rows.n > 0)
        st = download_logits(fw, args, logit_rows, err);
    return st;
}
