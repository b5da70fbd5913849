/* ---- >>row: how a tile stores the synapses of one source ----
   A row is

       the number of its entries                   1 word, with SPKI_ROW_NARROW; a source without
                                                   synapses has row 0
       an entry for each delay that occurs:        two counts of count_bytes each,
           steps since the delay of the entry before (from 0), and synapses;
           an entry of no synapses lengthens a step, one of no steps the entry before it
       padding to a whole word
       the synapses in order of their delay: slot | weight << 16, or two words

   The synapses of an entry are a bucket: they arrive together. In a narrow row, which has few
   different weights, those of a bucket share one: it follows the counts in 16 bits, is never 0, and
   the bucket is made of slots alone, two in a word. In a row of masks, which is narrow and dense
   besides, a bucket is first slot / 32 | words << 16, then so many words with a bit a slot. */
#ifndef SPIKELIB_NET_ROW_H
#define SPIKELIB_NET_ROW_H

#include "net.h"

#define SPKI_ROW_NARROW 0x80000000u
#define SPKI_ROW_MASKS 0x40000000u
#define SPKI_ROW_ENTRIES 0x3fffffffu
#define SPKI_CLASSES 4u /* different weights in a narrow row, at most */

/* Words of a synapse in a row that is not narrow. */
SPKI_INLINE uint32_t spki_synapse_words(const spk_net *net)
{
    return net->desc.weight_bits == 32 ? 2 : 1;
}

