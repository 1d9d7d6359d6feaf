/*
 * kv_map.h - from the runs of a page map to addresses and checksums.
 *
 * `base` is the arena in this process; the map was checked against its size.
 */
#ifndef KVSTORE_KV_MAP_H
#define KVSTORE_KV_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"

/* page[i] = address of page first + i of `layer`, i < n; NULL outside the map. */
void kv_map_pages(void *base, const struct msg_page_map *map, uint32_t layer, uint32_t first,
                  uint32_t n, void **page);

/* Fills the checksums of a reservation's pages, column by column, layers
 * ascending, and of the blob if asked. ST_CORRUPT for a map whose layers have not
 * all the same new pages, or more than a COMMIT carries. out->checksum is owned by
 * the caller, also on failure. */
enum status kv_map_checksums(void *base, const struct msg_page_map *reserved, bool blob,
                             struct msg_commit *out, struct err *err);

#endif
