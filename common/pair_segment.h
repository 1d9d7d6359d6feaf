/*
 * pair_segment.h - the shared segment between verify and draft on one machine:
 * the slab of proposal densities, what the draft may open of verify's device,
 * then the retrieval KV where it lies in host memory.
 *
 * Verify creates it and sends its descriptor over the pair's door together
 * with struct pair_hello; the draft answers with struct pair_answer. Writing
 * changes hands with the messages: from VERDICT (or BEGIN) to PROPOSE the
 * draft owns the segment, from PROPOSE to VERDICT verify does.
 *
 * Where the device computes on host memory, the retrieval KV lies in the segment
 * from pair_retrieval_offset() on; where it does not, in a block of verify's
 * device, which share 0 opens, and shares 1 .. are the target's weights (one for
 * each file that has data, as model_share.h).
 *
 * Retrieval KV of a trial: [n_layers][retrieval_pages] pages of the base
 * format, page bytes as kv_page_bytes(). Slots 0
 * .. n_selected-1 hold the selected prompt tokens, ascending; the token at
 * position p >= n_prompt has slot n_selected + p - n_prompt.
 */
#ifndef COMMON_PAIR_SEGMENT_H
#define COMMON_PAIR_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

/* Where the retrieval KV lies. */
enum pair_memory_kind {
    PAIR_IN_SEGMENT,
    PAIR_ON_DEVICE, /* shares 0 .. n_shares - 1 open it and the weights */
    PAIR_PRIVATE,   /* on a device that cannot share: no draft has a middle level */
    PAIR_MEMORY_KINDS
};

struct pair_hello {
    uint64_t segment_bytes;
    uint32_t n_vocab;     /* of the target */
    uint32_t version;     /* MSG_VERSION */
    uint64_t fingerprint; /* of the target: model_fingerprint */
    uint32_t memory;      /* enum pair_memory_kind */
    uint32_t n_shares;
};

/* A block of verify's device: the bytes of a struct device_share. */
struct pair_share {
    uint8_t bytes[128];
    uint64_t size_bytes;
};

/* Checkpoints come in up to some 200 files. */
enum { PAIR_MAX_SHARES = 257 };

struct pair_answer {
    uint64_t kv_bytes; /* device memory that the draft holds for KV */
    uint32_t n_vocab;  /* of the draft: must equal the target's */
    uint32_t version;
};

/* Row i of the slab starts at i * n_vocab floats. */
static inline size_t pair_slab_bytes(uint32_t n_vocab)
{
    return (size_t)MSG_MAX_ROWS * n_vocab * sizeof(float);
}

static inline size_t pair_shares_offset(uint32_t n_vocab)
{
    return (pair_slab_bytes(n_vocab) + 4095) / 4096 * 4096;
}

static inline size_t pair_retrieval_offset(uint32_t n_vocab)
{
    size_t table = PAIR_MAX_SHARES * sizeof(struct pair_share);

    return pair_shares_offset(n_vocab) + (table + 4095) / 4096 * 4096;
}

#endif
