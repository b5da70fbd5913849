/* ---- >>mpmc: many producers, many consumers ----
   Each slot has a word of its own that says which position it is ready for. For position p, modulo
   2^32:
       p          free: a producer may claim and fill it
       p + 1      filled: a consumer may claim and empty it
       p + 2      a gap: claimed, but given up; consumers step over it
       p + slots  free for the next round
   A position is claimed by moving the shared tail (head) over it, one compare-and-swap for a whole
   batch. The words lie apart from the items, sixteen to a cache line, so that spans of items are
   contiguous. Tail and head have 64 bits: they never come back to a value that a sleeping thread
   still remembers. Source: the scheme with a word for each slot is D. Vyukov's bounded queue
   (2010). */
#ifndef SPIKELIB_RING_MPMC_H
#define SPIKELIB_RING_MPMC_H

#include "party.h"

SPKI_INLINE uint32_t spki_mpmc_state(const spk_ring *ring, uint64_t position)
{
    return __atomic_load_n(&ring->seq[position & ring->mask], __ATOMIC_ACQUIRE) -
           (uint32_t)position;
}

/* The slots from a position on, up to `count`, whose state is `state`.
   Order: acquire on each word, so that what the side before us did to the slot comes first. */
SPKI_FN size_t spki_mpmc_run(const spk_ring *ring, uint64_t position, size_t count, uint32_t state)
{
    size_t n = 0;
    while (n < count && spki_mpmc_state(ring, position + n) == state) n++;
    return n;
}

/* Order: release, so that our reads or writes of the slots come first. */
SPKI_FN void spki_mpmc_mark(const spk_ring *ring, uint64_t position, size_t count, uint32_t add)
{
    size_t k;
    for (k = 0; k < count; k++)
        __atomic_store_n(&ring->seq[(position + k) & ring->mask], (uint32_t)(position + k) + add,
                         __ATOMIC_RELEASE);
}

/* After marking: tells sleepers. Order: with membarrier as in spki_ring_publish. Without it both
   sides change `wanted`: if the sleeper is first, we see its wish; if we are, its own change takes
   over what we did before (acquire and release), so that it sees our marks and does not sleep. */
SPKI_FN void spki_mpmc_tell(spk_ring *ring, bool consumers)
{
    spki_ring_control *c = ring->control;
    uint32_t *wanted = consumers ? &c->items_wanted : &c->room_wanted;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ring->fence ? __atomic_fetch_add(wanted, 0, __ATOMIC_ACQ_REL) == 0
                    : __atomic_load_n(wanted, __ATOMIC_RELAXED) == 0)
        return;
    spk_ring_signal(ring, consumers);
}

/* Somebody else claimed the slot that we need and has not finished it. In a shared ring it may
   never do so: after some such calls we look for the dead. */
SPKI_FN bool spki_mpmc_stuck(spk_ring *ring)
{
    if (!ring->own->party || ++ring->own->stuck < 64) return false;
    ring->own->stuck = 0;
    return spki_ring_bury(ring);
}

/* Claims up to `count` free positions; returns how many, the first in *position.
   Order: acquire on head: it says that the items before it are no longer ours to count. The words
   of the slots order everything else, so the tail itself may be relaxed; it is a release for the
   note that comes before (>>party). */
SPKI_FN size_t spki_mpmc_claim_free(spk_ring *ring, size_t count, int note, uint64_t *position)
{
    spki_ring_control *c = ring->control;
    const uint64_t capacity = ring->own->capacity;
    uint64_t p = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
    for (;;) {
        uint64_t seen = __atomic_load_n(&c->mpmc_head_seen, __ATOMIC_ACQUIRE);
        size_t n;
        if (p + count - seen > capacity) {
            seen = __atomic_load_n(&c->mpmc_head, __ATOMIC_ACQUIRE);
            __atomic_store_n(&c->mpmc_head_seen, seen, __ATOMIC_RELEASE);
        }
        if ((int64_t)(p - seen) < 0 || p - seen >= capacity) {
            const uint64_t now = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
            if (now == p) return 0;
            p = now;
            continue;
        }
        n = (size_t)SPKI_MIN((uint64_t)count, capacity - (p - seen));
        n = spki_mpmc_run(ring, p, n, 0);
        if (n == 0) {
            const uint64_t now = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
            if (now == p && !spki_mpmc_stuck(ring)) return 0;
            p = now;
            continue;
        }
        spki_ring_note_down(ring, note, p, n);
        if (__atomic_compare_exchange_n(&c->mpmc_tail, &p, p + n, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
            if (ring->own->party) ring->own->stuck = 0;
            *position = p;
            return n;
        }
    }
}

/* Claims up to `count` filled positions, passing over gaps on the way. Order: as above; release
   also lets a producer that sees the head moved count on it. */
SPKI_FN size_t spki_mpmc_claim_filled(spk_ring *ring, size_t count, int note, uint64_t *position)
{
    spki_ring_control *c = ring->control;
    uint64_t p = __atomic_load_n(&c->mpmc_head, __ATOMIC_RELAXED);
    for (;;) {
        uint32_t state = 1;
        size_t n = spki_mpmc_run(ring, p, count, state);
        if (n == 0) {
            state = 2;
            n = spki_mpmc_run(ring, p, count, state);
        }
        if (n == 0) {
            const uint64_t now = __atomic_load_n(&c->mpmc_head, __ATOMIC_RELAXED);
            if (now == p) {
                if (!ring->own->party) return 0;
                if (__atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED) == p) return 0;
                if (!spki_mpmc_stuck(ring)) return 0;
            }
            p = now;
            continue;
        }
        spki_ring_note_down(ring, note, p, n);
        if (!__atomic_compare_exchange_n(&c->mpmc_head, &p, p + n, false, __ATOMIC_RELEASE,
                                         __ATOMIC_RELAXED))
            continue;
        if (ring->own->party) ring->own->stuck = 0;
        *position = p;
        if (state == 1) return n;
        spki_ring_add(&c->gaps_passed, n);
        spki_mpmc_mark(ring, p, n, (uint32_t)ring->mask + 1);
        spki_mpmc_tell(ring, false);
        p += n;
    }
}

