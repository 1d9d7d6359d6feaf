#include "model/rope_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "model/json_doc.h"
#include "model/json_fields.h"

/* What the kinds read their own fields from. */
struct source {
    struct json_fields *top;    /* the config */
    struct json_fields *nested; /* rope_scaling or rope_parameters */
    uint32_t max_positions;
};

static const double MAX_FACTOR = 1e6, MAX_POSITIONS = 1 << 24;

static void read_default(const struct source *s, struct rope_config *rope)
{
}

static void read_linear(const struct source *s, struct rope_config *rope)
{
    rope->factor = json_fields_real(s->nested, "factor", 1.0, MAX_FACTOR);
}

static void read_dynamic(const struct source *s, struct rope_config *rope)
{
    read_linear(s, rope);
    rope->max_positions = s->max_positions;
}

/* A length given beside the rotation's object stands before the one in it; a config without
 * either was not extended. */
static void read_original(const struct source *s, struct rope_config *rope)
{
    static const char key[] = "original_max_position_embeddings";
    double inner = json_fields_real_or(s->nested, key, 1.0, MAX_POSITIONS, s->max_positions);

    rope->original = inner;
    if (s->nested->st != ST_OK)
        return;
    rope->original = json_fields_real_or(s->top, key, 1.0, MAX_POSITIONS, inner);
    s->nested->st = s->top->st;
}

/* In the words of transformers: a key that is there and holds nothing. */
static bool is_null(const struct json_fields *f, const char *key)
{
    return json_is_null(json_object_get(f->object, key));
}

/* A factor of null, not an absent one, follows from the two lengths, as in transformers 5. */
static void read_yarn_factor(const struct source *s, struct rope_config *rope)
{
    struct json_fields *f = s->nested;

    rope->factor = 1.0;
    if (!is_null(f, "factor"))
        rope->factor = json_fields_real(f, "factor", 1.0, MAX_FACTOR);
    read_original(s, rope);
    if (f->st != ST_OK || !is_null(f, "factor"))
        return;
    rope->factor = s->max_positions / rope->original;
    if (rope->factor < 1.0)
        f->st = err_set(f->err, ST_CORRUPT,
                        "%s: factor is null, and max_position_embeddings %u over "
                        "original_max_position_embeddings %g is less than 1",
                        f->where, s->max_positions, rope->original);
}

