#include "orchestrator/roofline.h"

#include <math.h>

#include "kernels/kv_format.h"

enum { DEFAULT_SLOTS = 2 }; /* of the staging ring, in layers */

/* Passes of one model: their number, their rows, and the tokens a row sees. */
struct passes {
    double n, n_rows, context;
};

static double token_bytes(const struct ceilings_model *m, enum kv_format format)
{
    struct kv_shape shape = {(uint32_t)m->n_kv_heads, (uint32_t)m->head_dim};

    return (double)kv_page_bytes(format, shape) / PAGE_TOKENS;
}

static double seen(const struct ceilings_model *m, double context)
{
    return m->window > 0 ? fmin(m->window, context) : context;
}

/* `kv_bytes` is what a token of context has in all layers together. */
static struct roofline_phase phase_of(const struct ceilings *c, const struct ceilings_model *m,
                                      struct passes p, double kv_bytes)
{
    double bytes = p.n * (m->pass_bytes + p.context * kv_bytes);
    double attention = 4 * p.context * m->n_heads * m->head_dim * m->n_layers;

    return (struct roofline_phase){.at = {[ROOFLINE_MEMORY] = bytes / (c->memory_gbps * 1e9),
                                          [ROOFLINE_COMPUTE] = p.n_rows * (m->row_ops + attention) /
                                                               (c->compute_gflops * 1e9)}};
}

static double context_of(const struct result *r)
{
    return r->setting.prefill + r->meas.n_tokens / 2.0;
}

static struct roofline_phase draft_of(const struct result *r)
{
    const struct ceilings_model *m = &r->ceilings.draft;
    const struct passes p = {r->meas.draft_proposed, r->meas.draft_proposed,
                             seen(m, context_of(r))};

    return phase_of(&r->ceilings, m, p, m->n_layers * token_bytes(m, KV_F16));
}

static struct roofline_phase middle_of(const struct result *r)
{
    const struct ceilings_model *m = &r->ceilings.target;
    double n = r->meas.middle_steps;
    const struct passes p = {n, n + r->meas.draft_proposed,
                             seen(m, r->meas.n_selected + r->meas.n_tokens / 2.0)};

    if (r->meas.middle_steps == 0)
        return (struct roofline_phase){{0}};
    return phase_of(&r->ceilings, m, p, m->n_layers * token_bytes(m, KV_F16));
}

static struct roofline_phase verify_of(const struct result *r)
{
    const struct ceilings_model *m = &r->ceilings.target;
    enum kv_format sealed = (enum kv_format)r->setting.kv_format;
    enum kv_format base = sealed == KV_F32 ? KV_F32 : KV_F16;
    double on_chip = fmin(r->setting.on_chip, m->n_layers);
    double kv_bytes =
        on_chip * token_bytes(m, base) + (m->n_layers - on_chip) * token_bytes(m, sealed);
    const struct passes p = {r->meas.rounds, (double)r->meas.rounds + r->meas.proposed,
                             seen(m, context_of(r))};

    return phase_of(&r->ceilings, m, p, kv_bytes);
}

/* What is left of the link's time for the pass, after what the ring's slots may
 * take in while drafting goes on. */
static double link_of(const struct result *r, double drafting)
{
    const struct ceilings *c = &r->ceilings;
    double offloaded = c->target.n_layers - r->setting.on_chip - r->meas.effective_resident;
    double slots = r->setting.staging_layers > 0 ? r->setting.staging_layers : DEFAULT_SLOTS;
    double all;

    if (!(c->link_gbps > 0) || offloaded <= 0)
        return 0;
    all = (double)r->meas.link_bytes / (c->link_gbps * 1e9);
    return all - fmin(all * fmin(1, slots / offloaded), drafting);
}

bool roofline_of(const struct result *r, struct roofline *out)
{
    const struct ceilings *c = &r->ceilings;
    bool speculates = r->method != METHOD_BASELINE;
    struct roofline found = {.draft = {{0}}};
    double drafting;

    if (!r->ok || r->meas.rounds == 0 || !(c->memory_gbps > 0) || !(c->compute_gflops > 0) ||
        !(c->target.pass_bytes > 0) || (speculates && !(c->draft.pass_bytes > 0)))
        return false;
    if (speculates) {
        found.draft = draft_of(r);
        found.middle = middle_of(r);
    }
    found.verify = verify_of(r);
    drafting = roofline_phase_time(&found.draft, NULL) + roofline_phase_time(&found.middle, NULL);
    found.verify.at[ROOFLINE_LINK] = link_of(r, drafting);
    *out = found;
    return true;
}

static void add_phase(struct roofline_phase *sum, const struct roofline_phase *more)
{
    for (int i = 0; i < ROOFLINE_BOUNDS; i++)
        sum->at[i] += more->at[i];
}

void roofline_add(struct roofline *sum, const struct roofline *more)
{
    add_phase(&sum->draft, &more->draft);
    add_phase(&sum->middle, &more->middle);
    add_phase(&sum->verify, &more->verify);
}

void roofline_scale(struct roofline *r, double by)
{
    for (int i = 0; i < ROOFLINE_BOUNDS; i++) {
        r->draft.at[i] *= by;
        r->middle.at[i] *= by;
        r->verify.at[i] *= by;
    }
}

double roofline_phase_time(const struct roofline_phase *phase, enum roofline_bound *which)
{
    enum roofline_bound most = ROOFLINE_MEMORY;

    for (int i = 0; i < ROOFLINE_BOUNDS; i++)
        if (phase->at[i] > phase->at[most])
            most = (enum roofline_bound)i;
    if (which != NULL)
        *which = most;
    return phase->at[most];
}

double roofline_time(const struct roofline *r)
{
    return roofline_phase_time(&r->draft, NULL) + roofline_phase_time(&r->middle, NULL) +
           roofline_phase_time(&r->verify, NULL);
}

enum roofline_bound roofline_bound_of(const struct roofline *r)
{
    const struct roofline_phase *const phase[] = {&r->draft, &r->middle, &r->verify};
    enum roofline_bound bound = ROOFLINE_MEMORY, of_most = ROOFLINE_MEMORY;
    double most = -INFINITY;

    for (int i = 0; i < 3; i++) {
        double time = roofline_phase_time(phase[i], &bound);
        if (time > most) {
            most = time;
            of_most = bound;
        }
    }
    return of_most;
}

const char *roofline_bound_name(enum roofline_bound bound)
{
    static const char *const names[ROOFLINE_BOUNDS] = {
        [ROOFLINE_MEMORY] = "memory", [ROOFLINE_COMPUTE] = "compute", [ROOFLINE_LINK] = "link"};

    return names[bound];
}
