/* ---- >>filter-pixel: refractory period, hot pixels ---- */
#ifndef SPIKELIB_EVENT_FILTER_PIXEL_H
#define SPIKELIB_EVENT_FILTER_PIXEL_H

#include "batch.h"

/* -- refractory -- */

typedef struct spki_refractory {
    spk_filter f;
    spki_map map;
    uint32_t period;
    bool restart;
} spki_refractory;

/* The events from..to; those that pass go to `out` on. Returns where they end. */
SPKI_FN size_t spki_refractory_some(spki_refractory *r, spk_event *events, size_t from, size_t to,
                                    size_t out)
{
    spki_grid grid = spki_map_grid(&r->map);
    const uint32_t period = r->period, restart = r->restart;
    size_t i, others = 0;
    for (i = from; i < to; i++) {
        const uint32_t x = events[i].x, y = events[i].y, polarity = events[i].polarity;
        const int64_t t = events[i].t_us;
        int32_t *cell, now, last;
        uint32_t kept;
        if (__builtin_expect(events[i].kind != SPK_EVENT_CD, 0)) {
            events[out++] = events[i];
            others++;
            continue;
        }
        if (!spki_grid_fits(&grid, x, y, t)) {
            if (!spki_map_ready(&r->map, &r->f, x, y, t)) continue;
            grid = spki_map_grid(&r->map);
        }
        cell = spki_grid_at(&grid, x, y, polarity);
        now = (int32_t)(t - grid.base);
        last = *cell;
        kept = !spki_map_within(now, last, period);
        *cell = last ^ ((last ^ now) & -(int32_t)(kept | restart));
        events[out] = events[i];
        out += kept;
    }
    r->f.stats.others += others;
    return out;
}

#if SPKI_HAVE_AVX2
SPKI_EV8_AVX2 SPKI_FN size_t spki_refractory_avx2(spki_refractory *r, spk_event *events,
                                                  size_t count)
{
    spki_grid grid = spki_map_grid(&r->map);
    const uint32_t period = r->period, restart = r->restart;
    size_t i, k, out = 0;
    for (i = 0; i + SPKI_EV8 <= count; i += SPKI_EV8) {
        int32_t cell[SPKI_EV8], now[SPKI_EV8];
        if (!spki_ev8_in(&grid, events + i, cell, now)) {
            out = spki_refractory_some(r, events, i, i + SPKI_EV8, out);
            grid = spki_map_grid(&r->map);
            continue;
        }
        for (k = 0; k < SPKI_EV8; k++) {
            int32_t *const at = grid.origin + cell[k];
            const int32_t last = *at;
            const uint32_t kept = !spki_map_within(now[k], last, period);
            *at = last ^ ((last ^ now[k]) & -(int32_t)(kept | restart));
            events[out] = events[i + k];
            out += kept;
        }
    }
    return spki_refractory_some(r, events, i, count, out);
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EV16_AVX512 SPKI_INLINE __mmask16 spki_refractory_batch(const spki_grid *g, __m512i cell,
                                                              __m512i same, __m512i now,
                                                              uint32_t period, bool restart)
{
    const __m512i less = _mm512_set1_epi32((int32_t)(period - 1));
    const __m512i span = _mm512_set1_epi32((int32_t)(2 * (period - 1)));
    const __m512i shifted = _mm512_add_epi32(now, less);
    __mmask16 kept = 0, todo = 0xffff;
    do {
        const __mmask16 ready = spki_ev16_next(same, todo);
        const __m512i last = spki_gather32(ready, cell, g->origin);
        const __mmask16 late =
            _mm512_mask_cmpgt_epu32_mask(ready, _mm512_sub_epi32(shifted, last), span);
        spki_scatter32(g->origin, restart ? ready : late, cell, now);
        kept = (__mmask16)(kept | late);
        todo = (__mmask16)(todo & ~ready);
    } while (todo);
    return kept;
}

SPKI_EV16_AVX512 SPKI_FN size_t spki_refractory_avx512(spki_refractory *r, spk_event *events,
                                                        size_t count)
{
    spki_grid grid = spki_map_grid(&r->map);
    size_t i, out = 0;
    for (i = 0; i + SPKI_EV16 <= count; i += SPKI_EV16) {
        spki_ev16 b;
        __m512i cell, now, same;
        spki_ev16_load(&b, events + i);
        if (!spki_ev16_cells(&b, grid.stride, grid.width, grid.height, &cell) ||
            !spki_ev16_times(&b, grid.base, &now)) {
            out = spki_refractory_some(r, events, i, i + SPKI_EV16, out);
            grid = spki_map_grid(&r->map);
            continue;
        }
        cell = _mm512_mask_add_epi32(cell, spki_ev16_on(&b), cell,
                                     _mm512_set1_epi32((int32_t)grid.plane));
        same = _mm512_conflict_epi32(cell);
        if (spki_ev16_crowded(spki_ev16_next(same, 0xffff)))
            out = spki_refractory_some(r, events, i, i + SPKI_EV16, out);
        else
            out += spki_ev16_keep(&b, spki_refractory_batch(&grid, cell, same, now, r->period,
                                                             r->restart), events + out);
    }
    return spki_refractory_some(r, events, i, count, out);
}
#endif

SPKI_FN size_t spki_refractory_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_refractory *r = (spki_refractory *)f;
#if SPKI_HAVE_AVX512
    if (f->isa == SPK_ISA_AVX512 && spki_map_batches(&r->map))
        return spki_refractory_avx512(r, events, count);
#endif
#if SPKI_HAVE_AVX2
    if (f->isa == SPK_ISA_AVX2 && spki_map_batches(&r->map))
        return spki_refractory_avx2(r, events, count);
#endif
    return spki_refractory_some(r, events, 0, count, 0);
}

