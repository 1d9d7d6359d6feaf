/*
 * tiny_checkpoint.h - a made-up Llama of 2 layers with seeded weights, written as a checkpoint
 * directory; the values stay at hand for a reference. n_heads * head_dim differs from hidden,
 * all sizes are odd multiples, so that a mixed-up size shows.
 */
#ifndef TESTS_MODEL_TINY_CHECKPOINT_H
#define TESTS_MODEL_TINY_CHECKPOINT_H

#include <stdbool.h>

#include "kernels/half.h"
#include "tests/model/temp_dir.h"

enum {
    TINY_LAYERS = 2,
    TINY_HIDDEN = 24,
    TINY_HEADS = 4,
    TINY_KV_HEADS = 2,
    TINY_HEAD_DIM = 8,
    TINY_FF = 20,
    TINY_VOCAB = 37,
    TINY_MAX_TENSORS = 64
};

struct tiny_tensor {
    char name[80];
    uint32_t n_dims, dim[2];
    const char *dtype; /* "F32", "F16" or "BF16" */
    size_t n;          /* elements */
    float *value;      /* owned */
};

struct tiny {
    const char *architecture; /* NULL: LlamaForCausalLM */
    uint32_t window;          /* of a Mistral; of the last layer of a Qwen; 0: none */
    bool attention_bias, mlp_bias, tied;
    uint64_t seed;
    int n;
    struct tiny_tensor t[TINY_MAX_TENSORS];
};

/* In [-64, 64) / 128: exact in every dtype, also after an offset below 1. */
static inline float tiny_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((int)(*seed >> 57) - 64) / 128.0f;
}

/* Dtypes take turns by tensor. */
static inline void tiny_add(struct tiny *m, const char *name, uint32_t rows, uint32_t cols)
{
    static const char *const dtype[] = {"F32", "BF16", "F16"};
    struct tiny_tensor *t = &m->t[m->n];

    assert_true(m->n < TINY_MAX_TENSORS);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->dtype = dtype[m->n++ % 3];
    t->n_dims = cols == 0 ? 1 : 2;
    t->dim[0] = rows;
    t->dim[1] = cols;
    t->n = (size_t)rows * (cols == 0 ? 1 : cols);
    t->value = calloc(t->n, sizeof *t->value);
    for (size_t i = 0; i < t->n; i++)
        t->value[i] = tiny_random(&m->seed) + (cols == 0 ? 0.75f : 0.0f);
}

static inline void tiny_add_linear(struct tiny *m, int layer, const char *name, uint32_t rows,
                                   uint32_t cols, bool bias)
{
    char full[80];

    snprintf(full, sizeof full, "model.layers.%d.%s.weight", layer, name);
    tiny_add(m, full, rows, cols);
    snprintf(full, sizeof full, "model.layers.%d.%s.bias", layer, name);
    if (bias)
        tiny_add(m, full, rows, 0);
}

static inline bool tiny_is(const struct tiny *m, const char *architecture)
{
    return m->architecture != NULL && strcmp(m->architecture, architecture) == 0;
}

static inline void tiny_make(struct tiny *m)
{
    bool qkv_bias = m->attention_bias || tiny_is(m, "Qwen2ForCausalLM");
    uint32_t q = TINY_HEADS * TINY_HEAD_DIM, kv = TINY_KV_HEADS * TINY_HEAD_DIM;

    for (int l = 0; l < TINY_LAYERS; l++) {
        tiny_add_linear(m, l, "input_layernorm", TINY_HIDDEN, 0, false);
        tiny_add_linear(m, l, "self_attn.q_proj", q, TINY_HIDDEN, qkv_bias);
        tiny_add_linear(m, l, "self_attn.k_proj", kv, TINY_HIDDEN, qkv_bias);
        tiny_add_linear(m, l, "self_attn.v_proj", kv, TINY_HIDDEN, qkv_bias);
        tiny_add_linear(m, l, "self_attn.o_proj", TINY_HIDDEN, q, m->attention_bias);
        if (tiny_is(m, "Qwen3ForCausalLM")) {
            tiny_add_linear(m, l, "self_attn.q_norm", TINY_HEAD_DIM, 0, false);
            tiny_add_linear(m, l, "self_attn.k_norm", TINY_HEAD_DIM, 0, false);
        }
        tiny_add_linear(m, l, "post_attention_layernorm", TINY_HIDDEN, 0, false);
        tiny_add_linear(m, l, "mlp.gate_proj", TINY_FF, TINY_HIDDEN, m->mlp_bias);
        tiny_add_linear(m, l, "mlp.up_proj", TINY_FF, TINY_HIDDEN, m->mlp_bias);
        tiny_add_linear(m, l, "mlp.down_proj", TINY_HIDDEN, TINY_FF, m->mlp_bias);
    }
    tiny_add(m, "model.norm.weight", TINY_HIDDEN, 0);
    tiny_add(m, "model.embed_tokens.weight", TINY_VOCAB, TINY_HIDDEN);
    if (!m->tied)
        tiny_add(m, "lm_head.weight", TINY_VOCAB, TINY_HIDDEN);
}

