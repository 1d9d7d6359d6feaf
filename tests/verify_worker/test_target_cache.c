/*
 * The target's cache at page borders: a row at position t reads page p sealed if
 * and only if p <= t / 128 - 2, whatever the pass began with; compared with a
 * plain softmax over rows kept aside.
 */
#include "tests/verify_worker/bench.h"

#include "kernels/half.h"
#include "kernels/rope.h"

enum { MAX_TOKENS = 1200, D = TINY_HEAD_DIM, KV = TINY_KV_HEADS, MAX_ROWS = 33 };

static struct bench b;

/* K and V of every token as f16 rows, layer 0, and the same after sealing. */
static float exact[2][KV][MAX_TOKENS][D], sealed[2][KV][MAX_TOKENS][D];
static uint64_t seed;

static float noise(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((int)(seed >> 40) - (1 << 23)) / (float)(1 << 22);
}

static float to_f16(float x)
{
    return half_from_f16(half_to_f16(x));
}

/* Seals page p of the rows kept aside. */
static void seal_rows(uint32_t p, enum kv_format format)
{
    uint8_t head[2 * PAGE_TOKENS * D * 4];
    const struct kv_format_ops *ops = kv_format_ops(format);

    for (uint32_t h = 0; h < KV; h++) {
        ops->seal(head, D, exact[0][h][p * PAGE_TOKENS], exact[1][h][p * PAGE_TOKENS]);
        for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
            ops->get_k(head, D, t, sealed[0][h][p * PAGE_TOKENS + t]);
            ops->get_v(head, D, t, sealed[1][h][p * PAGE_TOKENS + t]);
        }
    }
}

static void keep_prompt(const struct snapshot *s, enum kv_format format)
{
    const struct kv_format_ops *ops = kv_format_ops(KV_F16);

    for (uint32_t t = 0; t < s->head.n_tokens; t++) {
        uint32_t p = t / PAGE_TOKENS;
        const void *page = p < s->map.n_pages ? snapshot_page(s, 0, p) : s->tail;
        for (uint32_t h = 0; h < KV; h++) {
            ops->get_k(bench_head(&b, page, KV_F16, h), D, t % PAGE_TOKENS, exact[0][h][t]);
            ops->get_v(bench_head(&b, page, KV_F16, h), D, t % PAGE_TOKENS, exact[1][h][t]);
        }
    }
    for (uint32_t p = 0; p < s->map.n_pages; p++)
        seal_rows(p, format);
}

/* Softmax over what the row at position t must see. */
static void plain_attention(const float *q, uint32_t t, uint32_t kv_head, double *out)
{
    double weight[MAX_TOKENS], max = -INFINITY, sum = 0;

    for (uint32_t j = 0; j <= t; j++) {
        bool is_sealed = j / PAGE_TOKENS + 2 <= t / PAGE_TOKENS;
        const float *k = is_sealed ? sealed[0][kv_head][j] : exact[0][kv_head][j];
        weight[j] = 0;
        for (int d = 0; d < D; d++)
            weight[j] += (double)q[d] * k[d] / sqrt(D);
        max = weight[j] > max ? weight[j] : max;
    }
    for (int d = 0; d < D; d++)
        out[d] = 0;
    for (uint32_t j = 0; j <= t; j++) {
        bool is_sealed = j / PAGE_TOKENS + 2 <= t / PAGE_TOKENS;
        const float *v = is_sealed ? sealed[1][kv_head][j] : exact[1][kv_head][j];
        weight[j] = exp(weight[j] - max);
        sum += weight[j];
        for (int d = 0; d < D; d++)
            out[d] += weight[j] * v[d];
    }
    for (int d = 0; d < D; d++)
        out[d] /= sum;
}

static void make_rows(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = noise();
}

static float q[MAX_ROWS][TINY_HEADS][D], k[MAX_ROWS][KV][D], v[MAX_ROWS][KV][D];
static float out[MAX_ROWS][TINY_HEADS][D];

/* The rows of a pass from `base` on; k has been rotated in place. */
static void keep_rows(uint32_t base, uint32_t n_rows)
{
    for (uint32_t i = 0; i < n_rows * KV * D; i++) {
        uint32_t r = i / (KV * D), h = i / D % KV, d = i % D;
        exact[0][h][base + r][d] = to_f16(k[r][h][d]);
        exact[1][h][base + r][d] = to_f16(v[r][h][d]);
    }
}

static void compare_row(uint32_t base, uint32_t n_rows, uint32_t r, uint32_t h)
{
    double want[D];

    plain_attention(q[r][h], base + r, h / (TINY_HEADS / KV), want);
    for (int d = 0; d < D; d++)
        if (!(fabs(out[r][h][d] - want[d]) < 2e-4))
            fail_msg("row at %u of a pass of %u from %u, head %u: %g, want %g", base + r, n_rows,
                     base, h, out[r][h][d], want[d]);
}

