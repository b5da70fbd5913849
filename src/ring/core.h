/* ---- >>ring-core: what a handle holds, counting, telling sleepers ---- */
#ifndef SPIKELIB_RING_CORE_H
#define SPIKELIB_RING_CORE_H

#include "../core/alloc.h"
#include "park.h"

#include <stdarg.h>

#define SPKI_RING_MAGIC UINT64_C(0x31676e6972757073) /* "spuring1" */
#define SPKI_RING_LAYOUT 3u
#define SPKI_RING_CAPACITY ((size_t)1 << 30)
#define SPKI_RING_ITEM 65536u

typedef struct spki_ring_party spki_ring_party;

/* A compile error here: a field is not in the line that spki_ring_control means it to be in. */
typedef char spki_ring_lines_as_meant
    [offsetof(spki_ring_control, head_looked) == 128 &&
             offsetof(spki_ring_control, head_own) == 256 &&
             offsetof(spki_ring_control, items_wanted) == 384 &&
             offsetof(spki_ring_control, letters) == 512 &&
             offsetof(spki_ring_control, tail) == 560 && offsetof(spki_ring_control, head) == 768 &&
             offsetof(spki_ring_control, mpmc_tail) == 1280 &&
             offsetof(spki_ring_control, mpmc_head) == 1536 && sizeof(spki_ring_control) == 1920
         ? 1
         : -1];

/* The part of a handle that only this process sees. */
struct spki_ring_private {
    spki_mem mem;
    void *block; /* from the allocator, with the handle in it; NULL: the caller's memory */
    size_t block_bytes;
    void *mapping; /* of a path */
    size_t mapping_bytes;
    spki_ring_party *party; /* shared MPMC */
    uint32_t stuck;         /* calls in a row that found somebody else's slot unfinished */
    bool shared, mpmc;
    spk_ring_policy policy;
    size_t capacity;
    uint64_t patience; /* ticks */
    spki_ring_lot items_lot, room_lot;
    char error[192];
};
typedef struct spki_ring_private spki_ring_private;

/* A handle with what it points to; at the start of a block. */
typedef struct spki_ring_handle {
    spk_ring ring;
    spki_ring_private own;
} spki_ring_handle;

SPKI_INLINE void spki_ring_add(uint64_t *counter, uint64_t n)
{
    (void)__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

SPKI_INLINE uint64_t spki_ring_load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

SPKI_INLINE bool spki_ring_closed(const spk_ring *ring)
{
    return __atomic_load_n(&ring->control->closed, __ATOMIC_ACQUIRE) != 0;
}

/* Sequentially consistent loads: a sleeper counts after it has said that it wants to be woken.
   The head first: it only grows, so the difference is never negative for too long a head. */
SPKI_FN size_t spki_ring_used(const spk_ring *ring)
{
    const spki_ring_control *c = ring->control;
    if (ring->own->mpmc) {
        uint64_t head = __atomic_load_n(&c->mpmc_head, __ATOMIC_SEQ_CST);
        uint64_t used = __atomic_load_n(&c->mpmc_tail, __ATOMIC_SEQ_CST) - head;
        return used > ring->own->capacity ? ring->own->capacity : (size_t)used;
    } else {
        size_t head = __atomic_load_n(&c->head, __ATOMIC_SEQ_CST);
        size_t used = __atomic_load_n(&c->tail, __ATOMIC_SEQ_CST) - head;
        return used > ring->own->capacity ? ring->own->capacity : used;
    }
}

/* The states of a slot of an MPMC ring, and the byte of a position in a state: see >>mpmc. */
enum { SPKI_MPMC_FREE, SPKI_MPMC_FULL, SPKI_MPMC_GAP };

SPKI_INLINE unsigned char spki_mpmc_byte(const spk_ring *ring, uint64_t position, uint32_t state)
{
    const uint64_t round = position >> ring->shift;
    return (unsigned char)(state == SPKI_MPMC_FREE ? round : 2 * round + state - SPKI_MPMC_FULL);
}

/* Two stretches of slots from a position on. */
SPKI_FN void spki_ring_stretch(const spk_ring *ring, uint64_t position, size_t count,
                               spk_ring_span *span)
{
    const size_t at = (size_t)position & ring->mask;
    const size_t to_end = ring->mask + 1 - at;
    span->position = position;
    span->first = ring->items + at * ring->item_size;
    span->second = ring->items;
    span->first_count = count < to_end ? count : to_end;
    span->second_count = count - span->first_count;
}

SPKI_FN void spki_ring_move(void *to, const void *from, size_t bytes)
{
    if (bytes == 16) spki_ring_copy(to, from, 16);
    else memcpy(to, from, bytes);
}

SPKI_FN void spki_ring_write(const spk_ring *ring, uint64_t position, const void *items, size_t n)
{
    spk_ring_span to;
    spki_ring_stretch(ring, position, n, &to);
    spki_ring_move(to.first, items, to.first_count * ring->item_size);
    if (to.second_count > 0)
        spki_ring_move(to.second, (const char *)items + to.first_count * ring->item_size,
                       to.second_count * ring->item_size);
}

SPKI_FN void spki_ring_read(const spk_ring *ring, uint64_t position, void *items, size_t n)
{
    spk_ring_span from;
    spki_ring_stretch(ring, position, n, &from);
    spki_ring_move(items, from.first, from.first_count * ring->item_size);
    if (from.second_count > 0)
        spki_ring_move((char *)items + from.first_count * ring->item_size, from.second,
                       from.second_count * ring->item_size);
}

/* `wanted` holds how many items (or how much room) the least demanding sleeper waits for, 0 if
   nobody sleeps. Called after something was published and `wanted` was seen not to be 0. */
SPKI_FN void spki_ring_wake_if(spk_ring *ring, bool consumers, bool always)
{
    spki_ring_control *c = ring->control;
    spki_ring_private *own = ring->own;
    uint32_t *wanted = consumers ? &c->items_wanted : &c->room_wanted;
    const size_t used = spki_ring_used(ring);
    const size_t there = consumers ? used : own->capacity - used;
    const uint32_t least = __atomic_load_n(wanted, __ATOMIC_SEQ_CST);
    if (least == 0 || (there < least && !always)) return;
    if (__atomic_exchange_n(wanted, 0, __ATOMIC_SEQ_CST) == 0) return;
    spki_ring_add(&c->wakes, 1);
    spki_ring_wake(consumers ? &own->items_lot : &own->room_lot, wanted, own->shared);
}

SPIKELIB_API void spk_ring_signal(spk_ring *ring, bool to_consumers)
{
    if (ring && ring->control) spki_ring_wake_if(ring, to_consumers, false);
}

#endif
