/*
 * copy_queue.h - the cpu device's copy thread: copies one after the other,
 * paced as a link of a given rate would carry them. For files in kernels/ only.
 *
 * A copy begins when the link is free and the copy is there; it goes in pieces
 * of 256 KiB, and none is begun before the bytes ahead of it would be over: a
 * copy of n bytes ends no earlier than n / rate after its begin. Deadlines are
 * absolute, so an overslept piece does not delay the ones after it.
 */
#ifndef KERNELS_COPY_QUEUE_H
#define KERNELS_COPY_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct copy_queue; /* owns its thread */

/* gbps in 1e9 bytes per second; 0: not paced. */
enum status copy_queue_open(struct copy_queue **out, double gbps, struct err *err);
void copy_queue_close(struct copy_queue *queue); /* waits for all copies; NULL is fine */

/* Borrows dst and src until the ticket is done. Tickets are 1, 2, ... */
uint64_t copy_queue_start(struct copy_queue *queue, void *dst, const void *src, size_t n);
/* Ticket 0 is always done; one that was never given is a bug. */
void copy_queue_wait(struct copy_queue *queue, uint64_t ticket);
bool copy_queue_is_done(struct copy_queue *queue, uint64_t ticket);
void copy_queue_wait_all(struct copy_queue *queue);
uint64_t copy_queue_bytes(struct copy_queue *queue); /* carried since open */

#endif
