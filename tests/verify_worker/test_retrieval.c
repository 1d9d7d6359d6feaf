/*
 * The retrieval KV: which prompt tokens are chosen, that their rows are exact,
 * and what an update writes; compared with plain loops.
 */
#include "tests/verify_worker/bench.h"

#include "verify_worker/retrieval.h"

enum { D = TINY_HEAD_DIM, KV = TINY_KV_HEADS, GROUP = TINY_HEADS / TINY_KV_HEADS, MAX = 1024 };

static struct bench b;
static struct parts p;
static uint8_t memory[1 << 20];

/* K or V row of prompt token t as attention at the prompt's end reads it. */
static void prompt_row(uint32_t layer, uint32_t h, uint32_t t, bool v, enum kv_format format,
                       float *row)
{
    uint8_t sealed[KV * 2 * PAGE_TOKENS * D * 4];
    uint32_t n = p.snapshot.head.n_tokens, page = t / PAGE_TOKENS;
    const void *from = page < n / PAGE_TOKENS
                           ? snapshot_page(&p.snapshot, layer, page)
                           : p.snapshot.tail + layer * kv_page_bytes(KV_F16, b.shape);
    const struct kv_format_ops *ops = kv_format_ops(KV_F16);

    if (page + 2 <= (n - 1) / PAGE_TOKENS && format != KV_F16) {
        bench_seal(&b, from, format, sealed);
        from = sealed;
        ops = kv_format_ops(format);
    } else {
        format = KV_F16;
    }
    (v ? ops->get_v : ops->get_k)(bench_head(&b, from, format, h), D, t % PAGE_TOKENS, row);
}

/* Row of slot `slot` in the retrieval memory. */
static void slot_row(const struct retrieval *r, uint32_t layer, uint32_t h, uint32_t slot, bool v,
                     float *row)
{
    const uint8_t *page = memory + ((size_t)layer * retrieval_layer_pages(r) + slot / PAGE_TOKENS) *
                                       kv_page_bytes(KV_F16, b.shape);
    const struct kv_format_ops *ops = kv_format_ops(KV_F16);

    (v ? ops->get_v : ops->get_k)(bench_head(&b, page, KV_F16, h), D, slot % PAGE_TOKENS, row);
}

static double dot_with_mean(uint32_t layer, uint32_t kv_head, uint32_t head, uint32_t c,
                            uint32_t chunk, enum kv_format format)
{
    const float *q = p.snapshot.query + ((size_t)layer * TINY_HEADS + head) * D;
    double dot = 0;
    float row[D];

    for (uint32_t t = c * chunk; t < (c + 1) * chunk; t++) {
        prompt_row(layer, kv_head, t, false, format, row);
        for (int d = 0; d < D; d++)
            dot += (double)q[d] * row[d] / chunk / sqrt(D);
    }
    return dot;
}

/* score[c] of one KV head: softmax over chunks, averaged over its query heads. */
static void plain_scores(uint32_t layer, uint32_t kv_head, uint32_t chunk, enum kv_format format,
                         double *score)
{
    uint32_t n = p.snapshot.head.n_tokens / chunk;
    double s[MAX];

    for (uint32_t c = 0; c < n; c++)
        score[c] = 0;
    for (uint32_t g = 0; g < GROUP; g++) {
        double max = -INFINITY, sum = 0;
        for (uint32_t c = 0; c < n; c++) {
            s[c] = dot_with_mean(layer, kv_head, kv_head * GROUP + g, c, chunk, format);
            max = s[c] > max ? s[c] : max;
        }
        for (uint32_t c = 0; c < n; c++)
            sum += exp(s[c] - max);
        for (uint32_t c = 0; c < n; c++)
            score[c] += exp(s[c] - max) / sum / GROUP;
    }
}

/* Reads off which tokens lie in the slots of one head, by their exact rows. */
static void chosen_tokens(const struct retrieval *r, uint32_t layer, uint32_t h,
                          enum kv_format format, bool *in)
{
    uint32_t n = p.snapshot.head.n_tokens, t = 0;
    float have[D], want[D];

    memset(in, 0, MAX * sizeof *in);
    for (uint32_t slot = 0; slot < retrieval_n_selected(r); slot++, t++) {
        slot_row(r, layer, h, slot, false, have);
        for (; t < n; t++) {
            prompt_row(layer, h, t, false, format, want);
            /* f16 of the value read, whatever form it was read from */
            for (int d = 0; d < D; d++)
                want[d] = half_from_f16(half_to_f16(want[d]));
            if (memcmp(have, want, sizeof have) == 0)
                break;
        }
        if (t == n)
            fail_msg("slot %u of layer %u head %u holds no later prompt token", slot, layer, h);
        in[t] = true;
        slot_row(r, layer, h, slot, true, have);
        prompt_row(layer, h, t, true, format, want);
        for (int d = 0; d < D; d++)
            assert_close(have[d], want[d], 1e-3 * fabs(want[d]) + 1e-6);
    }
}

