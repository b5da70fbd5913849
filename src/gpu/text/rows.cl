/* ---- >>kernel-rows: connectivity drawn where it will be used ----
   The same rows as those of >>rows and >>build, to the bit: random words are addressed by
   (seed; source, place in the row, stream), so whoever draws them gets the same. There are no
   floating-point numbers here: a distribution of weights or delays is a table of thresholds of
   random words, as delays have it on the host.

   An item draws the synapses of one source on one tile, twice: to count how many there are of each
   delay, then to put them where they belong. Fixed in-degrees, which are drawn by target, are
   first collected by source. */

#define SPKI_ROWS_NONE 0xffffffffu
#define SPKI_ROWS_MIN(a, b) ((a) < (b) ? (a) : (b))

typedef struct spki_drawn_words {
    uint32_t k0, k1, c0, c1, c2, c3, at;
    uint32_t word[4];
} spki_drawn_words;

/* Philox4x32-10. Source: Salmon et al., SC11 (2011). */
SPKI_DEVICE void spki_drawn_philox(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2,
                                 uint32_t c3, uint32_t out[4])
{
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

SPKI_DEVICE uint32_t spki_drawn_at(uint32_t what, uint32_t place)
{
    return (what << 28) | place;
}

/* -- a run of words -- */

SPKI_DEVICE void spki_drawn_open(spki_drawn_words *w, uint32_t k0, uint32_t k1, uint32_t c0,
                               uint32_t c1, uint32_t c2, uint32_t c3)
{
    w->k0 = k0;
    w->k1 = k1;
    w->c0 = c0;
    w->c1 = c1;
    w->c2 = c2;
    w->c3 = c3;
    w->at = 4;
}

SPKI_DEVICE uint32_t spki_drawn_next(spki_drawn_words *w)
{
    if (w->at == 4) {
        spki_drawn_philox(w->k0, w->k1, w->c0, w->c1, w->c2, w->c3, w->word);
        w->c0++;
        w->at = 0;
    }
    return w->word[w->at++];
}

/* Uniform in [0, n), as >>connect has it. */
SPKI_DEVICE uint32_t spki_drawn_below(spki_drawn_words *w, uint32_t n, uint32_t refuse)
{
    uint64_t x;
    do {
        x = (uint64_t)spki_drawn_next(w) * n;
    } while ((uint32_t)x < refuse);
    return (uint32_t)(x >> 32);
}

SPKI_DEVICE uint32_t spki_drawn_refuse(uint32_t n)
{
    return (0u - n) % n;
}

/* -- distributions: tables of thresholds -- */

/* The first i with word <= upto[i], a guide says between which two to look. */
SPKI_DEVICE uint32_t spki_drawn_steps(SPKI_GLOBAL const uint32_t *t, uint32_t word)
{
    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 4097;
    uint32_t low = guide[word >> 20], high = guide[(word >> 20) + 1];
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (word > upto[mid]) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return t[0] + low;
}

/* The same with words of 64 bits: how many of a fixed number. */
SPKI_DEVICE uint32_t spki_drawn_counts(SPKI_GLOBAL const uint32_t *t, uint64_t word)
{
    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 257;
    const uint32_t cell = (uint32_t)(word >> 56);
    uint32_t low = guide[cell], high = guide[cell + 1];
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (word > ((uint64_t)upto[2 * mid] << 32 | upto[2 * mid + 1])) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return t[0] + low;
}

SPKI_DEVICE uint32_t spki_drawn_draw_count(SPKI_GLOBAL const uint32_t *t, spki_drawn_words *w)
{
    const uint64_t high = (uint64_t)spki_drawn_next(w) << 32;
    return spki_drawn_counts(t, high | spki_drawn_next(w));
}

/* How many of n fair coins show heads; `coins`: of 1,024. */
SPKI_DEVICE uint64_t spki_drawn_coins(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,
                                    uint64_t n)
{
    uint64_t heads = 0;
    for (; n >= 1024; n -= 1024) {
        heads += spki_drawn_draw_count(coins, w);
    }
    for (; n >= 32; n -= 32) {
        heads += SPKI_POPCOUNT((uint64_t)spki_drawn_next(w));
    }
    if (n) {
        heads += SPKI_POPCOUNT((uint64_t)(spki_drawn_next(w) >> (32 - (uint32_t)n)));
    }
    return heads;
}

/* Binomial count out of n with probability num / den: >>connect. */
SPKI_DEVICE uint64_t spki_drawn_binomial(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,
                                       uint64_t n, uint64_t num, uint64_t den)
{
    uint64_t below = 0;
    if (num >= den) {
        return n;
    }
    while (n > 0 && num > 0) {
        const uint64_t zeros = spki_drawn_coins(coins, w, n);
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

/* -- one row, under way -- */

typedef struct spki_drawn {
    SPKI_GLOBAL const uint32_t *proj, *table, *slot; /* slot: of target t0, a word each */
    SPKI_GLOBAL uint32_t *count, *place, *begin;     /* by delay, `stride` apart */
    SPKI_GLOBAL uint32_t *indegree;                  /* of the tile's slots */
    SPKI_GLOBAL uint32_t *words;
    uint32_t stride, shortest, tally, write, packed, most;
    uint32_t flat, first, all; /* bits of a slot; the tile's shortest delay; synapses of the row */
    uint32_t k0, k1, source, t0, t1, self, n;
} spki_drawn;

/* Words of a bucket. */
SPKI_DEVICE uint32_t spki_drawn_packed(uint32_t count)
{
    return count / 4 * 3 + count % 4;
}

/* Synapse k of `all` in three bytes, if four of an entry are complete: >>gpu-pack. */
SPKI_DEVICE void spki_drawn_pack(SPKI_GLOBAL uint32_t *bucket, uint32_t most, uint32_t k,
                               uint32_t all, uint32_t slot, uint32_t weight)
{
    const uint32_t entry = k / most, within = k % most, group = within / 4, j = within % 4;
    const uint32_t left = all - entry * most, count = left < most ? left : most;
    SPKI_GLOBAL uint32_t *to = bucket + entry * spki_drawn_packed(most) + group * 3;
    if (group == count / 4) {
        to[j] = slot | weight << 16;
        return;
    }
    if (j == 0 && most != SPKI_ROWS_NONE) { /* synapses of a flat row come in any order */
        to[0] = to[1] = to[2] = 0;
    }
    to[j / 2] |= slot << (j % 2 * 16);
    to[2] |= (weight & 0xffu) << (8 * j);
}

/* A synapse on target t, whose weight and delay come from these words. */
SPKI_DEVICE void spki_drawn_put(spki_drawn *r, uint32_t t, uint32_t weight_word,
                                uint32_t delay_word)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    uint32_t d, w, slot;
    if (t - r->t0 >= r->t1 - r->t0) {
        return;
    }
    d = p[SPKI_ROWS_DELAY_AT] == SPKI_ROWS_NONE
            ? p[SPKI_ROWS_DELAY]
            : spki_drawn_steps(r->table + p[SPKI_ROWS_DELAY_AT], delay_word);
    const uint32_t later = d - r->first;
    d = (d - r->shortest) * r->stride;
    if (!r->write) {
        r->count[d]++;
        r->n++;
        if (!r->tally) {
            return;
        }
    }
    w = p[SPKI_ROWS_WEIGHT_AT] == SPKI_ROWS_NONE
            ? p[SPKI_ROWS_WEIGHT]
            : spki_drawn_steps(r->table + p[SPKI_ROWS_WEIGHT_AT], weight_word);
    slot = r->slot[t - r->t0];
    slot = (w & 0x80000000u) ? slot >> 16 : slot & 0xffffu;
    if (!r->write) {
        (void)SPKI_ADD32(r->indegree + slot, 1u);
        return;
    }
    if ((w & 0x80000000u) && p[SPKI_ROWS_MAGNITUDE]) {
        w = 0u - w;
    }
    if (r->flat) {
        slot |= later << r->flat;
    }
    if (r->packed && r->flat) {
        spki_drawn_pack(r->words, SPKI_ROWS_NONE, r->place[d]++, r->all, slot, w);
    } else if (r->packed) {
        spki_drawn_pack(r->words + r->begin[d], r->most, r->place[d]++, r->count[d], slot, w);
    } else {
        r->words[r->place[d]++] = slot | w << 16;
    }
}

/* Up to four synapses; their words of weights begin at counter cw, those of delays at cd. */
SPKI_DEVICE void spki_drawn_four(spki_drawn *r, const uint32_t t[4], uint32_t count, uint32_t c2,
                               uint32_t cw, uint32_t cd)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t span = r->t1 - r->t0;
    uint32_t weight[4], delay[4], any = 0, k;
    for (k = 0; k < 4; k++) {
        weight[k] = delay[k] = 0;
        any |= k < count && t[k] - r->t0 < span ? 1u : 0u;
    }
    if (!any) {
        return;
    }
    if (p[SPKI_ROWS_WEIGHT_AT] != SPKI_ROWS_NONE && (r->write | r->tally)) {
        spki_drawn_philox(r->k0, r->k1, cw, r->source, c2, p[SPKI_ROWS_STREAM], weight);
    }
    if (p[SPKI_ROWS_DELAY_AT] != SPKI_ROWS_NONE) {
        spki_drawn_philox(r->k0, r->k1, cd, r->source, c2, p[SPKI_ROWS_STREAM], delay);
    }
    for (k = 0; k < count; k++) {
        spki_drawn_put(r, t[k], weight[k], delay[k]);
    }
}

/* Synapses [j, j + count), count <= 4, of a list of `all` that comes in chunks of 128, each with
   its own words: those of the weights, then those of the delays. */
SPKI_DEVICE void spki_drawn_listed(spki_drawn *r, const uint32_t t[4], uint32_t j, uint32_t count,
                                 uint32_t all, uint32_t place)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS];
    const uint32_t chunk = j / 128, left = all - chunk * 128;
    const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;
    const uint32_t c = chunk * 32 * (weights + p[SPKI_ROWS_DELAY_WORDS]) + j % 128 / 4;
    spki_drawn_four(r, t, count, spki_drawn_at(SPKI_ROWS_AT_VALUES, place), c, c + here * weights);
}

