/*
 * Transcoding: the definition's bytes, once per format, gone when forgotten; the
 * errors it tells are those of the bytes.
 */
#include "tests/verify_worker/bench.h"

static struct bench b;

static void get(struct transcode_set *set, const struct snapshot *s, enum kv_format format,
                struct transcoded *out)
{
    BENCH_OK(transcode_get(set, b.dev, b.client, s, format, out, &err));
}

/* Relative RMS errors over all full pages, from rows. */
static void plain_errors(const struct snapshot *s, enum kv_format format, double out[2])
{
    uint8_t sealed[TINY_KV_HEADS * 2 * PAGE_TOKENS * TINY_HEAD_DIM * 4];
    const struct kv_format_ops *from = kv_format_ops(KV_F16), *to = kv_format_ops(format);
    double sum[2][2] = {{0}};
    float x[2][TINY_HEAD_DIM], y[2][TINY_HEAD_DIM];

    for (uint32_t i = 0; i < TINY_LAYERS * s->map.n_pages * TINY_KV_HEADS * PAGE_TOKENS; i++) {
        uint32_t t = i % PAGE_TOKENS, h = i / PAGE_TOKENS % TINY_KV_HEADS;
        uint32_t at = i / PAGE_TOKENS / TINY_KV_HEADS;
        const void *page = snapshot_page(s, at / s->map.n_pages, at % s->map.n_pages);
        if (t == 0 && h == 0)
            bench_seal(&b, page, format, sealed);
        from->get_k(bench_head(&b, page, KV_F16, h), TINY_HEAD_DIM, t, x[0]);
        from->get_v(bench_head(&b, page, KV_F16, h), TINY_HEAD_DIM, t, x[1]);
        to->get_k(bench_head(&b, sealed, format, h), TINY_HEAD_DIM, t, y[0]);
        to->get_v(bench_head(&b, sealed, format, h), TINY_HEAD_DIM, t, y[1]);
        for (int kv = 0; kv < 2; kv++)
            for (int d = 0; d < TINY_HEAD_DIM; d++) {
                double e = (double)x[kv][d] - y[kv][d];
                sum[kv][0] += e * e;
                sum[kv][1] += (double)x[kv][d] * x[kv][d];
            }
    }
    out[0] = sqrt(sum[0][0] / sum[0][1]);
    out[1] = sqrt(sum[1][0] / sum[1][1]);
}

static void check_pages_and_errors(uint32_t n_pages)
{
    uint64_t seq = bench_prefill(&b, n_pages * PAGE_TOKENS + 44);
    struct transcode_set set = {0};
    struct snapshot s;

    BENCH_OK(snapshot_acquire(&s, b.client, seq, b.cfg, KV_F16, &err));
    for (int format = KV_INT8; format <= KV_INT4; format++) {
        uint8_t want[TINY_KV_HEADS * 2 * PAGE_TOKENS * TINY_HEAD_DIM * 4];
        struct msg_page_map map = {0};
        struct transcoded made;
        double plain[2];
        get(&set, &s, (enum kv_format)format, &made);
        BENCH_OK(kv_client_acquire(b.client, made.seq, true, &map, &err));
        assert_int_equal(map.n_pages, n_pages);
        assert_int_equal(map.format, format);
        for (uint32_t l = 0; l < TINY_LAYERS; l++)
            for (uint32_t i = 0; i < n_pages; i++) {
                void *page = NULL;
                kv_client_pages(b.client, &map, l, i, 1, &page);
                bench_seal(&b, snapshot_page(&s, l, i), (enum kv_format)format, want);
                assert_memory_equal(page, want, map.page_bytes);
            }
        plain_errors(&s, (enum kv_format)format, plain);
        assert_close(made.k_error, plain[0], 1e-6);
        assert_close(made.v_error, plain[1], 1e-6);
        assert_true(plain[0] > 1e-4 && plain[0] < 0.2);
        BENCH_OK(kv_client_release(b.client, map.lease, &err));
        kv_map_release(&map);
    }
    transcode_forget(&set, b.client, seq);
    snapshot_release(&s, b.client);
}

/* 33: one more than are sealed in one call. */
static void the_pages_and_errors_are_those_of_the_definition(void **state)
{
    check_pages_and_errors(2);
    check_pages_and_errors(33);
}

