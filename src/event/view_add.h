/* ---- >>view-add: events into counts, times and voxels ---- */
#ifndef SPIKELIB_EVENT_VIEW_ADD_H
#define SPIKELIB_EVENT_VIEW_ADD_H

#include "../api/view.h"
#include "../simd/types.h"
#include "batch.h"

/* The filter inside carries memory, instruction set, error and statistics. */
struct spk_view {
    spk_filter f;
    spk_view_desc d;
    spki_map map;     /* surfaces: times of OFF and ON */
    uint32_t *counts; /* of OFF, then of ON */
    float *voxels;    /* groups of bins */
    float *row;       /* of rendering to grey levels */
    size_t pixels, cells;
    int64_t begin_us;
    bool begun;
};

/* -- one by one -- */

SPKI_FN void spki_view_add_counts(spk_view *v, const spk_event *e, size_t count)
{
    uint32_t *const counts = v->counts; /* of which the compiler cannot tell that events leave it */
    const size_t on = v->pixels, width = v->d.width, height = v->d.height;
    size_t i, outside = 0;
    for (i = 0; i < count; i++) {
        uint32_t *cell;
        if (e[i].kind != SPK_EVENT_CD) continue;
        if (e[i].x >= width || e[i].y >= height) {
            outside++;
            continue;
        }
        cell = counts + (e[i].polarity ? on : 0) + (size_t)e[i].y * width + e[i].x;
        *cell += *cell != UINT32_MAX;
    }
    v->f.stats.outside += outside;
}

SPKI_FN void spki_view_add_times(spk_view *v, const spk_event *e, size_t count)
{
    spki_grid grid = spki_map_grid(&v->map);
    size_t i;
    for (i = 0; i < count; i++) {
        int32_t *cell, now;
        if (e[i].kind != SPK_EVENT_CD) continue;
        if (!spki_grid_fits(&grid, e[i].x, e[i].y, e[i].t_us)) {
            if (!spki_map_ready(&v->map, &v->f, e[i].x, e[i].y, e[i].t_us)) continue;
            grid = spki_map_grid(&v->map);
        }
        cell = spki_grid_at(&grid, e[i].x, e[i].y, e[i].polarity);
        now = (int32_t)(e[i].t_us - grid.base);
        *cell = SPKI_MAX(*cell, now);
    }
}

/* A place in bins for each microsecond of the window. */
SPKI_INLINE double spki_voxel_scale(const spk_view *v)
{
    return (double)(v->d.bins - 1) / (double)v->d.window_us;
}

/* Contraction would round the place's fraction once instead of twice. */
SPKI_NO_CONTRACT_ATTR SPKI_FN void spki_view_add_voxels(spk_view *v, const spk_event *e,
                                                        size_t count)
{
    SPKI_NO_CONTRACT
    const double scale = spki_voxel_scale(v);
    size_t i;
    for (i = 0; i < count; i++) {
        const uint64_t since = (uint64_t)e[i].t_us - (uint64_t)v->begin_us;
        const bool on = e[i].polarity != 0;
        const float sign = on || v->d.polarity != SPK_VIEW_SIGNED ? 1.0f : -1.0f;
        double place;
        float part, *cell;
        uint32_t bin;
        if (e[i].kind != SPK_EVENT_CD) continue;
        if (e[i].x >= v->d.width || e[i].y >= v->d.height ||
            (v->begun && since > (uint64_t)v->d.window_us)) {
            v->f.stats.outside++;
            continue;
        }
        place = v->begun ? (double)since * scale : 0.0;
        if (!v->begun) v->begin_us = e[i].t_us;
        v->begun = true;
        bin = (uint32_t)place;
        part = (float)(place - (double)bin);
        cell = v->voxels + (size_t)e[i].y * v->d.width + e[i].x + bin * v->pixels;
        if (v->d.polarity == SPK_VIEW_SPLIT && on) cell += v->d.bins * v->pixels;
        cell[0] += sign * (1.0f - part);
        if (bin + 1 < v->d.bins) cell[v->pixels] += sign * part;
    }
}

/* -- eight at a time -- */

#if SPKI_HAVE_AVX2
SPKI_EV8_AVX2 SPKI_FN void spki_view_counts_avx2(spk_view *v, const spk_event *e, size_t count)
{
    uint32_t *const counts = v->counts;
    size_t i, k;
    for (i = 0; i + SPKI_EV8 <= count; i += SPKI_EV8) {
        int32_t cell[SPKI_EV8];
        spki_ev8 b;
        spki_ev8_load(&b, e + i);
        if (!spki_ev8_cells(&b, v->d.width, v->d.width, v->d.height, v->pixels, cell)) {
            spki_view_add_counts(v, e + i, SPKI_EV8);
            continue;
        }
        for (k = 0; k < SPKI_EV8; k++) counts[cell[k]] += counts[cell[k]] != UINT32_MAX;
    }
    spki_view_add_counts(v, e + i, count - i);
}

