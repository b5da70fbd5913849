/* ---- >>ring-life: making, attaching and ending rings ---- */
#ifndef SPIKELIB_RING_RING_H
#define SPIKELIB_RING_RING_H

#include "map.h"
#include "policy.h"

/* -- descriptors -- */

/* A clause that says what is wrong, and its result; NULL if nothing is. */
SPKI_FN const char *spki_ring_wrong(const spk_ring_desc *d, spk_result *result)
{
    *result = SPK_ERR_UNINITIALISED;
    if (d->begin_sentinel || d->end_sentinel)
        return "the descriptor's sentinels are not 0: start it with = {0}";
    *result = SPK_ERR_RANGE;
    if ((uint32_t)d->kind > SPK_RING_MPMC) return "kind is neither SPK_RING_SPSC nor SPK_RING_MPMC";
    if ((uint32_t)d->policy > SPK_RING_SAMPLE) return "policy is none of the five";
    if (d->item_size > SPKI_RING_ITEM) return "item_size is more than 65,536 bytes";
    if (d->capacity > SPKI_RING_CAPACITY) return "capacity is more than 2^30 items";
    if (d->spin_us != d->spin_us || d->spin_us > 1e9) return "spin_us is NaN or more than 1e9";
    if (d->memory_size > 0 && !d->memory) return "memory_size without memory";
    if (d->memory && ((uintptr_t)d->memory & 63) != 0) return "memory is not 64-byte aligned";
    if (d->path && !d->shared) return "path is for rings that are shared";
    if (d->path && d->memory) return "either path or memory, not both";
    if (d->shared && !d->path && !d->memory) return "a shared ring needs a path, or memory";
    *result = SPK_OK;
    return NULL;
}

SPIKELIB_API spk_result spk_ring_desc_defaults(spk_ring_desc *desc)
{
    spk_result result = SPK_ERR_NULL;
    if (!desc || spki_ring_wrong(desc, &result)) return result;
    if (desc->item_size == 0) desc->item_size = 16;
    if (desc->capacity == 0) desc->capacity = 65536;
    if (desc->spin_us == 0.0) desc->spin_us = 20.0;
    return SPK_OK;
}

SPKI_FN bool spki_ring_is_mpmc(const spk_ring_desc *d)
{
    return d->kind == SPK_RING_MPMC || d->policy == SPK_RING_OVERWRITE;
}

/* Where the parts lie, from the start of the control block. */
typedef struct spki_ring_plan {
    uint64_t slots, state_offset, items_offset, bytes;
} spki_ring_plan;

/* A ring that overwrites has twice the slots, so that a
   consumer that is still reading does not hold up the producer until a whole capacity later. */
SPKI_FN spki_ring_plan spki_ring_lay_out(const spk_ring_desc *d)
{
    spki_ring_plan plan;
    const bool mpmc = spki_ring_is_mpmc(d);
    uint64_t slots = 1, end = sizeof(spki_ring_control);
    while (slots < d->capacity) slots *= 2;
    if (d->policy == SPK_RING_OVERWRITE) slots *= 2;
    if (d->shared && mpmc) end += sizeof(spki_ring_parties);
    plan.slots = slots;
    plan.state_offset = end;
    if (mpmc) end += 2 * SPKI_MAX(slots, (uint64_t)128); /* in lines of their own */
    plan.items_offset = (end + 127) & ~UINT64_C(127);
    plan.bytes = plan.items_offset + slots * d->item_size;
    plan.bytes = (plan.bytes + 63) & ~UINT64_C(63);
    return plan;
}

/* The handle in front of a ring that is not shared, and what aligns the ring behind it. */
#define SPKI_RING_FRONT ((sizeof(spki_ring_handle) + 127) / 128 * 128 + 64)

SPIKELIB_API size_t spk_ring_bytes(const spk_ring_desc *desc)
{
    spk_ring_desc d;
    spki_ring_plan plan;
    uint64_t bytes;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    if (d.shared && !d.path && !d.memory) d.path = ""; /* to be asked before there is memory */
    if (spk_ring_desc_defaults(&d) != SPK_OK) return 0;
    plan = spki_ring_lay_out(&d);
    bytes = plan.bytes + (d.shared ? 0 : SPKI_RING_FRONT);
    return bytes > PTRDIFF_MAX ? 0 : (size_t)bytes;
}

/* -- making one -- */

/* All of a handle's calls say `result` from now on. The control block behind it is as good as
   full and empty at once, so that the inline functions ask. */
