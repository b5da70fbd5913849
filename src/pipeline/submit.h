/* ---- >>pipeline-submit: entering, stepping, and what went through ---- */
#ifndef SPIKELIB_PIPELINE_SUBMIT_H
#define SPIKELIB_PIPELINE_SUBMIT_H

#include "pipeline.h"

SPKI_FN bool spki_pipeline_takes(const spk_pipeline *p)
{
    return p && p->started && !__atomic_load_n(&p->closed, __ATOMIC_RELAXED);
}

/* `missed`: the counter of what finds no room. */
SPKI_FN size_t spki_submit(spk_pipeline *p, spk_priority priority, uint64_t key, const void *items,
                           size_t count, bool drop)
{
    int level = spki_level_of(priority);
    spki_parcels *pool;
    size_t n;
    if (!spki_pipeline_takes(p) || level < 0 || !items || count == 0) return 0;
    pool = &p->pool[level];
    n = spki_enter(p, spki_lane_of(p, key), (uint32_t)level, (const unsigned char *)items, count);
    __atomic_fetch_add(&pool->offered, count, __ATOMIC_RELAXED);
    if (n < count)
        __atomic_fetch_add(drop ? &pool->full : &pool->refused, count - n, __ATOMIC_RELAXED);
    return n;
}

SPIKELIB_API size_t spk_pipeline_submit(spk_pipeline *p, spk_priority priority, uint64_t key,
                                        const void *items, size_t count)
{
    return spki_submit(p, priority, key, items, count, false);
}

SPIKELIB_API size_t spk_pipeline_offer(spk_pipeline *p, spk_priority priority, uint64_t key,
                                       const void *items, size_t count)
{
    return spki_submit(p, priority, key, items, count, true);
}

SPKI_FN bool spki_room_is_there(const spk_pipeline *p, uint32_t level)
{
    const spki_parcels *pool = &p->pool[level];
    return __atomic_load_n(&pool->used, __ATOMIC_SEQ_CST) <= pool->blocks / 4 * 3;
}

SPIKELIB_API size_t spk_pipeline_submit_wait(spk_pipeline *p, spk_priority priority, uint64_t key,
                                             const void *items, size_t count, double timeout_s)
{
    double until = spk_clock_seconds() + (timeout_s > 0.0 ? timeout_s : 0.0), left;
    int level = spki_level_of(priority);
    uint32_t lane;
    size_t done = 0;
    if (!spki_pipeline_takes(p) || level < 0 || !items || count == 0) return 0;
    lane = spki_lane_of(p, key);
    for (;;) {
        const unsigned char *from = (const unsigned char *)items + done * p->desc.item_size;
        uint32_t epoch = __atomic_load_n(&p->room_epoch, __ATOMIC_SEQ_CST);
        done += spki_enter(p, lane, (uint32_t)level, from, count - done);
        if (done == count || !spki_pipeline_takes(p)) break;
        /* Once more, now that whoever frees a block knows of us. */
        __atomic_fetch_or(&p->room_wanted, SPKI_WANTS_ROOM, __ATOMIC_SEQ_CST);
        if (spki_room_is_there(p, (uint32_t)level)) continue;
        left = until - spk_clock_seconds();
        if (!(left > 0.0) || p->desc.manual) break;
        spki_ring_sleep(&p->room_lot, &p->room_epoch, epoch, SPKI_MIN(left, SPKI_RING_NAP), false);
    }
    __atomic_fetch_add(&p->pool[level].offered, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&p->pool[level].refused, count - done, __ATOMIC_RELAXED);
    return done;
}

SPIKELIB_API spk_pipeline_span spk_pipeline_reserve(spk_pipeline *p, spk_priority priority,
                                                    uint64_t key)
{
    int level = spki_level_of(priority);
    spk_pipeline_span span;
    memset(&span, 0, sizeof span);
    if (!spki_pipeline_takes(p) || level < 0) return span;
    span.block = spki_parcel_take(p, (uint32_t)level);
    if (span.block == 0) return span;
    span.items = spki_parcel_data(p, span.block - 1);
    span.capacity = p->batch;
    span.priority = (spk_priority)(level + 1);
    span.lane = spki_lane_of(p, key);
    return span;
}