SPKI_FN void spki_refractory_reset(spk_filter *f) { spki_map_clear(&((spki_refractory *)f)->map); }
SPKI_FN void spki_refractory_release(spk_filter *f)
{
    spki_map_free(&((spki_refractory *)f)->map, &f->mem);
}

/* A time of a descriptor, 1 to 2^29 us; 0 is its default. */
SPKI_FN uint32_t spki_filter_time(spk_filter *f, const char *field, int64_t value, int64_t fallback)
{
    if (value == 0) return (uint32_t)fallback;
    if (value > 0 && value <= SPKI_MAP_WINDOW_MAX) return (uint32_t)value;
    spki_filter_fail(f, SPK_ERR_RANGE, "%s = %lld: not in 1 to 536,870,912", field,
                     (long long)value);
    return 1;
}

SPIKELIB_API spk_filter *spk_filter_refractory(const spk_refractory_desc *desc)
{
    static const spki_filter_ops ops = {spki_refractory_apply, spki_refractory_reset,
                                        spki_refractory_release};
    static const spk_refractory_desc none = {0, 0, 0, 0, false, false, SPK_ISA_AUTO,
                                             {NULL, NULL, NULL}, 0, 0};
    const spk_refractory_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_refractory *r = (spki_refractory *)spki_filter_new(
        "refractory", sizeof *r, &ops, &d->allocator, d->memory_limit, garbage, d->isa);
    if (!r || r->f.status != SPK_OK) return (spk_filter *)r;
    r->period = spki_filter_time(&r->f, "period_us", d->period_us, 1000);
    r->restart = d->restart;
    spki_map_init(&r->map, &r->f, d->width, d->height, d->by_polarity ? 2 : 1, 0);
    return &r->f;
}

/* -- hot pixels -- */

/* Two cells of a pixel, side by side: the number of the window in which it sent its last event, and
   its count in that window with the mark of hot ones. A count stops one above the largest
   max_events; SPKI_LISTED is none. */
