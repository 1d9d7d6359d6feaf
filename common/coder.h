/*
 * coder.h - one list of fields that reads and writes msgpack.
 *
 * A coder either packs into its own buffer or reads strictly from the caller's
 * bytes: every field has exactly the expected type, a count never exceeds its
 * maximum or the bytes left, nothing is allocated from a claimed size. Only
 * msgpack's shortest form of a value is accepted, so that equal values have
 * equal bytes. It sticks at the first failure, so field lists need no checks; what failed is
 * in coder_finish.
 */
#ifndef COMMON_CODER_H
#define COMMON_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct coder {
    bool reading;
    enum status st;
    const char *field; /* the list's own word for what failed */
    /* reading */
    const uint8_t *in;
    size_t n_in, at;
    /* writing: owned, grows */
    uint8_t *out;
    size_t n_out, cap;
};

void coder_init_writer(struct coder *c);
void coder_init_reader(struct coder *c, const uint8_t *bytes, size_t n_bytes);
void coder_release(struct coder *c);

void code_u32(struct coder *c, const char *field, uint32_t *v);
void code_u64(struct coder *c, const char *field, uint64_t *v);
void code_i32(struct coder *c, const char *field, int32_t *v);
void code_f64(struct coder *c, const char *field, double *v); /* refuses NaN and infinity */
void code_bool(struct coder *c, const char *field, bool *v);
/* A text of less than `size` bytes; always terminated. */
void code_text(struct coder *c, const char *field, char *text, size_t size);
/* An array header; over `max`: fails and leaves 0. */
void code_count(struct coder *c, const char *field, uint32_t *n, uint32_t max);
/* Packed little-endian int32 as msgpack bin. Reading: *v is allocated for the
 * count found in the bytes present (never more), owned by the caller: free(). */
void code_i32_array(struct coder *c, const char *field, int32_t **v, uint32_t *n, uint32_t max);
void code_u64_array(struct coder *c, const char *field, uint64_t **v, uint32_t *n, uint32_t max);

/* For a list's own checks: sticks unless something failed before. */
void coder_fail(struct coder *c, const char *field);
/* Reading: bytes not read yet. */
size_t coder_left(const struct coder *c);

/* Reading: also refuses trailing bytes. ST_CORRUPT names `what` and the field. */
enum status coder_finish(struct coder *c, const char *what, struct err *err);

#endif