/* -- rules -- */

SPKI_DEVICE void spki_drawn_same(spki_drawn *r)
{
    const uint32_t t[4] = {r->source, 0, 0, 0};
    if (r->self != r->source) {
        spki_drawn_listed(r, t, 0, 1, 1, 0);
    }
}

/* Chunks of 128 targets, words by blocks of 4,096. */
SPKI_DEVICE void spki_drawn_all(spki_drawn *r)
{
    const uint32_t n = r->proj[SPKI_ROWS_TARGETS];
    for (uint32_t first = r->t0 / 4 * 4; first < r->t1; first += 4) {
        const uint32_t block = first / 4096, begin = block * 4096, left = n - begin;
        uint32_t t[4];
        for (uint32_t k = 0; k < 4; k++) {
            t[k] = first + k == r->self ? SPKI_ROWS_NONE : first + k;
        }
        spki_drawn_listed(r, t, first - begin, n - first < 4 ? n - first : 4u,
                        left < 4096 ? left : 4096u, block);
    }
}

/* Marks m of n targets in a block's bits: the first m different ones that are drawn, or all but
   the first n - m. */
SPKI_DEVICE void spki_drawn_subset(spki_drawn_words *w, uint32_t bits[128], uint32_t n, uint32_t m)
{
    const uint32_t refuse = spki_drawn_refuse(n), others = m > n - m ? 1u : 0u;
    uint32_t left = others ? n - m : m, k;
    for (k = 0; k < 128; k++) {
        bits[k] = 0;
    }
    while (left) {
        const uint32_t t = spki_drawn_below(w, n, refuse), bit = 1u << (t & 31);
        left -= (bits[t >> 5] & bit) ? 0u : 1u;
        bits[t >> 5] |= bit;
    }
    for (k = 0; others && k < 128; k++) {
        const uint32_t end = n - SPKI_ROWS_MIN(n, k * 32);
        bits[k] = ~bits[k] & (end < 32 ? (1u << end) - 1 : 0xffffffffu);
    }
}

