/* ---- >>spikefile-unpack: columns of a block back to records, on every instruction set ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_UNPACK_H
#define SPIKELIB_EVENT_SPIKEFILE_UNPACK_H

#include "../api/spikefile.h"
#include "../core/cpu.h"
#include "spikefile_pack.h"

#if SPKI_HAVE_AVX2
#include <immintrin.h>
#endif

/* All kernels may read 64 bytes beyond their input and write up to 31 values beyond their output;
   a chunk ends with so many zero bytes. */
#define SPKI_OVERREAD 64u

/* A column of events that is still to be unpacked (`column` NULL; at most 17 bits), or not. */
typedef struct spki_sf_source {
    const uint8_t *in;
    const uint32_t *column;
    const uint32_t *place; /* of the ones of a Rice code, as below; NULL: it is none */
    uint32_t width, base;  /* the base is added to what is unpacked */
    bool gaps;             /* of the times only */
} spki_sf_source;

#define SPKI_SF_DIRECT 17u

typedef struct spki_unpacker {
    /* out[k] = bits [k * width, (k + 1) * width) */
    void (*unpack)(const uint8_t *in, uint32_t width, uint32_t n, uint32_t *out);
    /* place[k] = position of the k-th one among `bytes` bytes; false if there are fewer than n */
    bool (*ones)(const uint8_t *in, uint32_t bytes, uint32_t n, uint32_t *place);
    /* io[k] |= (place[k] - place[k - 1] - 1) << width; place[-1] is readable and -1 */
    void (*unary)(uint32_t *io, const uint32_t *place, uint32_t width, uint32_t n);
    /* io[k] = base + the sum of io[0..k]; zigzag: of their signed values */
    void (*sum)(uint32_t *io, uint32_t n, uint32_t base);
    void (*zigzag)(uint32_t *io, uint32_t n, uint32_t base);
    /* io[k] += base */
    void (*add)(uint32_t *io, uint32_t n, uint32_t base);
    /* records of four columns: t_us = first + t, meta = polarity | kind << 1 | source << 9 */
    void (*events)(spk_event *out, int64_t first, const uint32_t *t, const uint32_t *x,
                   const uint32_t *y, const uint32_t *meta, uint32_t n);
    void (*spikes)(spk_spike *out, int64_t first, const uint32_t *t, const uint32_t *neuron,
                   uint32_t n);
    /* the same where t holds both: step t >> width, neuron the lowest `width` bits */
    void (*fused)(spk_spike *out, int64_t first, const uint32_t *t, uint32_t width, uint32_t n);
    /* events from t, x, y, meta, unpacked on the way; NULL: not on this instruction set */
    void (*direct)(spk_event *out, int64_t first, const spki_sf_source from[4], uint32_t n);
} spki_unpacker;

/* -- any processor -- */

SPKI_FN void spki_unpack_any(const uint8_t *in, uint32_t width, uint32_t n, uint32_t *out)
{
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    size_t at = 0;
    for (uint32_t k = 0; k < n; k++, at += width)
        out[k] = (uint32_t)(spki_load64_le(in + at / 8) >> (at % 8) & mask);
}

SPKI_FN bool spki_ones_any(const uint8_t *in, uint32_t bytes, uint32_t n, uint32_t *place)
{
    uint32_t found = 0;
    for (uint32_t k = 0; k < bytes && found < n; k += 8) {
        uint64_t word = spki_load64_le(in + k);
        if (bytes - k < 8) word &= ((uint64_t)1 << 8 * (bytes - k)) - 1;
        for (; word && found < n; word &= word - 1)
            place[found++] = 8 * k + (uint32_t)__builtin_ctzll(word);
    }
    return found == n;
}

SPKI_FN void spki_unary_any(uint32_t *io, const uint32_t *place, uint32_t width, uint32_t n)
{
    uint32_t last = UINT32_MAX;
    for (uint32_t k = 0; k < n; k++) {
        io[k] |= (place[k] - last - 1) << width;
        last = place[k];
    }
}

