/* ---- >>views: counts, surfaces and voxel grids ---- */
#ifndef SPIKELIB_EVENT_VIEW_H
#define SPIKELIB_EVENT_VIEW_H

#include "../api/view.h"
#include "rows.h"
#include "view_add.h"

/* Whole vectors, then what is left by one. */
SPKI_FN void spki_view_rows(spk_isa isa, const int32_t *a, const int32_t *b, float *out, size_t n,
                            const spki_surface *s)
{
    size_t whole = 0;
    switch (isa) {
#if SPKI_HAVE_AVX512
    case SPK_ISA_AVX512:
        whole = n & ~(size_t)15;
        spki_view_rows_f16(a, b, out, whole, s);
        break;
#endif
#if SPKI_HAVE_AVX2
    case SPK_ISA_AVX2:
        whole = n & ~(size_t)7;
        spki_view_rows_f8(a, b, out, whole, s);
        break;
#endif
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
    case SPK_ISA_SSE2:
    case SPK_ISA_NEON:
    case SPK_ISA_GENERIC:
        whole = n & ~(size_t)3;
        spki_view_rows_f4(a, b, out, whole, s);
        break;
#endif
    default: break;
    }
    spki_view_rows_f1(a + whole, b + whole, out + whole, n - whole, s);
}

SPKI_FN size_t spki_view_groups(const spk_view *v)
{
    return v->d.polarity == SPK_VIEW_SPLIT ? 2 : 1;
}

SPIKELIB_API spk_result spk_view_add(spk_view *view, const spk_event *events, size_t count)
{
    size_t i, others = 0;
    if (!view || (!events && count > 0)) return SPK_ERR_NULL;
    if (view->f.status != SPK_OK) return view->f.status;
    for (i = 0; i < count; i++) others += events[i].kind != SPK_EVENT_CD;
    view->f.stats.others += others;
    view->f.stats.events += count - others;
    spki_view_gather(view, events, count);
    return SPK_OK;
}

/* -- rendering -- */

SPKI_FN void spki_view_row(const spk_view *v, size_t plane, uint32_t y, const spki_surface *s,
                           float *out)
{
    const size_t width = v->d.width, at = y * width;
    const bool split = v->d.polarity == SPK_VIEW_SPLIT;
    size_t k;
    if (v->voxels) {
        memcpy(out, v->voxels + plane * v->pixels + at, width * sizeof *out);
    } else if (v->counts) {
        const uint32_t *off = v->counts + at, *on = off + v->pixels;
        const float sign = v->d.polarity == SPK_VIEW_SIGNED ? -1.0f : 1.0f;
        for (k = 0; k < width; k++)
            out[k] = split ? (float)(plane ? on[k] : off[k]) : (float)on[k] + sign * (float)off[k];
    } else {
        const int32_t *off = v->map.cells + at, *on = off + v->map.plane;
        spki_view_rows(v->f.isa, split && plane == 0 ? off : on, split && plane ? on : off, out,
                       width, s);
    }
}

SPKI_FN spki_surface spki_view_surface(spk_view *v, int64_t now_us)
{
    spki_surface s;
    memset(&s, 0, sizeof s);
    if (!v->map.cells) return s;
    if (!v->map.begun || now_us - v->map.base == SPKI_MAP_REACH ||
        !spki_map_near(v->map.base, now_us))
        spki_map_rebase(&v->map, now_us);
    s.now = (int32_t)(now_us - v->map.base);
    s.inverse_tau = 1.0f / (float)v->d.tau_us;
    s.exponential = v->d.kind == SPK_VIEW_EXP_SURFACE;
    s.sign = v->d.polarity == SPK_VIEW_SIGNED;
    return s;
}

SPIKELIB_API size_t spk_view_planes(const spk_view *view)
{
    if (!view || view->f.status != SPK_OK) return 0;
    return spki_view_groups(view) * (view->voxels ? view->d.bins : 1);
}

SPKI_FN spk_result spki_view_may_render(const spk_view *v, const void *out, size_t count)
{
    if (!v || !out) return SPK_ERR_NULL;
    if (v->f.status != SPK_OK) return v->f.status;
    return count == spk_view_planes(v) * v->pixels ? SPK_OK : SPK_ERR_RANGE;
}

SPIKELIB_API spk_result spk_view_render(spk_view *view, int64_t now_us, float *out, size_t count)
{
    const spk_result result = spki_view_may_render(view, out, count);
    spki_surface s;
    size_t plane;
    uint32_t y;
    if (result != SPK_OK) return result;
    s = spki_view_surface(view, now_us);
    for (plane = 0; plane < spk_view_planes(view); plane++)
        for (y = 0; y < view->d.height; y++, out += view->d.width)
            spki_view_row(view, plane, y, &s, out);
    return SPK_OK;
}

/* The largest value, or its opposite. */
SPKI_FN float spki_view_largest(const spk_view *v, const spki_surface *s)
{
    float most = 0.0f;
    size_t plane, k;
    uint32_t y;
    for (plane = 0; plane < spk_view_planes(v); plane++)
        for (y = 0; y < v->d.height; y++) {
            spki_view_row(v, plane, y, s, v->row);
            for (k = 0; k < v->d.width; k++) {
                const float x = v->row[k] < 0.0f ? -v->row[k] : v->row[k];
                most = SPKI_MAX(most, x);
            }
        }
    return most > 0.0f ? most : 1.0f;
}

