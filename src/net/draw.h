/* ---- >>draw-table: what many synapses are drawn with at a time, by instruction set ---- */
#ifndef SPIKELIB_NET_DRAW_H
#define SPIKELIB_NET_DRAW_H

#include "../simd/types.h"
#include "quantile.h"

#define SPKI_DRAW_MOST 128u /* synapses at a time */

/* A distribution of weights as quantiles at i / 4096, the outer `tail` of them on both sides
   evaluated instead. */
typedef struct spki_draw_weights {
    const double *table;
    uint32_t tail;
    const spki_quantile *quantile;
    double per_quantum, most;
} spki_draw_weights;

/* To the nearest integer, ties to even: the magic number leaves no bits for a fraction. */
SPKI_INLINE int32_t spki_draw_quanta(double weight, double per_quantum, double most)
{
    double x = weight * per_quantum;
    x = x > most ? most : x < -most ? -most : x;
    return (int32_t)((x + 6755399441055744.0) - 6755399441055744.0);
}

SPKI_FN int32_t spki_draw_tail_quanta(const spki_draw_weights *d, uint32_t word)
{
    const double u = ((double)word + 0.5) * (1.0 / 4294967296.0);
    return spki_draw_quanta(spki_quantile_at(d->quantile, u), d->per_quantum, d->most);
}

/* Both give what the scalar loops of >>connect and >>rows give, to the bit; NULL: those loops. */
typedef struct spki_draw_ops {
    bool (*below)(const uint32_t *word, uint32_t n, uint32_t size, uint32_t refuse, uint32_t base,
                  uint32_t *out);
    void (*table)(const spki_draw_weights *d, const uint32_t *word, uint32_t n, int32_t *out);
} spki_draw_ops;

#if SPKI_HAVE_AVX2
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 1
#define SPKI_S d4
#define SPKI_TARGET SPKI_TARGET_AVX2
#include "draw.inc.h"
#endif
#if SPKI_HAVE_AVX512
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 1
#define SPKI_S d8
#define SPKI_TARGET SPKI_TARGET_AVX512
#include "draw.inc.h"
#endif

SPKI_FN spki_draw_ops spki_draw(spk_isa isa)
{
    spki_draw_ops ops = {NULL, NULL};
    (void)isa;
#if SPKI_HAVE_AVX2
    if (isa == SPK_ISA_AVX2) {
        ops.below = spki_draw_below_d4;
        ops.table = spki_draw_table_d4;
    }
#endif
#if SPKI_HAVE_AVX512
    if (isa == SPK_ISA_AVX512) {
        ops.below = spki_draw_below_d8;
        ops.table = spki_draw_table_d8;
    }
#endif
    return ops;
}

#endif
