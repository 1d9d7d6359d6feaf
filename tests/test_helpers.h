/*
 * test_helpers.h - what every test program needs: cmocka in the right include
 * order, closeness, and the visible skip.
 */
#ifndef TESTS_TEST_HELPERS_H
#define TESTS_TEST_HELPERS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* |a - b| <= tol, and neither is NaN. */
#define assert_close(a, b, tol)                                                                    \
    do {                                                                                           \
        double close_a_ = (double)(a), close_b_ = (double)(b), close_t_ = (double)(tol);           \
        if (!(fabs(close_a_ - close_b_) <= close_t_))                                              \
            fail_msg("%s = %.9g is not within %.3g of %s = %.9g", #a, close_a_, close_t_, #b,      \
                     close_b_);                                                                    \
    } while (0)

/* Leaves the whole program with 77 and says why; call it first in main. */
static inline void test_skip_program(const char *why)
{
    printf("skipped: %s\n", why);
    exit(77);
}

/* TEST_DATA_DIR/name, or NULL where the real data are absent. `buf` is the
 * caller's. */
static inline const char *test_data_path(char *buf, size_t size, const char *name)
{
    snprintf(buf, size, "%s/%s", TEST_DATA_DIR, name);
    return access(buf, R_OK) == 0 ? buf : NULL;
}

#endif
