/*
 * sample.h - a small experiment and results with round numbers, for tests.
 */
#ifndef TESTS_ORCHESTRATOR_SAMPLE_H
#define TESTS_ORCHESTRATOR_SAMPLE_H

#include "tests/test_helpers.h"

#include "orchestrator/experiment.h"
#include "orchestrator/matrix.h"
#include "orchestrator/results.h"

/* Two documents, two seeds; a1 with all methods at two lengths, a2 with two. */
static const char sample_text[] = "name: sample\n"
                                  "target: t\n"
                                  "draft: d\n"
                                  "dataset: demo\n"
                                  "documents: 2\n"
                                  "seeds: [1, 2]\n"
                                  "link: {simulate_gbps: 0.25}\n"
                                  "gen_len: 100\n"
                                  "on_chip: 4\n"
                                  "studies:\n"
                                  "  - study: a1\n"
                                  "    title: Context scaling\n"
                                  "    prefill: [1000, 2000]\n"
                                  "    resident_layers: 4\n"
                                  "  - study: a2\n"
                                  "    title: Residency\n"
                                  "    methods: [mspeckv, mspeckv_kv_quant]\n"
                                  "    reference: mspeckv\n"
                                  "    prefill: 1000\n"
                                  "    resident_layers: [0, 4]\n";

static inline struct experiment *sample_parse(const char *text)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    if (experiment_parse(&e, "dir/sample.yaml", text, strlen(text), NULL, 0, &err) != ST_OK)
        fail_msg("%s", err.text);
    return e;
}

static inline struct matrix *sample_matrix(const struct experiment *e, uint32_t n_layers)
{
    struct matrix *m = NULL;
    struct err err = {{0}};
    if (matrix_open(&m, e, &err) != ST_OK || matrix_check(m, e, n_layers, &err) != ST_OK)
        fail_msg("%s", err.text);
    return m;
}

/* 100 tokens at `tok_per_s`, 10 rounds of which `accepted` proposals stood; of the
 * time 10 % draft, 20 % middle, 50 % verify, half of it waiting, 1 % messages. */
static inline struct msg_result sample_measured(double tok_per_s, uint32_t accepted)
{
    static int32_t tokens[100];
    return (struct msg_result){.n_tokens = 100,
                               .token = tokens,
                               .decode_s = 100 / tok_per_s,
                               .draft_s = 10 / tok_per_s,
                               .middle_s = 20 / tok_per_s,
                               .verify_s = 50 / tok_per_s,
                               .link_wait_s = 25 / tok_per_s,
                               .message_s = 1 / tok_per_s,
                               .rounds = 10,
                               .proposed = 80,
                               .accepted = accepted,
                               .link_bytes = 250000,
                               .kv_on_chip = 4000000,
                               .kv_tail = 128000,
                               .kv_staging = 512};
}

/* Throughputs [prefill 1000, 2000][method][seed][document]. */
static const double sample_rate[2][METHOD_COUNT][2][2] = {
    {{{10, 20}, {20, 30}}, {{20, 20}, {25, 25}}, {{40, 50}, {60, 65}}, {{80, 100}, {150, 100}}},
    {{{5, 5}, {5, 5}}, {{5, 10}, {10, 10}}, {{25, 25}, {25, 25}}, {{50, 50}, {50, 50}}}};

/* Names as files may have them: a comma, a quote, a bar. */
static const char *const sample_document[2] = {"one.txt", "two, \"|2\".txt"};

/* One result per trial of the sample's matrix; kv_quant without residency has
 * half the rate. The caller releases. */
static inline struct results sample_results(const struct experiment *e, const struct matrix *m)
{
    struct results r = {.n = m->n_trials, .result = calloc(m->n_trials, sizeof *r.result)};
    for (uint32_t i = 0; i < m->n_trials; i++) {
        const struct trial *t = &m->trial[i];
        uint32_t seed = t->seed == e->seed[0] ? 0 : 1;
        uint32_t length = t->setting.prefill == 1000 ? 0 : 1;
        double rate = sample_rate[length][t->method][seed][t->document];
        bool halved = t->method == METHOD_MSPECKV_KV_QUANT && t->effective_resident == 0;
        struct msg_result meas = sample_measured(halved ? rate / 2 : rate, 60 + 10 * seed);
        meas.effective_resident = t->effective_resident;
        result_init(&r.result[i], t, t->setting.prefill / 1000.0, &meas, NULL);
        snprintf(r.result[i].document_name, sizeof r.result[i].document_name, "%s",
                 sample_document[t->document]);
    }
    return r;
}

#endif
