/* ---- >>event-batch: events and the cells of their pixels, eight or sixteen at a time ---- */
#ifndef SPIKELIB_EVENT_BATCH_H
#define SPIKELIB_EVENT_BATCH_H

#include "../simd/have.h"
#include "filter_map.h"

#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

/* -- eight at a time (AVX2) -- */

#if SPKI_HAVE_AVX2
/* Without scatters, events are prepared eight at a time (their cells, their times, is one of them
   not simple), and then done in their order, without a branch. */
#define SPKI_EV8_AVX2 __attribute__((target("avx2,popcnt")))

enum { SPKI_EV8 = 8 };

typedef struct spki_ev8 {
    __m256i xy, more; /* x | y << 16; polarity | kind << 8 | source << 16 */
    __m256i times[2]; /* of the events 0, 1, 4, 5 and 2, 3, 6, 7 */
} spki_ev8;

SPKI_EV8_AVX2 SPKI_INLINE __m256 spki_ev8_pair(const spk_event *e)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)e);
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(e + 4));
    return _mm256_castsi256_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
}

SPKI_EV8_AVX2 SPKI_INLINE void spki_ev8_load(spki_ev8 *b, const spk_event *e)
{
    const __m256 a0 = spki_ev8_pair(e), a1 = spki_ev8_pair(e + 1);
    const __m256 a2 = spki_ev8_pair(e + 2), a3 = spki_ev8_pair(e + 3);
    const __m256 low = _mm256_shuffle_ps(a0, a1, _MM_SHUFFLE(3, 2, 3, 2));
    const __m256 high = _mm256_shuffle_ps(a2, a3, _MM_SHUFFLE(3, 2, 3, 2));
    b->xy = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
    b->more = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
    b->times[0] = _mm256_castps_si256(_mm256_shuffle_ps(a0, a1, _MM_SHUFFLE(1, 0, 1, 0)));
    b->times[1] = _mm256_castps_si256(_mm256_shuffle_ps(a2, a3, _MM_SHUFFLE(1, 0, 1, 0)));
}

/* The lower halves of 64 bits, in the order of the events. */
SPKI_EV8_AVX2 SPKI_INLINE __m256i spki_ev8_narrow(__m256i low, __m256i high)
{
    return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(low),
                                                 _mm256_castsi256_ps(high),
                                                 _MM_SHUFFLE(2, 0, 2, 0)));
}

/* Times as a map's cells hold them; false: one is out of its reach, or just at its end. */
SPKI_EV8_AVX2 SPKI_INLINE bool spki_ev8_times(const spki_ev8 *b, int64_t base, int32_t *now)
{
    const __m256i zero = _mm256_set1_epi64x((int64_t)((uint64_t)base - (uint64_t)SPKI_MAP_REACH));
    const __m256i reach = _mm256_set1_epi32((int32_t)SPKI_MAP_REACH);
    const __m256i low = _mm256_sub_epi64(b->times[0], zero);
    const __m256i high = _mm256_sub_epi64(b->times[1], zero);
    const __m256i far = _mm256_srli_epi64(_mm256_or_si256(low, high), 31);
    _mm256_storeu_si256((__m256i *)(void *)now,
                        _mm256_sub_epi32(spki_ev8_narrow(low, high), reach));
    return _mm256_testz_si256(far, far) != 0;
}

/* y * stride + x of each, `plane` more for ON; false: one is no CD event, or outside. The size is
   one that spki_ev16_holds. */
SPKI_EV8_AVX2 SPKI_INLINE bool spki_ev8_cells(const spki_ev8 *b, size_t stride, uint32_t width,
                                              uint32_t height, size_t plane, int32_t *cell)
{
    const __m256i row = _mm256_set1_epi32((int32_t)((uint32_t)stride << 16 | 1u));
    const __m256i last = _mm256_set1_epi32((int32_t)((height - 1) << 16 | (width - 1)));
    const __m256i over = _mm256_subs_epu16(b->xy, last);
    const __m256i other = _mm256_and_si256(b->more, _mm256_set1_epi32(0xff00));
    const __m256i off = _mm256_cmpeq_epi32(_mm256_and_si256(b->more, _mm256_set1_epi32(0xff)),
                                           _mm256_setzero_si256());
    const __m256i bad = _mm256_or_si256(over, other);
    const __m256i more = _mm256_andnot_si256(off, _mm256_set1_epi32((int32_t)plane));
    _mm256_storeu_si256((__m256i *)(void *)cell,
                        _mm256_add_epi32(_mm256_madd_epi16(b->xy, row), more));
    return _mm256_testz_si256(bad, bad) && width > 0;
}

