/*
 * Placement: wherever a layer lies, attention is shown the same sealed pages, and
 * every byte is in the ledger.
 */
#include "tests/verify_worker/bench.h"

static void assert_page(const struct bench *b, const void *page, const void *base,
                        enum kv_format format)
{
    uint8_t want[TINY_KV_HEADS * 2 * PAGE_TOKENS * TINY_HEAD_DIM * 4];

    bench_seal(b, base, format, want);
    assert_memory_equal(page, want, kv_page_bytes(format, b->shape));
}

/* Takes every layer as a pass does and compares with the definition. */
static void assert_layers(struct bench *b, struct parts *p, const struct parts_args *a,
                          const void *extra)
{
    uint32_t n = placement_n_sealed(p->placement);

    for (uint32_t l = 0; l < TINY_LAYERS; l++) {
        const void *const *pages = NULL;
        enum kv_format format = l < a->on_chip ? KV_F16 : a->format;
        assert_int_equal(placement_format(p->placement, l), format);
        BENCH_OK(placement_take(p->placement, l, n, &pages, &err));
        for (uint32_t i = 0; i < n; i++)
            assert_page(b, pages[i], i < 2 ? snapshot_page(&p->snapshot, l, i) : extra, format);
        BENCH_OK(placement_setup_pages(p->placement, l, &pages, &err));
        for (uint32_t i = 0; i < n; i++)
            assert_page(b, pages[i], i < 2 ? snapshot_page(&p->snapshot, l, i) : extra, format);
        BENCH_OK(placement_give(p->placement, l, &err));
    }
}

static void assert_ledger(struct bench *b, struct parts *p, const struct parts_args *a)
{
    struct placement_counts n = placement_counts(p->placement);
    uint64_t pages = (p->max_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;

    assert_int_equal(n.on_chip_bytes, a->on_chip * pages * kv_page_bytes(KV_F16, b->shape));
    assert_int_equal(n.resident_bytes, a->resident * pages * kv_page_bytes(a->format, b->shape));
    assert_int_equal(n.on_chip_bytes, device_used(b->dev, DEVICE_KV_ON_CHIP));
    assert_int_equal(n.resident_bytes, device_used(b->dev, DEVICE_KV_RESIDENT));
    assert_int_equal(n.staging_bytes, device_used(b->dev, DEVICE_KV_STAGING));
}

static void check(struct bench *b, const struct parts_args *a)
{
    struct msg_stats before = bench_stats(b), after;
    uint8_t tail[TINY_KV_HEADS * 2 * PAGE_TOKENS * TINY_HEAD_DIM * 2];
    const void *tails[TINY_LAYERS] = {tail, tail};
    uint64_t offloaded = TINY_LAYERS - a->on_chip - a->resident, bytes;
    struct parts p;

    parts_open(&p, b, a);
    assert_int_equal(placement_n_sealed(p.placement), 2);
    assert_ledger(b, &p, a);
    assert_layers(b, &p, a, NULL);
    /* A page of layer 0 stands for a full tail page. */
    memcpy(tail, snapshot_page(&p.snapshot, 0, 1), sizeof tail);
    BENCH_OK(placement_seal(p.placement, tails, &err));
    assert_int_equal(placement_n_sealed(p.placement), 3);
    assert_layers(b, &p, a, tail);
    bytes = offloaded * (2 + 3) * kv_page_bytes(a->format, b->shape);
    assert_int_equal(placement_counts(p.placement).link_bytes, bytes);
    assert_ledger(b, &p, a);
    if (kv_format_is_quantized(a->format) && a->on_chip < TINY_LAYERS)
        assert_true(placement_counts(p.placement).k_error[0] > 0);
    else
        assert_true(placement_counts(p.placement).k_error[0] == 0);
    parts_close(&p, b);
    after = bench_stats(b);
    assert_int_equal(after.used_bytes, before.used_bytes);
    assert_int_equal(after.n_seqs, before.n_seqs);
    assert_int_equal(after.n_leases, before.n_leases);
    assert_int_equal(after.n_reservations, 0);
    assert_int_equal(device_used(b->dev, DEVICE_KV_ON_CHIP), 0);
    assert_int_equal(device_used(b->dev, DEVICE_KV_STAGING), 0);
}

static void every_placement_shows_the_same_pages(void **state)
{
    const enum kv_format format[] = {KV_F16, KV_INT8, KV_INT4};

    for (int link = 0; link < 2; link++) {
        struct bench b;
        uint64_t seq;
        bench_open(&b, link ? 50 : 0);
        seq = bench_prefill(&b, 300);
        for (int f = 0; f < 3; f++)
            for (uint32_t on_chip = 0; on_chip <= TINY_LAYERS; on_chip++)
                for (uint32_t resident = 0; on_chip + resident <= TINY_LAYERS; resident++)
                    check(&b, &(struct parts_args){seq, format[f], on_chip, resident, link + f});
        bench_close(&b);
    }
}

static void a_trial_without_a_full_page_has_nothing_sealed(void **state)
{
    struct bench b;
    struct parts p;

    bench_open(&b, 50);
    parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, 127), KV_INT8, 0, 1, 0});
    assert_int_equal(placement_n_sealed(p.placement), 0);
    assert_layers(&b, &p, &(struct parts_args){0, KV_INT8, 0, 1, 0}, NULL);
    assert_int_equal(placement_counts(p.placement).link_bytes, 0);
    parts_close(&p, &b);
    bench_close(&b);
}

static void a_damaged_page_is_refused_when_a_trial_forks_it(void **state)
{
    struct bench b;
    struct parts p;
    struct placement *again = NULL;
    struct placement_args args;
    const void *const *pages;
    struct err err = {{0}};

    bench_open(&b, 0);
    parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, 300), KV_INT8, 0, 0, 0});
    assert_int_equal(placement_setup_pages(p.placement, 1, &pages, &err), ST_OK);
    ((uint8_t *)(uintptr_t)pages[0])[77] ^= 1;
    args = (struct placement_args){.dev = b.dev,
                                   .store = b.client,
                                   .snapshot = &p.snapshot,
                                   .base = KV_F16,
                                   .sealed = KV_INT8,
                                   .sealed_seq = p.sealed.seq,
                                   .max_pages = 8};
    assert_int_equal(placement_open(&again, &args, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "layer 1 page 0"));
    parts_close(&p, &b);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_placement_shows_the_same_pages),
        cmocka_unit_test(a_trial_without_a_full_page_has_nothing_sealed),
        cmocka_unit_test(a_damaged_page_is_refused_when_a_trial_forks_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