static struct retrieval *open_retrieval(uint32_t budget, uint32_t chunk, uint32_t recent)
{
    struct retrieval_args args = {.dev = b.dev,
                                  .cfg = b.cfg,
                                  .snapshot = &p.snapshot,
                                  .cache = p.cache,
                                  .memory = memory,
                                  .memory_bytes = sizeof memory,
                                  .budget = budget,
                                  .chunk = chunk,
                                  .recent = recent};
    struct retrieval *r = NULL;

    memset(memory, 0, sizeof memory);
    BENCH_OK(retrieval_open(&r, &args, &err));
    return r;
}

static void assert_best(const bool *in, const double *score, uint32_t n_prompt, uint32_t chunk)
{
    double worst_in = INFINITY, best_out = 0;
    uint32_t n_chunks = n_prompt / chunk;

    for (uint32_t c = 1; c < n_chunks; c++) {
        for (uint32_t t = 1; t < chunk; t++)
            assert_int_equal(in[c * chunk + t], in[c * chunk]);
        if (in[c * chunk])
            worst_in = score[c] < worst_in ? score[c] : worst_in;
        else
            best_out = score[c] > best_out ? score[c] : best_out;
    }
    /* Nearly equal scores may fall either way. */
    assert_true(worst_in > best_out * (1 - 1e-3));
    for (uint32_t t = 0; t < chunk; t++)
        assert_true(in[t]);
    for (uint32_t t = n_chunks * chunk; t < n_prompt; t++)
        assert_true(in[t]);
}

static void the_best_chunks_are_chosen_the_first_and_the_partial_one_always(void **state)
{
    const uint32_t prompt[] = {40, 300, 421}, chunk[] = {8, 8, 12}, budget[] = {24, 77, 130};
    const enum kv_format format[] = {KV_F16, KV_INT8};
    bool differs = false;

    for (int i = 0; i < 6; i++) {
        uint32_t n = prompt[i % 3], c = chunk[i % 3], want = 0;
        struct retrieval *r;
        parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, n), format[i / 3], 0, 0, 0});
        r = open_retrieval(budget[i % 3], c, 20);
        BENCH_OK(retrieval_count(n, budget[i % 3], c, &want, &err));
        assert_int_equal(retrieval_n_selected(r), want);
        assert_true(want <= budget[i % 3] && want + c > budget[i % 3]);
        for (uint32_t l = 0; l < TINY_LAYERS; l++) {
            bool in[2][MAX];
            for (uint32_t h = 0; h < KV; h++) {
                double score[MAX];
                chosen_tokens(r, l, h, format[i / 3], in[h]);
                plain_scores(l, h, c, format[i / 3], score);
                assert_best(in[h], score, n, c);
            }
            differs = differs || memcmp(in[0], in[1], sizeof in[0]) != 0;
        }
        retrieval_close(r);
        parts_close(&p, &b);
    }
    assert_true(differs); /* heads choose for themselves */
}

static void a_budget_of_the_prompt_takes_everything(void **state)
{
    parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, 300), KV_F16, 1, 0, 0});
    for (uint32_t budget = 300; budget < 5000; budget += 4000) {
        struct retrieval *r = open_retrieval(budget, 8, 20);
        bool in[MAX];
        assert_int_equal(retrieval_n_selected(r), 300);
        for (uint32_t l = 0; l < TINY_LAYERS; l++) {
            chosen_tokens(r, l, 1, KV_F16, in);
            for (uint32_t t = 0; t < 300; t++)
                assert_true(in[t]);
        }
        retrieval_close(r);
    }
    parts_close(&p, &b);
}

