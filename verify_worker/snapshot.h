/*
 * snapshot.h - what prefill leaves in the arena beside its pages: the blob.
 *
 * A snapshot is an immutable sequence of the store: the full pages of all
 * layers in the base format, and one blob: the last, partial page of every
 * layer, the last prompt query of every layer, and the logits that follow the
 * prompt. Everything that a trial needs to start, so a snapshot survives the
 * worker that made it.
 *
 * Blob (little-endian): struct snapshot_head, then at offsets that are
 * multiples of 64: tail pages [n_layers] of page_bytes, queries f32 [n_layers,
 * n_heads, head_dim] (rotated), logits f32 [n_vocab].
 */
#ifndef VERIFY_WORKER_SNAPSHOT_H
#define VERIFY_WORKER_SNAPSHOT_H

#include "kernels/kv_format.h"
#include "kvstore/kv_client.h"
#include "model/config.h"

struct snapshot_head {
    uint32_t magic; /* SNAPSHOT_MAGIC */
    uint32_t version;
    uint32_t n_tokens;
    uint32_t base_format; /* enum kv_format */
    uint32_t n_layers, n_heads, n_kv_heads, head_dim, n_vocab;
    uint32_t reserved;
    uint64_t prefix_hash; /* msg_prefix_hash over the prompt */
};
enum { SNAPSHOT_MAGIC = 0x504e534d /* "MSNP" */, SNAPSHOT_VERSION = 1 };

/* A view of one in the arena: pointers borrow until snapshot_release. */
struct snapshot {
    struct snapshot_head head;
    struct msg_page_map map; /* lease on its pages */
    const uint8_t *arena;
    const uint8_t *tail; /* [n_layers] pages */
    const float *query;  /* [n_layers, n_heads, head_dim] */
    const float *logits; /* [n_vocab] */
};

size_t snapshot_blob_bytes(const struct model_config *cfg, enum kv_format base);
struct kv_shape snapshot_shape(const struct model_config *cfg);

/* Where the parts lie in a blob at `blob`; fills the head for writing. */
void snapshot_layout(struct snapshot *out, const struct model_config *cfg, enum kv_format base,
                     uint32_t n_tokens, uint64_t prefix_hash, uint8_t *blob);

/* Leases snapshot `seq`, verifies its checksums, and checks that it fits the
 * model: ST_CORRUPT or ST_INVALID if not. */
enum status snapshot_acquire(struct snapshot *out, struct kv_client *store, uint64_t seq,
                             const struct model_config *cfg, enum kv_format base, struct err *err);
/* Full page `page` of `layer`, in host memory; it must exist. */
const void *snapshot_page(const struct snapshot *s, uint32_t layer, uint32_t page);
void snapshot_release(struct snapshot *s, struct kv_client *store);

#endif
