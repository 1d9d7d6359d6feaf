/*
 * summary_files.h - summary.json, summary.csv, summary.md of a run directory.
 *
 * FORMATS.md, "summary files", lists the fields. Each file appears whole or
 * not at all.
 */
#ifndef ORCHESTRATOR_SUMMARY_FILES_H
#define ORCHESTRATOR_SUMMARY_FILES_H

#include <stdio.h>

#include "common/status.h"
#include "orchestrator/summary.h"

/* All three into `dir`, replacing older ones. */
enum status summary_files_write(const struct summary *s, const char *dir, struct err *err);

void summary_files_csv(FILE *to, const struct summary *s);
void summary_files_md(FILE *to, const struct summary *s);
/* Owned by the caller: free(). */
char *summary_files_json(const struct summary *s);

#endif
