/* ---- >>talk: one item at a time, each seen before the next is pushed ----
   In a stream the consumer reads a line of items and the line of the tail, and both travel while
   others do. In a dialogue nothing else goes on, and they travel one after the other. So a consumer
   that has found just one item many times in a row asks for letters: the producer then writes a
   copy of the item into the line of the tail as well, and one line travels instead of two. It asks
   by setting `limit` to 0, whereupon each push takes the long way; a stream is not slowed, since
   there it asks for nothing, and takes back its wish as soon as it finds two items.
   Two letters take turns: that of item n is overwritten by item n + 2, after the tail has gone
   beyond n + 1. A consumer that reads the letter between two looks at the tail that both show n + 1
   has read the letter of item n, or, if its position is not n + 1, one that nobody wrote. */
#ifndef SPIKELIB_RING_TALK_H
#define SPIKELIB_RING_TALK_H

#include "spsc.h"

#define SPKI_TALK_AFTER 16 /* lone items in a row */

/* Items of 16 bytes at most, and no policy that uses `limit` itself. Positions of 32 bits come
   back: a letter might be one of 2^32 items ago. */
SPKI_INLINE bool spki_can_talk(const spk_ring *ring)
{
    return sizeof(size_t) == 8 && ring->item_size <= sizeof(uint64_t[2]) &&
           ring->own->policy != SPK_RING_SAMPLE;
}

/* The producer's: with a letter, if one is wanted and there is room.
   Order: each word is a release, so that whoever sees a word of a new letter (acquire) sees the
   tail of the item before, too. */
SPKI_FN bool spki_talk_push(spk_ring *ring, const void *item)
{
    spki_ring_control *c = ring->control;
    const size_t tail = __atomic_load_n(&c->tail_own, __ATOMIC_RELAXED);
    spki_ring_letter *letter = &c->letters[tail & 1];
    uint64_t word[2] = {0, 0};
    if (__atomic_load_n(&c->limit, __ATOMIC_RELAXED) != 0 || spki_ring_closed(ring)) return false;
    if (tail - c->head_seen >= ring->own->capacity || !spki_can_talk(ring)) return false;
    spki_ring_copy(word, item, ring->item_size);
    spki_ring_copy(ring->items + (tail & ring->mask) * ring->item_size, item, ring->item_size);
    __atomic_store_n(&letter->word[0], word[0], __ATOMIC_RELEASE);
    __atomic_store_n(&letter->word[1], word[1], __ATOMIC_RELEASE);
    __atomic_store_n(&letter->position, (uint64_t)tail + 1, __ATOMIC_RELEASE);
    spki_spsc_publish(ring, tail + 1);
    return true;
}

/* A ring that was closed meanwhile must keep its limit of 0: spk_ring_close sets it after `closed`,
   so that one of the two comes last. */
SPKI_FN void spki_talk_over(spk_ring *ring)
{
    spki_ring_control *c = ring->control;
    c->talking = c->lone = 0;
    __atomic_store_n(&c->limit, ring->own->capacity, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->closed, __ATOMIC_SEQ_CST))
        __atomic_store_n(&c->limit, 0, __ATOMIC_SEQ_CST);
}

/* The consumer's, where nothing is left of what it has seen: SPK_ERR_AGAIN if there is nothing,
   SPK_ERR_STATE if this is no dialogue, or the item came without a letter. */
SPKI_FN spk_result spki_talk_pop(spk_ring *ring, void *item)
{
    spki_ring_control *c = ring->control;
    const size_t head = __atomic_load_n(&c->head_own, __ATOMIC_RELAXED);
    const size_t tail = __atomic_load_n(&c->tail, __ATOMIC_ACQUIRE);
    const spki_ring_letter *letter = &c->letters[head & 1];
    uint64_t word[2];
    if (!c->talking) return SPK_ERR_STATE;
    if (tail == head) return SPK_ERR_AGAIN;
    if (tail - head > 1) {
        spki_talk_over(ring);
        return SPK_ERR_STATE;
    }
    word[0] = __atomic_load_n(&letter->word[0], __ATOMIC_ACQUIRE);
    word[1] = __atomic_load_n(&letter->word[1], __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&letter->position, __ATOMIC_ACQUIRE) != (uint64_t)tail ||
        __atomic_load_n(&c->tail, __ATOMIC_RELAXED) != tail)
        return SPK_ERR_STATE;
    spki_ring_copy(item, word, ring->item_size);
    c->tail_seen = tail;
    spki_spsc_release(ring, tail);
    return SPK_OK;
}

/* After the consumer looked and took one item. */
SPKI_FN void spki_talk_note(spk_ring *ring)
{
    spki_ring_control *c = ring->control;
    if (c->talking) return;
    c->lone = c->tail_moved == 1 ? c->lone + 1 : 0;
    if (c->lone < SPKI_TALK_AFTER || !spki_can_talk(ring)) return;
    c->talking = 1;
    __atomic_store_n(&c->limit, 0, __ATOMIC_RELAXED);
}

#endif
