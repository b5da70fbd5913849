/* ---- >>pipeline-run: one batch through one stage ---- */
#ifndef SPIKELIB_PIPELINE_RUN_H
#define SPIKELIB_PIPELINE_RUN_H

#include "schedule.h"

/* What a worker has in its hands. */
typedef struct spki_run {
    spk_pipeline *p;
    spki_hand *h;
    spki_stage *s;
    spki_queue *q;
    uint32_t stage, lane, level;
    int64_t now;
} spki_run;

SPKI_FN void spki_run_drop(spki_run *r, uint32_t count, spk_drop reason)
{
    spki_own_add(&r->q->dropped[reason], count);
}

/* Drops what is left of a block, and the block with it, unless it has results. */
SPKI_FN bool spki_run_expired(spki_run *r, uint32_t number)
{
    spki_parcel *b = &r->p->block[number - 1];
    int64_t deadline = (int64_t)r->s->desc.deadline_us * 1000;
    if (deadline == 0 || r->now - b->born_ns <= deadline) return false;
    spki_run_drop(r, b->count - b->cursor, SPK_DROP_DEADLINE);
    b->count = b->cursor;
    return true;
}

SPKI_FN bool spki_run_shed(spki_run *r, uint32_t number)
{
    const spk_stage_desc *d = &r->s->desc;
    spki_parcel *b = &r->p->block[number - 1];
    if (d->no_shedding || r->level + 1 < (uint32_t)d->shed_from) return false;
    if (!spki_codel_drop(&r->q->codel, (int64_t)d->codel_target_us * 1000,
                         (int64_t)d->codel_interval_us * 1000, r->now, r->now - b->queued_ns,
                         spki_queue_look(r->q) == 0))
        return false;
    spki_run_drop(r, b->count, SPK_DROP_SHED);
    return true;
}

/* The next block that is still worth something; 0: none. */
SPKI_FN uint32_t spki_run_next(spki_run *r)
{
    for (;;) {
        bool judged = r->q->pending != 0; /* CoDel has seen it already */
        uint32_t number = spki_queue_next(r->p, r->q);
        if (number == SPKI_QUEUE_EMPTY) return 0;
        if (number == SPKI_QUEUE_LATER) {
            __atomic_store_n(&r->q->wake_ns, r->now + 20000, __ATOMIC_RELAXED);
            return 0;
        }
        if ((judged || !spki_run_shed(r, number)) && !spki_run_expired(r, number)) return number;
        spki_parcel_free(r->p, r->level, number);
    }
}

/* Small blocks become one batch: what comes next is appended while it fits. */
SPKI_FN void spki_run_gather(spki_run *r, uint32_t number)
{
    spki_parcel *b = &r->p->block[number - 1];
    uint32_t limit = __atomic_load_n(&r->s->limit, __ATOMIC_RELAXED);
    while (b->count < limit && spki_queue_look(r->q)) {
        uint32_t other = spki_run_next(r);
        spki_parcel *o;
        if (other == 0) return;
        o = &r->p->block[other - 1];
        if (o->count > r->p->batch - b->count) {
            r->q->pending = other;
            return;
        }
        memcpy(spki_parcel_data(r->p, number - 1) + (size_t)b->count * r->s->in_size,
               spki_parcel_data(r->p, other - 1), (size_t)o->count * r->s->in_size);
        b->count += o->count;
        spki_parcel_free(r->p, r->level, other);
    }
}

/* -- breaker and limiter: whoever finds the gate shut leaves its outcome and does not wait -- */

SPKI_FN bool spki_gate_try(spki_stage *s)
{
    return __atomic_exchange_n(&s->gate, 1, __ATOMIC_ACQUIRE) == 0;
}

SPKI_FN void spki_gate_enter(spki_stage *s)
{
    while (!spki_gate_try(s)) spki_ring_relax();
}

SPKI_FN void spki_gate_leave(spki_stage *s)
{
    __atomic_store_n(&s->breaking, s->breaker.state != SPK_BREAKER_CLOSED, __ATOMIC_RELAXED);
    __atomic_store_n(&s->gate, 0, __ATOMIC_RELEASE);
}

/* A permit, or SPKI_PERMIT_NONE and when to ask again. Waits for the gate, but only while the
   breaker is not closed. */
SPKI_FN int64_t spki_run_ask(spki_run *r, int64_t *when)
{
    int64_t permit;
    if (!__atomic_load_n(&r->s->breaking, __ATOMIC_RELAXED)) return SPKI_PERMIT_FREE;
    spki_gate_enter(r->s);
    permit = spki_breaker_ask(&r->s->breaker, &r->s->rule, r->now);
    *when = spki_breaker_when(&r->s->breaker, r->now);
    spki_gate_leave(r->s);
    return permit;
}

