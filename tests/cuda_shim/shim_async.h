/*
 * shim_async.h - copies into shared memory that a thread starts and waits for
 * later (cp.async). They happen at the wait, the last moment at which the GPU
 * may do them; a copy that is never waited for does not happen.
 */
#ifndef TESTS_CUDA_SHIM_SHIM_ASYNC_H
#define TESTS_CUDA_SHIM_SHIM_ASYNC_H

#ifdef __cplusplus
extern "C" {
#endif

void shim_async_begin(void); /* a new block: nothing is under way */
void shim_async_copy(void *dst, const void *src, const char *file, int line);
void shim_async_commit(void);
void shim_async_wait(int n_left); /* all but the last n_left commits are done */

#ifdef __cplusplus
}
#endif

#endif
