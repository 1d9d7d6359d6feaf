/*
 * attention_tile.cuh - the shapes of the fast attention kernel: fragments, tokens, shared memory.
 *
 * A block of 4 warps reads the pages of a split in order. For each page
 *   S = Q K^T   warp w takes 32 of the 128 tokens, all rows: the tokens' panels are disjoint
 *   P = e^(S - max), as pairs of f16, through shared memory to all warps
 *   O += P V    warp w takes a quarter of the dimensions, all tokens
 * by m16n8k16 products of f16 with sums in f32. What would be lost by f16 factors is kept in a
 * second factor: x = hi + lo, both f16, two products each; 22 bits of x count. Powers of two keep
 * both within range: q by row, scales of K and of V by page.
 *
 * Quantized elements become f16 in registers. int8: a byte b + 128 in the low bits of 1024.0 is
 * 1152 + b. int4: a nibble in the low bits of 0 is a subnormal, n * 2^-24, one in the next four
 * bits 16 n * 2^-24; tensor cores multiply subnormals exactly, so factors of the result undo that.
 *
 * A block's rows are MT tiles of 16 query rows. A row's arithmetic is the same for each MT and
 * place, since each product, sum and maximum stands in one row.
 *
 * Names as in ptx_mma_f16: g = lane / 4, c = lane % 4. A lane holds, of a tile, rows g (r = 0) and
 * g + 8 (r = 1).
 */
#ifndef KERNELS_ATTENTION_TILE_CUH
#define KERNELS_ATTENTION_TILE_CUH

#include "kernels/attention_cuda.cuh"
#include "kernels/cuda_ptx.cuh"

enum { TILE_WARPS = 4, TILE_THREADS = 128, TILE_ROWS = 16, TILE_STEPS = PAGE_TOKENS / 16 };

#define TILE_FN     static __device__ __forceinline__
#define TILE_UNROLL _Pragma("unroll")

/* Pieces of a page as they lie in shared memory. Rows are padded so that the lanes of a load fall
 * into different banks. */
template <int D> struct tile_page {
    enum {
        F16_K = 64 * D * 2,         /* half a page */
        F16_V_ROW = D * 2 + 16,     /* a token */
        F16_V = 64 * F16_V_ROW,     /* half a page */
        INT8_PANEL = 8 * D + 64,    /* 8 tokens of K */
        INT8_K = 16 * INT8_PANEL,   /* then D scales; V takes as much */
        INT8_V_ROW = D * 2 + 16,    /* 2 tokens */
        INT8_V = 64 * INT8_V_ROW,   /* then 128 scales */
        INT4_PANEL = 8 * D + 64,    /* 16 tokens of K */
        INT4_K = 8 * INT4_PANEL,    /* then D scales and D minima */
        INT4_V_AT = INT4_K + 8 * D, /* V lies behind K */
        INT4_V_ROW = D * 2 + 32,    /* 4 tokens */
        INT4_V = 32 * INT4_V_ROW,   /* then 128 scales and 128 minima */
    };
};

/* Bytes of the largest piece where sealed pages have format F; none is smaller than half a page in
 * f16. */
template <int D, int F> static __host__ __device__ constexpr int tile_slot_bytes()
{
    using page = tile_page<D>;
    return F == KV_F16    ? page::F16_V
           : F == KV_INT8 ? page::INT8_K + 4 * (D > PAGE_TOKENS ? D : PAGE_TOKENS)
                          : page::INT4_V_AT + page::INT4_V + 8 * PAGE_TOKENS;
}

/* Tokens of a warp in the accumulators of S: lane c holds two groups of 4, token(k, i) of group k
 * at column pair tile j, column 2c + e. */
template <int F> TILE_FN constexpr int tile_j(int k, int i)
{
    return F == KV_F16 ? 2 * k + i / 2 : F == KV_INT8 ? i : i % 2 + 2 * k;
}

template <int F> TILE_FN constexpr int tile_e(int k, int i)
{
    return F == KV_F16 ? i % 2 : F == KV_INT8 ? k : i / 2;
}

template <int F> TILE_FN int tile_token(int warp, int c, int k, int i)
{
    if (F == KV_F16)
        return 64 * k + 16 * warp + 8 * (i / 2) + 2 * c + i % 2;
    if (F == KV_INT8)
        return 32 * warp + 8 * c + 4 * k + i;
    return 32 * warp + 16 * (c / 2) + 8 * k + 4 * (c % 2) + i;
}

/* Group k of a lane is one lane's fragment of P: step and that lane's c. Of a step, c holds tokens
 * 2c, 2c+1, 2c+8, 2c+9 (f16) or 4c .. 4c+3. */
