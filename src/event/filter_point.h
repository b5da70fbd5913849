/* ---- >>filter-point: filters that look at one event by itself ---- */
#ifndef SPIKELIB_EVENT_FILTER_POINT_H
#define SPIKELIB_EVENT_FILTER_POINT_H

#include "filter.h"

#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

/* Region, polarity, time window and the eight orientations are one operation on an event seen as
   eight 16-bit words (four of time, x, y, polarity with kind, source): a word fails if
   word - lo > span, all modulo 2^16; an event is kept if none fails, or, with `outside`, if one
   does. Then x and y change places if `swap`, and each word becomes ((word & keep) ^ flip) + add.
   The time has bounds of its own. Vectors hold one, two or four events. */
typedef struct spki_point {
    uint16_t lo[8], span[8], keep[8], flip[8], add[8];
    uint64_t t_lo, t_span;
    bool swap, outside, timed;
} spki_point;

typedef size_t (*spki_point_fn)(const spki_point *p, spk_event *events, size_t count,
                                uint64_t *others);

#define SPKI_WORD_X 4
#define SPKI_WORD_Y 5
#define SPKI_WORD_P 6 /* the kind, 0, is its upper byte (lower on a big-endian machine) */

SPKI_FN void spki_point_init(spki_point *p)
{
    int k;
    memset(p, 0, sizeof *p);
    for (k = 0; k < 8; k++) {
        p->span[k] = 0xffff;
        p->keep[k] = 0xffff;
    }
    p->t_span = UINT64_MAX;
}

SPKI_INLINE unsigned spki_point_fails(const spki_point *p, int word, unsigned value)
{
    return (uint16_t)(value - p->lo[word]) > p->span[word];
}

SPKI_INLINE uint16_t spki_point_map(const spki_point *p, int word, unsigned value)
{
    return (uint16_t)(((value & p->keep[word]) ^ p->flip[word]) + p->add[word]);
}

SPKI_FN size_t spki_point_scalar(const spki_point *p, spk_event *events, size_t count,
                                 uint64_t *others)
{
    size_t i, out = 0;
    for (i = 0; i < count; i++) {
        spk_event e = events[i];
        const bool cd = e.kind == SPK_EVENT_CD;
        const unsigned x = p->swap ? e.y : e.x, y = p->swap ? e.x : e.y;
        const unsigned fails = spki_point_fails(p, SPKI_WORD_X, e.x) |
                               spki_point_fails(p, SPKI_WORD_Y, e.y) |
                               spki_point_fails(p, SPKI_WORD_P, e.polarity) |
                               (unsigned)((uint64_t)e.t_us - p->t_lo > p->t_span);
        const bool kept = !cd || fails == (p->outside ? 1u : 0u);
        *others += !cd;
        if (cd) {
            e.x = spki_point_map(p, SPKI_WORD_X, x);
            e.y = spki_point_map(p, SPKI_WORD_Y, y);
            e.polarity = (uint8_t)spki_point_map(p, SPKI_WORD_P, e.polarity);
        }
        events[out] = e;
        out += kept;
    }
    return out;
}

#if SPKI_HAVE_SSE2
/* What the vector kernels share: x and y change places by a shuffle of the upper four words. */
#define SPKI_SWAP_XY _MM_SHUFFLE(3, 2, 0, 1)
#define SPKI_KIND_MASK _mm_set_epi32(0x0000ff00, 0, 0, 0)

