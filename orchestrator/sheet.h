/*
 * sheet.h - what the tables of a study are printed on: columns, titles, and the
 * lines that name a sweep point. At most 80 columns wide.
 */
#ifndef ORCHESTRATOR_SHEET_H
#define ORCHESTRATOR_SHEET_H

#include <stdio.h>

#include "orchestrator/summary.h"

enum { SHEET_COLUMNS = 80 };

struct sheet {
    FILE *to; /* pointers are borrowed */
    const struct summary *s;
    const struct study *study;
    uint32_t index; /* of the study */
};

/* "baseline", "vanilla", "mspeckv", "kv_quant" */
extern const char *const sheet_short_names[METHOD_COUNT];

void sheet_spaces(FILE *to, int n);
/* `text` in a column of that width; a longer one is not cut. */
void sheet_left(FILE *to, const char *text, int width);
void sheet_right(FILE *to, const char *text, int width);
void sheet_spread(FILE *to, struct spread x, int width); /* at the column's right */
void sheet_wrap(FILE *to, const char *text);             /* a paragraph, broken at spaces */

const struct cell *sheet_cell(const struct sheet *p, uint32_t point, enum method method);
void sheet_heading(const struct sheet *p); /* the study's name and its fixed settings */
/* Every table says the link and the trials, since tables get copied alone. */
void sheet_title(const struct sheet *p, const char *what);
void sheet_point(const struct sheet *p, uint32_t point); /* "prefill 8192"; none without a sweep */
void sheet_sweep_left(const struct sheet *p, int width);
void sheet_point_left(const struct sheet *p, uint32_t point, int width);

#endif
