/* ---- >>row: how a tile stores the synapses of one source ----
   A row is

       the number of its entries                   1 word; a source without synapses has row 0
       an entry for each delay that occurs:        two counts of count_bytes each,
           steps since the delay of the entry before (from 0), and synapses;
           an entry of no synapses lengthens a step, one of no steps the entry before it
       padding to a whole word
       the synapses in order of their delay: slot | weight << 16, or two words

   The synapses of an entry are a bucket: they arrive together. */
#ifndef SPIKELIB_NET_ROW_H
#define SPIKELIB_NET_ROW_H

#include "net.h"

/* Words of a synapse. */
SPKI_INLINE uint32_t spki_synapse_words(const spk_net *net)
{
    return net->desc.weight_bits == 32 ? 2 : 1;
}

SPKI_INLINE uint32_t spki_row_count(const uint8_t *at, uint32_t count_bytes)
{
    return count_bytes == 1 ? at[0] : (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

/* Words before the synapses of a row of so many entries. */
SPKI_INLINE uint32_t spki_row_head(uint32_t entries, uint32_t count_bytes)
{
    return 1 + (entries * 2 * count_bytes + 3) / 4;
}

/* Walks over the buckets of a row. */
typedef struct spki_row_reader {
    const uint8_t *next;
    uint32_t left, count_bytes, words; /* entries; per count; per synapse */
    uint32_t delay, at, count;         /* of the bucket at hand; `at` in the tile's words */
} spki_row_reader;

SPKI_INLINE void spki_row_open(spki_row_reader *r, const spki_tile *tile, uint32_t id,
                               uint32_t words)
{
    const uint32_t start = tile->row[id];
    r->left = tile->words[start];
    r->next = (const uint8_t *)(tile->words + start + 1);
    r->count_bytes = tile->count_bytes;
    r->words = words;
    r->delay = r->count = 0;
    r->at = start + spki_row_head(r->left, r->count_bytes);
}

SPKI_INLINE bool spki_row_next(spki_row_reader *r)
{
    if (r->left == 0) {
        return false;
    }
    r->left--;
    r->at += r->count * r->words;
    r->delay += spki_row_count(r->next, r->count_bytes);
    r->count = spki_row_count(r->next + r->count_bytes, r->count_bytes);
    r->next += 2 * r->count_bytes;
    return true;
}

/* -- writing -- */

/* Counts the synapses of a row by delay. */
SPKI_FN void spki_count_delays(const spki_edges *e, uint32_t *count, uint32_t *first,
                               uint32_t *last)
{
    *first = UINT32_MAX;
    *last = 0;
    for (uint32_t k = 0; k < e->count; k++) {
        const uint32_t d = e->delay[k];
        count[d]++;
        *first = SPKI_MIN(*first, d);
        *last = SPKI_MAX(*last, d);
    }
}

/* The entries of a row with count[d] synapses of delay d: how many, and where `out` is given, what
   they are. */
SPKI_FN uint32_t spki_row_entries(const uint32_t *count, uint32_t first, uint32_t last,
                                  uint32_t count_bytes, uint8_t *out)
{
    const uint32_t most = count_bytes == 1 ? 0xffu : 0xffffu;
    uint32_t entries = 0, before = 0;
    for (uint32_t d = first; d <= last; d++) {
        for (uint32_t left = count[d]; left; entries++) {
            const uint32_t step = SPKI_MIN(d - before, most);
            const uint32_t n = before + step == d ? SPKI_MIN(left, most) : 0;
            before += step;
            left -= n;
            if (out && count_bytes == 1) {
                *out++ = (uint8_t)step;
                *out++ = (uint8_t)n;
            } else if (out) {
                *out++ = (uint8_t)step;
                *out++ = (uint8_t)(step >> 8);
                *out++ = (uint8_t)n;
                *out++ = (uint8_t)(n >> 8);
            }
        }
    }
    return entries;
}

#endif
