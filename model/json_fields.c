#include "model/json_fields.h"

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

/* NULL if absent or null, or if the reader already stuck. */
static const json_t *find(const struct json_fields *f, const char *key)
{
    const json_t *value = json_object_get(f->object, key);

    return f->st != ST_OK || json_is_null(value) ? NULL : value;
}

bool json_fields_has(const struct json_fields *f, const char *key)
{
    return find(f, key) != NULL;
}

static void refuse_missing(struct json_fields *f, const char *key)
{
    if (f->st == ST_OK)
        f->st = err_set(f->err, ST_CORRUPT, "%s: %s is missing", f->where, key);
}

static void refuse_kind(struct json_fields *f, const char *key, const json_t *value,
                        const char *wanted)
{
    f->st = err_set(f->err, ST_CORRUPT, "%s: %s is %s, wanted %s", f->where, key, kind_of(value),
                    wanted);
}

uint32_t json_fields_u32(struct json_fields *f, const char *key, uint32_t min, uint32_t max)
{
    const json_t *value = find(f, key);
    json_int_t number;

    if (value == NULL) {
        refuse_missing(f, key);
        return min;
    }
    if (!json_is_integer(value)) {
        refuse_kind(f, key, value, "an integer");
        return min;
    }
    number = json_integer_value(value);
    if (number < (json_int_t)min || number > (json_int_t)max) {
        f->st = err_set(f->err, ST_CORRUPT, "%s: %s = %lld is out of range [%u, %u]", f->where, key,
                        (long long)number, min, max);
        return min;
    }
    return (uint32_t)number;
}

double json_fields_real(struct json_fields *f, const char *key, double min, double max)
{
    const json_t *value = find(f, key);
    double number;

    if (value == NULL) {
        refuse_missing(f, key);
        return min;
    }
    if (!json_is_number(value)) {
        refuse_kind(f, key, value, "a number");
        return min;
    }
    number = json_number_value(value);
    if (!(number >= min && number <= max)) {
        f->st = err_set(f->err, ST_CORRUPT, "%s: %s = %g is out of range [%g, %g]", f->where, key,
                        number, min, max);
        return min;
    }
    return number;
}

uint32_t json_fields_u32_or(struct json_fields *f, const char *key, uint32_t min, uint32_t max,
                            uint32_t fallback)
{
    return json_fields_has(f, key) ? json_fields_u32(f, key, min, max) : fallback;
}

double json_fields_real_or(struct json_fields *f, const char *key, double min, double max,
                           double fallback)
{
    return json_fields_has(f, key) ? json_fields_real(f, key, min, max) : fallback;
}

bool json_fields_bool_or(struct json_fields *f, const char *key, bool fallback)
{
    const json_t *value = find(f, key);

    if (value == NULL)
        return fallback;
    if (!json_is_boolean(value)) {
        refuse_kind(f, key, value, "true or false");
        return fallback;
    }
    return json_is_true(value);
}

const char *json_fields_text_or(struct json_fields *f, const char *key, const char *fallback)
{
    const json_t *value = find(f, key);

    if (value == NULL)
        return fallback;
    if (!json_is_string(value)) {
        refuse_kind(f, key, value, "a string");
        return fallback;
    }
    return json_string_value(value);
}
