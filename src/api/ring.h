/* ---- >>ring: bounded queues between threads and between processes ---- */
#ifndef SPIKELIB_API_RING_H
#define SPIKELIB_API_RING_H

#include "base.h"

/* Who may push and pop. One thread a side: push and pop are a copy and two words, no locked
   instruction, and wait-free. Several: slots are claimed by one compare-and-swap; a thread that is
   stopped between claiming a slot and filling it holds up those who need that slot to go on:
   consumers at once, producers a whole ring later. Other producers go on meanwhile. */
typedef enum spk_ring_kind {
    SPK_RING_SPSC = 0, /* one producer, one consumer */
    SPK_RING_MPMC = 1, /* any number of both */
    SPK_RING_KIND_FORCE_32_BIT = 0x7fffffff
} spk_ring_kind;

/* What a push does when the ring is full. */
typedef enum spk_ring_policy {
    SPK_RING_REFUSE = 0,  /* SPK_ERR_AGAIN; the item stays with the caller */
    SPK_RING_WAIT,        /* waits for room: spins, then sleeps */
    SPK_RING_OVERWRITE,   /* drops the oldest item (works as MPMC inside, whatever the kind) */
    SPK_RING_DROP_NEWEST, /* drops the item pushed, and says SPK_OK */
    SPK_RING_SAMPLE,      /* thins early: takes every 2nd item from 1/2 full, every 4th from 3/4,
                             every 8th from 7/8, none when full; says SPK_OK */
    SPK_RING_POLICY_FORCE_32_BIT = 0x7fffffff
} spk_ring_policy;

typedef struct spk_ring_desc {
    uint32_t begin_sentinel;   /* leave 0 */
    spk_ring_kind kind;        /* default: SPK_RING_SPSC */
    spk_ring_policy policy;    /* default: SPK_RING_REFUSE */
    uint32_t item_size;        /* bytes, 1 to 65,536; default: 16, an spk_event */
    size_t capacity;           /* items, 1 to 2^30; default: 65,536; exactly this many fit */
    double spin_us;            /* how long a waiting call spins before it sleeps; default: 20;
                                  negative: not at all */
    bool shared;               /* the ring lies in memory that other processes map, too */
    void *memory;              /* spk_ring_bytes of it, 64-byte aligned; default: the allocator */
    size_t memory_size;
    const char *path;          /* shared: a file that is created and mapped ("/dev/shm/events");
                                  default: `memory` */
    spk_allocator allocator;   /* default: malloc and free; not called if there is `memory` and
                                  the ring is not shared */
    uint32_t end_sentinel;     /* leave 0 */
} spk_ring_desc;

typedef struct spk_ring spk_ring;

/* For deadlines, which are times of spk_clock_seconds: never, and "do not wait". */
#define SPK_FOREVER 1e300
#define SPK_AT_ONCE 0.0

/* Fills in the defaults where a field is 0. Errors: NULL, range, sentinels; the descriptor is then
   as it was. Thread: any. */
SPIKELIB_API spk_result spk_ring_desc_defaults(spk_ring_desc *desc);
/* Bytes of memory that such a ring needs; 0 for a bad descriptor. NULL: all defaults. */
SPIKELIB_API size_t spk_ring_bytes(const spk_ring_desc *desc);

/* A ring, or NULL if there is no memory for one. A bad descriptor gives a ring that refuses every
   call with the same result; spk_ring_error says why. NULL: all defaults.
   Ownership: the caller's until spk_ring_destroy, and so is `memory`, which must stay until then.
   Cost: all memory is taken here. On Linux the first ring of a process that has threads already may
   take some 10 ms (the process registers with membarrier, so that pushing needs no fence). */