#define SPKI_HOT ((uint32_t)1 << 31) /* of a count: hot until a window is quiet */
#define SPKI_HOT_STOP (((uint32_t)1 << 30) + 1)
#define SPKI_LISTED UINT32_MAX

typedef struct spki_hot {
    spk_filter f;
    spki_map map; /* its base counts windows */
    int64_t width_us, first_us, low_us; /* of a window; the first event; begin of the last window */
    int32_t now;                        /* number of the last window */
    uint32_t max_events;
    bool begun;
    spk_pixel *pixels;
    size_t pixel_count;
} spki_hot;

SPKI_INLINE int32_t *spki_hot_at(const spki_map *map, uint32_t x, uint32_t y)
{
    return map->cells + y * map->stride + 2 * (size_t)x;
}

/* The window of a time that is not in that of the event before. */
SPKI_FN void spki_hot_turn(spki_hot *h, int64_t t)
{
    uint64_t since, number;
    if (!h->begun) h->first_us = t;
    h->begun = true;
    since = (uint64_t)t - (uint64_t)h->first_us;
    number = t >= h->first_us ? since / (uint64_t)h->width_us
                              : ~((~since) / (uint64_t)h->width_us); /* rounded down */
    if (!h->map.begun || !spki_map_near(h->map.base, (int64_t)number)) {
        size_t k;
        for (k = 0; k < h->map.count; k += 2) h->map.cells[k] = SPKI_NEVER;
        h->map.base = (int64_t)number;
        h->map.begun = true;
    }
    h->now = (int32_t)((int64_t)number - h->map.base);
    h->low_us = (int64_t)((uint64_t)h->first_us + number * (uint64_t)h->width_us);
}

/* Counts an event of a pixel in window `now` and says whether the pixel is hot. An event that comes
   late, from the window before, counts as one of the pixel's present window. */
SPKI_INLINE bool spki_hot_count(int32_t *cell, int32_t now, uint32_t max)
{
    const int32_t window = cell[0];
    const uint32_t old = (uint32_t)cell[1], gap = (uint32_t)now - (uint32_t)window;
    const bool same = gap == 0 || gap == UINT32_MAX; /* SPKI_NEVER is far from all windows */
    uint32_t c = old & ~SPKI_HOT;
    bool hot = same ? old >= SPKI_HOT : gap == 1 && c > max;
    if (old == SPKI_LISTED) return true;
    c = same ? c : 0;
    c += c < SPKI_HOT_STOP;
    hot = hot | (c > max);
    cell[0] = gap == UINT32_MAX ? window : now;
    cell[1] = (int32_t)(c | (hot ? SPKI_HOT : 0));
    return hot;
}

SPKI_FN void spki_hot_mark(spki_hot *h)
{
    size_t k;
    for (k = 0; k < h->pixel_count; k++) {
        const spk_pixel p = h->pixels[k];
        if (p.x < h->map.width && p.y < h->map.height)
            spki_hot_at(&h->map, p.x, p.y)[1] = (int32_t)SPKI_LISTED;
    }
}

/* The events from..to; those that pass go to `out` on. Returns where they end. */
SPKI_FN size_t spki_hot_some(spki_hot *h, spk_event *events, size_t from, size_t to, size_t out)
{
    spki_map *map = &h->map;
    size_t i, others = 0;
    for (i = from; i < to; i++) {
        const spk_event e = events[i];
        if (__builtin_expect(e.kind != SPK_EVENT_CD, 0)) {
            events[out++] = e;
            others++;
            continue;
        }
        if (__builtin_expect(e.x >= map->width || e.y >= map->height, 0)) {
            if (!spki_map_reach(map, &h->f, e.x, e.y)) {
                h->f.stats.outside++;
                continue;
            }
            spki_hot_mark(h);
        }
        if (__builtin_expect((uint64_t)e.t_us - (uint64_t)h->low_us >= (uint64_t)h->width_us ||
                                 !h->begun, 0))
            spki_hot_turn(h, e.t_us);
        events[out] = e;
        out += !spki_hot_count(spki_hot_at(map, e.x, e.y), h->now, h->max_events);
    }
    h->f.stats.others += others;
    return out;
}

