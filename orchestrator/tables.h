/*
 * tables.h - the study's console lines and tables, at most 80 columns wide.
 */
#ifndef ORCHESTRATOR_TABLES_H
#define ORCHESTRATOR_TABLES_H

#include <stdio.h>

#include "orchestrator/results.h"
#include "orchestrator/summary.h"

/* One line per trial: method, prefill, seed, document, tok/s, ms/token, accepted. */
void tables_trial(FILE *to, const struct result *r);
/* The same line without newline into buf, cut at size. */
void tables_trial_text(const struct result *r, char *buf, size_t size);

/* All tables of all studies. Every heading says documents, seeds and, where
 * one was used, "simulated link X GB/s". */
void tables_print(FILE *to, const struct summary *s);

#endif
