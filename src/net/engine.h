/* ---- >>engine: the step loop ----
   Threads own tiles. A slice is as many steps as the shortest delay allows: within it no tile needs
   what another does. Each thread, for each step of a slice and each of its tiles,

       delivers the buckets that arrive now        (>>deliver)
       updates the neurons and notes their spikes  (>>update)

   then all meet, and each files everybody's spikes for its own tiles while the caller's thread
   hands them to the recorders (>>record). One barrier a slice. */
#ifndef SPIKELIB_NET_ENGINE_H
#define SPIKELIB_NET_ENGINE_H

#include "ahead.h"
#include "assemble.h"

/* All steps of a slice for the tiles of thread k. */
SPKI_FN void spki_step_tiles(spk_net *net, uint32_t k, const spki_slice *slice)
{
    spki_scratch *scratch = &net->scratch[k];
    const uint32_t end = spki_first_tile(net, k + 1);
    for (uint32_t t = spki_first_tile(net, k); t < end; t++) {
        spki_tile *tile = &net->tile[t];
        uint32_t *at = tile->spike_start[slice->parity];
        at[0] = 0;
        for (uint32_t s = 0; s < slice->steps; s++) {
            const double t0 = spki_profile_clock(net);
            spki_deliver_step(net, tile, slice->first + s);
            const double t1 = spki_profile_clock(net);
            at[s + 1] = at[s] + spki_update_tile(net, tile, scratch, slice->first + s,
                                                 tile->spike[slice->parity] + at[s]);
            spki_sample_tile(net, tile, slice, slice->first + s);
            scratch->deliver_s += t1 - t0;
            scratch->update_s += spki_profile_clock(net) - t1; /* input_s is taken out of it */
        }
    }
}

SPKI_FN void spki_file_tiles(spk_net *net, uint32_t k, const spki_slice *slice)
{
    const double t0 = spki_profile_clock(net);
    const uint32_t end = spki_first_tile(net, k + 1);
    uint32_t spikes = 0;
    for (uint32_t t = 0; t < net->tiles; t++) {
        spikes |= net->tile[t].spike_start[slice->parity][slice->steps];
    }
    for (uint32_t t = spki_first_tile(net, k); spikes && t < end; t++) {
        spki_file_slice(net, &net->tile[t], slice);
    }
    net->scratch[k].file_s += spki_profile_clock(net) - t0;
}

SPKI_FN void spki_begin_slice(const spk_net *net, spki_slice *slice)
{
    slice->steps = (uint32_t)SPKI_MIN(net->run_end - slice->first, (uint64_t)net->slice_max);
}

/* The caller's thread: notes that a slice is done and hands it to the recorders. */
SPKI_FN void spki_end_slice(spk_net *net, const spki_slice *slice)
{
    const double t0 = spki_profile_clock(net);
    net->pending[slice->parity] = *slice;
    spki_sample_weights(net, slice->parity);
    net->step = slice->first + slice->steps;
    if (net->stop_result == SPK_OK) {
        net->stop_result = spki_record_slice(net, slice->parity);
    }
    net->scratch[0].record_s += spki_profile_clock(net) - t0;
}

SPKI_FN void spki_next_slice(spki_slice *slice)
{
    slice->first += slice->steps;
    slice->parity ^= 1;
}

/* Our own threads: each walks through the whole run. A recorder that refuses sets `stop` before the
   next barrier, so that all see the same and leave together, one slice later. */
SPKI_FN void spki_run_task(void *arg, uint32_t k)
{
    spk_net *net = (spk_net *)arg;
    spki_slice slice = net->slice;
    bool stop = false;
    while (slice.first < net->run_end && !stop) {
        spki_begin_slice(net, &slice);
        spki_step_tiles(net, k, &slice);
        if (k == 0) {
            net->stop[slice.parity] = net->stop_result != SPK_OK;
        }
        spki_meet(net, k, &slice);
        stop = net->stop[slice.parity];
        spki_file_tiles(net, k, &slice);
        if (k == 0) {
            spki_end_slice(net, &slice);
        }
        spki_next_slice(&slice);
    }
    if (k == 0) {
        net->next_slice = slice;
    }
}

SPKI_FN void spki_step_task(void *arg, uint32_t k)
{
    spk_net *net = (spk_net *)arg;
    spki_step_tiles(net, k, &net->slice);
}

SPKI_FN void spki_file_task(void *arg, uint32_t k)
{
    spk_net *net = (spk_net *)arg;
    spki_file_tiles(net, k, &net->slice);
}

