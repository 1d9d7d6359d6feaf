/*
 * The AVX2 page step. Vectors of K and V go through registers once per block of
 * at most TILE_ROWS query rows; a tile is as wide as the registers allow, which
 * hides the latency of its sums. A section is passed in parts that stay in the
 * first cache while the blocks of rows pass.
 */
#include "kernels/attention_page.h"

#include "kernels/attention_tile_avx2.h"
#include "kernels/exp_avx2.h"
#include "kernels/kv_layout.h"

enum { KIND_F32, KIND_F16, KIND_INT8, KIND_INT4_K, KIND_INT4_V, KIND_COUNT };

enum {
    /* Tokens of V between two stores of the sums while there are few rows and more
     * than one tile of dimensions: V is then read in order, as memory likes it. */
    FEW_ROWS = 3,
    FEW_ROWS_TOKENS = 16,
    TILE_ROWS_INT = 5,
    PART_BYTES = 16 << 10 /* half of a first cache */
};

/* Shapes (rows, vectors) whose sums and operands fit the 16 registers. */
#define SHAPES_1(X, kind)      X(kind, 1, 8) X(kind, 1, 4) X(kind, 1, 2) X(kind, 1, 1)
#define SHAPES_2(X, kind)      X(kind, 2, 4) X(kind, 2, 2) X(kind, 2, 1)
#define SHAPES_UP2(X, kind, r) X(kind, r, 2) X(kind, r, 1)
#define SHAPES_3_4(X, kind)    SHAPES_UP2(X, kind, 3) SHAPES_UP2(X, kind, 4)
#define SHAPES_INT(X, kind)                                                                        \
    SHAPES_1(X, kind) SHAPES_2(X, kind) SHAPES_3_4(X, kind) SHAPES_UP2(X, kind, 5)
#define SHAPES_FLOAT(X, kind)    SHAPES_INT(X, kind) X(kind, 3, 4) SHAPES_UP2(X, kind, 6)
#define SHAPES_NIBBLE_1(X, kind) X(kind, 1, 4) SHAPES_UP2(X, kind, 1)
#define SHAPES_NIBBLE(X, kind)                                                                     \
    SHAPES_NIBBLE_1(X, kind) SHAPES_UP2(X, kind, 2) X(kind, 3, 1) X(kind, 4, 1) X(kind, 5, 1)

#define CALL_F32(t, r, v)    tile_float(t, r, v, TILE_F32)
#define CALL_F16(t, r, v)    tile_float(t, r, v, TILE_F16)
#define CALL_INT8(t, r, v)   tile_int(t, r, v, TILE_INT8)
#define CALL_INT4_K(t, r, v) tile_int(t, r, v, TILE_INT4_K)
#define CALL_INT4_V(t, r, v) tile_int(t, r, v, TILE_INT4_V)

#define DEFINE_TILE(kind, r, v)                                                                    \
    static void tile_##kind##_##r##_##v(const struct tile *t)                                      \
    {                                                                                              \
        CALL_##kind(t, r, v);                                                                      \
    }
SHAPES_FLOAT(DEFINE_TILE, F32)
SHAPES_FLOAT(DEFINE_TILE, F16)
SHAPES_INT(DEFINE_TILE, INT8)
SHAPES_NIBBLE(DEFINE_TILE, INT4_K)
SHAPES_INT(DEFINE_TILE, INT4_V)

/* [kind][rows][vectors] */
static void (*const TILES[KIND_COUNT][TILE_ROWS + 1][TILE_VECTORS + 1])(const struct tile *t) = {
#define TILE_ENTRY(kind, r, v) [KIND_##kind][r][v] = tile_##kind##_##r##_##v,
    SHAPES_FLOAT(TILE_ENTRY, F32) SHAPES_FLOAT(TILE_ENTRY, F16) SHAPES_INT(TILE_ENTRY, INT8)
        SHAPES_NIBBLE(TILE_ENTRY, INT4_K) SHAPES_INT(TILE_ENTRY, INT4_V)};

/* A product of n rows with n_vectors vectors of a section. */
struct product {
    int kind, n_rows, n_blocks; /* n_blocks: run_product sets it */
    uint32_t n_vectors, first_step, end_step;
    const uint32_t *row_end; /* NULL, or the step where each row ends, if before end_step */
    uint32_t c_per_vector;   /* elements of c that one vector of b gives */
    size_t step, next;       /* bytes, as in struct tile */
    const char *b;           /* the section */
    const char *then;        /* the section that is read after it */
    struct attention_row *const *row;
    struct attention_scratch *scratch;
    bool is_v;
};

