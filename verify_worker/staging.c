#include "verify_worker/staging.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/trace.h"

struct slot {
    uint8_t *mem;     /* device, [max_pages] pages */
    uint32_t layer;   /* index among the offloaded layers */
    uint32_t n_pages; /* up to here copied or on their way */
    size_t n_bytes;   /* of its copies, for this use */
    uint64_t ticket;
    bool busy; /* assigned to `layer` */
};

struct staging {
    struct staging_args args;
    struct slot *slot;  /* [n_slots]; the k-th use goes to slot k % n_slots */
    uint64_t n_taken;   /* uses so far: the next take is of layer n_taken % n_layers */
    uint64_t n_started; /* uses whose copy has begun */
    uint32_t ahead;     /* pages that may be copied before they are asked for */
    uint64_t used_bytes;
    uint64_t stalled_ns; /* of the device, before this ring */
    bool taken;
};

enum status staging_open(struct staging **out, const struct staging_args *args, struct err *err)
{
    struct staging *s = mem_zalloc(sizeof *s);
    enum status st = ST_OK;
    void *mem;

    s->args = *args;
    s->stalled_ns = device_copy_stall_ns(args->dev);
    s->slot = mem_array(args->n_slots, sizeof *s->slot);
    for (uint32_t i = 0; st == ST_OK && i < args->n_slots; i++) {
        st = device_alloc(args->dev, DEVICE_KV_STAGING, args->max_pages * args->page_bytes, &mem,
                          err);
        if (st == ST_OK)
            s->slot[i].mem = mem;
    }
    if (st != ST_OK) {
        staging_close(s);
        return err_in(err, st, "staging ring of %u layers", args->n_slots);
    }
    *out = s;
    return ST_OK;
}

void staging_close(struct staging *s)
{
    struct err ignored = {{0}};

    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->args.n_slots; i++) {
        if (s->slot[i].ticket != 0)
            (void)device_copy_wait(s->args.dev, s->slot[i].ticket, &ignored);
    }
    /* The host goes on before the copies end where only operations wait for them. */
    (void)device_sync(s->args.dev, &ignored);
    for (uint32_t i = 0; i < s->args.n_slots; i++)
        device_free(s->args.dev, s->slot[i].mem);
    free(s->slot);
    free(s);
}

/* Queues pages [slot->n_pages, n_pages), one copy per contiguous run. */
static enum status copy_pages(struct staging *s, struct slot *slot, uint32_t n_pages,
                              struct err *err)
{
    void *const *page = s->args.host_page[s->args.first_layer + slot->layer];
    size_t bytes = s->args.page_bytes;
    enum status st = ST_OK;

    while (st == ST_OK && slot->n_pages < n_pages) {
        uint32_t from = slot->n_pages, to = from + 1;
        while (to < n_pages && (uint8_t *)page[to] == (uint8_t *)page[to - 1] + bytes)
            to++;
        st = device_copy_start(s->args.dev, slot->mem + from * bytes, page[from],
                               (to - from) * bytes, &slot->ticket, err);
        slot->n_pages = to;
        slot->n_bytes += (to - from) * bytes;
    }
    return st;
}

static enum status start_next(struct staging *s, uint32_t n_pages, struct err *err)
{
    struct slot *slot = &s->slot[s->n_started % s->args.n_slots];

    slot->layer = (uint32_t)(s->n_started % s->args.n_layers);
    slot->n_pages = 0;
    slot->n_bytes = 0;
    if (s->args.first_page != NULL)
        slot->n_pages = s->args.first_page[s->args.first_layer + slot->layer];
    slot->busy = true;
    s->n_started++;
    return copy_pages(s, slot, n_pages, err);
}

static enum status run_ahead(struct staging *s, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && s->ahead > 0 && s->n_started < s->n_taken + s->args.n_slots &&
           !s->slot[s->n_started % s->args.n_slots].busy)
        st = start_next(s, s->ahead, err);
    return st;
}

enum status staging_ahead(struct staging *s, uint32_t n_pages, struct err *err)
{
    s->ahead = n_pages;
    return run_ahead(s, err);
}

enum status staging_take(struct staging *s, uint32_t layer, uint32_t n_pages, uint8_t **pages,
                         struct err *err)
{
    struct slot *slot = &s->slot[s->n_taken % s->args.n_slots];
    uint64_t span = trace_begin(TRACE_COPY_WAIT);
    enum status st = ST_OK;

    CHECK(!s->taken && layer == s->args.first_layer + s->n_taken % s->args.n_layers);
    CHECK(n_pages <= s->args.max_pages);
    if (s->n_started == s->n_taken)
        st = start_next(s, n_pages, err);
    else
        st = copy_pages(s, slot, n_pages, err);
    if (st == ST_OK && slot->ticket != 0)
        st = device_copy_wait(s->args.dev, slot->ticket, err);
    trace_end(TRACE_COPY_WAIT, span, slot->n_bytes, layer);
    s->used_bytes += st == ST_OK ? slot->n_bytes : 0;
    s->taken = st == ST_OK;
    *pages = slot->mem;
    return st;
}

enum status staging_give(struct staging *s, uint32_t layer, struct err *err)
{
    CHECK(s->taken && layer == s->args.first_layer + s->n_taken % s->args.n_layers);
    s->slot[s->n_taken % s->args.n_slots].busy = false;
    s->taken = false;
    s->n_taken++;
    return run_ahead(s, err);
}

void *staging_idle_slot(struct staging *s)
{
    CHECK(s->n_started == 0);
    return s->slot[0].mem;
}

uint64_t staging_used_bytes(const struct staging *s)
{
    return s == NULL ? 0 : s->used_bytes;
}

uint64_t staging_wait_ns(const struct staging *s)
{
    return s == NULL ? 0 : device_copy_stall_ns(s->args.dev) - s->stalled_ns;
}