#if SPKI_HAVE_AVX2
/* Are all of them in the window of the event before? */
SPKI_EV8_AVX2 SPKI_INLINE bool spki_hot_same_window8(const spki_hot *h, const spki_ev8 *b)
{
    const __m256i low = _mm256_set1_epi64x(h->low_us), none = _mm256_setzero_si256();
    const __m256i last = _mm256_set1_epi64x(h->width_us - 1);
    const __m256i s0 = _mm256_sub_epi64(b->times[0], low), s1 = _mm256_sub_epi64(b->times[1], low);
    const __m256i late = _mm256_or_si256(_mm256_cmpgt_epi64(s0, last),
                                         _mm256_cmpgt_epi64(s1, last));
    const __m256i early = _mm256_or_si256(_mm256_cmpgt_epi64(none, s0),
                                          _mm256_cmpgt_epi64(none, s1));
    const __m256i bad = _mm256_or_si256(late, early);
    return _mm256_testz_si256(bad, bad) && h->begun;
}

SPKI_EV8_AVX2 SPKI_FN size_t spki_hot_avx2(spki_hot *h, spk_event *events, size_t count)
{
    const spki_map *map = &h->map;
    size_t i, k, out = 0;
    for (i = 0; i + SPKI_EV8 <= count; i += SPKI_EV8) {
        int32_t cell[SPKI_EV8], *const cells = map->cells;
        const int32_t now = h->now;
        const uint32_t max = h->max_events;
        spki_ev8 b;
        spki_ev8_load(&b, events + i);
        if (!spki_ev8_cells(&b, map->stride / 2, map->width, map->height, 0, cell) ||
            !spki_hot_same_window8(h, &b)) {
            out = spki_hot_some(h, events, i, i + SPKI_EV8, out);
            continue;
        }
        for (k = 0; k < SPKI_EV8; k++) {
            events[out] = events[i + k];
            out += !spki_hot_count(cells + 2 * (ptrdiff_t)cell[k], now, max);
        }
    }
    return spki_hot_some(h, events, i, count, out);
}
#endif

#if SPKI_HAVE_AVX512
/* Sixteen pairs of cells as windows and counts, and back. */
SPKI_EV16_AVX512 SPKI_INLINE void spki_hot_gather(const int32_t *cells, __mmask16 which,
                                                   __m512i cell, __m512i *window, __m512i *count)
{
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i low = spki_gather64((__mmask8)which, _mm512_castsi512_si256(cell), cells);
    const __m512i high =
        spki_gather64((__mmask8)(which >> 8), _mm512_extracti64x4_epi64(cell, 1), cells);
    *window = spki_ev16_narrow(low, high);
    *count = _mm512_permutex2var_epi32(low, odd, high);
}

SPKI_EV16_AVX512 SPKI_INLINE void spki_hot_scatter(int32_t *cells, __mmask16 which, __m512i cell,
                                                    __m512i window, __m512i count)
{
    const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i last = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    spki_scatter64(cells, (__mmask8)which, _mm512_castsi512_si256(cell),
                   _mm512_permutex2var_epi32(window, first, count));
    spki_scatter64(cells, (__mmask8)(which >> 8), _mm512_extracti64x4_epi64(cell, 1),
                   _mm512_permutex2var_epi32(window, last, count));
}

