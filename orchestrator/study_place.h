/*
 * study_place.h - one place of a study: its processes, and the loop that gives
 * them trials.
 */
#ifndef ORCHESTRATOR_STUDY_PLACE_H
#define ORCHESTRATOR_STUDY_PLACE_H

#include "orchestrator/study_run.h"

struct study_place {
    struct study_run *run; /* borrowed */
    uint32_t index;        /* from 0 */
    struct session *session;
    char *log_dir;
    struct msg_ready verify;  /* as it was at the start */
    struct msg_welcome store; /* what the store was granted */
    struct cpu_list cpus;     /* that the kernel lets verify run on */
    bool is_warm[METHOD_COUNT];
    int32_t *token; /* of the prompt that stands */
    int64_t prompt; /* its index in the matrix; -1: none */
    double prefill_s;
};

/* *out is set also on failure: study_place_close it in any case. `group` is
 * borrowed until then, but for its place, CPUs and logs, which are set here. */
enum status study_place_open(struct study_place **out, struct study_run *run, uint32_t index,
                             const struct group_options *group, struct err *err);
void study_place_close(struct study_place *p); /* NULL is fine */

/* Until the scheduler has nothing left for it. Ends its processes, because they
 * die with the thread that restarted them. An error ends the study, unless it
 * is ST_CLOSED and other places are left. */
enum status study_place_run(struct study_place *p, struct err *err);

#endif
