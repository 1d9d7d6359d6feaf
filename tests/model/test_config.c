/* config.json and generation_config.json: defaults, ranges, refusals by name. */
#include "tests/model/config_text.h"
#include "tests/model/temp_dir.h"

/* `config_text` with key set to the JSON text `value`, or without it if value is NULL. */
static char *edited(const char *key, const char *value)
{
    json_t *root = json_loads(config_text, 0, NULL);
    char *text;

    assert_non_null(root);
    if (value == NULL)
        assert_int_equal(json_object_del(root, key), 0);
    else
        assert_int_equal(json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL)),
                         0);
    text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

static struct model_config accept(const char *key, const char *value)
{
    return config_text_accept(edited(key, value));
}

static void refuse(const char *key, const char *value, enum status wanted, const char *words)
{
    config_text_refuse(edited(key, value), wanted, words);
}

static void absent_fields_have_their_defaults(void **state)
{
    struct model_config cfg = accept("hidden_act", "null");

    assert_string_equal(cfg.architecture, "LlamaForCausalLM");
    assert_int_equal(cfg.n_layers, 5);
    assert_int_equal(cfg.n_heads, 8);
    assert_int_equal(cfg.n_kv_heads, 8);
    assert_int_equal(cfg.head_dim, 8);
    assert_int_equal(cfg.hidden, 64);
    assert_int_equal(cfg.intermediate, 172);
    assert_int_equal(cfg.n_vocab, 512);
    assert_int_equal(cfg.max_positions, 512);
    assert_close(cfg.rms_eps, 1e-5, 1e-12);
    assert_true(cfg.rope.theta == 10000.0 && cfg.rope.factor == 1.0);
    assert_int_equal(cfg.rope.kind, ROPE_DEFAULT);
    assert_false(cfg.tied || cfg.qkv_bias || cfg.o_bias || cfg.mlp_bias || cfg.qk_norm);
    assert_int_equal(model_config_window(&cfg, 0), 0);
    assert_int_equal(cfg.bos, -1);
    assert_int_equal(cfg.n_eos, 0);
}

static void given_fields_replace_defaults(void **state)
{
    assert_int_equal(accept("num_key_value_heads", "2").n_kv_heads, 2);
    assert_int_equal(accept("head_dim", "null").head_dim, 8);
    assert_int_equal(accept("head_dim", "128").head_dim, 128);
    assert_true(accept("tie_word_embeddings", "true").tied);
    assert_true(accept("mlp_bias", "true").mlp_bias);
    assert_int_equal(accept("bos_token_id", "0").bos, 0);
    assert_int_equal(accept("eos_token_id", "2").eos[0], 2);
    struct model_config cfg = accept("eos_token_id", "[7, 8, 9]");
    assert_int_equal(cfg.n_eos, 3);
    assert_int_equal(cfg.eos[2], 9);
}

static void what_is_not_supported_is_named(void **state)
{
    refuse("architectures", "[\"GemmaForCausalLM\"]", ST_UNSUPPORTED, "GemmaForCausalLM");
    refuse("architectures", "[\"Qwen2MoeForCausalLM\"]", ST_UNSUPPORTED, "Qwen3ForCausalLM are");
    refuse("architectures", "[\"A\\nB\"]", ST_UNSUPPORTED, "A?B");
    refuse("hidden_act", "\"gelu\"", ST_UNSUPPORTED, "gelu");
    refuse("quantization_config", "{}", ST_UNSUPPORTED, "quantization_config");
    refuse("head_dim", "12", ST_UNSUPPORTED, "head_dim 12");
    refuse("head_dim", "264", ST_UNSUPPORTED, "head_dim 264");
    refuse("num_attention_heads", "64", ST_UNSUPPORTED, "head_dim 1 ");
    refuse("eos_token_id", "[1,2,3,4,5,6,7,8,9]", ST_UNSUPPORTED, "eos_token_id lists 9");
}

static void every_required_field_is_missed_by_name(void **state)
{
    static const char *const keys[] = {
        "architectures",       "hidden_size", "intermediate_size",       "num_hidden_layers",
        "num_attention_heads", "vocab_size",  "max_position_embeddings", "rms_norm_eps"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        refuse(keys[i], NULL, ST_CORRUPT, keys[i]);
        refuse(keys[i], "null", ST_CORRUPT, keys[i]);
        refuse(keys[i], "\"5\"", ST_CORRUPT, keys[i]);
        refuse(keys[i], "[[]]", ST_CORRUPT, keys[i]);
        refuse(keys[i], "{}", ST_CORRUPT, keys[i]);
    }
}

