/* ---- >>pipeline-queue: entering the pipeline, and the queues between stages ---- */
#ifndef SPIKELIB_PIPELINE_QUEUE_H
#define SPIKELIB_PIPELINE_QUEUE_H

#include "state.h"

/* Says that the queue has something. The bit comes after what it speaks of; whoever clears it looks
   once more afterwards (spki_queue_settle), so that no block is left behind. */
SPKI_FN void spki_queue_announce(spk_pipeline *p, uint32_t stage, uint32_t lane, uint32_t level,
                                 int64_t born_ns)
{
    spki_ready *ready = &p->ready[stage * SPKI_LEVELS + level];
    spki_queue *q = &p->queue[spki_queue_index(p, stage, lane, level)];
    uint64_t bit = (uint64_t)1 << lane;
    if ((__atomic_load_n(&ready->lanes, __ATOMIC_RELAXED) & bit) == 0)
        __atomic_store_n(&q->head_ns, born_ns, __ATOMIC_RELAXED);
    __atomic_fetch_or(&ready->lanes, bit, __ATOMIC_SEQ_CST);
    spki_wake_workers(p);
}

/* -- pushing: any number of producers at the first stage, then one at a time -- */

/* Gives the parcel the next sequence number. At the first stage it goes into the slot of that
   number; there are as many slots as parcels, so the slot is free. Until the slot is filled the
   consumer waits there: numbers are given out in one order, and that is the order of the queue. */
