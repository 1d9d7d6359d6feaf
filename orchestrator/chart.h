/*
 * chart.h - one figure of a report: boxes, lines and single points over a
 * labelled axis, written as a gnuplot script.
 *
 * The script draws `stem`.svg (no background, text in sans-serif) and
 * `stem`.png beside itself. Words may hold anything: they are quoted for
 * gnuplot and never interpreted by it.
 */
#ifndef ORCHESTRATOR_CHART_H
#define ORCHESTRATOR_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CHART_WORDS = 200 };

enum chart_style { CHART_BOXES, CHART_LINE };

/* NaN in `to` leaves a gap. */
struct chart_value {
    double x, from, to; /* a box stands from..to; a line runs through `to` */
    double std;         /* of an error bar at `to`; NaN: none */
};

/* A single measurement, drawn over its box or line. */
struct chart_dot {
    double x, y;
};

struct chart_series {
    char name[CHART_WORDS];
    char colour[8]; /* "#rrggbb" */
    enum chart_style style;
    bool on_right; /* measured by the right axis */
    double width;  /* of a box */
    uint32_t n_values, cap_values, n_dots, cap_dots;
    struct chart_value *value; /* owned */
    struct chart_dot *dot;     /* owned */
};

struct chart_tick {
    double x;
    char label[CHART_WORDS];
};

struct chart {
    char stem[64];           /* of file names: letters, digits and '_' */
    char title[CHART_WORDS]; /* with what must stand on every figure */
    char note[3 * CHART_WORDS];
    char order[3 * CHART_WORDS]; /* of boxes that colours do not tell apart; "": none */
    char x_label[CHART_WORDS], y_label[CHART_WORDS];
    char right_label[CHART_WORDS]; /* "": no right axis */
    uint32_t n_series, n_ticks, cap_series, cap_ticks;
    struct chart_series *series; /* owned */
    struct chart_tick *tick;     /* owned */
};

void chart_init(struct chart *c, const char *stem, const char *title);
void chart_release(struct chart *c);

/* Borrowed until the next chart_add. */
struct chart_series *chart_add(struct chart *c, const char *name, const char *colour,
                               enum chart_style style);
void chart_value(struct chart_series *s, struct chart_value value);
void chart_dot(struct chart_series *s, double x, double y);
void chart_tick(struct chart *c, double x, const char *label);

/* True if anything can be drawn: at least one finite value. */
bool chart_has_values(const struct chart *c);
void chart_script(FILE *to, const struct chart *c);

#endif
