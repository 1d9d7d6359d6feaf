#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/experiment_parts.h"
#include "orchestrator/nearest.h"
#include "orchestrator/yaml_value.h"

static enum status read_u32(const struct yaml_node *node, const char *what, uint32_t min,
                            uint32_t max, uint32_t *out, struct err *err)
{
    uint64_t value = 0;
    enum status st = yaml_integer(node, what, min, max, &value, err);
    if (st == ST_OK)
        *out = (uint32_t)value;
    return st;
}

enum status experiment_check_map(const struct yaml_node *map, const char *what,
                                 const char *const *known, size_t n_known, struct err *err)
{
    enum status st = yaml_expect(map, what, YAML_MAP, err);
    for (uint32_t i = 0; st == ST_OK && i < map->n; i++) {
        const char *key = map->key[i]->text;
        bool found = false;
        for (size_t k = 0; k < n_known; k++)
            found = found || strcmp(known[k], key) == 0;
        if (found)
            continue;
        const char *near = nearest_word(key, known, n_known);
        return yaml_refuse(map->key[i], err, "unknown key \"%.64s\" in %s; \"%s\" would be right",
                           key, what, near != NULL ? near : known[0]);
    }
    return st;
}

char *experiment_resolve(const struct experiment *e, const struct yaml_node *node, const char *path)
{
    const char *slash = strrchr(e->path, '/');
    if (path[0] == '/' || node->line == 0 || slash == NULL)
        return mem_strdup(path);
    return mem_printf("%.*s/%s", (int)(slash - e->path), e->path, path);
}

char *experiment_place(const struct yaml_node *node)
{
    char place[YAML_PLACE_TEXT];
    yaml_place(node, place);
    return mem_strdup(place);
}

static enum status read_path(struct experiment *e, const struct yaml_node *node, const char *what,
                             char **out, struct err *err)
{
    const char *text = NULL;
    enum status st = yaml_text(node, what, 1024, &text, err);
    if (st == ST_OK)
        *out = experiment_resolve(e, node, text);
    return st;
}

static enum status read_name(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    const char *text = NULL;
    enum status st = yaml_word(node, "name", sizeof e->name - 1, &text, err);
    if (st == ST_OK)
        snprintf(e->name, sizeof e->name, "%s", text);
    return st;
}

static enum status read_target(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    e->target_at = experiment_place(node);
    return read_path(e, node, "target", &e->target, err);
}

static enum status read_draft(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    if (node->kind == YAML_SCALAR && node->plain && strcmp(node->text, "none") == 0)
        return ST_OK;
    e->draft_at = experiment_place(node);
    return read_path(e, node, "draft", &e->draft, err);
}

static enum status read_documents(struct experiment *e, const struct yaml_node *node,
                                  struct err *err)
{
    return read_u32(node, "documents", 1, EXPERIMENT_MAX_DOCUMENTS, &e->n_documents, err);
}

static enum status read_document_seed(struct experiment *e, const struct yaml_node *node,
                                      struct err *err)
{
    return yaml_integer(node, "document_seed", 0, INT64_MAX - EXPERIMENT_MAX_DOCUMENTS,
                        &e->document_seed, err);
}

static enum status read_seed(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    uint64_t seed = 0;
    /* JSON readers and results.jsonl hold signed 64-bit numbers. */
    enum status st = yaml_integer(node, "seeds", 0, INT64_MAX, &seed, err);
    if (st != ST_OK)
        return st;
    for (uint32_t i = 0; i < e->n_seeds; i++)
        if (e->seed[i] == seed)
            return yaml_refuse(node, err, "seeds: %.40s stands twice in the list", node->text);
    e->seed[e->n_seeds++] = seed;
    return ST_OK;
}

static enum status read_seeds(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    enum status st = ST_OK;
    if (e->n_seeds > 0)
        return yaml_refuse(node, err, "seed and seeds are both given; one of them would be right");
    if (node->kind != YAML_LIST)
        return read_seed(e, node, err);
    if (node->n == 0 || node->n > EXPERIMENT_MAX_SEEDS)
        return yaml_refuse(node, err, "seeds lists %u values; 1 to %d would be right", node->n,
                           EXPERIMENT_MAX_SEEDS);
    for (uint32_t i = 0; st == ST_OK && i < node->n; i++)
        st = read_seed(e, node->item[i], err);
    return st;
}

static enum status read_window(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    static const char *const known[] = {"sinks", "recent"};
    const struct yaml_node *sinks, *recent;
    enum status st = experiment_check_map(node, "draft_window", known, 2, err);
    if (st != ST_OK)
        return st;
    sinks = yaml_map_find(node, "sinks");
    recent = yaml_map_find(node, "recent");
    if (sinks != NULL)
        st = read_u32(sinks, "sinks", 0, 4096, &e->sinks, err);
    if (st == ST_OK && recent != NULL)
        st = read_u32(recent, "recent", 1, 131072, &e->window, err);
    return st;
}

