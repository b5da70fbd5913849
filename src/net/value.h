/* ---- >>values: constants, arrays, distributions and functions ---- */
#ifndef SPIKELIB_NET_VALUE_H
#define SPIKELIB_NET_VALUE_H

#include "../core/philox.h"
#include "quantile.h"

#include <stdarg.h>

SPKI_FN spk_value spki_value_make(spk_value_kind kind, double a, double b)
{
    spk_value v;
    memset(&v, 0, sizeof v);
    v.kind = kind;
    v.a = a;
    v.b = b;
    v.lo = -__builtin_inf();
    v.hi = __builtin_inf();
    return v;
}

SPIKELIB_API spk_value spk_constant(double value)
{
    return spki_value_make(SPK_VALUE_CONSTANT, value, 0.0);
}

SPIKELIB_API spk_value spk_uniform(double low, double high)
{
    return spki_value_make(SPK_VALUE_UNIFORM, low, high);
}

SPIKELIB_API spk_value spk_normal(double mean, double sd)
{
    return spki_value_make(SPK_VALUE_NORMAL, mean, sd);
}

SPIKELIB_API spk_value spk_normal_clipped(double mean, double sd, double low, double high)
{
    spk_value v = spki_value_make(SPK_VALUE_NORMAL, mean, sd);
    v.lo = low;
    v.hi = high;
    return v;
}

SPIKELIB_API spk_value spk_lognormal(double mu, double sigma)
{
    return spki_value_make(SPK_VALUE_LOGNORMAL, mu, sigma);
}

SPIKELIB_API spk_value spk_array(const double *values, size_t count)
{
    spk_value v = spki_value_make(SPK_VALUE_ARRAY, 0.0, 0.0);
    v.array = values;
    v.count = count;
    return v;
}

SPIKELIB_API spk_value spk_function(spk_value_fn fn, void *ctx)
{
    spk_value v = spki_value_make(SPK_VALUE_FUNCTION, 0.0, 0.0);
    v.fn = fn;
    v.ctx = ctx;
    return v;
}

/* Writes a reason and hands the result through. `why` may be NULL. */
__attribute__((format(printf, 4, 5))) SPKI_FN spk_result
spki_because(spk_result result, char *why, size_t why_size, const char *format, ...)
{
    va_list args;
    if (!why || !why_size) return result;
    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
    return result;
}

SPKI_FN bool spki_finite(double x)
{
    return x - x == 0.0;
}

SPKI_FN const char *spki_not_finite(double x)
{
    return x != x ? "NaN" : "infinite";
}

/* The entries of an array of values. */
SPKI_FN spk_result spki_value_check_array(const spk_value *v, size_t n, char *why, size_t size)
{
    size_t i;
    if (!v->array && n)
        return spki_because(SPK_ERR_NULL, why, size, "is an array, but its pointer is NULL");
    if (v->count != n)
        return spki_because(SPK_ERR_RANGE, why, size, "is an array of %llu where %llu are needed",
                            (unsigned long long)v->count, (unsigned long long)n);
    for (i = 0; i < n; i++)
        if (!spki_finite(v->array[i]))
            return spki_because(SPK_ERR_RANGE, why, size, "is %s at entry %llu",
                                spki_not_finite(v->array[i]), (unsigned long long)i);
    return SPK_OK;
}

/* The two numbers of a distribution, and whether there is anything left to draw from. */
SPKI_FN spk_result spki_value_check_spread(const spk_value *v, char *why, size_t size)
{
    bool uniform = v->kind == SPK_VALUE_UNIFORM;
    spki_quantile q;
    if (!spki_finite(v->a) || !spki_finite(v->b))
        return spki_because(SPK_ERR_RANGE, why, size, "has %s %s", spki_not_finite(v->a - v->b),
                            uniform ? "bounds" : "mean or standard deviation");
    if (uniform && (v->b < v->a || !spki_finite(v->b - v->a)))
        return spki_because(SPK_ERR_RANGE, why, size, "is uniform between %g and %g", v->a, v->b);
    if (uniform) return SPK_OK;
    if (v->b < 0.0)
        return spki_because(SPK_ERR_RANGE, why, size, "has a negative standard deviation (%g)",
                            v->b);
    if (v->kind == SPK_VALUE_LOGNORMAL ? v->a + 9.0 * v->b > 700.0 : !spki_finite(9.0 * v->b))
        return spki_because(SPK_ERR_RANGE, why, size, "exceeds the range of a double (sd %g)",
                            v->b);
    if (v->kind == SPK_VALUE_LOGNORMAL) return SPK_OK;
    if (!(v->lo <= v->hi) || v->lo == __builtin_inf() || v->hi == -__builtin_inf())
        return spki_because(SPK_ERR_RANGE, why, size, "is clipped to [%g, %g]", v->lo, v->hi);
    if (v->b == 0.0 ? v->a >= v->lo && v->a <= v->hi : spki_quantile_init(&q, v) > 1e-200)
        return SPK_OK;
    return spki_because(SPK_ERR_RANGE, why, size,
                        "never lies within [%g, %g] (mean %g, standard deviation %g)", v->lo,
                        v->hi, v->a, v->b);
}

