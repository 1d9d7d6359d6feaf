#include "tools/synth/tensor_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { PER_LAYER = 14 }; /* 7 matrices, 4 norms, 3 biases */

/* Takes the name. */
static void add(struct tensor_list *list, char *name, uint64_t n_out, uint64_t n_in,
                enum tensor_fill fill)
{
    struct tensor *t = &list->tensor[list->n++];

    t->name = name;
    t->n_dims = n_in > 0 ? 2 : 1;
    t->dim[0] = n_out;
    t->dim[1] = n_in;
    t->fill = fill;
    t->n_elements = n_in > 0 ? n_out * n_in : n_out;
}

static void add_layer(struct tensor_list *list, const struct arch *a, uint32_t i)
{
    const struct part {
        const char *name;
        uint64_t n_out, n_in;
        enum tensor_fill fill;
        bool here;
    } parts[] = {
        {"input_layernorm.weight", a->hidden, 0, TENSOR_ONE, true},
        {"self_attn.q_proj.weight", (uint64_t)a->n_heads * a->head_dim, a->hidden, TENSOR_NORMAL,
         true},
        {"self_attn.q_proj.bias", (uint64_t)a->n_heads * a->head_dim, 0, TENSOR_NORMAL,
         a->family == ARCH_QWEN2},
        {"self_attn.k_proj.weight", (uint64_t)a->n_kv_heads * a->head_dim, a->hidden, TENSOR_NORMAL,
         true},
        {"self_attn.k_proj.bias", (uint64_t)a->n_kv_heads * a->head_dim, 0, TENSOR_NORMAL,
         a->family == ARCH_QWEN2},
        {"self_attn.v_proj.weight", (uint64_t)a->n_kv_heads * a->head_dim, a->hidden, TENSOR_NORMAL,
         true},
        {"self_attn.v_proj.bias", (uint64_t)a->n_kv_heads * a->head_dim, 0, TENSOR_NORMAL,
         a->family == ARCH_QWEN2},
        {"self_attn.q_norm.weight", a->head_dim, 0, TENSOR_ONE, a->family == ARCH_QWEN3},
        {"self_attn.k_norm.weight", a->head_dim, 0, TENSOR_ONE, a->family == ARCH_QWEN3},
        {"self_attn.o_proj.weight", a->hidden, (uint64_t)a->n_heads * a->head_dim, TENSOR_RESIDUAL,
         true},
        {"post_attention_layernorm.weight", a->hidden, 0, TENSOR_ONE, true},
        {"mlp.gate_proj.weight", a->intermediate, a->hidden, TENSOR_NORMAL, true},
        {"mlp.up_proj.weight", a->intermediate, a->hidden, TENSOR_NORMAL, true},
        {"mlp.down_proj.weight", a->hidden, a->intermediate, TENSOR_RESIDUAL, true},
    };
    _Static_assert(sizeof parts / sizeof parts[0] == PER_LAYER, "room for every part of a layer");

    for (size_t p = 0; p < PER_LAYER; p++)
        if (parts[p].here)
            add(list, mem_printf("model.layers.%u.%s", i, parts[p].name), parts[p].n_out,
                parts[p].n_in, parts[p].fill);
}

static void place(struct tensor_list *list, uint64_t shard_bytes)
{
    uint64_t used = 0;

    list->n_shards = 1;
    for (size_t i = 0; i < list->n; i++) {
        struct tensor *t = &list->tensor[i];
        uint64_t size = t->n_elements * list->element_bytes;
        if (used > 0 && used + size > shard_bytes) {
            list->n_shards++;
            used = 0;
        }
        t->shard = list->n_shards - 1;
        t->begin = used;
        used += size;
        list->data_bytes += size;
        list->n_elements += t->n_elements;
    }
}

void tensor_list_make(struct tensor_list *out, const struct arch *arch, uint32_t element_bytes,
                      uint64_t shard_bytes)
{
    struct tensor_list list = {.element_bytes = element_bytes};

    list.tensor = mem_array(3 + (size_t)PER_LAYER * arch->n_layers, sizeof *list.tensor);
    add(&list, mem_strdup("model.embed_tokens.weight"), arch->n_vocab, arch->hidden, TENSOR_NORMAL);
    for (uint32_t i = 0; i < arch->n_layers; i++)
        add_layer(&list, arch, i);
    add(&list, mem_strdup("model.norm.weight"), arch->hidden, 0, TENSOR_ONE);
    if (!arch->tied)
        add(&list, mem_strdup("lm_head.weight"), arch->n_vocab, arch->hidden, TENSOR_NORMAL);
    place(&list, shard_bytes);
    *out = list;
}

void tensor_list_release(struct tensor_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->tensor[i].name);
    free(list->tensor);
    memset(list, 0, sizeof *list);
}

void tensor_list_range(const struct tensor_list *list, size_t shard, size_t *from, size_t *to)
{
    size_t i = 0;

    while (i < list->n && list->tensor[i].shard < shard)
        i++;
    *from = i;
    while (i < list->n && list->tensor[i].shard == shard)
        i++;
    *to = i;
}

char *tensor_list_shard_name(const struct tensor_list *list, size_t shard)
{
    if (list->n_shards == 1)
        return mem_strdup("model.safetensors");
    return mem_printf("model-%05zu-of-%05zu.safetensors", shard + 1, list->n_shards);
}
