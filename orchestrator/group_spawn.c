#include "orchestrator/group_spawn.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "metrics/metric_address.h"
#include "orchestrator/trace_folder.h"

enum { MAX_WORDS = 40 };

const char *const group_names[GROUP_MEMBERS] = {"kvstore", "verify", "draft"};

int group_member_of(const char *name)
{
    for (int i = 0; i < GROUP_MEMBERS; i++)
        if (strcmp(name, group_names[i]) == 0)
            return i;
    return -1;
}

/* A command line; owns its words. */
struct words {
    char *word[MAX_WORDS + 1];
    int n;
};

static void add(struct words *w, const char *word)
{
    CHECK(w->n < MAX_WORDS);
    w->word[w->n++] = mem_strdup(word);
}

static void add_pair(struct words *w, const char *name, const char *value)
{
    add(w, name);
    add(w, value);
}

static void add_count(struct words *w, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, value);
    add_pair(w, name, text);
}

static void add_real(struct words *w, const char *name, double value)
{
    char text[40];

    snprintf(text, sizeof text, "%.17g", value);
    add_pair(w, name, text);
}

static void add_kvstore(struct words *w, const struct group_options *opt)
{
    add(w, "--control");
    add_count(w, "--arena-bytes", (int64_t)opt->arena_bytes);
    add_pair(w, "--arena", opt->arena);
    add_count(w, "--numa-node", opt->numa_node);
}

static void add_verify(struct words *w, const struct group_options *opt)
{
    add_pair(w, "--target", opt->target);
    add_pair(w, "--device", opt->verify_device);
    add_count(w, "--threads", opt->threads);
    add_count(w, "--retrieval-tokens", (int64_t)opt->retrieval_tokens);
    add_pair(w, "--kv-base", opt->f32_base ? "f32" : "f16");
    if (opt->link == LINK_GBPS)
        add_real(w, "--link-gbps", opt->link_value);
    if (opt->link == LINK_RATIO)
        add_real(w, "--link-ratio", opt->link_value);
    if (opt->logits != NULL)
        add_pair(w, "--logits", opt->logits);
}

static void add_draft(struct words *w, const struct group_options *opt)
{
    add_pair(w, "--draft", opt->draft);
    add_pair(w, "--target", opt->target);
    add_pair(w, "--device", opt->draft_device);
    add_pair(w, "--verify-device", opt->verify_device);
    add_count(w, "--threads", opt->threads);
    add_count(w, "--sinks", opt->sinks);
    add_count(w, "--window", opt->window);
}

static void add_metrics(struct words *w, enum group_member member, const struct group_options *opt)
{
    struct metric_address a = {.port = 0};
    char text[METRIC_ADDRESS_BYTES];

    if (opt->metrics_host == NULL)
        return;
    snprintf(a.host, sizeof a.host, "%s", opt->metrics_host);
    if (opt->metrics_port > 0)
        a.port = (uint16_t)(opt->metrics_port + (uint32_t)member);
    metric_address_text(&a, text);
    add_pair(w, "--metrics", text);
}

enum status group_spawn(struct proc *out, enum group_member member, const struct group_options *opt,
                        const char *run_dir, const char *log_dir, struct err *err)
{
    static void (*const add_own[GROUP_MEMBERS])(struct words *, const struct group_options *) = {
        add_kvstore, add_verify, add_draft};
    char dir[PATH_MAX];
    struct words w = {.n = 0};
    char *program, *log, *trace;
    enum status st = proc_self_dir(dir, sizeof dir, err);

    if (st != ST_OK)
        return st;
    program = mem_printf("%s/mspeckv-%s", dir, group_names[member]);
    log = mem_printf("%s/%s.log", log_dir, group_names[member]);
    add(&w, program);
    add_pair(&w, "--run-dir", run_dir);
    add_own[member](&w, opt);
    add_pair(&w, "--log", log);
    add_metrics(&w, member, opt);
    trace = opt->trace ? trace_folder_next(log_dir, group_names[member]) : NULL;
    if (trace != NULL)
        add_pair(&w, "--trace", trace);
    /* Words that a crashing process prints itself belong in the same file. */
    st = proc_spawn_on(out, group_names[member], w.word, log, opt->cpus, err);
    while (w.n > 0)
        free(w.word[--w.n]);
    free(program);
    free(log);
    free(trace);
    return st;
}

void group_spawn_clean(const struct rundir *dir, bool store_too)
{
    static const char *const of_workers[] = {"pair", "pair-door"}, *const of_store[] = {"door",
                                                                                        "store"};
    char path[108];

    for (int i = 0; i < 2; i++) {
        rundir_socket(dir, of_workers[i], path);
        unlink(path);
        rundir_socket(dir, of_store[i], path);
        if (store_too)
            unlink(path);
    }
}
