/*
 * json_doc.h - JSON that nobody vouches for.
 *
 * Strict: duplicate keys, trailing bytes, NaN, NUL and integers beyond 64 bits are refused.
 * Every refusal is one line with the name, line and column.
 */
#ifndef MODEL_JSON_DOC_H
#define MODEL_JSON_DOC_H

#include <stddef.h>

#include <jansson.h>

#include "common/status.h"

/* 4 MiB: 20 times what a Llama of 256 layers needs, and small enough that the parsed tree of a
 * hostile text (about 50 bytes per byte) does no harm. */
enum { JSON_DOC_MAX_BYTES = 4 << 20 };

/* *out is an object, owned by the caller: json_decref(). `name` stands in messages. ST_CORRUPT. */
enum status json_doc_parse(json_t **out, const char *text, size_t n_bytes, const char *name,
                           struct err *err);

/* Foreign text made fit for a message: at most 63 bytes, printable ASCII, the rest as '?'. */
struct json_word {
    char text[64];
};
struct json_word json_doc_word(const char *text);

#endif
