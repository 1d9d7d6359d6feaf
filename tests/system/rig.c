#include "tests/system/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* argv[0] is the program's name. */
static enum status spawn(struct rig *rig, struct proc *out, const char *name, const char **argv,
                         struct err *err)
{
    char log[128], program[512];
    const char *word[32];
    int n = 0;

    for (; argv[n] != NULL; n++)
        word[n] = argv[n];
    if (rig->metrics) {
        word[n++] = "--metrics";
        word[n++] = "127.0.0.1:0";
    }
    word[n] = NULL;
    snprintf(log, sizeof log, "%s/%s.log", rig->log_dir, name);
    snprintf(program, sizeof program, TEST_BUILD_DIR "%s/bin/%s",
             rig->tree != NULL ? rig->tree : "", argv[0]);
    word[0] = program;
    return proc_spawn(out, name, (char *const *)(uintptr_t)word, log, err);
}

static enum status spawn_draft(struct rig *rig, const struct rig_options *o, struct err *err)
{
    const char *threads = o->threads != NULL ? o->threads : "1";
    const char *device = o->device != NULL ? o->device : "cpu:0";
    const char *draft[] = {"mspeckv-draft",   "--run-dir", rundir_path(rig->dir),
                           "--draft",         o->draft,    "--threads",
                           threads,           "--device",  device,
                           "--verify-device", device,      o->no_middle ? NULL : "--target",
                           o->target,         NULL};

    return spawn(rig, &rig->draft, "draft", draft, err);
}

static enum status spawn_all(struct rig *rig, const struct rig_options *o, struct err *err)
{
    const char *dir = rundir_path(rig->dir);
    const char *threads = o->threads != NULL ? o->threads : "1";
    const char *store[] = {"mspeckv-kvstore",
                           "--run-dir",
                           dir,
                           "--arena-bytes",
                           o->arena_bytes != NULL ? o->arena_bytes : "268435456",
                           NULL};
    const char *verify[24] = {"mspeckv-verify",
                              "--run-dir",
                              dir,
                              "--target",
                              o->target,
                              "--threads",
                              threads,
                              "--retrieval-tokens",
                              o->retrieval_tokens != NULL ? o->retrieval_tokens : "4096",
                              "--kv-base",
                              o->kv_base != NULL ? o->kv_base : "f16",
                              "--device",
                              o->device != NULL ? o->device : "cpu:0"};
    int n = 13;
    enum status st;

    if (o->link_gbps != NULL) {
        verify[n++] = "--link-gbps";
        verify[n++] = o->link_gbps;
    }
    if (o->logits != NULL) {
        verify[n++] = "--logits";
        verify[n++] = o->logits;
    }
    st = spawn(rig, &rig->store, "kvstore", store, err);
    if (st == ST_OK)
        st = spawn(rig, &rig->verify, "verify", verify, err);
    if (st == ST_OK && o->draft != NULL)
        st = spawn_draft(rig, o, err);
    return st;
}

void rig_last_line(const struct proc *p, char *buf, size_t size)
{
    FILE *f = fopen(p->log_path, "r");
    char *line = NULL;
    size_t cap = 0;

    buf[0] = '\0';
    while (f != NULL && getline(&line, &cap, f) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        strncpy(buf, line, size - 1);
        buf[size - 1] = '\0';
    }
    free(line);
    if (f != NULL)
        fclose(f);
}

/* Waits for one message; a dead child ends the wait with its name. */
static enum status receive(struct rig *rig, struct msg *out, struct err *err)
{
    char peer[CHAN_MAX_NAME], how[64], line[400];
    struct chan_wait wait = {300000, 50, {rig->store.pidfd, rig->verify.pidfd, -1, -1}};
    enum status st;

    if (rig->draft.pid != 0)
        wait.wake_fd[2] = rig->draft.pidfd;
    st = chan_recv(rig->control, peer, out, &wait, err);
    if (st != ST_CLOSED)
        return st;
    struct proc *all[] = {&rig->store, &rig->verify, &rig->draft};
    for (int i = 0; i < 3; i++)
        if (all[i]->pid != 0 && proc_has_ended(all[i], how, sizeof how)) {
            rig_last_line(all[i], line, sizeof line);
            return err_set(err, ST_CLOSED, "%s died: %s: %s", all[i]->name, how, line);
        }
    return st;
}

