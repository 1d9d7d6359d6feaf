#include "orchestrator/scheduler.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/mem.h"

/* Trials todo[next] .. todo[end - 1] of one prompt. */
struct part {
    uint32_t prompt, next, end;
};

struct at_place {
    struct part part;
    bool has_part, has_trial, is_lost;
    double prefill_s; /* of the group at hand; 0: not known yet */
    double trials_s;  /* of those of the group that have ended here */
    uint32_t n_ended;
};

struct scheduler {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a part waits, a place is idle or lost, or a stop */
    const struct matrix *matrix;
    uint32_t *todo;       /* trials in the matrix's order, those done left out */
    struct part *waiting; /* [n_prompts + n_places] at most, in the order of handing out */
    uint32_t n_waiting;
    uint32_t n_places;
    struct at_place *place;
    bool is_stopped;
};

/* Tokens that are computed, each weighted with the context it sees. */
static double cost_of(const struct scheduler *s, const struct part *p)
{
    double prefill = s->matrix->prompt[p->prompt].prefill, cost = prefill * prefill;

    for (uint32_t i = p->next; i < p->end; i++)
        cost += prefill * s->matrix->trial[s->todo[i]].setting.gen_len;
    return cost;
}

/* Before the first part that costs less; with one place behind all. */
static void put_waiting(struct scheduler *s, const struct part *p)
{
    uint32_t at = s->n_waiting++;

    for (; s->n_places > 1 && at > 0 && cost_of(s, &s->waiting[at - 1]) < cost_of(s, p); at--)
        s->waiting[at] = s->waiting[at - 1];
    s->waiting[at] = *p;
}

struct scheduler *scheduler_open(const struct matrix *matrix, const bool *done, uint32_t n_places)
{
    struct scheduler *s = mem_zalloc(sizeof *s);
    uint32_t n_todo = 0;

    CHECK(n_places > 0);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->matrix = matrix;
    s->n_places = n_places;
    s->place = mem_array(n_places, sizeof *s->place);
    s->todo = mem_array(matrix->n_trials, sizeof *s->todo);
    s->waiting = mem_array((size_t)matrix->n_prompts + n_places, sizeof *s->waiting);
    for (uint32_t i = 0; i < matrix->n_prompts; i++) {
        const struct prompt *p = &matrix->prompt[i];
        struct part part = {i, n_todo, n_todo};
        for (uint32_t t = p->first_trial; t < p->first_trial + p->n_trials; t++)
            if (done == NULL || !done[t])
                s->todo[part.end++] = t;
        n_todo = part.end;
        if (part.next < part.end)
            put_waiting(s, &part);
    }
    return s;
}

void scheduler_close(struct scheduler *s)
{
    if (s == NULL)
        return;
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s->place);
    free(s->todo);
    free(s->waiting);
    free(s);
}

/* ---- handing out ---- */

static void begin_part(struct at_place *to, const struct part *p)
{
    to->part = *p;
    to->has_part = true;
    to->prefill_s = to->trials_s = 0;
    to->n_ended = 0;
}

/* A part of the place's own last prompt goes first: its snapshot stands there. */
static bool take_waiting(struct scheduler *s, struct at_place *to)
{
    uint32_t at = 0;

    if (s->n_waiting == 0)
        return false;
    for (uint32_t i = 0; s->n_places > 1 && to->prefill_s > 0 && i < s->n_waiting; i++)
        if (s->waiting[i].prompt == to->part.prompt) {
            at = i;
            break;
        }
    begin_part(to, &s->waiting[at]);
    s->n_waiting--;
    for (; at < s->n_waiting; at++)
        s->waiting[at] = s->waiting[at + 1];
    return true;
}

/* How many of the trials that `from` has not begun are better run elsewhere:
 * both would then end at about the same time. The trial at hand counts half. */
