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
#ifndef SPIKELIB_GPU_HOST_DEVICE_H
#define SPIKELIB_GPU_HOST_DEVICE_H

#include "../../net/engine.h"

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

#endif
