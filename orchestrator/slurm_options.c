#include "orchestrator/slurm_options.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/experiment_parts.h"
#include "orchestrator/yaml_value.h"

enum { MAX_WORD = 256 };

static void replace(char **text, const char *by)
{
    free(*text);
    *text = mem_strdup(by);
}

enum status slurm_options_partition(struct slurm_options *o, const char *name, struct err *err)
{
    if (name[0] == '\0' || name[0] == '-' || strlen(name) > MAX_WORD)
        return err_set(err, ST_INVALID, "'%.60s' is no partition; a name as sinfo shows it", name);
    replace(&o->partition, name);
    return ST_OK;
}

/* minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]] */
static bool is_time(const char *text)
{
    int n_colons = 0, n_dashes = 0, n_digits = 0;

    for (; *text != '\0'; text++) {
        if (*text >= '0' && *text <= '9') {
            n_digits++;
            continue;
        }
        if (n_digits == 0 || (*text != ':' && *text != '-'))
            return false;
        if (*text == '-' && (n_dashes > 0 || n_colons > 0))
            return false;
        n_colons += *text == ':';
        n_dashes += *text == '-';
        n_digits = 0;
    }
    return n_digits > 0 && n_colons <= 2;
}

enum status slurm_options_time(struct slurm_options *o, const char *limit, struct err *err)
{
    if (!is_time(limit) || strlen(limit) > MAX_WORD)
        return err_set(err, ST_INVALID,
                       "'%.60s' is no time limit; minutes, hours:minutes:seconds or "
                       "days-hours would be right",
                       limit);
    replace(&o->time_limit, limit);
    return ST_OK;
}

/* The options without which a run could not be found again. */
static const char *const ours[] = {"--array",    "--output",    "--error",   "--chdir",
                                   "--parsable", "--wrap",      "--wait",    "--test-only",
                                   "--hold",     "--open-mode", "--job-name"};

enum status slurm_options_add(struct slurm_options *o, const char *arg, struct err *err)
{
    size_t n = strcspn(arg, "=");

    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0' || strlen(arg) > MAX_WORD)
        return err_set(err, ST_INVALID,
                       "'%.60s' is no long option of sbatch; --name or --name=value would be right",
                       arg);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strlen(ours[i]) == n && memcmp(ours[i], arg, n) == 0)
            return err_set(err, ST_INVALID, "%s is set by the run itself", ours[i]);
    if (o->n_args == SLURM_MAX_ARGS)
        return err_set(err, ST_INVALID, "'%.60s' is one more than %d arguments for sbatch", arg,
                       SLURM_MAX_ARGS);
    o->arg[o->n_args++] = mem_strdup(arg);
    return ST_OK;
}

typedef enum status take_word(struct slurm_options *o, const char *word, struct err *err);

static enum status read_word(struct slurm_options *o, const struct yaml_node *node,
                             const char *what, take_word *take, struct err *err)
{
    const char *text = NULL;
    struct err why = {{0}};
    enum status st = yaml_text(node, what, MAX_WORD, &text, err);

    if (st == ST_OK && take(o, text, &why) != ST_OK)
        return yaml_refuse(node, err, "%s: %s", what, why.text);
    return st;
}

static enum status read_args(struct slurm_options *o, const struct yaml_node *list, struct err *err)
{
    enum status st = yaml_expect(list, "sbatch", YAML_LIST, err);

    for (uint32_t i = 0; st == ST_OK && i < list->n; i++)
        st = read_word(o, list->item[i], "sbatch", slurm_options_add, err);
    return st;
}

enum status slurm_options_read(struct slurm_options *out, const struct yaml_node *map,
                               struct err *err)
{
    static const char *const known[] = {"partition", "time", "at_once", "sbatch"};
    const struct yaml_node *node;
    uint64_t at_once = 0;
    enum status st = experiment_check_map(map, "slurm", known, 4, err);

    if (st == ST_OK && (node = yaml_map_find(map, "partition")) != NULL)
        st = read_word(out, node, "partition", slurm_options_partition, err);
    if (st == ST_OK && (node = yaml_map_find(map, "time")) != NULL)
        st = read_word(out, node, "time", slurm_options_time, err);
    if (st == ST_OK && (node = yaml_map_find(map, "at_once")) != NULL)
        st = yaml_integer(node, "at_once", 1, SLURM_MAX_TASKS, &at_once, err);
    if (st == ST_OK && (node = yaml_map_find(map, "sbatch")) != NULL)
        st = read_args(out, node, err);
    out->at_once = (uint32_t)at_once;
    return st;
}

void slurm_options_release(struct slurm_options *o)
{
    free(o->partition);
    free(o->time_limit);
    for (uint32_t i = 0; i < o->n_args; i++)
        free(o->arg[i]);
    *o = (struct slurm_options){.n_args = 0};
}
