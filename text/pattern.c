#include "text/pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/mem.h"
#include "text/utf8.h"

/* Patterns in use need a few hundred steps per word, and a step per byte of the
 * longest run; a hostile one should end in a second, not in a year. */
#define MATCH_LIMIT       10000000
#define HEAP_LIMIT_KIB    65536
#define MAX_PATTERN_BYTES 65536
#define JIT_STACK_BYTES   (8u << 20)
/* Limits hold per starting point; many cheap ones can still add up to a square.
 * So the thread's own time is measured too: patterns in use need some 0.1 us
 * per byte, a hundred times less than what is allowed. */
#define GRACE_NS    1000000000
#define NS_PER_BYTE 10000

struct pattern {
    pcre2_code *code;
    bool is_linear; /* a literal: time grows with the text alone */
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
    size_t done;     /* bytes of earlier texts, and of this one in steps */
    int64_t begun_ns;
    unsigned n_searches; /* since the time was looked at */
};

static int64_t thread_ns(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

enum status pattern_open(struct pattern **out, enum pattern_syntax syntax, const char *text,
                         size_t n, struct err *err)
{
    uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK;
    struct pattern *p;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR words[128];
    pcre2_code *code;
    size_t bad = 0;
    int rc = 0;

    options |= syntax == PATTERN_LITERAL
                   ? PCRE2_LITERAL
                   : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
    if (n == 0)
        return err_set(err, ST_CORRUPT, "the pattern is empty");
    if (n > MAX_PATTERN_BYTES)
        return err_set(err, ST_CORRUPT, "the pattern has %zu bytes, more than %d", n,
                       MAX_PATTERN_BYTES);
    if (!utf8_check(text, n, &bad))
        return err_set(err, ST_CORRUPT, "the pattern is no UTF-8 at byte %zu", bad);
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
    p->is_linear = syntax == PATTERN_LITERAL;
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
    pcre2_set_heap_limit(scan->context, HEAP_LIMIT_KIB);
    scan->begun_ns = thread_ns();
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
    scan->done += scan->n;
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

static enum status check_time(struct pattern_scan *scan, struct err *err)
{
    double allowed = GRACE_NS + (double)NS_PER_BYTE * (double)(scan->done + scan->pos);

    scan->n_searches = 0;
    if ((double)(thread_ns() - scan->begun_ns) <= allowed)
        return ST_OK;
    return err_set(err, ST_INVALID,
                   "splitting the text at byte %zu of a segment: the pattern takes over %d us of "
                   "CPU time a byte",
                   scan->pos, NS_PER_BYTE / 1000);
}

/* One search from scan->pos on; *rc as of pcre2_match. Starting points are tried
 * in growing groups, so that the time can be looked at in between; patterns in
 * use match at the first. */
static enum status search(struct pattern_scan *scan, int *rc, struct err *err)
{
    const pcre2_code *code = scan->pattern->code;
    size_t from = scan->pos, last;
    enum status st = ST_OK;

    if (scan->pattern->is_linear) {
        *rc = pcre2_match(code, (PCRE2_SPTR)scan->text, scan->n, from, PCRE2_NO_UTF_CHECK,
                          scan->data, scan->context);
        return ST_OK;
    }
    for (size_t group = 1;; group *= 2) {
        last = scan->n - from > group ? from + group : scan->n;
        while (last < scan->n && ((unsigned char)scan->text[last] & 0xC0) == 0x80)
            last++;
        pcre2_set_offset_limit(scan->context, last);
        *rc = pcre2_match(code, (PCRE2_SPTR)scan->text, scan->n, from, PCRE2_NO_UTF_CHECK,
                          scan->data, scan->context);
        if (++scan->n_searches >= 256 || group >= 256)
            st = check_time(scan, err);
        if (*rc != PCRE2_ERROR_NOMATCH || last == scan->n || st != ST_OK)
            return st;
        from = last;
    }
}

enum status pattern_scan_next(struct pattern_scan *scan, size_t *start, size_t *end, bool *found,
                              struct err *err)
{
    *found = false;
    while (scan->pos <= scan->n) {
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(scan->data);
        int rc = 0;
        enum status st = search(scan, &rc, err);

        if (st != ST_OK)
            return st;
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
