/*
 * tokenizer_config.h - what the files beside a tokenizer add to it: which
 * tokens begin and end a text, and tokens that were added after training.
 *
 * tokenizer_config.json says both, else special_tokens_map.json names the ends
 * and added_tokens.json lists tokens. A tokenizer.json lists its own.
 */
#ifndef TEXT_TOKENIZER_CONFIG_H
#define TEXT_TOKENIZER_CONFIG_H

#include "text/tokenizer_parts.h"

/* `folder` with its slash, or "". To be called before tokenizer_seal. A missing
 * file is none; ST_CORRUPT with file and field, ST_IO. */
enum status tokenizer_config_apply(struct tokenizer *tok, const char *folder, struct err *err);

#endif
