/* ---- >>queue: synapses and buckets on their way to a tile ----
   A spike is filed under the steps in which it arrives. Short buckets are copied: a row is then
   read once from end to end, which is what memory is fast at, and what arrives in a step lies in a
   row. Long buckets are filed by reference. Neither allocates: where the room runs out, a step is
   marked, and its spikes are found again in the history when they arrive. */
#ifndef SPIKELIB_NET_QUEUE_H
#define SPIKELIB_NET_QUEUE_H

#include "row.h"

#define SPKI_NONE UINT32_MAX

/* Empties the queue. */
SPKI_FN void spki_queue_clear(const spk_net *net, spki_tile *tile)
{
    for (uint32_t k = 0; k < tile->batches; k++) {
        tile->batch[k].next = k + 1 < tile->batches ? k + 1 : SPKI_NONE;
    }
    for (uint32_t k = 0; k < tile->chunks; k++) {
        tile->chunk[k].next = k + 1 < tile->chunks ? k + 1 : SPKI_NONE;
    }
    for (uint32_t k = 0; k < net->ring; k++) {
        spki_arrivals *a = &tile->arrivals[k];
        a->to = a->end = NULL;
        a->first_batch = a->last_batch = a->first_chunk = a->last_chunk = SPKI_NONE;
    }
    tile->free_batch = tile->free_chunk = 0;
    tile->chunks_free = tile->chunks;
}

/* Leaves all spikes that are on their way to the history. */
SPKI_FN void spki_recall_spikes(spk_net *net)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        const uint64_t reach = tile->synapses ? tile->max_delay : 0;
        const uint64_t steps = SPKI_MIN(reach, net->step);
        spki_queue_clear(net, tile);
        memset(tile->deferred, 0, net->ring);
        tile->deferred_count = (uint32_t)steps;
        for (uint64_t age = 1; age <= steps; age++) {
            tile->deferred[(net->step - age) & (net->ring - 1)] = 1;
        }
    }
}

/* Room for `words` more; false: all batches are taken. */
SPKI_FN bool spki_open_batch(spki_tile *tile, spki_arrivals *a)
{
    const uint32_t k = tile->free_batch;
    if (k == SPKI_NONE) {
        return false;
    }
    tile->free_batch = tile->batch[k].next;
    tile->batch[k].next = SPKI_NONE;
    if (a->last_batch == SPKI_NONE) {
        a->first_batch = k;
    } else {
        spki_batch *last = &tile->batch[a->last_batch];
        last->used = (uint32_t)(a->to - last->word);
        last->next = k;
    }
    a->last_batch = k;
    a->to = tile->batch[k].word;
    a->end = a->to + SPKI_BATCH_WORDS;
    return true;
}

/* Copies a bucket; false: no room. */
SPKI_INLINE bool spki_copy_bucket(spki_tile *tile, spki_arrivals *a, const uint32_t *from,
                                  uint32_t words)
{
    if ((size_t)(a->end - a->to) < words && !spki_open_batch(tile, a)) {
        return false;
    }
    uint32_t *to = a->to;
    a->to = to + words;
    uint32_t done = 0;
    do {
        memcpy(to + done, from + done, SPKI_COPIED * sizeof *to);
        done += SPKI_COPIED;
    } while (done < words);
    return true;
}

/* Copies a narrow bucket as one that is not; false: no room. */
SPKI_INLINE bool spki_copy_narrow(spki_tile *tile, spki_arrivals *a, const uint32_t *from,
                                  uint32_t count, int32_t weight)
{
    if ((size_t)(a->end - a->to) < count && !spki_open_batch(tile, a)) {
        return false;
    }
    const uint32_t high = (uint32_t)weight << 16;
    uint32_t *to = a->to;
    a->to = to + count;
    for (uint32_t k = 0; k < count; k += SPKI_COPIED, from += SPKI_COPIED / 2) {
        for (uint32_t j = 0; j < SPKI_COPIED / 2; j++) {
            to[k + 2 * j] = (from[j] & 0xffffu) | high;
            to[k + 2 * j + 1] = from[j] >> 16 | high;
        }
    }
    return true;
}

