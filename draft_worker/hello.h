/*
 * hello.h - verify's hello over the pair's door: the shared segment arrives, and
 * the two models are compared (pair_segment.h).
 */
#ifndef DRAFT_WORKER_HELLO_H
#define DRAFT_WORKER_HELLO_H

#include <stdint.h>

#include "common/pair_segment.h"
#include "common/shm.h"
#include "common/status.h"

struct hello_args {
    int door_fd;
    uint64_t kv_bytes; /* what this draft holds on the device for KV */
    uint32_t n_vocab;  /* of the draft */
};

/* Takes and answers a hello if one waits; *segment and *hello are then the
 * caller's, checked, and stay as they are without one. ST_CLOSED when verify is gone; ST_INVALID when the
 * vocabularies differ, which the answer tells verify too. */
enum status hello_receive(struct shm *segment, struct pair_hello *hello,
                          const struct hello_args *args, struct err *err);

#endif
