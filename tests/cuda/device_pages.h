/*
 * device_pages.h - kv_fixture.h's pages on a device, and pages as outputs.
 */
#ifndef TESTS_CUDA_DEVICE_PAGES_H
#define TESTS_CUDA_DEVICE_PAGES_H

#include "tests/cuda/device_data.h"
#include "tests/kernels/kv_fixture.h"

struct device_pages {
    struct device *dev;
    struct kv_fixture host;
    struct kv_view view; /* of the same pages, on the device */
    const void **sealed, **tail;
};

static inline void device_pages_open(struct device_pages *pages, struct device *dev,
                                     struct kv_shape shape, uint32_t n_pages, enum kv_format tail,
                                     enum kv_format sealed, uint64_t seed)
{
    pages->dev = dev;
    kv_fixture_open(&pages->host, shape, n_pages, tail, sealed, seed);
    pages->sealed = mem_array(n_pages, sizeof *pages->sealed);
    pages->tail = mem_array(n_pages, sizeof *pages->tail);
    for (uint32_t p = 0; p < n_pages; p++) {
        pages->sealed[p] =
            device_data_copy(dev, pages->host.sealed[p], kv_page_bytes(sealed, shape));
        pages->tail[p] = device_data_copy(dev, pages->host.tail[p], kv_page_bytes(tail, shape));
    }
    pages->view = pages->host.view;
    pages->view.sealed = pages->sealed;
    pages->view.tail = pages->tail;
}

static inline void device_pages_close(struct device_pages *pages)
{
    for (uint32_t p = 0; p < pages->view.n_pages; p++) {
        device_data_drop(pages->dev, pages->sealed[p], 0);
        device_data_drop(pages->dev, pages->tail[p], 0);
    }
    free(pages->sealed);
    free(pages->tail);
    kv_fixture_close(&pages->host);
}

/* n pages of poison on the host (kv_guard_open) and on the device. */
static inline void device_pages_outputs(struct device *dev, void **want, void **got, int n,
                                        size_t bytes)
{
    for (int i = 0; i < n; i++) {
        want[i] = kv_guard_open(bytes);
        got[i] = device_data_output(dev, bytes);
    }
}

/* Fails unless both are the same bytes; ends them. */
static inline void device_pages_compare(struct device *dev, void **want, void **got, int n,
                                        size_t bytes)
{
    unsigned char *page = malloc(bytes);

    assert_non_null(page);
    for (int i = 0; i < n; i++) {
        device_data_close(dev, got[i], bytes, page);
        assert_memory_equal(want[i], page, bytes);
        kv_guard_close(want[i], bytes);
    }
    free(page);
}

#endif
