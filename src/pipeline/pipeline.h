/* ---- >>pipeline-create: describing, starting and stopping a pipeline ---- */
#ifndef SPIKELIB_PIPELINE_PIPELINE_H
#define SPIKELIB_PIPELINE_PIPELINE_H

#include "worker.h"

/* -- descriptors -- */

SPKI_FN spk_result spki_pipeline_bad(spk_pipeline *p, const char *what, const char *field,
                                     double value)
{
    return spki_pipeline_fail(p, SPK_ERR_RANGE, "%s: %s = %g is out of range", what, field, value);
}

#define SPKI_DEFAULT(field, value) (field) = (field) ? (field) : (value)

SPKI_FN void spki_pipeline_defaults(spk_pipeline_desc *d)
{
    uint32_t k;
    SPKI_DEFAULT(d->item_size, 16);
    SPKI_DEFAULT(d->workers, SPKI_MIN(spk_cpu_count(), SPKI_WORKERS));
    SPKI_DEFAULT(d->lanes, 16);
    SPKI_DEFAULT(d->batch, 256);
    SPKI_DEFAULT(d->capacity, 65536);
    for (k = 1; k < SPK_PRIORITY_COUNT; k++) SPKI_DEFAULT(d->capacity_of[k], d->capacity);
    SPKI_DEFAULT(d->boost_us, 10000);
    SPKI_DEFAULT(d->overdue_share, 16);
    SPKI_DEFAULT(d->spin_us, 20);
    if (!d->clock.now_ns) d->clock.now_ns = spki_default_now;
}

SPKI_FN spk_result spki_pipeline_check(spk_pipeline *p)
{
    const spk_pipeline_desc *d = &p->desc;
    uint32_t k;
    if (d->item_size > SPKI_ITEM_BYTES)
        return spki_pipeline_bad(p, "create", "item_size", d->item_size);
    if (d->workers > SPKI_WORKERS) return spki_pipeline_bad(p, "create", "workers", d->workers);
    if (d->lanes > SPKI_LANES) return spki_pipeline_bad(p, "create", "lanes", d->lanes);
    if (d->batch > SPKI_BLOCK_ITEMS) return spki_pipeline_bad(p, "create", "batch", d->batch);
    for (k = 1; k < SPK_PRIORITY_COUNT; k++)
        if (d->capacity_of[k] / d->batch > (1u << 20))
            return spki_pipeline_bad(p, "create", "capacity", (double)d->capacity_of[k]);
    return SPK_OK;
}

SPIKELIB_API spk_pipeline *spk_pipeline_create(const spk_pipeline_desc *desc)
{
    bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    spki_mem mem;
    spk_pipeline *p;
    spki_mem_init(&mem, desc && !garbage ? &desc->allocator : NULL,
                  desc && !garbage ? desc->memory_limit : 0);
    p = (spk_pipeline *)spki_alloc(&mem, 1, sizeof *p);
    if (!p) return NULL;
    p->mem = mem;
    if (desc && !garbage) p->desc = *desc;
    spki_ring_lot_init(&p->lot);
    spki_ring_lot_init(&p->room_lot);
    spki_pipeline_defaults(&p->desc);
    if (garbage)
        (void)spki_pipeline_fail(
            p, SPK_ERR_UNINITIALISED,
            "create: the descriptor's sentinels are not 0: start it with = {0}");
    else
        (void)spki_pipeline_check(p);
    p->hands = p->desc.manual ? 1 : p->desc.workers;
    p->lanes = p->desc.lanes;
    p->batch = p->desc.batch;
    p->boost_ns = (int64_t)p->desc.boost_us * 1000;
    p->spin_ns = (int64_t)p->desc.spin_us * 1000;
    return p;
}

