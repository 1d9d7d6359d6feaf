/*
 * One field list per struct serves writing and reading, as in the messages, so
 * that the two cannot drift apart.
 */
#include "orchestrator/result_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/mem.h"
#include "orchestrator/log_tail.h"

enum { JSON_FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(17) };

/* Sticks at the first failure. */
struct json_coder {
    json_t *object; /* borrowed */
    bool write;
    const char *bad; /* field that failed; NULL: none */
};

static json_t *get(struct json_coder *c, const char *key)
{
    json_t *value = c->bad == NULL ? json_object_get(c->object, key) : NULL;
    if (value == NULL && c->bad == NULL)
        c->bad = key;
    return value;
}

static void put(struct json_coder *c, const char *key, json_t *value)
{
    CHECK(value != NULL && json_object_set_new(c->object, key, value) == 0);
}

static void code_u64(struct json_coder *c, const char *key, uint64_t max, uint64_t *x)
{
    if (c->write) {
        put(c, key, json_integer((json_int_t)*x));
        return;
    }
    json_t *value = get(c, key);
    if (value == NULL)
        return;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max)
        c->bad = key;
    else
        *x = (uint64_t)json_integer_value(value);
}

static void code_count(struct json_coder *c, const char *key, uint32_t max, uint32_t *x)
{
    uint64_t wide = *x;
    code_u64(c, key, max, &wide);
    *x = (uint32_t)wide;
}

static void code_real(struct json_coder *c, const char *key, double *x)
{
    if (c->write) {
        /* A measurement that is no number would be our own bug; null keeps it visible. */
        put(c, key, isfinite(*x) ? json_real(*x) : json_null());
        return;
    }
    json_t *value = get(c, key);
    if (value == NULL)
        return;
    if (json_is_null(value))
        *x = NAN;
    else if (json_is_number(value))
        *x = json_number_value(value);
    else
        c->bad = key;
}

/* Written where it is not 0, and 0 where it does not stand. */
static void code_optional(struct json_coder *c, const char *key, double *x)
{
    bool there = c->write ? *x != 0 : json_object_get(c->object, key) != NULL;
    if (there)
        code_real(c, key, x);
    if (!c->write && !(*x >= 0))
        c->bad = key;
}

static void code_bool(struct json_coder *c, const char *key, bool *x)
{
    if (c->write) {
        put(c, key, json_boolean(*x));
        return;
    }
    json_t *value = get(c, key);
    if (value == NULL)
        return;
    if (!json_is_boolean(value))
        c->bad = key;
    else
        *x = json_is_true(value);
}

static void code_histogram(struct json_coder *c, const char *key, uint32_t *x)
{
    json_t *list = c->write ? json_array() : get(c, key);
    if (list == NULL)
        return;
    for (size_t i = 0; c->write && i < MSG_MAX_ROWS; i++)
        json_array_append_new(list, json_integer(x[i]));
    if (c->write) {
        put(c, key, list);
        return;
    }
    if (!json_is_array(list) || json_array_size(list) != MSG_MAX_ROWS) {
        c->bad = key;
        return;
    }
    for (size_t i = 0; i < MSG_MAX_ROWS; i++) {
        json_t *value = json_array_get(list, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > UINT32_MAX)
            c->bad = key;
        else
            x[i] = (uint32_t)json_integer_value(value);
    }
}

static void read_tokens(struct json_coder *c, const json_t *list, struct msg_result *m)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > MSG_MAX_TOKENS) {
        c->bad = "tokens";
        return;
    }
    m->token = mem_array(n, sizeof *m->token);
    m->n_tokens = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        json_t *value = json_array_get(list, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > INT32_MAX)
            c->bad = "tokens";
        else
            m->token[i] = (int32_t)json_integer_value(value);
    }
}

static void code_tokens(struct json_coder *c, struct msg_result *m)
{
    if (!c->write) {
        json_t *list = get(c, "tokens");
        if (list != NULL)
            read_tokens(c, list, m);
        return;
    }
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->n_tokens; i++)
        json_array_append_new(list, json_integer(m->token[i]));
    put(c, "tokens", list);
}

