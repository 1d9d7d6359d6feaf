/*
 * proposal_metrics.h - a proposal's counts as metrics.
 */
#ifndef DRAFT_WORKER_PROPOSAL_METRICS_H
#define DRAFT_WORKER_PROPOSAL_METRICS_H

#include "common/msg.h"

/* Nothing while metrics are off. */
void proposal_metrics(const struct msg_propose *made);

#endif