/* The host's executor may run the parts of a loop one after the other: two loops a slice. */
SPKI_FN void spki_run_loops(spk_net *net)
{
    while (net->slice.first < net->run_end && net->stop_result == SPK_OK) {
        spki_begin_slice(net, &net->slice);
        spki_parallel(net, spki_step_task, net);
        spki_parallel(net, spki_file_task, net);
        spki_end_slice(net, &net->slice);
        spki_next_slice(&net->slice);
    }
    net->next_slice = net->slice;
}

/* A device runs it, and where the device fails (and may), the CPU. */
SPKI_FN void spki_run_anywhere(spk_net *net)
{
    if (net->backend) {
        const spk_result result = net->backend->run(net->backend, net);
        if (result == SPK_OK) {
            return;
        }
        const bool or_cpu = net->backend->or_cpu;
        spki_take_over(net);
        spki_drop_backend(net);
        if (!or_cpu) {
            net->stop_result = result;
            net->next_slice = net->slice;
            return;
        }
    }
    const spk_result here = spki_fetch_rows(net);
    if (here != SPK_OK) {
        net->stop_result = here;
        net->next_slice = net->slice;
    } else if (net->pool) {
        spki_pool_run(net->pool, spki_run_task, net);
    } else {
        spki_run_loops(net);
    }
}

/* Slices that an earlier run could not hand over, the older first. */
SPKI_FN spk_result spki_record_pending(spk_net *net)
{
    const uint32_t older = net->pending[0].first <= net->pending[1].first ? 0 : 1;
    spk_result result = spki_record_slice(net, older);
    if (result == SPK_OK) {
        result = spki_record_slice(net, older ^ 1);
    }
    return result;
}

/* Writes what all files still lack, whichever of them fail. */
SPKI_FN spk_result spki_flush_files(spk_net *net)
{
    spk_result result = SPK_OK;
    for (uint32_t r = 0; r < net->recorders; r++) {
        if (spki_rec_flush(net->recorder[r]) != SPK_OK) {
            result = spki_fail(net, SPK_ERR_IO, "record: \"%s\" cannot be written: %s",
                               net->recorder[r]->path, strerror(errno));
        }
    }
    return result;
}

/* From one look at shadows to the next; mostly there are none, and it is one leg. */
SPKI_FN void spki_run_legs(spk_net *net, uint64_t end)
{
    net->stop_result = spki_compare_shadows(net); /* a run may have stopped just before it */
    while (net->stop_result == SPK_OK && net->step < end) {
        const uint64_t before = net->step;
        net->run_end = spki_leg_end(net, end);
        net->stop[0] = net->stop[1] = false;
        spki_wake_pieces(net);
        spki_run_anywhere(net);
        net->slice = net->next_slice;
        for (uint32_t p = 0; p < net->populations && net->step != before; p++) {
            net->population[p].has_amount = net->population[p].has_forced = false;
        }
        if (net->stop_result == SPK_OK) {
            net->stop_result = spki_compare_shadows(net);
        }
    }
}

SPIKELIB_API spk_result spk_net_run_steps(spk_net *net, uint64_t steps)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spk_net_build(net);
    if (result != SPK_OK) {
        return result;
    }
    if (steps > SPKI_MAX_STEPS - net->step) {
        return spki_fail(net, SPK_ERR_RANGE, "run: %llu steps are too many", (spki_llu)steps);
    }
    result = spki_may_change(net, "run");
    if (result != SPK_OK) {
        return result;
    }
    const double start = spk_clock_seconds();
    net->running = true;
    net->stop_result = spki_record_pending(net);
    if (net->stop_result == SPK_OK && steps) {
        spki_run_legs(net, net->step + steps);
    }
    result = net->stop_result == SPK_OK ? spki_flush_files(net) : net->stop_result;
    net->running = false;
    net->run_s += spk_clock_seconds() - start;
    return result;
}

SPIKELIB_API spk_result spk_net_run(spk_net *net, double duration_ms)
{
    if (!net) {
        return SPK_ERR_NULL;
    }
    if (!(duration_ms >= 0.0) || !(duration_ms / net->desc.dt_ms < 9e15)) {
        return spki_decline(net, SPK_ERR_RANGE, "run: %g ms is no duration", duration_ms);
    }
    const double wanted = duration_ms + net->carry_ms;
    const double steps = wanted > 0.0 ? wanted / net->desc.dt_ms + 0.5 : 0.0;
    const spk_result result = spk_net_run_steps(net, (uint64_t)steps);
    if (result == SPK_OK) { /* what rounding left out or added is made up for by the next run */
        net->carry_ms = wanted - (double)(uint64_t)steps * net->desc.dt_ms;
    }
    return result;
}

SPIKELIB_API uint64_t spk_net_step(const spk_net *net)
{
    return net ? net->step : 0;
}

SPIKELIB_API double spk_net_time_ms(const spk_net *net)
{
    return net ? (double)net->step * net->desc.dt_ms : 0.0;
}

#endif
