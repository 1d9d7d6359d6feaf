#include "orchestrator/place.h"

#include <stdlib.h>
#include <string.h>

void place_release(struct place *p)
{
    free(p->cpus_at);
    p->cpus_at = NULL;
}

static bool is_cpu(const char *device)
{
    return strncmp(device, "cpu:", 4) == 0;
}

static bool same_cpus(const struct place *a, const struct place *b)
{
    bool both_are_bound = cpu_list_count(&a->cpus) > 0 && cpu_list_count(&b->cpus) > 0;

    return !both_are_bound || cpu_list_overlaps(&a->cpus, &b->cpus);
}

static bool is_shared(const struct place *a, const char *one, const struct place *b,
                      const char *other)
{
    if (is_cpu(one) && is_cpu(other))
        return same_cpus(a, b);
    return strcmp(one, other) == 0;
}

const char *place_shared_device(const struct place *a, const struct place *b)
{
    const char *const of_a[] = {a->verify, a->draft}, *const of_b[] = {b->verify, b->draft};

    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            if (is_shared(a, of_a[i], b, of_b[k]))
                return of_b[k];
    return NULL;
}

enum status place_check(const struct place *p, struct err *err)
{
    char text[CPU_LIST_TEXT];
    struct cpu_list mine;
    enum status st;
    int missing;

    if (cpu_list_count(&p->cpus) == 0)
        return ST_OK;
    st = cpu_list_of_process(&mine, 0, err);
    if (st != ST_OK)
        return st;
    missing = cpu_list_first_missing(&p->cpus, &mine);
    if (missing < 0)
        return ST_OK;
    cpu_list_text(&mine, text);
    return err_set(err, ST_INVALID,
                   "%s: cpus names CPU %d, which this process may not use; some of %.200s would be "
                   "right",
                   p->cpus_at, missing, text);
}