/* The marked targets of a block that lie in the interval. */
SPKI_DEVICE void spki_drawn_bits(spki_drawn *r, const uint32_t bits[128], uint32_t m,
                                 uint32_t block)
{
    const uint32_t base = block * 4096;
    uint32_t j = 0, k, t[4] = {0, 0, 0, 0};
    for (k = 0; k < 128 && j < m && base + k * 32 < r->t1; k++) {
        uint32_t now = bits[k];
        while (now) {
            const uint32_t at = base + k * 32 + SPKI_POPCOUNT((uint64_t)((now & (0u - now)) - 1));
            now &= now - 1;
            t[j % 4] = at == r->self ? SPKI_ROWS_NONE : at;
            j++;
            if (j % 4 == 0) {
                spki_drawn_listed(r, t, j - 4, 4, m, block);
            }
        }
    }
    if (j % 4) {
        spki_drawn_listed(r, t, j / 4 * 4, j % 4, m, block);
    }
}

SPKI_DEVICE void spki_drawn_bernoulli(spki_drawn *r)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t n = p[SPKI_ROWS_TARGETS], end = (n - 1) / 4096, last = (r->t1 - 1) / 4096;
    for (uint32_t b = r->t0 / 4096; b <= last; b++) {
        const uint32_t size = b < end ? 4096u : n - b * 4096;
        uint32_t bits[128];
        spki_drawn_words w;
        spki_drawn_open(&w, r->k0, r->k1, 0, r->source, spki_drawn_at(SPKI_ROWS_AT_BLOCK, b),
                      p[SPKI_ROWS_STREAM]);
        const uint32_t m = spki_drawn_draw_count(
            r->table + (b < end ? p[SPKI_ROWS_BLOCK_AT] : p[SPKI_ROWS_REST_AT]), &w);
        if (m) {
            spki_drawn_subset(&w, bits, size, m);
            spki_drawn_bits(r, bits, m, b);
        }
    }
}

