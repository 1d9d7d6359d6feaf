/*
 * server.h - the store's process: arena, sockets, and the loop between them.
 *
 * Sockets in the run directory: "door" passes the arena and tells deaths,
 * "store" carries the verbs, "control" (the orchestrator's) tells when to end.
 */
#ifndef KVSTORE_SERVER_H
#define KVSTORE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/shm.h"
#include "common/status.h"

struct server; /* owns arena, sockets and run directory's lock */

struct server_args {
    const char *run_dir;
    uint64_t arena_bytes;
    enum shm_kind arena;
    int numa_node; /* -1: not bound */
    bool prefault;
    bool control; /* say READY on "control" and end at its QUIT */
};

enum status server_open(struct server **out, const struct server_args *args, struct err *err);
/* Serves until QUIT, or until the process is asked to stop; both are ST_OK. */
enum status server_loop(struct server *s, struct err *err);
void server_close(struct server *s); /* NULL is fine */

#endif
