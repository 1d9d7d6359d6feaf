/*
 * study_run.h - the trials of a matrix, one after the other: prompts, warm-up,
 * results as they come, recovery, the user's stop.
 */
#ifndef ORCHESTRATOR_STUDY_RUN_H
#define ORCHESTRATOR_STUDY_RUN_H

#include "orchestrator/matrix.h"
#include "orchestrator/progress.h"
#include "orchestrator/prompt_source.h"
#include "orchestrator/results.h"
#include "orchestrator/session.h"

struct study_run {
    const struct experiment *e; /* pointers are borrowed */
    const struct matrix *matrix;
    struct prompt_source *source;
    struct session *session;
    struct results_file *file;
    struct progress *progress;
    const bool *done;      /* [matrix->n_trials]: not to be run; NULL: none */
    struct result *result; /* with room for n_results + matrix->n_trials, owned by the caller */
    uint32_t n_results;    /* those before, and each new one behind them */
    uint32_t n_failed;     /* of the new ones */
    bool is_stopped;       /* by the user: what is in `result` is whole */
};

/* A failed trial is a result with its reason and no error here. An error means
 * that no more trials can run; results so far are on disk. */
enum status study_run(struct study_run *run, struct err *err);

/* A session's watch that shows on the run's progress. */
struct session_watch study_run_watch(struct study_run *run);

#endif