SPKI_FN size_t spki_point_sse2(const spki_point *p, spk_event *events, size_t count,
                               uint64_t *others)
{
    const __m128i zero = _mm_setzero_si128(), lo = _mm_loadu_si128((const __m128i *)p->lo);
    const __m128i span = _mm_loadu_si128((const __m128i *)p->span);
    const __m128i keep = _mm_loadu_si128((const __m128i *)p->keep);
    const __m128i flip = _mm_loadu_si128((const __m128i *)p->flip);
    const __m128i add = _mm_loadu_si128((const __m128i *)p->add);
    const unsigned outside = p->outside;
    size_t i, out = 0, cds = 0;
    for (i = 0; i < count; i++) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(events + i));
        const __m128i over = _mm_subs_epu16(_mm_sub_epi16(v, lo), span);
        const __m128i swapped = _mm_shufflehi_epi16(v, SPKI_SWAP_XY);
        const __m128i s = p->swap ? swapped : v;
        const __m128i m = _mm_add_epi16(_mm_xor_si128(_mm_and_si128(s, keep), flip), add);
        const bool cd = events[i].kind == SPK_EVENT_CD;
        const unsigned fails = _mm_movemask_epi8(_mm_cmpeq_epi16(over, zero)) != 0xffff;
        _mm_storeu_si128((__m128i *)(events + out), cd ? m : v);
        out += (size_t)(!cd | (fails == outside));
        cds += cd;
    }
    *others += count - cds;
    return out;
}
#endif

#if SPKI_HAVE_AVX2
#define SPKI_ROW256(words)                                                                        \
    _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(words)))

/* Two events. Bits of the masks: 2, one a quarter word; an event is told by its upper one. */
__attribute__((target("avx2"))) SPKI_FN size_t spki_point_avx2(const spki_point *p,
                                                               spk_event *events, size_t count,
                                                               uint64_t *others)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i lo = SPKI_ROW256(p->lo);
    const __m256i span = SPKI_ROW256(p->span);
    const __m256i keep = SPKI_ROW256(p->keep);
    const __m256i flip = SPKI_ROW256(p->flip);
    const __m256i add = SPKI_ROW256(p->add);
    const __m256i kind = _mm256_broadcastsi128_si256(SPKI_KIND_MASK);
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN); /* there is no unsigned comparison */
    const __m256i t_lo = _mm256_set_epi64x(0, (int64_t)p->t_lo, 0, (int64_t)p->t_lo);
    const __m256i t_span = _mm256_xor_si256(
        sign, _mm256_set_epi64x(-1, (int64_t)p->t_span, -1, (int64_t)p->t_span));
    const int outside = p->outside ? 10 : 0;
    size_t i, out = 0, rest = 0;
    for (i = 0; i + 2 <= count; i += 2) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(events + i));
        const __m256i over = _mm256_subs_epu16(_mm256_sub_epi16(v, lo), span);
        const __m256i late =
            _mm256_cmpgt_epi64(_mm256_xor_si256(_mm256_sub_epi64(v, t_lo), sign), t_span);
        const __m256i s = p->swap ? _mm256_shufflehi_epi16(v, SPKI_SWAP_XY) : v;
        const __m256i m = _mm256_add_epi16(_mm256_xor_si256(_mm256_and_si256(s, keep), flip), add);
        const __m256i cd = _mm256_cmpeq_epi64(_mm256_and_si256(v, kind), zero);
        const int in = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(over, zero)));
        const int after = _mm256_movemask_pd(_mm256_castsi256_pd(late));
        const int is_cd = _mm256_movemask_pd(_mm256_castsi256_pd(cd));
        const int fails = ~in | after << 1;
        const int kept = ~is_cd | ~(fails ^ outside);
        /* cd is true for every lower half; the upper one is spread over its event */
        const __m256i mine = _mm256_shuffle_epi32(cd, _MM_SHUFFLE(3, 2, 3, 2));
        const __m256i r = _mm256_blendv_epi8(v, m, mine);
        _mm_storeu_si128((__m128i *)(events + out), _mm256_castsi256_si128(r));
        out += (size_t)(kept >> 1 & 1);
        _mm_storeu_si128((__m128i *)(events + out), _mm256_extracti128_si256(r, 1));
        out += (size_t)(kept >> 3 & 1);
        rest += (size_t)__builtin_popcount((unsigned)~is_cd & 10u);
    }
    *others += rest;
    if (i < count) {
        spk_event last = events[i];
        const size_t n = spki_point_scalar(p, &last, 1, others);
        if (n) events[out++] = last;
    }
    return out;
}
#endif