SPKI_INLINE uint32_t spki_row_count(const uint8_t *at, uint32_t count_bytes)
{
    return count_bytes == 1 ? at[0] : (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

SPKI_INLINE uint32_t spki_entry_bytes(uint32_t count_bytes, bool narrow)
{
    return 2 * count_bytes + (narrow ? 2u : 0u);
}

/* Words before the synapses of a row of so many entries. */
SPKI_INLINE uint32_t spki_row_head(uint32_t entries, uint32_t count_bytes, bool narrow)
{
    return 1 + (entries * spki_entry_bytes(count_bytes, narrow) + 3) / 4;
}

/* Words of a bucket that is no mask. */
SPKI_INLINE uint32_t spki_bucket_words(uint32_t count, uint32_t words, bool narrow)
{
    return narrow ? (count + 1) / 2 : count * words;
}

/* Walks over the buckets of a row. */
typedef struct spki_row_reader {
    const uint8_t *next;
    uint32_t left, count_bytes, words; /* entries; per count; per synapse */
    uint32_t delay, at, count;         /* of the bucket at hand; `at` in the tile's words */
    int32_t weight;                    /* of its synapses, if narrow */
    bool narrow, masks;
    const uint32_t *tile_words;
} spki_row_reader;

SPKI_INLINE void spki_row_open(spki_row_reader *r, const spki_tile *tile, uint32_t id,
                               uint32_t words)
{
    const uint32_t start = tile->row[id];
    r->tile_words = tile->words;
    r->left = tile->words[start] & SPKI_ROW_ENTRIES;
    r->narrow = (tile->words[start] & SPKI_ROW_NARROW) != 0;
    r->masks = (tile->words[start] & SPKI_ROW_MASKS) != 0;
    r->next = (const uint8_t *)(tile->words + start + 1);
    r->count_bytes = tile->count_bytes;
    r->words = words;
    r->delay = r->count = 0;
    r->weight = 0;
    r->at = start + spki_row_head(r->left, r->count_bytes, r->narrow);
}

SPKI_INLINE bool spki_row_next(spki_row_reader *r)
{
    if (r->left == 0) {
        return false;
    }
    r->left--;
    r->at += !r->masks  ? spki_bucket_words(r->count, r->words, r->narrow)
             : r->count ? 1 + (r->tile_words[r->at] >> 16)
                        : 0;
    r->delay += spki_row_count(r->next, r->count_bytes);
    r->count = spki_row_count(r->next + r->count_bytes, r->count_bytes);
    r->next += 2 * r->count_bytes;
    if (r->narrow) {
        r->weight = (int16_t)spki_row_count(r->next, 2);
        r->next += 2;
    }
    return true;
}

/* Walks over the slots of the narrow bucket at hand. */
typedef struct spki_slots {
    const uint32_t *at;
    uint32_t bits, base, next;
    bool masks;
} spki_slots;

SPKI_INLINE void spki_slots_open(spki_slots *s, const uint32_t *bucket, bool masks)
{
    s->masks = masks;
    s->at = bucket + (masks ? 1 : 0);
    s->base = masks ? (*bucket & 0xffffu) * 32 - 32 : 0;
    s->bits = s->next = 0;
}

/* As many times as the bucket has synapses. */
SPKI_INLINE uint32_t spki_slots_next(spki_slots *s)
{
    if (!s->masks) {
        const uint32_t k = s->next++;
        return s->at[k / 2] >> (k % 2 * 16) & 0xffffu;
    }
    while (s->bits == 0) {
        s->bits = *s->at++;
        s->base += 32;
    }
    const uint32_t bit = (uint32_t)__builtin_ctz(s->bits);
    s->bits &= s->bits - 1;
    return s->base + bit;
}

/* -- writing -- */

/* What a row will look like. Synapses are counted at count[delay * classes + class]. */
typedef struct spki_row_plan {
    uint32_t classes, first, last; /* different weights, of a narrow row; delays */
    int32_t weight[SPKI_CLASSES];
    bool narrow, masks;
    uint32_t low[SPKI_CLASSES], high[SPKI_CLASSES]; /* of masks: words of 32 slots, from, to */
    uint32_t entries, words;
} spki_row_plan;

SPKI_INLINE uint32_t spki_weight_class(const spki_row_plan *plan, int32_t weight)
{
    uint32_t c = 0;
    while (c < plan->classes && plan->weight[c] != weight) {
        c++;
    }
    return c;
}

/* Finds the weights of a row; false: too many for a narrow one, or a weight of nothing. */
SPKI_FN bool spki_find_classes(const spki_edges *e, spki_row_plan *plan)
{
    plan->classes = 0;
    for (uint32_t k = 0; k < e->count; k++) {
        const int32_t w = e->weight[k];
        if (spki_weight_class(plan, w) == plan->classes) {
            if (plan->classes == SPKI_CLASSES || w == 0) {
                return false;
            }
            plan->weight[plan->classes++] = w;
        }
    }
    return true;
}

SPKI_FN void spki_put_count(uint8_t **to, uint32_t n, uint32_t bytes)
{
    for (uint32_t k = 0; k < bytes; k++) {
        *(*to)++ = (uint8_t)(n >> 8 * k);
    }
}

/* The entries of a row: how many, and where `out` is given, what they are. The fullest entry of a
   narrow row is even, so that only the last one of a bucket is padded. */
SPKI_FN uint32_t spki_row_entries(const uint32_t *count, const spki_row_plan *plan,
                                  uint32_t count_bytes, uint8_t *out)
{
    const uint32_t most = count_bytes == 1 ? 0xffu : 0xffffu, fill = most - (plan->narrow ? 1 : 0);
    uint32_t entries = 0, before = 0;
    for (uint32_t d = plan->first; d <= plan->last; d++) {
        for (uint32_t c = 0; c < plan->classes; c++) {
            for (uint32_t left = count[d * plan->classes + c]; left; entries++) {
                const uint32_t step = SPKI_MIN(d - before, most);
                const uint32_t n = before + step == d ? SPKI_MIN(left, fill) : 0;
                before += step;
                left -= n;
                if (out) {
                    spki_put_count(&out, step, count_bytes);
                    spki_put_count(&out, n, count_bytes);
                }
                if (out && plan->narrow) {
                    spki_put_count(&out, (uint32_t)plan->weight[c], 2);
                }
            }
        }
    }
    return entries;
}

SPKI_FN void spki_forget_counts(uint32_t *count, const spki_row_plan *plan)
{
    memset(count + plan->first * plan->classes, 0,
           ((size_t)plan->last - plan->first + 1) * plan->classes * sizeof *count);
}

/* Counts the synapses of a row and measures it. */
SPKI_FN void spki_count_row(const spki_edges *e, uint32_t *count, uint32_t count_bytes,
                            uint32_t words, spki_row_plan *plan)
{
    const uint16_t *delay = e->delay;
    const uint32_t n = e->count;
    const bool narrow = plan->narrow;
    uint32_t first = UINT32_MAX, last = 0;
    for (uint32_t k = 0; !narrow && k < n; k++) {
        const uint32_t d = delay[k];
        count[d]++;
        first = SPKI_MIN(first, d);
        last = SPKI_MAX(last, d);
    }
    for (uint32_t k = 0; narrow && k < n; k++) {
        const uint32_t d = delay[k];
        count[d * plan->classes + spki_weight_class(plan, e->weight[k])]++;
        first = SPKI_MIN(first, d);
        last = SPKI_MAX(last, d);
    }
    plan->first = first;
    plan->last = last;
    plan->entries = spki_row_entries(count, plan, count_bytes, NULL);
    plan->words = spki_row_head(plan->entries, count_bytes, plan->narrow);
    for (uint32_t d = plan->first * plan->classes; d < (plan->last + 1) * plan->classes; d++) {
        plan->words += spki_bucket_words(count[d], words, plan->narrow);
    }
}

/* Whether no synapse comes twice. */
SPKI_FN bool spki_slots_differ(const spki_edges *e, const spki_row_plan *plan)
{
    uint64_t seen[1024];
    for (uint32_t c = 0; c < plan->classes; c++) {
        memset(seen, 0, sizeof seen);
        for (uint32_t k = 0; k < e->count; k++) {
            const uint32_t slot = e->target[k];
            if (e->weight[k] == plan->weight[c]) {
                if (seen[slot / 64] >> (slot % 64) & 1) {
                    return false;
                }
                seen[slot / 64] |= UINT64_C(1) << (slot % 64);
            }
        }
    }
    return true;
}

/* Makes masks of a narrow row of one delay where that is shorter. */
SPKI_FN void spki_plan_masks(const spki_edges *e, const uint32_t *count, uint32_t count_bytes,
                             spki_row_plan *plan)
{
    const uint32_t most = count_bytes == 1 ? 254u : 65534u;
    uint32_t words = spki_row_head(plan->entries, count_bytes, true);
    plan->masks = false;
    if (plan->first != plan->last || e->count < 64) {
        return;
    }
    for (uint32_t c = 0; c < plan->classes; c++) {
        plan->low[c] = UINT32_MAX;
        plan->high[c] = 0;
    }
    for (uint32_t k = 0; k < e->count; k++) {
        const uint32_t c = spki_weight_class(plan, e->weight[k]), at = e->target[k] / 32;
        plan->low[c] = SPKI_MIN(plan->low[c], at);
        plan->high[c] = SPKI_MAX(plan->high[c], at);
    }
    for (uint32_t c = 0; c < plan->classes; c++) {
        words += 2 + plan->high[c] - plan->low[c];
        if (count[plan->first * plan->classes + c] > most) {
            return;
        }
    }
    if (words < plan->words && spki_slots_differ(e, plan)) {
        plan->masks = true;
        plan->words = words;
    }
}

/* Chooses how to store a row: narrow where it may be and where that is shorter. `count` is clear
   and holds afterwards what spki_forget_counts clears again. */
SPKI_FN void spki_plan_row(const spki_edges *e, uint32_t *count, uint32_t count_bytes,
                           uint32_t words, bool may_be_narrow, spki_row_plan *plan)
{
    uint32_t narrow_words = UINT32_MAX;
    plan->masks = false;
    plan->narrow = may_be_narrow && spki_find_classes(e, plan);
    if (plan->narrow) {
        spki_count_row(e, count, count_bytes, words, plan);
        spki_plan_masks(e, count, count_bytes, plan);
        narrow_words = plan->words;
        if (narrow_words <= e->count) {
            return; /* the other form has a word a synapse, and a head */
        }
        spki_forget_counts(count, plan);
    }
    const spki_row_plan narrow = *plan;
    plan->narrow = false;
    plan->classes = 1;
    spki_count_row(e, count, count_bytes, words, plan);
    if (narrow_words < plan->words) {
        spki_forget_counts(count, plan);
        *plan = narrow; /* of several delays, or it had been returned: no masks */
        spki_count_row(e, count, count_bytes, words, plan);
    }
}

#endif
