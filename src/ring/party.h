/* ---- >>party: who works on a shared MPMC ring, and cleaning up after those who died ----
   A thread may be killed between claiming slots and finishing them. So before it claims, it notes
   in the shared memory what it is about to claim (a store or two: the line is its own), and it
   holds a robust mutex, which the kernel hands over when the thread dies, however it dies.
   Whoever finds a slot unfinished for long looks for the dead: a slot that one of them may have
   claimed, that was claimed, that is unfinished, and that no living party has noted, is theirs. */
#ifndef SPIKELIB_RING_PARTY_H
#define SPIKELIB_RING_PARTY_H

#include "core.h"

#include <errno.h>

#if defined(__linux__) && !defined(SPIKELIB_NO_THREADS)
#define SPKI_RING_ROBUST 1
#else
#define SPKI_RING_ROBUST 0
#endif

#define SPKI_RING_PARTIES 64u

enum { SPKI_NOTE_PUSH, SPKI_NOTE_RESERVE, SPKI_NOTE_POP, SPKI_NOTE_PEEK, SPKI_NOTES };

typedef struct spki_ring_note {
    uint64_t first;
    uint64_t count; /* 0: none */
} spki_ring_note;

#if SPKI_RING_ROBUST
typedef pthread_mutex_t spki_ring_mutex;
#else
typedef uint64_t spki_ring_mutex;
#endif

struct spki_ring_party {
    spki_ring_note note[SPKI_NOTES];
    spki_ring_mutex alive; /* locked by the thread as long as it is attached */
    uint32_t used;         /* 1: the mutex is in order, and the party attached; 2: dead */
    uint8_t pad[128 - 16 * SPKI_NOTES - sizeof(spki_ring_mutex) - sizeof(uint32_t)];
};

/* Behind the control block of a shared MPMC ring. */
typedef struct spki_ring_parties {
    spki_ring_mutex lock; /* of whoever attaches or cleans up; robust, too */
    uint8_t pad[128 - sizeof(spki_ring_mutex)];
    spki_ring_party party[SPKI_RING_PARTIES];
} spki_ring_parties;

SPKI_INLINE spki_ring_parties *spki_ring_all(const spk_ring *ring)
{
    return (spki_ring_parties *)(void *)(ring->control + 1);
}

/* Order: both stores come before the claim, which is a release; so whoever sees the slot claimed
   sees the note, or a later one, and then also that the slot was finished. */
SPKI_INLINE void spki_ring_note_down(const spk_ring *ring, int which, uint64_t first, size_t count)
{
    spki_ring_party *party = ring->own->party;
    if (!party) return;
    __atomic_store_n(&party->note[which].first, first, __ATOMIC_RELEASE);
    __atomic_store_n(&party->note[which].count, (uint64_t)count, __ATOMIC_RELEASE);
}

SPKI_INLINE void spki_ring_note_off(const spk_ring *ring, int which)
{
    spki_ring_party *party = ring->own->party;
    if (party) __atomic_store_n(&party->note[which].count, 0, __ATOMIC_RELEASE);
}

/* Shared MPMC rings know one span a direction and handle. */
SPKI_INLINE bool spki_ring_span_is_out(const spk_ring *ring, int which)
{
    return ring->own->party && ring->own->party->note[which].count > 0;
}

#if SPKI_RING_ROBUST
/* Hidden by -std=c11, as in core/base.h; PTHREAD_MUTEX_ROBUST is 1, PTHREAD_PROCESS_SHARED is 1
   in the ABI of Linux's C libraries. */
#ifdef __cplusplus
extern "C" {
#endif
extern int spki_os_set_robust(pthread_mutexattr_t *attr, int on)
    __asm__("pthread_mutexattr_setrobust");
extern int spki_os_consistent(pthread_mutex_t *mutex) __asm__("pthread_mutex_consistent");
extern int spki_os_set_shared(pthread_mutexattr_t *attr, int on)
    __asm__("pthread_mutexattr_setpshared");
#ifdef __cplusplus
}
#endif

SPKI_FN bool spki_ring_mutex_init(spki_ring_mutex *mutex)
{
    pthread_mutexattr_t attr;
    bool ok;
    if (pthread_mutexattr_init(&attr) != 0) return false;
    ok = spki_os_set_robust(&attr, 1) == 0 && spki_os_set_shared(&attr, 1) == 0 &&
         pthread_mutex_init(mutex, &attr) == 0;
    pthread_mutexattr_destroy(&attr);
    return ok;
}