#if SPKI_HAVE_AVX512
/* The form without a mask warns of an uninitialised value in GCC's own header. */
#define SPKI_BROADCAST512(v) _mm512_maskz_broadcast_i32x4(0xffff, v)
#define SPKI_ROW512(words) SPKI_BROADCAST512(_mm_loadu_si128((const __m128i *)(words)))

/* Four events; the bits of the masks are as above. */
__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) SPKI_FN size_t
spki_point_avx512(const spki_point *p, spk_event *events, size_t count, uint64_t *others)
{
    const __m512i lo = SPKI_ROW512(p->lo);
    const __m512i span = SPKI_ROW512(p->span);
    const __m512i keep = SPKI_ROW512(p->keep);
    const __m512i flip = SPKI_ROW512(p->flip);
    const __m512i add = SPKI_ROW512(p->add);
    const __m512i kind = SPKI_BROADCAST512(SPKI_KIND_MASK);
    const __m512i t_lo = _mm512_maskz_set1_epi64(0x55, (int64_t)p->t_lo);
    const __m512i t_span = _mm512_mask_set1_epi64(_mm512_set1_epi64(-1), 0x55, (int64_t)p->t_span);
    const unsigned outside = p->outside ? 0xaa : 0, swap = p->swap ? 0xaa : 0;
    size_t i, out = 0, rest = 0;
    for (i = 0; i < count; i += 4) {
        const size_t n = count - i;
        const unsigned there = n >= 4 ? 0xff : (1u << 2 * n) - 1;
        const __m512i v = _mm512_maskz_loadu_epi64((__mmask8)there, events + i);
        const __m512i over = _mm512_subs_epu16(_mm512_sub_epi16(v, lo), span);
        const unsigned after = _mm512_cmpgt_epu64_mask(_mm512_sub_epi64(v, t_lo), t_span);
        const unsigned fails = _mm512_test_epi64_mask(over, over) | after << 1;
        const unsigned other = _mm512_test_epi64_mask(v, kind);
        const unsigned kept = (other | ~(fails ^ outside)) & there & 0xaa;
        const __m512i s = _mm512_mask_shufflehi_epi16(
            v, swap ? 0xffffffffu : 0u, v, SPKI_SWAP_XY);
        const __m512i m = _mm512_add_epi16(_mm512_xor_si512(_mm512_and_si512(s, keep), flip), add);
        const __m512i r = _mm512_mask_mov_epi64(m, (__mmask8)(other | other >> 1), v);
        const __m512i packed = _mm512_maskz_compress_epi64((__mmask8)(kept | kept >> 1), r);
        const unsigned left = (unsigned)__builtin_popcount(kept);
        /* Never past what has been loaded: out <= i. */
        _mm512_mask_storeu_epi64(events + out, (__mmask8)there, packed);
        out += left;
        rest += (size_t)__builtin_popcount(other & there & 0xaa);
    }
    *others += rest;
    return out;
}
#endif

SPKI_FN spki_point_fn spki_point_kernel(const spki_point *p, spk_isa isa)
{
#if SPKI_HAVE_AVX512
    if (isa == SPK_ISA_AVX512) return spki_point_avx512;
#endif
#if SPKI_HAVE_AVX2
    if (isa == SPK_ISA_AVX2) return spki_point_avx2;
#endif
#if SPKI_HAVE_SSE2
    if (isa == SPK_ISA_SSE2 && !p->timed) return spki_point_sse2;
#endif
    (void)isa;
    (void)p;
    return spki_point_scalar;
}

/* -- the filters -- */

typedef struct spki_point_filter {
    spk_filter f;
    spki_point point;
    spki_point_fn run;
    bool counts_outside;        /* what is dropped was outside of the sensor */
    bool relative, begun;       /* bounds count from the first event; it has come */
    int64_t begin_us, end_us;   /* bounds as described */
} spki_point_filter;