/* As spki_hot_count. The mask of pixels that are not hot. */
SPKI_EV16_AVX512 SPKI_INLINE __mmask16 spki_hot_batch(const spki_hot *h, __m512i cell,
                                                       __m512i same_pixel)
{
    const __m512i now = _mm512_set1_epi32(h->now), one = _mm512_set1_epi32(1);
    const __m512i max = _mm512_set1_epi32((int32_t)h->max_events);
    const __m512i stop = _mm512_set1_epi32((int32_t)SPKI_HOT_STOP);
    const __m512i mark = _mm512_set1_epi32((int32_t)SPKI_HOT), ones = _mm512_set1_epi32(-1);
    __mmask16 cool = 0, todo = 0xffff;
    do {
        const __mmask16 ready = spki_ev16_next(same_pixel, todo);
        __m512i window, old, gap, c;
        __mmask16 before, same, hot, listed;
        spki_hot_gather(h->map.cells, ready, cell, &window, &old);
        gap = _mm512_sub_epi32(now, window);
        before = _mm512_cmpeq_epi32_mask(gap, ones);
        same = (__mmask16)(before | _mm512_testn_epi32_mask(gap, gap));
        c = _mm512_andnot_si512(mark, old);
        hot = (__mmask16)((same & _mm512_movepi32_mask(old)) |
                          (_mm512_cmpeq_epi32_mask(gap, one) & _mm512_cmpgt_epu32_mask(c, max)));
        listed = _mm512_cmpeq_epi32_mask(old, ones);
        c = _mm512_maskz_mov_epi32(same, c);
        c = _mm512_mask_add_epi32(c, _mm512_cmplt_epu32_mask(c, stop), c, one);
        hot = (__mmask16)(hot | _mm512_cmpgt_epu32_mask(c, max));
        spki_hot_scatter(h->map.cells, (__mmask16)(ready & ~listed), cell,
                         _mm512_mask_mov_epi32(now, before, window),
                         _mm512_mask_or_epi32(c, hot, c, mark));
        cool = (__mmask16)(cool | (ready & ~(hot | listed)));
        todo = (__mmask16)(todo & ~ready);
    } while (todo);
    return cool;
}

/* Are all of them in the window of the event before? */
SPKI_EV16_AVX512 SPKI_INLINE bool spki_hot_same_window(const spki_hot *h, const spki_ev16 *b)
{
    const __m512i width = _mm512_set1_epi64(h->width_us);
    __m512i since[2];
    spki_ev16_since(b, h->low_us, since);
    return h->begun && (_mm512_cmpge_epu64_mask(since[0], width) |
                        _mm512_cmpge_epu64_mask(since[1], width)) == 0;
}

SPKI_EV16_AVX512 SPKI_FN size_t spki_hot_avx512(spki_hot *h, spk_event *events, size_t count)
{
    const spki_map *map = &h->map;
    size_t i, out = 0;
    for (i = 0; i + SPKI_EV16 <= count; i += SPKI_EV16) {
        spki_ev16 b;
        __m512i cell, same;
        bool simple;
        spki_ev16_load(&b, events + i);
        simple = spki_ev16_cells(&b, map->stride / 2, map->width, map->height, &cell) &&
                 spki_hot_same_window(h, &b);
        same = _mm512_conflict_epi32(cell);
        if (!simple || spki_ev16_crowded(spki_ev16_next(same, 0xffff)))
            out = spki_hot_some(h, events, i, i + SPKI_EV16, out);
        else
            out += spki_ev16_keep(&b, spki_hot_batch(h, cell, same), events + out);
    }
    return spki_hot_some(h, events, i, count, out);
}
#endif

SPKI_FN size_t spki_hot_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_hot *h = (spki_hot *)f;
#if SPKI_HAVE_AVX512
    if (f->isa == SPK_ISA_AVX512 && spki_map_batches(&h->map))
        return spki_hot_avx512(h, events, count);
#endif
#if SPKI_HAVE_AVX2
    if (f->isa == SPK_ISA_AVX2 && spki_map_batches(&h->map)) return spki_hot_avx2(h, events, count);
#endif
    return spki_hot_some(h, events, 0, count, 0);
}