/* What was protected is whole at every moment, so an owner's death needs no repair of its own. */
SPKI_FN bool spki_ring_lock(spki_ring_mutex *mutex)
{
    int e = pthread_mutex_lock(mutex);
    if (e == EOWNERDEAD) e = spki_os_consistent(mutex);
    return e == 0;
}

SPKI_FN bool spki_ring_parties_init(spk_ring *ring)
{
    spki_ring_parties *all = spki_ring_all(ring);
    uint32_t k;
    bool ok = spki_ring_mutex_init(&all->lock);
    for (k = 0; k < SPKI_RING_PARTIES; k++) ok = ok && spki_ring_mutex_init(&all->party[k].alive);
    return ok;
}

/* Marks the dead. Under the lock. */
SPKI_FN void spki_ring_find_dead(spki_ring_parties *all)
{
    uint32_t k;
    for (k = 0; k < SPKI_RING_PARTIES; k++) {
        spki_ring_party *party = &all->party[k];
        int e;
        if (__atomic_load_n(&party->used, __ATOMIC_ACQUIRE) != 1) continue;
        e = pthread_mutex_trylock(&party->alive);
        if (e == EOWNERDEAD) e = spki_os_consistent(&party->alive);
        if (e != 0) continue; /* EBUSY: it lives */
        __atomic_store_n(&party->used, 2, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&party->alive);
    }
}

SPKI_FN bool spki_ring_noted(const spki_ring_note *note, uint64_t position)
{
    const uint64_t count = __atomic_load_n(&note->count, __ATOMIC_ACQUIRE);
    const uint64_t first = __atomic_load_n(&note->first, __ATOMIC_ACQUIRE);
    return position - first < count;
}

/* Has a living party noted the position, in one of its two notes for this direction? */
SPKI_FN bool spki_ring_lives(const spki_ring_parties *all, int which, uint64_t position)
{
    uint32_t k;
    for (k = 0; k < SPKI_RING_PARTIES; k++) {
        const spki_ring_party *party = &all->party[k];
        if (__atomic_load_n(&party->used, __ATOMIC_ACQUIRE) != 1) continue;
        if (spki_ring_noted(&party->note[which], position)) return true;
        if (spki_ring_noted(&party->note[which + 1], position)) return true;
    }
    return false;
}

/* Was the position, which was claimed, neither filled nor made a gap (neither freed)? `is`: the
   byte that will change then (>>mpmc); until it is filled the byte is that of a round before. */
SPKI_FN bool spki_ring_unfinished(const spk_ring *ring, uint64_t p, bool push, unsigned char *is)
{
    const uint64_t before = p - ring->mask - 1;
    *is = __atomic_load_n((push ? ring->filled : ring->freed) + (p & ring->mask), __ATOMIC_ACQUIRE);
    if (!push) return *is == spki_mpmc_byte(ring, p, SPKI_MPMC_FREE);
    return *is == spki_mpmc_byte(ring, before, SPKI_MPMC_FULL) ||
           *is == spki_mpmc_byte(ring, before, SPKI_MPMC_GAP);
}

