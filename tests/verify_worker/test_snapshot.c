/*
 * Snapshots: what prefill left is found again, and what does not fit the model,
 * or was damaged, is refused.
 */
#include "tests/verify_worker/bench.h"

static struct bench b;

static void two_prefills_of_one_prompt_leave_the_same_bytes(void **state)
{
    /* Longer than a chunk of prefill. A second run gives the same bytes. */
    uint64_t one = bench_prefill(&b, 700), two = bench_prefill(&b, 700);
    size_t n_query = (size_t)TINY_LAYERS * TINY_HEADS * TINY_HEAD_DIM;
    struct snapshot s, t;
    float largest = 0;

    BENCH_OK(snapshot_acquire(&s, b.client, one, b.cfg, KV_F16, &err));
    BENCH_OK(snapshot_acquire(&t, b.client, two, b.cfg, KV_F16, &err));
    assert_int_equal(s.head.n_tokens, 700);
    assert_int_equal(s.map.n_pages, 5);
    assert_int_equal(s.head.prefix_hash, t.head.prefix_hash);
    assert_memory_equal(s.logits, t.logits, TINY_VOCAB * sizeof *s.logits);
    assert_memory_equal(s.query, t.query, n_query * sizeof *s.query);
    for (uint32_t i = 0; i < n_query; i++)
        largest = fabsf(s.query[i]) > largest ? fabsf(s.query[i]) : largest;
    assert_true(largest > 0);
    for (uint32_t l = 0; l < TINY_LAYERS; l++)
        for (uint32_t p = 0; p < 5; p++)
            assert_memory_equal(snapshot_page(&s, l, p), snapshot_page(&t, l, p),
                                kv_page_bytes(KV_F16, b.shape));
    snapshot_release(&s, b.client);
    snapshot_release(&t, b.client);
}

static void assert_not_acquired(uint64_t seq, const struct model_config *cfg, enum kv_format base,
                                enum status want, const char *words)
{
    struct msg_stats before = bench_stats(&b);
    struct err err = {{0}};
    struct snapshot s;

    assert_int_equal(snapshot_acquire(&s, b.client, seq, cfg, base, &err), want);
    if (strstr(err.text, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_int_equal(bench_stats(&b).n_leases, before.n_leases);
}

static void the_snapshot_of_another_model_is_refused(void **state)
{
    uint64_t seq = bench_prefill(&b, 200);
    struct model_config other = *b.cfg;

    other.n_vocab++;
    assert_not_acquired(seq, &other, KV_F16, ST_INVALID, "another model");
    other = *b.cfg;
    other.n_layers++;
    assert_not_acquired(seq, &other, KV_F16, ST_INVALID, "another model");
    other = *b.cfg;
    other.n_heads *= 2;
    assert_not_acquired(seq, &other, KV_F16, ST_INVALID, "another model");
    assert_not_acquired(seq, b.cfg, KV_F32, ST_INVALID, "another model");
    assert_not_acquired(seq + 1000, b.cfg, KV_F16, ST_NOT_FOUND, "snapshot");
}

static void a_plain_sequence_is_not_a_snapshot(void **state)
{
    struct msg_create_seq create = {
        .n_layers = 2, .format = KV_F16, .page_bytes = kv_page_bytes(KV_F16, b.shape)};
    struct msg_seq made = {0};

    BENCH_OK(kv_client_create(b.client, &create, &made, &err));
    assert_not_acquired(made.seq, b.cfg, KV_F16, ST_INVALID, "is not a snapshot");
    BENCH_OK(kv_client_drop(b.client, made.seq, &err));
}

static void one_flipped_bit_of_a_page_or_of_the_blob_is_found(void **state)
{
    uint64_t seq = bench_prefill(&b, 300);
    struct snapshot s;
    uint8_t *at[3];

    BENCH_OK(snapshot_acquire(&s, b.client, seq, b.cfg, KV_F16, &err));
    at[0] = (uint8_t *)(uintptr_t)snapshot_page(&s, 1, 1) + 4095;
    at[1] = (uint8_t *)(uintptr_t)s.tail + 9;
    at[2] = (uint8_t *)(uintptr_t)s.logits;
    snapshot_release(&s, b.client);
    for (int i = 0; i < 3; i++) {
        *at[i] ^= 8;
        assert_not_acquired(seq, b.cfg, KV_F16, ST_CORRUPT, i == 0 ? "layer 1 page 1" : "blob");
        *at[i] ^= 8;
    }
    BENCH_OK(snapshot_acquire(&s, b.client, seq, b.cfg, KV_F16, &err));
    snapshot_release(&s, b.client);
}

static int open_bench(void **state)
{
    bench_open(&b, 0);
    return 0;
}

static int close_bench(void **state)
{
    bench_close(&b);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_prefills_of_one_prompt_leave_the_same_bytes),
        cmocka_unit_test(the_snapshot_of_another_model_is_refused),
        cmocka_unit_test(a_plain_sequence_is_not_a_snapshot),
        cmocka_unit_test(one_flipped_bit_of_a_page_or_of_the_blob_is_found),
    };

    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
