/*
 * chat_source.h - the source of a checkpoint's chat template.
 */
#ifndef TEXT_CHAT_SOURCE_H
#define TEXT_CHAT_SOURCE_H

#include "common/status.h"
#include "text/text_buf.h"

/* Appends to an initialised *out what chat_template.jinja of the directory holds,
 * or else the chat_template of tokenizer_config.json: a string, or of a list of
 * named ones the "default". ST_NOT_FOUND: neither; ST_CORRUPT, ST_INVALID, ST_IO. */
enum status chat_source_read(struct text_buf *out, const char *dir, struct err *err);

#endif
