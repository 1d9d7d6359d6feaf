#include "kvstore/client.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/mem.h"

struct client *client_open(uint64_t token)
{
    struct client *c = mem_zalloc(sizeof *c);

    c->token = token;
    return c;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    for (int i = 0; i < CLIENT_REPLIES; i++)
        msg_release(&c->reply[i].msg);
    free(c);
}

enum status client_replay(const struct client *c, const struct msg *request, const struct msg **out,
                          struct err *err)
{
    *out = NULL;
    if (request->request == 0)
        return err_set(err, ST_INVALID, "request number 0; they start at 1");
    if (request->request > c->last_request)
        return ST_OK;
    for (int i = 0; i < CLIENT_REPLIES; i++) {
        const struct client_reply *r = &c->reply[i];
        if (r->msg.request != request->request)
            continue;
        if (r->asked != request->verb)
            return err_set(err, ST_INVALID, "request %" PRIu64 " was %s before and is %s now",
                           request->request, msg_verb_name(r->asked), msg_verb_name(request->verb));
        *out = &r->msg;
        return ST_OK;
    }
    return err_set(err, ST_STALE, "request %" PRIu64 " is not new, the last one was %" PRIu64,
                   request->request, c->last_request);
}

struct msg *client_new_reply(struct client *c, const struct msg *request)
{
    struct client_reply *r = &c->reply[c->next];

    c->next = (c->next + 1) % CLIENT_REPLIES;
    c->last_request = request->request;
    msg_release(&r->msg);
    r->asked = request->verb;
    r->msg = (struct msg){.request = request->request};
    return &r->msg;
}
