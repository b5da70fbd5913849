/* spikelib_cl.h 0.1.0 - networks of spikelib.h on OpenCL devices, with the same spikes. MIT licence,
   The spikelib authors; the text is at the end of spikelib.h. Include it after
   spikelib.h, also in the file that has SPIKELIB_IMPLEMENTATION.
   Generated from src/ by amalgamate.py; edits belong there. */

#ifndef SPIKELIB_H
#error "include spikelib.h before spikelib_cl.h"
#endif
#ifdef SPIKELIB_NO_NET
#error "spikelib_cl.h needs networks: no SPIKELIB_NO_NET"
#endif
#ifndef SPIKELIB_CL_H
#define SPIKELIB_CL_H

/* ---- >>cl: networks on OpenCL devices ---- */

/* One device as OpenCL describes it. `index` is its place in the list, from 0, which is in the
   order of the platforms and their devices. */
typedef struct spk_cl_device {
    uint32_t index, units;     /* units: compute units */
    char platform[128], name[128], driver[64];
    uint64_t memory_bytes, block_bytes; /* global memory, largest allocation */
    bool is_cpu, is_gpu, has_double;
    bool usable;               /* has what the same spikes need; else `why` says what it lacks */
    char why[128];
} spk_cl_device;

/* How well a device suits; the highest wins, negative is never taken. Thread: the caller's. */
typedef double (*spk_cl_score_fn)(void *ctx, const spk_cl_device *device);
/* A function of OpenCL by name ("clGetPlatformIDs"), or NULL. */
typedef void *(*spk_cl_symbol_fn)(void *ctx, const char *name);

typedef enum spk_cl_style {
    SPK_CL_AUTO = 0, /* vectors on CPU devices, items elsewhere */
    SPK_CL_VECTORS,  /* an item does vectors of neurons, nothing is atomic */
    SPK_CL_ITEMS,    /* an item does a few neurons, deliveries are atomic */
    SPK_CL_TILES,    /* so too, but where a group of items has room for what arrives at a tile in a
                        slice, it is added up in local memory and then written once; AUTO does so
                        on devices whose local memory is one of its own */
    SPK_CL_STYLE_FORCE_32_BIT = 0x7fffffff
} spk_cl_style;

typedef struct spk_cl_desc {
    uint32_t begin_sentinel;   /* leave 0 */
    spk_cl_style style;        /* default: SPK_CL_AUTO; it changes the speed and no spike */
    const char *device;        /* a part of the device's or its platform's name; default: any */
    const uint32_t *indices;   /* or places in the list; several: the network is split over them,
                                  by compute units at first, then by speed as measured */
    size_t index_count;
    spk_cl_score_fn score;     /* or the best by this; default: GPUs, then memory and units */
    void *score_ctx;
    uint32_t sub_devices;      /* cut each into so many equal parts; default: whole devices */
    uint32_t tiles;            /* targets are cut into a multiple of it; default: by the device */
    spk_construction construction; /* where connectivity is drawn; it changes no synapse */
    uint64_t memory_budget;    /* bytes a device; default: all of its memory */
    const char *cache_dir;     /* of compiled programs; "": none; default: $SPIKELIB_CACHE,
                                  $XDG_CACHE_HOME/spikelib, ~/.cache/spikelib, or
                                  %LOCALAPPDATA%\spikelib, where there is one */
    double time_limit_s;       /* for what one batch of steps may take; what takes longer is an
                                  error once the device has ended it; default: none */
    bool or_cpu;               /* where no device can serve, the CPU does: spk_net_error says why */
    spk_cl_symbol_fn symbol;   /* where OpenCL is found; default: the system's loader */
    void *symbol_ctx;
    spk_allocator allocator;   /* default: malloc and free */
    uint32_t end_sentinel;     /* leave 0 */
} spk_cl_desc;

/* A backend for spk_net_desc.backend: `backend = spk_cl_backend(NULL)`. Nothing else changes, the
   digest included. Errors: never NULL; whatever is wrong (no OpenCL, no such device, a descriptor
   that is garbage) is what spk_net_build returns, with a sentence. After an error of the device,
   while building or running, the network is one of the CPU: the next run goes on there, from the
   step at which spk_net_step says it stands, and recorders take nothing twice.
   Ownership: the network's, from spk_net_create on; one backend, one network. Strings and arrays
   are copied. Cost: opens nothing before the network is built. Thread: any. */
SPIKELIB_API spk_backend *spk_cl_backend(const spk_cl_desc *desc);
/* The best device, or the CPU where there is none: spk_net_error then says why. */
SPIKELIB_API spk_backend *spk_cl_backend_auto(void);
#ifndef SPK_BACKEND_AUTO
#define SPK_BACKEND_AUTO spk_cl_backend_auto()
#endif

/* All devices of all platforms, usable or not: how many, the first `capacity` of them in `devices`.
   `desc` may be NULL; its `symbol` is used. Errors: 0 where there is no OpenCL, and `why` (of
   `why_size` bytes, may be NULL) says so. Thread: any. */
SPIKELIB_API size_t spk_cl_devices(const spk_cl_desc *desc, spk_cl_device *devices,
                                   size_t capacity, char *why, size_t why_size);

#endif

#ifdef SPIKELIB_IMPLEMENTATION
#ifndef SPIKELIB_CL_SECTION
#define SPIKELIB_CL_SECTION

#if defined(__NVCC__) /* hands GCC's pragmas on, and warns that it does not know them */
#pragma nv_diagnostic push
#pragma nv_diag_suppress 177, 550, 1675
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized" /* what its own intrinsics leave undefined */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#ifndef SPIKELIB_GPU_SECTION
#define SPIKELIB_GPU_SECTION

#ifndef SPIKELIB_MODELS
#define SPKI_FN static __attribute__((unused))
#define SPKI_GROUP 64   /* neurons are updated, and spikes reported, in groups of 64 */
#define SPKI_MAX(a, b) ((a) > (b) ? (a) : (b))
#define SPKI_MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#define SPKI_CHANGED_CURRENTS 8u
#define SPKI_CHANGED_LISTS 16u
#define SPKI_CHANGED_PARAMS 1u
#define SPKI_CHANGED_PRECISION 32u
#define SPKI_CHANGED_STATES 2u
#define SPKI_CHANGED_WEIGHTS 4u
#define SPKI_GPU_NUMBER(name, value) {#name, value},
#define SPKI_GPU_ROWS_DEFINE(name, value) spki_gpu_define(s, #name, (uint32_t)(value));
#define SPKI_GPU_ROWS_NUMBER(name, value) SPKI_GPU_##name = (int)(value),
#define SPKI_MAX_SLICE 32u                 /* steps between two meetings of the threads */
#define SPKI_MOST_WORDS 0x7fffffffu /* of a tile's rows */
#define SPKI_STREAM_DRIVE 0x30000000u
#define SPKI_STREAM_INPUT 0x40000000u
#define SPKI_STREAM_STORAGE 0x50000000u
#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>gpu: a network on a compute device ----
   How the pieces fit. `text/` holds the kernels, one text for every API: a prelude per API
   (opencl.cl) that says what SPKI_ENTRY, SPKI_GLOBAL, SPKI_DEVICE and the vectors are; the
   functions of simd/math.inc.h, the same text as the CPU's; engine.cl (random numbers, inputs,
   states of one item); the models, whose statements >>gpu-source wraps in the loops of engine.cl;
   kernels.cl (the entries). amalgamate.py pastes each text as an array of lines.

   On the host, an API fills in an spki_gpu_api (below) and one spki_gpu for each device. All
   else is shared: >>gpu-source writes the program of a network, >>gpu-layout lays the network out
   as the buffers that the kernels read (and says what is too large before anything is allocated),
   >>gpu-state moves states, parameters, weights and injected input, >>gpu-run steps, >>gpu-net is
   the spk_backend that >>backend wants. A new API needs a prelude, an spki_gpu_api, and a function
   that opens devices; see the cl/ folder, which is nothing else.

   Two ways to work, chosen by spki_gpu.lanes. 16 lanes (CPU devices): a group is one item which
   does vectors of 16 neurons, and which owns the accumulators of a tile, so nothing is atomic.
   1 lane (GPUs): an item does four neurons, a spike's row is spread over many items, and
   accumulators are added to atomically; integers, so that no order matters. Where a tile's
   arrivals of a slice fit into local memory, a group of items has the tile, adds there, and writes
   the sums.

   Buffers, for the tiles of one device: `state`, `value` (parameters, weights, quanta), `acc` (a
   ring of arrival steps, each one accumulator a neuron and receptor), `history` (a bit a neuron
   and step, as on the CPU), `list` (spikes of a batch of steps, in order; two, read back in turn
   while the other fills), `words` and `rows` (the tiles' synapses as built). */

#define SPKI_GPU_LIST_IDS 64u     /* words in front of the ids in a list: the starts of 32 steps */
#define SPKI_GPU_BLOCK_GROUPS 8u  /* groups of 64 neurons a block */
#define SPKI_GPU_SCAN_ITEMS 256u
#define SPKI_GPU_TEAM 32u         /* items that share a bucket */
#define SPKI_GPU_DELIVER_ITEMS 128u
#define SPKI_GPU_MOST_PARTS 64u  /* devices of one network */
#define SPKI_GPU_BATCH_ITEMS 512u
#define SPKI_GPU_BATCH_GROUPS 1024u /* groups of items that may meet */
#define SPKI_GPU_SPARES 16u       /* blocks that a device's pool keeps for the next who wants one */

enum { SPKI_GPU_TRIALS = 2048, SPKI_GPU_SELFTESTS = 14 }; /* of >>gpu-selftest */

typedef enum spki_gpu_entry {
    SPKI_GPU_UPDATE,
    SPKI_GPU_TELL,
    SPKI_GPU_COUNT,
    SPKI_GPU_SCAN,
    SPKI_GPU_COMPACT,
    SPKI_GPU_DELIVER,
    SPKI_GPU_SAMPLE,
    SPKI_GPU_ENTRIES,
    SPKI_GPU_SELFTEST = SPKI_GPU_ENTRIES,
    SPKI_GPU_ROWS, /* >>gpu-construct */
    SPKI_GPU_ROWS_SCAN,
    SPKI_GPU_ROWS_COLLECT,
    SPKI_GPU_ROWS_SORT,
    SPKI_GPU_ALL_ENTRIES,
    SPKI_GPU_BATCH_ALL = SPKI_GPU_ALL_ENTRIES, /* where groups of items can meet */
    SPKI_GPU_BATCH_OWN,
    SPKI_GPU_BEGIN, /* of a replay */
    SPKI_GPU_MORE_ENTRIES
} spki_gpu_entry;

typedef void *spki_gpu_mem;    /* the API's handle of a block of device memory */
typedef void *spki_gpu_ticket; /* of something under way; NULL: nothing */

/* One argument of a kernel: `size` bytes at `value`, or device memory. */
typedef struct spki_gpu_arg {
    size_t size;
    union {
        uint64_t whole;
        uint32_t word;
    } value;
    spki_gpu_mem mem;
    bool is_mem;
} spki_gpu_arg;

typedef struct spki_gpu_block {
    spki_gpu_mem mem;
    uint64_t bytes;
} spki_gpu_block;

typedef struct spki_gpu {
    const struct spki_gpu_api *api;
    void *handle;     /* the API's own */
    spki_mem *mem;    /* host memory for it */
    char name[128];
    uint64_t memory;  /* bytes that may be used in all */
    uint64_t largest; /* and of one block */
    uint64_t used, peak;
    spki_gpu_block spare[SPKI_GPU_SPARES]; /* blocks that nobody uses, counted in `used` */
    uint32_t units;   /* compute units */
    uint32_t lanes;   /* 16: vectors of 16 floats or 8 doubles; 1: scalars */
    uint64_t local_bytes; /* for a tile's arrivals in a group of items; 0: not to be used so */
    bool has_double, has_wide_atomics;
    bool replays;     /* runs of slices are recorded once and replayed */
    bool patient;     /* the limit is one of batches: what is at hand is none */
    double speed;     /* work a second, only ratios matter: by units until it is measured */
    char why[1024];   /* what went wrong last */
} spki_gpu;

struct spki_gpu_choice;
struct spki_gpu_variant;

/* What an API does for a device. All work is in order. A failure fills in gpu->why with a sentence
   that names the call and the code. */
typedef struct spki_gpu_api {
    const char *name;
    const char *const *prelude; /* lines, NULL at the end */
    const char *const *keywords; /* names that models may use and the language may not */
    /* A program from `text`; `log` gets the compiler's words. */
    spk_result (*compile)(spki_gpu *gpu, const char *text, size_t size, int kind, void **program,
                          char *log, size_t log_size); /* kind: spki_gpu_kind */
    void (*release)(spki_gpu *gpu, void *program);
    spk_result (*alloc)(spki_gpu *gpu, uint64_t bytes, spki_gpu_mem *mem);
    void (*free)(spki_gpu *gpu, spki_gpu_mem mem);
    spk_result (*write)(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, const void *data,
                        size_t bytes); /* `data` may change afterwards */
    spk_result (*zero)(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, uint64_t bytes);
    spk_result (*read)(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, void *data, size_t bytes,
                       spki_gpu_ticket *ticket); /* with a ticket: under way until waited for */
    spk_result (*wait)(spki_gpu *gpu, spki_gpu_ticket *ticket);
    spk_result (*launch)(spki_gpu *gpu, void *program, spki_gpu_entry entry, uint32_t groups,
                         uint32_t items, const spki_gpu_arg *arg, uint32_t args);
    spk_result (*flush)(spki_gpu *gpu);
    spk_result (*finish)(spki_gpu *gpu);
    void (*close)(spki_gpu *gpu);
    /* NULL where groups of items cannot meet: a launch in which all groups run at the same time,
       each with `shared` bytes, and how many groups of SPKI_GPU_BATCH_ITEMS items such a launch may
       have (0: none). */
    spk_result (*together)(spki_gpu *gpu, void *program, spki_gpu_entry entry, uint32_t groups,
                           uint64_t shared, const spki_gpu_arg *arg, uint32_t args);
    uint32_t (*room)(spki_gpu *gpu, void *program, spki_gpu_entry entry, uint64_t shared);
    /* NULL: through the host. Copies from the memory of gpu `from` to the same place of each gpu's
       `to`; what they do later waits for it. */
    spk_result (*share)(spki_gpu *const *gpu, uint32_t gpus, uint32_t from, spki_gpu_mem source,
                        uint64_t source_at, const spki_gpu_mem *to, uint64_t at, uint64_t bytes);
    /* NULL, or gives a program with all of a network's models, and the selftest, that was compiled
       with the host's code; NULL: there is none for this choice, and `compile` says why where it
       cannot either. `form`: the number of a variant's model in such a program; others number
       variants as they come. */
    void *(*held)(spki_gpu *gpu, const spk_net *net, const struct spki_gpu_choice *choice);
    uint32_t (*form)(const void *program, const struct spki_gpu_variant *variant, uint32_t number);
    /* NULL where kernels have no `origin` (>>gpu-replay). Launches after `record` are recorded
       instead of run, until `recorded`, which has to be called even if one of them fails. */
    spk_result (*record)(spki_gpu *gpu);
    spk_result (*recorded)(spki_gpu *gpu, void **recording);
    spk_result (*replay)(spki_gpu *gpu, void *recording);
    void (*forget)(spki_gpu *gpu, void *recording);
} spki_gpu_api;

SPKI_FN const char *spki_gpu_entry_name(spki_gpu_entry entry)
{
    static const char *const name[] = {"spki_update",  "spki_tell",    "spki_count",
                                       "spki_scan",    "spki_compact", "spki_deliver",
                                       "spki_sample",  "spki_selftest",
                                       "spki_rows",    "spki_rows_scan",
                                       "spki_rows_collect", "spki_rows_sort",
                                       "spki_batch_all", "spki_batch_own", "spki_begin"};
    return name[entry];
}

/* What a text is for, and so which entries it has. */
typedef enum spki_gpu_kind {
    SPKI_GPU_OF_NETWORK,
    SPKI_GPU_OF_TEST,
    SPKI_GPU_OF_ROWS
} spki_gpu_kind;

SPKI_FN spki_gpu_kind spki_gpu_entry_kind(uint32_t entry)
{
    return entry < SPKI_GPU_ENTRIES || entry >= SPKI_GPU_ALL_ENTRIES ? SPKI_GPU_OF_NETWORK
           : entry == SPKI_GPU_SELFTEST                             ? SPKI_GPU_OF_TEST
                                                                    : SPKI_GPU_OF_ROWS;
}

/* -- memory on the device: a pool with a budget. What is given back waits for somebody whom it
   fits; it goes back to the driver when the budget or the driver runs short, or the network
   leaves. Safe while work is under way, since all work of a device is in order. -- */

SPKI_FN void spki_gpu_drop(spki_gpu *gpu, spki_gpu_block *block)
{
    if (block->mem) {
        gpu->api->free(gpu, block->mem);
        gpu->used -= block->bytes;
    }
    block->mem = NULL;
    block->bytes = 0;
}

/* Gives all spare blocks back to the driver; false: there were none. */
SPKI_FN bool spki_gpu_drain(spki_gpu *gpu)
{
    bool any = false;
    for (uint32_t k = 0; k < SPKI_GPU_SPARES; k++) {
        any = any || gpu->spare[k].mem;
        spki_gpu_drop(gpu, &gpu->spare[k]);
    }
    return any;
}

SPKI_FN void spki_gpu_free(spki_gpu *gpu, spki_gpu_block *block)
{
    for (uint32_t k = 0; k < SPKI_GPU_SPARES && block->mem; k++) {
        if (!gpu->spare[k].mem) {
            gpu->spare[k] = *block;
            block->mem = NULL;
        }
    }
    spki_gpu_drop(gpu, block);
}

/* The smallest spare block that is large enough and not twice as large as it has to be. */
SPKI_FN bool spki_gpu_reuse(spki_gpu *gpu, uint64_t bytes, spki_gpu_block *block)
{
    uint32_t best = SPKI_GPU_SPARES;
    for (uint32_t k = 0; k < SPKI_GPU_SPARES; k++) {
        const uint64_t have = gpu->spare[k].mem ? gpu->spare[k].bytes : 0;
        if (have >= bytes && have / 2 <= bytes &&
            (best == SPKI_GPU_SPARES || have < gpu->spare[best].bytes)) {
            best = k;
        }
    }
    if (best == SPKI_GPU_SPARES) {
        return false;
    }
    *block = gpu->spare[best];
    gpu->spare[best].mem = NULL;
    gpu->spare[best].bytes = 0;
    return true;
}

SPKI_FN spk_result spki_gpu_alloc(spki_gpu *gpu, uint64_t bytes, spki_gpu_block *block)
{
    bytes = SPKI_MAX(bytes, (uint64_t)64);
    if (spki_gpu_reuse(gpu, bytes, block)) {
        return SPK_OK;
    }
    if (bytes > gpu->memory || gpu->used > gpu->memory - bytes) {
        (void)spki_gpu_drain(gpu);
    }
    if (bytes > gpu->largest || bytes > gpu->memory || gpu->used > gpu->memory - bytes) {
        const uint64_t over = bytes > gpu->largest ? bytes - gpu->largest
                                                   : gpu->used + bytes - gpu->memory;
        snprintf(gpu->why, sizeof gpu->why, "a block of %llu bytes is %llu bytes too large",
                 (spki_llu)bytes, (spki_llu)over);
        return SPK_ERR_OUT_OF_MEMORY;
    }
    spk_result result = gpu->api->alloc(gpu, bytes, &block->mem);
    if (result == SPK_ERR_OUT_OF_MEMORY && spki_gpu_drain(gpu)) {
        result = gpu->api->alloc(gpu, bytes, &block->mem);
    }
    if (result == SPK_OK) {
        block->bytes = bytes;
        gpu->used += bytes;
        gpu->peak = SPKI_MAX(gpu->peak, gpu->used);
    }
    return result;
}

/* Room for `bytes`; what was in the block is lost if it has to grow. */
SPKI_FN spk_result spki_gpu_reserve(spki_gpu *gpu, uint64_t bytes, spki_gpu_block *block)
{
    if (block->mem && bytes <= block->bytes) {
        return SPK_OK;
    }
    spki_gpu_free(gpu, block);
    return spki_gpu_alloc(gpu, bytes, block);
}

/* -- arguments -- */

SPKI_FN spki_gpu_arg spki_gpu_memory(const spki_gpu_block *block)
{
    spki_gpu_arg arg;
    memset(&arg, 0, sizeof arg);
    arg.mem = block->mem;
    arg.is_mem = true;
    return arg;
}

SPKI_FN spki_gpu_arg spki_gpu_u32(uint32_t x)
{
    spki_gpu_arg arg;
    memset(&arg, 0, sizeof arg);
    arg.size = 4;
    arg.value.word = x;
    return arg;
}

SPKI_FN spki_gpu_arg spki_gpu_u64(uint64_t x)
{
    spki_gpu_arg arg;
    memset(&arg, 0, sizeof arg);
    arg.size = 8;
    arg.value.whole = x;
    return arg;
}

/* -- host arrays that grow while they are filled -- */

typedef struct spki_gpu_bytes {
    spki_mem *mem;
    char *data;
    size_t used, capacity;
    bool failed;
} spki_gpu_bytes;

/* Room for `bytes` more, zeroed; NULL: no memory. */
SPKI_FN void *spki_gpu_more(spki_gpu_bytes *b, size_t bytes)
{
    if (b->failed || bytes > (size_t)PTRDIFF_MAX / 4 - b->used) {
        b->failed = true;
        return NULL;
    }
    if (!b->data || b->used + bytes > b->capacity) {
        const size_t more = SPKI_MAX(b->capacity * 2, b->used + bytes + 4096);
        char *data = (char *)spki_alloc_raw(b->mem, more, 1);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        if (b->data) {
            memcpy(data, b->data, b->used);
            spki_free(b->mem, b->data, b->capacity, 1);
        }
        b->data = data;
        b->capacity = more;
    }
    void *at = b->data + b->used;
    memset(at, 0, bytes);
    b->used += bytes;
    return at;
}

SPKI_FN void spki_gpu_forget(spki_gpu_bytes *b)
{
    spki_free(b->mem, b->data, b->capacity, 1);
    b->data = NULL;
    b->used = b->capacity = 0;
    b->failed = false;
}

/* ---- >>gpu-cache: compiled programs on disk ----
   A file is named by 128 bits of hash over source, options, device and driver, and says how long it
   is and what it hashes to. It is written beside its place and renamed, so that nobody sees half
   of one; whatever is damaged is made anew. Without a directory nothing is kept. */

#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>
#if defined(_WIN32)
#include <direct.h>
#endif

#define SPKI_GPU_PATH 1024u
#define SPKI_GPU_CACHE_MAGIC UINT64_C(0x31626c636b697073) /* "spikclb1" */

typedef struct spki_gpu_cache_entry {
    uint64_t magic, key[2], size, hash;
} spki_gpu_cache_entry;

SPKI_FN void spki_gpu_make_dir(const char *path)
{
#if defined(_WIN32)
    (void)_mkdir(path);
#else
    (void)mkdir(path, 0777);
#endif
}

SPKI_FN bool spki_gpu_replace(const char *from, const char *to)
{
#if defined(_WIN32)
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) != 0; /* rename replaces nothing */
#else
    return rename(from, to) == 0;
#endif
}

/* Makes the directory and those above it; a failure shows when a file is opened. */
SPKI_FN void spki_gpu_make_dirs(const char *path)
{
    char part[SPKI_GPU_PATH];
    const size_t n = strlen(path);
    for (size_t k = 1; k <= n && k < sizeof part; k++) {
        if (path[k] == 0 || path[k] == '/' || path[k] == '\\') {
            memcpy(part, path, k);
            part[k] = 0;
            spki_gpu_make_dir(part);
        }
    }
}

/* Where entries lie; "" for nowhere. */
SPKI_FN void spki_gpu_cache_dir(const char *wanted, char *out, size_t size)
{
    static const struct {
        const char *variable, *tail;
    } place[] = {{"SPIKELIB_CACHE", ""},
                 {"XDG_CACHE_HOME", "/spikelib"},
                 {"HOME", "/.cache/spikelib"},
                 {"LOCALAPPDATA", "\\spikelib"}};
    out[0] = 0;
    if (wanted) {
        snprintf(out, size, "%s", wanted);
        return;
    }
    for (size_t k = 0; k < sizeof place / sizeof place[0] && !out[0]; k++) {
        const char *value = getenv(place[k].variable);
        if (value && *value && strlen(value) + strlen(place[k].tail) + 64 < size) {
            snprintf(out, size, "%s%s", value, place[k].tail);
        }
    }
}

SPKI_FN bool spki_gpu_cache_path(const char *dir, const uint64_t key[2], char *out, size_t size)
{
    const int n = snprintf(out, size, "%s/%016llx%016llx.clb", dir, (spki_llu)key[0],
                           (spki_llu)key[1]);
    return dir[0] && n > 0 && (size_t)n < size;
}

/* An entry's bytes (of *size, to be freed with spki_free), or NULL. */
SPKI_FN unsigned char *spki_gpu_cache_read(spki_mem *mem, const char *dir, const uint64_t key[2],
                                          size_t *size)
{
    char path[SPKI_GPU_PATH];
    spki_gpu_cache_entry entry;
    unsigned char *data = NULL;
    FILE *file = spki_gpu_cache_path(dir, key, path, sizeof path) ? fopen(path, "rb") : NULL;
    if (!file) {
        return NULL;
    }
    if (fread(&entry, sizeof entry, 1, file) == 1 && entry.magic == SPKI_GPU_CACHE_MAGIC &&
        entry.key[0] == key[0] && entry.key[1] == key[1] && entry.size > 0 &&
        entry.size < (uint64_t)1 << 30) {
        *size = (size_t)entry.size;
        data = (unsigned char *)spki_alloc_raw(mem, *size, 1);
        if (data && (fread(data, 1, *size, file) != *size || fgetc(file) != EOF ||
                     spk_xxh64(data, *size, 0) != entry.hash)) {
            spki_free(mem, data, *size, 1);
            data = NULL;
        }
    }
    fclose(file);
    return data;
}

SPKI_FN void spki_gpu_cache_write(const char *dir, const uint64_t key[2], const unsigned char *data,
                                 size_t size)
{
    char path[SPKI_GPU_PATH], temporary[SPKI_GPU_PATH + 40];
    spki_gpu_cache_entry entry = {
        SPKI_GPU_CACHE_MAGIC, {key[0], key[1]}, size, spk_xxh64(data, size, 0)};
    if (!spki_gpu_cache_path(dir, key, path, sizeof path)) {
        return;
    }
    const double now = spk_clock_seconds();
    const void *here = &entry;
    uint64_t tag[2] = {0, (uint64_t)(uintptr_t)here};
    memcpy(tag, &now, sizeof now);
    snprintf(temporary, sizeof temporary, "%s.%016llx", path,
             (spki_llu)spk_xxh64(tag, sizeof tag, 0));
    FILE *file = fopen(temporary, "wb");
    if (!file) {
        spki_gpu_make_dirs(dir);
        file = fopen(temporary, "wb");
    }
    if (!file) {
        return;
    }
    bool whole = fwrite(&entry, sizeof entry, 1, file) == 1 && fwrite(data, 1, size, file) == size;
    whole = fclose(file) == 0 && whole;
    if (!whole || !spki_gpu_replace(temporary, path)) {
        (void)remove(temporary);
    }
}

/* ---- >>gpu-texts: the kernels as arrays of lines ---- */

/* amalgamate.py puts the lines of the file named in place of each #include. */
static const char *const spki_gpu_text_math[] = {
"#define SPKI_R SPKI_CAT(spki_, SPKI_S)\n",
"#define SPKI_I SPKI_CAT(spki_i, SPKI_S)\n",
"#define SPKI_M SPKI_CAT(spki_m, SPKI_S)\n",
"#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)\n",
"#ifdef SPKI_ON_DEVICE\n",
"#define SPKI_MATH SPKI_DEVICE\n",
"#else\n",
"#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))\n",
"#endif\n",
"#ifndef SPKI_C\n",
"#define SPKI_C(x) (zero + (SPKI_E)(x))\n",
"#endif\n",
"#if SPKI_LANES > 1 && !defined(SPKI_ON_DEVICE)\n",
"#define SPKI_X86_VECTOR SPKI_HAVE_SSE2\n",
"#else\n",
"#define SPKI_X86_VECTOR 0\n",
"#endif\n",
"#if SPKI_IS_DOUBLE\n",
"#define SPKI_INT int64_t\n",
"#else\n",
"#define SPKI_INT int32_t\n",
"#endif\n",
"#ifdef SPKI_ON_DEVICE\n",
"SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)\n",
"{\n",
"    return SPKI_AS_INT(x);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)\n",
"{\n",
"    return SPKI_AS_REAL(i);\n",
"}\n",
"#else\n",
"SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)\n",
"{\n",
"    SPKI_R x;\n",
"    memcpy(&x, p, sizeof x);\n",
"    return x;\n",
"}\n",
"SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)\n",
"{\n",
"    memcpy(p, &x, sizeof x);\n",
"}\n",
"SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)\n",
"{\n",
"    SPKI_I i;\n",
"    memcpy(&i, &x, sizeof i);\n",
"    return i;\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)\n",
"{\n",
"    SPKI_R x;\n",
"    memcpy(&x, &i, sizeof x);\n",
"    return x;\n",
"}\n",
"#endif\n",
"SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return c ? a : b;\n",
"#else\n",
"    const SPKI_M on = c != 0;\n",
"    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(a) & on) | (SPKI_F(spki_bits_of)(b) & ~on));\n",
"#endif\n",
"}\n",
"#ifdef SPKI_ON_DEVICE\n",
"SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)\n",
"{\n",
"    return SPKI_ANY(c);\n",
"}\n",
"#else\n",
"SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return c != 0;\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE\n",
"    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2\n",
"    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE\n",
"    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4\n",
"    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16\n",
"    return (uint64_t)_mm512_movepi32_mask((__m512i)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8\n",
"    return (uint64_t)_mm512_movepi64_mask((__m512i)c);\n",
"#else\n",
"    uint64_t bits = 0;\n",
"    for (int k = 0; k < SPKI_LANES; k++) {\n",
"        bits |= (uint64_t)(c[k] & 1) << k;\n",
"    }\n",
"    return bits;\n",
"#endif\n",
"}\n",
"SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)\n",
"{\n",
"    return SPKI_F(spki_mask_bits)(c) != 0;\n",
"}\n",
"#endif\n",
"SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)\n",
"{\n",
"#if SPKI_X86_VECTOR && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8\n",
"    return (SPKI_R)_mm256_min_ps((__m256)a, (__m256)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm256_min_pd((__m256d)a, (__m256d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4\n",
"    return (SPKI_R)_mm_min_ps((__m128)a, (__m128)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 2\n",
"    return (SPKI_R)_mm_min_pd((__m128d)a, (__m128d)b);\n",
"#else\n",
"    return SPKI_F(spki_select)(a < b, a, b);\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)\n",
"{\n",
"#if SPKI_X86_VECTOR && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8\n",
"    return (SPKI_R)_mm256_max_ps((__m256)a, (__m256)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm256_max_pd((__m256d)a, (__m256d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4\n",
"    return (SPKI_R)_mm_max_ps((__m128)a, (__m128)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 2\n",
"    return (SPKI_R)_mm_max_pd((__m128d)a, (__m128d)b);\n",
"#else\n",
"    return SPKI_F(spki_select)(a > b, a, b);\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)\n",
"{\n",
"    const SPKI_I zero = SPKI_NIL(SPKI_I);\n",
"    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)\n",
"                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));\n",
"    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_scale)(SPKI_R x, SPKI_R n)\n",
"{\n",
"    const int shift = SPKI_IS_DOUBLE ? 52 : 23;\n",
"#if SPKI_LANES == 1 && SPKI_IS_DOUBLE\n",
"    const uint64_t up = (uint64_t)SPKI_F(spki_bits_of)(n) << shift;\n",
"    return SPKI_F(spki_real_of)((SPKI_I)((uint64_t)SPKI_F(spki_bits_of)(x) + up));\n",
"#elif SPKI_LANES == 1\n",
"    const uint32_t up = (uint32_t)SPKI_F(spki_bits_of)(n) << shift;\n",
"    return SPKI_F(spki_real_of)((SPKI_I)((uint32_t)SPKI_F(spki_bits_of)(x) + up));\n",
"#else\n",
"    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) + (SPKI_F(spki_bits_of)(n) << shift));\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_less)(SPKI_R x, SPKI_R n, SPKI_R c)\n",
"{\n",
"#if SPKI_X86_VECTOR && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_fnmadd_ps((__m512)n, (__m512)c, (__m512)x);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_fnmadd_pd((__m512d)n, (__m512d)c, (__m512d)x);\n",
"#else\n",
"    return x - n * c;\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"#if SPKI_IS_DOUBLE\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0);\n",
"#else\n",
"    const SPKI_R magic = SPKI_C(12582912.0);\n",
"#endif\n",
"    return (x + magic) - magic;\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"#if SPKI_IS_DOUBLE\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0);\n",
"    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));\n",
"    const SPKI_R up = x * SPKI_C(1.4426950408889634) + magic, n = up - magic;\n",
"    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.6931471804855391))\n",
"                     - n * SPKI_C(7.440617110012397e-11);\n",
"    SPKI_R p = SPKI_C(1.0 / 6227020800.0);\n",
"    p = p * r + SPKI_C(1.0 / 479001600.0);\n",
"    p = p * r + SPKI_C(1.0 / 39916800.0);\n",
"    p = p * r + SPKI_C(1.0 / 3628800.0);\n",
"    p = p * r + SPKI_C(1.0 / 362880.0);\n",
"    p = p * r + SPKI_C(1.0 / 40320.0);\n",
"    p = p * r + SPKI_C(1.0 / 5040.0);\n",
"    p = p * r + SPKI_C(1.0 / 720.0);\n",
"    p = p * r + SPKI_C(1.0 / 120.0);\n",
"    p = p * r + SPKI_C(1.0 / 24.0);\n",
"    p = p * r + SPKI_C(1.0 / 6.0);\n",
"    p = p * r + SPKI_C(0.5);\n",
"#else\n",
"    const SPKI_R magic = SPKI_C(12582912.0);\n",
"    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));\n",
"    const SPKI_R up = x * SPKI_C(1.44269504) + magic, n = up - magic;\n",
"    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.693115234375))\n",
"                     - n * SPKI_C(3.1946184945309415e-05);\n",
"    SPKI_R p = SPKI_C(0.00139506);\n",
"    p = p * r + SPKI_C(0.008368954);\n",
"    p = p * r + SPKI_C(0.041666206);\n",
"    p = p * r + SPKI_C(0.16666518);\n",
"    p = p * r + SPKI_C(0.5);\n",
"#endif\n",
"    return SPKI_F(spki_scale)((p * r) * r + r + SPKI_C(1.0), up);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);\n",
"#ifndef SPKI_ON_DEVICE\n",
"    if (!SPKI_F(spki_any)(small)) {\n",
"        return (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / x;\n",
"    }\n",
"#endif\n",
"#if SPKI_IS_DOUBLE\n",
"    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);\n",
"    p = p * x + SPKI_C(1.0 / 87178291200.0);\n",
"    p = p * x + SPKI_C(1.0 / 6227020800.0);\n",
"    p = p * x + SPKI_C(1.0 / 479001600.0);\n",
"    p = p * x + SPKI_C(1.0 / 39916800.0);\n",
"    p = p * x + SPKI_C(1.0 / 3628800.0);\n",
"    p = p * x + SPKI_C(1.0 / 362880.0);\n",
"    p = p * x + SPKI_C(1.0 / 40320.0);\n",
"    p = p * x + SPKI_C(1.0 / 5040.0);\n",
"#else\n",
"    SPKI_R p = SPKI_C(1.0 / 40320.0);\n",
"    p = p * x + SPKI_C(1.0 / 5040.0);\n",
"#endif\n",
"    p = p * x + SPKI_C(1.0 / 720.0);\n",
"    p = p * x + SPKI_C(1.0 / 120.0);\n",
"    p = p * x + SPKI_C(1.0 / 24.0);\n",
"    p = p * x + SPKI_C(1.0 / 6.0);\n",
"    p = p * x + SPKI_C(0.5);\n",
"    p = p * x + SPKI_C(1.0);\n",
"    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);\n",
"    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"#if SPKI_IS_DOUBLE\n",
"    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));\n",
"    const SPKI_INT middle = (SPKI_INT)0x3fe6a09e667f3bcd, mant = (SPKI_INT)0x000fffffffffffff;\n",
"    const int shift = 52;\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0);\n",
"#else\n",
"    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));\n",
"    const SPKI_INT middle = 0x3f3504f3, mant = 0x007fffff;\n",
"    const int shift = 23;\n",
"    const SPKI_R magic = SPKI_C(12582912.0);\n",
"#endif\n",
"    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - middle, e = off >> shift;\n",
"    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + middle);\n",
"    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;\n",
"    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;\n",
"#if SPKI_IS_DOUBLE\n",
"    SPKI_R p = SPKI_C(2.0 / 23.0);\n",
"    p = p * z + SPKI_C(2.0 / 21.0);\n",
"    p = p * z + SPKI_C(2.0 / 19.0);\n",
"    p = p * z + SPKI_C(2.0 / 17.0);\n",
"    p = p * z + SPKI_C(2.0 / 15.0);\n",
"    p = p * z + SPKI_C(2.0 / 13.0);\n",
"    p = p * z + SPKI_C(2.0 / 11.0);\n",
"    p = p * z + SPKI_C(2.0 / 9.0);\n",
"    p = p * z + SPKI_C(2.0 / 7.0);\n",
"    p = p * z + SPKI_C(2.0 / 5.0);\n",
"    p = p * z + SPKI_C(2.0 / 3.0);\n",
"    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);\n",
"#else\n",
"    SPKI_R p = SPKI_C(0.23582268);\n",
"    p = p * z + SPKI_C(0.28537303);\n",
"    p = p * z + SPKI_C(0.40000334);\n",
"    p = p * z + SPKI_C(0.6666666);\n",
"    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);\n",
"#endif\n",
"    return hi + (s + s + ((p * z) * s + lo));\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)\n",
"{\n",
"    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));\n",
"    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);\n",
"    const SPKI_R y = e / (e + SPKI_C(2.0));\n",
"    return SPKI_F(spki_select)(x < zero, -y, y);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));\n",
"#if SPKI_IS_DOUBLE\n",
"    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))\n",
"                     - n * SPKI_C(2.0222662487959506e-21);\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;\n",
"    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);\n",
"    s = s * z - SPKI_C(1.0 / 1307674368000.0);\n",
"    s = s * z + SPKI_C(1.0 / 6227020800.0);\n",
"    s = s * z - SPKI_C(1.0 / 39916800.0);\n",
"    s = s * z + SPKI_C(1.0 / 362880.0);\n",
"    s = s * z - SPKI_C(1.0 / 5040.0);\n",
"    s = s * z + SPKI_C(1.0 / 120.0);\n",
"    s = s * z - SPKI_C(1.0 / 6.0);\n",
"    c = c * z - SPKI_C(1.0 / 87178291200.0);\n",
"    c = c * z + SPKI_C(1.0 / 479001600.0);\n",
"    c = c * z - SPKI_C(1.0 / 3628800.0);\n",
"    c = c * z + SPKI_C(1.0 / 40320.0);\n",
"    c = c * z - SPKI_C(1.0 / 720.0);\n",
"    c = c * z + SPKI_C(1.0 / 24.0);\n",
"#else\n",
"    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))\n",
"                     - n * SPKI_C(7.549789954891882e-08);\n",
"    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;\n",
"    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);\n",
"    s = s * z + SPKI_C(0.008331973);\n",
"    s = s * z - SPKI_C(0.16666651);\n",
"    c = c * z - SPKI_C(0.0013887362);\n",
"    c = c * z + SPKI_C(0.041666646);\n",
"#endif\n",
"    s = (s * z) * r + r;\n",
"    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);\n",
"    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;\n",
"    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);\n",
"    return SPKI_F(spki_select)((k & 2) != 0, -y, y);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)\n",
"{\n",
"    return SPKI_F(spki_sincos)(x, 0);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)\n",
"{\n",
"    return SPKI_F(spki_sincos)(x, 1);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    x = SPKI_F(spki_max)(x, zero);\n",
"#if defined(SPKI_ON_DEVICE)\n",
"    return SPKI_ROOT(x);\n",
"#elif SPKI_LANES == 1 && SPKI_IS_DOUBLE\n",
"    return __builtin_sqrt(x);\n",
"#elif SPKI_LANES == 1\n",
"    return __builtin_sqrtf(x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8\n",
"    return (SPKI_R)_mm256_sqrt_ps((__m256)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4\n",
"    return (SPKI_R)_mm_sqrt_ps((__m128)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2\n",
"    return (SPKI_R)_mm_sqrt_pd((__m128d)x);\n",
"#else\n",
"    for (int k = 0; k < SPKI_LANES; k++) {\n",
"        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])\n",
"                              : (SPKI_E)__builtin_sqrtf((float)x[k]);\n",
"    }\n",
"    return x;\n",
"#endif\n",
"}\n",
"#if defined(SPKI_ON_DEVICE) && SPKI_LANES > 1\n",
"#elif !SPKI_IS_DOUBLE\n",
"SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)\n",
"{\n",
"    SPKI_I h = SPKI_NIL(SPKI_I);\n",
"    (void)like;\n",
"#if SPKI_LANES == 1\n",
"    h = *p;\n",
"#else\n",
"    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);\n",
"    spki_h packed;\n",
"    memcpy(&packed, p, sizeof packed);\n",
"    h = __builtin_convertvector(packed, SPKI_I);\n",
"#endif\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));\n",
"    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);\n",
"    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);\n",
"}\n",
"SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_I none = SPKI_NIL(SPKI_I);\n",
"    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;\n",
"    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));\n",
"    const SPKI_R least = SPKI_C(3.0547380447387695e-05);\n",
"    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;\n",
"    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;\n",
"#if SPKI_LANES == 1\n",
"    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;\n",
"    code = code > 0x7fff ? 0x7fff : code;\n",
"    code = a < least ? (u < a ? 1 : none) : code;\n",
"    *p = (uint16_t)(code == 0 ? 0 : (code | sign));\n",
"#else\n",
"    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;\n",
"    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;\n",
"    code = (top & 0x7fff) | (~top & code);\n",
"    code = (tiny & one) | (~tiny & code);\n",
"    code = (code | sign) & (code != none);\n",
"    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);\n",
"    const spki_h packed = __builtin_convertvector(code, spki_h);\n",
"    memcpy(p, &packed, sizeof packed);\n",
"#endif\n",
"}\n",
"#endif\n",
"#if defined(__cplusplus) && (!defined(SPKI_ON_DEVICE) || defined(SPKI_CODE))\n",
"#define SPKI_OVERLOAD_1(name) \\\n",
"    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }\n",
"#define SPKI_OVERLOAD_2(name) \\\n",
"    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }\n",
"SPKI_OVERLOAD_1(exp)\n",
"SPKI_OVERLOAD_1(exprel)\n",
"SPKI_OVERLOAD_1(log)\n",
"SPKI_OVERLOAD_1(sin)\n",
"SPKI_OVERLOAD_1(cos)\n",
"SPKI_OVERLOAD_1(tanh)\n",
"SPKI_OVERLOAD_1(sqrt)\n",
"SPKI_OVERLOAD_1(abs)\n",
"SPKI_OVERLOAD_1(flush)\n",
"SPKI_OVERLOAD_2(pow)\n",
"SPKI_OVERLOAD_2(min)\n",
"SPKI_OVERLOAD_2(max)\n",
"SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)\n",
"{\n",
"    return SPKI_F(spki_select)(c, a, b);\n",
"}\n",
"#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE || defined(SPKI_CODE)\n",
"SPKI_MATH int spki_ov_any(SPKI_M c)\n",
"{\n",
"    return SPKI_F(spki_any)(c);\n",
"}\n",
"#endif\n",
"#ifndef SPKI_CODE\n",
"#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE\n",
"SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)\n",
"{\n",
"    return SPKI_F(spki_mask_bits)(c);\n",
"}\n",
"#endif\n",
"#if !SPKI_IS_DOUBLE\n",
"SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)\n",
"{\n",
"    return SPKI_F(spki_unpack16)(like, p);\n",
"}\n",
"SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)\n",
"{\n",
"    SPKI_F(spki_pack16)(x, p, random);\n",
"}\n",
"#endif\n",
"#endif\n",
"#undef SPKI_OVERLOAD_1\n",
"#undef SPKI_OVERLOAD_2\n",
"#endif\n",
"#ifndef SPKI_ON_DEVICE\n",
"#undef SPKI_R\n",
"#undef SPKI_I\n",
"#undef SPKI_M\n",
"#undef SPKI_F\n",
"#undef SPKI_MATH\n",
"#undef SPKI_C\n",
"#undef SPKI_X86_VECTOR\n",
"#undef SPKI_INT\n",
"#undef SPKI_LANES\n",
"#undef SPKI_IS_DOUBLE\n",
"#undef SPKI_S\n",
"#undef SPKI_E\n",
"#undef SPKI_TARGET\n",
"#endif\n",
0
};

static const char *const spki_gpu_text_engine[] = {
"typedef SPKI_R real;\n",
"typedef SPKI_CAT(spki_m, SPKI_S) mask;\n",
"#define spki_elem SPKI_E\n",
"#ifndef K\n",
"#define K(x) (spki_zero + (spki_elem)(x))\n",
"#endif\n",
"#define spk_exp(x) SPKI_F(spki_exp)(x)\n",
"#define spk_exprel(x) SPKI_F(spki_exprel)(x)\n",
"#define spk_log(x) SPKI_F(spki_log)(x)\n",
"#define spk_sin(x) SPKI_F(spki_sin)(x)\n",
"#define spk_cos(x) SPKI_F(spki_cos)(x)\n",
"#define spk_tanh(x) SPKI_F(spki_tanh)(x)\n",
"#define spk_sqrt(x) SPKI_F(spki_sqrt)(x)\n",
"#define spk_abs(x) SPKI_F(spki_abs)(x)\n",
"#define spk_flush(x) SPKI_F(spki_flush)(x)\n",
"#define spk_pow(x, y) SPKI_F(spki_pow)(x, y)\n",
"#define spk_min(x, y) SPKI_F(spki_min)(x, y)\n",
"#define spk_max(x, y) SPKI_F(spki_max)(x, y)\n",
"#define spk_any(c) SPKI_F(spki_any)(c)\n",
"#define spk_select(c, a, b) SPKI_F(spki_select)(c, a, b)\n",
"#if SPKI_WIDE\n",
"typedef int64_t spki_acc;\n",
"#else\n",
"typedef int32_t spki_acc;\n",
"#endif\n",
"#if SPKI_LANES == 1\n",
"typedef spki_acc spki_accs;\n",
"#elif SPKI_WIDE\n",
"typedef SPKI_CAT(long, SPKI_LANES) spki_accs;\n",
"#else\n",
"typedef spki_ints spki_accs;\n",
"#endif\n",
"#if SPKI_HALF\n",
"typedef uint16_t spki_stored;\n",
"#else\n",
"typedef spki_elem spki_stored;\n",
"#endif\n",
"typedef struct spki_env {\n",
"    SPKI_GLOBAL const uint64_t *desc, *pop;\n",
"    SPKI_GLOBAL const spki_elem *value;\n",
"    SPKI_GLOBAL const uint32_t *table;\n",
"    SPKI_GLOBAL const spki_elem *told;\n",
"    SPKI_GLOBAL spki_stored *state;\n",
"    SPKI_GLOBAL spki_acc *acc;\n",
"    uint64_t step, at_acc, stride;\n",
"    uint32_t seed0, seed1, group, low, amounts, arrived;\n",
"} spki_env;\n",
"SPKI_DEVICE void spki_draw(const spki_env *e, uint64_t step, uint32_t stream, spki_words out[4])\n",
"{\n",
"    spki_words x0, x1, x2, x3;\n",
"    uint32_t k0 = e->seed0, k1 = e->seed1;\n",
"#if SPKI_LANES == 16\n",
"    x0 = (spki_words)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);\n",
"#elif SPKI_LANES == 8\n",
"    x0 = (spki_words)(0, 1, 2, 3, 4, 5, 6, 7);\n",
"#elif SPKI_LANES == 4\n",
"    x0 = (spki_words)(0, 1, 2, 3);\n",
"#else\n",
"    x0 = 0;\n",
"#endif\n",
"    x0 = x0 + (e->group * 16u + e->low);\n",
"    x1 = (spki_words)((uint32_t)step);\n",
"    x2 = (spki_words)((uint32_t)(step >> 32) ^ (uint32_t)e->pop[SPKI_POP_TAG]);\n",
"    x3 = (spki_words)(stream);\n",
"    for (int round = 0; round < 10; round++) {\n",
"        spki_words l0, l1;\n",
"        const spki_words h0 = spki_multiply(x0, 0xD2511F53u, &l0);\n",
"        const spki_words h1 = spki_multiply(x2, 0xCD9E8D57u, &l1);\n",
"        x0 = h1 ^ x1 ^ k0;\n",
"        x1 = l1;\n",
"        x2 = h0 ^ x3 ^ k1;\n",
"        x3 = l0;\n",
"        k0 += 0x9E3779B9u;\n",
"        k1 += 0xBB67AE85u;\n",
"    }\n",
"    out[0] = x0;\n",
"    out[1] = x1;\n",
"    out[2] = x2;\n",
"    out[3] = x3;\n",
"}\n",
"#define SPKI_HALVES(u, high, low) \\\n",
"    const real high = SPKI_TO_REAL((u) >> 16), low = SPKI_TO_REAL((u)&0xffffu)\n",
"SPKI_DEVICE real spki_uniform(spki_words u)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    SPKI_HALVES(u, high, low);\n",
"    return (high * K(65536.0) + (low + K(0.5))) * K(2.3283064365386963e-10);\n",
"}\n",
"SPKI_DEVICE real spki_normal(spki_words u, spki_elem sd)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"#if SPKI_LANES == 1\n",
"    const uint32_t m = (u & 0x80000000u) ? ~u : u;\n",
"#else\n",
"    const spki_words m = u ^ (0u - (u >> 31));\n",
"#endif\n",
"    SPKI_HALVES(m, high, low);\n",
"    const real tail = (high * K(65536.0) + (low + K(0.5))) * K(2.3283064365386963e-10);\n",
"    const real q = K(0.5) - tail, r = K(0.180625) - q * q;\n",
"    const real mid =\n",
"        q * (((K(59.109374720) * r + K(159.29113202)) * r + K(50.434271938)) * r +\n",
"             K(3.3871327179)) /\n",
"        (((K(67.187563600) * r + K(78.757757664)) * r + K(17.895169469)) * r + K(1.0));\n",
"    const real s = spk_sqrt(-spk_log(tail)) - K(1.6);\n",
"    const real wing = (((K(0.17023821103) * s + K(1.3067284816)) * s + K(2.7568153900)) * s +\n",
"                       K(1.4234372777)) /\n",
"                      ((K(0.12021132975) * s + K(0.73700164250)) * s + K(1.0));\n",
"    const real z = spk_select(q <= K(0.425), mid, wing) * (spki_zero + sd);\n",
"#if SPKI_LANES == 1\n",
"    return (u & 0x80000000u) ? z : -z;\n",
"#else\n",
"    return spk_select(SPKI_WIDER((u >> 31) != 0u), z, -z);\n",
"#endif\n",
"}\n",
"SPKI_DEVICE spki_ints spki_events(SPKI_GLOBAL const uint32_t *table, spki_words u)\n",
"{\n",
"    const uint32_t count = table[1], common = table[2];\n",
"    spki_ints hits = SPKI_NIL(spki_ints);\n",
"    uint32_t t = 0;\n",
"#if SPKI_LANES > 1\n",
"    for (; t < common; t++) {\n",
"        hits += u >= table[3 + t];\n",
"    }\n",
"#endif\n",
"    for (; t < count; t++) {\n",
"        const spki_ints reached = u >= table[3 + t];\n",
"#if SPKI_LANES == 1\n",
"        if (!reached) {\n",
"#else\n",
"        if (!SPKI_ANY_INTS(reached)) {\n",
"#endif\n",
"            break;\n",
"        }\n",
"        hits += reached;\n",
"    }\n",
"    return SPKI_COUNT(hits) + (int)table[0];\n",
"}\n",
"SPKI_DEVICE real spki_add_part(real x, real add, uint32_t lane, uint32_t first, uint32_t count)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return lane - first < count ? x + add : x;\n",
"#else\n",
"    if (lane >= first && lane + SPKI_LANES <= first + count) {\n",
"        return x + add;\n",
"    }\n",
"    spki_elem in[SPKI_LANES], more[SPKI_LANES];\n",
"    SPKI_VSTORE(x, in, 0);\n",
"    SPKI_VSTORE(add, more, 0);\n",
"    for (uint32_t k = 0; k < SPKI_LANES; k++) {\n",
"        in[k] = lane + k - first < count ? in[k] + more[k] : in[k];\n",
"    }\n",
"    return SPKI_VLOAD(in, 0);\n",
"#endif\n",
"}\n",
"SPKI_DEVICE real spki_own_poisson(const spki_env *e, SPKI_GLOBAL const uint64_t *part, uint32_t r,\n",
"                                  real x, spki_words u, uint32_t lane)\n",
"{\n",
"    const uint32_t first = (uint32_t)part[SPKI_PART_FIRST];\n",
"    const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];\n",
"    SPKI_GLOBAL const spki_elem *amount = e->value + part[SPKI_PART_VALUE];\n",
"    SPKI_GLOBAL const uint32_t *where = e->table + part[SPKI_PART_TABLE];\n",
"    spki_elem out[SPKI_LANES];\n",
"    uint32_t word[SPKI_LANES];\n",
"    SPKI_VSTORE(x, out, 0);\n",
"    SPKI_VSTORE(u, word, 0);\n",
"    for (uint32_t k = 0; k < SPKI_LANES; k++) {\n",
"        const uint32_t n = lane + k - first;\n",
"        if (n >= count || where[2 * n] != r) {\n",
"            continue;\n",
"        }\n",
"        SPKI_GLOBAL const uint32_t *table = e->table + where[2 * n + 1];\n",
"        uint32_t events = 0;\n",
"        while (events < table[1] && word[k] >= table[3 + events]) {\n",
"            events++;\n",
"        }\n",
"        out[k] = out[k] + (spki_elem)(int)(table[0] + events) * amount[n];\n",
"    }\n",
"    return SPKI_VLOAD(out, 0);\n",
"}\n",
"SPKI_DEVICE void spki_add_poisson(const spki_env *e, SPKI_GLOBAL const uint64_t *part, uint32_t r,\n",
"                                  real x[4])\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    const uint32_t base = e->group * 64u, first = (uint32_t)part[SPKI_PART_FIRST];\n",
"    const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];\n",
"    const uint32_t own = (uint32_t)part[SPKI_PART_OWN];\n",
"    if (base + 64u <= first || base >= first + count ||\n",
"        (own ? r != part[SPKI_PART_POS] && r != part[SPKI_PART_NEG] : r != part[SPKI_PART_POS])) {\n",
"        return;\n",
"    }\n",
"    spki_words u[4];\n",
"    spki_draw(e, e->step, (uint32_t)part[SPKI_PART_STREAM], u);\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        const uint32_t lane = base + 16u * w + e->low;\n",
"        if (own) {\n",
"            x[w] = spki_own_poisson(e, part, r, x[w], u[w], lane);\n",
"            continue;\n",
"        }\n",
"        const real weight = spki_zero + e->value[part[SPKI_PART_VALUE]];\n",
"        const real amount =\n",
"            SPKI_TO_REAL(spki_events(e->table + part[SPKI_PART_TABLE], u[w])) * weight;\n",
"        x[w] = spki_add_part(x[w], amount, lane, first, count);\n",
"    }\n",
"}\n",
"SPKI_DEVICE spki_elem spki_quantum(const spki_env *e, uint32_t r)\n",
"{\n",
"    return e->value[e->pop[SPKI_POP_QUANTUM + r]];\n",
"}\n",
"SPKI_DEVICE real spki_arrived(const spki_env *e, uint32_t r, spki_elem quantum, uint32_t w)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    if (!e->arrived) {\n",
"        return spki_zero;\n",
"    }\n",
"    SPKI_GLOBAL spki_acc *acc = e->acc + e->at_acc + r * e->stride + e->low + 16u * w;\n",
"    const spki_accs in = SPKI_ALIGNED(spki_accs, acc);\n",
"#if SPKI_LANES == 1\n",
"    *acc = 0;\n",
"#else\n",
"    if (SPKI_ANY_ACCS(in)) {\n",
"        SPKI_ALIGNED(spki_accs, acc) = SPKI_NIL(spki_accs);\n",
"    }\n",
"#endif\n",
"    return SPKI_TO_REAL(in) * (spki_zero + quantum);\n",
"}\n",
"SPKI_DEVICE void spki_receptor(const spki_env *e, uint32_t r, spki_elem quantum, real x[4])\n",
"{\n",
"    const uint32_t parts = (uint32_t)e->pop[SPKI_POP_PARTS];\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        x[w] = spki_arrived(e, r, quantum, w);\n",
"    }\n",
"    SPKI_GLOBAL const uint64_t *part = e->desc + e->pop[SPKI_POP_PART];\n",
"    for (uint32_t k = 0; k < parts; k++, part += SPKI_PART_SIZE) {\n",
"        if (part[SPKI_PART_KIND] == 0 && e->step >= part[SPKI_PART_START] &&\n",
"            e->step < part[SPKI_PART_STOP]) {\n",
"            spki_add_poisson(e, part, r, x);\n",
"        }\n",
"    }\n",
"    if (e->amounts && e->pop[SPKI_POP_AMOUNT + r]) {\n",
"        SPKI_GLOBAL const spki_elem *amount =\n",
"            e->told + (e->pop[SPKI_POP_AMOUNT + r] - 1) + e->group * 64u + e->low;\n",
"        for (uint32_t w = 0; w < 4; w++) {\n",
"            x[w] = x[w] + SPKI_VLOAD(amount, 16u * w);\n",
"        }\n",
"    }\n",
"}\n",
"#if SPKI_LANES > 1\n",
"SPKI_DEVICE real spki_undriven(const spki_env *e, uint32_t r, spki_elem quantum, uint32_t w)\n",
"{\n",
"    const real x = spki_arrived(e, r, quantum, w);\n",
"    return e->amounts && e->pop[SPKI_POP_AMOUNT + r]\n",
"               ? x + SPKI_VLOAD(e->told, e->pop[SPKI_POP_AMOUNT + r] - 1 + e->group * 64u +\n",
"                                             e->low + 16u * w)\n",
"               : x;\n",
"}\n",
"SPKI_DEVICE real spki_undriven_current(const spki_env *e, uint32_t w)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    return e->pop[SPKI_POP_CURRENT]\n",
"               ? spki_zero + SPKI_VLOAD(e->told, e->pop[SPKI_POP_CURRENT] - 1 + e->group * 64u +\n",
"                                                     e->low + 16u * w)\n",
"               : spki_zero;\n",
"}\n",
"#endif\n",
"SPKI_DEVICE void spki_current(const spki_env *e, real x[4])\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    const uint32_t parts = (uint32_t)e->pop[SPKI_POP_PARTS], base = e->group * 64u;\n",
"    SPKI_GLOBAL const uint64_t *part = e->desc + e->pop[SPKI_POP_PART];\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        x[w] = spki_zero;\n",
"    }\n",
"    for (uint32_t k = 0; k < parts; k++, part += SPKI_PART_SIZE) {\n",
"        const uint32_t first = (uint32_t)part[SPKI_PART_FIRST];\n",
"        const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];\n",
"        if (part[SPKI_PART_KIND] == 0 || e->step < part[SPKI_PART_START] ||\n",
"            e->step >= part[SPKI_PART_STOP] || base + 64u <= first || base >= first + count) {\n",
"            continue;\n",
"        }\n",
"        SPKI_GLOBAL const spki_elem *value = e->value + part[SPKI_PART_VALUE];\n",
"        for (uint32_t w = 0; w < 4; w++) {\n",
"            const uint32_t lane = base + 16u * w + e->low;\n",
"            const real add = part[SPKI_PART_OWN] ? SPKI_VLOAD(value, lane - first + 64u)\n",
"                                                 : spki_zero + value[0];\n",
"            x[w] = spki_add_part(x[w], add, lane, first, count);\n",
"        }\n",
"        if (part[SPKI_PART_NOISE]) {\n",
"            const uint64_t every = part[SPKI_PART_NOISE];\n",
"            const uint64_t since = e->step - part[SPKI_PART_START];\n",
"            const spki_elem sd = e->value[part[SPKI_PART_SD]];\n",
"            spki_words u[4];\n",
"            spki_draw(e, every == 1 ? since : since / every, (uint32_t)part[SPKI_PART_STREAM], u);\n",
"            for (uint32_t w = 0; w < 4; w++) {\n",
"                x[w] = spki_add_part(x[w], spki_normal(u[w], sd), base + 16u * w + e->low, first,\n",
"                                     count);\n",
"            }\n",
"        }\n",
"    }\n",
"    if (e->pop[SPKI_POP_CURRENT]) {\n",
"        SPKI_GLOBAL const spki_elem *current =\n",
"            e->told + (e->pop[SPKI_POP_CURRENT] - 1) + base + e->low;\n",
"        for (uint32_t w = 0; w < 4; w++) {\n",
"            x[w] = x[w] + SPKI_VLOAD(current, 16u * w);\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_random(const spki_env *e, uint32_t input, real x[4])\n",
"{\n",
"    spki_words u[4];\n",
"    spki_draw(e, e->step, SPKI_STREAM_INPUT | input, u);\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        x[w] = spki_uniform(u[w]);\n",
"    }\n",
"}\n",
"SPKI_DEVICE SPKI_GLOBAL spki_stored *spki_state(const spki_env *e, uint32_t s)\n",
"{\n",
"    return e->state + e->pop[SPKI_POP_STATE + s];\n",
"}\n",
"SPKI_DEVICE real spki_get(const spki_env *e, uint32_t s, SPKI_GLOBAL const spki_stored *at)\n",
"{\n",
"#if SPKI_HALF\n",
"    const uint16_t h = *at;\n",
"    return SPKI_F(spki_unpack16)(0.0f, &h) + e->value[e->pop[SPKI_POP_OFFSET] + s];\n",
"#else\n",
"    return SPKI_ALIGNED(const real, at);\n",
"#endif\n",
"}\n",
"SPKI_DEVICE void spki_put(const spki_env *e, uint32_t s, SPKI_GLOBAL spki_stored *at, real x,\n",
"                          spki_words random)\n",
"{\n",
"#if SPKI_HALF\n",
"    uint16_t h;\n",
"    SPKI_F(spki_pack16)(x - e->value[e->pop[SPKI_POP_OFFSET] + s], &h,\n",
"                        (int32_t)((random >> (16u * (s & 1u))) & 0x1fffu));\n",
"    *at = h;\n",
"#else\n",
"    SPKI_ALIGNED(real, at) = x;\n",
"#endif\n",
"}\n",
"#if SPKI_HALF\n",
"SPKI_DEVICE SPKI_GLOBAL float *spki_shadow(const spki_env *e, uint32_t words)\n",
"{\n",
"    const uint64_t groups = e->pop[SPKI_POP_GROUPS], shadows = e->pop[SPKI_POP_SHADOWS];\n",
"    const uint64_t slot = e->group * shadows / groups;\n",
"    return (e->group + 1u) * shadows / groups == slot\n",
"               ? 0\n",
"               : (SPKI_GLOBAL float *)e->state + (e->pop[SPKI_POP_SHADOW] + slot * words);\n",
"}\n",
"SPKI_DEVICE void spki_compare(SPKI_GLOBAL float *at, float x, int spike, int shadow_spike)\n",
"{\n",
"    SPKI_GLOBAL uint32_t *spikes = (SPKI_GLOBAL uint32_t *)(at + 64);\n",
"    *at = *at + (x < 0.0f ? -x : x);\n",
"    spikes[0] += spike ? 1u : 0u;\n",
"    spikes[64] += shadow_spike ? 1u : 0u;\n",
"}\n",
"#endif\n",
"SPKI_DEVICE spki_elem spki_same(const spki_env *e, uint32_t k)\n",
"{\n",
"    return e->value[e->pop[SPKI_POP_REAL + k]];\n",
"}\n",
"SPKI_DEVICE real spki_each(const spki_env *e, uint32_t k, uint32_t lane)\n",
"{\n",
"    return SPKI_VLOAD(e->value + (e->pop[SPKI_POP_REAL + k] + lane), 0);\n",
"}\n",
"SPKI_DEVICE uint32_t spki_bits(mask spike)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return spike ? 1u : 0u;\n",
"#else\n",
"    if (!SPKI_ANY(spike)) {\n",
"        return 0u;\n",
"    }\n",
"    return SPKI_MASK_BITS(spike);\n",
"#endif\n",
"}\n",
"#define SPKI_ITEMS_OF_GROUP (16u / SPKI_LANES)\n",
"#if SPKI_LANES > 1\n",
"#define SPKI_BEGIN_BLOCK \\\n",
"    for (uint32_t spki_s = 0; spki_s < spki_run->steps; spki_s++) { \\\n",
"        for (uint32_t spki_g = SPKI_ITEM(); spki_g < spki_groups; spki_g += SPKI_ITEMS()) { \\\n",
"            spki_e->group = spki_first + spki_g; \\\n",
"            uint64_t spki_word = 0; \\\n",
"            for (uint32_t spki_low = 0; spki_low < 16u; spki_low += SPKI_LANES) { \\\n",
"                spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);\n",
"#define SPKI_SPIKED(spike, w) \\\n",
"    spki_word |= (uint64_t)spki_bits(spike) << (16u * (w) + spki_low);\n",
"#define SPKI_END_BLOCK \\\n",
"            } \\\n",
"            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] + \\\n",
"                              spki_e->group] = spki_word & spki_valid(spki_e); \\\n",
"        } \\\n",
"    }\n",
"#elif defined(SPKI_VOTE)\n",
"#define SPKI_BEGIN_BLOCK \\\n",
"    const uint32_t spki_g = SPKI_ITEM() / 16u % SPKI_BLOCK_GROUPS, spki_low = SPKI_ITEM() % 16u; \\\n",
"    spki_e->group = spki_first + spki_g; \\\n",
"    for (uint32_t spki_s = 0; spki_g < spki_groups && spki_s < spki_run->steps; spki_s++) { \\\n",
"        uint64_t spki_word = 0; \\\n",
"        spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);\n",
"#define SPKI_SPIKED(spike, w) spki_word |= (uint64_t)SPKI_VOTE(spike) << (16u * (w));\n",
"#define SPKI_END_BLOCK \\\n",
"        if (spki_low == 0) { \\\n",
"            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] + \\\n",
"                              spki_e->group] = spki_word & spki_valid(spki_e); \\\n",
"        } \\\n",
"    }\n",
"#else\n",
"#define SPKI_BEGIN_BLOCK \\\n",
"    const uint32_t spki_g = SPKI_ITEM() / 16u, spki_low = SPKI_ITEM() % 16u; \\\n",
"    const int spki_on = spki_g < spki_groups; \\\n",
"    spki_e->group = spki_first + spki_g; \\\n",
"    for (uint32_t spki_s = 0; spki_s < spki_run->steps; spki_s++) { \\\n",
"        if (spki_low == 0) { \\\n",
"            spki_run->bits[2 * spki_g] = spki_run->bits[2 * spki_g + 1] = 0; \\\n",
"        } \\\n",
"        SPKI_MEET(); \\\n",
"        if (spki_on) { \\\n",
"            spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);\n",
"#define SPKI_SPIKED(spike, w) \\\n",
"    if (spike) { \\\n",
"        (void)SPKI_LOCAL_OR(&spki_run->bits[2 * spki_g + (w) / 2], \\\n",
"                            1u << (16u * ((w)&1u) + spki_low)); \\\n",
"    }\n",
"#define SPKI_END_BLOCK \\\n",
"        } \\\n",
"        SPKI_MEET(); \\\n",
"        if (spki_on && spki_low == 0) { \\\n",
"            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] + \\\n",
"                              spki_e->group] = \\\n",
"                ((uint64_t)spki_run->bits[2 * spki_g] | \\\n",
"                 (uint64_t)spki_run->bits[2 * spki_g + 1] << 32) & spki_valid(spki_e); \\\n",
"        } \\\n",
"        SPKI_MEET(); \\\n",
"    }\n",
"#endif\n",
"typedef struct spki_run {\n",
"    SPKI_GLOBAL uint64_t *history;\n",
"    SPKI_GLOBAL const uint32_t *arrived;\n",
"    SPKI_LOCAL uint32_t *bits;\n",
"    uint64_t first, slots, acc_first;\n",
"    uint32_t steps, pos, ring, mask, row, amounts;\n",
"} spki_run;\n",
"SPKI_DEVICE uint64_t spki_row(const spki_run *run, uint32_t s)\n",
"{\n",
"    return ((run->first + s) & run->mask) * run->row;\n",
"}\n",
"SPKI_DEVICE uint64_t spki_valid(const spki_env *e)\n",
"{\n",
"    const uint32_t left = (uint32_t)e->pop[SPKI_POP_COUNT] - e->group * 64u;\n",
"    return left >= 64u ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;\n",
"}\n",
"SPKI_DEVICE void spki_set_step(spki_env *e, const spki_run *run,\n",
"                               SPKI_GLOBAL const uint64_t *block, uint32_t g, uint32_t s,\n",
"                               uint32_t low)\n",
"{\n",
"    uint32_t pos = run->pos + s;\n",
"    pos -= pos >= run->ring ? run->ring : 0;\n",
"    e->step = run->first + s;\n",
"    e->low = low;\n",
"    e->at_acc = pos * run->slots + block[SPKI_BLOCK_ACC] - run->acc_first + g * 64u;\n",
"    e->stride = block[SPKI_BLOCK_STRIDE];\n",
"    e->amounts = run->amounts && s == 0;\n",
"#if SPKI_OWNED\n",
"    e->arrived = run->arrived[block[SPKI_BLOCK_TILE] * run->ring + pos];\n",
"#else\n",
"    e->arrived = 1;\n",
"#endif\n",
"}\n",
0
};

static const char *const spki_gpu_text_kernels[] = {
"#ifndef SPKI_OF_SET\n",
"#define SPKI_OF_SET\n",
"#define SPKI_WITH_SET(name) name\n",
"#endif\n",
"#if defined(SPKI_REPLAYED)\n",
"#define SPKI_ORIGIN_PARAM , const uint64_t *origin\n",
"#define SPKI_FROM_ORIGIN(k) (origin ? origin[k] : 0)\n",
"#define SPKI_ORIGIN_POS(pos, ring) (origin ? ((pos) + (uint32_t)origin[1]) % (ring) : (pos))\n",
"#define SPKI_ORIGIN_LIST(list) (origin ? (uint32_t *)origin[3] : (list))\n",
"#else\n",
"#define SPKI_ORIGIN_PARAM\n",
"#define SPKI_FROM_ORIGIN(k) 0\n",
"#define SPKI_ORIGIN_POS(pos, ring) (pos)\n",
"#define SPKI_ORIGIN_LIST(list) (list)\n",
"#endif\n",
"SPKI_OF_SET SPKI_DEVICE void spki_update_block(spki_env *e, const spki_run *run,\n",
"                                               SPKI_GLOBAL const uint64_t *block)\n",
"{\n",
"#if defined(SPKI_DISPATCH)\n",
"    switch ((uint32_t)e->pop[SPKI_POP_MODEL]) {\n",
"        SPKI_DISPATCH\n",
"    default: break;\n",
"    }\n",
"#else\n",
"    spki_set::update((uint32_t)e->pop[SPKI_POP_MODEL], e, run, block);\n",
"#endif\n",
"}\n",
"SPKI_ENTRY(spki_update)(SPKI_GLOBAL const uint64_t *desc, SPKI_GLOBAL const uint64_t *blocks,\n",
"                        SPKI_GLOBAL const spki_elem *value, SPKI_GLOBAL const uint32_t *table,\n",
"                        SPKI_GLOBAL const spki_elem *told, SPKI_GLOBAL spki_stored *state,\n",
"                        SPKI_GLOBAL spki_acc *acc, SPKI_GLOBAL const uint32_t *arrived,\n",
"                        SPKI_GLOBAL uint64_t *history, uint64_t seed, uint64_t first,\n",
"                        uint64_t slots, uint32_t steps, uint32_t pos, uint32_t ring,\n",
"                        uint32_t history_mask, uint32_t history_row,\n",
"                        uint32_t amounts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t bits[2 * SPKI_BLOCK_GROUPS];\n",
"    spki_env e;\n",
"    spki_run run;\n",
"    e.desc = desc;\n",
"    e.value = value;\n",
"    e.table = table;\n",
"    e.told = told;\n",
"    e.state = state;\n",
"    e.acc = acc;\n",
"    e.seed0 = (uint32_t)seed;\n",
"    e.seed1 = (uint32_t)(seed >> 32);\n",
"    run.history = history;\n",
"    run.arrived = arrived;\n",
"    run.bits = bits;\n",
"    run.first = first + SPKI_FROM_ORIGIN(0);\n",
"    run.slots = slots;\n",
"    run.acc_first = 0;\n",
"    run.steps = steps;\n",
"    run.pos = SPKI_ORIGIN_POS(pos, ring);\n",
"    run.ring = ring;\n",
"    run.mask = history_mask;\n",
"    run.row = history_row;\n",
"    run.amounts = amounts;\n",
"    SPKI_GLOBAL const uint64_t *block = blocks + SPKI_GROUP_ID() * SPKI_BLOCK_SIZE;\n",
"    e.pop = desc + block[SPKI_BLOCK_POP];\n",
"    SPKI_WITH_SET(spki_update_block)(&e, &run, block);\n",
"}\n",
"SPKI_ENTRY(spki_tell)(SPKI_GLOBAL const uint32_t *lane, SPKI_GLOBAL uint32_t *history,\n",
"                      uint64_t row, uint32_t first, uint32_t count)\n",
"{\n",
"    const uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    const uint32_t n = k < count ? lane[first + k] : 0xffffffffu;\n",
"    if (n != 0xffffffffu) {\n",
"        (void)SPKI_GLOBAL_OR(&history[row + n / 32u], 1u << (n % 32u));\n",
"    }\n",
"}\n",
"#if defined(SPKI_FROM_BEFORE)\n",
"SPKI_DEVICE uint32_t spki_before(SPKI_LOCAL uint32_t *sum, uint32_t mine, uint32_t *all)\n",
"{\n",
"    const uint32_t lane = SPKI_ITEM() % 32u, warp = SPKI_ITEM() / 32u, warps = SPKI_ITEMS() / 32u;\n",
"    uint32_t up = mine, before = 0, total = 0;\n",
"    for (uint32_t d = 1; d < 32u; d *= 2) {\n",
"        const uint32_t add = SPKI_FROM_BEFORE(up, d);\n",
"        up += lane >= d ? add : 0;\n",
"    }\n",
"    if (lane == 31u) {\n",
"        sum[warp] = up;\n",
"    }\n",
"    SPKI_MEET();\n",
"    for (uint32_t w = 0; w < warps; w++) {\n",
"        before += w < warp ? sum[w] : 0;\n",
"        total += sum[w];\n",
"    }\n",
"    SPKI_MEET();\n",
"    *all = total;\n",
"    return before + up - mine;\n",
"}\n",
"#else\n",
"SPKI_DEVICE uint32_t spki_before(SPKI_LOCAL uint32_t *sum, uint32_t mine, uint32_t *all)\n",
"{\n",
"    const uint32_t item = SPKI_ITEM(), items = SPKI_ITEMS();\n",
"    sum[item] = mine;\n",
"    SPKI_MEET();\n",
"    for (uint32_t d = 1; d < items; d *= 2) {\n",
"        const uint32_t add = item >= d ? sum[item - d] : 0;\n",
"        SPKI_MEET();\n",
"        sum[item] += add;\n",
"        SPKI_MEET();\n",
"    }\n",
"    *all = sum[items - 1];\n",
"    const uint32_t before = sum[item] - mine;\n",
"    SPKI_MEET();\n",
"    return before;\n",
"}\n",
"#endif\n",
"SPKI_ENTRY(spki_count)(SPKI_GLOBAL const uint64_t *history, SPKI_GLOBAL uint32_t *counts,\n",
"                       uint64_t first, uint32_t history_mask, uint32_t history_row,\n",
"                       uint32_t group_first, uint32_t groups, uint32_t parts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];\n",
"    const uint32_t s = SPKI_GROUP_ID() / parts, part = SPKI_GROUP_ID() % parts;\n",
"    const uint32_t from = (uint32_t)((uint64_t)groups * part / parts);\n",
"    const uint32_t to = (uint32_t)((uint64_t)groups * (part + 1) / parts);\n",
"    first += SPKI_FROM_ORIGIN(0);\n",
"    SPKI_GLOBAL const uint64_t *row =\n",
"        history + ((first + s) & history_mask) * history_row + group_first;\n",
"    uint32_t n = 0, all;\n",
"    for (uint32_t g = from + SPKI_ITEM(); g < to; g += SPKI_ITEMS()) {\n",
"        n += SPKI_POPCOUNT(row[g]);\n",
"    }\n",
"    (void)spki_before(sum, n, &all);\n",
"    if (SPKI_ITEM() == 0) {\n",
"        counts[SPKI_GROUP_ID()] = all;\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_scan)(SPKI_GLOBAL uint32_t *counts, SPKI_GLOBAL uint32_t *list, uint32_t at,\n",
"                      uint32_t steps, uint32_t parts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];\n",
"    list = SPKI_ORIGIN_LIST(list);\n",
"    at += (uint32_t)SPKI_FROM_ORIGIN(2);\n",
"    uint32_t total = list[at];\n",
"    for (uint32_t s = 0; s < steps; s++) {\n",
"        for (uint32_t k = 0; k < parts; k += SPKI_ITEMS()) {\n",
"            const uint32_t mine = k + SPKI_ITEM();\n",
"            uint32_t all;\n",
"            const uint32_t n = mine < parts ? counts[s * parts + mine] : 0;\n",
"            const uint32_t before = spki_before(sum, n, &all);\n",
"            if (mine < parts) {\n",
"                counts[s * parts + mine] = total + before;\n",
"            }\n",
"            total += all;\n",
"        }\n",
"        if (SPKI_ITEM() == 0) {\n",
"            list[at + s + 1] = total;\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_compact)(SPKI_GLOBAL const uint64_t *history, SPKI_GLOBAL const uint32_t *counts,\n",
"                         SPKI_GLOBAL const uint32_t *group_id, SPKI_GLOBAL uint32_t *list,\n",
"                         uint64_t first, uint32_t at, uint32_t steps, uint32_t history_mask,\n",
"                         uint32_t history_row, uint32_t group_first, uint32_t groups,\n",
"                         uint32_t parts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];\n",
"    list = SPKI_ORIGIN_LIST(list);\n",
"    first += SPKI_FROM_ORIGIN(0);\n",
"    at += (uint32_t)SPKI_FROM_ORIGIN(2);\n",
"    const uint32_t part = SPKI_GROUP_ID() % parts;\n",
"    const uint32_t from = (uint32_t)((uint64_t)groups * part / parts);\n",
"    const uint32_t to = (uint32_t)((uint64_t)groups * (part + 1) / parts);\n",
"    uint32_t s = SPKI_GROUP_ID() / parts, end = s + 1, total;\n",
"    if (parts == 1) {\n",
"        uint32_t n = 0, all;\n",
"        s = steps * SPKI_GROUP_ID() / SPKI_GROUPS();\n",
"        end = steps * (SPKI_GROUP_ID() + 1) / SPKI_GROUPS();\n",
"        for (uint32_t k = 0; k < s; k++) {\n",
"            SPKI_GLOBAL const uint64_t *row =\n",
"                history + ((first + k) & history_mask) * history_row + group_first;\n",
"            for (uint32_t g = SPKI_ITEM(); g < groups; g += SPKI_ITEMS()) {\n",
"                n += SPKI_POPCOUNT(row[g]);\n",
"            }\n",
"        }\n",
"        (void)spki_before(sum, n, &all);\n",
"        total = list[at] + all;\n",
"    } else {\n",
"        total = counts[SPKI_GROUP_ID()];\n",
"    }\n",
"    for (; s < end; s++) {\n",
"        SPKI_GLOBAL const uint64_t *row =\n",
"            history + ((first + s) & history_mask) * history_row + group_first;\n",
"        for (uint32_t g = from; g < to; g += SPKI_ITEMS()) {\n",
"            const uint32_t mine = g + SPKI_ITEM();\n",
"            uint64_t word = mine < to ? row[mine] : 0;\n",
"            uint32_t all, n = SPKI_POPCOUNT(word);\n",
"            uint32_t put = SPKI_LIST_IDS + total + spki_before(sum, n, &all);\n",
"            for (; word; word &= word - 1) {\n",
"                list[put++] = group_id[group_first + mine] + SPKI_LOWEST(word);\n",
"            }\n",
"            total += all;\n",
"        }\n",
"        if (parts == 1 && SPKI_ITEM() == 0) {\n",
"            list[at + s + 1] = total;\n",
"        }\n",
"    }\n",
"}\n",
"#if SPKI_WIDE_WEIGHTS\n",
"#define SPKI_SYNAPSE_WORDS 2u\n",
"#define SPKI_SLOT(p) ((p)[0])\n",
"#define SPKI_WEIGHT(p) ((int32_t)(p)[1])\n",
"#else\n",
"#define SPKI_SYNAPSE_WORDS 1u\n",
"#define SPKI_SLOT(p) ((p)[0] & 0xffffu)\n",
"#define SPKI_WEIGHT(p) ((int32_t)(p)[0] >> 16)\n",
"#endif\n",
"#if SPKI_BYTE_WEIGHTS\n",
"#define SPKI_BUCKET_WORDS(count) (3u * ((count) / 4u) + ((count) & 3u))\n",
"SPKI_DEVICE uint32_t spki_slot_of(SPKI_GLOBAL const uint32_t *bucket, uint32_t count, uint32_t k)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *s = bucket + 3u * (k / 4u);\n",
"    return k < (count & ~3u) ? s[(k & 3u) / 2u] >> (16u * (k & 1u)) & 0xffffu\n",
"                             : s[k & 3u] & 0xffffu;\n",
"}\n",
"SPKI_DEVICE int32_t spki_weight_of(SPKI_GLOBAL const uint32_t *bucket, uint32_t count, uint32_t k)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *s = bucket + 3u * (k / 4u);\n",
"    return k < (count & ~3u) ? (int32_t)(s[2] << (24u - 8u * (k & 3u))) >> 24\n",
"                             : (int32_t)s[k & 3u] >> 16;\n",
"}\n",
"#define SPKI_SLOT_OF(bucket, count, k) spki_slot_of(bucket, count, k)\n",
"#define SPKI_WEIGHT_OF(bucket, count, k) spki_weight_of(bucket, count, k)\n",
"#else\n",
"#define SPKI_BUCKET_WORDS(count) ((uint64_t)(count) * SPKI_SYNAPSE_WORDS)\n",
"#define SPKI_SLOT_OF(bucket, count, k) SPKI_SLOT((bucket) + (uint64_t)(k)*SPKI_SYNAPSE_WORDS)\n",
"#define SPKI_WEIGHT_OF(bucket, count, k) SPKI_WEIGHT((bucket) + (uint64_t)(k)*SPKI_SYNAPSE_WORDS)\n",
"#endif\n",
"#if SPKI_OWNED\n",
"#define SPKI_ARRIVE(p, x) (*(p) += (x))\n",
"#else\n",
"#define SPKI_ARRIVE(p, x) (void)SPKI_GLOBAL_ADD(p, x)\n",
"#endif\n",
"#define SPKI_WORDS_OF(layout) ((layout) & (((uint64_t)1 << 40) - 1))\n",
"#define SPKI_WIDE_COUNTS ((uint64_t)1 << 63)\n",
"#define SPKI_SHORTEST_OF(layout) ((uint32_t)((layout) >> 40) & 0xffffu)\n",
"#define SPKI_FLAT_BITS(layout) ((uint32_t)((layout) >> 56) & 31u)\n",
"#if !SPKI_OWNED && !SPKI_WIDE_WEIGHTS\n",
"SPKI_DEVICE void spki_deliver_flat(SPKI_GLOBAL const uint32_t *row, SPKI_GLOBAL spki_acc *acc,\n",
"                                   SPKI_LOCAL spki_acc *near, uint64_t slots, uint32_t pos,\n",
"                                   uint32_t ring, uint32_t age, uint64_t layout, uint32_t item,\n",
"                                   uint32_t items)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *synapse = row + 1;\n",
"    const uint32_t count = row[0], bits = SPKI_FLAT_BITS(layout);\n",
"    const uint32_t shortest = SPKI_SHORTEST_OF(layout);\n",
"    for (uint32_t k = item; k < count; k += items) {\n",
"        const uint32_t x = SPKI_SLOT_OF(synapse, count, k), delay = shortest + (x >> bits);\n",
"        const uint32_t to = x & ((1u << bits) - 1u);\n",
"        const int32_t weight = SPKI_WEIGHT_OF(synapse, count, k);\n",
"#if SPKI_LOCAL_SPAN\n",
"        if (near) {\n",
"            SPKI_LOCAL_ADD(&near[(delay - SPKI_LOCAL_FIRST) * SPKI_LOCAL_STRIDE + to], weight);\n",
"            continue;\n",
"        }\n",
"#endif\n",
"        if (delay >= age) {\n",
"            uint32_t step = pos + delay - age;\n",
"            step -= step >= ring ? ring : 0;\n",
"            step -= step >= ring ? ring : 0;\n",
"            SPKI_ARRIVE(&acc[step * slots + to], weight);\n",
"        }\n",
"    }\n",
"}\n",
"#endif\n",
"SPKI_DEVICE void spki_deliver_row(SPKI_GLOBAL const uint32_t *row, SPKI_GLOBAL spki_acc *acc,\n",
"                                  SPKI_LOCAL spki_acc *near, SPKI_GLOBAL uint32_t *arrived,\n",
"                                  uint64_t slots, uint32_t pos, uint32_t ring, uint32_t age,\n",
"                                  uint64_t layout, uint32_t team, uint32_t teams, uint32_t crew,\n",
"                                  uint32_t crews)\n",
"{\n",
"#if !SPKI_OWNED && !SPKI_WIDE_WEIGHTS\n",
"    if (SPKI_FLAT_BITS(layout)) {\n",
"        spki_deliver_flat(row, acc, near, slots, pos, ring, age, layout, crew * teams + team,\n",
"                          crews * teams);\n",
"        return;\n",
"    }\n",
"#endif\n",
"    const uint32_t entries = row[0], wide = (layout & SPKI_WIDE_COUNTS) != 0;\n",
"    SPKI_GLOBAL const uint32_t *synapse = row + 1 + (wide ? entries : (entries + 1) / 2);\n",
"    uint32_t delay = 0;\n",
"    for (uint32_t b = 0; b < entries; b++) {\n",
"        const uint32_t entry = wide ? row[1 + b] : row[1 + b / 2] >> (16 * (b & 1)) & 0xffffu;\n",
"        const uint32_t count = wide ? entry >> 16 : entry >> 8;\n",
"        delay += wide ? entry & 0xffffu : entry & 0xffu;\n",
"        if (delay >= age && b % crews == crew) {\n",
"#if SPKI_LOCAL_SPAN\n",
"            SPKI_LOCAL spki_acc *sum = near + (delay - SPKI_LOCAL_FIRST) * SPKI_LOCAL_STRIDE;\n",
"            for (uint32_t k = team; near && k < count; k += teams) {\n",
"                SPKI_LOCAL_ADD(&sum[SPKI_SLOT_OF(synapse, count, k)],\n",
"                               SPKI_WEIGHT_OF(synapse, count, k));\n",
"            }\n",
"#endif\n",
"            uint32_t slot = pos + delay - age;\n",
"            slot -= slot >= ring ? ring : 0;\n",
"            slot -= slot >= ring ? ring : 0;\n",
"            SPKI_GLOBAL spki_acc *to = acc + slot * slots;\n",
"#if SPKI_OWNED\n",
"            arrived[slot] = 1;\n",
"#endif\n",
"            for (uint32_t k = near ? count : team; k < count; k += teams) {\n",
"                SPKI_ARRIVE(&to[SPKI_SLOT_OF(synapse, count, k)],\n",
"                            SPKI_WEIGHT_OF(synapse, count, k));\n",
"            }\n",
"        }\n",
"        synapse += SPKI_BUCKET_WORDS(count);\n",
"    }\n",
"}\n",
"#define SPKI_ROW_OF(tile, id) (words + SPKI_WORDS_OF((tile)[1]) + rows[(tile)[0] + (id)])\n",
"#if SPKI_LOCAL_SPAN\n",
"SPKI_DEVICE void spki_deliver_tile(SPKI_LOCAL spki_acc *near, SPKI_GLOBAL const uint32_t *list,\n",
"                                   SPKI_GLOBAL const uint64_t *tile,\n",
"                                   SPKI_GLOBAL const uint32_t *rows,\n",
"                                   SPKI_GLOBAL const uint32_t *words, SPKI_GLOBAL spki_acc *acc,\n",
"                                   uint64_t slots, uint32_t at, uint32_t steps, uint32_t pos,\n",
"                                   uint32_t ring)\n",
"{\n",
"    const uint32_t team = SPKI_ITEM() / SPKI_TEAM, teams = SPKI_ITEMS() / SPKI_TEAM;\n",
"    for (uint32_t k = SPKI_ITEM(); k < SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE; k += SPKI_ITEMS()) {\n",
"        near[k] = 0;\n",
"    }\n",
"    SPKI_MEET();\n",
"    for (uint32_t s = 0; s < steps; s++) {\n",
"        for (uint32_t k = list[at + s] + team; k < list[at + s + 1]; k += teams) {\n",
"            const uint32_t id = list[SPKI_LIST_IDS + k];\n",
"            spki_deliver_row(SPKI_ROW_OF(tile, id), acc, near + s * SPKI_LOCAL_STRIDE,\n",
"                             (SPKI_GLOBAL uint32_t *)0, slots, pos, ring, 0,\n",
"                             tile[1], SPKI_ITEM() % SPKI_TEAM, SPKI_TEAM, 0, 1);\n",
"        }\n",
"    }\n",
"    SPKI_MEET();\n",
"    for (uint32_t k = SPKI_ITEM(); k < SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE; k += SPKI_ITEMS()) {\n",
"        if (near[k]) {\n",
"            const uint32_t step = pos + SPKI_LOCAL_FIRST + k / SPKI_LOCAL_STRIDE;\n",
"            acc[step % ring * slots + tile[2] + k % SPKI_LOCAL_STRIDE] += near[k];\n",
"        }\n",
"    }\n",
"}\n",
"#endif\n",
"SPKI_ENTRY(spki_deliver)(SPKI_GLOBAL const uint32_t *list, SPKI_GLOBAL const uint64_t *tiles,\n",
"                         SPKI_GLOBAL const uint32_t *rows, SPKI_GLOBAL const uint32_t *words,\n",
"                         SPKI_GLOBAL spki_acc *acc, SPKI_GLOBAL uint32_t *arrived, uint64_t slots,\n",
"                         uint32_t at, uint32_t steps, uint32_t pos, uint32_t ring, uint32_t age,\n",
"                         uint32_t first_tile, uint32_t tile_count SPKI_ORIGIN_PARAM)\n",
"{\n",
"    list = SPKI_ORIGIN_LIST(list);\n",
"    at += (uint32_t)SPKI_FROM_ORIGIN(2);\n",
"    pos = SPKI_ORIGIN_POS(pos, ring);\n",
"#if SPKI_OWNED\n",
"    arrived += (first_tile + SPKI_GROUP_ID()) * ring;\n",
"    for (uint32_t s = 0; age == 0 && s < steps; s++) {\n",
"        arrived[(pos + s) % ring] = 0;\n",
"    }\n",
"#endif\n",
"#if SPKI_LOCAL_SPAN\n",
"    SPKI_SHARED spki_acc near[SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE];\n",
"    if (age == 0) {\n",
"        spki_deliver_tile(near, list, tiles + (first_tile + SPKI_GROUP_ID()) * 3u, rows, words, acc,\n",
"                          slots, at, steps, pos, ring);\n",
"        return;\n",
"    }\n",
"#endif\n",
"    for (uint32_t s = 0; s < steps; s++) {\n",
"        const uint32_t from = list[at + s], to = list[at + s + 1];\n",
"#if SPKI_OWNED\n",
"        SPKI_GLOBAL const uint64_t *tile = tiles + (first_tile + SPKI_GROUP_ID()) * 3u;\n",
"        for (uint32_t k = from; k < to; k++) {\n",
"            const uint32_t id = list[SPKI_LIST_IDS + k];\n",
"            spki_deliver_row(SPKI_ROW_OF(tile, id), acc + tile[2], 0, arrived, slots, pos + s,\n",
"                             ring, age, tile[1], 0, 1, 0, 1);\n",
"        }\n",
"#else\n",
"        const uint64_t all = (uint64_t)(to - from) * tile_count;\n",
"        for (uint64_t k = SPKI_GROUP_ID(); k < all; k += SPKI_GROUPS()) {\n",
"            SPKI_GLOBAL const uint64_t *tile =\n",
"                tiles + (first_tile + (uint32_t)(k % tile_count)) * 3u;\n",
"            const uint32_t id = list[SPKI_LIST_IDS + from + (uint32_t)(k / tile_count)];\n",
"            spki_deliver_row(SPKI_ROW_OF(tile, id), acc + tile[2], 0, arrived, slots, pos + s,\n",
"                             ring, age, tile[1], SPKI_ITEM() % SPKI_TEAM, SPKI_TEAM,\n",
"                             SPKI_ITEM() / SPKI_TEAM, SPKI_ITEMS() / SPKI_TEAM);\n",
"        }\n",
"#endif\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_sample)(SPKI_GLOBAL const uint32_t *index, SPKI_GLOBAL const spki_stored *state,\n",
"                        SPKI_GLOBAL spki_stored *out, uint64_t to, uint32_t from, uint32_t count)\n",
"{\n",
"    for (uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM(); k < count;\n",
"         k += SPKI_GROUPS() * SPKI_ITEMS()) {\n",
"        out[to + k] = state[index[from + k]];\n",
"    }\n",
"}\n",
"#if defined(SPKI_REPLAYED)\n",
"SPKI_ENTRY(spki_begin)(uint64_t *origin, uint32_t *list, uint64_t step, uint32_t pos, uint32_t at)\n",
"{\n",
"    if (SPKI_ITEM() == 0) {\n",
"        origin[0] = step;\n",
"        origin[1] = pos;\n",
"        origin[2] = at;\n",
"        origin[3] = (uint64_t)list;\n",
"    }\n",
"}\n",
"#endif\n",
0
};

static const char *const spki_gpu_text_batch[] = {
"typedef struct spki_batch {\n",
"    const uint64_t *tiles;\n",
"    const uint32_t *rows, *words, *share, *group_id;\n",
"    uint32_t *counts, *ids, *list;\n",
"    uint64_t places;\n",
"    uint32_t group, tile_count, team, sofar;\n",
"} spki_batch;\n",
"SPKI_DEVICE void spki_note(const spki_batch *b, const uint64_t *row, uint32_t s, uint32_t *sum)\n",
"{\n",
"    const uint32_t *own = b->share + 2u * SPKI_GROUP_ID();\n",
"    const uint32_t from = own[1], to = own[3];\n",
"    uint32_t *ids = b->ids + s * b->places + (uint64_t)from * 64u, put = 0;\n",
"    for (uint32_t g = from; g < to; g += SPKI_ITEMS()) {\n",
"        const uint32_t mine = g + SPKI_ITEM();\n",
"        uint64_t word = mine < to ? row[mine] : 0;\n",
"        uint32_t all, at = put + spki_before(sum, SPKI_POPCOUNT(word), &all);\n",
"        for (; word; word &= word - 1) {\n",
"            ids[at++] = b->group_id[b->group + mine] + SPKI_LOWEST(word);\n",
"        }\n",
"        put += all;\n",
"    }\n",
"    if (SPKI_ITEM() == 0) {\n",
"        b->counts[s * SPKI_GROUPS() + SPKI_GROUP_ID()] = put;\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint32_t spki_starts(const spki_batch *b, uint32_t s, uint32_t *starts, uint32_t *sum)\n",
"{\n",
"    const uint32_t groups = SPKI_GROUPS();\n",
"    uint32_t total = 0;\n",
"    for (uint32_t k = 0; k < groups; k += SPKI_ITEMS()) {\n",
"        const uint32_t mine = k + SPKI_ITEM();\n",
"        uint32_t all;\n",
"        const uint32_t n = mine < groups ? b->counts[s * groups + mine] : 0;\n",
"        const uint32_t before = spki_before(sum, n, &all);\n",
"        if (mine < groups) {\n",
"            starts[mine] = total + before;\n",
"        }\n",
"        total += all;\n",
"    }\n",
"    if (SPKI_ITEM() == 0) {\n",
"        starts[groups] = total;\n",
"    }\n",
"    SPKI_MEET();\n",
"    return total;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_spike(const spki_batch *b, uint32_t s, const uint32_t *starts, uint32_t k)\n",
"{\n",
"    uint32_t low = 0, high = SPKI_GROUPS();\n",
"    while (high - low > 1u) {\n",
"        const uint32_t middle = (low + high) / 2u;\n",
"        if (starts[middle] <= k) {\n",
"            low = middle;\n",
"        } else {\n",
"            high = middle;\n",
"        }\n",
"    }\n",
"    return b->ids[s * b->places + (uint64_t)b->share[2u * low + 1u] * 64u + (k - starts[low])];\n",
"}\n",
"SPKI_DEVICE void spki_spread(const spki_batch *b, uint32_t s, const uint32_t *starts,\n",
"                             uint32_t total, int own, spki_acc *acc, uint64_t slots, uint32_t pos,\n",
"                             uint32_t ring)\n",
"{\n",
"    const uint32_t lane = SPKI_ITEM() % 32u, warp = SPKI_ITEM() / 32u, warps = SPKI_ITEMS() / 32u;\n",
"    const uint32_t tiles = own ? 1u : b->tile_count;\n",
"    const uint64_t all = (uint64_t)total * tiles;\n",
"    const uint64_t by = own ? warps : (uint64_t)warps * SPKI_GROUPS();\n",
"    for (uint64_t k = own ? warp : (uint64_t)warp * SPKI_GROUPS() + SPKI_GROUP_ID(); k < all;\n",
"         k += by) {\n",
"        const uint64_t *tile =\n",
"            b->tiles + (own ? SPKI_GROUP_ID() : (uint32_t)(k % tiles)) * 3u;\n",
"        const uint32_t id = spki_spike(b, s, starts, (uint32_t)(k / tiles));\n",
"        const uint32_t *row = b->words + SPKI_WORDS_OF(tile[1]) + b->rows[tile[0] + id];\n",
"        spki_deliver_row(row, own ? acc : acc + tile[2], 0, 0, slots, pos, ring, 0,\n",
"                         tile[1], lane % b->team, b->team, lane / b->team, 32u / b->team);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_carry(spki_acc *local, spki_acc *acc, uint64_t tile_slots, uint64_t slots,\n",
"                            uint32_t ring, int back)\n",
"{\n",
"    const uint32_t n = (uint32_t)tile_slots * ring;\n",
"    for (uint32_t k = SPKI_ITEM(); k < n; k += SPKI_ITEMS()) {\n",
"        spki_acc *there = acc + k / (uint32_t)tile_slots * slots + k % (uint32_t)tile_slots;\n",
"        if (back) {\n",
"            *there = local[k];\n",
"        } else {\n",
"            local[k] = *there;\n",
"        }\n",
"    }\n",
"    SPKI_MEET();\n",
"}\n",
"SPKI_DEVICE void spki_carry_states(const uint64_t *desc, const uint32_t *pieces, uint64_t *records,\n",
"                                   uint32_t record_words, spki_stored *local, spki_stored *state,\n",
"                                   int back)\n",
"{\n",
"    uint32_t base = 0;\n",
"    for (uint32_t p = pieces[SPKI_GROUP_ID()]; p < pieces[SPKI_GROUP_ID() + 1u];\n",
"         p += SPKI_PIECE_SIZE) {\n",
"        const uint32_t *piece = pieces + p;\n",
"        const uint64_t *record = desc + piece[SPKI_PIECE_RECORD];\n",
"        const uint32_t lanes = piece[SPKI_PIECE_LANES], states = piece[SPKI_PIECE_STATES];\n",
"        for (uint32_t k = SPKI_ITEM(); !back && k < piece[SPKI_PIECE_WORDS]; k += SPKI_ITEMS()) {\n",
"            const uint32_t s = k - SPKI_POP_STATE;\n",
"            records[k] = k >= SPKI_POP_STATE && s < states\n",
"                             ? (uint64_t)base + s * lanes - piece[SPKI_PIECE_FIRST]\n",
"                             : record[k];\n",
"        }\n",
"        for (uint32_t k = SPKI_ITEM(); k < states * lanes; k += SPKI_ITEMS()) {\n",
"            spki_stored *there = state + (record[SPKI_POP_STATE + k / lanes] +\n",
"                                          piece[SPKI_PIECE_FIRST] + k % lanes);\n",
"            if (back) {\n",
"                *there = local[base + k];\n",
"            } else {\n",
"                local[base + k] = *there;\n",
"            }\n",
"        }\n",
"        base += states * lanes;\n",
"        records += record_words;\n",
"    }\n",
"    SPKI_MEET();\n",
"}\n",
"#define SPKI_BATCH_PARAMS \\\n",
"    const uint64_t *desc, const uint64_t *blocks, const spki_elem *value, const uint32_t *table, \\\n",
"        const spki_elem *told, spki_stored *state, spki_acc *acc, uint64_t *history, \\\n",
"        const uint64_t *tiles, const uint32_t *rows, const uint32_t *words, \\\n",
"        const uint32_t *share, const uint32_t *group_id, uint32_t *found, uint32_t *list, \\\n",
"        uint32_t *meet, uint64_t seed, uint64_t first, uint64_t slots, uint32_t steps, \\\n",
"        uint32_t most, uint32_t pos, uint32_t ring, uint32_t history_mask, uint32_t history_row, \\\n",
"        uint32_t amounts, uint32_t at, uint32_t group, uint32_t groups, uint32_t tile_count, \\\n",
"        uint32_t team, const uint32_t *pieces, uint32_t record_words, uint32_t records_room\n",
"SPKI_OF_SET SPKI_DEVICE void spki_run_batch(SPKI_BATCH_PARAMS, uint64_t *shared)\n",
"{\n",
"    spki_acc *const local = shared ? (spki_acc *)(shared + records_room) : (spki_acc *)0;\n",
"    SPKI_SHARED uint32_t sum[32], starts[SPKI_BATCH_GROUPS + 1];\n",
"    const uint32_t *own = share + 2u * SPKI_GROUP_ID();\n",
"    const uint64_t *tile = tiles + SPKI_GROUP_ID() * 3u;\n",
"    const uint64_t end = SPKI_GROUP_ID() + 1u < tile_count ? tile[5] : slots;\n",
"    const uint64_t tile_slots = local ? end - tile[2] : 0;\n",
"    spki_stored *const states =\n",
"        (spki_stored *)(shared + records_room +\n",
"                        (tile_slots * ring * sizeof(spki_acc) + sizeof(uint64_t) - 1) /\n",
"                            sizeof(uint64_t));\n",
"    const uint32_t teams = SPKI_ITEMS() / (16u * SPKI_BLOCK_GROUPS);\n",
"    spki_env e;\n",
"    spki_run run;\n",
"    spki_batch b;\n",
"    e.desc = desc;\n",
"    e.value = value;\n",
"    e.table = table;\n",
"    e.told = told;\n",
"    e.state = records_room ? states : state;\n",
"    e.acc = local ? local : acc;\n",
"    e.seed0 = (uint32_t)seed;\n",
"    e.seed1 = (uint32_t)(seed >> 32);\n",
"    run.history = history;\n",
"    run.arrived = (const uint32_t *)0;\n",
"    run.bits = sum;\n",
"    run.slots = local ? tile_slots : slots;\n",
"    run.acc_first = local ? tile[2] : 0;\n",
"    run.ring = ring;\n",
"    run.mask = history_mask;\n",
"    run.row = history_row;\n",
"    b.tiles = tiles;\n",
"    b.rows = rows;\n",
"    b.words = words;\n",
"    b.share = share;\n",
"    b.group_id = group_id;\n",
"    b.list = list;\n",
"    b.places = (uint64_t)groups * 64u;\n",
"    b.group = group;\n",
"    b.tile_count = tile_count;\n",
"    b.team = team;\n",
"    b.sofar = list[at];\n",
"    if (local) {\n",
"        spki_carry(local, acc + tile[2], tile_slots, slots, ring, 0);\n",
"    }\n",
"    if (records_room) {\n",
"        spki_carry_states(desc, pieces, shared, record_words, states, state, 0);\n",
"    }\n",
"    for (uint32_t done = 0, turn = 0; done < steps; done += most, turn ^= 1u) {\n",
"        run.first = first + done;\n",
"        run.steps = steps - done < most ? steps - done : most;\n",
"        run.pos = (pos + done) % ring;\n",
"        run.amounts = amounts && done == 0;\n",
"        b.counts = found + turn * SPKI_GROUPS() * 32u;\n",
"        b.ids = found + 2u * SPKI_GROUPS() * 32u + turn * b.places * most;\n",
"        for (uint32_t k = own[0] + SPKI_ITEM() / (16u * SPKI_BLOCK_GROUPS); k < own[2];\n",
"             k += teams) {\n",
"            const uint64_t *block = blocks + k * SPKI_BLOCK_SIZE;\n",
"            e.pop = records_room ? shared + block[SPKI_BLOCK_PIECE] * record_words\n",
"                                 : desc + block[SPKI_BLOCK_POP];\n",
"            SPKI_WITH_SET(spki_update_block)(&e, &run, block);\n",
"        }\n",
"        SPKI_MEET();\n",
"        for (uint32_t s = 0; s < run.steps; s++) {\n",
"            spki_note(&b, history + spki_row(&run, s) + group, s, sum);\n",
"        }\n",
"        spki_meet_grid(meet);\n",
"        for (uint32_t s = 0; s < run.steps; s++) {\n",
"            const uint32_t total = spki_starts(&b, s, starts, sum);\n",
"            const uint32_t from = starts[SPKI_GROUP_ID()];\n",
"            const uint32_t *ids = b.ids + s * b.places + (uint64_t)own[1] * 64u;\n",
"            for (uint32_t k = SPKI_ITEM(); k < starts[SPKI_GROUP_ID() + 1u] - from;\n",
"                 k += SPKI_ITEMS()) {\n",
"                list[SPKI_LIST_IDS + b.sofar + from + k] = ids[k];\n",
"            }\n",
"            spki_spread(&b, s, starts, total, local != 0, local ? local : acc, run.slots,\n",
"                        run.pos + s, ring);\n",
"            b.sofar += total;\n",
"            if (SPKI_GROUP_ID() == 0 && SPKI_ITEM() == 0) {\n",
"                list[at + done + s + 1u] = b.sofar;\n",
"            }\n",
"            SPKI_MEET();\n",
"        }\n",
"        if (!local) {\n",
"            spki_meet_grid(meet);\n",
"        }\n",
"    }\n",
"    if (local) {\n",
"        spki_carry(local, acc + tile[2], tile_slots, slots, ring, 1);\n",
"    }\n",
"    if (records_room) {\n",
"        spki_carry_states(desc, pieces, shared, record_words, states, state, 1);\n",
"    }\n",
"}\n",
"#define SPKI_BATCH_ARGS \\\n",
"    desc, blocks, value, table, told, state, acc, history, tiles, rows, words, share, group_id, \\\n",
"        found, list, meet, seed, first, slots, steps, most, pos, ring, history_mask, history_row, \\\n",
"        amounts, at, group, groups, tile_count, team, pieces, record_words, records_room\n",
"SPKI_ENTRY_OF(SPKI_BATCH_ITEMS, spki_batch_all)(SPKI_BATCH_PARAMS)\n",
"{\n",
"    SPKI_WITH_SET(spki_run_batch)(SPKI_BATCH_ARGS, (uint64_t *)0);\n",
"}\n",
"SPKI_ENTRY_OF(SPKI_BATCH_ITEMS, spki_batch_own)(SPKI_BATCH_PARAMS)\n",
"{\n",
"    SPKI_SHARED_REST(uint64_t, shared);\n",
"    SPKI_WITH_SET(spki_run_batch)(SPKI_BATCH_ARGS, shared);\n",
"}\n",
0
};

static const char *const spki_gpu_text_selftest[] = {
"SPKI_ENTRY(spki_selftest)(SPKI_GLOBAL const SPKI_E *in, SPKI_GLOBAL SPKI_E *out, uint32_t count)\n",
"{\n",
"    const uint32_t k = (SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM()) * SPKI_LANES;\n",
"    if (k >= count) {\n",
"        return;\n",
"    }\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R x = SPKI_VLOAD(in, k), y = SPKI_VLOAD(in, count + k);\n",
"    const SPKI_R z = SPKI_VLOAD(in, 2 * count + k);\n",
"    const SPKI_R size = SPKI_F(spki_abs)(x), small = x * SPKI_C(0.001953125);\n",
"    SPKI_R r[SPKI_SELFTESTS];\n",
"    r[0] = x + y;\n",
"    r[1] = x * y - z;\n",
"    r[2] = z - x * y;\n",
"    r[3] = x / y;\n",
"    r[4] = SPKI_F(spki_sqrt)(size);\n",
"    r[5] = (x + y) - x;\n",
"    r[6] = SPKI_F(spki_exp)(small);\n",
"    r[7] = SPKI_F(spki_exprel)(small);\n",
"    r[8] = SPKI_F(spki_log)(size);\n",
"    r[9] = SPKI_F(spki_sin)(x);\n",
"    r[10] = SPKI_F(spki_cos)(y);\n",
"    r[11] = SPKI_F(spki_tanh)(small);\n",
"    r[12] = SPKI_F(spki_pow)(size, SPKI_F(spki_min)(y, SPKI_C(3.0)));\n",
"    r[13] = SPKI_F(spki_select)(x < y, SPKI_F(spki_flush)(x * SPKI_C(1e-30)), z);\n",
"#if defined(SPKI_CODE)\n",
"    const SPKI_R tiny = (size - size + SPKI_C(1.5e-38)) * SPKI_C(0.01);\n",
"    r[13] = SPKI_F(spki_select)(tiny > zero, r[13], x / zero);\n",
"#endif\n",
"    for (uint32_t f = 0; f < SPKI_SELFTESTS; f++) {\n",
"        SPKI_VSTORE(r[f], out, f * count + k);\n",
"    }\n",
"}\n",
0
};

static const char *const spki_gpu_text_rows[] = {
"#define SPKI_ROWS_NONE 0xffffffffu\n",
"#define SPKI_ROWS_MIN(a, b) ((a) < (b) ? (a) : (b))\n",
"typedef struct spki_drawn_words {\n",
"    uint32_t k0, k1, c0, c1, c2, c3, at;\n",
"    uint32_t word[4];\n",
"} spki_drawn_words;\n",
"SPKI_DEVICE void spki_drawn_philox(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2,\n",
"                                 uint32_t c3, uint32_t out[4])\n",
"{\n",
"    for (int round = 0; round < 10; round++) {\n",
"        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;\n",
"        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;\n",
"        c1 = (uint32_t)p1;\n",
"        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;\n",
"        c3 = (uint32_t)p0;\n",
"        k0 += 0x9E3779B9u;\n",
"        k1 += 0xBB67AE85u;\n",
"    }\n",
"    out[0] = c0;\n",
"    out[1] = c1;\n",
"    out[2] = c2;\n",
"    out[3] = c3;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_at(uint32_t what, uint32_t place)\n",
"{\n",
"    return (what << 28) | place;\n",
"}\n",
"SPKI_DEVICE void spki_drawn_open(spki_drawn_words *w, uint32_t k0, uint32_t k1, uint32_t c0,\n",
"                               uint32_t c1, uint32_t c2, uint32_t c3)\n",
"{\n",
"    w->k0 = k0;\n",
"    w->k1 = k1;\n",
"    w->c0 = c0;\n",
"    w->c1 = c1;\n",
"    w->c2 = c2;\n",
"    w->c3 = c3;\n",
"    w->at = 4;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_next(spki_drawn_words *w)\n",
"{\n",
"    if (w->at == 4) {\n",
"        spki_drawn_philox(w->k0, w->k1, w->c0, w->c1, w->c2, w->c3, w->word);\n",
"        w->c0++;\n",
"        w->at = 0;\n",
"    }\n",
"    return w->word[w->at++];\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_below(spki_drawn_words *w, uint32_t n, uint32_t refuse)\n",
"{\n",
"    uint64_t x;\n",
"    do {\n",
"        x = (uint64_t)spki_drawn_next(w) * n;\n",
"    } while ((uint32_t)x < refuse);\n",
"    return (uint32_t)(x >> 32);\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_refuse(uint32_t n)\n",
"{\n",
"    return (0u - n) % n;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_steps(SPKI_GLOBAL const uint32_t *t, uint32_t word)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 4097;\n",
"    uint32_t low = guide[word >> 20], high = guide[(word >> 20) + 1];\n",
"    while (low < high) {\n",
"        const uint32_t mid = (low + high) / 2;\n",
"        if (word > upto[mid]) {\n",
"            low = mid + 1;\n",
"        } else {\n",
"            high = mid;\n",
"        }\n",
"    }\n",
"    return t[0] + low;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_counts(SPKI_GLOBAL const uint32_t *t, uint64_t word)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 257;\n",
"    const uint32_t cell = (uint32_t)(word >> 56);\n",
"    uint32_t low = guide[cell], high = guide[cell + 1];\n",
"    while (low < high) {\n",
"        const uint32_t mid = (low + high) / 2;\n",
"        if (word > ((uint64_t)upto[2 * mid] << 32 | upto[2 * mid + 1])) {\n",
"            low = mid + 1;\n",
"        } else {\n",
"            high = mid;\n",
"        }\n",
"    }\n",
"    return t[0] + low;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_draw_count(SPKI_GLOBAL const uint32_t *t, spki_drawn_words *w)\n",
"{\n",
"    const uint64_t high = (uint64_t)spki_drawn_next(w) << 32;\n",
"    return spki_drawn_counts(t, high | spki_drawn_next(w));\n",
"}\n",
"SPKI_DEVICE uint64_t spki_drawn_coins(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,\n",
"                                    uint64_t n)\n",
"{\n",
"    uint64_t heads = 0;\n",
"    for (; n >= 1024; n -= 1024) {\n",
"        heads += spki_drawn_draw_count(coins, w);\n",
"    }\n",
"    for (; n >= 32; n -= 32) {\n",
"        heads += SPKI_POPCOUNT((uint64_t)spki_drawn_next(w));\n",
"    }\n",
"    if (n) {\n",
"        heads += SPKI_POPCOUNT((uint64_t)(spki_drawn_next(w) >> (32 - (uint32_t)n)));\n",
"    }\n",
"    return heads;\n",
"}\n",
"SPKI_DEVICE uint64_t spki_drawn_binomial(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,\n",
"                                       uint64_t n, uint64_t num, uint64_t den)\n",
"{\n",
"    uint64_t below = 0;\n",
"    if (num >= den) {\n",
"        return n;\n",
"    }\n",
"    while (n > 0 && num > 0) {\n",
"        const uint64_t zeros = spki_drawn_coins(coins, w, n);\n",
"        num *= 2;\n",
"        if (num >= den) {\n",
"            num -= den;\n",
"            below += zeros;\n",
"            n -= zeros;\n",
"        } else {\n",
"            n = zeros;\n",
"        }\n",
"    }\n",
"    return below;\n",
"}\n",
"typedef struct spki_drawn {\n",
"    SPKI_GLOBAL const uint32_t *proj, *table, *slot;\n",
"    SPKI_GLOBAL uint32_t *count, *place, *begin;\n",
"    SPKI_GLOBAL uint32_t *indegree;\n",
"    SPKI_GLOBAL uint32_t *words;\n",
"    uint32_t stride, shortest, tally, write, packed, most;\n",
"    uint32_t flat, first, all;\n",
"    uint32_t k0, k1, source, t0, t1, self, n;\n",
"} spki_drawn;\n",
"SPKI_DEVICE uint32_t spki_drawn_packed(uint32_t count)\n",
"{\n",
"    return count / 4 * 3 + count % 4;\n",
"}\n",
"SPKI_DEVICE void spki_drawn_pack(SPKI_GLOBAL uint32_t *bucket, uint32_t most, uint32_t k,\n",
"                               uint32_t all, uint32_t slot, uint32_t weight)\n",
"{\n",
"    const uint32_t entry = k / most, within = k % most, group = within / 4, j = within % 4;\n",
"    const uint32_t left = all - entry * most, count = left < most ? left : most;\n",
"    SPKI_GLOBAL uint32_t *to = bucket + entry * spki_drawn_packed(most) + group * 3;\n",
"    if (group == count / 4) {\n",
"        to[j] = slot | weight << 16;\n",
"        return;\n",
"    }\n",
"    if (j == 0 && most != SPKI_ROWS_NONE) {\n",
"        to[0] = to[1] = to[2] = 0;\n",
"    }\n",
"    to[j / 2] |= slot << (j % 2 * 16);\n",
"    to[2] |= (weight & 0xffu) << (8 * j);\n",
"}\n",
"SPKI_DEVICE void spki_drawn_put(spki_drawn *r, uint32_t t, uint32_t weight_word,\n",
"                                uint32_t delay_word)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    uint32_t d, w, slot;\n",
"    if (t - r->t0 >= r->t1 - r->t0) {\n",
"        return;\n",
"    }\n",
"    d = p[SPKI_ROWS_DELAY_AT] == SPKI_ROWS_NONE\n",
"            ? p[SPKI_ROWS_DELAY]\n",
"            : spki_drawn_steps(r->table + p[SPKI_ROWS_DELAY_AT], delay_word);\n",
"    const uint32_t later = d - r->first;\n",
"    d = (d - r->shortest) * r->stride;\n",
"    if (!r->write) {\n",
"        r->count[d]++;\n",
"        r->n++;\n",
"        if (!r->tally) {\n",
"            return;\n",
"        }\n",
"    }\n",
"    w = p[SPKI_ROWS_WEIGHT_AT] == SPKI_ROWS_NONE\n",
"            ? p[SPKI_ROWS_WEIGHT]\n",
"            : spki_drawn_steps(r->table + p[SPKI_ROWS_WEIGHT_AT], weight_word);\n",
"    slot = r->slot[t - r->t0];\n",
"    slot = (w & 0x80000000u) ? slot >> 16 : slot & 0xffffu;\n",
"    if (!r->write) {\n",
"        (void)SPKI_ADD32(r->indegree + slot, 1u);\n",
"        return;\n",
"    }\n",
"    if ((w & 0x80000000u) && p[SPKI_ROWS_MAGNITUDE]) {\n",
"        w = 0u - w;\n",
"    }\n",
"    if (r->flat) {\n",
"        slot |= later << r->flat;\n",
"    }\n",
"    if (r->packed && r->flat) {\n",
"        spki_drawn_pack(r->words, SPKI_ROWS_NONE, r->place[d]++, r->all, slot, w);\n",
"    } else if (r->packed) {\n",
"        spki_drawn_pack(r->words + r->begin[d], r->most, r->place[d]++, r->count[d], slot, w);\n",
"    } else {\n",
"        r->words[r->place[d]++] = slot | w << 16;\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_four(spki_drawn *r, const uint32_t t[4], uint32_t count, uint32_t c2,\n",
"                               uint32_t cw, uint32_t cd)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t span = r->t1 - r->t0;\n",
"    uint32_t weight[4], delay[4], any = 0, k;\n",
"    for (k = 0; k < 4; k++) {\n",
"        weight[k] = delay[k] = 0;\n",
"        any |= k < count && t[k] - r->t0 < span ? 1u : 0u;\n",
"    }\n",
"    if (!any) {\n",
"        return;\n",
"    }\n",
"    if (p[SPKI_ROWS_WEIGHT_AT] != SPKI_ROWS_NONE && (r->write | r->tally)) {\n",
"        spki_drawn_philox(r->k0, r->k1, cw, r->source, c2, p[SPKI_ROWS_STREAM], weight);\n",
"    }\n",
"    if (p[SPKI_ROWS_DELAY_AT] != SPKI_ROWS_NONE) {\n",
"        spki_drawn_philox(r->k0, r->k1, cd, r->source, c2, p[SPKI_ROWS_STREAM], delay);\n",
"    }\n",
"    for (k = 0; k < count; k++) {\n",
"        spki_drawn_put(r, t[k], weight[k], delay[k]);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_listed(spki_drawn *r, const uint32_t t[4], uint32_t j, uint32_t count,\n",
"                                 uint32_t all, uint32_t place)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS];\n",
"    const uint32_t chunk = j / 128, left = all - chunk * 128;\n",
"    const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;\n",
"    const uint32_t c = chunk * 32 * (weights + p[SPKI_ROWS_DELAY_WORDS]) + j % 128 / 4;\n",
"    spki_drawn_four(r, t, count, spki_drawn_at(SPKI_ROWS_AT_VALUES, place), c, c + here * weights);\n",
"}\n",
"SPKI_DEVICE void spki_drawn_same(spki_drawn *r)\n",
"{\n",
"    const uint32_t t[4] = {r->source, 0, 0, 0};\n",
"    if (r->self != r->source) {\n",
"        spki_drawn_listed(r, t, 0, 1, 1, 0);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_all(spki_drawn *r)\n",
"{\n",
"    const uint32_t n = r->proj[SPKI_ROWS_TARGETS];\n",
"    for (uint32_t first = r->t0 / 4 * 4; first < r->t1; first += 4) {\n",
"        const uint32_t block = first / 4096, begin = block * 4096, left = n - begin;\n",
"        uint32_t t[4];\n",
"        for (uint32_t k = 0; k < 4; k++) {\n",
"            t[k] = first + k == r->self ? SPKI_ROWS_NONE : first + k;\n",
"        }\n",
"        spki_drawn_listed(r, t, first - begin, n - first < 4 ? n - first : 4u,\n",
"                        left < 4096 ? left : 4096u, block);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_subset(spki_drawn_words *w, uint32_t bits[128], uint32_t n, uint32_t m)\n",
"{\n",
"    const uint32_t refuse = spki_drawn_refuse(n), others = m > n - m ? 1u : 0u;\n",
"    uint32_t left = others ? n - m : m, k;\n",
"    for (k = 0; k < 128; k++) {\n",
"        bits[k] = 0;\n",
"    }\n",
"    while (left) {\n",
"        const uint32_t t = spki_drawn_below(w, n, refuse), bit = 1u << (t & 31);\n",
"        left -= (bits[t >> 5] & bit) ? 0u : 1u;\n",
"        bits[t >> 5] |= bit;\n",
"    }\n",
"    for (k = 0; others && k < 128; k++) {\n",
"        const uint32_t end = n - SPKI_ROWS_MIN(n, k * 32);\n",
"        bits[k] = ~bits[k] & (end < 32 ? (1u << end) - 1 : 0xffffffffu);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_bits(spki_drawn *r, const uint32_t bits[128], uint32_t m,\n",
"                                 uint32_t block)\n",
"{\n",
"    const uint32_t base = block * 4096;\n",
"    uint32_t j = 0, k, t[4] = {0, 0, 0, 0};\n",
"    for (k = 0; k < 128 && j < m && base + k * 32 < r->t1; k++) {\n",
"        uint32_t now = bits[k];\n",
"        while (now) {\n",
"            const uint32_t at = base + k * 32 + SPKI_POPCOUNT((uint64_t)((now & (0u - now)) - 1));\n",
"            now &= now - 1;\n",
"            t[j % 4] = at == r->self ? SPKI_ROWS_NONE : at;\n",
"            j++;\n",
"            if (j % 4 == 0) {\n",
"                spki_drawn_listed(r, t, j - 4, 4, m, block);\n",
"            }\n",
"        }\n",
"    }\n",
"    if (j % 4) {\n",
"        spki_drawn_listed(r, t, j / 4 * 4, j % 4, m, block);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_bernoulli(spki_drawn *r)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t n = p[SPKI_ROWS_TARGETS], end = (n - 1) / 4096, last = (r->t1 - 1) / 4096;\n",
"    for (uint32_t b = r->t0 / 4096; b <= last; b++) {\n",
"        const uint32_t size = b < end ? 4096u : n - b * 4096;\n",
"        uint32_t bits[128];\n",
"        spki_drawn_words w;\n",
"        spki_drawn_open(&w, r->k0, r->k1, 0, r->source, spki_drawn_at(SPKI_ROWS_AT_BLOCK, b),\n",
"                      p[SPKI_ROWS_STREAM]);\n",
"        const uint32_t m = spki_drawn_draw_count(\n",
"            r->table + (b < end ? p[SPKI_ROWS_BLOCK_AT] : p[SPKI_ROWS_REST_AT]), &w);\n",
"        if (m) {\n",
"            spki_drawn_subset(&w, bits, size, m);\n",
"            spki_drawn_bits(r, bits, m, b);\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_leaf(spki_drawn *r, uint32_t leaf, uint32_t m)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS], values = 1 + weights +\n",
"                                                                 p[SPKI_ROWS_DELAY_WORDS];\n",
"    const uint32_t base = leaf * p[SPKI_ROWS_LEAF], rest = p[SPKI_ROWS_TARGETS] - base;\n",
"    const uint32_t whole = SPKI_ROWS_MIN(p[SPKI_ROWS_LEAF], rest);\n",
"    const uint32_t skip = r->self - base < whole ? 1u : 0u, size = whole - skip;\n",
"    const uint32_t refuse = spki_drawn_refuse(size), c2 = spki_drawn_at(SPKI_ROWS_AT_LEAF, leaf);\n",
"    for (uint32_t j = 0; j < m; j += 4) {\n",
"        const uint32_t chunk = j / 128, left = m - chunk * 128;\n",
"        const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;\n",
"        const uint32_t c = chunk * 32 * values + j % 128 / 4, count = m - j < 4 ? m - j : 4u;\n",
"        uint32_t word[4], t[4];\n",
"        spki_drawn_philox(r->k0, r->k1, c, r->source, c2, p[SPKI_ROWS_STREAM], word);\n",
"        for (uint32_t k = 0; k < count; k++) {\n",
"            const uint64_t x = (uint64_t)word[k] * size;\n",
"            t[k] = base + (uint32_t)(x >> 32);\n",
"            if ((uint32_t)x < refuse) {\n",
"                spki_drawn_words w;\n",
"                spki_drawn_open(&w, r->k0, r->k1, j + k, r->source,\n",
"                              spki_drawn_at(SPKI_ROWS_AT_REDRAW, leaf), p[SPKI_ROWS_STREAM]);\n",
"                t[k] = base + spki_drawn_below(&w, size, refuse);\n",
"            }\n",
"            t[k] += skip && t[k] >= r->self ? 1u : 0u;\n",
"        }\n",
"        spki_drawn_four(r, t, count, c2, c + here, c + here * (1 + weights));\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint64_t spki_drawn_span(const spki_drawn *r, uint32_t l0, uint32_t l1)\n",
"{\n",
"    const uint64_t leaf = r->proj[SPKI_ROWS_LEAF], n = r->proj[SPKI_ROWS_TARGETS];\n",
"    const uint64_t a = l0 * leaf, end = l1 * leaf, b = end < n ? end : n;\n",
"    return b - a - (r->self >= a && r->self < b ? 1u : 0u);\n",
"}\n",
"SPKI_DEVICE void spki_drawn_tree(spki_drawn *r, uint32_t m)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint64_t leaf = p[SPKI_ROWS_LEAF];\n",
"    uint32_t low[32], high[32], size[32], level[32], top = 1;\n",
"    low[0] = 0;\n",
"    high[0] = (uint32_t)((p[SPKI_ROWS_TARGETS] + leaf - 1) / leaf);\n",
"    size[0] = m;\n",
"    level[0] = 0;\n",
"    while (top) {\n",
"        const uint32_t at = --top, l0 = low[at], l1 = high[at], deep = level[at];\n",
"        const uint32_t all = size[at];\n",
"        uint32_t left = 1;\n",
"        spki_drawn_words w;\n",
"        if (!all || l0 * leaf >= r->t1 || l1 * leaf <= r->t0) {\n",
"            continue;\n",
"        }\n",
"        if (l1 - l0 == 1) {\n",
"            spki_drawn_leaf(r, l0, all);\n",
"            continue;\n",
"        }\n",
"        while (left < l1 - l0 - left) {\n",
"            left *= 2;\n",
"        }\n",
"        spki_drawn_open(&w, r->k0, r->k1, deep << 24, r->source,\n",
"                      spki_drawn_at(SPKI_ROWS_AT_NODE, l0), p[SPKI_ROWS_STREAM]);\n",
"        const uint32_t here = (uint32_t)spki_drawn_binomial(\n",
"            r->table + SPKI_ROWS_HALF, &w, all, spki_drawn_span(r, l0, l0 + left),\n",
"            spki_drawn_span(r, l0, l1));\n",
"        low[top] = l0 + left;\n",
"        high[top] = l1;\n",
"        size[top] = all - here;\n",
"        level[top] = deep + 1;\n",
"        top++;\n",
"        low[top] = l0;\n",
"        high[top] = l0 + left;\n",
"        size[top] = here;\n",
"        level[top] = deep + 1;\n",
"        top++;\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_indexed(spki_drawn *r, SPKI_GLOBAL const uint32_t *entry, uint32_t from,\n",
"                                  uint32_t to)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    for (uint32_t i = from; i < to; i++) {\n",
"        const uint32_t t = r->t0 + (entry[i] >> 16);\n",
"        uint32_t w[4] = {0, 0, 0, 0};\n",
"        if (p[SPKI_ROWS_WEIGHT_WORDS] + p[SPKI_ROWS_DELAY_WORDS]) {\n",
"            spki_drawn_philox(r->k0, r->k1, entry[i] & 0xffffu, t,\n",
"                            spki_drawn_at(SPKI_ROWS_AT_INVALUES, 0), p[SPKI_ROWS_STREAM], w);\n",
"        }\n",
"        spki_drawn_put(r, t, w[0], w[1]);\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_find(SPKI_GLOBAL const uint32_t *range, uint32_t ranges,\n",
"                                     uint32_t id)\n",
"{\n",
"    for (uint32_t k = 0; k < ranges; k++) {\n",
"        if (id - range[3 * k] < range[3 * k + 1]) {\n",
"            return range[3 * k + 2] + (id - range[3 * k]);\n",
"        }\n",
"    }\n",
"    return SPKI_ROWS_NONE;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_self(SPKI_GLOBAL const uint32_t *table, uint32_t kind, uint32_t at,\n",
"                                   uint32_t k)\n",
"{\n",
"    return kind == 0 ? SPKI_ROWS_NONE : kind == 1 ? k : table[at + k];\n",
"}\n",
"SPKI_DEVICE void spki_drawn_draw(spki_drawn *r, SPKI_GLOBAL const uint32_t *plan,\n",
"                               SPKI_GLOBAL const uint32_t *feed, SPKI_GLOBAL const uint32_t *slot,\n",
"                               SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,\n",
"                               uint32_t projections, uint32_t id)\n",
"{\n",
"    for (uint32_t k = 0; k < projections; k++, feed += SPKI_ROWS_FEED_SIZE) {\n",
"        SPKI_GLOBAL const uint32_t *p = plan + k * SPKI_ROWS_SIZE;\n",
"        const uint32_t rule = p[SPKI_ROWS_RULE];\n",
"        const uint32_t s =\n",
"            spki_drawn_find(r->table + p[SPKI_ROWS_RANGE_AT], p[SPKI_ROWS_RANGES], id);\n",
"        r->t0 = feed[SPKI_ROWS_FEED_T0];\n",
"        r->t1 = feed[SPKI_ROWS_FEED_T1];\n",
"        if (s == SPKI_ROWS_NONE || r->t0 >= r->t1) {\n",
"            continue;\n",
"        }\n",
"        r->proj = p;\n",
"        r->source = s;\n",
"        r->slot = slot + feed[SPKI_ROWS_FEED_SLOT];\n",
"        r->self = spki_drawn_self(r->table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_AT], s);\n",
"        if (rule == SPKI_ROWS_ONE_TO_ONE) {\n",
"            spki_drawn_same(r);\n",
"        } else if (rule == SPKI_ROWS_ALL_TO_ALL) {\n",
"            spki_drawn_all(r);\n",
"        } else if (rule == SPKI_ROWS_BERNOULLI) {\n",
"            spki_drawn_bernoulli(r);\n",
"        } else if (rule == SPKI_ROWS_FIXED_INDEGREE) {\n",
"            const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + s;\n",
"            spki_drawn_indexed(r, entry, s ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY], from[at]);\n",
"        } else {\n",
"            spki_drawn_tree(r, p[SPKI_ROWS_COUNT_AT] == SPKI_ROWS_NONE\n",
"                                 ? p[SPKI_ROWS_K]\n",
"                                 : r->table[p[SPKI_ROWS_COUNT_AT] + s]);\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_entries(const spki_drawn *r, uint32_t delays, uint32_t bytes,\n",
"                                      SPKI_GLOBAL uint32_t *out, uint32_t at, uint32_t *words)\n",
"{\n",
"    const uint32_t most = bytes == 1 ? 255u : 65535u;\n",
"    uint32_t entries = 0, before = 0, begun = 0;\n",
"    for (uint32_t k = 0; k < delays; k++) {\n",
"        const uint32_t all = r->count[k * r->stride], d = r->shortest + k;\n",
"        if (out) {\n",
"            r->place[k * r->stride] = r->packed ? 0 : at;\n",
"            if (r->packed) {\n",
"                r->begin[k * r->stride] = at;\n",
"            }\n",
"        }\n",
"        for (uint32_t left = all; left; entries++) {\n",
"            const uint32_t step = SPKI_ROWS_MIN(d - before, most);\n",
"            const uint32_t n = before + step == d ? SPKI_ROWS_MIN(left, most) : 0u;\n",
"            before += step;\n",
"            left -= n;\n",
"            at += r->packed ? spki_drawn_packed(n) : n;\n",
"            begun |= bytes == 1 ? (step | n << 8) << (entries % 2 * 16) : step | n << 16;\n",
"            if (out && (bytes == 2 || entries % 2)) {\n",
"                *out++ = begun;\n",
"            }\n",
"            begun = bytes == 2 || entries % 2 ? 0 : begun;\n",
"        }\n",
"    }\n",
"    if (out && bytes == 1 && entries % 2) {\n",
"        *out = begun;\n",
"    }\n",
"    *words = at;\n",
"    return entries;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_head(uint32_t entries, uint32_t bytes)\n",
"{\n",
"    return 1 + (entries * bytes * 2 + 3) / 4;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_places(const spki_drawn *r, uint32_t delays)\n",
"{\n",
"    uint32_t before = 0;\n",
"    for (uint32_t k = 0; k < delays; k++) {\n",
"        r->place[k * r->stride] = before;\n",
"        before += r->count[k * r->stride];\n",
"    }\n",
"    return before;\n",
"}\n",
"SPKI_ENTRY(spki_rows)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,\n",
"                      SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL const uint32_t *slot,\n",
"                      SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,\n",
"                      SPKI_GLOBAL uint32_t *scratch, SPKI_GLOBAL uint32_t *rows,\n",
"                      SPKI_GLOBAL uint32_t *out, SPKI_GLOBAL uint32_t *stats,\n",
"                      SPKI_GLOBAL uint32_t *indegree, SPKI_GLOBAL uint32_t *outdegree,\n",
"                      uint64_t first, uint32_t items, uint32_t neurons,\n",
"                      uint32_t projections, uint32_t shortest, uint32_t delays, uint32_t k0,\n",
"                      uint32_t k1, uint32_t packed, uint32_t mode)\n",
"{\n",
"    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    const uint32_t each = mode == SPKI_ROWS_LOOK ? SPKI_ROWS_LOOKS : neurons;\n",
"    if (i >= items) {\n",
"        return;\n",
"    }\n",
"    const uint32_t t = (uint32_t)((first + i) / each), k = (uint32_t)((first + i) % each);\n",
"    const uint32_t id =\n",
"        mode == SPKI_ROWS_LOOK ? (uint32_t)((uint64_t)neurons * k / SPKI_ROWS_LOOKS) : k;\n",
"    SPKI_GLOBAL const uint32_t *own =\n",
"        tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE);\n",
"    const uint32_t bytes = own[SPKI_ROWS_TILE_BYTES];\n",
"    const uint64_t at = (uint64_t)t * neurons + id;\n",
"    uint32_t words, entries;\n",
"    spki_drawn r;\n",
"    r.table = table;\n",
"    r.stride = items;\n",
"    r.count = scratch + i;\n",
"    r.place = r.count + (uint64_t)delays * items;\n",
"    r.begin = r.place + (uint64_t)delays * items;\n",
"    r.indegree = indegree + own[SPKI_ROWS_TILE_SLOT];\n",
"    r.words = out;\n",
"    r.shortest = shortest;\n",
"    r.tally = mode == SPKI_ROWS_MEASURE ? 1u : 0u;\n",
"    r.packed = packed;\n",
"    r.most = bytes == 1 ? 255u : 65535u;\n",
"    r.flat = mode == SPKI_ROWS_WRITE ? own[SPKI_ROWS_TILE_FLAT] : 0;\n",
"    r.first = r.flat ? own[SPKI_ROWS_TILE_SHORTEST] : shortest;\n",
"    r.k0 = k0;\n",
"    r.k1 = k1;\n",
"    r.write = r.n = r.all = 0;\n",
"    for (uint32_t d = 0; d < delays; d++) {\n",
"        r.count[(uint64_t)d * items] = 0;\n",
"    }\n",
"    spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);\n",
"    if (mode == SPKI_ROWS_LOOK) {\n",
"        out[2 * (first + i)] = spki_drawn_entries(&r, delays, 1, 0, 0, &words);\n",
"        out[2 * (first + i) + 1] = spki_drawn_entries(&r, delays, 2, 0, 0, &words);\n",
"        return;\n",
"    }\n",
"    if (mode == SPKI_ROWS_MEASURE) {\n",
"        SPKI_GLOBAL uint32_t *s = stats + t * SPKI_ROWS_STATS;\n",
"        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);\n",
"        rows[at] = r.n ? words + spki_drawn_head(entries, bytes) : 0;\n",
"        out[at] = r.n ? 1 + (packed ? spki_drawn_packed(r.n) : r.n) : 0;\n",
"        if (r.n) {\n",
"            uint32_t low = 0, high = delays - 1;\n",
"            while (!r.count[(uint64_t)low * items]) {\n",
"                low++;\n",
"            }\n",
"            while (!r.count[(uint64_t)high * items]) {\n",
"                high--;\n",
"            }\n",
"            SPKI_MIN32(s + SPKI_ROWS_SHORTEST, shortest + low);\n",
"            SPKI_MAX32(s + SPKI_ROWS_LONGEST, shortest + high);\n",
"            (void)SPKI_ADD32(s + SPKI_ROWS_SYNAPSES, r.n);\n",
"            (void)SPKI_ADD32(s + SPKI_ROWS_BUCKETS, entries);\n",
"            (void)SPKI_ADD32(outdegree + id, r.n);\n",
"        }\n",
"        return;\n",
"    }\n",
"    r.words = out + ((uint64_t)own[SPKI_ROWS_TILE_WORD] |\n",
"                     (uint64_t)own[SPKI_ROWS_TILE_WORD + 1] << 32);\n",
"    if (id == 0) {\n",
"        r.words[0] = 0;\n",
"    }\n",
"    if (r.n && r.flat) {\n",
"        r.words += rows[at];\n",
"        *r.words++ = r.all = spki_drawn_places(&r, delays);\n",
"        for (uint32_t w = 0; packed && w < spki_drawn_packed(r.all); w++) {\n",
"            r.words[w] = 0;\n",
"        }\n",
"        r.write = 1;\n",
"        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);\n",
"    } else if (r.n) {\n",
"        const uint32_t start = rows[at];\n",
"        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);\n",
"        const uint32_t head = spki_drawn_head(entries, bytes);\n",
"        r.words[start] = entries;\n",
"        (void)spki_drawn_entries(&r, delays, bytes, r.words + start + 1, start + head, &words);\n",
"        r.write = 1;\n",
"        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_rows_scan)(SPKI_GLOBAL const uint32_t *x, SPKI_GLOBAL uint32_t *to,\n",
"                           SPKI_GLOBAL const uint32_t *segment, SPKI_GLOBAL uint32_t *sum,\n",
"                           uint32_t keep)\n",
"{\n",
"    SPKI_SHARED uint64_t part[SPKI_SCAN_ITEMS];\n",
"    SPKI_GLOBAL const uint32_t *own = segment + SPKI_GROUP_ID() * SPKI_ROWS_SEGMENT;\n",
"    const uint64_t at = (uint64_t)own[0] | (uint64_t)own[1] << 32;\n",
"    const uint32_t n = own[2], each = (n + SPKI_SCAN_ITEMS - 1) / SPKI_SCAN_ITEMS;\n",
"    const uint32_t item = SPKI_ITEM(), begin = SPKI_ROWS_MIN(n, item * each);\n",
"    const uint32_t end = SPKI_ROWS_MIN(n, begin + each);\n",
"    uint64_t all = 0;\n",
"    for (uint32_t k = begin; k < end; k++) {\n",
"        all += x[at + k];\n",
"    }\n",
"    part[item] = all;\n",
"    SPKI_MEET();\n",
"    if (item == 0) {\n",
"        uint64_t before = own[3];\n",
"        for (uint32_t k = 0; k < SPKI_SCAN_ITEMS; k++) {\n",
"            const uint64_t here = part[k];\n",
"            part[k] = before;\n",
"            before += here;\n",
"        }\n",
"        sum[2 * own[4]] = (uint32_t)before;\n",
"        sum[2 * own[4] + 1] = (uint32_t)(before >> 32);\n",
"    }\n",
"    SPKI_MEET();\n",
"    all = part[item];\n",
"    for (uint32_t k = begin; k < end; k++) {\n",
"        const uint32_t here = x[at + k];\n",
"        to[at + k] = keep && !here ? 0 : (uint32_t)all;\n",
"        all += here;\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_rows_collect)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,\n",
"                              SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL uint32_t *from,\n",
"                              SPKI_GLOBAL uint32_t *entry, uint32_t which, uint32_t projections,\n",
"                              uint32_t tile, uint32_t count, uint32_t k0, uint32_t k1,\n",
"                              uint32_t put)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = plan + which * SPKI_ROWS_SIZE;\n",
"    const uint64_t size = SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE;\n",
"    SPKI_GLOBAL const uint32_t *feed =\n",
"        tiles + SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;\n",
"    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    const uint32_t t = feed[tile * size + SPKI_ROWS_FEED_T0] + i;\n",
"    uint32_t low = tile, high = tile + count - 1;\n",
"    if (t >= feed[high * size + SPKI_ROWS_FEED_T1]) {\n",
"        return;\n",
"    }\n",
"    while (low < high) {\n",
"        const uint32_t mid = (low + high) / 2;\n",
"        if (t >= feed[mid * size + SPKI_ROWS_FEED_T1]) {\n",
"            low = mid + 1;\n",
"        } else {\n",
"            high = mid;\n",
"        }\n",
"    }\n",
"    feed += low * size;\n",
"    const uint32_t n = p[SPKI_ROWS_SOURCES], refuse = spki_drawn_refuse(n), k = p[SPKI_ROWS_K];\n",
"    const uint32_t self = spki_drawn_self(table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_SOURCE_AT], t);\n",
"    spki_drawn_words w, again;\n",
"    spki_drawn_open(&w, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INDEGREE, 0), p[SPKI_ROWS_STREAM]);\n",
"    spki_drawn_open(&again, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INREDRAW, 0),\n",
"                  p[SPKI_ROWS_STREAM]);\n",
"    for (uint32_t j = 0; j < k; j++) {\n",
"        const uint64_t x = (uint64_t)spki_drawn_next(&w) * n;\n",
"        uint32_t s = (uint32_t)(x >> 32);\n",
"        if ((uint32_t)x < refuse) {\n",
"            s = spki_drawn_below(&again, n, refuse);\n",
"        }\n",
"        while (s == self) {\n",
"            s = spki_drawn_below(&again, n, refuse);\n",
"        }\n",
"        const uint32_t at = SPKI_ADD32(from + feed[SPKI_ROWS_FEED_FROM] + s, 1u);\n",
"        if (put) {\n",
"            entry[at] = (t - feed[SPKI_ROWS_FEED_T0]) << 16 | j;\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_sift(SPKI_GLOBAL uint32_t *x, uint32_t root, uint32_t n)\n",
"{\n",
"    const uint32_t own = x[root];\n",
"    for (uint32_t child = 2 * root + 1; child < n; child = 2 * root + 1) {\n",
"        child += child + 1 < n && x[child + 1] > x[child] ? 1u : 0u;\n",
"        if (x[child] <= own) {\n",
"            break;\n",
"        }\n",
"        x[root] = x[child];\n",
"        root = child;\n",
"    }\n",
"    x[root] = own;\n",
"}\n",
"SPKI_ENTRY(spki_rows_sort)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *tiles,\n",
"                           SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL uint32_t *entry,\n",
"                           uint32_t which, uint32_t projections, uint32_t tile, uint32_t count)\n",
"{\n",
"    const uint32_t n = plan[which * SPKI_ROWS_SIZE + SPKI_ROWS_SOURCES];\n",
"    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    if (i >= n) {\n",
"        return;\n",
"    }\n",
"    for (uint32_t t = tile; t < tile + count; t++) {\n",
"        SPKI_GLOBAL const uint32_t *feed =\n",
"            tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE) +\n",
"            SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;\n",
"        const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + i;\n",
"        const uint32_t begin = i ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY];\n",
"        const uint32_t all =\n",
"            feed[SPKI_ROWS_FEED_T0] < feed[SPKI_ROWS_FEED_T1] ? from[at] - begin : 0;\n",
"        SPKI_GLOBAL uint32_t *x = entry + begin;\n",
"        for (uint32_t k = all / 2; k > 0; k--) {\n",
"            spki_drawn_sift(x, k - 1, all);\n",
"        }\n",
"        for (uint32_t k = all; k > 1; k--) {\n",
"            const uint32_t last = x[k - 1];\n",
"            x[k - 1] = x[0];\n",
"            x[0] = last;\n",
"            spki_drawn_sift(x, 0, k - 1);\n",
"        }\n",
"    }\n",
"}\n",
0
};

/* ---- >>gpu-source: the program of a network, from the statements of its models ---- */

/* Words of the records that kernels read; the numbers go into the text as macros. */
enum {
    SPKI_GPU_POP_MODEL,
    SPKI_GPU_POP_TAG,
    SPKI_GPU_POP_GROUP,
    SPKI_GPU_POP_COUNT,
    SPKI_GPU_POP_PART,
    SPKI_GPU_POP_PARTS,
    SPKI_GPU_POP_GROUPS, /* of the whole population, and those with a shadow */
    SPKI_GPU_POP_SHADOWS,
    SPKI_GPU_POP_SHADOW,
    SPKI_GPU_POP_DT,     /* bits of a double; for code that nvcc compiled, which does not know it */
    SPKI_GPU_POP_VARIED, /* four words, a bit a real: differs between neurons; for the same */
    SPKI_GPU_POP_CURRENT = SPKI_GPU_POP_VARIED + 4,
    SPKI_GPU_POP_OFFSET,
    SPKI_GPU_POP_QUANTUM,
    SPKI_GPU_POP_AMOUNT = SPKI_GPU_POP_QUANTUM + 8,
    SPKI_GPU_POP_LISTS = SPKI_GPU_POP_AMOUNT + 8, /* states, then reals */

    SPKI_GPU_PART_KIND = 0, /* 0 Poisson, 1 current */
    SPKI_GPU_PART_START,
    SPKI_GPU_PART_STOP,
    SPKI_GPU_PART_FIRST,
    SPKI_GPU_PART_COUNT,
    SPKI_GPU_PART_POS,
    SPKI_GPU_PART_NEG,
    SPKI_GPU_PART_OWN,
    SPKI_GPU_PART_STREAM,
    SPKI_GPU_PART_VALUE,
    SPKI_GPU_PART_TABLE,
    SPKI_GPU_PART_NOISE,
    SPKI_GPU_PART_SD,
    SPKI_GPU_PART_SIZE,

    SPKI_GPU_BLOCK_POP = 0,
    SPKI_GPU_BLOCK_FIRST,
    SPKI_GPU_BLOCK_COUNT,
    SPKI_GPU_BLOCK_ACC,
    SPKI_GPU_BLOCK_STRIDE,
    SPKI_GPU_BLOCK_TILE,
    SPKI_GPU_BLOCK_PIECE, /* of its tile */
    SPKI_GPU_BLOCK_SIZE,

    SPKI_GPU_PIECE_RECORD = 0,
    SPKI_GPU_PIECE_WORDS,
    SPKI_GPU_PIECE_FIRST,
    SPKI_GPU_PIECE_LANES,
    SPKI_GPU_PIECE_STATES,
    SPKI_GPU_PIECE_SIZE
};

/* One model with one choice of which parameters differ between neurons. */
typedef struct spki_gpu_variant {
    spk_model model;
    uint64_t varied[4]; /* a bit a real */
    uint64_t alone;     /* 1: vectors, and no drive acts on them */
} spki_gpu_variant;

#define SPKI_GPU_REALS 256u /* parameters and derived of one model */

/* Where a statement stands in the text, so that a compiler's complaint can quote it. */
typedef struct spki_gpu_line {
    uint32_t line, size;
    spk_model model;
    const char *statement;
} spki_gpu_line;

typedef struct spki_gpu_source {
    spki_gpu_bytes text, lines; /* of spki_gpu_line */
    uint32_t line;              /* of the next character, from 1 */
} spki_gpu_source;

SPKI_FN void spki_gpu_put(spki_gpu_source *s, const char *piece, size_t n)
{
    char *to = (char *)spki_gpu_more(&s->text, n);
    for (size_t k = 0; to && k < n; k++) {
        to[k] = piece[k];
        s->line += piece[k] == '\n';
    }
}

__attribute__((format(printf, 2, 3))) SPKI_FN void spki_gpu_say(spki_gpu_source *s,
                                                                const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    spki_gpu_put(s, line, strlen(line));
}

SPKI_FN void spki_gpu_paste(spki_gpu_source *s, const char *const *lines)
{
    for (; *lines; lines++) {
        spki_gpu_put(s, *lines, strlen(*lines));
    }
}

/* The statements, a line each: a statement ends at a semicolon or brace outside parentheses. */
SPKI_FN void spki_gpu_statements(spki_gpu_source *s, spk_model model)
{
    const char *from = model->text;
    int depth = 0;
    for (const char *p = model->text;; p++) {
        depth += *p == '(' ? 1 : *p == ')' ? -1 : 0;
        if (*p && (depth || (*p != ';' && *p != '{' && *p != '}'))) {
            continue;
        }
        const char *end = *p ? p + 1 : p;
        while (from < end && *from == ' ') {
            from++;
        }
        spki_gpu_line *line = (spki_gpu_line *)spki_gpu_more(&s->lines, sizeof *line);
        if (line) {
            line->line = s->line;
            line->model = model;
            line->statement = from;
            line->size = (uint32_t)(end - from);
        }
        spki_gpu_put(s, from, (size_t)(end - from));
        spki_gpu_put(s, "\n", 1);
        from = end;
        if (!*p) {
            return;
        }
    }
}

SPKI_FN bool spki_gpu_varies(const spki_gpu_variant *v, uint32_t real)
{
    return (v->varied[real / 64] >> (real % 64)) & 1;
}

/* How the block function gets real number k of the model. */
SPKI_FN void spki_gpu_real_text(spki_gpu_source *s, const spki_gpu_variant *v, uint32_t k,
                                const char *name, bool head)
{
    if (head && !spki_gpu_varies(v, k)) {
        spki_gpu_say(s, "const spki_elem spki_u%u = spki_same(spki_e, SPKI_REALS + %uu);\n", k, k);
    } else if (!head && spki_gpu_varies(v, k)) {
        spki_gpu_say(s, "const real %s = spki_each(spki_e, SPKI_REALS + %uu, spki_lane);\n", name,
                     k);
    } else if (!head) {
        spki_gpu_say(s, "const real %s = spki_zero + spki_u%u;\n", name, k);
    }
}

SPKI_FN void spki_gpu_reals_text(spki_gpu_source *s, const spki_gpu_variant *v, bool head)
{
    const spk_model m = v->model;
    for (uint32_t k = 0; k < m->param_count; k++) {
        spki_gpu_real_text(s, v, k, m->param[k].name, head);
    }
    for (uint32_t k = 0; k < m->derived_count; k++) {
        spki_gpu_real_text(s, v, m->param_count + k, m->derived[k], head);
    }
}

/* What does not change within a block: where states lie, and the quanta of receptors. */
SPKI_FN void spki_gpu_places_text(spki_gpu_source *s, spk_model m)
{
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "SPKI_GLOBAL spki_stored *const spki_s%u = spki_state(spki_e, %uu);\n", k,
                     k);
    }
    for (uint32_t k = 0; k < m->input_count; k++) {
        if ((int)(m->input[k].value + 0.5) <= SPK_INH) {
            spki_gpu_say(s, "const spki_elem spki_q%u = spki_quantum(spki_e, %uu);\n", receptor,
                         receptor);
            receptor++;
        }
    }
}

/* The inputs of all four vectors of an item. */
SPKI_FN void spki_gpu_inputs_text(spki_gpu_source *s, const spki_gpu_variant *v)
{
    const spk_model m = v->model;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->input_count; k++) {
        const int kind = (int)(m->input[k].value + 0.5);
        if (v->alone && kind != SPK_RANDOM) {
            continue;
        }
        spki_gpu_say(s, "real spki_i%u[4];\n", k);
        if (kind <= SPK_INH) {
            spki_gpu_say(s, "spki_receptor(spki_e, %uu, spki_q%u, spki_i%u);\n", receptor,
                         receptor, k);
            receptor++;
        } else if (kind == SPK_RANDOM) {
            spki_gpu_say(s, "spki_random(spki_e, %uu, spki_i%u);\n", k, k);
        } else {
            spki_gpu_say(s, "spki_current(spki_e, spki_i%u);\n", k);
        }
    }
}

/* Those of the vector at hand. */
SPKI_FN void spki_gpu_input_text(spki_gpu_source *s, const spki_gpu_variant *v)
{
    const spk_model m = v->model;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->input_count; k++) {
        const int kind = (int)(m->input[k].value + 0.5);
        const char *name = m->input[k].name;
        if (!v->alone || kind == SPK_RANDOM) {
            spki_gpu_say(s, "const real %s = spki_i%u[spki_w];\n", name, k);
        } else if (kind <= SPK_INH) {
            spki_gpu_say(s, "const real %s = spki_undriven(spki_e, %uu, spki_q%u, spki_w);\n",
                         name, receptor, receptor);
            receptor++;
        } else {
            spki_gpu_say(s, "const real %s = spki_undriven_current(spki_e, spki_w);\n", name);
        }
    }
}

/* The statements once more, for the shadow of the item's neuron (>>shadow). */
SPKI_FN void spki_gpu_shadow_text(spki_gpu_source *s, spk_model m)
{
    const int v = spki_shadow_state(m);
    spki_gpu_say(s,
                 "SPKI_GLOBAL float *const spki_h = spki_shadow(spki_e, %uu);\n"
                 "if (spki_h) {\n"
                 "SPKI_GLOBAL float *const spki_p = spki_h + (16u * spki_w + spki_low);\n"
                 "const mask spki_was = spike;\n",
                 (m->state_count + 3) * SPKI_GROUP);
    if (v >= 0) {
        spki_gpu_say(s, "const real spki_v = spki_get(spki_e, %uu, spki_s%u + spki_lane);\n",
                     (uint32_t)v, (uint32_t)v);
    }
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "real %s = spki_p[%u];\n", m->state[k].name, k * SPKI_GROUP);
    }
    spki_gpu_say(s, "mask spike = spki_zero > spki_zero;\n{\n");
    spki_gpu_statements(s, m);
    spki_gpu_say(s, "}\n");
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "spki_p[%u] = %s;\n", k * SPKI_GROUP, m->state[k].name);
    }
    spki_gpu_say(s, "spki_compare(spki_p + %u, %s, spki_was, spike);\n}\n",
                 m->state_count * SPKI_GROUP, v >= 0 ? "spki_v - v" : "spki_zero");
}

/* A function that updates a block of neurons of one variant. */
SPKI_FN void spki_gpu_variant_text(spki_gpu_source *s, const spki_gpu_variant *v, uint32_t number,
                                   bool half, bool shadow)
{
    const spk_model m = v->model;
    const uint32_t words = half ? (m->state_count + 1) / 2 : 0;
    spki_gpu_say(s, "/* %.100s */\n#define SPKI_REALS %uu\n", m->name, m->state_count);
    spki_gpu_say(s,
                 "SPKI_DEVICE void spki_block_%u(spki_env *spki_e, const spki_run *spki_run,\n"
                 "    SPKI_GLOBAL const uint64_t *spki_block, spki_elem spki_dt)\n{\n"
                 "const uint32_t spki_first = (uint32_t)spki_block[SPKI_BLOCK_FIRST];\n"
                 "const uint32_t spki_groups = (uint32_t)spki_block[SPKI_BLOCK_COUNT];\n"
                 "const real spki_zero = SPKI_NIL(real);\n"
                 "const real dt = spki_zero + spki_dt;\n",
                 number);
    spki_gpu_reals_text(s, v, true);
    spki_gpu_places_text(s, m);
    spki_gpu_say(s, "SPKI_BEGIN_BLOCK\n");
    spki_gpu_inputs_text(s, v);
    for (uint32_t k = 0; k < words; k++) {
        spki_gpu_say(s, "spki_words spki_r%u[4];\n"
                        "spki_draw(spki_e, spki_e->step, SPKI_STREAM_STORAGE | %uu, spki_r%u);\n",
                     k, k, k);
    }
    spki_gpu_say(s, "for (uint32_t spki_w = 0; spki_w < 4; spki_w++) {\n"
                    "const uint32_t spki_lane = spki_e->group * 64u + 16u * spki_w + spki_low;\n");
    spki_gpu_reals_text(s, v, false);
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "real %s = spki_get(spki_e, %uu, spki_s%u + spki_lane);\n",
                     m->state[k].name, k, k);
    }
    spki_gpu_input_text(s, v);
    spki_gpu_say(s, "mask spike = spki_zero > spki_zero;\n{\n");
    spki_gpu_statements(s, m);
    spki_gpu_say(s, "}\n");
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "spki_put(spki_e, %uu, spki_s%u + spki_lane, %s, ", k, k,
                     m->state[k].name);
        if (half) {
            spki_gpu_say(s, "spki_r%u[spki_w]);\n", k / 2);
        } else {
            spki_gpu_say(s, "SPKI_NIL(spki_words));\n");
        }
    }
    if (shadow) {
        spki_gpu_shadow_text(s, m);
    }
    spki_gpu_say(s, "SPKI_SPIKED(spike, spki_w)\n}\nSPKI_END_BLOCK\n}\n#undef SPKI_REALS\n");
}

typedef struct spki_gpu_choice {
    uint32_t lanes;
    bool is_double, half, shadow, wide, wide_weights, byte_weights, owned;
    double dt;
    uint32_t first_delay, span, stride; /* of arrivals in local memory: step `first_delay` is the
                                           first of `span`, each `stride` slots; span 0: none */
} spki_gpu_choice;

SPKI_FN void spki_gpu_define(spki_gpu_source *s, const char *name, uint32_t value)
{
    spki_gpu_say(s, "#define SPKI_%s %uu\n", name, value);
}

/* Prelude and mathematics: what every program begins with. */
SPKI_FN void spki_gpu_head(spki_gpu_source *s, const spki_gpu_api *api, const spki_gpu_choice *c)
{
    spki_gpu_say(s,
                 "#define SPKI_ON_DEVICE\n#define SPKI_LANES %u\n#define SPKI_IS_DOUBLE %d\n"
                 "#define SPKI_HALF %d\n#define SPKI_WIDE %d\n#define SPKI_WIDE_WEIGHTS %d\n"
                 "#define SPKI_BYTE_WEIGHTS %d\n#define SPKI_OWNED %d\n#define SPKI_E %s\n"
                 "#define SPKI_S %c%u\n",
                 c->lanes, c->is_double, c->half, c->wide, c->wide_weights, c->byte_weights,
                 c->owned, c->is_double ? "double" : "float", c->is_double ? 'd' : 'f', c->lanes);
    spki_gpu_say(s,
                 "#define SPKI_LOCAL_FIRST %uu\n#define SPKI_LOCAL_SPAN %u\n"
                 "#define SPKI_LOCAL_STRIDE %uu\n",
                 c->first_delay, c->span, c->stride);
    spki_gpu_paste(s, api->prelude);
    spki_gpu_paste(s, spki_gpu_text_math);
}

/* What the kernels' text calls these numbers, as SPKI_NAME. */
#define SPKI_GPU_NUMBERS(X)                                                                        \
    X(POP_MODEL, SPKI_GPU_POP_MODEL) X(POP_TAG, SPKI_GPU_POP_TAG)                                  \
    X(POP_GROUP, SPKI_GPU_POP_GROUP) X(POP_COUNT, SPKI_GPU_POP_COUNT)                              \
    X(POP_PART, SPKI_GPU_POP_PART) X(POP_PARTS, SPKI_GPU_POP_PARTS)                                \
    X(POP_GROUPS, SPKI_GPU_POP_GROUPS) X(POP_SHADOWS, SPKI_GPU_POP_SHADOWS)                        \
    X(POP_SHADOW, SPKI_GPU_POP_SHADOW) X(POP_DT, SPKI_GPU_POP_DT)                                  \
    X(POP_VARIED, SPKI_GPU_POP_VARIED) X(POP_CURRENT, SPKI_GPU_POP_CURRENT)                        \
    X(POP_OFFSET, SPKI_GPU_POP_OFFSET) X(POP_QUANTUM, SPKI_GPU_POP_QUANTUM)                        \
    X(POP_AMOUNT, SPKI_GPU_POP_AMOUNT) X(POP_STATE, SPKI_GPU_POP_LISTS)                            \
    X(POP_REAL, SPKI_GPU_POP_LISTS) X(PART_KIND, SPKI_GPU_PART_KIND)                               \
    X(PART_START, SPKI_GPU_PART_START) X(PART_STOP, SPKI_GPU_PART_STOP)                            \
    X(PART_FIRST, SPKI_GPU_PART_FIRST) X(PART_COUNT, SPKI_GPU_PART_COUNT)                          \
    X(PART_POS, SPKI_GPU_PART_POS) X(PART_NEG, SPKI_GPU_PART_NEG) X(PART_OWN, SPKI_GPU_PART_OWN)   \
    X(PART_STREAM, SPKI_GPU_PART_STREAM) X(PART_VALUE, SPKI_GPU_PART_VALUE)                        \
    X(PART_TABLE, SPKI_GPU_PART_TABLE) X(PART_NOISE, SPKI_GPU_PART_NOISE)                          \
    X(PART_SD, SPKI_GPU_PART_SD) X(PART_SIZE, SPKI_GPU_PART_SIZE)                                  \
    X(BLOCK_POP, SPKI_GPU_BLOCK_POP) X(BLOCK_FIRST, SPKI_GPU_BLOCK_FIRST)                          \
    X(BLOCK_COUNT, SPKI_GPU_BLOCK_COUNT) X(BLOCK_ACC, SPKI_GPU_BLOCK_ACC)                          \
    X(BLOCK_STRIDE, SPKI_GPU_BLOCK_STRIDE) X(BLOCK_TILE, SPKI_GPU_BLOCK_TILE)                      \
    X(BLOCK_PIECE, SPKI_GPU_BLOCK_PIECE) X(BLOCK_SIZE, SPKI_GPU_BLOCK_SIZE)                        \
    X(PIECE_RECORD, SPKI_GPU_PIECE_RECORD) X(PIECE_WORDS, SPKI_GPU_PIECE_WORDS)                    \
    X(PIECE_FIRST, SPKI_GPU_PIECE_FIRST) X(PIECE_LANES, SPKI_GPU_PIECE_LANES)                      \
    X(PIECE_STATES, SPKI_GPU_PIECE_STATES) X(PIECE_SIZE, SPKI_GPU_PIECE_SIZE)                      \
    X(BLOCK_GROUPS, SPKI_GPU_BLOCK_GROUPS) X(SCAN_ITEMS, SPKI_GPU_SCAN_ITEMS)                      \
    X(BATCH_ITEMS, SPKI_GPU_BATCH_ITEMS) X(BATCH_GROUPS, SPKI_GPU_BATCH_GROUPS)                    \
    X(LIST_IDS, SPKI_GPU_LIST_IDS) X(TEAM, SPKI_GPU_TEAM)

SPKI_FN void spki_gpu_numbers(spki_gpu_source *s)
{
#define SPKI_GPU_NUMBER(name, value) {#name, value},
    static const struct {
        const char *name;
        uint32_t value;
    } number[] = {SPKI_GPU_NUMBERS(SPKI_GPU_NUMBER)};
#undef SPKI_GPU_NUMBER
    for (size_t k = 0; k < sizeof number / sizeof number[0]; k++) {
        spki_gpu_define(s, number[k].name, number[k].value);
    }
    spki_gpu_define(s, "STREAM_INPUT", SPKI_STREAM_INPUT);
    spki_gpu_define(s, "STREAM_STORAGE", SPKI_STREAM_STORAGE);
}

/* A name that a model uses and the language does not leave free. */
SPKI_FN void spki_gpu_names(spki_gpu_source *s, const char *const *keywords, bool begin)
{
    for (; *keywords; keywords++) {
        if (begin) {
            spki_gpu_say(s, "#define %s spki_name_%s\n", *keywords, *keywords);
        } else {
            spki_gpu_say(s, "#undef %s\n", *keywords);
        }
    }
}

/* The whole program. False: no memory. */
SPKI_FN bool spki_gpu_program_text(spki_gpu_source *s, const spki_gpu_api *api,
                                   const spki_gpu_choice *c, const spki_gpu_variant *variant,
                                   uint32_t variants)
{
    uint64_t bits;
    memcpy(&bits, &c->dt, sizeof bits);
    s->line = 1;
    spki_gpu_head(s, api, c);
    spki_gpu_numbers(s);
    spki_gpu_paste(s, spki_gpu_text_engine);
    spki_gpu_names(s, api->keywords, true);
    for (uint32_t k = 0; k < variants; k++) {
        spki_gpu_variant_text(s, &variant[k], k, c->half, c->shadow);
    }
    spki_gpu_names(s, api->keywords, false);
    spki_gpu_say(s, "#define SPKI_DT ((spki_elem)%.17g)\n#define SPKI_DISPATCH", c->dt);
    for (uint32_t k = 0; k < variants; k++) {
        spki_gpu_say(s, " \\\n    case %u: spki_block_%u(e, run, block, SPKI_DT); break;", k, k);
    }
    spki_gpu_say(s, "\n");
    spki_gpu_paste(s, spki_gpu_text_kernels);
    if (api->together) {
        spki_gpu_paste(s, spki_gpu_text_batch);
    }
    spki_gpu_put(s, "", 1);
    return !s->text.failed && !s->lines.failed;
}

SPKI_FN void spki_gpu_source_free(spki_gpu_source *s)
{
    spki_gpu_forget(&s->text);
    spki_gpu_forget(&s->lines);
}

/* The statement that the first complaint of a compiler is about, or NULL: a line with "error" and a
   place, as ":LINE:COLUMN:" or "(LINE):". `what` gets the compiler's words. */
SPKI_FN const spki_gpu_line *spki_gpu_blamed(const spki_gpu_source *s, const char *log,
                                             const char **what, int *what_size)
{
    const spki_gpu_line *line = (const spki_gpu_line *)(const void *)s->lines.data;
    const size_t lines = s->lines.used / sizeof *line;
    for (const char *p = strstr(log, "error"); p; p = strstr(p + 1, "error")) {
        const char *start = p;
        while (start > log && start[-1] != '\n') {
            start--;
        }
        for (const char *q = start; *q && *q != '\n'; q++) {
            char *end;
            if (*q != ':' && *q != '(') {
                continue;
            }
            const unsigned long at = strtoul(q + 1, &end, 10);
            const bool place = end != q + 1 && *end == (*q == '(' ? ')' : ':');
            const char *words = place ? end + 1 + strspn(end + 1, "0123456789: ") : end;
            for (size_t k = 0; place && k < lines; k++) {
                if (line[k].line == at) {
                    *what = words;
                    *what_size = (int)strcspn(words, "\n");
                    return &line[k];
                }
            }
        }
    }
    return NULL;
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>gpu-pack: rows as a device reads them ----
   The host's rows are made for vectors: buckets of one delay, 16 bits for a weight even where it
   has 8. On a device the bytes that are read are the time, and where each multiprocessor has a
   tile, buckets hold one or two synapses: their heads take a third of a row. Two changes, where
   they apply:

   Flat rows: where the bits of a tile's slots and those of its delays fit into 16 together, a row
   is the number of its synapses and the synapses, in the order of the host's, each with (delay
   less the tile's shortest) << bits | slot where it had its slot.

   Weights of 8 bits: each four synapses of a bucket, or of a flat row, are three words (two slots,
   two slots, four weights), what is left of it one word each, as ever. */

#define SPKI_GPU_PACK 4u

SPKI_FN uint32_t spki_gpu_bucket_words(uint32_t count)
{
    return count / SPKI_GPU_PACK * 3 + count % SPKI_GPU_PACK;
}

/* One bucket; returns what is behind it. */
SPKI_FN uint32_t *spki_gpu_pack_bucket(const uint32_t *from, uint32_t count, uint32_t *out)
{
    uint32_t k = 0;
    for (; k + SPKI_GPU_PACK <= count; k += SPKI_GPU_PACK, out += 3) {
        out[0] = (from[k] & 0xffffu) | from[k + 1] << 16;
        out[1] = (from[k + 2] & 0xffffu) | from[k + 3] << 16;
        out[2] = 0;
        for (uint32_t j = 0; j < SPKI_GPU_PACK; j++) {
            out[2] |= (from[k + j] >> 16 & 0xffu) << 8 * j;
        }
    }
    for (; k < count; k++) {
        *out++ = from[k];
    }
    return out;
}

/* Synapse k of the n of a flat row; `field`: its slot and delay. */
SPKI_FN void spki_gpu_put_flat(uint32_t *out, uint32_t k, uint32_t n, uint32_t field,
                               uint32_t weight, bool bytes)
{
    const uint32_t j = k % SPKI_GPU_PACK;
    if (!bytes) {
        out[k] = field | weight << 16;
        return;
    }
    out += k / SPKI_GPU_PACK * 3;
    if (k / SPKI_GPU_PACK == n / SPKI_GPU_PACK) {
        out[j] = field | weight << 16;
        return;
    }
    if (j == 0) {
        out[0] = out[1] = out[2] = 0;
    }
    out[j / 2] |= field << (j % 2 * 16);
    out[2] |= (weight & 0xffu) << 8 * j;
}

/* A row without its buckets, where `out` is given; returns its words. */
SPKI_FN size_t spki_gpu_flatten(const spk_net *net, const spki_tile *tile, uint32_t id,
                                uint32_t *out)
{
    const bool bytes = net->desc.weight_bits == 8;
    spki_row_reader r;
    uint32_t n = 0, at = 0;
    spki_row_open(&r, tile, id, 1);
    while (spki_row_next(&r)) {
        n += r.count;
    }
    if (out) {
        out[0] = n;
        spki_row_open(&r, tile, id, 1);
        while (spki_row_next(&r)) {
            const uint32_t delay = (r.delay - tile->min_delay) << tile->flat;
            for (uint32_t k = 0; k < r.count; k++) {
                const uint32_t x = tile->words[r.at + k];
                spki_gpu_put_flat(out + 1, at++, n, (x & 0xffffu) | delay, x >> 16, bytes);
            }
        }
    }
    return 1 + (bytes ? spki_gpu_bucket_words(n) : n);
}

/* A row of 8-bit weights with its buckets. */
SPKI_FN size_t spki_gpu_pack_row(const spki_tile *tile, uint32_t id, uint32_t *out)
{
    spki_row_reader r;
    size_t used;
    spki_row_open(&r, tile, id, 1);
    used = r.at - tile->row[id];
    if (out) {
        memcpy(out, tile->words + tile->row[id], used * sizeof *out);
    }
    while (spki_row_next(&r)) {
        if (out) {
            (void)spki_gpu_pack_bucket(tile->words + r.at, r.count, out + used);
        }
        used += spki_gpu_bucket_words(r.count);
    }
    return used;
}

/* A tile's rows: how many words they become. Where `out` is given, they are written there, and
   where each begins to `row`. */
SPKI_FN size_t spki_gpu_pack_tile(const spk_net *net, const spki_tile *tile, uint32_t *out,
                                  uint32_t *row)
{
    size_t used = 1;
    if (out) {
        out[0] = tile->words[0];
    }
    for (uint32_t id = 0; id < net->neurons; id++) {
        uint32_t *to = out ? out + used : NULL;
        if (row) {
            row[id] = tile->row[id] ? (uint32_t)used : 0;
        }
        if (tile->row[id]) {
            used += tile->flat ? spki_gpu_flatten(net, tile, id, to)
                               : spki_gpu_pack_row(tile, id, to);
        }
    }
    return used;
}

SPKI_FN bool spki_gpu_packs(const spk_net *net, const spki_tile *tile)
{
    return net->desc.weight_bits == 8 || tile->flat;
}

/* Bits that hold all numbers below n. */
SPKI_FN uint32_t spki_gpu_bits_below(uint64_t n)
{
    uint32_t bits = 0;
    while ((uint64_t)1 << bits < n) {
        bits++;
    }
    return bits;
}

/* Makes a tile's rows flat where they can be; they are shorter then, always. `may`: no device of
   the network wants buckets. */
SPKI_FN void spki_gpu_choose_flat(const spk_net *net, spki_tile *tile, bool may)
{
    const uint32_t slots =
        spki_gpu_bits_below((uint64_t)tile->lanes * SPKI_MAX(tile->receptors, 1u));
    tile->flat = 0;
    if (may && tile->synapses && net->desc.weight_bits != 32 &&
        slots + spki_gpu_bits_below((uint64_t)tile->max_delay - tile->min_delay + 1) <= 16) {
        tile->flat = slots;
    }
}

/* Measures all tiles, once they are built: their buckets do not change afterwards. */
SPKI_FN void spki_gpu_measure(spk_net *net, bool may_be_flat)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        spki_gpu_choose_flat(net, tile, may_be_flat);
        tile->device_words = spki_gpu_packs(net, tile) ? spki_gpu_pack_tile(net, tile, NULL, NULL)
                                                       : tile->words_used;
    }
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>gpu-layout: a built network as the buffers of one device ---- */

/* Consecutive tiles whose words lie in one block of device memory. */
typedef struct spki_gpu_segment {
    uint32_t tile, tiles; /* counted from the device's first */
    uint64_t words, synapses;
    spki_gpu_block block;
} spki_gpu_segment;

/* The lanes of a population that a device has. */
typedef struct spki_gpu_range {
    uint32_t lo, hi;   /* multiples of 64; equal: none */
    uint64_t record;   /* of desc */
    uint64_t state;    /* first element of its states: (hi - lo) elements each, in turn */
    uint64_t shadow;   /* behind all states: the first of its slots of >>shadow, in words */
    uint32_t slot, slots;
} spki_gpu_range;

/* A recorder of states, as one device sees it. */
typedef struct spki_gpu_sample {
    spk_rec rec;
    uint32_t first, count; /* of the index */
    uint64_t out;          /* first element of its rows in the buffer */
} spki_gpu_sample;

/* What one device has of a network. */
typedef struct spki_gpu_part {
    spki_gpu gpu;
    uint32_t tile, tiles;          /* of the network's */
    uint32_t next_tile, next_tiles; /* as the devices' speeds would have it */
    double busy_s;                 /* for the slices that were timed */
    uint32_t group, groups;        /* of 64 lanes */
    uint64_t slots, states;        /* accumulators of a step; elements of state */
    uint32_t blocks, ring, parts;  /* ring: steps of accumulators; parts: of a compaction */
    spki_gpu_range *range;         /* one a population */
    spki_gpu_segment *segment;
    uint32_t segments;
    void *program;
    uint64_t program_hash;
    bool held;                     /* the program was compiled with the host's code */
    struct spki_gpu_drawing *drawing; /* >>gpu-construct: rows that are measured, not written */
    void *rows_program;            /* that draws them; NULL: not wanted yet */
    bool drawn;                    /* the device drew its rows */
    spki_gpu_block desc, block, value, table, told, state, acc, arrived, history, group_id, counts,
        rows, tile_at, list[2], lanes, index, sample[2];
    uint32_t together;           /* groups of items that run whole batches; 0: a launch a slice */
    bool own;                    /* each with a tile's accumulators in shared memory */
    uint32_t record_words, records_room; /* and states there: words of a record, and of all */
    spki_gpu_block share, pieces, found, meet;
    spki_gpu_block origin;         /* >>gpu-replay */
    void *recording[SPKI_MAX_SLICE + 1]; /* by its steps; NULL: none */
    uint64_t recorded_with, seen;  /* a digest of what recordings hold; bits: lengths met once */
    bool recording_now;
    uint32_t *read_list[2];        /* where lists arrive */
    uint64_t list_words, asked[2], last_spikes; /* words of a list: room, and what was read */
    spki_gpu_ticket ticket[2], sampled[2];
    char *read_sample[2], *read_state;
    size_t read_state_bytes;
    uint64_t *read_history;
    size_t sample_bytes, sample_room, index_room;
    spki_gpu_sample *samples;
    uint32_t *sampled_at;          /* by element of the index: column of the recorder's row */
} spki_gpu_part;

/* What is made on the host and then uploaded. */
typedef struct spki_gpu_draft {
    spki_gpu_bytes desc, value, table, block, variant;
} spki_gpu_draft;

SPKI_FN void spki_gpu_draft_free(spki_gpu_draft *d)
{
    spki_gpu_forget(&d->desc);
    spki_gpu_forget(&d->value);
    spki_gpu_forget(&d->table);
    spki_gpu_forget(&d->block);
    spki_gpu_forget(&d->variant);
}

SPKI_FN uint32_t spki_gpu_up(uint32_t n, uint32_t to)
{
    return (n + to - 1) / to * to;
}

SPKI_FN uint64_t spki_gpu_tile_slots(const spki_tile *tile)
{
    return (uint64_t)tile->lanes * SPKI_MAX(tile->receptors, 1u);
}

/* Where what arrives at a tile in a slice fits into local memory, groups of items deliver there. */
SPKI_FN void spki_gpu_choose_local(const spk_net *net, const spki_gpu *gpu, spki_gpu_choice *c)
{
    const uint64_t span = (uint64_t)net->max_delay - net->min_delay + net->slice_max;
    uint64_t most = 0;
    for (uint32_t t = 0; t < net->tiles; t++) {
        most = SPKI_MAX(most, spki_gpu_tile_slots(&net->tile[t]));
    }
    if (net->max_delay && most * span * (net->accumulator_bits / 8) <= gpu->local_bytes) {
        c->first_delay = net->min_delay;
        c->span = (uint32_t)span;
        c->stride = (uint32_t)most;
    }
}

SPKI_FN spki_gpu_choice spki_gpu_choose(const spk_net *net, const spki_gpu *gpu)
{
    spki_gpu_choice c;
    memset(&c, 0, sizeof c);
    c.is_double = net->desc.precision == SPK_FLOAT64;
    c.half = net->desc.precision == SPK_FLOAT16;
    c.shadow = net->window != 0;
    c.lanes = gpu->lanes == 1 || c.half ? 1 : c.is_double ? 8 : 16;
    c.wide = net->accumulator_bits == 64;
    c.wide_weights = net->desc.weight_bits == 32;
    c.byte_weights = net->desc.weight_bits == 8;
    c.owned = gpu->lanes > 1 || (c.wide && !gpu->has_wide_atomics);
    c.dt = net->desc.dt_ms;
    if (!c.owned && gpu->local_bytes) {
        spki_gpu_choose_local(net, gpu, &c);
    }
    return c;
}

/* -- geometry: what follows from the tiles alone -- */

SPKI_FN void spki_gpu_ranges(const spk_net *net, spki_gpu_part *part)
{
    uint32_t low = UINT32_MAX, high = 0;
    uint64_t state = 0;
    memset(part->range, 0, net->populations * sizeof *part->range);
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        for (uint32_t p = 0; p < net->tile[t].pieces; p++) {
            const spki_piece *piece = &net->tile[t].piece[p];
            const uint32_t lane = net->population[piece->population].lane / SPKI_GROUP;
            spki_gpu_range *range = &part->range[piece->population];
            range->lo = range->hi ? SPKI_MIN(range->lo, piece->first) : piece->first;
            range->hi = piece->first + spki_gpu_up(piece->count, SPKI_GROUP);
            low = SPKI_MIN(low, lane + range->lo / SPKI_GROUP);
            high = SPKI_MAX(high, lane + range->hi / SPKI_GROUP);
        }
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        part->range[p].state = state;
        state += (uint64_t)(part->range[p].hi - part->range[p].lo) *
                 net->population[p].model->state_count;
    }
    state /= 2; /* behind them, in words of two 16-bit elements, what >>shadow has */
    for (uint32_t p = 0; p < net->populations && net->window; p++) {
        const spki_population *pop = &net->population[p];
        spki_gpu_range *range = &part->range[p];
        range->shadow = state;
        range->slot = spki_shadows_before(pop, range->lo / SPKI_GROUP);
        range->slots = spki_shadows_before(pop, range->hi / SPKI_GROUP) - range->slot;
        state += (uint64_t)range->slots * spki_shadow_words(pop);
    }
    state *= 2;
    part->group = low == UINT32_MAX ? 0 : low;
    part->groups = low == UINT32_MAX ? 0 : high - low;
    part->states = state;
}

SPKI_FN void spki_gpu_geometry(const spk_net *net, spki_gpu_part *part)
{
    const bool few = part->gpu.lanes > 1;
    spki_gpu_ranges(net, part);
    part->slots = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        part->slots += spki_gpu_tile_slots(&net->tile[t]);
    }
    part->ring = SPKI_MAX(SPKI_MAX(net->max_delay, net->slice_max), 1u);
    part->parts = part->groups < 8192 ? 1
                                      : SPKI_MIN(part->groups / (few ? 4096 : 2048),
                                                 SPKI_MAX(part->gpu.units, 1u) * 8);
    part->list_words =
        SPKI_GPU_LIST_IDS + (uint64_t)SPKI_MAX(part->groups, 1u) * SPKI_GROUP * net->batch_max;
}

/* Cuts the tiles into segments; `segment` NULL only counts. */
SPKI_FN uint32_t spki_gpu_cut(const spk_net *net, const spki_gpu_part *part,
                              spki_gpu_segment *segment)
{
    uint32_t n = 0;
    uint64_t words = 0;
    for (uint32_t t = 0; t < part->tiles; t++) {
        const uint64_t more = net->tile[part->tile + t].device_words;
        if (n == 0 || (words + more) * 4 > part->gpu.largest) {
            n++;
            words = 0;
            if (segment) {
                segment[n - 1].tile = t;
                segment[n - 1].tiles = 0;
                segment[n - 1].synapses = 0;
            }
        }
        words += more;
        if (segment) {
            segment[n - 1].tiles++;
            segment[n - 1].words = words;
            segment[n - 1].synapses += net->tile[part->tile + t].synapses;
        }
    }
    return n;
}

/* -- records -- */

/* Appends numbers in the network's precision; returns the first one's element. */
SPKI_FN uint64_t spki_gpu_values(spk_net *net, spki_gpu_draft *d, const double *x, size_t n)
{
    const uint64_t at = d->value.used / net->real_size;
    char *to = (char *)spki_gpu_more(&d->value, n * net->real_size);
    for (size_t k = 0; to && k < n; k++) {
        spki_put_real(net, to, k, x[k]);
    }
    return at;
}

SPKI_FN uint64_t spki_gpu_value(spk_net *net, spki_gpu_draft *d, double x)
{
    return spki_gpu_values(net, d, &x, 1);
}

/* A table of a Poisson drive: base, count, common, thresholds as plain unsigned numbers. */
SPKI_FN uint64_t spki_gpu_table(spki_gpu_draft *d, const spki_poisson_table *t)
{
    const uint64_t at = d->table.used / 4;
    uint32_t *to = (uint32_t *)spki_gpu_more(&d->table, (3 + (size_t)t->count) * 4);
    if (to) {
        to[0] = t->base;
        to[1] = t->count;
        to[2] = t->common;
    }
    for (uint32_t k = 0; to && k < t->count; k++) {
        to[3 + k] = (uint32_t)t->threshold[k] ^ 0x80000000u;
    }
    return at;
}

/* Rates, weights and receptors of each neuron of a part. */
SPKI_FN void spki_gpu_own_poisson(spk_net *net, spki_gpu_draft *d, const spki_drive *drive,
                                  const spki_drive_part *p, uint64_t *out)
{
    uint64_t *tables = (uint64_t *)spki_alloc(&net->mem, drive->tables, sizeof *tables);
    if (!tables) {
        d->table.failed = true;
        return;
    }
    for (uint32_t t = 0; t < drive->tables; t++) {
        tables[t] = drive->table[t].threshold ? spki_gpu_table(d, &drive->table[t]) : 0;
    }
    out[SPKI_GPU_PART_VALUE] = d->value.used / net->real_size;
    out[SPKI_GPU_PART_TABLE] = d->table.used / 4;
    char *amount = (char *)spki_gpu_more(&d->value, (size_t)p->count * net->real_size);
    uint32_t *where = (uint32_t *)spki_gpu_more(&d->table, (size_t)p->count * 8);
    for (uint32_t k = 0; amount && where && k < p->count; k++) {
        const uint32_t index = p->index + k;
        const double w = spki_param_at(&drive->value, index);
        spki_put_real(net, amount, k, p->magnitude && w < 0.0 ? -w : w);
        where[2 * k] = w < 0.0 ? p->receptor_neg : p->receptor_pos;
        where[2 * k + 1] = (uint32_t)tables[drive->table_of ? drive->table_of[index] : 0];
    }
    spki_free(&net->mem, tables, drive->tables, sizeof *tables);
}

SPKI_FN void spki_gpu_drive_record(spk_net *net, spki_gpu_draft *d, const spki_drive_part *p,
                                   uint64_t *out)
{
    const spki_drive *drive = &net->drive[p->drive];
    const double w = drive->value.uniform;
    out[SPKI_GPU_PART_KIND] = drive->kind == SPKI_DRIVE_CURRENT;
    out[SPKI_GPU_PART_START] = drive->start;
    out[SPKI_GPU_PART_STOP] = drive->stop;
    out[SPKI_GPU_PART_FIRST] = p->first;
    out[SPKI_GPU_PART_COUNT] = p->count;
    out[SPKI_GPU_PART_POS] = p->receptor_pos;
    out[SPKI_GPU_PART_NEG] = p->receptor_neg;
    out[SPKI_GPU_PART_STREAM] = SPKI_STREAM_DRIVE | p->drive;
    if (drive->kind == SPKI_DRIVE_POISSON) {
        out[SPKI_GPU_PART_OWN] = drive->value.each || drive->table_of;
        if (out[SPKI_GPU_PART_OWN]) {
            spki_gpu_own_poisson(net, d, drive, p, out);
            return;
        }
        out[SPKI_GPU_PART_POS] = w < 0.0 ? p->receptor_neg : p->receptor_pos;
        out[SPKI_GPU_PART_VALUE] = spki_gpu_value(net, d, p->magnitude && w < 0.0 ? -w : w);
        out[SPKI_GPU_PART_TABLE] = spki_gpu_table(d, &drive->table[0]);
        return;
    }
    out[SPKI_GPU_PART_OWN] = drive->value.each != NULL;
    out[SPKI_GPU_PART_VALUE] = d->value.used / net->real_size;
    if (drive->value.each) { /* vectors may begin and end outside: 64 to spare on both sides */
        (void)spki_gpu_more(&d->value, 64 * net->real_size);
        (void)spki_gpu_values(net, d, drive->value.each + p->index, p->count);
        (void)spki_gpu_more(&d->value, 64 * net->real_size);
    } else {
        (void)spki_gpu_value(net, d, w);
    }
    if (drive->noise_sd > 0.0) {
        out[SPKI_GPU_PART_NOISE] = drive->noise_steps;
        out[SPKI_GPU_PART_SD] = spki_gpu_value(net, d, drive->noise_sd);
    }
}

/* The number of the variant that a population needs. */
SPKI_FN uint32_t spki_gpu_find_variant(const spki_population *pop, bool vectors,
                                       spki_gpu_draft *d)
{
    spki_gpu_variant want;
    const uint32_t reals = pop->model->param_count + pop->model->derived_count;
    memset(&want, 0, sizeof want);
    want.model = pop->model;
    want.alone = vectors && pop->parts == 0;
    for (uint32_t k = 0; k < reals && k < SPKI_GPU_REALS; k++) {
        want.varied[k / 64] |= (uint64_t)(pop->real_mask[k] != 0) << (k % 64);
    }
    const uint32_t n = (uint32_t)(d->variant.used / sizeof want);
    for (uint32_t k = 0; k < n; k++) {
        if (memcmp(d->variant.data + k * sizeof want, &want, sizeof want) == 0) {
            return k;
        }
    }
    void *to = spki_gpu_more(&d->variant, sizeof want);
    if (to) {
        memcpy(to, &want, sizeof want);
    }
    return n;
}

/* The record of one population. Offsets count from lane 0, which the device may not have. */
SPKI_FN void spki_gpu_pop_record(spk_net *net, spki_gpu_part *part, uint32_t population,
                                 spki_gpu_draft *d)
{
    const spki_population *pop = &net->population[population];
    const spk_model m = pop->model;
    spki_gpu_range *range = &part->range[population];
    const uint32_t reals = m->param_count + m->derived_count;
    const size_t lanes = range->hi - range->lo, words = SPKI_GPU_POP_LISTS + m->state_count + reals;
    const size_t record = d->desc.used / 8;
    uint64_t *out = (uint64_t *)spki_alloc(&net->mem, words, 8);
    if (!out || !spki_gpu_more(&d->desc, (words + (size_t)pop->parts * SPKI_GPU_PART_SIZE) * 8)) {
        d->desc.failed = true;
        spki_free(&net->mem, out, words, 8);
        return;
    }
    range->record = record;
    out[SPKI_GPU_POP_MODEL] = spki_gpu_find_variant(
        pop, spki_gpu_choose(net, &part->gpu).lanes > 1, d);
    out[SPKI_GPU_POP_TAG] = (uint64_t)population << 16;
    out[SPKI_GPU_POP_GROUP] = pop->lane / SPKI_GROUP;
    out[SPKI_GPU_POP_COUNT] = pop->count;
    out[SPKI_GPU_POP_PART] = record + words;
    out[SPKI_GPU_POP_PARTS] = pop->parts;
    out[SPKI_GPU_POP_GROUPS] = pop->lanes / SPKI_GROUP;
    out[SPKI_GPU_POP_SHADOWS] = pop->shadows;
    out[SPKI_GPU_POP_SHADOW] = range->shadow - (uint64_t)range->slot * spki_shadow_words(pop);
    memcpy(&out[SPKI_GPU_POP_DT], &net->desc.dt_ms, 8);
    for (uint32_t k = 0; k < reals && k < SPKI_GPU_REALS; k++) {
        out[SPKI_GPU_POP_VARIED + k / 64] |= (uint64_t)(pop->real_mask[k] != 0) << (k % 64);
    }
    out[SPKI_GPU_POP_OFFSET] = spki_gpu_values(net, d, pop->state_offset, m->state_count);
    for (uint32_t r = 0; r < 8; r++) {
        out[SPKI_GPU_POP_QUANTUM + r] = spki_gpu_value(net, d, pop->quantum[r]);
    }
    for (uint32_t s = 0; s < m->state_count; s++) {
        out[SPKI_GPU_POP_LISTS + s] = range->state + s * (uint64_t)lanes - range->lo;
    }
    for (uint32_t k = 0; k < reals; k++) {
        const bool varied = pop->real_mask[k] != 0;
        const size_t n = varied ? lanes : 1, first = varied ? range->lo : 0;
        out[SPKI_GPU_POP_LISTS + m->state_count + k] = d->value.used / net->real_size - first;
        void *to = spki_gpu_more(&d->value, n * net->real_size);
        if (to) {
            memcpy(to, pop->real[k] + first * net->real_size, n * net->real_size);
        }
    }
    memcpy(d->desc.data + record * 8, out, words * 8);
    spki_free(&net->mem, out, words, 8);
    for (uint32_t k = 0; k < pop->parts; k++) {
        uint64_t drive[SPKI_GPU_PART_SIZE] = {0};
        spki_gpu_drive_record(net, d, &net->part[pop->part + k], drive);
        memcpy(d->desc.data + (record + words + (size_t)k * SPKI_GPU_PART_SIZE) * 8, drive,
               sizeof drive);
    }
}

/* Blocks of neurons: each of one population and one tile. */
SPKI_FN void spki_gpu_block_records(const spk_net *net, spki_gpu_part *part, spki_gpu_draft *d)
{
    const uint32_t most = SPKI_GPU_BLOCK_GROUPS;
    uint64_t acc = 0;
    part->blocks = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (uint32_t p = 0; p < tile->pieces; p++) {
            const spki_piece *piece = &tile->piece[p];
            const uint32_t groups = (piece->count + SPKI_GROUP - 1) / SPKI_GROUP;
            for (uint32_t g = 0; g < groups; g += most) {
                uint64_t *b = (uint64_t *)spki_gpu_more(&d->block, SPKI_GPU_BLOCK_SIZE * 8);
                if (!b) {
                    return;
                }
                b[SPKI_GPU_BLOCK_POP] = part->range[piece->population].record;
                b[SPKI_GPU_BLOCK_FIRST] = piece->first / SPKI_GROUP + g;
                b[SPKI_GPU_BLOCK_COUNT] = SPKI_MIN(most, groups - g);
                b[SPKI_GPU_BLOCK_ACC] = acc + piece->lane + (uint64_t)g * SPKI_GROUP;
                b[SPKI_GPU_BLOCK_STRIDE] = tile->lanes;
                b[SPKI_GPU_BLOCK_TILE] = t - part->tile;
                b[SPKI_GPU_BLOCK_PIECE] = p;
                part->blocks++;
            }
        }
        acc += spki_gpu_tile_slots(tile);
    }
}

/* Everything that is described by records. False: no memory. */
SPKI_FN bool spki_gpu_draft_make(spk_net *net, spki_gpu_part *part, spki_gpu_draft *d)
{
    memset(d, 0, sizeof *d);
    d->desc.mem = d->value.mem = d->table.mem = d->block.mem = d->variant.mem = &net->mem;
    (void)spki_gpu_more(&d->value, 64 * net->real_size);
    (void)spki_gpu_more(&d->table, 64);
    for (uint32_t p = 0; p < net->populations; p++) {
        if (part->range[p].hi) {
            spki_gpu_pop_record(net, part, p, d);
        }
    }
    spki_gpu_block_records(net, part, d);
    (void)spki_gpu_more(&d->value, 64 * net->real_size);
    return !(d->desc.failed || d->value.failed || d->table.failed || d->block.failed ||
             d->variant.failed);
}

/* -- what it takes -- */

/* Bytes of all blocks, and of the largest. */
typedef struct spki_gpu_bill {
    uint64_t sum, most;
} spki_gpu_bill;

SPKI_FN void spki_gpu_charge(spki_gpu_bill *bill, uint64_t bytes)
{
    bytes = SPKI_MAX(bytes, (uint64_t)64);
    bill->sum += bytes;
    bill->most = SPKI_MAX(bill->most, bytes);
}

/* Bytes of an element of state: with a shadow, as many as it may become. */
SPKI_FN size_t spki_gpu_state_room(const spk_net *net)
{
    return net->window ? sizeof(float) : net->state_size;
}

SPKI_FN void spki_gpu_charge_recorders(const spk_net *net, spki_gpu_bill *bill)
{
    uint64_t n = 0;
    for (uint32_t r = 0; r < net->recorders; r++) {
        n += net->recorder[r]->kind == SPK_REC_STATE ? net->view[net->recorder[r]->view].size : 0;
    }
    if (n) {
        spki_gpu_charge(bill, n * 4);
        spki_gpu_charge(bill, n * SPKI_MAX_SLICE * spki_gpu_state_room(net));
        spki_gpu_charge(bill, n * SPKI_MAX_SLICE * spki_gpu_state_room(net));
    }
}

/* Of the table of all tiles' pieces (>>gpu-batch). */
SPKI_FN uint64_t spki_gpu_pieces_bytes(const spk_net *net, const spki_gpu_part *part)
{
    uint64_t words = part->tiles + 1;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        words += (uint64_t)net->tile[t].pieces * SPKI_GPU_PIECE_SIZE;
    }
    return words * 4;
}

/* All that the device will hold for the network as it has been described; what the host injects
   later may add to it. */
SPKI_FN spki_gpu_bill spki_gpu_need(const spk_net *net, const spki_gpu_part *part,
                                    const spki_gpu_draft *d, uint32_t parts)
{
    spki_gpu_bill bill = {0, 0};
    const uint64_t words = SPKI_GPU_LIST_IDS + (uint64_t)net->neurons;
    uint64_t segment = 0;
    for (uint32_t t = 0; t < part->tiles; t++) { /* as spki_gpu_cut does it */
        const uint64_t more = (uint64_t)net->tile[part->tile + t].device_words * 4;
        if (segment + more > part->gpu.largest && t) {
            spki_gpu_charge(&bill, segment);
            segment = 0;
        }
        segment += more;
    }
    spki_gpu_charge(&bill, segment);
    spki_gpu_charge(&bill, d->desc.used);
    spki_gpu_charge(&bill, d->value.used);
    spki_gpu_charge(&bill, d->table.used);
    spki_gpu_charge(&bill, d->block.used);
    spki_gpu_charge(&bill, 64 * net->real_size);
    spki_gpu_charge(&bill, part->states * spki_gpu_state_room(net));
    spki_gpu_charge(&bill, (uint64_t)part->tiles * 24);
    spki_gpu_charge(&bill, (uint64_t)net->lanes / SPKI_GROUP * 4);
    spki_gpu_charge(&bill, (uint64_t)part->tiles * net->neurons * 4);
    spki_gpu_charge(&bill, (uint64_t)net->ring * (net->lanes / SPKI_GROUP) * 8);
    spki_gpu_charge(&bill, (uint64_t)part->parts * 32 * 4);
    spki_gpu_charge(&bill, part->list_words * 4);
    spki_gpu_charge(&bill, part->list_words * 4);
    spki_gpu_charge(&bill, part->ring * part->slots * (net->accumulator_bits / 8));
    spki_gpu_charge(&bill, (uint64_t)part->tiles * part->ring * 4);
    spki_gpu_charge(&bill, words * 4); /* spikes on their way, when weights or shares change */
    if (parts > 1) {
        spki_gpu_charge(&bill, (SPKI_GPU_LIST_IDS + (uint64_t)net->neurons * net->slice_max) * 4);
    }
    if (part->gpu.replays) {
        spki_gpu_charge(&bill, 64);
    } else if (part->gpu.api->together) { /* >>gpu-batch: a group of items a tile, or a unit */
        const uint64_t most = SPKI_MIN(SPKI_MAX(part->tiles, part->gpu.units),
                                       SPKI_GPU_BATCH_GROUPS);
        const uint64_t places = (uint64_t)part->groups * SPKI_GROUP * net->slice_max;
        spki_gpu_charge(&bill, 2 * (most + 1) * 4);
        spki_gpu_charge(&bill, 2 * (most * 32 + places) * 4);
        spki_gpu_charge(&bill, spki_gpu_pieces_bytes(net, part));
        spki_gpu_charge(&bill, 64);
    }
    uint64_t told = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        told += pop->list.count + (pop->has_forced && pop->forced ? pop->count : 0);
    }
    spki_gpu_charge(&bill, told * 4);
    spki_gpu_charge_recorders(net, &bill);
    const uint64_t test = SPKI_GPU_TRIALS * (3 + SPKI_GPU_SELFTESTS) * (uint64_t)net->real_size;
    bill.sum = SPKI_MAX(bill.sum, test); /* which is over before the rest is there */
    return bill;
}

/* Does it all go onto the device? `say`: an error of the network where it does not. */
SPKI_FN spk_result spki_gpu_check_fit(spk_net *net, spki_gpu_part *part, uint32_t parts, bool say)
{
    const spki_gpu *gpu = &part->gpu;
    spki_gpu_draft d;
    const bool made = spki_gpu_draft_make(net, part, &d);
    const spki_gpu_bill bill = spki_gpu_need(net, part, &d, parts);
    const bool fits = bill.sum <= gpu->memory && bill.most <= gpu->largest &&
                      part->states <= UINT32_MAX;
    spki_gpu_draft_free(&d);
    if (made && fits) {
        return SPK_OK;
    }
    if (!say) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    if (!made) {
        return spki_no_memory(net, "the records of a device");
    }
    if (bill.sum > gpu->memory) {
        return spki_fail(net, SPK_ERR_OUT_OF_MEMORY,
                         "%s \"%s\": the network needs %llu bytes, %llu more than the %llu that "
                         "may be used",
                         gpu->api->name, gpu->name, (spki_llu)bill.sum,
                         (spki_llu)(bill.sum - gpu->memory), (spki_llu)gpu->memory);
    }
    if (bill.most > gpu->largest) {
        return spki_fail(net, SPK_ERR_OUT_OF_MEMORY,
                         "%s \"%s\": the network needs a block of %llu bytes, %llu more than the "
                         "device's largest, %llu",
                         gpu->api->name, gpu->name, (spki_llu)bill.most,
                         (spki_llu)(bill.most - gpu->largest), (spki_llu)gpu->largest);
    }
    return spki_fail(net, SPK_ERR_UNSUPPORTED, "%s \"%s\": more than 2^32 states",
                     gpu->api->name, gpu->name);
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>gpu-origin: what recorded launches count from ----
   A run of slices is the same launches again and again but for four numbers: the step at which it
   begins, that step's place in the ring of accumulators, where the list goes on, and which of the
   two lists it is. Where a device can record launches and replay them, its kernels find these in
   memory (`origin`), a small kernel in front of each replay puts them there, and all other
   arguments stay what they were when they were recorded. */

/* The last argument of the kernels of a slice: while they are recorded the origin, else 0. */
SPKI_FN spki_gpu_arg spki_gpu_origin(const spki_gpu_part *part)
{
    const spki_gpu_block none = {NULL, 0};
    return spki_gpu_memory(part->recording_now ? &part->origin : &none);
}

/* Kernels of an API without recordings do not have it. */
SPKI_FN uint32_t spki_gpu_args(const spki_gpu *gpu, size_t args)
{
    return (uint32_t)args - (gpu->api->record ? 0 : 1);
}

SPKI_FN void spki_gpu_forget_recordings(spki_gpu_part *part)
{
    for (uint32_t k = 0; k <= SPKI_MAX_SLICE; k++) {
        if (part->recording[k]) {
            part->gpu.api->forget(&part->gpu, part->recording[k]);
        }
        part->recording[k] = NULL;
    }
    part->seen = 0;
}

/* Other recordings are needed where memory or the program are others. */
SPKI_FN uint64_t spki_gpu_recorded_with(const spki_gpu_part *part)
{
    const spki_gpu_block *const block[] = {
        &part->desc,    &part->block,    &part->value,   &part->table,  &part->told,
        &part->state,   &part->acc,      &part->arrived, &part->history, &part->group_id,
        &part->counts,  &part->rows,     &part->tile_at, &part->list[0], &part->list[1],
        &part->origin};
    uintptr_t what[sizeof block / sizeof block[0] + 1];
    uint64_t hash = 0;
    for (size_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        what[k] = (uintptr_t)block[k]->mem;
    }
    what[sizeof block / sizeof block[0]] = (uintptr_t)part->program;
    hash = spk_xxh64(what, sizeof what, part->program_hash);
    for (uint32_t k = 0; k < part->segments; k++) {
        hash = spk_xxh64(&part->segment[k].block.mem, sizeof part->segment[k].block.mem, hash);
    }
    return hash;
}

/* ---- >>gpu-state: moving states, parameters, weights and what the host injects ---- */

/* A network on its devices. */
typedef struct spki_gpu_net {
    spk_backend base;
    spki_mem mem; /* for what exists before a network does */
    spki_gpu_part *part;
    uint32_t parts;
    uint32_t *outdegree; /* synapses of each source */
    char host_draws[200];   /* why no device draws the rows though one was to; "": it may */
    uint32_t *merged;       /* several devices: the list of a slice, from all */
    uint64_t merged_words;
    spki_gpu_block *exchange; /* and on each device */
    uint64_t *told_step;    /* of spike lists and injected spikes: (step, lane), in order */
    uint32_t *told_lane;
    size_t told, told_room, told_next;
    uint32_t samples, sample_slots, seen_recorders;
    double sync_s, last_sync; /* what a sync takes, and when the last one was */
    uint64_t slices, watch;   /* several devices: slices done, and when to time them next */
    bool watching;            /* the slice at hand is timed, one device after the other */
} spki_gpu_net;

/* May tiles have flat rows? Not where a device works on vectors, which wants buckets. */
SPKI_FN bool spki_gpu_may_be_flat(const spk_net *net, const spki_gpu_net *g)
{
    bool may = true;
    for (uint32_t k = 0; k < g->parts; k++) {
        may = may && !spki_gpu_choose(net, &g->part[k].gpu).owned;
    }
    return may;
}

/* An error of a device, as the network's. */
SPKI_FN spk_result spki_gpu_failed(spk_net *net, const spki_gpu *gpu, spk_result code)
{
    return spki_fail(net, code, "%s \"%s\": %s", gpu->api->name, gpu->name, gpu->why);
}

/* Growing a device block and filling it from the host. */
SPKI_FN spk_result spki_gpu_fill(spk_net *net, spki_gpu *gpu, spki_gpu_block *block,
                                 const void *data, uint64_t bytes)
{
    spk_result result = spki_gpu_reserve(gpu, bytes, block);
    if (result == SPK_OK && bytes) {
        result = gpu->api->write(gpu, block->mem, 0, data, (size_t)bytes);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN spk_result spki_gpu_fill_bytes(spk_net *net, spki_gpu *gpu, spki_gpu_block *block,
                                       const spki_gpu_bytes *data)
{
    return spki_gpu_fill(net, gpu, block, data->data, data->used);
}

/* A block of zeros. */
SPKI_FN spk_result spki_gpu_blank(spk_net *net, spki_gpu *gpu, spki_gpu_block *block,
                                  uint64_t bytes)
{
    spk_result result = spki_gpu_reserve(gpu, bytes, block);
    if (result == SPK_OK) {
        result = gpu->api->zero(gpu, block->mem, 0, block->bytes);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* -- the program -- */

SPKI_FN spk_result spki_gpu_blame(spk_net *net, const spki_gpu *gpu, const spki_gpu_source *s,
                                  spk_result result, const char *log)
{
    const char *what = log;
    int size = (int)SPKI_MIN(strcspn(log, "\n"), (size_t)200);
    const spki_gpu_line *line = spki_gpu_blamed(s, log, &what, &size);
    if (result != SPK_ERR_COMPILE) {
        return spki_gpu_failed(net, gpu, result);
    }
    if (line) {
        return spki_fail(net, result, "model \"%.60s\": the compiler of %s \"%.60s\" refuses "
                         "\"%.*s\": %.*s",
                         line->model->name, gpu->api->name, gpu->name,
                         (int)SPKI_MIN(line->size, 160u), line->statement, SPKI_MIN(size, 160),
                         what);
    }
    return spki_fail(net, result, "the compiler of %s \"%.60s\" says: %.*s", gpu->api->name,
                     gpu->name, SPKI_MIN(size, 300), what);
}

SPKI_FN void spki_gpu_take_program(spki_gpu_part *part, void *program, uint64_t hash, bool held)
{
    spki_gpu_forget_recordings(part);
    if (part->program) {
        part->gpu.api->release(&part->gpu, part->program);
    }
    part->program = program;
    part->program_hash = hash;
    part->held = held;
}

/* The program that was compiled with the host's code, if there is one: its models are those of the
   network, so that only the choice may have changed. */
SPKI_FN bool spki_gpu_hold_program(const spk_net *net, spki_gpu_part *part,
                                   const spki_gpu_choice *c)
{
    spki_gpu *gpu = &part->gpu;
    const uint64_t key[3] = {(uint64_t)net->desc.precision, c->wide, net->desc.weight_bits};
    const uint64_t hash = spk_xxh64(key, sizeof key, 1);
    if (part->program && part->held && part->program_hash == hash) {
        return true;
    }
    void *program = gpu->api->held ? gpu->api->held(gpu, net, c) : NULL;
    if (program) {
        spki_gpu_take_program(part, program, hash, true);
    }
    return program != NULL;
}

/* The numbers of the models, as the program knows them. */
SPKI_FN void spki_gpu_number_models(const spk_net *net, const spki_gpu_part *part,
                                    spki_gpu_draft *d)
{
    const spki_gpu_variant *v = (const spki_gpu_variant *)(const void *)d->variant.data;
    for (uint32_t p = 0; part->gpu.api->form && p < net->populations; p++) {
        if (part->range[p].hi) {
            uint64_t *out = (uint64_t *)(void *)d->desc.data + part->range[p].record;
            const uint32_t k = (uint32_t)out[SPKI_GPU_POP_MODEL];
            out[SPKI_GPU_POP_MODEL] = part->gpu.api->form(part->program, &v[k], k);
        }
    }
}

/* Compiles the program that the draft asks for, unless it is the one at hand. */
SPKI_FN spk_result spki_gpu_make_program(spk_net *net, spki_gpu_part *part,
                                         const spki_gpu_draft *d)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_choice c = spki_gpu_choose(net, gpu);
    spki_gpu_source s;
    if (spki_gpu_hold_program(net, part, &c)) {
        return SPK_OK;
    }
    char *log = (char *)spki_alloc(&net->mem, 65536, 1);
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    spk_result result = SPK_OK;
    if (!log || !spki_gpu_program_text(&s, gpu->api, &c,
                                       (const spki_gpu_variant *)(const void *)d->variant.data,
                                       (uint32_t)(d->variant.used / sizeof(spki_gpu_variant)))) {
        result = spki_no_memory(net, "a program");
    }
    const uint64_t hash = result == SPK_OK ? spk_xxh64(s.text.data, s.text.used, 0) : 0;
    if (result == SPK_OK && (!part->program || part->held || part->program_hash != hash)) {
        void *program = NULL;
        result = gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_NETWORK,
                                    &program, log, 65536);
        if (result != SPK_OK) {
            result = spki_gpu_blame(net, gpu, &s, result, log);
        } else {
            spki_gpu_take_program(part, program, hash, false);
        }
    }
    spki_gpu_source_free(&s);
    spki_free(&net->mem, log, 65536, 1);
    return result;
}

/* -- what the host injects: numbers per neuron -- */

/* Appends lanes [lo, hi) of `each`; returns 1 + the element of lane 0. */
SPKI_FN uint64_t spki_gpu_told_lanes(spk_net *net, spki_gpu_bytes *told, const double *each,
                                     uint32_t count, const spki_gpu_range *range)
{
    const uint64_t at = told->used / net->real_size;
    char *to = (char *)spki_gpu_more(told, (size_t)(range->hi - range->lo) * net->real_size);
    for (uint32_t k = range->lo; to && k < SPKI_MIN(range->hi, count); k++) {
        spki_put_real(net, to, k - range->lo, each[k]);
    }
    return 1 + at - range->lo;
}

/* Uploads injected inputs and currents, and where they lie into the drafted records. */
SPKI_FN spk_result spki_gpu_push_told(spk_net *net, spki_gpu_part *part, spki_gpu_draft *d)
{
    spki_gpu_bytes told;
    memset(&told, 0, sizeof told);
    told.mem = &net->mem;
    /* element 0 is never lane 0 of anything: 64 in front keep the offsets above 0 */
    (void)spki_gpu_more(&told, 64 * net->real_size);
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        uint64_t *out = (uint64_t *)(void *)d->desc.data + range->record;
        if (!range->hi) {
            continue;
        }
        for (uint32_t r = 0; r < 8; r++) {
            out[SPKI_GPU_POP_AMOUNT + r] =
                pop->has_amount && pop->amount[r]
                    ? spki_gpu_told_lanes(net, &told, pop->amount[r], pop->count, range)
                    : 0;
        }
        out[SPKI_GPU_POP_CURRENT] =
            pop->current ? spki_gpu_told_lanes(net, &told, pop->current, pop->count, range) : 0;
    }
    const spk_result result = told.failed
                                  ? spki_no_memory(net, "injected input")
                                  : spki_gpu_fill_bytes(net, &part->gpu, &part->told, &told);
    spki_gpu_forget(&told);
    return result;
}

/* Everything that records describe, and the program for it. */
SPKI_FN spk_result spki_gpu_push_records(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_draft d;
    spk_result result = SPK_OK;
    if (!spki_gpu_draft_make(net, part, &d)) {
        result = spki_no_memory(net, "the records of a device");
    }
    if (result == SPK_OK) {
        result = spki_gpu_make_program(net, part, &d);
    }
    if (result == SPK_OK) {
        spki_gpu_number_models(net, part, &d);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_told(net, part, &d);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->desc, &d.desc);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->value, &d.value);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->table, &d.table);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->block, &d.block);
    }
    spki_gpu_draft_free(&d);
    return result;
}

/* -- states and history -- */

SPKI_FN spk_result spki_gpu_push_states(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spk_result result = spki_gpu_reserve(gpu, part->states * net->state_size, &part->state);
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        const size_t lanes = range->hi - range->lo;
        for (uint32_t s = 0; lanes && s < pop->model->state_count && result == SPK_OK; s++) {
            result = gpu->api->write(gpu, part->state.mem,
                                     (range->state + s * (uint64_t)lanes) * net->state_size,
                                     pop->state[s] + (size_t)range->lo * net->state_size,
                                     lanes * net->state_size);
        }
        if (range->slots && result == SPK_OK) {
            const size_t words = spki_shadow_words(pop);
            result = gpu->api->write(gpu, part->state.mem, range->shadow * 4,
                                     pop->shadow + range->slot * words,
                                     range->slots * words * 4);
        }
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN size_t spki_gpu_history_bytes(const spk_net *net)
{
    return (size_t)net->ring * (net->lanes / SPKI_GROUP) * 8;
}

/* Reads all first, then changes the host's copy, so that a failure leaves it whole. */
SPKI_FN spk_result spki_gpu_pull_part(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spk_result result = SPK_OK;
    if (part->states) {
        result = gpu->api->read(gpu, part->state.mem, 0, part->read_state,
                                (size_t)part->states * net->state_size, NULL);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, part->history.mem, 0, part->read_history,
                                spki_gpu_history_bytes(net), NULL);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN void spki_gpu_take_part(spk_net *net, const spki_gpu_part *part)
{
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        const size_t lanes = range->hi - range->lo;
        for (uint32_t s = 0; lanes && s < pop->model->state_count; s++) {
            memcpy(pop->state[s] + (size_t)range->lo * net->state_size,
                   part->read_state + (range->state + s * (uint64_t)lanes) * net->state_size,
                   lanes * net->state_size);
        }
        if (range->slots) {
            const size_t words = spki_shadow_words(pop);
            memcpy(pop->shadow + range->slot * words, part->read_state + range->shadow * 4,
                   range->slots * words * 4);
        }
    }
    const size_t row = net->lanes / SPKI_GROUP;
    for (uint32_t k = 0; k < net->ring; k++) {
        memcpy(net->history + k * row + part->group, part->read_history + k * row + part->group,
               part->groups * sizeof(uint64_t));
    }
}

SPKI_FN spk_result spki_gpu_pull(spk_backend *backend, spk_net *net)
{
    spki_gpu_net *g = (spki_gpu_net *)backend;
    spk_result result = SPK_OK;
    const double start = spk_clock_seconds();
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_pull_part(net, &g->part[k]);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_take_part(net, &g->part[k]);
    }
    g->last_sync = spk_clock_seconds();
    g->sync_s = g->last_sync - start;
    return result;
}

/* -- weights, and what is on its way -- */

/* The words of one of the part's tiles, to `at` of their segment, and where its rows begin. */
SPKI_FN spk_result spki_gpu_push_tile(spk_net *net, spki_gpu_part *part, uint32_t t,
                                      const spki_gpu_segment *segment, uint64_t at)
{
    spki_gpu *gpu = &part->gpu;
    const spki_tile *tile = &net->tile[part->tile + t];
    const bool packed = spki_gpu_packs(net, tile);
    const size_t words = tile->device_words;
    uint32_t *made = packed ? (uint32_t *)spki_alloc_raw(&net->mem, words, 4) : tile->words;
    uint32_t *row = packed ? (uint32_t *)spki_alloc_raw(&net->mem, net->neurons, 4) : tile->row;
    spk_result result = SPK_OK;
    if (!made || !row) {
        result = spki_no_memory(net, "packed rows");
    } else {
        if (packed) {
            (void)spki_gpu_pack_tile(net, tile, made, row);
        }
        result = gpu->api->write(gpu, segment->block.mem, at, made, words * 4);
        if (result == SPK_OK) {
            result = gpu->api->write(gpu, part->rows.mem, (uint64_t)t * net->neurons * 4, row,
                                     (size_t)net->neurons * 4);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    if (packed) {
        spki_free(&net->mem, made, words, 4);
        spki_free(&net->mem, row, net->neurons, 4);
    }
    return result;
}

/* When profiling: waits for what is under way, and says since when it was. */
SPKI_FN spk_result spki_gpu_lap(spk_net *net, spki_gpu *gpu, double *since, double *sum)
{
    spk_result result = SPK_OK;
    if (net->profile) {
        result = gpu->api->finish(gpu);
        const double now = spk_clock_seconds();
        if (sum) {
            *sum += now - *since;
        }
        *since = now;
    }
    return result;
}

/* Several devices: a lap of a slice that is timed, for the device's share of the work. */
SPKI_FN spk_result spki_gpu_watch(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                  double *since)
{
    if (!g->watching) {
        return SPK_OK;
    }
    spki_gpu *gpu = &part->gpu;
    const spk_result result = gpu->api->finish(gpu);
    const double now = spk_clock_seconds();
    part->busy_s += *since > 0.0 ? now - *since : 0.0;
    *since = now;
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Delivers the spikes of a list that begins at `at` and covers `steps` steps, the first of which
   has its arrivals `age` steps ahead of `pos`. */
SPKI_FN spk_result spki_gpu_deliver(spk_net *net, spki_gpu_part *part, const spki_gpu_block *list,
                                    uint32_t at, uint32_t steps, uint32_t pos, uint32_t age)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_choice c = spki_gpu_choose(net, gpu);
    double since = 0.0;
    spk_result result = spki_gpu_lap(net, gpu, &since, NULL);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        const spki_gpu_segment *segment = &part->segment[k];
        if (!segment->synapses) {
            continue;
        }
        const spki_gpu_arg arg[] = {spki_gpu_memory(list),
                                    spki_gpu_memory(&part->tile_at),
                                    spki_gpu_memory(&part->rows),
                                    spki_gpu_memory(&segment->block),
                                    spki_gpu_memory(&part->acc),
                                    spki_gpu_memory(&part->arrived),
                                    spki_gpu_u64(part->slots),
                                    spki_gpu_u32(at),
                                    spki_gpu_u32(steps),
                                    spki_gpu_u32(pos),
                                    spki_gpu_u32(part->ring),
                                    spki_gpu_u32(age),
                                    spki_gpu_u32(segment->tile),
                                    spki_gpu_u32(segment->tiles),
                                    spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_DELIVER,
                                  c.owned || (c.span && !age) ? segment->tiles
                                                              : SPKI_MAX(gpu->units, 1u) * 8,
                                  c.owned ? 1 : SPKI_GPU_DELIVER_ITEMS, arg,
                                  spki_gpu_args(gpu, sizeof arg / sizeof arg[0]));
    }
    if (result == SPK_OK) {
        result = spki_gpu_lap(net, gpu, &since, &net->scratch[0].deliver_s);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* The ids of all spikes of one step, from the host's history. */
SPKI_FN uint32_t spki_gpu_recall(const spk_net *net, uint64_t step, uint32_t *ids)
{
    const uint64_t *row =
        net->history + (size_t)(step & (net->ring - 1)) * (net->lanes / SPKI_GROUP);
    uint32_t n = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const uint64_t *words = row + pop->lane / SPKI_GROUP;
        for (uint32_t k = 0; k < pop->lanes / SPKI_GROUP; k++) {
            for (uint64_t w = words[k]; w; w &= w - 1) {
                ids[n++] = pop->first + k * SPKI_GROUP + (uint32_t)__builtin_ctzll(w);
            }
        }
    }
    return n;
}

/* Fills the accumulators anew with all that is on its way, from a host's copy that stands where the
   device does. */
SPKI_FN spk_result spki_gpu_push_arrivals(spk_net *net, spki_gpu_net *g)
{
    const size_t words = SPKI_GPU_LIST_IDS + (size_t)net->neurons;
    uint32_t *list = (uint32_t *)spki_alloc(&net->mem, words, 4);
    spk_result result = list ? SPK_OK : spki_no_memory(net, "spikes on their way");
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        spki_gpu_block block = {NULL, 0};
        const uint32_t pos = (uint32_t)(net->step % part->ring);
        result = spki_gpu_blank(net, gpu, &part->acc,
                                part->ring * part->slots * (net->accumulator_bits / 8));
        if (result == SPK_OK) {
            result = spki_gpu_blank(net, gpu, &part->arrived,
                                    (uint64_t)part->tiles * part->ring * 4);
        }
        if (result == SPK_OK && net->step) {
            result = spki_gpu_alloc(gpu, words * 4, &block);
            result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
        }
        for (uint64_t age = 1; age <= net->max_delay && age <= net->step && result == SPK_OK;
             age++) {
            const uint32_t n =
                spki_gpu_recall(net, net->step - age, list + SPKI_GPU_LIST_IDS);
            list[1] = n;
            if (!n) {
                continue;
            }
            result = gpu->api->write(gpu, block.mem, 0, list, (SPKI_GPU_LIST_IDS + (size_t)n) * 4);
            result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
            if (result == SPK_OK) {
                result = spki_gpu_deliver(net, part, &block, 0, 1, pos, (uint32_t)age);
            }
        }
        if (block.mem && result == SPK_OK) {
            result = gpu->api->finish(gpu);
            result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
        }
        spki_gpu_free(gpu, &block);
    }
    spki_free(&net->mem, list, words, 4);
    return result;
}

/* ---- >>gpu-tables: projections as tables of integers, for kernels that draw their rows ----
   A distribution of weights becomes what one of delays is already: thresholds of random words, one
   for each weight in quanta. So a device draws without floating-point numbers, and draws what
   >>connect draws. */

/* What text/rows.cl calls these numbers, as SPKI_NAME: records of projections, of tiles, of a
   projection on a tile, statistics of a tile; modes; rules; places of random words. */
#define SPKI_GPU_ROWS_NUMBERS(X)                                                                   \
    X(ROWS_RULE, 0) X(ROWS_SOURCES, 1) X(ROWS_TARGETS, 2) X(ROWS_K, 3) X(ROWS_LEAF, 4)             \
    X(ROWS_STREAM, 5) X(ROWS_SELF, 6) X(ROWS_SELF_AT, 7) X(ROWS_SELF_SOURCE_AT, 8)                 \
    X(ROWS_COUNT_AT, 9) X(ROWS_RANGES, 10) X(ROWS_RANGE_AT, 11) X(ROWS_WEIGHT, 12)                 \
    X(ROWS_WEIGHT_AT, 13) X(ROWS_WEIGHT_WORDS, 14) X(ROWS_DELAY, 15) X(ROWS_DELAY_AT, 16)          \
    X(ROWS_DELAY_WORDS, 17) X(ROWS_BLOCK_AT, 18) X(ROWS_REST_AT, 19) X(ROWS_MAGNITUDE, 20)         \
    X(ROWS_SIZE, 21) X(ROWS_HALF, 0)                                                               \
    X(ROWS_TILE_BYTES, 0) X(ROWS_TILE_SLOT, 1) X(ROWS_TILE_WORD, 2) X(ROWS_TILE_FLAT, 4)           \
    X(ROWS_TILE_SHORTEST, 5) X(ROWS_TILE_SIZE, 6) X(ROWS_SEGMENT, 5)                               \
    X(ROWS_FEED_T0, 0) X(ROWS_FEED_T1, 1) X(ROWS_FEED_SLOT, 2) X(ROWS_FEED_FROM, 3)                \
    X(ROWS_FEED_ENTRY, 4) X(ROWS_FEED_SIZE, 5)                                                     \
    X(ROWS_SHORTEST, 0) X(ROWS_LONGEST, 1) X(ROWS_SYNAPSES, 2) X(ROWS_BUCKETS, 3) X(ROWS_STATS, 4) \
    X(ROWS_LOOK, 0) X(ROWS_MEASURE, 1) X(ROWS_WRITE, 2) X(ROWS_LOOKS, 64)                          \
    X(ROWS_ONE_TO_ONE, SPK_ONE_TO_ONE) X(ROWS_ALL_TO_ALL, SPK_ALL_TO_ALL)                          \
    X(ROWS_BERNOULLI, SPK_BERNOULLI) X(ROWS_FIXED_INDEGREE, SPK_FIXED_INDEGREE)                    \
    X(ROWS_AT_NODE, SPKI_AT_NODE) X(ROWS_AT_LEAF, SPKI_AT_LEAF)                                    \
    X(ROWS_AT_REDRAW, SPKI_AT_REDRAW) X(ROWS_AT_BLOCK, SPKI_AT_BLOCK)                              \
    X(ROWS_AT_VALUES, SPKI_AT_VALUES) X(ROWS_AT_INDEGREE, SPKI_AT_INDEGREE)                        \
    X(ROWS_AT_INREDRAW, SPKI_AT_INREDRAW) X(ROWS_AT_INVALUES, SPKI_AT_INVALUES)

#define SPKI_GPU_ROWS_NUMBER(name, value) SPKI_GPU_##name = (int)(value),
enum { SPKI_GPU_ROWS_NUMBERS(SPKI_GPU_ROWS_NUMBER) SPKI_GPU_ROWS_LAST };
#undef SPKI_GPU_ROWS_NUMBER

#define SPKI_GPU_ROWS_NONE UINT32_MAX
#define SPKI_GPU_STEPS_GUIDE 4097u
#define SPKI_GPU_COUNTS_GUIDE 257u

/* A table that grows, and how many words it has. */
SPKI_FN uint32_t spki_gpu_table_end(const spki_gpu_bytes *b)
{
    return (uint32_t)(b->used / 4);
}

SPKI_FN void spki_gpu_table_put(spki_gpu_bytes *b, const uint32_t *x, size_t n)
{
    void *to = n ? spki_gpu_more(b, n * 4) : NULL;
    if (to) {
        memcpy(to, x, n * 4);
    }
}

/* Appends [first, count, guide, upto]. `upto` ascends to UINT32_MAX. */
SPKI_FN uint32_t spki_gpu_steps_table(spki_gpu_bytes *b, uint32_t first, uint32_t count,
                                      const uint32_t *upto)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t *to = (uint32_t *)spki_gpu_more(b, (2 + SPKI_GPU_STEPS_GUIDE + (size_t)count) * 4);
    if (to) {
        uint32_t i = 0;
        to[0] = first;
        to[1] = count;
        for (uint32_t cell = 0; cell + 1 < SPKI_GPU_STEPS_GUIDE; cell++) {
            while ((cell << 20) > upto[i]) {
                i++;
            }
            to[2 + cell] = i;
        }
        to[1 + SPKI_GPU_STEPS_GUIDE] = count - 1;
        memcpy(to + 2 + SPKI_GPU_STEPS_GUIDE, upto, (size_t)count * 4);
    }
    return at;
}

/* The same of counts: thresholds of 64 bits, upper halves first. */
SPKI_FN uint32_t spki_gpu_counts_table(spki_gpu_bytes *b, const spki_counts *c)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t *to =
        (uint32_t *)spki_gpu_more(b, (2 + SPKI_GPU_COUNTS_GUIDE + 2 * (size_t)c->count) * 4);
    if (to) {
        to[0] = c->first;
        to[1] = c->count;
        for (uint32_t cell = 0; cell + 1 < SPKI_GPU_COUNTS_GUIDE; cell++) {
            to[2 + cell] = c->guide[cell];
        }
        to[1 + SPKI_GPU_COUNTS_GUIDE] = c->count - 1;
        to += 2 + SPKI_GPU_COUNTS_GUIDE;
        for (uint32_t k = 0; k < c->count; k++) {
            to[2 * k] = (uint32_t)(c->upto[k] >> 32);
            to[2 * k + 1] = (uint32_t)c->upto[k];
        }
    }
    return at;
}

/* -- weights -- */

/* The weight in quanta that a random word gives. */
SPKI_FN int32_t spki_gpu_weight_of(const spki_proj *p, uint32_t word)
{
    return p->weight_kind == SPKI_WEIGHT_UNIFORM
               ? spki_quanta(p, p->weight_a + p->weight_width * ((double)word + 0.5))
               : spki_quanta(p, spki_weight_from_word(p, word));
}

/* Weights ascend with the word, but for rounding, which may exchange words nearer to each other
   than 4 where a step of words moves the weight by less than it rounds. It does not where the
   spread is wide enough: a word moves it by at least 2.5 * spread / 2^32 quanta (the density of a
   normal distribution is at most 0.4), and 2^-44 of a weight of 2^15 quanta, more than its double
   is wrong by, is 2e-9. */
SPKI_FN bool spki_gpu_weights_ascend(const spki_proj *p)
{
    const double q = p->per_quantum;
    if (p->weight_kind == SPKI_WEIGHT_UNIFORM) {
        return p->weight_width * 4294967296.0 * q >= 8.0;
    }
    if (p->weight_quantile.kind == SPK_VALUE_LOGNORMAL) {
        return p->weight_quantile.b >= 1e-3;
    }
    return p->weight_quantile.kind == SPK_VALUE_NORMAL &&
           p->weight_quantile.b * p->weight_quantile.width * q >= 2.0 &&
           p->weight_quantile.width >= 1e-3;
}

/* The last word whose weight is at most `most`, between two of which the first's is and the last's
   is not. */
SPKI_FN uint32_t spki_gpu_last_word(const spki_proj *p, uint32_t low, uint32_t high, int32_t most)
{
    while (high - low > 1) {
        const uint32_t mid = low + (high - low) / 2;
        if (spki_gpu_weight_of(p, mid) <= most) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Thresholds of weights first .. last, the words' ends included: halves that hold one weight need
   no further look. */
SPKI_FN void spki_gpu_find_words(const spki_proj *p, int32_t first, int32_t last, uint32_t low,
                                 uint32_t high, uint32_t *upto)
{
    while (first < last) {
        const int32_t mid = first + (last - first) / 2;
        const uint32_t at = spki_gpu_last_word(p, low, high, mid);
        upto[mid - first] = at;
        spki_gpu_find_words(p, first, mid, low, at + 1, upto);
        upto += mid + 1 - first;
        first = mid + 1;
        low = at;
    }
}

/* Are the words around each threshold on the right side of it? */
SPKI_FN bool spki_gpu_words_agree(const spki_proj *p, int32_t first, uint32_t count,
                                  const uint32_t *upto)
{
    for (uint32_t i = 0; i + 1 < count; i++) {
        for (uint32_t k = 0; k < 4; k++) {
            if ((upto[i] >= k && spki_gpu_weight_of(p, upto[i] - k) > first + (int32_t)i) ||
                (upto[i] < UINT32_MAX - k &&
                 spki_gpu_weight_of(p, upto[i] + 1 + k) <= first + (int32_t)i)) {
                return false;
            }
        }
    }
    return true;
}

/* Appends the table of a distribution of weights; SPKI_GPU_ROWS_NONE: it has none that is certain
   to agree with every word. */
SPKI_FN uint32_t spki_gpu_weights_table(spki_gpu_bytes *b, const spki_proj *p)
{
    const int32_t first = spki_gpu_weight_of(p, 0), last = spki_gpu_weight_of(p, UINT32_MAX);
    uint32_t at = SPKI_GPU_ROWS_NONE;
    if (!spki_gpu_weights_ascend(p) || last - first < 1 || last - first > 65535) {
        return at;
    }
    const uint32_t count = (uint32_t)(last - first) + 1;
    uint32_t *upto = (uint32_t *)spki_alloc(b->mem, count, 4);
    if (!upto) {
        b->failed = true;
        return at;
    }
    spki_gpu_find_words(p, first, last, 0, UINT32_MAX, upto);
    upto[count - 1] = UINT32_MAX;
    if (spki_gpu_words_agree(p, first, count, upto)) {
        at = spki_gpu_steps_table(b, (uint32_t)first, count, upto);
    }
    spki_free(b->mem, upto, count, 4);
    return at;
}

SPKI_FN bool spki_gpu_same_weights(const spki_proj *a, const spki_proj *b)
{
    return a->weight_kind == b->weight_kind && a->per_quantum == b->per_quantum &&
           a->weight_max == b->weight_max && a->weight_a == b->weight_a &&
           a->weight_width == b->weight_width &&
           a->weight_quantile.kind == b->weight_quantile.kind &&
           a->weight_quantile.a == b->weight_quantile.a &&
           a->weight_quantile.b == b->weight_quantile.b &&
           a->weight_quantile.lo == b->weight_quantile.lo &&
           a->weight_quantile.hi == b->weight_quantile.hi;
}

/* -- which networks -- */

SPKI_FN bool spki_gpu_draws(const spki_proj *p)
{
    const bool weights = p->weight_kind == SPKI_WEIGHT_CONSTANT ||
                         p->weight_kind == SPKI_WEIGHT_UNIFORM ||
                         p->weight_kind == SPKI_WEIGHT_TABLE;
    const bool delays =
        p->delay_kind == SPKI_DELAY_CONSTANT || p->delay_kind == SPKI_DELAY_STEPS;
    switch (p->rule) {
    case SPK_ONE_TO_ONE:
    case SPK_ALL_TO_ALL:
    case SPK_BERNOULLI: return weights && delays;
    case SPK_FIXED_INDEGREE:
    case SPK_FIXED_OUTDEGREE:
    case SPK_FIXED_TOTAL: return weights && delays && !p->no_multapses && !p->wide;
    case SPK_COO:
    case SPK_CSR:
    case SPK_CALLBACK:
    case SPK_RULE_FORCE_32_BIT: break;
    }
    return false;
}

/* Why the rows of a network cannot be drawn by a device; NULL: they can. */
SPKI_FN const char *spki_gpu_draws_not(const spk_net *net)
{
    if (net->projections == 0) {
        return "there is nothing to draw";
    }
    if (net->desc.weight_bits == 32) {
        return "weights have 32 bits";
    }
    for (uint32_t r = 0; r < net->recorders; r++) {
        if (net->recorder[r]->kind == SPK_REC_WEIGHTS) {
            return "weights are recorded";
        }
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        if (!spki_gpu_draws(&net->projection[k].proj)) {
            return "a projection comes from a list, an array, a function or a callback, or has a "
                   "fixed number without multapses";
        }
    }
    return NULL;
}

/* -- records -- */

typedef struct spki_gpu_tables {
    spki_gpu_bytes plan, table, tiles, slot;
    uint32_t shortest, longest;
    bool indexed;    /* a fixed in-degree is among them */
    const char *not_; /* why there are none; NULL: no memory, where they failed */
} spki_gpu_tables;

SPKI_FN void spki_gpu_tables_free(spki_gpu_tables *t)
{
    spki_gpu_forget(&t->plan);
    spki_gpu_forget(&t->table);
    spki_gpu_forget(&t->tiles);
    spki_gpu_forget(&t->slot);
}

SPKI_FN bool spki_gpu_tables_failed(const spki_gpu_tables *t)
{
    return t->plan.failed || t->table.failed || t->tiles.failed || t->slot.failed || t->not_;
}

/* Weights of projection k, whose record is `out`; an earlier one may have the same. */
SPKI_FN void spki_gpu_put_weights(const spk_net *net, spki_gpu_tables *t, uint32_t k,
                                  uint32_t *out)
{
    const spki_proj *p = &net->projection[k].proj;
    out[SPKI_GPU_ROWS_WEIGHT] = (uint32_t)p->weight_constant;
    out[SPKI_GPU_ROWS_WEIGHT_AT] = SPKI_GPU_ROWS_NONE;
    out[SPKI_GPU_ROWS_WEIGHT_WORDS] = spki_weight_words(p);
    if (p->weight_kind == SPKI_WEIGHT_CONSTANT) {
        return;
    }
    for (uint32_t j = 0; j < k; j++) {
        if (spki_gpu_same_weights(&net->projection[j].proj, p)) {
            const uint32_t *as = (const uint32_t *)(const void *)t->plan.data;
            out[SPKI_GPU_ROWS_WEIGHT_AT] =
                as[(size_t)j * SPKI_GPU_ROWS_SIZE + SPKI_GPU_ROWS_WEIGHT_AT];
            return;
        }
    }
    out[SPKI_GPU_ROWS_WEIGHT_AT] = spki_gpu_weights_table(&t->table, p);
    if (out[SPKI_GPU_ROWS_WEIGHT_AT] == SPKI_GPU_ROWS_NONE) {
        t->not_ = "weights are spread too little to be drawn by thresholds";
    }
}

SPKI_FN void spki_gpu_put_delays(const spki_proj *p, spki_gpu_tables *t, uint32_t *out)
{
    const bool spread = p->delay_kind == SPKI_DELAY_STEPS;
    const uint32_t first = spread ? p->steps.first : p->delay_constant;
    out[SPKI_GPU_ROWS_DELAY] = p->delay_constant;
    out[SPKI_GPU_ROWS_DELAY_WORDS] = spki_delay_words(p);
    out[SPKI_GPU_ROWS_DELAY_AT] =
        spread ? spki_gpu_steps_table(&t->table, p->steps.first, p->steps.count, p->steps.upto)
               : SPKI_GPU_ROWS_NONE;
    t->shortest = SPKI_MIN(t->shortest, first);
    t->longest = SPKI_MAX(t->longest, spread ? first + p->steps.count - 1 : first);
}

SPKI_FN uint32_t spki_gpu_put_ranges(const spki_view *view, spki_gpu_bytes *b)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t index = 0;
    for (uint32_t r = 0; r < view->ranges; r++) {
        const uint32_t x[3] = {view->range[r].first, view->range[r].count, index};
        spki_gpu_table_put(b, x, 3);
        index += view->range[r].count;
    }
    return at;
}

SPKI_FN void spki_gpu_put_projection(const spk_net *net, spki_gpu_tables *t, uint32_t k)
{
    const spki_projection *projection = &net->projection[k];
    const spki_proj *p = &projection->proj;
    const spki_view *source = &net->view[projection->source];
    uint32_t out[SPKI_GPU_ROWS_SIZE];
    memset(out, 0, sizeof out);
    out[SPKI_GPU_ROWS_RULE] = (uint32_t)p->rule;
    out[SPKI_GPU_ROWS_SOURCES] = p->n_source;
    out[SPKI_GPU_ROWS_TARGETS] = p->n_target;
    out[SPKI_GPU_ROWS_K] = p->k;
    out[SPKI_GPU_ROWS_LEAF] = p->leaf;
    out[SPKI_GPU_ROWS_STREAM] = p->stream;
    out[SPKI_GPU_ROWS_MAGNITUDE] = projection->magnitude;
    out[SPKI_GPU_ROWS_RANGES] = source->ranges;
    out[SPKI_GPU_ROWS_RANGE_AT] = spki_gpu_put_ranges(source, &t->table);
    out[SPKI_GPU_ROWS_SELF] = !p->no_autapses ? 0 : p->self ? 2 : p->same_view ? 1 : 0;
    if (p->self) {
        out[SPKI_GPU_ROWS_SELF_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->self, p->n_source);
        out[SPKI_GPU_ROWS_SELF_SOURCE_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->self_source, p->n_target);
    }
    out[SPKI_GPU_ROWS_COUNT_AT] = SPKI_GPU_ROWS_NONE;
    if (p->row_count) {
        out[SPKI_GPU_ROWS_COUNT_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->row_count, p->n_source);
    }
    if (p->rule == SPK_BERNOULLI && p->n_target) {
        out[SPKI_GPU_ROWS_BLOCK_AT] = spki_gpu_counts_table(&t->table, &p->block);
        out[SPKI_GPU_ROWS_REST_AT] = spki_gpu_counts_table(&t->table, &p->rest);
    }
    spki_gpu_put_weights(net, t, k, out);
    spki_gpu_put_delays(p, t, out);
    spki_gpu_table_put(&t->plan, out, SPKI_GPU_ROWS_SIZE);
    t->indexed = t->indexed || p->rule == SPK_FIXED_INDEGREE;
}

/* The slots of a projection's targets in a tile: those for weights >= 0 in the lower half. A
   projection onto the same targets has the same. */
SPKI_FN void spki_gpu_put_feed(spk_net *net, spki_gpu_tables *t, const spki_tile *tile, uint32_t k,
                               uint32_t *feeds)
{
    const spki_projection *p = &net->projection[k];
    uint32_t *out = feeds + (size_t)k * SPKI_GPU_ROWS_FEED_SIZE;
    for (uint32_t j = 0; j < k; j++) {
        const spki_projection *q = &net->projection[j];
        const bool same = p->receptor && q->receptor ? strcmp(p->receptor, q->receptor) == 0
                                                     : p->receptor == q->receptor;
        if (same && p->target == q->target) {
            memcpy(out, feeds + (size_t)j * SPKI_GPU_ROWS_FEED_SIZE,
                   SPKI_GPU_ROWS_FEED_SIZE * sizeof *out);
            return;
        }
    }
    spki_feed feed;
    memset(&feed, 0, sizeof feed);
    feed.projection = p;
    t->slot.failed = !spki_feed_slots(net, tile, &feed) || t->slot.failed;
    const uint32_t n = feed.t1 - feed.t0;
    out[SPKI_GPU_ROWS_FEED_T0] = feed.t0;
    out[SPKI_GPU_ROWS_FEED_T1] = feed.t1;
    out[SPKI_GPU_ROWS_FEED_SLOT] = spki_gpu_table_end(&t->slot);
    uint32_t *slot = n ? (uint32_t *)spki_gpu_more(&t->slot, (size_t)n * 4) : NULL;
    for (uint32_t i = 0; slot && i < n; i++) {
        slot[i] = feed.slot[0][i] | (uint32_t)feed.slot[1][i] << 16;
    }
    spki_free(&net->mem, feed.slot[0], n, sizeof(uint16_t));
    spki_free(&net->mem, feed.slot[1], n, sizeof(uint16_t));
}

/* Words of a tile's record and its feeds. */
SPKI_FN size_t spki_gpu_tile_words(const spk_net *net)
{
    return SPKI_GPU_ROWS_TILE_SIZE + (size_t)net->projections * SPKI_GPU_ROWS_FEED_SIZE;
}

SPKI_FN void spki_gpu_put_tile(spk_net *net, spki_gpu_tables *t, const spki_tile *tile,
                               uint64_t slots)
{
    uint32_t *out = (uint32_t *)spki_gpu_more(&t->tiles, spki_gpu_tile_words(net) * 4);
    if (!out) {
        return;
    }
    out[SPKI_GPU_ROWS_TILE_BYTES] = tile->count_bytes;
    out[SPKI_GPU_ROWS_TILE_SLOT] = (uint32_t)slots;
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_gpu_put_feed(net, t, tile, k, out + SPKI_GPU_ROWS_TILE_SIZE);
    }
}

/* All that drawing the rows of `tiles` tiles needs. False: what `not_` says, or no memory. */
SPKI_FN bool spki_gpu_tables_make(spk_net *net, spki_gpu_tables *t, uint32_t tile, uint32_t tiles)
{
    uint64_t slots = 0;
    memset(t, 0, sizeof *t);
    t->plan.mem = t->table.mem = t->tiles.mem = t->slot.mem = &net->mem;
    t->shortest = UINT32_MAX;
    t->not_ = spki_gpu_draws_not(net);
    if (!t->not_) {
        (void)spki_gpu_counts_table(&t->table, &net->projection[0].proj.half);
    }
    for (uint32_t k = 0; k < net->projections && !spki_gpu_tables_failed(t); k++) {
        spki_gpu_put_projection(net, t, k);
    }
    for (uint32_t k = tile; k < tile + tiles && !spki_gpu_tables_failed(t); k++) {
        spki_gpu_put_tile(net, t, &net->tile[k], slots);
        slots += spki_gpu_tile_slots(&net->tile[k]);
        if (slots > UINT32_MAX || t->slot.used / 4 > UINT32_MAX) {
            t->not_ = "there are more than 2^32 accumulators";
        }
    }
    (void)spki_gpu_more(&t->slot, 4);
    return !spki_gpu_tables_failed(t);
}

/* ---- >>gpu-construct: connectivity drawn on the device ----
   While a network is built, one device measures its rows: how many words each tile takes, delays,
   in-degrees, all that the host learns by drawing them. The rows stay undrawn here (net->elsewhere)
   until somebody wants them: the CPU, which goes on where a device fails, or who reads synapses.
   When the network enters its devices, each writes the rows of its tiles, with the same tables. */

#define SPKI_GPU_DRAW_ITEMS 128u
#define SPKI_GPU_DRAW_SCRATCH ((uint64_t)256 << 20) /* bytes of counts by delay, at most */
#define SPKI_GPU_DRAW_FROM 10000000.0               /* synapses from which it is worth a program */

/* Drawing the rows of one device's tiles. */
typedef struct spki_gpu_drawing {
    uint32_t tile, tiles;
    spki_gpu_tables t;
    uint32_t delays, at_once; /* items of a launch */
    uint32_t *batch;          /* tiles whose indices are there together begin here */
    uint32_t batches, indexed_batch; /* the one that is there */
    uint64_t from_words, entry_words;
    uint64_t slots;
    spki_gpu_block plan, table, tiles_at, slot, from, entry, scratch, rows, flat, stats, indegree,
        outdegree, segment, sum;
    void *program; /* the part's */
    bool tiles_changed; /* the records, since they were uploaded */
} spki_gpu_drawing;

/* -- the program -- */

SPKI_FN void spki_gpu_rows_text(spki_gpu_source *s, const spki_gpu_api *api)
{
    spki_gpu_choice c;
    memset(&c, 0, sizeof c);
    c.lanes = 1; /* there are only integers in it */
    s->line = 1;
    spki_gpu_head(s, api, &c);
    spki_gpu_numbers(s);
#define SPKI_GPU_ROWS_DEFINE(name, value) spki_gpu_define(s, #name, (uint32_t)(value));
    SPKI_GPU_ROWS_NUMBERS(SPKI_GPU_ROWS_DEFINE)
#undef SPKI_GPU_ROWS_DEFINE
    spki_gpu_paste(s, spki_gpu_text_rows);
    spki_gpu_put(s, "", 1);
}

SPKI_FN spk_result spki_gpu_rows_program(spk_net *net, spki_gpu *gpu, void **program)
{
    spki_gpu_choice c = spki_gpu_choose(net, gpu);
    spki_gpu_source s;
    *program = NULL;
    for (uint32_t wide = 0; wide < 2 && gpu->api->held && !*program; wide++) {
        c.wide = wide != 0;
        *program = gpu->api->held(gpu, net, &c);
    }
    if (*program) {
        return SPK_OK;
    }
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    spki_gpu_rows_text(&s, gpu->api);
    char *log = (char *)spki_alloc(&net->mem, 65536, 1);
    spk_result result = SPK_ERR_OUT_OF_MEMORY;
    if (log && !s.text.failed) {
        result = gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_ROWS, program,
                                   log, 65536);
    }
    if (result == SPK_ERR_COMPILE) {
        snprintf(gpu->why, sizeof gpu->why, "%.*s", (int)SPKI_MIN(strlen(log), (size_t)400), log);
    }
    spki_free(&net->mem, log, 65536, 1);
    spki_gpu_source_free(&s);
    return result;
}

/* -- buffers -- */

SPKI_FN void spki_gpu_drawing_free(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_block *const block[] = {&d->plan,    &d->table,    &d->tiles_at,  &d->slot,
                                     &d->from,    &d->entry,    &d->scratch,   &d->rows,
                                     &d->flat,    &d->stats,    &d->indegree,  &d->outdegree,
                                     &d->segment, &d->sum};
    for (uint32_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        spki_gpu_drop(gpu, block[k]); /* they are large: nobody else wants them */
    }
    spki_gpu_tables_free(&d->t);
    spki_free(&net->mem, d->batch, (size_t)d->tiles + 1, 4);
    spki_free(&net->mem, d, 1, sizeof *d);
}

SPKI_FN uint32_t *spki_gpu_record_of(const spk_net *net, const spki_gpu_drawing *d, uint32_t t)
{
    return (uint32_t *)(void *)d->t.tiles.data + t * spki_gpu_tile_words(net);
}

SPKI_FN uint32_t *spki_gpu_feed_of(const spk_net *net, const spki_gpu_drawing *d, uint32_t t,
                                   uint32_t projection)
{
    return spki_gpu_record_of(net, d, t) + SPKI_GPU_ROWS_TILE_SIZE +
           (size_t)projection * SPKI_GPU_ROWS_FEED_SIZE;
}

/* What the indices of a tile take: counters of sources and entries. */
SPKI_FN void spki_gpu_index_words(const spk_net *net, const spki_gpu_drawing *d, uint32_t t,
                                  uint64_t *from, uint64_t *entry)
{
    *from = *entry = 0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_proj *p = &net->projection[k].proj;
        const uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
        if (p->rule == SPK_FIXED_INDEGREE) {
            *from += p->n_source;
            *entry += (uint64_t)(feed[SPKI_GPU_ROWS_FEED_T1] - feed[SPKI_GPU_ROWS_FEED_T0]) * p->k;
        }
    }
}

/* Cuts the tiles into batches whose indices fit into a quarter of the memory, and places them. */
SPKI_FN bool spki_gpu_cut_indices(spk_net *net, const spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint64_t most = SPKI_MIN(gpu->memory / 16, (uint64_t)INT32_MAX); /* words */
    uint64_t from = 0, entry = 0;
    d->batch = (uint32_t *)spki_alloc(&net->mem, (size_t)d->tiles + 1, 4);
    if (!d->batch) {
        d->t.not_ = "there is no memory";
        return false;
    }
    for (uint32_t t = 0; t < d->tiles; t++) {
        uint64_t more_from, more_entry;
        spki_gpu_index_words(net, d, t, &more_from, &more_entry);
        if (more_from + more_entry > most) {
            d->t.not_ = "the index of a tile's fixed in-degrees is too large";
            return false;
        }
        if (t == 0 || from + more_from + entry + more_entry > most) {
            d->batch[d->batches++] = t;
            from = entry = 0;
        }
        for (uint32_t k = 0; k < net->projections; k++) {
            const spki_proj *p = &net->projection[k].proj;
            uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
            if (p->rule == SPK_FIXED_INDEGREE) {
                feed[SPKI_GPU_ROWS_FEED_FROM] = (uint32_t)from;
                feed[SPKI_GPU_ROWS_FEED_ENTRY] = (uint32_t)entry;
                from += p->n_source;
                entry += (uint64_t)(feed[SPKI_GPU_ROWS_FEED_T1] - feed[SPKI_GPU_ROWS_FEED_T0]) *
                         p->k;
            }
        }
        d->from_words = SPKI_MAX(d->from_words, from);
        d->entry_words = SPKI_MAX(d->entry_words, entry);
    }
    d->batch[d->batches] = d->tiles;
    return true;
}

SPKI_FN spk_result spki_gpu_upload(spki_gpu *gpu, spki_gpu_block *block, const spki_gpu_bytes *data)
{
    const spk_result result = spki_gpu_reserve(gpu, data->used, block);
    return result == SPK_OK ? gpu->api->write(gpu, block->mem, 0, data->data, data->used) : result;
}

SPKI_FN spk_result spki_gpu_zeroed(spki_gpu *gpu, spki_gpu_block *block, uint64_t bytes)
{
    const spk_result result = spki_gpu_reserve(gpu, bytes, block);
    return result == SPK_OK ? gpu->api->zero(gpu, block->mem, 0, block->bytes) : result;
}

SPKI_FN spk_result spki_gpu_drawing_buffers(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint64_t lists = net->desc.weight_bits == 8 ? 3 : 2, each = d->delays * lists * 4;
    const uint64_t room = SPKI_MIN(SPKI_GPU_DRAW_SCRATCH, gpu->memory / 16);
    const uint64_t rows = (uint64_t)d->tiles * net->neurons;
    const struct {
        spki_gpu_block *block;
        uint64_t words;
    } want[] = {{&d->from, d->from_words},
                {&d->entry, d->entry_words},
                {&d->rows, rows},
                {&d->flat, rows},
                {&d->stats, (uint64_t)d->tiles * SPKI_GPU_ROWS_STATS},
                {&d->indegree, d->slots},
                {&d->outdegree, net->neurons},
                {&d->segment, SPKI_GPU_ROWS_SEGMENT * (uint64_t)d->tiles * net->projections},
                {&d->sum, 2 * (uint64_t)d->tiles * net->projections}};
    d->at_once = (uint32_t)SPKI_MIN(SPKI_MAX(room / each, (uint64_t)SPKI_GPU_DRAW_ITEMS),
                                    (uint64_t)1 << 22);
    d->at_once = (uint32_t)SPKI_MIN((uint64_t)d->at_once, rows);
    spk_result result = spki_gpu_upload(gpu, &d->plan, &d->t.plan);
    result = result == SPK_OK ? spki_gpu_upload(gpu, &d->table, &d->t.table) : result;
    result = result == SPK_OK ? spki_gpu_upload(gpu, &d->slot, &d->t.slot) : result;
    result = result == SPK_OK ? spki_gpu_reserve(gpu, d->at_once * each, &d->scratch) : result;
    for (uint32_t k = 0; k < sizeof want / sizeof want[0] && result == SPK_OK; k++) {
        result = spki_gpu_zeroed(gpu, want[k].block, want[k].words * 4);
    }
    return result;
}

/* Everything that drawing `tiles` tiles needs. SPK_ERR_UNSUPPORTED: the host has to, for what
   (*out)->t.not_ says. */
SPKI_FN spk_result spki_gpu_drawing_make(spk_net *net, spki_gpu_part *part, uint32_t tile,
                                         uint32_t tiles, spki_gpu_drawing **out)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_drawing *d = (spki_gpu_drawing *)spki_alloc(&net->mem, 1, sizeof *d);
    *out = d;
    if (!d) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    d->tile = tile;
    d->tiles = tiles;
    d->indexed_batch = UINT32_MAX;
    d->tiles_changed = true;
    for (uint32_t t = tile; t < tile + tiles; t++) {
        d->slots += spki_gpu_tile_slots(&net->tile[t]);
    }
    if (!spki_gpu_tables_make(net, &d->t, tile, tiles)) {
        return d->t.not_ ? SPK_ERR_UNSUPPORTED : SPK_ERR_OUT_OF_MEMORY;
    }
    if (!spki_gpu_cut_indices(net, gpu, d)) {
        return SPK_ERR_UNSUPPORTED;
    }
    d->delays = d->t.longest - d->t.shortest + 1;
    const double start = spk_clock_seconds();
    const spk_result result =
        part->rows_program ? SPK_OK : spki_gpu_rows_program(net, gpu, &part->rows_program);
    d->program = part->rows_program;
    net->construct_s -= spk_clock_seconds() - start;
    if (result != SPK_OK) {
        d->t.not_ = "there are no kernels: ";
        return SPK_ERR_UNSUPPORTED;
    }
    return spki_gpu_drawing_buffers(net, gpu, d);
}

/* -- launches -- */

SPKI_FN uint32_t spki_gpu_draw_groups(uint64_t items)
{
    return (uint32_t)((items + SPKI_GPU_DRAW_ITEMS - 1) / SPKI_GPU_DRAW_ITEMS);
}

/* Sums of what stands before, in each of the segments. */
SPKI_FN spk_result spki_gpu_scan_rows(spki_gpu *gpu, spki_gpu_drawing *d, const spki_gpu_block *x,
                                      const spki_gpu_block *to, const spki_gpu_bytes *segments,
                                      uint32_t keep)
{
    const uint32_t n = (uint32_t)(segments->used / (SPKI_GPU_ROWS_SEGMENT * 4));
    if (segments->failed) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    spk_result result = n ? gpu->api->write(gpu, d->segment.mem, 0, segments->data, segments->used)
                          : SPK_OK;
    if (result == SPK_OK && n) {
        const spki_gpu_arg arg[] = {spki_gpu_memory(x), spki_gpu_memory(to),
                                    spki_gpu_memory(&d->segment), spki_gpu_memory(&d->sum),
                                    spki_gpu_u32(keep)};
        result = gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_SCAN, n, SPKI_GPU_SCAN_ITEMS, arg,
                                  5);
    }
    return result;
}

SPKI_FN void spki_gpu_add_segment(spki_gpu_bytes *b, uint64_t at, uint32_t n, uint32_t begin,
                                  uint32_t sum)
{
    uint32_t *to = (uint32_t *)spki_gpu_more(b, SPKI_GPU_ROWS_SEGMENT * 4);
    if (to) {
        to[4] = sum;
        to[0] = (uint32_t)at;
        to[1] = (uint32_t)(at >> 32);
        to[2] = n;
        to[3] = begin;
    }
}

SPKI_FN spk_result spki_gpu_collect(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d, uint32_t k,
                                    uint32_t tile, uint32_t tiles, uint32_t put)
{
    const uint32_t first = spki_gpu_feed_of(net, d, tile, k)[SPKI_GPU_ROWS_FEED_T0];
    const uint32_t end = spki_gpu_feed_of(net, d, tile + tiles - 1, k)[SPKI_GPU_ROWS_FEED_T1];
    const spki_proj *p = &net->projection[k].proj;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&d->plan),     spki_gpu_memory(&d->table),
                                spki_gpu_memory(&d->tiles_at), spki_gpu_memory(&d->from),
                                spki_gpu_memory(&d->entry),    spki_gpu_u32(k),
                                spki_gpu_u32(net->projections), spki_gpu_u32(tile),
                                spki_gpu_u32(tiles),           spki_gpu_u32(p->key[0]),
                                spki_gpu_u32(p->key[1]),       spki_gpu_u32(put)};
    return p->n_source && p->k && end > first
               ? gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_COLLECT,
                                  spki_gpu_draw_groups(end - first), SPKI_GPU_DRAW_ITEMS, arg, 12)
               : SPK_OK;
}

SPKI_FN spk_result spki_gpu_sort(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d, uint32_t k,
                                 uint32_t tile, uint32_t tiles)
{
    const spki_gpu_arg arg[] = {spki_gpu_memory(&d->plan), spki_gpu_memory(&d->tiles_at),
                                spki_gpu_memory(&d->from), spki_gpu_memory(&d->entry),
                                spki_gpu_u32(k),           spki_gpu_u32(net->projections),
                                spki_gpu_u32(tile),        spki_gpu_u32(tiles)};
    return gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_SORT,
                            spki_gpu_draw_groups(net->projection[k].proj.n_source),
                            SPKI_GPU_DRAW_ITEMS, arg, 8);
}

/* The indices of a batch of tiles: sources counted, entries put behind those of each, in order. */
SPKI_FN spk_result spki_gpu_index_batch(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                        uint32_t batch)
{
    const uint32_t tile = d->batch[batch], tiles = d->batch[batch + 1] - tile;
    spki_gpu_bytes segments;
    if (!d->t.indexed || batch == d->indexed_batch) {
        return SPK_OK;
    }
    memset(&segments, 0, sizeof segments);
    segments.mem = &net->mem;
    spk_result result = gpu->api->zero(gpu, d->from.mem, 0, d->from.bytes);
    for (uint32_t k = 0; k < net->projections && result == SPK_OK; k++) {
        if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
            result = spki_gpu_collect(net, gpu, d, k, tile, tiles, 0);
        }
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        for (uint32_t t = tile; t < tile + tiles; t++) {
            const uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
            if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
                spki_gpu_add_segment(&segments, feed[SPKI_GPU_ROWS_FEED_FROM],
                                     net->projection[k].proj.n_source,
                                     feed[SPKI_GPU_ROWS_FEED_ENTRY],
                                     (uint32_t)(segments.used / (SPKI_GPU_ROWS_SEGMENT * 4)));
            }
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_scan_rows(gpu, d, &d->from, &d->from, &segments, 0);
    }
    for (uint32_t k = 0; k < net->projections && result == SPK_OK; k++) {
        if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
            result = spki_gpu_collect(net, gpu, d, k, tile, tiles, 1);
            result = result == SPK_OK ? spki_gpu_sort(net, gpu, d, k, tile, tiles) : result;
        }
    }
    d->indexed_batch = result == SPK_OK ? batch : UINT32_MAX;
    spki_gpu_forget(&segments);
    return result;
}

/* The rows of tiles [tile, end), in one of the modes. */
SPKI_FN spk_result spki_gpu_draw_tiles(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                       uint32_t mode, uint32_t tile, uint32_t end,
                                       const spki_gpu_block *out)
{
    const uint64_t each = mode == SPKI_GPU_ROWS_LOOK ? (uint64_t)SPKI_GPU_ROWS_LOOKS : net->neurons;
    const uint32_t *key = net->projection[0].proj.key;
    spk_result result = SPK_OK;
    for (uint64_t first = tile * each; first < end * each && result == SPK_OK;
         first += d->at_once) {
        const uint32_t items = (uint32_t)SPKI_MIN(end * each - first, (uint64_t)d->at_once);
        const spki_gpu_arg arg[] = {
            spki_gpu_memory(&d->plan),      spki_gpu_memory(&d->table),
            spki_gpu_memory(&d->tiles_at),  spki_gpu_memory(&d->slot),
            spki_gpu_memory(&d->from),      spki_gpu_memory(&d->entry),
            spki_gpu_memory(&d->scratch),   spki_gpu_memory(&d->rows),
            spki_gpu_memory(out),           spki_gpu_memory(&d->stats),
            spki_gpu_memory(&d->indegree),  spki_gpu_memory(&d->outdegree),
            spki_gpu_u64(first),            spki_gpu_u32(items),
            spki_gpu_u32(net->neurons),     spki_gpu_u32(net->projections),
            spki_gpu_u32(d->t.shortest),    spki_gpu_u32(d->delays),
            spki_gpu_u32(key[0]),           spki_gpu_u32(key[1]),
            spki_gpu_u32(net->desc.weight_bits == 8), spki_gpu_u32(mode)};
        result = gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS, spki_gpu_draw_groups(items),
                                  SPKI_GPU_DRAW_ITEMS, arg, sizeof arg / sizeof arg[0]);
    }
    return result;
}

/* All tiles in one of the modes, batch by batch. */
SPKI_FN spk_result spki_gpu_draw_all(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                     uint32_t mode, const spki_gpu_block *out)
{
    spk_result result = d->tiles_changed ? spki_gpu_upload(gpu, &d->tiles_at, &d->t.tiles) : SPK_OK;
    d->tiles_changed = false;
    for (uint32_t b = 0; b < d->batches && result == SPK_OK; b++) {
        result = spki_gpu_index_batch(net, gpu, d, b);
        if (result == SPK_OK) {
            result = spki_gpu_draw_tiles(net, gpu, d, mode, d->batch[b], d->batch[b + 1], out);
        }
    }
    return result;
}

/* -- measuring -- */

/* How wide the counts of each tile's rows are: as spki_choose_layout has it. */
SPKI_FN spk_result spki_gpu_choose_bytes(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint32_t looks = SPKI_MIN(net->neurons, (uint32_t)SPKI_GPU_ROWS_LOOKS);
    const size_t words = (size_t)d->tiles * SPKI_GPU_ROWS_LOOKS * 2;
    uint32_t *seen = (uint32_t *)spki_alloc(&net->mem, words, 4);
    spki_gpu_block out = {NULL, 0};
    spk_result result = seen ? spki_gpu_zeroed(gpu, &out, words * 4) : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK) {
        result = spki_gpu_draw_all(net, gpu, d, SPKI_GPU_ROWS_LOOK, &out);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, out.mem, 0, seen, words * 4, NULL);
    }
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        const uint32_t *x = seen + (size_t)t * SPKI_GPU_ROWS_LOOKS * 2;
        uint64_t bytes = 0, pairs = 0;
        for (uint32_t k = 0; k < SPKI_GPU_ROWS_LOOKS; k++) {
            /* fewer neurons than looks: the kernel has seen some twice */
            const bool again = k * (uint64_t)looks / SPKI_GPU_ROWS_LOOKS ==
                               (k + 1) * (uint64_t)looks / SPKI_GPU_ROWS_LOOKS;
            bytes += again ? 0 : x[2 * k];
            pairs += again ? 0 : x[2 * k + 1];
        }
        net->tile[d->tile + t].count_bytes = bytes < 2 * pairs ? 1 : 2;
        spki_gpu_record_of(net, d, t)[SPKI_GPU_ROWS_TILE_BYTES] =
            net->tile[d->tile + t].count_bytes;
    }
    d->tiles_changed = true;
    spki_gpu_free(gpu, &out);
    spki_free(&net->mem, seen, words, 4);
    return result;
}

/* Measures all rows. */
SPKI_FN spk_result spki_gpu_measure_tiles(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_bytes none;
    memset(&none, 0, sizeof none);
    none.mem = &net->mem;
    for (uint32_t t = 0; t < d->tiles; t++) {
        uint32_t *stats = (uint32_t *)spki_gpu_more(&none, SPKI_GPU_ROWS_STATS * 4);
        if (stats) {
            stats[SPKI_GPU_ROWS_SHORTEST] = UINT32_MAX; /* of a tile without rows */
        }
    }
    spk_result result = none.failed ? SPK_ERR_OUT_OF_MEMORY
                                    : spki_gpu_upload(gpu, &d->stats, &none);
    if (result == SPK_OK) {
        result = spki_gpu_draw_all(net, gpu, d, SPKI_GPU_ROWS_MEASURE, &d->flat);
    }
    spki_gpu_forget(&none);
    return result;
}

/* What the host would know of its tiles if it had drawn them. */
SPKI_FN spk_result spki_gpu_take_measures(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const size_t room = (size_t)d->tiles * SPKI_GPU_ROWS_STATS;
    uint32_t *stats = (uint32_t *)spki_alloc(&net->mem, room, 4);
    spk_result result = stats ? gpu->api->read(gpu, d->stats.mem, 0, stats, room * 4, NULL)
                              : SPK_ERR_OUT_OF_MEMORY;
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        spki_tile *tile = &net->tile[d->tile + t];
        const uint32_t *s = stats + (size_t)t * SPKI_GPU_ROWS_STATS;
        tile->min_delay = s[SPKI_GPU_ROWS_SHORTEST];
        tile->max_delay = s[SPKI_GPU_ROWS_LONGEST];
        tile->synapses = s[SPKI_GPU_ROWS_SYNAPSES];
        tile->buckets = s[SPKI_GPU_ROWS_BUCKETS];
    }
    spki_free(&net->mem, stats, room, 4);
    return result;
}

/* Says where each row begins in its tile, flat or not. */
SPKI_FN spk_result spki_gpu_place_rows(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_bytes with[2]; /* segments of tiles with buckets, and of flat ones */
    uint32_t *sum = (uint32_t *)spki_alloc(&net->mem, (size_t)d->tiles * 2, 4);
    memset(with, 0, sizeof with);
    with[0].mem = with[1].mem = &net->mem;
    for (uint32_t t = 0; t < d->tiles; t++) {
        const spki_tile *tile = &net->tile[d->tile + t];
        uint32_t *record = spki_gpu_record_of(net, d, t);
        record[SPKI_GPU_ROWS_TILE_FLAT] = tile->flat;
        record[SPKI_GPU_ROWS_TILE_SHORTEST] = tile->min_delay;
        spki_gpu_add_segment(&with[tile->flat ? 1 : 0], (uint64_t)t * net->neurons, net->neurons, 1,
                             t);
    }
    d->tiles_changed = true;
    spk_result result = sum ? spki_gpu_scan_rows(gpu, d, &d->rows, &d->rows, &with[0], 1)
                            : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK) {
        result = spki_gpu_scan_rows(gpu, d, &d->flat, &d->rows, &with[1], 1);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, d->sum.mem, 0, sum, (size_t)d->tiles * 8, NULL);
    }
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        spki_tile *tile = &net->tile[d->tile + t];
        const uint64_t words = (uint64_t)sum[2 * t] | (uint64_t)sum[2 * t + 1] << 32;
        if (words > SPKI_MOST_WORDS) {
            d->t.not_ = "a tile has more than 2^31 words of synapses";
            result = SPK_ERR_UNSUPPORTED; /* the host says it */
        }
        tile->device_words = tile->words_used = (size_t)words;
    }
    spki_gpu_forget(&with[0]);
    spki_gpu_forget(&with[1]);
    spki_free(&net->mem, sum, (size_t)d->tiles * 2, 4);
    return result;
}

/* Synapses that the rules promise, and by how many there may be more or fewer: ten standard
   deviations where each is drawn by itself. */
SPKI_FN double spki_gpu_promised(const spk_net *net, double *within)
{
    double all = 0.0, variance = 0.0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_proj *p = &net->projection[k].proj;
        const double pairs = (double)spki_pairs(p, 0, p->n_source);
        switch (p->rule) {
        case SPK_ONE_TO_ONE:
            all += pairs < (double)p->n_source * p->n_target && p->same_view ? 0.0 : p->n_source;
            variance += p->self ? (double)p->n_source * p->n_source : 0.0; /* some are left out */
            break;
        case SPK_ALL_TO_ALL: all += pairs; break;
        case SPK_FIXED_INDEGREE: all += p->n_source ? (double)p->k * p->n_target : 0.0; break;
        case SPK_FIXED_OUTDEGREE: all += p->n_target ? (double)p->k * p->n_source : 0.0; break;
        case SPK_FIXED_TOTAL: all += (double)p->total; break;
        case SPK_BERNOULLI:
            all += pairs * p->p;
            variance += pairs * p->p * (1.0 - p->p);
            break;
        case SPK_COO:
        case SPK_CSR:
        case SPK_CALLBACK:
        case SPK_RULE_FORCE_32_BIT: break;
        }
    }
    *within = 10.0 * __builtin_sqrt(variance) + (variance > 0.0 ? 10.0 : 0.0);
    return all;
}

/* In-degrees, for the width of accumulators, and out-degrees, for counting events. */
SPKI_FN spk_result spki_gpu_take_degrees(spk_net *net, spki_gpu_net *g, spki_gpu *gpu,
                                         spki_gpu_drawing *d)
{
    uint32_t *degree = (uint32_t *)spki_alloc(&net->mem, (size_t)d->slots, 4), largest = 0;
    g->outdegree = (uint32_t *)spki_alloc(&net->mem, net->neurons, sizeof *g->outdegree);
    spk_result result = degree && g->outdegree ? SPK_OK : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK && d->slots) {
        result = gpu->api->read(gpu, d->indegree.mem, 0, degree, (size_t)d->slots * 4, NULL);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, d->outdegree.mem, 0, g->outdegree, (size_t)net->neurons * 4,
                                NULL);
    }
    for (uint64_t k = 0; k < d->slots && result == SPK_OK; k++) {
        largest = SPKI_MAX(largest, degree[k]);
    }
    spki_free(&net->mem, degree, (size_t)d->slots, 4);
    if (result == SPK_OK) {
        spki_choose_accumulator(net, largest);
    }
    return result;
}

/* Do as many synapses arrive as the rules promise? */
SPKI_FN spk_result spki_gpu_count_drawn(spk_net *net, const spki_gpu *gpu)
{
    double drawn = 0.0, within;
    const double promised = spki_gpu_promised(net, &within);
    for (uint32_t t = 0; t < net->tiles; t++) {
        drawn += (double)net->tile[t].synapses;
    }
    if (drawn >= promised - within && drawn <= promised + within) {
        return SPK_OK;
    }
    return spki_fail(net, SPK_ERR_ARITHMETIC,
                     "%s \"%s\": the device drew %.0f synapses where the rules say %.0f",
                     gpu->api->name, gpu->name, drawn, promised);
}

SPKI_FN spk_result spki_gpu_measure_rows(spk_net *net, spki_gpu_net *g, spki_gpu *gpu,
                                         spki_gpu_drawing *d)
{
    spk_result result = spki_gpu_choose_bytes(net, gpu, d);
    result = result == SPK_OK ? spki_gpu_measure_tiles(net, gpu, d) : result;
    result = result == SPK_OK ? spki_gpu_take_measures(net, gpu, d) : result;
    result = result == SPK_OK ? spki_gpu_take_degrees(net, g, gpu, d) : result;
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        spki_gpu_choose_flat(net, &net->tile[t], spki_gpu_may_be_flat(net, g));
    }
    return result == SPK_OK ? spki_gpu_place_rows(net, gpu, d) : result;
}

/* The tiles as before anything was measured. */
SPKI_FN void spki_gpu_unmeasure(spk_net *net, spki_gpu_net *g)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_forget_rows(net, &net->tile[t]);
    }
    spki_free(&net->mem, g->outdegree, net->neurons, sizeof *g->outdegree);
    g->outdegree = NULL;
}

/* Measures the rows of a network that is being built, so that the host need not draw them; leaves
   it to the host where a device cannot (net->elsewhere says whether). Errors: the device's. */
SPKI_FN spk_result spki_gpu_construct(spk_net *net, spki_gpu_net *g, spk_construction where)
{
    spki_gpu_part *part = &g->part[0];
    spki_gpu *gpu = &part->gpu;
    double within;
    g->host_draws[0] = gpu->why[0] = 0;
    if (where == SPK_CONSTRUCTION_HOST ||
        (where == SPK_CONSTRUCTION_AUTO &&
         (gpu->lanes > 1 || !(spki_gpu_promised(net, &within) >= SPKI_GPU_DRAW_FROM)))) {
        return SPK_OK;
    }
    const double start = spk_clock_seconds();
    gpu->patient = true;
    spk_result result = spki_gpu_drawing_make(net, part, 0, net->tiles, &part->drawing);
    result = result == SPK_OK ? spki_gpu_measure_rows(net, g, gpu, part->drawing) : result;
    gpu->patient = false;
    if (result == SPK_OK) {
        result = spki_gpu_count_drawn(net, gpu);
    } else if (result == SPK_ERR_UNSUPPORTED || result == SPK_ERR_OUT_OF_MEMORY) {
        const char *not_ = part->drawing ? part->drawing->t.not_ : NULL;
        snprintf(g->host_draws, sizeof g->host_draws, "%s%.140s",
                 not_ ? not_ : "there is no memory for it", gpu->why);
    } else {
        result = spki_gpu_failed(net, gpu, result);
    }
    if (result != SPK_OK || g->parts > 1) {
        if (part->drawing) {
            spki_gpu_drawing_free(net, gpu, part->drawing);
            part->drawing = NULL;
        }
    }
    if (result != SPK_OK) {
        spki_gpu_unmeasure(net, g);
        return g->host_draws[0] ? SPK_OK : result;
    }
    net->construct_s += spk_clock_seconds() - start;
    net->elsewhere = true;
    return SPK_OK;
}

/* -- writing -- */

/* Where each tile's words lie in the block of its segment. */
SPKI_FN void spki_gpu_place_words(spk_net *net, const spki_gpu_part *part, spki_gpu_drawing *d)
{
    for (uint32_t k = 0; k < part->segments; k++) {
        uint64_t words = 0;
        for (uint32_t t = 0; t < part->segment[k].tiles; t++) {
            const uint32_t own = part->segment[k].tile + t;
            uint32_t *record = spki_gpu_record_of(net, d, own);
            record[SPKI_GPU_ROWS_TILE_WORD] = (uint32_t)words;
            record[SPKI_GPU_ROWS_TILE_WORD + 1] = (uint32_t)(words >> 32);
            words += net->tile[part->tile + own].device_words;
        }
    }
    d->tiles_changed = true;
}

SPKI_FN spk_result spki_gpu_write_drawn(spk_net *net, spki_gpu_part *part, spki_gpu_drawing *d)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_place_words(net, part, d);
    spk_result result = spki_gpu_upload(gpu, &d->tiles_at, &d->t.tiles);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        result = spki_gpu_reserve(gpu, part->segment[k].words * 4, &part->segment[k].block);
    }
    for (uint32_t b = 0; b < d->batches && result == SPK_OK; b++) {
        result = spki_gpu_index_batch(net, gpu, d, b);
        for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
            const spki_gpu_segment *s = &part->segment[k];
            const uint32_t tile = SPKI_MAX(d->batch[b], s->tile);
            const uint32_t end = SPKI_MIN(d->batch[b + 1], s->tile + s->tiles);
            if (tile < end) {
                result = spki_gpu_draw_tiles(net, gpu, d, SPKI_GPU_ROWS_WRITE, tile, end,
                                             &s->block);
            }
        }
    }
    result = result == SPK_OK ? gpu->api->finish(gpu) : result;
    if (result == SPK_OK) { /* the rows' places are what the kernels of the network read */
        spki_gpu_free(gpu, &part->rows);
        part->rows = d->rows;
        d->rows.mem = NULL;
        d->rows.bytes = 0;
    }
    return result;
}

/* Draws the rows of a part's tiles into its memory. */
SPKI_FN spk_result spki_gpu_write_rows(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_drawing *d = part->drawing;
    const double start = spk_clock_seconds();
    spk_result result = SPK_OK;
    gpu->patient = true;
    part->drawing = NULL;
    if (d && (d->tile != part->tile || d->tiles != part->tiles)) {
        spki_gpu_drawing_free(net, gpu, d);
        d = NULL;
    }
    if (!d) {
        result = spki_gpu_drawing_make(net, part, part->tile, part->tiles, &d);
        result = result == SPK_OK ? spki_gpu_measure_tiles(net, gpu, d) : result;
        result = result == SPK_OK ? spki_gpu_place_rows(net, gpu, d) : result;
    }
    result = result == SPK_OK ? spki_gpu_write_drawn(net, part, d) : result;
    if (d) {
        spki_gpu_drawing_free(net, gpu, d);
    }
    gpu->patient = false;
    net->construct_s += spk_clock_seconds() - start;
    return result;
}

/* The rows of a part's tiles: drawn there, or from the host's copy. */
SPKI_FN spk_result spki_gpu_push_words(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    part->drawn = false;
    if (net->elsewhere) {
        const spk_result drawn = spki_gpu_write_rows(net, part);
        part->drawn = drawn == SPK_OK;
        if (drawn == SPK_OK || (drawn != SPK_ERR_OUT_OF_MEMORY && drawn != SPK_ERR_UNSUPPORTED)) {
            return drawn == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, drawn);
        }
    }
    spk_result result = spki_fetch_rows(net);
    if (result != SPK_OK) {
        return result;
    }
    result =
        spki_gpu_reserve(gpu, (uint64_t)part->tiles * net->neurons * 4, &part->rows);
    result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        spki_gpu_segment *segment = &part->segment[k];
        uint64_t at = 0;
        result = spki_gpu_reserve(gpu, segment->words * 4, &segment->block);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
        for (uint32_t t = 0; t < segment->tiles && result == SPK_OK; t++) {
            result = spki_gpu_push_tile(net, part, segment->tile + t, segment, at);
            at += (uint64_t)net->tile[part->tile + segment->tile + t].device_words * 4;
        }
    }
    return result;
}

/* ---- >>gpu-deal: which device gets which tiles ---- */

/* Several devices take consecutive tiles in proportion to their speeds. When a network is built
   these are guessed by compute units; 32 slices of the run are then timed, one device after the
   other, from each of three moments on (the first when programs are warm, the last when activity
   has settled), and the network is dealt anew where that saves a tenth of the time or more. Which
   device has which tile changes no spike. */
#define SPKI_GPU_FIRST_WATCH 8u
#define SPKI_GPU_NEXT_WATCH 32u   /* times as late, each */
#define SPKI_GPU_LAST_WATCH 8192u
#define SPKI_GPU_WATCH_SLICES 32u

/* What a tile costs a step, in the units of >>build. */
SPKI_FN double spki_gpu_tile_cost(const spki_tile *tile)
{
    return (double)tile->synapses + 1000.0 * (double)tile->lanes;
}

SPKI_FN double spki_gpu_cost(const spk_net *net, uint32_t first, uint32_t tiles)
{
    double cost = 0.0;
    for (uint32_t t = first; t < first + tiles; t++) {
        cost += spki_gpu_tile_cost(&net->tile[t]);
    }
    return cost;
}

/* Proposes a share for each device; at least one tile each, where there are as many. */
SPKI_FN void spki_gpu_propose(const spk_net *net, spki_gpu_net *g)
{
    const double all = spki_gpu_cost(net, 0, net->tiles);
    double speed = 0.0, done = 0.0, share = 0.0;
    for (uint32_t k = 0; k < g->parts; k++) {
        speed += g->part[k].gpu.speed;
    }
    uint32_t t = 0;
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        const uint32_t later = g->parts - k - 1;
        share += all * part->gpu.speed / speed;
        part->next_tile = t;
        for (part->next_tiles = 0; t < net->tiles; t++, part->next_tiles++) {
            const double cost = spki_gpu_tile_cost(&net->tile[t]);
            if (part->next_tiles &&
                (net->tiles - t <= later || (later && done + 0.5 * cost > share))) {
                break;
            }
            done += cost;
        }
    }
}

/* The proposal becomes what is so; what was so, the proposal. */
SPKI_FN void spki_gpu_take_proposal(spki_gpu_net *g)
{
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        const uint32_t tile = part->tile, tiles = part->tiles;
        part->tile = part->next_tile;
        part->tiles = part->next_tiles;
        part->next_tile = tile;
        part->next_tiles = tiles;
    }
}

/* Called for each slice before it begins. */
SPKI_FN void spki_gpu_watch_slice(spki_gpu_net *g)
{
    if (g->parts > 1) {
        g->watching = g->watch && g->slices >= g->watch;
        g->slices++;
    }
}

SPKI_FN bool spki_gpu_is_timed(const spki_gpu_net *g)
{
    return g->parts > 1 && g->watch && g->slices >= g->watch + SPKI_GPU_WATCH_SLICES;
}

/* Takes the timed slices for the devices' speeds; true: other shares would be better by a tenth. */
SPKI_FN bool spki_gpu_judge(const spk_net *net, spki_gpu_net *g)
{
    double known = 0.0, units = 0.0, now = 0.0, then = 0.0;
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        if (part->tiles && part->busy_s > 0.0) {
            part->gpu.speed = spki_gpu_cost(net, part->tile, part->tiles) / part->busy_s;
            known += part->gpu.speed;
            units += part->gpu.units;
            now = SPKI_MAX(now, part->busy_s);
        }
    }
    for (uint32_t k = 0; k < g->parts && units > 0.0; k++) {
        spki_gpu_part *part = &g->part[k];
        if (!part->tiles || part->busy_s <= 0.0) { /* has had nothing to do */
            part->gpu.speed = part->gpu.units * known / units;
        }
        part->busy_s = 0.0;
    }
    g->watch = g->watch >= SPKI_GPU_LAST_WATCH ? 0 : g->watch * SPKI_GPU_NEXT_WATCH;
    g->watching = false;
    if (units <= 0.0) {
        return false;
    }
    spki_gpu_propose(net, g);
    for (uint32_t k = 0; k < g->parts; k++) {
        const spki_gpu_part *part = &g->part[k];
        then = SPKI_MAX(then, spki_gpu_cost(net, part->next_tile, part->next_tiles) /
                                  part->gpu.speed);
    }
    return then < 0.9 * now;
}

/* ---- >>gpu-batch: whole batches in one launch, where groups of items can meet ----
   What a launch for each slice costs is more than most slices do. So the groups of items stay, and
   meet after each slice (>>kernel-batch). Where a tile's accumulators fit into the shared memory of
   one group, and the tiles are no more than the groups that can run at once, each group has a tile
   of its own, with its states there too where these fit; else all deliver to all. A slice in which
   the host tells spikes is launched as ever, and so is everything when a network is profiled. */

SPKI_FN uint32_t spki_gpu_record_words(spk_model m)
{
    return SPKI_GPU_POP_LISTS + m->state_count + m->param_count + m->derived_count;
}

/* Bytes of shared memory that the largest tile takes: accumulators, and states and records where
   these are there too. */
SPKI_FN uint64_t spki_gpu_tile_bytes(const spk_net *net, const spki_gpu_part *part)
{
    uint64_t most = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        uint64_t bytes = spki_gpu_tile_slots(tile) * part->ring * (net->accumulator_bits / 8);
        for (uint32_t p = 0; part->records_room && p < tile->pieces; p++) {
            bytes += (uint64_t)spki_gpu_up(tile->piece[p].count, SPKI_GROUP) *
                     net->population[tile->piece[p].population].model->state_count *
                     net->state_size;
        }
        most = SPKI_MAX(most, bytes);
    }
    return most + 8 + (uint64_t)part->records_room * 8;
}

/* Room for the records of the tile with most pieces. Not where states have a shadow, which stays
   behind those in global memory. */
SPKI_FN void spki_gpu_plan_records(const spk_net *net, spki_gpu_part *part, bool states)
{
    uint32_t pieces = 0;
    part->record_words = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        pieces = SPKI_MAX(pieces, tile->pieces);
        for (uint32_t p = 0; p < tile->pieces; p++) {
            part->record_words = SPKI_MAX(
                part->record_words,
                spki_gpu_record_words(net->population[tile->piece[p].population].model));
        }
    }
    part->records_room = states && !net->window ? pieces * part->record_words : 0;
}

/* Where each tile's pieces begin in the table, and the pieces. */
SPKI_FN spk_result spki_gpu_push_pieces(spk_net *net, spki_gpu_part *part)
{
    const size_t words = (size_t)spki_gpu_pieces_bytes(net, part) / 4;
    uint32_t *table = (uint32_t *)spki_alloc(&net->mem, words, 4), at = part->tiles + 1;
    if (!table) {
        return spki_no_memory(net, "a device's pieces");
    }
    for (uint32_t t = 0; t < part->tiles; t++) {
        const spki_tile *tile = &net->tile[part->tile + t];
        table[t] = at;
        for (uint32_t p = 0; p < tile->pieces; p++, at += SPKI_GPU_PIECE_SIZE) {
            const spki_piece *piece = &tile->piece[p];
            const spk_model m = net->population[piece->population].model;
            table[at + SPKI_GPU_PIECE_RECORD] = (uint32_t)part->range[piece->population].record;
            table[at + SPKI_GPU_PIECE_WORDS] = spki_gpu_record_words(m);
            table[at + SPKI_GPU_PIECE_FIRST] = piece->first;
            table[at + SPKI_GPU_PIECE_LANES] = spki_gpu_up(piece->count, SPKI_GROUP);
            table[at + SPKI_GPU_PIECE_STATES] = m->state_count;
        }
    }
    table[part->tiles] = at;
    const spk_result result =
        spki_gpu_fill(net, &part->gpu, &part->pieces, table, (uint64_t)words * 4);
    spki_free(&net->mem, table, words, 4);
    return result;
}

/* What each group of items has: its first block of neurons, and that block's first group of 64;
   one pair more than there are groups of items. */
SPKI_FN void spki_gpu_shares(const spk_net *net, const spki_gpu_part *part, uint32_t *share)
{
    const uint32_t most = SPKI_GPU_BLOCK_GROUPS;
    uint32_t block = 0, lane_group = 0, to = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (; part->own && to <= t - part->tile; to++) {
            share[2 * to] = block;
            share[2 * to + 1] = lane_group;
        }
        for (uint32_t p = 0; p < tile->pieces; p++) {
            const uint32_t groups = (tile->piece[p].count + SPKI_GROUP - 1) / SPKI_GROUP;
            for (uint32_t g = 0; g < groups; g += most, block++) {
                for (; !part->own && (uint64_t)block * part->together >=
                                         (uint64_t)to * part->blocks; to++) {
                    share[2 * to] = block;
                    share[2 * to + 1] = lane_group;
                }
                lane_group += SPKI_MIN(most, groups - g);
            }
        }
    }
    for (; to <= part->together; to++) {
        share[2 * to] = block;
        share[2 * to + 1] = lane_group;
    }
}

/* How many items share a bucket of a row: rows of few synapses have buckets of one or two. */
SPKI_FN uint32_t spki_gpu_team(const spk_net *net, const spki_gpu_part *part)
{
    uint64_t synapses = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        synapses += net->tile[t].synapses;
    }
    const uint64_t rows = SPKI_MAX((uint64_t)net->neurons * part->tiles, (uint64_t)1);
    const uint64_t delays = (uint64_t)net->max_delay - net->min_delay + 1;
    const uint64_t each = synapses / rows / SPKI_MAX(delays, (uint64_t)1);
    uint32_t team = 1;
    while (team < 32 && team < each) {
        team *= 2;
    }
    return team;
}

/* Chooses the way and makes what it needs; leaves part->together 0 where batches cannot run so. */
SPKI_FN spk_result spki_gpu_plan_batches(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_api *api = gpu->api;
    part->together = 0;
    part->own = false;
    part->records_room = 0;
    if (!api->together || part->segments != 1 || part->blocks == 0) {
        return SPK_OK;
    }
    uint32_t room = 0;
    for (uint32_t k = 0; k < 2 && room < part->tiles; k++) {
        spki_gpu_plan_records(net, part, k == 0);
        room = api->room(gpu, part->program, SPKI_GPU_BATCH_OWN, spki_gpu_tile_bytes(net, part));
    }
    if (part->tiles <= room && part->tiles <= SPKI_GPU_BATCH_GROUPS) {
        part->together = part->tiles;
        part->own = true;
    } else {
        part->records_room = 0;
        room = api->room(gpu, part->program, SPKI_GPU_BATCH_ALL, 0);
        part->together = SPKI_MIN(room, SPKI_GPU_BATCH_GROUPS);
    }
    if (!part->together) {
        return SPK_OK;
    }
    const size_t words = 2 * ((size_t)part->together + 1);
    const uint64_t found = 2 * ((uint64_t)part->together * 32 +
                                (uint64_t)part->groups * SPKI_GROUP * net->slice_max);
    uint32_t *share = (uint32_t *)spki_alloc(&net->mem, words, 4);
    if (!share) {
        return spki_no_memory(net, "a device's shares");
    }
    spki_gpu_shares(net, part, share);
    spk_result result = spki_gpu_fill(net, gpu, &part->share, share, (uint64_t)words * 4);
    if (result == SPK_OK) {
        result = spki_gpu_push_pieces(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_blank(net, gpu, &part->found, found * 4);
    }
    if (result == SPK_OK) {
        result = spki_gpu_blank(net, gpu, &part->meet, 64);
    }
    spki_free(&net->mem, share, words, 4);
    return result;
}

/* How many steps from `first` on, before `end`, can go in one launch or be replayed; 0: a slice as
   ever. */
SPKI_FN uint32_t spki_gpu_batch_steps(const spk_net *net, const spki_gpu_net *g, uint64_t first,
                                      uint64_t end)
{
    const spki_gpu_part *part = &g->part[0];
    const uint64_t told = g->told_next < g->told ? g->told_step[g->told_next] : end;
    if (g->parts != 1 || !(part->together || part->gpu.replays) || net->profile ||
        told <= first) {
        return 0;
    }
    return (uint32_t)(SPKI_MIN(end, told) - first);
}

SPKI_FN spk_result spki_gpu_launch_batch(spk_net *net, spki_gpu_part *part,
                                         const spki_gpu_block *list, uint64_t first,
                                         uint32_t steps, uint32_t at, bool amounts)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->desc),
                                spki_gpu_memory(&part->block),
                                spki_gpu_memory(&part->value),
                                spki_gpu_memory(&part->table),
                                spki_gpu_memory(&part->told),
                                spki_gpu_memory(&part->state),
                                spki_gpu_memory(&part->acc),
                                spki_gpu_memory(&part->history),
                                spki_gpu_memory(&part->tile_at),
                                spki_gpu_memory(&part->rows),
                                spki_gpu_memory(&part->segment[0].block),
                                spki_gpu_memory(&part->share),
                                spki_gpu_memory(&part->group_id),
                                spki_gpu_memory(&part->found),
                                spki_gpu_memory(list),
                                spki_gpu_memory(&part->meet),
                                spki_gpu_u64(net->desc.seed),
                                spki_gpu_u64(first),
                                spki_gpu_u64(part->slots),
                                spki_gpu_u32(steps),
                                spki_gpu_u32(net->slice_max),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(part->ring),
                                spki_gpu_u32(net->ring - 1),
                                spki_gpu_u32(net->lanes / SPKI_GROUP),
                                spki_gpu_u32(amounts),
                                spki_gpu_u32(at),
                                spki_gpu_u32(part->group),
                                spki_gpu_u32(part->groups),
                                spki_gpu_u32(part->tiles),
                                spki_gpu_u32(spki_gpu_team(net, part)),
                                spki_gpu_memory(&part->pieces),
                                spki_gpu_u32(part->record_words),
                                spki_gpu_u32(part->records_room)};
    spk_result result = gpu->api->zero(gpu, part->meet.mem, 0, 64);
    if (result == SPK_OK) {
        result = gpu->api->together(gpu, part->program,
                                    part->own ? SPKI_GPU_BATCH_OWN : SPKI_GPU_BATCH_ALL,
                                    part->together, part->own ? spki_gpu_tile_bytes(net, part) : 0,
                                    arg, sizeof arg / sizeof arg[0]);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* ---- >>gpu-run: slices, batches, and what comes back from them ----
   A slice is as many steps as the shortest delay allows: one update of all neurons, one
   compaction, one delivery. A batch is the slices between two read-backs. While a batch runs the
   host unpacks the one before and hands it to the recorders, as the CPU's engine does with
   slices. Several devices exchange their spikes through the host after each slice. */

/* -- spikes that lists and the host ask for -- */

/* All told spikes from now on, sorted by step: each population's list is, so they are merged. */
SPKI_FN spk_result spki_gpu_make_told(spk_net *net, spki_gpu_net *g)
{
    size_t n = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        n += pop->list.count + (pop->has_forced && pop->forced ? pop->count : 0);
    }
    spki_free(&net->mem, g->told_step, g->told_room, sizeof *g->told_step);
    spki_free(&net->mem, g->told_lane, g->told_room, sizeof *g->told_lane);
    g->told = g->told_next = 0;
    g->told_room = n;
    g->told_step = (uint64_t *)spki_alloc(&net->mem, n, sizeof *g->told_step);
    g->told_lane = (uint32_t *)spki_alloc(&net->mem, n, sizeof *g->told_lane);
    size_t *at = (size_t *)spki_alloc(&net->mem, net->populations, sizeof *at);
    if (!g->told_step || !g->told_lane || !at) {
        spki_free(&net->mem, at, net->populations, sizeof *at);
        return spki_no_memory(net, "told spikes");
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        for (uint32_t k = 0; pop->has_forced && pop->forced && k < pop->count; k++) {
            if ((pop->forced[k / 64] >> (k % 64)) & 1) {
                g->told_step[g->told] = net->step;
                g->told_lane[g->told++] = pop->lane + k;
            }
        }
        while (at[p] < pop->list.count && pop->list.step[at[p]] <= net->step) {
            at[p]++;
        }
    }
    for (;;) { /* stamps are one more than the step that finds the spike */
        uint32_t best = UINT32_MAX;
        for (uint32_t p = 0; p < net->populations; p++) {
            const spki_spike_list *list = &net->population[p].list;
            if (at[p] < list->count &&
                (best == UINT32_MAX ||
                 list->step[at[p]] < net->population[best].list.step[at[best]])) {
                best = p;
            }
        }
        if (best == UINT32_MAX) {
            break;
        }
        const spki_population *pop = &net->population[best];
        g->told_step[g->told] = pop->list.step[at[best]] - 1;
        g->told_lane[g->told++] = pop->lane + pop->list.neuron[at[best]++];
    }
    spki_free(&net->mem, at, net->populations, sizeof *at);
    return SPK_OK;
}

/* Each device gets those of its own lanes: told_from holds where they begin, by entry. */
SPKI_FN spk_result spki_gpu_push_lists(spk_net *net, spki_gpu_net *g)
{
    spk_result result = spki_gpu_make_told(net, g);
    uint32_t *own = (uint32_t *)spki_alloc(&net->mem, g->told, sizeof *own);
    if (result == SPK_OK && !own) {
        result = spki_no_memory(net, "told spikes");
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        for (size_t j = 0; j < g->told; j++) { /* what is another's falls on a lane of nobody */
            const uint32_t group = g->told_lane[j] / SPKI_GROUP;
            own[j] = group - part->group < part->groups ? g->told_lane[j] : UINT32_MAX;
        }
        result = spki_gpu_fill(net, &part->gpu, &part->lanes, own, (uint64_t)g->told * 4);
    }
    spki_free(&net->mem, own, g->told, sizeof *own);
    return result;
}

/* -- recorders of states -- */

/* The places of a recorder's neurons in one device's states. */
SPKI_FN void spki_gpu_index(const spk_net *net, const spki_gpu_part *part, spk_rec rec,
                            spki_gpu_bytes *index, spki_gpu_bytes *column)
{
    const spki_view *view = &net->view[rec->view];
    for (uint32_t k = 0; k < view->size; k++) {
        const uint32_t id = spki_view_id(view, k), p = spki_population_of(net, id);
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        const int s = spki_find_field(pop->model->state, pop->model->state_count, rec->state);
        const uint32_t n = id - pop->first;
        if (s < 0 || !range->hi || n < range->lo || n >= range->hi) {
            continue;
        }
        uint32_t *at = (uint32_t *)spki_gpu_more(index, 4);
        uint32_t *to = (uint32_t *)spki_gpu_more(column, 4);
        if (at && to) {
            *at = (uint32_t)(range->state + (uint64_t)s * (range->hi - range->lo) + n - range->lo);
            *to = k;
        }
    }
}

SPKI_FN void spki_gpu_free_samples(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    for (uint32_t k = 0; k < 2; k++) {
        spki_free(&net->mem, part->read_sample[k], part->sample_room, 1);
        part->read_sample[k] = NULL;
    }
    spki_free(&net->mem, part->samples, g->sample_slots, sizeof *part->samples);
    spki_free(&net->mem, part->sampled_at, part->index_room, sizeof *part->sampled_at);
    part->samples = NULL;
    part->sampled_at = NULL;
    part->sample_bytes = part->sample_room = part->index_room = 0;
}

SPKI_FN spk_result spki_gpu_make_samples(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_bytes index, column;
    memset(&index, 0, sizeof index);
    memset(&column, 0, sizeof column);
    index.mem = column.mem = &net->mem;
    part->samples = (spki_gpu_sample *)spki_alloc(&net->mem, g->sample_slots,
                                                  sizeof *part->samples);
    spk_result result = part->samples ? SPK_OK : spki_no_memory(net, "a recorder");
    uint64_t out = 0;
    uint32_t n = 0;
    for (uint32_t r = 0; r < net->recorders && result == SPK_OK; r++) {
        if (net->recorder[r]->kind != SPK_REC_STATE) {
            continue;
        }
        spki_gpu_sample *sample = &part->samples[n++];
        sample->rec = net->recorder[r];
        sample->first = (uint32_t)(index.used / 4);
        spki_gpu_index(net, part, sample->rec, &index, &column);
        sample->count = (uint32_t)(index.used / 4) - sample->first;
        sample->out = out;
        out += (uint64_t)sample->count * SPKI_MAX_SLICE;
    }
    if (result == SPK_OK && (index.failed || column.failed)) {
        result = spki_no_memory(net, "a recorder");
    }
    part->sample_bytes = (size_t)out * net->state_size;
    part->sample_room = SPKI_MAX(part->sample_bytes, (size_t)1);
    part->index_room = column.used / 4;
    part->sampled_at = (uint32_t *)spki_alloc(&net->mem, part->index_room, 4);
    for (uint32_t k = 0; k < 2 && result == SPK_OK; k++) {
        part->read_sample[k] = (char *)spki_alloc(&net->mem, part->sample_room, 1);
        if (!part->read_sample[k] || !part->sampled_at) {
            result = spki_no_memory(net, "a recorder");
        } else {
            result = spki_gpu_blank(net, gpu, &part->sample[k], part->sample_bytes);
        }
    }
    if (result == SPK_OK && column.used) {
        memcpy(part->sampled_at, column.data, column.used);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->index, &index);
    }
    spki_gpu_forget(&index);
    spki_gpu_forget(&column);
    return result;
}

/* Recorders may have been added since the last run. */
SPKI_FN spk_result spki_gpu_find_samples(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    if (g->seen_recorders == net->recorders) {
        return SPK_OK;
    }
    uint32_t n = 0;
    for (uint32_t r = 0; r < net->recorders; r++) {
        n += net->recorder[r]->kind == SPK_REC_STATE;
    }
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_free_samples(net, g, &g->part[k]);
    }
    g->samples = g->sample_slots = n;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        result = spki_gpu_make_samples(net, g, &g->part[k]);
    }
    g->seen_recorders = result == SPK_OK ? net->recorders : 0;
    return result;
}

/* The first step at or after `step`, before `end`, whose end some recorder samples; or the last. */
SPKI_FN uint64_t spki_gpu_next_sample(const spk_net *net, uint64_t step, uint64_t end)
{
    uint64_t next = end - 1;
    for (uint32_t r = 0; r < net->recorders; r++) {
        const struct spk_rec_data *rec = net->recorder[r];
        if (rec->kind == SPK_REC_STATE && step >= rec->start_step) {
            const uint64_t since = step - rec->start_step;
            next = SPKI_MIN(next, step + rec->every - 1 - since % rec->every);
        }
    }
    return next;
}

/* Takes the samples that are due at the end of `step`. */
SPKI_FN spk_result spki_gpu_sample_step(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                        const spki_slice *batch, uint64_t step)
{
    spki_gpu *gpu = &part->gpu;
    for (uint32_t k = 0; k < g->samples; k++) {
        const spki_gpu_sample *s = &part->samples[k];
        if (!spki_rec_due(s->rec, step + 1) || !s->count) {
            continue;
        }
        const uint64_t row = spki_rec_staging_row(s->rec, batch->first, step + 1);
        const spki_gpu_arg arg[] = {spki_gpu_memory(&part->index),
                                    spki_gpu_memory(&part->state),
                                    spki_gpu_memory(&part->sample[batch->parity]),
                                    spki_gpu_u64(s->out + row * s->count),
                                    spki_gpu_u32(s->first),
                                    spki_gpu_u32(s->count)};
        const uint32_t items = gpu->lanes > 1 ? 16 : 128;
        const spk_result result =
            gpu->api->launch(gpu, part->program, SPKI_GPU_SAMPLE,
                             SPKI_MIN((s->count + items - 1) / items, 1024u), items, arg, 6);
        if (result != SPK_OK) {
            return spki_gpu_failed(net, gpu, result);
        }
    }
    return SPK_OK;
}

/* What a sampled element is worth. */
SPKI_FN double spki_gpu_stored(const spk_net *net, const spki_population *pop, uint32_t s,
                               const char *at)
{
    if (net->desc.precision == SPK_FLOAT64) {
        double x;
        memcpy(&x, at, 8);
        return x;
    }
    if (net->desc.precision == SPK_FLOAT32) {
        float x;
        memcpy(&x, at, 4);
        return (double)x;
    }
    uint16_t h;
    memcpy(&h, at, 2);
    return (double)spki_unpack16_f1(0.0f, &h) + pop->state_offset[s];
}

/* One sampled row from the devices into the recorder's staging; parameters come from the host. */
SPKI_FN void spki_gpu_unpack_row(spk_net *net, spki_gpu_net *g, uint32_t k, uint32_t parity,
                                 uint32_t row)
{
    spk_rec rec = g->part[0].samples[k].rec;
    const spki_view *view = &net->view[rec->view];
    double *to = rec->staging[parity] + (size_t)row * rec->width;
    for (uint32_t d = 0; d < g->parts; d++) {
        const spki_gpu_part *part = &g->part[d];
        const spki_gpu_sample *s = &part->samples[k];
        const char *from =
            part->read_sample[parity] + (size_t)(s->out + (uint64_t)row * s->count) *
                                            net->state_size;
        for (uint32_t j = 0; j < s->count; j++) {
            const uint32_t column = part->sampled_at[s->first + j];
            const uint32_t id = spki_view_id(view, column);
            const spki_population *pop = &net->population[spki_population_of(net, id)];
            const uint32_t state = (uint32_t)spki_find_field(
                pop->model->state, pop->model->state_count, rec->state);
            const double x = spki_gpu_stored(net, pop, state, from + (size_t)j * net->state_size);
            const spki_param *base = spki_state_base(pop, state);
            to[column] = base ? x + spki_param_at(base, id - pop->first) : x;
        }
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const uint32_t lo = spki_view_below(view, pop->first),
                       hi = spki_view_below(view, pop->first + pop->count);
        if (lo < hi && spki_find_field(pop->model->state, pop->model->state_count,
                                       rec->state) < 0) {
            spki_sample_piece(net, pop, rec->state, view, lo, hi, to);
        }
    }
}

SPKI_FN void spki_gpu_unpack_samples(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    for (uint32_t k = 0; k < g->samples; k++) {
        const struct spk_rec_data *rec = g->part[0].samples[k].rec;
        for (uint32_t s = 0; s < batch->steps; s++) {
            const uint64_t stamp = batch->first + s + 1;
            if (spki_rec_due(rec, stamp)) {
                spki_gpu_unpack_row(net, g, k, batch->parity,
                                    spki_rec_staging_row(rec, batch->first, stamp));
            }
        }
    }
}

/* -- one slice on one device -- */

SPKI_FN spk_result spki_gpu_update(spk_net *net, spki_gpu_part *part, uint64_t first,
                                   uint32_t steps, bool amounts)
{
    spki_gpu *gpu = &part->gpu;
    const uint32_t lanes = spki_gpu_choose(net, gpu).lanes;
    /* a block of a CPU device is one item; scalar text wants 16 items a group of neurons */
    const uint32_t items = lanes > 1 ? 1 : 16 * SPKI_GPU_BLOCK_GROUPS;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->desc),
                                spki_gpu_memory(&part->block),
                                spki_gpu_memory(&part->value),
                                spki_gpu_memory(&part->table),
                                spki_gpu_memory(&part->told),
                                spki_gpu_memory(&part->state),
                                spki_gpu_memory(&part->acc),
                                spki_gpu_memory(&part->arrived),
                                spki_gpu_memory(&part->history),
                                spki_gpu_u64(net->desc.seed),
                                spki_gpu_u64(first),
                                spki_gpu_u64(part->slots),
                                spki_gpu_u32(steps),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(part->ring),
                                spki_gpu_u32(net->ring - 1),
                                spki_gpu_u32(net->lanes / SPKI_GROUP),
                                spki_gpu_u32(amounts),
                                spki_gpu_origin(part)};
    double since = 0.0;
    spk_result result = spki_gpu_lap(net, gpu, &since, NULL);
    if (result == SPK_OK) {
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_UPDATE, part->blocks, items, arg,
                                  spki_gpu_args(gpu, sizeof arg / sizeof arg[0]));
    }
    if (result == SPK_OK) {
        result = spki_gpu_lap(net, gpu, &since, &net->scratch[0].update_s);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Spikes told for steps [first, first + steps): g->told_next is the first not yet told. */
SPKI_FN spk_result spki_gpu_tell(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                 uint64_t first, uint32_t steps)
{
    spki_gpu *gpu = &part->gpu;
    size_t at = g->told_next;
    while (at < g->told && g->told_step[at] < first + steps) {
        const uint64_t step = g->told_step[at];
        const size_t from = at;
        while (at < g->told && g->told_step[at] == step) {
            at++;
        }
        const uint32_t n = (uint32_t)(at - from), items = gpu->lanes > 1 ? 16 : 128;
        const spki_gpu_arg arg[] = {
            spki_gpu_memory(&part->lanes), spki_gpu_memory(&part->history),
            spki_gpu_u64((step & (net->ring - 1)) * (net->lanes / 32)),
            spki_gpu_u32((uint32_t)from), spki_gpu_u32(n)};
        const spk_result result = gpu->api->launch(gpu, part->program, SPKI_GPU_TELL,
                                                   (n + items - 1) / items, items, arg, 5);
        if (result != SPK_OK) {
            return spki_gpu_failed(net, gpu, result);
        }
    }
    return SPK_OK;
}

/* Appends the slice's spikes to the list, whose starts it continues at `at`. */
SPKI_FN spk_result spki_gpu_compact(spk_net *net, spki_gpu_part *part, const spki_gpu_block *list,
                                    uint64_t first, uint32_t steps, uint32_t at)
{
    spki_gpu *gpu = &part->gpu;
    const uint32_t items = gpu->lanes > 1 ? 1 : SPKI_GPU_SCAN_ITEMS, parts = part->parts;
    const uint32_t mask = net->ring - 1, row = net->lanes / SPKI_GROUP;
    const uint32_t together = gpu->lanes > 1 ? SPKI_MIN(gpu->units, steps) : 1;
    const spki_gpu_arg history = spki_gpu_memory(&part->history);
    const spki_gpu_arg counts = spki_gpu_memory(&part->counts), to = spki_gpu_memory(list);
    const spki_gpu_arg group = spki_gpu_u32(part->group), groups = spki_gpu_u32(part->groups);
    spk_result result = SPK_OK;
    if (parts > 1) {
        const spki_gpu_arg count[] = {history, counts, spki_gpu_u64(first), spki_gpu_u32(mask),
                                      spki_gpu_u32(row), group, groups, spki_gpu_u32(parts),
                                      spki_gpu_origin(part)};
        const spki_gpu_arg scan[] = {counts, to, spki_gpu_u32(at), spki_gpu_u32(steps),
                                     spki_gpu_u32(parts), spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_COUNT, parts * steps, items, count,
                                  spki_gpu_args(gpu, 9));
        if (result == SPK_OK) {
            result = gpu->api->launch(gpu, part->program, SPKI_GPU_SCAN, 1, items, scan,
                                      spki_gpu_args(gpu, 6));
        }
    }
    if (result == SPK_OK) {
        const spki_gpu_arg arg[] = {history,
                                    counts,
                                    spki_gpu_memory(&part->group_id),
                                    to,
                                    spki_gpu_u64(first),
                                    spki_gpu_u32(at),
                                    spki_gpu_u32(steps),
                                    spki_gpu_u32(mask),
                                    spki_gpu_u32(row),
                                    group,
                                    groups,
                                    spki_gpu_u32(parts),
                                    spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_COMPACT,
                                  parts > 1 ? parts * steps : together, items, arg,
                                  spki_gpu_args(gpu, 13));
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN spk_result spki_gpu_step(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                 uint32_t parity, uint64_t first, uint32_t steps, uint32_t at,
                                 bool amounts)
{
    spk_result result = spki_gpu_update(net, part, first, steps, amounts);
    if (result == SPK_OK) {
        result = spki_gpu_tell(net, g, part, first, steps);
    }
    if (result == SPK_OK) {
        result = spki_gpu_compact(net, part, &part->list[parity], first, steps, at);
    }
    return result;
}

/* -- several devices: everybody's spikes of a slice, to everybody -- */

SPKI_FN spk_result spki_gpu_read_list(spk_net *net, spki_gpu_part *part, uint32_t parity,
                                      uint64_t from, uint64_t words, spki_gpu_ticket *ticket)
{
    spki_gpu *gpu = &part->gpu;
    const spk_result result =
        gpu->api->read(gpu, part->list[parity].mem, from * 4, part->read_list[parity] + from,
                       (size_t)words * 4, ticket);
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Reads the ids of a device's list up to its start number `at`. */
SPKI_FN spk_result spki_gpu_read_ids(spk_net *net, spki_gpu_part *part, uint32_t parity,
                                     uint32_t from, uint32_t at)
{
    const uint32_t have = part->read_list[parity][from], all = part->read_list[parity][at];
    return all > have ? spki_gpu_read_list(net, part, parity, SPKI_GPU_LIST_IDS + (uint64_t)have,
                                           all - have, NULL)
                      : SPK_OK;
}

/* Where each step's spikes begin in the list of all; with `ids` the list too, on the host. */
SPKI_FN uint32_t spki_gpu_merge(spki_gpu_net *g, uint32_t parity, uint32_t steps, uint32_t at,
                                bool ids)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < steps; s++) {
        g->merged[s] = n;
        for (uint32_t k = 0; k < g->parts; k++) {
            const uint32_t *list = g->part[k].read_list[parity];
            const uint32_t from = list[at + s], count = list[at + s + 1] - from;
            if (ids) {
                memcpy(g->merged + SPKI_GPU_LIST_IDS + n, list + SPKI_GPU_LIST_IDS + from,
                       (size_t)count * 4);
            }
            n += count;
        }
        g->merged[s + 1] = n;
    }
    return n;
}

/* The ids of all, from each device to every device. */
SPKI_FN spk_result spki_gpu_share_ids(spk_net *net, spki_gpu_net *g, uint32_t parity,
                                      uint32_t steps, uint32_t at)
{
    spki_gpu *gpu[SPKI_GPU_MOST_PARTS];
    spki_gpu_mem to[SPKI_GPU_MOST_PARTS];
    spk_result result = SPK_OK;
    uint64_t n = 0;
    for (uint32_t k = 0; k < g->parts; k++) {
        gpu[k] = &g->part[k].gpu;
        to[k] = g->exchange[k].mem;
    }
    for (uint32_t s = 0; s < steps; s++) {
        for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
            const uint32_t *list = g->part[k].read_list[parity];
            const uint64_t from = list[at + s], count = list[at + s + 1] - from;
            if (count) {
                result = gpu[k]->api->share(gpu, g->parts, k, g->part[k].list[parity].mem,
                                            (SPKI_GPU_LIST_IDS + from) * 4, to,
                                            (SPKI_GPU_LIST_IDS + n) * 4, count * 4);
                result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu[k], result);
            }
            n += count;
        }
    }
    return result;
}

SPKI_FN spk_result spki_gpu_exchange(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                     uint32_t steps, uint32_t at)
{
    const bool direct = g->part[0].gpu.api->share != NULL;
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) { /* all work at the same time */
        spki_gpu *gpu = &g->part[k].gpu;
        result = gpu->api->flush(gpu);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_read_list(net, &g->part[k], parity, 0, SPKI_GPU_LIST_IDS, NULL);
        if (result == SPK_OK && !direct) {
            result = spki_gpu_read_ids(net, &g->part[k], parity, at, at + steps);
        }
    }
    const uint32_t n = result == SPK_OK ? spki_gpu_merge(g, parity, steps, at, !direct) : 0;
    const size_t words = SPKI_GPU_LIST_IDS + (direct ? 0 : (size_t)n);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        spki_gpu *gpu = &g->part[k].gpu;
        result = gpu->api->write(gpu, g->exchange[k].mem, 0, g->merged, words * 4);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    if (result == SPK_OK && n && direct) {
        result = spki_gpu_share_ids(net, g, parity, steps, at);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        spki_gpu_part *part = &g->part[k];
        double since = 0.0;
        result = spki_gpu_watch(net, g, part, &since);
        if (result == SPK_OK) {
            result = spki_gpu_deliver(net, part, &g->exchange[k], 0, steps,
                                      (uint32_t)(first % part->ring), 0);
        }
        if (result == SPK_OK) {
            result = spki_gpu_watch(net, g, part, &since);
        }
    }
    return result;
}

/* -- a batch -- */

/* One slice on all devices, and what follows from it. */
SPKI_FN spk_result spki_gpu_slice(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                  uint32_t steps, uint32_t at, bool amounts)
{
    spk_result result = SPK_OK;
    spki_gpu_watch_slice(g);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        double since = 0.0;
        result = spki_gpu_watch(net, g, &g->part[k], &since);
        if (result == SPK_OK) {
            result = spki_gpu_step(net, g, &g->part[k], parity, first, steps, at, amounts);
        }
        if (result == SPK_OK) {
            result = spki_gpu_watch(net, g, &g->part[k], &since);
        }
    }
    if (result == SPK_OK && g->parts > 1) {
        return spki_gpu_exchange(net, g, parity, first, steps, at);
    }
    return result == SPK_OK ? spki_gpu_deliver(net, g->part, &g->part->list[parity], at, steps,
                                               (uint32_t)(first % g->part->ring), 0)
                            : result;
}

/* Asks for what the batch will have found. */
SPKI_FN spk_result spki_gpu_ask(spk_net *net, spki_gpu_net *g, uint32_t parity)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        /* as many ids as came last time, and half as many again */
        const uint64_t words = SPKI_GPU_LIST_IDS + 1024 + part->last_spikes * 3 / 2;
        if (part->sample_bytes) {
            result = gpu->api->read(gpu, part->sample[parity].mem, 0, part->read_sample[parity],
                                    part->sample_bytes, &part->sampled[parity]);
        }
        if (result == SPK_OK && g->parts == 1) {
            part->asked[parity] = SPKI_MIN(words, part->list_words);
            result = gpu->api->read(gpu, part->list[parity].mem, 0, part->read_list[parity],
                                    (size_t)part->asked[parity] * 4, &part->ticket[parity]);
        }
        if (result == SPK_OK) {
            result = gpu->api->flush(gpu);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    return result;
}

SPKI_FN spk_result spki_gpu_wait(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        result = gpu->api->wait(gpu, &part->ticket[batch->parity]);
        if (result == SPK_OK) {
            result = gpu->api->wait(gpu, &part->sampled[batch->parity]);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    return result;
}

/* The spikes of a finished batch into the tiles, as if the CPU had found them. */
SPKI_FN void spki_gpu_unpack(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    for (uint32_t k = 0; k < g->parts; k++) {
        const spki_gpu_part *part = &g->part[k];
        const uint32_t *list = part->read_list[batch->parity], *ids = list + SPKI_GPU_LIST_IDS;
        for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
            net->tile[t].spike_start[batch->parity][0] = 0;
        }
        for (uint32_t s = 0; s < batch->steps; s++) {
            uint32_t j = list[s];
            for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
                spki_tile *tile = &net->tile[t];
                uint32_t *const start = tile->spike_start[batch->parity];
                uint32_t *const to = tile->spike[batch->parity] + start[s];
                uint32_t n = 0;
                uint64_t events = 0;
                for (; j < list[s + 1] && ids[j] < tile->end_id; j++) {
                    to[n++] = ids[j];
                    events += g->outdegree[ids[j]];
                }
                tile->spikes += n;
                tile->events += events;
                start[s + 1] = start[s] + n;
            }
        }
    }
    spki_gpu_unpack_samples(net, g, batch);
}

/* Waits for a batch, reads what was longer than asked for, and hands it to the recorders. */
SPKI_FN spk_result spki_gpu_end_batch(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    spki_gpu_part *part = g->part;
    spk_result result = spki_gpu_wait(net, g, batch);
    if (result == SPK_OK && g->parts == 1) {
        const uint64_t all = SPKI_GPU_LIST_IDS + part->read_list[batch->parity][batch->steps];
        const uint64_t have = part->asked[batch->parity];
        if (all > have) {
            result = spki_gpu_read_list(net, part, batch->parity, have, all - have, NULL);
        }
        part->last_spikes = part->read_list[batch->parity][batch->steps];
    }
    for (uint32_t k = 0; g->parts > 1 && k < g->parts && result == SPK_OK; k++) {
        if (g->part[k].gpu.api->share) { /* else they have come with each slice */
            result = spki_gpu_read_ids(net, &g->part[k], batch->parity, 0, batch->steps);
        }
    }
    if (result == SPK_OK) {
        spki_gpu_unpack(net, g, batch);
        spki_end_slice(net, batch);
    }
    return result;
}

/* -- a run -- */

/* Brings to the devices what the host has changed. */
SPKI_FN spk_result spki_gpu_push(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    const uint32_t changed = net->changed;
    bool told = (changed & SPKI_CHANGED_CURRENTS) != 0, lists = (changed & SPKI_CHANGED_LISTS) != 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        told = told || net->population[p].has_amount;
        lists = lists || net->population[p].has_forced;
    }
    if ((changed || told || lists) && net->synced_step != net->step) {
        result = spki_gpu_pull(&g->base, net); /* from here it can be run again */
        if (result == SPK_OK) {
            spki_mark_synced(net);
        }
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        if (told || (changed & SPKI_CHANGED_PARAMS)) {
            result = spki_gpu_push_records(net, part);
        }
        if (result == SPK_OK && (changed & (SPKI_CHANGED_STATES | SPKI_CHANGED_PARAMS))) {
            result = spki_gpu_push_states(net, part);
        }
        if (result == SPK_OK && (changed & SPKI_CHANGED_WEIGHTS)) {
            result = spki_gpu_push_words(net, part);
        }
    }
    if (result == SPK_OK && (changed & SPKI_CHANGED_WEIGHTS)) {
        result = spki_gpu_push_arrivals(net, g);
    }
    if (result == SPK_OK && lists) {
        result = spki_gpu_push_lists(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_find_samples(net, g);
    }
    net->changed = result == SPK_OK ? 0 : net->changed;
    return result;
}

/* What was injected has acted, and must not act again. */
SPKI_FN bool spki_gpu_forget_told(spk_net *net)
{
    bool any = false;
    for (uint32_t p = 0; p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        for (uint32_t r = 0; r < 8 && pop->has_amount; r++) {
            if (pop->amount[r]) {
                memset(pop->amount[r], 0, pop->count * sizeof(double));
            }
        }
        if (pop->has_forced && pop->forced) {
            memset(pop->forced, 0, pop->lanes / SPKI_GROUP * sizeof(uint64_t));
        }
        any = any || pop->has_amount || pop->has_forced;
        pop->has_amount = pop->has_forced = false;
    }
    return any;
}

/* Keeps the host's copy young for a hundredth of the time, and after each injection. */
SPKI_FN spk_result spki_gpu_settle(spk_net *net, spki_gpu_net *g)
{
    const bool told = spki_gpu_forget_told(net);
    spk_result result = SPK_OK;
    if (told || spk_clock_seconds() - g->last_sync > 100.0 * g->sync_s) {
        result = spki_gpu_pull(&g->base, net);
        if (result == SPK_OK) {
            spki_mark_synced(net);
        }
    }
    return result;
}

/* ---- >>gpu-replay: the slices of a batch, launched one by one, recorded, or replayed ----
   Between two steps that are sampled, or in which the host tells spikes, a batch is a run of
   slices. Where a device replays (>>gpu-origin), there is one recording for each length of such a
   run, made when the length comes a second time: ends of runs may never come again, and by then
   the driver has loaded every kernel. A slice that injected input acts in is launched as ever, as
   all are while a network is profiled or split over devices. */

/* Some slices, which nothing interrupts, from `first` on. */
SPKI_FN spk_result spki_gpu_slices(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                   uint32_t steps, uint32_t at)
{
    spk_result result = SPK_OK;
    for (uint32_t done = 0; done < steps && result == SPK_OK; done += net->slice_max) {
        const uint32_t some = SPKI_MIN(net->slice_max, steps - done);
        result = spki_gpu_slice(net, g, parity, first + done, some, at + done, false);
    }
    return result;
}

SPKI_FN spk_result spki_gpu_record(spk_net *net, spki_gpu_net *g, uint32_t steps)
{
    spki_gpu_part *part = g->part;
    spki_gpu *gpu = &part->gpu;
    spk_result result = gpu->api->record(gpu);
    if (result != SPK_OK) {
        return spki_gpu_failed(net, gpu, result);
    }
    part->recording_now = true;
    result = spki_gpu_slices(net, g, 0, 0, steps, 0);
    part->recording_now = false;
    const spk_result ended = gpu->api->recorded(gpu, &part->recording[steps]);
    return result != SPK_OK || ended == SPK_OK ? result : spki_gpu_failed(net, gpu, ended);
}

SPKI_FN spk_result spki_gpu_replay(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                   uint32_t steps, uint32_t at)
{
    spki_gpu_part *part = g->part;
    spki_gpu *gpu = &part->gpu;
    spk_result result = SPK_OK;
    if (!part->origin.mem) {
        result = spki_gpu_blank(net, gpu, &part->origin, 64);
    }
    const uint64_t with = result == SPK_OK ? spki_gpu_recorded_with(part) : 0;
    if (result == SPK_OK && with != part->recorded_with) {
        spki_gpu_forget_recordings(part);
        part->recorded_with = with;
    }
    if (result == SPK_OK && !(part->seen >> steps & 1)) {
        part->seen |= (uint64_t)1 << steps;
        return spki_gpu_slices(net, g, parity, first, steps, at);
    }
    if (result == SPK_OK && !part->recording[steps]) {
        result = spki_gpu_record(net, g, steps);
    }
    if (result != SPK_OK) {
        return result;
    }
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->origin),
                                spki_gpu_memory(&part->list[parity]),
                                spki_gpu_u64(first),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(at)};
    result = gpu->api->launch(gpu, part->program, SPKI_GPU_BEGIN, 1, 32, arg, 5);
    if (result == SPK_OK) {
        result = gpu->api->replay(gpu, part->recording[steps]);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* The steps from `first` on, before `end`, in the way of the device; *steps: how many those are. */
SPKI_FN spk_result spki_gpu_some_steps(spk_net *net, spki_gpu_net *g, uint32_t parity,
                                       uint64_t first, uint64_t end, uint32_t at, bool amounts,
                                       uint32_t *steps)
{
    const bool replays = g->part->gpu.replays;
    const uint32_t many = replays && amounts ? 0 : spki_gpu_batch_steps(net, g, first, end);
    *steps = many ? many : (uint32_t)SPKI_MIN((uint64_t)net->slice_max, end - first);
    if (!many) {
        return spki_gpu_slice(net, g, parity, first, *steps, at, amounts);
    }
    return replays ? spki_gpu_replay(net, g, parity, first, many, at)
                   : spki_gpu_launch_batch(net, g->part, &g->part->list[parity], first, many, at,
                                           amounts);
}

/* Puts all slices of a batch under way. The first start in a list is 0 from when it was made. */
SPKI_FN spk_result spki_gpu_begin_batch(spk_net *net, spki_gpu_net *g, const spki_slice *batch,
                                        bool amounts)
{
    const uint64_t end = batch->first + batch->steps;
    spk_result result = SPK_OK;
    for (uint64_t first = batch->first; first < end && result == SPK_OK;) {
        uint32_t steps = 0;
        result = spki_gpu_some_steps(net, g, batch->parity, first,
                                     spki_gpu_next_sample(net, first, end) + 1,
                                     (uint32_t)(first - batch->first), amounts, &steps);
        for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
            result = spki_gpu_sample_step(net, g, &g->part[k], batch, first + steps - 1);
        }
        while (g->told_next < g->told && g->told_step[g->told_next] < first + steps) {
            g->told_next++;
        }
        first += steps;
        amounts = false;
    }
    return result;
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>gpu-selftest: does the device compute what the CPU computes? ---- */

/* Numbers of all sizes that matter, and pairs that tempt a compiler to contract. */
SPKI_FN double spki_gpu_trial(uint32_t k)
{
    uint32_t w[4];
    spki_philox(k, 0, 0, 0, 20261121u, 0, w);
    const double u = ((double)w[0] + 0.5) / 4294967296.0 - 0.5;
    static const double size[8] = {1.0, 2.0, 20.0, 200.0, 0.01, 1e-6, 8.0, 3e4};
    return k % 16 == 15 ? 1.0 + (double)(w[1] % 8192) / 8388608.0 : 2.0 * u * size[w[2] % 8];
}

/* One number through everything that the selftest kernel does, on this side. */
#define SPKI_GPU_EXPECT(name, real, S)                                                            \
    SPKI_FN void name(const real *in, real *out)                                                  \
    {                                                                                             \
        volatile real x = in[0], y = in[1], z = in[2], product = x * y, sum = x + y;              \
        const real size = spki_abs_##S(x), small = x * (real)0.001953125;                         \
        out[0] = sum;                                                                             \
        out[1] = product - z;                                                                     \
        out[2] = z - product;                                                                     \
        out[3] = x / y;                                                                           \
        out[4] = spki_sqrt_##S(size);                                                             \
        out[5] = sum - x;                                                                         \
        out[6] = spki_exp_##S(small);                                                             \
        out[7] = spki_exprel_##S(small);                                                          \
        out[8] = spki_log_##S(size);                                                              \
        out[9] = spki_sin_##S(x);                                                                 \
        out[10] = spki_cos_##S(y);                                                                \
        out[11] = spki_tanh_##S(small);                                                           \
        out[12] = spki_pow_##S(size, spki_min_##S(y, (real)3.0));                                 \
        out[13] = x < y ? spki_flush_##S(x * (real)1e-30) : z;                                    \
    }
SPKI_GPU_EXPECT(spki_gpu_expect_f, float, f1)
SPKI_GPU_EXPECT(spki_gpu_expect_d, double, d1)

/* Compares all results; NULL or the name of the first operation that differs. */
SPKI_FN const char *spki_gpu_compare(const char *in, const char *out, bool is_double, uint32_t *k)
{
    static const char *const name[SPKI_GPU_SELFTESTS] = {
        "x + y", "x * y - z", "z - x * y", "x / y", "sqrt", "(x + y) - x", "exp", "exprel",
        "log",   "sin",       "cos",       "tanh",  "pow",  "flush"};
    const size_t size = is_double ? 8 : 4;
    for (*k = 0; *k < SPKI_GPU_TRIALS; ++*k) {
        char want[SPKI_GPU_SELFTESTS * 8];
        char x[3 * 8];
        for (uint32_t j = 0; j < 3; j++) {
            memcpy(x + j * size, in + ((size_t)j * SPKI_GPU_TRIALS + *k) * size, size);
        }
        if (is_double) {
            double arg[3], result[SPKI_GPU_SELFTESTS];
            memcpy(arg, x, sizeof arg);
            spki_gpu_expect_d(arg, result);
            memcpy(want, result, sizeof result);
        } else {
            float arg[3], result[SPKI_GPU_SELFTESTS];
            memcpy(arg, x, sizeof arg);
            spki_gpu_expect_f(arg, result);
            memcpy(want, result, sizeof result);
        }
        for (uint32_t f = 0; f < SPKI_GPU_SELFTESTS; f++) {
            if (memcmp(want + f * size, out + ((size_t)f * SPKI_GPU_TRIALS + *k) * size, size)) {
                return name[f];
            }
        }
    }
    return NULL;
}

SPKI_FN spk_result spki_gpu_try(spk_net *net, spki_gpu *gpu, const spki_gpu_choice *c,
                                void *program, char *in, char *out)
{
    const size_t size = c->is_double ? 8 : 4, bytes = (size_t)SPKI_GPU_TRIALS * size;
    spki_gpu_block from = {NULL, 0}, to = {NULL, 0};
    spk_result result = spki_gpu_alloc(gpu, 3 * bytes, &from);
    if (result == SPK_OK) {
        result = spki_gpu_alloc(gpu, SPKI_GPU_SELFTESTS * bytes, &to);
    }
    if (result == SPK_OK) {
        result = gpu->api->write(gpu, from.mem, 0, in, 3 * bytes);
    }
    if (result == SPK_OK) {
        const uint32_t items = c->lanes > 1 ? 1 : 64;
        const spki_gpu_arg arg[] = {spki_gpu_memory(&from), spki_gpu_memory(&to),
                                    spki_gpu_u32(SPKI_GPU_TRIALS)};
        result = gpu->api->launch(gpu, program, SPKI_GPU_SELFTEST,
                                  SPKI_GPU_TRIALS / c->lanes / items, items, arg, 3);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, to.mem, 0, out, SPKI_GPU_SELFTESTS * bytes, NULL);
    }
    spki_gpu_free(gpu, &from);
    spki_gpu_free(gpu, &to);
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Compiles and runs the selftest; a device that differs in one bit is refused. */
SPKI_FN spk_result spki_gpu_selftest(spk_net *net, spki_gpu *gpu)
{
    const spki_gpu_choice c = spki_gpu_choose(net, gpu);
    const size_t size = c.is_double ? 8 : 4, room = 65536;
    const size_t bytes = (size_t)SPKI_GPU_TRIALS * size;
    char *in = (char *)spki_alloc(&net->mem, 3 * bytes, 1);
    char *out = (char *)spki_alloc(&net->mem, SPKI_GPU_SELFTESTS * bytes, 1);
    char *log = (char *)spki_alloc(&net->mem, room, 1);
    spki_gpu_source s;
    void *program = NULL;
    bool held = false;
    spk_result result = SPK_OK;
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    s.line = 1;
    spki_gpu_head(&s, gpu->api, &c);
    spki_gpu_define(&s, "SELFTESTS", SPKI_GPU_SELFTESTS);
    spki_gpu_paste(&s, spki_gpu_text_selftest);
    spki_gpu_put(&s, "", 1);
    if (!in || !out || !log || s.text.failed) {
        result = spki_no_memory(net, "a device's test");
    }
    if (result == SPK_OK) {
        for (uint32_t k = 0; k < 3 * SPKI_GPU_TRIALS; k++) {
            spki_put_real(net, in, k, spki_gpu_trial(k));
        }
        program = gpu->api->held ? gpu->api->held(gpu, net, &c) : NULL;
        held = program != NULL;
        result = held ? SPK_OK
                      : gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_TEST,
                                          &program, log, room);
        if (result != SPK_OK) {
            result = spki_gpu_blame(net, gpu, &s, result, log);
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_try(net, gpu, &c, program, in, out);
    }
    if (result == SPK_OK) {
        uint32_t k;
        const char *differs = spki_gpu_compare(in, out, c.is_double, &k);
        if (differs) {
            result = spki_fail(net, SPK_ERR_ARITHMETIC,
                               "%s \"%s\": %s of trial %u is not what the CPU computes, so its "
                               "spikes would differ%s",
                               gpu->api->name, gpu->name, differs, k,
                               held ? " (was the file compiled with --use_fast_math or --ftz=true? "
                                      "They change kernels, and have to go)"
                                    : "");
        }
    }
    if (program) {
        gpu->api->release(gpu, program);
    }
    spki_gpu_source_free(&s);
    spki_free(&net->mem, in, 3 * bytes, 1);
    spki_free(&net->mem, out, SPKI_GPU_SELFTESTS * bytes, 1);
    spki_free(&net->mem, log, room, 1);
    return result;
}

/* ---- >>gpu-net: a network goes to its devices, moves between them, and leaves them ---- */

/* -- making and freeing the buffers -- */

/* Leaves the device itself, its program and the array of ranges. */
SPKI_FN void spki_gpu_clear_part(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_block *const block[] = {&part->desc,    &part->block,    &part->value,
                                     &part->table,   &part->told,     &part->state,
                                     &part->acc,     &part->arrived,  &part->history,
                                     &part->group_id,
                                     &part->counts,  &part->rows,     &part->tile_at,
                                     &part->list[0], &part->list[1],  &part->lanes,
                                     &part->index,   &part->sample[0], &part->sample[1],
                                     &part->share,   &part->pieces,   &part->found,
                                     &part->meet,    &part->origin};
    (void)gpu->api->finish(gpu); /* nothing may still be arriving, whatever has failed */
    spki_gpu_forget_recordings(part);
    for (uint32_t k = 0; k < 2; k++) {
        (void)gpu->api->wait(gpu, &part->ticket[k]);
        (void)gpu->api->wait(gpu, &part->sampled[k]);
    }
    for (uint32_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        spki_gpu_free(gpu, block[k]);
    }
    for (uint32_t k = 0; part->segment && k < part->segments; k++) {
        spki_gpu_free(gpu, &part->segment[k].block);
    }
    spki_gpu_free_samples(net, g, part);
    spki_mem *mem = &net->mem;
    spki_free(mem, part->segment, part->segments, sizeof *part->segment);
    spki_free(mem, part->read_list[0], (size_t)part->list_words, 4);
    spki_free(mem, part->read_list[1], (size_t)part->list_words, 4);
    spki_free(mem, part->read_state, part->read_state_bytes, 1);
    spki_free(mem, part->read_history, spki_gpu_history_bytes(net), 1);
    part->segment = NULL;
    part->read_list[0] = part->read_list[1] = NULL;
    part->read_state = NULL;
    part->read_history = NULL;
    part->segments = 0;
    part->last_spikes = 0;
}

/* Everything that depends on which device has what. */
SPKI_FN void spki_gpu_clear(spk_net *net, spki_gpu_net *g)
{
    for (uint32_t k = 0; k < g->parts; k++) {
        if (g->exchange) {
            spki_gpu_free(&g->part[k].gpu, &g->exchange[k]);
        }
        if (g->part[k].range) {
            spki_gpu_clear_part(net, g, &g->part[k]);
        }
    }
    spki_free(&net->mem, g->exchange, g->parts, sizeof *g->exchange);
    spki_free(&net->mem, g->merged, (size_t)g->merged_words, 4);
    spki_free(&net->mem, g->told_step, g->told_room, sizeof *g->told_step);
    spki_free(&net->mem, g->told_lane, g->told_room, sizeof *g->told_lane);
    g->exchange = NULL;
    g->merged = NULL;
    g->told_step = NULL;
    g->told_lane = NULL;
    g->told = g->told_room = g->told_next = 0;
    g->samples = g->sample_slots = g->seen_recorders = 0;
}

SPKI_FN spk_result spki_gpu_make_host(spk_net *net, spki_gpu_part *part)
{
    spki_mem *mem = &net->mem;
    part->segments = spki_gpu_cut(net, part, NULL);
    part->segment =
        (spki_gpu_segment *)spki_alloc(mem, part->segments, sizeof *part->segment);
    part->read_list[0] = (uint32_t *)spki_alloc(mem, (size_t)part->list_words, 4);
    part->read_list[1] = (uint32_t *)spki_alloc(mem, (size_t)part->list_words, 4);
    part->read_state_bytes = (size_t)part->states * net->state_size;
    part->read_state = (char *)spki_alloc(mem, part->read_state_bytes, 1);
    part->read_history = (uint64_t *)spki_alloc(mem, spki_gpu_history_bytes(net), 1);
    if (!part->segment || !part->read_list[0] || !part->read_list[1] || !part->read_state ||
        !part->read_history) {
        return spki_no_memory(net, "a device's copies");
    }
    (void)spki_gpu_cut(net, part, part->segment);
    return SPK_OK;
}

/* Row indices, where each tile's things begin, ids of the groups. */
SPKI_FN spk_result spki_gpu_push_tables(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_bytes at, id;
    memset(&at, 0, sizeof at);
    memset(&id, 0, sizeof id);
    at.mem = id.mem = &net->mem;
    uint64_t *tile_at = (uint64_t *)spki_gpu_more(&at, (size_t)part->tiles * 24);
    uint32_t *group_id = (uint32_t *)spki_gpu_more(&id, (size_t)net->lanes / SPKI_GROUP * 4);
    uint64_t acc = 0;
    spk_result result = tile_at && group_id ? SPK_OK : spki_no_memory(net, "a device's tables");
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        uint64_t words = 0;
        for (uint32_t t = 0; t < part->segment[k].tiles; t++) {
            const uint32_t own = part->segment[k].tile + t;
            const spki_tile *tile = &net->tile[part->tile + own];
            tile_at[3 * own] = (uint64_t)own * net->neurons;
            tile_at[3 * own + 1] = words | (uint64_t)(tile->count_bytes == 2) << 63 |
                                   (uint64_t)tile->flat << 56 |
                                   (uint64_t)(tile->flat ? tile->min_delay : 0) << 40;
            tile_at[3 * own + 2] = acc;
            words += tile->device_words;
            acc += spki_gpu_tile_slots(tile);
        }
    }
    for (uint32_t p = 0; p < net->populations && result == SPK_OK; p++) {
        const spki_population *pop = &net->population[p];
        for (uint32_t k = 0; k < pop->lanes / SPKI_GROUP; k++) {
            group_id[pop->lane / SPKI_GROUP + k] = pop->first + k * SPKI_GROUP;
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->tile_at, &at);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->group_id, &id);
    }
    spki_gpu_forget(&at);
    spki_gpu_forget(&id);
    return result;
}

SPKI_FN spk_result spki_gpu_make_part(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spk_result result = spki_gpu_make_host(net, part);
    if (result == SPK_OK) {
        result = spki_gpu_push_records(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_states(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_words(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_tables(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill(net, gpu, &part->history, net->history,
                               spki_gpu_history_bytes(net));
    }
    if (result == SPK_OK) {
        result = spki_gpu_blank(net, gpu, &part->counts, (uint64_t)part->parts * 32 * 4);
    }
    for (uint32_t k = 0; k < 2 && result == SPK_OK; k++) {
        result = spki_gpu_blank(net, gpu, &part->list[k], part->list_words * 4);
    }
    if (result == SPK_OK) {
        result = spki_gpu_plan_batches(net, part);
    }
    return result;
}

/* Several devices: room for everybody's spikes of a slice. */
SPKI_FN spk_result spki_gpu_make_exchange(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    if (g->parts == 1) {
        return SPK_OK;
    }
    g->merged_words = SPKI_GPU_LIST_IDS + (uint64_t)net->neurons * net->slice_max;
    g->merged = (uint32_t *)spki_alloc(&net->mem, (size_t)g->merged_words, 4);
    g->exchange = (spki_gpu_block *)spki_alloc(&net->mem, g->parts, sizeof *g->exchange);
    if (!g->merged || !g->exchange) {
        return spki_no_memory(net, "the exchange between devices");
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_blank(net, &g->part[k].gpu, &g->exchange[k], g->merged_words * 4);
    }
    return result;
}

/* How many synapses each source has. */
SPKI_FN spk_result spki_gpu_count_rows(spk_net *net, spki_gpu_net *g)
{
    if (g->outdegree) {
        return SPK_OK; /* from the device that measured the rows */
    }
    g->outdegree = (uint32_t *)spki_alloc(&net->mem, net->neurons, sizeof *g->outdegree);
    if (!g->outdegree) {
        return spki_no_memory(net, "out-degrees");
    }
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (uint32_t id = 0; id < net->neurons; id++) {
            spki_row_reader row;
            spki_row_open(&row, tile, id, spki_synapse_words(net));
            while (spki_row_next(&row)) {
                g->outdegree[id] += row.count;
            }
        }
    }
    return SPK_OK;
}

/* Geometry of each device's tiles; refuses, before anything is allocated, what does not fit. */
SPKI_FN spk_result spki_gpu_fit(spk_net *net, spki_gpu_net *g, bool say)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_geometry(net, &g->part[k]);
        result = spki_gpu_check_fit(net, &g->part[k], g->parts, say);
    }
    return result;
}

/* The host's copy, which is that of this moment, onto the devices. */
SPKI_FN spk_result spki_gpu_fill_all(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_make_part(net, &g->part[k]);
    }
    if (result == SPK_OK) {
        result = spki_gpu_make_exchange(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_arrivals(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_lists(net, g);
    }
    return result;
}

SPKI_FN void spki_gpu_leave(spk_net *net, spki_gpu_net *g)
{
    spki_gpu_clear(net, g);
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        if (part->drawing) {
            spki_gpu_drawing_free(net, &part->gpu, part->drawing);
            part->drawing = NULL;
        }
        if (part->rows_program) {
            part->gpu.api->release(&part->gpu, part->rows_program);
            part->rows_program = NULL;
        }
        if (part->program) {
            part->gpu.api->release(&part->gpu, part->program);
            part->program = NULL;
        }
        spki_free(&net->mem, part->range, net->populations, sizeof *part->range);
        part->range = NULL;
        (void)spki_gpu_drain(&part->gpu);
    }
    spki_free(&net->mem, g->outdegree, net->neurons, sizeof *g->outdegree);
    g->outdegree = NULL;
}

/* The whole of `build`, once the devices are open. */
SPKI_FN spk_result spki_gpu_enter(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        const spki_gpu *gpu = &part->gpu;
        part->range =
            (spki_gpu_range *)spki_alloc(&net->mem, net->populations, sizeof *part->range);
        if (!part->range) {
            return spki_no_memory(net, "a device's ranges");
        }
        if (net->desc.precision == SPK_FLOAT64 && !gpu->has_double) {
            return spki_fail(net, SPK_ERR_UNSUPPORTED,
                             "%s \"%s\" has no 64-bit floating point; use SPK_FLOAT32",
                             gpu->api->name, gpu->name);
        }
    }
    if (!net->elsewhere) {
        spki_gpu_measure(net, spki_gpu_may_be_flat(net, g));
    }
    spki_gpu_propose(net, g);
    spki_gpu_take_proposal(g);
    result = spki_gpu_fit(net, g, true);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_selftest(net, &g->part[k].gpu);
    }
    if (result == SPK_OK) {
        result = spki_gpu_count_rows(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_all(net, g);
        net->changed = 0;
    }
    g->watch = SPKI_GPU_FIRST_WATCH;
    g->last_sync = spk_clock_seconds();
    return result;
}

/* Other shares, where the timed slices speak for them. The host's copy is brought up to date, and
   the devices are filled from it as when the network was built. */
SPKI_FN spk_result spki_gpu_deal(spk_net *net, spki_gpu_net *g)
{
    if (!spki_gpu_judge(net, g)) {
        return SPK_OK;
    }
    (void)spki_gpu_forget_told(net);
    spk_result result = spki_gpu_pull(&g->base, net);
    if (result != SPK_OK) {
        return result;
    }
    spki_mark_synced(net);
    spki_gpu_clear(net, g);
    spki_gpu_take_proposal(g);
    if (spki_gpu_fit(net, g, false) != SPK_OK) { /* the faster device is too small: as before */
        spki_gpu_take_proposal(g);
        result = spki_gpu_fit(net, g, true);
        g->watch = 0;
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_all(net, g);
    }
    return result == SPK_OK ? spki_gpu_find_samples(net, g) : result;
}

/* States have another size since the last run, which left the host's copy up to date. */
SPKI_FN spk_result spki_gpu_refill(spk_net *net, spki_gpu_net *g)
{
    spki_gpu_clear(net, g);
    spk_result result = spki_gpu_fit(net, g, true);
    if (result == SPK_OK) {
        result = spki_gpu_fill_all(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_find_samples(net, g);
    }
    net->changed = result == SPK_OK ? 0 : net->changed;
    return result;
}

SPKI_FN spk_result spki_gpu_run_steps(spk_backend *backend, spk_net *net)
{
    spki_gpu_net *g = (spki_gpu_net *)backend;
    spki_slice batch = net->slice, before;
    bool amounts = false, pending = false, begun = false;
    memset(&before, 0, sizeof before);
    spk_result result = net->changed & SPKI_CHANGED_PRECISION ? spki_gpu_refill(net, g)
                                                              : spki_gpu_push(net, g);
    for (uint32_t p = 0; p < net->populations; p++) {
        amounts = amounts || net->population[p].has_amount;
    }
    while (batch.first < net->run_end && net->stop_result == SPK_OK && result == SPK_OK) {
        if (begun && spki_gpu_is_timed(g)) { /* not while what was injected has still to act */
            result = pending ? spki_gpu_end_batch(net, g, &before) : SPK_OK;
            pending = false;
            if (result == SPK_OK && net->stop_result == SPK_OK) {
                result = spki_gpu_deal(net, g);
            }
            continue;
        }
        batch.steps = (uint32_t)SPKI_MIN(net->run_end - batch.first, (uint64_t)net->batch_max);
        result = spki_gpu_begin_batch(net, g, &batch, amounts);
        if (result == SPK_OK) {
            result = spki_gpu_ask(net, g, batch.parity);
        }
        if (result == SPK_OK && pending) {
            result = spki_gpu_end_batch(net, g, &before);
        }
        before = batch;
        pending = begun = true;
        amounts = false;
        spki_next_slice(&batch);
    }
    if (result == SPK_OK && pending) {
        result = spki_gpu_end_batch(net, g, &before);
    }
    if (result == SPK_OK) {
        net->next_slice = batch;
        result = spki_gpu_settle(net, g);
    }
    return result;
}

SPKI_FN size_t spki_gpu_describe(const spk_backend *backend, char *buffer, size_t size)
{
    const spki_gpu_net *g = (const spki_gpu_net *)backend;
    spki_text text = {buffer, buffer ? size : 0, 0};
    char line[200];
    if (buffer && size) {
        buffer[0] = 0;
    }
    for (uint32_t k = 0; k < g->parts; k++) {
        const spki_gpu_part *part = &g->part[k];
        snprintf(line, sizeof line, "%s \"%.60s\": tiles %u .. %u, %llu bytes%s%s%s%s\n",
                 backend->name, part->gpu.name, part->tile, part->tile + part->tiles,
                 (spki_llu)part->gpu.used,
                 !part->own || g->parts > 1 ? ""
                 : part->records_room       ? "; states and accumulators in shared memory"
                                            : "; accumulators in shared memory",
                 part->gpu.replays && g->parts == 1 ? "; slices replayed" : "",
                 part->held ? "; kernels compiled with the program" : "",
                 part->drawn ? "; rows drawn there" : "");
        spki_text_add(&text, line);
    }
    if (g->host_draws[0]) {
        snprintf(line, sizeof line, "rows drawn by the host: %.150s\n", g->host_draws);
        spki_text_add(&text, line);
    }
    return text.length;
}

/* -- a backend for which there was no memory: says so when the network is built -- */

SPKI_FN uint32_t spki_gpu_no_tiles(const spk_backend *backend, const spk_net *net)
{
    (void)backend;
    (void)net;
    return 1;
}

SPKI_FN spk_result spki_gpu_no_memory(spk_backend *backend, spk_net *net)
{
    return spki_fail(net, SPK_ERR_OUT_OF_MEMORY, "%s: no memory for a backend", backend->name);
}

SPKI_FN size_t spki_gpu_describe_none(const spk_backend *backend, char *buffer, size_t size)
{
    (void)backend;
    return (size_t)snprintf(buffer, size, "no backend\n");
}

SPKI_FN void spki_gpu_leave_none(spk_backend *backend, spk_net *net)
{
    (void)backend;
    (void)net;
}

#define SPKI_GPU_NONE(name)                                                                        \
    {                                                                                              \
        name, false, spki_gpu_no_tiles, spki_gpu_no_memory, spki_gpu_no_memory,                    \
            spki_gpu_no_memory, spki_gpu_no_memory, spki_gpu_describe_none,                        \
            spki_gpu_leave_none                                                                    \
    }

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>gpu-names: devices by their names, as people write them and as errors list them ---- */

/* Letters alike. */
SPKI_FN bool spki_gpu_has(const char *text, const char *part)
{
    const size_t n = strlen(part);
    for (; strlen(text) >= n; text++) {
        size_t k = 0;
        for (; k < n; k++) {
            const int a = text[k] >= 'A' && text[k] <= 'Z' ? text[k] + 32 : text[k];
            const int b = part[k] >= 'A' && part[k] <= 'Z' ? part[k] + 32 : part[k];
            if (a != b) {
                break;
            }
        }
        if (k == n) {
            return true;
        }
        if (!*text) {
            break;
        }
    }
    return false;
}

/* One more device in the list that an error shows. */
SPKI_FN void spki_gpu_seen(char *list, size_t size, const char *name, bool usable, const char *why)
{
    const size_t used = strlen(list);
    snprintf(list + used, size - used, "%s\"%.60s\"%s%.80s", used ? ", " : "", name,
             usable ? "" : ", unusable: ", why);
}

#undef SPKI_CHANGED_CURRENTS
#undef SPKI_CHANGED_LISTS
#undef SPKI_CHANGED_PARAMS
#undef SPKI_CHANGED_PRECISION
#undef SPKI_CHANGED_STATES
#undef SPKI_CHANGED_WEIGHTS
#undef SPKI_GPU_BATCH_GROUPS
#undef SPKI_GPU_BATCH_ITEMS
#undef SPKI_GPU_BLOCK_GROUPS
#undef SPKI_GPU_CACHE_MAGIC
#undef SPKI_GPU_COUNTS_GUIDE
#undef SPKI_GPU_DELIVER_ITEMS
#undef SPKI_GPU_DRAW_FROM
#undef SPKI_GPU_DRAW_ITEMS
#undef SPKI_GPU_DRAW_SCRATCH
#undef SPKI_GPU_EXPECT
#undef SPKI_GPU_FIRST_WATCH
#undef SPKI_GPU_LAST_WATCH
#undef SPKI_GPU_LIST_IDS
#undef SPKI_GPU_MOST_PARTS
#undef SPKI_GPU_NEXT_WATCH
#undef SPKI_GPU_NONE
#undef SPKI_GPU_NUMBER
#undef SPKI_GPU_NUMBERS
#undef SPKI_GPU_PACK
#undef SPKI_GPU_PATH
#undef SPKI_GPU_REALS
#undef SPKI_GPU_ROWS_DEFINE
#undef SPKI_GPU_ROWS_NONE
#undef SPKI_GPU_ROWS_NUMBER
#undef SPKI_GPU_ROWS_NUMBERS
#undef SPKI_GPU_SCAN_ITEMS
#undef SPKI_GPU_SPARES
#undef SPKI_GPU_STEPS_GUIDE
#undef SPKI_GPU_TEAM
#undef SPKI_GPU_WATCH_SLICES
#undef SPKI_MAX_SLICE
#undef SPKI_MOST_WORDS
#undef SPKI_STREAM_DRIVE
#undef SPKI_STREAM_INPUT
#undef SPKI_STREAM_STORAGE
#ifndef SPIKELIB_MODELS
#undef SPKI_FN
#undef SPKI_GROUP
#undef SPKI_MAX
#undef SPKI_MIN
#endif
#endif /* shared with other devices */

#ifndef SPIKELIB_MODELS
#define SPKI_FN static __attribute__((unused))
#define SPKI_MAX(a, b) ((a) > (b) ? (a) : (b))
#define SPKI_MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#define SPKI_GPU_NONE(name)                                                                        \
    {                                                                                              \
        name, false, spki_gpu_no_tiles, spki_gpu_no_memory, spki_gpu_no_memory,                    \
            spki_gpu_no_memory, spki_gpu_no_memory, spki_gpu_describe_none,                        \
            spki_gpu_leave_none                                                                    \
    }
#define SPKI_GPU_PATH 1024u
#define SPKI_GPU_SCAN_ITEMS 256u
#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>cl-loader: the functions of OpenCL, found at run time ---- */

#if !defined(SPIKELIB_CL_LINK) && !defined(_WIN32)
#include <dlfcn.h>
#endif

#if defined(_WIN32)
#define SPKI_CL_CALL __stdcall
#else
#define SPKI_CL_CALL
#endif

/* What of OpenCL 1.2 is used, declared here so that no header of it is needed.
   Source: the OpenCL 1.2 specification, Khronos (2012), and its registry of constants. */
typedef struct spki_cl_object *spki_cl_handle; /* platform, device, context, queue, .. */

#define SPKI_CL_FUNCTIONS(X)                                                                      \
    X(clGetPlatformIDs, int32_t, (uint32_t, spki_cl_handle *, uint32_t *))                        \
    X(clGetPlatformInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))           \
    X(clGetDeviceIDs, int32_t,                                                                    \
      (spki_cl_handle, uint64_t, uint32_t, spki_cl_handle *, uint32_t *))                         \
    X(clGetDeviceInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))             \
    X(clCreateSubDevices, int32_t,                                                                \
      (spki_cl_handle, const intptr_t *, uint32_t, spki_cl_handle *, uint32_t *))                 \
    X(clReleaseDevice, int32_t, (spki_cl_handle))                                                 \
    X(clCreateContext, spki_cl_handle,                                                            \
      (const intptr_t *, uint32_t, const spki_cl_handle *,                                        \
       void(SPKI_CL_CALL *)(const char *, const void *, size_t, void *), void *, int32_t *))      \
    X(clReleaseContext, int32_t, (spki_cl_handle))                                                \
    X(clCreateCommandQueue, spki_cl_handle,                                                       \
      (spki_cl_handle, spki_cl_handle, uint64_t, int32_t *))                                      \
    X(clReleaseCommandQueue, int32_t, (spki_cl_handle))                                           \
    X(clCreateBuffer, spki_cl_handle, (spki_cl_handle, uint64_t, size_t, void *, int32_t *))      \
    X(clReleaseMemObject, int32_t, (spki_cl_handle))                                              \
    X(clCreateProgramWithSource, spki_cl_handle,                                                  \
      (spki_cl_handle, uint32_t, const char **, const size_t *, int32_t *))                       \
    X(clCreateProgramWithBinary, spki_cl_handle,                                                  \
      (spki_cl_handle, uint32_t, const spki_cl_handle *, const size_t *, const unsigned char **,  \
       int32_t *, int32_t *))                                                                     \
    X(clBuildProgram, int32_t,                                                                    \
      (spki_cl_handle, uint32_t, const spki_cl_handle *, const char *,                            \
       void(SPKI_CL_CALL *)(spki_cl_handle, void *), void *))                                     \
    X(clGetProgramBuildInfo, int32_t,                                                             \
      (spki_cl_handle, spki_cl_handle, uint32_t, size_t, void *, size_t *))                       \
    X(clGetProgramInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))            \
    X(clReleaseProgram, int32_t, (spki_cl_handle))                                                \
    X(clCreateKernel, spki_cl_handle, (spki_cl_handle, const char *, int32_t *))                  \
    X(clSetKernelArg, int32_t, (spki_cl_handle, uint32_t, size_t, const void *))                  \
    X(clReleaseKernel, int32_t, (spki_cl_handle))                                                 \
    X(clEnqueueWriteBuffer, int32_t,                                                              \
      (spki_cl_handle, spki_cl_handle, uint32_t, size_t, size_t, const void *, uint32_t,          \
       const spki_cl_handle *, spki_cl_handle *))                                                 \
    X(clEnqueueReadBuffer, int32_t,                                                               \
      (spki_cl_handle, spki_cl_handle, uint32_t, size_t, size_t, void *, uint32_t,                \
       const spki_cl_handle *, spki_cl_handle *))                                                 \
    X(clEnqueueFillBuffer, int32_t,                                                               \
      (spki_cl_handle, spki_cl_handle, const void *, size_t, size_t, size_t, uint32_t,            \
       const spki_cl_handle *, spki_cl_handle *))                                                 \
    X(clEnqueueNDRangeKernel, int32_t,                                                            \
      (spki_cl_handle, spki_cl_handle, uint32_t, const size_t *, const size_t *, const size_t *,  \
       uint32_t, const spki_cl_handle *, spki_cl_handle *))                                       \
    X(clFlush, int32_t, (spki_cl_handle))                                                         \
    X(clFinish, int32_t, (spki_cl_handle))                                                        \
    X(clWaitForEvents, int32_t, (uint32_t, const spki_cl_handle *))                               \
    X(clGetEventInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))              \
    X(clReleaseEvent, int32_t, (spki_cl_handle))

typedef struct spki_cl_calls {
#define SPKI_CL_MEMBER(name, result, args) result(SPKI_CL_CALL *name) args;
    SPKI_CL_FUNCTIONS(SPKI_CL_MEMBER)
#undef SPKI_CL_MEMBER
} spki_cl_calls;

enum {
    SPKI_CL_TRUE = 1,
    SPKI_CL_DEVICE_NOT_FOUND = -1,
    SPKI_CL_BUILD_PROGRAM_FAILURE = -11,
    SPKI_CL_MEM_OBJECT_ALLOCATION_FAILURE = -4,
    SPKI_CL_OUT_OF_RESOURCES = -5,
    SPKI_CL_OUT_OF_HOST_MEMORY = -6,
    SPKI_CL_INVALID_BUFFER_SIZE = -61,
    SPKI_CL_PLATFORM_NOT_FOUND = -1001, /* of the loader */
    SPKI_CL_PLATFORM_NAME = 0x0902,
    SPKI_CL_PLATFORM_VERSION = 0x0901,
    SPKI_CL_DEVICE_TYPE = 0x1000,
    SPKI_CL_DEVICE_MAX_COMPUTE_UNITS = 0x1002,
    SPKI_CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
    SPKI_CL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010,
    SPKI_CL_DEVICE_SINGLE_FP_CONFIG = 0x101B,
    SPKI_CL_DEVICE_GLOBAL_MEM_SIZE = 0x101F,
    SPKI_CL_DEVICE_ENDIAN_LITTLE = 0x1026,
    SPKI_CL_DEVICE_AVAILABLE = 0x1027,
    SPKI_CL_DEVICE_COMPILER_AVAILABLE = 0x1028,
    SPKI_CL_DEVICE_NAME = 0x102B,
    SPKI_CL_DRIVER_VERSION = 0x102D,
    SPKI_CL_DEVICE_VERSION = 0x102F,
    SPKI_CL_DEVICE_LOCAL_MEM_TYPE = 0x1022,
    SPKI_CL_DEVICE_LOCAL_MEM_SIZE = 0x1023,
    SPKI_CL_LOCAL = 1, /* memory of its own; 2: a part of the global one */
    SPKI_CL_DEVICE_EXTENSIONS = 0x1030,
    SPKI_CL_DEVICE_PARTITION_EQUALLY = 0x1086,
    SPKI_CL_CONTEXT_PLATFORM = 0x1084,
    SPKI_CL_PROGRAM_BINARY_SIZES = 0x1165,
    SPKI_CL_PROGRAM_BINARIES = 0x1166,
    SPKI_CL_PROGRAM_BUILD_LOG = 0x1183,
    SPKI_CL_EVENT_COMMAND_EXECUTION_STATUS = 0x11D3,
    SPKI_CL_TYPE_CPU = 1 << 1,
    SPKI_CL_TYPE_GPU = 1 << 2,
    SPKI_CL_ROUND_TO_NEAREST = 1 << 2,
    SPKI_CL_CORRECTLY_ROUNDED = 1 << 7
};
#define SPKI_CL_TYPE_ALL 0xffffffffu

SPKI_FN const char *spki_cl_code(int32_t code)
{
    static const struct {
        int32_t code;
        const char *name;
    } known[] = {{-1, "CL_DEVICE_NOT_FOUND"},
                 {-2, "CL_DEVICE_NOT_AVAILABLE"},
                 {-3, "CL_COMPILER_NOT_AVAILABLE"},
                 {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
                 {-5, "CL_OUT_OF_RESOURCES"},
                 {-6, "CL_OUT_OF_HOST_MEMORY"},
                 {-11, "CL_BUILD_PROGRAM_FAILURE"},
                 {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
                 {-18, "CL_DEVICE_PARTITION_FAILED"},
                 {-30, "CL_INVALID_VALUE"},
                 {-33, "CL_INVALID_DEVICE"},
                 {-36, "CL_INVALID_COMMAND_QUEUE"},
                 {-38, "CL_INVALID_MEM_OBJECT"},
                 {-42, "CL_INVALID_BINARY"},
                 {-43, "CL_INVALID_BUILD_OPTIONS"},
                 {-54, "CL_INVALID_WORK_GROUP_SIZE"},
                 {-61, "CL_INVALID_BUFFER_SIZE"},
                 {-1001, "CL_PLATFORM_NOT_FOUND_KHR"}};
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        if (known[k].code == code) {
            return known[k].name;
        }
    }
    return "an error";
}

/* Our result for a code of OpenCL. */
SPKI_FN spk_result spki_cl_result(int32_t code)
{
    return code == 0                                        ? SPK_OK
           : code == SPKI_CL_MEM_OBJECT_ALLOCATION_FAILURE ||
                   code == SPKI_CL_OUT_OF_HOST_MEMORY || code == SPKI_CL_INVALID_BUFFER_SIZE
               ? SPK_ERR_OUT_OF_MEMORY
               : SPK_ERR_DEVICE;
}

/* The library and its functions. */
typedef struct spki_cl_library {
    void *handle;
    spki_cl_calls calls;
} spki_cl_library;

#if defined(SPIKELIB_CL_LINK)
#if defined(__APPLE__)
#define SPKI_CL_LABEL "_"
#else
#define SPKI_CL_LABEL ""
#endif
#ifdef __cplusplus
extern "C" {
#endif
#define SPKI_CL_EXTERN(name, result, args)                                                        \
    extern result SPKI_CL_CALL spki_cl_##name args __asm__(SPKI_CL_LABEL #name);
SPKI_CL_FUNCTIONS(SPKI_CL_EXTERN)
#undef SPKI_CL_EXTERN
#ifdef __cplusplus
}
#endif
#endif

/* POSIX gives functions as object pointers. */
SPKI_FN bool spki_cl_bind(void *member, void *symbol)
{
    memcpy(member, &symbol, sizeof symbol);
    return symbol != NULL;
}

#if !defined(SPIKELIB_CL_LINK)
SPKI_FN void *spki_cl_open_library(void)
{
#if defined(_WIN32)
    return (void *)LoadLibraryA("OpenCL.dll");
#else
    static const char *const name[] = {"libOpenCL.so.1", "libOpenCL.so",
                                       "/System/Library/Frameworks/OpenCL.framework/OpenCL"};
    void *handle = NULL;
    for (size_t k = 0; k < 3 && !handle; k++) {
        handle = dlopen(name[k], RTLD_NOW | RTLD_LOCAL);
    }
    return handle;
#endif
}

SPKI_FN void *spki_cl_find(void *handle, const char *name)
{
#if defined(_WIN32)
    FARPROC found = GetProcAddress((HMODULE)handle, name);
    void *symbol;
    memcpy(&symbol, &found, sizeof symbol);
    return symbol;
#else
    return dlsym(handle, name);
#endif
}
#endif

/* The library stays loaded: drivers do not all survive being unloaded. */
SPKI_FN spk_result spki_cl_load(const spk_cl_desc *desc, spki_cl_library *library, char *why,
                                size_t why_size)
{
    const char *missing = NULL;
    memset(library, 0, sizeof *library);
#if defined(SPIKELIB_CL_LINK)
    if (!desc->symbol) {
#define SPKI_CL_TAKE(name, result, args) library->calls.name = spki_cl_##name;
        SPKI_CL_FUNCTIONS(SPKI_CL_TAKE)
#undef SPKI_CL_TAKE
        return SPK_OK;
    }
#else
    if (!desc->symbol && !(library->handle = spki_cl_open_library())) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "opencl: there is no OpenCL loader (libOpenCL.so.1, OpenCL.dll)");
    }
#define SPKI_CL_FIND_HERE(name) spki_cl_find(library->handle, name)
#endif
#ifndef SPKI_CL_FIND_HERE
#define SPKI_CL_FIND_HERE(name) NULL
#endif
#define SPKI_CL_BIND(name, result, args)                                                          \
    if (!spki_cl_bind((void *)&library->calls.name,                                               \
                      desc->symbol ? desc->symbol(desc->symbol_ctx, #name)                        \
                                   : SPKI_CL_FIND_HERE(#name))) {                                 \
        missing = #name;                                                                          \
    }
    SPKI_CL_FUNCTIONS(SPKI_CL_BIND)
#undef SPKI_CL_BIND
    return missing ? spki_because(SPK_ERR_DEVICE, why, why_size,
                                  "opencl: the loader has no %s (OpenCL 1.2 is needed)", missing)
                   : SPK_OK;
}

/* ---- >>cl-choose: which devices there are, and which of them to take ---- */

#define SPKI_CL_PLATFORMS 32u
#define SPKI_CL_DEVICES 64u /* of one platform */

SPKI_FN void spki_cl_text(const spki_cl_calls *cl, spki_cl_handle device, uint32_t what, char *out,
                          size_t size)
{
    char text[256] = "";
    if (cl->clGetDeviceInfo(device, what, sizeof text - 1, text, NULL)) {
        text[0] = 0;
    }
    snprintf(out, size, "%.*s", (int)size - 1, text);
}

SPKI_FN uint64_t spki_cl_number(const spki_cl_calls *cl, spki_cl_handle device, uint32_t what,
                                size_t size)
{
    unsigned char bytes[8] = {0};
    uint64_t x = 0;
    if (cl->clGetDeviceInfo(device, what, size, bytes, NULL)) {
        return 0;
    }
    if (size == 4) {
        uint32_t word;
        memcpy(&word, bytes, 4);
        return word;
    }
    memcpy(&x, bytes, 8);
    return x;
}

SPKI_FN bool spki_cl_extension(const spki_cl_calls *cl, spki_cl_handle device, const char *name)
{
    char text[8192] = "";
    return cl->clGetDeviceInfo(device, SPKI_CL_DEVICE_EXTENSIONS, sizeof text - 1, text, NULL) ==
               0 &&
           strstr(text, name) != NULL;
}

SPKI_FN void spki_cl_refuse(spk_cl_device *d, const char *why)
{
    d->usable = false;
    snprintf(d->why, sizeof d->why, "%s", why);
}

/* What a device is, and whether its spikes can be the same. */
SPKI_FN void spki_cl_describe(const spki_cl_calls *cl, spki_cl_handle platform,
                              spki_cl_handle device, uint32_t index, spk_cl_device *d)
{
    char text[128] = "", version[64];
    memset(d, 0, sizeof *d);
    d->index = index;
    d->usable = true;
    if (platform && cl->clGetPlatformInfo(platform, SPKI_CL_PLATFORM_NAME, sizeof text - 1, text,
                                          NULL) == 0) {
        snprintf(d->platform, sizeof d->platform, "%s", text);
    }
    spki_cl_text(cl, device, SPKI_CL_DEVICE_NAME, d->name, sizeof d->name);
    spki_cl_text(cl, device, SPKI_CL_DRIVER_VERSION, d->driver, sizeof d->driver);
    spki_cl_text(cl, device, SPKI_CL_DEVICE_VERSION, version, sizeof version);
    const uint64_t type = spki_cl_number(cl, device, SPKI_CL_DEVICE_TYPE, 8);
    const uint64_t fp = spki_cl_number(cl, device, SPKI_CL_DEVICE_SINGLE_FP_CONFIG, 8);
    d->is_cpu = (type & SPKI_CL_TYPE_CPU) != 0;
    d->is_gpu = (type & SPKI_CL_TYPE_GPU) != 0;
    d->units = (uint32_t)spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    d->memory_bytes = spki_cl_number(cl, device, SPKI_CL_DEVICE_GLOBAL_MEM_SIZE, 8);
    d->block_bytes = spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
    d->has_double = spki_cl_extension(cl, device, "cl_khr_fp64");
    if (strncmp(version, "OpenCL ", 7) != 0 || strncmp(version, "OpenCL 1.0", 10) == 0 ||
        strncmp(version, "OpenCL 1.1", 10) == 0) {
        spki_cl_refuse(d, "it is older than OpenCL 1.2");
    } else if (!spki_cl_number(cl, device, SPKI_CL_DEVICE_AVAILABLE, 4) ||
               !spki_cl_number(cl, device, SPKI_CL_DEVICE_COMPILER_AVAILABLE, 4)) {
        spki_cl_refuse(d, "the device or its compiler is not available");
    } else if (!(fp & SPKI_CL_CORRECTLY_ROUNDED) || !(fp & SPKI_CL_ROUND_TO_NEAREST)) {
        spki_cl_refuse(d, "its 32-bit division and roots are not correctly rounded");
    } else if (!spki_cl_number(cl, device, SPKI_CL_DEVICE_ENDIAN_LITTLE, 4)) {
        spki_cl_refuse(d, "it is not little-endian");
    } else if (spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t)) <
               SPKI_GPU_SCAN_ITEMS) {
        spki_cl_refuse(d, "its groups have fewer than 256 items");
    }
}

/* Calls `each` for all devices in order, until it returns false. */
typedef bool (*spki_cl_each_fn)(void *ctx, spki_cl_handle platform, spki_cl_handle device,
                                const spk_cl_device *d);
SPKI_FN spk_result spki_cl_each(const spki_cl_calls *cl, spki_cl_each_fn each, void *ctx, char *why,
                                size_t why_size)
{
    spki_cl_handle platform[SPKI_CL_PLATFORMS], device[SPKI_CL_DEVICES];
    uint32_t platforms = 0, devices = 0, index = 0;
    int32_t code = cl->clGetPlatformIDs(SPKI_CL_PLATFORMS, platform, &platforms);
    if (code && code != SPKI_CL_PLATFORM_NOT_FOUND) {
        return spki_because(spki_cl_result(code), why, why_size,
                            "opencl: clGetPlatformIDs returned %s (%d)", spki_cl_code(code), code);
    }
    platforms = code ? 0 : SPKI_MIN(platforms, SPKI_CL_PLATFORMS);
    for (uint32_t p = 0; p < platforms; p++) {
        code = cl->clGetDeviceIDs(platform[p], SPKI_CL_TYPE_ALL, SPKI_CL_DEVICES, device, &devices);
        for (uint32_t k = 0; !code && k < SPKI_MIN(devices, SPKI_CL_DEVICES); k++) {
            spk_cl_device d;
            spki_cl_describe(cl, platform[p], device[k], index++, &d);
            if (!each(ctx, platform[p], device[k], &d)) {
                return SPK_OK;
            }
        }
    }
    return index ? SPK_OK
                 : spki_because(SPK_ERR_DEVICE, why, why_size, "opencl: there are no devices");
}

typedef struct spki_cl_listing {
    spk_cl_device *out;
    size_t capacity, count;
} spki_cl_listing;

SPKI_FN bool spki_cl_list_one(void *ctx, spki_cl_handle platform, spki_cl_handle device,
                              const spk_cl_device *d)
{
    spki_cl_listing *l = (spki_cl_listing *)ctx;
    (void)platform;
    (void)device;
    if (l->out && l->count < l->capacity) {
        l->out[l->count] = *d;
    }
    l->count++;
    return true;
}

SPIKELIB_API size_t spk_cl_devices(const spk_cl_desc *desc, spk_cl_device *devices,
                                   size_t capacity, char *why, size_t why_size)
{
    spk_cl_desc none;
    spki_cl_library library;
    spki_cl_listing listing = {devices, capacity, 0};
    memset(&none, 0, sizeof none);
    if (why && why_size) {
        why[0] = 0;
    }
    if (spki_cl_load(desc ? desc : &none, &library, why, why_size) == SPK_OK) {
        (void)spki_cl_each(&library.calls, spki_cl_list_one, &listing, why, why_size);
    }
    return listing.count;
}

/* -- choosing -- */

/* A wish, and what fulfils it so far. */
typedef struct spki_cl_wish {
    const spk_cl_desc *desc;
    uint32_t index;  /* UINT32_MAX: by name and score */
    spki_cl_handle platform, device;
    spk_cl_device found;
    double score;
    char seen[300];  /* names, for the message */
} spki_cl_wish;

SPKI_FN double spki_cl_score(const spk_cl_desc *desc, const spk_cl_device *d)
{
    if (desc->score) {
        return desc->score(desc->score_ctx, d);
    }
    return (d->is_gpu ? 1e6 : 0.0) + (double)d->units + (double)d->memory_bytes * 1e-9;
}

SPKI_FN bool spki_cl_wish_one(void *ctx, spki_cl_handle platform, spki_cl_handle device,
                              const spk_cl_device *d)
{
    spki_cl_wish *w = (spki_cl_wish *)ctx;
    const spk_cl_desc *desc = w->desc;
    spki_gpu_seen(w->seen, sizeof w->seen, d->name, d->usable, d->why);
    if (w->index != UINT32_MAX ? d->index != w->index
                               : desc->device && !spki_gpu_has(d->name, desc->device) &&
                                     !spki_gpu_has(d->platform, desc->device)) {
        return true;
    }
    const double score = w->index != UINT32_MAX || !d->usable ? 0.0 : spki_cl_score(desc, d);
    if (!(score >= 0.0) || (w->index == UINT32_MAX && !d->usable)) {
        return true;
    }
    if (!w->device || score > w->score) {
        w->platform = platform;
        w->device = device;
        w->found = *d;
        w->score = score;
    }
    return true;
}

/* The device that the descriptor asks for: number k of its indices, or the best. */
SPKI_FN spk_result spki_cl_choose(const spki_cl_calls *cl, const spk_cl_desc *desc, size_t k,
                                  spki_cl_wish *wish, char *why, size_t why_size)
{
    memset(wish, 0, sizeof *wish);
    wish->desc = desc;
    wish->index = desc->index_count ? desc->indices[k] : UINT32_MAX;
    const spk_result result = spki_cl_each(cl, spki_cl_wish_one, wish, why, why_size);
    if (result != SPK_OK) {
        return result;
    }
    if (!wish->device && desc->index_count) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "opencl: there is no device number %u; there are %s",
                            desc->indices[k], wish->seen);
    }
    if (!wish->device) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "opencl: no usable device%s%s%s; there are %s",
                            desc->device ? " named \"" : "", desc->device ? desc->device : "",
                            desc->device ? "\"" : "", wish->seen);
    }
    if (!wish->found.usable) {
        return spki_because(SPK_ERR_DEVICE, why, why_size, "opencl: \"%s\" cannot be used: %s",
                            wish->found.name, wish->found.why);
    }
    return SPK_OK;
}

/* ---- >>cl-device: what >>gpu wants of a device, done by OpenCL ---- */

#if !defined(_WIN32)
#include <sched.h>
#endif

static const char *const spki_cl_prelude[] = {
"#pragma OPENCL FP_CONTRACT OFF\n",
"#if SPKI_IS_DOUBLE\n",
"#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n",
"#endif\n",
"#if SPKI_WIDE && !SPKI_OWNED\n",
"#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n",
"#endif\n",
"typedef int int32_t;\n",
"typedef uint uint32_t;\n",
"typedef long int64_t;\n",
"typedef ulong uint64_t;\n",
"typedef ushort uint16_t;\n",
"#define SPKI_ENTRY(name) __kernel void name\n",
"#define SPKI_GLOBAL __global\n",
"#define SPKI_LOCAL __local\n",
"#define SPKI_SHARED __local\n",
"#define SPKI_DEVICE static inline\n",
"#define SPKI_GROUP_ID() ((uint32_t)get_group_id(0))\n",
"#define SPKI_GROUPS() ((uint32_t)get_num_groups(0))\n",
"#define SPKI_ITEM() ((uint32_t)get_local_id(0))\n",
"#define SPKI_ITEMS() ((uint32_t)get_local_size(0))\n",
"#define SPKI_MEET() barrier(CLK_LOCAL_MEM_FENCE)\n",
"#define SPKI_MEET_GLOBAL() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)\n",
"#define SPKI_LOCAL_OR(p, x) atomic_or(p, x)\n",
"#define SPKI_GLOBAL_OR(p, x) atomic_or(p, x)\n",
"#define SPKI_ADD32(p, x) atomic_add(p, x)\n",
"#define SPKI_MIN32(p, x) (void)atomic_min(p, x)\n",
"#define SPKI_MAX32(p, x) (void)atomic_max(p, x)\n",
"#if SPKI_WIDE\n",
"#define SPKI_GLOBAL_ADD(p, x) atom_add(p, x)\n",
"#define SPKI_LOCAL_ADD(p, x) (void)atom_add(p, x)\n",
"#else\n",
"#define SPKI_GLOBAL_ADD(p, x) atomic_add(p, x)\n",
"#define SPKI_LOCAL_ADD(p, x) (void)atomic_add(p, x)\n",
"#endif\n",
"#define SPKI_POPCOUNT(x) ((uint32_t)popcount(x))\n",
"#define SPKI_LOWEST(x) ((uint32_t)popcount(((x) & (0 - (x))) - 1))\n",
"#define SPKI_ROOT(x) sqrt(x)\n",
"#define SPKI_CAT_(a, b) a##b\n",
"#define SPKI_CAT(a, b) SPKI_CAT_(a, b)\n",
"#define SPKI_CAT3_(a, b, c) a##b##c\n",
"#define SPKI_CAT3(a, b, c) SPKI_CAT3_(a, b, c)\n",
"#define SPKI_NIL(type) ((type)(0))\n",
"#if SPKI_LANES == 1\n",
"typedef uint spki_words;\n",
"typedef int spki_ints;\n",
"#if SPKI_IS_DOUBLE\n",
"typedef double spki_d1;\n",
"typedef long spki_id1;\n",
"typedef int spki_md1;\n",
"#define SPKI_AS_INT(x) as_long(x)\n",
"#define SPKI_AS_REAL(x) as_double(x)\n",
"#else\n",
"typedef float spki_f1;\n",
"typedef int spki_if1;\n",
"typedef int spki_mf1;\n",
"#define SPKI_AS_INT(x) as_int(x)\n",
"#define SPKI_AS_REAL(x) as_float(x)\n",
"#endif\n",
"#define SPKI_TO_REAL(x) ((real)(x))\n",
"#define SPKI_ALIGNED(type, p) (*(p))\n",
"#define SPKI_VLOAD(p, at) ((p)[at])\n",
"#define SPKI_VSTORE(x, p, at) ((p)[at] = (x))\n",
"#define SPKI_COUNT(mask) (mask)\n",
"#define SPKI_ANY(mask) (mask)\n",
"#else\n",
"typedef SPKI_CAT(uint, SPKI_LANES) spki_words;\n",
"typedef SPKI_CAT(int, SPKI_LANES) spki_ints;\n",
"#if SPKI_IS_DOUBLE\n",
"typedef SPKI_CAT(double, SPKI_LANES) SPKI_CAT(spki_d, SPKI_LANES);\n",
"typedef SPKI_CAT(long, SPKI_LANES) SPKI_CAT(spki_id, SPKI_LANES);\n",
"typedef SPKI_CAT(long, SPKI_LANES) SPKI_CAT(spki_md, SPKI_LANES);\n",
"#define SPKI_AS_INT(x) SPKI_CAT(as_long, SPKI_LANES)(x)\n",
"#define SPKI_AS_REAL(x) SPKI_CAT(as_double, SPKI_LANES)(x)\n",
"#define SPKI_TO_REAL(x) SPKI_CAT(convert_double, SPKI_LANES)(x)\n",
"#define SPKI_WIDER(x) SPKI_CAT(convert_long, SPKI_LANES)(x)\n",
"#else\n",
"typedef SPKI_CAT(float, SPKI_LANES) SPKI_CAT(spki_f, SPKI_LANES);\n",
"typedef SPKI_CAT(int, SPKI_LANES) SPKI_CAT(spki_if, SPKI_LANES);\n",
"typedef SPKI_CAT(int, SPKI_LANES) SPKI_CAT(spki_mf, SPKI_LANES);\n",
"#define SPKI_AS_INT(x) SPKI_CAT(as_int, SPKI_LANES)(x)\n",
"#define SPKI_AS_REAL(x) SPKI_CAT(as_float, SPKI_LANES)(x)\n",
"#define SPKI_TO_REAL(x) SPKI_CAT(convert_float, SPKI_LANES)(x)\n",
"#define SPKI_WIDER(x) (x)\n",
"#endif\n",
"#define SPKI_ALIGNED(type, p) (*(SPKI_GLOBAL type *)(p))\n",
"#define SPKI_VLOAD(p, at) SPKI_CAT(vload, SPKI_LANES)(0, (p) + (at))\n",
"#define SPKI_VSTORE(x, p, at) SPKI_CAT(vstore, SPKI_LANES)(x, 0, (p) + (at))\n",
"#define SPKI_COUNT(mask) (-(mask))\n",
"SPKI_DEVICE int spki_any_4(ulong4 x)\n",
"{\n",
"    const ulong2 y = x.lo | x.hi;\n",
"    return (y.x | y.y) != 0;\n",
"}\n",
"SPKI_DEVICE int spki_any_8(ulong8 x)\n",
"{\n",
"    return spki_any_4(x.lo | x.hi);\n",
"}\n",
"SPKI_DEVICE int spki_any_16(ulong16 x)\n",
"{\n",
"    return spki_any_8(x.lo | x.hi);\n",
"}\n",
"#define SPKI_ANY(mask) spki_any_8(as_ulong8(mask))\n",
"SPKI_DEVICE uint32_t spki_mask_bits(uint16 mask)\n",
"{\n",
"#if SPKI_LANES == 16\n",
"    const uint16 x = mask & (uint16)(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,\n",
"                                     8192, 16384, 32768);\n",
"#else\n",
"    const uint16 x = mask & (uint16)(1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0, 64, 0, 128, 0);\n",
"#endif\n",
"    const uint8 y = x.lo | x.hi;\n",
"    const uint4 z = y.lo | y.hi;\n",
"    const uint2 w = z.lo | z.hi;\n",
"    return w.x | w.y;\n",
"}\n",
"#define SPKI_MASK_BITS(mask) spki_mask_bits(as_uint16(mask))\n",
"#if SPKI_LANES == 16\n",
"#define SPKI_ANY_INTS(x) spki_any_8(as_ulong8(x))\n",
"#else\n",
"#define SPKI_ANY_INTS(x) spki_any_4(as_ulong4(x))\n",
"#endif\n",
"#if SPKI_WIDE && SPKI_LANES == 16\n",
"#define SPKI_ANY_ACCS(x) spki_any_16(as_ulong16(x))\n",
"#elif SPKI_WIDE\n",
"#define SPKI_ANY_ACCS(x) spki_any_8(as_ulong8(x))\n",
"#else\n",
"#define SPKI_ANY_ACCS(x) SPKI_ANY_INTS(x)\n",
"#endif\n",
"#endif\n",
"#if SPKI_LANES == 1\n",
"SPKI_DEVICE spki_words spki_multiply(spki_words a, uint32_t m, spki_words *low)\n",
"{\n",
"    *low = a * m;\n",
"    return mul_hi(a, m);\n",
"}\n",
"#else\n",
"#if SPKI_LANES == 16\n",
"typedef ulong8 spki_pairs;\n",
"#define SPKI_AS_PAIRS(x) as_ulong8(x)\n",
"#else\n",
"typedef ulong4 spki_pairs;\n",
"#define SPKI_AS_PAIRS(x) as_ulong4(x)\n",
"#endif\n",
"#define SPKI_AS_WORDS(x) SPKI_CAT(as_uint, SPKI_LANES)(x)\n",
"SPKI_DEVICE spki_words spki_multiply(spki_words a, uint32_t m, spki_words *low)\n",
"{\n",
"    const spki_pairs pairs = SPKI_AS_PAIRS(a), factor = (spki_pairs)((ulong)m);\n",
"    const spki_pairs even = (pairs & (ulong)0xffffffffu) * factor, odd = (pairs >> 32) * factor;\n",
"    *low = SPKI_AS_WORDS((even & (ulong)0xffffffffu) | (odd << 32));\n",
"    return SPKI_AS_WORDS((odd & ~(ulong)0xffffffffu) | (even >> 32));\n",
"}\n",
"#endif\n",
0
};

/* What OpenCL C reserves and C does not. Function names need not be here: a model's variables hide
   them. */
static const char *const spki_cl_keywords[] = {
    "half",      "kernel",     "global",     "local",     "constant", "private", "generic",
    "read_only", "write_only", "read_write", "uniform",   "pipe",     "uchar",   "ushort",
    "uint",      "ulong",      "event_t",    "sampler_t", "queue_t",  "quad",    "complex",
    "imaginary", NULL};

#define SPKI_CL_OPTIONS "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt -w"

typedef struct spki_cl_device {
    const spki_cl_calls *cl;
    spki_cl_handle device, context, queue;
    bool sub; /* the device is to be released */
    double time_limit_s;
    char identity[512]; /* of device and driver, for the cache */
    char cache[SPKI_GPU_PATH];
} spki_cl_device;

typedef struct spki_cl_program {
    spki_cl_handle program, kernel[SPKI_GPU_ALL_ENTRIES];
} spki_cl_program;

SPKI_FN void spki_cl_yield(void)
{
#if defined(_WIN32)
    Sleep(0);
#else
    (void)sched_yield();
#endif
}

SPKI_FN spki_cl_device *spki_cl_of(const spki_gpu *gpu)
{
    return (spki_cl_device *)gpu->handle;
}

/* A code as our result, with a sentence. */
SPKI_FN spk_result spki_cl_check(spki_gpu *gpu, const char *call, int32_t code)
{
    if (code == 0) {
        return SPK_OK;
    }
    snprintf(gpu->why, sizeof gpu->why, "%s returned %s (%d)", call, spki_cl_code(code), code);
    return spki_cl_result(code);
}

/* -- memory -- */

SPKI_FN spk_result spki_cl_alloc(spki_gpu *gpu, uint64_t bytes, spki_gpu_mem *mem)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    int32_t code = 0;
    spki_cl_handle made = bytes > SIZE_MAX
                              ? NULL
                              : d->cl->clCreateBuffer(d->context, 1, (size_t)bytes, NULL, &code);
    if (!made) {
        code = code ? code : SPKI_CL_INVALID_BUFFER_SIZE;
    }
    *mem = code ? NULL : made;
    return spki_cl_check(gpu, "clCreateBuffer", code);
}

SPKI_FN void spki_cl_free(spki_gpu *gpu, spki_gpu_mem mem)
{
    (void)spki_cl_of(gpu)->cl->clReleaseMemObject((spki_cl_handle)mem);
}

SPKI_FN spk_result spki_cl_write(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, const void *data,
                                 size_t bytes)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    if (bytes == 0) {
        return SPK_OK;
    }
    return spki_cl_check(gpu, "clEnqueueWriteBuffer",
                         d->cl->clEnqueueWriteBuffer(d->queue, (spki_cl_handle)mem, SPKI_CL_TRUE,
                                                     (size_t)at, bytes, data, 0, NULL, NULL));
}

SPKI_FN spk_result spki_cl_zero(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, uint64_t bytes)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const uint32_t none = 0;
    return spki_cl_check(gpu, "clEnqueueFillBuffer",
                         d->cl->clEnqueueFillBuffer(d->queue, (spki_cl_handle)mem, &none, 4,
                                                    (size_t)at, (size_t)bytes / 4 * 4, 0, NULL,
                                                    NULL));
}

/* Waits for an event. What takes longer than the limit is an error, once it has ended: OpenCL
   cannot stop a kernel, and memory of ours that is being written must not be freed. */
SPKI_FN spk_result spki_cl_wait_for(spki_gpu *gpu, spki_cl_handle event)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const double start = spk_clock_seconds();
    int32_t status = 1;
    if (gpu->patient || d->time_limit_s <= 0.0) {
        return spki_cl_check(gpu, "clWaitForEvents", d->cl->clWaitForEvents(1, &event));
    }
    while (status > 0) {
        const int32_t code = d->cl->clGetEventInfo(event, SPKI_CL_EVENT_COMMAND_EXECUTION_STATUS,
                                                   sizeof status, &status, NULL);
        if (code) {
            return spki_cl_check(gpu, "clGetEventInfo", code);
        }
        if (status > 0 && spk_clock_seconds() - start > d->time_limit_s) {
            (void)d->cl->clFinish(d->queue);
            snprintf(gpu->why, sizeof gpu->why, "a batch of steps took longer than %g s",
                     d->time_limit_s);
            return SPK_ERR_TIMEOUT;
        }
        if (status > 0) {
            spki_cl_yield();
        }
    }
    return spki_cl_check(gpu, "a command", status);
}

SPKI_FN spk_result spki_cl_read(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, void *data,
                                size_t bytes, spki_gpu_ticket *ticket)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const bool limited = !ticket && !gpu->patient && d->time_limit_s > 0.0;
    spki_cl_handle event = NULL;
    int32_t code = d->cl->clEnqueueReadBuffer(d->queue, (spki_cl_handle)mem, !ticket && !limited,
                                              (size_t)at, bytes, data, 0, NULL,
                                              ticket || limited ? &event : NULL);
    if (ticket && code == 0) {
        *ticket = event;
    }
    if (!limited || code) {
        return spki_cl_check(gpu, "clEnqueueReadBuffer", code);
    }
    code = d->cl->clFlush(d->queue);
    const spk_result result =
        code ? spki_cl_check(gpu, "clFlush", code) : spki_cl_wait_for(gpu, event);
    (void)d->cl->clReleaseEvent(event);
    return result;
}

SPKI_FN spk_result spki_cl_wait(spki_gpu *gpu, spki_gpu_ticket *ticket)
{
    if (!*ticket) {
        return SPK_OK;
    }
    const spk_result result = spki_cl_wait_for(gpu, (spki_cl_handle)*ticket);
    (void)spki_cl_of(gpu)->cl->clReleaseEvent((spki_cl_handle)*ticket);
    *ticket = NULL;
    return result;
}

/* -- programs -- */

SPKI_FN void spki_cl_release(spki_gpu *gpu, void *program)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    spki_cl_program *p = (spki_cl_program *)program;
    for (uint32_t k = 0; k < SPKI_GPU_ALL_ENTRIES; k++) {
        if (p->kernel[k]) {
            (void)d->cl->clReleaseKernel(p->kernel[k]);
        }
    }
    if (p->program) {
        (void)d->cl->clReleaseProgram(p->program);
    }
    spki_free(gpu->mem, p, 1, sizeof *p);
}

SPKI_FN int32_t spki_cl_build(const spki_cl_device *d, spki_cl_handle program)
{
    return d->cl->clBuildProgram(program, 1, &d->device, SPKI_CL_OPTIONS, NULL, NULL);
}

/* A program from the cache, or NULL. */
SPKI_FN spki_cl_handle spki_cl_recall(spki_gpu *gpu, const uint64_t key[2])
{
    const spki_cl_device *d = spki_cl_of(gpu);
    size_t size = 0;
    int32_t status = 0, code = 0;
    unsigned char *data = spki_gpu_cache_read(gpu->mem, d->cache, key, &size);
    const unsigned char *binary = data;
    if (!data) {
        return NULL;
    }
    spki_cl_handle program = d->cl->clCreateProgramWithBinary(d->context, 1, &d->device, &size,
                                                              &binary, &status, &code);
    spki_free(gpu->mem, data, size, 1);
    if (program && (code || status || spki_cl_build(d, program))) {
        (void)d->cl->clReleaseProgram(program);
        program = NULL;
    }
    return program;
}

SPKI_FN void spki_cl_keep(spki_gpu *gpu, spki_cl_handle program, const uint64_t key[2])
{
    const spki_cl_device *d = spki_cl_of(gpu);
    size_t size = 0;
    if (!d->cache[0] || d->cl->clGetProgramInfo(program, SPKI_CL_PROGRAM_BINARY_SIZES, sizeof size,
                                                &size, NULL) || !size) {
        return;
    }
    unsigned char *data = (unsigned char *)spki_alloc_raw(gpu->mem, size, 1);
    if (data && d->cl->clGetProgramInfo(program, SPKI_CL_PROGRAM_BINARIES, sizeof data, &data,
                                        NULL) == 0) {
        spki_gpu_cache_write(d->cache, key, data, size);
    }
    spki_free(gpu->mem, data, size, 1);
}

SPKI_FN spk_result spki_cl_from_source(spki_gpu *gpu, const char *text, size_t size,
                                       spki_cl_handle *program, char *log, size_t log_size)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    int32_t code = 0;
    *program = d->cl->clCreateProgramWithSource(d->context, 1, &text, &size, &code);
    if (!*program || code) {
        return spki_cl_check(gpu, "clCreateProgramWithSource", code ? code : -6);
    }
    code = spki_cl_build(d, *program);
    if (code) {
        log[0] = 0;
        (void)d->cl->clGetProgramBuildInfo(*program, d->device, SPKI_CL_PROGRAM_BUILD_LOG,
                                           log_size - 1, log, NULL);
        (void)spki_cl_check(gpu, "clBuildProgram", code);
        (void)d->cl->clReleaseProgram(*program);
        *program = NULL;
        return code == SPKI_CL_BUILD_PROGRAM_FAILURE ? SPK_ERR_COMPILE : spki_cl_result(code);
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_cl_compile(spki_gpu *gpu, const char *text, size_t size, int kind,
                                   void **out, char *log, size_t log_size)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    uint64_t key[2] = {0, 0};
    spki_cl_program *p = (spki_cl_program *)spki_alloc(gpu->mem, 1, sizeof *p);
    if (!p) {
        snprintf(gpu->why, sizeof gpu->why, "no memory for a program");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    for (uint32_t k = 0; k < 2; k++) {
        key[k] = spk_xxh64(text, size, k + spk_xxh64(d->identity, strlen(d->identity), k));
    }
    spk_result result = SPK_OK;
    p->program = spki_cl_recall(gpu, key);
    const bool known = p->program != NULL;
    if (!known) {
        result = spki_cl_from_source(gpu, text, size, &p->program, log, log_size);
    }
    for (uint32_t k = 0; k < SPKI_GPU_ALL_ENTRIES && result == SPK_OK; k++) {
        int32_t code = 0;
        if ((int)spki_gpu_entry_kind(k) == kind) {
            p->kernel[k] =
                d->cl->clCreateKernel(p->program, spki_gpu_entry_name((spki_gpu_entry)k), &code);
            result = spki_cl_check(gpu, "clCreateKernel", p->kernel[k] ? code : code ? code : -6);
        }
    }
    if (result == SPK_OK && !known) {
        spki_cl_keep(gpu, p->program, key);
    }
    if (result != SPK_OK) {
        spki_cl_release(gpu, p);
        return result;
    }
    *out = p;
    return SPK_OK;
}

/* -- work -- */

SPKI_FN spk_result spki_cl_launch(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                  uint32_t groups, uint32_t items, const spki_gpu_arg *arg,
                                  uint32_t args)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const spki_cl_handle kernel = ((spki_cl_program *)program)->kernel[entry];
    const size_t local = items, global = (size_t)groups * items;
    int32_t code = 0;
    if (groups == 0) {
        return SPK_OK;
    }
    for (uint32_t k = 0; k < args && !code; k++) {
        code = arg[k].is_mem ? d->cl->clSetKernelArg(kernel, k, sizeof arg[k].mem, &arg[k].mem)
                             : d->cl->clSetKernelArg(kernel, k, arg[k].size, &arg[k].value);
    }
    if (code) {
        return spki_cl_check(gpu, "clSetKernelArg", code);
    }
    return spki_cl_check(gpu, spki_gpu_entry_name(entry),
                         d->cl->clEnqueueNDRangeKernel(d->queue, kernel, 1, NULL, &global, &local,
                                                       0, NULL, NULL));
}

SPKI_FN spk_result spki_cl_flush(spki_gpu *gpu)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    return spki_cl_check(gpu, "clFlush", d->cl->clFlush(d->queue));
}

SPKI_FN spk_result spki_cl_finish(spki_gpu *gpu)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    return spki_cl_check(gpu, "clFinish", d->cl->clFinish(d->queue));
}

SPKI_FN void spki_cl_close(spki_gpu *gpu)
{
    spki_cl_device *d = spki_cl_of(gpu);
    if (!d) {
        return;
    }
    if (d->queue) {
        (void)d->cl->clReleaseCommandQueue(d->queue);
    }
    if (d->context) {
        (void)d->cl->clReleaseContext(d->context);
    }
    if (d->sub) {
        (void)d->cl->clReleaseDevice(d->device);
    }
    spki_free(gpu->mem, d, 1, sizeof *d);
    gpu->handle = NULL;
}

static const spki_gpu_api spki_cl_api = {
    "opencl",      spki_cl_prelude, spki_cl_keywords, spki_cl_compile, spki_cl_release,
    spki_cl_alloc, spki_cl_free,    spki_cl_write,    spki_cl_zero,    spki_cl_read,
    spki_cl_wait,  spki_cl_launch,  spki_cl_flush,    spki_cl_finish,  spki_cl_close,
    NULL,          NULL,            NULL,             NULL,            NULL,
    NULL,          NULL,            NULL,             NULL};

/* Opens a device into `gpu`, which is zero before and closed by spki_cl_close. `sub`: it is a part
   of a device, and released with it even when this fails. */
SPKI_FN spk_result spki_cl_open(spki_gpu *gpu, spki_mem *mem, const spki_cl_calls *cl,
                                const spk_cl_desc *desc, const spki_cl_wish *wish,
                                spki_cl_handle device, bool sub)
{
    const spk_cl_device *found = &wish->found;
    const intptr_t property[3] = {SPKI_CL_CONTEXT_PLATFORM, (intptr_t)wish->platform, 0};
    spki_cl_device *d = (spki_cl_device *)spki_alloc(mem, 1, sizeof *d);
    int32_t code = 0;
    gpu->api = &spki_cl_api;
    gpu->mem = mem;
    gpu->handle = d;
    snprintf(gpu->name, sizeof gpu->name, "%s", found->name);
    if (!d) {
        if (sub) {
            (void)cl->clReleaseDevice(device);
        }
        snprintf(gpu->why, sizeof gpu->why, "no memory");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    d->cl = cl;
    d->device = device;
    d->sub = sub;
    d->time_limit_s = desc->time_limit_s;
    gpu->units = (uint32_t)spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    gpu->units = SPKI_MAX(gpu->units, 1u);
    gpu->memory = desc->memory_budget ? SPKI_MIN(desc->memory_budget, found->memory_bytes)
                                      : found->memory_bytes;
    gpu->largest = found->block_bytes;
    gpu->has_double = found->has_double;
    gpu->has_wide_atomics = spki_cl_extension(cl, device, "cl_khr_int64_base_atomics");
    const bool vectors = desc->style == SPK_CL_AUTO ? found->is_cpu : desc->style == SPK_CL_VECTORS;
    const bool local = desc->style == SPK_CL_AUTO
                           ? !vectors && spki_cl_number(cl, device, SPKI_CL_DEVICE_LOCAL_MEM_TYPE,
                                                        4) == SPKI_CL_LOCAL
                           : desc->style == SPK_CL_TILES;
    gpu->lanes = vectors ? 16 : 1;
    gpu->local_bytes = local ? spki_cl_number(cl, device, SPKI_CL_DEVICE_LOCAL_MEM_SIZE, 8) : 0;
    gpu->speed = (double)gpu->units;
    snprintf(d->identity, sizeof d->identity, "%s|%s|%s|%s|%s", found->platform, found->name,
             found->driver, SPKI_CL_OPTIONS, SPIKELIB_VERSION);
    spki_gpu_cache_dir(desc->cache_dir, d->cache, sizeof d->cache);
    d->context = cl->clCreateContext(property, 1, &device, NULL, NULL, &code);
    if (!d->context || code) {
        return spki_cl_check(gpu, "clCreateContext", code ? code : -6);
    }
    d->queue = cl->clCreateCommandQueue(d->context, device, 0, &code);
    return d->queue && !code ? SPK_OK
                             : spki_cl_check(gpu, "clCreateCommandQueue", code ? code : -6);
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>cl-backend: spk_cl_backend, the network's side of OpenCL ---- */

#define SPKI_CL_MOST_PARTS 64u

typedef struct spki_cl_backend {
    spki_gpu_net net; /* first: what the network sees */
    spk_cl_desc desc; /* with copies of what it points to */
    uint32_t *indices;
    char *device, *cache_dir;
    spki_cl_library library;
    bool opened;
    spk_result result; /* of opening, or of a bad descriptor */
    char why[600];
} spki_cl_backend;

/* -- opening -- */

/* A device, whole or cut into equal sub-devices, as parts from `at` on. */
SPKI_FN spk_result spki_cl_open_wish(spki_cl_backend *b, const spki_cl_wish *wish, uint32_t at)
{
    const spki_cl_calls *cl = &b->library.calls;
    const uint32_t want = b->desc.sub_devices;
    spki_cl_handle sub[SPKI_CL_MOST_PARTS];
    uint32_t made = 0;
    spk_result result = SPK_OK;
    if (want > 1) {
        const uint32_t units = wish->found.units / want;
        const intptr_t how[3] = {SPKI_CL_DEVICE_PARTITION_EQUALLY, (intptr_t)units, 0};
        const int32_t code =
            units ? cl->clCreateSubDevices(wish->device, how, SPKI_CL_MOST_PARTS, sub, &made) : -18;
        if (code || made < want) {
            for (uint32_t k = 0; !code && k < made; k++) {
                (void)cl->clReleaseDevice(sub[k]);
            }
            return spki_because(SPK_ERR_DEVICE, b->why, sizeof b->why,
                                "opencl \"%s\" cannot be cut into %u parts of %u units: %s (%d)",
                                wish->found.name, want, units, spki_cl_code(code), code);
        }
    }
    for (uint32_t k = 0; k < SPKI_MAX(want, 1u); k++) {
        spki_gpu *gpu = &b->net.part[at + k].gpu;
        if (result != SPK_OK) {
            (void)cl->clReleaseDevice(sub[k]);
            continue;
        }
        b->net.parts = at + k + 1;
        result = spki_cl_open(gpu, &b->net.mem, cl, &b->desc, wish,
                              want > 1 ? sub[k] : wish->device, want > 1);
        if (result != SPK_OK) {
            (void)spki_because(result, b->why, sizeof b->why, "opencl \"%s\": %.400s", gpu->name,
                               gpu->why);
        }
    }
    for (uint32_t k = want; want > 1 && k < made; k++) {
        (void)cl->clReleaseDevice(sub[k]);
    }
    return result;
}

SPKI_FN spk_result spki_cl_open_all(spki_cl_backend *b)
{
    const size_t devices = SPKI_MAX(b->desc.index_count, (size_t)1);
    const uint32_t each = SPKI_MAX(b->desc.sub_devices, 1u);
    if (each > SPKI_CL_MOST_PARTS || devices > SPKI_CL_MOST_PARTS / each) {
        return spki_because(SPK_ERR_RANGE, b->why, sizeof b->why,
                            "opencl: %llu devices of %u parts are more than 64",
                            (spki_llu)devices, each);
    }
    spk_result result = spki_cl_load(&b->desc, &b->library, b->why, sizeof b->why);
    if (result == SPK_OK) {
        b->net.part = (spki_gpu_part *)spki_alloc(&b->net.mem, devices * each,
                                                  sizeof *b->net.part);
        if (!b->net.part) {
            result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                  "opencl: no memory for %llu devices", (spki_llu)devices);
        }
    }
    for (size_t k = 0; k < devices && result == SPK_OK; k++) {
        spki_cl_wish wish;
        result = spki_cl_choose(&b->library.calls, &b->desc, k, &wish, b->why, sizeof b->why);
        if (result == SPK_OK) {
            result = spki_cl_open_wish(b, &wish, (uint32_t)k * each);
        }
    }
    return result;
}

SPKI_FN void spki_cl_open_once(spki_cl_backend *b)
{
    if (!b->opened && b->result == SPK_OK) {
        b->result = spki_cl_open_all(b);
    }
    b->opened = true;
}

/* -- what the network calls -- */

/* How many tiles a device wants: one for each unit where a group of items is to own a tile, up to
   four where more of them fit its local memory with arrivals of 64 steps; else one. */
SPKI_FN uint32_t spki_cl_tiles_of(const spki_gpu *gpu, const spk_net *net)
{
    uint64_t slots = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        slots += (uint64_t)net->population[p].lanes * SPKI_MAX(net->population[p].receptors, 1u);
    }
    const uint64_t bytes = slots * 64 * (net->desc.weight_bits == 32 ? 8 : 4);
    for (uint32_t tiles = gpu->units; gpu->local_bytes && tiles <= 4 * gpu->units;
         tiles += gpu->units) {
        if (bytes / tiles <= gpu->local_bytes) {
            return tiles;
        }
    }
    return gpu->lanes > 1 ? gpu->units : 1;
}

/* Devices that share want some tiles to share. */
SPKI_FN uint32_t spki_cl_tiles(const spk_backend *backend, const spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)(uintptr_t)backend;
    uint32_t tiles = 0;
    spki_cl_open_once(b);
    if (b->desc.tiles) {
        return b->desc.tiles;
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        tiles += spki_cl_tiles_of(&b->net.part[k].gpu, net);
    }
    return SPKI_MAX(tiles * (b->net.parts > 1 ? 4 : 1), 1u);
}

SPKI_FN spk_result spki_cl_construct(spk_backend *backend, spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)backend;
    spki_cl_open_once(b);
    return b->result == SPK_OK ? spki_gpu_construct(net, &b->net, b->desc.construction)
                               : SPK_OK; /* entering says why */
}

SPKI_FN spk_result spki_cl_enter(spk_backend *backend, spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)backend;
    spki_cl_open_once(b);
    if (b->result != SPK_OK) {
        return spki_fail(net, b->result, "%s", b->why);
    }
    return spki_gpu_enter(net, &b->net);
}

SPKI_FN void spki_cl_leave(spk_backend *backend, spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)backend;
    const size_t parts = SPKI_MAX(b->desc.index_count, (size_t)1) *
                         SPKI_MAX(b->desc.sub_devices, 1u);
    spki_mem mem = b->net.mem;
    if (net) {
        spki_gpu_leave(net, &b->net);
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        spki_cl_close(&b->net.part[k].gpu);
    }
    spki_free(&mem, b->net.part, parts, sizeof *b->net.part);
    spki_free(&mem, b->indices, b->desc.index_count, sizeof *b->indices);
    spki_free_string(&mem, b->device);
    spki_free_string(&mem, b->cache_dir);
    spki_free(&mem, b, 1, sizeof *b);
}

/* Where there is no memory for a backend. */
static const struct spk_backend spki_cl_none = SPKI_GPU_NONE("opencl");

SPKI_FN spk_backend *spki_cl_constant(const struct spk_backend *backend)
{
    return (spk_backend *)(uintptr_t)backend;
}

/* Copies what the descriptor points to. */
SPKI_FN bool spki_cl_copy(spki_cl_backend *b)
{
    spki_mem *mem = &b->net.mem;
    bool ok = true;
    if (b->desc.device) {
        ok = (b->device = spki_copy_string(mem, b->desc.device)) != NULL && ok;
    }
    if (b->desc.cache_dir) {
        ok = (b->cache_dir = spki_copy_string(mem, b->desc.cache_dir)) != NULL && ok;
    }
    if (b->desc.index_count) {
        b->indices = (uint32_t *)spki_alloc(mem, b->desc.index_count, sizeof *b->indices);
        ok = ok && b->indices;
        if (b->indices) {
            memcpy(b->indices, b->desc.indices, b->desc.index_count * sizeof *b->indices);
        }
    }
    b->desc.device = b->device;
    b->desc.cache_dir = b->cache_dir;
    b->desc.indices = b->indices;
    return ok;
}

SPIKELIB_API spk_backend *spk_cl_backend(const spk_cl_desc *desc)
{
    spk_cl_desc d;
    spki_mem mem;
    memset(&d, 0, sizeof d);
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    if (desc && !garbage) {
        d = *desc;
    }
    const bool bad = (d.index_count && !d.indices) || (int)d.style < 0 ||
                     d.style > SPK_CL_TILES || !(d.time_limit_s >= 0.0) ||
                     d.index_count > SPKI_CL_MOST_PARTS || d.sub_devices > SPKI_CL_MOST_PARTS ||
                     d.tiles > 65536u || (int)d.construction < 0 ||
                     d.construction > SPK_CONSTRUCTION_DEVICE;
    if (bad) {
        d.index_count = d.sub_devices = 0;
        d.indices = NULL;
    }
    spki_mem_init(&mem, &d.allocator, 0);
    spki_cl_backend *b = (spki_cl_backend *)spki_alloc(&mem, 1, sizeof *b);
    if (!b) {
        return spki_cl_constant(&spki_cl_none);
    }
    b->net.mem = mem;
    b->desc = d;
    b->net.base.name = "opencl";
    b->net.base.or_cpu = d.or_cpu;
    b->net.base.tiles = spki_cl_tiles;
    b->net.base.construct = spki_cl_construct;
    b->net.base.build = spki_cl_enter;
    b->net.base.run = spki_gpu_run_steps;
    b->net.base.pull = spki_gpu_pull;
    b->net.base.describe = spki_gpu_describe;
    b->net.base.destroy = spki_cl_leave;
    if (garbage) {
        b->result = spki_because(SPK_ERR_UNINITIALISED, b->why, sizeof b->why,
                                 "opencl: the descriptor's sentinels are not 0: start it with "
                                 "= {0}");
    } else if (bad) {
        b->result = spki_because(SPK_ERR_RANGE, b->why, sizeof b->why,
                                 "opencl: indices is NULL, or a field of the descriptor is out of "
                                 "range (style %d, time_limit_s %g, %u tiles)",
                                 (int)d.style, d.time_limit_s, d.tiles);
    } else if (!spki_cl_copy(b)) {
        b->result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                 "opencl: no memory for a descriptor's copies");
    }
    return &b->net.base;
}

SPIKELIB_API spk_backend *spk_cl_backend_auto(void)
{
    spk_cl_desc d;
    memset(&d, 0, sizeof d);
    d.or_cpu = true;
    return spk_cl_backend(&d);
}

#undef SPKI_CL_CALL
#undef SPKI_CL_DEVICES
#undef SPKI_CL_FIND_HERE
#undef SPKI_CL_FUNCTIONS
#undef SPKI_CL_LABEL
#undef SPKI_CL_MOST_PARTS
#undef SPKI_CL_OPTIONS
#undef SPKI_CL_PLATFORMS
#undef SPKI_CL_TYPE_ALL
#undef SPKI_GPU_NONE
#undef SPKI_GPU_PATH
#undef SPKI_GPU_SCAN_ITEMS
#ifndef SPIKELIB_MODELS
#undef SPKI_FN
#undef SPKI_MAX
#undef SPKI_MIN
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
#if defined(__NVCC__)
#pragma nv_diagnostic pop
#endif

#endif
#endif
