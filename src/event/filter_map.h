/* ---- >>filter-map: the last time of each pixel, in 32 bits ---- */
#ifndef SPIKELIB_EVENT_FILTER_MAP_H
#define SPIKELIB_EVENT_FILTER_MAP_H

#include "filter.h"

/* Planes of a time for each pixel, with a border of pixels that never fire. Half the memory of
   64-bit times, so that a sensor of 640 x 480 stays in the second-level cache: a cell is the time
   less `base`, within 2^30 of it. When a time leaves that range, the base moves to it, and cells
   that are now too far become SPKI_NEVER, which no time in range comes within 2^30 of. */
typedef struct spki_map {
    int32_t *cells;
    size_t count, stride, plane; /* cells in all, of a row, of a plane */
    uint32_t width, height, planes, border;
    uint32_t each; /* cells of a pixel that lie side by side */
    bool grows, begun;
    int64_t base;
} spki_map;

#define SPKI_NEVER INT32_MIN
#define SPKI_MAP_REACH ((int64_t)1 << 30)
#define SPKI_MAP_WINDOW_MAX ((int64_t)1 << 29) /* largest distance that is ever asked for */
#define SPKI_MAP_GROWS_TO 4096u

SPKI_FN void spki_map_clear(spki_map *map)
{
    size_t k;
    for (k = 0; k < map->count; k++) map->cells[k] = SPKI_NEVER;
    map->begun = false;
}

/* Cells of a map of that size; what it held is copied. The map is as it was without memory. */
SPKI_FN bool spki_map_resize(spki_map *map, spki_mem *mem, uint32_t width, uint32_t height)
{
    spki_map next = *map;
    uint32_t p, y;
    size_t high = (size_t)height + 2 * map->border, k;
    next.width = width;
    next.height = height;
    next.stride = ((size_t)width + 2 * map->border) * map->each;
    if (__builtin_mul_overflow(next.stride, high, &next.plane) ||
        __builtin_mul_overflow(next.plane, (size_t)map->planes, &next.count) ||
        next.count > (size_t)PTRDIFF_MAX - 16)
        return false;
    next.count += 16; /* vectors read past a row's last cell */
    next.cells = (int32_t *)spki_alloc_raw(mem, next.count, sizeof *next.cells);
    if (!next.cells) return false;
    for (k = 0; k < next.count; k++) next.cells[k] = SPKI_NEVER;
    for (p = 0; p < map->planes; p++)
        for (y = 0; y < map->height; y++) {
            const size_t row = y + (size_t)map->border;
            memcpy(next.cells + p * next.plane + row * next.stride + map->border * map->each,
                   map->cells + p * map->plane + row * map->stride + map->border * map->each,
                   map->width * map->each * sizeof *map->cells);
        }
    if (map->cells) spki_free(mem, map->cells, map->count, sizeof *map->cells);
    *map = next;
    return true;
}

SPKI_FN void spki_map_free(spki_map *map, spki_mem *mem)
{
    if (map->cells) spki_free(mem, map->cells, map->count, sizeof *map->cells);
    map->cells = NULL;
}

/* Of a filter: a map of the size described, or one that grows from nothing. */
SPKI_FN void spki_map_init_each(spki_map *map, spk_filter *f, uint32_t width, uint32_t height,
                                uint32_t planes, uint32_t border, uint32_t each)
{
    memset(map, 0, sizeof *map);
    map->planes = planes;
    map->each = each;
    map->border = border;
    map->grows = width == 0 && height == 0;
    if (f->status != SPK_OK || map->grows) return;
    if (width == 0 || height == 0 || width > 65536 || height > 65536) {
        spki_filter_fail(f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)width, (unsigned)height);
    } else if (!spki_map_resize(map, &f->mem, width, height)) {
        spki_filter_fail(f, SPK_ERR_OUT_OF_MEMORY, "no memory for %u x %u pixels", (unsigned)width,
                         (unsigned)height);
    }
}

SPKI_FN void spki_map_init(spki_map *map, spk_filter *f, uint32_t width, uint32_t height,
                           uint32_t planes, uint32_t border)
{
    spki_map_init_each(map, f, width, height, planes, border, 1);
}

/* The next size that holds a coordinate: at least half as much again, whole 32s. */
SPKI_FN uint32_t spki_map_grown(uint32_t old, uint32_t coordinate)
{
    uint32_t size = old;
    if (coordinate < old) return old;
    size = SPKI_MAX(coordinate + 1, old + old / 2);
    return SPKI_MIN((size + 31) & ~31u, SPKI_MAP_GROWS_TO);
}

