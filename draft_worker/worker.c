#include "draft_worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/door.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/rundir.h"
#include "draft_worker/hello.h"
#include "draft_worker/pair_memory.h"
#include "draft_worker/prompts.h"
#include "draft_worker/proposal_metrics.h"
#include "draft_worker/proposer.h"

enum { CONNECT_MS = 60000, SPIN_US = 50 };

struct worker {
    struct worker_options opt;
    struct rundir *dir;
    struct device *dev;
    struct model *draft, *target;
    struct window_cache *window;
    struct prompts prompts;
    struct chan *control, *pair;
    int door_fd;
    struct pair_memory memory; /* there once verify has sent it */
    bool shares_target;        /* `target` is opened with verify's weights, when it is needed */
    struct middle_cache *middle;
    struct proposer *proposer; /* of the trial at hand */
    uint64_t trial;
    uint32_t round;
    bool quit;
};

static enum status open_models(struct worker *w, struct err *err)
{
    struct device_options opt = {.n_threads = (int)w->opt.n_threads};
    enum status st;

    st = device_open(&w->dev, w->opt.device, &opt, err);
    w->memory.dev = w->dev;
    if (st == ST_OK) {
        st = model_open(&w->draft, w->dev, w->opt.draft, err);
        if (st != ST_OK)
            return err_in(err, st, "loading the draft model");
    }
    if (st == ST_OK)
        w->shares_target = w->opt.target != NULL && w->opt.verify_device != NULL &&
                           strcmp(w->opt.device, w->opt.verify_device) == 0 &&
                           !device_shares_host(w->dev);
    if (st == ST_OK && w->opt.target != NULL && !w->shares_target) {
        st = model_open(&w->target, w->dev, w->opt.target, err);
        if (st != ST_OK)
            return err_in(err, st, "loading the target model");
    }
    if (st == ST_OK && w->target != NULL &&
        model_config(w->draft)->n_vocab != model_config(w->target)->n_vocab)
        return err_set(err, ST_INVALID,
                       "the draft's vocabulary has %u tokens, the target's %u: they must be equal",
                       model_config(w->draft)->n_vocab, model_config(w->target)->n_vocab);
    if (st == ST_OK)
        st = window_cache_open(&w->window, w->dev, w->draft, (uint32_t)w->opt.n_sinks,
                               (uint32_t)w->opt.n_window, err);
    return st;
}

static enum status open_channels(struct worker *w, struct err *err)
{
    char path[108];
    enum status st;

    rundir_socket(w->dir, "pair-door", path);
    st = door_connect(&w->door_fd, path, CONNECT_MS, err);
    if (st == ST_OK) {
        rundir_socket(w->dir, "pair", path);
        st = chan_open(&w->pair, CHAN_PAIR_CONNECT, path, "draft", err);
    }
    if (st == ST_OK) {
        rundir_socket(w->dir, "control", path);
        st = chan_open(&w->control, CHAN_CLIENT, path, "draft", err);
    }
    return st;
}

static enum status send_ready(struct worker *w, double load_s, struct err *err)
{
    const struct model_config *cfg = model_config(w->draft);
    struct msg msg = {.verb = MSG_READY};

    msg.ready = (struct msg_ready){.weight_bytes = model_weight_bytes(w->draft),
                                   .n_layers = cfg->n_layers,
                                   .n_vocab = cfg->n_vocab,
                                   .n_kv_heads = cfg->n_kv_heads,
                                   .head_dim = cfg->head_dim,
                                   .load_s = load_s,
                                   .device_node = UINT32_MAX};
    snprintf(msg.ready.name, sizeof msg.ready.name, "draft");
    snprintf(msg.ready.device, sizeof msg.ready.device, "%s", device_describe(w->dev));
    return chan_send(w->control, NULL, &msg, err);
}

enum status worker_open(struct worker **out, const struct worker_options *opt, struct err *err)
{
    struct worker *w = mem_zalloc(sizeof *w);
    uint64_t begin = clock_now_ns();
    enum status st;

    w->opt = *opt;
    w->door_fd = -1;
    st = rundir_join(&w->dir, opt->run_dir, err);
    if (st == ST_OK)
        st = open_models(w, err);
    if (st == ST_OK)
        st = open_channels(w, err);
    if (st == ST_OK)
        st = send_ready(w, clock_seconds_since(begin), err);
    if (st != ST_OK) {
        worker_close(w);
        return st;
    }
    log_info(LOG_PROC, "ready device=\"%s\"", device_describe(w->dev));
    *out = w;
    return ST_OK;
}

static void end_trial(struct worker *w)
{
    proposer_close(w->proposer);
    middle_cache_close(w->middle);
    w->proposer = NULL;
    w->middle = NULL;
}