static uint32_t tile_width(int kind, int n_rows, uint32_t n_vectors)
{
    uint32_t width = TILE_VECTORS;

    while (width > n_vectors || TILES[kind][n_rows][width] == NULL)
        width /= 2;
    return width;
}

/* Rows first .. first + n of the product, n_tiles tiles from vector `at`, steps
 * from `from`. */
static struct tile tile_of(const struct product *p, int first, int n, uint32_t at, uint32_t from)
{
    struct attention_scratch *scratch = p->scratch;
    struct tile t = {.b = p->b + at * p->next + from * p->step, .step = p->step, .next = p->next};
    bool is_float = p->kind == KIND_F32 || p->kind == KIND_F16;

    t.ahead = t.b;
    for (int r = 0; r < n; r++) {
        int i = first + r;
        float *s = scratch->s + (size_t)i * PAGE_TOKENS;
        t.c[r] = (p->is_v ? p->row[i]->acc : s) + (size_t)at * p->c_per_vector;
        t.factor[r] = scratch->factor[i];
        if (!is_float)
            t.a[r] = scratch->x16 + (size_t)i * KV_MAX_HEAD_DIM;
        else
            t.a[r] = (p->is_v ? s : p->row[i]->q) + from;
    }
    return t;
}

static uint32_t row_end(const struct product *p, int row)
{
    if (p->row_end == NULL || p->row_end[row] > p->end_step)
        return p->end_step;
    return p->row_end[row];
}

/* Rows first .. first + n over vectors at .. at + n_vectors, in tiles of one
 * width. Rows that end early leave the others' tile where the first of them ends.
 * The blocks of rows share the touching of the next section, so that it goes on
 * at the rate at which this one is worked through. */
static void run_tiles(const struct product *p, int block, uint32_t at, uint32_t n_vectors,
                      uint32_t width)
{
    int first = p->n_rows * block / p->n_blocks, end = p->n_rows * (block + 1) / p->n_blocks;
    size_t vector = p->is_v ? p->next : p->step, n_steps = p->end_step - p->first_step;
    uint32_t common = p->end_step;

    for (int i = first; i < end; i++)
        common = row_end(p, i) < common ? row_end(p, i) : common;
    common = common < p->first_step ? p->first_step : common;
    struct tile t = tile_of(p, first, end - first, at, p->first_step);
    t.n_tiles = n_vectors / width;
    t.n_steps = common - p->first_step;
    t.ahead_step = width * vector / (size_t)p->n_blocks;
    t.ahead = p->then + p->first_step * p->step + at * n_steps * vector +
              (size_t)block * t.n_tiles * n_steps * t.ahead_step;
    if (t.n_steps > 0)
        TILES[p->kind][end - first][width](&t);
    for (int i = first; i < end; i++) {
        if (row_end(p, i) <= common)
            continue;
        t = tile_of(p, i, 1, at, common);
        t.n_tiles = n_vectors / width;
        t.n_steps = row_end(p, i) - common;
        TILES[p->kind][1][width](&t);
    }
}

static void run_product(struct product *p)
{
    int most_rows = p->kind == KIND_F32 || p->kind == KIND_F16 ? TILE_ROWS : TILE_ROWS_INT;
    size_t vector_bytes = (p->end_step - p->first_step) * (p->is_v ? p->next : p->step);
    uint32_t part = p->n_vectors;

    p->n_blocks = (p->n_rows + most_rows - 1) / most_rows;
    if (p->n_blocks > 1 && part * vector_bytes > PART_BYTES)
        part = (uint32_t)(PART_BYTES / vector_bytes);
    for (uint32_t start = 0; start < p->n_vectors; start += part) {
        uint32_t end = start + part < p->n_vectors ? start + part : p->n_vectors;
        for (int block = 0; block < p->n_blocks; block++) {
            int n = p->n_rows * (block + 1) / p->n_blocks - p->n_rows * block / p->n_blocks;
            for (uint32_t at = start; at < end;) {
                uint32_t width = tile_width(p->kind, n, end - at);
                uint32_t n_vectors = (end - at) / width * width;
                run_tiles(p, block, at, n_vectors, width);
                at += n_vectors;
            }
        }
    }
}

static __m256 abs8(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

static float max8(__m256 x)
{
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_shuffle_ps(y, y, 1)));
}

static float sum8(__m256 x)
{
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_shuffle_ps(y, y, 1)));
}

/* x16 = nearest(x[i] * scale[i] * 32767 / max|x * scale|), n a multiple of 8;
 * returns the factor that undoes it. */
