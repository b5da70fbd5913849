/* ---- >>pipeline-state: what a pipeline is made of ---- */
#ifndef SPIKELIB_PIPELINE_STATE_H
#define SPIKELIB_PIPELINE_STATE_H

#include "../api/pipeline.h"
#include "../api/ring.h"
#include "../core/alloc.h"
#include "../core/clock.h"
#include "../core/cpu.h"
#include "../core/pool.h"
#include "../ring/park.h"
#include "histogram.h"
#include "policy.h"

#include <stdarg.h>

/* Items travel in blocks, each a header and room for `batch` items. A block belongs to its level's
   pool, and whoever holds it passes on its number: producer, queue, worker, next queue, ..., pool.
   So a batch goes through all stages without a copy and without allocation, and the pools bound
   what can be under way. A queue is one stage, lane and level; whoever sets its `busy` is its only
   consumer, and the only producer of the same lane and level of the next stage. That is why rings
   of one producer and one consumer join the stages, and why order is kept while workers steal.

   The first stage's queues have any number of producers. While a parcel waits, items are appended
   to it until it is full: batches grow under load. */

#define SPKI_LEVELS 5u /* level = priority - 1 */
#define SPKI_STAGES 16u
#define SPKI_LANES 64u
#define SPKI_WORKERS 64u
#define SPKI_BLOCK_ITEMS 8192u /* 14 bits of a block's state */
#define SPKI_ITEM_BYTES 4096u

/* A block's state while it is in a queue: sequence number << 32 | queue << 16 |
   closed | items for which there is room. The upper 48 bits tell a producer that is late whether
   this is still the block that it meant. */
#define SPKI_BLOCK_CLOSED ((uint64_t)0x8000)
#define SPKI_BLOCK_COUNT ((uint64_t)0x7fff)

typedef struct spki_parcel {
    uint64_t state;
    uint32_t committed; /* items that are there, of those in `state` */
    uint32_t next;      /* in the pool: number + 1 of the next */
    int64_t born_ns;    /* submission of the first item */
    int64_t queued_ns;  /* entered the present queue */
    uint64_t serial;    /* address of its random numbers */
    uint32_t count;     /* items; set once it is out of a queue */
    uint32_t cursor;    /* of them done */
    uint32_t kept;      /* results so far, at the beginning of the room */
    uint32_t attempts;  /* that failed, of the items at the cursor */
    uint64_t reserved;
} spki_parcel;

typedef struct spki_parcels {
    uint64_t head; /* changes << 32 | number + 1 of the first free block */
    uint8_t pad0[56];
    uint32_t used, blocks;
    uint8_t pad1[56];
    uint64_t offered, refused, full; /* items */
    uint8_t pad2[40];
} spki_parcels;

typedef struct spki_queue {
    /* Of those who push. */
    uint64_t open; /* next sequence number << 32 | number + 1 of the newest block */
    uint64_t in;
    uint8_t pad0[112];
    /* Read by all workers. */
    uint32_t busy, reserved;
    int64_t head_ns; /* birth of its first block */
    int64_t wake_ns; /* nothing can be done before */
    uint8_t pad1[104];
    /* Of the worker that holds it. */
    spk_ring *ring; /* later stages; NULL: `slots` by sequence number */
    uint32_t *slots;
    uint32_t slot_mask, seq;
    uint32_t held, pending; /* number + 1: begun; taken out too early */
    spki_codel codel;
    uint64_t done, out, calls, failures, retries, stolen, dropped[SPK_DROP_COUNT];
    uint8_t pad2[64]; /* the next one's producers write at its beginning */
} spki_queue;

typedef struct spki_stage {
    char name[32];
    spk_stage_fn fn;
    void *ctx;
    spk_stage_desc desc; /* defaults filled in */
    spki_breaker_rule rule;
    uint32_t in_size, out_size, jitter16;
    uint32_t breaking; /* the breaker is not closed: ask before each call */
    uint8_t pad0[64];
    uint32_t running, allowed;                /* calls now, and at most */
    uint32_t limit;                           /* items a call */
    uint32_t gate;                            /* set: somebody is at what follows */
    uint32_t late_ok, late_failed, late_slow; /* outcomes that found the gate shut */
    uint8_t pad1[100];
    spki_breaker breaker;
    spki_limiter limiter;
} spki_stage;

typedef struct spki_ready {
    uint64_t lanes; /* those with a block to take */
    uint8_t pad[56];
} spki_ready;

typedef struct spki_hand spki_hand; /* a worker */

struct spki_hand {
    spk_pipeline *p;
    uint32_t index;
    bool napping;  /* has found nothing since its last nap */
    uint64_t home; /* its lanes; the others it steals from */
    uint64_t picks;
    unsigned char *scratch; /* results of stages with an out_size */
    spki_hist *hist;        /* stage * 5 + level; after the last stage, the whole */
#if !defined(SPIKELIB_NO_THREADS)
    spki_thread thread;
#endif
};

struct spk_pipeline {
    spki_mem mem;
    spk_pipeline_desc desc; /* defaults filled in */
    spk_result status;
    char error[200];
    spki_stage stage[SPKI_STAGES];
    uint32_t stages, threads, hands, batch, stride;
    bool started, stopped;
    uint32_t blocks, slots, lanes;
    bool start_failed;
    spki_parcels pool[SPKI_LEVELS];
    uint64_t any; /* counts items without a key */
    spki_parcel *block;
    unsigned char *data;
    spki_queue *queue; /* (stage * lanes + lane) * 5 + level */
    uint32_t *slot;
    unsigned char *ring_memory;
    size_t ring_bytes;
    uint32_t slots_of[SPKI_LEVELS];
    spki_ready *ready; /* stage * 5 + level */
    spki_hand *hand;
    spki_hist *hist;
    unsigned char *scratch;
    int64_t boost_ns, spin_ns;
    uint8_t pad0[64];
    uint32_t closed, quit;
    uint32_t asleep, epoch;           /* workers */
    uint32_t awake, naps;             /* and their naps since one of them found work */
    uint32_t room_wanted, room_epoch; /* those who wait for room, or for nothing to be under way */
    spki_ring_lot lot, room_lot;
    uint8_t pad1[64];
};

