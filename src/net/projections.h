/* ---- >>projections: checking and compiling a description, and what the engine asks of it ---- */
#ifndef SPIKELIB_NET_PROJECTIONS_H
#define SPIKELIB_NET_PROJECTIONS_H

#include "rows.h"

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
    spki_philox_keys((uint32_t)seed, (uint32_t)(seed >> 32), out->key);
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
