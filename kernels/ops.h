/*
 * ops.h - the table of operations of a device. Callers go through it and name
 * no backend: device_ops(dev)->rmsnorm(dev, &args, err).
 */
#ifndef KERNELS_OPS_H
#define KERNELS_OPS_H

#include "kernels/attention.h"
#include "kernels/chunk_score.h"
#include "kernels/density_rows.h"
#include "kernels/device.h"
#include "kernels/embed.h"
#include "kernels/hadamard.h"
#include "kernels/kv_gather.h"
#include "kernels/kv_seal.h"
#include "kernels/kv_write.h"
#include "kernels/matmul.h"
#include "kernels/ring_write.h"
#include "kernels/rmsnorm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "kernels/window_attention.h"

#define DEVICE_OPS_LIST(X)                                                                         \
    X(embed)                                                                                       \
    X(rmsnorm)                                                                                     \
    X(matmul)                                                                                      \
    X(rope)                                                                                        \
    X(hadamard)                                                                                    \
    X(swiglu)                                                                                      \
    X(kv_write)                                                                                    \
    X(kv_seal)                                                                                     \
    X(kv_gather)                                                                                   \
    X(attention)                                                                                   \
    X(window_attention)                                                                            \
    X(chunk_score)                                                                                 \
    X(density_rows)                                                                                \
    X(ring_write)

struct device_ops {
#define DEVICE_OPS_MEMBER(op)                                                                      \
    enum status (*op)(struct device * dev, const struct op##_args *args, struct err *err);
    DEVICE_OPS_LIST(DEVICE_OPS_MEMBER)
#undef DEVICE_OPS_MEMBER
};

#endif
