#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/experiment_parts.h"
#include "orchestrator/nearest.h"
#include "orchestrator/yaml_value.h"

static const char method_choices[] = "baseline|vanilla_specdec|mspeckv|mspeckv_kv_quant";

_Static_assert(METHOD_BASELINE == 0 && METHOD_VANILLA_SPECDEC == 1 && METHOD_MSPECKV == 2 &&
                   METHOD_MSPECKV_KV_QUANT == 3,
               "method_choices is in the order of enum method");

static const char *const study_keys[] = {"study", "title", "methods", "reference",
                                         "replay_acceptance"};
enum { STUDY_KEYS = sizeof study_keys / sizeof study_keys[0] };

/* Where each setting was said; NULL: the default. */
struct study_reader {
    struct study *study;
    const struct yaml_node *at[SETTING_KEYS];
    const struct yaml_node *map;
};

bool experiment_is_study_key(const char *key)
{
    for (size_t i = 0; i < STUDY_KEYS; i++)
        if (strcmp(study_keys[i], key) == 0)
            return true;
    return false;
}

static enum status read_number(const struct yaml_node *node, const struct setting_key *key,
                               double *out, struct err *err)
{
    uint64_t integer = 0;
    uint32_t index = 0;
    bool yes = false;
    enum status st;

    switch (key->kind) {
    case SETTING_REAL:
        return yaml_real(node, key->key, (struct yaml_range){key->min, key->max, key->open_min},
                         out, err);
    case SETTING_CHOICE:
        st = yaml_choice(node, key->key, key->choices, &index, err);
        *out = index;
        return st;
    case SETTING_BOOL:
        st = yaml_bool(node, key->key, &yes, err);
        *out = yes ? 1 : 0;
        return st;
    case SETTING_INTEGER:
        break;
    }
    st = yaml_integer(node, key->key, (uint64_t)key->min, (uint64_t)key->max, &integer, err);
    *out = (double)integer;
    return st;
}

static enum status read_sweep_value(struct sweep *sweep, const struct yaml_node *node,
                                    const struct setting_key *key, struct err *err)
{
    double value = 0;
    enum status st = read_number(node, key, &value, err);
    if (st != ST_OK)
        return st;
    for (uint32_t i = 0; i < sweep->n_values; i++)
        if (sweep->value[i] == value)
            return yaml_refuse(node, err, "%s: %.40s stands twice in the list", key->key,
                               node->text);
    sweep->value[sweep->n_values++] = value;
    return ST_OK;
}

static enum status read_sweep(struct study *study, const struct yaml_node *list,
                              const struct setting_key *key, struct err *err)
{
    if (!setting_key_sweeps(key))
        return yaml_refuse(list, err, "%s cannot be swept; one value would be right", key->key);
    if (study->n_sweeps == EXPERIMENT_MAX_SWEEPS)
        return yaml_refuse(list, err, "%s is a third list; a study sweeps at most two settings",
                           key->key);
    if (list->n == 0 || list->n > EXPERIMENT_MAX_VALUES)
        return yaml_refuse(list, err, "%s lists %u values; 1 to %d would be right", key->key,
                           list->n, EXPERIMENT_MAX_VALUES);
    struct sweep *sweep = &study->sweep[study->n_sweeps++];
    *sweep = (struct sweep){.n_values = 0};
    snprintf(sweep->key, sizeof sweep->key, "%s", key->key);
    for (uint32_t i = 0; i < list->n; i++) {
        enum status st = read_sweep_value(sweep, list->item[i], key, err);
        if (st != ST_OK)
            return st;
    }
    setting_put(&study->fixed, key, sweep->value[0]);
    return ST_OK;
}

static enum status read_setting(struct study_reader *r, const struct yaml_node *node,
                                const struct setting_key *key, struct err *err)
{
    double value = 0;
    enum status st;
    if (node->kind == YAML_LIST) {
        st = read_sweep(r->study, node, key, err);
    } else {
        st = read_number(node, key, &value, err);
        if (st == ST_OK)
            setting_put(&r->study->fixed, key, value);
    }
    r->at[key - setting_keys] = node;
    return st;
}

