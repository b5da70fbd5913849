/* ---- >>gpu-tables: projections as tables of integers, for kernels that draw their rows ----
   A distribution of weights becomes what one of delays is already: thresholds of random words, one
   for each weight in quanta. So a device draws without floating-point numbers, and draws what
   >>connect draws. */
#ifndef SPIKELIB_GPU_HOST_TABLES_H
#define SPIKELIB_GPU_HOST_TABLES_H

#include "state.h"

/* What text/rows.cl calls these numbers, as SPKI_NAME: records of projections, of tiles, of a
   projection on a tile, statistics of a tile; modes; rules; places of random words. */
#define SPKI_GPU_ROWS_NUMBERS(X)                                                                   \
    X(ROWS_RULE, 0) X(ROWS_SOURCES, 1) X(ROWS_TARGETS, 2) X(ROWS_K, 3) X(ROWS_LEAF, 4)             \
    X(ROWS_STREAM, 5) X(ROWS_SELF, 6) X(ROWS_SELF_AT, 7) X(ROWS_SELF_SOURCE_AT, 8)                 \
    X(ROWS_COUNT_AT, 9) X(ROWS_RANGES, 10) X(ROWS_RANGE_AT, 11) X(ROWS_WEIGHT, 12)                 \
    X(ROWS_WEIGHT_AT, 13) X(ROWS_WEIGHT_WORDS, 14) X(ROWS_DELAY, 15) X(ROWS_DELAY_AT, 16)          \
    X(ROWS_DELAY_WORDS, 17) X(ROWS_BLOCK_AT, 18) X(ROWS_REST_AT, 19) X(ROWS_MAGNITUDE, 20)         \
    X(ROWS_SIZE, 21) X(ROWS_HALF, 0)                                                               \
    X(ROWS_TILE_BYTES, 0) X(ROWS_TILE_SLOT, 1) X(ROWS_TILE_WORD, 2) X(ROWS_TILE_FLAT, 4)           \
    X(ROWS_TILE_SHORTEST, 5) X(ROWS_TILE_SIZE, 6) X(ROWS_SEGMENT, 5)                               \
    X(ROWS_FEED_T0, 0) X(ROWS_FEED_T1, 1) X(ROWS_FEED_SLOT, 2) X(ROWS_FEED_FROM, 3)                \
    X(ROWS_FEED_ENTRY, 4) X(ROWS_FEED_SIZE, 5)                                                     \
    X(ROWS_SHORTEST, 0) X(ROWS_LONGEST, 1) X(ROWS_SYNAPSES, 2) X(ROWS_BUCKETS, 3) X(ROWS_STATS, 4) \
    X(ROWS_LOOK, 0) X(ROWS_MEASURE, 1) X(ROWS_WRITE, 2) X(ROWS_LOOKS, 64)                          \
    X(ROWS_ONE_TO_ONE, SPK_ONE_TO_ONE) X(ROWS_ALL_TO_ALL, SPK_ALL_TO_ALL)                          \
    X(ROWS_BERNOULLI, SPK_BERNOULLI) X(ROWS_FIXED_INDEGREE, SPK_FIXED_INDEGREE)                    \
    X(ROWS_AT_NODE, SPKI_AT_NODE) X(ROWS_AT_LEAF, SPKI_AT_LEAF)                                    \
    X(ROWS_AT_REDRAW, SPKI_AT_REDRAW) X(ROWS_AT_BLOCK, SPKI_AT_BLOCK)                              \
    X(ROWS_AT_VALUES, SPKI_AT_VALUES) X(ROWS_AT_INDEGREE, SPKI_AT_INDEGREE)                        \
    X(ROWS_AT_INREDRAW, SPKI_AT_INREDRAW) X(ROWS_AT_INVALUES, SPKI_AT_INVALUES)

