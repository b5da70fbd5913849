/* ---- >>deliver: from spikes to the accumulators of their targets ---- */
#ifndef SPIKELIB_NET_DELIVER_H
#define SPIKELIB_NET_DELIVER_H

#include "mask.h"
#include "queue.h"

#define SPKI_COPY_MOST 255u /* words of a bucket that is copied */
#define SPKI_COPY_ROW 4u   /* entries of a row whose buckets are: one of few streams by itself */
#define SPKI_AHEAD 10u     /* buckets prefetched ahead: 8 to 12 were equally good on Zen 5 */

/* -- the forms of a synapse and its accumulator -- */

SPKI_INLINE void spki_add_16(int32_t *acc, uint32_t s)
{
    acc[s & 0xffffu] += (int32_t)s >> 16;
}

SPKI_FN void spki_deliver_16(int32_t *acc, const uint32_t *s, uint32_t n)
{
    const uint32_t *const end = s + n, *const eights = s + n / 8 * 8;
    for (; s < eights; s += 8) {
        spki_add_16(acc, s[0]);
        spki_add_16(acc, s[1]);
        spki_add_16(acc, s[2]);
        spki_add_16(acc, s[3]);
        spki_add_16(acc, s[4]);
        spki_add_16(acc, s[5]);
        spki_add_16(acc, s[6]);
        spki_add_16(acc, s[7]);
    }
    for (; s < end; s++) {
        spki_add_16(acc, *s);
    }
}

SPKI_FN void spki_deliver_16_wide(int64_t *acc, const uint32_t *s, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        acc[s[k] & 0xffffu] += (int32_t)s[k] >> 16;
    }
}

SPKI_FN void spki_deliver_32(int64_t *acc, const uint32_t *s, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        acc[s[2 * k]] += (int32_t)s[2 * k + 1];
    }
}

SPKI_INLINE void spki_deliver_bucket(const spk_net *net, spki_tile *tile, const uint32_t *s,
                                     uint32_t n)
{
    if (net->desc.weight_bits == 32) {
        spki_deliver_32((int64_t *)tile->acc, s, n);
    } else if (net->accumulator_bits == 32) {
        spki_deliver_16((int32_t *)tile->acc, s, n);
    } else {
        spki_deliver_16_wide((int64_t *)tile->acc, s, n);
    }
    tile->events += n;
}

/* Two slots a word, one weight. */
SPKI_FN void spki_deliver_narrow(int32_t *acc, const uint32_t *s, uint32_t n, int32_t weight)
{
    const uint32_t *const end = s + n / 2, *const fours = s + n / 8 * 4;
    for (; s < fours; s += 4) {
        acc[s[0] & 0xffffu] += weight;
        acc[s[0] >> 16] += weight;
        acc[s[1] & 0xffffu] += weight;
        acc[s[1] >> 16] += weight;
        acc[s[2] & 0xffffu] += weight;
        acc[s[2] >> 16] += weight;
        acc[s[3] & 0xffffu] += weight;
        acc[s[3] >> 16] += weight;
    }
    for (; s < end; s++) {
        acc[*s & 0xffffu] += weight;
        acc[*s >> 16] += weight;
    }
    if (n % 2) {
        acc[*s & 0xffffu] += weight;
    }
}

/* A bucket whose synapses share a weight. */
SPKI_FN void spki_deliver_shared(const spk_net *net, spki_tile *tile, spki_bucket b)
{
    const uint32_t *s = tile->words + (b.at & ~SPKI_IS_MASK), n = b.count & 0xffffu;
    const int32_t weight = (int16_t)(b.count >> 16);
    const bool masks = (b.at & SPKI_IS_MASK) != 0;
    tile->events += n;
    if (net->accumulator_bits == 64) {
        spki_slots slots;
        spki_slots_open(&slots, s, masks);
        for (uint32_t k = 0; k < n; k++) {
            ((int64_t *)tile->acc)[spki_slots_next(&slots)] += weight;
        }
    } else if (masks) {
        spki_add_mask(net->isa, (int32_t *)tile->acc + (size_t)(*s & 0xffffu) * 32, s + 1,
                      *s >> 16, weight);
    } else {
        spki_deliver_narrow((int32_t *)tile->acc, s, n, weight);
    }
}

/* The bucket at hand. */
SPKI_INLINE spki_bucket spki_row_bucket(const spki_row_reader *row)
{
    spki_bucket b;
    b.at = row->at | (row->masks ? SPKI_IS_MASK : 0);
    b.count = row->count | (uint32_t)row->weight << 16;
    return b;
}

SPKI_INLINE void spki_deliver_where(const spk_net *net, spki_tile *tile, spki_bucket b)
{
    if (b.count >> 16) {
        spki_deliver_shared(net, tile, b);
    } else {
        spki_deliver_bucket(net, tile, tile->words + b.at, b.count);
    }
}

