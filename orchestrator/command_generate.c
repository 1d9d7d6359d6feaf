#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/trace.h"
#include "orchestrator/command.h"
#include "orchestrator/generate_json.h"
#include "orchestrator/generate_options.h"
#include "orchestrator/generate_prompt.h"
#include "orchestrator/memory_plan.h"
#include "orchestrator/saved_logs.h"
#include "orchestrator/session.h"
#include "orchestrator/trace_folder.h"
#include "orchestrator/trace_merge.h"
#include "text/token_stream.h"

static const char program[] = "mspeckv generate";

/* A prefill that does not get on for an hour has hung. */
enum { PREFILL_S = 3600 };

struct generate {
    struct generate_options opt;
    struct tokenizer *tok;
    struct token_list prompt;
    struct token_stream stream;
    struct target_shape shape;
    struct msg_trial trial;
    struct group_options group;
    struct session *session;
    struct msg_result result;
    double prefill_s;
    bool random_weights;      /* of target or draft */
    enum status write_status; /* of stdout, from the callback */
    bool is_usage;            /* what failed is the command line's fault */
};

/* ---- before anything runs ---- */

static enum status check_prompt(struct generate *g, struct err *err)
{
    g->is_usage = true;
    if (g->prompt.n == 0)
        return err_set(err, ST_INVALID,
                       "the prompt is empty and the tokenizer has no BOS token; "
                       "--prompt or --prompt-file gives one");
    if (g->opt.prefill > (int64_t)g->prompt.n)
        return err_set(err, ST_INVALID,
                       "--prefill %lld is longer than the prompt, which has %u tokens",
                       (long long)g->opt.prefill, g->prompt.n);
    if (g->opt.prefill > 0)
        g->prompt.n = (uint32_t)g->opt.prefill;
    if (g->prompt.n > MSG_MAX_TOKENS)
        return err_set(err, ST_INVALID, "the prompt has %u tokens, more than %d; --prefill cuts it",
                       g->prompt.n, MSG_MAX_TOKENS);
    for (uint32_t i = 0; i < g->prompt.n; i++)
        if (g->prompt.id[i] < 0 || (uint32_t)g->prompt.id[i] >= g->shape.n_vocab)
            return err_set(err, ST_INVALID,
                           "token %d of the prompt is outside the target's vocabulary of %u: the "
                           "tokenizer is of another model",
                           (int)g->prompt.id[i], g->shape.n_vocab);
    g->is_usage = false;
    return ST_OK;
}

static enum status plan(struct generate *g, struct err *err)
{
    struct memory_plan memory = {.f32_base = false};
    struct memory_room room;
    struct memory_need need = {.weight_bytes = g->shape.weight_bytes, .posix = true};
    struct target_shape draft = {.weight_bytes = 0};
    bool speculates = g->opt.method != METHOD_BASELINE;
    enum status st;

    g->is_usage = true;
    st = generate_options_trial(&g->opt, g->prompt.n, g->shape.n_layers, &g->trial, err);
    if (st == ST_OK)
        st = target_shape_check_length(&g->shape, g->opt.target, g->trial.n_prompt,
                                       g->trial.gen_len, err);
    if (st != ST_OK)
        return st;
    g->is_usage = false;
    if (speculates)
        st = target_shape_draft(&draft, g->opt.draft, &g->shape, err);
    memory_plan_add(&memory, &g->trial);
    need.arena_bytes = memory_plan_arena_bytes(&memory, &g->shape);
    need.weight_bytes += draft.weight_bytes;
    g->random_weights = g->shape.random_weights || draft.random_weights;
    if (g->random_weights)
        fprintf(stderr, "%s: random weights: speed can be measured, the text is noise\n", program);
    g->group = (struct group_options){.target = g->opt.target,
                                      .draft = speculates ? g->opt.draft : NULL,
                                      .verify_device = g->opt.device,
                                      .draft_device = g->opt.device,
                                      .threads = (uint32_t)g->opt.threads,
                                      .link = g->opt.link_gbps > 0 ? LINK_GBPS : LINK_NONE,
                                      .link_value = g->opt.link_gbps,
                                      .sinks = 16,
                                      .window = 232,
                                      .retrieval_tokens = memory.retrieval_tokens,
                                      .f32_base = memory.f32_base,
                                      .arena = "posix",
                                      .numa_node = -1,
                                      .arena_bytes = need.arena_bytes,
                                      .log_dir = g->opt.log_dir,
                                      .logits = g->opt.logits,
                                      .trace = g->opt.trace != NULL};
    memory_room_ask(&room);
    return st == ST_OK ? memory_plan_check(&memory, &g->shape, &need, &room, err) : st;
}

