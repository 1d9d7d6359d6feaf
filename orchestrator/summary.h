/*
 * summary.h - the figures of every cell, computed from results and nothing else.
 *
 * Per seed the mean over documents; then mean and sample standard deviation
 * over seeds. Delta and speedup are formed per seed, over the documents that
 * both methods finished, and get their own deviation. Each document's own
 * figures are formed in the same way from its trials alone.
 */
#ifndef ORCHESTRATOR_SUMMARY_H
#define ORCHESTRATOR_SUMMARY_H

#include "common/msg.h"
#include "common/status.h"
#include "orchestrator/experiment.h"
#include "orchestrator/results.h"
#include "orchestrator/roofline.h"

struct spread {
    double mean; /* NaN for n == 0 */
    double std;  /* sample deviation; NaN for n < 2: one seed has none */
    uint32_t n;  /* seeds */
};

/* Device bytes by use: the largest of the cell's trials. */
struct ledger {
    uint64_t on_chip, resident, tail, retrieval, staging, draft;
};

/* Milliseconds of a verification round, over all trials of the cell: where its
 * time went. `other` is what no phase claims: judging, sealing, bookkeeping. */
struct round_ms {
    double draft, middle, verify, link_wait, messages, other;
};

struct cell {
    bool present;                       /* the study has this method at this point */
    uint32_t n_ok, n_failed, n_missing; /* trials */
    struct spread throughput;           /* tok/s */
    struct spread latency;              /* ms per token */
    struct spread accepted;             /* per verification; n == 0 for baseline */
    struct spread delta, speedup;       /* against the study's reference, paired by seed */
    /* One prefill serves all seeds, and the traffic hardly differs by seed: means only. */
    double ttft_s, link_bytes_per_token;
    struct round_ms round; /* NaN without a round */
    /* Of the same rounds, in ms: at the ceilings of the device. Only if every
     * trial that ended well recorded them. */
    struct roofline roofline;
    bool has_roofline;
    struct ledger kv;
    uint32_t effective_resident;
};

struct summary_study {
    uint32_t n_points;
    struct cell *cell; /* [n_points][METHOD_COUNT] */
    /* [n_points][METHOD_COUNT][n_documents]; NULL for one document, whose figures are the cell's */
    struct cell *by_document;
    /* Speedup of throughput, paired by seed: [n_points][METHOD_COUNT (of)][METHOD_COUNT (over)]. */
    struct spread *ratio;
};

struct summary {
    const struct experiment *e; /* borrowed */
    uint32_t n_failed, n_missing;
    uint32_t n_skipped;      /* documents passed over as too short; summary_open leaves 0 */
    bool random_weights;     /* of target or draft; summary_open leaves false */
    double link_gbps;        /* the simulated link; 0: none was simulated */
    double device_link_gbps; /* measured rate of a real link; 0: none. summary_open leaves 0 */
    char (*document_name)[DATASET_NAME_BYTES]; /* [n_documents]; "" where no result names it */
    struct summary_study study[EXPERIMENT_MAX_TABLES];
};

/* `e` is borrowed until summary_close. link_gbps: the paced rate when the link
 * was simulated, else 0. Of several results for one (cell, document, seed) the last counts. */
void summary_open(struct summary **out, const struct experiment *e, const struct result *result,
                  uint32_t n_results, double link_gbps);
void summary_close(struct summary *s); /* NULL is fine */

const struct cell *summary_cell(const struct summary *s, uint32_t study, uint32_t point,
                                enum method method);
/* Of more than one document; `document` from 0. */
const struct cell *summary_document(const struct summary *s, uint32_t study, uint32_t point,
                                    enum method method, uint32_t document);
struct spread summary_ratio(const struct summary *s, uint32_t study, uint32_t point, enum method of,
                            enum method over);
uint64_t ledger_total(const struct ledger *kv);
double round_ms_total(const struct round_ms *round);

#endif
