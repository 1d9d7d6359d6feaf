/*
 * Odd and hostile messages to real workers are answered by one clear line and
 * the workers go on; a process that dies in the middle of a trial is reported by
 * its peers, and nothing of a run stays behind.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>

#include <zmq.h>

#include "common/clock.h"
#include "kernels/kv_format.h"
#include "tests/system/rig.h"
#include "tests/test_helpers.h"

enum { N_PROMPT = 40, GEN = 6 };

static char target[512], draft[512], other[512];
static struct rig_options options = {.target = target, .draft = draft, .retrieval_tokens = "65536"};
static struct rig rig;
static uint64_t snapshot;
static int32_t prompt[N_PROMPT];

static struct msg_trial good(enum method method)
{
    return (struct msg_trial){.prompt = 1,
                              .n_prompt = N_PROMPT,
                              .snapshot = snapshot,
                              .method = method,
                              .kv_format = KV_F16,
                              .gamma = 3,
                              .gamma_draft = 1,
                              .budget = 32,
                              .chunk = 8,
                              .on_chip = 2,
                              .gen_len = GEN,
                              .temperature = 0,
                              .top_p = 1,
                              .ignore_eos = true};
}

/* A trial with nothing wrong, of the method that uses every process. */
static void assert_serves(enum method method)
{
    struct msg_trial trial = good(method);
    struct msg_result result = {0};
    struct err err = {{0}};

    if (rig_trial(&rig, &trial, &result, &err) != ST_OK)
        fail_msg("%s: %s", method_name(method), err.text);
    assert_int_equal(result.n_tokens, GEN);
    free(result.token);
}

/* One line, lower case, with `words` in it. */
static void assert_line(const struct err *err, const char *words)
{
    if (strstr(err->text, words) == NULL || strchr(err->text, '\n') != NULL)
        fail_msg("'%s' does not say '%s' in one line", err->text, words);
}

static void assert_refused(const struct msg_trial *trial, const char *words)
{
    struct msg_result result = {0};
    struct err err = {{0}};
    enum status st = rig_trial(&rig, trial, &result, &err);

    if (st == ST_OK)
        fail_msg("a trial was run that should say '%s'", words);
    assert_line(&err, words);
    assert_int_not_equal(st, ST_CLOSED);
}

static void start(void)
{
    struct err err = {{0}};

    for (int i = 0; i < N_PROMPT; i++)
        prompt[i] = i == 0 ? 1 : 260 + (i * 37) % 240;
    if (rig_open(&rig, &options, &err) != ST_OK ||
        rig_prefill(&rig, 1, prompt, N_PROMPT, &snapshot, &err) != ST_OK)
        fail_msg("rig: %s", err.text);
}

/* ---- messages ---- */

static void a_trial_with_impossible_settings_is_refused(void **state)
{
    struct msg_trial t;

#define REFUSED(method, change, words)                                                             \
    do {                                                                                           \
        t = good(method);                                                                          \
        change;                                                                                    \
        assert_refused(&t, words);                                                                 \
    } while (0)
    start();
    REFUSED(METHOD_BASELINE, t.on_chip = 6, "on_chip 6 is more than the model's 5 layers");
    REFUSED(METHOD_BASELINE, t.kv_format = KV_F32, "--kv-base f32");
    REFUSED(METHOD_BASELINE, t.gen_len = 0, "gen_len 0 is not in 1..");
    REFUSED(METHOD_BASELINE, t.gen_len = UINT32_MAX, "is not in 1..");
    REFUSED(METHOD_BASELINE, t.snapshot = 999999, "snapshot 999999");
    REFUSED(METHOD_BASELINE, t.snapshot = 0, "snapshot 0");
    REFUSED(METHOD_BASELINE, t.n_prompt = 39, "holds 40 tokens, the trial's prompt has 39");
    REFUSED(METHOD_BASELINE, t.temperature = -1, "temperature -1");
    REFUSED(METHOD_BASELINE, t.top_p = 0, "top_p 0 in (0, 1]");
    REFUSED(METHOD_BASELINE, t.top_p = 1.5, "top_p 1.5 in (0, 1]");
    REFUSED(METHOD_BASELINE, t.staging_layers = UINT32_MAX, "staging_layers 4294967295");
    REFUSED(METHOD_BASELINE, t.want_logits = true, "--logits");
    REFUSED(METHOD_VANILLA_SPECDEC, t.gamma = 0, "gamma 0 is not in 1..32");
    REFUSED(METHOD_VANILLA_SPECDEC, t.gamma = 33, "gamma 33 is not in 1..32");
    REFUSED(METHOD_VANILLA_SPECDEC, t.prompt = 5, "prompt 5 was not given to this draft");
    REFUSED(METHOD_MSPECKV, t.gamma_draft = 0, "gamma_draft 0");
    REFUSED(METHOD_MSPECKV, t.gamma_draft = 33, "gamma_draft 33");
    REFUSED(METHOD_MSPECKV, t.chunk = 0, "chunk 0");
    REFUSED(METHOD_MSPECKV, t.chunk = UINT32_MAX, "budget 32 is too small");
    REFUSED(METHOD_MSPECKV, t.budget = 0, "budget 0 is too small");
    REFUSED(METHOD_MSPECKV, t.gen_len = 100000, "retrieval KV");
    for (int m = 0; m < METHOD_COUNT; m++)
        assert_serves((enum method)m);
    rig_close(&rig);
#undef REFUSED
}

