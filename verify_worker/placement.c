#include "verify_worker/placement.h"

#include <stdlib.h>

#include "common/mem.h"
#include "kernels/ops.h"
#include "verify_worker/staging.h"

struct layer {
    enum kv_format format;
    uint8_t *mem; /* device, [max_pages]; NULL for an offloaded layer */
    void **host;  /* [max_pages] addresses in the arena; NULL for an on-chip layer */
    void **page;  /* [max_pages] what attention reads: into mem, or the host page */
};

struct placement {
    struct placement_args args;
    struct kv_shape shape;
    uint32_t n_layers, first_offloaded, n_sealed;
    struct layer *layer;
    void *const **host_table; /* [n_layers], for the staging ring */
    uint32_t *first_page;     /* [n_layers] that passes still read */
    uint64_t seq, lease;      /* 0 without layers below on_chip */
    void *scratch;            /* device, one sealed page on its way to the store */
    struct staging *ring;     /* NULL where nothing is streamed */
    const void **staged;      /* [max_pages] addresses in the slot at hand */
    uint64_t in_place_bytes;
    double k_error[2], v_error[2];
};

static size_t page_bytes(const struct placement *p, uint32_t layer)
{
    return kv_page_bytes(p->layer[layer].format, p->shape);
}

static bool is_offloaded(const struct placement *p, uint32_t layer)
{
    return layer >= p->first_offloaded;
}

/* Addresses of the trial's pages in the store, from its lease. */
static enum status attach_sequence(struct placement *p, struct err *err)
{
    struct msg_fork_seq fork = {p->args.sealed_seq, p->args.on_chip, p->n_sealed};
    struct kv_client *store = p->args.store;
    struct msg_page_map map = {0};
    struct msg_seq made = {0};
    enum status st;

    if (p->args.on_chip == p->n_layers)
        return ST_OK;
    st = kv_client_fork(store, &fork, &made, err);
    if (st != ST_OK)
        return err_in(err, st, "forking sequence %llu", (unsigned long long)p->args.sealed_seq);
    p->seq = made.seq;
    st = kv_client_acquire(store, p->seq, false, &map, err);
    if (st == ST_OK) {
        p->lease = map.lease;
        for (uint32_t l = p->args.on_chip; l < p->n_layers; l++)
            kv_client_pages(store, &map, l, 0, p->n_sealed, p->layer[l].host);
    }
    kv_map_release(&map);
    return st;
}

static enum status fill_device_layer(struct placement *p, uint32_t l, enum device_use use,
                                     void *const *from, struct err *err)
{
    size_t bytes = page_bytes(p, l);
    void *mem;
    enum status st;

    st = device_alloc(p->args.dev, use, p->args.max_pages * bytes, &mem, err);
    if (st != ST_OK)
        return err_in(err, st, "layer %u", l);
    p->layer[l].mem = mem;
    for (uint32_t i = 0; i < p->args.max_pages; i++)
        p->layer[l].page[i] = p->layer[l].mem + i * bytes;
    for (uint32_t i = 0; st == ST_OK && i < p->n_sealed; i++)
        st = device_upload(p->args.dev, p->layer[l].page[i], from[i], bytes, err);
    return st;
}

static enum status fill_device(struct placement *p, struct err *err)
{
    void **from = mem_array(p->args.max_pages, sizeof *from);
    enum status st = ST_OK;

    for (uint32_t l = 0; st == ST_OK && l < p->args.on_chip; l++) {
        kv_client_pages(p->args.store, &p->args.snapshot->map, l, 0, p->n_sealed, from);
        st = fill_device_layer(p, l, DEVICE_KV_ON_CHIP, from, err);
    }
    for (uint32_t l = p->args.on_chip; st == ST_OK && l < p->first_offloaded; l++)
        st = fill_device_layer(p, l, DEVICE_KV_RESIDENT, p->layer[l].host, err);
    free(from);
    return st;
}

static enum status open_ring(struct placement *p, struct err *err)
{
    uint32_t n = p->n_layers - p->first_offloaded;
    struct staging_args args = {.dev = p->args.dev,
                                .n_slots = p->args.staging_layers,
                                .first_layer = p->first_offloaded,
                                .n_layers = n,
                                .max_pages = p->args.max_pages,
                                .page_bytes = kv_page_bytes(p->args.sealed, p->shape)};

    if (n == 0 || device_reads_host(p->args.dev))
        return ST_OK;
    if (args.n_slots == 0)
        args.n_slots = 2;
    for (uint32_t l = 0; l < p->n_layers; l++)
        p->host_table[l] = p->layer[l].host;
    args.host_page = (void *const *const *)p->host_table;
    args.first_page = p->first_page;
    return staging_open(&p->ring, &args, err);
}

