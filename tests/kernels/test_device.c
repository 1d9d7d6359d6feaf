#include "kernels/device.h"

#include "common/log.h"
#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

static enum status open_with(const char *name, struct device_options opt, struct err *err)
{
    struct device *dev = NULL;
    enum status st = device_open(&dev, name, &opt, err);

    device_close(dev);
    return st;
}

static void two_cpu_devices_open_side_by_side(void **state)
{
    struct device_options one = {.n_threads = 1}, two = {.n_threads = 2, .portable = true};
    struct device *a, *b;
    struct err err = {{0}};

    assert_int_equal(device_open(&a, "cpu:0", &one, &err), ST_OK);
    assert_int_equal(device_open(&b, "cpu:1", &two, &err), ST_OK);
    assert_non_null(strstr(device_describe(a), "cpu:0 (1 thread, "));
    assert_string_equal(device_describe(b), "cpu:1 (2 threads, portable)");
    assert_true(device_reads_host(a));
    assert_close(device_link_gbps(a), 0, 0);
    device_close(b);
    device_close(a);
}

static void a_simulated_link_is_named_and_hides_host_memory(void **state)
{
    struct device_options opt = {.n_threads = 1, .portable = true, .link_gbps = 0.25};
    struct device *dev;
    struct err err = {{0}};

    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    assert_false(device_reads_host(dev));
    assert_close(device_link_gbps(dev), 0.25, 0);
    assert_string_equal(device_describe(dev),
                        "cpu:0 (1 thread, portable, simulated link 0.25 GB/s)");
    device_close(dev);
}

static void names_that_are_no_device_are_refused_in_words(void **state)
{
    static const char *const wrong[] = {"",       "cpu",    "cpu:",    "cpu:x",
                                        "cpu:-1", "cpu:1x", "cpu:256", "cpu:99999999999999999999",
                                        "gpu:0",  "CPU:0",  " cpu:0"};
    struct device_options opt = {.n_threads = 1};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err err = {{0}};
        assert_int_equal(open_with(wrong[i], opt, &err), ST_NOT_FOUND);
        assert_non_null(strstr(err.text, "cpu:N"));
    }
    /* Test programs lie in no installation's bin/. */
    struct err err = {{0}};
    assert_int_equal(open_with("cuda:0", opt, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "no CUDA backend"));
}

static void impossible_options_are_refused(void **state)
{
    struct err err = {{0}};

    assert_int_equal(open_with("cpu:0", (struct device_options){.n_threads = -1}, &err),
                     ST_INVALID);
    assert_int_equal(open_with("cpu:0", (struct device_options){.n_threads = 4096}, &err),
                     ST_INVALID);
    assert_int_equal(
        open_with("cpu:0", (struct device_options){.n_threads = 1, .link_gbps = NAN}, &err),
        ST_INVALID);
    assert_int_equal(
        open_with("cpu:0", (struct device_options){.n_threads = 1, .link_gbps = -1}, &err),
        ST_INVALID);
}

static void the_ledger_counts_every_byte_by_use(void **state)
{
    struct device *dev = data_device(1, false);
    struct err err = {{0}};
    void *a, *b, *c;

    assert_int_equal(device_alloc(dev, DEVICE_KV_TAIL, 1000, &a, &err), ST_OK);
    assert_int_equal(device_alloc(dev, DEVICE_KV_TAIL, 24, &b, &err), ST_OK);
    assert_int_equal(device_alloc(dev, DEVICE_WEIGHTS, 3 << 20, &c, &err), ST_OK);
    assert_int_equal(device_used(dev, DEVICE_KV_TAIL), 1024);
    assert_int_equal(device_used(dev, DEVICE_WEIGHTS), 3 << 20);
    assert_int_equal(device_used(dev, DEVICE_SCRATCH), 0);
    device_free(dev, a);
    assert_int_equal(device_used(dev, DEVICE_KV_TAIL), 24);
    device_free(dev, NULL);
    device_free(dev, c);
    device_free(dev, b);
    for (int use = 0; use < DEVICE_USE_COUNT; use++)
        assert_int_equal(device_used(dev, (enum device_use)use), 0);
    device_close(dev);
}

/* Sizes around the change from small blocks to huge pages. */
static void memory_is_zeroed_and_aligned(void **state)
{
    static const size_t sizes[] = {
        0, 1, 63, 64, 65, 4096, (2u << 20) - 1, 2u << 20, (2u << 20) + 1, 5u << 20};
    struct device *dev = data_device(1, false);
    struct err err = {{0}};

    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *p, sum = 0;
            assert_int_equal(device_alloc(dev, DEVICE_SCRATCH, sizes[i], (void **)&p, &err), ST_OK);
            assert_int_equal((uintptr_t)p % (sizes[i] >= 2u << 20 ? 2u << 20 : 64), 0);
            for (size_t b = 0; b < sizes[i]; b++)
                sum |= p[b];
            assert_int_equal(sum, 0);
            memset(p, 0xff, sizes[i]); /* so that a block used again would show it */
            device_free(dev, p);
        }
    device_close(dev);
}

