#include "common/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *status_words(enum status st)
{
    static const char *const words[ST_COUNT] = {
#define STATUS_WORDS(name, words) [ST_##name] = words,
        STATUS_LIST(STATUS_WORDS)
#undef STATUS_WORDS
    };

    if ((unsigned)st >= ST_COUNT)
        return "unknown status";
    return words[st];
}

/* Foreign bytes get into words: a file name, a token, a peer's own words. Bytes
 * of UTF-8 stay. */
static void keep_to_one_line(struct err *err)
{
    for (char *c = err->text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

enum status err_set(struct err *err, enum status st, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return st;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    keep_to_one_line(err);
    return st;
}

enum status err_in(struct err *err, enum status st, const char *fmt, ...)
{
    char where[sizeof err->text];
    char old[sizeof err->text];
    va_list ap;
    size_t used;

    if (err == NULL)
        return st;
    va_start(ap, fmt);
    vsnprintf(where, sizeof where, fmt, ap);
    va_end(ap);
    memcpy(old, err->text, sizeof old);
    snprintf(err->text, sizeof err->text, "%s", where);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s",
             old[0] != '\0' ? old : status_words(st));
    keep_to_one_line(err);
    return st;
}
