#include "orchestrator/run_heading.h"

#include <inttypes.h>
#include <string.h>

#include "orchestrator/dataset.h"
#include "orchestrator/heading.h"

enum { WIDTH = 80, INDENT = 11 };

/* Which documents, and what the prompts make of them. */
static void print_text(FILE *to, const struct run_heading *h)
{
    const struct experiment *e = h->e;
    enum dataset_kind kind = dataset_kind_of(e->dataset, e->dataset_field);
    uint32_t n_skipped = prompt_source_skipped(h->source);
    bool has_template = e->template_word != NULL && strcmp(e->template_word, "none") != 0;

    fprintf(to, "dataset    %s", e->dataset);
    if (kind == DATASET_JSONL)
        fprintf(to, ", field %s", e->dataset_field != NULL ? e->dataset_field : DATASET_FIELD);
    fprintf(to, ", %u document%s", e->n_documents, e->n_documents == 1 ? "" : "s");
    if (kind == DATASET_DEMO)
        fprintf(to, ", document seed %" PRIu64, e->document_seed);
    if (n_skipped > 0)
        fprintf(to, "; %u too short, passed over", n_skipped);
    fputc('\n', to);
    if (e->template_file != NULL)
        fprintf(to, "template   %s\n", e->template_file);
    else if (has_template)
        fprintf(to, "template   %s\n", e->template_word);
    if (e->chat)
        fprintf(to, "           in the target's chat form\n");
}

static void print_inputs(FILE *to, const struct run_heading *h)
{
    const struct experiment *e = h->e;

    fprintf(to, "study      %s (%s)\n", e->name, e->path);
    fprintf(to, "target     %s%s\n", e->target, h->random_target ? " (random weights)" : "");
    fprintf(to, "draft      %s%s\n", e->draft != NULL ? e->draft : "none",
            h->random_draft ? " (random weights)" : "");
    if (e->draft != NULL)
        fprintf(to, "           streaming cache: %u sinks, window %u\n", e->sinks, e->window);
    print_text(to, h);
    fprintf(to, "seeds     ");
    for (uint32_t i = 0; i < e->n_seeds; i++)
        fprintf(to, " %" PRIu64, e->seed[i]);
    fputc('\n', to);
}

/* Breaks after commas, so that no line is over 80 columns. */
static void print_indented(FILE *to, const char *text)
{
    int at = INDENT;

    fprintf(to, "%*s", INDENT, "");
    while (*text != '\0') {
        int n = (int)strcspn(text, ",");
        n += text[n] == ',';
        if (at > INDENT && at + n > WIDTH) {
            fprintf(to, "\n%*s", INDENT, "");
            at = INDENT;
            text += strspn(text, " ");
            continue;
        }
        fprintf(to, "%.*s", n, text);
        at += n;
        text += n;
    }
    fputc('\n', to);
}

static void print_study(FILE *to, const struct study *s)
{
    char fixed[HEADING_BYTES], sweep[128], value[64];

    heading_fixed(s, fixed);
    heading_sweep(s, sweep, sizeof sweep);
    fprintf(to, "%-10s", s->name);
    for (uint32_t i = 0; i < s->n_methods; i++)
        fprintf(to, " %s", method_name(s->method[i]));
    fputc('\n', to);
    if (strcmp(sweep, "-") != 0) {
        fprintf(to, "           over %s:", sweep);
        for (uint32_t p = 0; p < matrix_points(s); p++) {
            heading_point(s, p, value, sizeof value);
            fprintf(to, " %s", value);
        }
        fputc('\n', to);
    }
    print_indented(to, fixed);
}

/* resident_layers is a maximum: where less is in effect, that is said. */
static void print_effective(FILE *to, const struct matrix *m)
{
    uint32_t wanted = 0, effective = 0;

    for (uint32_t i = 0; i < m->n_trials; i++) {
        const struct trial *t = &m->trial[i];
        if (t->effective_resident >= t->setting.resident_layers)
            continue;
        if (t->setting.resident_layers == wanted && t->effective_resident == effective)
            continue;
        wanted = t->setting.resident_layers;
        effective = t->effective_resident;
        fprintf(to, "note       resident_layers %u is %u in effect: layers - on_chip is no more\n",
                wanted, effective);
    }
}

static void print_place(FILE *to, const struct run_heading *h, uint32_t i)
{
    const struct place *place = &h->e->place[i % h->e->n_places];
    uint32_t node = h->run->place[i]->verify.device_node;
    char cpus[CPU_LIST_TEXT];

    fprintf(to, "%s", h->run->place[i]->verify.device);
    if (h->e->draft != NULL && strcmp(place->draft, place->verify) != 0)
        fprintf(to, ", draft on %s", place->draft);
    if (cpu_list_count(&place->cpus) > 0) {
        cpu_list_text(&h->run->place[i]->cpus, cpus);
        fprintf(to, ", CPUs %s", cpus);
    }
    if (place->numa_node >= 0)
        fprintf(to, ", NUMA node %d\n", place->numa_node);
    else
        fprintf(to, ", NUMA node not bound\n");
    /* Pages on the far node reach the GPU through the link between the nodes. */
    if (node != UINT32_MAX && (place->numa_node < 0 || (uint32_t)place->numa_node != node))
        fprintf(to, "note       the GPU is attached to NUMA node %u; numa: %u would be right\n",
                node, node);
}

static void print_places(FILE *to, const struct run_heading *h)
{
    if (h->run->n_places > 1)
        fprintf(to, "places     %u at once%s\n", h->run->n_places,
                h->e->share_devices ? ", which may share devices" : "");
    for (uint32_t i = 0; i < h->run->n_places; i++) {
        if (h->run->n_places > 1)
            fprintf(to, "device %-3u ", i + 1);
        else
            fprintf(to, "device     ");
        print_place(to, h, i);
    }
    fprintf(to, "threads    of each worker: ");
    if (h->e->threads > 0)
        fprintf(to, "%u\n", h->e->threads);
    else
        fprintf(to, "all\n");
}

void run_heading_print(FILE *to, const struct run_heading *h)
{
    char arena[32];

    print_inputs(to, h);
    for (uint32_t i = 0; i < h->e->n_studies; i++)
        print_study(to, &h->e->study[i]);
    print_effective(to, h->matrix);
    print_places(to, h);
    heading_bytes((double)h->arena_bytes, arena, sizeof arena);
    fprintf(to, "store      arena %s (%s)%s\n", arena, h->e->arena,
            h->run->n_places > 1 ? " at each place" : "");
    fprintf(to, "memory     %.2f GB/s read", h->verify->memory_gbps);
    if (h->verify->link_gbps > 0)
        fprintf(to, "; simulated link %.3f GB/s\n", h->verify->link_gbps);
    else if (h->verify->device_link_gbps > 0)
        fprintf(to, "; PCIe link %.2f GB/s (measured)\n", h->verify->device_link_gbps);
    else
        fprintf(to, "; no link: the arena is read in place\n");
    fprintf(to, "run        %u trials on %u prompt%s -> %s\n\n", h->matrix->n_trials,
            h->matrix->n_prompts, h->matrix->n_prompts == 1 ? "" : "s", h->folder);
    fflush(to);
}