/* Bounds of the time, from `zero` on; saturated, since they may be anywhere. */
SPKI_FN void spki_point_bounds(spki_point_filter *pf, int64_t zero)
{
    spki_point *p = &pf->point;
    int64_t begin = pf->begin_us, end = pf->end_us;
    if (pf->relative && __builtin_add_overflow(begin, zero, &begin))
        begin = zero > 0 ? INT64_MAX : INT64_MIN;
    if (pf->relative && pf->end_us != 0 && __builtin_add_overflow(end, zero, &end))
        end = zero > 0 ? INT64_MAX : INT64_MIN;
    if (pf->begin_us == 0 && !pf->relative) begin = INT64_MIN;
    pf->begun = true;
    p->t_lo = (uint64_t)begin;
    p->t_span = (uint64_t)INT64_MAX - (uint64_t)begin;
    if (pf->end_us == 0) return;
    if (end > begin) {
        p->t_span = (uint64_t)end - 1u - (uint64_t)begin;
        return;
    }
    p->t_lo = (uint64_t)INT64_MAX; /* saturated: the window lies beyond all times */
    p->t_span = 0;
}

SPKI_FN size_t spki_point_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_point_filter *pf = (spki_point_filter *)f;
    size_t kept, k;
    for (k = 0; k < count && !pf->begun; k++)
        if (events[k].kind == SPK_EVENT_CD) spki_point_bounds(pf, events[k].t_us);
    kept = pf->run(&pf->point, events, count, &f->stats.others);
    if (pf->counts_outside) f->stats.outside += count - kept;
    return kept;
}

SPKI_FN void spki_point_reset(spk_filter *f)
{
    spki_point_filter *pf = (spki_point_filter *)f;
    pf->begun = !pf->relative;
}

SPKI_FN spki_point_filter *spki_point_new(const char *name, bool garbage,
                                          const spk_allocator *allocator, spk_isa isa)
{
    static const spki_filter_ops ops = {spki_point_apply, spki_point_reset, NULL};
    spki_point_filter *pf = (spki_point_filter *)spki_filter_new(name, sizeof *pf, &ops, allocator,
                                                                 0, garbage, isa);
    if (!pf) return NULL;
    spki_point_init(&pf->point);
    pf->begun = true;
    return pf;
}

SPKI_FN spk_filter *spki_point_done(spki_point_filter *pf)
{
    pf->run = spki_point_kernel(&pf->point, pf->f.isa);
    return &pf->f;
}

SPIKELIB_API spk_filter *spk_filter_region(const spk_region_desc *desc)
{
    static const spk_region_desc none = {0, 0, 0, 0, 0, false, false, SPK_ISA_AUTO,
                                         {NULL, NULL, NULL}, 0};
    const spk_region_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("region", garbage, &d->allocator, d->isa);
    uint32_t right, below;
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    if (d->x > 65535 || d->y > 65535 || d->width > 65536 || d->height > 65536) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE,
                         "x = %u, y = %u, width = %u, height = %u: more than 65,535",
                         (unsigned)d->x, (unsigned)d->y, (unsigned)d->width, (unsigned)d->height);
        return &pf->f;
    }
    if (d->outside && d->move) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "move = true with outside = true: what is outside "
                                                "of the rectangle has no place in it");
        return &pf->f;
    }
    right = d->width ? SPKI_MIN(d->width - 1, 65535 - d->x) : 65535 - d->x;
    below = d->height ? SPKI_MIN(d->height - 1, 65535 - d->y) : 65535 - d->y;
    pf->point.lo[SPKI_WORD_X] = (uint16_t)d->x;
    pf->point.lo[SPKI_WORD_Y] = (uint16_t)d->y;
    pf->point.span[SPKI_WORD_X] = (uint16_t)right;
    pf->point.span[SPKI_WORD_Y] = (uint16_t)below;
    if (d->move) {
        pf->point.add[SPKI_WORD_X] = (uint16_t)(65536 - d->x);
        pf->point.add[SPKI_WORD_Y] = (uint16_t)(65536 - d->y);
    }
    pf->point.outside = d->outside;
    return spki_point_done(pf);
}

