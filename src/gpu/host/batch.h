/* ---- >>gpu-batch: whole batches in one launch, where groups of items can meet ----
   What a launch for each slice costs is more than most slices do. So the groups of items stay, and
   meet after each slice (>>kernel-batch). Where a tile's accumulators fit into the shared memory of
   one group, and the tiles are no more than the groups that can run at once, each group has a tile
   of its own, with its states there too where these fit; else all deliver to all. A slice in which
   the host tells spikes is launched as ever, and so is everything when a network is profiled. */
#ifndef SPIKELIB_GPU_HOST_BATCH_H
#define SPIKELIB_GPU_HOST_BATCH_H

#include "state.h"

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

#endif
