/* ---- >>net: describing, building and running a network ---- */
#ifndef SPIKELIB_API_NET_H
#define SPIKELIB_API_NET_H

#include "base.h"

/* -- values: "a number for each neuron or synapse" -- */

typedef enum spk_value_kind {
    SPK_VALUE_DEFAULT = 0, /* the default of the field or parameter */
    SPK_VALUE_CONSTANT,
    SPK_VALUE_UNIFORM,     /* uniform in [a, b) */
    SPK_VALUE_NORMAL,      /* mean a, standard deviation b, kept within [lo, hi] by redrawing */
    SPK_VALUE_LOGNORMAL,   /* exp(normal(a, b)) */
    SPK_VALUE_ARRAY,       /* one number each, copied by the call */
    SPK_VALUE_FUNCTION,    /* fn(ctx, source, target), or fn(ctx, neuron, neuron) */
    SPK_VALUE_FORCE_32_BIT = 0x7fffffff
} spk_value_kind;

/* Called on any of spikelib's threads while building, at the same time for different synapses: it
   must depend on its arguments alone. Indices count within the views given to the call. */
typedef double (*spk_value_fn)(void *ctx, uint32_t source, uint32_t target);

typedef struct spk_value {
    spk_value_kind kind;
    uint32_t reserved;
    double a, b, lo, hi;
    const double *array;
    size_t count;
    spk_value_fn fn;
    void *ctx;
} spk_value;

SPIKELIB_API spk_value spk_constant(double value);
SPIKELIB_API spk_value spk_uniform(double low, double high);
SPIKELIB_API spk_value spk_normal(double mean, double sd);
/* Normal, redrawn until it lies within [low, high]. */
SPIKELIB_API spk_value spk_normal_clipped(double mean, double sd, double low, double high);
/* exp(x), x normal with mean mu and standard deviation sigma. */
SPIKELIB_API spk_value spk_lognormal(double mu, double sigma);
/* Shape: `count` is the number of neurons (or of synapses of an explicit list). */
SPIKELIB_API spk_value spk_array(const double *values, size_t count);
SPIKELIB_API spk_value spk_function(spk_value_fn fn, void *ctx);

/* Readable units: what the built-in models expect. */
#define SPK_MS(x) spk_constant(x)
#define SPK_MV(x) spk_constant(x)
#define SPK_PA(x) spk_constant(x)
#define SPK_PF(x) spk_constant(x)
#define SPK_NS(x) spk_constant(x)
#define SPK_HZ(x) spk_constant(x)

/* One parameter or initial state, by name; lists end with a NULL name. */
typedef struct spk_set {
    const char *name;
    spk_value value;
} spk_set;
#ifdef __cplusplus
struct spki_set_list {
    spk_set item[32];
};
#define SPK_SET(...) (spki_set_list{{__VA_ARGS__}}.item)
#else
#define SPK_SET(...) ((const spk_set[]){__VA_ARGS__, {0}})
#endif

/* -- models -- */

/* A neuron model: built in (below), or made by SPIKELIB_NEURON (>>models). */
typedef const struct spk_model_def *spk_model;

/* name, parameters with defaults and units, states and receptors: see spk_model_describe. */
#define SPIKELIB_MODEL_LIST(X)                                                                    \
    X(LIF_EXP, lif_exp)           /* leaky integrate-and-fire, one exponential current */         \
    X(LIF_EXP2, lif_exp2)         /* the same, tau_syn_ex and tau_syn_in */                       \
    X(LIF_ALPHA, lif_alpha)       /* alpha-shaped currents, tau_syn_ex and tau_syn_in */          \
    X(LIF_DELTA, lif_delta)       /* a weight is a jump of the membrane potential, in mV */       \
    X(LIF_COND, lif_cond)         /* conductance based, exponential, two receptors */             \
    X(LIF_ADAPT, lif_adapt)       /* adaptive threshold, one exponential current */               \
    X(ADEX, adex)                 /* Brette and Gerstner 2005, exponential conductances */        \
    X(IZHIKEVICH, izhikevich)     /* Izhikevich 2003; coefficients, order, sub-steps free */      \
    X(HH, hh)                     /* Hodgkin-Huxley, Traub-Miles rates, two conductances */       \
    X(POISSON, poisson)           /* a source that spikes with a rate */                          \
    X(SPIKE_LIST, spike_list)     /* a source that spikes when told (spk_net_spike_list) */       \
    X(PARROT, parrot)             /* repeats its input one step later */

