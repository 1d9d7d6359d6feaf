/*
 * ceilings.h - what a trial's time can be held against: the rates its device was
 * measured at, and what one pass of its models must read and compute.
 *
 * Every line of results.jsonl carries its own ("ceilings"), so that a report
 * needs no other file. roofline.h makes a prediction of it.
 */
#ifndef ORCHESTRATOR_CEILINGS_H
#define ORCHESTRATOR_CEILINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "orchestrator/target_shape.h"

/* Zeroed: no such model, or one whose config does not say enough. */
struct ceilings_model {
    double n_layers, n_heads, n_kv_heads, head_dim;
    double window;     /* tokens that a row sees at most; 0: all */
    double pass_bytes; /* weights that a pass reads, whatever its rows */
    double row_ops;    /* operations on weights for one row: two per weight */
};

struct ceilings {
    double memory_gbps;    /* device memory, read; 0: nothing was recorded */
    double compute_gflops; /* matrix products, compute_rate.h of verify */
    double link_gbps;      /* simulated or real; 0: offloaded KV crosses none */
    struct ceilings_model target, draft;
};

/* Weights of a pass: all matrices of the layers and the output's, not the
 * embedding, of which a row reads one line; where the two are tied the table is
 * the output's matrix. Their bytes are that share of the file's bytes. */
struct ceilings_model ceilings_model_of(const struct target_shape *shape);

/* The rates that verify measured. */
void ceilings_set_rates(struct ceilings *c, const struct msg_ready *verify);

/* The JSON of it, owned by the caller, and back: false if a field is absent or
 * no number of 0 or more. `json` is a json_t of jansson. */
void *ceilings_json(const struct ceilings *c);
bool ceilings_read(struct ceilings *out, const void *json);

#endif
