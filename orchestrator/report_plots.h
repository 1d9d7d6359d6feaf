/*
 * report_plots.h - draws a run's figures with gnuplot into DIR/plots: for each
 * the script, an SVG and a PNG.
 */
#ifndef ORCHESTRATOR_REPORT_PLOTS_H
#define ORCHESTRATOR_REPORT_PLOTS_H

#include "common/status.h"
#include "orchestrator/report_run.h"

/* ST_NOT_FOUND: gnuplot is not there, with the package's name. ST_IO: it
 * failed, with its own last line. Figures without a value are not drawn. */
enum status report_plots_draw(const struct report_run *run, const char *dir, struct err *err);

/* The SVG of one figure, from "<svg" on; NULL if it was not drawn. Owned by the
 * caller: free(). */
char *report_plots_svg(const char *dir, const struct chart *chart);

#endif
