/* The rotation in both spellings, which of them counts, and every field's range. */
#include "tests/model/config_text.h"

static struct rope_config accept(const char *patch)
{
    return config_text_accept(config_text_patched(patch)).rope;
}

static void refuse(const char *patch, enum status wanted, const char *words)
{
    config_text_refuse(config_text_patched(patch), wanted, words);
}

static void a_rotation_is_read_from_either_spelling(void **state)
{
    struct rope_config rope = accept("{\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}}");

    assert_int_equal(rope.kind, ROPE_LINEAR);
    assert_true(rope.factor == 4.0 && rope.theta == 10000.0 && rope.attention_factor == 1.0);
    /* rope_type stands before type */
    rope = accept("{\"rope_scaling\":{\"rope_type\":\"default\",\"type\":\"linear\"}}");
    assert_int_equal(rope.kind, ROPE_DEFAULT);
    rope = accept("{\"rope_parameters\":{\"rope_theta\":2e6},\"rope_theta\":7}");
    assert_int_equal(rope.kind, ROPE_DEFAULT);
    assert_true(rope.theta == 2e6);
    rope = accept("{\"rope_parameters\":{\"type\":\"linear\",\"factor\":2.5},\"rope_theta\":7}");
    assert_int_equal(rope.kind, ROPE_LINEAR);
    assert_true(rope.factor == 2.5 && rope.theta == 7.0);
    assert_int_equal(accept("{\"rope_scaling\":null,\"rope_parameters\":null}").kind, ROPE_DEFAULT);
    assert_true(accept("{\"rope_theta\":500000}").theta == 500000.0);
}

/* As transformers 5 has it: the older key replaces the newer one as a whole. */
static void a_rope_scaling_that_says_anything_replaces_rope_parameters(void **state)
{
    struct rope_config rope =
        accept("{\"rope_theta\":3,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
               "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":8,\"rope_theta\":5}}");

    assert_true(rope.kind == ROPE_LINEAR && rope.factor == 2.0 && rope.theta == 3.0);
    for (int i = 0; i < 2; i++) {
        rope = accept(i == 0 ? "{\"rope_scaling\":{},\"rope_parameters\":{\"rope_theta\":5}}"
                             : "{\"rope_scaling\":null,\"rope_parameters\":{\"rope_theta\":5}}");
        assert_true(rope.kind == ROPE_DEFAULT && rope.theta == 5.0);
    }
}

#define YARN "\"rope_type\":\"yarn\",\"factor\":32"

static void yarn_has_the_defaults_of_its_paper(void **state)
{
    struct rope_config rope =
        accept("{\"rope_scaling\":{" YARN ",\"original_max_position_embeddings\":4096}}");

    assert_int_equal(rope.kind, ROPE_YARN);
    assert_true(rope.factor == 32.0 && rope.original == 4096.0);
    assert_true(rope.beta_fast == 32.0 && rope.beta_slow == 1.0 && rope.truncate);
    assert_close(rope.attention_factor, 1.3465735902799727, 1e-15); /* 0.1 ln 32 + 1 */
    rope = accept("{\"rope_scaling\":{" YARN ",\"beta_fast\":8,\"beta_slow\":2,"
                  "\"truncate\":false,\"attention_factor\":1}}");
    assert_true(rope.beta_fast == 8.0 && rope.beta_slow == 2.0 && !rope.truncate);
    assert_true(rope.attention_factor == 1.0);
    assert_true(rope.original == 512.0); /* max_position_embeddings */
    assert_true(accept("{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":1}}").attention_factor ==
                1.0);
}

