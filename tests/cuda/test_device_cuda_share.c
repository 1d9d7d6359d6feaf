/* Blocks of device memory between two processes: the program runs itself as the
 * other one, which opens a share given as hex digits. */
#include "common/proc.h"
#include "tests/cuda/device_data.h"

enum { N_BYTES = 3 << 20, SHARE_BYTES = sizeof(struct device_share) };

static struct device *dev;

static void pattern(unsigned char *p, uint32_t seed)
{
    for (size_t i = 0; i < N_BYTES; i++)
        p[i] = (unsigned char)data_next(&seed);
}

/* A block of exactly n bytes: its size is the share's. */
static void *put(const void *host, size_t n)
{
    void *p = NULL;

    assert_ok(device_alloc(dev, DEVICE_SCRATCH, n, &p, err));
    assert_ok(device_upload(dev, p, host, n, err));
    return p;
}

static void to_hex(char *hex, const struct device_share *share)
{
    for (int i = 0; i < SHARE_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", share->bytes[i]);
}

static void from_hex(struct device_share *share, const char *hex)
{
    for (int i = 0; i < SHARE_BYTES; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        share->bytes[i] = (uint8_t)byte;
    }
}

/* Reads pattern 1 and writes pattern 2; opens it twice and closes it twice. */
static int use_share(struct device *child, const struct device_share *share)
{
    unsigned char *want = malloc(N_BYTES), *got = malloc(N_BYTES);
    struct err err = {{0}};
    void *first = NULL, *second = NULL;
    bool good = device_import(child, DEVICE_WEIGHTS, share, &first, &err) == ST_OK &&
                device_import(child, DEVICE_WEIGHTS, share, &second, &err) == ST_OK;

    good = good && first == second && device_used(child, DEVICE_WEIGHTS) == 2 * (size_t)N_BYTES;
    device_drop(child, second);
    pattern(want, 1);
    good = good && device_download(child, got, first, N_BYTES, &err) == ST_OK &&
           memcmp(got, want, N_BYTES) == 0;
    pattern(want, 2);
    good = good && device_upload(child, first, want, N_BYTES, &err) == ST_OK &&
           device_sync(child, &err) == ST_OK;
    device_drop(child, first);
    if (!good)
        fprintf(stderr, "the other process: %s\n", err.text[0] ? err.text : "wrong bytes");
    free(want);
    free(got);
    return good ? 0 : 1;
}

/* Exit status 0 if the share can be used, 3 if it is stale. */
static int be_the_other_process(const char *hex)
{
    struct device_options opt = {.n_threads = 1};
    struct device_share share;
    struct device *child;
    struct err err = {{0}};
    void *p;
    int result = 1;

    if (strlen(hex) != 2 * SHARE_BYTES || device_open(&child, "cuda:0", &opt, &err) != ST_OK)
        return 1;
    from_hex(&share, hex);
    if (device_import(child, DEVICE_WEIGHTS, &share, &p, &err) == ST_STALE) {
        result = 3;
    } else if (err.text[0] == '\0') {
        device_drop(child, p);
        result = use_share(child, &share);
    } else {
        fprintf(stderr, "the other process: %s\n", err.text);
    }
    device_close(child);
    return result;
}

static void run_the_other_process(const struct device_share *share, const char *want)
{
    char hex[2 * SHARE_BYTES + 1], how[64] = "";
    char *argv[] = {"/proc/self/exe", hex, NULL};
    struct proc child;

    to_hex(hex, share);
    assert_ok(proc_spawn(&child, "other", argv, NULL, err));
    while (!proc_has_ended(&child, how, sizeof how))
        usleep(1000); /* there is no event to wait for but its end */
    assert_string_equal(how, want);
}

static void another_process_reads_and_writes_a_shared_block(void **state)
{
    unsigned char *host = malloc(N_BYTES), *got = malloc(N_BYTES);
    struct device_share share;
    void *p;

    pattern(host, 1);
    p = put(host, N_BYTES);
    assert_ok(device_sync(dev, err));
    assert_ok(device_export(dev, p, &share, err));
    run_the_other_process(&share, "exit status 0");
    pattern(host, 2);
    assert_ok(device_download(dev, got, p, N_BYTES, err));
    assert_memory_equal(host, got, N_BYTES);
    device_free(dev, p);
    free(host);
    free(got);
}

/* Small blocks may lie in one piece of the driver's memory: each share must name
 * its own block. */
static void every_share_names_its_own_block(void **state)
{
    unsigned char *host = malloc(N_BYTES);
    struct device_share share;
    void *small[4], *p;

    for (int i = 0; i < 4; i++)
        small[i] = put("small", 6);
    pattern(host, 1);
    p = put(host, N_BYTES);
    assert_ok(device_export(dev, p, &share, err));
    run_the_other_process(&share, "exit status 0");
    device_free(dev, p);
    for (int i = 0; i < 4; i++)
        device_free(dev, small[i]);
    free(host);
}

static void a_share_of_memory_given_back_is_stale(void **state)
{
    unsigned char *host;
    struct device_share share;
    void *p;

    if (strstr(device_describe(dev), "shim") != NULL)
        skip(); /* it keeps all device memory in one file */
    host = malloc(N_BYTES);
    pattern(host, 1);
    p = put(host, N_BYTES);
    assert_ok(device_export(dev, p, &share, err));
    device_free(dev, p);
    assert_ok(device_sync(dev, err));
    run_the_other_process(&share, "exit status 3");
    free(host);
}

static void a_process_that_opens_its_own_share_gets_its_own_memory(void **state)
{
    struct device_share share;
    void *p = put("own", 4), *again;

    assert_ok(device_export(dev, p, &share, err));
    assert_ok(device_import(dev, DEVICE_KV_RETRIEVAL, &share, &again, err));
    assert_ptr_equal(p, again);
    assert_int_equal(device_used(dev, DEVICE_KV_RETRIEVAL), 4);
    device_drop(dev, again);
    device_free(dev, p);
}

static void bytes_that_are_no_share_are_refused(void **state)
{
    struct device_share share = {{0}}, good;
    void *p = put("good", 5), *out = NULL;
    struct err err = {{0}};

    assert_int_equal(device_import(dev, DEVICE_WEIGHTS, &share, &out, &err), ST_CORRUPT);
    assert_int_equal(device_export(dev, p, &good, &err), ST_OK);
    share = good;
    share.bytes[4]++; /* the version */
    assert_int_equal(device_import(dev, DEVICE_WEIGHTS, &share, &out, &err), ST_VERSION);
    share = good;
    share.bytes[0]++;
    assert_int_equal(device_import(dev, DEVICE_WEIGHTS, &share, &out, &err), ST_CORRUPT);
    assert_null(out);
    assert_int_equal(device_used(dev, DEVICE_WEIGHTS), 0);
    device_free(dev, p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_process_reads_and_writes_a_shared_block),
        cmocka_unit_test(every_share_names_its_own_block),
        cmocka_unit_test(a_share_of_memory_given_back_is_stale),
        cmocka_unit_test(a_process_that_opens_its_own_share_gets_its_own_memory),
        cmocka_unit_test(bytes_that_are_no_share_are_refused),
    };
    int failed;

    if (argc > 1)
        return be_the_other_process(argv[1]);
    dev = device_data_open();
    if (!device_can_share(dev)) {
        device_close(dev);
        test_skip_program("the driver gives no handles for sharing memory");
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_close(dev);
    return failed;
}