SPKI_FN spk_ring *spki_ring_fail(spki_ring_handle *h, spk_result result, const char *what,
                                 const char *why)
{
    spki_ring_leave(&h->ring);
    spki_unmap(h->own.mapping, h->own.mapping_bytes);
    h->own.mapping = NULL;
    h->ring.control = (spki_ring_control *)(void *)((char *)h + SPKI_RING_FRONT);
    memset(h->ring.control, 0, sizeof *h->ring.control);
    h->ring.status = result;
    h->own.capacity = 0;
    snprintf(h->own.error, sizeof h->own.error, "%s: %s", what, why);
    return &h->ring;
}

/* A handle with room for a control block behind it. */
SPKI_FN spki_ring_handle *spki_ring_new_handle(const spk_ring_desc *d, size_t bytes)
{
    spki_mem mem;
    spki_ring_handle *h;
    spki_mem_init(&mem, &d->allocator, 0);
    h = (spki_ring_handle *)spki_alloc_raw(&mem, 1, bytes);
    if (!h) return NULL;
    memset(h, 0, sizeof *h);
    h->own.mem = mem;
    h->own.block = h;
    h->ring.own = &h->own;
    h->own.block_bytes = bytes;
    return h;
}

SPKI_FN void spki_ring_point(spki_ring_handle *h, spki_ring_control *c)
{
    spk_ring *ring = &h->ring;
    ring->control = c;
    ring->own = &h->own;
    ring->items = (unsigned char *)c + c->items_offset;
    ring->mask = (size_t)c->slots - 1;
    ring->shift = (uint32_t)__builtin_ctzll((unsigned long long)c->slots);
    ring->filled = (unsigned char *)c + c->state_offset;
    ring->freed = ring->filled + SPKI_MAX((size_t)c->slots, (size_t)128);
    ring->item_size = c->item_size;
    ring->fence = c->fence;
    h->own.mpmc = c->kind == SPK_RING_MPMC || c->policy == SPK_RING_OVERWRITE;
    h->own.policy = (spk_ring_policy)c->policy;
    h->own.capacity = (size_t)c->capacity;
    h->own.patience = spki_ring_patience();
    if (c->capacity < 256) h->own.patience = h->own.patience * c->capacity / 256;
    spki_ring_lot_init(&h->own.items_lot);
    spki_ring_lot_init(&h->own.room_lot);
}

/* All positions begin here; tests begin just before a wrap. */
SPKI_FN void spki_ring_start_at(spk_ring *ring, uint64_t position)
{
    spki_ring_control *c = ring->control;
    c->start = position;
    if (!ring->own->mpmc) {
        c->tail = c->head = c->head_seen = c->tail_seen = (size_t)position;
        c->tail_own = c->head_own = (size_t)position;
        return;
    }
    c->mpmc_tail = c->mpmc_head = c->free.seen = c->filled.seen = position;
    spki_mpmc_mark(ring, position, (size_t)c->slots, SPKI_MPMC_FREE);
    spki_mpmc_mark(ring, position - c->slots, (size_t)c->slots, SPKI_MPMC_FULL);
}

/* Of a ring that is not shared, or is not yet. */
SPKI_FN void spki_ring_format(spki_ring_handle *h, spki_ring_control *c, const spk_ring_desc *d,
                              const spki_ring_plan *plan)
{
    size_t half = d->capacity - d->capacity / 2;
    memset(c, 0, sizeof *c);
    c->layout = SPKI_RING_LAYOUT;
    c->word_bytes = (uint32_t)sizeof(size_t);
    c->kind = (uint32_t)d->kind;
    c->policy = (uint32_t)d->policy;
    c->item_size = d->item_size;
    c->state_offset = (uint32_t)plan->state_offset;
    c->capacity = d->capacity;
    c->slots = plan->slots;
    c->bytes = plan->bytes;
    c->items_offset = plan->items_offset;
    c->spin_us = d->spin_us;
    c->fence = spki_ring_register(d->shared) ? 0 : 1;
    spki_ring_point(h, c);
    if (!h->own.mpmc) c->limit = d->policy == SPK_RING_SAMPLE ? half : d->capacity;
    spki_ring_start_at(&h->ring, 0);
}

SPKI_FN spk_ring *spki_ring_create_shared(spki_ring_handle *h, const spk_ring_desc *d,
                                          const spki_ring_plan *plan)
{
    spki_ring_control *c = (spki_ring_control *)d->memory;
    h->own.shared = true;
    if (d->path) {
        h->own.mapping_bytes = (size_t)plan->bytes;
        h->own.mapping = spki_map_file(d->path, true, &h->own.mapping_bytes);
        c = (spki_ring_control *)h->own.mapping;
        if (!c) return spki_ring_fail(h, SPK_ERR_IO, d->path, "cannot be created and mapped");
    }
    spki_ring_format(h, c, d, plan);
    if (h->own.mpmc && !spki_ring_parties_init(&h->ring))
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, "ring",
                              "this system has no robust mutexes for a shared MPMC ring");
    if (h->own.mpmc && spki_ring_join(&h->ring) != SPK_OK)
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, "ring", "a robust mutex was refused");
    c->magic = SPKI_RING_MAGIC;
    __atomic_store_n(&c->ready, 1, __ATOMIC_RELEASE);
    return &h->ring;
}

