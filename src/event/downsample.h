/* ---- >>downsample: fewer, larger pixels ---- */
#ifndef SPIKELIB_EVENT_DOWNSAMPLE_H
#define SPIKELIB_EVENT_DOWNSAMPLE_H

#include "filter_pixel.h"

typedef struct spki_downsample {
    spk_filter f;
    size_t (*run)(struct spki_downsample *d, spk_event *events, size_t count);
    spki_map map; /* sums of large pixels, where there is a threshold; SPKI_NEVER is 0 */
    uint64_t inverse_x, inverse_y; /* ceil(2^32 / factor): exact for 16-bit numerators */
    uint32_t width, height;        /* of the sensor */
    int32_t threshold;
} spki_downsample;

SPKI_FN size_t spki_downsample_scalar(spki_downsample *d, spk_event *events, size_t count)
{
    const uint64_t ix = d->inverse_x, iy = d->inverse_y;
    const uint32_t width = d->width, height = d->height;
    size_t i, out = 0, others = 0, outside = 0;
    for (i = 0; i < count; i++) {
        spk_event e = events[i];
        const bool cd = e.kind == SPK_EVENT_CD;
        const bool in = (e.x < width) & (e.y < height);
        const uint16_t x = (uint16_t)(e.x * ix >> 32), y = (uint16_t)(e.y * iy >> 32);
        e.x = cd ? x : e.x;
        e.y = cd ? y : e.y;
        others += !cd;
        outside += cd & !in;
        events[out] = e;
        out += !cd | in;
    }
    d->f.stats.others += others;
    d->f.stats.outside += outside;
    return out;
}

/* Vectors of events work on the second half of each, four 16-bit words of which are x and y; the
   inverse of 1 does not fit a product's 32-bit factor, so that side is left as it is. */
#if SPKI_HAVE_AVX2
__attribute__((target("avx2"))) SPKI_INLINE __m256i spki_downsample_side(__m256i at,
                                                                         uint64_t inverse)
{
    const __m256i by = _mm256_set1_epi64x((int64_t)inverse);
    return inverse >> 32 ? at : _mm256_srli_epi64(_mm256_mul_epu32(at, by), 32);
}

__attribute__((target("avx2"))) SPKI_FN size_t spki_downsample_avx2(spki_downsample *d,
                                                                    spk_event *events, size_t count)
{
    const __m256i word = _mm256_set1_epi64x(0xffff), zero = _mm256_setzero_si256();
    const __m256i kind = _mm256_set1_epi64x(INT64_C(0xff) << 40);
    const __m256i last_x = _mm256_set1_epi64x(d->width - INT64_C(1));
    const __m256i last_y = _mm256_set1_epi64x(d->height - INT64_C(1));
    const uint64_t ix = d->inverse_x, iy = d->inverse_y;
    size_t i, out = 0, others = 0, outside = 0;
    for (i = 0; i + 2 <= count; i += 2) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(void *)(events + i));
        const __m256i x = _mm256_and_si256(v, word);
        const __m256i y = _mm256_and_si256(_mm256_srli_epi64(v, 16), word);
        const __m256i off =
            _mm256_or_si256(_mm256_cmpgt_epi64(x, last_x), _mm256_cmpgt_epi64(y, last_y));
        const __m256i cd = _mm256_cmpeq_epi64(_mm256_and_si256(v, kind), zero);
        const __m256i xy = _mm256_or_si256(
            spki_downsample_side(x, ix), _mm256_slli_epi64(spki_downsample_side(y, iy), 16));
        /* of the 32-bit words of two events the third is x and y */
        const __m256i both = _mm256_blend_epi32(v, xy, 0x44);
        const __m256i r = _mm256_blend_epi32(v, _mm256_blendv_epi8(v, both, cd), 0xcc);
        const unsigned is_cd = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(cd)) & 10u;
        const unsigned is_off = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(off)) & is_cd;
        _mm_storeu_si128((__m128i *)(void *)(events + out), _mm256_castsi256_si128(r));
        out += !(is_off & 2u);
        _mm_storeu_si128((__m128i *)(void *)(events + out), _mm256_extracti128_si256(r, 1));
        out += !(is_off & 8u);
        others += 2u - (unsigned)__builtin_popcount(is_cd);
        outside += (unsigned)__builtin_popcount(is_off);
    }
    d->f.stats.others += others;
    d->f.stats.outside += outside;
    if (i < count) {
        spk_event last = events[i];
        if (spki_downsample_scalar(d, &last, 1)) events[out++] = last;
    }
    return out;
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EV16_AVX512 SPKI_INLINE __m512i spki_downsample_sides(__m512i at, uint64_t inverse)
{
    const __m512i by = _mm512_set1_epi64((int64_t)inverse);
    return inverse >> 32 ? at : _mm512_srli_epi64(_mm512_mul_epu32(at, by), 32);
}

