#include "kvstore/page_list.h"

#include <stdlib.h>

#include "common/mem.h"

void page_list_release(struct page_list *list, struct arena *arena)
{
    for (uint32_t i = list->n_spans; i > 0; i--)
        extent_drop_list(list->span[i - 1].extent, arena);
    free(list->span);
    *list = (struct page_list){0};
}

/* The caller has already counted the list among the extent's holders. */
static void append(struct page_list *list, struct page_span span)
{
    if (list->n_spans == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 4;
        list->span = mem_resize(list->span, list->cap, sizeof *list->span);
    }
    list->span[list->n_spans++] = span;
    list->n_pages += span.n_pages;
}

/* Slots at the end of the last extent that only this list can reach. */
static struct page_span find_room(const struct page_list *list)
{
    struct page_span none = {0};
    const struct page_span *last;
    uint32_t end;

    if (list->n_spans == 0)
        return none;
    last = &list->span[list->n_spans - 1];
    end = last->slot + last->n_pages;
    if (last->extent->n_lists > 1)
        return none;
    if (last->extent->n_leases > 0 && last->extent->high > end)
        return none;
    return (struct page_span){
        .extent = last->extent, .slot = end, .n_pages = last->extent->n_slots - end};
}

enum status page_list_reserve(struct page_list *list, const struct page_list *base, uint32_t n,
                              uint64_t page_bytes, struct arena *arena, struct err *err)
{
    struct page_span room = find_room(base);

    CHECK(list->n_spans == 0);
    if (room.n_pages > n)
        room.n_pages = n;
    if (room.n_pages > 0) {
        extent_hold_list(room.extent);
        append(list, room);
    }
    while (list->n_pages < n) {
        uint32_t left = n - list->n_pages;
        struct page_span span = {0};
        enum status st = extent_take(&span.extent, arena, left, page_bytes, err);
        if (st != ST_OK) {
            page_list_release(list, arena);
            return st;
        }
        span.n_pages = span.extent->n_slots < left ? span.extent->n_slots : left;
        append(list, span);
    }
    return ST_OK;
}

void page_list_commit(struct page_list *base, struct page_list *reserved, struct arena *arena)
{
    for (uint32_t i = 0; i < reserved->n_spans; i++) {
        struct page_span span = reserved->span[i];
        struct page_span *last = base->n_spans ? &base->span[base->n_spans - 1] : NULL;

        extent_settle(span.extent, arena);
        /* Whatever once lay above was let go before the room was found. */
        span.extent->high = span.slot + span.n_pages;
        if (last && last->extent == span.extent) {
            CHECK(last->slot + last->n_pages == span.slot);
            last->n_pages += span.n_pages;
            base->n_pages += span.n_pages;
            extent_drop_list(span.extent, arena);
        } else {
            append(base, span);
        }
    }
    free(reserved->span);
    *reserved = (struct page_list){0};
}

void page_list_share(struct page_list *list, const struct page_list *from, uint32_t n)
{
    CHECK(list->n_spans == 0 && n <= from->n_pages);
    for (uint32_t i = 0; list->n_pages < n; i++) {
        struct page_span span = from->span[i];
        if (span.n_pages > n - list->n_pages)
            span.n_pages = n - list->n_pages;
        extent_hold_list(span.extent);
        append(list, span);
    }
}

void page_list_truncate(struct page_list *list, uint32_t n, struct arena *arena)
{
    CHECK(n <= list->n_pages);
    while (list->n_pages > n) {
        struct page_span *last = &list->span[list->n_spans - 1];
        uint32_t drop = list->n_pages - n;

        if (drop < last->n_pages) {
            last->n_pages -= drop;
            list->n_pages = n;
            return;
        }
        list->n_pages -= last->n_pages;
        list->n_spans--;
        extent_drop_list(last->extent, arena);
    }
}

struct page_span page_list_at(const struct page_list *list, uint32_t page)
{
    uint32_t i = 0;

    CHECK(page < list->n_pages);
    while (page >= list->span[i].n_pages)
        page -= list->span[i++].n_pages;
    return (struct page_span){
        .extent = list->span[i].extent, .slot = list->span[i].slot + page, .n_pages = 1};
}

uint32_t page_list_runs(const struct page_list *list, uint32_t layer, uint32_t first_page,
                        struct msg_page_run *run)
{
    uint32_t n_runs = 0;
    uint64_t end = 0; /* where the run would go on */

    for (uint32_t i = 0; i < list->n_spans; i++) {
        const struct page_span *s = &list->span[i];
        uint64_t start = s->extent->offset + s->slot * s->extent->page_bytes;

        if (n_runs == 0 || start != end) {
            if (run)
                run[n_runs] = (struct msg_page_run){
                    .layer = layer, .first_page = first_page, .offset = start};
            n_runs++;
        }
        if (run)
            run[n_runs - 1].n_pages += s->n_pages;
        first_page += s->n_pages;
        end = start + s->n_pages * s->extent->page_bytes;
    }
    return n_runs;
}
