/* ---- >>bench-filters: events a second through each filter and view ---- */
#ifndef SPKBENCH_FILTERS_H
#define SPKBENCH_FILTERS_H

#include "options.h"
#include "report.h"

#include <stdlib.h>

/* A recording in memory: --file, or 2 million events of the simulator's texture with noise. */
typedef struct filters_input {
    spk_event *events;
    size_t count;
    uint32_t width, height;
    char error[256];
} filters_input;

static bool filters_load(filters_input *in, const options *o)
{
    enum { PIECE = 4096, MOST = 8 << 20 };
    spk_simulator_desc d = {0};
    spk_events *from;
    size_t n, room = 1 << 20, most = o->file ? MOST : 2000000;
    spk_event_stats stats;
    uint32_t wide = 1, high = 1;
    d.scene = SPK_SCENE_TEXTURE;
    d.width = 640;
    d.height = 480;
    d.duration_s = 10.0;
    d.speed_px_s = 400.0;
    d.frames_per_s = 500.0;
    d.shot_hz = 2.0;
    d.seed = (uint64_t)o->seed;
    from = o->file ? spk_events_open(o->file, NULL) : spk_events_simulate(&d);
    in->events = (spk_event *)malloc(room * sizeof *in->events);
    in->count = 0;
    while (in->events && in->count < most) {
        size_t k;
        if (in->count + PIECE > room) {
            spk_event *more = (spk_event *)realloc(in->events, 2 * room * sizeof *more);
            if (!more) break;
            in->events = more;
            room *= 2;
        }
        n = spk_events_read(from, in->events + in->count, PIECE);
        if (n == 0) break;
        for (k = in->count; k < in->count + n; k++) {
            if (in->events[k].x >= wide) wide = in->events[k].x + 1u;
            if (in->events[k].y >= high) high = in->events[k].y + 1u;
        }
        in->count += n;
    }
    memset(&stats, 0, sizeof stats);
    spk_events_get_stats(from, &stats);
    in->width = stats.width ? stats.width : wide;
    in->height = stats.height ? stats.height : high;
    snprintf(in->error, sizeof in->error, "%s", spk_events_error(from));
    spk_events_close(from);
    return in->error[0] == 0 && in->count > 0;
}

enum { FILTERS_PIECE = 4096, FILTERS_KINDS = 20 };

/* Piece by piece: what a program does that reads 4,096 events at a time. */
typedef struct filters_item {
    const char *name;
    spk_filter *filter;
    spk_view *view;
    spk_flow *flow;
} filters_item;

static size_t filters_pass(const filters_item *it, const filters_input *in)
{
    static spk_event buffer[FILTERS_PIECE];
    static spk_flow_vector vectors[FILTERS_PIECE];
    size_t at, kept = 0;
    for (at = 0; at < in->count; at += FILTERS_PIECE) {
        size_t n = in->count - at < FILTERS_PIECE ? in->count - at : FILTERS_PIECE;
        memcpy(buffer, in->events + at, n * sizeof *buffer);
        if (it->filter) n = spk_filter_apply(it->filter, buffer, n);
        if (it->view) (void)spk_view_add(it->view, buffer, n);
        if (it->flow) n = spk_flow_apply(it->flow, buffer, n, vectors);
        kept += n;
    }
    return kept;
}

static int filters_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Median of the repeats, and the same without the copy into the buffer, measured likewise. */
static void filters_measure(report *r, const options *o, const filters_item *it,
                            const filters_input *in, double copy_s, double *median_s)
{
    double times[32];
    int k, rounds = 7;
    size_t kept = 0;
    for (k = 0; k < rounds; k++) {
        const double start = spk_clock_seconds();
        kept = filters_pass(it, in);
        times[k] = spk_clock_seconds() - start;
        spk_filter_reset(it->filter);
        spk_view_reset(it->view);
        spk_flow_reset(it->flow);
    }
    qsort(times, (size_t)rounds, sizeof times[0], filters_compare);
    *median_s = times[rounds / 2];
    report_begin(r, "filters", o->isa == SPK_ISA_AUTO ? spk_isa_best() : o->isa, 1,
                 (uint64_t)o->seed);
    report_text(r, "input", o->file ? "file" : "simulator");
    report_text(r, "what", it->name);
    report_integer(r, "events", in->count);
    report_integer(r, "passed", kept);
    report_number(r, "events_per_s", (double)in->count / *median_s);
    report_number(r, "ns_per_event", 1e9 * (*median_s - copy_s) / (double)in->count);
    report_end(r);
}

