/* spikelib 0.1.0 - spiking neural networks in one C header, with the same spikes on every
   machine. MIT licence, The spikelib authors; the text is at the end of this file.

   Do this, in one C (C11) or C++ (C++11) file of a program:

       #define SPIKELIB_IMPLEMENTATION
       #include "spikelib.h"

   and in the others only the #include. Then
       cc -O2 program.c -o program -lm -lpthread

   CONTENTS (search for the tag)

    >>base               linkage, results, memory, threads
    >>random             Philox4x32-10 and the digest
    >>net                describing, building and running a network
    >>plot               pictures as self-contained SVG
    >>event              event-camera files and streams, any format in, any format out
    >>ring               bounded queues between threads and between processes
    >>filter             event filters, each streaming and in place
    >>foundation         what every part of the implementation stands on
    >>have               which instruction sets this build can use
    >>vectors            one family of vector types for every instruction set
    >>math               vector operations and functions of one type (pasted once per type)
    >>models             one definition of a neuron, every target
    >>status             names and meanings of results
    >>memory             allocator hooks, limit and peak
    >>philox             random numbers addressed by a counter, with no state
    >>digest             XXH64, the same with and without the xxHash package
    >>clock              monotonic seconds
    >>cpu                instruction sets, number and name of the processors
    >>arithmetic         is this the floating point that the digests assume?
    >>pool               own threads and the barrier between steps
    >>propagators        exact integration of linear membranes, in double
    >>lif_exp            leaky integrate-and-fire, exponential postsynaptic current
    >>lif_exp2           leaky integrate-and-fire, excitatory and inhibitory exponential currents
    >>lif_alpha          leaky integrate-and-fire, alpha-shaped postsynaptic currents
    >>lif_delta          leaky integrate-and-fire, synapses that jump the membrane potential
    >>lif_cond           leaky integrate-and-fire, exponential conductances
    >>lif_adapt          leaky integrate-and-fire, adaptive threshold
    >>adex               adaptive exponential integrate-and-fire
    >>izhikevich         Izhikevich 2003
    >>hh                 Hodgkin-Huxley with Traub-Miles rates
    >>poisson            a source of independent Poisson spikes
    >>spike_list         a source that spikes when told
    >>parrot             repeats its input
    >>models-table       the built-in models by id
    >>quantile           distributions as tables and inverse functions, without libm
    >>values             constants, arrays, distributions and functions
    >>connect            drawing the synapses of a projection, row by row
    >>rows               the synapses of one source, by every rule
    >>projections        checking and compiling a description, and what the engine asks of it
    >>lanes-table        the engine's vector loops by instruction set
    >>words              Philox4x32-10 for many neurons, at one vector width (pasted once per width)
    >>lanes              the engine's own vector loops, for one real type (pasted once per type)
    >>network            what a network is made of, and its errors
    >>describe           populations, views, projections and drives, before building
    >>prepare            parameters, states and drives in the form the kernels read
    >>synapses           reading and writing the weights of a built network
    >>build              cutting the targets into tiles and drawing their synapses
    >>update             one step of a tile's neurons
    >>deliver            from spikes to the accumulators of their targets
    >>record             recorders of spikes, states, rates and weights
    >>assemble           building a network, and what stepping needs, allocated once
    >>engine             the step loop
    >>access             what the host reads, writes and injects between runs
    >>svg                a writer of SVG files: numbers, text, whole files or none
    >>axes               ranges, ticks, frames, colours and legends
    >>plot_curves        membrane traces and other curves
    >>plot_raster        every spike a mark, time to the right, neurons downwards
    >>plot_rates         population rates in time bins
    >>plot_histogram     bars of counts
    >>plot_sheet         many small panels on one page
    >>codec              what a format of events has to provide, and what it is given
    >>hold               records that are longer than a piece of the stream
    >>flatbuf            reading FlatBuffers, every offset checked
    >>inflate            LZ4 and zstd frames, through their libraries
    >>decimal            decimal numbers in text, exactly, in any locale
    >>aedat2             AEDAT 1.0 and 2.0, the files of jAER
    >>aedat3             AEDAT 3.x, the packets of cAER and libcaer
    >>aedat4             AEDAT 4.0, the files of DV
    >>file               files beyond 2 GB on every system
    >>writer             what all writers of events share
    >>raw                the text header of Prophesee's files, and time high words
    >>evt2               Prophesee EVT2, 32-bit words
    >>evt21              Prophesee EVT2.1, 64-bit words with vectors of 32 pixels
    >>evt3               Prophesee EVT3, 16-bit words that change a state
    >>evt4               Prophesee EVT4, 32-bit words, vectors in a second one
    >>dat                Prophesee DAT, records of decoded events
    >>es                 Event Stream 2.0
    >>nmnist             the 40-bit records of N-MNIST and N-Caltech101
    >>formats            the list of readers and writers
    >>decoder            bytes cut anywhere become events
    >>reader             event files
    >>write              events to files, whatever the format
    >>park               sleeping on a word until it changes or a deadline passes
    >>ring-core          what a handle holds, counting, telling sleepers
    >>spsc               one producer, one consumer
    >>party              who works on a shared MPMC ring, and cleaning up after those who died
    >>mpmc               many producers, many consumers
    >>wait               spinning, then sleeping, until there are items or room
    >>policy             pushing and popping, and what happens when a ring is full
    >>map                files that several processes map
    >>ring-life          making, attaching and ending rings
    >>filters            what all event filters share, chains and custom ones
    >>filter-point       filters that look at one event by itself
    >>filter-map         the last time of each pixel, in 32 bits
    >>filter-pixel       refractory period, hot pixels, downsampling
    >>filter-background  events that no neighbour supports
    >>licence            the MIT licence

   FLAGS (define before the #include; the file that has SPIKELIB_IMPLEMENTATION decides)

    flag                     default  what it does, and what it costs or saves (x86-64, gcc -O2)
    SPIKELIB_IMPLEMENTATION  off      compiles the library into this file: 439 kB
    SPIKELIB_STATIC          off      with it: every function is private to this file
    SPIKELIB_MODELS          off      makes SPIKELIB_NEURON known: a neuron model of your own
    SPIKELIB_NO_AVX512       off      leaves out the AVX-512 kernels: -70 kB
    SPIKELIB_NO_AVX2         off      leaves out the AVX2 and AVX-512 kernels: -133 kB
    SPIKELIB_NO_THREADS      off      starts no threads, needs no pthread (an executor works): -2 kB
    SPIKELIB_NO_NET          off      leaves out networks, models and pictures: -433 kB
    SPIKELIB_NO_PLOT         off      leaves out the pictures (>>plot): -26 kB
    SPIKELIB_NO_EVENTS       off      leaves out event files and streams (>>event): -11 kB
    SPIKELIB_LZ4             off      reads and writes AEDAT4 with LZ4; link -llz4: +2 kB
    SPIKELIB_ZSTD            off      reads AEDAT4 with zstd; link -lzstd: +0.6 kB
    SPIKELIB_NO_RINGS        off      leaves out the rings (>>ring): -18 kB
    SPIKELIB_NO_XXHASH       off      digests by the built-in XXH64 even where <xxhash.h> is found;
                                      the digests are the same: -0.5 kB

   No flag changes the layout of a public struct, and none changes a spike.

   THE MANUAL

   A network is described, then built, then run. Describing it:

       spk_net *net = spk_net_create(&(spk_net_desc){ .dt_ms = 0.1, .threads = 2, .seed = 42 });
       spk_pop exc = spk_net_add(net, "exc", 8000, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(450)}));
       spk_net_connect(net, exc, exc, &(spk_conn_desc){ .rule = SPK_FIXED_INDEGREE, .k = 800,
           .weight = spk_normal(45.0, 4.5), .delay_ms = spk_constant(1.5) });
       spk_rec spikes = spk_net_record_spikes(net, exc);
       if (spk_net_run(net, 1000.0) != SPK_OK) puts(spk_net_error(net));
       spk_plot_raster(spikes, "raster.svg");
       spk_net_destroy(net);

   Errors. These calls need no check each: a network remembers its first error, ignores what
   follows, and spk_net_build or spk_net_run returns it. spk_net_error is a sentence that names the
   object, the argument and its value. All other calls return their own spk_result, and do all or
   nothing. NULL, NaN, out of range and absurd sizes are errors in every build; nothing aborts.

   Descriptors. A zero field means its default, so `spk_net_desc d = {0};` in C, `= {}` in C++, is a
   valid start; each field's comment names the default, and spk_net_desc_defaults writes them in.
   The sentinels at both ends of a descriptor catch one that was never set to zero. C++ may hand
   over a descriptor as it is, where C takes its address: spk_net_create(d).

   Values. An spk_value is a number for each neuron or synapse: a constant, an array, a
   distribution, or a function. Parameters, initial states, weights and delays all take one.

   Views. An spk_pop names neurons: a population, a slice of one, or a union. Whatever takes a
   population takes any view. Populations of another network are an error.

   Models. Parameters and states go by name; a wrong name lists the right ones. spk_model_describe
   prints a model's parameters, defaults, units and equations. Your own model is written once, in
   statements that read like the paper, and runs on every instruction set:

       #define QIF_PARAMS(X)  X(tau_m, 10.0, "ms") X(v_peak, 30.0, "mV") X(v_reset, -68.0, "mV")
       #define QIF_DERIVED(X) X(h, dt / tau_m)
       #define QIF_STATE(X)   X(v, -65.0, "mV")
       #define QIF_INPUTS(X)  X(i_syn, SPK_DELTA)
       SPIKELIB_NEURON(qif, QIF_PARAMS, QIF_DERIVED, QIF_STATE, QIF_INPUTS,
           v += h * (K(0.05) * (v + K(65.0)) * (v + K(50.0))) + i_syn;
           spike = v >= v_peak;
           v = spk_select(spike, v_reset, v);
       )

   A literal is written K(0.05), so that it has the precision of the state; a choice is
   spk_select(condition, yes, no). Define SPIKELIB_MODELS before the #include.

   The same spikes. The same network, seed and precision give the same spikes, bit for bit, on
   every instruction set, thread count, compiler, optimisation level, operating system and CPU.
   spk_rec_digest is the XXH64 of the spikes; compare it between machines. When two digests differ,
   spk_net_state_digest after each step finds the first step that does. For this, -ffast-math is a
   compile error, and building a network tests rounding and contraction.

   Rings. A bounded queue between threads, or between processes, of items of any size:

       spk_ring *ring = spk_ring_create(&(spk_ring_desc){ .capacity = 1 << 16 });
       spk_ring_push(ring, &event);                             here,
       while (spk_ring_pop_until(ring, &event, SPK_FOREVER) == SPK_OK) use(&event);     there,
       spk_ring_close(ring);                                    and here: the loop ends

   Single items, batches (spk_ring_push_n), or spans written and read in place (spk_ring_reserve,
   spk_ring_commit). The policy says what a push to a full ring does; all that is dropped is
   counted (spk_ring_get_info). One producer and one consumer unless `kind` says more.

   Memory. All of it comes from the allocator of the descriptor, within its limit. A static synapse
   takes 4 bytes. Once a network is built, stepping allocates nothing except for memory recorders
   without a capacity, which grow.

   Threads. One network belongs to one thread at a time; different networks may run at the same
   time. `threads` of the descriptor counts the caller; the others are started when the network is
   built and sleep between runs. An executor hook replaces them by threads of your own. Callbacks
   of recorders come on the caller's thread, in (step, neuron) order.

   Instruction sets. The widest that the machine has is taken; spk_net_desc.isa or the environment
   variable SPIKELIB_ISA (scalar sse2 avx2 avx512 neon generic) forces one; spk_net_get_info says
   which is active.

   Time. spk_spike.step counts steps; a spike of step n happened at n * dt ms, the end of the step
   that found it. Delays are whole steps, at least one.

   System headers. <stddef.h>, <stdint.h> and <stdbool.h> are all that the declarations include.
   The implementation defines _GNU_SOURCE where it may, so include spikelib.h before system headers
   in the file that has SPIKELIB_IMPLEMENTATION if you compile with -std=c11. */
/* Generated from src/ by amalgamate.py; edits belong there. */

#if defined(SPIKELIB_IMPLEMENTATION) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#ifndef SPIKELIB_H
#define SPIKELIB_H

/* ---- >>base: linkage, results, memory, threads ---- */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPIKELIB_VERSION_MAJOR 0
#define SPIKELIB_VERSION_MINOR 1
#define SPIKELIB_VERSION_PATCH 0
#define SPIKELIB_VERSION "0.1.0"

/* What needs another part goes with it. */
#if defined(SPIKELIB_NO_NET) && !defined(SPIKELIB_NO_PLOT)
#define SPIKELIB_NO_PLOT
#endif

/* SPIKELIB_STATIC makes every function private to the file that includes the implementation. */
#ifdef SPIKELIB_STATIC
#ifndef SPIKELIB_IMPLEMENTATION
#error "SPIKELIB_STATIC: the functions are private to the file that holds them, \
so each file that includes spikelib.h needs SPIKELIB_IMPLEMENTATION, before its first #include"
#endif
#if defined(__GNUC__)
#define SPIKELIB_API __attribute__((unused)) static
#else
#define SPIKELIB_API static
#endif
#elif defined(__cplusplus)
#define SPIKELIB_API extern "C"
#else
#define SPIKELIB_API extern
#endif

/* Every result: code, name, what it means. 0 is success, negative is an error. */
#define SPIKELIB_RESULTS(X)                                                                       \
    X(0, SPK_OK, "success")                                                                       \
    X(-1, SPK_ERR_OUT_OF_MEMORY, "the allocator returned no memory, or the limit was reached")    \
    X(-2, SPK_ERR_NULL, "a required pointer or handle was NULL")                                  \
    X(-3, SPK_ERR_RANGE, "an argument was NaN, out of range or absurdly large")                   \
    X(-4, SPK_ERR_NAME, "no parameter, state, receptor or instruction set has that name")         \
    X(-5, SPK_ERR_HANDLE, "a handle is stale or belongs to another network")                      \
    X(-6, SPK_ERR_STATE, "the call came at the wrong time (before or after building)")            \
    X(-7, SPK_ERR_FULL, "a recorder is full; drain it and run again, nothing was lost")           \
    X(-8, SPK_ERR_IO, "a file could not be opened, read or written")                              \
    X(-9, SPK_ERR_UNSUPPORTED, "this machine or build cannot do it")                              \
    X(-10, SPK_ERR_ARITHMETIC, "the floating-point environment would change the spikes")          \
    X(-11, SPK_ERR_UNINITIALISED, "a descriptor holds garbage: start it with = {0}")              \
    X(-12, SPK_ERR_THREAD, "a thread could not be started")                                       \
    X(-13, SPK_ERR_FORMAT, "the data are damaged, or of a format that they should not be")        \
    X(-14, SPK_ERR_CLOSED, "the other side has closed it")                                        \
    X(-15, SPK_ERR_TIMEOUT, "the deadline passed")                                                \
    X(-16, SPK_ERR_AGAIN, "nothing there, or no room, at the moment")                             \
    X(-17, SPK_ERR_DEVICE, "a compute device is missing, was lost or failed")                     \
    X(-18, SPK_ERR_COMPILE, "a device's compiler refused the text")

typedef enum spk_result {
#define SPKI_RESULT_ENUM(code, name, text) name = code,
    SPIKELIB_RESULTS(SPKI_RESULT_ENUM)
#undef SPKI_RESULT_ENUM
    SPK_RESULT_FORCE_32_BIT = 0x7fffffff
} spk_result;

/* The name ("SPK_ERR_RANGE") and the general meaning of a result. Never NULL. Thread: any. */
SPIKELIB_API const char *spk_result_name(spk_result result);
SPIKELIB_API const char *spk_result_text(spk_result result);
/* "0.1.0" of the implementation that was linked. Thread: any. */
SPIKELIB_API const char *spk_version(void);

/* Memory. All three are called from the thread that called spikelib; blocks are aligned to `align`
   (a power of two, at most 4096), and `free` gets the `size` of its `alloc`. Zero: malloc, free. */
typedef struct spk_allocator {
    void *ctx;
    void *(*alloc)(void *ctx, size_t size, size_t align);
    void (*free)(void *ctx, void *block, size_t size);
} spk_allocator;

/* Threads. `run` calls task(arg, k) once for each k in [0, count), on any threads, in any order,
   and returns when all are done. Zero: spikelib starts `threads - 1` threads of its own. */
typedef struct spk_executor {
    void *ctx;
    void (*run)(void *ctx, void (*task)(void *arg, uint32_t k), void *arg, uint32_t count);
} spk_executor;

/* Instruction sets. AUTO takes the widest that both the machine and the build have; the
   environment variable SPIKELIB_ISA (scalar sse2 avx2 avx512 neon generic) overrides AUTO. */
typedef enum spk_isa {
    SPK_ISA_AUTO = 0,
    SPK_ISA_SCALAR = 1,
    SPK_ISA_SSE2 = 2,
    SPK_ISA_AVX2 = 3,
    SPK_ISA_AVX512 = 4,
    SPK_ISA_NEON = 5,
    SPK_ISA_GENERIC = 6,
    SPK_ISA_FORCE_32_BIT = 0x7fffffff
} spk_isa;

/* Name of an instruction set ("avx2"; "auto"), and back (SPK_ISA_AUTO if there is none of that
   name). `spk_isa_available`: compiled in and present in this CPU. Thread: any. */
SPIKELIB_API const char *spk_isa_name(spk_isa isa);
SPIKELIB_API spk_isa spk_isa_from_name(const char *name);
SPIKELIB_API bool spk_isa_available(spk_isa isa);
/* What AUTO resolves to here and now, the environment variable included. */
SPIKELIB_API spk_isa spk_isa_best(void);
/* Logical CPUs this process may use (at least 1), and the CPU's own name ("AMD EPYC ..."). */
SPIKELIB_API uint32_t spk_cpu_count(void);
SPIKELIB_API const char *spk_cpu_name(char *buffer, size_t size);

/* ---- >>random: Philox4x32-10 and the digest ---- */

/* Four random words for a 128-bit counter and a 64-bit key, with no state.
   Source: Salmon, Moraes, Dror, Shaw, SC'11 (2011), Philox4x32 with 10 rounds. Thread: any. */
SPIKELIB_API void spk_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* XXH64, whole and in pieces. A spike digest is XXH64 (seed 0) over the spikes in (step, neuron)
   order, each as little-endian u64 step, u32 neuron: `xxhsum -H64` of a spike file agrees.
   Source: the xxHash specification 0.1.1. Thread: any, one digest at a time. */
typedef struct spk_digest {
    uint64_t acc[4], total;
    uint8_t tail[32];
    uint32_t fill, reserved;
} spk_digest;
SPIKELIB_API uint64_t spk_xxh64(const void *data, size_t size, uint64_t seed);
SPIKELIB_API void spk_digest_begin(spk_digest *digest);
SPIKELIB_API void spk_digest_update(spk_digest *digest, const void *data, size_t size);
SPIKELIB_API uint64_t spk_digest_value(const spk_digest *digest);

/* Seconds of a monotonic clock. Thread: any. */
SPIKELIB_API double spk_clock_seconds(void);

#ifndef SPIKELIB_NO_NET
/* ---- >>net: describing, building and running a network ---- */

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
   largest weight / 32,767, rounded up to a power of two. A weight too small for it is an error
   that says so (weight_bits = 32 resolves 65,536 times finer).
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

typedef struct spk_spike {
    uint64_t step; /* time_ms = step * dt: the end of the step in which it was found */
    uint32_t neuron;
    uint32_t reserved;
} spk_spike;

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
   that belongs to another receptor; none is changed then. Ownership, Cost: as there. */
SPIKELIB_API spk_result spk_net_set_weights(spk_net *net, spk_pop source, spk_pop target,
                                            const double *weights, size_t count);

/* XXH64 of all states in order: finds the first step that differs between two runs. 0 where the
   network cannot be built. Cost: reads all states. */
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
/* Sizes, costs and choices so far. Errors: NULL. Ownership: `info` is the caller's. */
SPIKELIB_API spk_result spk_net_get_info(const spk_net *net, spk_net_info *info);
/* Measures deliver_s and update_s from now on. Cost: two clock reads a step and thread. */
SPIKELIB_API spk_result spk_net_profile(spk_net *net, bool on);
/* Populations, projections and the layout chosen, as text; returns the length like snprintf. */
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
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>plot: pictures as self-contained SVG ---- */

/* A named part of a raster: ids [first, end) drawn in one colour, labelled at the side. */
typedef struct spk_plot_group {
    const char *name;
    uint32_t first, end;
    uint32_t rgb; /* 0xRRGGBB; 0: the next of a colour-blind-safe palette */
} spk_plot_group;

typedef struct spk_plot_desc {
    const char *title;             /* default: none */
    const char *x_label, *y_label; /* default: fitting the picture */
    double width, height;          /* default: 720 x 420 px */
    double x_min, x_max;           /* default: all of the data */
    double y_min, y_max;           /* default: all of the data */
    const spk_plot_group *groups;  /* rasters: default: one group */
    size_t group_count;
    size_t max_marks;              /* rasters draw at most so many spikes, evenly thinned, and say
                                      so in the picture; default: 60,000 */
} spk_plot_desc;

/* One curve. `x` may be NULL: x0 + i * dx. */
typedef struct spk_plot_curve {
    const char *name;
    const double *x, *y;
    size_t count;
    double x0, dx;
    uint32_t rgb;
} spk_plot_curve;

/* Each writes one file and returns SPK_ERR_IO if it cannot (nothing half-written is left behind).
   `desc` may be NULL. Units: time in ms. Thread: any. */
SPIKELIB_API spk_result spk_plot_raster(spk_rec spikes, const char *path);
SPIKELIB_API spk_result spk_plot_raster_desc(const spk_spike *spikes, size_t count, double dt_ms,
                                             const spk_plot_desc *desc, const char *path);
SPIKELIB_API spk_result spk_plot_curves(const spk_plot_curve *curves, size_t count,
                                        const spk_plot_desc *desc, const char *path);
/* Bars of `bins` equal bins between the smallest and the largest value (or x_min and x_max). */
SPIKELIB_API spk_result spk_plot_histogram(const double *values, size_t count, size_t bins,
                                           const spk_plot_desc *desc, const char *path);
/* Population rate in bins of `bin_ms`, one curve a group. */
SPIKELIB_API spk_result spk_plot_rates(const spk_spike *spikes, size_t count, double dt_ms,
                                       double bin_ms, const spk_plot_desc *desc, const char *path);

/* A sheet of small panels (a gallery), `columns` wide. Each panel is a set of curves. */
typedef struct spk_plot_panel {
    const char *title;
    const spk_plot_curve *curves;
    size_t count;
    double x_min, x_max, y_min, y_max; /* equal: fit the data */
} spk_plot_panel;
SPIKELIB_API spk_result spk_plot_sheet(const spk_plot_panel *panels, size_t count, size_t columns,
                                       const spk_plot_desc *desc, const char *path);
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>event: event-camera files and streams, any format in, any format out ---- */

/* What a place of an event stream holds. Filters and networks act on CD (contrast detection) and
   let the others pass. */
typedef enum spk_event_kind {
    SPK_EVENT_CD = 0,      /* a pixel saw its contrast change */
    SPK_EVENT_TRIGGER = 1, /* external signal: x is the channel, polarity the edge (1: rising) */
    SPK_EVENT_OTHER = 2,   /* a record without a polarity (ES generic and colour) */
    SPK_EVENT_KIND_FORCE_32_BIT = 0x7fffffff
} spk_event_kind;

typedef struct spk_event {
    int64_t t_us;     /* microseconds; 64 bits, so that no counter of a camera wraps here */
    uint16_t x, y;    /* x to the right, y downwards, from 0 */
    uint8_t polarity; /* 1: ON, more light */
    uint8_t kind;     /* spk_event_kind */
    uint16_t source;  /* number of the camera or stream; 0 by default */
} spk_event;

/* -- what comes beside the events, through callbacks -- */

typedef struct spk_trigger {
    int64_t t_us;
    uint16_t channel, source;
    uint8_t edge;  /* 1: rising, or the signal is high */
    uint8_t pulse; /* 1: a pulse, which has no edge */
    uint16_t code; /* the format's own number of the type (AEDAT 3.1, AEDAT4), else 0 */
} spk_trigger;

typedef struct spk_imu {
    int64_t t_us;
    float accel_g[3], gyro_dps[3], mag_ut[3], temperature_c; /* NaN: not measured */
    int16_t raw[6]; /* samples as sent, where no unit is known (EVT2); else 0 */
    uint16_t source, reserved;
} spk_imu;

typedef struct spk_frame {
    int64_t t_us, start_us, end_us, exposure_start_us, exposure_end_us;
    uint16_t x, y, width, height; /* position on the sensor, size in pixels */
    uint16_t channels;            /* 1: grey, 3: BGR or RGB as `code` says, 4: with alpha */
    uint16_t sample_bytes;        /* of a channel: 1, or 2 (in the machine's byte order) */
    uint16_t source, code;        /* the format's own number of the pixel format */
    const void *pixels;           /* row by row, without gaps */
    size_t size;                  /* bytes */
} spk_frame;

/* What fits none of the above. */
typedef enum spk_extra_kind {
    SPK_EXTRA_COUNTER = 0,  /* a camera's own counter: `code` its number, `bytes` a uint32_t */
    SPK_EXTRA_GENERIC = 1,  /* ES generic: bytes of the writer's own */
    SPK_EXTRA_COLOUR = 2,   /* ES colour: r, g, b */
    SPK_EXTRA_EXPOSURE = 3, /* ATIS threshold crossing: 1 byte, 0 the first, 1 the second */
    SPK_EXTRA_FLOW = 4,     /* DAT optical flow: four floats vx, vy, cx, cy and a uint32_t id */
    SPK_EXTRA_SPECIAL = 5,  /* AEDAT 3.1 special event that is no trigger: `code` its type */
    SPK_EXTRA_ADDRESS = 6,  /* AEDAT 2 sample of a frame or IMU: the address, a uint32_t */
    SPK_EXTRA_KIND_FORCE_32_BIT = 0x7fffffff
} spk_extra_kind;

typedef struct spk_extra {
    int64_t t_us;
    uint16_t x, y, source, code;
    spk_extra_kind kind;
    const void *bytes;
    size_t size;
} spk_extra;

/* Called in the order of the stream, from within the call that reads. Ownership: what they point
   to is valid during the call. A NULL function means that nobody wants these; they are counted. */
typedef struct spk_event_callbacks {
    void *ctx;
    void (*trigger)(void *ctx, const spk_trigger *trigger);
    void (*imu)(void *ctx, const spk_imu *imu);
    void (*frame)(void *ctx, const spk_frame *frame);
    void (*extra)(void *ctx, const spk_extra *extra);
} spk_event_callbacks;

/* -- formats -- */

/* Number, enumerator, name. */
#define SPIKELIB_EVENT_FORMATS(X)                                                                  \
    X(0, SPK_FORMAT_AUTO, "auto")                                                                  \
    X(1, SPK_FORMAT_EVT2, "evt2")                                                                  \
    X(2, SPK_FORMAT_EVT21, "evt21")                                                                \
    X(3, SPK_FORMAT_EVT3, "evt3")                                                                  \
    X(4, SPK_FORMAT_EVT4, "evt4")                                                                  \
    X(5, SPK_FORMAT_DAT, "dat")                                                                    \
    X(6, SPK_FORMAT_ES, "es")                                                                      \
    X(7, SPK_FORMAT_NMNIST, "nmnist")                                                              \
    X(8, SPK_FORMAT_AEDAT2, "aedat2")                                                              \
    X(9, SPK_FORMAT_AEDAT3, "aedat3")                                                              \
    X(10, SPK_FORMAT_AEDAT4, "aedat4")                                                             \
    X(11, SPK_FORMAT_TEXT, "text")                                                                 \
    X(12, SPK_FORMAT_CSV, "csv")                                                                   \
    X(13, SPK_FORMAT_NPY, "npy")                                                                   \
    X(14, SPK_FORMAT_SONATA, "sonata")                                                             \
    X(15, SPK_FORMAT_HDF5, "hdf5")                                                                 \
    X(16, SPK_FORMAT_SPIKES, "spikes")

typedef enum spk_event_format {
#define SPKI_FORMAT_ENUM(number, enumerator, name) enumerator = number,
    SPIKELIB_EVENT_FORMATS(SPKI_FORMAT_ENUM)
#undef SPKI_FORMAT_ENUM
        SPK_FORMAT_FORCE_32_BIT = 0x7fffffff
} spk_event_format;

/* "evt3", and back (SPK_FORMAT_AUTO if there is none of that name). Thread: any. */
SPIKELIB_API const char *spk_event_format_name(spk_event_format format);
SPIKELIB_API spk_event_format spk_event_format_from_name(const char *name);
/* Can this build read it, write it? Thread: any. */
SPIKELIB_API bool spk_event_format_readable(spk_event_format format);
SPIKELIB_API bool spk_event_format_writable(spk_event_format format);

/* -- reading -- */

typedef struct spk_events_desc {
    uint32_t begin_sentinel;       /* leave 0 */
    spk_event_format format;       /* default: by the content, then by the name */
    uint32_t width, height;        /* default: what the file says; given here, they win */
    uint16_t source;               /* what every event carries; default: 0 */
    bool shift_time;               /* time begins at 0: at the first TIME_HIGH of an EVT stream,
                                      at the first event of any other */
    bool triggers_in_stream;       /* triggers also come as events of kind SPK_EVENT_TRIGGER */
    bool as_stored;                /* leave x and y as stored where a format's origin is not the
                                      upper left (ES, AEDAT 2) */
    bool evt21_legacy;             /* EVT2.1 in the old word order, where no header says it */
    bool strict;                   /* an error where the stream breaks its format's rules, instead
                                      of going on and counting a violation */
    spk_event_callbacks callbacks; /* default: none */
    spk_isa isa;                   /* default: SPK_ISA_AUTO */
    spk_allocator allocator;       /* default: malloc and free */
    size_t memory_limit;           /* bytes in all; default: no limit */
    uint32_t end_sentinel;         /* leave 0 */
} spk_events_desc;

/* So far. Bytes that made no sense are skipped, counted, and never taken for events. */
typedef struct spk_event_stats {
    spk_event_format format;
    uint32_t width, height;   /* of the sensor; 0: the stream does not say */
    uint64_t events, on, off; /* given out; triggers are not among them */
    uint64_t triggers, imu, frames, extras;
    uint64_t bytes, bytes_skipped; /* taken in; of these, such that no known record holds them */
    uint64_t dropped;              /* events before the first time, or outside of the sensor */
    uint64_t violations;           /* time running back in the stream's own clock, broken records */
    int64_t t_first_us, t_last_us; /* of the events; 0 while there is none */
} spk_event_stats;

typedef struct spk_events spk_events;

/* A file of events, to be read from its beginning. NULL `desc`: all defaults. What is wrong (no
   such file, no known format, a bad descriptor) is remembered: spk_events_status, spk_events_error.
   NULL only without memory. Files may be larger than memory. Thread: one reader, one thread at a
   time. Ownership: the caller's, until spk_events_close; `path` is copied. */
SPIKELIB_API spk_events *spk_events_open(const char *path, const spk_events_desc *desc);
/* The same from memory. Ownership: `data` stays the caller's and valid until the close. */
SPIKELIB_API spk_events *spk_events_open_memory(const void *data, size_t size,
                                                const spk_events_desc *desc);
/* The next events, in the order of the file: as many as fit, or fewer; 0 at the end, or when
   something is wrong, which spk_events_status tells. What was read before an error is right.
   Cost: allocates nothing but where a format is compressed; a capacity of 4,096 is a good one. */
SPIKELIB_API size_t spk_events_read(spk_events *in, spk_event *out, size_t capacity);
/* SPK_OK while nothing went wrong, the end included; a sentence that names the file, the byte and
   what was wrong there, "" if nothing was. Ownership: the reader's, until the next call. */
SPIKELIB_API spk_result spk_events_status(const spk_events *in);
SPIKELIB_API const char *spk_events_error(const spk_events *in);
/* Format and size are known from the first read on. Errors: NULL. */
SPIKELIB_API spk_result spk_events_get_stats(const spk_events *in, spk_event_stats *stats);
/* NULL is fine. */
SPIKELIB_API void spk_events_close(spk_events *in);

/* -- decoding bytes as they come -- */

typedef struct spk_decoder spk_decoder;

/* Decodes a stream that arrives in pieces, cut anywhere: the same events as from a file. Where no
   format is given, up to 4,096 bytes are gathered until the content tells it. A stream without a
   header needs `format`. Errors, Thread, Ownership: as spk_events_open. */
SPIKELIB_API spk_decoder *spk_decoder_create(const spk_events_desc *desc);
/* Hands over the next bytes, which are then read with spk_decoder_read until that returns 0; till
   then they stay the caller's and valid. Errors: SPK_ERR_STATE while earlier bytes are unread or
   after spk_decoder_finish; NULL; what went wrong before. */
SPIKELIB_API spk_result spk_decoder_feed(spk_decoder *decoder, const void *data, size_t size);
/* The next events: as many as fit, or fewer; 0 when all bytes fed are used up, or on an error. */
SPIKELIB_API size_t spk_decoder_read(spk_decoder *decoder, spk_event *out, size_t capacity);
/* No more bytes follow; read on until 0. An unfinished record at the end counts as skipped. */
SPIKELIB_API spk_result spk_decoder_finish(spk_decoder *decoder);
/* Bytes were lost, or the stream goes on elsewhere: forgets the unfinished record, and waits for
   the next time stamp before it gives out events again. Wraps seen so far stay counted. */
SPIKELIB_API spk_result spk_decoder_resync(spk_decoder *decoder);
SPIKELIB_API spk_result spk_decoder_status(const spk_decoder *decoder);
SPIKELIB_API const char *spk_decoder_error(const spk_decoder *decoder);
SPIKELIB_API spk_result spk_decoder_get_stats(const spk_decoder *decoder, spk_event_stats *stats);
/* NULL is fine. */
SPIKELIB_API void spk_decoder_destroy(spk_decoder *decoder);

/* -- writing -- */

typedef struct spk_event_writer_desc {
    uint32_t begin_sentinel; /* leave 0 */
    spk_event_format format; /* default: by the name's ending */
    uint32_t width, height;  /* of the sensor; default: not written, and an error of formats that
                                cannot do without (ES) */
    bool no_vectors;         /* EVT3: every event by itself */
    bool as_stored;          /* y of the events runs upwards, as ES has it */
    /* Where the bytes go instead of a file (the path is then NULL, the format given). Returns how
       many it took; fewer than `size` is an error. default: a file */
    size_t (*write)(void *ctx, const void *data, size_t size);
    void *write_ctx;
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_event_writer_desc;

typedef struct spk_event_writer spk_event_writer;

/* A new file of events; one that is there is replaced. NULL `desc`: all defaults. What is wrong is
   remembered (spk_event_writer_status); NULL only without memory. Thread: one writer, one thread at
   a time. Ownership: the caller's, until spk_event_writer_close. */
SPIKELIB_API spk_event_writer *spk_event_writer_open(const char *path,
                                                     const spk_event_writer_desc *desc);
/* Appends events; they are buffered. Errors: an event that the format cannot hold (a coordinate or
   a time out of its range, a time that runs back, a trigger where there are none): named with its
   number in the stream, and what came before it is written; a full disk: the file is cut after the
   last whole block, and the sentence says how many events it holds. Later calls return the same. */
SPIKELIB_API spk_result spk_event_writer_write(spk_event_writer *writer, const spk_event *events,
                                               size_t count);
/* Writes what is buffered, and what the format wants at its end. Nothing can be appended then. */
SPIKELIB_API spk_result spk_event_writer_finish(spk_event_writer *writer);
SPIKELIB_API spk_result spk_event_writer_status(const spk_event_writer *writer);
SPIKELIB_API const char *spk_event_writer_error(const spk_event_writer *writer);
/* Events that the operating system (or `write`) has taken. */
SPIKELIB_API uint64_t spk_event_writer_written(const spk_event_writer *writer);
/* Finishes it, if that was not done, and frees it. Call spk_event_writer_finish first to learn
   whether all could be written. NULL is fine. */
SPIKELIB_API void spk_event_writer_close(spk_event_writer *writer);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_events *spk_events_open(const char *path, const spk_events_desc &desc)
{
    return spk_events_open(path, &desc);
}
SPKI_OVERLOAD spk_events *spk_events_open_memory(const void *data, size_t size,
                                                 const spk_events_desc &desc)
{
    return spk_events_open_memory(data, size, &desc);
}
SPKI_OVERLOAD spk_decoder *spk_decoder_create(const spk_events_desc &desc)
{
    return spk_decoder_create(&desc);
}
SPKI_OVERLOAD spk_event_writer *spk_event_writer_open(const char *path,
                                                      const spk_event_writer_desc &desc)
{
    return spk_event_writer_open(path, &desc);
}
#undef SPKI_OVERLOAD
#endif
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>ring: bounded queues between threads and between processes ---- */

/* Who may push and pop. One thread a side: push and pop are a copy and two words, no locked
   instruction, and wait-free. Several: slots are claimed by one compare-and-swap; a thread that is
   stopped between claiming a slot and filling it holds up those who need that slot to go on:
   consumers at once, producers a whole ring later. Other producers go on meanwhile. */
typedef enum spk_ring_kind {
    SPK_RING_SPSC = 0, /* one producer, one consumer */
    SPK_RING_MPMC = 1, /* any number of both */
    SPK_RING_KIND_FORCE_32_BIT = 0x7fffffff
} spk_ring_kind;

/* What a push does when the ring is full. */
typedef enum spk_ring_policy {
    SPK_RING_REFUSE = 0,  /* SPK_ERR_AGAIN; the item stays with the caller */
    SPK_RING_WAIT,        /* waits for room: spins, then sleeps */
    SPK_RING_OVERWRITE,   /* drops the oldest item (works as MPMC inside, whatever the kind) */
    SPK_RING_DROP_NEWEST, /* drops the item pushed, and says SPK_OK */
    SPK_RING_SAMPLE,      /* thins early: takes every 2nd item from 1/2 full, every 4th from 3/4,
                             every 8th from 7/8, none when full; says SPK_OK */
    SPK_RING_POLICY_FORCE_32_BIT = 0x7fffffff
} spk_ring_policy;

typedef struct spk_ring_desc {
    uint32_t begin_sentinel;   /* leave 0 */
    spk_ring_kind kind;        /* default: SPK_RING_SPSC */
    spk_ring_policy policy;    /* default: SPK_RING_REFUSE */
    uint32_t item_size;        /* bytes, 1 to 65,536; default: 16, an spk_event */
    size_t capacity;           /* items, 1 to 2^30; default: 65,536; exactly this many fit */
    double spin_us;            /* how long a waiting call spins before it sleeps; default: 20;
                                  negative: not at all */
    bool shared;               /* the ring lies in memory that other processes map, too */
    void *memory;              /* spk_ring_bytes of it, 64-byte aligned; default: the allocator */
    size_t memory_size;
    const char *path;          /* shared: a file that is created and mapped ("/dev/shm/events");
                                  default: `memory` */
    spk_allocator allocator;   /* default: malloc and free; not called if there is `memory` and
                                  the ring is not shared */
    uint32_t end_sentinel;     /* leave 0 */
} spk_ring_desc;

typedef struct spk_ring spk_ring;

/* For deadlines, which are times of spk_clock_seconds: never, and "do not wait". */
#define SPK_FOREVER 1e300
#define SPK_AT_ONCE 0.0

/* Fills in the defaults where a field is 0. Errors: NULL, range, sentinels; the descriptor is then
   as it was. Thread: any. */
SPIKELIB_API spk_result spk_ring_desc_defaults(spk_ring_desc *desc);
/* Bytes of memory that such a ring needs; 0 for a bad descriptor. NULL: all defaults. */
SPIKELIB_API size_t spk_ring_bytes(const spk_ring_desc *desc);

/* A ring, or NULL if there is no memory for one. A bad descriptor gives a ring that refuses every
   call with the same result; spk_ring_error says why. NULL: all defaults.
   Ownership: the caller's until spk_ring_destroy, and so is `memory`, which must stay until then.
   Cost: all memory is taken here. On Linux the first ring of a process that has threads already may
   take some 10 ms (the process registers with membarrier, so that pushing needs no fence). */
SPIKELIB_API spk_ring *spk_ring_create(const spk_ring_desc *desc);
/* A second handle to a shared ring, in this or another process: `shared` and `path` or `memory` as
   they were, `kind`, `item_size` and `capacity` 0 or the same (they are read from the ring).
   Thread: of a shared MPMC ring each thread needs a handle of its own, which it attaches itself
   (that is how the others find out when it dies, even by SIGKILL); of a shared SPSC ring one handle
   may serve a producer and a consumer. After fork the child attaches again.
   Errors: as spk_ring_create; memory that holds no ring, or another library's; more than 64 handles
   of an MPMC ring at a time. */
SPIKELIB_API spk_ring *spk_ring_attach(const spk_ring_desc *desc);
/* Frees what spk_ring_create took; nobody may be using the ring. Of a shared ring only the handle
   goes, the memory stays for the others (and the file, until someone removes it). NULL is fine. */
SPIKELIB_API void spk_ring_destroy(spk_ring *ring);
/* SPK_OK, or what was wrong with the descriptor, and a sentence about it ("" if nothing was). */
SPIKELIB_API spk_result spk_ring_status(const spk_ring *ring);
SPIKELIB_API const char *spk_ring_error(const spk_ring *ring);

/* -- one item --
   Thread: one producer and one consumer at a time of an SPSC ring (each side may move to another
   thread if something orders the two), any thread of an MPMC ring. A child after fork may use only
   what it attaches itself; where parent and child both keep the memory private, each has a ring of
   its own. Signals: push, try and batch calls that do not wait take no lock and allocate nothing,
   so a handler may be the one producer, or the one consumer, of an SPSC ring.
   Errors: NULL; SPK_ERR_AGAIN (full or empty at the moment; of an MPMC ring also: another thread is
   just at the slot in question), SPK_ERR_CLOSED (push: the ring is closed; pop: closed, and nothing
   is left), SPK_ERR_TIMEOUT. Ownership: items are copied, `item` is the caller's. */

#if defined(__GNUC__)
#define SPKI_RING_INLINE static __inline__ __attribute__((unused))
#else
#define SPKI_RING_INLINE static
#endif

/* As the policy says when full. */
SPKI_RING_INLINE spk_result spk_ring_push(spk_ring *ring, const void *item);
/* The same, but never waits: SPK_RING_WAIT says SPK_ERR_AGAIN. */
SPKI_RING_INLINE spk_result spk_ring_try_push(spk_ring *ring, const void *item);
/* Never waits. */
SPKI_RING_INLINE spk_result spk_ring_pop(spk_ring *ring, void *item);
/* Wait until the deadline, spinning first. A full ring of another policy than REFUSE or WAIT does
   as its policy says, at once. */
SPIKELIB_API spk_result spk_ring_push_until(spk_ring *ring, const void *item, double deadline_s);
SPIKELIB_API spk_result spk_ring_pop_until(spk_ring *ring, void *item, double deadline_s);

/* -- batches --
   Return how many of `count` items were taken (dropped ones included, where the policy drops) or
   handed out; fewer when full, empty or closed, 0 for NULL. Never wait, except for a push to a ring
   of SPK_RING_WAIT, which returns when all are taken or the ring is closed. The items of a batch
   stay together in an SPSC ring; in an MPMC ring, as far as they fit at once. */
SPIKELIB_API size_t spk_ring_push_n(spk_ring *ring, const void *items, size_t count);
SPIKELIB_API size_t spk_ring_pop_n(spk_ring *ring, void *items, size_t count);

/* -- without a copy --
   A span is up to two stretches of slots, the second where the ring wraps. */
typedef struct spk_ring_span {
    void *first, *second;
    size_t first_count, second_count; /* items */
    uint64_t position;                /* the ring's own */
} spk_ring_span;

/* Up to `count` free slots to be written in place; returns how many (0: none, or closed). Nobody
   sees them before spk_ring_commit publishes the first `count` of them; the rest goes back (in an
   MPMC ring it becomes a gap, which takes room until the consumers pass it). Policies apply as for
   spk_ring_push_n, but an item that cannot be reserved is not dropped: the caller still has it.
   One span at a time for each SPSC side; any number in an MPMC ring, each soon committed. */
SPIKELIB_API size_t spk_ring_reserve(spk_ring *ring, size_t count, spk_ring_span *span);
SPIKELIB_API spk_result spk_ring_commit(spk_ring *ring, const spk_ring_span *span, size_t count);
/* Up to `count` items to be read in place; spk_ring_consume hands the slots of the first `count`
   back, and the others come again. An MPMC span is taken out for good when it is peeked: `count`
   has to be all of it. */
SPIKELIB_API size_t spk_ring_peek(spk_ring *ring, size_t count, spk_ring_span *span);
SPIKELIB_API spk_result spk_ring_consume(spk_ring *ring, const spk_ring_span *span, size_t count);

/* -- waiting, closing -- */

/* Until `count` items are there, or room for as many (at most the capacity). SPK_ERR_CLOSED: there
   never will be; of wait_items with at least one item left in the ring: SPK_OK. */
SPIKELIB_API spk_result spk_ring_wait_items(spk_ring *ring, size_t count, double deadline_s);
SPIKELIB_API spk_result spk_ring_wait_room(spk_ring *ring, size_t count, double deadline_s);
/* No more pushes; all who wait wake up. What is in the ring can still be popped. Thread: any, more
   than once. A push that is under way, or that another process begins just now, may still land. */
SPIKELIB_API spk_result spk_ring_close(spk_ring *ring);
/* Waits until the consumers have taken everything. */
SPIKELIB_API spk_result spk_ring_drain(spk_ring *ring, double deadline_s);
/* Throws away what is in the ring, as a consumer; returns how much, which counts as dropped. */
SPIKELIB_API size_t spk_ring_discard(spk_ring *ring);

/* Items in the ring; while others push and pop, as of some time during the call. */
SPIKELIB_API size_t spk_ring_count(const spk_ring *ring);
/* What was asked for. */
SPIKELIB_API size_t spk_ring_capacity(const spk_ring *ring);

/* Every item pushed was popped, is in the ring, or is in one of the drop counts. */
typedef struct spk_ring_info {
    uint64_t pushed, popped;  /* items that went in, and came out */
    uint64_t dropped_oldest;  /* overwritten by SPK_RING_OVERWRITE; went in, never came out */
    uint64_t dropped_newest;  /* found the ring full (DROP_NEWEST, SAMPLE); never went in */
    uint64_t sampled_out;     /* thinned out by SPK_RING_SAMPLE; never went in */
    uint64_t discarded;       /* by spk_ring_discard */
    uint64_t lost;            /* in the hands of a process that died: at most what it held */
    uint64_t refused;         /* pushes that failed; nothing lost: the caller has the item */
    uint64_t sleeps, wakes;   /* of waiting calls */
    uint64_t recovered;       /* processes that died within the ring, and were cleaned up after */
    size_t count, capacity, slots, item_size, bytes;
    spk_ring_kind kind;
    spk_ring_policy policy;
    bool closed, shared;
} spk_ring_info;
/* Thread: any. Errors: NULL. */
SPIKELIB_API spk_result spk_ring_get_info(const spk_ring *ring, spk_ring_info *info);

/* What the inline functions below do not do themselves. */
SPIKELIB_API spk_result spk_ring_push_slowly(spk_ring *ring, const void *item, bool may_wait);
SPIKELIB_API spk_result spk_ring_pop_slowly(spk_ring *ring, void *item);
SPIKELIB_API void spk_ring_signal(spk_ring *ring, bool to_consumers);

/* -- inside: what the inline functions below read; not for programs --
   Positions count items since the beginning and wrap; a slot's index is a position's low bits. Each
   word that one side writes often has a pair of cache lines of its own (adjacent lines are fetched
   together). A shared ring begins with this block, which holds no addresses. */
typedef struct spki_ring_control {
    uint64_t magic;
    uint32_t layout, word_bytes; /* version of this struct; sizeof(size_t) */
    uint32_t kind, policy, item_size, seq_offset;
    uint64_t capacity, slots, bytes, items_offset;
    double spin_us;
    uint32_t ready, fence; /* shared: formatted; some process cannot use membarrier */
    uint8_t pad0[128 - 88];

    size_t tail; /* SPSC: items published; written by the producer */
    uint8_t pad1[128 - sizeof(size_t)];
    size_t head_seen, limit; /* the producer's: a head it has seen; room to use without asking */
    uint64_t dropped_newest, sampled_out, refused, thinned;
    uint8_t pad2[128 - 32 - 2 * sizeof(size_t)];
    size_t head; /* SPSC: items consumed; written by the consumer */
    uint8_t pad3[128 - sizeof(size_t)];
    size_t tail_seen; /* the consumer's: a tail it has seen */
    uint8_t pad4[128 - sizeof(size_t)];
    uint32_t items_wanted, room_wanted, closed, unused; /* words to sleep on */
    uint8_t pad5[112];

    uint64_t mpmc_tail, start; /* MPMC: next position to claim for pushing; where it began */
    uint8_t pad6[112];
    uint64_t mpmc_head_seen;
    uint8_t pad7[120];
    uint64_t mpmc_head;
    uint8_t pad8[120];
    uint64_t dropped_oldest, discarded, lost, lost_popped, gaps, gaps_passed, sleeps, wakes;
    uint64_t recovered;
    uint8_t pad9[56];
} spki_ring_control;

/* A handle: constants and addresses, and nothing that changes from item to item. */
struct spk_ring {
    unsigned char *items;
    spki_ring_control *control;
    size_t mask;
    size_t item_size;
    uint32_t fence; /* no membarrier: publishing needs a fence before looking for sleepers */
    spk_result status;
    uint32_t *seq;
    struct spki_ring_private *own;
};

#if defined(__GNUC__)
SPKI_RING_INLINE void spki_ring_copy(void *to, const void *from, size_t size)
{
    if (size == 16) __builtin_memcpy(to, from, 16);
    else if (size == 8) __builtin_memcpy(to, from, 8);
    else __builtin_memcpy(to, from, size);
}

/* Makes `value` the published position and tells who sleeps on it.
   Order: release, so that the item (or the slot, free again) comes first; whoever loads it with
   acquire sees it. Then the load of `wanted` has to come after the store: a sleeper stores
   `wanted`, then loads the position, and one of the two must see the other. The sleeper's
   membarrier puts a full fence into this thread too, and only the compiler has to keep the order;
   without it both are sequentially consistent. */
SPKI_RING_INLINE void spki_ring_publish(spk_ring *ring, size_t *position, size_t value,
                                        uint32_t *wanted, bool to_consumers)
{
    if (__builtin_expect(ring->fence != 0, 0)) {
        __atomic_store_n(position, value, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(wanted, __ATOMIC_SEQ_CST) == 0) return;
    } else {
        __atomic_store_n(position, value, __ATOMIC_RELEASE);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (__builtin_expect(__atomic_load_n(wanted, __ATOMIC_RELAXED) == 0, 1)) return;
    }
    spk_ring_signal(ring, to_consumers);
}

SPKI_RING_INLINE spk_result spki_ring_push_one(spk_ring *ring, const void *item, bool may_wait)
{
    spki_ring_control *c;
    size_t tail;
    if (__builtin_expect(!ring || !item, 0)) return SPK_ERR_NULL;
    c = ring->control;
    tail = __atomic_load_n(&c->tail, __ATOMIC_RELAXED); /* ours */
    if (__builtin_expect(tail - c->head_seen >= __atomic_load_n(&c->limit, __ATOMIC_RELAXED), 0))
        return spk_ring_push_slowly(ring, item, may_wait);
    spki_ring_copy(ring->items + (tail & ring->mask) * ring->item_size, item, ring->item_size);
    spki_ring_publish(ring, &c->tail, tail + 1, &c->items_wanted, true);
    return SPK_OK;
}

SPKI_RING_INLINE spk_result spk_ring_push(spk_ring *ring, const void *item)
{
    return spki_ring_push_one(ring, item, true);
}

SPKI_RING_INLINE spk_result spk_ring_try_push(spk_ring *ring, const void *item)
{
    return spki_ring_push_one(ring, item, false);
}

SPKI_RING_INLINE spk_result spk_ring_pop(spk_ring *ring, void *item)
{
    spki_ring_control *c;
    size_t head;
    if (__builtin_expect(!ring || !item, 0)) return SPK_ERR_NULL;
    c = ring->control;
    head = __atomic_load_n(&c->head, __ATOMIC_RELAXED); /* ours */
    if (__builtin_expect(head == c->tail_seen, 0)) return spk_ring_pop_slowly(ring, item);
    spki_ring_copy(item, ring->items + (head & ring->mask) * ring->item_size, ring->item_size);
    spki_ring_publish(ring, &c->head, head + 1, &c->room_wanted, false);
    return SPK_OK;
}
#else
SPKI_RING_INLINE spk_result spk_ring_push(spk_ring *ring, const void *item)
{
    return spk_ring_push_slowly(ring, item, true);
}

SPKI_RING_INLINE spk_result spk_ring_try_push(spk_ring *ring, const void *item)
{
    return spk_ring_push_slowly(ring, item, false);
}

SPKI_RING_INLINE spk_result spk_ring_pop(spk_ring *ring, void *item)
{
    return spk_ring_pop_slowly(ring, item);
}
#endif
#undef SPKI_RING_INLINE

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC /* what they call is another function in each file */
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_result spk_ring_desc_defaults(spk_ring_desc &desc)
{
    return spk_ring_desc_defaults(&desc);
}
SPKI_OVERLOAD size_t spk_ring_bytes(const spk_ring_desc &desc)
{
    return spk_ring_bytes(&desc);
}
SPKI_OVERLOAD spk_ring *spk_ring_create(const spk_ring_desc &desc)
{
    return spk_ring_create(&desc);
}
SPKI_OVERLOAD spk_ring *spk_ring_attach(const spk_ring_desc &desc)
{
    return spk_ring_attach(&desc);
}
#undef SPKI_OVERLOAD
#endif
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>filter: event filters, each streaming and in place ---- */

/* A filter keeps some events of a stream and drops the others, or changes them, where they lie:

       spk_filter *flt = spk_filter_background(&(spk_background_desc){ .window_us = 2000 });
       while ((n = spk_events_read(in, buf, 4096)) > 0) {
           n = spk_filter_apply(flt, buf, n);
           ...

   What it has seen, it remembers: a stream may be handed over in pieces of any size, with the same
   result. Only events of kind SPK_EVENT_CD are filtered; all others pass as they are, in their
   place. Times may run back (a stream of several sensors does that by microseconds): two events
   are within `d` of each other if |t1 - t2| < d. A jump of more than 2^30 us (18 minutes) makes a
   filter forget what is further away than that from the new time.

   Sensor size. Filters that remember something for each pixel take `width` and `height`, and drop
   events outside of it. Where both are 0 the memory grows with the events, while they are applied,
   up to 4,096 x 4,096 pixels.

   A creator returns NULL only without memory. A bad descriptor is remembered (spk_filter_status);
   such a filter drops everything. NULL as a descriptor: all defaults.
   Thread: one filter, one thread at a time; different filters at the same time.
   Ownership: the caller's, until spk_filter_destroy, or a chain's. */
typedef struct spk_filter spk_filter;

typedef struct spk_filter_stats {
    uint64_t events;  /* of kind CD that came */
    uint64_t passed;  /* of them, kept */
    uint64_t dropped; /* of them, not */
    uint64_t outside; /* of the dropped, outside of the sensor */
    uint64_t others;  /* of another kind: passed as they are */
} spk_filter_stats;

/* Keeps, in their order, what passes, at the beginning of `events`, and returns how many these are;
   what lies after them is undefined. 0 after an error, and for NULL. Cost: memory grows here where
   no sensor size was given; nothing is allocated otherwise. */
SPIKELIB_API size_t spk_filter_apply(spk_filter *filter, spk_event *events, size_t count);
/* As it was when new: statistics and memory of events are gone, errors of growing too. */
SPIKELIB_API void spk_filter_reset(spk_filter *filter);
/* Since it was new or reset; of a chain: what came in and what came out. Errors: NULL. */
SPIKELIB_API spk_result spk_filter_get_stats(const spk_filter *filter, spk_filter_stats *stats);
/* SPK_OK, or what was wrong with the descriptor, or SPK_ERR_OUT_OF_MEMORY while growing; a sentence
   that names the filter, the field and its value, "" if nothing was. */
SPIKELIB_API spk_result spk_filter_status(const spk_filter *filter);
SPIKELIB_API const char *spk_filter_error(const spk_filter *filter);
/* "background". "" for NULL. Thread: any. */
SPIKELIB_API const char *spk_filter_name(const spk_filter *filter);
/* NULL is fine. Of a chain: its filters too. */
SPIKELIB_API void spk_filter_destroy(spk_filter *filter);

/* -- what a pixel did before -- */

/* Drops an event within `period_us` of the last one of its pixel that passed. */
typedef struct spk_refractory_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t period_us;       /* 1 to 2^29; default: 1,000 us */
    bool restart;            /* counted from the last event, whether that passed or not */
    bool by_polarity;        /* ON and OFF each by themselves */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_refractory_desc;
SPIKELIB_API spk_filter *spk_filter_refractory(const spk_refractory_desc *desc);

/* Noise comes alone: keeps an event if of the 8 pixels around it at least `min_support`, and at
   most `max_support`, had their last event within `window_us` of it.
   Source: Delbruck, "Frame-free dynamic digital vision" (2008), background activity filter; counted
   support as in libcaer's filter, with which it agrees. */
typedef struct spk_background_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t window_us;       /* 1 to 2^29; default: 2,000 us */
    uint32_t min_support;    /* 1 to 8; default: 1 */
    uint32_t max_support;    /* 1 to 8; default: 8 */
    bool same_polarity;      /* only events of its own polarity support an event */
    int64_t refractory_us;   /* drops an event within this of its pixel's last; default: 0, off */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_background_desc;
SPIKELIB_API spk_filter *spk_filter_background(const spk_background_desc *desc);

typedef struct spk_pixel {
    uint16_t x, y;
} spk_pixel;

/* Drops pixels that never rest. Time is cut into windows, from the first event on; once a pixel has
   sent more than `max_events` in a window it is hot, until it has sent no more than that in a whole
   window. Pixels that are known to be bad can be listed: they are always dropped. */
typedef struct spk_hot_pixel_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t window_us;       /* at least 1; default: 100,000 us */
    uint32_t max_events;     /* at most 2^30; default: 100 */
    const spk_pixel *pixels; /* default: none. Copied */
    size_t pixel_count;
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_hot_pixel_desc;
SPIKELIB_API spk_filter *spk_filter_hot_pixel(const spk_hot_pixel_desc *desc);
/* The pixels that such a filter holds to be hot, row by row, as far as they fit; returns how many
   there are. 0 for a filter of another kind. Cost: reads all pixels. */
SPIKELIB_API size_t spk_filter_hot_pixels(const spk_filter *filter, spk_pixel *out,
                                          size_t capacity);

/* Keeps the corners of moving things: where the newest arcs of two circles around an event, with
   radii of 3 and 4 pixels, are of a corner's length. An event of its pixel's polarity within
   `period_us` of the one before is no corner and leaves the circles' times alone.
   Source: Alzugaray and Chli, "Asynchronous corner detection and tracking for event cameras in real
   time", IEEE RA-L 3(4), 2018 (Arc*), algorithm 1. */
typedef struct spk_corner_desc {
    uint32_t begin_sentinel; /* leave 0 */
    uint32_t width, height;  /* default: grows */
    int64_t period_us;       /* 1 to 2^29; default: 50,000 us */
    bool minority_only;      /* only corners whose newest arc is the smaller part of the circle */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_corner_desc;
SPIKELIB_API spk_filter *spk_filter_corner(const spk_corner_desc *desc);

/* -- where, when and what an event is -- */

/* Keeps a rectangle. */
typedef struct spk_region_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t x, y;               /* upper left corner, at most 65,535 */
    uint32_t width, height;      /* default: to the right and lower end */
    bool outside;                /* keeps what is not in the rectangle */
    bool move;                   /* its upper left corner becomes (0, 0); not with `outside` */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    spk_allocator allocator;     /* default: malloc and free */
    uint32_t end_sentinel;       /* leave 0 */
} spk_region_desc;
SPIKELIB_API spk_filter *spk_filter_region(const spk_region_desc *desc);

/* The eight ways to lay a picture. Bit 2: x and y change places; then bit 0: x runs the other way,
   bit 1: y does. Rotations are clockwise as one sees it (y downwards). */
typedef enum spk_orientation {
    SPK_ORIENT_NONE = 0,
    SPK_ORIENT_FLIP_X = 1,
    SPK_ORIENT_FLIP_Y = 2,
    SPK_ORIENT_ROTATE_180 = 3,
    SPK_ORIENT_TRANSPOSE = 4,
    SPK_ORIENT_ROTATE_90 = 5,
    SPK_ORIENT_ROTATE_270 = 6,
    SPK_ORIENT_TRANSVERSE = 7,
    SPK_ORIENT_FORCE_32_BIT = 0x7fffffff
} spk_orientation;

typedef struct spk_orient_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t width, height;      /* of the sensor, before; needed. Events outside are dropped */
    spk_orientation orientation; /* default: SPK_ORIENT_NONE */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    spk_allocator allocator;     /* default: malloc and free */
    uint32_t end_sentinel;       /* leave 0 */
} spk_orient_desc;
SPIKELIB_API spk_filter *spk_filter_orient(const spk_orient_desc *desc);

typedef enum spk_polarity_mode {
    SPK_POLARITY_BOTH = 0,   /* as they are */
    SPK_POLARITY_ON = 1,     /* ON events only */
    SPK_POLARITY_OFF = 2,    /* OFF events only */
    SPK_POLARITY_INVERT = 3, /* ON becomes OFF, and the other way round */
    SPK_POLARITY_MERGE = 4,  /* all become ON */
    SPK_POLARITY_FORCE_32_BIT = 0x7fffffff
} spk_polarity_mode;

typedef struct spk_polarity_desc {
    uint32_t begin_sentinel; /* leave 0 */
    spk_polarity_mode mode;  /* default: SPK_POLARITY_BOTH */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    uint32_t end_sentinel;   /* leave 0 */
} spk_polarity_desc;
SPIKELIB_API spk_filter *spk_filter_polarity(const spk_polarity_desc *desc);

/* Keeps begin_us <= t < end_us. */
typedef struct spk_time_window_desc {
    uint32_t begin_sentinel; /* leave 0 */
    int64_t begin_us;        /* default: 0, no beginning */
    int64_t end_us;          /* default: 0, no end */
    bool relative;           /* both count from the first event */
    bool outside;            /* keeps what is not in the window */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    uint32_t end_sentinel;   /* leave 0 */
} spk_time_window_desc;
SPIKELIB_API spk_filter *spk_filter_time_window(const spk_time_window_desc *desc);

/* Fewer, larger pixels: factor_x by factor_y of them become one. With a threshold n the large pixel
   adds up its events, ON +1 and OFF -1, and sends one each time the sum reaches n or -n, from which
   it then starts again at 0. */
typedef struct spk_downsample_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    uint32_t width, height;      /* of the sensor, before; default: grows */
    uint32_t factor_x, factor_y; /* 1 to 65,535; default: 2, and factor_x */
    uint32_t threshold;          /* at most 32,767; default: 0, every event passes */
    spk_isa isa;                 /* default: SPK_ISA_AUTO */
    spk_allocator allocator;     /* default: malloc and free */
    size_t memory_limit;         /* bytes in all; default: no limit */
    uint32_t end_sentinel;       /* leave 0 */
} spk_downsample_desc;
SPIKELIB_API spk_filter *spk_filter_downsample(const spk_downsample_desc *desc);

/* -- several, and your own -- */

/* One after the other. The chain owns them from now on, unless it is NULL (no memory). A filter
   that is NULL or has an error is the chain's error. Cost: goes through the events in pieces that
   stay in the first-level cache from filter to filter. */
SPIKELIB_API spk_filter *spk_filter_chain(spk_filter *const *filters, size_t count);
/* The filters of a chain, for their statistics; NULL beyond its end, or if it is no chain.
   Ownership: the chain's. */
SPIKELIB_API spk_filter *spk_filter_chain_at(const spk_filter *chain, size_t index);

/* `apply` gets all kinds of events and does as spk_filter_apply; `name` is copied. */
typedef struct spk_custom_desc {
    uint32_t begin_sentinel; /* leave 0 */
    const char *name;        /* at most 31 characters; default: "custom" */
    void *ctx;
    size_t (*apply)(void *ctx, spk_event *events, size_t count); /* needed */
    void (*reset)(void *ctx);                                    /* default: nothing to do */
    void (*destroy)(void *ctx);                                  /* default: nothing to do */
    spk_allocator allocator;                                     /* default: malloc and free */
    uint32_t end_sentinel;                                       /* leave 0 */
} spk_custom_desc;
SPIKELIB_API spk_filter *spk_filter_custom(const spk_custom_desc *desc);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
#define SPKI_BY_REFERENCE(kind)                                                                   \
    SPKI_OVERLOAD spk_filter *spk_filter_##kind(const spk_##kind##_desc &desc)                    \
    {                                                                                             \
        return spk_filter_##kind(&desc);                                                          \
    }
SPKI_BY_REFERENCE(refractory)
SPKI_BY_REFERENCE(background)
SPKI_BY_REFERENCE(hot_pixel)
SPKI_BY_REFERENCE(corner)
SPKI_BY_REFERENCE(region)
SPKI_BY_REFERENCE(orient)
SPKI_BY_REFERENCE(polarity)
SPKI_BY_REFERENCE(time_window)
SPKI_BY_REFERENCE(downsample)
SPKI_BY_REFERENCE(custom)
#undef SPKI_BY_REFERENCE
#undef SPKI_OVERLOAD
#endif
#endif /* SPIKELIB_NO_EVENTS */

#endif /* SPIKELIB_H */

/* ---- >>models-section: what SPIKELIB_NEURON needs ---- */

#if defined(SPIKELIB_MODELS) || defined(SPIKELIB_IMPLEMENTATION)
#if defined(SPIKELIB_MODELS) && defined(SPIKELIB_MODELS_CLOSED)
#error "define SPIKELIB_MODELS before the #include of spikelib.h that has SPIKELIB_IMPLEMENTATION"
#endif
#ifndef SPIKELIB_MODELS_SECTION
#define SPIKELIB_MODELS_SECTION

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#endif

/* ---- >>foundation: what every part of the implementation stands on ---- */

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

/* ---- >>have: which instruction sets this build can use ---- */

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

#ifndef SPIKELIB_NO_NET
/* ---- >>vectors: one family of vector types for every instruction set ---- */

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

/* Suffix = element and lanes: f1 d1 (scalar), f4 d2 (16 bytes), f8 d4 (32), f16 d8 (64).
   spki_<s> holds reals, spki_i<s> integers of the same width; a comparison of vectors gives
   spki_i<s> with lanes 0 or -1, of scalars an int 0 or 1: text written with spk_select, & and |
   means the same for both. */
#define SPKI_GNU_VECTOR(bytes) __attribute__((vector_size(bytes)))

/* The element of what a comparison of double vectors gives. */
#if defined(__clang__)
typedef long long spki_i64;
#else
typedef int64_t spki_i64;
#endif

typedef float spki_f1;
typedef double spki_d1;
typedef int32_t spki_if1;
typedef int64_t spki_id1;
typedef int spki_mf1;
typedef int spki_md1;

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
typedef float spki_f4 SPKI_GNU_VECTOR(16);
typedef double spki_d2 SPKI_GNU_VECTOR(16);
typedef int32_t spki_if4 SPKI_GNU_VECTOR(16);
typedef spki_i64 spki_id2 SPKI_GNU_VECTOR(16);
typedef spki_if4 spki_mf4;
typedef spki_id2 spki_md2;
#endif
#if SPKI_HAVE_AVX2
typedef float spki_f8 SPKI_GNU_VECTOR(32);
typedef double spki_d4 SPKI_GNU_VECTOR(32);
typedef int32_t spki_if8 SPKI_GNU_VECTOR(32);
typedef spki_i64 spki_id4 SPKI_GNU_VECTOR(32);
typedef spki_if8 spki_mf8;
typedef spki_id4 spki_md4;
#endif
#if SPKI_HAVE_AVX512
typedef float spki_f16 SPKI_GNU_VECTOR(64);
typedef double spki_d8 SPKI_GNU_VECTOR(64);
typedef int32_t spki_if16 SPKI_GNU_VECTOR(64);
typedef spki_i64 spki_id8 SPKI_GNU_VECTOR(64);
typedef spki_if16 spki_mf16;
typedef spki_id8 spki_md8;
#endif

/* GCC contracts a * b + c into one rounding wherever the target has it and ignores the standard
   pragma; Clang obeys the pragma, inside each function. Both are asked, in every kernel. */
#if defined(__clang__)
#define SPKI_NO_CONTRACT_ATTR
#define SPKI_NO_CONTRACT _Pragma("STDC FP_CONTRACT OFF")
#else
#define SPKI_NO_CONTRACT_ATTR __attribute__((optimize("fp-contract=off")))
#define SPKI_NO_CONTRACT
#endif

#define SPKI_TARGET_SCALAR SPKI_NO_CONTRACT_ATTR
#define SPKI_TARGET_BASE SPKI_NO_CONTRACT_ATTR
#define SPKI_TARGET_AVX2 __attribute__((target("avx2"))) SPKI_NO_CONTRACT_ATTR
#define SPKI_TARGET_AVX512                                                                        \
    __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) SPKI_NO_CONTRACT_ATTR

#define SPKI_CAT_(a, b) a##b
#define SPKI_CAT(a, b) SPKI_CAT_(a, b)
#define SPKI_CAT3_(a, b, c) a##b##c
#define SPKI_CAT3(a, b, c) SPKI_CAT3_(a, b, c)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* every function below is inlined: no ABI is involved */
#endif

#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 0
#define SPKI_S f1
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_SCALAR
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 1
#define SPKI_S d1
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_SCALAR
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 0
#define SPKI_S f4
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_BASE
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#define SPKI_LANES 2
#define SPKI_IS_DOUBLE 1
#define SPKI_S d2
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_BASE
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#endif

#if SPKI_HAVE_AVX2
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 0
#define SPKI_S f8
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_AVX2
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 1
#define SPKI_S d4
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_AVX2
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#endif

#if SPKI_HAVE_AVX512
#define SPKI_LANES 16
#define SPKI_IS_DOUBLE 0
#define SPKI_S f16
#define SPKI_E float
#define SPKI_TARGET SPKI_TARGET_AVX512
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 1
#define SPKI_S d8
#define SPKI_E double
#define SPKI_TARGET SPKI_TARGET_AVX512
/* ---- >>math: vector operations and functions of one type (pasted once per type) ----
   exp, log and the rest are ours, so that every target computes the same bits: only + - * /,
   comparisons and integer operations. Relative errors: within 2 ulp of float and of double (tanh
   within 3, pow within 4 (1 + |y log x|)). Nothing overflows to infinity: arguments are clamped. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#define SPKI_C(x) (zero + (SPKI_E)(x))
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif

SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}

SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}

SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    return SPKI_F(spki_real_of)((c & SPKI_F(spki_bits_of)(a)) | (~c & SPKI_F(spki_bits_of)(b)));
#endif
}

/* Bit k is lane k of a mask. */
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}

SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}

SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a < b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(a > b, a, b);
}

SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = {0};
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}

/* 0 where |x| < 1e-30: decaying states never become subnormal, whatever the flush mode. */
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = {0};
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}

/* 2^n for whole n within the normal exponents, n given as a real. */
SPKI_MATH SPKI_R SPKI_F(spki_pow2)(SPKI_R n)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0); /* 1.5 * 2^52: the low bits hold n */
    const int shift = 52, bias = 1023;
#else
    const SPKI_R magic = SPKI_C(12582912.0); /* 1.5 * 2^23 */
    const int shift = 23, bias = 127;
#endif
    const SPKI_I base = SPKI_F(spki_bits_of)(magic) - (SPKI_INT)bias;
#if SPKI_LANES == 1
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) - base;
    return SPKI_F(spki_real_of)((SPKI_I)((SPKI_IS_DOUBLE ? (uint64_t)k : (uint32_t)k) << shift));
#else
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(n + magic) - base) << shift);
#endif
}

SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}

/* e^x, x clamped to the range where the result is a normal number. Source: Cody and Waite's
   two-part reduction; polynomial fitted to e^r (float), Taylor (double). */
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.4426950408889634));
    const SPKI_R r = (x - n * SPKI_C(0.6931471804855391)) - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(1.44269504));
    const SPKI_R r = (x - n * SPKI_C(0.693115234375)) - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return ((p * r) * r + r + SPKI_C(1.0)) * SPKI_F(spki_pow2)(n);
}

/* (e^x - 1) / x, 1 at 0: the factor without which rates and propagators are singular. */
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}

/* Natural logarithm; arguments below the smallest normal number count as that number. */
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = {0};
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT half = (SPKI_INT)0x3fe6a09e667f3bcdLL, mant = (SPKI_INT)0x000fffffffffffffLL;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT half = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    /* exponent so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - half, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + half);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}

/* x^y for x > 0. */
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}

SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = {0};
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}

/* sin and cos of r + k pi/2, |x| up to 1e4 (float) or 1e6 (double) before the error grows. */
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = {0};
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}

SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}

SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}

/* Correctly rounded; 0 for negative arguments. */
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = {0};
    x = SPKI_F(spki_max)(x, zero);
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}

#if !SPKI_IS_DOUBLE
/* 16-bit storage: sign, 5 bits of exponent (2^-15 .. 2^16, all normal), 10 of mantissa, 0 as 0.
   Rounded up with the probability of the remainder, so that the mean is kept: `random` holds
   13 random bits a lane. */
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = {0};
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = {0};
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}

SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05); /* 2^-15 (1 + 2^-10), code 1 */
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
    /* below the smallest code: that code with probability a / least */
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif

#ifdef __cplusplus
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif

#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* The functions that model text may call, chosen by the type of their arguments. spk_any and
   spk_select take masks; everything else takes and gives reals. */
#ifdef __cplusplus
#define SPKI_BY_TYPE(name, x) spki_ov_##name
#define SPKI_BY_FLOAT(name, x) spki_ov_##name
#define SPKI_BY_MASK(name, x) spki_ov_##name
#else
#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_BASE_F(fn) , spki_f4 : fn##f4
#define SPKI_BASE_D(fn) , spki_d2 : fn##d2
#define SPKI_BASE_M(fn) , spki_if4 : fn##f4, spki_id2 : fn##d2
#else
#define SPKI_BASE_F(fn)
#define SPKI_BASE_D(fn)
#define SPKI_BASE_M(fn)
#endif
#if SPKI_HAVE_AVX2
#define SPKI_AVX2_F(fn) , spki_f8 : fn##f8
#define SPKI_AVX2_D(fn) , spki_d4 : fn##d4
#define SPKI_AVX2_M(fn) , spki_if8 : fn##f8, spki_id4 : fn##d4
#else
#define SPKI_AVX2_F(fn)
#define SPKI_AVX2_D(fn)
#define SPKI_AVX2_M(fn)
#endif
#if SPKI_HAVE_AVX512
#define SPKI_AVX512_F(fn) , spki_f16 : fn##f16
#define SPKI_AVX512_D(fn) , spki_d8 : fn##d8
#define SPKI_AVX512_M(fn) , spki_if16 : fn##f16, spki_id8 : fn##d8
#else
#define SPKI_AVX512_F(fn)
#define SPKI_AVX512_D(fn)
#define SPKI_AVX512_M(fn)
#endif
#define SPKI_TYPES_F(fn) float : fn##f1 SPKI_BASE_F(fn) SPKI_AVX2_F(fn) SPKI_AVX512_F(fn)
#define SPKI_TYPES_D(fn) , double : fn##d1 SPKI_BASE_D(fn) SPKI_AVX2_D(fn) SPKI_AVX512_D(fn)
#define SPKI_TYPES_M(fn) int : fn##f1 SPKI_BASE_M(fn) SPKI_AVX2_M(fn) SPKI_AVX512_M(fn)
#define SPKI_BY_TYPE(name, x)                                                                     \
    _Generic((x), SPKI_TYPES_F(spki_##name##_) SPKI_TYPES_D(spki_##name##_))
#define SPKI_BY_FLOAT(name, x) _Generic((x), SPKI_TYPES_F(spki_##name##_))
#define SPKI_BY_MASK(name, x) _Generic((x), SPKI_TYPES_M(spki_##name##_))
#endif
#define spk_exp(x) SPKI_BY_TYPE(exp, x)(x)
#define spk_exprel(x) SPKI_BY_TYPE(exprel, x)(x)
#define spk_log(x) SPKI_BY_TYPE(log, x)(x)
#define spk_sin(x) SPKI_BY_TYPE(sin, x)(x)
#define spk_cos(x) SPKI_BY_TYPE(cos, x)(x)
#define spk_tanh(x) SPKI_BY_TYPE(tanh, x)(x)
#define spk_sqrt(x) SPKI_BY_TYPE(sqrt, x)(x)
#define spk_abs(x) SPKI_BY_TYPE(abs, x)(x)
#define spk_flush(x) SPKI_BY_TYPE(flush, x)(x)
#define spk_pow(x, y) SPKI_BY_TYPE(pow, x)(x, y)
#define spk_min(x, y) SPKI_BY_TYPE(min, x)(x, y)
#define spk_max(x, y) SPKI_BY_TYPE(max, x)(x, y)
#define spk_any(c) SPKI_BY_MASK(any, c)(c)
#define spk_select(c, a, b) SPKI_BY_TYPE(select, a)(c, a, b)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>models: one definition of a neuron, every target ----

   SPIKELIB_NEURON(name, PARAMS, DERIVED, STATE, INPUTS, statements...) defines `name`, an
   spk_model. The four lists are X-macros:

     PARAMS   X(tau_m, 10.0, "ms")           name, default, unit. Names that begin with tau, c_m or
                                             delta_t must be positive, t_ref and substeps not
                                             negative.
     DERIVED  X(h, dt / tau_m)               computed once, in double, from parameters, dt (ms) and
                                             earlier derived ones; spk_exp and its like, no libm
     STATE    X(v, -65.0, "mV")              name, initial value (may name parameters), unit, and
              X(v, e_l, "mV", e_l)           optionally the parameter that the text sees it relative
                                             to: what the user reads and sets is absolute
     INPUTS   X(i_syn, SPK_DELTA)            see spk_input_kind

   An empty list is SPK_NONE. The statements see all of these and `dt` as reals, assign to the
   states, and set `spike`. They are vector code: literals are K(0.04), choices spk_select(mask,
   a, b), conditions are combined with & and |; a loop may run while spk_any(mask). No other
   control flow. Available: spk_exp spk_exprel spk_log spk_pow spk_sin spk_cos spk_tanh spk_sqrt
   spk_abs spk_min spk_max spk_flush (0 below 1e-30). Further variables: real, mask. */

typedef enum spk_input_kind {
    SPK_DELTA = 0, /* the summed weights of the synapses that arrive, with their signs */
    SPK_EXC,       /* the sum of the weights >= 0 */
    SPK_INH,       /* the sum of the magnitudes of the weights < 0 */
    SPK_CURRENT,   /* currents: drives, noise and what the host injects */
    SPK_RANDOM,    /* uniform in (0, 1], new in each step */
    SPK_INPUT_FORCE_32_BIT = 0x7fffffff
} spk_input_kind;

#define SPK_NONE(X)
/* A literal of the text's precision. */
#define K(x) (spki_zero + (spki_elem)(x))

#define SPKI_GROUP 64   /* neurons are updated, and spikes reported, in groups of 64 */
#define SPKI_ISA_SLOTS 7 /* indexed by spk_isa */

/* What a kernel works on: `groups` x 64 neurons. Parameters are arrays, or one block of 64 bytes
   where uniform (mask 0). */
typedef struct spki_kernel_args {
    size_t groups;
    const char *const *param;     /* parameters, then derived */
    const size_t *param_mask;
    char *const *state;
    const double *state_offset;   /* 16-bit storage: what the stored values are relative to */
    const char *const *input;
    const size_t *input_mask;
    const uint32_t *random;       /* 16-bit storage: random_stride words for each two states */
    size_t random_stride;
    uint64_t *spikes;             /* one bit a neuron, one word a group */
    double dt;
} spki_kernel_args;
typedef void (*spki_kernel)(const spki_kernel_args *args);

typedef struct spki_model_field {
    const char *name, *unit, *relative;
    double value; /* parameters: the default; inputs: the kind */
} spki_model_field;

struct spk_model_def {
    const char *name;
    uint32_t param_count, derived_count, state_count, input_count;
    const spki_model_field *param, *state, *input;
    const char *const *derived; /* names */
    void (*derive)(const double *param, double dt, double *derived);
    void (*init)(const double *param, double dt, double *state);
    spki_kernel kernel[SPKI_ISA_SLOTS][3]; /* [spk_isa][spk_precision] */
    const char *derived_text, *text;       /* for devices and for spk_model_describe */
};

#define SPKI_FIRST_(a, ...) a
#define SPKI_SECOND_(a, b, ...) #b
#define SPKI_STATE_UNIT(...) SPKI_FIRST_(__VA_ARGS__, 0)
#define SPKI_STATE_RELATIVE(...) SPKI_SECOND_(__VA_ARGS__, spki_absolute, 0)

#define SPKI_P_ENUM(name, ...) SPKI_P_##name,
#define SPKI_P_FIELD(name, value, unit) {#name, unit, 0, value},
#define SPKI_P_LOCAL(name, ...)                                                                   \
    const double name = spki_param[SPKI_P_##name];                                                \
    (void)name;
#define SPKI_P_SETUP(name, ...)                                                                   \
    const char *const spki_pp_##name = spki_a->param[SPKI_P_##name];                              \
    const size_t spki_pm_##name = spki_a->param_mask[SPKI_P_##name];                              \
    real spki_pv_##name;                                                                          \
    memcpy(&spki_pv_##name, spki_pp_##name, sizeof(real));                                        \
    spki_varied |= spki_pm_##name;
#define SPKI_P_RELOAD(name, ...)                                                                  \
    memcpy(&spki_pv_##name, spki_pp_##name + (spki_at & spki_pm_##name), sizeof(real));
#define SPKI_P_LOAD(name, ...)                                                                    \
    const real name = spki_pv_##name;                                                             \
    (void)name;
#define SPKI_D_ENUM(name, ...) SPKI_D_##name,
#define SPKI_D_NAME(name, ...) #name,
#define SPKI_D_TEXT(name, ...) #name " = " #__VA_ARGS__ ";\n"
#define SPKI_D_COMPUTE(name, ...)                                                                 \
    const double name = (__VA_ARGS__);                                                            \
    spki_derived[SPKI_D_##name] = name;
#define SPKI_D_SETUP(name, ...)                                                                   \
    const char *const spki_dp_##name = spki_a->param[SPKI_P_COUNT + SPKI_D_##name];               \
    const size_t spki_dm_##name = spki_a->param_mask[SPKI_P_COUNT + SPKI_D_##name];               \
    real spki_dv_##name;                                                                          \
    memcpy(&spki_dv_##name, spki_dp_##name, sizeof(real));                                        \
    spki_varied |= spki_dm_##name;
#define SPKI_D_RELOAD(name, ...)                                                                  \
    memcpy(&spki_dv_##name, spki_dp_##name + (spki_at & spki_dm_##name), sizeof(real));
#define SPKI_D_LOAD(name, ...)                                                                    \
    const real name = spki_dv_##name;                                                             \
    (void)name;

#define SPKI_S_ENUM(name, ...) SPKI_S_##name,
#define SPKI_S_FIELD(name, value, ...)                                                            \
    {#name, SPKI_STATE_UNIT(__VA_ARGS__), SPKI_STATE_RELATIVE(__VA_ARGS__), 0.0},
#define SPKI_S_INIT(name, value, ...) spki_state[SPKI_S_##name] = (value);
#define SPKI_S_SETUP(name, ...) char *const spki_sp_##name = spki_a->state[SPKI_S_##name];
#define SPKI_S_LOAD(name, ...)                                                                    \
    real name;                                                                                    \
    memcpy(&name, spki_sp_##name + spki_at, sizeof name);
#define SPKI_S_STORE(name, ...) memcpy(spki_sp_##name + spki_at, &name, sizeof name);
#define SPKI_S_SETUP16(name, ...)                                                                 \
    SPKI_S_SETUP(name, 0)                                                                          \
    const float spki_so_##name = (float)spki_a->state_offset[SPKI_S_##name];
#define SPKI_S_LOAD16(name, ...)                                                                  \
    real name = SPKI_BY_FLOAT(unpack16, spki_zero)(                                               \
                    spki_zero, (const uint16_t *)(const void *)(spki_sp_##name + spki_at / 2)) +  \
                spki_so_##name;
#define SPKI_S_STORE16(name, ...)                                                                 \
    {                                                                                             \
        spki_int spki_r;                                                                          \
        memcpy(&spki_r,                                                                           \
               spki_a->random + (SPKI_S_##name / 2) * spki_a->random_stride + spki_at / 4,        \
               sizeof spki_r);                                                                    \
        spki_r = (spki_r >> (16 * (SPKI_S_##name & 1))) & 0x1fff;                                 \
        SPKI_BY_FLOAT(pack16, spki_zero)(                                                         \
            name - spki_so_##name, (uint16_t *)(void *)(spki_sp_##name + spki_at / 2), spki_r);   \
    }

#define SPKI_I_ENUM(name, ...) SPKI_I_##name,
#define SPKI_I_FIELD(name, kind) {#name, #kind, 0, (double)(kind)},
#define SPKI_I_SETUP(name, ...)                                                                   \
    const char *const spki_ip_##name = spki_a->input[SPKI_I_##name];                              \
    const size_t spki_im_##name = spki_a->input_mask[SPKI_I_##name];
#define SPKI_I_LOAD(name, ...)                                                                    \
    real name;                                                                                    \
    memcpy(&name, spki_ip_##name + (spki_at & spki_im_##name), sizeof name);                      \
    (void)name;

#define SPKI_ELEM_f1 float
#define SPKI_ELEM_f4 float
#define SPKI_ELEM_f8 float
#define SPKI_ELEM_f16 float
#define SPKI_ELEM_d1 double
#define SPKI_ELEM_d2 double
#define SPKI_ELEM_d4 double
#define SPKI_ELEM_d8 double

/* One kernel. S names the types; setup, load and store are those of the state's format. */
#define SPKI_KERNEL(symbol, target, S, setup, load, store, PARAMS, DERIVED, STATE, INPUTS, ...)   \
    target static void symbol(const spki_kernel_args *spki_a)                                     \
    {                                                                                             \
        SPKI_NO_CONTRACT                                                                          \
        typedef spki_##S real;                                                                    \
        typedef spki_m##S mask;                                                                   \
        typedef spki_i##S spki_int;                                                               \
        typedef SPKI_ELEM_##S spki_elem;                                                          \
        enum { PARAMS(SPKI_P_ENUM) SPKI_P_COUNT };                                                \
        enum { DERIVED(SPKI_D_ENUM) SPKI_D_COUNT };                                               \
        enum { STATE(SPKI_S_ENUM) SPKI_S_COUNT };                                                 \
        enum { INPUTS(SPKI_I_ENUM) SPKI_I_COUNT };                                                \
        const real spki_zero = {0};                                                               \
        const real dt = spki_zero + (spki_elem)spki_a->dt;                                        \
        const size_t spki_group_bytes = SPKI_GROUP * sizeof(spki_elem);                           \
        (void)dt;                                                                                 \
        (void)sizeof(spki_int);                                                                   \
        size_t spki_varied = 0; /* uniform parameters stay in registers */                        \
        PARAMS(SPKI_P_SETUP) DERIVED(SPKI_D_SETUP) STATE(setup) INPUTS(SPKI_I_SETUP)              \
        for (size_t spki_g = 0; spki_g < spki_a->groups; spki_g++) {                              \
            uint64_t spki_word = 0;                                                               \
            for (size_t spki_j = 0; spki_j < spki_group_bytes; spki_j += sizeof(real)) {          \
                const size_t spki_at = spki_g * spki_group_bytes + spki_j;                        \
                (void)spki_at;                                                                    \
                if (spki_varied) {                                                                \
                    PARAMS(SPKI_P_RELOAD) DERIVED(SPKI_D_RELOAD)                                  \
                }                                                                                 \
                PARAMS(SPKI_P_LOAD) DERIVED(SPKI_D_LOAD) STATE(load) INPUTS(SPKI_I_LOAD)          \
                mask spike = spki_zero > spki_zero;                                               \
                __VA_ARGS__                                                                       \
                STATE(store)                                                                      \
                spki_word |= SPKI_BY_MASK(mask_bits, spike)(spike)                                \
                             << (spki_j / sizeof(spki_elem));                                     \
            }                                                                                     \
            spki_a->spikes[spki_g] = spki_word;                                                   \
        }                                                                                         \
    }

/* The three precisions of one instruction set. */
#define SPKI_KERNELS(symbol, target, F, D, ...)                                                   \
    SPKI_KERNEL(SPKI_CAT3(symbol, _, F), target, F, SPKI_S_SETUP, SPKI_S_LOAD, SPKI_S_STORE,      \
                __VA_ARGS__)                                                                      \
    SPKI_KERNEL(SPKI_CAT3(symbol, _, D), target, D, SPKI_S_SETUP, SPKI_S_LOAD, SPKI_S_STORE,      \
                __VA_ARGS__)                                                                      \
    SPKI_KERNEL(SPKI_CAT3(symbol, _16_, F), target, F, SPKI_S_SETUP16, SPKI_S_LOAD16,             \
                SPKI_S_STORE16, __VA_ARGS__)
#define SPKI_KERNEL_ROW(symbol, F, D)                                                             \
    {                                                                                             \
        symbol##_##F, symbol##_##D, symbol##_16_##F                                               \
    }
#define SPKI_NO_KERNELS {0, 0, 0}

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_KERNELS_BASE(symbol, ...)                                                            \
    SPKI_KERNELS(symbol, SPKI_TARGET_BASE, f4, d2, __VA_ARGS__)
#else
#define SPKI_KERNELS_BASE(symbol, ...)
#endif
#if SPKI_HAVE_SSE2
#define SPKI_ROW_SSE2(symbol) SPKI_KERNEL_ROW(symbol, f4, d2)
#else
#define SPKI_ROW_SSE2(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_NEON
#define SPKI_ROW_NEON(symbol) SPKI_KERNEL_ROW(symbol, f4, d2)
#else
#define SPKI_ROW_NEON(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_GENERIC
#define SPKI_ROW_GENERIC(symbol) SPKI_KERNEL_ROW(symbol, f4, d2)
#else
#define SPKI_ROW_GENERIC(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_AVX2
#define SPKI_KERNELS_AVX2(symbol, ...)                                                            \
    SPKI_KERNELS(symbol, SPKI_TARGET_AVX2, f8, d4, __VA_ARGS__)
#define SPKI_ROW_AVX2(symbol) SPKI_KERNEL_ROW(symbol, f8, d4)
#else
#define SPKI_KERNELS_AVX2(symbol, ...)
#define SPKI_ROW_AVX2(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_AVX512
#define SPKI_KERNELS_AVX512(symbol, ...)                                                          \
    SPKI_KERNELS(symbol, SPKI_TARGET_AVX512, f16, d8, __VA_ARGS__)
#define SPKI_ROW_AVX512(symbol) SPKI_KERNEL_ROW(symbol, f16, d8)
#else
#define SPKI_KERNELS_AVX512(symbol, ...)
#define SPKI_ROW_AVX512(symbol) SPKI_NO_KERNELS
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define SPKI_QUIET_BEGIN                                                                          \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wpsabi\"")
#define SPKI_QUIET_END _Pragma("GCC diagnostic pop")
#else
#define SPKI_QUIET_BEGIN
#define SPKI_QUIET_END
#endif

/* Everything that a model needs, as `spki_def_<symbol>`. */
#define SPKI_MODEL(symbol, display, text, PARAMS, DERIVED, STATE, INPUTS, ...)                    \
    SPKI_QUIET_BEGIN                                                                              \
    SPKI_KERNELS(spki_k_##symbol, SPKI_TARGET_SCALAR, f1, d1, PARAMS, DERIVED, STATE, INPUTS,     \
                 __VA_ARGS__)                                                                     \
    SPKI_KERNELS_BASE(spki_k_##symbol, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__)               \
    SPKI_KERNELS_AVX2(spki_k_##symbol, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__)               \
    SPKI_KERNELS_AVX512(spki_k_##symbol, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__)             \
    SPKI_QUIET_END                                                                                \
    static void spki_derive_##symbol(const double *spki_param, double dt, double *spki_derived)   \
    {                                                                                             \
        SPKI_NO_CONTRACT                                                                          \
        enum { PARAMS(SPKI_P_ENUM) SPKI_P_COUNT };                                                \
        enum { DERIVED(SPKI_D_ENUM) SPKI_D_COUNT };                                               \
        (void)spki_param;                                                                         \
        (void)dt;                                                                                 \
        (void)spki_derived;                                                                       \
        PARAMS(SPKI_P_LOCAL) DERIVED(SPKI_D_COMPUTE)                                              \
    }                                                                                             \
    static void spki_init_##symbol(const double *spki_param, double dt, double *spki_state)       \
    {                                                                                             \
        SPKI_NO_CONTRACT                                                                          \
        enum { PARAMS(SPKI_P_ENUM) SPKI_P_COUNT };                                                \
        enum { STATE(SPKI_S_ENUM) SPKI_S_COUNT };                                                 \
        (void)spki_param;                                                                         \
        (void)dt;                                                                                 \
        (void)spki_state;                                                                         \
        PARAMS(SPKI_P_LOCAL) STATE(SPKI_S_INIT)                                                   \
    }                                                                                             \
    static const spki_model_field spki_param_##symbol[] = {PARAMS(SPKI_P_FIELD){0, 0, 0, 0}};     \
    static const spki_model_field spki_state_##symbol[] = {STATE(SPKI_S_FIELD){0, 0, 0, 0}};      \
    static const spki_model_field spki_input_##symbol[] = {INPUTS(SPKI_I_FIELD){0, 0, 0, 0}};     \
    static const char *const spki_derived_##symbol[] = {DERIVED(SPKI_D_NAME) 0};                  \
    static const struct spk_model_def spki_def_##symbol = {                                       \
        display,                                                                                  \
        (uint32_t)(sizeof spki_param_##symbol / sizeof(spki_model_field) - 1),                    \
        (uint32_t)(sizeof spki_derived_##symbol / sizeof(const char *) - 1),                      \
        (uint32_t)(sizeof spki_state_##symbol / sizeof(spki_model_field) - 1),                    \
        (uint32_t)(sizeof spki_input_##symbol / sizeof(spki_model_field) - 1),                    \
        spki_param_##symbol,                                                                      \
        spki_state_##symbol,                                                                      \
        spki_input_##symbol,                                                                      \
        spki_derived_##symbol,                                                                    \
        spki_derive_##symbol,                                                                     \
        spki_init_##symbol,                                                                       \
        {SPKI_NO_KERNELS, SPKI_KERNEL_ROW(spki_k_##symbol, f1, d1),                               \
         SPKI_ROW_SSE2(spki_k_##symbol), SPKI_ROW_AVX2(spki_k_##symbol),                          \
         SPKI_ROW_AVX512(spki_k_##symbol), SPKI_ROW_NEON(spki_k_##symbol),                        \
         SPKI_ROW_GENERIC(spki_k_##symbol)},                                                      \
        DERIVED(SPKI_D_TEXT) "",                                                                  \
        text}

/* See the top of this section. */
#define SPIKELIB_NEURON(name, PARAMS, DERIVED, STATE, INPUTS, ...)                                \
    SPKI_MODEL(name, #name, #__VA_ARGS__, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__);           \
    __attribute__((unused)) static spk_model const name = &spki_def_##name;
/* The built-in ones differ only in having no variable of their name. */
#define SPKI_BUILTIN_NEURON(name, PARAMS, DERIVED, STATE, INPUTS, ...)                            \
    SPKI_MODEL(name, #name, #__VA_ARGS__, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__);
#endif /* SPIKELIB_NO_NET */

#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
#endif /* models */

/* ---- >>implementation: everything else; for one file of a program ---- */

#ifdef SPIKELIB_IMPLEMENTATION
#ifndef SPIKELIB_IMPLEMENTATION_SECTION
#define SPIKELIB_IMPLEMENTATION_SECTION

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#endif

/* ---- >>status: names and meanings of results ---- */

SPIKELIB_API const char *spk_result_name(spk_result result)
{
    switch (result) {
#define SPKI_RESULT_NAME(code, name, text)                                                        \
    case name: return #name;
        SPIKELIB_RESULTS(SPKI_RESULT_NAME)
#undef SPKI_RESULT_NAME
    default: return "SPK_RESULT_UNKNOWN";
    }
}

SPIKELIB_API const char *spk_result_text(spk_result result)
{
    switch (result) {
#define SPKI_RESULT_TEXT(code, name, text)                                                        \
    case name: return text;
        SPIKELIB_RESULTS(SPKI_RESULT_TEXT)
#undef SPKI_RESULT_TEXT
    default: return "this version of spikelib has no such result";
    }
}

SPIKELIB_API const char *spk_version(void)
{
    return SPIKELIB_VERSION;
}

/* ---- >>memory: allocator hooks, limit and peak ---- */

/* All memory of a network goes through one of these. Thread: the one that called spikelib. */
typedef struct spki_mem {
    spk_allocator a;
    size_t now, peak, limit; /* bytes; limit 0: none */
} spki_mem;

/* Blocks start on a cache line and fill whole ones, so that vector code may read a tail past the
   last element and two threads' blocks never share a line. */
#define SPKI_ALIGN ((size_t)64)
/* Random reads of gigabytes of synapses miss the TLB with 4 kB pages. */
#define SPKI_HUGE_PAGE ((size_t)2 << 20)
#define SPKI_HUGE_BLOCK ((size_t)4 << 20)

#if defined(_WIN32)
SPKI_FN void *spki_default_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    return _aligned_malloc(size, align);
}

SPKI_FN void spki_default_free(void *ctx, void *block, size_t size)
{
    (void)ctx;
    (void)size;
    _aligned_free(block);
}
#else
SPKI_FN void *spki_default_alloc(void *ctx, size_t size, size_t align)
{
    void *block;
    (void)ctx;
    if (size >= SPKI_HUGE_BLOCK) align = SPKI_MAX(align, SPKI_HUGE_PAGE);
    if (size > (size_t)PTRDIFF_MAX - align) return NULL;
    block = aligned_alloc(align, (size + align - 1) & ~(align - 1));
#if defined(__linux__)
#if defined(MADV_HUGEPAGE)
    /* A wish: where it is refused, the block has small pages. */
    if (block && size >= SPKI_HUGE_BLOCK) (void)spki_os_madvise(block, size, MADV_HUGEPAGE);
#else
    if (block && size >= SPKI_HUGE_BLOCK) (void)spki_os_madvise(block, size, 14);
#endif
#endif
    return block;
}

SPKI_FN void spki_default_free(void *ctx, void *block, size_t size)
{
    (void)ctx;
    (void)size;
    free(block);
}
#endif

/* An allocator without `alloc` is malloc and free; one without `free` is an arena. */
SPKI_FN void spki_mem_init(spki_mem *mem, const spk_allocator *or_null, size_t limit)
{
    memset(mem, 0, sizeof *mem);
    mem->limit = limit;
    if (or_null && or_null->alloc) {
        mem->a = *or_null;
        return;
    }
    mem->a.alloc = spki_default_alloc;
    mem->a.free = spki_default_free;
}

/* Bytes that a block really takes, 0 if count * size is absurd. */
SPKI_FN size_t spki_block_size(size_t count, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) return 0;
    if (bytes > (size_t)PTRDIFF_MAX - SPKI_ALIGN) return 0;
    if (bytes == 0) return SPKI_ALIGN;
    return (bytes + SPKI_ALIGN - 1) & ~(SPKI_ALIGN - 1);
}

/* 64-byte aligned, contents undefined. NULL on overflow, at the limit, or without memory; a block
   of one line for count 0. */
SPKI_FN void *spki_alloc_raw(spki_mem *mem, size_t count, size_t size)
{
    size_t bytes = spki_block_size(count, size);
    void *block;
    if (bytes == 0) return NULL;
    if (mem->limit && (bytes > mem->limit || mem->now > mem->limit - bytes)) return NULL;
    block = mem->a.alloc(mem->a.ctx, bytes, SPKI_ALIGN);
    if (!block) return NULL;
    if (((uintptr_t)block & (SPKI_ALIGN - 1)) != 0) { /* a broken allocator: vectors would fault */
        if (mem->a.free) mem->a.free(mem->a.ctx, block, bytes);
        return NULL;
    }
    mem->now += bytes;
    mem->peak = SPKI_MAX(mem->peak, mem->now);
    return block;
}

/* The same, zeroed. */
SPKI_FN void *spki_alloc(spki_mem *mem, size_t count, size_t size)
{
    void *block = spki_alloc_raw(mem, count, size);
    if (block) memset(block, 0, spki_block_size(count, size));
    return block;
}

/* With the count and size of the allocation; NULL is fine. */
SPKI_FN void spki_free(spki_mem *mem, void *block, size_t count, size_t size)
{
    size_t bytes = spki_block_size(count, size);
    if (!block) return;
    mem->now -= bytes;
    if (mem->a.free) mem->a.free(mem->a.ctx, block, bytes);
}

/* ---- >>philox: random numbers addressed by a counter, with no state ---- */

/* Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11
   (2011), section 4.3: Philox-4x32 with 10 rounds; the key is bumped between rounds. */
#define SPKI_PHILOX_MUL0 UINT32_C(0xD2511F53)
#define SPKI_PHILOX_MUL1 UINT32_C(0xCD9E8D57)
#define SPKI_PHILOX_WEYL0 UINT32_C(0x9E3779B9) /* golden ratio */
#define SPKI_PHILOX_WEYL1 UINT32_C(0xBB67AE85) /* sqrt(3) - 1 */

SPKI_INLINE void spki_philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                             uint32_t k1, uint32_t out[4])
{
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)SPKI_PHILOX_MUL0 * c0;
        uint64_t p1 = (uint64_t)SPKI_PHILOX_MUL1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += SPKI_PHILOX_WEYL0;
        k1 += SPKI_PHILOX_WEYL1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

SPIKELIB_API void spk_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    spki_philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
}

/* ---- >>digest: XXH64, the same with and without the xxHash package ---- */

/* SPIKELIB_NO_XXHASH: do not look for the package. */
#define SPKI_HAVE_XXHASH 0
#if !defined(SPIKELIB_NO_XXHASH) && defined(__has_include)
#if __has_include(<xxhash.h>)
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>
#if defined(XXH_VERSION_NUMBER)
#if XXH_VERSION_NUMBER >= 800
#undef SPKI_HAVE_XXHASH
#define SPKI_HAVE_XXHASH 1
#endif
#endif
#endif
#endif

/* Source: xxHash fast digest algorithm, specification 0.1.1 (Collet 2018), "XXH64". */
#define SPKI_XXH_P1 UINT64_C(0x9E3779B185EBCA87)
#define SPKI_XXH_P2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define SPKI_XXH_P3 UINT64_C(0x165667B19E3779F9)
#define SPKI_XXH_P4 UINT64_C(0x85EBCA77C2B2AE63)
#define SPKI_XXH_P5 UINT64_C(0x27D4EB2F165667C5)

SPKI_INLINE uint64_t spki_rotl64(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

SPKI_INLINE uint64_t spki_load64_le(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

SPKI_INLINE uint32_t spki_load32_le(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap32(x);
#endif
    return x;
}

SPKI_INLINE uint64_t spki_xxh_round(uint64_t acc, uint64_t lane)
{
    return spki_rotl64(acc + lane * SPKI_XXH_P2, 31) * SPKI_XXH_P1;
}

SPKI_INLINE uint64_t spki_xxh_merge(uint64_t hash, uint64_t acc)
{
    return (hash ^ spki_xxh_round(0, acc)) * SPKI_XXH_P1 + SPKI_XXH_P4;
}

SPKI_FN void spki_xxh_begin(spk_digest *digest, uint64_t seed)
{
    memset(digest, 0, sizeof *digest);
    digest->acc[0] = seed + SPKI_XXH_P1 + SPKI_XXH_P2;
    digest->acc[1] = seed + SPKI_XXH_P2;
    digest->acc[2] = seed; /* still the seed when fewer than 32 bytes came */
    digest->acc[3] = seed - SPKI_XXH_P1;
}

SPKI_FN void spki_xxh_stripes(uint64_t acc[4], const uint8_t *p, size_t stripes)
{
    uint64_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    for (; stripes > 0; stripes--, p += 32) {
        a = spki_xxh_round(a, spki_load64_le(p));
        b = spki_xxh_round(b, spki_load64_le(p + 8));
        c = spki_xxh_round(c, spki_load64_le(p + 16));
        d = spki_xxh_round(d, spki_load64_le(p + 24));
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}

SPKI_FN void spki_xxh_update(spk_digest *digest, const void *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)data;
    digest->total += size;
    if (digest->fill > 0) {
        size_t part = SPKI_MIN(size, (size_t)(32u - digest->fill));
        memcpy(digest->tail + digest->fill, p, part);
        digest->fill += (uint32_t)part;
        p += part;
        size -= part;
        if (digest->fill < 32) return;
        spki_xxh_stripes(digest->acc, digest->tail, 1);
        digest->fill = 0;
    }
    spki_xxh_stripes(digest->acc, p, size / 32);
    digest->fill = (uint32_t)(size % 32);
    if (digest->fill > 0) memcpy(digest->tail, p + (size - digest->fill), digest->fill);
}

SPKI_FN uint64_t spki_xxh_tail(uint64_t hash, const uint8_t *p, uint32_t size)
{
    for (; size >= 8; size -= 8, p += 8) {
        hash ^= spki_xxh_round(0, spki_load64_le(p));
        hash = spki_rotl64(hash, 27) * SPKI_XXH_P1 + SPKI_XXH_P4;
    }
    if (size >= 4) {
        hash ^= spki_load32_le(p) * SPKI_XXH_P1;
        hash = spki_rotl64(hash, 23) * SPKI_XXH_P2 + SPKI_XXH_P3;
        size -= 4;
        p += 4;
    }
    for (; size > 0; size--, p++) {
        hash ^= *p * SPKI_XXH_P5;
        hash = spki_rotl64(hash, 11) * SPKI_XXH_P1;
    }
    return hash;
}

SPKI_FN uint64_t spki_xxh_value(const spk_digest *digest)
{
    const uint64_t *acc = digest->acc;
    uint64_t hash = acc[2] + SPKI_XXH_P5;
    if (digest->total >= 32) {
        hash = spki_rotl64(acc[0], 1) + spki_rotl64(acc[1], 7) + spki_rotl64(acc[2], 12) +
               spki_rotl64(acc[3], 18);
        hash = spki_xxh_merge(hash, acc[0]);
        hash = spki_xxh_merge(hash, acc[1]);
        hash = spki_xxh_merge(hash, acc[2]);
        hash = spki_xxh_merge(hash, acc[3]);
    }
    hash = spki_xxh_tail(hash + digest->total, digest->tail, digest->fill);
    hash = (hash ^ (hash >> 33)) * SPKI_XXH_P2;
    hash = (hash ^ (hash >> 29)) * SPKI_XXH_P3;
    return hash ^ (hash >> 32);
}

SPKI_FN uint64_t spki_xxh64(const void *data, size_t size, uint64_t seed)
{
    spk_digest digest;
    spki_xxh_begin(&digest, seed);
    if (data && size > 0) spki_xxh_update(&digest, data, size);
    return spki_xxh_value(&digest);
}

SPIKELIB_API uint64_t spk_xxh64(const void *data, size_t size, uint64_t seed)
{
#if SPKI_HAVE_XXHASH
    return (uint64_t)XXH64(data, data ? size : 0, seed);
#else
    return spki_xxh64(data, size, seed);
#endif
}

/* In pieces always by our own code: the package's state is larger than spk_digest, which must not
   depend on what was found, and the speed is that of the multiplier either way. */
SPIKELIB_API void spk_digest_begin(spk_digest *digest)
{
    if (digest) spki_xxh_begin(digest, 0);
}

SPIKELIB_API void spk_digest_update(spk_digest *digest, const void *data, size_t size)
{
    if (digest && data && size > 0) spki_xxh_update(digest, data, size);
}

SPIKELIB_API uint64_t spk_digest_value(const spk_digest *digest)
{
    return digest ? spki_xxh_value(digest) : 0;
}

/* ---- >>clock: monotonic seconds ---- */

SPIKELIB_API double spk_clock_seconds(void)
{
#if defined(_WIN32)
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return (double)now.QuadPart / (double)per_second.QuadPart;
#else
    struct timespec now;
#if defined(CLOCK_MONOTONIC)
    clock_gettime(CLOCK_MONOTONIC, &now);
#elif defined(__linux__) && defined(__LP64__)
    spki_os_gettime(1, &now); /* CLOCK_MONOTONIC of the Linux ABI, hidden by -std=c11 */
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
}

/* ---- >>cpu: instruction sets, number and name of the processors ---- */

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

/* In the order of the enumeration. */
SPKI_FN const char *const *spki_isa_names(void)
{
    static const char *const names[] = {"auto",   "scalar", "sse2",   "avx2",
                                        "avx512", "neon",   "generic"};
    return names;
}

#define SPKI_ISA_COUNT 7

SPIKELIB_API const char *spk_isa_name(spk_isa isa)
{
    return (uint32_t)isa < SPKI_ISA_COUNT ? spki_isa_names()[isa] : "unknown";
}

SPIKELIB_API spk_isa spk_isa_from_name(const char *name)
{
    int i;
    for (i = 0; name && i < SPKI_ISA_COUNT; i++)
        if (strcmp(name, spki_isa_names()[i]) == 0) return (spk_isa)i;
    return SPK_ISA_AUTO;
}

SPKI_FN bool spki_isa_compiled(spk_isa isa)
{
    switch (isa) {
    case SPK_ISA_SCALAR: return true;
    case SPK_ISA_SSE2: return SPKI_HAVE_SSE2 != 0;
    case SPK_ISA_AVX2: return SPKI_HAVE_AVX2 != 0;
    case SPK_ISA_AVX512: return SPKI_HAVE_AVX512 != 0;
    case SPK_ISA_NEON: return SPKI_HAVE_NEON != 0;
    case SPK_ISA_GENERIC: return SPKI_HAVE_GENERIC != 0;
    default: return false;
    }
}

#if SPKI_HAVE_SSE2
/* The CPU must know the instructions, and the operating system must save the registers.
   Source: Intel SDM volume 1, sections 14.3 and 15.2 (detection of AVX2 and AVX-512). */
SPKI_FN bool spki_cpu_has_avx(bool avx512)
{
    uint32_t a, b, c, d, enabled, high;
    uint32_t os_saves = avx512 ? 0xe6u : 0x06u; /* xmm, ymm; opmask, both halves of zmm */
    uint32_t wanted = avx512 ? 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31 : 0u; /* F DQ BW VL */
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    if ((c & (1u << 27)) == 0 || (c & (1u << 28)) == 0) return false; /* OSXSAVE, AVX */
    __asm__ volatile("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
    (void)high;
    if ((enabled & os_saves) != os_saves) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    wanted |= 1u << 5; /* AVX2 */
    return (b & wanted) == wanted;
}
#else
SPKI_FN bool spki_cpu_has_avx(bool avx512)
{
    (void)avx512;
    return false;
}
#endif

/* Cost: asks the CPU each time, which a virtual machine may trap (tens of microseconds). */
SPIKELIB_API bool spk_isa_available(spk_isa isa)
{
    if (!spki_isa_compiled(isa)) return false;
    if (isa == SPK_ISA_AVX2) return spki_cpu_has_avx(false);
    if (isa == SPK_ISA_AVX512) return spki_cpu_has_avx(true);
    return true;
}

SPKI_FN spk_isa spki_isa_widest(void)
{
    static const spk_isa order[] = {SPK_ISA_AVX512, SPK_ISA_AVX2, SPK_ISA_SSE2, SPK_ISA_NEON,
                                    SPK_ISA_GENERIC};
    size_t i;
    for (i = 0; i < sizeof order / sizeof order[0]; i++)
        if (spk_isa_available(order[i])) return order[i];
    return SPK_ISA_SCALAR;
}

/* What a wish comes to. On an error *out is the instruction set that was asked for (AUTO where
   the name or number means none) and *why a clause for the network's sentence. */
SPKI_FN spk_result spki_isa_resolve(spk_isa wanted, spk_isa *out, const char **why)
{
    const char *env = wanted == SPK_ISA_AUTO ? getenv("SPIKELIB_ISA") : NULL;
    *why = "";
    if (env && *env && strcmp(env, "auto") != 0) {
        wanted = spk_isa_from_name(env);
        *out = wanted;
        *why = "the environment variable SPIKELIB_ISA is not one of "
               "auto scalar sse2 avx2 avx512 neon generic";
        if (wanted == SPK_ISA_AUTO) return SPK_ERR_NAME;
    }
    *why = "no instruction set has that number";
    *out = SPK_ISA_AUTO;
    if ((uint32_t)wanted >= SPKI_ISA_COUNT) return SPK_ERR_NAME;
    *out = wanted == SPK_ISA_AUTO ? spki_isa_widest() : wanted;
    *why = "this build of spikelib does not contain it";
    if (!spki_isa_compiled(*out)) return SPK_ERR_UNSUPPORTED;
    *why = "this CPU or its operating system does not have it";
    if (!spk_isa_available(*out)) return SPK_ERR_UNSUPPORTED;
    *why = "";
    return SPK_OK;
}

/* An environment variable that cannot be obeyed is an error of spk_net_build, not of this. */
SPIKELIB_API spk_isa spk_isa_best(void)
{
    spk_isa isa;
    const char *why;
    return spki_isa_resolve(SPK_ISA_AUTO, &isa, &why) == SPK_OK ? isa : spki_isa_widest();
}

SPIKELIB_API uint32_t spk_cpu_count(void)
{
#if defined(_WIN32)
    DWORD_PTR mine = 0, all = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &mine, &all) && mine != 0)
        return (uint32_t)__builtin_popcountll((unsigned long long)mine);
    return 1; /* processors of several groups, or no answer */
#else
    long online;
#if defined(__linux__)
    unsigned long mask[1024 / sizeof(unsigned long)]; /* 8,192 CPUs */
    uint32_t count = 0;
    size_t i;
    memset(mask, 0, sizeof mask);
    if (spki_os_getaffinity(0, sizeof mask, mask) == 0) {
        for (i = 0; i < sizeof mask / sizeof mask[0]; i++)
            count += (uint32_t)__builtin_popcountl(mask[i]);
        if (count > 0) return count;
    }
#endif
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
#endif
}

/* Copies without the blanks before, after and doubled within. */
SPKI_FN void spki_copy_name(char *buffer, size_t size, const char *from)
{
    size_t n = 0;
    for (; *from && n + 1 < size; from++) {
        bool blank = *from == ' ' || *from == '\t' || *from == '\n' || *from == '\r';
        if (blank && (n == 0 || buffer[n - 1] == ' ')) continue;
        buffer[n++] = blank ? ' ' : *from;
    }
    if (n > 0 && buffer[n - 1] == ' ') n--;
    buffer[n] = 0;
}

#if defined(__x86_64__) || defined(__i386__)
SPKI_FN void spki_cpu_read_name(char *buffer, size_t size)
{
    uint32_t words[13];
    uint32_t k;
    memset(words, 0, sizeof words);
    for (k = 0; k < 3; k++) /* does nothing where the CPU does not go so far */
        __get_cpuid(0x80000002u + k, &words[4 * k], &words[4 * k + 1], &words[4 * k + 2],
                    &words[4 * k + 3]);
    spki_copy_name(buffer, size, words[0] ? (const char *)words : "x86");
}
#else
/* The value of a line "key : value" if the line has that key, else NULL. */
SPKI_FN const char *spki_cpuinfo_value(const char *line, const char *key)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0) return NULL;
    line += n;
    while (*line == ' ' || *line == '\t') line++;
    return *line == ':' ? line + 1 : NULL;
}

/* Linux tells a name on some architectures, on ARM only who made the core and its number. */
SPKI_FN void spki_cpu_read_name(char *buffer, size_t size)
{
    char line[256], maker[32] = "", part[32] = "";
    FILE *f = fopen("/proc/cpuinfo", "r");
    buffer[0] = 0;
    while (f && !buffer[0] && fgets(line, (int)sizeof line, f)) {
        const char *v = spki_cpuinfo_value(line, "model name");
        if (!v) v = spki_cpuinfo_value(line, "cpu model");
        if (v) spki_copy_name(buffer, size, v);
        v = spki_cpuinfo_value(line, "CPU implementer");
        if (v) spki_copy_name(maker, sizeof maker, v);
        v = spki_cpuinfo_value(line, "CPU part");
        if (v) spki_copy_name(part, sizeof part, v);
    }
    if (f) fclose(f);
    if (buffer[0]) return;
#if defined(__aarch64__)
    if (part[0]) snprintf(buffer, size, "aarch64 (implementer %s, part %s)", maker, part);
    else snprintf(buffer, size, "aarch64");
#else
    snprintf(buffer, size, "unknown CPU");
#endif
}
#endif

SPIKELIB_API const char *spk_cpu_name(char *buffer, size_t size)
{
    if (!buffer || size == 0) return "";
    spki_cpu_read_name(buffer, size);
    return buffer;
}

/* ---- >>arithmetic: is this the floating point that the digests assume? ---- */

/* No macro shows the rounding mode, contraction or what a flag such as -freciprocal-math did to
   this very translation unit, so a network being built computes cases whose results differ.
   Values pass through volatile to keep the compiler from knowing them. Subnormals are not
   tested: models do not depend on them. */

SPKI_FN bool spki_bits_are(double x, uint64_t bits)
{
    uint64_t seen;
    memcpy(&seen, &x, sizeof seen);
    return seen == bits;
}

SPKI_FN bool spki_bits_are_f(float x, uint32_t bits)
{
    uint32_t seen;
    memcpy(&seen, &x, sizeof seen);
    return seen == bits;
}

/* 1 + tiny excludes rounding up, 1 - tiny down and to zero, -1 - tiny down; the two ties have the
   even neighbour below and above. */
SPKI_FN bool spki_rounds_to_nearest(void)
{
    volatile double one = 1.0, tiny = 1.0 / 1152921504606846976.0; /* 2^-60 */
    volatile double half = 1.0 / 9007199254740992.0;               /* 2^-53 */
    volatile double odd = 1.0 + 1.0 / 4503599627370496.0;          /* 1 + 2^-52 */
    bool ok = one + tiny == one && one - tiny == one && -one - tiny == -one;
    return ok && one + half == one && spki_bits_are(odd + half, UINT64_C(0x3FF0000000000002));
}

SPKI_FN bool spki_rounds_to_nearest_f(void)
{
    volatile float one = 1.0f, tiny = 1.0f / 1073741824.0f; /* 2^-30 */
    volatile float half = 1.0f / 16777216.0f;               /* 2^-24 */
    volatile float odd = 1.0f + 1.0f / 8388608.0f;          /* 1 + 2^-23 */
    bool ok = one + tiny == one && one - tiny == one && -one - tiny == -one;
    return ok && one + half == one && spki_bits_are_f(odd + half, UINT32_C(0x3F800002));
}

/* The results below go into volatile variables too: straight code, since a compiler does not
   combine operations across branches. */

/* (1 + e)^2 - (1 + 2 e) is 0 after two roundings and e^2 after one. */
SPKI_FN bool spki_contracts(void)
{
    volatile double a = 1.0 + 1.0 / 134217728.0, b = 1.0 + 1.0 / 67108864.0, x, y; /* e = 2^-27 */
    x = a * a - b;
    y = b - a * a;
    return x != 0.0 || y != 0.0;
}

SPKI_FN bool spki_contracts_f(void)
{
    volatile float a = 1.0f + 1.0f / 4096.0f, b = 1.0f + 1.0f / 2048.0f, x, y; /* e = 2^-12 */
    x = a * a - b;
    y = b - a * a;
    return x != 0.0f || y != 0.0f;
}

/* (1 + tiny) - 1 is 0, unless the compiler cancels the ones as in algebra. */
SPKI_FN bool spki_reorders(void)
{
    volatile double v_one = 1.0, v_tiny = 1.0 / 1152921504606846976.0, x;
    volatile float v_onef = 1.0f, v_tinyf = 1.0f / 1073741824.0f, y;
    double one = v_one, tiny = v_tiny;
    float onef = v_onef, tinyf = v_tinyf;
    x = (one + tiny) - one;
    y = (onef + tinyf) - onef;
    return x != 0.0 || y != 0.0f;
}

/* 5 / 3 differs from 5 * (1 / 3) in both precisions; several quotients with one divisor tempt a
   compiler that may use the reciprocal. */
SPKI_FN bool spki_divides(void)
{
    volatile double v1 = 1.0, v3 = 3.0, v5 = 5.0, x, y, z;
    double d = v3;
    x = v1 / d;
    y = v5 / d;
    z = v3 / d;
    return spki_bits_are(x, UINT64_C(0x3FD5555555555555)) &&
           spki_bits_are(y, UINT64_C(0x3FFAAAAAAAAAAAAB)) && z == 1.0;
}

SPKI_FN bool spki_divides_f(void)
{
    volatile float v1 = 1.0f, v3 = 3.0f, v5 = 5.0f, x, y, z;
    float d = v3;
    x = v1 / d;
    y = v5 / d;
    z = v3 / d;
    return spki_bits_are_f(x, UINT32_C(0x3EAAAAAB)) && spki_bits_are_f(y, UINT32_C(0x3FD55555)) &&
           z == 1.0f;
}

SPKI_FN bool spki_takes_roots(void)
{
    volatile double v2 = 2.0, v3 = 3.0, v7 = 7.0;
    return spki_bits_are(__builtin_sqrt(v2), UINT64_C(0x3FF6A09E667F3BCD)) &&
           spki_bits_are(__builtin_sqrt(v3), UINT64_C(0x3FFBB67AE8584CAA)) &&
           spki_bits_are(__builtin_sqrt(v7), UINT64_C(0x40052A7FA9D2F8EA));
}

/* NULL, or what is wrong with the arithmetic of the calling thread and of this build.
   Thread: any; the rounding mode belongs to the calling thread. */
SPKI_FN const char *spki_arithmetic_check(void)
{
    if (!spki_rounds_to_nearest() || !spki_rounds_to_nearest_f())
        return "the rounding mode of this thread is not to nearest (call "
               "fesetround(FE_TONEAREST)), "
               "or -fsingle-precision-constant is on";
    if (spki_contracts() || spki_contracts_f())
        return "a * b + c is rounded once, not twice: compile with -ffp-contract=off";
    if (spki_reorders())
        return "the compiler reorders additions: compile without -fassociative-math";
    if (!spki_divides() || !spki_divides_f())
        return "division is not correctly rounded: compile without -freciprocal-math, -mrecip";
    if (!spki_takes_roots()) return "square roots are not correctly rounded";
    return NULL;
}

/* ---- >>pool: own threads and the barrier between steps ---- */

#if defined(SPIKELIB_NO_THREADS)
/* Without threads a network asks for a pool in vain: the caller's thread does all parts in turn. */
typedef struct spki_pool {
    uint32_t unused;
} spki_pool;
typedef struct spki_barrier {
    uint32_t unused;
} spki_barrier;

SPKI_FN spk_result spki_pool_create(spki_mem *mem, uint32_t threads, spki_pool **out)
{
    (void)mem;
    (void)threads;
    *out = NULL;
    return SPK_OK;
}

SPKI_FN void spki_pool_run(spki_pool *pool, void (*task)(void *arg, uint32_t k), void *arg)
{
    (void)pool;
    task(arg, 0);
}

SPKI_FN void spki_pool_destroy(spki_mem *mem, spki_pool *pool)
{
    (void)mem;
    (void)pool;
}

SPKI_FN void spki_barrier_init(spki_barrier *barrier, uint32_t threads)
{
    barrier->unused = threads;
}

SPKI_FN void spki_barrier_free(spki_barrier *barrier) { (void)barrier; }
SPKI_FN void spki_barrier_wait(spki_barrier *barrier) { (void)barrier; }
#else
/* SPKI_USE_FUTEX 0 (for tests) parks with a lock and a condition variable as on other systems. */
#if !defined(SPKI_USE_FUTEX)
#if defined(__linux__) && (defined(SYS_futex) || defined(SYS_futex_time64))
#define SPKI_USE_FUTEX 1
#else
#define SPKI_USE_FUTEX 0
#endif
#endif

/* -- parking: sleep until a word changes -- */

#if SPKI_USE_FUTEX
typedef struct spki_park {
    uint32_t unused;
} spki_park;

SPKI_FN void spki_park_init(spki_park *park) { park->unused = 0; }
SPKI_FN void spki_park_free(spki_park *park) { (void)park; }

/* Operations of the Linux ABI: FUTEX_WAIT 0, FUTEX_WAKE 1, with FUTEX_PRIVATE_FLAG 128. */
SPKI_FN void spki_futex(uint32_t *word, int op, uint32_t value)
{
#if defined(SYS_futex)
    (void)spki_os_syscall(SYS_futex, word, op | 128, value, NULL, NULL, 0);
#else
    (void)spki_os_syscall(SYS_futex_time64, word, op | 128, value, NULL, NULL, 0);
#endif
}

/* The kernel compares and sleeps in one step, so that no change is missed. May return early. */
SPKI_FN void spki_park_wait(spki_park *park, uint32_t *word, uint32_t old)
{
    (void)park;
    spki_futex(word, 0, old);
}

SPKI_FN void spki_park_wake(spki_park *park, uint32_t *word)
{
    (void)park;
    spki_futex(word, 1, INT_MAX);
}
#elif defined(_WIN32)
typedef struct spki_park {
    SRWLOCK lock;
    CONDITION_VARIABLE changed;
} spki_park;

SPKI_FN void spki_park_init(spki_park *park)
{
    InitializeSRWLock(&park->lock);
    InitializeConditionVariable(&park->changed);
}

SPKI_FN void spki_park_free(spki_park *park) { (void)park; }

SPKI_FN void spki_park_wait(spki_park *park, uint32_t *word, uint32_t old)
{
    AcquireSRWLockExclusive(&park->lock);
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        SleepConditionVariableSRW(&park->changed, &park->lock, INFINITE, 0);
    ReleaseSRWLockExclusive(&park->lock);
}

/* Taking the lock lets a sleeper that has just compared get to sleep before it is woken. */
SPKI_FN void spki_park_wake(spki_park *park, uint32_t *word)
{
    (void)word;
    AcquireSRWLockExclusive(&park->lock);
    ReleaseSRWLockExclusive(&park->lock);
    WakeAllConditionVariable(&park->changed);
}
#else
typedef struct spki_park {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} spki_park;

SPKI_FN void spki_park_init(spki_park *park)
{
    pthread_mutex_init(&park->lock, NULL);
    pthread_cond_init(&park->changed, NULL);
}

SPKI_FN void spki_park_free(spki_park *park)
{
    pthread_cond_destroy(&park->changed);
    pthread_mutex_destroy(&park->lock);
}

SPKI_FN void spki_park_wait(spki_park *park, uint32_t *word, uint32_t old)
{
    pthread_mutex_lock(&park->lock);
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        pthread_cond_wait(&park->changed, &park->lock);
    pthread_mutex_unlock(&park->lock);
}

/* Taking the lock lets a sleeper that has just compared get to sleep before it is woken. */
SPKI_FN void spki_park_wake(spki_park *park, uint32_t *word)
{
    (void)word;
    pthread_mutex_lock(&park->lock);
    pthread_mutex_unlock(&park->lock);
    pthread_cond_broadcast(&park->changed);
}
#endif

SPKI_INLINE void spki_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` takes no time at all on most cores */
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/* -- barrier -- */

/* Steps are shorter than a sleep and a wake-up (10 to 50 us), so waiting threads spin. But where
   other programs want the cores, a spinning thread keeps the very thread that it waits for from
   running. So patience is learnt: spinning in vain cuts it to a quarter, spinning with success
   doubles it, and one wait in 64 is patient again, to see whether the cores have become free.
   There is no yielding between spinning and parking: it hands a whole time slice (1 to 3 ms) to
   the other program, while a parked thread that is woken runs at once. Threads that share cores
   with each other park without spinning. Each word has two cache lines of its own. */
typedef struct spki_barrier {
    uint32_t threads, patience_max, patience; /* ns */
    uint8_t pad0[116];
    uint32_t arrived;
    uint8_t pad1[124];
    uint32_t phase;
    uint8_t pad2[124];
    uint32_t parked;
    spki_park park;
} spki_barrier;

#define SPKI_PATIENCE_MAX 200000u
#define SPKI_PATIENCE_MIN 1000u

SPKI_FN void spki_barrier_init(spki_barrier *barrier, uint32_t threads)
{
    memset(barrier, 0, sizeof *barrier);
    barrier->threads = threads;
    barrier->patience_max = threads <= spk_cpu_count() ? SPKI_PATIENCE_MAX : 0;
    barrier->patience = barrier->patience_max;
    spki_park_init(&barrier->park);
}

SPKI_FN void spki_barrier_free(spki_barrier *barrier)
{
    spki_park_free(&barrier->park);
}

/* Counts `count` arrivals without waiting; the last one opens the barrier (and says so). */
SPKI_FN bool spki_barrier_arrive(spki_barrier *barrier, uint32_t count)
{
    uint32_t before = __atomic_fetch_add(&barrier->arrived, count, __ATOMIC_ACQ_REL);
    uint32_t phase;
    if (before + count != barrier->threads) return false;
    /* The others wait for the phase, so nobody reads or counts between these two stores. */
    phase = __atomic_load_n(&barrier->phase, __ATOMIC_RELAXED);
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&barrier->phase, phase + 1, __ATOMIC_SEQ_CST);
    /* Either this load sees a parking thread, or that thread's comparison sees the new phase. */
    if (__atomic_load_n(&barrier->parked, __ATOMIC_SEQ_CST) > 0)
        spki_park_wake(&barrier->park, &barrier->phase);
    return true;
}

SPKI_INLINE bool spki_barrier_open(spki_barrier *barrier, uint32_t phase)
{
    return __atomic_load_n(&barrier->phase, __ATOMIC_ACQUIRE) != phase;
}

/* True, and in *waited the ns it took, if the barrier opened within `patience` ns. The clock is
   read every 32 pauses: a pause lasts 4 to 140 cycles, depending on the CPU. */
SPKI_FN bool spki_barrier_spin(spki_barrier *barrier, uint32_t phase, uint32_t patience,
                               uint32_t *waited)
{
    double start = 0.0;
    uint32_t i;
    *waited = 0;
    for (i = 1;; i++) {
        if (spki_barrier_open(barrier, phase)) return true;
        spki_pause();
        if (i % 32 != 0) continue;
        if (i == 32) start = spk_clock_seconds();
        else *waited = (uint32_t)SPKI_MIN(1e9 * (spk_clock_seconds() - start), 1e9);
        if (*waited > patience) return false;
    }
}

/* Written only where it changes: the line stays in everybody's cache. */
SPKI_FN void spki_barrier_learn(spki_barrier *barrier, uint32_t old, uint32_t waited, bool success)
{
    uint32_t next = success ? 2 * SPKI_MAX(old, waited) : old / 4;
    next = SPKI_MIN(SPKI_MAX(next, SPKI_PATIENCE_MIN), barrier->patience_max);
    if (next != old) __atomic_store_n(&barrier->patience, next, __ATOMIC_RELAXED);
}

SPKI_FN void spki_barrier_park(spki_barrier *barrier, uint32_t phase)
{
    __atomic_fetch_add(&barrier->parked, 1, __ATOMIC_SEQ_CST);
    while (!spki_barrier_open(barrier, phase))
        spki_park_wait(&barrier->park, &barrier->phase, phase);
    __atomic_fetch_sub(&barrier->parked, 1, __ATOMIC_SEQ_CST);
}

/* Returns when all `threads` threads have come. What each wrote before is visible to all after. */
SPKI_FN void spki_barrier_wait(spki_barrier *barrier)
{
    uint32_t phase = __atomic_load_n(&barrier->phase, __ATOMIC_RELAXED);
    if (spki_barrier_arrive(barrier, 1)) return;
    if (barrier->patience_max > 0) {
        bool probe = phase % 64 == 0;
        uint32_t patience = __atomic_load_n(&barrier->patience, __ATOMIC_RELAXED);
        uint32_t limit = probe ? barrier->patience_max : patience, waited;
        bool success = spki_barrier_spin(barrier, phase, limit, &waited);
        if (success || !probe) spki_barrier_learn(barrier, patience, waited, success);
        if (success) return;
    }
    spki_barrier_park(barrier, phase);
}

/* -- pool -- */

typedef struct spki_pool spki_pool;

typedef struct spki_worker {
    spki_pool *pool;
    uint32_t k, reserved;
#if defined(_WIN32)
    HANDLE thread;
#else
    pthread_t thread;
#endif
} spki_worker;

struct spki_pool {
    spki_barrier begin, end; /* of a run; the caller is one of the `threads` */
    uint32_t threads, started;
    bool quit;
    void (*task)(void *arg, uint32_t k);
    void *arg;
    spki_worker *workers;
};

SPKI_FN void spki_worker_loop(spki_worker *worker)
{
    spki_pool *pool = worker->pool;
    for (;;) {
        spki_barrier_wait(&pool->begin);
        if (pool->quit) return;
        pool->task(pool->arg, worker->k);
        spki_barrier_wait(&pool->end);
    }
}

#if defined(_WIN32)
static unsigned __stdcall spki_worker_main(void *arg)
{
    spki_worker_loop((spki_worker *)arg);
    return 0;
}

SPKI_FN bool spki_worker_start(spki_worker *worker)
{
    worker->thread = (HANDLE)_beginthreadex(NULL, 0, spki_worker_main, worker, 0, NULL);
    return worker->thread != NULL;
}

SPKI_FN void spki_worker_join(spki_worker *worker)
{
    WaitForSingleObject(worker->thread, INFINITE);
    CloseHandle(worker->thread);
}
#else
#ifdef __cplusplus
extern "C" {
#endif
SPKI_FN void *spki_worker_main(void *arg)
{
    spki_worker_loop((spki_worker *)arg);
    return NULL;
}
#ifdef __cplusplus
}
#endif

SPKI_FN bool spki_worker_start(spki_worker *worker)
{
    return pthread_create(&worker->thread, NULL, spki_worker_main, worker) == 0;
}

SPKI_FN void spki_worker_join(spki_worker *worker)
{
    pthread_join(worker->thread, NULL);
}
#endif

/* Ends the threads that were started. The arrivals of the caller, and of threads that could not
   be started, open the barrier at which the others wait. */
SPKI_FN void spki_pool_destroy(spki_mem *mem, spki_pool *pool)
{
    uint32_t k;
    if (!pool) return;
    pool->quit = true;
    spki_barrier_arrive(&pool->begin, pool->threads - pool->started);
    for (k = 0; k < pool->started; k++) spki_worker_join(&pool->workers[k]);
    spki_barrier_free(&pool->begin);
    spki_barrier_free(&pool->end);
    spki_free(mem, pool->workers, pool->threads, sizeof(spki_worker));
    spki_free(mem, pool, 1, sizeof *pool);
}

/* Starts threads - 1 threads. Errors: range (0), out of memory, thread. */
SPKI_FN spk_result spki_pool_create(spki_mem *mem, uint32_t threads, spki_pool **out)
{
    spki_pool *pool;
    spki_worker *workers;
    *out = NULL;
    if (threads == 0) return SPK_ERR_RANGE;
    pool = (spki_pool *)spki_alloc(mem, 1, sizeof *pool);
    workers = (spki_worker *)spki_alloc(mem, threads, sizeof(spki_worker));
    if (!pool || !workers) {
        spki_free(mem, workers, threads, sizeof(spki_worker));
        spki_free(mem, pool, 1, sizeof *pool);
        return SPK_ERR_OUT_OF_MEMORY;
    }
    pool->threads = threads;
    pool->workers = workers;
    spki_barrier_init(&pool->begin, threads);
    spki_barrier_init(&pool->end, threads);
    for (; pool->started < threads - 1; pool->started++) {
        spki_worker *worker = &workers[pool->started];
        worker->pool = pool;
        worker->k = pool->started + 1;
        if (spki_worker_start(worker)) continue;
        spki_pool_destroy(mem, pool);
        return SPK_ERR_THREAD;
    }
    *out = pool;
    return SPK_OK;
}

/* task(arg, k) for all k in [0, threads) at the same time, k = 0 here; returns when all are done.
   The threads keep their k from run to run, and with it what their caches hold. */
SPKI_FN void spki_pool_run(spki_pool *pool, void (*task)(void *arg, uint32_t k), void *arg)
{
    pool->task = task;
    pool->arg = arg;
    if (pool->threads > 1) spki_barrier_wait(&pool->begin);
    task(arg, 0);
    if (pool->threads > 1) spki_barrier_wait(&pool->end);
}
#endif

#ifndef SPIKELIB_NO_NET
/* ---- >>propagators: exact integration of linear membranes, in double ---- */

/* What one step adds to V (mV): for each pA of constant current, of an exponential current, and
   of an alpha current's two variables. Written with (e^x - 1) / x, so that equal time constants
   are no special case. Source: Rotter and Diesmann, Biol. Cybern. 81:381 (1999), section 3. */
SPKI_TARGET_SCALAR __attribute__((unused)) static double spki_propagator_dc(double dt, double c_m,
                                                                            double tau_m)
{
    SPKI_NO_CONTRACT
    return dt / c_m * spk_exprel(-dt / tau_m);
}

SPKI_TARGET_SCALAR __attribute__((unused)) static double
spki_propagator_exp(double dt, double c_m, double tau_m, double tau_syn)
{
    SPKI_NO_CONTRACT
    return dt / c_m * spk_exp(-dt / tau_m) * spk_exprel(dt * (1.0 / tau_m - 1.0 / tau_syn));
}

/* dV for I(t) = s t e^(-t/tau): the integral of e^(-(dt-t)/tau_m) t e^(-t/tau) / C over a step. */
SPKI_TARGET_SCALAR __attribute__((unused)) static double
spki_propagator_alpha(double dt, double c_m, double tau_m, double tau_syn)
{
    SPKI_NO_CONTRACT
    const double x = dt * (1.0 / tau_m - 1.0 / tau_syn);
    double g; /* integral of u e^(x u) over u in [0, 1] */
    if (x < 0.5 && x > -0.5) {
        double term = 1.0;
        g = 0.0;
        for (int k = 0; k < 20; k++) {
            g += term / (double)(k + 2);
            term = term * x / (double)(k + 1);
        }
    } else {
        g = (spk_exp(x) - spk_exprel(x)) / x;
    }
    return dt * dt / c_m * spk_exp(-dt / tau_m) * g;
}

/* Whole steps of a duration, at least the nearest. */
__attribute__((unused)) static double spki_whole_steps(double ms, double dt)
{
    const double steps = ms / dt + 0.5;
    return (double)(int64_t)steps;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>lif_exp: leaky integrate-and-fire, exponential postsynaptic current ---- */

/* C dV/dt = -(V - E_L) C / tau_m + I_syn + I_dc,  dI_syn/dt = -I_syn / tau_syn; a synaptic weight
   (pA) is a jump of I_syn. Integrated exactly: Rotter and Diesmann, Biol. Cybern. 81:381 (1999).
   v is held at v_reset for t_ref; inputs count in the refractory time too. */
#define SPKI_LIF_EXP_PARAMS(X)                                                                    \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn, 0.5, "ms") X(e_l, -65.0, "mV")            \
    X(v_th, -50.0, "mV") X(v_reset, -65.0, "mV") X(t_ref, 2.0, "ms") X(i_dc, 0.0, "pA")
#define SPKI_LIF_EXP_DERIVED(X)                                                                   \
    X(p_vv, spk_exp(-dt / tau_m))                                                                 \
    X(p_vi, spki_propagator_exp(dt, c_m, tau_m, tau_syn))                                         \
    X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                                                   \
    X(p_ii, spk_exp(-dt / tau_syn))                                                               \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_EXP_STATE(X)                                                                     \
    X(v, e_l, "mV", e_l) X(i_syn, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_LIF_EXP_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_exp, SPKI_LIF_EXP_PARAMS, SPKI_LIF_EXP_DERIVED, SPKI_LIF_EXP_STATE,
                    SPKI_LIF_EXP_INPUTS,
    v = spk_select(refractory > K(0.0), v, p_vv * v + p_vi * i_syn + p_vc * (i_dc + i_ext));
    i_syn = spk_flush(p_ii * i_syn) + input;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>lif_exp2: leaky integrate-and-fire, excitatory and inhibitory exponential currents ---- */

/* lif_exp with a time constant for each sign of weight: weights >= 0 (pA) are jumps of i_ex, the
   magnitudes of negative ones of i_in, which is subtracted. */
#define SPKI_LIF_EXP2_PARAMS(X)                                                                   \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn_ex, 2.0, "ms") X(tau_syn_in, 2.0, "ms")    \
    X(e_l, -70.0, "mV") X(v_th, -55.0, "mV") X(v_reset, -70.0, "mV") X(t_ref, 2.0, "ms")          \
    X(i_dc, 0.0, "pA")
#define SPKI_LIF_EXP2_DERIVED(X)                                                                  \
    X(p_vv, spk_exp(-dt / tau_m))                                                                 \
    X(p_ve, spki_propagator_exp(dt, c_m, tau_m, tau_syn_ex))                                      \
    X(p_vn, spki_propagator_exp(dt, c_m, tau_m, tau_syn_in))                                      \
    X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                                                   \
    X(p_ee, spk_exp(-dt / tau_syn_ex)) X(p_nn, spk_exp(-dt / tau_syn_in))                         \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_EXP2_STATE(X)                                                                    \
    X(v, e_l, "mV", e_l) X(i_ex, 0.0, "pA") X(i_in, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_LIF_EXP2_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_exp2, SPKI_LIF_EXP2_PARAMS, SPKI_LIF_EXP2_DERIVED, SPKI_LIF_EXP2_STATE,
                    SPKI_LIF_EXP2_INPUTS,
    v = spk_select(refractory > K(0.0), v,
                   p_vv * v + p_ve * i_ex - p_vn * i_in + p_vc * (i_dc + i_ext));
    i_ex = spk_flush(p_ee * i_ex) + ex;
    i_in = spk_flush(p_nn * i_in) + in;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>lif_alpha: leaky integrate-and-fire, alpha-shaped postsynaptic currents ---- */

/* A weight w (pA) adds w (t / tau) e^(1 - t / tau), which peaks at w after tau_syn. Integrated
   exactly: Rotter and Diesmann, Biol. Cybern. 81:381 (1999). d_ex and d_in are the first of each
   alpha function's two variables. */
#define SPKI_LIF_ALPHA_PARAMS(X)                                                                  \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn_ex, 2.0, "ms") X(tau_syn_in, 2.0, "ms")    \
    X(e_l, -70.0, "mV") X(v_th, -55.0, "mV") X(v_reset, -70.0, "mV") X(t_ref, 2.0, "ms")          \
    X(i_dc, 0.0, "pA")
#define SPKI_LIF_ALPHA_DERIVED(X)                                                                 \
    X(p_vv, spk_exp(-dt / tau_m)) X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                     \
    X(p_ve, spki_propagator_exp(dt, c_m, tau_m, tau_syn_ex))                                      \
    X(p_vn, spki_propagator_exp(dt, c_m, tau_m, tau_syn_in))                                      \
    X(p_vde, spki_propagator_alpha(dt, c_m, tau_m, tau_syn_ex))                                   \
    X(p_vdn, spki_propagator_alpha(dt, c_m, tau_m, tau_syn_in))                                   \
    X(p_ee, spk_exp(-dt / tau_syn_ex)) X(p_nn, spk_exp(-dt / tau_syn_in))                         \
    X(jump_ex, 2.718281828459045 / tau_syn_ex) X(jump_in, 2.718281828459045 / tau_syn_in)         \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_ALPHA_STATE(X)                                                                   \
    X(v, e_l, "mV", e_l) X(d_ex, 0.0, "pA/ms") X(i_ex, 0.0, "pA") X(d_in, 0.0, "pA/ms")           \
    X(i_in, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_LIF_ALPHA_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_alpha, SPKI_LIF_ALPHA_PARAMS, SPKI_LIF_ALPHA_DERIVED, SPKI_LIF_ALPHA_STATE,
                    SPKI_LIF_ALPHA_INPUTS,
    v = spk_select(refractory > K(0.0), v,
                   p_vv * v + p_vde * d_ex + p_ve * i_ex - p_vdn * d_in - p_vn * i_in
                       + p_vc * (i_dc + i_ext));
    i_ex = spk_flush(p_ee * (i_ex + dt * d_ex));
    i_in = spk_flush(p_nn * (i_in + dt * d_in));
    d_ex = spk_flush(p_ee * d_ex) + jump_ex * ex;
    d_in = spk_flush(p_nn * d_in) + jump_in * in;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>lif_delta: leaky integrate-and-fire, synapses that jump the membrane potential ---- */

/* A weight (mV) is a jump of V in the step in which it arrives; what arrives while the neuron is
   refractory is lost. Source: Brunel, J. Comput. Neurosci. 8:183 (2000), section 2. */
#define SPKI_LIF_DELTA_PARAMS(X)                                                                  \
    X(c_m, 250.0, "pF") X(tau_m, 20.0, "ms") X(e_l, 0.0, "mV") X(v_th, 20.0, "mV")                \
    X(v_reset, 10.0, "mV") X(t_ref, 2.0, "ms") X(i_dc, 0.0, "pA")
#define SPKI_LIF_DELTA_DERIVED(X)                                                                 \
    X(p_vv, spk_exp(-dt / tau_m)) X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                     \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_DELTA_STATE(X) X(v, e_l, "mV", e_l) X(refractory, 0.0, "steps")
#define SPKI_LIF_DELTA_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_delta, SPKI_LIF_DELTA_PARAMS, SPKI_LIF_DELTA_DERIVED, SPKI_LIF_DELTA_STATE,
                    SPKI_LIF_DELTA_INPUTS,
    v = spk_select(refractory > K(0.0), v, spk_flush(p_vv * v) + p_vc * (i_dc + i_ext) + input);
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>lif_cond: leaky integrate-and-fire, exponential conductances ---- */

/* C dV/dt = -g_l (V - E_l) - g_ex (V - E_ex) - g_in (V - E_in) + I; weights (nS) are jumps of g_ex,
   magnitudes of negative ones of g_in. Conductances decay exactly; V by the implicit midpoint
   rule with the conductances at the middle of the step (second order, stable for any g). */
#define SPKI_LIF_COND_PARAMS(X)                                                                   \
    X(c_m, 200.0, "pF") X(g_l, 10.0, "nS") X(e_l, -60.0, "mV") X(v_th, -50.0, "mV")               \
    X(v_reset, -60.0, "mV") X(t_ref, 5.0, "ms") X(e_ex, 0.0, "mV") X(e_in, -80.0, "mV")           \
    X(tau_syn_ex, 5.0, "ms") X(tau_syn_in, 10.0, "ms") X(i_dc, 0.0, "pA")
#define SPKI_LIF_COND_DERIVED(X)                                                                  \
    X(h_ex, spk_exp(-0.5 * dt / tau_syn_ex)) X(h_in, spk_exp(-0.5 * dt / tau_syn_in))             \
    X(half, 0.5 * dt / c_m) X(u_ex, e_ex - e_l) X(u_in, e_in - e_l)                               \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_COND_STATE(X)                                                                    \
    X(v, e_l, "mV", e_l) X(g_ex, 0.0, "nS") X(g_in, 0.0, "nS") X(refractory, 0.0, "steps")
#define SPKI_LIF_COND_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_cond, SPKI_LIF_COND_PARAMS, SPKI_LIF_COND_DERIVED, SPKI_LIF_COND_STATE,
                    SPKI_LIF_COND_INPUTS,
    const real m_ex = h_ex * g_ex;
    const real m_in = h_in * g_in;
    const real k = half * (g_l + m_ex + m_in);
    const real drive = half * (m_ex * u_ex + m_in * u_in + i_dc + i_ext);
    const real next = (v - k * v + drive + drive) / (K(1.0) + k);
    v = spk_select(refractory > K(0.0), v, next);
    g_ex = spk_flush(h_ex * m_ex) + ex;
    g_in = spk_flush(h_in * m_in) + in;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>lif_adapt: leaky integrate-and-fire, adaptive threshold ---- */

/* lif_exp whose threshold is v_th + a: each spike adds q_th to a, which decays with tau_th.
   Source: Kobayashi, Tsubo and Shinomoto, Front. Comput. Neurosci. 3:9 (2009), with one
   exponential and the reset of an integrate-and-fire neuron. The slow a loses a share of itself,
   which 32 bits hold more exactly than a factor near 1. */
#define SPKI_LIF_ADAPT_PARAMS(X)                                                                  \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn, 2.0, "ms") X(e_l, -70.0, "mV")            \
    X(v_th, -55.0, "mV") X(v_reset, -70.0, "mV") X(t_ref, 2.0, "ms") X(i_dc, 0.0, "pA")           \
    X(tau_th, 100.0, "ms") X(q_th, 3.0, "mV")
#define SPKI_LIF_ADAPT_DERIVED(X)                                                                 \
    X(p_vv, spk_exp(-dt / tau_m)) X(p_vi, spki_propagator_exp(dt, c_m, tau_m, tau_syn))           \
    X(p_vc, spki_propagator_dc(dt, c_m, tau_m)) X(p_ii, spk_exp(-dt / tau_syn))                   \
    X(q_aa, dt / tau_th * spk_exprel(-dt / tau_th))                                               \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_ADAPT_STATE(X)                                                                   \
    X(v, e_l, "mV", e_l) X(i_syn, 0.0, "pA") X(a, 0.0, "mV") X(refractory, 0.0, "steps")
#define SPKI_LIF_ADAPT_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_adapt, SPKI_LIF_ADAPT_PARAMS, SPKI_LIF_ADAPT_DERIVED, SPKI_LIF_ADAPT_STATE,
                    SPKI_LIF_ADAPT_INPUTS,
    v = spk_select(refractory > K(0.0), v, p_vv * v + p_vi * i_syn + p_vc * (i_dc + i_ext));
    i_syn = spk_flush(p_ii * i_syn) + input;
    a = spk_flush(a - q_aa * a);
    spike = v >= theta + a;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    a = spk_select(spike, a + q_th, a);
    v = spk_select(spike, reset, v);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>adex: adaptive exponential integrate-and-fire ---- */

/* C dV/dt = -g_l (V - E_l) + g_l D e^((V - V_t) / D) - w + I,  tau_w dw/dt = a (V - E_l) - w; at
   V >= v_peak: V = v_reset, w += b. Forward Euler. The exponent is at most 60, V at least 10 V
   below E_l and dt / tau_w at most 1, so that no parameters explode. A weight (pA) is a jump of
   an exponential current. Source: Brette and Gerstner, J. Neurophysiol. 94:3637 (2005); defaults
   from there, v_peak after Naud et al., Biol. Cybern. 99:335 (2008). */
#define SPKI_ADEX_PARAMS(X)                                                                       \
    X(c_m, 281.0, "pF") X(g_l, 30.0, "nS") X(e_l, -70.6, "mV") X(v_t, -50.4, "mV")                \
    X(delta_t, 2.0, "mV") X(a, 4.0, "nS") X(tau_w, 144.0, "ms") X(b, 80.5, "pA")                  \
    X(v_reset, -70.6, "mV") X(v_peak, 0.0, "mV") X(t_ref, 0.0, "ms") X(tau_syn, 2.0, "ms")        \
    X(i_dc, 0.0, "pA")
#define SPKI_ADEX_DERIVED(X)                                                                      \
    X(slope, 1.0 / delta_t) X(onset, (e_l - v_t) / delta_t) X(leak, dt * g_l / c_m)               \
    X(spread, dt * g_l * delta_t / c_m) X(gain, dt / c_m)                                         \
    X(h_w, spk_min(dt / tau_w, 1.0))                                                              \
    X(p_ii, spk_exp(-dt / tau_syn))                                                               \
    X(peak, v_peak - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_ADEX_STATE(X)                                                                        \
    X(v, e_l, "mV", e_l) X(w, 0.0, "pA") X(i_syn, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_ADEX_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(adex, SPKI_ADEX_PARAMS, SPKI_ADEX_DERIVED, SPKI_ADEX_STATE,
                    SPKI_ADEX_INPUTS,
    const real upstroke = spk_exp(spk_min(slope * v + onset, K(60.0)));
    const real next = v - leak * v + spread * upstroke + gain * (i_syn + i_dc + i_ext - w);
    w = spk_flush(w + h_w * (a * v - w));
    v = spk_select(refractory > K(0.0), v, spk_max(next, K(-1e4)));
    i_syn = spk_flush(p_ii * i_syn) + input;
    spike = v >= peak;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
    w = spk_select(spike, w + b, w);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>izhikevich: Izhikevich 2003 ---- */

/* dv/dt = k2 v^2 + k1 v + k0 - u + I,  du/dt = a (b (v - v_u) - u); at v >= v_peak: v = c, u += d.
   v takes `substeps` Euler steps, then u one, from the new v (u_old = 0) or from the v before
   them (u_old = 1). A weight is a current for one step. Source: Izhikevich, IEEE Trans. Neural
   Netw. 14:1569 (2003) and 15:1063 (2004). */
#define SPKI_IZHIKEVICH_PARAMS(X)                                                                 \
    X(a, 0.02, "1/ms") X(b, 0.2, "") X(c, -65.0, "mV") X(d, 8.0, "mV") X(v_peak, 30.0, "mV")      \
    X(k2, 0.04, "1/(mV ms)") X(k1, 5.0, "1/ms") X(k0, 140.0, "mV/ms") X(v_u, 0.0, "mV")           \
    X(substeps, 2.0, "") X(u_old, 0.0, "") X(i_dc, 0.0, "mV/ms")
#define SPKI_IZHIKEVICH_DERIVED(X) X(h, dt / spk_max(substeps, 1.0)) X(h_u, dt * a)
#define SPKI_IZHIKEVICH_STATE(X) X(v, -65.0, "mV") X(u, b * (-65.0 - v_u), "mV/ms")
#define SPKI_IZHIKEVICH_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(izhikevich, SPKI_IZHIKEVICH_PARAMS, SPKI_IZHIKEVICH_DERIVED,
                    SPKI_IZHIKEVICH_STATE, SPKI_IZHIKEVICH_INPUTS,
    const real drive = input + i_dc + i_ext;
    const real before = v;
    v = v + h * ((k2 * v + k1) * v + k0 - u + drive);
    for (real n = K(1.0); spk_any(n < substeps); n = n + K(1.0)) {
        v = spk_select(n < substeps, v + h * ((k2 * v + k1) * v + k0 - u + drive), v);
    }
    u = u + h_u * (b * (spk_select(u_old > K(0.0), before, v) - v_u) - u);
    spike = v >= v_peak;
    v = spk_select(spike, c, v);
    u = spk_select(spike, u + d, u);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>hh: Hodgkin-Huxley with Traub-Miles rates ---- */

/* C dV/dt = -g_l (V - E_l) - g_na m^3 h (V - E_na) - g_k n^4 (V - E_k) - g_ex (V - E_ex)
   - g_in (V - E_in) + I. Rates written with (e^x - 1) / x, so that none is singular. Gates decay
   exactly towards their steady state and sit half a step ahead of V, which takes the implicit
   midpoint rule: second order (Hines, Int. J. Biomed. Comput. 15:69, 1984). Each step is cut into
   `substeps`: at 0.05 ms the spike counts are within 0.5 % of converged ones, at 0.1 ms 1.2 %. A
   spike is an upward crossing of v_th. Source: Traub and Miles (1991), as in Brette et al., J.
   Comput. Neurosci. 23:349 (2007), benchmark 3. */
#define SPKI_HH_PARAMS(X)                                                                         \
    X(c_m, 200.0, "pF") X(g_l, 10.0, "nS") X(e_l, -60.0, "mV") X(g_na, 20000.0, "nS")             \
    X(e_na, 50.0, "mV") X(g_k, 6000.0, "nS") X(e_k, -90.0, "mV") X(v_t, -63.0, "mV")              \
    X(e_ex, 0.0, "mV") X(e_in, -80.0, "mV") X(tau_syn_ex, 5.0, "ms") X(tau_syn_in, 10.0, "ms")    \
    X(i_dc, 0.0, "pA") X(v_th, -20.0, "mV") X(substeps, 2.0, "")
#define SPKI_HH_DERIVED(X)                                                                        \
    X(step, dt / spk_max(substeps, 1.0)) X(half, 0.5 * step / c_m)                                \
    X(h_ex, spk_exp(-0.5 * step / tau_syn_ex)) X(h_in, spk_exp(-0.5 * step / tau_syn_in))         \
    X(e_leak, e_l - v_t) X(e_sodium, e_na - v_t) X(e_potassium, e_k - v_t)                        \
    X(u_ex, e_ex - v_t) X(u_in, e_in - v_t) X(theta, v_th - v_t)
#define SPKI_HH_STATE(X)                                                                          \
    X(v, e_l, "mV", v_t) X(m, spki_hh_gate(e_l - v_t, 0), "") X(h, spki_hh_gate(e_l - v_t, 1), "")\
    X(n, spki_hh_gate(e_l - v_t, 2), "") X(g_ex, 0.0, "nS") X(g_in, 0.0, "nS")
#define SPKI_HH_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

/* Steady state of a gate (0 m, 1 h, 2 n) at u mV above v_t. */
SPKI_TARGET_SCALAR __attribute__((unused)) static double spki_hh_gate(double u, int gate)
{
    SPKI_NO_CONTRACT
    const double a[3] = {1.28 / spk_exprel((13.0 - u) / 4.0), 0.128 * spk_exp((17.0 - u) / 18.0),
                         0.16 / spk_exprel((15.0 - u) / 5.0)};
    const double b[3] = {1.4 / spk_exprel((u - 40.0) / 5.0),
                         4.0 / (1.0 + spk_exp((40.0 - u) / 5.0)),
                         0.5 * spk_exp((10.0 - u) / 40.0)};
    return a[gate] / (a[gate] + b[gate]);
}

SPKI_BUILTIN_NEURON(hh, SPKI_HH_PARAMS, SPKI_HH_DERIVED, SPKI_HH_STATE,
                    SPKI_HH_INPUTS,
    const real before = v;
    for (real s = K(0.0); spk_any(s < spk_max(substeps, K(1.0))); s = s + K(1.0)) {
        const mask on = s < spk_max(substeps, K(1.0));
        const real a_m = K(1.28) / spk_exprel((K(13.0) - v) * K(0.25));
        const real b_m = K(1.4) / spk_exprel((v - K(40.0)) * K(0.2));
        const real a_h = K(0.128) * spk_exp((K(17.0) - v) * K(0.05555555555555555));
        const real b_h = K(4.0) / (K(1.0) + spk_exp((K(40.0) - v) * K(0.2)));
        const real a_n = K(0.16) / spk_exprel((K(15.0) - v) * K(0.2));
        const real b_n = K(0.5) * spk_exp((K(10.0) - v) * K(0.025));
        const real r_m = a_m + b_m;
        const real r_h = a_h + b_h;
        const real r_n = a_n + b_n;
        const real m_inf = a_m / r_m;
        const real h_inf = a_h / r_h;
        const real n_inf = a_n / r_n;
        m = spk_select(on, spk_flush(m_inf + (m - m_inf) * spk_exp(-step * r_m)), m);
        h = spk_select(on, spk_flush(h_inf + (h - h_inf) * spk_exp(-step * r_h)), h);
        n = spk_select(on, spk_flush(n_inf + (n - n_inf) * spk_exp(-step * r_n)), n);
        const real c_na = g_na * (m * m * m * h);
        const real c_k = g_k * ((n * n) * (n * n));
        const real c_ex = h_ex * g_ex;
        const real c_in = h_in * g_in;
        const real k = half * (g_l + c_na + c_k + c_ex + c_in);
        const real drive = half * (g_l * e_leak + c_na * e_sodium + c_k * e_potassium
                                   + c_ex * u_ex + c_in * u_in + i_dc + i_ext);
        v = spk_select(on, (v - k * v + drive + drive) / (K(1.0) + k), v);
        g_ex = spk_select(on, spk_flush(h_ex * c_ex), g_ex);
        g_in = spk_select(on, spk_flush(h_in * c_in), g_in);
    }
    g_ex = g_ex + ex;
    g_in = g_in + in;
    spike = (v >= theta) & (before < theta);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>poisson: a source of independent Poisson spikes ---- */

/* Spikes in a step with probability 1 - e^(-rate dt): at most one, so that rates far below 1 / dt
   are meant. The uniform number is Philox at (neuron, step). */
#define SPKI_POISSON_PARAMS(X) X(rate, 10.0, "Hz")
#define SPKI_POISSON_DERIVED(X) X(p, 1e-3 * rate * dt * spk_exprel(-1e-3 * rate * dt))
#define SPKI_POISSON_STATE(X)
#define SPKI_POISSON_INPUTS(X) X(u, SPK_RANDOM)

SPKI_BUILTIN_NEURON(poisson, SPKI_POISSON_PARAMS, SPKI_POISSON_DERIVED, SPKI_POISSON_STATE,
                    SPKI_POISSON_INPUTS,
    spike = u <= p;
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>spike_list: a source that spikes when told ---- */

/* Has no dynamics: its spikes come from spk_net_spike_list and spk_net_inject_spikes. */
#define SPKI_SPIKE_LIST_PARAMS(X)
#define SPKI_SPIKE_LIST_DERIVED(X)
#define SPKI_SPIKE_LIST_STATE(X)
#define SPKI_SPIKE_LIST_INPUTS(X)

SPKI_BUILTIN_NEURON(spike_list, SPKI_SPIKE_LIST_PARAMS, SPKI_SPIKE_LIST_DERIVED,
                    SPKI_SPIKE_LIST_STATE, SPKI_SPIKE_LIST_INPUTS,
    spike = spki_zero > spki_zero;
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>parrot: repeats its input ---- */

/* Spikes in each step in which input arrives, once however much it is. */
#define SPKI_PARROT_PARAMS(X)
#define SPKI_PARROT_DERIVED(X)
#define SPKI_PARROT_STATE(X)
#define SPKI_PARROT_INPUTS(X) X(input, SPK_DELTA)

SPKI_BUILTIN_NEURON(parrot, SPKI_PARROT_PARAMS, SPKI_PARROT_DERIVED, SPKI_PARROT_STATE,
                    SPKI_PARROT_INPUTS,
    spike = input > K(0.0);
)
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>models-table: the built-in models by id ---- */

#include <stdio.h>

SPIKELIB_API spk_model spk_model_builtin(spk_model_id id)
{
    static const struct spk_model_def *const table[] = {
#define SPKI_MODEL_ENTRY(upper, lower) &spki_def_##lower,
        SPIKELIB_MODEL_LIST(SPKI_MODEL_ENTRY)
#undef SPKI_MODEL_ENTRY
    };
    return (int)id >= 0 && id < SPK_MODEL_COUNT ? table[id] : NULL;
}

SPIKELIB_API const char *spk_model_name(spk_model model)
{
    return model ? model->name : "";
}

typedef struct spki_text {
    char *buffer;
    size_t size, length;
} spki_text;

/* Appends, never past the buffer; `length` is what it would have been. */
__attribute__((unused)) static void spki_text_add(spki_text *text, const char *piece)
{
    const size_t n = strlen(piece);
    for (size_t k = 0; k < n; k++) {
        if (text->length + k + 1 < text->size) {
            text->buffer[text->length + k] = piece[k];
            text->buffer[text->length + k + 1] = 0;
        }
    }
    text->length += n;
}

SPIKELIB_API size_t spk_model_describe(spk_model model, char *buffer, size_t size)
{
    spki_text text = {buffer, buffer ? size : 0, 0};
    char line[160];
    if (size && buffer) {
        buffer[0] = 0;
    }
    if (!model) {
        return 0;
    }
    spki_text_add(&text, model->name);
    spki_text_add(&text, "\nparameters\n");
    for (uint32_t k = 0; k < model->param_count; k++) {
        snprintf(line, sizeof line, "  %-12s %10g %s\n", model->param[k].name,
                 model->param[k].value, model->param[k].unit);
        spki_text_add(&text, line);
    }
    spki_text_add(&text, "states\n");
    for (uint32_t k = 0; k < model->state_count; k++) {
        snprintf(line, sizeof line, "  %-12s %10s %s\n", model->state[k].name, "",
                 model->state[k].unit);
        spki_text_add(&text, line);
    }
    spki_text_add(&text, "inputs\n");
    for (uint32_t k = 0; k < model->input_count; k++) {
        snprintf(line, sizeof line, "  %-12s %10s %s\n", model->input[k].name, "",
                 model->input[k].unit);
        spki_text_add(&text, line);
    }
    spki_text_add(&text, "derived\n");
    spki_text_add(&text, model->derived_text);
    spki_text_add(&text, "each step\n");
    spki_text_add(&text, model->text);
    spki_text_add(&text, "\n");
    return text.length;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>quantile: distributions as tables and inverse functions, without libm ---- */

/* Everything here is + - * / and correctly rounded square roots of doubles, so that every platform
   draws the same network. */

/* ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact. */
#define SPKI_LN2_HIGH 0.69314718036912381649
#define SPKI_LN2_LOW 1.9082149292705877e-10

/* Natural logarithm of a positive finite number, to about 1 ulp: 2 atanh((m - 1) / (m + 1)). */
SPKI_FN double spki_qlog(double x)
{
    static const double odd[11] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                   1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
    uint64_t bits;
    int exponent = 0, i;
    double m, s, s2, sum = 0.0;
    if (x < 2.2250738585072014e-308) { /* subnormal */
        x *= 18014398509481984.0;
        exponent = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    exponent += (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000);
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    s = (m - 1.0) / (m + 1.0);
    s2 = s * s;
    for (i = 0; i < 11; i++) sum = (sum + odd[i]) * s2;
    return (double)exponent * SPKI_LN2_HIGH +
           (2.0 * s + (2.0 * s * sum + (double)exponent * SPKI_LN2_LOW));
}

/* 2^n for n within the exponents of normal numbers. */
SPKI_FN double spki_qpow2(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^x, to about 1 ulp: infinite above 709.78, 0 below -745. */
SPKI_FN double spki_qexp(double x)
{
    static const double factorial[14] = {
        1.0 / 87178291200.0, 1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0,
        1.0 / 3628800.0,     1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,
        1.0 / 720.0,         1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,
        1.0 / 2.0,           1.0};
    double k, r, sum = 0.0;
    int i, n;
    if (x != x) return x;
    if (x > 709.782712893384) return __builtin_inf();
    if (x < -745.2) return 0.0;
    k = (x * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0;
    r = (x - k * SPKI_LN2_HIGH) - k * SPKI_LN2_LOW;
    for (i = 0; i < 14; i++) sum = (sum + factorial[i]) * r;
    sum += 1.0;
    n = (int)k / 2;
    return sum * spki_qpow2(n) * spki_qpow2((int)k - n);
}

/* Probability that a standard normal variable exceeds x >= 0. Below 3 the series phi(x) (x + x^3/3
   + x^5/(3*5) + ...), all of one sign; above it Laplace's continued fraction.
   Source: Abramowitz and Stegun (1964), 26.2.11 and 26.2.14. */
SPKI_FN double spki_normal_tail(double x)
{
    double density, sum, term;
    int i;
    if (x > 38.5) return 0.0;
    density = spki_qexp(-0.5 * x * x) * 0.39894228040143267794;
    if (x >= 3.0) {
        sum = x;
        for (i = 120; i >= 1; i--) sum = x + (double)i / sum;
        return density / sum;
    }
    sum = term = x;
    for (i = 3; term > 1e-18 * sum; i += 2) {
        term *= x * x / (double)i;
        sum += term;
    }
    return 0.5 - density * sum;
}

/* Probability of [z0, z1) under the standard normal distribution, both ends seen from the nearer
   tail so that small probabilities keep their digits. */
SPKI_FN double spki_normal_mass(double z0, double z1)
{
    if (!(z0 < z1)) return 0.0;
    if (z0 > 0.0) return spki_normal_tail(z0) - spki_normal_tail(z1);
    if (z1 < 0.0) return spki_normal_tail(-z1) - spki_normal_tail(-z0);
    return 1.0 - spki_normal_tail(-z0) - spki_normal_tail(z1);
}

SPKI_FN double spki_poly7(const double c[8], double x)
{
    double sum = c[7];
    int i;
    for (i = 6; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

/* Standard normal quantile of p in (0, 1), to about 1e-16 relative.
   Source: Wichura, Applied Statistics 37:477 (1988), algorithm AS241, PPND16. */
SPKI_FN double spki_normal_quantile(double p)
{
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e2,
                                1.9715909503065514427e3,  1.3731693765509461125e4,
                                4.5921953931549871457e4,  6.7265770927008700853e4,
                                3.3430575583588128105e4,  2.5090809287301226727e3};
    static const double b[8] = {1.0,                      4.2313330701600911252e1,
                                6.8718700749205790830e2,  5.3941960214247511077e3,
                                2.1213794301586595867e4,  3.9307895800092710610e4,
                                2.8729085735721942674e4,  5.2264952788528545610e3};
    static const double c[8] = {1.42343711074968357734e0, 4.63033784615654529590e0,
                                5.76949722146069140550e0, 3.64784832476320460504e0,
                                1.27045825245236838258e0, 2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1.0,                       2.05319162663775882187e0,
                                1.67638483018380384940e0,  6.89767334985100004550e-1,
                                1.48103976427480074590e-1, 1.51986665636164571966e-2,
                                5.47593808499534494600e-4, 1.05075007164441684324e-9};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {1.0,                       5.99832206555887937690e-1,
                                1.36929880922735805310e-1, 1.48753612908506148525e-2,
                                7.86869131145613259100e-4, 1.84631831751005468180e-5,
                                1.42151175831644588870e-7, 2.04426310338993978564e-15};
    double q = p - 0.5, r, z;
    if (q >= -0.425 && q <= 0.425) {
        r = 0.180625 - q * q;
        return q * spki_poly7(a, r) / spki_poly7(b, r);
    }
    r = __builtin_sqrt(-spki_qlog(q < 0.0 ? p : 1.0 - p));
    if (r <= 5.0) z = spki_poly7(c, r - 1.6) / spki_poly7(d, r - 1.6);
    else z = spki_poly7(e, r - 5.0) / spki_poly7(f, r - 5.0);
    return q < 0.0 ? -z : z;
}

/* -- a continuous distribution as a function of a uniform number -- */

typedef struct spki_quantile {
    spk_value_kind kind;  /* SPK_VALUE_UNIFORM, _NORMAL or _LOGNORMAL */
    double a, b, lo, hi;  /* as in spk_value; lo and hi also bound the results */
    double p0, width;     /* the stretch of probabilities that is drawn from */
    double sign;          /* -1: mirrored, so that p is small where only the upper tail is left */
} spki_quantile;

/* Returns the share of the distribution that the bounds leave. Spreads must be positive. */
SPKI_FN double spki_quantile_init(spki_quantile *q, const spk_value *v)
{
    double z0, z1, swap;
    memset(q, 0, sizeof *q);
    q->kind = v->kind;
    q->a = v->a;
    q->b = v->b;
    q->lo = -__builtin_inf();
    q->hi = __builtin_inf();
    q->width = 1.0;
    q->sign = 1.0;
    if (v->kind != SPK_VALUE_NORMAL) return 1.0;
    q->lo = v->lo;
    q->hi = v->hi;
    z0 = (v->lo - v->a) / v->b;
    z1 = (v->hi - v->a) / v->b;
    if (z0 > 0.0) {
        q->sign = -1.0;
        swap = z0;
        z0 = -z1;
        z1 = -swap;
    }
    q->p0 = spki_normal_mass(-__builtin_inf(), z0);
    q->width = spki_normal_mass(z0, z1);
    return q->width;
}

/* Value below which a share u in (0, 1) of the distribution lies. */
SPKI_FN double spki_quantile_at(const spki_quantile *q, double u)
{
    const double most = 1.0 - 1.1102230246251565e-16;
    double p, z, x;
    if (q->kind == SPK_VALUE_UNIFORM) {
        x = q->a + (q->b - q->a) * u;
        return x < q->b ? x : q->a; /* rounding may reach the open end */
    }
    if (q->sign < 0.0) u = 1.0 - u;
    p = q->p0 + q->width * u; /* rounding may reach 1 */
    z = q->sign * spki_normal_quantile(p < most ? p : most);
    x = q->a + q->b * z;
    if (q->kind == SPK_VALUE_LOGNORMAL) return spki_qexp(x);
    return x < q->lo ? q->lo : x > q->hi ? q->hi : x;
}

/* Probability of [x0, x1) before any bounds on the result, those of a clipped normal included. */
SPKI_FN double spki_value_mass(const spk_value *v, double x0, double x1)
{
    double inf = __builtin_inf();
    if (v->kind == SPK_VALUE_UNIFORM) {
        x0 = SPKI_MAX(x0, v->a);
        x1 = SPKI_MIN(x1, v->b);
        return x0 < x1 ? (x1 - x0) / (v->b - v->a) : 0.0;
    }
    if (v->kind == SPK_VALUE_LOGNORMAL) {
        double z0 = x0 > 0.0 ? (spki_qlog(x0) - v->a) / v->b : -inf;
        double z1 = x1 > 0.0 ? (spki_qlog(x1) - v->a) / v->b : -inf;
        return spki_normal_mass(z0, z1);
    }
    x0 = SPKI_MAX(x0, v->lo);
    x1 = SPKI_MIN(x1, v->hi);
    return spki_normal_mass((x0 - v->a) / v->b, (x1 - v->a) / v->b);
}

/* -- a discrete distribution as integer thresholds: one random word a draw -- */

/* Delay steps. Word w means step first + i for the smallest i with w <= upto[i]; a guide entry for
   the top 12 bits says where to begin looking. */
typedef struct spki_steps {
    uint32_t first, count;
    const uint32_t *upto;
    const uint16_t *guide; /* 4,096 */
} spki_steps;

SPKI_INLINE uint32_t spki_steps_draw(const spki_steps *s, uint32_t word)
{
    uint32_t i = s->guide[word >> 20];
    while (word > s->upto[i]) i++;
    return s->first + i;
}

/* Fills `upto` (room for last - first + 1) and `guide` (4,096) with the probabilities that a
   value, in units of a step, rounds to first .. last, given that it does. Returns the share of the
   distribution that does so; 0: nothing was filled. */
SPKI_FN double spki_steps_build(spki_steps *s, const spk_value *v, double dt, uint32_t first,
                                uint32_t last, uint32_t *upto, uint16_t *guide)
{
    double all = 0.0, sum = 0.0;
    uint32_t k, i = 0, cell;
    for (k = first; k <= last; k++)
        all += spki_value_mass(v, ((double)k - 0.5) * dt, ((double)k + 0.5) * dt);
    if (!(all > 0.0)) return 0.0;
    s->first = first;
    s->count = 0;
    for (k = first; k <= last; k++) {
        double share;
        sum += spki_value_mass(v, ((double)k - 0.5) * dt, ((double)k + 0.5) * dt);
        share = sum / all * 4294967296.0 + 0.5;
        if (share < 1.0 && s->count == 0) {
            s->first = k + 1; /* nothing to draw yet */
            continue;
        }
        upto[s->count++] = share >= 4294967296.0 ? UINT32_MAX : (uint32_t)share - 1u;
    }
    if (s->count == 0) return 0.0;
    upto[s->count - 1] = UINT32_MAX;
    for (cell = 0; cell < 4096; cell++) {
        while ((cell << 20) > upto[i]) i++;
        guide[cell] = (uint16_t)i;
    }
    s->upto = upto;
    s->guide = guide;
    return all;
}

/* Binomial counts out of n for a fixed n and p, from 64 random bits each. */
typedef struct spki_counts {
    uint32_t n, first, count;
    uint64_t *upto;      /* n + 1 allocated */
    uint16_t guide[256]; /* where the search begins, by the top 8 bits */
} spki_counts;

SPKI_INLINE uint32_t spki_counts_draw(const spki_counts *c, uint64_t word)
{
    uint32_t i = c->guide[word >> 56];
    while (word > c->upto[i]) i++;
    return c->first + i;
}

/* The probabilities come from the mode by the ratio of neighbours; what is below 1e-25 of the mode
   is left out (64 bits do not reach it). */
SPKI_FN bool spki_counts_build(spki_counts *c, spki_mem *mem, uint32_t n, double p)
{
    double odds = p / (1.0 - p), low = 1.0, term, all = 0.0, sum = 0.0, share;
    uint32_t k, i = 0, mode = (uint32_t)SPKI_MIN(((double)n + 1.0) * p, (double)n), cell;
    memset(c, 0, sizeof *c);
    c->n = n;
    c->upto = (uint64_t *)spki_alloc(mem, (size_t)n + 1, sizeof *c->upto);
    if (!c->upto) return false;
    if (!(p > 0.0) || !(p < 1.0)) {
        c->first = p > 0.0 ? n : 0u;
        c->count = 1;
        c->upto[0] = UINT64_MAX;
        return true;
    }
    for (k = mode; k > 0 && low > 1e-25; k--) low *= (double)k / ((double)(n - k + 1) * odds);
    c->first = k;
    for (term = low; k <= n && (k <= mode || term > 1e-25); k++) {
        all += term;
        term *= (double)(n - k) / (double)(k + 1) * odds;
    }
    for (k = c->first, term = low; c->count == 0 || (k <= n && (k <= mode || term > 1e-25)); k++) {
        sum += term;
        term *= (double)(n - k) / (double)(k + 1) * odds;
        share = sum / all * 18446744073709551616.0;
        c->upto[c->count++] = share >= 18446744073709549568.0 ? UINT64_MAX : (uint64_t)share;
    }
    c->upto[c->count - 1] = UINT64_MAX;
    for (cell = 0; cell < 256; cell++) {
        while (((uint64_t)cell << 56) > c->upto[i]) i++;
        c->guide[cell] = (uint16_t)i;
    }
    return true;
}

SPKI_FN void spki_counts_free(spki_counts *c, spki_mem *mem)
{
    spki_free(mem, c->upto, (size_t)c->n + 1, sizeof *c->upto);
    c->upto = NULL;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>values: constants, arrays, distributions and functions ---- */

#include <stdarg.h>

SPKI_FN spk_value spki_value_make(spk_value_kind kind, double a, double b)
{
    spk_value v;
    memset(&v, 0, sizeof v);
    v.kind = kind;
    v.a = a;
    v.b = b;
    v.lo = -__builtin_inf();
    v.hi = __builtin_inf();
    return v;
}

SPIKELIB_API spk_value spk_constant(double value)
{
    return spki_value_make(SPK_VALUE_CONSTANT, value, 0.0);
}

SPIKELIB_API spk_value spk_uniform(double low, double high)
{
    return spki_value_make(SPK_VALUE_UNIFORM, low, high);
}

SPIKELIB_API spk_value spk_normal(double mean, double sd)
{
    return spki_value_make(SPK_VALUE_NORMAL, mean, sd);
}

SPIKELIB_API spk_value spk_normal_clipped(double mean, double sd, double low, double high)
{
    spk_value v = spki_value_make(SPK_VALUE_NORMAL, mean, sd);
    v.lo = low;
    v.hi = high;
    return v;
}

SPIKELIB_API spk_value spk_lognormal(double mu, double sigma)
{
    return spki_value_make(SPK_VALUE_LOGNORMAL, mu, sigma);
}

SPIKELIB_API spk_value spk_array(const double *values, size_t count)
{
    spk_value v = spki_value_make(SPK_VALUE_ARRAY, 0.0, 0.0);
    v.array = values;
    v.count = count;
    return v;
}

SPIKELIB_API spk_value spk_function(spk_value_fn fn, void *ctx)
{
    spk_value v = spki_value_make(SPK_VALUE_FUNCTION, 0.0, 0.0);
    v.fn = fn;
    v.ctx = ctx;
    return v;
}

/* Writes a reason and hands the result through. `why` may be NULL. */
__attribute__((format(printf, 4, 5))) SPKI_FN spk_result
spki_because(spk_result result, char *why, size_t why_size, const char *format, ...)
{
    va_list args;
    if (!why || !why_size) return result;
    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
    return result;
}

SPKI_FN bool spki_finite(double x)
{
    return x - x == 0.0;
}

SPKI_FN const char *spki_not_finite(double x)
{
    return x != x ? "NaN" : "infinite";
}

/* The entries of an array of values. */
SPKI_FN spk_result spki_value_check_array(const spk_value *v, size_t n, char *why, size_t size)
{
    size_t i;
    if (!v->array && n)
        return spki_because(SPK_ERR_NULL, why, size, "is an array, but its pointer is NULL");
    if (v->count != n)
        return spki_because(SPK_ERR_RANGE, why, size, "is an array of %llu where %llu are needed",
                            (unsigned long long)v->count, (unsigned long long)n);
    for (i = 0; i < n; i++)
        if (!spki_finite(v->array[i]))
            return spki_because(SPK_ERR_RANGE, why, size, "is %s at entry %llu",
                                spki_not_finite(v->array[i]), (unsigned long long)i);
    return SPK_OK;
}

/* The two numbers of a distribution, and whether there is anything left to draw from. */
SPKI_FN spk_result spki_value_check_spread(const spk_value *v, char *why, size_t size)
{
    bool uniform = v->kind == SPK_VALUE_UNIFORM;
    spki_quantile q;
    if (!spki_finite(v->a) || !spki_finite(v->b))
        return spki_because(SPK_ERR_RANGE, why, size, "has %s %s", spki_not_finite(v->a - v->b),
                            uniform ? "bounds" : "mean or standard deviation");
    if (uniform && (v->b < v->a || !spki_finite(v->b - v->a)))
        return spki_because(SPK_ERR_RANGE, why, size, "is uniform between %g and %g", v->a, v->b);
    if (uniform) return SPK_OK;
    if (v->b < 0.0)
        return spki_because(SPK_ERR_RANGE, why, size, "has a negative standard deviation (%g)",
                            v->b);
    if (v->kind == SPK_VALUE_LOGNORMAL ? v->a + 9.0 * v->b > 700.0 : !spki_finite(9.0 * v->b))
        return spki_because(SPK_ERR_RANGE, why, size, "exceeds the range of a double (sd %g)",
                            v->b);
    if (v->kind == SPK_VALUE_LOGNORMAL) return SPK_OK;
    if (!(v->lo <= v->hi) || v->lo == __builtin_inf() || v->hi == -__builtin_inf())
        return spki_because(SPK_ERR_RANGE, why, size, "is clipped to [%g, %g]", v->lo, v->hi);
    if (v->b == 0.0 ? v->a >= v->lo && v->a <= v->hi : spki_quantile_init(&q, v) > 1e-200)
        return SPK_OK;
    return spki_because(SPK_ERR_RANGE, why, size,
                        "never lies within [%g, %g] (mean %g, standard deviation %g)", v->lo,
                        v->hi, v->a, v->b);
}

/* Checks a value that stands for n numbers. `why` receives what follows the name of the value:
   "is NaN", "has a negative standard deviation (-1)". SPK_VALUE_DEFAULT passes. */
SPKI_FN spk_result spki_value_check(const spk_value *v, size_t n, char *why, size_t why_size)
{
    switch (v->kind) {
    case SPK_VALUE_DEFAULT: return SPK_OK;
    case SPK_VALUE_CONSTANT:
        if (spki_finite(v->a)) return SPK_OK;
        return spki_because(SPK_ERR_RANGE, why, why_size, "is %s", spki_not_finite(v->a));
    case SPK_VALUE_UNIFORM:
    case SPK_VALUE_NORMAL:
    case SPK_VALUE_LOGNORMAL: return spki_value_check_spread(v, why, why_size);
    case SPK_VALUE_ARRAY: return spki_value_check_array(v, n, why, why_size);
    case SPK_VALUE_FUNCTION:
        if (v->fn) return SPK_OK;
        return spki_because(SPK_ERR_NULL, why, why_size, "is a function, but its pointer is NULL");
    case SPK_VALUE_FORCE_32_BIT: break;
    }
    return spki_because(SPK_ERR_RANGE, why, why_size, "has the unknown kind %d", (int)v->kind);
}

/* A distribution without spread is a constant. */
SPKI_FN spk_value spki_value_simplify(const spk_value *v)
{
    if (v->kind == SPK_VALUE_UNIFORM && v->a == v->b) return spk_constant(v->a);
    if (v->kind == SPK_VALUE_NORMAL && v->b == 0.0) return spk_constant(v->a);
    if (v->kind == SPK_VALUE_NORMAL && v->lo == v->hi) return spk_constant(v->lo);
    if (v->kind == SPK_VALUE_LOGNORMAL && v->b == 0.0) return spk_constant(spki_qexp(v->a));
    return *v;
}

/* One number for each of n neurons. Draws have 52 bits and the Philox counter (neuron, 0, 0,
   stream) under the key `seed`. `why` as for spki_value_check. */
SPKI_FN spk_result spki_value_sample(const spk_value *value, size_t n, uint64_t seed,
                                     uint32_t stream, double *out, char *why, size_t why_size)
{
    spk_result result = spki_value_check(value, n, why, why_size);
    spk_value v;
    spki_quantile q;
    size_t i;
    if (result != SPK_OK) return result;
    v = spki_value_simplify(value);
    if (v.kind == SPK_VALUE_DEFAULT)
        return spki_because(SPK_ERR_RANGE, why, why_size, "has no value");
    if (n > UINT32_MAX) return spki_because(SPK_ERR_RANGE, why, why_size, "is for too many");
    (void)spki_quantile_init(&q, &v);
    for (i = 0; i < n; i++) {
        uint32_t w[4];
        if (v.kind == SPK_VALUE_CONSTANT) out[i] = v.a;
        else if (v.kind == SPK_VALUE_ARRAY) out[i] = v.array[i];
        else if (v.kind == SPK_VALUE_FUNCTION) out[i] = v.fn(v.ctx, (uint32_t)i, (uint32_t)i);
        else {
            spki_philox((uint32_t)i, 0, 0, stream, (uint32_t)seed, (uint32_t)(seed >> 32), w);
            out[i] = spki_quantile_at(&q, ((double)(((uint64_t)(w[0] >> 6) << 26) | (w[1] >> 6)) +
                                           0.5) * 2.220446049250313e-16);
        }
        if (!spki_finite(out[i]))
            return spki_because(SPK_ERR_RANGE, why, why_size, "is %s for neuron %llu",
                                spki_not_finite(out[i]), (unsigned long long)i);
    }
    return SPK_OK;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>connect: drawing the synapses of a projection, row by row ---- */

/* A projection is drawn by rows: all synapses of one source neuron that fall on an interval of
   targets. Every row comes from random words that are addressed by (seed; source, place in the
   row, stream), so it is the same whoever draws it, in whatever pieces, in whatever order.

   Rows with a given number of synapses (SPK_FIXED_OUTDEGREE, SPK_FIXED_TOTAL) are split exactly:
   the targets are cut into leaves, a binary tree of binomial draws says how many synapses each
   half gets, and a reader descends only into halves that it asked for. A fixed total is first
   split over the sources in the same way.

   Philox counter: (running number, source neuron, place, stream), key = seed. The top 4 bits of
   `place` say what is drawn: */
enum {
    SPKI_AT_NODE = 0,    /* how many synapses of a row go to the left half; place: first leaf */
    SPKI_AT_LEAF,        /* targets, weights and delays of a leaf; place: leaf */
    SPKI_AT_REDRAW,      /* targets that Lemire's test refused; place: leaf */
    SPKI_AT_SOURCES,     /* splitting a total over the sources; counter 1: first source */
    SPKI_AT_BLOCK,       /* which targets of a block (Bernoulli); place: block */
    SPKI_AT_SUBSET,      /* which targets of a row without multapses */
    SPKI_AT_VALUES,      /* weights and delays where targets come from elsewhere; place: block */
    SPKI_AT_INDEGREE,    /* sources of a target; counter 1: target */
    SPKI_AT_INREDRAW,    /* sources that were refused; counter 1: target */
    SPKI_AT_INVALUES,    /* weights and delays of a target's synapses; counter 1: target */
    SPKI_AT_ROWCOUNT,    /* row sizes of a total without multapses; place: attempt */
    SPKI_AT_CORRECTION   /* and what they lack */
};

#define SPKI_CHUNK 128u   /* synapses drawn at a time */
#define SPKI_BLOCK 4096u  /* targets of a block of Bernoulli and all-to-all rows */
#define SPKI_NO_SELF UINT32_MAX

/* Philox words of counters (c0_first + i, c1, c2, c3), i < n_counters, four words each. */
typedef void (*spki_fill_fn)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                             uint32_t c0_first, uint32_t n_counters, uint32_t *out);

/* Index within the target view of the neuron that is `source` in the source view; UINT32_MAX if it
   is not there. Called while creating, and only where autapses are forbidden. */
typedef uint32_t (*spki_self_fn)(const void *ctx, uint32_t source);

/* Synapses of a row: target within the view, weight in quanta, delay in steps (>= 1). */
typedef struct spki_edges {
    uint32_t *target;
    int32_t *weight;
    uint16_t *delay;
    uint32_t count, capacity;
} spki_edges;

typedef enum spki_weight_kind {
    SPKI_WEIGHT_CONSTANT = 0,
    SPKI_WEIGHT_UNIFORM,
    SPKI_WEIGHT_TABLE,    /* quantiles at i / 4096, interpolated; the outer 1/64 evaluated */
    SPKI_WEIGHT_ARRAY,
    SPKI_WEIGHT_FUNCTION,
    SPKI_WEIGHT_CALLBACK  /* comes with the row */
} spki_weight_kind;

typedef enum spki_delay_kind {
    SPKI_DELAY_CONSTANT = 0,
    SPKI_DELAY_STEPS,
    SPKI_DELAY_ARRAY,
    SPKI_DELAY_FUNCTION,
    SPKI_DELAY_CALLBACK
} spki_delay_kind;

#define SPKI_QUANTILES 4096u
#define SPKI_QUANTILE_TAIL (SPKI_QUANTILES / 64u)

typedef struct spki_proj {
    spk_rule rule;
    uint32_t n_source, n_target;
    bool no_autapses, no_multapses, same_view;
    bool wide;              /* index entries of 8 bytes, where a draw number needs it */
    uint32_t k;             /* fixed degrees */
    uint64_t total;         /* synapses in all, where it is known */
    double p, dt_ms;
    uint32_t max_delay_steps;

    uint32_t key[2], stream;
    spki_fill_fn fill;
    spki_counts half;       /* binomial(1024, 1/2) */
    spki_counts block, rest; /* Bernoulli: synapses in a block and in the last one */
    uint32_t leaf;          /* targets of a leaf, a power of two */

    uint32_t *self;         /* of each source: itself among the targets */
    uint32_t *self_source;  /* of each target: itself among the sources */
    uint32_t *row_count;    /* fixed total: synapses of each source */
    uint32_t *in_count;     /* callback, after the scan: synapses of each target */
    uint64_t *row_offset;   /* COO, CSR */
    uint32_t *row_target;
    spk_row_fn row;
    void *row_ctx;
    uint64_t max_row;

    spki_weight_kind weight_kind;
    double weight_a, weight_width, weight_lo, weight_hi;
    double *weight_data;    /* table or array */
    size_t weight_count;
    spki_quantile weight_quantile;
    spk_value_fn weight_fn;
    void *weight_ctx;
    double per_quantum, weight_max;
    int32_t weight_constant;

    spki_delay_kind delay_kind;
    uint32_t delay_constant;
    spki_steps steps;
    uint32_t *steps_upto;
    uint16_t *steps_guide, *delay_data;
    size_t steps_count, delay_count;
    spk_value_fn delay_fn;
    void *delay_ctx;
} spki_proj;

/* What one thread needs besides: the words and values of a chunk, a reason if a row fails, and
   behind it a bitmap of the targets. */
typedef struct spki_row_scratch {
    uint64_t bitmap_is_aligned; /* to this */
    char why[192];
    uint32_t words[3 * SPKI_CHUNK];
    uint32_t target[SPKI_CHUNK], draw[SPKI_CHUNK];
    int32_t weight[SPKI_CHUNK];
    uint16_t delay[SPKI_CHUNK];
} spki_row_scratch;

/* -- random words -- */

SPKI_FN void spki_fill_portable(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                                uint32_t c0_first, uint32_t n_counters, uint32_t *out)
{
    uint32_t i;
    for (i = 0; i < n_counters; i++)
        spki_philox(c0_first + i, c1, c2, c3, key[0], key[1], out + 4 * (size_t)i);
}

SPKI_INLINE uint32_t spki_at(uint32_t what, uint32_t place)
{
    return (what << 28) | place;
}

/* A run of words, drawn `batch` counters at a time. */
typedef struct spki_words {
    const spki_proj *p;
    uint32_t c0, c1, c2, batch, at, have;
    uint32_t word[64];
} spki_words;

SPKI_FN void spki_words_open(spki_words *w, const spki_proj *p, uint32_t c0, uint32_t c1,
                             uint32_t c2, uint64_t words_wanted)
{
    uint64_t counters = (words_wanted + 3) / 4;
    w->p = p;
    w->c0 = c0;
    w->c1 = c1;
    w->c2 = c2;
    w->batch = counters > 16 ? 16u : counters ? (uint32_t)counters : 1u;
    w->at = w->have = 0;
}

SPKI_FN void spki_words_refill(spki_words *w)
{
    w->p->fill(w->p->key, w->c1, w->c2, w->p->stream, w->c0, w->batch, w->word);
    w->c0 += w->batch;
    w->at = 0;
    w->have = 4 * w->batch;
}

SPKI_INLINE uint32_t spki_words_next(spki_words *w)
{
    if (w->at == w->have) spki_words_refill(w);
    return w->word[w->at++];
}

/* Uniform in [0, n), exactly; `refuse` is 2^32 mod n.
   Source: Lemire, ACM TOMACS 29:3 (2019). */
SPKI_INLINE uint32_t spki_words_below(spki_words *w, uint32_t n, uint32_t refuse)
{
    uint64_t x;
    do x = (uint64_t)spki_words_next(w) * n;
    while ((uint32_t)x < refuse);
    return (uint32_t)(x >> 32);
}

SPKI_INLINE uint32_t spki_refuse(uint32_t n)
{
    return (0u - n) % n;
}

SPKI_INLINE uint32_t spki_bits_set(uint32_t x)
{
    x = x - ((x >> 1) & 0x55555555u);
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    return (((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

/* How many of n fair coins show heads: a table for each 1,024, then a bit for each. */
SPKI_FN uint64_t spki_coins(spki_words *w, uint64_t n)
{
    uint64_t heads = 0;
    for (; n >= 1024; n -= 1024) {
        uint64_t high = (uint64_t)spki_words_next(w) << 32;
        heads += spki_counts_draw(&w->p->half, high | spki_words_next(w));
    }
    for (; n >= 32; n -= 32) heads += spki_bits_set(spki_words_next(w));
    if (n) heads += spki_bits_set(spki_words_next(w) >> (32 - n));
    return heads;
}

/* Binomial count out of n with probability num / den, exactly and in integers. Each of the n
   compares the binary digits of a uniform number with those of num / den; a level counts how many
   have the digit 0, and only those that agree with num / den so far go on. den <= 2^63. */
SPKI_FN uint64_t spki_binomial(spki_words *w, uint64_t n, uint64_t num, uint64_t den)
{
    uint64_t below = 0;
    if (num >= den) return n;
    while (n > 0 && num > 0) {
        uint64_t zeros = spki_coins(w, n);
        num *= 2;
        if (num >= den) {
            num -= den;
            below += zeros;
            n -= zeros;
        } else {
            n = zeros;
        }
    }
    return below;
}

/* Words that the first digits of such a count take. */
SPKI_INLINE uint64_t spki_binomial_words(uint64_t n)
{
    return n / 1024 * 2 + n % 1024 / 32 + 1;
}

/* Marks `m` of n targets, each set equally likely, never `skip`: those that are fewer, the chosen
   or the others, are drawn one by one. */
SPKI_FN void spki_subset(spki_words *w, uint64_t *bits, uint32_t n, uint32_t m, uint32_t skip)
{
    uint32_t words = (uint32_t)(((uint64_t)n + 63) / 64), left, i, t, refuse = spki_refuse(n);
    uint32_t pool = n - (skip < n ? 1u : 0u);
    bool others = m > pool - m;
    memset(bits, 0, (size_t)words * sizeof *bits);
    if (skip < n) bits[skip >> 6] |= UINT64_C(1) << (skip & 63);
    for (left = others ? pool - m : m; left > 0; left--) {
        do t = spki_words_below(w, n, refuse);
        while (bits[t >> 6] >> (t & 63) & 1);
        bits[t >> 6] |= UINT64_C(1) << (t & 63);
    }
    if (others) {
        for (i = 0; i < words; i++) bits[i] = ~bits[i];
        if (n & 63) bits[words - 1] &= (UINT64_C(1) << (n & 63)) - 1;
    } else if (skip < n) {
        bits[skip >> 6] &= ~(UINT64_C(1) << (skip & 63));
    }
}

/* -- weights and delays of a chunk -- */

/* Row under way. */
typedef struct spki_emit {
    const spki_proj *p;
    spki_row_scratch *sc;
    uint32_t source, t0, t1;
    spki_edges *out;
    double *lo, *hi; /* scanning: bounds of the weights seen; NULL otherwise */
} spki_emit;

/* The target that a source must not have, SPKI_NO_SELF if there is none. */
SPKI_INLINE uint32_t spki_self(const spki_proj *p, uint32_t source)
{
    if (!p->no_autapses) return SPKI_NO_SELF;
    return p->self ? p->self[source] : p->same_view ? source : SPKI_NO_SELF;
}

SPKI_INLINE uint32_t spki_weight_words(const spki_proj *p)
{
    return p->weight_kind == SPKI_WEIGHT_UNIFORM || p->weight_kind == SPKI_WEIGHT_TABLE ? 1u : 0u;
}

SPKI_INLINE uint32_t spki_delay_words(const spki_proj *p)
{
    return p->delay_kind == SPKI_DELAY_STEPS ? 1u : 0u;
}

/* To the nearest integer, ties to even: the magic number leaves no bits for a fraction. */
SPKI_INLINE int32_t spki_quanta(const spki_proj *p, double weight)
{
    double x = weight * p->per_quantum;
    x = x > p->weight_max ? p->weight_max : x < -p->weight_max ? -p->weight_max : x;
    return (int32_t)((x + 6755399441055744.0) - 6755399441055744.0);
}

SPKI_INLINE double spki_weight_from_word(const spki_proj *p, uint32_t word)
{
    uint32_t i = word >> 20;
    const double *q = p->weight_data + i;
    if (i - SPKI_QUANTILE_TAIL < SPKI_QUANTILES - 2 * SPKI_QUANTILE_TAIL)
        return q[0] + (q[1] - q[0]) * (((double)(word & 0xfffffu) + 0.5) * (1.0 / 1048576.0));
    return spki_quantile_at(&p->weight_quantile, ((double)word + 0.5) * (1.0 / 4294967296.0));
}

SPKI_FN spk_result spki_weights_by_function(spki_emit *e, const uint32_t *t, uint32_t r)
{
    const spki_proj *p = e->p;
    uint32_t self = spki_self(p, e->source), j;
    for (j = 0; j < r; j++) {
        double x;
        e->sc->weight[j] = 0;
        if (t[j] == self) continue; /* about to be dropped, and its distance would be 0 */
        x = p->weight_fn(p->weight_ctx, e->source, t[j]);
        if (!spki_finite(x))
            return spki_because(SPK_ERR_RANGE, e->sc->why, sizeof e->sc->why,
                                "weight is %s for %u -> %u", spki_not_finite(x),
                                (unsigned)e->source, (unsigned)t[j]);
        if (e->lo) *e->lo = SPKI_MIN(*e->lo, x);
        if (e->hi) *e->hi = SPKI_MAX(*e->hi, x);
        e->sc->weight[j] = spki_quanta(p, x);
    }
    return SPK_OK;
}

/* Weights of r synapses: from words, or from the array entries that begin at `entry`. */
SPKI_FN spk_result spki_weights(spki_emit *e, const uint32_t *word, const uint32_t *t, uint32_t r,
                                uint64_t entry)
{
    const spki_proj *p = e->p;
    int32_t *w = e->sc->weight;
    uint32_t j;
    switch (p->weight_kind) {
    case SPKI_WEIGHT_CONSTANT:
        for (j = 0; j < r; j++) w[j] = p->weight_constant;
        break;
    case SPKI_WEIGHT_UNIFORM:
        for (j = 0; j < r; j++)
            w[j] = spki_quanta(p, p->weight_a + p->weight_width * ((double)word[j] + 0.5));
        break;
    case SPKI_WEIGHT_TABLE:
        for (j = 0; j < r; j++) w[j] = spki_quanta(p, spki_weight_from_word(p, word[j]));
        break;
    case SPKI_WEIGHT_ARRAY:
        for (j = 0; j < r; j++) w[j] = spki_quanta(p, p->weight_data[entry + j]);
        break;
    case SPKI_WEIGHT_FUNCTION: return spki_weights_by_function(e, t, r);
    case SPKI_WEIGHT_CALLBACK: break;
    }
    return SPK_OK;
}

/* Steps of a delay, 0 if it is not allowed; then `why` says why not. */
SPKI_FN uint32_t spki_delay_steps(const spki_proj *p, double ms, char *why, size_t why_size)
{
    double x = ms / p->dt_ms;
    if (!spki_finite(ms)) {
        (void)spki_because(SPK_ERR_RANGE, why, why_size, "delay is %s", spki_not_finite(ms));
        return 0;
    }
    if (x <= 0.5) {
        (void)spki_because(SPK_ERR_RANGE, why, why_size,
                           "delay %g ms is shorter than a step (%g ms)", ms, p->dt_ms);
        return 0;
    }
    x = x < 1e6 ? (x + 6755399441055744.0) - 6755399441055744.0 : 1e6;
    if (x <= (double)p->max_delay_steps) return (uint32_t)x;
    (void)spki_because(SPK_ERR_RANGE, why, why_size,
                       "delay %g ms is longer than max_delay_steps (%u steps of %g ms)", ms,
                       (unsigned)p->max_delay_steps, p->dt_ms);
    return 0;
}

SPKI_FN spk_result spki_delays(spki_emit *e, const uint32_t *word, const uint32_t *t, uint32_t r,
                               uint64_t entry)
{
    const spki_proj *p = e->p;
    spki_steps steps = p->steps;
    uint16_t *d = e->sc->delay;
    uint32_t j, k;
    switch (p->delay_kind) {
    case SPKI_DELAY_CONSTANT:
        for (j = 0; j < r; j++) d[j] = (uint16_t)p->delay_constant;
        break;
    case SPKI_DELAY_STEPS:
        for (j = 0; j < r; j++) d[j] = (uint16_t)spki_steps_draw(&steps, word[j]);
        break;
    case SPKI_DELAY_ARRAY: memcpy(d, p->delay_data + entry, r * sizeof *d); break;
    case SPKI_DELAY_FUNCTION:
        for (j = 0; j < r; j++) {
            d[j] = 1;
            if (t[j] == spki_self(p, e->source)) continue;
            k = spki_delay_steps(p, p->delay_fn(p->delay_ctx, e->source, t[j]), e->sc->why,
                                 sizeof e->sc->why);
            if (!k) return SPK_ERR_RANGE;
            d[j] = (uint16_t)k;
        }
        break;
    case SPKI_DELAY_CALLBACK: break;
    }
    return SPK_OK;
}

/* Appends the chunk in the scratch, all of it or what falls on the interval. */
SPKI_FN spk_result spki_commit(spki_emit *e, uint32_t r, bool inside)
{
    const spki_row_scratch *sc = e->sc;
    spki_edges *out = e->out;
    uint32_t n = out->count, span = e->t1 - e->t0, take = r, j;
    if (!inside)
        for (take = 0, j = 0; j < r; j++) take += sc->target[j] - e->t0 < span ? 1u : 0u;
    if (take > out->capacity - n) return SPK_ERR_FULL;
    if (take == r) {
        memcpy(out->target + n, sc->target, r * sizeof *sc->target);
        memcpy(out->weight + n, sc->weight, r * sizeof *sc->weight);
        memcpy(out->delay + n, sc->delay, r * sizeof *sc->delay);
    } else if (take) {
        for (j = 0; j < r; j++) {
            if (sc->target[j] - e->t0 >= span) continue;
            out->target[n] = sc->target[j];
            out->weight[n] = sc->weight[j];
            out->delay[n++] = sc->delay[j];
        }
    }
    out->count += take;
    return SPK_OK;
}

/* Values for the r targets in the scratch, then out with them. Chunk `chunk` of a place has its
   own words. Targets are ascending, so chunks that miss the interval cost nothing. */
SPKI_FN spk_result spki_emit_list(spki_emit *e, uint32_t r, uint32_t place, uint32_t chunk,
                                  uint64_t entry, uint32_t skip)
{
    const spki_proj *p = e->p;
    uint32_t *t = e->sc->target, *words = e->sc->words;
    uint32_t r4 = (r + 3) & ~3u, ww = spki_weight_words(p), nv = ww + spki_delay_words(p), j;
    spk_result result;
    if (t[0] >= e->t1 || t[r - 1] < e->t0) return SPK_OK;
    if (nv)
        p->fill(p->key, e->source, spki_at(SPKI_AT_VALUES, place), p->stream,
                chunk * (SPKI_CHUNK / 4) * nv, nv * (r4 / 4), words);
    result = spki_weights(e, words, t, r, entry);
    if (result == SPK_OK) result = spki_delays(e, words + r4 * ww, t, r, entry);
    if (result != SPK_OK) return result;
    if (skip != SPKI_NO_SELF)
        for (j = 0; j < r; j++)
            if (t[j] == skip) t[j] = UINT32_MAX; /* outside every interval */
    return spki_commit(e, r, skip == SPKI_NO_SELF && t[0] >= e->t0 && t[r - 1] < e->t1);
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>rows: the synapses of one source, by every rule ---- */

/* -- rows with a given number of synapses, multapses allowed -- */

SPKI_FN void spki_leaf_targets(spki_emit *e, uint32_t leaf, uint32_t first, uint32_t r)
{
    const spki_proj *p = e->p;
    uint32_t *t = e->sc->target;
    const uint32_t *word = e->sc->words;
    uint32_t base = leaf * p->leaf, size = SPKI_MIN(p->leaf, p->n_target - base);
    uint32_t self = spki_self(p, e->source), j, refuse;
    bool skip = self - base < size;
    spki_words w;
    if (skip) size--;
    refuse = spki_refuse(size);
    for (j = 0; j < r; j++) {
        uint64_t x = (uint64_t)word[j] * size;
        t[j] = base + (uint32_t)(x >> 32);
        if ((uint32_t)x >= refuse) continue;
        spki_words_open(&w, p, first + j, e->source, spki_at(SPKI_AT_REDRAW, leaf), 4);
        t[j] = base + spki_words_below(&w, size, refuse);
    }
    if (skip)
        for (j = 0; j < r; j++) t[j] += t[j] >= self ? 1u : 0u;
}

SPKI_FN spk_result spki_row_leaf(spki_emit *e, uint32_t leaf, uint64_t m)
{
    const spki_proj *p = e->p;
    uint32_t *words = e->sc->words, ww = spki_weight_words(p), nv = 1 + ww + spki_delay_words(p);
    uint64_t base = (uint64_t)leaf * p->leaf, end = SPKI_MIN(base + p->leaf, p->n_target), first;
    bool inside = base >= e->t0 && end <= e->t1;
    uint32_t c0 = 0, r, r4;
    spk_result result;
    for (first = 0; first < m; first += r) {
        r = (uint32_t)SPKI_MIN(m - first, SPKI_CHUNK);
        r4 = (r + 3) & ~3u;
        p->fill(p->key, e->source, spki_at(SPKI_AT_LEAF, leaf), p->stream, c0, nv * (r4 / 4),
                words);
        c0 += nv * (r4 / 4);
        spki_leaf_targets(e, leaf, (uint32_t)first, r);
        result = spki_weights(e, words + r4, e->sc->target, r, 0);
        if (result == SPK_OK)
            result = spki_delays(e, words + r4 * (1 + ww), e->sc->target, r, 0);
        if (result == SPK_OK) result = spki_commit(e, r, inside);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* Targets of leaves [l0, l1) that a row may reach. */
SPKI_FN uint64_t spki_leaf_span(const spki_emit *e, uint32_t l0, uint32_t l1)
{
    const spki_proj *p = e->p;
    uint64_t a = (uint64_t)l0 * p->leaf, b = SPKI_MIN((uint64_t)l1 * p->leaf, p->n_target);
    uint32_t self = spki_self(p, e->source);
    return b - a - (self >= a && self < b ? 1u : 0u);
}

/* Splitting at a power of two makes most halves equal: one bit a synapse. */
SPKI_INLINE uint32_t spki_split(uint32_t n)
{
    uint32_t half = 1;
    while (half < n - half) half *= 2;
    return half;
}

/* m synapses on leaves [l0, l1), `level` splits deep. */
SPKI_FN spk_result spki_row_tree(spki_emit *e, uint32_t l0, uint32_t l1, uint64_t m, uint32_t level)
{
    const spki_proj *p = e->p;
    uint32_t mid;
    uint64_t left;
    spki_words w;
    spk_result result;
    if (m == 0 || (uint64_t)l0 * p->leaf >= e->t1 || (uint64_t)l1 * p->leaf <= e->t0)
        return SPK_OK;
    if (l1 - l0 == 1) return spki_row_leaf(e, l0, m);
    mid = l0 + spki_split(l1 - l0);
    spki_words_open(&w, p, level << 24, e->source, spki_at(SPKI_AT_NODE, l0),
                    spki_binomial_words(m));
    left = spki_binomial(&w, m, spki_leaf_span(e, l0, mid), spki_leaf_span(e, l0, l1));
    result = spki_row_tree(e, l0, mid, left, level + 1);
    return result == SPK_OK ? spki_row_tree(e, mid, l1, m - left, level + 1) : result;
}

SPKI_FN uint32_t spki_row_size(const spki_proj *p, uint32_t source)
{
    return p->row_count ? p->row_count[source] : p->k;
}

/* -- rows whose targets are a set of bits -- */

SPKI_FN spk_result spki_emit_bits(spki_emit *e, const uint64_t *bits, uint32_t n, uint32_t base,
                                  uint32_t place, uint32_t skip)
{
    uint32_t words = (uint32_t)(((uint64_t)n + 63) / 64), i = 0, chunk = 0, r;
    uint64_t now = words ? bits[0] : 0;
    spk_result result;
    for (;;) {
        for (r = 0; r < SPKI_CHUNK && i < words;) {
            if (now) {
                e->sc->target[r++] = base + i * 64 + (uint32_t)__builtin_ctzll(now);
                now &= now - 1;
            } else if (++i < words) {
                now = bits[i];
            }
        }
        if (r == 0 || e->sc->target[0] >= e->t1) return SPK_OK;
        result = spki_emit_list(e, r, place, chunk++, 0, skip);
        if (result != SPK_OK) return result;
    }
}

/* A row of m different targets is drawn whole, whatever the interval. */
SPKI_FN spk_result spki_row_subset(spki_emit *e, uint64_t *bits)
{
    uint32_t m = spki_row_size(e->p, e->source);
    spki_words w;
    if (!m) return SPK_OK;
    spki_words_open(&w, e->p, 0, e->source, spki_at(SPKI_AT_SUBSET, 0), m);
    spki_subset(&w, bits, e->p->n_target, m, spki_self(e->p, e->source));
    return spki_emit_bits(e, bits, e->p->n_target, 0, 0, SPKI_NO_SELF);
}

/* Independent pairs: block by block a binomial count, then a set of that size. The autapse is
   drawn like any other and dropped. */
SPKI_FN spk_result spki_row_bernoulli(spki_emit *e, uint64_t *bits)
{
    const spki_proj *p = e->p;
    uint32_t b, last = (e->t1 - 1) / SPKI_BLOCK, end = (p->n_target - 1) / SPKI_BLOCK;
    uint32_t self = spki_self(p, e->source);
    for (b = e->t0 / SPKI_BLOCK; b <= last; b++) {
        const spki_counts *c = b < end ? &p->block : &p->rest;
        uint32_t m, size = b < end ? SPKI_BLOCK : p->n_target - b * SPKI_BLOCK;
        uint64_t word;
        spki_words w;
        spk_result result;
        spki_words_open(&w, p, 0, e->source, spki_at(SPKI_AT_BLOCK, b),
                        2 + (uint64_t)(p->p * (double)size));
        word = (uint64_t)spki_words_next(&w) << 32;
        m = spki_counts_draw(c, word | spki_words_next(&w));
        if (!m) continue;
        spki_subset(&w, bits, size, m, SPKI_NO_SELF);
        result = spki_emit_bits(e, bits, size, b * SPKI_BLOCK, b,
                                self / SPKI_BLOCK == b ? self : SPKI_NO_SELF);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* -- rows that are known -- */

SPKI_FN spk_result spki_row_all(spki_emit *e)
{
    const spki_proj *p = e->p;
    uint32_t self = spki_self(p, e->source), j;
    uint64_t t = e->t0 / SPKI_CHUNK * SPKI_CHUNK;
    for (; t < e->t1; t += SPKI_CHUNK) {
        uint32_t first = (uint32_t)t, r = (uint32_t)SPKI_MIN(p->n_target - t, SPKI_CHUNK);
        spk_result result;
        for (j = 0; j < r; j++) e->sc->target[j] = first + j;
        result = spki_emit_list(e, r, first / SPKI_BLOCK, first % SPKI_BLOCK / SPKI_CHUNK,
                                (uint64_t)e->source * p->n_target + first,
                                self - first < r ? self : SPKI_NO_SELF);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_row_same(spki_emit *e)
{
    if (spki_self(e->p, e->source) == e->source) return SPK_OK;
    e->sc->target[0] = e->source;
    return spki_emit_list(e, 1, 0, 0, e->source, SPKI_NO_SELF);
}

/* COO and CSR: targets in any order, so that a chunk is drawn unless none of it is wanted. */
SPKI_FN spk_result spki_row_listed(spki_emit *e)
{
    const spki_proj *p = e->p;
    uint64_t i = p->row_offset[e->source], end = p->row_offset[e->source + 1];
    uint32_t chunk = 0, r, j, span = e->t1 - e->t0, wanted;
    uint32_t ww = spki_weight_words(p), nv = ww + spki_delay_words(p);
    spk_result result;
    for (; i < end; i += r, chunk++) {
        uint32_t r4, *words = e->sc->words, *t = e->sc->target;
        r = (uint32_t)SPKI_MIN(end - i, SPKI_CHUNK);
        r4 = (r + 3) & ~3u;
        memcpy(t, p->row_target + i, r * sizeof *t);
        for (j = 0, wanted = 0; j < r; j++) wanted += t[j] - e->t0 < span ? 1u : 0u;
        if (!wanted) continue;
        if (nv)
            p->fill(p->key, e->source, spki_at(SPKI_AT_VALUES, 0), p->stream,
                    chunk * (SPKI_CHUNK / 4) * nv, nv * (r4 / 4), words);
        result = spki_weights(e, words, t, r, i);
        if (result == SPK_OK) result = spki_delays(e, words + r4 * ww, t, r, i);
        if (result == SPK_OK) result = spki_commit(e, r, wanted == r);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* -- rows from a callback -- */

struct spk_row {
    spki_emit *e;
    uint64_t *seen; /* targets so far, where multapses are forbidden */
    spk_result result;
    uint32_t self;
};

SPKI_FN spk_result spki_row_check(const spk_row *row, uint32_t target, double weight,
                                  uint32_t *steps, double delay_ms)
{
    spki_emit *e = row->e;
    char *why = e->sc->why;
    size_t size = sizeof e->sc->why;
    unsigned s = (unsigned)e->source, t = (unsigned)target;
    if (target >= e->p->n_target)
        return spki_because(SPK_ERR_RANGE, why, size,
                            "target %u of source %u is outside the view (%u neurons)", t, s,
                            (unsigned)e->p->n_target);
    if (!spki_finite(weight))
        return spki_because(SPK_ERR_RANGE, why, size, "weight is %s for %u -> %u",
                            spki_not_finite(weight), s, t);
    if (target == row->self)
        return spki_because(SPK_ERR_RANGE, why, size,
                            "%u -> %u is an autapse, which no_autapses forbids", s, t);
    if (row->seen && (row->seen[target >> 6] >> (target & 63) & 1))
        return spki_because(SPK_ERR_RANGE, why, size,
                            "%u -> %u comes twice, which no_multapses forbids", s, t);
    *steps = spki_delay_steps(e->p, delay_ms, why, size);
    return *steps ? SPK_OK : SPK_ERR_RANGE;
}

SPIKELIB_API void spk_row_add(spk_row *row, uint32_t target, double weight, double delay_ms)
{
    uint32_t steps = 0;
    spki_emit *e;
    if (!row || row->result != SPK_OK) return;
    e = row->e;
    row->result = spki_row_check(row, target, weight, &steps, delay_ms);
    if (row->result != SPK_OK) return;
    if (row->seen) row->seen[target >> 6] |= UINT64_C(1) << (target & 63);
    if (e->lo) *e->lo = SPKI_MIN(*e->lo, weight);
    if (e->hi) *e->hi = SPKI_MAX(*e->hi, weight);
    e->sc->target[0] = target;
    e->sc->weight[0] = spki_quanta(e->p, weight);
    e->sc->delay[0] = (uint16_t)steps;
    row->result = spki_commit(e, 1, false);
}

SPKI_FN spk_result spki_row_called(spki_emit *e, uint64_t *bits)
{
    const spki_proj *p = e->p;
    spk_row row;
    row.e = e;
    row.seen = p->no_multapses ? bits : NULL;
    row.result = SPK_OK;
    row.self = spki_self(p, e->source);
    if (row.seen) memset(bits, 0, ((size_t)p->n_target + 63) / 64 * sizeof *bits);
    p->row(p->row_ctx, e->source, &row);
    return row.result;
}

/* -- fixed in-degree: drawn by target, read by source through an index -- */

/* Index of the synapses on targets [t0, t1): where each source's begin, then for each the target
   and the number of the draw, then room for the draws of one target. */
typedef struct spki_index {
    uint32_t t0, t1;
    uint64_t count;
} spki_index;

SPKI_INLINE uint64_t *spki_index_offset(const void *index)
{
    return (uint64_t *)(uintptr_t)((const char *)index + sizeof(spki_index));
}

SPKI_INLINE bool spki_index_wide(const spki_proj *p, uint32_t t0, uint32_t t1)
{
    return p->wide || t1 - t0 > 65536u;
}

/* Sources of target t, in the order of the draws. `bits`: n_source of them, clear, and clear again
   afterwards; needed without multapses only. */
SPKI_FN void spki_indegree_sources(const spki_proj *p, uint32_t t, uint64_t *bits, uint32_t *src)
{
    uint32_t self = !p->no_autapses ? SPKI_NO_SELF : p->self_source ? p->self_source[t]
                                               : p->same_view       ? t
                                                                    : SPKI_NO_SELF;
    uint32_t n = p->n_source, pool = self < n ? n - 1 : n, j, i, s, refuse = spki_refuse(n);
    spki_words w, again;
    spki_words_open(&w, p, 0, t, spki_at(SPKI_AT_INDEGREE, 0), p->k);
    if (p->no_multapses && p->k > pool - p->k) {
        uint32_t words = (uint32_t)(((uint64_t)n + 63) / 64);
        spki_subset(&w, bits, n, p->k, self);
        for (i = 0, j = 0; i < words; i++)
            for (; bits[i]; bits[i] &= bits[i] - 1)
                src[j++] = i * 64 + (uint32_t)__builtin_ctzll(bits[i]);
        return;
    }
    spki_words_open(&again, p, 0, t, spki_at(SPKI_AT_INREDRAW, 0), 4);
    for (j = 0; j < p->k; j++) {
        uint64_t x = (uint64_t)spki_words_next(&w) * n;
        s = (uint32_t)(x >> 32);
        if ((uint32_t)x < refuse) s = spki_words_below(&again, n, refuse);
        while (s == self || (p->no_multapses && (bits[s >> 6] >> (s & 63) & 1)))
            s = spki_words_below(&again, n, refuse);
        if (p->no_multapses) bits[s >> 6] |= UINT64_C(1) << (s & 63);
        src[j] = s;
    }
    if (!p->no_multapses) return;
    for (j = 0; j < p->k; j++) bits[src[j] >> 6] = 0;
}

/* Bytes of the index for targets [t0, t1); 0 for rules that need none. */
SPKI_FN size_t spki_proj_index_bytes(const spki_proj *p, uint32_t t0, uint32_t t1)
{
    size_t bytes;
    if (p->rule != SPK_FIXED_INDEGREE || t0 >= t1 || !p->n_source || !p->k) return 0;
    bytes = sizeof(spki_index) + ((size_t)p->n_source + 1) * 8;
    bytes += (size_t)(t1 - t0) * p->k * (spki_index_wide(p, t0, t1) ? 8u : 4u);
    bytes = (bytes + 7) & ~(size_t)7;
    return bytes + ((size_t)p->n_source + 63) / 64 * 8 + (size_t)p->k * 4;
}

/* Fills it. Memory from the caller, aligned to 8. Thread: any, one index each. */
SPKI_FN void spki_proj_index_build(const spki_proj *p, uint32_t t0, uint32_t t1, void *index)
{
    size_t bytes = spki_proj_index_bytes(p, t0, t1), words = ((size_t)p->n_source + 63) / 64;
    bool wide = spki_index_wide(p, t0, t1);
    spki_index *head = (spki_index *)index;
    uint64_t *offset, *bits, sum = 0, at;
    uint32_t *src, *entry, t, s, j;
    if (!bytes) return;
    offset = spki_index_offset(index);
    entry = (uint32_t *)(offset + p->n_source + 1);
    src = (uint32_t *)((char *)index + bytes - (size_t)p->k * 4);
    bits = (uint64_t *)((char *)index + bytes - (size_t)p->k * 4 - words * 8);
    head->t0 = t0;
    head->t1 = t1;
    head->count = (uint64_t)(t1 - t0) * p->k;
    memset(offset, 0, ((size_t)p->n_source + 1) * 8);
    memset(bits, 0, words * 8);
    for (t = t0; t < t1; t++) {
        spki_indegree_sources(p, t, bits, src);
        for (j = 0; j < p->k; j++) offset[src[j]]++;
    }
    for (s = 0; s <= p->n_source; s++) {
        at = offset[s];
        offset[s] = sum;
        sum += at;
    }
    for (t = t0; t < t1; t++) {
        spki_indegree_sources(p, t, bits, src);
        for (j = 0; j < p->k; j++) {
            at = offset[src[j]]++;
            if (!wide) {
                entry[at] = (t - t0) << 16 | j;
            } else {
                entry[2 * at] = t - t0;
                entry[2 * at + 1] = j;
            }
        }
    }
    for (s = p->n_source; s > 0; s--) offset[s] = offset[s - 1]; /* ends became beginnings */
    offset[0] = 0;
}

/* Weights and delays of r synapses in the scratch, each (target, draw) with its own counter. */
SPKI_FN spk_result spki_emit_indegree(spki_emit *e, uint32_t r)
{
    const spki_proj *p = e->p;
    spki_row_scratch *sc = e->sc;
    uint32_t j, w[4];
    spk_result result;
    if (spki_weight_words(p) || spki_delay_words(p))
        for (j = 0; j < r; j++) {
            spki_philox(sc->draw[j], sc->target[j], spki_at(SPKI_AT_INVALUES, 0), p->stream,
                        p->key[0], p->key[1], w);
            sc->words[j] = w[0];
            sc->words[SPKI_CHUNK + j] = w[1];
        }
    result = spki_weights(e, sc->words, sc->target, r, 0);
    if (result == SPK_OK) result = spki_delays(e, sc->words + SPKI_CHUNK, sc->target, r, 0);
    return result == SPK_OK ? spki_commit(e, r, false) : result;
}

SPKI_FN spk_result spki_row_indexed(spki_emit *e, const void *index)
{
    const spki_proj *p = e->p;
    const spki_index *head = (const spki_index *)index;
    const uint64_t *offset;
    const uint32_t *entry;
    uint64_t i, end;
    uint32_t r, j;
    bool wide;
    if (!index || e->t0 < head->t0 || e->t1 > head->t1)
        return spki_because(SPK_ERR_STATE, e->sc->why, sizeof e->sc->why,
                            "fixed in-degree rows need the index of their targets");
    offset = spki_index_offset(index);
    entry = (const uint32_t *)(offset + p->n_source + 1);
    wide = spki_index_wide(p, head->t0, head->t1);
    end = offset[e->source + 1];
    for (i = offset[e->source]; i < end; i += r) {
        spk_result result;
        r = (uint32_t)SPKI_MIN(end - i, SPKI_CHUNK);
        for (j = 0; j < r; j++) {
            uint32_t x = wide ? entry[2 * (i + j)] : entry[i + j] >> 16;
            e->sc->target[j] = head->t0 + x;
            e->sc->draw[j] = wide ? entry[2 * (i + j) + 1] : entry[i + j] & 0xffffu;
        }
        if (e->sc->target[0] >= e->t1) break;
        if (e->sc->target[r - 1] < e->t0) continue;
        result = spki_emit_indegree(e, r);
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

/* -- any row -- */

SPKI_FN spk_result spki_row_by_rule(spki_emit *e, const void *index)
{
    const spki_proj *p = e->p;
    uint64_t *bits = (uint64_t *)(e->sc + 1);
    switch (p->rule) {
    case SPK_ONE_TO_ONE: return spki_row_same(e);
    case SPK_ALL_TO_ALL: return spki_row_all(e);
    case SPK_BERNOULLI: return spki_row_bernoulli(e, bits);
    case SPK_FIXED_INDEGREE: return p->k ? spki_row_indexed(e, index) : SPK_OK;
    case SPK_FIXED_OUTDEGREE:
    case SPK_FIXED_TOTAL:
        if (p->no_multapses) return spki_row_subset(e, bits);
        return spki_row_tree(e, 0, (uint32_t)(((uint64_t)p->n_target + p->leaf - 1) / p->leaf),
                             spki_row_size(p, e->source), 0);
    case SPK_COO:
    case SPK_CSR: return spki_row_listed(e);
    case SPK_CALLBACK: return spki_row_called(e, bits);
    case SPK_RULE_FORCE_32_BIT: break;
    }
    return SPK_ERR_RANGE;
}

/* Scratch of one thread, aligned to 8. */
SPKI_FN size_t spki_proj_scratch_size(const spki_proj *p)
{
    return sizeof(spki_row_scratch) + ((size_t)p->n_target + 63) / 64 * 8 + SPKI_BLOCK / 8;
}

/* Appends the synapses of `source` on targets [t0, t1). Rows of adjacent intervals hold together
   the row of their union, each target's synapses in the same order.
   Errors: SPK_ERR_FULL if `out` has no room, and what functions and callbacks return (reason:
   spki_proj_row_why); nothing is appended then. Thread: any, each with its own scratch and out. */
SPKI_FN spk_result spki_proj_row(const spki_proj *p, const void *index, void *scratch,
                                 uint32_t source, uint32_t t0, uint32_t t1, spki_edges *out)
{
    spki_emit e;
    uint32_t count = out->count;
    spk_result result;
    e.p = p;
    e.sc = (spki_row_scratch *)scratch;
    e.source = source;
    e.t0 = t0;
    e.t1 = SPKI_MIN(t1, p->n_target);
    e.out = out;
    e.lo = e.hi = NULL;
    e.sc->why[0] = '\0';
    if (e.t0 >= e.t1 || source >= p->n_source) return SPK_OK;
    result = spki_row_by_rule(&e, index);
    if (result != SPK_OK) out->count = count;
    return result;
}

/* Why the last row of this scratch failed: the tail of a sentence; "" for SPK_ERR_FULL. */
SPKI_FN const char *spki_proj_row_why(const void *scratch)
{
    return ((const spki_row_scratch *)scratch)->why;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>projections: checking and compiling a description, and what the engine asks of it ---- */

/* -- how many -- */

/* Synapses on targets [t0, t1) in all: exact where the rule says it, otherwise the mean plus 8
   standard deviations. NaN for a callback that was not scanned. */
SPKI_FN double spki_proj_expected_row_total(const spki_proj *p, uint32_t t0, uint32_t t1)
{
    double span, share, mean, all;
    uint64_t i, n = 0;
    t1 = SPKI_MIN(t1, p->n_target);
    if (t0 >= t1 || !p->n_source) return 0.0;
    span = (double)(t1 - t0);
    switch (p->rule) {
    case SPK_ONE_TO_ONE: return span;
    case SPK_ALL_TO_ALL: return span * (double)p->n_source;
    case SPK_FIXED_INDEGREE: return span * (double)p->k;
    case SPK_COO:
    case SPK_CSR:
        for (i = 0; i < p->total; i++) n += p->row_target[i] - t0 < t1 - t0 ? 1u : 0u;
        return (double)n;
    case SPK_CALLBACK:
        if (!p->in_count) return __builtin_nan("");
        for (i = t0; i < t1; i++) n += p->in_count[i];
        return (double)n;
    case SPK_BERNOULLI:
        mean = span * (double)p->n_source * p->p;
        return p->p >= 1.0 ? mean : mean + 8.0 * __builtin_sqrt(mean) + 64.0;
    case SPK_FIXED_OUTDEGREE:
    case SPK_FIXED_TOTAL:
    case SPK_RULE_FORCE_32_BIT: break;
    }
    all = p->rule == SPK_FIXED_TOTAL ? (double)p->total : (double)p->k * (double)p->n_source;
    if (span >= (double)p->n_target) return all;
    share = span / (double)(p->n_target - (p->no_autapses && p->n_target > 1 ? 1u : 0u));
    mean = SPKI_MIN(share, 1.0) * all;
    return SPKI_MIN(all, mean + 8.0 * __builtin_sqrt(mean) + 64.0);
}

/* Synapses that a row practically never exceeds. */
SPKI_FN size_t spki_proj_max_row(const spki_proj *p)
{
    double mean;
    if (p->rule == SPK_BERNOULLI) mean = (double)p->n_target * p->p;
    else if (p->rule == SPK_FIXED_INDEGREE && p->n_source)
        mean = (double)p->n_target * (double)p->k / (double)p->n_source;
    else return (size_t)p->max_row;
    return (size_t)(mean + 10.0 * __builtin_sqrt(mean) + 64.0);
}

/* -- weights, as the engine asks -- */

/* Bounds that no weight exceeds; NaN for functions and callbacks until they are scanned. */
SPKI_FN void spki_proj_weight_range(const spki_proj *p, double *lo, double *hi)
{
    *lo = p->weight_lo;
    *hi = p->weight_hi;
}

/* From now on rows hold round(weight / quantum), ties to even, within +-max_abs <= INT32_MAX.
   `quantum` is a power of two. */
SPKI_FN void spki_proj_set_quantum(spki_proj *p, double quantum, int64_t max_abs)
{
    p->per_quantum = 1.0 / quantum;
    p->weight_max = (double)SPKI_MIN(max_abs, (int64_t)INT32_MAX);
    p->weight_constant = spki_quanta(p, p->weight_a);
}

/* Fixed in-degree has no rows without an index, so functions are asked target by target. */
SPKI_FN spk_result spki_scan_indegree(spki_emit *e, uint64_t *bits, uint32_t *src)
{
    const spki_proj *p = e->p;
    uint32_t t, j;
    spk_result result = SPK_OK;
    for (t = 0; t < p->n_target; t++) {
        spki_indegree_sources(p, t, bits, src);
        e->sc->target[0] = t;
        for (j = 0; j < p->k && result == SPK_OK; j++) {
            e->source = src[j];
            result = spki_weights(e, e->sc->words, e->sc->target, 1, 0);
            if (result == SPK_OK && p->delay_kind == SPKI_DELAY_FUNCTION)
                result = spki_delays(e, e->sc->words, e->sc->target, 1, 0);
        }
        if (result != SPK_OK) return result;
    }
    return SPK_OK;
}

SPKI_FN bool spki_edges_grow(spki_mem *mem, spki_edges *x, uint32_t capacity)
{
    spki_free(mem, x->target, x->capacity, sizeof *x->target);
    spki_free(mem, x->weight, x->capacity, sizeof *x->weight);
    spki_free(mem, x->delay, x->capacity, sizeof *x->delay);
    memset(x, 0, sizeof *x);
    if (!capacity) return true;
    x->capacity = capacity;
    x->target = (uint32_t *)spki_alloc_raw(mem, capacity, sizeof *x->target);
    x->weight = (int32_t *)spki_alloc_raw(mem, capacity, sizeof *x->weight);
    x->delay = (uint16_t *)spki_alloc_raw(mem, capacity, sizeof *x->delay);
    return x->target && x->weight && x->delay;
}

SPKI_FN spk_result spki_scan_rows(spki_mem *mem, spki_proj *p, spki_emit *e)
{
    uint32_t s, j;
    spki_edges *x = e->out;
    for (s = 0; s < p->n_source; s++) {
        spk_result result = SPK_ERR_FULL;
        while (result == SPK_ERR_FULL) {
            x->count = 0;
            e->source = s;
            result = spki_row_by_rule(e, NULL);
            if (result == SPK_ERR_FULL &&
                (x->capacity > (1u << 30) || !spki_edges_grow(mem, x, x->capacity * 2)))
                return SPK_ERR_OUT_OF_MEMORY;
        }
        if (result != SPK_OK) return result;
        if (p->rule != SPK_CALLBACK) continue;
        p->total += x->count;
        p->max_row = SPKI_MAX(p->max_row, x->count);
        for (j = 0; j < x->count; j++) p->in_count[x->target[j]]++;
    }
    return SPK_OK;
}

SPKI_FN bool spki_proj_needs_scan(const spki_proj *p)
{
    return p->weight_kind == SPKI_WEIGHT_FUNCTION || p->weight_kind == SPKI_WEIGHT_CALLBACK ||
           p->delay_kind == SPKI_DELAY_FUNCTION;
}

/* Evaluates functions and callbacks for all synapses: afterwards the weight range is known (0 to 0
   without synapses), and for a callback how many synapses there are. Does nothing for others.
   `why` as for spki_proj_create. Cost: draws the whole projection once, on one thread. */
SPKI_FN spk_result spki_proj_scan_weights(spki_mem *mem, spki_proj *p, char *why, size_t why_size)
{
    size_t size = spki_proj_scratch_size(p) + (size_t)p->k * 4 + (size_t)p->n_source / 8 + 8;
    double lo = __builtin_inf(), hi = -lo;
    spki_edges row;
    spki_emit e;
    spk_result result = SPK_ERR_OUT_OF_MEMORY;
    if (!spki_proj_needs_scan(p)) return SPK_OK;
    memset(&row, 0, sizeof row);
    memset(&e, 0, sizeof e);
    e.p = p;
    e.t1 = p->n_target;
    e.out = &row;
    if (p->weight_kind == SPKI_WEIGHT_FUNCTION || p->weight_kind == SPKI_WEIGHT_CALLBACK) {
        e.lo = &lo;
        e.hi = &hi;
    }
    if (p->rule == SPK_CALLBACK) {
        p->total = p->max_row = 0;
        if (!p->in_count) p->in_count = (uint32_t *)spki_alloc(mem, p->n_target, 4);
        else memset(p->in_count, 0, (size_t)p->n_target * 4);
    }
    e.sc = (spki_row_scratch *)spki_alloc(mem, size, 1);
    if (e.sc && (p->rule != SPK_CALLBACK || p->in_count)) {
        uint64_t *bits = (uint64_t *)(e.sc + 1);
        uint32_t *src = (uint32_t *)(bits + ((size_t)p->n_source + 63) / 64);
        if (!p->n_source || !p->n_target) result = SPK_OK;
        else if (p->rule == SPK_FIXED_INDEGREE) result = spki_scan_indegree(&e, bits, src);
        else if (spki_edges_grow(mem, &row, 1024)) result = spki_scan_rows(mem, p, &e);
    }
    if (result == SPK_ERR_OUT_OF_MEMORY) (void)spki_because(result, why, why_size, "no memory");
    else if (result != SPK_OK) (void)spki_because(result, why, why_size, "%s", e.sc->why);
    else if (e.lo) {
        p->weight_lo = lo <= hi ? lo : 0.0;
        p->weight_hi = lo <= hi ? hi : 0.0;
    }
    (void)spki_edges_grow(mem, &row, 0);
    spki_free(mem, e.sc, size, 1);
    return result;
}

/* -- making one -- */

/* What creation carries from step to step. */
typedef struct spki_making {
    spki_mem *mem;
    spki_proj *p;
    const spk_conn_desc *desc;
    char *why;
    size_t why_size;
} spki_making;

SPKI_FN void spki_proj_destroy(spki_mem *mem, spki_proj *p)
{
    uint64_t n = p->rule == SPK_COO || p->rule == SPK_CSR ? p->total : 0;
    if (!mem) return;
    spki_free(mem, p->self, p->n_source, 4);
    spki_free(mem, p->self_source, p->n_target, 4);
    spki_free(mem, p->row_count, p->n_source, 4);
    spki_free(mem, p->in_count, p->n_target, 4);
    spki_free(mem, p->row_offset, (size_t)p->n_source + 1, 8);
    spki_free(mem, p->row_target, (size_t)n, 4);
    spki_free(mem, p->weight_data, p->weight_count, sizeof(double));
    spki_free(mem, p->delay_data, p->delay_count, 2);
    spki_free(mem, p->steps_upto, p->steps_count, 4);
    spki_free(mem, p->steps_guide, 4096, 2);
    spki_counts_free(&p->half, mem);
    spki_counts_free(&p->block, mem);
    spki_counts_free(&p->rest, mem);
    memset(p, 0, sizeof *p);
}

SPKI_FN spk_result spki_make_no_memory(const spki_making *m)
{
    return spki_because(SPK_ERR_OUT_OF_MEMORY, m->why, m->why_size, "no memory");
}

/* Synapses of a rule whose synapses have an order of their own, so that arrays may follow it. */
SPKI_FN bool spki_rule_is_listed(const spki_proj *p, uint64_t *count)
{
    *count = p->total;
    if (p->rule == SPK_ONE_TO_ONE) *count = p->n_source;
    if (p->rule == SPK_ALL_TO_ALL) *count = (uint64_t)p->n_source * p->n_target;
    return p->rule == SPK_ONE_TO_ONE || p->rule == SPK_ALL_TO_ALL || p->rule == SPK_COO ||
           p->rule == SPK_CSR;
}

/* Checks a weight or delay and brings it to its simplest form. */
SPKI_FN spk_result spki_make_value(const spki_making *m, const char *name, const spk_value *value,
                                   double by_default, spk_value *v)
{
    char tail[160];
    uint64_t n = 0;
    bool listed = spki_rule_is_listed(m->p, &n);
    spk_result result;
    if (value->kind == SPK_VALUE_ARRAY && !listed)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "%s is an array, which needs a rule that lists its synapses (one to "
                            "one, all to all, COO, CSR)", name);
    if (value->kind != SPK_VALUE_DEFAULT && m->p->rule == SPK_CALLBACK)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "%s is given, but a row callback brings its own", name);
    result = spki_value_check(value, (size_t)n, tail, sizeof tail);
    if (result != SPK_OK)
        return spki_because(result, m->why, m->why_size, "%s %s", name, tail);
    *v = value->kind == SPK_VALUE_DEFAULT ? spk_constant(by_default) : spki_value_simplify(value);
    return SPK_OK;
}

SPKI_FN void spki_range_of(const double *x, size_t n, double *lo, double *hi)
{
    size_t i;
    *lo = *hi = n ? x[0] : 0.0;
    for (i = 1; i < n; i++) {
        *lo = SPKI_MIN(*lo, x[i]);
        *hi = SPKI_MAX(*hi, x[i]);
    }
}

SPKI_FN spk_result spki_make_weight_table(const spki_making *m, const spk_value *v)
{
    spki_proj *p = m->p;
    uint32_t i;
    p->weight_kind = SPKI_WEIGHT_TABLE;
    p->weight_count = SPKI_QUANTILES + 1;
    p->weight_data = (double *)spki_alloc(m->mem, p->weight_count, sizeof(double));
    if (!p->weight_data) return spki_make_no_memory(m);
    (void)spki_quantile_init(&p->weight_quantile, v);
    for (i = SPKI_QUANTILE_TAIL; i <= SPKI_QUANTILES - SPKI_QUANTILE_TAIL; i++)
        p->weight_data[i] = spki_quantile_at(&p->weight_quantile, (double)i / SPKI_QUANTILES);
    p->weight_lo = spki_weight_from_word(p, 0);
    p->weight_hi = spki_weight_from_word(p, UINT32_MAX);
    return SPK_OK;
}

SPKI_FN spk_result spki_make_weight(const spki_making *m)
{
    spki_proj *p = m->p;
    spk_value v;
    spk_result result = spki_make_value(m, "weight", &m->desc->weight, 1.0, &v);
    if (result != SPK_OK) return result;
    p->weight_lo = p->weight_hi = __builtin_nan("");
    p->weight_a = v.a;
    if (p->rule == SPK_CALLBACK) {
        p->weight_kind = SPKI_WEIGHT_CALLBACK;
    } else if (v.kind == SPK_VALUE_CONSTANT) {
        p->weight_lo = p->weight_hi = v.a;
    } else if (v.kind == SPK_VALUE_UNIFORM) {
        p->weight_kind = SPKI_WEIGHT_UNIFORM;
        p->weight_width = (v.b - v.a) * (1.0 / 4294967296.0);
        p->weight_lo = v.a;
        p->weight_hi = v.b;
    } else if (v.kind == SPK_VALUE_ARRAY) {
        p->weight_kind = SPKI_WEIGHT_ARRAY;
        p->weight_count = v.count;
        p->weight_data = (double *)spki_alloc_raw(m->mem, v.count, sizeof(double));
        if (!p->weight_data) return spki_make_no_memory(m);
        if (v.count) memcpy(p->weight_data, v.array, v.count * sizeof(double));
        spki_range_of(v.array, v.count, &p->weight_lo, &p->weight_hi);
    } else if (v.kind == SPK_VALUE_FUNCTION) {
        p->weight_kind = SPKI_WEIGHT_FUNCTION;
        p->weight_fn = v.fn;
        p->weight_ctx = v.ctx;
    } else {
        return spki_make_weight_table(m, &v);
    }
    return SPK_OK;
}

/* Distributed delays. Steps beyond 9 standard deviations are not worth a table entry. */
SPKI_FN spk_result spki_make_delay_table(const spki_making *m, const spk_value *v)
{
    spki_proj *p = m->p;
    double low = v->a, high = v->b, share = 0.0, max = (double)p->max_delay_steps;
    uint32_t first, last;
    if (v->kind != SPK_VALUE_UNIFORM) {
        low = v->a - 9.0 * v->b;
        high = v->a + 9.0 * v->b;
    }
    if (v->kind == SPK_VALUE_LOGNORMAL) {
        low = spki_qexp(low);
        high = spki_qexp(high);
    }
    low = low / p->dt_ms - 1.0;
    high = high / p->dt_ms + 1.0;
    first = low < 1.0 ? 1u : low < max ? (uint32_t)low : p->max_delay_steps;
    last = high < 1.0 ? 1u : high < max ? (uint32_t)high : p->max_delay_steps;
    p->delay_kind = SPKI_DELAY_STEPS;
    p->steps_count = last - first + 1;
    p->steps_upto = (uint32_t *)spki_alloc(m->mem, p->steps_count, 4);
    p->steps_guide = (uint16_t *)spki_alloc(m->mem, 4096, 2);
    if (!p->steps_upto || !p->steps_guide) return spki_make_no_memory(m);
    share = spki_steps_build(&p->steps, v, p->dt_ms, first, last, p->steps_upto, p->steps_guide);
    if (v->kind == SPK_VALUE_NORMAL)
        share /= spki_value_mass(v, -__builtin_inf(), __builtin_inf());
    if (share > 1e-6) return SPK_OK;
    return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                        "delay practically never rounds to 1 .. %u steps of %g ms",
                        (unsigned)p->max_delay_steps, p->dt_ms);
}

SPKI_FN spk_result spki_make_delay_array(const spki_making *m, const spk_value *v)
{
    spki_proj *p = m->p;
    size_t i;
    p->delay_kind = SPKI_DELAY_ARRAY;
    p->delay_count = v->count;
    p->delay_data = (uint16_t *)spki_alloc_raw(m->mem, v->count, 2);
    if (!p->delay_data) return spki_make_no_memory(m);
    for (i = 0; i < v->count; i++) {
        uint32_t k = spki_delay_steps(p, v->array[i], m->why, m->why_size);
        if (!k) return SPK_ERR_RANGE;
        p->delay_data[i] = (uint16_t)k;
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_make_delay(const spki_making *m)
{
    spki_proj *p = m->p;
    spk_value v;
    spk_result result = spki_make_value(m, "delay", &m->desc->delay_ms, p->dt_ms, &v);
    if (result != SPK_OK) return result;
    if (p->rule == SPK_CALLBACK) {
        p->delay_kind = SPKI_DELAY_CALLBACK;
        return SPK_OK;
    }
    if (v.kind == SPK_VALUE_CONSTANT) {
        p->delay_constant = spki_delay_steps(p, v.a, m->why, m->why_size);
        return p->delay_constant ? SPK_OK : SPK_ERR_RANGE;
    }
    if (v.kind == SPK_VALUE_ARRAY) return spki_make_delay_array(m, &v);
    if (v.kind != SPK_VALUE_FUNCTION) return spki_make_delay_table(m, &v);
    p->delay_kind = SPKI_DELAY_FUNCTION;
    p->delay_fn = v.fn;
    p->delay_ctx = v.ctx;
    return SPK_OK;
}

/* Who is who, where a neuron must not reach itself. */
SPKI_FN spk_result spki_make_self(const spki_making *m, spki_self_fn self_of, const void *ctx)
{
    spki_proj *p = m->p;
    uint32_t s, t;
    if (!p->no_autapses || p->same_view || !self_of) return SPK_OK;
    p->self = (uint32_t *)spki_alloc_raw(m->mem, p->n_source, 4);
    p->self_source = (uint32_t *)spki_alloc_raw(m->mem, p->n_target, 4);
    if (!p->self || !p->self_source) return spki_make_no_memory(m);
    for (t = 0; t < p->n_target; t++) p->self_source[t] = SPKI_NO_SELF;
    for (s = 0; s < p->n_source; s++) {
        t = self_of(ctx, s);
        p->self[s] = t < p->n_target ? t : SPKI_NO_SELF;
        if (t < p->n_target) p->self_source[t] = s;
    }
    return SPK_OK;
}

/* Sources in [s0, s1) that are among the targets, and pairs that may be drawn from them. */
SPKI_FN uint64_t spki_pairs(const spki_proj *p, uint32_t s0, uint32_t s1)
{
    uint64_t pairs = (uint64_t)(s1 - s0) * p->n_target;
    uint32_t s;
    if (!p->no_autapses) return pairs;
    if (p->same_view && !p->self) return pairs - (s1 - s0);
    for (s = s0; p->self && s < s1; s++) pairs -= p->self[s] != SPKI_NO_SELF ? 1u : 0u;
    return pairs;
}

/* -- rules -- */

/* A leaf has some 64 to 128 synapses, whose words are then drawn in one go. */
SPKI_FN void spki_make_leaves(spki_proj *p, double mean_row)
{
    p->leaf = 256;
    while (p->leaf < p->n_target && (double)p->leaf * mean_row < 64.0 * (double)p->n_target)
        p->leaf *= 2;
}

/* The fewest and the most neurons that one neuron may be paired with, out of n. */
SPKI_FN spk_result spki_make_degree(const spki_making *m, bool in)
{
    spki_proj *p = m->p;
    const char *who = in ? "sources" : "targets";
    uint32_t n = in ? p->n_source : p->n_target, pool = n, i;
    const uint32_t *self = in ? p->self_source : p->self;
    if (m->desc->k > UINT32_MAX)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "k = %llu is too large",
                            (unsigned long long)m->desc->k);
    p->k = (uint32_t)m->desc->k;
    if (!p->k || !p->n_source || !p->n_target) return SPK_OK;
    if (p->no_autapses && p->same_view) pool = n - 1;
    for (i = 0; self && i < (in ? p->n_target : p->n_source); i++)
        if (self[i] != SPKI_NO_SELF) pool = n - 1;
    if (pool == 0)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "k = %u %s without autapses, but the view has only the neuron itself",
                            (unsigned)p->k, who);
    if (p->no_multapses && p->k > pool)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "k = %u %s without %smultapses, but the view has only %u",
                            (unsigned)p->k, who, pool < n ? "autapses and " : "", (unsigned)n);
    p->wide = p->k > 65536u;
    p->max_row = p->k;
    spki_make_leaves(p, (double)p->k);
    return SPK_OK;
}

/* Splits `total` over sources [s0, s1) in proportion to their pairs. */
SPKI_FN void spki_split_total(const spki_proj *p, uint32_t s0, uint32_t s1, uint64_t total,
                              uint32_t level)
{
    uint32_t mid;
    uint64_t left;
    spki_words w;
    if (total == 0) return;
    if (s1 - s0 == 1) {
        p->row_count[s0] = (uint32_t)SPKI_MIN(total, UINT32_MAX);
        return;
    }
    mid = s0 + spki_split(s1 - s0);
    spki_words_open(&w, p, 0, s0, spki_at(SPKI_AT_SOURCES, level), spki_binomial_words(total));
    left = spki_binomial(&w, total, spki_pairs(p, s0, mid), spki_pairs(p, s0, s1));
    spki_split_total(p, s0, mid, left, level + 1);
    spki_split_total(p, mid, s1, total - left, level + 1);
}

/* Row sizes of a set of `chosen` different pairs out of `pairs`. Independent draws with a slightly
   smaller probability give a uniform set of random size; single pairs fill it up, each uniform
   among those left, which makes a uniform set of the size asked for. A set that came out too large
   (once in 10^9) is drawn again. Where more than half are chosen, the others are drawn. */
SPKI_FN void spki_split_distinct(const spki_proj *p, uint64_t pairs, uint64_t chosen)
{
    bool others = chosen > pairs / 2;
    uint64_t want = others ? pairs - chosen : chosen, sum = UINT64_MAX;
    uint32_t attempt, s, refuse_s = spki_refuse(p->n_source), refuse_t = spki_refuse(p->n_target);
    double few = (double)want - 6.0 * __builtin_sqrt((double)want) - 1.0;
    uint64_t num = few > 0.0 ? (uint64_t)(few / (double)pairs * 9223372036854775808.0) : 0;
    spki_words w;
    for (attempt = 0; sum > want; attempt++) {
        for (s = 0, sum = 0; s < p->n_source; s++) {
            uint64_t own = spki_pairs(p, s, s + 1);
            spki_words_open(&w, p, 0, s, spki_at(SPKI_AT_ROWCOUNT, attempt),
                            spki_binomial_words(own));
            p->row_count[s] = (uint32_t)spki_binomial(&w, own, num, UINT64_C(1) << 63);
            sum += p->row_count[s];
        }
    }
    spki_words_open(&w, p, 0, 0, spki_at(SPKI_AT_CORRECTION, 0), want - sum);
    while (sum < want) {
        uint32_t t;
        s = spki_words_below(&w, p->n_source, refuse_s);
        t = spki_words_below(&w, p->n_target, refuse_t);
        if (t < p->row_count[s] || t >= spki_pairs(p, s, s + 1)) continue;
        p->row_count[s]++;
        sum++;
    }
    for (s = 0; others && s < p->n_source; s++)
        p->row_count[s] = (uint32_t)(spki_pairs(p, s, s + 1) - p->row_count[s]);
}

SPKI_FN spk_result spki_make_total(const spki_making *m)
{
    spki_proj *p = m->p;
    uint64_t pairs = spki_pairs(p, 0, p->n_source);
    uint32_t s;
    if (!p->n_source || !p->n_target) {
        p->total = 0;
        return SPK_OK;
    }
    if (p->total && !pairs)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "total = %llu without autapses, but the view has only the neuron "
                            "itself", (unsigned long long)p->total);
    if (p->no_multapses && p->total > pairs)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "total = %llu without multapses, but there are only %llu pairs",
                            (unsigned long long)p->total, (unsigned long long)pairs);
    if (p->total / p->n_source >= UINT32_MAX / 2)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "total = %llu is too large",
                            (unsigned long long)p->total);
    p->row_count = (uint32_t *)spki_alloc(m->mem, p->n_source, 4);
    if (!p->row_count) return spki_make_no_memory(m);
    if (p->no_multapses) spki_split_distinct(p, pairs, p->total);
    else spki_split_total(p, 0, p->n_source, p->total, 0);
    for (s = 0; s < p->n_source; s++) p->max_row = SPKI_MAX(p->max_row, p->row_count[s]);
    spki_make_leaves(p, (double)p->total / (double)p->n_source);
    return SPK_OK;
}

SPKI_FN spk_result spki_make_bernoulli(const spki_making *m)
{
    spki_proj *p = m->p;
    uint32_t rest = p->n_target ? (p->n_target - 1) % SPKI_BLOCK + 1 : 0;
    p->p = m->desc->p;
    if (!(p->p >= 0.0 && p->p <= 1.0))
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "p = %g is not a probability",
                            p->p);
    if (!spki_counts_build(&p->block, m->mem, SPKI_BLOCK, p->p) ||
        !spki_counts_build(&p->rest, m->mem, rest, p->p))
        return spki_make_no_memory(m);
    return SPK_OK;
}

/* What an explicit list must not hold. `seen` has room for all targets. */
SPKI_FN spk_result spki_check_pairs(const spki_making *m, uint32_t *seen)
{
    const spki_proj *p = m->p;
    uint32_t s;
    uint64_t i;
    memset(seen, 0, (size_t)p->n_target * 4);
    for (s = 0; s < p->n_source; s++)
        for (i = p->row_offset[s]; i < p->row_offset[s + 1]; i++) {
            uint32_t t = p->row_target[i];
            if (t == spki_self(p, s))
                return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                    "%u -> %u is an autapse, which no_autapses forbids",
                                    (unsigned)s, (unsigned)t);
            if (p->no_multapses && seen[t] == s + 1)
                return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                    "%u -> %u comes twice, which no_multapses forbids",
                                    (unsigned)s, (unsigned)t);
            seen[t] = s + 1;
        }
    return SPK_OK;
}

SPKI_FN spk_result spki_finish_listed(const spki_making *m)
{
    spki_proj *p = m->p;
    uint32_t *seen, s;
    spk_result result;
    for (s = 0; s < p->n_source; s++)
        p->max_row = SPKI_MAX(p->max_row, p->row_offset[s + 1] - p->row_offset[s]);
    if (p->max_row > UINT32_MAX)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "a source has %llu synapses",
                            (unsigned long long)p->max_row);
    if (!p->no_autapses && !p->no_multapses) return SPK_OK;
    seen = (uint32_t *)spki_alloc_raw(m->mem, p->n_target, 4);
    if (!seen) return spki_make_no_memory(m);
    result = spki_check_pairs(m, seen);
    spki_free(m->mem, seen, p->n_target, 4);
    return result;
}

SPKI_FN spk_result spki_check_list(const spki_making *m, const char *name, const uint32_t *list,
                                   uint64_t total, uint32_t n)
{
    uint64_t i;
    if (!total) return SPK_OK;
    if (!list) return spki_because(SPK_ERR_NULL, m->why, m->why_size, "%ss is NULL", name);
    for (i = 0; i < total; i++)
        if (list[i] >= n)
            return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                "%s %u of entry %llu is outside the view (%u neurons)", name,
                                (unsigned)list[i], (unsigned long long)i, (unsigned)n);
    return SPK_OK;
}

SPKI_FN spk_result spki_make_csr(const spki_making *m)
{
    spki_proj *p = m->p;
    const uint64_t *offset = m->desc->row_offsets;
    uint32_t s;
    spk_result result;
    for (s = 0; s < p->n_source; s++)
        if (offset[s + 1] < offset[s])
            return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                                "row_offsets decrease from %llu to %llu after source %u",
                                (unsigned long long)offset[s], (unsigned long long)offset[s + 1],
                                (unsigned)s);
    result = spki_check_list(m, "target", m->desc->targets, p->total, p->n_target);
    if (result != SPK_OK) return result;
    p->row_offset = (uint64_t *)spki_alloc_raw(m->mem, (size_t)p->n_source + 1, 8);
    p->row_target = (uint32_t *)spki_alloc_raw(m->mem, (size_t)p->total, 4);
    if (!p->row_offset || !p->row_target) return spki_make_no_memory(m);
    memcpy(p->row_offset, offset, ((size_t)p->n_source + 1) * 8);
    if (p->total) memcpy(p->row_target, m->desc->targets, (size_t)p->total * 4);
    return spki_finish_listed(m);
}

/* Sorts a list by source, keeping the order within each; arrays of values move along. */
SPKI_FN spk_result spki_make_coo(const spki_making *m)
{
    spki_proj *p = m->p;
    const uint32_t *source = m->desc->sources, *target = m->desc->targets;
    const double *weight = p->weight_kind == SPKI_WEIGHT_ARRAY ? m->desc->weight.array : NULL;
    const double *delay = p->delay_kind == SPKI_DELAY_ARRAY ? m->desc->delay_ms.array : NULL;
    uint64_t *offset, i, at, sum = 0;
    uint32_t s;
    spk_result result = spki_check_list(m, "source", source, p->total, p->n_source);
    if (result == SPK_OK) result = spki_check_list(m, "target", target, p->total, p->n_target);
    if (result != SPK_OK) return result;
    offset = p->row_offset = (uint64_t *)spki_alloc(m->mem, (size_t)p->n_source + 1, 8);
    p->row_target = (uint32_t *)spki_alloc_raw(m->mem, (size_t)p->total, 4);
    if (!p->row_offset || !p->row_target) return spki_make_no_memory(m);
    for (i = 0; i < p->total; i++) offset[source[i]]++;
    for (s = 0; s <= p->n_source; s++) {
        at = offset[s];
        offset[s] = sum;
        sum += at;
    }
    for (i = 0; i < p->total; i++) {
        at = offset[source[i]]++;
        p->row_target[at] = target[i];
        if (weight) p->weight_data[at] = weight[i];
        if (delay) p->delay_data[at] = (uint16_t)spki_delay_steps(p, delay[i], NULL, 0);
    }
    for (s = p->n_source; s > 0; s--) offset[s] = offset[s - 1];
    offset[0] = 0;
    return spki_finish_listed(m);
}

/* How many synapses the description lists; before the values, whose arrays must be as long. */
SPKI_FN spk_result spki_make_extent(const spki_making *m)
{
    const spk_conn_desc *d = m->desc;
    spki_proj *p = m->p;
    bool csr = d->rule == SPK_CSR, given = csr || d->rule == SPK_COO;
    uint64_t total = given || d->rule == SPK_FIXED_TOTAL ? d->total : 0;
    if (csr && !d->row_offsets)
        return spki_because(SPK_ERR_NULL, m->why, m->why_size, "row_offsets is NULL");
    if (csr && d->row_offsets[0] != 0)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "row_offsets begin at %llu instead of 0",
                            (unsigned long long)d->row_offsets[0]);
    if (csr && d->total && d->row_offsets[p->n_source] != d->total)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "row_offsets end at %llu, but total is %llu",
                            (unsigned long long)d->row_offsets[p->n_source],
                            (unsigned long long)d->total);
    if (csr) total = d->row_offsets[p->n_source];
    if (total >> 42 || (uint64_t)(size_t)total != total)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "%s %llu is absurdly large",
                            csr ? "row_offsets end at" : "total =", (unsigned long long)total);
    p->total = total;
    if (d->rule == SPK_ONE_TO_ONE && p->n_source != p->n_target)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "one to one needs views of one size, not %u and %u neurons",
                            (unsigned)p->n_source, (unsigned)p->n_target);
    if (d->rule == SPK_CALLBACK && !d->row)
        return spki_because(SPK_ERR_NULL, m->why, m->why_size, "row callback is NULL");
    return SPK_OK;
}

SPKI_FN spk_result spki_make_rule(const spki_making *m)
{
    spki_proj *p = m->p;
    switch (p->rule) {
    case SPK_ONE_TO_ONE: p->max_row = 1; return SPK_OK;
    case SPK_ALL_TO_ALL: p->max_row = p->n_target; return SPK_OK;
    case SPK_BERNOULLI: return spki_make_bernoulli(m);
    case SPK_FIXED_INDEGREE: return spki_make_degree(m, true);
    case SPK_FIXED_OUTDEGREE: return spki_make_degree(m, false);
    case SPK_FIXED_TOTAL: return spki_make_total(m);
    case SPK_COO: return spki_make_coo(m);
    case SPK_CSR: return spki_make_csr(m);
    case SPK_CALLBACK:
        p->row = m->desc->row;
        p->row_ctx = m->desc->row_ctx;
        p->max_row = p->n_target; /* until it is scanned */
        return SPK_OK;
    case SPK_RULE_FORCE_32_BIT: break;
    }
    return SPK_ERR_RANGE;
}

SPKI_FN spk_result spki_make_limits(const spki_making *m)
{
    const spki_proj *p = m->p;
    if (m->desc->begin_sentinel || m->desc->end_sentinel)
        return spki_because(SPK_ERR_UNINITIALISED, m->why, m->why_size,
                            "descriptor holds garbage: start it with = {0}");
    if ((unsigned)p->rule > (unsigned)SPK_CALLBACK)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "rule %d is unknown",
                            (int)p->rule);
    if (p->n_source > (1u << 30) || p->n_target > (1u << 30))
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "views of %u and %u neurons are too large", (unsigned)p->n_source,
                            (unsigned)p->n_target);
    if (!(p->dt_ms > 0.0) || !spki_finite(p->dt_ms))
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size, "dt = %g ms", p->dt_ms);
    if (p->max_delay_steps < 1 || p->max_delay_steps > 65535)
        return spki_because(SPK_ERR_RANGE, m->why, m->why_size,
                            "max_delay_steps = %u is not within 1 .. 65535",
                            (unsigned)p->max_delay_steps);
    return SPK_OK;
}

/* Compiles a description: checks all of it, copies arrays, splits totals. `stream` must be this
   projection's own, and so must the Philox counters (*, *, *, stream). `same_view`: source and
   target are one view (self_of is not asked). `self_of` NULL: the views share no neuron. `fill`
   NULL: portable words. `why` receives the tail of a sentence: "weight is NaN".
   Ownership: desc and its arrays are not needed afterwards; functions and contexts are. */
SPKI_FN spk_result spki_proj_create(spki_mem *mem, spki_proj *out, const spk_conn_desc *desc,
                                    uint32_t n_source, uint32_t n_target, double dt_ms,
                                    uint32_t max_delay_steps, uint64_t seed, uint32_t stream,
                                    bool same_view, spki_self_fn self_of, const void *self_ctx,
                                    spki_fill_fn fill, char *why, size_t why_size)
{
    spki_making m;
    spk_result result;
    memset(out, 0, sizeof *out);
    m.mem = mem;
    m.p = out;
    m.desc = desc;
    m.why = why;
    m.why_size = why_size;
    out->rule = desc->rule;
    out->n_source = n_source;
    out->n_target = n_target;
    out->no_autapses = desc->no_autapses;
    out->no_multapses = desc->no_multapses;
    out->same_view = same_view;
    out->dt_ms = dt_ms;
    out->max_delay_steps = max_delay_steps;
    out->key[0] = (uint32_t)seed;
    out->key[1] = (uint32_t)(seed >> 32);
    out->stream = stream;
    out->fill = fill ? fill : spki_fill_portable;
    result = spki_make_limits(&m);
    if (result == SPK_OK) result = spki_make_extent(&m);
    if (result == SPK_OK) result = spki_make_weight(&m);
    if (result == SPK_OK) result = spki_make_delay(&m);
    if (result == SPK_OK) result = spki_make_self(&m, self_of, self_ctx);
    if (result == SPK_OK && !spki_counts_build(&out->half, mem, 1024, 0.5))
        result = spki_make_no_memory(&m);
    if (result == SPK_OK) result = spki_make_rule(&m);
    if (result != SPK_OK) spki_proj_destroy(mem, out);
    else spki_proj_set_quantum(out, 1.0, INT32_MAX);
    return result;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>lanes-table: the engine's vector loops by instruction set ---- */

/* The distribution of a Poisson count of one rate, in units of 2^-32. */
typedef struct spki_poisson_table {
    double rate;
    uint32_t base, count, common; /* counts start at base; `common` of the thresholds are likely */
    int32_t *threshold;           /* as unsigned numbers with the top bit flipped */
} spki_poisson_table;

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors only pass between inlined functions */
#endif

#define SPKI_LANES 1
#define SPKI_TARGET SPKI_TARGET_SCALAR
/* ---- >>words: Philox4x32-10 for many neurons, at one vector width (pasted once per width) ----
   The 64 neurons of a group share 16 counters: neuron 16 w + l takes word w of counter
   16 group + l, so that a vector of counters gives vectors of neurons without a shuffle. */
#if SPKI_LANES > 1
typedef uint32_t SPKI_CAT(spki_u32x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
typedef uint64_t SPKI_CAT(spki_u64x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_U SPKI_CAT(spki_u32x, SPKI_LANES)
#define SPKI_U2 SPKI_CAT(spki_u64x, SPKI_LANES)
#else
#define SPKI_U uint32_t
#endif

/* The high and low halves of a 32 x 32 bit product, lane by lane. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) SPKI_U
SPKI_CAT(spki_mulhilo_, SPKI_LANES)(SPKI_U a, uint32_t m, SPKI_U *low)
{
#if SPKI_LANES == 1
    const uint64_t p = (uint64_t)a * m;
    *low = (uint32_t)p;
    return (uint32_t)(p >> 32);
#else
    const SPKI_U2 none = {0}, factor = none + (uint64_t)m;
    SPKI_U2 pairs, even, odd;
    memcpy(&pairs, &a, sizeof pairs);
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    even = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)pairs, (__m512i)factor);
    odd = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)(pairs >> 32), (__m512i)factor);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    even = (SPKI_U2)_mm256_mul_epu32((__m256i)pairs, (__m256i)factor);
    odd = (SPKI_U2)_mm256_mul_epu32((__m256i)(pairs >> 32), (__m256i)factor);
#elif SPKI_HAVE_SSE2
    even = (SPKI_U2)_mm_mul_epu32((__m128i)pairs, (__m128i)factor);
    odd = (SPKI_U2)_mm_mul_epu32((__m128i)(pairs >> 32), (__m128i)factor);
#else
    even = (pairs & 0xffffffffu) * factor;
    odd = (pairs >> 32) * factor;
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const SPKI_U2 lo = (odd & 0xffffffffu) | (even << 32);
    const SPKI_U2 hi = (odd >> 32) | ((even >> 32) << 32);
#else
    const SPKI_U2 lo = (even & 0xffffffffu) | (odd << 32);
    const SPKI_U2 hi = (even >> 32) | ((odd >> 32) << 32);
#endif
    SPKI_U high;
    memcpy(low, &lo, sizeof lo);
    memcpy(&high, &hi, sizeof hi);
    return high;
#endif
}

/* Ten rounds for counters c0, c0 + 1, ..: word w of all lanes goes to the w-th pointer. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) void
SPKI_CAT(spki_rounds_, SPKI_LANES)(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                   uint32_t k1, uint32_t *w0, uint32_t *w1, uint32_t *w2,
                                   uint32_t *w3)
{
    const SPKI_U none = {0};
    SPKI_U x0 = none + c0, x1 = none + c1, x2 = none + c2, x3 = none + c3;
#if SPKI_LANES > 1
    static const uint32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    SPKI_U lane;
    memcpy(&lane, count, sizeof lane);
    x0 += lane;
#endif
    for (int round = 0; round < 10; round++) {
        SPKI_U l0, l1;
        const SPKI_U h0 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x0, 0xD2511F53u, &l0);
        const SPKI_U h1 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x2, 0xCD9E8D57u, &l1);
        x0 = h1 ^ x1 ^ k0;
        x1 = l1;
        x2 = h0 ^ x3 ^ k1;
        x3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(w0, &x0, sizeof x0);
    memcpy(w1, &x1, sizeof x1);
    memcpy(w2, &x2, sizeof x2);
    memcpy(w3, &x3, sizeof x3);
}

/* Words for `groups` x 64 neurons; the first group has number `group`. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_words_, SPKI_LANES)(uint32_t *out, size_t groups, uint32_t group, uint64_t step,
                                  uint32_t tag, uint32_t stream, uint64_t seed)
{
    for (size_t g = 0; g < groups; g++) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            uint32_t *to = out + g * 64 + l;
            SPKI_CAT(spki_rounds_, SPKI_LANES)
            ((group + (uint32_t)g) * 16u + l, (uint32_t)step, (uint32_t)(step >> 32) ^ tag, stream,
             (uint32_t)seed, (uint32_t)(seed >> 32), to, to + 16, to + 32, to + 48);
        }
    }
}

/* Words of counters c0 + k, k < n (a multiple of 16 is fastest), four each, in their order. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_fill_, SPKI_LANES)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                                 uint32_t c0, uint32_t n, uint32_t *out)
{
    uint32_t at[4][SPKI_LANES];
    for (uint32_t k = 0; k < n; k += SPKI_LANES) {
        const uint32_t have = n - k < SPKI_LANES ? n - k : SPKI_LANES;
        SPKI_CAT(spki_rounds_, SPKI_LANES)
        (c0 + k, c1, c2, c3, key[0], key[1], at[0], at[1], at[2], at[3]);
        for (uint32_t j = 0; j < have; j++) {
            for (uint32_t w = 0; w < 4; w++) {
                out[(k + j) * 4 + w] = at[w][j];
            }
        }
    }
}

#undef SPKI_U
#undef SPKI_U2
#undef SPKI_LANES
#undef SPKI_TARGET
#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 0
#define SPKI_S f1
#define SPKI_TARGET SPKI_TARGET_SCALAR
#define SPKI_ANY_WORD(w) (w)
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
#define SPKI_LANES 1
#define SPKI_IS_DOUBLE 1
#define SPKI_S d1
#define SPKI_TARGET SPKI_TARGET_SCALAR
#define SPKI_ANY_WORD(w) (w)
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_LANES 4
#define SPKI_TARGET SPKI_TARGET_BASE
/* ---- >>words: Philox4x32-10 for many neurons, at one vector width (pasted once per width) ----
   The 64 neurons of a group share 16 counters: neuron 16 w + l takes word w of counter
   16 group + l, so that a vector of counters gives vectors of neurons without a shuffle. */
#if SPKI_LANES > 1
typedef uint32_t SPKI_CAT(spki_u32x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
typedef uint64_t SPKI_CAT(spki_u64x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_U SPKI_CAT(spki_u32x, SPKI_LANES)
#define SPKI_U2 SPKI_CAT(spki_u64x, SPKI_LANES)
#else
#define SPKI_U uint32_t
#endif

/* The high and low halves of a 32 x 32 bit product, lane by lane. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) SPKI_U
SPKI_CAT(spki_mulhilo_, SPKI_LANES)(SPKI_U a, uint32_t m, SPKI_U *low)
{
#if SPKI_LANES == 1
    const uint64_t p = (uint64_t)a * m;
    *low = (uint32_t)p;
    return (uint32_t)(p >> 32);
#else
    const SPKI_U2 none = {0}, factor = none + (uint64_t)m;
    SPKI_U2 pairs, even, odd;
    memcpy(&pairs, &a, sizeof pairs);
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    even = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)pairs, (__m512i)factor);
    odd = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)(pairs >> 32), (__m512i)factor);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    even = (SPKI_U2)_mm256_mul_epu32((__m256i)pairs, (__m256i)factor);
    odd = (SPKI_U2)_mm256_mul_epu32((__m256i)(pairs >> 32), (__m256i)factor);
#elif SPKI_HAVE_SSE2
    even = (SPKI_U2)_mm_mul_epu32((__m128i)pairs, (__m128i)factor);
    odd = (SPKI_U2)_mm_mul_epu32((__m128i)(pairs >> 32), (__m128i)factor);
#else
    even = (pairs & 0xffffffffu) * factor;
    odd = (pairs >> 32) * factor;
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const SPKI_U2 lo = (odd & 0xffffffffu) | (even << 32);
    const SPKI_U2 hi = (odd >> 32) | ((even >> 32) << 32);
#else
    const SPKI_U2 lo = (even & 0xffffffffu) | (odd << 32);
    const SPKI_U2 hi = (even >> 32) | ((odd >> 32) << 32);
#endif
    SPKI_U high;
    memcpy(low, &lo, sizeof lo);
    memcpy(&high, &hi, sizeof hi);
    return high;
#endif
}

/* Ten rounds for counters c0, c0 + 1, ..: word w of all lanes goes to the w-th pointer. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) void
SPKI_CAT(spki_rounds_, SPKI_LANES)(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                   uint32_t k1, uint32_t *w0, uint32_t *w1, uint32_t *w2,
                                   uint32_t *w3)
{
    const SPKI_U none = {0};
    SPKI_U x0 = none + c0, x1 = none + c1, x2 = none + c2, x3 = none + c3;
#if SPKI_LANES > 1
    static const uint32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    SPKI_U lane;
    memcpy(&lane, count, sizeof lane);
    x0 += lane;
#endif
    for (int round = 0; round < 10; round++) {
        SPKI_U l0, l1;
        const SPKI_U h0 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x0, 0xD2511F53u, &l0);
        const SPKI_U h1 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x2, 0xCD9E8D57u, &l1);
        x0 = h1 ^ x1 ^ k0;
        x1 = l1;
        x2 = h0 ^ x3 ^ k1;
        x3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(w0, &x0, sizeof x0);
    memcpy(w1, &x1, sizeof x1);
    memcpy(w2, &x2, sizeof x2);
    memcpy(w3, &x3, sizeof x3);
}

/* Words for `groups` x 64 neurons; the first group has number `group`. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_words_, SPKI_LANES)(uint32_t *out, size_t groups, uint32_t group, uint64_t step,
                                  uint32_t tag, uint32_t stream, uint64_t seed)
{
    for (size_t g = 0; g < groups; g++) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            uint32_t *to = out + g * 64 + l;
            SPKI_CAT(spki_rounds_, SPKI_LANES)
            ((group + (uint32_t)g) * 16u + l, (uint32_t)step, (uint32_t)(step >> 32) ^ tag, stream,
             (uint32_t)seed, (uint32_t)(seed >> 32), to, to + 16, to + 32, to + 48);
        }
    }
}

/* Words of counters c0 + k, k < n (a multiple of 16 is fastest), four each, in their order. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_fill_, SPKI_LANES)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                                 uint32_t c0, uint32_t n, uint32_t *out)
{
    uint32_t at[4][SPKI_LANES];
    for (uint32_t k = 0; k < n; k += SPKI_LANES) {
        const uint32_t have = n - k < SPKI_LANES ? n - k : SPKI_LANES;
        SPKI_CAT(spki_rounds_, SPKI_LANES)
        (c0 + k, c1, c2, c3, key[0], key[1], at[0], at[1], at[2], at[3]);
        for (uint32_t j = 0; j < have; j++) {
            for (uint32_t w = 0; w < 4; w++) {
                out[(k + j) * 4 + w] = at[w][j];
            }
        }
    }
}

#undef SPKI_U
#undef SPKI_U2
#undef SPKI_LANES
#undef SPKI_TARGET
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 0
#define SPKI_S f4
#define SPKI_TARGET SPKI_TARGET_BASE
#define SPKI_ANY_WORD(w) spki_any_f4(w)
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
#define SPKI_LANES 2
#define SPKI_IS_DOUBLE 1
#define SPKI_S d2
#define SPKI_TARGET SPKI_TARGET_BASE
#define SPKI_ANY_WORD(w) ((w)[0] | (w)[1])
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
#endif

#if SPKI_HAVE_AVX2
#define SPKI_LANES 8
#define SPKI_TARGET SPKI_TARGET_AVX2
/* ---- >>words: Philox4x32-10 for many neurons, at one vector width (pasted once per width) ----
   The 64 neurons of a group share 16 counters: neuron 16 w + l takes word w of counter
   16 group + l, so that a vector of counters gives vectors of neurons without a shuffle. */
#if SPKI_LANES > 1
typedef uint32_t SPKI_CAT(spki_u32x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
typedef uint64_t SPKI_CAT(spki_u64x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_U SPKI_CAT(spki_u32x, SPKI_LANES)
#define SPKI_U2 SPKI_CAT(spki_u64x, SPKI_LANES)
#else
#define SPKI_U uint32_t
#endif

/* The high and low halves of a 32 x 32 bit product, lane by lane. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) SPKI_U
SPKI_CAT(spki_mulhilo_, SPKI_LANES)(SPKI_U a, uint32_t m, SPKI_U *low)
{
#if SPKI_LANES == 1
    const uint64_t p = (uint64_t)a * m;
    *low = (uint32_t)p;
    return (uint32_t)(p >> 32);
#else
    const SPKI_U2 none = {0}, factor = none + (uint64_t)m;
    SPKI_U2 pairs, even, odd;
    memcpy(&pairs, &a, sizeof pairs);
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    even = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)pairs, (__m512i)factor);
    odd = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)(pairs >> 32), (__m512i)factor);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    even = (SPKI_U2)_mm256_mul_epu32((__m256i)pairs, (__m256i)factor);
    odd = (SPKI_U2)_mm256_mul_epu32((__m256i)(pairs >> 32), (__m256i)factor);
#elif SPKI_HAVE_SSE2
    even = (SPKI_U2)_mm_mul_epu32((__m128i)pairs, (__m128i)factor);
    odd = (SPKI_U2)_mm_mul_epu32((__m128i)(pairs >> 32), (__m128i)factor);
#else
    even = (pairs & 0xffffffffu) * factor;
    odd = (pairs >> 32) * factor;
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const SPKI_U2 lo = (odd & 0xffffffffu) | (even << 32);
    const SPKI_U2 hi = (odd >> 32) | ((even >> 32) << 32);
#else
    const SPKI_U2 lo = (even & 0xffffffffu) | (odd << 32);
    const SPKI_U2 hi = (even >> 32) | ((odd >> 32) << 32);
#endif
    SPKI_U high;
    memcpy(low, &lo, sizeof lo);
    memcpy(&high, &hi, sizeof hi);
    return high;
#endif
}

/* Ten rounds for counters c0, c0 + 1, ..: word w of all lanes goes to the w-th pointer. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) void
SPKI_CAT(spki_rounds_, SPKI_LANES)(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                   uint32_t k1, uint32_t *w0, uint32_t *w1, uint32_t *w2,
                                   uint32_t *w3)
{
    const SPKI_U none = {0};
    SPKI_U x0 = none + c0, x1 = none + c1, x2 = none + c2, x3 = none + c3;
#if SPKI_LANES > 1
    static const uint32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    SPKI_U lane;
    memcpy(&lane, count, sizeof lane);
    x0 += lane;
#endif
    for (int round = 0; round < 10; round++) {
        SPKI_U l0, l1;
        const SPKI_U h0 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x0, 0xD2511F53u, &l0);
        const SPKI_U h1 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x2, 0xCD9E8D57u, &l1);
        x0 = h1 ^ x1 ^ k0;
        x1 = l1;
        x2 = h0 ^ x3 ^ k1;
        x3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(w0, &x0, sizeof x0);
    memcpy(w1, &x1, sizeof x1);
    memcpy(w2, &x2, sizeof x2);
    memcpy(w3, &x3, sizeof x3);
}

/* Words for `groups` x 64 neurons; the first group has number `group`. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_words_, SPKI_LANES)(uint32_t *out, size_t groups, uint32_t group, uint64_t step,
                                  uint32_t tag, uint32_t stream, uint64_t seed)
{
    for (size_t g = 0; g < groups; g++) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            uint32_t *to = out + g * 64 + l;
            SPKI_CAT(spki_rounds_, SPKI_LANES)
            ((group + (uint32_t)g) * 16u + l, (uint32_t)step, (uint32_t)(step >> 32) ^ tag, stream,
             (uint32_t)seed, (uint32_t)(seed >> 32), to, to + 16, to + 32, to + 48);
        }
    }
}

/* Words of counters c0 + k, k < n (a multiple of 16 is fastest), four each, in their order. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_fill_, SPKI_LANES)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                                 uint32_t c0, uint32_t n, uint32_t *out)
{
    uint32_t at[4][SPKI_LANES];
    for (uint32_t k = 0; k < n; k += SPKI_LANES) {
        const uint32_t have = n - k < SPKI_LANES ? n - k : SPKI_LANES;
        SPKI_CAT(spki_rounds_, SPKI_LANES)
        (c0 + k, c1, c2, c3, key[0], key[1], at[0], at[1], at[2], at[3]);
        for (uint32_t j = 0; j < have; j++) {
            for (uint32_t w = 0; w < 4; w++) {
                out[(k + j) * 4 + w] = at[w][j];
            }
        }
    }
}

#undef SPKI_U
#undef SPKI_U2
#undef SPKI_LANES
#undef SPKI_TARGET
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 0
#define SPKI_S f8
#define SPKI_TARGET SPKI_TARGET_AVX2
#define SPKI_ANY_WORD(w) spki_any_f8(w)
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
#define SPKI_LANES 4
#define SPKI_IS_DOUBLE 1
#define SPKI_S d4
#define SPKI_TARGET SPKI_TARGET_AVX2
#define SPKI_ANY_WORD(w) spki_any_f4(w)
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
#endif

#if SPKI_HAVE_AVX512
#define SPKI_LANES 16
#define SPKI_TARGET SPKI_TARGET_AVX512
/* ---- >>words: Philox4x32-10 for many neurons, at one vector width (pasted once per width) ----
   The 64 neurons of a group share 16 counters: neuron 16 w + l takes word w of counter
   16 group + l, so that a vector of counters gives vectors of neurons without a shuffle. */
#if SPKI_LANES > 1
typedef uint32_t SPKI_CAT(spki_u32x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
typedef uint64_t SPKI_CAT(spki_u64x, SPKI_LANES) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_U SPKI_CAT(spki_u32x, SPKI_LANES)
#define SPKI_U2 SPKI_CAT(spki_u64x, SPKI_LANES)
#else
#define SPKI_U uint32_t
#endif

/* The high and low halves of a 32 x 32 bit product, lane by lane. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) SPKI_U
SPKI_CAT(spki_mulhilo_, SPKI_LANES)(SPKI_U a, uint32_t m, SPKI_U *low)
{
#if SPKI_LANES == 1
    const uint64_t p = (uint64_t)a * m;
    *low = (uint32_t)p;
    return (uint32_t)(p >> 32);
#else
    const SPKI_U2 none = {0}, factor = none + (uint64_t)m;
    SPKI_U2 pairs, even, odd;
    memcpy(&pairs, &a, sizeof pairs);
#if SPKI_HAVE_SSE2 && SPKI_LANES == 16
    even = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)pairs, (__m512i)factor);
    odd = (SPKI_U2)_mm512_maskz_mul_epu32(0xff, (__m512i)(pairs >> 32), (__m512i)factor);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    even = (SPKI_U2)_mm256_mul_epu32((__m256i)pairs, (__m256i)factor);
    odd = (SPKI_U2)_mm256_mul_epu32((__m256i)(pairs >> 32), (__m256i)factor);
#elif SPKI_HAVE_SSE2
    even = (SPKI_U2)_mm_mul_epu32((__m128i)pairs, (__m128i)factor);
    odd = (SPKI_U2)_mm_mul_epu32((__m128i)(pairs >> 32), (__m128i)factor);
#else
    even = (pairs & 0xffffffffu) * factor;
    odd = (pairs >> 32) * factor;
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const SPKI_U2 lo = (odd & 0xffffffffu) | (even << 32);
    const SPKI_U2 hi = (odd >> 32) | ((even >> 32) << 32);
#else
    const SPKI_U2 lo = (even & 0xffffffffu) | (odd << 32);
    const SPKI_U2 hi = (even >> 32) | ((odd >> 32) << 32);
#endif
    SPKI_U high;
    memcpy(low, &lo, sizeof lo);
    memcpy(&high, &hi, sizeof hi);
    return high;
#endif
}

/* Ten rounds for counters c0, c0 + 1, ..: word w of all lanes goes to the w-th pointer. */
SPKI_TARGET static inline __attribute__((always_inline, unused)) void
SPKI_CAT(spki_rounds_, SPKI_LANES)(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                   uint32_t k1, uint32_t *w0, uint32_t *w1, uint32_t *w2,
                                   uint32_t *w3)
{
    const SPKI_U none = {0};
    SPKI_U x0 = none + c0, x1 = none + c1, x2 = none + c2, x3 = none + c3;
#if SPKI_LANES > 1
    static const uint32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    SPKI_U lane;
    memcpy(&lane, count, sizeof lane);
    x0 += lane;
#endif
    for (int round = 0; round < 10; round++) {
        SPKI_U l0, l1;
        const SPKI_U h0 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x0, 0xD2511F53u, &l0);
        const SPKI_U h1 = SPKI_CAT(spki_mulhilo_, SPKI_LANES)(x2, 0xCD9E8D57u, &l1);
        x0 = h1 ^ x1 ^ k0;
        x1 = l1;
        x2 = h0 ^ x3 ^ k1;
        x3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(w0, &x0, sizeof x0);
    memcpy(w1, &x1, sizeof x1);
    memcpy(w2, &x2, sizeof x2);
    memcpy(w3, &x3, sizeof x3);
}

/* Words for `groups` x 64 neurons; the first group has number `group`. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_words_, SPKI_LANES)(uint32_t *out, size_t groups, uint32_t group, uint64_t step,
                                  uint32_t tag, uint32_t stream, uint64_t seed)
{
    for (size_t g = 0; g < groups; g++) {
        for (uint32_t l = 0; l < 16; l += SPKI_LANES) {
            uint32_t *to = out + g * 64 + l;
            SPKI_CAT(spki_rounds_, SPKI_LANES)
            ((group + (uint32_t)g) * 16u + l, (uint32_t)step, (uint32_t)(step >> 32) ^ tag, stream,
             (uint32_t)seed, (uint32_t)(seed >> 32), to, to + 16, to + 32, to + 48);
        }
    }
}

/* Words of counters c0 + k, k < n (a multiple of 16 is fastest), four each, in their order. */
SPKI_TARGET __attribute__((unused)) static void
SPKI_CAT(spki_fill_, SPKI_LANES)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3,
                                 uint32_t c0, uint32_t n, uint32_t *out)
{
    uint32_t at[4][SPKI_LANES];
    for (uint32_t k = 0; k < n; k += SPKI_LANES) {
        const uint32_t have = n - k < SPKI_LANES ? n - k : SPKI_LANES;
        SPKI_CAT(spki_rounds_, SPKI_LANES)
        (c0 + k, c1, c2, c3, key[0], key[1], at[0], at[1], at[2], at[3]);
        for (uint32_t j = 0; j < have; j++) {
            for (uint32_t w = 0; w < 4; w++) {
                out[(k + j) * 4 + w] = at[w][j];
            }
        }
    }
}

#undef SPKI_U
#undef SPKI_U2
#undef SPKI_LANES
#undef SPKI_TARGET
#define SPKI_LANES 16
#define SPKI_IS_DOUBLE 0
#define SPKI_S f16
#define SPKI_TARGET SPKI_TARGET_AVX512
#define SPKI_ANY_WORD(w) spki_any_f16(w)
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
#define SPKI_LANES 8
#define SPKI_IS_DOUBLE 1
#define SPKI_S d8
#define SPKI_TARGET SPKI_TARGET_AVX512
#define SPKI_ANY_WORD(w) spki_any_f8(w)
/* ---- >>lanes: the engine's own vector loops, for one real type (pasted once per type) ----
   Inputs of a block of `n` neurons, n a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_LOOP SPKI_TARGET __attribute__((unused)) static
#if SPKI_IS_DOUBLE
#define SPKI_E double
#else
#define SPKI_E float
#endif
#if SPKI_LANES > 1
typedef int32_t SPKI_F(spki_word) __attribute__((vector_size(SPKI_LANES * 4)));
#define SPKI_WORD SPKI_F(spki_word)
#define SPKI_TO_REAL(w) __builtin_convertvector(w, SPKI_R)
#define SPKI_COUNT_REACHED(hits, mask) hits -= mask /* lanes of a mask are 0 or -1 */
#else
#define SPKI_WORD int32_t
#define SPKI_TO_REAL(w) ((SPKI_R)(w))
#define SPKI_COUNT_REACHED(hits, mask) hits += mask
#endif

/* out = acc * quantum, and acc = 0 for the next step. */
SPKI_LOOP void SPKI_F(spki_take)(int32_t *acc, void *out, size_t n, double quantum)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0}, q = zero + (SPKI_E)quantum;
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD w;
        memcpy(&w, acc + k, sizeof w);
        const SPKI_R x = SPKI_TO_REAL(w) * q;
        memcpy(to + k, &x, sizeof x);
        memset(acc + k, 0, sizeof w);
    }
}

/* out += add, for whole vectors. */
SPKI_LOOP void SPKI_F(spki_add)(void *out, const void *add, size_t n)
{
    SPKI_NO_CONTRACT
    SPKI_E *to = (SPKI_E *)out;
    const SPKI_E *from = (const SPKI_E *)add;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_R x, y;
        memcpy(&x, to + k, sizeof x);
        memcpy(&y, from + k, sizeof y);
        x = x + y;
        memcpy(to + k, &x, sizeof x);
    }
}

/* out = (base + the number of thresholds that the word reaches) * weight. Words are compared as
   unsigned numbers; `threshold` holds them with the top bit flipped. The first `common` thresholds
   are compared by all, without a branch; the rest while any lane still reaches them. */
SPKI_LOOP void SPKI_F(spki_poisson)(const uint32_t *words, void *out, size_t n,
                                    const spki_poisson_table *table, double weight)
{
    SPKI_NO_CONTRACT
    const int32_t *threshold = table->threshold;
    const uint32_t count = table->count, common = table->common;
    const SPKI_R zero = {0}, w = zero + (SPKI_E)weight;
    const SPKI_WORD none = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u, hits = none + (int32_t)table->base;
        memcpy(&u, words + k, sizeof u);
        u ^= INT32_MIN;
        for (uint32_t t = 0; t < common; t++) {
            SPKI_COUNT_REACHED(hits, u >= (none + threshold[t]));
        }
        for (uint32_t t = common; t < count; t++) {
            const SPKI_WORD reached = u >= (none + threshold[t]);
            if (!SPKI_ANY_WORD(reached)) {
                break;
            }
            SPKI_COUNT_REACHED(hits, reached);
        }
        const SPKI_R x = SPKI_TO_REAL(hits) * w;
        memcpy(to + k, &x, sizeof x);
    }
}

/* Uniform in (0, 1]: (word + 1/2) / 2^32, rounded once. */
SPKI_LOOP void SPKI_F(spki_uniform)(const uint32_t *words, void *out, size_t n)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        const SPKI_R high = SPKI_TO_REAL((u >> 16) & 0xffff), low = SPKI_TO_REAL(u & 0xffff);
        const SPKI_R x = (high * (zero + (SPKI_E)65536.0) + (low + (zero + (SPKI_E)0.5))) *
                         (zero + (SPKI_E)2.3283064365386963e-10);
        memcpy(to + k, &x, sizeof x);
    }
}

/* Standard normal deviates times `sd`, by inverting the distribution function.
   Source: Wichura, Applied Statistics 37:477 (1988), PPND7 (error below 1e-7); a 32-bit word
   reaches 6.3 standard deviations. */
SPKI_LOOP void SPKI_F(spki_normal)(const uint32_t *words, void *out, size_t n, double sd)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    SPKI_E *to = (SPKI_E *)out;
#define SPKI_C(x) (zero + (SPKI_E)(x))
    for (size_t k = 0; k < n; k += SPKI_LANES) {
        SPKI_WORD u;
        memcpy(&u, words + k, sizeof u);
        /* the side from the top bit, the distance from the rest: exact in both tails */
        const SPKI_WORD m = u ^ (u >> 31);
        const SPKI_R tail = (SPKI_TO_REAL((m >> 16) & 0xffff) * SPKI_C(65536.0) +
                             (SPKI_TO_REAL(m & 0xffff) + SPKI_C(0.5))) *
                            SPKI_C(2.3283064365386963e-10); /* in (0, 1/2] */
        const SPKI_R q = SPKI_C(0.5) - tail, r = SPKI_C(0.180625) - q * q;
        const SPKI_R mid =
            q *
            (((SPKI_C(59.109374720) * r + SPKI_C(159.29113202)) * r + SPKI_C(50.434271938)) * r +
             SPKI_C(3.3871327179)) /
            (((SPKI_C(67.187563600) * r + SPKI_C(78.757757664)) * r + SPKI_C(17.895169469)) * r +
             SPKI_C(1.0));
        const SPKI_R s = SPKI_F(spki_sqrt)(-SPKI_F(spki_log)(tail)) - SPKI_C(1.6);
        const SPKI_R wing =
            (((SPKI_C(0.17023821103) * s + SPKI_C(1.3067284816)) * s + SPKI_C(2.7568153900)) * s +
             SPKI_C(1.4234372777)) /
            ((SPKI_C(0.12021132975) * s + SPKI_C(0.73700164250)) * s + SPKI_C(1.0));
        const SPKI_R z = SPKI_F(spki_select)(q <= SPKI_C(0.425), mid, wing) * SPKI_C(sd);
#if SPKI_LANES == 1
        const SPKI_R x = u < 0 ? z : -z;
#else
        const SPKI_R x = SPKI_F(spki_select)(__builtin_convertvector(u < 0, SPKI_I), z, -z);
#endif
        memcpy(to + k, &x, sizeof x);
    }
#undef SPKI_C
}

#undef SPKI_R
#undef SPKI_I
#undef SPKI_F
#undef SPKI_LOOP
#undef SPKI_E
#undef SPKI_WORD
#undef SPKI_TO_REAL
#undef SPKI_ANY_WORD
#undef SPKI_COUNT_REACHED
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

typedef struct spki_lane_ops {
    void (*words)(uint32_t *out, size_t groups, uint32_t group, uint64_t step, uint32_t tag,
                  uint32_t stream, uint64_t seed);
    void (*take)(int32_t *acc, void *out, size_t n, double quantum);
    void (*add)(void *out, const void *add, size_t n);
    void (*poisson)(const uint32_t *words, void *out, size_t n, const spki_poisson_table *table,
                    double weight);
    void (*uniform)(const uint32_t *words, void *out, size_t n);
    void (*normal)(const uint32_t *words, void *out, size_t n, double sd);
    void (*fill)(const uint32_t key[2], uint32_t c1, uint32_t c2, uint32_t c3, uint32_t c0,
                 uint32_t n, uint32_t *out);
} spki_lane_ops;

#define SPKI_OPS(lanes, S)                                                                         \
    {                                                                                              \
        spki_words_##lanes, spki_take_##S, spki_add_##S, spki_poisson_##S, spki_uniform_##S,       \
            spki_normal_##S, spki_fill_##lanes                                                     \
    }

/* For an instruction set and an element of 4 or 8 bytes. */
SPKI_FN const spki_lane_ops *spki_lanes(spk_isa isa, size_t real_size)
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
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>network: what a network is made of, and its errors ---- */

#include <stdarg.h>

/* Limits that keep every index in its type. */
#define SPKI_MAX_NEURONS 0xfffffff0u
#define SPKI_MAX_POPULATIONS 65536u        /* 16 bits of a random number's address */
#define SPKI_MAX_STEPS ((uint64_t)1 << 48) /* and 48 */
#define SPKI_MAX_DELAY 4095u               /* 12 bits of a bucket's header */
#define SPKI_MAX_BUCKET 0xfffffu           /* and 20 for its length */
#define SPKI_TILE_SLOTS 65536u             /* a synapse has 16 bits for its target's accumulator */
#define SPKI_UPDATE_BLOCK 1024u            /* neurons updated at a time: their inputs stay in L1 */
#define SPKI_MAX_SLICE 32u                 /* steps between two meetings of the threads */

/* Streams of random numbers: the fourth word of the Philox counter. */
#define SPKI_STREAM_PROJECTION 0x10000000u
#define SPKI_STREAM_PARAMETER 0x20000000u
#define SPKI_STREAM_DRIVE 0x30000000u
#define SPKI_STREAM_INPUT 0x40000000u
#define SPKI_STREAM_STORAGE 0x50000000u
#define SPKI_STREAM_VALUE 0x60000000u

typedef unsigned long long spki_llu; /* what every printf can print */

typedef struct spki_ids {
    uint32_t first, count; /* neuron ids */
    uint32_t before;       /* neurons of the view in earlier ranges */
} spki_ids;

/* Neurons in ascending order of ids, as ranges that do not touch. */
typedef struct spki_view {
    spki_ids *range;
    uint32_t ranges, size;
} spki_view;

/* A number for each neuron of a population: one, or an array of doubles. */
typedef struct spki_param {
    double uniform;
    double *each; /* NULL: uniform */
} spki_param;

typedef struct spki_spike_list {
    uint64_t *step;
    uint32_t *neuron; /* index in the population */
    size_t count, capacity;
} spki_spike_list;

typedef struct spki_population {
    char *name;
    spk_model model;
    uint32_t first, count; /* neuron ids */
    uint32_t lane;         /* first of its lanes: ids padded to groups of 64 a population */
    uint32_t lanes;
    uint32_t receptors;         /* inputs of the model that synapses reach, in order */
    uint32_t receptor_input[8]; /* receptor -> input */
    double quantum[8];          /* what 1 in an accumulator means */
    spki_param *param;          /* as set */
    spki_param *initial;        /* states, absolute; `each` NULL and uniform NaN: the model's */
    char **real;                /* parameters and derived in the network's precision */
    size_t *real_mask;          /* 0: one block of 64 bytes, ~0: `lanes` of them */
    size_t *real_bytes;
    char **state;         /* lanes elements each */
    double *state_offset; /* 16-bit storage */
    uint32_t part, parts; /* of drives */
    spki_spike_list list;
    double *current;   /* injected, NULL: none */
    double *amount[8]; /* injected input of the coming step, a receptor each */
    uint64_t *forced;  /* spikes injected into the coming step */
    bool has_amount, has_forced;
} spki_population;

typedef struct spki_projection {
    uint32_t source, target; /* views */
    char *receptor;
    spki_proj proj;
    double lo, hi, typical; /* weights */
    bool magnitude, excitatory;
} spki_projection;

typedef enum spki_drive_kind { SPKI_DRIVE_POISSON, SPKI_DRIVE_CURRENT } spki_drive_kind;

typedef struct spki_drive {
    spki_drive_kind kind;
    uint32_t view;
    uint64_t start, stop; /* steps */
    spki_param value;     /* weight or amplitude, by view index */
    spki_param rate;
    char *receptor;
    double noise_sd;
    uint64_t noise_steps;
    spki_poisson_table *table;
    uint32_t tables;
    uint32_t *table_of; /* by view index; NULL: the only one */
} spki_drive;

/* A drive's share of one population. */
typedef struct spki_drive_part {
    uint32_t drive;
    uint32_t first, count; /* neurons of the population */
    uint32_t index;        /* of the first in the drive's view */
    uint32_t receptor_pos, receptor_neg;
    bool magnitude;
} spki_drive_part;

/* The neurons of one population that a tile owns. */
typedef struct spki_piece {
    uint32_t population, first, count; /* neurons of the population, first % 64 == 0 */
    uint32_t lane;                     /* in the tile */
    size_t list_cursor;                /* next of the population's spike list */
} spki_piece;

typedef struct spki_bucket {
    uint32_t at, count; /* words */
} spki_bucket;

#define SPKI_CHUNK_ITEMS 63u
/* Buckets that arrive in the same step, linked in order of the source's spikes. */
typedef struct spki_chunk {
    uint32_t next, count;
    spki_bucket item[SPKI_CHUNK_ITEMS];
} spki_chunk;

/* A set of targets with all their synapses: owned by one thread, so nothing here is shared.
   `words` holds a row a source: the number of buckets, a header each (delay << 20 | synapses),
   then the synapses in order of their delay. A synapse is slot | weight << 16 (16-bit weights) or
   two words. A slot is receptor * lanes + lane. */
typedef struct spki_tile {
    spki_piece *piece;
    uint32_t pieces, lanes, receptors;
    uint32_t first_id, end_id;
    void *acc; /* lanes * receptors, int32 or int64 */
    uint32_t *words;
    size_t words_used, words_capacity;
    uint32_t *row; /* by neuron id: start in `words`; 0: no synapses here */
    uint32_t *indegree;
    uint64_t synapses, buckets;
    uint32_t min_delay, max_delay;
    spki_chunk *chunk;
    uint32_t chunks, free_chunk;
    uint32_t chunks_free;
    uint32_t *head, *tail; /* ring of arrival steps */
    uint8_t *deferred;     /* ring of spike steps whose rows did not fit into the chunks */
    uint32_t deferred_count;
    uint32_t *spike[2]; /* ids, by parity of the slice */
    uint32_t spike_start[2][SPKI_MAX_SLICE + 1];
    uint64_t events, spikes;
} spki_tile;

struct spk_rec_data {
    struct spk_net *net;
    spk_rec_kind kind;
    spk_sink sink;
    uint32_t view, post;
    uint64_t every; /* steps */
    char *state;    /* name of the state or parameter */
    size_t width, capacity;
    spk_rec_fn callback;
    void *ctx;
    char *path;
    FILE *file;
    unsigned char *buffer; /* of the file sink: `buffered` bytes not yet written */
    size_t buffered, buffer_size;
    bool grows;
    void *items; /* memory and ring: spk_spike or rows of doubles */
    size_t count, head, tail;
    uint64_t *row_step;
    double *staging[2];        /* sampled states of a slice */
    uint64_t total, next_step; /* next_step: first step not yet recorded */
    size_t cursor;             /* items of that step already taken */
    uint64_t bin_spikes, start_step;
    spk_digest digest;
    struct spki_synapse_at *synapse; /* weights */
};

/* What one thread needs to update a block of neurons. */
typedef struct spki_scratch {
    const char **param;
    size_t *param_mask;
    char **state;
    const char **input;
    size_t *input_mask;
    char *buffer; /* one block an input, and two more for drives */
    uint32_t *words;
    uint32_t *random; /* 16-bit storage */
    char *zero;       /* 64 bytes */
    double deliver_s, update_s;
    uint8_t pad[64];
} spki_scratch;

/* Steps between two meetings of the threads; parity names the buffers of its spikes. */
typedef struct spki_slice {
    uint64_t first;
    uint32_t steps, parity;
} spki_slice;

/* The largest counts of any model in the network. */
typedef struct spki_extent {
    uint32_t reals, states, inputs;
} spki_extent;

struct spk_net {
    spki_mem mem;
    spk_net_desc desc;
    uint32_t id;
    spk_result status;
    char error[512];
    bool built, running;
    spk_isa isa;
    size_t real_size, state_size;
    spki_view *view;
    uint32_t views, view_capacity;
    spki_population *population;
    uint32_t populations, population_capacity;
    uint32_t neurons, lanes;
    spki_projection *projection;
    uint32_t projections, projection_capacity;
    spki_drive *drive;
    uint32_t drives, drive_capacity;
    spki_drive_part *part;
    uint32_t parts;
    spk_rec *recorder;
    uint32_t recorders, recorder_capacity;
    spki_tile *tile;
    uint32_t tiles;
    uint32_t accumulator_bits, min_delay, max_delay, ring, slice_max;
    uint64_t *history; /* spikes of the last `ring` steps, one bit a lane */
    spki_pool *pool;
    spki_scratch *scratch; /* one a thread */
    spki_extent extent;
    bool stop[2]; /* by parity: a recorder asked to stop */
    spk_result stop_result;
    uint64_t run_end;
    spki_slice slice, next_slice;
    spki_slice pending[2]; /* done, but not yet given to all recorders (steps 0: nothing) */
    spki_barrier barrier;
    uint32_t threads;
    uint64_t step;
    bool profile;
    double build_s, run_s, carry_ms;
};

static const double spki_unset = -1.7976931348623157e308; /* "take the model's own" */

/* Remembers an error: the first while the network is described, the last afterwards. */
__attribute__((format(printf, 3, 4), unused)) static spk_result
spki_fail(spk_net *net, spk_result code, const char *format, ...)
{
    if (!net->built && net->status != SPK_OK) {
        return net->status;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(net->error, sizeof net->error, format, args);
    va_end(args);
    if (!net->built) {
        net->status = code;
    }
    if (net->desc.log) {
        net->desc.log(net->desc.log_ctx, code, net->error);
    }
    return code;
}

/* A call that describes nothing came in vain: says why, and the network stays as good as it was. */
__attribute__((format(printf, 3, 4), unused)) static spk_result
spki_decline(spk_net *net, spk_result code, const char *format, ...)
{
    if (net->status != SPK_OK) {
        return net->status;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(net->error, sizeof net->error, format, args);
    va_end(args);
    if (net->desc.log) {
        net->desc.log(net->desc.log_ctx, code, net->error);
    }
    return code;
}

/* Callbacks of recorders may not change the network that is calling them. */
SPKI_FN spk_result spki_may_change(spk_net *net, const char *call)
{
    return net->running
               ? spki_decline(net, SPK_ERR_STATE,
                              "%s: the network is running (this is a callback of it)", call)
               : SPK_OK;
}

SPKI_FN spk_result spki_no_memory(spk_net *net, const char *what)
{
    return spki_fail(net, SPK_ERR_OUT_OF_MEMORY, "no memory for %s (%llu bytes in use%s)", what,
                     (spki_llu)net->mem.now, net->mem.limit ? ", a limit is set" : "");
}

/* Makes room for one more item of a growing array. */
SPKI_FN bool spki_grow(spki_mem *mem, void **items, uint32_t used, uint32_t *capacity, size_t size)
{
    if (used < *capacity) {
        return true;
    }
    const uint32_t more = *capacity ? *capacity * 2 : 8;
    void *grown = spki_alloc(mem, more, size);
    if (!grown) {
        return false;
    }
    if (*items) {
        memcpy(grown, *items, (size_t)used * size);
        spki_free(mem, *items, *capacity, size);
    }
    *items = grown;
    *capacity = more;
    return true;
}

SPKI_FN char *spki_copy_string(spki_mem *mem, const char *text)
{
    const size_t n = strlen(text) + 1;
    char *copy = (char *)spki_alloc(mem, n, 1);
    if (copy) {
        memcpy(copy, text, n);
    }
    return copy;
}

SPKI_FN void spki_free_string(spki_mem *mem, char *text)
{
    if (text) {
        spki_free(mem, text, strlen(text) + 1, 1);
    }
}

SPKI_FN void spki_free_param(spki_mem *mem, spki_param *param, size_t count)
{
    spki_free(mem, param->each, count, sizeof(double));
    param->each = NULL;
}

/* -- views -- */

SPKI_FN const spki_view *spki_view_of(const spk_net *net, spk_pop pop)
{
    return pop.net == net->id && pop.index >= 1 && pop.index <= net->views
               ? &net->view[pop.index - 1]
               : NULL;
}

/* The last range that begins at or before element `index`. */
SPKI_FN uint32_t spki_view_range(const spki_view *view, uint32_t index)
{
    uint32_t lo = 0, hi = view->ranges;
    while (hi - lo > 1) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (view->range[mid].before <= index) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* The id of element `index`, and back (UINT32_MAX: not in the view). */
SPKI_FN uint32_t spki_view_id(const spki_view *view, uint32_t index)
{
    if (index >= view->size) {
        return UINT32_MAX;
    }
    const spki_ids r = view->range[spki_view_range(view, index)];
    return r.first + (index - r.before);
}

/* How many neurons of the view have ids below `id`. */
SPKI_FN uint32_t spki_view_below(const spki_view *view, uint32_t id)
{
    uint32_t lo = 0, hi = view->ranges;
    while (lo < hi) { /* ranges that begin below id */
        const uint32_t mid = lo + (hi - lo) / 2;
        if (view->range[mid].first < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == 0) {
        return 0;
    }
    const spki_ids r = view->range[lo - 1];
    return r.before + SPKI_MIN(r.count, id - r.first);
}

SPKI_FN uint32_t spki_view_index(const spki_view *view, uint32_t id)
{
    const uint32_t below = spki_view_below(view, id);
    return below < view->size && spki_view_id(view, below) == id ? below : UINT32_MAX;
}

/* Does the view hold neurons of the population? */
SPKI_FN bool spki_view_meets(const spki_view *view, const spki_population *pop)
{
    return spki_view_below(view, pop->first + pop->count) > spki_view_below(view, pop->first);
}

SPKI_FN uint32_t spki_population_of(const spk_net *net, uint32_t id)
{
    uint32_t lo = 0, hi = net->populations;
    while (hi - lo > 1) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (net->population[mid].first <= id) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* The name a view is called by in errors: of the population it begins in. */
SPKI_FN const char *spki_view_name(const spk_net *net, const spki_view *view)
{
    return view->size ? net->population[spki_population_of(net, view->range[0].first)].name
                      : "(empty)";
}

SPKI_FN int spki_find_field(const spki_model_field *field, uint32_t count, const char *name)
{
    for (uint32_t k = 0; k < count; k++) {
        if (strcmp(field[k].name, name) == 0) {
            return (int)k;
        }
    }
    return -1;
}

/* The receptor of a name, or -1. */
SPKI_FN int spki_find_receptor(const spki_population *pop, const char *name)
{
    for (uint32_t r = 0; r < pop->receptors; r++) {
        if (strcmp(pop->model->input[pop->receptor_input[r]].name, name) == 0) {
            return (int)r;
        }
    }
    return -1;
}

/* Which receptors positive and negative weights reach, and whether as magnitudes. */
SPKI_FN spk_result spki_resolve_receptor(spk_net *net, const spki_population *pop, const char *name,
                                         uint32_t *pos, uint32_t *neg, bool *magnitude)
{
    *pos = *neg = 0;
    *magnitude = false;
    if (pop->receptors == 0) {
        return spki_fail(net, SPK_ERR_NAME, "\"%s\" (%s) takes no synaptic input", pop->name,
                         pop->model->name);
    }
    if (name) {
        const int r = spki_find_receptor(pop, name);
        if (r < 0) {
            return spki_fail(
                net, SPK_ERR_NAME, "\"%s\" (%s) has no receptor \"%s\"; it has \"%s\"%s%s%s",
                pop->name, pop->model->name, name, pop->model->input[pop->receptor_input[0]].name,
                pop->receptors > 1 ? ", \"" : "",
                pop->receptors > 1 ? pop->model->input[pop->receptor_input[1]].name : "",
                pop->receptors > 1 ? "\"" : "");
        }
        *pos = *neg = (uint32_t)r;
        *magnitude = pop->model->input[pop->receptor_input[r]].value > 0.5;
        return SPK_OK;
    }
    for (uint32_t r = 0; r < pop->receptors; r++) {
        const double kind = pop->model->input[pop->receptor_input[r]].value;
        if (kind < 0.5) { /* SPK_DELTA takes both */
            *pos = *neg = r;
            return SPK_OK;
        }
    }
    *magnitude = true;
    for (uint32_t r = pop->receptors; r-- > 0;) {
        const double kind = pop->model->input[pop->receptor_input[r]].value;
        *(kind < 1.5 ? pos : neg) = r;
    }
    return SPK_OK;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>describe: populations, views, projections and drives, before building ---- */

/* What is wrong with a descriptor that has its defaults; `why` is left alone where nothing is. */
SPKI_FN spk_result spki_desc_fault(const spk_net_desc *d, char *why, size_t size)
{
    if (!(d->dt_ms > 0.0) || !spki_finite(d->dt_ms) || d->dt_ms > 1000.0) {
        return spki_because(SPK_ERR_RANGE, why, size,
                            "dt_ms = %g is not a step (0 < dt_ms <= 1000)", d->dt_ms);
    }
    if (d->threads > 1024) {
        return spki_because(SPK_ERR_RANGE, why, size, "threads = %u is more than 1,024",
                            d->threads);
    }
    if ((int)d->precision < 0 || d->precision > SPK_FLOAT16) {
        return spki_because(SPK_ERR_RANGE, why, size, "precision = %d is none", (int)d->precision);
    }
    if (d->weight_bits != 16 && d->weight_bits != 32) {
        return spki_because(SPK_ERR_RANGE, why, size, "weight_bits = %u is neither 16 nor 32",
                            d->weight_bits);
    }
    if (d->max_delay_steps > SPKI_MAX_DELAY) {
        return spki_because(SPK_ERR_RANGE, why, size, "max_delay_steps = %u is more than %u",
                            d->max_delay_steps, SPKI_MAX_DELAY);
    }
    if ((int)d->isa < 0 || d->isa > SPK_ISA_GENERIC) {
        return spki_because(SPK_ERR_NAME, why, size, "isa = %d is no instruction set", (int)d->isa);
    }
    return SPK_OK;
}

SPKI_FN void spki_fill_desc(spk_net_desc *d)
{
    d->threads = d->threads ? d->threads : 1;
    d->dt_ms = d->dt_ms == 0.0 ? 0.1 : d->dt_ms;
    d->weight_bits = d->weight_bits ? d->weight_bits : 16;
    d->max_delay_steps = d->max_delay_steps ? d->max_delay_steps : 1024;
}

SPIKELIB_API spk_result spk_net_desc_defaults(spk_net_desc *desc)
{
    if (!desc) {
        return SPK_ERR_NULL;
    }
    if (desc->begin_sentinel || desc->end_sentinel) {
        return SPK_ERR_UNINITIALISED;
    }
    spk_net_desc d = *desc;
    spki_fill_desc(&d);
    const spk_result result = spki_desc_fault(&d, NULL, 0);
    if (result == SPK_OK) {
        *desc = d;
    }
    return result;
}

SPKI_FN spk_result spki_check_desc(spk_net *net)
{
    char fault[120];
    const char *why = "";
    spk_result result = spki_desc_fault(&net->desc, fault, sizeof fault);
    if (result != SPK_OK) {
        return spki_fail(net, result, "create: %s", fault);
    }
    result = spki_isa_resolve(net->desc.isa, &net->isa, &why);
    if (result == SPK_ERR_NAME) {
        return spki_fail(net, result, "create: \"%s\": %s", getenv("SPIKELIB_ISA"), why);
    }
    if (result != SPK_OK) {
        return spki_fail(net, result, "create: instruction set \"%s\": %s", spk_isa_name(net->isa),
                         why);
    }
    return SPK_OK;
}

/* Tells networks apart, so that a handle of another one, or of one that is gone, is refused. */
SPKI_FN uint32_t spki_net_tag(const spk_net *net)
{
    const uint64_t parts[2] = {(uint64_t)(uintptr_t)net, (uint64_t)(spk_clock_seconds() * 1e9)};
    const uint32_t tag = (uint32_t)spk_xxh64(parts, sizeof parts, 0);
    return tag ? tag : 1;
}

SPIKELIB_API spk_net *spk_net_create(const spk_net_desc *desc)
{
    spk_net_desc d;
    spki_mem mem;
    memset(&d, 0, sizeof d);
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    if (desc && !garbage) {
        d = *desc;
    }
    spki_mem_init(&mem, &d.allocator, d.memory_limit);
    spk_net *net = (spk_net *)spki_alloc(&mem, 1, sizeof *net);
    if (!net) {
        return NULL;
    }
    net->mem = mem;
    net->desc = d;
    net->id = spki_net_tag(net);
    spki_fill_desc(&net->desc);
    net->threads = net->desc.threads;
    if (garbage) {
        (void)spki_fail(net, SPK_ERR_UNINITIALISED,
                        "the descriptor's sentinels are not 0: start it with = {0}");
    } else {
        (void)spki_check_desc(net);
    }
    net->real_size = net->desc.precision == SPK_FLOAT64 ? 8 : 4;
    net->state_size = net->desc.precision == SPK_FLOAT64   ? 8
                      : net->desc.precision == SPK_FLOAT32 ? 4
                                                           : 2;
    return net;
}

SPIKELIB_API const char *spk_net_error(const spk_net *net)
{
    return net ? net->error : "the network is NULL (there was no memory to create it)";
}

SPIKELIB_API spk_result spk_net_status(const spk_net *net)
{
    return net ? net->status : SPK_ERR_NULL;
}

/* Builder calls: do nothing after an error, and not on a network that is built. */
SPKI_FN spk_result spki_may_describe(spk_net *net, const char *call)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (net->status != SPK_OK) {
        return net->status;
    }
    if (net->built) {
        return spki_fail(net, SPK_ERR_STATE, "%s: the network is already built", call);
    }
    return SPK_OK;
}

/* -- views -- */

/* Takes over `range` (of `capacity` elements), freeing it on failure. */
SPKI_FN spk_pop spki_add_view(spk_net *net, const spki_ids *range, uint32_t ranges)
{
    spk_pop none = {0, 0};
    void *items = net->view;
    if (!spki_grow(&net->mem, &items, net->views, &net->view_capacity, sizeof *net->view)) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    net->view = (spki_view *)items;
    spki_view *view = &net->view[net->views];
    view->range = (spki_ids *)spki_alloc(&net->mem, ranges, sizeof *range);
    if (!view->range) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    view->ranges = ranges;
    view->size = 0;
    for (uint32_t k = 0; k < ranges; k++) {
        view->range[k] = range[k];
        view->range[k].before = view->size;
        view->size += range[k].count;
    }
    net->views++;
    spk_pop pop = {net->id, net->views};
    return pop;
}

SPKI_FN const spki_view *spki_check_view(spk_net *net, spk_pop pop, const char *call)
{
    const spki_view *view = spki_view_of(net, pop);
    if (spki_may_change(net, call) != SPK_OK) {
        return NULL;
    }
    if (!view) {
        (void)spki_fail(net, SPK_ERR_HANDLE,
                        pop.net == 0         ? "%s: no population given"
                        : pop.net != net->id ? "%s: the population belongs to another network"
                                             : "%s: the network has no population of that handle",
                        call);
    }
    return view;
}

SPIKELIB_API spk_pop spk_net_slice(spk_net *net, spk_pop pop, size_t first, size_t count)
{
    spk_pop none = {0, 0};
    const spki_view *view =
        net && (net->status == SPK_OK) ? spki_check_view(net, pop, "slice") : NULL;
    if (!view) {
        return none;
    }
    if (first > view->size || count > view->size - first) {
        (void)spki_fail(net, SPK_ERR_RANGE, "slice of \"%s\": neurons %llu .. %llu of %u",
                        spki_view_name(net, view), (spki_llu)first, (spki_llu)(first + count),
                        view->size);
        return none;
    }
    spki_ids *range = (spki_ids *)spki_alloc(&net->mem, view->ranges + 1, sizeof *range);
    if (!range) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    uint32_t ranges = 0, skip = (uint32_t)first, left = (uint32_t)count;
    for (uint32_t k = 0; k < view->ranges && left; k++) {
        const spki_ids r = view->range[k];
        const uint32_t s = SPKI_MIN(skip, r.count), n = SPKI_MIN(left, r.count - s);
        skip -= s;
        left -= n;
        if (n) {
            range[ranges].first = r.first + s;
            range[ranges++].count = n;
        }
    }
    const uint32_t allocated = view->ranges + 1;
    const spk_pop result = spki_add_view(net, range, ranges);
    spki_free(&net->mem, range, allocated, sizeof *range);
    return result;
}

SPIKELIB_API spk_pop spk_net_union(spk_net *net, spk_pop a, spk_pop b)
{
    spk_pop none = {0, 0};
    const spki_view *va = net && net->status == SPK_OK ? spki_check_view(net, a, "union") : NULL;
    const spki_view *vb = va ? spki_check_view(net, b, "union") : NULL;
    if (!vb) {
        return none;
    }
    const uint32_t most = va->ranges + vb->ranges;
    spki_ids *range = (spki_ids *)spki_alloc(&net->mem, most, sizeof *range);
    if (!range) {
        (void)spki_no_memory(net, "a view");
        return none;
    }
    uint32_t ranges = 0, i = 0, j = 0;
    while (i < va->ranges || j < vb->ranges) {
        const bool from_a =
            j == vb->ranges || (i < va->ranges && va->range[i].first <= vb->range[j].first);
        const spki_ids r = from_a ? va->range[i++] : vb->range[j++];
        if (ranges && r.first <= range[ranges - 1].first + range[ranges - 1].count) {
            const uint32_t end =
                SPKI_MAX(range[ranges - 1].first + range[ranges - 1].count, r.first + r.count);
            range[ranges - 1].count = end - range[ranges - 1].first;
        } else {
            range[ranges++] = r;
        }
    }
    const spk_pop result = spki_add_view(net, range, ranges);
    spki_free(&net->mem, range, most, sizeof *range);
    return result;
}

SPIKELIB_API size_t spk_net_pop_size(const spk_net *net, spk_pop pop)
{
    const spki_view *view = net ? spki_view_of(net, pop) : NULL;
    return view ? view->size : 0;
}

SPIKELIB_API uint32_t spk_net_pop_id(const spk_net *net, spk_pop pop, size_t index)
{
    const spki_view *view = net ? spki_view_of(net, pop) : NULL;
    return view && index < view->size ? spki_view_id(view, (uint32_t)index) : UINT32_MAX;
}

/* -- populations -- */

SPKI_FN bool spki_begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* What any number of the host's must be: finite, also in the network's precision. */
SPKI_FN const char *spki_number_fault(const spk_net *net, double x)
{
    if (!spki_finite(x)) {
        return "is not a finite number";
    }
    return net->real_size == 4 && !(x >= -3.4e38 && x <= 3.4e38) ? "exceeds 32-bit floats" : NULL;
}

/* What a parameter may be, by its name: see the top of >>models. */
SPKI_FN const char *spki_param_fault(const char *name, double x)
{
    if (!spki_finite(x)) {
        return "is not a finite number";
    }
    if ((spki_begins_with(name, "tau") || spki_begins_with(name, "c_m") ||
         spki_begins_with(name, "delta_t")) &&
        !(x > 0.0)) {
        return "must be positive";
    }
    if ((spki_begins_with(name, "t_ref") || spki_begins_with(name, "substeps") ||
         spki_begins_with(name, "rate")) &&
        !(x >= 0.0 && x <= 1e6)) {
        return "must lie within 0 and 1e6";
    }
    return NULL;
}

/* Draws a value for each neuron; equal ones become one. */
SPKI_FN spk_result spki_draw_param(spk_net *net, const spki_population *pop, const char *name,
                                   const spk_value *value, uint32_t stream, bool is_state,
                                   spki_param *out)
{
    char why[200] = "";
    const bool one = value->kind == SPK_VALUE_CONSTANT;
    const size_t n = one ? 1 : pop->count;
    double *each = (double *)spki_alloc(&net->mem, n, sizeof *each);
    if (!each) {
        return spki_no_memory(net, name);
    }
    spk_result result = spki_value_sample(value, n, net->desc.seed, stream, each, why, sizeof why);
    bool same = true;
    if (result != SPK_OK) {
        (void)spki_fail(net, result, "\"%s\": %s %s", pop->name, name, why);
    }
    for (size_t k = 0; k < n && result == SPK_OK; k++) {
        const char *fault = spki_number_fault(net, each[k]);
        if (!fault && !is_state) {
            fault = spki_param_fault(name, each[k]);
        }
        if (fault) {
            result = spki_fail(net, SPK_ERR_RANGE, "\"%s\": %s = %g of neuron %llu %s", pop->name,
                               name, each[k], (spki_llu)k, fault);
        }
        same = same && each[k] == each[0];
    }
    if (result == SPK_OK) {
        spki_free_param(&net->mem, out, pop->count);
        out->uniform = n ? each[0] : out->uniform; /* of nobody: what is derived stays sound */
        out->each = same ? NULL : each;
    }
    if (same || result != SPK_OK) {
        spki_free(&net->mem, each, n, sizeof *each);
    }
    return result;
}

SPKI_FN spk_result spki_unknown_name(spk_net *net, const spki_population *pop, const char *name)
{
    char list[320];
    spki_text text = {list, sizeof list, 0};
    list[0] = 0;
    for (uint32_t k = 0; k < pop->model->param_count; k++) {
        spki_text_add(&text, " ");
        spki_text_add(&text, pop->model->param[k].name);
    }
    spki_text_add(&text, "; states");
    for (uint32_t k = 0; k < pop->model->state_count; k++) {
        spki_text_add(&text, " ");
        spki_text_add(&text, pop->model->state[k].name);
    }
    return spki_fail(net, SPK_ERR_NAME, "\"%s\" (%s) has no \"%s\"; parameters%s", pop->name,
                     pop->model->name, name, list);
}

SPKI_FN spk_result spki_set_one(spk_net *net, spki_population *pop, uint32_t number,
                                const spk_set *set)
{
    const int p = spki_find_field(pop->model->param, pop->model->param_count, set->name);
    const int s = spki_find_field(pop->model->state, pop->model->state_count, set->name);
    if (p < 0 && s < 0) {
        return spki_unknown_name(net, pop, set->name);
    }
    if (set->value.kind == SPK_VALUE_DEFAULT) {
        return SPK_OK;
    }
    const uint32_t item = p >= 0 ? (uint32_t)p : 128u + (uint32_t)s;
    return spki_draw_param(net, pop, set->name, &set->value,
                           SPKI_STREAM_PARAMETER | (number << 8) | item, p < 0,
                           p >= 0 ? &pop->param[p] : &pop->initial[s]);
}

SPKI_FN void spki_free_population(spk_net *net, spki_population *pop)
{
    spki_mem *mem = &net->mem;
    const spk_model model = pop->model;
    const uint32_t params = model->param_count, reals = params + model->derived_count;
    for (uint32_t k = 0; pop->param && k < params; k++) {
        spki_free_param(mem, &pop->param[k], pop->count);
    }
    for (uint32_t k = 0; pop->initial && k < model->state_count; k++) {
        spki_free_param(mem, &pop->initial[k], pop->count);
    }
    for (uint32_t k = 0; pop->real && pop->real_bytes && k < reals; k++) {
        spki_free(mem, pop->real[k], pop->real_bytes[k], 1);
    }
    for (uint32_t k = 0; pop->state && k < model->state_count; k++) {
        spki_free(mem, pop->state[k], pop->lanes, net->state_size);
    }
    spki_free(mem, pop->param, params, sizeof *pop->param);
    spki_free(mem, pop->initial, model->state_count, sizeof *pop->initial);
    spki_free(mem, pop->real, reals, sizeof *pop->real);
    spki_free(mem, pop->real_mask, reals, sizeof *pop->real_mask);
    spki_free(mem, pop->real_bytes, reals, sizeof *pop->real_bytes);
    spki_free(mem, pop->state, model->state_count, sizeof *pop->state);
    spki_free(mem, pop->state_offset, model->state_count, sizeof *pop->state_offset);
    spki_free(mem, pop->list.step, pop->list.capacity, sizeof *pop->list.step);
    spki_free(mem, pop->list.neuron, pop->list.capacity, sizeof *pop->list.neuron);
    spki_free(mem, pop->current, pop->count, sizeof *pop->current);
    for (uint32_t r = 0; r < 8; r++) {
        spki_free(mem, pop->amount[r], pop->count, sizeof(double));
    }
    spki_free(mem, pop->forced, pop->lanes / SPKI_GROUP, sizeof *pop->forced);
    spki_free_string(mem, pop->name);
    memset(pop, 0, sizeof *pop);
}

/* Allocates the arrays of pointers and fills in the model's defaults. */
SPKI_FN spk_result spki_init_population(spk_net *net, spki_population *pop)
{
    spki_mem *mem = &net->mem;
    const spk_model model = pop->model;
    const uint32_t params = model->param_count, reals = params + model->derived_count;
    pop->param = (spki_param *)spki_alloc(mem, params, sizeof *pop->param);
    pop->initial = (spki_param *)spki_alloc(mem, model->state_count, sizeof *pop->initial);
    pop->real = (char **)spki_alloc(mem, reals, sizeof *pop->real);
    pop->real_mask = (size_t *)spki_alloc(mem, reals, sizeof *pop->real_mask);
    pop->real_bytes = (size_t *)spki_alloc(mem, reals, sizeof *pop->real_bytes);
    pop->state = (char **)spki_alloc(mem, model->state_count, sizeof *pop->state);
    pop->state_offset = (double *)spki_alloc(mem, model->state_count, sizeof(double));
    if (!pop->param || !pop->initial || !pop->real || !pop->real_mask || !pop->real_bytes ||
        !pop->state || !pop->state_offset || !pop->name) {
        return spki_no_memory(net, "a population");
    }
    for (uint32_t k = 0; k < params; k++) {
        pop->param[k].uniform = model->param[k].value;
    }
    for (uint32_t k = 0; k < model->state_count; k++) {
        pop->initial[k].uniform = spki_unset;
    }
    for (uint32_t k = 0; k < model->input_count; k++) {
        if (model->input[k].value < 2.5 && pop->receptors < 8) {
            pop->receptor_input[pop->receptors++] = k;
        }
    }
    return SPK_OK;
}

SPIKELIB_API spk_pop spk_net_add(spk_net *net, const char *name, size_t count, spk_model model,
                                 const spk_set *set)
{
    const spk_pop none = {0, 0};
    if (spki_may_describe(net, "add") != SPK_OK) {
        return none;
    }
    if (!name || !model) {
        (void)spki_fail(net, SPK_ERR_NULL, "add: the %s is NULL", name ? "model" : "name");
        return none;
    }
    if (net->populations == SPKI_MAX_POPULATIONS) {
        (void)spki_fail(net, SPK_ERR_RANGE, "add \"%s\": a network has at most %u populations",
                        name, SPKI_MAX_POPULATIONS);
        return none;
    }
    if (count > SPKI_MAX_NEURONS - net->neurons || count > 0xffffff00u - net->lanes) {
        (void)spki_fail(net, SPK_ERR_RANGE,
                        "add \"%s\": %llu neurons are more than ids can tell apart", name,
                        (spki_llu)count);
        return none;
    }
    void *items = net->population;
    if (!spki_grow(&net->mem, &items, net->populations, &net->population_capacity,
                   sizeof *net->population)) {
        (void)spki_no_memory(net, "a population");
        return none;
    }
    net->population = (spki_population *)items;
    spki_population *pop = &net->population[net->populations];
    memset(pop, 0, sizeof *pop);
    pop->model = model;
    pop->first = net->neurons;
    pop->count = (uint32_t)count;
    pop->lane = net->lanes;
    pop->lanes = (pop->count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP;
    pop->name = spki_copy_string(&net->mem, name);
    spk_result result = spki_init_population(net, pop);
    for (uint32_t k = 0; result == SPK_OK && set && set[k].name; k++) {
        result = spki_set_one(net, pop, net->populations, &set[k]);
    }
    const spki_ids range = {pop->first, pop->count, 0};
    const spk_pop view = result == SPK_OK ? spki_add_view(net, &range, count ? 1 : 0) : none;
    if (!view.index) {
        spki_free_population(net, pop);
        return none;
    }
    net->populations++;
    net->neurons += pop->count;
    net->lanes += pop->lanes;
    return view;
}

/* -- projections -- */

typedef struct spki_self_context {
    const spki_view *source, *target;
} spki_self_context;

/* Index in the target view of the neuron that is `source` in the source view. */
SPKI_FN uint32_t spki_self_of(const void *ctx, uint32_t source)
{
    const spki_self_context *views = (const spki_self_context *)ctx;
    return spki_view_index(views->target, spki_view_id(views->source, source));
}

/* All populations under a target view must take the projection's weights the same way. */
SPKI_FN spk_result spki_check_targets(spk_net *net, const spki_view *target, const char *receptor,
                                      bool *magnitude)
{
    bool first = true;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        if (spki_view_below(target, pop->first + pop->count) ==
            spki_view_below(target, pop->first)) {
            continue;
        }
        uint32_t pos, neg;
        bool m;
        const spk_result result = spki_resolve_receptor(net, pop, receptor, &pos, &neg, &m);
        if (result != SPK_OK) {
            return result;
        }
        if (!first && m != *magnitude) {
            return spki_fail(
                net, SPK_ERR_UNSUPPORTED,
                "\"%s\" and other targets take weights differently; connect them apart", pop->name);
        }
        *magnitude = m;
        first = false;
    }
    return SPK_OK;
}

/* The size of weight that a projection is about: what 16 bits have to resolve. 0: not known. */
SPKI_FN double spki_typical_weight(const spk_value *w)
{
    double smallest = 0.0;
    switch (w->kind) {
    case SPK_VALUE_CONSTANT:
        return w->a < 0.0 ? -w->a : w->a;
    case SPK_VALUE_UNIFORM:
        return SPKI_MAX(w->b, -w->a);
    case SPK_VALUE_NORMAL:
        return SPKI_MAX(w->a < 0.0 ? -w->a : w->a, w->b);
    case SPK_VALUE_LOGNORMAL:
        return spk_exp(w->a);
    case SPK_VALUE_ARRAY:
        for (size_t k = 0; k < w->count; k++) {
            const double x = w->array[k] < 0.0 ? -w->array[k] : w->array[k];
            smallest = x > 0.0 && (smallest == 0.0 || x < smallest) ? x : smallest;
        }
        return smallest;
    default:
        return 0.0;
    }
}

SPIKELIB_API spk_result spk_net_connect(spk_net *net, spk_pop source, spk_pop target,
                                        const spk_conn_desc *desc)
{
    spk_conn_desc none;
    spk_result result = spki_may_describe(net, "connect");
    if (result != SPK_OK) {
        return result;
    }
    memset(&none, 0, sizeof none);
    desc = desc ? desc : &none;
    if (desc->begin_sentinel || desc->end_sentinel) {
        return spki_fail(net, SPK_ERR_UNINITIALISED,
                         "connect: the descriptor's sentinels are not 0: start it with = {0}");
    }
    const spki_view *vs = spki_check_view(net, source, "connect");
    const spki_view *vt = vs ? spki_check_view(net, target, "connect") : NULL;
    if (!vt) {
        return net->status;
    }
    void *items = net->projection;
    if (!spki_grow(&net->mem, &items, net->projections, &net->projection_capacity,
                   sizeof *net->projection)) {
        return spki_no_memory(net, "a projection");
    }
    net->projection = (spki_projection *)items;
    spki_projection *p = &net->projection[net->projections];
    memset(p, 0, sizeof *p);
    result = spki_check_targets(net, vt, desc->receptor, &p->magnitude);
    if (result != SPK_OK) {
        return result;
    }
    char why[256] = "";
    const spki_self_context self = {vs, vt};
    result = spki_proj_create(
        &net->mem, &p->proj, desc, vs->size, vt->size, net->desc.dt_ms, net->desc.max_delay_steps,
        net->desc.seed, SPKI_STREAM_PROJECTION | net->projections, source.index == target.index,
        spki_self_of, &self, spki_lanes(net->isa, 4)->fill, why, sizeof why);
    if (result != SPK_OK) {
        return result == SPK_ERR_OUT_OF_MEMORY
                   ? spki_no_memory(net, "a projection")
                   : spki_fail(net, result, "connect \"%s\" -> \"%s\": %s", spki_view_name(net, vs),
                               spki_view_name(net, vt), why);
    }
    p->typical = spki_typical_weight(&desc->weight);
    p->source = source.index - 1;
    p->target = target.index - 1;
    if (desc->receptor && !(p->receptor = spki_copy_string(&net->mem, desc->receptor))) {
        spki_proj_destroy(&net->mem, &p->proj);
        return spki_no_memory(net, "a projection");
    }
    net->projections++;
    return SPK_OK;
}

/* -- spike lists -- */

SPKI_FN spk_result spki_list_reserve(spk_net *net, spki_spike_list *list, size_t more)
{
    if (more <= list->capacity - list->count) {
        return SPK_OK;
    }
    const size_t capacity = SPKI_MAX(list->capacity * 2, list->count + more);
    uint64_t *step = (uint64_t *)spki_alloc(&net->mem, capacity, sizeof *step);
    uint32_t *neuron = (uint32_t *)spki_alloc(&net->mem, capacity, sizeof *neuron);
    if (!step || !neuron) {
        spki_free(&net->mem, step, capacity, sizeof *step);
        spki_free(&net->mem, neuron, capacity, sizeof *neuron);
        return spki_no_memory(net, "a spike list");
    }
    if (list->count) {
        memcpy(step, list->step, list->count * sizeof *step);
        memcpy(neuron, list->neuron, list->count * sizeof *neuron);
    }
    spki_free(&net->mem, list->step, list->capacity, sizeof *step);
    spki_free(&net->mem, list->neuron, list->capacity, sizeof *neuron);
    list->step = step;
    list->neuron = neuron;
    list->capacity = capacity;
    return SPK_OK;
}

/* Heap sort by (step, neuron): in place, no worst case. */
SPKI_FN void spki_list_sift(spki_spike_list *list, size_t k, size_t n)
{
    for (;;) {
        size_t big = 2 * k + 1;
        if (big >= n) {
            return;
        }
        const size_t other = big + 1;
        if (other < n &&
            (list->step[other] > list->step[big] ||
             (list->step[other] == list->step[big] && list->neuron[other] > list->neuron[big]))) {
            big = other;
        }
        if (list->step[k] > list->step[big] ||
            (list->step[k] == list->step[big] && list->neuron[k] >= list->neuron[big])) {
            return;
        }
        const uint64_t s = list->step[k];
        const uint32_t m = list->neuron[k];
        list->step[k] = list->step[big];
        list->neuron[k] = list->neuron[big];
        list->step[big] = s;
        list->neuron[big] = m;
        k = big;
    }
}

SPKI_FN void spki_list_sort(spki_spike_list *list)
{
    const size_t n = list->count;
    for (size_t k = n / 2; k-- > 0;) {
        spki_list_sift(list, k, n);
    }
    for (size_t k = n; k-- > 1;) {
        const uint64_t s = list->step[0];
        const uint32_t m = list->neuron[0];
        list->step[0] = list->step[k];
        list->neuron[0] = list->neuron[k];
        list->step[k] = s;
        list->neuron[k] = m;
        spki_list_sift(list, 0, k);
    }
}

/* Drops what has been played, so that a list that is fed as the network runs stays short. */
SPKI_FN void spki_list_forget(const spk_net *net, spki_spike_list *list)
{
    size_t played = 0;
    while (played < list->count && list->step[played] <= net->step) {
        played++;
    }
    if (played) {
        list->count -= played;
        memmove(list->step, list->step + played, list->count * sizeof *list->step);
        memmove(list->neuron, list->neuron + played, list->count * sizeof *list->neuron);
    }
}

SPIKELIB_API spk_result spk_net_spike_list(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                           const double *times_ms, size_t count)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (net->status != SPK_OK) {
        return net->status;
    }
    if (spki_may_change(net, "spike list") != SPK_OK) {
        return SPK_ERR_STATE;
    }
    const spki_view *view = spki_check_view(net, pop, "spike list");
    if (!view) {
        return SPK_ERR_HANDLE;
    }
    if (count && (!neurons || !times_ms)) {
        return spki_fail(net, SPK_ERR_NULL, "spike list: an array is NULL");
    }
    if (view->size == 0) {
        return count ? spki_fail(net, SPK_ERR_RANGE, "spike list: the view holds no neurons")
                     : SPK_OK;
    }
    if (view->ranges != 1) {
        return spki_fail(net, SPK_ERR_UNSUPPORTED,
                         "spike list: the view spans several populations");
    }
    spki_population *p = &net->population[spki_population_of(net, view->range[0].first)];
    if (p->first + p->count < view->range[0].first + view->size) {
        return spki_fail(net, SPK_ERR_UNSUPPORTED,
                         "spike list: the view spans several populations");
    }
    const double dt = net->desc.dt_ms;
    for (size_t k = 0; k < count; k++) {
        if (neurons[k] >= view->size) {
            return spki_fail(net, SPK_ERR_RANGE,
                             "spike list of \"%s\": neuron %u of entry %llu, the view has %u",
                             p->name, neurons[k], (spki_llu)k, view->size);
        }
        if (!(times_ms[k] / dt < 9e15) || !(times_ms[k] / dt + 0.5 >= (double)(net->step + 1))) {
            return spki_fail(
                net, SPK_ERR_RANGE,
                "spike list of \"%s\": %g ms of entry %llu is not after the network's time, %g ms",
                p->name, times_ms[k], (spki_llu)k, (double)net->step * dt);
        }
    }
    spki_list_forget(net, &p->list);
    const spk_result result = spki_list_reserve(net, &p->list, count);
    if (result != SPK_OK) {
        return result;
    }
    bool sorted = true;
    for (size_t k = 0; k < count; k++) {
        const size_t at = p->list.count++;
        p->list.step[at] = (uint64_t)(times_ms[k] / dt + 0.5);
        p->list.neuron[at] = neurons[k] + view->range[0].first - p->first;
        sorted = sorted && (at == 0 || p->list.step[at - 1] < p->list.step[at] ||
                            (p->list.step[at - 1] == p->list.step[at] &&
                             p->list.neuron[at - 1] <= p->list.neuron[at]));
    }
    if (!sorted) {
        spki_list_sort(&p->list);
    }
    for (uint32_t t = 0; t < net->tiles; t++) { /* pieces find their places again */
        for (uint32_t k = 0; k < net->tile[t].pieces; k++) {
            if (&net->population[net->tile[t].piece[k].population] == p) {
                net->tile[t].piece[k].list_cursor = 0;
            }
        }
    }
    return SPK_OK;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>prepare: parameters, states and drives in the form the kernels read ---- */

SPKI_FN double spki_param_at(const spki_param *param, uint32_t k)
{
    return param->each ? param->each[k] : param->uniform;
}

SPKI_FN void spki_params_of(const spki_population *pop, uint32_t k, double *out)
{
    for (uint32_t p = 0; p < pop->model->param_count; p++) {
        out[p] = spki_param_at(&pop->param[p], k);
    }
}

SPKI_FN void spki_put_real(const spk_net *net, char *at, size_t k, double x)
{
    if (net->real_size == 8) {
        memcpy(at + 8 * k, &x, 8);
    } else {
        const float f = (float)x;
        memcpy(at + 4 * k, &f, 4);
    }
}

/* -- states: what the user sees is absolute, what is stored may be relative -- */

/* The parameter that the stored state s is relative to, or NULL. */
SPKI_FN const spki_param *spki_state_base(const spki_population *pop, uint32_t s)
{
    const int p =
        spki_find_field(pop->model->param, pop->model->param_count, pop->model->state[s].relative);
    return p >= 0 ? &pop->param[p] : NULL;
}

SPKI_FN double spki_state_base_at(const spki_population *pop, uint32_t s, uint32_t k)
{
    const spki_param *base = spki_state_base(pop, s);
    return base ? spki_param_at(base, k) : 0.0;
}

/* As the kernels see it: relative. */
SPKI_FN double spki_stored_state(const spk_net *net, const spki_population *pop, uint32_t s,
                                 uint32_t k)
{
    if (net->desc.precision == SPK_FLOAT64) {
        double x;
        memcpy(&x, pop->state[s] + (size_t)k * 8, 8);
        return x;
    }
    if (net->desc.precision == SPK_FLOAT32) {
        float x;
        memcpy(&x, pop->state[s] + (size_t)k * 4, 4);
        return (double)x;
    }
    uint16_t h;
    memcpy(&h, pop->state[s] + (size_t)k * 2, 2);
    return (double)spki_unpack16_f1(0.0f, &h) + pop->state_offset[s];
}

SPKI_FN double spki_get_state(const spk_net *net, const spki_population *pop, uint32_t s,
                              uint32_t k)
{
    return spki_stored_state(net, pop, s, k) + spki_state_base_at(pop, s, k);
}

SPKI_FN void spki_set_state(const spk_net *net, spki_population *pop, uint32_t s, uint32_t k,
                            double x)
{
    x -= spki_state_base_at(pop, s, k);
    if (net->desc.precision == SPK_FLOAT16) {
        uint16_t h;
        spki_pack16_f1((float)(x - pop->state_offset[s]), &h, 0x1000); /* to the nearest */
        memcpy(pop->state[s] + (size_t)k * 2, &h, 2);
    } else {
        spki_put_real(net, pop->state[s], k, x);
    }
}

/* The states as the model and the user's settings begin. Padding lanes copy the last neuron. */
SPKI_FN spk_result spki_make_states(spk_net *net, spki_population *pop)
{
    const spk_model model = pop->model;
    double *param =
        (double *)spki_alloc(&net->mem, model->param_count + model->state_count, sizeof(double));
    if (!param) {
        return spki_no_memory(net, "states");
    }
    double *init = param + model->param_count;
    spk_result result = SPK_OK;
    for (uint32_t s = 0; s < model->state_count && result == SPK_OK; s++) {
        pop->state[s] = (char *)spki_alloc(&net->mem, pop->lanes, net->state_size);
        result = pop->state[s] ? SPK_OK : spki_no_memory(net, "states");
    }
    for (uint32_t k = 0; k < pop->lanes && result == SPK_OK; k++) {
        const uint32_t n = SPKI_MIN(k, pop->count - 1);
        spki_params_of(pop, n, param);
        model->init(param, net->desc.dt_ms, init);
        for (uint32_t s = 0; s < model->state_count; s++) {
            if (k == 0 && !model->state[s].relative[0]) {
                pop->state_offset[s] = 0.0;
            }
            if (k == 0 && strcmp(model->state[s].relative, "spki_absolute") == 0 &&
                strcmp(model->state[s].unit, "mV") == 0) {
                pop->state_offset[s] = init[s];
            }
            const double set = spki_param_at(&pop->initial[s], n);
            double base = spki_state_base_at(pop, s, n), x = set == spki_unset ? init[s] : set;
            x -= base;
            if (net->desc.precision == SPK_FLOAT16) {
                uint16_t h;
                spki_pack16_f1((float)(x - pop->state_offset[s]), &h, 0x1000);
                memcpy(pop->state[s] + (size_t)k * 2, &h, 2);
            } else {
                spki_put_real(net, pop->state[s], k, x);
            }
        }
    }
    spki_free(&net->mem, param, model->param_count + model->state_count, sizeof(double));
    return result;
}

/* -- parameters and what is derived from them -- */

SPKI_FN bool spki_all_uniform(const spki_population *pop)
{
    for (uint32_t p = 0; p < pop->model->param_count; p++) {
        if (pop->param[p].each) {
            return false;
        }
    }
    return true;
}

typedef struct spki_reals {
    char **real;
    size_t *mask, *bytes;
} spki_reals;

/* One array of the kernels: `values` has n = 1 or one number a neuron. */
SPKI_FN bool spki_make_real(spk_net *net, const spki_population *pop, const double *values,
                            size_t n, spki_reals *out, uint32_t item)
{
    bool same = true;
    for (size_t k = 1; k < n && same; k++) {
        same = values[k] == values[0];
    }
    const size_t count = same ? 64 / net->real_size : pop->lanes;
    char *real = (char *)spki_alloc(&net->mem, count * net->real_size, 1);
    if (!real) {
        return false;
    }
    for (size_t k = 0; k < count; k++) {
        spki_put_real(net, real, k, same ? values[0] : values[SPKI_MIN(k, n - 1)]);
    }
    out->real[item] = real;
    out->mask[item] = same ? 0 : ~(size_t)0;
    out->bytes[item] = count * net->real_size;
    return true;
}

SPKI_FN spk_result spki_fill_reals(spk_net *net, spki_population *pop, spki_reals *out)
{
    const spk_model model = pop->model;
    const uint32_t params = model->param_count, derived = model->derived_count;
    const size_t n = spki_all_uniform(pop) ? 1 : pop->count;
    double *param = (double *)spki_alloc(&net->mem, params + derived, sizeof(double));
    double *all = (double *)spki_alloc(&net->mem, n * SPKI_MAX(derived, 1u), sizeof(double));
    bool ok = param && all;
    for (uint32_t p = 0; p < params && ok; p++) {
        const spki_param *v = &pop->param[p];
        ok = spki_make_real(net, pop, v->each ? v->each : &v->uniform, v->each ? pop->count : 1,
                            out, p);
    }
    spk_result result = ok ? SPK_OK : SPK_ERR_OUT_OF_MEMORY;
    for (size_t k = 0; k < n && ok; k++) {
        spki_params_of(pop, (uint32_t)k, param);
        model->derive(param, net->desc.dt_ms, param + params);
        for (uint32_t d = 0; d < derived; d++) {
            if (!spki_finite(param[params + d]) && result == SPK_OK) {
                result = spki_fail(net, SPK_ERR_RANGE,
                                   "\"%s\": %s of neuron %llu is not finite with these parameters",
                                   pop->name, model->derived[d], (spki_llu)k);
            }
            all[d * n + k] = param[params + d];
        }
    }
    for (uint32_t d = 0; d < derived && ok && result == SPK_OK; d++) {
        ok = spki_make_real(net, pop, all + d * n, n, out, params + d);
    }
    spki_free(&net->mem, param, params + derived, sizeof(double));
    spki_free(&net->mem, all, n * SPKI_MAX(derived, 1u), sizeof(double));
    return ok ? result : spki_no_memory(net, "parameters");
}

SPKI_FN void spki_free_reals(spk_net *net, const spki_population *pop, spki_reals *made)
{
    const uint32_t reals = pop->model->param_count + pop->model->derived_count;
    spki_mem *mem = &net->mem;
    for (uint32_t k = 0; made->real && made->bytes && k < reals; k++) {
        spki_free(mem, made->real[k], made->bytes[k], 1);
    }
    spki_free(mem, made->real, reals, sizeof *made->real);
    spki_free(mem, made->mask, reals, sizeof *made->mask);
    spki_free(mem, made->bytes, reals, sizeof *made->bytes);
    memset(made, 0, sizeof *made);
}

/* All of a population's arrays from its parameters, beside those in use; nothing on failure. */
SPKI_FN spk_result spki_draft_reals(spk_net *net, spki_population *pop, spki_reals *made)
{
    const uint32_t reals = pop->model->param_count + pop->model->derived_count;
    spki_mem *mem = &net->mem;
    made->real = (char **)spki_alloc(mem, reals, sizeof *made->real);
    made->mask = (size_t *)spki_alloc(mem, reals, sizeof *made->mask);
    made->bytes = (size_t *)spki_alloc(mem, reals, sizeof *made->bytes);
    const spk_result result = made->real && made->mask && made->bytes
                                  ? spki_fill_reals(net, pop, made)
                                  : spki_no_memory(net, "parameters");
    if (result != SPK_OK) {
        spki_free_reals(net, pop, made);
    }
    return result;
}

/* Exchanges them for those in use. */
SPKI_FN void spki_swap_reals(spki_population *pop, spki_reals *made)
{
    const spki_reals old = {pop->real, pop->real_mask, pop->real_bytes};
    pop->real = made->real;
    pop->real_mask = made->mask;
    pop->real_bytes = made->bytes;
    *made = old;
}

/* Makes all of a population's arrays anew, or leaves the old ones. */
SPKI_FN spk_result spki_make_reals(spk_net *net, spki_population *pop)
{
    spki_reals made;
    const spk_result result = spki_draft_reals(net, pop, &made);
    if (result == SPK_OK) {
        spki_swap_reals(pop, &made);
    }
    spki_free_reals(net, pop, &made);
    return result;
}

/* -- drives -- */

SPKI_FN void spki_free_drive(spk_net *net, spki_drive *drive)
{
    const uint32_t n = net->view[drive->view].size;
    spki_free_param(&net->mem, &drive->value, n);
    spki_free_param(&net->mem, &drive->rate, n);
    for (uint32_t t = 0; drive->table && t < drive->tables; t++) {
        spki_free(&net->mem, drive->table[t].threshold, drive->table[t].count, sizeof(int32_t));
    }
    spki_free(&net->mem, drive->table, drive->tables, sizeof *drive->table);
    spki_free(&net->mem, drive->table_of, n, sizeof(uint32_t));
    spki_free_string(&net->mem, drive->receptor);
    memset(drive, 0, sizeof *drive);
}

/* Thresholds of the distribution function in units of 2^-32: the number of thresholds that a
   32-bit word reaches, plus base, is a Poisson variate of mean `m` (exact to 2^-32). */
SPKI_FN bool spki_make_poisson(spki_mem *mem, spki_poisson_table *table, double m)
{
    for (int fill = 0; fill < 2; fill++) {
        double p = spk_exp(-m), cdf = p;
        uint32_t count = 0, base = 0;
        table->common = 0;
        for (uint32_t k = 0; k < 100000; k++) {
            const double scaled = cdf * 4294967296.0 + 0.5;
            if (scaled >= 4294967296.0) {
                break;
            }
            if (scaled >= 1.0 && cdf < 1.0 - 1.0 / 1024.0) {
                table->common++; /* one vector in 60 goes on */
            }
            if (scaled < 1.0) {
                base++;
            } else if (fill) {
                table->threshold[count++] = (int32_t)((uint32_t)scaled ^ 0x80000000u);
            } else {
                count++;
            }
            p = p * m / (double)(k + 1);
            if (p < 1e-12 && (double)k > m) {
                break;
            }
            cdf += p;
        }
        table->base = base;
        table->count = count;
        if (!fill && !(table->threshold = (int32_t *)spki_alloc(mem, count, sizeof(int32_t)))) {
            return false;
        }
    }
    return true;
}

/* One table a distinct rate. */
SPKI_FN spk_result spki_make_tables(spk_net *net, spki_drive *drive)
{
    const uint32_t n = net->view[drive->view].size;
    const double per_step = 1e-3 * net->desc.dt_ms;
    uint32_t distinct = 1;
    spk_result result = SPK_OK;
    if (drive->rate.each) {
        drive->table_of = (uint32_t *)spki_alloc(&net->mem, n, sizeof(uint32_t));
        if (!drive->table_of) {
            return spki_no_memory(net, "a Poisson drive");
        }
        distinct = n;
    }
    spki_poisson_table *table =
        (spki_poisson_table *)spki_alloc(&net->mem, distinct, sizeof *table);
    if (!table) {
        return spki_no_memory(net, "a Poisson drive");
    }
    drive->table = table;
    drive->tables = distinct;
    uint32_t used = 0, size = 1;
    while (size < 2 * distinct) {
        size *= 2;
    }
    uint32_t *seen = (uint32_t *)spki_alloc(&net->mem, size, sizeof *seen); /* 1 + table, by hash */
    if (!seen) {
        return spki_no_memory(net, "a Poisson drive");
    }
    for (uint32_t k = 0; k < (drive->rate.each ? n : 1u) && result == SPK_OK; k++) {
        const double rate = spki_param_at(&drive->rate, k);
        uint32_t at = (uint32_t)spk_xxh64(&rate, sizeof rate, 0) & (size - 1);
        while (seen[at] && table[seen[at] - 1].rate != rate) {
            at = (at + 1) & (size - 1);
        }
        if (!seen[at]) {
            seen[at] = ++used;
            table[used - 1].rate = rate;
            result = spki_make_poisson(&net->mem, &table[used - 1], rate * per_step)
                         ? SPK_OK
                         : spki_no_memory(net, "a Poisson drive");
        }
        if (drive->table_of) {
            drive->table_of[k] = seen[at] - 1;
        }
    }
    spki_free(&net->mem, seen, size, sizeof *seen);
    return result;
}

/* An empty drive of the view, or NULL with the reason in *result. */
SPKI_FN spki_drive *spki_new_drive(spk_net *net, spk_pop target, const void *desc,
                                   spk_result *result)
{
    *result = spki_may_describe(net, "drive");
    if (*result != SPK_OK) {
        return NULL;
    }
    if (!desc) {
        *result = spki_fail(net, SPK_ERR_NULL, "drive: the descriptor is NULL");
        return NULL;
    }
    if (!spki_check_view(net, target, "drive")) {
        *result = net->status;
        return NULL;
    }
    void *items = net->drive;
    if (!spki_grow(&net->mem, &items, net->drives, &net->drive_capacity, sizeof *net->drive)) {
        *result = spki_no_memory(net, "a drive");
        return NULL;
    }
    net->drive = (spki_drive *)items;
    spki_drive *drive = &net->drive[net->drives];
    memset(drive, 0, sizeof *drive);
    drive->view = target.index - 1;
    return drive;
}

/* [start, stop) in steps; stop 0: never. */
SPKI_FN spk_result spki_drive_window(spk_net *net, spki_drive *drive, double start, double stop)
{
    const double dt = net->desc.dt_ms;
    if (!(start >= 0.0) || !(stop >= 0.0) || !(start / dt < 9e15) ||
        (stop != 0.0 && stop < start)) {
        return spki_fail(net, SPK_ERR_RANGE, "drive: the window from %g to %g ms is none", start,
                         stop);
    }
    drive->start = (uint64_t)(start / dt + 0.5);
    drive->stop = stop == 0.0 || stop / dt >= 9e15 ? UINT64_MAX : (uint64_t)(stop / dt + 0.5);
    return SPK_OK;
}

/* A value for each neuron of the drive's view. */
SPKI_FN spk_result spki_drive_value(spk_net *net, const spki_drive *drive, const char *what,
                                    const spk_value *value, double fallback, double lowest,
                                    double highest, uint32_t item, spki_param *out)
{
    const uint32_t n = net->view[drive->view].size;
    const char *name = spki_view_name(net, &net->view[drive->view]);
    char why[200] = "";
    if (value->kind == SPK_VALUE_DEFAULT) {
        out->uniform = fallback;
        return SPK_OK;
    }
    double *each = (double *)spki_alloc(&net->mem, n, sizeof *each);
    if (!each) {
        return spki_no_memory(net, what);
    }
    spk_result result =
        spki_value_sample(value, n, net->desc.seed, SPKI_STREAM_VALUE | net->drives << 2 | item,
                          each, why, sizeof why);
    if (result != SPK_OK) {
        (void)spki_fail(net, result, "drive of \"%s\": %s %s", name, what, why);
    }
    bool same = true;
    for (uint32_t k = 0; k < n && result == SPK_OK; k++) {
        if (!(each[k] >= lowest && each[k] <= highest)) {
            result = spki_fail(net, SPK_ERR_RANGE, "drive of \"%s\": %s %g is not within %g and %g",
                               name, what, each[k], lowest, highest);
        }
        same = same && each[k] == each[0];
    }
    out->uniform = n ? each[0] : fallback;
    if (same || result != SPK_OK) {
        spki_free(&net->mem, each, n, sizeof *each);
    } else {
        out->each = each;
    }
    return result;
}

SPIKELIB_API spk_result spk_net_drive_poisson(spk_net *net, spk_pop target,
                                              const spk_poisson_desc *desc)
{
    spk_result result;
    spki_drive *drive = spki_new_drive(net, target, desc, &result);
    if (!drive) {
        return result;
    }
    bool magnitude;
    drive->kind = SPKI_DRIVE_POISSON;
    result = spki_check_targets(net, &net->view[drive->view], desc->receptor, &magnitude);
    if (result == SPK_OK) {
        result = spki_drive_window(net, drive, desc->start_ms, desc->stop_ms);
    }
    if (result == SPK_OK && desc->rate_hz.kind == SPK_VALUE_DEFAULT) {
        result = spki_fail(net, SPK_ERR_RANGE, "drive of \"%s\": rate_hz is not given",
                           spki_view_name(net, &net->view[drive->view]));
    }
    if (result == SPK_OK) { /* at most 600 events a step: beyond, e^-mean leaves the doubles */
        result = spki_drive_value(net, drive, "rate_hz", &desc->rate_hz, 0.0, 0.0,
                                  600.0 / (1e-3 * net->desc.dt_ms), 0, &drive->rate);
    }
    if (result == SPK_OK) {
        result = spki_drive_value(net, drive, "weight", &desc->weight, 1.0, -1e30, 1e30, 1,
                                  &drive->value);
    }
    if (result == SPK_OK) {
        result = spki_make_tables(net, drive);
    }
    if (result == SPK_OK && desc->receptor &&
        !(drive->receptor = spki_copy_string(&net->mem, desc->receptor))) {
        result = spki_no_memory(net, "a drive");
    }
    if (result != SPK_OK) {
        spki_free_drive(net, drive);
        return result;
    }
    net->drives++;
    return SPK_OK;
}

SPKI_FN spk_result spki_check_current(spk_net *net, const spki_population *pop)
{
    for (uint32_t k = 0; k < pop->model->input_count; k++) {
        if ((int)(pop->model->input[k].value + 0.5) == SPK_CURRENT) {
            return SPK_OK;
        }
    }
    return spki_fail(net, SPK_ERR_UNSUPPORTED, "\"%s\" (%s) takes no current", pop->name,
                     pop->model->name);
}

SPIKELIB_API spk_result spk_net_drive_current(spk_net *net, spk_pop target,
                                              const spk_current_desc *desc)
{
    spk_result result;
    spki_drive *drive = spki_new_drive(net, target, desc, &result);
    if (!drive) {
        return result;
    }
    const double every = desc->noise_dt_ms == 0.0 ? 1.0 : desc->noise_dt_ms / net->desc.dt_ms;
    drive->kind = SPKI_DRIVE_CURRENT;
    drive->noise_sd = desc->noise_sd;
    if (!(desc->noise_sd >= 0.0) || !spki_finite(desc->noise_sd) || !(every >= 0.5) ||
        !(every < 9e15)) {
        result = spki_fail(net, SPK_ERR_RANGE, "drive: noise of %g every %g ms is none",
                           desc->noise_sd, desc->noise_dt_ms);
    }
    if (result == SPK_OK) {
        drive->noise_steps = (uint64_t)(every + 0.5);
        result = spki_drive_window(net, drive, desc->start_ms, desc->stop_ms);
    }
    for (uint32_t p = 0; result == SPK_OK && p < net->populations; p++) {
        if (spki_view_meets(&net->view[drive->view], &net->population[p])) {
            result = spki_check_current(net, &net->population[p]);
        }
    }
    if (result == SPK_OK) {
        result = spki_drive_value(net, drive, "amplitude", &desc->amplitude, 0.0, -1e30, 1e30, 0,
                                  &drive->value);
    }
    if (result != SPK_OK) {
        spki_free_drive(net, drive);
        return result;
    }
    net->drives++;
    return SPK_OK;
}

/* Parts of drives that fall on one population, counted or written. */
SPKI_FN uint32_t spki_parts_of(spk_net *net, uint32_t population, spki_drive_part *out)
{
    const spki_population *pop = &net->population[population];
    uint32_t n = 0;
    for (uint32_t d = 0; d < net->drives; d++) {
        const spki_drive *drive = &net->drive[d];
        const spki_view *view = &net->view[drive->view];
        uint32_t index = 0;
        for (uint32_t r = 0; r < view->ranges; index += view->range[r++].count) {
            const spki_ids ids = view->range[r];
            const uint32_t lo = SPKI_MAX(ids.first, pop->first);
            const uint32_t hi = SPKI_MIN(ids.first + ids.count, pop->first + pop->count);
            if (lo >= hi) {
                continue;
            }
            if (out) {
                spki_drive_part *part = &out[n];
                part->drive = d;
                part->first = lo - pop->first;
                part->count = hi - lo;
                part->index = index + lo - ids.first;
                if (drive->kind == SPKI_DRIVE_POISSON) {
                    (void)spki_resolve_receptor(net, pop, drive->receptor, &part->receptor_pos,
                                                &part->receptor_neg, &part->magnitude);
                }
            }
            n++;
        }
    }
    return n;
}

/* Cuts the drives by populations, so that a block of neurons finds its own. */
SPKI_FN spk_result spki_make_parts(spk_net *net)
{
    for (uint32_t p = 0; p < net->populations; p++) {
        net->population[p].part = net->parts;
        net->population[p].parts = spki_parts_of(net, p, NULL);
        net->parts += net->population[p].parts;
    }
    net->part = (spki_drive_part *)spki_alloc(&net->mem, net->parts, sizeof *net->part);
    if (!net->part) {
        return spki_no_memory(net, "drives");
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        (void)spki_parts_of(net, p, net->part + net->population[p].part);
    }
    return SPK_OK;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>synapses: reading and writing the weights of a built network ---- */

/* One synapse and where it is stored. */
typedef struct spki_synapse_at {
    spk_synapse synapse;
    uint32_t tile, word;
    int32_t stored;
    double quantum;
} spki_synapse_at;

/* The neuron and receptor behind a slot of a tile. */
SPKI_FN const spki_population *spki_slot_target(const spk_net *net, const spki_tile *tile,
                                                uint32_t slot, uint32_t *id, uint32_t *receptor)
{
    const uint32_t lane = slot % tile->lanes;
    uint32_t p = 0;
    while (p + 1 < tile->pieces && tile->piece[p + 1].lane <= lane) {
        p++;
    }
    const spki_population *pop = &net->population[tile->piece[p].population];
    *receptor = slot / tile->lanes;
    *id = pop->first + tile->piece[p].first + lane - tile->piece[p].lane;
    return pop;
}

/* The synapses of one source in one tile that reach the view; writes at most `room`. */
SPKI_FN size_t spki_row_synapses(const spk_net *net, uint32_t t, uint32_t source,
                                 const spki_view *post, spki_synapse_at *out, size_t room)
{
    const spki_tile *tile = &net->tile[t];
    const uint32_t start = tile->row[source], per = net->desc.weight_bits == 32 ? 2 : 1;
    const uint32_t *row = tile->words + start;
    uint32_t at = start + 1 + row[0];
    size_t n = 0;
    for (uint32_t b = 0; b < row[0]; b++) {
        const uint32_t delay = row[1 + b] >> 20, count = row[1 + b] & SPKI_MAX_BUCKET;
        for (uint32_t k = 0; k < count; k++, at += per) {
            const uint32_t word = tile->words[at];
            uint32_t id, receptor;
            const spki_population *pop =
                spki_slot_target(net, tile, per == 2 ? word : word & 0xffffu, &id, &receptor);
            if (spki_view_index(post, id) == UINT32_MAX) {
                continue;
            }
            if (n < room) {
                spki_synapse_at *s = &out[n];
                s->stored = per == 2 ? (int32_t)tile->words[at + 1] : (int32_t)word >> 16;
                s->quantum = pop->quantum[receptor];
                if (pop->model->input[pop->receptor_input[receptor]].value > 1.5) {
                    s->quantum = -s->quantum; /* SPK_INH stores magnitudes */
                }
                s->tile = t;
                s->word = at;
                s->synapse.source = source;
                s->synapse.target = id;
                s->synapse.delay_steps = delay;
                s->synapse.receptor = receptor;
                s->synapse.weight = (double)s->stored * s->quantum + 0.0;
            }
            n++;
        }
    }
    return n;
}

SPKI_FN bool spki_synapse_before(const spki_synapse_at *a, const spki_synapse_at *b)
{
    const spk_synapse *x = &a->synapse, *y = &b->synapse;
    return x->source != y->source             ? x->source < y->source
           : x->target != y->target           ? x->target < y->target
           : x->delay_steps != y->delay_steps ? x->delay_steps < y->delay_steps
           : x->weight != y->weight           ? x->weight < y->weight
                                              : a->word < b->word;
}

SPKI_FN void spki_synapse_sift(spki_synapse_at *s, size_t k, size_t n)
{
    for (;;) {
        size_t big = 2 * k + 1;
        if (big >= n) {
            return;
        }
        big += big + 1 < n && spki_synapse_before(&s[big], &s[big + 1]);
        if (!spki_synapse_before(&s[k], &s[big])) {
            return;
        }
        const spki_synapse_at swap = s[k];
        s[k] = s[big];
        s[big] = swap;
        k = big;
    }
}

SPKI_FN void spki_sort_synapses(spki_synapse_at *s, size_t n)
{
    for (size_t k = n / 2; k-- > 0;) {
        spki_synapse_sift(s, k, n);
    }
    for (size_t k = n; k-- > 1;) {
        const spki_synapse_at swap = s[0];
        s[0] = s[k];
        s[k] = swap;
        spki_synapse_sift(s, 0, k);
    }
}

/* All synapses between two views in order: how many (with `out` NULL), or filled in. */
SPKI_FN size_t spki_find_synapses(const spk_net *net, const spki_view *pre, const spki_view *post,
                                  spki_synapse_at *out, size_t room)
{
    size_t n = 0;
    for (uint32_t r = 0; r < pre->ranges; r++) {
        for (uint32_t k = 0; k < pre->range[r].count; k++) {
            for (uint32_t t = 0; t < net->tiles; t++) {
                n += spki_row_synapses(net, t, pre->range[r].first + k, post, out ? out + n : NULL,
                                       room > n ? room - n : 0);
            }
        }
    }
    if (out) {
        spki_sort_synapses(out, SPKI_MIN(n, room));
    }
    return n;
}

SPKI_FN spk_result spki_check_synapses(spk_net *net, spk_pop source, spk_pop target,
                                       const spki_view **pre, const spki_view **post)
{
    if (!net->built) {
        return spki_decline(net, SPK_ERR_STATE, "synapses: the network is not built yet");
    }
    const spk_result result = spki_may_change(net, "synapses");
    if (result != SPK_OK) {
        return result;
    }
    *pre = spki_check_view(net, source, "synapses");
    *post = *pre ? spki_check_view(net, target, "synapses") : NULL;
    return *post ? SPK_OK : SPK_ERR_HANDLE;
}

SPIKELIB_API spk_result spk_net_synapses(spk_net *net, spk_pop source, spk_pop target,
                                         spk_synapse *synapses, size_t capacity, size_t *count)
{
    const spki_view *pre, *post;
    if (!net || !count) {
        return SPK_ERR_NULL;
    }
    *count = 0;
    spk_result result = spki_check_synapses(net, source, target, &pre, &post);
    if (result != SPK_OK) {
        return result;
    }
    const size_t n = spki_find_synapses(net, pre, post, NULL, 0);
    *count = n;
    if (!synapses || !capacity) {
        return SPK_OK;
    }
    spki_synapse_at *at = (spki_synapse_at *)spki_alloc_raw(&net->mem, n, sizeof *at);
    if (!at) {
        return spki_no_memory(net, "a list of synapses");
    }
    (void)spki_find_synapses(net, pre, post, at, n);
    for (size_t k = 0; k < SPKI_MIN(n, capacity); k++) {
        synapses[k] = at[k].synapse;
    }
    spki_free(&net->mem, at, n, sizeof *at);
    return SPK_OK;
}

/* What a weight becomes in storage; false: it does not fit there. */
SPKI_FN bool spki_store_weight(const spk_net *net, const spki_synapse_at *s, double w,
                               int32_t *stored)
{
    const double most = net->desc.weight_bits == 16 ? 32767.0 : 2147483647.0;
    uint32_t id, receptor;
    const spki_tile *tile = &net->tile[s->tile];
    const uint32_t word = tile->words[s->word];
    const spki_population *pop = spki_slot_target(
        net, tile, net->desc.weight_bits == 32 ? word : word & 0xffffu, &id, &receptor);
    const double kind = pop->model->input[pop->receptor_input[receptor]].value;
    double q = w / s->quantum;
    if ((kind > 0.5 && q < 0.0) || !(q <= most && q >= -most)) {
        return false;
    }
    q = (q + 6755399441055744.0) - 6755399441055744.0;
    *stored = (int32_t)q;
    return true;
}

SPIKELIB_API spk_result spk_net_set_weights(spk_net *net, spk_pop source, spk_pop target,
                                            const double *weights, size_t count)
{
    const spki_view *pre, *post;
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spki_check_synapses(net, source, target, &pre, &post);
    if (result != SPK_OK) {
        return result;
    }
    const size_t n = spki_find_synapses(net, pre, post, NULL, 0);
    if (!weights && count) {
        return spki_fail(net, SPK_ERR_NULL, "set weights: the array is NULL");
    }
    if (count != n) {
        return spki_fail(net, SPK_ERR_RANGE, "set weights: %llu weights for %llu synapses",
                         (spki_llu)count, (spki_llu)n);
    }
    spki_synapse_at *at = (spki_synapse_at *)spki_alloc_raw(&net->mem, n, sizeof *at);
    if (!at) {
        return spki_no_memory(net, "a list of synapses");
    }
    (void)spki_find_synapses(net, pre, post, at, n);
    for (size_t k = 0; k < n && result == SPK_OK; k++) {
        int32_t stored = 0;
        if (!spki_store_weight(net, &at[k], weights[k], &stored)) {
            result = spki_fail(net, SPK_ERR_RANGE,
                               "set weights: %g of synapse %llu (%u -> %u) does not fit its "
                               "receptor or %u bits of %g",
                               weights[k], (spki_llu)k, at[k].synapse.source, at[k].synapse.target,
                               net->desc.weight_bits, at[k].quantum);
        }
        at[k].stored = stored;
    }
    for (size_t k = 0; k < n && result == SPK_OK; k++) {
        uint32_t *word = &net->tile[at[k].tile].words[at[k].word];
        if (net->desc.weight_bits == 32) {
            word[1] = (uint32_t)at[k].stored;
        } else {
            *word = (*word & 0xffffu) | (uint32_t)at[k].stored << 16;
        }
    }
    spki_free(&net->mem, at, n, sizeof *at);
    return result;
}

/* -- for recorders of weights -- */

SPKI_FN spk_result spki_rec_find_synapses(spk_net *net, spk_rec rec)
{
    const spki_view *pre = &net->view[rec->view], *post = &net->view[rec->post];
    rec->width = spki_find_synapses(net, pre, post, NULL, 0);
    rec->synapse = (spki_synapse_at *)spki_alloc_raw(&net->mem, rec->width, sizeof *rec->synapse);
    if (!rec->synapse) {
        return spki_no_memory(net, "a recorder of weights");
    }
    (void)spki_find_synapses(net, pre, post, rec->synapse, rec->width);
    return SPK_OK;
}

SPKI_FN void spki_rec_read_weights(const struct spk_rec_data *rec, double *out)
{
    const spk_net *net = rec->net;
    for (size_t k = 0; k < rec->width; k++) {
        const spki_synapse_at *s = &rec->synapse[k];
        const uint32_t *word = &net->tile[s->tile].words[s->word];
        const int32_t stored =
            net->desc.weight_bits == 32 ? (int32_t)word[1] : (int32_t)word[0] >> 16;
        out[k] = (double)stored * s->quantum + 0.0;
    }
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>build: cutting the targets into tiles and drawing their synapses ---- */

/* -- the common unit of each receptor's accumulator -- */

/* Smallest power of two such that `largest` fits into `bits` - 1 bits of it. */
SPKI_FN double spki_quantum_for(double largest, uint32_t bits)
{
    const double most = bits == 16 ? 32767.0 : 2147483647.0;
    double q = 1.0;
    if (!(largest > 0.0)) {
        return 1.0 / 65536.0;
    }
    while (largest > q * most) {
        q *= 2.0;
    }
    while (largest <= 0.5 * q * most && q > 1e-300) {
        q *= 0.5;
    }
    return q;
}

/* All receptors that one projection reaches share a quantum, and so do all projections that reach
   one receptor: the largest wins, until nothing changes. */
SPKI_FN void spki_choose_quanta(spk_net *net)
{
    for (uint32_t p = 0; p < net->populations; p++) {
        for (uint32_t r = 0; r < 8; r++) {
            net->population[p].quantum[r] = 0.0;
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t k = 0; k < net->projections; k++) {
            const spki_projection *proj = &net->projection[k];
            double q = spki_quantum_for(SPKI_MAX(-proj->lo, proj->hi), net->desc.weight_bits);
            for (int pass = 0; pass < 2; pass++) {
                for (uint32_t p = 0; p < net->populations; p++) {
                    spki_population *pop = &net->population[p];
                    uint32_t pos, neg;
                    bool magnitude;
                    if (!spki_view_meets(&net->view[proj->target], pop) ||
                        spki_resolve_receptor(net, pop, proj->receptor, &pos, &neg, &magnitude) !=
                            SPK_OK) {
                        continue;
                    }
                    if (pass == 0) {
                        q = SPKI_MAX(q, SPKI_MAX(pop->quantum[pos], pop->quantum[neg]));
                    } else if (pop->quantum[pos] != q || pop->quantum[neg] != q) {
                        pop->quantum[pos] = pop->quantum[neg] = q;
                        changed = true;
                    }
                }
            }
        }
    }
}

/* -- tiles -- */

/* What a neuron costs a step, roughly, in synapses delivered once a second and neuron: its update
   and its incoming synapses. */
SPKI_FN double spki_neuron_cost(const spk_net *net, uint32_t population)
{
    const spki_population *pop = &net->population[population];
    double cost = 1000.0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_view *view = &net->view[net->projection[k].target];
        if (view->size && spki_view_meets(view, pop)) {
            const double all =
                spki_proj_expected_row_total(&net->projection[k].proj, 0, view->size);
            cost += (spki_finite(all) ? all : 0.0) / (double)view->size;
        }
    }
    return cost;
}

typedef struct spki_cutter {
    spk_net *net;
    double *cost; /* of one neuron, by population */
    double share; /* of a tile */
    uint32_t tiles, pieces;
    double filled;
    uint32_t lanes, receptors;
    bool fill_in;
} spki_cutter;

/* Gives lanes [first, first + count) of a population to the current tile. */
SPKI_FN void spki_cutter_add(spki_cutter *c, uint32_t population, uint32_t first, uint32_t count)
{
    const spki_population *pop = &c->net->population[population];
    if (c->fill_in) {
        spki_tile *tile = &c->net->tile[c->tiles];
        spki_piece *last = tile->pieces ? &tile->piece[tile->pieces - 1] : NULL;
        if (last && last->population == population) {
            last->count += count;
        } else {
            last = &tile->piece[tile->pieces++];
            last->population = population;
            last->first = first;
            last->count = count;
            last->lane = tile->lanes;
        }
        if (tile->lanes == 0) {
            tile->first_id = pop->first + first;
        }
        tile->end_id = pop->first + first + count;
        tile->lanes += (count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP;
        tile->receptors = SPKI_MAX(tile->receptors, pop->receptors);
    }
    c->lanes += SPKI_GROUP;
    c->receptors = SPKI_MAX(c->receptors, pop->receptors);
    c->filled += c->cost[population] * (double)count;
}

SPKI_FN void spki_cutter_next(spki_cutter *c)
{
    c->tiles++;
    c->lanes = c->receptors = 0;
    c->filled = 0.0;
}

/* Walks over all groups of 64 neurons and cuts where a tile has its share of the cost, or where
   its accumulators would outgrow 16 bits. The result does not depend on anything drawn. */
SPKI_FN void spki_cut(spki_cutter *c)
{
    c->tiles = c->lanes = c->receptors = 0;
    c->filled = 0.0;
    for (uint32_t p = 0; p < c->net->populations; p++) {
        const spki_population *pop = &c->net->population[p];
        for (uint32_t first = 0; first < pop->count; first += SPKI_GROUP) {
            const uint32_t count = SPKI_MIN(SPKI_GROUP, pop->count - first);
            const uint32_t receptors = SPKI_MAX(SPKI_MAX(c->receptors, pop->receptors), 1u);
            const double half = 0.5 * c->cost[p] * (double)count;
            if (c->lanes && ((c->lanes + SPKI_GROUP) * receptors > SPKI_TILE_SLOTS ||
                             c->filled + half > c->share)) {
                spki_cutter_next(c);
            }
            spki_cutter_add(c, p, first, count);
        }
    }
    c->tiles += c->lanes ? 1 : 0;
}

/* As many tiles as threads, or a multiple of that if the slots need more. */
SPKI_FN spk_result spki_make_tiles(spk_net *net)
{
    spki_cutter c;
    memset(&c, 0, sizeof c);
    c.net = net;
    c.cost = (double *)spki_alloc(&net->mem, net->populations, sizeof(double));
    if (!c.cost) {
        return spki_no_memory(net, "tiles");
    }
    double total = 0.0;
    for (uint32_t p = 0; p < net->populations; p++) {
        c.cost[p] = spki_neuron_cost(net, p);
        total += c.cost[p] * (double)net->population[p].count;
    }
    for (uint32_t want = net->threads;; want += net->threads) {
        c.share = total / (double)want;
        spki_cut(&c);
        if (c.tiles <= want) {
            break;
        }
    }
    spk_result result = SPK_OK;
    net->tiles = SPKI_MAX(c.tiles, 1u);
    net->tile = (spki_tile *)spki_alloc(&net->mem, net->tiles, sizeof *net->tile);
    if (!net->tile) {
        net->tiles = 0;
        result = spki_no_memory(net, "tiles");
    }
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        net->tile[t].piece =
            (spki_piece *)spki_alloc(&net->mem, net->populations, sizeof(spki_piece));
        if (!net->tile[t].piece) {
            result = spki_no_memory(net, "tiles");
        }
    }
    if (result == SPK_OK) {
        c.fill_in = true;
        spki_cut(&c);
    }
    spki_free(&net->mem, c.cost, net->populations, sizeof(double));
    return result;
}

/* -- rows -- */

/* A projection as one tile sees it. */
typedef struct spki_feed {
    const spki_projection *projection;
    uint32_t t0, t1;
    uint16_t *slot[2]; /* of target t0 + k, for weights >= 0 and < 0 */
    void *index;
    size_t index_bytes;
} spki_feed;

/* All that drawing the rows of a tile needs; grown by the caller's thread when it runs short. */
typedef struct spki_tile_build {
    spk_net *net;
    spki_tile *tile;
    spki_feed *feed;
    uint32_t feeds;
    spki_edges edges;
    uint32_t *sorted; /* start of each delay in the row being written */
    void *scratch;
    size_t scratch_bytes;
    uint32_t next; /* source to go on with */
    spk_result result;
    uint32_t failed_feed;
} spki_tile_build;

/* The slots of a view's targets that lie in this tile. */
SPKI_FN bool spki_feed_slots(spk_net *net, const spki_tile *tile, spki_feed *feed)
{
    const spki_view *view = &net->view[feed->projection->target];
    feed->t0 = spki_view_below(view, tile->first_id);
    feed->t1 = spki_view_below(view, tile->end_id);
    const uint32_t n = feed->t1 - feed->t0;
    feed->slot[0] = (uint16_t *)spki_alloc(&net->mem, n, sizeof(uint16_t));
    feed->slot[1] = (uint16_t *)spki_alloc(&net->mem, n, sizeof(uint16_t));
    if (!feed->slot[0] || !feed->slot[1]) {
        return false;
    }
    uint32_t k = 0, range = 0, skip = feed->t0;
    while (range < view->ranges && skip >= view->range[range].count) {
        skip -= view->range[range++].count;
    }
    uint32_t piece = 0;
    while (k < n) {
        const uint32_t id = view->range[range].first + skip;
        const spki_population *pop = &net->population[tile->piece[piece].population];
        const spki_piece *at = &tile->piece[piece];
        if (id >= pop->first + at->first + at->count) {
            piece++;
            continue;
        }
        uint32_t pos, neg;
        bool magnitude;
        (void)spki_resolve_receptor(net, pop, feed->projection->receptor, &pos, &neg, &magnitude);
        const uint32_t lane = at->lane + (id - pop->first - at->first);
        feed->slot[0][k] = (uint16_t)(pos * tile->lanes + lane);
        feed->slot[1][k] = (uint16_t)(neg * tile->lanes + lane);
        k++;
        if (++skip == view->range[range].count) {
            skip = 0;
            range++;
        }
    }
    return true;
}

/* Words that a tile's rows will take, from what the rules promise. */
SPKI_FN size_t spki_expected_words(const spki_tile_build *b)
{
    const size_t per_synapse = b->net->desc.weight_bits == 16 ? 1 : 2;
    double synapses = 0.0, sources = 0.0;
    for (uint32_t f = 0; f < b->feeds; f++) {
        const spki_feed *feed = &b->feed[f];
        const double n = spki_proj_expected_row_total(&feed->projection->proj, feed->t0, feed->t1);
        synapses += spki_finite(n) ? n : 0.0;
        sources += (double)b->net->view[feed->projection->source].size;
    }
    /* a bucket for every few synapses, at most one a delay: 48 is typical of 1.5 +- 0.75 ms */
    const double buckets = SPKI_MIN(synapses, 48.0 * SPKI_MIN(sources, (double)b->net->neurons));
    const double words = synapses * (double)per_synapse + buckets + sources + 1024.0;
    return words < 4e9 ? (size_t)words : (size_t)4000000000u;
}

SPKI_FN bool spki_grow_words(spk_net *net, spki_tile *tile, size_t capacity)
{
    uint32_t *words = (uint32_t *)spki_alloc_raw(&net->mem, capacity, sizeof *words);
    if (!words) {
        return false;
    }
    if (tile->words) {
        memcpy(words, tile->words, tile->words_used * sizeof *words);
        spki_free(&net->mem, tile->words, tile->words_capacity, sizeof *words);
    }
    tile->words = words;
    tile->words_capacity = capacity;
    return true;
}

/* Draws the row of one source into `edges`. */
SPKI_FN spk_result spki_draw_row(spki_tile_build *b, uint32_t id)
{
    b->edges.count = 0;
    for (uint32_t f = 0; f < b->feeds; f++) {
        const spki_feed *feed = &b->feed[f];
        const uint32_t s = spki_view_index(&b->net->view[feed->projection->source], id);
        if (s == UINT32_MAX || feed->t0 == feed->t1) {
            continue;
        }
        const uint32_t before = b->edges.count;
        const spk_result result = spki_proj_row(&feed->projection->proj, feed->index, b->scratch, s,
                                                feed->t0, feed->t1, &b->edges);
        if (result != SPK_OK) {
            b->failed_feed = f;
            return result;
        }
        for (uint32_t k = before; k < b->edges.count; k++) { /* targets become slots */
            const int32_t w = b->edges.weight[k];
            b->edges.target[k] = feed->slot[w < 0][b->edges.target[k] - feed->t0];
            b->edges.weight[k] = feed->projection->magnitude && w < 0 ? -w : w;
        }
    }
    return SPK_OK;
}

/* Writes `edges` behind the tile's words, sorted by delay. False: no room. */
SPKI_FN bool spki_write_row(spki_tile_build *b, uint32_t id)
{
    spki_tile *tile = b->tile;
    const spki_edges *e = &b->edges;
    const bool wide = b->net->desc.weight_bits != 16;
    if (e->count == 0) {
        tile->row[id] = 0;
        return true;
    }
    uint32_t *start = b->sorted; /* all 0 between rows */
    uint32_t first = UINT32_MAX, last = 0, buckets = 0;
    for (uint32_t k = 0; k < e->count; k++) {
        const uint32_t d = e->delay[k];
        start[d]++;
        first = SPKI_MIN(first, d);
        last = SPKI_MAX(last, d);
    }
    for (uint32_t d = first; d <= last; d++) {
        buckets += (start[d] + SPKI_MAX_BUCKET - 1) / SPKI_MAX_BUCKET;
    }
    const size_t need = 1 + (size_t)buckets + (size_t)e->count * (wide ? 2 : 1);
    if (need > tile->words_capacity - tile->words_used) {
        memset(start + first, 0, (last - first + 1) * sizeof *start);
        return false;
    }
    uint32_t *out = tile->words + tile->words_used, *header = out + 1, at = 1 + buckets;
    out[0] = buckets;
    tile->min_delay = SPKI_MIN(tile->min_delay, first);
    tile->max_delay = SPKI_MAX(tile->max_delay, last);
    for (uint32_t d = first; d <= last; d++) {
        for (uint32_t left = start[d]; left;) {
            const uint32_t n = SPKI_MIN(left, SPKI_MAX_BUCKET);
            *header++ = d << 20 | n;
            left -= n;
        }
        const uint32_t n = start[d];
        start[d] = at;
        at += n * (wide ? 2 : 1);
    }
    for (uint32_t k = 0; k < e->count; k++) {
        const uint32_t slot = e->target[k];
        uint32_t *to = &start[e->delay[k]];
        tile->indegree[slot]++;
        if (wide) {
            out[*to] = slot;
            out[*to + 1] = (uint32_t)e->weight[k];
            *to += 2;
        } else {
            out[(*to)++] = slot | (uint32_t)e->weight[k] << 16;
        }
    }
    memset(start + first, 0, (last - first + 1) * sizeof *start);
    tile->row[id] = (uint32_t)tile->words_used;
    tile->words_used += need;
    tile->synapses += e->count;
    tile->buckets += buckets;
    return true;
}

/* Draws rows until done or short of room: any thread, a tile each. */
SPKI_FN void spki_draw_rows(spki_tile_build *b)
{
    b->result = SPK_OK;
    for (; b->next < b->net->neurons; b->next++) {
        b->result = spki_draw_row(b, b->next);
        if (b->result != SPK_OK) {
            return;
        }
        if (!spki_write_row(b, b->next)) {
            b->result = SPK_ERR_FULL;
            b->failed_feed = UINT32_MAX;
            return;
        }
    }
}

typedef struct spki_build_job {
    spki_tile_build *build;
    uint32_t tiles, threads;
} spki_build_job;

SPKI_FN void spki_draw_task(void *arg, uint32_t k)
{
    spki_build_job *job = (spki_build_job *)arg;
    for (uint32_t t = k; t < job->tiles; t += job->threads) {
        if (job->build[t].result == SPK_ERR_FULL) {
            for (uint32_t f = 0; f < job->build[t].feeds && job->build[t].next == 0; f++) {
                spki_feed *feed = &job->build[t].feed[f];
                if (feed->index) {
                    spki_proj_index_build(&feed->projection->proj, feed->t0, feed->t1, feed->index);
                }
            }
            spki_draw_rows(&job->build[t]);
        }
    }
}

/* Runs task(arg, k) for k in [0, threads) on the host's executor, our own pool or right here. */
SPKI_FN void spki_parallel(spk_net *net, void (*task)(void *arg, uint32_t k), void *arg)
{
    if (net->desc.executor.run) {
        net->desc.executor.run(net->desc.executor.ctx, task, arg, net->threads);
    } else if (net->pool) {
        spki_pool_run(net->pool, task, arg);
    } else {
        for (uint32_t k = 0; k < net->threads; k++) {
            task(arg, k);
        }
    }
}

SPKI_FN bool spki_grow_edges(spk_net *net, spki_edges *e, uint32_t capacity)
{
    return spki_edges_grow(&net->mem, e, capacity);
}

SPKI_FN spk_result spki_begin_tile(spk_net *net, spki_tile_build *b, spki_tile *tile)
{
    spki_mem *mem = &net->mem;
    b->net = net;
    b->tile = tile;
    b->result = SPK_ERR_FULL; /* "go on" */
    tile->min_delay = UINT32_MAX;
    b->feed = (spki_feed *)spki_alloc(mem, net->projections, sizeof *b->feed);
    b->sorted = (uint32_t *)spki_alloc(mem, net->desc.max_delay_steps + 2, sizeof(uint32_t));
    tile->row = (uint32_t *)spki_alloc(mem, net->neurons, sizeof(uint32_t));
    tile->indegree = (uint32_t *)spki_alloc(
        mem, (size_t)tile->lanes * SPKI_MAX(tile->receptors, 1u), sizeof(uint32_t));
    if (!b->feed || !b->sorted || !tile->row || !tile->indegree) {
        return spki_no_memory(net, "a tile");
    }
    size_t row = 1024;
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_feed *feed = &b->feed[b->feeds];
        feed->projection = &net->projection[k];
        b->feeds++;
        if (!spki_feed_slots(net, tile, feed)) {
            return spki_no_memory(net, "a tile");
        }
        const spki_proj *proj = &feed->projection->proj;
        const uint32_t size = net->view[feed->projection->target].size;
        if (size) {
            row += (size_t)((double)spki_proj_max_row(proj) * (double)(feed->t1 - feed->t0) /
                            (double)size * 1.1) +
                   64;
        }
        b->scratch_bytes = SPKI_MAX(b->scratch_bytes, spki_proj_scratch_size(proj));
        feed->index_bytes = spki_proj_index_bytes(proj, feed->t0, feed->t1);
        if (feed->index_bytes && feed->t0 < feed->t1) {
            feed->index = spki_alloc_raw(mem, feed->index_bytes, 1);
            if (!feed->index) {
                return spki_no_memory(net, "drawing a fixed in-degree");
            }
        }
    }
    b->scratch = spki_alloc(mem, SPKI_MAX(b->scratch_bytes, (size_t)64), 1);
    if (!b->scratch || row > UINT32_MAX || !spki_grow_edges(net, &b->edges, (uint32_t)row) ||
        !spki_grow_words(net, tile, spki_expected_words(b))) {
        return spki_no_memory(net, "synapses");
    }
    tile->words[0] = 0; /* the row of a source without synapses */
    tile->words_used = 1;
    return SPK_OK;
}

SPKI_FN void spki_end_tile(spk_net *net, spki_tile_build *b)
{
    for (uint32_t f = 0; b->feed && f < b->feeds; f++) {
        const uint32_t n = b->feed[f].t1 - b->feed[f].t0;
        spki_free(&net->mem, b->feed[f].slot[0], n, sizeof(uint16_t));
        spki_free(&net->mem, b->feed[f].slot[1], n, sizeof(uint16_t));
        spki_free(&net->mem, b->feed[f].index, b->feed[f].index_bytes, 1);
    }
    spki_free(&net->mem, b->feed, net->projections, sizeof *b->feed);
    spki_free(&net->mem, b->sorted, net->desc.max_delay_steps + 2, sizeof(uint32_t));
    spki_free(&net->mem, b->scratch, SPKI_MAX(b->scratch_bytes, (size_t)64), 1);
    (void)spki_grow_edges(net, &b->edges, 0);
    if (b->tile && b->tile->indegree) {
        spki_free(&net->mem, b->tile->indegree,
                  (size_t)b->tile->lanes * SPKI_MAX(b->tile->receptors, 1u), sizeof(uint32_t));
        b->tile->indegree = NULL;
    }
}

/* After a round of drawing: gives more room where it was short, reports what failed. */
SPKI_FN spk_result spki_continue_tile(spk_net *net, spki_tile_build *b)
{
    if (b->result == SPK_OK) {
        return SPK_OK;
    }
    if (b->result != SPK_ERR_FULL) {
        const spki_projection *p = b->feed[b->failed_feed].projection;
        return spki_fail(net, b->result, "connect \"%s\" -> \"%s\": %s",
                         spki_view_name(net, &net->view[p->source]),
                         spki_view_name(net, &net->view[p->target]), spki_proj_row_why(b->scratch));
    }
    if (b->failed_feed != UINT32_MAX) {
        if (b->edges.capacity > 0x40000000u ||
            !spki_grow_edges(net, &b->edges, b->edges.capacity * 2)) {
            return spki_no_memory(net, "a row of synapses");
        }
        return SPK_OK;
    }
    const size_t grown = b->tile->words_capacity + b->tile->words_capacity / 8 + 65536;
    if (grown > 0xfffffff0u) {
        return spki_fail(net, SPK_ERR_RANGE, "a tile has more than 2^32 words of synapses");
    }
    return spki_grow_words(net, b->tile, grown) ? SPK_OK : spki_no_memory(net, "synapses");
}

SPKI_FN spk_result spki_draw_all(spk_net *net, spki_build_job *job)
{
    spk_result result = SPK_OK;
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        result = spki_begin_tile(net, &job->build[t], &net->tile[t]);
    }
    for (bool more = true; more && result == SPK_OK;) {
        spki_parallel(net, spki_draw_task, job);
        more = false;
        for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
            more = more || job->build[t].result != SPK_OK;
            result = spki_continue_tile(net, &job->build[t]);
        }
    }
    return result;
}

/* Largest in-degree of any accumulator: with 16-bit weights and fewer than 65,536 synapses a
   32-bit sum cannot overflow, whatever the weights are set to later. */
SPKI_FN void spki_choose_accumulator(spk_net *net)
{
    uint32_t largest = 0;
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (size_t k = 0; k < (size_t)tile->lanes * tile->receptors; k++) {
            largest = SPKI_MAX(largest, tile->indegree[k]);
        }
    }
    net->accumulator_bits = net->desc.weight_bits == 16 && largest < 65536u ? 32 : 64;
}

/* Weights that share an accumulator share its quantum, and a named excitatory receptor takes no
   negative ones: refuses what would be lost without a word. */
SPKI_FN spk_result spki_check_weights(spk_net *net, const spki_projection *p, double quantum)
{
    const char *from = spki_view_name(net, &net->view[p->source]);
    const char *to = spki_view_name(net, &net->view[p->target]);
    if (p->typical > 0.0 && p->typical < 8.0 * quantum) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "connect \"%s\" -> \"%s\": weights of %g are lost beside those that share "
                         "their receptor (%u bits resolve %g)%s",
                         from, to, p->typical, net->desc.weight_bits, quantum,
                         net->desc.weight_bits == 16 ? "; use weight_bits = 32" : "");
    }
    if (p->receptor && p->magnitude && p->excitatory && p->lo < 0.0) {
        return spki_fail(
            net, SPK_ERR_RANGE,
            "connect \"%s\" -> \"%s\": receptor \"%s\" takes no negative weights, and %g "
            "may be drawn",
            from, to, p->receptor, p->lo);
    }
    return SPK_OK;
}

/* Tells each projection the quantum of the receptors it reaches: all have the same. */
SPKI_FN spk_result spki_set_quanta(spk_net *net)
{
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_projection *p = &net->projection[k];
        uint32_t n = 0, pos, neg;
        bool magnitude;
        while (n < net->populations &&
               !spki_view_meets(&net->view[p->target], &net->population[n])) {
            n++;
        }
        if (n == net->populations) {
            continue;
        }
        const spki_population *pop = &net->population[n];
        (void)spki_resolve_receptor(net, pop, p->receptor, &pos, &neg, &magnitude);
        p->excitatory = pop->model->input[pop->receptor_input[pos]].value < 1.5;
        const spk_result result = spki_check_weights(net, p, pop->quantum[pos]);
        if (result != SPK_OK) {
            return result;
        }
        spki_proj_set_quantum(&p->proj, pop->quantum[pos],
                              net->desc.weight_bits == 16 ? 32767 : 2147483647);
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_build_synapses(spk_net *net)
{
    char why[256] = "";
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_projection *p = &net->projection[k];
        const spk_result result = spki_proj_scan_weights(&net->mem, &p->proj, why, sizeof why);
        if (result != SPK_OK) {
            return result == SPK_ERR_OUT_OF_MEMORY
                       ? spki_no_memory(net, "a projection")
                       : spki_fail(net, result, "connect \"%s\" -> \"%s\": %s",
                                   spki_view_name(net, &net->view[p->source]),
                                   spki_view_name(net, &net->view[p->target]), why);
        }
        spki_proj_weight_range(&p->proj, &p->lo, &p->hi);
    }
    spki_choose_quanta(net);
    const spk_result fits = spki_set_quanta(net);
    if (fits != SPK_OK) {
        return fits;
    }
    spki_build_job job;
    job.tiles = net->tiles;
    job.threads = net->threads;
    job.build = (spki_tile_build *)spki_alloc(&net->mem, net->tiles, sizeof *job.build);
    if (!job.build) {
        return spki_no_memory(net, "tiles");
    }
    const spk_result result = spki_draw_all(net, &job);
    if (result == SPK_OK) {
        spki_choose_accumulator(net);
    }
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_end_tile(net, &job.build[t]);
    }
    spki_free(&net->mem, job.build, net->tiles, sizeof *job.build);
    for (uint32_t k = 0; k < net->projections; k++) { /* drawn: lists and tables have served */
        const spk_rule rule = net->projection[k].proj.rule;
        spki_proj_destroy(&net->mem, &net->projection[k].proj);
        net->projection[k].proj.rule = rule;
    }
    return result;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>update: one step of a tile's neurons ---- */

/* A block of neurons on its way through one step. */
typedef struct spki_block {
    spk_net *net;
    spki_tile *tile;
    const spki_population *pop;
    uint32_t population;
    uint32_t first, lanes, count; /* within the population; lanes a multiple of 64 */
    uint32_t lane;                /* within the tile */
    uint64_t step;
    const spki_lane_ops *ops;
    spki_scratch *scratch;
} spki_block;

SPKI_FN char *spki_block_buffer(const spki_block *b, uint32_t k)
{
    return b->scratch->buffer + (size_t)k * SPKI_UPDATE_BLOCK * b->net->real_size;
}

SPKI_FN double spki_get_real(const spki_block *b, const char *at, uint32_t k)
{
    if (b->net->real_size == 8) {
        double x;
        memcpy(&x, at + (size_t)k * 8, 8);
        return x;
    }
    float x;
    memcpy(&x, at + (size_t)k * 4, 4);
    return (double)x;
}

/* out[k] += x in the network's precision. */
SPKI_FN void spki_add_real(const spki_block *b, char *out, uint32_t k, double x)
{
    if (b->net->real_size == 8) {
        spki_put_real(b->net, out, k, spki_get_real(b, out, k) + x);
    } else {
        float f;
        memcpy(&f, out + (size_t)k * 4, 4);
        f = f + (float)x;
        memcpy(out + (size_t)k * 4, &f, 4);
    }
}

/* 64-bit accumulators: rare, so plain code. Each sum is converted with one rounding. */
SPKI_FN void spki_take_wide(const spki_block *b, int64_t *acc, char *out, double quantum)
{
    for (uint32_t k = 0; k < b->lanes; k++) {
        if (b->net->real_size == 8) {
            spki_put_real(b->net, out, k, (double)acc[k] * quantum);
        } else {
            const float f = (float)acc[k] * (float)quantum;
            memcpy(out + (size_t)k * 4, &f, 4);
        }
        acc[k] = 0;
    }
}

/* The lanes [lo, hi) of the block that a part of a drive covers; false: none. */
SPKI_FN bool spki_part_lanes(const spki_block *b, const spki_drive_part *part, uint32_t *lo,
                             uint32_t *hi)
{
    const uint32_t end = b->first + b->count, part_end = part->first + part->count;
    *lo = SPKI_MAX(part->first, b->first);
    *hi = SPKI_MIN(part_end, end);
    if (*lo >= *hi) {
        return false;
    }
    *lo -= b->first;
    *hi -= b->first;
    return true;
}

/* Adds a buffer's lanes: whole vectors where the drive covers the block (its padding is masked). */
SPKI_FN void spki_add_lanes(const spki_block *b, char *out, const char *add, uint32_t lo,
                            uint32_t hi)
{
    if (lo == 0 && hi == b->count) {
        b->ops->add(out, add, b->lanes);
        return;
    }
    for (uint32_t k = lo; k < hi; k++) {
        spki_add_real(b, out, k, spki_get_real(b, add, k));
    }
}

SPKI_FN void spki_block_words(const spki_block *b, uint64_t step, uint32_t stream)
{
    b->ops->words(b->scratch->words, b->lanes / SPKI_GROUP, b->first / SPKI_GROUP, step,
                  b->population << 16, stream, b->net->desc.seed);
}

/* Poisson events of one part of a drive that reach receptor r. */
SPKI_FN void spki_add_poisson(const spki_block *b, const spki_drive_part *part, uint32_t r,
                              char *out)
{
    const spki_drive *drive = &b->net->drive[part->drive];
    const bool plain = !drive->value.each && !drive->table_of;
    uint32_t lo, hi;
    if (r != part->receptor_pos && r != part->receptor_neg) {
        return;
    }
    if (plain && r != (drive->value.uniform < 0.0 ? part->receptor_neg : part->receptor_pos)) {
        return;
    }
    if (!spki_part_lanes(b, part, &lo, &hi)) {
        return;
    }
    spki_block_words(b, b->step, SPKI_STREAM_DRIVE | part->drive);
    if (plain) {
        const spki_poisson_table *t = &drive->table[0];
        const double w = part->magnitude && drive->value.uniform < 0.0 ? -drive->value.uniform
                                                                       : drive->value.uniform;
        char *tmp = spki_block_buffer(b, b->net->extent.inputs);
        b->ops->poisson(b->scratch->words, tmp, b->lanes, t, w);
        spki_add_lanes(b, out, tmp, lo, hi);
        return;
    }
    for (uint32_t k = lo; k < hi; k++) {
        const uint32_t index = part->index + b->first + k - part->first;
        const spki_poisson_table *t = &drive->table[drive->table_of ? drive->table_of[index] : 0];
        const double w = spki_param_at(&drive->value, index);
        const int32_t u = (int32_t)(b->scratch->words[k] ^ 0x80000000u);
        uint32_t events = 0;
        if (r != (w < 0.0 ? part->receptor_neg : part->receptor_pos)) {
            continue;
        }
        while (events < t->count && u >= t->threshold[events]) {
            events++;
        }
        const double amount = part->magnitude && w < 0.0 ? -w : w;
        if (b->net->real_size == 8) {
            spki_add_real(b, out, k, (double)(t->base + events) * amount);
        } else {
            spki_add_real(b, out, k, (double)((float)(t->base + events) * (float)amount));
        }
    }
}

/* What synapses, Poisson drives and the host bring to receptor r. */
SPKI_FN void spki_receptor_input(const spki_block *b, uint32_t r, char *out)
{
    const size_t at = (size_t)r * b->tile->lanes + b->lane;
    if (b->net->accumulator_bits == 32) {
        b->ops->take((int32_t *)b->tile->acc + at, out, b->lanes, b->pop->quantum[r]);
    } else {
        spki_take_wide(b, (int64_t *)b->tile->acc + at, out, b->pop->quantum[r]);
    }
    for (uint32_t k = 0; k < b->pop->parts; k++) {
        const spki_drive_part *part = &b->net->part[b->pop->part + k];
        const spki_drive *drive = &b->net->drive[part->drive];
        if (drive->kind == SPKI_DRIVE_POISSON && b->step >= drive->start && b->step < drive->stop) {
            spki_add_poisson(b, part, r, out);
        }
    }
    for (uint32_t k = 0; b->pop->has_amount && b->pop->amount[r] && k < b->count; k++) {
        spki_add_real(b, out, k, b->pop->amount[r][b->first + k]);
        b->pop->amount[r][b->first + k] = 0.0;
    }
}

/* The sum of all currents into `out`; false: there is none. */
SPKI_FN bool spki_current_input(const spki_block *b, char *out)
{
    bool any = b->pop->current != NULL;
    memset(out, 0, b->lanes * b->net->real_size);
    for (uint32_t k = 0; k < b->pop->parts; k++) {
        const spki_drive_part *part = &b->net->part[b->pop->part + k];
        const spki_drive *drive = &b->net->drive[part->drive];
        uint32_t lo, hi;
        if (drive->kind != SPKI_DRIVE_CURRENT || b->step < drive->start || b->step >= drive->stop ||
            !spki_part_lanes(b, part, &lo, &hi)) {
            continue;
        }
        any = true;
        for (uint32_t j = lo; j < hi; j++) {
            spki_add_real(b, out, j,
                          spki_param_at(&drive->value, part->index + b->first + j - part->first));
        }
        if (drive->noise_sd > 0.0) {
            char *tmp = spki_block_buffer(b, b->net->extent.inputs);
            spki_block_words(b, (b->step - drive->start) / drive->noise_steps,
                             SPKI_STREAM_DRIVE | part->drive);
            b->ops->normal(b->scratch->words, tmp, b->lanes, drive->noise_sd);
            spki_add_lanes(b, out, tmp, lo, hi);
        }
    }
    for (uint32_t k = 0; b->pop->current && k < b->count; k++) {
        spki_add_real(b, out, k, b->pop->current[b->first + k]);
    }
    return any;
}

SPKI_FN void spki_gather_inputs(const spki_block *b)
{
    const spk_model model = b->pop->model;
    spki_scratch *s = b->scratch;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < model->input_count; k++) {
        const int kind = (int)(model->input[k].value + 0.5);
        char *out = spki_block_buffer(b, k);
        s->input[k] = out;
        s->input_mask[k] = ~(size_t)0;
        if (kind <= SPK_INH) {
            spki_receptor_input(b, receptor++, out);
        } else if (kind == SPK_RANDOM) {
            spki_block_words(b, b->step, SPKI_STREAM_INPUT | k);
            b->ops->uniform(s->words, out, b->lanes);
        } else if (!spki_current_input(b, out)) {
            s->input[k] = s->zero;
            s->input_mask[k] = 0;
        }
    }
}

/* Random bits that round the 16-bit states: a word for each two of them. */
SPKI_FN void spki_gather_random(const spki_block *b)
{
    const uint32_t words = (b->pop->model->state_count + 1) / 2;
    for (uint32_t k = 0; k < words; k++) {
        b->ops->words(b->scratch->random + (size_t)k * SPKI_UPDATE_BLOCK, b->lanes / SPKI_GROUP,
                      b->first / SPKI_GROUP, b->step, b->population << 16, SPKI_STREAM_STORAGE | k,
                      b->net->desc.seed);
    }
}

/* Runs the model's kernel on the block; `spikes` gets a word for each 64 neurons. */
SPKI_FN void spki_update_block(const spki_block *b, uint64_t *spikes)
{
    const spk_model model = b->pop->model;
    spki_scratch *s = b->scratch;
    const uint32_t reals = model->param_count + model->derived_count;
    spki_gather_inputs(b);
    if (b->net->desc.precision == SPK_FLOAT16) {
        spki_gather_random(b);
    }
    for (uint32_t k = 0; k < reals; k++) {
        s->param_mask[k] = b->pop->real_mask[k];
        s->param[k] = b->pop->real[k] + (s->param_mask[k] & (b->first * b->net->real_size));
    }
    for (uint32_t k = 0; k < model->state_count; k++) {
        s->state[k] = b->pop->state[k] + (size_t)b->first * b->net->state_size;
    }
    spki_kernel_args args;
    args.groups = b->lanes / SPKI_GROUP;
    args.param = s->param;
    args.param_mask = s->param_mask;
    args.state = s->state;
    args.state_offset = b->pop->state_offset;
    args.input = s->input;
    args.input_mask = s->input_mask;
    args.random = s->random;
    args.random_stride = SPKI_UPDATE_BLOCK;
    args.spikes = spikes;
    args.dt = b->net->desc.dt_ms;
    model->kernel[b->net->isa][b->net->desc.precision](&args);
}

/* Adds the spikes that lists and the host ask for in this step. */
SPKI_FN void spki_add_told(spk_net *net, spki_piece *piece, uint64_t step, uint64_t *spikes)
{
    spki_population *pop = &net->population[piece->population];
    const uint64_t stamp = step + 1;
    while (piece->list_cursor < pop->list.count && pop->list.step[piece->list_cursor] <= stamp) {
        const size_t k = piece->list_cursor++;
        const uint32_t n = pop->list.neuron[k] - piece->first;
        if (pop->list.step[k] == stamp && n < piece->count) {
            spikes[n / 64] |= (uint64_t)1 << (n % 64);
        }
    }
    if (pop->has_forced) {
        const uint32_t base = piece->first / 64;
        for (uint32_t k = 0; k < (piece->count + 63) / 64; k++) {
            spikes[k] |= pop->forced[base + k];
            pop->forced[base + k] = 0;
        }
    }
}

/* One step of all neurons of a tile; their spikes go to the history and, as ids, to `out`. */
SPKI_FN uint32_t spki_update_tile(spk_net *net, spki_tile *tile, spki_scratch *scratch,
                                  uint64_t step, uint32_t *out)
{
    uint64_t *row = net->history + (size_t)(step & (net->ring - 1)) * (net->lanes / SPKI_GROUP);
    uint32_t n = 0;
    for (uint32_t p = 0; p < tile->pieces; p++) {
        spki_piece *piece = &tile->piece[p];
        const spki_population *pop = &net->population[piece->population];
        uint64_t *spikes = row + (pop->lane + piece->first) / SPKI_GROUP;
        const uint32_t lanes = (piece->count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP;
        spki_block b;
        b.net = net;
        b.tile = tile;
        b.pop = pop;
        b.population = piece->population;
        b.step = step;
        b.ops = spki_lanes(net->isa, net->real_size);
        b.scratch = scratch;
        for (uint32_t at = 0; at < lanes; at += SPKI_UPDATE_BLOCK) {
            b.first = piece->first + at;
            b.lane = piece->lane + at;
            b.lanes = SPKI_MIN(SPKI_UPDATE_BLOCK, lanes - at);
            b.count = SPKI_MIN(SPKI_UPDATE_BLOCK, piece->count - at);
            spki_update_block(&b, spikes + at / SPKI_GROUP);
        }
        if (piece->count % 64) {
            spikes[lanes / 64 - 1] &= ((uint64_t)1 << (piece->count % 64)) - 1;
        }
        spki_add_told(net, piece, step, spikes);
        const uint32_t id = pop->first + piece->first;
        for (uint32_t k = 0; k < lanes / 64; k++) {
            for (uint64_t word = spikes[k]; word; word &= word - 1) {
                out[n++] = id + k * 64 + (uint32_t)__builtin_ctzll(word);
            }
        }
    }
    tile->spikes += n;
    return n;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>deliver: from spikes to the accumulators of their targets ---- */

#define SPKI_NO_CHUNK UINT32_MAX
#define SPKI_AHEAD 10u /* buckets prefetched ahead: 8 to 12 were equally good on Zen 5 */

/* -- the three forms of a synapse and its accumulator -- */

SPKI_FN void spki_deliver_16(int32_t *acc, const uint32_t *s, uint32_t n)
{
    uint32_t k = 0;
    for (; k + 8 <= n; k += 8) {
        const uint32_t a = s[k], b = s[k + 1], c = s[k + 2], d = s[k + 3];
        const uint32_t e = s[k + 4], f = s[k + 5], g = s[k + 6], h = s[k + 7];
        acc[a & 0xffffu] += (int32_t)a >> 16;
        acc[b & 0xffffu] += (int32_t)b >> 16;
        acc[c & 0xffffu] += (int32_t)c >> 16;
        acc[d & 0xffffu] += (int32_t)d >> 16;
        acc[e & 0xffffu] += (int32_t)e >> 16;
        acc[f & 0xffffu] += (int32_t)f >> 16;
        acc[g & 0xffffu] += (int32_t)g >> 16;
        acc[h & 0xffffu] += (int32_t)h >> 16;
    }
    for (; k < n; k++) {
        acc[s[k] & 0xffffu] += (int32_t)s[k] >> 16;
    }
}

SPKI_FN void spki_deliver_16_wide(int64_t *acc, const uint32_t *s, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        acc[s[k] & 0xffffu] += (int32_t)s[k] >> 16;
    }
}

SPKI_FN void spki_deliver_32(int64_t *acc, const uint32_t *s, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        acc[s[2 * k]] += (int32_t)s[2 * k + 1];
    }
}

SPKI_INLINE void spki_deliver_bucket(const spk_net *net, spki_tile *tile, const uint32_t *s,
                                     uint32_t n)
{
    if (net->desc.weight_bits == 32) {
        spki_deliver_32((int64_t *)tile->acc, s, n);
    } else if (net->accumulator_bits == 32) {
        spki_deliver_16((int32_t *)tile->acc, s, n);
    } else {
        spki_deliver_16_wide((int64_t *)tile->acc, s, n);
    }
    tile->events += n;
}

SPKI_INLINE void spki_prefetch_bucket(const spki_tile *tile, spki_bucket b)
{
    const uint32_t *s = tile->words + b.at;
    __builtin_prefetch(s);
    __builtin_prefetch(s + 16);
    __builtin_prefetch(s + 32);
    __builtin_prefetch(s + 48);
}

/* -- arrivals -- */

/* Buckets of a row whose spikes did not fit into the chunks: found again in the history. */
SPKI_FN void spki_deliver_row(const spk_net *net, spki_tile *tile, uint32_t id, uint32_t delay)
{
    const uint32_t *row = tile->words + tile->row[id];
    const uint32_t buckets = row[0], per = net->desc.weight_bits == 32 ? 2 : 1;
    const uint32_t *s = row + 1 + buckets;
    for (uint32_t k = 0; k < buckets; k++) {
        const uint32_t d = row[1 + k] >> 20, n = row[1 + k] & SPKI_MAX_BUCKET;
        if (d == delay) {
            spki_deliver_bucket(net, tile, s, n);
        }
        s += (size_t)n * per;
    }
}

SPKI_FN void spki_deliver_deferred(const spk_net *net, spki_tile *tile, uint64_t step)
{
    const uint32_t mask = net->ring - 1;
    for (uint32_t delay = 1; delay <= tile->max_delay && delay <= step; delay++) {
        const uint64_t fired = step - delay;
        const uint64_t *row = net->history + (size_t)(fired & mask) * (net->lanes / SPKI_GROUP);
        if (!tile->deferred[fired & mask]) {
            continue;
        }
        for (uint32_t p = 0; p < net->populations; p++) {
            const spki_population *pop = &net->population[p];
            const uint64_t *words = row + pop->lane / SPKI_GROUP;
            for (uint32_t k = 0; k < pop->lanes / SPKI_GROUP; k++) {
                for (uint64_t w = words[k]; w; w &= w - 1) {
                    spki_deliver_row(net, tile, pop->first + k * 64 + (uint32_t)__builtin_ctzll(w),
                                     delay);
                }
            }
        }
    }
    if (step >= tile->max_delay && tile->deferred[(step - tile->max_delay) & mask]) {
        tile->deferred[(step - tile->max_delay) & mask] = 0;
        tile->deferred_count--;
    }
}

/* All that arrives in `step`, bucket by bucket; the next ones are on their way from memory. */
SPKI_FN void spki_deliver_step(const spk_net *net, spki_tile *tile, uint64_t step)
{
    const uint32_t slot = (uint32_t)step & (net->ring - 1);
    uint32_t at = tile->head[slot], last = SPKI_NO_CHUNK;
    if (at != SPKI_NO_CHUNK) {
        const spki_chunk *first = &tile->chunk[at];
        for (uint32_t k = 0; k < SPKI_MIN(first->count, SPKI_AHEAD); k++) {
            spki_prefetch_bucket(tile, first->item[k]);
        }
    }
    while (at != SPKI_NO_CHUNK) {
        const spki_chunk *c = &tile->chunk[at];
        const spki_chunk *next = c->next != SPKI_NO_CHUNK ? &tile->chunk[c->next] : NULL;
        for (uint32_t k = 0; k < c->count; k++) {
            const uint32_t ahead = k + SPKI_AHEAD;
            if (ahead < c->count) {
                spki_prefetch_bucket(tile, c->item[ahead]);
            } else if (next && ahead - c->count < next->count) {
                spki_prefetch_bucket(tile, next->item[ahead - c->count]);
            }
            spki_deliver_bucket(net, tile, tile->words + c->item[k].at, c->item[k].count);
        }
        tile->chunks_free++;
        last = at;
        at = c->next;
    }
    if (last != SPKI_NO_CHUNK) {
        tile->chunk[last].next = tile->free_chunk;
        tile->free_chunk = tile->head[slot];
        tile->head[slot] = tile->tail[slot] = SPKI_NO_CHUNK;
    }
    if (tile->deferred_count) {
        spki_deliver_deferred(net, tile, step);
    }
}

/* -- departures -- */

SPKI_FN void spki_push_bucket(spki_tile *tile, uint32_t slot, uint32_t at, uint32_t count)
{
    uint32_t k = tile->tail[slot];
    if (k == SPKI_NO_CHUNK || tile->chunk[k].count == SPKI_CHUNK_ITEMS) {
        const uint32_t fresh = tile->free_chunk;
        tile->free_chunk = tile->chunk[fresh].next;
        tile->chunks_free--;
        tile->chunk[fresh].next = SPKI_NO_CHUNK;
        tile->chunk[fresh].count = 0;
        if (k == SPKI_NO_CHUNK) {
            tile->head[slot] = fresh;
        } else {
            tile->chunk[k].next = fresh;
        }
        tile->tail[slot] = k = fresh;
    }
    spki_bucket *item = &tile->chunk[k].item[tile->chunk[k].count++];
    item->at = at;
    item->count = count;
}

/* Files the buckets of spikes of one step under the steps in which they arrive. */
SPKI_FN void spki_file_spikes(const spk_net *net, spki_tile *tile, const uint32_t *id, uint32_t n,
                              uint64_t step)
{
    const uint32_t mask = net->ring - 1, per = net->desc.weight_bits == 32 ? 2 : 1;
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t start = tile->row[id[k]];
        const uint32_t *row = tile->words + start;
        const uint32_t buckets = row[0];
        uint32_t at = start + 1 + buckets;
        for (uint32_t j = 0; j < buckets; j++) {
            const uint32_t header = row[1 + j], count = header & SPKI_MAX_BUCKET;
            spki_push_bucket(tile, (uint32_t)(step + (header >> 20)) & mask, at, count);
            at += count * per;
        }
    }
}

/* Buckets of these spikes; reading them also brings their headers near. */
SPKI_FN uint64_t spki_count_buckets(const spki_tile *tile, const uint32_t *id, uint32_t n)
{
    uint64_t buckets = 0;
    for (uint32_t from = 0; from < n; from += 32) {
        const uint32_t end = SPKI_MIN(n, from + 32);
        for (uint32_t k = from; k < end; k++) { /* all at once: a row's header is a few lines */
            const uint32_t *row = tile->words + tile->row[id[k]];
            __builtin_prefetch(row);
            __builtin_prefetch(row + 16);
            __builtin_prefetch(row + 32);
            __builtin_prefetch(row + 48);
        }
        for (uint32_t k = from; k < end; k++) {
            buckets += tile->words[tile->row[id[k]]];
        }
    }
    return buckets;
}

/* Files a whole slice of everybody's spikes for one tile. A step whose buckets might not fit into
   the free chunks (each arrival step may open one) is left to the history altogether. */
SPKI_FN void spki_file_slice(spk_net *net, spki_tile *tile, const spki_slice *slice)
{
    const uint32_t mask = net->ring - 1, parity = slice->parity;
    for (uint32_t s = 0; tile->synapses && s < slice->steps; s++) {
        const uint64_t step = slice->first + s;
        uint64_t buckets = 0;
        for (uint32_t t = 0; t < net->tiles; t++) {
            const spki_tile *from = &net->tile[t];
            const uint32_t at = from->spike_start[parity][s];
            buckets += spki_count_buckets(tile, from->spike[parity] + at,
                                          from->spike_start[parity][s + 1] - at);
        }
        if (SPKI_MIN(buckets, buckets / SPKI_CHUNK_ITEMS + tile->max_delay + 1) >
            tile->chunks_free) {
            tile->deferred[step & mask] = 1;
            tile->deferred_count++;
            continue;
        }
        for (uint32_t t = 0; t < net->tiles; t++) {
            const spki_tile *from = &net->tile[t];
            const uint32_t at = from->spike_start[parity][s];
            spki_file_spikes(net, tile, from->spike[parity] + at,
                             from->spike_start[parity][s + 1] - at, step);
        }
    }
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>record: recorders of spikes, states, rates and weights ---- */

#include <errno.h>

#define SPKI_FILE_BUFFER 65536u
#define SPKI_RING_DEFAULT 65536u

SPKI_FN size_t spki_rec_item_size(const struct spk_rec_data *rec)
{
    return rec->kind == SPK_REC_SPIKES ? sizeof(spk_spike) : rec->width * sizeof(double);
}

/* -- making one -- */

SPKI_FN void spki_free_recorder(spk_net *net, spk_rec rec)
{
    spki_mem *mem = &net->mem;
    if (rec->file) {
        fclose(rec->file);
    }
    spki_free(mem, rec->items, rec->capacity, SPKI_MAX(spki_rec_item_size(rec), (size_t)1));
    spki_free(mem, rec->row_step, rec->capacity, sizeof(uint64_t));
    spki_free(mem, rec->buffer, rec->buffer_size, 1);
    spki_free(mem, rec->staging[0], rec->width * SPKI_MAX_SLICE, sizeof(double));
    spki_free(mem, rec->staging[1], rec->width * SPKI_MAX_SLICE, sizeof(double));
    spki_free(mem, rec->synapse, rec->width, sizeof *rec->synapse);
    spki_free_string(mem, rec->path);
    spki_free_string(mem, rec->state);
    spki_free(mem, rec, 1, sizeof *rec);
}

/* Every population of the view must have the state or parameter. */
SPKI_FN spk_result spki_check_state(spk_net *net, const spki_view *view, const char *name)
{
    if (!name) {
        return spki_fail(net, SPK_ERR_NULL, "record: no state named");
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        if (spki_view_below(view, pop->first + pop->count) > spki_view_below(view, pop->first) &&
            spki_find_field(pop->model->state, pop->model->state_count, name) < 0 &&
            spki_find_field(pop->model->param, pop->model->param_count, name) < 0) {
            return spki_unknown_name(net, pop, name);
        }
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_check_recorder(spk_net *net, const spki_view *view, const spk_rec_desc *d)
{
    if (d->begin_sentinel || d->end_sentinel) {
        return spki_fail(net, SPK_ERR_UNINITIALISED,
                         "record: the descriptor's sentinels are not 0: start it with = {0}");
    }
    if ((int)d->kind < 0 || d->kind > SPK_REC_WEIGHTS || (int)d->sink < 0 ||
        d->sink > SPK_SINK_FILE) {
        return spki_fail(net, SPK_ERR_RANGE, "record: kind %d or sink %d is none", (int)d->kind,
                         (int)d->sink);
    }
    if (!(d->interval_ms >= 0.0) || !(d->interval_ms / net->desc.dt_ms < 9e15) ||
        (d->interval_ms > 0.0 && d->interval_ms / net->desc.dt_ms < 0.5)) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "record: interval_ms = %g is less than a step (%g ms) or none",
                         d->interval_ms, net->desc.dt_ms);
    }
    if (d->sink == SPK_SINK_CALLBACK && !d->callback) {
        return spki_fail(net, SPK_ERR_NULL, "record: the callback is NULL");
    }
    if (d->sink == SPK_SINK_FILE && !d->path) {
        return spki_fail(net, SPK_ERR_NULL, "record: the path is NULL");
    }
    if (d->kind == SPK_REC_WEIGHTS && !spki_view_of(net, d->post)) {
        return spki_fail(net, SPK_ERR_HANDLE, "record: weights need the postsynaptic population");
    }
    return d->kind == SPK_REC_STATE ? spki_check_state(net, view, d->state) : SPK_OK;
}

/* Memory that a sink needs from the start; `width` is known. */
SPKI_FN spk_result spki_rec_allocate(spk_net *net, spk_rec rec)
{
    spki_mem *mem = &net->mem;
    const size_t size = SPKI_MAX(spki_rec_item_size(rec), (size_t)1);
    size_t capacity = rec->capacity;
    if (rec->sink == SPK_SINK_RING && !capacity) {
        capacity = SPKI_RING_DEFAULT;
    }
    if (rec->sink == SPK_SINK_CALLBACK) { /* the spikes of one step */
        capacity = rec->kind == SPK_REC_SPIKES ? net->view[rec->view].size : 1;
    }
    if (rec->sink == SPK_SINK_FILE) {
        capacity = 0;
        rec->buffer_size = SPKI_MAX((size_t)SPKI_FILE_BUFFER, rec->width * 8);
        rec->buffer = (unsigned char *)spki_alloc(mem, rec->buffer_size, 1);
        if (!rec->buffer) {
            return spki_no_memory(net, "a recorder");
        }
    }
    rec->capacity = 0;
    if (capacity) {
        rec->items = spki_alloc_raw(mem, capacity, size);
        rec->row_step = rec->kind == SPK_REC_SPIKES
                            ? NULL
                            : (uint64_t *)spki_alloc_raw(mem, capacity, sizeof(uint64_t));
        if (!rec->items || (rec->kind != SPK_REC_SPIKES && !rec->row_step)) {
            spki_free(mem, rec->items, capacity, size);
            spki_free(mem, rec->row_step, capacity, sizeof(uint64_t));
            rec->items = NULL;
            rec->row_step = NULL;
            return spki_no_memory(net, "a recorder");
        }
        rec->capacity = capacity;
    }
    if (rec->kind != SPK_REC_SPIKES) {
        const size_t rows = rec->width * SPKI_MAX_SLICE;
        rec->staging[0] = (double *)spki_alloc(mem, rows, sizeof(double));
        rec->staging[1] = (double *)spki_alloc(mem, rows, sizeof(double));
        if (!rec->staging[0] || !rec->staging[1]) {
            return spki_no_memory(net, "a recorder");
        }
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_open_recorder(spk_net *net, spk_rec rec, const spk_rec_desc *d)
{
    if (d->kind == SPK_REC_STATE && !(rec->state = spki_copy_string(&net->mem, d->state))) {
        return spki_no_memory(net, "a recorder");
    }
    if (d->sink == SPK_SINK_FILE) {
        if (!(rec->path = spki_copy_string(&net->mem, d->path))) {
            return spki_no_memory(net, "a recorder");
        }
        rec->file = fopen(d->path, "wb");
        if (!rec->file) {
            return spki_fail(net, SPK_ERR_IO, "record: \"%s\" cannot be opened: %s", d->path,
                             strerror(errno));
        }
        setvbuf(rec->file, NULL, _IONBF, 0); /* our buffer knows what was not written */
    }
    if (rec->kind == SPK_REC_WEIGHTS && !net->built) {
        return SPK_OK; /* its width is known once the synapses are drawn */
    }
    if (rec->kind == SPK_REC_WEIGHTS) {
        const spk_result result = spki_rec_find_synapses(net, rec);
        if (result != SPK_OK) {
            return result;
        }
    }
    return spki_rec_allocate(net, rec);
}

SPIKELIB_API spk_rec spk_net_record(spk_net *net, spk_pop pop, const spk_rec_desc *desc)
{
    spk_rec_desc none;
    memset(&none, 0, sizeof none);
    desc = desc ? desc : &none;
    if (!net || net->status != SPK_OK) {
        return NULL;
    }
    const spki_view *view = spki_check_view(net, pop, "record");
    if (!view || spki_check_recorder(net, view, desc) != SPK_OK) {
        return NULL;
    }
    void *items = net->recorder;
    if (!spki_grow(&net->mem, &items, net->recorders, &net->recorder_capacity,
                   sizeof *net->recorder)) {
        (void)spki_no_memory(net, "a recorder");
        return NULL;
    }
    net->recorder = (spk_rec *)items;
    spk_rec rec = (spk_rec)spki_alloc(&net->mem, 1, sizeof *rec);
    if (!rec) {
        (void)spki_no_memory(net, "a recorder");
        return NULL;
    }
    const double interval = desc->interval_ms > 0.0      ? desc->interval_ms
                            : desc->kind == SPK_REC_RATE ? SPKI_MAX(1.0, net->desc.dt_ms)
                                                         : net->desc.dt_ms;
    rec->net = net;
    rec->kind = desc->kind;
    rec->sink = desc->sink;
    rec->view = pop.index - 1;
    rec->post = desc->post.index - 1;
    rec->every = (uint64_t)(interval / net->desc.dt_ms + 0.5);
    rec->width = desc->kind == SPK_REC_RATE ? 1 : view->size;
    rec->capacity = desc->capacity;
    rec->grows = desc->sink == SPK_SINK_MEMORY && desc->capacity == 0;
    rec->callback = desc->callback;
    rec->ctx = desc->ctx;
    rec->start_step = rec->next_step = net->step;
    spk_digest_begin(&rec->digest);
    if (spki_open_recorder(net, rec, desc) != SPK_OK) {
        spki_free_recorder(net, rec);
        return NULL;
    }
    net->recorder[net->recorders++] = rec;
    return rec;
}

SPIKELIB_API spk_rec spk_net_record_spikes(spk_net *net, spk_pop pop)
{
    return spk_net_record(net, pop, NULL);
}

/* -- sinks: each takes one item or refuses it, and loses none -- */

/* Room for one more item in memory; only a recorder without a capacity grows. */
SPKI_FN spk_result spki_rec_room(spk_rec rec, bool grows)
{
    spk_net *net = rec->net;
    const size_t size = SPKI_MAX(spki_rec_item_size(rec), (size_t)1);
    if (rec->count < rec->capacity) {
        return SPK_OK;
    }
    if (!grows) {
        return SPK_ERR_FULL;
    }
    const size_t first = SPKI_MAX((size_t)65536 / size, (size_t)16); /* rows may be long */
    const size_t more = SPKI_MAX(first, rec->capacity * 2);
    void *items = spki_alloc_raw(&net->mem, more, size);
    uint64_t *steps = rec->kind == SPK_REC_SPIKES
                          ? NULL
                          : (uint64_t *)spki_alloc_raw(&net->mem, more, sizeof(uint64_t));
    if (!items || (rec->kind != SPK_REC_SPIKES && !steps)) {
        spki_free(&net->mem, items, more, size);
        spki_free(&net->mem, steps, more, sizeof(uint64_t));
        return SPK_ERR_OUT_OF_MEMORY;
    }
    if (rec->count) {
        memcpy(items, rec->items, rec->count * size);
        if (steps) {
            memcpy(steps, rec->row_step, rec->count * sizeof(uint64_t));
        }
    }
    spki_free(&net->mem, rec->items, rec->capacity, size);
    spki_free(&net->mem, rec->row_step, rec->capacity, sizeof(uint64_t));
    rec->items = items;
    rec->row_step = steps;
    rec->capacity = more;
    return SPK_OK;
}

/* Writes what is buffered; what the disk did not take stays. */
SPKI_FN spk_result spki_rec_flush(spk_rec rec)
{
    if (!rec->file || !rec->buffered) {
        return SPK_OK;
    }
    const size_t n = fwrite(rec->buffer, 1, rec->buffered, rec->file);
    memmove(rec->buffer, rec->buffer + n, rec->buffered - n);
    rec->buffered -= n;
    if (!rec->buffered) {
        return SPK_OK;
    }
    clearerr(rec->file);
    return SPK_ERR_IO;
}

/* Buffers a whole item, or refuses it: a full disk leaves it to be written again. */
SPKI_FN spk_result spki_rec_write(spk_rec rec, const void *data, size_t size)
{
    if (size > rec->buffer_size - rec->buffered && spki_rec_flush(rec) != SPK_OK &&
        size > rec->buffer_size - rec->buffered) {
        return SPK_ERR_IO;
    }
    memcpy(rec->buffer + rec->buffered, data, size);
    rec->buffered += size;
    return SPK_OK;
}

SPKI_FN void spki_spike_bytes(unsigned char out[12], uint64_t step, uint32_t neuron)
{
    for (int k = 0; k < 8; k++) {
        out[k] = (unsigned char)(step >> (8 * k));
    }
    for (int k = 0; k < 4; k++) {
        out[8 + k] = (unsigned char)(neuron >> (8 * k));
    }
}

/* An item into memory (appended) or into a ring (which another thread may be emptying). */
SPKI_FN spk_result spki_rec_keep(spk_rec rec, uint64_t step, const void *item)
{
    const size_t size = spki_rec_item_size(rec);
    size_t at = rec->count;
    if (rec->sink == SPK_SINK_RING) {
        const size_t head = __atomic_load_n(&rec->head, __ATOMIC_ACQUIRE);
        if (rec->tail - head == rec->capacity) {
            return SPK_ERR_FULL;
        }
        at = rec->tail % rec->capacity;
    } else {
        const spk_result room = spki_rec_room(rec, rec->grows);
        if (room != SPK_OK) {
            return room;
        }
    }
    memcpy((char *)rec->items + at * size, item, size);
    if (rec->row_step) {
        rec->row_step[at] = step;
    }
    if (rec->sink == SPK_SINK_RING) {
        __atomic_store_n(&rec->tail, rec->tail + 1, __ATOMIC_RELEASE);
    } else {
        rec->count++;
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_rec_spike(spk_rec rec, uint64_t stamp, uint32_t neuron)
{
    unsigned char bytes[12];
    spki_spike_bytes(bytes, stamp, neuron);
    spk_result result = SPK_OK;
    if (rec->sink == SPK_SINK_FILE) {
        result = spki_rec_write(rec, bytes, 12);
    } else {
        spk_spike spike;
        spike.step = stamp;
        spike.neuron = neuron;
        spike.reserved = 0;
        result = spki_rec_keep(rec, stamp, &spike);
    }
    if (result == SPK_OK) {
        spk_digest_update(&rec->digest, bytes, 12);
        rec->total++;
    }
    return result;
}

SPKI_FN spk_result spki_rec_row(spk_rec rec, uint64_t stamp, const double *row)
{
    spk_result result = SPK_OK;
    if (rec->sink == SPK_SINK_CALLBACK) {
        result = rec->callback(rec->ctx, stamp, row, rec->width) ? SPK_OK : SPK_ERR_FULL;
    } else if (rec->sink == SPK_SINK_FILE) {
        result = spki_rec_write(rec, row, rec->width * 8);
    } else {
        result = spki_rec_keep(rec, stamp, row);
    }
    rec->total += result == SPK_OK;
    return result;
}

/* -- from a finished slice to the sinks, on the caller's thread -- */

/* All spikes of one step of a slice that the recorder wants, from its cursor on. */
SPKI_FN spk_result spki_rec_step_spikes(spk_rec rec, uint32_t parity, uint32_t s, uint64_t stamp)
{
    const spk_net *net = rec->net;
    const spki_view *view = &net->view[rec->view];
    const bool call = rec->sink == SPK_SINK_CALLBACK && rec->kind == SPK_REC_SPIKES;
    size_t seen = 0;
    rec->count = call ? 0 : rec->count;
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (uint32_t k = tile->spike_start[parity][s]; k < tile->spike_start[parity][s + 1]; k++) {
            const uint32_t id = tile->spike[parity][k];
            if (spki_view_index(view, id) == UINT32_MAX || seen++ < rec->cursor) {
                continue;
            }
            if (rec->kind == SPK_REC_RATE) {
                rec->bin_spikes++;
            } else if (call) {
                spk_spike *spike = (spk_spike *)rec->items + rec->count++;
                spike->step = stamp;
                spike->neuron = id;
                spike->reserved = 0;
            } else {
                const spk_result result = spki_rec_spike(rec, stamp, id);
                if (result != SPK_OK) {
                    return result;
                }
            }
            rec->cursor = call ? rec->cursor : seen;
        }
    }
    if (call && rec->count) {
        if (!rec->callback(rec->ctx, stamp, rec->items, rec->count)) {
            return SPK_ERR_FULL;
        }
        const spk_spike *spike = (const spk_spike *)rec->items;
        for (size_t k = 0; k < rec->count; k++) {
            unsigned char bytes[12];
            spki_spike_bytes(bytes, stamp, spike[k].neuron);
            spk_digest_update(&rec->digest, bytes, 12);
        }
        rec->total += rec->count;
    }
    return SPK_OK;
}

/* The row of a slice's staging that holds the sample taken at `stamp`. */
SPKI_FN uint32_t spki_rec_staging_row(const struct spk_rec_data *rec, uint64_t first,
                                      uint64_t stamp)
{
    const uint64_t before = first < rec->start_step ? 0 : (first - rec->start_step) / rec->every;
    return (uint32_t)((stamp - rec->start_step) / rec->every - before - 1);
}

SPKI_FN bool spki_rec_due(const struct spk_rec_data *rec, uint64_t stamp)
{
    return stamp > rec->start_step && (stamp - rec->start_step) % rec->every == 0;
}

SPKI_FN spk_result spki_rec_step(spk_rec rec, uint32_t parity, uint32_t s, uint64_t first)
{
    const uint64_t stamp = first + s + 1;
    spk_result result = SPK_OK;
    if (rec->kind == SPK_REC_SPIKES || rec->kind == SPK_REC_RATE) {
        result = spki_rec_step_spikes(rec, parity, s, stamp);
    }
    if (result != SPK_OK || rec->kind == SPK_REC_SPIKES || !spki_rec_due(rec, stamp)) {
        return result;
    }
    const double *row = rec->staging[parity];
    const double seconds = (double)rec->every * rec->net->desc.dt_ms * 1e-3;
    const uint32_t size = rec->net->view[rec->view].size;
    const double rate = size ? (double)rec->bin_spikes / (seconds * (double)size) : 0.0;
    if (rec->kind == SPK_REC_RATE) {
        row = &rate;
    } else if (rec->kind == SPK_REC_STATE) {
        row += (size_t)spki_rec_staging_row(rec, first, stamp) * rec->width;
    }
    result = spki_rec_row(rec, stamp, row);
    rec->bin_spikes = result == SPK_OK ? 0 : rec->bin_spikes;
    return result;
}

/* Gives a slice to all recorders; goes on where an earlier attempt stopped. */
SPKI_FN spk_result spki_record_slice(spk_net *net, uint32_t parity)
{
    const uint64_t first = net->pending[parity].first;
    for (uint32_t r = 0; r < net->recorders; r++) {
        spk_rec rec = net->recorder[r];
        while (rec->next_step < first + net->pending[parity].steps) {
            const uint32_t s = rec->next_step < first ? 0 : (uint32_t)(rec->next_step - first);
            const spk_result result = spki_rec_step(rec, parity, s, first);
            if (result != SPK_OK) {
                return result == SPK_ERR_IO
                           ? spki_fail(net, result, "record: \"%s\" cannot be written: %s",
                                       rec->path, strerror(errno))
                       : result == SPK_ERR_OUT_OF_MEMORY
                           ? spki_no_memory(net, "recorded data")
                           : spki_fail(net, result, "a recorder of \"%s\" is full (%llu recorded)",
                                       spki_view_name(net, &net->view[rec->view]),
                                       (spki_llu)rec->total);
            }
            rec->cursor = 0;
            rec->next_step = first + s + 1;
        }
    }
    net->pending[parity].steps = 0;
    return SPK_OK;
}

/* Samples the weights as they are when a slice ends, whenever its recorder takes them. */
SPKI_FN void spki_sample_weights(spk_net *net, uint32_t parity)
{
    for (uint32_t r = 0; r < net->recorders; r++) {
        const struct spk_rec_data *rec = net->recorder[r];
        bool due = false;
        for (uint32_t s = 0; rec->kind == SPK_REC_WEIGHTS && s < net->pending[parity].steps; s++) {
            due = due || spki_rec_due(rec, net->pending[parity].first + s + 1);
        }
        if (due) {
            spki_rec_read_weights(rec, rec->staging[parity]);
        }
    }
}

/* Elements [lo, hi) of a view, all of one population, into their places of a row. */
SPKI_FN void spki_sample_piece(const spk_net *net, const spki_population *pop, const char *name,
                               const spki_view *view, uint32_t lo, uint32_t hi, double *row)
{
    const int s = spki_find_field(pop->model->state, pop->model->state_count, name);
    const int q = spki_find_field(pop->model->param, pop->model->param_count, name);
    const spki_param *base = s >= 0 ? spki_state_base(pop, (uint32_t)s) : NULL;
    uint32_t r = spki_view_range(view, lo);
    for (uint32_t k = lo; k < hi; k++) {
        r += k - view->range[r].before == view->range[r].count;
        const uint32_t n = view->range[r].first + (k - view->range[r].before) - pop->first;
        row[k] = s < 0  ? spki_param_at(&pop->param[q], n)
                 : base ? spki_stored_state(net, pop, (uint32_t)s, n) + spki_param_at(base, n)
                        : spki_stored_state(net, pop, (uint32_t)s, n);
    }
}

/* Samples the states of one tile at the end of a step. Thread: the tile's. */
SPKI_FN void spki_sample_tile(spk_net *net, const spki_tile *tile, const spki_slice *slice,
                              uint64_t step)
{
    for (uint32_t r = 0; r < net->recorders; r++) {
        struct spk_rec_data *rec = net->recorder[r];
        const spki_view *view = &net->view[rec->view];
        if (rec->kind != SPK_REC_STATE || !spki_rec_due(rec, step + 1)) {
            continue;
        }
        double *row = rec->staging[slice->parity] +
                      (size_t)spki_rec_staging_row(rec, slice->first, step + 1) * rec->width;
        for (uint32_t p = 0; p < tile->pieces; p++) {
            const spki_piece *piece = &tile->piece[p];
            const spki_population *pop = &net->population[piece->population];
            const uint32_t id = pop->first + piece->first;
            const uint32_t lo = spki_view_below(view, id),
                           hi = spki_view_below(view, id + piece->count);
            if (lo == hi) {
                continue;
            }
            spki_sample_piece(net, pop, rec->state, view, lo, hi, row);
        }
    }
}

/* -- reading -- */

SPIKELIB_API const spk_spike *spk_rec_spikes(spk_rec rec, size_t *count)
{
    const bool have = rec && rec->kind == SPK_REC_SPIKES && rec->sink == SPK_SINK_MEMORY;
    if (count) {
        *count = have ? rec->count : 0;
    }
    return have ? (const spk_spike *)rec->items : NULL;
}

SPIKELIB_API const double *spk_rec_samples(spk_rec rec, size_t *rows, size_t *width)
{
    const bool have = rec && rec->kind != SPK_REC_SPIKES && rec->sink == SPK_SINK_MEMORY;
    if (rows) {
        *rows = have ? rec->count : 0;
    }
    if (width) {
        *width = have ? rec->width : 0;
    }
    return have ? (const double *)rec->items : NULL;
}

SPIKELIB_API uint64_t spk_rec_sample_step(spk_rec rec, size_t row)
{
    return rec && rec->row_step && rec->sink == SPK_SINK_MEMORY && row < rec->count
               ? rec->row_step[row]
               : 0;
}

SPIKELIB_API void spk_rec_clear(spk_rec rec)
{
    if (rec && rec->sink == SPK_SINK_MEMORY) {
        rec->count = 0;
    }
}

SPIKELIB_API size_t spk_rec_read(spk_rec rec, void *items, size_t count)
{
    if (!rec || !items || rec->sink != SPK_SINK_RING) {
        return 0;
    }
    const size_t size = spki_rec_item_size(rec), head = rec->head;
    const size_t have = __atomic_load_n(&rec->tail, __ATOMIC_ACQUIRE) - head;
    const size_t n = SPKI_MIN(count, have);
    for (size_t k = 0; k < n; k++) {
        memcpy((char *)items + k * size,
               (const char *)rec->items + (head + k) % rec->capacity * size, size);
    }
    __atomic_store_n(&rec->head, head + n, __ATOMIC_RELEASE);
    return n;
}

SPIKELIB_API uint64_t spk_rec_count(spk_rec rec)
{
    return rec ? rec->total : 0;
}

SPIKELIB_API double spk_rec_rate_hz(spk_rec rec)
{
    if (!rec || rec->kind != SPK_REC_SPIKES || rec->next_step <= rec->start_step ||
        !rec->net->view[rec->view].size) {
        return 0.0;
    }
    const double seconds = (double)(rec->next_step - rec->start_step) * rec->net->desc.dt_ms * 1e-3;
    return (double)rec->total / (seconds * (double)rec->net->view[rec->view].size);
}

SPIKELIB_API uint64_t spk_rec_digest(spk_rec rec)
{
    return rec ? spk_digest_value(&rec->digest) : 0;
}

SPIKELIB_API double spk_rec_dt_ms(spk_rec rec)
{
    return rec ? rec->net->desc.dt_ms : 0.0;
}

SPIKELIB_API uint32_t spk_rec_first_id(spk_rec rec)
{
    const spki_view *view = rec ? &rec->net->view[rec->view] : NULL;
    return view && view->ranges ? view->range[0].first : 0;
}

SPIKELIB_API uint32_t spk_rec_end_id(spk_rec rec)
{
    const spki_view *view = rec ? &rec->net->view[rec->view] : NULL;
    return view && view->ranges
               ? view->range[view->ranges - 1].first + view->range[view->ranges - 1].count
               : 0;
}

SPIKELIB_API size_t spk_rec_width(spk_rec rec)
{
    return rec ? rec->kind == SPK_REC_SPIKES ? rec->net->view[rec->view].size : rec->width : 0;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>assemble: building a network, and what stepping needs, allocated once ---- */

SPKI_FN void spki_free_scratch(spk_net *net)
{
    const spki_extent *x = &net->extent;
    spki_mem *mem = &net->mem;
    for (uint32_t k = 0; net->scratch && k < net->threads; k++) {
        spki_scratch *s = &net->scratch[k];
        spki_free(mem, s->param, x->reals, sizeof *s->param);
        spki_free(mem, s->param_mask, x->reals, sizeof *s->param_mask);
        spki_free(mem, s->state, x->states, sizeof *s->state);
        spki_free(mem, s->input, x->inputs, sizeof *s->input);
        spki_free(mem, s->input_mask, x->inputs, sizeof *s->input_mask);
        spki_free(mem, s->buffer, (size_t)(x->inputs + 1) * SPKI_UPDATE_BLOCK, net->real_size);
        spki_free(mem, s->words, SPKI_UPDATE_BLOCK, sizeof *s->words);
        spki_free(mem, s->random, (size_t)(x->states + 1) / 2 * SPKI_UPDATE_BLOCK,
                  sizeof *s->random);
        spki_free(mem, s->zero, 64, 1);
    }
    spki_free(mem, net->scratch, net->threads, sizeof *net->scratch);
    net->scratch = NULL;
}

SPKI_FN spk_result spki_make_scratch(spk_net *net)
{
    spki_extent *x = &net->extent;
    spki_mem *mem = &net->mem;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spk_model m = net->population[p].model;
        x->reals = SPKI_MAX(x->reals, m->param_count + m->derived_count);
        x->states = SPKI_MAX(x->states, m->state_count);
        x->inputs = SPKI_MAX(x->inputs, m->input_count);
    }
    net->scratch = (spki_scratch *)spki_alloc(mem, net->threads, sizeof *net->scratch);
    for (uint32_t k = 0; net->scratch && k < net->threads; k++) {
        spki_scratch *s = &net->scratch[k];
        s->param = (const char **)spki_alloc(mem, x->reals, sizeof *s->param);
        s->param_mask = (size_t *)spki_alloc(mem, x->reals, sizeof *s->param_mask);
        s->state = (char **)spki_alloc(mem, x->states, sizeof *s->state);
        s->input = (const char **)spki_alloc(mem, x->inputs, sizeof *s->input);
        s->input_mask = (size_t *)spki_alloc(mem, x->inputs, sizeof *s->input_mask);
        s->buffer =
            (char *)spki_alloc(mem, (size_t)(x->inputs + 1) * SPKI_UPDATE_BLOCK, net->real_size);
        s->words = (uint32_t *)spki_alloc(mem, SPKI_UPDATE_BLOCK, sizeof *s->words);
        s->random = (uint32_t *)spki_alloc(mem, (size_t)(x->states + 1) / 2 * SPKI_UPDATE_BLOCK,
                                           sizeof *s->random);
        s->zero = (char *)spki_alloc(mem, 64, 1);
        if (!s->param || !s->param_mask || !s->state || !s->input || !s->input_mask || !s->buffer ||
            !s->words || !s->random || !s->zero) {
            return spki_no_memory(net, "a thread");
        }
    }
    return net->scratch ? SPK_OK : spki_no_memory(net, "threads");
}

SPKI_FN void spki_free_tile(spk_net *net, spki_tile *tile)
{
    spki_mem *mem = &net->mem;
    const size_t slots = (size_t)tile->lanes * SPKI_MAX(tile->receptors, 1u);
    spki_free(mem, tile->acc, slots, net->accumulator_bits / 8);
    spki_free(mem, tile->words, tile->words_capacity, sizeof *tile->words);
    spki_free(mem, tile->row, net->neurons, sizeof *tile->row);
    spki_free(mem, tile->chunk, tile->chunks, sizeof *tile->chunk);
    spki_free(mem, tile->head, net->ring, sizeof *tile->head);
    spki_free(mem, tile->tail, net->ring, sizeof *tile->tail);
    spki_free(mem, tile->deferred, net->ring, 1);
    spki_free(mem, tile->spike[0], (size_t)tile->lanes * net->slice_max, sizeof(uint32_t));
    spki_free(mem, tile->spike[1], (size_t)tile->lanes * net->slice_max, sizeof(uint32_t));
    spki_free(mem, tile->indegree, slots, sizeof(uint32_t));
    spki_free(mem, tile->piece, net->populations, sizeof *tile->piece);
}

/* Buckets on their way: room for half the buckets of the tile, as if every second neuron had just
   spiked, or an eighth where that is a lot. Beyond that the history takes over. */
SPKI_FN spk_result spki_make_queue(spk_net *net, spki_tile *tile)
{
    spki_mem *mem = &net->mem;
    const uint64_t half = tile->buckets / 126, few = 131072; /* 64 MB */
    const uint64_t most = SPKI_MAX(SPKI_MIN(half, few), half / 8) + 2 * (uint64_t)net->ring + 8;
    tile->chunks = (uint32_t)SPKI_MIN(most, (uint64_t)0x7fffffff);
    tile->chunk = (spki_chunk *)spki_alloc_raw(mem, tile->chunks, sizeof *tile->chunk);
    tile->head = (uint32_t *)spki_alloc(mem, net->ring, sizeof *tile->head);
    tile->tail = (uint32_t *)spki_alloc(mem, net->ring, sizeof *tile->tail);
    tile->deferred = (uint8_t *)spki_alloc(mem, net->ring, 1);
    if (!tile->chunk || !tile->head || !tile->tail || !tile->deferred) {
        return spki_no_memory(net, "spikes on their way");
    }
    for (uint32_t k = 0; k < tile->chunks; k++) {
        tile->chunk[k].next = k + 1 < tile->chunks ? k + 1 : SPKI_NO_CHUNK;
    }
    for (uint32_t k = 0; k < net->ring; k++) {
        tile->head[k] = tile->tail[k] = SPKI_NO_CHUNK;
    }
    tile->free_chunk = 0;
    tile->chunks_free = tile->chunks;
    return SPK_OK;
}

/* Gives back what the estimate of the words was too large by, where that is worth a copy. */
SPKI_FN void spki_trim_words(spk_net *net, spki_tile *tile)
{
    if (tile->words_capacity > tile->words_used + tile->words_used / 16 + 4096 &&
        tile->words_used < (size_t)16 << 20) {
        (void)spki_grow_words(net, tile, tile->words_used);
    }
}

SPKI_FN spk_result spki_make_run_memory(spk_net *net)
{
    spki_mem *mem = &net->mem;
    net->min_delay = UINT32_MAX;
    for (uint32_t t = 0; t < net->tiles; t++) {
        net->min_delay = SPKI_MIN(net->min_delay, net->tile[t].min_delay);
        net->max_delay = SPKI_MAX(net->max_delay, net->tile[t].max_delay);
    }
    net->slice_max = SPKI_MIN(net->min_delay, SPKI_MAX_SLICE);
    while (net->slice_max > 1 && (uint64_t)net->slice_max * net->lanes > (uint64_t)1 << 22) {
        net->slice_max /= 2;
    }
    net->min_delay = net->min_delay == UINT32_MAX ? 0 : net->min_delay;
    for (net->ring = 2; net->ring < net->max_delay + net->slice_max + 1; net->ring *= 2) {
    }
    net->history = (uint64_t *)spki_alloc(mem, (size_t)net->ring * (net->lanes / SPKI_GROUP),
                                          sizeof(uint64_t));
    if (!net->history) {
        return spki_no_memory(net, "the spikes of the last steps");
    }
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        const size_t slots = (size_t)tile->lanes * SPKI_MAX(tile->receptors, 1u);
        spki_trim_words(net, tile);
        tile->acc = spki_alloc(mem, slots, net->accumulator_bits / 8);
        tile->spike[0] =
            (uint32_t *)spki_alloc_raw(mem, (size_t)tile->lanes * net->slice_max, sizeof(uint32_t));
        tile->spike[1] =
            (uint32_t *)spki_alloc_raw(mem, (size_t)tile->lanes * net->slice_max, sizeof(uint32_t));
        if (!tile->acc || !tile->spike[0] || !tile->spike[1]) {
            return spki_no_memory(net, "accumulators");
        }
        const spk_result result = spki_make_queue(net, tile);
        if (result != SPK_OK) {
            return result;
        }
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_finish_recorders(spk_net *net)
{
    for (uint32_t r = 0; r < net->recorders; r++) {
        spk_rec rec = net->recorder[r];
        if (rec->kind == SPK_REC_WEIGHTS) {
            spk_result result = spki_rec_find_synapses(net, rec);
            if (result == SPK_OK) {
                result = spki_rec_allocate(net, rec);
            }
            if (result != SPK_OK) {
                return result;
            }
        }
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_build_all(spk_net *net)
{
    spk_result result = SPK_OK;
    const char *fault = spki_arithmetic_check();
    if (fault) {
        return spki_fail(net, SPK_ERR_ARITHMETIC, "build: %s", fault);
    }
    if (net->neurons == 0) {
        return spki_fail(net, SPK_ERR_STATE, "build: the network has no neurons");
    }
    if (net->threads > 1 && !net->desc.executor.run) {
        result = spki_pool_create(&net->mem, net->threads, &net->pool);
        if (result != SPK_OK) {
            return result == SPK_ERR_OUT_OF_MEMORY
                       ? spki_no_memory(net, "threads")
                       : spki_fail(net, result, "build: %u threads could not be started",
                                   net->threads);
        }
    }
    for (uint32_t p = 0; p < net->populations && result == SPK_OK; p++) {
        result = spki_make_reals(net, &net->population[p]);
        if (result == SPK_OK) {
            result = spki_make_states(net, &net->population[p]);
        }
    }
    if (result == SPK_OK) {
        result = spki_make_parts(net);
    }
    if (result == SPK_OK) {
        result = spki_make_tiles(net);
    }
    if (result == SPK_OK) {
        result = spki_build_synapses(net);
    }
    if (result == SPK_OK) {
        result = spki_make_run_memory(net);
    }
    if (result == SPK_OK) {
        result = spki_make_scratch(net);
    }
    if (result == SPK_OK) {
        result = spki_finish_recorders(net);
    }
    if (result == SPK_OK) {
        spki_barrier_init(&net->barrier, net->threads);
    }
    return result;
}

SPIKELIB_API spk_result spk_net_build(spk_net *net)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (net->built || net->status != SPK_OK) {
        return net->status;
    }
    const double start = spk_clock_seconds();
    const spk_result result = spki_build_all(net);
    net->built = result == SPK_OK;
    net->build_s = spk_clock_seconds() - start;
    return result;
}

SPIKELIB_API void spk_net_destroy(spk_net *net)
{
    if (!net || net->running) { /* a callback may not pull the floor from under its own network */
        return;
    }
    spki_pool_destroy(&net->mem, net->pool);
    if (net->built) {
        spki_barrier_free(&net->barrier);
    }
    for (uint32_t r = 0; r < net->recorders; r++) {
        (void)spki_rec_flush(net->recorder[r]);
        spki_free_recorder(net, net->recorder[r]);
    }
    spki_free(&net->mem, net->recorder, net->recorder_capacity, sizeof *net->recorder);
    spki_free_scratch(net);
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_free_tile(net, &net->tile[t]);
    }
    spki_free(&net->mem, net->tile, net->tiles, sizeof *net->tile);
    spki_free(&net->mem, net->history, (size_t)net->ring * (net->lanes / SPKI_GROUP),
              sizeof(uint64_t));
    spki_free(&net->mem, net->part, net->parts, sizeof *net->part);
    for (uint32_t d = 0; d < net->drives; d++) {
        spki_free_drive(net, &net->drive[d]);
    }
    spki_free(&net->mem, net->drive, net->drive_capacity, sizeof *net->drive);
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_proj_destroy(&net->mem, &net->projection[k].proj);
        spki_free_string(&net->mem, net->projection[k].receptor);
    }
    spki_free(&net->mem, net->projection, net->projection_capacity, sizeof *net->projection);
    for (uint32_t p = 0; p < net->populations; p++) {
        spki_free_population(net, &net->population[p]);
    }
    spki_free(&net->mem, net->population, net->population_capacity, sizeof *net->population);
    for (uint32_t v = 0; v < net->views; v++) {
        spki_free(&net->mem, net->view[v].range, net->view[v].ranges, sizeof(spki_ids));
    }
    spki_free(&net->mem, net->view, net->view_capacity, sizeof *net->view);
    spki_mem mem = net->mem;
    spki_free(&mem, net, 1, sizeof *net);
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>engine: the step loop ----
   Threads own tiles. A slice is as many steps as the shortest delay allows: within it no tile needs
   what another does. Each thread, for each step of a slice and each of its tiles,

       delivers the buckets that arrive now        (>>deliver)
       updates the neurons and notes their spikes  (>>update)

   then all meet, and each files everybody's spikes for its own tiles while the caller's thread
   hands them to the recorders (>>record). One barrier a slice. */

/* The tiles of thread k. */
SPKI_FN uint32_t spki_first_tile(const spk_net *net, uint32_t k)
{
    return (uint32_t)((uint64_t)net->tiles * k / net->threads);
}

SPKI_FN double spki_profile_clock(const spk_net *net)
{
    return net->profile ? spk_clock_seconds() : 0.0;
}

/* All steps of a slice for the tiles of thread k. */
SPKI_FN void spki_step_tiles(spk_net *net, uint32_t k, const spki_slice *slice)
{
    spki_scratch *scratch = &net->scratch[k];
    const uint32_t end = spki_first_tile(net, k + 1);
    for (uint32_t t = spki_first_tile(net, k); t < end; t++) {
        spki_tile *tile = &net->tile[t];
        uint32_t *at = tile->spike_start[slice->parity];
        at[0] = 0;
        for (uint32_t s = 0; s < slice->steps; s++) {
            const double t0 = spki_profile_clock(net);
            spki_deliver_step(net, tile, slice->first + s);
            const double t1 = spki_profile_clock(net);
            at[s + 1] = at[s] + spki_update_tile(net, tile, scratch, slice->first + s,
                                                 tile->spike[slice->parity] + at[s]);
            spki_sample_tile(net, tile, slice, slice->first + s);
            scratch->deliver_s += t1 - t0;
            scratch->update_s += spki_profile_clock(net) - t1;
        }
    }
}

SPKI_FN void spki_file_tiles(spk_net *net, uint32_t k, const spki_slice *slice)
{
    const double t0 = spki_profile_clock(net);
    const uint32_t end = spki_first_tile(net, k + 1);
    for (uint32_t t = spki_first_tile(net, k); t < end; t++) {
        spki_file_slice(net, &net->tile[t], slice);
    }
    net->scratch[k].deliver_s += spki_profile_clock(net) - t0;
}

SPKI_FN void spki_begin_slice(const spk_net *net, spki_slice *slice)
{
    slice->steps = (uint32_t)SPKI_MIN(net->run_end - slice->first, (uint64_t)net->slice_max);
}

/* The caller's thread: notes that a slice is done and hands it to the recorders. */
SPKI_FN void spki_end_slice(spk_net *net, const spki_slice *slice)
{
    net->pending[slice->parity] = *slice;
    spki_sample_weights(net, slice->parity);
    net->step = slice->first + slice->steps;
    if (net->stop_result == SPK_OK) {
        net->stop_result = spki_record_slice(net, slice->parity);
    }
}

SPKI_FN void spki_next_slice(spki_slice *slice)
{
    slice->first += slice->steps;
    slice->parity ^= 1;
}

/* Our own threads: each walks through the whole run. A recorder that refuses sets `stop` before the
   next barrier, so that all see the same and leave together, one slice later. */
SPKI_FN void spki_run_task(void *arg, uint32_t k)
{
    spk_net *net = (spk_net *)arg;
    spki_slice slice = net->slice;
    bool stop = false;
    while (slice.first < net->run_end && !stop) {
        spki_begin_slice(net, &slice);
        spki_step_tiles(net, k, &slice);
        if (k == 0) {
            net->stop[slice.parity] = net->stop_result != SPK_OK;
        }
        spki_barrier_wait(&net->barrier);
        stop = net->stop[slice.parity];
        spki_file_tiles(net, k, &slice);
        if (k == 0) {
            spki_end_slice(net, &slice);
        }
        spki_next_slice(&slice);
    }
    if (k == 0) {
        net->next_slice = slice;
    }
}

SPKI_FN void spki_step_task(void *arg, uint32_t k)
{
    spk_net *net = (spk_net *)arg;
    spki_step_tiles(net, k, &net->slice);
}

SPKI_FN void spki_file_task(void *arg, uint32_t k)
{
    spk_net *net = (spk_net *)arg;
    spki_file_tiles(net, k, &net->slice);
}

/* The host's executor may run the parts of a loop one after the other: two loops a slice. */
SPKI_FN void spki_run_loops(spk_net *net)
{
    while (net->slice.first < net->run_end && net->stop_result == SPK_OK) {
        spki_begin_slice(net, &net->slice);
        spki_parallel(net, spki_step_task, net);
        spki_parallel(net, spki_file_task, net);
        spki_end_slice(net, &net->slice);
        spki_next_slice(&net->slice);
    }
    net->next_slice = net->slice;
}

/* Slices that an earlier run could not hand over, the older first. */
SPKI_FN spk_result spki_record_pending(spk_net *net)
{
    const uint32_t older = net->pending[0].first <= net->pending[1].first ? 0 : 1;
    spk_result result = spki_record_slice(net, older);
    if (result == SPK_OK) {
        result = spki_record_slice(net, older ^ 1);
    }
    return result;
}

/* Writes what all files still lack, whichever of them fail. */
SPKI_FN spk_result spki_flush_files(spk_net *net)
{
    spk_result result = SPK_OK;
    for (uint32_t r = 0; r < net->recorders; r++) {
        if (spki_rec_flush(net->recorder[r]) != SPK_OK) {
            result = spki_fail(net, SPK_ERR_IO, "record: \"%s\" cannot be written: %s",
                               net->recorder[r]->path, strerror(errno));
        }
    }
    return result;
}

SPIKELIB_API spk_result spk_net_run_steps(spk_net *net, uint64_t steps)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spk_net_build(net);
    if (result != SPK_OK) {
        return result;
    }
    if (steps > SPKI_MAX_STEPS - net->step) {
        return spki_fail(net, SPK_ERR_RANGE, "run: %llu steps are too many", (spki_llu)steps);
    }
    result = spki_may_change(net, "run");
    if (result != SPK_OK) {
        return result;
    }
    const double start = spk_clock_seconds();
    const uint64_t before = net->step;
    net->running = true;
    net->stop_result = spki_record_pending(net);
    net->run_end = net->step + steps;
    if (net->stop_result == SPK_OK && steps) {
        net->stop[0] = net->stop[1] = false;
        if (net->pool) {
            spki_pool_run(net->pool, spki_run_task, net);
        } else {
            spki_run_loops(net);
        }
        net->slice = net->next_slice;
    }
    for (uint32_t p = 0; p < net->populations && net->step != before; p++) {
        net->population[p].has_amount = net->population[p].has_forced = false;
    }
    result = net->stop_result == SPK_OK ? spki_flush_files(net) : net->stop_result;
    net->running = false;
    net->run_s += spk_clock_seconds() - start;
    return result;
}

SPIKELIB_API spk_result spk_net_run(spk_net *net, double duration_ms)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (!(duration_ms >= 0.0) || !(duration_ms / net->desc.dt_ms < 9e15)) {
        return spki_decline(net, SPK_ERR_RANGE, "run: %g ms is no duration", duration_ms);
    }
    const double wanted = duration_ms + net->carry_ms;
    const double steps = wanted > 0.0 ? wanted / net->desc.dt_ms + 0.5 : 0.0;
    const spk_result result = spk_net_run_steps(net, (uint64_t)steps);
    if (result == SPK_OK) { /* what rounding left out or added is made up for by the next run */
        net->carry_ms = wanted - (double)(uint64_t)steps * net->desc.dt_ms;
    }
    return result;
}

SPIKELIB_API uint64_t spk_net_step(const spk_net *net)
{
    return net ? net->step : 0;
}

SPIKELIB_API double spk_net_time_ms(const spk_net *net)
{
    return net ? (double)net->step * net->desc.dt_ms : 0.0;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_NET
/* ---- >>access: what the host reads, writes and injects between runs ---- */

/* Common checks: a built network, a view, an array of the view's size. */
SPKI_FN spk_result spki_check_access(spk_net *net, spk_pop pop, const char *call, const void *array,
                                     size_t count, const spki_view **view)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spk_net_build(net);
    if (result == SPK_OK) {
        result = spki_may_change(net, call);
    }
    if (result != SPK_OK) {
        return result;
    }
    *view = spki_check_view(net, pop, call);
    if (!*view) {
        return SPK_ERR_HANDLE;
    }
    if (!array && count) {
        return spki_fail(net, SPK_ERR_NULL, "%s: the array is NULL", call);
    }
    if (count != (*view)->size) {
        return spki_fail(net, SPK_ERR_RANGE, "%s: %llu values for the %u neurons of \"%s\"", call,
                         (spki_llu)count, (*view)->size, spki_view_name(net, *view));
    }
    return SPK_OK;
}

/* The population and the neuron in it of element k of a view. */
SPKI_FN spki_population *spki_view_neuron(spk_net *net, const spki_view *view, uint32_t k,
                                          uint32_t *n)
{
    const uint32_t id = spki_view_id(view, k);
    spki_population *pop = &net->population[spki_population_of(net, id)];
    *n = id - pop->first;
    return pop;
}

SPIKELIB_API spk_result spk_net_get(spk_net *net, spk_pop pop, const char *name, double *values,
                                    size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "get", values, count, &view);
    if (result == SPK_OK) {
        result = spki_check_state(net, view, name);
    }
    for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
        uint32_t n;
        const spki_population *p = spki_view_neuron(net, view, k, &n);
        const int s = spki_find_field(p->model->state, p->model->state_count, name);
        const int q = spki_find_field(p->model->param, p->model->param_count, name);
        values[k] =
            s >= 0 ? spki_get_state(net, p, (uint32_t)s, n) : spki_param_at(&p->param[q], n);
    }
    return result;
}

/* A parameter of one population as it will be, and what is derived from it. */
typedef struct spki_change {
    spki_param param;
    spki_reals reals;
    bool made;
} spki_change;

SPKI_FN spk_result spki_draft_change(spk_net *net, spki_population *pop, uint32_t q,
                                     const spki_view *view, const double *values,
                                     spki_change *change)
{
    const spki_param old = pop->param[q];
    change->param.uniform = old.uniform;
    change->param.each = (double *)spki_alloc(&net->mem, pop->count, sizeof(double));
    if (!change->param.each) {
        return spki_no_memory(net, pop->model->param[q].name);
    }
    for (uint32_t n = 0; n < pop->count; n++) {
        const uint32_t k = spki_view_index(view, pop->first + n);
        change->param.each[n] = k == UINT32_MAX ? spki_param_at(&old, n) : values[k];
    }
    pop->param[q] = change->param;
    const spk_result result = spki_draft_reals(net, pop, &change->reals);
    pop->param[q] = old;
    change->made = result == SPK_OK;
    return result;
}

/* Sets a parameter of some neurons of all populations that have it; what is derived follows, or
   all stays as it was. States keep their stored (relative) values. */
SPKI_FN spk_result spki_set_param(spk_net *net, const spki_view *view, const char *name,
                                  const double *values)
{
    spki_change *change = (spki_change *)spki_alloc(&net->mem, net->populations, sizeof *change);
    spk_result result = change ? SPK_OK : spki_no_memory(net, name);
    for (uint32_t p = 0; result == SPK_OK && p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        const int q = spki_find_field(pop->model->param, pop->model->param_count, name);
        if (q >= 0 && spki_view_meets(view, pop)) {
            result = spki_draft_change(net, pop, (uint32_t)q, view, values, &change[p]);
        }
    }
    for (uint32_t p = 0; change && p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        const int q = spki_find_field(pop->model->param, pop->model->param_count, name);
        if (result == SPK_OK && change[p].made) {
            const spki_param old = pop->param[q];
            pop->param[q] = change[p].param;
            change[p].param = old;
            spki_swap_reals(pop, &change[p].reals);
        }
        spki_free_reals(net, pop, &change[p].reals);
        spki_free_param(&net->mem, &change[p].param, pop->count);
    }
    spki_free(&net->mem, change, net->populations, sizeof *change);
    return result;
}

SPIKELIB_API spk_result spk_net_set(spk_net *net, spk_pop pop, const char *name,
                                    const double *values, size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "set", values, count, &view);
    if (result == SPK_OK) {
        result = spki_check_state(net, view, name);
    }
    for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
        uint32_t n;
        const spki_population *p = spki_view_neuron(net, view, k, &n);
        const bool state = spki_find_field(p->model->state, p->model->state_count, name) >= 0;
        const char *fault = spki_number_fault(net, values[k]);
        if (!fault && !state) {
            fault = spki_param_fault(name, values[k]);
        }
        if (fault) {
            result = spki_fail(net, SPK_ERR_RANGE, "set \"%s\": %s = %g of neuron %u %s", p->name,
                               name, values[k], n, fault);
        }
    }
    if (result == SPK_OK) {
        result = spki_set_param(net, view, name, values);
    }
    for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
        uint32_t n;
        spki_population *p = spki_view_neuron(net, view, k, &n);
        const int s = spki_find_field(p->model->state, p->model->state_count, name);
        if (s >= 0) {
            spki_set_state(net, p, (uint32_t)s, n, values[k]);
        }
    }
    return result;
}

SPIKELIB_API spk_result spk_net_inject_spikes(spk_net *net, spk_pop pop, const uint32_t *neurons,
                                              size_t count)
{
    const spki_view *view;
    spk_result result =
        spki_check_access(net, pop, "inject spikes", "", spk_net_pop_size(net, pop), &view);
    if (result == SPK_OK && !neurons && count) {
        return spki_fail(net, SPK_ERR_NULL, "inject spikes: the array is NULL");
    }
    for (size_t k = 0; k < count && result == SPK_OK; k++) {
        if (neurons[k] >= view->size) {
            result =
                spki_fail(net, SPK_ERR_RANGE, "inject spikes: neuron %u of \"%s\", which has %u",
                          neurons[k], spki_view_name(net, view), view->size);
            break;
        }
        uint32_t n;
        spki_population *p = spki_view_neuron(net, view, neurons[k], &n);
        if (!p->forced) {
            p->forced = (uint64_t *)spki_alloc(&net->mem, p->lanes / SPKI_GROUP, sizeof(uint64_t));
            result = p->forced ? SPK_OK : spki_no_memory(net, "injected spikes");
        }
    }
    for (size_t k = 0; k < count && result == SPK_OK; k++) {
        uint32_t n;
        spki_population *p = spki_view_neuron(net, view, neurons[k], &n);
        p->forced[n / 64] |= (uint64_t)1 << (n % 64);
        p->has_forced = true;
    }
    return result;
}

SPIKELIB_API spk_result spk_net_inject_input(spk_net *net, spk_pop pop, const char *receptor,
                                             const double *amounts, size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "inject input", amounts, count, &view);
    for (uint32_t pass = 0; pass < 2; pass++) { /* first all that can fail */
        for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
            uint32_t n, pos, neg;
            bool magnitude;
            spki_population *p = spki_view_neuron(net, view, k, &n);
            if (spki_number_fault(net, amounts[k])) {
                return spki_fail(net, SPK_ERR_RANGE, "inject input: %g for neuron %u of \"%s\"",
                                 amounts[k], n, p->name);
            }
            result = spki_resolve_receptor(net, p, receptor, &pos, &neg, &magnitude);
            if (result != SPK_OK) {
                return result;
            }
            const uint32_t r = amounts[k] < 0.0 ? neg : pos;
            if (!p->amount[r]) {
                p->amount[r] = (double *)spki_alloc(&net->mem, p->count, sizeof(double));
                if (!p->amount[r]) {
                    return spki_no_memory(net, "injected input");
                }
            }
            if (pass == 1) {
                p->amount[r][n] += magnitude && amounts[k] < 0.0 ? -amounts[k] : amounts[k];
                p->has_amount = true;
            }
        }
    }
    return result;
}

SPIKELIB_API spk_result spk_net_inject_current(spk_net *net, spk_pop pop, const double *currents,
                                               size_t count)
{
    const spki_view *view;
    spk_result result = spki_check_access(net, pop, "inject current", currents, count, &view);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t k = 0; result == SPK_OK && k < view->size; k++) {
            uint32_t n;
            spki_population *p = spki_view_neuron(net, view, k, &n);
            if (spki_number_fault(net, currents[k])) {
                return spki_fail(net, SPK_ERR_RANGE, "inject current: %g for neuron %u of \"%s\"",
                                 currents[k], n, p->name);
            }
            result = spki_check_current(net, p);
            if (result != SPK_OK) {
                return result;
            }
            if (!p->current) {
                p->current = (double *)spki_alloc(&net->mem, p->count, sizeof(double));
                if (!p->current) {
                    return spki_no_memory(net, "injected currents");
                }
            }
            if (pass == 1) {
                p->current[n] = currents[k];
            }
        }
    }
    return result;
}

/* Over the stored bits of all states, in order, without the padding. */
SPIKELIB_API uint64_t spk_net_state_digest(spk_net *net)
{
    spk_digest digest;
    spk_digest_begin(&digest);
    if (!net || spk_net_build(net) != SPK_OK || spki_may_change(net, "digest") != SPK_OK) {
        return 0;
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        for (uint32_t s = 0; s < pop->model->state_count; s++) {
            for (uint32_t k = 0; k < pop->count; k++) { /* little-endian whatever the machine */
                uint64_t bits = 0;
                unsigned char out[8];
                uint32_t word;
                uint16_t half;
                const char *at = pop->state[s] + (size_t)k * net->state_size;
                if (net->state_size == 8) {
                    memcpy(&bits, at, 8);
                } else if (net->state_size == 4) {
                    memcpy(&word, at, 4);
                    bits = word;
                } else {
                    memcpy(&half, at, 2);
                    bits = half;
                }
                for (size_t b = 0; b < net->state_size; b++) {
                    out[b] = (unsigned char)(bits >> (8 * b));
                }
                spk_digest_update(&digest, out, net->state_size);
            }
        }
    }
    return spk_digest_value(&digest);
}

SPIKELIB_API spk_result spk_net_get_info(const spk_net *net, spk_net_info *info)
{
    if (!net || !info) {
        return SPK_ERR_NULL;
    }
    memset(info, 0, sizeof *info);
    if (net->running) { /* the threads are counting */
        return SPK_ERR_STATE;
    }
    info->neurons = net->neurons;
    info->steps = net->step;
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        info->synapses += tile->synapses;
        info->spikes += tile->spikes;
        info->events += tile->events;
        info->bytes_synapses +=
            tile->words_used * sizeof(uint32_t) + net->neurons * sizeof(uint32_t);
    }
    for (uint32_t k = 0; net->scratch && k < net->threads; k++) {
        info->deliver_s += net->scratch[k].deliver_s;
        info->update_s += net->scratch[k].update_s;
    }
    info->bytes_now = net->mem.now;
    info->bytes_peak = net->mem.peak;
    info->build_s = net->build_s;
    info->run_s = net->run_s;
    info->threads = net->threads;
    info->tiles = net->tiles;
    info->min_delay_steps = net->min_delay;
    info->max_delay_steps = net->max_delay;
    info->weight_bits = net->desc.weight_bits;
    info->accumulator_bits = net->accumulator_bits;
    info->isa = net->isa;
    info->precision = net->desc.precision;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_net_profile(spk_net *net, bool on)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    const spk_result result = spki_may_change(net, "profile");
    net->profile = result == SPK_OK ? on : net->profile;
    return result;
}

SPIKELIB_API size_t spk_net_describe(const spk_net *net, char *buffer, size_t size)
{
    static const char *const rule[] = {"one to one",      "all to all",       "Bernoulli",
                                       "fixed in-degree", "fixed out-degree", "fixed total",
                                       "explicit (COO)",  "explicit (CSR)",   "callback"};
    spki_text text = {buffer, buffer ? size : 0, 0};
    char line[256];
    if (buffer && size) {
        buffer[0] = 0;
    }
    if (!net) {
        return 0;
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        snprintf(line, sizeof line, "population \"%.60s\": %u x %s, ids %u ..\n", pop->name,
                 pop->count, pop->model->name, pop->first);
        spki_text_add(&text, line);
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_projection *p = &net->projection[k];
        snprintf(line, sizeof line, "projection \"%.60s\" (%u) -> \"%.60s\" (%u): %s\n",
                 spki_view_name(net, &net->view[p->source]), net->view[p->source].size,
                 spki_view_name(net, &net->view[p->target]), net->view[p->target].size,
                 rule[p->proj.rule]);
        spki_text_add(&text, line);
    }
    for (uint32_t t = 0; t < net->tiles && net->built; t++) {
        const spki_tile *tile = &net->tile[t];
        snprintf(line, sizeof line,
                 "tile %u: ids %u .. %u, %llu synapses in %llu buckets, delays %u .. %u steps\n", t,
                 tile->first_id, tile->end_id, (spki_llu)tile->synapses, (spki_llu)tile->buckets,
                 tile->synapses ? tile->min_delay : 0, tile->max_delay);
        spki_text_add(&text, line);
    }
    snprintf(line, sizeof line,
             "%s, %u threads, %u-bit weights, %u-bit accumulators, %u steps a slice\n",
             spk_isa_name(net->isa), net->threads, net->desc.weight_bits, net->accumulator_bits,
             net->slice_max);
    spki_text_add(&text, line);
    return text.length;
}
#endif /* SPIKELIB_NO_NET */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>svg: a writer of SVG files: numbers, text, whole files or none ---- */

#ifndef SPIKELIB_NO_PLOT

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum { SPKI_SVG_PATH_MAX = 4096 };

/* The text goes to "<path>.part", which takes the name when it is complete. Devices and pipes are
   written directly: a rename would replace them by a file. */
typedef struct spki_svg {
    FILE *file;
    const char *path;
    bool direct;
    char part[SPKI_SVG_PATH_MAX];
} spki_svg;

SPKI_FN void spki_svg_raw(spki_svg *svg, const char *text)
{
    fputs(text, svg->file);
}

SPKI_FN void spki_svg_integer(spki_svg *svg, long value)
{
    fprintf(svg->file, "%ld", value);
}

/* At most two decimals, whatever the locale says about decimal points. */
SPKI_FN void spki_svg_number(spki_svg *svg, double value)
{
    long cents;
    if (!(value > -1e7)) value = -1e7;
    if (!(value < 1e7)) value = 1e7;
    cents = (long)(value * 100.0 + (value < 0.0 ? -0.5 : 0.5));
    if (cents < 0) {
        fputc('-', svg->file);
        cents = -cents;
    }
    fprintf(svg->file, "%ld", cents / 100);
    cents %= 100;
    if (cents % 10 != 0) fprintf(svg->file, ".%02ld", cents);
    else if (cents != 0) fprintf(svg->file, ".%ld", cents / 10);
}

/* Length of the well-formed UTF-8 character at `s` if XML allows it, else 0.
   Source: RFC 3629, section 4; XML 1.0, section 2.2. */
SPKI_FN size_t spki_svg_utf8(const unsigned char *s)
{
    uint32_t c;
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    size_t i;
    if (n == 0 || (n == 1 && (s[0] < 0x20 || s[0] == 0x7f))) return 0;
    c = n == 1 ? s[0] : s[0] & (0x7fU >> n);
    for (i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3fU);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff))) return 0;
    return (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff ? 0 : n;
}

SPKI_FN void spki_svg_escaped(spki_svg *svg, const char *text)
{
    const unsigned char *s = (const unsigned char *)(text ? text : "");
    while (*s) {
        size_t n = spki_svg_utf8(s);
        if (*s == '&') spki_svg_raw(svg, "&amp;");
        else if (*s == '<') spki_svg_raw(svg, "&lt;");
        else if (*s == '>') spki_svg_raw(svg, "&gt;");
        else if (*s == '"') spki_svg_raw(svg, "&quot;");
        else if (n == 0) fputc(*s == '\t' || *s == '\n' ? ' ' : '?', svg->file);
        else fwrite(s, 1, n, svg->file);
        s += n ? n : 1;
    }
}

/* %n a double, %i an int, %c a colour (uint32_t), %s text to be escaped, %r text as it is, %% a
   per cent sign. */
SPKI_FN void spki_svg_print(spki_svg *svg, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            fputc(*format, svg->file);
            continue;
        }
        format++;
        if (*format == 'n') spki_svg_number(svg, va_arg(args, double));
        else if (*format == 'i') spki_svg_integer(svg, va_arg(args, int));
        else if (*format == 'c') fprintf(svg->file, "#%06x", va_arg(args, unsigned));
        else if (*format == 's') spki_svg_escaped(svg, va_arg(args, const char *));
        else if (*format == '%') fputc('%', svg->file);
        else spki_svg_raw(svg, va_arg(args, const char *));
    }
    va_end(args);
}

/* Roughly: the average sans-serif letter is 0.56 em wide. */
SPKI_FN double spki_svg_text_width(const char *text, double font)
{
    size_t letters = 0;
    for (; text && *text; text++)
        if (((unsigned char)*text & 0xc0) != 0x80) letters++;
    return (double)letters * 0.56 * font;
}

/* `anchor`: "start", "middle" or "end". */
SPKI_FN void spki_svg_text(spki_svg *svg, double x, double y, const char *anchor, double font,
                           uint32_t rgb, const char *text)
{
    spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"%n\" text-anchor=\"%r\" fill=\"%c\">",
                   x, y, font, anchor, rgb);
    spki_svg_print(svg, "%s</text>\n", text);
}

SPKI_FN void spki_svg_line(spki_svg *svg, double x1, double y1, double x2, double y2,
                           uint32_t rgb, double width)
{
    spki_svg_print(svg,
                   "<path d=\"M%n %nL%n %n\" stroke=\"%c\" stroke-width=\"%n\" fill=\"none\"/>\n",
                   x1, y1, x2, y2, rgb, width);
}

SPKI_FN spk_result spki_svg_open(spki_svg *svg, const char *path, double width, double height)
{
    struct stat there;
    size_t length = strlen(path);
    if (length + 6 > sizeof svg->part) return SPK_ERR_RANGE;
    memcpy(svg->part, path, length);
    memcpy(svg->part + length, ".part", 6);
    svg->path = path;
    svg->direct = stat(path, &there) == 0 && !S_ISREG(there.st_mode);
    svg->file = fopen(svg->direct ? path : svg->part, "wb");
    if (!svg->file) return SPK_ERR_IO;
    spki_svg_print(svg,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%n\" height=\"%n\" "
                   "viewBox=\"0 0 %n %n\" font-family=\"Helvetica, Arial, sans-serif\">\n"
                   "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                   width, height, width, height);
    return SPK_OK;
}

/* Gives the complete file its name; leaves nothing behind if any write failed. */
SPKI_FN spk_result spki_svg_close(spki_svg *svg)
{
    bool failed;
    spki_svg_raw(svg, "</svg>\n");
    failed = ferror(svg->file) != 0;
    if (fclose(svg->file) != 0) failed = true;
    if (svg->direct) return failed ? SPK_ERR_IO : SPK_OK;
#ifdef _WIN32
    if (!failed) remove(svg->path); /* there, rename does not replace */
#endif
    if (!failed && rename(svg->part, svg->path) != 0) failed = true;
    if (failed) remove(svg->part);
    return failed ? SPK_ERR_IO : SPK_OK;
}

/* -- a path in tenths of a pixel, relative, with no space that can be left out -- */

typedef struct spki_svg_pen {
    spki_svg *svg;
    long x, y;
    bool drawing; /* the path's last command is "l" */
} spki_svg_pen;

SPKI_FN void spki_svg_pair(spki_svg *svg, long x, long y)
{
    spki_svg_integer(svg, x);
    if (y >= 0) fputc(' ', svg->file);
    spki_svg_integer(svg, y);
}

SPKI_FN void spki_svg_pen_move(spki_svg_pen *pen, long x, long y)
{
    fputc('M', pen->svg->file);
    spki_svg_pair(pen->svg, x, y);
    pen->x = x;
    pen->y = y;
    pen->drawing = false;
}

SPKI_FN void spki_svg_pen_line(spki_svg_pen *pen, long x, long y)
{
    long dx = x - pen->x, dy = y - pen->y;
    if (dx == 0 && dy == 0) return;
    if (!pen->drawing) fputc('l', pen->svg->file);
    else if (dx >= 0) fputc(' ', pen->svg->file);
    spki_svg_pair(pen->svg, dx, dy);
    pen->x = x;
    pen->y = y;
    pen->drawing = true;
}

#endif
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>axes: ranges, ticks, frames, colours and legends ---- */

#ifndef SPIKELIB_NO_PLOT

#define SPKI_INK 0x222222U
#define SPKI_GREY 0x707070U
#define SPKI_GRID 0xe4e4e4U

/* The next colour of a palette that the colour-blind can tell apart; yellow comes last, since it
   is faint on white. Source: Okabe and Ito, Color Universal Design (2008). */
SPKI_FN uint32_t spki_plot_colour(uint32_t rgb, size_t index)
{
    static const uint32_t palette[8] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7,
                                        0xe69f00, 0x56b4e9, 0x333333, 0xf0e442};
    return rgb != 0 ? rgb & 0xffffffU : palette[index % 8];
}

SPKI_FN bool spki_plot_finite(double x)
{
    return x > -1e300 && x < 1e300;
}

/* -- ranges -- */

typedef struct spki_range {
    double lo, hi;
} spki_range;

SPKI_FN spki_range spki_range_empty(void)
{
    spki_range r;
    r.lo = 1e301;
    r.hi = -1e301;
    return r;
}

SPKI_FN void spki_range_add(spki_range *r, double x)
{
    if (!spki_plot_finite(x)) return;
    if (x < r->lo) r->lo = x;
    if (x > r->hi) r->hi = x;
}

/* What was asked for if that is a range, else the data's, padded, never of no width. */
SPKI_FN spki_range spki_range_resolve(spki_range data, double lo, double hi, double pad)
{
    double width;
    if (lo < hi) {
        data.lo = lo;
        data.hi = hi;
        return data;
    }
    if (!(data.lo <= data.hi)) {
        data.lo = 0.0;
        data.hi = 1.0;
    }
    width = data.hi - data.lo;
    if (!(width > 1e-12 * (data.hi > -data.lo ? data.hi : -data.lo))) {
        double half = data.hi == 0.0 ? 1.0 : 0.1 * (data.hi > 0.0 ? data.hi : -data.hi);
        data.lo -= half;
        data.hi += half;
        return data;
    }
    data.lo -= pad * width;
    data.hi += pad * width;
    return data;
}

/* -- ticks: multiples of 1, 2 or 5 times a power of ten, kept as integers -- */

typedef struct spki_ticks {
    long long first;      /* tick i stands at (first + i) * mantissa * 10^exponent */
    int count, mantissa, exponent;
    int factor;           /* labels are printed in units of 10^factor */
    double unit;          /* mantissa * 10^exponent */
} spki_ticks;

SPKI_FN double spki_power_of_ten(int exponent)
{
    double p = 1.0;
    for (; exponent > 0; exponent--) p *= 10.0;
    for (; exponent < 0; exponent++) p /= 10.0;
    return p;
}

SPKI_FN long long spki_floor_ll(double x)
{
    long long n = (long long)x;
    return (double)n > x ? n - 1 : n;
}

SPKI_FN int spki_decade(double x)
{
    int e = 0;
    while (e < 310 && x >= 10.0) {
        x /= 10.0;
        e++;
    }
    while (e > -310 && x < 1.0) {
        x *= 10.0;
        e--;
    }
    return e;
}

SPKI_FN spki_ticks spki_ticks_make(spki_range r, int wanted, bool integers)
{
    spki_ticks t;
    double raw = (r.hi - r.lo) / (double)(wanted > 1 ? wanted : 1);
    double size = r.hi > -r.lo ? r.hi : -r.lo, top;
    if (raw < 1e-12 * size) raw = 1e-12 * size;
    t.exponent = spki_decade(raw);
    top = raw / spki_power_of_ten(t.exponent);
    t.mantissa = top <= 1.0 ? 1 : top <= 2.0 ? 2 : top <= 5.0 ? 5 : 10;
    if (t.mantissa == 10) {
        t.mantissa = 1;
        t.exponent++;
    }
    if (integers && t.exponent < 0) {
        t.mantissa = 1;
        t.exponent = 0;
    }
    t.unit = (double)t.mantissa * spki_power_of_ten(t.exponent);
    t.first = spki_floor_ll(r.lo / t.unit - 1e-6) + 1;
    t.count = (int)(spki_floor_ll(r.hi / t.unit + 1e-6) - t.first + 1);
    t.count = t.count < 0 ? 0 : t.count > 100 ? 100 : t.count;
    t.factor = size >= 1e6 || size < 1e-3 ? spki_decade(size) : 0;
    return t;
}

SPKI_FN double spki_ticks_value(const spki_ticks *t, int i)
{
    return (double)(t->first + i) * t->unit;
}

/* Moves the ends of a range to a tick that lies a little outside: 0 to 999.9 ms becomes 1,000. */
SPKI_FN spki_range spki_range_snap(spki_range r, int wanted)
{
    spki_ticks t = spki_ticks_make(r, wanted, false);
    double little = 0.04 * (r.hi - r.lo);
    double below = (double)spki_floor_ll(r.lo / t.unit) * t.unit;
    double above = (double)(spki_floor_ll(r.hi / t.unit - 1e-9) + 1) * t.unit;
    if (r.lo - below < little) r.lo = below;
    if (above - r.hi < little) r.hi = above;
    return r;
}

/* The label of a tick: an integer with its decimal point moved. */
SPKI_FN void spki_ticks_label(const spki_ticks *t, int i, char text[64])
{
    long long n = (t->first + i) * t->mantissa;
    int shift = t->exponent - t->factor, length = 0, k;
    char digits[48], *out = text;
    if (n < 0) {
        *out++ = '-';
        n = -n;
    }
    for (k = 0; n != 0 && k < shift && length < 20; k++) digits[length++] = '0';
    for (; n != 0 && length < 40; n /= 10) digits[length++] = (char)('0' + (int)(n % 10));
    if (shift < 0 && length > 0) {
        int decimals = -shift < 20 ? -shift : 20;
        while (length <= decimals) digits[length++] = '0';
        for (k = length - 1; k >= decimals; k--) *out++ = digits[k];
        *out++ = '.';
        for (k = decimals - 1; k >= 0; k--) *out++ = digits[k];
    } else {
        if (length == 0) digits[length++] = '0';
        for (k = length - 1; k >= 0; k--) *out++ = digits[k];
    }
    *out = 0;
}

SPKI_FN double spki_ticks_width(const spki_ticks *t, double font)
{
    double width = 0.0;
    int i;
    for (i = 0; i < t->count; i++) {
        char text[64];
        double w;
        spki_ticks_label(t, i, text);
        w = spki_svg_text_width(text, font);
        if (w > width) width = w;
    }
    return width;
}

/* -- a frame: where the data stand on the page -- */

typedef struct spki_axes {
    double left, top, width, height; /* of the data, in px */
    spki_range x, y;
    spki_ticks x_ticks, y_ticks;
    double font;
    bool y_grid, y_labels;
} spki_axes;

/* Data to tenths of a pixel within the frame, clamped far outside of it. */
SPKI_FN long spki_axes_scale(double value, double from, double to, double size)
{
    double s = (value - from) / (to - from) * size * 10.0;
    if (s < -1e5) s = -1e5;
    if (s > 1e5) s = 1e5;
    return (long)(s < 0.0 ? s - 0.5 : s + 0.5);
}

SPKI_FN long spki_axes_x(const spki_axes *a, double x)
{
    return spki_axes_scale(x, a->x.lo, a->x.hi, a->width);
}

SPKI_FN long spki_axes_y(const spki_axes *a, double y)
{
    return spki_axes_scale(y, a->y.hi, a->y.lo, a->height);
}

SPKI_FN void spki_axes_set_ticks(spki_axes *a, bool y_integers)
{
    int nx = (int)(a->width / (a->font * 7.0)), ny = (int)(a->height / (a->font * 3.6));
    a->x_ticks = spki_ticks_make(a->x, nx < 2 ? 2 : nx, false);
    a->y_ticks = spki_ticks_make(a->y, ny < 2 ? 2 : ny, y_integers);
}

/* " (x10^6)" behind a label, where the ticks are printed in such units. */
SPKI_FN void spki_axes_label(spki_svg *svg, const spki_axes *a, const char *label, int factor)
{
    spki_svg_escaped(svg, label);
    if (factor != 0)
        spki_svg_print(svg, " &#215;10<tspan dy=\"%n\" font-size=\"%n\">%i</tspan>",
                       -0.35 * a->font, 0.75 * a->font, factor);
    spki_svg_raw(svg, "</text>\n");
}

SPKI_FN void spki_axes_draw_x(spki_svg *svg, const spki_axes *a, const char *label)
{
    double bottom = a->top + a->height;
    int i;
    for (i = 0; i < a->x_ticks.count; i++) {
        char text[64];
        double x = a->left + 0.1 * (double)spki_axes_x(a, spki_ticks_value(&a->x_ticks, i));
        spki_ticks_label(&a->x_ticks, i, text);
        spki_svg_line(svg, x, bottom, x, bottom + 4.0, SPKI_INK, 1.0);
        spki_svg_text(svg, x, bottom + 5.0 + a->font, "middle", a->font, SPKI_INK, text);
    }
    spki_svg_line(svg, a->left - 0.5, bottom, a->left + a->width, bottom, SPKI_INK, 1.0);
    if (!label || (!*label && a->x_ticks.factor == 0)) return;
    spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"%n\" text-anchor=\"middle\" "
                   "fill=\"%c\">",
                   a->left + 0.5 * a->width, bottom + 9.0 + 2.1 * a->font, a->font + 1.0, SPKI_INK);
    spki_axes_label(svg, a, label, a->x_ticks.factor);
}

SPKI_FN void spki_axes_draw_y(spki_svg *svg, const spki_axes *a, const char *label)
{
    double x = a->left - 15.0, y = a->top + 0.5 * a->height;
    int i;
    for (i = 0; a->y_labels && i < a->y_ticks.count; i++) {
        char text[64];
        double at = a->top + 0.1 * (double)spki_axes_y(a, spki_ticks_value(&a->y_ticks, i));
        spki_ticks_label(&a->y_ticks, i, text);
        if (a->y_grid) spki_svg_line(svg, a->left, at, a->left + a->width, at, SPKI_GRID, 0.8);
        spki_svg_line(svg, a->left - 4.0, at, a->left, at, SPKI_INK, 1.0);
        spki_svg_text(svg, a->left - 7.0, at + 0.35 * a->font, "end", a->font, SPKI_INK, text);
    }
    spki_svg_line(svg, a->left, a->top, a->left, a->top + a->height + 0.5, SPKI_INK, 1.0);
    if (!label || (!*label && (a->y_ticks.factor == 0 || !a->y_labels))) return;
    if (a->y_labels) x -= spki_ticks_width(&a->y_ticks, a->font);
    spki_svg_print(svg,
                   "<text transform=\"translate(%n %n) rotate(-90)\" font-size=\"%n\" "
                   "text-anchor=\"middle\" fill=\"%c\">",
                   x, y, a->font + 1.0, SPKI_INK);
    spki_axes_label(svg, a, label, a->y_labels ? a->y_ticks.factor : 0);
}

/* Between these, coordinates are tenths of a pixel of the frame, and what lies outside is cut. */
SPKI_FN void spki_axes_open(spki_svg *svg, const spki_axes *a)
{
    spki_svg_print(svg,
                   "<svg x=\"%n\" y=\"%n\" width=\"%n\" height=\"%n\" viewBox=\"0 0 %n %n\">\n",
                   a->left, a->top, a->width, a->height, a->width * 10.0, a->height * 10.0);
}

SPKI_FN void spki_axes_close(spki_svg *svg)
{
    spki_svg_raw(svg, "</svg>\n");
}

/* -- legends: rows of swatches above the data, where they cover nothing -- */

typedef struct spki_legend {
    double left, right, x, y, font;
    int rows;
} spki_legend;

SPKI_FN void spki_legend_begin(spki_legend *l, double left, double right, double y, double font)
{
    l->left = l->x = left;
    l->right = right;
    l->y = y;
    l->font = font;
    l->rows = 0;
}

/* With svg NULL only the rows are counted. */
SPKI_FN void spki_legend_add(spki_legend *l, spki_svg *svg, const char *name, uint32_t rgb)
{
    double width = 22.0 + spki_svg_text_width(name, l->font) + 14.0;
    if (!name || !*name) return;
    if (l->rows == 0) l->rows = 1;
    if (l->x + width > l->right && l->x > l->left) {
        l->x = l->left;
        l->y += l->font * 1.5;
        l->rows++;
    }
    if (svg) {
        spki_svg_line(svg, l->x, l->y, l->x + 16.0, l->y, rgb, 2.5);
        spki_svg_text(svg, l->x + 21.0, l->y + 0.35 * l->font, "start", l->font, SPKI_INK, name);
    }
    l->x += width;
}

/* -- descriptors -- */

/* A copy with the defaults filled in. Errors: NULL groups, sizes and ranges that make no sense. */
SPKI_FN spk_result spki_plot_resolve(spk_plot_desc *d, const spk_plot_desc *desc)
{
    size_t i;
    memset(d, 0, sizeof *d);
    if (desc) *d = *desc;
    if (d->width == 0.0) d->width = 720.0;
    if (d->height == 0.0) d->height = 420.0;
    if (d->max_marks == 0) d->max_marks = 60000;
    if (!(d->width >= 100.0 && d->width <= 9000.0)) return SPK_ERR_RANGE;
    if (!(d->height >= 80.0 && d->height <= 9000.0)) return SPK_ERR_RANGE;
    if (!spki_plot_finite(d->x_min) || !spki_plot_finite(d->x_max)) return SPK_ERR_RANGE;
    if (!spki_plot_finite(d->y_min) || !spki_plot_finite(d->y_max)) return SPK_ERR_RANGE;
    if (d->x_min > d->x_max || d->y_min > d->y_max) return SPK_ERR_RANGE;
    if (d->group_count != 0 && !d->groups) return SPK_ERR_NULL;
    for (i = 0; i < d->group_count; i++)
        if (d->groups[i].first > d->groups[i].end) return SPK_ERR_RANGE;
    return SPK_OK;
}

/* Title at the top, room for `legend_rows` rows below it and for labels around the frame. The
   caller has set the ranges; `side` is the width of what stands left of the axis instead of
   tick labels, or 0. */
SPKI_FN void spki_plot_layout(spki_svg *svg, spki_axes *a, const spk_plot_desc *d,
                              int legend_rows, double side, bool y_integers)
{
    a->font = 12.0;
    a->top = 14.0 + (d->title && *d->title ? 22.0 : 0.0) + 18.0 * (double)legend_rows;
    a->height = d->height - a->top - 46.0;
    a->width = d->width;
    a->y_labels = side == 0.0;
    spki_axes_set_ticks(a, y_integers);
    a->left = (side > 0.0 ? side : 18.0 + spki_ticks_width(&a->y_ticks, a->font)) +
              (d->y_label && *d->y_label ? 18.0 : 0.0);
    a->width = d->width - a->left - 20.0;
    spki_axes_set_ticks(a, y_integers);
    if (d->title && *d->title)
        spki_svg_text(svg, a->left, 22.0, "start", a->font + 3.0, SPKI_INK, d->title);
}

#endif
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>plot_curves: membrane traces and other curves ---- */

#ifndef SPIKELIB_NO_PLOT

SPKI_FN double spki_curve_x(const spk_plot_curve *c, size_t i)
{
    return c->x ? c->x[i] : c->x0 + (double)i * c->dx;
}

SPKI_FN spk_result spki_curves_check(const spk_plot_curve *curves, size_t count)
{
    size_t k;
    if (count != 0 && !curves) return SPK_ERR_NULL;
    for (k = 0; k < count; k++) {
        if (curves[k].count != 0 && !curves[k].y) return SPK_ERR_NULL;
        if (!curves[k].x && (!spki_plot_finite(curves[k].x0) || !spki_plot_finite(curves[k].dx)))
            return SPK_ERR_RANGE;
    }
    return SPK_OK;
}

/* The data's range; that of y over what x shows. */
SPKI_FN void spki_curves_range(const spk_plot_curve *curves, size_t count, spki_range *x,
                               spki_range *y)
{
    size_t k, i;
    bool all = !(x->lo < x->hi);
    spki_range shown = *x;
    *x = spki_range_empty();
    *y = spki_range_empty();
    for (k = 0; k < count; k++)
        for (i = 0; i < curves[k].count; i++) {
            double at = spki_curve_x(&curves[k], i);
            if (!spki_plot_finite(at) || !spki_plot_finite(curves[k].y[i])) continue;
            spki_range_add(x, at);
            if (all || (at >= shown.lo && at <= shown.hi)) spki_range_add(y, curves[k].y[i]);
        }
}

/* All points that fall into one tenth of a pixel: its first, extremes and last are drawn, so that
   thinning a long trace keeps every spike. */
typedef struct spki_column {
    long x, first, low, high, last;
    size_t points;
} spki_column;

SPKI_FN void spki_column_draw(spki_svg_pen *pen, const spki_column *c, bool first)
{
    if (c->points == 0) return;
    if (first) spki_svg_pen_move(pen, c->x, c->first);
    spki_svg_pen_line(pen, c->x, c->first);
    spki_svg_pen_line(pen, c->x, c->low);
    spki_svg_pen_line(pen, c->x, c->high);
    spki_svg_pen_line(pen, c->x, c->last);
}

SPKI_FN void spki_curve_draw(spki_svg *svg, const spki_axes *a, const spk_plot_curve *c,
                             uint32_t rgb, double thick)
{
    spki_svg_pen pen = {svg, 0, 0, false};
    spki_column column = {0, 0, 0, 0, 0, 0};
    bool first = true;
    size_t i;
    spki_svg_print(svg, "<path fill=\"none\" stroke=\"%c\" stroke-width=\"%n\" "
                   "stroke-linejoin=\"round\" stroke-linecap=\"round\" d=\"", rgb, thick * 10.0);
    for (i = 0; i <= c->count; i++) {
        double x = i < c->count ? spki_curve_x(c, i) : 1e301;
        bool gap = !spki_plot_finite(x) || !spki_plot_finite(c->y[i]);
        long px = gap ? 0 : spki_axes_x(a, x), py = gap ? 0 : spki_axes_y(a, c->y[i]);
        if (column.points != 0 && (gap || px != column.x)) {
            spki_column_draw(&pen, &column, first);
            if (gap && !pen.drawing) spki_svg_raw(svg, "h0"); /* a lonely point becomes a dot */
            first = gap;
            column.points = 0;
        }
        if (gap) continue;
        if (column.points++ == 0) {
            column.x = px;
            column.first = column.low = column.high = py;
        }
        column.low = SPKI_MIN(column.low, py);
        column.high = SPKI_MAX(column.high, py);
        column.last = py;
    }
    spki_svg_raw(svg, "\"/>\n");
}

SPKI_FN int spki_curves_legend(spki_svg *svg, const spk_plot_curve *curves, size_t count,
                               double left, double right, double y)
{
    spki_legend legend;
    size_t k;
    spki_legend_begin(&legend, left, right, y, 12.0);
    for (k = 0; k < count; k++)
        spki_legend_add(&legend, svg, curves[k].name, spki_plot_colour(curves[k].rgb, k));
    return legend.rows;
}

/* Frame, legend and curves; the ranges are in `a` already. */
SPKI_FN spk_result spki_curves_draw(spki_svg *svg, spki_axes *a, const spk_plot_desc *d,
                                    const spk_plot_curve *curves, size_t count)
{
    int rows = spki_curves_legend(NULL, curves, count, 60.0, d->width - 10.0, 0.0);
    size_t k;
    a->y_grid = true;
    spki_plot_layout(svg, a, d, rows, 0.0, false);
    spki_curves_legend(svg, curves, count, a->left, d->width - 10.0,
                       a->top - 18.0 * (double)rows + 4.0);
    spki_axes_draw_y(svg, a, d->y_label);
    spki_axes_open(svg, a);
    for (k = 0; k < count; k++)
        spki_curve_draw(svg, a, &curves[k], spki_plot_colour(curves[k].rgb, k), 1.3);
    spki_axes_close(svg);
    spki_axes_draw_x(svg, a, d->x_label);
    return spki_svg_close(svg);
}

SPIKELIB_API spk_result spk_plot_curves(const spk_plot_curve *curves, size_t count,
                                        const spk_plot_desc *desc, const char *path)
{
    spki_svg svg;
    spki_axes a;
    spk_plot_desc d;
    spki_range x, y;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result == SPK_OK) result = spki_curves_check(curves, count);
    if (result != SPK_OK) return result;
    if (!path) return SPK_ERR_NULL;
    memset(&a, 0, sizeof a);
    x.lo = d.x_min;
    x.hi = d.x_max;
    spki_curves_range(curves, count, &x, &y);
    a.x = spki_range_resolve(x, d.x_min, d.x_max, 0.0);
    if (!(d.x_min < d.x_max)) a.x = spki_range_snap(a.x, 6);
    a.y = spki_range_resolve(y, d.y_min, d.y_max, 0.05);
    if (!d.x_label) d.x_label = "time (ms)";
    if (!d.y_label) d.y_label = "";
    result = spki_svg_open(&svg, path, d.width, d.height);
    return result != SPK_OK ? result : spki_curves_draw(&svg, &a, &d, curves, count);
}

#endif
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>plot_raster: every spike a mark, time to the right, neurons downwards ---- */

#ifndef SPIKELIB_NO_PLOT

/* What of the spikes is shown: times within (x.lo, x.hi], ids of the groups; one of each `stride`
   spikes of a group. */
typedef struct spki_raster {
    const spk_spike *spikes;
    size_t count, shown, stride;
    double dt;
    const spk_plot_group *groups;
    size_t group_count;
    uint64_t rows;
    spki_axes axes;
} spki_raster;

SPKI_FN bool spki_raster_in(const spki_raster *r, const spk_plot_group *g, const spk_spike *s)
{
    double t = (double)s->step * r->dt;
    return s->neuron >= g->first && s->neuron < g->end && t >= r->axes.x.lo && t <= r->axes.x.hi;
}

/* One of each block of `stride` spikes, at a hashed place: a fixed place would show the same
   neurons again and again wherever firing is periodic. */
SPKI_FN bool spki_raster_chosen(const spki_raster *r, size_t index)
{
    uint32_t block = (uint32_t)(index / r->stride);
    return index % r->stride == (block * 2654435761U >> 8) % r->stride;
}

/* Marks are one pixel and more, so that dense activity reads as grey and single spikes are seen. */
SPKI_FN void spki_raster_marks(const spki_raster *r, spki_svg *svg, const spk_plot_group *g,
                               uint64_t row0, uint32_t rgb)
{
    double pitch = r->axes.height * 10.0 / (double)(r->rows ? r->rows : 1);
    size_t drawn = r->shown / r->stride;
    double least = drawn > 5000 ? 11.0 : drawn > 1500 ? 16.0 : 45.0;
    double high = pitch * 0.8 < least ? least : pitch * 0.8 > 120.0 ? 120.0 : pitch * 0.8;
    double thick = drawn > 30000 ? 9.0 : drawn > 5000 ? 11.0 : 14.0;
    long x0 = 0, y0 = 0, tall = (long)high;
    size_t i, seen = 0;
    spki_svg_print(svg, "<path stroke=\"%c\" stroke-width=\"%n\" fill=\"none\" d=\"M0 0",
                   rgb, thick);
    for (i = 0; i < r->count; i++) {
        const spk_spike *s = &r->spikes[i];
        long x, y;
        if (!spki_raster_in(r, g, s)) continue;
        if (!spki_raster_chosen(r, seen++)) continue;
        x = spki_axes_x(&r->axes, (double)s->step * r->dt);
        y = (long)(((double)(row0 + s->neuron - g->first) + 0.5) * pitch - 0.5 * high + 0.5);
        fputc('m', svg->file);
        spki_svg_pair(svg, x - x0, y - y0);
        fputc('v', svg->file);
        spki_svg_integer(svg, tall);
        x0 = x;
        y0 = y + tall;
    }
    spki_svg_raw(svg, "\"/>\n");
}

/* Names beside the middle of their bands, moved apart where bands are thinner than a line. */
SPKI_FN double spki_raster_name_y(const spki_raster *r, size_t wanted, double line)
{
    double pitch = r->axes.height / (double)(r->rows ? r->rows : 1), y = 0.0, last = -1e9;
    uint64_t row = 0;
    size_t k;
    for (k = 0; k <= wanted; k++) {
        uint64_t size = r->groups[k].end - r->groups[k].first;
        double room = r->axes.height - line * (double)(r->group_count - 1 - k);
        y = ((double)row + 0.5 * (double)size) * pitch;
        if (y > room) y = room;
        if (y < last + line) y = last + line;
        last = y;
        row += size;
    }
    return r->axes.top + y;
}

SPKI_FN void spki_raster_names(const spki_raster *r, spki_svg *svg)
{
    double pitch = r->axes.height / (double)(r->rows ? r->rows : 1), left = r->axes.left;
    double line = r->axes.font * 1.15;
    uint64_t row = 0;
    size_t k;
    if (line * (double)r->group_count > r->axes.height)
        line = r->axes.height / (double)r->group_count;
    for (k = 0; k < r->group_count; k++) {
        const spk_plot_group *g = &r->groups[k];
        uint32_t rgb = spki_plot_colour(g->rgb, k);
        double y = r->axes.top + (double)row * pitch, size = (double)(g->end - g->first) * pitch;
        double at = spki_raster_name_y(r, k, line), middle = y + 0.5 * size;
        spki_svg_print(svg, "<rect x=\"%n\" y=\"%n\" width=\"4\" height=\"%n\" fill=\"%c\"/>\n",
                       left - 7.0, y, size > 0.5 ? size : 0.5, rgb);
        spki_svg_text(svg, left - 20.0, at + 0.35 * r->axes.font, "end",
                      line < r->axes.font ? line : r->axes.font, SPKI_INK, g->name);
        spki_svg_line(svg, left - 17.0, at, left - 8.5, middle, SPKI_GREY, 0.7);
        if (k > 0) spki_svg_line(svg, left, y, left + r->axes.width, y, SPKI_GRID, 0.8);
        row += g->end - g->first;
    }
}

SPKI_FN void spki_raster_note(const spki_raster *r, spki_svg *svg, const spk_plot_desc *d)
{
    double x = d->width - 12.0, y = d->height - 8.0;
    if (r->shown == 0) {
        spki_svg_text(svg, x, y, "end", 10.0, SPKI_GREY, "no spikes");
    } else if (r->stride > 1) {
        spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"10\" text-anchor=\"end\" "
                       "fill=\"%c\">1 of %i spikes shown</text>\n", x, y, SPKI_GREY,
                       (int)(r->stride < 2000000000U ? r->stride : 2000000000U));
    }
}

SPKI_FN void spki_raster_ranges(spki_raster *r, const spk_plot_desc *d, spk_plot_group *whole)
{
    spki_range x = spki_range_empty();
    size_t i, k;
    uint32_t lo = UINT32_MAX, hi = 0;
    for (i = 0; i < r->count; i++) {
        spki_range_add(&x, (double)r->spikes[i].step * r->dt);
        lo = SPKI_MIN(lo, r->spikes[i].neuron);
        hi = SPKI_MAX(hi, r->spikes[i].neuron);
    }
    if (x.lo > 0.0 && x.lo < 0.1 * x.hi) x.lo = 0.0;
    r->axes.x = spki_range_resolve(x, d->x_min, d->x_max, 0.0);
    if (!(d->x_min < d->x_max)) r->axes.x = spki_range_snap(r->axes.x, 6);
    if (r->group_count == 0) {
        memset(whole, 0, sizeof *whole);
        whole->first = lo <= hi ? lo : 0;
        whole->end = lo <= hi && hi < UINT32_MAX ? hi + 1 : hi;
        if (d->y_min < d->y_max && d->y_min >= 0.0 && d->y_max <= 4294967295.0) {
            whole->first = (uint32_t)d->y_min;
            whole->end = (uint32_t)d->y_max;
        }
        r->groups = whole;
        r->group_count = 1;
    }
    for (k = 0; k < r->group_count; k++) {
        r->rows += r->groups[k].end - r->groups[k].first;
        for (i = 0; i < r->count; i++)
            if (spki_raster_in(r, &r->groups[k], &r->spikes[i])) r->shown++;
    }
    r->stride = 1 + (r->shown - (r->shown > 0)) / d->max_marks;
    r->axes.y.lo = (double)r->groups[0].first - 0.5;
    r->axes.y.hi = r->axes.y.lo + (double)SPKI_MAX(r->rows, 1);
}

SPKI_FN spk_result spki_raster_draw(spki_raster *r, spk_plot_desc *d, spki_svg *svg, bool named)
{
    double side = 0.0;
    uint64_t row = 0;
    size_t k;
    for (k = 0; named && k < r->group_count; k++) {
        double w = 34.0 + spki_svg_text_width(r->groups[k].name, 12.0);
        side = SPKI_MAX(side, w);
    }
    if (!d->x_label) d->x_label = "time (ms)";
    if (!d->y_label) d->y_label = named ? "" : "neuron";
    spki_plot_layout(svg, &r->axes, d, 0, side, true);
    if (named) spki_raster_names(r, svg);
    spki_axes_open(svg, &r->axes);
    if (!named) /* an axis with numbers counts upwards */
        spki_svg_print(svg, "<g transform=\"matrix(1 0 0 -1 0 %n)\">\n",
                               r->axes.height * 10.0);
    for (k = 0; k < r->group_count; k++) {
        spki_raster_marks(r, svg, &r->groups[k], row,
                          named || r->groups[k].rgb ? spki_plot_colour(r->groups[k].rgb, k)
                                                    : SPKI_INK);
        row += r->groups[k].end - r->groups[k].first;
    }
    if (!named) spki_svg_raw(svg, "</g>\n");
    spki_axes_close(svg);
    spki_axes_draw_x(svg, &r->axes, d->x_label);
    spki_axes_draw_y(svg, &r->axes, d->y_label);
    spki_raster_note(r, svg, d);
    return spki_svg_close(svg);
}

SPIKELIB_API spk_result spk_plot_raster_desc(const spk_spike *spikes, size_t count, double dt_ms,
                                             const spk_plot_desc *desc, const char *path)
{
    spki_raster r;
    spki_svg svg;
    spk_plot_desc d;
    spk_plot_group whole;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (!path || (count != 0 && !spikes)) return SPK_ERR_NULL;
    if (!(dt_ms > 0.0 && dt_ms < 1e9)) return SPK_ERR_RANGE;
    memset(&r, 0, sizeof r);
    r.spikes = spikes;
    r.count = count;
    r.dt = dt_ms;
    r.groups = d.groups;
    r.group_count = d.group_count;
    spki_raster_ranges(&r, &d, &whole);
    result = spki_svg_open(&svg, path, d.width, d.height);
    return result != SPK_OK ? result : spki_raster_draw(&r, &d, &svg, d.group_count != 0);
}

SPIKELIB_API spk_result spk_plot_raster(spk_rec spikes, const char *path)
{
    spk_plot_desc d;
    const spk_spike *list;
    size_t count = 0;
    if (!spikes || !path) return SPK_ERR_NULL;
    memset(&d, 0, sizeof d);
    d.y_min = (double)spk_rec_first_id(spikes);
    d.y_max = (double)spk_rec_end_id(spikes);
    list = spk_rec_spikes(spikes, &count);
    return spk_plot_raster_desc(list, count, spk_rec_dt_ms(spikes), &d, path);
}

#endif
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>plot_rates: population rates in time bins ---- */

#ifndef SPIKELIB_NO_PLOT

enum { SPKI_RATES_BINS_MAX = 10000000 };

/* Bins from t0 on; a spike belongs to the middle of its step, so that rounding never moves one
   that stands on the border of two bins. */
typedef struct spki_rates {
    const spk_spike *spikes;
    size_t count, bins;
    double dt, bin, t0;
} spki_rates;

SPKI_FN void spki_rates_group(const spki_rates *r, const spk_plot_group *g, double *rates)
{
    double width = g->end > g->first ? (double)(g->end - g->first) : 1.0;
    size_t i;
    for (i = 0; i < r->count; i++) {
        double at = (((double)r->spikes[i].step - 0.5) * r->dt - r->t0) / r->bin;
        uint32_t id = r->spikes[i].neuron;
        if (id < g->first || id >= g->end || !(at >= 0.0 && at < (double)r->bins)) continue;
        rates[(size_t)at] += 1000.0 / (r->bin * width);
    }
}

SPKI_FN spk_result spki_rates_curves(const spki_rates *r, const spk_plot_group *groups,
                                     size_t count, spk_plot_desc *d, spk_plot_curve *curves,
                                     double *rates, const char *path)
{
    size_t k;
    spki_range top = {0.0, 0.0};
    for (k = 0; k < count; k++) {
        size_t i;
        double *row = rates + k * r->bins;
        spki_rates_group(r, &groups[k], row);
        for (i = 0; i < r->bins; i++) spki_range_add(&top, row[i]);
        curves[k].name = groups[k].name;
        curves[k].y = row;
        curves[k].count = r->bins;
        curves[k].x0 = r->t0 + 0.5 * r->bin;
        curves[k].dx = r->bin;
        curves[k].rgb = groups[k].rgb;
    }
    if (!(d->y_min < d->y_max)) {
        d->y_min = 0.0;
        d->y_max = top.hi > 0.0 ? 1.06 * top.hi : 1.0;
    }
    d->x_min = r->t0;
    d->x_max = r->t0 + (double)r->bins * r->bin;
    if (!d->y_label) d->y_label = "rate (Hz)";
    return spk_plot_curves(curves, count, d, path);
}

SPKI_FN spk_result spki_rates_window(spki_rates *r, const spk_plot_desc *d, spk_plot_group *whole)
{
    spki_range x = spki_range_empty();
    double bins;
    size_t i;
    whole->first = UINT32_MAX;
    for (i = 0; i < r->count; i++) {
        spki_range_add(&x, ((double)r->spikes[i].step - 0.5) * r->dt);
        whole->first = SPKI_MIN(whole->first, r->spikes[i].neuron);
        whole->end = SPKI_MAX(whole->end, r->spikes[i].neuron);
    }
    if (whole->end < UINT32_MAX) whole->end++;
    if (r->count == 0) whole->first = 0;
    if (r->count == 0) x.lo = x.hi = 0.0;
    if (d->x_min < d->x_max) {
        x.lo = d->x_min;
        x.hi = d->x_max - 0.5 * r->dt;
    }
    if (!(x.lo / r->bin > -1e15 && x.hi / r->bin < 1e15)) return SPK_ERR_RANGE;
    r->t0 = d->x_min < d->x_max ? d->x_min : (double)spki_floor_ll(x.lo / r->bin) * r->bin;
    bins = (double)(spki_floor_ll((x.hi - r->t0) / r->bin) + 1);
    if (!(bins >= 1.0 && bins <= (double)SPKI_RATES_BINS_MAX)) return SPK_ERR_RANGE;
    r->bins = (size_t)bins;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_plot_rates(const spk_spike *spikes, size_t count, double dt_ms,
                                       double bin_ms, const spk_plot_desc *desc, const char *path)
{
    spki_rates r;
    spki_mem mem;
    spk_plot_desc d;
    spk_plot_group whole;
    spk_plot_curve *curves;
    double *rates;
    size_t groups;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (!path || (count != 0 && !spikes)) return SPK_ERR_NULL;
    if (!(dt_ms > 0.0 && dt_ms < 1e9) || !(bin_ms > 0.0 && bin_ms < 1e9)) return SPK_ERR_RANGE;
    memset(&r, 0, sizeof r);
    memset(&whole, 0, sizeof whole);
    r.spikes = spikes;
    r.count = count;
    r.dt = dt_ms;
    r.bin = bin_ms;
    result = spki_rates_window(&r, &d, &whole);
    if (result != SPK_OK) return result;
    groups = d.group_count ? d.group_count : 1;
    if (groups > SIZE_MAX / r.bins) return SPK_ERR_RANGE;
    spki_mem_init(&mem, NULL, 0);
    curves = (spk_plot_curve *)spki_alloc(&mem, groups, sizeof *curves);
    rates = (double *)spki_alloc(&mem, groups * r.bins, sizeof *rates);
    result = !curves || !rates ? SPK_ERR_OUT_OF_MEMORY
                               : spki_rates_curves(&r, d.group_count ? d.groups : &whole, groups,
                                                   &d, curves, rates, path);
    spki_free(&mem, rates, groups * r.bins, sizeof *rates);
    spki_free(&mem, curves, groups, sizeof *curves);
    return result;
}

#endif
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>plot_histogram: bars of counts ---- */

#ifndef SPIKELIB_NO_PLOT

enum { SPKI_HISTOGRAM_BINS_MAX = 100000 };

SPKI_FN void spki_histogram_count(const double *values, size_t count, spki_range x,
                                  uint64_t *bars, size_t bins)
{
    size_t i;
    for (i = 0; i < count; i++) {
        double at = (values[i] - x.lo) / (x.hi - x.lo) * (double)bins;
        if (!(values[i] >= x.lo && values[i] <= x.hi)) continue;
        bars[at < (double)bins ? (size_t)at : bins - 1]++; /* the last bin is closed */
    }
}

SPKI_FN void spki_histogram_bars(spki_svg *svg, const spki_axes *a, const uint64_t *bars,
                                 size_t bins)
{
    double width = (a->x.hi - a->x.lo) / (double)bins;
    long zero = spki_axes_y(a, 0.0);
    size_t i;
    spki_svg_print(svg, "<path fill=\"%c\" stroke=\"#fff\" stroke-width=\"%i\" d=\"",
                   spki_plot_colour(0, 0), a->width > 6.0 * (double)bins ? 8 : 0);
    for (i = 0; i < bins; i++) {
        long left = spki_axes_x(a, a->x.lo + (double)i * width);
        long right = spki_axes_x(a, a->x.lo + (double)(i + 1) * width);
        long top = spki_axes_y(a, (double)bars[i]);
        if (bars[i] == 0) continue;
        spki_svg_raw(svg, "M");
        spki_svg_pair(svg, left, zero);
        spki_svg_raw(svg, "V");
        spki_svg_integer(svg, top);
        spki_svg_raw(svg, "H");
        spki_svg_integer(svg, right);
        spki_svg_raw(svg, "V");
        spki_svg_integer(svg, zero);
        spki_svg_raw(svg, "z");
    }
    spki_svg_raw(svg, "\"/>\n");
}

SPKI_FN spk_result spki_histogram_draw(spki_axes *a, spk_plot_desc *d, const uint64_t *bars,
                                       size_t bins, const char *path)
{
    spki_svg svg;
    spki_range y = {0.0, 1.0};
    spk_result result;
    size_t i;
    for (i = 0; i < bins; i++) spki_range_add(&y, 1.06 * (double)bars[i]);
    a->y = spki_range_resolve(y, d->y_min, d->y_max, 0.0);
    a->y_grid = true;
    if (!d->x_label) d->x_label = "value";
    if (!d->y_label) d->y_label = "count";
    result = spki_svg_open(&svg, path, d->width, d->height);
    if (result != SPK_OK) return result;
    spki_plot_layout(&svg, a, d, 0, 0.0, true);
    spki_axes_draw_y(&svg, a, d->y_label);
    spki_axes_open(&svg, a);
    spki_histogram_bars(&svg, a, bars, bins);
    spki_axes_close(&svg);
    spki_axes_draw_x(&svg, a, d->x_label);
    return spki_svg_close(&svg);
}

SPIKELIB_API spk_result spk_plot_histogram(const double *values, size_t count, size_t bins,
                                           const spk_plot_desc *desc, const char *path)
{
    spki_axes a;
    spki_mem mem;
    spk_plot_desc d;
    uint64_t *bars;
    spki_range x = spki_range_empty();
    size_t i;
    spk_result result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (!path || (count != 0 && !values)) return SPK_ERR_NULL;
    if (bins == 0 || bins > SPKI_HISTOGRAM_BINS_MAX) return SPK_ERR_RANGE;
    memset(&a, 0, sizeof a);
    for (i = 0; i < count; i++) spki_range_add(&x, values[i]);
    a.x = spki_range_resolve(x, d.x_min, d.x_max, 0.0);
    spki_mem_init(&mem, NULL, 0);
    bars = (uint64_t *)spki_alloc(&mem, bins, sizeof *bars);
    if (!bars) return SPK_ERR_OUT_OF_MEMORY;
    spki_histogram_count(values, count, a.x, bars, bins);
    result = spki_histogram_draw(&a, &d, bars, bins, path);
    spki_free(&mem, bars, bins, sizeof *bars);
    return result;
}

#endif
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_PLOT
/* ---- >>plot_sheet: many small panels on one page ---- */

#ifndef SPIKELIB_NO_PLOT

SPKI_FN void spki_sheet_panel(spki_svg *svg, const spk_plot_panel *p, spki_axes *a,
                              const char *x_label, const char *y_label)
{
    spki_range x, y;
    size_t k;
    x.lo = p->x_min;
    x.hi = p->x_max;
    spki_curves_range(p->curves, p->count, &x, &y);
    a->x = spki_range_resolve(x, p->x_min, p->x_max, 0.0);
    if (!(p->x_min < p->x_max)) a->x = spki_range_snap(a->x, 4);
    a->y = spki_range_resolve(y, p->y_min, p->y_max, 0.06);
    a->font = 9.0;
    a->y_labels = true;
    a->x_ticks = spki_ticks_make(a->x, 4, false);
    a->y_ticks = spki_ticks_make(a->y, 3, false);
    spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"11\" font-weight=\"bold\" "
                   "fill=\"%c\">%s</text>\n", a->left, a->top - 7.0, SPKI_INK,
                   p->title ? p->title : "");
    spki_axes_draw_y(svg, a, y_label);
    spki_axes_open(svg, a);
    for (k = 0; k < p->count; k++)
        spki_curve_draw(svg, a, &p->curves[k], spki_plot_colour(p->curves[k].rgb, k), 1.0);
    spki_axes_close(svg);
    spki_axes_draw_x(svg, a, x_label);
}

SPKI_FN spk_result spki_sheet_draw(const spk_plot_panel *panels, size_t count, size_t columns,
                                   const spk_plot_desc *d, const char *path)
{
    spki_svg svg;
    size_t i, rows = (count + columns - 1) / columns;
    int legend = count ? spki_curves_legend(NULL, panels[0].curves, panels[0].count, 48.0,
                                            d->width - 10.0, 0.0) : 0;
    double top = (d->title && *d->title ? 32.0 : 6.0) + 18.0 * (double)legend;
    double wide = (d->width - 24.0) / (double)columns;
    double high = (d->height - top - 20.0) / (double)(rows ? rows : 1);
    spk_result result = spki_svg_open(&svg, path, d->width, d->height);
    if (result != SPK_OK) return result;
    if (d->title && *d->title)
        spki_svg_text(&svg, 60.0, 24.0, "start", 15.0, SPKI_INK, d->title);
    if (legend)
        spki_curves_legend(&svg, panels[0].curves, panels[0].count, 60.0, d->width - 10.0,
                           top - 18.0 * (double)legend + 8.0);
    for (i = 0; i < count; i++) {
        spki_axes a;
        size_t column = i % columns, row = i / columns;
        memset(&a, 0, sizeof a);
        a.left = 20.0 + (double)column * wide + 38.0;
        a.top = top + (double)row * high + 22.0;
        a.width = wide - 52.0;
        a.height = high - 42.0;
        spki_sheet_panel(&svg, &panels[i], &a, i + columns >= count ? d->x_label : "",
                         column == 0 ? d->y_label : "");
    }
    return spki_svg_close(&svg);
}

SPIKELIB_API spk_result spk_plot_sheet(const spk_plot_panel *panels, size_t count, size_t columns,
                                       const spk_plot_desc *desc, const char *path)
{
    spk_plot_desc d;
    spk_result result;
    size_t i, rows;
    double width = desc ? desc->width : 0.0, height = desc ? desc->height : 0.0;
    if (columns == 0 || columns > 40 || count > 1600) return SPK_ERR_RANGE;
    rows = (count + columns - 1) / columns;
    result = spki_plot_resolve(&d, desc);
    if (result != SPK_OK) return result;
    if (width == 0.0) d.width = 24.0 + 225.0 * (double)columns;
    if (height == 0.0) d.height = 60.0 + 140.0 * (double)(rows ? rows : 1);
    if (!path || (count != 0 && !panels)) return SPK_ERR_NULL;
    for (i = 0; i < count && result == SPK_OK; i++) {
        if (!spki_plot_finite(panels[i].x_min) || !spki_plot_finite(panels[i].x_max) ||
            !spki_plot_finite(panels[i].y_min) || !spki_plot_finite(panels[i].y_max))
            return SPK_ERR_RANGE;
        result = spki_curves_check(panels[i].curves, panels[i].count);
    }
    if (result != SPK_OK) return result;
    if (!d.x_label) d.x_label = "time (ms)";
    if (!d.y_label) d.y_label = "";
    if (d.width / (double)columns < 80.0 || d.height / (double)(rows ? rows : 1) < 70.0)
        return SPK_ERR_RANGE;
    return spki_sheet_draw(panels, count, columns, &d, path);
}

#endif
#endif /* SPIKELIB_NO_PLOT */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>codec: what a format of events has to provide, and what it is given ---- */

#include <stdarg.h>

/* A format is one spki_codec in a file of its own, listed in event/formats.h. Its `decode` turns
   bytes into events as far as both go, and is called again with what it left unread followed by
   more. It must not depend on where the bytes are cut: a record that is not whole stays unread.
   What it leaves unread (for lack of bytes, not of room) is at most SPKI_CARRY bytes; a format with
   longer records copies them into memory of its own. */
#define SPKI_CARRY ((size_t)4096)
/* Free places that `decode` finds at every call; it returns when fewer may be left than the next
   record can fill. */
#define SPKI_EVENT_ROOM ((size_t)64)

typedef struct spki_io {
    const uint8_t *in, *in_end; /* `in` moves on */
    spk_event *out, *out_end;   /* `out` moves on */
    bool last;                  /* no bytes follow in_end */
} spki_io;

typedef enum spki_sniff { SPKI_SNIFF_NO = 0, SPKI_SNIFF_MORE = 1, SPKI_SNIFF_YES = 2 } spki_sniff;

typedef struct spki_codec {
    spk_event_format format;
    const char *suffixes; /* of file names, lower case, each followed by a blank: ".raw .evt3 " */
    size_t state_size;    /* of spk_decoder.state, zeroed before `begin` */
    /* Is it this format? MORE: cannot be said yet. `whole`: no more bytes can be had (the end, or
       SPKI_CARRY bytes). An answer other than MORE must not change when bytes are added. Formats
       without a mark of their own answer when `whole`. NULL: only by name. */
    spki_sniff (*sniff)(const uint8_t *head, size_t size, bool whole);
    /* The name fits and no content did; may look at the content. NULL: the name is enough. */
    bool (*accept)(const uint8_t *head, size_t size);
    /* Before the first byte; optional. Errors through spki_decoder_fail, here and below. */
    void (*begin)(spk_decoder *decoder);
    /* Formats that read the file themselves (HDF5): called after `begin`, instead of bytes being
       fed; `decode` is then called without bytes until it gives no event. NULL for all others. */
    void (*open_path)(spk_decoder *decoder, const char *path);
    void (*decode)(spk_decoder *decoder, spki_io *io);
    void (*resync)(spk_decoder *decoder); /* see spk_decoder_resync; optional */
    void (*end)(spk_decoder *decoder);    /* frees what the state holds; optional */
} spki_codec;

struct spk_decoder {
    spki_mem mem;
    spk_events_desc desc;
    const spki_codec *codec; /* NULL until the format is known */
    void *state;             /* the codec's */
    uint32_t flags;          /* the codec's, for variants of a format */
    spk_isa isa;
    spk_event_stats stats;
    uint64_t other;       /* events given out that have no polarity */
    bool mixed;           /* triggers or OTHER may be among the events */
    uint64_t source_bits; /* desc.source where it lies in the second half of an spk_event */
    int64_t shift_us;     /* subtracted, once known, where shift_time is asked for */
    bool shift_known;
    /* Bytes: first those carried over, then those fed. */
    const uint8_t *data;
    size_t left;
    uint8_t *carry; /* 2 * SPKI_CARRY bytes */
    size_t carried;
    uint64_t at; /* offset in the stream of carry[0] if anything is carried, else of data */
    const uint8_t *io_start; /* of the call of `decode` under way: its first byte, at `at` */
    bool finished, ended, by_path;
    /* Events that did not fit the caller's array. */
    spk_event spill[2 * SPKI_EVENT_ROOM];
    size_t spill_next, spill_count;
    spk_result result;
    const char *name; /* of the file, for sentences; NULL: a stream */
    char error[512];
};

/* -- for codecs -- */

/* Remembers the first error: SENTENCE gets "name: byte N: " in front, N being the offset of `where`
   (a pointer into io, or NULL for none). */
__attribute__((format(printf, 4, 5))) SPKI_FN void spki_decoder_fail(spk_decoder *decoder,
                                                                     spk_result result,
                                                                     const uint8_t *where,
                                                                     const char *format, ...)
{
    char offset[40] = "";
    size_t used;
    va_list args;
    if (decoder->result != SPK_OK) return;
    decoder->result = result;
    if (where)
        snprintf(offset, sizeof offset, "byte %llu: ",
                 (unsigned long long)(decoder->at + (uint64_t)(where - decoder->io_start)));
    snprintf(decoder->error, sizeof decoder->error, "%.300s: %s",
             decoder->name ? decoder->name : "event stream", offset);
    used = strlen(decoder->error);
    va_start(args, format);
    vsnprintf(decoder->error + used, sizeof decoder->error - used, format, args);
    va_end(args);
}

/* A rule of the format was broken; false (an error is set) if the caller wants that told. */
SPKI_FN bool spki_decoder_violation(spk_decoder *decoder, const uint8_t *where, const char *what)
{
    decoder->stats.violations++;
    if (decoder->desc.strict) spki_decoder_fail(decoder, SPK_ERR_FORMAT, where, "%s", what);
    return !decoder->desc.strict;
}

/* The size of the sensor as the stream tells it; what the caller said wins. */
SPKI_FN void spki_decoder_size(spk_decoder *decoder, uint32_t width, uint32_t height)
{
    if (decoder->desc.width == 0) decoder->stats.width = width;
    if (decoder->desc.height == 0) decoder->stats.height = height;
}

/* First column and row outside of the sensor: 65,536 where its size is not known. */
SPKI_INLINE uint32_t spki_decoder_columns(const spk_decoder *decoder)
{
    uint32_t n = decoder->stats.width;
    return n == 0 || n > 65536u ? 65536u : n;
}

SPKI_INLINE uint32_t spki_decoder_rows(const spk_decoder *decoder)
{
    uint32_t n = decoder->stats.height;
    return n == 0 || n > 65536u ? 65536u : n;
}

/* Where time begins if the caller wants it to begin at 0; only the first call counts. */
SPKI_FN void spki_decoder_epoch(spk_decoder *decoder, int64_t t_us)
{
    if (!decoder->shift_known && decoder->desc.shift_time) decoder->shift_us = t_us;
    decoder->shift_known = true;
}

/* An event, its second half being x | y << 16 | polarity << 32 | kind << 40 | source << 48. Times
   are the stream's own; shift_time is seen to afterwards. */
SPKI_INLINE void spki_event_store(spk_event *out, int64_t t_us, uint64_t rest)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(out, &t_us, 8);
    memcpy((uint8_t *)out + 8, &rest, 8);
#else
    out->t_us = t_us;
    out->x = (uint16_t)rest;
    out->y = (uint16_t)(rest >> 16);
    out->polarity = (uint8_t)(rest >> 32);
    out->kind = (uint8_t)(rest >> 40);
    out->source = (uint16_t)(rest >> 48);
#endif
}

SPKI_INLINE uint64_t spki_event_rest(const spk_event *event)
{
    return (uint64_t)event->x | (uint64_t)event->y << 16 | (uint64_t)event->polarity << 32 |
           (uint64_t)event->kind << 40 | (uint64_t)event->source << 48;
}

/* Triggers, IMU samples, frames and the rest: counted, and passed on if the caller wants them.
   Their source and time shift are filled in here. A trigger takes a place in io where
   triggers_in_stream says so: leave room for it. */
SPKI_FN void spki_decoder_trigger(spk_decoder *decoder, spki_io *io, const spk_trigger *trigger)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    decoder->stats.triggers++;
    if (decoder->desc.triggers_in_stream)
        spki_event_store(io->out++, trigger->t_us,
                         (uint64_t)trigger->channel | (uint64_t)(trigger->edge & 1u) << 32 |
                             (uint64_t)SPK_EVENT_TRIGGER << 40 |
                             (decoder->source_bits + ((uint64_t)trigger->source << 48)));
    if (c->trigger) {
        spk_trigger copy = *trigger;
        copy.t_us -= decoder->shift_us;
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->trigger(c->ctx, &copy);
    }
}

SPKI_FN void spki_decoder_imu(spk_decoder *decoder, const spk_imu *imu)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    decoder->stats.imu++;
    if (c->imu) {
        spk_imu copy = *imu;
        copy.t_us -= decoder->shift_us;
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->imu(c->ctx, &copy);
    }
}

SPKI_FN void spki_decoder_frame(spk_decoder *decoder, const spk_frame *frame)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    decoder->stats.frames++;
    if (c->frame) {
        spk_frame copy = *frame;
        copy.t_us -= decoder->shift_us;
        copy.start_us -= decoder->shift_us;
        copy.end_us -= decoder->shift_us;
        copy.exposure_start_us -= decoder->shift_us;
        copy.exposure_end_us -= decoder->shift_us;
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->frame(c->ctx, &copy);
    }
}

SPKI_FN void spki_decoder_extra(spk_decoder *decoder, const spk_extra *extra)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    decoder->stats.extras++;
    if (c->extra) {
        spk_extra copy = *extra;
        copy.t_us -= decoder->shift_us;
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->extra(c->ctx, &copy);
    }
}

/* Memory of a codec, within the caller's limit; the error is set when there is none. */
SPKI_FN void *spki_decoder_alloc(spk_decoder *decoder, size_t count, size_t size)
{
    void *block = spki_alloc_raw(&decoder->mem, count, size);
    if (!block)
        spki_decoder_fail(decoder, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for %llu bytes",
                          (unsigned long long)count * (unsigned long long)size);
    return block;
}

/* -- bytes -- */

SPKI_INLINE uint16_t spki_load16_le(const uint8_t *p)
{
    uint16_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap16(x);
#endif
    return x;
}

SPKI_INLINE void spki_store16_le(uint8_t *p, uint16_t x)
{
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
}

SPKI_INLINE void spki_store32_le(uint8_t *p, uint32_t x)
{
    spki_store16_le(p, (uint16_t)x);
    spki_store16_le(p + 2, (uint16_t)(x >> 16));
}

/* -- for writers -- */

typedef struct spki_encoder {
    spk_event_format format;
    const char *suffixes;                    /* as above */
    size_t state_size;                       /* of spk_event_writer.state, zeroed before `begin` */
    void (*begin)(spk_event_writer *writer); /* header; optional. Errors: spki_writer_fail */
    /* Appends the events; stops at the first that cannot be held, after spki_writer_refuse. Adds to
       writer->encoded each time that all bytes of an event are in the buffer. */
    void (*encode)(spk_event_writer *writer, const spk_event *events, size_t count);
    void (*finish)(spk_event_writer *writer); /* optional */
    void (*end)(spk_event_writer *writer);    /* frees what the state holds; optional */
} spki_encoder;

#define SPKI_WRITE_BUFFER ((size_t)256 << 10)

struct spk_event_writer {
    spki_mem mem;
    spk_event_writer_desc desc;
    const spki_encoder *encoder;
    void *state;
    FILE *file;
    uint8_t *buffer;
    size_t fill;
    uint64_t bytes;            /* given to the file so far */
    uint64_t encoded, written; /* events whole in the buffer or file, and in the file */
    bool finished;
    spk_result result;
    char *name; /* of the file; NULL: `write` */
    size_t name_size;
    char error[512];
};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>hold: records that are longer than a piece of the stream ---- */

/* A block that grows. What it holds past `size` is undefined. */
typedef struct spki_bytes {
    uint8_t *data;
    size_t size, capacity;
} spki_bytes;

SPKI_FN bool spki_bytes_reserve(spki_mem *mem, spki_bytes *b, size_t capacity)
{
    uint8_t *data;
    size_t wanted;
    if (capacity <= b->capacity) return true;
    wanted = SPKI_MAX(capacity, b->capacity + b->capacity / 2);
    wanted = SPKI_MAX(wanted, (size_t)4096);
    data = (uint8_t *)spki_alloc_raw(mem, wanted, 1);
    if (!data) return false;
    if (b->size) memcpy(data, b->data, b->size);
    spki_free(mem, b->data, b->capacity, 1);
    b->data = data;
    b->capacity = wanted;
    return true;
}

SPKI_FN bool spki_bytes_append(spki_mem *mem, spki_bytes *b, const void *data, size_t size)
{
    if (!spki_bytes_reserve(mem, b, b->size + size)) return false;
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
    return true;
}

SPKI_FN void spki_bytes_free(spki_mem *mem, spki_bytes *b)
{
    spki_free(mem, b->data, b->capacity, 1);
    memset(b, 0, sizeof *b);
}

/* The next `need` bytes in one piece: where they came in if they are whole there, else from `held`,
   which keeps what has come of them so far. NULL: more must come, or there is no memory (an error
   is set then). What it returns is valid until the next call. */
SPKI_FN const uint8_t *spki_hold(spk_decoder *d, spki_io *io, spki_bytes *held, size_t need)
{
    size_t there = (size_t)(io->in_end - io->in), take;
    const uint8_t *whole = io->in;
    if (held->size == 0 && there >= need) {
        io->in += need;
        return whole;
    }
    take = SPKI_MIN(need - held->size, there);
    if (!spki_bytes_append(&d->mem, held, io->in, take)) {
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for a record of %llu bytes",
                          (unsigned long long)need);
        return NULL;
    }
    io->in += take;
    if (held->size < need) return NULL;
    held->size = 0;
    return held->data;
}

/* Counts up to `count` bytes as skipped and moves over them; how many are left to be skipped. */
SPKI_FN uint64_t spki_skip(spk_decoder *d, spki_io *io, uint64_t count)
{
    uint64_t there = (uint64_t)(io->in_end - io->in);
    uint64_t now = SPKI_MIN(count, there);
    io->in += (size_t)now;
    d->stats.bytes_skipped += now;
    return count - now;
}

/* A text found in others, whatever the case of the letters; `what` is in lower case. */
SPKI_FN bool spki_contains(const uint8_t *text, size_t size, const char *what)
{
    size_t n = strlen(what), i, k;
    for (i = 0; i + n <= size; i++) {
        for (k = 0; k < n; k++) {
            uint8_t c = text[i + k];
            if (c >= 'A' && c <= 'Z') c = (uint8_t)(c - 'A' + 'a');
            if (c != (uint8_t)what[k]) break;
        }
        if (k == n) return true;
    }
    return false;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>flatbuf: reading FlatBuffers, every offset checked ---- */

/* Source: the FlatBuffers binary format ("FlatBuffer Internals"). A table begins with the signed
   distance back to its vtable; a vtable is u16 own bytes, u16 table bytes, then a u16 offset a
   field, 0 or missing where the field has its default; vectors, strings and tables hang on a u32
   that counts from its own place. Wherever one of these points outside, `bad` is set and stays
   set, and what is read is 0: the reader looks once, at the end. Positions are bytes from `data`;
   0 means none (byte 0 is the root offset). */
typedef struct spki_fb {
    const uint8_t *data;
    size_t size;
    bool bad;
} spki_fb;

SPKI_INLINE bool spki_fb_holds(spki_fb *fb, size_t at, size_t bytes)
{
    if (at <= fb->size && bytes <= fb->size - at) return true;
    fb->bad = true;
    return false;
}

/* The table, vector or string that the u32 at `at` points to. */
SPKI_FN size_t spki_fb_follow(spki_fb *fb, size_t at)
{
    size_t to;
    if (at == 0 && fb->bad) return 0;
    if (!spki_fb_holds(fb, at, 4)) return 0;
    to = at + spki_load32_le(fb->data + at);
    if (to == at || !spki_fb_holds(fb, to, 4)) {
        fb->bad = true;
        return 0;
    }
    return to;
}

SPKI_FN size_t spki_fb_root(spki_fb *fb)
{
    return spki_fb_follow(fb, 0);
}

/* Where field number `field` of `table` stands, 0 if it has its default; `bytes` its size. */
SPKI_FN size_t spki_fb_field(spki_fb *fb, size_t table, uint32_t field, size_t bytes)
{
    int64_t back;
    size_t vtable, offset, slots;
    if (table == 0 || !spki_fb_holds(fb, table, 4)) return 0;
    back = (int64_t)(int32_t)spki_load32_le(fb->data + table);
    if ((int64_t)table - back < 0 || (int64_t)table - back > (int64_t)fb->size) {
        fb->bad = true;
        return 0;
    }
    vtable = (size_t)((int64_t)table - back);
    if (!spki_fb_holds(fb, vtable, 4)) return 0;
    slots = spki_load16_le(fb->data + vtable);
    if (!spki_fb_holds(fb, vtable, slots)) return 0;
    if (4 + 2 * (size_t)field + 2 > slots) return 0;
    offset = spki_load16_le(fb->data + vtable + 4 + 2 * (size_t)field);
    if (offset == 0) return 0;
    return spki_fb_holds(fb, table + offset, bytes) ? table + offset : 0;
}

SPKI_FN int64_t spki_fb_i64(spki_fb *fb, size_t table, uint32_t field, int64_t otherwise)
{
    size_t at = spki_fb_field(fb, table, field, 8);
    return at ? (int64_t)spki_load64_le(fb->data + at) : otherwise;
}

SPKI_FN int32_t spki_fb_i32(spki_fb *fb, size_t table, uint32_t field, int32_t otherwise)
{
    size_t at = spki_fb_field(fb, table, field, 4);
    return at ? (int32_t)spki_load32_le(fb->data + at) : otherwise;
}

SPKI_FN int16_t spki_fb_i16(spki_fb *fb, size_t table, uint32_t field)
{
    size_t at = spki_fb_field(fb, table, field, 2);
    return at ? (int16_t)spki_load16_le(fb->data + at) : (int16_t)0;
}

SPKI_FN int8_t spki_fb_i8(spki_fb *fb, size_t table, uint32_t field)
{
    size_t at = spki_fb_field(fb, table, field, 1);
    return at ? (int8_t)fb->data[at] : (int8_t)0;
}

SPKI_FN float spki_fb_f32(spki_fb *fb, size_t table, uint32_t field)
{
    uint32_t bits = (uint32_t)spki_fb_i32(fb, table, field, 0);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The elements of a vector field, `bytes` each: where the first stands; *count is 0 where the
   field is missing. */
SPKI_FN size_t spki_fb_vector(spki_fb *fb, size_t table, uint32_t field, size_t bytes,
                              uint32_t *count)
{
    size_t at = spki_fb_field(fb, table, field, 4);
    *count = 0;
    if (at == 0 || (at = spki_fb_follow(fb, at)) == 0) return 0;
    if ((fb->size - at - 4) / bytes < spki_load32_le(fb->data + at)) {
        fb->bad = true;
        return 0;
    }
    *count = spki_load32_le(fb->data + at);
    return at + 4;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>inflate: LZ4 and zstd frames, through their libraries ---- */

#ifdef SPIKELIB_LZ4
#include <lz4.h>
#endif
#ifdef SPIKELIB_ZSTD
#include <zstd.h>
#endif

/* A packet of a camera is a few kB, one of a converter a few MB. */
#define SPKI_INFLATE_MOST ((size_t)1 << 30)

#ifdef SPIKELIB_LZ4

/* Source: the xxHash specification 0.1.1, XXH32 (the checksums of LZ4 frames). */
SPKI_FN uint32_t spki_xxh32(const uint8_t *p, size_t size)
{
    const uint32_t p1 = 2654435761u, p2 = 2246822519u, p3 = 3266489917u, p4 = 668265263u;
    const uint32_t p5 = 374761393u;
    uint32_t acc[4], h = p5;
    size_t n = size;
    int k;
    if (n >= 16) {
        acc[0] = p1 + p2;
        acc[1] = p2;
        acc[2] = 0;
        acc[3] = 0u - p1;
        for (; n >= 16; n -= 16, p += 16) {
            for (k = 0; k < 4; k++) {
                acc[k] += spki_load32_le(p + 4 * k) * p2;
                acc[k] = (acc[k] << 13 | acc[k] >> 19) * p1;
            }
        }
        h = (acc[0] << 1 | acc[0] >> 31) + (acc[1] << 7 | acc[1] >> 25) +
            (acc[2] << 12 | acc[2] >> 20) + (acc[3] << 18 | acc[3] >> 14);
    }
    h += (uint32_t)size;
    for (; n >= 4; n -= 4, p += 4) {
        h += spki_load32_le(p) * p3;
        h = (h << 17 | h >> 15) * p4;
    }
    for (; n > 0; n--, p++) {
        h += *p * p5;
        h = (h << 11 | h >> 21) * p1;
    }
    h = (h ^ h >> 15) * p2;
    h = (h ^ h >> 13) * p3;
    return h ^ h >> 16;
}

/* What the header of a frame says. Source: LZ4 frame format 1.6.2. */
typedef struct spki_lz4_head {
    size_t bytes, block_most;
    bool linked, block_checksum, content_checksum;
} spki_lz4_head;

SPKI_FN const char *spki_lz4_read_head(const uint8_t *in, size_t n, spki_lz4_head *head)
{
    uint8_t flags, block;
    if (n < 7 || spki_load32_le(in) != 0x184d2204u) return "no LZ4 frame begins there";
    flags = in[4];
    block = in[5];
    if ((flags & 0xc0) != 0x40) return "its LZ4 frame has another version than 1";
    if ((flags & 0x02) != 0 || (block & 0x8f) != 0 || block < 0x40)
        return "the header of its LZ4 frame is damaged";
    if ((flags & 0x01) != 0) return "its LZ4 frame needs a dictionary";
    head->bytes = 7 + ((flags & 0x08) ? 8u : 0u);
    head->linked = (flags & 0x20) == 0;
    head->block_checksum = (flags & 0x10) != 0;
    head->content_checksum = (flags & 0x04) != 0;
    head->block_most = (size_t)1 << (8 + 2 * (block >> 4));
    if (n < head->bytes) return "its LZ4 frame ends within the header";
    if (in[head->bytes - 1] != (uint8_t)(spki_xxh32(in + 4, head->bytes - 5) >> 8))
        return "the header of its LZ4 frame is damaged";
    return NULL;
}

/* One block, already within bounds, at the end of `out`, which has room for it. */
SPKI_FN const char *spki_lz4_block(const uint8_t *in, size_t size, bool stored,
                                   const spki_lz4_head *head, spki_bytes *out)
{
    size_t history = head->linked ? SPKI_MIN(out->size, (size_t)65536) : 0;
    int got;
    if (stored) {
        memcpy(out->data + out->size, in, size);
        out->size += size;
        return NULL;
    }
    got = LZ4_decompress_safe_usingDict(
        (const char *)in, (char *)out->data + out->size, (int)size, (int)head->block_most,
        (const char *)out->data + out->size - history, (int)history);
    if (got < 0) return "an LZ4 block of it is damaged";
    out->size += (size_t)got;
    return NULL;
}

/* A whole frame from `in`. Linked blocks refer to what was unpacked before them, which stands right
   before them in `out`. NULL, or what is wrong; *memory is set where that is the lack of it. */
SPKI_FN const char *spki_lz4_inflate(spki_mem *mem, const uint8_t *in, size_t n, spki_bytes *out,
                                     bool *memory)
{
    spki_lz4_head head;
    const char *why = spki_lz4_read_head(in, n, &head);
    size_t at;
    out->size = 0;
    if (why) return why;
    for (at = head.bytes;;) {
        uint32_t word;
        size_t size;
        if (n - at < 4) return "its LZ4 frame has no end";
        word = spki_load32_le(in + at);
        at += 4;
        if (word == 0) break;
        size = word & 0x7fffffffu;
        if (size > head.block_most || size > n - at) return "an LZ4 block of it is too long";
        if (head.block_most > SPKI_INFLATE_MOST - out->size) return "it unpacks to over 1 GiB";
        if (!spki_bytes_reserve(mem, out, out->size + head.block_most)) {
            *memory = true;
            return "there is no memory to unpack it";
        }
        why = spki_lz4_block(in + at, size, (word & 0x80000000u) != 0, &head, out);
        if (why) return why;
        if (head.block_checksum) {
            if (n - at - size < 4) return "its LZ4 frame has no end";
            if (spki_xxh32(in + at, size) != spki_load32_le(in + at + size))
                return "the checksum of an LZ4 block of it is wrong";
            at += 4;
        }
        at += size;
    }
    if (!head.content_checksum) return NULL;
    if (n - at < 4 || spki_xxh32(out->data, out->size) != spki_load32_le(in + at))
        return "the checksum of its LZ4 frame is wrong";
    return NULL;
}

#endif

#ifdef SPIKELIB_ZSTD

/* The same for zstd. The context, which zstd allocates itself, lives for this call: a packet every
   few milliseconds makes it cheap. */
SPKI_FN const char *spki_zstd_inflate(spki_mem *mem, ZSTD_DCtx *context, const uint8_t *in,
                                      size_t n, spki_bytes *out, bool *memory)
{
    ZSTD_inBuffer from;
    size_t left = 1;
    from.src = in;
    from.size = n;
    from.pos = 0;
    out->size = 0;
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    while (left != 0) {
        ZSTD_outBuffer to;
        size_t before = from.pos;
        if (out->size >= SPKI_INFLATE_MOST) return "it unpacks to over 1 GiB";
        if (!spki_bytes_reserve(mem, out, out->size + 65536)) {
            *memory = true;
            return "there is no memory to unpack it";
        }
        to.dst = out->data;
        to.size = out->capacity;
        to.pos = out->size;
        left = ZSTD_decompressStream(context, &to, &from);
        if (ZSTD_isError(left)) return "its zstd frame is damaged";
        if (left != 0 && from.pos == before && to.pos == out->size)
            return "its zstd frame has no end";
        out->size = to.pos;
    }
    return NULL;
}

#endif
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>decimal: decimal numbers in text, exactly, in any locale ---- */

/* -- eight digits at a time -- */

SPKI_INLINE uint64_t spki_load_text(const char *at)
{
    uint64_t w;
    memcpy(&w, at, sizeof w);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* How many of the eight characters, from the first, are digits. A byte that is none may carry into
   the bytes above it, which no longer count. */
SPKI_INLINE uint32_t spki_count_digits(uint64_t w)
{
    uint64_t x = w ^ UINT64_C(0x3030303030303030);
    uint64_t other = ((x + UINT64_C(0x7676767676767676)) | x) & UINT64_C(0x8080808080808080);
    return other ? (uint32_t)__builtin_ctzll(other) >> 3 : 8;
}

/* The value of eight digits, the first in the lowest byte; bytes of 0 count as digits 0. Neighbours
   are joined to numbers of 2, 4 and 8 digits by one multiplication each. */
SPKI_INLINE uint32_t spki_eight_digits(uint64_t w)
{
    w = (w & UINT64_C(0x0f0f0f0f0f0f0f0f)) * 2561 >> 8;
    w = (w & UINT64_C(0x00ff00ff00ff00ff)) * 6553601 >> 16;
    return (uint32_t)((w & UINT64_C(0x0000ffff0000ffff)) * UINT64_C(42949672960001) >> 32);
}

/* -- any number -- */

/* digits * 10^exponent. Of more than 19 digits the last are cut off, which no rounding sees:
   halves round away from zero. */
typedef struct spki_decimal {
    uint64_t digits;
    int32_t exponent;
    bool negative, point;
} spki_decimal;

/* [sign] digits [. digits] [e [sign] digits]. The number of characters that it takes, 0 if no
   number is there. */
SPKI_FN size_t spki_decimal_read(const char *s, size_t n, spki_decimal *out)
{
    size_t i = 0, figures = 0;
    memset(out, 0, sizeof *out);
    if (i < n && (s[i] == '-' || s[i] == '+')) out->negative = s[i++] == '-';
    for (; i < n && ((s[i] >= '0' && s[i] <= '9') || (s[i] == '.' && !out->point)); i++) {
        if (s[i] == '.') {
            out->point = true;
            continue;
        }
        figures++;
        if (out->digits < UINT64_C(1000000000000000000)) {
            out->digits = out->digits * 10 + (uint64_t)(s[i] - '0');
            if (out->point) out->exponent--;
        } else if (!out->point && out->exponent < 100000) out->exponent++;
    }
    if (figures == 0) return 0;
    if (i + 1 < n && (s[i] == 'e' || s[i] == 'E')) {
        size_t k = i + 1;
        int32_t e = 0;
        bool minus = s[k] == '-';
        if (s[k] == '-' || s[k] == '+') k++;
        if (k >= n || s[k] < '0' || s[k] > '9') return i;
        for (; k < n && s[k] >= '0' && s[k] <= '9'; k++)
            if (e < 100000) e = e * 10 + (s[k] - '0');
        out->exponent += minus ? -e : e;
        i = k;
    }
    return i;
}

/* value * 10^power as the nearest integer. False where that needs more than 63 bits. */
SPKI_FN bool spki_decimal_scale(const spki_decimal *d, int32_t power, int64_t *out)
{
    int32_t e = d->exponent + power;
    uint64_t v = d->digits;
    *out = 0;
    if (v == 0 || e < -20) return true;
    for (; e > 0; e--) {
        if (v > (uint64_t)INT64_MAX / 10) return false;
        v *= 10;
    }
    for (; e < -1; e++) v /= 10;
    if (e == -1) v = v / 10 + (v % 10 >= 5 ? 1u : 0u);
    if (v > (uint64_t)INT64_MAX) return false;
    *out = d->negative ? -(int64_t)v : (int64_t)v;
    return true;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>aedat2: AEDAT 1.0 and 2.0, the files of jAER ---- */

/* Lines that begin with '#', then records, all big-endian: u32 address (1.0: u16), i32 time in us.
   What an address means depends on the chip, which a line of the header names.
   Source: the AEDAT file formats of inivation-docs; jAER's DVS128 and DavisChip. */

typedef enum spki_chip { SPKI_CHIP_UNKNOWN = 0, SPKI_CHIP_DVS, SPKI_CHIP_DAVIS } spki_chip;

enum { SPKI_AEDAT2_LINE_MOST = 1 << 20, SPKI_AEDAT2_LOOK = 64 };

typedef struct spki_aedat2 {
    spki_bytes held; /* a line of the header, or the records that tell the chip */
    bool data, old, any, view;
    spki_chip chip;
    uint32_t width, height, last;
    int64_t base;
} spki_aedat2;

SPKI_FN spki_sniff spki_aedat2_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "#!AER-DAT";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    if (size <= n) return whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
    return head[n] == '1' || head[n] == '2' ? SPKI_SNIFF_YES : SPKI_SNIFF_NO;
}

/* One line of the header: which chip, and how large. */
SPKI_FN void spki_aedat2_line(spk_decoder *d, spki_aedat2 *s, const uint8_t *line, size_t n)
{
    static const struct {
        const char *name;
        spki_chip chip;
        uint32_t width, height;
    } chips[] = {
        {"dvs128", SPKI_CHIP_DVS, 128, 128},      {"tmpdiff128", SPKI_CHIP_DVS, 128, 128},
        {"davis128", SPKI_CHIP_DAVIS, 128, 128},  {"davis208", SPKI_CHIP_DAVIS, 208, 192},
        {"davis346", SPKI_CHIP_DAVIS, 346, 260},  {"davis640", SPKI_CHIP_DAVIS, 640, 480},
        {"davis240", SPKI_CHIP_DAVIS, 240, 180},  {"sbret", SPKI_CHIP_DAVIS, 240, 180},
    };
    size_t k;
    if (n > 10 && memcmp(line, "#!AER-DAT", 9) == 0) s->old = line[9] == '1';
    if (s->chip != SPKI_CHIP_UNKNOWN || !spki_contains(line, n, "chip")) return;
    for (k = 0; k < sizeof chips / sizeof chips[0] && s->chip == SPKI_CHIP_UNKNOWN; k++) {
        if (!spki_contains(line, n, chips[k].name)) continue;
        s->chip = chips[k].chip;
        spki_decoder_size(d, chips[k].width, chips[k].height);
    }
}

/* The header ends before the first line that does not begin with '#', or that is no text: a record
   may begin with the byte of a '#'. True once the data are reached; what of them was taken for a
   line is then in `held`. */
SPKI_FN bool spki_aedat2_header(spk_decoder *d, spki_aedat2 *s, spki_io *io)
{
    while (io->in < io->in_end) {
        uint8_t c = *io->in;
        bool text = c >= 0x20 || c == '\t' || c == '\r' || c == '\n';
        if ((s->held.size == 0 && c != '#') || !text || s->held.size >= SPKI_AEDAT2_LINE_MOST)
            return true;
        if (!spki_bytes_append(&d->mem, &s->held, &c, 1)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for the header");
            return false;
        }
        io->in++;
        if (c != '\n') continue;
        spki_aedat2_line(d, s, s->held.data, s->held.size);
        s->held.size = 0;
    }
    if (io->last) { /* within a line */
        d->stats.bytes_skipped += s->held.size;
        s->held.size = 0;
    }
    return false;
}

SPKI_INLINE uint32_t spki_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* No line named the chip: only a DAVIS has bits above the 16th. */
SPKI_FN void spki_aedat2_guess(spk_decoder *d, spki_aedat2 *s, const uint8_t *p, size_t n)
{
    s->chip = SPKI_CHIP_DVS;
    for (; n >= 8 && !s->old; p += 8, n -= 8)
        if (p[0] != 0 || p[1] != 0) s->chip = SPKI_CHIP_DAVIS;
    if (s->chip == SPKI_CHIP_DVS) spki_decoder_size(d, 128, 128);
    else if (d->stats.width == 0) spki_decoder_size(d, 346, 260);
}

SPKI_FN int64_t spki_aedat2_time(spk_decoder *d, spki_aedat2 *s, uint32_t t, const uint8_t *at)
{
    if (s->any && t < s->last) {
        if (s->last - t > UINT32_C(0x80000000)) s->base += INT64_C(1) << 32;
        else spki_decoder_violation(d, at, "time runs back");
    }
    s->any = true;
    s->last = t;
    return s->base + t;
}

/* An address that is no pixel's: a trigger, or a sample of a frame or IMU, passed on as it is. */
SPKI_FN void spki_aedat2_special(spk_decoder *d, spki_io *io, spki_aedat2 *s, uint32_t address,
                                 int64_t t)
{
    bool trigger = s->chip == SPKI_CHIP_DVS || (address & UINT32_C(0x80000000)) == 0;
    if (trigger) {
        spk_trigger e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.pulse = 1;
        e.edge = s->chip == SPKI_CHIP_DVS ? (uint8_t)(address & 1) : (uint8_t)(address >> 11 & 1);
        spki_decoder_trigger(d, io, &e);
    } else {
        spk_extra e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.kind = SPK_EXTRA_ADDRESS;
        e.code = (uint16_t)(address >> 10 & 3);
        e.x = (uint16_t)(address >> 12 & 0x3ff);
        e.y = (uint16_t)(address >> 22 & 0x1ff);
        e.bytes = &address;
        e.size = sizeof address;
        spki_decoder_extra(d, &e);
    }
}

SPKI_FN void spki_aedat2_record(spk_decoder *d, spki_io *io, spki_aedat2 *s, const uint8_t *p)
{
    uint32_t address = s->old ? (uint32_t)p[0] << 8 | p[1] : spki_be32(p);
    int64_t t = spki_aedat2_time(d, s, spki_be32(p + (s->old ? 2 : 4)), NULL);
    uint32_t x, y, on;
    if (s->chip == SPKI_CHIP_DVS) {
        if (address & 0x8000u) {
            spki_aedat2_special(d, io, s, address, t);
            return;
        }
        x = address >> 1 & 0x7f;
        y = address >> 8 & 0x7f;
        on = (address & 1) ^ (s->view ? 1u : 0u);
    } else {
        if ((address & UINT32_C(0x80000400)) != 0) {
            spki_aedat2_special(d, io, s, address, t);
            return;
        }
        x = address >> 12 & 0x3ff;
        y = address >> 22 & 0x1ff;
        on = address >> 11 & 1;
    }
    if (x >= s->width || y >= s->height) {
        d->stats.dropped++;
        return;
    }
    if (s->view) { /* the chips count columns from the right and rows from the bottom */
        x = s->width - 1 - x;
        y = s->height - 1 - y;
    }
    spki_event_store(io->out++, t, (uint64_t)x | (uint64_t)y << 16 | (uint64_t)on << 32 |
                                       d->source_bits);
}

/* Records that were gathered to tell the chip, or begun in an earlier piece. */
SPKI_FN bool spki_aedat2_decide(spk_decoder *d, spki_aedat2 *s, spki_io *io)
{
    size_t want = SPKI_AEDAT2_LOOK * 8;
    if (s->chip == SPKI_CHIP_UNKNOWN) {
        size_t take = SPKI_MIN((size_t)(io->in_end - io->in), want - SPKI_MIN(want, s->held.size));
        if (!spki_bytes_append(&d->mem, &s->held, io->in, take)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for the first records");
            return false;
        }
        io->in += take;
        if (s->held.size < want && !io->last) return false;
        spki_aedat2_guess(d, s, s->held.data, s->held.size);
    }
    s->view = !d->desc.as_stored && d->stats.width != 0 && d->stats.height != 0;
    s->width = spki_decoder_columns(d);
    s->height = spki_decoder_rows(d);
    s->data = true;
    return true;
}

SPKI_FN void spki_aedat2_decode(spk_decoder *d, spki_io *io)
{
    spki_aedat2 *s = (spki_aedat2 *)d->state;
    size_t record, k = 0;
    if (!s->data && s->width == 0) {
        if (!spki_aedat2_header(d, s, io)) return;
        s->width = 1; /* the header is over */
    }
    if (!s->data && !spki_aedat2_decide(d, s, io)) return;
    record = s->old ? 6 : 8;
    while (s->held.size - k >= record && io->out < io->out_end) {
        spki_aedat2_record(d, io, s, s->held.data + k);
        k += record;
    }
    if (k > 0) {
        s->held.size -= k;
        memmove(s->held.data, s->held.data + k, s->held.size);
    }
    while (s->held.size < record && io->out < io->out_end) {
        const uint8_t *p = spki_hold(d, io, &s->held, record);
        if (!p) break;
        spki_aedat2_record(d, io, s, p);
    }
    if (io->last && io->in == io->in_end && s->held.size < record) {
        d->stats.bytes_skipped += s->held.size;
        s->held.size = 0;
    }
}

SPKI_FN void spki_aedat2_end(spk_decoder *d)
{
    spki_bytes_free(&d->mem, &((spki_aedat2 *)d->state)->held);
}

SPKI_FN bool spki_aedat_accept(const uint8_t *head, size_t size)
{
    return size > 0 && head[0] == '#';
}

static const spki_codec spki_aedat2_codec = {
    SPK_FORMAT_AEDAT2, ".aedat ", sizeof(spki_aedat2), spki_aedat2_sniff, spki_aedat_accept,
    NULL, NULL, spki_aedat2_decode, NULL, spki_aedat2_end};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>aedat3: AEDAT 3.x, the packets of cAER and libcaer ---- */

/* Header lines that begin with '#' and end with "#!END-HEADER" (3.0: with the first line that does
   not), then packets: a header of 28 bytes, eventNumber records of eventSize bytes. Little-endian.
   Source: the AEDAT file formats of inivation-docs; libcaer's include/libcaer/events. */

enum {
    SPKI_CAER_SPECIAL = 0,
    SPKI_CAER_POLARITY = 1,
    SPKI_CAER_FRAME = 2,
    SPKI_CAER_IMU6 = 3,
    SPKI_CAER_IMU9 = 4,
    SPKI_CAER_SPIKE = 12
};

/* A frame of 16 megapixels with 4 channels; what is larger is damage. */
#define SPKI_AEDAT3_RECORD_MOST ((uint32_t)1 << 27)

typedef enum spki_aedat3_phase {
    SPKI_AEDAT3_HEADER = 0,
    SPKI_AEDAT3_PACKET,
    SPKI_AEDAT3_RECORDS
} spki_aedat3_phase;

typedef struct spki_aedat3 {
    spki_bytes held, body; /* a record; a compressed packet once unpacked, or what is left of it */
    spki_aedat3_phase phase;
    bool upwards, unpacked, named;
    uint16_t type, camera;
    uint32_t size, ts_at, left; /* of a record; where its time stands; records still to come */
    uint32_t packed;            /* bytes of a compressed body */
    size_t body_at;
    uint64_t skip; /* bytes of a packet of no known type */
    int64_t base;
    uint64_t packets;
} spki_aedat3;

SPKI_FN spki_sniff spki_aedat3_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "#!AER-DAT3";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    return size >= n ? SPKI_SNIFF_YES : whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
}

/* -- header -- */

SPKI_FN void spki_aedat3_line(spk_decoder *d, spki_aedat3 *s, const uint8_t *line, size_t n)
{
    static const struct {
        const char *name;
        uint32_t width, height;
    } cameras[] = {
        {"dvs128", 128, 128},     {"davis128", 128, 128},   {"davis208", 208, 192},
        {"davis240", 240, 180},   {"davis346", 346, 260},   {"davis640", 640, 480},
        {"dvxplorer_lite", 320, 240}, {"dvxplorer lite", 320, 240}, {"dvxplorer", 640, 480},
    };
    size_t k;
    if (n >= 13 && memcmp(line, "#!AER-DAT3.0", 12) == 0) s->upwards = !d->desc.as_stored;
    if (n < 9 || s->named || !spki_contains(line, SPKI_MIN(n, (size_t)9), "source")) return;
    for (k = 0; k < sizeof cameras / sizeof cameras[0] && !s->named; k++) {
        if (!spki_contains(line, n, cameras[k].name)) continue;
        s->named = true;
        spki_decoder_size(d, cameras[k].width, cameras[k].height);
    }
}

/* True once the data are reached. */
SPKI_FN bool spki_aedat3_header(spk_decoder *d, spki_aedat3 *s, spki_io *io)
{
    while (io->in < io->in_end) {
        uint8_t c = *io->in;
        bool end;
        if (s->held.size == 0 && c != '#') return true;
        if (s->held.size >= SPKI_AEDAT2_LINE_MOST) {
            spki_decoder_fail(d, SPK_ERR_FORMAT, io->in, "AEDAT 3: a header line of over 1 MB");
            return false;
        }
        if (!spki_bytes_append(&d->mem, &s->held, &c, 1)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for the header");
            return false;
        }
        io->in++;
        if (c != '\n') continue;
        end = s->held.size >= 13 && memcmp(s->held.data, "#!END-HEADER", 12) == 0;
        spki_aedat3_line(d, s, s->held.data, s->held.size);
        s->held.size = 0;
        if (end) return true;
    }
    return false;
}

/* -- packets -- */

SPKI_FN bool spki_aedat3_packet(spk_decoder *d, spki_aedat3 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, 28);
    uint16_t type;
    uint32_t capacity, number, overflow;
    if (!p) return false;
    type = spki_load16_le(p);
    s->type = type & 0x7fff;
    s->camera = spki_load16_le(p + 2);
    s->size = spki_load32_le(p + 4);
    s->ts_at = spki_load32_le(p + 8);
    overflow = spki_load32_le(p + 12);
    capacity = spki_load32_le(p + 16);
    number = spki_load32_le(p + 20);
    if (s->size < 8 || s->size > SPKI_AEDAT3_RECORD_MOST || s->ts_at > s->size - 4 ||
        number > INT32_MAX || capacity > INT32_MAX || overflow > INT32_MAX || s->type > 1023) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, io->in,
                          "AEDAT 3: the header of packet %llu makes no sense (type %u, %u events "
                          "of %u bytes)",
                          (unsigned long long)s->packets, (unsigned)type, number, s->size);
        return false;
    }
    s->packets++;
    s->base = (int64_t)overflow << 31;
    s->left = number;
    s->packed = type & 0x8000 ? capacity : 0;
    s->unpacked = false;
    s->phase = SPKI_AEDAT3_RECORDS;
    return true;
}

/* Where a record's time stands among others without a time of their own.
   Source: cAER's "SerializedTS". Runs of three and more equal times: bit 31 of the first one's time
   is set, the second one's time counts how many follow it, which have none. */
SPKI_FN bool spki_aedat3_unpack(spk_decoder *d, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t left = s->packed, run = 0, time = 0, k;
    bool counted = false;
    s->body.size = 0;
    for (k = 0; k < s->left; k++) {
        uint32_t n = run > 0 ? s->ts_at : s->size;
        uint8_t *to;
        if (n > left || (uint64_t)s->left * s->size > (UINT64_C(1) << 30)) break;
        if (!spki_bytes_reserve(&d->mem, &s->body, s->body.size + s->size)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to unpack a packet");
            return false;
        }
        to = s->body.data + s->body.size;
        memset(to, 0, s->size);
        memcpy(to, p, n);
        p += n;
        left -= n;
        if (run > 0) run--;
        else if (counted) {
            run = spki_load32_le(to + s->ts_at);
            counted = false;
        } else {
            time = spki_load32_le(to + s->ts_at);
            counted = (time & 0x80000000u) != 0;
            time &= 0x7fffffffu;
        }
        spki_store32_le(to + s->ts_at, time);
        s->body.size += s->size;
    }
    if (k < s->left || left > 0) {
        d->stats.bytes_skipped += s->packed;
        s->body.size = 0;
        s->left = 0;
        return spki_decoder_violation(d, NULL, "AEDAT 3: a compressed packet is damaged");
    }
    return true;
}

/* -- records -- */

SPKI_FN void spki_aedat3_special(spk_decoder *d, spki_io *io, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t word = spki_load32_le(p), type = word >> 1 & 0x7f, data = word >> 8;
    int64_t t = s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu);
    bool edge = type >= 2 && type != 5 && type <= 11, generated = type == 12 || type == 13;
    if (edge || generated) {
        /* Three inputs of three types each: rising, falling, pulse. */
        uint32_t input = generated ? 3 : type <= 4 ? 0 : type <= 8 ? 1 : 2;
        uint32_t what = generated ? type - 12 : type <= 4 ? type - 2 : (type - 6) % 3;
        spk_trigger e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.channel = (uint16_t)input;
        e.edge = what != 1;
        e.pulse = what == 2;
        e.code = (uint16_t)type;
        spki_decoder_trigger(d, io, &e);
    } else {
        spk_extra e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.kind = SPK_EXTRA_SPECIAL;
        e.code = (uint16_t)type;
        e.bytes = &data;
        e.size = sizeof data;
        spki_decoder_extra(d, &e);
    }
}

SPKI_FN void spki_aedat3_imu(spk_decoder *d, spki_aedat3 *s, const uint8_t *p)
{
    spk_imu e;
    float v[10];
    uint32_t k, n = s->type == SPKI_CAER_IMU9 ? 10 : 7, bits;
    memset(&e, 0, sizeof e);
    for (k = 0; k < n; k++) {
        bits = spki_load32_le(p + 8 + 4 * k);
        memcpy(&v[k], &bits, 4);
    }
    e.t_us = s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu);
    bits = 0x7fc00000u;
    for (k = 0; k < 3; k++) {
        e.accel_g[k] = v[k];
        e.gyro_dps[k] = v[3 + k];
        if (n == 10) e.mag_ut[k] = v[7 + k];
        else memcpy(&e.mag_ut[k], &bits, 4); /* not measured */
    }
    e.temperature_c = v[6];
    spki_decoder_imu(d, &e);
}

/* 36 bytes of header, then 16-bit samples from the upper left. */
SPKI_FN void spki_aedat3_frame(spk_decoder *d, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t info = spki_load32_le(p);
    uint32_t width = spki_load32_le(p + 20), height = spki_load32_le(p + 24);
    uint64_t samples;
    spk_frame e;
    memset(&e, 0, sizeof e);
    e.channels = (uint16_t)(info >> 1 & 7);
    samples = (uint64_t)width * height * e.channels;
    if (width > 65535 || height > 65535 || samples > (s->size - 36) / 2) {
        d->stats.bytes_skipped += s->size;
        spki_decoder_violation(d, NULL, "AEDAT 3: a frame is larger than its packet");
        return;
    }
    e.start_us = s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu);
    e.end_us = s->base | (int64_t)(spki_load32_le(p + 8) & 0x7fffffffu);
    e.exposure_start_us = s->base | (int64_t)(spki_load32_le(p + 12) & 0x7fffffffu);
    e.exposure_end_us = s->base | (int64_t)(spki_load32_le(p + 16) & 0x7fffffffu);
    e.t_us = e.exposure_start_us + (e.exposure_end_us - e.exposure_start_us) / 2;
    e.width = (uint16_t)width;
    e.height = (uint16_t)height;
    e.x = spki_load16_le(p + 28);
    e.y = spki_load16_le(p + 32);
    e.sample_bytes = 2;
    e.code = (uint16_t)(info >> 4 & 15);
    e.size = (size_t)samples * 2;
    s->body.size = 0; /* samples of two bytes want an address to match */
    if (!spki_bytes_append(&d->mem, &s->body, p + 36, e.size)) {
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for a frame");
        return;
    }
    e.pixels = s->body.data;
    spki_decoder_frame(d, &e);
}

/* A spike of a Dynap-SE: which neuron fired, as x | y << 16 (5 bits of core, 6 of chip, 20 of
   neuron). */
SPKI_INLINE uint64_t spki_aedat3_neuron(uint32_t word)
{
    return (uint64_t)(word >> 1) | UINT64_C(1) << 32;
}

SPKI_FN void spki_aedat3_one(spk_decoder *d, spki_io *io, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t word = spki_load32_le(p);
    if ((word & 1) == 0) { /* not valid: a filter took it out */
        d->stats.dropped++;
        return;
    }
    switch (s->type) {
    case SPKI_CAER_SPECIAL: spki_aedat3_special(d, io, s, p); break;
    case SPKI_CAER_IMU6:
    case SPKI_CAER_IMU9: spki_aedat3_imu(d, s, p); break;
    case SPKI_CAER_FRAME: spki_aedat3_frame(d, s, p); break;
    default:
        spki_event_store(io->out++, s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu),
                         spki_aedat3_neuron(word) | d->source_bits);
    }
}

/* Polarity events in one piece. How many were taken. */
SPKI_FN size_t spki_aedat3_polarity(spk_decoder *d, spki_io *io, spki_aedat3 *s, const uint8_t *p,
                                    size_t count)
{
    size_t room = (size_t)(io->out_end - io->out), n = SPKI_MIN(room, count), k;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    uint32_t bottom = s->upwards && d->stats.height != 0 ? rows - 1 : 0;
    spk_event *out = io->out;
    for (k = 0; k < n; k++) {
        const uint8_t *e = p + k * s->size;
        uint32_t word = spki_load32_le(e), x = word >> 17, y = word >> 2 & 0x7fff;
        bool good = (word & 1) != 0 && x < columns && y < rows;
        y = bottom != 0 ? bottom - y : y;
        spki_event_store(out, s->base | (int64_t)(spki_load32_le(e + 4) & 0x7fffffffu),
                         (uint64_t)x | (uint64_t)(y & 0xffff) << 16 |
                             (uint64_t)(word >> 1 & 1) << 32 | d->source_bits);
        out += good;
    }
    d->stats.dropped += n - (size_t)(out - io->out);
    io->out = out;
    return n;
}

SPKI_FN uint32_t spki_aedat3_least(uint32_t type)
{
    if (type == SPKI_CAER_IMU9) return 48;
    return type == SPKI_CAER_FRAME || type == SPKI_CAER_IMU6 ? 36 : 8;
}

/* The records of a packet, from the stream or from what was unpacked. */
SPKI_FN bool spki_aedat3_records(spk_decoder *d, spki_aedat3 *s, spki_io *io)
{
    bool packed = s->packed > 0;
    if (packed && !s->unpacked) {
        const uint8_t *p = spki_hold(d, io, &s->held, s->packed);
        if (!p || !spki_aedat3_unpack(d, s, p)) return false;
        s->unpacked = true;
        s->body_at = 0;
    }
    while (s->left > 0 && io->out < io->out_end) {
        const uint8_t *p;
        size_t there, n = 1;
        if (packed) {
            there = s->left;
            p = s->body.data + s->body_at;
        } else {
            there = s->held.size == 0 ? (size_t)(io->in_end - io->in) / s->size : 0;
            p = io->in;
            if (there == 0) {
                if ((p = spki_hold(d, io, &s->held, s->size)) == NULL) return false;
                there = 1;
            } else io->in += s->size;
        }
        if (s->type == SPKI_CAER_POLARITY) {
            n = spki_aedat3_polarity(d, io, s, p, SPKI_MIN(there, (size_t)s->left));
        } else spki_aedat3_one(d, io, s, p);
        if (packed) s->body_at += n * s->size;
        else if (n > 1) io->in += (n - 1) * s->size;
        s->left -= (uint32_t)n;
    }
    return s->left == 0;
}

SPKI_FN void spki_aedat3_decode(spk_decoder *d, spki_io *io)
{
    spki_aedat3 *s = (spki_aedat3 *)d->state;
    if (s->phase == SPKI_AEDAT3_HEADER && spki_aedat3_header(d, s, io))
        s->phase = SPKI_AEDAT3_PACKET;
    while (s->phase != SPKI_AEDAT3_HEADER && d->result == SPK_OK && io->out < io->out_end) {
        bool known;
        if (s->skip > 0 && (s->skip = spki_skip(d, io, s->skip)) > 0) break;
        if (s->phase == SPKI_AEDAT3_PACKET && !spki_aedat3_packet(d, s, io)) break;
        known = (s->type <= SPKI_CAER_IMU9 || s->type == SPKI_CAER_SPIKE) &&
                s->size >= spki_aedat3_least(s->type) && !(s->packed && s->type == SPKI_CAER_FRAME);
        if (!known) {
            s->skip = s->packed ? s->packed : (uint64_t)s->left * s->size;
            s->phase = SPKI_AEDAT3_PACKET;
            continue;
        }
        if (!spki_aedat3_records(d, s, io)) break;
        s->phase = SPKI_AEDAT3_PACKET;
    }
    if (io->last && io->in == io->in_end && s->held.size > 0) {
        d->stats.bytes_skipped += s->held.size;
        s->held.size = 0;
        spki_decoder_violation(d, NULL, "AEDAT 3: the stream ends within a packet");
    }
}

SPKI_FN void spki_aedat3_end(spk_decoder *d)
{
    spki_aedat3 *s = (spki_aedat3 *)d->state;
    spki_bytes_free(&d->mem, &s->held);
    spki_bytes_free(&d->mem, &s->body);
}

static const spki_codec spki_aedat3_codec = {
    SPK_FORMAT_AEDAT3, ".aedat3 ", sizeof(spki_aedat3), spki_aedat3_sniff, spki_aedat_accept, NULL,
    NULL, spki_aedat3_decode, NULL, spki_aedat3_end};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>aedat4: AEDAT 4.0, the files of DV ---- */

/* "#!AER-DAT4.0\r\n"; u32 and a FlatBuffer IOHE; packets of i32 stream, i32 size and one
   FlatBuffer, compressed by itself; a table of all packets at the end. Little-endian.
   Source: the AEDAT file formats of inivation-docs; jAER's aedat4 schemas. */

enum { SPKI_AEDAT4_STREAMS = 64 };

typedef enum spki_aedat4_phase {
    SPKI_AEDAT4_MARK = 0, /* the first line, and the length of the header */
    SPKI_AEDAT4_HEADER,
    SPKI_AEDAT4_PACKET,
    SPKI_AEDAT4_BODY,
    SPKI_AEDAT4_EVENTS, /* of a packet, until all found room */
    SPKI_AEDAT4_TABLE   /* the rest of the stream */
} spki_aedat4_phase;

typedef struct spki_aedat4 {
    spki_aedat4_phase phase;
    int32_t compression;
    int64_t table_at;  /* offset in the stream, negative: not known */
    uint64_t position; /* of the next packet */
    uint64_t packets, skip;
    uint32_t size; /* of the header, or the packet's body */
    spki_bytes held, plain;
    spki_fb fb;         /* the packet at hand */
    bool lent;          /* it lies in the input, which the next call will not find there */
    size_t at;          /* of its next element in `fb`; events, or the vector of tables */
    uint32_t left;      /* elements still to come */
    uint8_t kind;       /* first letter of the identifier: E, F, I, T */
    uint16_t source;    /* number of its camera */
    int32_t stream[SPKI_AEDAT4_STREAMS]; /* in the order in which the header names them */
    uint8_t type[SPKI_AEDAT4_STREAMS];   /* their identifiers' first letters */
    uint32_t streams;
#ifdef SPIKELIB_ZSTD
    ZSTD_DCtx *zstd;
#endif
} spki_aedat4;

SPKI_FN spki_sniff spki_aedat4_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "#!AER-DAT4";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    return size >= n ? SPKI_SNIFF_YES : whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
}

/* -- the header's XML -- */

/* The number that an attribute of this name holds, within a piece of XML; -1 if none. */
SPKI_FN int64_t spki_xml_number(const uint8_t *text, size_t n, const char *key)
{
    size_t m = strlen(key), i = 0;
    int64_t value = 0;
    while (i + m <= n && memcmp(text + i, key, m) != 0) i++;
    if (i + m > n) return -1;
    i += m;
    while (i < n && text[i] != '>') i++;
    if (++i >= n || text[i] < '0' || text[i] > '9') return -1;
    for (; i < n && text[i] >= '0' && text[i] <= '9' && value < INT32_MAX; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

/* What stands between two nodes that are named by a number belongs to the first of them. */
SPKI_FN void spki_aedat4_node(spk_decoder *d, spki_aedat4 *s, int32_t id, const uint8_t *text,
                              size_t n)
{
    int64_t width = spki_xml_number(text, n, "\"sizeX\""), height;
    uint8_t type = spki_contains(text, n, ">evts<")   ? 'E'
                   : spki_contains(text, n, ">frme<") ? 'F'
                   : spki_contains(text, n, ">imus<") ? 'I'
                                                      : 'T';
    height = spki_xml_number(text, n, "\"sizeY\"");
    if (s->streams < SPKI_AEDAT4_STREAMS) {
        s->stream[s->streams] = id;
        s->type[s->streams++] = type;
    }
    if (type != 'E' || width <= 0 || width > 65536 || height <= 0 || height > 65536) return;
    spki_decoder_size(d, SPKI_MAX(d->stats.width, (uint32_t)width),
                      SPKI_MAX(d->stats.height, (uint32_t)height));
}

SPKI_FN void spki_aedat4_xml(spk_decoder *d, spki_aedat4 *s, const uint8_t *text, size_t n)
{
    static const char key[] = "<node name=\"";
    size_t m = sizeof key - 1, i, begin = 0;
    int32_t open = -1;
    for (i = 0; i + m < n; i++) {
        int32_t id = 0;
        size_t k = i + m;
        if (text[i] != '<' || memcmp(text + i, key, m) != 0) continue;
        for (; k < n && text[k] >= '0' && text[k] <= '9' && id < 100000000; k++)
            id = id * 10 + (text[k] - '0');
        if (k == i + m || k == n || text[k] != '"') continue;
        if (open >= 0) spki_aedat4_node(d, s, open, text + begin, i - begin);
        open = id;
        begin = i;
    }
    if (open >= 0) spki_aedat4_node(d, s, open, text + begin, n - begin);
}

/* How many streams of its type come before it: the number of its camera. */
SPKI_FN uint16_t spki_aedat4_source(const spki_aedat4 *s, int32_t stream)
{
    uint32_t k, before = 0;
    uint8_t type = 0;
    for (k = 0; k < s->streams && type == 0; k++)
        if (s->stream[k] == stream) type = s->type[k];
    for (k = 0; k < s->streams && type != 0 && s->stream[k] != stream; k++)
        if (s->type[k] == type) before++;
    return (uint16_t)before;
}

/* -- header -- */

SPKI_FN bool spki_aedat4_mark(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, 18);
    if (!p) return false;
    s->size = spki_load32_le(p + 14);
    if (memcmp(p, "#!AER-DAT4", 10) != 0 || s->size < 8 || s->size > (1u << 26)) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: its first line, or the length of the "
                                                   "header (%u bytes), makes no sense", s->size);
        return false;
    }
    s->position = 18 + (uint64_t)s->size;
    s->phase = SPKI_AEDAT4_HEADER;
    return true;
}

SPKI_FN const char *spki_aedat4_compression(int32_t compression)
{
    if (compression == 1 || compression == 2) return "LZ4";
    if (compression == 3 || compression == 4) return "ZSTD";
    return "";
}

/* Sets the error if this build cannot unpack the file. */
SPKI_FN bool spki_aedat4_can_inflate(spk_decoder *d, const spki_aedat4 *s)
{
    bool lz4 = false, zstd = false, wants_lz4, wants_zstd;
#ifdef SPIKELIB_LZ4
    lz4 = true;
#endif
#ifdef SPIKELIB_ZSTD
    zstd = true;
#endif
    wants_lz4 = s->compression == 1 || s->compression == 2;
    wants_zstd = s->compression == 3 || s->compression == 4;
    if (s->compression == 0 || (wants_lz4 && lz4) || (wants_zstd && zstd)) return true;
    if (wants_lz4 || wants_zstd) {
        const char *name = spki_aedat4_compression(s->compression);
        spki_decoder_fail(d, SPK_ERR_UNSUPPORTED, NULL,
                          "AEDAT4 compressed with %s: compile with SPIKELIB_%s defined and link "
                          "its library (-l%s)",
                          name, name, wants_lz4 ? "lz4" : "zstd");
    } else
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: there is no compression number %d",
                          (int)s->compression);
    return false;
}

SPKI_FN bool spki_aedat4_header(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, s->size);
    spki_fb fb;
    size_t root, text;
    uint32_t n;
    if (!p) return false;
    memset(&fb, 0, sizeof fb);
    fb.data = p;
    fb.size = s->size;
    root = spki_fb_root(&fb);
    s->compression = spki_fb_i32(&fb, root, 0, 0);
    s->table_at = spki_fb_i64(&fb, root, 1, -1);
    text = spki_fb_vector(&fb, root, 2, 1, &n);
    if (fb.bad || memcmp(p + 4, "IOHE", 4) != 0) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: the header is damaged");
        return false;
    }
    if (text) spki_aedat4_xml(d, s, p + text, n);
    s->phase = SPKI_AEDAT4_PACKET;
    return spki_aedat4_can_inflate(d, s);
}

/* -- packets -- */

/* Where the header does not name the table's place (a recorder that died): something that can only
   be the table. */
SPKI_FN bool spki_aedat4_is_table(const spki_aedat4 *s, const uint8_t *p)
{
    uint32_t k, stream = spki_load32_le(p);
    for (k = 0; k < s->streams; k++)
        if ((uint32_t)s->stream[k] == stream) return false;
    if (s->compression == 1 || s->compression == 2) return stream == 0x184d2204u;
    if (s->compression == 3 || s->compression == 4) return stream == 0xfd2fb528u;
    return s->streams > 0 && stream > 255 && s->table_at < 0;
}

SPKI_FN bool spki_aedat4_packet(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p;
    if (s->table_at >= 0 && s->position >= (uint64_t)s->table_at) {
        s->phase = SPKI_AEDAT4_TABLE;
        return true;
    }
    if ((p = spki_hold(d, io, &s->held, 8)) == NULL) return false;
    if (spki_aedat4_is_table(s, p)) {
        s->phase = SPKI_AEDAT4_TABLE;
        return true;
    }
    s->size = spki_load32_le(p + 4);
    if (s->size > (uint32_t)INT32_MAX || (spki_load32_le(p) & 0x80000000u) != 0) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "AEDAT4: packet %llu at byte %llu has no sensible header (stream %d, %d "
                          "bytes)",
                          (unsigned long long)s->packets, (unsigned long long)s->position,
                          (int)spki_load32_le(p), (int)s->size);
        return false;
    }
    s->source = spki_aedat4_source(s, (int32_t)spki_load32_le(p));
    s->position += 8 + (uint64_t)s->size;
    s->packets++;
    s->phase = SPKI_AEDAT4_BODY;
    return true;
}

/* The FlatBuffer of a packet, or NULL with *why. */
SPKI_FN const uint8_t *spki_aedat4_inflate(spk_decoder *d, spki_aedat4 *s, const uint8_t *p,
                                           size_t *n, const char **why)
{
    bool memory = false;
    *n = s->size;
    *why = NULL;
    if (s->compression == 0) return p;
#ifdef SPIKELIB_LZ4
    if (s->compression <= 2) *why = spki_lz4_inflate(&d->mem, p, s->size, &s->plain, &memory);
#endif
#ifdef SPIKELIB_ZSTD
    if (s->compression >= 3) {
        if (!s->zstd) s->zstd = ZSTD_createDCtx();
        memory = !s->zstd;
        *why = !s->zstd ? "there is no memory to unpack it"
                        : spki_zstd_inflate(&d->mem, s->zstd, p, s->size, &s->plain, &memory);
    }
#endif
    if (memory)
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to unpack packet %llu",
                          (unsigned long long)(s->packets - 1));
    *n = s->plain.size;
    return *why ? NULL : s->plain.data;
}

/* A packet that makes no sense is skipped whole: the next one's place is known. */
SPKI_FN bool spki_aedat4_refuse(spk_decoder *d, spki_aedat4 *s, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "AEDAT4: packet %llu at byte %llu: %s",
             (unsigned long long)(s->packets - 1),
             (unsigned long long)(s->position - 8 - s->size), why);
    d->stats.bytes_skipped += 8 + (uint64_t)s->size;
    s->phase = SPKI_AEDAT4_PACKET;
    return spki_decoder_violation(d, NULL, text);
}

SPKI_FN bool spki_aedat4_body(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, s->size), *plain;
    const char *why;
    size_t n, root;
    if (!p) return false;
    plain = spki_aedat4_inflate(d, s, p, &n, &why);
    if (d->result != SPK_OK) return false;
    if (!plain) return spki_aedat4_refuse(d, s, why);
    if (n < 12 || spki_load32_le(plain) > n - 4)
        return spki_aedat4_refuse(d, s, "it is shorter than it says");
    s->lent = s->compression == 0 && p != s->held.data;
    s->fb.data = plain + 4;
    s->fb.size = spki_load32_le(plain);
    s->fb.bad = false;
    s->kind = plain[8];
    root = spki_fb_root(&s->fb);
    s->left = 0;
    if (memcmp(plain + 8, "EVTS", 4) == 0) s->at = spki_fb_vector(&s->fb, root, 0, 16, &s->left);
    else if (memcmp(plain + 8, "TRIG", 4) == 0 || memcmp(plain + 8, "IMUS", 4) == 0)
        s->at = spki_fb_vector(&s->fb, root, 0, 4, &s->left);
    else if (memcmp(plain + 8, "FRME", 4) == 0) {
        s->at = root;
        s->left = 1;
    } else { /* another kind of data (bounding boxes, poses): not events, and no damage */
        d->stats.bytes_skipped += 8 + (uint64_t)s->size;
        s->phase = SPKI_AEDAT4_PACKET;
        return true;
    }
    if (s->fb.bad) return spki_aedat4_refuse(d, s, "its FlatBuffer is damaged");
    s->phase = SPKI_AEDAT4_EVENTS;
    return true;
}

/* -- what is in them -- */

/* Events as they stand in the file: i64 time, i16 x, i16 y, u8 polarity, 3 unused. */
SPKI_FN void spki_aedat4_events(spk_decoder *d, spki_io *io, spki_aedat4 *s)
{
    size_t n = SPKI_MIN((size_t)(io->out_end - io->out), (size_t)s->left), k;
    const uint8_t *p = s->fb.data + s->at;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    uint64_t source = d->source_bits + ((uint64_t)s->source << 48);
    spk_event *out = io->out;
    for (k = 0; k < n; k++, p += 16) {
        uint64_t rest = spki_load64_le(p + 8), xy = rest & 0xffffffffu;
        uint64_t on = (rest & UINT64_C(0xff00000000)) != 0;
        bool good = ((xy & 0xffff) < columns) & (xy >> 16 < rows);
        spki_event_store(out, (int64_t)spki_load64_le(p), xy | on << 32 | source);
        out += good;
    }
    d->stats.dropped += n - (size_t)(out - io->out);
    io->out = out;
    s->at += 16 * n;
    s->left -= (uint32_t)n;
}

/* Source: dv's trigger types. 0 reset; 1, 2, 3 signal rising, falling, pulse; 4, 5 the camera's own
   generator; 6, 7 a frame's readout and 8, 9 its exposure, begin and end. */
SPKI_FN void spki_aedat4_trigger(spk_decoder *d, spki_io *io, spki_aedat4 *s, size_t table)
{
    spk_trigger e;
    int code = spki_fb_i8(&s->fb, table, 1);
    memset(&e, 0, sizeof e);
    e.t_us = spki_fb_i64(&s->fb, table, 0, 0);
    e.code = (uint16_t)(code & 0xff);
    e.source = s->source;
    e.channel = (uint16_t)(code >= 1 && code <= 3   ? 0
                           : code >= 4 && code <= 9 ? (code - 2) / 2
                                                    : 4);
    e.edge = code == 1 || code == 3 || (code >= 4 && code % 2 == 0);
    e.pulse = code == 0 || code == 3;
    if (!s->fb.bad) spki_decoder_trigger(d, io, &e);
}

SPKI_FN void spki_aedat4_imu(spk_decoder *d, spki_aedat4 *s, size_t table)
{
    spk_imu e;
    uint32_t k;
    memset(&e, 0, sizeof e);
    e.t_us = spki_fb_i64(&s->fb, table, 0, 0);
    e.source = s->source;
    e.temperature_c = spki_fb_f32(&s->fb, table, 1);
    for (k = 0; k < 3; k++) {
        e.accel_g[k] = spki_fb_f32(&s->fb, table, 2 + k);
        e.gyro_dps[k] = spki_fb_f32(&s->fb, table, 5 + k);
        e.mag_ut[k] = spki_fb_f32(&s->fb, table, 8 + k);
    }
    if (!s->fb.bad) spki_decoder_imu(d, &e);
}

SPKI_FN void spki_aedat4_frame(spk_decoder *d, spki_aedat4 *s, size_t table)
{
    spk_frame e;
    uint32_t n;
    int format = spki_fb_i8(&s->fb, table, 5);
    size_t pixels;
    memset(&e, 0, sizeof e);
    e.t_us = spki_fb_i64(&s->fb, table, 0, 0);
    e.start_us = spki_fb_i64(&s->fb, table, 1, 0);
    e.end_us = spki_fb_i64(&s->fb, table, 2, 0);
    e.exposure_start_us = spki_fb_i64(&s->fb, table, 3, 0);
    e.exposure_end_us = spki_fb_i64(&s->fb, table, 4, 0);
    e.width = (uint16_t)spki_fb_i16(&s->fb, table, 6);
    e.height = (uint16_t)spki_fb_i16(&s->fb, table, 7);
    e.x = (uint16_t)spki_fb_i16(&s->fb, table, 8);
    e.y = (uint16_t)spki_fb_i16(&s->fb, table, 9);
    pixels = spki_fb_vector(&s->fb, table, 10, 1, &n);
    /* OpenCV's numbers of types: the depth in 3 bits, the channels less one in the others. */
    e.channels = (uint16_t)(((format & 0xff) >> 3) + 1);
    e.sample_bytes = (uint16_t)((format & 7) >= 2 && (format & 7) <= 3 ? 2 : 1);
    e.source = s->source;
    e.code = (uint16_t)(format & 0xff);
    e.pixels = s->fb.data + pixels;
    e.size = n;
    if (n != (uint64_t)e.width * e.height * e.channels * e.sample_bytes) s->fb.bad = true;
    if (!s->fb.bad) spki_decoder_frame(d, &e);
}

/* True when all of the packet has been given out. */
SPKI_FN bool spki_aedat4_elements(spk_decoder *d, spki_io *io, spki_aedat4 *s)
{
    while (s->left > 0 && io->out < io->out_end) {
        if (s->kind == 'E') {
            spki_aedat4_events(d, io, s);
            continue;
        }
        if (s->kind == 'F') spki_aedat4_frame(d, s, s->at);
        else {
            size_t table = spki_fb_follow(&s->fb, s->at);
            if (s->kind == 'T') spki_aedat4_trigger(d, io, s, table);
            else spki_aedat4_imu(d, s, table);
            s->at += 4;
        }
        s->left--;
        if (s->fb.bad) {
            s->left = 0;
            return spki_aedat4_refuse(d, s, "its FlatBuffer is damaged");
        }
    }
    if (s->left > 0) return false;
    s->phase = SPKI_AEDAT4_PACKET;
    return true;
}

SPKI_FN void spki_aedat4_keep(spk_decoder *d, spki_aedat4 *s)
{
    s->plain.size = 0;
    s->lent = false;
    if (spki_bytes_append(&d->mem, &s->plain, s->fb.data, s->fb.size)) s->fb.data = s->plain.data;
    else spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for a packet");
}

SPKI_FN void spki_aedat4_decode(spk_decoder *d, spki_io *io)
{
    spki_aedat4 *s = (spki_aedat4 *)d->state;
    bool more = true;
    while (more && d->result == SPK_OK && io->out < io->out_end) {
        switch (s->phase) {
        case SPKI_AEDAT4_MARK: more = spki_aedat4_mark(d, s, io); break;
        case SPKI_AEDAT4_HEADER: more = spki_aedat4_header(d, s, io); break;
        case SPKI_AEDAT4_PACKET: more = spki_aedat4_packet(d, s, io); break;
        case SPKI_AEDAT4_BODY: more = spki_aedat4_body(d, s, io); break;
        case SPKI_AEDAT4_EVENTS: more = spki_aedat4_elements(d, io, s); break;
        default:
            io->in = io->in_end;
            more = false;
        }
    }
    if (s->left > 0 && s->lent) spki_aedat4_keep(d, s);
    if (!io->last || io->in != io->in_end || d->result != SPK_OK || s->left > 0) return;
    if (s->phase == SPKI_AEDAT4_MARK || s->phase == SPKI_AEDAT4_HEADER) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: the stream ends within the header");
    } else if (s->held.size > 0 || s->phase == SPKI_AEDAT4_BODY) {
        d->stats.bytes_skipped += s->held.size + (s->phase == SPKI_AEDAT4_BODY ? 8u : 0u);
        s->held.size = 0;
        s->phase = SPKI_AEDAT4_TABLE;
        spki_decoder_violation(d, NULL, "AEDAT4: the stream ends within a packet");
    }
}

SPKI_FN void spki_aedat4_end(spk_decoder *d)
{
    spki_aedat4 *s = (spki_aedat4 *)d->state;
    spki_bytes_free(&d->mem, &s->held);
    spki_bytes_free(&d->mem, &s->plain);
#ifdef SPIKELIB_ZSTD
    ZSTD_freeDCtx(s->zstd);
#endif
}

static const spki_codec spki_aedat4_codec = {
    SPK_FORMAT_AEDAT4, ".aedat4 ", sizeof(spki_aedat4), spki_aedat4_sniff, spki_aedat_accept, NULL,
    NULL, spki_aedat4_decode, NULL, spki_aedat4_end};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>file: files beyond 2 GB on every system ---- */

#include <errno.h>
#if defined(_WIN32)
#include <io.h>
#endif

/* 32-bit Linux opens large files under another name, and -std=c11 hides fileno and ftruncate. */
#if defined(__linux__)
#ifdef __cplusplus
extern "C" {
#endif
extern int spki_os_fileno(FILE *file) __asm__("fileno");
#if defined(__LP64__)
extern int spki_os_ftruncate(int fd, int64_t size) __asm__("ftruncate");
#else
extern int spki_os_ftruncate(int fd, int64_t size) __asm__("ftruncate64");
extern FILE *spki_os_fopen(const char *path, const char *mode) __asm__("fopen64");
#endif
#ifdef __cplusplus
}
#endif
#endif

SPKI_FN FILE *spki_file_open(const char *path, const char *mode)
{
    errno = 0;
#if defined(__linux__) && !defined(__LP64__)
    return spki_os_fopen(path, mode);
#else
    return fopen(path, mode);
#endif
}

/* Cuts a file that is open for writing; nothing of it may be buffered. */
SPKI_FN bool spki_file_truncate(FILE *file, uint64_t size)
{
#if defined(_WIN32)
    return _chsize_s(_fileno(file), (int64_t)size) == 0;
#elif defined(__linux__)
    return spki_os_ftruncate(spki_os_fileno(file), (int64_t)size) == 0;
#else
    return ftruncate(fileno(file), (off_t)size) == 0;
#endif
}

/* What the system says went wrong with the last call. */
SPKI_FN const char *spki_file_why(void)
{
    return errno ? strerror(errno) : "no reason given";
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>writer: what all writers of events share ---- */

/* Remembers the first error. */
__attribute__((format(printf, 3, 4))) SPKI_FN void
spki_writer_fail(spk_event_writer *w, spk_result result, const char *format, ...)
{
    size_t used;
    va_list args;
    if (w->result != SPK_OK) return;
    w->result = result;
    snprintf(w->error, sizeof w->error, "%.300s: ", w->name ? w->name : "event writer");
    used = strlen(w->error);
    va_start(args, format);
    vsnprintf(w->error + used, sizeof w->error - used, format, args);
    va_end(args);
}

/* The next event cannot be held by the format: names it. Always false. */
SPKI_FN bool spki_writer_refuse(spk_event_writer *w, const spk_event *e, const char *why)
{
    spki_writer_fail(w, SPK_ERR_RANGE, "event %llu (t %lld us, x %u, y %u, %s): %s: %s",
                     (unsigned long long)w->encoded, (long long)e->t_us, (unsigned)e->x,
                     (unsigned)e->y,
                     e->kind == SPK_EVENT_TRIGGER ? "trigger"
                     : e->polarity                ? "on"
                                                  : "off",
                     spk_event_format_name(w->encoder->format), why);
    return false;
}

/* Checks of an event, each false after an error. Time: not negative, not before *last, which moves
   on. */
SPKI_INLINE bool spki_writer_time(spk_event_writer *w, const spk_event *e, int64_t *last)
{
    if (e->t_us < *last)
        return spki_writer_refuse(
            w, e, e->t_us < 0 ? "the time is negative" : "the time is before the last event's");
    *last = e->t_us;
    return true;
}

SPKI_INLINE bool spki_writer_range(spk_event_writer *w, const spk_event *e, uint32_t x_max,
                                   uint32_t y_max)
{
    if (e->x > x_max) return spki_writer_refuse(w, e, "x (of a trigger: the channel) is too large");
    if (e->y > y_max) return spki_writer_refuse(w, e, "y is too large");
    return true;
}

/* A CD event, within the sensor if its size was given. */
SPKI_INLINE bool spki_writer_cd(spk_event_writer *w, const spk_event *e)
{
    if (e->kind != SPK_EVENT_CD) return spki_writer_refuse(w, e, "it has no such kind of event");
    if (w->desc.width != 0 && e->x >= w->desc.width)
        return spki_writer_refuse(w, e, "x is outside of the sensor");
    if (w->desc.height != 0 && e->y >= w->desc.height)
        return spki_writer_refuse(w, e, "y is outside of the sensor");
    return true;
}

/* Hands the buffer to the system. What it did not take whole is cut off again, so that the file
   ends with the last event that `written` counts. */
SPKI_FN bool spki_writer_flush(spk_event_writer *w)
{
    size_t n;
    int reason;
    if (w->result != SPK_OK) return false;
    if (w->fill == 0) return true;
    errno = 0;
    n = w->file ? fwrite(w->buffer, 1, w->fill, w->file)
                : w->desc.write(w->desc.write_ctx, w->buffer, w->fill);
    if (n != w->fill) {
        reason = errno;
        if (w->file) spki_file_truncate(w->file, w->bytes);
        errno = reason;
        spki_writer_fail(w, SPK_ERR_IO, "cannot be written (%s): it holds the first %llu events",
                         w->file ? spki_file_why() : "the write function took less",
                         (unsigned long long)w->written);
        return false;
    }
    w->bytes += w->fill;
    w->fill = 0;
    w->written = w->encoded;
    return true;
}

/* `size` bytes of room in the buffer, to be filled and added to `fill`; NULL: an error is set.
   Everything in the buffer belongs to whole events when this is called. */
SPKI_INLINE uint8_t *spki_writer_room(spk_event_writer *w, size_t size)
{
    if (SPKI_WRITE_BUFFER - w->fill < size && !spki_writer_flush(w)) return NULL;
    return w->buffer + w->fill;
}

SPKI_FN void spki_writer_text(spk_event_writer *w, const char *text)
{
    size_t n = strlen(text);
    uint8_t *p = spki_writer_room(w, n);
    if (!p) return;
    memcpy(p, text, n);
    w->fill += n;
}

/* The header of Prophesee's files. */
SPKI_FN void spki_raw_write_header(spk_event_writer *w, const char *format, const char *evt)
{
    char text[256], size[64] = "";
    if (w->desc.width && w->desc.height)
        snprintf(size, sizeof size, ";height=%u;width=%u", w->desc.height, w->desc.width);
    snprintf(text, sizeof text, "%% evt %s\n%% format %s%s\n", evt, format, size);
    spki_writer_text(w, text);
    if (size[0]) {
        snprintf(text, sizeof text, "%% geometry %ux%u\n", w->desc.width, w->desc.height);
        spki_writer_text(w, text);
    }
    spki_writer_text(w, "% end\n");
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>raw: the text header of Prophesee's files, and time high words ---- */

/* Source: openeb 5.1.1, generic_header.cpp, psee_raw_file_header.cpp (keys), device_system_id.h. */

#define SPKI_RAW_LINE ((size_t)1024) /* a longer "line" is data */

typedef enum spki_line { SPKI_LINE_NONE, SPKI_LINE_MORE, SPKI_LINE_WHOLE } spki_line;

/* Does a header line begin at p? WHOLE: it ends at *end, which is behind its '\n'. NONE: here the
   data begin, since a line begins with "% " and is printable to its end. */
SPKI_FN spki_line spki_raw_line(const uint8_t *p, const uint8_t *p_end, bool last,
                                const uint8_t **end)
{
    const uint8_t *q = p;
    if (p < p_end && *p != '%') return SPKI_LINE_NONE;
    if (p + 1 < p_end && p[1] != ' ') return SPKI_LINE_NONE;
    for (; q < p_end; q++) {
        if (*q == '\n') {
            *end = q + 1;
            return SPKI_LINE_WHOLE;
        }
        if ((*q < 0x20 && *q != '\t' && *q != '\r') || *q > 0x7e) return SPKI_LINE_NONE;
        if ((size_t)(q - p) >= SPKI_RAW_LINE) return SPKI_LINE_NONE;
    }
    return last ? SPKI_LINE_NONE : SPKI_LINE_MORE;
}

/* What the lines have told so far. */
typedef struct spki_raw_header {
    spk_event_format format; /* AUTO: not told */
    uint32_t width, height, system_id;
    uint32_t dat_version; /* 0: not told */
    bool lines, legacy, little, foreign, unknown_format, is_dat;
} spki_raw_header;

SPKI_FN bool spki_word_is(const char *word, size_t n, const char *text)
{
    return strlen(text) == n && memcmp(word, text, n) == 0;
}

/* A whole number at the start of n characters; 0 if there is none, at most 2^31. */
SPKI_FN uint32_t spki_parse_u32(const char *s, size_t n, size_t *used)
{
    uint64_t value = 0;
    size_t k;
    for (k = 0; k < n && s[k] >= '0' && s[k] <= '9'; k++)
        if (value < UINT64_C(0x80000000)) value = 10 * value + (uint64_t)(s[k] - '0');
    if (used) *used = k;
    return (uint32_t)SPKI_MIN(value, UINT64_C(0x80000000));
}

SPKI_FN void spki_raw_format_word(spki_raw_header *h, const char *word, size_t n)
{
    size_t m = 0;
    if (spki_word_is(word, n, "EVT2"))
        h->format = SPK_FORMAT_EVT2;
    else if (spki_word_is(word, n, "EVT21") || spki_word_is(word, n, "EVT2.1"))
        h->format = SPK_FORMAT_EVT21;
    else if (spki_word_is(word, n, "EVT3"))
        h->format = SPK_FORMAT_EVT3;
    else if (spki_word_is(word, n, "EVT4"))
        h->format = SPK_FORMAT_EVT4;
    else if (n > 6 && memcmp(word, "width=", 6) == 0)
        h->width = spki_parse_u32(word + 6, n - 6, NULL);
    else if (n > 7 && memcmp(word, "height=", 7) == 0)
        h->height = spki_parse_u32(word + 7, n - 7, NULL);
    else if (spki_word_is(word, n, "endianness=legacy"))
        h->legacy = true;
    else if (spki_word_is(word, n, "endianness=little"))
        h->little = true;
    else {
        while (m < n && word[m] != '=') m++;
        if (m == n) h->unknown_format = true; /* HISTO3D, DIFF3D, AER-8b, MTR... */
    }
}

/* "EVT3;height=720;width=1280", in any order. */
SPKI_FN void spki_raw_format(spki_raw_header *h, const char *value, size_t n)
{
    while (n > 0) {
        size_t m = 0;
        while (m < n && value[m] != ';') m++;
        if (m > 0) spki_raw_format_word(h, value, m);
        m += m < n;
        value += m;
        n -= m;
    }
    if (h->format != SPK_FORMAT_AUTO) h->unknown_format = false;
}

SPKI_FN void spki_raw_geometry(spki_raw_header *h, const char *value, size_t n)
{
    size_t k;
    uint32_t width = spki_parse_u32(value, n, &k), height;
    if (k == 0 || k + 1 >= n || value[k] != 'x') return;
    height = spki_parse_u32(value + k + 1, n - k - 1, NULL);
    if (width == 0 || height == 0) return;
    h->width = width;
    h->height = height;
}

SPKI_FN void spki_raw_key(spki_raw_header *h, const char *key, size_t n, const char *value,
                          size_t m)
{
    if (spki_word_is(key, n, "format"))
        spki_raw_format(h, value, m);
    else if (spki_word_is(key, n, "evt")) {
        if (h->format != SPK_FORMAT_AUTO) return;
        if (spki_word_is(value, m, "2.0")) h->format = SPK_FORMAT_EVT2;
        if (spki_word_is(value, m, "2.1")) h->format = SPK_FORMAT_EVT21;
        if (spki_word_is(value, m, "3.0")) h->format = SPK_FORMAT_EVT3;
        if (spki_word_is(value, m, "4.0")) h->format = SPK_FORMAT_EVT4;
    } else if (spki_word_is(key, n, "geometry"))
        spki_raw_geometry(h, value, m);
    else if (spki_word_is(key, n, "endianness")) {
        h->legacy = h->legacy || spki_word_is(value, m, "legacy");
        h->little = h->little || spki_word_is(value, m, "little");
    } else if (spki_word_is(key, n, "system_ID"))
        h->system_id = spki_parse_u32(value, m, NULL);
    else if (n >= 15 && memcmp(key + n - 15, "integrator_name", 15) == 0)
        h->foreign = h->foreign || !spki_word_is(value, m, "Prophesee");
    else if (spki_word_is(key, n, "Version")) {
        h->is_dat = true;
        h->dat_version = spki_parse_u32(value, m, NULL);
    } else if (spki_word_is(key, n, "Width"))
        h->width = spki_parse_u32(value, m, NULL);
    else if (spki_word_is(key, n, "Height"))
        h->height = spki_parse_u32(value, m, NULL);
}

/* One line, "% key value...\n"; true if it is the end of the header ("% end"). */
SPKI_FN bool spki_raw_take_line(spki_raw_header *h, const uint8_t *line, const uint8_t *end)
{
    const char *p = (const char *)line + 1, *q = (const char *)end, *key;
    size_t n;
    h->lines = true;
    while (q > p && (q[-1] == '\n' || q[-1] == '\r' || q[-1] == ' ' || q[-1] == '\t')) q--;
    while (p < q && (*p == ' ' || *p == '\t')) p++;
    key = p;
    while (p < q && *p != ' ' && *p != '\t') p++;
    n = (size_t)(p - key);
    while (p < q && (*p == ' ' || *p == '\t')) p++;
    if (p == q && spki_word_is(key, n, "end")) return true;
    spki_raw_key(h, key, n, p, (size_t)(q - p));
    return false;
}

/* Sizes of the sensors of the cameras that wrote no geometry, by system_ID. */
SPKI_FN void spki_raw_infer_size(spki_raw_header *h)
{
    static const struct {
        uint8_t id;
        uint16_t width, height;
    } known[] = {{0x14, 480, 360},  {0x15, 640, 480},  {0x17, 640, 480},  {0x19, 640, 480},
                 {0x97, 640, 480},  {0x99, 640, 480},  {0x1c, 640, 480},  {0x1d, 640, 480},
                 {0x21, 640, 480},  {0xa1, 640, 480},  {0x22, 640, 480},  {0xa2, 640, 480},
                 {0x23, 640, 480},  {0x28, 640, 480},  {0x29, 640, 480},  {0x1a, 1280, 720},
                 {0x9a, 1280, 720}, {0x1e, 1280, 720}, {0x1f, 1280, 720}, {0x20, 1280, 720},
                 {0x27, 1280, 720}, {0x2e, 1280, 720}, {0x30, 1280, 720}, {0x31, 1280, 720},
                 {0x32, 1280, 720}, {0x34, 640, 512},  {0x35, 1280, 720}, {0x36, 640, 512},
                 {0x3a, 1280, 720}, {0x3b, 320, 320},  {0x40, 320, 320},  {0x42, 1280, 720}};
    size_t k;
    if (h->width != 0 && h->height != 0) return;
    h->width = h->height = 0;
    for (k = 0; !h->foreign && k < sizeof known / sizeof known[0]; k++)
        if (known[k].id == h->system_id) {
            h->width = known[k].width;
            h->height = known[k].height;
        }
}

/* Reads header lines from the front of io. True: the header is over and io stands at the data. */
SPKI_FN bool spki_raw_read_header(spki_raw_header *h, spki_io *io)
{
    while (io->in < io->in_end) {
        const uint8_t *end = NULL, *line = io->in;
        spki_line kind = spki_raw_line(line, io->in_end, io->last, &end);
        if (kind == SPKI_LINE_NONE) return true;
        if (kind == SPKI_LINE_MORE) return false;
        io->in = end;
        if (spki_raw_take_line(h, line, end)) return true;
    }
    return false;
}

/* -- which of the encodings, where no header says it: the one in which time makes most sense -- */

/* Words of the form that are plausible, by 1,000; needs time words that step on regularly. */
SPKI_FN uint32_t spki_raw_score(const uint8_t *p, size_t size, spk_event_format format, bool legacy)
{
    size_t step = format == SPK_FORMAT_EVT3 ? 2 : format == SPK_FORMAT_EVT21 ? 8 : 4, k;
    uint32_t words = 0, good = 0, times = 0, jumps = 0, last = 0;
    for (k = 0; k + step <= size; k += step) {
        uint32_t w, type, high, limit;
        bool is_time, known;
        if (format == SPK_FORMAT_EVT3) {
            w = spki_load16_le(p + k);
            type = w >> 12;
            is_time = type == 8;
            known = type <= 8 || type == 10 || type >= 13;
            high = w & 0xfffu;
            limit = 2;
        } else {
            w = spki_load32_le(p + k + (format == SPK_FORMAT_EVT21 && !legacy ? 4 : 0));
            type = w >> 28;
            is_time = type == (format == SPK_FORMAT_EVT4 ? 14u : 8u);
            known = format == SPK_FORMAT_EVT4 ? type >= 6 && type != 8
                                              : type < 2 || type == 8 || type == 10 || type >= 13;
            high = w & 0xfffffffu;
            limit = 1u << 14;
            if (format == SPK_FORMAT_EVT4 && (type == 12 || type == 13)) k += step;
        }
        words++;
        good += known;
        if (!is_time) continue;
        if (times > 0 && high - last > limit) jumps++;
        last = high;
        times++;
    }
    if (words == 0 || times == 0 || jumps > times / 8) return 0;
    return (uint32_t)((uint64_t)good * 1000 / words);
}

SPKI_FN spk_event_format spki_raw_guess(const uint8_t *p, size_t size, bool *legacy)
{
    static const spk_event_format order[] = {SPK_FORMAT_EVT3, SPK_FORMAT_EVT2, SPK_FORMAT_EVT21,
                                             SPK_FORMAT_EVT21, SPK_FORMAT_EVT4};
    spk_event_format best = SPK_FORMAT_AUTO;
    uint32_t most = 900, k;
    *legacy = false;
    for (k = 0; k < 5; k++) {
        uint32_t score = spki_raw_score(p, size, order[k], k == 3);
        if (score <= most) continue;
        most = score;
        best = order[k];
        *legacy = k == 3;
    }
    return best;
}

/* The format of a file that begins so. MORE until the header has said it. */
SPKI_FN spki_sniff spki_raw_sniff(const uint8_t *head, size_t size, bool whole,
                                  spk_event_format format)
{
    spki_raw_header h;
    spki_io io;
    bool legacy, over = false;
    memset(&h, 0, sizeof h);
    memset(&io, 0, sizeof io);
    io.in = head;
    io.in_end = head + size;
    io.last = whole;
    if (size > 0 && head[0] != '%') return SPKI_SNIFF_NO;
    over = spki_raw_read_header(&h, &io);
    if (h.format == format && h.format != SPK_FORMAT_AUTO) return SPKI_SNIFF_YES;
    if (h.format != SPK_FORMAT_AUTO || h.is_dat) return SPKI_SNIFF_NO;
    if (!over && !whole) return SPKI_SNIFF_MORE;
    if (!h.lines || h.unknown_format || h.system_id == 0) return SPKI_SNIFF_NO;
    if (!whole) return SPKI_SNIFF_MORE;
    return spki_raw_guess(io.in, (size_t)(io.in_end - io.in), &legacy) == format ? SPKI_SNIFF_YES
                                                                                 : SPKI_SNIFF_NO;
}

/* -- what the decoders share -- */

typedef struct spki_raw_state {
    spki_raw_header header;
    bool in_data, has_time;    /* a TIME_HIGH was seen */
    bool has_y, has_base;      /* EVT3 */
    bool legacy;               /* EVT2.1: the halves of a word are swapped */
    uint32_t high;             /* the last TIME_HIGH, as sent */
    int64_t loops;             /* microseconds of all wraps so far */
    int64_t time;              /* of the last TIME_HIGH, wraps included (EVT3: and TIME_LOW) */
    uint32_t y, base, base_on; /* EVT3: row; x and polarity of the next vector */
    uint32_t mask_of;          /* EVT4: the header word of a vector */
    /* What CONTINUED words continue: the subtype of an OTHER, or IMU; the words so far. */
    uint32_t other, others, value;
    int64_t other_t;
    int16_t samples[6];
} spki_raw_state;

#define SPKI_RAW_NOTHING 0x10000u /* values of `other` that are no subtype */
#define SPKI_RAW_IMU 0x10001u
#define SPKI_RAW_IN_COUNT 0x14u /* the camera's counters: events in, and after rate control */
#define SPKI_RAW_OUT_COUNT 0x16u

/* True once the header is behind us. */
SPKI_FN bool spki_raw_begin_data(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    spki_raw_header *h = &s->header;
    if (s->in_data) return true;
    if (!spki_raw_read_header(h, io)) return false;
    s->legacy = h->legacy || (!h->little && !h->foreign && h->system_id && h->system_id < 0x37) ||
                (!h->little && !h->lines && (d->desc.evt21_legacy || s->legacy));
    spki_raw_infer_size(h);
    spki_decoder_size(d, SPKI_MIN(h->width, 65536u), SPKI_MIN(h->height, 65536u));
    s->other = SPKI_RAW_NOTHING;
    s->in_data = true;
    return true;
}

SPKI_FN void spki_raw_resync(spk_decoder *d)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    s->has_time = s->has_y = s->has_base = false;
    s->other = SPKI_RAW_NOTHING;
    s->mask_of = 0;
}

/* A TIME_HIGH of 28 bits that counts 64 us, as in EVT2, EVT2.1 and EVT4. A step back by at least
   `wrap_us` is the wrap of the 34 bits, a step as far forward one back across it; a smaller step
   back is an error of the stream, and the new time counts. */
SPKI_FN void spki_raw_time_high(spk_decoder *d, uint32_t high, int64_t wrap_us,
                                const uint8_t *where)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = (int64_t)high << 6, old = (int64_t)s->high << 6;
    if (!s->has_time)
        spki_decoder_epoch(d, s->loops + t);
    else if (old - t >= wrap_us)
        s->loops += (int64_t)1 << 34;
    else if (t - old >= wrap_us && s->loops > 0) {
        s->loops -= (int64_t)1 << 34;
        spki_decoder_violation(d, where, "TIME_HIGH goes back across its wrap");
    } else if (t < old)
        spki_decoder_violation(d, where, "TIME_HIGH goes back");
    s->has_time = true;
    s->high = high;
    s->time = s->loops + t;
}

SPKI_FN void spki_raw_trigger(spk_decoder *d, spki_io *io, int64_t t_us, uint32_t id, uint32_t edge)
{
    spk_trigger trigger;
    memset(&trigger, 0, sizeof trigger);
    trigger.t_us = t_us;
    trigger.channel = (uint16_t)id;
    trigger.edge = (uint8_t)edge;
    spki_decoder_trigger(d, io, &trigger);
}

SPKI_FN void spki_raw_counter(spk_decoder *d, int64_t t_us, uint32_t subtype, uint32_t count)
{
    spk_extra extra;
    memset(&extra, 0, sizeof extra);
    extra.t_us = t_us;
    extra.kind = SPK_EXTRA_COUNTER;
    extra.code = (uint16_t)subtype;
    extra.bytes = &count;
    extra.size = sizeof count;
    spki_decoder_extra(d, &extra);
}

/* A record that CONTINUED words follow. */
SPKI_FN void spki_raw_open(spki_raw_state *s, uint32_t what, int64_t t_us)
{
    s->other = what;
    s->others = s->value = 0;
    s->other_t = t_us;
}

/* EVT2 and EVT4: the first word after OTHER 0x14 or 0x16 is a count of 22 bits. EVT2: five more
   samples follow an IMU word. All other continuations are skipped. */
SPKI_FN void spki_raw_continued(spk_decoder *d, uint32_t word)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    spk_imu imu;
    int k;
    if (s->other == SPKI_RAW_IN_COUNT || s->other == SPKI_RAW_OUT_COUNT)
        spki_raw_counter(d, s->other_t, s->other, word & 0x3fffffu);
    if (s->other != SPKI_RAW_IMU) {
        s->other = SPKI_RAW_NOTHING;
        return;
    }
    s->samples[++s->others] = (int16_t)(uint16_t)(word >> 1);
    if (s->others < 5) return;
    memset(&imu, 0, sizeof imu);
    imu.t_us = s->other_t;
    for (k = 0; k < 3; k++)
        imu.accel_g[k] = imu.gyro_dps[k] = imu.mag_ut[k] = imu.temperature_c = __builtin_nanf("");
    memcpy(imu.raw, s->samples, sizeof imu.raw);
    s->other = SPKI_RAW_NOTHING;
    spki_decoder_imu(d, &imu);
}

/* Events at x + k for each bit k of the mask. */
SPKI_INLINE spk_event *spki_raw_vector(spk_decoder *d, spk_event *out, int64_t t_us, uint32_t x,
                                       uint32_t y, uint32_t on, uint32_t mask)
{
    uint32_t columns = spki_decoder_columns(d);
    uint64_t rest = (uint64_t)y << 16 | (uint64_t)on << 32 | d->source_bits;
    if (y >= spki_decoder_rows(d)) {
        d->stats.dropped += (uint32_t)__builtin_popcount(mask);
        return out;
    }
    if (x + 32 > columns) { /* drop what is outside of the sensor */
        uint32_t inside = x >= columns ? 0 : columns - x;
        uint32_t keep = inside >= 32 ? 0xffffffffu : (1u << inside) - 1u;
        d->stats.dropped += (uint32_t)__builtin_popcount(mask & ~keep);
        mask &= keep;
    }
    for (; mask; mask &= mask - 1)
        spki_event_store(out++, t_us, rest | (x + (uint32_t)__builtin_ctz(mask)));
    return out;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>evt2: Prophesee EVT2, 32-bit words ---- */

/* Source: openeb 5.1.1, decoders/evt2/evt2_event_types.h. Bits 31..28 are the type, 27..22 the low
   six bits of the time; CD: 21..11 x, 10..0 y. */
#define SPKI_EVT2_OFF 0x0u
#define SPKI_EVT2_ON 0x1u
#define SPKI_EVT2_TIME_HIGH 0x8u
#define SPKI_EVT2_TRIGGER 0xau
#define SPKI_EVT2_IMU 0xdu
#define SPKI_EVT2_OTHER 0xeu
#define SPKI_EVT2_CONTINUED 0xfu
/* A step back that is no less is the wrap of the 34 bits. */
#define SPKI_EVT2_WRAP (((int64_t)1 << 34) - 64 - 10000)

SPKI_FN spki_sniff spki_evt2_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT2);
}

SPKI_FN bool spki_evt2_accept(const uint8_t *head, size_t size)
{
    bool legacy;
    return spki_raw_guess(head, size, &legacy) == SPK_FORMAT_EVT2;
}

/* All words but CD. */
SPKI_FN void spki_evt2_word(spk_decoder *d, spki_io *io, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = s->time + (int64_t)((w >> 22) & 63u);
    switch (w >> 28) {
    case SPKI_EVT2_TIME_HIGH:
        spki_raw_time_high(d, w & 0xfffffffu, SPKI_EVT2_WRAP, io->in);
        return;
    case SPKI_EVT2_TRIGGER:
        spki_raw_trigger(d, io, t, (w >> 8) & 31u, w & 1u);
        return;
    case SPKI_EVT2_IMU:
        spki_raw_open(s, SPKI_RAW_IMU, t);
        s->samples[0] = (int16_t)(uint16_t)(w >> 1);
        return;
    case SPKI_EVT2_OTHER:
        spki_raw_open(s, w & 0xffffu, t);
        return;
    case SPKI_EVT2_CONTINUED:
        spki_raw_continued(d, w);
        return;
    default:
        d->stats.bytes_skipped += 4;
    }
}

SPKI_FN void spki_evt2_decode(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    uint32_t columns, rows;
    if (!spki_raw_begin_data(d, io)) return;
    columns = spki_decoder_columns(d);
    rows = spki_decoder_rows(d);
    for (; io->in_end - io->in >= 4 && io->out < io->out_end && d->result == SPK_OK; io->in += 4) {
        uint32_t w = spki_load32_le(io->in), x = (w >> 11) & 2047u, y = w & 2047u;
        bool cd = w >> 28 <= SPKI_EVT2_ON;
        if (!s->has_time && w >> 28 != SPKI_EVT2_TIME_HIGH) {
            d->stats.bytes_skipped += 4;
            d->stats.dropped += cd;
        } else if (!cd)
            spki_evt2_word(d, io, w);
        else if (x >= columns || y >= rows)
            d->stats.dropped++;
        else
            spki_event_store(io->out++, s->time + (int64_t)((w >> 22) & 63u),
                             x | (uint64_t)y << 16 | (uint64_t)(w >> 28) << 32 | d->source_bits);
    }
}

static const spki_codec spki_evt2_codec = {SPK_FORMAT_EVT2,
                                           ".raw .evt2 ",
                                           sizeof(spki_raw_state),
                                           spki_evt2_sniff,
                                           spki_evt2_accept,
                                           NULL,
                                           NULL,
                                           spki_evt2_decode,
                                           spki_raw_resync,
                                           NULL};

/* -- writer -- */

typedef struct spki_evt2_writer {
    int64_t high; /* time >> 6 of the last TIME_HIGH; -1: none yet */
    int64_t last_us;
} spki_evt2_writer;

SPKI_FN void spki_evt2_write_header(spk_event_writer *w)
{
    ((spki_evt2_writer *)w->state)->high = -1;
    spki_raw_write_header(w, "EVT2", "2.0");
}

SPKI_FN bool spki_evt2_put_high(spk_event_writer *w, int64_t high)
{
    uint8_t *p = spki_writer_room(w, 16);
    if (!p) return false;
    spki_store32_le(p, SPKI_EVT2_TIME_HIGH << 28 | (uint32_t)(high & 0xfffffff));
    w->fill += 4;
    return true;
}

/* What is beyond 34 bits is told by letting the counter wrap as often: two words for 4.8 hours. */
#define SPKI_EVT2_FILL 1000000

SPKI_FN bool spki_evt2_put_time(spk_event_writer *w, const spk_event *e)
{
    spki_evt2_writer *s = (spki_evt2_writer *)w->state;
    int64_t high = e->t_us >> 6, loops = (s->high < 0 ? 0 : s->high) >> 28;
    if (high == s->high) return true;
    if ((high >> 28) - loops > SPKI_EVT2_FILL)
        return spki_writer_refuse(w, e, "the time is further than 544 years from the last one");
    for (; loops < high >> 28; loops++)
        if (!spki_evt2_put_high(w, 0xfffffff) || !spki_evt2_put_high(w, 0)) return false;
    s->high = high;
    return spki_evt2_put_high(w, high);
}

SPKI_FN void spki_evt2_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_evt2_writer *s = (spki_evt2_writer *)w->state;
    for (; count > 0; count--, e++) {
        uint32_t type = e->polarity ? SPKI_EVT2_ON : SPKI_EVT2_OFF;
        uint32_t word = (uint32_t)e->x << 11 | e->y;
        if (!spki_writer_time(w, e, &s->last_us)) return;
        if (e->kind == SPK_EVENT_TRIGGER) {
            type = SPKI_EVT2_TRIGGER;
            word = (uint32_t)e->x << 8 | (e->polarity ? 1u : 0u);
            if (!spki_writer_range(w, e, 31, 65535)) return;
        } else if (!spki_writer_cd(w, e) || !spki_writer_range(w, e, 2047, 2047))
            return;
        if (!spki_writer_room(w, 16) || !spki_evt2_put_time(w, e)) return;
        spki_store32_le(w->buffer + w->fill, type << 28 | (uint32_t)(e->t_us & 63) << 22 | word);
        w->fill += 4;
        w->encoded++;
    }
}

static const spki_encoder spki_evt2_encoder = {SPK_FORMAT_EVT2,
                                               ".evt2 ",
                                               sizeof(spki_evt2_writer),
                                               spki_evt2_write_header,
                                               spki_evt2_encode,
                                               NULL,
                                               NULL};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>evt21: Prophesee EVT2.1, 64-bit words with vectors of 32 pixels ---- */

/* Source: openeb 5.1.1, decoders/evt21/evt21_event_types.h. Bits 63..60 are the type, 59..54 the
   low six bits of the time, 53..43 x, 42..32 y, 31..0 a mask of the pixels from x on. Older cameras
   send the two halves the other way round. */
#define SPKI_EVT21_TIME_HIGH 0x8u
#define SPKI_EVT21_TRIGGER 0xau
#define SPKI_EVT21_OTHERS 0xeu
#define SPKI_EVT21_CONTINUED 0xfu
#define SPKI_EVT21_WRAP (((int64_t)1 << 34) - 64)

SPKI_FN spki_sniff spki_evt21_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT21);
}

SPKI_FN bool spki_evt21_accept(const uint8_t *head, size_t size)
{
    bool legacy;
    return spki_raw_guess(head, size, &legacy) == SPK_FORMAT_EVT21;
}

/* Where no header is, the content told that it is EVT2.1: then it tells the word order, too. */
SPKI_FN void spki_evt21_begin(spk_decoder *d)
{
    if (d->carried > 0 && d->carry[0] != '%')
        spki_raw_guess(d->carry, d->carried, &((spki_raw_state *)d->state)->legacy);
}

/* All words but CD; `upper` and `lower` halves. */
SPKI_FN void spki_evt21_word(spk_decoder *d, spki_io *io, uint32_t upper, uint32_t lower)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = s->time + (int64_t)((upper >> 22) & 63u);
    uint32_t subtype = upper & 0xffffu;
    switch (upper >> 28) {
    case SPKI_EVT21_TIME_HIGH:
        spki_raw_time_high(d, upper & 0xfffffffu, SPKI_EVT21_WRAP, io->in);
        return;
    case SPKI_EVT21_TRIGGER:
        spki_raw_trigger(d, io, t, (upper >> 8) & 31u, lower & 1u);
        return;
    case SPKI_EVT21_OTHERS:
        if (subtype == SPKI_RAW_IN_COUNT || subtype == SPKI_RAW_OUT_COUNT)
            spki_raw_counter(d, t, subtype, lower & 0x3fffffu);
        return;
    case SPKI_EVT21_CONTINUED:
        return;
    default:
        d->stats.bytes_skipped += 8;
    }
}

SPKI_FN void spki_evt21_decode(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (!spki_raw_begin_data(d, io)) return;
    for (; io->in_end - io->in >= 8 && io->out_end - io->out >= 32 && d->result == SPK_OK;
         io->in += 8) {
        uint32_t lower = spki_load32_le(io->in + (s->legacy ? 4 : 0));
        uint32_t upper = spki_load32_le(io->in + (s->legacy ? 0 : 4));
        uint32_t type = upper >> 28;
        if (!s->has_time && type != SPKI_EVT21_TIME_HIGH) {
            d->stats.bytes_skipped += 8;
            if (type <= 1) d->stats.dropped += (uint32_t)__builtin_popcount(lower);
        } else if (type <= 1)
            io->out = spki_raw_vector(d, io->out, s->time + (int64_t)((upper >> 22) & 63u),
                                      (upper >> 11) & 2047u, upper & 2047u, type, lower);
        else
            spki_evt21_word(d, io, upper, lower);
    }
}

static const spki_codec spki_evt21_codec = {
    SPK_FORMAT_EVT21, ".raw .evt21 ", sizeof(spki_raw_state), spki_evt21_sniff, spki_evt21_accept,
    spki_evt21_begin, NULL,           spki_evt21_decode,      spki_raw_resync,  NULL};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>evt3: Prophesee EVT3, 16-bit words that change a state ---- */

/* Source: openeb 5.1.1, decoders/evt3/evt3_event_types.h. Bits 15..12 are the type. */
#define SPKI_EVT3_Y 0x0u
#define SPKI_EVT3_X 0x2u
#define SPKI_EVT3_BASE_X 0x3u
#define SPKI_EVT3_VECT_12 0x4u
#define SPKI_EVT3_VECT_8 0x5u
#define SPKI_EVT3_TIME_LOW 0x6u
#define SPKI_EVT3_CONTINUED_4 0x7u
#define SPKI_EVT3_TIME_HIGH 0x8u
#define SPKI_EVT3_TRIGGER 0xau
#define SPKI_EVT3_IMU 0xdu
#define SPKI_EVT3_OTHERS 0xeu
#define SPKI_EVT3_CONTINUED_12 0xfu
/* TIME_HIGH sometimes goes back by a little. By half its range it is a wrap. */
#define SPKI_EVT3_JITTER 10u
#define SPKI_EVT3_HALF 2048u

SPKI_FN spki_sniff spki_evt3_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT3);
}

SPKI_FN bool spki_evt3_accept(const uint8_t *head, size_t size)
{
    bool legacy;
    return spki_raw_guess(head, size, &legacy) == SPK_FORMAT_EVT3;
}

/* The counter has 12 bits of 4,096 us. TIME_LOW, which is not monotonic, never tells a wrap. A
   small step back leaves time as it is; a large one that is no wrap (a stream put together from
   parts) is believed. */
SPKI_FN void spki_evt3_time_high(spk_decoder *d, uint32_t high, const uint8_t *where)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (s->has_time && high == s->high) return;
    if (!s->has_time)
        spki_decoder_epoch(d, s->loops + ((int64_t)high << 12));
    else if (((s->high - high) & 4095u) <= SPKI_EVT3_JITTER) {
        spki_decoder_violation(d, where, "TIME_HIGH goes back");
        return;
    } else if (s->high >= high + SPKI_EVT3_HALF)
        s->loops += (int64_t)1 << 24;
    else if (high < s->high)
        spki_decoder_violation(d, where, "TIME_HIGH goes back");
    s->has_time = true;
    s->high = high;
    s->time = s->loops + ((int64_t)high << 12);
}

SPKI_FN void spki_evt3_continued(spk_decoder *d, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (s->other != SPKI_RAW_IN_COUNT && s->other != SPKI_RAW_OUT_COUNT) return;
    if (s->others < 2) {
        if (w >> 12 == SPKI_EVT3_CONTINUED_12) s->value |= (w & 0xfffu) << (12 * s->others++);
        return;
    }
    if (w >> 12 != SPKI_EVT3_CONTINUED_4) return;
    spki_raw_counter(d, s->other_t, s->other, s->value | (w & 0xfu) << 24);
    s->other = SPKI_RAW_NOTHING;
}

SPKI_FN void spki_evt3_vector(spk_decoder *d, spki_io *io, uint32_t mask, uint32_t width)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (!s->has_base || !s->has_y || !s->has_time) {
        d->stats.dropped += (uint32_t)__builtin_popcount(mask);
        d->stats.bytes_skipped += 2;
    } else {
        io->out = spki_raw_vector(d, io->out, s->time, s->base, s->y, s->base_on, mask);
    }
    s->base += width;
}

/* Any word. */
SPKI_FN void spki_evt3_word(spk_decoder *d, spki_io *io, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    uint32_t low = w & 0xfffu;
    switch (w >> 12) {
    case SPKI_EVT3_Y:
        s->y = w & 2047u;
        s->has_y = true;
        return;
    case 1: /* a row of something else: its x are no CD events */
        s->has_y = false;
        d->stats.bytes_skipped += 2;
        return;
    case SPKI_EVT3_X:
        if (s->has_y && s->has_time)
            io->out = spki_raw_vector(d, io->out, s->time, w & 2047u, s->y, (w >> 11) & 1u, 1u);
        else {
            d->stats.dropped++;
            d->stats.bytes_skipped += 2;
        }
        return;
    case SPKI_EVT3_BASE_X:
        s->base = w & 2047u;
        s->base_on = (w >> 11) & 1u;
        s->has_base = true;
        return;
    case SPKI_EVT3_VECT_12:
        spki_evt3_vector(d, io, low, 12);
        return;
    case SPKI_EVT3_VECT_8:
        spki_evt3_vector(d, io, low & 0xffu, 8);
        return;
    case SPKI_EVT3_TIME_LOW:
        s->time = (s->time & ~(int64_t)0xfff) | (int64_t)low;
        return;
    case SPKI_EVT3_TIME_HIGH:
        spki_evt3_time_high(d, low, io->in);
        return;
    case SPKI_EVT3_TRIGGER:
        if (s->has_time)
            spki_raw_trigger(d, io, s->time, low >> 8, w & 1u);
        else
            d->stats.bytes_skipped += 2;
        return;
    case SPKI_EVT3_OTHERS:
        spki_raw_open(s, low, s->time);
        return;
    case SPKI_EVT3_CONTINUED_4:
    case SPKI_EVT3_CONTINUED_12:
        spki_evt3_continued(d, w);
        return;
    case SPKI_EVT3_IMU:
        return;
    default:
        d->stats.bytes_skipped += 2;
    }
}

SPKI_FN void spki_evt3_decode(spk_decoder *d, spki_io *io)
{
    if (!spki_raw_begin_data(d, io)) return;
    for (; io->in_end - io->in >= 2 && io->out_end - io->out >= 12 && d->result == SPK_OK;
         io->in += 2)
        spki_evt3_word(d, io, spki_load16_le(io->in));
}

static const spki_codec spki_evt3_codec = {SPK_FORMAT_EVT3,
                                           ".raw .evt3 ",
                                           sizeof(spki_raw_state),
                                           spki_evt3_sniff,
                                           spki_evt3_accept,
                                           NULL,
                                           NULL,
                                           spki_evt3_decode,
                                           spki_raw_resync,
                                           NULL};

/* -- writer -- */

typedef struct spki_evt3_writer {
    int64_t last_us, sent_us; /* of the last event; what the reader knows, -1: nothing */
    uint32_t y;               /* that the reader knows; 65536: none */
} spki_evt3_writer;

SPKI_FN void spki_evt3_write_header(spk_event_writer *w)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    s->sent_us = -1;
    s->y = 65536;
    spki_raw_write_header(w, "EVT3", "3.0");
}

SPKI_INLINE void spki_evt3_put(spk_event_writer *w, uint32_t type, uint32_t value)
{
    spki_store16_le(w->buffer + w->fill, (uint16_t)(type << 12 | value));
    w->fill += 2;
}

/* What is beyond 24 bits is told by letting the counter pass: one word for each 8.4 s, since a step
   of half its range would be a wrap too few. */
#define SPKI_EVT3_FILL 1000000

/* Time words for an event, in room that there is. False: too far away. */
SPKI_FN bool spki_evt3_put_time(spk_event_writer *w, const spk_event *e)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    int64_t high = e->t_us >> 12, sent = s->sent_us < 0 ? 0 : s->sent_us >> 12;
    if (s->sent_us == e->t_us) return true;
    if ((high - sent) / 2047 > SPKI_EVT3_FILL)
        return spki_writer_refuse(w, e, "the time is further than 97 days from the last one");
    if (s->sent_us < 0 || high != sent) {
        while (high - sent > 2047) {
            if (!spki_writer_room(w, 80)) return false;
            sent += 2047;
            spki_evt3_put(w, SPKI_EVT3_TIME_HIGH, (uint32_t)(sent & 0xfff));
        }
        spki_evt3_put(w, SPKI_EVT3_TIME_HIGH, (uint32_t)(high & 0xfff));
    }
    spki_evt3_put(w, SPKI_EVT3_TIME_LOW, (uint32_t)(e->t_us & 0xfff));
    s->sent_us = e->t_us;
    return true;
}

/* How many events from here on make a vector: one row, time and polarity, x ascending within 32
   columns from *base on. OpenEB drops a vector that reaches beyond the sensor. */
SPKI_FN size_t spki_evt3_run(const spk_event_writer *w, const spk_event *e, size_t count,
                             uint32_t *base, uint32_t *mask)
{
    uint32_t columns = w->desc.width ? w->desc.width : 2048;
    size_t n = 0;
    *mask = 0;
    if (columns < 32 || w->desc.no_vectors) return 0;
    *base = SPKI_MIN((uint32_t)e->x, columns - 32);
    for (; n < count; n++) {
        bool same = e[n].t_us == e->t_us && e[n].y == e->y && e[n].kind == SPK_EVENT_CD &&
                    !e[n].polarity == !e->polarity;
        if (!same || (n > 0 && e[n].x <= e[n - 1].x) || e[n].x - *base > 31) break;
        *mask |= 1u << (e[n].x - *base);
    }
    return n;
}

/* The event, or the vector that begins with it; returns how many events those are, 0 on errors. */
SPKI_FN size_t spki_evt3_put_events(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    uint32_t on = e->polarity ? 2048u : 0u, base = 0, mask;
    size_t n;
    if (!spki_writer_room(w, 80)) return 0;
    if (e->kind == SPK_EVENT_TRIGGER) {
        if (!spki_writer_range(w, e, 15, 65535) || !spki_evt3_put_time(w, e)) return 0;
        spki_evt3_put(w, SPKI_EVT3_TRIGGER, (uint32_t)e->x << 8 | (e->polarity ? 1u : 0u));
        return 1;
    }
    if (!spki_writer_cd(w, e) || !spki_writer_range(w, e, 2047, 2047)) return 0;
    if (!spki_evt3_put_time(w, e)) return 0;
    if (s->y != e->y) spki_evt3_put(w, SPKI_EVT3_Y, e->y);
    s->y = e->y;
    n = spki_evt3_run(w, e, count, &base, &mask);
    if (n < 4) {
        spki_evt3_put(w, SPKI_EVT3_X, on | e->x);
        return 1;
    }
    spki_evt3_put(w, SPKI_EVT3_BASE_X, on | base);
    spki_evt3_put(w, SPKI_EVT3_VECT_12, mask & 0xfffu);
    spki_evt3_put(w, SPKI_EVT3_VECT_12, (mask >> 12) & 0xfffu);
    spki_evt3_put(w, SPKI_EVT3_VECT_8, mask >> 24);
    return n;
}

SPKI_FN void spki_evt3_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    while (count > 0) {
        size_t n;
        if (!spki_writer_time(w, e, &s->last_us)) return;
        n = spki_evt3_put_events(w, e, count);
        if (n == 0) return;
        w->encoded += n;
        e += n;
        count -= n;
    }
}

static const spki_encoder spki_evt3_encoder = {SPK_FORMAT_EVT3,
                                               ".evt3 .raw ",
                                               sizeof(spki_evt3_writer),
                                               spki_evt3_write_header,
                                               spki_evt3_encode,
                                               NULL,
                                               NULL};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>evt4: Prophesee EVT4, 32-bit words, vectors in a second one ---- */

/* Source: openeb 5.1.1, decoders/evt4/evt4_event_types.h. Fields as in EVT2; a vector's header is
   followed by a mask of 32 pixels, which may look like any word. */
#define SPKI_EVT4_OTHER 0x6u
#define SPKI_EVT4_CONTINUED 0x7u
#define SPKI_EVT4_TRIGGER 0x9u
#define SPKI_EVT4_OFF 0xau
#define SPKI_EVT4_ON 0xbu
#define SPKI_EVT4_VECTOR_OFF 0xcu
#define SPKI_EVT4_VECTOR_ON 0xdu
#define SPKI_EVT4_TIME_HIGH 0xeu
#define SPKI_EVT4_PADDING 0xfu
#define SPKI_EVT4_WRAP ((int64_t)1 << 33)

SPKI_FN spki_sniff spki_evt4_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT4);
}

SPKI_FN bool spki_evt4_accept(const uint8_t *head, size_t size)
{
    bool legacy;
    return spki_raw_guess(head, size, &legacy) == SPK_FORMAT_EVT4;
}

SPKI_FN void spki_evt4_word(spk_decoder *d, spki_io *io, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = s->time + (int64_t)((w >> 22) & 63u);
    uint32_t type = w >> 28;
    switch (type) {
    case SPKI_EVT4_OFF:
    case SPKI_EVT4_ON:
        io->out = spki_raw_vector(d, io->out, t, (w >> 11) & 2047u, w & 2047u, type & 1u, 1u);
        return;
    case SPKI_EVT4_TIME_HIGH:
        spki_raw_time_high(d, w & 0xfffffffu, SPKI_EVT4_WRAP, io->in);
        return;
    case SPKI_EVT4_TRIGGER:
        spki_raw_trigger(d, io, t, (w >> 8) & 31u, w & 1u);
        return;
    case SPKI_EVT4_OTHER:
        spki_raw_open(s, w & 0xffffu, t);
        return;
    case SPKI_EVT4_CONTINUED:
        spki_raw_continued(d, w);
        return;
    case SPKI_EVT4_PADDING:
        return;
    default:
        d->stats.bytes_skipped += 4;
    }
}

SPKI_FN void spki_evt4_decode(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (!spki_raw_begin_data(d, io)) return;
    while (io->in_end - io->in >= 4 && io->out_end - io->out >= 32 && d->result == SPK_OK) {
        uint32_t w = spki_load32_le(io->in), type = w >> 28, mask;
        bool vector = type == SPKI_EVT4_VECTOR_OFF || type == SPKI_EVT4_VECTOR_ON;
        if (vector && io->in_end - io->in < 8) return;
        if (!s->has_time && type != SPKI_EVT4_TIME_HIGH) {
            mask = vector ? spki_load32_le(io->in + 4) : 1u;
            if (vector || type == SPKI_EVT4_OFF || type == SPKI_EVT4_ON)
                d->stats.dropped += (uint32_t)__builtin_popcount(mask);
            d->stats.bytes_skipped += vector ? 8 : 4;
        } else if (vector)
            io->out =
                spki_raw_vector(d, io->out, s->time + (int64_t)((w >> 22) & 63u), (w >> 11) & 2047u,
                                w & 2047u, type & 1u, spki_load32_le(io->in + 4));
        else
            spki_evt4_word(d, io, w);
        io->in += vector ? 8 : 4;
    }
}

static const spki_codec spki_evt4_codec = {SPK_FORMAT_EVT4,
                                           ".raw .evt4 ",
                                           sizeof(spki_raw_state),
                                           spki_evt4_sniff,
                                           spki_evt4_accept,
                                           NULL,
                                           NULL,
                                           spki_evt4_decode,
                                           spki_raw_resync,
                                           NULL};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>dat: Prophesee DAT, records of decoded events ---- */

/* Source: openeb 5.1.1, DAT_helper.h, event2d.h, event_ext_trigger.h; metavision_core dat_tools.py.
   Header lines, a byte of type and one of size (neither where there is no line), then records that
   begin with a 32-bit time. */
#define SPKI_DAT_EVENT2D 0u
#define SPKI_DAT_CD 12u
#define SPKI_DAT_TRIGGER 14u
#define SPKI_DAT_FLOW 40u
/* A step forward of nearly the whole range is a small one back across a wrap. */
#define SPKI_DAT_JITTER 1000000u

typedef struct spki_dat_state {
    spki_raw_header header;
    bool has_lines_end, in_data, has_time;
    uint8_t type, size;
    uint32_t last; /* time as stored */
    int64_t loops; /* 2^32 us for each wrap so far */
} spki_dat_state;

SPKI_FN bool spki_dat_known(uint32_t type, uint32_t size)
{
    return ((type == SPKI_DAT_EVENT2D || type == SPKI_DAT_CD || type == SPKI_DAT_TRIGGER) &&
            size == 8) ||
           (type == SPKI_DAT_FLOW && size == 28);
}

SPKI_FN spki_sniff spki_dat_sniff(const uint8_t *head, size_t size, bool whole)
{
    spki_raw_header h;
    spki_io io;
    memset(&h, 0, sizeof h);
    memset(&io, 0, sizeof io);
    io.in = head;
    io.in_end = head + size;
    io.last = whole;
    if (size > 0 && head[0] != '%') return SPKI_SNIFF_NO;
    if (!spki_raw_read_header(&h, &io) && !whole) return SPKI_SNIFF_MORE;
    if (!h.lines || h.format != SPK_FORMAT_AUTO) return SPKI_SNIFF_NO;
    if (io.in_end - io.in < 2)
        return !whole ? SPKI_SNIFF_MORE : h.is_dat ? SPKI_SNIFF_YES : SPKI_SNIFF_NO;
    return spki_dat_known(io.in[0], io.in[1]) ? SPKI_SNIFF_YES : SPKI_SNIFF_NO;
}

/* By name alone: no header, so that it must be records of eight bytes with times that go on. */
SPKI_FN bool spki_dat_accept(const uint8_t *head, size_t size)
{
    size_t k, back = 0;
    if (size < 8 || head[0] == '%' || head[0] == '#') return false;
    for (k = 8; k + 8 <= size; k += 8)
        back += spki_load32_le(head + k) < spki_load32_le(head + k - 8);
    return back <= size / 64;
}

/* True once the header and the two bytes after it are behind us. */
SPKI_FN bool spki_dat_begin_data(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    if (s->in_data) return true;
    if (!s->has_lines_end && !spki_raw_read_header(&s->header, io)) return false;
    s->has_lines_end = true;
    s->type = SPKI_DAT_EVENT2D;
    s->size = 8;
    if (s->header.lines) {
        if (io->in_end - io->in < 2) return false;
        s->type = io->in[0];
        s->size = io->in[1];
        if (!spki_dat_known(s->type, s->size)) {
            spki_decoder_fail(d, SPK_ERR_FORMAT, io->in,
                              "DAT: events of type %u and %u bytes (known: 0, 12 and 14 of 8, 40 "
                              "of 28)",
                              s->type, s->size);
            return false;
        }
        io->in += 2;
    }
    spki_decoder_size(d, SPKI_MIN(s->header.width, 65536u), SPKI_MIN(s->header.height, 65536u));
    s->in_data = true;
    return true;
}

SPKI_FN int64_t spki_dat_time(spk_decoder *d, uint32_t t, const uint8_t *where)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    if (s->has_time) {
        if (t < s->last && s->last - t > 0x80000000u)
            s->loops += (int64_t)1 << 32;
        else if (t > s->last && t - s->last > 0u - SPKI_DAT_JITTER && s->loops > 0) {
            spki_decoder_violation(d, where, "time goes back across its wrap");
            return s->loops - ((int64_t)1 << 32) + t; /* `last` stays behind the wrap */
        } else if (t < s->last)
            spki_decoder_violation(d, where, "time goes back");
    }
    s->has_time = true;
    s->last = t;
    return s->loops + t;
}

SPKI_FN void spki_dat_flow(spk_decoder *d, int64_t t_us, uint32_t x, uint32_t y, const uint8_t *p)
{
    spk_extra extra;
    memset(&extra, 0, sizeof extra);
    extra.t_us = t_us;
    extra.x = (uint16_t)x;
    extra.y = (uint16_t)y;
    extra.kind = SPK_EXTRA_FLOW;
    extra.bytes = p;
    extra.size = 20;
    spki_decoder_extra(d, &extra);
}

SPKI_FN void spki_dat_record(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    const uint8_t *p = io->in;
    uint32_t w = spki_load32_le(p + 4), x = w & 0x3fffu, y = (w >> 14) & 0x3fffu, on = w >> 28 & 1u;
    int64_t t = spki_dat_time(d, spki_load32_le(p), p);
    if (s->type == SPKI_DAT_TRIGGER) {
        spki_raw_trigger(d, io, t, w >> 26, w & 1u);
        return;
    }
    if (s->header.dat_version == 1) {
        x = w & 0x1ffu;
        y = (w >> 9) & 0xffu;
        on = (w >> 17) & 1u;
    }
    if (x >= spki_decoder_columns(d) || y >= spki_decoder_rows(d)) {
        d->stats.dropped++;
        return;
    }
    spki_event_store(io->out++, t, x | (uint64_t)y << 16 | (uint64_t)on << 32 | d->source_bits);
    if (s->type == SPKI_DAT_FLOW) spki_dat_flow(d, t, x, y, p + 8);
}

SPKI_FN void spki_dat_decode(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    if (!spki_dat_begin_data(d, io)) return;
    for (; io->in_end - io->in >= s->size && io->out < io->out_end && d->result == SPK_OK;
         io->in += s->size)
        spki_dat_record(d, io);
}

static const spki_codec spki_dat_codec = {
    SPK_FORMAT_DAT, ".dat ", sizeof(spki_dat_state), spki_dat_sniff, spki_dat_accept,
    NULL,           NULL,    spki_dat_decode,        NULL,           NULL};

/* -- writer -- */

typedef struct spki_dat_writer {
    int64_t last_us;
} spki_dat_writer;

SPKI_FN void spki_dat_write_header(spk_event_writer *w)
{
    char text[128];
    spki_writer_text(w, "% Data file containing CD events.\n% Version 2\n");
    if (w->desc.width && w->desc.height) {
        snprintf(text, sizeof text, "%% Width %u\n%% Height %u\n", w->desc.width, w->desc.height);
        spki_writer_text(w, text);
    }
    spki_writer_text(w, "\x0c\x08");
}

/* The reader sees a wrap where the stored time steps back by more than half its range. */
SPKI_FN bool spki_dat_can_tell(int64_t last, int64_t t)
{
    return t >> 32 == last >> 32 ||
           (t >> 32 == (last >> 32) + 1 && (last & 0xffffffff) - (t & 0xffffffff) > 0x80000000);
}

SPKI_FN void spki_dat_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_dat_writer *s = (spki_dat_writer *)w->state;
    for (; count > 0; count--, e++) {
        int64_t last = s->last_us;
        uint8_t *p;
        if (!spki_writer_time(w, e, &s->last_us) || !spki_writer_cd(w, e) ||
            !spki_writer_range(w, e, 16383, 16383))
            return;
        if (!spki_dat_can_tell(last, e->t_us)) {
            spki_writer_refuse(w, e, "the low 32 bits of the time do not tell it");
            return;
        }
        p = spki_writer_room(w, 8);
        if (!p) return;
        spki_store32_le(p, (uint32_t)e->t_us);
        spki_store32_le(p + 4,
                        (uint32_t)e->x | (uint32_t)e->y << 14 | (e->polarity ? 1u : 0u) << 28);
        w->fill += 8;
        w->encoded++;
    }
}

static const spki_encoder spki_dat_encoder = {
    SPK_FORMAT_DAT, ".dat ", sizeof(spki_dat_writer), spki_dat_write_header, spki_dat_encode,
    NULL,           NULL};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>es: Event Stream 2.0 ---- */

/* Source: neuromorphic-paris/event_stream, README. "Event Stream", three bytes of version, one of
   type, then width and height but for type 0. Times are steps from the last event. */
#define SPKI_ES_GENERIC 0u
#define SPKI_ES_DVS 1u
#define SPKI_ES_ATIS 2u
#define SPKI_ES_AMD 3u
#define SPKI_ES_COLOUR 4u

typedef struct spki_es_state {
    bool in_data;
    uint8_t type;
    uint32_t flip; /* height - 1: y = 0 is the bottom row; UINT32_MAX: leave y */
    int64_t t;
    uint8_t *bytes;         /* of a generic event: as long as the longest so far */
    size_t room, size, got; /* `size` of the event under way, of which `got` bytes came */
    uint32_t shift;         /* bits of its size that were read */
    uint32_t part;          /* 0: idle, 1: the size, 2: the bytes */
} spki_es_state;

SPKI_FN spki_sniff spki_es_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "Event Stream";
    size_t n = SPKI_MIN(size, sizeof mark - 1);
    (void)whole;
    if (memcmp(head, mark, n) != 0) return SPKI_SNIFF_NO;
    return n == sizeof mark - 1 ? SPKI_SNIFF_YES : SPKI_SNIFF_MORE;
}

/* True once the header is behind us. */
SPKI_FN bool spki_es_begin_data(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    size_t n = (size_t)(io->in_end - p), need = 16;
    if (s->in_data) return true;
    if (n >= 12 && memcmp(p, "Event Stream", 12) != 0) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, p, "ES: it does not begin with \"Event Stream\"");
        return false;
    }
    if (n >= 16 && p[15] != SPKI_ES_GENERIC) need = 20;
    if (n < need) return false;
    if (p[12] != 2 || p[15] > SPKI_ES_COLOUR || p[15] == SPKI_ES_AMD) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, p + 12,
                          "ES: version %u.%u.%u, type %u (known: 2, types 0, 1, 2 and 4)", p[12],
                          p[13], p[14], p[15]);
        return false;
    }
    s->type = p[15];
    s->flip = UINT32_MAX;
    if (need == 20) spki_decoder_size(d, spki_load16_le(p + 16), spki_load16_le(p + 18));
    if (need == 20 && !d->desc.as_stored) s->flip = (uint32_t)spki_load16_le(p + 18) - 1u;
    if (s->type == SPKI_ES_GENERIC || s->type == SPKI_ES_COLOUR) d->mixed = true;
    io->in += need;
    s->in_data = true;
    return true;
}

/* A place on the sensor; false: outside of it. */
SPKI_FN bool spki_es_place(spk_decoder *d, const uint8_t *p, uint32_t *x, uint32_t *y)
{
    const spki_es_state *s = (const spki_es_state *)d->state;
    *x = spki_load16_le(p);
    *y = spki_load16_le(p + 2);
    if (s->flip != UINT32_MAX && *y <= s->flip)
        *y = s->flip - *y;
    else if (s->flip != UINT32_MAX)
        *y = 65536;
    if (*x < spki_decoder_columns(d) && *y < spki_decoder_rows(d)) return true;
    d->stats.dropped++;
    return false;
}

SPKI_FN void spki_es_extra(spk_decoder *d, spk_extra_kind kind, uint32_t x, uint32_t y,
                           const uint8_t *bytes, size_t size)
{
    spk_extra extra;
    memset(&extra, 0, sizeof extra);
    extra.t_us = ((spki_es_state *)d->state)->t;
    extra.x = (uint16_t)x;
    extra.y = (uint16_t)y;
    extra.kind = kind;
    extra.bytes = bytes;
    extra.size = size;
    spki_decoder_extra(d, &extra);
}

/* One byte or one event; false: it is not whole. */
SPKI_FN bool spki_es_dvs(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    uint32_t x, y;
    if (*p >= 0xfe) {
        s->t += *p == 0xff ? 127 : 0;
        io->in++;
        return true;
    }
    if (io->in_end - p < 5) return false;
    s->t += *p >> 1;
    if (spki_es_place(d, p + 1, &x, &y))
        spki_event_store(io->out++, s->t,
                         x | (uint64_t)y << 16 | (uint64_t)(*p & 1u) << 32 | d->source_bits);
    io->in += 5;
    return true;
}

SPKI_FN bool spki_es_atis(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    uint8_t second = (uint8_t)((*p >> 1) & 1u);
    uint32_t x, y;
    if ((*p & 0xfc) == 0xfc) {
        s->t += 63 * (*p & 3);
        io->in++;
        return true;
    }
    if (io->in_end - p < 5) return false;
    s->t += *p >> 2;
    io->in += 5;
    if (!spki_es_place(d, p + 1, &x, &y)) return true;
    if (*p & 1u)
        spki_es_extra(d, SPK_EXTRA_EXPOSURE, x, y, &second, 1);
    else
        spki_event_store(io->out++, s->t,
                         x | (uint64_t)y << 16 | (uint64_t)second << 32 | d->source_bits);
    return true;
}

SPKI_FN bool spki_es_colour(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    uint32_t x, y;
    if (*p >= 0xfe) {
        s->t += *p == 0xff ? 254 : 0;
        io->in++;
        return true;
    }
    if (io->in_end - p < 8) return false;
    s->t += *p;
    io->in += 8;
    if (!spki_es_place(d, p + 1, &x, &y)) return true;
    spki_event_store(io->out++, s->t,
                     x | (uint64_t)y << 16 | (uint64_t)SPK_EVENT_OTHER << 40 | d->source_bits);
    spki_es_extra(d, SPK_EXTRA_COLOUR, x, y, p + 5, 3);
    return true;
}

SPKI_FN bool spki_es_grow(spk_decoder *d, size_t room)
{
    spki_es_state *s = (spki_es_state *)d->state;
    uint8_t *bytes = (uint8_t *)spki_decoder_alloc(d, room, 1);
    if (!bytes) return false;
    if (s->got > 0) memcpy(bytes, s->bytes, s->got);
    spki_free(&d->mem, s->bytes, s->room, 1);
    s->bytes = bytes;
    s->room = room;
    return true;
}

/* The bytes of a generic event, as many as there are: room grows with what really comes, so that a
   damaged size costs no memory. */
SPKI_FN void spki_es_generic_bytes(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    size_t n = SPKI_MIN(s->size - s->got, (size_t)(io->in_end - io->in));
    if (s->got + n > s->room && !spki_es_grow(d, SPKI_MAX(2 * s->room, s->got + n))) return;
    if (n > 0) memcpy(s->bytes + s->got, io->in, n);
    s->got += n;
    io->in += n;
    if (s->got < s->size) return;
    spki_event_store(io->out++, s->t, (uint64_t)SPK_EVENT_OTHER << 40 | d->source_bits);
    spki_es_extra(d, SPK_EXTRA_GENERIC, 0, 0, s->bytes, s->size);
    s->part = 0;
}

SPKI_FN bool spki_es_generic(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    uint32_t b;
    if (s->part == 2) {
        spki_es_generic_bytes(d, io);
        return true;
    }
    b = *io->in;
    if (s->part == 0) {
        io->in++;
        s->t += b == 0xff ? 254 : b == 0xfe ? 0 : b;
        s->part = b < 0xfe;
        s->size = s->got = 0;
        s->shift = 0;
        return true;
    }
    if (s->shift >= 28) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, io->in, "ES: an event of more than 2^28 bytes");
        return false;
    }
    io->in++;
    s->size |= (size_t)(b >> 1) << s->shift; /* the lowest bit: more bytes of size follow */
    s->shift += 7;
    if ((b & 1u) == 0) s->part = 2;
    if (s->part == 2 && s->size == 0) spki_es_generic_bytes(d, io);
    return true;
}

SPKI_FN void spki_es_decode(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    bool more = spki_es_begin_data(d, io);
    while (more && io->in < io->in_end && io->out < io->out_end && d->result == SPK_OK) {
        switch (s->type) {
        case SPKI_ES_DVS:
            more = spki_es_dvs(d, io);
            break;
        case SPKI_ES_ATIS:
            more = spki_es_atis(d, io);
            break;
        case SPKI_ES_COLOUR:
            more = spki_es_colour(d, io);
            break;
        default:
            more = spki_es_generic(d, io);
            break;
        }
    }
}

SPKI_FN void spki_es_end(spk_decoder *d)
{
    spki_es_state *s = (spki_es_state *)d->state;
    spki_free(&d->mem, s->bytes, s->room, 1);
}

static const spki_codec spki_es_codec = {
    SPK_FORMAT_ES, ".es ", sizeof(spki_es_state), spki_es_sniff, NULL,
    NULL,          NULL,   spki_es_decode,        NULL,          spki_es_end};

/* -- writer: DVS events -- */

typedef struct spki_es_writer {
    int64_t last_us, sent_us;
} spki_es_writer;

/* One byte for each 127 us without events. */
#define SPKI_ES_GAP ((int64_t)1 << 34)

SPKI_FN void spki_es_write_header(spk_event_writer *w)
{
    uint8_t *p;
    if (w->desc.width == 0 || w->desc.height == 0 || w->desc.width > 65535 ||
        w->desc.height > 65535) {
        spki_writer_fail(w, SPK_ERR_RANGE,
                         "ES: a sensor of %u x %u: spk_event_writer_desc.width and height have to "
                         "be 1 to 65535",
                         w->desc.width, w->desc.height);
        return;
    }
    spki_writer_text(w, "Event Stream\x02");
    p = spki_writer_room(w, 7);
    if (!p) return;
    p[0] = p[1] = 0;
    p[2] = SPKI_ES_DVS;
    spki_store16_le(p + 3, (uint16_t)w->desc.width);
    spki_store16_le(p + 5, (uint16_t)w->desc.height);
    w->fill += 7;
}

SPKI_FN bool spki_es_put_gap(spk_event_writer *w, const spk_event *e)
{
    spki_es_writer *s = (spki_es_writer *)w->state;
    if (e->t_us - s->sent_us > SPKI_ES_GAP)
        return spki_writer_refuse(w, e, "the time is further than 4.7 hours from the last one");
    while (e->t_us - s->sent_us >= 127) {
        uint8_t *p = spki_writer_room(w, 8);
        if (!p) return false;
        *p = 0xff;
        w->fill++;
        s->sent_us += 127;
    }
    return true;
}

SPKI_FN void spki_es_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_es_writer *s = (spki_es_writer *)w->state;
    for (; count > 0; count--, e++) {
        uint8_t *p;
        if (!spki_writer_time(w, e, &s->last_us) || !spki_writer_cd(w, e) ||
            !spki_writer_room(w, 8) || !spki_es_put_gap(w, e))
            return;
        p = w->buffer + w->fill;
        p[0] = (uint8_t)((e->t_us - s->sent_us) << 1 | (e->polarity ? 1 : 0));
        spki_store16_le(p + 1, e->x);
        spki_store16_le(p + 3, (uint16_t)(w->desc.as_stored ? e->y : w->desc.height - 1u - e->y));
        s->sent_us = e->t_us;
        w->fill += 5;
        w->encoded++;
    }
}

static const spki_encoder spki_es_encoder = {
    SPK_FORMAT_ES, ".es ", sizeof(spki_es_writer), spki_es_write_header, spki_es_encode,
    NULL,          NULL};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>nmnist: the 40-bit records of N-MNIST and N-Caltech101 ---- */

/* Source: gorchard/event-Python. Five bytes, big-endian: x, y, a bit of polarity, 23 of time. y 240
   is no row: it adds 2^13 us to all times that follow. SLAYER's .bs2 files lack that rule. */
#define SPKI_NMNIST_OVERFLOW 240u
#define SPKI_NMNIST_STEP ((int64_t)1 << 13)

typedef struct spki_nmnist_state {
    int64_t base;
    bool no_overflow;
} spki_nmnist_state;

/* There is no mark: whole records whose times go on, and rows that there are. */
SPKI_FN bool spki_nmnist_accept(const uint8_t *head, size_t size)
{
    uint32_t last = 0, t;
    size_t k;
    for (k = 0; k + 5 <= size; k += 5) {
        t = (uint32_t)(head[k + 2] & 0x7f) << 16 | (uint32_t)head[k + 3] << 8 | head[k + 4];
        if (head[k + 1] > SPKI_NMNIST_OVERFLOW) return false;
        if (head[k + 1] == SPKI_NMNIST_OVERFLOW) continue;
        if (t < last && last - t > (1u << 13)) return false;
        last = t;
    }
    return size >= 5 && (size >= SPKI_CARRY || size % 5 == 0);
}

SPKI_FN spki_sniff spki_nmnist_sniff(const uint8_t *head, size_t size, bool whole)
{
    if (!whole) return SPKI_SNIFF_MORE;
    return size >= 80 && spki_nmnist_accept(head, size) ? SPKI_SNIFF_YES : SPKI_SNIFF_NO;
}

SPKI_FN void spki_nmnist_begin(spk_decoder *d)
{
    size_t n = d->name ? strlen(d->name) : 0;
    ((spki_nmnist_state *)d->state)->no_overflow = n > 4 && strcmp(d->name + n - 4, ".bs2") == 0;
}

SPKI_FN void spki_nmnist_decode(spk_decoder *d, spki_io *io)
{
    spki_nmnist_state *s = (spki_nmnist_state *)d->state;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    for (; io->in_end - io->in >= 5 && io->out < io->out_end; io->in += 5) {
        const uint8_t *p = io->in;
        int64_t t = (int64_t)(p[2] & 0x7f) << 16 | (int64_t)p[3] << 8 | p[4];
        if (p[1] == SPKI_NMNIST_OVERFLOW && !s->no_overflow)
            s->base += SPKI_NMNIST_STEP;
        else if (p[0] >= columns || p[1] >= rows)
            d->stats.dropped++;
        else
            spki_event_store(io->out++, s->base + t,
                             (uint64_t)p[0] | (uint64_t)p[1] << 16 | (uint64_t)(p[2] >> 7) << 32 |
                                 d->source_bits);
    }
}

static const spki_codec spki_nmnist_codec = {SPK_FORMAT_NMNIST,
                                             ".bin .bs2 ",
                                             sizeof(spki_nmnist_state),
                                             spki_nmnist_sniff,
                                             spki_nmnist_accept,
                                             spki_nmnist_begin,
                                             NULL,
                                             spki_nmnist_decode,
                                             NULL,
                                             NULL};

/* -- writer -- */

typedef struct spki_nmnist_writer {
    int64_t last_us, base;
} spki_nmnist_writer;

#define SPKI_NMNIST_GAP ((int64_t)1 << 36) /* 40 MB of overflow records */

SPKI_FN bool spki_nmnist_put_gap(spk_event_writer *w, const spk_event *e)
{
    spki_nmnist_writer *s = (spki_nmnist_writer *)w->state;
    if (e->t_us - s->base > SPKI_NMNIST_GAP)
        return spki_writer_refuse(w, e, "the time is further than 19 hours from the last one");
    while (e->t_us - s->base >= (int64_t)1 << 23) {
        uint8_t *p = spki_writer_room(w, 16);
        if (!p) return false;
        memset(p, 0, 5);
        p[1] = SPKI_NMNIST_OVERFLOW;
        w->fill += 5;
        s->base += SPKI_NMNIST_STEP;
    }
    return true;
}

SPKI_FN void spki_nmnist_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_nmnist_writer *s = (spki_nmnist_writer *)w->state;
    for (; count > 0; count--, e++) {
        uint32_t t;
        uint8_t *p;
        if (!spki_writer_time(w, e, &s->last_us) || !spki_writer_cd(w, e) ||
            !spki_writer_range(w, e, 255, SPKI_NMNIST_OVERFLOW - 1) || !spki_writer_room(w, 16) ||
            !spki_nmnist_put_gap(w, e))
            return;
        p = w->buffer + w->fill;
        t = (uint32_t)(e->t_us - s->base);
        p[0] = (uint8_t)e->x;
        p[1] = (uint8_t)e->y;
        p[2] = (uint8_t)((e->polarity ? 0x80u : 0u) | t >> 16);
        p[3] = (uint8_t)(t >> 8);
        p[4] = (uint8_t)t;
        w->fill += 5;
        w->encoded++;
    }
}

static const spki_encoder spki_nmnist_encoder = {
    SPK_FORMAT_NMNIST, ".bin ", sizeof(spki_nmnist_writer), NULL, spki_nmnist_encode, NULL, NULL};
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>formats: the list of readers and writers ---- */

/* In the order in which their contents are asked; those that know themselves by a mark come first,
   those that guess last. */
SPKI_FN const spki_codec *spki_codec_at(size_t index)
{
    static const spki_codec *const list[] = {
        &spki_es_codec,   &spki_aedat4_codec, &spki_aedat3_codec, &spki_aedat2_codec,
        &spki_evt3_codec, &spki_evt2_codec,   &spki_evt21_codec,  &spki_evt4_codec,
        &spki_dat_codec,  &spki_nmnist_codec,
    };
    return index < sizeof list / sizeof list[0] ? list[index] : NULL;
}

SPKI_FN const spki_encoder *spki_encoder_at(size_t index)
{
    static const spki_encoder *const list[] = {
        &spki_evt3_encoder, &spki_evt2_encoder,   &spki_dat_encoder,
        &spki_es_encoder,   &spki_nmnist_encoder,
    };
    return index < sizeof list / sizeof list[0] ? list[index] : NULL;
}

SPKI_FN const spki_codec *spki_codec_of(spk_event_format format)
{
    size_t k;
    for (k = 0; spki_codec_at(k); k++)
        if (spki_codec_at(k)->format == format) return spki_codec_at(k);
    return NULL;
}

SPKI_FN const spki_encoder *spki_encoder_of(spk_event_format format)
{
    size_t k;
    for (k = 0; spki_encoder_at(k); k++)
        if (spki_encoder_at(k)->format == format) return spki_encoder_at(k);
    return NULL;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>decoder: bytes cut anywhere become events ---- */

/* Events that one call of a codec may give out: they are counted while they are in the cache. */
#define SPKI_EVENT_CHUNK ((size_t)1024)

SPKI_FN const char *spki_format_name(spk_event_format format)
{
    switch (format) {
#define SPKI_FORMAT_NAME(number, enumerator, name)                                                 \
    case enumerator:                                                                               \
        return name;
        SPIKELIB_EVENT_FORMATS(SPKI_FORMAT_NAME)
#undef SPKI_FORMAT_NAME
    default:
        return NULL;
    }
}

SPIKELIB_API const char *spk_event_format_name(spk_event_format format)
{
    const char *name = spki_format_name(format);
    return name ? name : "unknown";
}

SPIKELIB_API spk_event_format spk_event_format_from_name(const char *name)
{
    int k;
    for (k = 0; name && spki_format_name((spk_event_format)k); k++)
        if (strcmp(name, spki_format_name((spk_event_format)k)) == 0) return (spk_event_format)k;
    return SPK_FORMAT_AUTO;
}

SPIKELIB_API bool spk_event_format_readable(spk_event_format format)
{
    return spki_codec_of(format) != NULL;
}

/* -- which format -- */

/* Does the name end in one of the suffixes (".raw .evt3 "), whatever the case of its letters? */
SPKI_FN bool spki_name_fits(const char *name, const char *suffixes)
{
    size_t n = strlen(name);
    while (*suffixes) {
        size_t m = strcspn(suffixes, " "), k = 0;
        if (m <= n)
            for (; k < m; k++) {
                char c = name[n - m + k];
                if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
                if (c != suffixes[k]) break;
            }
        if (m > 0 && k == m) return true;
        suffixes += m;
        while (*suffixes == ' ') suffixes++;
    }
    return false;
}

SPKI_FN bool spki_decoder_begin(spk_decoder *d, const spki_codec *codec)
{
    d->codec = codec;
    d->stats.format = codec->format;
    d->state = spki_alloc(&d->mem, 1, codec->state_size);
    if (!d->state)
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to decode %s",
                          spk_event_format_name(codec->format));
    else if (codec->begin)
        codec->begin(d);
    return d->result == SPK_OK;
}

/* By content: the first codec that says yes after all before it said no. NULL with *more: wait. */
SPKI_FN const spki_codec *spki_sniff_content(const uint8_t *head, size_t size, bool whole,
                                             bool *more)
{
    const spki_codec *codec;
    size_t k;
    *more = false;
    for (k = 0; (codec = spki_codec_at(k)) != NULL; k++) {
        spki_sniff said = codec->sniff ? codec->sniff(head, size, whole) : SPKI_SNIFF_NO;
        if (said == SPKI_SNIFF_YES) return codec;
        if (said == SPKI_SNIFF_MORE && !whole) {
            *more = true;
            return NULL;
        }
    }
    return NULL;
}

SPKI_FN const spki_codec *spki_sniff_name(const spk_decoder *d)
{
    const spki_codec *codec;
    size_t k;
    for (k = 0; d->name && (codec = spki_codec_at(k)) != NULL; k++)
        if (spki_name_fits(d->name, codec->suffixes) &&
            (!codec->accept || codec->accept(d->carry, d->carried)))
            return codec;
    return NULL;
}

/* Gathers the first bytes until they tell the format. True: it is known and has begun. */
SPKI_FN bool spki_decoder_detect(spk_decoder *d)
{
    const spki_codec *codec;
    bool more, whole;
    size_t take = SPKI_MIN(d->left, SPKI_CARRY - d->carried);
    if (take > 0) memcpy(d->carry + d->carried, d->data, take);
    d->carried += take;
    d->data += take;
    d->left -= take;
    whole = d->carried == SPKI_CARRY || (d->finished && d->left == 0);
    if (d->carried == 0 && !whole) return false;
    codec = spki_sniff_content(d->carry, d->carried, whole, &more);
    if (!codec && !whole) return false;
    if (!codec) codec = spki_sniff_name(d);
    if (codec) return spki_decoder_begin(d, codec);
    if (d->carried == 0)
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "there is nothing in it");
    else
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "neither the content nor the name tells a known format; "
                          "spk_events_desc.format can name it");
    return false;
}

/* -- bytes in, events out -- */

/* Counts what was given out, and shifts its time. */
SPKI_FN void spki_decoder_account(spk_decoder *d, spk_event *out, size_t count)
{
    uint64_t on = 0, others = 0, triggers = 0;
    size_t k;
    if (count == 0) return;
    if (d->desc.shift_time) {
        spki_decoder_epoch(d, out[0].t_us);
        for (k = 0; k < count; k++) out[k].t_us -= d->shift_us;
    }
    if (d->mixed) {
        for (k = 0; k < count; k++) {
            if (out[k].kind == SPK_EVENT_TRIGGER) {
                triggers++;
                continue;
            }
            on += out[k].kind == SPK_EVENT_CD && out[k].polarity;
            others += out[k].kind != SPK_EVENT_CD;
            if (d->stats.events + k - triggers == 0) d->stats.t_first_us = out[k].t_us;
            d->stats.t_last_us = out[k].t_us;
        }
    } else {
        for (k = 0; k < count; k++) on += out[k].polarity;
        if (d->stats.events == 0) d->stats.t_first_us = out[0].t_us;
        d->stats.t_last_us = out[count - 1].t_us;
    }
    count -= (size_t)triggers;
    d->stats.events += count;
    d->stats.on += on;
    d->stats.off += count - on - others;
    d->other += others;
}

/* One call of the codec. */
SPKI_FN void spki_decoder_call(spk_decoder *d, spki_io *io)
{
    spk_event *out = io->out;
    d->io_start = io->in;
    d->codec->decode(d, io);
    spki_decoder_account(d, out, (size_t)(io->out - out));
}

/* Decodes what is carried over, with some of the new bytes behind it. False: it led to nothing. */
SPKI_FN bool spki_decoder_step_carry(spk_decoder *d, spk_event *out, size_t room, size_t *got)
{
    spki_io io;
    size_t old = d->carried, take = SPKI_MIN(d->left, 2 * SPKI_CARRY - old), used;
    take = SPKI_MIN(take, (size_t)64);
    if (take > 0) memcpy(d->carry + old, d->data, take);
    io.in = d->carry;
    io.in_end = d->carry + old + take;
    io.out = out;
    io.out_end = out + room;
    io.last = d->finished && take == d->left;
    spki_decoder_call(d, &io);
    used = (size_t)(io.in - d->carry);
    *got = (size_t)(io.out - out);
    if (used >= old) {
        d->data += used - old;
        d->left -= used - old;
        d->carried = 0;
    } else if (used > 0 || *got > 0) {
        d->carried = old - used;
        memmove(d->carry, d->carry + used, d->carried);
    } else { /* the record is longer than this */
        d->data += take;
        d->left -= take;
        d->carried += take;
        if (d->carried > SPKI_CARRY + 64)
            spki_decoder_fail(d, SPK_ERR_FORMAT, d->carry, "a record of more than %u bytes",
                              (unsigned)SPKI_CARRY);
    }
    d->at += used;
    return used > 0 || *got > 0 || take > 0;
}

SPKI_FN bool spki_decoder_step(spk_decoder *d, spk_event *out, size_t room, size_t *got)
{
    spki_io io;
    size_t used;
    if (d->carried > 0) return spki_decoder_step_carry(d, out, room, got);
    io.in = d->data;
    io.in_end = d->data + d->left;
    io.out = out;
    io.out_end = out + room;
    io.last = d->finished;
    spki_decoder_call(d, &io);
    used = (size_t)(io.in - d->data);
    *got = (size_t)(io.out - out);
    d->data += used;
    d->left -= used;
    d->at += used;
    if (used > 0 || *got > 0) return true;
    if (d->left > SPKI_CARRY) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, d->data, "a record of more than %u bytes",
                          (unsigned)SPKI_CARRY);
        return false;
    }
    if (d->left > 0) memcpy(d->carry, d->data, d->left);
    d->carried = d->left;
    d->data += d->left;
    d->left = 0;
    return false;
}

/* The end: what is still carried over is an unfinished record. */
SPKI_FN void spki_decoder_at_end(spk_decoder *d)
{
    if (!d->finished || d->ended || d->left > 0) return;
    d->ended = true;
    d->stats.bytes_skipped += d->carried;
    d->carried = 0;
}

SPKI_FN size_t spki_decoder_take_spill(spk_decoder *d, spk_event *out, size_t room)
{
    size_t n = SPKI_MIN(room, d->spill_count - d->spill_next);
    memcpy(out, d->spill + d->spill_next, n * sizeof *out);
    d->spill_next += n;
    return n;
}

SPIKELIB_API size_t spk_decoder_read(spk_decoder *d, spk_event *out, size_t capacity)
{
    size_t total = 0, got;
    if (!d || !out) return 0;
    while (total < capacity) {
        bool moved;
        if (d->spill_next < d->spill_count) {
            total += spki_decoder_take_spill(d, out + total, capacity - total);
            continue;
        }
        if (d->result != SPK_OK || d->ended) break;
        if (!d->codec && !spki_decoder_detect(d)) break;
        got = 0;
        if (capacity - total >= SPKI_EVENT_ROOM) {
            moved = spki_decoder_step(d, out + total, SPKI_MIN(capacity - total, SPKI_EVENT_CHUNK),
                                      &got);
            total += got;
        } else {
            moved = spki_decoder_step(d, d->spill, 2 * SPKI_EVENT_ROOM, &got);
            d->spill_next = 0;
            d->spill_count = got;
        }
        if (!moved) {
            spki_decoder_at_end(d);
            break;
        }
    }
    return total;
}

SPIKELIB_API spk_result spk_decoder_feed(spk_decoder *d, const void *data, size_t size)
{
    if (!d || (!data && size > 0)) return SPK_ERR_NULL;
    if (d->result != SPK_OK) return d->result;
    if (d->finished || d->left > 0 || d->spill_next < d->spill_count) return SPK_ERR_STATE;
    d->data = (const uint8_t *)data;
    d->left = size;
    d->stats.bytes += size;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_decoder_finish(spk_decoder *d)
{
    if (!d) return SPK_ERR_NULL;
    d->finished = true;
    return d->result;
}

SPIKELIB_API spk_result spk_decoder_resync(spk_decoder *d)
{
    if (!d) return SPK_ERR_NULL;
    if (d->result != SPK_OK) return d->result;
    if (d->codec) {
        d->stats.bytes_skipped += d->carried;
        d->at += d->carried;
        d->carried = 0;
        if (d->codec->resync) d->codec->resync(d);
    }
    return d->result;
}

/* -- life -- */

SPKI_FN void spki_decoder_configure(spk_decoder *d)
{
    const spk_events_desc *desc = &d->desc;
    const char *why;
    if (desc->begin_sentinel != 0 || desc->end_sentinel != 0) {
        spki_decoder_fail(d, SPK_ERR_UNINITIALISED, NULL,
                          "spk_events_desc: sentinels are not 0; start it with = {0}");
        return;
    }
    if (desc->width > 65536u || desc->height > 65536u) {
        spki_decoder_fail(d, SPK_ERR_RANGE, NULL,
                          "spk_events_desc: a sensor of %u x %u; at most 65536 x 65536",
                          desc->width, desc->height);
        return;
    }
    if (desc->format != SPK_FORMAT_AUTO && !spki_codec_of(desc->format)) {
        bool known = spki_format_name(desc->format) != NULL;
        spki_decoder_fail(d, known ? SPK_ERR_UNSUPPORTED : SPK_ERR_NAME, NULL,
                          known ? "spk_events_desc.format: this build cannot read %s"
                                : "spk_events_desc.format: there is no format of that number (%s)",
                          spk_event_format_name(desc->format));
        return;
    }
    if (spki_isa_resolve(desc->isa, &d->isa, &why) != SPK_OK) {
        spki_decoder_fail(d, SPK_ERR_UNSUPPORTED, NULL, "spk_events_desc.isa %s: %s",
                          spk_isa_name(d->isa), why);
        return;
    }
    d->stats.width = desc->width;
    d->stats.height = desc->height;
    d->source_bits = (uint64_t)desc->source << 48;
    d->mixed = desc->triggers_in_stream;
}

/* `name` of the file or NULL; must live as long as the decoder. */
SPKI_FN spk_decoder *spki_decoder_create(const spk_events_desc *desc, const char *name)
{
    spki_mem mem;
    spk_decoder *d;
    spki_mem_init(&mem, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0);
    d = (spk_decoder *)spki_alloc(&mem, 1, sizeof *d);
    if (!d) return NULL;
    d->mem = mem;
    d->name = name;
    if (desc) d->desc = *desc;
    d->carry = (uint8_t *)spki_alloc_raw(&d->mem, 2 * SPKI_CARRY + 64, 1);
    if (!d->carry) {
        spk_decoder_destroy(d);
        return NULL;
    }
    spki_decoder_configure(d);
    if (d->result == SPK_OK && d->desc.format != SPK_FORMAT_AUTO)
        spki_decoder_begin(d, spki_codec_of(d->desc.format));
    return d;
}

SPIKELIB_API spk_decoder *spk_decoder_create(const spk_events_desc *desc)
{
    return spki_decoder_create(desc, NULL);
}

SPIKELIB_API void spk_decoder_destroy(spk_decoder *d)
{
    spki_mem mem;
    if (!d) return;
    if (d->codec && d->state) {
        if (d->codec->end) d->codec->end(d);
        spki_free(&d->mem, d->state, 1, d->codec->state_size);
    }
    spki_free(&d->mem, d->carry, 2 * SPKI_CARRY + 64, 1);
    mem = d->mem;
    spki_free(&mem, d, 1, sizeof *d);
}

SPIKELIB_API spk_result spk_decoder_status(const spk_decoder *d)
{
    return d ? d->result : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_decoder_error(const spk_decoder *d)
{
    return d ? d->error : "the decoder is NULL";
}

SPIKELIB_API spk_result spk_decoder_get_stats(const spk_decoder *d, spk_event_stats *stats)
{
    if (!d || !stats) return SPK_ERR_NULL;
    *stats = d->stats;
    return SPK_OK;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>reader: event files ---- */

/* Bytes read at a time: they are decoded while they are in the second-level cache. */
#define SPKI_READ_BUFFER ((size_t)256 << 10)

struct spk_events {
    spk_decoder *decoder;
    FILE *file;
    uint8_t *buffer;
    char *name;
    size_t name_size;
};

SPKI_FN void spki_events_open_file(spk_events *in, const char *path)
{
    spk_decoder *d = in->decoder;
    if (d->result != SPK_OK) return;
    in->file = spki_file_open(path, "rb");
    if (!in->file) {
        spki_decoder_fail(d, SPK_ERR_IO, NULL, "cannot be opened: %s", spki_file_why());
        return;
    }
    setvbuf(in->file, NULL, _IONBF, 0);
    in->buffer = (uint8_t *)spki_alloc_raw(&d->mem, SPKI_READ_BUFFER, 1);
    if (!in->buffer) spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to read it");
}

SPKI_FN spk_events *spki_events_create(const char *path, const spk_events_desc *desc)
{
    spki_mem mem;
    spk_events *in;
    const char *name = path ? path : "events in memory";
    spki_mem_init(&mem, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0);
    in = (spk_events *)spki_alloc(&mem, 1, sizeof *in);
    if (!in) return NULL;
    in->name_size = strlen(name) + 1;
    in->name = (char *)spki_alloc_raw(&mem, in->name_size, 1);
    if (in->name) {
        memcpy(in->name, name, in->name_size);
        in->decoder = spki_decoder_create(desc, in->name);
    }
    if (!in->decoder) {
        spki_free(&mem, in->name, in->name_size, 1);
        spki_free(&mem, in, 1, sizeof *in);
        return NULL;
    }
    return in;
}

SPIKELIB_API spk_events *spk_events_open(const char *path, const spk_events_desc *desc)
{
    spk_events *in = spki_events_create(path ? path : "spk_events_open", desc);
    if (!in) return NULL;
    if (!path)
        spki_decoder_fail(in->decoder, SPK_ERR_NULL, NULL, "the path is NULL");
    else
        spki_events_open_file(in, path);
    return in;
}

SPIKELIB_API spk_events *spk_events_open_memory(const void *data, size_t size,
                                                const spk_events_desc *desc)
{
    spk_events *in = spki_events_create(NULL, desc);
    if (!in) return NULL;
    if (!data && size > 0) spki_decoder_fail(in->decoder, SPK_ERR_NULL, NULL, "the data are NULL");
    spk_decoder_feed(in->decoder, data, size);
    spk_decoder_finish(in->decoder);
    return in;
}

/* Fetches more bytes. False: the end, or they cannot be read. */
SPKI_FN bool spki_events_fetch(spk_events *in)
{
    spk_decoder *d = in->decoder;
    size_t n;
    if (!in->file || d->finished || d->result != SPK_OK) return false;
    if (d->codec && d->codec->open_path) {
        d->codec->open_path(d, in->name);
        d->finished = true;
        return d->result == SPK_OK;
    }
    n = fread(in->buffer, 1, SPKI_READ_BUFFER, in->file);
    if (n < SPKI_READ_BUFFER && ferror(in->file)) {
        spki_decoder_fail(d, SPK_ERR_IO, NULL, "byte %llu: cannot be read: %s",
                          (unsigned long long)(d->stats.bytes + n), spki_file_why());
        return false;
    }
    if (n < SPKI_READ_BUFFER && feof(in->file)) spk_decoder_finish(d);
    d->data = in->buffer;
    d->left = n;
    d->stats.bytes += n;
    return true;
}

SPIKELIB_API size_t spk_events_read(spk_events *in, spk_event *out, size_t capacity)
{
    size_t n;
    if (!in || !out || capacity == 0) return 0;
    do {
        n = spk_decoder_read(in->decoder, out, capacity);
    } while (n == 0 && spki_events_fetch(in));
    return n;
}

SPIKELIB_API spk_result spk_events_status(const spk_events *in)
{
    return in ? in->decoder->result : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_events_error(const spk_events *in)
{
    return in ? in->decoder->error : "the reader is NULL";
}

SPIKELIB_API spk_result spk_events_get_stats(const spk_events *in, spk_event_stats *stats)
{
    return in ? spk_decoder_get_stats(in->decoder, stats) : SPK_ERR_NULL;
}

SPIKELIB_API void spk_events_close(spk_events *in)
{
    spki_mem mem;
    if (!in) return;
    if (in->file) fclose(in->file);
    mem = in->decoder->mem;
    spki_free(&mem, in->buffer, SPKI_READ_BUFFER, 1);
    spk_decoder_destroy(in->decoder);
    spki_free(&mem, in->name, in->name_size, 1);
    spki_free(&mem, in, 1, sizeof *in);
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>write: events to files, whatever the format ---- */

SPIKELIB_API bool spk_event_format_writable(spk_event_format format)
{
    return spki_encoder_of(format) != NULL;
}

SPKI_FN const spki_encoder *spki_writer_choose(spk_event_writer *w)
{
    const spki_encoder *encoder;
    size_t k;
    if (w->desc.format != SPK_FORMAT_AUTO) {
        encoder = spki_encoder_of(w->desc.format);
        if (!encoder)
            spki_writer_fail(w, SPK_ERR_UNSUPPORTED,
                             "spk_event_writer_desc.format: this build cannot write %s",
                             spk_event_format_name(w->desc.format));
        return encoder;
    }
    for (k = 0; w->name && (encoder = spki_encoder_at(k)) != NULL; k++)
        if (spki_name_fits(w->name, encoder->suffixes)) return encoder;
    spki_writer_fail(w, SPK_ERR_FORMAT,
                     "the name's ending tells no format that can be written; "
                     "spk_event_writer_desc.format can");
    return NULL;
}

SPKI_FN void spki_writer_configure(spk_event_writer *w)
{
    const spk_event_writer_desc *d = &w->desc;
    if (d->begin_sentinel != 0 || d->end_sentinel != 0)
        spki_writer_fail(w, SPK_ERR_UNINITIALISED,
                         "spk_event_writer_desc: sentinels are not 0; start it with = {0}");
    else if (d->width > 65536u || d->height > 65536u)
        spki_writer_fail(w, SPK_ERR_RANGE, "spk_event_writer_desc: a sensor of %u x %u", d->width,
                         d->height);
    else if (!w->name && !d->write)
        spki_writer_fail(w, SPK_ERR_NULL, "the path and spk_event_writer_desc.write are NULL");
    else if (w->name && d->write)
        spki_writer_fail(w, SPK_ERR_RANGE, "a path and spk_event_writer_desc.write: one is enough");
    if (w->result == SPK_OK) w->encoder = spki_writer_choose(w);
}

SPKI_FN void spki_writer_start(spk_event_writer *w)
{
    w->state = spki_alloc(&w->mem, 1, w->encoder->state_size);
    w->buffer = (uint8_t *)spki_alloc_raw(&w->mem, SPKI_WRITE_BUFFER, 1);
    if (!w->state || !w->buffer) {
        spki_writer_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory for its buffer");
        return;
    }
    if (w->name) {
        w->file = spki_file_open(w->name, "wb");
        if (!w->file) {
            spki_writer_fail(w, SPK_ERR_IO, "cannot be opened for writing: %s", spki_file_why());
            return;
        }
        setvbuf(w->file, NULL, _IONBF, 0);
    }
    if (w->encoder->begin) w->encoder->begin(w);
}

SPIKELIB_API spk_event_writer *spk_event_writer_open(const char *path,
                                                     const spk_event_writer_desc *desc)
{
    spki_mem mem;
    spk_event_writer *w;
    spki_mem_init(&mem, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0);
    w = (spk_event_writer *)spki_alloc(&mem, 1, sizeof *w);
    if (!w) return NULL;
    if (desc) w->desc = *desc;
    if (path) {
        w->name_size = strlen(path) + 1;
        w->name = (char *)spki_alloc_raw(&mem, w->name_size, 1);
        if (!w->name) {
            spki_free(&mem, w, 1, sizeof *w);
            return NULL;
        }
        memcpy(w->name, path, w->name_size);
    }
    w->mem = mem;
    spki_writer_configure(w);
    if (w->result == SPK_OK) spki_writer_start(w);
    return w;
}

SPIKELIB_API spk_result spk_event_writer_write(spk_event_writer *w, const spk_event *events,
                                               size_t count)
{
    if (!w || (!events && count > 0)) return SPK_ERR_NULL;
    if (w->result != SPK_OK) return w->result;
    if (w->finished) return SPK_ERR_STATE;
    w->encoder->encode(w, events, count);
    return w->result;
}

/* After an event that the format cannot hold, what came before it is still written. */
SPIKELIB_API spk_result spk_event_writer_finish(spk_event_writer *w)
{
    spk_result before;
    if (!w) return SPK_ERR_NULL;
    if (w->finished || !w->encoder || !w->buffer) return w->result;
    before = w->result;
    if (before != SPK_OK && before != SPK_ERR_RANGE) return before;
    w->finished = true;
    w->result = SPK_OK;
    if (w->encoder->finish) w->encoder->finish(w);
    if (w->result == SPK_OK) spki_writer_flush(w);
    if (w->result == SPK_OK) w->result = before;
    return w->result;
}

SPIKELIB_API spk_result spk_event_writer_status(const spk_event_writer *w)
{
    return w ? w->result : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_event_writer_error(const spk_event_writer *w)
{
    return w ? w->error : "the writer is NULL";
}

SPIKELIB_API uint64_t spk_event_writer_written(const spk_event_writer *w)
{
    return w ? w->written : 0;
}

SPIKELIB_API void spk_event_writer_close(spk_event_writer *w)
{
    spki_mem mem;
    if (!w) return;
    spk_event_writer_finish(w);
    if (w->file) fclose(w->file);
    mem = w->mem;
    if (w->state) {
        if (w->encoder->end) w->encoder->end(w);
        spki_free(&mem, w->state, 1, w->encoder->state_size);
    }
    spki_free(&mem, w->buffer, SPKI_WRITE_BUFFER, 1);
    spki_free(&mem, w->name, w->name_size, 1);
    spki_free(&mem, w, 1, sizeof *w);
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>park: sleeping on a word until it changes or a deadline passes ---- */

/* SPKI_RING_FUTEX 0 and SPKI_RING_MEMBARRIER 0 (for tests) do as other systems do. */
#if !defined(SPKI_RING_FUTEX)
#if defined(__linux__) && (defined(SYS_futex) || defined(SYS_futex_time64))
#define SPKI_RING_FUTEX 1
#else
#define SPKI_RING_FUTEX 0
#endif
#endif
#if !defined(SPKI_RING_MEMBARRIER)
#if defined(__linux__) && defined(SYS_membarrier) && SPKI_RING_FUTEX
#define SPKI_RING_MEMBARRIER 1
#else
#define SPKI_RING_MEMBARRIER 0
#endif
#endif

#if defined(SPIKELIB_NO_THREADS)
SPKI_INLINE void spki_ring_relax(void) { __asm__ volatile("" ::: "memory"); }
#else
SPKI_INLINE void spki_ring_relax(void) { spki_pause(); }
#endif

/* -- a full fence on the other side's CPU --
   Commands of the Linux ABI (linux/membarrier.h): GLOBAL_EXPEDITED 2 and its registration 4 reach
   every process that registered, PRIVATE_EXPEDITED 8 and 16 the threads of this one. */
#if SPKI_RING_MEMBARRIER
SPKI_FN bool spki_ring_register(bool shared)
{
    return spki_os_syscall(SYS_membarrier, shared ? 4 : 16, 0, 0) == 0;
}

SPKI_FN void spki_ring_fence_others(bool shared)
{
    (void)spki_os_syscall(SYS_membarrier, shared ? 2 : 8, 0, 0);
}
#else
SPKI_FN bool spki_ring_register(bool shared)
{
    (void)shared;
    return false;
}

SPKI_FN void spki_ring_fence_others(bool shared) { (void)shared; }
#endif

/* -- sleeping --
   Wakes by itself at the latest after a tenth of a second: whoever should have woken it may have
   been killed just before. */
#define SPKI_RING_NAP 0.1

SPKI_FN double spki_ring_nap(double deadline_s)
{
    const double left = deadline_s - spk_clock_seconds();
    return left < 0.0 ? 0.0 : left > SPKI_RING_NAP ? SPKI_RING_NAP : left;
}

#if SPKI_RING_FUTEX
typedef struct spki_ring_lot {
    uint32_t unused;
} spki_ring_lot;

SPKI_FN void spki_ring_lot_init(spki_ring_lot *lot) { lot->unused = 0; }
SPKI_FN void spki_ring_lot_free(spki_ring_lot *lot) { (void)lot; }

/* Operations of the Linux ABI: FUTEX_WAIT 0, FUTEX_WAKE 1, with FUTEX_PRIVATE_FLAG 128. */
SPKI_FN void spki_ring_futex(uint32_t *word, int op, uint32_t value, const void *timeout)
{
#if defined(SYS_futex)
    (void)spki_os_syscall(SYS_futex, word, op, value, timeout, NULL, 0);
#else
    (void)spki_os_syscall(SYS_futex_time64, word, op, value, timeout, NULL, 0);
#endif
}

/* The kernel compares and sleeps in one step, so that no change is missed. May return early. */
SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
#if defined(SYS_futex)
    long timeout[2];
#else
    int64_t timeout[2];
#endif
    (void)lot;
    timeout[0] = 0;
    timeout[1] = 1 + (long)(seconds * 1e9); /* SPKI_RING_NAP at most */
    spki_ring_futex(word, shared ? 0 : 128, old, timeout);
}

SPKI_FN void spki_ring_wake(spki_ring_lot *lot, uint32_t *word, bool shared)
{
    (void)lot;
    spki_ring_futex(word, shared ? 1 : 129, INT_MAX, NULL);
}
#elif defined(_WIN32)
typedef struct spki_ring_lot {
    SRWLOCK lock;
    CONDITION_VARIABLE changed;
} spki_ring_lot;

SPKI_FN void spki_ring_lot_init(spki_ring_lot *lot)
{
    InitializeSRWLock(&lot->lock);
    InitializeConditionVariable(&lot->changed);
}

SPKI_FN void spki_ring_lot_free(spki_ring_lot *lot) { (void)lot; }

SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
    (void)shared;
    AcquireSRWLockExclusive(&lot->lock);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        SleepConditionVariableSRW(&lot->changed, &lot->lock, 1 + (DWORD)(seconds * 1e3), 0);
    ReleaseSRWLockExclusive(&lot->lock);
}

/* Taking the lock lets a sleeper that has just compared get to sleep before it is woken. */
SPKI_FN void spki_ring_wake(spki_ring_lot *lot, uint32_t *word, bool shared)
{
    (void)word;
    (void)shared;
    AcquireSRWLockExclusive(&lot->lock);
    ReleaseSRWLockExclusive(&lot->lock);
    WakeAllConditionVariable(&lot->changed);
}
#elif !defined(SPIKELIB_NO_THREADS)
typedef struct spki_ring_lot {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} spki_ring_lot;

SPKI_FN void spki_ring_lot_init(spki_ring_lot *lot)
{
    pthread_mutex_init(&lot->lock, NULL);
    pthread_cond_init(&lot->changed, NULL);
}

SPKI_FN void spki_ring_lot_free(spki_ring_lot *lot)
{
    pthread_cond_destroy(&lot->changed);
    pthread_mutex_destroy(&lot->lock);
}

/* Between processes, where the lock is not the same one, it polls. */
SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
    struct timespec until;
    if (shared) {
        until.tv_sec = 0;
        until.tv_nsec = seconds < 1e-4 ? (long)(seconds * 1e9) : 100000;
        nanosleep(&until, NULL);
        return;
    }
    timespec_get(&until, TIME_UTC);
    until.tv_nsec += (long)(seconds * 1e9); /* SPKI_RING_NAP at most */
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&lot->lock);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == old)
        pthread_cond_timedwait(&lot->changed, &lot->lock, &until);
    pthread_mutex_unlock(&lot->lock);
}

/* Taking the lock lets a sleeper that has just compared get to sleep before it is woken. */
SPKI_FN void spki_ring_wake(spki_ring_lot *lot, uint32_t *word, bool shared)
{
    (void)word;
    if (shared) return;
    pthread_mutex_lock(&lot->lock);
    pthread_mutex_unlock(&lot->lock);
    pthread_cond_broadcast(&lot->changed);
}
#else
/* Without threads only another process can be waited for. */
typedef struct spki_ring_lot {
    uint32_t unused;
} spki_ring_lot;

SPKI_FN void spki_ring_lot_init(spki_ring_lot *lot) { lot->unused = 0; }
SPKI_FN void spki_ring_lot_free(spki_ring_lot *lot) { (void)lot; }

SPKI_FN void spki_ring_sleep(spki_ring_lot *lot, uint32_t *word, uint32_t old, double seconds,
                             bool shared)
{
    struct timespec nap;
    nap.tv_sec = 0;
    nap.tv_nsec = seconds < 1e-4 ? (long)(seconds * 1e9) : 100000;
    (void)lot;
    (void)word;
    (void)old;
    (void)shared;
    nanosleep(&nap, NULL);
}

SPKI_FN void spki_ring_wake(spki_ring_lot *lot, uint32_t *word, bool shared)
{
    (void)lot;
    (void)word;
    (void)shared;
}
#endif
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>ring-core: what a handle holds, counting, telling sleepers ---- */

#include <stdarg.h>

#define SPKI_RING_MAGIC UINT64_C(0x31676e6972757073) /* "spuring1" */
#define SPKI_RING_LAYOUT 1u
#define SPKI_RING_CAPACITY ((size_t)1 << 30)
#define SPKI_RING_ITEM 65536u

typedef struct spki_ring_party spki_ring_party;

/* The part of a handle that only this process sees. */
struct spki_ring_private {
    spki_mem mem;
    void *block; /* from the allocator, with the handle in it; NULL: the caller's memory */
    size_t block_bytes;
    void *mapping; /* of a path */
    size_t mapping_bytes;
    spki_ring_party *party; /* shared MPMC */
    uint32_t stuck;         /* calls in a row that found somebody else's slot unfinished */
    bool shared, mpmc;
    spk_ring_policy policy;
    size_t capacity;
    spki_ring_lot items_lot, room_lot;
    char error[192];
};
typedef struct spki_ring_private spki_ring_private;

/* A handle with what it points to; at the start of a block. */
typedef struct spki_ring_handle {
    spk_ring ring;
    spki_ring_private own;
} spki_ring_handle;

SPKI_INLINE void spki_ring_add(uint64_t *counter, uint64_t n)
{
    (void)__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

SPKI_INLINE uint64_t spki_ring_load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

SPKI_INLINE bool spki_ring_closed(const spk_ring *ring)
{
    return __atomic_load_n(&ring->control->closed, __ATOMIC_ACQUIRE) != 0;
}

/* Sequentially consistent loads: a sleeper counts after it has said that it wants to be woken.
   The head first: it only grows, so the difference is never negative for too long a head. */
SPKI_FN size_t spki_ring_used(const spk_ring *ring)
{
    const spki_ring_control *c = ring->control;
    if (ring->own->mpmc) {
        uint64_t head = __atomic_load_n(&c->mpmc_head, __ATOMIC_SEQ_CST);
        uint64_t used = __atomic_load_n(&c->mpmc_tail, __ATOMIC_SEQ_CST) - head;
        return used > ring->own->capacity ? ring->own->capacity : (size_t)used;
    } else {
        size_t head = __atomic_load_n(&c->head, __ATOMIC_SEQ_CST);
        size_t used = __atomic_load_n(&c->tail, __ATOMIC_SEQ_CST) - head;
        return used > ring->own->capacity ? ring->own->capacity : used;
    }
}

/* Two stretches of slots from a position on. */
SPKI_FN void spki_ring_stretch(const spk_ring *ring, uint64_t position, size_t count,
                               spk_ring_span *span)
{
    const size_t at = (size_t)position & ring->mask;
    const size_t to_end = ring->mask + 1 - at;
    span->position = position;
    span->first = ring->items + at * ring->item_size;
    span->second = ring->items;
    span->first_count = count < to_end ? count : to_end;
    span->second_count = count - span->first_count;
}

SPKI_FN void spki_ring_write(const spk_ring *ring, uint64_t position, const void *items, size_t n)
{
    spk_ring_span to;
    spki_ring_stretch(ring, position, n, &to);
    memcpy(to.first, items, to.first_count * ring->item_size);
    if (to.second_count > 0)
        memcpy(to.second, (const char *)items + to.first_count * ring->item_size,
               to.second_count * ring->item_size);
}

SPKI_FN void spki_ring_read(const spk_ring *ring, uint64_t position, void *items, size_t n)
{
    spk_ring_span from;
    spki_ring_stretch(ring, position, n, &from);
    memcpy(items, from.first, from.first_count * ring->item_size);
    if (from.second_count > 0)
        memcpy((char *)items + from.first_count * ring->item_size, from.second,
               from.second_count * ring->item_size);
}

/* `wanted` holds how many items (or how much room) the least demanding sleeper waits for, 0 if
   nobody sleeps. Called after something was published and `wanted` was seen not to be 0. */
SPKI_FN void spki_ring_wake_if(spk_ring *ring, bool consumers, bool always)
{
    spki_ring_control *c = ring->control;
    spki_ring_private *own = ring->own;
    uint32_t *wanted = consumers ? &c->items_wanted : &c->room_wanted;
    const size_t used = spki_ring_used(ring);
    const size_t there = consumers ? used : own->capacity - used;
    const uint32_t least = __atomic_load_n(wanted, __ATOMIC_SEQ_CST);
    if (least == 0 || (there < least && !always)) return;
    if (__atomic_exchange_n(wanted, 0, __ATOMIC_SEQ_CST) == 0) return;
    spki_ring_add(&c->wakes, 1);
    spki_ring_wake(consumers ? &own->items_lot : &own->room_lot, wanted, own->shared);
}

SPIKELIB_API void spk_ring_signal(spk_ring *ring, bool to_consumers)
{
    if (ring && ring->control) spki_ring_wake_if(ring, to_consumers, false);
}
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>spsc: one producer, one consumer ----
   The producer owns `tail`, the consumer `head`. Each keeps a copy of the other's position and
   looks again only when the copy says full, or empty: then the cache line has to travel. */

/* Room for up to `count` items. Order: acquire on `head`, so that the consumer's reads of a slot
   come before we write it again. */
SPKI_FN size_t spki_spsc_room(spk_ring *ring, size_t tail, size_t count)
{
    spki_ring_control *c = ring->control;
    const size_t capacity = ring->own->capacity;
    size_t room = capacity - (tail - c->head_seen);
    if (room < count) {
        c->head_seen = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE);
        room = capacity - (tail - c->head_seen);
    }
    return room < count ? room : count;
}

/* Items there, up to `count`. Order: acquire on `tail`, so that what the producer wrote comes
   before we read it. */
SPKI_FN size_t spki_spsc_there(spk_ring *ring, size_t head, size_t count)
{
    spki_ring_control *c = ring->control;
    size_t there = c->tail_seen - head;
    if (there < count) {
        c->tail_seen = __atomic_load_n(&c->tail, __ATOMIC_ACQUIRE);
        there = c->tail_seen - head;
    }
    return there < count ? there : count;
}

SPKI_FN void spki_spsc_publish(spk_ring *ring, size_t tail)
{
    spki_ring_publish(ring, &ring->control->tail, tail, &ring->control->items_wanted, true);
}

SPKI_FN void spki_spsc_release(spk_ring *ring, size_t head)
{
    spki_ring_publish(ring, &ring->control->head, head, &ring->control->room_wanted, false);
}

SPKI_FN size_t spki_spsc_put(spk_ring *ring, const void *items, size_t count)
{
    const size_t tail = __atomic_load_n(&ring->control->tail, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_room(ring, tail, count);
    if (n == 0) return 0;
    spki_ring_write(ring, tail, items, n);
    spki_spsc_publish(ring, tail + n);
    return n;
}

SPKI_FN size_t spki_spsc_take(spk_ring *ring, void *items, size_t count)
{
    const size_t head = __atomic_load_n(&ring->control->head, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_there(ring, head, count);
    if (n == 0) return 0;
    spki_ring_read(ring, head, items, n);
    spki_spsc_release(ring, head + n);
    return n;
}

SPKI_FN size_t spki_spsc_discard(spk_ring *ring, size_t count)
{
    const size_t head = __atomic_load_n(&ring->control->head, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_there(ring, head, count);
    if (n > 0) spki_spsc_release(ring, head + n);
    return n;
}

/* -- spans -- */

SPKI_FN size_t spki_spsc_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    const size_t tail = __atomic_load_n(&ring->control->tail, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_room(ring, tail, count);
    spki_ring_stretch(ring, tail, n, span);
    return n;
}

SPKI_FN spk_result spki_spsc_commit(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t tail = __atomic_load_n(&ring->control->tail, __ATOMIC_RELAXED);
    if ((size_t)span->position != tail) return SPK_ERR_STATE;
    if (count > ring->own->capacity - (tail - ring->control->head_seen)) return SPK_ERR_RANGE;
    if (count > 0) spki_spsc_publish(ring, tail + count);
    return SPK_OK;
}

SPKI_FN size_t spki_spsc_peek(spk_ring *ring, size_t count, spk_ring_span *span)
{
    const size_t head = __atomic_load_n(&ring->control->head, __ATOMIC_RELAXED);
    const size_t n = spki_spsc_there(ring, head, count);
    spki_ring_stretch(ring, head, n, span);
    return n;
}

SPKI_FN spk_result spki_spsc_consume(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t head = __atomic_load_n(&ring->control->head, __ATOMIC_RELAXED);
    if ((size_t)span->position != head) return SPK_ERR_STATE;
    if (count > ring->control->tail_seen - head) return SPK_ERR_RANGE;
    if (count > 0) spki_spsc_release(ring, head + count);
    return SPK_OK;
}
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>party: who works on a shared MPMC ring, and cleaning up after those who died ----
   A thread may be killed between claiming slots and finishing them. So before it claims, it notes
   in the shared memory what it is about to claim (a store or two: the line is its own), and it
   holds a robust mutex, which the kernel hands over when the thread dies, however it dies.
   Whoever finds a slot unfinished for long looks for the dead: a slot that one of them may have
   claimed, that was claimed, that is unfinished, and that no living party has noted, is theirs. */

#include <errno.h>

#if defined(__linux__) && !defined(SPIKELIB_NO_THREADS)
#define SPKI_RING_ROBUST 1
#else
#define SPKI_RING_ROBUST 0
#endif

#define SPKI_RING_PARTIES 64u

enum { SPKI_NOTE_PUSH, SPKI_NOTE_RESERVE, SPKI_NOTE_POP, SPKI_NOTE_PEEK, SPKI_NOTES };

typedef struct spki_ring_note {
    uint64_t first;
    uint64_t count; /* 0: none */
} spki_ring_note;

#if SPKI_RING_ROBUST
typedef pthread_mutex_t spki_ring_mutex;
#else
typedef uint64_t spki_ring_mutex;
#endif

struct spki_ring_party {
    spki_ring_note note[SPKI_NOTES];
    spki_ring_mutex alive; /* locked by the thread as long as it is attached */
    uint32_t used;         /* 1: the mutex is in order, and the party attached; 2: dead */
    uint8_t pad[128 - 16 * SPKI_NOTES - sizeof(spki_ring_mutex) - sizeof(uint32_t)];
};

/* Behind the control block of a shared MPMC ring. */
typedef struct spki_ring_parties {
    spki_ring_mutex lock; /* of whoever attaches or cleans up; robust, too */
    uint8_t pad[128 - sizeof(spki_ring_mutex)];
    spki_ring_party party[SPKI_RING_PARTIES];
} spki_ring_parties;

SPKI_INLINE spki_ring_parties *spki_ring_all(const spk_ring *ring)
{
    return (spki_ring_parties *)(void *)(ring->control + 1);
}

/* Order: both stores come before the claim, which is a release; so whoever sees the slot claimed
   sees the note, or a later one, and then also that the slot was finished. */
SPKI_INLINE void spki_ring_note_down(const spk_ring *ring, int which, uint64_t first, size_t count)
{
    spki_ring_party *party = ring->own->party;
    if (!party) return;
    __atomic_store_n(&party->note[which].first, first, __ATOMIC_RELEASE);
    __atomic_store_n(&party->note[which].count, (uint64_t)count, __ATOMIC_RELEASE);
}

SPKI_INLINE void spki_ring_note_off(const spk_ring *ring, int which)
{
    spki_ring_party *party = ring->own->party;
    if (party) __atomic_store_n(&party->note[which].count, 0, __ATOMIC_RELEASE);
}

/* Shared MPMC rings know one span a direction and handle. */
SPKI_INLINE bool spki_ring_span_is_out(const spk_ring *ring, int which)
{
    return ring->own->party && ring->own->party->note[which].count > 0;
}

#if SPKI_RING_ROBUST
/* Hidden by -std=c11, as in core/base.h; PTHREAD_MUTEX_ROBUST is 1, PTHREAD_PROCESS_SHARED is 1
   in the ABI of Linux's C libraries. */
#ifdef __cplusplus
extern "C" {
#endif
extern int spki_os_set_robust(pthread_mutexattr_t *attr, int on)
    __asm__("pthread_mutexattr_setrobust");
extern int spki_os_consistent(pthread_mutex_t *mutex) __asm__("pthread_mutex_consistent");
extern int spki_os_set_shared(pthread_mutexattr_t *attr, int on)
    __asm__("pthread_mutexattr_setpshared");
#ifdef __cplusplus
}
#endif

SPKI_FN bool spki_ring_mutex_init(spki_ring_mutex *mutex)
{
    pthread_mutexattr_t attr;
    bool ok;
    if (pthread_mutexattr_init(&attr) != 0) return false;
    ok = spki_os_set_robust(&attr, 1) == 0 && spki_os_set_shared(&attr, 1) == 0 &&
         pthread_mutex_init(mutex, &attr) == 0;
    pthread_mutexattr_destroy(&attr);
    return ok;
}

/* What was protected is whole at every moment, so an owner's death needs no repair of its own. */
SPKI_FN bool spki_ring_lock(spki_ring_mutex *mutex)
{
    int e = pthread_mutex_lock(mutex);
    if (e == EOWNERDEAD) e = spki_os_consistent(mutex);
    return e == 0;
}

SPKI_FN bool spki_ring_parties_init(spk_ring *ring)
{
    spki_ring_parties *all = spki_ring_all(ring);
    uint32_t k;
    bool ok = spki_ring_mutex_init(&all->lock);
    for (k = 0; k < SPKI_RING_PARTIES; k++) ok = ok && spki_ring_mutex_init(&all->party[k].alive);
    return ok;
}

/* Marks the dead. Under the lock. */
SPKI_FN void spki_ring_find_dead(spki_ring_parties *all)
{
    uint32_t k;
    for (k = 0; k < SPKI_RING_PARTIES; k++) {
        spki_ring_party *party = &all->party[k];
        int e;
        if (__atomic_load_n(&party->used, __ATOMIC_ACQUIRE) != 1) continue;
        e = pthread_mutex_trylock(&party->alive);
        if (e == EOWNERDEAD) e = spki_os_consistent(&party->alive);
        if (e != 0) continue; /* EBUSY: it lives */
        __atomic_store_n(&party->used, 2, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&party->alive);
    }
}

SPKI_FN bool spki_ring_noted(const spki_ring_note *note, uint64_t position)
{
    const uint64_t count = __atomic_load_n(&note->count, __ATOMIC_ACQUIRE);
    const uint64_t first = __atomic_load_n(&note->first, __ATOMIC_ACQUIRE);
    return position - first < count;
}

/* Has a living party noted the position, in one of its two notes for this direction? */
SPKI_FN bool spki_ring_lives(const spki_ring_parties *all, int which, uint64_t position)
{
    uint32_t k;
    for (k = 0; k < SPKI_RING_PARTIES; k++) {
        const spki_ring_party *party = &all->party[k];
        if (__atomic_load_n(&party->used, __ATOMIC_ACQUIRE) != 1) continue;
        if (spki_ring_noted(&party->note[which], position)) return true;
        if (spki_ring_noted(&party->note[which + 1], position)) return true;
    }
    return false;
}

/* Finishes a dead party's slots of one note: pushed ones become gaps, popped ones become free.
   False if a living party has noted one of them, too: then next time will show.
   States of a slot: see >>mpmc. */
SPKI_FN bool spki_ring_bury_note(spk_ring *ring, const spki_ring_note *note, int which)
{
    spki_ring_control *c = ring->control;
    const bool push = which < SPKI_NOTE_POP;
    const uint64_t end = __atomic_load_n(push ? &c->mpmc_tail : &c->mpmc_head, __ATOMIC_ACQUIRE);
    bool done = true;
    uint64_t k;
    for (k = 0; k < note->count; k++) {
        const uint64_t p = note->first + k;
        uint32_t *seq = &ring->seq[p & ring->mask];
        uint32_t is = __atomic_load_n(seq, __ATOMIC_ACQUIRE);
        const uint32_t state = is - (uint32_t)p;
        const uint32_t next = push ? (uint32_t)p + 2 : (uint32_t)(p + ring->mask + 1);
        if ((int64_t)(end - p) <= 0) continue; /* it died before claiming */
        if (push ? state != 0 : state != 1 && state != 2) continue; /* finished */
        if (spki_ring_lives(spki_ring_all(ring), push ? SPKI_NOTE_PUSH : SPKI_NOTE_POP, p)) {
            done = false;
            continue;
        }
        if (!__atomic_compare_exchange_n(seq, &is, next, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        if (push) spki_ring_add(&c->gaps, 1);
        if (!push && state == 2) spki_ring_add(&c->gaps_passed, 1);
        if (!push && state == 1) spki_ring_add(&c->lost_popped, 1);
        if (push || state == 1) spki_ring_add(&c->lost, 1);
    }
    return done;
}

/* Returns true if there was something to clean up. Thread: any; one at a time does it. */
SPKI_FN bool spki_ring_bury(spk_ring *ring)
{
    spki_ring_parties *all = spki_ring_all(ring);
    bool found = false;
    uint32_t k;
    int n;
    if (!ring->own->party || !spki_ring_lock(&all->lock)) return false;
    spki_ring_find_dead(all);
    for (k = 0; k < SPKI_RING_PARTIES; k++) {
        spki_ring_party *party = &all->party[k];
        bool done = true;
        if (party->used != 2) continue;
        found = true;
        for (n = 0; n < SPKI_NOTES; n++)
            done = spki_ring_bury_note(ring, &party->note[n], n) && done;
        if (!done) continue;
        for (n = 0; n < SPKI_NOTES; n++) party->note[n].count = 0;
        spki_ring_add(&ring->control->recovered, 1);
        __atomic_store_n(&party->used, 0, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&all->lock);
    if (found) {
        spki_ring_wake_if(ring, true, true);
        spki_ring_wake_if(ring, false, true);
    }
    return found;
}

SPKI_FN spk_result spki_ring_join(spk_ring *ring)
{
    spki_ring_parties *all = spki_ring_all(ring);
    uint32_t k, round;
    if (!spki_ring_lock(&all->lock)) return SPK_ERR_UNSUPPORTED;
    for (round = 0; round < 2 && !ring->own->party; round++) {
        for (k = 0; k < SPKI_RING_PARTIES && !ring->own->party; k++) {
            spki_ring_party *party = &all->party[k];
            if (party->used != 0 || !spki_ring_lock(&party->alive)) continue;
            memset(party->note, 0, sizeof party->note);
            __atomic_store_n(&party->used, 1, __ATOMIC_RELEASE);
            ring->own->party = party;
        }
        if (!ring->own->party && round == 0) {
            ring->own->party = &all->party[0]; /* so that it may look */
            pthread_mutex_unlock(&all->lock);
            (void)spki_ring_bury(ring);
            ring->own->party = NULL;
            if (!spki_ring_lock(&all->lock)) return SPK_ERR_UNSUPPORTED;
        }
    }
    pthread_mutex_unlock(&all->lock);
    return ring->own->party ? SPK_OK : SPK_ERR_FULL;
}

/* An open span stays claimed, so it is left for the others to clean up. */
SPKI_FN void spki_ring_leave(spk_ring *ring)
{
    spki_ring_party *party = ring->own->party;
    bool open = false;
    int n;
    if (!party) return;
    for (n = 0; n < SPKI_NOTES; n++) open = open || party->note[n].count > 0;
    __atomic_store_n(&party->used, open ? 2 : 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&party->alive);
    ring->own->party = NULL;
}
#else
SPKI_FN bool spki_ring_parties_init(spk_ring *ring)
{
    (void)ring;
    return false;
}

SPKI_FN bool spki_ring_bury(spk_ring *ring)
{
    (void)ring;
    return false;
}

SPKI_FN spk_result spki_ring_join(spk_ring *ring)
{
    (void)ring;
    return SPK_ERR_UNSUPPORTED;
}

SPKI_FN void spki_ring_leave(spk_ring *ring) { (void)ring; }
#endif
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>mpmc: many producers, many consumers ----
   Each slot has a word of its own that says which position it is ready for. For position p, modulo
   2^32:
       p          free: a producer may claim and fill it
       p + 1      filled: a consumer may claim and empty it
       p + 2      a gap: claimed, but given up; consumers step over it
       p + slots  free for the next round
   A position is claimed by moving the shared tail (head) over it, one compare-and-swap for a whole
   batch. The words lie apart from the items, sixteen to a cache line, so that spans of items are
   contiguous. Tail and head have 64 bits: they never come back to a value that a sleeping thread
   still remembers. Source: the scheme with a word for each slot is D. Vyukov's bounded queue
   (2010). */

SPKI_INLINE uint32_t spki_mpmc_state(const spk_ring *ring, uint64_t position)
{
    return __atomic_load_n(&ring->seq[position & ring->mask], __ATOMIC_ACQUIRE) -
           (uint32_t)position;
}

/* The slots from a position on, up to `count`, whose state is `state`.
   Order: acquire on each word, so that what the side before us did to the slot comes first. */
SPKI_FN size_t spki_mpmc_run(const spk_ring *ring, uint64_t position, size_t count, uint32_t state)
{
    size_t n = 0;
    while (n < count && spki_mpmc_state(ring, position + n) == state) n++;
    return n;
}

/* Order: release, so that our reads or writes of the slots come first. */
SPKI_FN void spki_mpmc_mark(const spk_ring *ring, uint64_t position, size_t count, uint32_t add)
{
    size_t k;
    for (k = 0; k < count; k++)
        __atomic_store_n(&ring->seq[(position + k) & ring->mask], (uint32_t)(position + k) + add,
                         __ATOMIC_RELEASE);
}

/* After marking: tells sleepers. Order: with membarrier as in spki_ring_publish. Without it both
   sides change `wanted`: if the sleeper is first, we see its wish; if we are, its own change takes
   over what we did before (acquire and release), so that it sees our marks and does not sleep. */
SPKI_FN void spki_mpmc_tell(spk_ring *ring, bool consumers)
{
    spki_ring_control *c = ring->control;
    uint32_t *wanted = consumers ? &c->items_wanted : &c->room_wanted;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ring->fence ? __atomic_fetch_add(wanted, 0, __ATOMIC_ACQ_REL) == 0
                    : __atomic_load_n(wanted, __ATOMIC_RELAXED) == 0)
        return;
    spk_ring_signal(ring, consumers);
}

/* Somebody else claimed the slot that we need and has not finished it. In a shared ring it may
   never do so: after some such calls we look for the dead. */
SPKI_FN bool spki_mpmc_stuck(spk_ring *ring)
{
    if (!ring->own->party || ++ring->own->stuck < 64) return false;
    ring->own->stuck = 0;
    return spki_ring_bury(ring);
}

/* Claims up to `count` free positions; returns how many, the first in *position.
   Order: acquire on head: it says that the items before it are no longer ours to count. The words
   of the slots order everything else, so the tail itself may be relaxed; it is a release for the
   note that comes before (>>party). */
SPKI_FN size_t spki_mpmc_claim_free(spk_ring *ring, size_t count, int note, uint64_t *position)
{
    spki_ring_control *c = ring->control;
    const uint64_t capacity = ring->own->capacity;
    uint64_t p = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
    for (;;) {
        uint64_t seen = __atomic_load_n(&c->mpmc_head_seen, __ATOMIC_ACQUIRE);
        size_t n;
        if (p + count - seen > capacity) {
            seen = __atomic_load_n(&c->mpmc_head, __ATOMIC_ACQUIRE);
            __atomic_store_n(&c->mpmc_head_seen, seen, __ATOMIC_RELEASE);
        }
        if ((int64_t)(p - seen) < 0 || p - seen >= capacity) {
            const uint64_t now = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
            if (now == p) return 0;
            p = now;
            continue;
        }
        n = (size_t)SPKI_MIN((uint64_t)count, capacity - (p - seen));
        n = spki_mpmc_run(ring, p, n, 0);
        if (n == 0) {
            const uint64_t now = __atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED);
            if (now == p && !spki_mpmc_stuck(ring)) return 0;
            p = now;
            continue;
        }
        spki_ring_note_down(ring, note, p, n);
        if (__atomic_compare_exchange_n(&c->mpmc_tail, &p, p + n, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
            if (ring->own->party) ring->own->stuck = 0;
            *position = p;
            return n;
        }
    }
}

/* Claims up to `count` filled positions, passing over gaps on the way. Order: as above; release
   also lets a producer that sees the head moved count on it. */
SPKI_FN size_t spki_mpmc_claim_filled(spk_ring *ring, size_t count, int note, uint64_t *position)
{
    spki_ring_control *c = ring->control;
    uint64_t p = __atomic_load_n(&c->mpmc_head, __ATOMIC_RELAXED);
    for (;;) {
        uint32_t state = 1;
        size_t n = spki_mpmc_run(ring, p, count, state);
        if (n == 0) {
            state = 2;
            n = spki_mpmc_run(ring, p, count, state);
        }
        if (n == 0) {
            const uint64_t now = __atomic_load_n(&c->mpmc_head, __ATOMIC_RELAXED);
            if (now == p) {
                if (!ring->own->party) return 0;
                if (__atomic_load_n(&c->mpmc_tail, __ATOMIC_RELAXED) == p) return 0;
                if (!spki_mpmc_stuck(ring)) return 0;
            }
            p = now;
            continue;
        }
        spki_ring_note_down(ring, note, p, n);
        if (!__atomic_compare_exchange_n(&c->mpmc_head, &p, p + n, false, __ATOMIC_RELEASE,
                                         __ATOMIC_RELAXED))
            continue;
        if (ring->own->party) ring->own->stuck = 0;
        *position = p;
        if (state == 1) return n;
        spki_ring_add(&c->gaps_passed, n);
        spki_mpmc_mark(ring, p, n, (uint32_t)ring->mask + 1);
        spki_mpmc_tell(ring, false);
        p += n;
    }
}

SPKI_FN void spki_mpmc_fill(spk_ring *ring, uint64_t position, size_t count, int note)
{
    spki_mpmc_mark(ring, position, count, 1);
    spki_ring_note_off(ring, note);
    spki_mpmc_tell(ring, true);
}

SPKI_FN void spki_mpmc_free(spk_ring *ring, uint64_t position, size_t count, int note)
{
    spki_mpmc_mark(ring, position, count, (uint32_t)ring->mask + 1);
    spki_ring_note_off(ring, note);
    spki_mpmc_tell(ring, false);
}

SPKI_FN size_t spki_mpmc_put(spk_ring *ring, const void *items, size_t count)
{
    uint64_t p = 0;
    const size_t n = spki_mpmc_claim_free(ring, count, SPKI_NOTE_PUSH, &p);
    if (n == 0) return 0;
    spki_ring_write(ring, p, items, n);
    spki_mpmc_fill(ring, p, n, SPKI_NOTE_PUSH);
    return n;
}

SPKI_FN size_t spki_mpmc_take(spk_ring *ring, void *items, size_t count)
{
    uint64_t p = 0;
    const size_t n = spki_mpmc_claim_filled(ring, count, SPKI_NOTE_POP, &p);
    if (n == 0) return 0;
    spki_ring_read(ring, p, items, n);
    spki_mpmc_free(ring, p, n, SPKI_NOTE_POP);
    return n;
}

SPKI_FN size_t spki_mpmc_discard(spk_ring *ring, size_t count)
{
    uint64_t p = 0;
    const size_t n = spki_mpmc_claim_filled(ring, count, SPKI_NOTE_POP, &p);
    if (n > 0) spki_mpmc_free(ring, p, n, SPKI_NOTE_POP);
    return n;
}

/* -- spans -- */

SPKI_FN size_t spki_mpmc_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    uint64_t p = 0;
    size_t n;
    if (spki_ring_span_is_out(ring, SPKI_NOTE_RESERVE)) return 0;
    n = spki_mpmc_claim_free(ring, count, SPKI_NOTE_RESERVE, &p);
    spki_ring_stretch(ring, p, n, span);
    return n;
}

SPKI_FN spk_result spki_mpmc_commit(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t all = span->first_count + span->second_count;
    if (all > ring->mask + 1 || spki_mpmc_run(ring, span->position, all, 0) != all)
        return SPK_ERR_STATE;
    if (count < all) spki_ring_add(&ring->control->gaps, all - count);
    spki_mpmc_mark(ring, span->position + count, all - count, 2);
    spki_mpmc_fill(ring, span->position, count, SPKI_NOTE_RESERVE);
    return SPK_OK;
}

SPKI_FN size_t spki_mpmc_peek(spk_ring *ring, size_t count, spk_ring_span *span)
{
    uint64_t p = 0;
    size_t n;
    if (spki_ring_span_is_out(ring, SPKI_NOTE_PEEK)) return 0;
    n = spki_mpmc_claim_filled(ring, count, SPKI_NOTE_PEEK, &p);
    spki_ring_stretch(ring, p, n, span);
    return n;
}

SPKI_FN spk_result spki_mpmc_consume(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    const size_t all = span->first_count + span->second_count;
    if (count != all) return SPK_ERR_RANGE;
    if (all > ring->mask + 1 || spki_mpmc_run(ring, span->position, all, 1) != all)
        return SPK_ERR_STATE;
    spki_mpmc_free(ring, span->position, all, SPKI_NOTE_PEEK);
    return SPK_OK;
}
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>wait: spinning, then sleeping, until there are items or room ---- */

/* Is it worth a try? In an MPMC ring a slot that is claimed and not finished counts for nothing. */
SPKI_FN bool spki_ring_ready(const spk_ring *ring, bool items, size_t count)
{
    const spki_ring_control *c = ring->control;
    const size_t used = spki_ring_used(ring);
    if (items ? used < count : ring->own->capacity - used < count) return false;
    if (!ring->own->mpmc) return true;
    if (items) {
        const uint64_t head = __atomic_load_n(&c->mpmc_head, __ATOMIC_ACQUIRE);
        const uint32_t state = spki_mpmc_state(ring, head);
        return state == 1 || state == 2;
    }
    return spki_mpmc_state(ring, __atomic_load_n(&c->mpmc_tail, __ATOMIC_ACQUIRE)) == 0;
}

/* Says how much we want, unless somebody already wants less: he is told first, and so are we.
   Returns the word to sleep on. Order: see spki_ring_publish and spki_mpmc_tell. */
SPKI_FN uint32_t spki_ring_want(spk_ring *ring, uint32_t *wanted, size_t count)
{
    const uint32_t n = (uint32_t)count;
    uint32_t old = __atomic_load_n(wanted, __ATOMIC_SEQ_CST), least;
    do least = old == 0 || n < old ? n : old;
    while (!__atomic_compare_exchange_n(wanted, &old, least, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST));
    if (!ring->fence) spki_ring_fence_others(ring->own->shared);
    return least;
}

SPKI_FN bool spki_ring_over(const spk_ring *ring, bool items, size_t count)
{
    return spki_ring_closed(ring) || spki_ring_ready(ring, items, count);
}

/* True if it is over before `spin_us` and the deadline have passed. The clock is read every 32
   pauses: a pause lasts 4 to 140 cycles, depending on the CPU. */
SPKI_FN bool spki_ring_spin(const spk_ring *ring, bool items, size_t count, double deadline_s)
{
    const double spin_us = ring->control->spin_us;
    double end = 0.0;
    uint32_t i;
    for (i = 0;; i++) {
        if (spki_ring_over(ring, items, count)) return true;
        if (i % 32 == 0) {
            const double now = spk_clock_seconds();
            if (i == 0) end = SPKI_MIN(now + 1e-6 * spin_us, deadline_s);
            if (!(now < end)) return false;
        }
        spki_ring_relax();
    }
}

/* Returns when it is over, or at the deadline (false). A dead party in a shared MPMC ring keeps
   slots unfinished: whoever has slept in vain looks for one. */
SPKI_FN bool spki_ring_wait(spk_ring *ring, bool items, size_t count, double deadline_s)
{
    spki_ring_control *c = ring->control;
    uint32_t *wanted = items ? &c->items_wanted : &c->room_wanted;
    if (spki_ring_spin(ring, items, count, deadline_s)) return true;
    for (;;) {
        uint32_t word;
        double nap;
        if (!(spk_clock_seconds() < deadline_s)) return false;
        word = spki_ring_want(ring, wanted, count);
        if (spki_ring_over(ring, items, count)) return true;
        nap = spki_ring_nap(deadline_s);
        spki_ring_add(&c->sleeps, 1);
        spki_ring_sleep(items ? &ring->own->items_lot : &ring->own->room_lot, wanted, word, nap,
                        ring->own->shared);
        if (spki_ring_over(ring, items, count)) return true;
        (void)spki_ring_bury(ring);
    }
}

SPIKELIB_API spk_result spk_ring_wait_items(spk_ring *ring, size_t count, double deadline_s)
{
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > ring->own->capacity || deadline_s != deadline_s) return SPK_ERR_RANGE;
    if (count == 0) return SPK_OK;
    if (!spki_ring_ready(ring, true, count) && !spki_ring_wait(ring, true, count, deadline_s))
        return SPK_ERR_TIMEOUT;
    return spki_ring_used(ring) > 0 ? SPK_OK : SPK_ERR_CLOSED;
}

SPIKELIB_API spk_result spk_ring_wait_room(spk_ring *ring, size_t count, double deadline_s)
{
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > ring->own->capacity || deadline_s != deadline_s) return SPK_ERR_RANGE;
    if (spki_ring_closed(ring)) return SPK_ERR_CLOSED;
    if (!spki_ring_ready(ring, false, count) && !spki_ring_wait(ring, false, count, deadline_s))
        return SPK_ERR_TIMEOUT;
    return spki_ring_closed(ring) ? SPK_ERR_CLOSED : SPK_OK;
}

/* Whoever sleeps has said so before it looked at `closed`, so that it either sees it closed or is
   seen here (all of this is sequentially consistent). */
SPIKELIB_API spk_result spk_ring_close(spk_ring *ring)
{
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    __atomic_store_n(&ring->control->limit, 0, __ATOMIC_RELAXED);
    __atomic_exchange_n(&ring->control->closed, 1, __ATOMIC_SEQ_CST);
    spki_ring_wake_if(ring, true, true);
    spki_ring_wake_if(ring, false, true);
    return SPK_OK;
}

/* A closed ring wakes nobody for room, so that this polls then, from 10 us up to 1 ms apart. */
SPIKELIB_API spk_result spk_ring_drain(spk_ring *ring, double deadline_s)
{
    double nap = 1e-5;
    uint32_t never = 0;
    if (!ring) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (deadline_s != deadline_s) return SPK_ERR_RANGE;
    while (spki_ring_used(ring) > 0) {
        if (!(spk_clock_seconds() < deadline_s)) return SPK_ERR_TIMEOUT;
        spki_ring_sleep(&ring->own->room_lot, &never, 0, nap, ring->own->shared);
        nap = SPKI_MIN(2.0 * nap, 1e-3);
        (void)spki_ring_bury(ring);
    }
    return SPK_OK;
}
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>policy: pushing and popping, and what happens when a ring is full ---- */

SPKI_FN size_t spki_ring_put(spk_ring *ring, const void *items, size_t count)
{
    return ring->own->mpmc ? spki_mpmc_put(ring, items, count) : spki_spsc_put(ring, items, count);
}

SPKI_FN size_t spki_ring_take(spk_ring *ring, void *items, size_t count)
{
    return ring->own->mpmc ? spki_mpmc_take(ring, items, count)
                           : spki_spsc_take(ring, items, count);
}

/* SPK_RING_SAMPLE: one in how many items is taken at this fill; 0: none. */
SPKI_FN uint32_t spki_ring_thinning(size_t used, size_t capacity)
{
    if (used >= capacity) return 0;
    if (used >= capacity - capacity / 8) return 8;
    if (used >= capacity - capacity / 4) return 4;
    return used >= capacity - capacity / 2 ? 2 : 1;
}

/* One item at a time, since the rate may change with each. */
SPKI_FN void spki_ring_sample(spk_ring *ring, const unsigned char *items, size_t count)
{
    spki_ring_control *c = ring->control;
    size_t k;
    /* Or the inline push, which knows an old head only, would come here for nothing. */
    if (!ring->own->mpmc) c->head_seen = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE);
    for (k = 0; k < count; k++) {
        const uint32_t one_in = spki_ring_thinning(spki_ring_used(ring), ring->own->capacity);
        uint64_t turn = 0;
        if (one_in > 1) turn = __atomic_fetch_add(&c->thinned, 1, __ATOMIC_RELAXED) % one_in;
        if (turn != 0) {
            spki_ring_add(&c->sampled_out, 1);
            continue;
        }
        if (one_in == 0 || spki_ring_put(ring, items + k * ring->item_size, 1) == 0)
            spki_ring_add(&c->dropped_newest, 1);
    }
}

/* Pushes all, dropping the oldest where there is no room. A slot that a consumer is still reading
   cannot be had: then the newest go. */
SPKI_FN void spki_ring_overwrite(spk_ring *ring, const unsigned char *items, size_t count)
{
    spki_ring_control *c = ring->control;
    size_t done = 0, tries = 0;
    while (done < count && tries < 16) {
        size_t n = spki_mpmc_put(ring, items + done * ring->item_size, count - done);
        done += n;
        if (done == count) return;
        if (n == 0 && spki_ring_used(ring) < ring->own->capacity) {
            tries++;
            spki_ring_relax();
            continue;
        }
        n = spki_mpmc_discard(ring, SPKI_MIN(count - done, ring->own->capacity));
        spki_ring_add(&c->dropped_oldest, n);
        tries = n == 0 ? tries + 1 : 0;
    }
    spki_ring_add(&c->dropped_newest, count - done);
}

/* How many of the items were dealt with; *why if it was not all. */
SPKI_FN size_t spki_ring_push_all(spk_ring *ring, const unsigned char *items, size_t count,
                                  double deadline_s, spk_result *why)
{
    spki_ring_control *c = ring->control;
    const spk_ring_policy policy = ring->own->policy;
    size_t done = 0;
    *why = SPK_ERR_CLOSED;
    if (spki_ring_closed(ring)) return 0;
    if (policy == SPK_RING_SAMPLE) {
        spki_ring_sample(ring, items, count);
        return count;
    }
    if (policy == SPK_RING_OVERWRITE) {
        spki_ring_overwrite(ring, items, count);
        return count;
    }
    for (;;) {
        done += spki_ring_put(ring, items + done * ring->item_size, count - done);
        if (done == count) return count;
        if (policy == SPK_RING_DROP_NEWEST) {
            spki_ring_add(&c->dropped_newest, count - done);
            return count;
        }
        *why = SPK_ERR_AGAIN;
        if (deadline_s <= SPK_AT_ONCE) break;
        *why = spk_ring_wait_room(ring, 1, deadline_s);
        if (*why != SPK_OK) break;
    }
    spki_ring_add(&c->refused, 1);
    return done;
}

/* -- one item -- */

SPIKELIB_API spk_result spk_ring_push_slowly(spk_ring *ring, const void *item, bool may_wait)
{
    double deadline_s;
    spk_result why;
    if (!ring || !item) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    deadline_s = may_wait && ring->own->policy == SPK_RING_WAIT ? SPK_FOREVER : SPK_AT_ONCE;
    if (spki_ring_push_all(ring, (const unsigned char *)item, 1, deadline_s, &why) == 1)
        return SPK_OK;
    return why;
}

SPIKELIB_API spk_result spk_ring_push_until(spk_ring *ring, const void *item, double deadline_s)
{
    spk_result why;
    if (!ring || !item) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (deadline_s != deadline_s) return SPK_ERR_RANGE;
    if (spki_ring_push_all(ring, (const unsigned char *)item, 1, deadline_s, &why) == 1)
        return SPK_OK;
    return why;
}

/* Closed comes first: whatever was pushed before closing is seen after `closed` is. */
SPIKELIB_API spk_result spk_ring_pop_slowly(spk_ring *ring, void *item)
{
    bool closed;
    if (!ring || !item) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    closed = spki_ring_closed(ring);
    if (spki_ring_take(ring, item, 1) == 1) return SPK_OK;
    return closed && spki_ring_used(ring) == 0 ? SPK_ERR_CLOSED : SPK_ERR_AGAIN;
}

SPIKELIB_API spk_result spk_ring_pop_until(spk_ring *ring, void *item, double deadline_s)
{
    for (;;) {
        spk_result result = spk_ring_pop_slowly(ring, item);
        if (result != SPK_ERR_AGAIN) return result;
        result = spk_ring_wait_items(ring, 1, deadline_s);
        if (result != SPK_OK) return result;
    }
}

/* -- batches -- */

SPIKELIB_API size_t spk_ring_push_n(spk_ring *ring, const void *items, size_t count)
{
    spk_result why;
    if (!ring || !items || ring->status != SPK_OK || count == 0) return 0;
    return spki_ring_push_all(ring, (const unsigned char *)items, count,
                              ring->own->policy == SPK_RING_WAIT ? SPK_FOREVER : SPK_AT_ONCE, &why);
}

SPIKELIB_API size_t spk_ring_pop_n(spk_ring *ring, void *items, size_t count)
{
    if (!ring || !items || ring->status != SPK_OK || count == 0) return 0;
    return spki_ring_take(ring, items, count);
}

SPIKELIB_API size_t spk_ring_discard(spk_ring *ring)
{
    size_t n, all = 0;
    if (!ring || ring->status != SPK_OK) return 0;
    do {
        n = ring->own->mpmc ? spki_mpmc_discard(ring, ring->own->capacity)
                            : spki_spsc_discard(ring, ring->own->capacity);
        spki_ring_add(&ring->control->discarded, n);
        all += n;
    } while (n > 0 && all < ring->own->capacity);
    return all;
}

/* -- without a copy -- */

SPKI_FN void spki_ring_no_span(spk_ring_span *span) { memset(span, 0, sizeof *span); }

SPKI_FN size_t spki_ring_try_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    return ring->own->mpmc ? spki_mpmc_reserve(ring, count, span)
                           : spki_spsc_reserve(ring, count, span);
}

SPIKELIB_API size_t spk_ring_reserve(spk_ring *ring, size_t count, spk_ring_span *span)
{
    size_t n;
    if (!span) return 0;
    spki_ring_no_span(span);
    if (!ring || ring->status != SPK_OK || count == 0 || spki_ring_closed(ring)) return 0;
    n = spki_ring_try_reserve(ring, count, span);
    if (n == 0 && ring->own->policy == SPK_RING_OVERWRITE) {
        const size_t oldest = spki_mpmc_discard(ring, SPKI_MIN(count, ring->own->capacity));
        spki_ring_add(&ring->control->dropped_oldest, oldest);
        n = spki_ring_try_reserve(ring, count, span);
    }
    while (n == 0 && ring->own->policy == SPK_RING_WAIT) {
        if (spk_ring_wait_room(ring, 1, SPK_FOREVER) != SPK_OK) break;
        n = spki_ring_try_reserve(ring, count, span);
    }
    if (n == 0) spki_ring_no_span(span);
    return n;
}

SPIKELIB_API spk_result spk_ring_commit(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    if (!ring || !span) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > span->first_count + span->second_count) return SPK_ERR_RANGE;
    if (span->first_count == 0) return SPK_OK;
    return ring->own->mpmc ? spki_mpmc_commit(ring, span, count)
                           : spki_spsc_commit(ring, span, count);
}

SPIKELIB_API size_t spk_ring_peek(spk_ring *ring, size_t count, spk_ring_span *span)
{
    size_t n;
    if (!span) return 0;
    spki_ring_no_span(span);
    if (!ring || ring->status != SPK_OK || count == 0) return 0;
    n = ring->own->mpmc ? spki_mpmc_peek(ring, count, span) : spki_spsc_peek(ring, count, span);
    if (n == 0) spki_ring_no_span(span);
    return n;
}

SPIKELIB_API spk_result spk_ring_consume(spk_ring *ring, const spk_ring_span *span, size_t count)
{
    if (!ring || !span) return SPK_ERR_NULL;
    if (ring->status != SPK_OK) return ring->status;
    if (count > span->first_count + span->second_count) return SPK_ERR_RANGE;
    if (span->first_count == 0) return SPK_OK;
    return ring->own->mpmc ? spki_mpmc_consume(ring, span, count)
                           : spki_spsc_consume(ring, span, count);
}
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>map: files that several processes map ---- */

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Hidden by -std=c11. */
#ifdef __cplusplus
extern "C" {
#endif
extern int spki_os_ftruncate(int fd, off_t size) __asm__("ftruncate");
#ifdef __cplusplus
}
#endif

/* A new file of `bytes` (create), or an old one with all that it has. NULL: errno says why. */
SPKI_FN void *spki_map_file(const char *path, bool create, size_t *bytes)
{
    struct stat is;
    void *mapping = NULL;
    int fd = create ? open(path, O_RDWR | O_CREAT | O_EXCL, 0600) : open(path, O_RDWR);
    bool ok = fd >= 0;
    if (ok && create) ok = spki_os_ftruncate(fd, (off_t)*bytes) == 0;
    if (ok) ok = fstat(fd, &is) == 0;
    if (ok && !create) *bytes = (size_t)is.st_size;
    if (ok) mapping = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (ok && mapping != MAP_FAILED) return mapping;
    if (fd >= 0 && create) unlink(path);
    return NULL;
}

SPKI_FN void spki_unmap(void *mapping, size_t bytes)
{
    if (mapping) munmap(mapping, bytes);
}

SPKI_FN bool spki_can_share(void) { return true; }
#else
SPKI_FN void *spki_map_file(const char *path, bool create, size_t *bytes)
{
    (void)path;
    (void)create;
    (void)bytes;
    return NULL;
}

SPKI_FN void spki_unmap(void *mapping, size_t bytes)
{
    (void)mapping;
    (void)bytes;
}

SPKI_FN bool spki_can_share(void) { return false; }
#endif
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_RINGS
/* ---- >>ring-life: making, attaching and ending rings ---- */

/* -- descriptors -- */

/* A clause that says what is wrong, and its result; NULL if nothing is. */
SPKI_FN const char *spki_ring_wrong(const spk_ring_desc *d, spk_result *result)
{
    *result = SPK_ERR_UNINITIALISED;
    if (d->begin_sentinel || d->end_sentinel)
        return "the descriptor's sentinels are not 0: start it with = {0}";
    *result = SPK_ERR_RANGE;
    if ((uint32_t)d->kind > SPK_RING_MPMC) return "kind is neither SPK_RING_SPSC nor SPK_RING_MPMC";
    if ((uint32_t)d->policy > SPK_RING_SAMPLE) return "policy is none of the five";
    if (d->item_size > SPKI_RING_ITEM) return "item_size is more than 65,536 bytes";
    if (d->capacity > SPKI_RING_CAPACITY) return "capacity is more than 2^30 items";
    if (d->spin_us != d->spin_us || d->spin_us > 1e9) return "spin_us is NaN or more than 1e9";
    if (d->memory_size > 0 && !d->memory) return "memory_size without memory";
    if (d->memory && ((uintptr_t)d->memory & 63) != 0) return "memory is not 64-byte aligned";
    if (d->path && !d->shared) return "path is for rings that are shared";
    if (d->path && d->memory) return "either path or memory, not both";
    if (d->shared && !d->path && !d->memory) return "a shared ring needs a path, or memory";
    *result = SPK_OK;
    return NULL;
}

SPIKELIB_API spk_result spk_ring_desc_defaults(spk_ring_desc *desc)
{
    spk_result result = SPK_ERR_NULL;
    if (!desc || spki_ring_wrong(desc, &result)) return result;
    if (desc->item_size == 0) desc->item_size = 16;
    if (desc->capacity == 0) desc->capacity = 65536;
    if (desc->spin_us == 0.0) desc->spin_us = 20.0;
    return SPK_OK;
}

SPKI_FN bool spki_ring_is_mpmc(const spk_ring_desc *d)
{
    return d->kind == SPK_RING_MPMC || d->policy == SPK_RING_OVERWRITE;
}

/* Where the parts lie, from the start of the control block. */
typedef struct spki_ring_plan {
    uint64_t slots, seq_offset, items_offset, bytes;
} spki_ring_plan;

/* An MPMC slot's word needs four states. A ring that overwrites has twice the slots, so that a
   consumer that is still reading does not hold up the producer until a whole capacity later. */
SPKI_FN spki_ring_plan spki_ring_lay_out(const spk_ring_desc *d)
{
    spki_ring_plan plan;
    const bool mpmc = spki_ring_is_mpmc(d);
    uint64_t slots = mpmc ? 4 : 1, end = sizeof(spki_ring_control);
    while (slots < d->capacity) slots *= 2;
    if (d->policy == SPK_RING_OVERWRITE) slots *= 2;
    if (d->shared && mpmc) end += sizeof(spki_ring_parties);
    plan.slots = slots;
    plan.seq_offset = end;
    if (mpmc) end += slots * sizeof(uint32_t);
    plan.items_offset = (end + 127) & ~UINT64_C(127);
    plan.bytes = plan.items_offset + slots * d->item_size;
    plan.bytes = (plan.bytes + 63) & ~UINT64_C(63);
    return plan;
}

/* The handle in front of a ring that is not shared, and what aligns the ring behind it. */
#define SPKI_RING_FRONT ((sizeof(spki_ring_handle) + 127) / 128 * 128 + 64)

SPIKELIB_API size_t spk_ring_bytes(const spk_ring_desc *desc)
{
    spk_ring_desc d;
    spki_ring_plan plan;
    uint64_t bytes;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    if (d.shared && !d.path && !d.memory) d.path = ""; /* to be asked before there is memory */
    if (spk_ring_desc_defaults(&d) != SPK_OK) return 0;
    plan = spki_ring_lay_out(&d);
    bytes = plan.bytes + (d.shared ? 0 : SPKI_RING_FRONT);
    return bytes > PTRDIFF_MAX ? 0 : (size_t)bytes;
}

/* -- making one -- */

/* All of a handle's calls say `result` from now on. The control block behind it is as good as
   full and empty at once, so that the inline functions ask. */
SPKI_FN spk_ring *spki_ring_fail(spki_ring_handle *h, spk_result result, const char *what,
                                 const char *why)
{
    spki_ring_leave(&h->ring);
    spki_unmap(h->own.mapping, h->own.mapping_bytes);
    h->own.mapping = NULL;
    h->ring.control = (spki_ring_control *)(void *)((char *)h + SPKI_RING_FRONT);
    memset(h->ring.control, 0, sizeof *h->ring.control);
    h->ring.status = result;
    h->own.capacity = 0;
    snprintf(h->own.error, sizeof h->own.error, "%s: %s", what, why);
    return &h->ring;
}

/* A handle with room for a control block behind it. */
SPKI_FN spki_ring_handle *spki_ring_new_handle(const spk_ring_desc *d, size_t bytes)
{
    spki_mem mem;
    spki_ring_handle *h;
    spki_mem_init(&mem, &d->allocator, 0);
    h = (spki_ring_handle *)spki_alloc_raw(&mem, 1, bytes);
    if (!h) return NULL;
    memset(h, 0, sizeof *h);
    h->own.mem = mem;
    h->own.block = h;
    h->ring.own = &h->own;
    h->own.block_bytes = bytes;
    return h;
}

SPKI_FN void spki_ring_point(spki_ring_handle *h, spki_ring_control *c)
{
    spk_ring *ring = &h->ring;
    ring->control = c;
    ring->own = &h->own;
    ring->items = (unsigned char *)c + c->items_offset;
    ring->seq = (uint32_t *)(void *)((unsigned char *)c + c->seq_offset);
    ring->mask = (size_t)c->slots - 1;
    ring->item_size = c->item_size;
    ring->fence = c->fence;
    h->own.mpmc = c->kind == SPK_RING_MPMC || c->policy == SPK_RING_OVERWRITE;
    h->own.policy = (spk_ring_policy)c->policy;
    h->own.capacity = (size_t)c->capacity;
    spki_ring_lot_init(&h->own.items_lot);
    spki_ring_lot_init(&h->own.room_lot);
}

/* All positions begin here; tests begin just before a wrap. */
SPKI_FN void spki_ring_start_at(spk_ring *ring, uint64_t position)
{
    spki_ring_control *c = ring->control;
    uint64_t k;
    c->start = position;
    if (!ring->own->mpmc) {
        c->tail = c->head = c->head_seen = c->tail_seen = (size_t)position;
        return;
    }
    c->mpmc_tail = c->mpmc_head = c->mpmc_head_seen = position;
    for (k = 0; k < c->slots; k++)
        ring->seq[(position + k) & ring->mask] = (uint32_t)(position + k);
}

/* Of a ring that is not shared, or is not yet. */
SPKI_FN void spki_ring_format(spki_ring_handle *h, spki_ring_control *c, const spk_ring_desc *d,
                              const spki_ring_plan *plan)
{
    size_t half = d->capacity - d->capacity / 2;
    memset(c, 0, sizeof *c);
    c->layout = SPKI_RING_LAYOUT;
    c->word_bytes = (uint32_t)sizeof(size_t);
    c->kind = (uint32_t)d->kind;
    c->policy = (uint32_t)d->policy;
    c->item_size = d->item_size;
    c->seq_offset = (uint32_t)plan->seq_offset;
    c->capacity = d->capacity;
    c->slots = plan->slots;
    c->bytes = plan->bytes;
    c->items_offset = plan->items_offset;
    c->spin_us = d->spin_us;
    c->fence = spki_ring_register(d->shared) ? 0 : 1;
    spki_ring_point(h, c);
    if (!h->own.mpmc) c->limit = d->policy == SPK_RING_SAMPLE ? half : d->capacity;
    spki_ring_start_at(&h->ring, 0);
}

SPKI_FN spk_ring *spki_ring_create_shared(spki_ring_handle *h, const spk_ring_desc *d,
                                          const spki_ring_plan *plan)
{
    spki_ring_control *c = (spki_ring_control *)d->memory;
    h->own.shared = true;
    if (d->path) {
        h->own.mapping_bytes = (size_t)plan->bytes;
        h->own.mapping = spki_map_file(d->path, true, &h->own.mapping_bytes);
        c = (spki_ring_control *)h->own.mapping;
        if (!c) return spki_ring_fail(h, SPK_ERR_IO, d->path, "cannot be created and mapped");
    }
    spki_ring_format(h, c, d, plan);
    if (h->own.mpmc && !spki_ring_parties_init(&h->ring))
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, "ring",
                              "this system has no robust mutexes for a shared MPMC ring");
    if (h->own.mpmc && spki_ring_join(&h->ring) != SPK_OK)
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, "ring", "a robust mutex was refused");
    c->magic = SPKI_RING_MAGIC;
    __atomic_store_n(&c->ready, 1, __ATOMIC_RELEASE);
    return &h->ring;
}

SPIKELIB_API spk_ring *spk_ring_create(const spk_ring_desc *desc)
{
    spk_ring_desc d;
    spki_ring_plan plan;
    spki_ring_handle *h;
    const char *wrong;
    spk_result result;
    size_t bytes;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    wrong = spki_ring_wrong(&d, &result);
    if (!wrong && d.shared && !spki_can_share()) {
        wrong = "shared rings are not supported on this system";
        result = SPK_ERR_UNSUPPORTED;
    }
    if (result == SPK_OK && d.memory && d.memory_size < spk_ring_bytes(&d)) {
        wrong = "memory_size is less than spk_ring_bytes";
        result = SPK_ERR_RANGE;
    }
    bytes = SPKI_RING_FRONT + sizeof(spki_ring_control);
    if (wrong || d.shared) {
        h = spki_ring_new_handle(&d, bytes);
        if (!h) return NULL;
        if (wrong) return spki_ring_fail(h, result, "ring", wrong);
        (void)spk_ring_desc_defaults(&d);
        plan = spki_ring_lay_out(&d);
        return spki_ring_create_shared(h, &d, &plan);
    }
    (void)spk_ring_desc_defaults(&d);
    plan = spki_ring_lay_out(&d);
    if (d.memory) {
        h = (spki_ring_handle *)d.memory;
        memset(h, 0, sizeof *h);
    } else {
        bytes = spk_ring_bytes(&d);
        h = bytes == 0 ? NULL : spki_ring_new_handle(&d, bytes);
        if (!h) return NULL;
    }
    /* Pairs of cache lines: see spki_ring_control. */
    spki_ring_format(h, (spki_ring_control *)(((uintptr_t)h + SPKI_RING_FRONT) & ~(uintptr_t)127),
                     &d, &plan);
    return &h->ring;
}

/* -- attaching -- */

/* A clause, or NULL; the memory may hold anything. */
SPKI_FN const char *spki_ring_alien(const spki_ring_control *c, size_t bytes,
                                    const spk_ring_desc *d)
{
    spk_ring_desc is;
    spki_ring_plan plan;
    spk_result result;
    if (bytes < sizeof *c) return "too small to hold a ring";
    if (__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) != 1 || c->magic != SPKI_RING_MAGIC)
        return "holds no ring, or one that is still being created";
    if (c->layout != SPKI_RING_LAYOUT || c->word_bytes != sizeof(size_t))
        return "holds a ring of another version of spikelib, or of another word size";
    memset(&is, 0, sizeof is);
    is.kind = (spk_ring_kind)c->kind;
    is.policy = (spk_ring_policy)c->policy;
    is.item_size = c->item_size;
    is.capacity = (size_t)c->capacity;
    is.shared = true;
    is.path = "";
    if (spki_ring_wrong(&is, &result) || is.item_size == 0 || is.capacity == 0)
        return "holds a damaged ring";
    plan = spki_ring_lay_out(&is);
    if (plan.slots != c->slots || plan.bytes != c->bytes || plan.seq_offset != c->seq_offset ||
        plan.items_offset != c->items_offset || plan.bytes > bytes)
        return "holds a damaged ring, or is shorter than the ring";
    if (d->kind != SPK_RING_SPSC && d->kind != is.kind) return "kind differs from the ring's";
    if (d->policy != SPK_RING_REFUSE && d->policy != is.policy)
        return "policy differs from the ring's";
    if (d->item_size && d->item_size != is.item_size) return "item_size differs from the ring's";
    if (d->capacity && d->capacity != is.capacity) return "capacity differs from the ring's";
    return NULL;
}

SPIKELIB_API spk_ring *spk_ring_attach(const spk_ring_desc *desc)
{
    spk_ring_desc d;
    spki_ring_handle *h;
    spki_ring_control *c;
    const char *wrong, *name;
    spk_result result;
    size_t bytes;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    h = spki_ring_new_handle(&d, SPKI_RING_FRONT + sizeof(spki_ring_control));
    if (!h) return NULL;
    wrong = spki_ring_wrong(&d, &result);
    if (wrong) return spki_ring_fail(h, result, "attach", wrong);
    if (!d.shared) return spki_ring_fail(h, SPK_ERR_RANGE, "attach", "shared is not set");
    if (!spki_can_share())
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, "attach", "not supported on this system");
    name = d.path ? d.path : "attach: memory";
    c = (spki_ring_control *)d.memory;
    bytes = d.memory_size;
    if (d.path) {
        h->own.mapping = spki_map_file(d.path, false, &h->own.mapping_bytes);
        c = (spki_ring_control *)h->own.mapping;
        bytes = h->own.mapping_bytes;
        if (!c) return spki_ring_fail(h, SPK_ERR_IO, name, "cannot be opened and mapped");
    }
    wrong = spki_ring_alien(c, bytes, &d);
    if (wrong) return spki_ring_fail(h, SPK_ERR_FORMAT, name, wrong);
    if (!spki_ring_register(true) && !c->fence)
        return spki_ring_fail(h, SPK_ERR_UNSUPPORTED, name,
                              "this process may not use membarrier, which the ring's creator uses");
    h->own.shared = true;
    spki_ring_point(h, c);
    if (h->own.mpmc) {
        result = spki_ring_join(&h->ring);
        if (result == SPK_ERR_FULL)
            return spki_ring_fail(h, result, name, "64 handles are attached already");
        if (result != SPK_OK)
            return spki_ring_fail(h, result, name, "a robust mutex was refused");
    }
    return &h->ring;
}

SPIKELIB_API void spk_ring_destroy(spk_ring *ring)
{
    spki_ring_handle *h = (spki_ring_handle *)ring;
    spki_mem mem;
    if (!h) return;
    if (ring->status == SPK_OK) {
        spki_ring_leave(ring);
        spki_ring_lot_free(&h->own.items_lot);
        spki_ring_lot_free(&h->own.room_lot);
        spki_unmap(h->own.mapping, h->own.mapping_bytes);
    }
    mem = h->own.mem;
    if (h->own.block) spki_free(&mem, h->own.block, 1, h->own.block_bytes);
}

/* -- what there is to know -- */

SPIKELIB_API spk_result spk_ring_status(const spk_ring *ring)
{
    return ring ? ring->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_ring_error(const spk_ring *ring)
{
    return ring ? ((const spki_ring_handle *)ring)->own.error : "ring: NULL";
}

SPIKELIB_API size_t spk_ring_count(const spk_ring *ring)
{
    return ring && ring->status == SPK_OK ? spki_ring_used(ring) : 0;
}

SPIKELIB_API size_t spk_ring_capacity(const spk_ring *ring)
{
    return ring && ring->status == SPK_OK ? ring->own->capacity : 0;
}

/* Gaps are in both counts once consumers have passed them, and in neither's meaning. */
SPIKELIB_API spk_result spk_ring_get_info(const spk_ring *ring, spk_ring_info *info)
{
    const spki_ring_control *c;
    uint64_t head, tail, not_popped;
    if (!ring || !info) return SPK_ERR_NULL;
    memset(info, 0, sizeof *info);
    if (ring->status != SPK_OK) return ring->status;
    c = ring->control;
    if (ring->own->mpmc) {
        head = __atomic_load_n(&c->mpmc_head, __ATOMIC_ACQUIRE) - c->start;
        tail = __atomic_load_n(&c->mpmc_tail, __ATOMIC_ACQUIRE) - c->start;
    } else {
        head = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE) - (size_t)c->start;
        tail = __atomic_load_n(&c->tail, __ATOMIC_ACQUIRE) - (size_t)c->start;
    }
    info->dropped_oldest = spki_ring_load(&c->dropped_oldest);
    info->dropped_newest = spki_ring_load(&c->dropped_newest);
    info->sampled_out = spki_ring_load(&c->sampled_out);
    info->discarded = spki_ring_load(&c->discarded);
    info->lost = spki_ring_load(&c->lost);
    info->refused = spki_ring_load(&c->refused);
    info->sleeps = spki_ring_load(&c->sleeps);
    info->wakes = spki_ring_load(&c->wakes);
    info->recovered = spki_ring_load(&c->recovered);
    not_popped = spki_ring_load(&c->gaps_passed) + info->dropped_oldest + info->discarded +
                 spki_ring_load(&c->lost_popped);
    info->pushed = tail - spki_ring_load(&c->gaps);
    info->popped = head > not_popped ? head - not_popped : 0;
    info->count = spki_ring_used(ring);
    info->capacity = ring->own->capacity;
    info->slots = (size_t)c->slots;
    info->item_size = ring->item_size;
    info->bytes = (size_t)c->bytes;
    info->kind = (spk_ring_kind)c->kind;
    info->policy = (spk_ring_policy)c->policy;
    info->closed = spki_ring_closed(ring);
    info->shared = ring->own->shared;
    return SPK_OK;
}
#endif /* SPIKELIB_NO_RINGS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>filters: what all event filters share, chains and custom ones ---- */

#include <stdarg.h>

/* What makes a kind of filter. `apply` counts what it cannot tell from the number that is left:
   others and outside. `reset` gets a filter of which nothing but its descriptor counts. */
typedef struct spki_filter_ops {
    size_t (*apply)(spk_filter *filter, spk_event *events, size_t count);
    void (*reset)(spk_filter *filter);
    void (*release)(spk_filter *filter);
} spki_filter_ops;

struct spk_filter {
    const spki_filter_ops *ops;
    spki_mem mem;
    size_t size; /* of this block: the kind's own fields follow this struct */
    spk_filter_stats stats;
    spk_isa isa;
    spk_result status;
    bool grew_wrong; /* the status came while growing: a reset takes it back */
    char name[32];
    char error[224];
};

__attribute__((format(printf, 3, 4))) SPKI_FN void
spki_filter_fail(spk_filter *f, spk_result status, const char *format, ...)
{
    va_list args;
    size_t used;
    if (f->status != SPK_OK) return;
    f->status = status;
    snprintf(f->error, sizeof f->error, "filter \"%s\": ", f->name);
    used = strlen(f->error);
    va_start(args, format);
    vsnprintf(f->error + used, sizeof f->error - used, format, args);
    va_end(args);
}

/* A filter of `size` bytes with what every descriptor holds. `wanted`: NULL where a kind has only
   one kernel. NULL without memory. */
SPKI_FN spk_filter *spki_filter_new(const char *name, size_t size, const spki_filter_ops *ops,
                                    const spk_allocator *allocator, size_t limit, bool garbage,
                                    spk_isa wanted)
{
    spki_mem mem;
    spk_filter *f;
    const char *why = "";
    spk_isa isa = SPK_ISA_AUTO;
    spk_result result;
    spki_mem_init(&mem, garbage ? NULL : allocator, garbage ? 0 : limit);
    f = (spk_filter *)spki_alloc(&mem, 1, size);
    if (!f) return NULL;
    f->ops = ops;
    f->mem = mem;
    f->size = size;
    snprintf(f->name, sizeof f->name, "%s", name);
    if (garbage) {
        spki_filter_fail(f, SPK_ERR_UNINITIALISED,
                         "the descriptor's sentinels are not 0: start it with = {0}");
        return f;
    }
    result = spki_isa_resolve(wanted, &isa, &why);
    if (result == SPK_ERR_NAME)
        spki_filter_fail(f, result, "isa \"%s\": %s", getenv("SPIKELIB_ISA"), why);
    else if (result != SPK_OK)
        spki_filter_fail(f, result, "isa \"%s\": %s", spk_isa_name(isa), why);
    f->isa = isa;
    return f;
}

SPIKELIB_API size_t spk_filter_apply(spk_filter *filter, spk_event *events, size_t count)
{
    size_t kept;
    uint64_t others;
    if (!filter || filter->status != SPK_OK || !events || count == 0) return 0;
    others = filter->stats.others;
    kept = filter->ops->apply(filter, events, count);
    others = filter->stats.others - others;
    filter->stats.events += count - others;
    filter->stats.passed += kept - others;
    filter->stats.dropped += count - kept;
    return kept;
}

SPIKELIB_API void spk_filter_reset(spk_filter *filter)
{
    if (!filter) return;
    if (filter->grew_wrong) {
        filter->status = SPK_OK;
        filter->error[0] = 0;
        filter->grew_wrong = false;
    }
    memset(&filter->stats, 0, sizeof filter->stats);
    if (filter->status == SPK_OK && filter->ops->reset) filter->ops->reset(filter);
}

SPIKELIB_API spk_result spk_filter_get_stats(const spk_filter *filter, spk_filter_stats *stats)
{
    if (!filter || !stats) return SPK_ERR_NULL;
    *stats = filter->stats;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_filter_status(const spk_filter *filter)
{
    return filter ? filter->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_filter_error(const spk_filter *filter)
{
    return filter ? filter->error : "the filter is NULL (there was no memory to create it)";
}

SPIKELIB_API const char *spk_filter_name(const spk_filter *filter)
{
    return filter ? filter->name : "";
}

SPIKELIB_API void spk_filter_destroy(spk_filter *filter)
{
    spki_mem mem;
    if (!filter) return;
    if (filter->ops->release) filter->ops->release(filter);
    mem = filter->mem;
    spki_free(&mem, filter, 1, filter->size);
}

/* -- chains -- */

typedef struct spki_chain {
    spk_filter f;
    spk_filter **filters;
    size_t count;
} spki_chain;

/* 512 events are 8 kB: they stay in the first-level cache beside the filters' own data. */
#define SPKI_CHAIN_PIECE ((size_t)512)

/* The first filter's count of others is the chain's: all let them pass. */
SPKI_FN size_t spki_chain_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_chain *chain = (spki_chain *)f;
    size_t done, out = 0, k;
    uint64_t others = chain->count ? chain->filters[0]->stats.others : 0;
    for (done = 0; done < count && f->status == SPK_OK; done += SPKI_CHAIN_PIECE) {
        size_t n = SPKI_MIN(SPKI_CHAIN_PIECE, count - done);
        spk_event *piece = events + done;
        for (k = 0; k < chain->count && n > 0; k++) {
            n = spk_filter_apply(chain->filters[k], piece, n);
            if (chain->filters[k]->status == SPK_OK) continue;
            spki_filter_fail(f, chain->filters[k]->status, "%s", chain->filters[k]->error);
            f->grew_wrong = true;
        }
        if (events + out != piece) memmove(events + out, piece, n * sizeof *piece);
        out += n;
    }
    if (chain->count) {
        f->stats.others += chain->filters[0]->stats.others - others;
        return out;
    }
    for (k = 0; k < count; k++) f->stats.others += events[k].kind != SPK_EVENT_CD;
    return count;
}

SPKI_FN void spki_chain_reset(spk_filter *f)
{
    spki_chain *chain = (spki_chain *)f;
    size_t k;
    for (k = 0; k < chain->count; k++) spk_filter_reset(chain->filters[k]);
}

SPKI_FN void spki_chain_release(spk_filter *f)
{
    spki_chain *chain = (spki_chain *)f;
    size_t k;
    for (k = 0; k < chain->count; k++) spk_filter_destroy(chain->filters[k]);
    spki_free(&f->mem, chain->filters, chain->count, sizeof *chain->filters);
}

SPIKELIB_API spk_filter *spk_filter_chain(spk_filter *const *filters, size_t count)
{
    static const spki_filter_ops ops = {spki_chain_apply, spki_chain_reset, spki_chain_release};
    const spk_allocator *allocator = NULL;
    spki_chain *chain;
    size_t k;
    if (!filters) count = 0;
    for (k = 0; k < count && !allocator; k++)
        if (filters[k]) allocator = &filters[k]->mem.a;
    chain = (spki_chain *)spki_filter_new("chain", sizeof *chain, &ops, allocator, 0, false,
                                          SPK_ISA_SCALAR);
    if (!chain) return NULL;
    chain->filters = (spk_filter **)spki_alloc(&chain->f.mem, count, sizeof *chain->filters);
    if (!chain->filters) {
        spk_filter_destroy(&chain->f);
        return NULL;
    }
    chain->count = count;
    for (k = 0; k < count; k++) {
        chain->filters[k] = filters[k];
        if (!filters[k]) spki_filter_fail(&chain->f, SPK_ERR_NULL, "filter %zu is NULL", k);
        else if (filters[k]->status != SPK_OK)
            spki_filter_fail(&chain->f, filters[k]->status, "%s", filters[k]->error);
    }
    return &chain->f;
}

SPIKELIB_API spk_filter *spk_filter_chain_at(const spk_filter *chain, size_t index)
{
    const spki_chain *c = (const spki_chain *)chain;
    if (!chain || chain->ops->apply != spki_chain_apply || index >= c->count) return NULL;
    return c->filters[index];
}

/* -- custom -- */

typedef struct spki_custom {
    spk_filter f;
    spk_custom_desc desc;
} spki_custom;

SPKI_FN size_t spki_custom_apply(spk_filter *f, spk_event *events, size_t count)
{
    const spk_custom_desc *d = &((spki_custom *)f)->desc;
    size_t k, others = 0, kept;
    for (k = 0; k < count; k++) others += events[k].kind != SPK_EVENT_CD;
    kept = d->apply(d->ctx, events, count);
    f->stats.others += others;
    if (kept >= others && kept <= count) return kept;
    spki_filter_fail(f, SPK_ERR_RANGE, "apply returned %zu of %zu events, %zu of them not CD", kept,
                     count, others);
    return others; /* what it left is not known */
}

SPKI_FN void spki_custom_reset(spk_filter *f)
{
    const spk_custom_desc *d = &((spki_custom *)f)->desc;
    if (d->reset) d->reset(d->ctx);
}

SPKI_FN void spki_custom_release(spk_filter *f)
{
    const spk_custom_desc *d = &((spki_custom *)f)->desc;
    if (d->destroy) d->destroy(d->ctx);
}

SPIKELIB_API spk_filter *spk_filter_custom(const spk_custom_desc *desc)
{
    static const spki_filter_ops ops = {spki_custom_apply, spki_custom_reset, spki_custom_release};
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    spki_custom *c = (spki_custom *)spki_filter_new(
        "custom", sizeof *c, &ops, desc ? &desc->allocator : NULL, 0, garbage, SPK_ISA_SCALAR);
    if (!c || c->f.status != SPK_OK) return (spk_filter *)c;
    if (desc) c->desc = *desc;
    if (c->desc.name) snprintf(c->f.name, sizeof c->f.name, "%s", c->desc.name);
    c->desc.name = NULL;
    if (!c->desc.apply) spki_filter_fail(&c->f, SPK_ERR_NULL, "apply is NULL");
    return &c->f;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>filter-point: filters that look at one event by itself ---- */

#if SPKI_HAVE_SSE2
#include <immintrin.h>
#endif

/* Region, polarity, time window and the eight orientations are one operation on an event seen as
   eight 16-bit words (four of time, x, y, polarity with kind, source): a word fails if
   word - lo > span, all modulo 2^16; an event is kept if none fails, or, with `outside`, if one
   does. Then x and y change places if `swap`, and each word becomes ((word & keep) ^ flip) + add.
   The time has bounds of its own. Vectors hold one, two or four events. */
typedef struct spki_point {
    uint16_t lo[8], span[8], keep[8], flip[8], add[8];
    uint64_t t_lo, t_span;
    bool swap, outside, timed;
} spki_point;

typedef size_t (*spki_point_fn)(const spki_point *p, spk_event *events, size_t count,
                                uint64_t *others);

#define SPKI_WORD_X 4
#define SPKI_WORD_Y 5
#define SPKI_WORD_P 6 /* the kind, 0, is its upper byte (lower on a big-endian machine) */

SPKI_FN void spki_point_init(spki_point *p)
{
    int k;
    memset(p, 0, sizeof *p);
    for (k = 0; k < 8; k++) {
        p->span[k] = 0xffff;
        p->keep[k] = 0xffff;
    }
    p->t_span = UINT64_MAX;
}

SPKI_INLINE unsigned spki_point_fails(const spki_point *p, int word, unsigned value)
{
    return (uint16_t)(value - p->lo[word]) > p->span[word];
}

SPKI_INLINE uint16_t spki_point_map(const spki_point *p, int word, unsigned value)
{
    return (uint16_t)(((value & p->keep[word]) ^ p->flip[word]) + p->add[word]);
}

SPKI_FN size_t spki_point_scalar(const spki_point *p, spk_event *events, size_t count,
                                 uint64_t *others)
{
    size_t i, out = 0;
    for (i = 0; i < count; i++) {
        spk_event e = events[i];
        const bool cd = e.kind == SPK_EVENT_CD;
        const unsigned x = p->swap ? e.y : e.x, y = p->swap ? e.x : e.y;
        const unsigned fails = spki_point_fails(p, SPKI_WORD_X, e.x) |
                               spki_point_fails(p, SPKI_WORD_Y, e.y) |
                               spki_point_fails(p, SPKI_WORD_P, e.polarity) |
                               (unsigned)((uint64_t)e.t_us - p->t_lo > p->t_span);
        const bool kept = !cd || fails == (p->outside ? 1u : 0u);
        *others += !cd;
        if (cd) {
            e.x = spki_point_map(p, SPKI_WORD_X, x);
            e.y = spki_point_map(p, SPKI_WORD_Y, y);
            e.polarity = (uint8_t)spki_point_map(p, SPKI_WORD_P, e.polarity);
        }
        events[out] = e;
        out += kept;
    }
    return out;
}

#if SPKI_HAVE_SSE2
/* What the vector kernels share: x and y change places by a shuffle of the upper four words. */
#define SPKI_SWAP_XY _MM_SHUFFLE(3, 2, 0, 1)
#define SPKI_KIND_MASK _mm_set_epi32(0x0000ff00, 0, 0, 0)

SPKI_FN size_t spki_point_sse2(const spki_point *p, spk_event *events, size_t count,
                               uint64_t *others)
{
    const __m128i zero = _mm_setzero_si128(), lo = _mm_loadu_si128((const __m128i *)p->lo);
    const __m128i span = _mm_loadu_si128((const __m128i *)p->span);
    const __m128i keep = _mm_loadu_si128((const __m128i *)p->keep);
    const __m128i flip = _mm_loadu_si128((const __m128i *)p->flip);
    const __m128i add = _mm_loadu_si128((const __m128i *)p->add);
    const unsigned outside = p->outside;
    size_t i, out = 0, cds = 0;
    for (i = 0; i < count; i++) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(events + i));
        const __m128i over = _mm_subs_epu16(_mm_sub_epi16(v, lo), span);
        const __m128i swapped = _mm_shufflehi_epi16(v, SPKI_SWAP_XY);
        const __m128i s = p->swap ? swapped : v;
        const __m128i m = _mm_add_epi16(_mm_xor_si128(_mm_and_si128(s, keep), flip), add);
        const bool cd = events[i].kind == SPK_EVENT_CD;
        const unsigned fails = _mm_movemask_epi8(_mm_cmpeq_epi16(over, zero)) != 0xffff;
        _mm_storeu_si128((__m128i *)(events + out), cd ? m : v);
        out += (size_t)(!cd | (fails == outside));
        cds += cd;
    }
    *others += count - cds;
    return out;
}
#endif

#if SPKI_HAVE_AVX2
#define SPKI_ROW256(words)                                                                        \
    _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(words)))

/* Two events. Bits of the masks: 2, one a quarter word; an event is told by its upper one. */
__attribute__((target("avx2"))) SPKI_FN size_t spki_point_avx2(const spki_point *p,
                                                               spk_event *events, size_t count,
                                                               uint64_t *others)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i lo = SPKI_ROW256(p->lo);
    const __m256i span = SPKI_ROW256(p->span);
    const __m256i keep = SPKI_ROW256(p->keep);
    const __m256i flip = SPKI_ROW256(p->flip);
    const __m256i add = SPKI_ROW256(p->add);
    const __m256i kind = _mm256_broadcastsi128_si256(SPKI_KIND_MASK);
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN); /* there is no unsigned comparison */
    const __m256i t_lo = _mm256_set_epi64x(0, (int64_t)p->t_lo, 0, (int64_t)p->t_lo);
    const __m256i t_span = _mm256_xor_si256(
        sign, _mm256_set_epi64x(-1, (int64_t)p->t_span, -1, (int64_t)p->t_span));
    const int outside = p->outside ? 10 : 0;
    size_t i, out = 0, rest = 0;
    for (i = 0; i + 2 <= count; i += 2) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(events + i));
        const __m256i over = _mm256_subs_epu16(_mm256_sub_epi16(v, lo), span);
        const __m256i late =
            _mm256_cmpgt_epi64(_mm256_xor_si256(_mm256_sub_epi64(v, t_lo), sign), t_span);
        const __m256i s = p->swap ? _mm256_shufflehi_epi16(v, SPKI_SWAP_XY) : v;
        const __m256i m = _mm256_add_epi16(_mm256_xor_si256(_mm256_and_si256(s, keep), flip), add);
        const __m256i cd = _mm256_cmpeq_epi64(_mm256_and_si256(v, kind), zero);
        const int in = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(over, zero)));
        const int after = _mm256_movemask_pd(_mm256_castsi256_pd(late));
        const int is_cd = _mm256_movemask_pd(_mm256_castsi256_pd(cd));
        const int fails = ~in | after << 1;
        const int kept = ~is_cd | ~(fails ^ outside);
        /* cd is true for every lower half; the upper one is spread over its event */
        const __m256i mine = _mm256_shuffle_epi32(cd, _MM_SHUFFLE(3, 2, 3, 2));
        const __m256i r = _mm256_blendv_epi8(v, m, mine);
        _mm_storeu_si128((__m128i *)(events + out), _mm256_castsi256_si128(r));
        out += (size_t)(kept >> 1 & 1);
        _mm_storeu_si128((__m128i *)(events + out), _mm256_extracti128_si256(r, 1));
        out += (size_t)(kept >> 3 & 1);
        rest += (size_t)__builtin_popcount((unsigned)~is_cd & 10u);
    }
    *others += rest;
    if (i < count) {
        spk_event last = events[i];
        const size_t n = spki_point_scalar(p, &last, 1, others);
        if (n) events[out++] = last;
    }
    return out;
}
#endif

#if SPKI_HAVE_AVX512
/* The form without a mask warns of an uninitialised value in GCC's own header. */
#define SPKI_BROADCAST512(v) _mm512_maskz_broadcast_i32x4(0xffff, v)
#define SPKI_ROW512(words) SPKI_BROADCAST512(_mm_loadu_si128((const __m128i *)(words)))

/* Four events; the bits of the masks are as above. */
__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) SPKI_FN size_t
spki_point_avx512(const spki_point *p, spk_event *events, size_t count, uint64_t *others)
{
    const __m512i lo = SPKI_ROW512(p->lo);
    const __m512i span = SPKI_ROW512(p->span);
    const __m512i keep = SPKI_ROW512(p->keep);
    const __m512i flip = SPKI_ROW512(p->flip);
    const __m512i add = SPKI_ROW512(p->add);
    const __m512i kind = SPKI_BROADCAST512(SPKI_KIND_MASK);
    const __m512i t_lo = _mm512_maskz_set1_epi64(0x55, (int64_t)p->t_lo);
    const __m512i t_span = _mm512_mask_set1_epi64(_mm512_set1_epi64(-1), 0x55, (int64_t)p->t_span);
    const unsigned outside = p->outside ? 0xaa : 0, swap = p->swap ? 0xaa : 0;
    size_t i, out = 0, rest = 0;
    for (i = 0; i < count; i += 4) {
        const size_t n = count - i;
        const unsigned there = n >= 4 ? 0xff : (1u << 2 * n) - 1;
        const __m512i v = _mm512_maskz_loadu_epi64((__mmask8)there, events + i);
        const __m512i over = _mm512_subs_epu16(_mm512_sub_epi16(v, lo), span);
        const unsigned after = _mm512_cmpgt_epu64_mask(_mm512_sub_epi64(v, t_lo), t_span);
        const unsigned fails = _mm512_test_epi64_mask(over, over) | after << 1;
        const unsigned other = _mm512_test_epi64_mask(v, kind);
        const unsigned kept = (other | ~(fails ^ outside)) & there & 0xaa;
        const __m512i s = _mm512_mask_shufflehi_epi16(
            v, swap ? 0xffffffffu : 0u, v, SPKI_SWAP_XY);
        const __m512i m = _mm512_add_epi16(_mm512_xor_si512(_mm512_and_si512(s, keep), flip), add);
        const __m512i r = _mm512_mask_mov_epi64(m, (__mmask8)(other | other >> 1), v);
        const __m512i packed = _mm512_maskz_compress_epi64((__mmask8)(kept | kept >> 1), r);
        const unsigned left = (unsigned)__builtin_popcount(kept);
        /* Never past what has been loaded: out <= i. */
        _mm512_mask_storeu_epi64(events + out, (__mmask8)there, packed);
        out += left;
        rest += (size_t)__builtin_popcount(other & there & 0xaa);
    }
    *others += rest;
    return out;
}
#endif

SPKI_FN spki_point_fn spki_point_kernel(const spki_point *p, spk_isa isa)
{
#if SPKI_HAVE_AVX512
    if (isa == SPK_ISA_AVX512) return spki_point_avx512;
#endif
#if SPKI_HAVE_AVX2
    if (isa == SPK_ISA_AVX2) return spki_point_avx2;
#endif
#if SPKI_HAVE_SSE2
    if (isa == SPK_ISA_SSE2 && !p->timed) return spki_point_sse2;
#endif
    (void)isa;
    (void)p;
    return spki_point_scalar;
}

/* -- the filters -- */

typedef struct spki_point_filter {
    spk_filter f;
    spki_point point;
    spki_point_fn run;
    bool counts_outside;        /* what is dropped was outside of the sensor */
    bool relative, begun;       /* bounds count from the first event; it has come */
    int64_t begin_us, end_us;   /* bounds as described */
} spki_point_filter;

/* Bounds of the time, from `zero` on; saturated, since they may be anywhere. */
SPKI_FN void spki_point_bounds(spki_point_filter *pf, int64_t zero)
{
    spki_point *p = &pf->point;
    int64_t begin = pf->begin_us, end = pf->end_us;
    if (pf->relative && __builtin_add_overflow(begin, zero, &begin))
        begin = zero > 0 ? INT64_MAX : INT64_MIN;
    if (pf->relative && pf->end_us != 0 && __builtin_add_overflow(end, zero, &end))
        end = zero > 0 ? INT64_MAX : INT64_MIN;
    if (pf->begin_us == 0 && !pf->relative) begin = INT64_MIN;
    pf->begun = true;
    p->t_lo = (uint64_t)begin;
    p->t_span = (uint64_t)INT64_MAX - (uint64_t)begin;
    if (pf->end_us == 0) return;
    if (end > begin) {
        p->t_span = (uint64_t)end - 1u - (uint64_t)begin;
        return;
    }
    p->t_lo = (uint64_t)INT64_MAX; /* saturated: the window lies beyond all times */
    p->t_span = 0;
}

SPKI_FN size_t spki_point_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_point_filter *pf = (spki_point_filter *)f;
    size_t kept, k;
    for (k = 0; k < count && !pf->begun; k++)
        if (events[k].kind == SPK_EVENT_CD) spki_point_bounds(pf, events[k].t_us);
    kept = pf->run(&pf->point, events, count, &f->stats.others);
    if (pf->counts_outside) f->stats.outside += count - kept;
    return kept;
}

SPKI_FN void spki_point_reset(spk_filter *f)
{
    spki_point_filter *pf = (spki_point_filter *)f;
    pf->begun = !pf->relative;
}

SPKI_FN spki_point_filter *spki_point_new(const char *name, bool garbage,
                                          const spk_allocator *allocator, spk_isa isa)
{
    static const spki_filter_ops ops = {spki_point_apply, spki_point_reset, NULL};
    spki_point_filter *pf = (spki_point_filter *)spki_filter_new(name, sizeof *pf, &ops, allocator,
                                                                 0, garbage, isa);
    if (!pf) return NULL;
    spki_point_init(&pf->point);
    pf->begun = true;
    return pf;
}

SPKI_FN spk_filter *spki_point_done(spki_point_filter *pf)
{
    pf->run = spki_point_kernel(&pf->point, pf->f.isa);
    return &pf->f;
}

SPIKELIB_API spk_filter *spk_filter_region(const spk_region_desc *desc)
{
    static const spk_region_desc none = {0, 0, 0, 0, 0, false, false, SPK_ISA_AUTO,
                                         {NULL, NULL, NULL}, 0};
    const spk_region_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("region", garbage, &d->allocator, d->isa);
    uint32_t right, below;
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    if (d->x > 65535 || d->y > 65535 || d->width > 65536 || d->height > 65536) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE,
                         "x = %u, y = %u, width = %u, height = %u: more than 65,535",
                         (unsigned)d->x, (unsigned)d->y, (unsigned)d->width, (unsigned)d->height);
        return &pf->f;
    }
    if (d->outside && d->move) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "move = true with outside = true: what is outside "
                                                "of the rectangle has no place in it");
        return &pf->f;
    }
    right = d->width ? SPKI_MIN(d->width - 1, 65535 - d->x) : 65535 - d->x;
    below = d->height ? SPKI_MIN(d->height - 1, 65535 - d->y) : 65535 - d->y;
    pf->point.lo[SPKI_WORD_X] = (uint16_t)d->x;
    pf->point.lo[SPKI_WORD_Y] = (uint16_t)d->y;
    pf->point.span[SPKI_WORD_X] = (uint16_t)right;
    pf->point.span[SPKI_WORD_Y] = (uint16_t)below;
    if (d->move) {
        pf->point.add[SPKI_WORD_X] = (uint16_t)(65536 - d->x);
        pf->point.add[SPKI_WORD_Y] = (uint16_t)(65536 - d->y);
    }
    pf->point.outside = d->outside;
    return spki_point_done(pf);
}

SPIKELIB_API spk_filter *spk_filter_orient(const spk_orient_desc *desc)
{
    static const spk_orient_desc none = {0, 0, 0, SPK_ORIENT_NONE, SPK_ISA_AUTO,
                                         {NULL, NULL, NULL}, 0};
    const spk_orient_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("orient", garbage, &d->allocator, d->isa);
    uint32_t o, wide, high;
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    o = (uint32_t)d->orientation;
    if (d->width == 0 || d->height == 0 || d->width > 65536 || d->height > 65536) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)d->width, (unsigned)d->height);
        return &pf->f;
    }
    if (o > 7) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "orientation = %u: not in 0 to 7", (unsigned)o);
        return &pf->f;
    }
    pf->point.swap = (o & 4) != 0;
    wide = pf->point.swap ? d->height : d->width; /* afterwards */
    high = pf->point.swap ? d->width : d->height;
    pf->point.span[SPKI_WORD_X] = (uint16_t)(d->width - 1);
    pf->point.span[SPKI_WORD_Y] = (uint16_t)(d->height - 1);
    if (o & 1) { /* ~x + width = width - 1 - x */
        pf->point.flip[SPKI_WORD_X] = 0xffff;
        pf->point.add[SPKI_WORD_X] = (uint16_t)wide;
    }
    if (o & 2) {
        pf->point.flip[SPKI_WORD_Y] = 0xffff;
        pf->point.add[SPKI_WORD_Y] = (uint16_t)high;
    }
    pf->counts_outside = true;
    return spki_point_done(pf);
}

SPIKELIB_API spk_filter *spk_filter_polarity(const spk_polarity_desc *desc)
{
    static const spk_polarity_desc none = {0, SPK_POLARITY_BOTH, SPK_ISA_AUTO, {NULL, NULL, NULL},
                                           0};
    const spk_polarity_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("polarity", garbage, &d->allocator, d->isa);
    spki_point *p;
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    p = &pf->point;
    switch (d->mode) {
    case SPK_POLARITY_BOTH: break;
    case SPK_POLARITY_ON:
    case SPK_POLARITY_OFF:
        p->lo[SPKI_WORD_P] = d->mode == SPK_POLARITY_ON;
        p->span[SPKI_WORD_P] = d->mode == SPK_POLARITY_ON ? 254 : 0; /* any but 0 is ON */
        break;
    case SPK_POLARITY_INVERT: p->flip[SPKI_WORD_P] = 1; break;
    case SPK_POLARITY_MERGE:
        p->keep[SPKI_WORD_P] = 0;
        p->flip[SPKI_WORD_P] = 1;
        break;
    default:
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "mode = %d: not in 0 to 4", (int)d->mode);
        return &pf->f;
    }
    return spki_point_done(pf);
}

SPIKELIB_API spk_filter *spk_filter_time_window(const spk_time_window_desc *desc)
{
    static const spk_time_window_desc none = {0, 0, 0, false, false, SPK_ISA_AUTO,
                                              {NULL, NULL, NULL}, 0};
    const spk_time_window_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_point_filter *pf = spki_point_new("time_window", garbage, &d->allocator, d->isa);
    if (!pf || pf->f.status != SPK_OK) return (spk_filter *)pf;
    if (d->end_us == INT64_MIN ||
        (d->end_us != 0 && (d->begin_us != 0 || d->relative) && d->end_us <= d->begin_us)) {
        spki_filter_fail(&pf->f, SPK_ERR_RANGE, "end_us = %lld is not after begin_us = %lld",
                         (long long)d->end_us, (long long)d->begin_us);
        return &pf->f;
    }
    pf->begin_us = d->begin_us;
    pf->end_us = d->end_us;
    pf->relative = d->relative;
    pf->point.timed = true;
    pf->point.outside = d->outside;
    if (d->relative) pf->begun = false;
    else spki_point_bounds(pf, 0);
    return spki_point_done(pf);
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>filter-map: the last time of each pixel, in 32 bits ---- */

/* Planes of a time for each pixel, with a border of pixels that never fire. Half the memory of
   64-bit times, so that a sensor of 640 x 480 stays in the second-level cache: a cell is the time
   less `base`, within 2^30 of it. When a time leaves that range, the base moves to it, and cells
   that are now too far become SPKI_NEVER, which no time in range comes within 2^30 of. */
typedef struct spki_map {
    int32_t *cells;
    size_t count, stride, plane; /* cells in all, of a row, of a plane */
    uint32_t width, height, planes, border;
    bool grows, begun;
    int64_t base;
} spki_map;

#define SPKI_NEVER INT32_MIN
#define SPKI_MAP_REACH ((int64_t)1 << 30)
#define SPKI_MAP_WINDOW_MAX ((int64_t)1 << 29) /* largest distance that is ever asked for */
#define SPKI_MAP_GROWS_TO 4096u

SPKI_FN void spki_map_clear(spki_map *map)
{
    size_t k;
    for (k = 0; k < map->count; k++) map->cells[k] = SPKI_NEVER;
    map->begun = false;
}

/* Cells of a map of that size; what it held is copied. The map is as it was without memory. */
SPKI_FN bool spki_map_resize(spki_map *map, spki_mem *mem, uint32_t width, uint32_t height)
{
    spki_map next = *map;
    uint32_t p, y;
    size_t high = (size_t)height + 2 * map->border, k;
    next.width = width;
    next.height = height;
    next.stride = (size_t)width + 2 * map->border;
    if (__builtin_mul_overflow(next.stride, high, &next.plane) ||
        __builtin_mul_overflow(next.plane, (size_t)map->planes, &next.count) ||
        next.count > (size_t)PTRDIFF_MAX - 16)
        return false;
    next.count += 16; /* vectors read past a row's last cell */
    next.cells = (int32_t *)spki_alloc_raw(mem, next.count, sizeof *next.cells);
    if (!next.cells) return false;
    for (k = 0; k < next.count; k++) next.cells[k] = SPKI_NEVER;
    for (p = 0; p < map->planes; p++)
        for (y = 0; y < map->height; y++) {
            const size_t row = y + (size_t)map->border;
            memcpy(next.cells + p * next.plane + row * next.stride + map->border,
                   map->cells + p * map->plane + row * map->stride + map->border,
                   map->width * sizeof *map->cells);
        }
    if (map->cells) spki_free(mem, map->cells, map->count, sizeof *map->cells);
    *map = next;
    return true;
}

SPKI_FN void spki_map_free(spki_map *map, spki_mem *mem)
{
    if (map->cells) spki_free(mem, map->cells, map->count, sizeof *map->cells);
    map->cells = NULL;
}

/* Of a filter: a map of the size described, or one that grows from nothing. */
SPKI_FN void spki_map_init(spki_map *map, spk_filter *f, uint32_t width, uint32_t height,
                           uint32_t planes, uint32_t border)
{
    memset(map, 0, sizeof *map);
    map->planes = planes;
    map->border = border;
    map->grows = width == 0 && height == 0;
    if (f->status != SPK_OK || map->grows) return;
    if (width == 0 || height == 0 || width > 65536 || height > 65536) {
        spki_filter_fail(f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)width, (unsigned)height);
    } else if (!spki_map_resize(map, &f->mem, width, height)) {
        spki_filter_fail(f, SPK_ERR_OUT_OF_MEMORY, "no memory for %u x %u pixels", (unsigned)width,
                         (unsigned)height);
    }
}

/* The next size that holds a coordinate: at least half as much again, whole 32s. */
SPKI_FN uint32_t spki_map_grown(uint32_t old, uint32_t coordinate)
{
    uint32_t size = old;
    if (coordinate < old) return old;
    size = SPKI_MAX(coordinate + 1, old + old / 2);
    return SPKI_MIN((size + 31) & ~31u, SPKI_MAP_GROWS_TO);
}

/* A pixel beyond the map: grows it if it may. False: drop the event. */
SPKI_FN bool spki_map_reach(spki_map *map, spk_filter *f, uint32_t x, uint32_t y)
{
    uint32_t width, height;
    if (!map->grows || x >= SPKI_MAP_GROWS_TO || y >= SPKI_MAP_GROWS_TO || f->status != SPK_OK)
        return false;
    width = spki_map_grown(map->width, x);
    height = spki_map_grown(map->height, y);
    if (spki_map_resize(map, &f->mem, width, height)) return true;
    spki_filter_fail(f, SPK_ERR_OUT_OF_MEMORY, "no memory for %u x %u pixels", (unsigned)width,
                     (unsigned)height);
    f->grew_wrong = true;
    return false;
}

/* Moves the base to t, where t is not within reach of it. */
SPKI_FN void spki_map_rebase(spki_map *map, int64_t t)
{
    const uint64_t shift = (uint64_t)t - (uint64_t)map->base;
    const bool near = shift + ((uint64_t)1 << 32) <= (uint64_t)1 << 33;
    size_t k;
    map->base = t;
    if (!map->begun) {
        map->begun = true;
        return;
    }
    for (k = 0; k < map->count; k++) {
        const int64_t moved = (int64_t)map->cells[k] - (near ? (int64_t)shift : 0);
        const bool gone = !near || map->cells[k] == SPKI_NEVER || moved > SPKI_MAP_REACH ||
                          moved < -SPKI_MAP_REACH;
        map->cells[k] = gone ? SPKI_NEVER : (int32_t)moved;
    }
}

/* Is the time of an event within reach of the base? */
SPKI_INLINE unsigned spki_map_near(int64_t base, int64_t t)
{
    return (uint64_t)t - (uint64_t)base + (uint64_t)SPKI_MAP_REACH <= (uint64_t)2 * SPKI_MAP_REACH;
}

/* |a - b| < window, for cells and 1 <= window <= 2^29; `span` is 2 window - 2. */
SPKI_INLINE uint32_t spki_map_within(int32_t a, int32_t b, uint32_t window)
{
    return (uint32_t)a - (uint32_t)b + (window - 1) <= 2 * (window - 1);
}

/* Makes the map ready for an event that the grid refused; false: it is outside. */
SPKI_FN bool spki_map_ready(spki_map *map, spk_filter *f, uint32_t x, uint32_t y, int64_t t)
{
    if ((x >= map->width || y >= map->height) && !spki_map_reach(map, f, x, y)) {
        f->stats.outside++;
        return false;
    }
    if (!map->begun || !spki_map_near(map->base, t)) spki_map_rebase(map, t);
    return true;
}

/* What a loop over events needs of a map, in registers: the compiler could not keep the map's own
   fields there, since cells and events might overlap them. Made again after spki_map_ready. The
   grid of a map that has not begun refuses all. */
typedef struct spki_grid {
    int32_t *origin; /* of pixel (0, 0), plane 0 */
    size_t stride, plane;
    uint32_t width, height;
    int64_t base;
} spki_grid;

SPKI_FN spki_grid spki_map_grid(const spki_map *map)
{
    spki_grid g;
    g.origin = map->cells + map->border * map->stride + map->border;
    g.stride = map->stride;
    g.plane = map->planes > 1 ? map->plane : 0;
    g.width = map->begun ? map->width : 0;
    g.height = map->height;
    g.base = map->base;
    return g;
}

/* Is there a cell for the pixel, and the time within reach? */
SPKI_INLINE bool spki_grid_fits(const spki_grid *g, uint32_t x, uint32_t y, int64_t t)
{
    return __builtin_expect((x < g->width) & (y < g->height) & spki_map_near(g->base, t), 1);
}

/* Of the plane of a polarity, where the map has two. */
SPKI_INLINE int32_t *spki_grid_at(const spki_grid *g, uint32_t x, uint32_t y, uint32_t polarity)
{
    return g->origin + (polarity ? g->plane : 0) + y * g->stride + x;
}

SPKI_INLINE int32_t *spki_map_at(const spki_map *map, uint32_t plane, uint32_t x, uint32_t y)
{
    return map->cells + plane * map->plane + (y + (size_t)map->border) * map->stride + x +
           map->border;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>filter-pixel: refractory period, hot pixels, downsampling ---- */

/* -- refractory -- */

typedef struct spki_refractory {
    spk_filter f;
    spki_map map;
    uint32_t period;
    bool restart;
} spki_refractory;

SPKI_FN size_t spki_refractory_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_refractory *r = (spki_refractory *)f;
    spki_grid grid = spki_map_grid(&r->map);
    const uint32_t period = r->period, restart = r->restart;
    size_t i, out = 0, others = 0;
    for (i = 0; i < count; i++) {
        const uint32_t x = events[i].x, y = events[i].y, polarity = events[i].polarity;
        const int64_t t = events[i].t_us;
        int32_t *cell, now, last;
        uint32_t kept;
        if (__builtin_expect(events[i].kind != SPK_EVENT_CD, 0)) {
            events[out++] = events[i];
            others++;
            continue;
        }
        if (!spki_grid_fits(&grid, x, y, t)) {
            if (!spki_map_ready(&r->map, f, x, y, t)) continue;
            grid = spki_map_grid(&r->map);
        }
        cell = spki_grid_at(&grid, x, y, polarity);
        now = (int32_t)(t - grid.base);
        last = *cell;
        kept = !spki_map_within(now, last, period);
        *cell = last ^ ((last ^ now) & -(int32_t)(kept | restart));
        events[out] = events[i];
        out += kept;
    }
    f->stats.others += others;
    return out;
}

SPKI_FN void spki_refractory_reset(spk_filter *f) { spki_map_clear(&((spki_refractory *)f)->map); }
SPKI_FN void spki_refractory_release(spk_filter *f)
{
    spki_map_free(&((spki_refractory *)f)->map, &f->mem);
}

/* A time of a descriptor, 1 to 2^29 us; 0 is its default. */
SPKI_FN uint32_t spki_filter_time(spk_filter *f, const char *field, int64_t value, int64_t fallback)
{
    if (value == 0) return (uint32_t)fallback;
    if (value > 0 && value <= SPKI_MAP_WINDOW_MAX) return (uint32_t)value;
    spki_filter_fail(f, SPK_ERR_RANGE, "%s = %lld: not in 1 to 536,870,912", field,
                     (long long)value);
    return 1;
}

SPIKELIB_API spk_filter *spk_filter_refractory(const spk_refractory_desc *desc)
{
    static const spki_filter_ops ops = {spki_refractory_apply, spki_refractory_reset,
                                        spki_refractory_release};
    static const spk_refractory_desc none = {0, 0, 0, 0, false, false, SPK_ISA_AUTO,
                                             {NULL, NULL, NULL}, 0, 0};
    const spk_refractory_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_refractory *r = (spki_refractory *)spki_filter_new(
        "refractory", sizeof *r, &ops, &d->allocator, d->memory_limit, garbage, d->isa);
    if (!r || r->f.status != SPK_OK) return (spk_filter *)r;
    r->period = spki_filter_time(&r->f, "period_us", d->period_us, 1000);
    r->restart = d->restart;
    spki_map_init(&r->map, &r->f, d->width, d->height, d->by_polarity ? 2 : 1, 0);
    return &r->f;
}

/* -- hot pixels -- */

#define SPKI_HOT ((uint32_t)1 << 31) /* of a count: hot until a window is quiet */

/* Planes of the map: the number of the window in which the pixel sent its last event, its count in
   that window, and whether it is listed. */
typedef struct spki_hot {
    spk_filter f;
    spki_map map; /* its base counts windows */
    int64_t width_us, first_us, low_us; /* of a window; the first event; begin of the last window */
    int32_t now;                        /* number of the last window */
    uint32_t max_events;
    bool begun;
    spk_pixel *pixels;
    size_t pixel_count;
} spki_hot;

/* The window of a time that is not in that of the event before. */
SPKI_FN void spki_hot_turn(spki_hot *h, int64_t t)
{
    uint64_t since, number;
    if (!h->begun) h->first_us = t;
    h->begun = true;
    since = (uint64_t)t - (uint64_t)h->first_us;
    number = t >= h->first_us ? since / (uint64_t)h->width_us
                              : ~((~since) / (uint64_t)h->width_us); /* rounded down */
    if (!h->map.begun || !spki_map_near(h->map.base, (int64_t)number)) {
        size_t k;
        for (k = 0; k < h->map.plane; k++) h->map.cells[k] = SPKI_NEVER;
        h->map.base = (int64_t)number;
        h->map.begun = true;
    }
    h->now = (int32_t)((int64_t)number - h->map.base);
    h->low_us = (int64_t)((uint64_t)h->first_us + number * (uint64_t)h->width_us);
}

/* Counts an event of a pixel in window `now` and says whether the pixel is hot. An event that comes
   late, from the window before, counts as one of the pixel's present window. */
SPKI_INLINE bool spki_hot_count(int32_t *window, int32_t *count, int32_t now, uint32_t max)
{
    uint32_t c = (uint32_t)*count & ~SPKI_HOT;
    bool hot = ((uint32_t)*count & SPKI_HOT) != 0;
    const int64_t gap = (int64_t)now - *window; /* large for SPKI_NEVER */
    if (gap != 0 && gap != -1) {
        hot = gap == 1 && c > max;
        c = 0;
    }
    c += c < SPKI_HOT - 1;
    hot = hot | (c > max);
    *window = gap == -1 ? *window : now;
    *count = (int32_t)(c | (hot ? SPKI_HOT : 0));
    return hot;
}

SPKI_FN void spki_hot_mark(spki_hot *h)
{
    size_t k;
    for (k = 0; k < h->pixel_count; k++) {
        const spk_pixel p = h->pixels[k];
        if (p.x < h->map.width && p.y < h->map.height)
            *spki_map_at(&h->map, 2, p.x, p.y) = 1;
    }
}

SPKI_FN size_t spki_hot_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_hot *h = (spki_hot *)f;
    spki_map *map = &h->map;
    size_t i, out = 0, others = 0;
    for (i = 0; i < count; i++) {
        const spk_event e = events[i];
        int32_t *cell;
        bool hot;
        if (__builtin_expect(e.kind != SPK_EVENT_CD, 0)) {
            events[out++] = e;
            others++;
            continue;
        }
        if (__builtin_expect(e.x >= map->width || e.y >= map->height, 0)) {
            if (!spki_map_reach(map, f, e.x, e.y)) {
                f->stats.outside++;
                continue;
            }
            spki_hot_mark(h);
        }
        if (__builtin_expect((uint64_t)e.t_us - (uint64_t)h->low_us >= (uint64_t)h->width_us ||
                                 !h->begun, 0))
            spki_hot_turn(h, e.t_us);
        cell = spki_map_at(map, 0, e.x, e.y);
        hot = spki_hot_count(cell, cell + map->plane, h->now, h->max_events);
        hot |= cell[2 * map->plane] != SPKI_NEVER;
        events[out] = e;
        out += !hot;
    }
    f->stats.others += others;
    return out;
}

SPKI_FN void spki_hot_reset(spk_filter *f)
{
    spki_hot *h = (spki_hot *)f;
    spki_map_clear(&h->map);
    spki_hot_mark(h);
    h->begun = false;
}

SPKI_FN void spki_hot_release(spk_filter *f)
{
    spki_hot *h = (spki_hot *)f;
    spki_map_free(&h->map, &f->mem);
    if (h->pixels) spki_free(&f->mem, h->pixels, h->pixel_count, sizeof *h->pixels);
}

SPKI_FN void spki_hot_list(spki_hot *h, const spk_hot_pixel_desc *d)
{
    if (d->pixel_count == 0 || h->f.status != SPK_OK) return;
    if (!d->pixels) {
        spki_filter_fail(&h->f, SPK_ERR_NULL, "pixels is NULL, pixel_count = %zu", d->pixel_count);
        return;
    }
    h->pixels = (spk_pixel *)spki_alloc_raw(&h->f.mem, d->pixel_count, sizeof *h->pixels);
    if (!h->pixels) {
        spki_filter_fail(&h->f, SPK_ERR_OUT_OF_MEMORY, "no memory for %zu pixels", d->pixel_count);
        return;
    }
    memcpy(h->pixels, d->pixels, d->pixel_count * sizeof *h->pixels);
    h->pixel_count = d->pixel_count;
    spki_hot_mark(h);
}

SPIKELIB_API spk_filter *spk_filter_hot_pixel(const spk_hot_pixel_desc *desc)
{
    static const spki_filter_ops ops = {spki_hot_apply, spki_hot_reset, spki_hot_release};
    static const spk_hot_pixel_desc none = {0, 0, 0, 0, 0, NULL, 0, {NULL, NULL, NULL}, 0, 0};
    const spk_hot_pixel_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_hot *h = (spki_hot *)spki_filter_new("hot_pixel", sizeof *h, &ops, &d->allocator,
                                              d->memory_limit, garbage, SPK_ISA_SCALAR);
    if (!h || h->f.status != SPK_OK) return (spk_filter *)h;
    h->width_us = d->window_us ? d->window_us : 100000;
    h->max_events = d->max_events ? d->max_events : 100;
    if (h->width_us < 1)
        spki_filter_fail(&h->f, SPK_ERR_RANGE, "window_us = %lld: less than 1",
                         (long long)d->window_us);
    if (h->max_events > (uint32_t)1 << 30)
        spki_filter_fail(&h->f, SPK_ERR_RANGE, "max_events = %u: more than 2^30",
                         (unsigned)d->max_events);
    spki_map_init(&h->map, &h->f, d->width, d->height, 3, 0);
    spki_hot_list(h, d);
    return &h->f;
}

SPIKELIB_API size_t spk_filter_hot_pixels(const spk_filter *filter, spk_pixel *out, size_t capacity)
{
    const spki_hot *h = (const spki_hot *)filter;
    size_t found = 0;
    uint32_t x, y;
    if (!filter || filter->ops->apply != spki_hot_apply || !h->map.cells) return 0;
    for (y = 0; y < h->map.height; y++)
        for (x = 0; x < h->map.width; x++) {
            const int32_t *cell = spki_map_at(&h->map, 0, x, y);
            const bool listed = cell[2 * h->map.plane] != SPKI_NEVER;
            const int64_t gap = (int64_t)h->now - cell[0];
            const uint32_t count = (uint32_t)cell[h->map.plane];
            /* as the next event of the pixel would find it */
            const bool hot = gap == 1 ? (count & ~SPKI_HOT) > h->max_events
                                      : (gap == 0 || gap == -1) && (count & SPKI_HOT) != 0;
            if (!listed && !hot) continue;
            if (out && found < capacity) {
                out[found].x = (uint16_t)x;
                out[found].y = (uint16_t)y;
            }
            found++;
        }
    return found;
}

/* -- downsampling -- */

typedef struct spki_downsample {
    spk_filter f;
    spki_map map; /* sums of large pixels, where there is a threshold; SPKI_NEVER is 0 */
    uint64_t inverse_x, inverse_y; /* ceil(2^32 / factor): exact for 16-bit numerators */
    uint32_t width, height;        /* of the sensor; 0: any */
    int32_t threshold;
} spki_downsample;

SPKI_FN size_t spki_downsample_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_downsample *d = (spki_downsample *)f;
    const uint64_t ix = d->inverse_x, iy = d->inverse_y;
    const uint32_t width = d->width ? d->width : 65536, height = d->height ? d->height : 65536;
    size_t i, out = 0, others = 0, outside = 0;
    for (i = 0; i < count; i++) {
        spk_event e = events[i];
        const bool cd = e.kind == SPK_EVENT_CD;
        const bool in = (e.x < width) & (e.y < height);
        const uint16_t x = (uint16_t)(e.x * ix >> 32), y = (uint16_t)(e.y * iy >> 32);
        e.x = cd ? x : e.x;
        e.y = cd ? y : e.y;
        others += !cd;
        outside += cd & !in;
        events[out] = e;
        out += !cd | in;
    }
    f->stats.others += others;
    f->stats.outside += outside;
    return out;
}

/* What spki_downsample_apply left goes through the sums. */
SPKI_FN size_t spki_downsample_sum(spk_filter *f, spk_event *events, size_t count)
{
    spki_downsample *d = (spki_downsample *)f;
    spki_map *map = &d->map;
    const int32_t limit = d->threshold;
    size_t i, out = 0;
    count = spki_downsample_apply(f, events, count);
    for (i = 0; i < count; i++) {
        spk_event e = events[i];
        int32_t *cell, sum;
        bool fires;
        if (e.kind != SPK_EVENT_CD) {
            events[out++] = e;
            continue;
        }
        if ((e.x >= map->width || e.y >= map->height) && !spki_map_reach(map, f, e.x, e.y)) {
            f->stats.outside++;
            continue;
        }
        cell = spki_map_at(map, 0, e.x, e.y);
        sum = (*cell == SPKI_NEVER ? 0 : *cell) + (e.polarity ? 1 : -1);
        fires = sum >= limit || sum <= -limit;
        *cell = fires ? 0 : sum;
        e.polarity = sum > 0;
        events[out] = e;
        out += fires;
    }
    return out;
}

SPKI_FN void spki_downsample_reset(spk_filter *f) { spki_map_clear(&((spki_downsample *)f)->map); }
SPKI_FN void spki_downsample_release(spk_filter *f)
{
    spki_map_free(&((spki_downsample *)f)->map, &f->mem);
}

SPKI_FN void spki_downsample_check(spki_downsample *s, const spk_downsample_desc *d, uint32_t fx,
                                   uint32_t fy)
{
    if (fx > 65535 || fy > 65535)
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "factor_x = %u, factor_y = %u: not in 1 to 65,535",
                         (unsigned)fx, (unsigned)fy);
    if (d->threshold > 32767)
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "threshold = %u: more than 32,767",
                         (unsigned)d->threshold);
    if (d->width > 65536 || d->height > 65536 || (d->width == 0) != (d->height == 0))
        spki_filter_fail(&s->f, SPK_ERR_RANGE, "width = %u, height = %u: not in 1 to 65,536",
                         (unsigned)d->width, (unsigned)d->height);
}

SPIKELIB_API spk_filter *spk_filter_downsample(const spk_downsample_desc *desc)
{
    static const spki_filter_ops plain = {spki_downsample_apply, spki_downsample_reset,
                                          spki_downsample_release};
    static const spki_filter_ops sums = {spki_downsample_sum, spki_downsample_reset,
                                         spki_downsample_release};
    static const spk_downsample_desc none = {0, 0, 0, 0, 0, 0, SPK_ISA_AUTO, {NULL, NULL, NULL}, 0,
                                             0};
    const spk_downsample_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    const spki_filter_ops *ops = d->threshold && !garbage ? &sums : &plain;
    spki_downsample *s = (spki_downsample *)spki_filter_new(
        "downsample", sizeof *s, ops, &d->allocator, d->memory_limit, garbage, d->isa);
    uint32_t fx = d->factor_x ? d->factor_x : 2, fy = d->factor_y ? d->factor_y : fx;
    if (!s || s->f.status != SPK_OK) return (spk_filter *)s;
    spki_downsample_check(s, d, fx, fy);
    if (s->f.status != SPK_OK) return &s->f;
    s->inverse_x = (((uint64_t)1 << 32) + fx - 1) / fx;
    s->inverse_y = (((uint64_t)1 << 32) + fy - 1) / fy;
    s->width = d->width;
    s->height = d->height;
    s->threshold = (int32_t)d->threshold;
    if (d->threshold)
        spki_map_init(&s->map, &s->f, d->width ? (d->width + fx - 1) / fx : 0,
                      d->height ? (d->height + fy - 1) / fy : 0, 1, 0);
    return &s->f;
}
#endif /* SPIKELIB_NO_EVENTS */

#ifndef SPIKELIB_NO_EVENTS
/* ---- >>filter-background: events that no neighbour supports ---- */

typedef struct spki_background {
    spk_filter f;
    spki_map map; /* planes: polarities, if they matter */
    uint32_t window, refractory, min_support, max_support;
    size_t (*run)(struct spki_background *b, spk_event *events, size_t count);
} spki_background;

/* How many of the 8 cells around one are within the window of a time. */
SPKI_INLINE uint32_t spki_support_scalar(const int32_t *cell, size_t stride, int32_t now,
                                         uint32_t window)
{
    const int32_t *above = cell - stride, *below = cell + stride;
    return spki_map_within(now, above[-1], window) +
           spki_map_within(now, above[0], window) +
           spki_map_within(now, above[1], window) +
           spki_map_within(now, cell[-1], window) +
           spki_map_within(now, cell[1], window) +
           spki_map_within(now, below[-1], window) +
           spki_map_within(now, below[0], window) +
           spki_map_within(now, below[1], window);
}

#if SPKI_HAVE_AVX2
/* Unsigned comparison by flipping the sign bits; of four cells of a row the first three count. The
   pixel's own row is read cell by cell: sensors send rows, so one of its cells has often just been
   written, and a load that is wider than the store waits for that to reach the cache. */
SPKI_INLINE uint32_t spki_support_avx2(const int32_t *cell, size_t stride, int32_t now,
                                       uint32_t window)
{
    const __m128i t = _mm_set1_epi32((int32_t)((uint32_t)now + (window - 1) + 0x80000000u));
    const __m128i limit = _mm_set1_epi32((int32_t)(2 * (window - 1) + 0x80000000u));
    const __m128i a = _mm_sub_epi32(t, _mm_loadu_si128((const __m128i *)(cell - stride - 1)));
    const __m128i b = _mm_sub_epi32(t, _mm_loadu_si128((const __m128i *)(cell + stride - 1)));
    const __m128i far = _mm_packs_epi32(_mm_cmpgt_epi32(a, limit), _mm_cmpgt_epi32(b, limit));
    return (uint32_t)__builtin_popcount(~(unsigned)_mm_movemask_epi8(far) & 0x1515u) +
           spki_map_within(now, cell[-1], window) + spki_map_within(now, cell[1], window);
}
#endif

SPKI_INLINE uint32_t spki_support(bool vectors, const int32_t *cell, size_t stride, int32_t now,
                                  uint32_t window)
{
#if SPKI_HAVE_AVX2
    if (vectors) return spki_support_avx2(cell, stride, now, window);
#endif
    (void)vectors;
    return spki_support_scalar(cell, stride, now, window);
}

SPKI_INLINE size_t spki_background_loop(spki_background *b, spk_event *events, size_t count,
                                        bool vectors)
{
    spki_grid grid = spki_map_grid(&b->map);
    const uint32_t window = b->window, refractory = b->refractory;
    const uint32_t low = b->min_support, span = b->max_support - b->min_support;
    size_t i, out = 0, others = 0;
    for (i = 0; i < count; i++) {
        const uint32_t x = events[i].x, y = events[i].y, polarity = events[i].polarity;
        const int64_t t = events[i].t_us;
        int32_t *cell, now;
        uint32_t kept;
        if (__builtin_expect(events[i].kind != SPK_EVENT_CD, 0)) {
            events[out++] = events[i];
            others++;
            continue;
        }
        if (!spki_grid_fits(&grid, x, y, t)) {
            if (!spki_map_ready(&b->map, &b->f, x, y, t)) continue;
            grid = spki_map_grid(&b->map);
        }
        cell = spki_grid_at(&grid, x, y, polarity);
        now = (int32_t)(t - grid.base);
        kept = spki_support(vectors, cell, grid.stride, now, window) - low <= span;
        if (refractory) kept &= !spki_map_within(now, *cell, refractory);
        *cell = now;
        events[out] = events[i];
        out += kept;
    }
    b->f.stats.others += others;
    return out;
}

SPKI_FN size_t spki_background_scalar(spki_background *b, spk_event *events, size_t count)
{
    return spki_background_loop(b, events, count, false);
}

#if SPKI_HAVE_AVX2 /* for its count of bits; without, the vectors gain nothing */
__attribute__((target("avx2"))) SPKI_FN size_t
spki_background_avx2(spki_background *b, spk_event *events, size_t count)
{
    return spki_background_loop(b, events, count, true);
}
#endif

SPKI_FN size_t spki_background_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_background *b = (spki_background *)f;
    return b->run(b, events, count);
}

SPKI_FN void spki_background_reset(spk_filter *f) { spki_map_clear(&((spki_background *)f)->map); }
SPKI_FN void spki_background_release(spk_filter *f)
{
    spki_map_free(&((spki_background *)f)->map, &f->mem);
}

SPIKELIB_API spk_filter *spk_filter_background(const spk_background_desc *desc)
{
    static const spki_filter_ops ops = {spki_background_apply, spki_background_reset,
                                        spki_background_release};
    static const spk_background_desc none = {0, 0, 0, 0, 0, 0, false, 0, SPK_ISA_AUTO,
                                             {NULL, NULL, NULL}, 0, 0};
    const spk_background_desc *d = desc ? desc : &none;
    const bool garbage = d->begin_sentinel || d->end_sentinel;
    spki_background *b = (spki_background *)spki_filter_new(
        "background", sizeof *b, &ops, &d->allocator, d->memory_limit, garbage, d->isa);
    if (!b || b->f.status != SPK_OK) return (spk_filter *)b;
    b->window = spki_filter_time(&b->f, "window_us", d->window_us, 2000);
    b->refractory = spki_filter_time(&b->f, "refractory_us", d->refractory_us, 0);
    b->min_support = d->min_support ? d->min_support : 1;
    b->max_support = d->max_support ? d->max_support : 8;
    if (b->min_support > b->max_support || b->max_support > 8)
        spki_filter_fail(&b->f, SPK_ERR_RANGE, "min_support = %u, max_support = %u: not in 1 to 8, "
                         "or the wrong way round", (unsigned)d->min_support,
                         (unsigned)d->max_support);
    b->run = spki_background_scalar;
#if SPKI_HAVE_AVX2
    if (b->f.isa == SPK_ISA_AVX2 || b->f.isa == SPK_ISA_AVX512) b->run = spki_background_avx2;
#endif
    spki_map_init(&b->map, &b->f, d->width, d->height, d->same_polarity ? 2 : 1, 1);
    return &b->f;
}
#endif /* SPIKELIB_NO_EVENTS */

#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#undef SPKI_ADEX_DERIVED
#undef SPKI_ADEX_INPUTS
#undef SPKI_ADEX_PARAMS
#undef SPKI_ADEX_STATE
#undef SPKI_AEDAT3_RECORD_MOST
#undef SPKI_AHEAD
#undef SPKI_ALIGN
#undef SPKI_ANY_WORD
#undef SPKI_BLOCK
#undef SPKI_BROADCAST512
#undef SPKI_CARRY
#undef SPKI_CHAIN_PIECE
#undef SPKI_CHUNK
#undef SPKI_CHUNK_ITEMS
#undef SPKI_DAT_CD
#undef SPKI_DAT_EVENT2D
#undef SPKI_DAT_FLOW
#undef SPKI_DAT_JITTER
#undef SPKI_DAT_TRIGGER
#undef SPKI_ES_AMD
#undef SPKI_ES_ATIS
#undef SPKI_ES_COLOUR
#undef SPKI_ES_DVS
#undef SPKI_ES_GAP
#undef SPKI_ES_GENERIC
#undef SPKI_EVENT_CHUNK
#undef SPKI_EVENT_ROOM
#undef SPKI_EVT21_CONTINUED
#undef SPKI_EVT21_OTHERS
#undef SPKI_EVT21_TIME_HIGH
#undef SPKI_EVT21_TRIGGER
#undef SPKI_EVT21_WRAP
#undef SPKI_EVT2_CONTINUED
#undef SPKI_EVT2_FILL
#undef SPKI_EVT2_IMU
#undef SPKI_EVT2_OFF
#undef SPKI_EVT2_ON
#undef SPKI_EVT2_OTHER
#undef SPKI_EVT2_TIME_HIGH
#undef SPKI_EVT2_TRIGGER
#undef SPKI_EVT2_WRAP
#undef SPKI_EVT3_BASE_X
#undef SPKI_EVT3_CONTINUED_12
#undef SPKI_EVT3_CONTINUED_4
#undef SPKI_EVT3_FILL
#undef SPKI_EVT3_HALF
#undef SPKI_EVT3_IMU
#undef SPKI_EVT3_JITTER
#undef SPKI_EVT3_OTHERS
#undef SPKI_EVT3_TIME_HIGH
#undef SPKI_EVT3_TIME_LOW
#undef SPKI_EVT3_TRIGGER
#undef SPKI_EVT3_VECT_12
#undef SPKI_EVT3_VECT_8
#undef SPKI_EVT3_X
#undef SPKI_EVT3_Y
#undef SPKI_EVT4_CONTINUED
#undef SPKI_EVT4_OFF
#undef SPKI_EVT4_ON
#undef SPKI_EVT4_OTHER
#undef SPKI_EVT4_PADDING
#undef SPKI_EVT4_TIME_HIGH
#undef SPKI_EVT4_TRIGGER
#undef SPKI_EVT4_VECTOR_OFF
#undef SPKI_EVT4_VECTOR_ON
#undef SPKI_EVT4_WRAP
#undef SPKI_FILE_BUFFER
#undef SPKI_GREY
#undef SPKI_GRID
#undef SPKI_HAVE_XXHASH
#undef SPKI_HH_DERIVED
#undef SPKI_HH_INPUTS
#undef SPKI_HH_PARAMS
#undef SPKI_HH_STATE
#undef SPKI_HOT
#undef SPKI_HUGE_BLOCK
#undef SPKI_HUGE_PAGE
#undef SPKI_INFLATE_MOST
#undef SPKI_INK
#undef SPKI_ISA_COUNT
#undef SPKI_IZHIKEVICH_DERIVED
#undef SPKI_IZHIKEVICH_INPUTS
#undef SPKI_IZHIKEVICH_PARAMS
#undef SPKI_IZHIKEVICH_STATE
#undef SPKI_KIND_MASK
#undef SPKI_LIF_ADAPT_DERIVED
#undef SPKI_LIF_ADAPT_INPUTS
#undef SPKI_LIF_ADAPT_PARAMS
#undef SPKI_LIF_ADAPT_STATE
#undef SPKI_LIF_ALPHA_DERIVED
#undef SPKI_LIF_ALPHA_INPUTS
#undef SPKI_LIF_ALPHA_PARAMS
#undef SPKI_LIF_ALPHA_STATE
#undef SPKI_LIF_COND_DERIVED
#undef SPKI_LIF_COND_INPUTS
#undef SPKI_LIF_COND_PARAMS
#undef SPKI_LIF_COND_STATE
#undef SPKI_LIF_DELTA_DERIVED
#undef SPKI_LIF_DELTA_INPUTS
#undef SPKI_LIF_DELTA_PARAMS
#undef SPKI_LIF_DELTA_STATE
#undef SPKI_LIF_EXP2_DERIVED
#undef SPKI_LIF_EXP2_INPUTS
#undef SPKI_LIF_EXP2_PARAMS
#undef SPKI_LIF_EXP2_STATE
#undef SPKI_LIF_EXP_DERIVED
#undef SPKI_LIF_EXP_INPUTS
#undef SPKI_LIF_EXP_PARAMS
#undef SPKI_LIF_EXP_STATE
#undef SPKI_LN2_HIGH
#undef SPKI_LN2_LOW
#undef SPKI_MAP_GROWS_TO
#undef SPKI_MAP_REACH
#undef SPKI_MAP_WINDOW_MAX
#undef SPKI_MAX_BUCKET
#undef SPKI_MAX_DELAY
#undef SPKI_MAX_NEURONS
#undef SPKI_MAX_POPULATIONS
#undef SPKI_MAX_SLICE
#undef SPKI_MAX_STEPS
#undef SPKI_NEVER
#undef SPKI_NMNIST_GAP
#undef SPKI_NMNIST_OVERFLOW
#undef SPKI_NMNIST_STEP
#undef SPKI_NO_CHUNK
#undef SPKI_NO_SELF
#undef SPKI_OPS
#undef SPKI_PARROT_DERIVED
#undef SPKI_PARROT_INPUTS
#undef SPKI_PARROT_PARAMS
#undef SPKI_PARROT_STATE
#undef SPKI_PATIENCE_MAX
#undef SPKI_PATIENCE_MIN
#undef SPKI_PHILOX_MUL0
#undef SPKI_PHILOX_MUL1
#undef SPKI_PHILOX_WEYL0
#undef SPKI_PHILOX_WEYL1
#undef SPKI_POISSON_DERIVED
#undef SPKI_POISSON_INPUTS
#undef SPKI_POISSON_PARAMS
#undef SPKI_POISSON_STATE
#undef SPKI_QUANTILES
#undef SPKI_QUANTILE_TAIL
#undef SPKI_RAW_IMU
#undef SPKI_RAW_IN_COUNT
#undef SPKI_RAW_LINE
#undef SPKI_RAW_NOTHING
#undef SPKI_RAW_OUT_COUNT
#undef SPKI_READ_BUFFER
#undef SPKI_RING_CAPACITY
#undef SPKI_RING_DEFAULT
#undef SPKI_RING_FRONT
#undef SPKI_RING_FUTEX
#undef SPKI_RING_ITEM
#undef SPKI_RING_LAYOUT
#undef SPKI_RING_MAGIC
#undef SPKI_RING_MEMBARRIER
#undef SPKI_RING_NAP
#undef SPKI_RING_PARTIES
#undef SPKI_RING_ROBUST
#undef SPKI_ROW256
#undef SPKI_ROW512
#undef SPKI_SPIKE_LIST_DERIVED
#undef SPKI_SPIKE_LIST_INPUTS
#undef SPKI_SPIKE_LIST_PARAMS
#undef SPKI_SPIKE_LIST_STATE
#undef SPKI_STREAM_DRIVE
#undef SPKI_STREAM_INPUT
#undef SPKI_STREAM_PARAMETER
#undef SPKI_STREAM_PROJECTION
#undef SPKI_STREAM_STORAGE
#undef SPKI_STREAM_VALUE
#undef SPKI_SWAP_XY
#undef SPKI_TILE_SLOTS
#undef SPKI_UPDATE_BLOCK
#undef SPKI_USE_FUTEX
#undef SPKI_WORD_P
#undef SPKI_WORD_X
#undef SPKI_WORD_Y
#undef SPKI_WRITE_BUFFER
#undef SPKI_XXH_P1
#undef SPKI_XXH_P2
#undef SPKI_XXH_P3
#undef SPKI_XXH_P4
#undef SPKI_XXH_P5
#ifndef SPIKELIB_MODELS
#undef K
#undef SPKI_AVX2_D
#undef SPKI_AVX2_F
#undef SPKI_AVX2_M
#undef SPKI_AVX512_D
#undef SPKI_AVX512_F
#undef SPKI_AVX512_M
#undef SPKI_BASE_D
#undef SPKI_BASE_F
#undef SPKI_BASE_M
#undef SPKI_BUILTIN_NEURON
#undef SPKI_BY_FLOAT
#undef SPKI_BY_MASK
#undef SPKI_BY_TYPE
#undef SPKI_CAT
#undef SPKI_CAT3
#undef SPKI_CAT3_
#undef SPKI_CAT_
#undef SPKI_D_COMPUTE
#undef SPKI_D_ENUM
#undef SPKI_D_LOAD
#undef SPKI_D_NAME
#undef SPKI_D_RELOAD
#undef SPKI_D_SETUP
#undef SPKI_D_TEXT
#undef SPKI_E
#undef SPKI_ELEM_d1
#undef SPKI_ELEM_d2
#undef SPKI_ELEM_d4
#undef SPKI_ELEM_d8
#undef SPKI_ELEM_f1
#undef SPKI_ELEM_f16
#undef SPKI_ELEM_f4
#undef SPKI_ELEM_f8
#undef SPKI_FIRST_
#undef SPKI_FN
#undef SPKI_GNU_VECTOR
#undef SPKI_GROUP
#undef SPKI_HAVE_AVX2
#undef SPKI_HAVE_AVX512
#undef SPKI_HAVE_GENERIC
#undef SPKI_HAVE_NEON
#undef SPKI_HAVE_SSE2
#undef SPKI_INLINE
#undef SPKI_ISA_SLOTS
#undef SPKI_IS_DOUBLE
#undef SPKI_I_ENUM
#undef SPKI_I_FIELD
#undef SPKI_I_LOAD
#undef SPKI_I_SETUP
#undef SPKI_KERNEL
#undef SPKI_KERNELS
#undef SPKI_KERNELS_AVX2
#undef SPKI_KERNELS_AVX512
#undef SPKI_KERNELS_BASE
#undef SPKI_KERNEL_ROW
#undef SPKI_LANES
#undef SPKI_MAX
#undef SPKI_MIN
#undef SPKI_MODEL
#undef SPKI_NO_CONTRACT
#undef SPKI_NO_CONTRACT_ATTR
#undef SPKI_NO_KERNELS
#undef SPKI_P_ENUM
#undef SPKI_P_FIELD
#undef SPKI_P_LOAD
#undef SPKI_P_LOCAL
#undef SPKI_P_RELOAD
#undef SPKI_P_SETUP
#undef SPKI_QUIET_BEGIN
#undef SPKI_QUIET_END
#undef SPKI_ROW_AVX2
#undef SPKI_ROW_AVX512
#undef SPKI_ROW_GENERIC
#undef SPKI_ROW_NEON
#undef SPKI_ROW_SSE2
#undef SPKI_S
#undef SPKI_SECOND_
#undef SPKI_STATE_RELATIVE
#undef SPKI_STATE_UNIT
#undef SPKI_S_ENUM
#undef SPKI_S_FIELD
#undef SPKI_S_INIT
#undef SPKI_S_LOAD
#undef SPKI_S_LOAD16
#undef SPKI_S_SETUP
#undef SPKI_S_SETUP16
#undef SPKI_S_STORE
#undef SPKI_S_STORE16
#undef SPKI_TARGET
#undef SPKI_TARGET_AVX2
#undef SPKI_TARGET_AVX512
#undef SPKI_TARGET_BASE
#undef SPKI_TARGET_SCALAR
#undef SPKI_TYPES_D
#undef SPKI_TYPES_F
#undef SPKI_TYPES_M
#undef spk_abs
#undef spk_any
#undef spk_cos
#undef spk_exp
#undef spk_exprel
#undef spk_flush
#undef spk_log
#undef spk_max
#undef spk_min
#undef spk_pow
#undef spk_select
#undef spk_sin
#undef spk_sqrt
#undef spk_tanh
#define SPIKELIB_MODELS_CLOSED
#endif

#endif
#endif /* SPIKELIB_IMPLEMENTATION */

/* ---- >>licence: the MIT licence ---- */

/*
MIT License

Copyright (c) The spikelib authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
*/
