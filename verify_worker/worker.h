/*
 * worker.h - the verify worker: the target model behind control messages.
 */
#ifndef VERIFY_WORKER_WORKER_H
#define VERIFY_WORKER_WORKER_H

#include <stdint.h>

#include "common/status.h"

struct worker;

/* Flags of mspeckv-verify; strings borrow until worker_close. */
struct worker_options {
    const char *run_dir;
    const char *target; /* checkpoint directory */
    const char *device;
    int64_t n_threads;        /* 0: all */
    double link_gbps;         /* simulated link; 0: none */
    double link_ratio;        /* simulated link of measured memory bandwidth / ratio; 0: none */
    int64_t retrieval_tokens; /* room for the middle level; 0: none */
    int kv_base;              /* 0: f16, 1: f32 */
    const char *logits_path;  /* NULL: none */
};

/* Loads the model, attaches to store and orchestrator, listens for a draft. */
enum status worker_open(struct worker **out, const struct worker_options *opt, struct err *err);
/* Serves until QUIT, a stop signal, or the end of the store or orchestrator. */
enum status worker_loop(struct worker *w, struct err *err);
void worker_close(struct worker *w); /* NULL is fine */

#endif
