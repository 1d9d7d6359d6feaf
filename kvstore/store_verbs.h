/*
 * store_verbs.h - what each verb does; called by store_dispatch only.
 *
 * `reply` comes empty with its request number set; a handler that fails leaves
 * store and reply unchanged.
 */
#ifndef KVSTORE_STORE_VERBS_H
#define KVSTORE_STORE_VERBS_H

#include "kvstore/store.h"

enum status store_verb(struct store *s, struct client *c, const struct msg *request,
                       struct msg *reply, struct err *err);

/* Everything the client holds, newest kind first. */
void store_drop_client_holds(struct store *s, const struct client *c);

#endif
