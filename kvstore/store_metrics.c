#include "kvstore/store_metrics.h"

#include "metrics/metric.h"

void store_metrics(const struct store *s)
{
    struct msg_stats now;

    if (!metric_is_on)
        return;
    now = store_stats(s);
    metric_set(METRIC_STORE_ARENA_BYTES, now.arena_bytes);
    metric_set(METRIC_STORE_USED_BYTES, now.used_bytes);
    metric_set(METRIC_STORE_RESERVED_BYTES, now.reserved_bytes);
    metric_set(METRIC_STORE_PAGES, now.n_pages);
    metric_set(METRIC_STORE_SEQUENCES, now.n_seqs);
    metric_set(METRIC_STORE_LEASES, now.n_leases);
    metric_set(METRIC_STORE_RESERVATIONS, now.n_reservations);
    metric_set(METRIC_STORE_CLIENTS, now.n_clients);
    metric_set(METRIC_STORE_REQUESTS, now.n_requests);
    metric_set(METRIC_STORE_REFUSED, now.n_refused);
    metric_set(METRIC_STORE_BAD_CHECKSUMS, now.n_checksum_failures);
    metric_set(METRIC_STORE_REAPED, now.n_reaped_clients);
}
