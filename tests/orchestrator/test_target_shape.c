#include "orchestrator/target_shape.h"

#include <sys/stat.h>

#include "tests/test_helpers.h"

static char dir[] = "/tmp/test-shape-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_refusal(const char *config, const char *words)
{
    struct target_shape s;
    struct err err = {{0}};

    put("config.json", config);
    assert_int_not_equal(target_shape_read(&s, dir, &err), ST_OK);
    if (strstr(err.text, words) == NULL)
        fail_msg("no \"%s\" in \"%s\"", words, err.text);
}

#define COMMON "\"hidden_size\": 64, \"vocab_size\": 512"

static void absent_fields_follow_the_others(void **state)
{
    struct target_shape s;
    struct err err = {{0}};

    put("model.safetensors", "12345678");
    put("config.json", "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, " COMMON "}");
    assert_int_equal(target_shape_read(&s, dir, &err), ST_OK);
    assert_int_equal(s.n_layers, 5);
    assert_int_equal(s.n_kv_heads, 8);
    assert_int_equal(s.head_dim, 8);
    assert_int_equal(s.weight_bytes, 8);
    put("config.json", "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, \"head_dim\": 32, "
                       "\"num_key_value_heads\": 2, " COMMON "}");
    assert_int_equal(target_shape_read(&s, dir, &err), ST_OK);
    assert_int_equal(s.n_kv_heads, 2);
    assert_int_equal(s.head_dim, 32);
}

/* The same numbers that model/config.c reads (tests/model/test_family.c). */
static void heads_that_are_left_out_are_those_of_the_architecture(void **state)
{
    static const struct {
        const char *fields;
        uint32_t n_kv_heads, head_dim;
    } cases[] = {
        {"\"architectures\": [\"LlamaForCausalLM\"]", 64, 16},
        {"\"architectures\": [\"MistralForCausalLM\"]", 8, 16},
        {"\"architectures\": [\"Qwen2ForCausalLM\"]", 32, 16},
        {"\"architectures\": [\"Qwen3ForCausalLM\"]", 32, 128},
        {"\"architectures\": [\"Qwen3ForCausalLM\"], \"head_dim\": 64", 32, 64},
        {"\"architectures\": [\"Qwen3ForCausalLM\"], \"head_dim\": null, "
         "\"num_key_value_heads\": null",
         64, 16},
        {"\"architectures\": \"Qwen3ForCausalLM\"", 64, 16},
        {"\"architectures\": [7]", 64, 16},
    };

    put("model.safetensors", "12345678");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct target_shape s;
        struct err err = {{0}};
        char config[512];
        snprintf(config, sizeof config,
                 "{\"num_hidden_layers\": 5, \"num_attention_heads\": 64, \"hidden_size\": 1024, "
                 "\"vocab_size\": 512, %s}",
                 cases[i].fields);
        put("config.json", config);
        assert_int_equal(target_shape_read(&s, dir, &err), ST_OK);
        assert_int_equal(s.n_kv_heads, cases[i].n_kv_heads);
        assert_int_equal(s.head_dim, cases[i].head_dim);
    }
}

static void hostile_numbers_are_refused_by_name(void **state)
{
    expect_refusal("{\"num_hidden_layers\": 5,", "config.json:1");
    expect_refusal("[]", "no JSON object");
    expect_refusal("{}", "num_hidden_layers must be");
    expect_refusal("{\"num_hidden_layers\": 100000}", "num_hidden_layers must be");
    expect_refusal("{\"num_hidden_layers\": 5, \"num_attention_heads\": 0, " COMMON "}",
                   "num_attention_heads must be");
    expect_refusal("{\"num_hidden_layers\": 5, \"num_attention_heads\": 2.5, " COMMON "}",
                   "num_attention_heads must be");
    expect_refusal("{\"num_hidden_layers\": 5, \"num_attention_heads\": 65, " COMMON "}",
                   "less than num_attention_heads");
    expect_refusal(
        "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, \"head_dim\": -8, " COMMON "}",
        "head_dim must be");
}

static void a_fingerprint_changes_with_any_byte(void **state)
{
    char *a = NULL, *b = NULL, *c = NULL;
    struct err err = {{0}};

    put("config.json", "{}");
    put("model.safetensors", "12345678");
    assert_int_equal(target_shape_fingerprint(&a, dir, &err), ST_OK);
    assert_int_equal(target_shape_fingerprint(&b, dir, &err), ST_OK);
    put("model.safetensors", "12345679");
    assert_int_equal(target_shape_fingerprint(&c, dir, &err), ST_OK);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    free(a);
    free(b);
    free(c);
}

