/*
 * proc_sample.h - what a process does just now, as the kernel says it.
 */
#ifndef ORCHESTRATOR_PROC_SAMPLE_H
#define ORCHESTRATOR_PROC_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_sample {
    pid_t pid;          /* 0: none was sampled */
    char state;         /* letter of /proc/PID/stat; 0: the process is gone */
    double cpus;        /* CPUs kept busy since the sample before; -1: not known yet */
    uint64_t rss_bytes; /* in memory, shared pages and mapped files included */
    double cpu_s;       /* in all */
    uint64_t at_ns;
};

/* Goes on from the sample before of the same pid; zeroed is none. */
void proc_sample_take(struct proc_sample *s, pid_t pid, uint64_t now_ns);
/* The same from the text of /proc/PID/stat; NULL: it is gone. */
void proc_sample_read(struct proc_sample *s, pid_t pid, const char *stat, uint64_t now_ns);
/* "busy", "waits", "disk", "stopped", "dead". */
const char *proc_sample_word(const struct proc_sample *s);

#endif
