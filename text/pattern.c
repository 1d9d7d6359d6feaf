#include "text/pattern.h"

#include <stdint.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/mem.h"
#include "text/utf8.h"

/* The patterns in use match within a few hundred steps per word; a hostile one
 * should end in a second, not in a year. */
#define MATCH_LIMIT       1000000
#define MAX_PATTERN_BYTES 65536
#define JIT_STACK_BYTES   (8u << 20)

struct pattern {
    pcre2_code *code;
};

struct pattern_scan {
    const struct pattern *pattern;
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    const char *text;
    size_t n;
    size_t pos;      /* where the next search begins; over n at the end */
    size_t last_end; /* of the last match; SIZE_MAX before the first */
};

enum status pattern_open(struct pattern **out, enum pattern_syntax syntax, const char *text,
                         size_t n, struct err *err)
{
    uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK;
    struct pattern *p;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR words[128];
    pcre2_code *code;
    int rc = 0;

    options |= syntax == PATTERN_LITERAL ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    if (n == 0)
        return err_set(err, ST_CORRUPT, "the pattern is empty");
    if (n > MAX_PATTERN_BYTES)
        return err_set(err, ST_CORRUPT, "the pattern has %zu bytes, more than %d", n,
                       MAX_PATTERN_BYTES);
    code = pcre2_compile((PCRE2_SPTR)text, n, options, &rc, &at, NULL);
    if (code == NULL) {
        pcre2_get_error_message(rc, words, sizeof words);
        return err_set(err, ST_CORRUPT, "the pattern fails at byte %zu: %s", (size_t)at,
                       (const char *)words);
    }
    /* Without JIT support the interpreter gives the same matches, slower. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    p = mem_zalloc(sizeof *p);
    p->code = code;
    *out = p;
    return ST_OK;
}

void pattern_close(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    pcre2_code_free(pattern->code);
    free(pattern);
}

struct pattern_scan *pattern_scan_open(const struct pattern *pattern)
{
    struct pattern_scan *scan = mem_zalloc(sizeof *scan);

    scan->pattern = pattern;
    scan->data = pcre2_match_data_create(1, NULL);
    scan->context = pcre2_match_context_create(NULL);
    scan->stack = pcre2_jit_stack_create(32768, JIT_STACK_BYTES, NULL);
    CHECK(scan->data != NULL && scan->context != NULL);
    if (scan->stack != NULL) /* NULL without JIT support */
        pcre2_jit_stack_assign(scan->context, NULL, scan->stack);
    pcre2_set_match_limit(scan->context, MATCH_LIMIT);
    return scan;
}

void pattern_scan_close(struct pattern_scan *scan)
{
    if (scan == NULL)
        return;
    pcre2_match_data_free(scan->data);
    pcre2_match_context_free(scan->context);
    pcre2_jit_stack_free(scan->stack);
    free(scan);
}

void pattern_scan_start(struct pattern_scan *scan, const char *text, size_t n)
{
    scan->text = text;
    scan->n = n;
    scan->pos = 0;
    scan->last_end = SIZE_MAX;
}

static enum status search_failed(int rc, size_t pos, struct err *err)
{
    PCRE2_UCHAR words[128];

    pcre2_get_error_message(rc, words, sizeof words);
    return err_set(err, ST_INVALID, "splitting the text at byte %zu of a segment: %s", pos,
                   (const char *)words);
}

enum status pattern_scan_next(struct pattern_scan *scan, size_t *start, size_t *end, bool *found,
                              struct err *err)
{
    *found = false;
    while (scan->pos <= scan->n) {
        int rc = pcre2_match(scan->pattern->code, (PCRE2_SPTR)scan->text, scan->n, scan->pos,
                             PCRE2_NO_UTF_CHECK, scan->data, scan->context);
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(scan->data);

        if (rc == PCRE2_ERROR_NOMATCH) {
            scan->pos = scan->n + 1;
            return ST_OK;
        }
        if (rc < 0)
            return search_failed(rc, scan->pos, err);
        /* \K can move the start behind the end, or before the last match. */
        if (range[0] > range[1] || range[0] < scan->pos)
            return err_set(err, ST_INVALID, "the pattern's match at byte %zu ends before it starts",
                           (size_t)range[0]);
        if (range[0] == range[1] && range[1] == scan->last_end) {
            size_t step = utf8_len(scan->text + scan->pos, scan->n - scan->pos);

            scan->pos += step > 0 ? step : 1;
            continue;
        }
        scan->pos = range[1];
        scan->last_end = range[1];
        *start = range[0];
        *end = range[1];
        *found = true;
        return ST_OK;
    }
    return ST_OK;
}