SPKI_FN void spki_sum_any(uint32_t *io, uint32_t n, uint32_t base)
{
    for (uint32_t k = 0; k < n; k++) io[k] = base += io[k];
}

SPKI_FN void spki_zigzag_any(uint32_t *io, uint32_t n, uint32_t base)
{
    for (uint32_t k = 0; k < n; k++) io[k] = base += io[k] >> 1 ^ (0u - (io[k] & 1));
}

SPKI_FN void spki_add_any(uint32_t *io, uint32_t n, uint32_t base)
{
    for (uint32_t k = 0; k < n; k++) io[k] += base;
}

SPKI_FN void spki_events_any(spk_event *out, int64_t first, const uint32_t *t, const uint32_t *x,
                             const uint32_t *y, const uint32_t *meta, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        out[k].t_us = (int64_t)((uint64_t)first + t[k]);
        out[k].x = (uint16_t)x[k];
        out[k].y = (uint16_t)y[k];
        out[k].polarity = (uint8_t)(meta[k] & 1);
        out[k].kind = (uint8_t)(meta[k] >> 1);
        out[k].source = (uint16_t)(meta[k] >> 9);
    }
}

SPKI_FN void spki_spikes_any(spk_spike *out, int64_t first, const uint32_t *t,
                             const uint32_t *neuron, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        out[k].step = (uint64_t)first + t[k];
        out[k].neuron = neuron[k];
        out[k].reserved = 0;
    }
}

SPKI_FN void spki_fused_any(spk_spike *out, int64_t first, const uint32_t *t, uint32_t width,
                            uint32_t n)
{
    const uint32_t mask = (uint32_t)(((uint64_t)1 << width) - 1);
    for (uint32_t k = 0; k < n; k++) {
        out[k].step = (uint64_t)first + (width < 32 ? t[k] >> width : 0);
        out[k].neuron = t[k] & mask;
        out[k].reserved = 0;
    }
}

#if SPKI_HAVE_AVX2
/* -- AVX2 -- */

#define SPKI_AVX2_FN __attribute__((target("avx2,popcnt"), unused)) static

/* Eight values take `width` whole bytes, so that each group of eight is cut the same way: a byte
   shuffle brings the four bytes that hold a value into its lane, a shift drops the bits before it.
   That works while the bits before it, at most 7, and the value fit 32. */
SPKI_AVX2_FN void spki_unpack_avx2(const uint8_t *in, uint32_t width, uint32_t n, uint32_t *out)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3);
    const uint32_t half = 4 * width; /* bits before the upper four values */
    __m256i bit, byte, shuffle, shift, mask;
    if (width > 25) {
        spki_unpack_any(in, width, n, out);
        return;
    }
    bit = _mm256_add_epi32(_mm256_mullo_epi32(lane, _mm256_set1_epi32((int)width)),
                           _mm256_setr_epi32(0, 0, 0, 0, (int)(half % 8), (int)(half % 8),
                                             (int)(half % 8), (int)(half % 8)));
    byte = _mm256_srli_epi32(bit, 3);
    shift = _mm256_and_si256(bit, _mm256_set1_epi32(7));
    shuffle = _mm256_add_epi32(_mm256_mullo_epi32(byte, _mm256_set1_epi32(0x01010101)),
                               _mm256_set1_epi32(0x03020100));
    mask = _mm256_set1_epi32((int)(((uint32_t)1 << width) - 1));
    for (uint32_t k = 0; k < n; k += 8, in += width) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)in);
        const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(in + half / 8));
        __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        v = _mm256_srlv_epi32(_mm256_shuffle_epi8(v, shuffle), shift);
        _mm256_storeu_si256((__m256i *)(void *)(out + k), _mm256_and_si256(v, mask));
    }
}

