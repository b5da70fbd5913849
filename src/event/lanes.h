/* ---- >>event-lanes: what the vector code of the event formats shares ---- */
#ifndef SPIKELIB_EVENT_LANES_H
#define SPIKELIB_EVENT_LANES_H

#include "../simd/have.h"
#include "codec.h"

#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

/* CPUs with AVX2 have these, too; spki_decoder_isa asks all the same. */
#define SPKI_EVENT_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define SPKI_EVENT_AVX512                                                                          \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,lzcnt,popcnt")))

/* The widest that the event code has, at most `isa`. */
SPKI_FN spk_isa spki_event_isa(spk_isa isa)
{
#if SPKI_HAVE_AVX2
    uint32_t a, b, c, d;
    uint32_t bits = 1u << 3 | 1u << 8; /* BMI1, BMI2 */
    if (isa != SPK_ISA_AVX2 && isa != SPK_ISA_AVX512) return SPK_ISA_SCALAR;
    __cpuid_count(7, 0, a, b, c, d); /* where AVX2 is, these leaves are */
    if ((b & bits) != bits) return SPK_ISA_SCALAR;
    __cpuid(0x80000001u, a, b, c, d); /* each question may be a trap, so none is asked twice */
    return c & 1u << 5 ? isa : SPK_ISA_SCALAR;
#else
    (void)isa;
    return SPK_ISA_SCALAR;
#endif
}

/* -- events from their two halves -- */

#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_INLINE void spki_store4_avx2(spk_event *out, __m256i t, __m256i rest)
{
    __m256i lo = _mm256_unpacklo_epi64(t, rest), hi = _mm256_unpackhi_epi64(t, rest);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_permute2x128_si256(lo, hi, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(out + 2), _mm256_permute2x128_si256(lo, hi, 0x31));
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EVENT_AVX512 SPKI_INLINE void spki_store8_avx512(spk_event *out, __m512i t, __m512i rest)
{
    __m512i low = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    __m512i high = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(t, low, rest));
    _mm512_storeu_si512(out + 4, _mm512_permutex2var_epi64(t, high, rest));
}
#endif

/* Runs of 32-bit words that are CD events of EVT2 and EVT4: from 16 (8) on, as many as there are in
   front. `base` is the type of OFF, that of ON being the next. Returns how many words were taken;
   writes up to 16 places. */
#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_INLINE uint32_t spki_cd_words_avx2(const uint8_t *in, spk_event *out,
                                                        uint32_t off, int64_t time, uint64_t source,
                                                        uint32_t columns, uint32_t rows)
{
    __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)in), xy, t, good, type;
    __m256i low = _mm256_set1_epi32(2047), x, y, base = _mm256_set1_epi64x(time);
    __m256i more = _mm256_set1_epi64x((int64_t)source), on;
    uint32_t bits;
    type = _mm256_sub_epi32(_mm256_srli_epi32(w, 28), _mm256_set1_epi32((int)off));
    x = _mm256_and_si256(_mm256_srli_epi32(w, 11), low);
    y = _mm256_and_si256(w, low);
    good = _mm256_cmpeq_epi32(_mm256_srli_epi32(type, 1), _mm256_setzero_si256());
    good = _mm256_and_si256(good, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)columns), x));
    good = _mm256_and_si256(good, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)rows), y));
    bits = ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(good)) & 255u;
    xy = _mm256_or_si256(x, _mm256_slli_epi32(y, 16));
    t = _mm256_and_si256(_mm256_srli_epi32(w, 22), _mm256_set1_epi32(63));
#define SPKI_HALF(v, half) _mm256_cvtepu32_epi64(_mm256_extracti128_si256(v, half))
    on = _mm256_slli_epi64(SPKI_HALF(type, 0), 32);
    spki_store4_avx2(out, _mm256_add_epi64(base, SPKI_HALF(t, 0)),
                     _mm256_or_si256(_mm256_or_si256(SPKI_HALF(xy, 0), more), on));
    on = _mm256_slli_epi64(SPKI_HALF(type, 1), 32);
    spki_store4_avx2(out + 4, _mm256_add_epi64(base, SPKI_HALF(t, 1)),
                     _mm256_or_si256(_mm256_or_si256(SPKI_HALF(xy, 1), more), on));