static void an_update_writes_the_exact_rows_of_accepted_tokens(void **state)
{
    int32_t token[33];
    uint32_t pos[33], base, generation;
    struct retrieval *r;

    parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, 250), KV_INT4, 0, 0, 0});
    r = open_retrieval(64, 8, 120);
    for (int round = 0; round < 4; round++) {
        uint32_t n_rows = 5 + 9 * (uint32_t)round, n = n_rows - (uint32_t)round;
        struct kv_view view;
        struct model_forward_args fwd = {.token = token,
                                         .pos = pos,
                                         .n_rows = (int)n_rows,
                                         .cache = target_cache_interface(p.cache)};
        base = target_cache_end(p.cache);
        for (uint32_t i = 0; i < n_rows; i++) {
            token[i] = (int32_t)(i * 5 + (uint32_t)round) % TINY_VOCAB;
            pos[i] = base + i;
        }
        target_cache_begin(p.cache, n_rows);
        BENCH_OK(model_forward(b.model, &fwd, &err));
        BENCH_OK(target_cache_accept(p.cache, n, &err));
        generation = (uint32_t)retrieval_generation(r);
        /* The middle level's guesses lie there before. */
        memset(memory + retrieval_bytes(r) / 2, 0x3c, 64);
        BENCH_OK(retrieval_update(r, base, n, &err));
        assert_true(retrieval_generation(r) > generation);
        for (uint32_t l = 0; l < TINY_LAYERS; l++) {
            target_cache_tail_view(p.cache, l, &view);
            for (uint32_t i = 0; i < n * KV * 2; i++) {
                uint32_t t = base + i / (KV * 2), h = i / 2 % KV;
                const struct kv_format_ops *ops = kv_format_ops(KV_F16);
                float want[D], have[D];
                (i % 2 ? ops->get_v
                       : ops->get_k)(bench_head(&b, view.tail[t / PAGE_TOKENS], KV_F16, h), D,
                                     t % PAGE_TOKENS, want);
                slot_row(r, l, h, retrieval_n_selected(r) + t - 250, i % 2, have);
                assert_memory_equal(have, want, sizeof want);
            }
        }
    }
    retrieval_close(r);
    assert_int_equal(device_used(b.dev, DEVICE_KV_RETRIEVAL), 0);
    parts_close(&p, &b);
}

static void a_budget_that_cannot_hold_what_is_always_in_is_refused(void **state)
{
    struct err err = {{0}};
    uint32_t n = 0;

    assert_int_equal(retrieval_count(100, 11, 8, &n, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "budget 11 is too small"));
    assert_int_equal(retrieval_count(100, 12, 8, &n, &err), ST_OK);
    assert_int_equal(n, 12); /* chunk 0 and the last 4 tokens */
    assert_int_equal(retrieval_count(100, 99, 8, &n, &err), ST_OK);
    assert_int_equal(n, 92);
    assert_int_equal(retrieval_count(100, 100, 8, &n, &err), ST_OK);
    assert_int_equal(n, 100);
    /* A chunk near 2^32 must not wrap around. */
    assert_int_equal(retrieval_count(20, 19, UINT32_MAX, &n, &err), ST_INVALID);
    assert_int_equal(retrieval_count(0, 0, 8, &n, &err), ST_OK);
    assert_int_equal(n, 0);
}

static void too_little_room_is_refused(void **state)
{
    struct retrieval_args args = {0};
    struct retrieval *r = NULL;
    struct err err = {{0}};

    parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, 300), KV_F16, 0, 0, 0});
    args = (struct retrieval_args){.dev = b.dev,
                                   .cfg = b.cfg,
                                   .snapshot = &p.snapshot,
                                   .cache = p.cache,
                                   .memory = memory,
                                   .memory_bytes = 4096,
                                   .budget = 64,
                                   .chunk = 8,
                                   .recent = 20};
    assert_int_equal(retrieval_open(&r, &args, &err), ST_NO_SPACE);
    assert_non_null(strstr(err.text, "4096 are there"));
    assert_int_equal(device_used(b.dev, DEVICE_KV_RETRIEVAL), 0);
    parts_close(&p, &b);
}

/* A window of 100 of 300 tokens: the last query sees chunks 25 .. 36 and the 4 tokens behind. */
static void chunks_before_the_window_are_chosen_last(void **state)
{
    static const struct {
        uint32_t budget, first_seen, n_fillers;
    } cases[] = {{60, 200, 0}, {100, 200, 0}, {148, 200, 48}, {300, 0, 0}};
    struct bench all = b;
    bool in[MAX];

    bench_open_as(
        &b, &(struct bench_options){.tiny = {.architecture = "MistralForCausalLM", .window = 100}});
    parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, 300), KV_F16, 0, 0, 0});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct retrieval *r = open_retrieval(cases[i].budget, 8, 20);
        for (uint32_t lh = 0; lh < TINY_LAYERS * KV; lh++) {
            chosen_tokens(r, lh / KV, lh % KV, KV_F16, in);
            for (uint32_t t = 0; t < cases[i].first_seen; t++)
                assert_int_equal(in[t], t < cases[i].n_fillers);
            for (uint32_t t = 200; t < 300 && cases[i].budget >= 100; t++)
                assert_true(in[t]);
        }
        retrieval_close(r);
    }
    parts_close(&p, &b);
    bench_close(&b);
    b = all;
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
        cmocka_unit_test(the_best_chunks_are_chosen_the_first_and_the_partial_one_always),
        cmocka_unit_test(a_budget_of_the_prompt_takes_everything),
        cmocka_unit_test(an_update_writes_the_exact_rows_of_accepted_tokens),
        cmocka_unit_test(a_budget_that_cannot_hold_what_is_always_in_is_refused),
        cmocka_unit_test(chunks_before_the_window_are_chosen_last),
        cmocka_unit_test(too_little_room_is_refused),
    };

    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
