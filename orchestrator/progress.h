/*
 * progress.h - where a run stands: one line that is redrawn on a terminal,
 * plain lines elsewhere.
 */
#ifndef ORCHESTRATOR_PROGRESS_H
#define ORCHESTRATOR_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PROGRESS_COLUMNS = 80, PROGRESS_WORDS = 64 };

struct progress {
    FILE *to; /* borrowed */
    bool is_terminal, is_drawn;
    uint32_t n_cells, n_done;
    uint64_t begin_ns, phase_ns;
    char phase[PROGRESS_WORDS];
    double share;     /* of the phase; < 0: unknown */
    double tok_per_s; /* of the last trial; 0: none yet */
};

/* The clock of the ETA starts here. */
void progress_init(struct progress *p, FILE *to, bool is_terminal, uint32_t n_cells);
/* A new phase of the cell at hand. Elsewhere than on a terminal it is a line. */
void progress_phase(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_share(struct progress *p, uint64_t done, uint64_t total);
void progress_cell_done(struct progress *p, double tok_per_s);
void progress_draw(struct progress *p);  /* nothing but on a terminal */
void progress_clear(struct progress *p); /* before other output on the terminal */

/* The line itself, without newline, in at most PROGRESS_COLUMNS - 1 characters. */
void progress_text(const struct progress *p, uint64_t now_ns, char buf[PROGRESS_COLUMNS]);

#endif
