/*
 * json_fields.h - typed fields of a JSON object, each within its range.
 *
 * The reader sticks at the first failure: later calls answer a harmless value and leave the
 * words alone, so that a list of fields needs no checks; the caller looks at `st` once.
 * A field that is absent and one that is null are the same.
 */
#ifndef MODEL_JSON_FIELDS_H
#define MODEL_JSON_FIELDS_H

#include <stdint.h>

#include <jansson.h>

#include "common/status.h"

struct json_fields {
    const json_t *object; /* borrowed */
    const char *where;    /* stands in messages: "config.json", "config.json: rope_scaling" */
    enum status st;       /* ST_CORRUPT once a field was refused */
    struct err *err;
};

bool json_fields_has(const struct json_fields *f, const char *key);

/* Required fields. Refused values are answered with `min`. */
uint32_t json_fields_u32(struct json_fields *f, const char *key, uint32_t min, uint32_t max);
double json_fields_real(struct json_fields *f, const char *key, double min, double max);

/* The same with a value for an absent field. */
uint32_t json_fields_u32_or(struct json_fields *f, const char *key, uint32_t min, uint32_t max,
                            uint32_t fallback);
double json_fields_real_or(struct json_fields *f, const char *key, double min, double max,
                           double fallback);
bool json_fields_bool_or(struct json_fields *f, const char *key, bool fallback);
/* Borrowed from the object, or `fallback`. */
const char *json_fields_text_or(struct json_fields *f, const char *key, const char *fallback);

#endif
