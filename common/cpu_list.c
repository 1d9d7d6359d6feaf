#include "common/cpu_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has(const struct cpu_list *list, int cpu)
{
    return CPU_ISSET((size_t)cpu, &list->set);
}

/* A number below CPU_LIST_MAX at *at, which moves behind it; -1: none. */
static int take_number(const char **at)
{
    int value = 0, n_digits = 0;

    for (; **at >= '0' && **at <= '9' && n_digits < 5; (*at)++, n_digits++)
        value = value * 10 + (**at - '0');
    return n_digits > 0 && n_digits < 5 && value < CPU_LIST_MAX ? value : -1;
}

static enum status add_range(struct cpu_list *list, int first, int last, struct err *err)
{
    for (int cpu = first; cpu <= last; cpu++) {
        if (has(list, cpu))
            return err_set(err, ST_INVALID, "CPU %d stands twice", cpu);
        CPU_SET((size_t)cpu, &list->set);
    }
    return ST_OK;
}

enum status cpu_list_parse(struct cpu_list *out, const char *text, struct err *err)
{
    struct cpu_list list;
    const char *at = text;
    enum status st = ST_OK;

    CPU_ZERO(&list.set);
    while (st == ST_OK) {
        int first = take_number(&at), last = first;
        if (first >= 0 && *at == '-') {
            at++;
            last = take_number(&at);
        }
        if (first < 0 || last < first || (*at != ',' && *at != '\0'))
            return err_set(err, ST_INVALID,
                           "\"%.64s\" is no set of CPUs; numbers and ranges below %d as 0-3,8 "
                           "would be right",
                           text, CPU_LIST_MAX);
        st = add_range(&list, first, last, err);
        if (*at == '\0')
            break;
        at++;
    }
    if (st == ST_OK)
        *out = list;
    return st;
}

void cpu_list_text(const struct cpu_list *list, char buf[CPU_LIST_TEXT])
{
    size_t n = 0;

    buf[0] = '\0';
    for (int cpu = 0; cpu < CPU_LIST_MAX; cpu++) {
        int last = cpu;
        if (!has(list, cpu))
            continue;
        while (last + 1 < CPU_LIST_MAX && has(list, last + 1))
            last++;
        /* Room for ",1023-1023" and for the dots. */
        if (n + 16 > CPU_LIST_TEXT) {
            snprintf(buf + n, CPU_LIST_TEXT - n, "...");
            return;
        }
        n += (size_t)snprintf(buf + n, CPU_LIST_TEXT - n, "%s%d", n > 0 ? "," : "", cpu);
        if (last > cpu)
            n += (size_t)snprintf(buf + n, CPU_LIST_TEXT - n, "-%d", last);
        cpu = last;
    }
}

uint32_t cpu_list_count(const struct cpu_list *list)
{
    return (uint32_t)CPU_COUNT(&list->set);
}

bool cpu_list_overlaps(const struct cpu_list *a, const struct cpu_list *b)
{
    cpu_set_t both;

    CPU_AND(&both, &a->set, &b->set);
    return CPU_COUNT(&both) > 0;
}

int cpu_list_first_missing(const struct cpu_list *a, const struct cpu_list *b)
{
    for (int cpu = 0; cpu < CPU_LIST_MAX; cpu++)
        if (has(a, cpu) && !has(b, cpu))
            return cpu;
    return -1;
}

enum status cpu_list_of_process(struct cpu_list *out, pid_t pid, struct err *err)
{
    if (sched_getaffinity(pid, sizeof out->set, &out->set) != 0)
        return err_set(err, ST_IO, "the CPUs of process %d: %s", (int)pid, strerror(errno));
    return ST_OK;
}
