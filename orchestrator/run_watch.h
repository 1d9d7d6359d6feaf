/*
 * run_watch.h - what a run shows while it runs: plain lines, a live view on a
 * terminal, or nothing; and events as JSON beside it.
 *
 * One owner at a time: a study's places call under the study's lock.
 */
#ifndef ORCHESTRATOR_RUN_WATCH_H
#define ORCHESTRATOR_RUN_WATCH_H

#include <stdio.h>
#include <sys/types.h>

#include "orchestrator/event_stream.h"
#include "orchestrator/group.h"
#include "orchestrator/memory_room.h"
#include "orchestrator/proc_sample.h"
#include "orchestrator/results.h"

enum watch_mode { WATCH_LINES, WATCH_VIEW, WATCH_QUIET };
enum watch_work { WATCH_STARTS, WATCH_PREFILLS, WATCH_WARMS_UP, WATCH_DECODES, WATCH_ENDED };
enum { WATCH_WORDS = 64 };

/* Of the last trial that ended at a place. */
struct run_watch_last {
    bool is_known;
    double tok_per_s, accepted;     /* NaN: none */
    double link_share, arena_share; /* of the link's rate, of the arena; NaN: none */
};

struct run_watch_place {
    enum watch_work work;
    char words[WATCH_WORDS];
    uint64_t since_ns;
    double share; /* of the work; < 0: not known */
    struct run_watch_last last;
    struct proc_sample proc[GROUP_MEMBERS];
};

struct run_watch {
    enum watch_mode mode;
    FILE *to;                    /* borrowed; lines and view */
    FILE *results;               /* borrowed; a line per trial; NULL: none */
    struct event_stream *events; /* borrowed; NULL: none */
    char name[32];
    uint32_t n_trials; /* to be run */
    uint32_t n_done, n_failed;
    uint64_t begin_ns, drawn_ns;
    uint32_t n_drawn; /* lines of the view on the terminal */
    double link_gbps; /* 0: none */
    uint64_t arena_bytes;
    struct memory_room room;
    uint32_t n_places;
    struct run_watch_place place[EXPERIMENT_MAX_PLACES];
};

/* The clock starts here. What the caller does not set is 0. */
void run_watch_begin(struct run_watch *w, const char *name, uint32_t n_trials, uint32_t n_places);

/* A new work of a place. `t` is the trial of WATCH_WARMS_UP and WATCH_DECODES,
 * the first of its prompt for WATCH_PREFILLS; NULL for the others. */
void run_watch_phase(struct run_watch *w, uint32_t place, enum watch_work work,
                     const struct trial *t);
void run_watch_share(struct run_watch *w, uint32_t place, uint64_t done, uint64_t total);
/* The trial's result, which is on disk. */
void run_watch_trial(struct run_watch *w, uint32_t place, const struct result *r);
/* A line for the user: a death, a new start. */
void run_watch_notice(struct run_watch *w, uint32_t place, const char *words);
/* What the place's processes do; 0: it does not run. */
void run_watch_processes(struct run_watch *w, uint32_t place, const pid_t pid[GROUP_MEMBERS]);
/* Words that are no place's: "Slurm job 7: 3 waiting". */
void run_watch_words(struct run_watch *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Now and then: draws the view again where it is time. */
void run_watch_tick(struct run_watch *w);
/* Before other output on the terminal. */
void run_watch_clear(struct run_watch *w);

/* The last event: "done", "stopped" or "failed"; folder NULL: there is none. A
 * run that could not begin has it alone. */
void run_watch_end(struct run_watch *w, const char *status, const char *reason, const char *folder);

/* "4m00s" */
void run_watch_duration(double seconds, char *buf, size_t size);
/* Until all trials have ended; < 0: not known. */
double run_watch_left_s(const struct run_watch *w, uint64_t now_ns);

#endif
