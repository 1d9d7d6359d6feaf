/*
 * eval_run.h - the whole comparison: windows of a text, each prefilled exactly,
 * then scored under f16 KV and under every format asked for.
 */
#ifndef TOOLS_EVAL_EVAL_RUN_H
#define TOOLS_EVAL_EVAL_RUN_H

#include "tools/eval/eval_cache.h"
#include "tools/eval/fidelity.h"

enum { EVAL_BATCH_TOKENS = 128 }; /* of batch means: as many as share a page */

struct eval_options {
    const char *target, *device;
    const char *text; /* a file, or "demo" */
    const char *json; /* NULL: none */
    enum kv_format format[KV_FORMAT_COUNT];
    uint32_t n_formats;
    int turn; /* enum eval_turn of the formats' keys; the reference is never turned */
    int64_t n_prefill, n_scored, n_windows; /* n_scored 0: to the file's end */
    int64_t demo_seed, n_threads;
};

struct eval_line {
    enum kv_format format;
    struct fidelity_mean nll;
    struct fidelity_mean excess; /* nll less the reference's, token by token */
    struct fidelity_mean kl;
    double kl_p99;
    struct fidelity_mean same_top;
    double k_error, v_error; /* eval_cache_seal_error, mean over windows */
};

struct eval_result {
    char device[96];
    bool random_weights;                             /* made by `mspeckv synth`: figures of noise */
    uint32_t n_text, n_windows, n_prefill, n_scored; /* as in struct eval_windows */
    uint32_t n_batches;
    double sealed_share; /* of the tokens that a scored row sees, mean over rows and layers */
    struct fidelity_mean ref_nll;
    struct eval_line line[KV_FORMAT_COUNT]; /* as options' formats */
};

/* ST_INVALID and the like name the option or file and what would be right. */
enum status eval_run(const struct eval_options *opt, struct eval_result *out, struct err *err);

#endif
