/*
 * pair_segment.h - the shared segment between verify and draft on one machine:
 * the slab of proposal densities, then the retrieval KV.
 *
 * Verify creates it and sends its descriptor over the pair's door together
 * with struct pair_hello; the draft answers with struct pair_answer. Writing
 * changes hands with the messages: from VERDICT (or BEGIN) to PROPOSE the
 * draft owns the segment, from PROPOSE to VERDICT verify does.
 *
 * Retrieval KV of a trial: [n_layers][retrieval_pages] pages of the base
 * format from pair_retrieval_offset(), page bytes as kv_page_bytes(). Slots 0
 * .. n_selected-1 hold the selected prompt tokens, ascending; the token at
 * position p >= n_prompt has slot n_selected + p - n_prompt.
 */
#ifndef COMMON_PAIR_SEGMENT_H
#define COMMON_PAIR_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct pair_hello {
    uint64_t segment_bytes;
    uint32_t n_vocab; /* of the target */
    uint32_t version; /* MSG_VERSION */
};

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

static inline size_t pair_retrieval_offset(uint32_t n_vocab)
{
    return (pair_slab_bytes(n_vocab) + 4095) / 4096 * 4096;
}

#endif