/* m synapses on one leaf. */
SPKI_DEVICE void spki_drawn_leaf(spki_drawn *r, uint32_t leaf, uint32_t m)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS], values = 1 + weights +
                                                                 p[SPKI_ROWS_DELAY_WORDS];
    const uint32_t base = leaf * p[SPKI_ROWS_LEAF], rest = p[SPKI_ROWS_TARGETS] - base;
    const uint32_t whole = SPKI_ROWS_MIN(p[SPKI_ROWS_LEAF], rest);
    const uint32_t skip = r->self - base < whole ? 1u : 0u, size = whole - skip;
    const uint32_t refuse = spki_drawn_refuse(size), c2 = spki_drawn_at(SPKI_ROWS_AT_LEAF, leaf);
    for (uint32_t j = 0; j < m; j += 4) {
        const uint32_t chunk = j / 128, left = m - chunk * 128;
        const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;
        const uint32_t c = chunk * 32 * values + j % 128 / 4, count = m - j < 4 ? m - j : 4u;
        uint32_t word[4], t[4];
        spki_drawn_philox(r->k0, r->k1, c, r->source, c2, p[SPKI_ROWS_STREAM], word);
        for (uint32_t k = 0; k < count; k++) {
            const uint64_t x = (uint64_t)word[k] * size;
            t[k] = base + (uint32_t)(x >> 32);
            if ((uint32_t)x < refuse) {
                spki_drawn_words w;
                spki_drawn_open(&w, r->k0, r->k1, j + k, r->source,
                              spki_drawn_at(SPKI_ROWS_AT_REDRAW, leaf), p[SPKI_ROWS_STREAM]);
                t[k] = base + spki_drawn_below(&w, size, refuse);
            }
            t[k] += skip && t[k] >= r->self ? 1u : 0u;
        }
        spki_drawn_four(r, t, count, c2, c + here, c + here * (1 + weights));
    }
}

/* Targets of leaves [l0, l1) that the row may reach. */
SPKI_DEVICE uint64_t spki_drawn_span(const spki_drawn *r, uint32_t l0, uint32_t l1)
{
    const uint64_t leaf = r->proj[SPKI_ROWS_LEAF], n = r->proj[SPKI_ROWS_TARGETS];
    const uint64_t a = l0 * leaf, end = l1 * leaf, b = end < n ? end : n;
    return b - a - (r->self >= a && r->self < b ? 1u : 0u);
}

/* A row of m synapses: a binary tree of binomial draws says how many each leaf gets. */
SPKI_DEVICE void spki_drawn_tree(spki_drawn *r, uint32_t m)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint64_t leaf = p[SPKI_ROWS_LEAF];
    uint32_t low[32], high[32], size[32], level[32], top = 1;
    low[0] = 0;
    high[0] = (uint32_t)((p[SPKI_ROWS_TARGETS] + leaf - 1) / leaf);
    size[0] = m;
    level[0] = 0;
    while (top) {
        const uint32_t at = --top, l0 = low[at], l1 = high[at], deep = level[at];
        const uint32_t all = size[at];
        uint32_t left = 1;
        spki_drawn_words w;
        if (!all || l0 * leaf >= r->t1 || l1 * leaf <= r->t0) {
            continue;
        }
        if (l1 - l0 == 1) {
            spki_drawn_leaf(r, l0, all);
            continue;
        }
        while (left < l1 - l0 - left) {
            left *= 2;
        }
        spki_drawn_open(&w, r->k0, r->k1, deep << 24, r->source,
                      spki_drawn_at(SPKI_ROWS_AT_NODE, l0), p[SPKI_ROWS_STREAM]);
        const uint32_t here = (uint32_t)spki_drawn_binomial(
            r->table + SPKI_ROWS_HALF, &w, all, spki_drawn_span(r, l0, l0 + left),
            spki_drawn_span(r, l0, l1));
        low[top] = l0 + left; /* the right half waits below the left one */
        high[top] = l1;
        size[top] = all - here;
        level[top] = deep + 1;
        top++;
        low[top] = l0;
        high[top] = l0 + left;
        size[top] = here;
        level[top] = deep + 1;
        top++;
    }
}

