/*
 * worker.h - the draft worker: small model and middle level behind the pair's
 * messages.
 */
#ifndef DRAFT_WORKER_WORKER_H
#define DRAFT_WORKER_WORKER_H

#include <stdint.h>

#include "common/status.h"

struct worker;

/* Flags of mspeckv-draft; strings borrow until worker_close. */
struct worker_options {
    const char *run_dir;
    const char *draft, *target; /* checkpoint directories; target NULL: no middle level */
    const char *device;
    const char *verify_device; /* where verify computes; the same: its weights are opened */
    int64_t n_threads;         /* 0: all */
    int64_t n_sinks, n_window;
};

/* Loads the models, connects to verify and the orchestrator. */
enum status worker_open(struct worker **out, const struct worker_options *opt, struct err *err);
/* Serves until QUIT, a stop signal, or the end of verify. */
enum status worker_loop(struct worker *w, struct err *err);
void worker_close(struct worker *w); /* NULL is fine */

#endif
