/*
 * document_table.h - the table of each document's own figures, beside the mean.
 */
#ifndef ORCHESTRATOR_DOCUMENT_TABLE_H
#define ORCHESTRATOR_DOCUMENT_TABLE_H

#include "orchestrator/sheet.h"

/* Throughput, latency, accepted and speedup of every method at every point, a
 * row for each document and one for their mean; below it what the documents
 * are. Nothing for a study of one document. */
void document_table(const struct sheet *p);

/* "1 = emma.txt, 2 = persuasion.txt"; "" where no result names them. Owned by
 * the caller: free(). */
char *document_table_names(const struct summary *s);

#endif