typedef enum spk_model_id {
#define SPKI_MODEL_ENUM(upper, lower) SPK_MODEL_##upper,
    SPIKELIB_MODEL_LIST(SPKI_MODEL_ENUM)
#undef SPKI_MODEL_ENUM
    SPK_MODEL_COUNT,
    SPK_MODEL_FORCE_32_BIT = 0x7fffffff
} spk_model_id;

#define SPK_LIF_EXP spk_model_builtin(SPK_MODEL_LIF_EXP)
#define SPK_LIF_EXP2 spk_model_builtin(SPK_MODEL_LIF_EXP2)
#define SPK_LIF_ALPHA spk_model_builtin(SPK_MODEL_LIF_ALPHA)
#define SPK_LIF_DELTA spk_model_builtin(SPK_MODEL_LIF_DELTA)
#define SPK_LIF_COND spk_model_builtin(SPK_MODEL_LIF_COND)
#define SPK_LIF_ADAPT spk_model_builtin(SPK_MODEL_LIF_ADAPT)
#define SPK_ADEX spk_model_builtin(SPK_MODEL_ADEX)
#define SPK_IZHIKEVICH spk_model_builtin(SPK_MODEL_IZHIKEVICH)
#define SPK_HH spk_model_builtin(SPK_MODEL_HH)
#define SPK_POISSON spk_model_builtin(SPK_MODEL_POISSON)
#define SPK_SPIKE_LIST spk_model_builtin(SPK_MODEL_SPIKE_LIST)
#define SPK_PARROT spk_model_builtin(SPK_MODEL_PARROT)

/* NULL for an unknown id. Thread: any. */
SPIKELIB_API spk_model spk_model_builtin(spk_model_id id);
SPIKELIB_API const char *spk_model_name(spk_model model);
/* Writes a text of all parameters (default, unit), states, receptors and the equations as they
   run. Returns the length it would have without the limit, like snprintf. Thread: any. */
SPIKELIB_API size_t spk_model_describe(spk_model model, char *buffer, size_t size);

/* -- the network -- */

typedef enum spk_precision {
    SPK_FLOAT32 = 0,
    SPK_FLOAT64 = 1,
    SPK_FLOAT16 = 2, /* stored in 16 bits relative to the resting potential and rounded
                        stochastically; computed in 32 */
    SPK_PRECISION_FORCE_32_BIT = 0x7fffffff
} spk_precision;

/* Called with a line of text when something is worth telling (never per step). */
typedef void (*spk_log_fn)(void *ctx, spk_result severity, const char *line);

typedef struct spk_net_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t threads;            /* default: 1 */
    double dt_ms;                /* default: 0.1 ms */
    uint64_t seed;               /* default: 0, a seed like any other */
    spk_precision precision;     /* default: SPK_FLOAT32 */
    uint32_t weight_bits;        /* 16 or 32; default: 16 (4-byte synapses; 32: 8-byte) */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    uint32_t max_delay_steps;    /* longest delay that may be asked for; default: 1,024 */
    spk_allocator allocator;     /* default: malloc and free */
    size_t memory_limit;         /* bytes in all; default: no limit */
    spk_executor executor;       /* default: own threads */
    spk_log_fn log;              /* default: none */
    void *log_ctx;
    uint32_t end_sentinel;       /* leave 0 */
} spk_net_desc;

typedef struct spk_net spk_net;

/* A population, a part of one, or a union: a view of neurons. Zero is "no population". */
typedef struct spk_pop {
    uint32_t net, index;
} spk_pop;

/* Fills in the defaults where a field is 0. Errors: NULL, range, sentinels. */
SPIKELIB_API spk_result spk_net_desc_defaults(spk_net_desc *desc);

/* A network, or NULL if there is no memory for one. A bad descriptor is remembered as the first
   error (spk_net_error) and returned by spk_net_build. NULL: all defaults.
   Thread: one network, one thread at a time; different networks at the same time. */
SPIKELIB_API spk_net *spk_net_create(const spk_net_desc *desc);
SPIKELIB_API void spk_net_destroy(spk_net *net);

/* The first error of the calls that described the network, or the last of the others: a sentence
   that names the object and the value. "" if there was none. Valid until the next call. */
