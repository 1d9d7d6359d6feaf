/*
 * door_token.h - the packet that the store sends through a new door.
 *
 * With it goes one descriptor: the arena. 24 bytes, little-endian (FORMATS.md,
 * "Door packet").
 */
#ifndef KVSTORE_DOOR_TOKEN_H
#define KVSTORE_DOOR_TOKEN_H

#include <stdint.h>

#include "common/door.h"
#include "common/status.h"

struct door_token {
    uint64_t token; /* for HELLO; never 0 */
    uint64_t epoch;
    uint64_t arena_bytes;
};

/* The packet borrows arena_fd. */
void door_token_pack(const struct door_token *t, int arena_fd, struct door_packet *out);
/* ST_CORRUPT unless it is such a packet. The descriptor stays the packet's. */
enum status door_token_unpack(struct door_token *out, const struct door_packet *packet,
                              struct err *err);

#endif