static float to_x16(const float *x, const float *scale, uint32_t n, int16_t *x16)
{
    __m256 product[KV_MAX_HEAD_DIM / 8], most = _mm256_setzero_ps();

    for (uint32_t i = 0; i < n / 8; i++) {
        product[i] = _mm256_mul_ps(_mm256_loadu_ps(x + i * 8), _mm256_loadu_ps(scale + i * 8));
        most = _mm256_max_ps(abs8(product[i]), most);
    }
    float max = max8(most), inv = max > ATTENTION_LEAST_MAX ? 32767.0f / max : 0.0f;
    for (uint32_t i = 0; i < n / 8; i++) {
        __m256i y = _mm256_cvtps_epi32(_mm256_mul_ps(product[i], _mm256_set1_ps(inv)));
        __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
        _mm_storeu_si128((__m128i *)(x16 + i * 8), packed);
    }
    return inv > 0.0f ? max / 32767.0f : 0.0f;
}

static float dot(const float *x, const float *y, uint32_t n)
{
    __m256 sum = _mm256_setzero_ps();

    for (uint32_t i = 0; i < n; i += 8)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), sum);
    return sum8(sum);
}

static void fill(float *x, uint32_t n, float value)
{
    for (uint32_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_set1_ps(value));
}

/* q . k, not yet scaled. */
static void raw_scores(const struct attention_page *page, struct attention_row *const *row, int n,
                       struct attention_scratch *scratch)
{
    static const int kinds[KV_FORMAT_COUNT] = {KIND_F32, KIND_F16, KIND_INT8, KIND_INT4_K};
    uint32_t D = page->head_dim, most = 0;
    const float *scale = NULL;
    const char *end = (const char *)page->head + kv_k_bytes(page->format, D);
    struct product p = {.kind = kinds[page->format],
                        .n_rows = n,
                        .b = page->head,
                        .then = end,
                        .row = row,
                        .scratch = scratch};

    if (kv_format_is_quantized(page->format))
        scale = (const float *)(p.b + kv_layout_k_scales(page->format, D));
    for (int i = 0; i < n; i++) {
        float base = 0.0f;
        uint32_t seen = attention_page_n(page, row[i]);
        most = seen > most ? seen : most;
        if (scale != NULL)
            scratch->factor[i] =
                to_x16(row[i]->q, scale, D, scratch->x16 + (size_t)i * KV_MAX_HEAD_DIM);
        if (page->format == KV_INT4)
            base = dot(row[i]->q, scale + D, D);
        fill(scratch->s + (size_t)i * PAGE_TOKENS, PAGE_TOKENS, base);
    }
    p.c_per_vector = page->format == KV_INT4 ? 16 : 8;
    p.n_vectors = (most + p.c_per_vector - 1) / p.c_per_vector;
    p.end_step = scale != NULL ? D / 2 : D;
    p.step = page->format == KV_F32 ? 32 : 16;
    p.next = p.step * p.end_step;
    run_product(&p);
}

static void scores(const struct attention_page *page, struct attention_row *const *row, int n,
                   struct attention_scratch *scratch)
{
    raw_scores(page, row, n, scratch);
    for (int i = 0; i < n * PAGE_TOKENS; i += 8)
        _mm256_storeu_ps(scratch->s + i, _mm256_mul_ps(_mm256_loadu_ps(scratch->s + i),
                                                       _mm256_set1_ps(page->scale)));
}

/* Raw scores become p, 0 before the row's first token and behind its limit. Returns what the row's
 * sums shrink by. */
static float softmax_row(const struct attention_page *page, struct attention_row *row, float *s)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256 scale = _mm256_set1_ps(page->scale), never = _mm256_set1_ps(-__builtin_inff());
    const __m256i hidden = _mm256_set1_epi32((int)attention_page_hidden(page, row) - 1);
    uint32_t n = attention_page_n(page, row);
    __m256 most = _mm256_set1_ps(row->max), sum = _mm256_setzero_ps();

    for (uint32_t t = 0; t < n; t += 8) {
        __m256i at = _mm256_add_epi32(_mm256_set1_epi32((int)t), lane);
        __m256i seen = _mm256_and_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), at),
                                        _mm256_cmpgt_epi32(at, hidden));
        __m256 x = _mm256_mul_ps(_mm256_loadu_ps(s + t), scale);
        x = _mm256_blendv_ps(never, x, _mm256_castsi256_ps(seen));
        _mm256_storeu_ps(s + t, x);
        most = _mm256_max_ps(most, x);
    }
    float max = max8(most);
    for (uint32_t t = 0; t < n; t += 8) {
        __m256 p = exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(s + t), _mm256_set1_ps(max)));
        _mm256_storeu_ps(s + t, p);
        sum = _mm256_add_ps(sum, p);
    }
    uint32_t end = (n + 7) / 8 * 8;
    fill(s + end, PAGE_TOKENS - end, 0.0f);

    float shrink = 1.0f;
    if (row->max != max)
        shrink = _mm256_cvtss_f32(exp_avx2(_mm256_set1_ps(row->max - max)));
    row->sum = row->sum * shrink + sum8(sum);
    row->max = max;
    return shrink;
}

