#include "orchestrator/ceilings.h"

#include <math.h>
#include <stddef.h>

#include <jansson.h>

#include "common/mem.h"

struct field {
    const char *key;
    size_t offset;
};

static const struct field rates[] = {
    {"memory_gbps", offsetof(struct ceilings, memory_gbps)},
    {"compute_gflops", offsetof(struct ceilings, compute_gflops)},
    {"link_gbps", offsetof(struct ceilings, link_gbps)},
};

static const struct field of_model[] = {
    {"layers", offsetof(struct ceilings_model, n_layers)},
    {"heads", offsetof(struct ceilings_model, n_heads)},
    {"kv_heads", offsetof(struct ceilings_model, n_kv_heads)},
    {"head_dim", offsetof(struct ceilings_model, head_dim)},
    {"window", offsetof(struct ceilings_model, window)},
    {"pass_bytes", offsetof(struct ceilings_model, pass_bytes)},
    {"row_ops", offsetof(struct ceilings_model, row_ops)},
};

enum { N_RATES = sizeof rates / sizeof *rates, N_OF_MODEL = sizeof of_model / sizeof *of_model };

struct ceilings_model ceilings_model_of(const struct target_shape *s)
{
    double q = (double)s->n_heads * s->head_dim, kv = (double)s->n_kv_heads * s->head_dim;
    double layer = 2 * q * s->hidden + 2 * kv * s->hidden + 3.0 * s->hidden * s->intermediate;
    double table = (double)s->n_vocab * s->hidden;
    double read = s->n_layers * layer + table, all = read + (s->is_tied ? 0 : table);

    if (s->hidden == 0 || s->intermediate == 0)
        return (struct ceilings_model){0};
    return (struct ceilings_model){.n_layers = s->n_layers,
                                   .n_heads = s->n_heads,
                                   .n_kv_heads = s->n_kv_heads,
                                   .head_dim = s->head_dim,
                                   .window = s->window,
                                   .pass_bytes = (double)s->weight_bytes * read / all,
                                   .row_ops = 2 * read};
}

void ceilings_set_rates(struct ceilings *c, const struct msg_ready *verify)
{
    c->memory_gbps = verify->memory_gbps;
    c->compute_gflops = verify->compute_gflops;
    c->link_gbps = verify->link_gbps > 0 ? verify->link_gbps : verify->device_link_gbps;
}

/* ---- JSON ---- */

static json_t *write_fields(const void *of, const struct field *field, size_t n)
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++) {
        double x = *(const double *)((const char *)of + field[i].offset);
        CHECK(json_object_set_new(object, field[i].key, json_real(x)) == 0);
    }
    return object;
}

static bool read_fields(void *of, const json_t *object, const struct field *field, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, field[i].key);
        double x = json_number_value(value);
        if (!json_is_number(value) || !(x >= 0 && isfinite(x)))
            return false;
        *(double *)((char *)of + field[i].offset) = x;
    }
    return true;
}

void *ceilings_json(const struct ceilings *c)
{
    json_t *object = write_fields(c, rates, N_RATES);

    CHECK(json_object_set_new(object, "target", write_fields(&c->target, of_model, N_OF_MODEL)) ==
          0);
    CHECK(json_object_set_new(object, "draft", write_fields(&c->draft, of_model, N_OF_MODEL)) == 0);
    return object;
}

bool ceilings_read(struct ceilings *out, const void *json)
{
    const json_t *object = json;

    return read_fields(out, object, rates, N_RATES) &&
           read_fields(&out->target, json_object_get(object, "target"), of_model, N_OF_MODEL) &&
           read_fields(&out->draft, json_object_get(object, "draft"), of_model, N_OF_MODEL);
}
