/* ---- >>quantile: distributions as tables and inverse functions, without libm ---- */
#ifndef SPIKELIB_NET_QUANTILE_H
#define SPIKELIB_NET_QUANTILE_H

#include "../api/net.h"
#include "../core/alloc.h"
#include "../core/base.h"

/* Everything here is + - * / and correctly rounded square roots of doubles, so that every platform
   draws the same network. */

/* ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact. */
#define SPKI_LN2_HIGH 0.69314718036912381649
#define SPKI_LN2_LOW 1.9082149292705877e-10

/* Natural logarithm of a positive finite number, to about 1 ulp: 2 atanh((m - 1) / (m + 1)). */
SPKI_FN double spki_qlog(double x)
{
    static const double odd[11] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                   1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
    uint64_t bits;
    int exponent = 0, i;
    double m, s, s2, sum = 0.0;
    if (x < 2.2250738585072014e-308) { /* subnormal */
        x *= 18014398509481984.0;
        exponent = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    exponent += (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000);
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    s = (m - 1.0) / (m + 1.0);
    s2 = s * s;
    for (i = 0; i < 11; i++) sum = (sum + odd[i]) * s2;
    return (double)exponent * SPKI_LN2_HIGH +
           (2.0 * s + (2.0 * s * sum + (double)exponent * SPKI_LN2_LOW));
}

/* 2^n for n within the exponents of normal numbers. */
SPKI_FN double spki_qpow2(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^x, to about 1 ulp: infinite above 709.78, 0 below -745. */
SPKI_FN double spki_qexp(double x)
{
    static const double factorial[14] = {
        1.0 / 87178291200.0, 1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0,
        1.0 / 3628800.0,     1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,
        1.0 / 720.0,         1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,
        1.0 / 2.0,           1.0};
    double k, r, sum = 0.0;
    int i, n;
    if (x != x) return x;
    if (x > 709.782712893384) return __builtin_inf();
    if (x < -745.2) return 0.0;
    k = (x * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0;
    r = (x - k * SPKI_LN2_HIGH) - k * SPKI_LN2_LOW;
    for (i = 0; i < 14; i++) sum = (sum + factorial[i]) * r;
    sum += 1.0;
    n = (int)k / 2;
    return sum * spki_qpow2(n) * spki_qpow2((int)k - n);
}

/* Probability that a standard normal variable exceeds x >= 0. Below 3 the series phi(x) (x + x^3/3
   + x^5/(3*5) + ...), all of one sign; above it Laplace's continued fraction.
   Source: Abramowitz and Stegun (1964), 26.2.11 and 26.2.14. */
SPKI_FN double spki_normal_tail(double x)
{
    double density, sum, term;
    int i;
    if (x > 38.5) return 0.0;
    density = spki_qexp(-0.5 * x * x) * 0.39894228040143267794;
    if (x >= 3.0) {
        sum = x;
        for (i = 120; i >= 1; i--) sum = x + (double)i / sum;
        return density / sum;
    }
    sum = term = x;
    for (i = 3; term > 1e-18 * sum; i += 2) {
        term *= x * x / (double)i;
        sum += term;
    }
    return 0.5 - density * sum;
}

/* Probability of [z0, z1) under the standard normal distribution, both ends seen from the nearer
   tail so that small probabilities keep their digits. */
SPKI_FN double spki_normal_mass(double z0, double z1)
{
    if (!(z0 < z1)) return 0.0;
    if (z0 > 0.0) return spki_normal_tail(z0) - spki_normal_tail(z1);
    if (z1 < 0.0) return spki_normal_tail(-z1) - spki_normal_tail(-z0);
    return 1.0 - spki_normal_tail(-z0) - spki_normal_tail(z1);
}

SPKI_FN double spki_poly7(const double c[8], double x)
{
    double sum = c[7];
    int i;
    for (i = 6; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

/* Of AS241, below: where the nearer tail is between e^-25 and 0.075. */
static const double spki_as241_c[8] = {1.42343711074968357734e0, 4.63033784615654529590e0,
                            5.76949722146069140550e0, 3.64784832476320460504e0,
                            1.27045825245236838258e0, 2.41780725177450611770e-1,
                            2.27238449892691845833e-2, 7.74545014278341407640e-4};
static const double spki_as241_d[8] = {1.0,                       2.05319162663775882187e0,
                            1.67638483018380384940e0,  6.89767334985100004550e-1,
                            1.48103976427480074590e-1, 1.51986665636164571966e-2,
                            5.47593808499534494600e-4, 1.05075007164441684324e-9};

/* Standard normal quantile of p in (0, 1), to about 1e-16 relative.
   Source: Wichura, Applied Statistics 37:477 (1988), algorithm AS241, PPND16. */
SPKI_FN double spki_normal_quantile(double p)
{
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e2,
                                1.9715909503065514427e3,  1.3731693765509461125e4,
                                4.5921953931549871457e4,  6.7265770927008700853e4,
                                3.3430575583588128105e4,  2.5090809287301226727e3};
    static const double b[8] = {1.0,                      4.2313330701600911252e1,
                                6.8718700749205790830e2,  5.3941960214247511077e3,
                                2.1213794301586595867e4,  3.9307895800092710610e4,
                                2.8729085735721942674e4,  5.2264952788528545610e3};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {1.0,                       5.99832206555887937690e-1,
                                1.36929880922735805310e-1, 1.48753612908506148525e-2,
                                7.86869131145613259100e-4, 1.84631831751005468180e-5,
                                1.42151175831644588870e-7, 2.04426310338993978564e-15};
    double q = p - 0.5, r, z;
    if (q >= -0.425 && q <= 0.425) {
        r = 0.180625 - q * q;
        return q * spki_poly7(a, r) / spki_poly7(b, r);
    }
    r = __builtin_sqrt(-spki_qlog(q < 0.0 ? p : 1.0 - p));
    if (r <= 5.0) z = spki_poly7(spki_as241_c, r - 1.6) / spki_poly7(spki_as241_d, r - 1.6);
    else z = spki_poly7(e, r - 5.0) / spki_poly7(f, r - 5.0);
    return q < 0.0 ? -z : z;
}

/* -- a continuous distribution as a function of a uniform number -- */

typedef struct spki_quantile {
    spk_value_kind kind;  /* SPK_VALUE_UNIFORM, _NORMAL or _LOGNORMAL */
    double a, b, lo, hi;  /* as in spk_value; lo and hi also bound the results */
    double p0, width;     /* the stretch of probabilities that is drawn from */
    double sign;          /* -1: mirrored, so that p is small where only the upper tail is left */
} spki_quantile;

/* Returns the share of the distribution that the bounds leave. Spreads must be positive. */
SPKI_FN double spki_quantile_init(spki_quantile *q, const spk_value *v)
{
    double z0, z1, swap;
    memset(q, 0, sizeof *q);
    q->kind = v->kind;
    q->a = v->a;
    q->b = v->b;
    q->lo = -__builtin_inf();
    q->hi = __builtin_inf();
    q->width = 1.0;
    q->sign = 1.0;
    if (v->kind != SPK_VALUE_NORMAL) return 1.0;
    q->lo = v->lo;
    q->hi = v->hi;
    z0 = (v->lo - v->a) / v->b;
    z1 = (v->hi - v->a) / v->b;
    if (z0 > 0.0) {
        q->sign = -1.0;
        swap = z0;
        z0 = -z1;
        z1 = -swap;
    }
    q->p0 = spki_normal_mass(-__builtin_inf(), z0);
    q->width = spki_normal_mass(z0, z1);
    return q->width;
}

/* Value below which a share u in (0, 1) of the distribution lies. */
SPKI_FN double spki_quantile_at(const spki_quantile *q, double u)
{
    const double most = 1.0 - 1.1102230246251565e-16;
    double p, z, x;
    if (q->kind == SPK_VALUE_UNIFORM) {
        x = q->a + (q->b - q->a) * u;
        return x < q->b ? x : q->a; /* rounding may reach the open end */
    }
    if (q->sign < 0.0) u = 1.0 - u;
    p = q->p0 + q->width * u; /* rounding may reach 1 */
    z = q->sign * spki_normal_quantile(p < most ? p : most);
    x = q->a + q->b * z;
    if (q->kind == SPK_VALUE_LOGNORMAL) return spki_qexp(x);
    return x < q->lo ? q->lo : x > q->hi ? q->hi : x;
}

/* Probability of [x0, x1) before any bounds on the result, those of a clipped normal included. */
SPKI_FN double spki_value_mass(const spk_value *v, double x0, double x1)
{
    double inf = __builtin_inf();
    if (v->kind == SPK_VALUE_UNIFORM) {
        x0 = SPKI_MAX(x0, v->a);
        x1 = SPKI_MIN(x1, v->b);
        return x0 < x1 ? (x1 - x0) / (v->b - v->a) : 0.0;
    }
    if (v->kind == SPK_VALUE_LOGNORMAL) {
        double z0 = x0 > 0.0 ? (spki_qlog(x0) - v->a) / v->b : -inf;
        double z1 = x1 > 0.0 ? (spki_qlog(x1) - v->a) / v->b : -inf;
        return spki_normal_mass(z0, z1);
    }
    x0 = SPKI_MAX(x0, v->lo);
    x1 = SPKI_MIN(x1, v->hi);
    return spki_normal_mass((x0 - v->a) / v->b, (x1 - v->a) / v->b);
}

/* -- a discrete distribution as integer thresholds: one random word a draw -- */

/* Delay steps. Word w means step first + i for the smallest i with w <= upto[i]; a guide entry for
   the top 12 bits says where to begin looking. */
typedef struct spki_steps {
    uint32_t first, count;
    const uint32_t *upto;
    const uint16_t *guide; /* 4,096 */
} spki_steps;

SPKI_INLINE uint32_t spki_steps_draw(const spki_steps *s, uint32_t word)
{
    uint32_t i = s->guide[word >> 20];
    while (word > s->upto[i]) i++;
    return s->first + i;
}

/* Fills `upto` (room for last - first + 1) and `guide` (4,096) with the probabilities that a
   value, in units of a step, rounds to first .. last, given that it does. Returns the share of the
   distribution that does so; 0: nothing was filled. */
SPKI_FN double spki_steps_build(spki_steps *s, const spk_value *v, double dt, uint32_t first,
                                uint32_t last, uint32_t *upto, uint16_t *guide)
{
    double all = 0.0, sum = 0.0;
    uint32_t k, i = 0, cell;
    for (k = first; k <= last; k++)
        all += spki_value_mass(v, ((double)k - 0.5) * dt, ((double)k + 0.5) * dt);
    if (!(all > 0.0)) return 0.0;
    s->first = first;
    s->count = 0;
    for (k = first; k <= last; k++) {
        double share;
        sum += spki_value_mass(v, ((double)k - 0.5) * dt, ((double)k + 0.5) * dt);
        share = sum / all * 4294967296.0 + 0.5;
        if (share < 1.0 && s->count == 0) {
            s->first = k + 1; /* nothing to draw yet */
            continue;
        }
        upto[s->count++] = share >= 4294967296.0 ? UINT32_MAX : (uint32_t)share - 1u;
    }
    if (s->count == 0) return 0.0;
    upto[s->count - 1] = UINT32_MAX;
    for (cell = 0; cell < 4096; cell++) {
        while ((cell << 20) > upto[i]) i++;
        guide[cell] = (uint16_t)i;
    }
    s->upto = upto;
    s->guide = guide;
    return all;
}

/* Binomial counts out of n for a fixed n and p, from 64 random bits each. */
typedef struct spki_counts {
    uint32_t n, first, count;
    uint64_t *upto;      /* n + 1 allocated */
    uint16_t guide[256]; /* where the search begins, by the top 8 bits */
} spki_counts;

SPKI_INLINE uint32_t spki_counts_draw(const spki_counts *c, uint64_t word)
{
    uint32_t i = c->guide[word >> 56];
    while (word > c->upto[i]) i++;
    return c->first + i;
}

/* The probabilities come from the mode by the ratio of neighbours; what is below 1e-25 of the mode
   is left out (64 bits do not reach it). */
SPKI_FN bool spki_counts_build(spki_counts *c, spki_mem *mem, uint32_t n, double p)
{
    double odds = p / (1.0 - p), low = 1.0, term, all = 0.0, sum = 0.0, share;
    uint32_t k, i = 0, mode = (uint32_t)SPKI_MIN(((double)n + 1.0) * p, (double)n), cell;
    memset(c, 0, sizeof *c);
    c->n = n;
    c->upto = (uint64_t *)spki_alloc(mem, (size_t)n + 1, sizeof *c->upto);
    if (!c->upto) return false;
    if (!(p > 0.0) || !(p < 1.0)) {
        c->first = p > 0.0 ? n : 0u;
        c->count = 1;
        c->upto[0] = UINT64_MAX;
        return true;
    }
    for (k = mode; k > 0 && low > 1e-25; k--) low *= (double)k / ((double)(n - k + 1) * odds);
    c->first = k;
    for (term = low; k <= n && (k <= mode || term > 1e-25); k++) {
        all += term;
        term *= (double)(n - k) / (double)(k + 1) * odds;
    }
    for (k = c->first, term = low; c->count == 0 || (k <= n && (k <= mode || term > 1e-25)); k++) {
        sum += term;
        term *= (double)(n - k) / (double)(k + 1) * odds;
        share = sum / all * 18446744073709551616.0;
        c->upto[c->count++] = share >= 18446744073709549568.0 ? UINT64_MAX : (uint64_t)share;
    }
    c->upto[c->count - 1] = UINT64_MAX;
    for (cell = 0; cell < 256; cell++) {
        while (((uint64_t)cell << 56) > c->upto[i]) i++;
        c->guide[cell] = (uint16_t)i;
    }
    return true;
}

SPKI_FN void spki_counts_free(spki_counts *c, spki_mem *mem)
{
    spki_free(mem, c->upto, (size_t)c->n + 1, sizeof *c->upto);
    c->upto = NULL;
}

#endif
