/* ---- >>draw: targets and weights from random words (pasted once per vector of doubles) ----
   Arrays have room for whole vectors past their n elements. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_HELP SPKI_TARGET static inline __attribute__((always_inline, unused))

/* base + the upper half of word * size; whether a lower half may be below `refuse`. */
SPKI_TARGET static bool SPKI_F(spki_draw_below)(const uint32_t *word, uint32_t n, uint32_t size,
                                                uint32_t refuse, uint32_t base, uint32_t *out)
{
#if SPKI_LANES == 8
    const __m512i factor = _mm512_set1_epi64((int64_t)size);
    const __m512i upper = _mm512_set1_epi64((int64_t)UINT64_C(0xffffffff00000000));
    const __m256i first = _mm256_set1_epi32((int32_t)base);
    __m512i least = _mm512_set1_epi32(-1);
    for (uint32_t k = 0; k < n; k += 8) {
        const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(word + k));
        const __m512i p =
            _mm512_maskz_mul_epu32(0xff, _mm512_maskz_cvtepu32_epi64(0xff, w), factor);
        const __m256i high =
            _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_srli_epi64(0xff, p, 32));
        _mm256_storeu_si256((__m256i *)(void *)(out + k), _mm256_add_epi32(high, first));
        least = _mm512_maskz_min_epu32(0xffff, least, _mm512_or_si512(p, upper));
    }
    return _mm512_cmplt_epu32_mask(least, _mm512_set1_epi32((int32_t)refuse)) != 0;
#else
    const __m256i factor = _mm256_set1_epi64x((int64_t)size);
    const __m256i upper = _mm256_set1_epi64x((int64_t)UINT64_C(0xffffffff00000000));
    const __m256i halves = _mm256_setr_epi32(1, 3, 5, 7, 1, 3, 5, 7);
    const __m128i first = _mm_set1_epi32((int32_t)base);
    __m256i least = _mm256_set1_epi32(-1);
    uint32_t low[8], k;
    for (k = 0; k < n; k += 4) {
        const __m128i w = _mm_loadu_si128((const __m128i *)(const void *)(word + k));
        const __m256i p = _mm256_mul_epu32(_mm256_cvtepu32_epi64(w), factor);
        const __m128i high = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(p, halves));
        _mm_storeu_si128((__m128i *)(void *)(out + k), _mm_add_epi32(high, first));
        least = _mm256_min_epu32(least, _mm256_or_si256(p, upper));
    }
    memcpy(low, &least, sizeof low);
    for (k = 0; k < 8; k += 2) {
        if (low[k] < refuse) {
            return true;
        }
    }
    return false;
#endif
}

/* As spki_quanta. */
SPKI_HELP void SPKI_F(spki_draw_store)(SPKI_R x, double per_quantum, double most, int32_t *out)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, magic = zero + 6755399441055744.0;
    x = x * (zero + per_quantum);
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, zero + most), zero - most);
    x = (x + magic) - magic;
#if SPKI_LANES == 8
    _mm256_storeu_si256((__m256i *)(void *)out, _mm512_maskz_cvttpd_epi32(0xff, (__m512d)x));
#else
    _mm_storeu_si128((__m128i *)(void *)out, _mm256_cvttpd_epi32((__m256d)x));
#endif
}

/* As spki_qlog, for normal numbers. */
SPKI_HELP SPKI_R SPKI_F(spki_draw_log)(SPKI_R x)
{
    SPKI_NO_CONTRACT
    static const double odd[11] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                   1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
    const SPKI_R zero = {0}, magic = zero + 6755399441055744.0;
    const SPKI_I bits = SPKI_F(spki_bits_of)(x);
    SPKI_R m = SPKI_F(spki_real_of)((bits & INT64_C(0x000fffffffffffff)) |
                                    INT64_C(0x3ff0000000000000));
    const SPKI_M large = m > zero + 1.4142135623730951;
    SPKI_R sum = zero;
    m = SPKI_F(spki_select)(large, m * (zero + 0.5), m);
    /* lanes of a mask are -1 */
    const SPKI_R e =
        SPKI_F(spki_real_of)((bits >> 52) - 1023 - large + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - (zero + 1.0)) / (m + (zero + 1.0)), s2 = s * s, twice = (zero + 2.0) * s;
    for (int i = 0; i < 11; i++) {
        sum = (sum + (zero + odd[i])) * s2;
    }
    return e * (zero + SPKI_LN2_HIGH) + (twice + (twice * sum + e * (zero + SPKI_LN2_LOW)));
}

SPKI_HELP SPKI_R SPKI_F(spki_draw_poly7)(const double c[8], SPKI_R x)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_R sum = zero + c[7];
    for (int i = 6; i >= 0; i--) {
        sum = sum * x + (zero + c[i]);
    }
    return sum;
}

/* As spki_quantile_at for SPKI_LANES words of the tails of a normal distribution. False: a lane is
   not where AS241 has its middle polynomials. */
SPKI_HELP bool SPKI_F(spki_draw_tail)(const spki_quantile *q, const uint32_t *word, SPKI_R *out)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, one = zero + 1.0, all = zero + (1.0 - 1.1102230246251565e-16);
    SPKI_R u = zero;
#if SPKI_LANES == 8
    u = (SPKI_R)_mm512_maskz_cvtepu32_pd(
        0xff, _mm256_loadu_si256((const __m256i *)(const void *)word));
#else
    const __m128i flipped = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)word),
                                          _mm_set1_epi32(INT32_MIN));
    u = (SPKI_R)_mm256_cvtepi32_pd(flipped) + (zero + 2147483648.0);
