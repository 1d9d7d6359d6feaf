/*
 * cpu_list.h - a set of CPUs as Linux writes it: "0", "0-3", "0-3,8".
 */
#ifndef COMMON_CPU_LIST_H
#define COMMON_CPU_LIST_H

#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/status.h"

enum { CPU_LIST_MAX = 1024, CPU_LIST_TEXT = 256 };

/* An empty set says nothing of CPUs; zeroed is empty. */
struct cpu_list {
    cpu_set_t set;
};

/* Numbers and ascending ranges below CPU_LIST_MAX, parted by commas, each CPU
 * once. ST_INVALID says what is wrong. */
enum status cpu_list_parse(struct cpu_list *out, const char *text, struct err *err);
/* The shortest text; one that is too long ends in "...". Empty: "". */
void cpu_list_text(const struct cpu_list *list, char buf[CPU_LIST_TEXT]);

uint32_t cpu_list_count(const struct cpu_list *list);
bool cpu_list_overlaps(const struct cpu_list *a, const struct cpu_list *b);
/* The first CPU of `a` that `b` lacks; -1: none. */
int cpu_list_first_missing(const struct cpu_list *a, const struct cpu_list *b);

/* Those that the kernel lets the process run on; pid 0: the calling thread. */
enum status cpu_list_of_process(struct cpu_list *out, pid_t pid, struct err *err);

#endif
