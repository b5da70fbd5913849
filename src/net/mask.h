/* ---- >>mask: adding one weight to the accumulators whose bits are set ---- */
#ifndef SPIKELIB_NET_MASK_H
#define SPIKELIB_NET_MASK_H

#include "net.h"

#if SPKI_HAVE_AVX512
SPKI_TARGET_AVX512 __attribute__((unused)) static void
spki_add_mask_avx512(int32_t *acc, const uint32_t *mask, uint32_t words, int32_t weight)
{
    const __m512i w = _mm512_set1_epi32(weight);
    for (uint32_t k = 0; k < words; k++, acc += 32) {
        const __m512i low = _mm512_loadu_si512(acc), high = _mm512_loadu_si512(acc + 16);
        _mm512_storeu_si512(acc, _mm512_mask_add_epi32(low, (__mmask16)mask[k], low, w));
        _mm512_storeu_si512(acc + 16,
                            _mm512_mask_add_epi32(high, (__mmask16)(mask[k] >> 16), high, w));
    }
}
#endif

#if SPKI_HAVE_AVX2
SPKI_TARGET_AVX2 __attribute__((unused)) static void
spki_add_mask_avx2(int32_t *acc, const uint32_t *mask, uint32_t words, int32_t weight)
{
    const __m256i w = _mm256_set1_epi32(weight);
    const __m256i bit = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    for (uint32_t k = 0; k < words; k++) {
        for (uint32_t byte = 0; byte < 4; byte++, acc += 8) {
            const __m256i bits = _mm256_set1_epi32((int)(mask[k] >> 8 * byte));
            const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(bits, bit), bit);
            __m256i *to = (__m256i *)(void *)acc;
            _mm256_storeu_si256(
                to, _mm256_add_epi32(_mm256_loadu_si256(to), _mm256_and_si256(set, w)));
        }
    }
}
#endif

/* Four at a time: the width that every other target has. */
SPKI_FN void spki_add_mask_any(int32_t *acc, const uint32_t *mask, uint32_t words, int32_t weight)
{
    typedef int32_t four __attribute__((vector_size(16)));
    const four bit = {1, 2, 4, 8};
    for (uint32_t k = 0; k < words; k++) {
        for (uint32_t at = 0; at < 32; at += 4, acc += 4) {
            const int32_t bits = (int32_t)(mask[k] >> at & 15u);
            four v;
            memcpy(&v, acc, sizeof v);
            v += ((bit & bits) == bit) & weight;
            memcpy(acc, &v, sizeof v);
        }
    }
}

/* acc[32 k + b] += weight for each bit b of mask[k]. */
SPKI_FN void spki_add_mask(spk_isa isa, int32_t *acc, const uint32_t *mask, uint32_t words,
                           int32_t weight)
{
#if SPKI_HAVE_AVX512
    if (isa == SPK_ISA_AVX512) {
        spki_add_mask_avx512(acc, mask, words, weight);
        return;
    }
#endif
#if SPKI_HAVE_AVX2
    if (isa == SPK_ISA_AVX2) {
        spki_add_mask_avx2(acc, mask, words, weight);
        return;
    }
#endif
    (void)isa;
    spki_add_mask_any(acc, mask, words, weight);
}

#endif