SPIKELIB_API spk_ring *spk_ring_create(const spk_ring_desc *desc);
/* A second handle to a shared ring, in this or another process: `shared` and `path` or `memory` as
   they were, `kind`, `item_size` and `capacity` 0 or the same (they are read from the ring).
   Thread: of a shared MPMC ring each thread needs a handle of its own, which it attaches itself
   (that is how the others find out when it dies, even by SIGKILL); of a shared SPSC ring one handle
   may serve a producer and a consumer. After fork the child attaches again.
   Errors: as spk_ring_create; memory that holds no ring, or another library's; more than 64 handles
   of an MPMC ring at a time. */
SPIKELIB_API spk_ring *spk_ring_attach(const spk_ring_desc *desc);
/* Frees what spk_ring_create took; nobody may be using the ring. Of a shared ring only the handle
   goes, the memory stays for the others (and the file, until someone removes it). NULL is fine. */
SPIKELIB_API void spk_ring_destroy(spk_ring *ring);
/* SPK_OK, or what was wrong with the descriptor, and a sentence about it ("" if nothing was). */
SPIKELIB_API spk_result spk_ring_status(const spk_ring *ring);
SPIKELIB_API const char *spk_ring_error(const spk_ring *ring);

/* -- one item --
   Thread: one producer and one consumer at a time of an SPSC ring (each side may move to another
   thread if something orders the two), any thread of an MPMC ring. A child after fork may use only
   what it attaches itself; where parent and child both keep the memory private, each has a ring of
   its own. Signals: push, try and batch calls that do not wait take no lock and allocate nothing,
   so a handler may be the one producer, or the one consumer, of an SPSC ring.
   Errors: NULL; SPK_ERR_AGAIN (full or empty at the moment; of an MPMC ring also: another thread is
   just at the slot in question), SPK_ERR_CLOSED (push: the ring is closed; pop: closed, and nothing
   is left), SPK_ERR_TIMEOUT. Ownership: items are copied, `item` is the caller's. */

#if defined(__GNUC__)
#define SPKI_RING_INLINE static __inline__ __attribute__((unused))
#else
#define SPKI_RING_INLINE static
#endif

/* As the policy says when full. */
SPKI_RING_INLINE spk_result spk_ring_push(spk_ring *ring, const void *item);
/* The same, but never waits: SPK_RING_WAIT says SPK_ERR_AGAIN. */
SPKI_RING_INLINE spk_result spk_ring_try_push(spk_ring *ring, const void *item);
/* Never waits. */
SPKI_RING_INLINE spk_result spk_ring_pop(spk_ring *ring, void *item);
/* Wait until the deadline, spinning first. A full ring of another policy than REFUSE or WAIT does
   as its policy says, at once. */
SPIKELIB_API spk_result spk_ring_push_until(spk_ring *ring, const void *item, double deadline_s);
SPIKELIB_API spk_result spk_ring_pop_until(spk_ring *ring, void *item, double deadline_s);

/* -- batches --
   Return how many of `count` items were taken (dropped ones included, where the policy drops) or
   handed out; fewer when full, empty or closed, 0 for NULL. Never wait, except for a push to a ring
   of SPK_RING_WAIT, which returns when all are taken or the ring is closed. The items of a batch
   stay together in an SPSC ring; in an MPMC ring, as far as they fit at once. */
SPIKELIB_API size_t spk_ring_push_n(spk_ring *ring, const void *items, size_t count);
SPIKELIB_API size_t spk_ring_pop_n(spk_ring *ring, void *items, size_t count);

/* -- without a copy --
   A span is up to two stretches of slots, the second where the ring wraps. */
typedef struct spk_ring_span {
    void *first, *second;
    size_t first_count, second_count; /* items */
    uint64_t position;                /* the ring's own */
} spk_ring_span;

/* Up to `count` free slots to be written in place; returns how many (0: none, or closed). Nobody
   sees them before spk_ring_commit publishes the first `count` of them; the rest goes back (in an
   MPMC ring it becomes a gap, which takes room until the consumers pass it). Policies apply as for
   spk_ring_push_n, but an item that cannot be reserved is not dropped: the caller still has it.
   One span at a time for each SPSC side; any number in an MPMC ring, each soon committed. */
