/*
 * demo_text.h - the demo's text: a lock-house log of any length, from a seed.
 *
 * The log is made of sections of about 210 demo tokens. A section either
 * enters a new barge's register (40 attributes with freely drawn values) or
 * reads a known barge's register out again, word for word, typically thousands
 * of tokens after it was last told: only a model that looks there can continue
 * it. Each section's first line names the barge that the next section is about,
 * so that what the continuation will need is settled before it is needed.
 *
 *   Fog over the east lock. The clerk read out the Ashmere, next the Corley.
 *   The Ashmere: master Ada Crow 41, mate Ivo Lund 77, ...
 *
 * A text depends on its options only, on every machine, and a longer text of
 * the same options begins with the shorter one. The bytes are ASCII.
 */
#ifndef TEXT_DEMO_TEXT_H
#define TEXT_DEMO_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct demo_text_options {
    uint64_t seed;
    /* How many attributes a register has: 1 to DEMO_ATTRIBUTES; 0 means all.
     * A smaller number draws that many of the attributes, once per text; the
     * trainer starts with such short registers. */
    uint32_t n_attributes;
};

/* Bytes [begin, end) of the text: a value that was told before, with the space
 * in front of it. */
struct demo_text_span {
    size_t begin, end;
};

/* Tokens in text[0, n_bytes); `ctx` is the caller's. */
typedef enum status demo_text_count_fn(void *ctx, const char *text, size_t n_bytes,
                                       size_t *out_tokens, struct err *err);

struct demo_text; /* owns its bytes and spans; not thread-safe */

/* ST_INVALID: n_attributes is out of range. */
enum status demo_text_open(struct demo_text **out, const struct demo_text_options *options,
                           struct err *err);
void demo_text_close(struct demo_text *text); /* NULL is fine */

/* Appends whole sections until the text has at least `n_bytes` bytes. */
void demo_text_grow(struct demo_text *text, size_t n_bytes);

/* The same until `count` finds at least `n_tokens` tokens, asking only a few
 * times. Fails as `count` does; ST_INVALID if the count does not grow with the
 * text. `*out_tokens` is the last count. */
enum status demo_text_grow_tokens(struct demo_text *text, size_t n_tokens,
                                  demo_text_count_fn *count, void *ctx, size_t *out_tokens,
                                  struct err *err);

/* Both are borrowed until the text grows or closes. The bytes end with a NUL
 * that is not counted; spans ascend and do not overlap. */
const char *demo_text_bytes(const struct demo_text *text, size_t *out_bytes);
const struct demo_text_span *demo_text_recalled(const struct demo_text *text, size_t *out_spans);

#endif