SPKI_FN void spki_gate_late(spki_stage *s, int64_t now)
{
    uint32_t n;
    for (n = __atomic_exchange_n(&s->late_ok, 0, __ATOMIC_RELAXED); n > 0; n--)
        spki_breaker_count(&s->breaker, &s->rule, now, false, false);
    for (n = __atomic_exchange_n(&s->late_slow, 0, __ATOMIC_RELAXED); n > 0; n--)
        spki_breaker_count(&s->breaker, &s->rule, now, false, true);
    for (n = __atomic_exchange_n(&s->late_failed, 0, __ATOMIC_RELAXED); n > 0; n--)
        spki_breaker_count(&s->breaker, &s->rule, now, true, false);
}

SPKI_FN void spki_run_report(spki_run *r, int64_t permit, bool failed, int64_t ns, size_t items)
{
    spki_stage *s = r->s;
    bool slow = s->desc.breaker_slow_us && ns >= (int64_t)s->desc.breaker_slow_us * 1000;
    bool breaker = s->rule.failures > 0.0;
    if (!breaker && !s->desc.adaptive) return;
    if (permit >= 0) {
        spki_gate_enter(s);
    } else if (!spki_gate_try(s)) {
        if (breaker)
            __atomic_fetch_add(failed ? &s->late_failed
                               : slow ? &s->late_slow
                                      : &s->late_ok,
                               1, __ATOMIC_RELAXED);
        return;
    }
    if (breaker) {
        spki_gate_late(s, r->now);
        spki_breaker_report(&s->breaker, &s->rule, permit, r->now, failed, slow);
    }
    if (s->desc.adaptive && !failed) {
        spki_limiter_sample(&s->limiter, (double)ns / (double)items,
                            __atomic_load_n(&s->running, __ATOMIC_RELAXED),
                            (double)s->desc.concurrency);
        __atomic_store_n(&s->allowed, (uint32_t)s->limiter.limit, __ATOMIC_RELAXED);
    }
    spki_gate_leave(s);
}

/* -- the call -- */

/* Batches double while there is more and time is left, and halve when they take too long or find
   little. */
SPKI_FN void spki_run_learn(spki_run *r, uint32_t items, int64_t ns, bool more)
{
    uint32_t limit = __atomic_load_n(&r->s->limit, __ATOMIC_RELAXED), next = limit;
    int64_t slice = (int64_t)r->s->desc.slice_us * 1000;
    if (ns > slice)
        next = SPKI_MAX(1u, SPKI_MIN(limit, items) / 2);
    else if (more && items >= limit && ns <= slice / 2)
        next = SPKI_MIN(2 * limit, r->s->desc.batch);
    else if (!more && items < limit / 4)
        next = limit / 2;
    if (next != limit) __atomic_store_n(&r->s->limit, next, __ATOMIC_RELAXED);
}

/* Calls the stage with `n` items from the block's cursor. Results are in place, or in the scratch.
 */
SPKI_FN spk_result spki_run_call(spki_run *r, spki_parcel *b, unsigned char *data, uint32_t n,
                                 spk_batch *batch)
{
    bool in_place = r->s->desc.out_size == 0;
    spk_result result;
    batch->items = data + (size_t)b->cursor * r->s->in_size;
    batch->count = n;
    batch->out = in_place ? batch->items : (void *)r->h->scratch;
    batch->capacity = in_place ? n : r->p->batch;
    batch->priority = (spk_priority)(r->level + 1);
    batch->stage = r->stage;
    batch->lane = r->lane;
    batch->worker = r->h->index;
    batch->attempt = b->attempts;
    batch->reserved = 0;
    batch->born_ns = b->born_ns;
    batch->now_ns = r->now;
    result = r->s->fn(r->s->ctx, batch);
    spki_own_add(&r->q->calls, 1);
    if (result == SPK_OK && batch->count > batch->capacity) result = SPK_ERR_RANGE;
    return result;
}

/* Keeps the results of `n` items, close behind those of the items before. */
SPKI_FN void spki_run_keep(spki_run *r, spki_parcel *b, unsigned char *data, uint32_t n,
                           const spk_batch *batch)
{
    uint32_t size = r->s->out_size;
    unsigned char *to = data + (size_t)b->kept * size;
    if (batch->count > 0 && (const void *)to != batch->out)
        memmove(to, batch->out, batch->count * size);
    b->kept += (uint32_t)batch->count;
    b->cursor += n;
    b->attempts = 0;
    spki_own_add(&r->q->done, n);
}

