#include "orchestrator/replay_plan.h"

#include <string.h>

#include "orchestrator/experiment_parts.h"
#include "orchestrator/matrix.h"
#include "orchestrator/yaml_value.h"

/* The keys of the mapping: methods that speculate, and the middle level's rate. */
static const char *const known[] = {"vanilla_specdec", "mspeckv", "mspeckv_kv_quant", "draft_rate"};
enum { KNOWN = sizeof known / sizeof known[0] };

/* False: the means say nothing of a trial of these settings. */
static bool find_mean(const struct replay_means *means, const struct setting *s, double *out)
{
    for (uint32_t i = 0; i < means->n; i++) {
        if (means->by != NULL && setting_get(s, means->by) != means->at[i])
            continue;
        *out = means->accepted[i];
        return true;
    }
    return false;
}

void replay_plan_apply(const struct study *study, uint32_t point, enum method method,
                       struct setting *s)
{
    const struct setting at = matrix_point_setting(study, point);
    bool has_middle = method == METHOD_MSPECKV || method == METHOD_MSPECKV_KV_QUANT;

    s->replay_accepted = s->replay_draft_rate = 0;
    if (study->replay.is_on && find_mean(&study->replay.means[method], &at, &s->replay_accepted))
        s->replay_draft_rate = has_middle ? study->replay.draft_rate : 0;
}

bool replay_plan_any(const struct experiment *e)
{
    for (uint32_t i = 0; i < e->n_studies; i++)
        if (e->study[i].replay.is_on)
            return true;
    return false;
}

/* The smallest gamma of the study: no verification accepts more. */
static double least_gamma(const struct study *s)
{
    double least = s->fixed.gamma;

    for (uint32_t i = 0; i < s->n_sweeps; i++)
        for (uint32_t v = 0; strcmp(s->sweep[i].key, "gamma") == 0 && v < s->sweep[i].n_values; v++)
            least = s->sweep[i].value[v] < least ? s->sweep[i].value[v] : least;
    return least;
}

/* One for each value of the study's only sweep. */
static enum status read_list(struct study *s, const struct yaml_node *list,
                             struct replay_means *means, const char *what, struct err *err)
{
    const struct yaml_range range = {0, least_gamma(s), true};
    enum status st = ST_OK;

    if (s->n_sweeps != 1 || list->n != s->sweep[0].n_values)
        return yaml_refuse(list, err,
                           "%s lists %u values; one, one for each value of a single sweep, or "
                           "{PREFILL: X, ...} would be right",
                           what, list->n);
    means->by = setting_key_find(s->sweep[0].key);
    means->n = list->n;
    for (uint32_t i = 0; st == ST_OK && i < list->n; i++) {
        means->at[i] = s->sweep[0].value[i];
        st = yaml_real(list->item[i], what, range, &means->accepted[i], err);
    }
    return st;
}

/* By prefill, so that a part of a published table can be run. */
static enum status read_table(const struct study *s, const struct yaml_node *map,
                              struct replay_means *means, const char *what, struct err *err)
{
    const struct yaml_range range = {0, least_gamma(s), true};
    const struct setting_key *prefill = setting_key_find("prefill");
    enum status st = ST_OK;

    if (map->n == 0 || map->n > EXPERIMENT_MAX_VALUES)
        return yaml_refuse(map, err, "%s gives %u values; 1 to %d would be right", what, map->n,
                           EXPERIMENT_MAX_VALUES);
    means->by = prefill;
    means->n = map->n;
    for (uint32_t i = 0; st == ST_OK && i < map->n; i++) {
        uint64_t at = 0;
        st = yaml_integer(map->key[i], what, (uint64_t)prefill->min, (uint64_t)prefill->max, &at,
                          err);
        means->at[i] = (double)at;
        if (st == ST_OK)
            st = yaml_real(map->item[i], what, range, &means->accepted[i], err);
    }
    return st;
}

/* Every point of the study must find its mean. */
static enum status check_points(const struct study *s, const struct yaml_node *node,
                                const struct replay_means *means, const char *what, struct err *err)
{
    for (uint32_t p = 0; p < matrix_points(s); p++) {
        struct setting at = matrix_point_setting(s, p);
        double unused;
        if (!find_mean(means, &at, &unused))
            return yaml_refuse(node, err, "%s says nothing of %s %g, which study %s runs", what,
                               means->by->key, setting_get(&at, means->by), s->name);
    }
    return ST_OK;
}

static enum status read_method(struct study *s, const struct yaml_node *node, enum method method,
                               struct err *err)
{
    struct replay_means *means = &s->replay.means[method];
    const char *what = method_name(method);
    enum status st;

    if (node->kind == YAML_LIST) {
        st = read_list(s, node, means, what, err);
    } else if (node->kind == YAML_MAP) {
        st = read_table(s, node, means, what, err);
    } else {
        means->n = 1;
        st = yaml_real(node, what, (struct yaml_range){0, least_gamma(s), true},
                       &means->accepted[0], err);
    }
    return st == ST_OK ? check_points(s, node, means, what, err) : st;
}

static enum status read_map(struct study *s, const struct yaml_node *map, struct err *err)
{
    const struct yaml_node *rate = yaml_map_find(map, "draft_rate");
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < s->n_methods; i++) {
        const struct yaml_node *node = yaml_map_find(map, method_name(s->method[i]));
        if (s->method[i] == METHOD_BASELINE)
            continue;
        if (node == NULL)
            return yaml_refuse(map, err,
                               "replay_acceptance says nothing of %s, which study %s runs; "
                               "%s: X (accepted tokens of a verification) would be right",
                               method_name(s->method[i]), s->name, method_name(s->method[i]));
        st = read_method(s, node, s->method[i], err);
    }
    if (st == ST_OK && rate != NULL)
        st = yaml_real(rate, "draft_rate", (struct yaml_range){0, 1, true}, &s->replay.draft_rate,
                       err);
    return st;
}

enum status experiment_replay(struct study *s, const struct yaml_node *study, struct err *err)
{
    const struct yaml_node *map = yaml_map_find(study, "replay_acceptance");
    enum status st;

    if (map == NULL)
        return ST_OK;
    st = experiment_check_map(map, "replay_acceptance", known, KNOWN, err);
    if (st == ST_OK && !s->fixed.ignore_eos)
        st = yaml_refuse(map, err,
                         "replay_acceptance with ignore_eos: false, but replayed tokens end no "
                         "text; ignore_eos: true would be right");
    if (st == ST_OK)
        st = read_map(s, map, err);
    s->replay.is_on = st == ST_OK;
    return st;
}
