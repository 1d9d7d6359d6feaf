#include "orchestrator/doctor_backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The length of a path without its last n parts. */
static int above(const char *path, int n)
{
    size_t length = strlen(path);

    while (n-- > 0) {
        while (length > 0 && path[length - 1] != '/')
            length--;
        if (length > 0)
            length--;
    }
    return (int)length;
}

void doctor_backend_ask(struct doctor_backend *out, const char *program)
{
    const char *words;

    *out = (struct doctor_backend){.is_there = false};
    snprintf(out->path, sizeof out->path, "%.*s/lib/libmspeckv_cuda.so", above(program, 2),
             program);
    out->is_there = access(out->path, R_OK) == 0;
    /* Not unloaded: the CUDA runtime leaves threads and exit handlers behind. */
    if (!out->is_there || dlopen(out->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) != NULL)
        return;
    words = dlerror();
    snprintf(out->lacks, sizeof out->lacks, "%s", words != NULL ? words : "no reason given");
}
