/* ---- >>pool: own threads and the barrier between steps ---- */
#ifndef SPIKELIB_CORE_POOL_H
#define SPIKELIB_CORE_POOL_H

#include "alloc.h"
#include "base.h"
#include "clock.h"
#include "cpu.h"

#if defined(SPIKELIB_NO_THREADS)
/* Without threads a network asks for a pool in vain: the caller's thread does all parts in turn. */
typedef struct spki_pool {
    uint32_t unused;
} spki_pool;
typedef struct spki_barrier {
    uint32_t unused;
} spki_barrier;

SPKI_FN spk_result spki_pool_create(spki_mem *mem, uint32_t threads, spki_pool **out)
{
    (void)mem;
    (void)threads;
    *out = NULL;
    return SPK_OK;
}

SPKI_FN void spki_pool_run(spki_pool *pool, void (*task)(void *arg, uint32_t k), void *arg)
{
    (void)pool;
    task(arg, 0);
}

SPKI_FN void spki_pool_destroy(spki_mem *mem, spki_pool *pool)
{
    (void)mem;
    (void)pool;
}

SPKI_FN void spki_barrier_init(spki_barrier *barrier, uint32_t threads)
{
    barrier->unused = threads;
}

SPKI_FN void spki_barrier_free(spki_barrier *barrier) { (void)barrier; }
SPKI_FN void spki_barrier_wait(spki_barrier *barrier) { (void)barrier; }
SPKI_FN void spki_barrier_wait_busy(spki_barrier *barrier, bool (*work)(void *), void *arg)
{
    (void)barrier;
    (void)work;
    (void)arg;
}
#else
/* SPKI_USE_FUTEX 0 (for tests) parks with a lock and a condition variable as on other systems. */
#if !defined(SPKI_USE_FUTEX)
#if defined(__linux__) && (defined(SYS_futex) || defined(SYS_futex_time64))
#define SPKI_USE_FUTEX 1
#else
#define SPKI_USE_FUTEX 0
#endif
#endif

/* -- parking: sleep until a word changes -- */

#if SPKI_USE_FUTEX
typedef struct spki_park {
    uint32_t unused;
} spki_park;

SPKI_FN void spki_park_init(spki_park *park) { park->unused = 0; }
SPKI_FN void spki_park_free(spki_park *park) { (void)park; }

/* Operations of the Linux ABI: FUTEX_WAIT 0, FUTEX_WAKE 1, with FUTEX_PRIVATE_FLAG 128. */
SPKI_FN void spki_futex(uint32_t *word, int op, uint32_t value)
{
#if defined(SYS_futex)
    (void)spki_os_syscall(SYS_futex, word, op | 128, value, NULL, NULL, 0);
#else
    (void)spki_os_syscall(SYS_futex_time64, word, op | 128, value, NULL, NULL, 0);
#endif
}

/* The kernel compares and sleeps in one step, so that no change is missed. May return early. */
SPKI_FN void spki_park_wait(spki_park *park, uint32_t *word, uint32_t old)
{
    (void)park;
    spki_futex(word, 0, old);
}

SPKI_FN void spki_park_wake(spki_park *park, uint32_t *word)
{
    (void)park;
    spki_futex(word, 1, INT_MAX);
}
#elif defined(_WIN32)
typedef struct spki_park {
    SRWLOCK lock;
    CONDITION_VARIABLE changed;
} spki_park;

SPKI_FN void spki_park_init(spki_park *park)
{
    InitializeSRWLock(&park->lock);
    InitializeConditionVariable(&park->changed);
}

SPKI_FN void spki_park_free(spki_park *park) { (void)park; }

SPKI_FN void spki_park_wait(spki_park *park, uint32_t *word, uint32_t old)
{
    AcquireSRWLockExclusive(&park->lock);
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        SleepConditionVariableSRW(&park->changed, &park->lock, INFINITE, 0);
    ReleaseSRWLockExclusive(&park->lock);
}

