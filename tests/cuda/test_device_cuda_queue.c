/* The CUDA device's copy queue: what it carries, when it begins, what waits for it. */
#include <sys/mman.h>

#include "common/clock.h"
#include "tests/cuda/device_data.h"

enum { COLS = 96 };

static struct device *dev;

static void random_bytes(unsigned char *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)data_next(&seed);
}

static bool is_shim(void)
{
    return strstr(device_describe(dev), "shim") != NULL;
}

/* More copies than can be under way at once, from memory that is registered. */
static void copies_of_the_queue_all_arrive(void **state)
{
    enum { PIECE = 4096, PIECES = 700 };
    size_t n = (size_t)PIECE * PIECES;
    unsigned char *host = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *back = malloc(n);
    uint64_t ticket = 0, before = 0, bytes = device_copy_bytes(dev);
    void *p;

    assert_true(host != MAP_FAILED);
    random_bytes(host, n, 4);
    assert_ok(device_register_host(dev, host, n, err));
    assert_ok(device_alloc(dev, DEVICE_KV_STAGING, n, &p, err));
    for (size_t i = 0; i < PIECES; i++) {
        assert_ok(
            device_copy_start(dev, (char *)p + i * PIECE, host + i * PIECE, PIECE, &ticket, err));
        assert_true(i == 0 || ticket == before + 1);
        before = ticket;
    }
    assert_ok(device_copy_wait(dev, ticket, err));
    assert_ok(device_copy_wait(dev, ticket - PIECES + 1, err)); /* long past */
    assert_ok(device_download(dev, back, p, n, err));
    assert_memory_equal(host, back, n);
    assert_true(device_copy_done(dev, ticket));
    assert_int_equal(device_copy_bytes(dev), bytes + n);
    device_free(dev, p);
    device_unregister_host(dev, host);
    munmap(host, n);
    free(back);
}

/* A slot is written again right after its reader was queued, many times over, as
 * streaming a layer does. */
static void a_copy_begins_after_the_operations_queued_before_it(void **state)
{
    enum { ROUNDS = 40, ROWS = 64, N = ROWS * COLS };
    size_t n_bytes = N * sizeof(float);
    float *host =
        mmap(NULL, n_bytes * ROUNDS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    float *got = malloc(n_bytes), *want = malloc(n_bytes), *slot, *out[ROUNDS], weight[COLS];
    uint64_t ticket, stall = device_copy_stall_ns(dev), start = clock_now_ns();
    void *w;

    assert_true((void *)host != MAP_FAILED);
    data_fill(host, (size_t)N * ROUNDS, 7);
    data_fill(weight, COLS, 8);
    w = device_data_copy(dev, weight, sizeof weight);
    assert_ok(device_register_host(dev, host, n_bytes * ROUNDS, err));
    assert_ok(device_alloc(dev, DEVICE_KV_STAGING, n_bytes, (void **)&slot, err));
    for (int i = 0; i < ROUNDS; i++)
        assert_ok(device_alloc(dev, DEVICE_SCRATCH, n_bytes, (void **)&out[i], err));
    for (int i = 0; i < ROUNDS; i++) {
        struct rmsnorm_args a = {.out = out[i],
                                 .in = slot,
                                 .weight = w,
                                 .type = WEIGHT_F32,
                                 .n_rows = ROWS,
                                 .n_cols = COLS,
                                 .eps = 1e-5f};
        assert_ok(device_copy_start(dev, slot, host + (size_t)i * N, n_bytes, &ticket, err));
        assert_ok(device_copy_wait(dev, ticket, err));
        assert_ok(device_ops(dev)->rmsnorm(dev, &a, err));
    }
    for (int i = 0; i < ROUNDS; i++) {
        struct rmsnorm_args a = {want, host + (size_t)i * N, weight, WEIGHT_F32, ROWS, COLS, 1e-5f};
        rmsnorm_ref(&a);
        assert_ok(device_download(dev, got, out[i], n_bytes, err));
        for (int j = 0; j < N; j++)
            assert_close(got[j], want[j], 1e-4);
        device_free(dev, out[i]);
    }
    assert_true(device_copy_stall_ns(dev) >= stall);
    assert_true(device_copy_stall_ns(dev) - stall <= clock_now_ns() - start);
    device_free(dev, slot);
    device_free(dev, w);
    device_unregister_host(dev, host);
    munmap(host, n_bytes * ROUNDS);
    free(got);
    free(want);
}

/* The copy takes a millisecond on any link; nothing else is queued. */
static void waiting_for_a_long_copy_is_counted(void **state)
{
    size_t n = 64u << 20;
    void *host, *p;
    uint64_t ticket, before;

    if (is_shim())
        skip(); /* its copies take no time of their own */
    host = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(host != MAP_FAILED);
    assert_ok(device_register_host(dev, host, n, err));
    assert_ok(device_alloc(dev, DEVICE_KV_STAGING, n, &p, err));
    assert_ok(device_sync(dev, err));
    before = device_copy_stall_ns(dev);
    assert_ok(device_copy_start(dev, p, host, n, &ticket, err));
    assert_ok(device_copy_wait(dev, ticket, err));
    assert_ok(device_sync(dev, err));
    assert_true(device_copy_stall_ns(dev) - before > 200000);
    device_free(dev, p);
    device_unregister_host(dev, host);
    munmap(host, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_the_queue_all_arrive),
        cmocka_unit_test(a_copy_begins_after_the_operations_queued_before_it),
        cmocka_unit_test(waiting_for_a_long_copy_is_counted),
    };
    int failed;

    dev = device_data_open();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
