/*
 * attention_tile_score.cuh - the scores of one page: factors of Q, products with K, the mask.
 */
#ifndef KERNELS_ATTENTION_TILE_SCORE_CUH
#define KERNELS_ATTENTION_TILE_SCORE_CUH

#include "kernels/attention_tile.cuh"

/* K's scales and minima of a page in shared memory; NULL where a format has none. */
struct tile_scales {
    const float *scale, *min;
};

/* Sum of q * minimum over this warp's dimensions, of each row, for all warps. */
template <int MT>
TILE_FN void tile_score_base(const tile_thread &t, const float (&base)[MT][2], float *warp_base)
{
    TILE_UNROLL
    for (int m = 0; m < MT; m++)
        TILE_UNROLL
    for (int r = 0; r < 2; r++) {
        float b = base[m][r];
        b += __shfl_xor_sync(0xffffffffu, b, 1);
        b += __shfl_xor_sync(0xffffffffu, b, 2);
        if (t.c == 0)
            warp_base[(t.warp * MT + m) * TILE_ROWS + t.g + 8 * r] = b;
    }
}

/* Writes this warp's steps of q * scale as factors; returns the power of two by which scores are
 * to be multiplied. */
template <int D, int MT>
TILE_FN float tile_score_factors(const tile_thread &t, const tile_rows<D, MT> &rows,
                                 const tile_scales &k, const tile_shared &shared)
{
    const float power = k.scale != nullptr ? tile_power(tile_largest<D>(k.scale, t.lane)) : 1.0f;
    const float norm = tile_inverse(power);
    float base[MT][2] = {};

    TILE_UNROLL
    for (int i = 0; i < D / 64; i++) {
        const int step = t.warp * (D / 64) + i, d = 16 * step + 2 * t.c;
        float2 s0 = make_float2(1.0f, 1.0f), s1 = s0, m0 = make_float2(0.0f, 0.0f), m1 = m0;
        if (k.scale != nullptr) {
            s0 = *reinterpret_cast<const float2 *>(k.scale + d);
            s1 = *reinterpret_cast<const float2 *>(k.scale + d + 8);
            s0 = make_float2(s0.x * norm, s0.y * norm);
            s1 = make_float2(s1.x * norm, s1.y * norm);
        }
        if (k.min != nullptr) {
            m0 = *reinterpret_cast<const float2 *>(k.min + d);
            m1 = *reinterpret_cast<const float2 *>(k.min + d + 8);
        }
        TILE_UNROLL
        for (int m = 0; m < MT; m++) {
            const float *q = rows.q[m][i];
            /* _rn: joined with the subtraction that follows, the product would not be rounded, in
             * one instance of this kernel and perhaps not in another. */
            const float x[8] = {__fmul_rn(q[0], s0.x), __fmul_rn(q[1], s0.y), __fmul_rn(q[2], s0.x),
                                __fmul_rn(q[3], s0.y), __fmul_rn(q[4], s1.x), __fmul_rn(q[5], s1.y),
                                __fmul_rn(q[6], s1.x), __fmul_rn(q[7], s1.y)};
            const int at = (m * (D / 16) + step) * 32 + t.lane;
            tile_fragments(x, shared.q_hi + at, shared.q_lo + at);
            TILE_UNROLL
            for (int r = 0; r < 2 && k.min != nullptr; r++) {
                const float low = fmaf(q[2 * r + 1], m0.y, q[2 * r] * m0.x);
                const float high = fmaf(q[2 * r + 5], m1.y, q[2 * r + 4] * m1.x);
                base[m][r] += low + high;
            }
        }
    }
    if (k.min != nullptr)
        tile_score_base<MT>(t, base, shared.warp_base);
    return power;
}

/* Products of a step with the warp's column tiles j0 .. j0 + N - 1. */
template <int D, int MT, int N>
TILE_FN void tile_score_step(float (*s)[4][4], int j0, const uint32_t (*b)[2], int step,
                             const tile_shared &shared, int lane)
{
    TILE_UNROLL
    for (int m = 0; m < MT; m++) {
        const int at = (m * (D / 16) + step) * 32 + lane;
        const uint4 hi = shared.q_hi[at], lo = shared.q_lo[at];
        TILE_UNROLL
        for (int j = 0; j < N; j++)
            tile_product(s[m][j0 + j], hi, lo, b[j]);
    }
}

/* Half a page, tokens 64 * half on: panels 2 * warp and the next of the half. */
template <int D, int MT>
TILE_FN void tile_score_f16(float (*s)[4][4], int half, const char *k, const tile_thread &t,
                            const tile_shared &shared)
{
    const char *row = k + (2 * t.warp + t.lane / 16) * D * 16 + t.lane % 16 * 16;
    TILE_UNROLL
    for (int step = 0; step < D / 16; step++) {
        uint32_t b[2][2], r[4];
        ptx_ldmatrix_x4_trans(r, row + step * 256);
        b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
        tile_score_step<D, MT, 2>(s, 2 * half, b, step, shared, t.lane);
    }
}

