/* ---- >>gpu-origin: what recorded launches count from ----
   A run of slices is the same launches again and again but for four numbers: the step at which it
   begins, that step's place in the ring of accumulators, where the list goes on, and which of the
   two lists it is. Where a device can record launches and replay them, its kernels find these in
   memory (`origin`), a small kernel in front of each replay puts them there, and all other
   arguments stay what they were when they were recorded. */
#ifndef SPIKELIB_GPU_HOST_ORIGIN_H
#define SPIKELIB_GPU_HOST_ORIGIN_H

#include "layout.h"

/* The last argument of the kernels of a slice: while they are recorded the origin, else 0. */
SPKI_FN spki_gpu_arg spki_gpu_origin(const spki_gpu_part *part)
{
    const spki_gpu_block none = {NULL, 0};
    return spki_gpu_memory(part->recording_now ? &part->origin : &none);
}

/* Kernels of an API without recordings do not have it. */
SPKI_FN uint32_t spki_gpu_args(const spki_gpu *gpu, size_t args)
{
    return (uint32_t)args - (gpu->api->record ? 0 : 1);
}

SPKI_FN void spki_gpu_forget_recordings(spki_gpu_part *part)
{
    for (uint32_t k = 0; k <= SPKI_MAX_SLICE; k++) {
        if (part->recording[k]) {
            part->gpu.api->forget(&part->gpu, part->recording[k]);
        }
        part->recording[k] = NULL;
    }
    part->seen = 0;
}

/* Other recordings are needed where memory or the program are others. */
SPKI_FN uint64_t spki_gpu_recorded_with(const spki_gpu_part *part)
{
    const spki_gpu_block *const block[] = {
        &part->desc,    &part->block,    &part->value,   &part->table,  &part->told,
        &part->state,   &part->acc,      &part->arrived, &part->history, &part->group_id,
        &part->counts,  &part->rows,     &part->tile_at, &part->list[0], &part->list[1],
        &part->origin};
    uintptr_t what[sizeof block / sizeof block[0] + 1];
    uint64_t hash = 0;
    for (size_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        what[k] = (uintptr_t)block[k]->mem;
    }
    what[sizeof block / sizeof block[0]] = (uintptr_t)part->program;
    hash = spk_xxh64(what, sizeof what, part->program_hash);
    for (uint32_t k = 0; k < part->segments; k++) {
        hash = spk_xxh64(&part->segment[k].block.mem, sizeof part->segment[k].block.mem, hash);
    }
    return hash;
}

#endif
