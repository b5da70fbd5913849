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
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & bits) != bits) return SPK_ISA_SCALAR;
    if (!__get_cpuid(0x80000001u, &a, &b, &c, &d) || !(c & 1u << 5)) return SPK_ISA_SCALAR;
    return isa;
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

SPKI_FN uint64_t spki_count_on(const spk_decoder *d, const spk_event *e, size_t n)
{
#if SPKI_HAVE_AVX2
    if (d->isa == SPK_ISA_AVX2 || d->isa == SPK_ISA_AVX512) return spki_count_on_avx2(e, n);
#endif
    (void)d;
    return spki_count_on_scalar(e, n);
}

#endif
