/* Tiny random checkpoints of every family and rotation against transformers' own logits. */
#include "tests/model/reference_case.h"

static void a_llama_gives_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama", NULL, 0}, {"llama_theta", "llama", 0});
}

static void prompts_over_page_borders_give_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_300", "llama", 0});
}

static void linear_and_dynamic_rotations_give_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_linear", "llama", 0}, {"llama_dynamic", "llama", 0});
}

static void yarn_in_every_form_gives_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_yarn", "llama", 0}, {"llama_yarn_mscale", "llama", 0},
                    {"llama_yarn_ramp", "llama", 0}, {"llama_yarn_factor", "llama", 0});
}

static void the_llama3_rotation_gives_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_llama3", "llama", 0});
}

static void rotations_far_out_give_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_yarn_far", "llama", 130900}, {"llama_llama3_far", "llama", 100000});
}

static void biases_and_head_shapes_give_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_bias", NULL, 0}, {"llama_attention_bias", NULL, 0},
                    {"llama_head_dim", NULL, 0});
}

static void tied_matrices_under_either_name_give_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_tied", NULL, 0}, {"llama_head_only", NULL, 0});
}

static void a_sharded_checkpoint_gives_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"llama_sharded", NULL, 0});
}

static void mistral_with_and_without_a_window_gives_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"mistral", NULL, 0}, {"mistral_window", NULL, 0},
                    {"mistral_window_300", "mistral_window", 0},
                    {"mistral_window_128", "mistral_window", 0});
}

static void qwen2_with_and_without_a_window_gives_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"qwen2", NULL, 0}, {"qwen2_unused_window", "qwen2", 0},
                    {"qwen2_window", NULL, 0}, {"qwen2_yarn", "qwen2", 0});
}

static void qwen3_gives_the_reference_logits(void **state)
{
    REFERENCE_CHECK({"qwen3", NULL, 0}, {"qwen3_bias", NULL, 0}, {"qwen3_window", "qwen3", 0});
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llama_gives_the_reference_logits),
        cmocka_unit_test(prompts_over_page_borders_give_the_reference_logits),
        cmocka_unit_test(linear_and_dynamic_rotations_give_the_reference_logits),
        cmocka_unit_test(yarn_in_every_form_gives_the_reference_logits),
        cmocka_unit_test(the_llama3_rotation_gives_the_reference_logits),
        cmocka_unit_test(rotations_far_out_give_the_reference_logits),
        cmocka_unit_test(biases_and_head_shapes_give_the_reference_logits),
        cmocka_unit_test(tied_matrices_under_either_name_give_the_reference_logits),
        cmocka_unit_test(a_sharded_checkpoint_gives_the_reference_logits),
        cmocka_unit_test(mistral_with_and_without_a_window_gives_the_reference_logits),
        cmocka_unit_test(qwen2_with_and_without_a_window_gives_the_reference_logits),
        cmocka_unit_test(qwen3_gives_the_reference_logits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
