#include "tools/eval/eval_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/whole_file.h"

const char eval_report_turns[] = "none|hadamard|signed-hadamard";

static const char *const TURN[] = {"none", "hadamard", "signed-hadamard"};

/* Relative difference of two perplexities from the mean difference of nll; its
 * error to first order. */
static double relative(struct fidelity_mean excess)
{
    return expm1(excess.mean);
}

static double relative_error(struct fidelity_mean excess)
{
    return exp(excess.mean) * excess.error;
}

struct error_text {
    char text[32];
};

/* "-" where one batch is all there is. */
static struct error_text fixed(double x, int digits)
{
    struct error_text t = {"-"};

    if (isfinite(x))
        snprintf(t.text, sizeof t.text, "%.*f", digits, x);
    return t;
}

static struct error_text scientific(double x)
{
    struct error_text t = {"-"};

    if (isfinite(x))
        snprintf(t.text, sizeof t.text, "%.1e", x);
    return t;
}

static void print_line(FILE *to, const struct eval_line *l)
{
    fprintf(to, "%-5s %8.6g  %+9.5f ± %-7s  %8.2e ± %-7s  %8.2e  %6.2f ± %s\n",
            kv_format_ops(l->format)->name, exp(l->nll.mean), 100 * relative(l->excess),
            fixed(100 * relative_error(l->excess), 5).text, l->kl.mean,
            scientific(l->kl.error).text, l->kl_p99, 100 * l->same_top.mean,
            fixed(100 * l->same_top.error, 2).text);
}

/* A window shorter than a batch is one. */
static uint32_t batch_tokens(const struct eval_result *r)
{
    return r->n_scored < EVAL_BATCH_TOKENS ? r->n_scored : EVAL_BATCH_TOKENS;
}

void eval_report_print(FILE *to, const struct eval_options *opt, const struct eval_result *r)
{
    fprintf(to, "%s%s on %s\n", opt->target, r->random_weights ? " (random weights)" : "",
            r->device);
    if (r->n_text == 0)
        fprintf(to, "demo texts from seed %lld: ", (long long)opt->demo_seed);
    else
        fprintf(to, "%s, %u tokens: ", opt->text, r->n_text);
    fprintf(to, "%u x (%u exact, then %u scored)\n", r->n_windows, r->n_prefill, r->n_scored);
    fprintf(to, "%d rows a pass; a row reads %.0f %% of its tokens from sealed pages (mean)\n",
            EVAL_PASS_ROWS, 100 * r->sealed_share);
    if (opt->turn != EVAL_TURN_NONE)
        fprintf(to, "K of every format turned after RoPE: %s\n", TURN[opt->turn]);
    fprintf(to, "f16 KV: perplexity %.6g ± %s over %u tokens\n", exp(r->ref_nll.mean),
            fixed(exp(r->ref_nll.mean) * r->ref_nll.error, 3).text, r->n_windows * r->n_scored);
    if (r->n_batches > 1)
        fprintf(to, "± standard error by batch means, %u batches of %u tokens or more\n\n",
                r->n_batches, batch_tokens(r));
    else
        fprintf(to, "± -: one batch tells no error; more windows or %d tokens would\n\n",
                2 * EVAL_BATCH_TOKENS);
    fprintf(to, "%-5s %8s  %19s  %18s  %8s  %13s\n", "KV", "ppl", "against f16, %",
            "KL(f16||KV), nats", "KL p99", "same top-1, %");
    for (uint32_t i = 0; i < opt->n_formats; i++)
        print_line(to, &r->line[i]);
    fprintf(to, "\n");
    for (uint32_t i = 0; i < opt->n_formats; i++)
        if (!isnan(r->line[i].k_error))
            fprintf(to, "%s: sealing changes K by %.3f %%, V by %.3f %% (rms)\n",
                    kv_format_ops(r->line[i].format)->name, 100 * r->line[i].k_error,
                    100 * r->line[i].v_error);
}

static json_t *real_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *mean_json(struct fidelity_mean m)
{
    return json_pack("{s:o, s:o}", "mean", real_or_null(m.mean), "standard_error",
                     real_or_null(m.error));
}

static json_t *line_json(const struct eval_line *l)
{
    struct fidelity_mean ratio = {relative(l->excess), relative_error(l->excess)};

    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kv_format",
                     kv_format_ops(l->format)->name, "perplexity", real_or_null(exp(l->nll.mean)),
                     "nll", mean_json(l->nll), "perplexity_excess", mean_json(ratio), "kl",
                     mean_json(l->kl), "kl_p99", real_or_null(l->kl_p99), "same_top",
                     mean_json(l->same_top), "k_error", real_or_null(l->k_error), "v_error",
                     real_or_null(l->v_error));
}

/* NULL where a name of the command line is not UTF-8. */
static json_t *result_json(const struct eval_options *opt, const struct eval_result *r)
{
    json_t *lines = json_array();
    bool is_demo = r->n_text == 0;

    for (uint32_t i = 0; i < opt->n_formats; i++)
        CHECK(json_array_append_new(lines, line_json(&r->line[i])) == 0);
    return json_pack(
        "{s:i, s:s, s:b, s:s, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:i, s:f, s:s, s:I, s:i, s:o, "
        "s:o}",
        "eval_version", 1, "target", opt->target, "random_weights", (int)r->random_weights, "text",
        opt->text, "demo_seed", is_demo ? json_integer(opt->demo_seed) : json_null(), "device",
        r->device, "text_tokens", is_demo ? json_null() : json_integer(r->n_text), "windows",
        (json_int_t)r->n_windows, "prefill", (json_int_t)r->n_prefill, "tokens",
        (json_int_t)r->n_scored, "scored_tokens", (json_int_t)r->n_windows * r->n_scored,
        "pass_rows", EVAL_PASS_ROWS, "sealed_share", r->sealed_share, "k_rotation", TURN[opt->turn],
        "batches", (json_int_t)r->n_batches, "batch_tokens", (int)batch_tokens(r), "reference_nll",
        mean_json(r->ref_nll), "formats", lines);
}

enum status eval_report_write(const char *path, const struct eval_options *opt,
                              const struct eval_result *r, struct err *err)
{
    json_t *all = result_json(opt, r);
    char *text = all != NULL ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    enum status st;

    json_decref(all);
    if (text == NULL)
        return err_set(err, ST_INVALID, "--json: --target and --text must be UTF-8");
    text = mem_resize(text, strlen(text) + 2, 1);
    strcat(text, "\n");
    st = whole_file_write(path, text, strlen(text), err);
    free(text);
    return st;
}
