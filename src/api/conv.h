/* ---- >>conv: event-driven convolutional layers of spiking neurons ---- */
#ifndef SPIKELIB_API_CONV_H
#define SPIKELIB_API_CONV_H

#include "event.h"
#include "pixels.h"

/* A stack of layers that events flow through: convolutions and dense layers of leaky
   integrate-and-fire neurons, with sum pooling between them. Time is cut into steps of dt_us; the
   events of a step reach the first layer, its spikes the next one within the same step, and so on.

   A neuron, in a step in which an input of its receptive field is active (in others nothing can
   happen, and nothing is computed):

       v = v * exp(-k dt / tau) + sum of weight * inputs      k: steps since it was last so
       v >= threshold: a spike; v = v_reset, or v -= threshold

   with v a float, the factor rounded to float, its product and the sum each rounded once, and the
   sum over inputs exact: weights are multiples of a power of two, counted in integers. A potential
   below 1e-30 is 0. So the order of events within a step, the instruction set and the way in which
   a layer is computed (>>conv: few inputs touch only their footprints, many are summed window by
   window) never change a spike. */

typedef struct spk_conv spk_conv;

typedef enum spk_conv_kind {
    SPK_CONV_2D = 0,   /* cross-correlation, then neurons */
    SPK_CONV_SUM_POOL, /* sums of windows, a channel each; no neurons */
    SPK_CONV_DENSE,    /* every input to every neuron; kernel, stride and padding are left 0 */
    SPK_CONV_FORCE_32_BIT = 0x7fffffff
} spk_conv_kind;

typedef enum spk_conv_reset {
    SPK_CONV_RESET_TO = 0,   /* v = v_reset */
    SPK_CONV_RESET_SUBTRACT, /* v = v - threshold; what is left may spike in the neuron's next step
                                with input */
    SPK_CONV_RESET_FORCE_32_BIT = 0x7fffffff
} spk_conv_reset;

/* Zero is the default of every field. Output: floor((in + 2 padding - kernel) / stride) + 1. */
typedef struct spk_conv_layer {
    const char *name;              /* in errors; default: "" */
    spk_conv_kind kind;            /* default: SPK_CONV_2D */
    uint32_t channels;             /* out: 1 to 4,096 (dense: neurons); a pool has those it gets */
    uint32_t kernel_x, kernel_y;   /* kernel_y default: kernel_x */
    uint32_t stride_x, stride_y;   /* default: 1, of a pool its kernel; stride_y: as stride_x */
    uint32_t padding_x, padding_y; /* zeros at each side; default: 0 */
    const float *weights; /* [channels][channels in][kernel_y][kernel_x], as NIR and PyTorch
                             have them; dense: [channels][channels in][height][width] */
    size_t weight_count;  /* has to be the product of these */
    double tau_us;        /* of the leak; default: 10,000; 1e300 and more: none */
    double threshold;     /* default: 1 */
    double v_reset;       /* below the threshold; default: 0 */
    double v_min;         /* floor of the potential, negative; default: none */
    double refractory_us; /* after a spike, input is ignored; rounded to steps; default: 0 */
    spk_conv_reset reset; /* default: SPK_CONV_RESET_TO */
    double full_above;    /* active inputs of a step, as a share of all inputs, above which
                             the layer is computed window by window; default: where that is
                             faster, as measured; 1e9: never */
} spk_conv_layer;

/* The spikes of one layer in one step, neurons ascending. `step` is stamped as everywhere: the
   spikes happened at origin + step * dt_us, the end of the step that found them. Thread: the
   caller's. Ownership: `neurons` is valid during the call, which may not feed or destroy. */
typedef void (*spk_conv_fn)(void *ctx, uint32_t layer, uint64_t step, const uint32_t *neurons,
                            size_t count);

