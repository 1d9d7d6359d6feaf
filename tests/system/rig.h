/*
 * rig.h - store, verify and draft workers under a minimal orchestrator, for
 * tests that compare tokens.
 */
#ifndef TESTS_SYSTEM_RIG_H
#define TESTS_SYSTEM_RIG_H

#include "common/chan.h"
#include "common/msg.h"
#include "common/proc.h"
#include "common/rundir.h"

struct rig_options {
    const char *target, *draft; /* draft NULL: no draft worker */
    const char *kv_base;        /* "f16" or "f32" */
    const char *link_gbps;      /* NULL: none */
    const char *threads;        /* NULL: "1" */
    const char *logits;         /* NULL: none */
    const char *retrieval_tokens;
    const char *arena_bytes; /* NULL: 256 MiB */
    bool no_middle;          /* the draft is not given the target */
    const char *device;      /* of both workers; NULL: cpu:0 */
    bool metrics;            /* all serve theirs; the logs say where */
    const char *tree;        /* where bin/ is, below the build folder: "/shim"; NULL: there */
};

struct rig {
    struct rundir *dir;
    struct chan *control;
    struct proc store, verify, draft;
    struct msg_ready verify_ready;
    uint64_t n_requests;
    char log_dir[64];
    const char *tree;
    bool metrics;
};

enum status rig_open(struct rig *rig, const struct rig_options *opt, struct err *err);
void rig_close(struct rig *rig);

/* Prefills verify, and the draft if there is one, under number `prompt`. */
enum status rig_prefill(struct rig *rig, uint32_t prompt, const int32_t *token, uint32_t n,
                        uint64_t *snapshot, struct err *err);
/* Runs a trial; result->token is the caller's. */
enum status rig_trial(struct rig *rig, const struct msg_trial *trial, struct msg_result *result,
                      struct err *err);
/* Sends `msg` under a number of its own and waits for its answer: ST_OK only for
 * the verb `want`; *out is then the caller's. */
enum status rig_ask(struct rig *rig, const char *peer, struct msg *msg, enum msg_verb want,
                    struct msg *out, struct err *err);
/* Starts another draft worker in the place of one that has ended. */
enum status rig_restart_draft(struct rig *rig, const struct rig_options *opt, struct err *err);
/* The last line of a process's log. */
void rig_last_line(const struct proc *p, char *buf, size_t size);
enum status rig_forget(struct rig *rig, uint32_t prompt, uint64_t snapshot, struct err *err);

#endif
