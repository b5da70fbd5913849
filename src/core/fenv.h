/* ---- >>arithmetic: is this the floating point that the digests assume? ---- */
#ifndef SPIKELIB_CORE_FENV_H
#define SPIKELIB_CORE_FENV_H

#include "base.h"

/* No macro shows the rounding mode, contraction or what a flag such as -freciprocal-math did to
   this very translation unit, so a network being built computes cases whose results differ.
   Values pass through volatile to keep the compiler from knowing them. Subnormals are not
   tested: models do not depend on them. */

SPKI_FN bool spki_bits_are(double x, uint64_t bits)
{
    uint64_t seen;
    memcpy(&seen, &x, sizeof seen);
    return seen == bits;
}

SPKI_FN bool spki_bits_are_f(float x, uint32_t bits)
{
    uint32_t seen;
    memcpy(&seen, &x, sizeof seen);
    return seen == bits;
}

/* 1 + tiny excludes rounding up, 1 - tiny down and to zero, -1 - tiny down; the two ties have the
   even neighbour below and above. */
SPKI_FN bool spki_rounds_to_nearest(void)
{
    volatile double one = 1.0, tiny = 1.0 / 1152921504606846976.0; /* 2^-60 */
    volatile double half = 1.0 / 9007199254740992.0;               /* 2^-53 */
    volatile double odd = 1.0 + 1.0 / 4503599627370496.0;          /* 1 + 2^-52 */
    bool ok = one + tiny == one && one - tiny == one && -one - tiny == -one;
    return ok && one + half == one && spki_bits_are(odd + half, UINT64_C(0x3FF0000000000002));
}

SPKI_FN bool spki_rounds_to_nearest_f(void)
{
    volatile float one = 1.0f, tiny = 1.0f / 1073741824.0f; /* 2^-30 */
    volatile float half = 1.0f / 16777216.0f;               /* 2^-24 */
    volatile float odd = 1.0f + 1.0f / 8388608.0f;          /* 1 + 2^-23 */
    bool ok = one + tiny == one && one - tiny == one && -one - tiny == -one;
    return ok && one + half == one && spki_bits_are_f(odd + half, UINT32_C(0x3F800002));
}

/* The results below go into volatile variables too: straight code, since a compiler does not
   combine operations across branches. */

/* (1 + e)^2 - (1 + 2 e) is 0 after two roundings and e^2 after one. */
SPKI_FN bool spki_contracts(void)
{
    volatile double a = 1.0 + 1.0 / 134217728.0, b = 1.0 + 1.0 / 67108864.0, x, y; /* e = 2^-27 */
    x = a * a - b;
    y = b - a * a;
    return x != 0.0 || y != 0.0;
}

SPKI_FN bool spki_contracts_f(void)
{
    volatile float a = 1.0f + 1.0f / 4096.0f, b = 1.0f + 1.0f / 2048.0f, x, y; /* e = 2^-12 */
    x = a * a - b;
    y = b - a * a;
    return x != 0.0f || y != 0.0f;
}

/* (1 + tiny) - 1 is 0, unless the compiler cancels the ones as in algebra. */
SPKI_FN bool spki_reorders(void)
{
    volatile double v_one = 1.0, v_tiny = 1.0 / 1152921504606846976.0, x;
    volatile float v_onef = 1.0f, v_tinyf = 1.0f / 1073741824.0f, y;
    double one = v_one, tiny = v_tiny;
    float onef = v_onef, tinyf = v_tinyf;
    x = (one + tiny) - one;
    y = (onef + tinyf) - onef;
    return x != 0.0 || y != 0.0f;
}

/* 5 / 3 differs from 5 * (1 / 3) in both precisions; several quotients with one divisor tempt a
   compiler that may use the reciprocal. */
SPKI_FN bool spki_divides(void)
{
    volatile double v1 = 1.0, v3 = 3.0, v5 = 5.0, x, y, z;
    double d = v3;
    x = v1 / d;
    y = v5 / d;
    z = v3 / d;
    return spki_bits_are(x, UINT64_C(0x3FD5555555555555)) &&
           spki_bits_are(y, UINT64_C(0x3FFAAAAAAAAAAAAB)) && z == 1.0;
}

SPKI_FN bool spki_divides_f(void)
{
    volatile float v1 = 1.0f, v3 = 3.0f, v5 = 5.0f, x, y, z;
    float d = v3;
    x = v1 / d;
    y = v5 / d;
    z = v3 / d;
    return spki_bits_are_f(x, UINT32_C(0x3EAAAAAB)) && spki_bits_are_f(y, UINT32_C(0x3FD55555)) &&
           z == 1.0f;
}

SPKI_FN bool spki_takes_roots(void)
{
    volatile double v2 = 2.0, v3 = 3.0, v7 = 7.0;
    return spki_bits_are(__builtin_sqrt(v2), UINT64_C(0x3FF6A09E667F3BCD)) &&
           spki_bits_are(__builtin_sqrt(v3), UINT64_C(0x3FFBB67AE8584CAA)) &&
           spki_bits_are(__builtin_sqrt(v7), UINT64_C(0x40052A7FA9D2F8EA));
}

/* NULL, or what is wrong with the arithmetic of the calling thread and of this build.
   Thread: any; the rounding mode belongs to the calling thread. */
SPKI_FN const char *spki_arithmetic_check(void)
{
    if (!spki_rounds_to_nearest() || !spki_rounds_to_nearest_f())
        return "the rounding mode of this thread is not to nearest (call "
               "fesetround(FE_TONEAREST)), "
               "or -fsingle-precision-constant is on";
    if (spki_contracts() || spki_contracts_f())
        return "a * b + c is rounded once, not twice: compile with -ffp-contract=off";
    if (spki_reorders())
        return "the compiler reorders additions: compile without -fassociative-math";
    if (!spki_divides() || !spki_divides_f())
        return "division is not correctly rounded: compile without -freciprocal-math, -mrecip";
    if (!spki_takes_roots()) return "square roots are not correctly rounded";
    return NULL;
}

#endif
