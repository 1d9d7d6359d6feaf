#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/proc.h"
#include "orchestrator/command.h"

/* Becomes the program mspeckv-WORD beside this one: those need the kernels or
 * the model, this one does not. */
static int become(const char *word, char **argv)
{
    struct err err = {{0}};
    char dir[PATH_MAX], *program = NULL, *name = mem_printf("mspeckv %s", word);
    enum status st = proc_self_dir(dir, sizeof dir, &err);

    if (st == ST_OK) {
        program = mem_printf("%s/mspeckv-%s", dir, word);
        argv[0] = program;
        execv(program, argv);
        st = err_set(&err, ST_IO, "run %s: %s", program, strerror(errno));
    }
    return exit_report(name, EXIT_RUNTIME, st, &err);
}

int command_bench(int argc, char **argv)
{
    return become("bench", argv);
}

int command_eval(int argc, char **argv)
{
    return become("eval", argv);
}

int command_synth(int argc, char **argv)
{
    return become("synth", argv);
}
