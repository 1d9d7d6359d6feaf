#include "orchestrator/trace_flow.h"

#include <stdlib.h>

#include "common/mem.h"

/* One end of a message. */
struct end {
    uint64_t value, begin_ns;
    uint32_t source, event;
    uint16_t verb;
    bool is_send;
};

static int by_value(const void *one, const void *other)
{
    const struct end *a = one, *b = other;

    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    if (a->verb != b->verb)
        return a->verb < b->verb ? -1 : 1;
    if (a->is_send != b->is_send)
        return a->is_send ? -1 : 1;
    return a->begin_ns < b->begin_ns ? -1 : a->begin_ns > b->begin_ns;
}

static bool is_end(const struct trace_event *e)
{
    return e->kind == TRACE_SEND || e->kind == TRACE_RECEIVE;
}

static struct end *list_ends(const struct trace_set *set, size_t *n)
{
    struct end *end;
    size_t room = 0;

    for (size_t s = 0; s < set->n_sources; s++)
        for (size_t i = 0; i < set->source[s].file.n_events; i++)
            room += is_end(&set->source[s].file.event[i]);
    end = mem_array(room + 1, sizeof *end);
    *n = 0;
    for (uint32_t s = 0; s < set->n_sources; s++)
        for (uint32_t i = 0; i < set->source[s].file.n_events; i++) {
            const struct trace_event *e = &set->source[s].file.event[i];
            if (is_end(e))
                end[(*n)++] =
                    (struct end){e->value, e->begin_ns, s, i, e->name, e->kind == TRACE_SEND};
        }
    return end;
}

/* Numbers the pairs among the ends [from, to) of one value and verb. */
static uint32_t pair(struct trace_set *set, const struct end *end, size_t n, uint32_t number)
{
    size_t send = 0, got = 0;

    while (got < n && end[got].is_send)
        got++;
    for (; got < n && send < n && end[send].is_send; got++) {
        if (end[send].begin_ns > end[got].begin_ns)
            continue; /* its own send is missing */
        number++;
        set->source[end[send].source].flow[end[send].event] = number;
        set->source[end[got].source].flow[end[got].event] = number;
        send++;
    }
    return number;
}

uint32_t trace_flow_find(struct trace_set *set)
{
    uint32_t number = 0;
    struct end *end;
    size_t n;

    for (size_t s = 0; s < set->n_sources; s++) {
        free(set->source[s].flow);
        set->source[s].flow =
            mem_array(set->source[s].file.n_events + 1, sizeof *set->source[s].flow);
    }
    end = list_ends(set, &n);
    qsort(end, n, sizeof *end, by_value);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && end[to].value == end[from].value; to++)
            if (end[to].verb != end[from].verb)
                break;
        number = pair(set, end + from, to - from, number);
    }
    free(end);
    return number;
}
