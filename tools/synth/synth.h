/*
 * synth.h - writes a Hugging Face checkpoint of a given shape with seeded random weights.
 *
 * Speed can be measured with it where the real weights cannot be had; what it says is noise.
 */
#ifndef TOOLS_SYNTH_SYNTH_H
#define TOOLS_SYNTH_SYNTH_H

#include "tools/synth/weight_source.h"

struct synth_args {
    const struct arch *arch; /* checked by arch_check; pointers are borrowed */
    const char *out;
    enum weight_dtype dtype;
    uint64_t seed;
    uint64_t shard_bytes;
    const char *tokenizer; /* NULL: the demo model's */
    int n_threads;
};

struct synth_report {
    size_t n_tensors, n_shards;
    uint64_t n_elements, data_bytes;
    uint32_t n_ids; /* of the tokenizer */
    double seconds; /* until the last file was on disk */
};

/* Memory does not grow with the model: SHARD_PIECE_BYTES per thread, the quantiles, and one entry
 * a tensor. ST_NO_SPACE before a weight is written; whatever fails, nothing is left behind. */
enum status synth_run(const struct synth_args *args, struct synth_report *report, struct err *err);

#endif