SPIKELIB_API void spk_pipeline_commit(spk_pipeline *p, spk_pipeline_span *span, size_t count)
{
    uint32_t level, queue;
    if (!p || !span || !span->items) return;
    level = (uint32_t)span->priority - 1;
    queue = spki_queue_index(p, 0, span->lane, level);
    if (count > span->capacity) count = span->capacity;
    span->items = NULL;
    if (count == 0) {
        spki_parcel_free(p, level, span->block);
        return;
    }
    p->block[span->block - 1].born_ns = p->block[span->block - 1].queued_ns = spki_now(p);
    __atomic_fetch_add(&p->queue[queue].in, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&p->pool[level].offered, count, __ATOMIC_RELAXED);
    {
        int64_t born = p->block[span->block - 1].born_ns; /* gone once it is published */
        spki_queue_publish(p, queue, span->block, (uint32_t)count, true);
        spki_queue_announce(p, 0, span->lane, level, born);
    }
}

SPIKELIB_API double spk_pipeline_pressure(const spk_pipeline *p, spk_priority priority)
{
    int level = spki_level_of(priority);
    if (!p || !p->started || level < 0) return 0.0;
    return (double)__atomic_load_n(&p->pool[level].used, __ATOMIC_RELAXED) /
           (double)p->pool[level].blocks;
}

SPIKELIB_API bool spk_pipeline_pause(const spk_pipeline *p, spk_priority priority, bool paused)
{
    return spk_pipeline_pressure(p, priority) >= (paused ? 0.5 : 0.75);
}

SPIKELIB_API bool spk_pipeline_step(spk_pipeline *p)
{
    int64_t wake;
    if (!p || !p->started || p->stopped || !p->desc.manual) return false;
    return spki_hand_work(p, &p->hand[0], &wake);
}

SPIKELIB_API int64_t spk_pipeline_next_ns(spk_pipeline *p)
{
    spki_pick pick;
    int64_t now;
    if (!p || !p->started || p->stopped || !p->desc.manual) return INT64_MAX;
    now = spki_now(p);
    spki_pick_look(p, &p->hand[0], now, false, &pick);
    return pick.found ? now : pick.wake_ns;
}

/* -- statistics -- */

SPKI_FN void spki_stats_add_queue(const spk_pipeline *p, uint32_t stage, uint32_t lane,
                                  uint32_t level, spk_pipeline_stats *s)
{
    const spki_queue *q = &p->queue[spki_queue_index(p, stage, lane, level)];
    uint64_t gone = 0;
    uint32_t k;
    /* What left is read before what came, so that the depth is never negative. */
    s->out += spki_own_read(&q->out);
    s->calls += spki_own_read(&q->calls);
    s->failures += spki_own_read(&q->failures);
    s->retries += spki_own_read(&q->retries);
    for (k = 0; k < SPK_DROP_COUNT; k++) {
        uint64_t dropped = spki_own_read(&q->dropped[k]);
        s->dropped[k] += dropped;
        s->dropped_all += dropped;
        gone += dropped;
    }
    k = 0;
    {
        uint64_t done = spki_own_read(&q->done), in = __atomic_load_n(&q->in, __ATOMIC_RELAXED);
        s->done += done;
        s->in += in;
        s->depth += in > gone + done ? in - gone - done : 0;
    }
}

SPKI_FN void spki_stats_of(const spk_pipeline *p, uint32_t stage, uint32_t level,
                           spk_pipeline_stats *s, spki_hist *hist)
{
    uint32_t k;
    for (k = 0; stage < p->stages && k < p->lanes; k++) spki_stats_add_queue(p, stage, k, level, s);
    for (k = 0; k < p->hands; k++)
        spki_hist_merge(hist, &p->hand[k].hist[stage * SPKI_LEVELS + level]);
}

