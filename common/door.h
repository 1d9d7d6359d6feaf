/*
 * door.h - an AF_UNIX seqpacket socket: passes file descriptors, and tells by
 * end-of-file, at once and exactly, that a peer died.
 *
 * Everything else travels over chan.h.
 */
#ifndef COMMON_DOOR_H
#define COMMON_DOOR_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* Largest packet and most descriptors in it. */
enum { DOOR_MAX_BYTES = 512, DOOR_MAX_FDS = 8 };

struct door_packet {
    uint32_t n_bytes;
    uint8_t bytes[DOOR_MAX_BYTES];
    uint32_t n_fds;
    int fd[DOOR_MAX_FDS]; /* received ones are owned by the receiver, CLOEXEC */
};

/* All give file descriptors owned by the caller (CLOEXEC). door_accept blocks,
 * and refuses peers of another user with ST_INVALID. */
enum status door_listen(int *out_fd, const char *path, struct err *err);
enum status door_accept(int listen_fd, int *out_fd, struct err *err);
/* Tries until the listener is there, timeout_ms has passed, or this process is
 * asked to stop (ST_CLOSED). */
enum status door_connect(int *out_fd, const char *path, int timeout_ms, struct err *err);

/* 1 .. DOOR_MAX_BYTES bytes. ST_CLOSED: the peer is gone; ST_TIMEOUT: it has
 * read nothing for a second. */
enum status door_send(int fd, const struct door_packet *packet, struct err *err);
/* ST_CLOSED at end-of-file, ST_TIMEOUT after timeout_ms (-1: forever),
 * ST_CORRUPT for a packet with too many bytes or descriptors (all closed). */
enum status door_recv(int fd, struct door_packet *out, int timeout_ms, struct err *err);
void door_close(int fd); /* -1 is fine; a listener's socket file goes too */

#endif