SPKI_FN void spki_mpmc_fill(spk_ring *ring, uint64_t position, size_t count, int note)
{
    spki_mpmc_mark(ring, position, count, 1);
    spki_ring_note_off(ring, note);
    spki_mpmc_tell(ring, true);
}

SPKI_FN void spki_mpmc_free(spk_ring *ring, uint64_t position, size_t count, int note)
{
    spki_mpmc_mark(ring, position, count, (uint32_t)ring->mask + 1);
    spki_ring_note_off(ring, note);
    spki_mpmc_tell(ring, false);
}

SPKI_FN size_t spki_mpmc_put(spk_ring *ring, const void *items, size_t count)
{
    uint64_t p = 0;
    const size_t n = spki_mpmc_claim_free(ring, count, SPKI_NOTE_PUSH, &p);
    if (n == 0) return 0;
    spki_ring_write(ring, p, items, n);
    spki_mpmc_fill(ring, p, n, SPKI_NOTE_PUSH);
    return n;
}

SPKI_FN size_t spki_mpmc_take(spk_ring *ring, void *items, size_t count)
{
    uint64_t p = 0;
    const size_t n = spki_mpmc_claim_filled(ring, count, SPKI_NOTE_POP, &p);
    if (n == 0) return 0;
    spki_ring_read(ring, p, items, n);
    spki_mpmc_free(ring, p, n, SPKI_NOTE_POP);
    return n;
}

SPKI_FN size_t spki_mpmc_discard(spk_ring *ring, size_t count)
{
    uint64_t p = 0;
    const size_t n = spki_mpmc_claim_filled(ring, count, SPKI_NOTE_POP, &p);
    if (n > 0) spki_mpmc_free(ring, p, n, SPKI_NOTE_POP);
    return n;
}

/* -- spans -- */

SPKI_FN size_t spki_mpmc_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    uint64_t p = 0;
    size_t n;
    if (spki_ring_span_is_out(ring, SPKI_NOTE_RESERVE)) return 0;
    n = spki_mpmc_claim_free(ring, count, SPKI_NOTE_RESERVE, &p);
    spki_ring_stretch(ring, p, n, span);
    return n;
}

SPKI_FN spk_result spki_mpmc_commit(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t all = span->first_count + span->second_count;
    if (all > ring->mask + 1 || spki_mpmc_run(ring, span->position, all, 0) != all)
        return SPK_ERR_STATE;
    if (count < all) spki_ring_add(&ring->control->gaps, all - count);
    spki_mpmc_mark(ring, span->position + count, all - count, 2);
    spki_mpmc_fill(ring, span->position, count, SPKI_NOTE_RESERVE);
    return SPK_OK;
}

SPKI_FN size_t spki_mpmc_peek(spk_ring *ring, size_t count, spk_ring_span *span)
{
    uint64_t p = 0;
    size_t n;
    if (spki_ring_span_is_out(ring, SPKI_NOTE_PEEK)) return 0;
    n = spki_mpmc_claim_filled(ring, count, SPKI_NOTE_PEEK, &p);
    spki_ring_stretch(ring, p, n, span);
    return n;
}

SPKI_FN spk_result spki_mpmc_consume(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t all = span->first_count + span->second_count;
    if (count != all) return SPK_ERR_RANGE;
    if (all > ring->mask + 1 || spki_mpmc_run(ring, span->position, all, 1) != all)
        return SPK_ERR_STATE;
    spki_mpmc_free(ring, span->position, all, SPKI_NOTE_PEEK);
    return SPK_OK;
}

#endif