template <int D, int MT>
TILE_FN void tile_score_int8(float (*s)[4][4], const char *k, const tile_thread &t,
                             const tile_shared &shared)
{
    const char *at = k + (4 * t.warp + t.g / 2) * tile_page<D>::INT8_PANEL + t.c * 16 + t.g % 2 * 8;
    TILE_UNROLL
    for (int step = 0; step < D / 16; step++) {
        const uint2 x = *reinterpret_cast<const uint2 *>(at + step * 128);
        const uint2 y = *reinterpret_cast<const uint2 *>(at + step * 128 + 64);
        const uint32_t b[4][2] = {{tile_bytes(x.x, false), tile_bytes(y.x, false)},
                                  {tile_bytes(x.x, true), tile_bytes(y.x, true)},
                                  {tile_bytes(x.y, false), tile_bytes(y.y, false)},
                                  {tile_bytes(x.y, true), tile_bytes(y.y, true)}};
        tile_score_step<D, MT, 4>(s, 0, b, step, shared, t.lane);
    }
}

template <int D, int MT>
TILE_FN void tile_score_int4(float (*s)[4][4], const char *k, const tile_thread &t,
                             const tile_shared &shared)
{
    const char *at = k + (2 * t.warp + t.g / 4) * tile_page<D>::INT4_PANEL + t.c * 16 + t.g % 4 * 4;
    TILE_UNROLL
    for (int step = 0; step < D / 16; step++) {
        const uint32_t x = *reinterpret_cast<const uint32_t *>(at + step * 128);
        const uint32_t y = *reinterpret_cast<const uint32_t *>(at + step * 128 + 64);
        const uint32_t x0 = tile_nibbles(x, false), x1 = tile_nibbles(x, true);
        const uint32_t y0 = tile_nibbles(y, false), y1 = tile_nibbles(y, true);
        const uint32_t low = 0x000f000fu, high = 0x00f000f0u;
        const uint32_t b[4][2] = {{x0 & low, y0 & low},
                                  {x1 & low, y1 & low},
                                  {x0 & high, y0 & high},
                                  {x1 & high, y1 & high}};
        tile_score_step<D, MT, 4>(s, 0, b, step, shared, t.lane);
    }
}

/* Tokens lo .. hi-1 of the page are seen by a row. */
struct tile_seen {
    int lo, hi;
};

TILE_FN tile_seen tile_score_seen(const tile_visit &visit, uint32_t limit, uint32_t first)
{
    const uint32_t begin = visit.page * PAGE_TOKENS;
    const bool sealed = visit.page + 2 <= (limit - 1) / PAGE_TOKENS;
    tile_seen seen = {0, 0};

    if (limit <= begin || (visit.mixed && sealed != visit.sealed))
        return seen;
    seen.hi = limit - begin < PAGE_TOKENS ? (int)(limit - begin) : PAGE_TOKENS;
    seen.lo =
        first > begin ? (first - begin < PAGE_TOKENS ? (int)(first - begin) : PAGE_TOKENS) : 0;
    return seen;
}

/* -infinity where a row does not see a token. */
template <int F>
TILE_FN void tile_score_mask(float (*s)[4], int r, const tile_seen &seen, const tile_thread &t)
{
    TILE_UNROLL
    for (int k = 0; k < 2; k++)
        TILE_UNROLL
    for (int i = 0; i < 4; i++) {
        const int token = tile_token<F>(t.warp, t.c, k, i);
        if (token < seen.lo || token >= seen.hi)
            s[tile_j<F>(k, i)][tile_e<F>(k, i) + 2 * r] = -INFINITY;
    }
}

/* Sum over the warps of q * minimum. */
template <int MT> TILE_FN float tile_score_base_of(const tile_shared &shared, int row)
{
    float base = 0.0f;
    TILE_UNROLL
    for (int w = 0; w < TILE_WARPS; w++)
        base += shared.warp_base[w * MT * TILE_ROWS + row];
    return base;
}

/* Products to scores, x * factor + base of the row; writes the warp's maxima. */
template <int F, int D, int MT>
TILE_FN void tile_score_finish(float (*s)[4][4], float power, const tile_visit &visit,
                               const tile_thread &t, const tile_rows<D, MT> &rows,
                               const tile_shared &shared)
{
    TILE_UNROLL
    for (int n = 0; n < 2 * MT; n++) {
        const int m = n / 2, r = n % 2, row = m * TILE_ROWS + t.g + 8 * r;
        const float factor = rows.inv[m][r] * (F == KV_INT4 ? power * 0x1p24f : power);
        const float base =
            F == KV_INT4 ? tile_score_base_of<MT>(shared, row) * rows.inv[m][r] : 0.0f;
        float most = -INFINITY;

        TILE_UNROLL
        for (int i = 0; i < 8; i++) {
            float *x = &s[m][tile_j<F>(i / 4, i % 4)][tile_e<F>(i / 4, i % 4) + 2 * r];
            *x = fmaf(*x, F == KV_INT4 && i >= 4 ? factor * 0.0625f : factor, base);
        }
        if (!visit.full)
            tile_score_mask<F>(s[m], r,
                               tile_score_seen(visit, shared.limit[row], shared.first[row]), t);
        TILE_UNROLL
        for (int j = 0; j < 4; j++)
            most = fmaxf(most, fmaxf(s[m][j][2 * r], s[m][j][2 * r + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        if (t.c == 0)
            shared.warp_max[t.warp * MT * TILE_ROWS + row] = most;
    }
}

#endif
