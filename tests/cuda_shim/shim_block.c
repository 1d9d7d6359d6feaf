#include "tests/cuda_shim/shim_block.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_shim/shim_fiber.h"

#define N_WARPS_MAX (SHIM_BLOCK_THREADS_MAX / SHIM_WARP_LANES)

struct thread {
    struct shim_fiber fiber;
    bool started, has_waited;
    uint3 index;
    struct shim_wait wait;       /* while it waits */
    struct shim_warp_call *call; /* its part, while it waits for its warp */
};

struct warp {
    uint32_t ready;   /* lanes that may run, started or not */
    uint32_t waiting; /* lanes in a collective of the warp */
    uint32_t alive;   /* lanes that have not ended */
};

/* The one block that runs. The runtime lets one OS thread in at a time. */
static struct {
    struct thread thread[SHIM_BLOCK_THREADS_MAX];
    struct warp warp[N_WARPS_MAX];
    struct shim_fiber caller;
    const char *name;
    void (*body)(const void *arg);
    const void *arg;
    int n_warps, n_alive, n_at_barrier;
    int current;
    bool reverse;
} block;

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

int shim_block_thread(void)
{
    return block.current;
}

int shim_block_lane(void)
{
    return block.current % SHIM_WARP_LANES;
}

void shim_block_grid_wait(void)
{
    block.thread[block.current].has_waited = true;
}

bool shim_block_has_waited(void)
{
    return block.thread[block.current].has_waited;
}

static void say_thread(int t)
{
    const struct thread *th = &block.thread[t];

    fprintf(stderr, "cuda shim:   thread %d (%u, %u, %u) ", t, th->index.x, th->index.y,
            th->index.z);
    if (th->wait.mask)
        fprintf(stderr, "waits in %s(0x%08x) at %s:%d\n", th->wait.name, th->wait.mask,
                th->wait.file, th->wait.line);
    else
        fprintf(stderr, "waits in %s at %s:%d\n", th->wait.name, th->wait.file, th->wait.line);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || strcmp(a, b) == 0;
}

static bool same_wait(const struct shim_wait *a, const struct shim_wait *b)
{
    return a->line == b->line && a->mask == b->mask && same_text(a->name, b->name) &&
           same_text(a->file, b->file);
}

/* The first thread of every distinct place at which threads wait. */
static void say_waits(void)
{
    int said[8], n_said = 0;

    for (int t = 0; t < block.n_warps * SHIM_WARP_LANES && n_said < 8; t++) {
        bool known = !(block.warp[t / SHIM_WARP_LANES].alive >> t % SHIM_WARP_LANES & 1u);

        for (int i = 0; i < n_said && !known; i++)
            known = same_wait(&block.thread[said[i]].wait, &block.thread[t].wait);
        if (known || !block.thread[t].wait.name)
            continue;
        said[n_said++] = t;
        say_thread(t);
    }
}

static void say_where(void)
{
    fprintf(stderr, "cuda shim: kernel %s, block (%u, %u, %u) of %u x %u x %u threads: ",
            block.name ? block.name : "?", blockIdx.x, blockIdx.y, blockIdx.z, blockDim.x,
            blockDim.y, blockDim.z);
}

void shim_block_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    say_where();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, ", by thread %d at %s:%d\n", block.current, file, line);
    fflush(NULL);
    abort();
}

/* The next of `lanes` after `lane` in the direction of the block. */
static int next_lane(uint32_t lanes, int lane)
{
    if (block.reverse) {
        uint32_t below = lanes & ((1u << lane) - 1);
        return 31 - __builtin_clz(below ? below : lanes);
    }
    uint32_t above = lane == 31 ? 0 : lanes & (~0u << (lane + 1));
    return __builtin_ctz(above ? above : lanes);
}

/* A thread that may run: of the same warp, or of the nearest one. */
static int pick(void)
{
    int own = block.current / SHIM_WARP_LANES;

    for (int i = 0; i < block.n_warps; i++) {
        int w =
            block.reverse ? (own - i + block.n_warps) % block.n_warps : (own + i) % block.n_warps;
        int before = i == 0 ? block.current % SHIM_WARP_LANES : block.reverse ? 0 : 31;

        if (block.warp[w].ready)
            return w * SHIM_WARP_LANES + next_lane(block.warp[w].ready, before);
    }
    say_where();
    fprintf(stderr, "threads wait for each other at different places, and none can go on\n");
    say_waits();
    fflush(NULL);
    abort();
}

static void become(int t)
{
    block.current = t;
    threadIdx = block.thread[t].index;
}

static void release_barrier(void)
{
    const struct shim_wait *first = NULL;

    for (int t = 0; t < block.n_warps * SHIM_WARP_LANES; t++) {
        struct warp *w = &block.warp[t / SHIM_WARP_LANES];
        uint32_t bit = 1u << t % SHIM_WARP_LANES;

        if (!(w->alive & bit))
            continue;
        if (first && !same_wait(first, &block.thread[t].wait)) {
            say_where();
            fprintf(stderr, "a barrier that threads reach at different places\n");
            say_waits();
            fflush(NULL);
            abort();
        }
        first = &block.thread[t].wait;
        w->ready |= bit;
    }
    block.n_at_barrier = 0;
}

