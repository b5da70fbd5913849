/* ---- >>latency: histograms with buckets 1/32 wide ---- */
#ifndef SPIKELIB_PIPELINE_HISTOGRAM_H
#define SPIKELIB_PIPELINE_HISTOGRAM_H

#include "../api/pipeline.h"
#include "../core/base.h"

/* Nanoseconds up to 63 are exact; above, each power of two has 32 buckets, up to 2^40 ns (18 min).
   One thread records, any may read: words are loaded and stored whole. */
#define SPKI_HIST_SUB 32u
#define SPKI_HIST_BITS 40u
#define SPKI_HIST_BUCKETS ((SPKI_HIST_BITS - 5u) * SPKI_HIST_SUB + SPKI_HIST_SUB)

typedef struct spki_hist {
    uint64_t count, sum_ns, max_ns;
    uint64_t bucket[SPKI_HIST_BUCKETS];
} spki_hist;

SPKI_FN uint32_t spki_hist_bucket(uint64_t ns)
{
    uint32_t shift;
    if (ns < 2 * SPKI_HIST_SUB) return (uint32_t)ns;
    if (ns >> SPKI_HIST_BITS) return SPKI_HIST_BUCKETS - 1;
    shift = 58u - (uint32_t)__builtin_clzll(ns); /* so that 32 to 63 remain */
    return shift * SPKI_HIST_SUB + (uint32_t)(ns >> shift);
}

/* The largest value that the bucket holds. */
SPKI_FN uint64_t spki_hist_top(uint32_t bucket)
{
    uint32_t shift;
    if (bucket < 2 * SPKI_HIST_SUB) return bucket;
    shift = bucket / SPKI_HIST_SUB - 1;
    return (((uint64_t)(bucket - shift * SPKI_HIST_SUB) + 1) << shift) - 1;
}

/* Only the owner writes, so a load and a store make an addition. */
SPKI_INLINE void spki_own_add(uint64_t *word, uint64_t n)
{
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

SPKI_INLINE uint64_t spki_own_read(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

SPKI_FN void spki_hist_record(spki_hist *h, int64_t ns, uint64_t times)
{
    uint64_t x = ns < 0 ? 0 : (uint64_t)ns;
    spki_own_add(&h->bucket[spki_hist_bucket(x)], times);
    spki_own_add(&h->sum_ns, x * times);
    spki_own_add(&h->count, times);
    if (x > spki_own_read(&h->max_ns)) __atomic_store_n(&h->max_ns, x, __ATOMIC_RELAXED);
}

SPKI_FN void spki_hist_merge(spki_hist *into, const spki_hist *from)
{
    uint32_t k;
    if (spki_own_read(&from->count) == 0) return;
    for (k = 0; k < SPKI_HIST_BUCKETS; k++) into->bucket[k] += spki_own_read(&from->bucket[k]);
    into->count += spki_own_read(&from->count);
    into->sum_ns += spki_own_read(&from->sum_ns);
    into->max_ns = SPKI_MAX(into->max_ns, spki_own_read(&from->max_ns));
}

/* The value that `part` of all do not exceed (nearest rank). */
SPKI_FN double spki_hist_percentile_us(const spki_hist *h, uint64_t total, double part)
{
    uint64_t sum = 0, rank = (uint64_t)(part * (double)total);
    uint32_t k;
    if ((double)rank < part * (double)total || rank == 0) rank++;
    for (k = 0; k < SPKI_HIST_BUCKETS; k++) {
        sum += h->bucket[k];
        if (sum >= rank) return 1e-3 * (double)SPKI_MIN(spki_hist_top(k), h->max_ns);
    }
    return 1e-3 * (double)h->max_ns;
}

SPKI_FN void spki_hist_report(const spki_hist *h, spk_latency *out)
{
    uint64_t total = 0;
    uint32_t k;
    memset(out, 0, sizeof *out);
    for (k = 0; k < SPKI_HIST_BUCKETS; k++) total += h->bucket[k];
    if (total == 0) return;
    out->count = total;
    out->mean_us = 1e-3 * (double)h->sum_ns / (double)SPKI_MAX(h->count, 1u);
    out->p50_us = spki_hist_percentile_us(h, total, 0.5);
    out->p99_us = spki_hist_percentile_us(h, total, 0.99);
    out->p999_us = spki_hist_percentile_us(h, total, 0.999);
    out->max_us = 1e-3 * (double)h->max_ns;
}

#endif
