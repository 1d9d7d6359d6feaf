#include "orchestrator/slurm_run.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "orchestrator/log_tail.h"
#include "orchestrator/slurm_folder.h"
#include "orchestrator/slurm_gather.h"
#include "orchestrator/slurm_manifest.h"

/* A look at the queue costs the controller little, yet many may look: the time
 * between two grows while nothing changes. A controller that restarts answers
 * again within minutes. Results on a network's disk come up to seconds late. */
enum { LOOK_MS = 100, LOOK_MAX_MS = 5000, SILENCE_S = 900, LATE_LOOKS = 20, ATTEMPTS = 2 };

struct watch {
    struct run_job *job;
    const struct slurm_options *options;
    struct slurm_gather gather;
    char *script;
    char number[SLURM_JOB_TEXT];
    uint32_t attempt;
    struct slurm_task *task; /* [n_prompts] */
    uint32_t n_waiting, n_running;
    int look_ms;
};

static void say(const struct watch *w, const char *words)
{
    run_watch_clear(w->job->run.watch);
    fprintf(stderr, "mspeckv run: %s\n", words);
    log_info(LOG_RUN, "slurm: %s", words);
}

/* ---- the queue ---- */

static void count(struct watch *w)
{
    uint32_t waiting = 0, running = 0;

    for (uint32_t i = 0; i < w->job->plan.matrix->n_prompts; i++) {
        waiting += w->task[i].is_alive && !w->task[i].is_running;
        running += w->task[i].is_running;
    }
    if (waiting == w->n_waiting && running == w->n_running)
        return;
    w->n_waiting = waiting;
    w->n_running = running;
    w->look_ms = LOOK_MS;
    run_watch_words(w->job->run.watch, "Slurm job %s: %u waiting, %u running", w->number, waiting,
                    running);
}

static enum status look(struct watch *w, struct err *err)
{
    enum status st = slurm_queue_ask(w->number, w->task, w->job->plan.matrix->n_prompts, err);

    if (st == ST_OK)
        count(w);
    return st;
}

static bool is_alive(const struct watch *w)
{
    return w->n_waiting + w->n_running > 0;
}

/* Ends early on the first stop. */
static void rest(struct watch *w)
{
    struct pollfd stop = {.fd = proc_stop_fd(), .events = POLLIN};

    poll(&stop, 1, w->look_ms);
    w->look_ms = w->look_ms * 2 < LOOK_MAX_MS ? w->look_ms * 2 : LOOK_MAX_MS;
    run_watch_tick(w->job->run.watch);
}

/* ---- submitting ---- */

static enum status submit(struct watch *w, struct err *err)
{
    struct run_job *job = w->job;
    uint32_t *missing = mem_array(job->plan.matrix->n_prompts, sizeof *missing), n = 0;
    char *folder = slurm_folder_jobs(job->folder), words[160];
    char *name = mem_printf("mspeckv-%s", job->plan.e->name);
    struct slurm_array array = {.options = w->options,
                                .name = name,
                                .folder = folder,
                                .script = w->script,
                                .task = missing};
    enum status st;

    for (uint32_t i = 0; i < job->plan.matrix->n_prompts; i++) {
        w->task[i] = (struct slurm_task){.is_alive = false};
        if (!slurm_gather_is_settled(&w->gather, i))
            missing[n++] = i;
    }
    array.n_tasks = n;
    st = slurm_queue_submit(w->number, &array, err);
    if (st == ST_OK)
        st = slurm_folder_put_job(job->folder, w->number, ++w->attempt, err);
    if (st == ST_OK)
        st = slurm_manifest_job(&job->record, w->number, err);
    if (st == ST_OK) {
        snprintf(words, sizeof words, "Slurm job %s of %u task%s", w->number, n, n == 1 ? "" : "s");
        say(w, words);
        for (uint32_t i = 0; i < n; i++)
            w->task[missing[i]].is_alive = true;
        count(w);
    }
    free(name);
    free(folder);
    free(missing);
    return st;
}