static void describe_layers(struct placement *p)
{
    for (uint32_t l = 0; l < p->n_layers; l++) {
        struct layer *layer = &p->layer[l];
        layer->format = l < p->args.on_chip ? p->args.base : p->args.sealed;
        layer->page = mem_array(p->args.max_pages, sizeof *layer->page);
        if (l >= p->args.on_chip)
            layer->host = mem_array(p->args.max_pages, sizeof *layer->host);
    }
}

enum status placement_open(struct placement **out, const struct placement_args *args,
                           struct err *err)
{
    struct placement *p = mem_zalloc(sizeof *p);
    enum status st;

    p->args = *args;
    p->shape = (struct kv_shape){args->snapshot->head.n_kv_heads, args->snapshot->head.head_dim};
    p->n_layers = args->snapshot->head.n_layers;
    p->first_offloaded = args->on_chip + args->resident;
    p->n_sealed = args->snapshot->head.n_tokens / PAGE_TOKENS;
    CHECK(p->first_offloaded <= p->n_layers && p->n_sealed <= args->max_pages);
    p->layer = mem_array(p->n_layers, sizeof *p->layer);
    p->host_table = mem_array(p->n_layers, sizeof *p->host_table);
    p->first_page = mem_array(p->n_layers, sizeof *p->first_page);
    p->staged = mem_array(args->max_pages, sizeof *p->staged);
    describe_layers(p);
    st = device_alloc(args->dev, DEVICE_SCRATCH, kv_page_bytes(args->sealed, p->shape), &p->scratch,
                      err);
    if (st == ST_OK)
        st = attach_sequence(p, err);
    if (st == ST_OK)
        st = fill_device(p, err);
    for (uint32_t l = p->first_offloaded; st == ST_OK && l < p->n_layers; l++)
        for (uint32_t i = 0; i < p->n_sealed; i++)
            p->layer[l].page[i] = p->layer[l].host[i];
    if (st == ST_OK)
        st = open_ring(p, err);
    p->args.snapshot = NULL; /* borrowed for the open only */
    if (st != ST_OK) {
        placement_close(p);
        return err_in(err, st, "placing %u on-chip and %u resident layers", args->on_chip,
                      args->resident);
    }
    *out = p;
    return ST_OK;
}

void placement_close(struct placement *p)
{
    struct err ignored = {{0}};

    if (p == NULL)
        return;
    staging_close(p->ring);
    if (p->lease != 0)
        (void)kv_client_release(p->args.store, p->lease, &ignored);
    if (p->seq != 0)
        (void)kv_client_drop(p->args.store, p->seq, &ignored);
    for (uint32_t l = 0; l < p->n_layers; l++) {
        device_free(p->args.dev, p->layer[l].mem);
        free(p->layer[l].host);
        free(p->layer[l].page);
    }
    device_free(p->args.dev, p->scratch);
    free(p->layer);
    free(p->host_table);
    free(p->first_page);
    free(p->staged);
    free(p);
}

uint32_t placement_n_sealed(const struct placement *p)
{
    return p->n_sealed;
}

enum kv_format placement_format(const struct placement *p, uint32_t layer)
{
    return p->layer[layer].format;
}

/* One layer's new page: sealed on the device, then in the store. */
static enum status seal_layer(struct placement *p, uint32_t l, const void *tail,
                              const struct msg_page_map *reserved, struct err *err)
{
    struct layer *layer = &p->layer[l];
    void *target = layer->mem != NULL ? layer->page[p->n_sealed] : p->scratch;
    struct kv_seal_args args = {&target,  &tail, p->args.base, layer->format,
                                p->shape, 1,     p->k_error,   p->v_error};
    enum status st;

    if (layer->host == NULL)
        args.k_error = args.v_error = NULL;
    st = device_ops(p->args.dev)->kv_seal(p->args.dev, &args, err);
    if (st != ST_OK || layer->host == NULL)
        return st;
    kv_client_pages(p->args.store, reserved, l, p->n_sealed, 1, &layer->host[p->n_sealed]);
    if (layer->mem == NULL)
        layer->page[p->n_sealed] = layer->host[p->n_sealed];
    return device_download(p->args.dev, layer->host[p->n_sealed], target, page_bytes(p, l), err);
}

enum status placement_seal(struct placement *p, const void *const *tail, struct err *err)
{
    struct msg_page_map reserved = {0};
    struct err ignored = {{0}};
    enum status st = ST_OK;

