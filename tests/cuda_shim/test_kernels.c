#include "tests/test_helpers.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "common/rng.h"
#include "kernels/half.h"
#include "tests/cuda_shim/sample.h"

/* The i-th of a fixed list of random numbers. */
static uint32_t noise(uint32_t i)
{
    const uint32_t counter[4] = {i, 0, 0, 0}, key[2] = {7, 0};

    return rng_philox(counter, key).word[0];
}

static dim3 size3(unsigned x, unsigned y, unsigned z)
{
    return (dim3){x, y, z};
}

/* Runs one sample on the legacy stream: it has ended on return. */
static cudaError_t run(enum sample_kernel which, dim3 grid, dim3 block, size_t shared,
                       struct sample_args args)
{
    void *params[] = {&args};

    return cudaLaunchKernel(sample_kernel(which), grid, block, params, shared, NULL);
}

static void run_warp(enum sample_kernel which, struct sample_args args)
{
    assert_int_equal(run(which, size3(1, 1, 1), size3(32, 1, 1), 0, args), cudaSuccess);
}

static void every_thread_of_every_block_runs_once_with_its_own_index(void **state)
{
    uint32_t out[12 * 24];

    memset(out, 0xff, sizeof out);
    assert_int_equal(
        run(SAMPLE_INDEX, size3(3, 2, 2), size3(4, 3, 2), 0, (struct sample_args){.out = out}),
        cudaSuccess);
    for (uint32_t i = 0; i < 12 * 24; i++)
        assert_int_equal(out[i], i);
}

static void threads_of_a_block_meet_at_barriers(void **state)
{
    static const int sizes[] = {1, 2, 31, 32, 33, 255, 1000, 1024};
    uint32_t in[1024], out, sum;

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        sum = 0;
        for (int i = 0; i < sizes[s]; i++)
            sum += in[i] = (uint32_t)(i * i + 3);
        assert_int_equal(run(SAMPLE_SUM, size3(1, 1, 1), size3((unsigned)sizes[s], 1, 1), 0,
                             (struct sample_args){.in = in, .out = &out, .n = sizes[s]}),
                         cudaSuccess);
        assert_int_equal(out, sum);
    }
}

static int mirror_errors(enum sample_kernel which, unsigned n)
{
    uint32_t out[256];
    int wrong = 0;

    assert_int_equal(run(which, size3(1, 1, 1), size3(n, 1, 1), 0,
                         (struct sample_args){.out = out, .n = (int)n}),
                     cudaSuccess);
    for (uint32_t i = 0; i < n; i++)
        wrong += out[i] != i;
    return wrong;
}

static void a_missing_barrier_shows_in_the_result(void **state)
{
    for (int turn = 0; turn < 2; turn++) { /* threads run forwards, then backwards */
        assert_int_equal(mirror_errors(SAMPLE_MIRROR, 128), 0);
        assert_true(mirror_errors(SAMPLE_RACE, 128) > 0);
        assert_true(mirror_errors(SAMPLE_RACE, 128) > 0);
    }
}

/* The lane that the PTX ISA lets `lane` read, in its own words: the members of
 * a segment are those with equal bits under the segment mask. */
static int ptx_source(int kind, int lane, int b, int width)
{
    int mask = 32 - width, last = (lane & mask) | (31 & ~mask), j;

    if (kind == 0)
        return (lane & mask) | (b & ~mask & 31);
    if (kind == 1) {
        j = lane - b;
        return j >= (lane & mask) ? j : lane;
    }
    j = kind == 2 ? lane + b : lane ^ b;
    return j <= last ? j : lane;
}

static void shuffles_read_the_lanes_that_the_isa_names(void **state)
{
    uint32_t in[32], out[32];

    for (uint32_t i = 0; i < 32; i++)
        in[i] = 1000 + 7 * i;
    for (int kind = 0; kind < 4; kind++)
        for (int width = 1; width <= 32; width *= 2)
            for (int b = 0; b < 32; b++) {
                run_warp(SAMPLE_SHUFFLE,
                         (struct sample_args){
                             .in = in, .out = out, .n = b, .kind = kind, .width = width});
                for (int l = 0; l < 32; l++)
                    assert_int_equal(out[l], in[ptx_source(kind, l, b, width)]);
            }
}

