/* ---- >>plot_rates: population rates in time bins ---- */
#ifndef SPIKELIB_PLOT_RATES_H
#define SPIKELIB_PLOT_RATES_H

#include "../core/alloc.h"
#include "curves.h"

#ifndef SPIKELIB_NO_PLOT

enum { SPKI_RATES_BINS_MAX = 10000000 };

/* Bins from t0 on; a spike belongs to the middle of its step, so that rounding never moves one
   that stands on the border of two bins. */
typedef struct spki_rates {
    const spk_spike *spikes;
    size_t count, bins;
    double dt, bin, t0;
} spki_rates;

SPKI_FN void spki_rates_group(const spki_rates *r, const spk_plot_group *g, double *rates)
{
    double width = g->end > g->first ? (double)(g->end - g->first) : 1.0;
    size_t i;
    for (i = 0; i < r->count; i++) {
        double at = (((double)r->spikes[i].step - 0.5) * r->dt - r->t0) / r->bin;
        uint32_t id = r->spikes[i].neuron;
        if (id < g->first || id >= g->end || !(at >= 0.0 && at < (double)r->bins)) continue;
        rates[(size_t)at] += 1000.0 / (r->bin * width);
    }
}

SPKI_FN spk_result spki_rates_curves(const spki_rates *r, const spk_plot_group *groups,
                                     size_t count, spk_plot_desc *d, spk_plot_curve *curves,
                                     double *rates, const char *path)
{
    size_t k;
    spki_range top = {0.0, 0.0};
    for (k = 0; k < count; k++) {
        size_t i;
        double *row = rates + k * r->bins;
        spki_rates_group(r, &groups[k], row);
        for (i = 0; i < r->bins; i++) spki_range_add(&top, row[i]);
        curves[k].name = groups[k].name;
        curves[k].y = row;
        curves[k].count = r->bins;
        curves[k].x0 = r->t0 + 0.5 * r->bin;
        curves[k].dx = r->bin;
        curves[k].rgb = groups[k].rgb;
    }
    if (!(d->y_min < d->y_max)) {
        d->y_min = 0.0;
        d->y_max = top.hi > 0.0 ? 1.06 * top.hi : 1.0;
    }
    d->x_min = r->t0;
    d->x_max = r->t0 + (double)r->bins * r->bin;
    if (!d->y_label) d->y_label = "rate (Hz)";
    return spk_plot_curves(curves, count, d, path);
}

SPKI_FN spk_result spki_rates_window(spki_rates *r, const spk_plot_desc *d, spk_plot_group *whole)
{
    spki_range x = spki_range_empty();
    double bins;
    size_t i;
    whole->first = UINT32_MAX;
    for (i = 0; i < r->count; i++) {
        spki_range_add(&x, ((double)r->spikes[i].step - 0.5) * r->dt);
        whole->first = SPKI_MIN(whole->first, r->spikes[i].neuron);
        whole->end = SPKI_MAX(whole->end, r->spikes[i].neuron);
    }
    if (whole->end < UINT32_MAX) whole->end++;
    if (r->count == 0) whole->first = 0;
    if (r->count == 0) x.lo = x.hi = 0.0;
    if (d->x_min < d->x_max) {
        x.lo = d->x_min;
        x.hi = d->x_max - 0.5 * r->dt;
    }
    if (!(x.lo / r->bin > -1e15 && x.hi / r->bin < 1e15)) return SPK_ERR_RANGE;
    r->t0 = d->x_min < d->x_max ? d->x_min : (double)spki_floor_ll(x.lo / r->bin) * r->bin;
    bins = (double)(spki_floor_ll((x.hi - r->t0) / r->bin) + 1);
    if (!(bins >= 1.0 && bins <= (double)SPKI_RATES_BINS_MAX)) return SPK_ERR_RANGE;
    r->bins = (size_t)bins;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_plot_rates(const spk_spike *spikes, size_t count, double dt_ms,
                                       double bin_ms, const spk_plot_desc *desc, const char *path)
{
    spki_rates r;
    spki_mem mem;
    spk_plot_desc d;
    spk_plot_group whole;
    spk_plot_curve *curves;
    double *rates;
    size_t groups;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (!path || (count != 0 && !spikes)) return SPK_ERR_NULL;
    if (!(dt_ms > 0.0 && dt_ms < 1e9) || !(bin_ms > 0.0 && bin_ms < 1e9)) return SPK_ERR_RANGE;
    memset(&r, 0, sizeof r);
    memset(&whole, 0, sizeof whole);
    r.spikes = spikes;
    r.count = count;
    r.dt = dt_ms;
    r.bin = bin_ms;
    result = spki_rates_window(&r, &d, &whole);
    if (result != SPK_OK) return result;
    groups = d.group_count ? d.group_count : 1;
    if (groups > SIZE_MAX / r.bins) return SPK_ERR_RANGE;
    spki_mem_init(&mem, NULL, 0);
    curves = (spk_plot_curve *)spki_alloc(&mem, groups, sizeof *curves);
    rates = (double *)spki_alloc(&mem, groups * r.bins, sizeof *rates);
    result = !curves || !rates ? SPK_ERR_OUT_OF_MEMORY
                               : spki_rates_curves(&r, d.group_count ? d.groups : &whole, groups,
                                                   &d, curves, rates, path);
    spki_free(&mem, rates, groups * r.bins, sizeof *rates);
    spki_free(&mem, curves, groups, sizeof *curves);
    return result;
}

#endif
#endif