SPIKELIB_API spk_ring *spk_ring_create(const spk_ring_desc *desc)
{
    spk_ring_desc d;
    spki_ring_plan plan;
    spki_ring_handle *h;
    const char *wrong;
    spk_result result;
    size_t bytes;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    wrong = spki_ring_wrong(&d, &result);
    if (!wrong && d.shared && !spki_can_share()) {
        wrong = "shared rings are not supported on this system";
        result = SPK_ERR_UNSUPPORTED;
    }
    if (result == SPK_OK && d.memory && d.memory_size < spk_ring_bytes(&d)) {
        wrong = "memory_size is less than spk_ring_bytes";
        result = SPK_ERR_RANGE;
    }
    bytes = SPKI_RING_FRONT + sizeof(spki_ring_control);
    if (wrong || d.shared) {
        h = spki_ring_new_handle(&d, bytes);
        if (!h) return NULL;
        if (wrong) return spki_ring_fail(h, result, "ring", wrong);
        (void)spk_ring_desc_defaults(&d);
        plan = spki_ring_lay_out(&d);
        return spki_ring_create_shared(h, &d, &plan);
    }
    (void)spk_ring_desc_defaults(&d);
    plan = spki_ring_lay_out(&d);
    if (d.memory) {
        h = (spki_ring_handle *)d.memory;
        memset(h, 0, sizeof *h);
    } else {
        bytes = spk_ring_bytes(&d);
        h = bytes == 0 ? NULL : spki_ring_new_handle(&d, bytes);
        if (!h) return NULL;
    }
    /* Pairs of cache lines: see spki_ring_control. */
    spki_ring_format(h, (spki_ring_control *)(((uintptr_t)h + SPKI_RING_FRONT) & ~(uintptr_t)127),
                     &d, &plan);
    return &h->ring;
}

/* -- attaching -- */

/* A clause, or NULL; the memory may hold anything. */
SPKI_FN const char *spki_ring_alien(const spki_ring_control *c, size_t bytes,
                                    const spk_ring_desc *d)
{
    spk_ring_desc is;
    spki_ring_plan plan;
    spk_result result;
    if (bytes < sizeof *c) return "too small to hold a ring";
    if (__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) != 1 || c->magic != SPKI_RING_MAGIC)
        return "holds no ring, or one that is still being created";
    if (c->layout != SPKI_RING_LAYOUT || c->word_bytes != sizeof(size_t))
        return "holds a ring of another version of spikelib, or of another word size";
    memset(&is, 0, sizeof is);
    is.kind = (spk_ring_kind)c->kind;
    is.policy = (spk_ring_policy)c->policy;
    is.item_size = c->item_size;
    is.capacity = (size_t)c->capacity;
    is.shared = true;
    is.path = "";
    if (spki_ring_wrong(&is, &result) || is.item_size == 0 || is.capacity == 0)
        return "holds a damaged ring";
    plan = spki_ring_lay_out(&is);
    if (plan.slots != c->slots || plan.bytes != c->bytes || plan.state_offset != c->state_offset ||
        plan.items_offset != c->items_offset || plan.bytes > bytes)
        return "holds a damaged ring, or is shorter than the ring";
    if (d->kind != SPK_RING_SPSC && d->kind != is.kind) return "kind differs from the ring's";
    if (d->policy != SPK_RING_REFUSE && d->policy != is.policy)
        return "policy differs from the ring's";
    if (d->item_size && d->item_size != is.item_size) return "item_size differs from the ring's";
    if (d->capacity && d->capacity != is.capacity) return "capacity differs from the ring's";
    return NULL;
}

