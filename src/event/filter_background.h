/* ---- >>filter-background: events that no neighbour supports ---- */
#ifndef SPIKELIB_EVENT_FILTER_BACKGROUND_H
#define SPIKELIB_EVENT_FILTER_BACKGROUND_H

#include "../simd/have.h"
#include "filter_pixel.h"

#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

typedef struct spki_background {
    spk_filter f;
    spki_map map; /* planes: polarities, if they matter */
    uint32_t window, refractory, min_support, max_support;
    size_t (*run)(struct spki_background *b, spk_event *events, size_t count);
} spki_background;

/* How many of the 8 cells around one are within the window of a time. */
SPKI_INLINE uint32_t spki_support_scalar(const int32_t *cell, size_t stride, int32_t now,
                                         uint32_t window)
{
    const int32_t *above = cell - stride, *below = cell + stride;
    return spki_map_within(now, above[-1], window) +
           spki_map_within(now, above[0], window) +
           spki_map_within(now, above[1], window) +
           spki_map_within(now, cell[-1], window) +
           spki_map_within(now, cell[1], window) +
           spki_map_within(now, below[-1], window) +
           spki_map_within(now, below[0], window) +
           spki_map_within(now, below[1], window);
}

#if SPKI_HAVE_AVX2
/* Unsigned comparison by flipping the sign bits; of four cells of a row the first three count. The
   pixel's own row is read cell by cell: sensors send rows, so one of its cells has often just been
   written, and a load that is wider than the store waits for that to reach the cache. */
SPKI_INLINE uint32_t spki_support_avx2(const int32_t *cell, size_t stride, int32_t now,
                                       uint32_t window)
{
    const __m128i t = _mm_set1_epi32((int32_t)((uint32_t)now + (window - 1) + 0x80000000u));
    const __m128i limit = _mm_set1_epi32((int32_t)(2 * (window - 1) + 0x80000000u));
    const __m128i a = _mm_sub_epi32(t, _mm_loadu_si128((const __m128i *)(cell - stride - 1)));
    const __m128i b = _mm_sub_epi32(t, _mm_loadu_si128((const __m128i *)(cell + stride - 1)));
    const __m128i late = _mm_packs_epi32(_mm_cmpgt_epi32(a, limit), _mm_cmpgt_epi32(b, limit));
    return (uint32_t)__builtin_popcount(~(unsigned)_mm_movemask_epi8(late) & 0x1515u) +
           spki_map_within(now, cell[-1], window) + spki_map_within(now, cell[1], window);
}
#endif

SPKI_INLINE uint32_t spki_support(bool vectors, const int32_t *cell, size_t stride, int32_t now,
                                  uint32_t window)
{
#if SPKI_HAVE_AVX2
    if (vectors) return spki_support_avx2(cell, stride, now, window);
#endif
    (void)vectors;
    return spki_support_scalar(cell, stride, now, window);
}

/* The events from..to; those that pass go to `out` on. Returns where they end. */
SPKI_INLINE size_t spki_background_some(spki_background *b, spk_event *events, size_t from,
                                        size_t to, size_t out, bool vectors)
{
    spki_grid grid = spki_map_grid(&b->map);
    const uint32_t window = b->window, refractory = b->refractory;
    const uint32_t low = b->min_support, span = b->max_support - b->min_support;
    size_t i, others = 0;
    for (i = from; i < to; i++) {
        const uint32_t x = events[i].x, y = events[i].y, polarity = events[i].polarity;
        const int64_t t = events[i].t_us;
        int32_t *cell, now;
        uint32_t kept;
        if (__builtin_expect(events[i].kind != SPK_EVENT_CD, 0)) {
            events[out++] = events[i];
            others++;
            continue;
        }
        if (!spki_grid_fits(&grid, x, y, t)) {
            if (!spki_map_ready(&b->map, &b->f, x, y, t)) continue;
            grid = spki_map_grid(&b->map);
        }
        cell = spki_grid_at(&grid, x, y, polarity);
        now = (int32_t)(t - grid.base);
        kept = spki_support(vectors, cell, grid.stride, now, window) - low <= span;
        if (refractory) kept &= !spki_map_within(now, *cell, refractory);
        *cell = now;
        events[out] = events[i];
        out += kept;
    }
    b->f.stats.others += others;
    return out;
}