#define SPKI_GPU_ROWS_NUMBER(name, value) SPKI_GPU_##name = (int)(value),
enum { SPKI_GPU_ROWS_NUMBERS(SPKI_GPU_ROWS_NUMBER) SPKI_GPU_ROWS_LAST };
#undef SPKI_GPU_ROWS_NUMBER

#define SPKI_GPU_ROWS_NONE UINT32_MAX
#define SPKI_GPU_STEPS_GUIDE 4097u
#define SPKI_GPU_COUNTS_GUIDE 257u

/* A table that grows, and how many words it has. */
SPKI_FN uint32_t spki_gpu_table_end(const spki_gpu_bytes *b)
{
    return (uint32_t)(b->used / 4);
}

SPKI_FN void spki_gpu_table_put(spki_gpu_bytes *b, const uint32_t *x, size_t n)
{
    void *to = n ? spki_gpu_more(b, n * 4) : NULL;
    if (to) {
        memcpy(to, x, n * 4);
    }
}

/* Appends [first, count, guide, upto]. `upto` ascends to UINT32_MAX. */
SPKI_FN uint32_t spki_gpu_steps_table(spki_gpu_bytes *b, uint32_t first, uint32_t count,
                                      const uint32_t *upto)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t *to = (uint32_t *)spki_gpu_more(b, (2 + SPKI_GPU_STEPS_GUIDE + (size_t)count) * 4);
    if (to) {
        uint32_t i = 0;
        to[0] = first;
        to[1] = count;
        for (uint32_t cell = 0; cell + 1 < SPKI_GPU_STEPS_GUIDE; cell++) {
            while ((cell << 20) > upto[i]) {
                i++;
            }
            to[2 + cell] = i;
        }
        to[1 + SPKI_GPU_STEPS_GUIDE] = count - 1;
        memcpy(to + 2 + SPKI_GPU_STEPS_GUIDE, upto, (size_t)count * 4);
    }
    return at;
}

/* The same of counts: thresholds of 64 bits, upper halves first. */
SPKI_FN uint32_t spki_gpu_counts_table(spki_gpu_bytes *b, const spki_counts *c)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t *to =
        (uint32_t *)spki_gpu_more(b, (2 + SPKI_GPU_COUNTS_GUIDE + 2 * (size_t)c->count) * 4);
    if (to) {
        to[0] = c->first;
        to[1] = c->count;
        for (uint32_t cell = 0; cell + 1 < SPKI_GPU_COUNTS_GUIDE; cell++) {
            to[2 + cell] = c->guide[cell];
        }
        to[1 + SPKI_GPU_COUNTS_GUIDE] = c->count - 1;
        to += 2 + SPKI_GPU_COUNTS_GUIDE;
        for (uint32_t k = 0; k < c->count; k++) {
            to[2 * k] = (uint32_t)(c->upto[k] >> 32);
            to[2 * k + 1] = (uint32_t)c->upto[k];
        }
    }
    return at;
}

/* -- weights -- */

/* The weight in quanta that a random word gives. */
SPKI_FN int32_t spki_gpu_weight_of(const spki_proj *p, uint32_t word)
{
    return p->weight_kind == SPKI_WEIGHT_UNIFORM
               ? spki_quanta(p, p->weight_a + p->weight_width * ((double)word + 0.5))
               : spki_quanta(p, spki_weight_from_word(p, word));
}

/* Weights ascend with the word, but for rounding, which may exchange words nearer to each other
   than 4 where a step of words moves the weight by less than it rounds. It does not where the
   spread is wide enough: a word moves it by at least 2.5 * spread / 2^32 quanta (the density of a
   normal distribution is at most 0.4), and 2^-44 of a weight of 2^15 quanta, more than its double
   is wrong by, is 2e-9. */
