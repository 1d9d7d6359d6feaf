#include "verify_worker/transcode.h"

#include <math.h>

#include "common/mem.h"
#include "kernels/ops.h"

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
    void *from_page, *to_page; /* device */
    double k_error[2], v_error[2];
};

static enum status one_page(struct transcode *t, uint32_t layer, uint32_t page, void *out,
                            struct err *err)
{
    enum kv_format base = (enum kv_format)t->snapshot->head.base_format;
    const void *from = t->from_page;
    struct kv_seal_args seal = {&t->to_page, &from, base,       t->to,
                                t->shape,    1,     t->k_error, t->v_error};
    enum status st;

    st = device_upload(t->dev, t->from_page, snapshot_page(t->snapshot, layer, page),
                       kv_page_bytes(base, t->shape), err);
    if (st == ST_OK)
        st = device_ops(t->dev)->kv_seal(t->dev, &seal, err);
    if (st == ST_OK)
        st = device_download(t->dev, out, t->to_page, kv_page_bytes(t->to, t->shape), err);
    return st;
}

static enum status all_pages(struct transcode *t, const struct msg_page_map *map, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < map->n_runs; i++) {
        const struct msg_page_run *run = &map->run[i];
        uint8_t *out = (uint8_t *)kv_client_base(t->store) + run->offset;
        for (uint32_t p = 0; st == ST_OK && p < run->n_pages; p++)
            st = one_page(t, run->layer, run->first_page + p, out + p * map->page_bytes, err);
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
    struct msg_seq made = {0};
    enum status st;

    st = device_alloc(t->dev, DEVICE_SCRATCH,
                      kv_page_bytes((enum kv_format)head->base_format, t->shape), &t->from_page,
                      err);
    if (st == ST_OK)
        st = device_alloc(t->dev, DEVICE_SCRATCH, create.page_bytes, &t->to_page, err);
    if (st == ST_OK)
        st = kv_client_create(t->store, &create, &made, err);
    if (st == ST_OK && t->snapshot->map.n_pages > 0)
        st = fill_sequence(t, made.seq, t->snapshot->map.n_pages, err);
    if (st != ST_OK && made.seq != 0)
        (void)kv_client_drop(t->store, made.seq, &ignored);
    device_free(t->dev, t->from_page);
    device_free(t->dev, t->to_page);
    t->from_page = t->to_page = NULL;
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
