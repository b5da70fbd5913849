/* ---- >>gpu-replay: the slices of a batch, launched one by one, recorded, or replayed ----
   Between two steps that are sampled, or in which the host tells spikes, a batch is a run of
   slices. Where a device replays (>>gpu-origin), there is one recording for each length of such a
   run, made when the length comes a second time: ends of runs may never come again, and by then
   the driver has loaded every kernel. A slice that injected input acts in is launched as ever, as
   all are while a network is profiled or split over devices. */
#ifndef SPIKELIB_GPU_HOST_REPLAY_H
#define SPIKELIB_GPU_HOST_REPLAY_H

#include "run.h"

/* Some slices, which nothing interrupts, from `first` on. */
SPKI_FN spk_result spki_gpu_slices(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                   uint32_t steps, uint32_t at)
{
    spk_result result = SPK_OK;
    for (uint32_t done = 0; done < steps && result == SPK_OK; done += net->slice_max) {
        const uint32_t some = SPKI_MIN(net->slice_max, steps - done);
        result = spki_gpu_slice(net, g, parity, first + done, some, at + done, false);
    }
    return result;
}

SPKI_FN spk_result spki_gpu_record(spk_net *net, spki_gpu_net *g, uint32_t steps)
{
    spki_gpu_part *part = g->part;
    spki_gpu *gpu = &part->gpu;
    spk_result result = gpu->api->record(gpu);
    if (result != SPK_OK) {
        return spki_gpu_failed(net, gpu, result);
    }
    part->recording_now = true;
    result = spki_gpu_slices(net, g, 0, 0, steps, 0);
    part->recording_now = false;
    const spk_result ended = gpu->api->recorded(gpu, &part->recording[steps]);
    return result != SPK_OK || ended == SPK_OK ? result : spki_gpu_failed(net, gpu, ended);
}

SPKI_FN spk_result spki_gpu_replay(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                   uint32_t steps, uint32_t at)
{
    spki_gpu_part *part = g->part;
    spki_gpu *gpu = &part->gpu;
    spk_result result = SPK_OK;
    if (!part->origin.mem) {
        result = spki_gpu_blank(net, gpu, &part->origin, 64);
    }
    const uint64_t with = result == SPK_OK ? spki_gpu_recorded_with(part) : 0;
    if (result == SPK_OK && with != part->recorded_with) {
        spki_gpu_forget_recordings(part);
        part->recorded_with = with;
    }
    if (result == SPK_OK && !(part->seen >> steps & 1)) {
        part->seen |= (uint64_t)1 << steps;
        return spki_gpu_slices(net, g, parity, first, steps, at);
    }
    if (result == SPK_OK && !part->recording[steps]) {
        result = spki_gpu_record(net, g, steps);
    }
    if (result != SPK_OK) {
        return result;
    }
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->origin),
                                spki_gpu_memory(&part->list[parity]),
                                spki_gpu_u64(first),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(at)};
    result = gpu->api->launch(gpu, part->program, SPKI_GPU_BEGIN, 1, 32, arg, 5);
    if (result == SPK_OK) {
        result = gpu->api->replay(gpu, part->recording[steps]);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* The steps from `first` on, before `end`, in the way of the device; *steps: how many those are. */
SPKI_FN spk_result spki_gpu_some_steps(spk_net *net, spki_gpu_net *g, uint32_t parity,
                                       uint64_t first, uint64_t end, uint32_t at, bool amounts,
                                       uint32_t *steps)
{
    const bool replays = g->part->gpu.replays;
    const uint32_t many = replays && amounts ? 0 : spki_gpu_batch_steps(net, g, first, end);
    *steps = many ? many : (uint32_t)SPKI_MIN((uint64_t)net->slice_max, end - first);
    if (!many) {
        return spki_gpu_slice(net, g, parity, first, *steps, at, amounts);
    }
    return replays ? spki_gpu_replay(net, g, parity, first, many, at)
                   : spki_gpu_launch_batch(net, g->part, &g->part->list[parity], first, many, at,
                                           amounts);
}

/* Puts all slices of a batch under way. The first start in a list is 0 from when it was made. */
SPKI_FN spk_result spki_gpu_begin_batch(spk_net *net, spki_gpu_net *g, const spki_slice *batch,
                                        bool amounts)
{
    const uint64_t end = batch->first + batch->steps;
    spk_result result = SPK_OK;
    for (uint64_t first = batch->first; first < end && result == SPK_OK;) {
        uint32_t steps = 0;
        result = spki_gpu_some_steps(net, g, batch->parity, first,
                                     spki_gpu_next_sample(net, first, end) + 1,
                                     (uint32_t)(first - batch->first), amounts, &steps);
        for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
            result = spki_gpu_sample_step(net, g, &g->part[k], batch, first + steps - 1);
        }
        while (g->told_next < g->told && g->told_step[g->told_next] < first + steps) {
            g->told_next++;
        }
        first += steps;
        amounts = false;
    }
    return result;
}

#endif
