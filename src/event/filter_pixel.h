/* ---- >>filter-pixel: refractory period, hot pixels, downsampling ---- */
#ifndef SPIKELIB_EVENT_FILTER_PIXEL_H
#define SPIKELIB_EVENT_FILTER_PIXEL_H

#include "filter_map.h"

/* -- refractory -- */

typedef struct spki_refractory {
    spk_filter f;
    spki_map map;
    uint32_t period;
    bool restart;
} spki_refractory;

SPKI_FN size_t spki_refractory_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_refractory *r = (spki_refractory *)f;
    spki_grid grid = spki_map_grid(&r->map);
    const uint32_t period = r->period, restart = r->restart;
    size_t i, out = 0, others = 0;
    for (i = 0; i < count; i++) {
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
            if (!spki_map_ready(&r->map, f, x, y, t)) continue;
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
    f->stats.others += others;
    return out;
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

#define SPKI_HOT ((uint32_t)1 << 31) /* of a count: hot until a window is quiet */

/* Planes of the map: the number of the window in which the pixel sent its last event, its count in
   that window, and whether it is listed. */
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
        for (k = 0; k < h->map.plane; k++) h->map.cells[k] = SPKI_NEVER;
        h->map.base = (int64_t)number;
        h->map.begun = true;
    }
    h->now = (int32_t)((int64_t)number - h->map.base);
    h->low_us = (int64_t)((uint64_t)h->first_us + number * (uint64_t)h->width_us);
}

/* Counts an event of a pixel in window `now` and says whether the pixel is hot. An event that comes
   late, from the window before, counts as one of the pixel's present window. */
SPKI_INLINE bool spki_hot_count(int32_t *window, int32_t *count, int32_t now, uint32_t max)
{
    uint32_t c = (uint32_t)*count & ~SPKI_HOT;
    bool hot = ((uint32_t)*count & SPKI_HOT) != 0;
    const int64_t gap = (int64_t)now - *window; /* large for SPKI_NEVER */
    if (gap != 0 && gap != -1) {
        hot = gap == 1 && c > max;
        c = 0;
    }
    c += c < SPKI_HOT - 1;
    hot = hot | (c > max);
    *window = gap == -1 ? *window : now;
    *count = (int32_t)(c | (hot ? SPKI_HOT : 0));
    return hot;
}

SPKI_FN void spki_hot_mark(spki_hot *h)
{
    size_t k;
    for (k = 0; k < h->pixel_count; k++) {
        const spk_pixel p = h->pixels[k];
        if (p.x < h->map.width && p.y < h->map.height)
            *spki_map_at(&h->map, 2, p.x, p.y) = 1;
    }
}

SPKI_FN size_t spki_hot_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_hot *h = (spki_hot *)f;
    spki_map *map = &h->map;
    size_t i, out = 0, others = 0;
    for (i = 0; i < count; i++) {
        const spk_event e = events[i];
        int32_t *cell;
        bool hot;
        if (__builtin_expect(e.kind != SPK_EVENT_CD, 0)) {
            events[out++] = e;
            others++;
            continue;
        }
        if (__builtin_expect(e.x >= map->width || e.y >= map->height, 0)) {
            if (!spki_map_reach(map, f, e.x, e.y)) {
                f->stats.outside++;
                continue;
            }
            spki_hot_mark(h);
        }
        if (__builtin_expect((uint64_t)e.t_us - (uint64_t)h->low_us >= (uint64_t)h->width_us ||
                                 !h->begun, 0))
            spki_hot_turn(h, e.t_us);
        cell = spki_map_at(map, 0, e.x, e.y);
        hot = spki_hot_count(cell, cell + map->plane, h->now, h->max_events);
        hot |= cell[2 * map->plane] != SPKI_NEVER;
        events[out] = e;
        out += !hot;
    }
    f->stats.others += others;
    return out;
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
    static const spk_hot_pixel_desc none = {0, 0, 0, 0, 0, NULL, 0, {NULL, NULL, NULL}, 0, 0};
    const spk_hot_pixel_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_hot *h = (spki_hot *)spki_filter_new("hot_pixel", sizeof *h, &ops, &d->allocator,
                                              d->memory_limit, garbage, SPK_ISA_SCALAR);
    if (!h || h->f.status != SPK_OK) return (spk_filter *)h;
    h->width_us = d->window_us ? d->window_us : 100000;
    h->max_events = d->max_events ? d->max_events : 100;
    if (h->width_us < 1)
        spki_filter_fail(&h->f, SPK_ERR_RANGE, "window_us = %lld: less than 1",
                         (long long)d->window_us);
    if (h->max_events > (uint32_t)1 << 30)
        spki_filter_fail(&h->f, SPK_ERR_RANGE, "max_events = %u: more than 2^30",
                         (unsigned)d->max_events);
    spki_map_init(&h->map, &h->f, d->width, d->height, 3, 0);
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
            const int32_t *cell = spki_map_at(&h->map, 0, x, y);
            const bool listed = cell[2 * h->map.plane] != SPKI_NEVER;
            const int64_t gap = (int64_t)h->now - cell[0];
            const uint32_t count = (uint32_t)cell[h->map.plane];
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