SPKI_INLINE void spki_prefetch_bucket(const spki_tile *tile, spki_bucket b)
{
    const uint32_t *s = tile->words + (b.at & ~SPKI_IS_MASK);
    __builtin_prefetch(s);
    __builtin_prefetch(s + 16);
    __builtin_prefetch(s + 32);
    __builtin_prefetch(s + 48);
}

/* -- arrivals -- */

/* Buckets of a row whose spike was left to the history. */
SPKI_FN void spki_deliver_row(const spk_net *net, spki_tile *tile, uint32_t id, uint32_t delay)
{
    spki_row_reader row;
    spki_row_open(&row, tile, id, spki_synapse_words(net));
    while (spki_row_next(&row)) {
        if (row.delay == delay) {
            spki_deliver_where(net, tile, spki_row_bucket(&row));
        }
    }
}

SPKI_FN void spki_deliver_deferred(const spk_net *net, spki_tile *tile, uint64_t step)
{
    const uint32_t mask = net->ring - 1;
    for (uint32_t delay = 1; delay <= tile->max_delay && delay <= step; delay++) {
        const uint64_t fired = step - delay;
        const uint64_t *row = net->history + (size_t)(fired & mask) * (net->lanes / SPKI_GROUP);
        if (!tile->deferred[fired & mask]) {
            continue;
        }
        for (uint32_t p = 0; p < net->populations; p++) {
            const spki_population *pop = &net->population[p];
            const uint64_t *words = row + pop->lane / SPKI_GROUP;
            for (uint32_t k = 0; k < pop->lanes / SPKI_GROUP; k++) {
                for (uint64_t w = words[k]; w; w &= w - 1) {
                    spki_deliver_row(net, tile, pop->first + k * 64 + (uint32_t)__builtin_ctzll(w),
                                     delay);
                }
            }
        }
    }
    if (step >= tile->max_delay && tile->deferred[(step - tile->max_delay) & mask]) {
        tile->deferred[(step - tile->max_delay) & mask] = 0;
        tile->deferred_count--;
    }
}

/* Copied synapses: they lie in a row but for the ends of batches. */
SPKI_FN void spki_deliver_batches(const spk_net *net, spki_tile *tile, const spki_arrivals *a)
{
    const uint32_t per = spki_synapse_words(net);
    if (a->last_batch == SPKI_NONE) {
        return;
    }
    spki_batch *last = &tile->batch[a->last_batch];
    last->used = (uint32_t)(a->to - last->word);
    for (uint32_t at = a->first_batch; at != SPKI_NONE; at = tile->batch[at].next) {
        const spki_batch *batch = &tile->batch[at];
        if (batch->next != SPKI_NONE) {
            for (uint32_t k = 0; k < 64; k += 16) {
                __builtin_prefetch(tile->batch[batch->next].word + k);
            }
        }
        spki_deliver_bucket(net, tile, batch->word, batch->used / per);
    }
}

/* Buckets where they are; the next ones are on their way from memory. */
SPKI_FN void spki_deliver_chunks(const spk_net *net, spki_tile *tile, const spki_arrivals *a)
{
    if (a->first_chunk == SPKI_NONE) {
        return;
    }
    const spki_chunk *first = &tile->chunk[a->first_chunk];
    for (uint32_t k = 0; k < SPKI_MIN(first->count, SPKI_AHEAD); k++) {
        spki_prefetch_bucket(tile, first->item[k]);
    }
    for (uint32_t at = a->first_chunk; at != SPKI_NONE; at = tile->chunk[at].next) {
        const spki_chunk *c = &tile->chunk[at];
        const spki_chunk *next = c->next != SPKI_NONE ? &tile->chunk[c->next] : NULL;
        for (uint32_t k = 0; k < c->count; k++) {
            const uint32_t ahead = k + SPKI_AHEAD;
            if (ahead < c->count) {
                spki_prefetch_bucket(tile, c->item[ahead]);
            } else if (next && ahead - c->count < next->count) {
                spki_prefetch_bucket(tile, next->item[ahead - c->count]);
            }
            spki_deliver_where(net, tile, c->item[k]);
        }
        tile->chunks_free++;
    }
}

/* All that arrives in `step`. */
SPKI_FN void spki_deliver_step(const spk_net *net, spki_tile *tile, uint64_t step)
{
    spki_arrivals *a = &tile->arrivals[(uint32_t)step & (net->ring - 1)];
    tile->arrived =
        a->last_batch != SPKI_NONE || a->last_chunk != SPKI_NONE || tile->deferred_count != 0;
    spki_deliver_batches(net, tile, a);
    spki_deliver_chunks(net, tile, a);
    spki_close_arrivals(tile, a);
    if (tile->deferred_count) {
        spki_deliver_deferred(net, tile, step);
    }
}

/* -- departures -- */