/* Ends the collective that `wait` names if all its lanes are there. */
static void release_warp(struct warp *w, int warp_index, const struct shim_wait *wait)
{
    struct shim_warp_call *call[SHIM_WARP_LANES] = {NULL};
    struct thread *lane = &block.thread[warp_index * SHIM_WARP_LANES];
    uint32_t wanted = wait->mask & w->alive;
    struct shim_warp_call *any = NULL;

    if ((w->waiting & wanted) != wanted)
        return;
    for (int l = 0; l < SHIM_WARP_LANES; l++) {
        if (!(wanted >> l & 1u))
            continue;
        if (!same_wait(&lane[l].wait, wait))
            return; /* it has another collective to finish first */
        any = call[l] = lane[l].call;
    }
    if (any->finish)
        any->finish(call);
    w->waiting &= ~wanted;
    w->ready |= wanted;
}

static void fiber_main(void);

/* Leaves the current thread, which waits or has ended, for the next one. */
static void go_on(bool ends)
{
    int from = block.current, to = pick();

    if (to == from)
        return; /* what it waited for has come */
    become(to);
    if (!block.thread[to].started) {
        block.thread[to].started = true;
        shim_fiber_take_stack(&block.thread[to].fiber);
        shim_fiber_prepare(&block.thread[to].fiber, fiber_main);
    }
    if (ends)
        shim_fiber_give_stack(&block.thread[from].fiber);
    shim_fiber_switch(&block.thread[from].fiber, &block.thread[to].fiber, ends);
}

/* The current thread has returned from the kernel. */
static void end_thread(void)
{
    int w = block.current / SHIM_WARP_LANES;
    uint32_t bit = 1u << block.current % SHIM_WARP_LANES;
    struct warp *warp = &block.warp[w];

    warp->ready &= ~bit;
    warp->alive &= ~bit;
    block.n_alive--;
    for (int l = 0; l < SHIM_WARP_LANES; l++) /* it may have been the last one missing */
        if (warp->waiting >> l & 1u)
            release_warp(warp, w, &block.thread[w * SHIM_WARP_LANES + l].wait);
    if (block.n_at_barrier > 0 && block.n_at_barrier == block.n_alive)
        release_barrier();
}

/* Runs threads to their end, on one stack as long as the next is a fresh one. */
static void fiber_main(void)
{
    shim_fiber_entered();
    for (;;) {
        struct shim_fiber stack;

        block.body(block.arg);
        end_thread();
        if (block.n_alive == 0) {
            struct shim_fiber *own = &block.thread[block.current].fiber;
            shim_fiber_give_stack(own);
            shim_fiber_switch(own, &block.caller, true);
        }
        int to = pick();
        if (block.thread[to].started)
            go_on(true);
        stack = block.thread[block.current].fiber;
        block.thread[to].fiber = stack;
        block.thread[to].started = true;
        become(to);
    }
}

void shim_block_warp(struct shim_warp_call *call)
{
    struct thread *self = &block.thread[block.current];
    int w = block.current / SHIM_WARP_LANES;
    uint32_t bit = 1u << block.current % SHIM_WARP_LANES;

    if (!(call->wait.mask & bit))
        shim_block_fail(call->wait.file, call->wait.line,
                        "%s with mask 0x%08x, which does not name the calling lane %d",
                        call->wait.name, call->wait.mask, shim_block_lane());
    self->wait = call->wait;
    self->call = call;
    block.warp[w].ready &= ~bit;
    block.warp[w].waiting |= bit;
    release_warp(&block.warp[w], w, &call->wait);
    if (!(block.warp[w].ready & bit))
        go_on(false);
    self->wait.name = NULL;
}

void shim_block_barrier(const char *file, int line)
{
    struct thread *self = &block.thread[block.current];
    int w = block.current / SHIM_WARP_LANES;
    uint32_t bit = 1u << block.current % SHIM_WARP_LANES;

    self->wait = (struct shim_wait){"__syncthreads", file, line, 0};
    block.warp[w].ready &= ~bit;
    if (++block.n_at_barrier == block.n_alive)
        release_barrier();
    if (!(block.warp[w].ready & bit))
        go_on(false);
    self->wait.name = NULL;
}

void shim_block_run(const char *name, void (*body)(const void *arg), const void *arg, bool reverse)
{
    int n = (int)(blockDim.x * blockDim.y * blockDim.z), first;

    block.name = name;
    block.body = body;
    block.arg = arg;
    block.reverse = reverse;
    block.n_warps = (n + SHIM_WARP_LANES - 1) / SHIM_WARP_LANES;
    block.n_alive = n;
    block.n_at_barrier = 0;
    memset(block.warp, 0, sizeof block.warp);
    for (int t = 0; t < n; t++) {
        struct thread *th = &block.thread[t];

        memset(th, 0, sizeof *th);
        th->index.x = (unsigned)t % blockDim.x;
        th->index.y = (unsigned)t / blockDim.x % blockDim.y;
        th->index.z = (unsigned)t / (blockDim.x * blockDim.y);
        block.warp[t / SHIM_WARP_LANES].alive |= 1u << t % SHIM_WARP_LANES;
    }
    for (int w = 0; w < block.n_warps; w++)
        block.warp[w].ready = block.warp[w].alive;
    memset(&block.caller, 0, sizeof block.caller);
    first = reverse ? n - 1 : 0;
    become(first);
    block.thread[first].started = true;
    shim_fiber_take_stack(&block.thread[first].fiber);
    shim_fiber_prepare(&block.thread[first].fiber, fiber_main);
    shim_fiber_switch(&block.caller, &block.thread[first].fiber, false);
}