/* The cells of a grid and the times as they hold them; false: one of the events is not simple. */
SPKI_EV8_AVX2 SPKI_INLINE bool spki_ev8_in(const spki_grid *g, const spk_event *e, int32_t *cell,
                                           int32_t *now)
{
    spki_ev8 b;
    spki_ev8_load(&b, e);
    return spki_ev8_cells(&b, g->stride, g->width, g->height, g->plane, cell) &&
           spki_ev8_times(&b, g->base, now);
}
#endif

/* -- sixteen at a time (AVX-512) -- */

/* Signed 16-bit products and 32-bit numbers of cells hold for sizes up to these. Maps that grow
   stay below. */
SPKI_FN bool spki_ev16_holds(size_t stride, size_t height, size_t cells)
{
    return stride <= 32767 && height <= 32767 && cells <= INT32_MAX;
}

SPKI_FN bool spki_map_batches(const spki_map *map)
{
    return spki_ev16_holds(map->stride, map->height, map->count);
}

/* Filters and views that read and write the cell of each event's pixel. Sixteen are done at once as
   long as no pixel comes twice among them; of those that do, the first ones are done at once, then
   the next ones (spki_ev16_next). Each pixel so sees its events in their order, and pixels do not
   depend on each other: the result is that of one event after the other. Whatever is not simple
   (another kind of event, a pixel outside, a time out of the map's reach, mostly one pixel) makes
   the filter take the sixteen by one. */
#if SPKI_HAVE_AVX512
#define SPKI_EV16_AVX512                                                                          \
    __attribute__((target("avx512f,avx512cd,avx512bw,avx512dq,avx512vl,avx2,popcnt")))

enum { SPKI_EV16 = 16 };

/* GCC's headers make macros of these without optimisation, and their masks then change sign. The
   form of operations with a rounding mode is never contracted. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
/* Lanes that are not in the mask are 0. */
SPKI_EV16_AVX512 SPKI_INLINE __m512i spki_gather32(__mmask16 which, __m512i at, const void *from)
{
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), which, at, from, 4);
}

SPKI_EV16_AVX512 SPKI_INLINE void spki_scatter32(void *to, __mmask16 which, __m512i at, __m512i v)
{
    _mm512_mask_i32scatter_epi32(to, which, at, v, 4);
}

SPKI_EV16_AVX512 SPKI_INLINE __m512i spki_gather64(__mmask8 which, __m256i at, const void *from)
{
    return _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), which, at, from, 8);
}

SPKI_EV16_AVX512 SPKI_INLINE void spki_scatter64(void *to, __mmask8 which, __m256i at, __m512i v)
{
    _mm512_mask_i32scatter_epi64(to, which, at, v, 8);
}

SPKI_EV16_AVX512 SPKI_INLINE __m512d spki_mul_alone(__m512d a, __m512d b)
{
    return _mm512_mul_round_pd(a, b, _MM_FROUND_CUR_DIRECTION);
}

SPKI_EV16_AVX512 SPKI_INLINE __m512d spki_sub_alone(__m512d a, __m512d b)
{
    return _mm512_sub_round_pd(a, b, _MM_FROUND_CUR_DIRECTION);
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

typedef struct spki_ev16 {
    __m512i events[4]; /* four each, as they lie in memory */
    __m512i xy, more;  /* x | y << 16; polarity | kind << 8 | source << 16 */
} spki_ev16;

SPKI_EV16_AVX512 SPKI_INLINE void spki_ev16_load(spki_ev16 *b, const spk_event *e)
{
    const __m512i pick = _mm512_set_epi32(31, 27, 23, 19, 15, 11, 7, 3, 30, 26, 22, 18, 14, 10, 6,
                                          2);
    __m512i low, high;
    b->events[0] = _mm512_loadu_si512(e);
    b->events[1] = _mm512_loadu_si512(e + 4);
    b->events[2] = _mm512_loadu_si512(e + 8);
    b->events[3] = _mm512_loadu_si512(e + 12);
    low = _mm512_permutex2var_epi32(b->events[0], pick, b->events[1]);
    high = _mm512_permutex2var_epi32(b->events[2], pick, b->events[3]);
    b->xy = _mm512_shuffle_i64x2(low, high, _MM_SHUFFLE(1, 0, 1, 0));
    b->more = _mm512_shuffle_i64x2(low, high, _MM_SHUFFLE(3, 2, 3, 2));
}

/* Times less `base`, of the events 0 to 7 and 8 to 15. */
SPKI_EV16_AVX512 SPKI_INLINE void spki_ev16_since(const spki_ev16 *b, int64_t base,
                                                    __m512i since[2])
{
    const __m512i pick = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i zero = _mm512_set1_epi64(base);
    since[0] = _mm512_permutex2var_epi64(b->events[0], pick, b->events[1]);
    since[1] = _mm512_permutex2var_epi64(b->events[2], pick, b->events[3]);
    since[0] = _mm512_sub_epi64(since[0], zero);
    since[1] = _mm512_sub_epi64(since[1], zero);
}

/* The lower halves of 8 and 8 in one. */
SPKI_EV16_AVX512 SPKI_INLINE __m512i spki_ev16_narrow(__m512i low, __m512i high)
{
    const __m512i pick = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2,
                                          0);
    return _mm512_permutex2var_epi32(low, pick, high);
}

