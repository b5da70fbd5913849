/* ---- >>pixels: from events to neurons ---- */
#ifndef SPIKELIB_API_PIXELS_H
#define SPIKELIB_API_PIXELS_H

#include "event.h"
#ifndef SPIKELIB_NO_NET
#include "net.h"
#endif

/* What a map says of an event that no neuron is meant to see. */
#define SPK_NO_NEURON UINT32_MAX

/* Shape: x, y and plane count within the map's grid. Returns a neuron or SPK_NO_NEURON.
   Thread: that of the call that was given the events. */
typedef uint32_t (*spk_pixel_fn)(void *ctx, uint32_t x, uint32_t y, uint32_t plane);

/* Which neuron an event reaches. The region of the sensor, in cells of downsample x downsample
   pixels, is the grid: w = ceil(region_width / downsample) cells wide, h high, in one plane, or in
   two, OFF and then ON. Cell (x, y) of plane p is neuron (p * h + y) * w + x, unless a table or a
   function says otherwise. */
typedef struct spk_pixel_map {
    uint32_t begin_sentinel;              /* leave 0 */
    uint32_t width, height;               /* of the sensor, in pixels: 1 to 65,536 */
    uint32_t polarities;                  /* 1 (both reach the same neuron) or 2; default: 1 */
    uint32_t downsample;                  /* pixels a cell, each way; default: 1 */
    uint32_t region_x, region_y;          /* top left pixel of the region; default: 0, 0 */
    uint32_t region_width, region_height; /* default: all that is right of and below it */
    const uint32_t *table;                /* a neuron (or SPK_NO_NEURON) for each cell */
    size_t table_count;                   /* has to be the number of cells */
    spk_pixel_fn function;                /* instead of a table */
    void *ctx;
    uint32_t end_sentinel; /* leave 0 */
} spk_pixel_map;

/* Fills in the defaults where a field is 0. Errors: NULL, sentinels, a region outside the sensor, a
   table of another size, both a table and a function; the map is then as it was. Thread: any. */
SPIKELIB_API spk_result spk_pixel_map_defaults(spk_pixel_map *map);
/* Cells of the grid, all planes together, and its width and height (either may be NULL); 0 for a
   bad map. Thread: any. */
SPIKELIB_API size_t spk_pixel_map_cells(const spk_pixel_map *map, uint32_t *width,
                                        uint32_t *height);
/* The neuron of each of `count` events: SPK_NO_NEURON for what lies outside the region and for
   triggers. Errors: a bad map, NULL. Ownership: both arrays are the caller's. Cost: two divisions
   an event where downsample is no power of two. Thread: any. */
SPIKELIB_API spk_result spk_pixel_map_neurons(const spk_pixel_map *map, const spk_event *events,
                                              size_t count, uint32_t *neurons);

/* Events whose step is already done: sensors and mergers deliver slightly out of order. */
typedef enum spk_late {
    SPK_LATE_NEXT = 0, /* act in the coming step, and are counted */
    SPK_LATE_DROP,     /* do nothing, and are counted */
    SPK_LATE_ERROR,    /* the call is an error and injects none of its events */
    SPK_LATE_FORCE_32_BIT = 0x7fffffff
} spk_late;

typedef struct spk_event_counts {
    uint64_t injected; /* events that reached a neuron, late ones included */
    uint64_t late;     /* events whose step was done */
    uint64_t outside;  /* events that the map gives no neuron */
} spk_event_counts;

#ifndef SPIKELIB_NO_NET

/* Says which neuron of the view an event reaches; again: replaces the map from then on. NULL map:
   an error. The numbers that the map gives count within the view; a cell without a neuron there is
   found here for grids and tables, and when it occurs for functions (it counts as outside).
   Before or after building.
   Errors: a bad map, a grid or table that reaches past the view, a view that spans populations.
   Ownership: a table is copied; a function's ctx is kept. */
SPIKELIB_API spk_result spk_net_map_pixels(spk_net *net, spk_pop pop, const spk_pixel_map *map);
/* The camera's time at the network's time 0. Default: the first event that is injected comes at the
   network's own time. Errors: after the first event. */
SPIKELIB_API spk_result spk_net_event_origin_us(spk_net *net, int64_t t_us);
/* What happens to late events of the view. Default: SPK_LATE_NEXT. Errors: a view without a map. */
SPIKELIB_API spk_result spk_net_event_late(spk_net *net, spk_pop pop, spk_late late);
/* Makes neurons spike when events say so, besides what their model says: an event at t acts in the
   step that its time falls into, step k = floor((t - origin) / dt), and its spike is stamped k + 1,
   as those of spk_net_spike_list are. Several events of a neuron in a step are one spike. Events
   may come in any order and any time ahead. Triggers are ignored. Before or after building.
   Errors: a view without a map, a late event where SPK_LATE_ERROR says so, a time before the origin
   or absurdly far from it; nothing is injected then.
   Ownership: events are copied. Cost: 12 bytes an event until its step is done; a sort where steps
   go backwards. */
SPIKELIB_API spk_result spk_net_inject_events(spk_net *net, spk_pop pop, const spk_event *events,
                                              size_t count);
/* Runs all steps that end at or before the camera's time t_us, so that events at t_us are not
   late. Does nothing if they are done. Without an origin, t_us becomes it. Errors: those of
   spk_net_run_steps. */
SPIKELIB_API spk_result spk_net_run_until_us(spk_net *net, int64_t t_us);
/* Of the view, since it was mapped first. */
SPIKELIB_API spk_result spk_net_event_counts(const spk_net *net, spk_pop pop,
                                             spk_event_counts *counts);

#endif

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC /* what they call is another function in each file */
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_result spk_pixel_map_defaults(spk_pixel_map &map)
{
    return spk_pixel_map_defaults(&map);
}
SPKI_OVERLOAD spk_result spk_pixel_map_neurons(const spk_pixel_map &map, const spk_event *events,
                                               size_t count, uint32_t *neurons)
{
    return spk_pixel_map_neurons(&map, events, count, neurons);
}
#ifndef SPIKELIB_NO_NET
SPKI_OVERLOAD spk_result spk_net_map_pixels(spk_net *net, spk_pop pop, const spk_pixel_map &map)
{
    return spk_net_map_pixels(net, pop, &map);
}
#endif
#undef SPKI_OVERLOAD
#endif

#endif