SPIKELIB_API const char *spk_net_error(const spk_net *net);
SPIKELIB_API spk_result spk_net_status(const spk_net *net);

/* `count` neurons of a model. `set` may be NULL: the model's defaults. Names are copied.
   Errors: a name that the model has not (the message lists the right ones), a value it refuses. */
SPIKELIB_API spk_pop spk_net_add(spk_net *net, const char *name, size_t count, spk_model model,
                                 const spk_set *set);
/* Neurons first .. first + count - 1 of a view; the neurons of both views in ascending order of
   their ids, each once. Views may be made before and after building. */
SPIKELIB_API spk_pop spk_net_slice(spk_net *net, spk_pop pop, size_t first, size_t count);
SPIKELIB_API spk_pop spk_net_union(spk_net *net, spk_pop a, spk_pop b);
SPIKELIB_API size_t spk_net_pop_size(const spk_net *net, spk_pop pop);
/* The network-wide id of neuron `index` of a view (UINT32_MAX if there is none), which is what
   spikes carry. Ids count up in the order of spk_net_add. */
SPIKELIB_API uint32_t spk_net_pop_id(const spk_net *net, spk_pop pop, size_t index);

typedef enum spk_rule {
    SPK_ONE_TO_ONE = 0,
    SPK_ALL_TO_ALL,
    SPK_BERNOULLI,       /* each pair with probability p */
    SPK_FIXED_INDEGREE,  /* k sources for each target */
    SPK_FIXED_OUTDEGREE, /* k targets for each source */
    SPK_FIXED_TOTAL,     /* `total` synapses, source and target drawn independently */
    SPK_COO,             /* explicit: `sources[i]` -> `targets[i]`, `total` of them */
    SPK_CSR,             /* explicit: targets[row_offsets[s] .. row_offsets[s + 1]) of source s */
    SPK_CALLBACK,        /* asks `row` for the targets of each source */
    SPK_RULE_FORCE_32_BIT = 0x7fffffff
} spk_rule;

/* Handed to a row callback: it calls spk_row_add for each synapse of `source`. */
typedef struct spk_row spk_row;
typedef void (*spk_row_fn)(void *ctx, uint32_t source, spk_row *row);
/* Units: as spk_conn_desc. Bad arguments make spk_net_build fail with the reason. */
SPIKELIB_API void spk_row_add(spk_row *row, uint32_t target, double weight, double delay_ms);

typedef struct spk_conn_desc {
    uint32_t begin_sentinel;      /* leave 0 */
    spk_rule rule;                /* default: SPK_ONE_TO_ONE */
    double p;                     /* SPK_BERNOULLI */
    size_t k;                     /* SPK_FIXED_INDEGREE, SPK_FIXED_OUTDEGREE */
    uint64_t total;               /* SPK_FIXED_TOTAL, SPK_COO */
    bool no_autapses;             /* default: a neuron may target itself */
    bool no_multapses;            /* default: a pair may be drawn more than once */
    spk_value weight;             /* default: 1; the receptor's unit (pA, mV, nS) */
    spk_value delay_ms;           /* default: one step; rounded to the nearest step; drawn delays
                                     are redrawn where they round to less than one */
    const char *receptor;         /* default: by sign, where the model has two */
    const uint32_t *sources;      /* SPK_COO; indices count within the view; copied */
    const uint32_t *targets;      /* SPK_COO, SPK_CSR */
    const uint64_t *row_offsets;  /* SPK_CSR: sources + 1 of them */
    spk_row_fn row;               /* SPK_CALLBACK */
    void *row_ctx;
    uint32_t end_sentinel;        /* leave 0 */
} spk_conn_desc;

/* Cost: 4 bytes a synapse (8 with 32-bit weights) once built. NULL desc: one to one. */
SPIKELIB_API spk_result spk_net_connect(spk_net *net, spk_pop source, spk_pop target,
                                        const spk_conn_desc *desc);

/* -- drives -- */

typedef struct spk_poisson_desc {
    spk_value rate_hz;    /* events per second and neuron, each neuron its own train */
    spk_value weight;     /* constant or per neuron; default: 1 */
    const char *receptor; /* default: by the sign of the weight */
    double start_ms;      /* default: 0 */
    double stop_ms;       /* default: never */
} spk_poisson_desc;
SPIKELIB_API spk_result spk_net_drive_poisson(spk_net *net, spk_pop target,
                                              const spk_poisson_desc *desc);

