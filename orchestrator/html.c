#include "orchestrator/html.h"

#include <stdarg.h>
#include <string.h>

#include "text/utf8.h"

enum { PRINTF_BYTES = 2048 };

static const char *reference_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text(FILE *to, const char *words)
{
    const size_t n = strlen(words);
    size_t used;

    for (size_t at = 0; at < n; at += used) {
        const char *reference = reference_of(words[at]);
        used = utf8_len(words + at, n - at);
        if (reference != NULL)
            fputs(reference, to);
        else if (used == 0 || ((unsigned char)words[at] < 0x20 && words[at] != '\n') ||
                 words[at] == 0x7f)
            fputs("\xEF\xBF\xBD", to);
        else
            fwrite(words + at, 1, used, to);
        used = used > 0 ? used : 1;
    }
}

void html_printf(FILE *to, const char *fmt, ...)
{
    char text[PRINTF_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    html_text(to, text);
}
