/* ---- >>network: what a network is made of, and its errors ---- */
#ifndef SPIKELIB_NET_NET_H
#define SPIKELIB_NET_NET_H

#include "../api/net.h"
#include "../core/alloc.h"
#include "../core/cpu.h"
#include "../core/digest.h"
#include "../core/fenv.h"
#include "../core/pool.h"
#include "../models/table.h"
#include "lanes.h"
#include "projections.h"
#include "value.h"

#include <stdarg.h>

/* Limits that keep every index in its type. */
#define SPKI_MAX_NEURONS 0xfffffff0u
#define SPKI_MAX_POPULATIONS 65536u        /* 16 bits of a random number's address */
#define SPKI_MAX_STEPS ((uint64_t)1 << 48) /* and 48 */
#define SPKI_MAX_DELAY 4095u
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
    uint32_t *shadow;     /* >>shadow: a slot for each of so many groups */
    uint32_t shadows;
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
    uint32_t ahead; /* >>ahead: its place among those of its population; SPKI_NOT_AHEAD: none */
    bool magnitude;
} spki_drive_part;
#define SPKI_NOT_AHEAD UINT32_MAX

/* The neurons of one population that a tile owns. */
typedef struct spki_piece {
    uint32_t population, first, count; /* neurons of the population, first % 64 == 0 */
    uint32_t lane;                     /* in the tile */
    size_t list_cursor;                /* next of the population's spike list */
    uint64_t rest_until, look_at;      /* steps: >>rest */
    uint32_t look_wait;
    uint32_t blank; /* rows of the history without its spikes, the latest ones */
} spki_piece;

#define SPKI_MOST_WORDS 0x7fffffffu /* of a tile's rows */
#define SPKI_IS_MASK 0x80000000u
/* Where a bucket is in the tile's words, with SPKI_IS_MASK; its synapses, and from bit 16 on the
   weight they share, 0 where each has its own. */
typedef struct spki_bucket {
    uint32_t at, count;
} spki_bucket;

#define SPKI_CHUNK_ITEMS 15u
/* Buckets that arrive together, by reference. */
typedef struct spki_chunk {
    uint32_t next, count;
    spki_bucket item[SPKI_CHUNK_ITEMS];
} spki_chunk;

#define SPKI_BATCH_WORDS 496u
#define SPKI_COPIED 16u /* words copied at a time, whatever the bucket holds */
/* Synapses that arrive together, copied. */
typedef struct spki_batch {
    uint32_t next, used; /* words */
    uint32_t word[SPKI_BATCH_WORDS + SPKI_COPIED];
} spki_batch;

/* What arrives in one step. */
typedef struct spki_arrivals {
    uint32_t *to, *end; /* room left in the last batch */
    uint32_t first_batch, last_batch, first_chunk, last_chunk;
} spki_arrivals;

/* A set of targets with all their synapses: owned by one thread, so nothing here is shared.
   `words` holds a row a source (>>row). A slot is receptor * lanes + lane. */
typedef struct spki_tile {
    spki_piece *piece;
    uint32_t pieces, lanes, receptors;
    uint32_t first_id, end_id;
    void *acc; /* lanes * receptors, int32 or int64 */
    uint32_t *words;
    size_t words_used, words_capacity, device_words; /* the last: as a device has them */
    uint32_t flat; /* where a device has rows without buckets: bits of a slot in them; else 0 */
    uint32_t *row; /* by neuron id: start in `words`; 0: no synapses here */
    uint32_t *indegree;
    uint64_t synapses, narrow, masked, buckets; /* synapses in narrow rows; in masks of these */
    uint32_t min_delay, max_delay;
    uint32_t count_bytes;    /* >>row */
    spki_arrivals *arrivals; /* ring of arrival steps */
    spki_batch *batch;
    uint32_t batches, free_batch;
    spki_chunk *chunk;
    uint32_t chunks, free_chunk, chunks_free;
    uint8_t *deferred; /* ring of spike steps: their spikes are found again in the history */
    uint32_t deferred_count;
    bool arrived;        /* anything, in the step at hand */
    char *ahead;         /* >>ahead: Poisson input that is drawn already, of `ahead_step` */
    uint64_t ahead_step; /* and of the lanes below `ahead_lane` */
    uint32_t ahead_lane;
    uint64_t events, spikes, synced_events, synced_spikes;
    uint8_t pad0[64];   /* all above is its thread's alone, what follows is read by everybody */
    uint32_t *spike[2]; /* ids, by parity of the slice */
    uint32_t spike_start[2][SPKI_MAX_SLICE + 1];
    uint8_t pad1[64]; /* the next tile may be another thread's */
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
    char *before;     /* states of a block */
    char *zero;       /* 64 bytes */
    double file_s, deliver_s, input_s, update_s, record_s, wait_s;
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
    uint32_t aheads; /* most Poisson drives of a population that can be drawn ahead; 0: none is */
    spk_rec *recorder;
    uint32_t recorders, recorder_capacity;
    spki_tile *tile;
    uint32_t tiles;
    bool elsewhere; /* only a device has the rows: drawn here when they are wanted (>>build) */
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
    spk_backend *backend; /* NULL: the CPU */
    spk_result failed;    /* with what it was dropped while the network was built */
    uint32_t changed;     /* SPKI_CHANGED_ bits: what a backend has not seen yet */
    uint32_t batch_max;   /* steps for which tiles have room to note spikes */
    uint64_t synced_step; /* with a backend: where the host's states and history stand */
    uint64_t window, window_begin, window_end; /* >>shadow: steps; window 0: none */
    uint64_t windows, widened_step;
    double shadow_rate, shadow_v; /* largest distances so far */
    bool profile;
    double build_s, construct_s, run_s, carry_ms;
    void *retina; /* what >>inject keeps, and how to free it; NULL: nothing */
    void (*retina_free)(spk_net *net);
};

/* The largest number that so many bits of a weight hold. */
SPKI_INLINE int32_t spki_most_weight(uint32_t bits)
{
    return bits == 8 ? 127 : bits == 16 ? 32767 : 2147483647;
}

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

#endif
