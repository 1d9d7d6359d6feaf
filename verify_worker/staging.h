/*
 * staging.h - the ring that offloaded layers stream through, ahead of use.
 *
 * A slot holds the sealed pages of one layer. Layers are used in a fixed cyclic
 * order; as soon as a slot is given back, the copy of the layer that comes next
 * in the cycle begins, across passes too, so that the link works while the
 * draft still proposes. Every pass streams every offloaded layer: a slot is
 * used once.
 */
#ifndef VERIFY_WORKER_STAGING_H
#define VERIFY_WORKER_STAGING_H

#include "kernels/device.h"

struct staging; /* owns its slots; borrows the device and page tables */

struct staging_args {
    struct device *dev;
    uint32_t n_slots;     /* >= 1 */
    uint32_t first_layer; /* offloaded layers: first_layer .. first_layer + n_layers - 1 */
    uint32_t n_layers;    /* >= 1 */
    uint32_t max_pages;
    size_t page_bytes;
    void *const *const *host_page; /* [layer][page]: address in the arena, borrows until close */
    const uint32_t *first_page;    /* [layer]: pages before it are not copied; may only grow.
                                    * NULL: none. Borrows until close */
};

enum status staging_open(struct staging **out, const struct staging_args *args, struct err *err);
/* Waits for copies in flight. NULL is fine. */
void staging_close(struct staging *s);

/* Lets copies up to n_pages per layer run ahead; only pages that every coming
 * pass reads may be named. Starts the first copies. */
enum status staging_ahead(struct staging *s, uint32_t n_pages, struct err *err);

/* Pages 0 .. n_pages-1 of `layer` on the device, contiguous, what lies before
 * first_page undefined; waits for them and copies what is missing. Layers must
 * come in cyclic order. */
enum status staging_take(struct staging *s, uint32_t layer, uint32_t n_pages, uint8_t **pages,
                         struct err *err);
/* The layer's slot is free for the next layer of the cycle. */
enum status staging_give(struct staging *s, uint32_t layer, struct err *err);

/* Device memory for max_pages pages, free until the first copy begins: set-up
 * work uses it. */
void *staging_idle_slot(struct staging *s);

/* Bytes carried for what was taken; copies that ran ahead of a use that never
 * came are not in it, since how many there are is chance. */
uint64_t staging_used_bytes(const struct staging *s);
/* Nanoseconds that computing has waited for the link (device_copy_stall_ns). */
uint64_t staging_wait_ns(const struct staging *s);

#endif
