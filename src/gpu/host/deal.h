/* ---- >>gpu-deal: which device gets which tiles ---- */
#ifndef SPIKELIB_GPU_HOST_DEAL_H
#define SPIKELIB_GPU_HOST_DEAL_H

#include "state.h"

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

#endif