SPIKELIB_API spk_result spk_pipeline_status(const spk_pipeline *p)
{
    return p ? p->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_pipeline_error(const spk_pipeline *p)
{
    return p ? p->error : "the pipeline is NULL";
}

SPKI_FN void spki_stage_defaults(const spk_pipeline *p, spk_stage_desc *d)
{
    SPKI_DEFAULT(d->concurrency, 1);
    d->concurrency = SPKI_MIN(d->concurrency, SPKI_WORKERS);
    if (d->batch == 0 || d->batch > p->batch) d->batch = p->batch;
    SPKI_DEFAULT(d->slice_us, 100);
    SPKI_DEFAULT(d->backoff_us, 1000);
    SPKI_DEFAULT(d->backoff_max_us, 1000000);
    d->jitter = d->jitter == 0.0 ? 0.5 : d->jitter < 0.0 ? 0.0 : d->jitter;
    SPKI_DEFAULT(d->breaker_window, 100);
    SPKI_DEFAULT(d->breaker_minimum, d->breaker_window);
    SPKI_DEFAULT(d->breaker_open_us, 1000000);
    SPKI_DEFAULT(d->breaker_trials, 10);
    SPKI_DEFAULT(d->breaker_permit_us, 1000000);
    d->breaker_slow = d->breaker_slow == 0.0 ? 1.0 : d->breaker_slow;
    SPKI_DEFAULT(d->codel_target_us, 5000);
    SPKI_DEFAULT(d->codel_interval_us, 100000);
    if (d->shed_from == SPK_PRIORITY_DEFAULT) d->shed_from = SPK_PRIORITY_NORMAL;
}

SPKI_FN spk_result spki_stage_check(spk_pipeline *p, const spk_stage_desc *d)
{
    if (d->out_size > SPKI_ITEM_BYTES) return spki_pipeline_bad(p, "add", "out_size", d->out_size);
    if (!(d->jitter <= 1.0)) return spki_pipeline_bad(p, "add", "jitter", d->jitter);
    if (!(d->breaker_failures >= 0.0 && d->breaker_failures <= 1.0))
        return spki_pipeline_bad(p, "add", "breaker_failures", d->breaker_failures);
    if (!(d->breaker_slow >= 0.0 && d->breaker_slow <= 1.0))
        return spki_pipeline_bad(p, "add", "breaker_slow", d->breaker_slow);
    if (d->breaker_window > SPKI_BREAKER_WINDOW)
        return spki_pipeline_bad(p, "add", "breaker_window", d->breaker_window);
    if (d->breaker_minimum > d->breaker_window)
        return spki_pipeline_bad(p, "add", "breaker_minimum", d->breaker_minimum);
    if (d->breaker_trials > SPKI_BREAKER_TRIALS)
        return spki_pipeline_bad(p, "add", "breaker_trials", d->breaker_trials);
    if (d->codel_interval_us > 4000000)
        return spki_pipeline_bad(p, "add", "codel_interval_us", d->codel_interval_us);
    if ((uint32_t)d->shed_from >= SPK_PRIORITY_COUNT)
        return spki_pipeline_bad(p, "add", "shed_from", (double)d->shed_from);
    return SPK_OK;
}

SPKI_FN void spki_stage_init(spk_pipeline *p, spki_stage *s)
{
    const spk_stage_desc *d = &s->desc;
    s->in_size = p->stages ? p->stage[p->stages - 1].out_size : p->desc.item_size;
    s->out_size = d->out_size ? d->out_size : s->in_size;
    s->jitter16 = (uint32_t)(d->jitter * 65536.0);
    s->rule.failures = d->breaker_failures;
    s->rule.slow = d->breaker_slow;
    s->rule.window = d->breaker_window;
    s->rule.minimum = d->breaker_minimum;
    s->rule.trials = d->breaker_trials;
    s->rule.open_ns = (int64_t)d->breaker_open_us * 1000;
    s->rule.permit_ns = (int64_t)d->breaker_permit_us * 1000;
    s->allowed = d->concurrency;
    s->limiter.limit = (double)d->concurrency;
    s->limit = SPKI_MIN(16u, d->batch);
}

SPIKELIB_API spk_result spk_pipeline_add(spk_pipeline *p, const char *name, spk_stage_fn fn,
                                         void *ctx, const spk_stage_desc *desc)
{
    spki_stage *s;
    if (!p) return SPK_ERR_NULL;
    if (p->status != SPK_OK) return p->status;
    if (p->started) return spki_pipeline_fail(p, SPK_ERR_STATE, "add: the pipeline is running");
    if (!name || !fn)
        return spki_pipeline_fail(p, SPK_ERR_NULL, "add: no %s", name ? "fn" : "name");
    if (p->stages == SPKI_STAGES)
        return spki_pipeline_fail(p, SPK_ERR_RANGE, "add \"%.31s\": there are %u stages already",
                                  name, SPKI_STAGES);
    s = &p->stage[p->stages];
    memset(s, 0, sizeof *s);
    if (desc) s->desc = *desc;
    if (s->desc.begin_sentinel || s->desc.end_sentinel)
        return spki_pipeline_fail(p, SPK_ERR_UNINITIALISED,
                                  "add \"%.31s\": the descriptor's sentinels are not 0", name);
    spki_stage_defaults(p, &s->desc);
    if (spki_stage_check(p, &s->desc) != SPK_OK) return p->status;
    snprintf(s->name, sizeof s->name, "%s", name);
    s->fn = fn;
    s->ctx = ctx;
    spki_stage_init(p, s);
    p->stages++;
    return SPK_OK;
}

/* -- memory -- */

SPKI_FN void spki_pipeline_release(spk_pipeline *p)
{
    size_t queues = (size_t)p->stages * p->lanes * SPKI_LEVELS;
    spki_free(&p->mem, p->block, p->blocks, sizeof(spki_parcel));
    spki_free(&p->mem, p->data, p->blocks, p->stride);
    spki_free(&p->mem, p->queue, queues, sizeof(spki_queue));
    spki_free(&p->mem, p->slot, p->slots, sizeof(uint32_t));
    spki_free(&p->mem, p->ring_memory, p->ring_bytes, 1);
    spki_free(&p->mem, p->ready, p->stages * SPKI_LEVELS, sizeof(spki_ready));
    spki_free(&p->mem, p->hand, p->hands, sizeof(spki_hand));
    spki_free(&p->mem, p->hist, (size_t)p->hands * (p->stages + 1) * SPKI_LEVELS,
              sizeof(spki_hist));
    spki_free(&p->mem, p->scratch, p->hands, p->stride);
    p->block = NULL;
    p->data = NULL;
    p->queue = NULL;
    p->slot = NULL;
    p->ring_memory = NULL;
    p->ready = NULL;
    p->hand = NULL;
    p->hist = NULL;
    p->scratch = NULL;
}

SPKI_FN void spki_ring_desc_of(const spk_pipeline *p, uint32_t level, spk_ring_desc *d)
{
    memset(d, 0, sizeof *d);
    d->item_size = sizeof(uint32_t);
    d->capacity = p->pool[level].blocks;
}

/* Sizes. A priority has blocks for its capacity, and one more for each lane, whose newest block may
   be nearly empty. */
SPKI_FN void spki_pipeline_measure(spk_pipeline *p)
{
    uint32_t level, k;
    size_t widest = p->desc.item_size;
    for (k = 0; k < p->stages; k++) widest = SPKI_MAX(widest, p->stage[k].out_size);
    p->stride = (uint32_t)((widest * p->batch + 63) & ~(size_t)63);
    p->blocks = 0;
    p->slots = 0;
    p->ring_bytes = 0;
    for (level = 0; level < SPKI_LEVELS; level++) {
        size_t capacity = p->desc.capacity_of[level + 1];
        uint32_t blocks = (uint32_t)((capacity + p->batch - 1) / p->batch) + p->lanes, slots = 1;
        spk_ring_desc d;
        p->pool[level].blocks = blocks;
        p->blocks += blocks;
        while (slots < blocks) slots *= 2;
        p->slots_of[level] = slots;
        p->slots += slots * p->lanes;
        spki_ring_desc_of(p, level, &d);
        p->ring_bytes +=
            (size_t)(p->stages - 1) * p->lanes * ((spk_ring_bytes(&d) + 63) & ~(size_t)63);
    }
}

SPKI_FN bool spki_pipeline_take(spk_pipeline *p)
{
    size_t queues = (size_t)p->stages * p->lanes * SPKI_LEVELS;
    p->block = (spki_parcel *)spki_alloc(&p->mem, p->blocks, sizeof(spki_parcel));
    p->data = (unsigned char *)spki_alloc(&p->mem, p->blocks, p->stride);
    p->queue = (spki_queue *)spki_alloc(&p->mem, queues, sizeof(spki_queue));
    p->slot = (uint32_t *)spki_alloc(&p->mem, p->slots, sizeof(uint32_t));
    p->ring_memory = (unsigned char *)spki_alloc(&p->mem, p->ring_bytes, 1);
    p->ready = (spki_ready *)spki_alloc(&p->mem, p->stages * SPKI_LEVELS, sizeof(spki_ready));
    p->hand = (spki_hand *)spki_alloc(&p->mem, p->hands, sizeof(spki_hand));
    p->hist = (spki_hist *)spki_alloc(&p->mem, (size_t)p->hands * (p->stages + 1) * SPKI_LEVELS,
                                      sizeof(spki_hist));
    p->scratch = (unsigned char *)spki_alloc(&p->mem, p->hands, p->stride);
    return p->block && p->data && p->queue && p->slot && p->ring_memory && p->ready && p->hand &&
           p->hist && p->scratch;
}

SPKI_FN bool spki_queues_init(spk_pipeline *p)
{
    uint32_t stage, lane, level;
    uint32_t *slot = p->slot;
    unsigned char *memory = p->ring_memory;
    for (stage = 0; stage < p->stages; stage++)
        for (lane = 0; lane < p->lanes; lane++)
            for (level = 0; level < SPKI_LEVELS; level++) {
                spki_queue *q = &p->queue[spki_queue_index(p, stage, lane, level)];
                spk_ring_desc d;
                if (stage == 0) {
                    q->slots = slot;
                    q->slot_mask = p->slots_of[level] - 1;
                    slot += p->slots_of[level];
                    continue;
                }
                spki_ring_desc_of(p, level, &d);
                d.memory = memory;
                d.memory_size = spk_ring_bytes(&d);
                q->ring = spk_ring_create(&d);
                if (spk_ring_status(q->ring) != SPK_OK) return false;
                memory += (d.memory_size + 63) & ~(size_t)63;
            }
    return true;
}

SPKI_FN void spki_pools_init(spk_pipeline *p)
{
    uint32_t level, k, number = 0;
    for (level = 0; level < SPKI_LEVELS; level++) {
        spki_parcels *pool = &p->pool[level];
        pool->used = 0;
        pool->head = 0;
        for (k = 0; k < pool->blocks; k++) {
            p->block[number].next = (uint32_t)pool->head;
            pool->head = ++number;
        }
    }
}

SPKI_FN void spki_hands_init(spk_pipeline *p)
{
    uint32_t k, lane;
    for (k = 0; k < p->hands; k++) {
        spki_hand *h = &p->hand[k];
        h->p = p;
        h->index = k;
        for (lane = 0; lane < p->lanes; lane++)
            if (lane % p->hands == k) h->home |= (uint64_t)1 << lane;
        h->scratch = p->scratch + (size_t)k * p->stride;
        h->hist = p->hist + (size_t)k * (p->stages + 1) * SPKI_LEVELS;
    }
}

SPIKELIB_API spk_result spk_pipeline_start(spk_pipeline *p)
{
    spk_result result;
    if (!p) return SPK_ERR_NULL;
    if (p->start_failed) { /* not for good: there may be memory, or a thread, by now */
        p->status = SPK_OK;
        p->error[0] = 0;
        p->start_failed = false;
    }
    if (p->status != SPK_OK) return p->status;
    if (p->started) return spki_pipeline_fail(p, SPK_ERR_STATE, "start: it was started already");
    if (p->stages == 0) return spki_pipeline_fail(p, SPK_ERR_STATE, "start: there are no stages");
    spki_pipeline_measure(p);
    if (!spki_pipeline_take(p) || !spki_queues_init(p)) {
        p->start_failed = true;
        spki_pipeline_release(p);
        return spki_pipeline_fail(p, SPK_ERR_OUT_OF_MEMORY,
                                  "start: no memory for %u blocks of %u bytes and their queues",
                                  p->blocks, p->stride);
    }
    spki_pools_init(p);
    spki_hands_init(p);
    result = spki_hands_begin(p);
    if (result != SPK_OK) {
        p->start_failed = true;
        p->quit = 0;
        spki_pipeline_release(p);
        return result;
    }
    p->started = true;
    return SPK_OK;
}

/* -- the end -- */

/* What a queue still holds when the workers have gone. Results that a block has already go on, only
   to be dropped there. */
SPKI_FN void spki_queue_purge(spk_pipeline *p, uint32_t stage, uint32_t lane, uint32_t level)
{
    spki_queue *q = &p->queue[spki_queue_index(p, stage, lane, level)];
    uint32_t number = q->held;
    q->held = 0;
    for (;;) {
        spki_parcel *b;
        if (number == 0) number = spki_queue_next(p, q);
        if (number == SPKI_QUEUE_EMPTY || number == SPKI_QUEUE_LATER) return;
        b = &p->block[number - 1];
        spki_own_add(&q->dropped[SPK_DROP_CLOSED], b->count - b->cursor);
        spki_own_add(&q->out, b->kept);
        if (stage + 1 < p->stages) {
            spki_queue *to = &p->queue[spki_queue_index(p, stage + 1, lane, level)];
            __atomic_fetch_add(&to->in, b->kept, __ATOMIC_RELAXED);
            spki_own_add(&to->dropped[SPK_DROP_CLOSED], b->kept);
        }
        spki_parcel_free(p, level, number);
        number = 0;
    }
}

SPIKELIB_API void spk_pipeline_close(spk_pipeline *p)
{
    if (p) __atomic_store_n(&p->closed, 1, __ATOMIC_SEQ_CST);
}

SPIKELIB_API spk_result spk_pipeline_drain(spk_pipeline *p, double timeout_s)
{
    double until = spk_clock_seconds() + (timeout_s > 0.0 ? timeout_s : 0.0);
    if (!p) return SPK_ERR_NULL;
    if (!p->started || p->stopped) return SPK_ERR_STATE;
    while (p->desc.manual && spk_pipeline_step(p)) continue;
    for (;;) {
        uint32_t epoch = __atomic_load_n(&p->room_epoch, __ATOMIC_SEQ_CST);
        double left;
        __atomic_fetch_or(&p->room_wanted, SPKI_WANTS_NOTHING, __ATOMIC_SEQ_CST);
        if (spki_nothing_under_way(p)) return SPK_OK;
        left = until - spk_clock_seconds();
        if (p->desc.manual || !(left > 0.0)) return SPK_ERR_TIMEOUT;
        spki_ring_sleep(&p->room_lot, &p->room_epoch, epoch, SPKI_MIN(left, SPKI_RING_NAP), false);
    }
}

SPIKELIB_API spk_result spk_pipeline_stop(spk_pipeline *p, double timeout_s)
{
    uint32_t stage, lane, level;
    spk_result result;
    if (!p) return SPK_ERR_NULL;
    if (!p->started || p->stopped) return SPK_ERR_STATE;
    spk_pipeline_close(p);
    result = spk_pipeline_drain(p, timeout_s);
    spki_hands_end(p);
    for (stage = 0; stage < p->stages; stage++)
        for (lane = 0; lane < p->lanes; lane++)
            for (level = 0; level < SPKI_LEVELS; level++) spki_queue_purge(p, stage, lane, level);
    p->stopped = true;
    return result;
}

SPIKELIB_API void spk_pipeline_destroy(spk_pipeline *p)
{
    spki_mem mem;
    if (!p) return;
    (void)spk_pipeline_stop(p, 0.0);
    spki_pipeline_release(p);
    spki_ring_lot_free(&p->lot);
    spki_ring_lot_free(&p->room_lot);
    mem = p->mem;
    spki_free(&mem, p, 1, sizeof *p);
}

#endif