SPIKELIB_API spk_ring *spk_ring_attach(const spk_ring_desc *desc)
{
    spk_ring_desc d;
    spki_ring_handle *h;
    spki_ring_control *c;
    const char *wrong, *name;
    spk_result result;
    size_t bytes;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    h = spki_ring_new_handle(&d, SPKI_RING_FRONT + sizeof(spki_ring_control));
    if (!h) return NULL;
    wrong = spki_ring_wrong(&d, &result);
    if (wrong) return spki_ring_fail(h, result, "attach", wrong);
    if (!d.shared) return spki_ring_fail(h, SPK_ERR_RANGE, "attach", "shared is not set");
    if (!spki_can_share())
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, "attach", "not supported on this system");
    name = d.path ? d.path : "attach: memory";
    c = (spki_ring_control *)d.memory;
    bytes = d.memory_size;
    if (d.path) {
        h->own.mapping = spki_map_file(d.path, false, &h->own.mapping_bytes);
        c = (spki_ring_control *)h->own.mapping;
        bytes = h->own.mapping_bytes;
        if (!c) return spki_ring_fail(h, SPK_ERR_IO, name, "cannot be opened and mapped");
    }
    wrong = spki_ring_alien(c, bytes, &d);
    if (wrong) return spki_ring_fail(h, SPK_ERR_FORMAT, name, wrong);
    if (!spki_ring_register(true) && !c->fence)
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, name,
                              "this process may not use membarrier, which the ring's creator uses");
    h->own.shared = true;
    spki_ring_point(h, c);
    if (h->own.mpmc) {
        result = spki_ring_join(&h->ring);
        if (result == SPK_ERR_FULL)
            return spki_ring_fail(h, result, name, "64 handles are attached already");
        if (result != SPK_OK)
            return spki_ring_fail(h, result, name, "a robust mutex was refused");
    }
    spki_ring_recover(&h->ring);
    return &h->ring;
}

SPIKELIB_API void spk_ring_destroy(spk_ring *ring)
{
    spki_ring_handle *h = (spki_ring_handle *)ring;
    spki_mem mem;
    if (!h) return;
    if (ring->status == SPK_OK) {
        spki_ring_leave(ring);
        spki_ring_lot_free(&h->own.items_lot);
        spki_ring_lot_free(&h->own.room_lot);
        spki_unmap(h->own.mapping, h->own.mapping_bytes);
    }
    mem = h->own.mem;
    if (h->own.block) spki_free(&mem, h->own.block, 1, h->own.block_bytes);
}

/* -- what there is to know -- */

SPIKELIB_API spk_result spk_ring_status(const spk_ring *ring)
{
    return ring ? ring->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_ring_error(const spk_ring *ring)
{
    return ring ? ((const spki_ring_handle *)ring)->own.error : "ring: NULL";
}

SPIKELIB_API size_t spk_ring_count(const spk_ring *ring)
{
    return ring && ring->status == SPK_OK ? spki_ring_used(ring) : 0;
}

SPIKELIB_API size_t spk_ring_capacity(const spk_ring *ring)
{
    return ring && ring->status == SPK_OK ? ring->own->capacity : 0;
}

/* Gaps are in both counts once consumers have passed them, and in neither's meaning. */
SPIKELIB_API spk_result spk_ring_get_info(const spk_ring *ring, spk_ring_info *info)
{
    const spki_ring_control *c;
    uint64_t head, tail, not_popped;
    if (!ring || !info) return SPK_ERR_NULL;
    memset(info, 0, sizeof *info);
    if (ring->status != SPK_OK) return ring->status;
    c = ring->control;
    if (ring->own->mpmc) {
        head = __atomic_load_n(&c->mpmc_head, __ATOMIC_ACQUIRE) - c->start;
        tail = __atomic_load_n(&c->mpmc_tail, __ATOMIC_ACQUIRE) - c->start;
    } else {
        head = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE) - (size_t)c->start;
        tail = __atomic_load_n(&c->tail, __ATOMIC_ACQUIRE) - (size_t)c->start;
    }
    info->dropped_oldest = spki_ring_load(&c->dropped_oldest);
    info->dropped_newest = spki_ring_load(&c->dropped_newest);
    info->sampled_out = spki_ring_load(&c->sampled_out);
    info->discarded = spki_ring_load(&c->discarded);
    info->lost = spki_ring_load(&c->lost);
    info->refused = spki_ring_load(&c->refused);
    info->sleeps = spki_ring_load(&c->sleeps);
    info->wakes = spki_ring_load(&c->wakes);
    info->recovered = spki_ring_load(&c->recovered);
    not_popped = spki_ring_load(&c->gaps_passed) + info->dropped_oldest + info->discarded +
                 spki_ring_load(&c->lost_popped);
    info->pushed = tail - spki_ring_load(&c->gaps);
    info->popped = head > not_popped ? head - not_popped : 0;
    info->count = spki_ring_used(ring);
    info->capacity = ring->own->capacity;
    info->slots = (size_t)c->slots;
    info->item_size = ring->item_size;
    info->bytes = (size_t)c->bytes;
    info->kind = (spk_ring_kind)c->kind;
    info->policy = (spk_ring_policy)c->policy;
    info->closed = spki_ring_closed(ring);
    info->shared = ring->own->shared;
    return SPK_OK;
}

#endif
