#include "orchestrator/slurm_queue.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/tool_call.h"

/* A busy controller may take its time; sbatch itself waits for it. */
enum { ASK_S = 60, SUBMIT_S = 300, MAX_WORDS = 16 + SLURM_MAX_ARGS };

enum status slurm_queue_check(struct err *err)
{
    static const char *const argv[] = {"sbatch", "--version", NULL};
    struct tool_answer answer = {0};
    enum status st = tool_call(&answer, argv, ASK_S, err);

    if (st == ST_OK)
        st = tool_answer_check(&answer, "sbatch", err);
    tool_answer_release(&answer);
    return st == ST_OK ? st : err_in(err, st, "--launcher slurm");
}

/* ---- submitting ---- */

char *slurm_queue_ranges(const uint32_t *task, uint32_t n_tasks)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    CHECK(to != NULL);
    for (uint32_t i = 0; i < n_tasks;) {
        uint32_t first = i;
        while (i + 1 < n_tasks && task[i + 1] == task[i] + 1)
            i++;
        fprintf(to, first == i ? "%s%u" : "%s%u-%u", first > 0 ? "," : "", task[first], task[i]);
        i++;
    }
    CHECK(fclose(to) == 0);
    return text;
}

bool slurm_queue_parse_job(char job[SLURM_JOB_TEXT], const char *printed)
{
    size_t n = strspn(printed, "0123456789");
    const char *end = printed + n;

    if (n == 0 || n >= SLURM_JOB_TEXT || (*end != '\n' && *end != ';' && *end != '\0'))
        return false;
    snprintf(job, SLURM_JOB_TEXT, "%.*s", (int)n, printed);
    return true;
}

struct words {
    const char *argv[MAX_WORDS];
    char *owned[8];
    uint32_t n, n_owned;
};

static void add(struct words *w, const char *word)
{
    CHECK(w->n + 1 < MAX_WORDS);
    w->argv[w->n++] = word;
    w->argv[w->n] = NULL;
}

/* Takes `word`. */
static void add_owned(struct words *w, char *word)
{
    CHECK(w->n_owned < sizeof w->owned / sizeof w->owned[0]);
    w->owned[w->n_owned++] = word;
    add(w, word);
}

static void list_words(struct words *w, const struct slurm_array *a)
{
    const struct slurm_options *o = a->options;
    char *ranges = slurm_queue_ranges(a->task, a->n_tasks);

    add(w, "sbatch");
    add(w, "--parsable");
    add_owned(w, mem_printf("--job-name=%s", a->name));
    if (o->at_once > 0)
        add_owned(w, mem_printf("--array=%s%%%u", ranges, o->at_once));
    else
        add_owned(w, mem_printf("--array=%s", ranges));
    free(ranges);
    /* %A_%a: job and task. The folder stands in --chdir, where a % means itself. */
    add_owned(w, mem_printf("--chdir=%s", a->folder));
    add(w, "--output=%A_%a.log");
    if (o->partition != NULL)
        add_owned(w, mem_printf("--partition=%s", o->partition));
    if (o->time_limit != NULL)
        add_owned(w, mem_printf("--time=%s", o->time_limit));
    for (uint32_t i = 0; i < o->n_args; i++)
        add(w, o->arg[i]);
    add(w, a->script);
}

enum status slurm_queue_submit(char job[SLURM_JOB_TEXT], const struct slurm_array *array,
                               struct err *err)
{
    struct words words = {.n = 0};
    struct tool_answer answer = {0};
    enum status st;

    list_words(&words, array);
    st = tool_call(&answer, words.argv, SUBMIT_S, err);
    if (st == ST_OK)
        st = tool_answer_check(&answer, "sbatch", err);
    if (st == ST_OK && !slurm_queue_parse_job(job, answer.out))
        st = err_set(err, ST_CORRUPT, "sbatch: '%.*s' where the number of a job was expected",
                     (int)strcspn(answer.out, "\n"), answer.out);
    tool_answer_release(&answer);
    for (uint32_t i = 0; i < words.n_owned; i++)
        free(words.owned[i]);
    return st;
}