static void a_format_is_made_once_and_goes_with_the_snapshot(void **state)
{
    uint64_t seq = bench_prefill(&b, 300);
    struct msg_stats before;
    struct transcode_set set = {0};
    struct transcoded first, again, other;
    struct snapshot s;

    BENCH_OK(snapshot_acquire(&s, b.client, seq, b.cfg, KV_F16, &err));
    before = bench_stats(&b);
    get(&set, &s, KV_F16, &first);
    assert_int_equal(first.seq, seq);
    assert_int_equal(bench_stats(&b).n_seqs, before.n_seqs);
    get(&set, &s, KV_INT8, &first);
    get(&set, &s, KV_INT8, &again);
    get(&set, &s, KV_INT4, &other);
    assert_int_equal(first.seq, again.seq);
    assert_true(first.k_error == again.k_error);
    assert_int_not_equal(first.seq, other.seq);
    assert_int_equal(bench_stats(&b).n_seqs, before.n_seqs + 2);
    transcode_forget(&set, b.client, seq + 1);
    assert_int_equal(set.n_items, 2);
    transcode_forget(&set, b.client, seq);
    assert_int_equal(set.n_items, 0);
    assert_int_equal(bench_stats(&b).n_seqs, before.n_seqs);
    assert_int_equal(bench_stats(&b).used_bytes, before.used_bytes);
    snapshot_release(&s, b.client);
}

static void the_oldest_makes_room_when_the_set_is_full(void **state)
{
    struct transcode_set set = {0};
    struct snapshot s[5];
    struct transcoded made;
    struct msg_stats before;

    for (int i = 0; i < 5; i++)
        BENCH_OK(snapshot_acquire(&s[i], b.client, bench_prefill(&b, 128), b.cfg, KV_F16, &err));
    before = bench_stats(&b);
    for (int i = 0; i < 5; i++) {
        get(&set, &s[i], KV_INT8, &made);
        get(&set, &s[i], KV_INT4, &made);
    }
    assert_int_equal(set.n_items, TRANSCODE_MAX);
    assert_int_equal(bench_stats(&b).n_seqs, before.n_seqs + TRANSCODE_MAX);
    for (int i = 0; i < 5; i++) {
        transcode_forget(&set, b.client, s[i].map.seq);
        snapshot_release(&s[i], b.client);
    }
    assert_int_equal(bench_stats(&b).n_seqs, before.n_seqs);
}

/* Every layer takes an extent of 2 MiB: the arena holds two snapshots and one
 * transcoded copy. */
static void a_full_arena_costs_the_copies_of_other_snapshots_first(void **state)
{
    struct transcode_set set = {0};
    struct snapshot s[2];
    struct transcoded made;
    struct bench kept = b;

    bench_open_arena(&b, 0, "16777216");
    for (int i = 0; i < 2; i++)
        BENCH_OK(snapshot_acquire(&s[i], b.client, bench_prefill(&b, 128), b.cfg, KV_F16, &err));
    for (int i = 0; i < 4; i++) {
        get(&set, &s[i % 2], KV_INT8, &made);
        assert_int_equal(made.snapshot, s[i % 2].map.seq);
        assert_int_equal(set.n_items, 1);
    }
    for (int i = 0; i < 2; i++) {
        transcode_forget(&set, b.client, s[i].map.seq);
        snapshot_release(&s[i], b.client);
    }
    bench_close(&b);
    b = kept;
}

static void a_prompt_without_a_full_page_has_no_error(void **state)
{
    struct transcode_set set = {0};
    struct transcoded made;
    struct snapshot s;

    BENCH_OK(snapshot_acquire(&s, b.client, bench_prefill(&b, 5), b.cfg, KV_F16, &err));
    get(&set, &s, KV_INT8, &made);
    assert_true(made.k_error == -1 && made.v_error == -1);
    transcode_forget(&set, b.client, s.map.seq);
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
        cmocka_unit_test(the_pages_and_errors_are_those_of_the_definition),
        cmocka_unit_test(a_format_is_made_once_and_goes_with_the_snapshot),
        cmocka_unit_test(the_oldest_makes_room_when_the_set_is_full),
        cmocka_unit_test(a_full_arena_costs_the_copies_of_other_snapshots_first),
        cmocka_unit_test(a_prompt_without_a_full_page_has_no_error),
    };

    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
