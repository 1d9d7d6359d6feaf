#include "orchestrator/sheet.h"

#include <math.h>
#include <string.h>

#include "orchestrator/heading.h"

enum { FIELD_BYTES = 96 };

const char *const sheet_short_names[METHOD_COUNT] = {"baseline", "vanilla", "mspeckv", "kv_quant"};

/* Columns of a text on a terminal: bytes that begin a character. */
static int sheet_columns(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

void sheet_spaces(FILE *to, int n)
{
    for (; n > 0; n--)
        fputc(' ', to);
}

void sheet_left(FILE *to, const char *text, int width)
{
    fputs(text, to);
    sheet_spaces(to, width - sheet_columns(text));
}

void sheet_right(FILE *to, const char *text, int width)
{
    sheet_spaces(to, width - sheet_columns(text));
    fputs(text, to);
}

/* Breaks at spaces, so that no line is over SHEET_COLUMNS. */
void sheet_wrap(FILE *to, const char *text)
{
    int at = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        char word[HEADING_BYTES];
        snprintf(word, sizeof word, "%.*s", (int)n, text);
        if (at > 0 && at + 1 + sheet_columns(word) > SHEET_COLUMNS) {
            fputc('\n', to);
            at = 0;
        } else if (at > 0) {
            fputc(' ', to);
            at++;
        }
        fputs(word, to);
        at += sheet_columns(word);
        text += n + (text[n] == ' ');
    }
    fputc('\n', to);
}

/* Three figures or so, whatever the size. */
static int decimals(double x)
{
    x = fabs(x);
    return x >= 1000 ? 0 : x >= 100 ? 1 : x >= 1 ? 2 : 3;
}

void sheet_spread(FILE *to, struct spread x, int width)
{
    char text[FIELD_BYTES];
    heading_spread(x, decimals(x.mean), text, sizeof text);
    sheet_right(to, text, width);
}

const struct cell *sheet_cell(const struct sheet *p, uint32_t point, enum method method)
{
    return summary_cell(p->s, p->index, point, method);
}

void sheet_heading(const struct sheet *p)
{
    char text[HEADING_BYTES];
    fprintf(p->to, "\n%s: %s\n", p->study->name, p->study->title);
    heading_fixed(p->study, text);
    sheet_wrap(p->to, text);
}

void sheet_title(const struct sheet *p, const char *what)
{
    char text[HEADING_BYTES], line[2 * HEADING_BYTES];
    heading_trials(p->s, text);
    snprintf(line, sizeof line, "%s (%s)", what, text);
    fputc('\n', p->to);
    sheet_wrap(p->to, line);
}

void sheet_point(const struct sheet *p, uint32_t point)
{
    char sweep[FIELD_BYTES], value[FIELD_BYTES];
    if (p->study->n_sweeps == 0)
        return;
    heading_sweep(p->study, sweep, sizeof sweep);
    heading_point(p->study, point, value, sizeof value);
    fprintf(p->to, "%s %s\n", sweep, value);
}

void sheet_sweep_left(const struct sheet *p, int width)
{
    char sweep[FIELD_BYTES];
    heading_sweep(p->study, sweep, sizeof sweep);
    sheet_left(p->to, sheet_columns(sweep) <= width ? sweep : "sweep", width);
}

void sheet_point_left(const struct sheet *p, uint32_t point, int width)
{
    char value[FIELD_BYTES];
    heading_point(p->study, point, value, sizeof value);
    sheet_left(p->to, value, width);
}
