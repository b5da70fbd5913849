/* ---- >>connect: drawing the synapses of a projection, row by row ---- */
#ifndef SPIKELIB_NET_PROJECTION_H
#define SPIKELIB_NET_PROJECTION_H

#include "draw.h"
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

#define SPKI_CHUNK SPKI_DRAW_MOST /* synapses drawn at a time */
#define SPKI_BLOCK 4096u  /* targets of a block of Bernoulli and all-to-all rows */
#define SPKI_NO_SELF UINT32_MAX

/* Philox words of counters (c0_first + i, c1, c2, c3), i < n_counters, four words each, with the
   keys of all rounds. */
typedef void (*spki_fill_fn)(const uint32_t *key, uint32_t c1, uint32_t c2, uint32_t c3,
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

    uint32_t key[SPKI_PHILOX_KEYS], stream;
    spki_fill_fn fill;
    spki_draw_ops draw;
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

SPKI_FN void spki_fill_portable(const uint32_t *key, uint32_t c1, uint32_t c2, uint32_t c3,
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

SPKI_INLINE int32_t spki_quanta(const spki_proj *p, double weight)
{
    return spki_draw_quanta(weight, p->per_quantum, p->weight_max);
}

SPKI_INLINE double spki_weight_from_word(const spki_proj *p, uint32_t word)
{
    uint32_t i = word >> 20;
    const double *q = p->weight_data + i;
    if (i - SPKI_QUANTILE_TAIL < SPKI_QUANTILES - 2 * SPKI_QUANTILE_TAIL)
        return q[0] + (q[1] - q[0]) * (((double)(word & 0xfffffu) + 0.5) * (1.0 / 1048576.0));
    return spki_quantile_at(&p->weight_quantile, ((double)word + 0.5) * (1.0 / 4294967296.0));
}

SPKI_FN void spki_weights_by_table(const spki_proj *p, const uint32_t *word, uint32_t r, int32_t *w)
{
    spki_draw_weights d;
    uint32_t j;
    if (!p->draw.table) {
        for (j = 0; j < r; j++) w[j] = spki_quanta(p, spki_weight_from_word(p, word[j]));
        return;
    }
    d.table = p->weight_data;
    d.tail = SPKI_QUANTILE_TAIL;
    d.quantile = &p->weight_quantile;
    d.per_quantum = p->per_quantum;
    d.most = p->weight_max;
    p->draw.table(&d, word, r, w);
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
    case SPKI_WEIGHT_TABLE: spki_weights_by_table(p, word, r, w); break;
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

#endif