static enum status read_settings(struct study_reader *r, const struct yaml_node *map, bool shared,
                                 struct err *err)
{
    for (uint32_t i = 0; i < map->n; i++) {
        const struct setting_key *key = setting_key_find(map->key[i]->text);
        if (key == NULL)
            continue;
        if (shared && map->item[i]->kind == YAML_LIST)
            return yaml_refuse(map->item[i], err,
                               "%s is a list beside several studies; it would be right inside "
                               "the study that sweeps it",
                               key->key);
        enum status st = read_setting(r, map->item[i], key, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status read_method(struct study *s, const struct yaml_node *node, struct err *err)
{
    uint32_t index = 0;
    enum status st = yaml_choice(node, "methods", method_choices, &index, err);
    if (st != ST_OK)
        return st;
    for (uint32_t i = 0; i < s->n_methods; i++)
        if (s->method[i] == (enum method)index)
            return yaml_refuse(node, err, "methods: %.40s stands twice in the list", node->text);
    s->method[s->n_methods++] = (enum method)index;
    return ST_OK;
}

static enum status read_methods(struct study *s, const struct yaml_node *map, struct err *err)
{
    const struct yaml_node *list = yaml_map_find(map, "methods");
    if (list == NULL) {
        for (uint32_t i = 0; i < METHOD_COUNT; i++)
            s->method[s->n_methods++] = (enum method)i;
        return ST_OK;
    }
    enum status st = yaml_expect(list, "methods", YAML_LIST, err);
    if (st == ST_OK && list->n == 0)
        st = yaml_refuse(list, err, "methods is an empty list; one or more of %s would be right",
                         method_choices);
    for (uint32_t i = 0; st == ST_OK && i < list->n; i++)
        st = read_method(s, list->item[i], err);
    return st;
}

static enum status read_reference(struct study *s, const struct yaml_node *map, struct err *err)
{
    uint32_t index = s->method[0];
    const struct yaml_node *node = yaml_map_find(map, "reference");
    bool found = false;
    if (node != NULL) {
        enum status st = yaml_choice(node, "reference", method_choices, &index, err);
        if (st != ST_OK)
            return st;
    }
    for (uint32_t i = 0; i < s->n_methods; i++)
        found = found || s->method[i] == (enum method)index;
    if (!found)
        return yaml_refuse(
            node, err, "reference is %.40s; one of the study's methods would be right", node->text);
    s->reference = (enum method)index;
    return ST_OK;
}

static enum status read_names(struct study *s, const struct experiment *e,
                              const struct yaml_node *map, bool inline_study, struct err *err)
{
    const struct yaml_node *name = yaml_map_find(map, "study");
    const struct yaml_node *title = yaml_map_find(map, "title");
    const char *text = NULL;
    enum status st = ST_OK;

    if (name == NULL && !inline_study)
        return yaml_refuse(map, err, "the study has no name; study: WORD would be right");
    if (name != NULL)
        st = yaml_word(name, "study", sizeof s->name - 1, &text, err);
    if (st != ST_OK)
        return st;
    snprintf(s->name, sizeof s->name, "%.15s", name != NULL ? text : e->name);
    if (title != NULL)
        st = yaml_text(title, "title", 72, &text, err);
    if (st != ST_OK)
        return st;
    snprintf(s->title, sizeof s->title, "%s", title != NULL ? text : s->name);
    return ST_OK;
}

static const struct yaml_node *setting_at(const struct study_reader *r, const char *key)
{
    const struct yaml_node *at = r->at[setting_key_find(key) - setting_keys];
    return at != NULL ? at : r->map;
}

static void limits_of(const struct study *s, const char *key, double *lo, double *hi)
{
    *lo = *hi = setting_get(&s->fixed, setting_key_find(key));
    for (uint32_t i = 0; i < s->n_sweeps; i++) {
        if (strcmp(s->sweep[i].key, key) != 0)
            continue;
        for (uint32_t v = 0; v < s->sweep[i].n_values; v++) {
            *lo = s->sweep[i].value[v] < *lo ? s->sweep[i].value[v] : *lo;
            *hi = s->sweep[i].value[v] > *hi ? s->sweep[i].value[v] : *hi;
        }
    }
}

/* Values that are right alone and impossible together, over all sweep points. */
static enum status check_together(const struct study_reader *r, struct err *err)
{
    const struct study *s = r->study;
    double prefill, gen_len, budget, chunk, gamma, gamma_draft, unused;

    if (r->at[setting_key_find("prefill") - setting_keys] == NULL)
        return yaml_refuse(
            r->map, err, "study %s says no prefill; prefill: [8192, ...] would be right", s->name);
    limits_of(s, "prefill", &unused, &prefill);
    limits_of(s, "gen_len", &unused, &gen_len);
    limits_of(s, "budget", &budget, &unused);
    limits_of(s, "chunk", &unused, &chunk);
    limits_of(s, "gamma", &gamma, &unused);
    limits_of(s, "gamma_draft", &unused, &gamma_draft);
    if (prefill + gen_len > MSG_MAX_TOKENS)
        return yaml_refuse(setting_at(r, "gen_len"), err,
                           "gen_len %.0f after prefill %.0f is over %d tokens", gen_len, prefill,
                           MSG_MAX_TOKENS);
    if (budget < chunk)
        return yaml_refuse(setting_at(r, "budget"), err,
                           "budget %.0f is less than one chunk of %.0f tokens", budget, chunk);
    if (gamma_draft > gamma)
        return yaml_refuse(setting_at(r, "gamma_draft"), err,
                           "gamma_draft %.0f is more than gamma %.0f; at most gamma would be right",
                           gamma_draft, gamma);
    return ST_OK;
}

static enum status check_draft(const struct study *s, const struct experiment *e,
                               const struct yaml_node *map, struct err *err)
{
    for (uint32_t i = 0; i < s->n_methods; i++)
        if (s->method[i] != METHOD_BASELINE && e->draft == NULL)
            return yaml_refuse(map, err,
                               "study %s runs %s, which needs a draft; draft: DIR would "
                               "be right",
                               s->name, method_name(s->method[i]));
    return ST_OK;
}

static void note_on_chip(const struct study_reader *r, const struct experiment *e)
{
    char place[YAML_PLACE_TEXT];
    const struct yaml_node *at = r->at[setting_key_find("on_chip") - setting_keys];
    if (at != NULL)
        yaml_place(at, place);
    else
        snprintf(place, sizeof place, "%.300s: default", e->path);
    r->study->on_chip_at = mem_strdup(place);
}

static enum status check_keys(const struct yaml_node *map, struct err *err)
{
    const char *known[STUDY_KEYS + SETTING_KEYS];
    size_t n = 0;
    for (size_t i = 0; i < STUDY_KEYS; i++)
        known[n++] = study_keys[i];
    for (size_t i = 0; i < SETTING_KEYS; i++)
        known[n++] = setting_keys[i].key;
    for (uint32_t i = 0; i < map->n; i++) {
        const char *key = map->key[i]->text;
        if (experiment_is_study_key(key) || setting_key_find(key) != NULL)
            continue;
        if (experiment_is_file_key(key))
            return yaml_refuse(map->key[i], err,
                               "\"%s\" is a key of the whole file; it would be right outside the "
                               "studies",
                               key);
        const char *near = nearest_word(key, known, n);
        return yaml_refuse(map->key[i], err, "unknown key \"%.64s\"%s%s%s", key,
                           near != NULL ? "; did you mean \"" : " in a study",
                           near != NULL ? near : "", near != NULL ? "\"?" : "");
    }
    return ST_OK;
}

enum status experiment_study(struct study *out, const struct experiment *e,
                             const struct yaml_node *map, const struct yaml_node *shared,
                             struct err *err)
{
    struct study_reader r = {.study = out, .map = map};
    enum status st = yaml_expect(map, "a study", YAML_MAP, err);

    if (st == ST_OK && shared != NULL)
        st = check_keys(map, err);
    out->fixed = setting_standard();
    if (st == ST_OK)
        st = read_names(out, e, map, shared == NULL, err);
    if (st == ST_OK && shared != NULL)
        st = read_settings(&r, shared, true, err);
    if (st == ST_OK)
        st = read_settings(&r, map, false, err);
    if (st == ST_OK)
        st = read_methods(out, map, err);
    if (st == ST_OK)
        st = read_reference(out, map, err);
    if (st == ST_OK)
        st = check_together(&r, err);
    if (st == ST_OK)
        st = experiment_replay(out, map, err);
    if (st == ST_OK)
        st = check_draft(out, e, map, err);
    if (st == ST_OK)
        note_on_chip(&r, e);
    return st;
}