static void shrink_acc(struct attention_row *row, uint32_t head_dim, float shrink, float base)
{
    if (shrink == 1.0f && base == 0.0f)
        return;
    for (uint32_t d = 0; d < head_dim; d += 8) {
        __m256 x = _mm256_loadu_ps(row->acc + d);
        x = _mm256_fmadd_ps(x, _mm256_set1_ps(shrink), _mm256_set1_ps(base));
        _mm256_storeu_ps(row->acc + d, x);
    }
}

static void values_float(const struct attention_page *page, struct product *p)
{
    uint32_t ends[ATTENTION_BLOCK_ROWS], last = 0;
    bool at_once = p->n_rows > FEW_ROWS || p->n_vectors <= TILE_VECTORS;
    uint32_t chunk = at_once ? PAGE_TOKENS : FEW_ROWS_TOKENS;

    for (int i = 0; i < p->n_rows; i++) {
        ends[i] = attention_page_n(page, p->row[i]);
        last = ends[i] > last ? ends[i] : last;
    }
    p->row_end = ends;
    p->step = page->head_dim * (page->format == KV_F32 ? 4u : 2u);
    p->next = page->format == KV_F32 ? 32 : 16;
    for (p->first_step = 0; p->first_step < last; p->first_step += chunk) {
        p->end_step = p->first_step + chunk;
        run_product(p);
    }
}

static void values_quant(const struct attention_page *page, struct product *p)
{
    p->step = (size_t)page->head_dim * 2;
    p->next = 16;
    p->end_step = page->format == KV_INT4 ? PAGE_TOKENS / 4 : PAGE_TOKENS / 2;
    run_product(p);
}

/* Scales stand apart from the sections that tiles touch ahead. */
static void touch_scales(const struct attention_page *page)
{
    uint32_t D = page->head_dim;
    size_t k = kv_layout_k_scales(page->format, D), v = kv_k_bytes(page->format, D) + k;
    size_t k_end = kv_k_bytes(page->format, D), v_end = kv_head_bytes(page->format, D);

    for (size_t at = v; at < v_end; at += 64)
        _mm_prefetch((const char *)page->head + at, _MM_HINT_T0);
    for (size_t at = k; at < k_end; at += 64)
        _mm_prefetch((const char *)page->next + at, _MM_HINT_T0);
}

static void fold(const struct attention_page *page, struct attention_row *const *row, int n,
                 struct attention_scratch *scratch)
{
    static const int kinds[KV_FORMAT_COUNT] = {KIND_F32, KIND_F16, KIND_INT8, KIND_INT4_V};
    uint32_t D = page->head_dim;
    struct product p = {.kind = kinds[page->format],
                        .n_rows = n,
                        .n_vectors = D / 8,
                        .c_per_vector = 8,
                        .b = (const char *)page->head + kv_k_bytes(page->format, D),
                        .then = page->next,
                        .row = row,
                        .scratch = scratch,
                        .is_v = true};
    const float *scale = NULL;

    if (kv_format_is_quantized(page->format))
        touch_scales(page);
    raw_scores(page, row, n, scratch);
    if (kv_format_is_quantized(page->format))
        scale = (const float *)(p.b + kv_layout_v_scales(page->format, D));
    for (int i = 0; i < n; i++) {
        float *s = scratch->s + (size_t)i * PAGE_TOKENS, base = 0.0f;
        float shrink = softmax_row(page, row[i], s);
        if (scale != NULL)
            scratch->factor[i] =
                to_x16(s, scale, PAGE_TOKENS, scratch->x16 + (size_t)i * KV_MAX_HEAD_DIM);
        if (page->format == KV_INT4)
            base = dot(s, scale + PAGE_TOKENS, PAGE_TOKENS);
        shrink_acc(row[i], D, shrink, base);
    }
    if (scale == NULL)
        values_float(page, &p);
    else
        values_quant(page, &p);
}

const struct attention_page_ops attention_page_avx2 = {scores, fold};