/* NULL if there is none. */
static inline struct tiny_tensor *tiny_find(struct tiny *m, const char *name)
{
    for (int i = 0; i < m->n; i++) {
        if (strcmp(m->t[i].name, name) == 0)
            return &m->t[i];
    }
    return NULL;
}

static inline void tiny_put(FILE *f, float value, const char *dtype)
{
    uint32_t bits = half_f32_to_bits(value);
    uint16_t half = strcmp(dtype, "F16") == 0 ? half_to_f16(value) : (uint16_t)(bits >> 16);

    if (strcmp(dtype, "F32") == 0)
        fwrite(&bits, sizeof bits, 1, f);
    else
        fwrite(&half, sizeof half, 1, f);
}

/* Tensors [from, to) as one safetensors file. */
static inline void tiny_write_file(const struct tiny *m, int from, int to,
                                   const struct temp_dir *dir, const char *name)
{
    char *text = NULL, *bytes = NULL;
    size_t n_text = 0, n_bytes = 0, at = 0;
    FILE *header = open_memstream(&text, &n_text);
    FILE *file = open_memstream(&bytes, &n_bytes);
    uint64_t length;

    fprintf(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = from; i < to; i++) {
        const struct tiny_tensor *t = &m->t[i];
        size_t end = at + t->n * (strcmp(t->dtype, "F32") == 0 ? 4 : 2);
        fprintf(header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%u", t->name, t->dtype, t->dim[0]);
        if (t->n_dims == 2)
            fprintf(header, ",%u", t->dim[1]);
        fprintf(header, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    fprintf(header, "}");
    fclose(header);
    length = n_text; /* not padded: data is unaligned on purpose */
    fwrite(&length, sizeof length, 1, file);
    fwrite(text, 1, n_text, file);
    for (int i = from; i < to; i++) {
        for (size_t j = 0; j < m->t[i].n; j++)
            tiny_put(file, m->t[i].value[j], m->t[i].dtype);
    }
    fclose(file);
    temp_dir_write(dir, name, bytes, n_bytes);
    free(text);
    free(bytes);
}

static inline void tiny_write_config(const struct tiny *m, const struct temp_dir *dir)
{
    char text[1024], window[160] = "\"sliding_window\":null";

    if (m->window > 0)
        snprintf(window, sizeof window,
                 "\"sliding_window\":%u,\"use_sliding_window\":true,\"max_window_layers\":%d",
                 m->window, TINY_LAYERS - 1);
    snprintf(text, sizeof text,
             "{\"architectures\":[\"%s\"],\"hidden_size\":%d,"
             "\"intermediate_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":%d,"
             "\"num_key_value_heads\":%d,\"head_dim\":%d,\"vocab_size\":%d,"
             "\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5,\"attention_bias\":%s,"
             "\"mlp_bias\":%s,\"tie_word_embeddings\":%s,%s}",
             m->architecture != NULL ? m->architecture : "LlamaForCausalLM", TINY_HIDDEN, TINY_FF,
             TINY_LAYERS, TINY_HEADS, TINY_KV_HEADS, TINY_HEAD_DIM, TINY_VOCAB,
             m->attention_bias ? "true" : "false", m->mlp_bias ? "true" : "false",
             m->tied ? "true" : "false", window);
    temp_dir_text(dir, "config.json", text);
}

static inline void tiny_write(const struct tiny *m, const struct temp_dir *dir)
{
    tiny_write_config(m, dir);
    tiny_write_file(m, 0, m->n, dir, "model.safetensors");
}

static inline void tiny_release(struct tiny *m)
{
    for (int i = 0; i < m->n; i++)
        free(m->t[i].value);
    m->n = 0;
}

#endif
