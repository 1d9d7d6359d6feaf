/*
 * prompt.h - the text of a prompt, from a file.
 */
#ifndef TEXT_PROMPT_H
#define TEXT_PROMPT_H

#include "common/status.h"
#include "text/text_buf.h"

#define PROMPT_MAX_BYTES ((size_t)1 << 30)

/* Fills an initialised, empty *out with well-formed UTF-8, byte for byte as in
 * the file; the caller releases it, also on failure. ST_NOT_FOUND, ST_IO, or
 * ST_INVALID: not a regular file, over PROMPT_MAX_BYTES, not UTF-8 (the words
 * name the byte). */
enum status prompt_read(struct text_buf *out, const char *path, struct err *err);

#endif
