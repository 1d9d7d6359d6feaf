#include "orchestrator/manifest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/dataset.h"
#include "orchestrator/matrix.h"
#include "orchestrator/replay_plan.h"
#include "orchestrator/study_place.h"

/* Arguments and paths need not be UTF-8, JSON must be. */
static json_t *text_or_null(const char *text)
{
    if (text == NULL)
        return json_null();
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(not UTF-8)");
}

static json_t *number_or_null(double x, bool known)
{
    return known && isfinite(x) ? json_real(x) : json_null();
}

static json_t *date_now(void)
{
    char text[32];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_string(text);
}

static json_t *command_line(const struct manifest *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->argc; i++)
        json_array_append_new(list, text_or_null(m->argv[i]));
    return list;
}

static json_t *machine_object(const struct machine *m)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:o}", "cpu_model", text_or_null(m->cpu_model),
                     "cpu_flags", text_or_null(m->cpu_flags), "cpus", (json_int_t)m->n_cpus,
                     "numa_nodes", (json_int_t)m->n_nodes, "memory_bytes",
                     (json_int_t)m->memory_bytes, "kernel", text_or_null(m->kernel));
}

static json_t *store_object(const struct manifest *m)
{
    if (!m->is_started)
        return json_null();
    return json_pack(
        "{s:o, s:I, s:I, s:o, s:o}", "arena", text_or_null(m->arena_kind), "arena_bytes",
        (json_int_t)m->arena_bytes, "huge_page_bytes", (json_int_t)m->huge_page_bytes, "numa_node",
        m->numa_node >= 0 ? json_integer(m->numa_node) : json_null(), "numa_local_share",
        number_or_null(m->numa_local_share, m->numa_local_share >= 0));
}

/* What a place was granted: the CPUs as the kernel says them of verify, the
 * arena's pages as the store found them. */
static json_t *granted_object(const struct study_place *p)
{
    const struct msg_welcome *store = &p->store;
    bool is_bound = store->numa_node != UINT32_MAX;
    bool has_node = p->verify.device_node != UINT32_MAX;
    char cpus[CPU_LIST_TEXT];
    cpu_list_text(&p->cpus, cpus);
    return json_pack(
        "{s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "device", text_or_null(p->verify.device),
        "cpus", cpus, "arena_bytes", (json_int_t)store->arena_bytes, "huge_page_bytes",
        (json_int_t)store->huge_page_bytes, "numa_node",
        is_bound ? json_integer(store->numa_node) : json_null(), "numa_local_share",
        number_or_null(store->numa_local_share, store->numa_local_share >= 0), "memory_gbps",
        number_or_null(p->verify.memory_gbps, p->verify.memory_gbps > 0), "device_node",
        has_node ? json_integer(p->verify.device_node) : json_null(), "device_link_gbps",
        number_or_null(p->verify.device_link_gbps, p->verify.device_link_gbps > 0));
}

static json_t *granted_list(const struct manifest *m)
{
    json_t *list = json_array();
    for (uint32_t i = 0; m->is_started && i < m->n_places; i++)
        json_array_append_new(list, granted_object(m->place[i]));
    return list;
}

static json_t *setting_object(const struct setting *s)
{
    json_t *object = json_object();
    for (size_t i = 0; i < SETTING_KEYS; i++) {
        const struct setting_key *key = &setting_keys[i];
        double value = setting_get(s, key);
        json_t *number = json_integer((json_int_t)value);
        if (strcmp(key->key, "kv_format") == 0)
            json_object_set_new(object, key->key, json_string(setting_format_name(s->kv_format)));
        else if (strcmp(key->key, "acceptance") == 0)
            json_object_set_new(object, key->key,
                                json_string(setting_acceptance_name(s->acceptance)));
        else if (key->kind == SETTING_REAL)
            json_object_set_new(object, key->key, json_real(value));
        else if (key->kind == SETTING_BOOL)
            json_object_set_new(object, key->key, json_boolean(value != 0));
        else
            json_object_set(object, key->key, number);
        json_decref(number);
    }
    return object;
}

/* The means of each method by sweep point; null where nothing is replayed. */
static json_t *replay_object(const struct study *s)
{
    json_t *object = s->replay.is_on ? json_object() : json_null();
    for (uint32_t p = 0; s->replay.is_on && p < matrix_points(s) * s->n_methods; p++) {
        enum method method = s->method[p % s->n_methods];
        struct setting replayed = {0};
        replay_plan_apply(s, p / s->n_methods, method, &replayed);
        if (p < s->n_methods)
            json_object_set_new(object, method_name(method), json_array());
        json_array_append_new(json_object_get(object, method_name(method)),
                              json_real(replayed.replay_accepted));
    }
    if (s->replay.is_on)
        json_object_set_new(object, "draft_rate", json_real(s->replay.draft_rate));
    return object;
}

static json_t *study_object(const struct study *s)
{
    json_t *methods = json_array(), *sweeps = json_object();
    for (uint32_t i = 0; i < s->n_methods; i++)
        json_array_append_new(methods, json_string(method_name(s->method[i])));
    for (uint32_t i = 0; i < s->n_sweeps; i++) {
        json_t *values = json_array();
        for (uint32_t v = 0; v < s->sweep[i].n_values; v++)
            json_array_append_new(values, json_real(s->sweep[i].value[v]));
        json_object_set_new(sweeps, s->sweep[i].key, values);
    }
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "study", s->name, "title",
                     text_or_null(s->title), "methods", methods, "reference",
                     method_name(s->reference), "sweep", sweeps, "fixed", setting_object(&s->fixed),
                     "replay_acceptance", replay_object(s));
}