template <int F> TILE_FN int tile_step(int warp, int c, int k)
{
    return F == KV_F16 ? 4 * k + warp : 2 * warp + c / 2;
}

template <int F> TILE_FN int tile_step_c(int c, int k)
{
    return F == KV_F16 ? c : F == KV_INT8 ? 2 * (c % 2) + k : c % 2 + 2 * k;
}

/* Where the fragment of lane (g, c) of a step lies: steps of odd number turned by 3, so that a
 * warp's 16-byte writes fall into different banks. */
TILE_FN int tile_fragment(int step, int g, int c)
{
    return step * 32 + g * 4 + (c ^ (step % 2 * 3));
}

/* Who a thread is. */
struct tile_thread {
    int warp, lane, g, c;
};

/* Shared memory of a block. Factors of Q and of P may lie in the same place. */
struct tile_shared {
    uint4 *q_hi, *q_lo;          /* [MT, D / 16, 32] fragments */
    uint4 *p_hi, *p_lo;          /* [MT, TILE_STEPS, 32] fragments */
    float *warp_max, *warp_base; /* [TILE_WARPS, MT * 16] */
    uint32_t *limit, *first;     /* [MT * 16]; rows behind the last see all */
    char *slots;
};

/* What a lane keeps of its rows. */
template <int D, int MT> struct tile_rows {
    float acc[MT][D / 32][4];
    float max[MT][2], sum[MT][2]; /* sum: of this lane's tokens */
    float low[MT][2];             /* sum of p * minimum of V, the same for all dimensions */
    float inv[MT][2];             /* scores from products */
    float q[MT][D / 64][8];       /* of the steps that this warp prepares, in fragment order */
};

/* A visit of one form of a page. */
struct tile_visit {
    uint32_t page;
    bool full; /* every row sees every token of it */
    bool sealed;
    bool mixed; /* some rows read the other form */
};

/* The power of two at or below x >= 0, within 2^-100 .. 2^100, and its inverse. */
TILE_FN float tile_power(float x)
{
    return __uint_as_float(__float_as_uint(fminf(fmaxf(x, 0x1p-100f), 0x1p100f)) & 0x7f800000u);
}

TILE_FN float tile_inverse(float power)
{
    return __uint_as_float(0x7f000000u - __float_as_uint(power));
}

/* Greatest of N numbers in shared memory, for each lane of the warp. */
template <int N> TILE_FN float tile_largest(const float *x, int lane)
{
    float most = 0.0f;
    TILE_UNROLL
    for (int i = lane; i < N; i += 32)
        most = fmaxf(most, x[i]);
    TILE_UNROLL
    for (int step = 16; step > 0; step /= 2)
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, step));
    return most;
}

/* x and what its f16 lacks, as pairs. */
TILE_FN void tile_halves(float x, float y, uint32_t *hi, uint32_t *lo)
{
    *hi = ptx_pack_f16x2(x, y);
    *lo = ptx_pack_f16x2(x - ptx_f16_lo(*hi), y - ptx_f16_hi(*hi));
}

TILE_FN void tile_fragments(const float x[8], uint4 *hi, uint4 *lo)
{
    uint4 h, l;
    tile_halves(x[0], x[1], &h.x, &l.x);
    tile_halves(x[2], x[3], &h.y, &l.y);
    tile_halves(x[4], x[5], &h.z, &l.z);
    tile_halves(x[6], x[7], &h.w, &l.w);
    *hi = h;
    *lo = l;
}

/* d += (hi + lo) * b; the small product first. */
TILE_FN void tile_product(float d[4], const uint4 &hi, const uint4 &lo, const uint32_t b[2])
{
    const uint32_t l[4] = {lo.x, lo.y, lo.z, lo.w}, h[4] = {hi.x, hi.y, hi.z, hi.w};
    ptx_mma_f16(d, l, b);
    ptx_mma_f16(d, h, b);
}

/* Two of four signed bytes as f16: the first two or the last two. */
TILE_FN uint32_t tile_bytes(uint32_t x, bool last)
{
    uint32_t y = ptx_prmt(x ^ 0x80808080u, 0x64646464u, last ? 0x4342 : 0x4140);
    return ptx_sub_f16x2(y, 0x64806480u);
}

/* Two of four bytes of nibbles, in the low halves. */
TILE_FN uint32_t tile_nibbles(uint32_t x, bool last)
{
    return ptx_prmt(x, 0, last ? 0x4342 : 0x4140);
}

#endif
