/* ---- >>mpmc: many producers, many consumers ----
   Each slot has two bytes that say what it is ready for, by the round (how often the ring has been
   gone round): one that producers write, and one that consumers write.
       filled: 2 r        FULL in round r: a consumer may claim and empty it
       filled: 2 r + 1    GAP in round r: claimed, but given up; consumers step over it
       freed: r           FREE for round r: a producer may claim and fill it
   A position is claimed by moving the shared tail (head) over it, one compare-and-swap for a whole
   batch. Tail and head have 64 bits and never come back to a value that a sleeping thread still
   remembers; while the head is p, the slot of p can only be in its own round or the one before, so
   that a round modulo 128 cannot be mistaken. The bytes lie apart from the items, 64 to a cache
   line, so that spans of items are contiguous and eight slots are looked at, or marked, at once;
   and those of the two sides apart from each other, so that a side that works close behind the
   other does not take away the line that the other is writing.
   Source: a word for each slot is the scheme of D. Vyukov's bounded queue (2010). */
#ifndef SPIKELIB_RING_MPMC_H
#define SPIKELIB_RING_MPMC_H

#include "party.h"

SPKI_INLINE unsigned char *spki_mpmc_at(const spk_ring *ring, uint64_t position, uint32_t state)
{
    return (state == SPKI_MPMC_FREE ? ring->freed : ring->filled) + (position & ring->mask);
}

SPKI_INLINE bool spki_mpmc_is(const spk_ring *ring, uint64_t position, uint32_t state)
{
    return __atomic_load_n(spki_mpmc_at(ring, position, state), __ATOMIC_ACQUIRE) ==
           spki_mpmc_byte(ring, position, state);
}

/* As many slots as a register has bytes, if they are aligned and of one round: an aligned access of
   a word is one access for each of its bytes, too. ThreadSanitizer knows an atomic only by its
   address, and would miss that a store of a word orders a load of its third byte. */
#define SPKI_MPMC_WORD sizeof(size_t)
#if defined(__SANITIZE_THREAD__)
#define SPKI_MPMC_WIDE 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SPKI_MPMC_WIDE 0
#endif
#endif
#ifndef SPKI_MPMC_WIDE
#define SPKI_MPMC_WIDE 1
#endif

SPKI_INLINE bool spki_mpmc_is_word(const unsigned char *at, size_t count)
{
    return SPKI_MPMC_WIDE && count >= SPKI_MPMC_WORD &&
           ((uintptr_t)at & (SPKI_MPMC_WORD - 1)) == 0;
}

/* How many of `count` slots from a position on are of its round, and so contiguous. */
SPKI_INLINE size_t spki_mpmc_of_round(const spk_ring *ring, uint64_t position, size_t count)
{
    const size_t to_end = ring->mask + 1 - ((size_t)position & ring->mask);
    return SPKI_MIN(count, to_end);
}

SPKI_INLINE size_t spki_mpmc_word(unsigned char byte)
{
    return (size_t)-1 / 255 * byte;
}

/* The slots from a position on, up to `count`, that are in `state`.
   Order: acquire on each, so that what the side before us did to the slot comes first. */
SPKI_FN size_t spki_mpmc_run(const spk_ring *ring, uint64_t position, size_t count, uint32_t state)
{
    size_t n = 0;
    while (n < count) {
        const unsigned char *at = spki_mpmc_at(ring, position + n, state);
        const unsigned char byte = spki_mpmc_byte(ring, position + n, state);
        const unsigned char *end = at + spki_mpmc_of_round(ring, position + n, count - n);
        while (at < end) {
            if (spki_mpmc_is_word(at, (size_t)(end - at)) &&
                __atomic_load_n((const size_t *)(const void *)at, __ATOMIC_ACQUIRE) ==
                    spki_mpmc_word(byte)) {
                at += SPKI_MPMC_WORD;
                n += SPKI_MPMC_WORD;
                continue;
            }
            if (__atomic_load_n(at, __ATOMIC_ACQUIRE) != byte) return n;
            at++;
            n++;
        }
    }
    return n;
}

