/*
 * Reservations and leases: what clients hold of a sequence. Declared in seq.h.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/mem.h"
#include "kernels/kv_format.h"
#include "kvstore/seq.h"

/* A COMMIT carries a checksum for every page: 100 Ki of them, with all 8 bytes
 * each, leave room for the other fields. */
enum { MAX_RESERVE_PAGES = MSG_MAX_TOKENS / 2, MAX_COLUMNS = 1 << 20 };

static enum status check_reserve(const struct seq *seq, uint32_t n_columns, struct err *err)
{
    uint32_t n_lists = seq_n_lists(seq);

    if (seq->reservation)
        return err_set(err, ST_INVALID, "sequence %" PRIu64 " has an open reservation already",
                       seq->id);
    if (n_columns > MAX_COLUMNS - seq->n_pages)
        return err_set(err, ST_INVALID, "%u columns after %u, the most is %d together", n_columns,
                       seq->n_pages, MAX_COLUMNS);
    if ((uint64_t)n_columns * n_lists > MAX_RESERVE_PAGES)
        return err_set(err, ST_INVALID,
                       "%u columns of %u layers, at most %d pages can be committed at once",
                       n_columns, n_lists, MAX_RESERVE_PAGES);
    return ST_OK;
}

/* Every map of a sequence must fit into one message. */
static enum status check_runs(const struct reservation *r, const struct seq *seq, struct err *err)
{
    uint32_t n_runs = 0;

    for (uint32_t i = 0; i < r->n_lists; i++)
        n_runs +=
            page_list_runs(&seq->list[i], 0, 0, NULL) + page_list_runs(&r->list[i], 0, 0, NULL);
    if (n_runs > MSG_MAX_RUNS)
        return err_set(err, ST_NO_SPACE,
                       "the sequence would lie in %u pieces, a page map holds %d; reserve more "
                       "columns at a time",
                       n_runs, MSG_MAX_RUNS);
    return ST_OK;
}

enum status reservation_open(struct reservation **out, const struct seq *seq, uint32_t n_columns,
                             struct arena *arena, struct err *err)
{
    struct reservation *r;
    enum status st;

    st = check_reserve(seq, n_columns, err);
    if (st != ST_OK)
        return st;
    r = mem_zalloc(sizeof *r);
    r->seq = seq->id;
    r->n_columns = n_columns;
    r->n_lists = seq_n_lists(seq);
    r->list = mem_array(r->n_lists, sizeof *r->list);
    for (uint32_t i = 0; st == ST_OK && i < r->n_lists; i++)
        st = page_list_reserve(&r->list[i], &seq->list[i], n_columns, seq->page_bytes, arena, err);
    if (st == ST_OK)
        st = check_runs(r, seq, err);
    if (st != ST_OK) {
        reservation_close(r, arena);
        return st;
    }
    *out = r;
    return ST_OK;
}

static enum status check_commit(const struct reservation *r, const struct seq *seq,
                                const struct msg_commit *what, struct err *err)
{
    uint64_t want = (uint64_t)r->n_columns * r->n_lists;

    if (what->n_checksums != want)
        return err_set(err, ST_INVALID, "%u checksums for %u columns of %u layers",
                       what->n_checksums, r->n_columns, r->n_lists);
    if (what->blob && !seq->blob)
        return err_set(err, ST_INVALID, "sequence %" PRIu64 " has no blob to seal", seq->id);
    if (what->blob && seq->blob_sealed)
        return err_set(err, ST_INVALID, "the blob of sequence %" PRIu64 " is sealed already",
                       seq->id);
    return ST_OK;
}

/* Headers of list i; checksums come column by column. */
static void write_headers(const struct reservation *r, uint32_t i, const struct seq *seq,
                          const uint64_t *checksum)
{
    for (uint32_t column = 0; column < r->n_columns; column++) {
        struct page_span at = page_list_at(&r->list[i], column);
        struct page_header header = {
            .generation = seq->generation,
            .checksum = checksum[(size_t)column * r->n_lists + i],
            .seq = seq->id,
            .offset = at.extent->offset + at.slot * seq->page_bytes,
            .page_bytes = seq->page_bytes,
            .layer = seq->first_layer + i,
            .page = seq->n_pages + column,
            .format = seq->format,
            .layout_id = KV_LAYOUT_ID,
            .state = PAGE_COMMITTED,
        };
        extent_set_header(at.extent, at.slot, &header);
    }
}

enum status reservation_commit(struct reservation *r, struct seq *seq,
                               const struct msg_commit *what, struct arena *arena, struct err *err)
{
    enum status st = check_commit(r, seq, what, err);

    if (st != ST_OK)
        return st;
    for (uint32_t i = 0; i < r->n_lists; i++) {
        write_headers(r, i, seq, what->checksum);
        page_list_commit(&seq->list[i], &r->list[i], arena);
    }
    seq->n_pages += r->n_columns;
    if (what->blob) {
        seq->blob_checksum = what->blob_checksum;
        seq->blob_sealed = true;
    }
    return ST_OK;
}

void reservation_close(struct reservation *r, struct arena *arena)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n_lists; i++)
        page_list_release(&r->list[i], arena);
    free(r->list);
    free(r);
}

struct lease *lease_open(const struct seq *seq)
{
    struct lease *lease = mem_zalloc(sizeof *lease);
    uint32_t n = seq->blob ? 1 : 0, at = 0;

    for (uint32_t i = 0; i < seq_n_lists(seq); i++)
        n += seq->list[i].n_spans;
    lease->seq = seq->id;
    lease->n_extents = n;
    lease->extent = mem_array(n, sizeof(struct extent *));
    for (uint32_t i = 0; i < seq_n_lists(seq); i++)
        for (uint32_t k = 0; k < seq->list[i].n_spans; k++)
            lease->extent[at++] = seq->list[i].span[k].extent;
    if (seq->blob)
        lease->extent[at++] = seq->blob;
    for (uint32_t i = 0; i < n; i++)
        extent_hold_lease(lease->extent[i]);
    return lease;
}

void lease_close(struct lease *lease, struct arena *arena)
{
    if (!lease)
        return;
    for (uint32_t i = 0; i < lease->n_extents; i++)
        extent_drop_lease(lease->extent[i], arena);
    free(lease->extent);
    free(lease);
}