SPKI_EV16_AVX512 SPKI_FN size_t spki_downsample_avx512(spki_downsample *d, spk_event *events,
                                                        size_t count)
{
    const __m512i word = _mm512_set1_epi64(0xffff);
    const __m512i kind = _mm512_set1_epi64(INT64_C(0xff) << 40);
    const __m512i width = _mm512_set1_epi64(d->width), height = _mm512_set1_epi64(d->height);
    const uint64_t ix = d->inverse_x, iy = d->inverse_y;
    size_t i, out = 0, others = 0, outside = 0;
    for (i = 0; i < count; i += 4) {
        const size_t n = count - i;
        const unsigned there = n >= 4 ? 0xff : (1u << 2 * n) - 1;
        const __m512i v = _mm512_maskz_loadu_epi64((__mmask8)there, events + i);
        const __m512i x = _mm512_and_si512(v, word);
        const __m512i y = _mm512_and_si512(_mm512_srli_epi64(v, 16), word);
        const unsigned cd = _mm512_testn_epi64_mask(v, kind) & there & 0xaa;
        const unsigned off = cd & (unsigned)(_mm512_cmpge_epu64_mask(x, width) |
                                             _mm512_cmpge_epu64_mask(y, height));
        const unsigned kept = there & 0xaa & ~off;
        const __m512i xy = _mm512_or_si512(
            spki_downsample_sides(x, ix), _mm512_slli_epi64(spki_downsample_sides(y, iy), 16));
        /* bit 2 k of 16 is the lower half of word k: of events that are CD the one of x and y */
        const __mmask16 half = _mm512_movepi32_mask(_mm512_maskz_set1_epi64(
            (__mmask8)cd, INT64_C(0x80000000)));
        const __m512i r = _mm512_mask_mov_epi32(v, half, xy);
        _mm512_mask_storeu_epi64(events + out, (__mmask8)there,
                                 _mm512_maskz_compress_epi64((__mmask8)(kept | kept >> 1), r));
        out += (unsigned)__builtin_popcount(kept);
        others += (unsigned)__builtin_popcount(there & 0xaa & ~cd);
        outside += (unsigned)__builtin_popcount(off);
    }
    d->f.stats.others += others;
    d->f.stats.outside += outside;
    return out;
}
#endif

typedef size_t (*spki_downsample_fn)(spki_downsample *d, spk_event *events, size_t count);

SPKI_FN spki_downsample_fn spki_downsample_kernel(spk_isa isa)
{
#if SPKI_HAVE_AVX512
    if (isa == SPK_ISA_AVX512) return spki_downsample_avx512;
#endif
#if SPKI_HAVE_AVX2
    if (isa == SPK_ISA_AVX2) return spki_downsample_avx2;
#endif
    (void)isa;
    return spki_downsample_scalar;
}

SPKI_FN size_t spki_downsample_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_downsample *d = (spki_downsample *)f;
    return d->run(d, events, count);
}

/* -- sums of large pixels -- */

/* The events from..to, which d->run left, through the sums; those that pass go to `out` on. Returns
   where they end. */
