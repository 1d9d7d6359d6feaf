#include "orchestrator/machine.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/mem.h"
#include "orchestrator/system_file.h"

/* x86 first, then what ARM kernels call theirs: those that our kernels choose by. */
static const char *const wanted_flags[] = {"avx",         "avx2",     "fma",   "f16c",    "avx512f",
                                           "avx512_vnni", "amx_tile", "asimd", "asimdhp", "sve"};

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

static void read_cpu(struct machine *m, const char *root)
{
    char *flags = mem_alloc(SYSTEM_FILE_MAX);

    (void)system_file_value(root, "proc/cpuinfo", "model name", m->cpu_model, sizeof m->cpu_model);
    if (system_file_value(root, "proc/cpuinfo", "flags", flags, SYSTEM_FILE_MAX) ||
        system_file_value(root, "proc/cpuinfo", "Features", flags, SYSTEM_FILE_MAX))
        take_flags(m, flags);
    free(flags);
}

bool machine_has_flag(const struct machine *m, const char *flag)
{
    return has_word(m->cpu_flags, flag);
}

static uint32_t count_nodes(const char *root)
{
    char *path = mem_printf("%s/sys/devices/system/node", root);
    DIR *dir = opendir(path);
    uint32_t n = 0;

    free(path);
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

void machine_read(struct machine *out, const char *root)
{
    struct utsname name;
    cpu_set_t cpus;

    *out = (struct machine){.cpu_model = "unknown", .kernel = "unknown"};
    read_cpu(out, root);
    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        out->n_cpus = (uint32_t)CPU_COUNT(&cpus);
    else
        out->n_cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN); /* over 1024 CPUs */
    out->n_nodes = count_nodes(root);
    out->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (uname(&name) == 0)
        snprintf(out->kernel, sizeof out->kernel, "%.32s %.60s %.32s", name.sysname, name.release,
                 name.machine);
}