/* Entries of an index: the target in the upper half, the number of the draw in the lower. */
SPKI_DEVICE void spki_drawn_indexed(spki_drawn *r, SPKI_GLOBAL const uint32_t *entry, uint32_t from,
                                  uint32_t to)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    for (uint32_t i = from; i < to; i++) {
        const uint32_t t = r->t0 + (entry[i] >> 16);
        uint32_t w[4] = {0, 0, 0, 0};
        if (p[SPKI_ROWS_WEIGHT_WORDS] + p[SPKI_ROWS_DELAY_WORDS]) {
            spki_drawn_philox(r->k0, r->k1, entry[i] & 0xffffu, t,
                            spki_drawn_at(SPKI_ROWS_AT_INVALUES, 0), p[SPKI_ROWS_STREAM], w);
        }
        spki_drawn_put(r, t, w[0], w[1]);
    }
}

/* -- all rows -- */

/* Place of a neuron in a view, or SPKI_ROWS_NONE. */
SPKI_DEVICE uint32_t spki_drawn_find(SPKI_GLOBAL const uint32_t *range, uint32_t ranges,
                                     uint32_t id)
{
    for (uint32_t k = 0; k < ranges; k++) {
        if (id - range[3 * k] < range[3 * k + 1]) {
            return range[3 * k + 2] + (id - range[3 * k]);
        }
    }
    return SPKI_ROWS_NONE;
}

SPKI_DEVICE uint32_t spki_drawn_self(SPKI_GLOBAL const uint32_t *table, uint32_t kind, uint32_t at,
                                   uint32_t k)
{
    return kind == 0 ? SPKI_ROWS_NONE : kind == 1 ? k : table[at + k];
}

/* The synapses of neuron `id` on a tile, by all projections. */
SPKI_DEVICE void spki_drawn_draw(spki_drawn *r, SPKI_GLOBAL const uint32_t *plan,
                               SPKI_GLOBAL const uint32_t *feed, SPKI_GLOBAL const uint32_t *slot,
                               SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,
                               uint32_t projections, uint32_t id)
{
    for (uint32_t k = 0; k < projections; k++, feed += SPKI_ROWS_FEED_SIZE) {
        SPKI_GLOBAL const uint32_t *p = plan + k * SPKI_ROWS_SIZE;
        const uint32_t rule = p[SPKI_ROWS_RULE];
        const uint32_t s =
            spki_drawn_find(r->table + p[SPKI_ROWS_RANGE_AT], p[SPKI_ROWS_RANGES], id);
        r->t0 = feed[SPKI_ROWS_FEED_T0];
        r->t1 = feed[SPKI_ROWS_FEED_T1];
        if (s == SPKI_ROWS_NONE || r->t0 >= r->t1) {
            continue;
        }
        r->proj = p;
        r->source = s;
        r->slot = slot + feed[SPKI_ROWS_FEED_SLOT];
        r->self = spki_drawn_self(r->table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_AT], s);
        if (rule == SPKI_ROWS_ONE_TO_ONE) {
            spki_drawn_same(r);
        } else if (rule == SPKI_ROWS_ALL_TO_ALL) {
            spki_drawn_all(r);
        } else if (rule == SPKI_ROWS_BERNOULLI) {
            spki_drawn_bernoulli(r);
        } else if (rule == SPKI_ROWS_FIXED_INDEGREE) {
            const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + s;
            spki_drawn_indexed(r, entry, s ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY], from[at]);
        } else {
            spki_drawn_tree(r, p[SPKI_ROWS_COUNT_AT] == SPKI_ROWS_NONE
                                 ? p[SPKI_ROWS_K]
                                 : r->table[p[SPKI_ROWS_COUNT_AT] + s]);
        }
    }
}