/* ---- asking ---- */

static const char *const ended[] = {"BOOT_FAIL", "CANCELLED", "COMPLETED",     "DEADLINE",
                                    "FAILED",    "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
                                    "REVOKED",   "TIMEOUT"};

static bool has_ended(const char *state)
{
    for (size_t i = 0; i < sizeof ended / sizeof ended[0]; i++)
        if (strncmp(state, ended[i], strlen(ended[i])) == 0)
            return true;
    return false;
}

bool slurm_queue_has_ended(const struct slurm_task *task)
{
    return !task->is_alive && has_ended(task->state);
}

/* A requeued task stands twice: what is alive counts. */
static void put_state(struct slurm_task *t, const char *state, size_t n)
{
    if (n == 0 || n >= SLURM_STATE_TEXT || t->is_alive)
        return;
    snprintf(t->state, sizeof t->state, "%.*s", (int)n, state);
    t->is_alive = !has_ended(t->state);
    t->is_running = t->is_alive && strcmp(t->state, "PENDING") != 0;
}

/* "3 RUNNING" on each line; other lines are none of ours. */
static void read_queue(const char *text, struct slurm_task *task, uint32_t n_tasks)
{
    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
        char *end;
        unsigned long number = strtoul(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end != ' ' || number >= n_tasks)
            continue;
        put_state(&task[number], end + 1, strspn(end + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
    }
}

enum status slurm_queue_ask(const char *job, struct slurm_task *task, uint32_t n_tasks,
                            struct err *err)
{
    char *which = mem_printf("--jobs=%s", job);
    const char *const argv[] = {"squeue",         "--noheader", "--array", "--states=all",
                                "--format=%K %T", which,        NULL};
    struct tool_answer answer = {0};
    enum status st = tool_call(&answer, argv, ASK_S, err);
    /* The words of a controller that has forgotten the job. */
    bool is_forgotten = st == ST_OK && strstr(answer.said, "Invalid job id") != NULL;

    if (st == ST_OK && !is_forgotten)
        st = tool_answer_check(&answer, "squeue", err);
    if (st == ST_OK) {
        for (uint32_t i = 0; i < n_tasks; i++)
            task[i].is_alive = task[i].is_running = false;
        read_queue(is_forgotten ? "" : answer.out, task, n_tasks);
    }
    tool_answer_release(&answer);
    free(which);
    return st;
}

/* "12_3|TIMEOUT" on each line. */
static void read_accounts(const char *text, struct slurm_task *task, uint32_t n_tasks)
{
    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *mark = text + strspn(text, "0123456789");
        char *end;
        unsigned long number;
        if (mark == text || *mark != '_' || !isdigit((unsigned char)mark[1]))
            continue;
        number = strtoul(mark + 1, &end, 10);
        if (*end == '|' && number < n_tasks && has_ended(end + 1))
            put_state(&task[number], end + 1, strspn(end + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
    }
}

void slurm_queue_ask_ended(const char *job, struct slurm_task *task, uint32_t n_tasks)
{
    char *which = mem_printf("--jobs=%s", job);
    const char *const argv[] = {"sacct",   "--noheader",           "--parsable2", "--allocations",
                                "--array", "--format=JobID,State", which,         NULL};
    struct tool_answer answer = {0};

    if (tool_call(&answer, argv, ASK_S, NULL) == ST_OK && answer.exit_status == 0)
        read_accounts(answer.out, task, n_tasks);
    tool_answer_release(&answer);
    free(which);
}

enum status slurm_queue_cancel(const char *job, struct err *err)
{
    const char *const argv[] = {"scancel", job, NULL};
    struct tool_answer answer = {0};
    enum status st = tool_call(&answer, argv, ASK_S, err);

    if (st == ST_OK)
        st = tool_answer_check(&answer, "scancel", err);
    tool_answer_release(&answer);
    return st;
}
