#include "orchestrator/generate_options.h"

#include <stdio.h>
#include <string.h>

#include "common/args.h"
#include "kernels/kv_format.h"
#include "orchestrator/setting.h"

enum { MAX_SPECS = 32, STANDARD_BUDGET = 4096 };

/* Words that are read after the table: their defaults depend on other options,
 * so that --help must not print one. */
struct words {
    const char *method, *kv_format, *prefill, *budget, *on_chip, *resident_layers;
};

struct table {
    struct arg_spec spec[MAX_SPECS];
    size_t n;
};

static void add(struct table *t, struct arg_spec spec)
{
    t->spec[t->n++] = spec;
}

static void add_text(struct table *t, const char *name, const char **out, const char *value,
                     const char *help)
{
    add(t, (struct arg_spec){
               .name = name, .kind = ARG_STRING, .out = out, .value = value, .help = help});
}

/* Ranges are those of experiment files. */
static void add_count(struct table *t, const char *name, int64_t *out, const char *key,
                      const char *help)
{
    const struct setting_key *k = setting_key_find(key);

    add(t, (struct arg_spec){.name = name,
                             .kind = ARG_INT,
                             .out = out,
                             .min = k->min,
                             .max = k->max,
                             .value = "N",
                             .help = help});
}

static void add_real(struct table *t, const char *name, double *out, double min, double max,
                     const char *help)
{
    add(t, (struct arg_spec){.name = name,
                             .kind = ARG_REAL,
                             .out = out,
                             .min = min,
                             .max = max,
                             .value = "X",
                             .help = help});
}

static void fill_inputs(struct table *t, struct generate_options *o, struct words *w)
{
    add_text(t, "target", &o->target, "DIR", "checkpoint of the target model (required)");
    add_text(t, "draft", &o->draft, "DIR", "checkpoint of the draft model");
    add_text(t, "method", &w->method, "NAME",
             "baseline, vanilla_specdec, mspeckv or mspeckv_kv_quant; mspeckv with --draft, else "
             "baseline");
    add_text(t, "prompt", &o->prompt, "TEXT", "the prompt; BOS alone without one");
    add_text(t, "prompt-file", &o->prompt_file, "FILE", "the prompt, from a text file");
    add(t, (struct arg_spec){.name = "chat",
                             .kind = ARG_FLAG,
                             .out = &o->chat,
                             .help = "ask it as the target's chat template does"});
    add_text(t, "system", &o->system, "TEXT", "with --chat: the system text; else the template's");
    add_text(t, "pattern", &o->pattern, "REGEX", "how text is split, for tiktoken ranks unknown");
    add_text(t, "prefill", &w->prefill, "N", "keep the first N tokens of the prompt, BOS counted");
    add_count(t, "gen-len", &o->gen_len, "gen_len", "tokens to generate");
    add(t, (struct arg_spec){.name = "ignore-eos",
                             .kind = ARG_FLAG,
                             .out = &o->ignore_eos,
                             .help = "go on after an end-of-text token"});
    add(t, (struct arg_spec){.name = "json",
                             .kind = ARG_FLAG,
                             .out = &o->json,
                             .help = "print one JSON object instead of text"});
}

static void fill_decoding(struct table *t, struct generate_options *o, struct words *w)
{
    add_real(t, "temperature", &o->temperature, 0, 100, "0: the most likely token");
    add_real(t, "top-p", &o->top_p, 1e-6, 1, "share of the probability that is sampled from");
    add(t, (struct arg_spec){.name = "seed",
                             .kind = ARG_INT,
                             .out = &o->seed,
                             .min = 0,
                             .max = 0x1p63,
                             .value = "S",
                             .help = "of the random numbers"});
    add(t, (struct arg_spec){.name = "acceptance",
                             .kind = ARG_CHOICE,
                             .out = &o->acceptance,
                             .choices = "rejection|coupled",
                             .help = "coupled gives the baseline's tokens for every seed"});
    add_count(t, "gamma", &o->gamma, "gamma", "tokens proposed per verification");
    add_count(t, "gamma-draft", &o->gamma_draft, "gamma_draft", "draft tokens per middle step");
    add_text(t, "budget", &w->budget, "N",
             "prompt tokens of the middle level; min(4096, prompt) if absent");
    add_count(t, "chunk", &o->chunk, "chunk", "tokens of a retrieval chunk");
}

static void fill_placement(struct table *t, struct generate_options *o, struct words *w)
{
    add_text(t, "on-chip", &w->on_chip, "N",
             "layers with unquantized KV on the device; half of them if absent");
    add_text(t, "resident-layers", &w->resident_layers, "N",
             "layers with quantized KV on the device; the rest if absent");
    add_text(t, "kv-format", &w->kv_format, "NAME",
             "f32, f16, int8 or int4; int8 with mspeckv_kv_quant, else f16");
    add_text(t, "device", &o->device, "D", "of both workers: cpu:N or cuda:N");
    add_real(t, "link-gbps", &o->link_gbps, 0, 1e6, "simulated link in GB/s; 0: none");
    add(t, (struct arg_spec){.name = "threads",
                             .kind = ARG_INT,
                             .out = &o->threads,
                             .max = 1024,
                             .value = "N",
                             .help = "per worker; 0: all CPUs"});
    add_text(t, "logits", &o->logits, "FILE", "write the f32 logits of every token");
    add_text(t, "log-dir", &o->log_dir, "DIR", "keep the processes' logs here");
    add_text(t, "trace", &o->trace, "FILE", "write a timeline of all processes, for Perfetto");
}

