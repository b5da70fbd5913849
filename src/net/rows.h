/* ---- >>rows: the synapses of one source, by every rule ---- */
#ifndef SPIKELIB_NET_ROWS_H
#define SPIKELIB_NET_ROWS_H

#include "projection.h"

/* -- rows with a given number of synapses, multapses allowed -- */

SPKI_FN void spki_leaf_targets(spki_emit *e, uint32_t leaf, uint32_t first, uint32_t r)
{
    const spki_proj *p = e->p;
    uint32_t *t = e->sc->target;
    const uint32_t *word = e->sc->words;
    uint32_t base = leaf * p->leaf, size = SPKI_MIN(p->leaf, p->n_target - base);
    uint32_t self = spki_self(p, e->source), j, refuse;
    bool skip = self - base < size;
    spki_words w;
    if (skip) size--;
    refuse = spki_refuse(size);
    if (!p->draw.below || p->draw.below(word, r, size, refuse, base, t))
        for (j = 0; j < r; j++) {
            uint64_t x = (uint64_t)word[j] * size;
            t[j] = base + (uint32_t)(x >> 32);
            if ((uint32_t)x >= refuse) continue;
            spki_words_open(&w, p, first + j, e->source, spki_at(SPKI_AT_REDRAW, leaf), 4);
            t[j] = base + spki_words_below(&w, size, refuse);
        }
    if (skip)
        for (j = 0; j < r; j++) t[j] += t[j] >= self ? 1u : 0u;
}

