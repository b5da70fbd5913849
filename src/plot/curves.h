/* ---- >>plot_curves: membrane traces and other curves ---- */
#ifndef SPIKELIB_PLOT_CURVES_H
#define SPIKELIB_PLOT_CURVES_H

#include "axes.h"

#ifndef SPIKELIB_NO_PLOT

SPKI_FN double spki_curve_x(const spk_plot_curve *c, size_t i)
{
    return c->x ? c->x[i] : c->x0 + (double)i * c->dx;
}

SPKI_FN spk_result spki_curves_check(const spk_plot_curve *curves, size_t count)
{
    size_t k;
    if (count != 0 && !curves) return SPK_ERR_NULL;
    for (k = 0; k < count; k++) {
        if (curves[k].count != 0 && !curves[k].y) return SPK_ERR_NULL;
        if (!curves[k].x && (!spki_plot_finite(curves[k].x0) || !spki_plot_finite(curves[k].dx)))
            return SPK_ERR_RANGE;
    }
    return SPK_OK;
}

/* The data's range; that of y over what x shows. */
SPKI_FN void spki_curves_range(const spk_plot_curve *curves, size_t count, spki_range *x,
                               spki_range *y)
{
    size_t k, i;
    bool all = !(x->lo < x->hi);
    spki_range shown = *x;
    *x = spki_range_empty();
    *y = spki_range_empty();
    for (k = 0; k < count; k++)
        for (i = 0; i < curves[k].count; i++) {
            double at = spki_curve_x(&curves[k], i);
            if (!spki_plot_finite(at) || !spki_plot_finite(curves[k].y[i])) continue;
            spki_range_add(x, at);
            if (all || (at >= shown.lo && at <= shown.hi)) spki_range_add(y, curves[k].y[i]);
        }
}

/* All points that fall into one tenth of a pixel: its first, extremes and last are drawn, so that
   thinning a long trace keeps every spike. */
typedef struct spki_column {
    long x, first, low, high, last;
    size_t points;
} spki_column;

SPKI_FN void spki_column_draw(spki_svg_pen *pen, const spki_column *c, bool first)
{
    if (c->points == 0) return;
    if (first) spki_svg_pen_move(pen, c->x, c->first);
    spki_svg_pen_line(pen, c->x, c->first);
    spki_svg_pen_line(pen, c->x, c->low);
    spki_svg_pen_line(pen, c->x, c->high);
    spki_svg_pen_line(pen, c->x, c->last);
}

SPKI_FN void spki_curve_draw(spki_svg *svg, const spki_axes *a, const spk_plot_curve *c,
                             uint32_t rgb, double thick)
{
    spki_svg_pen pen = {svg, 0, 0, false};
    spki_column column = {0, 0, 0, 0, 0, 0};
    bool first = true;
    size_t i;
    spki_svg_print(svg, "<path fill=\"none\" stroke=\"%c\" stroke-width=\"%n\" "
                   "stroke-linejoin=\"round\" stroke-linecap=\"round\" d=\"", rgb, thick * 10.0);
    for (i = 0; i <= c->count; i++) {
        double x = i < c->count ? spki_curve_x(c, i) : 1e301;
        bool gap = !spki_plot_finite(x) || !spki_plot_finite(c->y[i]);
        long px = gap ? 0 : spki_axes_x(a, x), py = gap ? 0 : spki_axes_y(a, c->y[i]);
        if (column.points != 0 && (gap || px != column.x)) {
            spki_column_draw(&pen, &column, first);
            if (gap && !pen.drawing) spki_svg_raw(svg, "h0"); /* a lonely point becomes a dot */
            first = gap;
            column.points = 0;
        }
        if (gap) continue;
        if (column.points++ == 0) {
            column.x = px;
            column.first = column.low = column.high = py;
        }
        column.low = SPKI_MIN(column.low, py);
        column.high = SPKI_MAX(column.high, py);
        column.last = py;
    }
    spki_svg_raw(svg, "\"/>\n");
}

SPKI_FN int spki_curves_legend(spki_svg *svg, const spk_plot_curve *curves, size_t count,
                               double left, double right, double y)
{
    spki_legend legend;
    size_t k;
    spki_legend_begin(&legend, left, right, y, 12.0);
    for (k = 0; k < count; k++)
        spki_legend_add(&legend, svg, curves[k].name, spki_plot_colour(curves[k].rgb, k));
    return legend.rows;
}

/* Frame, legend and curves; the ranges are in `a` already. */
SPKI_FN spk_result spki_curves_draw(spki_svg *svg, spki_axes *a, const spk_plot_desc *d,
                                    const spk_plot_curve *curves, size_t count)
{
    int rows = spki_curves_legend(NULL, curves, count, 60.0, d->width - 10.0, 0.0);
    size_t k;
    a->y_grid = true;
    spki_plot_layout(svg, a, d, rows, 0.0, false);
    spki_curves_legend(svg, curves, count, a->left, d->width - 10.0,
                       a->top - 18.0 * (double)rows + 4.0);
    spki_axes_draw_y(svg, a, d->y_label);
    spki_axes_open(svg, a);
    for (k = 0; k < count; k++)
        spki_curve_draw(svg, a, &curves[k], spki_plot_colour(curves[k].rgb, k), 1.3);
    spki_axes_close(svg);
    spki_axes_draw_x(svg, a, d->x_label);
    return spki_svg_close(svg);
}

SPIKELIB_API spk_result spk_plot_curves(const spk_plot_curve *curves, size_t count,
                                        const spk_plot_desc *desc, const char *path)
{
    spki_svg svg;
    spki_axes a;
    spk_plot_desc d;
    spki_range x, y;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result == SPK_OK) result = spki_curves_check(curves, count);
    if (result != SPK_OK) return result;
    if (!path) return SPK_ERR_NULL;
    memset(&a, 0, sizeof a);
    x.lo = d.x_min;
    x.hi = d.x_max;
    spki_curves_range(curves, count, &x, &y);
    a.x = spki_range_resolve(x, d.x_min, d.x_max, 0.0);
    if (!(d.x_min < d.x_max)) a.x = spki_range_snap(a.x, 6);
    a.y = spki_range_resolve(y, d.y_min, d.y_max, 0.05);
    if (!d.x_label) d.x_label = "time (ms)";
    if (!d.y_label) d.y_label = "";
    result = spki_svg_open(&svg, path, d.width, d.height);
    return result != SPK_OK ? result : spki_curves_draw(&svg, &a, &d, curves, count);
}

#endif
#endif
