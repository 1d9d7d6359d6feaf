/*
 * byte_level.h - GPT-2's spelling of any byte as a visible character.
 *
 * Bytes 33..126, 161..172 and 174..255 stand for the code point of the same
 * number; the other 68, in order, for U+0100 and up (openai/gpt-2,
 * bytes_to_unicode).
 */
#ifndef TEXT_BYTE_LEVEL_H
#define TEXT_BYTE_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "text/text_buf.h"

/* The pattern that a ByteLevel pre-tokenizer with use_regex splits by. */
#define BYTE_LEVEL_PATTERN                                                                         \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* Appends the spelling of each byte. */
void byte_level_spell(struct text_buf *out, const char *bytes, size_t n);

/* Appends the bytes that well-formed `text` spells. False, and nothing is
 * appended, when one of its characters spells no byte. */
bool byte_level_read(struct text_buf *out, const char *text, size_t n);

#endif