SPIKELIB_API size_t spk_ring_reserve(spk_ring *ring, size_t count, spk_ring_span *span);
SPIKELIB_API spk_result spk_ring_commit(spk_ring *ring, const spk_ring_span *span, size_t count);
/* Up to `count` items to be read in place; spk_ring_consume hands the slots of the first `count`
   back, and the others come again. An MPMC span is taken out for good when it is peeked: `count`
   has to be all of it. */
SPIKELIB_API size_t spk_ring_peek(spk_ring *ring, size_t count, spk_ring_span *span);
SPIKELIB_API spk_result spk_ring_consume(spk_ring *ring, const spk_ring_span *span, size_t count);

/* -- waiting, closing -- */

/* Until `count` items are there, or room for as many (at most the capacity). SPK_ERR_CLOSED: there
   never will be; of wait_items with at least one item left in the ring: SPK_OK. */
SPIKELIB_API spk_result spk_ring_wait_items(spk_ring *ring, size_t count, double deadline_s);
SPIKELIB_API spk_result spk_ring_wait_room(spk_ring *ring, size_t count, double deadline_s);
/* No more pushes; all who wait wake up. What is in the ring can still be popped. Thread: any, more
   than once. A push that is under way, or that another process begins just now, may still land. */
SPIKELIB_API spk_result spk_ring_close(spk_ring *ring);
/* Waits until the consumers have taken everything. */
SPIKELIB_API spk_result spk_ring_drain(spk_ring *ring, double deadline_s);
/* Throws away what is in the ring, as a consumer; returns how much, which counts as dropped. */
SPIKELIB_API size_t spk_ring_discard(spk_ring *ring);

/* Items in the ring; while others push and pop, as of some time during the call. */
SPIKELIB_API size_t spk_ring_count(const spk_ring *ring);
/* What was asked for. */
SPIKELIB_API size_t spk_ring_capacity(const spk_ring *ring);

/* Every item pushed was popped, is in the ring, or is in one of the drop counts. */
typedef struct spk_ring_info {
    uint64_t pushed, popped;  /* items that went in, and came out */
    uint64_t dropped_oldest;  /* overwritten by SPK_RING_OVERWRITE; went in, never came out */
    uint64_t dropped_newest;  /* found the ring full (DROP_NEWEST, SAMPLE); never went in */
    uint64_t sampled_out;     /* thinned out by SPK_RING_SAMPLE; never went in */
    uint64_t discarded;       /* by spk_ring_discard */
    uint64_t lost;            /* in the hands of a process that died: at most what it held */
    uint64_t refused;         /* pushes that failed; nothing lost: the caller has the item */
    uint64_t sleeps, wakes;   /* of waiting calls */
    uint64_t recovered;       /* processes that died within the ring, and were cleaned up after */
    size_t count, capacity, slots, item_size, bytes;
    spk_ring_kind kind;
    spk_ring_policy policy;
    bool closed, shared;
} spk_ring_info;
/* Thread: any. Errors: NULL. */
SPIKELIB_API spk_result spk_ring_get_info(const spk_ring *ring, spk_ring_info *info);

/* What the inline functions below do not do themselves. */
SPIKELIB_API spk_result spk_ring_push_slowly(spk_ring *ring, const void *item, bool may_wait);
SPIKELIB_API spk_result spk_ring_pop_slowly(spk_ring *ring, void *item);
SPIKELIB_API void spk_ring_signal(spk_ring *ring, bool to_consumers);

/* -- inside: what the inline functions below read; not for programs --
   Positions count items since the beginning and wrap; a slot's index is a position's low bits. A
   shared ring begins with this block, which holds no addresses.
   A position that the other side polls has a hole of 192 bytes behind it: with the line polled the
   prefetchers take its neighbour and the line after that, and whoever needs them for himself waits
   (60 ns a line, measured). And nobody reads his own position where the other side polls it, for
   the same reason: each side keeps a copy among what is its own. */