SPKI_EV8_AVX2 SPKI_FN void spki_view_times_avx2(spk_view *v, const spk_event *e, size_t count)
{
    spki_grid grid = spki_map_grid(&v->map);
    size_t i, k;
    for (i = 0; i + SPKI_EV8 <= count; i += SPKI_EV8) {
        int32_t cell[SPKI_EV8], now[SPKI_EV8];
        if (!spki_ev8_in(&grid, e + i, cell, now)) {
            spki_view_add_times(v, e + i, SPKI_EV8);
            grid = spki_map_grid(&v->map);
            continue;
        }
        for (k = 0; k < SPKI_EV8; k++)
            grid.origin[cell[k]] = SPKI_MAX(grid.origin[cell[k]], now[k]);
    }
    spki_view_add_times(v, e + i, count - i);
}

/* Are all of them in the window? Times since its begin; as doubles they are exact below 2^52, by
   the bits of 2^52 + t. */
SPKI_EV8_AVX2 SPKI_INLINE bool spki_voxel_since8(const spk_view *v, const spki_ev8 *b,
                                                 __m256d since[2])
{
    const __m256i begin = _mm256_set1_epi64x(v->begin_us), none = _mm256_setzero_si256();
    const __m256i window = _mm256_set1_epi64x(v->d.window_us);
    const __m256i magic = _mm256_set1_epi64x(INT64_C(0x4330000000000000));
    const __m256d zero = _mm256_castsi256_pd(magic);
    __m256i bad = none;
    int k;
    for (k = 0; k < 2; k++) {
        const __m256i t = _mm256_sub_epi64(b->times[k], begin);
        bad = _mm256_or_si256(bad, _mm256_or_si256(_mm256_cmpgt_epi64(t, window),
                                                   _mm256_cmpgt_epi64(none, t)));
        since[k] = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(t, magic)), zero);
    }
    return _mm256_testz_si256(bad, bad) != 0;
}

/* Bins and fractions; in the order of spki_ev8.times. Where the whole program may use FMA, the
   product has to be kept from the difference. */
SPKI_EV8_AVX2 SPKI_INLINE __m128 spki_voxel_place8(__m256d since, double scale, __m128i *bin)
{
    __m256d place = _mm256_mul_pd(since, _mm256_set1_pd(scale));
    __asm__("" : "+x"(place));
    *bin = _mm256_cvttpd_epi32(place);
    return _mm256_cvtpd_ps(_mm256_sub_pd(place, _mm256_cvtepi32_pd(*bin)));
}

SPKI_EV8_AVX2 SPKI_FN void spki_view_voxels_avx2(spk_view *v, const spk_event *e, size_t count)
{
    static const uint8_t order[SPKI_EV8] = {0, 1, 4, 5, 2, 3, 6, 7}; /* where a time stands */
    const bool is_signed = v->d.polarity == SPK_VIEW_SIGNED;
    const bool split = v->d.polarity == SPK_VIEW_SPLIT;
    const size_t plane = v->pixels;
    const double scale = spki_voxel_scale(v);
    size_t i, k;
    for (i = 0; i + SPKI_EV8 <= count; i += SPKI_EV8) {
        int32_t pixel[SPKI_EV8], bin[SPKI_EV8];
        float part[SPKI_EV8];
        __m256d since[2];
        __m128i bins[2];
        spki_ev8 b;
        spki_ev8_load(&b, e + i);
        if (!spki_ev8_cells(&b, v->d.width, v->d.width, v->d.height,
                            split ? v->d.bins * plane : 0, pixel) ||
            !spki_voxel_since8(v, &b, since) || !v->begun) {
            spki_view_add_voxels(v, e + i, SPKI_EV8);
            continue;
        }
        _mm_storeu_ps(part, spki_voxel_place8(since[0], scale, &bins[0]));
        _mm_storeu_ps(part + 4, spki_voxel_place8(since[1], scale, &bins[1]));
        _mm_storeu_si128((__m128i *)(void *)bin, bins[0]);
        _mm_storeu_si128((__m128i *)(void *)(bin + 4), bins[1]);
        for (k = 0; k < SPKI_EV8; k++) {
            const size_t at = order[k], n = (size_t)bin[at];
            const float sign = is_signed && !e[i + k].polarity ? -1.0f : 1.0f;
            float *const cell = v->voxels + pixel[k] + n * plane;
            cell[0] += sign * (1.0f - part[at]);
            if (n + 1 < v->d.bins) cell[plane] += sign * part[at];
        }
    }
    spki_view_add_voxels(v, e + i, count - i);
}
#endif