static void votes_count_every_lane(void **state)
{
    static const uint32_t patterns[] = {0, 1, 0x80000000u, 0x0f0f00ffu, 0xffffffffu};
    uint32_t in[32], out[3];

    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        for (int l = 0; l < 32; l++)
            in[l] = patterns[p] >> l & 1u ? 5 : 0;
        run_warp(SAMPLE_VOTE, (struct sample_args){.in = in, .out = out});
        assert_int_equal(out[0], patterns[p]);
        assert_int_equal(out[1], patterns[p] != 0);
        assert_int_equal(out[2], patterns[p] == 0xffffffffu);
    }
}

static uint16_t small_number(uint32_t i, bool bf16)
{
    float f = (float)((int)(noise(i) % 65) - 32) / 8.0f; /* exact in both */

    return bf16 ? (uint16_t)(half_f32_to_bits(f) >> 16) : half_to_f16(f);
}

static void matrix_products_have_the_layout_of_the_isa(void **state)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        uint16_t a[16][16], b[16][8];
        float d[16][8], expected[16][8];

        for (int i = 0; i < 256; i++)
            a[i / 16][i % 16] = small_number((uint32_t)i, bf16);
        for (int i = 0; i < 128; i++)
            b[i / 8][i % 8] = small_number(1000 + (uint32_t)i, bf16);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 8; j++) {
                d[i][j] = expected[i][j] = (float)(i - j);
                for (int k = 0; k < 16; k++)
                    expected[i][j] += bf16 ? half_from_bf16(a[i][k]) * half_from_bf16(b[k][j])
                                           : half_from_f16(a[i][k]) * half_from_f16(b[k][j]);
            }
        run_warp(SAMPLE_MMA, (struct sample_args){.in = a, .in2 = b, .out = d, .n = bf16});
        for (int i = 0; i < 128; i++) /* every number is a multiple of 1/64 below 2^17: exact */
            assert_true(d[i / 8][i % 8] == expected[i / 8][i % 8]);
    }
}

static void ldmatrix_gives_each_lane_its_pair_of_each_matrix(void **state)
{
    uint16_t in[32][8];
    uint32_t out[32][4];

    for (int i = 0; i < 256; i++)
        in[i / 8][i % 8] = (uint16_t)(i * 257 + 1);
    for (int trans = 0; trans < 2; trans++) {
        assert_int_equal(run(SAMPLE_LDMATRIX, size3(1, 1, 1), size3(32, 1, 1), 512,
                             (struct sample_args){.in = in, .out = out, .n = trans}),
                         cudaSuccess);
        for (int l = 0; l < 32; l++)
            for (int m = 0; m < 4; m++) {
                int g = l / 4, t = l % 4;
                uint16_t lo = trans ? in[8 * m + 2 * t][g] : in[8 * m + g][2 * t];
                uint16_t hi = trans ? in[8 * m + 2 * t + 1][g] : in[8 * m + g][2 * t + 1];
                assert_int_equal(out[l][m], lo | (uint32_t)hi << 16);
            }
    }
}

static void asynchronous_copies_are_there_after_the_wait_and_not_before(void **state)
{
    _Alignas(16) uint32_t in[32][4], out[32][4];

    for (int i = 0; i < 128; i++)
        in[i / 4][i % 4] = (uint32_t)i;
    for (int no_wait = 0; no_wait < 2; no_wait++) {
        assert_int_equal(run(SAMPLE_ASYNC, size3(1, 1, 1), size3(32, 1, 1), 512,
                             (struct sample_args){.in = in, .out = out, .n = no_wait}),
                         cudaSuccess);
        for (int i = 0; i < 128; i++)
            assert_int_equal(out[i / 4][i % 4],
                             no_wait ? 0xffffffffu : in[(i / 4 + 1) % 32][i % 4]);
    }
}

/* Whether `h` is the f16 nearest to the exact `v`, the even one of two. */
static bool is_nearest_f16(uint16_t h, double v)
{
    double own = fabs((double)half_from_f16(h) - v);

    if (isinf(half_from_f16(h)))
        return fabs(v) >= 65520.0;
    for (int step = -1; step <= 1; step += 2) {
        uint16_t next = (uint16_t)(h + step);
        double other = fabs((double)half_from_f16(next) - v);
        if ((h & 0x7fffu) == 0 && step < 0)
            continue; /* below zero: the other sign's smallest, as far away */
        if (isinf(half_from_f16(next)))
            other = fabs(65536.0 - fabs(v));
        if (other < own || (other == own && (h & 1u)))
            return false;
    }
    return true;
}