/* A job of before that is still there is watched and not submitted again. */
static enum status attach_or_submit(struct watch *w, struct err *err)
{
    struct err ignored = {{0}};
    char words[96];
    enum status st = slurm_folder_last_job(w->job->folder, w->number, &w->attempt, err);

    if (st == ST_OK) {
        st = look(w, err);
        if (st == ST_OK && is_alive(w)) {
            snprintf(words, sizeof words, "goes on watching Slurm job %s", w->number);
            say(w, words);
            return ST_OK;
        }
        if (st == ST_OK)
            st = slurm_gather_take(&w->gather, &ignored); /* what ended just now */
    } else if (st == ST_NOT_FOUND) {
        st = ST_OK;
    }
    w->attempt = 0;
    return st == ST_OK ? submit(w, err) : st;
}

/* ---- stopping ---- */

static enum status cancel(struct watch *w, struct err *err)
{
    struct err ignored = {{0}};
    enum status st;

    w->job->run.is_stopped = true;
    say(w, "stopping: the job is cancelled; a second Ctrl-C does not wait for its end");
    st = slurm_queue_cancel(w->number, err);
    w->look_ms = LOOK_MS;
    while (st == ST_OK && is_alive(w) && proc_stop_count() < 2) {
        poll(NULL, 0, LOOK_MS);
        if (look(w, &ignored) != ST_OK)
            poll(NULL, 0, LOOK_MAX_MS);
    }
    return st == ST_OK ? slurm_gather_take(&w->gather, err) : st;
}

/* ---- watching ---- */

/* Until no task is alive, or the user stops. */
static enum status await_end(struct watch *w, struct err *err)
{
    uint64_t heard_ns = clock_now_ns();
    enum status st = ST_OK;
    bool is_silent = false;

    while (st == ST_OK && is_alive(w)) {
        rest(w);
        if (proc_stop_requested())
            return cancel(w, err);
        st = look(w, err);
        if (st == ST_OK) {
            heard_ns = clock_now_ns();
            is_silent = false;
            st = slurm_gather_take(&w->gather, err);
        } else if (clock_seconds_since(heard_ns) < SILENCE_S) {
            if (!is_silent)
                say(w, err->text);
            is_silent = true;
            st = ST_OK;
        }
    }
    return st;
}

static bool all_are_settled(const struct watch *w)
{
    for (uint32_t i = 0; i < w->job->plan.matrix->n_prompts; i++)
        if (!slurm_gather_is_settled(&w->gather, i))
            return false;
    return true;
}

/* A task that did its work has written it: it may be seen late. */
static bool may_come_late(const struct watch *w)
{
    for (uint32_t i = 0; i < w->job->plan.matrix->n_prompts; i++)
        if (!slurm_gather_is_settled(&w->gather, i) && strcmp(w->task[i].state, "COMPLETED") == 0)
            return true;
    return false;
}

static enum status one_attempt(struct watch *w, struct err *err)
{
    enum status st = await_end(w, err);

    if (st == ST_OK && !w->job->run.is_stopped && !all_are_settled(w))
        slurm_queue_ask_ended(w->number, w->task, w->job->plan.matrix->n_prompts);
    for (int i = 0; st == ST_OK && !w->job->run.is_stopped && may_come_late(w) && i < LATE_LOOKS;
         i++) {
        poll(NULL, 0, LOOK_MS);
        st = slurm_gather_take(&w->gather, err);
    }
    return st;
}

/* "Slurm task 3 of job 12: TIMEOUT: its log's last line" */
static char *reason_of(const struct watch *w, uint32_t part, const char *tail)
{
    const struct slurm_task *t = &w->task[part];
    const char *last = log_tail_last(tail);

    return mem_printf("Slurm task %u of job %s: %s%s%s", part, w->number,
                      slurm_queue_has_ended(t) ? t->state : "gone from the queue",
                      last[0] != '\0' ? ": " : "", last);
}

