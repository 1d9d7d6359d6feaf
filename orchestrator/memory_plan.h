/*
 * memory_plan.h - how large the store's arena must be for a set of trials, and
 * whether the machine has the memory.
 *
 * One prompt lives at a time. In the arena lie its snapshot, one transcoded
 * copy for every other page format, and the pages that one trial generates.
 */
#ifndef ORCHESTRATOR_MEMORY_PLAN_H
#define ORCHESTRATOR_MEMORY_PLAN_H

#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"
#include "kernels/kv_format.h"
#include "orchestrator/memory_room.h"
#include "orchestrator/target_shape.h"

struct memory_plan {
    bool f32_base; /* some trial stores f32 */
    bool uses_format[KV_FORMAT_COUNT];
    uint32_t max_prompt, max_generated; /* tokens; of any trial */
    uint64_t retrieval_tokens;          /* 0: no method has a middle level */
};

/* Adds one trial to a plan that began zeroed. Of the trial only the prompt's
 * length, method, format, budget, gamma and gen_len count. */
void memory_plan_add(struct memory_plan *plan, const struct msg_trial *trial);

uint64_t memory_plan_arena_bytes(const struct memory_plan *plan, const struct target_shape *shape);

/* The most that the KV on the device takes in any trial. */
uint64_t memory_plan_device_bytes(const struct memory_plan *plan, const struct target_shape *shape);

struct memory_need {
    uint64_t arena_bytes;  /* of one place */
    uint64_t weight_bytes; /* all places map the same files */
    uint32_t n_places;     /* that run at once; 0 is 1 */
    bool posix;            /* the arena lies in /dev/shm */
};

/* ST_NO_SPACE, one line with the numbers and the remedy. */
enum status memory_plan_check(const struct memory_plan *plan, const struct target_shape *shape,
                              const struct memory_need *need, const struct memory_room *room,
                              struct err *err);

#endif
