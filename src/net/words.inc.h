/* ---- >>words: Philox4x32-10 for many neurons, at one vector width (pasted once per width) ----
   The 64 neurons of a group share 16 counters: neuron 16 w + l takes word w of counter
   16 group + l, so that a vector of counters gives vectors of neurons without a shuffle. */
#if SPKI_LANES > 1
typedef uint32_t SPKI_CAT(spki_u32x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
typedef uint64_t SPKI_CAT(spki_u64x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_U SPKI_CAT(spki_u32x, SPKI_LANES)
#define SPKI_U2 SPKI_CAT(spki_u64x, SPKI_LANES)
#else
#define SPKI_U uint32_t
#endif

/* The high and low halves of a 32 x 32 bit product, lane by lane. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) SPKI_U
SPKI_CAT(spki_mulhilo_, SPKI_LANES)(SPKI_U a, uint32_t m, SPKI_U *low)
{
#if SPKI_LANES == 1
    const uint64_t p = (uint64_t)a * m;
    *low = (uint32_t)p;
    return (uint32_t)(p >> 32);
#else
    SPKI_U2 pairs, even, odd;
    memcpy(&pairs, &a, sizeof pairs);
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    const __m512i mm = _mm512_set1_epi32((int)m);
    even = (SPKI_U2)_mm512_mul_epu32((__m512i)pairs, mm);
    odd = (SPKI_U2)_mm512_mul_epu32((__m512i)(pairs >> 32), mm);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    const __m256i mm = _mm256_set1_epi32((int)m);
    even = (SPKI_U2)_mm256_mul_epu32((__m256i)pairs, mm);
    odd = (SPKI_U2)_mm256_mul_epu32((__m256i)(pairs >> 32), mm);
#elif SPKI_HAVE_SSE2
    const __m128i mm = _mm_set1_epi32((int)m);
    even = (SPKI_U2)_mm_mul_epu32((__m128i)pairs, mm);
    odd = (SPKI_U2)_mm_mul_epu32((__m128i)(pairs >> 32), mm);
#else
    even = (pairs & 0xffffffffu) * (uint64_t)m;
    odd = (pairs >> 32) * (uint64_t)m;
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const SPKI_U2 lo = (odd & 0xffffffffu) | (even << 32);
    const SPKI_U2 hi = (odd >> 32) | ((even >> 32) << 32);
#else
    const SPKI_U2 lo = (even & 0xffffffffu) | (odd << 32);
    const SPKI_U2 hi = (even >> 32) | ((odd >> 32) << 32);
#endif
    SPKI_U high;
    memcpy(low, &lo, sizeof lo);
    memcpy(&high, &hi, sizeof hi);
    return high;
#endif
}

/* Words for `groups` x 64 neurons; the first group has number `group`. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_words_, SPKI_LANES)(uint32_t *out, size_t groups, uint32_t group, uint64_t step,
                                  uint32_t tag, uint32_t stream, uint64_t seed)
{
    for (size_t g = 0; g < groups; g++) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            const SPKI_U none = {0};
            SPKI_U x0 = none + ((group + (uint32_t)g) * 16u + l), x1 = none + (uint32_t)step;
            SPKI_U x2 = none + ((uint32_t)(step >> 32) ^ tag), x3 = none + stream;
            uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#if SPKI_LANES > 1
            static const uint32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
            SPKI_U lane;
            memcpy(&lane, count, sizeof lane);
            x0 += lane;
#endif
            for (int round = 0; round < 10; round++) {
                SPKI_U l0, l1;
                const SPKI_U h0 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x0, 0xD2511F53u, &l0);
                const SPKI_U h1 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x2, 0xCD9E8D57u, &l1);
                x0 = h1 ^ x1 ^ k0;
                x1 = l1;
                x2 = h0 ^ x3 ^ k1;
                x3 = l0;
                k0 += 0x9E3779B9u;
                k1 += 0xBB67AE85u;
            }
            memcpy(out + g * 64 + l, &x0, sizeof x0);
            memcpy(out + g * 64 + 16 + l, &x1, sizeof x1);
            memcpy(out + g * 64 + 32 + l, &x2, sizeof x2);
            memcpy(out + g * 64 + 48 + l, &x3, sizeof x3);
        }
    }
}

#undef SPKI_U
#undef SPKI_U2
#undef SPKI_LANES
#undef SPKI_TARGET
