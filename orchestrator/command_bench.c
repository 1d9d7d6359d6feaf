#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/proc.h"
#include "orchestrator/command.h"

/* The bench is a program of its own: it needs the kernels, this one does not. */
int command_bench(int argc, char **argv)
{
    struct err err = {{0}};
    char dir[PATH_MAX], *program;
    enum status st = proc_self_dir(dir, sizeof dir, &err);

    if (st == ST_OK) {
        program = mem_printf("%s/mspeckv-bench", dir);
        argv[0] = program;
        execv(program, argv);
        st = err_set(&err, ST_IO, "run %s: %s", program, strerror(errno));
    }
    return exit_report("mspeckv bench", EXIT_RUNTIME, st, &err);
}
