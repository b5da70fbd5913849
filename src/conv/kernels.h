/* ---- >>conv-table: the sweep of a stage by instruction set ---- */
#ifndef SPIKELIB_CONV_KERNELS_H
#define SPIKELIB_CONV_KERNELS_H

#include "../simd/types.h"
#include "layer.h"
#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

/* As the networks' kernels: no contraction, asked of both compilers in each function. */
#if defined(__clang__)
#define SPKI_CONV_PLAIN
#define SPKI_NO_CONTRACT_HERE _Pragma("STDC FP_CONTRACT OFF")
#else
#define SPKI_CONV_PLAIN __attribute__((optimize("fp-contract=off")))
#define SPKI_NO_CONTRACT_HERE
#endif
#define SPKI_CONV_NAME_(a, b) a##_##b
#define SPKI_CONV_NAME(a, b) SPKI_CONV_NAME_(a, b)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors only pass between inlined functions */
#endif

#define SPKI_CONV_L 1
#define SPKI_CONV_S scalar
#define SPKI_CONV_TARGET SPKI_TARGET_SCALAR
#include "kernels.inc.h"

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_CONV_L 4
#define SPKI_CONV_S base
#define SPKI_CONV_TARGET SPKI_CONV_PLAIN
#include "kernels.inc.h"
#endif

#if SPKI_HAVE_AVX2
#define SPKI_CONV_L 8
#define SPKI_CONV_S avx2
#define SPKI_CONV_TARGET __attribute__((target("avx2"))) SPKI_CONV_PLAIN
#include "kernels.inc.h"
#endif

#if SPKI_HAVE_AVX512
#define SPKI_CONV_L 16
#define SPKI_CONV_S avx512
#define SPKI_CONV_TARGET                                                                           \
    __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) SPKI_CONV_PLAIN
#include "kernels.inc.h"
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* For a stage whose sites have so many lanes: 8, half a vector of AVX-512, or a multiple of 16. */
SPKI_FN spki_conv_sweep_fn spki_conv_sweep_of(spk_isa isa, uint32_t lanes)
{
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
    if (isa == SPK_ISA_SSE2 || isa == SPK_ISA_NEON || isa == SPK_ISA_GENERIC) {
        return spki_conv_sweep_base;
    }
#endif
#if SPKI_HAVE_AVX2
    if (isa == SPK_ISA_AVX2) {
        return spki_conv_sweep_avx2;
    }
#endif
#if SPKI_HAVE_AVX512
    if (isa == SPK_ISA_AVX512) {
        return lanes % 16 ? spki_conv_sweep_avx2 : spki_conv_sweep_avx512;
    }
#endif
    (void)isa;
    (void)lanes;
    return spki_conv_sweep_scalar;
}

#endif