/* One pass of random rows through layer 0 (and 1, unchecked), compared. */
static void pass(struct target_cache *cache, uint32_t n_rows)
{
    struct model_cache face = target_cache_interface(cache);
    uint32_t pos[MAX_ROWS], base = target_cache_end(cache);

    for (uint32_t r = 0; r < n_rows; r++)
        pos[r] = base + r;
    target_cache_begin(cache, n_rows);
    for (int l = 0; l < TINY_LAYERS; l++) {
        struct model_attend_args args = {l, (int)n_rows, pos, **q, **k, **v, **out};
        make_rows(**q, sizeof q / sizeof(float));
        make_rows(**k, sizeof k / sizeof(float));
        make_rows(**v, sizeof v / sizeof(float));
        BENCH_OK(face.attend(face.self, &args, &err));
        if (l > 0)
            continue;
        keep_rows(base, n_rows);
        for (uint32_t i = 0; i < n_rows * TINY_HEADS; i++)
            compare_row(base, n_rows, i / TINY_HEADS, i % TINY_HEADS);
    }
}

static void accept(struct target_cache *cache, uint32_t n, enum kv_format format)
{
    uint32_t old = target_cache_end(cache) / PAGE_TOKENS;

    BENCH_OK(target_cache_accept(cache, n, &err));
    for (uint32_t p = old; p < target_cache_end(cache) / PAGE_TOKENS; p++)
        seal_rows(p, format);
}

/* Passes of 1 .. 33 rows with every share accepted, over two page borders. */
static void walk(uint32_t n_prompt, const struct parts_args *a)
{
    struct parts p;

    parts_open(&p, &b, a);
    keep_prompt(&p.snapshot, a->on_chip > 0 ? KV_F16 : a->format);
    for (uint32_t i = 0; target_cache_end(p.cache) < n_prompt + 300; i++) {
        uint32_t n_rows = 1 + (i * 13 + n_prompt) % MAX_ROWS;
        BENCH_OK(target_cache_stream_ahead(p.cache, n_rows, &err));
        pass(p.cache, n_rows);
        /* The next pass overwrites what is not accepted. */
        accept(p.cache, 1 + (i * 7) % n_rows, a->on_chip > 0 ? KV_F16 : a->format);
    }
    assert_int_equal(device_used(b.dev, DEVICE_KV_TAIL), target_cache_tail_bytes(p.cache));
    parts_close(&p, &b);
}

static void a_row_reads_a_page_sealed_from_two_pages_on(void **state)
{
    const uint32_t prompt[] = {1, 127, 128, 129, 255, 256, 257, 300, 383};
    const struct parts_args how[] = {{0, KV_INT4, 0, 0, 0},
                                     {0, KV_INT4, 0, 2, 0},
                                     {0, KV_INT8, 0, 1, 1},
                                     {0, KV_INT4, 1, 0, 0},
                                     {0, KV_F16, 0, 0, 3}};

    for (int link = 0; link < 2; link++) {
        bench_open(&b, link ? 50 : 0);
        for (uint32_t i = 0; i < sizeof prompt / sizeof *prompt; i++) {
            uint64_t seq = bench_prefill(&b, prompt[i]);
            for (uint32_t h = 0; h < sizeof how / sizeof *how; h++) {
                struct parts_args a = how[h];
                a.seq = seq;
                walk(prompt[i], &a);
            }
            BENCH_OK(kv_client_drop(b.client, seq, &err));
        }
        bench_close(&b);
    }
}

static void the_tail_alone_holds_accepted_rows_unquantized(void **state)
{
    struct parts p;
    struct kv_view view;
    uint32_t base;
    float row[D];

    bench_open(&b, 0);
    parts_open(&p, &b, &(struct parts_args){bench_prefill(&b, 250), KV_INT4, 0, 0, 0});
    keep_prompt(&p.snapshot, KV_INT4);
    base = target_cache_end(p.cache);
    pass(p.cache, 20);
    accept(p.cache, 20, KV_INT4); /* crosses into page 2, seals page 1 */
    target_cache_tail_view(p.cache, 0, &view);
    for (uint32_t t = base; t < base + 20; t++)
        for (uint32_t h = 0; h < KV; h++) {
            const void *page = view.tail[t / PAGE_TOKENS];
            assert_false(kv_view_reads_sealed(&view, t / PAGE_TOKENS, base + 20));
            kv_format_ops(KV_F16)->get_k(bench_head(&b, page, KV_F16, h), D, t % PAGE_TOKENS, row);
            assert_memory_equal(row, exact[0][h][t], sizeof row);
        }
    parts_close(&p, &b);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_reads_a_page_sealed_from_two_pages_on),
        cmocka_unit_test(the_tail_alone_holds_accepted_rows_unquantized),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
