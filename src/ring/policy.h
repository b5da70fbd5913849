/* ---- >>policy: pushing and popping, and what happens when a ring is full ---- */
#ifndef SPIKELIB_RING_POLICY_H
#define SPIKELIB_RING_POLICY_H

#include "wait.h"

SPKI_FN size_t spki_ring_put(spk_ring *ring, const void *items, size_t count)
{
    return ring->own->mpmc ? spki_mpmc_put(ring, items, count) : spki_spsc_put(ring, items, count);
}

SPKI_FN size_t spki_ring_take(spk_ring *ring, void *items, size_t count)
{
    return ring->own->mpmc ? spki_mpmc_take(ring, items, count)
                           : spki_spsc_take(ring, items, count);
}

/* SPK_RING_SAMPLE: one in how many items is taken at this fill; 0: none. */
SPKI_FN uint32_t spki_ring_thinning(size_t used, size_t capacity)
{
    if (used >= capacity) return 0;
    if (used >= capacity - capacity / 8) return 8;
    if (used >= capacity - capacity / 4) return 4;
    return used >= capacity - capacity / 2 ? 2 : 1;
}

/* One item at a time, since the rate may change with each. */
SPKI_FN void spki_ring_sample(spk_ring *ring, const unsigned char *items, size_t count)
{
    spki_ring_control *c = ring->control;
    size_t k;
    /* Or the inline push, which knows an old head only, would come here for nothing. */
    if (!ring->own->mpmc) c->head_seen = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE);
    for (k = 0; k < count; k++) {
        const uint32_t one_in = spki_ring_thinning(spki_ring_used(ring), ring->own->capacity);
        uint64_t turn = 0;
        if (one_in > 1) turn = __atomic_fetch_add(&c->thinned, 1, __ATOMIC_RELAXED) % one_in;
        if (turn != 0) {
            spki_ring_add(&c->sampled_out, 1);
            continue;
        }
        if (one_in == 0 || spki_ring_put(ring, items + k * ring->item_size, 1) == 0)
            spki_ring_add(&c->dropped_newest, 1);
    }
}

/* Pushes all, dropping the oldest where there is no room. A slot that a consumer is still reading
   cannot be had: then the newest go. */
SPKI_FN void spki_ring_overwrite(spk_ring *ring, const unsigned char *items, size_t count)
{
    spki_ring_control *c = ring->control;
    size_t done = 0, tries = 0;
    while (done < count && tries < 16) {
        size_t n = spki_mpmc_put(ring, items + done * ring->item_size, count - done);
        done += n;
        if (done == count) return;
        if (n == 0 && spki_ring_used(ring) < ring->own->capacity) {
            tries++;
            spki_ring_relax();
            continue;
        }
        n = spki_mpmc_discard(ring, SPKI_MIN(count - done, ring->own->capacity));
        spki_ring_add(&c->dropped_oldest, n);
        tries = n == 0 ? tries + 1 : 0;
    }
    spki_ring_add(&c->dropped_newest, count - done);
}

/* How many of the items were dealt with; *why if it was not all. */
SPKI_FN size_t spki_ring_push_all(spk_ring *ring, const unsigned char *items, size_t count,
                                  double deadline_s, spk_result *why)
{
    spki_ring_control *c = ring->control;
    const spk_ring_policy policy = ring->own->policy;
    size_t done = 0;
    *why = SPK_ERR_CLOSED;
    if (spki_ring_closed(ring)) return 0;
    if (policy == SPK_RING_SAMPLE) {
        spki_ring_sample(ring, items, count);
        return count;
    }
    if (policy == SPK_RING_OVERWRITE) {
        spki_ring_overwrite(ring, items, count);
        return count;
    }
    for (;;) {
        done += spki_ring_put(ring, items + done * ring->item_size, count - done);
        if (done == count) return count;
        if (policy == SPK_RING_DROP_NEWEST) {
            spki_ring_add(&c->dropped_newest, count - done);
            return count;
        }
        *why = SPK_ERR_AGAIN;
        if (deadline_s <= SPK_AT_ONCE) break;
        *why = spk_ring_wait_room(ring, 1, deadline_s);
        if (*why != SPK_OK) break;
    }
    spki_ring_add(&c->refused, 1);
    return done;
}

/* -- one item -- */

SPIKELIB_API spk_result spk_ring_push_slowly(spk_ring *ring, const void *item, bool may_wait)
{
    double deadline_s;
    spk_result why;
    if (!ring || !item) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (!ring->own->mpmc && spki_talk_push(ring, item)) return SPK_OK;
    if (ring->own->mpmc && ring->own->policy != SPK_RING_SAMPLE && spki_mpmc_push_one(ring, item))
        return SPK_OK;
    deadline_s = may_wait && ring->own->policy == SPK_RING_WAIT ? SPK_FOREVER : SPK_AT_ONCE;
    if (spki_ring_push_all(ring, (const unsigned char *)item, 1, deadline_s, &why) == 1)
        return SPK_OK;
    return why;
}

