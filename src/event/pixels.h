/* ---- >>pixel-map: which neuron an event reaches ---- */
#ifndef SPIKELIB_EVENT_PIXELS_H
#define SPIKELIB_EVENT_PIXELS_H

#include "../api/pixels.h"
#include "../core/base.h"

/* The map with its defaults; *why says what is wrong with it. */
SPKI_FN spk_result spki_pixel_check(const spk_pixel_map *given, spk_pixel_map *map,
                                    const char **why)
{
    *why = "it holds garbage: start it with = {0}";
    if (given->begin_sentinel || given->end_sentinel) {
        return SPK_ERR_UNINITIALISED;
    }
    *map = *given;
    map->polarities = map->polarities ? map->polarities : 1;
    map->downsample = map->downsample ? map->downsample : 1;
    *why = "width and height are from 1 to 65,536";
    if (map->width == 0 || map->width > 65536 || map->height == 0 || map->height > 65536) {
        return SPK_ERR_RANGE;
    }
    *why = "polarities is 1 or 2";
    if (map->polarities > 2) {
        return SPK_ERR_RANGE;
    }
    *why = "the region has to lie within the sensor";
    if (map->region_x >= map->width || map->region_y >= map->height ||
        map->region_width > map->width - map->region_x ||
        map->region_height > map->height - map->region_y) {
        return SPK_ERR_RANGE;
    }
    map->region_width = map->region_width ? map->region_width : map->width - map->region_x;
    map->region_height = map->region_height ? map->region_height : map->height - map->region_y;
    *why = "either a table or a function";
    if (map->table && map->function) {
        return SPK_ERR_RANGE;
    }
    *why = "";
    return SPK_OK;
}

SPKI_FN uint32_t spki_pixel_cells_of(uint32_t pixels, uint32_t downsample)
{
    return (pixels - 1) / downsample + 1;
}

SPKI_FN size_t spki_pixel_cells(const spk_pixel_map *map, uint32_t *width, uint32_t *height)
{
    *width = spki_pixel_cells_of(map->region_width, map->downsample);
    *height = spki_pixel_cells_of(map->region_height, map->downsample);
    return (size_t)*width * *height * map->polarities;
}

/* A map that was checked, and what is computed once for it. */
typedef struct spki_pixels {
    spk_pixel_map map;
    uint32_t width, height; /* of the grid */
    int shift;              /* of a downsample that is a power of two, else -1 */
} spki_pixels;

SPKI_FN spk_result spki_pixels_begin(const spk_pixel_map *given, spki_pixels *p, const char **why)
{
    size_t cells;
    spk_result result = spki_pixel_check(given, &p->map, why);
    if (result != SPK_OK) {
        return result;
    }
    cells = spki_pixel_cells(&p->map, &p->width, &p->height);
    *why = "more than 4,294,967,280 cells";
    if (cells > 0xfffffff0u) {
        return SPK_ERR_RANGE;
    }
    *why = "table_count is not the number of cells";
    if (p->map.table ? p->map.table_count != cells : p->map.table_count != 0) {
        return SPK_ERR_RANGE;
    }
    p->shift = p->map.downsample & (p->map.downsample - 1) ? -1 : __builtin_ctz(p->map.downsample);
    *why = "";
    return SPK_OK;
}

SPKI_INLINE uint32_t spki_pixels_neuron(const spki_pixels *p, const spk_event *e)
{
    uint32_t x = (uint32_t)e->x - p->map.region_x, y = (uint32_t)e->y - p->map.region_y;
    const uint32_t plane = (e->polarity != 0) & (p->map.polarities > 1);
    if (e->kind != SPK_EVENT_CD || x >= p->map.region_width || y >= p->map.region_height) {
        return SPK_NO_NEURON; /* left of the region or above it, x and y are huge */
    }
    x = p->shift >= 0 ? x >> p->shift : x / p->map.downsample;
    y = p->shift >= 0 ? y >> p->shift : y / p->map.downsample;
    if (p->map.function) {
        return p->map.function(p->map.ctx, x, y, plane);
    }
    x += (plane * p->height + y) * p->width;
    return p->map.table ? p->map.table[x] : x;
}

SPIKELIB_API spk_result spk_pixel_map_defaults(spk_pixel_map *map)
{
    spki_pixels p;
    const char *why;
    spk_result result;
    if (!map) {
        return SPK_ERR_NULL;
    }
    result = spki_pixels_begin(map, &p, &why);
    if (result == SPK_OK) {
        *map = p.map;
    }
    return result;
}

SPIKELIB_API size_t spk_pixel_map_cells(const spk_pixel_map *map, uint32_t *width, uint32_t *height)
{
    spki_pixels p;
    const char *why;
    const bool good = map && spki_pixels_begin(map, &p, &why) == SPK_OK;
    if (width) {
        *width = good ? p.width : 0;
    }
    if (height) {
        *height = good ? p.height : 0;
    }
    return good ? (size_t)p.width * p.height * p.map.polarities : 0;
}

SPIKELIB_API spk_result spk_pixel_map_neurons(const spk_pixel_map *map, const spk_event *events,
                                              size_t count, uint32_t *neurons)
{
    spki_pixels p;
    const char *why;
    spk_result result;
    if (!map || (count && (!events || !neurons))) {
        return SPK_ERR_NULL;
    }
    result = spki_pixels_begin(map, &p, &why);
    for (size_t k = 0; k < count && result == SPK_OK; k++) {
        neurons[k] = spki_pixels_neuron(&p, &events[k]);
    }
    return result;
}

#endif