/* A pixel beyond the map: grows it if it may. False: drop the event. */
SPKI_FN bool spki_map_reach(spki_map *map, spk_filter *f, uint32_t x, uint32_t y)
{
    uint32_t width, height;
    if (!map->grows || x >= SPKI_MAP_GROWS_TO || y >= SPKI_MAP_GROWS_TO || f->status != SPK_OK)
        return false;
    width = spki_map_grown(map->width, x);
    height = spki_map_grown(map->height, y);
    if (spki_map_resize(map, &f->mem, width, height)) return true;
    spki_filter_fail(f, SPK_ERR_OUT_OF_MEMORY, "no memory for %u x %u pixels", (unsigned)width,
                     (unsigned)height);
    f->grew_wrong = true;
    return false;
}

/* Moves the base to t, where t is not within reach of it. */
SPKI_FN void spki_map_rebase(spki_map *map, int64_t t)
{
    const uint64_t shift = (uint64_t)t - (uint64_t)map->base;
    const bool reaches = shift + ((uint64_t)1 << 32) <= (uint64_t)1 << 33;
    size_t k;
    map->base = t;
    if (!map->begun) {
        map->begun = true;
        return;
    }
    for (k = 0; k < map->count; k++) {
        const int64_t moved = (int64_t)map->cells[k] - (reaches ? (int64_t)shift : 0);
        const bool gone = !reaches || map->cells[k] == SPKI_NEVER || moved > SPKI_MAP_REACH ||
                          moved < -SPKI_MAP_REACH;
        map->cells[k] = gone ? SPKI_NEVER : (int32_t)moved;
    }
}

/* Is the time of an event within reach of the base? */
SPKI_INLINE unsigned spki_map_near(int64_t base, int64_t t)
{
    return (uint64_t)t - (uint64_t)base + (uint64_t)SPKI_MAP_REACH <= (uint64_t)2 * SPKI_MAP_REACH;
}

/* |a - b| < window, for cells and 1 <= window <= 2^29; `span` is 2 window - 2. */
SPKI_INLINE uint32_t spki_map_within(int32_t a, int32_t b, uint32_t window)
{
    return (uint32_t)a - (uint32_t)b + (window - 1) <= 2 * (window - 1);
}

/* Makes the map ready for an event that the grid refused; false: it is outside. */
SPKI_FN bool spki_map_ready(spki_map *map, spk_filter *f, uint32_t x, uint32_t y, int64_t t)
{
    if ((x >= map->width || y >= map->height) && !spki_map_reach(map, f, x, y)) {
        f->stats.outside++;
        return false;
    }
    if (!map->begun || !spki_map_near(map->base, t)) spki_map_rebase(map, t);
    return true;
}

/* What a loop over events needs of a map, in registers: the compiler could not keep the map's own
   fields there, since cells and events might overlap them. Made again after spki_map_ready. The
   grid of a map that has not begun refuses all. */
typedef struct spki_grid {
    int32_t *origin; /* of pixel (0, 0), plane 0 */
    size_t stride, plane;
    uint32_t width, height;
    int64_t base;
} spki_grid;

SPKI_FN spki_grid spki_map_grid(const spki_map *map)
{
    spki_grid g;
    g.origin = map->cells + map->border * map->stride + map->border;
    g.stride = map->stride;
    g.plane = map->planes > 1 ? map->plane : 0;
    g.width = map->begun ? map->width : 0;
    g.height = map->height;
    g.base = map->base;
    return g;
}

/* Is there a cell for the pixel, and the time within reach? */
SPKI_INLINE bool spki_grid_fits(const spki_grid *g, uint32_t x, uint32_t y, int64_t t)
{
    const bool inside = (x < g->width) & (y < g->height);
    return __builtin_expect(inside && spki_map_near(g->base, t), 1);
}

/* Of the plane of a polarity, where the map has two. */
SPKI_INLINE int32_t *spki_grid_at(const spki_grid *g, uint32_t x, uint32_t y, uint32_t polarity)
{
    return g->origin + (polarity ? g->plane : 0) + y * g->stride + x;
}

/* Of a map of one plane without a border. */
SPKI_INLINE int32_t *spki_map_at(const spki_map *map, uint32_t x, uint32_t y)
{
    return map->cells + y * map->stride + x;
}

#endif
