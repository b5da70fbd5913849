/* ---- >>plot_histogram: bars of counts ---- */
#ifndef SPIKELIB_PLOT_HISTOGRAM_H
#define SPIKELIB_PLOT_HISTOGRAM_H

#include "../core/alloc.h"
#include "axes.h"

#ifndef SPIKELIB_NO_PLOT

enum { SPKI_HISTOGRAM_BINS_MAX = 100000 };

SPKI_FN void spki_histogram_count(const double *values, size_t count, spki_range x,
                                  uint64_t *bars, size_t bins)
{
    size_t i;
    for (i = 0; i < count; i++) {
        double at = (values[i] - x.lo) / (x.hi - x.lo) * (double)bins;
        if (!(values[i] >= x.lo && values[i] <= x.hi)) continue;
        bars[at < (double)bins ? (size_t)at : bins - 1]++; /* the last bin is closed */
    }
}

SPKI_FN void spki_histogram_bars(spki_svg *svg, const spki_axes *a, const uint64_t *bars,
                                 size_t bins)
{
    double width = (a->x.hi - a->x.lo) / (double)bins;
    long zero = spki_axes_y(a, 0.0);
    size_t i;
    spki_svg_print(svg, "<path fill=\"%c\" stroke=\"#fff\" stroke-width=\"%i\" d=\"",
                   spki_plot_colour(0, 0), a->width > 6.0 * (double)bins ? 8 : 0);
    for (i = 0; i < bins; i++) {
        long left = spki_axes_x(a, a->x.lo + (double)i * width);
        long right = spki_axes_x(a, a->x.lo + (double)(i + 1) * width);
        long top = spki_axes_y(a, (double)bars[i]);
        if (bars[i] == 0) continue;
        spki_svg_raw(svg, "M");
        spki_svg_pair(svg, left, zero);
        spki_svg_raw(svg, "V");
        spki_svg_integer(svg, top);
        spki_svg_raw(svg, "H");
        spki_svg_integer(svg, right);
        spki_svg_raw(svg, "V");
        spki_svg_integer(svg, zero);
        spki_svg_raw(svg, "z");
    }
    spki_svg_raw(svg, "\"/>\n");
}

SPKI_FN spk_result spki_histogram_draw(spki_axes *a, spk_plot_desc *d, const uint64_t *bars,
                                       size_t bins, const char *path)
{
    spki_svg svg;
    spki_range y = {0.0, 1.0};
    spk_result result;
    size_t i;
    for (i = 0; i < bins; i++) spki_range_add(&y, 1.06 * (double)bars[i]);
    a->y = spki_range_resolve(y, d->y_min, d->y_max, 0.0);
    a->y_grid = true;
    if (!d->x_label) d->x_label = "value";
    if (!d->y_label) d->y_label = "count";
    result = spki_svg_open(&svg, path, d->width, d->height);
    if (result != SPK_OK) return result;
    spki_plot_layout(&svg, a, d, 0, 0.0, true);
    spki_axes_draw_y(&svg, a, d->y_label);
    spki_axes_open(&svg, a);
    spki_histogram_bars(&svg, a, bars, bins);
    spki_axes_close(&svg);
    spki_axes_draw_x(&svg, a, d->x_label);
    return spki_svg_close(&svg);
}

SPIKELIB_API spk_result spk_plot_histogram(const double *values, size_t count, size_t bins,
                                           const spk_plot_desc *desc, const char *path)
{
    spki_axes a;
    spki_mem mem;
    spk_plot_desc d;
    uint64_t *bars;
    spki_range x = spki_range_empty();
    size_t i;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (!path || (count != 0 && !values)) return SPK_ERR_NULL;
    if (bins == 0 || bins > SPKI_HISTOGRAM_BINS_MAX) return SPK_ERR_RANGE;
    memset(&a, 0, sizeof a);
    for (i = 0; i < count; i++) spki_range_add(&x, values[i]);
    a.x = spki_range_resolve(x, d.x_min, d.x_max, 0.0);
    spki_mem_init(&mem, NULL, 0);
    bars = (uint64_t *)spki_alloc(&mem, bins, sizeof *bars);
    if (!bars) return SPK_ERR_OUT_OF_MEMORY;
    spki_histogram_count(values, count, a.x, bars, bins);
    result = spki_histogram_draw(&a, &d, bars, bins, path);
    spki_free(&mem, bars, bins, sizeof *bars);
    return result;
}

#endif
#endif
