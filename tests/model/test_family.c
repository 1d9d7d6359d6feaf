/* What each architecture reads in its own way: biases, norms of q and k, windows, defaults. */
#include "tests/model/config_text.h"

#define LLAMA   "\"architectures\":[\"LlamaForCausalLM\"]"
#define MISTRAL "\"architectures\":[\"MistralForCausalLM\"]"
#define QWEN2   "\"architectures\":[\"Qwen2ForCausalLM\"],\"num_key_value_heads\":2"
#define QWEN3   "\"architectures\":[\"Qwen3ForCausalLM\"],\"num_key_value_heads\":2"

static struct model_config accept(const char *patch)
{
    return config_text_accept(config_text_patched(patch));
}

static void refuse(const char *patch, enum status wanted, const char *words)
{
    config_text_refuse(config_text_patched(patch), wanted, words);
}

/* "w" where a layer slides, "." where it sees all; the window of those that slide is `window`. */
static void check_windows(const char *patch, const char *want, uint32_t window)
{
    struct model_config cfg = accept(patch);

    assert_int_equal(cfg.n_layers, strlen(want));
    for (uint32_t l = 0; l < cfg.n_layers; l++)
        assert_int_equal(model_config_window(&cfg, l), want[l] == 'w' ? window : 0);
}

