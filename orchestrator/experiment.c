#include "orchestrator/experiment.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/dataset.h"
#include "orchestrator/experiment_parts.h"
#include "orchestrator/yaml_value.h"

/* The file's own name without folder and ".yaml", where it says none. */
static void name_by_path(struct experiment *e)
{
    const char *slash = strrchr(e->path, '/');
    const char *base = slash != NULL ? slash + 1 : e->path;
    size_t n = strcspn(base, ".");
    snprintf(e->name, sizeof e->name, "%.*s", (int)(n < sizeof e->name ? n : sizeof e->name - 1),
             base);
    for (char *c = e->name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '-')
            *c = '_'; /* the name becomes part of paths and of summary.csv */
    if (e->name[0] == '\0')
        snprintf(e->name, sizeof e->name, "experiment");
}

/* Defaults of the original study, DESIGN sections 5 and 7. */
static struct experiment *experiment_new(const char *path)
{
    struct experiment *e = mem_zalloc(sizeof *e);
    e->path = mem_strdup(path);
    name_by_path(e);
    e->n_documents = 3;
    e->document_seed = 1;
    e->sinks = 16;
    e->window = 232;
    e->link = LINK_NONE;
    e->n_places = e->parallel = 1;
    e->place[0] = (struct place){.verify = "cpu:0", .draft = "cpu:0", .numa_node = -1};
    snprintf(e->arena, sizeof e->arena, "posix");
    e->timeout_s = 3600;
    e->warmup = true;
    return e;
}

void experiment_free(struct experiment *e)
{
    if (e == NULL)
        return;
    for (uint32_t i = 0; i < EXPERIMENT_MAX_TABLES; i++)
        free(e->study[i].on_chip_at);
    for (uint32_t i = 0; i < EXPERIMENT_MAX_PLACES; i++)
        place_release(&e->place[i]);
    free(e->path);
    free(e->target);
    free(e->draft);
    free(e->target_at);
    free(e->draft_at);
    free(e->dataset);
    free(e->dataset_field);
    free(e->dataset_at);
    free(e->template_at);
    free(e->template_word);
    free(e->template_file);
    free(e->out);
    slurm_options_release(&e->slurm);
    free(e);
}

static enum status read_studies(struct experiment *e, const struct yaml_node *root, struct err *err)
{
    const struct yaml_node *list = yaml_map_find(root, "studies");
    if (list == NULL) {
        e->n_studies = 1;
        return experiment_study(&e->study[0], e, root, NULL, err);
    }
    enum status st = yaml_expect(list, "studies", YAML_LIST, err);
    if (st == ST_OK && (list->n == 0 || list->n > EXPERIMENT_MAX_TABLES))
        st = yaml_refuse(list, err, "studies lists %u; 1 to %d would be right", list->n,
                         EXPERIMENT_MAX_TABLES);
    for (uint32_t i = 0; st == ST_OK && i < list->n; i++) {
        st = experiment_study(&e->study[i], e, list->item[i], root, err);
        e->n_studies = i + 1;
        for (uint32_t j = 0; st == ST_OK && j < i; j++)
            if (strcmp(e->study[j].name, e->study[i].name) == 0)
                st = yaml_refuse(list->item[i], err, "a second study named %s", e->study[i].name);
    }
    return st;
}

static enum status read_tree(struct experiment *e, struct yaml_pool *pool,
                             const struct yaml_source *source, const char *const *set,
                             size_t n_sets, struct err *err)
{
    struct yaml_node *root = NULL;
    enum status st = yaml_tree_parse(&root, pool, source, err);
    if (st == ST_OK)
        st = yaml_expect(root, "an experiment", YAML_MAP, err);
    for (size_t i = 0; st == ST_OK && i < n_sets; i++)
        st = experiment_set(root, pool, set[i], err);
    if (st == ST_OK)
        st = experiment_fields(e, root, err);
    if (st == ST_OK)
        st = read_studies(e, root, err);
    return st;
}

enum status experiment_parse(struct experiment **out, const char *path, const char *text,
                             size_t n_bytes, const char *const *set, size_t n_sets, struct err *err)
{
    struct yaml_source source = {.origin = path, .is_file = true, .text = text, .n_bytes = n_bytes};
    if (n_bytes > EXPERIMENT_MAX_BYTES)
        return err_set(err, ST_INVALID, "%s: %zu bytes; an experiment file has at most %d", path,
                       n_bytes, EXPERIMENT_MAX_BYTES);

    struct experiment *e = experiment_new(path);
    struct yaml_pool *pool = mem_zalloc(sizeof *pool);
    enum status st = read_tree(e, pool, &source, set, n_sets, err);
    yaml_pool_release(pool);
    free(pool);
    if (st != ST_OK) {
        experiment_free(e);
        return st;
    }
    if (e->n_seeds == 0)
        for (uint64_t seed = 1; seed <= 3; seed++)
            e->seed[e->n_seeds++] = seed;
    *out = e;
    return ST_OK;
}

enum status experiment_read(struct experiment **out, const char *path, const char *const *set,
                            size_t n_sets, struct err *err)
{
    char *text = NULL;
    size_t n = 0;
    enum status st = whole_file_read(&text, &n, path, EXPERIMENT_MAX_BYTES, err);
    if (st == ST_OK)
        st = experiment_parse(out, path, text, n, set, n_sets, err);
    free(text);
    return st;
}

static enum status check_checkpoint(const char *dir, const char *at, const char *key,
                                    struct err *err)
{
    struct stat info;
    if (dir == NULL)
        return ST_OK;
    if (stat(dir, &info) != 0)
        return err_set(err, ST_INVALID, "%s: %s %s: %s; --set %s=DIR would name another", at, key,
                       dir, strerror(errno), key);
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ST_INVALID, "%s: %s %s is no directory; a checkpoint is one", at, key,
                       dir);
    return ST_OK;
}

/* A file, or a folder where that is allowed. */
static enum status check_text(const char *path, const char *at, const char *key, bool may_be_folder,
                              struct err *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return err_set(err, ST_INVALID, "%s: %s %s: %s", at, key, path, strerror(errno));
    if (!S_ISREG(info.st_mode) && !(may_be_folder && S_ISDIR(info.st_mode)))
        return err_set(err, ST_INVALID, "%s: %s %s is no file%s", at, key, path,
                       may_be_folder ? " and no folder" : "");
    return ST_OK;
}

enum status experiment_check_paths(const struct experiment *e, struct err *err)
{
    enum status st = check_checkpoint(e->target, e->target_at, "target", err);
    if (st == ST_OK)
        st = check_checkpoint(e->draft, e->draft_at, "draft", err);
    if (st == ST_OK && dataset_kind_of(e->dataset, e->dataset_field) != DATASET_DEMO)
        st = check_text(e->dataset, e->dataset_at, "dataset", e->dataset_field == NULL, err);
    if (st == ST_OK && e->template_file != NULL)
        st = check_text(e->template_file, e->template_at, "template", false, err);
    return st;
}