/* The four lowest ones of a nibble would need a table; a loop of eight and then of the rest keeps
   the branch predictable, since most words hold about as many. */
SPKI_AVX2_FN bool spki_ones_avx2(const uint8_t *in, uint32_t bytes, uint32_t n, uint32_t *place)
{
    uint32_t found = 0;
    for (uint32_t k = 0; k < bytes && found < n; k += 8) {
        uint64_t word = spki_load64_le(in + k);
        uint32_t ones, at = found;
        if (bytes - k < 8) word &= ((uint64_t)1 << 8 * (bytes - k)) - 1;
        ones = (uint32_t)__builtin_popcountll(word);
        if (ones > n - found) break;
        found += ones;
        for (; at < found; at += 4) { /* ctz of 0 is 64 or so: written beyond, and overwritten */
            place[at] = 8 * k + (uint32_t)__builtin_ctzll(word | (uint64_t)1 << 63);
            word &= word - 1;
            place[at + 1] = 8 * k + (uint32_t)__builtin_ctzll(word | (uint64_t)1 << 63);
            word &= word - 1;
            place[at + 2] = 8 * k + (uint32_t)__builtin_ctzll(word | (uint64_t)1 << 63);
            word &= word - 1;
            place[at + 3] = 8 * k + (uint32_t)__builtin_ctzll(word | (uint64_t)1 << 63);
            word &= word - 1;
        }
    }
    return found == n || spki_ones_any(in, bytes, n, place);
}

SPKI_AVX2_FN void spki_unary_avx2(uint32_t *io, const uint32_t *place, uint32_t width, uint32_t n)
{
    const __m128i count = _mm_cvtsi32_si128((int)width);
    const __m256i one = _mm256_set1_epi32(1);
    for (uint32_t k = 0; k < n; k += 8) {
        const __m256i at = _mm256_loadu_si256((const __m256i *)(const void *)(place + k));
        const __m256i last = _mm256_loadu_si256((const __m256i *)(const void *)(place + k - 1));
        const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(io + k));
        const __m256i q = _mm256_sub_epi32(_mm256_sub_epi32(at, last), one);
        _mm256_storeu_si256((__m256i *)(void *)(io + k),
                            _mm256_or_si256(low, _mm256_sll_epi32(q, count)));
    }
}

/* Sums of the first 1, 2, ... 8 lanes. */
SPKI_AVX2_FN __attribute__((always_inline)) inline __m256i spki_sums8(__m256i v)
{
    __m256i low;
    v = _mm256_add_epi32(v, _mm256_slli_si256(v, 4));
    v = _mm256_add_epi32(v, _mm256_slli_si256(v, 8));
    low = _mm256_permute2x128_si256(v, v, 0x08); /* the lower half, above zeros */
    return _mm256_add_epi32(v, _mm256_shuffle_epi32(low, 0xff));
}

SPKI_AVX2_FN void spki_sum_avx2(uint32_t *io, uint32_t n, uint32_t base)
{
    const __m256i last = _mm256_set1_epi32(7);
    __m256i carry = _mm256_set1_epi32((int)base);
    for (uint32_t k = 0; k < n; k += 8) {
        const __m256i v = spki_sums8(_mm256_loadu_si256((const __m256i *)(const void *)(io + k)));
        _mm256_storeu_si256((__m256i *)(void *)(io + k), _mm256_add_epi32(v, carry));
        carry = _mm256_add_epi32(carry, _mm256_permutevar8x32_epi32(v, last));
    }
}

SPKI_AVX2_FN void spki_zigzag_avx2(uint32_t *io, uint32_t n, uint32_t base)
{
    const __m256i last = _mm256_set1_epi32(7), one = _mm256_set1_epi32(1);
    __m256i carry = _mm256_set1_epi32((int)base);
    for (uint32_t k = 0; k < n; k += 8) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(io + k));
        v = _mm256_xor_si256(_mm256_srli_epi32(v, 1),
                             _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_and_si256(v, one)));
        v = spki_sums8(v);
        _mm256_storeu_si256((__m256i *)(void *)(io + k), _mm256_add_epi32(v, carry));
        carry = _mm256_add_epi32(carry, _mm256_permutevar8x32_epi32(v, last));
    }
}

