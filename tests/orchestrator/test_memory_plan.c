#include "orchestrator/memory_plan.h"

#include "common/arena_size.h"
#include "tests/test_helpers.h"

static const struct target_shape demo = {
    .n_layers = 8, .n_heads = 4, .n_kv_heads = 4, .head_dim = 32, .n_vocab = 1024};

static struct msg_trial trial_of(enum method method, uint32_t format)
{
    return (struct msg_trial){.n_prompt = 4096,
                              .method = method,
                              .kv_format = format,
                              .budget = 1024,
                              .gamma = 8,
                              .gen_len = 128};
}

static void only_a_middle_level_needs_retrieval_tokens(void **state)
{
    struct msg_trial t = trial_of(METHOD_BASELINE, KV_F16);
    struct memory_plan plan = {.f32_base = false};

    memory_plan_add(&plan, &t);
    t.method = METHOD_VANILLA_SPECDEC;
    memory_plan_add(&plan, &t);
    assert_int_equal(plan.retrieval_tokens, 0);
    t.method = METHOD_MSPECKV;
    memory_plan_add(&plan, &t);
    assert_int_equal(plan.retrieval_tokens, 1024 + 128 + 8 + 1);
    t.n_prompt = 100; /* a budget beyond the prompt selects no more than it has */
    t.gen_len = 2000;
    memory_plan_add(&plan, &t);
    assert_int_equal(plan.retrieval_tokens, 100 + 2000 + 8 + 1);
    assert_int_equal(plan.max_prompt, 4096);
    assert_int_equal(plan.max_generated, 2000);
}

static void the_arena_holds_snapshot_transcoded_copy_and_generated_pages(void **state)
{
    struct msg_trial t = trial_of(METHOD_MSPECKV_KV_QUANT, KV_INT8);
    struct memory_plan plan = {.f32_base = false};
    const struct kv_shape shape = {4, 32};
    uint64_t needed;

    memory_plan_add(&plan, &t);
    needed = arena_size_seq(8, kv_page_bytes(KV_F16, shape), 4096 / PAGE_TOKENS,
                            8 * kv_page_bytes(KV_F16, shape) + 8 * 4 * 32 * 4 + 1024 * 4) +
             arena_size_seq(8, kv_page_bytes(KV_INT8, shape), 4096 / PAGE_TOKENS, 0) +
             arena_size_seq(8, kv_page_bytes(KV_INT8, shape), 2, 0);
    assert_true(memory_plan_arena_bytes(&plan, &demo) >= needed);
    assert_true(memory_plan_arena_bytes(&plan, &demo) < 2 * needed);
}

static void f32_pages_make_the_snapshot_f32(void **state)
{
    struct msg_trial half = trial_of(METHOD_BASELINE, KV_F16);
    struct msg_trial full = trial_of(METHOD_BASELINE, KV_F32);
    struct memory_plan a = {.f32_base = false}, b = {.f32_base = false};

    memory_plan_add(&a, &half);
    memory_plan_add(&b, &full);
    assert_false(a.f32_base);
    assert_true(b.f32_base);
    assert_true(memory_plan_arena_bytes(&b, &demo) > memory_plan_arena_bytes(&a, &demo));
}

static const struct memory_room roomy = {.total_bytes = UINT64_C(64) << 30,
                                         .available_bytes = UINT64_C(60) << 30,
                                         .limit_bytes = UINT64_MAX,
                                         .limit_free_bytes = UINT64_MAX,
                                         .has_shm = true,
                                         .shm_bytes = UINT64_C(32) << 30,
                                         .shm_free_bytes = UINT64_C(32) << 30};

static void expect_refusal(const struct memory_room *room, bool posix, const char *words)
{
    struct msg_trial t = trial_of(METHOD_BASELINE, KV_F16);
    struct memory_plan plan = {.f32_base = false};
    struct memory_need need = {.arena_bytes = UINT64_C(1) << 30, .posix = posix};
    struct err err = {{0}};

    memory_plan_add(&plan, &t);
    if (words == NULL) {
        assert_int_equal(memory_plan_check(&plan, &demo, &need, room, &err), ST_OK);
        return;
    }
    assert_int_equal(memory_plan_check(&plan, &demo, &need, room, &err), ST_NO_SPACE);
    if (strstr(err.text, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, err.text);
}

static void what_cannot_fit_is_refused_with_the_numbers(void **state)
{
    struct memory_room room = roomy;

    expect_refusal(&room, true, NULL);
    room.available_bytes = UINT64_C(1) << 30;
    expect_refusal(&room, true, "4096 prompt tokens need");
    expect_refusal(&room, true, "1.07 GB are available; a shorter prefill would do");
}

static void the_limit_of_a_control_group_counts_like_memory(void **state)
{
    struct memory_room room = roomy;

    room.limit_bytes = UINT64_C(8) << 30;
    room.limit_free_bytes = UINT64_C(1) << 30;
    expect_refusal(&room, true, "1.07 GB are available in this control group");
    room.limit_free_bytes = UINT64_C(4) << 30;
    expect_refusal(&room, true, NULL);
}

static void only_a_posix_arena_needs_shared_memory_of_the_file_system(void **state)
{
    struct memory_room room = roomy;

    room.shm_free_bytes = UINT64_C(64) << 20;
    expect_refusal(&room, true, "arena: memfd");
    expect_refusal(&room, false, NULL);
    room.has_shm = false; /* then the store says what it cannot have */
    expect_refusal(&room, true, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_middle_level_needs_retrieval_tokens),
        cmocka_unit_test(the_arena_holds_snapshot_transcoded_copy_and_generated_pages),
        cmocka_unit_test(f32_pages_make_the_snapshot_f32),
        cmocka_unit_test(what_cannot_fit_is_refused_with_the_numbers),
        cmocka_unit_test(the_limit_of_a_control_group_counts_like_memory),
        cmocka_unit_test(only_a_posix_arena_needs_shared_memory_of_the_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
