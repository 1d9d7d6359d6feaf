/*
 * device_data.h - what tests of operations on CUDA share: the device, or a
 * visible skip; inputs copied to it; outputs between guard bands.
 *
 * The device's memory cannot be read by the test: everything goes through
 * device_upload and device_download.
 */
#ifndef TESTS_CUDA_DEVICE_DATA_H
#define TESTS_CUDA_DEVICE_DATA_H

#include "kernels/ops.h"
#include "tests/kernels/kernel_data.h"

/* cuda:0, or the program ends as skipped with the device's own words. */
static inline struct device *device_data_open(void)
{
    struct device_options opt = {0};
    struct device *dev = NULL;
    struct err err = {{0}};

    if (device_open(&dev, "cuda:0", &opt, &err) != ST_OK)
        test_skip_program(err.text);
    print_message("%s\n", device_describe(dev));
    return dev;
}

/* Fails the case with the words of `call`'s error. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        struct err ok_err_ = {{0}}, *err = &ok_err_;                                               \
        if ((call) != ST_OK)                                                                       \
            fail_msg("%s: %s", #call, ok_err_.text);                                               \
    } while (0)

/* n bytes of host memory on the device, at `offset` from an aligned address;
 * end with device_data_drop of the same offset. */
static inline void *device_data_at(struct device *dev, const void *host, size_t n, size_t offset)
{
    void *p = NULL;

    assert_ok(device_alloc(dev, DEVICE_SCRATCH, n + offset + 1, &p, err));
    if (n > 0)
        assert_ok(device_upload(dev, (char *)p + offset, host, n, err));
    return (char *)p + offset;
}

static inline void device_data_drop(struct device *dev, const void *p, size_t offset)
{
    device_free(dev, (char *)(uintptr_t)p - offset);
}

static inline void *device_data_copy(struct device *dev, const void *host, size_t n)
{
    return device_data_at(dev, host, n, 0);
}

/* n bytes of NaN (as f32, f16 and f64) between guard bands. */
static inline void *device_data_output(struct device *dev, size_t n)
{
    unsigned char *raw = malloc(n + 2 * GUARD_BYTES);
    void *p;

    assert_non_null(raw);
    memset(raw, GUARD_VALUE, n + 2 * GUARD_BYTES);
    memset(raw + GUARD_BYTES, 0xff, n);
    p = device_data_copy(dev, raw, n + 2 * GUARD_BYTES);
    free(raw);
    return (char *)p + GUARD_BYTES;
}

/* The output's bytes to `host`; fails if a guard band was written. */
static inline void device_data_read(struct device *dev, const void *p, size_t n, void *host)
{
    unsigned char *raw = malloc(n + 2 * GUARD_BYTES);

    assert_non_null(raw);
    assert_ok(device_download(dev, raw, (const char *)p - GUARD_BYTES, n + 2 * GUARD_BYTES, err));
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (raw[i] != GUARD_VALUE || raw[GUARD_BYTES + n + i] != GUARD_VALUE)
            fail_msg("byte %zu of a guard band around %zu bytes was written", i, n);
    memcpy(host, raw + GUARD_BYTES, n);
    free(raw);
}

/* device_data_read, and the output's end. */
static inline void device_data_close(struct device *dev, void *p, size_t n, void *host)
{
    device_data_read(dev, p, n, host);
    device_free(dev, (char *)p - GUARD_BYTES);
}

#endif