SPKI_FN size_t spki_large_some(spki_downsample *d, spk_event *events, size_t from, size_t to,
                             size_t out)
{
    spki_map *map = &d->map;
    const int32_t limit = d->threshold;
    size_t i;
    for (i = from; i < to; i++) {
        spk_event e = events[i];
        int32_t *cell, sum;
        bool fires;
        if (e.kind != SPK_EVENT_CD) {
            events[out++] = e;
            continue;
        }
        if ((e.x >= map->width || e.y >= map->height) && !spki_map_reach(map, &d->f, e.x, e.y)) {
            d->f.stats.outside++;
            continue;
        }
        cell = spki_map_at(map, e.x, e.y);
        sum = (*cell == SPKI_NEVER ? 0 : *cell) + (e.polarity ? 1 : -1);
        fires = sum >= limit || sum <= -limit;
        *cell = fires ? 0 : sum;
        e.polarity = sum > 0;
        events[out] = e;
        out += fires;
    }
    return out;
}

#if SPKI_HAVE_AVX2
SPKI_EV8_AVX2 SPKI_FN size_t spki_large_avx2(spki_downsample *d, spk_event *events, size_t count)
{
    const spki_map *map = &d->map;
    const int32_t limit = d->threshold;
    size_t i, k, out = 0;
    for (i = 0; i + SPKI_EV8 <= count; i += SPKI_EV8) {
        int32_t cell[SPKI_EV8], *const cells = map->cells;
        spki_ev8 b;
        spki_ev8_load(&b, events + i);
        if (!spki_ev8_cells(&b, map->stride, map->width, map->height, 0, cell)) {
            out = spki_large_some(d, events, i, i + SPKI_EV8, out);
            continue;
        }
        for (k = 0; k < SPKI_EV8; k++) {
            spk_event e = events[i + k];
            int32_t *const at = cells + cell[k];
            const int32_t old = *at & -(int32_t)(*at != SPKI_NEVER);
            const int32_t sum = old + 2 * (e.polarity != 0) - 1;
            const int32_t fires = (sum >= limit) | (sum <= -limit);
            *at = sum & (fires - 1);
            e.polarity = sum > 0;
            events[out] = e;
            out += (size_t)fires;
        }
    }
    return spki_large_some(d, events, i, count, out);
}
#endif

#if SPKI_HAVE_AVX512
/* The mask of events that pass; their polarities are changed in the batch. */
SPKI_EV16_AVX512 SPKI_INLINE __mmask16 spki_large_batch(const spki_downsample *d, spki_ev16 *b,
                                                       __m512i cell, __m512i same)
{
    const __m512i limit = _mm512_set1_epi32(d->threshold), zero = _mm512_setzero_si512();
    const __m512i least = _mm512_sub_epi32(zero, limit), one = _mm512_set1_epi32(1);
    const __m512i never = _mm512_set1_epi32(SPKI_NEVER);
    const __m512i step = _mm512_mask_mov_epi32(_mm512_set1_epi32(-1), spki_ev16_on(b), one);
    __mmask16 fired = 0, up = 0, todo = 0xffff;
    int k;
    do {
        const __mmask16 ready = spki_ev16_next(same, todo);
        const __m512i old = spki_gather32(ready, cell, d->map.cells);
        const __m512i sum =
            _mm512_mask_add_epi32(step, _mm512_cmpneq_epi32_mask(old, never), old, step);
        const __mmask16 fires = (__mmask16)(
            ready & (_mm512_cmpge_epi32_mask(sum, limit) | _mm512_cmple_epi32_mask(sum, least)));
        spki_scatter32(d->map.cells, ready, cell, _mm512_mask_mov_epi32(sum, fires, zero));
        fired = (__mmask16)(fired | fires);
        up = (__mmask16)(up | (fires & _mm512_cmpgt_epi32_mask(sum, zero)));
        todo = (__mmask16)(todo & ~ready);
    } while (todo);
    for (k = 0; k < 4; k++) { /* the lowest byte of the second half of each event */
        const __mmask16 on = (__mmask16)(up >> 4 * k & 15);
        const __m512i spread = _mm512_maskz_expand_epi32(0x8888, _mm512_maskz_mov_epi32(on, one));
        b->events[k] = _mm512_or_si512(
            _mm512_mask_and_epi32(b->events[k], 0x8888, b->events[k], _mm512_set1_epi32(~0xff)),
            spread);
    }
    return fired;
}

