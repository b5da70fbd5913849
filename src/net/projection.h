/* ---- >>connect: drawing the synapses of a projection, row by row ---- */
#ifndef SPIKELIB_NET_PROJECTION_H
#define SPIKELIB_NET_PROJECTION_H

#include "value.h"

/* A projection is drawn by rows: all synapses of one source neuron that fall on an interval of
   targets. Every row comes from random words that are addressed by (seed; source, place in the
   row, stream), so it is the same whoever draws it, in whatever pieces, in whatever order.

   Rows with a given number of synapses (SPK_FIXED_OUTDEGREE, SPK_FIXED_TOTAL) are split exactly:
   the targets are cut into leaves, a binary tree of binomial draws says how many synapses each
   half gets, and a reader descends only into halves that it asked for. A fixed total is first
   split over the sources in the same way.

   Philox counter: (running number, source neuron, place, stream), key = seed. The top 4 bits of
   `place` say what is drawn: */
enum {
    SPKI_AT_NODE = 0,    /* how many synapses of a row go to the left half; place: first leaf */
    SPKI_AT_LEAF,        /* targets, weights and delays of a leaf; place: leaf */
    SPKI_AT_REDRAW,      /* targets that Lemire's test refused; place: leaf */
    SPKI_AT_SOURCES,     /* splitting a total over the sources; counter 1: first source */
    SPKI_AT_BLOCK,       /* which targets of a block (Bernoulli); place: block */
    SPKI_AT_SUBSET,      /* which targets of a row without multapses */
    SPKI_AT_VALUES,      /* weights and delays where targets come from elsewhere; place: block */
    SPKI_AT_INDEGREE,    /* sources of a target; counter 1: target */
    SPKI_AT_INREDRAW,    /* sources that were refused; counter 1: target */
    SPKI_AT_INVALUES,    /* weights and delays of a target's synapses; counter 1: target */
    SPKI_AT_ROWCOUNT,    /* row sizes of a total without multapses; place: attempt */
    SPKI_AT_CORRECTION   /* and what they lack */
};

#define SPKI_CHUNK 128u   /* synapses drawn at a time */
#define SPKI_BLOCK 4096u  /* targets of a block of Bernoulli and all-to-all rows */
#define SPKI_NO_SELF UINT32_MAX

/* Philox words of counters (c0_first + i, c1, c2, c3), i < n_counters, four words each. */
typedef void (*spki_fill_fn)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                             uint32_t c0_first, uint32_t n_counters, uint32_t *out);

/* Index within the target view of the neuron that is `source` in the source view; UINT32_MAX if it
   is not there. Called while creating, and only where autapses are forbidden. */
typedef uint32_t (*spki_self_fn)(const void *ctx, uint32_t source);

/* Synapses of a row: target within the view, weight in quanta, delay in steps (>= 1). */
typedef struct spki_edges {
    uint32_t *target;
    int32_t *weight;
    uint16_t *delay;
    uint32_t count, capacity;
} spki_edges;

typedef enum spki_weight_kind {
    SPKI_WEIGHT_CONSTANT = 0,
    SPKI_WEIGHT_UNIFORM,
    SPKI_WEIGHT_TABLE,    /* quantiles at i / 4096, interpolated; the outer 1/64 evaluated */
    SPKI_WEIGHT_ARRAY,
    SPKI_WEIGHT_FUNCTION,
    SPKI_WEIGHT_CALLBACK  /* comes with the row */
} spki_weight_kind;

typedef enum spki_delay_kind {
    SPKI_DELAY_CONSTANT = 0,
    SPKI_DELAY_STEPS,
    SPKI_DELAY_ARRAY,
    SPKI_DELAY_FUNCTION,
    SPKI_DELAY_CALLBACK
} spki_delay_kind;

#define SPKI_QUANTILES 4096u
#define SPKI_QUANTILE_TAIL (SPKI_QUANTILES / 64u)

typedef struct spki_proj {
    spk_rule rule;
    uint32_t n_source, n_target;
    bool no_autapses, no_multapses, same_view;
    bool wide;              /* index entries of 8 bytes, where a draw number needs it */
    uint32_t k;             /* fixed degrees */
    uint64_t total;         /* synapses in all, where it is known */
    double p, dt_ms;
    uint32_t max_delay_steps;

    uint32_t key[2], stream;
    spki_fill_fn fill;
    spki_counts half;       /* binomial(1024, 1/2) */
    spki_counts block, rest; /* Bernoulli: synapses in a block and in the last one */
    uint32_t leaf;          /* targets of a leaf, a power of two */

    uint32_t *self;         /* of each source: itself among the targets */
    uint32_t *self_source;  /* of each target: itself among the sources */
    uint32_t *row_count;    /* fixed total: synapses of each source */
    uint32_t *in_count;     /* callback, after the scan: synapses of each target */
    uint64_t *row_offset;   /* COO, CSR */
    uint32_t *row_target;
    spk_row_fn row;
    void *row_ctx;
    uint64_t max_row;

    spki_weight_kind weight_kind;
    double weight_a, weight_width, weight_lo, weight_hi;
    double *weight_data;    /* table or array */
    size_t weight_count;
    spki_quantile weight_quantile;
    spk_value_fn weight_fn;
    void *weight_ctx;
    double per_quantum, weight_max;
    int32_t weight_constant;

    spki_delay_kind delay_kind;
    uint32_t delay_constant;
    spki_steps steps;
    uint32_t *steps_upto;
    uint16_t *steps_guide, *delay_data;
    size_t steps_count, delay_count;
    spk_value_fn delay_fn;
    void *delay_ctx;
} spki_proj;

/* What one thread needs besides: the words and values of a chunk, a reason if a row fails, and
   behind it a bitmap of the targets. */
typedef struct spki_row_scratch {
    uint64_t bitmap_is_aligned; /* to this */
    char why[192];
    uint32_t words[3 * SPKI_CHUNK];
    uint32_t target[SPKI_CHUNK], draw[SPKI_CHUNK];
    int32_t weight[SPKI_CHUNK];
    uint16_t delay[SPKI_CHUNK];
} spki_row_scratch;

/* -- random words -- */

SPKI_FN void spki_fill_portable(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                                uint32_t c0_first, uint32_t n_counters, uint32_t *out)
{
    uint32_t i;
    for (i = 0; i < n_counters; i++)
        spki_philox(c0_first + i, c1, c2, c3, key[0], key[1], out + 4 * (size_t)i);
}

SPKI_INLINE uint32_t spki_at(uint32_t what, uint32_t place)
{
    return (what << 28) | place;
}

/* A run of words, drawn `batch` counters at a time. */
typedef struct spki_words {
    const spki_proj *p;
    uint32_t c0, c1, c2, batch, at, have;
    uint32_t word[64];
} spki_words;

SPKI_FN void spki_words_open(spki_words *w, const spki_proj *p, uint32_t c0, uint32_t c1,
                             uint32_t c2, uint64_t words_wanted)
{
    uint64_t counters = (words_wanted + 3) / 4;
    w->p = p;
    w->c0 = c0;
    w->c1 = c1;
    w->c2 = c2;
    w->batch = counters > 16 ? 16u : counters ? (uint32_t)counters : 1u;
    w->at = w->have = 0;
}

