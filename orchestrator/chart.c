#include "orchestrator/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Room for one more of `size` bytes in *list. */
static void grow(void **list, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return;
    *cap = *cap > 0 ? 2 * *cap : 8;
    *list = mem_resize(*list, *cap, size);
}

void chart_init(struct chart *c, const char *stem, const char *title)
{
    *c = (struct chart){.n_series = 0};
    snprintf(c->stem, sizeof c->stem, "%s", stem);
    snprintf(c->title, sizeof c->title, "%s", title);
}

void chart_release(struct chart *c)
{
    for (uint32_t i = 0; i < c->n_series; i++) {
        free(c->series[i].value);
        free(c->series[i].dot);
    }
    free(c->series);
    free(c->tick);
    *c = (struct chart){.n_series = 0};
}

struct chart_series *chart_add(struct chart *c, const char *name, const char *colour,
                               enum chart_style style)
{
    struct chart_series *s;

    grow((void **)&c->series, c->n_series, &c->cap_series, sizeof *c->series);
    s = &c->series[c->n_series++];
    *s = (struct chart_series){.style = style, .width = 0.8};
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->colour, sizeof s->colour, "%s", colour);
    return s;
}

void chart_value(struct chart_series *s, struct chart_value value)
{
    grow((void **)&s->value, s->n_values, &s->cap_values, sizeof *s->value);
    s->value[s->n_values++] = value;
}

void chart_dot(struct chart_series *s, double x, double y)
{
    if (!isfinite(y))
        return;
    grow((void **)&s->dot, s->n_dots, &s->cap_dots, sizeof *s->dot);
    s->dot[s->n_dots++] = (struct chart_dot){x, y};
}

void chart_tick(struct chart *c, double x, const char *label)
{
    grow((void **)&c->tick, c->n_ticks, &c->cap_ticks, sizeof *c->tick);
    c->tick[c->n_ticks].x = x;
    snprintf(c->tick[c->n_ticks].label, CHART_WORDS, "%s", label);
    c->n_ticks++;
}

bool chart_has_values(const struct chart *c)
{
    for (uint32_t s = 0; s < c->n_series; s++)
        for (uint32_t i = 0; i < c->series[s].n_values; i++)
            if (isfinite(c->series[s].value[i].to))
                return true;
    return false;
}

/* ---- the script ---- */

/* In single quotes gnuplot interprets nothing but a doubled quote. */
static void quoted(FILE *to, const char *words)
{
    fputc('\'', to);
    for (; *words != '\0'; words++) {
        if (*words == '\'')
            fputc('\'', to);
        fputc((unsigned char)*words < 0x20 ? ' ' : *words, to);
    }
    fputc('\'', to);
}

static void set_words(FILE *to, const char *what, const char *words)
{
    fprintf(to, "set %s ", what);
    quoted(to, words);
    fputc('\n', to);
}

/* x from to low high; without a deviation low and high are `to`. */
static void data_blocks(FILE *to, const struct chart *c)
{
    for (uint32_t s = 0; s < c->n_series; s++) {
        const struct chart_series *of = &c->series[s];
        fprintf(to, "$v%u << END\n", s);
        for (uint32_t i = 0; i < of->n_values; i++) {
            const struct chart_value *v = &of->value[i];
            double std = isfinite(v->std) ? v->std : 0;
            if (isfinite(v->to))
                fprintf(to, "%.9g %.9g %.9g %.9g %.9g\n", v->x, v->from, v->to, v->to - std,
                        v->to + std);
            else
                fputc('\n', to); /* a line breaks here */
        }
        fprintf(to, "END\n$d%u << END\n", s);
        for (uint32_t i = 0; i < of->n_dots; i++)
            fprintf(to, "%.9g %.9g\n", of->dot[i].x, of->dot[i].y);
        fputs("END\n", to);
    }
}

static bool has_deviation(const struct chart_series *s)
{
    for (uint32_t i = 0; i < s->n_values; i++)
        if (isfinite(s->value[i].to) && isfinite(s->value[i].std))
            return true;
    return false;
}

