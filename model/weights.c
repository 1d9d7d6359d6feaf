#include "model/weights.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/half.h"

/* Sizes that tensors are made of. */
enum dim { DIM_NONE, DIM_HIDDEN, DIM_HEAD, DIM_Q, DIM_KV, DIM_FF, DIM_VOCAB };

/* Which option of the config gives the tensor a bias. */
enum bias { BIAS_NEVER, BIAS_QKV, BIAS_O, BIAS_MLP };

struct role {
    const char *name; /* within its layer; ".weight" and ".bias" follow */
    size_t offset;    /* of the struct weight */
    enum dim out, in; /* in: DIM_NONE for a vector */
    enum bias bias;
    bool qk_norm; /* only models with norms of q and k have it */
};

#define LAYER(field) offsetof(struct weights_layer, field)
static const struct role layer_roles[] = {
    {"input_layernorm", LAYER(input_norm), DIM_HIDDEN, DIM_NONE, BIAS_NEVER, false},
    {"self_attn.q_proj", LAYER(q), DIM_Q, DIM_HIDDEN, BIAS_QKV, false},
    {"self_attn.k_proj", LAYER(k), DIM_KV, DIM_HIDDEN, BIAS_QKV, false},
    {"self_attn.v_proj", LAYER(v), DIM_KV, DIM_HIDDEN, BIAS_QKV, false},
    {"self_attn.o_proj", LAYER(o), DIM_HIDDEN, DIM_Q, BIAS_O, false},
    {"self_attn.q_norm", LAYER(q_norm), DIM_HEAD, DIM_NONE, BIAS_NEVER, true},
    {"self_attn.k_norm", LAYER(k_norm), DIM_HEAD, DIM_NONE, BIAS_NEVER, true},
    {"post_attention_layernorm", LAYER(post_norm), DIM_HIDDEN, DIM_NONE, BIAS_NEVER, false},
    {"mlp.gate_proj", LAYER(gate), DIM_FF, DIM_HIDDEN, BIAS_MLP, false},
    {"mlp.up_proj", LAYER(up), DIM_FF, DIM_HIDDEN, BIAS_MLP, false},
    {"mlp.down_proj", LAYER(down), DIM_HIDDEN, DIM_FF, BIAS_MLP, false},
};
#undef LAYER
enum { N_LAYER_ROLES = sizeof layer_roles / sizeof layer_roles[0] };

static const struct role embed_role = {"model.embed_tokens",
                                       offsetof(struct weights, embed),
                                       DIM_VOCAB,
                                       DIM_HIDDEN,
                                       BIAS_NEVER,
                                       false};
static const struct role head_role = {
    "lm_head", offsetof(struct weights, head), DIM_VOCAB, DIM_HIDDEN, BIAS_NEVER, false};
static const struct role norm_role = {
    "model.norm", offsetof(struct weights, norm), DIM_HIDDEN, DIM_NONE, BIAS_NEVER, false};

/* What the binding of names to roles needs at hand. */
struct binder {
    struct weights *w;
    const struct model_config *cfg;
    size_t n_biases; /* floats of w->biases handed out */
};

static uint64_t dim_size(const struct model_config *cfg, enum dim dim)
{
    switch (dim) {
    case DIM_HIDDEN:
        return cfg->hidden;
    case DIM_HEAD:
        return cfg->head_dim;
    case DIM_Q:
        return (uint64_t)cfg->n_heads * cfg->head_dim;
    case DIM_KV:
        return (uint64_t)cfg->n_kv_heads * cfg->head_dim;
    case DIM_FF:
        return cfg->intermediate;
    case DIM_VOCAB:
        return cfg->n_vocab;
    case DIM_NONE:
        break;
    }
    return 0;
}

static bool role_has_bias(const struct role *role, const struct model_config *cfg)
{
    return (role->bias == BIAS_QKV && cfg->qkv_bias) || (role->bias == BIAS_O && cfg->o_bias) ||
           (role->bias == BIAS_MLP && cfg->mlp_bias);
}

/* *entry is the tensor `name` of shape [out] or [out, in], of a dtype that kernels read. */
static enum status find_tensor(const struct checkpoint *ckpt, const char *name, uint64_t out,
                               uint64_t in, const struct safetensors_entry **entry, size_t *index,
                               struct err *err)
{
    const struct safetensors_entry *e = checkpoint_find(ckpt, name, index);
    uint32_t n_dims = in == 0 ? 1 : 2;
    const char *path;