enum { N_HALVES = 20000 };

static void pairs_of_f16_are_rounded_once(void **state)
{
    static uint16_t x[N_HALVES], y[N_HALVES], out[4][N_HALVES];

    for (uint32_t i = 0; i < N_HALVES; i++) { /* finite, of all sizes, every other near in size */
        uint32_t r = noise(2 * i), q = noise(2 * i + 1);
        x[i] = (uint16_t)(r % 0x7c00u | (r >> 16 & 0x8000u));
        y[i] = (uint16_t)(i % 2 ? q % 0x7c00u | (q >> 16 & 0x8000u)
                                : (x[i] & 0x7c00u) | (q & 0x83ffu));
    }
    run_warp(SAMPLE_HALF, (struct sample_args){.in = x, .in2 = y, .out = out, .n = N_HALVES});
    for (int i = 0; i < N_HALVES; i++) {
        double a = half_from_f16(x[i]), b = half_from_f16(y[i]);
        assert_true(is_nearest_f16(out[0][i], a + b));
        assert_true(is_nearest_f16(out[1][i], a - b));
        assert_true(is_nearest_f16(out[2][i], a * b));
        /* y * x + x: exact in long double, which has 64 bits. */
        long double sum = (long double)a * b + a;
        if ((long double)(double)sum == sum)
            assert_true(is_nearest_f16(out[3][i], (double)sum));
    }
}

static void conversions_are_those_of_the_format(void **state)
{
    static float in[] = {0.0f,          -0.0f,    1.0f,           65504.0f,
                         65519.9f,      65520.0f, 1e30f,          -1e30f,
                         5.9604645e-8f, 2.9e-8f,  1.00048828125f, 1.001464843750f,
                         NAN,           INFINITY, -INFINITY,      3.3895314e38f};
    enum { N = sizeof in / sizeof in[0] };
    uint16_t out[N];

    run_warp(SAMPLE_CONVERT, (struct sample_args){.in = in, .out = out, .n = N});
    for (int i = 0; i < N; i++)
        assert_int_equal(out[i], isnan(in[i]) ? 0x7fff : half_to_f16(in[i]));
    run_warp(SAMPLE_CONVERT, (struct sample_args){.in = in, .out = out, .n = N, .kind = 1});
    assert_int_equal(out[2], 0x3f80);
    assert_int_equal(out[10], 0x3f80); /* 1.0005: down */
    assert_int_equal(out[12], 0x7fff);
    assert_int_equal(out[13], 0x7f80);
    assert_int_equal(out[15], 0x7f7f);
}

static void bytes_are_permuted_by_the_selector(void **state)
{
    static const uint32_t in[2] = {0x83828100u, 0x07060504u};
    static const uint32_t expected[][2] = {{0x3210, 0x83828100u}, {0x7654, 0x07060504u},
                                           {0x0123, 0x00818283u}, {0x6240, 0x06820400u},
                                           {0xb98f, 0xffff0000u}, {0x4444, 0x04040404u}};
    uint32_t out;

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        run_warp(SAMPLE_PERMUTE,
                 (struct sample_args){.in = in, .out = &out, .n = (int)expected[i][0]});
        assert_int_equal(out, expected[i][1]);
    }
}

