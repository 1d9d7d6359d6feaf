/* The CUDA device below the operations: memory, copies in order, segments and
 * graphs. */
#include <sys/mman.h>

#include "tests/cuda/device_data.h"

static struct device *dev;

static void random_bytes(unsigned char *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)data_next(&seed);
}

static void memory_is_zeroed_and_counted(void **state)
{
    static const size_t sizes[] = {0, 1, 63, 4096, (2u << 20) + 1};

    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *host = malloc(sizes[i] + 1), sum = 0;
            void *p = NULL;
            assert_ok(device_alloc(dev, DEVICE_KV_TAIL, sizes[i], &p, err));
            assert_int_equal((uintptr_t)p % 64, 0);
            assert_int_equal(device_used(dev, DEVICE_KV_TAIL), sizes[i]);
            assert_ok(device_download(dev, host, p, sizes[i], err));
            for (size_t b = 0; b < sizes[i]; b++)
                sum |= host[b];
            assert_int_equal(sum, 0);
            memset(host, 0xff, sizes[i]); /* so that memory used again would show it */
            assert_ok(device_upload(dev, p, host, sizes[i], err));
            device_free(dev, p);
            free(host);
        }
    assert_int_equal(device_used(dev, DEVICE_KV_TAIL), 0);
}

/* Sizes around the pinned pieces of 8 MiB and around where threads fill them. */
static void uploads_and_downloads_of_any_size_arrive(void **state)
{
    static const size_t sizes[] = {
        1, 4097, (8u << 20) - 1, 8u << 20, (8u << 20) + 1, (16u << 20) + 5, (64u << 20) + 3};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        unsigned char *host = malloc(n + 1), *back = malloc(n + 1);
        void *p;
        random_bytes(host, n + 1, (uint32_t)i);
        assert_ok(device_alloc(dev, DEVICE_SCRATCH, n + 1, &p, err));
        assert_ok(device_upload(dev, (char *)p + 1, host + 1, n, err));
        memset(back, 0xee, n + 1);
        assert_ok(device_download(dev, back + 1, (char *)p + 1, n, err));
        assert_int_equal(back[0], 0xee);
        assert_memory_equal(host + 1, back + 1, n);
        device_free(dev, p);
        free(host);
        free(back);
    }
}

static void an_upload_may_be_overwritten_at_once(void **state)
{
    enum { N = 64 << 10, ROUNDS = 40 };
    unsigned char *host = malloc(N), *want = malloc(N), *back = malloc(N);
    void *p[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        random_bytes(host, N, (uint32_t)i);
        assert_ok(device_alloc(dev, DEVICE_SCRATCH, N, &p[i], err));
        assert_ok(device_upload(dev, p[i], host, N, err));
        memset(host, 0, N);
    }
    for (int i = 0; i < ROUNDS; i++) {
        random_bytes(want, N, (uint32_t)i);
        assert_ok(device_download(dev, back, p[i], N, err));
        assert_memory_equal(back, want, N);
        device_free(dev, p[i]);
    }
    free(host);
    free(want);
    free(back);
}

static void copies_within_the_device_keep_their_place_in_the_order(void **state)
{
    enum { N = 100000 };
    unsigned char *first = malloc(N), *second = malloc(N), *back = malloc(N);
    void *a, *b;

    random_bytes(first, N, 1);
    random_bytes(second, N, 2);
    a = device_data_copy(dev, first, N);
    assert_ok(device_alloc(dev, DEVICE_SCRATCH, N, &b, err));
    assert_ok(device_upload(dev, b, a, N, err));
    assert_ok(device_upload(dev, a, second, N, err));
    assert_ok(device_download(dev, back, b, N, err));
    assert_memory_equal(back, first, N);
    device_free(dev, b);
    device_free(dev, a);
    free(first);
    free(second);
    free(back);
}

static void adopted_memory_is_a_copy(void **state)
{
    char host[1000], back[1000];
    const void *p;

    assert_false(device_shares_host(dev));
    assert_false(device_reads_host(dev));
    random_bytes((unsigned char *)host, sizeof host, 3);
    assert_ok(device_adopt(dev, DEVICE_WEIGHTS, host, sizeof host, &p, err));
    assert_ptr_not_equal(p, host);
    assert_int_equal(device_used(dev, DEVICE_WEIGHTS), sizeof host);
    assert_ok(device_download(dev, back, p, sizeof back, err));
    assert_memory_equal(host, back, sizeof host);
    device_drop(dev, p);
    assert_int_equal(device_used(dev, DEVICE_WEIGHTS), 0);
}

