/*
 * generate_options.h - the command line of `mspeckv generate`, checked.
 */
#ifndef ORCHESTRATOR_GENERATE_OPTIONS_H
#define ORCHESTRATOR_GENERATE_OPTIONS_H

#include "common/msg.h"
#include "common/status.h"

/* Strings borrow argv. -1: not given. */
struct generate_options {
    const char *target, *draft;
    const char *prompt, *prompt_file, *system;
    const char *pattern; /* of tiktoken ranks that are not known */
    enum method method;
    int64_t prefill, budget, on_chip, resident_layers;
    int64_t gen_len, gamma, gamma_draft, chunk, seed, threads;
    double temperature, top_p, link_gbps;
    uint32_t kv_format;
    int acceptance; /* enum acceptance */
    bool ignore_eos, json, chat;
    const char *device; /* of both workers */
    const char *logits, *log_dir, *trace;
};

/* ST_CLOSED: --help was asked for and printed. ST_INVALID: one line. */
enum status generate_options_parse(struct generate_options *out, int argc, char **argv,
                                   struct err *err);

/* The decode that they ask for, defaults filled in: half the layers on chip,
 * the rest resident, budget min(4096, prompt). ST_INVALID: on_chip over n_layers. */
enum status generate_options_trial(const struct generate_options *o, uint32_t n_prompt,
                                   uint32_t n_layers, struct msg_trial *out, struct err *err);

#endif