/* -- sixteen at a time -- */

#if SPKI_HAVE_AVX512
/* How many of 16 bits are set, in each lane. */
SPKI_EV16_AVX512 SPKI_INLINE __m512i spki_ev16_ones(__m512i v)
{
    const __m512i table = _mm512_maskz_broadcast_i32x4(
        0xffff, _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i low = _mm512_shuffle_epi8(table, _mm512_and_si512(v, nibble));
    const __m512i high =
        _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi32(v, 4), nibble));
    const __m512i bytes = _mm512_add_epi8(low, high);
    return _mm512_and_si512(_mm512_add_epi32(bytes, _mm512_srli_epi32(bytes, 8)),
                            _mm512_set1_epi32(31));
}

/* Each event adds itself and the earlier ones of its cell; the last one's sum is what stays, since
   scatters write in order. */
SPKI_EV16_AVX512 SPKI_FN void spki_view_counts_avx512(spk_view *v, const spk_event *e,
                                                       size_t count)
{
    const __m512i plane = _mm512_set1_epi32((int32_t)v->pixels), ones = _mm512_set1_epi32(-1);
    size_t i;
    for (i = 0; i + SPKI_EV16 <= count; i += SPKI_EV16) {
        spki_ev16 b;
        __m512i cell, more, sum;
        spki_ev16_load(&b, e + i);
        if (!spki_ev16_cells(&b, v->d.width, v->d.width, v->d.height, &cell)) {
            spki_view_add_counts(v, e + i, SPKI_EV16);
            continue;
        }
        cell = _mm512_mask_add_epi32(cell, spki_ev16_on(&b), cell, plane);
        more = _mm512_sub_epi32(spki_ev16_ones(_mm512_conflict_epi32(cell)), ones);
        sum = _mm512_add_epi32(spki_gather32(0xffff, cell, v->counts), more);
        sum = _mm512_mask_mov_epi32(sum, _mm512_cmplt_epu32_mask(sum, more), ones); /* it is full */
        spki_scatter32(v->counts, 0xffff, cell, sum);
    }
    spki_view_add_counts(v, e + i, count - i);
}

SPKI_EV16_AVX512 SPKI_FN void spki_view_times_avx512(spk_view *v, const spk_event *e, size_t count)
{
    spki_grid grid = spki_map_grid(&v->map);
    size_t i;
    for (i = 0; i + SPKI_EV16 <= count; i += SPKI_EV16) {
        spki_ev16 b;
        __m512i cell, now, same;
        __mmask16 todo = 0xffff;
        spki_ev16_load(&b, e + i);
        if (!spki_ev16_cells(&b, grid.stride, grid.width, grid.height, &cell) ||
            !spki_ev16_times(&b, grid.base, &now)) {
            spki_view_add_times(v, e + i, SPKI_EV16);
            grid = spki_map_grid(&v->map);
            continue;
        }
        cell = _mm512_mask_add_epi32(cell, spki_ev16_on(&b), cell,
                                     _mm512_set1_epi32((int32_t)grid.plane));
        same = _mm512_conflict_epi32(cell);
        if (spki_ev16_crowded(spki_ev16_next(same, todo))) {
            spki_view_add_times(v, e + i, SPKI_EV16);
            continue;
        }
        do {
            const __mmask16 ready = spki_ev16_next(same, todo);
            const __m512i last = spki_gather32(ready, cell, grid.origin);
            spki_scatter32(grid.origin, ready, cell, _mm512_max_epi32(last, now));
            todo = (__mmask16)(todo & ~ready);
        } while (todo);
    }
    spki_view_add_times(v, e + i, count - i);
}

/* Bins and fractions of 8 events. */
SPKI_EV16_AVX512 SPKI_INLINE __m256 spki_voxel_place(__m512i since, __m512d scale, __m256i *bin)
{
    const __m512d place = spki_mul_alone(_mm512_cvtepu64_pd(since), scale);
    *bin = _mm512_cvttpd_epu32(place);
    return _mm512_cvtpd_ps(spki_sub_alone(place, _mm512_cvtepu32_pd(*bin)));
}

SPKI_EV16_AVX512 SPKI_INLINE __m512 spki_ev16_join_ps(__m256 low, __m256 high)
{
    return _mm512_castsi512_ps(_mm512_inserti64x4(
        _mm512_castsi256_si512(_mm256_castps_si256(low)), _mm256_castps_si256(high), 1));
}

SPKI_EV16_AVX512 SPKI_INLINE void spki_voxel_add(float *voxels, __mmask16 which, __m512i cell,
                                                  __m512 value)
{
    const __m512 old = _mm512_castsi512_ps(spki_gather32(which, cell, voxels));
    spki_scatter32(voxels, which, cell, _mm512_castps_si512(_mm512_add_ps(old, value)));
}

