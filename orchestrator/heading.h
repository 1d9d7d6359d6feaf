/*
 * heading.h - words that every table needs: what was measured, on what link,
 * over which documents and seeds.
 */
#ifndef ORCHESTRATOR_HEADING_H
#define ORCHESTRATOR_HEADING_H

#include <stddef.h>

#include "orchestrator/summary.h"

enum { HEADING_BYTES = 512 };

/* "3 documents; seeds 1, 2, 3; simulated link 0.25 GB/s; random weights; replayed
 * acceptance". "one document" for one. */
void heading_trials(const struct summary *s, char buf[HEADING_BYTES]);
/* The settings that every row of the study shares: "gen_len 256, on_chip 16, ...". */
void heading_fixed(const struct study *study, char buf[HEADING_BYTES]);
/* The sweep point's values: "8192", "16384/4"; "-" without a sweep. */
void heading_point(const struct study *study, uint32_t point, char *buf, size_t size);
/* The swept keys: "prefill", "prefill/on_chip"; "-" without a sweep. */
void heading_sweep(const struct study *study, char *buf, size_t size);
/* "12.42 ± 4.40"; "12.42 ± -" for one seed; "-" for none. */
void heading_spread(struct spread x, int decimals, char *buf, size_t size);
/* "1.25", "-" for NaN. */
void heading_number(double x, char *buf, size_t size);
/* "1.5 MB"; decimal units, three figures. */
void heading_bytes(double bytes, char *buf, size_t size);

#endif
