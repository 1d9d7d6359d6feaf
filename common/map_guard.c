#include "common/map_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/proc.h"

/* The handler may run in any thread at any time: `begin` is set last and cleared
 * first, and 0 says that the rest counts for nothing. */
struct guarded {
    _Atomic uintptr_t begin;
    size_t n_bytes;
    char *path; /* owned */
};

static struct guarded guarded[MAP_GUARD_FILES];
static struct sigaction before;
static const char *program_name = "";

void map_guard_add(const void *bytes, size_t n_bytes, const char *path)
{
    int i = 0;

    while (i < MAP_GUARD_FILES && atomic_load(&guarded[i].begin) != 0)
        i++;
    CHECK(i < MAP_GUARD_FILES && bytes != NULL);
    guarded[i].n_bytes = n_bytes;
    guarded[i].path = mem_strdup(path);
    atomic_store(&guarded[i].begin, (uintptr_t)bytes);
}

void map_guard_remove(const void *bytes)
{
    for (int i = 0; i < MAP_GUARD_FILES; i++) {
        if (bytes == NULL || atomic_load(&guarded[i].begin) != (uintptr_t)bytes)
            continue;
        atomic_store(&guarded[i].begin, 0);
        free(guarded[i].path);
        return;
    }
}

/* NULL: no file that was added. */
static const char *path_at(uintptr_t address)
{
    for (int i = 0; i < MAP_GUARD_FILES; i++) {
        uintptr_t begin = atomic_load(&guarded[i].begin);
        if (begin != 0 && address >= begin && address - begin < guarded[i].n_bytes)
            return guarded[i].path;
    }
    return NULL;
}

/* Appends what fits; the line is cut rather than lost. */
static size_t append(char *line, size_t size, size_t at, const char *words)
{
    for (; *words != '\0' && at < size; words++)
        line[at++] = (unsigned char)*words < ' ' ? '?' : *words;
    return at;
}

/* Only async-signal-safe calls. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    const char *path = info->si_code > 0 ? path_at((uintptr_t)info->si_addr) : NULL;
    char line[1024];
    size_t n = 0;

    if (path == NULL) {
        /* On return the same read fails again, before the old handler. */
        sigaction(SIGBUS, &before, NULL);
        return;
    }
    n = append(line, sizeof line - 1, n, program_name);
    n = append(line, sizeof line - 1, n, ": ");
    n = append(line, sizeof line - 1, n, path);
    n = append(line, sizeof line - 1, n,
               ": the file was shortened, or its disk failed, while it was in use; restore it and "
               "start again");
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        _exit(EXIT_RUNTIME);
    _exit(EXIT_RUNTIME);
}

enum status map_guard_init(const char *program, struct err *err)
{
    struct sigaction guard = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

    program_name = program;
    if (sigaction(SIGBUS, &guard, &before) != 0)
        return err_set(err, ST_IO, "sigaction SIGBUS: %s", strerror(errno));
    return ST_OK;
}
