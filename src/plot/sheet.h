/* ---- >>plot_sheet: many small panels on one page ---- */
#ifndef SPIKELIB_PLOT_SHEET_H
#define SPIKELIB_PLOT_SHEET_H

#include "curves.h"

#ifndef SPIKELIB_NO_PLOT

SPKI_FN void spki_sheet_panel(spki_svg *svg, const spk_plot_panel *p, spki_axes *a,
                              const char *x_label, const char *y_label)
{
    spki_range x, y;
    size_t k;
    x.lo = p->x_min;
    x.hi = p->x_max;
    spki_curves_range(p->curves, p->count, &x, &y);
    a->x = spki_range_resolve(x, p->x_min, p->x_max, 0.0);
    if (!(p->x_min < p->x_max)) a->x = spki_range_snap(a->x, 4);
    a->y = spki_range_resolve(y, p->y_min, p->y_max, 0.06);
    a->font = 9.0;
    a->y_labels = true;
    a->x_ticks = spki_ticks_make(a->x, 4, false);
    a->y_ticks = spki_ticks_make(a->y, 3, false);
    spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"11\" font-weight=\"bold\" "
                   "fill=\"%c\">%s</text>\n", a->left, a->top - 7.0, SPKI_INK,
                   p->title ? p->title : "");
    spki_axes_draw_y(svg, a, y_label);
    spki_axes_open(svg, a);
    for (k = 0; k < p->count; k++)
        spki_curve_draw(svg, a, &p->curves[k], spki_plot_colour(p->curves[k].rgb, k), 1.0);
    spki_axes_close(svg);
    spki_axes_draw_x(svg, a, x_label);
}

SPKI_FN spk_result spki_sheet_draw(const spk_plot_panel *panels, size_t count, size_t columns,
                                   const spk_plot_desc *d, const char *path)
{
    spki_svg svg;
    size_t i, rows = (count + columns - 1) / columns;
    int legend = count ? spki_curves_legend(NULL, panels[0].curves, panels[0].count, 48.0,
                                            d->width - 10.0, 0.0) : 0;
    double top = (d->title && *d->title ? 32.0 : 6.0) + 18.0 * (double)legend;
    double wide = (d->width - 24.0) / (double)columns;
    double high = (d->height - top - 20.0) / (double)(rows ? rows : 1);
    spk_result result = spki_svg_open(&svg, path, d->width, d->height);
    if (result != SPK_OK) return result;
    if (d->title && *d->title)
        spki_svg_text(&svg, 60.0, 24.0, "start", 15.0, SPKI_INK, d->title);
    if (legend)
        spki_curves_legend(&svg, panels[0].curves, panels[0].count, 60.0, d->width - 10.0,
                           top - 18.0 * (double)legend + 8.0);
    for (i = 0; i < count; i++) {
        spki_axes a;
        size_t column = i % columns, row = i / columns;
        memset(&a, 0, sizeof a);
        a.left = 20.0 + (double)column * wide + 38.0;
        a.top = top + (double)row * high + 22.0;
        a.width = wide - 52.0;
        a.height = high - 42.0;
        spki_sheet_panel(&svg, &panels[i], &a, i + columns >= count ? d->x_label : "",
                         column == 0 ? d->y_label : "");
    }
    return spki_svg_close(&svg);
}

SPIKELIB_API spk_result spk_plot_sheet(const spk_plot_panel *panels, size_t count, size_t columns,
                                       const spk_plot_desc *desc, const char *path)
{
    spk_plot_desc d;
    spk_result result;
    size_t i, rows;
    double width = desc ? desc->width : 0.0, height = desc ? desc->height : 0.0;
    if (columns == 0 || columns > 40 || count > 1600) return SPK_ERR_RANGE;
    rows = (count + columns - 1) / columns;
    result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (width == 0.0) d.width = 24.0 + 225.0 * (double)columns;
    if (height == 0.0) d.height = 60.0 + 140.0 * (double)(rows ? rows : 1);
    if (!path || (count != 0 && !panels)) return SPK_ERR_NULL;
    for (i = 0; i < count && result == SPK_OK; i++) {
        if (!spki_plot_finite(panels[i].x_min) || !spki_plot_finite(panels[i].x_max) ||
            !spki_plot_finite(panels[i].y_min) || !spki_plot_finite(panels[i].y_max))
            return SPK_ERR_RANGE;
        result = spki_curves_check(panels[i].curves, panels[i].count);
    }
    if (result != SPK_OK) return result;
    if (!d.x_label) d.x_label = "time (ms)";
    if (!d.y_label) d.y_label = "";
    if (d.width / (double)columns < 80.0 || d.height / (double)(rows ? rows : 1) < 70.0)
        return SPK_ERR_RANGE;
    return spki_sheet_draw(panels, count, columns, &d, path);
}

#endif
#endif