SPKI_FN void spki_words_refill(spki_words *w)
{
    w->p->fill(w->p->key, w->c1, w->c2, w->p->stream, w->c0, w->batch, w->word);
    w->c0 += w->batch;
    w->at = 0;
    w->have = 4 * w->batch;
}

SPKI_INLINE uint32_t spki_words_next(spki_words *w)
{
    if (w->at == w->have) spki_words_refill(w);
    return w->word[w->at++];
}

/* Uniform in [0, n), exactly; `refuse` is 2^32 mod n.
   Source: Lemire, ACM TOMACS 29:3 (2019). */
SPKI_INLINE uint32_t spki_words_below(spki_words *w, uint32_t n, uint32_t refuse)
{
    uint64_t x;
    do x = (uint64_t)spki_words_next(w) * n;
    while ((uint32_t)x < refuse);
    return (uint32_t)(x >> 32);
}

SPKI_INLINE uint32_t spki_refuse(uint32_t n)
{
    return (0u - n) % n;
}

SPKI_INLINE uint32_t spki_bits_set(uint32_t x)
{
    x = x - ((x >> 1) & 0x55555555u);
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    return (((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

/* How many of n fair coins show heads: a table for each 1,024, then a bit for each. */
SPKI_FN uint64_t spki_coins(spki_words *w, uint64_t n)
{
    uint64_t heads = 0;
    for (; n >= 1024; n -= 1024) {
        uint64_t high = (uint64_t)spki_words_next(w) << 32;
        heads += spki_counts_draw(&w->p->half, high | spki_words_next(w));
    }
    for (; n >= 32; n -= 32) heads += spki_bits_set(spki_words_next(w));
    if (n) heads += spki_bits_set(spki_words_next(w) >> (32 - n));
    return heads;
}

/* Binomial count out of n with probability num / den, exactly and in integers. Each of the n
   compares the binary digits of a uniform number with those of num / den; a level counts how many
   have the digit 0, and only those that agree with num / den so far go on. den <= 2^63. */
SPKI_FN uint64_t spki_binomial(spki_words *w, uint64_t n, uint64_t num, uint64_t den)
{
    uint64_t below = 0;
    if (num >= den) return n;
    while (n > 0 && num > 0) {
        uint64_t zeros = spki_coins(w, n);
        num *= 2;
        if (num >= den) {
            num -= den;
            below += zeros;
            n -= zeros;
        } else {
            n = zeros;
        }
    }
    return below;
}

/* Words that the first digits of such a count take. */
SPKI_INLINE uint64_t spki_binomial_words(uint64_t n)
{
    return n / 1024 * 2 + n % 1024 / 32 + 1;
}

/* Marks `m` of n targets, each set equally likely, never `skip`: those that are fewer, the chosen
   or the others, are drawn one by one. */
SPKI_FN void spki_subset(spki_words *w, uint64_t *bits, uint32_t n, uint32_t m, uint32_t skip)
{
    uint32_t words = (uint32_t)(((uint64_t)n + 63) / 64), left, i, t, refuse = spki_refuse(n);
    uint32_t pool = n - (skip < n ? 1u : 0u);
    bool others = m > pool - m;
    memset(bits, 0, (size_t)words * sizeof *bits);
    if (skip < n) bits[skip >> 6] |= UINT64_C(1) << (skip & 63);
    for (left = others ? pool - m : m; left > 0; left--) {
        do t = spki_words_below(w, n, refuse);
        while (bits[t >> 6] >> (t & 63) & 1);
        bits[t >> 6] |= UINT64_C(1) << (t & 63);
    }
    if (others) {
        for (i = 0; i < words; i++) bits[i] = ~bits[i];
        if (n & 63) bits[words - 1] &= (UINT64_C(1) << (n & 63)) - 1;
    } else if (skip < n) {
        bits[skip >> 6] &= ~(UINT64_C(1) << (skip & 63));
    }
}

/* -- weights and delays of a chunk -- */

/* Row under way. */
typedef struct spki_emit {
    const spki_proj *p;
    spki_row_scratch *sc;
    uint32_t source, t0, t1;
    spki_edges *out;
    double *lo, *hi; /* scanning: bounds of the weights seen; NULL otherwise */
} spki_emit;

/* The target that a source must not have, SPKI_NO_SELF if there is none. */
SPKI_INLINE uint32_t spki_self(const spki_proj *p, uint32_t source)
{
    if (!p->no_autapses) return SPKI_NO_SELF;
    return p->self ? p->self[source] : p->same_view ? source : SPKI_NO_SELF;
}

SPKI_INLINE uint32_t spki_weight_words(const spki_proj *p)
{
    return p->weight_kind == SPKI_WEIGHT_UNIFORM || p->weight_kind == SPKI_WEIGHT_TABLE ? 1u : 0u;
}

SPKI_INLINE uint32_t spki_delay_words(const spki_proj *p)
{
    return p->delay_kind == SPKI_DELAY_STEPS ? 1u : 0u;
}

/* To the nearest integer, ties to even: the magic number leaves no bits for a fraction. */
SPKI_INLINE int32_t spki_quanta(const spki_proj *p, double weight)
{
    double x = weight * p->per_quantum;
    x = x > p->weight_max ? p->weight_max : x < -p->weight_max ? -p->weight_max : x;
    return (int32_t)((x + 6755399441055744.0) - 6755399441055744.0);
}

SPKI_INLINE double spki_weight_from_word(const spki_proj *p, uint32_t word)
{
    uint32_t i = word >> 20;
    const double *q = p->weight_data + i;
    if (i - SPKI_QUANTILE_TAIL < SPKI_QUANTILES - 2 * SPKI_QUANTILE_TAIL)
        return q[0] + (q[1] - q[0]) * (((double)(word & 0xfffffu) + 0.5) * (1.0 / 1048576.0));
    return spki_quantile_at(&p->weight_quantile, ((double)word + 0.5) * (1.0 / 4294967296.0));
}

SPKI_FN spk_result spki_weights_by_function(spki_emit *e, const uint32_t *t, uint32_t r)
{
    const spki_proj *p = e->p;
    uint32_t self = spki_self(p, e->source), j;
    for (j = 0; j < r; j++) {
        double x;
        e->sc->weight[j] = 0;
        if (t[j] == self) continue; /* about to be dropped, and its distance would be 0 */
        x = p->weight_fn(p->weight_ctx, e->source, t[j]);
        if (!spki_finite(x))
            return spki_because(SPK_ERR_RANGE, e->sc->why, sizeof e->sc->why,
                                "weight is %s for %u -> %u", spki_not_finite(x),
                                (unsigned)e->source, (unsigned)t[j]);
        if (e->lo) *e->lo = SPKI_MIN(*e->lo, x);
        if (e->hi) *e->hi = SPKI_MAX(*e->hi, x);
        e->sc->weight[j] = spki_quanta(p, x);
    }
    return SPK_OK;
}

/* Weights of r synapses: from words, or from the array entries that begin at `entry`. */
SPKI_FN spk_result spki_weights(spki_emit *e, const uint32_t *word, const uint32_t *t, uint32_t r,
                                uint64_t entry)
{
    const spki_proj *p = e->p;
    int32_t *w = e->sc->weight;
    uint32_t j;
    switch (p->weight_kind) {
    case SPKI_WEIGHT_CONSTANT:
        for (j = 0; j < r; j++) w[j] = p->weight_constant;
        break;
    case SPKI_WEIGHT_UNIFORM:
        for (j = 0; j < r; j++)
            w[j] = spki_quanta(p, p->weight_a + p->weight_width * ((double)word[j] + 0.5));
        break;
    case SPKI_WEIGHT_TABLE:
        for (j = 0; j < r; j++) w[j] = spki_quanta(p, spki_weight_from_word(p, word[j]));
        break;
    case SPKI_WEIGHT_ARRAY:
        for (j = 0; j < r; j++) w[j] = spki_quanta(p, p->weight_data[entry + j]);
        break;
    case SPKI_WEIGHT_FUNCTION: return spki_weights_by_function(e, t, r);
    case SPKI_WEIGHT_CALLBACK: break;
    }
    return SPK_OK;
}

/* Steps of a delay, 0 if it is not allowed; then `why` says why not. */
SPKI_FN uint32_t spki_delay_steps(const spki_proj *p, double ms, char *why, size_t why_size)
{
    double x = ms / p->dt_ms;
    if (!spki_finite(ms)) {
        (void)spki_because(SPK_ERR_RANGE, why, why_size, "delay is %s", spki_not_finite(ms));
        return 0;
    }
    if (x <= 0.5) {
        (void)spki_because(SPK_ERR_RANGE, why, why_size,
                           "delay %g ms is shorter than a step (%g ms)", ms, p->dt_ms);
        return 0;
    }
    x = x < 1e6 ? (x + 6755399441055744.0) - 6755399441055744.0 : 1e6;
    if (x <= (double)p->max_delay_steps) return (uint32_t)x;
    (void)spki_because(SPK_ERR_RANGE, why, why_size,
                       "delay %g ms is longer than max_delay_steps (%u steps of %g ms)", ms,
                       (unsigned)p->max_delay_steps, p->dt_ms);
    return 0;
}

SPKI_FN spk_result spki_delays(spki_emit *e, const uint32_t *word, const uint32_t *t, uint32_t r,
                               uint64_t entry)
{
    const spki_proj *p = e->p;
    spki_steps steps = p->steps;
    uint16_t *d = e->sc->delay;
    uint32_t j, k;
    switch (p->delay_kind) {
    case SPKI_DELAY_CONSTANT:
        for (j = 0; j < r; j++) d[j] = (uint16_t)p->delay_constant;
        break;
    case SPKI_DELAY_STEPS:
        for (j = 0; j < r; j++) d[j] = (uint16_t)spki_steps_draw(&steps, word[j]);
        break;
    case SPKI_DELAY_ARRAY: memcpy(d, p->delay_data + entry, r * sizeof *d); break;
    case SPKI_DELAY_FUNCTION:
        for (j = 0; j < r; j++) {
            d[j] = 1;
            if (t[j] == spki_self(p, e->source)) continue;
            k = spki_delay_steps(p, p->delay_fn(p->delay_ctx, e->source, t[j]), e->sc->why,
                                 sizeof e->sc->why);
            if (!k) return SPK_ERR_RANGE;
            d[j] = (uint16_t)k;
        }
        break;
    case SPKI_DELAY_CALLBACK: break;
    }
    return SPK_OK;
}

/* Appends the chunk in the scratch, all of it or what falls on the interval. */
SPKI_FN spk_result spki_commit(spki_emit *e, uint32_t r, bool inside)
{
    const spki_row_scratch *sc = e->sc;
    spki_edges *out = e->out;
    uint32_t n = out->count, span = e->t1 - e->t0, take = r, j;
    if (!inside)
        for (take = 0, j = 0; j < r; j++) take += sc->target[j] - e->t0 < span ? 1u : 0u;
    if (take > out->capacity - n) return SPK_ERR_FULL;
    if (take == r) {
        memcpy(out->target + n, sc->target, r * sizeof *sc->target);
        memcpy(out->weight + n, sc->weight, r * sizeof *sc->weight);
        memcpy(out->delay + n, sc->delay, r * sizeof *sc->delay);
    } else if (take) {
        for (j = 0; j < r; j++) {
            if (sc->target[j] - e->t0 >= span) continue;
            out->target[n] = sc->target[j];
            out->weight[n] = sc->weight[j];
            out->delay[n++] = sc->delay[j];
        }
    }
    out->count += take;
    return SPK_OK;
}

/* Values for the r targets in the scratch, then out with them. Chunk `chunk` of a place has its
   own words. Targets are ascending, so chunks that miss the interval cost nothing. */
SPKI_FN spk_result spki_emit_list(spki_emit *e, uint32_t r, uint32_t place, uint32_t chunk,
                                  uint64_t entry, uint32_t skip)
{
    const spki_proj *p = e->p;
    uint32_t *t = e->sc->target, *words = e->sc->words;
    uint32_t r4 = (r + 3) & ~3u, ww = spki_weight_words(p), nv = ww + spki_delay_words(p), j;
    spk_result result;
    if (t[0] >= e->t1 || t[r - 1] < e->t0) return SPK_OK;
    if (nv)
        p->fill(p->key, e->source, spki_at(SPKI_AT_VALUES, place), p->stream,
                chunk * (SPKI_CHUNK / 4) * nv, nv * (r4 / 4), words);
    result = spki_weights(e, words, t, r, entry);
    if (result == SPK_OK) result = spki_delays(e, words + r4 * ww, t, r, entry);
    if (result != SPK_OK) return result;
    if (skip != SPKI_NO_SELF)
        for (j = 0; j < r; j++)
            if (t[j] == skip) t[j] = UINT32_MAX; /* outside every interval */
    return spki_commit(e, r, skip == SPKI_NO_SELF && t[0] >= e->t0 && t[r - 1] < e->t1);
}

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

/* -- how many -- */

/* Synapses on targets [t0, t1) in all: exact where the rule says it, otherwise the mean plus 8
   standard deviations. NaN for a callback that was not scanned. */
SPKI_FN double spki_proj_expected_row_total(const spki_proj *p, uint32_t t0, uint32_t t1)
{
    double span, share, mean, all;
    uint64_t i, n = 0;
    t1 = SPKI_MIN(t1, p->n_target);
    if (t0 >= t1 || !p->n_source) return 0.0;
    span = (double)(t1 - t0);
    switch (p->rule) {
    case SPK_ONE_TO_ONE: return span;
    case SPK_ALL_TO_ALL: return span * (double)p->n_source;
    case SPK_FIXED_INDEGREE: return span * (double)p->k;
    case SPK_COO:
    case SPK_CSR:
        for (i = 0; i < p->total; i++) n += p->row_target[i] - t0 < t1 - t0 ? 1u : 0u;
        return (double)n;
    case SPK_CALLBACK:
        if (!p->in_count) return __builtin_nan("");
        for (i = t0; i < t1; i++) n += p->in_count[i];
        return (double)n;
    case SPK_BERNOULLI:
        mean = span * (double)p->n_source * p->p;
        return p->p >= 1.0 ? mean : mean + 8.0 * __builtin_sqrt(mean) + 64.0;
    case SPK_FIXED_OUTDEGREE:
    case SPK_FIXED_TOTAL:
    case SPK_RULE_FORCE_32_BIT: break;
    }
    all = p->rule == SPK_FIXED_TOTAL ? (double)p->total : (double)p->k * (double)p->n_source;
    if (span >= (double)p->n_target) return all;
    share = span / (double)(p->n_target - (p->no_autapses && p->n_target > 1 ? 1u : 0u));
    mean = SPKI_MIN(share, 1.0) * all;
    return SPKI_MIN(all, mean + 8.0 * __builtin_sqrt(mean) + 64.0);
}

/* Synapses that a row practically never exceeds. */
SPKI_FN size_t spki_proj_max_row(const spki_proj *p)
{
    double mean;
    if (p->rule == SPK_BERNOULLI) mean = (double)p->n_target * p->p;
    else if (p->rule == SPK_FIXED_INDEGREE && p->n_source)
        mean = (double)p->n_target * (double)p->k / (double)p->n_source;
    else return (size_t)p->max_row;
    return (size_t)(mean + 10.0 * __builtin_sqrt(mean) + 64.0);
}

/* -- weights, as the engine asks -- */

/* Bounds that no weight exceeds; NaN for functions and callbacks until they are scanned. */
SPKI_FN void spki_proj_weight_range(const spki_proj *p, double *lo, double *hi)
{
    *lo = p->weight_lo;
    *hi = p->weight_hi;
}

/* From now on rows hold round(weight / quantum), ties to even, within +-max_abs <= INT32_MAX.
   `quantum` is a power of two. */
SPKI_FN void spki_proj_set_quantum(spki_proj *p, double quantum, int64_t max_abs)
{
    p->per_quantum = 1.0 / quantum;
    p->weight_max = (double)SPKI_MIN(max_abs, (int64_t)INT32_MAX);
    p->weight_constant = spki_quanta(p, p->weight_a);
}

/* Fixed in-degree has no rows without an index, so functions are asked target by target. */
SPKI_FN spk_result spki_scan_indegree(spki_emit *e, uint64_t *bits, uint32_t *src)
{
    const spki_proj *p = e->p;
    uint32_t t, j;
    spk_result result = SPK_OK;
    for (t = 0; t < p->n_target; t++) {
        spki_indegree_sources(p, t, bits, src);
        e->sc->target[0] = t;
        for (j = 0; j < p->k && result == SPK_OK; j++) {
            e->source = src[j];
            result = spki_weights(e, e->sc->words, e->sc->target, 1, 0);
            if (result == SPK_OK && p->delay_kind == SPKI_DELAY_FUNCTION)
                result = spki_delays(e, e->sc->words, e->sc->target, 1, 0);
        }
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

SPKI_FN bool spki_edges_grow(spki_mem *mem, spki_edges *x, uint32_t capacity)
{
    spki_free(mem, x->target, x->capacity, sizeof *x->target);
    spki_free(mem, x->weight, x->capacity, sizeof *x->weight);
    spki_free(mem, x->delay, x->capacity, sizeof *x->delay);
    memset(x, 0, sizeof *x);
    if (!capacity) return true;
    x->capacity = capacity;
    x->target = (uint32_t *)spki_alloc_raw(mem, capacity, sizeof *x->target);
    x->weight = (int32_t *)spki_alloc_raw(mem, capacity, sizeof *x->weight);
    x->delay = (uint16_t *)spki_alloc_raw(mem, capacity, sizeof *x->delay);
    return x->target && x->weight && x->delay;
}

SPKI_FN spk_result spki_scan_rows(spki_mem *mem, spki_proj *p, spki_emit *e)
{
    uint32_t s, j;
    spki_edges *x = e->out;
    for (s = 0; s < p->n_source; s++) {
        spk_result result = SPK_ERR_FULL;
        while (result == SPK_ERR_FULL) {
            x->count = 0;
            e->source = s;
            result = spki_row_by_rule(e, NULL);
            if (result == SPK_ERR_FULL &&
                (x->capacity > (1u << 30) || !spki_edges_grow(mem, x, x->capacity * 2)))
                return SPK_ERR_OUT_OF_MEMORY;
        }
        if (result != SPK_OK) return result;
        if (p->rule != SPK_CALLBACK) continue;
        p->total += x->count;
        p->max_row = SPKI_MAX(p->max_row, x->count);
        for (j = 0; j < x->count; j++) p->in_count[x->target[j]]++;
    }
    return SPK_OK;
}

SPKI_FN bool spki_proj_needs_scan(const spki_proj *p)
{
    return p->weight_kind == SPKI_WEIGHT_FUNCTION || p->weight_kind == SPKI_WEIGHT_CALLBACK ||
           p->delay_kind == SPKI_DELAY_FUNCTION;
}

/* Evaluates functions and callbacks for all synapses: afterwards the weight range is known (0 to 0
   without synapses), and for a callback how many synapses there are. Does nothing for others.
   `why` as for spki_proj_create. Cost: draws the whole projection once, on one thread. */
SPKI_FN spk_result spki_proj_scan_weights(spki_mem *mem, spki_proj *p, char *why, size_t why_size)
{
    size_t size = spki_proj_scratch_size(p) + (size_t)p->k * 4 + (size_t)p->n_source / 8 + 8;
    double lo = __builtin_inf(), hi = -lo;
    spki_edges row;
    spki_emit e;
    spk_result result = SPK_ERR_OUT_OF_MEMORY;
    if (!spki_proj_needs_scan(p)) return SPK_OK;
    memset(&row, 0, sizeof row);
    memset(&e, 0, sizeof e);
    e.p = p;
    e.t1 = p->n_target;
    e.out = &row;
    if (p->weight_kind == SPKI_WEIGHT_FUNCTION || p->weight_kind == SPKI_WEIGHT_CALLBACK) {
        e.lo = &lo;
        e.hi = &hi;
    }
    if (p->rule == SPK_CALLBACK) {
        p->total = p->max_row = 0;
        if (!p->in_count) p->in_count = (uint32_t *)spki_alloc(mem, p->n_target, 4);
        else memset(p->in_count, 0, (size_t)p->n_target * 4);
    }
    e.sc = (spki_row_scratch *)spki_alloc(mem, size, 1);
    if (e.sc && (p->rule != SPK_CALLBACK || p->in_count)) {
        uint64_t *bits = (uint64_t *)(e.sc + 1);
        uint32_t *src = (uint32_t *)(bits + ((size_t)p->n_source + 63) / 64);
        if (!p->n_source || !p->n_target) result = SPK_OK;
        else if (p->rule == SPK_FIXED_INDEGREE) result = spki_scan_indegree(&e, bits, src);
        else if (spki_edges_grow(mem, &row, 1024)) result = spki_scan_rows(mem, p, &e);
    }
    if (result == SPK_ERR_OUT_OF_MEMORY) (void)spki_because(result, why, why_size, "no memory");
    else if (result != SPK_OK) (void)spki_because(result, why, why_size, "%s", e.sc->why);
    else if (e.lo) {
        p->weight_lo = lo <= hi ? lo : 0.0;
        p->weight_hi = lo <= hi ? hi : 0.0;
    }
    (void)spki_edges_grow(mem, &row, 0);
    spki_free(mem, e.sc, size, 1);
    return result;
}

/* -- making one -- */

/* What creation carries from step to step. */
typedef struct spki_making {
    spki_mem *mem;
    spki_proj *p;
    const spk_conn_desc *desc;
    char *why;
    size_t why_size;
} spki_making;

SPKI_FN void spki_proj_destroy(spki_mem *mem, spki_proj *p)
{
    uint64_t n = p->rule == SPK_COO || p->rule == SPK_CSR ? p->total : 0;
    if (!mem) return;
    spki_free(mem, p->self, p->n_source, 4);
    spki_free(mem, p->self_source, p->n_target, 4);
    spki_free(mem, p->row_count, p->n_source, 4);
    spki_free(mem, p->in_count, p->n_target, 4);
    spki_free(mem, p->row_offset, (size_t)p->n_source + 1, 8);
    spki_free(mem, p->row_target, (size_t)n, 4);
    spki_free(mem, p->weight_data, p->weight_count, sizeof(double));
    spki_free(mem, p->delay_data, p->delay_count, 2);
    spki_free(mem, p->steps_upto, p->steps_count, 4);
    spki_free(mem, p->steps_guide, 4096, 2);
    spki_counts_free(&p->half, mem);
    spki_counts_free(&p->block, mem);
    spki_counts_free(&p->rest, mem);
    memset(p, 0, sizeof *p);
}

SPKI_FN spk_result spki_make_no_memory(const spki_making *m)
{
    return spki_because(SPK_ERR_OUT_OF_MEMORY, m->why, m->why_size, "no memory");
}

/* Synapses of a rule whose synapses have an order of their own, so that arrays may follow it. */
SPKI_FN bool spki_rule_is_listed(const spki_proj *p, uint64_t *count)
{
    *count = p->total;
    if (p->rule == SPK_ONE_TO_ONE) *count = p->n_source;
    if (p->rule == SPK_ALL_TO_ALL) *count = (uint64_t)p->n_source * p->n_target;
    return p->rule == SPK_ONE_TO_ONE || p->rule == SPK_ALL_TO_ALL || p->rule == SPK_COO ||
           p->rule == SPK_CSR;
}

/* Checks a weight or delay and brings it to its simplest form. */
SPKI_FN spk_result spki_make_value(const spki_making *m, const char *name, const spk_value *value,
                                   double by_default, spk_value *v)
{
    char tail[160];
    uint64_t n = 0;
    bool listed = spki_rule_is_listed(m->p, &n);
    spk_result result;
    if (value->kind == SPK_VALUE_ARRAY && !listed)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "%s is an array, which needs a rule that lists its synapses (one to "
                            "one, all to all, COO, CSR)", name);
    if (value->kind != SPK_VALUE_DEFAULT && m->p->rule == SPK_CALLBACK)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "%s is given, but a row callback brings its own", name);
    result = spki_value_check(value, (size_t)n, tail, sizeof tail);
    if (result != SPK_OK)
        return spki_because(result, m->why, m->why_size, "%s %s", name, tail);
    *v = value->kind == SPK_VALUE_DEFAULT ? spk_constant(by_default) : spki_value_simplify(value);
    return SPK_OK;
}

SPKI_FN void spki_range_of(const double *x, size_t n, double *lo, double *hi)
{
    size_t i;
    *lo = *hi = n ? x[0] : 0.0;
    for (i = 1; i < n; i++) {
        *lo = SPKI_MIN(*lo, x[i]);
        *hi = SPKI_MAX(*hi, x[i]);
    }
}

SPKI_FN spk_result spki_make_weight_table(const spki_making *m, const spk_value *v)
{
    spki_proj *p = m->p;
    uint32_t i;
    p->weight_kind = SPKI_WEIGHT_TABLE;
    p->weight_count = SPKI_QUANTILES + 1;
    p->weight_data = (double *)spki_alloc(m->mem, p->weight_count, sizeof(double));
    if (!p->weight_data) return spki_make_no_memory(m);
    (void)spki_quantile_init(&p->weight_quantile, v);
    for (i = SPKI_QUANTILE_TAIL; i <= SPKI_QUANTILES - SPKI_QUANTILE_TAIL; i++)
        p->weight_data[i] = spki_quantile_at(&p->weight_quantile, (double)i / SPKI_QUANTILES);
    p->weight_lo = spki_weight_from_word(p, 0);
    p->weight_hi = spki_weight_from_word(p, UINT32_MAX);
    return SPK_OK;
}

SPKI_FN spk_result spki_make_weight(const spki_making *m)
{
    spki_proj *p = m->p;
    spk_value v;
    spk_result result = spki_make_value(m, "weight", &m->desc->weight, 1.0, &v);
    if (result != SPK_OK) return result;
    p->weight_lo = p->weight_hi = __builtin_nan("");
    p->weight_a = v.a;
    if (p->rule == SPK_CALLBACK) {
        p->weight_kind = SPKI_WEIGHT_CALLBACK;
    } else if (v.kind == SPK_VALUE_CONSTANT) {
        p->weight_lo = p->weight_hi = v.a;
    } else if (v.kind == SPK_VALUE_UNIFORM) {
        p->weight_kind = SPKI_WEIGHT_UNIFORM;
        p->weight_width = (v.b - v.a) * (1.0 / 4294967296.0);
        p->weight_lo = v.a;
        p->weight_hi = v.b;
    } else if (v.kind == SPK_VALUE_ARRAY) {
        p->weight_kind = SPKI_WEIGHT_ARRAY;
        p->weight_count = v.count;
        p->weight_data = (double *)spki_alloc_raw(m->mem, v.count, sizeof(double));
        if (!p->weight_data) return spki_make_no_memory(m);
        if (v.count) memcpy(p->weight_data, v.array, v.count * sizeof(double));
        spki_range_of(v.array, v.count, &p->weight_lo, &p->weight_hi);
    } else if (v.kind == SPK_VALUE_FUNCTION) {
        p->weight_kind = SPKI_WEIGHT_FUNCTION;
        p->weight_fn = v.fn;
        p->weight_ctx = v.ctx;
    } else {
        return spki_make_weight_table(m, &v);
    }
    return SPK_OK;
}

/* Distributed delays. Steps beyond 9 standard deviations are not worth a table entry. */
SPKI_FN spk_result spki_make_delay_table(const spki_making *m, const spk_value *v)
{
    spki_proj *p = m->p;
    double low = v->a, high = v->b, share = 0.0, max = (double)p->max_delay_steps;
    uint32_t first, last;
    if (v->kind != SPK_VALUE_UNIFORM) {
        low = v->a - 9.0 * v->b;
        high = v->a + 9.0 * v->b;
    }
    if (v->kind == SPK_VALUE_LOGNORMAL) {
        low = spki_qexp(low);
        high = spki_qexp(high);
    }
    low = low / p->dt_ms - 1.0;
    high = high / p->dt_ms + 1.0;
    first = low < 1.0 ? 1u : low < max ? (uint32_t)low : p->max_delay_steps;
    last = high < 1.0 ? 1u : high < max ? (uint32_t)high : p->max_delay_steps;
    p->delay_kind = SPKI_DELAY_STEPS;
    p->steps_count = last - first + 1;
    p->steps_upto = (uint32_t *)spki_alloc(m->mem, p->steps_count, 4);
    p->steps_guide = (uint16_t *)spki_alloc(m->mem, 4096, 2);
    if (!p->steps_upto || !p->steps_guide) return spki_make_no_memory(m);
    share = spki_steps_build(&p->steps, v, p->dt_ms, first, last, p->steps_upto, p->steps_guide);
    if (v->kind == SPK_VALUE_NORMAL)
        share /= spki_value_mass(v, -__builtin_inf(), __builtin_inf());
    if (share > 1e-6) return SPK_OK;
    return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                        "delay practically never rounds to 1 .. %u steps of %g ms",
                        (unsigned)p->max_delay_steps, p->dt_ms);
}

SPKI_FN spk_result spki_make_delay_array(const spki_making *m, const spk_value *v)
{
    spki_proj *p = m->p;
    size_t i;
    p->delay_kind = SPKI_DELAY_ARRAY;
    p->delay_count = v->count;
    p->delay_data = (uint16_t *)spki_alloc_raw(m->mem, v->count, 2);
    if (!p->delay_data) return spki_make_no_memory(m);
    for (i = 0; i < v->count; i++) {
        uint32_t k = spki_delay_steps(p, v->array[i], m->why, m->why_size);
        if (!k) return SPK_ERR_RANGE;
        p->delay_data[i] = (uint16_t)k;
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_make_delay(const spki_making *m)
{
    spki_proj *p = m->p;
    spk_value v;
    spk_result result = spki_make_value(m, "delay", &m->desc->delay_ms, p->dt_ms, &v);
    if (result != SPK_OK) return result;
    if (p->rule == SPK_CALLBACK) {
        p->delay_kind = SPKI_DELAY_CALLBACK;
        return SPK_OK;
    }
    if (v.kind == SPK_VALUE_CONSTANT) {
        p->delay_constant = spki_delay_steps(p, v.a, m->why, m->why_size);
        return p->delay_constant ? SPK_OK : SPK_ERR_RANGE;
    }
    if (v.kind == SPK_VALUE_ARRAY) return spki_make_delay_array(m, &v);
    if (v.kind != SPK_VALUE_FUNCTION) return spki_make_delay_table(m, &v);
    p->delay_kind = SPKI_DELAY_FUNCTION;
    p->delay_fn = v.fn;
    p->delay_ctx = v.ctx;
    return SPK_OK;
}

/* Who is who, where a neuron must not reach itself. */
SPKI_FN spk_result spki_make_self(const spki_making *m, spki_self_fn self_of, const void *ctx)
{
    spki_proj *p = m->p;
    uint32_t s, t;
    if (!p->no_autapses || p->same_view || !self_of) return SPK_OK;
    p->self = (uint32_t *)spki_alloc_raw(m->mem, p->n_source, 4);
    p->self_source = (uint32_t *)spki_alloc_raw(m->mem, p->n_target, 4);
    if (!p->self || !p->self_source) return spki_make_no_memory(m);
    for (t = 0; t < p->n_target; t++) p->self_source[t] = SPKI_NO_SELF;
    for (s = 0; s < p->n_source; s++) {
        t = self_of(ctx, s);
        p->self[s] = t < p->n_target ? t : SPKI_NO_SELF;
        if (t < p->n_target) p->self_source[t] = s;
    }
    return SPK_OK;
}

/* Sources in [s0, s1) that are among the targets, and pairs that may be drawn from them. */
SPKI_FN uint64_t spki_pairs(const spki_proj *p, uint32_t s0, uint32_t s1)
{
    uint64_t pairs = (uint64_t)(s1 - s0) * p->n_target;
    uint32_t s;
    if (!p->no_autapses) return pairs;
    if (p->same_view && !p->self) return pairs - (s1 - s0);
    for (s = s0; p->self && s < s1; s++) pairs -= p->self[s] != SPKI_NO_SELF ? 1u : 0u;
    return pairs;
}

/* -- rules -- */

/* A leaf has some 64 to 128 synapses, whose words are then drawn in one go. */
SPKI_FN void spki_make_leaves(spki_proj *p, double mean_row)
{
    p->leaf = 256;
    while (p->leaf < p->n_target && (double)p->leaf * mean_row < 64.0 * (double)p->n_target)
        p->leaf *= 2;
}

/* The fewest and the most neurons that one neuron may be paired with, out of n. */
SPKI_FN spk_result spki_make_degree(const spki_making *m, bool in)
{
    spki_proj *p = m->p;
    const char *who = in ? "sources" : "targets";
    uint32_t n = in ? p->n_source : p->n_target, pool = n, i;
    const uint32_t *self = in ? p->self_source : p->self;
    if (m->desc->k > UINT32_MAX)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "k = %llu is too large",
                            (unsigned long long)m->desc->k);
    p->k = (uint32_t)m->desc->k;
    if (!p->k || !p->n_source || !p->n_target) return SPK_OK;
    if (p->no_autapses && p->same_view) pool = n - 1;
    for (i = 0; self && i < (in ? p->n_target : p->n_source); i++)
        if (self[i] != SPKI_NO_SELF) pool = n - 1;
    if (pool == 0)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "k = %u %s without autapses, but the view has only the neuron itself",
                            (unsigned)p->k, who);
    if (p->no_multapses && p->k > pool)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "k = %u %s without %smultapses, but the view has only %u",
                            (unsigned)p->k, who, pool < n ? "autapses and " : "", (unsigned)n);
    p->wide = p->k > 65536u;
    p->max_row = p->k;
    spki_make_leaves(p, (double)p->k);
    return SPK_OK;
}

/* Splits `total` over sources [s0, s1) in proportion to their pairs. */
SPKI_FN void spki_split_total(const spki_proj *p, uint32_t s0, uint32_t s1, uint64_t total,
                              uint32_t level)
{
    uint32_t mid;
    uint64_t left;
    spki_words w;
    if (total == 0) return;
    if (s1 - s0 == 1) {
        p->row_count[s0] = (uint32_t)SPKI_MIN(total, UINT32_MAX);
        return;
    }
    mid = s0 + spki_split(s1 - s0);
    spki_words_open(&w, p, 0, s0, spki_at(SPKI_AT_SOURCES, level), spki_binomial_words(total));
    left = spki_binomial(&w, total, spki_pairs(p, s0, mid), spki_pairs(p, s0, s1));
    spki_split_total(p, s0, mid, left, level + 1);
    spki_split_total(p, mid, s1, total - left, level + 1);
}

/* Row sizes of a set of `chosen` different pairs out of `pairs`. Independent draws with a slightly
   smaller probability give a uniform set of random size; single pairs fill it up, each uniform
   among those left, which makes a uniform set of the size asked for. A set that came out too large
   (once in 10^9) is drawn again. Where more than half are chosen, the others are drawn. */
SPKI_FN void spki_split_distinct(const spki_proj *p, uint64_t pairs, uint64_t chosen)
{
    bool others = chosen > pairs / 2;
    uint64_t want = others ? pairs - chosen : chosen, sum = UINT64_MAX;
    uint32_t attempt, s, refuse_s = spki_refuse(p->n_source), refuse_t = spki_refuse(p->n_target);
    double few = (double)want - 6.0 * __builtin_sqrt((double)want) - 1.0;
    uint64_t num = few > 0.0 ? (uint64_t)(few / (double)pairs * 9223372036854775808.0) : 0;
    spki_words w;
    for (attempt = 0; sum > want; attempt++) {
        for (s = 0, sum = 0; s < p->n_source; s++) {
            uint64_t own = spki_pairs(p, s, s + 1);
            spki_words_open(&w, p, 0, s, spki_at(SPKI_AT_ROWCOUNT, attempt),
                            spki_binomial_words(own));
            p->row_count[s] = (uint32_t)spki_binomial(&w, own, num, UINT64_C(1) << 63);
            sum += p->row_count[s];
        }
    }
    spki_words_open(&w, p, 0, 0, spki_at(SPKI_AT_CORRECTION, 0), want - sum);
    while (sum < want) {
        uint32_t t;
        s = spki_words_below(&w, p->n_source, refuse_s);
        t = spki_words_below(&w, p->n_target, refuse_t);
        if (t < p->row_count[s] || t >= spki_pairs(p, s, s + 1)) continue;
        p->row_count[s]++;
        sum++;
    }
    for (s = 0; others && s < p->n_source; s++)
        p->row_count[s] = (uint32_t)(spki_pairs(p, s, s + 1) - p->row_count[s]);
}

SPKI_FN spk_result spki_make_total(const spki_making *m)
{
    spki_proj *p = m->p;
    uint64_t pairs = spki_pairs(p, 0, p->n_source);
    uint32_t s;
    if (!p->n_source || !p->n_target) {
        p->total = 0;
        return SPK_OK;
    }
    if (p->total && !pairs)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "total = %llu without autapses, but the view has only the neuron "
                            "itself", (unsigned long long)p->total);
    if (p->no_multapses && p->total > pairs)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "total = %llu without multapses, but there are only %llu pairs",
                            (unsigned long long)p->total, (unsigned long long)pairs);
    if (p->total / p->n_source >= UINT32_MAX / 2)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "total = %llu is too large",
                            (unsigned long long)p->total);
    p->row_count = (uint32_t *)spki_alloc(m->mem, p->n_source, 4);
    if (!p->row_count) return spki_make_no_memory(m);
    if (p->no_multapses) spki_split_distinct(p, pairs, p->total);
    else spki_split_total(p, 0, p->n_source, p->total, 0);
    for (s = 0; s < p->n_source; s++) p->max_row = SPKI_MAX(p->max_row, p->row_count[s]);
    spki_make_leaves(p, (double)p->total / (double)p->n_source);
    return SPK_OK;
}

