#include <stdio.h>
#include <string.h>

#include "common/args.h"
#include "common/proc.h"
#include "orchestrator/command.h"
#include "orchestrator/doctor.h"
#include "orchestrator/set_words.h"

static const char program[] = "mspeckv doctor";

enum { FRAME_ROWS = 2 }; /* the first and the last line */

static enum status parse(struct set_words *words, const char **file, int argc, char **argv,
                         struct err *err)
{
    const char *set_help = NULL;
    const struct arg_spec spec[] = {
        {.name = "set",
         .kind = ARG_STRING,
         .out = &set_help,
         .value = "KEY=VALUE",
         .help = "put over the file's value; may stand several times"},
    };
    struct args_rest files = {.item = file, .max_items = 1};
    enum status st = set_words_take(words, argc, argv, err);

    if (st == ST_OK)
        st = args_parse(spec, 1, words->n_rest, words->rest, &files, err);
    if (st == ST_CLOSED)
        args_help(stdout, program, "[FILE] [--set key=value]...", spec, 1);
    if (st == ST_OK && *file == NULL && words->n_sets > 0)
        st = err_set(err, ST_INVALID, "--set needs an experiment file to go over");
    return st;
}

/* Without an experiment: the devices that there could be. */
static void measure(struct doctor_facts *facts, const struct run_plan *plan)
{
    if (plan == NULL) {
        doctor_facts_measure(facts, "cpu:0", 0);
        if (facts->n_gpus > 0)
            doctor_facts_measure(facts, "cuda:0", 0);
        return;
    }
    for (uint32_t i = 0; i < plan->e->n_places; i++) {
        doctor_facts_measure(facts, plan->e->place[i].verify, plan->e->threads);
        if (plan->speculates)
            doctor_facts_measure(facts, plan->e->place[i].draft, plan->e->threads);
    }
}

static void print(const struct doctor_list *list, const struct doctor_facts *facts,
                  const char *file)
{
    uint32_t n_problems = list->n_of[DOCTOR_PROBLEM], n_notes = list->n_of[DOCTOR_NOTE];

    printf("mspeckv %s on %s\n", command_version, facts->machine.kernel);
    doctor_list_print(stdout, list, DOCTOR_ROWS - FRAME_ROWS);
    if (file == NULL)
        printf("%u note%s; `mspeckv doctor FILE` judges a study\n", n_notes,
               n_notes == 1 ? "" : "s");
    else if (n_problems > 0)
        printf("%s is not ready to run: %u problem%s\n", file, n_problems,
               n_problems == 1 ? "" : "s");
    else
        printf("%s is ready to run\n", file);
}

/* True if nothing stands in the way of `file`. */
static bool judge(const char *file, const struct set_words *words)
{
    struct doctor_list list = {.n_lines = 0};
    struct doctor_facts facts;
    struct run_plan plan = {.e = NULL};
    struct err err = {{0}};
    enum status st = ST_OK;

    doctor_facts_ask(&facts);
    if (file != NULL)
        st = experiment_read(&plan.e, file, words->set, words->n_sets, &err);
    if (file != NULL && st == ST_OK)
        st = run_plan_fill(&plan, &err);
    measure(&facts, file != NULL && st == ST_OK ? &plan : NULL);
    doctor_machine(&list, &facts);
    if (st != ST_OK)
        doctor_list_add(&list, DOCTOR_PROBLEM, "study", NULL, "%s", err.text);
    else if (file != NULL)
        doctor_study(&list, &facts, &plan);
    print(&list, &facts, file);
    run_plan_release(&plan);
    return list.n_of[DOCTOR_PROBLEM] == 0;
}

int command_doctor(int argc, char **argv)
{
    struct set_words words = {.n_sets = 0};
    const char *file = NULL;
    struct err err = {{0}};
    enum status st = parse(&words, &file, argc, argv, &err);
    bool is_ready = true;

    if (st == ST_OK)
        is_ready = judge(file, &words);
    set_words_release(&words);
    if (st == ST_OK)
        return is_ready ? EXIT_DONE : EXIT_RUNTIME;
    return st == ST_CLOSED ? EXIT_DONE : exit_report(program, EXIT_USAGE, st, &err);
}
