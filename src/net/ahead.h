/* ---- >>ahead: Poisson input of the next step, drawn while the other threads are awaited ----
   A random number is addressed by step and neuron: it is the same whenever it is drawn. A thread
   that comes early to the barrier draws what its neurons will get in the first step behind it,
   block by block, until the barrier opens; the rest is drawn when it is needed. */
#ifndef SPIKELIB_NET_AHEAD_H
#define SPIKELIB_NET_AHEAD_H

#include "build.h"
#include "update.h"

/* Gives drives that can be drawn ahead their places, and tiles the room. Only threads that wait for
   each other need it: a host's executor has none. */
SPKI_FN spk_result spki_make_ahead(spk_net *net)
{
    for (uint32_t p = 0; net->pool && p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        uint32_t n = 0;
        for (uint32_t k = 0; k < pop->parts; k++) {
            spki_drive_part *part = &net->part[pop->part + k];
            if (spki_is_plain(&net->drive[part->drive]) && part->count == pop->count) {
                part->ahead = n++;
            }
        }
        net->aheads = SPKI_MAX(net->aheads, n);
    }
    for (uint32_t t = 0; net->aheads && t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        tile->ahead =
            (char *)spki_alloc_raw(&net->mem, (size_t)net->aheads * tile->lanes, net->real_size);
        if (!tile->ahead) {
            return spki_no_memory(net, "inputs drawn ahead");
        }
    }
    return SPK_OK;
}

/* The next block of a tile. */
SPKI_FN void spki_draw_block_ahead(spk_net *net, spki_tile *tile)
{
    uint32_t p = tile->pieces - 1;
    while (tile->piece[p].lane > tile->ahead_lane) {
        p--;
    }
    const spki_piece *piece = &tile->piece[p];
    spki_block b = spki_piece_block(net, tile, piece, tile->ahead_step);
    spki_block_move(&b, piece, tile->ahead_lane - piece->lane);
    for (uint32_t k = 0; k < b.pop->parts; k++) {
        const spki_drive_part *part = &net->part[b.pop->part + k];
        if (part->ahead != SPKI_NOT_AHEAD && spki_is_on(&net->drive[part->drive], b.step)) {
            spki_draw_poisson(&b, part, spki_ahead_at(&b, part), false);
        }
    }
    tile->ahead_lane += b.lanes;
}

typedef struct spki_early {
    spk_net *net;
    uint32_t thread;
    uint64_t step; /* the first one behind the barrier */
} spki_early;

/* A block's worth of work; false: nothing is left to do. */
SPKI_FN bool spki_draw_ahead(void *arg)
{
    const spki_early *early = (const spki_early *)arg;
    spk_net *net = early->net;
    const uint32_t end = spki_first_tile(net, early->thread + 1);
    if (!net->aheads || early->step >= net->run_end) {
        return false;
    }
    for (uint32_t t = spki_first_tile(net, early->thread); t < end; t++) {
        spki_tile *tile = &net->tile[t];
        if (tile->ahead_step != early->step) {
            tile->ahead_step = early->step;
            tile->ahead_lane = 0;
        }
        if (tile->ahead_lane < tile->lanes) {
            const double t0 = spki_profile_clock(net);
            spki_draw_block_ahead(net, tile);
            net->scratch[early->thread].input_s += spki_profile_clock(net) - t0;
            return true;
        }
    }
    return false;
}

/* Meets the other threads at the end of a slice. */
SPKI_FN void spki_meet(spk_net *net, uint32_t thread, const spki_slice *slice)
{
    spki_scratch *s = &net->scratch[thread];
    const double t0 = spki_profile_clock(net), before = s->input_s;
    spki_early early = {net, thread, slice->first + slice->steps};
    spki_barrier_wait_busy(&net->barrier, spki_draw_ahead, &early);
    s->wait_s += spki_profile_clock(net) - t0 - (s->input_s - before);
}

#endif