/* Taking the lock lets a sleeper that has just compared get to sleep before it is woken. */
SPKI_FN void spki_park_wake(spki_park *park, uint32_t *word)
{
    (void)word;
    AcquireSRWLockExclusive(&park->lock);
    ReleaseSRWLockExclusive(&park->lock);
    WakeAllConditionVariable(&park->changed);
}
#else
typedef struct spki_park {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} spki_park;

SPKI_FN void spki_park_init(spki_park *park)
{
    pthread_mutex_init(&park->lock, NULL);
    pthread_cond_init(&park->changed, NULL);
}

SPKI_FN void spki_park_free(spki_park *park)
{
    pthread_cond_destroy(&park->changed);
    pthread_mutex_destroy(&park->lock);
}

SPKI_FN void spki_park_wait(spki_park *park, uint32_t *word, uint32_t old)
{
    pthread_mutex_lock(&park->lock);
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        pthread_cond_wait(&park->changed, &park->lock);
    pthread_mutex_unlock(&park->lock);
}

/* Taking the lock lets a sleeper that has just compared get to sleep before it is woken. */
SPKI_FN void spki_park_wake(spki_park *park, uint32_t *word)
{
    (void)word;
    pthread_mutex_lock(&park->lock);
    pthread_mutex_unlock(&park->lock);
    pthread_cond_broadcast(&park->changed);
}
#endif