SPKI_AVX2_FN void spki_add_avx2(uint32_t *io, uint32_t n, uint32_t base)
{
    for (uint32_t k = 0; k < n; k++) io[k] += base;
}

/* Four 64-bit records' halves a and b to a0 b0 a1 b1 a2 b2 a3 b3. */
SPKI_AVX2_FN __attribute__((always_inline)) inline void spki_pairs4(void *to, __m256i a, __m256i b)
{
    const __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
    _mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256((__m256i *)to + 1, _mm256_permute2x128_si256(even, odd, 0x31));
}

SPKI_AVX2_FN __attribute__((always_inline)) inline __m256i spki_wide4(const uint32_t *from)
{
    return _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)from));
}

SPKI_AVX2_FN void spki_events_avx2(spk_event *out, int64_t first, const uint32_t *t,
                                   const uint32_t *x, const uint32_t *y, const uint32_t *meta,
                                   uint32_t n)
{
    const __m256i base = _mm256_set1_epi64x(first), word = _mm256_set1_epi64x(0xffff);
    const __m256i one = _mm256_set1_epi64x(1), rest = _mm256_set1_epi64x(0x1fffffe);
    for (uint32_t k = 0; k < n; k += 4) {
        const __m256i time = _mm256_add_epi64(base, spki_wide4(t + k));
        const __m256i m = spki_wide4(meta + k);
        __m256i v = _mm256_or_si256(_mm256_and_si256(m, one),
                                    _mm256_slli_epi64(_mm256_and_si256(m, rest), 7));
        v = _mm256_or_si256(_mm256_slli_epi64(v, 32), _mm256_and_si256(spki_wide4(x + k), word));
        v = _mm256_or_si256(v, _mm256_slli_epi64(_mm256_and_si256(spki_wide4(y + k), word), 16));
        spki_pairs4(out + k, time, v);
    }
}

SPKI_AVX2_FN void spki_spikes_avx2(spk_spike *out, int64_t first, const uint32_t *t,
                                   const uint32_t *neuron, uint32_t n)
{
    const __m256i base = _mm256_set1_epi64x(first);
    for (uint32_t k = 0; k < n; k += 4)
        spki_pairs4(out + k, _mm256_add_epi64(base, spki_wide4(t + k)), spki_wide4(neuron + k));
}

SPKI_AVX2_FN void spki_fused_avx2(spk_spike *out, int64_t first, const uint32_t *t, uint32_t width,
                                  uint32_t n)
{
    const __m128i count = _mm_cvtsi32_si128((int)width);
    const __m256i base = _mm256_set1_epi64x(first);
    const __m256i mask = _mm256_set1_epi64x((int64_t)(((uint64_t)1 << width) - 1));
    for (uint32_t k = 0; k < n; k += 4) {
        const __m256i v = spki_wide4(t + k);
        spki_pairs4(out + k, _mm256_add_epi64(base, _mm256_srl_epi64(v, count)),
                    _mm256_and_si256(v, mask));
    }
}
#endif

#if SPKI_HAVE_AVX512
/* -- AVX-512 (F, DQ, BW, VL) -- */

#define SPKI_AVX512_FN                                                                             \
    __attribute__((target("avx2,popcnt,avx512f,avx512dq,avx512bw,avx512vl"), unused)) static

