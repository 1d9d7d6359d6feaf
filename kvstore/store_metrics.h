/*
 * store_metrics.h - the store's numbers as metrics.
 */
#ifndef KVSTORE_STORE_METRICS_H
#define KVSTORE_STORE_METRICS_H

#include "kvstore/store.h"

/* Takes them over as they are now; nothing while metrics are off. */
void store_metrics(const struct store *s);

#endif