/* Entries of a row and words of its buckets, from its counts by delay; where `out` is given, they
   are written there and `place` says where each bucket begins. */
SPKI_DEVICE uint32_t spki_drawn_entries(const spki_drawn *r, uint32_t delays, uint32_t bytes,
                                      SPKI_GLOBAL uint32_t *out, uint32_t at, uint32_t *words)
{
    const uint32_t most = bytes == 1 ? 255u : 65535u;
    uint32_t entries = 0, before = 0, begun = 0;
    for (uint32_t k = 0; k < delays; k++) {
        const uint32_t all = r->count[k * r->stride], d = r->shortest + k;
        if (out) {
            r->place[k * r->stride] = r->packed ? 0 : at;
            if (r->packed) {
                r->begin[k * r->stride] = at;
            }
        }
        for (uint32_t left = all; left; entries++) {
            const uint32_t step = SPKI_ROWS_MIN(d - before, most);
            const uint32_t n = before + step == d ? SPKI_ROWS_MIN(left, most) : 0u;
            before += step;
            left -= n;
            at += r->packed ? spki_drawn_packed(n) : n;
            begun |= bytes == 1 ? (step | n << 8) << (entries % 2 * 16) : step | n << 16;
            if (out && (bytes == 2 || entries % 2)) {
                *out++ = begun;
            }
            begun = bytes == 2 || entries % 2 ? 0 : begun;
        }
    }
    if (out && bytes == 1 && entries % 2) {
        *out = begun;
    }
    *words = at;
    return entries;
}

SPKI_DEVICE uint32_t spki_drawn_head(uint32_t entries, uint32_t bytes)
{
    return 1 + (entries * bytes * 2 + 3) / 4;
}

/* Where the synapses of each delay go in a flat row; returns how many all are. */
SPKI_DEVICE uint32_t spki_drawn_places(const spki_drawn *r, uint32_t delays)
{
    uint32_t before = 0;
    for (uint32_t k = 0; k < delays; k++) {
        r->place[k * r->stride] = before;
        before += r->count[k * r->stride];
    }
    return before;
}

/* `mode`: SPKI_ROWS_LOOK at some rows of each tile (their entries by counts of one byte and of
   two to `out`), SPKI_ROWS_MEASURE all (their words to `rows`, and to `out` those that they would
   have flat; statistics of tiles, in-degrees, out-degrees), SPKI_ROWS_WRITE (where `rows` says,
   into `out`). Items have the (tile, neuron) from `first` on. */
