#include "orchestrator/machine.h"

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* x86 first, then what ARM kernels call theirs: those that our kernels choose by. */
static const char *const wanted_flags[] = {"avx",         "avx2",     "fma",   "f16c",    "avx512f",
                                           "avx512_vnni", "amx_tile", "asimd", "asimdhp", "sve"};

/* The text after "key<tab>: " of a /proc line, or NULL. */
static const char *value_of(const char *line, const char *key)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0)
        return NULL;
    const char *colon = strchr(line + n, ':');
    if (colon == NULL || strspn(line + n, " \t") != (size_t)(colon - (line + n)))
        return NULL;
    return colon + 1 + strspn(colon + 1, " \t");
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(list, word); at != NULL; at = strstr(at + n, word)) {
        bool begins = at == list || at[-1] == ' ';
        if (begins && (at[n] == ' ' || at[n] == '\n' || at[n] == '\0'))
            return true;
    }
    return false;
}

static void take_flags(struct machine *m, const char *list)
{
    size_t used = 0;
    for (size_t i = 0; i < sizeof wanted_flags / sizeof wanted_flags[0]; i++)
        if (has_word(list, wanted_flags[i]))
            used += (size_t)snprintf(m->cpu_flags + used, sizeof m->cpu_flags - used, "%s%s",
                                     used > 0 ? " " : "", wanted_flags[i]);
}

static void read_cpu(struct machine *m)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t size = 0;
    if (file == NULL)
        return;
    while (getline(&line, &size, file) > 0) {
        const char *model = value_of(line, "model name");
        const char *flags = value_of(line, "flags");
        if (flags == NULL)
            flags = value_of(line, "Features");
        if (model != NULL)
            snprintf(m->cpu_model, sizeof m->cpu_model, "%.*s", (int)strcspn(model, "\n"), model);
        if (flags != NULL && m->cpu_flags[0] == '\0')
            take_flags(m, flags);
    }
    free(line);
    fclose(file);
}

static uint32_t count_nodes(void)
{
    DIR *dir = opendir("/sys/devices/system/node");
    uint32_t n = 0;
    if (dir == NULL)
        return 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *digits = entry->d_name + 4;
        if (strncmp(entry->d_name, "node", 4) == 0 && *digits != '\0' &&
            strspn(digits, "0123456789") == strlen(digits))
            n++;
    }
    closedir(dir);
    return n;
}

void machine_read(struct machine *out)
{
    struct utsname name;
    cpu_set_t cpus;

    *out = (struct machine){.cpu_model = "unknown", .kernel = "unknown"};
    read_cpu(out);
    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        out->n_cpus = (uint32_t)CPU_COUNT(&cpus);
    else
        out->n_cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN); /* over 1024 CPUs */
    out->n_nodes = count_nodes();
    out->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (uname(&name) == 0)
        snprintf(out->kernel, sizeof out->kernel, "%.32s %.60s %.32s", name.sysname, name.release,
                 name.machine);
}