SPKI_FN spk_result spki_make_bernoulli(const spki_making *m)
{
    spki_proj *p = m->p;
    uint32_t rest = p->n_target ? (p->n_target - 1) % SPKI_BLOCK + 1 : 0;
    p->p = m->desc->p;
    if (!(p->p >= 0.0 && p->p <= 1.0))
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "p = %g is not a probability",
                            p->p);
    if (!spki_counts_build(&p->block, m->mem, SPKI_BLOCK, p->p) ||
        !spki_counts_build(&p->rest, m->mem, rest, p->p))
        return spki_make_no_memory(m);
    return SPK_OK;
}

/* What an explicit list must not hold. `seen` has room for all targets. */
SPKI_FN spk_result spki_check_pairs(const spki_making *m, uint32_t *seen)
{
    const spki_proj *p = m->p;
    uint32_t s;
    uint64_t i;
    memset(seen, 0, (size_t)p->n_target * 4);
    for (s = 0; s < p->n_source; s++)
        for (i = p->row_offset[s]; i < p->row_offset[s + 1]; i++) {
            uint32_t t = p->row_target[i];
            if (t == spki_self(p, s))
                return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                    "%u -> %u is an autapse, which no_autapses forbids",
                                    (unsigned)s, (unsigned)t);
            if (p->no_multapses && seen[t] == s + 1)
                return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                    "%u -> %u comes twice, which no_multapses forbids",
                                    (unsigned)s, (unsigned)t);
            seen[t] = s + 1;
        }
    return SPK_OK;
}