/* Order: release, so that our reads or writes of the slots come first. */
SPKI_FN void spki_mpmc_mark(const spk_ring *ring, uint64_t position, size_t count, uint32_t state)
{
    size_t n = 0;
    while (n < count) {
        unsigned char *at = spki_mpmc_at(ring, position + n, state);
        const unsigned char byte = spki_mpmc_byte(ring, position + n, state);
        const size_t stretch = spki_mpmc_of_round(ring, position + n, count - n);
        unsigned char *end = at + stretch;
        while (at < end) {
            if (spki_mpmc_is_word(at, (size_t)(end - at))) {
                __atomic_store_n((size_t *)(void *)at, spki_mpmc_word(byte), __ATOMIC_RELEASE);
                at += SPKI_MPMC_WORD;
            } else {
                __atomic_store_n(at, byte, __ATOMIC_RELEASE);
                at++;
            }
        }
        n += stretch;
    }
}

/* Emptied slots are free for the next round. */
SPKI_INLINE void spki_mpmc_hand_back(const spk_ring *ring, uint64_t position, size_t count)
{
    spki_mpmc_mark(ring, position + ring->mask + 1, count, SPKI_MPMC_FREE);
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

/* Each side notes up to where it has seen slots ready, looks ahead when it gets there, and like
   an SPSC side has patience if it found something the last time (>>spsc). A slot that was ready
   stays so until its position is claimed, so up to the note nobody needs to look again. A note that
   comes late may go back: then somebody looks again.
   Order: whoever writes the note has acquired the slots, and releases; whoever reads it acquires.
   What it covers begins at a tail (head) that its writer had read: no claim that comes after the
   reading of the note can be of a position before that. */
#define SPKI_MPMC_AHEAD ((size_t)128)

SPKI_FN void spki_mpmc_hold(const spk_ring *ring, const spki_mpmc_hint *hint)
{
    const uint64_t hold = spki_ring_hold(spki_ring_load(&hint->moved), ring->own->patience);
    if (hold == 0) return;
    while (spki_ring_ticks() - spki_ring_load(&hint->looked) < hold) spki_ring_relax();
}

SPKI_FN void spki_mpmc_saw(spki_mpmc_hint *hint, uint64_t position, size_t count, size_t asked)
{
    const uint64_t moved = count == asked ? SPKI_RING_ENOUGH : count;
    __atomic_store_n(&hint->moved, moved, __ATOMIC_RELAXED);
    if (count == 0) return;
    __atomic_store_n(&hint->seen, position + count, __ATOMIC_RELEASE);
    __atomic_store_n(&hint->looked, spki_ring_ticks(), __ATOMIC_RELAXED);
}

/* Has somebody seen `count` slots ready from p on? */
SPKI_INLINE bool spki_mpmc_seen(const spk_ring *ring, const spki_mpmc_hint *hint, uint64_t p,
                                size_t count)
{
    const uint64_t ahead = __atomic_load_n(&hint->seen, __ATOMIC_ACQUIRE) - p;
    return ahead >= count && ahead <= ring->mask + 1;
}

/* Free slots from p on, up to `count`. Order: acquire on the head, whose items are no longer ours
   to count; and on the bytes (spki_mpmc_run). */
SPKI_FN size_t spki_mpmc_find_free(spk_ring *ring, uint64_t p, size_t count)
{
    spki_ring_control *c = ring->control;
    uint64_t room;
    size_t n, asked;
    if (spki_mpmc_seen(ring, &c->free, p, count)) return count;
    spki_mpmc_hold(ring, &c->free);
    room = __atomic_load_n(&c->mpmc_head, __ATOMIC_ACQUIRE) + ring->own->capacity - p;
    if (room > ring->own->capacity) return 0; /* p is old, or the ring is overfull: begin again */
    asked = SPKI_MAX(count, SPKI_MPMC_AHEAD);
    n = spki_mpmc_run(ring, p, (size_t)SPKI_MIN(room, (uint64_t)asked), SPKI_MPMC_FREE);
    spki_mpmc_saw(&c->free, p, n, asked);
    return SPKI_MIN(n, count);
}

/* Filled slots from p on, or gaps. */
SPKI_FN size_t spki_mpmc_find_filled(spk_ring *ring, uint64_t p, size_t count, uint32_t *state)
{
    spki_ring_control *c = ring->control;
    const size_t asked = SPKI_MAX(count, SPKI_MPMC_AHEAD);
    size_t n;
    *state = SPKI_MPMC_FULL;
    if (spki_mpmc_seen(ring, &c->filled, p, count)) return count;
    spki_mpmc_hold(ring, &c->filled);
    n = spki_mpmc_run(ring, p, asked, SPKI_MPMC_FULL);
    spki_mpmc_saw(&c->filled, p, n, asked);
    if (n > 0) return SPKI_MIN(n, count);
    *state = SPKI_MPMC_GAP;
    return spki_mpmc_run(ring, p, count, SPKI_MPMC_GAP);
}

/* Claims up to `count` free positions; returns how many, the first in *position. Order: the words
   of the slots order everything, so the tail itself may be relaxed; it is a release for the note
   that comes before (>>party). */
SPKI_FN size_t spki_mpmc_claim_free(spk_ring *ring, size_t count, int note, uint64_t *position)
{
    spki_ring_control *c = ring->control;
    uint64_t p = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
    for (;;) {
        const size_t n = spki_mpmc_find_free(ring, p, count);
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
        uint32_t state = SPKI_MPMC_FULL;
        const size_t n = spki_mpmc_find_filled(ring, p, count, &state);
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
        if (state == SPKI_MPMC_FULL) return n;
        spki_ring_add(&c->gaps_passed, n);
        spki_mpmc_hand_back(ring, p, n);
        spki_mpmc_tell(ring, false);
        p += n;
    }
}

SPKI_FN void spki_mpmc_fill(spk_ring *ring, uint64_t position, size_t count, int note)
{
    spki_mpmc_mark(ring, position, count, SPKI_MPMC_FULL);
    spki_ring_note_off(ring, note);
    spki_mpmc_tell(ring, true);
}

SPKI_FN void spki_mpmc_free(spk_ring *ring, uint64_t position, size_t count, int note)
{
    spki_mpmc_hand_back(ring, position, count);
    spki_ring_note_off(ring, note);
    spki_mpmc_tell(ring, false);
}

/* -- one item, where the note says that its slot is ready -- */

SPKI_FN bool spki_mpmc_push_one(spk_ring *ring, const void *item)
{
    spki_ring_control *c = ring->control;
    uint64_t p = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
    if (ring->own->party || spki_ring_closed(ring)) return false;
    do {
        if (!spki_mpmc_seen(ring, &c->free, p, 1)) return false;
    } while (!__atomic_compare_exchange_n(&c->mpmc_tail, &p, p + 1, false, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    spki_ring_copy(ring->items + (p & ring->mask) * ring->item_size, item, ring->item_size);
    __atomic_store_n(spki_mpmc_at(ring, p, SPKI_MPMC_FULL), spki_mpmc_byte(ring, p, SPKI_MPMC_FULL),
                     __ATOMIC_RELEASE);
    spki_mpmc_tell(ring, true);
    return true;
}

SPKI_FN bool spki_mpmc_pop_one(spk_ring *ring, void *item)
{
    spki_ring_control *c = ring->control;
    uint64_t p = __atomic_load_n(&c->mpmc_head, __ATOMIC_RELAXED);
    if (ring->own->party) return false;
    do {
        if (!spki_mpmc_seen(ring, &c->filled, p, 1)) return false;
    } while (!__atomic_compare_exchange_n(&c->mpmc_head, &p, p + 1, false, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    spki_ring_copy(item, ring->items + (p & ring->mask) * ring->item_size, ring->item_size);
    spki_mpmc_hand_back(ring, p, 1);
    spki_mpmc_tell(ring, false);
    return true;
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

/* Are these slots free and not filled (full and not freed)? */
SPKI_FN bool spki_mpmc_is_out(const spk_ring *ring, uint64_t position, size_t count, bool full)
{
    const uint64_t before = position - ring->mask - 1;
    size_t n = 0;
    if (spki_mpmc_run(ring, position, count, SPKI_MPMC_FREE) != count) return false;
    if (full) return spki_mpmc_run(ring, position, count, SPKI_MPMC_FULL) == count;
    while (n < count) {
        n += spki_mpmc_run(ring, before + n, count - n, SPKI_MPMC_FULL);
        if (n == count) break;
        if (!spki_mpmc_is(ring, before + n, SPKI_MPMC_GAP)) return false;
        n++;
    }
    return true;
}

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
    if (all > ring->mask + 1 || !spki_mpmc_is_out(ring, span->position, all, false))
        return SPK_ERR_STATE;
    if (count < all) spki_ring_add(&ring->control->gaps, all - count);
    spki_mpmc_mark(ring, span->position + count, all - count, SPKI_MPMC_GAP);
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
    if (all > ring->mask + 1 || !spki_mpmc_is_out(ring, span->position, all, true))
        return SPK_ERR_STATE;
    spki_mpmc_free(ring, span->position, all, SPKI_NOTE_PEEK);
    return SPK_OK;
}

#endif
