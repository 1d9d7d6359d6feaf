#include "tools/synth/checkpoint_json.h"

#include <stdlib.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/random_weights.h"

static json_t *token_or_null(int32_t id)
{
    return id >= 0 ? json_integer(id) : json_null();
}

static json_t *rope_scaling(const struct arch *a)
{
    if (a->rope == ARCH_ROPE_YARN)
        return json_pack("{s:s, s:f, s:i, s:b}", "type", "yarn", "factor", a->rope_factor,
                         "original_max_position_embeddings", (int)a->rope_original, "finetuned", 1);
    if (a->rope == ARCH_ROPE_LLAMA3)
        return json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor",
                         a->rope_factor, "low_freq_factor", 1.0, "high_freq_factor", 4.0,
                         "original_max_position_embeddings", (int)a->rope_original);
    return json_null();
}

/* What only a family has. Qwen's window is switched off by use_sliding_window. */
static void add_family(json_t *config, const struct arch *a)
{
    json_t *window = a->window > 0 ? json_integer(a->window) : json_null();

    switch (a->family) {
    case ARCH_LLAMA:
        json_object_set_new(config, "attention_bias", json_false());
        json_object_set_new(config, "mlp_bias", json_false());
        break;
    case ARCH_MISTRAL:
        json_object_set(config, "sliding_window", window);
        break;
    case ARCH_QWEN3:
        json_object_set_new(config, "attention_bias", json_false());
        /* fall through */
    case ARCH_QWEN2:
        json_object_set_new(config, "use_sliding_window", json_false());
        json_object_set(config, "sliding_window", window);
        json_object_set_new(config, "max_window_layers", json_integer(a->n_layers));
        break;
    }
    json_decref(window);
}

static json_t *shape(const struct arch *a)
{
    static const char *const class[] = {"LlamaForCausalLM", "MistralForCausalLM",
                                        "Qwen2ForCausalLM", "Qwen3ForCausalLM"};
    static const char *const type[] = {"llama", "mistral", "qwen2", "qwen3"};

    return json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:f, "
                     "s:o, s:b, s:b}",
                     "architectures", class[a->family], "model_type", type[a->family], "vocab_size",
                     (int)a->n_vocab, "hidden_size", (int)a->hidden, "intermediate_size",
                     (int)a->intermediate, "num_hidden_layers", (int)a->n_layers,
                     "num_attention_heads", (int)a->n_heads, "num_key_value_heads",
                     (int)a->n_kv_heads, "head_dim", (int)a->head_dim, "max_position_embeddings",
                     (int)a->max_positions, "hidden_act", "silu", "initializer_range", 0.02,
                     "rms_norm_eps", a->rms_eps, "rope_theta", a->rope_theta, "rope_scaling",
                     rope_scaling(a), "tie_word_embeddings", (int)a->tied, "use_cache", 1);
}

static char *dump(json_t *all)
{
    char *text, *line;

    CHECK(all != NULL);
    text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(all);
    CHECK(text != NULL);
    line = mem_printf("%s\n", text);
    free(text);
    return line;
}

char *checkpoint_json_config(const struct checkpoint_json *c)
{
    json_t *config = shape(c->arch);

    CHECK(config != NULL);
    add_family(config, c->arch);
    json_object_set_new(config, "bos_token_id", token_or_null(c->bos));
    json_object_set_new(config, "eos_token_id", token_or_null(c->eos));
    json_object_set_new(config, "torch_dtype", json_string(weight_dtype_torch(c->dtype)));
    json_object_set_new(config, RANDOM_WEIGHTS_KEY,
                        json_pack("{s:s, s:s, s:s, s:I, s:s}", "note",
                                  "random weights, for measuring speed only: this model knows "
                                  "nothing",
                                  "arch", c->arch->name, "shape_of", c->arch->origin, "seed",
                                  (json_int_t)c->seed, "tokenizer", c->tokenizer));
    return dump(config);
}

char *checkpoint_json_index(const struct tensor_list *list)
{
    json_t *map = json_object();

    for (size_t s = 0; s < list->n_shards; s++) {
        char *file = tensor_list_shard_name(list, s);
        size_t from, to;
        tensor_list_range(list, s, &from, &to);
        for (size_t i = from; i < to; i++)
            json_object_set_new(map, list->tensor[i].name, json_string(file));
        free(file);
    }
    return dump(json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)list->data_bytes,
                          "weight_map", map));
}
