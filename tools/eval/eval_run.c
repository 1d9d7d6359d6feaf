#include "tools/eval/eval_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/random_weights.h"
#include "kernels/attention.h"
#include "text/tokenizer.h"
#include "tools/eval/eval_score.h"
#include "tools/eval/eval_windows.h"

/* What arms fork from; at most the reference's, and one each for f16 and f32. */
enum { MAX_PROMPTS = 3 };

struct eval {
    const struct eval_options *opt;
    struct device *dev;
    struct model *model;
    struct eval_windows windows;
    struct eval_cache *prompt[MAX_PROMPTS]; /* of the window at hand */
    struct eval_cache_options prompt_options[MAX_PROMPTS];
    uint32_t n_prompts;
    struct eval_cache *ref;
    struct eval_arm arm[KV_FORMAT_COUNT]; /* values of all windows, one after the other */
    double *ref_nll;
};

static enum kv_format base_of(enum kv_format format)
{
    return format == KV_F32 ? KV_F32 : KV_F16;
}

/* The window's prompt in this form, computed at the first call. */
static enum status take_prompt(struct eval *e, const int32_t *token, enum kv_format base,
                               enum eval_turn turn, struct eval_cache **out, struct err *err)
{
    uint32_t n = e->windows.n_prefill, i = 0;
    struct eval_cache_options opt = {e->dev, e->model, base, turn, n + e->windows.n_scored};
    enum status st;

    while (i < e->n_prompts &&
           (e->prompt_options[i].base != base || e->prompt_options[i].turn != turn))
        i++;
    CHECK(i < MAX_PROMPTS);
    *out = e->prompt[i];
    if (i < e->n_prompts)
        return ST_OK;
    st = eval_cache_open(&e->prompt[i], &opt, err);
    if (st != ST_OK)
        return st;
    e->prompt_options[e->n_prompts++] = opt;
    for (uint32_t at = 0; st == ST_OK && at < n; at += EVAL_PREFILL_ROWS) {
        uint32_t left = n - at;
        st = eval_cache_pass(e->prompt[i], token + at,
                             (int)(left < EVAL_PREFILL_ROWS ? left : EVAL_PREFILL_ROWS), NULL, err);
    }
    *out = e->prompt[i];
    return st;
}

static void close_window(struct eval *e)
{
    eval_cache_close(e->ref);
    e->ref = NULL;
    for (uint32_t i = 0; i < e->opt->n_formats; i++) {
        eval_cache_close(e->arm[i].cache);
        e->arm[i].cache = NULL;
    }
    for (uint32_t i = 0; i < MAX_PROMPTS; i++) {
        eval_cache_close(e->prompt[i]);
        e->prompt[i] = NULL;
    }
    e->n_prompts = 0;
}

static enum status fork_arms(struct eval *e, const int32_t *token, struct err *err)
{
    struct eval_cache *prompt = NULL;
    enum status st = take_prompt(e, token, KV_F16, EVAL_TURN_NONE, &prompt, err);

    if (st == ST_OK)
        st = eval_cache_fork(&e->ref, prompt, false, KV_F16, err);
    for (uint32_t i = 0; st == ST_OK && i < e->opt->n_formats; i++) {
        enum kv_format format = e->opt->format[i];
        st = take_prompt(e, token, base_of(format), (enum eval_turn)e->opt->turn, &prompt, err);
        if (st == ST_OK)
            st = eval_cache_fork(&e->arm[i].cache, prompt, format != KV_F32, format, err);
    }
    return st;
}

static enum status score_window(struct eval *e, uint32_t window, struct eval_result *out,
                                struct err *err)
{
    const int32_t *token = eval_windows_tokens(&e->windows, window);
    size_t begin = (size_t)window * e->windows.n_scored;
    struct eval_arm arm[KV_FORMAT_COUNT];
    struct eval_score_args score = {.ref_nll = e->ref_nll + begin,
                                    .arm = arm,
                                    .n_arms = e->opt->n_formats,
                                    .token = token + e->windows.n_prefill,
                                    .n = e->windows.n_scored,
                                    .pass_rows = EVAL_PASS_ROWS,
                                    .n_vocab = model_config(e->model)->n_vocab};
    enum status st = fork_arms(e, token, err);

    score.ref = e->ref;
    for (uint32_t i = 0; i < e->opt->n_formats; i++)
        arm[i] = (struct eval_arm){e->arm[i].cache, e->arm[i].nll + begin, e->arm[i].kl + begin,
                                   e->arm[i].same_top + begin};
    if (st == ST_OK)
        st = eval_score(&score, err);
    for (uint32_t i = 0; st == ST_OK && i < e->opt->n_formats; i++) {
        double k, v;
        eval_cache_seal_error(e->arm[i].cache, &k, &v);
        out->line[i].k_error += k / e->windows.n_windows;
        out->line[i].v_error += v / e->windows.n_windows;
    }
    close_window(e);
    return st == ST_OK ? st : err_in(err, st, "window %u", window + 1);
}

/* Mean over layers and scored rows: the row at position t reads t / PAGE_TOKENS - 1
 * pages sealed, less what lies before the layer's window. */
static double sealed_share(const struct eval_windows *w, const struct model_config *cfg)
{
    double sum = 0.0;

    for (uint32_t l = 0; l < cfg->n_layers; l++)
        for (uint32_t i = 0; i < w->n_scored; i++) {
            uint32_t limit = w->n_prefill + i + 1, pages = (limit - 1) / PAGE_TOKENS;
            uint32_t first = attention_first(limit, model_config_window(cfg, l));
            uint32_t sealed = pages < 2 ? 0 : (pages - 1) * PAGE_TOKENS;
            sum += sealed > first ? (double)(sealed - first) / (limit - first) : 0.0;
        }
    return sum / w->n_scored / cfg->n_layers;
}

