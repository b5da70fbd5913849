/* ---- >>base: linkage, results, memory, threads ---- */
#ifndef SPIKELIB_API_BASE_H
#define SPIKELIB_API_BASE_H

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
#if defined(SPIKELIB_NO_RINGS) && !defined(SPIKELIB_NO_PIPELINE)
#define SPIKELIB_NO_PIPELINE
#endif
#if defined(SPIKELIB_NO_EVENTS) && !defined(SPIKELIB_NO_SPIKEFILE)
#define SPIKELIB_NO_SPIKEFILE
#endif
#if (defined(SPIKELIB_NO_PIPELINE) || defined(SPIKELIB_NO_EVENTS)) && !defined(SPIKELIB_NO_SOURCES)
#define SPIKELIB_NO_SOURCES
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

/* A spike, as recorders, pictures and spike files have it. */
typedef struct spk_spike {
    uint64_t step; /* time_ms = step * dt: the end of the step in which it was found */
    uint32_t neuron;
    uint32_t reserved;
} spk_spike;

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

#endif