/* Numbers of transformers 5.23 for these objects in a config of 512 positions. */
static void a_yarn_factor_of_null_follows_from_the_lengths(void **state)
{
    static const char null_factor[] = "{\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":null,"
                                      "\"original_max_position_embeddings\":128}}";
    struct rope_config rope = accept(null_factor);

    assert_true(rope.factor == 4.0 && rope.original == 128.0);
    assert_close(rope.attention_factor, 1.138629436111989, 1e-15); /* 0.1 ln 4 + 1 */
    rope = accept("{\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":null}}");
    assert_true(rope.factor == 1.0 && rope.original == 512.0 && rope.attention_factor == 1.0);
    rope = accept("{\"original_max_position_embeddings\":256,\"rope_scaling\":{"
                  "\"type\":\"yarn\",\"factor\":null}}");
    assert_true(rope.factor == 2.0);
    refuse("{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":null,"
           "\"original_max_position_embeddings\":1024}}",
           ST_CORRUPT, "max_position_embeddings 512 over original_max_position_embeddings 1024");
    refuse("{\"rope_scaling\":{\"type\":\"linear\",\"factor\":null}}", ST_CORRUPT,
           "factor is missing");
    assert_false(accept("{\"rope_scaling\":{" YARN ",\"truncate\":null}}").truncate);
}

static void the_two_mscales_of_yarn_count_only_together(void **state)
{
    double one = 0.1 * log(32.0) + 1.0;

    assert_close(accept("{\"rope_scaling\":{" YARN ",\"mscale\":2}}").attention_factor, one, 1e-15);
    assert_close(
        accept("{\"rope_scaling\":{" YARN ",\"mscale\":0,\"mscale_all_dim\":2}}").attention_factor,
        one, 1e-15);
    assert_close(accept("{\"rope_scaling\":{" YARN ",\"mscale\":2,\"mscale_all_dim\":0.5}}")
                     .attention_factor,
                 (0.2 * log(32.0) + 1.0) / (0.05 * log(32.0) + 1.0), 1e-15);
    assert_true(accept("{\"rope_scaling\":{" YARN ",\"mscale\":2,\"mscale_all_dim\":2}}")
                    .attention_factor == 1.0);
    assert_true(accept("{\"rope_scaling\":{" YARN ",\"attention_factor\":1.5,\"mscale\":2,"
                       "\"mscale_all_dim\":1}}")
                    .attention_factor == 1.5);
}

#define LLAMA3 "\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4"

static void llama3_takes_four_numbers(void **state)
{
    struct rope_config rope =
        accept("{\"rope_scaling\":{" LLAMA3 ",\"original_max_position_embeddings\":8192}}");

    assert_int_equal(rope.kind, ROPE_LLAMA3);
    assert_true(rope.factor == 8.0 && rope.low_freq == 1.0 && rope.high_freq == 4.0);
    assert_true(rope.original == 8192.0 && rope.attention_factor == 1.0);
}

static void an_original_length_beside_the_object_stands_before_the_one_in_it(void **state)
{
    assert_true(accept("{\"original_max_position_embeddings\":100,\"rope_scaling\":{" YARN
                       ",\"original_max_position_embeddings\":4096}}")
                    .original == 100.0);
    assert_true(accept("{\"original_max_position_embeddings\":100,\"rope_scaling\":{" LLAMA3 "}}")
                    .original == 100.0);
    refuse("{\"original_max_position_embeddings\":0,\"rope_scaling\":{" LLAMA3 "}}", ST_CORRUPT,
           "config.json: original_max_position_embeddings");
}

static void a_dynamic_rotation_is_fixed_for_the_configs_length(void **state)
{
    struct model_config cfg = config_text_accept(
        config_text_patched("{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}"));
    struct model_config plain = config_text_accept(config_text_patched("{}"));
    struct err err = {{0}};

    assert_int_equal(cfg.rope.kind, ROPE_DYNAMIC);
    assert_int_equal(model_config_check_length(&cfg, 512, &err), ST_OK);
    assert_int_equal(model_config_check_length(&cfg, 513, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "513 tokens"));
    assert_non_null(strstr(err.text, "max_position_embeddings = 512"));
    assert_int_equal(model_config_check_length(&plain, 1 << 20, &err), ST_OK);
}