SPKI_FN bool spki_gpu_weights_ascend(const spki_proj *p)
{
    const double q = p->per_quantum;
    if (p->weight_kind == SPKI_WEIGHT_UNIFORM) {
        return p->weight_width * 4294967296.0 * q >= 8.0;
    }
    if (p->weight_quantile.kind == SPK_VALUE_LOGNORMAL) {
        return p->weight_quantile.b >= 1e-3;
    }
    return p->weight_quantile.kind == SPK_VALUE_NORMAL &&
           p->weight_quantile.b * p->weight_quantile.width * q >= 2.0 &&
           p->weight_quantile.width >= 1e-3;
}

/* The last word whose weight is at most `most`, between two of which the first's is and the last's
   is not. */
SPKI_FN uint32_t spki_gpu_last_word(const spki_proj *p, uint32_t low, uint32_t high, int32_t most)
{
    while (high - low > 1) {
        const uint32_t mid = low + (high - low) / 2;
        if (spki_gpu_weight_of(p, mid) <= most) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Thresholds of weights first .. last, the words' ends included: halves that hold one weight need
   no further look. */
SPKI_FN void spki_gpu_find_words(const spki_proj *p, int32_t first, int32_t last, uint32_t low,
                                 uint32_t high, uint32_t *upto)
{
    while (first < last) {
        const int32_t mid = first + (last - first) / 2;
        const uint32_t at = spki_gpu_last_word(p, low, high, mid);
        upto[mid - first] = at;
        spki_gpu_find_words(p, first, mid, low, at + 1, upto);
        upto += mid + 1 - first;
        first = mid + 1;
        low = at;
    }
}

/* Are the words around each threshold on the right side of it? */
SPKI_FN bool spki_gpu_words_agree(const spki_proj *p, int32_t first, uint32_t count,
                                  const uint32_t *upto)
{
    for (uint32_t i = 0; i + 1 < count; i++) {
        for (uint32_t k = 0; k < 4; k++) {
            if ((upto[i] >= k && spki_gpu_weight_of(p, upto[i] - k) > first + (int32_t)i) ||
                (upto[i] < UINT32_MAX - k &&
                 spki_gpu_weight_of(p, upto[i] + 1 + k) <= first + (int32_t)i)) {
                return false;
            }
        }
    }
    return true;
}

/* Appends the table of a distribution of weights; SPKI_GPU_ROWS_NONE: it has none that is certain
   to agree with every word. */
SPKI_FN uint32_t spki_gpu_weights_table(spki_gpu_bytes *b, const spki_proj *p)
{
    const int32_t first = spki_gpu_weight_of(p, 0), last = spki_gpu_weight_of(p, UINT32_MAX);
    uint32_t at = SPKI_GPU_ROWS_NONE;
    if (!spki_gpu_weights_ascend(p) || last - first < 1 || last - first > 65535) {
        return at;
    }
    const uint32_t count = (uint32_t)(last - first) + 1;
    uint32_t *upto = (uint32_t *)spki_alloc(b->mem, count, 4);
    if (!upto) {
        b->failed = true;
        return at;
    }
    spki_gpu_find_words(p, first, last, 0, UINT32_MAX, upto);
    upto[count - 1] = UINT32_MAX;
    if (spki_gpu_words_agree(p, first, count, upto)) {
        at = spki_gpu_steps_table(b, (uint32_t)first, count, upto);
    }
    spki_free(b->mem, upto, count, 4);
    return at;
}

SPKI_FN bool spki_gpu_same_weights(const spki_proj *a, const spki_proj *b)
{
    return a->weight_kind == b->weight_kind && a->per_quantum == b->per_quantum &&
           a->weight_max == b->weight_max && a->weight_a == b->weight_a &&
           a->weight_width == b->weight_width &&
           a->weight_quantile.kind == b->weight_quantile.kind &&
           a->weight_quantile.a == b->weight_quantile.a &&
           a->weight_quantile.b == b->weight_quantile.b &&
           a->weight_quantile.lo == b->weight_quantile.lo &&
           a->weight_quantile.hi == b->weight_quantile.hi;
}

/* -- which networks -- */

SPKI_FN bool spki_gpu_draws(const spki_proj *p)
{
    const bool weights = p->weight_kind == SPKI_WEIGHT_CONSTANT ||
                         p->weight_kind == SPKI_WEIGHT_UNIFORM ||
                         p->weight_kind == SPKI_WEIGHT_TABLE;
    const bool delays =
        p->delay_kind == SPKI_DELAY_CONSTANT || p->delay_kind == SPKI_DELAY_STEPS;
    switch (p->rule) {
    case SPK_ONE_TO_ONE:
    case SPK_ALL_TO_ALL:
    case SPK_BERNOULLI: return weights && delays;
    case SPK_FIXED_INDEGREE:
    case SPK_FIXED_OUTDEGREE:
    case SPK_FIXED_TOTAL: return weights && delays && !p->no_multapses && !p->wide;
    case SPK_COO:
    case SPK_CSR:
    case SPK_CALLBACK:
    case SPK_RULE_FORCE_32_BIT: break;
    }
    return false;
}

/* Why the rows of a network cannot be drawn by a device; NULL: they can. */
SPKI_FN const char *spki_gpu_draws_not(const spk_net *net)
{
    if (net->projections == 0) {
        return "there is nothing to draw";
    }
    if (net->desc.weight_bits == 32) {
        return "weights have 32 bits";
    }
    for (uint32_t r = 0; r < net->recorders; r++) {
        if (net->recorder[r]->kind == SPK_REC_WEIGHTS) {
            return "weights are recorded";
        }
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        if (!spki_gpu_draws(&net->projection[k].proj)) {
            return "a projection comes from a list, an array, a function or a callback, or has a "
                   "fixed number without multapses";
        }
    }
    return NULL;
}

/* -- records -- */

typedef struct spki_gpu_tables {
    spki_gpu_bytes plan, table, tiles, slot;
    uint32_t shortest, longest;
    bool indexed;    /* a fixed in-degree is among them */
    const char *not_; /* why there are none; NULL: no memory, where they failed */
} spki_gpu_tables;

SPKI_FN void spki_gpu_tables_free(spki_gpu_tables *t)
{
    spki_gpu_forget(&t->plan);
    spki_gpu_forget(&t->table);
    spki_gpu_forget(&t->tiles);
    spki_gpu_forget(&t->slot);
}

SPKI_FN bool spki_gpu_tables_failed(const spki_gpu_tables *t)
{
    return t->plan.failed || t->table.failed || t->tiles.failed || t->slot.failed || t->not_;
}

/* Weights of projection k, whose record is `out`; an earlier one may have the same. */
SPKI_FN void spki_gpu_put_weights(const spk_net *net, spki_gpu_tables *t, uint32_t k,
                                  uint32_t *out)
{
    const spki_proj *p = &net->projection[k].proj;
    out[SPKI_GPU_ROWS_WEIGHT] = (uint32_t)p->weight_constant;
    out[SPKI_GPU_ROWS_WEIGHT_AT] = SPKI_GPU_ROWS_NONE;
    out[SPKI_GPU_ROWS_WEIGHT_WORDS] = spki_weight_words(p);
    if (p->weight_kind == SPKI_WEIGHT_CONSTANT) {
        return;
    }
    for (uint32_t j = 0; j < k; j++) {
        if (spki_gpu_same_weights(&net->projection[j].proj, p)) {
            const uint32_t *as = (const uint32_t *)(const void *)t->plan.data;
            out[SPKI_GPU_ROWS_WEIGHT_AT] =
                as[(size_t)j * SPKI_GPU_ROWS_SIZE + SPKI_GPU_ROWS_WEIGHT_AT];
            return;
        }
    }
    out[SPKI_GPU_ROWS_WEIGHT_AT] = spki_gpu_weights_table(&t->table, p);
    if (out[SPKI_GPU_ROWS_WEIGHT_AT] == SPKI_GPU_ROWS_NONE) {
        t->not_ = "weights are spread too little to be drawn by thresholds";
    }
}

SPKI_FN void spki_gpu_put_delays(const spki_proj *p, spki_gpu_tables *t, uint32_t *out)
{
    const bool spread = p->delay_kind == SPKI_DELAY_STEPS;
    const uint32_t first = spread ? p->steps.first : p->delay_constant;
    out[SPKI_GPU_ROWS_DELAY] = p->delay_constant;
    out[SPKI_GPU_ROWS_DELAY_WORDS] = spki_delay_words(p);
    out[SPKI_GPU_ROWS_DELAY_AT] =
        spread ? spki_gpu_steps_table(&t->table, p->steps.first, p->steps.count, p->steps.upto)
               : SPKI_GPU_ROWS_NONE;
    t->shortest = SPKI_MIN(t->shortest, first);
    t->longest = SPKI_MAX(t->longest, spread ? first + p->steps.count - 1 : first);
}

SPKI_FN uint32_t spki_gpu_put_ranges(const spki_view *view, spki_gpu_bytes *b)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t index = 0;
    for (uint32_t r = 0; r < view->ranges; r++) {
        const uint32_t x[3] = {view->range[r].first, view->range[r].count, index};
        spki_gpu_table_put(b, x, 3);
        index += view->range[r].count;
    }
    return at;
}

SPKI_FN void spki_gpu_put_projection(const spk_net *net, spki_gpu_tables *t, uint32_t k)
{
    const spki_projection *projection = &net->projection[k];
    const spki_proj *p = &projection->proj;
    const spki_view *source = &net->view[projection->source];
    uint32_t out[SPKI_GPU_ROWS_SIZE];
    memset(out, 0, sizeof out);
    out[SPKI_GPU_ROWS_RULE] = (uint32_t)p->rule;
    out[SPKI_GPU_ROWS_SOURCES] = p->n_source;
    out[SPKI_GPU_ROWS_TARGETS] = p->n_target;
    out[SPKI_GPU_ROWS_K] = p->k;
    out[SPKI_GPU_ROWS_LEAF] = p->leaf;
    out[SPKI_GPU_ROWS_STREAM] = p->stream;
    out[SPKI_GPU_ROWS_MAGNITUDE] = projection->magnitude;
    out[SPKI_GPU_ROWS_RANGES] = source->ranges;
    out[SPKI_GPU_ROWS_RANGE_AT] = spki_gpu_put_ranges(source, &t->table);
    out[SPKI_GPU_ROWS_SELF] = !p->no_autapses ? 0 : p->self ? 2 : p->same_view ? 1 : 0;
    if (p->self) {
        out[SPKI_GPU_ROWS_SELF_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->self, p->n_source);
        out[SPKI_GPU_ROWS_SELF_SOURCE_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->self_source, p->n_target);
    }
    out[SPKI_GPU_ROWS_COUNT_AT] = SPKI_GPU_ROWS_NONE;
    if (p->row_count) {
        out[SPKI_GPU_ROWS_COUNT_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->row_count, p->n_source);
    }
    if (p->rule == SPK_BERNOULLI && p->n_target) {
        out[SPKI_GPU_ROWS_BLOCK_AT] = spki_gpu_counts_table(&t->table, &p->block);
        out[SPKI_GPU_ROWS_REST_AT] = spki_gpu_counts_table(&t->table, &p->rest);
    }
    spki_gpu_put_weights(net, t, k, out);
    spki_gpu_put_delays(p, t, out);
    spki_gpu_table_put(&t->plan, out, SPKI_GPU_ROWS_SIZE);
    t->indexed = t->indexed || p->rule == SPK_FIXED_INDEGREE;
}

/* The slots of a projection's targets in a tile: those for weights >= 0 in the lower half. A
   projection onto the same targets has the same. */
SPKI_FN void spki_gpu_put_feed(spk_net *net, spki_gpu_tables *t, const spki_tile *tile, uint32_t k,
                               uint32_t *feeds)
{
    const spki_projection *p = &net->projection[k];
    uint32_t *out = feeds + (size_t)k * SPKI_GPU_ROWS_FEED_SIZE;
    for (uint32_t j = 0; j < k; j++) {
        const spki_projection *q = &net->projection[j];
        const bool same = p->receptor && q->receptor ? strcmp(p->receptor, q->receptor) == 0
                                                     : p->receptor == q->receptor;
        if (same && p->target == q->target) {
            memcpy(out, feeds + (size_t)j * SPKI_GPU_ROWS_FEED_SIZE,
                   SPKI_GPU_ROWS_FEED_SIZE * sizeof *out);
            return;
        }
    }
    spki_feed feed;
    memset(&feed, 0, sizeof feed);
    feed.projection = p;
    t->slot.failed = !spki_feed_slots(net, tile, &feed) || t->slot.failed;
    const uint32_t n = feed.t1 - feed.t0;
    out[SPKI_GPU_ROWS_FEED_T0] = feed.t0;
    out[SPKI_GPU_ROWS_FEED_T1] = feed.t1;
    out[SPKI_GPU_ROWS_FEED_SLOT] = spki_gpu_table_end(&t->slot);
    uint32_t *slot = n ? (uint32_t *)spki_gpu_more(&t->slot, (size_t)n * 4) : NULL;
    for (uint32_t i = 0; slot && i < n; i++) {
        slot[i] = feed.slot[0][i] | (uint32_t)feed.slot[1][i] << 16;
    }
    spki_free(&net->mem, feed.slot[0], n, sizeof(uint16_t));
    spki_free(&net->mem, feed.slot[1], n, sizeof(uint16_t));
}

/* Words of a tile's record and its feeds. */
SPKI_FN size_t spki_gpu_tile_words(const spk_net *net)
{
    return SPKI_GPU_ROWS_TILE_SIZE + (size_t)net->projections * SPKI_GPU_ROWS_FEED_SIZE;
}

SPKI_FN void spki_gpu_put_tile(spk_net *net, spki_gpu_tables *t, const spki_tile *tile,
                               uint64_t slots)
{
    uint32_t *out = (uint32_t *)spki_gpu_more(&t->tiles, spki_gpu_tile_words(net) * 4);
    if (!out) {
        return;
    }
    out[SPKI_GPU_ROWS_TILE_BYTES] = tile->count_bytes;
    out[SPKI_GPU_ROWS_TILE_SLOT] = (uint32_t)slots;
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_gpu_put_feed(net, t, tile, k, out + SPKI_GPU_ROWS_TILE_SIZE);
    }
}

