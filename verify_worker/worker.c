#include "verify_worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "metrics/metric.h"
#include "verify_worker/compute_rate.h"
#include "verify_worker/prefill.h"
#include "verify_worker/trial.h"

struct worker {
    struct worker_options opt;
    struct rundir *dir;
    struct device *dev;
    struct model *model;
    struct kv_client *store;
    struct pair *pair;
    struct chan *control;
    struct transcode_set transcoded;
    enum kv_format base;
    float *rows; /* [MSG_MAX_ROWS, n_vocab] laws of a pass; registered with the device */
    void *arena; /* the store's, once it is registered with the device */
    int logits_fd;
    double memory_gbps, device_link_gbps, compute_gflops;
    uint64_t request; /* being served: answers carry its number */
    bool quit;
};

/* A ratio needs the memory bandwidth first, so the device is opened twice. */
static enum status open_device(struct worker *w, struct err *err)
{
    struct device_options opt = {.n_threads = (int)w->opt.n_threads, .link_gbps = w->opt.link_gbps};
    enum status st;

    st = device_open(&w->dev, w->opt.device, &opt, err);
    if (st == ST_OK)
        st = device_measure_read(w->dev, &w->memory_gbps, err);
    if (st == ST_OK)
        st = compute_rate_measure(w->dev, &w->compute_gflops, err);
    if (st == ST_OK && !device_shares_host(w->dev))
        st = device_measure_link(w->dev, &w->device_link_gbps, err);
    if (st != ST_OK || !(w->opt.link_ratio > 0))
        return st;
    device_close(w->dev);
    w->dev = NULL;
    opt.link_gbps = w->memory_gbps / w->opt.link_ratio;
    return device_open(&w->dev, w->opt.device, &opt, err);
}

static enum status open_logits(struct worker *w, struct err *err)
{
    w->logits_fd = -1;
    if (w->opt.logits_path == NULL)
        return ST_OK;
    w->logits_fd = open(w->opt.logits_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->logits_fd < 0)
        return err_set(err, ST_IO, "open %s: %s", w->opt.logits_path, strerror(errno));
    return ST_OK;
}

static enum status open_rows(struct worker *w, struct err *err)
{
    size_t bytes = (size_t)MSG_MAX_ROWS * model_config(w->model)->n_vocab * sizeof *w->rows;
    float *rows = mem_aligned(4096, (bytes + 4095) / 4096 * 4096);
    enum status st = device_register_host(w->dev, rows, bytes, err);

    if (st == ST_OK)
        w->rows = rows;
    else
        free(rows);
    return st;
}

static enum status send_ready(struct worker *w, double load_s, struct err *err)
{
    const struct model_config *cfg = model_config(w->model);
    struct msg msg = {.verb = MSG_READY};
    int node = device_numa_node(w->dev);

    msg.ready = (struct msg_ready){.weight_bytes = model_weight_bytes(w->model),
                                   .n_layers = cfg->n_layers,
                                   .n_vocab = cfg->n_vocab,
                                   .n_kv_heads = cfg->n_kv_heads,
                                   .head_dim = cfg->head_dim,
                                   .memory_gbps = w->memory_gbps,
                                   .link_gbps = device_link_gbps(w->dev),
                                   .load_s = load_s,
                                   .device_link_gbps = w->device_link_gbps,
                                   .device_node = node >= 0 ? (uint32_t)node : UINT32_MAX,
                                   .compute_gflops = w->compute_gflops};
    snprintf(msg.ready.name, sizeof msg.ready.name, "verify");
    snprintf(msg.ready.device, sizeof msg.ready.device, "%s", device_describe(w->dev));
    return chan_send(w->control, NULL, &msg, err);
}

/* Offloaded layers stream out of this mapping at full rate only if it is pinned:
 * a machine that refuses ends the start. */
static enum status pin_arena(struct worker *w, struct err *err)
{
    void *base = kv_client_base(w->store);
    enum status st = device_register_host(w->dev, base, kv_client_bytes(w->store), err);

    if (st != ST_OK)
        return err_in(err, st, "pinning the arena");
    w->arena = base;
    return ST_OK;
}

