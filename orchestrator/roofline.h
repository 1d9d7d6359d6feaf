/*
 * roofline.h - the least time that a trial's rounds could have taken, from the
 * ceilings of its device and what it read, computed and sent over the link.
 *
 * For each phase the roofline of Williams, Waterman and Patterson (2009), "an
 * insightful visual performance model": time >= max(bytes read / bandwidth,
 * operations / rate). Of a trial with P passes over R rows at a mean context of
 * C = prefill + tokens / 2 tokens (a window, where the model has one, if less):
 *
 *   weights   P * pass_bytes read, R * row_ops computed
 *   KV        P * sum over layers of C * bytes per token in the layer's format;
 *             4 * C * n_heads * head_dim operations per row and layer
 *
 *   draft     P = R = tokens it proposed; KV of its window, f16
 *   middle    P = its steps, R = P + tokens judged; KV of the retrieval set, f16
 *   verify    P = rounds, R = P + tokens proposed; on-chip layers f16, the
 *             others in the stored format; offloaded bytes / link rate as a third
 *             ceiling, since the link runs under the pass: of them the ring's
 *             slots may cross while the draft and the middle level work
 *
 * The round is the sum of the three. Messages, judging and sealing have no
 * ceiling and are not in it. Caches that hold what is read, and products of
 * integers in attention, can beat the ceilings; nothing else should.
 */
#ifndef ORCHESTRATOR_ROOFLINE_H
#define ORCHESTRATOR_ROOFLINE_H

#include <stdbool.h>

#include "orchestrator/results.h"

enum roofline_bound { ROOFLINE_MEMORY, ROOFLINE_COMPUTE, ROOFLINE_LINK, ROOFLINE_BOUNDS };

/* Seconds that each ceiling alone would ask for. */
struct roofline_phase {
    double at[ROOFLINE_BOUNDS];
};

struct roofline {
    struct roofline_phase draft, middle, verify;
};

/* Of all rounds of a trial. False: its line has no ceilings, or none of the
 * draft that it had; or no round. */
bool roofline_of(const struct result *r, struct roofline *out);
void roofline_add(struct roofline *sum, const struct roofline *more);
void roofline_scale(struct roofline *r, double by);

/* The largest of a phase's, and which it is. */
double roofline_phase_time(const struct roofline_phase *phase, enum roofline_bound *which);
double roofline_time(const struct roofline *r);
/* What the largest phase is bound by. */
enum roofline_bound roofline_bound_of(const struct roofline *r);
const char *roofline_bound_name(enum roofline_bound bound); /* "memory", "compute", "link" */

#endif
