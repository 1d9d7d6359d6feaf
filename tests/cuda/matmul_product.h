/*
 * matmul_product.h - a product on the device under test: operands with NaN before
 * and after them, any rows of it queued, the outputs fetched between guard bands.
 */
#ifndef TESTS_CUDA_MATMUL_PRODUCT_H
#define TESTS_CUDA_MATMUL_PRODUCT_H

#include "tests/cuda/device_data.h"

enum { NAN_BAND = 256 };

struct problem {
    int n_rows, n_in, n_out;
    enum weight_type type;
    size_t w_offset; /* of the weights from an aligned address */
    bool bias, accumulate;
};

struct product {
    struct problem is;
    struct device *dev;
    float *x, *bias, *before; /* on the host; `before` is what `out` holds at first */
    unsigned char *w;
    char *x_block, *w_block, *bias_block; /* on the device, operands at NAN_BAND */
    float *out;
    size_t x_bytes, out_bytes;
};

static inline char *product_copy(struct device *dev, const void *host, size_t n, size_t offset)
{
    size_t size = NAN_BAND + offset + n + NAN_BAND;
    unsigned char *image = malloc(size);

    assert_non_null(image);
    memset(image, 0xff, size);
    memcpy(image + NAN_BAND + offset, host, n);
    char *block = device_data_copy(dev, image, size);
    free(image);
    return block;
}

/* Weights without bytes around them, unlike data_weights. */
static inline unsigned char *product_weights(enum weight_type type, size_t n)
{
    void *w = data_weights(type, n, 7);
    unsigned char *copy = malloc(n * weight_bytes(type));

    memcpy(copy, w, n * weight_bytes(type));
    data_weights_free(w);
    return copy;
}

/* After the host's operands were filled. */
static inline void product_upload(struct product *p)
{
    size_t in = (size_t)p->is.n_in, out = (size_t)p->is.n_out;
    size_t w_bytes = in * out * weight_bytes(p->is.type);

    p->x_block = product_copy(p->dev, p->x, p->x_bytes, 0);
    p->w_block = product_copy(p->dev, p->w, w_bytes, p->is.w_offset);
    p->bias_block = product_copy(p->dev, p->bias, out * sizeof(float), 0);
    p->out = device_data_output(p->dev, p->out_bytes);
}

/* Random operands on the host; product_upload is next. */
static inline void product_fill(struct product *p, struct device *dev, const struct problem *is)
{
    size_t rows = (size_t)is->n_rows, in = (size_t)is->n_in, out = (size_t)is->n_out;

    memset(p, 0, sizeof *p);
    p->is = *is;
    p->dev = dev;
    p->x_bytes = rows * in * sizeof(float);
    p->out_bytes = rows * out * sizeof(float);
    p->x = malloc(p->x_bytes);
    p->bias = malloc(out * sizeof(float));
    p->before = malloc(p->out_bytes);
    p->w = product_weights(is->type, in * out);
    data_fill(p->x, rows * in, 11);
    data_fill(p->bias, out, 13);
    data_fill(p->before, rows * out, 17);
    /* Unless it accumulates, what `out` held must not matter. */
    for (size_t i = 0; !is->accumulate && i < rows * out; i++)
        p->before[i] = NAN;
}

static inline void product_open(struct product *p, struct device *dev, const struct problem *is)
{
    product_fill(p, dev, is);
    product_upload(p);
}

static inline void product_close(struct product *p)
{
    device_free(p->dev, p->x_block);
    device_free(p->dev, p->w_block);
    device_free(p->dev, p->bias_block);
    device_free(p->dev, (char *)p->out - GUARD_BYTES);
    free(p->x);
    free(p->bias);
    free(p->before);
    free(p->w);
}

/* `out` holds again what it held at first. */
static inline void product_reset(struct product *p)
{
    assert_ok(device_upload(p->dev, p->out, p->before, p->out_bytes, err));
}

/* n rows from `from` on, of operands and of `out`. */
static inline void product_queue(struct product *p, int from, int n)
{
    struct matmul_args a = {
        .out = p->out + (size_t)from * (size_t)p->is.n_out,
        .x = (float *)(void *)(p->x_block + NAN_BAND) + (size_t)from * (size_t)p->is.n_in,
        .w = p->w_block + NAN_BAND + p->is.w_offset,
        .bias = p->is.bias ? (float *)(void *)(p->bias_block + NAN_BAND) : NULL,
        .type = p->is.type,
        .n_rows = n,
        .n_in = p->is.n_in,
        .n_out = p->is.n_out,
        .accumulate = p->is.accumulate,
    };

    assert_ok(device_ops(p->dev)->matmul(p->dev, &a, err));
}

/* What `out` holds; the caller's to free. */
static inline float *product_result(struct product *p)
{
    float *out = malloc(p->out_bytes);

    device_data_read(p->dev, p->out, p->out_bytes, out);
    return out;
}

static inline float *product_run(struct product *p)
{
    product_reset(p);
    product_queue(p, 0, p->is.n_rows);
    return product_result(p);
}

/* The reference's result; the caller's to free. */
static inline float *product_want(const struct product *p)
{
    float *out = malloc(p->out_bytes);
    struct matmul_args a = {.out = out,
                            .x = p->x,
                            .w = p->w,
                            .bias = p->is.bias ? p->bias : NULL,
                            .type = p->is.type,
                            .n_rows = p->is.n_rows,
                            .n_in = p->is.n_in,
                            .n_out = p->is.n_out,
                            .accumulate = p->is.accumulate};

    memcpy(out, p->before, p->out_bytes);
    matmul_ref(&a);
    return out;
}

/* sum |x w| of one element: rounding errors are in proportion to it. */
static inline double product_magnitude(const struct product *p, size_t r, size_t o)
{
    size_t in = (size_t)p->is.n_in;
    double sum = (p->is.bias ? fabs((double)p->bias[o]) : 0) +
                 (p->is.accumulate ? fabs((double)p->before[r * (size_t)p->is.n_out + o]) : 0);

    for (size_t i = 0; i < in; i++)
        sum += fabs((double)p->x[r * in + i] * (double)weight_get(p->w, p->is.type, o * in + i));
    return sum;
}

#endif