static void what_a_gpu_refuses_at_the_launch_is_refused(void **state)
{
    const struct sample_args args = {.out = NULL};
    const dim3 one = size3(1, 1, 1);
    struct sample_args none = {.out = NULL};
    void *params[] = {&none};

    assert_int_equal(run(SAMPLE_INDEX, one, size3(1025, 1, 1), 0, args),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(run(SAMPLE_INDEX, one, size3(0, 1, 1), 0, args),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(run(SAMPLE_INDEX, one, size3(1, 1, 65), 0, args),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(run(SAMPLE_INDEX, size3(0, 1, 1), one, 0, args),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(run(SAMPLE_INDEX, size3(1, 65536, 1), one, 0, args),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(run(SAMPLE_SHARED, one, one, (48 << 10) + 1, args), cudaErrorInvalidValue);
    assert_int_equal(cudaFuncSetAttribute(sample_kernel(SAMPLE_SHARED),
                                          cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10),
                     cudaSuccess);
    assert_int_equal(run(SAMPLE_SHARED, one, one, 100 << 10, args), cudaSuccess);
    assert_int_equal(cudaFuncSetAttribute(sample_kernel(SAMPLE_SHARED),
                                          cudaFuncAttributeMaxDynamicSharedMemorySize, 228 << 10),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaLaunchKernel(&none, one, one, params, 0, NULL),
                     cudaErrorInvalidDeviceFunction);
}

/* Runs the sample in a child; its words are in `said`. Returns the signal that
 * ended it, 0 for none. */
static int death_of(enum sample_kernel which, unsigned n_threads, struct sample_args args,
                    char said[2000])
{
    int ends[2], status;
    size_t n = 0;
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        run(which, size3(1, 1, 1), size3(n_threads, 1, 1), 64, args);
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], said + n, 1999 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_kernel_that_would_hang_ends_with_words(void **state)
{
    uint32_t out[128];
    _Alignas(16) uint32_t in[128] = {0};
    struct sample_args args = {.out = out, .in = (const char *)in + 4};
    char said[2000];

    assert_int_equal(death_of(SAMPLE_DIVERGE, 64, args, said), SIGABRT);
    assert_non_null(strstr(said, "a barrier that threads reach at different places"));
    assert_non_null(strstr(said, "thread 32 (32, 0, 0) waits in __syncthreads at "));
    assert_int_equal(death_of(SAMPLE_LOST_LANE, 64, args, said), SIGABRT);
    assert_non_null(strstr(said, "none can go on"));
    assert_non_null(strstr(said, "thread 3 (3, 0, 0) waits in __syncthreads"));
    assert_non_null(strstr(said, "waits in __shfl_sync(0xffffffff) at "));
    assert_int_equal(death_of(SAMPLE_ENDED_LANE, 32, args, said), SIGABRT);
    assert_non_null(strstr(said, "reads lane 5, which does not take part"));
    assert_int_equal(
        death_of(SAMPLE_MMA, 31, (struct sample_args){.in = in, .in2 = in, .out = out}, said),
        SIGABRT);
    assert_non_null(strstr(said, "ptx_mma_f16: lane 31 of the warp has ended or never was"));
    assert_int_equal(death_of(SAMPLE_MISALIGNED, 1, args, said), SIGABRT);
    assert_non_null(strstr(said, "ptx_load_stream: "));
    assert_non_null(strstr(said, "is no multiple of 16"));
}

static void touching_shared_memory_behind_its_end_ends_the_process(void **state)
{
    char said[2000];

    assert_int_equal(death_of(SAMPLE_SHARED, 1, (struct sample_args){.n = 63}, said), 0);
    assert_true(death_of(SAMPLE_SHARED, 1, (struct sample_args){.n = 64}, said) != 0 ||
                strstr(said, "AddressSanitizer") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_of_every_block_runs_once_with_its_own_index),
        cmocka_unit_test(threads_of_a_block_meet_at_barriers),
        cmocka_unit_test(a_missing_barrier_shows_in_the_result),
        cmocka_unit_test(shuffles_read_the_lanes_that_the_isa_names),
        cmocka_unit_test(votes_count_every_lane),
        cmocka_unit_test(matrix_products_have_the_layout_of_the_isa),
        cmocka_unit_test(ldmatrix_gives_each_lane_its_pair_of_each_matrix),
        cmocka_unit_test(asynchronous_copies_are_there_after_the_wait_and_not_before),
        cmocka_unit_test(pairs_of_f16_are_rounded_once),
        cmocka_unit_test(conversions_are_those_of_the_format),
        cmocka_unit_test(bytes_are_permuted_by_the_selector),
        cmocka_unit_test(what_a_gpu_refuses_at_the_launch_is_refused),
        cmocka_unit_test(a_kernel_that_would_hang_ends_with_words),
        cmocka_unit_test(touching_shared_memory_behind_its_end_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
