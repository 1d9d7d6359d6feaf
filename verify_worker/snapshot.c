#include "verify_worker/snapshot.h"

#include <string.h>

#include "common/mem.h"

static size_t align64(size_t n)
{
    return (n + 63) / 64 * 64;
}

struct kv_shape snapshot_shape(const struct model_config *cfg)
{
    return (struct kv_shape){cfg->n_kv_heads, cfg->head_dim};
}

static size_t tail_bytes(const struct model_config *cfg, enum kv_format base)
{
    return cfg->n_layers * kv_page_bytes(base, snapshot_shape(cfg));
}

static size_t query_bytes(const struct model_config *cfg)
{
    return align64((size_t)cfg->n_layers * cfg->n_heads * cfg->head_dim * sizeof(float));
}

size_t snapshot_blob_bytes(const struct model_config *cfg, enum kv_format base)
{
    return align64(sizeof(struct snapshot_head)) + align64(tail_bytes(cfg, base)) +
           query_bytes(cfg) + align64((size_t)cfg->n_vocab * sizeof(float));
}

static void place_parts(struct snapshot *out, const struct model_config *cfg, enum kv_format base,
                        const uint8_t *blob)
{
    out->tail = blob + align64(sizeof(struct snapshot_head));
    out->query = (const float *)(const void *)(out->tail + align64(tail_bytes(cfg, base)));
    out->logits = (const float *)(const void *)((const uint8_t *)out->query + query_bytes(cfg));
}

void snapshot_layout(struct snapshot *out, const struct model_config *cfg, enum kv_format base,
                     uint32_t n_tokens, uint64_t prefix_hash, uint8_t *blob)
{
    memset(out, 0, sizeof *out);
    out->head = (struct snapshot_head){
        .magic = SNAPSHOT_MAGIC,
        .version = SNAPSHOT_VERSION,
        .n_tokens = n_tokens,
        .base_format = base,
        .n_layers = cfg->n_layers,
        .n_heads = cfg->n_heads,
        .n_kv_heads = cfg->n_kv_heads,
        .head_dim = cfg->head_dim,
        .n_vocab = cfg->n_vocab,
        .prefix_hash = prefix_hash,
    };
    place_parts(out, cfg, base, blob);
    memcpy(blob, &out->head, sizeof out->head);
}

static enum status check_head(const struct snapshot *s, const struct model_config *cfg,
                              enum kv_format base, struct err *err)
{
    struct snapshot want;
    uint8_t head[sizeof(struct snapshot_head)];

    snapshot_layout(&want, cfg, base, s->head.n_tokens, s->head.prefix_hash, head);
    if (s->map.blob_bytes < snapshot_blob_bytes(cfg, base) ||
        memcmp(&want.head, &s->head, sizeof want.head) != 0)
        return err_set(err, ST_INVALID, "snapshot %llu was made by another model or format",
                       (unsigned long long)s->map.seq);
    if (s->head.n_tokens == 0 || s->map.n_pages != s->head.n_tokens / PAGE_TOKENS)
        return err_set(err, ST_CORRUPT, "snapshot %llu: %u pages for %u tokens",
                       (unsigned long long)s->map.seq, s->map.n_pages, s->head.n_tokens);
    return ST_OK;
}

enum status snapshot_acquire(struct snapshot *out, struct kv_client *store, uint64_t seq,
                             const struct model_config *cfg, enum kv_format base, struct err *err)
{
    struct snapshot s = {0};
    const uint8_t *blob;
    enum status st;

    st = kv_client_acquire(store, seq, true, &s.map, err);
    if (st != ST_OK)
        return err_in(err, st, "snapshot %llu", (unsigned long long)seq);
    if (s.map.blob_bytes < sizeof s.head) {
        st = err_set(err, ST_INVALID, "sequence %llu is not a snapshot", (unsigned long long)seq);
    } else {
        s.arena = kv_client_base(store);
        blob = s.arena + s.map.blob_offset;
        memcpy(&s.head, blob, sizeof s.head);
        place_parts(&s, cfg, base, blob);
        st = check_head(&s, cfg, base, err);
    }
    if (st != ST_OK) {
        snapshot_release(&s, store);
        return st;
    }
    *out = s;
    return ST_OK;
}

const void *snapshot_page(const struct snapshot *s, uint32_t layer, uint32_t page)
{
    for (uint32_t i = 0; i < s->map.n_runs; i++) {
        const struct msg_page_run *run = &s->map.run[i];
        if (run->layer == layer && page >= run->first_page && page - run->first_page < run->n_pages)
            return s->arena + run->offset + (page - run->first_page) * s->map.page_bytes;
    }
    CHECK(!"the page is in the snapshot");
    return NULL;
}

void snapshot_release(struct snapshot *s, struct kv_client *store)
{
    struct err ignored = {{0}};

    if (s->map.lease != 0)
        (void)kv_client_release(store, s->map.lease, &ignored);
    kv_map_release(&s->map);
    memset(s, 0, sizeof *s);
}
