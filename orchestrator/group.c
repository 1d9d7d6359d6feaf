#include "orchestrator/group.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/rundir.h"
#include "orchestrator/group_spawn.h"
#include "orchestrator/janitor.h"
#include "orchestrator/log_tail.h"

enum {
    START_MS = 600000, /* a large checkpoint on a slow disk */
    TICK_MS = 500,
    GRACE_MS = 100, /* for all that die of one cause to be seen together */
    LOSS_MS = 2000, /* for the end of a process to be seen after its peers told of it */
    QUIT_MS = 3000
};

struct group {
    struct group_options opt;
    struct janitor janitor;
    struct rundir *dir;
    struct chan *control;
    struct proc proc[GROUP_MEMBERS];
    bool wanted[GROUP_MEMBERS];
    bool is_ready[GROUP_MEMBERS];
    bool is_dead[GROUP_MEMBERS];
    struct msg_ready ready[GROUP_MEMBERS];
    uint64_t n_requests;
    bool is_busy; /* a request is unanswered: QUIT would not be read soon */
    enum group_end end;
    char log_tail[LOG_TAIL_BYTES];
};

bool group_has_died(const struct group *g, enum group_member member)
{
    return g->is_dead[member];
}

enum group_end group_end(const struct group *g)
{
    return g->end;
}

const struct msg_ready *group_ready(const struct group *g, enum group_member member)
{
    return &g->ready[member];
}

pid_t group_pid(const struct group *g, enum group_member member)
{
    return g->proc[member].pid;
}

bool group_has_logs(const struct group *g)
{
    return g->opt.log_dir != NULL || g->dir != NULL;
}

const char *group_log_dir(const struct group *g)
{
    return g->opt.log_dir != NULL ? g->opt.log_dir : rundir_path(g->dir);
}

const char *group_log_tail(const struct group *g)
{
    return g->log_tail;
}

/* Before a new start writes into the log. */
static void keep_log_tail(struct group *g, int member)
{
    log_tail_read(g->proc[member].log_path, LOG_TAIL_LINES, g->log_tail, sizeof g->log_tail);
}

/* ---- deaths ---- */

static bool all_are_ready(const struct group *g)
{
    for (int i = 0; i < GROUP_MEMBERS; i++)
        if (g->proc[i].pid != 0 && !g->is_ready[i])
            return false;
    return true;
}