static enum status give_up(struct watch *w, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < w->job->plan.matrix->n_prompts; i++) {
        char tail[LOG_TAIL_BYTES], *log, *reason;
        if (slurm_gather_is_settled(&w->gather, i))
            continue;
        log = slurm_folder_log(w->job->folder, w->number, i);
        log_tail_read(log, LOG_TAIL_LINES, tail, sizeof tail);
        reason = reason_of(w, i, tail);
        if (w->attempt < ATTEMPTS)
            say(w, reason);
        else
            st = slurm_gather_fail(&w->gather, i, reason, tail, err);
        free(reason);
        free(log);
    }
    return st;
}

static enum status watch(struct watch *w, struct err *err)
{
    enum status st = all_are_settled(w) ? ST_OK : attach_or_submit(w, err);

    while (st == ST_OK && !all_are_settled(w) && !w->job->run.is_stopped) {
        st = one_attempt(w, err);
        if (st != ST_OK || w->job->run.is_stopped || all_are_settled(w))
            break;
        st = give_up(w, err);
        if (st == ST_OK && !all_are_settled(w)) {
            say(w, "what has ended without its results is submitted once more");
            st = submit(w, err);
        }
    }
    return st;
}

/* ---- as run_job has trials run ---- */

static void conclude(struct watch *w)
{
    struct run_job *job = w->job;
    uint32_t n_kinds = slurm_manifest_kinds(&job->record);

    if (!job->run.is_stopped)
        job->run.n_failed = job->plan.matrix->n_trials - job->n_done;
    if (n_kinds > 1)
        fprintf(stderr,
                "mspeckv run: the tasks ran on %u kinds of machine (manifest.json, launcher): "
                "times of different prompts do not compare\n",
                n_kinds);
}

/* Tasks begin in another directory. */
static enum status make_absolute(char **folder, struct err *err)
{
    char *path = realpath(*folder, NULL);

    if (path == NULL)
        return err_set(err, ST_IO, "%s: %s", *folder, strerror(errno));
    free(*folder);
    *folder = path;
    return ST_OK;
}

static enum status open_watch(struct watch *w, struct err *err)
{
    char dir[PATH_MAX], *program;
    enum status st = make_absolute(&w->job->folder, err);

    if (st == ST_OK)
        st = slurm_gather_open(&w->gather, w->job, err);

    w->gather.is_shown = true;
    w->task = mem_array(w->job->plan.matrix->n_prompts, sizeof *w->task);
    if (st == ST_OK)
        st = slurm_folder_make(w->job->folder, err);
    if (st == ST_OK)
        st = proc_self_dir(dir, sizeof dir, err);
    if (st != ST_OK)
        return st;
    program = mem_printf("%s/mspeckv", dir);
    st = slurm_folder_script(&w->script, w->job->folder, program, err);
    free(program);
    return st;
}

static enum status run_on_slurm(struct run_job *job, struct err *err)
{
    struct watch w = {.job = job, .options = job->elsewhere, .look_ms = LOOK_MS};
    enum status st = open_watch(&w, err);

    printf("run        %u trials on %u prompts, by Slurm -> %s\n\n", job->plan.matrix->n_trials,
           job->plan.matrix->n_prompts, job->folder);
    fflush(stdout);
    if (st == ST_OK)
        st = slurm_gather_take(&w.gather, err);
    if (st == ST_OK)
        st = watch(&w, err);
    run_watch_clear(job->run.watch);
    conclude(&w);
    slurm_gather_close(&w.gather);
    free(w.script);
    free(w.task);
    return st;
}

/* What is not there yet counts as stopped: it can still come. */
static enum status gather_only(struct run_job *job, struct err *err)
{
    struct slurm_gather g = {.job = NULL};
    enum status st = slurm_gather_open(&g, job, err);

    g.is_shown = true;
    if (st == ST_OK)
        st = slurm_gather_take(&g, err);
    slurm_gather_close(&g);
    job->run.is_stopped = job->n_done < job->plan.matrix->n_trials;
    return st;
}

void slurm_run_use(struct run_job *job, const struct slurm_options *options)
{
    job->any_machine = true;
    job->trials = run_on_slurm;
    job->elsewhere = options;
}

void slurm_run_use_gathered(struct run_job *job)
{
    job->any_machine = true;
    job->trials = gather_only;
}
