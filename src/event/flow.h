/* ---- >>flow: optical flow by plane fitting ---- */
#ifndef SPIKELIB_EVENT_FLOW_H
#define SPIKELIB_EVENT_FLOW_H

#include "../api/view.h"
#include "../simd/types.h"
#include "filter_map.h"

/* Times around an event are rows of eight cells, of which the first 2 radius + 1 count. What is
   summed are whole numbers, so that the order of lanes does not matter; residuals are floats, but
   no two of them are added. So every instruction set gives the same flow. */
typedef int32_t spki_flow_i __attribute__((vector_size(32)));
typedef uint32_t spki_flow_u __attribute__((vector_size(32)));
typedef float spki_flow_f __attribute__((vector_size(32)));
#define SPKI_FLOW_RADIUS 3
#define SPKI_FLOW_ROWS (2 * SPKI_FLOW_RADIUS + 1)

struct spk_flow {
    spk_filter f;
    spki_map map; /* times of OFF and ON */
    spk_flow_desc d;
    size_t (*run)(struct spk_flow *flow, const spk_event *events, size_t count,
                  spk_flow_vector *out);
};

/* dt = a x + b y + c, times in us from the event's. */
typedef struct spki_plane {
    double a, b, c;
    uint32_t points;
} spki_plane;

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors only pass between inlined functions */
#endif

/* The plane of least squares through the points of a mask; false: they lie on a line. Sums stay
   below 2^53: 49 points, distances of 3, times of 2^24. */
SPKI_INLINE bool spki_plane_fit(const spki_flow_i *dt, const spki_flow_i *mask, int radius,
                                spki_plane *p)
{
    spki_flow_i n = {0}, ny = {0}, nyy = {0}, t = {0}, ty = {0};
    int64_t s = 0, sx = 0, sy = 0, st = 0, sxx = 0, sxy = 0, syy = 0, sxt = 0, syt = 0;
    int64_t cxx, cxy, cyy, cxt, cyt;
    double determinant;
    int k;
    for (k = 0; k <= 2 * radius; k++) {
        const int32_t y = k - radius;
        const spki_flow_i one = mask[k] & 1, time = mask[k] & dt[k];
        n += one;
        ny += one * y;
        nyy += one * (y * y);
        t += time;
        ty += time * y;
    }
    for (k = 0; k <= 2 * radius; k++) {
        const int64_t x = k - radius;
        s += n[k];
        sx += x * n[k];
        sxx += x * x * n[k];
        sy += ny[k];
        sxy += x * ny[k];
        syy += nyy[k];
        st += t[k];
        sxt += x * t[k];
        syt += ty[k];
    }
    p->points = (uint32_t)s;
    cxx = s * sxx - sx * sx;
    cxy = s * sxy - sx * sy;
    cyy = s * syy - sy * sy;
    cxt = s * sxt - sx * st;
    cyt = s * syt - sy * st;
    determinant = (double)(cxx * cyy - cxy * cxy);
    if (s < 3 || determinant <= 0.0) return false;
    p->a = ((double)cxt * (double)cyy - (double)cyt * (double)cxy) / determinant;
    p->b = ((double)cyt * (double)cxx - (double)cxt * (double)cxy) / determinant;
    p->c = ((double)st - p->a * (double)sx - p->b * (double)sy) / (double)s;
    return true;
}

/* Takes points off the mask that are further from the plane than `limit` us; how many. */
SPKI_INLINE uint32_t spki_plane_reject(const spki_flow_i *dt, spki_flow_i *mask, int radius,
                                       const spki_plane *p, float limit)
{
    static const spki_flow_f columns = {0, 1, 2, 3, 4, 5, 6, 7};
    const float a = (float)p->a, b = (float)p->b, c = (float)p->c;
    const spki_flow_f slope = (columns - (float)radius) * a;
    spki_flow_i gone = {0};
    uint32_t count = 0;
    int k;
    for (k = 0; k <= 2 * radius; k++) {
        const spki_flow_f plane = slope + (b * (float)(k - radius) + c);
        const spki_flow_f off = __builtin_convertvector(dt[k], spki_flow_f) - plane;
        const spki_flow_i away = (spki_flow_i)(off > limit) | (spki_flow_i)(off < -limit);
        gone += away & mask[k] & 1;
        mask[k] &= ~away;
    }
    for (k = 0; k <= 2 * radius; k++) count += (uint32_t)gone[k];
    return count;
}

