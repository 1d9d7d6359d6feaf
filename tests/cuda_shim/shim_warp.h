/*
 * shim_warp.h - what the lanes of a warp do together: shuffles, votes, and the
 * matrix instructions, with the lane layouts of the PTX ISA.
 *
 * Each is the `finish` of a struct shim_warp_call (shim_block.h).
 */
#ifndef TESTS_CUDA_SHIM_SHIM_WARP_H
#define TESTS_CUDA_SHIM_SHIM_WARP_H

#include "tests/cuda_shim/shim_block.h"

#ifdef __cplusplus
extern "C" {
#endif

enum shim_shuffle { SHIM_SHUFFLE_INDEX, SHIM_SHUFFLE_UP, SHIM_SHUFFLE_DOWN, SHIM_SHUFFLE_XOR };

/* The value that lane `from` of the shuffle brings. Reading a lane that does
 * not take part ends the process: a GPU would give an undefined value. */
uint64_t shim_warp_shuffle(enum shim_shuffle kind, uint64_t value, int from, int width,
                           struct shim_wait wait);
/* Bit l is set if lane l takes part and brings a nonzero value. */
uint32_t shim_warp_ballot(bool value, struct shim_wait wait);
void shim_warp_sync(struct shim_wait wait);
/* As ptx_mma_f16 and ptx_mma_bf16. Products are exact, and added to d one by
 * one in order of k; a GPU adds them in an order and width of its own. */
void shim_warp_mma(float d[4], const uint32_t a[4], const uint32_t b[2], bool bf16,
                   struct shim_wait wait);
/* As ptx_ldmatrix_x4. */
void shim_warp_ldmatrix(uint32_t r[4], const void *row, bool trans, struct shim_wait wait);

#ifdef __cplusplus
}
#endif

#endif