typedef struct spki_mpmc_hint {
    uint64_t seen;          /* slots up to here were ready */
    uint64_t looked, moved; /* when somebody saw that; how many more than before */
} spki_mpmc_hint;

/* A copy of an item of up to 16 bytes beside the position that publishes it: see >>talk. */
typedef struct spki_ring_letter {
    uint64_t position, word[2]; /* the tail after the item */
} spki_ring_letter;

typedef struct spki_ring_control {
    uint64_t magic;
    uint32_t layout, word_bytes; /* version of this struct; sizeof(size_t) */
    uint32_t kind, policy, item_size, state_offset;
    uint64_t capacity, slots, bytes, items_offset;
    double spin_us;
    uint32_t ready, fence; /* shared: formatted; some process cannot use membarrier */
    uint8_t pad0[128 - 80];

    uint64_t head_looked, head_moved; /* SPSC, the producer's: when it last found a new head; by how
                                         much it had moved */
    uint64_t dropped_newest, sampled_out, refused, thinned;
    size_t tail_own, head_seen; /* its tail; a head that it has seen */
    size_t limit;               /* how far the two may be apart without asking */
    uint8_t pad1[128 - 48 - 3 * sizeof(size_t)];
    size_t head_own, tail_seen; /* SPSC, the consumer's */
    uint64_t tail_looked, tail_moved;
    uint32_t lone, talking; /* looks in a row that found one item; a dialogue: see >>talk */
    uint8_t pad2[128 - 24 - 2 * sizeof(size_t)];
    uint32_t items_wanted, room_wanted, closed, unused; /* words to sleep on */
    uint8_t pad3[112];
    spki_ring_letter letters[2]; /* SPSC, written by the producer: the last items, in a dialogue */
    size_t tail;                 /* items published */
    uint8_t pad4[256 - 2 * sizeof(spki_ring_letter) - sizeof(size_t)];
    size_t head; /* SPSC, written by the consumer: items consumed */
    uint8_t pad5[256 - sizeof(size_t)];

    spki_mpmc_hint free; /* MPMC, the producers' */
    uint8_t pad6[104];
    spki_mpmc_hint filled; /* the consumers' */
    uint8_t pad7[104];
    uint64_t mpmc_tail, start; /* next position to claim for pushing; where it began */
    uint8_t pad8[240];
    uint64_t mpmc_head;
    uint8_t pad9[248];
    uint64_t dropped_oldest, discarded, lost, lost_popped, gaps, gaps_passed, sleeps, wakes;
    uint64_t recovered;
    uint8_t pad10[56];
} spki_ring_control;

/* A handle: constants and addresses, and nothing that changes from item to item. */
struct spk_ring {
    unsigned char *items;
    spki_ring_control *control;
    size_t mask;
    size_t item_size;
    uint32_t fence; /* no membarrier: publishing needs a fence before looking for sleepers */
    spk_result status;
    unsigned char *filled, *freed; /* MPMC: a byte a slot */
    uint32_t shift;                /* MPMC: slots = 1 << shift */
    struct spki_ring_private *own;
};

#if defined(__GNUC__)
/* 16 bytes as two words, each by a register of its own: a program has often just stored the fields
   of an item one by one, and a load that spans two recent stores has to wait for both. */
SPKI_RING_INLINE void spki_ring_copy(void *to, const void *from, size_t size)
{
    if (size == 16) {
        uint64_t a, b;
        __builtin_memcpy(&a, from, 8);
        __builtin_memcpy(&b, (const char *)from + 8, 8);
        __asm__("" : "+r"(a), "+r"(b));
        __builtin_memcpy(to, &a, 8);
        __builtin_memcpy((char *)to + 8, &b, 8);
    } else if (size == 8) __builtin_memcpy(to, from, 8);
    else __builtin_memcpy(to, from, size);
}