static enum status read_link(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    static const char *const known[] = {"simulate_gbps", "simulate_ratio"};
    enum status st;
    if (node->kind == YAML_SCALAR && strcmp(node->text, "none") == 0) {
        e->link = LINK_NONE;
        return ST_OK;
    }
    if (node->kind != YAML_MAP)
        return yaml_refuse(node, err,
                           "link is no link; none, {simulate_gbps: X} or "
                           "{simulate_ratio: R} would be right");
    st = experiment_check_map(node, "link", known, 2, err);
    if (st != ST_OK)
        return st;
    if (node->n != 1)
        return yaml_refuse(
            node, err, "link has %u keys; either simulate_gbps or simulate_ratio would be right",
            node->n);
    bool ratio = strcmp(node->key[0]->text, "simulate_ratio") == 0;
    struct yaml_range range = {ratio ? 1 : 0, ratio ? 1e6 : 1e4, !ratio};
    e->link = ratio ? LINK_RATIO : LINK_GBPS;
    return yaml_real(node->item[0], node->key[0]->text, range, &e->link_value, err);
}

static enum status read_threads(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    return read_u32(node, "threads", 0, 1024, &e->threads, err);
}

static enum status read_arena(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    uint32_t index = 0;
    enum status st = yaml_choice(node, "arena", "posix|memfd", &index, err);
    if (st == ST_OK)
        snprintf(e->arena, sizeof e->arena, "%s", index == 0 ? "posix" : "memfd");
    return st;
}

static enum status read_out(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    return read_path(e, node, "out", &e->out, err);
}

static enum status read_timeout(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    return yaml_real(node, "timeout_s", (struct yaml_range){0, 1e6, true}, &e->timeout_s, err);
}

static enum status read_slurm(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    return slurm_options_read(&e->slurm, node, err);
}

static enum status read_warmup(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    return yaml_bool(node, "warmup", &e->warmup, err);
}

/* The studies are read once everything here is known: experiment_study; the
 * keys of the places together: experiment_devices. */
static enum status read_later(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    return ST_OK;
}

static const struct field {
    const char *key;
    experiment_field *read;
} fields[] = {
    {"name", read_name},
    {"target", read_target},
    {"draft", read_draft},
    {"dataset", experiment_text_dataset},
    {"skip_short", experiment_text_skip_short},
    {"template", experiment_text_template},
    {"chat", experiment_text_chat},
    {"documents", read_documents},
    {"document_seed", read_document_seed},
    {"seeds", read_seeds},
    {"seed", read_seeds},
    {"draft_window", read_window},
    {"link", read_link},
    {"devices", read_later},
    {"parallel", read_later},
    {"share_devices", read_later},
    {"threads", read_threads},
    {"arena", read_arena},
    {"numa_node", read_later},
    {"out", read_out},
    {"timeout_s", read_timeout},
    {"warmup", read_warmup},
    {"slurm", read_slurm},
    {"studies", read_later},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

bool experiment_is_file_key(const char *key)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0)
            return true;
    return false;
}

static enum status refuse_key(const struct yaml_node *key, bool has_studies, struct err *err)
{
    static const char *const study_keys[] = {"study", "title", "methods", "reference",
                                             "replay_acceptance"};
    enum { STUDY_KEYS = sizeof study_keys / sizeof study_keys[0] };
    const char *known[FIELDS + STUDY_KEYS + SETTING_KEYS];
    size_t n = 0;

    if (has_studies && experiment_is_study_key(key->text))
        return yaml_refuse(key, err,
                           "\"%s\" is a key of one study; it would be right inside "
                           "studies",
                           key->text);
    for (size_t i = 0; i < FIELDS; i++)
        known[n++] = fields[i].key;
    for (size_t i = 0; i < SETTING_KEYS; i++)
        known[n++] = setting_keys[i].key;
    for (size_t i = 0; !has_studies && i < STUDY_KEYS; i++)
        known[n++] = study_keys[i];
    const char *near = nearest_word(key->text, known, n);
    if (near == NULL)
        return yaml_refuse(key, err, "unknown key \"%.64s\"; FORMATS.md lists the keys", key->text);
    return yaml_refuse(key, err, "unknown key \"%.64s\"; did you mean \"%s\"?", key->text, near);
}

static enum status read_field(struct experiment *e, const struct yaml_node *key,
                              const struct yaml_node *value, bool has_studies, struct err *err)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].key, key->text) == 0)
            return fields[i].read(e, value, err);
    if (setting_key_find(key->text) != NULL)
        return ST_OK;
    if (!has_studies && experiment_is_study_key(key->text))
        return ST_OK;
    return refuse_key(key, has_studies, err);
}

enum status experiment_fields(struct experiment *e, const struct yaml_node *root, struct err *err)
{
    enum status st = yaml_expect(root, "an experiment", YAML_MAP, err);
    if (st != ST_OK)
        return st;
    bool has_studies = yaml_map_find(root, "studies") != NULL;
    for (uint32_t i = 0; st == ST_OK && i < root->n; i++)
        st = read_field(e, root->key[i], root->item[i], has_studies, err);
    if (st == ST_OK)
        st = experiment_devices(e, root, err);
    if (st == ST_OK && e->target == NULL)
        st = yaml_refuse(root, err, "no target; target: DIR (a checkpoint) would be right");
    if (st == ST_OK && e->dataset == NULL)
        st = yaml_refuse(
            root, err,
            "no dataset; dataset: demo, a text file, a folder or a .jsonl file would be right");
    return st;
}