/* Sixteen values take 2 * width bytes. A value of up to 17 bits lies within two 16-bit words. */
SPKI_AVX512_FN void spki_unpack_avx512(const uint8_t *in, uint32_t width, uint32_t n, uint32_t *out)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i bit, word, shift, mask;
    if (width > 17) {
        spki_unpack_avx2(in, width, n, out);
        return;
    }
    bit = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)width));
    word = _mm512_srli_epi32(bit, 4);
    word =
        _mm512_or_si512(word, _mm512_slli_epi32(_mm512_add_epi32(word, _mm512_set1_epi32(1)), 16));
    shift = _mm512_and_si512(bit, _mm512_set1_epi32(15));
    mask = _mm512_set1_epi32((int)(((uint32_t)1 << width) - 1));
    for (uint32_t k = 0; k < n; k += 16, in += 2 * width) {
        __m512i v = _mm512_permutexvar_epi16(word, _mm512_loadu_si512(in));
        v = _mm512_and_si512(_mm512_srlv_epi32(v, shift), mask);
        _mm512_storeu_si512(out + k, v);
    }
}

SPKI_AVX512_FN bool spki_ones_avx512(const uint8_t *in, uint32_t bytes, uint32_t n, uint32_t *place)
{
    const __m512i step = _mm512_set1_epi32(16);
    __m512i at = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    uint32_t found = 0;
    for (uint32_t k = 0; k < bytes && found < n; k += 8) {
        uint64_t word = spki_load64_le(in + k);
        if (bytes - k < 8) word &= ((uint64_t)1 << 8 * (bytes - k)) - 1;
        if ((uint32_t)__builtin_popcountll(word) > n - found)
            return spki_ones_any(in, bytes, n, place);
        for (int part = 0; part < 4; part++, word >>= 16) {
            const uint32_t bits = (uint32_t)word & 0xffff;
            _mm512_storeu_si512(place + found, _mm512_maskz_compress_epi32((__mmask16)bits, at));
            found += (uint32_t)__builtin_popcount(bits);
            at = _mm512_add_epi32(at, step);
        }
    }
    return found == n;
}

/* All 64 bits of a word at once, as bytes (VBMI2: Ice Lake, Zen 4). */
__attribute__((target("avx2,popcnt,avx512f,avx512dq,avx512bw,avx512vl,avx512vbmi2"), unused)) static
bool spki_ones_vbmi2(const uint8_t *in, uint32_t bytes, uint32_t n, uint32_t *place)
{
    const __m512i step = _mm512_set1_epi32(64);
    __m512i at = _mm512_setzero_si512(), byte;
    uint8_t number[64];
    uint32_t found = 0;
    for (uint32_t k = 0; k < 64; k++) number[k] = (uint8_t)k;
    byte = _mm512_loadu_si512(number);
    for (uint32_t k = 0; k < bytes && found < n; k += 8) {
        uint64_t word = spki_load64_le(in + k);
        uint32_t ones;
        __m512i v;
        if (bytes - k < 8) word &= ((uint64_t)1 << 8 * (bytes - k)) - 1;
        ones = (uint32_t)__builtin_popcountll(word);
        if (ones > n - found) return spki_ones_any(in, bytes, n, place);
        v = _mm512_maskz_compress_epi8(word, byte);
#define SPKI_PLACES(quarter)                                                                       \
    _mm512_storeu_si512(place + found + 16 * (quarter),                                            \
                        _mm512_add_epi32(at, _mm512_cvtepu8_epi32(                                 \
                                                 _mm512_extracti32x4_epi32(v, quarter))))
        SPKI_PLACES(0);
        SPKI_PLACES(1);
        if (ones > 32) {
            SPKI_PLACES(2);
            SPKI_PLACES(3);
        }
#undef SPKI_PLACES
        found += ones;
        at = _mm512_add_epi32(at, step);
    }
    return found == n;
}

SPKI_FN bool spki_cpu_has_vbmi2(void)
{
    uint32_t a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 6);
}