typedef struct spk_current_desc {
    spk_value amplitude; /* pA (the model's unit of current), constant or per neuron */
    double start_ms;     /* default: 0; acts in the steps that begin in [start, stop) */
    double stop_ms;      /* default: never */
    double noise_sd;     /* standard deviation of Gaussian noise, redrawn every noise_dt_ms */
    double noise_dt_ms;  /* default: one step */
} spk_current_desc;
SPIKELIB_API spk_result spk_net_drive_current(spk_net *net, spk_pop target,
                                              const spk_current_desc *desc);

/* When the neurons of an SPK_SPIKE_LIST population spike: `count` pairs, in any order. Times are
   rounded to steps; a spike at t ms is stamped with step t / dt. Before or after building; adds
   to what is there. Errors: a time at or before the network's own, a neuron outside the view. */
SPIKELIB_API spk_result spk_net_spike_list(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                           const double *times_ms, size_t count);

/* -- recording -- */

typedef struct spk_spike {
    uint64_t step; /* time_ms = step * dt: the end of the step in which it was found */
    uint32_t neuron;
    uint32_t reserved;
} spk_spike;

typedef enum spk_rec_kind {
    SPK_REC_SPIKES = 0,
    SPK_REC_STATE,   /* a state (or parameter) of each neuron of the view */
    SPK_REC_RATE,    /* spikes per second and neuron of the whole view, in bins */
    SPK_REC_WEIGHTS, /* of all synapses from the view to `post` */
    SPK_REC_FORCE_32_BIT = 0x7fffffff
} spk_rec_kind;

typedef enum spk_sink {
    SPK_SINK_MEMORY = 0, /* grows (through the allocator) unless `capacity` is given */
    SPK_SINK_RING,       /* `capacity` items; drained by spk_rec_read, from any one thread */
    SPK_SINK_CALLBACK,   /* on the caller's thread, in (step, neuron) order */
    SPK_SINK_FILE,       /* spikes: 12-byte records of the digest; samples: doubles, row by row */
    SPK_SINK_FORCE_32_BIT = 0x7fffffff
} spk_sink;

/* Spikes: `items` points to `count` spk_spike. Samples: to `count` doubles of one sample, taken
   at the end of `step`. Returning false stops the run with SPK_ERR_FULL; the same items come
   again. */
typedef bool (*spk_rec_fn)(void *ctx, uint64_t step, const void *items, size_t count);

typedef struct spk_rec_desc {
    uint32_t begin_sentinel; /* leave 0 */
    spk_rec_kind kind;       /* default: spikes */
    spk_sink sink;           /* default: memory */
    const char *state;       /* SPK_REC_STATE: "v" */
    spk_pop post;            /* SPK_REC_WEIGHTS */
    double interval_ms;      /* sampling interval or bin; default: 1 step (rates: 1 ms) */
    size_t capacity;         /* spikes or samples; default: memory grows, a ring has 65,536 */
    const char *path;        /* SPK_SINK_FILE */
    spk_rec_fn callback;     /* SPK_SINK_CALLBACK */
    void *ctx;
    uint32_t end_sentinel;   /* leave 0 */
} spk_rec_desc;

typedef struct spk_rec_data *spk_rec; /* owned by the network; NULL after an error */

SPIKELIB_API spk_rec spk_net_record(spk_net *net, spk_pop pop, const spk_rec_desc *desc);
SPIKELIB_API spk_rec spk_net_record_spikes(spk_net *net, spk_pop pop);

/* What was recorded so far. Memory sinks only, valid until the next run or clear; NULL and 0
   otherwise. Samples: row k holds `width` doubles, taken at the end of step first + k * every. */
SPIKELIB_API const spk_spike *spk_rec_spikes(spk_rec rec, size_t *count);
SPIKELIB_API const double *spk_rec_samples(spk_rec rec, size_t *rows, size_t *width);
SPIKELIB_API uint64_t spk_rec_sample_step(spk_rec rec, size_t row);
/* Forgets the spikes and samples, keeps the digest and the counts. */
SPIKELIB_API void spk_rec_clear(spk_rec rec);
/* Takes up to `count` spikes (rows) out of a ring. Thread: one reader, also during a run. */
SPIKELIB_API size_t spk_rec_read(spk_rec rec, void *items, size_t count);
/* Over all that was recorded since the start: spikes, mean rate in Hz, digest (XXH64). */
SPIKELIB_API uint64_t spk_rec_count(spk_rec rec);
SPIKELIB_API double spk_rec_rate_hz(spk_rec rec);
SPIKELIB_API uint64_t spk_rec_digest(spk_rec rec);
SPIKELIB_API double spk_rec_dt_ms(spk_rec rec);
/* First and past-the-last id, size of the recorded view. */
SPIKELIB_API uint32_t spk_rec_first_id(spk_rec rec);
SPIKELIB_API uint32_t spk_rec_end_id(spk_rec rec);
SPIKELIB_API size_t spk_rec_width(spk_rec rec);

