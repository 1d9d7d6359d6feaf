/*
 * replay_plan.h - acceptance that an experiment gives beforehand, in place of
 * what its weights would accept: replay_acceptance of a study.
 *
 * For weights whose acceptance means nothing. Everything is computed as always,
 * then so many proposals stand (kernels/replay.h): what is measured is time at a
 * published acceptance, and every place that shows a number of it says
 * "replayed acceptance". Tokens of such a trial are nobody's output.
 */
#ifndef ORCHESTRATOR_REPLAY_PLAN_H
#define ORCHESTRATOR_REPLAY_PLAN_H

#include "orchestrator/experiment.h"

/* Puts what the study gives for this method at this point into `s`. */
void replay_plan_apply(const struct study *study, uint32_t point, enum method method,
                       struct setting *s);
/* Whether a study of `e` replays. */
bool replay_plan_any(const struct experiment *e);

#endif
