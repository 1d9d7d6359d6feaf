#include "orchestrator/log_tail.h"

#include <stdio.h>
#include <string.h>

enum { READ_BYTES = 8192 };

/* Where the last n_lines lines of at most `room` bytes begin; the last line in
 * any case. */
static const char *begin_of(const char *text, size_t n, uint32_t n_lines, size_t room)
{
    const char *begin = text + n;

    for (uint32_t i = 0; i < n_lines && begin > text; i++) {
        const char *line = i == 0 ? begin : begin - 1; /* behind the newline before */
        while (line > text && line[-1] != '\n')
            line--;
        if (i > 0 && (size_t)(text + n - line) > room)
            break;
        begin = line;
    }
    return begin;
}

void log_tail_read(const char *path, uint32_t n_lines, char *buf, size_t size)
{
    char text[READ_BYTES + 1];
    FILE *file = fopen(path, "re");
    size_t n;

    buf[0] = '\0';
    if (file == NULL)
        return;
    if (fseek(file, -READ_BYTES, SEEK_END) != 0)
        rewind(file);
    n = fread(text, 1, READ_BYTES, file);
    fclose(file);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\0'))
        n--;
    text[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
            text[i] = (unsigned char)text[i] < ' ' ? ' ' : '?';
    snprintf(buf, size, "%s", begin_of(text, n, n_lines, size - 1));
}

const char *log_tail_last(const char *tail)
{
    const char *newline = strrchr(tail, '\n');

    return newline != NULL ? newline + 1 : tail;
}
