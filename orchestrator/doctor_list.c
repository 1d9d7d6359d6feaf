#include "orchestrator/doctor_list.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

enum { INDENT = 20, WIDTH = DOCTOR_COLUMNS - INDENT };

static const char *const mark_word[] = {"ok", "note", "problem"};

void doctor_list_add(struct doctor_list *list, enum doctor_mark mark, const char *what,
                     const char *remedy, const char *fmt, ...)
{
    struct doctor_line *line = &list->line[list->n_lines];
    va_list args;

    if (list->n_lines == DOCTOR_MAX_LINES)
        return;
    list->n_lines++;
    list->n_of[mark]++;
    line->mark = mark;
    snprintf(line->what, sizeof line->what, "%s", what);
    snprintf(line->remedy, sizeof line->remedy, "%s", remedy != NULL ? remedy : "");
    va_start(args, fmt);
    vsnprintf(line->text, sizeof line->text, fmt, args);
    va_end(args);
}

/* Bytes of `text` that go on a row: up to the last blank that fits, or the
 * whole width of a word that is longer. */
static size_t row_of(const char *text, size_t width)
{
    size_t n = strlen(text);

    if (n <= width)
        return n;
    for (size_t i = width; i > 0; i--)
        if (text[i] == ' ')
            return i;
    return width;
}

/* Returns the number of rows; `to` NULL only counts them. The first row
 * follows what stands on it already. */
static uint32_t wrap(FILE *to, const char *text, size_t width)
{
    uint32_t n_rows = 0;

    do {
        size_t n = row_of(text, width);
        if (to != NULL)
            fprintf(to, "%*s%.*s\n", n_rows > 0 ? DOCTOR_COLUMNS - (int)width : 0, "", (int)n,
                    text);
        text += n;
        text += strspn(text, " ");
        n_rows++;
    } while (*text != '\0');
    return n_rows;
}

static uint32_t remedy_rows(const struct doctor_line *line)
{
    return line->remedy[0] != '\0' ? wrap(NULL, line->remedy, WIDTH - 3) : 0;
}

void doctor_list_print(FILE *to, const struct doctor_list *list, uint32_t rows)
{
    bool shown[DOCTOR_MAX_LINES];
    uint32_t total = 0;

    for (uint32_t i = 0; i < list->n_lines; i++) {
        total += wrap(NULL, list->line[i].text, WIDTH) + remedy_rows(&list->line[i]);
        shown[i] = list->line[i].remedy[0] != '\0';
    }
    for (uint32_t i = list->n_lines; i > 0 && total > rows; i--) {
        if (list->line[i - 1].mark == DOCTOR_PROBLEM)
            continue;
        total -= remedy_rows(&list->line[i - 1]);
        shown[i - 1] = false;
    }
    for (uint32_t i = 0; i < list->n_lines; i++) {
        const struct doctor_line *line = &list->line[i];
        fprintf(to, "%-8s %-10s ", mark_word[line->mark], line->what);
        wrap(to, line->text, WIDTH);
        if (shown[i]) {
            fprintf(to, "%*s-> ", INDENT, "");
            wrap(to, line->remedy, WIDTH - 3);
        }
    }
}
