#include "orchestrator/slurm_flags.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void slurm_flags_list(struct slurm_flags *flags, struct arg_spec *spec)
{
    const struct arg_spec all[SLURM_FLAGS] = {
        {.name = "launcher",
         .kind = ARG_CHOICE,
         .out = &flags->launcher,
         .choices = "local|slurm",
         .help = "who runs the trials: this machine, or Slurm as a job array"},
        {.name = "partition",
         .kind = ARG_STRING,
         .out = &flags->partition,
         .value = "NAME",
         .help = "Slurm: the partition of the tasks"},
        {.name = "time",
         .kind = ARG_STRING,
         .out = &flags->time_limit,
         .value = "LIMIT",
         .help = "Slurm: of each task, as 90 (minutes), 2:00:00 or 1-0 (a day)"},
        {.name = "sbatch",
         .kind = ARG_STRING,
         .out = &flags->sbatch,
         .value = "WORDS",
         .help = "Slurm: more options of sbatch, as --sbatch=\"--gres=gpu:1 --mem=16G\""},
    };
    memcpy(spec, all, sizeof all);
}

static enum status put_words(const char *words, struct slurm_options *options, struct err *err)
{
    enum status st = ST_OK;

    for (words += strspn(words, " "); st == ST_OK && *words != '\0'; words += strspn(words, " ")) {
        size_t n = strcspn(words, " ");
        char *word = mem_printf("%.*s", (int)n, words);
        st = slurm_options_add(options, word, err);
        free(word);
        words += n;
    }
    return st;
}

enum status slurm_flags_put(const struct slurm_flags *flags, struct slurm_options *options,
                            struct err *err)
{
    enum status st = ST_OK;

    if (flags->partition != NULL &&
        slurm_options_partition(options, flags->partition, err) != ST_OK)
        st = err_in(err, ST_INVALID, "option --partition");
    if (st == ST_OK && flags->time_limit != NULL &&
        slurm_options_time(options, flags->time_limit, err) != ST_OK)
        st = err_in(err, ST_INVALID, "option --time");
    if (st == ST_OK && flags->sbatch != NULL && put_words(flags->sbatch, options, err) != ST_OK)
        st = err_in(err, ST_INVALID, "option --sbatch");
    return st;
}

enum status slurm_flags_check(const struct slurm_flags *flags, struct err *err)
{
    struct slurm_options scratch = {.n_args = 0};
    enum status st = slurm_flags_put(flags, &scratch, err);

    slurm_options_release(&scratch);
    if (st == ST_OK && flags->launcher == 0 &&
        (flags->partition != NULL || flags->time_limit != NULL || flags->sbatch != NULL))
        st = err_set(err, ST_INVALID,
                     "--partition, --time and --sbatch are for Slurm; --launcher slurm would be "
                     "right");
    return st;
}
