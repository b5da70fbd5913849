/* ---- >>wait: spinning, then sleeping, until there are items or room ---- */
#ifndef SPIKELIB_RING_WAIT_H
#define SPIKELIB_RING_WAIT_H

#include "mpmc.h"
#include "talk.h"

/* Looks for what a dead process left unfinished. */
SPKI_FN void spki_ring_recover(spk_ring *ring)
{
    if (ring->own->mpmc) (void)spki_ring_bury(ring);
    else spki_spsc_recover(ring);
}

/* Is it worth a try? In an MPMC ring a slot that is claimed and not finished counts for nothing. */
SPKI_FN bool spki_ring_ready(const spk_ring *ring, bool items, size_t count)
{
    const spki_ring_control *c = ring->control;
    const size_t used = spki_ring_used(ring);
    uint64_t tail;
    if (items ? used < count : ring->own->capacity - used < count) return false;
    if (!ring->own->mpmc) return true;
    if (items) {
        const uint64_t head = __atomic_load_n(&c->mpmc_head, __ATOMIC_ACQUIRE);
        return spki_mpmc_is(ring, head, SPKI_MPMC_FULL) || spki_mpmc_is(ring, head, SPKI_MPMC_GAP);
    }
    tail = __atomic_load_n(&c->mpmc_tail, __ATOMIC_ACQUIRE);
    return spki_mpmc_is(ring, tail, SPKI_MPMC_FREE);
}

/* Says how much we want, unless somebody already wants less: he is told first, and so are we.
   Returns the word to sleep on. Order: see spki_ring_publish and spki_mpmc_tell. */
SPKI_FN uint32_t spki_ring_want(spk_ring *ring, uint32_t *wanted, size_t count)
{
    const uint32_t n = (uint32_t)count;
    uint32_t old = __atomic_load_n(wanted, __ATOMIC_SEQ_CST), least;
    do least = old == 0 || n < old ? n : old;
    while (!__atomic_compare_exchange_n(wanted, &old, least, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST));
    if (!ring->fence) spki_ring_fence_others(ring->own->shared);
    return least;
}

SPKI_FN bool spki_ring_over(const spk_ring *ring, bool items, size_t count)
{
    return spki_ring_closed(ring) || spki_ring_ready(ring, items, count);
}

/* True if it is over before `spin_us` and the deadline have passed. The clock is read every 32
   pauses: a pause lasts 4 to 140 cycles, depending on the CPU. */
SPKI_FN bool spki_ring_spin(const spk_ring *ring, bool items, size_t count, double deadline_s)
{
    const double spin_us = ring->control->spin_us;
    double end = 0.0;
    uint32_t i;
    for (i = 0;; i++) {
        if (spki_ring_over(ring, items, count)) return true;
        if (i % 32 == 0) {
            const double now = spk_clock_seconds();
            if (i == 0) end = SPKI_MIN(now + 1e-6 * spin_us, deadline_s);
            if (!(now < end)) return false;
        }
        spki_ring_relax();
    }
}

/* Returns when it is over, or at the deadline (false). A dead party in a shared MPMC ring keeps
   slots unfinished: whoever has slept in vain looks for one. */
SPKI_FN bool spki_ring_wait(spk_ring *ring, bool items, size_t count, double deadline_s)
{
    spki_ring_control *c = ring->control;
    uint32_t *wanted = items ? &c->items_wanted : &c->room_wanted;
    if (spki_ring_spin(ring, items, count, deadline_s)) return true;
    for (;;) {
        uint32_t word;
        double nap;
        if (!(spk_clock_seconds() < deadline_s)) return false;
        word = spki_ring_want(ring, wanted, count);
        if (spki_ring_over(ring, items, count)) return true;
        nap = spki_ring_nap(deadline_s);
        spki_ring_add(&c->sleeps, 1);
        spki_ring_sleep(items ? &ring->own->items_lot : &ring->own->room_lot, wanted, word, nap,
                        ring->own->shared);
        if (spki_ring_over(ring, items, count)) return true;
        spki_ring_recover(ring);
    }
}

SPIKELIB_API spk_result spk_ring_wait_items(spk_ring *ring, size_t count, double deadline_s)
{
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > ring->own->capacity || deadline_s != deadline_s) return SPK_ERR_RANGE;
    if (count == 0) return SPK_OK;
    if (!spki_ring_ready(ring, true, count) && !spki_ring_wait(ring, true, count, deadline_s))
        return SPK_ERR_TIMEOUT;
    return spki_ring_used(ring) > 0 ? SPK_OK : SPK_ERR_CLOSED;
}

SPIKELIB_API spk_result spk_ring_wait_room(spk_ring *ring, size_t count, double deadline_s)
{
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > ring->own->capacity || deadline_s != deadline_s) return SPK_ERR_RANGE;
    if (spki_ring_closed(ring)) return SPK_ERR_CLOSED;
    if (!spki_ring_ready(ring, false, count) && !spki_ring_wait(ring, false, count, deadline_s))
        return SPK_ERR_TIMEOUT;
    return spki_ring_closed(ring) ? SPK_ERR_CLOSED : SPK_OK;
}

/* Whoever sleeps has said so before it looked at `closed`, so that it either sees it closed or is
   seen here (all of this is sequentially consistent). */
SPIKELIB_API spk_result spk_ring_close(spk_ring *ring)
{
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    __atomic_exchange_n(&ring->control->closed, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ring->control->limit, 0, __ATOMIC_SEQ_CST); /* after it: see spki_talk_over */
    spki_ring_wake_if(ring, true, true);
    spki_ring_wake_if(ring, false, true);
    return SPK_OK;
}

/* A closed ring wakes nobody for room, so that this polls then, from 10 us up to 1 ms apart. */
SPIKELIB_API spk_result spk_ring_drain(spk_ring *ring, double deadline_s)
{
    double nap = 1e-5;
    uint32_t never = 0;
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (deadline_s != deadline_s) return SPK_ERR_RANGE;
    while (spki_ring_used(ring) > 0) {
        if (!(spk_clock_seconds() < deadline_s)) return SPK_ERR_TIMEOUT;
        spki_ring_sleep(&ring->own->room_lot, &never, 0, nap, ring->own->shared);
        nap = SPKI_MIN(2.0 * nap, 1e-3);
        spki_ring_recover(ring);
    }
    return SPK_OK;
}

#endif
