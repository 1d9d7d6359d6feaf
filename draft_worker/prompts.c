#include "draft_worker/prompts.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/trace.h"

static enum status run_span(struct model *draft, struct window_cache *cache, const int32_t *token,
                            uint32_t from, uint32_t to, struct err *err)
{
    uint32_t pos[WINDOW_SLACK];
    enum status st = ST_OK;

    while (st == ST_OK && from < to) {
        uint32_t n = to - from < WINDOW_SLACK ? to - from : WINDOW_SLACK;
        struct model_forward_args fwd = {.token = token + from,
                                         .pos = pos,
                                         .n_rows = (int)n,
                                         .cache = window_cache_interface(cache)};
        for (uint32_t i = 0; i < n; i++)
            pos[i] = from + i;
        st = model_forward(draft, &fwd, err);
        from += n;
    }
    return st;
}

/* The sinks, then what the window at the end depends on. */
static enum status run_prompt(struct model *draft, struct window_cache *cache,
                              const struct msg_prefill *prompt, struct err *err)
{
    uint32_t first = window_cache_first_needed(cache, prompt->n_tokens);
    uint32_t sinks = window_cache_n_sinks(cache);
    enum status st;

    if (sinks > prompt->n_tokens)
        sinks = prompt->n_tokens;
    st = run_span(draft, cache, prompt->token, 0, sinks, err);
    if (st == ST_OK && first < prompt->n_tokens)
        st = run_span(draft, cache, prompt->token, first > sinks ? first : sinks, prompt->n_tokens,
                      err);
    return st;
}

enum status prompts_add(struct prompts *set, struct model *draft, struct window_cache *cache,
                        const struct msg_prefill *prompt, struct err *err)
{
    struct prompt_state made = {prompt->prompt, prompt->n_tokens, NULL};
    uint64_t span;
    enum status st;

    prompts_forget(set, prompt->prompt);
    if (set->n_items == PROMPTS_MAX)
        return err_set(err, ST_NO_SPACE, "%d prompts are held: forget one first", PROMPTS_MAX);
    if (prompt->n_tokens == 0)
        return err_set(err, ST_INVALID, "a prompt needs at least one token");
    span = trace_begin(TRACE_PREFILL);
    st = run_prompt(draft, cache, prompt, err);
    trace_end(TRACE_PREFILL, span, prompt->n_tokens, prompt->prompt);
    if (st != ST_OK)
        return err_in(err, st, "draft prefill of %u tokens", prompt->n_tokens);
    made.state = mem_alloc(window_cache_bytes(cache));
    st = window_cache_save(cache, made.state, err);
    if (st != ST_OK) {
        free(made.state);
        return st;
    }
    set->item[set->n_items++] = made;
    return ST_OK;
}

const struct prompt_state *prompts_find(const struct prompts *set, uint32_t prompt)
{
    for (uint32_t i = 0; i < set->n_items; i++)
        if (set->item[i].prompt == prompt)
            return &set->item[i];
    return NULL;
}

void prompts_forget(struct prompts *set, uint32_t prompt)
{
    for (uint32_t i = 0; i < set->n_items; i++) {
        if (set->item[i].prompt == prompt) {
            free(set->item[i].state);
            set->item[i] = set->item[--set->n_items];
            return;
        }
    }
}

void prompts_release(struct prompts *set)
{
    while (set->n_items > 0)
        prompts_forget(set, set->item[0].prompt);
}
