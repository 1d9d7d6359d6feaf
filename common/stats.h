/*
 * stats.h - mean, sample standard deviation, median, of small sets.
 */
#ifndef COMMON_STATS_H
#define COMMON_STATS_H

#include <stddef.h>

double stats_mean(const double *x, size_t n);       /* NaN for n == 0 */
double stats_sample_std(const double *x, size_t n); /* n - 1 below; 0 for n < 2 */
double stats_median(double *x, size_t n);           /* sorts x; NaN for n == 0 */

#endif