/* Sixteen events of the window: their pixels, times and signs. */
SPKI_EV16_AVX512 SPKI_INLINE void spki_voxel_batch(spk_view *v, __m512i pixel, __m512i same,
                                                    const __m512i since[2], __m512i flip)
{
    const __m512d scale = _mm512_set1_pd(spki_voxel_scale(v));
    const __m512i plane = _mm512_set1_epi32((int32_t)v->pixels);
    __m256i bin[2];
    const __m256 low = spki_voxel_place(since[0], scale, &bin[0]);
    const __m256 high = spki_voxel_place(since[1], scale, &bin[1]);
    const __m512 part = spki_ev16_join_ps(low, high);
    const __m512i bins = _mm512_inserti64x4(_mm512_castsi256_si512(bin[0]), bin[1], 1);
    const __m512i cell = _mm512_add_epi32(pixel, _mm512_mullo_epi32(bins, plane));
    const __m512i next = _mm512_add_epi32(cell, plane);
    const __mmask16 two = _mm512_cmplt_epu32_mask(bins, _mm512_set1_epi32((int)v->d.bins - 1));
    const __m512 rest = _mm512_sub_ps(_mm512_set1_ps(1.0f), part);
    const __m512 a = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(rest), flip));
    const __m512 c = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(part), flip));
    __mmask16 todo = 0xffff;
    do {
        const __mmask16 ready = spki_ev16_next(same, todo);
        spki_voxel_add(v->voxels, ready, cell, a);
        spki_voxel_add(v->voxels, (__mmask16)(ready & two), next, c);
        todo = (__mmask16)(todo & ~ready);
    } while (todo);
}

SPKI_EV16_AVX512 SPKI_FN void spki_view_voxels_avx512(spk_view *v, const spk_event *e,
                                                       size_t count)
{
    const __m512i window = _mm512_set1_epi64(v->d.window_us), minus = _mm512_set1_epi32(INT32_MIN);
    const bool is_signed = v->d.polarity == SPK_VIEW_SIGNED;
    const bool split = v->d.polarity == SPK_VIEW_SPLIT;
    const __m512i group = _mm512_set1_epi32((int32_t)(split ? v->d.bins * v->pixels : 0));
    size_t i;
    for (i = 0; i + SPKI_EV16 <= count; i += SPKI_EV16) {
        spki_ev16 b;
        __m512i pixel, same, since[2];
        __mmask16 on;
        bool simple;
        spki_ev16_load(&b, e + i);
        simple = spki_ev16_cells(&b, v->d.width, v->d.width, v->d.height, &pixel);
        spki_ev16_since(&b, v->begin_us, since);
        simple &= v->begun && (_mm512_cmpgt_epu64_mask(since[0], window) |
                               _mm512_cmpgt_epu64_mask(since[1], window)) == 0;
        on = spki_ev16_on(&b);
        pixel = _mm512_mask_add_epi32(pixel, on, pixel, group);
        same = _mm512_conflict_epi32(pixel);
        if (!simple || spki_ev16_crowded(spki_ev16_next(same, 0xffff)))
            spki_view_add_voxels(v, e + i, SPKI_EV16);
        else
            spki_voxel_batch(v, pixel, same, since,
                             _mm512_maskz_mov_epi32((__mmask16)(is_signed ? ~on : 0), minus));
    }
    spki_view_add_voxels(v, e + i, count - i);
}
#endif

SPKI_FN void spki_view_gather(spk_view *v, const spk_event *e, size_t count)
{
#if SPKI_HAVE_AVX512
    const size_t cells = v->map.cells ? v->map.count : v->cells;
    if (v->f.isa == SPK_ISA_AVX512 && spki_ev16_holds(v->d.width, v->d.height, cells)) {
        if (v->counts) spki_view_counts_avx512(v, e, count);
        else if (v->voxels) spki_view_voxels_avx512(v, e, count);
        else spki_view_times_avx512(v, e, count);
        return;
    }
#endif
#if SPKI_HAVE_AVX2
    if (v->f.isa == SPK_ISA_AVX2 &&
        spki_ev16_holds(v->d.width, v->d.height, v->map.cells ? v->map.count : v->cells) &&
        (!v->voxels || v->d.window_us < (int64_t)1 << 52)) {
        if (v->counts) spki_view_counts_avx2(v, e, count);
        else if (v->voxels) spki_view_voxels_avx2(v, e, count);
        else spki_view_times_avx2(v, e, count);
        return;
    }
#endif
    if (v->counts) spki_view_add_counts(v, e, count);
    else if (v->voxels) spki_view_add_voxels(v, e, count);
    else spki_view_add_times(v, e, count);
}

#endif