typedef struct spk_conv_desc {
    uint32_t begin_sentinel;      /* leave 0 */
    uint32_t width, height;       /* of the sensor: 1 to 65,535 */
    uint32_t polarities;          /* input channels: 1 (both the same) or 2 (OFF, ON); default: 2 */
    uint32_t dt_us;               /* length of a step; default: 1,000 */
    bool origin_given;            /* default: the first event's time is the origin */
    int64_t origin_us;            /* time at which step 0 begins */
    spk_late late;                /* default: SPK_LATE_NEXT */
    const spk_conv_layer *layers; /* the last has neurons; copied, weights and names included */
    size_t layer_count;           /* 1 to 64 */
    spk_conv_fn spikes;           /* default: none */
    void *ctx;
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_conv_desc;

/* Fills in the defaults where a field is 0. Errors: NULL, sentinels. Thread: any. */
SPIKELIB_API spk_result spk_conv_desc_defaults(spk_conv_desc *desc);
/* Layers ready to be fed, or NULL if there is no memory for their object itself. All else that is
   wrong is remembered: spk_conv_status and spk_conv_error tell, and feeding returns it.
   Errors: sizes that leave nothing or are absurd (at most 32 outputs an input, each way), a weight
   that is not finite, a count that is not that of the layer, weights whose sum could leave 32 bits,
   no memory, an instruction set that is not there.
   Thread: one object, one thread at a time. Cost: afterwards feeding allocates nothing. */
SPIKELIB_API spk_conv *spk_conv_create(const spk_conv_desc *desc);
/* NULL is fine. */
SPIKELIB_API void spk_conv_destroy(spk_conv *conv);
/* SPK_OK, or what went wrong when it was created. */
SPIKELIB_API spk_result spk_conv_status(const spk_conv *conv);
/* A sentence about the last error; "" if there was none. Ownership: the object's. */
SPIKELIB_API const char *spk_conv_error(const spk_conv *conv);

/* Takes events: those of a step that is over are computed, those of the step that the last event
   falls into wait for the rest of it. Triggers are ignored; events outside the sensor and late ones
   are counted. However a stream is cut into calls, the spikes are the same.
   Errors: those of spk_conv_create, NULL, a late event where SPK_LATE_ERROR says so; nothing is
   taken then. Ownership: `events` is the caller's. */
SPIKELIB_API spk_result spk_conv_feed(spk_conv *conv, const spk_event *events, size_t count);
/* Finishes all steps that end at or before t_us. */
SPIKELIB_API spk_result spk_conv_run_until_us(spk_conv *conv, int64_t t_us);
/* Finishes the step that is open, if events wait in it: at the end of a recording. */
SPIKELIB_API spk_result spk_conv_flush(spk_conv *conv);
/* Potentials, counters, digests, time and origin as they were when it was created. */
SPIKELIB_API spk_result spk_conv_restart(spk_conv *conv);

typedef struct spk_conv_info {
    uint64_t steps;                 /* finished */
    uint64_t events, late, outside; /* events: all that acted */
    int64_t origin_us;              /* 0 before the first event, unless it was given */
    uint32_t layers, dt_us;
    spk_isa isa;
    uint64_t bytes; /* of memory */
} spk_conv_info;
SPIKELIB_API spk_result spk_conv_get_info(const spk_conv *conv, spk_conv_info *info);

typedef struct spk_conv_layer_info {
    uint32_t width, height,
        channels;            /* out; neuron (c, y, x) is number (c * height + y) * width + x */
    uint64_t inputs;         /* events or spikes that came in so far */
    uint64_t spikes, digest; /* so far; digest: XXH64 of (step, neuron), as of networks */
    uint64_t sparse_steps, full_steps; /* steps with input, by the way they were computed */
    double quantum;                    /* what the weights are multiples of */
} spk_conv_layer_info;
/* Errors: NULL, no such layer. Pools have a shape only. */
SPIKELIB_API spk_result spk_conv_get_layer(const spk_conv *conv, size_t layer,
                                           spk_conv_layer_info *info);
/* Spikes of each neuron so far, and the potentials at the end of the last finished step.
   Shape: `count` is the number of neurons of the layer, [channels][height][width]. Errors: NULL,
   no such layer, a pool, another count. Ownership: the arrays are the caller's. */
SPIKELIB_API spk_result spk_conv_spike_counts(const spk_conv *conv, size_t layer, uint32_t *counts,
                                              size_t count);
SPIKELIB_API spk_result spk_conv_potentials(const spk_conv *conv, size_t layer, float *potentials,
                                            size_t count);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC /* what they call is another function in each file */
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_result spk_conv_desc_defaults(spk_conv_desc &desc)
{
    return spk_conv_desc_defaults(&desc);
}
SPKI_OVERLOAD spk_conv *spk_conv_create(const spk_conv_desc &desc)
{
    return spk_conv_create(&desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
