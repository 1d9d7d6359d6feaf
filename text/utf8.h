/*
 * utf8.h - well-formed UTF-8 (Unicode 15, table 3-7): checks, steps, and a
 * form of foreign bytes that is safe inside an error line.
 */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What n bytes (1..4) at s are: no beginning of a character, the beginning of
 * one, or exactly one. */
enum utf8_state { UTF8_BAD, UTF8_PART, UTF8_WHOLE };
enum utf8_state utf8_state(const char *s, size_t n);

/* Bytes of the character at s; 0 where it is ill-formed or cut off at n. */
size_t utf8_len(const char *s, size_t n);

/* True for well-formed text; otherwise *bad_at is the first offending byte. */
bool utf8_check(const char *s, size_t n, size_t *bad_at);

/* The code point of a well-formed character of `len` bytes. */
uint32_t utf8_code(const char *s, size_t len);

/* The White_Space property. */
bool utf8_is_space(uint32_t code);

/* What \w matches (Unicode UTS 18): letters, marks, digits, connectors. */
bool utf8_is_word(uint32_t code);

/* The start of the last character of well-formed s[0..n), n > 0. */
size_t utf8_last(const char *s, size_t n);

#define UTF8_SHOW_BYTES 64
/* Writes s into out[UTF8_SHOW_BYTES] with control characters, invisible
 * ones and ill-formed bytes as \xNN, cut with "..." where it is long. Returns out. */
const char *utf8_show(char *out, const char *s, size_t n);

#endif