SPKI_INLINE uint32_t spki_flow_gather(const int32_t *cell, size_t stride, int32_t now, int radius,
                                      int32_t window, spki_flow_i *dt, spki_flow_i *mask)
{
    static const spki_flow_i columns = {0, 1, 2, 3, 4, 5, 6, 7};
    const spki_flow_i inside = columns <= 2 * radius;
    spki_flow_i n = {0};
    uint32_t count = 0;
    int k;
    for (k = 0; k <= 2 * radius; k++) {
        const int32_t *row = cell + (ptrdiff_t)stride * (k - radius) - radius;
        spki_flow_i times;
        memcpy(&times, row, sizeof times);
        /* modulo 2^32: SPKI_NEVER ends up 2^30 away at least */
        dt[k] = (spki_flow_i)((spki_flow_u)times - (uint32_t)now);
        mask[k] = inside & (dt[k] <= window) & (dt[k] >= -window);
        n += mask[k] & 1;
    }
    for (k = 0; k <= 2 * radius; k++) count += (uint32_t)n[k];
    return count;
}

/* Fit, reject, fit again. */
SPKI_INLINE bool spki_flow_fit(const spk_flow_desc *d, const int32_t *cell, size_t stride,
                               int32_t now, int radius, spk_flow_vector *out)
{
    SPKI_NO_CONTRACT
    spki_flow_i dt[SPKI_FLOW_ROWS], mask[SPKI_FLOW_ROWS];
    spki_plane p;
    double squared;
    uint32_t k;
    if (spki_flow_gather(cell, stride, now, radius, (int32_t)d->window_us, dt, mask) <
        d->min_points)
        return false;
    for (k = 0;; k++) {
        if (!spki_plane_fit(dt, mask, radius, &p) || p.points < d->min_points) return false;
        squared = p.a * p.a + p.b * p.b;
        if (squared < 1e-3) return false; /* all at once: faster than a pixel in 32 ns */
        if (k + 1 >= d->iterations) break;
        if (!spki_plane_reject(dt, mask, radius, &p,
                               (float)(d->max_error_px * __builtin_sqrt(squared))))
            break;
    }
    out->vx = (float)(1e6 * p.a / squared);
    out->vy = (float)(1e6 * p.b / squared);
    out->points = p.points;
    return true;
}

SPKI_INLINE size_t spki_flow_loop(struct spk_flow *flow, const spk_event *e, size_t count,
                                  int radius, spk_flow_vector *out)
{
    spki_grid grid = spki_map_grid(&flow->map);
    size_t i, found = 0;
    for (i = 0; i < count; i++) {
        int32_t *cell, now;
        memset(&out[i], 0, sizeof out[i]);
        if (e[i].kind != SPK_EVENT_CD) continue;
        if (!spki_grid_fits(&grid, e[i].x, e[i].y, e[i].t_us)) {
            if (!spki_map_ready(&flow->map, &flow->f, e[i].x, e[i].y, e[i].t_us)) continue;
            grid = spki_map_grid(&flow->map);
        }
        cell = spki_grid_at(&grid, e[i].x, e[i].y, e[i].polarity);
        now = (int32_t)(e[i].t_us - grid.base);
        *cell = now;
        found += spki_flow_fit(&flow->d, cell, grid.stride, now, radius, &out[i]);
    }
    return found;
}

SPKI_INLINE size_t spki_flow_all(struct spk_flow *flow, const spk_event *e, size_t count,
                                 spk_flow_vector *out)
{
    if (flow->d.radius == 1) return spki_flow_loop(flow, e, count, 1, out);
    if (flow->d.radius == 2) return spki_flow_loop(flow, e, count, 2, out);
    return spki_flow_loop(flow, e, count, 3, out);
}