/* The paper's temperature of attention, as a factor of cosine and sine. */
static double mscale_of(double factor, double mscale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static void read_yarn_attention(const struct source *s, struct rope_config *rope)
{
    double mscale = json_fields_real_or(s->nested, "mscale", 0.0, 1e3, 0.0);
    double all_dim = json_fields_real_or(s->nested, "mscale_all_dim", 0.0, 1e3, 0.0);
    double computed = mscale_of(rope->factor, 1.0);

    if (mscale != 0.0 && all_dim != 0.0)
        computed = mscale_of(rope->factor, mscale) / mscale_of(rope->factor, all_dim);
    rope->attention_factor =
        json_fields_real_or(s->nested, "attention_factor", 1e-3, 1e3, computed);
}

static void read_yarn(const struct source *s, struct rope_config *rope)
{
    struct json_fields *f = s->nested;

    read_yarn_factor(s, rope);
    read_yarn_attention(s, rope);
    rope->beta_fast = json_fields_real_or(f, "beta_fast", 1e-3, MAX_POSITIONS, 32.0);
    rope->beta_slow = json_fields_real_or(f, "beta_slow", 1e-3, MAX_POSITIONS, 1.0);
    /* As there, an absent one says yes and a null no. */
    rope->truncate = json_fields_bool_or(f, "truncate", !is_null(f, "truncate"));
    if (f->st == ST_OK && rope->beta_fast <= rope->beta_slow)
        f->st = err_set(f->err, ST_CORRUPT, "%s: beta_fast %g must be above beta_slow %g", f->where,
                        rope->beta_fast, rope->beta_slow);
}

static void read_llama3(const struct source *s, struct rope_config *rope)
{
    struct json_fields *f = s->nested;

    rope->factor = json_fields_real(f, "factor", 1.0, MAX_FACTOR);
    rope->low_freq = json_fields_real(f, "low_freq_factor", 1e-3, MAX_POSITIONS);
    rope->high_freq = json_fields_real(f, "high_freq_factor", 1e-3, MAX_POSITIONS);
    read_original(s, rope);
    if (f->st == ST_OK && rope->high_freq <= rope->low_freq)
        f->st =
            err_set(f->err, ST_CORRUPT, "%s: high_freq_factor %g must be above low_freq_factor %g",
                    f->where, rope->high_freq, rope->low_freq);
}

static const struct kind_name {
    const char *name;
    enum rope_kind kind;
    void (*read)(const struct source *s, struct rope_config *rope);
} kinds[] = {
    {"default", ROPE_DEFAULT, read_default}, {"linear", ROPE_LINEAR, read_linear},
    {"dynamic", ROPE_DYNAMIC, read_dynamic}, {"yarn", ROPE_YARN, read_yarn},
    {"llama3", ROPE_LLAMA3, read_llama3},
};

static void read_kind(const struct source *s, struct rope_config *rope, const char *fallback)
{
    struct json_fields *f = s->nested;
    const char *name = json_fields_text_or(f, "type", fallback);

    name = json_fields_text_or(f, "rope_type", name);
    if (f->st != ST_OK)
        return;
    if (name == NULL) {
        f->st = err_set(f->err, ST_CORRUPT, "%s: rope_type is missing", f->where);
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        rope->kind = kinds[i].kind;
        kinds[i].read(s, rope);
        return;
    }
    f->st = err_set(f->err, ST_UNSUPPORTED,
                    "%s: rope_type %s is not supported; default, linear, dynamic, yarn and llama3 "
                    "are",
                    f->where, json_doc_word(name).text);
}

static void read_theta(struct json_fields *f, struct rope_config *rope)
{
    rope->theta = json_fields_real_or(f, "rope_theta", 1.0 + 1e-6, 1e15, rope->theta);
    /* The rotation covers whole heads only. */
    if (json_fields_real_or(f, "partial_rotary_factor", 0.0, 1.0, 1.0) != 1.0 && f->st == ST_OK)
        f->st = err_set(f->err, ST_UNSUPPORTED,
                        "%s: partial_rotary_factor other than 1 is not supported", f->where);
}

/* One set for each kind of layer, keyed by its name, is what other architectures have. */
static void refuse_nesting(struct json_fields *nested)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)nested->object, key, value)
    {
        if (!json_is_object(value) || nested->st != ST_OK)
            continue;
        nested->st = err_set(nested->err, ST_UNSUPPORTED,
                             "%s: %s is an object; a rotation per kind of layer is not supported, "
                             "one for all layers is",
                             nested->where, json_doc_word(key).text);
    }
}

/* An empty rope_scaling says nothing and leaves rope_parameters standing. */
static const char *key_in_force(const struct json_fields *f)
{
    const json_t *older = json_object_get(f->object, "rope_scaling");
    bool empty = json_is_object(older) && json_object_size(older) == 0;

    if (json_fields_has(f, "rope_scaling") && !empty)
        return "rope_scaling";
    return json_fields_has(f, "rope_parameters") ? "rope_parameters" : NULL;
}

void rope_config_read(struct rope_config *out, struct json_fields *f, uint32_t max_positions)
{
    const char *key = key_in_force(f);
    char *where = mem_printf("%s: %s", f->where, key != NULL ? key : "");
    struct json_fields nested = {.where = where, .err = f->err};
    struct source source = {f, &nested, max_positions};

    *out = (struct rope_config){
        .kind = ROPE_DEFAULT, .theta = 10000.0, .factor = 1.0, .attention_factor = 1.0};
    read_theta(f, out);
    nested.st = f->st;
    if (key != NULL && nested.st == ST_OK) {
        nested.object = json_object_get(f->object, key);
        if (json_is_object(nested.object)) {
            refuse_nesting(&nested);
            read_theta(&nested, out);
            /* Only the newer spelling may leave the kind out. */
            read_kind(&source, out, strcmp(key, "rope_parameters") == 0 ? "default" : NULL);
        } else {
            nested.st = err_set(f->err, ST_CORRUPT, "%s: is neither an object nor null", where);
        }
    }
    f->st = nested.st;
    free(where);
}
