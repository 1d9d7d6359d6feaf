#include "kernels/window_attention.h"

#include <math.h>
#include <stdlib.h>

#include "common/mem.h"

/* x rotated to in-cache position p. */
static void rotate(const struct window_attention_args *a, const float *x, uint32_t p, double *out)
{
    int half = a->head_dim / 2;

    for (int i = 0; i < half; i++) {
        double c = (double)a->cos[(size_t)p * (size_t)half + (size_t)i];
        double s = (double)a->sin[(size_t)p * (size_t)half + (size_t)i];
        out[i] = (double)x[i] * c - (double)x[i + half] * s;
        out[i + half] = (double)x[i + half] * c + (double)x[i] * s;
    }
}

static void one_head(const struct window_attention_args *a, int r, int h, double *rot, double *p)
{
    int D = a->head_dim, g = h / (a->n_heads / a->n_kv_heads);
    uint32_t t = a->pos[r], n_sinks = t + 1 < a->n_sinks ? t + 1 : a->n_sinks;
    uint32_t first = t + 1 > a->n_sinks + a->n_window ? t + 1 - a->n_window : a->n_sinks;
    uint32_t n = n_sinks + (t + 1 > first ? t + 1 - first : 0);
    size_t at = ((size_t)r * (size_t)a->n_heads + (size_t)h) * (size_t)D;
    double *q = rot, *k = rot + D, max = -INFINITY, sum = 0.0;

    /* The row's own token is the newest: the last in-cache position. */
    rotate(a, a->q + at, n - 1, q);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = i < n_sinks ? i : a->n_sinks + (first + i - 2 * a->n_sinks) % a->n_ring;
        rotate(a, a->k + ((size_t)slot * (size_t)a->n_kv_heads + (size_t)g) * (size_t)D, i, k);
        p[i] = 0.0;
        for (int d = 0; d < D; d++)
            p[i] += q[d] * k[d];
        p[i] *= (double)a->scale;
        max = fmax(max, p[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        sum += p[i] = exp(p[i] - max);
    for (int d = 0; d < D; d++) {
        double acc = 0.0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t slot = i < n_sinks ? i : a->n_sinks + (first + i - 2 * a->n_sinks) % a->n_ring;
            acc += p[i] *
                   (double)a->v[((size_t)slot * (size_t)a->n_kv_heads + (size_t)g) * (size_t)D + d];
        }
        a->out[at + (size_t)d] = (float)(acc / sum);
    }
}

void window_attention_ref(const struct window_attention_args *a)
{
    double *rot = mem_array((size_t)a->head_dim * 2, sizeof *rot);
    double *p = mem_array((size_t)a->n_sinks + a->n_window, sizeof *p);

    for (int r = 0; r < a->n_rows; r++)
        for (int h = 0; h < a->n_heads; h++)
            one_head(a, r, h, rot, p);
    free(rot);
    free(p);
}