/* Checks a value that stands for n numbers. `why` receives what follows the name of the value:
   "is NaN", "has a negative standard deviation (-1)". SPK_VALUE_DEFAULT passes. */
SPKI_FN spk_result spki_value_check(const spk_value *v, size_t n, char *why, size_t why_size)
{
    switch (v->kind) {
    case SPK_VALUE_DEFAULT: return SPK_OK;
    case SPK_VALUE_CONSTANT:
        if (spki_finite(v->a)) return SPK_OK;
        return spki_because(SPK_ERR_RANGE, why, why_size, "is %s", spki_not_finite(v->a));
    case SPK_VALUE_UNIFORM:
    case SPK_VALUE_NORMAL:
    case SPK_VALUE_LOGNORMAL: return spki_value_check_spread(v, why, why_size);
    case SPK_VALUE_ARRAY: return spki_value_check_array(v, n, why, why_size);
    case SPK_VALUE_FUNCTION:
        if (v->fn) return SPK_OK;
        return spki_because(SPK_ERR_NULL, why, why_size, "is a function, but its pointer is NULL");
    case SPK_VALUE_FORCE_32_BIT: break;
    }
    return spki_because(SPK_ERR_RANGE, why, why_size, "has the unknown kind %d", (int)v->kind);
}

/* A distribution without spread is a constant. */
SPKI_FN spk_value spki_value_simplify(const spk_value *v)
{
    if (v->kind == SPK_VALUE_UNIFORM && v->a == v->b) return spk_constant(v->a);
    if (v->kind == SPK_VALUE_NORMAL && v->b == 0.0) return spk_constant(v->a);
    if (v->kind == SPK_VALUE_NORMAL && v->lo == v->hi) return spk_constant(v->lo);
    if (v->kind == SPK_VALUE_LOGNORMAL && v->b == 0.0) return spk_constant(spki_qexp(v->a));
    return *v;
}

/* One number for each of n neurons. Draws have 52 bits and the Philox counter (neuron, 0, 0,
   stream) under the key `seed`. `why` as for spki_value_check. */
SPKI_FN spk_result spki_value_sample(const spk_value *value, size_t n, uint64_t seed,
                                     uint32_t stream, double *out, char *why, size_t why_size)
{
    spk_result result = spki_value_check(value, n, why, why_size);
    spk_value v;
    spki_quantile q;
    size_t i;
    if (result != SPK_OK) return result;
    v = spki_value_simplify(value);
    if (v.kind == SPK_VALUE_DEFAULT)
        return spki_because(SPK_ERR_RANGE, why, why_size, "has no value");
    if (n > UINT32_MAX) return spki_because(SPK_ERR_RANGE, why, why_size, "is for too many");
    (void)spki_quantile_init(&q, &v);
    for (i = 0; i < n; i++) {
        uint32_t w[4];
        if (v.kind == SPK_VALUE_CONSTANT) out[i] = v.a;
        else if (v.kind == SPK_VALUE_ARRAY) out[i] = v.array[i];
        else if (v.kind == SPK_VALUE_FUNCTION) out[i] = v.fn(v.ctx, (uint32_t)i, (uint32_t)i);
        else {
            spki_philox((uint32_t)i, 0, 0, stream, (uint32_t)seed, (uint32_t)(seed >> 32), w);
            out[i] = spki_quantile_at(&q, ((double)(((uint64_t)(w[0] >> 6) << 26) | (w[1] >> 6)) +
                                           0.5) * 2.220446049250313e-16);
        }
        if (!spki_finite(out[i]))
            return spki_because(SPK_ERR_RANGE, why, why_size, "is %s for neuron %llu",
                                spki_not_finite(out[i]), (unsigned long long)i);
    }
    return SPK_OK;
}

#endif