SPKI_AVX512_FN void spki_unary_avx512(uint32_t *io, const uint32_t *place, uint32_t width,
                                      uint32_t n)
{
    const __m128i count = _mm_cvtsi32_si128((int)width);
    const __m512i one = _mm512_set1_epi32(1);
    for (uint32_t k = 0; k < n; k += 16) {
        const __m512i q = _mm512_sub_epi32(
            _mm512_sub_epi32(_mm512_loadu_si512(place + k), _mm512_loadu_si512(place + k - 1)),
            one);
        _mm512_storeu_si512(
            io + k, _mm512_or_si512(_mm512_loadu_si512(io + k), _mm512_sll_epi32(q, count)));
    }
}

/* Sums of the first 1, 2, ... 16 lanes. */
SPKI_AVX512_FN __attribute__((always_inline)) inline __m512i spki_sums16(__m512i v)
{
    const __m512i none = _mm512_setzero_si512();
    v = _mm512_add_epi32(v, _mm512_alignr_epi32(v, none, 15));
    v = _mm512_add_epi32(v, _mm512_alignr_epi32(v, none, 14));
    v = _mm512_add_epi32(v, _mm512_alignr_epi32(v, none, 12));
    return _mm512_add_epi32(v, _mm512_alignr_epi32(v, none, 8));
}

SPKI_AVX512_FN void spki_sum_avx512(uint32_t *io, uint32_t n, uint32_t base)
{
    const __m512i last = _mm512_set1_epi32(15);
    __m512i carry = _mm512_set1_epi32((int)base);
    for (uint32_t k = 0; k < n; k += 16) {
        const __m512i v = spki_sums16(_mm512_loadu_si512(io + k));
        _mm512_storeu_si512(io + k, _mm512_add_epi32(v, carry));
        carry = _mm512_add_epi32(carry, _mm512_permutexvar_epi32(last, v));
    }
}

SPKI_AVX512_FN void spki_zigzag_avx512(uint32_t *io, uint32_t n, uint32_t base)
{
    const __m512i last = _mm512_set1_epi32(15), one = _mm512_set1_epi32(1);
    __m512i carry = _mm512_set1_epi32((int)base);
    for (uint32_t k = 0; k < n; k += 16) {
        __m512i v = _mm512_loadu_si512(io + k);
        v = _mm512_xor_si512(_mm512_srli_epi32(v, 1),
                             _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_and_si512(v, one)));
        v = spki_sums16(v);
        _mm512_storeu_si512(io + k, _mm512_add_epi32(v, carry));
        carry = _mm512_add_epi32(carry, _mm512_permutexvar_epi32(last, v));
    }
}

/* Eight 64-bit records' halves a and b to a0 b0 ... a7 b7. */
SPKI_AVX512_FN __attribute__((always_inline)) inline void spki_pairs8(void *to, __m512i a,
                                                                      __m512i b)
{
    const __m512i low = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    const __m512i high = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(a, low, b));
    _mm512_storeu_si512((char *)to + 64, _mm512_permutex2var_epi64(a, high, b));
}

