/*
 * scheduler.h - which place runs which trial next.
 *
 * Trials of one prompt are a group: they share a prefill, so a place takes
 * groups, not trials. With one place groups come in the matrix's order; with
 * several the costly ones first, and once no whole group is left an idle place
 * takes the back part of the group that would end last, if that saves more
 * than a second prefill costs. Every call may come from any thread.
 */
#ifndef ORCHESTRATOR_SCHEDULER_H
#define ORCHESTRATOR_SCHEDULER_H

#include "orchestrator/matrix.h"

struct scheduler;

/* `done` [n_trials] are not handed out; NULL: none. All is borrowed until
 * scheduler_close. */
struct scheduler *scheduler_open(const struct matrix *matrix, const bool *done, uint32_t n_places);
void scheduler_close(struct scheduler *s); /* NULL is fine; no call is under way */

/* A group for an idle place: *prompt is its index in the matrix. Waits while
 * other places work and may leave some of it. False: nothing is left to do, or
 * a stop was asked for. */
bool scheduler_group(struct scheduler *s, uint32_t place, uint32_t *prompt);
/* The prompt of the group stands on the place; how long that took. */
void scheduler_prefilled(struct scheduler *s, uint32_t place, double seconds);
/* The next trial of the place's group. False: the group is at its end. */
bool scheduler_trial(struct scheduler *s, uint32_t place, uint32_t *trial);
/* The trial has its result; how long it took. */
void scheduler_ended(struct scheduler *s, uint32_t place, double seconds);

/* The place can run nothing more: what it has not ended goes to the others.
 * False: there is no other, so that it stays undone. */
bool scheduler_lost(struct scheduler *s, uint32_t place);
/* Some other place is not lost. */
bool scheduler_has_others(struct scheduler *s, uint32_t place);
/* No group and no trial is handed out any more. */
void scheduler_stop(struct scheduler *s);
bool scheduler_is_stopped(struct scheduler *s);

#endif