static void a_draft_of_another_vocabulary_is_refused(void **state)
{
    struct target_shape target = {.n_vocab = 1024}, s;
    struct err err = {{0}};

    put("config.json", "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, " COMMON "}");
    assert_int_equal(target_shape_draft(&s, dir, &target, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "512"));
    target.n_vocab = 512;
    assert_int_equal(target_shape_draft(&s, dir, &target, &err), ST_OK);
}

static void random_weights_are_told_by_the_note_of_their_maker(void **state)
{
    struct target_shape s;
    struct err err = {{0}};

    put("config.json", "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, " COMMON "}");
    assert_int_equal(target_shape_read(&s, dir, &err), ST_OK);
    assert_false(s.random_weights);
    put("config.json", "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, "
                       "\"mspeckv_synthetic\": {\"seed\": 1}, " COMMON "}");
    assert_int_equal(target_shape_read(&s, dir, &err), ST_OK);
    assert_true(s.random_weights);
}

static uint32_t positions_of(const char *fields)
{
    struct target_shape s = {0};
    struct err err = {{0}};
    char text[512];

    snprintf(text, sizeof text,
             "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, %s" COMMON "}", fields);
    put("config.json", text);
    assert_int_equal(target_shape_read(&s, dir, &err), ST_OK);
    return s.max_positions;
}

static void a_text_longer_than_the_positions_is_refused(void **state)
{
    struct target_shape s = {.max_positions = 512};
    struct err err = {{0}};

    assert_int_equal(target_shape_check_length(&s, "d", 500, 12, &err), ST_OK);
    assert_int_equal(target_shape_check_length(&s, "d", 500, 13, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "d/config.json: max_position_embeddings"));
    assert_non_null(strstr(err.text, "takes 513; at most 512"));
    s.max_positions = 0;
    assert_int_equal(target_shape_check_length(&s, "d", UINT32_MAX, UINT32_MAX, &err), ST_OK);
}

static void positions_are_stretched_by_the_rotation(void **state)
{
#define MAX "\"max_position_embeddings\": 512, "
    assert_int_equal(positions_of(""), 0);
    assert_int_equal(positions_of("\"max_position_embeddings\": -3, "), 0);
    assert_int_equal(positions_of(MAX), 512);
    assert_int_equal(positions_of(MAX "\"rope_scaling\": null, "), 512);
    assert_int_equal(positions_of(MAX "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, "),
                     2048);
    assert_int_equal(positions_of(MAX "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, "
                                      "\"original_max_position_embeddings\": 256}, "),
                     1024);
    assert_int_equal(positions_of(MAX "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2, "
                                      "\"original_max_position_embeddings\": 256}, "),
                     512);
    assert_int_equal(
        positions_of(MAX "\"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 4}, "), 512);
#undef MAX
}

static void pytorch_files_are_sent_to_the_converter(void **state)
{
    struct target_shape s;
    struct err err = {{0}};
    char path[128];

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    unlink(path);
    put("config.json", "{\"num_hidden_layers\": 5, \"num_attention_heads\": 8, " COMMON "}");
    assert_int_equal(target_shape_read(&s, dir, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "no *.safetensors file"));
    put("pytorch_model.bin", "x");
    assert_int_equal(target_shape_read(&s, dir, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "`mspeckv convert /tmp/"));
}

static int remove_dir(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_follow_the_others),
        cmocka_unit_test(heads_that_are_left_out_are_those_of_the_architecture),
        cmocka_unit_test(hostile_numbers_are_refused_by_name),
        cmocka_unit_test(a_fingerprint_changes_with_any_byte),
        cmocka_unit_test(a_draft_of_another_vocabulary_is_refused),
        cmocka_unit_test(a_text_longer_than_the_positions_is_refused),
        cmocka_unit_test(positions_are_stretched_by_the_rotation),
        cmocka_unit_test(random_weights_are_told_by_the_note_of_their_maker),
        cmocka_unit_test(pytorch_files_are_sent_to_the_converter),
    };

    if (mkdtemp(dir) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_dir);
}