static void biases_are_those_of_the_family(void **state)
{
    static const struct {
        const char *patch;
        bool qkv, o, mlp, qk_norm;
    } cases[] = {
        {"{" LLAMA "}", false, false, false, false},
        {"{" LLAMA ",\"attention_bias\":true}", true, true, false, false},
        {"{" LLAMA ",\"mlp_bias\":true}", false, false, true, false},
        {"{" MISTRAL ",\"attention_bias\":true,\"mlp_bias\":true}", false, false, false, false},
        {"{" QWEN2 "}", true, false, false, false},
        {"{" QWEN2 ",\"attention_bias\":false,\"mlp_bias\":true}", true, false, false, false},
        {"{" QWEN3 "}", false, false, false, true},
        {"{" QWEN3 ",\"attention_bias\":true,\"mlp_bias\":true}", true, true, false, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_config cfg = accept(cases[i].patch);
        assert_int_equal(cfg.qkv_bias, cases[i].qkv);
        assert_int_equal(cfg.o_bias, cases[i].o);
        assert_int_equal(cfg.mlp_bias, cases[i].mlp);
        assert_int_equal(cfg.qk_norm, cases[i].qk_norm);
    }
}

static void absent_heads_are_the_familys_and_null_ones_follow_from_others(void **state)
{
    assert_int_equal(accept("{" MISTRAL ",\"num_attention_heads\":16,\"head_dim\":8}").n_kv_heads,
                     8);
    assert_int_equal(accept("{" MISTRAL ",\"num_attention_heads\":4,"
                            "\"num_key_value_heads\":null}")
                         .n_kv_heads,
                     4);
    refuse("{" MISTRAL ",\"num_attention_heads\":4}", ST_CORRUPT,
           "num_key_value_heads 8 does not divide num_attention_heads 4");
    refuse("{\"architectures\":[\"Qwen2ForCausalLM\"]}", ST_CORRUPT, "num_key_value_heads 32");
    assert_int_equal(accept("{" QWEN3 "}").head_dim, 128);
    assert_int_equal(accept("{" QWEN3 ",\"head_dim\":null}").head_dim, 8);
    assert_int_equal(accept("{" QWEN3 ",\"head_dim\":64}").head_dim, 64);
    assert_int_equal(accept("{" QWEN2 "}").head_dim, 8);
    /* Mistral Nemo: 5120 / 32 is 160, but the heads are 128 wide. */
    assert_int_equal(accept("{" MISTRAL ",\"hidden_size\":5120,\"num_attention_heads\":32,"
                            "\"head_dim\":128,\"sliding_window\":null}")
                         .head_dim,
                     128);
}

static void a_window_of_mistral_is_that_of_all_layers(void **state)
{
    check_windows("{" MISTRAL ",\"sliding_window\":100}", "wwwww", 100);
    check_windows("{" MISTRAL "}", "wwwww", 4096);
    check_windows("{" MISTRAL ",\"sliding_window\":null}", ".....", 0);
    check_windows("{" LLAMA ",\"sliding_window\":100,\"use_sliding_window\":true}", ".....", 0);
}

static void a_window_of_qwen_has_to_be_turned_on(void **state)
{
    static const char *const family[] = {QWEN2, QWEN3};
    char patch[512];

    for (int i = 0; i < 2; i++) {
        snprintf(patch, sizeof patch, "{%s,\"sliding_window\":9,\"max_window_layers\":0}",
                 family[i]);
        check_windows(patch, ".....", 0);
        snprintf(patch, sizeof patch,
                 "{%s,\"sliding_window\":9,\"max_window_layers\":3,\"use_sliding_window\":true}",
                 family[i]);
        check_windows(patch, "...ww", 9);
        snprintf(patch, sizeof patch, "{%s,\"max_window_layers\":4,\"use_sliding_window\":true}",
                 family[i]);
        check_windows(patch, "....w", 4096);
        snprintf(patch, sizeof patch,
                 "{%s,\"sliding_window\":null,\"max_window_layers\":0,"
                 "\"use_sliding_window\":true}",
                 family[i]);
        check_windows(patch, ".....", 0);
        /* 28 layers are below the default */
        snprintf(patch, sizeof patch, "{%s,\"sliding_window\":9,\"use_sliding_window\":true}",
                 family[i]);
        check_windows(patch, ".....", 0);
    }
}

#define FULL    "\"full_attention\""
#define SLIDING "\"sliding_attention\""

static void layer_types_say_which_layers_slide(void **state)
{
    check_windows("{" QWEN3 ",\"sliding_window\":9,\"use_sliding_window\":true,"
                  "\"max_window_layers\":0,"
                  "\"layer_types\":[" FULL "," SLIDING "," FULL "," FULL "," SLIDING "]}",
                  ".w..w", 9);
    check_windows("{" QWEN2 ",\"layer_types\":[" FULL "," FULL "," FULL "," FULL "," FULL "]}",
                  ".....", 0);
    check_windows("{" MISTRAL ",\"sliding_window\":9,\"layer_types\":[" SLIDING "," SLIDING
                  "," SLIDING "," SLIDING "," SLIDING "]}",
                  "wwwww", 9);
}

static void layer_types_that_cannot_be_are_refused(void **state)
{
    refuse("{" QWEN2 ",\"layer_types\":[" FULL "]}", ST_CORRUPT,
           "layer_types must be an array of 5");
    refuse("{" QWEN2 ",\"layer_types\":" FULL "}", ST_CORRUPT, "layer_types must be an array of 5");
    refuse("{" QWEN2 ",\"layer_types\":[" FULL "," FULL "," FULL "," FULL ",\"linear_attention\"]}",
           ST_UNSUPPORTED, "layer_types[4] linear_attention");
    refuse("{" QWEN2 ",\"layer_types\":[3," FULL "," FULL "," FULL "," FULL "]}", ST_UNSUPPORTED,
           "layer_types[0]");
    refuse("{" QWEN2 ",\"sliding_window\":9,"
           "\"layer_types\":[" FULL "," SLIDING "," FULL "," FULL "," FULL "]}",
           ST_CORRUPT, "layer_types[1] is sliding_attention");
    refuse("{" LLAMA ",\"layer_types\":[" FULL "," SLIDING "," FULL "," FULL "," FULL "]}",
           ST_CORRUPT, "layer_types[1]");
    refuse("{" MISTRAL ",\"sliding_window\":9,"
           "\"layer_types\":[" SLIDING "," FULL "," SLIDING "," SLIDING "," SLIDING "]}",
           ST_UNSUPPORTED, "layer_types[1]: MistralForCausalLM has sliding attention");
}

static void absurd_windows_are_refused(void **state)
{
    refuse("{" MISTRAL ",\"sliding_window\":0}", ST_CORRUPT, "sliding_window");
    refuse("{" MISTRAL ",\"sliding_window\":-1}", ST_CORRUPT, "sliding_window");
    refuse("{" MISTRAL ",\"sliding_window\":4294967297}", ST_CORRUPT, "sliding_window");
    refuse("{" MISTRAL ",\"sliding_window\":\"all\"}", ST_CORRUPT, "sliding_window");
    refuse("{" QWEN2 ",\"use_sliding_window\":1}", ST_CORRUPT, "use_sliding_window");
    refuse("{" QWEN3 ",\"use_sliding_window\":true,\"max_window_layers\":-1}", ST_CORRUPT,
           "max_window_layers");
}

/* What the configs of published checkpoints say, in their own spelling. */
static void published_configs_are_read(void **state)
{
    struct model_config cfg =
        accept("{" LLAMA ",\"max_position_embeddings\":131072,\"rope_scaling\":{\"factor\":32.0,"
               "\"original_max_position_embeddings\":4096,\"type\":\"yarn\",\"finetuned\":true},"
               "\"pretraining_tp\":1,\"torch_dtype\":\"bfloat16\",\"use_cache\":true,"
               "\"auto_map\":{\"AutoConfig\":\"configuration_llama.LlamaConfig\"}}");

    assert_true(cfg.rope.kind == ROPE_YARN && cfg.rope.theta == 10000 && cfg.rope.factor == 32);
    assert_true(cfg.rope.original == 4096 && cfg.max_positions == 131072);

    cfg = accept("{" LLAMA ",\"vocab_size\":128256,\"max_position_embeddings\":131072,"
                 "\"eos_token_id\":[128001,128008,128009],\"bos_token_id\":128000,"
                 "\"rope_theta\":500000.0,\"rope_scaling\":{\"factor\":8.0,\"low_freq_factor\":1.0,"
                 "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192,"
                 "\"rope_type\":\"llama3\"}}");
    assert_true(cfg.rope.kind == ROPE_LLAMA3 && cfg.rope.theta == 500000);
    assert_true(cfg.n_eos == 3 && cfg.eos[2] == 128009 && cfg.bos == 128000);

    cfg = accept("{" QWEN2 ",\"sliding_window\":131072,\"use_sliding_window\":false,"
                 "\"max_window_layers\":28,\"rope_theta\":1000000.0,\"use_mrope\":false,"
                 "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0,"
                 "\"original_max_position_embeddings\":32768}}");
    assert_true(cfg.rope.kind == ROPE_YARN && cfg.rope.theta == 1e6 && cfg.qkv_bias);
    assert_int_equal(model_config_window(&cfg, 4), 0);

    cfg = accept("{" QWEN3 ",\"head_dim\":128,\"tie_word_embeddings\":true,\"sliding_window\":null,"
                 "\"use_sliding_window\":false,\"attention_bias\":false,\"rope_scaling\":null,"
                 "\"rope_theta\":1000000}");
    assert_true(cfg.qk_norm && cfg.tied && cfg.head_dim == 128 && !cfg.qkv_bias);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(biases_are_those_of_the_family),
        cmocka_unit_test(absent_heads_are_the_familys_and_null_ones_follow_from_others),
        cmocka_unit_test(a_window_of_mistral_is_that_of_all_layers),
        cmocka_unit_test(a_window_of_qwen_has_to_be_turned_on),
        cmocka_unit_test(layer_types_say_which_layers_slide),
        cmocka_unit_test(layer_types_that_cannot_be_are_refused),
        cmocka_unit_test(published_configs_are_read),
        cmocka_unit_test(absurd_windows_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