SPKI_FN spk_result spki_finish_listed(const spki_making *m)
{
    spki_proj *p = m->p;
    uint32_t *seen, s;
    spk_result result;
    for (s = 0; s < p->n_source; s++)
        p->max_row = SPKI_MAX(p->max_row, p->row_offset[s + 1] - p->row_offset[s]);
    if (p->max_row > UINT32_MAX)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "a source has %llu synapses",
                            (unsigned long long)p->max_row);
    if (!p->no_autapses && !p->no_multapses) return SPK_OK;
    seen = (uint32_t *)spki_alloc_raw(m->mem, p->n_target, 4);
    if (!seen) return spki_make_no_memory(m);
    result = spki_check_pairs(m, seen);
    spki_free(m->mem, seen, p->n_target, 4);
    return result;
}

SPKI_FN spk_result spki_check_list(const spki_making *m, const char *name, const uint32_t *list,
                                   uint64_t total, uint32_t n)
{
    uint64_t i;
    if (!total) return SPK_OK;
    if (!list) return spki_because(SPK_ERR_NULL, m->why, m->why_size, "%ss is NULL", name);
    for (i = 0; i < total; i++)
        if (list[i] >= n)
            return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                "%s %u of entry %llu is outside the view (%u neurons)", name,
                                (unsigned)list[i], (unsigned long long)i, (unsigned)n);
    return SPK_OK;
}

