#include "kernels/embed_avx2.h"

#include "common/mem.h"

#if defined(__AVX2__)
#include "kernels/weight_avx2.h"

WEIGHT_AVX2 void row_of_type(const struct embed_args *a, int row, enum weight_type type)
{
    size_t n = (size_t)a->n_cols;
    size_t first = (size_t)a->token[row] * n;
    float *out = a->out + (size_t)row * n;
    size_t c = 0;

    for (; c + 8 <= n; c += 8)
        _mm256_storeu_ps(out + c, weight_load_avx2(a->table, type, first + c));
    if (c < n)
        _mm256_maskstore_ps(out + c, weight_mask_avx2((int)(n - c)),
                            weight_tail_avx2(a->table, type, first + c, (int)(n - c)));
}

void embed_avx2(const struct embed_args *a, int row)
{
    switch (a->type) {
    case WEIGHT_F32:
        row_of_type(a, row, WEIGHT_F32);
        break;
    case WEIGHT_F16:
        row_of_type(a, row, WEIGHT_F16);
        break;
    case WEIGHT_BF16:
        row_of_type(a, row, WEIGHT_BF16);
        break;
    }
}

#else

void embed_avx2(const struct embed_args *a, int row)
{
    CHECK(!"no AVX2 in this build");
}

#endif
