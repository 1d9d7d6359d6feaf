/*
 * A store, verify or draft worker that only talks, for tests of who runs what:
 * its results are a function of the trial, and it dies, waits or cannot start
 * where a file in the test's directory says so. Its own name says which it is.
 *
 * DIR is what stands before "/run/logs/" in its --log; D is its --device:
 *   DIR/meet      a trial waits until one has begun on cuda:0 and on cuda:1
 *   DIR/meet-D-N  its Nth trial waits for the same
 *   DIR/hold-D    trials wait while it is there
 *   DIR/die-D-N   its Nth trial kills it, once
 *   DIR/lose-D-N  the same, and it cannot be started again while DIR/gone-D is there
 *   DIR/mute-D    a prefill is never answered
 *   DIR/cheap     prefills take no time; else each says that it took 1000 s
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/chan.h"
#include "common/proc.h"

enum { STEP_US = 1000, MAX_STEPS = 120000 };

static struct fake {
    const char *name, *device;
    char dir[512], run_dir[96];
    struct chan *control;
    uint32_t n_trials;
} fake = {.device = "none"};

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void path_of(char buf[640], const char *what, const char *of)
{
    snprintf(buf, 640, "%s/%s%s", fake.dir, what, of);
}

static bool is_told(const char *what, const char *of)
{
    char path[640];

    path_of(path, what, of);
    return exists(path);
}

static void leave(const char *what, const char *of)
{
    char path[640];
    int fd;

    path_of(path, what, of);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

/* True if DIR/what-D-N was there; it is no more. */
static bool is_due(const char *what)
{
    char of[64], path[640];

    snprintf(of, sizeof of, "%s-%u", fake.device, fake.n_trials);
    path_of(path, what, of);
    return unlink(path) == 0;
}

static void act(void)
{
    bool meets;

    fake.n_trials++;
    leave("in-", fake.device);
    for (int i = 0; i < MAX_STEPS && is_told("hold-", fake.device); i++)
        usleep(STEP_US);
    meets = is_told("meet", "") || is_due("meet-");
    for (int i = 0; i < MAX_STEPS && meets; i++) {
        if (is_told("in-", "cuda:0") && is_told("in-", "cuda:1"))
            break;
        usleep(STEP_US);
    }
    if (is_due("die-"))
        raise(SIGKILL);
    if (is_due("lose-")) {
        leave("gone-", fake.device);
        raise(SIGKILL);
    }
}

/* ---- answers ---- */

static void on_trial(const struct msg_trial *t, struct msg *reply)
{
    struct msg_result *r = &reply->result;

    act();
    reply->verb = MSG_RESULT;
    r->trial = t->trial;
    r->n_tokens = t->gen_len;
    r->token = malloc((t->gen_len + 1) * sizeof *r->token);
    for (uint32_t i = 0; r->token != NULL && i < t->gen_len; i++)
        r->token[i] = (int32_t)((t->seed * 31 + t->n_prompt * 7 + t->method * 3 + i) % 500);
    r->decode_s = 0.001 * t->gen_len;
    r->rounds = t->gen_len;
    r->k_error_prompt = r->k_error_generated = r->v_error_prompt = r->v_error_generated = -1;
}

static void on_prefill(const struct msg_prefill *m, struct msg *reply)
{
    printf("prefill prompt=%u on=%s\n", m->prompt, fake.device);
    fflush(stdout);
    reply->verb = MSG_PREFILLED;
    reply->prefilled.prompt = m->prompt;
    reply->prefilled.n_tokens = m->n_tokens;
    reply->prefilled.snapshot = strcmp(fake.name, "verify") == 0;
    reply->prefilled.seconds = is_told("cheap", "") ? 1e-9 : 1000;
}

/* False: nothing is to be said. */
static bool answer(const struct msg *msg, struct msg *reply)
{
    if (msg->verb == MSG_PREFILL && is_told("mute-", fake.device))
        return false;
    if (msg->verb == MSG_PREFILL)
        on_prefill(&msg->prefill, reply);
    else if (msg->verb == MSG_TRIAL)
        on_trial(&msg->trial, reply);
    else if (msg->verb == MSG_HELLO) {
        reply->verb = MSG_WELCOME;
        reply->welcome = (struct msg_welcome){
            .epoch = 1, .arena_bytes = 1 << 21, .numa_node = UINT32_MAX, .numa_local_share = -1};
    } else
        return false;
    return true;
}

/* ---- the program ---- */

static enum status loop(struct err *err)
{
    struct chan_wait wait = {.timeout_ms = -1, .wake_fd = {proc_stop_fd(), -1, -1, -1}};
    enum status st = ST_OK;

    while (st == ST_OK) {
        struct msg msg = {0}, reply = {0};
        char peer[CHAN_MAX_NAME];
        st = chan_recv(fake.control, peer, &msg, &wait, err);
        if (st == ST_OK && msg.verb == MSG_QUIT)
            return ST_OK;
        reply.request = msg.request;
        if (st == ST_OK && answer(&msg, &reply))
            st = chan_send(fake.control, NULL, &reply, err);
        msg_release(&msg);
        msg_release(&reply);
    }
    return st == ST_CLOSED ? ST_OK : st;
}

static enum status say_ready(struct err *err)
{
    struct msg msg = {.verb = MSG_READY};

    snprintf(msg.ready.name, sizeof msg.ready.name, "%s", fake.name);
    snprintf(msg.ready.device, sizeof msg.ready.device, "%s (fake)", fake.device);
    msg.ready.memory_gbps = strcmp(fake.name, "verify") == 0 ? 10 : 0;
    msg.ready.device_node = UINT32_MAX;
    return chan_send(fake.control, NULL, &msg, err);
}

/* The flags of all three, of which these count. */
static void read_flags(int argc, char **argv)
{
    const char *dash = strrchr(argv[0], '-');

    fake.name = dash != NULL ? dash + 1 : argv[0];
    for (int i = 1; i + 1 < argc; i++) {
        const char *logs = strstr(argv[i + 1], "/run/logs/");
        if (strcmp(argv[i], "--device") == 0)
            fake.device = argv[i + 1];
        if (strcmp(argv[i], "--run-dir") == 0)
            snprintf(fake.run_dir, sizeof fake.run_dir, "%s", argv[i + 1]);
        if (strcmp(argv[i], "--log") == 0 && logs != NULL)
            snprintf(fake.dir, sizeof fake.dir, "%.*s", (int)(logs - argv[i + 1]), argv[i + 1]);
    }
}

int main(int argc, char **argv)
{
    struct err err = {{0}};
    char path[108];
    enum status st = proc_init(true, &err);

    read_flags(argc, argv);
    if (st == ST_OK && is_told("gone-", fake.device))
        st = err_set(&err, ST_DEVICE, "%s is gone", fake.device);
    snprintf(path, sizeof path, "%s/control", fake.run_dir);
    if (st == ST_OK)
        st = chan_open(&fake.control, CHAN_CLIENT, path, fake.name, &err);
    if (st == ST_OK)
        st = say_ready(&err);
    if (st == ST_OK)
        st = loop(&err);
    chan_close(fake.control);
    return exit_report("fake worker", EXIT_RUNTIME, st, &err);
}
