/*
 * run_plan.h - all that is known of a run before anything of it starts: the
 * experiment, its trials, its prompts, and the memory they need.
 */
#ifndef ORCHESTRATOR_RUN_PLAN_H
#define ORCHESTRATOR_RUN_PLAN_H

#include "orchestrator/ceilings.h"
#include "orchestrator/matrix.h"
#include "orchestrator/memory_plan.h"
#include "orchestrator/prompt_source.h"
#include "orchestrator/target_shape.h"

struct run_plan {
    struct experiment *e; /* owned, as all that follow */
    struct target_shape shape;
    struct matrix *matrix;
    struct tokenizer *tok;
    struct prompt_source *source;
    struct memory_plan memory;
    struct memory_need need;
    struct ceilings ceilings;         /* its models; rates are not known yet */
    bool speculates;                  /* some method needs the draft */
    bool random_target, random_draft; /* their weights are random: target_shape.h */
};

/* Fills a plan that is zeroed but for `e`, which it takes. Whether the machine
 * has the memory is memory_plan_check's. Errors are one line that names the
 * file and the key. run_plan_release in any case. */
enum status run_plan_fill(struct run_plan *plan, struct err *err);
void run_plan_release(struct run_plan *plan); /* zeroed is fine */

#endif
