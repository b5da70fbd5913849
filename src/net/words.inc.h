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

/* a ^ b ^ c */
SPKI_TARGET static inline __attribute__((always_inline, unused)) SPKI_U
SPKI_CAT(spki_xor3_, SPKI_LANES)(SPKI_U a, SPKI_U b, uint32_t c)
{
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    const SPKI_U none = {0};
    return (SPKI_U)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)(none + c), 0x96);
#else
    return a ^ b ^ c;
#endif
}

/* Ten rounds for the counters (x0, c1, c2, c3): word w of all lanes goes to out[w]. What all lanes
   share stays a scalar: half of the first two rounds. `key` holds two words a round, in memory,
   since a vector that repeats a word is cheaper to load than to make from a register. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) void
SPKI_CAT(spki_rounds_, SPKI_LANES)(SPKI_U x0, uint32_t c1, uint32_t c2, uint32_t c3,
                                   const uint32_t *key, SPKI_U out[4])
{
    const SPKI_U none = {0};
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    const uint64_t p0 = (uint64_t)0xD2511F53u * ((uint32_t)(p1 >> 32) ^ c1 ^ key[0]);
    SPKI_U x1, x2, x3, l0, l1, h0, h1;
    h0 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x0, 0xD2511F53u, &l0);
    x2 = h0 ^ (c3 ^ key[1]);
    h1 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x2, 0xCD9E8D57u, &x1);
    x0 = h1 ^ ((uint32_t)p1 ^ key[2]);
    x2 = l0 ^ ((uint32_t)(p0 >> 32) ^ key[3]);
    x3 = none + (uint32_t)p0;
#define SPKI_ROUND(n)                                                                              \
    h0 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x0, 0xD2511F53u, &l0);                                \
    h1 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x2, 0xCD9E8D57u, &l1);                                \
    x0 = SPKI_CAT(spki_xor3_, SPKI_LANES)(h1, x1, key[2 * n]);                        \
    x2 = SPKI_CAT(spki_xor3_, SPKI_LANES)(h0, x3, key[2 * n + 1]);                        \
    x1 = l1;                                                                                       \
    x3 = l0;
    SPKI_ROUND(2) SPKI_ROUND(3) SPKI_ROUND(4) SPKI_ROUND(5)
    SPKI_ROUND(6) SPKI_ROUND(7) SPKI_ROUND(8) SPKI_ROUND(9)
#undef SPKI_ROUND
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

/* first + 0, 1, 2, .. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) SPKI_U
SPKI_CAT(spki_count_up_, SPKI_LANES)(uint32_t first)
{
#if SPKI_LANES == 1
    return first;
#else
    static const uint32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    SPKI_U lane;
    memcpy(&lane, count, sizeof lane);
    return lane + first;
#endif
}

/* Words for `groups` x 64 neurons; the first group has number `group`. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_words_, SPKI_LANES)(uint32_t *out, size_t groups, const spki_word_address *a)
{
    for (size_t g = 0; g < groups; g++) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            uint32_t *to = out + g * 64 + l;
            SPKI_U x[4];
            SPKI_CAT(spki_rounds_, SPKI_LANES)
            (SPKI_CAT(spki_count_up_, SPKI_LANES)((a->group + (uint32_t)g) * 16u + l), a->c1, a->c2,
             a->c3, a->key, x);
            for (uint32_t w = 0; w < 4; w++) {
                memcpy(to + 16 * w, &x[w], sizeof x[w]);
            }
        }
    }
}

/* Words of counters c0 + k, k < SPKI_LANES, four each, in their order. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) void
SPKI_CAT(spki_quads_, SPKI_LANES)(const uint32_t *key, uint32_t c1, uint32_t c2, uint32_t c3,
                                  uint32_t c0, uint32_t *out)
{
    SPKI_U x[4];
#if SPKI_HAVE_SSE2 && SPKI_LANES > 1
    /* counters of lanes such that 4 x 4 blocks, transposed, lie in order */
    static const uint32_t place[3][16] = {
        {0, 1, 2, 3},
        {0, 2, 4, 6, 1, 3, 5, 7},
        {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
    };
    SPKI_U lane;
    memcpy(&lane, place[SPKI_LANES / 8], sizeof lane);
    SPKI_CAT(spki_rounds_, SPKI_LANES)(lane + c0, c1, c2, c3, key, x);
#if SPKI_LANES == 16
    const __m512i a = _mm512_maskz_unpacklo_epi32(0xffff, (__m512i)x[0], (__m512i)x[1]);
    const __m512i b = _mm512_maskz_unpacklo_epi32(0xffff, (__m512i)x[2], (__m512i)x[3]);
    const __m512i c = _mm512_maskz_unpackhi_epi32(0xffff, (__m512i)x[0], (__m512i)x[1]);
    const __m512i d = _mm512_maskz_unpackhi_epi32(0xffff, (__m512i)x[2], (__m512i)x[3]);
    x[0] = (SPKI_U)_mm512_maskz_unpacklo_epi64(0xff, a, b);
    x[1] = (SPKI_U)_mm512_maskz_unpackhi_epi64(0xff, a, b);
    x[2] = (SPKI_U)_mm512_maskz_unpacklo_epi64(0xff, c, d);
    x[3] = (SPKI_U)_mm512_maskz_unpackhi_epi64(0xff, c, d);
#elif SPKI_LANES == 8
    const __m256i a = _mm256_unpacklo_epi32((__m256i)x[0], (__m256i)x[1]);
    const __m256i b = _mm256_unpacklo_epi32((__m256i)x[2], (__m256i)x[3]);
    const __m256i c = _mm256_unpackhi_epi32((__m256i)x[0], (__m256i)x[1]);
    const __m256i d = _mm256_unpackhi_epi32((__m256i)x[2], (__m256i)x[3]);
    x[0] = (SPKI_U)_mm256_unpacklo_epi64(a, b);
    x[1] = (SPKI_U)_mm256_unpackhi_epi64(a, b);
    x[2] = (SPKI_U)_mm256_unpacklo_epi64(c, d);
    x[3] = (SPKI_U)_mm256_unpackhi_epi64(c, d);
#else
    const __m128i a = _mm_unpacklo_epi32((__m128i)x[0], (__m128i)x[1]);
    const __m128i b = _mm_unpacklo_epi32((__m128i)x[2], (__m128i)x[3]);
    const __m128i c = _mm_unpackhi_epi32((__m128i)x[0], (__m128i)x[1]);
    const __m128i d = _mm_unpackhi_epi32((__m128i)x[2], (__m128i)x[3]);
    x[0] = (SPKI_U)_mm_unpacklo_epi64(a, b);
    x[1] = (SPKI_U)_mm_unpackhi_epi64(a, b);
    x[2] = (SPKI_U)_mm_unpacklo_epi64(c, d);
    x[3] = (SPKI_U)_mm_unpackhi_epi64(c, d);
#endif
    memcpy(out, x, sizeof x);
#else
    uint32_t at[4][SPKI_LANES];
    SPKI_CAT(spki_rounds_, SPKI_LANES)
    (SPKI_CAT(spki_count_up_, SPKI_LANES)(c0), c1, c2, c3, key, x);
    memcpy(at, x, sizeof at);
    for (uint32_t j = 0; j < SPKI_LANES; j++) {
        for (uint32_t w = 0; w < 4; w++) {
            out[j * 4 + w] = at[w][j];
        }
    }
#endif
}

/* Words of counters c0 + k, k < n (a multiple of 16 is fastest), four each, in their order. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_fill_, SPKI_LANES)(const uint32_t *key, uint32_t c1, uint32_t c2, uint32_t c3,
                                 uint32_t c0, uint32_t n, uint32_t *out)
{
    uint32_t k = 0, rest[4 * SPKI_LANES];
    for (; n - k >= SPKI_LANES; k += SPKI_LANES) {
        SPKI_CAT(spki_quads_, SPKI_LANES)(key, c1, c2, c3, c0 + k, out + (size_t)k * 4);
    }
    if (n - k <= 2) { /* sooner done one by one */
        for (; k < n; k++) {
            spki_philox(c0 + k, c1, c2, c3, key[0], key[1], out + (size_t)k * 4);
        }
    } else {
        SPKI_CAT(spki_quads_, SPKI_LANES)(key, c1, c2, c3, c0 + k, rest);
        memcpy(out + (size_t)k * 4, rest, (size_t)(n - k) * 16);
    }
}

#undef SPKI_U
#undef SPKI_U2
#undef SPKI_LANES
#undef SPKI_TARGET