static void refuse_prefill(const char *peer, struct msg_prefill what, const char *words)
{
    struct msg msg = {.verb = MSG_PREFILL, .prefill = what}, answer = {0};
    struct err err = {{0}};

    assert_int_not_equal(rig_ask(&rig, peer, &msg, MSG_PREFILLED, &answer, &err), ST_OK);
    assert_line(&err, words);
}

static void a_prompt_that_cannot_be_computed_is_refused(void **state)
{
    int32_t bad[3] = {1, 512, 7}, negative[3] = {1, -1, 7};
    const char *const peer[] = {"verify", "draft"};

    start();
    for (int i = 0; i < 2; i++) {
        refuse_prefill(peer[i], (struct msg_prefill){7, 0, NULL}, "at least one token");
        refuse_prefill(peer[i], (struct msg_prefill){7, 3, bad}, "512");
        refuse_prefill(peer[i], (struct msg_prefill){7, 3, negative}, "-1");
    }
    for (int m = 0; m < METHOD_COUNT; m++)
        assert_serves((enum method)m);
    rig_close(&rig);
}

static void a_prompt_too_large_for_the_arena_is_refused_and_its_room_comes_back(void **state)
{
    struct rig_options small = options;
    struct msg msg = {.verb = MSG_PREFILL}, answer = {0};
    int32_t *token = calloc(6000, sizeof *token);
    struct err err = {{0}};

    /* 6000 tokens take 8 MB of f16 pages, the arena has 16 MiB. */
    options.arena_bytes = "16777216";
    start();
    options = small;
    msg.prefill = (struct msg_prefill){9, 6000, token};
    for (int i = 0; i < 4; i++) {
        enum status st = rig_ask(&rig, "verify", &msg, MSG_PREFILLED, &answer, &err);
        if (st != ST_OK)
            break;
    }
    assert_line(&err, "storing a snapshot of 6000 tokens");
    assert_serves(METHOD_BASELINE);
    assert_serves(METHOD_MSPECKV);
    free(token);
    rig_close(&rig);
}

static void a_verb_that_is_not_served_is_refused(void **state)
{
    const char *const peer[] = {"verify", "draft"};
    struct err err = {{0}};

    start();
    for (int i = 0; i < 2; i++) {
        struct msg msg = {.verb = MSG_DRAIN}, answer = {0};
        assert_int_equal(rig_ask(&rig, peer[i], &msg, MSG_DONE, &answer, &err), ST_INVALID);
        assert_line(&err, "does not serve DRAIN");
    }
    /* Forgetting what is not there is answered too, and nothing is lost. */
    struct msg msg = {.verb = MSG_FORGET, .forget = {77, 123456}}, answer = {0};
    assert_int_not_equal(rig_ask(&rig, "verify", &msg, MSG_DONE, &answer, &err), ST_OK);
    assert_line(&err, "123456");
    for (int m = 0; m < METHOD_COUNT; m++)
        assert_serves((enum method)m);
    rig_close(&rig);
}

/* ---- deaths ---- */

static enum status send_trial(const struct msg_trial *trial, struct err *err)
{
    struct msg msg = {.verb = MSG_TRIAL};

    msg.trial = *trial;
    msg.trial.trial = msg.request = ++rig.n_requests;
    return chan_send(rig.control, "verify", &msg, err);
}

static enum status long_trial(enum method method, struct err *err)
{
    struct msg_trial trial = good(method);

    /* Alone it would take minutes. */
    trial.gen_len = 40000;
    trial.gamma = 2;
    return send_trial(&trial, err);
}

