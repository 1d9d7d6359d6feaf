#include "kvstore/kv_map.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/mem.h"
#include "kvstore/kv_client.h"

void kv_map_pages(void *base, const struct msg_page_map *map, uint32_t layer, uint32_t first,
                  uint32_t n, void **page)
{
    uint64_t end = (uint64_t)first + n;

    memset(page, 0, n * sizeof *page);
    for (uint32_t i = 0; i < map->n_runs; i++) {
        const struct msg_page_run *r = &map->run[i];
        uint64_t from = r->first_page > first ? r->first_page : first;
        uint64_t to = (uint64_t)r->first_page + r->n_pages;

        if (r->layer != layer)
            continue;
        for (uint64_t p = from; p < to && p < end; p++)
            page[p - first] = (uint8_t *)base + r->offset + (p - r->first_page) * map->page_bytes;
    }
}

/* New pages of the first layer; the others have as many. */
static uint64_t count_columns(const struct msg_page_map *map)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < map->n_runs; i++)
        n += map->run[i].layer == map->first_layer ? map->run[i].n_pages : 0;
    return n;
}

static enum status hash_layer(void *base, const struct msg_page_map *map, uint32_t layer,
                              uint32_t n_columns, struct msg_commit *out, struct err *err)
{
    uint32_t n_lists = map->n_layers - map->first_layer;
    void **page = mem_array(n_columns, sizeof *page);
    enum status st = ST_OK;

    kv_map_pages(base, map, layer, map->n_pages, n_columns, page);
    for (uint32_t column = 0; st == ST_OK && column < n_columns; column++) {
        if (page[column])
            out->checksum[(size_t)column * n_lists + layer - map->first_layer] =
                XXH3_64bits(page[column], map->page_bytes);
        else
            st = err_set(err, ST_CORRUPT, "the reservation has no page %u of layer %u",
                         map->n_pages + column, layer);
    }
    free(page);
    return st;
}

enum status kv_map_checksums(void *base, const struct msg_page_map *reserved, bool blob,
                             struct msg_commit *out, struct err *err)
{
    uint64_t n_columns = count_columns(reserved);
    uint32_t n_lists = reserved->n_layers - reserved->first_layer;
    enum status st = ST_OK;

    if (n_lists > 0 && n_columns > MSG_MAX_TOKENS / n_lists)
        return err_set(err, ST_CORRUPT, "the reservation has %llu pages in each of %u layers",
                       (unsigned long long)n_columns, n_lists);
    out->n_checksums = (uint32_t)n_columns * n_lists;
    out->checksum = mem_array(out->n_checksums, sizeof *out->checksum);
    for (uint32_t i = 0; st == ST_OK && i < n_lists; i++)
        st = hash_layer(base, reserved, reserved->first_layer + i, (uint32_t)n_columns, out, err);
    if (st == ST_OK && blob)
        out->blob_checksum =
            XXH3_64bits((uint8_t *)base + reserved->blob_offset, reserved->blob_bytes);
    return st;
}

void kv_map_release(struct msg_page_map *map)
{
    free(map->run);
    *map = (struct msg_page_map){0};
}
