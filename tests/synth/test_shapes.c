/* The published shapes: as many weights as their checkpoints have, configs that the loader reads
 * back, and headers whose tensors tile their files. */
#include <jansson.h>

#include "common/mem.h"
#include "common/random_weights.h"
#include "model/config.h"
#include "model/safetensors.h"
#include "tests/test_helpers.h"
#include "tools/synth/checkpoint_json.h"
#include "tools/synth/shard_file.h"

/* Weights as the hubs of the checkpoints count them; tied ones once. */
static const struct {
    const char *name;
    uint64_t n_weights;
} published[] = {
    {"llama-7B-128K", 6738415616}, {"llama-13B-128K", 13015864320}, {"LWM-Text-128K", 6738415616},
    {"Llama-3.1-8B", 8030261248},  {"Llama-3.2-1B", 1235814400},    {"Llama-3.2-3B", 3212749824},
    {"llama-68m", 68030208},       {"Mistral-7B-v0.1", 7241732096}, {"Mistral-Nemo", 12247782400},
    {"Qwen2.5-7B", 7615616512},    {"Qwen3-0.6B", 596049920},       {"Qwen3-8B", 8190735360},
};
enum { N_PUBLISHED = sizeof published / sizeof published[0] };

static void every_shape_has_the_published_number_of_weights(void **state)
{
    size_t n = 0;

    while (arch_at(n) != NULL)
        n++;
    assert_int_equal(n, N_PUBLISHED);
    for (size_t i = 0; i < N_PUBLISHED; i++) {
        const struct arch *a = arch_find(published[i].name);
        struct tensor_list list;
        assert_non_null(a);
        tensor_list_make(&list, a, 2, 5000000000);
        if (list.n_elements != published[i].n_weights)
            fail_msg("%s: %llu weights, not %llu", a->name, (unsigned long long)list.n_elements,
                     (unsigned long long)published[i].n_weights);
        assert_int_equal(list.data_bytes, 2 * list.n_elements);
        tensor_list_release(&list);
    }
}

static void names_are_found_whatever_their_case(void **state)
{
    assert_string_equal(arch_find("LLAMA-7b-128k")->name, "llama-7B-128K");
    assert_null(arch_find("llama"));
    assert_null(arch_find(""));
}

