#include "common/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

/* Long enough to bridge two kernels of one forward pass, short enough that a
 * machine with as many processes as cores loses nothing. */
enum { SPIN_NS = 4000, SPIN_BATCH = 32 };

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index; /* 1 .. n_threads-1; the caller is 0 */
};

/*
 * A job is published by storing n_unclaimed; a thread owns a task once it has
 * taken one from n_unclaimed, and only then reads fn, arg and n_tasks. These
 * cannot change before n_unfinished is 0, which needs that very task. So a
 * thread that was asleep for a whole job takes part in the next one unharmed.
 *
 * Sleeping: each side first says that it sleeps and then looks again, the
 * other first changes the counter and then looks for sleepers; both in
 * sequentially consistent order, so at least one of them sees the other.
 */
struct pool {
    int n_threads;
    struct worker *worker; /* [n_threads - 1] */
    int n_started;
    void (*fn)(void *arg, int task, int thread);
    void *arg;
    int n_tasks;
    atomic_int n_unclaimed;
    atomic_int n_unfinished;
    atomic_int n_sleeping;
    atomic_bool caller_sleeps;
    atomic_bool closing;
    pthread_mutex_t lock; /* orders sleeping and waking only */
    pthread_cond_t job_there;
    pthread_cond_t job_done;
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void finish_task(struct pool *pool)
{
    if (atomic_fetch_sub(&pool->n_unfinished, 1) != 1 || !atomic_load(&pool->caller_sleeps))
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->job_done);
    pthread_mutex_unlock(&pool->lock);
}

/* Runs tasks until none is left to claim. */
static void work(struct pool *pool, int thread)
{
    int left = atomic_load(&pool->n_unclaimed);

    while (left > 0) {
        if (!atomic_compare_exchange_weak(&pool->n_unclaimed, &left, left - 1))
            continue;
        pool->fn(pool->arg, pool->n_tasks - left, thread);
        finish_task(pool);
        left = atomic_load(&pool->n_unclaimed);
    }
}

/* True as soon as `counter` is (or is not) 0 within the spinning time. */
static bool spin_until(atomic_int *counter, bool zero)
{
    uint64_t start = clock_now_ns();

    do {
        for (int i = 0; i < SPIN_BATCH; i++) {
            if ((atomic_load_explicit(counter, memory_order_acquire) == 0) == zero)
                return true;
            relax();
        }
    } while (clock_now_ns() - start < SPIN_NS);
    return false;
}

static void sleep_until_job(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (atomic_load(&pool->n_unclaimed) == 0 && !atomic_load(&pool->closing))
        pthread_cond_wait(&pool->job_there, &pool->lock);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    char name[16];

    snprintf(name, sizeof name, "pool-%d", w->index);
    pthread_setname_np(pthread_self(), name);
    while (!atomic_load(&w->pool->closing)) {
        if (!spin_until(&w->pool->n_unclaimed, false))
            sleep_until_job(w->pool);
        work(w->pool, w->index);
    }
    return NULL;
}

static enum status start_worker(struct worker *w, const int *cpus, struct err *err)
{
    pthread_attr_t attr;
    cpu_set_t set;
    int rc = 0;

    pthread_attr_init(&attr);
    if (cpus != NULL) {
        int cpu = cpus[w->index];
        CPU_ZERO(&set);
        if (cpu < 0 || cpu >= CPU_SETSIZE) {
            pthread_attr_destroy(&attr);
            return err_set(err, ST_INVALID, "pin a compute thread to cpu %d: no such cpu", cpu);
        }
        CPU_SET((size_t)cpu, &set);
        rc = pthread_attr_setaffinity_np(&attr, sizeof set, &set);
    }
    if (rc == 0)
        rc = pthread_create(&w->thread, &attr, worker_main, w);
    pthread_attr_destroy(&attr);
    if (rc != 0 && cpus != NULL)
        return err_set(err, ST_INVALID, "start a compute thread on cpu %d: %s", cpus[w->index],
                       strerror(rc));
    if (rc != 0)
        return err_set(err, ST_IO, "start compute thread %d: %s", w->index, strerror(rc));
    return ST_OK;
}

enum status pool_open(struct pool **out, int n_threads, const int *cpus, struct err *err)
{
    struct pool *pool;
    sigset_t all, old;
    enum status st = ST_OK;

    if (n_threads < 1)
        return err_set(err, ST_INVALID, "a pool of %d threads: at least 1 is needed", n_threads);
    pool = mem_zalloc(sizeof *pool);
    pool->n_threads = n_threads;
    pool->worker = mem_array((size_t)n_threads - 1, sizeof *pool->worker);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->job_there, NULL);
    pthread_cond_init(&pool->job_done, NULL);
    /* Signals belong to the thread that waits for them, never to a worker; a failed
     * read is the reader's own, and blocked it would kill without a word. */
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (st == ST_OK && pool->n_started < n_threads - 1) {
        struct worker *w = &pool->worker[pool->n_started];
        w->pool = pool;
        w->index = pool->n_started + 1;
        st = start_worker(w, cpus, err);
        if (st == ST_OK)
            pool->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (st != ST_OK) {
        pool_close(pool);
        return st;
    }
    *out = pool;
    return ST_OK;
}

void pool_close(struct pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->closing, true);
    pthread_cond_broadcast(&pool->job_there);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_started; i++)
        pthread_join(pool->worker[i].thread, NULL);
    pthread_cond_destroy(&pool->job_done);
    pthread_cond_destroy(&pool->job_there);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}

int pool_n_threads(const struct pool *pool)
{
    return pool->n_threads;
}

static void wake_sleepers(struct pool *pool, int n_wanted)
{
    int n_sleeping = atomic_load(&pool->n_sleeping);

    if (n_sleeping == 0)
        return;
    pthread_mutex_lock(&pool->lock);
    if (n_wanted >= n_sleeping)
        pthread_cond_broadcast(&pool->job_there);
    for (int i = 0; i < n_wanted && n_wanted < n_sleeping; i++)
        pthread_cond_signal(&pool->job_there);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_until_done(struct pool *pool)
{
    if (spin_until(&pool->n_unfinished, true))
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->n_unfinished) != 0)
        pthread_cond_wait(&pool->job_done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

void pool_run(struct pool *pool, int n_tasks, void (*fn)(void *arg, int task, int thread),
              void *arg)
{
    CHECK(n_tasks >= 0);
    if (n_tasks <= 1 || pool->n_threads == 1) {
        for (int task = 0; task < n_tasks; task++)
            fn(arg, task, 0);
        return;
    }
    pool->fn = fn;
    pool->arg = arg;
    pool->n_tasks = n_tasks;
    atomic_store(&pool->n_unfinished, n_tasks);
    atomic_store(&pool->n_unclaimed, n_tasks);
    wake_sleepers(pool, n_tasks - 1);
    work(pool, 0);
    wait_until_done(pool);
}
