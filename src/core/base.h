/* ---- >>foundation: what every part of the implementation stands on ---- */
#ifndef SPIKELIB_CORE_BASE_H
#define SPIKELIB_CORE_BASE_H

#include "../api/base.h"

#include <float.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <malloc.h>
#include <process.h>
#else
#if !defined(SPIKELIB_NO_THREADS)
#include <pthread.h>
#endif
#include <sched.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#endif
#endif

#if !defined(__GNUC__)
#error "spikelib's implementation needs GCC, Clang or a compiler that speaks their C"
#endif
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "spikelib cannot be compiled with -ffast-math: it reorders arithmetic and changes the spikes"
#endif
#if defined(__FINITE_MATH_ONLY__)
#if __FINITE_MATH_ONLY__
#error "spikelib cannot be compiled with -ffinite-math-only: NaN arguments would not be refused"
#endif
#endif
/* 16 (with half-precision hardware) keeps float and double as they are; 1, 2 and -1 do not. */
#if defined(FLT_EVAL_METHOD)
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "spikelib needs FLT_EVAL_METHOD 0: extra precision changes the spikes (x86: -mfpmath=sse)"
#endif
#endif

#define SPKI_FN static __attribute__((unused))
#define SPKI_INLINE static inline __attribute__((always_inline, unused))
#define SPKI_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SPKI_MAX(a, b) ((a) > (b) ? (a) : (b))

/* The C library hides these under -std=c11, and no feature macro helps once the program has
   included a system header. They are bound to private names, which cannot clash with the
   library's own declarations. */
#if defined(__linux__)
#ifdef __cplusplus
extern "C" {
#endif
extern long spki_os_syscall(long number, ...) __asm__("syscall");
extern int spki_os_madvise(void *start, size_t size, int advice) __asm__("madvise");
extern int spki_os_getaffinity(pid_t pid, size_t size, void *mask) __asm__("sched_getaffinity");
#if !defined(CLOCK_MONOTONIC) && defined(__LP64__)
extern int spki_os_gettime(int clock, struct timespec *now) __asm__("clock_gettime");
#endif
#ifdef __cplusplus
}
#endif
#endif

#endif