static enum status check_sealed(const struct eval *e, struct err *err)
{
    uint32_t last = e->windows.n_prefill + e->windows.n_scored - 1;

    for (uint32_t i = 0; i < e->opt->n_formats; i++)
        if (kv_format_is_quantized(e->opt->format[i]) && last < 2 * PAGE_TOKENS)
            return err_set(err, ST_INVALID,
                           "--prefill %u and --tokens %u end at position %u: no row before "
                           "position %d reads a quantized page, so there is nothing to compare",
                           e->windows.n_prefill, e->windows.n_scored, last, 2 * PAGE_TOKENS);
    return ST_OK;
}

static enum status open_all(struct eval *e, struct err *err)
{
    const struct eval_options *opt = e->opt;
    struct device_options device = {.n_threads = (int)opt->n_threads};
    struct eval_windows_args windows = {.text = opt->text,
                                        .demo_seed = (uint64_t)opt->demo_seed,
                                        .n_windows = (uint32_t)opt->n_windows,
                                        .n_prefill = (uint32_t)opt->n_prefill,
                                        .n_scored = (uint32_t)opt->n_scored};
    struct tokenizer *tok = NULL;
    enum status st = device_open(&e->dev, opt->device, &device, err);

    if (st == ST_OK)
        st = model_open(&e->model, e->dev, opt->target, err);
    if (st == ST_OK)
        st = tokenizer_open(&tok, opt->target, err);
    if (st == ST_OK) {
        windows.tok = tok;
        windows.n_vocab = model_config(e->model)->n_vocab;
        windows.max_positions = model_config(e->model)->max_positions;
        st = eval_windows_open(&e->windows, &windows, err);
    }
    tokenizer_close(tok);
    if (st == ST_OK)
        st = model_config_check_length(model_config(e->model),
                                       (uint64_t)e->windows.n_prefill + e->windows.n_scored, err);
    return st == ST_OK ? check_sealed(e, err) : st;
}

/* The note that `mspeckv synth` leaves; the model has checked the file. */
static bool has_random_weights(const char *target)
{
    char *path = mem_printf("%s/config.json", target);
    json_t *config = json_load_file(path, 0, NULL);
    bool is_random = json_object_get(config, RANDOM_WEIGHTS_KEY) != NULL;

    json_decref(config);
    free(path);
    return is_random;
}

static void summarize(const struct eval *e, struct eval_result *out)
{
    uint32_t W = e->windows.n_windows, n = e->windows.n_scored;
    size_t all = (size_t)W * n;

    out->ref_nll = fidelity_batch_means(e->ref_nll, W, n, EVAL_BATCH_TOKENS);
    for (uint32_t i = 0; i < e->opt->n_formats; i++) {
        const struct eval_arm *a = &e->arm[i];
        struct eval_line *line = &out->line[i];
        line->format = e->opt->format[i];
        line->nll = fidelity_batch_means(a->nll, W, n, EVAL_BATCH_TOKENS);
        for (size_t t = 0; t < all; t++)
            a->nll[t] -= e->ref_nll[t];
        line->excess = fidelity_batch_means(a->nll, W, n, EVAL_BATCH_TOKENS);
        line->kl = fidelity_batch_means(a->kl, W, n, EVAL_BATCH_TOKENS);
        line->same_top = fidelity_batch_means(a->same_top, W, n, EVAL_BATCH_TOKENS);
        line->kl_p99 = fidelity_quantile(a->kl, all, 0.99);
    }
}

enum status eval_run(const struct eval_options *opt, struct eval_result *out, struct err *err)
{
    struct eval e = {.opt = opt};
    enum status st = open_all(&e, err);
    size_t all = (size_t)e.windows.n_windows * e.windows.n_scored;

    memset(out, 0, sizeof *out);
    if (st == ST_OK) {
        snprintf(out->device, sizeof out->device, "%s", device_describe(e.dev));
        out->random_weights = has_random_weights(opt->target);
        out->n_text = e.windows.n_text;
        out->n_windows = e.windows.n_windows;
        out->n_prefill = e.windows.n_prefill;
        out->n_scored = e.windows.n_scored;
        out->n_batches = out->n_windows * fidelity_batches(out->n_scored, EVAL_BATCH_TOKENS);
        out->sealed_share = sealed_share(&e.windows, model_config(e.model));
    }
    e.ref_nll = mem_array(all, sizeof *e.ref_nll);
    for (uint32_t i = 0; i < opt->n_formats; i++) {
        e.arm[i].nll = mem_array(all, sizeof(double));
        e.arm[i].kl = mem_array(all, sizeof(double));
        e.arm[i].same_top = mem_array(all, sizeof(double));
    }
    for (uint32_t w = 0; st == ST_OK && w < e.windows.n_windows; w++)
        st = score_window(&e, w, out, err);
    if (st == ST_OK)
        summarize(&e, out);
    for (uint32_t i = 0; i < opt->n_formats; i++) {
        free(e.arm[i].nll);
        free(e.arm[i].kl);
        free(e.arm[i].same_top);
    }
    free(e.ref_nll);
    eval_windows_release(&e.windows);
    model_close(e.model);
    device_close(e.dev);
    return st;
}