/* Waits for the answer to the last request, whichever process dies meanwhile. */
static void await_error(const char *words)
{
    struct chan_wait wait = {10000, 0, {-1, -1, -1, -1}};
    char peer[CHAN_MAX_NAME];
    struct err err = {{0}};
    struct msg msg = {0};

    do {
        msg_release(&msg);
        if (chan_recv(rig.control, peer, &msg, &wait, &err) != ST_OK)
            fail_msg("no answer: %s", err.text);
    } while (msg.request != rig.n_requests);
    assert_int_equal(msg.verb, MSG_ERROR);
    snprintf(err.text, sizeof err.text, "%.200s", msg.error.words);
    assert_line(&err, words);
}

static void sleep_ms(int ms)
{
    clock_sleep_until(clock_now_ns() + (uint64_t)ms * 1000000);
}

static void end_of(struct proc *p, const char *want_how, char *line, size_t size)
{
    struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};
    char how[64];

    if (poll(&ended, 1, 10000) != 1)
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
        assert_int_equal(long_trial(i == 1 ? METHOD_VANILLA_SPECDEC : METHOD_MSPECKV, &err), ST_OK);
        sleep_ms(150);
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
    struct err err = {{0}};
    char line[400];

    options = alone;
    start();
    options = both;
    assert_int_equal(long_trial(METHOD_MSPECKV, &err), ST_OK);
    sleep_ms(200);
    kill(rig.verify.pid, SIGTERM);
    end_of(&rig.verify, "exit status 0", line, sizeof line);
    rig_close(&rig);
}

static void a_draft_ends_when_verify_is_killed(void **state)
{
    struct err err = {{0}};
    char line[400];

    for (int busy = 0; busy < 2; busy++) {
        start();
        if (busy)
            assert_int_equal(long_trial(METHOD_MSPECKV, &err), ST_OK);
        else
            assert_serves(METHOD_MSPECKV);
        sleep_ms(150);
        kill(rig.verify.pid, SIGKILL);
        end_of(&rig.verify, "killed by signal 9 (Killed)", line, sizeof line);
        end_of(&rig.draft, "exit status 0", line, sizeof line);
        assert_non_null(strstr(line, "verify went away"));
        rig_close(&rig);
    }
}

static void a_store_killed_in_a_trial_is_reported_and_verify_ends(void **state)
{
    struct err err = {{0}};
    char line[400];

    start();
    assert_int_equal(long_trial(METHOD_MSPECKV, &err), ST_OK);
    sleep_ms(150);
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
    uint64_t begin;

    start();
    assert_int_equal(long_trial(METHOD_MSPECKV, &err), ST_OK);
    sleep_ms(150);
    begin = clock_now_ns();
    msg.request = 999999;
    assert_int_equal(chan_send(rig.control, "draft", &msg, &err), ST_OK);
    await_error("draft lost step");
    assert_true(clock_seconds_since(begin) < 5);
    assert_serves(METHOD_MSPECKV);
    rig_close(&rig);
}

/* ---- bytes that are no message ---- */

/* The orchestrator's socket without the checks of chan.h. */
struct raw {
    void *context, *socket;
};

