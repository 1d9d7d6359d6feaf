/*
 * kv_fixture.h - views of seeded random pages for kernel tests: every page in a
 * tail form (f16 or f32) and, where asked, a sealed form of the same rows.
 */
#ifndef TESTS_KERNELS_KV_FIXTURE_H
#define TESTS_KERNELS_KV_FIXTURE_H

#include "common/mem.h"
#include "common/rng.h"
#include "common/status.h"
#include "kernels/kv_layout.h"
#include "kernels/kv_view.h"
#include "tests/test_helpers.h"

struct kv_fixture {
    struct kv_view view;
    void **sealed, **tail; /* owns the pages */
};

/* Roughly normal: a sum of four uniforms, variance 1. */
static inline float kv_fixture_normal(uint64_t seed, uint64_t i)
{
    double sum = 0.0;
    for (uint32_t j = 0; j < 4; j++)
        sum += rng_uniform(seed, RNG_TEST, i, j) - 0.5;
    return (float)(sum * 1.7320508);
}

static inline float *kv_fixture_normals(uint64_t seed, size_t n)
{
    float *x = mem_array(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = kv_fixture_normal(seed, i);
    return x;
}

/* Pages hold normal data; every 7th K channel is 20 times larger, as real keys
 * have it. Unquantized forms go up to n_pages, sealed ones too. */
static inline void kv_fixture_open(struct kv_fixture *f, struct kv_shape shape, uint32_t n_pages,
                                   enum kv_format tail, enum kv_format sealed, uint64_t seed)
{
    size_t n = (size_t)PAGE_TOKENS * shape.head_dim;

    f->sealed = mem_array(n_pages, sizeof *f->sealed);
    f->tail = mem_array(n_pages, sizeof *f->tail);
    for (uint32_t p = 0; p < n_pages; p++) {
        f->tail[p] = mem_aligned(64, kv_page_bytes(tail, shape));
        f->sealed[p] = mem_aligned(64, kv_page_bytes(sealed, shape));
        for (uint32_t h = 0; h < shape.n_kv_heads; h++) {
            uint64_t at = seed + 1000003u * p + 7919u * h;
            float *k = kv_fixture_normals(at, n), *v = kv_fixture_normals(at + 500009u, n);
            for (size_t i = 0; i < n; i++)
                k[i] *= i % shape.head_dim % 7 == 3 ? 20.0f : 1.0f;
            kv_format_ops(tail)->seal(kv_layout_head_mut(f->tail[p], tail, shape, h),
                                      shape.head_dim, k, v);
            kv_format_ops(sealed)->seal(kv_layout_head_mut(f->sealed[p], sealed, shape, h),
                                        shape.head_dim, k, v);
            free(k);
            free(v);
        }
    }
    f->view = (struct kv_view){
        shape, sealed, tail, n_pages, (const void *const *)f->sealed, (const void *const *)f->tail};
}

static inline void kv_fixture_close(struct kv_fixture *f)
{
    for (uint32_t p = 0; p < f->view.n_pages; p++) {
        free(f->sealed[p]);
        free(f->tail[p]);
    }
    free(f->sealed);
    free(f->tail);
}

/* 64 known bytes before and after n bytes of poison; checked by kv_guard_close. */
static inline void *kv_guard_open(size_t n)
{
    unsigned char *p = mem_aligned(64, (n + 63) / 64 * 64 + 128);
    memset(p, 0xa5, (n + 63) / 64 * 64 + 128);
    memset(p + 64, 0xff, n); /* NaN as f32, f16 and f64 */
    return p + 64;
}

static inline void kv_guard_close(void *data, size_t n)
{
    unsigned char *p = (unsigned char *)data - 64;
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(p[i], 0xa5);
        assert_int_equal(p[64 + n + i], 0xa5);
    }
    free(p);
}

#endif