static void check_config(const struct arch *a)
{
    static const char *const classes[] = {"LlamaForCausalLM", "MistralForCausalLM",
                                          "Qwen2ForCausalLM", "Qwen3ForCausalLM"};
    static const enum rope_kind kinds[] = {ROPE_DEFAULT, ROPE_YARN, ROPE_LLAMA3};
    const struct checkpoint_json json = {
        .arch = a, .dtype = WEIGHT_DTYPE_BF16, .seed = 3, .tokenizer = "x", .bos = 1, .eos = -1};
    struct model_config cfg;
    struct err err = {{0}};
    char *text = checkpoint_json_config(&json);

    if (model_config_parse(&cfg, text, strlen(text), a->name, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_string_equal(cfg.architecture, classes[a->family]);
    assert_int_equal(cfg.n_layers, a->n_layers);
    assert_int_equal(cfg.n_heads, a->n_heads);
    assert_int_equal(cfg.n_kv_heads, a->n_kv_heads);
    assert_int_equal(cfg.head_dim, a->head_dim);
    assert_int_equal(cfg.hidden, a->hidden);
    assert_int_equal(cfg.intermediate, a->intermediate);
    assert_int_equal(cfg.n_vocab, a->n_vocab);
    assert_int_equal(cfg.max_positions, a->max_positions);
    assert_int_equal(cfg.tied, a->tied);
    assert_int_equal(cfg.qkv_bias, a->family == ARCH_QWEN2);
    assert_int_equal(cfg.qk_norm, a->family == ARCH_QWEN3);
    assert_int_equal(model_config_window(&cfg, 0), a->window);
    assert_int_equal(cfg.rope.kind, kinds[a->rope]);
    assert_close(cfg.rope.theta, a->rope_theta, 0);
    assert_close(cfg.rms_eps, a->rms_eps, 1e-12);
    assert_int_equal(cfg.bos, 1);
    assert_int_equal(cfg.n_eos, 0);
    free(text);
}

static void the_loader_reads_every_config_back(void **state)
{
    for (size_t i = 0; arch_at(i) != NULL; i++)
        check_config(arch_at(i));
}

static void a_config_says_that_its_weights_are_random(void **state)
{
    const struct checkpoint_json json = {.arch = arch_find("llama-68m"),
                                         .dtype = WEIGHT_DTYPE_F16,
                                         .seed = 42,
                                         .tokenizer = "of nobody",
                                         .bos = -1,
                                         .eos = 2};
    char *text = checkpoint_json_config(&json);
    json_t *config = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *note;

    assert_non_null(config);
    note = json_object_get(config, RANDOM_WEIGHTS_KEY);
    assert_non_null(strstr(json_string_value(json_object_get(note, "note")), "random weights"));
    assert_int_equal(json_integer_value(json_object_get(note, "seed")), 42);
    assert_string_equal(json_string_value(json_object_get(note, "tokenizer")), "of nobody");
    assert_string_equal(json_string_value(json_object_get(config, "torch_dtype")), "float16");
    assert_true(json_is_null(json_object_get(config, "bos_token_id")));
    json_decref(config);
    free(text);
}

/* The header followed by as many bytes as it claims, which need not be written to be parsed. */
static void check_header(const struct tensor_list *list, size_t shard)
{
    struct safetensors file = {0};
    struct err err = {{0}};
    size_t n_header = 0, from, to;
    uint8_t *header = shard_file_header(list, shard, WEIGHT_DTYPE_BF16, &n_header), *bytes;
    const struct tensor *last;
    uint64_t n_data;

    tensor_list_range(list, shard, &from, &to);
    assert_true(from < to);
    last = &list->tensor[to - 1];
    n_data = last->begin + last->n_elements * list->element_bytes;
    bytes = mem_zalloc(n_header + n_data);
    memcpy(bytes, header, n_header);
    if (safetensors_parse(&file, bytes, n_header + n_data, "shard", &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(file.n_entries, to - from);
    assert_int_equal(file.data_at % 8, 0);
    for (size_t i = from; i < to; i++) {
        const struct safetensors_entry *e = safetensors_find(&file, list->tensor[i].name);
        assert_non_null(e);
        assert_int_equal(e->begin, list->tensor[i].begin);
        assert_int_equal(e->dim[0], list->tensor[i].dim[0]);
    }
    safetensors_release(&file);
    free(bytes);
    free(header);
}

static void shards_are_full_and_hold_every_tensor_once(void **state)
{
    struct arch a = *arch_find("Qwen3-0.6B");
    const uint64_t shard_bytes = 20000000;
    struct tensor_list list;
    char *name;

    a.n_layers = 2;
    a.n_vocab = 16000; /* the embedding is longer than a shard */
    tensor_list_make(&list, &a, 2, shard_bytes);
    assert_int_equal(list.n, 2 + 2 * 11);
    assert_true(list.n_shards > 2);
    for (size_t s = 0; s < list.n_shards; s++) {
        size_t from, to, next;
        tensor_list_range(&list, s, &from, &to);
        check_header(&list, s);
        if (s + 1 == list.n_shards)
            break;
        tensor_list_range(&list, s + 1, &next, &(size_t){0});
        assert_int_equal(next, to);
        assert_true(to - from == 1 ||
                    list.tensor[to - 1].begin + 2 * list.tensor[to - 1].n_elements <= shard_bytes);
        assert_true(list.tensor[to - 1].begin + 2 * list.tensor[to - 1].n_elements +
                        2 * list.tensor[next].n_elements >
                    shard_bytes);
    }
    name = tensor_list_shard_name(&list, 1);
    assert_non_null(strstr(name, "model-00002-of-0000"));
    free(name);
    tensor_list_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_has_the_published_number_of_weights),
        cmocka_unit_test(names_are_found_whatever_their_case),
        cmocka_unit_test(the_loader_reads_every_config_back),
        cmocka_unit_test(a_config_says_that_its_weights_are_random),
        cmocka_unit_test(shards_are_full_and_hold_every_tensor_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
