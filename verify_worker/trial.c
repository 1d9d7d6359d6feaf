#include "verify_worker/trial.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/trace.h"
#include "verify_worker/trial_metrics.h"

struct trial {
    const struct trial_args *args;
    const struct msg_trial *set;
    const struct model_config *cfg;
    uint32_t resident;   /* effective */
    uint32_t max_tokens; /* prompt, generated, one pass */
    struct snapshot snapshot;
    struct transcoded sealed;
    struct placement *placement;
    struct target_cache *cache;
    struct retrieval *retrieval;
};

static bool speculates(const struct msg_trial *t)
{
    return t->method != METHOD_BASELINE;
}

static bool has_middle(const struct msg_trial *t)
{
    return t->method == METHOD_MSPECKV || t->method == METHOD_MSPECKV_KV_QUANT;
}

static enum status check_settings(const struct trial *t, struct err *err)
{
    const struct msg_trial *s = t->set;

    if (s->method >= METHOD_COUNT)
        return err_set(err, ST_INVALID, "method %u is not known", s->method);
    if (s->acceptance != ACCEPT_REJECTION && s->acceptance != ACCEPT_COUPLED)
        return err_set(err, ST_INVALID, "acceptance %u is not known", s->acceptance);
    if (s->on_chip > t->cfg->n_layers)
        return err_set(err, ST_INVALID, "on_chip %u is more than the model's %u layers", s->on_chip,
                       t->cfg->n_layers);
    if (s->staging_layers > t->cfg->n_layers)
        return err_set(err, ST_INVALID, "staging_layers %u is more than the model's %u layers",
                       s->staging_layers, t->cfg->n_layers);
    if (s->gen_len == 0 || s->gen_len > MSG_MAX_TOKENS)
        return err_set(err, ST_INVALID, "gen_len %u is not in 1..%u", s->gen_len,
                       (unsigned)MSG_MAX_TOKENS);
    if (speculates(s) && (s->gamma == 0 || s->gamma >= MSG_MAX_ROWS))
        return err_set(err, ST_INVALID, "gamma %u is not in 1..%u", s->gamma, MSG_MAX_ROWS - 1u);
    if (has_middle(s) && (s->gamma_draft == 0 || s->gamma_draft >= MSG_MAX_ROWS || s->chunk == 0))
        return err_set(err, ST_INVALID,
                       "gamma_draft %u is not in 1..%u, or chunk %u is not at least 1",
                       s->gamma_draft, MSG_MAX_ROWS - 1u, s->chunk);
    if (kv_format_ops((enum kv_format)s->kv_format) == NULL)
        return err_set(err, ST_INVALID, "KV format %u is not known", s->kv_format);
    if (s->kv_format == KV_F32 && t->args->base != KV_F32)
        return err_set(err, ST_INVALID, "f32 pages need a worker started with --kv-base f32");
    if (!(s->temperature >= 0 && isfinite(s->temperature)) || !(s->top_p > 0 && s->top_p <= 1))
        return err_set(err, ST_INVALID,
                       "temperature %g must be finite and >= 0, top_p %g in (0, 1]", s->temperature,
                       s->top_p);
    if (!(s->replay_accepted >= 0 && s->replay_accepted <= MSG_MAX_ROWS) ||
        !(s->replay_draft_rate >= 0 && s->replay_draft_rate <= 1))
        return err_set(err, ST_INVALID,
                       "a replayed acceptance of %g tokens is not in 0..%u, or its draft rate %g "
                       "not in 0..1",
                       s->replay_accepted, (unsigned)MSG_MAX_ROWS, s->replay_draft_rate);
    if (s->replay_accepted > 0 && !s->ignore_eos)
        return err_set(err, ST_INVALID, "a replayed acceptance needs ignore_eos");
    if (s->want_logits && t->args->logits_fd < 0)
        return err_set(err, ST_INVALID, "want_logits needs a worker started with --logits");
    return ST_OK;
}

static enum status open_retrieval(struct trial *t, struct err *err)
{
    struct retrieval_args args = {.dev = t->args->dev,
                                  .cfg = t->cfg,
                                  .snapshot = &t->snapshot,
                                  .cache = t->cache,
                                  .budget = t->set->budget,
                                  .chunk = t->set->chunk,
                                  .recent = t->set->gen_len + t->set->gamma + 1};

    args.memory = pair_retrieval(t->args->pair, &args.memory_bytes, &args.is_device_memory);
    return retrieval_open(&t->retrieval, &args, err);
}

static enum status trial_open(struct trial *t, struct err *err)
{
    const struct trial_args *a = t->args;
    const struct msg_trial *s = t->set;
    struct placement_args place = {.dev = a->dev,
                                   .store = a->store,
                                   .snapshot = &t->snapshot,
                                   .base = a->base,
                                   .sealed = (enum kv_format)s->kv_format,
                                   .on_chip = s->on_chip,
                                   .staging_layers = s->staging_layers};
    enum status st;