static void code_measured(struct json_coder *c, struct msg_result *m)
{
    code_bool(c, "eos", &m->eos);
    code_real(c, "setup_s", &m->setup_s);
    code_real(c, "decode_s", &m->decode_s);
    code_count(c, "rounds", UINT32_MAX, &m->rounds);
    code_count(c, "proposed", UINT32_MAX, &m->proposed);
    code_count(c, "accepted", UINT32_MAX, &m->accepted);
    code_count(c, "draft_proposed", UINT32_MAX, &m->draft_proposed);
    code_count(c, "draft_accepted", UINT32_MAX, &m->draft_accepted);
    code_count(c, "middle_steps", UINT32_MAX, &m->middle_steps);
    code_histogram(c, "accepted_at", m->accepted_at);
    code_histogram(c, "proposed_at", m->proposed_at);
    code_real(c, "draft_s", &m->draft_s);
    code_real(c, "middle_s", &m->middle_s);
    code_real(c, "verify_s", &m->verify_s);
    code_real(c, "link_wait_s", &m->link_wait_s);
    code_real(c, "message_s", &m->message_s);
    code_u64(c, "link_bytes", INT64_MAX, &m->link_bytes);
    code_u64(c, "n_messages", INT64_MAX, &m->n_messages);
    code_count(c, "effective_resident", UINT32_MAX, &m->effective_resident);
    code_count(c, "n_selected", UINT32_MAX, &m->n_selected);
    code_u64(c, "kv_on_chip", INT64_MAX, &m->kv_on_chip);
    code_u64(c, "kv_resident", INT64_MAX, &m->kv_resident);
    code_u64(c, "kv_tail", INT64_MAX, &m->kv_tail);
    code_u64(c, "kv_retrieval", INT64_MAX, &m->kv_retrieval);
    code_u64(c, "kv_staging", INT64_MAX, &m->kv_staging);
    code_u64(c, "kv_draft", INT64_MAX, &m->kv_draft);
    code_u64(c, "kv_allocated", INT64_MAX, &m->kv_allocated);
    code_u64(c, "arena_used", INT64_MAX, &m->arena_used);
    code_real(c, "k_error_prompt", &m->k_error_prompt);
    code_real(c, "k_error_generated", &m->k_error_generated);
    code_real(c, "v_error_prompt", &m->v_error_prompt);
    code_real(c, "v_error_generated", &m->v_error_generated);
    code_tokens(c, m);
}

/* Words travel as words: the numbers of enums mean nothing to a reader of the file. */
static void code_word(struct json_coder *c, const char *key, const char *(*name)(uint32_t),
                      uint32_t n_words, uint32_t *x)
{
    if (c->write) {
        put(c, key, json_string(name(*x)));
        return;
    }
    const char *text = json_string_value(get(c, key));
    for (uint32_t i = 0; text != NULL && i < n_words; i++) {
        if (strcmp(text, name(i)) == 0) {
            *x = i;
            return;
        }
    }
    if (c->bad == NULL)
        c->bad = key;
}

static const char *name_of_method(uint32_t method)
{
    return method_name((enum method)method);
}

static void code_setting(struct json_coder *c, struct setting *s)
{
    for (size_t i = 0; i < SETTING_KEYS; i++) {
        const struct setting_key *key = &setting_keys[i];
        void *field = (char *)s + key->offset;
        if (strcmp(key->key, "kv_format") == 0)
            code_word(c, key->key, setting_format_name, 4, field);
        else if (strcmp(key->key, "acceptance") == 0)
            code_word(c, key->key, setting_acceptance_name, 2, field);
        else if (key->kind == SETTING_REAL)
            code_real(c, key->key, field);
        else if (key->kind == SETTING_BOOL)
            code_bool(c, key->key, field);
        else
            code_count(c, key->key, UINT32_MAX, field);
    }
    code_optional(c, "replayed_acceptance", &s->replay_accepted);
    code_optional(c, "replayed_draft_rate", &s->replay_draft_rate);
}

static void write_uses(json_t *object, const struct result *r, const struct experiment *e)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->n_uses; i++)
        json_array_append_new(list, json_pack("{s:s, s:i}", "study", e->study[r->use[i].study].name,
                                              "point", (int)r->use[i].point));
    CHECK(json_object_set_new(object, "cells", list) == 0);
}

static bool read_use(struct use *use, const json_t *value, const struct experiment *e)
{
    const char *name = json_string_value(json_object_get(value, "study"));
    const json_t *point = json_object_get(value, "point");
    if (name == NULL || !json_is_integer(point))
        return false;
    for (uint32_t s = 0; s < e->n_studies; s++) {
        json_int_t index = json_integer_value(point);
        if (strcmp(e->study[s].name, name) != 0)
            continue;
        if (index < 0 || index >= (json_int_t)matrix_points(&e->study[s]))
            return false;
        *use = (struct use){s, (uint32_t)index};
        return true;
    }
    return false;
}

