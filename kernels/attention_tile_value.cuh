/*
 * attention_tile_value.cuh - the weights of one page, e^(score - maximum), and their products
 * with V.
 *
 * Column tile i of a warp, column n, is dimension D / 4 * warp + D / 32 * n + i: a lane reads the
 * D / 32 neighbours of its column at once, and holds 2 * D / 32 neighbours of its rows.
 */
#ifndef KERNELS_ATTENTION_TILE_VALUE_CUH
#define KERNELS_ATTENTION_TILE_VALUE_CUH

#include "kernels/attention_tile.cuh"

/* Factors of P are p * scale of V * this; below 2^15. */
#define TILE_P_RANGE 0x1p14f

/* The rows' new maxima; alpha is what the states so far shrink by. */
template <int D, int MT>
TILE_FN void tile_value_max(tile_rows<D, MT> *rows, float (*alpha)[2], const tile_thread &t,
                            const float *warp_max)
{
    TILE_UNROLL
    for (int n = 0; n < 2 * MT; n++) {
        const int m = n / 2, r = n % 2, row = m * TILE_ROWS + t.g + 8 * r;
        float most = rows->max[m][r];
        TILE_UNROLL
        for (int w = 0; w < TILE_WARPS; w++)
            most = fmaxf(most, warp_max[w * MT * TILE_ROWS + row]);
        /* A row that has seen nothing yet: its state is 0, whatever it shrinks by. */
        alpha[m][r] = most == -INFINITY ? 1.0f : exp2f(rows->max[m][r] - most);
        rows->max[m][r] = most;
    }
}

/* Scores to weights, in place, and the rows' sums. `min`: V's minima in shared memory (int4). */
template <int F, int D, int MT>
TILE_FN void tile_value_weigh(float (*s)[4][4], tile_rows<D, MT> *rows, const float (*alpha)[2],
                              const tile_thread &t, const float *min)
{
    float4 low[2] = {};

    if (F == KV_INT4) {
        low[0] = *reinterpret_cast<const float4 *>(min + tile_token<F>(t.warp, t.c, 0, 0));
        low[1] = *reinterpret_cast<const float4 *>(min + tile_token<F>(t.warp, t.c, 1, 0));
    }
    TILE_UNROLL
    for (int n = 0; n < 2 * MT; n++) {
        const int m = n / 2, r = n % 2;
        const float max = rows->max[m][r] == -INFINITY ? 0.0f : rows->max[m][r];
        float sum = 0.0f, base = 0.0f;
        TILE_UNROLL
        for (int k = 0; k < 2; k++) {
            float p[4];
            TILE_UNROLL
            for (int i = 0; i < 4; i++) {
                float *x = &s[m][tile_j<F>(k, i)][tile_e<F>(k, i) + 2 * r];
                p[i] = *x = exp2f(*x - max);
            }
            sum += (p[0] + p[1]) + (p[2] + p[3]);
            if (F == KV_INT4)
                base = fmaf(p[0], low[k].x,
                            fmaf(p[1], low[k].y, fmaf(p[2], low[k].z, fmaf(p[3], low[k].w, base))));
        }
        rows->sum[m][r] = fmaf(rows->sum[m][r], alpha[m][r], sum);
        if (F == KV_INT4)
            rows->low[m][r] = fmaf(rows->low[m][r], alpha[m][r], base);
        else
            rows->low[m][r] *= alpha[m][r];
    }
}

/* Weights to the factors of all warps. `scale`: V's scales in shared memory (not f16). Returns the
 * power of two by which products with V are to be multiplied. */
template <int F, int MT>
TILE_FN float tile_value_factors(const float (*s)[4][4], const float *scale, const tile_thread &t,
                                 const tile_shared &shared)
{
    const float power = F == KV_F16 ? 1.0f : tile_power(tile_largest<PAGE_TOKENS>(scale, t.lane));
    const float norm = tile_inverse(power) * TILE_P_RANGE;

    TILE_UNROLL
    for (int k = 0; k < 2; k++) {
        const int step = tile_step<F>(t.warp, t.c, k);
        const int at = tile_fragment(step, t.g, tile_step_c<F>(t.c, k));
        float f[4] = {norm, norm, norm, norm};
        if (F != KV_F16) {
            const float4 v =
                *reinterpret_cast<const float4 *>(scale + tile_token<F>(t.warp, t.c, k, 0));
            /* The high nibbles of an int4 V count 16 times. */
            const float high = F == KV_INT4 ? norm * 0.0625f : norm;
            f[0] = v.x * norm, f[1] = v.y * norm, f[2] = v.z * high, f[3] = v.w * high;
        }
        TILE_UNROLL
        for (int m = 0; m < MT; m++) {
            float x[8];
            TILE_UNROLL
            for (int i = 0; i < 4; i++) {
                const float *p = &s[m][tile_j<F>(k, i)][tile_e<F>(k, i)];
                x[i / 2 * 4 + i % 2] = __fmul_rn(p[0], f[i]); /* see tile_score_factors */
                x[i / 2 * 4 + i % 2 + 2] = __fmul_rn(p[2], f[i]);
            }
            tile_fragments(x, shared.p_hi + m * TILE_STEPS * 32 + at,
                           shared.p_lo + m * TILE_STEPS * 32 + at);
        }
    }
    return power * (F == KV_INT4 ? 0x1p10f : 0x1p-14f);
}

