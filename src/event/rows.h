/* ---- >>rows-table: rows of pixels by instruction set ---- */
#ifndef SPIKELIB_EVENT_ROWS_H
#define SPIKELIB_EVENT_ROWS_H

#include "../core/base.h"
#include "../simd/types.h"
#include "filter_map.h" /* SPKI_NEVER */

/* Of each pixel: the picture's value, its log intensity now and a picture ago, the level at its
   last event, and its thresholds. */
typedef struct spki_sim_pixels {
    float *value, *level, *before, *ref, *on, *off;
    uint64_t *fires;
    size_t count; /* rounded up to whole 64s; the pixels beyond the last never fire */
} spki_sim_pixels;

typedef struct spki_surface {
    int32_t now;
    float inverse_tau;
    bool exponential, sign;
} spki_surface;

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors only pass between inlined functions */
#endif

#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 0
#define SPKI_S f1
#define SPKI_TARGET SPKI_TARGET_SCALAR
#include "rows.inc.h"
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 0
#define SPKI_S f4
#define SPKI_TARGET SPKI_TARGET_BASE
#include "rows.inc.h"
#endif
#if SPKI_HAVE_AVX2
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 0
#define SPKI_S f8
#define SPKI_TARGET SPKI_TARGET_AVX2
#include "rows.inc.h"
#endif
#if SPKI_HAVE_AVX512
#define SPKI_LANES 16
#define SPKI_IS_DOUBLE 0
#define SPKI_S f16
#define SPKI_TARGET SPKI_TARGET_AVX512
#include "rows.inc.h"
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

SPKI_FN void spki_sim_rows(spk_isa isa, const spki_sim_pixels *p, float dark, float range,
                           float drift)
{
    switch (isa) {
#if SPKI_HAVE_AVX512
    case SPK_ISA_AVX512: spki_sim_rows_f16(p, dark, range, drift); return;
#endif
#if SPKI_HAVE_AVX2
    case SPK_ISA_AVX2: spki_sim_rows_f8(p, dark, range, drift); return;
#endif
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
    case SPK_ISA_SSE2:
    case SPK_ISA_NEON:
    case SPK_ISA_GENERIC: spki_sim_rows_f4(p, dark, range, drift); return;
#endif
    default: spki_sim_rows_f1(p, dark, range, drift); return;
    }
}

#endif
