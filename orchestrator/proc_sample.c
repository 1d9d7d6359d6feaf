#include "orchestrator/proc_sample.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STAT_BYTES = 1024 };

void proc_sample_read(struct proc_sample *s, pid_t pid, const char *stat, uint64_t now_ns)
{
    /* The name, in brackets, may hold brackets itself. */
    const char *behind_name = stat != NULL ? strrchr(stat, ')') : NULL;
    const struct proc_sample before = *s;
    unsigned long user = 0, system = 0;
    long pages = 0;
    char state = 0;

    *s = (struct proc_sample){.pid = pid, .cpus = -1, .at_ns = now_ns};
    if (behind_name == NULL ||
        sscanf(behind_name + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u "
               "%*u %ld",
               &state, &user, &system, &pages) != 4)
        return;
    s->state = state;
    s->rss_bytes = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    s->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    if (before.pid == pid && before.state != 0 && now_ns > before.at_ns)
        s->cpus = (s->cpu_s - before.cpu_s) / ((double)(now_ns - before.at_ns) * 1e-9);
}

void proc_sample_take(struct proc_sample *s, pid_t pid, uint64_t now_ns)
{
    char path[40], text[STAT_BYTES];
    ssize_t n = -1;
    int fd = -1;

    if (pid > 0) {
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd >= 0) {
        n = read(fd, text, sizeof text - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    proc_sample_read(s, pid, n > 0 ? text : NULL, now_ns);
}

const char *proc_sample_word(const struct proc_sample *s)
{
    switch (s->state) {
    case 'R':
        return "busy";
    case 'S':
    case 'I':
        return "waits";
    case 'D':
        return "disk";
    case 'T':
    case 't':
        return "stopped";
    default:
        return "dead";
    }
}