#undef SPKI_HALF
    return bits ? (uint32_t)__builtin_ctz(bits) : 8u;
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EVENT_AVX512 SPKI_INLINE uint32_t spki_cd_words_avx512(const uint8_t *in, spk_event *out,
                                                            uint32_t off, int64_t time,
                                                            uint64_t source, uint32_t columns,
                                                            uint32_t rows)
{
    __m512i w = _mm512_loadu_si512(in), xy, t, type;
    __m512i low = _mm512_set1_epi32(2047), x, y, base = _mm512_set1_epi64(time);
    __m512i more = _mm512_set1_epi64((int64_t)source), on;
    uint32_t bad;
    type = _mm512_sub_epi32(_mm512_srli_epi32(w, 28), _mm512_set1_epi32((int)off));
    x = _mm512_and_si512(_mm512_srli_epi32(w, 11), low);
    y = _mm512_and_si512(w, low);
    bad = _mm512_cmpgt_epu32_mask(type, _mm512_set1_epi32(1));
    bad |= _mm512_cmpge_epu32_mask(x, _mm512_set1_epi32((int)columns));
    bad |= _mm512_cmpge_epu32_mask(y, _mm512_set1_epi32((int)rows));
    xy = _mm512_or_si512(x, _mm512_slli_epi32(y, 16));
    t = _mm512_and_si512(_mm512_srli_epi32(w, 22), _mm512_set1_epi32(63));
#define SPKI_HALF(v, half) _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(v, half))
    on = _mm512_slli_epi64(SPKI_HALF(type, 0), 32);
    spki_store8_avx512(out, _mm512_add_epi64(base, SPKI_HALF(t, 0)),
                       _mm512_or_si512(_mm512_or_si512(SPKI_HALF(xy, 0), more), on));
    on = _mm512_slli_epi64(SPKI_HALF(type, 1), 32);
    spki_store8_avx512(out + 8, _mm512_add_epi64(base, SPKI_HALF(t, 1)),
                       _mm512_or_si512(_mm512_or_si512(SPKI_HALF(xy, 1), more), on));
#undef SPKI_HALF
    return bad ? (uint32_t)__builtin_ctz(bad) : 16u;
}
#endif

/* How many of the events have polarity 1; all of them are CD. */
SPKI_FN uint64_t spki_count_on_scalar(const spk_event *e, size_t n)
{
    uint64_t on = 0;
    size_t k;
    for (k = 0; k < n; k++) on += e[k].polarity;
    return on;
}

#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_FN uint64_t spki_count_on_avx2(const spk_event *e, size_t n)
{
    __m256i sum = _mm256_setzero_si256(), one = _mm256_set1_epi64x((int64_t)1 << 32);
    uint64_t part[4];
    size_t k;
    for (k = 0; k + 4 <= n; k += 4) {
        const __m256i *p = (const __m256i *)(const void *)(e + k);
        __m256i v = _mm256_unpackhi_epi64(_mm256_loadu_si256(p), _mm256_loadu_si256(p + 1));
        sum = _mm256_add_epi64(sum, _mm256_and_si256(v, one));
    }
    _mm256_storeu_si256((__m256i *)(void *)part, sum);
    return ((part[0] + part[1] + part[2] + part[3]) >> 32) + spki_count_on_scalar(e + k, n - k);
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EVENT_AVX512 SPKI_FN uint64_t spki_count_on_avx512(const spk_event *e, size_t n)
{
    __m512i a = _mm512_setzero_si512(), b = a, one = _mm512_set1_epi64((int64_t)1 << 32);
    size_t k;
    for (k = 0; k + 8 <= n; k += 8) {
        a = _mm512_add_epi64(a, _mm512_maskz_and_epi64(0xaa, _mm512_loadu_si512(e + k), one));
        b = _mm512_add_epi64(b, _mm512_maskz_and_epi64(0xaa, _mm512_loadu_si512(e + k + 4), one));
    }
    return ((uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(a, b)) >> 32) +
           spki_count_on_scalar(e + k, n - k);
}
#endif

SPKI_FN uint64_t spki_count_on(const spk_decoder *d, const spk_event *e, size_t n)
{
#if SPKI_HAVE_AVX512
    if (d->isa == SPK_ISA_AVX512) return spki_count_on_avx512(e, n);
#endif
#if SPKI_HAVE_AVX2
    if (d->isa == SPK_ISA_AVX2) return spki_count_on_avx2(e, n);
#endif
    (void)d;
    return spki_count_on_scalar(e, n);
}

#endif