    if (e == NULL)
        return err_set(err, ST_CORRUPT, "tensor %s is missing", name);
    path = ckpt->file[*index].path;
    if (e->n_dims != n_dims || e->dim[0] != out || (n_dims == 2 && e->dim[1] != in))
        return err_set(err, ST_CORRUPT,
                       "%s: tensor %s: shape of %u dimensions [%llu, %llu], the config needs %u: "
                       "[%llu, %llu]",
                       path, name, e->n_dims, (unsigned long long)e->dim[0],
                       (unsigned long long)e->dim[1], n_dims, (unsigned long long)out,
                       (unsigned long long)in);
    if (e->dtype != SAFETENSORS_F32 && e->dtype != SAFETENSORS_F16 && e->dtype != SAFETENSORS_BF16)
        return err_set(
            err, ST_UNSUPPORTED,
            "%s: tensor %s: dtype %s is not supported as a weight; F32, F16 and BF16 are", path,
            name, safetensors_dtype_name(e->dtype));
    *entry = e;
    return ST_OK;
}

static enum weight_type type_of(enum safetensors_dtype dtype)
{
    switch (dtype) {
    case SAFETENSORS_F16:
        return WEIGHT_F16;
    case SAFETENSORS_BF16:
        return WEIGHT_BF16;
    default:
        return WEIGHT_F32;
    }
}

static void convert_to_f32(float *out, const uint8_t *from, enum weight_type type, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        if (type == WEIGHT_F32) {
            memcpy(&out[i], from + i * sizeof out[i], sizeof out[i]);
            continue;
        }
        memcpy(&h, from + i * sizeof h, sizeof h);
        out[i] = type == WEIGHT_F16 ? half_from_f16(h) : half_from_bf16(h);
    }
}

static enum status bind_bias(struct binder *b, struct weight *weight, const char *name, uint64_t n,
                             struct err *err)
{
    const struct safetensors_entry *entry = NULL;
    size_t index = 0;
    enum status st = find_tensor(&b->w->ckpt, name, n, 0, &entry, &index, err);
    const struct safetensors *file;
    float *values;

    if (st != ST_OK)
        return st;
    file = &b->w->ckpt.file[index];
    values = mem_array(n, sizeof *values);
    convert_to_f32(values, file->bytes + file->data_at + entry->begin, type_of(entry->dtype), n);
    weight->bias = b->w->biases + b->n_biases;
    st = device_upload(b->w->dev, b->w->biases + b->n_biases, values, n * sizeof *values, err);
    b->n_biases += n;
    free(values);
    return st;
}

/* A bias or norm that the config does not announce would change the output if it were ignored. */
static enum status check_absent(const struct binder *b, const char *name, struct err *err)
{
    size_t index = 0;

    if (checkpoint_find(&b->w->ckpt, name, &index) == NULL)
        return ST_OK;
    return err_set(err, ST_CORRUPT, "%s: tensor %s is there, but this config's %s has none",
                   b->w->ckpt.file[index].path, name, b->cfg->architecture);
}

/* Binds `prefix` + the role's name to the struct weight at the role's offset in `base`. */
static enum status bind_role(struct binder *b, const struct role *role, void *base,
                             const char *prefix, struct err *err)
{
    struct weight *weight = (struct weight *)((char *)base + role->offset);
    uint64_t n_out = dim_size(b->cfg, role->out);
    char *name = mem_printf("%s%s.weight", prefix, role->name);
    char *bias = mem_printf("%s%s.bias", prefix, role->name);
    const struct safetensors_entry *entry = NULL;
    size_t index = 0;
    bool in_force = !role->qk_norm || b->cfg->qk_norm;
    enum status st = in_force ? find_tensor(&b->w->ckpt, name, n_out, dim_size(b->cfg, role->in),
                                            &entry, &index, err)
                              : check_absent(b, name, err);

    if (st == ST_OK && in_force) {
        weight->data = b->w->data[index] + entry->begin;
        weight->type = type_of(entry->dtype);
        st = role_has_bias(role, b->cfg) ? bind_bias(b, weight, bias, n_out, err)
                                         : check_absent(b, bias, err);
    }
    free(name);
    free(bias);
    return st;
}

static bool has_weight(const struct weights *w, const struct role *role)
{
    char *name = mem_printf("%s.weight", role->name);
    size_t index;
    bool there = checkpoint_find(&w->ckpt, name, &index) != NULL;

    free(name);
    return there;
}

/* Of tied matrices the embedding is the one that counts if both are stored. */
static enum status bind_ends(struct binder *b, struct err *err)
{
    struct weights *w = b->w;
    const struct role *stored = &embed_role;
    enum status st;

    if (b->cfg->tied && !has_weight(w, &embed_role) && has_weight(w, &head_role))
        stored = &head_role;
    st = bind_role(b, stored, w, "", err);
    if (st == ST_OK && !b->cfg->tied)
        st = bind_role(b, &head_role, w, "", err);
    if (st == ST_OK && b->cfg->tied && stored == &embed_role)
        w->head = w->embed;
    if (st == ST_OK && stored == &head_role)
        w->embed = w->head;
    if (st == ST_OK)
        st = bind_role(b, &norm_role, w, "", err);
    return st;
}

static enum status bind_all(struct binder *b, struct err *err)
{
    enum status st = bind_ends(b, err);

