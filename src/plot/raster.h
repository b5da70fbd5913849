/* ---- >>plot_raster: every spike a mark, time to the right, neurons downwards ---- */
#ifndef SPIKELIB_PLOT_RASTER_H
#define SPIKELIB_PLOT_RASTER_H

#include "axes.h"

#ifndef SPIKELIB_NO_PLOT

/* What of the spikes is shown: times within (x.lo, x.hi], ids of the groups; one of each `stride`
   spikes of a group. */
typedef struct spki_raster {
    const spk_spike *spikes;
    size_t count, shown, stride;
    double dt;
    const spk_plot_group *groups;
    size_t group_count;
    uint64_t rows;
    spki_axes axes;
} spki_raster;

SPKI_FN bool spki_raster_in(const spki_raster *r, const spk_plot_group *g, const spk_spike *s)
{
    double t = (double)s->step * r->dt;
    return s->neuron >= g->first && s->neuron < g->end && t >= r->axes.x.lo && t <= r->axes.x.hi;
}

/* One of each block of `stride` spikes, at a hashed place: a fixed place would show the same
   neurons again and again wherever firing is periodic. */
SPKI_FN bool spki_raster_chosen(const spki_raster *r, size_t index)
{
    uint32_t block = (uint32_t)(index / r->stride);
    return index % r->stride == (block * 2654435761U >> 8) % r->stride;
}

/* Marks are one pixel and more, so that dense activity reads as grey and single spikes are seen. */
SPKI_FN void spki_raster_marks(const spki_raster *r, spki_svg *svg, const spk_plot_group *g,
                               uint64_t row0, uint32_t rgb)
{
    double pitch = r->axes.height * 10.0 / (double)(r->rows ? r->rows : 1);
    size_t drawn = r->shown / r->stride;
    double least = drawn > 5000 ? 11.0 : drawn > 1500 ? 16.0 : 45.0;
    double high = pitch * 0.8 < least ? least : pitch * 0.8 > 120.0 ? 120.0 : pitch * 0.8;
    double thick = drawn > 30000 ? 9.0 : drawn > 5000 ? 11.0 : 14.0;
    long x0 = 0, y0 = 0, tall = (long)high;
    size_t i, seen = 0;
    spki_svg_print(svg, "<path stroke=\"%c\" stroke-width=\"%n\" fill=\"none\" d=\"M0 0",
                   rgb, thick);
    for (i = 0; i < r->count; i++) {
        const spk_spike *s = &r->spikes[i];
        long x, y;
        if (!spki_raster_in(r, g, s)) continue;
        if (!spki_raster_chosen(r, seen++)) continue;
        x = spki_axes_x(&r->axes, (double)s->step * r->dt);
        y = (long)(((double)(row0 + s->neuron - g->first) + 0.5) * pitch - 0.5 * high + 0.5);
        fputc('m', svg->file);
        spki_svg_pair(svg, x - x0, y - y0);
        fputc('v', svg->file);
        spki_svg_integer(svg, tall);
        x0 = x;
        y0 = y + tall;
    }
    spki_svg_raw(svg, "\"/>\n");
}

/* Names beside the middle of their bands, moved apart where bands are thinner than a line. */
SPKI_FN double spki_raster_name_y(const spki_raster *r, size_t wanted, double line)
{
    double pitch = r->axes.height / (double)(r->rows ? r->rows : 1), y = 0.0, last = -1e9;
    uint64_t row = 0;
    size_t k;
    for (k = 0; k <= wanted; k++) {
        uint64_t size = r->groups[k].end - r->groups[k].first;
        double room = r->axes.height - line * (double)(r->group_count - 1 - k);
        y = ((double)row + 0.5 * (double)size) * pitch;
        if (y > room) y = room;
        if (y < last + line) y = last + line;
        last = y;
        row += size;
    }
    return r->axes.top + y;
}

SPKI_FN void spki_raster_names(const spki_raster *r, spki_svg *svg)
{
    double pitch = r->axes.height / (double)(r->rows ? r->rows : 1), left = r->axes.left;
    double line = r->axes.font * 1.15;
    uint64_t row = 0;
    size_t k;
    if (line * (double)r->group_count > r->axes.height)
        line = r->axes.height / (double)r->group_count;
    for (k = 0; k < r->group_count; k++) {
        const spk_plot_group *g = &r->groups[k];
        uint32_t rgb = spki_plot_colour(g->rgb, k);
        double y = r->axes.top + (double)row * pitch, size = (double)(g->end - g->first) * pitch;
        double at = spki_raster_name_y(r, k, line), middle = y + 0.5 * size;
        spki_svg_print(svg, "<rect x=\"%n\" y=\"%n\" width=\"4\" height=\"%n\" fill=\"%c\"/>\n",
                       left - 7.0, y, size > 0.5 ? size : 0.5, rgb);
        spki_svg_text(svg, left - 20.0, at + 0.35 * r->axes.font, "end",
                      line < r->axes.font ? line : r->axes.font, SPKI_INK, g->name);
        spki_svg_line(svg, left - 17.0, at, left - 8.5, middle, SPKI_GREY, 0.7);
        if (k > 0) spki_svg_line(svg, left, y, left + r->axes.width, y, SPKI_GRID, 0.8);
        row += g->end - g->first;
    }
}