SPIKELIB_API spk_result spk_view_render_u8(spk_view *view, int64_t now_us, float full, uint8_t *out,
                                           size_t count)
{
    const spk_result result = spki_view_may_render(view, out, count);
    spki_surface s;
    size_t plane, k;
    uint32_t y;
    if (result != SPK_OK) return result;
    if (!(full >= 0.0f && full <= FLT_MAX)) return SPK_ERR_RANGE;
    s = spki_view_surface(view, now_us);
    if (full == 0.0f) full = view->map.cells ? 1.0f : spki_view_largest(view, &s);
    for (plane = 0; plane < spk_view_planes(view); plane++)
        for (y = 0; y < view->d.height; y++) {
            spki_view_row(view, plane, y, &s, view->row);
            for (k = 0; k < view->d.width; k++) {
                float x = view->row[k] / full;
                x = x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x;
                *out++ = (uint8_t)(view->d.polarity == SPK_VIEW_SIGNED ? 128.5f + 127.0f * x
                                                                       : 0.5f + 255.0f * x);
            }
        }
    return SPK_OK;
}

/* -- life -- */

SPIKELIB_API void spk_view_reset(spk_view *view)
{
    if (!view || view->f.status != SPK_OK) return;
    memset(&view->f.stats, 0, sizeof view->f.stats);
    if (view->counts) memset(view->counts, 0, view->cells * sizeof *view->counts);
    if (view->voxels) memset(view->voxels, 0, view->cells * sizeof *view->voxels);
    if (view->map.cells) spki_map_clear(&view->map);
    view->begin_us = view->d.begin_us;
    view->begun = view->d.begin_us != 0;
}

SPKI_FN void spki_view_check(spk_view *v)
{
    const spk_view_desc *d = &v->d;
    if ((uint32_t)d->kind > SPK_VIEW_VOXEL_GRID || (uint32_t)d->polarity > SPK_VIEW_MERGED)
        spki_filter_fail(&v->f, SPK_ERR_RANGE, "kind = %d, polarity = %d: there is no such one",
                         (int)d->kind, (int)d->polarity);
    if (d->width == 0 || d->height == 0 || d->width > 65536 || d->height > 65536)
        spki_filter_fail(&v->f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)d->width, (unsigned)d->height);
    if (d->tau_us < 1 || d->tau_us > (int64_t)1 << 26)
        spki_filter_fail(&v->f, SPK_ERR_RANGE, "tau_us = %lld: not in 1 to 67,108,864",
                         (long long)d->tau_us);
    if (d->bins > 4096)
        spki_filter_fail(&v->f, SPK_ERR_RANGE, "bins = %u: more than 4,096", (unsigned)d->bins);
    if (d->window_us < 1)
        spki_filter_fail(&v->f, SPK_ERR_RANGE, "window_us = %lld: less than 1",
                         (long long)d->window_us);
}

SPKI_FN void spki_view_allocate(spk_view *v)
{
    bool done = true;
    v->pixels = (size_t)v->d.width * v->d.height;
    v->row = (float *)spki_alloc_raw(&v->f.mem, v->d.width, sizeof *v->row);
    if (v->d.kind == SPK_VIEW_COUNT) {
        v->cells = 2 * v->pixels;
        v->counts = (uint32_t *)spki_alloc(&v->f.mem, v->cells, sizeof *v->counts);
        done = v->counts != NULL;
    } else if (v->d.kind == SPK_VIEW_VOXEL_GRID) {
        v->cells = spki_view_groups(v) * v->d.bins;
        done = !__builtin_mul_overflow(v->cells, v->pixels, &v->cells);
        if (done) v->voxels = (float *)spki_alloc(&v->f.mem, v->cells, sizeof *v->voxels);
        done = v->voxels != NULL;
    } else {
        spki_map_init(&v->map, &v->f, v->d.width, v->d.height, 2, 0);
    }
    if (!done || !v->row)
        spki_filter_fail(&v->f, SPK_ERR_OUT_OF_MEMORY, "no memory for %u x %u pixels",
                         (unsigned)v->d.width, (unsigned)v->d.height);
}

SPKI_FN void spki_view_release(spk_filter *f)
{
    spk_view *v = (spk_view *)f;
    spki_free(&f->mem, v->counts, v->cells, sizeof *v->counts);
    spki_free(&f->mem, v->voxels, v->cells, sizeof *v->voxels);
    spki_free(&f->mem, v->row, v->d.width, sizeof *v->row);
    spki_map_free(&v->map, &f->mem);
}

SPIKELIB_API spk_view *spk_view_create(const spk_view_desc *desc)
{
    static const spki_filter_ops ops = {NULL, NULL, spki_view_release};
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    spk_view *v = (spk_view *)spki_filter_new(
        "view", sizeof *v, &ops, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0,
        garbage, desc && !garbage ? desc->isa : SPK_ISA_AUTO);
    if (!v || v->f.status != SPK_OK) return v;
    if (desc) v->d = *desc;
    v->d.tau_us = v->d.tau_us ? v->d.tau_us : 30000;
    v->d.bins = v->d.bins ? v->d.bins : 5;
    v->d.window_us = v->d.window_us ? v->d.window_us : 50000;
    spki_view_check(v);
    if (v->f.status == SPK_OK) spki_view_allocate(v);
    spk_view_reset(v);
    return v;
}

SPIKELIB_API void spk_view_destroy(spk_view *view)
{
    spk_filter_destroy((spk_filter *)view);
}

SPIKELIB_API spk_result spk_view_status(const spk_view *view)
{
    return view ? view->f.status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_view_error(const spk_view *view)
{
    return view ? view->f.error : "the view is NULL (there was no memory to create it)";
}

SPIKELIB_API spk_result spk_view_get_stats(const spk_view *view, spk_view_stats *stats)
{
    if (!view || !stats) return SPK_ERR_NULL;
    stats->events = view->f.stats.events - view->f.stats.outside;
    stats->outside = view->f.stats.outside;
    stats->others = view->f.stats.others;
    return SPK_OK;
}

#endif
