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

/* Indices count within the views given to the call. Thread: any of spikelib's, several at the same
   time and more than once for a synapse: it must depend on its arguments alone. Ownership: `ctx`
   is kept, not copied: it lives until the network is built. */
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

/* These only fill in a struct; the call that takes it checks it and names what is wrong.
   Thread: any. */
SPIKELIB_API spk_value spk_constant(double value);
SPIKELIB_API spk_value spk_uniform(double low, double high);
SPIKELIB_API spk_value spk_normal(double mean, double sd);
/* Normal, redrawn until it lies within [low, high]. */
SPIKELIB_API spk_value spk_normal_clipped(double mean, double sd, double low, double high);
/* exp(x), x normal with mean mu and standard deviation sigma. */
SPIKELIB_API spk_value spk_lognormal(double mu, double sigma);
/* Shape: `count` is the number of neurons (or of synapses of an explicit list). Ownership: not
   copied here, but by the call that takes the value; until then it has to stay. */
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
    X(ADEX, adex)                 /* Brette and Gerstner 2005; an exponential current (pA) */     \
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
/* "lif_exp". "" for NULL. Thread: any. */
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

/* Called with a line of text when something is worth telling (never per step). Thread: the
   caller's. Ownership: `line` is valid during the call. */
typedef void (*spk_log_fn)(void *ctx, spk_result severity, const char *line);

/* A compute device that runs the network: spikelib_cl.h makes one. */
typedef struct spk_backend spk_backend;

/* Where the connectivity of a network on a device is drawn. A device can do it where projections
   follow rules and their weights and delays are constants or distributions. With a list, an array,
   a function, a callback, a fixed number without multapses, 32-bit weights or a recorder of weights
   the host draws all. The synapses are the same. Of what a device drew the host draws a copy when
   it needs one: when synapses are read or set, or the CPU goes on after an error. */
typedef enum spk_construction {
    SPK_CONSTRUCTION_AUTO = 0, /* GPUs draw 10 million synapses and more */
    SPK_CONSTRUCTION_HOST,
    SPK_CONSTRUCTION_DEVICE,   /* wherever it can; spk_net_describe says where it could not */
    SPK_CONSTRUCTION_FORCE_32_BIT = 0x7fffffff
} spk_construction;

typedef struct spk_net_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t threads;            /* default: 1 */
    double dt_ms;                /* default: 0.1 ms */
    uint64_t seed;               /* default: 0, a seed like any other */
    spk_precision precision;     /* default: SPK_FLOAT32 */
    /* SPK_FLOAT16 only: so many neurons of each population (in groups of 64, spread over it) are
       computed with 32 bits too, on the same inputs. Once 16 bits have gone further away from them
       than tolerated, all states go over to 32 bits for good; spk_net_error, the log,
       spk_net_describe and spk_net_info say when and why. */
    uint32_t shadow;             /* default: 0, none */
    double shadow_ms;            /* how often they are compared; default: 100 ms */
    double shadow_rate_error;    /* difference of the numbers of spikes, by the shadow's or by one a
                                    neuron if that is more; default: 0.05 */
    double shadow_v_error;       /* mean distance of the state v; default: 0.5, the model's unit */
    uint32_t weight_bits;        /* 8, 16 or 32; default: 16 (4-byte synapses; 32: 8-byte; 8: on a
                                    device 3-byte where four arrive together) */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    uint32_t max_delay_steps;    /* longest delay that may be asked for; default: 1,024 */
    spk_allocator allocator;     /* default: malloc and free */
    size_t memory_limit;         /* bytes in all; default: no limit */
    spk_executor executor;       /* default: own threads */
    spk_log_fn log;              /* default: none */
    void *log_ctx;
    spk_backend *backend;        /* default: none, the CPU runs it. The network's from now on */
    uint32_t end_sentinel;       /* leave 0 */
} spk_net_desc;

typedef struct spk_net spk_net;

/* A population, a part of one, or a union: a view of neurons. Zero is "no population". */
typedef struct spk_pop {
    uint32_t net, index;
} spk_pop;

/* Fills in the defaults where a field is 0. Errors: NULL, range, sentinels; the descriptor is
   then as it was. Thread: any. */
SPIKELIB_API spk_result spk_net_desc_defaults(spk_net_desc *desc);

/* A network, or NULL if there is no memory for one. A bad descriptor is remembered as the first
   error (spk_net_error) and returned by spk_net_build. NULL: all defaults.
   Thread: one network, one thread at a time; different networks at the same time. This holds for
   all functions that take a network or a recorder, unless they say otherwise.
   Ownership: the caller's, until spk_net_destroy. The network owns its recorders and copies of all
   names and arrays that it is given; of callbacks and contexts it keeps the pointers. */
