/* ---- >>spsc: one producer, one consumer ----
   The producer owns `tail`, the consumer `head`. Each keeps a copy of the other's position and
   looks again only when the copy says full, or empty: then the cache line has to travel. And each
   keeps a copy of its own: to read that one where the other looks would bring its line back. */
#ifndef SPIKELIB_RING_SPSC_H
#define SPIKELIB_RING_SPSC_H

#include "core.h"

/* A cache line that both sides want takes some 100 ns to travel, and a side that looks again as
   soon as it has used up what it saw makes the other one lose the line at each item. So a side
   that has just found something new does not look again within the patience of 0.7 us: meanwhile
   the other publishes some hundred items. Whoever finds nothing new may look at once, so that a
   lone item is seen without delay. */
SPKI_FN size_t spki_spsc_look(const size_t *other, size_t *seen, uint64_t *looked, uint64_t *moved,
                              uint64_t patience)
{
    const uint64_t hold = spki_ring_hold(*moved, patience);
    size_t now;
    if (hold > 0)
        while (spki_ring_ticks() - *looked < hold) spki_ring_relax();
    now = __atomic_load_n(other, __ATOMIC_ACQUIRE);
    *moved = now - *seen;
    if (now == *seen) return now;
    *seen = now;
    *looked = spki_ring_ticks();
    return now;
}

/* Room for up to `count` items. Order: acquire on `head`, so that the consumer's reads of a slot
   come before we write it again. */
SPKI_FN size_t spki_spsc_room(spk_ring *ring, size_t tail, size_t count)
{
    spki_ring_control *c = ring->control;
    const size_t capacity = ring->own->capacity;
    size_t room = capacity - (tail - c->head_seen);
    if (room < count)
        room = capacity - (tail - spki_spsc_look(&c->head, &c->head_seen, &c->head_looked,
                                                 &c->head_moved, ring->own->patience));
    return room < count ? room : count;
}

SPKI_FN void spki_spsc_publish(spk_ring *ring, size_t tail)
{
    spki_ring_control *c = ring->control;
    spki_ring_publish(ring, &c->tail_own, &c->tail, tail, &c->items_wanted, true);
}

SPKI_FN void spki_spsc_release(spk_ring *ring, size_t head)
{
    spki_ring_control *c = ring->control;
    spki_ring_publish(ring, &c->head_own, &c->head, head, &c->room_wanted, false);
}

/* Items there, up to `count`. Order: acquire on `tail`, so that what the producer wrote comes
   before we read it. */
SPKI_FN size_t spki_spsc_there(spk_ring *ring, size_t head, size_t count)
{
    spki_ring_control *c = ring->control;
    size_t there = c->tail_seen - head;
    if (there < count)
        there = spki_spsc_look(&c->tail, &c->tail_seen, &c->tail_looked, &c->tail_moved,
                               ring->own->patience) - head;
    return there < count ? there : count;
}

SPKI_FN size_t spki_spsc_put(spk_ring *ring, const void *items, size_t count)
{
    const size_t tail = __atomic_load_n(&ring->control->tail_own, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_room(ring, tail, count);
    if (n == 0) return 0;
    spki_ring_write(ring, tail, items, n);
    spki_spsc_publish(ring, tail + n);
    return n;
}

SPKI_FN size_t spki_spsc_take(spk_ring *ring, void *items, size_t count)
{
    const size_t head = __atomic_load_n(&ring->control->head_own, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_there(ring, head, count);
    if (n == 0) return 0;
    spki_ring_read(ring, head, items, n);
    spki_spsc_release(ring, head + n);
    return n;
}

SPKI_FN size_t spki_spsc_discard(spk_ring *ring, size_t count)
{
    const size_t head = __atomic_load_n(&ring->control->head_own, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_there(ring, head, count);
    if (n > 0) spki_spsc_release(ring, head + n);
    return n;
}

/* What a side had done that was killed between its own copy and the position that the other one
   sees. Anybody may publish it: the items are written (or read) by then, and a side that lives
   publishes the same, or has gone on and the exchange fails. */
SPKI_FN void spki_spsc_catch_up(size_t *position, const size_t *own)
{
    size_t old = __atomic_load_n(position, __ATOMIC_ACQUIRE);
    const size_t now = __atomic_load_n(own, __ATOMIC_ACQUIRE);
    if (now != old)
        (void)__atomic_compare_exchange_n(position, &old, now, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED);
}

SPKI_FN void spki_spsc_recover(spk_ring *ring)
{
    spki_ring_control *c = ring->control;
    if (!ring->own->shared) return;
    spki_spsc_catch_up(&c->tail, &c->tail_own);
    spki_spsc_catch_up(&c->head, &c->head_own);
}

/* -- spans -- */

SPKI_FN size_t spki_spsc_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    const size_t tail = __atomic_load_n(&ring->control->tail_own, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_room(ring, tail, count);
    spki_ring_stretch(ring, tail, n, span);
    return n;
}

SPKI_FN spk_result spki_spsc_commit(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t tail = __atomic_load_n(&ring->control->tail_own, __ATOMIC_RELAXED);
    if ((size_t)span->position != tail) return SPK_ERR_STATE;
    if (count > ring->own->capacity - (tail - ring->control->head_seen)) return SPK_ERR_RANGE;
    if (count > 0) spki_spsc_publish(ring, tail + count);
    return SPK_OK;
}

SPKI_FN size_t spki_spsc_peek(spk_ring *ring, size_t count, spk_ring_span *span)
{
    const size_t head = __atomic_load_n(&ring->control->head_own, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_there(ring, head, count);
    spki_ring_stretch(ring, head, n, span);
    return n;
}

SPKI_FN spk_result spki_spsc_consume(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t head = __atomic_load_n(&ring->control->head_own, __ATOMIC_RELAXED);
    if ((size_t)span->position != head) return SPK_ERR_STATE;
    if (count > ring->control->tail_seen - head) return SPK_ERR_RANGE;
    if (count > 0) spki_spsc_release(ring, head + count);
    return SPK_OK;
}

#endif
