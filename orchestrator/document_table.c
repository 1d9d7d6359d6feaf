#include "orchestrator/document_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/mem.h"

static void figures(const struct sheet *p, const struct cell *c, enum method method)
{
    sheet_spread(p->to, c->throughput, 15);
    sheet_spread(p->to, c->latency, 15);
    sheet_spread(p->to, c->accepted, 14);
    /* Of the reference it is 1 by definition, without a deviation. */
    if (method == p->study->reference && c->throughput.n > 0)
        sheet_right(p->to, "1", 14);
    else
        sheet_spread(p->to, c->speedup, 14);
    fputc('\n', p->to);
}

static void rows(const struct sheet *p, uint32_t point, enum method method)
{
    char number[16];

    for (uint32_t d = 0; d < p->s->e->n_documents; d++) {
        sheet_left(p->to, d == 0 ? method_name(method) : "", 18);
        snprintf(number, sizeof number, "%" PRIu32, d + 1);
        sheet_right(p->to, number, 4);
        figures(p, summary_document(p->s, p->index, point, method, d), method);
    }
    sheet_right(p->to, "mean", 22);
    figures(p, sheet_cell(p, point, method), method);
}

char *document_table_names(const struct summary *s)
{
    char *bytes = NULL;
    size_t n = 0;
    FILE *memory = open_memstream(&bytes, &n);
    const char *between = "";

    CHECK(memory != NULL);
    for (uint32_t d = 0; d < s->e->n_documents; d++) {
        if (s->document_name[d][0] == '\0')
            continue;
        fprintf(memory, "%s%" PRIu32 " = %s", between, d + 1, s->document_name[d]);
        between = ", ";
    }
    CHECK(fclose(memory) == 0);
    return bytes;
}

void document_table(const struct sheet *p)
{
    char *names;

    if (p->s->e->n_documents < 2)
        return;
    sheet_title(p, "By document");
    fprintf(p->to, "%-18s%4s%15s%15s%14s%14s\n", "method", "doc", "tok/s", "ms/token", "accepted",
            "speedup");
    for (uint32_t point = 0; point < p->s->study[p->index].n_points; point++) {
        sheet_point(p, point);
        for (uint32_t i = 0; i < p->study->n_methods; i++)
            rows(p, point, p->study->method[i]);
    }
    names = document_table_names(p->s);
    if (names[0] != '\0')
        sheet_wrap(p->to, names);
    free(names);
}
