/*
 * prompts.h - the draft's cache at the end of each prompt, kept on the host so
 * that every trial on a prompt starts from it.
 */
#ifndef DRAFT_WORKER_PROMPTS_H
#define DRAFT_WORKER_PROMPTS_H

#include "common/msg.h"
#include "draft_worker/window_cache.h"

enum { PROMPTS_MAX = 64 };

struct prompt_state {
    uint32_t prompt, n_tokens;
    void *state; /* owned */
};

/* Zero-initialise it. */
struct prompts {
    struct prompt_state item[PROMPTS_MAX];
    uint32_t n_items;
};

/* Computes a prompt through the draft and keeps the state under its number. */
enum status prompts_add(struct prompts *set, struct model *draft, struct window_cache *cache,
                        const struct msg_prefill *prompt, struct err *err);
/* NULL when there is none of that number. */
const struct prompt_state *prompts_find(const struct prompts *set, uint32_t prompt);
void prompts_forget(struct prompts *set, uint32_t prompt);
void prompts_release(struct prompts *set);

#endif