/* Every length of one document's prompt: what was really decoded. */
static json_t *prompts_list(const struct manifest *m, uint32_t document)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->matrix->n_prompts; i++) {
        const struct prompt *p = &m->matrix->prompt[i];
        char hash[32];
        if (p->document != document)
            continue;
        snprintf(hash, sizeof hash, "xxh3-64:%016llx",
                 (unsigned long long)prompt_source_hash(m->source, document, p->prefill));
        json_array_append_new(
            list, json_pack("{s:i, s:s}", "prefill", (int)p->prefill, "token_hash", hash));
    }
    return list;
}

static json_t *documents_list(const struct manifest *m)
{
    bool demo = dataset_kind_of(m->e->dataset, m->e->dataset_field) == DATASET_DEMO;
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->e->n_documents; i++) {
        json_t *document =
            json_pack("{s:o, s:o}", "name", text_or_null(prompt_source_name(m->source, i)),
                      "prompts", prompts_list(m, i));
        if (demo)
            json_object_set_new(document, "seed",
                                json_integer((json_int_t)(m->e->document_seed + i)));
        json_array_append_new(list, document);
    }
    return list;
}

static json_t *text_object(const struct manifest *m)
{
    const struct experiment *e = m->e;
    const char *word = e->template_word != NULL ? e->template_word : "none";
    enum dataset_kind kind = dataset_kind_of(e->dataset, e->dataset_field);
    const char *field = e->dataset_field != NULL ? e->dataset_field : DATASET_FIELD;
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:b, s:b, s:i, s:o}", "dataset",
                     text_or_null(e->dataset), "kind", dataset_kind_name(kind), "field",
                     text_or_null(kind == DATASET_JSONL ? field : NULL), "template",
                     text_or_null(e->template_file == NULL ? word : NULL), "template_file",
                     text_or_null(e->template_file), "chat", (int)e->chat, "skip_short",
                     (int)e->skip_short, "skipped", (int)prompt_source_skipped(m->source),
                     "documents", documents_list(m));
}

static json_t *link_object(const struct manifest *m)
{
    static const char *const kinds[] = {"none", "simulate_gbps", "simulate_ratio"};
    return json_pack("{s:s, s:o, s:b, s:o, s:o}", "asked", kinds[m->e->link], "asked_value",
                     number_or_null(m->e->link_value, m->e->link != LINK_NONE), "simulated",
                     m->link_simulated, "gbps", number_or_null(m->link_gbps, m->link_gbps > 0),
                     "device_gbps", number_or_null(m->device_link_gbps, m->device_link_gbps > 0));
}

static json_t *place_object(const struct place *p)
{
    char cpus[CPU_LIST_TEXT];
    cpu_list_text(&p->cpus, cpus);
    return json_pack("{s:s, s:s, s:o, s:o}", "verify", p->verify, "draft", p->draft, "cpus",
                     text_or_null(cpus[0] != '\0' ? cpus : NULL), "numa",
                     p->numa_node >= 0 ? json_integer(p->numa_node) : json_null());
}

static json_t *experiment_object(const struct manifest *m)
{
    const struct experiment *e = m->e;
    json_t *seeds = json_array(), *studies = json_array(), *devices = json_array();
    for (uint32_t i = 0; i < e->n_places; i++)
        json_array_append_new(devices, place_object(&e->place[i]));
    for (uint32_t i = 0; i < e->n_seeds; i++)
        json_array_append_new(seeds, json_integer((json_int_t)e->seed[i]));
    for (uint32_t i = 0; i < e->n_studies; i++)
        json_array_append_new(studies, study_object(&e->study[i]));
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:i, s:b, s:i, s:s, s:f, s:b, "
        "s:o}",
        "file", text_or_null(e->path), "name", e->name, "target", text_or_null(e->target), "draft",
        text_or_null(e->draft), "text", text_object(m), "seeds", seeds, "sinks", (int)e->sinks,
        "recent", (int)e->window, "devices", devices, "parallel", (int)e->parallel, "share_devices",
        (int)e->share_devices, "threads", (int)e->threads, "arena", e->arena, "timeout_s",
        e->timeout_s, "warmup", (int)e->warmup, "studies", studies);
}

static json_t *origin_object(const struct manifest *m)
{
    json_t *set = json_array();
    for (size_t i = 0; i < m->n_sets; i++)
        json_array_append_new(set, text_or_null(m->set[i]));
    return json_pack("{s:o, s:o, s:o}", "directory", text_or_null(m->directory), "set", set, "text",
                     text_or_null(m->text));
}

char *manifest_text(const struct manifest *m)
{
    json_t *all = json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:I, s:o, s:o, s:o, "
        "s:[]}",
        "manifest", MANIFEST_FORMAT, "version", text_or_null(m->version), "commit",
        text_or_null(m->commit), "date", date_now(), "command", command_line(m), "machine",
        machine_object(m->machine), "store", store_object(m), "places", granted_list(m), "link",
        link_object(m), "target_fingerprint", text_or_null(m->target_fingerprint),
        "draft_fingerprint", text_or_null(m->draft_fingerprint), "target_random_weights",
        (int)m->random_target, "draft_random_weights", (int)m->random_draft, "layers",
        (json_int_t)m->n_layers, "memory_gbps", number_or_null(m->memory_gbps, m->memory_gbps > 0),
        "experiment", experiment_object(m), "origin", origin_object(m), "resumed");
    CHECK(all != NULL);
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(all);
    CHECK(text != NULL);
    return text;
}

enum status manifest_write(const struct manifest *m, const char *path, struct err *err)
{
    char *text = manifest_text(m);
    enum status st = whole_file_write(path, text, strlen(text), err);
    free(text);
    return st;
}