/* Makes `value` the position of a side and tells who sleeps on it.
   The side's own copy first: if it is killed in between, see spki_spsc_catch_up.
   Order: release, so that the item (or the slot, free again) comes first; whoever loads it with
   acquire sees it. Then the load of `wanted` has to come after the store: a sleeper stores
   `wanted`, then loads the position, and one of the two must see the other. The sleeper's
   membarrier puts a full fence into this thread too, and only the compiler has to keep the order;
   without it both are sequentially consistent. */
SPKI_RING_INLINE void spki_ring_publish(spk_ring *ring, size_t *own, size_t *position,
                                        size_t value, uint32_t *wanted, bool to_consumers)
{
    __atomic_store_n(own, value, __ATOMIC_RELEASE);
    if (__builtin_expect(ring->fence != 0, 0)) {
        __atomic_store_n(position, value, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(wanted, __ATOMIC_SEQ_CST) == 0) return;
    } else {
        __atomic_store_n(position, value, __ATOMIC_RELEASE);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (__builtin_expect(__atomic_load_n(wanted, __ATOMIC_RELAXED) == 0, 1)) return;
    }
    spk_ring_signal(ring, to_consumers);
}

SPKI_RING_INLINE spk_result spki_ring_push_one(spk_ring *ring, const void *item, bool may_wait)
{
    spki_ring_control *c;
    size_t tail;
    if (__builtin_expect(!ring || !item, 0)) return SPK_ERR_NULL;
    c = ring->control;
    tail = __atomic_load_n(&c->tail_own, __ATOMIC_RELAXED);
    if (__builtin_expect(tail - c->head_seen >= __atomic_load_n(&c->limit, __ATOMIC_RELAXED), 0))
        return spk_ring_push_slowly(ring, item, may_wait);
    spki_ring_copy(ring->items + (tail & ring->mask) * ring->item_size, item, ring->item_size);
    spki_ring_publish(ring, &c->tail_own, &c->tail, tail + 1, &c->items_wanted, true);
    return SPK_OK;
}

SPKI_RING_INLINE spk_result spk_ring_push(spk_ring *ring, const void *item)
{
    return spki_ring_push_one(ring, item, true);
}

SPKI_RING_INLINE spk_result spk_ring_try_push(spk_ring *ring, const void *item)
{
    return spki_ring_push_one(ring, item, false);
}

SPKI_RING_INLINE spk_result spk_ring_pop(spk_ring *ring, void *item)
{
    spki_ring_control *c;
    size_t head;
    if (__builtin_expect(!ring || !item, 0)) return SPK_ERR_NULL;
    c = ring->control;
    head = __atomic_load_n(&c->head_own, __ATOMIC_RELAXED);
    if (__builtin_expect(head == c->tail_seen, 0)) return spk_ring_pop_slowly(ring, item);
    spki_ring_copy(item, ring->items + (head & ring->mask) * ring->item_size, ring->item_size);
    spki_ring_publish(ring, &c->head_own, &c->head, head + 1, &c->room_wanted, false);
    return SPK_OK;
}
#else
SPKI_RING_INLINE spk_result spk_ring_push(spk_ring *ring, const void *item)
{
    return spk_ring_push_slowly(ring, item, true);
}

SPKI_RING_INLINE spk_result spk_ring_try_push(spk_ring *ring, const void *item)
{
    return spk_ring_push_slowly(ring, item, false);
}

SPKI_RING_INLINE spk_result spk_ring_pop(spk_ring *ring, void *item)
{
    return spk_ring_pop_slowly(ring, item);
}
#endif
#undef SPKI_RING_INLINE

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC /* what they call is another function in each file */
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_result spk_ring_desc_defaults(spk_ring_desc &desc)
{
    return spk_ring_desc_defaults(&desc);
}
SPKI_OVERLOAD size_t spk_ring_bytes(const spk_ring_desc &desc)
{
    return spk_ring_bytes(&desc);
}
SPKI_OVERLOAD spk_ring *spk_ring_create(const spk_ring_desc &desc)
{
    return spk_ring_create(&desc);
}
SPKI_OVERLOAD spk_ring *spk_ring_attach(const spk_ring_desc &desc)
{
    return spk_ring_attach(&desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
