#include "kvstore/seq.h"

#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

#include "common/mem.h"

enum { PAGE_ALIGN = 64 };

static enum status check_create(const struct msg_create_seq *what, const struct arena *arena,
                                struct err *err)
{
    if (what->n_layers == 0 || what->n_layers > MSG_MAX_LAYERS)
        return err_set(err, ST_INVALID, "n_layers is %u, must be 1 .. %d", what->n_layers,
                       MSG_MAX_LAYERS);
    if (what->first_layer > what->n_layers)
        return err_set(err, ST_INVALID, "first_layer is %u, must be at most n_layers (%u)",
                       what->first_layer, what->n_layers);
    if (what->page_bytes == 0 || what->page_bytes % PAGE_ALIGN != 0)
        return err_set(err, ST_INVALID, "page_bytes is %" PRIu64 ", must be a multiple of %d",
                       what->page_bytes, PAGE_ALIGN);
    if (what->page_bytes > arena->size_bytes)
        return err_set(err, ST_INVALID, "page_bytes is %" PRIu64 ", more than the arena's %" PRIu64,
                       what->page_bytes, arena->size_bytes);
    return ST_OK;
}

static struct seq *alloc_seq(uint32_t first_layer, uint32_t n_layers)
{
    struct seq *seq = mem_zalloc(sizeof *seq);

    seq->first_layer = first_layer;
    seq->n_layers = n_layers;
    seq->generation = 1;
    seq->list = mem_array(n_layers - first_layer, sizeof *seq->list);
    return seq;
}

enum status seq_open(struct seq **out, const struct msg_create_seq *what, struct arena *arena,
                     struct err *err)
{
    struct extent *blob = NULL;
    struct seq *seq;
    enum status st;

    st = check_create(what, arena, err);
    if (st != ST_OK)
        return st;
    if (what->blob_bytes > 0) {
        st = extent_take(&blob, arena, 1, what->blob_bytes, err);
        if (st != ST_OK)
            return err_in(err, st, "blob of the new sequence");
        extent_settle(blob, arena); /* its client may write it from now on */
    }
    seq = alloc_seq(what->first_layer, what->n_layers);
    seq->keep = what->keep;
    seq->format = what->format;
    seq->page_bytes = what->page_bytes;
    seq->blob = blob;
    seq->blob_bytes = what->blob_bytes;
    *out = seq;
    return ST_OK;
}

enum status seq_fork(struct seq **out, const struct seq *from, const struct msg_fork_seq *what,
                     struct err *err)
{
    struct seq *seq;

    if (what->first_layer < from->first_layer || what->first_layer > from->n_layers)
        return err_set(err, ST_INVALID, "first_layer is %u, the sequence has layers %u .. %u",
                       what->first_layer, from->first_layer, from->n_layers);
    if (what->n_pages > from->n_pages)
        return err_set(err, ST_INVALID, "n_pages is %u, the sequence has %u", what->n_pages,
                       from->n_pages);
    seq = alloc_seq(what->first_layer, from->n_layers);
    seq->format = from->format;
    seq->page_bytes = from->page_bytes;
    seq->n_pages = what->n_pages;
    for (uint32_t i = 0; i < seq_n_lists(seq); i++)
        page_list_share(&seq->list[i], &from->list[what->first_layer - from->first_layer + i],
                        what->n_pages);
    if (from->blob_sealed) {
        extent_hold_list(from->blob);
        seq->blob = from->blob;
        seq->blob_bytes = from->blob_bytes;
        seq->blob_checksum = from->blob_checksum;
        seq->blob_sealed = true;
    }
    *out = seq;
    return ST_OK;
}

void seq_close(struct seq *seq, struct arena *arena)
{
    if (!seq)
        return;
    for (uint32_t i = 0; i < seq_n_lists(seq); i++)
        page_list_release(&seq->list[i], arena);
    free(seq->list);
    if (seq->blob)
        extent_drop_list(seq->blob, arena);
    free(seq);
}

static void map_head(const struct seq *seq, struct msg_page_map *map)
{
    *map = (struct msg_page_map){
        .seq = seq->id,
        .generation = seq->generation,
        .first_layer = seq->first_layer,
        .n_layers = seq->n_layers,
        .format = seq->format,
        .n_pages = seq->n_pages,
        .page_bytes = seq->page_bytes,
        .blob_offset = seq->blob ? seq->blob->offset : 0,
        .blob_bytes = seq->blob_bytes,
    };
}

void seq_map(const struct seq *seq, const struct reservation *r, struct msg_page_map *map)
{
    const struct page_list *list = r ? r->list : seq->list;
    uint32_t first_page = r ? seq->n_pages : 0, n_runs = 0;

    map_head(seq, map);
    for (uint32_t i = 0; i < seq_n_lists(seq); i++)
        n_runs += page_list_runs(&list[i], 0, 0, NULL);
    if (n_runs == 0)
        return;
    map->run = mem_array(n_runs, sizeof *map->run);
    for (uint32_t i = 0; i < seq_n_lists(seq); i++)
        map->n_runs +=
            page_list_runs(&list[i], seq->first_layer + i, first_page, map->run + map->n_runs);
}

static enum status verify_layer(const struct seq *seq, uint32_t layer, uint32_t n_pages,
                                const uint8_t *base, struct err *err)
{
    for (uint32_t page = 0; page < n_pages; page++) {
        struct page_span at = page_list_at(&seq->list[layer - seq->first_layer], page);
        const struct page_header *h = &at.extent->header[at.slot];
        uint64_t found = XXH3_64bits(base + h->offset, h->page_bytes);

        if (found != h->checksum)
            return err_set(err, ST_CORRUPT,
                           "layer %u page %u of sequence %" PRIu64 ": checksum %016" PRIx64
                           ", committed as %016" PRIx64,
                           layer, page, seq->id, found, h->checksum);
    }
    return ST_OK;
}

enum status seq_verify(const struct seq *seq, uint32_t first_layer, uint32_t n_pages,
                       const void *base, struct err *err)
{
    for (uint32_t layer = first_layer; layer < seq->n_layers; layer++) {
        enum status st = verify_layer(seq, layer, n_pages, base, err);
        if (st != ST_OK)
            return st;
    }
    if (seq->blob_sealed) {
        uint64_t found =
            XXH3_64bits((const uint8_t *)base + seq->blob->offset, (size_t)seq->blob_bytes);
        if (found != seq->blob_checksum)
            return err_set(err, ST_CORRUPT,
                           "blob of sequence %" PRIu64 ": checksum %016" PRIx64
                           ", committed as %016" PRIx64,
                           seq->id, found, seq->blob_checksum);
    }
    return ST_OK;
}
