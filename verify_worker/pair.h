/*
 * pair.h - verify's end of the pair: the shared segment, the memory of the
 * retrieval KV, the draft's door, and the channel of PROPOSE and VERDICT.
 */
#ifndef VERIFY_WORKER_PAIR_H
#define VERIFY_WORKER_PAIR_H

#include "common/msg.h"
#include "common/rundir.h"
#include "common/status.h"
#include "model/model.h"

struct pair; /* owns segment, device block, door and channel */

struct pair_args {
    const struct rundir *dir;
    struct device *dev;        /* borrows until pair_close */
    const struct model *model; /* the target; borrows for the open */
    size_t retrieval_bytes;    /* room for retrieval KV: in the segment, or on the device */
};

/* Listens for a draft. The retrieval KV lies where pair_segment.h says; with it
 * the target's weights are opened to the draft where the device can share. */
enum status pair_open(struct pair **out, const struct pair_args *args, struct err *err);
void pair_close(struct pair *p); /* NULL is fine */

/* Waits for the draft and hands it the segment; does nothing when that is done
 * and the draft lives: the place of one that died is given to the next that
 * comes. ST_INVALID when the two models do not fit together, ST_TIMEOUT when no
 * draft came, ST_CLOSED when this process is to stop. */
enum status pair_attach(struct pair *p, struct err *err);

/* Density rows of the proposal at hand. */
const float *pair_slab(const struct pair *p);
/* *is_device: it is memory of the device, else of the segment. */
void *pair_retrieval(const struct pair *p, size_t *size_bytes, bool *is_device);
/* Device memory that the draft holds for KV. */
uint64_t pair_draft_kv_bytes(const struct pair *p);

/* ST_CLOSED when the draft died or reads nothing. */
enum status pair_send(struct pair *p, const struct msg *msg, struct err *err);
/* ST_CLOSED when the draft died or this process is to stop. */
enum status pair_recv(struct pair *p, struct msg *out, struct err *err);
/* Both ways, all drafts. */
uint64_t pair_n_messages(const struct pair *p);

#endif