SPKI_FN spk_result spki_pipeline_fail(spk_pipeline *p, spk_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Remembers the first error. */
SPKI_FN spk_result spki_pipeline_fail(spk_pipeline *p, spk_result result, const char *format, ...)
{
    va_list args;
    if (p->status != SPK_OK) return result;
    p->status = result;
    va_start(args, format);
    vsnprintf(p->error, sizeof p->error, format, args);
    va_end(args);
    return result;
}

SPKI_FN int64_t spki_default_now(void *ctx)
{
    (void)ctx;
    return (int64_t)(spk_clock_seconds() * 1e9);
}

SPKI_INLINE int64_t spki_now(const spk_pipeline *p)
{
    return p->desc.clock.now_ns(p->desc.clock.ctx);
}

SPKI_INLINE uint32_t spki_queue_index(const spk_pipeline *p, uint32_t stage, uint32_t lane,
                                      uint32_t level)
{
    return (stage * p->lanes + lane) * SPKI_LEVELS + level;
}

SPKI_INLINE unsigned char *spki_parcel_data(const spk_pipeline *p, uint32_t block)
{
    return p->data + (size_t)block * p->stride;
}

/* Items of one key share a lane. Multiplicative hashing (Knuth), upper bits. */
SPKI_FN uint32_t spki_lane_of(spk_pipeline *p, uint64_t key)
{
    if (key == SPK_KEY_ANY) key = __atomic_fetch_add(&p->any, 1, __ATOMIC_RELAXED);
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(((key >> 32) * p->lanes) >> 32);
}

/* The level of a priority, or -1. */
SPKI_FN int spki_level_of(spk_priority priority)
{
    if (priority == SPK_PRIORITY_DEFAULT) return SPK_PRIORITY_NORMAL - 1;
    return (uint32_t)priority < SPK_PRIORITY_COUNT ? (int)priority - 1 : -1;
}

/* -- waking -- */

/* One of the two sees the other: the sleeper stores `asleep`, then looks for work; we have stored
   the work, then look for sleepers; all of it sequentially consistent. */
SPKI_FN void spki_wake(uint32_t *flag, uint32_t *epoch, spki_ring_lot *lot)
{
    if (__atomic_load_n(flag, __ATOMIC_SEQ_CST) == 0) return;
    if (__atomic_exchange_n(flag, 0, __ATOMIC_SEQ_CST) == 0) return;
    __atomic_fetch_add(epoch, 1, __ATOMIC_SEQ_CST);
    spki_ring_wake(lot, epoch, false);
}

SPKI_INLINE void spki_wake_workers(spk_pipeline *p)
{
    spki_wake(&p->asleep, &p->epoch, &p->lot);
}

/* Whoever waits for room is woken when a quarter is free: a thread woken for each parcel would push
   the workers from their CPUs again and again. */
#define SPKI_WANTS_ROOM 1u
#define SPKI_WANTS_NOTHING 2u /* to be under way */

/* -- pools: a stack, so that the block used last, which is in the cache, is used next -- */

SPKI_FN uint32_t spki_parcel_take(spk_pipeline *p, uint32_t level)
{
    spki_parcels *pool = &p->pool[level];
    uint64_t head = __atomic_load_n(&pool->head, __ATOMIC_SEQ_CST), next;
    do {
        if ((uint32_t)head == 0) return 0;
        next = __atomic_load_n(&p->block[(uint32_t)head - 1].next, __ATOMIC_RELAXED);
        next |= ((head >> 32) + 1) << 32;
    } while (!__atomic_compare_exchange_n(&pool->head, &head, next, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    __atomic_fetch_add(&pool->used, 1, __ATOMIC_SEQ_CST);
    return (uint32_t)head;
}

/* `number`: the block's + 1. */
SPKI_FN void spki_parcel_free(spk_pipeline *p, uint32_t level, uint32_t number)
{
    spki_parcels *pool = &p->pool[level];
    uint64_t head = __atomic_load_n(&pool->head, __ATOMIC_RELAXED), mine;
    uint32_t used, wanted;
    do {
        __atomic_store_n(&p->block[number - 1].next, (uint32_t)head, __ATOMIC_RELAXED);
        mine = ((head >> 32) + 1) << 32 | number;
    } while (!__atomic_compare_exchange_n(&pool->head, &head, mine, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    used = __atomic_sub_fetch(&pool->used, 1, __ATOMIC_SEQ_CST);
    wanted = __atomic_load_n(&p->room_wanted, __ATOMIC_SEQ_CST);
    if (((wanted & SPKI_WANTS_ROOM) && used <= pool->blocks / 4 * 3) ||
        ((wanted & SPKI_WANTS_NOTHING) && used == 0))
        spki_wake(&p->room_wanted, &p->room_epoch, &p->room_lot);
}

SPKI_FN bool spki_nothing_under_way(const spk_pipeline *p)
{
    uint32_t level;
    for (level = 0; level < SPKI_LEVELS; level++)
        if (__atomic_load_n(&p->pool[level].used, __ATOMIC_SEQ_CST)) return false;
    return true;
}

#endif