SPKI_ENTRY(spki_rows)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,
                      SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL const uint32_t *slot,
                      SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,
                      SPKI_GLOBAL uint32_t *scratch, SPKI_GLOBAL uint32_t *rows,
                      SPKI_GLOBAL uint32_t *out, SPKI_GLOBAL uint32_t *stats,
                      SPKI_GLOBAL uint32_t *indegree, SPKI_GLOBAL uint32_t *outdegree,
                      uint64_t first, uint32_t items, uint32_t neurons,
                      uint32_t projections, uint32_t shortest, uint32_t delays, uint32_t k0,
                      uint32_t k1, uint32_t packed, uint32_t mode)
{
    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    const uint32_t each = mode == SPKI_ROWS_LOOK ? SPKI_ROWS_LOOKS : neurons;
    if (i >= items) {
        return;
    }
    const uint32_t t = (uint32_t)((first + i) / each), k = (uint32_t)((first + i) % each);
    const uint32_t id =
        mode == SPKI_ROWS_LOOK ? (uint32_t)((uint64_t)neurons * k / SPKI_ROWS_LOOKS) : k;
    SPKI_GLOBAL const uint32_t *own =
        tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE);
    const uint32_t bytes = own[SPKI_ROWS_TILE_BYTES];
    const uint64_t at = (uint64_t)t * neurons + id;
    uint32_t words, entries;
    spki_drawn r;
    r.table = table;
    r.stride = items;
    r.count = scratch + i;
    r.place = r.count + (uint64_t)delays * items;
    r.begin = r.place + (uint64_t)delays * items;
    r.indegree = indegree + own[SPKI_ROWS_TILE_SLOT];
    r.words = out;
    r.shortest = shortest;
    r.tally = mode == SPKI_ROWS_MEASURE ? 1u : 0u;
    r.packed = packed;
    r.most = bytes == 1 ? 255u : 65535u;
    r.flat = mode == SPKI_ROWS_WRITE ? own[SPKI_ROWS_TILE_FLAT] : 0;
    r.first = r.flat ? own[SPKI_ROWS_TILE_SHORTEST] : shortest;
    r.k0 = k0;
    r.k1 = k1;
    r.write = r.n = r.all = 0;
    for (uint32_t d = 0; d < delays; d++) {
        r.count[(uint64_t)d * items] = 0;
    }
    spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);
    if (mode == SPKI_ROWS_LOOK) {
        out[2 * (first + i)] = spki_drawn_entries(&r, delays, 1, 0, 0, &words);
        out[2 * (first + i) + 1] = spki_drawn_entries(&r, delays, 2, 0, 0, &words);
        return;
    }
    if (mode == SPKI_ROWS_MEASURE) {
        SPKI_GLOBAL uint32_t *s = stats + t * SPKI_ROWS_STATS;
        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);
        rows[at] = r.n ? words + spki_drawn_head(entries, bytes) : 0;
        out[at] = r.n ? 1 + (packed ? spki_drawn_packed(r.n) : r.n) : 0;
        if (r.n) {
            uint32_t low = 0, high = delays - 1;
            while (!r.count[(uint64_t)low * items]) {
                low++;
            }
            while (!r.count[(uint64_t)high * items]) {
                high--;
            }
            SPKI_MIN32(s + SPKI_ROWS_SHORTEST, shortest + low);
            SPKI_MAX32(s + SPKI_ROWS_LONGEST, shortest + high);
            (void)SPKI_ADD32(s + SPKI_ROWS_SYNAPSES, r.n);
            (void)SPKI_ADD32(s + SPKI_ROWS_BUCKETS, entries);
            (void)SPKI_ADD32(outdegree + id, r.n);
        }
        return;
    }
    r.words = out + ((uint64_t)own[SPKI_ROWS_TILE_WORD] |
                     (uint64_t)own[SPKI_ROWS_TILE_WORD + 1] << 32);
    if (id == 0) {
        r.words[0] = 0; /* the row of a source without synapses */
    }
    if (r.n && r.flat) {
        r.words += rows[at];
        *r.words++ = r.all = spki_drawn_places(&r, delays);
        for (uint32_t w = 0; packed && w < spki_drawn_packed(r.all); w++) {
            r.words[w] = 0;
        }
        r.write = 1;
        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);
    } else if (r.n) {
        const uint32_t start = rows[at];
        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);
        const uint32_t head = spki_drawn_head(entries, bytes);
        r.words[start] = entries;
        (void)spki_drawn_entries(&r, delays, bytes, r.words + start + 1, start + head, &words);
        r.write = 1;
        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);
    }
}

/* Sums of what stands before, from `x` to `to`: a group has a segment (its place in two words, how
   many, what the sums begin with, its place in `sum`). `keep`: a 0 stays one. `sum`: what all of
   it come to, and what they began with. */
SPKI_ENTRY(spki_rows_scan)(SPKI_GLOBAL const uint32_t *x, SPKI_GLOBAL uint32_t *to,
                           SPKI_GLOBAL const uint32_t *segment, SPKI_GLOBAL uint32_t *sum,
                           uint32_t keep)
{
    SPKI_SHARED uint64_t part[SPKI_SCAN_ITEMS];
    SPKI_GLOBAL const uint32_t *own = segment + SPKI_GROUP_ID() * SPKI_ROWS_SEGMENT;
    const uint64_t at = (uint64_t)own[0] | (uint64_t)own[1] << 32;
    const uint32_t n = own[2], each = (n + SPKI_SCAN_ITEMS - 1) / SPKI_SCAN_ITEMS;
    const uint32_t item = SPKI_ITEM(), begin = SPKI_ROWS_MIN(n, item * each);
    const uint32_t end = SPKI_ROWS_MIN(n, begin + each);
    uint64_t all = 0;
    for (uint32_t k = begin; k < end; k++) {
        all += x[at + k];
    }
    part[item] = all;
    SPKI_MEET();
    if (item == 0) {
        uint64_t before = own[3];
        for (uint32_t k = 0; k < SPKI_SCAN_ITEMS; k++) {
            const uint64_t here = part[k];
            part[k] = before;
            before += here;
        }
        sum[2 * own[4]] = (uint32_t)before;
        sum[2 * own[4] + 1] = (uint32_t)(before >> 32);
    }
    SPKI_MEET();
    all = part[item];
    for (uint32_t k = begin; k < end; k++) {
        const uint32_t here = x[at + k];
        to[at + k] = keep && !here ? 0 : (uint32_t)all;
        all += here;
    }
}