/* Registered memory is the other way of uploads and downloads. */
static void registered_memory_carries_the_same_bytes(void **state)
{
    size_t n = (9u << 20) + 7;
    unsigned char *host = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *want = malloc(n);
    void *p;

    assert_true(host != MAP_FAILED);
    random_bytes(want, n, 5);
    memcpy(host, want, n);
    assert_ok(device_register_host(dev, host, n, err));
    assert_ok(device_alloc(dev, DEVICE_SCRATCH, n, &p, err));
    assert_ok(device_upload(dev, p, host, n, err));
    memset(host, 0, n);
    assert_ok(device_download(dev, host, p, n, err));
    assert_memory_equal(host, want, n);
    device_unregister_host(dev, host);
    assert_ok(device_download(dev, host + 1, p, n - 1, err));
    assert_memory_equal(host + 1, want, n - 1);
    device_free(dev, p);
    munmap(host, n);
    free(want);
}

enum { COLS = 96, WEIGHT_ROWS = 50 };

/* A table of WEIGHT_ROWS rows on the device, and its host copy. */
struct table {
    float host[WEIGHT_ROWS * COLS];
    void *p;
};

static void table_open(struct table *t)
{
    data_fill(t->host, WEIGHT_ROWS * COLS, 6);
    t->p = device_data_copy(dev, t->host, sizeof t->host);
}

/* out[r] = table[token of (round, r)]: `n` operations of one launch each. */
static void run_embeds(const struct table *t, float *out, int n, uint32_t round)
{
    for (int i = 0; i < n; i++) {
        int32_t token = (int32_t)(((uint32_t)i * 7 + round * 13) % WEIGHT_ROWS);
        struct embed_args a = {.out = out + (size_t)i * COLS,
                               .table = t->p,
                               .type = WEIGHT_F32,
                               .token = &token,
                               .n_rows = 1,
                               .n_cols = COLS};
        assert_ok(device_ops(dev)->embed(dev, &a, err));
    }
}

static void check_embeds(const struct table *t, const float *out, int n, uint32_t round)
{
    float *got = malloc((size_t)n * COLS * sizeof *got);

    assert_ok(device_download(dev, got, out, (size_t)n * COLS * sizeof *got, err));
    for (int i = 0; i < n; i++) {
        const float *want = t->host + (((uint32_t)i * 7 + round * 13) % WEIGHT_ROWS) * COLS;
        if (memcmp(got + (size_t)i * COLS, want, COLS * sizeof *want) != 0)
            fail_msg("operation %d of %d, sight %u: another row than its token's", i, n, round);
    }
    free(got);
}

/* The first sight of a segment launches, the second builds a graph, the third
 * replays it; tokens differ each time. Counts around a segment's 64 launches. */
static void a_repeated_sequence_sees_the_arguments_of_its_own_call(void **state)
{
    static const int counts[] = {1, 2, 63, 64, 65, 200};
    struct table t;

    table_open(&t);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        float *out;
        assert_ok(device_alloc(dev, DEVICE_SCRATCH, (size_t)counts[c] * COLS * sizeof *out,
                               (void **)&out, err));
        for (uint32_t round = 0; round < 5; round++) {
            run_embeds(&t, out, counts[c], round);
            check_embeds(&t, out, counts[c], round);
        }
        device_free(dev, out);
    }
    device_free(dev, t.p);
}

/* Many segments between two points where the host waits: the pinned ring goes
 * round, and a segment's arguments must not be those of a later one. */
static void segments_under_way_keep_their_arguments(void **state)
{
    enum { SEGMENTS = 150, OPS = 64 };
    struct table t;
    float *out;

    table_open(&t);
    assert_ok(device_alloc(dev, DEVICE_SCRATCH, (size_t)SEGMENTS * OPS * COLS * sizeof *out,
                           (void **)&out, err));
    for (int twice = 0; twice < 2; twice++) {
        for (uint32_t s = 0; s < SEGMENTS; s++)
            run_embeds(&t, out + (size_t)s * OPS * COLS, OPS, s);
        for (uint32_t s = 0; s < SEGMENTS; s += 7)
            check_embeds(&t, out + (size_t)s * OPS * COLS, OPS, s);
    }
    device_free(dev, out);
    device_free(dev, t.p);
}

