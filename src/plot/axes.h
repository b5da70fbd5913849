/* ---- >>axes: ranges, ticks, frames, colours and legends ---- */
#ifndef SPIKELIB_PLOT_AXES_H
#define SPIKELIB_PLOT_AXES_H

#include "svg.h"

#ifndef SPIKELIB_NO_PLOT

#define SPKI_INK 0x222222U
#define SPKI_GREY 0x707070U
#define SPKI_GRID 0xe4e4e4U

/* The next colour of a palette that the colour-blind can tell apart; yellow comes last, since it
   is faint on white. Source: Okabe and Ito, Color Universal Design (2008). */
SPKI_FN uint32_t spki_plot_colour(uint32_t rgb, size_t index)
{
    static const uint32_t palette[8] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7,
                                        0xe69f00, 0x56b4e9, 0x333333, 0xf0e442};
    return rgb != 0 ? rgb & 0xffffffU : palette[index % 8];
}

SPKI_FN bool spki_plot_finite(double x)
{
    return x > -1e300 && x < 1e300;
}

/* -- ranges -- */

typedef struct spki_range {
    double lo, hi;
} spki_range;

SPKI_FN spki_range spki_range_empty(void)
{
    spki_range r;
    r.lo = 1e301;
    r.hi = -1e301;
    return r;
}

SPKI_FN void spki_range_add(spki_range *r, double x)
{
    if (!spki_plot_finite(x)) return;
    if (x < r->lo) r->lo = x;
    if (x > r->hi) r->hi = x;
}

/* What was asked for if that is a range, else the data's, padded, never of no width. */
SPKI_FN spki_range spki_range_resolve(spki_range data, double lo, double hi, double pad)
{
    double width;
    if (lo < hi) {
        data.lo = lo;
        data.hi = hi;
        return data;
    }
    if (!(data.lo <= data.hi)) {
        data.lo = 0.0;
        data.hi = 1.0;
    }
    width = data.hi - data.lo;
    if (!(width > 1e-12 * (data.hi > -data.lo ? data.hi : -data.lo))) {
        double half = data.hi == 0.0 ? 1.0 : 0.1 * (data.hi > 0.0 ? data.hi : -data.hi);
        data.lo -= half;
        data.hi += half;
        return data;
    }
    data.lo -= pad * width;
    data.hi += pad * width;
    return data;
}

/* -- ticks: multiples of 1, 2 or 5 times a power of ten, kept as integers -- */

typedef struct spki_ticks {
    long long first;      /* tick i stands at (first + i) * mantissa * 10^exponent */
    int count, mantissa, exponent;
    int factor;           /* labels are printed in units of 10^factor */
    double unit;          /* mantissa * 10^exponent */
} spki_ticks;

SPKI_FN double spki_power_of_ten(int exponent)
{
    double p = 1.0;
    for (; exponent > 0; exponent--) p *= 10.0;
    for (; exponent < 0; exponent++) p /= 10.0;
    return p;
}

SPKI_FN long long spki_floor_ll(double x)
{
    long long n = (long long)x;
    return (double)n > x ? n - 1 : n;
}

SPKI_FN int spki_decade(double x)
{
    int e = 0;
    while (e < 310 && x >= 10.0) {
        x /= 10.0;
        e++;
    }
    while (e > -310 && x < 1.0) {
        x *= 10.0;
        e--;
    }
    return e;
}

