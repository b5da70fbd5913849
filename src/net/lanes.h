/* ---- >>lanes-table: the engine's vector loops by instruction set ---- */
#ifndef SPIKELIB_NET_LANES_H
#define SPIKELIB_NET_LANES_H

#include "../core/philox.h"
#include "../simd/types.h"

/* The distribution of a Poisson count of one rate, in units of 2^-32. */
typedef struct spki_poisson_table {
    double rate;
    uint32_t base, count, common; /* counts start at base; `common` of the thresholds are likely */
    int32_t *threshold;           /* as unsigned numbers with the top bit flipped */
} spki_poisson_table;

/* Where the random words of neurons come from: see >>words. */
typedef struct spki_word_address {
    uint32_t group, c1, c2, c3; /* of the first neurons; the rest of the counter */
    uint32_t key[SPKI_PHILOX_KEYS];
} spki_word_address;

SPKI_INLINE spki_word_address spki_words_of(uint32_t group, uint64_t step, uint32_t tag,
                                            uint32_t stream, uint64_t seed)
{
    spki_word_address a;
    a.group = group;
    a.c1 = (uint32_t)step;
    a.c2 = (uint32_t)(step >> 32) ^ tag;
    a.c3 = stream;
    spki_philox_keys((uint32_t)seed, (uint32_t)(seed >> 32), a.key);
    return a;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors only pass between inlined functions */
#endif

#define SPKI_LANES 1
#define SPKI_TARGET SPKI_TARGET_SCALAR
#include "words.inc.h"
#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 0
#define SPKI_S f1
#define SPKI_TARGET SPKI_TARGET_SCALAR
#define SPKI_ANY_WORD(w) (w)
#include "lanes.inc.h"
#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 1
#define SPKI_S d1
#define SPKI_TARGET SPKI_TARGET_SCALAR
#define SPKI_WORDS spki_words_1
#define SPKI_ANY_WORD(w) (w)
#include "lanes.inc.h"

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_LANES 4
#define SPKI_TARGET SPKI_TARGET_BASE
#include "words.inc.h"
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 0
#define SPKI_S f4
#define SPKI_TARGET SPKI_TARGET_BASE
#define SPKI_ANY_WORD(w) spki_any_f4(w)
#include "lanes.inc.h"
#define SPKI_LANES 2
#define SPKI_IS_DOUBLE 1
#define SPKI_S d2
#define SPKI_TARGET SPKI_TARGET_BASE
#define SPKI_WORDS spki_words_4
#define SPKI_ANY_WORD(w) ((w)[0] | (w)[1])
#include "lanes.inc.h"
#endif

#if SPKI_HAVE_AVX2
#define SPKI_LANES 8
#define SPKI_TARGET SPKI_TARGET_AVX2
#include "words.inc.h"
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 0
#define SPKI_S f8
#define SPKI_TARGET SPKI_TARGET_AVX2
#define SPKI_ANY_WORD(w) spki_any_f8(w)
#include "lanes.inc.h"
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 1
#define SPKI_S d4
#define SPKI_TARGET SPKI_TARGET_AVX2
#define SPKI_WORDS spki_words_8
#define SPKI_ANY_WORD(w) spki_any_f4(w)
#include "lanes.inc.h"
#endif

#if SPKI_HAVE_AVX512
#define SPKI_LANES 16
#define SPKI_TARGET SPKI_TARGET_AVX512
#include "words.inc.h"
#define SPKI_LANES 16
#define SPKI_IS_DOUBLE 0
#define SPKI_S f16
#define SPKI_TARGET SPKI_TARGET_AVX512
#define SPKI_ANY_WORD(w) spki_any_f16(w)
#include "lanes.inc.h"
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 1
#define SPKI_S d8
#define SPKI_TARGET SPKI_TARGET_AVX512
#define SPKI_WORDS spki_words_16
#define SPKI_ANY_WORD(w) spki_any_f8(w)
#include "lanes.inc.h"
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

typedef struct spki_lane_ops {
    void (*words)(uint32_t *out, size_t groups, const spki_word_address *a);
    void (*take)(int32_t *acc, void *out, size_t n, double quantum);
    void (*add)(void *out, const void *add, size_t n);
    void (*poisson)(const spki_word_address *a, void *out, size_t n,
                    const spki_poisson_table *table, double weight, bool add);
    void (*uniform)(const uint32_t *words, void *out, size_t n);
    void (*normal)(const uint32_t *words, void *out, size_t n, double sd);
    void (*fill)(const uint32_t *key, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t c0,
                 uint32_t n, uint32_t *out);
} spki_lane_ops;

#define SPKI_OPS(lanes, S)                                                                         \
    {                                                                                              \
        spki_words_##lanes, spki_take_##S, spki_add_##S, spki_poisson_##S, spki_uniform_##S,       \
            spki_normal_##S, spki_fill_##lanes                                                     \
    }

/* For an instruction set and an element of 4 or 8 bytes. */
SPKI_FN const spki_lane_ops *spki_lanes_for(spk_isa isa, size_t real_size)
{
    static const spki_lane_ops scalar[2] = {SPKI_OPS(1, f1), SPKI_OPS(1, d1)};
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
    static const spki_lane_ops base[2] = {SPKI_OPS(4, f4), SPKI_OPS(4, d2)};
    if (isa == SPK_ISA_SSE2 || isa == SPK_ISA_NEON || isa == SPK_ISA_GENERIC) {
        return &base[real_size == 8];
    }
#endif
#if SPKI_HAVE_AVX2
    static const spki_lane_ops avx2[2] = {SPKI_OPS(8, f8), SPKI_OPS(8, d4)};
    if (isa == SPK_ISA_AVX2) {
        return &avx2[real_size == 8];
    }
#endif
#if SPKI_HAVE_AVX512
    static const spki_lane_ops avx512[2] = {SPKI_OPS(16, f16), SPKI_OPS(16, d8)};
    if (isa == SPK_ISA_AVX512) {
        return &avx512[real_size == 8];
    }
#endif
    (void)isa;
    return &scalar[real_size == 8];
}

#endif