SPKI_TARGET_BASE SPKI_FN size_t spki_flow_base(struct spk_flow *flow, const spk_event *e,
                                               size_t count, spk_flow_vector *out)
{
    return spki_flow_all(flow, e, count, out);
}

#if SPKI_HAVE_AVX2
SPKI_TARGET_AVX2 SPKI_FN size_t spki_flow_avx2(struct spk_flow *flow, const spk_event *e,
                                               size_t count, spk_flow_vector *out)
{
    return spki_flow_all(flow, e, count, out);
}
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

SPIKELIB_API size_t spk_flow_apply(spk_flow *flow, const spk_event *events, size_t count,
                                   spk_flow_vector *out)
{
    if (!flow || flow->f.status != SPK_OK || !events || !out) return 0;
    return flow->run(flow, events, count, out);
}

SPIKELIB_API void spk_flow_reset(spk_flow *flow)
{
    if (flow && flow->f.status == SPK_OK) spki_map_clear(&flow->map);
}

SPKI_FN void spki_flow_release(spk_filter *f)
{
    spki_map_free(&((spk_flow *)f)->map, &f->mem);
}

SPKI_FN void spki_flow_check(spk_flow *flow)
{
    spk_flow_desc *d = &flow->d;
    if (d->width == 0 || d->height == 0)
        spki_filter_fail(&flow->f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)d->width, (unsigned)d->height);
    if (d->radius > SPKI_FLOW_RADIUS)
        spki_filter_fail(&flow->f, SPK_ERR_RANGE, "radius = %u: more than 3", (unsigned)d->radius);
    if (d->window_us < 1 || d->window_us > (int64_t)1 << 24)
        spki_filter_fail(&flow->f, SPK_ERR_RANGE, "window_us = %lld: not in 1 to 16,777,216",
                         (long long)d->window_us);
    if (!(d->max_error_px > 0.0 && d->max_error_px < 1e3))
        spki_filter_fail(&flow->f, SPK_ERR_RANGE, "max_error_px = %g: not above 0, below 1,000",
                         d->max_error_px);
    if (d->min_points < 3)
        spki_filter_fail(&flow->f, SPK_ERR_RANGE, "min_points = %u: a plane needs 3",
                         (unsigned)d->min_points);
    if (d->iterations > 64)
        spki_filter_fail(&flow->f, SPK_ERR_RANGE, "iterations = %u: more than 64",
                         (unsigned)d->iterations);
}

SPIKELIB_API spk_flow *spk_flow_create(const spk_flow_desc *desc)
{
    static const spki_filter_ops ops = {NULL, NULL, spki_flow_release};
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    spk_flow *flow = (spk_flow *)spki_filter_new(
        "flow", sizeof *flow, &ops, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0,
        garbage, desc && !garbage ? desc->isa : SPK_ISA_AUTO);
    if (!flow || flow->f.status != SPK_OK) return flow;
    if (desc) flow->d = *desc;
    flow->d.radius = flow->d.radius ? flow->d.radius : 2;
    flow->d.window_us = flow->d.window_us ? flow->d.window_us : 50000;
    flow->d.max_error_px = flow->d.max_error_px == 0.0 ? 0.5 : flow->d.max_error_px;
    flow->d.min_points = flow->d.min_points ? flow->d.min_points : 8;
    flow->d.iterations = flow->d.iterations ? flow->d.iterations : 4;
    spki_flow_check(flow);
    flow->run = spki_flow_base;
#if SPKI_HAVE_AVX2
    if (flow->f.isa == SPK_ISA_AVX2 || flow->f.isa == SPK_ISA_AVX512) flow->run = spki_flow_avx2;
#endif
    spki_map_init(&flow->map, &flow->f, flow->d.width, flow->d.height, 2, SPKI_FLOW_RADIUS);
    return flow;
}

SPIKELIB_API void spk_flow_destroy(spk_flow *flow)
{
    spk_filter_destroy((spk_filter *)flow);
}

SPIKELIB_API spk_result spk_flow_status(const spk_flow *flow)
{
    return flow ? flow->f.status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_flow_error(const spk_flow *flow)
{
    return flow ? flow->f.error : "the flow is NULL (there was no memory to create it)";
}

#endif
