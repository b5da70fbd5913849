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
    const SPKI_U2 none = {0}, factor = none + (uint64_t)m;
    SPKI_U2 pairs, even, odd;
    memcpy(&pairs, &a, sizeof pairs);
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    even = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)pairs, (__m512i)factor);
    odd = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)(pairs >> 32), (__m512i)factor);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    even = (SPKI_U2)_mm256_mul_epu32((__m256i)pairs, (__m256i)factor);
    odd = (SPKI_U2)_mm256_mul_epu32((__m256i)(pairs >> 32), (__m256i)factor);
#elif SPKI_HAVE_SSE2
    even = (SPKI_U2)_mm_mul_epu32((__m128i)pairs, (__m128i)factor);
    odd = (SPKI_U2)_mm_mul_epu32((__m128i)(pairs >> 32), (__m128i)factor);
#else
    even = (pairs & 0xffffffffu) * factor;
    odd = (pairs >> 32) * factor;
#endif
    SPKI_U2 lo, hi;
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    lo = (SPKI_U2)_mm512_mask_shuffle_epi32((__m512i)even, 0xaaaa, (__m512i)odd, _MM_PERM_CCAA);
    hi = (SPKI_U2)_mm512_mask_shuffle_epi32((__m512i)odd, 0x5555, (__m512i)even, _MM_PERM_DDBB);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    lo = (SPKI_U2)_mm256_blend_epi32((__m256i)even, _mm256_shuffle_epi32((__m256i)odd, 0xa0), 0xaa);
    hi = (SPKI_U2)_mm256_blend_epi32(_mm256_shuffle_epi32((__m256i)even, 0xf5), (__m256i)odd, 0xaa);
#elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    lo = (odd & 0xffffffffu) | (even << 32);
    hi = (odd >> 32) | ((even >> 32) << 32);
#else
    lo = (even & 0xffffffffu) | (odd << 32);
    hi = (even >> 32) | ((odd >> 32) << 32);
#endif
    SPKI_U high;
    memcpy(low, &lo, sizeof lo);
    memcpy(&high, &hi, sizeof hi);
    return high;
#endif
}

/* Ten rounds for counters c0, c0 + 1, ..: word w of all lanes goes to the w-th pointer. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) void
SPKI_CAT(spki_rounds_, SPKI_LANES)(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                   uint32_t k1, uint32_t *w0, uint32_t *w1, uint32_t *w2,
                                   uint32_t *w3)
{
    const SPKI_U none = {0};
    SPKI_U x0 = none + c0, x1 = none + c1, x2 = none + c2, x3 = none + c3;
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
    memcpy(w0, &x0, sizeof x0);
    memcpy(w1, &x1, sizeof x1);
    memcpy(w2, &x2, sizeof x2);
    memcpy(w3, &x3, sizeof x3);
}

/* Words for `groups` x 64 neurons; the first group has number `group`. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_words_, SPKI_LANES)(uint32_t *out, size_t groups, uint32_t group, uint64_t step,
                                  uint32_t tag, uint32_t stream, uint64_t seed)
{
    for (size_t g = 0; g < groups; g++) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            uint32_t *to = out + g * 64 + l;
            SPKI_CAT(spki_rounds_, SPKI_LANES)
            ((group + (uint32_t)g) * 16u + l, (uint32_t)step, (uint32_t)(step >> 32) ^ tag, stream,
             (uint32_t)seed, (uint32_t)(seed >> 32), to, to + 16, to + 32, to + 48);
        }
    }
}

/* Words of counters c0 + k, k < n (a multiple of 16 is fastest), four each, in their order. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_fill_, SPKI_LANES)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                                 uint32_t c0, uint32_t n, uint32_t *out)
{
    uint32_t at[4][SPKI_LANES];
    for (uint32_t k = 0; k < n; k += SPKI_LANES) {
        const uint32_t have = n - k < SPKI_LANES ? n - k : SPKI_LANES;
        SPKI_CAT(spki_rounds_, SPKI_LANES)
        (c0 + k, c1, c2, c3, key[0], key[1], at[0], at[1], at[2], at[3]);
        for (uint32_t j = 0; j < have; j++) {
            for (uint32_t w = 0; w < 4; w++) {
                out[(k + j) * 4 + w] = at[w][j];
            }
        }
    }
}

#undef SPKI_U
#undef SPKI_U2
#undef SPKI_LANES
#undef SPKI_TARGET