static enum status open_channels(struct worker *w, struct err *err)
{
    const struct model_config *cfg = model_config(w->model);
    struct kv_shape shape = {cfg->n_kv_heads, cfg->head_dim};
    size_t pages = ((size_t)w->opt.retrieval_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    size_t bytes = pages * cfg->n_layers * kv_page_bytes(w->base, shape);
    char path[108];
    enum status st;

    st = pair_open(&w->pair, &(struct pair_args){w->dir, w->dev, w->model, bytes}, err);
    if (st == ST_OK)
        st = kv_client_open(&w->store, w->dir, "verify", err);
    if (st == ST_OK)
        st = pin_arena(w, err);
    if (st == ST_OK) {
        rundir_socket(w->dir, "control", path);
        st = chan_open(&w->control, CHAN_CLIENT, path, "verify", err);
    }
    return st;
}

enum status worker_open(struct worker **out, const struct worker_options *opt, struct err *err)
{
    struct worker *w = mem_zalloc(sizeof *w);
    uint64_t begin = clock_now_ns();
    enum status st;

    w->opt = *opt;
    w->base = opt->kv_base == 1 ? KV_F32 : KV_F16;
    st = open_logits(w, err);
    if (st == ST_OK)
        st = rundir_join(&w->dir, opt->run_dir, err);
    if (st == ST_OK)
        st = open_device(w, err);
    if (st == ST_OK) {
        st = model_open(&w->model, w->dev, opt->target, err);
        if (st != ST_OK)
            st = err_in(err, st, "loading the target model");
    }
    if (st == ST_OK)
        st = open_rows(w, err);
    if (st == ST_OK)
        st = open_channels(w, err);
    if (st == ST_OK)
        st = send_ready(w, clock_seconds_since(begin), err);
    if (st != ST_OK) {
        worker_close(w);
        return st;
    }
    log_info(LOG_PROC, "ready device=\"%s\" memory_gbps=%.2f link_gbps=%.3f device_link_gbps=%.2f",
             device_describe(w->dev), w->memory_gbps, device_link_gbps(w->dev),
             w->device_link_gbps);
    *out = w;
    return ST_OK;
}

void worker_close(struct worker *w)
{
    if (w == NULL)
        return;
    pair_close(w->pair);
    if (w->arena != NULL)
        device_unregister_host(w->dev, w->arena);
    if (w->rows != NULL)
        device_unregister_host(w->dev, w->rows);
    kv_client_close(w->store);
    chan_close(w->control);
    model_close(w->model);
    device_close(w->dev);
    free(w->rows);
    rundir_leave(w->dir);
    if (w->logits_fd >= 0)
        close(w->logits_fd);
    free(w);
}

static enum status answer(struct worker *w, struct msg *msg, struct err *err)
{
    msg->request = w->request;
    return chan_send(w->control, NULL, msg, err);
}

static enum status answer_error(struct worker *w, enum status what, const struct err *words,
                                struct err *err)
{
    struct msg msg = {.verb = MSG_ERROR};

    msg.error.status = what;
    snprintf(msg.error.words, sizeof msg.error.words, "%s", words->text);
    log_error(LOG_RUN, "request=%llu failed: %s", (unsigned long long)w->request, words->text);
    return answer(w, &msg, err);
}

static enum status on_progress(void *self, uint32_t done, uint32_t total, struct err *err)
{
    struct msg msg = {.verb = MSG_PROGRESS};

    if (proc_stop_requested())
        return err_set(err, ST_CLOSED, "stopped");
    msg.progress = (struct msg_progress){MSG_PHASE_PREFILL, done, total};
    return answer(self, &msg, err);
}

static enum status on_emit(void *self, const int32_t *token, uint32_t n, struct err *err)
{
    struct worker *w = self;
    struct msg msg = {.verb = MSG_TOKENS};

    msg.tokens.n_tokens = n;
    msg.tokens.token = (int32_t *)(uintptr_t)token; /* packed at once, not kept */
    return answer(w, &msg, err);
}

static enum status on_prefill(struct worker *w, const struct msg_prefill *ask, struct err *err)
{
    struct prefill_args args = {.dev = w->dev,
                                .model = w->model,
                                .store = w->store,
                                .base = w->base,
                                .token = ask->token,
                                .n_tokens = ask->n_tokens,
                                .prompt = ask->prompt,
                                .progress = on_progress,
                                .progress_self = w};
    struct msg msg = {.verb = MSG_PREFILLED};
    uint64_t begin = clock_now_ns();
    enum status st;