/* ---- output ---- */

/* A continuation keeps its leading space, so the prompt goes through first. */
static enum status prime_stream(struct generate *g, struct err *err)
{
    struct text_buf unused;
    enum status st = ST_OK;

    text_buf_init(&unused);
    token_stream_init(&g->stream, g->tok);
    for (uint32_t i = 0; st == ST_OK && i < g->prompt.n; i++)
        st = token_stream_push(&g->stream, g->prompt.id[i], &unused, err);
    text_buf_release(&unused);
    return st;
}

/* An id that a padded vocabulary has and the tokenizer has not prints nothing. */
static void push(struct generate *g, const int32_t *token, uint32_t n, struct text_buf *out)
{
    struct err ignored = {{0}};

    for (uint32_t i = 0; i < n; i++)
        if (token_stream_push(&g->stream, token[i], out, &ignored) != ST_OK)
            log_warn(LOG_RUN, "token=%d has no text", (int)token[i]);
}

static void on_tokens(void *self, const int32_t *token, uint32_t n)
{
    struct generate *g = self;
    struct text_buf text;

    text_buf_init(&text);
    push(g, token, n, &text);
    if (text.n > 0 && (fwrite(text.data, 1, text.n, stdout) != text.n || fflush(stdout) != 0))
        g->write_status = ST_IO;
    text_buf_release(&text);
}

static void on_notice(void *self, const char *words)
{
    fprintf(stderr, "%s: %s\n", program, words);
}

static enum status print_end(struct generate *g, struct err *err)
{
    struct generate_json json = {
        .trial = &g->trial,
        .result = &g->result,
        .prefill_s = g->prefill_s,
        .random_weights = g->random_weights,
        .link_gbps = group_ready(session_group(g->session), GROUP_VERIFY)->link_gbps};
    struct text_buf text;
    char *object;

    text_buf_init(&text);
    if (g->opt.json)
        push(g, g->result.token, g->result.n_tokens, &text);
    token_stream_flush(&g->stream, &text);
    if (g->opt.json) {
        json.text = &text;
        object = generate_json(&json);
        puts(object);
        free(object);
    } else {
        fwrite(text.n > 0 ? text.data : "", 1, text.n, stdout);
        putchar('\n');
    }
    text_buf_release(&text);
    if (fflush(stdout) != 0 || ferror(stdout) || g->write_status != ST_OK)
        return err_set(err, ST_IO, "write stdout: %s", strerror(errno));
    if (!g->opt.json && isatty(STDERR_FILENO))
        fprintf(stderr, "%u tokens, %.1f tok/s, prefill of %u tokens %.2f s\n", g->result.n_tokens,
                g->result.n_tokens / g->result.decode_s, g->prompt.n, g->prefill_s);
    return ST_OK;
}

/* ---- the run ---- */

static enum status prepare(struct generate *g, struct err *err)
{
    enum status st = tokenizer_open_split(&g->tok, g->opt.target, g->opt.pattern, err);

    if (st == ST_OK)
        st = target_shape_read(&g->shape, g->opt.target, err);
    if (st == ST_OK)
        st = generate_prompt_encode(&g->prompt, &g->opt, g->tok, err);
    if (st == ST_OK)
        st = check_prompt(g, err);
    if (st == ST_OK)
        st = plan(g, err);
    if (st == ST_OK)
        st = prime_stream(g, err);
    return st;
}

