/* ---- >>conv-table: the loops of a stage by instruction set ---- */
#ifndef SPIKELIB_CONV_KERNELS_H
#define SPIKELIB_CONV_KERNELS_H

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
#define SPKI_CONV_TARGET SPKI_CONV_PLAIN
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

/* A site of 8 channels is half of a vector of AVX-512: stages that narrow take these. */
#if SPKI_HAVE_AVX512
#define SPKI_CONV_L 8
#define SPKI_CONV_S half512
#define SPKI_CONV_TARGET                                                                           \
    __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) SPKI_CONV_PLAIN
#include "kernels.inc.h"
#define SPKI_CONV_L 16
#define SPKI_CONV_S avx512
#define SPKI_CONV_TARGET                                                                           \
    __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) SPKI_CONV_PLAIN
#include "kernels.inc.h"
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#define SPKI_CONV_OPS(S)                                                                           \
    {                                                                                              \
        spki_conv_scatter_##S, spki_conv_scatter_items_##S, spki_conv_finish_##S                   \
    }

/* For a stage whose sites have so many lanes (a multiple of 8; of 16 from 16 on). */
SPKI_FN const spki_conv_ops *spki_conv_ops_of(spk_isa isa, uint32_t lanes)
{
    static const spki_conv_ops scalar = SPKI_CONV_OPS(scalar);
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
    static const spki_conv_ops base = SPKI_CONV_OPS(base);
    if (isa == SPK_ISA_SSE2 || isa == SPK_ISA_NEON || isa == SPK_ISA_GENERIC) {
        return &base;
    }
#endif
#if SPKI_HAVE_AVX2
    static const spki_conv_ops avx2 = SPKI_CONV_OPS(avx2);
    if (isa == SPK_ISA_AVX2) {
        return &avx2;
    }
#endif
#if SPKI_HAVE_AVX512
    static const spki_conv_ops narrow = SPKI_CONV_OPS(half512), wide = SPKI_CONV_OPS(avx512);
    if (isa == SPK_ISA_AVX512) {
        return lanes % 16 ? &narrow : &wide;
    }
#endif
    (void)isa;
    (void)lanes;
    return &scalar;
}

#endif