static enum status read_count(const char *name, const char *key, const char *text, int64_t *out,
                              struct err *err)
{
    const struct setting_key *k = setting_key_find(key);
    enum status st;

    if (text == NULL)
        return ST_OK;
    st = args_int(text, (int64_t)k->min, (int64_t)k->max, out, err);
    return st == ST_OK ? st : err_in(err, st, "option --%s", name);
}

static enum status read_format(struct generate_options *o, const char *text, struct err *err)
{
    o->kv_format = o->method == METHOD_MSPECKV_KV_QUANT ? KV_INT8 : KV_F16;
    if (text == NULL)
        return ST_OK;
    for (uint32_t f = 0; f < KV_FORMAT_COUNT; f++) {
        if (strcmp(text, setting_format_name(f)) != 0)
            continue;
        o->kv_format = f;
        return ST_OK;
    }
    return err_set(err, ST_INVALID, "option --kv-format: '%.60s' is not one of f32|f16|int8|int4",
                   text);
}

static enum status read_words(struct generate_options *o, const struct words *w, struct err *err)
{
    enum status st = ST_OK;

    o->method = o->draft != NULL ? METHOD_MSPECKV : METHOD_BASELINE;
    if (w->method != NULL && method_parse(w->method, &o->method, err) != ST_OK)
        return err_in(err, ST_INVALID, "option --method");
    st = read_format(o, w->kv_format, err);
    if (st == ST_OK)
        st = read_count("prefill", "prefill", w->prefill, &o->prefill, err);
    if (st == ST_OK)
        st = read_count("budget", "budget", w->budget, &o->budget, err);
    if (st == ST_OK)
        st = read_count("on-chip", "on_chip", w->on_chip, &o->on_chip, err);
    if (st == ST_OK)
        st = read_count("resident-layers", "resident_layers", w->resident_layers,
                        &o->resident_layers, err);
    return st;
}

static enum status check(const struct generate_options *o, struct err *err)
{
    if (o->target == NULL)
        return err_set(err, ST_INVALID, "--target is missing: a checkpoint directory");
    if (o->prompt != NULL && o->prompt_file != NULL)
        return err_set(err, ST_INVALID, "--prompt and --prompt-file exclude each other");
    if (o->system != NULL && !o->chat)
        return err_set(err, ST_INVALID, "--system is for --chat");
    if (o->method != METHOD_BASELINE && o->draft == NULL)
        return err_set(err, ST_INVALID, "method %s needs --draft DIR", method_name(o->method));
    return ST_OK;
}

enum status generate_options_parse(struct generate_options *out, int argc, char **argv,
                                   struct err *err)
{
    const struct setting s = setting_standard();
    struct generate_options o = {.prefill = -1,
                                 .budget = -1,
                                 .on_chip = -1,
                                 .resident_layers = -1,
                                 .device = "cpu:0",
                                 .gen_len = s.gen_len,
                                 .gamma = s.gamma,
                                 .gamma_draft = s.gamma_draft,
                                 .chunk = s.chunk,
                                 .seed = 1,
                                 .temperature = s.temperature,
                                 .top_p = s.top_p,
                                 .acceptance = ACCEPT_REJECTION};
    struct table table = {.n = 0};
    struct words words = {.method = NULL};
    enum status st;

    fill_inputs(&table, &o, &words);
    fill_decoding(&table, &o, &words);
    fill_placement(&table, &o, &words);
    st = args_parse(table.spec, table.n, argc, argv, NULL, err);
    if (st == ST_CLOSED)
        args_help(stdout, "mspeckv generate", "--target DIR [options]", table.spec, table.n);
    if (st == ST_OK)
        st = read_words(&o, &words, err);
    if (st == ST_OK)
        st = check(&o, err);
    if (st == ST_OK)
        *out = o;
    return st;
}

static uint32_t given_or(int64_t given, uint32_t standard)
{
    return given >= 0 ? (uint32_t)given : standard;
}

enum status generate_options_trial(const struct generate_options *o, uint32_t n_prompt,
                                   uint32_t n_layers, struct msg_trial *out, struct err *err)
{
    uint32_t on_chip = given_or(o->on_chip, n_layers / 2), rest = n_layers - on_chip;
    uint32_t budget = n_prompt < STANDARD_BUDGET ? n_prompt : STANDARD_BUDGET;

    if (on_chip > n_layers)
        return err_set(err, ST_INVALID,
                       "--on-chip %u: the target has %u layers; 0 .. %u would be right", on_chip,
                       n_layers, n_layers);
    *out = (struct msg_trial){.n_prompt = n_prompt,
                              .method = o->method,
                              .acceptance = (uint32_t)o->acceptance,
                              .kv_format = o->kv_format,
                              .gamma = (uint32_t)o->gamma,
                              .gamma_draft = (uint32_t)o->gamma_draft,
                              .budget = given_or(o->budget, budget),
                              .chunk = (uint32_t)o->chunk,
                              .on_chip = on_chip,
                              .gen_len = (uint32_t)o->gen_len,
                              .temperature = o->temperature,
                              .top_p = o->top_p,
                              .seed = (uint64_t)o->seed,
                              .ignore_eos = o->ignore_eos,
                              .stream = !o->json,
                              .want_logits = o->logits != NULL};
    out->resident_layers = given_or(o->resident_layers, rest);
    if (out->resident_layers > rest)
        out->resident_layers = rest;
    return ST_OK;
}
