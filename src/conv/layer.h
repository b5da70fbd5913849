/* ---- >>conv-layer: what a convolutional layer is made of ----
   A stage is a layer with neurons and the pools before it. Its inputs of a step are counted, 16
   bits a channel and pixel, with a bit for each pair of channels that has any; pools that tile are
   part of the tables by x and by y that say where. When the step ends, the stage is swept row by
   row: each active pair adds vectors of weights to the sums of the sites around it, its footprint,
   and a row of sites that no further input reaches updates its neurons. So the sums of a few rows
   are all there is, and they stay in the nearest cache.

   A site (x, y) has `lanes` channels out, channels last. The rows of sites have margins, so that no
   footprint is ever clipped. Weights are stored by the phase of an input (its position modulo the
   stride), in the order of the sites that they reach: a row of a footprint is one run of numbers.
   Where more than a share of the inputs is active it is faster to sum the whole window of each site
   (`full`); sites, sums and spikes are the same.

   Which sites had an active input is marked in bits. Word k of a row of marks covers sites 32 k ..
   32 k + 63, so that a footprint's row of up to 32 sites never straddles words. */
#ifndef SPIKELIB_CONV_LAYER_H
#define SPIKELIB_CONV_LAYER_H

#include "../api/conv.h"
#include "../core/alloc.h"
#include "../core/cpu.h"
#include "../core/digest.h"
#include "../core/fenv.h"

#include <stdarg.h>

#define SPKI_CONV_LAYERS 64u
#define SPKI_CONV_CHANNELS 4096u
#define SPKI_CONV_REACH 32u                  /* sites an input reaches, each way */
#define SPKI_CONV_ELEMENTS ((size_t)1 << 30) /* of one array */
#define SPKI_CONV_FOLD 32767u /* inputs that 16-bit counts and 32-bit sums can take */
#define SPKI_CONV_NEAR 1024u  /* steps of the fine table of decays */
#define SPKI_CONV_BATCH 512u
#define SPKI_CONV_NOWHERE 0xffffu

typedef struct spki_conv_item {
    uint16_t x, y, c, reserved;
} spki_conv_item;

typedef struct spki_conv_shape {
    uint32_t width, height, channels;
} spki_conv_shape;

/* What depends on an input's x: where its footprint begins, in elements of a row of sums, and the
   sites of it whose windows hold the input. */
typedef struct spki_conv_column {
    uint32_t sums, weights, word, reserved;
    uint64_t marks;
} spki_conv_column;

/* The same for y: bit r of `rows` is row first + r of the sites. */
typedef struct spki_conv_row {
    uint32_t first, rows, weights, reserved;
} spki_conv_row;

typedef struct spki_conv_pool {
    uint32_t kernel_x, kernel_y, stride_x, stride_y, padding_x, padding_y;
    spki_conv_shape out;
} spki_conv_pool;

