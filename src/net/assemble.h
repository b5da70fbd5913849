/* ---- >>assemble: building a network, and what stepping needs, allocated once ---- */
#ifndef SPIKELIB_NET_ASSEMBLE_H
#define SPIKELIB_NET_ASSEMBLE_H

#include "ahead.h"
#include "build.h"
#include "deliver.h"
#include "record.h"
#include "shadow.h"

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
        spki_free(mem, s->before, (size_t)x->states * SPKI_UPDATE_BLOCK, net->real_size);
        spki_free(mem, s->words, SPKI_UPDATE_BLOCK, sizeof *s->words);
        spki_free(mem, s->random, (size_t)(x->states + 1) / 2 * SPKI_UPDATE_BLOCK,
                  sizeof *s->random);
        spki_free(mem, s->zero, SPKI_GROUP, sizeof(double));
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
        s->before =
            (char *)spki_alloc(mem, (size_t)x->states * SPKI_UPDATE_BLOCK, net->real_size);
        s->words = (uint32_t *)spki_alloc(mem, SPKI_UPDATE_BLOCK, sizeof *s->words);
        s->random = (uint32_t *)spki_alloc(mem, (size_t)(x->states + 1) / 2 * SPKI_UPDATE_BLOCK,
                                           sizeof *s->random);
        s->zero = (char *)spki_alloc(mem, SPKI_GROUP, sizeof(double));
        if (!s->param || !s->param_mask || !s->state || !s->input || !s->input_mask || !s->buffer ||
            !s->words || !s->random || !s->zero || !s->before) {
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
    spki_free(mem, tile->ahead, (size_t)net->aheads * tile->lanes, net->real_size);
    spki_free(mem, tile->words, tile->words_capacity, sizeof *tile->words);
    spki_free(mem, tile->row, net->neurons, sizeof *tile->row);
    spki_queue_free(net, tile);
    spki_free(mem, tile->spike[0], (size_t)tile->lanes * net->batch_max, sizeof(uint32_t));
    spki_free(mem, tile->spike[1], (size_t)tile->lanes * net->batch_max, sizeof(uint32_t));
    spki_free(mem, tile->indegree, slots, sizeof(uint32_t));
    spki_free(mem, tile->piece, net->populations, sizeof *tile->piece);
}

/* Gives back what the estimate of the words was too large by, where that is worth a copy. */
SPKI_FN void spki_trim_words(spk_net *net, spki_tile *tile)
{
    if (tile->words_capacity > tile->words_used + tile->words_used / 16 + 4096 &&
        tile->words_used < (size_t)16 << 20) {
        (void)spki_grow_words(net, tile, tile->words_used + SPKI_COPIED);
    }
}

/* A thread empties what its tiles will run with, and is the first to write to it. */
SPKI_FN void spki_place_task(void *arg, uint32_t k)
{
    spk_net *net = (spk_net *)arg;
    const uint32_t end = spki_first_tile(net, k + 1);
    for (uint32_t t = spki_first_tile(net, k); t < end; t++) {
        spki_tile *tile = &net->tile[t];
        const size_t slots = (size_t)tile->lanes * SPKI_MAX(tile->receptors, 1u);
        memset(tile->acc, 0, spki_block_size(slots, net->accumulator_bits / 8));
        memset(tile->deferred, 0, net->ring);
        spki_queue_clear(net, tile);
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
    net->batch_max = net->slice_max;
    for (uint32_t more = SPKI_MAX_SLICE; net->backend && more > net->batch_max; more /= 2) {
        if ((uint64_t)more * net->lanes <= (uint64_t)1 << 22) {
            net->batch_max = more; /* a device hands over many slices at a time */
        }
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
        tile->acc = spki_alloc_raw(mem, slots, net->accumulator_bits / 8);
        tile->spike[0] =
            (uint32_t *)spki_alloc_raw(mem, (size_t)tile->lanes * net->batch_max, sizeof(uint32_t));
        tile->spike[1] =
            (uint32_t *)spki_alloc_raw(mem, (size_t)tile->lanes * net->batch_max, sizeof(uint32_t));
        if (!tile->acc || !tile->spike[0] || !tile->spike[1]) {
            return spki_no_memory(net, "accumulators");
        }
        const spk_result result = spki_queue_create(net, tile);
        if (result != SPK_OK) {
            return result;
        }
    }
    spki_parallel(net, spki_place_task, net);
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
        result = spki_make_shadows(net);
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
        result = spki_make_ahead(net);
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
    spk_result result = spki_build_all(net);
    net->built = result == SPK_OK;
    if (net->built && net->backend) {
        result = spki_start_backend(net);
    }
    if (net->built && result == SPK_OK) {
        result = net->failed;
    }
    net->build_s = spk_clock_seconds() - start;
    return result;
}

SPIKELIB_API void spk_net_destroy(spk_net *net)
{
    if (!net || net->running) { /* a callback may not pull the floor from under its own network */
        return;
    }
    if (net->backend) {
        net->backend->destroy(net->backend, net);
    }
    spki_pool_destroy(&net->mem, net->pool);
    if (net->retina) {
        net->retina_free(net);
    }
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

#endif