static void absurd_numbers_are_refused(void **state)
{
    static const char *const keys[] = {
        "hidden_size",         "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "vocab_size",        "head_dim",          "max_position_embeddings"};
    static const char *const values[] = {"0",   "-1", "2.0", "4294967296", "9223372036854775807",
                                         "true"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (size_t j = 0; j < sizeof values / sizeof values[0]; j++)
            refuse(keys[i], values[j], ST_CORRUPT, keys[i]);
    }
    refuse("num_hidden_layers", "257", ST_CORRUPT, "out of range [1, 256]");
    refuse("vocab_size", "1000001", ST_CORRUPT, "out of range [1, 1000000]");
    refuse("num_key_value_heads", "3", ST_CORRUPT, "does not divide");
    refuse("num_key_value_heads", "16", ST_CORRUPT, "does not divide");
    refuse("hidden_size", "65", ST_CORRUPT, "does not divide hidden_size");
    refuse("rms_norm_eps", "0", ST_CORRUPT, "rms_norm_eps");
    refuse("rms_norm_eps", "-1e-5", ST_CORRUPT, "rms_norm_eps");
    refuse("rms_norm_eps", "1", ST_CORRUPT, "rms_norm_eps");
    refuse("tie_word_embeddings", "1", ST_CORRUPT, "tie_word_embeddings");
    refuse("bos_token_id", "512", ST_CORRUPT, "bos_token_id");
    refuse("bos_token_id", "-1", ST_CORRUPT, "bos_token_id");
    refuse("eos_token_id", "[2, 512]", ST_CORRUPT, "eos_token_id");
    refuse("eos_token_id", "[2, [2]]", ST_CORRUPT, "eos_token_id");
    refuse("eos_token_id", "\"</s>\"", ST_CORRUPT, "eos_token_id");
}

static void text_that_is_no_json_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "[]",
                                        "7",
                                        "{\"vocab_size\":NaN}",
                                        "{\"vocab_size\":Infinity}",
                                        "{\"a\":1}x",
                                        "{'a':1}",
                                        "{\"a\":1,}",
                                        "{\"rope_theta\":1e999}",
                                        "{\"a\":1,\"a\":1}",
                                        "\xff",
                                        "{\"\xc3\":1}"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct model_config cfg;
        struct err err = {{0}};
        assert_int_equal(config_text_parse(&cfg, texts[i], &err), ST_CORRUPT);
        assert_ptr_equal(strstr(err.text, "config.json"), err.text);
        assert_null(strchr(err.text, '\n'));
    }
}

static void every_truncation_of_a_config_is_refused(void **state)
{
    for (size_t n = 0; n < strlen(config_text); n++) {
        char *copy = malloc(n > 0 ? n : 1);
        struct model_config cfg;
        memcpy(copy, config_text, n);
        assert_int_equal(model_config_parse(&cfg, copy, n, "x", NULL), ST_CORRUPT);
        free(copy);
    }
}

static void generation_config_replaces_bos_and_eos(void **state)
{
    struct temp_dir dir = temp_dir_make();
    char *text = edited("eos_token_id", "2");
    struct model_config cfg;
    struct err err = {{0}};

    assert_int_equal(model_config_read(&cfg, dir.path, &err), ST_NOT_FOUND);
    temp_dir_text(&dir, "config.json", text);
    assert_int_equal(model_config_read(&cfg, dir.path, &err), ST_OK);
    assert_int_equal(cfg.n_eos, 1);
    temp_dir_text(&dir, "generation_config.json", "{\"eos_token_id\":[5,6],\"bos_token_id\":4}");
    assert_int_equal(model_config_read(&cfg, dir.path, &err), ST_OK);
    assert_int_equal(cfg.n_eos, 2);
    assert_int_equal(cfg.eos[1], 6);
    assert_int_equal(cfg.bos, 4);
    temp_dir_text(&dir, "generation_config.json", "{\"eos_token_id\":512}");
    assert_int_equal(model_config_read(&cfg, dir.path, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "generation_config.json: eos_token_id"));
    free(text);
    temp_dir_remove(&dir);
}

static void every_broken_field_of_generation_config_is_named(void **state)
{
    static const char *const cases[][2] = {
        {"", "generation_config.json:1:"},
        {"[]", "generation_config.json"},
        {"{\"eos_token_id\":1,\"eos_token_id\":2}", "duplicate object key"},
        {"{\"eos_token_id\":-1}", "generation_config.json: eos_token_id"},
        {"{\"eos_token_id\":\"2\"}", "generation_config.json: eos_token_id"},
        {"{\"eos_token_id\":[1,512]}", "generation_config.json: eos_token_id"},
        {"{\"eos_token_id\":{}}", "generation_config.json: eos_token_id"},
        {"{\"bos_token_id\":512}", "generation_config.json: bos_token_id"},
        {"{\"bos_token_id\":1.5}", "generation_config.json: bos_token_id"},
        {"{\"bos_token_id\":[1]}", "generation_config.json: bos_token_id"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_config cfg = {.n_vocab = 512};
        struct err err = {{0}};
        assert_int_equal(model_config_parse_generation(&cfg, cases[i][0], strlen(cases[i][0]),
                                                       "generation_config.json", &err),
                         ST_CORRUPT);
        if (strstr(err.text, cases[i][1]) == NULL || strchr(err.text, '\n') != NULL)
            fail_msg("%s gave: %s", cases[i][0], err.text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_have_their_defaults),
        cmocka_unit_test(given_fields_replace_defaults),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(every_required_field_is_missed_by_name),
        cmocka_unit_test(absurd_numbers_are_refused),
        cmocka_unit_test(text_that_is_no_json_is_refused),
        cmocka_unit_test(every_truncation_of_a_config_is_refused),
        cmocka_unit_test(generation_config_replaces_bos_and_eos),
        cmocka_unit_test(every_broken_field_of_generation_config_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