SPIKELIB_API spk_filter *spk_filter_orient(const spk_orient_desc *desc)
{
    static const spk_orient_desc none = {0, 0, 0, SPK_ORIENT_NONE, SPK_ISA_AUTO,
                                         {NULL, NULL, NULL}, 0};
    const spk_orient_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("orient", garbage, &d->allocator, d->isa);
    uint32_t o, wide, high;
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    o = (uint32_t)d->orientation;
    if (d->width == 0 || d->height == 0 || d->width > 65536 || d->height > 65536) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)d->width, (unsigned)d->height);
        return &pf->f;
    }
    if (o > 7) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "orientation = %u: not in 0 to 7", (unsigned)o);
        return &pf->f;
    }
    pf->point.swap = (o & 4) != 0;
    wide = pf->point.swap ? d->height : d->width; /* afterwards */
    high = pf->point.swap ? d->width : d->height;
    pf->point.span[SPKI_WORD_X] = (uint16_t)(d->width - 1);
    pf->point.span[SPKI_WORD_Y] = (uint16_t)(d->height - 1);
    if (o & 1) { /* ~x + width = width - 1 - x */
        pf->point.flip[SPKI_WORD_X] = 0xffff;
        pf->point.add[SPKI_WORD_X] = (uint16_t)wide;
    }
    if (o & 2) {
        pf->point.flip[SPKI_WORD_Y] = 0xffff;
        pf->point.add[SPKI_WORD_Y] = (uint16_t)high;
    }
    pf->counts_outside = true;
    return spki_point_done(pf);
}

SPIKELIB_API spk_filter *spk_filter_polarity(const spk_polarity_desc *desc)
{
    static const spk_polarity_desc none = {0, SPK_POLARITY_BOTH, SPK_ISA_AUTO, {NULL, NULL, NULL},
                                           0};
    const spk_polarity_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("polarity", garbage, &d->allocator, d->isa);
    spki_point *p;
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    p = &pf->point;
    switch (d->mode) {
    case SPK_POLARITY_BOTH: break;
    case SPK_POLARITY_ON:
    case SPK_POLARITY_OFF:
        p->lo[SPKI_WORD_P] = d->mode == SPK_POLARITY_ON;
        p->span[SPKI_WORD_P] = d->mode == SPK_POLARITY_ON ? 254 : 0; /* any but 0 is ON */
        break;
    case SPK_POLARITY_INVERT: p->flip[SPKI_WORD_P] = 1; break;
    case SPK_POLARITY_MERGE:
        p->keep[SPKI_WORD_P] = 0;
        p->flip[SPKI_WORD_P] = 1;
        break;
    default:
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "mode = %d: not in 0 to 4", (int)d->mode);
        return &pf->f;
    }
    return spki_point_done(pf);
}

SPIKELIB_API spk_filter *spk_filter_time_window(const spk_time_window_desc *desc)
{
    static const spk_time_window_desc none = {0, 0, 0, false, false, SPK_ISA_AUTO,
                                              {NULL, NULL, NULL}, 0};
    const spk_time_window_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("time_window", garbage, &d->allocator, d->isa);
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    if (d->end_us == INT64_MIN ||
        (d->end_us != 0 && (d->begin_us != 0 || d->relative) && d->end_us <= d->begin_us)) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "end_us = %lld is not after begin_us = %lld",
                         (long long)d->end_us, (long long)d->begin_us);
        return &pf->f;
    }
    pf->begin_us = d->begin_us;
    pf->end_us = d->end_us;
    pf->relative = d->relative;
    pf->point.timed = true;
    pf->point.outside = d->outside;
    if (d->relative) pf->begun = false;
    else spki_point_bounds(pf, 0);
    return spki_point_done(pf);
}

#endif
