/*
 * A process that dies in the middle of a trial is reported by its peers, the next
 * draft takes the place of a dead one, and nothing of a run stays behind.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>

#include "tests/system/robust.h"

static enum status send_trial(const struct msg_trial *trial, struct err *err)
{
    struct msg msg = {.verb = MSG_TRIAL};

    msg.trial = *trial;
    msg.trial.trial = msg.request = ++rig.n_requests;
    return chan_send(rig.control, "verify", &msg, err);
}

/* Takes messages until one of `verb` answers the last request, whichever process
 * dies meanwhile; *out is to be released. */
static void await_answer(enum msg_verb verb, struct msg *out)
{
    struct chan_wait wait = {PATIENCE_MS, 0, {-1, -1, -1, -1}};
    char peer[CHAN_MAX_NAME];
    struct err err = {{0}};

    do {
        msg_release(out);
        if (chan_recv(rig.control, peer, out, &wait, &err) != ST_OK)
            fail_msg("no answer: %s", err.text);
    } while (out->request != rig.n_requests || (out->verb == MSG_TOKENS && verb != MSG_TOKENS));
    assert_int_equal(out->verb, verb);
}

/* Alone it would take minutes; returns when it is in its rounds. */
static void start_long_trial(enum method method)
{
    struct msg_trial trial = good(method);
    struct err err = {{0}};
    struct msg msg = {0};

    trial.gen_len = 40000;
    trial.gamma = 2;
    trial.stream = true;
    assert_int_equal(send_trial(&trial, &err), ST_OK);
    for (int i = 0; i < 5; i++)
        await_answer(MSG_TOKENS, &msg);
    msg_release(&msg);
}

static void await_error(const char *words)
{
    struct err err = {{0}};
    struct msg msg = {0};

    await_answer(MSG_ERROR, &msg);
    snprintf(err.text, sizeof err.text, "%.200s", msg.error.words);
    assert_line(&err, words);
}

static void end_of(struct proc *p, const char *want_how, char *line, size_t size)
{
    struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};
    char how[64];

    if (poll(&ended, 1, PATIENCE_MS) != 1)
        fail_msg("%s lives on", p->name);
    rig_last_line(p, line, size);
    assert_true(proc_has_ended(p, how, sizeof how));
    assert_string_equal(how, want_how);
}

static void a_draft_killed_in_a_trial_is_reported_and_another_takes_its_place(void **state)
{
    struct msg msg = {.verb = MSG_PREFILL, .prefill = {1, N_PROMPT, prompt}}, answer = {0};
    struct err err = {{0}};
    char line[400];

    start();
    for (int i = 0; i < 3; i++) {
        start_long_trial(i == 1 ? METHOD_VANILLA_SPECDEC : METHOD_MSPECKV);
        kill(rig.draft.pid, SIGKILL);
        await_error("the draft worker went away");
        end_of(&rig.draft, "killed by signal 9 (Killed)", line, sizeof line);
        assert_serves(METHOD_BASELINE);
        if (rig_restart_draft(&rig, &options, &err) != ST_OK)
            fail_msg("%s", err.text);
        if (rig_ask(&rig, "draft", &msg, MSG_PREFILLED, &answer, &err) != ST_OK)
            fail_msg("%s", err.text);
        assert_serves(METHOD_VANILLA_SPECDEC);
        assert_serves(METHOD_MSPECKV);
    }
    rig_close(&rig);
}

