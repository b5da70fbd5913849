/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#ifdef SPKI_ON_DEVICE /* where this text is a part of the kernels' */
#define SPKI_MATH SPKI_DEVICE
#else
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#endif
#ifndef SPKI_C
#define SPKI_C(x) (zero + (SPKI_E)(x))
#endif
#if SPKI_LANES > 1 && !defined(SPKI_ON_DEVICE)
#define SPKI_X86_VECTOR SPKI_HAVE_SSE2
#else
#define SPKI_X86_VECTOR 0
#endif
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

#ifdef SPKI_ON_DEVICE
SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    return SPKI_AS_INT(x);
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    return SPKI_AS_REAL(i);
}
#else
SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}
#endif

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    const SPKI_M on = c != 0; /* nothing but what lets GCC make one blend of the next line */
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(a) & on) | (SPKI_F(spki_bits_of)(b) & ~on));
#endif
}

#ifdef SPKI_ON_DEVICE
SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_ANY(c);
}
#else
/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}
#endif

/* b where a lane is no number or both are zeros, which is what x86 does. */
SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
#if SPKI_X86_VECTOR && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8
    return (SPKI_R)_mm256_min_ps((__m256)a, (__m256)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4
    return (SPKI_R)_mm_min_ps((__m128)a, (__m128)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 2
    return (SPKI_R)_mm_min_pd((__m128d)a, (__m128d)b);
#else
    return SPKI_F(spki_select)(a < b, a, b);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
#if SPKI_X86_VECTOR && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8
    return (SPKI_R)_mm256_max_ps((__m256)a, (__m256)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4
    return (SPKI_R)_mm_max_ps((__m128)a, (__m128)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 2
    return (SPKI_R)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    return SPKI_F(spki_select)(a > b, a, b);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = SPKI_NIL(SPKI_I);
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* x 2^n, n whole, where x and the result are normal; n as a real plus 1.5 2^52 (float: 1.5 2^23),
   whose low bits then hold n. */
SPKI_MATH SPKI_R SPKI_F(spki_scale)(SPKI_R x, SPKI_R n)
{
    const int shift = SPKI_IS_DOUBLE ? 52 : 23;
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    const uint64_t up = (uint64_t)SPKI_F(spki_bits_of)(n) << shift;
    return SPKI_F(spki_real_of)((SPKI_I)((uint64_t)SPKI_F(spki_bits_of)(x) + up));
#elif SPKI_LANES == 1
    const uint32_t up = (uint32_t)SPKI_F(spki_bits_of)(n) << shift;
    return SPKI_F(spki_real_of)((SPKI_I)((uint32_t)SPKI_F(spki_bits_of)(x) + up));
#else
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) + (SPKI_F(spki_bits_of)(n) << shift));
#endif
}

/* x - n c where n c is exact, so that one rounding is what two are. */
SPKI_MATH SPKI_R SPKI_F(spki_less)(SPKI_R x, SPKI_R n, SPKI_R c)
{
#if SPKI_X86_VECTOR && SPKI_LANES == 16
    return (SPKI_R)_mm512_fnmadd_ps((__m512)n, (__m512)c, (__m512)x);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_fnmadd_pd((__m512d)n, (__m512d)c, (__m512d)x);
#else
    return x - n * c;
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 2^52 */
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R up = x * SPKI_C(1.4426950408889634) + magic, n = up - magic;
    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.6931471804855391))
                     - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 2^23 */
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R up = x * SPKI_C(1.44269504) + magic, n = up - magic;
    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.693115234375))
                     - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return SPKI_F(spki_scale)((p * r) * r + r + SPKI_C(1.0), up);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#ifndef SPKI_ON_DEVICE
    if (!SPKI_F(spki_any)(small)) {
        return (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / x;
    }
#endif
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT middle = (SPKI_INT)0x3fe6a09e667f3bcd, mant = (SPKI_INT)0x000fffffffffffff;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT middle = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - middle, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + middle);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    x = SPKI_F(spki_max)(x, zero);
#if defined(SPKI_ON_DEVICE)
    return SPKI_ROOT(x);
#elif SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if defined(SPKI_ON_DEVICE) && SPKI_LANES > 1
/* A device stores 16 bits from scalar text. */
#elif !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = SPKI_NIL(SPKI_I);
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_I none = SPKI_NIL(SPKI_I);
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

/* What a model calls, where it is a template. */
#if defined(__cplusplus) && (!defined(SPKI_ON_DEVICE) || defined(SPKI_CODE))
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE || defined(SPKI_CODE)
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
#endif
#ifndef SPKI_CODE
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#ifndef SPKI_ON_DEVICE
#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_X86_VECTOR
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#endif
