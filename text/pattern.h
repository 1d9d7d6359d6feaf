/*
 * pattern.h - a regular expression or a literal from a tokenizer file, and the
 * walk over its matches. PCRE2 with Unicode classes; match limits hold.
 */
#ifndef TEXT_PATTERN_H
#define TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

enum pattern_syntax { PATTERN_REGEX, PATTERN_LITERAL };

struct pattern;
/* ST_CORRUPT: empty, or not a pattern that PCRE2 understands; the words hold
 * the offset. */
enum status pattern_open(struct pattern **out, enum pattern_syntax syntax, const char *text,
                         size_t n, struct err *err);
void pattern_close(struct pattern *pattern);

struct pattern_scan; /* one walk; borrows the pattern until closed */
struct pattern_scan *pattern_scan_open(const struct pattern *pattern);
void pattern_scan_close(struct pattern_scan *scan);

/* `text` is well-formed UTF-8, borrowed while the walk lasts. */
void pattern_scan_start(struct pattern_scan *scan, const char *text, size_t n);

/* *found false: no more. An empty match directly after the last match does
 * not count. ST_INVALID where the pattern ran into its limits. */
enum status pattern_scan_next(struct pattern_scan *scan, size_t *start, size_t *end, bool *found,
                              struct err *err);

#endif