/* -- downsampling -- */

typedef struct spki_downsample {
    spk_filter f;
    spki_map map; /* sums of large pixels, where there is a threshold; SPKI_NEVER is 0 */
    uint64_t inverse_x, inverse_y; /* ceil(2^32 / factor): exact for 16-bit numerators */
    uint32_t width, height;        /* of the sensor; 0: any */
    int32_t threshold;
} spki_downsample;

SPKI_FN size_t spki_downsample_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_downsample *d = (spki_downsample *)f;
    const uint64_t ix = d->inverse_x, iy = d->inverse_y;
    const uint32_t width = d->width ? d->width : 65536, height = d->height ? d->height : 65536;
    size_t i, out = 0, others = 0, outside = 0;
    for (i = 0; i < count; i++) {
        spk_event e = events[i];
        const bool cd = e.kind == SPK_EVENT_CD;
        const bool in = (e.x < width) & (e.y < height);
        const uint16_t x = (uint16_t)(e.x * ix >> 32), y = (uint16_t)(e.y * iy >> 32);
        e.x = cd ? x : e.x;
        e.y = cd ? y : e.y;
        others += !cd;
        outside += cd & !in;
        events[out] = e;
        out += !cd | in;
    }
    f->stats.others += others;
    f->stats.outside += outside;
    return out;
}

/* What spki_downsample_apply left goes through the sums. */
SPKI_FN size_t spki_downsample_sum(spk_filter *f, spk_event *events, size_t count)
{
    spki_downsample *d = (spki_downsample *)f;
    spki_map *map = &d->map;
    const int32_t limit = d->threshold;
    size_t i, out = 0;
    count = spki_downsample_apply(f, events, count);
    for (i = 0; i < count; i++) {
        spk_event e = events[i];
        int32_t *cell, sum;
        bool fires;
        if (e.kind != SPK_EVENT_CD) {
            events[out++] = e;
            continue;
        }
        if ((e.x >= map->width || e.y >= map->height) && !spki_map_reach(map, f, e.x, e.y)) {
            f->stats.outside++;
            continue;
        }
        cell = spki_map_at(map, 0, e.x, e.y);
        sum = (*cell == SPKI_NEVER ? 0 : *cell) + (e.polarity ? 1 : -1);
        fires = sum >= limit || sum <= -limit;
        *cell = fires ? 0 : sum;
        e.polarity = sum > 0;
        events[out] = e;
        out += fires;
    }
    return out;
}

SPKI_FN void spki_downsample_reset(spk_filter *f) { spki_map_clear(&((spki_downsample *)f)->map); }
SPKI_FN void spki_downsample_release(spk_filter *f)
{
    spki_map_free(&((spki_downsample *)f)->map, &f->mem);
}

SPKI_FN void spki_downsample_check(spki_downsample *s, const spk_downsample_desc *d, uint32_t fx,
                                   uint32_t fy)
{
    if (fx > 65535 || fy > 65535)
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "factor_x = %u, factor_y = %u: not in 1 to 65,535",
                         (unsigned)fx, (unsigned)fy);
    if (d->threshold > 32767)
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "threshold = %u: more than 32,767",
                         (unsigned)d->threshold);
    if (d->width > 65536 || d->height > 65536 || (d->width == 0) != (d->height == 0))
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)d->width, (unsigned)d->height);
}

SPIKELIB_API spk_filter *spk_filter_downsample(const spk_downsample_desc *desc)
{
    static const spki_filter_ops plain = {spki_downsample_apply, spki_downsample_reset,
                                          spki_downsample_release};
    static const spki_filter_ops sums = {spki_downsample_sum, spki_downsample_reset,
                                         spki_downsample_release};
    static const spk_downsample_desc none = {0, 0, 0, 0, 0, 0, SPK_ISA_AUTO, {NULL, NULL, NULL}, 0,
                                             0};
    const spk_downsample_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    const spki_filter_ops *ops = d->threshold && !garbage ? &sums : &plain;
    spki_downsample *s = (spki_downsample *)spki_filter_new(
        "downsample", sizeof *s, ops, &d->allocator, d->memory_limit, garbage, d->isa);
    uint32_t fx = d->factor_x ? d->factor_x : 2, fy = d->factor_y ? d->factor_y : fx;
    if (!s || s->f.status != SPK_OK) return (spk_filter *)s;
    spki_downsample_check(s, d, fx, fy);
    if (s->f.status != SPK_OK) return &s->f;
    s->inverse_x = (((uint64_t)1 << 32) + fx - 1) / fx;
    s->inverse_y = (((uint64_t)1 << 32) + fy - 1) / fy;
    s->width = d->width;
    s->height = d->height;
    s->threshold = (int32_t)d->threshold;
    if (d->threshold)
        spki_map_init(&s->map, &s->f, d->width ? (d->width + fx - 1) / fx : 0,
                      d->height ? (d->height + fy - 1) / fy : 0, 1, 0);
    return &s->f;
}

#endif