SPKI_AVX512_FN __attribute__((always_inline)) inline __m512i spki_wide8(const uint32_t *from)
{
    return _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

SPKI_AVX512_FN void spki_events_avx512(spk_event *out, int64_t first, const uint32_t *t,
                                       const uint32_t *x, const uint32_t *y, const uint32_t *meta,
                                       uint32_t n)
{
    const __m512i base = _mm512_set1_epi64(first);
    const __m256i one = _mm256_set1_epi32(1), rest = _mm256_set1_epi32(0x1fffffe);
    const __m256i word = _mm256_set1_epi32(0xffff);
    for (uint32_t k = 0; k < n; k += 8) {
        const __m512i time = _mm512_add_epi64(base, spki_wide8(t + k));
        const __m256i m = _mm256_loadu_si256((const __m256i *)(const void *)(meta + k));
        const __m256i column = _mm256_loadu_si256((const __m256i *)(const void *)(x + k));
        const __m256i row = _mm256_loadu_si256((const __m256i *)(const void *)(y + k));
        const __m256i place =
            _mm256_or_si256(_mm256_and_si256(column, word), _mm256_slli_epi32(row, 16));
        const __m256i what = _mm256_or_si256(_mm256_and_si256(m, one),
                                             _mm256_slli_epi32(_mm256_and_si256(m, rest), 7));
        const __m512i v = _mm512_or_si512(_mm512_slli_epi64(_mm512_cvtepu32_epi64(what), 32),
                                          _mm512_cvtepu32_epi64(place));
        spki_pairs8(out + k, time, v);
    }
}

/* How the next sixteen values of a column are taken. */
typedef struct spki_sf_take {
    const uint8_t *in;
    const uint32_t *place;
    size_t step;
    bool packed;
    __m512i word, shift, mask, base;
    __m128i width;
} spki_sf_take;

SPKI_AVX512_FN __attribute__((always_inline)) inline void spki_take_begin(spki_sf_take *take,
                                                                        const spki_sf_source *from)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i bit = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)from->width));
    const __m512i word = _mm512_srli_epi32(bit, 4), one = _mm512_set1_epi32(1);
    take->packed = !from->column;
    take->place = from->place;
    take->width = _mm_cvtsi32_si128((int)from->width);
    take->in = take->packed ? from->in : (const uint8_t *)from->column;
    take->step = take->packed ? 2 * (size_t)from->width : 64;
    take->word = _mm512_or_si512(word, _mm512_slli_epi32(_mm512_add_epi32(word, one), 16));
    take->shift = _mm512_and_si512(bit, _mm512_set1_epi32(15));
    take->mask = _mm512_set1_epi32((int)(((uint32_t)1 << from->width) - 1));
    take->base = _mm512_set1_epi32((int)from->base);
}

SPKI_AVX512_FN __attribute__((always_inline)) inline __m512i spki_take16(spki_sf_take *take,
                                                                         bool packed)
{
    __m512i v = _mm512_loadu_si512(take->in), q;
    take->in += take->step;
    if (!packed) return v;
    v = _mm512_srlv_epi32(_mm512_permutexvar_epi16(take->word, v), take->shift);
    v = _mm512_and_si512(v, take->mask);
    if (!take->place) return v;
    q = _mm512_add_epi32(_mm512_loadu_si512(take->place - 1), _mm512_set1_epi32(1));
    q = _mm512_sub_epi32(_mm512_loadu_si512(take->place), q);
    take->place += 16;
    return _mm512_or_si512(v, _mm512_sll_epi32(q, take->width));
}

/* `common`: all of them are packed, and the times are gaps. */
SPKI_AVX512_FN __attribute__((always_inline)) inline void
spki_direct16(spk_event *out, int64_t first, const spki_sf_source from[4], uint32_t n, bool common)
{
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high =
        _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
    const __m512i base = _mm512_set1_epi64(first), last = _mm512_set1_epi32(15);
    const __m512i one = _mm512_set1_epi32(1), word = _mm512_set1_epi32(0xffff);
    const __m512i rest = _mm512_set1_epi32(0x1fffffe);
    const bool gaps = common || from[0].gaps;
    spki_sf_take t, x, y, m;
    __m512i carry;
    spki_take_begin(&t, from);
    spki_take_begin(&x, from + 1);
    spki_take_begin(&y, from + 2);
    spki_take_begin(&m, from + 3);
    carry = t.base;
    for (uint32_t k = 0; k < n; k += 16) {
        __m512i time = spki_take16(&t, common || t.packed);
        const __m512i column = _mm512_add_epi32(spki_take16(&x, common || x.packed), x.base);
        const __m512i row = _mm512_add_epi32(spki_take16(&y, common || y.packed), y.base);
        const __m512i meta = _mm512_add_epi32(spki_take16(&m, common || m.packed), m.base);
        const __m512i at =
            _mm512_or_si512(_mm512_and_si512(column, word), _mm512_slli_epi32(row, 16));
        const __m512i what = _mm512_or_si512(_mm512_and_si512(meta, one),
                                             _mm512_slli_epi32(_mm512_and_si512(meta, rest), 7));
        if (gaps) time = spki_sums16(time);
        time = _mm512_add_epi32(time, carry);
        if (gaps) carry = _mm512_permutexvar_epi32(last, time);
        spki_pairs8(out + k,
                    _mm512_add_epi64(base, _mm512_cvtepu32_epi64(_mm512_castsi512_si256(time))),
                    _mm512_permutex2var_epi32(at, low, what));
        spki_pairs8(
            out + k + 8,
            _mm512_add_epi64(base, _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(time, 1))),
            _mm512_permutex2var_epi32(at, high, what));
    }
}

