#include "verify_worker/transcode.h"

#include <math.h>

#include "common/mem.h"
#include "kernels/ops.h"

/* Pages of a call: tasks enough for every thread, in a few MB of scratch. */
enum { TRANSCODE_PAGES = 32 };

double transcode_relative_error(const double error[2])
{
    return error[1] > 0 ? sqrt(error[0] / error[1]) : -1;
}

struct transcode {
    struct device *dev;
    struct kv_client *store;
    const struct snapshot *snapshot;
    enum kv_format to;
    struct kv_shape shape;
    void *from_pages, *to_pages; /* device: TRANSCODE_PAGES each, one after the other */
    double k_error[2], v_error[2];
};

/* n pages of a layer to `out`, one after the other; n is at most TRANSCODE_PAGES. */
static enum status some_pages(struct transcode *t, uint32_t layer, uint32_t first, uint32_t n,
                              void *out, struct err *err)
{
    enum kv_format base = (enum kv_format)t->snapshot->head.base_format;
    size_t from_bytes = kv_page_bytes(base, t->shape), to_bytes = kv_page_bytes(t->to, t->shape);
    const void *from[TRANSCODE_PAGES];
    void *to[TRANSCODE_PAGES];
    struct kv_seal_args seal = {to, from, base, t->to, t->shape, (int)n, t->k_error, t->v_error};
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        void *page = (char *)t->from_pages + i * from_bytes;
        from[i] = page;
        to[i] = (char *)t->to_pages + i * to_bytes;
        st = device_upload(t->dev, page, snapshot_page(t->snapshot, layer, first + i), from_bytes,
                           err);
    }
    if (st == ST_OK)
        st = device_ops(t->dev)->kv_seal(t->dev, &seal, err);
    if (st == ST_OK)
        st = device_download(t->dev, out, t->to_pages, n * to_bytes, err);
    return st;
}

static enum status all_pages(struct transcode *t, const struct msg_page_map *map, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < map->n_runs; i++) {
        const struct msg_page_run *run = &map->run[i];
        uint8_t *out = (uint8_t *)kv_client_base(t->store) + run->offset;
        for (uint32_t p = 0; st == ST_OK && p < run->n_pages; p += TRANSCODE_PAGES) {
            uint32_t left = run->n_pages - p, n = left < TRANSCODE_PAGES ? left : TRANSCODE_PAGES;
            st = some_pages(t, run->layer, run->first_page + p, n, out + p * map->page_bytes, err);
        }
    }
    return st;
}

static enum status fill_sequence(struct transcode *t, uint64_t seq, uint32_t n_pages,
                                 struct err *err)
{
    struct msg_page_map map = {0};
    enum status st;

    st = kv_client_reserve(t->store, seq, n_pages, &map, err);
    if (st == ST_OK)
        st = all_pages(t, &map, err);
    if (st == ST_OK)
        st = kv_client_commit(t->store, &map, false, err);
    kv_map_release(&map);
    return st;
}

static enum status make_sequence(struct transcode *t, uint64_t *seq, struct err *err)
{
    const struct snapshot_head *head = &t->snapshot->head;
    struct msg_create_seq create = {.first_layer = 0,
                                    .n_layers = head->n_layers,
                                    .format = t->to,
                                    .page_bytes = kv_page_bytes(t->to, t->shape)};
    struct err ignored = {{0}};
    size_t from_bytes = kv_page_bytes((enum kv_format)head->base_format, t->shape);
    uint32_t n_pages = t->snapshot->map.n_pages;
    uint32_t n_scratch = n_pages < TRANSCODE_PAGES ? n_pages : TRANSCODE_PAGES;
    struct msg_seq made = {0};
    enum status st;

    st = device_alloc(t->dev, DEVICE_SCRATCH, n_scratch * from_bytes, &t->from_pages, err);
    if (st == ST_OK)
        st = device_alloc(t->dev, DEVICE_SCRATCH, n_scratch * create.page_bytes, &t->to_pages, err);
    if (st == ST_OK)
        st = kv_client_create(t->store, &create, &made, err);
    if (st == ST_OK && n_pages > 0)
        st = fill_sequence(t, made.seq, n_pages, err);
    if (st != ST_OK && made.seq != 0)
        (void)kv_client_drop(t->store, made.seq, &ignored);
    device_free(t->dev, t->from_pages);
    device_free(t->dev, t->to_pages);
    t->from_pages = t->to_pages = NULL;
    *seq = made.seq;
    return st;
}

enum status transcode_get(struct transcode_set *set, struct device *dev, struct kv_client *store,
                          const struct snapshot *snapshot, enum kv_format format,
                          struct transcoded *out, struct err *err)
{
    struct transcode t = {.dev = dev, .store = store, .snapshot = snapshot, .to = format};
    struct transcoded made = {snapshot->map.seq, format, snapshot->map.seq, -1, -1};
    enum status st;

    if (format == (enum kv_format)snapshot->head.base_format) {
        *out = made;
        return ST_OK;
    }
    for (uint32_t i = 0; i < set->n_items; i++) {
        if (set->item[i].snapshot == made.snapshot && set->item[i].format == format) {
            *out = set->item[i];
            return ST_OK;
        }
    }
    if (set->n_items == TRANSCODE_MAX)
        transcode_forget(set, store, set->item[0].snapshot);
    t.shape = (struct kv_shape){snapshot->head.n_kv_heads, snapshot->head.head_dim};
    st = make_sequence(&t, &made.seq, err);
    /* The other copies can be made again. */
    while (st == ST_NO_SPACE && set->n_items > 0) {
        transcode_forget(set, store, set->item[0].snapshot);
        st = make_sequence(&t, &made.seq, err);
    }
    if (st != ST_OK)
        return err_in(err, st, "transcoding snapshot %llu to %s", (unsigned long long)made.snapshot,
                      kv_format_ops(format)->name);
    made.k_error = transcode_relative_error(t.k_error);
    made.v_error = transcode_relative_error(t.v_error);
    set->item[set->n_items++] = made;
    *out = made;
    return ST_OK;
}

void transcode_forget(struct transcode_set *set, struct kv_client *store, uint64_t snapshot)
{
    struct err ignored = {{0}};
    uint32_t n = 0;

    for (uint32_t i = 0; i < set->n_items; i++) {
        if (set->item[i].snapshot == snapshot)
            (void)kv_client_drop(store, set->item[i].seq, &ignored);
        else
            set->item[n++] = set->item[i];
    }
    set->n_items = n;
}
