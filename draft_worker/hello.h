/*
 * hello.h - verify's hello over the pair's door: the shared segment arrives, and
 * the two models are compared (pair_segment.h).
 */
#ifndef DRAFT_WORKER_HELLO_H
#define DRAFT_WORKER_HELLO_H

#include <stdint.h>

#include "common/shm.h"
#include "common/status.h"

struct hello_args {
    int door_fd;
    uint64_t kv_bytes; /* what this draft holds on the device for KV */
    uint32_t n_vocab;  /* of the draft */
};

/* Takes and answers a hello if one waits; *segment is then the caller's, and
 * stays as it is without one. ST_CLOSED when verify is gone; ST_INVALID when the
 * vocabularies differ, which the answer tells verify too. */
enum status hello_receive(struct shm *segment, const struct hello_args *args, struct err *err);

#endif