SPKI_FN spki_ticks spki_ticks_make(spki_range r, int wanted, bool integers)
{
    spki_ticks t;
    double raw = (r.hi - r.lo) / (double)(wanted > 1 ? wanted : 1);
    double size = r.hi > -r.lo ? r.hi : -r.lo, top;
    if (raw < 1e-12 * size) raw = 1e-12 * size;
    t.exponent = spki_decade(raw);
    top = raw / spki_power_of_ten(t.exponent);
    t.mantissa = top <= 1.0 ? 1 : top <= 2.0 ? 2 : top <= 5.0 ? 5 : 10;
    if (t.mantissa == 10) {
        t.mantissa = 1;
        t.exponent++;
    }
    if (integers && t.exponent < 0) {
        t.mantissa = 1;
        t.exponent = 0;
    }
    t.unit = (double)t.mantissa * spki_power_of_ten(t.exponent);
    t.first = spki_floor_ll(r.lo / t.unit - 1e-6) + 1;
    t.count = (int)(spki_floor_ll(r.hi / t.unit + 1e-6) - t.first + 1);
    t.count = t.count < 0 ? 0 : t.count > 100 ? 100 : t.count;
    t.factor = size >= 1e6 || size < 1e-3 ? spki_decade(size) : 0;
    return t;
}

SPKI_FN double spki_ticks_value(const spki_ticks *t, int i)
{
    return (double)(t->first + i) * t->unit;
}

/* Moves the ends of a range to a tick that lies a little outside: 0 to 999.9 ms becomes 1,000. */
SPKI_FN spki_range spki_range_snap(spki_range r, int wanted)
{
    spki_ticks t = spki_ticks_make(r, wanted, false);
    double little = 0.04 * (r.hi - r.lo);
    double below = (double)spki_floor_ll(r.lo / t.unit) * t.unit;
    double above = (double)(spki_floor_ll(r.hi / t.unit - 1e-9) + 1) * t.unit;
    if (r.lo - below < little) r.lo = below;
    if (above - r.hi < little) r.hi = above;
    return r;
}

/* The label of a tick: an integer with its decimal point moved. */
SPKI_FN void spki_ticks_label(const spki_ticks *t, int i, char text[64])
{
    long long n = (t->first + i) * t->mantissa;
    int shift = t->exponent - t->factor, length = 0, k;
    char digits[48], *out = text;
    if (n < 0) {
        *out++ = '-';
        n = -n;
    }
    for (k = 0; n != 0 && k < shift && length < 20; k++) digits[length++] = '0';
    for (; n != 0 && length < 40; n /= 10) digits[length++] = (char)('0' + (int)(n % 10));
    if (shift < 0 && length > 0) {
        int decimals = -shift < 20 ? -shift : 20;
        while (length <= decimals) digits[length++] = '0';
        for (k = length - 1; k >= decimals; k--) *out++ = digits[k];
        *out++ = '.';
        for (k = decimals - 1; k >= 0; k--) *out++ = digits[k];
    } else {
        if (length == 0) digits[length++] = '0';
        for (k = length - 1; k >= 0; k--) *out++ = digits[k];
    }
    *out = 0;
}

SPKI_FN double spki_ticks_width(const spki_ticks *t, double font)
{
    double width = 0.0;
    int i;
    for (i = 0; i < t->count; i++) {
        char text[64];
        double w;
        spki_ticks_label(t, i, text);
        w = spki_svg_text_width(text, font);
        if (w > width) width = w;
    }
    return width;
}

/* -- a frame: where the data stand on the page -- */

typedef struct spki_axes {
    double left, top, width, height; /* of the data, in px */
    spki_range x, y;
    spki_ticks x_ticks, y_ticks;
    double font;
    bool y_grid, y_labels;
} spki_axes;

/* Data to tenths of a pixel within the frame, clamped far outside of it. */
SPKI_FN long spki_axes_scale(double value, double from, double to, double size)
{
    double s = (value - from) / (to - from) * size * 10.0;
    if (s < -1e5) s = -1e5;
    if (s > 1e5) s = 1e5;
    return (long)(s < 0.0 ? s - 0.5 : s + 0.5);
}

SPKI_FN long spki_axes_x(const spki_axes *a, double x)
{
    return spki_axes_scale(x, a->x.lo, a->x.hi, a->width);
}

SPKI_FN long spki_axes_y(const spki_axes *a, double y)
{
    return spki_axes_scale(y, a->y.hi, a->y.lo, a->height);
}

