/*
 * study_record.h - what the places of a study write into what they share: the
 * results, the user's stop, what the run shows. Every call takes the lock.
 */
#ifndef ORCHESTRATOR_STUDY_RECORD_H
#define ORCHESTRATOR_STUDY_RECORD_H

#include "orchestrator/study_place.h"

/* Appends the trial's result to the file and to the table of the run, and takes
 * `meas`'s tokens. `meas` NULL: failed with `reason`. */
enum status study_record_trial(struct study_place *p, const struct trial *t,
                               struct msg_result *meas, const char *reason, struct err *err);
/* The user asked for a stop: no place begins anything more. */
void study_record_stop(struct study_run *run);
/* The prompt's ids; token is [prompt->prefill], the caller's. */
void study_record_tokens(struct study_run *run, const struct prompt *prompt, int32_t *token);

/* As run_watch_phase. */
void study_record_phase(struct study_place *p, enum watch_work work, const struct trial *t);
void study_record_share(struct study_place *p, uint64_t done, uint64_t total);
void study_record_tick(struct study_place *p);
void study_record_notice(struct study_place *p, const char *words);

#endif