static bool has_values(const struct chart_series *s)
{
    for (uint32_t i = 0; i < s->n_values; i++)
        if (isfinite(s->value[i].to))
            return true;
    return false;
}

static void plot_series(FILE *to, const struct chart_series *s, uint32_t number)
{
    const char *axes = s->on_right ? "x1y2" : "x1y1";

    if (s->style == CHART_BOXES)
        fprintf(to,
                "$v%u using 1:3:($1-%.6g):($1+%.6g):2:3 with boxxyerror fs solid 0.85 noborder "
                "fc rgb '%s' title ",
                number, s->width / 2, s->width / 2, s->colour);
    else
        fprintf(to,
                "$v%u using 1:3 axes %s with linespoints lw 2 pt 7 ps 0.7 lc rgb '%s' "
                "title ",
                number, axes, s->colour);
    quoted(to, s->name);
    if (has_deviation(s))
        fprintf(to,
                ", \\\n     $v%u using 1:3:4:5 axes %s with yerrorbars pt 0 lw 1.5 lc rgb "
                "'#555555' notitle",
                number, axes);
    if (s->n_dots > 0)
        fprintf(to,
                ", \\\n     $d%u using 1:2 axes %s with points pt 6 ps 0.5 lc rgb '#555555' "
                "notitle",
                number, axes);
}

static void plot(FILE *to, const struct chart *c)
{
    const char *before = "plot ";

    for (uint32_t s = 0; s < c->n_series; s++) {
        if (!has_values(&c->series[s]))
            continue;
        fputs(before, to);
        plot_series(to, &c->series[s], s);
        before = ", \\\n     ";
    }
    fputc('\n', to);
}

static void axes(FILE *to, const struct chart *c)
{
    double first = INFINITY, last = -INFINITY;

    fputs("set xtics (", to);
    for (uint32_t i = 0; i < c->n_ticks; i++) {
        fputs(i > 0 ? ", " : "", to);
        quoted(to, c->tick[i].label);
        fprintf(to, " %.6g", c->tick[i].x);
        first = fmin(first, c->tick[i].x);
        last = fmax(last, c->tick[i].x);
    }
    fputs(")\n", to);
    if (c->n_ticks > 0)
        fprintf(to, "set xrange [%.6g:%.6g]\n", first - 0.6, last + 0.6);
    fputs("set yrange [0:*]\nset ytics nomirror\nset xtics nomirror scale 0\n", to);
    fputs("set grid ytics lc rgb '#999999' lw 0.5 dt 3\nset border 3\n", to);
    if (c->right_label[0] != '\0') {
        fputs("set y2range [0:*]\nset y2tics\nset border 11\n", to);
        set_words(to, "y2label", c->right_label);
    }
}

static void title_line(FILE *to, const char *words)
{
    if (words[0] == '\0')
        return;
    fputs(".\"\\n\".", to);
    quoted(to, words);
}

void chart_script(FILE *to, const struct chart *c)
{
    fprintf(to, "# gnuplot %s.gp draws %s.svg and %s.png\nreset session\nset encoding utf8\n",
            c->stem, c->stem, c->stem);
    data_blocks(to, c);
    axes(to, c);
    set_words(to, "xlabel", c->x_label);
    set_words(to, "ylabel", c->y_label);
    fputs("set title ", to);
    quoted(to, c->title);
    title_line(to, c->note);
    title_line(to, c->order);
    /* The empty title keeps the key off the words of the axis. */
    fputs("\nset key outside bottom center horizontal title ' '\n", to);
    fprintf(to, "set terminal svg size 760,430 dynamic noenhanced font 'sans-serif,13' name '%s'\n",
            c->stem);
    fprintf(to, "set output '%s.svg'\n", c->stem);
    plot(to, c);
    fputs("set terminal pngcairo size 1140,645 noenhanced font 'sans-serif,13'\n", to);
    fprintf(to, "set output '%s.png'\nreplot\nunset output\n", c->stem);
}
