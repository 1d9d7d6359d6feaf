/*
 * trial_metrics.h - a trial's counts as metrics while it goes on.
 */
#ifndef VERIFY_WORKER_TRIAL_METRICS_H
#define VERIFY_WORKER_TRIAL_METRICS_H

#include "common/msg.h"

/* What of the trial has been counted so far; begins zeroed. */
struct trial_metrics {
    uint32_t rounds, n_tokens, proposed, accepted;
    double verify_s;
};

/* Counts what came since the last call; nothing while metrics are off. */
void trial_metrics_round(struct trial_metrics *seen, const struct msg_result *now);
/* Once for a trial that ended well: what is known at its end only. */
void trial_metrics_end(const struct msg_result *result);

#endif