/* Arguments of more bytes than the slab holds at first make it grow. */
static void arguments_of_any_size_arrive(void **state)
{
    static const int rows[] = {1, 66000, 3}; /* 4 bytes each; the slab has 256 KiB */
    struct table t;

    table_open(&t);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int n = rows[i], last = n - 1;
        int32_t *token = malloc((size_t)n * sizeof *token);
        struct embed_args a = {
            .table = t.p, .type = WEIGHT_F32, .token = token, .n_rows = n, .n_cols = 1};
        float got;
        for (int r = 0; r < n; r++)
            token[r] = r % WEIGHT_ROWS;
        assert_ok(device_alloc(dev, DEVICE_SCRATCH, (size_t)n * sizeof got, (void **)&a.out, err));
        assert_ok(device_ops(dev)->embed(dev, &a, err));
        free(token);
        assert_ok(device_download(dev, &got, a.out + last, sizeof got, err));
        assert_true(got == t.host[last % WEIGHT_ROWS]); /* a table of one column */
        device_free(dev, a.out);
    }
    device_free(dev, t.p);
}

static void what_is_not_there_is_refused_in_words(void **state)
{
    struct device_options opt = {0}, paced = {.link_gbps = 12};
    struct device *other;
    struct err refusal = {{0}};
    void *p = NULL;

    assert_int_equal(device_open(&other, "cuda:255", &opt, &refusal), ST_NOT_FOUND);
    assert_non_null(strstr(refusal.text, "GPU"));
    assert_int_equal(device_open(&other, "cuda:0", &paced, &refusal), ST_INVALID);
    assert_non_null(strstr(refusal.text, "simulated link"));
    assert_int_equal(device_alloc(dev, DEVICE_KV_DRAFT, (size_t)1 << 50, &p, &refusal),
                     ST_NO_SPACE);
    assert_non_null(strstr(refusal.text, "kv_draft"));
    assert_non_null(strstr(refusal.text, "free"));
    assert_null(p);
    assert_int_equal(device_used(dev, DEVICE_KV_DRAFT), 0);
    assert_ok(device_sync(dev, err)); /* the device still works */
}

static void two_devices_of_one_gpu_work_side_by_side(void **state)
{
    struct device_options opt = {.n_threads = 1};
    char host[100] = "side by side", back[100];
    struct device *other;
    void *p;

    assert_ok(device_open(&other, "cuda:0", &opt, err));
    p = device_data_copy(other, host, sizeof host);
    assert_ok(device_download(other, back, p, sizeof back, err));
    assert_memory_equal(host, back, sizeof host);
    assert_int_equal(device_used(dev, DEVICE_SCRATCH), 0);
    device_free(other, p);
    device_close(other);
    assert_ok(device_sync(dev, err));
}

/* Only the host shim can be told to refuse. */
static void a_driver_that_refuses_early_launches_is_named_and_works(void **state)
{
    struct device_options opt = {.n_threads = 1};
    char host[100] = "in order", back[100];
    struct device *other;
    void *p;

    assert_null(strstr(device_describe(dev), "early"));
    if (strstr(device_describe(dev), "shim") == NULL)
        skip();
    setenv("MSPECKV_SHIM_FAULTS", "early", 1);
    assert_ok(device_open(&other, "cuda:0", &opt, err)); /* which counts in a graph */
    unsetenv("MSPECKV_SHIM_FAULTS");
    assert_non_null(strstr(device_describe(other), "without early launches"));
    p = device_data_copy(other, host, sizeof host);
    assert_ok(device_download(other, back, p, sizeof back, err));
    assert_memory_equal(host, back, sizeof host);
    device_free(other, p);
    device_close(other);
}

static void ceilings_are_measured(void **state)
{
    double read_gbps = 0, link_gbps = 0;

    assert_close(device_link_gbps(dev), 0, 0);
    assert_ok(device_measure_read(dev, &read_gbps, err));
    assert_ok(device_measure_link(dev, &link_gbps, err));
    print_message("%s: copies %.1f GB/s, link %.1f GB/s\n", device_describe(dev), read_gbps,
                  link_gbps);
    assert_true(read_gbps > 0.01 && link_gbps > 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_counted),
        cmocka_unit_test(uploads_and_downloads_of_any_size_arrive),
        cmocka_unit_test(an_upload_may_be_overwritten_at_once),
        cmocka_unit_test(copies_within_the_device_keep_their_place_in_the_order),
        cmocka_unit_test(adopted_memory_is_a_copy),
        cmocka_unit_test(registered_memory_carries_the_same_bytes),
        cmocka_unit_test(a_repeated_sequence_sees_the_arguments_of_its_own_call),
        cmocka_unit_test(segments_under_way_keep_their_arguments),
        cmocka_unit_test(arguments_of_any_size_arrive),
        cmocka_unit_test(what_is_not_there_is_refused_in_words),
        cmocka_unit_test(two_devices_of_one_gpu_work_side_by_side),
        cmocka_unit_test(a_driver_that_refuses_early_launches_is_named_and_works),
        cmocka_unit_test(ceilings_are_measured),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
