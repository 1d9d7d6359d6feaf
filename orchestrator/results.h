/*
 * results.h - results.jsonl: one line per finished trial, written as it ends.
 *
 * Each line is one write(2) followed by fsync, so a crash leaves whole lines
 * and at most one torn last line, which reading recognises and reports.
 * FORMATS.md, "results.jsonl", lists the fields.
 */
#ifndef ORCHESTRATOR_RESULTS_H
#define ORCHESTRATOR_RESULTS_H

#include <stddef.h>

#include "common/msg.h"
#include "common/status.h"
#include "orchestrator/ceilings.h"
#include "orchestrator/dataset.h"
#include "orchestrator/experiment.h"
#include "orchestrator/matrix.h"

struct result {
    uint32_t trial; /* number in the matrix */
    enum method method;
    uint32_t document;
    char document_name[DATASET_NAME_BYTES]; /* as prompt_source_name; "" where none was given */
    uint64_t seed;
    struct setting setting;
    uint32_t n_uses;
    struct use *use; /* owned */
    bool ok;
    char reason[MSG_TEXT];    /* why not; "" if ok */
    char *log;                /* owned; the end of the failed process's log, NULL for none */
    double prefill_s;         /* of the trial's prompt: time to first token, measured once */
    struct msg_result meas;   /* owns its tokens; zero if not ok */
    struct ceilings ceilings; /* zero: none were recorded; result_init leaves zero */
};

/* Copies everything; the result owns its copies. `meas` NULL: failed, with `reason`. */
void result_init(struct result *out, const struct trial *t, double prefill_s,
                 const struct msg_result *meas, const char *reason);
/* Of a failed result; copies the text, "" leaves none. */
void result_set_log(struct result *r, const char *log);
void result_release(struct result *r);

double result_tok_per_s(const struct result *r);    /* NaN without a decode time */
double result_ms_per_token(const struct result *r); /* NaN without tokens */
/* Accepted draft tokens per verification, without the bonus token; NaN for baseline. */
double result_accepted(const struct result *r);

/* Keeps the last result of each trial, since an earlier one has failed, in the
 * order of the trials, whatever order they ended in; returns how many are left. */
uint32_t results_keep_last(struct result *result, uint32_t n);

struct results_file; /* owns its descriptor */

/* A new file; ST_IO if it exists. `e` is borrowed until results_close: lines name its studies. */
enum status results_open(struct results_file **out, const char *path, const struct experiment *e,
                         struct err *err);
/* Goes on behind the first `size` bytes of a file, whole lines; a torn line
 * behind them is cut off. */
enum status results_continue(struct results_file **out, const char *path, size_t size,
                             const struct experiment *e, struct err *err);
/* One line, on disk when this returns. On ST_IO the file holds only whole lines again. */
enum status results_append(struct results_file *f, const struct result *r, struct err *err);
void results_close(struct results_file *f); /* NULL is fine */

struct results {
    uint32_t n;
    struct result *result; /* [n], in the file's order */
    size_t whole_bytes;    /* of the whole lines */
    size_t torn_bytes;     /* > 0: the file ends in a piece of a line, which is not in `result` */
    uint32_t torn_line;    /* its number, from 1 */
};

/* Reads a file of the same experiment back. A torn last line is no error but is
 * counted. ST_CORRUPT "path:line: what is wrong" for any other line. */
enum status results_read(struct results *out, const char *path, const struct experiment *e,
                         struct err *err);
void results_release(struct results *r);

#endif
