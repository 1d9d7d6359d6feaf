/*
 * chan.h - messages between processes: ZeroMQ over ipc:// in the run directory.
 *
 * A message is a fixed 32-byte header (msg.h) and a msgpack body. LINGER (0, for
 * a client a second), MAXMSGSIZE, explicit HWM and ROUTER_MANDATORY are set; a
 * send never drops silently. A channel belongs to one thread.
 */
#ifndef COMMON_CHAN_H
#define COMMON_CHAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"

struct chan; /* owns its socket and context */

enum chan_role {
    CHAN_SERVER, /* ROUTER, binds; every peer has a name */
    CHAN_CLIENT, /* DEALER, connects; `name` is what the server sees */
    CHAN_PAIR_BIND,
    CHAN_PAIR_CONNECT
};

enum { CHAN_MAX_NAME = 32 };

/* `path` is a socket path of the run directory (rundir_socket). */
enum status chan_open(struct chan **out, enum chan_role role, const char *path, const char *name,
                      struct err *err);
void chan_close(struct chan *chan); /* NULL is fine; unlinks a bound path */

/* Packs and sends `msg`; `peer` is used by CHAN_SERVER only (else NULL).
 * ST_CLOSED: the peer is unknown or its queue stays full for a second. */
enum status chan_send(struct chan *chan, const char *peer, const struct msg *msg, struct err *err);

/* Waits for a message: polls the socket for up to spin_us first, then sleeps,
 * also on `wake_fd` (-1: none; a door or the stop descriptor). ST_TIMEOUT after
 * timeout_ms (-1: never), ST_CLOSED when wake_fd became readable first,
 * ST_CORRUPT/ST_VERSION for a message that cannot be read (it is consumed; the
 * channel goes on; `peer` is set). On ST_OK the caller owns what msg holds:
 * msg_release. */
struct chan_wait {
    int timeout_ms;
    int spin_us;
    int wake_fd[4]; /* -1: unused */
};
enum status chan_recv(struct chan *chan, char peer[CHAN_MAX_NAME], struct msg *out,
                      const struct chan_wait *wait, struct err *err);

/* A descriptor for the wake_fd of another channel's wait. It tells changes only:
 * chan_recv with timeout 0 until ST_TIMEOUT directly before every such wait,
 * else a message is overlooked. Borrows until chan_close. */
int chan_fd(const struct chan *chan);

/* Bytes and messages so far, both ways, for the metrics of a round. */
struct chan_counts {
    uint64_t n_sent, n_received, bytes_sent, bytes_received;
};
struct chan_counts chan_counts(const struct chan *chan);

#endif
