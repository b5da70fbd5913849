/* ---- >>have: which instruction sets this build can use ---- */
#ifndef SPIKELIB_SIMD_HAVE_H
#define SPIKELIB_SIMD_HAVE_H

/* SPKI_HAVE_x is 1 where code for x is compiled in, 0 elsewhere; whether the CPU has it is asked at
   run time (spk_isa_available). Scalar code is always there.
   SPIKELIB_NO_AVX512 leaves AVX-512 out, SPIKELIB_NO_AVX2 both (the one uses the other).
   GCC for Windows cannot align the Win64 stack for 32-byte spills (GCC bug 54412), so that its
   programs would crash in AVX code; Clang for Windows aligns it. */
#if defined(__x86_64__)
#define SPKI_HAVE_SSE2 1
#define SPKI_HAVE_NEON 0
#define SPKI_HAVE_GENERIC 0
#elif defined(__aarch64__)
#define SPKI_HAVE_SSE2 0
#define SPKI_HAVE_NEON 1
#define SPKI_HAVE_GENERIC 0
#else
#define SPKI_HAVE_SSE2 0
#define SPKI_HAVE_NEON 0
#define SPKI_HAVE_GENERIC 1
#endif

#if SPKI_HAVE_SSE2 && (!defined(_WIN32) || defined(__clang__)) && !defined(SPIKELIB_NO_AVX2)
#define SPKI_HAVE_AVX2 1
#else
#define SPKI_HAVE_AVX2 0
#endif
#if SPKI_HAVE_AVX2 && !defined(SPIKELIB_NO_AVX512)
#define SPKI_HAVE_AVX512 1
#else
#define SPKI_HAVE_AVX512 0
#endif

#endif