SPKI_FN void spki_file_narrow(const spk_net *net, spki_tile *tile, uint32_t id, uint64_t step)
{
    spki_row_reader row;
    spki_row_open(&row, tile, id, 1);
    const uint32_t copied = row.left >= SPKI_COPY_ROW && !row.masks ? SPKI_COPY_MOST : 0;
    while (spki_row_next(&row)) {
        spki_arrivals *a = &tile->arrivals[((uint32_t)step + row.delay) & (net->ring - 1)];
        if (row.count &&
            (row.count > copied ||
             !spki_copy_narrow(tile, a, tile->words + row.at, row.count, row.weight))) {
            spki_push_bucket(tile, a, spki_row_bucket(&row));
        }
    }
}

/* Files the buckets of a row under the steps in which they arrive. */
SPKI_INLINE void spki_file_row(const spk_net *net, spki_tile *tile, uint32_t id, uint64_t step,
                               uint32_t count_bytes, uint32_t per)
{
    const uint32_t mask = net->ring - 1, *row = tile->words + tile->row[id];
    const uint32_t entries = row[0];
    if (entries & SPKI_ROW_NARROW) {
        spki_file_narrow(net, tile, id, step);
        return;
    }
    const uint32_t copied = entries >= SPKI_COPY_ROW ? SPKI_COPY_MOST : 0;
    const uint8_t *next = (const uint8_t *)(row + 1);
    uint32_t at = tile->row[id] + spki_row_head(entries, count_bytes, false);
    uint32_t arrival = (uint32_t)step;
    for (uint32_t k = 0; k < entries; k++, next += 2 * count_bytes) {
        const uint32_t count = spki_row_count(next + count_bytes, count_bytes);
        arrival += spki_row_count(next, count_bytes);
        if (count == 0) {
            continue;
        }
        spki_arrivals *a = &tile->arrivals[arrival & mask];
        if (count * per > copied || !spki_copy_bucket(tile, a, tile->words + at, count * per)) {
            spki_bucket bucket;
            bucket.at = at;
            bucket.count = count;
            spki_push_bucket(tile, a, bucket);
        }
        at += count * per;
    }
}

SPKI_FN void spki_file_spikes(const spk_net *net, spki_tile *tile, const uint32_t *id, uint32_t n,
                              uint64_t step)
{
    const uint32_t per = spki_synapse_words(net);
    for (uint32_t k = 0; k < n; k++) {
        if (tile->count_bytes == 1 && per == 1) {
            spki_file_row(net, tile, id[k], step, 1, 1);
        } else {
            spki_file_row(net, tile, id[k], step, tile->count_bytes, per);
        }
    }
}

/* Buckets of these spikes, at most; reading them also brings their headers near. */
SPKI_FN uint64_t spki_count_buckets(const spki_tile *tile, const uint32_t *id, uint32_t n)
{
    uint64_t entries = 0;
    for (uint32_t from = 0; from < n; from += 32) {
        const uint32_t end = SPKI_MIN(n, from + 32);
        for (uint32_t k = from; k < end; k++) { /* all at once: a row's header is a few lines */
            const uint32_t *row = tile->words + tile->row[id[k]];
            __builtin_prefetch(row);
            __builtin_prefetch(row + 16);
            __builtin_prefetch(row + 32);
            __builtin_prefetch(row + 48);
        }
        for (uint32_t k = from; k < end; k++) {
            entries += tile->words[tile->row[id[k]]] & SPKI_ROW_ENTRIES;
        }
    }
    return entries;
}

/* Files a whole slice of everybody's spikes for one tile. A step whose buckets might not all fit
   (each step may begin a chunk) is left to the history altogether. */
SPKI_FN void spki_file_slice(spk_net *net, spki_tile *tile, const spki_slice *slice)
{
    const uint32_t mask = net->ring - 1, parity = slice->parity;
    for (uint32_t s = 0; tile->synapses && s < slice->steps; s++) {
        const uint64_t step = slice->first + s;
        uint64_t buckets = 0;
        for (uint32_t t = 0; t < net->tiles; t++) {
            const spki_tile *from = &net->tile[t];
            const uint32_t at = from->spike_start[parity][s];
            buckets += spki_count_buckets(tile, from->spike[parity] + at,
                                          from->spike_start[parity][s + 1] - at);
        }
        if (SPKI_MIN(buckets, buckets / SPKI_CHUNK_ITEMS + tile->max_delay + 1) >
            tile->chunks_free) {
            tile->deferred[step & mask] = 1;
            tile->deferred_count++;
            continue;
        }
        for (uint32_t t = 0; t < net->tiles; t++) {
            const spki_tile *from = &net->tile[t];
            const uint32_t at = from->spike_start[parity][s];
            spki_file_spikes(net, tile, from->spike[parity] + at,
                             from->spike_start[parity][s + 1] - at, step);
        }
    }
}

#endif