SPKI_FN spk_result spki_make_csr(const spki_making *m)
{
    spki_proj *p = m->p;
    const uint64_t *offset = m->desc->row_offsets;
    uint32_t s;
    spk_result result;
    for (s = 0; s < p->n_source; s++)
        if (offset[s + 1] < offset[s])
            return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                "row_offsets decrease from %llu to %llu after source %u",
                                (unsigned long long)offset[s], (unsigned long long)offset[s + 1],
                                (unsigned)s);
    result = spki_check_list(m, "target", m->desc->targets, p->total, p->n_target);
    if (result != SPK_OK) return result;
    p->row_offset = (uint64_t *)spki_alloc_raw(m->mem, (size_t)p->n_source + 1, 8);
    p->row_target = (uint32_t *)spki_alloc_raw(m->mem, (size_t)p->total, 4);
    if (!p->row_offset || !p->row_target) return spki_make_no_memory(m);
    memcpy(p->row_offset, offset, ((size_t)p->n_source + 1) * 8);
    if (p->total) memcpy(p->row_target, m->desc->targets, (size_t)p->total * 4);
    return spki_finish_listed(m);
}

/* Sorts a list by source, keeping the order within each; arrays of values move along. */
SPKI_FN spk_result spki_make_coo(const spki_making *m)
{
    spki_proj *p = m->p;
    const uint32_t *source = m->desc->sources, *target = m->desc->targets;
    const double *weight = p->weight_kind == SPKI_WEIGHT_ARRAY ? m->desc->weight.array : NULL;
    const double *delay = p->delay_kind == SPKI_DELAY_ARRAY ? m->desc->delay_ms.array : NULL;
    uint64_t *offset, i, at, sum = 0;
    uint32_t s;
    spk_result result = spki_check_list(m, "source", source, p->total, p->n_source);
    if (result == SPK_OK) result = spki_check_list(m, "target", target, p->total, p->n_target);
    if (result != SPK_OK) return result;
    offset = p->row_offset = (uint64_t *)spki_alloc(m->mem, (size_t)p->n_source + 1, 8);
    p->row_target = (uint32_t *)spki_alloc_raw(m->mem, (size_t)p->total, 4);
    if (!p->row_offset || !p->row_target) return spki_make_no_memory(m);
    for (i = 0; i < p->total; i++) offset[source[i]]++;
    for (s = 0; s <= p->n_source; s++) {
        at = offset[s];
        offset[s] = sum;
        sum += at;
    }
    for (i = 0; i < p->total; i++) {
        at = offset[source[i]]++;
        p->row_target[at] = target[i];
        if (weight) p->weight_data[at] = weight[i];
        if (delay) p->delay_data[at] = (uint16_t)spki_delay_steps(p, delay[i], NULL, 0);
    }
    for (s = p->n_source; s > 0; s--) offset[s] = offset[s - 1];
    offset[0] = 0;
    return spki_finish_listed(m);
}

