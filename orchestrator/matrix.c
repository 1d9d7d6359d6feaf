#include "orchestrator/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/replay_plan.h"

uint32_t matrix_points(const struct study *study)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < study->n_sweeps; i++)
        n *= study->sweep[i].n_values;
    return n;
}

double matrix_point_value(const struct study *study, uint32_t point, uint32_t sweep)
{
    for (uint32_t i = study->n_sweeps - 1; i > sweep; i--)
        point /= study->sweep[i].n_values;
    return study->sweep[sweep].value[point % study->sweep[sweep].n_values];
}

struct setting matrix_point_setting(const struct study *study, uint32_t point)
{
    struct setting s = study->fixed;
    for (uint32_t i = 0; i < study->n_sweeps; i++)
        setting_put(&s, setting_key_find(study->sweep[i].key), matrix_point_value(study, point, i));
    return s;
}

static bool same_work(const struct trial *a, const struct trial *b)
{
    return a->method == b->method && a->document == b->document && a->seed == b->seed &&
           setting_same(&a->setting, &b->setting);
}

static void add_use(struct trial *t, struct use use)
{
    t->use = mem_resize(t->use, t->n_uses + 1, sizeof *t->use);
    t->use[t->n_uses++] = use;
}

/* Joins `t` to a trial of the same work, or appends it. Only trials of the same
 * work group can match, so the search begins at `from`. */
static void add_trial(struct matrix *m, uint32_t from, const struct trial *t, struct use use)
{
    for (uint32_t i = from; i < m->n_trials; i++) {
        if (!same_work(&m->trial[i], t))
            continue;
        add_use(&m->trial[i], use);
        return;
    }
    m->trial[m->n_trials] = *t;
    m->trial[m->n_trials].number = m->n_trials;
    add_use(&m->trial[m->n_trials++], use);
}

/* All seeds of one cell at one prompt. */
static void add_cell(struct matrix *m, const struct experiment *e, const struct prompt *prompt,
                     struct use use, enum method method)
{
    struct setting s = matrix_point_setting(&e->study[use.study], use.point);
    for (uint32_t i = 0; i < e->n_seeds; i++) {
        struct trial t = {.prompt = m->n_prompts,
                          .method = method,
                          .document = prompt->document,
                          .seed = e->seed[i],
                          .setting = setting_for_method(&s, method)};
        replay_plan_apply(&e->study[use.study], use.point, method, &t.setting);
        add_trial(m, prompt->first_trial, &t, use);
    }
}

static void add_prompt(struct matrix *m, const struct experiment *e, uint32_t prefill,
                       uint32_t document)
{
    struct prompt prompt = {.document = document, .prefill = prefill, .first_trial = m->n_trials};
    for (uint32_t s = 0; s < e->n_studies; s++) {
        for (uint32_t p = 0; p < matrix_points(&e->study[s]); p++) {
            if (matrix_point_setting(&e->study[s], p).prefill != prefill)
                continue;
            for (uint32_t i = 0; i < e->study[s].n_methods; i++)
                add_cell(m, e, &prompt, (struct use){s, p}, e->study[s].method[i]);
        }
    }
    prompt.n_trials = m->n_trials - prompt.first_trial;
    for (uint32_t i = 0; i < prompt.n_trials; i++) {
        uint32_t gen_len = m->trial[prompt.first_trial + i].setting.gen_len;
        prompt.max_gen_len = gen_len > prompt.max_gen_len ? gen_len : prompt.max_gen_len;
    }
    m->prompt[m->n_prompts++] = prompt;
}

/* Every length once, ascending; returns how many. */
static uint32_t list_prefills(const struct experiment *e, uint32_t *list)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < e->n_studies; s++) {
        for (uint32_t p = 0; p < matrix_points(&e->study[s]); p++) {
            uint32_t prefill = matrix_point_setting(&e->study[s], p).prefill;
            uint32_t at = 0;
            while (at < n && list[at] < prefill)
                at++;
            if (at < n && list[at] == prefill)
                continue;
            memmove(list + at + 1, list + at, (n - at) * sizeof *list);
            list[at] = prefill;
            n++;
        }
    }
    return n;
}

enum status matrix_open(struct matrix **out, const struct experiment *e, struct err *err)
{
    uint64_t most = 0;
    uint32_t n_points = 0;
    for (uint32_t s = 0; s < e->n_studies; s++) {
        uint32_t points = matrix_points(&e->study[s]);
        n_points += points;
        most += (uint64_t)points * e->study[s].n_methods * e->n_documents * e->n_seeds;
    }
    if (most > MATRIX_MAX_TRIALS)
        return err_set(err, ST_INVALID,
                       "%s: %llu trials (points x methods x documents x seeds); at most %d would "
                       "be right",
                       e->path, (unsigned long long)most, MATRIX_MAX_TRIALS);

    struct matrix *m = mem_zalloc(sizeof *m);
    uint32_t *prefill = mem_array(n_points, sizeof *prefill);
    uint32_t n_prefills = list_prefills(e, prefill);
    m->trial = mem_array((size_t)most, sizeof *m->trial);
    m->prompt = mem_array((size_t)n_prefills * e->n_documents, sizeof *m->prompt);
    for (uint32_t i = 0; i < n_prefills; i++)
        for (uint32_t d = 0; d < e->n_documents; d++)
            add_prompt(m, e, prefill[i], d);
    free(prefill);
    *out = m;
    return ST_OK;
}

void matrix_close(struct matrix *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->n_trials; i++)
        free(m->trial[i].use);
    free(m->trial);
    free(m->prompt);
    free(m);
}

enum status matrix_check(struct matrix *m, const struct experiment *e, uint32_t n_layers,
                         struct err *err)
{
    for (uint32_t i = 0; i < m->n_trials; i++) {
        struct trial *t = &m->trial[i];
        const struct study *study = &e->study[t->use[0].study];
        if (t->setting.on_chip > n_layers)
            return err_set(err, ST_INVALID,
                           "%s: study %s: on_chip is %u and the target has %u layers; on_chip of "
                           "0 to %u would be right",
                           study->on_chip_at, study->name, t->setting.on_chip, n_layers, n_layers);
        uint32_t rest = n_layers - t->setting.on_chip;
        uint32_t wanted = t->setting.resident_layers;
        t->effective_resident = wanted < rest ? wanted : rest;
    }
    return ST_OK;
}

struct msg_trial matrix_message(const struct trial *t, uint64_t snapshot)
{
    return (struct msg_trial){
        .trial = t->number,
        .prompt = t->prompt,
        .n_prompt = t->setting.prefill,
        .snapshot = snapshot,
        .method = (uint32_t)t->method,
        .acceptance = t->setting.acceptance,
        .kv_format = t->setting.kv_format,
        .gamma = t->setting.gamma,
        .gamma_draft = t->setting.gamma_draft,
        .budget = t->setting.budget,
        .chunk = t->setting.chunk,
        .on_chip = t->setting.on_chip,
        .resident_layers = t->effective_resident,
        .gen_len = t->setting.gen_len,
        .temperature = t->setting.temperature,
        .top_p = t->setting.top_p,
        .seed = t->seed,
        .ignore_eos = t->setting.ignore_eos,
        .staging_layers = t->setting.staging_layers,
        .replay_accepted = t->setting.replay_accepted,
        .replay_draft_rate = t->setting.replay_draft_rate,
    };
}