void worker_close(struct worker *w)
{
    if (w == NULL)
        return;
    end_trial(w);
    prompts_release(&w->prompts);
    chan_close(w->control);
    chan_close(w->pair);
    door_close(w->door_fd);
    window_cache_close(w->window);
    model_close(w->target);
    pair_memory_release(&w->memory);
    model_close(w->draft);
    device_close(w->dev);
    rundir_leave(w->dir);
    free(w);
}

/* ---- the pair ---- */

/* A segment takes the place of the one before, which a trial may still use. */
static enum status on_hello(struct worker *w, struct err *err)
{
    struct hello_args args = {w->door_fd, window_cache_bytes(w->window),
                              model_config(w->draft)->n_vocab};
    struct shm segment = {.fd = -1};
    struct pair_hello hello;
    enum status st = hello_receive(&segment, &hello, &args, err);

    if (st != ST_OK || segment.base == NULL)
        return st;
    end_trial(w);
    if (w->shares_target) {
        model_close(w->target);
        w->target = NULL;
    }
    return pair_memory_take(&w->memory, segment, &hello, err);
}

static enum status propose(struct worker *w, uint32_t n_wanted, struct err *err)
{
    struct msg msg = {.verb = MSG_PROPOSE};
    enum status st;

    st = proposer_propose(w->proposer, n_wanted, &msg.propose, err);
    msg.propose.round = w->round;
    proposal_metrics(&msg.propose);
    return st == ST_OK ? chan_send(w->pair, NULL, &msg, err) : st;
}

static enum status open_middle(struct worker *w, const struct msg_begin *b, struct err *err)
{
    struct middle_cache_args args = {.dev = w->dev,
                                     .format = (enum kv_format)b->retrieval_format,
                                     .n_prompt = b->base_pos,
                                     .n_selected = b->n_selected,
                                     .layer_pages = b->retrieval_pages,
                                     .max_tokens = b->base_pos + b->gen_len + b->gamma + 1};

    enum status st;

    if (w->opt.target == NULL)
        return err_set(err, ST_INVALID, "a middle level needs --target");
    if (args.format != KV_F16 && args.format != KV_F32)
        return err_set(err, ST_INVALID, "retrieval KV of format %u", b->retrieval_format);
    st = pair_memory_retrieval(&w->memory, &args.memory, &args.memory_bytes, &args.is_device_memory,
                               err);
    if (st == ST_OK && w->target == NULL)
        st = pair_memory_target(&w->memory, w->opt.target, &w->target, err);
    args.model = w->target;
    return st == ST_OK ? middle_cache_open(&w->middle, &args, err) : st;
}

static enum status on_begin(struct worker *w, const struct msg_begin *b, struct err *err)
{
    const struct prompt_state *prompt = prompts_find(&w->prompts, b->prompt);
    struct proposer_args args = {.draft = w->draft, .window = w->window, .begin = b};
    enum status st = ST_OK;

    end_trial(w);
    if (w->memory.segment.base == NULL)
        return err_set(err, ST_INVALID, "BEGIN came before the shared segment");
    if (prompt == NULL || prompt->n_tokens != b->base_pos)
        return err_set(err, ST_STALE, "prompt %u was not given to this draft", b->prompt);
    w->trial = b->seq;
    w->round = 0;
    st = window_cache_restore(w->window, prompt->state, err);
    if (st == ST_OK && b->retrieval_pages > 0)
        st = open_middle(w, b, err);
    args.target = w->target;
    args.middle = w->middle;
    args.slab = pair_memory_slab(&w->memory);
    if (st == ST_OK)
        st = proposer_open(&w->proposer, &args, err);
    if (st != ST_OK)
        return st;
    return propose(w, b->gen_len - 1 < b->gamma ? b->gen_len - 1 : b->gamma, err);
}

static enum status on_verdict(struct worker *w, const struct msg_verdict *v, struct err *err)
{
    struct msg resync = {.verb = MSG_RESYNC};
    enum status st;

    if (v->seq != w->trial || v->round < w->round) {
        log_warn(LOG_MSG, "drop verb=VERDICT trial=%llu round=%u", (unsigned long long)v->seq,
                 v->round);
        return ST_OK;
    }
    if (v->n_wanted == 0) {
        end_trial(w);
        return ST_OK;
    }
    /* Verify waits for an answer also where the trial has ended here. */
    st = ST_STALE;
    if (w->proposer != NULL && v->round == w->round)
        st = proposer_verdict(w->proposer, v, err);
    if (st == ST_STALE) {
        resync.round_key = (struct msg_round_key){v->seq, v->round, v->prefix_hash};
        end_trial(w);
        return chan_send(w->pair, NULL, &resync, err);
    }
    w->round++;
    return st == ST_OK ? propose(w, v->n_wanted, err) : st;
}

static enum status serve_pair(struct worker *w, const struct msg *msg, struct err *err)
{
    struct msg answer = {.verb = MSG_ERROR, .request = w->trial}; /* names the trial */
    struct err words = {{0}};
    enum status st = ST_OK;

