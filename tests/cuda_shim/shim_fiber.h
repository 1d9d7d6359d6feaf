/*
 * shim_fiber.h - stacks of their own, between which one OS thread switches.
 *
 * A switch costs a few nanoseconds on x86-64 (ucontext elsewhere), and tells
 * AddressSanitizer which stack is in use.
 */
#ifndef TESTS_CUDA_SHIM_SHIM_FIBER_H
#define TESTS_CUDA_SHIM_SHIM_FIBER_H

#include <stdbool.h>
#include <stddef.h>

struct shim_fiber {
    void *sp;           /* where it stands, while it is not running */
    char *stack;        /* NULL: the caller's own stack */
    const void *bottom; /* lowest byte of either, for AddressSanitizer */
    size_t size_bytes;  /* of either */
    void *fake;         /* AddressSanitizer's */
};

/* Gives `f` a stack, of its own or of a fiber that ended. Never fails: without
 * memory the process ends. */
void shim_fiber_take_stack(struct shim_fiber *f);
void shim_fiber_give_stack(struct shim_fiber *f);

/* Makes the next switch to `f` call entry() on its stack. entry never returns. */
void shim_fiber_prepare(struct shim_fiber *f, void (*entry)(void));
/* First call of an entry. */
void shim_fiber_entered(void);

/* Goes on in `to`; returns when somebody switches to `from` again. With `ends`
 * nobody will. */
void shim_fiber_switch(struct shim_fiber *from, struct shim_fiber *to, bool ends);

#endif