/* -- fixed in-degrees: drawn by target, collected by source -- */

/* An item has a target of projection `which`, those of tiles [tile, tile + count). Counts its
   sources, or puts an entry behind those that each has. */
SPKI_ENTRY(spki_rows_collect)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,
                              SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL uint32_t *from,
                              SPKI_GLOBAL uint32_t *entry, uint32_t which, uint32_t projections,
                              uint32_t tile, uint32_t count, uint32_t k0, uint32_t k1,
                              uint32_t put)
{
    SPKI_GLOBAL const uint32_t *p = plan + which * SPKI_ROWS_SIZE;
    const uint64_t size = SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE;
    SPKI_GLOBAL const uint32_t *feed =
        tiles + SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;
    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    const uint32_t t = feed[tile * size + SPKI_ROWS_FEED_T0] + i;
    uint32_t low = tile, high = tile + count - 1;
    if (t >= feed[high * size + SPKI_ROWS_FEED_T1]) {
        return;
    }
    while (low < high) { /* the tile of this target */
        const uint32_t mid = (low + high) / 2;
        if (t >= feed[mid * size + SPKI_ROWS_FEED_T1]) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    feed += low * size;
    const uint32_t n = p[SPKI_ROWS_SOURCES], refuse = spki_drawn_refuse(n), k = p[SPKI_ROWS_K];
    const uint32_t self = spki_drawn_self(table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_SOURCE_AT], t);
    spki_drawn_words w, again;
    spki_drawn_open(&w, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INDEGREE, 0), p[SPKI_ROWS_STREAM]);
    spki_drawn_open(&again, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INREDRAW, 0),
                  p[SPKI_ROWS_STREAM]);
    for (uint32_t j = 0; j < k; j++) {
        const uint64_t x = (uint64_t)spki_drawn_next(&w) * n;
        uint32_t s = (uint32_t)(x >> 32);
        if ((uint32_t)x < refuse) {
            s = spki_drawn_below(&again, n, refuse);
        }
        while (s == self) {
            s = spki_drawn_below(&again, n, refuse);
        }
        const uint32_t at = SPKI_ADD32(from + feed[SPKI_ROWS_FEED_FROM] + s, 1u);
        if (put) {
            entry[at] = (t - feed[SPKI_ROWS_FEED_T0]) << 16 | j;
        }
    }
}

SPKI_DEVICE void spki_drawn_sift(SPKI_GLOBAL uint32_t *x, uint32_t root, uint32_t n)
{
    const uint32_t own = x[root];
    for (uint32_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        child += child + 1 < n && x[child + 1] > x[child] ? 1u : 0u;
        if (x[child] <= own) {
            break;
        }
        x[root] = x[child];
        root = child;
    }
    x[root] = own;
}

/* Entries came as items ran: an item puts those of one source in order, as a heap. */
SPKI_ENTRY(spki_rows_sort)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *tiles,
                           SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL uint32_t *entry,
                           uint32_t which, uint32_t projections, uint32_t tile, uint32_t count)
{
    const uint32_t n = plan[which * SPKI_ROWS_SIZE + SPKI_ROWS_SOURCES];
    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    if (i >= n) {
        return;
    }
    for (uint32_t t = tile; t < tile + count; t++) {
        SPKI_GLOBAL const uint32_t *feed =
            tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE) +
            SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;
        const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + i;
        const uint32_t begin = i ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY];
        const uint32_t all =
            feed[SPKI_ROWS_FEED_T0] < feed[SPKI_ROWS_FEED_T1] ? from[at] - begin : 0;
        SPKI_GLOBAL uint32_t *x = entry + begin;
        for (uint32_t k = all / 2; k > 0; k--) {
            spki_drawn_sift(x, k - 1, all);
        }
        for (uint32_t k = all; k > 1; k--) {
            const uint32_t last = x[k - 1];
            x[k - 1] = x[0];
            x[0] = last;
            spki_drawn_sift(x, 0, k - 1);
        }
    }
}