static void what_is_not_served_is_named(void **state)
{
    refuse("{\"rope_scaling\":{\"type\":\"longrope\"}}", ST_UNSUPPORTED, "rope_type longrope");
    refuse("{\"rope_scaling\":{\"type\":\"su\"}}", ST_UNSUPPORTED, "yarn and llama3 are");
    refuse("{\"rope_parameters\":{\"rope_type\":\"proportional\"}}", ST_UNSUPPORTED,
           "rope_parameters: rope_type proportional");
    refuse("{\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}}", ST_UNSUPPORTED,
           "rope_parameters: full_attention is an object");
    refuse("{\"partial_rotary_factor\":0.5}", ST_UNSUPPORTED, "partial_rotary_factor");
    refuse("{\"rope_parameters\":{\"partial_rotary_factor\":0.5}}", ST_UNSUPPORTED,
           "rope_parameters: partial_rotary_factor");
    assert_int_equal(accept("{\"partial_rotary_factor\":1.0}").kind, ROPE_DEFAULT);
}

static void a_rotation_without_sense_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"{\"rope_scaling\":7}", "rope_scaling: is neither"},
        {"{\"rope_parameters\":[]}", "rope_parameters: is neither"},
        {"{\"rope_scaling\":{\"factor\":2}}", "rope_type is missing"},
        {"{\"rope_scaling\":{\"type\":3}}", "type is an integer"},
        {"{\"rope_scaling\":{\"type\":\"linear\"}}", "rope_scaling: factor is missing"},
        {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", "factor"},
        {"{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":1e9}}", "factor"},
        {"{\"rope_scaling\":{\"type\":\"yarn\"}}", "factor is missing"},
        {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":0.5}}", "factor"},
        {"{\"rope_scaling\":{" YARN ",\"original_max_position_embeddings\":0}}", "original_max"},
        {"{\"rope_scaling\":{" YARN ",\"beta_fast\":0}}", "beta_fast"},
        {"{\"rope_scaling\":{" YARN ",\"beta_slow\":32}}", "beta_fast 32 must be above"},
        {"{\"rope_scaling\":{" YARN ",\"truncate\":1}}", "truncate"},
        {"{\"rope_scaling\":{" YARN ",\"mscale\":-1}}", "mscale"},
        {"{\"rope_scaling\":{" YARN ",\"attention_factor\":0}}", "attention_factor"},
        {"{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8}}", "low_freq_factor is missing"},
        {"{\"rope_scaling\":{" LLAMA3 ",\"original_max_position_embeddings\":\"8192\"}}",
         "original_max_position_embeddings is a string"},
        {"{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
         "\"high_freq_factor\":4}}",
         "high_freq_factor 4 must be above low_freq_factor 4"},
        {"{\"rope_theta\":0}", "rope_theta"},
        {"{\"rope_theta\":1e300}", "rope_theta"},
        {"{\"rope_parameters\":{\"rope_theta\":\"x\"}}", "rope_parameters: rope_theta"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(cases[i][0], ST_CORRUPT, cases[i][1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_is_read_from_either_spelling),
        cmocka_unit_test(a_rope_scaling_that_says_anything_replaces_rope_parameters),
        cmocka_unit_test(yarn_has_the_defaults_of_its_paper),
        cmocka_unit_test(a_yarn_factor_of_null_follows_from_the_lengths),
        cmocka_unit_test(the_two_mscales_of_yarn_count_only_together),
        cmocka_unit_test(llama3_takes_four_numbers),
        cmocka_unit_test(an_original_length_beside_the_object_stands_before_the_one_in_it),
        cmocka_unit_test(a_dynamic_rotation_is_fixed_for_the_configs_length),
        cmocka_unit_test(what_is_not_served_is_named),
        cmocka_unit_test(a_rotation_without_sense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
