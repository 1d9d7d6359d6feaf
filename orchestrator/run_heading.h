/*
 * run_heading.h - what is printed at the start of a run: everything that
 * changes its results.
 */
#ifndef ORCHESTRATOR_RUN_HEADING_H
#define ORCHESTRATOR_RUN_HEADING_H

#include <stdio.h>

#include "orchestrator/matrix.h"
#include "orchestrator/prompt_source.h"
#include "orchestrator/study_place.h"

struct run_heading {
    const struct experiment *e;
    const struct matrix *matrix;
    const struct prompt_source *source;
    const char *folder;             /* of the results */
    const struct msg_ready *verify; /* bandwidth and link, as frozen */
    const struct study_run *run;    /* its places are open */
    uint64_t arena_bytes;
    bool random_target, random_draft; /* weights */
};

/* Lines of at most 80 columns, but for paths. */
void run_heading_print(FILE *to, const struct run_heading *h);

#endif
