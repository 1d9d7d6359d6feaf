/*
 * trial.h - one trial on the target's side: checks its settings, places the KV,
 * decodes, accounts for every byte.
 */
#ifndef VERIFY_WORKER_TRIAL_H
#define VERIFY_WORKER_TRIAL_H

#include "verify_worker/decode.h"
#include "verify_worker/transcode.h"

struct trial_args {
    struct device *dev;
    struct model *model;
    struct kv_client *store;
    struct pair *pair;
    struct transcode_set *transcoded;
    enum kv_format base;
    const struct msg_trial *trial;
    int logits_fd; /* -1: none */
    float *rows;   /* decode.h */
    enum status (*emit)(void *self, const int32_t *token, uint32_t n, struct err *err);
    void *emit_self; /* emit may be NULL */
};

/* ST_INVALID names the setting that is wrong. *out is filled only on ST_OK; its
 * tokens are owned by the caller. */
enum status trial_run(const struct trial_args *args, struct msg_result *out, struct err *err);

#endif
