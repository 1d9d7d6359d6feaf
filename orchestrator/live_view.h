/*
 * live_view.h - a run on a terminal: the matrix, the machine's memory, and what
 * each place and its processes do, redrawn in place.
 *
 * A drawing is one write that hides the cursor first and shows it last, so
 * nothing flickers and nothing is left to restore however the process ends.
 */
#ifndef ORCHESTRATOR_LIVE_VIEW_H
#define ORCHESTRATOR_LIVE_VIEW_H

#include "orchestrator/run_watch.h"

enum { LIVE_VIEW_COLUMNS = 80, LIVE_VIEW_ROWS = 24, LIVE_VIEW_BYTES = 8192 };

struct live_view_size {
    uint32_t columns, rows; /* of the terminal */
};

/* The lines, each of at most columns - 1 and LIVE_VIEW_COLUMNS characters and
 * ended by '\n'; fewer than `rows` of them. Returns how many. */
uint32_t live_view_text(const struct run_watch *w, struct live_view_size size, uint64_t now_ns,
                        char buf[LIVE_VIEW_BYTES]);

/* On w->to, over what was drawn before. */
void live_view_draw(struct run_watch *w);
void live_view_clear(struct run_watch *w);

#endif
