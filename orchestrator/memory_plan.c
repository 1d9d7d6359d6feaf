#include "orchestrator/memory_plan.h"

#include <stdio.h>

#include "common/arena_size.h"

/* Verify writes up to MSG_MAX_ROWS tokens past the last one wanted. */
enum { MAX_AHEAD = MSG_MAX_ROWS, SLACK_BYTES = 32 << 20 };

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void memory_plan_add(struct memory_plan *plan, const struct msg_trial *t)
{
    uint32_t selected = t->budget < t->n_prompt ? t->budget : t->n_prompt;
    uint64_t retrieval = (uint64_t)selected + t->gen_len + t->gamma + 1;

    plan->max_prompt = larger(plan->max_prompt, t->n_prompt);
    plan->max_generated = larger(plan->max_generated, t->gen_len);
    plan->uses_format[t->kv_format] = true;
    plan->f32_base = plan->f32_base || t->kv_format == KV_F32;
    if ((t->method == METHOD_MSPECKV || t->method == METHOD_MSPECKV_KV_QUANT) &&
        retrieval > plan->retrieval_tokens)
        plan->retrieval_tokens = retrieval;
}

static enum kv_format base_of(const struct memory_plan *plan)
{
    return plan->f32_base ? KV_F32 : KV_F16;
}

/* The snapshot's blob: a page of every layer, a query of every layer, one row of logits. */
static uint64_t blob_bytes(const struct target_shape *s, uint64_t page_bytes)
{
    return s->n_layers * page_bytes +
           (uint64_t)s->n_layers * s->n_heads * s->head_dim * sizeof(float) +
           (uint64_t)s->n_vocab * sizeof(float) + 4096;
}

static uint64_t page_bytes_of(const struct target_shape *s, enum kv_format format)
{
    return kv_page_bytes(format, (struct kv_shape){s->n_kv_heads, s->head_dim});
}

uint64_t memory_plan_arena_bytes(const struct memory_plan *plan, const struct target_shape *s)
{
    uint64_t prompt_pages = plan->max_prompt / PAGE_TOKENS;
    uint64_t new_pages = (plan->max_generated + MAX_AHEAD) / PAGE_TOKENS + 2;
    uint64_t base = page_bytes_of(s, base_of(plan)), generated = 0, total;

    total = arena_size_seq(s->n_layers, base, prompt_pages, blob_bytes(s, base));
    for (int f = 0; f < KV_FORMAT_COUNT; f++) {
        uint64_t page = page_bytes_of(s, (enum kv_format)f);
        uint64_t made = arena_size_seq(s->n_layers, page, new_pages, 0);
        if (!plan->uses_format[f])
            continue;
        if (f != (int)base_of(plan))
            total += arena_size_seq(s->n_layers, page, prompt_pages, 0);
        generated = made > generated ? made : generated;
    }
    total += generated;
    return arena_size_round(total + total / 16 + SLACK_BYTES);
}

static double gb(uint64_t bytes)
{
    return (double)bytes * 1e-9;
}

uint64_t memory_plan_device_bytes(const struct memory_plan *plan, const struct target_shape *s)
{
    uint64_t tokens = (uint64_t)plan->max_prompt + plan->max_generated + MAX_AHEAD + PAGE_TOKENS;

    /* Prefill's pages, and later the on-chip and resident copies, are at most
     * all layers in the base format; the retrieval KV comes on top. */
    return s->n_layers * page_bytes_of(s, base_of(plan)) *
           ((tokens + plan->retrieval_tokens) / PAGE_TOKENS + 1);
}

enum status memory_plan_check(const struct memory_plan *plan, const struct target_shape *s,
                              const struct memory_need *need, const struct memory_room *room,
                              struct err *err)
{
    uint32_t n = need->n_places > 1 ? need->n_places : 1;
    uint64_t device = n * memory_plan_device_bytes(plan, s), available = memory_room_free(room);
    uint64_t arena = n * need->arena_bytes, total = arena + need->weight_bytes + device;
    char times[40] = "";

    if (n > 1)
        snprintf(times, sizeof times, " at %u places at once", n);

    if (total > available)
        return err_set(err, ST_NO_SPACE,
                       "%u prompt tokens%s need %.2f GB (arena %.2f, weights %.2f, device KV %.2f) "
                       "and %.2f GB are available%s; a shorter prefill%s would do",
                       plan->max_prompt, times, gb(total), gb(arena), gb(need->weight_bytes),
                       gb(device), gb(available),
                       available < room->available_bytes ? " in this control group" : "",
                       n > 1 ? " or a smaller parallel" : "");
    if (need->posix && room->has_shm && arena > room->shm_free_bytes)
        return err_set(err, ST_NO_SPACE,
                       "the arena needs %.2f GB%s and /dev/shm has %.2f GB free; arena: memfd (or "
                       "--set arena=memfd) does not use it",
                       gb(arena), times, gb(room->shm_free_bytes));
    return ST_OK;
}