SPKI_INLINE void spki_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` takes no time at all on most cores */
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/* -- barrier -- */

/* Steps are shorter than a sleep and a wake-up (10 to 50 us), so waiting threads spin. But where
   other programs want the cores, a spinning thread keeps the very thread that it waits for from
   running. So patience is learnt: spinning in vain cuts it to a quarter, spinning with success
   doubles it, and one wait in 64 is patient again, to see whether the cores have become free.
   There is no yielding between spinning and parking: it hands a whole time slice (1 to 3 ms) to
   the other program, while a parked thread that is woken runs at once. Threads that share cores
   with each other park without spinning. Each word has two cache lines of its own. */
typedef struct spki_barrier {
    uint32_t threads, patience_max, patience; /* ns */
    uint8_t pad0[116];
    uint32_t arrived;
    uint8_t pad1[124];
    uint32_t phase;
    uint8_t pad2[124];
    uint32_t parked;
    spki_park park;
} spki_barrier;

#define SPKI_PATIENCE_MAX 200000u
#define SPKI_PATIENCE_MIN 1000u

SPKI_FN void spki_barrier_init(spki_barrier *barrier, uint32_t threads)
{
    memset(barrier, 0, sizeof *barrier);
    barrier->threads = threads;
    barrier->patience_max = threads <= spk_cpu_count() ? SPKI_PATIENCE_MAX : 0;
    barrier->patience = barrier->patience_max;
    spki_park_init(&barrier->park);
}

SPKI_FN void spki_barrier_free(spki_barrier *barrier)
{
    spki_park_free(&barrier->park);
}

/* Counts `count` arrivals without waiting; the last one opens the barrier (and says so). */
SPKI_FN bool spki_barrier_arrive(spki_barrier *barrier, uint32_t count)
{
    uint32_t before = __atomic_fetch_add(&barrier->arrived, count, __ATOMIC_ACQ_REL);
    uint32_t phase;
    if (before + count != barrier->threads) return false;
    /* The others wait for the phase, so nobody reads or counts between these two stores. */
    phase = __atomic_load_n(&barrier->phase, __ATOMIC_RELAXED);
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&barrier->phase, phase + 1, __ATOMIC_SEQ_CST);
    /* Either this load sees a parking thread, or that thread's comparison sees the new phase. */
    if (__atomic_load_n(&barrier->parked, __ATOMIC_SEQ_CST) > 0)
        spki_park_wake(&barrier->park, &barrier->phase);
    return true;
}

SPKI_INLINE bool spki_barrier_open(spki_barrier *barrier, uint32_t phase)
{
    return __atomic_load_n(&barrier->phase, __ATOMIC_ACQUIRE) != phase;
}

/* True, and in *waited the ns it took, if the barrier opened within `patience` ns. The clock is
   read every 32 pauses: a pause lasts 4 to 140 cycles, depending on the CPU. */
SPKI_FN bool spki_barrier_spin(spki_barrier *barrier, uint32_t phase, uint32_t patience,
                               uint32_t *waited)
{
    double start = 0.0;
    uint32_t i;
    *waited = 0;
    for (i = 1;; i++) {
        if (spki_barrier_open(barrier, phase)) return true;
        spki_pause();
        if (i % 32 != 0) continue;
        if (i == 32) start = spk_clock_seconds();
        else *waited = (uint32_t)SPKI_MIN(1e9 * (spk_clock_seconds() - start), 1e9);
        if (*waited > patience) return false;
    }
}

/* Written only where it changes: the line stays in everybody's cache. */
SPKI_FN void spki_barrier_learn(spki_barrier *barrier, uint32_t old, uint32_t waited, bool success)
{
    uint32_t next = success ? 2 * SPKI_MAX(old, waited) : old / 4;
    next = SPKI_MIN(SPKI_MAX(next, SPKI_PATIENCE_MIN), barrier->patience_max);
    if (next != old) __atomic_store_n(&barrier->patience, next, __ATOMIC_RELAXED);
}

SPKI_FN void spki_barrier_park(spki_barrier *barrier, uint32_t phase)
{
    __atomic_fetch_add(&barrier->parked, 1, __ATOMIC_SEQ_CST);
    while (!spki_barrier_open(barrier, phase))
        spki_park_wait(&barrier->park, &barrier->phase, phase);
    __atomic_fetch_sub(&barrier->parked, 1, __ATOMIC_SEQ_CST);
}

/* Until the phase is over. */
SPKI_FN void spki_barrier_await(spki_barrier *barrier, uint32_t phase)
{
    if (barrier->patience_max > 0) {
        bool probe = phase % 64 == 0;
        uint32_t patience = __atomic_load_n(&barrier->patience, __ATOMIC_RELAXED);
        uint32_t limit = probe ? barrier->patience_max : patience, waited;
        bool success = spki_barrier_spin(barrier, phase, limit, &waited);
        if (success || !probe) spki_barrier_learn(barrier, patience, waited, success);
        if (success) return;
    }
    spki_barrier_park(barrier, phase);
}

/* Returns when all `threads` threads have come. What each wrote before is visible to all after. */
SPKI_FN void spki_barrier_wait(spki_barrier *barrier)
{
    uint32_t phase = __atomic_load_n(&barrier->phase, __ATOMIC_RELAXED);
    if (!spki_barrier_arrive(barrier, 1)) spki_barrier_await(barrier, phase);
}

/* The same. Who comes early works, a piece at a time, while there is any (`work` returns true). */
SPKI_FN void spki_barrier_wait_busy(spki_barrier *barrier, bool (*work)(void *), void *arg)
{
    uint32_t phase = __atomic_load_n(&barrier->phase, __ATOMIC_RELAXED);
    if (spki_barrier_arrive(barrier, 1)) return;
    while (!spki_barrier_open(barrier, phase)) {
        if (!work(arg)) {
            spki_barrier_await(barrier, phase);
            return;
        }
    }
}

/* -- threads -- */

/* Stays where it is until it is joined. */
typedef struct spki_thread {
    void (*run)(void *arg);
    void *arg;
#if defined(_WIN32)
    HANDLE id;
#else
    pthread_t id;
#endif
} spki_thread;

#if defined(_WIN32)
static unsigned __stdcall spki_thread_main(void *arg)
{
    const spki_thread *t = (const spki_thread *)arg;
    t->run(t->arg);
    return 0;
}

SPKI_FN bool spki_thread_start(spki_thread *t, void (*run)(void *arg), void *arg)
{
    t->run = run;
    t->arg = arg;
    t->id = (HANDLE)_beginthreadex(NULL, 0, spki_thread_main, t, 0, NULL);
    return t->id != NULL;
}

SPKI_FN void spki_thread_join(spki_thread *t)
{
    WaitForSingleObject(t->id, INFINITE);
    CloseHandle(t->id);
}
#else
#ifdef __cplusplus
extern "C" {
#endif
SPKI_FN void *spki_thread_main(void *arg)
{
    const spki_thread *t = (const spki_thread *)arg;
    t->run(t->arg);
    return NULL;
}
#ifdef __cplusplus
}
#endif

SPKI_FN bool spki_thread_start(spki_thread *t, void (*run)(void *arg), void *arg)
{
    t->run = run;
    t->arg = arg;
    return pthread_create(&t->id, NULL, spki_thread_main, t) == 0;
}

SPKI_FN void spki_thread_join(spki_thread *t)
{
    pthread_join(t->id, NULL);
}
#endif

/* -- pool -- */

typedef struct spki_pool spki_pool;

typedef struct spki_worker {
    spki_pool *pool;
    uint32_t k, reserved;
    spki_thread thread;
} spki_worker;

struct spki_pool {
    spki_barrier begin, end; /* of a run; the caller is one of the `threads` */
    uint32_t threads, started;
    bool quit;
    void (*task)(void *arg, uint32_t k);
    void *arg;
    spki_worker *workers;
};

SPKI_FN void spki_worker_loop(void *arg)
{
    const spki_worker *worker = (const spki_worker *)arg;
    spki_pool *pool = worker->pool;
    for (;;) {
        spki_barrier_wait(&pool->begin);
        if (pool->quit) return;
        pool->task(pool->arg, worker->k);
        spki_barrier_wait(&pool->end);
    }
}

/* Ends the threads that were started. The arrivals of the caller, and of threads that could not
   be started, open the barrier at which the others wait. */
SPKI_FN void spki_pool_destroy(spki_mem *mem, spki_pool *pool)
{
    uint32_t k;
    if (!pool) return;
    pool->quit = true;
    spki_barrier_arrive(&pool->begin, pool->threads - pool->started);
    for (k = 0; k < pool->started; k++) spki_thread_join(&pool->workers[k].thread);
    spki_barrier_free(&pool->begin);
    spki_barrier_free(&pool->end);
    spki_free(mem, pool->workers, pool->threads, sizeof(spki_worker));
    spki_free(mem, pool, 1, sizeof *pool);
}

/* Starts threads - 1 threads. Errors: range (0), out of memory, thread. */
SPKI_FN spk_result spki_pool_create(spki_mem *mem, uint32_t threads, spki_pool **out)
{
    spki_pool *pool;
    spki_worker *workers;
    *out = NULL;
    if (threads == 0) return SPK_ERR_RANGE;
    pool = (spki_pool *)spki_alloc(mem, 1, sizeof *pool);
    workers = (spki_worker *)spki_alloc(mem, threads, sizeof(spki_worker));
    if (!pool || !workers) {
        spki_free(mem, workers, threads, sizeof(spki_worker));
        spki_free(mem, pool, 1, sizeof *pool);
        return SPK_ERR_OUT_OF_MEMORY;
    }
    pool->threads = threads;
    pool->workers = workers;
    spki_barrier_init(&pool->begin, threads);
    spki_barrier_init(&pool->end, threads);
    for (; pool->started < threads - 1; pool->started++) {
        spki_worker *worker = &workers[pool->started];
        worker->pool = pool;
        worker->k = pool->started + 1;
        if (spki_thread_start(&worker->thread, spki_worker_loop, worker)) continue;
        spki_pool_destroy(mem, pool);
        return SPK_ERR_THREAD;
    }
    *out = pool;
    return SPK_OK;
}

/* task(arg, k) for all k in [0, threads) at the same time, k = 0 here; returns when all are done.
   The threads keep their k from run to run, and with it what their caches hold. */
SPKI_FN void spki_pool_run(spki_pool *pool, void (*task)(void *arg, uint32_t k), void *arg)
{
    pool->task = task;
    pool->arg = arg;
    if (pool->threads > 1) spki_barrier_wait(&pool->begin);
    task(arg, 0);
    if (pool->threads > 1) spki_barrier_wait(&pool->end);
}
#endif

#endif