/* Times as a map's cells hold them; false: one is out of its reach. */
SPKI_EV16_AVX512 SPKI_INLINE bool spki_ev16_times(const spki_ev16 *b, int64_t base, __m512i *now)
{
    const __m512i reach = _mm512_set1_epi64(SPKI_MAP_REACH);
    const __m512i span = _mm512_set1_epi64(2 * SPKI_MAP_REACH);
    __m512i since[2];
    spki_ev16_since(b, base, since);
    *now = spki_ev16_narrow(since[0], since[1]);
    return (_mm512_cmpgt_epu64_mask(_mm512_add_epi64(since[0], reach), span) |
            _mm512_cmpgt_epu64_mask(_mm512_add_epi64(since[1], reach), span)) == 0;
}

/* y * stride + x of each; false: one is no CD event, or outside. */
SPKI_EV16_AVX512 SPKI_INLINE bool spki_ev16_cells(const spki_ev16 *b, size_t stride,
                                                    uint32_t width, uint32_t height, __m512i *cell)
{
    const __m512i row = _mm512_set1_epi32((int32_t)((uint32_t)stride << 16 | 1u));
    const __m512i size = _mm512_set1_epi32((int32_t)(height << 16 | width));
    const uint32_t outside = _mm512_cmpge_epu16_mask(b->xy, size);
    const uint32_t other = _mm512_test_epi32_mask(b->more, _mm512_set1_epi32(0xff00));
    *cell = _mm512_madd_epi16(b->xy, row);
    return (outside | other) == 0;
}

SPKI_EV16_AVX512 SPKI_INLINE __mmask16 spki_ev16_on(const spki_ev16 *b)
{
    return _mm512_test_epi32_mask(b->more, _mm512_set1_epi32(0xff));
}

/* Of the events that are still to be done, those with none of their pixel before them; `same` has a
   bit for each earlier event of the same cell (_mm512_conflict_epi32). */
SPKI_EV16_AVX512 SPKI_INLINE __mmask16 spki_ev16_next(__m512i same, __mmask16 todo)
{
    return _mm512_mask_testn_epi32_mask(todo, same, _mm512_set1_epi32(todo));
}

/* Mostly one pixel: by one is faster. */
SPKI_EV16_AVX512 SPKI_INLINE bool spki_ev16_crowded(__mmask16 first)
{
    return __builtin_popcount((unsigned)first) < SPKI_EV16 / 2;
}

/* Writes the events of the mask; up to 16 places from `out` on, which have all been loaded. */
SPKI_EV16_AVX512 SPKI_INLINE size_t spki_ev16_keep(const spki_ev16 *b, __mmask16 kept,
                                                     spk_event *out)
{
    const uint32_t halves = _mm512_movepi16_mask(_mm512_movm_epi32(kept)); /* each bit twice */
    spk_event *to = out;
    int k;
    for (k = 0; k < 4; k++) {
        const __mmask8 mine = (__mmask8)(halves >> 8 * k);
        _mm512_storeu_si512(to, _mm512_maskz_compress_epi64(mine, b->events[k]));
        to += (unsigned)__builtin_popcount(mine) / 2u;
    }
    return (size_t)(to - out);
}
#endif

#endif
