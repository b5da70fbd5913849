/* ---- >>gpu-state: moving states, parameters, weights and what the host injects ---- */
#ifndef SPIKELIB_GPU_HOST_STATE_H
#define SPIKELIB_GPU_HOST_STATE_H

#include "origin.h"

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

#endif
