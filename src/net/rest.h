/* ---- >>rest: neurons at rest are left alone ---- */
#ifndef SPIKELIB_NET_REST_H
#define SPIKELIB_NET_REST_H

#include "shadow.h"

/* A step is a function of states, parameters and inputs. Where it left all states of a piece as
   they were, to the bit, and nothing arrived, the next one would do the same: the piece rests until
   something arrives or a time comes that is known beforehand. Whether it does is looked at in some
   steps only, ever fewer of them, and anew in each run, since the host may change anything between
   two. */
#define SPKI_LOOK_FIRST 8u
#define SPKI_LOOK_LAST 256u

SPKI_FN void spki_wake_pieces(spk_net *net)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        for (uint32_t p = 0; p < net->tile[t].pieces; p++) {
            spki_piece *piece = &net->tile[t].piece[p];
            piece->rest_until = 0;
            piece->look_at = net->step + 1; /* what the host injected is over then */
            piece->look_wait = SPKI_LOOK_FIRST;
            piece->blank = 0;
        }
        net->tile[t].ahead_lane = 0;
    }
}

/* The step in which anything but synapses may change what a piece's neurons do, as seen at the end
   of `step`; 0: each step. */
SPKI_FN uint64_t spki_rest_end(const spk_net *net, const spki_piece *piece, uint64_t step)
{
    const spki_population *pop = &net->population[piece->population];
    uint64_t end = UINT64_MAX;
    if (net->desc.precision == SPK_FLOAT16) {
        return 0; /* rounds at random */
    }
    for (uint32_t k = 0; k < pop->model->input_count; k++) {
        if ((int)(pop->model->input[k].value + 0.5) == SPK_RANDOM) {
            return 0;
        }
    }
    for (uint32_t k = 0; k < pop->parts; k++) {
        const spki_drive *drive = &net->drive[net->part[pop->part + k].drive];
        if (step + 1 < drive->start) {
            end = SPKI_MIN(end, drive->start);
        } else if (step + 1 < drive->stop) {
            if (drive->kind == SPKI_DRIVE_POISSON || drive->noise_sd > 0.0 ||
                step < drive->start) {
                return 0;
            }
            end = SPKI_MIN(end, drive->stop);
        } else if (step < drive->stop) {
            return 0; /* its last step */
        }
    }
    for (size_t k = piece->list_cursor; k < pop->list.count; k++) {
        if (pop->list.step[k] > step + 1) {
            return SPKI_MIN(end, pop->list.step[k] - 1);
        }
    }
    return end;
}

/* Whether an accumulator of the piece is not zero. */
SPKI_FN bool spki_piece_touched(const spk_net *net, const spki_tile *tile, const spki_piece *piece)
{
    const size_t bytes = net->accumulator_bits / 8;
    const size_t size = ((size_t)piece->count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP * bytes;
    for (uint32_t r = 0; tile->arrived && r < net->population[piece->population].receptors; r++) {
        const char *acc =
            (const char *)tile->acc + ((size_t)r * tile->lanes + piece->lane) * bytes;
        uint64_t first;
        memcpy(&first, acc, sizeof first);
        if (first || memcmp(acc, acc + sizeof first, size - sizeof first) != 0) {
            return true;
        }
    }
    return false;
}

/* Notes that a piece had no spikes in this step. Rows of the history that are zero stay so. */
SPKI_FN void spki_rest(const spk_net *net, spki_piece *piece, uint64_t *spikes)
{
    if (piece->blank < net->ring) {
        memset(spikes, 0, ((size_t)piece->count + SPKI_GROUP - 1) / SPKI_GROUP * sizeof *spikes);
        piece->blank++;
    }
}

/* After a step in which it was looked at: `still` if no state changed and nobody spiked. */
SPKI_FN void spki_looked(const spk_net *net, spki_piece *piece, uint64_t step, bool still)
{
    piece->rest_until = still ? spki_rest_end(net, piece, step) : 0;
    piece->look_at = step + piece->look_wait;
    piece->look_wait = SPKI_MIN(2 * piece->look_wait, SPKI_LOOK_LAST);
}

#endif