static void a_draft_that_dies_between_trials_is_replaced_too(void **state)
{
    struct msg msg = {.verb = MSG_PREFILL, .prefill = {1, N_PROMPT, prompt}}, answer = {0};
    struct err err = {{0}};
    char line[400];

    start();
    assert_serves(METHOD_MSPECKV);
    kill(rig.draft.pid, SIGKILL);
    end_of(&rig.draft, "killed by signal 9 (Killed)", line, sizeof line);
    if (rig_restart_draft(&rig, &options, &err) != ST_OK)
        fail_msg("%s", err.text);
    if (rig_ask(&rig, "draft", &msg, MSG_PREFILLED, &answer, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_serves(METHOD_MSPECKV);
    rig_close(&rig);
}

static void verify_waiting_for_a_draft_that_never_comes_can_be_stopped(void **state)
{
    struct rig_options alone = {.target = target};
    struct rig_options both = options;
    struct msg_trial trial;
    struct err err = {{0}};
    char line[400];

    options = alone;
    start();
    options = both;
    trial = good(METHOD_MSPECKV);
    assert_int_equal(send_trial(&trial, &err), ST_OK);
    sleep_ms(200); /* into its wait: what is expected does not depend on it */
    kill(rig.verify.pid, SIGTERM);
    end_of(&rig.verify, "exit status 0", line, sizeof line);
    rig_close(&rig);
}

static void a_draft_ends_when_verify_is_killed(void **state)
{
    char line[400];

    for (int busy = 0; busy < 2; busy++) {
        start();
        if (busy)
            start_long_trial(METHOD_MSPECKV);
        else
            assert_serves(METHOD_MSPECKV);
        kill(rig.verify.pid, SIGKILL);
        end_of(&rig.verify, "killed by signal 9 (Killed)", line, sizeof line);
        end_of(&rig.draft, "exit status 0", line, sizeof line);
        assert_non_null(strstr(line, "verify went away"));
        rig_close(&rig);
    }
}

static void a_store_killed_in_a_trial_is_reported_and_verify_ends(void **state)
{
    char line[400];

    start();
    start_long_trial(METHOD_MSPECKV);
    kill(rig.store.pid, SIGKILL);
    await_error("the store went away");
    end_of(&rig.verify, "exit status 1", line, sizeof line);
    assert_non_null(strstr(line, "the store went away"));
    end_of(&rig.draft, "exit status 0", line, sizeof line);
    rig_close(&rig);
}

static void a_prefill_in_the_middle_of_a_trial_ends_the_trial_at_once(void **state)
{
    struct msg msg = {.verb = MSG_PREFILL, .prefill = {2, N_PROMPT, prompt}};
    struct err err = {{0}};

    start();
    start_long_trial(METHOD_MSPECKV);
    msg.request = 999999;
    assert_int_equal(chan_send(rig.control, "draft", &msg, &err), ST_OK);
    await_error("draft lost step");
    assert_serves(METHOD_MSPECKV);
    rig_close(&rig);
}

/* The whole of verify's checkpoint is mapped: the next read of a weight fails. */
static void a_checkpoint_shortened_in_use_ends_verify_with_one_line(void **state)
{
    char dir[] = "/tmp/test-shortened-XXXXXX", command[700], file[64], words[200];
    struct msg msg = {.verb = MSG_PREFILL, .prefill = {3, N_PROMPT, prompt}}, answer = {0};
    struct rig_options both = options;
    struct err err = {{0}};

    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command, "cp %s/* %s", target, dir);
    assert_int_equal(system(command), 0);
    options = (struct rig_options){.target = dir};
    start();
    options = both;
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    assert_int_equal(truncate(file, 8192), 0);
    assert_int_equal(rig_ask(&rig, "verify", &msg, MSG_PREFILLED, &answer, &err), ST_CLOSED);
    snprintf(words, sizeof words, "verify died: exit status 1: mspeckv-verify: %s: the file was",
             file);
    assert_line(&err, words);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    rig_close(&rig);
}

static void a_draft_of_another_vocabulary_is_refused_by_one_clear_line(void **state)
{
    static const char *const words =
        "the draft's vocabulary has 2048 tokens, the target's 512: they must be equal";
    struct rig_options both = options;
    struct msg_trial trial;
    struct err err = {{0}};
    char line[400];

    /* With the target at hand the draft sees it itself, at the start. */
    options.draft = other;
    assert_int_equal(rig_open(&rig, &options, &err), ST_CLOSED);
    assert_line(&err, words);
    /* Without it, both see it when they meet. */
    options.no_middle = true;
    start();
    options = both;
    trial = good(METHOD_VANILLA_SPECDEC);
    assert_int_equal(send_trial(&trial, &err), ST_OK);
    await_error(words);
    end_of(&rig.draft, "exit status 1", line, sizeof line);
    assert_non_null(strstr(line, words));
    assert_serves(METHOD_BASELINE);
    rig_close(&rig);
}

static int count_entries(const char *dir, const char *prefix)
{
    DIR *list = opendir(dir);
    int n = 0;

    for (struct dirent *e = list != NULL ? readdir(list) : NULL; e != NULL; e = readdir(list))
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    if (list != NULL)
        closedir(list);
    return n;
}

static void nothing_of_a_killed_run_stays_behind(void **state)
{
    char path[256], line[400];
    struct proc *all[3];
    int n_shm = count_entries("/dev/shm", "mspeckv");

    start();
    snprintf(path, sizeof path, "%s", rundir_path(rig.dir));
    assert_int_equal(access(path, F_OK), 0);
    start_long_trial(METHOD_MSPECKV);
    /* Verify is killed; the others learn of it or are stopped by the rig. */
    kill(rig.verify.pid, SIGKILL);
    end_of(&rig.verify, "killed by signal 9 (Killed)", line, sizeof line);
    all[0] = &rig.draft;
    end_of(all[0], "exit status 0", line, sizeof line);
    rig_close(&rig);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(count_entries("/dev/shm", "mspeckv"), n_shm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_killed_in_a_trial_is_reported_and_another_takes_its_place),
        cmocka_unit_test(a_draft_that_dies_between_trials_is_replaced_too),
        cmocka_unit_test(verify_waiting_for_a_draft_that_never_comes_can_be_stopped),
        cmocka_unit_test(a_draft_ends_when_verify_is_killed),
        cmocka_unit_test(a_store_killed_in_a_trial_is_reported_and_verify_ends),
        cmocka_unit_test(a_prefill_in_the_middle_of_a_trial_ends_the_trial_at_once),
        cmocka_unit_test(a_checkpoint_shortened_in_use_ends_verify_with_one_line),
        cmocka_unit_test(a_draft_of_another_vocabulary_is_refused_by_one_clear_line),
        cmocka_unit_test(nothing_of_a_killed_run_stays_behind),
    };

    find_models();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