SPKI_FN spk_result spki_row_leaf(spki_emit *e, uint32_t leaf, uint64_t m)
{
    const spki_proj *p = e->p;
    uint32_t *words = e->sc->words, ww = spki_weight_words(p), nv = 1 + ww + spki_delay_words(p);
    uint64_t base = (uint64_t)leaf * p->leaf, end = SPKI_MIN(base + p->leaf, p->n_target), first;
    bool inside = base >= e->t0 && end <= e->t1;
    uint32_t c0 = 0, r, r4;
    spk_result result;
    for (first = 0; first < m; first += r) {
        r = (uint32_t)SPKI_MIN(m - first, SPKI_CHUNK);
        r4 = (r + 3) & ~3u;
        p->fill(p->key, e->source, spki_at(SPKI_AT_LEAF, leaf), p->stream, c0, nv * (r4 / 4),
                words);
        c0 += nv * (r4 / 4);
        spki_leaf_targets(e, leaf, (uint32_t)first, r);
        result = spki_weights(e, words + r4, e->sc->target, r, 0);
        if (result == SPK_OK)
            result = spki_delays(e, words + r4 * (1 + ww), e->sc->target, r, 0);
        if (result == SPK_OK) result = spki_commit(e, r, inside);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* Targets of leaves [l0, l1) that a row may reach. */
SPKI_FN uint64_t spki_leaf_span(const spki_emit *e, uint32_t l0, uint32_t l1)
{
    const spki_proj *p = e->p;
    uint64_t a = (uint64_t)l0 * p->leaf, b = SPKI_MIN((uint64_t)l1 * p->leaf, p->n_target);
    uint32_t self = spki_self(p, e->source);
    return b - a - (self >= a && self < b ? 1u : 0u);
}

/* Splitting at a power of two makes most halves equal: one bit a synapse. */
SPKI_INLINE uint32_t spki_split(uint32_t n)
{
    uint32_t half = 1;
    while (half < n - half) half *= 2;
    return half;
}

/* m synapses on leaves [l0, l1), `level` splits deep. */
SPKI_FN spk_result spki_row_tree(spki_emit *e, uint32_t l0, uint32_t l1, uint64_t m, uint32_t level)
{
    const spki_proj *p = e->p;
    uint32_t mid;
    uint64_t left;
    spki_words w;
    spk_result result;
    if (m == 0 || (uint64_t)l0 * p->leaf >= e->t1 || (uint64_t)l1 * p->leaf <= e->t0)
        return SPK_OK;
    if (l1 - l0 == 1) return spki_row_leaf(e, l0, m);
    mid = l0 + spki_split(l1 - l0);
    spki_words_open(&w, p, level << 24, e->source, spki_at(SPKI_AT_NODE, l0),
                    spki_binomial_words(m));
    left = spki_binomial(&w, m, spki_leaf_span(e, l0, mid), spki_leaf_span(e, l0, l1));
    result = spki_row_tree(e, l0, mid, left, level + 1);
    return result == SPK_OK ? spki_row_tree(e, mid, l1, m - left, level + 1) : result;
}

SPKI_FN uint32_t spki_row_size(const spki_proj *p, uint32_t source)
{
    return p->row_count ? p->row_count[source] : p->k;
}

/* -- rows whose targets are a set of bits -- */

SPKI_FN spk_result spki_emit_bits(spki_emit *e, const uint64_t *bits, uint32_t n, uint32_t base,
                                  uint32_t place, uint32_t skip)
{
    uint32_t words = (uint32_t)(((uint64_t)n + 63) / 64), i = 0, chunk = 0, r;
    uint64_t now = words ? bits[0] : 0;
    spk_result result;
    for (;;) {
        for (r = 0; r < SPKI_CHUNK && i < words;) {
            if (now) {
                e->sc->target[r++] = base + i * 64 + (uint32_t)__builtin_ctzll(now);
                now &= now - 1;
            } else if (++i < words) {
                now = bits[i];
            }
        }
        if (r == 0 || e->sc->target[0] >= e->t1) return SPK_OK;
        result = spki_emit_list(e, r, place, chunk++, 0, skip);
        if (result != SPK_OK) return result;
    }
}

/* A row of m different targets is drawn whole, whatever the interval. */
SPKI_FN spk_result spki_row_subset(spki_emit *e, uint64_t *bits)
{
    uint32_t m = spki_row_size(e->p, e->source);
    spki_words w;
    if (!m) return SPK_OK;
    spki_words_open(&w, e->p, 0, e->source, spki_at(SPKI_AT_SUBSET, 0), m);
    spki_subset(&w, bits, e->p->n_target, m, spki_self(e->p, e->source));
    return spki_emit_bits(e, bits, e->p->n_target, 0, 0, SPKI_NO_SELF);
}

/* Independent pairs: block by block a binomial count, then a set of that size. The autapse is
   drawn like any other and dropped. */
SPKI_FN spk_result spki_row_bernoulli(spki_emit *e, uint64_t *bits)
{
    const spki_proj *p = e->p;
    uint32_t b, last = (e->t1 - 1) / SPKI_BLOCK, end = (p->n_target - 1) / SPKI_BLOCK;
    uint32_t self = spki_self(p, e->source);
    for (b = e->t0 / SPKI_BLOCK; b <= last; b++) {
        const spki_counts *c = b < end ? &p->block : &p->rest;
        uint32_t m, size = b < end ? SPKI_BLOCK : p->n_target - b * SPKI_BLOCK;
        uint64_t word;
        spki_words w;
        spk_result result;
        spki_words_open(&w, p, 0, e->source, spki_at(SPKI_AT_BLOCK, b),
                        2 + (uint64_t)(p->p * (double)size));
        word = (uint64_t)spki_words_next(&w) << 32;
        m = spki_counts_draw(c, word | spki_words_next(&w));
        if (!m) continue;
        spki_subset(&w, bits, size, m, SPKI_NO_SELF);
        result = spki_emit_bits(e, bits, size, b * SPKI_BLOCK, b,
                                self / SPKI_BLOCK == b ? self : SPKI_NO_SELF);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* -- rows that are known -- */

SPKI_FN spk_result spki_row_all(spki_emit *e)
{
    const spki_proj *p = e->p;
    uint32_t self = spki_self(p, e->source), j;
    uint64_t t = e->t0 / SPKI_CHUNK * SPKI_CHUNK;
    for (; t < e->t1; t += SPKI_CHUNK) {
        uint32_t first = (uint32_t)t, r = (uint32_t)SPKI_MIN(p->n_target - t, SPKI_CHUNK);
        spk_result result;
        for (j = 0; j < r; j++) e->sc->target[j] = first + j;
        result = spki_emit_list(e, r, first / SPKI_BLOCK, first % SPKI_BLOCK / SPKI_CHUNK,
                                (uint64_t)e->source * p->n_target + first,
                                self - first < r ? self : SPKI_NO_SELF);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_row_same(spki_emit *e)
{
    if (spki_self(e->p, e->source) == e->source) return SPK_OK;
    e->sc->target[0] = e->source;
    return spki_emit_list(e, 1, 0, 0, e->source, SPKI_NO_SELF);
}

/* COO and CSR: targets in any order, so that a chunk is drawn unless none of it is wanted. */
SPKI_FN spk_result spki_row_listed(spki_emit *e)
{
    const spki_proj *p = e->p;
    uint64_t i = p->row_offset[e->source], end = p->row_offset[e->source + 1];
    uint32_t chunk = 0, r, j, span = e->t1 - e->t0, wanted;
    uint32_t ww = spki_weight_words(p), nv = ww + spki_delay_words(p);
    spk_result result;
    for (; i < end; i += r, chunk++) {
        uint32_t r4, *words = e->sc->words, *t = e->sc->target;
        r = (uint32_t)SPKI_MIN(end - i, SPKI_CHUNK);
        r4 = (r + 3) & ~3u;
        memcpy(t, p->row_target + i, r * sizeof *t);
        for (j = 0, wanted = 0; j < r; j++) wanted += t[j] - e->t0 < span ? 1u : 0u;
        if (!wanted) continue;
        if (nv)
            p->fill(p->key, e->source, spki_at(SPKI_AT_VALUES, 0), p->stream,
                    chunk * (SPKI_CHUNK / 4) * nv, nv * (r4 / 4), words);
        result = spki_weights(e, words, t, r, i);
        if (result == SPK_OK) result = spki_delays(e, words + r4 * ww, t, r, i);
        if (result == SPK_OK) result = spki_commit(e, r, wanted == r);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* -- rows from a callback -- */

struct spk_row {
    spki_emit *e;
    uint64_t *seen; /* targets so far, where multapses are forbidden */
    spk_result result;
    uint32_t self;
};

SPKI_FN spk_result spki_row_check(const spk_row *row, uint32_t target, double weight,
                                  uint32_t *steps, double delay_ms)
{
    spki_emit *e = row->e;
    char *why = e->sc->why;
    size_t size = sizeof e->sc->why;
    unsigned s = (unsigned)e->source, t = (unsigned)target;
    if (target >= e->p->n_target)
        return spki_because(SPK_ERR_RANGE, why, size,
                            "target %u of source %u is outside the view (%u neurons)", t, s,
                            (unsigned)e->p->n_target);
    if (!spki_finite(weight))
        return spki_because(SPK_ERR_RANGE, why, size, "weight is %s for %u -> %u",
                            spki_not_finite(weight), s, t);
    if (target == row->self)
        return spki_because(SPK_ERR_RANGE, why, size,
                            "%u -> %u is an autapse, which no_autapses forbids", s, t);
    if (row->seen && (row->seen[target >> 6] >> (target & 63) & 1))
        return spki_because(SPK_ERR_RANGE, why, size,
                            "%u -> %u comes twice, which no_multapses forbids", s, t);
    *steps = spki_delay_steps(e->p, delay_ms, why, size);
    return *steps ? SPK_OK : SPK_ERR_RANGE;
}

SPIKELIB_API void spk_row_add(spk_row *row, uint32_t target, double weight, double delay_ms)
{
    uint32_t steps = 0;
    spki_emit *e;
    if (!row || row->result != SPK_OK) return;
    e = row->e;
    row->result = spki_row_check(row, target, weight, &steps, delay_ms);
    if (row->result != SPK_OK) return;
    if (row->seen) row->seen[target >> 6] |= UINT64_C(1) << (target & 63);
    if (e->lo) *e->lo = SPKI_MIN(*e->lo, weight);
    if (e->hi) *e->hi = SPKI_MAX(*e->hi, weight);
    e->sc->target[0] = target;
    e->sc->weight[0] = spki_quanta(e->p, weight);
    e->sc->delay[0] = (uint16_t)steps;
    row->result = spki_commit(e, 1, false);
}

SPKI_FN spk_result spki_row_called(spki_emit *e, uint64_t *bits)
{
    const spki_proj *p = e->p;
    spk_row row;
    row.e = e;
    row.seen = p->no_multapses ? bits : NULL;
    row.result = SPK_OK;
    row.self = spki_self(p, e->source);
    if (row.seen) memset(bits, 0, ((size_t)p->n_target + 63) / 64 * sizeof *bits);
    p->row(p->row_ctx, e->source, &row);
    return row.result;
}

/* -- fixed in-degree: drawn by target, read by source through an index -- */

/* Index of the synapses on targets [t0, t1): where each source's begin, then for each the target
   and the number of the draw, then room for the draws of one target. */
typedef struct spki_index {
    uint32_t t0, t1;
    uint64_t count;
} spki_index;

SPKI_INLINE uint64_t *spki_index_offset(const void *index)
{
    return (uint64_t *)(uintptr_t)((const char *)index + sizeof(spki_index));
}

SPKI_INLINE bool spki_index_wide(const spki_proj *p, uint32_t t0, uint32_t t1)
{
    return p->wide || t1 - t0 > 65536u;
}

/* Sources of target t, in the order of the draws. `bits`: n_source of them, clear, and clear again
   afterwards; needed without multapses only. */
SPKI_FN void spki_indegree_sources(const spki_proj *p, uint32_t t, uint64_t *bits, uint32_t *src)
{
    uint32_t self = !p->no_autapses ? SPKI_NO_SELF : p->self_source ? p->self_source[t]
                                               : p->same_view       ? t
                                                                    : SPKI_NO_SELF;
    uint32_t n = p->n_source, pool = self < n ? n - 1 : n, j, i, s, refuse = spki_refuse(n);
    spki_words w, again;
    spki_words_open(&w, p, 0, t, spki_at(SPKI_AT_INDEGREE, 0), p->k);
    if (p->no_multapses && p->k > pool - p->k) {
        uint32_t words = (uint32_t)(((uint64_t)n + 63) / 64);
        spki_subset(&w, bits, n, p->k, self);
        for (i = 0, j = 0; i < words; i++)
            for (; bits[i]; bits[i] &= bits[i] - 1)
                src[j++] = i * 64 + (uint32_t)__builtin_ctzll(bits[i]);
        return;
    }
    spki_words_open(&again, p, 0, t, spki_at(SPKI_AT_INREDRAW, 0), 4);
    for (j = 0; j < p->k; j++) {
        uint64_t x = (uint64_t)spki_words_next(&w) * n;
        s = (uint32_t)(x >> 32);
        if ((uint32_t)x < refuse) s = spki_words_below(&again, n, refuse);
        while (s == self || (p->no_multapses && (bits[s >> 6] >> (s & 63) & 1)))
            s = spki_words_below(&again, n, refuse);
        if (p->no_multapses) bits[s >> 6] |= UINT64_C(1) << (s & 63);
        src[j] = s;
    }
    if (!p->no_multapses) return;
    for (j = 0; j < p->k; j++) bits[src[j] >> 6] = 0;
}

/* Bytes of the index for targets [t0, t1); 0 for rules that need none. */
SPKI_FN size_t spki_proj_index_bytes(const spki_proj *p, uint32_t t0, uint32_t t1)
{
    size_t bytes;
    if (p->rule != SPK_FIXED_INDEGREE || t0 >= t1 || !p->n_source || !p->k) return 0;
    bytes = sizeof(spki_index) + ((size_t)p->n_source + 1) * 8;
    bytes += (size_t)(t1 - t0) * p->k * (spki_index_wide(p, t0, t1) ? 8u : 4u);
    bytes = (bytes + 7) & ~(size_t)7;
    return bytes + ((size_t)p->n_source + 63) / 64 * 8 + (size_t)p->k * 4;
}

/* Fills it. Memory from the caller, aligned to 8. Thread: any, one index each. */
SPKI_FN void spki_proj_index_build(const spki_proj *p, uint32_t t0, uint32_t t1, void *index)
{
    size_t bytes = spki_proj_index_bytes(p, t0, t1), words = ((size_t)p->n_source + 63) / 64;
    bool wide = spki_index_wide(p, t0, t1);
    spki_index *head = (spki_index *)index;
    uint64_t *offset, *bits, sum = 0, at;
    uint32_t *src, *entry, t, s, j;
    if (!bytes) return;
    offset = spki_index_offset(index);
    entry = (uint32_t *)(offset + p->n_source + 1);
    src = (uint32_t *)((char *)index + bytes - (size_t)p->k * 4);
    bits = (uint64_t *)((char *)index + bytes - (size_t)p->k * 4 - words * 8);
    head->t0 = t0;
    head->t1 = t1;
    head->count = (uint64_t)(t1 - t0) * p->k;
    memset(offset, 0, ((size_t)p->n_source + 1) * 8);
    memset(bits, 0, words * 8);
    for (t = t0; t < t1; t++) {
        spki_indegree_sources(p, t, bits, src);
        for (j = 0; j < p->k; j++) offset[src[j]]++;
    }
    for (s = 0; s <= p->n_source; s++) {
        at = offset[s];
        offset[s] = sum;
        sum += at;
    }
    for (t = t0; t < t1; t++) {
        spki_indegree_sources(p, t, bits, src);
        for (j = 0; j < p->k; j++) {
            at = offset[src[j]]++;
            if (!wide) {
                entry[at] = (t - t0) << 16 | j;
            } else {
                entry[2 * at] = t - t0;
                entry[2 * at + 1] = j;
            }
        }
    }
    for (s = p->n_source; s > 0; s--) offset[s] = offset[s - 1]; /* ends became beginnings */
    offset[0] = 0;
}

/* Weights and delays of r synapses in the scratch, each (target, draw) with its own counter. */
SPKI_FN spk_result spki_emit_indegree(spki_emit *e, uint32_t r)
{
    const spki_proj *p = e->p;
    spki_row_scratch *sc = e->sc;
    uint32_t j, w[4];
    spk_result result;
    if (spki_weight_words(p) || spki_delay_words(p))
        for (j = 0; j < r; j++) {
            spki_philox(sc->draw[j], sc->target[j], spki_at(SPKI_AT_INVALUES, 0), p->stream,
                        p->key[0], p->key[1], w);
            sc->words[j] = w[0];
            sc->words[SPKI_CHUNK + j] = w[1];
        }
    result = spki_weights(e, sc->words, sc->target, r, 0);
    if (result == SPK_OK) result = spki_delays(e, sc->words + SPKI_CHUNK, sc->target, r, 0);
    return result == SPK_OK ? spki_commit(e, r, false) : result;
}

SPKI_FN spk_result spki_row_indexed(spki_emit *e, const void *index)
{
    const spki_proj *p = e->p;
    const spki_index *head = (const spki_index *)index;
    const uint64_t *offset;
    const uint32_t *entry;
    uint64_t i, end;
    uint32_t r, j;
    bool wide;
    if (!index || e->t0 < head->t0 || e->t1 > head->t1)
        return spki_because(SPK_ERR_STATE, e->sc->why, sizeof e->sc->why,
                            "fixed in-degree rows need the index of their targets");
    offset = spki_index_offset(index);
    entry = (const uint32_t *)(offset + p->n_source + 1);
    wide = spki_index_wide(p, head->t0, head->t1);
    end = offset[e->source + 1];
    for (i = offset[e->source]; i < end; i += r) {
        spk_result result;
        r = (uint32_t)SPKI_MIN(end - i, SPKI_CHUNK);
        for (j = 0; j < r; j++) {
            uint32_t x = wide ? entry[2 * (i + j)] : entry[i + j] >> 16;
            e->sc->target[j] = head->t0 + x;
            e->sc->draw[j] = wide ? entry[2 * (i + j) + 1] : entry[i + j] & 0xffffu;
        }
        if (e->sc->target[0] >= e->t1) break;
        if (e->sc->target[r - 1] < e->t0) continue;
        result = spki_emit_indegree(e, r);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* -- any row -- */

SPKI_FN spk_result spki_row_by_rule(spki_emit *e, const void *index)
{
    const spki_proj *p = e->p;
    uint64_t *bits = (uint64_t *)(e->sc + 1);
    switch (p->rule) {
    case SPK_ONE_TO_ONE: return spki_row_same(e);
    case SPK_ALL_TO_ALL: return spki_row_all(e);
    case SPK_BERNOULLI: return spki_row_bernoulli(e, bits);
    case SPK_FIXED_INDEGREE: return p->k ? spki_row_indexed(e, index) : SPK_OK;
    case SPK_FIXED_OUTDEGREE:
    case SPK_FIXED_TOTAL:
        if (p->no_multapses) return spki_row_subset(e, bits);
        return spki_row_tree(e, 0, (uint32_t)(((uint64_t)p->n_target + p->leaf - 1) / p->leaf),
                             spki_row_size(p, e->source), 0);
    case SPK_COO:
    case SPK_CSR: return spki_row_listed(e);
    case SPK_CALLBACK: return spki_row_called(e, bits);
    case SPK_RULE_FORCE_32_BIT: break;
    }
    return SPK_ERR_RANGE;
}

/* Scratch of one thread, aligned to 8. */
SPKI_FN size_t spki_proj_scratch_size(const spki_proj *p)
{
    return sizeof(spki_row_scratch) + ((size_t)p->n_target + 63) / 64 * 8 + SPKI_BLOCK / 8;
}

/* Appends the synapses of `source` on targets [t0, t1). Rows of adjacent intervals hold together
   the row of their union, each target's synapses in the same order.
   Errors: SPK_ERR_FULL if `out` has no room, and what functions and callbacks return (reason:
   spki_proj_row_why); nothing is appended then. Thread: any, each with its own scratch and out. */
SPKI_FN spk_result spki_proj_row(const spki_proj *p, const void *index, void *scratch,
                                 uint32_t source, uint32_t t0, uint32_t t1, spki_edges *out)
{
    spki_emit e;
    uint32_t count = out->count;
    spk_result result;
    e.p = p;
    e.sc = (spki_row_scratch *)scratch;
    e.source = source;
    e.t0 = t0;
    e.t1 = SPKI_MIN(t1, p->n_target);
    e.out = out;
    e.lo = e.hi = NULL;
    e.sc->why[0] = '\0';
    if (e.t0 >= e.t1 || source >= p->n_source) return SPK_OK;
    result = spki_row_by_rule(&e, index);
    if (result != SPK_OK) out->count = count;
    return result;
}

/* Why the last row of this scratch failed: the tail of a sentence; "" for SPK_ERR_FULL. */
SPKI_FN const char *spki_proj_row_why(const void *scratch)
{
    return ((const spki_row_scratch *)scratch)->why;
}

#endif
