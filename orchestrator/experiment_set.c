/*
 * A --set is read as YAML and put into the tree of the file before anything is
 * interpreted, so that both go through the same checks.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/experiment_parts.h"
#include "text/utf8.h"

struct set {
    struct yaml_pool *pool;
    struct yaml_node *root;
    struct yaml_node *key; /* the whole key, then what is left of it */
    struct yaml_node *value;
};

static void put(struct yaml_node *map, const struct set *set)
{
    /* seed and seeds are two words for one thing; the --set replaces both. */
    if (strcmp(set->key->text, "seed") == 0 || strcmp(set->key->text, "seeds") == 0) {
        yaml_map_remove(map, "seed");
        yaml_map_remove(map, "seeds");
    }
    yaml_map_put(map, set->key, set->value);
}

static struct yaml_node *studies_list(const struct yaml_node *root)
{
    struct yaml_node *list = yaml_map_find(root, "studies");
    return list != NULL && list->kind == YAML_LIST ? list : NULL;
}

static bool is_named(const struct yaml_node *map, const char *name)
{
    const struct yaml_node *word = map->kind == YAML_MAP ? yaml_map_find(map, "study") : NULL;
    return word != NULL && word->kind == YAML_SCALAR && strcmp(word->text, name) == 0;
}

/* The study's map; the file's own where one study stands inline; NULL: no such study. */
static struct yaml_node *study_map(struct yaml_node *root, const char *name)
{
    struct yaml_node *list = studies_list(root);
    if (list == NULL)
        return is_named(root, name) ? root : NULL;
    for (uint32_t i = 0; i < list->n; i++)
        if (is_named(list->item[i], name))
            return list->item[i];
    return NULL;
}

/* A plain setting in a file of several studies goes to all of them. */
static enum status put_shared(const struct set *set, struct yaml_node *list, struct err *err)
{
    const char *key = set->key->text;
    if (set->value->kind != YAML_SCALAR)
        return yaml_refuse(set->key, err,
                           "the file holds several studies; STUDY.%s=... would say whose sweep",
                           key);
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->item[i]->kind != YAML_MAP)
            continue;
        const struct yaml_node *own = yaml_map_find(list->item[i], key);
        if (own != NULL && own->kind == YAML_LIST)
            return yaml_refuse(set->key, err,
                               "a study of the file sweeps %s; STUDY.%s=... would say whose", key,
                               key);
    }
    for (uint32_t i = 0; i < list->n; i++)
        if (list->item[i]->kind == YAML_MAP)
            yaml_map_remove(list->item[i], key);
    put(set->root, set);
    return ST_OK;
}

static enum status put_dotted(struct set *set, char *dot, struct err *err)
{
    struct yaml_node *outer = NULL, *map;
    enum status st;

    *dot = '\0';
    map = study_map(set->root, set->key->text);
    if (map == NULL) {
        /* The first part is a key with keys of its own, such as link. */
        st = yaml_map_new(&outer, set->pool, set->key, err);
        if (st != ST_OK)
            return st;
        outer->kind = YAML_SCALAR;
        outer->text = mem_strdup(set->key->text);
        map = yaml_map_find(set->root, outer->text);
        /* link holds one of its keys at a time, so a new one replaces the old. */
        if (map == NULL || map->kind != YAML_MAP || strcmp(outer->text, "link") == 0) {
            st = yaml_map_new(&map, set->pool, set->key, err);
            if (st != ST_OK)
                return st;
            yaml_map_put(set->root, outer, map);
        }
    }
    memmove(set->key->text, dot + 1, strlen(dot + 1) + 1);
    put(map, set);
    return ST_OK;
}

static enum status apply(struct set *set, struct err *err)
{
    struct yaml_node *list = studies_list(set->root);
    char *dot = strchr(set->key->text, '.');
    if (dot != NULL)
        return put_dotted(set, dot, err);
    if (list != NULL && setting_key_find(set->key->text) != NULL)
        return put_shared(set, list, err);
    put(set->root, set);
    return ST_OK;
}

/* Lists, mappings and quoted texts are YAML; anything else is one plain value,
 * whatever characters a path may hold. */
static enum status read_value(struct set *set, const struct yaml_source *source, struct err *err)
{
    if (source->n_bytes > 0 && strchr("[{\"'&*!", source->text[0]) != NULL)
        return yaml_tree_parse(&set->value, set->pool, source, err);
    return yaml_scalar_new(&set->value, set->pool, source, err);
}

static enum status read_key(struct set *set, const char *text, size_t n_bytes, struct err *err)
{
    enum status st = yaml_map_new(&set->key, set->pool, set->value, err);
    if (st != ST_OK)
        return st;
    set->key->kind = YAML_SCALAR;
    set->key->plain = true;
    set->key->text = mem_printf("%.*s", (int)n_bytes, text);
    return ST_OK;
}

enum status experiment_set(struct yaml_node *root, struct yaml_pool *pool, const char *text,
                           struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.";
    struct set set = {.pool = pool, .root = root};
    const char *equals = strchr(text, '=');
    size_t n = strspn(text, letters), bad_at = 0;

    if (equals == NULL || equals == text || text + n != equals || equals - text > 64)
        return err_set(err, ST_INVALID, "--set %.200s: key=value would be right", text);
    if (equals[1] == '\0')
        return err_set(err, ST_INVALID, "--set %.200s: no value stands after the =", text);
    if (strlen(text) > EXPERIMENT_MAX_BYTES)
        return err_set(err, ST_INVALID, "--set %.64s...: too long", text);
    /* Titles end in JSON, and a file is refused for the same. */
    if (!utf8_check(text, strlen(text), &bad_at))
        return err_set(err, ST_INVALID, "--set %.*s=...: byte %zu is no UTF-8", (int)n, text,
                       bad_at + 1);

    char *origin = mem_printf("--set %.200s", text);
    struct yaml_source source = {
        .origin = origin, .text = equals + 1, .n_bytes = strlen(equals + 1)};
    enum status st = read_value(&set, &source, err);
    free(origin);
    if (st == ST_OK)
        st = read_key(&set, text, n, err);
    return st == ST_OK ? apply(&set, err) : st;
}