SPKI_AVX512_FN void spki_direct_avx512(spk_event *out, int64_t first, const spki_sf_source from[4],
                                       uint32_t n)
{
    if (from[0].gaps && !from[1].column && !from[2].column && !from[3].column)
        spki_direct16(out, first, from, n, true);
    else
        spki_direct16(out, first, from, n, false);
}

SPKI_AVX512_FN void spki_spikes_avx512(spk_spike *out, int64_t first, const uint32_t *t,
                                       const uint32_t *neuron, uint32_t n)
{
    const __m512i base = _mm512_set1_epi64(first);
    for (uint32_t k = 0; k < n; k += 8)
        spki_pairs8(out + k, _mm512_add_epi64(base, spki_wide8(t + k)), spki_wide8(neuron + k));
}

SPKI_AVX512_FN void spki_fused_avx512(spk_spike *out, int64_t first, const uint32_t *t,
                                      uint32_t width, uint32_t n)
{
    const __m128i count = _mm_cvtsi32_si128((int)width);
    const __m512i base = _mm512_set1_epi64(first);
    const __m512i mask = _mm512_set1_epi64((int64_t)(((uint64_t)1 << width) - 1));
    for (uint32_t k = 0; k < n; k += 8) {
        const __m512i v = spki_wide8(t + k);
        spki_pairs8(out + k, _mm512_add_epi64(base, _mm512_srl_epi64(v, count)),
                    _mm512_and_si512(v, mask));
    }
}
#endif

SPKI_FN spki_unpacker spki_unpacker_for(spk_isa isa)
{
    spki_unpacker u = {spki_unpack_any, spki_ones_any,   spki_unary_any,
                       spki_sum_any,    spki_zigzag_any, spki_add_any,
                       spki_events_any, spki_spikes_any, spki_fused_any,
                       NULL};
    (void)isa;
#if SPKI_HAVE_AVX2
    if (isa == SPK_ISA_AVX2 || isa == SPK_ISA_AVX512) {
        u.unpack = spki_unpack_avx2;
        u.ones = spki_ones_avx2;
        u.unary = spki_unary_avx2;
        u.sum = spki_sum_avx2;
        u.zigzag = spki_zigzag_avx2;
        u.add = spki_add_avx2;
        u.events = spki_events_avx2;
        u.spikes = spki_spikes_avx2;
        u.fused = spki_fused_avx2;
    }
#endif
#if SPKI_HAVE_AVX512
    if (isa == SPK_ISA_AVX512) {
        u.unpack = spki_unpack_avx512;
        u.ones = spki_cpu_has_vbmi2() ? spki_ones_vbmi2 : spki_ones_avx512;
        u.unary = spki_unary_avx512;
        u.sum = spki_sum_avx512;
        u.zigzag = spki_zigzag_avx512;
        u.events = spki_events_avx512;
        u.spikes = spki_spikes_avx512;
        u.fused = spki_fused_avx512;
        u.direct = spki_direct_avx512;
    }
#endif
    return u;
}

#endif
