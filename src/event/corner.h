/* ---- >>corner: corners of moving things (Arc*) ---- */
#ifndef SPIKELIB_EVENT_CORNER_H
#define SPIKELIB_EVENT_CORNER_H

#include "../simd/types.h"
#include "filter_pixel.h"

/* Planes of the map, for each polarity: the surface of times that the circles are read from, then
   the last event, whether it came to the surface or not. */
#define SPKI_CORNER_BORDER 4
#define SPKI_CIRCLE_MAX 20
#define SPKI_CORNER_QUEUE 64

typedef struct spki_corner {
    spk_filter f;
    spki_map map;
    size_t (*run)(struct spki_corner *c, spk_event *events, size_t count);
    uint32_t period;
    bool minority_only;
    int32_t inner[16], outer[20]; /* the circles as distances in the map */
} spki_corner;

/* Events with the times of their circles, for vectors. */
typedef struct spki_corner_queue {
    int32_t inner[SPKI_CORNER_QUEUE * 16], outer[SPKI_CORNER_QUEUE * 20];
    spk_event events[SPKI_CORNER_QUEUE];
    uint32_t count;
} spki_corner_queue;

/* Both circles in order, clockwise from below, y downwards. */
SPKI_FN void spki_corner_circles(spki_corner *c)
{
    static const int8_t inner[16][2] = {{0, 3},  {1, 3},   {2, 2},   {3, 1},  {3, 0},  {3, -1},
                                        {2, -2}, {1, -3},  {0, -3},  {-1, -3}, {-2, -2}, {-3, -1},
                                        {-3, 0}, {-3, 1},  {-2, 2},  {-1, 3}};
    static const int8_t outer[20][2] = {{0, 4},   {1, 4},   {2, 3},   {3, 2},   {4, 1},
                                        {4, 0},   {4, -1},  {3, -2},  {2, -3},  {1, -4},
                                        {0, -4},  {-1, -4}, {-2, -3}, {-3, -2}, {-4, -1},
                                        {-4, 0},  {-4, 1},  {-3, 2},  {-2, 3},  {-1, 4}};
    const int32_t stride = (int32_t)c->map.stride;
    int k;
    for (k = 0; k < 16; k++) c->inner[k] = inner[k][0] + inner[k][1] * stride;
    for (k = 0; k < 20; k++) c->outer[k] = outer[k][0] + outer[k][1] * stride;
}

/* The length of the newest arc of a circle of n times. It grows from the newest time, always to the
   side whose next time is the newer one, and to `least` without a question. After that what has
   been passed belongs to it as soon as a time comes that is no older than the oldest in it. */
SPKI_INLINE int spki_newest_arc(const int32_t *cell, const int32_t *circle, int n, int least)
{
    int32_t times[2 * SPKI_CIRCLE_MAX];
    int32_t oldest, left_oldest, right_oldest;
    int k, newest = 0, left, right, length = least;
    for (k = 0; k < n; k++) times[k] = times[k + n] = cell[circle[k]];
    oldest = times[0];
    for (k = 1; k < n; k++) {
        newest = times[k] > oldest ? k : newest;
        oldest = SPKI_MAX(oldest, times[k]);
    }
    right = newest + 1;
    left = newest + n - 1;
    right_oldest = times[right];
    left_oldest = times[left];
    for (k = 1; k < n; k++) {
        const int32_t to_right = times[right], to_left = times[left];
        const bool go_right = to_right > to_left;
        const int32_t next = go_right ? to_right : to_left;
        const int32_t passed = go_right ? right_oldest : left_oldest;
        const bool joins = k < least || next >= oldest;
        length = joins && k >= least ? k + 1 : length;
        oldest = joins && passed < oldest ? passed : oldest;
        right += go_right;
        left -= !go_right;
        right_oldest = SPKI_MIN(right_oldest, times[right]);
        left_oldest = SPKI_MIN(left_oldest, times[left]);
    }
    return length;
}

SPKI_INLINE bool spki_corner_arc(int length, int n, int least, int most, bool minority_only)
{
    if (length <= most) return true;
    return !minority_only && length >= n - most && length <= n - least;
}

/* A last event within the period, and not one of the other polarity since. */
SPKI_INLINE bool spki_corner_repeats(int32_t now, int32_t last, int32_t other, uint32_t period)
{
    return spki_map_within(now, last, period + 1) && other <= last;
}

