/*
 * attention_tile_pieces.cuh - pages of a split on their way to shared memory: which forms are
 * visited, in which pieces they come, and a ring of slots that is filled ahead.
 *
 * A page in f16 is four pieces (two halves of K, two of V), in int8 two (K, V), in int4 one.
 */
#ifndef KERNELS_ATTENTION_TILE_PIECES_CUH
#define KERNELS_ATTENTION_TILE_PIECES_CUH

#include "kernels/attention_tile.cuh"

/* A place in the visits of a split: pages in order, of each the sealed form, then the tail. */
struct tile_cursor {
    const struct attention_cuda_page *pages; /* pages[0] is page 0 */
    const char *head;                        /* the KV head's section in the form; NULL: the end */
    size_t sealed_at, tail_at;               /* where the KV head's section lies in a page */
    uint32_t page, end;
    bool sealed;
};

/* To the next form that is there, this one included. */
TILE_FN void tile_cursor_settle(tile_cursor *cursor)
{
    cursor->head = nullptr;
    while (cursor->page < cursor->end) {
        const struct attention_cuda_page *page = &cursor->pages[cursor->page];
        const char *form = cursor->sealed ? page->sealed : page->tail;
        if (form != nullptr) {
            cursor->head = form + (cursor->sealed ? cursor->sealed_at : cursor->tail_at);
            return;
        }
        cursor->page += !cursor->sealed;
        cursor->sealed = !cursor->sealed;
    }
}

TILE_FN void tile_cursor_next(tile_cursor *cursor)
{
    cursor->page += !cursor->sealed;
    cursor->sealed = !cursor->sealed;
    tile_cursor_settle(cursor);
}

/* BYTES from `src` to `dst` by the block, PAD bytes left free behind every CHUNK. Where a thread's
 * pieces lie is one sum and constants. */
template <int BYTES, int CHUNK, int PAD> TILE_FN void tile_copy(char *dst, const char *src)
{
    enum { STRIDE = TILE_THREADS * 16 };
    static_assert(PAD == 0 || STRIDE % CHUNK == 0, "a chunk is wider than what the block copies");
    const uint32_t from = threadIdx.x * 16;

    dst += from + from / CHUNK * PAD;
    src += from;
    TILE_UNROLL
    for (uint32_t at = 0; at < BYTES; at += STRIDE)
        if (BYTES % STRIDE == 0 || at + from < BYTES)
            ptx_cp_async16(dst + at + at / CHUNK * PAD, src + at);
}

template <int D> TILE_FN void tile_copy_f16(char *slot, const char *head, int part)
{
    if (part < 2)
        tile_copy<128 * D, 128 * D, 0>(slot, head + part * 128 * D);
    else
        tile_copy<128 * D, 2 * D, 16>(slot, head + part * 128 * D);
}

template <int D> TILE_FN void tile_copy_int8(char *slot, const char *head, int part)
{
    using page = tile_page<D>;
    const char *v = head + 132 * D;

    if (part == 0) {
        tile_copy<128 * D, 8 * D, 64>(slot, head);
        tile_copy<4 * D, 4 * D, 0>(slot + page::INT8_K, head + 128 * D);
    } else {
        tile_copy<128 * D, 2 * D, 16>(slot, v);
        tile_copy<4 * PAGE_TOKENS, 4 * PAGE_TOKENS, 0>(slot + page::INT8_V, v + 128 * D);
    }
}

template <int D> TILE_FN void tile_copy_int4(char *slot, const char *head)
{
    using page = tile_page<D>;
    const char *v = head + 72 * D;
    char *to = slot + page::INT4_V_AT;

    tile_copy<64 * D, 8 * D, 64>(slot, head);
    tile_copy<8 * D, 8 * D, 0>(slot + page::INT4_K, head + 64 * D);
    tile_copy<64 * D, 2 * D, 32>(to, v);
    tile_copy<8 * PAGE_TOKENS, 8 * PAGE_TOKENS, 0>(to + page::INT4_V, v + 64 * D);
}

/* The slots, and what comes next. Sealed pages have format F. */
template <int D, int F, int SLOTS> struct tile_ring {
    tile_cursor ahead;
    char *slots;
    int part, in, out;
};

template <int D, int F, int SLOTS> TILE_FN void tile_ring_fill(tile_ring<D, F, SLOTS> *ring)
{
    char *slot = ring->slots + ring->in * tile_slot_bytes<D, F>();

    if (ring->ahead.head != nullptr) {
        int n_parts = 4;
        if (F == KV_F16 || !ring->ahead.sealed) {
            tile_copy_f16<D>(slot, ring->ahead.head, ring->part);
        } else if (F == KV_INT8) {
            tile_copy_int8<D>(slot, ring->ahead.head, ring->part);
            n_parts = 2;
        } else {
            tile_copy_int4<D>(slot, ring->ahead.head);
            n_parts = 1;
        }
        if (++ring->part == n_parts) {
            ring->part = 0;
            tile_cursor_next(&ring->ahead);
        }
    }
    ptx_cp_async_commit(); /* an empty one too, so that commits count pieces */
    ring->in = ring->in + 1 == SLOTS ? 0 : ring->in + 1;
}

/* The next piece; it stays until the next call. A barrier of the block: what threads wrote to shared
 * memory before it is seen behind it. */
template <int D, int F, int SLOTS> TILE_FN char *tile_ring_take(tile_ring<D, F, SLOTS> *ring)
{
    char *slot = ring->slots + ring->out * tile_slot_bytes<D, F>();

    ptx_cp_async_wait<SLOTS - 2>();
    __syncthreads();
    tile_ring_fill(ring); /* into the slot of the piece before, which no thread reads any more */
    ring->out = ring->out + 1 == SLOTS ? 0 : ring->out + 1;
    return slot;
}

#endif
