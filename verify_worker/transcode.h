/*
 * transcode.h - a snapshot's pages in another format, made once per format and
 * kept until the snapshot is forgotten.
 */
#ifndef VERIFY_WORKER_TRANSCODE_H
#define VERIFY_WORKER_TRANSCODE_H

#include "kernels/device.h"
#include "verify_worker/snapshot.h"

enum { TRANSCODE_MAX = 8 };

struct transcoded {
    uint64_t snapshot;
    enum kv_format format;
    uint64_t seq;
    double k_error, v_error; /* relative RMS over all pages; -1 without a full page */
};

/* Sequences made so far; they end with the client. Zero-initialise it. */
struct transcode_set {
    struct transcoded item[TRANSCODE_MAX];
    uint32_t n_items;
};

/* The sequence to fork for `format`: the snapshot itself for its own format. */
enum status transcode_get(struct transcode_set *set, struct device *dev, struct kv_client *store,
                          const struct snapshot *snapshot, enum kv_format format,
                          struct transcoded *out, struct err *err);
/* Drops what was made from `snapshot`. */
void transcode_forget(struct transcode_set *set, struct kv_client *store, uint64_t snapshot);

/* sqrt(error[0] / error[1]); -1 if there is nothing. */
double transcode_relative_error(const double error[2]);

#endif
