/*
 * json_line.h - the text that one line of a JSON Lines file holds in a field.
 */
#ifndef ORCHESTRATOR_JSON_LINE_H
#define ORCHESTRATOR_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"
#include "text/text_buf.h"

enum { JSON_LINE_FIELD_BYTES = 128 };

/* True for the name of a field: "text", or "a.b" for b in the object a; no
 * part is empty, at most JSON_LINE_FIELD_BYTES in all. */
bool json_line_is_field(const char *field);

/* True for a line of blanks, which holds no document. */
bool json_line_is_blank(const char *line, size_t n_bytes);

/* Replaces *out (initialised) by the field's text, which is well-formed UTF-8
 * and may hold NUL. ST_INVALID without the place, which the caller knows: not
 * UTF-8, not JSON, no object, the field missing or no string; the words say
 * what would be right. */
enum status json_line_text(struct text_buf *out, const char *line, size_t n_bytes,
                           const char *field, struct err *err);

#endif