static enum status await_ready(struct rig *rig, int n, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && n > 0) {
        struct msg msg = {0};
        st = receive(rig, &msg, err);
        if (st != ST_OK)
            return st;
        if (msg.verb == MSG_READY) {
            n--;
            if (strcmp(msg.ready.name, "verify") == 0)
                rig->verify_ready = msg.ready;
        }
        msg_release(&msg);
    }
    return st;
}

enum status rig_open(struct rig *rig, const struct rig_options *opt, struct err *err)
{
    char path[108];
    enum status st;

    memset(rig, 0, sizeof *rig);
    rig->tree = opt->tree;
    rig->metrics = opt->metrics;
    snprintf(rig->log_dir, sizeof rig->log_dir, "/tmp/test-rig-XXXXXX");
    if (mkdtemp(rig->log_dir) == NULL)
        return err_set(err, ST_IO, "mkdtemp");
    st = proc_init(false, err);
    if (st == ST_OK)
        st = rundir_create(&rig->dir, err);
    if (st == ST_OK) {
        rundir_socket(rig->dir, "control", path);
        st = chan_open(&rig->control, CHAN_SERVER, path, "test", err);
    }
    if (st == ST_OK)
        st = spawn_all(rig, opt, err);
    if (st == ST_OK)
        st = await_ready(rig, opt->draft != NULL ? 2 : 1, err);
    if (st != ST_OK)
        rig_close(rig);
    return st;
}

enum status rig_restart_draft(struct rig *rig, const struct rig_options *opt, struct err *err)
{
    enum status st = spawn_draft(rig, opt, err);

    return st == ST_OK ? await_ready(rig, 1, err) : st;
}

void rig_close(struct rig *rig)
{
    char command[128];

    if (rig->draft.pid != 0)
        proc_stop(&rig->draft, 30000);
    if (rig->verify.pid != 0)
        proc_stop(&rig->verify, 30000);
    if (rig->store.pid != 0)
        proc_stop(&rig->store, 30000);
    chan_close(rig->control);
    if (rig->dir != NULL)
        rundir_leave(rig->dir);
    snprintf(command, sizeof command, "rm -rf %s", rig->log_dir);
    if (rig->log_dir[0] != '\0' && system(command) != 0)
        fprintf(stderr, "%s stays\n", rig->log_dir);
    memset(rig, 0, sizeof *rig);
}

enum status rig_ask(struct rig *rig, const char *peer, struct msg *msg, enum msg_verb want,
                    struct msg *out, struct err *err)
{
    enum status st;

    msg->request = ++rig->n_requests;
    st = chan_send(rig->control, peer, msg, err);
    while (st == ST_OK) {
        memset(out, 0, sizeof *out);
        st = receive(rig, out, err);
        if (st != ST_OK)
            return st;
        if (out->request == msg->request && out->verb == MSG_ERROR)
            return err_set(err, (enum status)out->error.status, "%s", out->error.words);
        if (out->request == msg->request && out->verb == want)
            return ST_OK;
        msg_release(out);
    }
    return st;
}

enum status rig_prefill(struct rig *rig, uint32_t prompt, const int32_t *token, uint32_t n,
                        uint64_t *snapshot, struct err *err)
{
    struct msg msg = {.verb = MSG_PREFILL}, answer = {0};
    enum status st;

    msg.prefill = (struct msg_prefill){prompt, n, (int32_t *)(uintptr_t)token};
    st = rig_ask(rig, "verify", &msg, MSG_PREFILLED, &answer, err);
    if (st != ST_OK)
        return st;
    *snapshot = answer.prefilled.snapshot;
    if (rig->draft.pid != 0)
        st = rig_ask(rig, "draft", &msg, MSG_PREFILLED, &answer, err);
    return st;
}

enum status rig_trial(struct rig *rig, const struct msg_trial *trial, struct msg_result *result,
                      struct err *err)
{
    struct msg msg = {.verb = MSG_TRIAL}, answer = {0};
    enum status st;

    msg.trial = *trial;
    msg.trial.trial = rig->n_requests + 1;
    st = rig_ask(rig, "verify", &msg, MSG_RESULT, &answer, err);
    if (st == ST_OK)
        *result = answer.result;
    return st;
}

enum status rig_forget(struct rig *rig, uint32_t prompt, uint64_t snapshot, struct err *err)
{
    struct msg msg = {.verb = MSG_FORGET};
    enum status st;

    msg.forget = (struct msg_forget){prompt, snapshot};
    st = chan_send(rig->control, "verify", &msg, err);
    if (st == ST_OK && rig->draft.pid != 0)
        st = chan_send(rig->control, "draft", &msg, err);
    return st;
}