/* True once a process that was not reaped has ended; waits up to timeout_ms for it. */
static bool any_has_ended(const struct group *g, int timeout_ms)
{
    struct pollfd ended[GROUP_MEMBERS];
    int n;

    for (int i = 0; i < GROUP_MEMBERS; i++)
        ended[i] = (struct pollfd){.fd = g->proc[i].pidfd, .events = POLLIN}; /* or -1 */
    do
        n = poll(ended, GROUP_MEMBERS, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Reaps the dead and says which died first of them and of `culprit`: one that a
 * signal killed, else the one that the others depend on. */
static int reap(struct group *g, char how[GROUP_MEMBERS][96], int culprit)
{
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        if (g->proc[i].pid == 0 || !proc_has_ended(&g->proc[i], how[i], sizeof how[i]))
            continue;
        g->is_dead[i] = true;
        log_error(LOG_PROC, "died process=%s how=\"%s\"", group_names[i], how[i]);
        if (culprit < 0 || (strstr(how[i], "signal") && !strstr(how[culprit], "signal")))
            culprit = i;
    }
    return culprit;
}

static enum status report_dead(struct group *g, struct err *err)
{
    char how[GROUP_MEMBERS][96];
    bool were_well = all_are_ready(g);
    const char *line;
    int culprit;

    usleep(GRACE_MS * 1000);
    culprit = reap(g, how, -1);
    CHECK(culprit >= 0);
    /* A worker that ends by itself has mostly lost a peer, which the kernel may
     * still be at work to end. */
    while (were_well && strstr(how[culprit], "signal") == NULL && any_has_ended(g, LOSS_MS))
        culprit = reap(g, how, culprit);
    g->end = GROUP_DIED;
    keep_log_tail(g, culprit);
    line = log_tail_last(g->log_tail);
    return err_set(err, ST_CLOSED, "%s died: %s; its log is %s%s%.320s", group_names[culprit],
                   how[culprit], g->proc[culprit].log_path, line[0] != '\0' ? ", which ends: " : "",
                   line);
}

/* ---- one wait ---- */

static bool stop_is_due(struct group *g, int stop_at)
{
    uint64_t count;

    /* Emptied, or it would wake every wait from the first stop on. */
    if (read(proc_stop_fd(), &count, sizeof count) < 0)
        count = 0;
    return proc_stop_count() >= stop_at;
}

/* One message, or what else ended the wait. ST_TIMEOUT after TICK_MS. */
static enum status receive(struct group *g, int stop_at, char peer[CHAN_MAX_NAME], struct msg *out,
                           struct err *err)
{
    struct chan_wait wait = {.timeout_ms = TICK_MS, .wake_fd = {-1, -1, -1, proc_stop_fd()}};
    enum status st;

    for (int i = 0; i < GROUP_MEMBERS; i++)
        wait.wake_fd[i] = g->proc[i].pid != 0 ? g->proc[i].pidfd : -1;
    st = chan_recv(g->control, peer, out, &wait, err);
    if (st != ST_OK && any_has_ended(g, 0))
        return report_dead(g, err);
    if (stop_is_due(g, stop_at)) {
        if (st == ST_OK)
            msg_release(out);
        g->end = GROUP_STOPPED;
        return err_set(err, ST_CLOSED, "stopped");
    }
    if (st == ST_CORRUPT || st == ST_VERSION)
        log_warn(LOG_MSG, "refused a message: %s", err->text);
    /* A stop that is not due yet, or a message that counts for nothing. */
    return st == ST_CLOSED || st == ST_CORRUPT || st == ST_VERSION ? ST_TIMEOUT : st;
}

/* ---- starting and ending ---- */

static enum status await_ready(struct group *g, struct err *err)
{
    uint64_t begin = clock_now_ns();
    char peer[CHAN_MAX_NAME];

    while (!all_are_ready(g)) {
        struct msg msg = {0};
        enum status st = receive(g, 1, peer, &msg, err);
        int member = st == ST_OK ? group_member_of(peer) : -1;
        if (st != ST_OK && st != ST_TIMEOUT)
            return st;
        if (member >= 0 && msg.verb == MSG_READY) {
            g->is_ready[member] = true;
            g->ready[member] = msg.ready;
            log_info(LOG_PROC, "ready process=%s pid=%d load_s=%.3f", peer,
                     (int)g->proc[member].pid, msg.ready.load_s);
        }
        if (st == ST_OK)
            msg_release(&msg);
        if (clock_seconds_since(begin) * 1000 > START_MS)
            return err_set(err, ST_TIMEOUT,
                           "the processes are not ready after %d s; logs are in %s",
                           START_MS / 1000, group_log_dir(g));
    }
    return ST_OK;
}

static enum status start(struct group *g, enum group_member member, struct err *err)
{
    g->is_ready[member] = g->is_dead[member] = false;
    return group_spawn(&g->proc[member], member, &g->opt, rundir_path(g->dir), group_log_dir(g),
                       err);
}

/* The store first: workers wait only seconds for it, and a large arena takes longer. */
static enum status start_missing(struct group *g, struct err *err)
{
    enum status st = ST_OK;

    g->end = GROUP_RUNS;
    if (g->proc[GROUP_KVSTORE].pid == 0)
        st = start(g, GROUP_KVSTORE, err);
    if (st == ST_OK)
        st = await_ready(g, err);
    if (st == ST_OK && g->proc[GROUP_VERIFY].pid == 0)
        st = start(g, GROUP_VERIFY, err);
    if (st == ST_OK && g->wanted[GROUP_DRAFT] && g->proc[GROUP_DRAFT].pid == 0)
        st = start(g, GROUP_DRAFT, err);
    return st == ST_OK ? await_ready(g, err) : st;
}

static void stop(struct group *g, enum group_member member, int timeout_ms)
{
    if (g->proc[member].pid != 0)
        proc_stop(&g->proc[member], timeout_ms);
    g->proc[member].pidfd = -1;
}

enum status group_open(struct group **out, const struct group_options *opt, struct err *err)
{
    struct group *g = mem_zalloc(sizeof *g);
    char path[108];
    enum status st;

    g->opt = *opt;
    g->wanted[GROUP_DRAFT] = opt->draft != NULL;
    for (int i = 0; i < GROUP_MEMBERS; i++)
        g->proc[i].pidfd = -1;
    st = janitor_start(&g->janitor, err);
    if (st == ST_OK)
        st = rundir_create(&g->dir, err);
    if (st == ST_OK) {
        janitor_watch(&g->janitor, rundir_path(g->dir));
        rundir_socket(g->dir, "control", path);
        st = chan_open(&g->control, CHAN_SERVER, path, "mspeckv", err);
    }
    *out = g;
    return st == ST_OK ? start_missing(g, err) : st;
}

enum status group_restart(struct group *g, bool store_too, struct err *err)
{
    stop(g, GROUP_DRAFT, QUIT_MS);
    stop(g, GROUP_VERIFY, QUIT_MS);
    if (store_too)
        stop(g, GROUP_KVSTORE, QUIT_MS);
    group_spawn_clean(g->dir, g->proc[GROUP_KVSTORE].pid == 0);
    g->is_busy = false;
    return start_missing(g, err);
}

/* Asks all, then waits for each, so that their last work overlaps. */
static void ask_to_end(struct group *g)
{
    for (int i = GROUP_MEMBERS - 1; i >= 0; i--) {
        struct msg quit = {.verb = MSG_QUIT};
        if (g->proc[i].pid == 0 || i == GROUP_KVSTORE)
            continue;
        if (g->is_busy || !g->is_ready[i])
            kill(g->proc[i].pid, SIGTERM);
        else
            group_tell(g, (enum group_member)i, &quit);
    }
}

static void await_end(struct group *g, enum group_member member)
{
    struct pollfd ended = {.fd = g->proc[member].pidfd, .events = POLLIN};

    if (g->proc[member].pid != 0)
        poll(&ended, 1, QUIT_MS);
    stop(g, member, g->is_busy ? TICK_MS : QUIT_MS);
}

void group_close(struct group *g)
{
    if (g == NULL)
        return;
    if (g->control != NULL) {
        ask_to_end(g);
        await_end(g, GROUP_DRAFT);
        await_end(g, GROUP_VERIFY);
        stop(g, GROUP_KVSTORE, QUIT_MS);
    }
    chan_close(g->control);
    if (g->dir != NULL)
        rundir_leave(g->dir);
    janitor_end(&g->janitor);
    free(g);
}

/* ---- requests ---- */

void group_tell(struct group *g, enum group_member member, struct msg *msg)
{
    struct err err = {{0}};

    msg->request = ++g->n_requests;
    if (chan_send(g->control, group_names[member], msg, &err) != ST_OK)
        log_warn(LOG_MSG, "%s", err.text);
}

/* A worker that lost its peer may say so before the peer's end is seen. */
static enum status refused(struct group *g, const struct group_call *call, const struct msg *msg,
                           struct err *err)
{
    bool is_known = msg->error.status < ST_COUNT && msg->error.status != ST_OK;

    g->is_busy = false;
    if (any_has_ended(g, msg->error.status == ST_CLOSED ? LOSS_MS : 0))
        return report_dead(g, err);
    keep_log_tail(g, (int)call->member);
    return err_set(err, is_known ? (enum status)msg->error.status : ST_CORRUPT, "%s: %s",
                   group_names[call->member], msg->error.words);
}

/* True if the message ends the call; then *st and *out are its result. */
static bool take(struct group *g, const struct group_call *call, struct msg *msg, struct msg *out,
                 enum status *st, struct err *err)
{
    if (msg->request != call->request->request)
        return false; /* of a call that was given up, or a FORGET */
    if (msg->verb == MSG_ERROR) {
        *st = refused(g, call, msg, err);
        return true;
    }
    if (msg->verb == call->want) {
        g->is_busy = false;
        *out = *msg;
        *msg = (struct msg){0};
        *st = ST_OK;
        return true;
    }
    if (call->watch != NULL)
        call->watch(call->self, msg);
    return false;
}

enum status group_ask(struct group *g, const struct group_call *call, struct msg *out,
                      struct err *err)
{
    const char *name = group_names[call->member];
    uint64_t begin = clock_now_ns();
    char peer[CHAN_MAX_NAME];
    bool is_over = false;
    enum status st;

    g->end = GROUP_RUNS;
    call->request->request = ++g->n_requests;
    st = chan_send(g->control, name, call->request, err);
    if (st == ST_CLOSED)
        return any_has_ended(g, LOSS_MS) ? report_dead(g, err) : err_in(err, ST_IO, "control");
    g->is_busy = st == ST_OK;
    while (st == ST_OK && !is_over) {
        struct msg msg = {0};
        st = receive(g, call->stop_at, peer, &msg, err);
        if (st == ST_OK && msg.verb == MSG_PROGRESS)
            begin = clock_now_ns();
        if (st == ST_OK)
            is_over =
                group_member_of(peer) == (int)call->member && take(g, call, &msg, out, &st, err);
        else if (st == ST_TIMEOUT && call->watch != NULL)
            call->watch(call->self, NULL);
        msg_release(&msg);
        if (st == ST_TIMEOUT)
            st = ST_OK;
        if (!is_over && st == ST_OK && call->timeout_s > 0 &&
            clock_seconds_since(begin) > call->timeout_s) {
            keep_log_tail(g, (int)call->member);
            return err_set(err, ST_TIMEOUT, "%s has not answered %s in %g s; its log is %s", name,
                           msg_verb_name(call->request->verb), call->timeout_s,
                           g->proc[call->member].log_path);
        }
    }
    return st;
}