SPKI_FN void spki_axes_set_ticks(spki_axes *a, bool y_integers)
{
    int nx = (int)(a->width / (a->font * 7.0)), ny = (int)(a->height / (a->font * 3.6));
    a->x_ticks = spki_ticks_make(a->x, nx < 2 ? 2 : nx, false);
    a->y_ticks = spki_ticks_make(a->y, ny < 2 ? 2 : ny, y_integers);
}

/* " (x10^6)" behind a label, where the ticks are printed in such units. */
SPKI_FN void spki_axes_label(spki_svg *svg, const spki_axes *a, const char *label, int factor)
{
    spki_svg_escaped(svg, label);
    if (factor != 0)
        spki_svg_print(svg, " &#215;10<tspan dy=\"%n\" font-size=\"%n\">%i</tspan>",
                       -0.35 * a->font, 0.75 * a->font, factor);
    spki_svg_raw(svg, "</text>\n");
}

SPKI_FN void spki_axes_draw_x(spki_svg *svg, const spki_axes *a, const char *label)
{
    double bottom = a->top + a->height;
    int i;
    for (i = 0; i < a->x_ticks.count; i++) {
        char text[64];
        double x = a->left + 0.1 * (double)spki_axes_x(a, spki_ticks_value(&a->x_ticks, i));
        spki_ticks_label(&a->x_ticks, i, text);
        spki_svg_line(svg, x, bottom, x, bottom + 4.0, SPKI_INK, 1.0);
        spki_svg_text(svg, x, bottom + 5.0 + a->font, "middle", a->font, SPKI_INK, text);
    }
    spki_svg_line(svg, a->left - 0.5, bottom, a->left + a->width, bottom, SPKI_INK, 1.0);
    if (!label || (!*label && a->x_ticks.factor == 0)) return;
    spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"%n\" text-anchor=\"middle\" "
                   "fill=\"%c\">",
                   a->left + 0.5 * a->width, bottom + 9.0 + 2.1 * a->font, a->font + 1.0, SPKI_INK);
    spki_axes_label(svg, a, label, a->x_ticks.factor);
}

SPKI_FN void spki_axes_draw_y(spki_svg *svg, const spki_axes *a, const char *label)
{
    double x = a->left - 15.0, y = a->top + 0.5 * a->height;
    int i;
    for (i = 0; a->y_labels && i < a->y_ticks.count; i++) {
        char text[64];
        double at = a->top + 0.1 * (double)spki_axes_y(a, spki_ticks_value(&a->y_ticks, i));
        spki_ticks_label(&a->y_ticks, i, text);
        if (a->y_grid) spki_svg_line(svg, a->left, at, a->left + a->width, at, SPKI_GRID, 0.8);
        spki_svg_line(svg, a->left - 4.0, at, a->left, at, SPKI_INK, 1.0);
        spki_svg_text(svg, a->left - 7.0, at + 0.35 * a->font, "end", a->font, SPKI_INK, text);
    }
    spki_svg_line(svg, a->left, a->top, a->left, a->top + a->height + 0.5, SPKI_INK, 1.0);
    if (!label || (!*label && (a->y_ticks.factor == 0 || !a->y_labels))) return;
    if (a->y_labels) x -= spki_ticks_width(&a->y_ticks, a->font);
    spki_svg_print(svg,
                   "<text transform=\"translate(%n %n) rotate(-90)\" font-size=\"%n\" "
                   "text-anchor=\"middle\" fill=\"%c\">",
                   x, y, a->font + 1.0, SPKI_INK);
    spki_axes_label(svg, a, label, a->y_labels ? a->y_ticks.factor : 0);
}

/* Between these, coordinates are tenths of a pixel of the frame, and what lies outside is cut. */
SPKI_FN void spki_axes_open(spki_svg *svg, const spki_axes *a)
{
    spki_svg_print(svg,
                   "<svg x=\"%n\" y=\"%n\" width=\"%n\" height=\"%n\" viewBox=\"0 0 %n %n\">\n",
                   a->left, a->top, a->width, a->height, a->width * 10.0, a->height * 10.0);
}