/* Beside those of the other processes, whose folder is there now. */
static enum status open_trace(const struct generate *g, struct err *err)
{
    char *path;
    enum status st;

    if (g->opt.trace == NULL)
        return ST_OK;
    path = trace_folder_next(group_log_dir(session_group(g->session)), "mspeckv");
    st = trace_open("mspeckv", path, err);
    free(path);
    return st;
}

/* While the processes still run: their folder goes with the last of them. */
static enum status write_trace(const struct generate *g, struct err *err)
{
    const struct group *group = g->session != NULL ? session_group(g->session) : NULL;
    enum status st;

    if (g->opt.trace == NULL || group == NULL || !group_has_logs(group))
        return ST_OK;
    st = trace_merge(g->opt.trace, group_log_dir(group), NULL, err);
    return st == ST_OK ? ST_OK : err_in(err, st, "--trace");
}

static enum status decode(struct generate *g, struct err *err)
{
    const struct session_watch watch = {.self = g, .tokens = on_tokens, .notice = on_notice};
    struct session_prompt prompt = {
        .number = 1, .token = g->prompt.id, .n_tokens = g->prompt.n, .timeout_s = PREFILL_S};
    struct session_trial call = {.trial = &g->trial, .stop_at = 1};
    const struct group *group;
    uint64_t span;
    enum status st = session_open(&g->session, &g->group, &watch, err);

    if (st == ST_OK)
        st = open_trace(g, err);
    span = trace_begin(TRACE_PROMPT);
    if (st == ST_OK)
        st = session_prefill(g->session, &prompt, &g->prefill_s, err);
    trace_end(TRACE_PROMPT, span, prompt.n_tokens, prompt.number);
    span = trace_begin(TRACE_TRIAL);
    if (st == ST_OK)
        st = session_trial(g->session, &call, &g->result, err);
    trace_end(TRACE_TRIAL, span, g->trial.trial, g->trial.method);
    if (st == ST_OK)
        return print_end(g, err);
    if (!g->opt.json)
        fflush(stdout);
    group = session_group(g->session);
    if (g->opt.log_dir == NULL && group_has_logs(group) && group_end(group) != GROUP_STOPPED)
        saved_logs_keep(group_log_dir(group), err);
    return st;
}

/* What the user must know is said in words of its own, so that the log is only
 * for --log-dir. */
static enum status open_log(const struct generate *g, struct err *err)
{
    char *path;
    enum status st;

    if (g->opt.log_dir == NULL)
        return log_open("mspeckv", "/dev/null", LOG_ERROR, err);
    if (mkdir(g->opt.log_dir, 0700) != 0 && errno != EEXIST)
        return err_set(err, ST_IO, "--log-dir %s: %s", g->opt.log_dir, strerror(errno));
    path = mem_printf("%s/mspeckv.log", g->opt.log_dir);
    st = log_open("mspeckv", path, LOG_INFO, err);
    free(path);
    return st;
}

int command_generate(int argc, char **argv)
{
    struct generate g = {.write_status = ST_OK};
    struct err err = {{0}};
    struct err late = {{0}};
    enum status st = generate_options_parse(&g.opt, argc, argv, &err), traced;

    if (st == ST_CLOSED)
        return EXIT_DONE;
    if (st != ST_OK)
        return exit_report(program, EXIT_USAGE, st, &err);
    token_list_init(&g.prompt);
    st = proc_init(false, &err);
    if (st == ST_OK)
        st = open_log(&g, &err);
    if (st == ST_OK)
        st = prepare(&g, &err);
    if (st == ST_OK)
        st = decode(&g, &err);
    traced = write_trace(&g, st == ST_OK ? &err : &late);
    st = st == ST_OK ? traced : st;
    session_close(g.session);
    trace_close();
    if (g.stream.tok != NULL)
        token_stream_release(&g.stream);
    free(g.result.token);
    token_list_release(&g.prompt);
    tokenizer_close(g.tok);
    return exit_report(program, g.is_usage ? EXIT_USAGE : EXIT_RUNTIME, st, &err);
}