static void read_uses(struct json_coder *c, struct result *r, const struct experiment *e)
{
    json_t *list = get(c, "cells");
    if (list == NULL)
        return;
    size_t n = json_array_size(list);
    if (n == 0 || n > MATRIX_MAX_TRIALS) {
        c->bad = "cells";
        return;
    }
    r->use = mem_array(n, sizeof *r->use);
    r->n_uses = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        if (!read_use(&r->use[i], json_array_get(list, i), e))
            c->bad = "cells";
}

/* Words from elsewhere need not be UTF-8: `instead` is written for those. */
static void code_text(struct json_coder *c, const char *key, char *text, size_t size,
                      const char *instead)
{
    if (c->write) {
        json_t *value = json_string(text);
        put(c, key, value != NULL ? value : json_string(instead));
        return;
    }
    const char *words = json_string_value(get(c, key));
    if (words == NULL || strlen(words) >= size) {
        c->bad = c->bad != NULL ? c->bad : key;
        return;
    }
    memcpy(text, words, strlen(words) + 1);
}

/* Runs of older programs recorded none. */
static void code_ceilings(struct json_coder *c, struct ceilings *x)
{
    const json_t *value = json_object_get(c->object, "ceilings");
    if (c->write && x->memory_gbps > 0)
        put(c, "ceilings", ceilings_json(x));
    else if (!c->write && value != NULL && !ceilings_read(x, value))
        c->bad = c->bad != NULL ? c->bad : "ceilings";
}

/* Only of a failure, and only where there is one. */
static void code_log(struct json_coder *c, struct result *r)
{
    if (c->write && r->log != NULL) {
        json_t *text = json_string(r->log);
        put(c, "log", text != NULL ? text : json_string("(unprintable log)"));
        return;
    }
    json_t *value = c->write ? NULL : json_object_get(c->object, "log");
    if (value == NULL)
        return;
    if (!json_is_string(value) || json_string_length(value) >= LOG_TAIL_BYTES)
        c->bad = c->bad != NULL ? c->bad : "log";
    else
        result_set_log(r, json_string_value(value));
}

static const char *status_word(uint32_t ok)
{
    return ok ? "ok" : "failed";
}

static void code_result(struct json_coder *c, struct result *r, const struct experiment *e)
{
    uint32_t method = r->method, ok = r->ok;
    code_count(c, "trial", MATRIX_MAX_TRIALS, &r->trial);
    if (c->write)
        write_uses(c->object, r, e);
    else
        read_uses(c, r, e);
    code_word(c, "method", name_of_method, METHOD_COUNT, &method);
    code_count(c, "document", EXPERIMENT_MAX_DOCUMENTS - 1, &r->document);
    code_text(c, "document_name", r->document_name, sizeof r->document_name, "");
    code_u64(c, "seed", INT64_MAX, &r->seed);
    code_word(c, "status", status_word, 2, &ok);
    code_text(c, "reason", r->reason, sizeof r->reason, "(unprintable reason)");
    code_real(c, "prefill_s", &r->prefill_s);
    r->method = (enum method)method;
    r->ok = ok != 0;

    struct json_coder inner = {.write = c->write};
    inner.object = c->write ? json_object() : get(c, "setting");
    if (inner.object != NULL)
        code_setting(&inner, &r->setting);
    if (c->write)
        put(c, "setting", inner.object);
    c->bad = c->bad != NULL ? c->bad : inner.bad;
    if (r->ok) {
        code_measured(c, &r->meas);
        code_ceilings(c, &r->ceilings);
    } else {
        code_log(c, r);
    }
    r->meas.trial = r->trial;
}

char *result_json_write(const struct result *r, const struct experiment *e)
{
    struct result copy = *r;
    struct json_coder c = {.object = json_object(), .write = true};
    code_result(&c, &copy, e);
    char *line = json_dumps(c.object, JSON_FLAGS);
    CHECK(line != NULL);
    json_decref(c.object);
    return line;
}

enum status result_json_read(struct result *out, const char *line, size_t n_bytes,
                             const struct experiment *e, struct err *err)
{
    json_error_t where;
    struct json_coder c = {.object = json_loadb(line, n_bytes, JSON_REJECT_DUPLICATES, &where)};
    if (c.object == NULL)
        return err_set(err, ST_CORRUPT, "no JSON at column %d: %s", where.column, where.text);
    *out = (struct result){.n_uses = 0};
    code_result(&c, out, e);
    enum status st = ST_OK;
    if (!json_is_object(c.object))
        st = err_set(err, ST_CORRUPT, "not an object; one trial's object would be right");
    else if (c.bad != NULL)
        st = err_set(err, ST_CORRUPT, "field \"%s\" is absent or wrong", c.bad);
    json_decref(c.object);
    if (st != ST_OK)
        result_release(out);
    return st;
}
