/* ---- >>gpu-net: a network goes to its devices, moves between them, and leaves them ---- */
#ifndef SPIKELIB_GPU_HOST_NET_H
#define SPIKELIB_GPU_HOST_NET_H

#include "replay.h"
#include "selftest.h"
#include "deal.h"

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

#endif
