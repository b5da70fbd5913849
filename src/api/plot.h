/* ---- >>plot: pictures as self-contained SVG ---- */
#ifndef SPIKELIB_API_PLOT_H
#define SPIKELIB_API_PLOT_H

#include "net.h"

/* A named part of a raster: ids [first, end) drawn in one colour, labelled at the side. */
typedef struct spk_plot_group {
    const char *name;
    uint32_t first, end;
    uint32_t rgb; /* 0xRRGGBB; 0: the next of a colour-blind-safe palette */
} spk_plot_group;

typedef struct spk_plot_desc {
    const char *title;             /* default: none */
    const char *x_label, *y_label; /* default: fitting the picture */
    double width, height;          /* default: 720 x 420 px */
    double x_min, x_max;           /* default: all of the data */
    double y_min, y_max;           /* default: all of the data */
    const spk_plot_group *groups;  /* rasters: default: one group */
    size_t group_count;
    size_t max_marks;              /* rasters draw at most so many spikes, evenly thinned, and say
                                      so in the picture; default: 60,000 */
} spk_plot_desc;

/* One curve. `x` may be NULL: x0 + i * dx. */
typedef struct spk_plot_curve {
    const char *name;
    const double *x, *y;
    size_t count;
    double x0, dx;
    uint32_t rgb;
} spk_plot_curve;

/* Each writes one file and returns SPK_ERR_IO if it cannot (nothing half-written is left behind).
   `desc` may be NULL. Units: time in ms. Thread: any. */
SPIKELIB_API spk_result spk_plot_raster(spk_rec spikes, const char *path);
SPIKELIB_API spk_result spk_plot_raster_desc(const spk_spike *spikes, size_t count, double dt_ms,
                                             const spk_plot_desc *desc, const char *path);
SPIKELIB_API spk_result spk_plot_curves(const spk_plot_curve *curves, size_t count,
                                        const spk_plot_desc *desc, const char *path);
/* Bars of `bins` equal bins between the smallest and the largest value (or x_min and x_max). */
SPIKELIB_API spk_result spk_plot_histogram(const double *values, size_t count, size_t bins,
                                           const spk_plot_desc *desc, const char *path);
/* Population rate in bins of `bin_ms`, one curve a group. */
SPIKELIB_API spk_result spk_plot_rates(const spk_spike *spikes, size_t count, double dt_ms,
                                       double bin_ms, const spk_plot_desc *desc, const char *path);

/* A sheet of small panels (a gallery), `columns` wide. Each panel is a set of curves. */
typedef struct spk_plot_panel {
    const char *title;
    const spk_plot_curve *curves;
    size_t count;
    double x_min, x_max, y_min, y_max; /* equal: fit the data */
} spk_plot_panel;
SPIKELIB_API spk_result spk_plot_sheet(const spk_plot_panel *panels, size_t count, size_t columns,
                                       const spk_plot_desc *desc, const char *path);

#endif