static void more_than_there_can_be_is_no_space_and_not_counted(void **state)
{
    struct device *dev = data_device(1, false);
    struct err err = {{0}};
    void *p = NULL;

    assert_int_equal(device_alloc(dev, DEVICE_KV_DRAFT, (size_t)1 << 60, &p, &err), ST_NO_SPACE);
    assert_non_null(strstr(err.text, "kv_draft"));
    assert_int_equal(device_alloc(dev, DEVICE_KV_DRAFT, SIZE_MAX, &p, &err), ST_NO_SPACE);
    assert_null(p);
    assert_int_equal(device_used(dev, DEVICE_KV_DRAFT), 0);
    device_close(dev);
}

static void adopted_memory_is_the_same_and_counted_until_dropped(void **state)
{
    struct device *dev = data_device(1, false);
    struct err err = {{0}};
    char host[100];
    const void *p;

    assert_int_equal(device_adopt(dev, DEVICE_WEIGHTS, host, sizeof host, &p, &err), ST_OK);
    assert_ptr_equal(p, host);
    assert_int_equal(device_used(dev, DEVICE_WEIGHTS), sizeof host);
    device_drop(dev, p);
    assert_int_equal(device_used(dev, DEVICE_WEIGHTS), 0);
    device_close(dev);
}

static void uploads_and_downloads_carry_bytes_beside_the_link(void **state)
{
    struct device_options opt = {.n_threads = 1,
                                 .link_gbps = 1e-6}; /* 1 KB/s: would take minutes */
    struct device *dev;
    struct err err = {{0}};
    static char host[1 << 20], back[1 << 20];
    void *p;

    for (size_t i = 0; i < sizeof host; i++)
        host[i] = (char)(i * 7);
    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    assert_int_equal(device_alloc(dev, DEVICE_SCRATCH, sizeof host, &p, &err), ST_OK);
    assert_int_equal(device_upload(dev, p, host, sizeof host, &err), ST_OK);
    assert_int_equal(device_download(dev, back, p, sizeof back, &err), ST_OK);
    assert_int_equal(device_sync(dev, &err), ST_OK);
    assert_memory_equal(host, back, sizeof host);
    assert_int_equal(device_copy_bytes(dev), 0);
    device_free(dev, p);
    device_close(dev);
}

static void forgotten_memory_is_named_at_close_and_given_back(void **state)
{
    char path[] = "device_leak_XXXXXX", text[512] = "";
    int fd = mkstemp(path);
    struct err err = {{0}};
    void *p;

    assert_true(fd >= 0);
    assert_int_equal(log_open("test", path, LOG_WARN, &err), ST_OK);
    struct device *dev = data_device(1, false);
    assert_int_equal(device_alloc(dev, DEVICE_KV_STAGING, 4321, &p, &err), ST_OK);
    device_close(dev); /* the leak checker of a sanitized run sees whether p was freed */
    log_close();
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "kv_staging"));
    assert_non_null(strstr(text, "4321"));
    close(fd);
    unlink(path);
}

static void bandwidth_is_measured(void **state)
{
    struct device *dev = data_device(0, false);
    struct err err = {{0}};
    double gbps = 0;

    assert_int_equal(device_measure_read(dev, &gbps, &err), ST_OK);
    print_message("%s reads %.1f GB/s\n", device_describe(dev), gbps);
    assert_true(gbps > 0.1 && gbps < 10000);
    device_close(dev);
}

static void every_operation_is_in_the_table(void **state)
{
    struct device *dev = data_device(1, false);

#define OP_IS_THERE(op) assert_non_null(device_ops(dev)->op);
    DEVICE_OPS_LIST(OP_IS_THERE)
#undef OP_IS_THERE
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_cpu_devices_open_side_by_side),
        cmocka_unit_test(a_simulated_link_is_named_and_hides_host_memory),
        cmocka_unit_test(names_that_are_no_device_are_refused_in_words),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(the_ledger_counts_every_byte_by_use),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(more_than_there_can_be_is_no_space_and_not_counted),
        cmocka_unit_test(adopted_memory_is_the_same_and_counted_until_dropped),
        cmocka_unit_test(uploads_and_downloads_carry_bytes_beside_the_link),
        cmocka_unit_test(forgotten_memory_is_named_at_close_and_given_back),
        cmocka_unit_test(bandwidth_is_measured),
        cmocka_unit_test(every_operation_is_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