/* How many synapses the description lists; before the values, whose arrays must be as long. */
SPKI_FN spk_result spki_make_extent(const spki_making *m)
{
    const spk_conn_desc *d = m->desc;
    spki_proj *p = m->p;
    bool csr = d->rule == SPK_CSR, given = csr || d->rule == SPK_COO;
    uint64_t total = given || d->rule == SPK_FIXED_TOTAL ? d->total : 0;
    if (csr && !d->row_offsets)
        return spki_because(SPK_ERR_NULL, m->why, m->why_size, "row_offsets is NULL");
    if (csr && d->row_offsets[0] != 0)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "row_offsets begin at %llu instead of 0",
                            (unsigned long long)d->row_offsets[0]);
    if (csr && d->total && d->row_offsets[p->n_source] != d->total)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "row_offsets end at %llu, but total is %llu",
                            (unsigned long long)d->row_offsets[p->n_source],
                            (unsigned long long)d->total);
    if (csr) total = d->row_offsets[p->n_source];
    if (total >> 42 || (uint64_t)(size_t)total != total)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "%s %llu is absurdly large",
                            csr ? "row_offsets end at" : "total =", (unsigned long long)total);
    p->total = total;
    if (d->rule == SPK_ONE_TO_ONE && p->n_source != p->n_target)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "one to one needs views of one size, not %u and %u neurons",
                            (unsigned)p->n_source, (unsigned)p->n_target);
    if (d->rule == SPK_CALLBACK && !d->row)
        return spki_because(SPK_ERR_NULL, m->why, m->why_size, "row callback is NULL");
    return SPK_OK;
}