SPIKELIB_API spk_net *spk_net_create(const spk_net_desc *desc);
/* Ends its threads, closes its files and frees all, the recorders and what they handed out
   included. NULL is fine. Errors: none; a run reports what could not be written. */
SPIKELIB_API void spk_net_destroy(spk_net *net);

/* The first error of the calls that described the network, or the last of the others: a sentence
   that names the object and the value. "" if there was none. Ownership: the network's, valid until
   the next call. */
SPIKELIB_API const char *spk_net_error(const spk_net *net);
/* The result that goes with the sentence while the network is described; SPK_OK if none failed. */
SPIKELIB_API spk_result spk_net_status(const spk_net *net);

/* `count` neurons of a model. `set` may be NULL: the model's defaults.
   Errors: a name that the model has not (the message lists the right ones), a value it refuses, a
   network that is built; "no population" is returned and the network remembers why.
   Ownership: names and arrays are copied. Cost: a state of each neuron, and 8 bytes for a parameter
   that differs between them. */
SPIKELIB_API spk_pop spk_net_add(spk_net *net, const char *name, size_t count, spk_model model,
                                 const spk_set *set);
/* Neurons first .. first + count - 1 of a view; the neurons of both views in ascending order of
   their ids, each once. Views may be made before and after building. Errors: neurons outside the
   view, a view of another network: "no population". Ownership: views live as the network does. */
SPIKELIB_API spk_pop spk_net_slice(spk_net *net, spk_pop pop, size_t first, size_t count);
SPIKELIB_API spk_pop spk_net_union(spk_net *net, spk_pop a, spk_pop b);
/* Neurons of a view; 0 where it is none of this network's. */
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

/* Handed to a row callback: it calls spk_row_add for each synapse of `source`. Thread: any of
   spikelib's, several at the same time; called more than once for a source (once to count, once a
   tile): it must depend on its arguments alone. Ownership: `row` is valid during the call; `ctx`
   is kept and has to live until the network is built. */
typedef struct spk_row spk_row;
typedef void (*spk_row_fn)(void *ctx, uint32_t source, spk_row *row);
/* Units: as spk_conn_desc; `target` counts within the view. Errors: bad arguments make
   spk_net_build fail with the reason. Thread: that of the callback. */
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

/* Synapses from one view to another, drawn when the network is built. NULL desc: one to one.
   Weights: all 16-bit weights of the projections that reach a receptor share one resolution: the
   largest weight / 32,767, rounded up to a power of two (8-bit weights: the largest / 127). A
   weight too small for it is an error that says so (weight_bits = 32 resolves 65,536 times finer).
   Errors: a bad descriptor, a view of another network, a receptor that a target has not, a network
   that is built. Ownership: names and arrays are copied. Cost: once built 4 bytes a synapse (8 with
   32-bit weights), 4 a bucket (a source with a delay), and 4 a neuron and tile. */
SPIKELIB_API spk_result spk_net_connect(spk_net *net, spk_pop source, spk_pop target,
                                        const spk_conn_desc *desc);

/* -- drives -- */

/* Input of its own for each neuron, which costs no synapses. Drives add up.
   Errors: a negative or absurd rate, start after stop, a receptor that the model has not, a
   network that is built. Ownership: names and arrays are copied.
   Cost: a random draw a neuron and step. */
typedef struct spk_poisson_desc {
    spk_value rate_hz;    /* events per second and neuron, each neuron its own train */
    spk_value weight;     /* constant or per neuron; default: 1 */
    const char *receptor; /* default: by the sign of the weight */
    double start_ms;      /* default: 0 */
    double stop_ms;       /* default: never */
} spk_poisson_desc;
SPIKELIB_API spk_result spk_net_drive_poisson(spk_net *net, spk_pop target,
                                              const spk_poisson_desc *desc);

/* Errors: a model without an input for currents; else as above. Cost: an addition a neuron and
   step; a normal number a neuron every noise_dt_ms. */
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
   to what is there. Errors: a time at or before the network's own, a neuron outside the view.
   Ownership: both arrays are copied. Cost: 12 bytes a spike, and a sort. */
SPIKELIB_API spk_result spk_net_spike_list(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                           const double *times_ms, size_t count);

/* -- recording -- */