typedef struct spki_conv_stage {
    uint32_t layer; /* the user's number */
    const spki_conv_pool *pool;
    uint32_t pools;
    bool folded;            /* the tables hold the pools */
    spki_conv_shape source; /* what the tables take: before folded pools, after others */
    spki_conv_shape in, out;
    uint32_t kernel_x, kernel_y, stride_x, stride_y, padding_x, padding_y;

    /* the sites */
    uint32_t lanes; /* channels out, padded */
    uint32_t reach_x, reach_y;
    uint32_t left, top;   /* margins */
    uint32_t pitch, rows; /* sites a row, and rows, margins included */
    uint32_t words;       /* of marks, a row */
    uint32_t ring;        /* rows of sums and marks that are kept, a power of two */
    int32_t *sums;        /* [ring][pitch][lanes], zero between steps */
    uint64_t *marks;      /* [ring][words] */
    float *v;
    int32_t *hold;         /* NULL: no refractory period; steps it lasts after the last update */
    uint64_t *last;        /* step of a site's last update */
    int64_t *spill;        /* first stage: sums that were folded, and their sites */
    uint64_t *spill_marks; /* [rows][words] */

    /* the inputs */
    uint16_t *fold_x, *fold_y; /* source to input; SPKI_CONV_NOWHERE: cut off by a pool */
    spki_conv_column *column;
    spki_conv_row *row;
    uint32_t pairs;        /* of channels in */
    int16_t *weights;      /* [pair][phase y][phase x][reach y][reach x][lanes][2] */
    uint32_t weights_pair; /* elements a pair */
    int16_t *counts;       /* [height + 2 padding][width + 2 padding][pairs][2] */
    uint32_t count_pitch;
    size_t count_origin, count_elements; /* of input (0, 0); of all */
    uint64_t *active;                    /* [height][bit x * pairs + pair] */
    uint32_t active_words;
    uint32_t dirty_first, dirty_end; /* rows with active inputs */
    int16_t *windows;                /* [kernel y][kernel x][pair][lanes][2] */

    /* the neurons */
    float *near_decay, *far_decay;
    uint64_t far_steps; /* from here on the factor is `beyond`: 0, or 1 without a leak */
    float beyond;
    float quantum, threshold, v_reset, v_min;
    bool subtract;
    int32_t refractory;
    uint32_t *total; /* spikes of each neuron */

    uint64_t full_above; /* active pairs of a step */
    bool spilled;
    uint32_t since_fold; /* inputs */
    size_t spilled_items;
    spki_conv_item *item; /* spikes of this step */
    uint32_t *neuron;
    uint32_t *channel_start;
    size_t neurons;

    void *block;
    size_t block_size;
    double exact_quantum;
    uint64_t outside, others; /* events outside of the sensor, events of another kind */
    uint64_t inputs, spikes, sparse_steps, full_steps;
    spk_digest digest;
} spki_conv_stage;

/* The loop that differs by instruction set: sweeps a stage at the end of step `now` and returns how
   many spikes it wrote. */
typedef size_t (*spki_conv_sweep_fn)(spki_conv_stage *stage, uint64_t now, bool full);

struct spk_conv {
    spki_mem mem;
    spk_conv_desc desc;
    spk_result status;
    char error[256];
    spk_isa isa;
    spki_conv_stage *stage;
    uint32_t stages;
    spki_conv_pool *pool;
    uint32_t pools;
    uint32_t layers;
    uint32_t *stage_of;        /* by layer; UINT32_MAX: a pool */
    spki_conv_shape *shape_of; /* by layer */
    spki_conv_item batch[SPKI_CONV_BATCH];
    bool has_origin, busy;
    int64_t origin_us, begin_us; /* of step 0 and of the open step */
    uint64_t step;               /* the open step */
    uint64_t fed, late;
};

__attribute__((format(printf, 3, 4), unused)) static spk_result
spki_conv_fail(spk_conv *conv, spk_result code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(conv->error, sizeof conv->error, format, args);
    va_end(args);
    return code;
}

/* e^x for x <= 0, to a unit in the last place: libm never reaches a spike.
   Source: Cody and Waite's two-part reduction; Taylor's series. */
SPKI_FN double spki_conv_exp(double x)
{
    double r, sum = 1.0, scale = 1.0;
    int n, k;
    if (!(x > -700.0)) {
        return 0.0;
    }
    n = (int)(x * 1.4426950408889634 - 0.5);
    r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10;
    for (k = 16; k >= 1; k--) {
        sum = 1.0 + r * sum / k;
    }
    for (; n < 0; n++) {
        scale *= 0.5;
    }
    return sum * scale;
}

/* The factor of `steps` steps: a product of two floats (the second 1 at first), so that its tables
   are small. */
SPKI_INLINE float spki_conv_decay(const spki_conv_stage *s, uint64_t steps)
{
    if (steps < SPKI_CONV_NEAR) {
        return s->near_decay[steps];
    }
    if (steps >= s->far_steps) {
        return s->beyond;
    }
    return s->near_decay[steps % SPKI_CONV_NEAR] * s->far_decay[steps / SPKI_CONV_NEAR];
}

#endif
