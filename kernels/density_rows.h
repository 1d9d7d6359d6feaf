/*
 * density_rows.h - density.h's law of every row of logits, where the logits lie:
 * p[r] = density_from_logits(logits[r]).
 */
#ifndef KERNELS_DENSITY_ROWS_H
#define KERNELS_DENSITY_ROWS_H

#include "common/status.h"
#include "kernels/density.h"

struct device;

struct density_rows_args {
    float *p;            /* [n_rows, n_vocab]; must not overlap logits */
    const float *logits; /* [n_rows, n_vocab] */
    int n_rows;          /* 0 is allowed and does nothing */
    int n_vocab;         /* > 0 */
    struct density_params law;
};

/* A row without a law (a logit is NaN or +infinity, or all are -infinity) is no
 * error here: its p[0] is NaN, the rest of it undefined. ST_INVALID: the law's
 * settings. A row's bits do not depend on the other rows. */
void density_rows_ref(const struct density_rows_args *a);
enum status density_rows_cpu(struct device *dev, const struct density_rows_args *a,
                             struct err *err);

#endif
