/*
 * client.h - one client of the store: who it is, and its last replies.
 *
 * Request numbers of a client rise. A number that was answered already gets the
 * same reply again, so a repeated request does nothing twice; one that is older
 * than the replies kept is refused.
 */
#ifndef KVSTORE_CLIENT_H
#define KVSTORE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "common/msg.h"
#include "common/status.h"

enum { CLIENT_REPLIES = 8 };

struct client_reply {
    enum msg_verb asked;
    struct msg msg; /* owned; request 0: empty */
};

struct client {
    uint64_t token; /* of its door; also its number in the store */
    bool is_attached;
    char peer[CHAN_MAX_NAME]; /* name of its channel, once attached */
    char name[32];
    uint64_t last_request;
    uint32_t next;
    struct client_reply reply[CLIENT_REPLIES];
};

struct client *client_open(uint64_t token);
void client_close(struct client *c); /* NULL is fine */

/* The kept reply to this request, or NULL. ST_STALE: the number is not new and
 * its reply is gone; ST_INVALID: it was another verb, or the number is 0. */
enum status client_replay(const struct client *c, const struct msg *request, const struct msg **out,
                          struct err *err);
/* An empty message with the request's number, in place of the oldest reply. */
struct msg *client_new_reply(struct client *c, const struct msg *request);

#endif