    st = check_settings(t, err);
    if (st == ST_OK)
        st = snapshot_acquire(&t->snapshot, a->store, s->snapshot, t->cfg, a->base, err);
    if (st == ST_OK && s->n_prompt != t->snapshot.head.n_tokens)
        st = err_set(err, ST_INVALID, "snapshot %llu holds %u tokens, the trial's prompt has %u",
                     (unsigned long long)s->snapshot, t->snapshot.head.n_tokens, s->n_prompt);
    if (st == ST_OK)
        st = model_config_check_length(t->cfg, (uint64_t)s->n_prompt + s->gen_len, err);
    if (st != ST_OK)
        return st;
    t->max_tokens = t->snapshot.head.n_tokens + s->gen_len + MSG_MAX_ROWS;
    if (s->method == METHOD_MSPECKV_KV_QUANT) {
        uint32_t below = t->cfg->n_layers - s->on_chip;
        t->resident = s->resident_layers < below ? s->resident_layers : below;
    }
    st =
        transcode_get(a->transcoded, a->dev, a->store, &t->snapshot, place.sealed, &t->sealed, err);
    place.sealed_seq = t->sealed.seq;
    place.resident = t->resident;
    place.max_pages = (t->max_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    if (st == ST_OK)
        st = placement_open(&t->placement, &place, err);
    if (st == ST_OK)
        st = target_cache_open(&t->cache, a->dev, a->model, t->placement, &t->snapshot,
                               t->max_tokens, err);
    if (st == ST_OK && speculates(s))
        st = pair_attach(a->pair, err);
    if (st == ST_OK && has_middle(s))
        st = open_retrieval(t, err);
    return st;
}

static void trial_close(struct trial *t)
{
    retrieval_close(t->retrieval);
    target_cache_close(t->cache);
    placement_close(t->placement);
    snapshot_release(&t->snapshot, t->args->store);
}

/* The allocator's own count. A device of its own holds the room of the retrieval
 * KV from the start, for the largest trial of a run: of it the trial's part counts. */
static uint64_t allocated(const struct trial *t)
{
    size_t room;
    bool is_device;
    uint64_t sum = 0;

    (void)pair_retrieval(t->args->pair, &room, &is_device);
    for (int use = DEVICE_KV_ON_CHIP; use <= DEVICE_KV_DRAFT; use++)
        sum += device_used(t->args->dev, (enum device_use)use);
    if (!is_device)
        return sum;
    return sum - room + (t->retrieval != NULL ? retrieval_bytes(t->retrieval) : 0);
}

/* Bytes by geometry beside the allocator's own count of the same uses: the
 * ledger that is printed must be what is really held. */
static enum status account(const struct trial *t, struct msg_result *out, struct err *err)
{
    struct placement_counts n = placement_counts(t->placement);
    struct msg_stats stats = {0};
    uint64_t sum;
    enum status st;

    out->kv_on_chip = n.on_chip_bytes;
    out->kv_resident = n.resident_bytes;
    out->kv_staging = n.staging_bytes;
    out->kv_tail = target_cache_tail_bytes(t->cache);
    out->kv_retrieval = t->retrieval != NULL ? retrieval_bytes(t->retrieval) : 0;
    out->kv_allocated = allocated(t);
    sum = out->kv_on_chip + out->kv_resident + out->kv_staging + out->kv_tail + out->kv_retrieval;
    if (sum != out->kv_allocated)
        return err_set(err, ST_DEVICE,
                       "the ledger counts %llu bytes of device KV, the allocator %llu",
                       (unsigned long long)sum, (unsigned long long)out->kv_allocated);
    out->kv_draft = speculates(t->set) ? pair_draft_kv_bytes(t->args->pair) : 0;
    out->kv_allocated += out->kv_draft;
    out->link_bytes = n.link_bytes;
    out->link_wait_s = (double)n.link_wait_ns * 1e-9;
    out->k_error_prompt = t->sealed.k_error;
    out->v_error_prompt = t->sealed.v_error;
    out->k_error_generated = transcode_relative_error(n.k_error);
    out->v_error_generated = transcode_relative_error(n.v_error);
    st = kv_client_stats(t->args->store, &stats, err);
    out->arena_used = stats.used_bytes;
    return st;
}

enum status trial_run(const struct trial_args *args, struct msg_result *out, struct err *err)
{
    struct trial t = {.args = args, .set = args->trial, .cfg = model_config(args->model)};
    struct decode_args decode = {.model = args->model,
                                 .trial = args->trial,
                                 .logits_fd = args->trial->want_logits ? args->logits_fd : -1,
                                 .rows = args->rows,
                                 .emit = args->emit,
                                 .emit_self = args->emit_self};
    struct msg_result result = {.trial = args->trial->trial};
    uint64_t begin = clock_now_ns(), n_messages = pair_n_messages(args->pair);
    uint64_t span = trace_begin(TRACE_TRIAL), part = trace_begin(TRACE_SET_UP);
    enum status st;

    st = trial_open(&t, err);
    trace_end(TRACE_SET_UP, part, args->trial->trial, args->trial->method);
    if (st == ST_OK) {
        result.setup_s = clock_seconds_since(begin);
        result.effective_resident = t.resident;
        result.n_selected = t.retrieval != NULL ? retrieval_n_selected(t.retrieval) : 0;
        decode.cache = t.cache;
        decode.first_logits = t.snapshot.logits;
        decode.prompt_hash = t.snapshot.head.prefix_hash;
        decode.pair = speculates(t.set) ? args->pair : NULL;
        decode.retrieval = t.retrieval;
        st = decode_run(&decode, &result, err);
    }
    if (st == ST_OK)
        st = account(&t, &result, err);
    result.n_messages = pair_n_messages(args->pair) - n_messages;
    trial_close(&t);
    trace_end(TRACE_TRIAL, span, args->trial->trial, args->trial->method);
    if (st != ST_OK) {
        free(result.token);
        return st;
    }
    trial_metrics_end(&result);
    *out = result;
    return ST_OK;
}
