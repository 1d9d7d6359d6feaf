/*
 * study_run.h - the trials of a matrix on one or more places at once: results
 * as they come, recovery, the user's stop.
 *
 * Every place has a thread of its own while the study runs; what they share is
 * here, and `lock` guards all of it that changes.
 */
#ifndef ORCHESTRATOR_STUDY_RUN_H
#define ORCHESTRATOR_STUDY_RUN_H

#include <pthread.h>

#include "orchestrator/matrix.h"
#include "orchestrator/prompt_source.h"
#include "orchestrator/results.h"
#include "orchestrator/run_watch.h"
#include "orchestrator/scheduler.h"
#include "orchestrator/session.h"

struct study_place;

struct study_run {
    const struct experiment *e; /* pointers are borrowed */
    const struct matrix *matrix;
    struct prompt_source *source;
    struct results_file *file;
    struct run_watch *watch;
    struct ceilings models;     /* of the run's checkpoints; each place has its own rates */
    const bool *done;           /* [matrix->n_trials]: not to be run; NULL: none */
    struct study_place **place; /* [n_places], owned; those not opened are NULL */
    uint32_t n_places;
    struct scheduler *scheduler; /* of the run at hand */
    pthread_mutex_t lock;
    struct result *result; /* with room for n_results + matrix->n_trials, owned by the caller */
    uint32_t n_results;    /* those before, and each new one behind them */
    uint32_t n_failed;     /* of the new ones */
    bool is_stopped;       /* by the user: what is in `result` is whole */
};

/* Opens e->parallel places one after the other: each measures its device while
 * nothing else runs. `group` holds what is the same on all; a link whose rate is
 * measured has the first place's on all. ST_INVALID before any process starts:
 * a CPU that is not there. study_run_close in any case. */
enum status study_run_open(struct study_run *run, const struct group_options *group,
                           struct err *err);
void study_run_close(struct study_run *run); /* zeroed is fine */

/* A failed trial is a result with its reason and no error here. An error means
 * that no more trials can run; results so far are on disk. A place that is lost
 * leaves its trials to the others. */
enum status study_run(struct study_run *run, struct err *err);

#endif
