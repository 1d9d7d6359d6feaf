#include "tests/cuda_shim/shim_fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBER_STACK_BYTES ((size_t)1 << 20) /* red zones make frames several times larger */
#else
#define FIBER_STACK_BYTES ((size_t)1 << 17)
#endif
#define FIBER_GUARD_BYTES ((size_t)4096)

/* Stacks of fibers that ended; a stack's first word links to the next. */
static char *free_stacks;
/* Who made the switch that is under way. */
static struct shim_fiber *leaving;

void shim_fiber_take_stack(struct shim_fiber *f)
{
    char *bottom = free_stacks;

    if (bottom) {
        memcpy(&free_stacks, bottom, sizeof free_stacks);
    } else {
        char *p = mmap(NULL, FIBER_STACK_BYTES + FIBER_GUARD_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED || mprotect(p, FIBER_GUARD_BYTES, PROT_NONE)) {
            perror("cuda shim: the stack of a GPU thread");
            abort();
        }
        bottom = p + FIBER_GUARD_BYTES;
    }
    f->stack = bottom;
    f->bottom = bottom;
    f->size_bytes = FIBER_STACK_BYTES;
}

void shim_fiber_give_stack(struct shim_fiber *f)
{
    memcpy(f->stack, &free_stacks, sizeof free_stacks);
    free_stacks = f->stack;
    f->stack = NULL;
}

#ifdef __x86_64__

/* Pushes what a call must keep, swaps the stack pointers, pops, returns. */
void shim_fiber_swap(void **from_sp, void *to_sp);
__asm__(".text\n"
        ".hidden shim_fiber_swap\n"
        ".globl shim_fiber_swap\n"
        ".type shim_fiber_swap, @function\n"
        "shim_fiber_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size shim_fiber_swap, . - shim_fiber_swap\n");

static void prepare(struct shim_fiber *f, void (*entry)(void))
{
    /* Six registers, the entry as the address to return to, and above it the
     * word that makes the stack aligned as after a call. */
    uintptr_t *sp = (uintptr_t *)(f->stack + f->size_bytes) - 10;

    memset(sp, 0, 10 * sizeof *sp);
    sp[6] = (uintptr_t)entry;
    f->sp = sp;
}

static void swap(struct shim_fiber *from, struct shim_fiber *to, bool ends)
{
    (void)ends;
    shim_fiber_swap(&from->sp, to->sp);
}

#else

#include <ucontext.h>

/* The context of a fiber lies at the low end of its stack, the caller's here. */
static ucontext_t own_context;

static ucontext_t *context(struct shim_fiber *f)
{
    return f->stack ? (ucontext_t *)(f->stack + 64) : &own_context;
}

static void prepare(struct shim_fiber *f, void (*entry)(void))
{
    ucontext_t *c = context(f);

    getcontext(c);
    c->uc_stack.ss_sp = f->stack + 8192;
    c->uc_stack.ss_size = f->size_bytes - 8192;
    c->uc_link = NULL;
    makecontext(c, entry, 0);
}

static void swap(struct shim_fiber *from, struct shim_fiber *to, bool ends)
{
    if (ends)
        setcontext(context(to));
    swapcontext(context(from), context(to));
}

#endif

void shim_fiber_prepare(struct shim_fiber *f, void (*entry)(void))
{
#ifdef FIBER_ASAN
    /* The frames of the fiber that ended here never returned. */
    __asan_unpoison_memory_region(f->stack, f->size_bytes);
#endif
    f->fake = NULL;
    prepare(f, entry);
}

static void arrived(void *fake)
{
#ifdef FIBER_ASAN
    const void *bottom;
    size_t size_bytes;

    __sanitizer_finish_switch_fiber(fake, &bottom, &size_bytes);
    if (!leaving->stack) { /* known from now on, for the switch back */
        leaving->bottom = bottom;
        leaving->size_bytes = size_bytes;
    }
#else
    (void)fake;
#endif
}

void shim_fiber_entered(void)
{
    arrived(NULL);
}

void shim_fiber_switch(struct shim_fiber *from, struct shim_fiber *to, bool ends)
{
    leaving = from;
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake, to->bottom, to->size_bytes);
#endif
    swap(from, to, ends);
    arrived(from->fake);
}