/* The whole: what came in at the first stage, and what went out of the last. */
SPKI_FN void spki_stats_whole(const spk_pipeline *p, uint32_t level, spk_pipeline_stats *s)
{
    const spki_parcels *pool = &p->pool[level];
    uint32_t stage, lane, k;
    for (stage = 0; stage < p->stages; stage++) {
        spk_pipeline_stats one;
        memset(&one, 0, sizeof one);
        for (lane = 0; lane < p->lanes; lane++) spki_stats_add_queue(p, stage, lane, level, &one);
        if (stage == 0) s->in += one.in;
        if (stage + 1 == p->stages) s->out += one.out;
        if (stage + 1 == p->stages) s->done += one.done;
        s->depth += one.depth;
        s->calls += one.calls;
        s->failures += one.failures;
        s->retries += one.retries;
        s->dropped_all += one.dropped_all;
        for (k = 0; k < SPK_DROP_COUNT; k++) s->dropped[k] += one.dropped[k];
    }
    s->offered += __atomic_load_n(&pool->offered, __ATOMIC_RELAXED);
    s->refused += __atomic_load_n(&pool->refused, __ATOMIC_RELAXED);
    s->dropped[SPK_DROP_FULL] += __atomic_load_n(&pool->full, __ATOMIC_RELAXED);
    s->dropped_all += __atomic_load_n(&pool->full, __ATOMIC_RELAXED);
}

SPIKELIB_API spk_result spk_pipeline_get_stats(const spk_pipeline *p, uint32_t stage,
                                               spk_priority priority, spk_pipeline_stats *stats)
{
    bool whole = stage == SPK_PIPELINE_WHOLE;
    uint32_t level;
    spki_hist hist;
    if (!p || !stats) return SPK_ERR_NULL;
    if ((!whole && stage >= p->stages) || (uint32_t)priority >= SPK_PRIORITY_COUNT)
        return SPK_ERR_RANGE;
    memset(stats, 0, sizeof *stats);
    if (!p->started) return SPK_OK;
    memset(&hist, 0, sizeof hist);
    for (level = 0; level < SPKI_LEVELS; level++) {
        if (priority != SPK_PRIORITY_DEFAULT && level + 1 != (uint32_t)priority) continue;
        if (whole) spki_stats_whole(p, level, stats);
        spki_stats_of(p, whole ? p->stages : stage, level, stats, &hist);
    }
    spki_hist_report(&hist, &stats->latency);
    return SPK_OK;
}

SPIKELIB_API spk_result spk_pipeline_get_stage(const spk_pipeline *p, uint32_t stage,
                                               spk_stage_stats *stats)
{
    spki_stage *s;
    uint64_t done = 0, calls = 0;
    uint32_t k;
    if (!p || !stats) return SPK_ERR_NULL;
    if (stage >= p->stages) return SPK_ERR_RANGE;
    s = &((spk_pipeline *)(uintptr_t)p)->stage[stage]; /* its gate is set for a moment */
    memset(stats, 0, sizeof *stats);
    stats->name = s->name;
    spki_gate_enter(s);
    stats->breaker = s->breaker.state;
    stats->breaker_opened = s->breaker.opened;
    spki_gate_leave(s);
    stats->concurrency = __atomic_load_n(&s->allowed, __ATOMIC_RELAXED);
    stats->running = __atomic_load_n(&s->running, __ATOMIC_RELAXED);
    stats->batch = __atomic_load_n(&s->limit, __ATOMIC_RELAXED);
    for (k = 0; p->started && k < p->lanes * SPKI_LEVELS; k++) {
        const spki_queue *q = &p->queue[stage * p->lanes * SPKI_LEVELS + k];
        done += spki_own_read(&q->done);
        calls += spki_own_read(&q->calls);
        stats->stolen += spki_own_read(&q->stolen);
    }
    stats->mean_batch = calls ? (double)done / (double)calls : 0.0;
    return SPK_OK;
}

SPIKELIB_API size_t spk_pipeline_bytes(const spk_pipeline *p)
{
    return p ? p->mem.now : 0;
}

SPIKELIB_API const char *spk_priority_name(spk_priority priority)
{
    static const char *const names[] = {"all", "critical", "high", "normal", "low", "batch"};
    return (uint32_t)priority < SPK_PRIORITY_COUNT ? names[priority] : "unknown";
}

SPIKELIB_API const char *spk_drop_name(spk_drop reason)
{
    static const char *const names[] = {"full", "deadline", "shed", "breaker", "failed", "closed"};
    return (uint32_t)reason < SPK_DROP_COUNT ? names[reason] : "unknown";
}

#endif
