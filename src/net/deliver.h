/* ---- >>deliver: from spikes to the accumulators of their targets ---- */
#ifndef SPIKELIB_NET_DELIVER_H
#define SPIKELIB_NET_DELIVER_H

#include "net.h"

#define SPKI_NO_CHUNK UINT32_MAX
#define SPKI_AHEAD 10u /* buckets prefetched ahead: 8 to 12 were equally good on Zen 5 */

/* -- the three forms of a synapse and its accumulator -- */

SPKI_FN void spki_deliver_16(int32_t *acc, const uint32_t *s, uint32_t n)
{
    uint32_t k = 0;
    for (; k + 8 <= n; k += 8) {
        const uint32_t a = s[k], b = s[k + 1], c = s[k + 2], d = s[k + 3];
        const uint32_t e = s[k + 4], f = s[k + 5], g = s[k + 6], h = s[k + 7];
        acc[a & 0xffffu] += (int32_t)a >> 16;
        acc[b & 0xffffu] += (int32_t)b >> 16;
        acc[c & 0xffffu] += (int32_t)c >> 16;
        acc[d & 0xffffu] += (int32_t)d >> 16;
        acc[e & 0xffffu] += (int32_t)e >> 16;
        acc[f & 0xffffu] += (int32_t)f >> 16;
        acc[g & 0xffffu] += (int32_t)g >> 16;
        acc[h & 0xffffu] += (int32_t)h >> 16;
    }
    for (; k < n; k++) {
        acc[s[k] & 0xffffu] += (int32_t)s[k] >> 16;
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

SPKI_INLINE void spki_prefetch_bucket(const spki_tile *tile, spki_bucket b)
{
    const uint32_t *s = tile->words + b.at;
    __builtin_prefetch(s);
    __builtin_prefetch(s + 16);
    __builtin_prefetch(s + 32);
    __builtin_prefetch(s + 48);
}

/* -- arrivals -- */

/* Buckets of a row whose spikes did not fit into the chunks: found again in the history. */
SPKI_FN void spki_deliver_row(const spk_net *net, spki_tile *tile, uint32_t id, uint32_t delay)
{
    const uint32_t *row = tile->words + tile->row[id];
    const uint32_t buckets = row[0], per = net->desc.weight_bits == 32 ? 2 : 1;
    const uint32_t *s = row + 1 + buckets;
    for (uint32_t k = 0; k < buckets; k++) {
        const uint32_t d = row[1 + k] >> 20, n = row[1 + k] & SPKI_MAX_BUCKET;
        if (d == delay) {
            spki_deliver_bucket(net, tile, s, n);
        }
        s += (size_t)n * per;
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

/* All that arrives in `step`, bucket by bucket; the next ones are on their way from memory. */
SPKI_FN void spki_deliver_step(const spk_net *net, spki_tile *tile, uint64_t step)
{
    const uint32_t slot = (uint32_t)step & (net->ring - 1);
    uint32_t at = tile->head[slot], last = SPKI_NO_CHUNK;
    if (at != SPKI_NO_CHUNK) {
        const spki_chunk *first = &tile->chunk[at];
        for (uint32_t k = 0; k < SPKI_MIN(first->count, SPKI_AHEAD); k++) {
            spki_prefetch_bucket(tile, first->item[k]);
        }
    }
    while (at != SPKI_NO_CHUNK) {
        const spki_chunk *c = &tile->chunk[at];
        const spki_chunk *next = c->next != SPKI_NO_CHUNK ? &tile->chunk[c->next] : NULL;
        for (uint32_t k = 0; k < c->count; k++) {
            const uint32_t ahead = k + SPKI_AHEAD;
            if (ahead < c->count) {
                spki_prefetch_bucket(tile, c->item[ahead]);
            } else if (next && ahead - c->count < next->count) {
                spki_prefetch_bucket(tile, next->item[ahead - c->count]);
            }
            spki_deliver_bucket(net, tile, tile->words + c->item[k].at, c->item[k].count);
        }
        tile->chunks_free++;
        last = at;
        at = c->next;
    }
    if (last != SPKI_NO_CHUNK) {
        tile->chunk[last].next = tile->free_chunk;
        tile->free_chunk = tile->head[slot];
        tile->head[slot] = tile->tail[slot] = SPKI_NO_CHUNK;
    }
    if (tile->deferred_count) {
        spki_deliver_deferred(net, tile, step);
    }
}

/* -- departures -- */

SPKI_FN void spki_push_bucket(spki_tile *tile, uint32_t slot, uint32_t at, uint32_t count)
{
    uint32_t k = tile->tail[slot];
    if (k == SPKI_NO_CHUNK || tile->chunk[k].count == SPKI_CHUNK_ITEMS) {
        const uint32_t fresh = tile->free_chunk;
        tile->free_chunk = tile->chunk[fresh].next;
        tile->chunks_free--;
        tile->chunk[fresh].next = SPKI_NO_CHUNK;
        tile->chunk[fresh].count = 0;
        if (k == SPKI_NO_CHUNK) {
            tile->head[slot] = fresh;
        } else {
            tile->chunk[k].next = fresh;
        }
        tile->tail[slot] = k = fresh;
    }
    spki_bucket *item = &tile->chunk[k].item[tile->chunk[k].count++];
    item->at = at;
    item->count = count;
}

/* Files the buckets of spikes of one step under the steps in which they arrive. */
SPKI_FN void spki_file_spikes(const spk_net *net, spki_tile *tile, const uint32_t *id, uint32_t n,
                              uint64_t step)
{
    const uint32_t mask = net->ring - 1, per = net->desc.weight_bits == 32 ? 2 : 1;
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t start = tile->row[id[k]];
        const uint32_t *row = tile->words + start;
        const uint32_t buckets = row[0];
        uint32_t at = start + 1 + buckets;
        for (uint32_t j = 0; j < buckets; j++) {
            const uint32_t header = row[1 + j], count = header & SPKI_MAX_BUCKET;
            spki_push_bucket(tile, (uint32_t)(step + (header >> 20)) & mask, at, count);
            at += count * per;
        }
    }
}

/* Buckets of these spikes; reading them also brings their headers near. */
SPKI_FN uint64_t spki_count_buckets(const spki_tile *tile, const uint32_t *id, uint32_t n)
{
    uint64_t buckets = 0;
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
            buckets += tile->words[tile->row[id[k]]];
        }
    }
    return buckets;
}

/* Files a whole slice of everybody's spikes for one tile. A step whose buckets might not fit into
   the free chunks (each arrival step may open one) is left to the history altogether. */
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
