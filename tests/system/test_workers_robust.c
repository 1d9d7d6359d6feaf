/*
 * Odd and hostile messages to real workers are answered by one clear line, and
 * the workers go on.
 */
#include <zmq.h>

#include "tests/system/robust.h"

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

/* The orchestrator's socket without the checks of chan.h. */
struct raw {
    void *context, *socket;
};

static void raw_open(struct raw *raw)
{
    const int wait_ms = PATIENCE_MS, on = 1;
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
        assert_true(clock_seconds_since(begin) * 1e3 < PATIENCE_MS);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trial_with_impossible_settings_is_refused),
        cmocka_unit_test(a_prompt_that_cannot_be_computed_is_refused),
        cmocka_unit_test(a_prompt_too_large_for_the_arena_is_refused_and_its_room_comes_back),
        cmocka_unit_test(a_verb_that_is_not_served_is_refused),
        cmocka_unit_test(bytes_that_are_no_message_are_refused_under_number_0),
    };

    find_models();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
