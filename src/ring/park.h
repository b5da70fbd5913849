/* ---- >>park: sleeping on a word until it changes or a deadline passes ---- */
#ifndef SPIKELIB_RING_PARK_H
#define SPIKELIB_RING_PARK_H

#include "../api/ring.h"
#include "../core/base.h"
#include "../core/clock.h"
#include "../core/pool.h"

/* SPKI_USE_FUTEX 0 (>>pool) and SPKI_RING_MEMBARRIER 0 (for tests) do as other systems do. */
#if defined(SPKI_USE_FUTEX)
#define SPKI_RING_FUTEX SPKI_USE_FUTEX
#else /* without threads: for other processes */
#if defined(__linux__) && (defined(SYS_futex) || defined(SYS_futex_time64))
#define SPKI_RING_FUTEX 1
#else
#define SPKI_RING_FUTEX 0
#endif
#endif
#if !defined(SPKI_RING_MEMBARRIER)
#if defined(__linux__) && defined(SYS_membarrier) && SPKI_RING_FUTEX
#define SPKI_RING_MEMBARRIER 1
#else
#define SPKI_RING_MEMBARRIER 0
#endif
#endif

#define SPKI_RING_ENOUGH 256
#define SPKI_RING_PATIENCE 2048

#if defined(SPIKELIB_NO_THREADS)
SPKI_INLINE void spki_ring_relax(void) { __asm__ volatile("" ::: "memory"); }
#else
SPKI_INLINE void spki_ring_relax(void) { spki_pause(); }
#endif

/* Ticks of a clock that costs next to nothing, and how many of them make about 0.7 us (more or
   less: cycles of 2 to 5 GHz); 0 where there is none. */
#if defined(__x86_64__) || defined(__i386__)
SPKI_INLINE uint64_t spki_ring_ticks(void) { return __builtin_ia32_rdtsc(); }
SPKI_INLINE uint64_t spki_ring_patience(void) { return SPKI_RING_PATIENCE; }
#elif defined(__aarch64__)
SPKI_INLINE uint64_t spki_ring_ticks(void)
{
    uint64_t now;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
}

SPKI_INLINE uint64_t spki_ring_patience(void)
{
    uint64_t hz;
    __asm__("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz / 1400000;
}
#else
SPKI_INLINE uint64_t spki_ring_ticks(void) { return 0; }
SPKI_INLINE uint64_t spki_ring_patience(void) { return 0; }
#endif

/* How long a side that found `found` new items (or slots) at its last look had better wait before
   the next one. Few: the two sides fight for a cache line, and a pause lets the other one get
   ahead. One: it may be a dialogue, where the answer takes a few hundred ns. Many: look at once,
   and so if there was nothing. */
SPKI_INLINE uint64_t spki_ring_hold(uint64_t found, uint64_t patience)
{
    if (found == 0 || found >= SPKI_RING_ENOUGH) return 0;
    return found < 8 ? found * (patience / 8) : patience;
}

/* -- a full fence on the other side's CPU --
   Commands of the Linux ABI (linux/membarrier.h): GLOBAL_EXPEDITED 2 and its registration 4 reach
   every process that registered, PRIVATE_EXPEDITED 8 and 16 the threads of this one. */
#if SPKI_RING_MEMBARRIER
SPKI_FN bool spki_ring_register(bool shared)
{
    return spki_os_syscall(SYS_membarrier, shared ? 4 : 16, 0, 0) == 0;
}

SPKI_FN void spki_ring_fence_others(bool shared)
{
    (void)spki_os_syscall(SYS_membarrier, shared ? 2 : 8, 0, 0);
}
#else
SPKI_FN bool spki_ring_register(bool shared)
{
    (void)shared;
    return false;
}

SPKI_FN void spki_ring_fence_others(bool shared) { (void)shared; }
#endif

/* -- sleeping --
   Wakes by itself at the latest after a tenth of a second: whoever should have woken it may have
   been killed just before. */
#define SPKI_RING_NAP 0.1

SPKI_FN double spki_ring_nap(double deadline_s)
{
    const double left = deadline_s - spk_clock_seconds();
    return left < 0.0 ? 0.0 : left > SPKI_RING_NAP ? SPKI_RING_NAP : left;
}

#if SPKI_RING_FUTEX
typedef struct spki_ring_lot {
    uint32_t unused;
} spki_ring_lot;

SPKI_FN void spki_ring_lot_init(spki_ring_lot *lot) { lot->unused = 0; }
SPKI_FN void spki_ring_lot_free(spki_ring_lot *lot) { (void)lot; }

/* Operations of the Linux ABI: FUTEX_WAIT 0, FUTEX_WAKE 1, with FUTEX_PRIVATE_FLAG 128. */
SPKI_FN void spki_ring_futex(uint32_t *word, int op, uint32_t value, const void *timeout)
{
#if defined(SYS_futex)
    (void)spki_os_syscall(SYS_futex, word, op, value, timeout, NULL, 0);
#else
    (void)spki_os_syscall(SYS_futex_time64, word, op, value, timeout, NULL, 0);
#endif
}

/* The kernel compares and sleeps in one step, so that no change is missed. May return early. */
SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
#if defined(SYS_futex)
    long timeout[2];
#else
    int64_t timeout[2];
#endif
    (void)lot;
    timeout[0] = 0;
    timeout[1] = 1 + (long)(seconds * 1e9); /* SPKI_RING_NAP at most */
    spki_ring_futex(word, shared ? 0 : 128, old, timeout);
}