/* All of them, and a chain as in front of a network. */
static int filters_items(filters_item *it, const filters_input *in, spk_isa isa)
{
    spk_refractory_desc refractory = {0};
    spk_background_desc background = {0};
    spk_hot_pixel_desc hot = {0};
    spk_region_desc region = {0};
    spk_orient_desc orient = {0};
    spk_polarity_desc polarity = {0};
    spk_time_window_desc window = {0};
    spk_downsample_desc down = {0};
    spk_corner_desc corner = {0};
    spk_view_desc view = {0};
    spk_flow_desc flow = {0};
    spk_filter *chain[3];
    int n = 0;
    refractory.width = background.width = hot.width = orient.width = in->width;
    refractory.height = background.height = hot.height = orient.height = in->height;
    corner.width = view.width = flow.width = in->width;
    corner.height = view.height = flow.height = in->height;
    refractory.isa = background.isa = region.isa = orient.isa = polarity.isa = window.isa = isa;
    hot.isa = down.isa = corner.isa = view.isa = flow.isa = isa;
    region.x = in->width / 4;
    region.y = in->height / 4;
    region.width = in->width / 2;
    region.height = in->height / 2;
    orient.orientation = SPK_ORIENT_ROTATE_90;
    polarity.mode = SPK_POLARITY_ON;
    window.begin_us = 1;
    window.relative = true;
    it[n++].name = "copy";
    it[n].name = "refractory", it[n++].filter = spk_filter_refractory(&refractory);
    it[n].name = "background", it[n++].filter = spk_filter_background(&background);
    it[n].name = "hot_pixel", it[n++].filter = spk_filter_hot_pixel(&hot);
    it[n].name = "region", it[n++].filter = spk_filter_region(&region);
    it[n].name = "orient", it[n++].filter = spk_filter_orient(&orient);
    it[n].name = "polarity", it[n++].filter = spk_filter_polarity(&polarity);
    it[n].name = "time_window", it[n++].filter = spk_filter_time_window(&window);
    it[n].name = "downsample", it[n++].filter = spk_filter_downsample(&down);
    down.threshold = 2;
    it[n].name = "downsample_sum", it[n++].filter = spk_filter_downsample(&down);
    it[n].name = "corner", it[n++].filter = spk_filter_corner(&corner);
    polarity.mode = SPK_POLARITY_MERGE;
    chain[0] = spk_filter_hot_pixel(&hot);
    chain[1] = spk_filter_background(&background);
    chain[2] = spk_filter_polarity(&polarity);
    it[n].name = "chain_of_3", it[n++].filter = spk_filter_chain(chain, 3);
    it[n].name = "count", it[n++].view = spk_view_create(&view);
    view.kind = SPK_VIEW_EXP_SURFACE;
    it[n].name = "surface", it[n++].view = spk_view_create(&view);
    view.kind = SPK_VIEW_VOXEL_GRID;
    view.window_us = (int64_t)1 << 40;
    it[n].name = "voxel_grid", it[n++].view = spk_view_create(&view);
    it[n].name = "flow", it[n++].flow = spk_flow_create(&flow);
    return n;
}

static int filters_run(report *r, const options *o, const char **error)
{
    static char message[300];
    static filters_input in;
    filters_item items[FILTERS_KINDS];
    int k, n, status = 0;
    double copy_s = 0.0, median_s = 0.0;
    memset(items, 0, sizeof items);
    if (!filters_load(&in, o)) {
        snprintf(message, sizeof message, "--file: %s", in.error[0] ? in.error : "no memory");
        *error = message;
        free(in.events);
        return 2;
    }
    n = filters_items(items, &in, o->isa);
    for (k = 0; k < n; k++) {
        filters_measure(r, o, &items[k], &in, copy_s, &median_s);
        if (k == 0) copy_s = median_s;
        spk_filter_destroy(items[k].filter);
        spk_view_destroy(items[k].view);
        spk_flow_destroy(items[k].flow);
    }
    free(in.events);
    return status;
}

#endif
