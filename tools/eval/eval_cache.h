/*
 * eval_cache.h - the full KV of one arm of a comparison: every page
 * unquantized, and sealed ones beside them where the arm quantizes.
 *
 * What a row sees is the product's rule: the row at position t reads page p
 * sealed if and only if p <= t / PAGE_TOKENS - 2, and a page is sealed once,
 * when all its tokens are there. A prompt is computed by an arm that does not
 * seal, so that it attends exact KV; the arms that are compared fork from it.
 */
#ifndef TOOLS_EVAL_EVAL_CACHE_H
#define TOOLS_EVAL_EVAL_CACHE_H

#include "model/model.h"

/* What queries and keys go through after RoPE; keys are stored turned. */
enum eval_turn {
    EVAL_TURN_NONE,
    EVAL_TURN_HADAMARD,
    EVAL_TURN_SIGNED /* signs from a fixed seed, then Hadamard */
};

struct eval_cache; /* owns its pages; borrows model, device and what it forks from */

struct eval_cache_options {
    struct device *dev;
    struct model *model;
    enum kv_format base; /* KV_F16 or KV_F32: of unquantized pages */
    enum eval_turn turn;
    uint32_t max_tokens;
};

/* Rows of a pass at most: sealing (a verification has as many), and not. */
enum { EVAL_PASS_ROWS = 32, EVAL_PREFILL_ROWS = 512 };

/* Empty; seals nothing. ST_NO_SPACE. */
enum status eval_cache_open(struct eval_cache **out, const struct eval_cache_options *opt,
                            struct err *err);
/* Goes on where `prompt` stands: borrows its full pages until eval_cache_close,
 * copies the partial one. With `seals`, full pages are sealed in the format
 * `sealed`, those of the prompt at once. */
enum status eval_cache_fork(struct eval_cache **out, const struct eval_cache *prompt, bool seals,
                            enum kv_format sealed, struct err *err);
void eval_cache_close(struct eval_cache *c); /* NULL is fine */

/* The next n tokens, all accepted. logits: host memory [n, n_vocab], or NULL. */
enum status eval_cache_pass(struct eval_cache *c, const int32_t *token, int n, float *logits,
                            struct err *err);
uint32_t eval_cache_end(const struct eval_cache *c);

/* Root mean square of what sealing changed in K and in V, over that of K and of
 * V; NaN where nothing was sealed. */
void eval_cache_seal_error(const struct eval_cache *c, double *k, double *v);
/* The layer's pages; borrowed until the next call or eval_cache_close. */
void eval_cache_view(const struct eval_cache *c, uint32_t layer, struct kv_view *out);

#endif