SPKI_EV16_AVX512 SPKI_FN size_t spki_large_avx512(spki_downsample *d, spk_event *events,
                                                 size_t count)
{
    const spki_map *map = &d->map;
    size_t i, out = 0;
    for (i = 0; i + SPKI_EV16 <= count; i += SPKI_EV16) {
        spki_ev16 b;
        __m512i cell, same;
        bool simple;
        spki_ev16_load(&b, events + i);
        simple = spki_ev16_cells(&b, map->stride, map->width, map->height, &cell);
        same = _mm512_conflict_epi32(cell);
        if (!simple || spki_ev16_crowded(spki_ev16_next(same, 0xffff))) {
            out = spki_large_some(d, events, i, i + SPKI_EV16, out);
        } else {
            const __mmask16 kept = spki_large_batch(d, &b, cell, same);
            out += spki_ev16_keep(&b, kept, events + out);
        }
    }
    return spki_large_some(d, events, i, count, out);
}
#endif

SPKI_FN size_t spki_downsample_sum(spk_filter *f, spk_event *events, size_t count)
{
    spki_downsample *d = (spki_downsample *)f;
    count = d->run(d, events, count);
#if SPKI_HAVE_AVX512
    if (f->isa == SPK_ISA_AVX512 && spki_map_batches(&d->map))
        return spki_large_avx512(d, events, count);
#endif
#if SPKI_HAVE_AVX2
    if (f->isa == SPK_ISA_AVX2 && spki_map_batches(&d->map))
        return spki_large_avx2(d, events, count);
#endif
    return spki_large_some(d, events, 0, count, 0);
}

SPKI_FN void spki_downsample_reset(spk_filter *f) { spki_map_clear(&((spki_downsample *)f)->map); }
SPKI_FN void spki_downsample_release(spk_filter *f)
{
    spki_map_free(&((spki_downsample *)f)->map, &f->mem);
}

SPKI_FN void spki_downsample_check(spki_downsample *s, const spk_downsample_desc *d, uint32_t fx,
                                   uint32_t fy)
{
    if (fx > 65535 || fy > 65535)
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "factor_x = %u, factor_y = %u: not in 1 to 65,535",
                         (unsigned)fx, (unsigned)fy);
    if (d->threshold > 32767)
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "threshold = %u: more than 32,767",
                         (unsigned)d->threshold);
    if (d->width > 65536 || d->height > 65536 || (d->width == 0) != (d->height == 0))
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)d->width, (unsigned)d->height);
}

SPIKELIB_API spk_filter *spk_filter_downsample(const spk_downsample_desc *desc)
{
    static const spki_filter_ops plain = {spki_downsample_apply, spki_downsample_reset,
                                          spki_downsample_release};
    static const spki_filter_ops sums = {spki_downsample_sum, spki_downsample_reset,
                                         spki_downsample_release};
    static const spk_downsample_desc none = {0, 0, 0, 0, 0, 0, SPK_ISA_AUTO, {NULL, NULL, NULL}, 0,
                                             0};
    const spk_downsample_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    const spki_filter_ops *ops = d->threshold && !garbage ? &sums : &plain;
    spki_downsample *s = (spki_downsample *)spki_filter_new(
        "downsample", sizeof *s, ops, &d->allocator, d->memory_limit, garbage, d->isa);
    uint32_t fx = d->factor_x ? d->factor_x : 2, fy = d->factor_y ? d->factor_y : fx;
    if (!s || s->f.status != SPK_OK) return (spk_filter *)s;
    spki_downsample_check(s, d, fx, fy);
    if (s->f.status != SPK_OK) return &s->f;
    s->inverse_x = (((uint64_t)1 << 32) + fx - 1) / fx;
    s->inverse_y = (((uint64_t)1 << 32) + fy - 1) / fy;
    s->width = d->width ? d->width : 65536;
    s->height = d->height ? d->height : 65536;
    s->threshold = (int32_t)d->threshold;
    s->run = spki_downsample_kernel(s->f.isa);
    if (d->threshold)
        spki_map_init(&s->map, &s->f, d->width ? (d->width + fx - 1) / fx : 0,
                      d->height ? (d->height + fy - 1) / fy : 0, 1, 0);
    return &s->f;
}

#endif