    for (uint32_t l = 0; st == ST_OK && l < b->cfg->n_layers; l++) {
        char *prefix = mem_printf("model.layers.%u.", l);
        for (size_t i = 0; st == ST_OK && i < N_LAYER_ROLES; i++)
            st = bind_role(b, &layer_roles[i], &b->w->layer[l], prefix, err);
        free(prefix);
    }
    return st;
}

static size_t data_bytes(const struct safetensors *file)
{
    return file->n_bytes - file->data_at;
}

/* Share number *used is the file's, if it has its size. */
static enum status import_file(struct weights *w, const struct safetensors *file,
                               const struct model_shares *shares, uint32_t *used, const void **out,
                               struct err *err)
{
    const struct model_share *from = &shares->file[*used];
    void *data = NULL;
    enum status st;

    if (*used == shares->n || from->size_bytes != data_bytes(file))
        return err_set(err, ST_CORRUPT, "%s: %zu bytes of data are not what was shared", file->path,
                       data_bytes(file));
    st = device_import(w->dev, DEVICE_WEIGHTS, &from->share, &data, err);
    *out = data;
    ++*used;
    return st == ST_OK ? ST_OK : err_in(err, st, "%s", file->path);
}

/* The data of all files on the device: a copy of our own, or what was shared. */
static enum status place_files(struct weights *w, const struct model_shares *shares,
                               struct err *err)
{
    enum status st = ST_OK;
    uint32_t used = 0;

    w->data = mem_array(w->ckpt.n_files, sizeof *w->data);
    for (size_t i = 0; st == ST_OK && i < w->ckpt.n_files; i++) {
        const struct safetensors *file = &w->ckpt.file[i];
        const void *data = NULL;
        if (data_bytes(file) == 0) /* a shard of empty tensors has nothing to place */
            continue;
        if (shares != NULL)
            st = import_file(w, file, shares, &used, &data, err);
        else
            st = device_adopt(w->dev, DEVICE_WEIGHTS, file->bytes + file->data_at, data_bytes(file),
                              &data, err);
        w->data[i] = data;
        if (st == ST_OK)
            w->size_bytes += data_bytes(file);
    }
    return st;
}

enum status weights_export(const struct weights *w, struct model_share *out, uint32_t cap,
                           uint32_t *n, struct err *err)
{
    enum status st = ST_OK;

    *n = 0;
    for (size_t i = 0; st == ST_OK && i < w->ckpt.n_files; i++) {
        if (w->data[i] == NULL)
            continue;
        if (*n == cap)
            return err_set(err, ST_NO_SPACE, "a checkpoint of more than %u files", cap);
        out[*n].size_bytes = data_bytes(&w->ckpt.file[i]);
        st = device_export(w->dev, w->data[i], &out[*n].share, err);
        ++*n;
    }
    return st;
}

static enum status alloc_biases(struct weights *w, const struct model_config *cfg, struct err *err)
{
    size_t size_bytes = 0;
    enum status st;

    for (size_t i = 0; i < N_LAYER_ROLES; i++) {
        if (role_has_bias(&layer_roles[i], cfg))
            size_bytes += dim_size(cfg, layer_roles[i].out) * cfg->n_layers * sizeof(float);
    }
    if (size_bytes == 0)
        return ST_OK;
    if (size_bytes / 2 > w->size_bytes) /* half: an f32 here may be 2 bytes there */
        return err_set(err, ST_CORRUPT,
                       "the files are too small for the biases that the config announces");
    st = device_alloc(w->dev, DEVICE_WEIGHTS, size_bytes, (void **)&w->biases, err);
    if (st == ST_OK)
        w->size_bytes += size_bytes;
    return st;
}

enum status weights_open(struct weights *out, struct device *dev, const struct model_config *cfg,
                         const char *dir, const struct model_shares *shares, struct err *err)
{
    struct weights w = {.dev = dev};
    struct binder binder = {.w = &w, .cfg = cfg};
    enum status st = checkpoint_open(&w.ckpt, dir, err);

    if (st == ST_OK)
        st = place_files(&w, shares, err);
    if (st == ST_OK)
        st = alloc_biases(&w, cfg, err);
    if (st == ST_OK) {
        w.layer = mem_array(cfg->n_layers, sizeof *w.layer);
        st = bind_all(&binder, err);
    }
    if (st != ST_OK) {
        weights_release(&w);
        return err_in(err, st, "weights of %s", dir);
    }
    *out = w;
    return ST_OK;
}

void weights_release(struct weights *w)
{
    if (w->biases != NULL)
        device_free(w->dev, w->biases);
    for (size_t i = 0; w->data != NULL && i < w->ckpt.n_files; i++) {
        if (w->data[i] != NULL)
            device_drop(w->dev, w->data[i]);
    }
    free(w->data);
    free(w->layer);
    checkpoint_release(&w->ckpt);
    memset(w, 0, sizeof *w);
}