typedef enum spk_rec_kind {
    SPK_REC_SPIKES = 0,
    SPK_REC_STATE,   /* a state (or parameter) of each neuron of the view */
    SPK_REC_RATE,    /* spikes per second and neuron of the whole view, in bins */
    SPK_REC_WEIGHTS, /* of all synapses from the view to `post`: columns in the order of
                        spk_net_synapses */
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
   again. Thread: the caller's; it may not run or change the network. Ownership: `items` is valid
   during the call. */
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

/* Records a view from now on, also after building. NULL desc: spikes, in memory. Errors: NULL is
   returned and the network remembers why (a state that a model has not, a file that cannot be
   opened, no memory). Ownership: the network's; names are copied.
   Cost: 16 bytes a spike, 8 a sample and neuron; nothing for neurons that are not recorded. */
SPIKELIB_API spk_rec spk_net_record(spk_net *net, spk_pop pop, const spk_rec_desc *desc);
SPIKELIB_API spk_rec spk_net_record_spikes(spk_net *net, spk_pop pop);

/* What was recorded so far: memory sinks only, NULL and 0 otherwise. Shape: `count` spikes in
   (step, neuron) order; `rows` rows of `width` doubles, row k taken at the end of step
   spk_rec_sample_step(rec, k). Ownership: the recorder's, valid until the next run, clear or
   destroy. */
SPIKELIB_API const spk_spike *spk_rec_spikes(spk_rec rec, size_t *count);
SPIKELIB_API const double *spk_rec_samples(spk_rec rec, size_t *rows, size_t *width);
/* 0 where there is no such row. */
SPIKELIB_API uint64_t spk_rec_sample_step(spk_rec rec, size_t row);
/* Forgets the spikes and samples, keeps the digest and the counts. */
SPIKELIB_API void spk_rec_clear(spk_rec rec);
/* Takes up to `count` spikes (rows) out of a ring and returns how many. Shape: `items` has room for
   `count` spk_spike (rows of spk_rec_width doubles). Thread: one reader, any, also during a run.
   Ownership: `items` is the caller's. */
SPIKELIB_API size_t spk_rec_read(spk_rec rec, void *items, size_t count);
/* Over all that was recorded since the start: spikes, mean rate, digest (XXH64, >>random). Units:
   spikes per second and neuron. Cost: of a digest, none; it is kept up while recording. */
SPIKELIB_API uint64_t spk_rec_count(spk_rec rec);
SPIKELIB_API double spk_rec_rate_hz(spk_rec rec);
SPIKELIB_API uint64_t spk_rec_digest(spk_rec rec);
/* The network's step. Units: ms. */
SPIKELIB_API double spk_rec_dt_ms(spk_rec rec);
/* First and past-the-last id of the recorded view; columns of a sample (neurons, or synapses). */
SPIKELIB_API uint32_t spk_rec_first_id(spk_rec rec);
SPIKELIB_API uint32_t spk_rec_end_id(spk_rec rec);
SPIKELIB_API size_t spk_rec_width(spk_rec rec);

/* -- running -- */

/* Draws the connectivity and allocates all that stepping needs. Called by the first run; does
   nothing on a network that is built. Errors: the first of the calls that described the network; a
   connectivity that cannot be drawn, weights that their bits cannot resolve, no memory, no threads,
   an instruction set that is not there, a floating-point environment that would change spikes.
   Thread: starts `threads` - 1 of its own, or uses the executor.
   Cost: time and memory in proportion to the synapses. */
SPIKELIB_API spk_result spk_net_build(spk_net *net);
/* Advances by the given time: rounded to whole steps, the remainder carried over to the next call.
   Errors: those of spk_net_build; a time that is negative, NaN or absurd; SPK_ERR_STATE from within
   a callback. After SPK_ERR_FULL or SPK_ERR_IO of a recorder the network stands at the end of a
   step, nothing is lost, and the next run goes on. */
SPIKELIB_API spk_result spk_net_run(spk_net *net, double duration_ms);
/* The same, counted in steps. Cost: a run is cut into slices no longer than the shortest delay.
   Threads pay off for runs of many slices: waking them costs tens of microseconds a call. */
SPIKELIB_API spk_result spk_net_run_steps(spk_net *net, uint64_t steps);
SPIKELIB_API uint64_t spk_net_step(const spk_net *net); /* steps done so far */
/* Steps done so far, in ms. */
SPIKELIB_API double spk_net_time_ms(const spk_net *net);

/* Between runs: states and parameters by name. Shape: `count` doubles, one a neuron of the view.
   Units: the model's. Errors: a name that one of the models has not, a count that is not that of
   the view, a value that is refused, SPK_ERR_STATE from within a callback; nothing is changed then.
   Builds the network if need be. Ownership: `values` is the caller's. Cost: setting a parameter
   computes what is derived from it again, for whole populations. A state that is stored relative
   to a parameter (v to e_l) moves with it. */
SPIKELIB_API spk_result spk_net_get(spk_net *net, spk_pop pop, const char *name, double *values,
                                    size_t count);
SPIKELIB_API spk_result spk_net_set(spk_net *net, spk_pop pop, const char *name,
                                    const double *values, size_t count);
/* Makes neurons spike in the coming step, besides what their model says. Shape: `count` indices in
   the view. Errors: an index outside the view; then none spikes. Ownership of this and the next
   two: the array is copied. They build the network if need be. */
SPIKELIB_API spk_result spk_net_inject_spikes(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                              size_t count);
/* Adds to a receptor's input in the coming step. Shape: `count` doubles, one a neuron of the view.
   Units: as a weight. NULL receptor: by sign. Errors: a receptor that a model has not, a count that
   is not the view's, an amount that is not finite; then nothing is added. */
SPIKELIB_API spk_result spk_net_inject_input(spk_net *net, spk_pop pop, const char *receptor,
                                             const double *amounts, size_t count);
/* A current for each neuron of the view, held until it is set again. Shape: as above. Units: pA.
   Errors: a model without an input for currents; else as above. */
SPIKELIB_API spk_result spk_net_inject_current(spk_net *net, spk_pop pop, const double *currents,
                                               size_t count);

typedef struct spk_synapse {
    uint32_t source, target; /* network-wide ids */
    uint32_t delay_steps, receptor;
    double weight;
} spk_synapse;
/* All synapses from one view to another, in (source, target, delay, weight) order: how many, and
   the first `capacity` of them. Units: `weight` in those of the receptor, as stored. Errors: a
   network that is not built, no memory. Ownership: the array is the caller's; NULL only counts.
   Cost: reads all rows of the sources, and sorts a copy of what it finds. */
SPIKELIB_API spk_result spk_net_synapses(spk_net *net, spk_pop source, spk_pop target,
                                         spk_synapse *synapses, size_t capacity, size_t *count);
/* New weights for all of them. Shape: `count` doubles in the order of spk_net_synapses. Errors: a
   count that is not that of the synapses, a weight that the stored format cannot hold, or of a sign
   that belongs to another receptor; none is changed then. Ownership: as there. Cost: as there, and
   where synapses that share a weight (spk_net_describe) begin to differ, a copy of their tile's. */
SPIKELIB_API spk_result spk_net_set_weights(spk_net *net, spk_pop source, spk_pop target,
                                            const double *weights, size_t count);

/* XXH64 of all states in order: finds the first step that differs between two runs. 0 where the
   network cannot be built. Cost: reads all states. */
SPIKELIB_API uint64_t spk_net_state_digest(spk_net *net);

typedef struct spk_net_info {
    uint64_t neurons, synapses, steps, spikes, events; /* events: synapses delivered */
    uint64_t bytes_now, bytes_peak, bytes_synapses;    /* through the allocator */
    double build_s, run_s;                             /* wall time of builds and runs so far */
    double construct_s; /* drawing connectivity, part of build_s; without compiling kernels */
    /* Sums over the threads, 0 unless profiling: filing spikes under the steps in which they
       arrive, delivering them, inputs and drives, the models, recorders, waiting for others. */
    double file_s, deliver_s, input_s, update_s, record_s, wait_s;
    uint32_t threads, tiles, min_delay_steps, max_delay_steps;
    uint32_t weight_bits, accumulator_bits;
    spk_isa isa;
    spk_precision precision;                    /* at the moment */
    uint64_t shadow_windows, widened_step;      /* compared so far; widened_step 0: never */
    double shadow_rate_error, shadow_v_error;   /* the largest so far, as in spk_net_desc */
} spk_net_info;
/* Sizes, costs and choices so far. Errors: NULL. Ownership: `info` is the caller's. */
SPIKELIB_API spk_result spk_net_get_info(const spk_net *net, spk_net_info *info);
/* Measures file_s to wait_s of spk_net_info from now on. Cost: two clock reads for each thousand
   neurons and step. */
SPIKELIB_API spk_result spk_net_profile(spk_net *net, bool on);
/* Populations, projections, and how each tile of targets stores its synapses and why so, as text;
   returns the length like snprintf. */
SPIKELIB_API size_t spk_net_describe(const spk_net *net, char *buffer, size_t size);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC /* what they call is another function in each file */
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_result spk_net_desc_defaults(spk_net_desc &desc)
{
    return spk_net_desc_defaults(&desc);
}
SPKI_OVERLOAD spk_net *spk_net_create(const spk_net_desc &desc)
{
    return spk_net_create(&desc);
}
SPKI_OVERLOAD spk_result spk_net_connect(spk_net *net, spk_pop source, spk_pop target,
                                         const spk_conn_desc &desc)
{
    return spk_net_connect(net, source, target, &desc);
}
SPKI_OVERLOAD spk_result spk_net_drive_poisson(spk_net *net, spk_pop target,
                                               const spk_poisson_desc &desc)
{
    return spk_net_drive_poisson(net, target, &desc);
}
SPKI_OVERLOAD spk_result spk_net_drive_current(spk_net *net, spk_pop target,
                                               const spk_current_desc &desc)
{
    return spk_net_drive_current(net, target, &desc);
}
SPKI_OVERLOAD spk_rec spk_net_record(spk_net *net, spk_pop pop, const spk_rec_desc &desc)
{
    return spk_net_record(net, pop, &desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