static void raw_open(struct raw *raw)
{
    const int wait_ms = 10000, on = 1;
    char path[108], address[128];

    rundir_socket(rig.dir, "control", path);
    chan_close(rig.control);
    rig.control = NULL;
    raw->context = zmq_ctx_new();
    raw->socket = zmq_socket(raw->context, ZMQ_ROUTER);
    zmq_setsockopt(raw->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(raw->socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
    snprintf(address, sizeof address, "ipc://%s", path);
    assert_int_equal(zmq_bind(raw->socket, address), 0);
}

static void raw_close(struct raw *raw)
{
    const int zero = 0;

    zmq_setsockopt(raw->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_close(raw->socket);
    zmq_ctx_term(raw->context);
}

/* The workers connect again by themselves within the time allowed. */
static void raw_send(struct raw *raw, const char *peer, const void *bytes, size_t n)
{
    uint64_t begin = clock_now_ns();

    while (zmq_send(raw->socket, peer, strlen(peer), ZMQ_SNDMORE) < 0) {
        assert_true(clock_seconds_since(begin) < 10);
        sleep_ms(10);
    }
    assert_int_equal(zmq_send(raw->socket, bytes, n, 0), n);
}

static void raw_expect(struct raw *raw, const char *peer, uint64_t request, const char *words)
{
    static uint8_t bytes[4096];
    struct err err = {{0}};
    struct msg msg = {0};
    char name[32] = {0};
    int n;

    assert_true(zmq_recv(raw->socket, name, sizeof name - 1, 0) > 0);
    n = zmq_recv(raw->socket, bytes, sizeof bytes, 0);
    assert_true(n > 0);
    assert_string_equal(name, peer);
    assert_int_equal(msg_unpack(&msg, bytes, (size_t)n, &err), ST_OK);
    assert_int_equal(msg.verb, MSG_ERROR);
    assert_int_equal(msg.request, request);
    snprintf(err.text, sizeof err.text, "%.200s", msg.error.words);
    assert_line(&err, words);
}

/* A packed trial with one byte of its body changed. */
static void raw_send_trial(struct raw *raw, const char *peer, struct msg_trial *t, size_t at)
{
    struct msg msg = {.verb = MSG_TRIAL};
    uint8_t *bytes = NULL;
    struct err err = {{0}};
    size_t n = 0;

    msg.trial = *t;
    assert_int_equal(msg_pack(&msg, &bytes, &n, &err), ST_OK);
    assert_true(n > at);
    bytes[at] ^= 0x55;
    raw_send(raw, peer, bytes, n);
    free(bytes);
}

static void bytes_that_are_no_message_are_refused_under_number_0(void **state)
{
    const char *const peer[] = {"verify", "draft"};
    struct msg ping = {.verb = MSG_PING, .request = 77};
    struct err err = {{0}};
    uint8_t *bytes = NULL;
    struct raw raw;
    size_t n = 0;

    start();
    raw_open(&raw);
    assert_int_equal(msg_pack(&ping, &bytes, &n, &err), ST_OK);
    for (int i = 0; i < 2; i++) {
        struct msg_trial trial = good(METHOD_BASELINE);
        raw_send(&raw, peer[i], "what is this", 12);
        raw_expect(&raw, peer[i], 0, "bytes");
        /* All at once: the good one behind the bad ones is not overlooked. */
        raw_send(&raw, peer[i], "and this", 8);
        raw_send_trial(&raw, peer[i], &trial, MSG_HEADER_BYTES);
        raw_send(&raw, peer[i], bytes, n - 1);
        raw_send(&raw, peer[i], bytes, n);
        for (int k = 0; k < 3; k++)
            raw_expect(&raw, peer[i], 0, "");
        raw_expect(&raw, peer[i], 77, "does not serve PING");
    }
    free(bytes);
    raw_close(&raw);
    rig_close(&rig);
}

/* ---- models ---- */

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

/* ---- nothing stays ---- */

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
    struct err err = {{0}};
    int n_shm = count_entries("/dev/shm", "mspeckv");

    start();
    snprintf(path, sizeof path, "%s", rundir_path(rig.dir));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(long_trial(METHOD_MSPECKV, &err), ST_OK);
    sleep_ms(150);
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
        cmocka_unit_test(a_trial_with_impossible_settings_is_refused),
        cmocka_unit_test(a_prompt_that_cannot_be_computed_is_refused),
        cmocka_unit_test(a_prompt_too_large_for_the_arena_is_refused_and_its_room_comes_back),
        cmocka_unit_test(a_verb_that_is_not_served_is_refused),
        cmocka_unit_test(bytes_that_are_no_message_are_refused_under_number_0),
        cmocka_unit_test(a_draft_killed_in_a_trial_is_reported_and_another_takes_its_place),
        cmocka_unit_test(a_draft_that_dies_between_trials_is_replaced_too),
        cmocka_unit_test(verify_waiting_for_a_draft_that_never_comes_can_be_stopped),
        cmocka_unit_test(a_draft_ends_when_verify_is_killed),
        cmocka_unit_test(a_store_killed_in_a_trial_is_reported_and_verify_ends),
        cmocka_unit_test(a_prefill_in_the_middle_of_a_trial_ends_the_trial_at_once),
        cmocka_unit_test(a_draft_of_another_vocabulary_is_refused_by_one_clear_line),
        cmocka_unit_test(nothing_of_a_killed_run_stays_behind),
    };

    if (test_data_path(target, sizeof target, "hf-stories260K") == NULL ||
        test_data_path(draft, sizeof draft, "hf-llama2xs-300K") == NULL ||
        test_data_path(other, sizeof other, "hf-story-infinitensor") == NULL)
        test_skip_program("the real models are not there");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