SPKI_FN void spki_raster_note(const spki_raster *r, spki_svg *svg, const spk_plot_desc *d)
{
    double x = d->width - 12.0, y = d->height - 8.0;
    if (r->shown == 0) {
        spki_svg_text(svg, x, y, "end", 10.0, SPKI_GREY, "no spikes");
    } else if (r->stride > 1) {
        spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"10\" text-anchor=\"end\" "
                       "fill=\"%c\">1 of %i spikes shown</text>\n", x, y, SPKI_GREY,
                       (int)(r->stride < 2000000000U ? r->stride : 2000000000U));
    }
}

SPKI_FN void spki_raster_ranges(spki_raster *r, const spk_plot_desc *d, spk_plot_group *whole)
{
    spki_range x = spki_range_empty();
    size_t i, k;
    uint32_t lo = UINT32_MAX, hi = 0;
    for (i = 0; i < r->count; i++) {
        spki_range_add(&x, (double)r->spikes[i].step * r->dt);
        lo = SPKI_MIN(lo, r->spikes[i].neuron);
        hi = SPKI_MAX(hi, r->spikes[i].neuron);
    }
    if (x.lo > 0.0 && x.lo < 0.1 * x.hi) x.lo = 0.0;
    r->axes.x = spki_range_resolve(x, d->x_min, d->x_max, 0.0);
    if (!(d->x_min < d->x_max)) r->axes.x = spki_range_snap(r->axes.x, 6);
    if (r->group_count == 0) {
        memset(whole, 0, sizeof *whole);
        whole->first = lo <= hi ? lo : 0;
        whole->end = lo <= hi && hi < UINT32_MAX ? hi + 1 : hi;
        if (d->y_min < d->y_max && d->y_min >= 0.0 && d->y_max <= 4294967295.0) {
            whole->first = (uint32_t)d->y_min;
            whole->end = (uint32_t)d->y_max;
        }
        r->groups = whole;
        r->group_count = 1;
    }
    for (k = 0; k < r->group_count; k++) {
        r->rows += r->groups[k].end - r->groups[k].first;
        for (i = 0; i < r->count; i++)
            if (spki_raster_in(r, &r->groups[k], &r->spikes[i])) r->shown++;
    }
    r->stride = 1 + (r->shown - (r->shown > 0)) / d->max_marks;
    r->axes.y.lo = (double)r->groups[0].first - 0.5;
    r->axes.y.hi = r->axes.y.lo + (double)SPKI_MAX(r->rows, 1);
}

SPKI_FN spk_result spki_raster_draw(spki_raster *r, spk_plot_desc *d, spki_svg *svg, bool named)
{
    double side = 0.0;
    uint64_t row = 0;
    size_t k;
    for (k = 0; named && k < r->group_count; k++) {
        double w = 34.0 + spki_svg_text_width(r->groups[k].name, 12.0);
        side = SPKI_MAX(side, w);
    }
    if (!d->x_label) d->x_label = "time (ms)";
    if (!d->y_label) d->y_label = named ? "" : "neuron";
    spki_plot_layout(svg, &r->axes, d, 0, side, true);
    if (named) spki_raster_names(r, svg);
    spki_axes_open(svg, &r->axes);
    if (!named) /* an axis with numbers counts upwards */
        spki_svg_print(svg, "<g transform=\"matrix(1 0 0 -1 0 %n)\">\n",
                               r->axes.height * 10.0);
    for (k = 0; k < r->group_count; k++) {
        spki_raster_marks(r, svg, &r->groups[k], row,
                          named || r->groups[k].rgb ? spki_plot_colour(r->groups[k].rgb, k)
                                                    : SPKI_INK);
        row += r->groups[k].end - r->groups[k].first;
    }
    if (!named) spki_svg_raw(svg, "</g>\n");
    spki_axes_close(svg);
    spki_axes_draw_x(svg, &r->axes, d->x_label);
    spki_axes_draw_y(svg, &r->axes, d->y_label);
    spki_raster_note(r, svg, d);
    return spki_svg_close(svg);
}

SPIKELIB_API spk_result spk_plot_raster_desc(const spk_spike *spikes, size_t count, double dt_ms,
                                             const spk_plot_desc *desc, const char *path)
{
    spki_raster r;
    spki_svg svg;
    spk_plot_desc d;
    spk_plot_group whole;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (!path || (count != 0 && !spikes)) return SPK_ERR_NULL;
    if (!(dt_ms > 0.0 && dt_ms < 1e9)) return SPK_ERR_RANGE;
    memset(&r, 0, sizeof r);
    r.spikes = spikes;
    r.count = count;
    r.dt = dt_ms;
    r.groups = d.groups;
    r.group_count = d.group_count;
    spki_raster_ranges(&r, &d, &whole);
    result = spki_svg_open(&svg, path, d.width, d.height);
    return result != SPK_OK ? result : spki_raster_draw(&r, &d, &svg, d.group_count != 0);
}

SPIKELIB_API spk_result spk_plot_raster(spk_rec spikes, const char *path)
{
    spk_plot_desc d;
    const spk_spike *list;
    size_t count = 0;
    if (!spikes || !path) return SPK_ERR_NULL;
    memset(&d, 0, sizeof d);
    d.y_min = (double)spk_rec_first_id(spikes);
    d.y_max = (double)spk_rec_end_id(spikes);
    list = spk_rec_spikes(spikes, &count);
    return spk_plot_raster_desc(list, count, spk_rec_dt_ms(spikes), &d, path);
}

#endif
#endif