SPKI_FN void spki_ring_wake(spki_ring_lot *lot, uint32_t *word, bool shared)
{
    (void)lot;
    spki_ring_futex(word, shared ? 1 : 129, INT_MAX, NULL);
}
#elif !defined(SPIKELIB_NO_THREADS)
typedef spki_park spki_ring_lot;

SPKI_FN void spki_ring_lot_init(spki_ring_lot *lot) { spki_park_init(lot); }
SPKI_FN void spki_ring_lot_free(spki_ring_lot *lot) { spki_park_free(lot); }

#if defined(_WIN32)
SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
    (void)shared;
    AcquireSRWLockExclusive(&lot->lock);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        SleepConditionVariableSRW(&lot->changed, &lot->lock, 1 + (DWORD)(seconds * 1e3), 0);
    ReleaseSRWLockExclusive(&lot->lock);
}
#else
/* Between processes, where the lock is not the same one, it polls. */
SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
    struct timespec until;
    if (shared) {
        until.tv_sec = 0;
        until.tv_nsec = seconds < 1e-4 ? (long)(seconds * 1e9) : 100000;
        nanosleep(&until, NULL);
        return;
    }
    timespec_get(&until, TIME_UTC);
    until.tv_nsec += (long)(seconds * 1e9); /* SPKI_RING_NAP at most */
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&lot->lock);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        pthread_cond_timedwait(&lot->changed, &lot->lock, &until);
    pthread_mutex_unlock(&lot->lock);
}
#endif

SPKI_FN void spki_ring_wake(spki_ring_lot *lot, uint32_t *word, bool shared)
{
    if (!shared) spki_park_wake(lot, word);
}
#else
/* Without threads only another process can be waited for. */
typedef struct spki_ring_lot {
    uint32_t unused;
} spki_ring_lot;

SPKI_FN void spki_ring_lot_init(spki_ring_lot *lot) { lot->unused = 0; }
SPKI_FN void spki_ring_lot_free(spki_ring_lot *lot) { (void)lot; }

SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
    struct timespec nap;
    nap.tv_sec = 0;
    nap.tv_nsec = seconds < 1e-4 ? (long)(seconds * 1e9) : 100000;
    (void)lot;
    (void)word;
    (void)old;
    (void)shared;
    nanosleep(&nap, NULL);
}

SPKI_FN void spki_ring_wake(spki_ring_lot *lot, uint32_t *word, bool shared)
{
    (void)lot;
    (void)word;
    (void)shared;
}
#endif

#endif
