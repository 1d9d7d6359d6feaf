/*
 * placement.h - where the sealed pages of each layer lie during one trial.
 *
 *   layers 0 .. on_chip-1           on the device, base format
 *   next `resident` layers          on the device, sealed format: a fixed set
 *   the rest                        in the store, sealed format; streamed through
 *                                   the staging ring, or read in place and
 *                                   counted where device_reads_host
 */
#ifndef VERIFY_WORKER_PLACEMENT_H
#define VERIFY_WORKER_PLACEMENT_H

#include "kernels/device.h"
#include "kvstore/kv_client.h"
#include "verify_worker/snapshot.h"

struct placement; /* owns device memory, ring, and the trial's sequence */

struct placement_args {
    struct device *dev;
    struct kv_client *store;
    const struct snapshot *snapshot; /* borrows until placement_open returns */
    enum kv_format base, sealed;
    uint64_t sealed_seq; /* sequence to fork: the snapshot, or its transcoded copy */
    uint32_t on_chip, resident;
    uint32_t max_pages;      /* of the whole trial, per layer */
    uint32_t staging_layers; /* ring slots; 0: two */
};

/* Forks the sequence (checksums are verified there) and fills the device. */
enum status placement_open(struct placement **out, const struct placement_args *args,
                           struct err *err);
void placement_close(struct placement *p); /* NULL is fine */

/* Sealed pages per layer so far. */
uint32_t placement_n_sealed(const struct placement *p);
enum kv_format placement_format(const struct placement *p, uint32_t layer);

/* Appends page n_sealed to every layer: tail[layer] is its unquantized page on
 * the device. All layers of the column are committed to the store together. */
enum status placement_seal(struct placement *p, const void *const *tail, struct err *err);

/* From now on pages of `layer` before first_page are not read by passes, and
 * are not streamed: takes give NULL for them. It may only grow. */
void placement_pass_over(struct placement *p, uint32_t layer, uint32_t first_page);

/* Pages 0 .. n_pages-1 of `layer` as device addresses for one attention call:
 * between take and give of a streamed layer nothing else may be taken. */
enum status placement_take(struct placement *p, uint32_t layer, uint32_t n_pages,
                           const void *const **pages, struct err *err);
enum status placement_give(struct placement *p, uint32_t layer, struct err *err);
/* Streaming may run ahead for n_pages pages, which every coming pass reads. */
enum status placement_ahead(struct placement *p, uint32_t n_pages, struct err *err);
/* All sealed pages of `layer` for set-up work before the first pass, not counted
 * as streamed: as device addresses until the next call, whatever the layer. */
enum status placement_setup_pages(struct placement *p, uint32_t layer, const void *const **pages,
                                  struct err *err);

struct placement_counts {
    uint64_t link_bytes, link_wait_ns;
    uint64_t on_chip_bytes, resident_bytes, staging_bytes; /* by geometry */
    /* sums of squared errors and of squares over pages sealed in this trial */
    double k_error[2], v_error[2];
};
struct placement_counts placement_counts(const struct placement *p);

#endif
