#include "orchestrator/trace_json.h"

#include <inttypes.h>
#include <stdlib.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/msg.h"

/* One process of the timeline while it is written. */
struct writer {
    FILE *to;
    const struct trace_set *set;
    const struct trace_source *source;
    unsigned pid;      /* its number in the timeline: the kernel's may come twice */
    const char *comma; /* what parts the next event from the one before */
};

/* ---- the head ---- */

/* Takes `json`. A name that is no UTF-8 gives NULL, and "null" is valid too. */
static void put_json(FILE *to, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);

    fputs(text != NULL ? text : "null", to);
    free(text);
    json_decref(json);
}

static void put_other_data(FILE *to, const struct trace_set *set)
{
    json_t *left_out = json_array(), *other;

    for (size_t i = 0; i < set->n_left_out; i++)
        json_array_append_new(left_out, json_string_nocheck(set->left_out[i]));
    other = json_object();
    json_object_set_new(other, "clock", json_string("CLOCK_MONOTONIC"));
    json_object_set_new(other, "begin_ns", json_integer((json_int_t)set->first_ns));
    json_object_set_new(other, "dropped_events", json_integer((json_int_t)set->n_dropped));
    json_object_set_new(other, "left_out", left_out);
    put_json(to, other);
}

static void put_meta(struct writer *w, const char *what, unsigned tid, const char *key,
                     json_t *value)
{
    fprintf(w->to, "%s\n{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"args\":", w->comma,
            what, w->pid, tid);
    w->comma = ",";
    put_json(w->to, json_pack("{s:o}", key, value));
    fputc('}', w->to);
}

static void put_names(struct writer *w)
{
    const struct trace_head *h = &w->source->file.head;
    char *label = w->source->place > 0
                      ? mem_printf("place %u, process %u", w->source->place, h->pid)
                      : mem_printf("process %u", h->pid);

    put_meta(w, "process_name", 0, "name", json_string(h->process));
    put_meta(w, "process_labels", 0, "labels", json_string(label));
    put_meta(w, "process_sort_index", 0, "sort_index", json_integer((json_int_t)w->pid));
    for (uint32_t i = 0; i < h->n_threads; i++)
        put_meta(w, "thread_name", i + 1, "name", json_string(h->thread[i]));
    free(label);
}

/* ---- events ---- */

/* Microseconds since the first event of all. */
static void put_time(const struct writer *w, const char *key, uint64_t ns)
{
    fprintf(w->to, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

/* Up to and with the time; `ph` has the format's letters. */
static void put_common(const struct writer *w, const char *ph, const struct trace_event *e)
{
    fprintf(w->to, ",\n{\"ph\":\"%s\",\"pid\":%u,\"tid\":%u", ph, w->pid, e->thread + 1u);
    put_time(w, "ts", e->begin_ns - w->set->first_ns);
}

/* What is a number in an event and a word to its reader; NULL: it is a number. */
static const char *word_of(const struct trace_event *e)
{
    if ((e->name == TRACE_TRIAL || e->name == TRACE_WARM_UP || e->name == TRACE_SET_UP) &&
        e->detail < METHOD_COUNT)
        return method_name((enum method)e->detail);
    if (e->name == TRACE_SERVE && e->detail < MSG_VERB_COUNT)
        return msg_verb_name((enum msg_verb)e->detail);
    return NULL;
}

static void put_span(const struct writer *w, const struct trace_event *e)
{
    const struct trace_words *words = trace_words((enum trace_name)e->name);
    const char *word = word_of(e);

    put_common(w, "X", e);
    put_time(w, "dur", e->end_ns - e->begin_ns);
    fprintf(w->to, ",\"cat\":\"work\",\"name\":\"%s%s%s\"", words->text, word != NULL ? " " : "",
            word != NULL ? word : "");
    fprintf(w->to, ",\"args\":{\"%s\":%" PRIu64, words->value, e->value);
    if (words->detail != NULL && word != NULL)
        fprintf(w->to, ",\"%s\":\"%s\"", words->detail, word);
    else if (words->detail != NULL)
        fprintf(w->to, ",\"%s\":%" PRIu32, words->detail, e->detail);
    fputs("}}", w->to);
}

static void put_total(const struct writer *w, const struct trace_event *e)
{
    const struct trace_words *words = trace_words((enum trace_name)e->name);

    put_common(w, "C", e);
    fprintf(w->to, ",\"name\":\"%s\",\"args\":{\"%s\":%" PRIu64 "}}", words->text, words->value,
            e->value);
}

/* The arrow ends in the span that is at its time: that of the message itself. */
static void put_message(const struct writer *w, const struct trace_event *e, uint32_t flow)
{
    const char *verb = msg_verb_name((enum msg_verb)e->name);
    bool is_send = e->kind == TRACE_SEND;

    put_common(w, "X", e);
    put_time(w, "dur", e->end_ns - e->begin_ns);
    fprintf(w->to, ",\"cat\":\"message\",\"name\":\"%s %s\"}", is_send ? "send" : "receive", verb);
    if (flow == 0)
        return;
    put_common(w, is_send ? "s" : "f", e);
    fprintf(w->to, ",\"cat\":\"message\",\"name\":\"%s\",\"id\":%" PRIu32 "%s}", verb, flow,
            is_send ? "" : ",\"bp\":\"e\"");
}

/* ---- their order ---- */

struct place_in_order {
    const struct trace_event *event;
    uint32_t flow;
};

static int by_begin(const void *one, const void *other)
{
    const struct trace_event *a = ((const struct place_in_order *)one)->event;
    const struct trace_event *b = ((const struct place_in_order *)other)->event;

    if (a->begin_ns != b->begin_ns)
        return a->begin_ns < b->begin_ns ? -1 : 1;
    if (a->end_ns != b->end_ns)
        return a->end_ns > b->end_ns ? -1 : 1;
    return a < b ? 1 : -1; /* an outer span is put after those within it */
}

static void put_events(const struct writer *w)
{
    const struct trace_file *f = &w->source->file;
    struct place_in_order *order = mem_array(f->n_events + 1, sizeof *order);

    for (size_t i = 0; i < f->n_events; i++)
        order[i] =
            (struct place_in_order){&f->event[i], w->source->flow != NULL ? w->source->flow[i] : 0};
    qsort(order, f->n_events, sizeof *order, by_begin);
    for (size_t i = 0; i < f->n_events; i++) {
        const struct trace_event *e = order[i].event;
        if (e->kind == TRACE_SPAN)
            put_span(w, e);
        else if (e->kind == TRACE_TOTAL)
            put_total(w, e);
        else
            put_message(w, e, order[i].flow);
    }
    free(order);
}

void trace_json_write(FILE *to, const struct trace_set *set)
{
    fputs("{\"displayTimeUnit\":\"ms\",\"otherData\":", to);
    put_other_data(to, set);
    fputs(",\"traceEvents\":[", to);
    for (unsigned i = 0; i < set->n_sources; i++) {
        struct writer w = {to, set, &set->source[i], i + 1, i == 0 ? "" : ","};
        put_names(&w); /* so that no event is the first */
        put_events(&w);
    }
    fputs("\n]}\n", to);
}
