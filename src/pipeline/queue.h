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

/* -- first stage: any number of producers -- */

/* Gives the block the next sequence number and puts it into the slot of that number. There are as
   many slots as blocks, so the slot is free. Until the slot is filled the consumer waits there:
   numbers are given out in one order, and that is the order of the queue. */
SPKI_FN void spki_entry_publish(spk_pipeline *p, uint32_t queue, uint32_t number, uint32_t count,
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
    __atomic_store_n(&q->slots[seq & q->slot_mask], number, __ATOMIC_RELEASE);
}

/* Appends to the newest block while nobody has taken it and it has room. Returns how many. */
SPKI_FN size_t spki_entry_append(spk_pipeline *p, uint32_t queue, const unsigned char *items,
                                 size_t count)
{
    spki_queue *q = &p->queue[queue];
    uint64_t open = __atomic_load_n(&q->open, __ATOMIC_ACQUIRE), state, used;
    uint64_t mine = (((open >> 32) - 1) & 0xffffffffu) << 16 | queue;
    uint32_t size = p->desc.item_size, number = (uint32_t)open;
    spki_parcel *b;
    if (number == 0) return 0;
    b = &p->block[number - 1];
    state = __atomic_load_n(&b->state, __ATOMIC_RELAXED);
    do {
        used = state & SPKI_BLOCK_COUNT;
        if (state >> 16 != mine || (state & SPKI_BLOCK_CLOSED) || used >= p->batch) return 0;
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
    spki_entry_publish(p, queue, number, (uint32_t)count, count == p->batch);
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
        size_t n = spki_entry_append(p, queue, from, count - done);
        if (n == 0) n = spki_entry_begin(p, queue, lane, level, from, count - done);
        if (n == 0) break;
        done += n;
    }
    return done;
}

/* -- the worker that holds a queue -- */

#define SPKI_QUEUE_EMPTY 0u
#define SPKI_QUEUE_LATER UINT32_MAX /* a producer is still copying */

/* The next block's number + 1; it is out of the queue then, and has its count. */
SPKI_FN uint32_t spki_queue_next(spk_pipeline *p, spki_queue *q)
{
    uint32_t number = q->pending;
    q->pending = 0;
    if (number) return number;
    if (q->ring) {
        return spk_ring_pop_n(q->ring, &number, 1) == 1 ? number : SPKI_QUEUE_EMPTY;
    }
    number = __atomic_load_n(&q->slots[q->seq & q->slot_mask], __ATOMIC_ACQUIRE);
    if (number == 0) return SPKI_QUEUE_EMPTY;
    {
        spki_parcel *b = &p->block[number - 1];
        uint64_t state = __atomic_fetch_or(&b->state, SPKI_BLOCK_CLOSED, __ATOMIC_ACQ_REL);
        uint32_t count = (uint32_t)(state & SPKI_BLOCK_COUNT);
        if (__atomic_load_n(&b->committed, __ATOMIC_ACQUIRE) != count) return SPKI_QUEUE_LATER;
        __atomic_store_n(&q->slots[q->seq & q->slot_mask], 0, __ATOMIC_RELAXED);
        q->seq++;
        b->count = count;
        b->cursor = b->kept = b->attempts = 0;
    }
    return number;
}

/* The number + 1 of what spki_queue_next would return; 0: nothing. */
SPKI_FN uint32_t spki_queue_look(spki_queue *q)
{
    spk_ring_span span;
    uint32_t number = 0;
    if (q->pending) return q->pending;
    if (!q->ring) return __atomic_load_n(&q->slots[q->seq & q->slot_mask], __ATOMIC_ACQUIRE);
    if (spk_ring_peek(q->ring, 1, &span) == 1) memcpy(&number, span.first, sizeof number);
    return number;
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

/* Hands a block on to the next stage. The ring has room for all blocks of its level. */
SPKI_FN void spki_queue_pass(spk_pipeline *p, uint32_t stage, uint32_t lane, uint32_t level,
                             uint32_t number)
{
    spki_queue *q = &p->queue[spki_queue_index(p, stage, lane, level)];
    spki_parcel *b = &p->block[number - 1];
    int64_t born = b->born_ns;
    spki_own_add(&q->in, b->count);
    (void)spk_ring_push_n(q->ring, &number, 1);
    spki_queue_announce(p, stage, lane, level, born);
}

#endif