/* N words of a row of V, as wide a load as they are. */
template <int N> TILE_FN void tile_value_load(uint32_t (&x)[N], const char *p)
{
    if (N == 1) {
        x[0] = *reinterpret_cast<const uint32_t *>(p);
    } else if (N == 2) {
        const uint2 v = *reinterpret_cast<const uint2 *>(p);
        x[0] = v.x, x[N - 1] = v.y;
    } else {
        const uint4 v = *reinterpret_cast<const uint4 *>(p);
        x[0] = v.x, x[N / 4] = v.y, x[N / 2] = v.z, x[N - 1] = v.w;
    }
}

/* Columns of a step, b[D / 32]. `v` is the piece's row of the step's first token at this lane's
 * column. */
template <int D> TILE_FN void tile_value_f16(uint32_t (*b)[2], const char *v, int c)
{
    enum { ROW = tile_page<D>::F16_V_ROW, N = D / 64 };
    const char *at = v + 2 * c * ROW;
    uint32_t x0[N], x1[N], y0[N], y1[N];

    tile_value_load<N>(x0, at);
    tile_value_load<N>(x1, at + ROW);
    tile_value_load<N>(y0, at + 8 * ROW);
    tile_value_load<N>(y1, at + 9 * ROW);
    TILE_UNROLL
    for (int i = 0; i < N; i++) {
        b[2 * i][0] = ptx_prmt(x0[i], x1[i], 0x5410);
        b[2 * i][1] = ptx_prmt(y0[i], y1[i], 0x5410);
        b[2 * i + 1][0] = ptx_prmt(x0[i], x1[i], 0x7632);
        b[2 * i + 1][1] = ptx_prmt(y0[i], y1[i], 0x7632);
    }
}

template <int D> TILE_FN void tile_value_int8(uint32_t (*b)[2], const char *v, int c)
{
    enum { ROW = tile_page<D>::INT8_V_ROW, N = D / 64 };
    uint32_t x[N], y[N];

    tile_value_load<N>(x, v + 2 * c * ROW);
    tile_value_load<N>(y, v + (2 * c + 1) * ROW);
    TILE_UNROLL
    for (int i = 0; i < N; i++) {
        b[2 * i][0] = tile_bytes(x[i], false);
        b[2 * i][1] = tile_bytes(y[i], false);
        b[2 * i + 1][0] = tile_bytes(x[i], true);
        b[2 * i + 1][1] = tile_bytes(y[i], true);
    }
}

template <int D> TILE_FN void tile_value_int4(uint32_t (*b)[2], const char *v, int c)
{
    enum { ROW = tile_page<D>::INT4_V_ROW, N = D / 64 };
    uint32_t x[N];

    tile_value_load<N>(x, v + c * ROW);
    TILE_UNROLL
    for (int i = 0; i < 2 * N; i++) {
        const uint32_t y = tile_nibbles(x[i / 2], i % 2);
        b[i][0] = y & 0x000f000fu;
        b[i][1] = y & 0x00f000f0u;
    }
}

/* o += P V over n_steps steps from `first` on; `v` is the piece with them. */
template <int F, int D, int MT>
TILE_FN void tile_value_products(float (*o)[D / 32][4], const char *v, int first, int n_steps,
                                 const tile_thread &t, const tile_shared &shared)
{
    enum {
        STEP = F == KV_F16    ? 16 * tile_page<D>::F16_V_ROW
               : F == KV_INT8 ? 8 * tile_page<D>::INT8_V_ROW
                              : 4 * tile_page<D>::INT4_V_ROW
    };
    const char *at = v + (D / 4 * t.warp + D / 32 * t.g) * 2;

    TILE_UNROLL
    for (int i = 0; i < n_steps; i++) {
        uint32_t b[D / 32][2];
        if (F == KV_F16)
            tile_value_f16<D>(b, at + i * STEP, t.c);
        else if (F == KV_INT8)
            tile_value_int8<D>(b, at + i * STEP, t.c);
        else
            tile_value_int4<D>(b, at + i * STEP, t.c);
        TILE_UNROLL
        for (int m = 0; m < MT; m++) {
            const int p = (m * TILE_STEPS * 32) + tile_fragment(first + i, t.g, t.c);
            const uint4 hi = shared.p_hi[p], lo = shared.p_lo[p];
            TILE_UNROLL
            for (int j = 0; j < D / 32; j++)
                tile_product(o[m][j], hi, lo, b[j]);
        }
    }
}

/* The page's products into the state. */
template <int D, int MT>
TILE_FN void tile_value_fold(tile_rows<D, MT> *rows, const float (*o)[D / 32][4],
                             const float (*alpha)[2], float power)
{
    TILE_UNROLL
    for (int m = 0; m < MT; m++)
        TILE_UNROLL
    for (int j = 0; j < D / 32; j++)
        TILE_UNROLL
    for (int i = 0; i < 4; i++)
        rows->acc[m][j][i] = fmaf(rows->acc[m][j][i], alpha[m][i / 2], o[m][j][i] * power);
}

#endif
