/*
 * doctor_list.h - what was found, line by line, for a screen of 24 lines of 80
 * columns.
 */
#ifndef ORCHESTRATOR_DOCTOR_LIST_H
#define ORCHESTRATOR_DOCTOR_LIST_H

#include <stdint.h>
#include <stdio.h>

enum doctor_mark { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_PROBLEM };

enum { DOCTOR_MAX_LINES = 24, DOCTOR_ROWS = 24, DOCTOR_COLUMNS = 80 };

struct doctor_line {
    enum doctor_mark mark;
    char what[11];
    char text[512];
    char remedy[160]; /* "": none */
};

struct doctor_list {
    uint32_t n_lines, n_of[DOCTOR_PROBLEM + 1]; /* by mark */
    struct doctor_line line[DOCTOR_MAX_LINES];
};

/* `remedy` NULL: none. A list that is full takes no more. */
void doctor_list_add(struct doctor_list *list, enum doctor_mark mark, const char *what,
                     const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Long texts are wrapped. Where all does not fit into `rows`, the remedies of
 * notes give way, the last first; problems keep theirs. */
void doctor_list_print(FILE *to, const struct doctor_list *list, uint32_t rows);

#endif