/* Files a bucket by reference; the caller has seen to it that there is room. */
SPKI_FN void spki_push_bucket(spki_tile *tile, spki_arrivals *a, spki_bucket bucket)
{
    uint32_t k = a->last_chunk;
    if (k == SPKI_NONE || tile->chunk[k].count == SPKI_CHUNK_ITEMS) {
        const uint32_t fresh = tile->free_chunk;
        tile->free_chunk = tile->chunk[fresh].next;
        tile->chunks_free--;
        tile->chunk[fresh].next = SPKI_NONE;
        tile->chunk[fresh].count = 0;
        if (k == SPKI_NONE) {
            a->first_chunk = fresh;
        } else {
            tile->chunk[k].next = fresh;
        }
        a->last_chunk = k = fresh;
    }
    tile->chunk[k].item[tile->chunk[k].count++] = bucket;
}

/* Gives back what has been delivered. */
SPKI_FN void spki_close_arrivals(spki_tile *tile, spki_arrivals *a)
{
    if (a->last_batch != SPKI_NONE) {
        tile->batch[a->last_batch].next = tile->free_batch;
        tile->free_batch = a->first_batch;
        a->first_batch = a->last_batch = SPKI_NONE;
        a->to = a->end = NULL;
    }
    if (a->last_chunk != SPKI_NONE) {
        tile->chunk[a->last_chunk].next = tile->free_chunk;
        tile->free_chunk = a->first_chunk;
        a->first_chunk = a->last_chunk = SPKI_NONE;
    }
}

/* -- memory -- */

SPKI_FN void spki_queue_free(spk_net *net, spki_tile *tile)
{
    spki_free(&net->mem, tile->batch, tile->batches, sizeof *tile->batch);
    spki_free(&net->mem, tile->chunk, tile->chunks, sizeof *tile->chunk);
    spki_free(&net->mem, tile->arrivals, net->ring, sizeof *tile->arrivals);
    spki_free(&net->mem, tile->deferred, net->ring, 1);
}

/* Copied synapses get room for a 32nd of all, as if so many neurons had just spiked, 8 MB at most;
   references for half of all buckets, or an eighth where that is a lot. Nothing of it is written to
   yet: see spki_place_task. */
SPKI_FN spk_result spki_queue_create(spk_net *net, spki_tile *tile)
{
    spki_mem *mem = &net->mem;
    const uint64_t copied = tile->words_used / SPKI_BATCH_WORDS / 32;
    const uint64_t half = tile->buckets / (2 * SPKI_CHUNK_ITEMS), few = 131072; /* 16 MB */
    const uint64_t most = SPKI_MAX(SPKI_MIN(half, few), half / 16) + 2 * (uint64_t)net->ring + 8;
    tile->batches = (uint32_t)SPKI_MIN(SPKI_MAX(copied, (uint64_t)64), (uint64_t)4096);
    tile->chunks = (uint32_t)SPKI_MIN(most, (uint64_t)0x7fffffff);
    tile->batch = (spki_batch *)spki_alloc_raw(mem, tile->batches, sizeof *tile->batch);
    tile->chunk = (spki_chunk *)spki_alloc_raw(mem, tile->chunks, sizeof *tile->chunk);
    tile->arrivals = (spki_arrivals *)spki_alloc_raw(mem, net->ring, sizeof *tile->arrivals);
    tile->deferred = (uint8_t *)spki_alloc_raw(mem, net->ring, 1);
    if (!tile->batch || !tile->chunk || !tile->arrivals || !tile->deferred) {
        return spki_no_memory(net, "spikes on their way");
    }
    return SPK_OK;
}

#endif