SPIKELIB_API spk_result spk_ring_push_until(spk_ring *ring, const void *item, double deadline_s)
{
    spk_result why;
    if (!ring || !item) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (deadline_s != deadline_s) return SPK_ERR_RANGE;
    if (spki_ring_push_all(ring, (const unsigned char *)item, 1, deadline_s, &why) == 1)
        return SPK_OK;
    return why;
}

/* Closed comes first: whatever was pushed before closing is seen after `closed` is. */
SPIKELIB_API spk_result spk_ring_pop_slowly(spk_ring *ring, void *item)
{
    spk_result result = SPK_ERR_STATE;
    bool closed;
    if (!ring || !item) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (ring->own->mpmc && spki_mpmc_pop_one(ring, item)) return SPK_OK;
    closed = spki_ring_closed(ring);
    if (!ring->own->mpmc) result = spki_talk_pop(ring, item);
    if (result == SPK_OK) return SPK_OK;
    if (result == SPK_ERR_STATE && spki_ring_take(ring, item, 1) == 1) {
        if (!ring->own->mpmc) spki_talk_note(ring);
        return SPK_OK;
    }
    return closed && spki_ring_used(ring) == 0 ? SPK_ERR_CLOSED : SPK_ERR_AGAIN;
}

SPIKELIB_API spk_result spk_ring_pop_until(spk_ring *ring, void *item, double deadline_s)
{
    for (;;) {
        spk_result result = spk_ring_pop_slowly(ring, item);
        if (result != SPK_ERR_AGAIN) return result;
        result = spk_ring_wait_items(ring, 1, deadline_s);
        if (result != SPK_OK) return result;
    }
}

/* -- batches -- */

SPIKELIB_API size_t spk_ring_push_n(spk_ring *ring, const void *items, size_t count)
{
    spk_result why;
    if (!ring || !items || ring->status != SPK_OK || count == 0) return 0;
    return spki_ring_push_all(ring, (const unsigned char *)items, count,
                              ring->own->policy == SPK_RING_WAIT ? SPK_FOREVER : SPK_AT_ONCE, &why);
}

SPIKELIB_API size_t spk_ring_pop_n(spk_ring *ring, void *items, size_t count)
{
    if (!ring || !items || ring->status != SPK_OK || count == 0) return 0;
    return spki_ring_take(ring, items, count);
}

SPIKELIB_API size_t spk_ring_discard(spk_ring *ring)
{
    size_t n, all = 0;
    if (!ring || ring->status != SPK_OK) return 0;
    do {
        n = ring->own->mpmc ? spki_mpmc_discard(ring, ring->own->capacity)
                            : spki_spsc_discard(ring, ring->own->capacity);
        spki_ring_add(&ring->control->discarded, n);
        all += n;
    } while (n > 0 && all < ring->own->capacity);
    return all;
}

/* -- without a copy -- */

SPKI_FN void spki_ring_no_span(spk_ring_span *span) { memset(span, 0, sizeof *span); }

SPKI_FN size_t spki_ring_try_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    return ring->own->mpmc ? spki_mpmc_reserve(ring, count, span)
                           : spki_spsc_reserve(ring, count, span);
}

SPIKELIB_API size_t spk_ring_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    size_t n;
    if (!span) return 0;
    spki_ring_no_span(span);
    if (!ring || ring->status != SPK_OK || count == 0 || spki_ring_closed(ring)) return 0;
    n = spki_ring_try_reserve(ring, count, span);
    if (n == 0 && ring->own->policy == SPK_RING_OVERWRITE) {
        const size_t oldest = spki_mpmc_discard(ring, SPKI_MIN(count, ring->own->capacity));
        spki_ring_add(&ring->control->dropped_oldest, oldest);
        n = spki_ring_try_reserve(ring, count, span);
    }
    while (n == 0 && ring->own->policy == SPK_RING_WAIT) {
        if (spk_ring_wait_room(ring, 1, SPK_FOREVER) != SPK_OK) break;
        n = spki_ring_try_reserve(ring, count, span);
    }
    if (n == 0) spki_ring_no_span(span);
    return n;
}

SPIKELIB_API spk_result spk_ring_commit(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    if (!ring || !span) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > span->first_count + span->second_count) return SPK_ERR_RANGE;
    if (span->first_count == 0) return SPK_OK;
    return ring->own->mpmc ? spki_mpmc_commit(ring, span, count)
                           : spki_spsc_commit(ring, span, count);
}

SPIKELIB_API size_t spk_ring_peek(spk_ring *ring, size_t count, spk_ring_span *span)
{
    size_t n;
    if (!span) return 0;
    spki_ring_no_span(span);
    if (!ring || ring->status != SPK_OK || count == 0) return 0;
    n = ring->own->mpmc ? spki_mpmc_peek(ring, count, span) : spki_spsc_peek(ring, count, span);
    if (n == 0) spki_ring_no_span(span);
    return n;
}

SPIKELIB_API spk_result spk_ring_consume(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    if (!ring || !span) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > span->first_count + span->second_count) return SPK_ERR_RANGE;
    if (span->first_count == 0) return SPK_OK;
    return ring->own->mpmc ? spki_mpmc_consume(ring, span, count)
                           : spki_spsc_consume(ring, span, count);
}

#endif
