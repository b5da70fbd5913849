/* ---- >>vectors: one family of vector types for every instruction set ---- */
#ifndef SPIKELIB_SIMD_TYPES_H
#define SPIKELIB_SIMD_TYPES_H

#include "have.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

/* Suffix = element and lanes: f1 d1 (scalar), f4 d2 (16 bytes), f8 d4 (32), f16 d8 (64).
   spki_<s> holds reals, spki_i<s> integers of the same width; a comparison of vectors gives
   spki_i<s> with lanes 0 or -1, of scalars an int 0 or 1: text written with spk_select, & and |
   means the same for both. */
#define SPKI_NIL(type) {0} /* device text, where braces are for arrays, has a cast */
#define SPKI_GNU_VECTOR(bytes) __attribute__((vector_size(bytes)))

/* The element of what a comparison of double vectors gives. */
#if defined(__clang__)
typedef long long spki_i64;
#else
typedef int64_t spki_i64;
#endif

typedef float spki_f1;
typedef double spki_d1;
typedef int32_t spki_if1;
typedef int64_t spki_id1;
typedef int spki_mf1;
typedef int spki_md1;

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
typedef float spki_f4 SPKI_GNU_VECTOR(16);
typedef double spki_d2 SPKI_GNU_VECTOR(16);
typedef int32_t spki_if4 SPKI_GNU_VECTOR(16);
typedef spki_i64 spki_id2 SPKI_GNU_VECTOR(16);
typedef spki_if4 spki_mf4;
typedef spki_id2 spki_md2;
#endif
#if SPKI_HAVE_AVX2
typedef float spki_f8 SPKI_GNU_VECTOR(32);
typedef double spki_d4 SPKI_GNU_VECTOR(32);
typedef int32_t spki_if8 SPKI_GNU_VECTOR(32);
typedef spki_i64 spki_id4 SPKI_GNU_VECTOR(32);
typedef spki_if8 spki_mf8;
typedef spki_id4 spki_md4;
#endif
#if SPKI_HAVE_AVX512
typedef float spki_f16 SPKI_GNU_VECTOR(64);
typedef double spki_d8 SPKI_GNU_VECTOR(64);
typedef int32_t spki_if16 SPKI_GNU_VECTOR(64);
typedef spki_i64 spki_id8 SPKI_GNU_VECTOR(64);
typedef spki_if16 spki_mf16;
typedef spki_id8 spki_md8;
#endif

/* GCC contracts a * b + c into one rounding wherever the target has it and ignores the standard
   pragma; Clang obeys the pragma, inside each function. Both are asked, in every kernel. */
#if defined(__clang__)
#define SPKI_NO_CONTRACT_ATTR
#define SPKI_NO_CONTRACT _Pragma("STDC FP_CONTRACT OFF")
#else
#define SPKI_NO_CONTRACT_ATTR __attribute__((optimize("fp-contract=off")))
#define SPKI_NO_CONTRACT
#endif

/* Where there are vectors, scalar kernels are only compared with: they are compiled in half the
   time. */
#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__) &&                 \
    (SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC)
#define SPKI_TARGET_SCALAR __attribute__((optimize("O1", "fp-contract=off")))
#else
#define SPKI_TARGET_SCALAR SPKI_NO_CONTRACT_ATTR
#endif
#define SPKI_TARGET_BASE SPKI_NO_CONTRACT_ATTR
#define SPKI_TARGET_AVX2 __attribute__((target("avx2"))) SPKI_NO_CONTRACT_ATTR
#define SPKI_TARGET_AVX512                                                                        \
    __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) SPKI_NO_CONTRACT_ATTR

#define SPKI_CAT_(a, b) a##b
#define SPKI_CAT(a, b) SPKI_CAT_(a, b)
#define SPKI_CAT3_(a, b, c) a##b##c
#define SPKI_CAT3(a, b, c) SPKI_CAT3_(a, b, c)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* every function below is inlined: no ABI is involved */
#endif

#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 0
#define SPKI_S f1
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_SCALAR
#include "math.inc.h"
#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 1
#define SPKI_S d1
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_SCALAR
#include "math.inc.h"

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 0
#define SPKI_S f4
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_BASE
#include "math.inc.h"
#define SPKI_LANES 2
#define SPKI_IS_DOUBLE 1
#define SPKI_S d2
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_BASE
#include "math.inc.h"
#endif

