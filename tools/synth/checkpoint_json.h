/*
 * checkpoint_json.h - config.json and the index of a synthetic checkpoint.
 */
#ifndef TOOLS_SYNTH_CHECKPOINT_JSON_H
#define TOOLS_SYNTH_CHECKPOINT_JSON_H

#include "tools/synth/weight_source.h"

struct checkpoint_json {
    const struct arch *arch;
    enum weight_dtype dtype;
    uint64_t seed;
    const char *tokenizer; /* words for the note: whose it is */
    int32_t bos, eos;      /* -1: none */
};

/* Text with a newline at its end, owned by the caller. */
char *checkpoint_json_config(const struct checkpoint_json *c);
char *checkpoint_json_index(const struct tensor_list *list);

#endif