SPKI_FN size_t spki_background_scalar(spki_background *b, spk_event *events, size_t count)
{
    return spki_background_some(b, events, 0, count, 0, false);
}

#if SPKI_HAVE_AVX2 /* for its count of bits; without, the vectors gain nothing */
SPKI_EV8_AVX2 SPKI_FN size_t spki_background_avx2(spki_background *b, spk_event *events,
                                                  size_t count)
{
    spki_grid grid = spki_map_grid(&b->map);
    const uint32_t window = b->window, refractory = b->refractory;
    const uint32_t low = b->min_support, span = b->max_support - b->min_support;
    const bool batches = spki_map_batches(&b->map);
    size_t i, k, out = 0;
    for (i = 0; i + SPKI_EV8 <= count && batches; i += SPKI_EV8) {
        int32_t cell[SPKI_EV8], now[SPKI_EV8];
        if (!spki_ev8_in(&grid, events + i, cell, now)) {
            out = spki_background_some(b, events, i, i + SPKI_EV8, out, true);
            grid = spki_map_grid(&b->map);
            continue;
        }
        for (k = 0; k < SPKI_EV8; k++) {
            int32_t *const at = grid.origin + cell[k];
            uint32_t kept = spki_support(true, at, grid.stride, now[k], window) - low <= span;
            if (refractory) kept &= !spki_map_within(now[k], *at, refractory);
            *at = now[k];
            events[out] = events[i + k];
            out += kept;
        }
    }
    return spki_background_some(b, events, i, count, out, true);
}
#endif

SPKI_FN size_t spki_background_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_background *b = (spki_background *)f;
    return b->run(b, events, count);
}

SPKI_FN void spki_background_reset(spk_filter *f) { spki_map_clear(&((spki_background *)f)->map); }
SPKI_FN void spki_background_release(spk_filter *f)
{
    spki_map_free(&((spki_background *)f)->map, &f->mem);
}

SPIKELIB_API spk_filter *spk_filter_background(const spk_background_desc *desc)
{
    static const spki_filter_ops ops = {spki_background_apply, spki_background_reset,
                                        spki_background_release};
    static const spk_background_desc none = {0, 0, 0, 0, 0, 0, false, 0, SPK_ISA_AUTO,
                                             {NULL, NULL, NULL}, 0, 0};
    const spk_background_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_background *b = (spki_background *)spki_filter_new(
        "background", sizeof *b, &ops, &d->allocator, d->memory_limit, garbage, d->isa);
    if (!b || b->f.status != SPK_OK) return (spk_filter *)b;
    b->window = spki_filter_time(&b->f, "window_us", d->window_us, 2000);
    b->refractory = spki_filter_time(&b->f, "refractory_us", d->refractory_us, 0);
    b->min_support = d->min_support ? d->min_support : 1;
    b->max_support = d->max_support ? d->max_support : 8;
    if (b->min_support > b->max_support || b->max_support > 8)
        spki_filter_fail(&b->f, SPK_ERR_RANGE, "min_support = %u, max_support = %u: not in 1 to 8, "
                         "or the wrong way round", (unsigned)d->min_support,
                         (unsigned)d->max_support);
    b->run = spki_background_scalar;
#if SPKI_HAVE_AVX2
    if (b->f.isa == SPK_ISA_AVX2 || b->f.isa == SPK_ISA_AVX512) b->run = spki_background_avx2;
#endif
    spki_map_init(&b->map, &b->f, d->width, d->height, d->same_polarity ? 2 : 1, 1);
    return &b->f;
}

#endif