/* Puts a CD event's time into the map. Its cell, if its circles are wanted; else NULL. */
SPKI_INLINE int32_t *spki_corner_mark(spki_corner *c, spki_grid *grid, const spk_event *e)
{
    const uint32_t x = e->x, y = e->y, polarity = e->polarity != 0;
    int32_t *cell, *last, now;
    bool repeats;
    if (!spki_grid_fits(grid, x, y, e->t_us)) {
        if (!spki_map_ready(&c->map, &c->f, x, y, e->t_us)) return NULL;
        *grid = spki_map_grid(&c->map);
        spki_corner_circles(c);
    }
    cell = spki_grid_at(grid, x, y, polarity);
    last = cell + 2 * grid->plane;
    now = (int32_t)(e->t_us - grid->base);
    repeats = spki_corner_repeats(now, *last, polarity ? last[-(ptrdiff_t)grid->plane]
                                                       : last[grid->plane], c->period);
    *last = now;
    if (repeats) return NULL;
    *cell = now;
    if (x < 4 || y < 4) return NULL;
    return c->map.grows || (x + 4 < grid->width && y + 4 < grid->height) ? cell : NULL;
}

SPKI_FN size_t spki_corner_scalar(spki_corner *c, spk_event *events, size_t count)
{
    spki_grid grid = spki_map_grid(&c->map);
    size_t i, out = 0, others = 0;
    for (i = 0; i < count; i++) {
        const int32_t *cell;
        if (__builtin_expect(events[i].kind != SPK_EVENT_CD, 0)) {
            events[out++] = events[i];
            others++;
            continue;
        }
        cell = spki_corner_mark(c, &grid, &events[i]);
        if (!cell ||
            !spki_corner_arc(spki_newest_arc(cell, c->inner, 16, 3), 16, 3, 6, c->minority_only) ||
            !spki_corner_arc(spki_newest_arc(cell, c->outer, 20, 4), 20, 4, 8, c->minority_only))
            continue;
        events[out++] = events[i];
    }
    c->f.stats.others += others;
    return out;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors only pass between inlined functions */
#endif
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_LANES 4
#define SPKI_S f4
#define SPKI_TARGET SPKI_TARGET_BASE
#include "arc.inc.h"
#endif
#if SPKI_HAVE_AVX2
#define SPKI_LANES 8
#define SPKI_S f8
#define SPKI_TARGET SPKI_TARGET_AVX2
#include "arc.inc.h"
#endif
#if SPKI_HAVE_AVX512
#define SPKI_LANES 16
#define SPKI_S f16
#define SPKI_TARGET SPKI_EV16_AVX512
#include "arc.inc.h"
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

typedef size_t (*spki_corner_fn)(spki_corner *c, spk_event *events, size_t count);

SPKI_FN spki_corner_fn spki_corner_kernel(spk_isa isa)
{
    switch (isa) {
#if SPKI_HAVE_AVX512
    case SPK_ISA_AVX512: return spki_corner_apply_f16;
#endif
#if SPKI_HAVE_AVX2
    case SPK_ISA_AVX2: return spki_corner_apply_f8;
#endif
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
    case SPK_ISA_SSE2:
    case SPK_ISA_NEON:
    case SPK_ISA_GENERIC: return spki_corner_apply_f4;
#endif
    default: return spki_corner_scalar;
    }
}

SPKI_FN size_t spki_corner_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_corner *c = (spki_corner *)f;
    return c->run(c, events, count);
}

SPKI_FN void spki_corner_reset(spk_filter *f) { spki_map_clear(&((spki_corner *)f)->map); }
SPKI_FN void spki_corner_release(spk_filter *f)
{
    spki_map_free(&((spki_corner *)f)->map, &f->mem);
}

SPIKELIB_API spk_filter *spk_filter_corner(const spk_corner_desc *desc)
{
    static const spki_filter_ops ops = {spki_corner_apply, spki_corner_reset, spki_corner_release};
    static const spk_corner_desc none = {0, 0, 0, 0, false, SPK_ISA_AUTO, {NULL, NULL, NULL}, 0, 0};
    const spk_corner_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_corner *c = (spki_corner *)spki_filter_new("corner", sizeof *c, &ops, &d->allocator,
                                                    d->memory_limit, garbage, d->isa);
    if (!c || c->f.status != SPK_OK) return (spk_filter *)c;
    c->period = spki_filter_time(&c->f, "period_us", d->period_us, 50000);
    c->minority_only = d->minority_only;
    c->run = spki_corner_kernel(c->f.isa);
    spki_map_init(&c->map, &c->f, d->width, d->height, 4, SPKI_CORNER_BORDER);
    spki_corner_circles(c);
    return &c->f;
}

#endif