    switch (msg->verb) {
    case MSG_BEGIN:
        answer.request = msg->begin.seq;
        st = on_begin(w, &msg->begin, &words);
        break;
    case MSG_VERDICT:
        answer.request = msg->verdict.seq;
        st = on_verdict(w, &msg->verdict, &words);
        break;
    case MSG_CANCEL:
    case MSG_END:
        end_trial(w);
        break;
    default:
        st = err_set(&words, ST_INVALID, "draft does not serve %s", msg_verb_name(msg->verb));
    }
    if (st == ST_OK)
        return ST_OK;
    end_trial(w);
    log_error(LOG_RUN, "trial=%llu failed: %s", (unsigned long long)answer.request, words.text);
    answer.error.status = st;
    snprintf(answer.error.words, sizeof answer.error.words, "%s", words.text);
    return chan_send(w->pair, NULL, &answer, err);
}

/* ---- control ---- */

static enum status on_prefill(struct worker *w, const struct msg_prefill *ask, struct msg *out,
                              struct err *err)
{
    uint64_t begin = clock_now_ns();
    enum status st;

    /* The orchestrator prefills between trials only, but the last verdict of a
     * trial may still be on its way over the pair. */
    end_trial(w);
    st = prompts_add(&w->prompts, w->draft, w->window, ask, err);
    *out = (struct msg){.verb = MSG_PREFILLED};
    out->prefilled.prompt = ask->prompt;
    out->prefilled.n_tokens = ask->n_tokens;
    out->prefilled.seconds = clock_seconds_since(begin);
    return st;
}

static enum status serve_control(struct worker *w, const struct msg *msg, struct err *err)
{
    struct msg answer = {.verb = MSG_ERROR};
    struct err words = {{0}};
    enum status st;

    switch (msg->verb) {
    case MSG_PREFILL:
        st = on_prefill(w, &msg->prefill, &answer, &words);
        break;
    case MSG_FORGET:
        prompts_forget(&w->prompts, msg->forget.prompt);
        return ST_OK;
    case MSG_QUIT:
        w->quit = true;
        return ST_OK;
    default:
        st = err_set(&words, ST_INVALID, "draft does not serve %s", msg_verb_name(msg->verb));
    }
    if (st != ST_OK) {
        answer = (struct msg){.verb = MSG_ERROR};
        answer.error.status = st;
        snprintf(answer.error.words, sizeof answer.error.words, "%s", words.text);
    }
    answer.request = msg->request;
    return chan_send(w->control, NULL, &answer, err);
}

/* A message that could not be read: its sender learns it, under number 0. */
static enum status refuse(struct chan *chan, enum status what, const struct err *words,
                          struct err *err)
{
    struct msg answer = {.verb = MSG_ERROR};

    log_warn(LOG_MSG, "refused a message: %s", words->text);
    answer.error.status = what;
    snprintf(answer.error.words, sizeof answer.error.words, "%s", words->text);
    return chan_send(chan, NULL, &answer, err);
}

/* Takes one message of `chan` if it comes within `wait`. *taken tells. */
static enum status serve_one(struct worker *w, struct chan *chan, const struct chan_wait *wait,
                             bool *taken, struct err *err)
{
    char peer[CHAN_MAX_NAME];
    struct err words = {{0}};
    struct msg msg = {0};
    enum status st = chan_recv(chan, peer, &msg, wait, err);

    *taken = st != ST_TIMEOUT && st != ST_CLOSED;
    if (st == ST_TIMEOUT || st == ST_CLOSED)
        return ST_OK;
    if (st == ST_CORRUPT || st == ST_VERSION) {
        words = *err;
        return refuse(chan, st, &words, err);
    }
    if (st != ST_OK)
        return st;
    st = chan == w->pair ? serve_pair(w, &msg, err) : serve_control(w, &msg, err);
    msg_release(&msg);
    return st;
}

enum status worker_loop(struct worker *w, struct err *err)
{
    const struct chan_wait now = {0, 0, {-1, -1, -1, -1}};
    struct chan_wait wait = {-1, SPIN_US, {chan_fd(w->control), w->door_fd, proc_stop_fd(), -1}};
    enum status st = ST_OK;

    while (st == ST_OK && !w->quit && !proc_stop_requested()) {
        bool taken;
        do
            st = serve_one(w, w->control, &now, &taken, err);
        while (st == ST_OK && taken && !w->quit);
        if (st == ST_OK && !w->quit)
            st = on_hello(w, err);
        if (st == ST_CLOSED) {
            log_info(LOG_PROC, "verify went away");
            return ST_OK;
        }
        if (st == ST_OK && !w->quit)
            st = serve_one(w, w->pair, &wait, &taken, err);
    }
    return st;
}
