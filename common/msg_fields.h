/*
 * msg_fields.h - the field list of every message, shared by reader and writer.
 *
 * Inner header of msg.c and msg_*.c. Each list starts with msg_fields(c, n),
 * where n is the number of its fields; an array of fixed room is one field.
 */
#ifndef COMMON_MSG_FIELDS_H
#define COMMON_MSG_FIELDS_H

#include "common/coder.h"
#include "common/msg.h"

/* void code_<word>(struct coder *, struct msg_<word> *) for every message;
 * words that several verbs share are declared more than once, alike. */
#define MSG_DECLARE(verb, word) void code_##word(struct coder *c, struct msg_##word *m);
MSG_LIST(MSG_DECLARE)
#undef MSG_DECLARE

/* An array header of exactly n. */
static inline void msg_fields(struct coder *c, uint32_t n)
{
    uint32_t found = n;

    code_count(c, "number of fields", &found, n);
    if (found != n)
        coder_fail(c, "number of fields");
}

/* A number below `limit`. */
static inline void msg_below(struct coder *c, const char *field, uint32_t *v, uint32_t limit)
{
    code_u32(c, field, v);
    if (*v >= limit)
        coder_fail(c, field);
}

#endif