/* -- running -- */

/* Draws the connectivity and allocates all that stepping needs. Called by the first run. */
SPIKELIB_API spk_result spk_net_build(spk_net *net);
/* Advances by the given time (rounded to steps). After SPK_ERR_FULL or SPK_ERR_IO of a recorder
   the network stands at the end of a step, nothing is lost, and the next run goes on. */
SPIKELIB_API spk_result spk_net_run(spk_net *net, double duration_ms);
SPIKELIB_API spk_result spk_net_run_steps(spk_net *net, uint64_t steps);
SPIKELIB_API uint64_t spk_net_step(const spk_net *net); /* steps done so far */
SPIKELIB_API double spk_net_time_ms(const spk_net *net);

/* Between runs. States and parameters by name; Shape: `count` doubles, one a neuron of the view.
   Setting a parameter computes what is derived from it again. */
SPIKELIB_API spk_result spk_net_get(spk_net *net, spk_pop pop, const char *name, double *values,
                                    size_t count);
SPIKELIB_API spk_result spk_net_set(spk_net *net, spk_pop pop, const char *name,
                                    const double *values, size_t count);
/* Makes neurons spike in the coming step, besides what their model says (indices in the view). */
SPIKELIB_API spk_result spk_net_inject_spikes(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                              size_t count);
/* Adds to a receptor's input in the coming step. Units: as a weight. NULL receptor: by sign. */
SPIKELIB_API spk_result spk_net_inject_input(spk_net *net, spk_pop pop, const char *receptor,
                                             const double *amounts, size_t count);
/* A current for each neuron of the view, held until it is set again. Units: pA. */
SPIKELIB_API spk_result spk_net_inject_current(spk_net *net, spk_pop pop, const double *currents,
                                               size_t count);

typedef struct spk_synapse {
    uint32_t source, target; /* network-wide ids */
    uint32_t delay_steps, receptor;
    double weight;
} spk_synapse;
/* All synapses from one view to another, in (source, target, delay, weight) order: how many, and
   the first `capacity` of them. After building. Cost: reads all rows of the sources. */
SPIKELIB_API spk_result spk_net_synapses(spk_net *net, spk_pop source, spk_pop target,
                                         spk_synapse *synapses, size_t capacity, size_t *count);
/* New weights for all of them, in that order. Errors: a weight that the stored format cannot
   hold, or of a sign that belongs to another receptor. */
SPIKELIB_API spk_result spk_net_set_weights(spk_net *net, spk_pop source, spk_pop target,
                                            const double *weights, size_t count);

/* XXH64 of all states in order: finds the first step that differs between two runs. */
SPIKELIB_API uint64_t spk_net_state_digest(spk_net *net);

typedef struct spk_net_info {
    uint64_t neurons, synapses, steps, spikes, events; /* events: synapses delivered */
    uint64_t bytes_now, bytes_peak, bytes_synapses;    /* through the allocator */
    double build_s, run_s;                             /* wall time of builds and runs so far */
    double deliver_s, update_s;                        /* of all threads; 0 unless profiling */
    uint32_t threads, tiles, min_delay_steps, max_delay_steps;
    uint32_t weight_bits, accumulator_bits;
    spk_isa isa;
    spk_precision precision;
} spk_net_info;
SPIKELIB_API spk_result spk_net_get_info(const spk_net *net, spk_net_info *info);
/* Measures deliver_s and update_s from now on. Cost: two clock reads a step and thread. */
SPIKELIB_API spk_result spk_net_profile(spk_net *net, bool on);
/* Populations, projections and the layout chosen, as text; returns the length like snprintf. */
SPIKELIB_API size_t spk_net_describe(const spk_net *net, char *buffer, size_t size);

#endif
