/* ---- >>gpu-layout: a built network as the buffers of one device ---- */
#ifndef SPIKELIB_GPU_HOST_LAYOUT_H
#define SPIKELIB_GPU_HOST_LAYOUT_H

#include "pack.h"

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

#endif