SPKI_FN void spki_hot_reset(spk_filter *f)
{
    spki_hot *h = (spki_hot *)f;
    spki_map_clear(&h->map);
    spki_hot_mark(h);
    h->begun = false;
}

SPKI_FN void spki_hot_release(spk_filter *f)
{
    spki_hot *h = (spki_hot *)f;
    spki_map_free(&h->map, &f->mem);
    if (h->pixels) spki_free(&f->mem, h->pixels, h->pixel_count, sizeof *h->pixels);
}

SPKI_FN void spki_hot_list(spki_hot *h, const spk_hot_pixel_desc *d)
{
    if (d->pixel_count == 0 || h->f.status != SPK_OK) return;
    if (!d->pixels) {
        spki_filter_fail(&h->f, SPK_ERR_NULL, "pixels is NULL, pixel_count = %llu",
                         (unsigned long long)d->pixel_count);
        return;
    }
    h->pixels = (spk_pixel *)spki_alloc_raw(&h->f.mem, d->pixel_count, sizeof *h->pixels);
    if (!h->pixels) {
        spki_filter_fail(&h->f, SPK_ERR_OUT_OF_MEMORY, "no memory for %llu pixels",
                         (unsigned long long)d->pixel_count);
        return;
    }
    memcpy(h->pixels, d->pixels, d->pixel_count * sizeof *h->pixels);
    h->pixel_count = d->pixel_count;
    spki_hot_mark(h);
}

SPIKELIB_API spk_filter *spk_filter_hot_pixel(const spk_hot_pixel_desc *desc)
{
    static const spki_filter_ops ops = {spki_hot_apply, spki_hot_reset, spki_hot_release};
    static const spk_hot_pixel_desc none = {0, 0, 0, 0, 0, NULL, 0, SPK_ISA_AUTO,
                                            {NULL, NULL, NULL}, 0, 0};
    const spk_hot_pixel_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_hot *h = (spki_hot *)spki_filter_new("hot_pixel", sizeof *h, &ops, &d->allocator,
                                              d->memory_limit, garbage, d->isa);
    if (!h || h->f.status != SPK_OK) return (spk_filter *)h;
    h->width_us = d->window_us ? d->window_us : 100000;
    h->max_events = d->max_events ? d->max_events : 100;
    if (h->width_us < 1)
        spki_filter_fail(&h->f, SPK_ERR_RANGE, "window_us = %lld: less than 1",
                         (long long)d->window_us);
    if (h->max_events > (uint32_t)1 << 30)
        spki_filter_fail(&h->f, SPK_ERR_RANGE, "max_events = %u: more than 2^30",
                         (unsigned)d->max_events);
    spki_map_init_each(&h->map, &h->f, d->width, d->height, 1, 0, 2);
    spki_hot_list(h, d);
    return &h->f;
}

SPIKELIB_API size_t spk_filter_hot_pixels(const spk_filter *filter, spk_pixel *out, size_t capacity)
{
    const spki_hot *h = (const spki_hot *)filter;
    size_t found = 0;
    uint32_t x, y;
    if (!filter || filter->ops->apply != spki_hot_apply || !h->map.cells) return 0;
    for (y = 0; y < h->map.height; y++)
        for (x = 0; x < h->map.width; x++) {
            const int32_t *cell = spki_hot_at(&h->map, x, y);
            const int64_t gap = (int64_t)h->now - cell[0];
            const uint32_t count = (uint32_t)cell[1];
            const bool listed = count == SPKI_LISTED;
            /* as the next event of the pixel would find it */
            const bool hot = gap == 1 ? (count & ~SPKI_HOT) > h->max_events
                                      : (gap == 0 || gap == -1) && (count & SPKI_HOT) != 0;
            if (!listed && !hot) continue;
            if (out && found < capacity) {
                out[found].x = (uint16_t)x;
                out[found].y = (uint16_t)y;
            }
            found++;
        }
    return found;
}

#endif
