/* ---- >>conv-layer: what a convolutional layer is made of ----
   A stage is a layer with neurons and the pools before it. Its outputs are sites (x, y) of `lanes`
   channels each, channels last, so that an input adds whole vectors of weights to a few rows of
   neighbouring sites: its footprint. Three ideas keep that loop free of branches:

   - the grid of sites has margins, so that no footprint is ever clipped;
   - weights are stored by the phase of the input (its position modulo the stride), already in the
     order of the sites they reach, so that a row of the footprint is one run of numbers;
   - tables by x and by y hold all that depends on either, the pools before the layer included.

   Which sites had an active input in a step is marked in bits. Word k of a row of marks covers
   sites 32 k .. 32 k + 63, so that a footprint's row of up to 32 sites never straddles words. */
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

/* What depends on an input's x: offsets in elements of their arrays. */
typedef struct spki_conv_column {
    uint32_t sums, weights, count, word;
    uint64_t marks;
} spki_conv_column;

typedef struct spki_conv_row {
    uint32_t sums, weights, count, word;
    uint32_t rows, first; /* bit r: row first + r of the footprint is within the grid */
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
    int32_t *sums;        /* weights of this step's inputs */
    int64_t *spill;       /* first stage: sums that were folded */
    float *v;
    int32_t *hold;  /* NULL: no refractory period; steps it lasts after the last update */
    uint64_t *last; /* step of a site's last update */
    uint64_t *marks;
    uint32_t dirty_first, dirty_end; /* rows that have marks */

    /* the inputs */
    uint16_t *fold_x, *fold_y;
    spki_conv_column *column;
    spki_conv_row *row;
    int16_t *weights;         /* [channel in][phase y][phase x][reach y][reach x][lanes] */
    uint32_t weights_channel; /* elements a channel in */
    int16_t *counts;          /* [height + 2 padding][width + 2 padding][channels in, even] */
    uint32_t count_pitch, count_channels;
    size_t count_elements;
    int16_t *windows; /* [kernel y][kernel x][pair of channels in][lanes][2] */

    /* the neurons */
    float *near_decay, *far_decay;
    uint64_t far_steps; /* from here on the factor is `beyond`: 0, or 1 without a leak */
    float beyond;
    float quantum, threshold, v_reset, v_min;
    bool subtract;
    int32_t refractory;
    uint32_t *total; /* spikes of each neuron */

    uint32_t full_above; /* inputs of a step */
    bool counting, spilled;
    uint64_t pending; /* inputs of this step */
    uint64_t since_fold;
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

/* The loops that differ by instruction set. `scatter` and `scatter_items` add inputs to the sums.
   `finish` updates the marked sites and returns how
   many spikes it wrote. */
typedef struct spki_conv_ops {
    void (*scatter)(spki_conv_stage *stage, const spk_event *event, size_t count);
    void (*scatter_items)(spki_conv_stage *stage, const spki_conv_item *item, size_t count);
    size_t (*finish)(spki_conv_stage *stage, uint64_t now, bool full);
} spki_conv_ops;

struct spk_conv {
    spki_mem mem;
    spk_conv_desc desc;
    spk_result status;
    char error[256];
    spk_isa isa;
    const spki_conv_ops *ops;
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

/* The factor of `steps` steps: a product of two floats, so that its tables are small. */
SPKI_INLINE float spki_conv_decay(const spki_conv_stage *s, uint64_t steps)
{
    if (steps >= s->far_steps) {
        return s->beyond;
    }
    return s->near_decay[steps % SPKI_CONV_NEAR] * s->far_decay[steps / SPKI_CONV_NEAR];
}

#endif