#endif
    u = (u + (zero + 0.5)) * (zero + 1.0 / 4294967296.0);
    if (q->sign < 0.0) {
        u = one - u;
    }
    const SPKI_R p = SPKI_F(spki_min)((zero + q->p0) + (zero + q->width) * u, all);
    const SPKI_R d = p - (zero + 0.5);
    const SPKI_R t = SPKI_F(spki_select)(d < zero, p, one - p);
    const SPKI_R r = SPKI_F(spki_sqrt)(-SPKI_F(spki_draw_log)(t));
    if (SPKI_F(spki_any)((SPKI_F(spki_abs)(d) <= zero + 0.425) | (r > zero + 5.0))) {
        return false;
    }
    SPKI_R z = SPKI_F(spki_draw_poly7)(spki_as241_c, r - (zero + 1.6)) /
               SPKI_F(spki_draw_poly7)(spki_as241_d, r - (zero + 1.6));
    z = (zero + q->sign) * SPKI_F(spki_select)(d < zero, -z, z);
    const SPKI_R x = (zero + q->a) + (zero + q->b) * z;
    *out = SPKI_F(spki_select)(x < zero + q->lo, zero + q->lo,
                               SPKI_F(spki_select)(x > zero + q->hi, zero + q->hi, x));
    return true;
}

/* table[i] and table[i + 1] for the top 12 bits of four words. Loads and shuffles: where gathering
   is made safe against speculation it takes twice as long. */
SPKI_HELP void SPKI_F(spki_draw_pairs)(const double *table, const uint32_t *word, __m256d *q0,
                                       __m256d *q1)
{
    const __m256d a =
        _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(table + (word[0] >> 20))),
                             _mm_loadu_pd(table + (word[2] >> 20)), 1);
    const __m256d b =
        _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(table + (word[1] >> 20))),
                             _mm_loadu_pd(table + (word[3] >> 20)), 1);
    *q0 = _mm256_unpacklo_pd(a, b);
    *q1 = _mm256_unpackhi_pd(a, b);
}

/* Weights in quanta: interpolated quantiles, and those of the tails evaluated. */
SPKI_TARGET static void SPKI_F(spki_draw_table)(const spki_draw_weights *d, const uint32_t *word,
                                                uint32_t n, int32_t *out)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    uint32_t place[SPKI_DRAW_MOST], rest[SPKI_DRAW_MOST + SPKI_LANES], tails = 0, k;
    for (k = 0; k < n; k += SPKI_LANES) {
        SPKI_R low, q0, q1;
        uint32_t outer;
#if SPKI_LANES == 8
        const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(word + k));
        const __m256i i = _mm256_srli_epi32(w, 20);
        low = (SPKI_R)_mm512_maskz_cvtepi32_pd(
            0xff, _mm256_and_si256(w, _mm256_set1_epi32(0xfffff)));
        __m256d a0, a1, b0, b1;
        SPKI_F(spki_draw_pairs)(d->table, word + k, &a0, &a1);
        SPKI_F(spki_draw_pairs)(d->table, word + k + 4, &b0, &b1);
        q0 = (SPKI_R)_mm512_maskz_insertf64x4(0xff, _mm512_castpd256_pd512(a0), b0, 1);
        q1 = (SPKI_R)_mm512_maskz_insertf64x4(0xff, _mm512_castpd256_pd512(a1), b1, 1);
        outer = _mm256_cmpge_epu32_mask(
            _mm256_sub_epi32(i, _mm256_set1_epi32((int32_t)d->tail)),
            _mm256_set1_epi32((int32_t)(4096u - 2 * d->tail)));
#else
        const __m128i w = _mm_loadu_si128((const __m128i *)(const void *)(word + k));
        const __m128i i = _mm_srli_epi32(w, 20);
        __m256d a0, a1;
        SPKI_F(spki_draw_pairs)(d->table, word + k, &a0, &a1);
        low = (SPKI_R)_mm256_cvtepi32_pd(_mm_and_si128(w, _mm_set1_epi32(0xfffff)));
        q0 = (SPKI_R)a0;
        q1 = (SPKI_R)a1;
        outer = (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(_mm_or_si128(
            _mm_cmplt_epi32(i, _mm_set1_epi32((int32_t)d->tail)),
            _mm_cmpgt_epi32(i, _mm_set1_epi32((int32_t)(4095u - d->tail))))));
#endif
        const SPKI_R x =
            q0 + (q1 - q0) * ((low + (zero + 0.5)) * (zero + 1.0 / 1048576.0));
        SPKI_F(spki_draw_store)(x, d->per_quantum, d->most, out + k);
        for (; outer; outer &= outer - 1) {
            place[tails] = k + (uint32_t)__builtin_ctz(outer);
            rest[tails] = word[place[tails]];
            tails++;
        }
    }
    for (k = tails; k < tails + SPKI_LANES; k++) {
        rest[k] = 0;
    }
    for (k = 0; k < tails; k += SPKI_LANES) {
        const uint32_t have = SPKI_MIN(tails - k, SPKI_LANES);
        int32_t value[SPKI_LANES];
        SPKI_R x;
        if (d->quantile->kind == SPK_VALUE_NORMAL &&
            SPKI_F(spki_draw_tail)(d->quantile, rest + k, &x)) {
            SPKI_F(spki_draw_store)(x, d->per_quantum, d->most, value);
        } else {
            for (uint32_t j = 0; j < have; j++) {
                value[j] = spki_draw_tail_quanta(d, rest[k + j]);
            }
        }
        for (uint32_t j = 0; j < have; j++) {
            if (place[k + j] < n) {
                out[place[k + j]] = value[j];
            }
        }
    }
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_HELP
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