SPKI_FN spk_result spki_make_rule(const spki_making *m)
{
    spki_proj *p = m->p;
    switch (p->rule) {
    case SPK_ONE_TO_ONE: p->max_row = 1; return SPK_OK;
    case SPK_ALL_TO_ALL: p->max_row = p->n_target; return SPK_OK;
    case SPK_BERNOULLI: return spki_make_bernoulli(m);
    case SPK_FIXED_INDEGREE: return spki_make_degree(m, true);
    case SPK_FIXED_OUTDEGREE: return spki_make_degree(m, false);
    case SPK_FIXED_TOTAL: return spki_make_total(m);
    case SPK_COO: return spki_make_coo(m);
    case SPK_CSR: return spki_make_csr(m);
    case SPK_CALLBACK:
        p->row = m->desc->row;
        p->row_ctx = m->desc->row_ctx;
        p->max_row = p->n_target; /* until it is scanned */
        return SPK_OK;
    case SPK_RULE_FORCE_32_BIT: break;
    }
    return SPK_ERR_RANGE;
}

SPKI_FN spk_result spki_make_limits(const spki_making *m)
{
    const spki_proj *p = m->p;
    if (m->desc->begin_sentinel || m->desc->end_sentinel)
        return spki_because(SPK_ERR_UNINITIALISED, m->why, m->why_size,
                            "descriptor holds garbage: start it with = {0}");
    if ((unsigned)p->rule > (unsigned)SPK_CALLBACK)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "rule %d is unknown",
                            (int)p->rule);
    if (p->n_source > (1u << 30) || p->n_target > (1u << 30))
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "views of %u and %u neurons are too large", (unsigned)p->n_source,
                            (unsigned)p->n_target);
    if (!(p->dt_ms > 0.0) || !spki_finite(p->dt_ms))
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "dt = %g ms", p->dt_ms);
    if (p->max_delay_steps < 1 || p->max_delay_steps > 65535)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "max_delay_steps = %u is not within 1 .. 65535",
                            (unsigned)p->max_delay_steps);
    return SPK_OK;
}