    CHECK(p->n_sealed < p->args.max_pages);
    if (p->seq != 0)
        st = kv_client_reserve(p->args.store, p->seq, 1, &reserved, err);
    for (uint32_t l = 0; st == ST_OK && l < p->n_layers; l++)
        st = seal_layer(p, l, tail[l], &reserved, err);
    if (st == ST_OK && p->seq != 0)
        st = kv_client_commit(p->args.store, &reserved, false, err);
    else if (st != ST_OK && reserved.lease != 0)
        (void)kv_client_abort(p->args.store, reserved.lease, &ignored);
    kv_map_release(&reserved);
    if (st != ST_OK)
        return err_in(err, st, "sealing page %u", p->n_sealed);
    p->n_sealed++;
    return ST_OK;
}

void placement_pass_over(struct placement *p, uint32_t layer, uint32_t first_page)
{
    CHECK(layer < p->n_layers && first_page >= p->first_page[layer]);
    p->first_page[layer] = first_page;
}

enum status placement_take(struct placement *p, uint32_t layer, uint32_t n_pages,
                           const void *const **pages, struct err *err)
{
    size_t bytes = page_bytes(p, layer);
    uint32_t first = p->first_page[layer] < n_pages ? p->first_page[layer] : n_pages;
    uint8_t *mem;
    enum status st;

    CHECK(n_pages <= p->n_sealed);
    *pages = (const void *const *)p->layer[layer].page;
    if (!is_offloaded(p, layer))
        return ST_OK;
    if (p->ring == NULL) {
        p->in_place_bytes += (n_pages - first) * bytes;
        return ST_OK;
    }
    st = staging_take(p->ring, layer, n_pages, &mem, err);
    if (st != ST_OK)
        return err_in(err, st, "streaming layer %u", layer);
    for (uint32_t i = 0; i < n_pages; i++)
        p->staged[i] = i < first ? NULL : mem + i * bytes;
    *pages = p->staged;
    return ST_OK;
}

enum status placement_give(struct placement *p, uint32_t layer, struct err *err)
{
    if (p->ring == NULL || !is_offloaded(p, layer))
        return ST_OK;
    return staging_give(p->ring, layer, err);
}

enum status placement_ahead(struct placement *p, uint32_t n_pages, struct err *err)
{
    CHECK(n_pages <= p->n_sealed);
    return p->ring == NULL ? ST_OK : staging_ahead(p->ring, n_pages, err);
}

/* The ring's slots are idle still: the layer comes into one of them. */
static enum status bring_layer(struct placement *p, uint32_t layer, struct err *err)
{
    void *const *host = p->layer[layer].host;
    size_t bytes = page_bytes(p, layer);
    uint8_t *mem = staging_idle_slot(p->ring);
    enum status st = ST_OK;

    for (uint32_t from = 0, to; st == ST_OK && from < p->n_sealed; from = to) {
        for (to = from + 1; to < p->n_sealed; to++)
            if ((uint8_t *)host[to] != (uint8_t *)host[to - 1] + bytes)
                break;
        st = device_upload(p->args.dev, mem + from * bytes, host[from], (to - from) * bytes, err);
    }
    for (uint32_t i = 0; i < p->n_sealed; i++)
        p->staged[i] = mem + i * bytes;
    return st;
}

enum status placement_setup_pages(struct placement *p, uint32_t layer, const void *const **pages,
                                  struct err *err)
{
    enum status st = ST_OK;

    *pages = (const void *const *)p->layer[layer].page;
    if (!is_offloaded(p, layer) || device_shares_host(p->args.dev))
        return ST_OK;
    st = bring_layer(p, layer, err);
    *pages = p->staged;
    return st == ST_OK ? ST_OK : err_in(err, st, "bringing layer %u to the device", layer);
}

struct placement_counts placement_counts(const struct placement *p)
{
    uint64_t base = kv_page_bytes(p->args.base, p->shape) * p->args.max_pages;
    uint64_t sealed = kv_page_bytes(p->args.sealed, p->shape) * p->args.max_pages;
    uint32_t n_slots = p->args.staging_layers > 0 ? p->args.staging_layers : 2;

    return (struct placement_counts){
        .link_bytes = p->in_place_bytes + staging_used_bytes(p->ring),
        .link_wait_ns = staging_wait_ns(p->ring),
        .on_chip_bytes = base * p->args.on_chip,
        .resident_bytes = sealed * p->args.resident,
        .staging_bytes = p->ring != NULL ? sealed * n_slots : 0,
        .k_error = {p->k_error[0], p->k_error[1]},
        .v_error = {p->v_error[0], p->v_error[1]},
    };
}
