/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_U SPKI_CAT(spki_u32x, SPKI_LANES)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#else
#define SPKI_WORD int32_t
#define SPKI_U uint32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#endif

/* Counts in `hits` the lanes where u >= t; whether there are any. */
#if SPKI_LANES == 1
#define SPKI_COUNT_REACHED(hits, u, t) (hits += u >= t, u >= t)
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
#define SPKI_COUNT_REACHED(hits, u, t) spki_count_reached_f16(&hits, u, t)
SPKI_TARGET SPKI_INLINE bool spki_count_reached_f16(SPKI_WORD *hits, SPKI_WORD u, SPKI_WORD t)
{
    const __mmask16 reached = _mm512_cmpge_epi32_mask((__m512i)u, (__m512i)t);
    *hits = (SPKI_WORD)_mm512_mask_add_epi32((__m512i)*hits, reached, (__m512i)*hits,
                                             _mm512_set1_epi32(1));
    return reached != 0;
}
#else
#define SPKI_COUNT_REACHED(hits, u, t) SPKI_F(spki_count_reached)(&hits, u, t)
SPKI_TARGET SPKI_INLINE bool SPKI_F(spki_count_reached)(SPKI_WORD *hits, SPKI_WORD u, SPKI_WORD t)
{
    const SPKI_WORD reached = u >= t; /* lanes are 0 or -1 */
    *hits -= reached;
    return SPKI_ANY_WORD(reached) != 0;
}
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* *to = x, or *to += x. */
SPKI_TARGET SPKI_INLINE void SPKI_F(spki_put)(SPKI_E *to, SPKI_R x, bool add)
{
    SPKI_NO_CONTRACT
    SPKI_R y;
    if (add) {
        memcpy(&y, to, sizeof y);
        x = y + x;
    }
    memcpy(to, &x, sizeof x);
}

/* x = (base + the number of thresholds that the word reaches) * weight; out = x, or out += x, for
   four vectors `stride` apart. Words are compared as unsigned numbers; `threshold` holds them with
   the top bit flipped. The first `common` thresholds are compared by all, without a branch; the
   rest while any lane still reaches them. */
SPKI_TARGET SPKI_INLINE void SPKI_F(spki_poisson_four)(SPKI_WORD u[4], SPKI_E *to, uint32_t stride,
                                                       const spki_poisson_table *table,
                                                       SPKI_R weight, bool add)
{
    SPKI_NO_CONTRACT
    const uint32_t count = table->count, common = table->common;
    const int32_t *threshold = table->threshold;
    const SPKI_WORD none = {0}, base = none + (int32_t)table->base;
    const SPKI_WORD u0 = u[0] ^ INT32_MIN, u1 = u[1] ^ INT32_MIN, u2 = u[2] ^ INT32_MIN,
                    u3 = u[3] ^ INT32_MIN;
    SPKI_WORD h0 = base, h1 = base, h2 = base, h3 = base;
    uint32_t k = 0;
    for (; k < common; k++) {
        const SPKI_WORD t = none + threshold[k];
        (void)SPKI_COUNT_REACHED(h0, u0, t);
        (void)SPKI_COUNT_REACHED(h1, u1, t);
        (void)SPKI_COUNT_REACHED(h2, u2, t);
        (void)SPKI_COUNT_REACHED(h3, u3, t);
    }
    for (bool more = true; more && k < count; k++) {
        const SPKI_WORD t = none + threshold[k];
        const bool m0 = SPKI_COUNT_REACHED(h0, u0, t), m1 = SPKI_COUNT_REACHED(h1, u1, t);
        const bool m2 = SPKI_COUNT_REACHED(h2, u2, t), m3 = SPKI_COUNT_REACHED(h3, u3, t);
        more = m0 | m1 | m2 | m3;
    }
    SPKI_F(spki_put)(to, SPKI_TO_REAL(h0) * weight, add);
    SPKI_F(spki_put)(to + stride, SPKI_TO_REAL(h1) * weight, add);
    SPKI_F(spki_put)(to + 2 * stride, SPKI_TO_REAL(h2) * weight, add);
    SPKI_F(spki_put)(to + 3 * stride, SPKI_TO_REAL(h3) * weight, add);
}

/* For n neurons, whose words stay in registers where vectors of words have as many lanes. */
SPKI_LOOP void SPKI_F(spki_poisson)(const spki_word_address *a, void *out, size_t n,
                                    const spki_poisson_table *table, double weight, bool add)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    SPKI_E *to = (SPKI_E *)out;
#if SPKI_IS_DOUBLE
    spki_word_address at = *a;
    for (size_t k = 0; k < n; k += 64) {
        uint32_t word[64];
        at.group = a->group + (uint32_t)(k / 64);
        SPKI_WORDS(word, 1, &at);
        for (uint32_t l = 0; l < 64; l += 4 * SPKI_LANES) {
            SPKI_WORD u[4];
            memcpy(u, word + l, sizeof u);
            SPKI_F(spki_poisson_four)(u, to + k + l, SPKI_LANES, table, w, add);
        }
    }
#else
    for (size_t k = 0; k < n; k += 64) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            SPKI_U x[4];
            SPKI_WORD u[4];
            SPKI_CAT(spki_rounds_, SPKI_LANES)
            (SPKI_CAT(spki_count_up_, SPKI_LANES)(a->group * 16u + (uint32_t)(k / 4) + l), a->c1,
             a->c2, a->c3, a->key, x);
            memcpy(u, x, sizeof u);
            SPKI_F(spki_poisson_four)(u, to + k + l, 16, table, w, add);
        }
    }
#endif
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_WORDS
#undef SPKI_U
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