SPKI_FN void spki_axes_close(spki_svg *svg)
{
    spki_svg_raw(svg, "</svg>\n");
}

/* -- legends: rows of swatches above the data, where they cover nothing -- */

typedef struct spki_legend {
    double left, right, x, y, font;
    int rows;
} spki_legend;

SPKI_FN void spki_legend_begin(spki_legend *l, double left, double right, double y, double font)
{
    l->left = l->x = left;
    l->right = right;
    l->y = y;
    l->font = font;
    l->rows = 0;
}

/* With svg NULL only the rows are counted. */
SPKI_FN void spki_legend_add(spki_legend *l, spki_svg *svg, const char *name, uint32_t rgb)
{
    double width = 22.0 + spki_svg_text_width(name, l->font) + 14.0;
    if (!name || !*name) return;
    if (l->rows == 0) l->rows = 1;
    if (l->x + width > l->right && l->x > l->left) {
        l->x = l->left;
        l->y += l->font * 1.5;
        l->rows++;
    }
    if (svg) {
        spki_svg_line(svg, l->x, l->y, l->x + 16.0, l->y, rgb, 2.5);
        spki_svg_text(svg, l->x + 21.0, l->y + 0.35 * l->font, "start", l->font, SPKI_INK, name);
    }
    l->x += width;
}

/* -- descriptors -- */

/* A copy with the defaults filled in. Errors: NULL groups, sizes and ranges that make no sense. */
SPKI_FN spk_result spki_plot_resolve(spk_plot_desc *d, const spk_plot_desc *desc)
{
    size_t i;
    memset(d, 0, sizeof *d);
    if (desc) *d = *desc;
    if (d->width == 0.0) d->width = 720.0;
    if (d->height == 0.0) d->height = 420.0;
    if (d->max_marks == 0) d->max_marks = 60000;
    if (!(d->width >= 100.0 && d->width <= 9000.0)) return SPK_ERR_RANGE;
    if (!(d->height >= 80.0 && d->height <= 9000.0)) return SPK_ERR_RANGE;
    if (!spki_plot_finite(d->x_min) || !spki_plot_finite(d->x_max)) return SPK_ERR_RANGE;
    if (!spki_plot_finite(d->y_min) || !spki_plot_finite(d->y_max)) return SPK_ERR_RANGE;
    if (d->x_min > d->x_max || d->y_min > d->y_max) return SPK_ERR_RANGE;
    if (d->group_count != 0 && !d->groups) return SPK_ERR_NULL;
    for (i = 0; i < d->group_count; i++)
        if (d->groups[i].first > d->groups[i].end) return SPK_ERR_RANGE;
    return SPK_OK;
}

/* Title at the top, room for `legend_rows` rows below it and for labels around the frame. The
   caller has set the ranges; `side` is the width of what stands left of the axis instead of
   tick labels, or 0. */
SPKI_FN void spki_plot_layout(spki_svg *svg, spki_axes *a, const spk_plot_desc *d,
                              int legend_rows, double side, bool y_integers)
{
    a->font = 12.0;
    a->top = 14.0 + (d->title && *d->title ? 22.0 : 0.0) + 18.0 * (double)legend_rows;
    a->height = d->height - a->top - 46.0;
    a->width = d->width;
    a->y_labels = side == 0.0;
    spki_axes_set_ticks(a, y_integers);
    a->left = (side > 0.0 ? side : 18.0 + spki_ticks_width(&a->y_ticks, a->font)) +
              (d->y_label && *d->y_label ? 18.0 : 0.0);
    a->width = d->width - a->left - 20.0;
    spki_axes_set_ticks(a, y_integers);
    if (d->title && *d->title)
        spki_svg_text(svg, a->left, 22.0, "start", a->font + 3.0, SPKI_INK, d->title);
}

#endif
#endif
