/*
 * robust.h - the rig of the robustness tests: one prompt, one good trial of every
 * method, and how an answer must look.
 */
#ifndef TESTS_SYSTEM_ROBUST_H
#define TESTS_SYSTEM_ROBUST_H

#include "common/clock.h"
#include "kernels/kv_format.h"
#include "tests/system/rig.h"
#include "tests/test_helpers.h"

enum { N_PROMPT = 40, GEN = 6 };
enum { PATIENCE_MS = 60000 }; /* for what happens at once on a machine that is not busy */

static char target[512], draft[512], other[512];
static struct rig_options options = {.target = target, .draft = draft, .retrieval_tokens = "65536"};
static struct rig rig;
static uint64_t snapshot;
static int32_t prompt[N_PROMPT];

static inline struct msg_trial good(enum method method)
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
static inline void assert_serves(enum method method)
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
static inline void assert_line(const struct err *err, const char *words)
{
    if (strstr(err->text, words) == NULL || strchr(err->text, '\n') != NULL)
        fail_msg("'%s' does not say '%s' in one line", err->text, words);
}

/* Processes, and a prompt under number 1. */
static inline void start(void)
{
    struct err err = {{0}};

    for (int i = 0; i < N_PROMPT; i++)
        prompt[i] = i == 0 ? 1 : 260 + (i * 37) % 240;
    if (rig_open(&rig, &options, &err) != ST_OK ||
        rig_prefill(&rig, 1, prompt, N_PROMPT, &snapshot, &err) != ST_OK)
        fail_msg("rig: %s", err.text);
}

static inline void sleep_ms(int ms)
{
    clock_sleep_until(clock_now_ns() + (uint64_t)ms * 1000000);
}

/* `other` has another vocabulary. */
static inline void find_models(void)
{
    if (test_data_path(target, sizeof target, "hf-stories260K") == NULL ||
        test_data_path(draft, sizeof draft, "hf-llama2xs-300K") == NULL ||
        test_data_path(other, sizeof other, "hf-story-infinitensor") == NULL)
        test_skip_program("the real models are not there");
}

#endif