static uint32_t worth_moving(const struct at_place *from)
{
    uint32_t left = from->part.end - from->part.next;
    double mean_s, n;

    if (!from->has_part || from->is_lost || from->n_ended == 0 || left == 0)
        return 0;
    mean_s = from->trials_s / from->n_ended;
    if (mean_s <= 0)
        return 0;
    n = (left + 0.5 - from->prefill_s / mean_s) / 2;
    return n < 1 ? 0 : n > left ? left : (uint32_t)n;
}

static bool take_from_another(struct scheduler *s, struct at_place *to)
{
    struct at_place *from = NULL;
    uint32_t most = 0;
    struct part part;

    for (uint32_t i = 0; i < s->n_places; i++) {
        uint32_t n = worth_moving(&s->place[i]);
        if (n > most) {
            most = n;
            from = &s->place[i];
        }
    }
    if (most == 0)
        return false;
    part = (struct part){from->part.prompt, from->part.end - most, from->part.end};
    from->part.end = part.next;
    begin_part(to, &part);
    return true;
}

static bool others_work(const struct scheduler *s)
{
    for (uint32_t i = 0; i < s->n_places; i++)
        if (s->place[i].has_part)
            return true;
    return false;
}

bool scheduler_group(struct scheduler *s, uint32_t place, uint32_t *prompt)
{
    struct at_place *to = &s->place[place];
    bool found = false;

    CHECK(place < s->n_places && !to->is_lost);
    pthread_mutex_lock(&s->lock);
    if (to->has_part) {
        to->has_part = to->has_trial = false;
        pthread_cond_broadcast(&s->changed);
    }
    while (!s->is_stopped && !found) {
        found = take_waiting(s, to) || take_from_another(s, to);
        if (!found && !others_work(s))
            break;
        if (!found)
            pthread_cond_wait(&s->changed, &s->lock);
    }
    *prompt = to->part.prompt;
    pthread_mutex_unlock(&s->lock);
    return found;
}

bool scheduler_trial(struct scheduler *s, uint32_t place, uint32_t *trial)
{
    struct at_place *at = &s->place[place];
    bool found;

    pthread_mutex_lock(&s->lock);
    found = !s->is_stopped && at->has_part && at->part.next < at->part.end;
    if (found)
        *trial = s->todo[at->part.next++];
    at->has_trial = found;
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* ---- what the places report ---- */

void scheduler_prefilled(struct scheduler *s, uint32_t place, double seconds)
{
    pthread_mutex_lock(&s->lock);
    s->place[place].prefill_s = seconds;
    pthread_mutex_unlock(&s->lock);
}

void scheduler_ended(struct scheduler *s, uint32_t place, double seconds)
{
    struct at_place *at = &s->place[place];

    pthread_mutex_lock(&s->lock);
    CHECK(at->has_trial);
    at->has_trial = false;
    at->trials_s += seconds;
    at->n_ended++;
    pthread_cond_broadcast(&s->changed); /* what is worth moving is known better */
    pthread_mutex_unlock(&s->lock);
}

static bool has_others(const struct scheduler *s, uint32_t place)
{
    for (uint32_t i = 0; i < s->n_places; i++)
        if (i != place && !s->place[i].is_lost)
            return true;
    return false;
}

bool scheduler_has_others(struct scheduler *s, uint32_t place)
{
    bool found;

    pthread_mutex_lock(&s->lock);
    found = has_others(s, place);
    pthread_mutex_unlock(&s->lock);
    return found;
}

bool scheduler_lost(struct scheduler *s, uint32_t place)
{
    struct at_place *at = &s->place[place];
    bool left;

    pthread_mutex_lock(&s->lock);
    at->is_lost = true;
    left = has_others(s, place);
    if (at->has_part) {
        at->part.next -= at->has_trial;
        if (at->part.next < at->part.end)
            put_waiting(s, &at->part);
        at->has_part = at->has_trial = false;
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return left;
}

void scheduler_stop(struct scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_stopped = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

bool scheduler_is_stopped(struct scheduler *s)
{
    bool is_stopped;

    pthread_mutex_lock(&s->lock);
    is_stopped = s->is_stopped;
    pthread_mutex_unlock(&s->lock);
    return is_stopped;
}