SPKI_FN void spki_queue_publish(spk_pipeline *p, uint32_t queue, uint32_t number, uint32_t count,
                                bool closed)
{
    spki_queue *q = &p->queue[queue];
    spki_parcel *b = &p->block[number - 1];
    uint64_t open = __atomic_load_n(&q->open, __ATOMIC_RELAXED), next, seq, state;
    uint64_t low = (uint64_t)queue << 16 | (closed ? SPKI_BLOCK_CLOSED : 0) | count;
    __atomic_store_n(&b->committed, count, __ATOMIC_RELAXED);
    do {
        seq = open >> 32;
        state = seq << 32 | low;
        __atomic_store_n(&b->state, state, __ATOMIC_RELAXED);
        next = ((seq + 1) & 0xffffffffu) << 32 | (closed ? 0 : number);
        b->serial = state >> 16;
    } while (!__atomic_compare_exchange_n(&q->open, &open, next, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    if (q->ring)
        (void)spk_ring_push_n(q->ring, &number, 1); /* has room for all of its level */
    else
        __atomic_store_n(&q->slots[seq & q->slot_mask], number, __ATOMIC_RELEASE);
}

/* Appends to the newest parcel while nobody has taken it and it has room for `least` items. Returns
   how many. */
SPKI_FN size_t spki_queue_append(spk_pipeline *p, uint32_t queue, const unsigned char *items,
                                 size_t count, size_t least, uint32_t size)
{
    spki_queue *q = &p->queue[queue];
    uint64_t open = __atomic_load_n(&q->open, __ATOMIC_ACQUIRE), state, used;
    uint64_t mine = (((open >> 32) - 1) & 0xffffffffu) << 16 | queue;
    uint32_t number = (uint32_t)open;
    spki_parcel *b;
    if (number == 0) return 0;
    b = &p->block[number - 1];
    state = __atomic_load_n(&b->state, __ATOMIC_RELAXED);
    do {
        used = state & SPKI_BLOCK_COUNT;
        if (state >> 16 != mine || (state & SPKI_BLOCK_CLOSED) || p->batch - used < least) return 0;
        count = SPKI_MIN(count, p->batch - used);
    } while (!__atomic_compare_exchange_n(&b->state, &state, state + count, true, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    memcpy(spki_parcel_data(p, number - 1) + used * size, items, count * size);
    __atomic_fetch_add(&q->in, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&b->committed, (uint32_t)count, __ATOMIC_RELEASE);
    return count;
}

/* A block of its own. Returns how many items it took: 0 if there is no block. */
SPKI_FN size_t spki_entry_begin(spk_pipeline *p, uint32_t queue, uint32_t lane, uint32_t level,
                                const unsigned char *items, size_t count)
{
    uint32_t number = spki_parcel_take(p, level);
    spki_parcel *b;
    int64_t now;
    if (number == 0) return 0;
    b = &p->block[number - 1];
    now = spki_now(p);
    count = SPKI_MIN(count, p->batch);
    memcpy(spki_parcel_data(p, number - 1), items, count * p->desc.item_size);
    b->born_ns = b->queued_ns = now;
    __atomic_fetch_add(&p->queue[queue].in, count, __ATOMIC_RELAXED);
    spki_queue_publish(p, queue, number, (uint32_t)count, count == p->batch);
    spki_queue_announce(p, 0, lane, level, now);
    return count;
}

SPKI_FN size_t spki_enter(spk_pipeline *p, uint32_t lane, uint32_t level,
                          const unsigned char *items, size_t count)
{
    uint32_t queue = spki_queue_index(p, 0, lane, level);
    size_t done = 0;
    while (done < count) {
        const unsigned char *from = items + done * p->desc.item_size;
        size_t n = spki_queue_append(p, queue, from, count - done, 1, p->desc.item_size);
        if (n == 0) n = spki_entry_begin(p, queue, lane, level, from, count - done);
        if (n == 0) break;
        done += n;
    }
    return done;
}

/* -- the worker that holds a queue -- */

#define SPKI_QUEUE_EMPTY 0u
#define SPKI_QUEUE_LATER UINT32_MAX /* a producer is still copying */

/* Where a queue's first parcel's number + 1 is; 0: it is empty. */
SPKI_FN uint32_t spki_queue_first(spki_queue *q)
{
    spk_ring_span span;
    uint32_t number = 0;
    if (!q->ring) return __atomic_load_n(&q->slots[q->seq & q->slot_mask], __ATOMIC_ACQUIRE);
    if (spk_ring_peek(q->ring, 1, &span) == 1) memcpy(&number, span.first, sizeof number);
    return number;
}

/* The next parcel's number + 1; it is closed and out of the queue then, and has its count. */
SPKI_FN uint32_t spki_queue_next(spk_pipeline *p, spki_queue *q)
{
    uint32_t number = q->pending, count;
    spki_parcel *b;
    q->pending = 0;
    if (number) return number;
    number = spki_queue_first(q);
    if (number == 0) return SPKI_QUEUE_EMPTY;
    b = &p->block[number - 1];
    count = (uint32_t)(__atomic_fetch_or(&b->state, SPKI_BLOCK_CLOSED, __ATOMIC_ACQ_REL) &
                       SPKI_BLOCK_COUNT);
    if (__atomic_load_n(&b->committed, __ATOMIC_ACQUIRE) != count) return SPKI_QUEUE_LATER;
    if (q->ring)
        (void)spk_ring_pop_n(q->ring, &number, 1);
    else
        __atomic_store_n(&q->slots[q->seq++ & q->slot_mask], 0, __ATOMIC_RELAXED);
    b->count = count;
    b->cursor = b->kept = b->attempts = 0;
    return number;
}

/* The number + 1 of what spki_queue_next would return; 0: nothing. */
SPKI_FN uint32_t spki_queue_look(spki_queue *q)
{
    return q->pending ? q->pending : spki_queue_first(q);
}

/* Lets go of the queue, with its bit set if and only if something is left. */
SPKI_FN void spki_queue_settle(spk_pipeline *p, spki_queue *q, spki_ready *ready, uint32_t lane)
{
    uint64_t bit = (uint64_t)1 << lane;
    uint32_t number = q->held ? q->held : spki_queue_look(q);
    if (number == 0) {
        __atomic_fetch_and(&ready->lanes, ~bit, __ATOMIC_SEQ_CST);
        number = spki_queue_look(q);
        if (number) __atomic_fetch_or(&ready->lanes, bit, __ATOMIC_SEQ_CST);
    }
    if (number) __atomic_store_n(&q->head_ns, p->block[number - 1].born_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&q->busy, 0, __ATOMIC_RELEASE);
}

/* Hands a parcel on to the next stage. A small one is appended to the newest that waits there, so
   that a queue of small ones does not use up the parcels, and batches grow. */
SPKI_FN void spki_queue_pass(spk_pipeline *p, uint32_t stage, uint32_t lane, uint32_t level,
                             uint32_t number)
{
    uint32_t queue = spki_queue_index(p, stage, lane, level);
    spki_parcel *b = &p->block[number - 1];
    uint32_t count = b->count;
    int64_t born = b->born_ns;
    if (count <= p->batch / 2 && spki_queue_append(p, queue, spki_parcel_data(p, number - 1), count,
                                                   count, p->stage[stage].in_size)) {
        spki_parcel_free(p, level, number);
        return;
    }
    __atomic_fetch_add(&p->queue[queue].in, count, __ATOMIC_RELAXED);
    spki_queue_publish(p, queue, number, count, count == p->batch);
    spki_queue_announce(p, stage, lane, level, born);
}

#endif