/* Compiles a description: checks all of it, copies arrays, splits totals. `stream` must be this
   projection's own, and so must the Philox counters (*, *, *, stream). `same_view`: source and
   target are one view (self_of is not asked). `self_of` NULL: the views share no neuron. `fill`
   NULL: portable words. `why` receives the tail of a sentence: "weight is NaN".
   Ownership: desc and its arrays are not needed afterwards; functions and contexts are. */
SPKI_FN spk_result spki_proj_create(spki_mem *mem, spki_proj *out, const spk_conn_desc *desc,
                                    uint32_t n_source, uint32_t n_target, double dt_ms,
                                    uint32_t max_delay_steps, uint64_t seed, uint32_t stream,
                                    bool same_view, spki_self_fn self_of, const void *self_ctx,
                                    spki_fill_fn fill, char *why, size_t why_size)
{
    spki_making m;
    spk_result result;
    memset(out, 0, sizeof *out);
    m.mem = mem;
    m.p = out;
    m.desc = desc;
    m.why = why;
    m.why_size = why_size;
    out->rule = desc->rule;
    out->n_source = n_source;
    out->n_target = n_target;
    out->no_autapses = desc->no_autapses;
    out->no_multapses = desc->no_multapses;
    out->same_view = same_view;
    out->dt_ms = dt_ms;
    out->max_delay_steps = max_delay_steps;
    out->key[0] = (uint32_t)seed;
    out->key[1] = (uint32_t)(seed >> 32);
    out->stream = stream;
    out->fill = fill ? fill : spki_fill_portable;
    result = spki_make_limits(&m);
    if (result == SPK_OK) result = spki_make_extent(&m);
    if (result == SPK_OK) result = spki_make_weight(&m);
    if (result == SPK_OK) result = spki_make_delay(&m);
    if (result == SPK_OK) result = spki_make_self(&m, self_of, self_ctx);
    if (result == SPK_OK && !spki_counts_build(&out->half, mem, 1024, 0.5))
        result = spki_make_no_memory(&m);
    if (result == SPK_OK) result = spki_make_rule(&m);
    if (result != SPK_OK) spki_proj_destroy(mem, out);
    else spki_proj_set_quantum(out, 1.0, INT32_MAX);
    return result;
}

#endif