#if SPKI_HAVE_AVX2
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 0
#define SPKI_S f8
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_AVX2
#include "math.inc.h"
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 1
#define SPKI_S d4
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_AVX2
#include "math.inc.h"
#endif

#if SPKI_HAVE_AVX512
#define SPKI_LANES 16
#define SPKI_IS_DOUBLE 0
#define SPKI_S f16
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_AVX512
#include "math.inc.h"
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 1
#define SPKI_S d8
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_AVX512
#include "math.inc.h"
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* The functions that model text may call, chosen by the type of their arguments. spk_any and
   spk_select take masks; everything else takes and gives reals. */
#ifdef __cplusplus
#define SPKI_BY_TYPE(name, x) spki_ov_##name
#define SPKI_BY_FLOAT(name, x) spki_ov_##name
#define SPKI_BY_MASK(name, x) spki_ov_##name
#else
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_BASE_F(fn) , spki_f4 : fn##f4
#define SPKI_BASE_D(fn) , spki_d2 : fn##d2
#define SPKI_BASE_M(fn) , spki_if4 : fn##f4, spki_id2 : fn##d2
#else
#define SPKI_BASE_F(fn)
#define SPKI_BASE_D(fn)
#define SPKI_BASE_M(fn)
#endif
#if SPKI_HAVE_AVX2
#define SPKI_AVX2_F(fn) , spki_f8 : fn##f8
#define SPKI_AVX2_D(fn) , spki_d4 : fn##d4
#define SPKI_AVX2_M(fn) , spki_if8 : fn##f8, spki_id4 : fn##d4
#else
#define SPKI_AVX2_F(fn)
#define SPKI_AVX2_D(fn)
#define SPKI_AVX2_M(fn)
#endif
#if SPKI_HAVE_AVX512
#define SPKI_AVX512_F(fn) , spki_f16 : fn##f16
#define SPKI_AVX512_D(fn) , spki_d8 : fn##d8
#define SPKI_AVX512_M(fn) , spki_if16 : fn##f16, spki_id8 : fn##d8
#else
#define SPKI_AVX512_F(fn)
#define SPKI_AVX512_D(fn)
#define SPKI_AVX512_M(fn)
#endif
#define SPKI_TYPES_F(fn) float : fn##f1 SPKI_BASE_F(fn) SPKI_AVX2_F(fn) SPKI_AVX512_F(fn)
#define SPKI_TYPES_D(fn) , double : fn##d1 SPKI_BASE_D(fn) SPKI_AVX2_D(fn) SPKI_AVX512_D(fn)
#define SPKI_TYPES_M(fn) int : fn##f1 SPKI_BASE_M(fn) SPKI_AVX2_M(fn) SPKI_AVX512_M(fn)
#define SPKI_BY_TYPE(name, x)                                                                     \
    _Generic((x), SPKI_TYPES_F(spki_##name##_) SPKI_TYPES_D(spki_##name##_))
#define SPKI_BY_FLOAT(name, x) _Generic((x), SPKI_TYPES_F(spki_##name##_))
#define SPKI_BY_MASK(name, x) _Generic((x), SPKI_TYPES_M(spki_##name##_))
#endif
#define spk_exp(x) SPKI_BY_TYPE(exp, x)(x)
#define spk_exprel(x) SPKI_BY_TYPE(exprel, x)(x)
#define spk_log(x) SPKI_BY_TYPE(log, x)(x)
#define spk_sin(x) SPKI_BY_TYPE(sin, x)(x)
#define spk_cos(x) SPKI_BY_TYPE(cos, x)(x)
#define spk_tanh(x) SPKI_BY_TYPE(tanh, x)(x)
#define spk_sqrt(x) SPKI_BY_TYPE(sqrt, x)(x)
#define spk_abs(x) SPKI_BY_TYPE(abs, x)(x)
#define spk_flush(x) SPKI_BY_TYPE(flush, x)(x)
#define spk_pow(x, y) SPKI_BY_TYPE(pow, x)(x, y)
#define spk_min(x, y) SPKI_BY_TYPE(min, x)(x, y)
#define spk_max(x, y) SPKI_BY_TYPE(max, x)(x, y)
#define spk_any(c) SPKI_BY_MASK(any, c)(c)
#define spk_select(c, a, b) SPKI_BY_TYPE(select, a)(c, a, b)

#endif
