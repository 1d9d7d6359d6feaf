#include "orchestrator/report_source.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/report_page.h"
#include "orchestrator/report_plots.h"

static enum status read_experiment(struct report_source *s, struct err *err)
{
    const struct run_record *r = &s->record;

    return experiment_parse(&s->e, r->file, r->text, strlen(r->text), r->set, r->n_sets, err);
}

static enum status read_results(struct report_source *s, const char *dir, struct err *err)
{
    char *path = mem_printf("%s/results.jsonl", dir);
    enum status st = results_read(&s->results, path, s->e, err);

    if (st == ST_OK && s->results.n == 0)
        st = err_set(err, ST_INVALID, "%s: no trial has ended yet; a report needs one", path);
    if (st == ST_OK)
        s->results.n = results_keep_last(s->results.result, s->results.n);
    free(path);
    return st;
}

/* ---- what the manifest says for reading ---- */

static void say(FILE *to, const json_t *object, const char *key, const char *words)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value))
        fprintf(to, "%-12s %s\n", words, json_string_value(value));
    else if (json_is_number(value))
        fprintf(to, "%-12s %.9g\n", words, json_number_value(value));
}

static void say_places(FILE *to, const json_t *experiment)
{
    const json_t *devices = json_object_get(experiment, "devices");
    size_t i;
    json_t *place;

    json_array_foreach(devices, i, place)
    {
        say(to, place, "verify", "verify on");
        say(to, place, "draft", "draft on");
        say(to, place, "cpus", "CPU set");
    }
    say(to, experiment, "parallel", "at once");
}

static char *about(const json_t *manifest)
{
    const json_t *machine = json_object_get(manifest, "machine");
    const json_t *experiment = json_object_get(manifest, "experiment");
    const json_t *text = json_object_get(experiment, "text");
    char *words = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&words, &n);

    CHECK(to != NULL);
    say(to, manifest, "version", "version");
    say(to, manifest, "commit", "commit");
    say(to, manifest, "date", "date");
    say(to, machine, "cpu_model", "CPU");
    say(to, machine, "cpus", "CPUs");
    say(to, machine, "kernel", "kernel");
    say(to, manifest, "memory_gbps", "memory GB/s");
    say(to, json_object_get(manifest, "link"), "gbps", "link GB/s");
    say(to, json_object_get(manifest, "link"), "device_gbps", "PCIe GB/s");
    say_places(to, experiment);
    say(to, experiment, "target", "target");
    say(to, experiment, "draft", "draft");
    say(to, text, "dataset", "dataset");
    say(to, text, "template", "template");
    CHECK(fclose(to) == 0);
    return words;
}

static uint32_t skipped(const json_t *manifest)
{
    const json_t *text = json_object_get(json_object_get(manifest, "experiment"), "text");

    return (uint32_t)json_integer_value(json_object_get(text, "skipped"));
}

static bool is_random(const json_t *manifest)
{
    return json_is_true(json_object_get(manifest, "target_random_weights")) ||
           json_is_true(json_object_get(manifest, "draft_random_weights"));
}

enum status report_source_open(struct report_source *out, const char *dir, struct err *err)
{
    enum status st;

    *out = (struct report_source){.e = NULL};
    st = run_record_read(&out->record, dir, NULL, NULL, err);
    if (st == ST_OK)
        st = read_experiment(out, err);
    if (st == ST_OK)
        st = read_results(out, dir, err);
    if (st != ST_OK)
        return st;
    summary_open(&out->summary, out->e, out->results.result, out->results.n, out->record.link_gbps);
    out->summary->device_link_gbps = out->record.device_link_gbps;
    out->summary->random_weights = is_random(out->record.root);
    out->summary->n_skipped = skipped(out->record.root);
    out->charts = mem_array(out->e->n_studies, sizeof *out->charts);
    for (uint32_t i = 0; i < out->e->n_studies; i++)
        report_charts_init(&out->charts[i], out->summary, &out->results, i);
    out->about = about(out->record.root);
    out->run = (struct report_run){.name = dir,
                                   .s = out->summary,
                                   .results = &out->results,
                                   .about = out->about,
                                   .charts = out->charts};
    return ST_OK;
}

void report_source_release(struct report_source *s)
{
    for (uint32_t i = 0; s->charts != NULL && i < s->e->n_studies; i++)
        report_charts_release(&s->charts[i]);
    free(s->charts);
    free(s->about);
    summary_close(s->summary);
    results_release(&s->results);
    experiment_free(s->e);
    run_record_release(&s->record);
    *s = (struct report_source){.e = NULL};
}

enum status report_source_write(const struct report_source *s, struct err *err)
{
    char *text = NULL, *path = mem_printf("%s/report.html", s->run.name);
    enum status st = report_plots_draw(&s->run, s->run.name, err);
    size_t n = 0;

    if (st == ST_OK) {
        FILE *to = open_memstream(&text, &n);
        CHECK(to != NULL);
        report_page_write(to, &s->run, s->run.name);
        CHECK(fclose(to) == 0);
        st = whole_file_write(path, text, n, err);
    }
    free(text);
    free(path);
    return st;
}

enum status report_write(const char *dir, struct err *err)
{
    struct report_source source;
    enum status st = report_source_open(&source, dir, err);

    if (st == ST_OK)
        st = report_source_write(&source, err);
    report_source_release(&source);
    return st;
}
