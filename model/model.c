#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/whole_file.h"
#include "model/forward.h"
#include "model/json_doc.h"
#include "model/rope_tables.h"
#include "model/weights.h"

struct model {
    struct device *dev; /* borrowed */
    struct model_config cfg;
    struct weights weights;
    struct rope_tables rope;
    struct forward_scratch scratch;
    uint64_t fingerprint;
};

static void hash_bytes(XXH3_state_t *hash, const void *bytes, size_t n_bytes)
{
    CHECK(XXH3_64bits_update(hash, bytes, n_bytes) == XXH_OK);
}

/* Headers follow each other in the order of the files' names. */
static enum status compute_fingerprint(uint64_t *out, const char *dir, const struct weights *w,
                                       struct err *err)
{
    char *path = mem_printf("%s/config.json", dir);
    XXH3_state_t *hash = XXH3_createState();
    char *text = NULL;
    size_t n_bytes = 0;
    enum status st = whole_file_read(&text, &n_bytes, path, JSON_DOC_MAX_BYTES, err);

    CHECK(hash != NULL && XXH3_64bits_reset(hash) == XXH_OK);
    if (st == ST_OK)
        hash_bytes(hash, text, n_bytes);
    for (size_t i = 0; st == ST_OK && i < w->ckpt.n_files; i++)
        hash_bytes(hash, w->ckpt.file[i].bytes, w->ckpt.file[i].data_at);
    if (st == ST_OK)
        *out = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    free(text);
    free(path);
    return st;
}

static enum status open_model(struct model **out, struct device *dev, const char *dir,
                              const struct model_shares *shares, struct err *err)
{
    struct model *model = mem_zalloc(sizeof *model);
    enum status st;

    model->dev = dev;
    st = model_config_read(&model->cfg, dir, err);
    if (st == ST_OK)
        st = weights_open(&model->weights, dev, &model->cfg, dir, shares, err);
    if (st == ST_OK)
        st = compute_fingerprint(&model->fingerprint, dir, &model->weights, err);
    if (st == ST_OK && shares != NULL && model->fingerprint != shares->fingerprint)
        st = err_set(err, ST_CORRUPT, "%s is not the checkpoint whose weights are shared", dir);
    if (st != ST_OK) {
        model_close(model);
        return st;
    }
    log_info(LOG_MODEL, "open architecture=%s layers=%u hidden=%u vocab=%u weight_bytes=%zu",
             model->cfg.architecture, model->cfg.n_layers, model->cfg.hidden, model->cfg.n_vocab,
             model->weights.size_bytes);
    *out = model;
    return ST_OK;
}

enum status model_open(struct model **out, struct device *dev, const char *dir, struct err *err)
{
    return open_model(out, dev, dir, NULL, err);
}

enum status model_open_shared(struct model **out, struct device *dev, const char *dir,
                              const struct model_shares *shares, struct err *err)
{
    return open_model(out, dev, dir, shares, err);
}

enum status model_export(const struct model *model, struct model_share *out, uint32_t cap,
                         uint32_t *n, struct err *err)
{
    return weights_export(&model->weights, out, cap, n, err);
}

void model_close(struct model *model)
{
    if (model == NULL)
        return;
    forward_scratch_release(&model->scratch, model->dev);
    rope_tables_release(&model->rope, model->dev);
    weights_release(&model->weights);
    free(model);
}

const struct model_config *model_config(const struct model *model)
{
    return &model->cfg;
}

size_t model_weight_bytes(const struct model *model)
{
    return model->weights.size_bytes;
}

uint64_t model_fingerprint(const struct model *model)
{
    return model->fingerprint;
}

enum status model_rope_tables(struct model *model, uint32_t n_positions, const float **out_cos,
                              const float **out_sin, struct err *err)
{
    enum status st = rope_tables_grow(&model->rope, model->dev, &model->cfg, n_positions, err);

    if (st != ST_OK)
        return st;
    *out_cos = model->rope.cos;
    *out_sin = model->rope.sin;
    return ST_OK;
}

enum status model_forward(struct model *model, const struct model_forward_args *args,
                          struct err *err)
{
    struct forward fw = {
        .dev = model->dev,
        .cfg = &model->cfg,
        .weights = &model->weights,
        .scratch = &model->scratch,
    };

    return forward_run(&fw, args, err);
}