/* Makes a gap of it (frees it); false: somebody else did. */
SPKI_FN bool spki_ring_finish(const spk_ring *ring, uint64_t p, bool push, unsigned char is)
{
    unsigned char *at = (push ? ring->filled : ring->freed) + (p & ring->mask);
    const uint64_t round = push ? p : p + ring->mask + 1;
    return __atomic_compare_exchange_n(
        at, &is, spki_mpmc_byte(ring, round, push ? SPKI_MPMC_GAP : SPKI_MPMC_FREE), false,
        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Finishes a dead party's slots of one note: pushed ones become gaps, popped ones become free.
   False if a living party has noted one of them, too: then next time will show. */
SPKI_FN bool spki_ring_bury_note(spk_ring *ring, const spki_ring_note *note, int which)
{
    spki_ring_control *c = ring->control;
    const bool push = which < SPKI_NOTE_POP;
    const uint64_t end = __atomic_load_n(push ? &c->mpmc_tail : &c->mpmc_head, __ATOMIC_ACQUIRE);
    bool done = true;
    uint64_t k;
    for (k = 0; k < note->count; k++) {
        const uint64_t p = note->first + k;
        unsigned char is;
        bool gap;
        if ((int64_t)(end - p) <= 0) continue; /* it died before claiming */
        if (end - p > (uint64_t)ring->mask + 1) continue; /* gone round since: finished */
        if (!spki_ring_unfinished(ring, p, push, &is)) continue;
        if (spki_ring_lives(spki_ring_all(ring), push ? SPKI_NOTE_PUSH : SPKI_NOTE_POP, p)) {
            done = false;
            continue;
        }
        gap = __atomic_load_n(&ring->filled[p & ring->mask], __ATOMIC_ACQUIRE) ==
              spki_mpmc_byte(ring, p, SPKI_MPMC_GAP);
        if (!spki_ring_finish(ring, p, push, is)) continue;
        if (push) spki_ring_add(&c->gaps, 1);
        if (!push) spki_ring_add(gap ? &c->gaps_passed : &c->lost_popped, 1);
        if (push || !gap) spki_ring_add(&c->lost, 1);
    }
    return done;
}

/* Returns true if there was something to clean up. Thread: any; one at a time does it. */
SPKI_FN bool spki_ring_bury(spk_ring *ring)
{
    spki_ring_parties *all = spki_ring_all(ring);
    bool found = false;
    uint32_t k;
    int n;
    if (!ring->own->party || !spki_ring_lock(&all->lock)) return false;
    spki_ring_find_dead(all);
    for (k = 0; k < SPKI_RING_PARTIES; k++) {
        spki_ring_party *party = &all->party[k];
        bool done = true;
        if (party->used != 2) continue;
        found = true;
        for (n = 0; n < SPKI_NOTES; n++)
            done = spki_ring_bury_note(ring, &party->note[n], n) && done;
        if (!done) continue;
        for (n = 0; n < SPKI_NOTES; n++) party->note[n].count = 0;
        spki_ring_add(&ring->control->recovered, 1);
        __atomic_store_n(&party->used, 0, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&all->lock);
    if (found) {
        spki_ring_wake_if(ring, true, true);
        spki_ring_wake_if(ring, false, true);
    }
    return found;
}

SPKI_FN spk_result spki_ring_join(spk_ring *ring)
{
    spki_ring_parties *all = spki_ring_all(ring);
    uint32_t k, round;
    if (!spki_ring_lock(&all->lock)) return SPK_ERR_UNSUPPORTED;
    for (round = 0; round < 2 && !ring->own->party; round++) {
        for (k = 0; k < SPKI_RING_PARTIES && !ring->own->party; k++) {
            spki_ring_party *party = &all->party[k];
            if (party->used != 0 || !spki_ring_lock(&party->alive)) continue;
            memset(party->note, 0, sizeof party->note);
            __atomic_store_n(&party->used, 1, __ATOMIC_RELEASE);
            ring->own->party = party;
        }
        if (!ring->own->party && round == 0) {
            ring->own->party = &all->party[0]; /* so that it may look */
            pthread_mutex_unlock(&all->lock);
            (void)spki_ring_bury(ring);
            ring->own->party = NULL;
            if (!spki_ring_lock(&all->lock)) return SPK_ERR_UNSUPPORTED;
        }
    }
    pthread_mutex_unlock(&all->lock);
    return ring->own->party ? SPK_OK : SPK_ERR_FULL;
}

/* An open span stays claimed, so it is left for the others to clean up. */
SPKI_FN void spki_ring_leave(spk_ring *ring)
{
    spki_ring_party *party = ring->own->party;
    bool open = false;
    int n;
    if (!party) return;
    for (n = 0; n < SPKI_NOTES; n++) open = open || party->note[n].count > 0;
    __atomic_store_n(&party->used, open ? 2 : 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&party->alive);
    ring->own->party = NULL;
}
#else
SPKI_FN bool spki_ring_parties_init(spk_ring *ring)
{
    (void)ring;
    return false;
}

SPKI_FN bool spki_ring_bury(spk_ring *ring)
{
    (void)ring;
    return false;
}

SPKI_FN spk_result spki_ring_join(spk_ring *ring)
{
    (void)ring;
    return SPK_ERR_UNSUPPORTED;
}

SPKI_FN void spki_ring_leave(spk_ring *ring) { (void)ring; }
#endif

#endif
