/*
 * bench.h - a real store process, a device, and a made-up model of 2 layers, for
 * tests of the parts that a trial is made of.
 */
#ifndef TESTS_VERIFY_WORKER_BENCH_H
#define TESTS_VERIFY_WORKER_BENCH_H

#include "tests/model/tiny_checkpoint.h"

#include "common/proc.h"
#include "verify_worker/prefill.h"
#include "verify_worker/target_cache.h"
#include "verify_worker/transcode.h"

struct bench {
    struct rundir *dir;
    struct proc store;
    struct kv_client *client;
    struct device *dev;
    struct model *model;
    struct temp_dir checkpoint;
    const struct model_config *cfg;
    struct kv_shape shape;
};

#define BENCH_OK(call)                                                                             \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        if ((call) != ST_OK)                                                                       \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

struct bench_options {
    double link_gbps;        /* 0: none */
    const char *arena_bytes; /* NULL: 256 MiB */
    struct tiny tiny;        /* what kind of model */
};

static inline void bench_open_as(struct bench *b, const struct bench_options *o)
{
    const struct device_options opt = {.n_threads = 2, .link_gbps = o->link_gbps};
    struct tiny tiny = o->tiny;

    memset(b, 0, sizeof *b);
    BENCH_OK(proc_init(false, &err));
    BENCH_OK(rundir_create(&b->dir, &err));
    char *argv[] = {(char *)TEST_BUILD_DIR "/bin/mspeckv-kvstore",
                    (char *)"--run-dir",
                    (char *)rundir_path(b->dir),
                    (char *)"--arena-bytes",
                    (char *)(o->arena_bytes != NULL ? o->arena_bytes : "268435456"),
                    NULL};
    BENCH_OK(proc_spawn(&b->store, "kvstore", argv, "/dev/null", &err));
    BENCH_OK(kv_client_open(&b->client, b->dir, "bench", &err));
    BENCH_OK(device_open(&b->dev, "cpu:0", &opt, &err));
    b->checkpoint = temp_dir_make();
    tiny.seed = 5;
    tiny_make(&tiny);
    tiny_write(&tiny, &b->checkpoint);
    tiny_release(&tiny);
    BENCH_OK(model_open(&b->model, b->dev, b->checkpoint.path, &err));
    b->cfg = model_config(b->model);
    b->shape = snapshot_shape(b->cfg);
}

static inline void bench_open_arena(struct bench *b, double link_gbps, const char *arena_bytes)
{
    bench_open_as(b, &(struct bench_options){.link_gbps = link_gbps, .arena_bytes = arena_bytes});
}

static inline void bench_open(struct bench *b, double link_gbps)
{
    bench_open_arena(b, link_gbps, NULL);
}

static inline void bench_close(struct bench *b)
{
    model_close(b->model);
    device_close(b->dev);
    kv_client_close(b->client);
    proc_stop(&b->store, 3000);
    rundir_leave(b->dir);
    temp_dir_remove(&b->checkpoint);
}

static inline uint64_t bench_prefill(struct bench *b, uint32_t n_tokens)
{
    int32_t *token = calloc(n_tokens, sizeof *token);
    struct prefill_args args = {.dev = b->dev,
                                .model = b->model,
                                .store = b->client,
                                .base = KV_F16,
                                .token = token,
                                .n_tokens = n_tokens};
    uint64_t seq = 0, bytes = 0;

    for (uint32_t i = 0; i < n_tokens; i++)
        token[i] = (int32_t)(i * i * 7 + i + 3) % TINY_VOCAB;
    BENCH_OK(prefill_run(&args, &seq, &bytes, &err));
    free(token);
    return seq;
}

static inline struct msg_stats bench_stats(struct bench *b)
{
    struct msg_stats stats = {0};

    BENCH_OK(kv_client_stats(b->client, &stats, &err));
    return stats;
}

/* The parts of one trial, open at the end of its prompt. */
struct parts {
    struct snapshot snapshot;
    struct transcode_set set;
    struct transcoded sealed;
    struct placement *placement;
    struct target_cache *cache;
    uint32_t max_tokens;
};

struct parts_args {
    uint64_t seq;
    enum kv_format format;
    uint32_t on_chip, resident, staging_layers;
};

static inline void parts_open(struct parts *p, struct bench *b, const struct parts_args *a)
{
    struct placement_args place = {.dev = b->dev,
                                   .store = b->client,
                                   .base = KV_F16,
                                   .sealed = a->format,
                                   .on_chip = a->on_chip,
                                   .resident = a->resident,
                                   .staging_layers = a->staging_layers};

    memset(p, 0, sizeof *p);
    place.snapshot = &p->snapshot;
    BENCH_OK(snapshot_acquire(&p->snapshot, b->client, a->seq, b->cfg, KV_F16, &err));
    BENCH_OK(transcode_get(&p->set, b->dev, b->client, &p->snapshot, a->format, &p->sealed, &err));
    p->max_tokens = p->snapshot.head.n_tokens + 700;
    place.sealed_seq = p->sealed.seq;
    place.max_pages = (p->max_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    BENCH_OK(placement_open(&p->placement, &place, &err));
    place.snapshot = &p->snapshot;
    BENCH_OK(target_cache_open(&p->cache, b->dev, b->model, p->placement, &p->snapshot,
                               p->max_tokens, &err));
}

static inline void parts_close(struct parts *p, struct bench *b)
{
    target_cache_close(p->cache);
    placement_close(p->placement);
    transcode_forget(&p->set, b->client, p->snapshot.map.seq);
    snapshot_release(&p->snapshot, b->client);
}

/* Head section `head` of a page. */
static inline const uint8_t *bench_head(const struct bench *b, const void *page,
                                        enum kv_format format, uint32_t head)
{
    return (const uint8_t *)page + head * kv_head_bytes(format, b->shape.head_dim);
}

/* One page of `from` in another format, by the definition. */
static inline void bench_seal(const struct bench *b, const void *from, enum kv_format to, void *out)
{
    const struct kv_format_ops *in = kv_format_ops(KV_F16);
    float k[PAGE_TOKENS * TINY_HEAD_DIM], v[PAGE_TOKENS * TINY_HEAD_DIM];

    memset(out, 0, kv_page_bytes(to, b->shape));
    for (uint32_t h = 0; h < b->shape.n_kv_heads; h++) {
        const uint8_t *head = bench_head(b, from, KV_F16, h);
        for (uint32_t t = 0; t < PAGE_TOKENS; t++) {
            in->get_k(head, TINY_HEAD_DIM, t, k + t * TINY_HEAD_DIM);
            in->get_v(head, TINY_HEAD_DIM, t, v + t * TINY_HEAD_DIM);
        }
        kv_format_ops(to)->seal((uint8_t *)(uintptr_t)bench_head(b, out, to, h), TINY_HEAD_DIM, k,
                                v);
    }
}

#endif