    if (ask->n_tokens == 0)
        return err_set(err, ST_INVALID, "a prompt needs at least one token");
    st = prefill_run(&args, &msg.prefilled.snapshot, &msg.prefilled.snapshot_bytes, err);
    if (st != ST_OK)
        return err_in(err, st, "prefill of %u tokens", ask->n_tokens);
    msg.prefilled.prompt = ask->prompt;
    msg.prefilled.n_tokens = ask->n_tokens;
    msg.prefilled.seconds = clock_seconds_since(begin);
    metric_add(METRIC_VERIFY_PREFILLS, 1);
    metric_add(METRIC_VERIFY_PREFILL_TOKENS, ask->n_tokens);
    metric_add_seconds(METRIC_VERIFY_PREFILL_TIME, msg.prefilled.seconds);
    log_info(LOG_RUN, "prefill prompt=%u tokens=%u seconds=%.3f snapshot=%llu", ask->prompt,
             ask->n_tokens, msg.prefilled.seconds, (unsigned long long)msg.prefilled.snapshot);
    return answer(w, &msg, err);
}

static enum status on_trial(struct worker *w, const struct msg_trial *trial, struct err *err)
{
    struct trial_args args = {.dev = w->dev,
                              .model = w->model,
                              .store = w->store,
                              .pair = w->pair,
                              .transcoded = &w->transcoded,
                              .base = w->base,
                              .trial = trial,
                              .logits_fd = w->logits_fd,
                              .rows = w->rows,
                              .emit = trial->stream ? on_emit : NULL,
                              .emit_self = w};
    struct msg msg = {.verb = MSG_RESULT};
    enum status st;

    st = trial_run(&args, &msg.result, err);
    if (st != ST_OK)
        return err_in(err, st, "trial of %s",
                      trial->method < METHOD_COUNT ? method_name((enum method)trial->method)
                                                   : "an unknown method");
    log_info(LOG_RUN, "trial=%llu method=%s tokens=%u rounds=%u accepted=%u decode_s=%.3f",
             (unsigned long long)trial->trial, method_name((enum method)trial->method),
             msg.result.n_tokens, msg.result.rounds, msg.result.accepted, msg.result.decode_s);
    st = answer(w, &msg, err);
    free(msg.result.token);
    return st;
}

static enum status on_forget(struct worker *w, const struct msg_forget *ask, struct err *err)
{
    transcode_forget(&w->transcoded, w->store, ask->snapshot);
    return kv_client_drop(w->store, ask->snapshot, err);
}

static enum status serve(struct worker *w, const struct msg *msg, struct err *err)
{
    switch (msg->verb) {
    case MSG_PREFILL:
        return on_prefill(w, &msg->prefill, err);
    case MSG_TRIAL:
        return on_trial(w, &msg->trial, err);
    case MSG_FORGET:
        return on_forget(w, &msg->forget, err);
    case MSG_QUIT:
        w->quit = true;
        return ST_OK;
    default:
        return err_set(err, ST_INVALID, "verify does not serve %s", msg_verb_name(msg->verb));
    }
}

enum status worker_loop(struct worker *w, struct err *err)
{
    struct chan_wait wait = {-1, 0, {kv_client_door(w->store), proc_stop_fd(), -1, -1}};
    char peer[CHAN_MAX_NAME];

    while (!w->quit && !proc_stop_requested()) {
        struct msg msg = {0};
        struct err words = {{0}};
        enum status st = chan_recv(w->control, peer, &msg, &wait, err);
        if (st == ST_CLOSED)
            return proc_stop_requested() ? ST_OK : err_set(err, ST_CLOSED, "the store went away");
        if (st == ST_CORRUPT || st == ST_VERSION) {
            /* Its number could not be read: 0 answers it. */
            w->request = 0;
            st = answer_error(w, st, err, &words);
            if (st != ST_OK)
                return st;
            continue;
        }
        if (st != ST_OK)
            return st;
        w->request = msg.request;
        st = serve(w, &msg, &words);
        msg_release(&msg);
        if (st == ST_CLOSED && proc_stop_requested())
            return ST_OK;
        if (st != ST_OK)
            st = answer_error(w, st, &words, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}