/* A failure: true if the block is to wait for a retry. */
SPKI_FN bool spki_run_failed(spki_run *r, spki_parcel *b, uint32_t n)
{
    const spk_stage_desc *d = &r->s->desc;
    spki_own_add(&r->q->failures, 1);
    if (b->attempts < d->retries) {
        b->attempts++;
        spki_own_add(&r->q->retries, 1);
        __atomic_store_n(&r->q->wake_ns,
                         r->now + spki_backoff_ns((int64_t)d->backoff_us * 1000,
                                                  (int64_t)d->backoff_max_us * 1000, r->s->jitter16,
                                                  b->attempts, b->serial, r->stage,
                                                  r->p->desc.seed),
                         __ATOMIC_RELAXED);
        return true;
    }
    spki_run_drop(r, n, SPK_DROP_FAILED);
    b->cursor += n;
    b->attempts = 0;
    return false;
}

/* One call and what follows from it; false: the block has to wait. */
SPKI_FN bool spki_run_slice(spki_run *r, spki_parcel *b, unsigned char *data)
{
    uint32_t limit = __atomic_load_n(&r->s->limit, __ATOMIC_RELAXED), n = b->count - b->cursor;
    int64_t when = 0, begin = r->now, permit = spki_run_ask(r, &when);
    spk_batch batch;
    spk_result result;
    if (r->s->desc.out_size == 0) n = SPKI_MIN(n, limit);
    if (permit == SPKI_PERMIT_NONE) {
        if (r->s->desc.breaker_holds) {
            __atomic_store_n(&r->q->wake_ns, when, __ATOMIC_RELAXED);
            return false;
        }
        spki_run_drop(r, n, SPK_DROP_BREAKER);
        b->cursor += n;
        return true;
    }
    result = spki_run_call(r, b, data, n, &batch);
    r->now = spki_now(r->p);
    spki_run_report(r, permit, result != SPK_OK, r->now - begin, n);
    spki_run_learn(r, n, r->now - begin, b->cursor + n < b->count || spki_queue_look(r->q) != 0);
    if (result != SPK_OK) return !spki_run_failed(r, b, n);
    spki_run_keep(r, b, data, n, &batch);
    return true;
}

/* The block is through this stage. */
SPKI_FN void spki_run_finish(spki_run *r, uint32_t number)
{
    spki_parcel *b = &r->p->block[number - 1];
    uint32_t kept = b->kept, last = r->stage + 1 == r->p->stages;
    spki_hist_record(&r->h->hist[r->stage * SPKI_LEVELS + r->level], r->now - b->queued_ns,
                     b->count);
    spki_own_add(&r->q->out, kept);
    if (last && kept)
        spki_hist_record(&r->h->hist[r->p->stages * SPKI_LEVELS + r->level], r->now - b->born_ns,
                         kept);
    if (last || kept == 0) {
        spki_parcel_free(r->p, r->level, number);
        return;
    }
    b->count = kept;
    b->queued_ns = r->now;
    spki_queue_pass(r->p, r->stage + 1, r->lane, r->level, number);
}

/* Runs the block slice by slice; it waits at the head of its queue for a retry or the breaker, and
   while something more urgent is to be done. */
SPKI_FN void spki_run_block(spki_run *r, uint32_t number)
{
    spki_parcel *b = &r->p->block[number - 1];
    unsigned char *data = spki_parcel_data(r->p, number - 1);
    while (b->cursor < b->count) {
        bool goes_on = spki_run_slice(r, b, data);
        if (goes_on && b->cursor < b->count) goes_on = !spki_more_urgent(r->p, r->level);
        if (goes_on) continue;
        if (b->cursor == b->count) break;
        r->q->held = number;
        return;
    }
    spki_run_finish(r, number);
}

/* One batch of the queue picked. */
SPKI_FN void spki_run_queue(spk_pipeline *p, spki_hand *h, const spki_pick *pick, int64_t now)
{
    spki_run r;
    uint32_t number;
    r.p = p;
    r.h = h;
    r.s = &p->stage[pick->stage];
    r.q = &p->queue[pick->queue];
    r.stage = pick->stage;
    r.lane = pick->lane;
    r.level = pick->level;
    r.now = now;
    number = r.q->held;
    r.q->held = 0;
    __atomic_store_n(&r.q->wake_ns, 0, __ATOMIC_RELAXED);
    if ((h->home >> r.lane & 1u) == 0) spki_own_add(&r.q->stolen, 1);
    if (number) {
        (void)spki_run_expired(&r, number);
    } else {
        number = spki_run_next(&r);
        if (number) spki_run_gather(&r, number);
    }
    if (number) spki_run_block(&r, number);
    spki_queue_settle(p, r.q, &p->ready[r.stage * SPKI_LEVELS + r.level], r.lane);
    __atomic_fetch_sub(&r.s->running, 1, __ATOMIC_RELEASE);
}

#endif
