#include "metrics/metric.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/mem.h"

bool metric_is_on;

static _Atomic uint64_t counted[METRIC_COUNT];

static const struct {
    enum metric_process process;
    enum metric_kind kind;
    enum metric_unit unit;
    const char *name, *help;
} metrics[METRIC_COUNT] = {
#define METRIC_ENTRY(of, word, what, in, text, words)                                              \
    [METRIC_##of##_##word] = {METRIC_##of, METRIC_##what, METRIC_##in, text, words},
    METRIC_LIST(METRIC_ENTRY)
#undef METRIC_ENTRY
};

static const char *const process_names[] = {[METRIC_STORE] = "store",
                                            [METRIC_VERIFY] = "verify",
                                            [METRIC_DRAFT] = "draft",
                                            [METRIC_RUN] = "run"};

void metric_add(enum metric m, uint64_t n)
{
    if (metric_is_on)
        atomic_fetch_add_explicit(&counted[m], n, memory_order_relaxed);
}

void metric_add_seconds(enum metric m, double seconds)
{
    if (seconds > 0)
        metric_add(m, (uint64_t)(seconds * 1e9));
}

void metric_set(enum metric m, uint64_t n)
{
    if (metric_is_on)
        atomic_store_explicit(&counted[m], n, memory_order_relaxed);
}

static void write_one(FILE *to, const char *process, enum metric m)
{
    uint64_t n = atomic_load_explicit(&counted[m], memory_order_relaxed);

    fprintf(to, "# HELP mspeckv_%s_%s %s\n", process, metrics[m].name, metrics[m].help);
    fprintf(to, "# TYPE mspeckv_%s_%s %s\n", process, metrics[m].name,
            metrics[m].kind == METRIC_COUNTER ? "counter" : "gauge");
    if (metrics[m].unit == METRIC_SECONDS)
        fprintf(to, "mspeckv_%s_%s %" PRIu64 ".%09" PRIu64 "\n", process, metrics[m].name,
                n / 1000000000, n % 1000000000);
    else
        fprintf(to, "mspeckv_%s_%s %" PRIu64 "\n", process, metrics[m].name, n);
}

char *metric_page(enum metric_process process)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *to = open_memstream(&text, &n_bytes);

    CHECK(to != NULL);
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        if (metrics[m].process == process)
            write_one(to, process_names[process], m);
    CHECK(fclose(to) == 0);
    return text;
}