/* All that drawing the rows of `tiles` tiles needs. False: what `not_` says, or no memory. */
SPKI_FN bool spki_gpu_tables_make(spk_net *net, spki_gpu_tables *t, uint32_t tile, uint32_t tiles)
{
    uint64_t slots = 0;
    memset(t, 0, sizeof *t);
    t->plan.mem = t->table.mem = t->tiles.mem = t->slot.mem = &net->mem;
    t->shortest = UINT32_MAX;
    t->not_ = spki_gpu_draws_not(net);
    if (!t->not_) {
        (void)spki_gpu_counts_table(&t->table, &net->projection[0].proj.half);
    }
    for (uint32_t k = 0; k < net->projections && !spki_gpu_tables_failed(t); k++) {
        spki_gpu_put_projection(net, t, k);
    }
    for (uint32_t k = tile; k < tile + tiles && !spki_gpu_tables_failed(t); k++) {
        spki_gpu_put_tile(net, t, &net->tile[k], slots);
        slots += spki_gpu_tile_slots(&net->tile[k]);
        if (slots > UINT32_MAX || t->slot.used / 4 > UINT32_MAX) {
            t->not_ = "there are more than 2^32 accumulators";
        }
    }
    (void)spki_gpu_more(&t->slot, 4);
    return !spki_gpu_tables_failed(t);
}

#endif
