/*
 * session.h - prompts and trials on a group of processes, with recovery.
 *
 * One prompt at a time. When a process dies, what is lost is started again,
 * the prompt is given again where needed (the store keeps its snapshot), and
 * the request is repeated once. Who insists gets that for every failure, after
 * a refusal with a fresh store too.
 */
#ifndef ORCHESTRATOR_SESSION_H
#define ORCHESTRATOR_SESSION_H

#include "orchestrator/group.h"

/* Slower than any machine that a study is run on. */
#define SESSION_TOKENS_PER_S 20.0

struct session; /* owns its group */

/* All may be NULL; `self` is given back to each. */
struct session_watch {
    void *self;
    void (*progress)(void *self, const struct msg_progress *progress);
    void (*tokens)(void *self, const int32_t *token, uint32_t n); /* each token once */
    void (*tick)(void *self);                                     /* about twice a second */
    void (*notice)(void *self, const char *words);                /* a death, a new start */
};

struct session_prompt {
    uint32_t number;
    const int32_t *token; /* borrowed until the next prompt or session_close */
    uint32_t n_tokens;
    /* 0: none. A worker that says nothing of the prompt, no progress either, for this
     * and a second more for each SESSION_TOKENS_PER_S of its tokens has hung. */
    double timeout_s;
    bool insists; /* as in session_trial */
};

/* *out is set also on failure: session_close it in any case. */
enum status session_open(struct session **out, const struct group_options *opt,
                         const struct session_watch *watch, struct err *err);
void session_close(struct session *s); /* NULL is fine */

/* The prompt of the trials that follow; the one before is forgotten. *seconds:
 * how long verify took. The draft gets it before its first trial. */
enum status session_prefill(struct session *s, const struct session_prompt *prompt, double *seconds,
                            struct err *err);

struct session_trial {
    struct msg_trial *trial; /* snapshot and number are set here */
    double timeout_s;        /* 0: none */
    int stop_at;             /* how many stop signals end it */
    /* Whatever fails is tried once more on fresh processes; else only what a
     * death has ended: a refusal or a hang would come again. */
    bool insists;
};
/* ST_OK: *out is the caller's (msg_result owns its tokens). Otherwise the trial
 * failed; with session_is_over() nothing more can run. */
enum status session_trial(struct session *s, const struct session_trial *call,
                          struct msg_result *out, struct err *err);

bool session_is_over(const struct session *s);    /* stopped, or not to be started again */
bool session_is_stopped(const struct session *s); /* by the user */
struct group *session_group(struct session *s);   /* borrowed until session_close */

#endif
