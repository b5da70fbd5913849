/* ---- >>cuda-open: a device, opened and closed ---- */
#ifndef SPIKELIB_GPU_CUDA_OPEN_H
#define SPIKELIB_GPU_CUDA_OPEN_H

#include "held.h"

SPKI_FN void spki_cuda_close(spki_gpu *gpu)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_handle context;
    if (!d) {
        return;
    }
    if (d->context && d->cu->cuCtxPushCurrent_v2(d->context) == 0) {
        const spki_cuda_calls *cu = d->cu;
        if (d->comm) {
            (void)cu->ncclCommDestroy(d->comm);
        }
        if (d->stream) {
            (void)cu->cuStreamSynchronize(d->stream);
        }
        for (uint32_t k = 0; k < SPKI_CUDA_TICKETS; k++) {
            spki_cuda_ticket *t = &d->ticket[k];
            if (t->pinned) {
                (void)cu->cuMemFreeHost(t->pinned);
            }
            if (t->ready) {
                (void)cu->cuEventDestroy_v2(t->ready);
            }
            if (t->done) {
                (void)cu->cuEventDestroy_v2(t->done);
            }
        }
        if (d->clock) {
            (void)cu->cuEventDestroy_v2(d->clock);
        }
        if (d->recorder) {
            (void)cu->cuStreamDestroy_v2(d->recorder);
        }
        if (d->copies && d->own_copies) {
            (void)cu->cuStreamDestroy_v2(d->copies);
        }
        if (d->pool) {
            (void)cu->cuMemPoolDestroy(d->pool);
        }
        if (d->stream && d->own_stream) {
            (void)cu->cuStreamDestroy_v2(d->stream);
        }
        (void)cu->cuCtxPopCurrent_v2(&context);
    }
    if (d->context && d->own_context) {
        (void)d->cu->cuDevicePrimaryCtxRelease_v2(d->device);
    }
    spki_free(gpu->mem, d, 1, sizeof *d);
    gpu->handle = NULL;
}

static const spki_gpu_api spki_cuda_api = {
    "cuda",          spki_cuda_prelude, spki_cuda_keywords, spki_cuda_compile, spki_cuda_release,
    spki_cuda_alloc, spki_cuda_free,    spki_cuda_write,    spki_cuda_zero,    spki_cuda_read,
    spki_cuda_wait,  spki_cuda_launch,  spki_cuda_flush,    spki_cuda_finish,  spki_cuda_close,
    spki_cuda_together, spki_cuda_room, spki_cuda_share, spki_cuda_held, spki_cuda_form,
    spki_cuda_record, spki_cuda_recorded, spki_cuda_replay, spki_cuda_forget};
/* The same, where spikes go from device to device through the host. */
static const spki_gpu_api spki_cuda_api_by_host = {
    "cuda",          spki_cuda_prelude, spki_cuda_keywords, spki_cuda_compile, spki_cuda_release,
    spki_cuda_alloc, spki_cuda_free,    spki_cuda_write,    spki_cuda_zero,    spki_cuda_read,
    spki_cuda_wait,  spki_cuda_launch,  spki_cuda_flush,    spki_cuda_finish,  spki_cuda_close,
    spki_cuda_together, spki_cuda_room, NULL, spki_cuda_held, spki_cuda_form,
    spki_cuda_record, spki_cuda_recorded, spki_cuda_replay, spki_cuda_forget};

/* A call that makes a handle, which is none where it fails. */
SPKI_FN spk_result spki_cuda_made(spki_gpu *gpu, const char *call, spki_cuda_handle *handle,
                                  int code)
{
    *handle = code ? NULL : *handle;
    return spki_cuda_check(gpu, call, code);
}

/* Streams, pool and event, in the context. */
SPKI_FN spk_result spki_cuda_equip(spki_gpu *gpu)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_calls *cu = d->cu;
    spki_cuda_pool_desc pool;
    uint64_t keep = UINT64_MAX;
    spk_result result = SPK_OK;
    memset(&pool, 0, sizeof pool);
    pool.kind = 1;  /* pinned to the device */
    pool.place = 1; /* a device */
    pool.device = d->device;
    d->own_stream = !d->desc->stream;
    d->stream = (spki_cuda_handle)d->desc->stream;
    if (d->own_stream) {
        result = spki_cuda_made(gpu, "cuStreamCreate", &d->stream,
                                cu->cuStreamCreate(&d->stream, SPKI_CUDA_NON_BLOCKING));
    }
    d->own_copies = !d->desc->copy_stream;
    d->copies = (spki_cuda_handle)d->desc->copy_stream;
    if (result == SPK_OK && d->own_copies) {
        result = spki_cuda_made(gpu, "cuStreamCreate", &d->copies,
                                cu->cuStreamCreate(&d->copies, SPKI_CUDA_NON_BLOCKING));
    }
    if (result == SPK_OK && gpu->replays) {
        result = spki_cuda_made(gpu, "cuStreamCreate", &d->recorder,
                                cu->cuStreamCreate(&d->recorder, SPKI_CUDA_NON_BLOCKING));
    }
    if (result == SPK_OK) {
        result = spki_cuda_made(gpu, "cuEventCreate", &d->clock,
                                cu->cuEventCreate(&d->clock, SPKI_CUDA_NO_TIMING));
    }
    if (result == SPK_OK && d->pools) {
        result = spki_cuda_made(gpu, "cuMemPoolCreate", &d->pool,
                                cu->cuMemPoolCreate(&d->pool, &pool));
    }
    if (result == SPK_OK && d->pools) { /* what is freed is wanted again */
        result = spki_cuda_check(gpu, "cuMemPoolSetAttribute",
                                 cu->cuMemPoolSetAttribute(d->pool, SPKI_CUDA_POOL_KEEPS, &keep));
    }
    return result;
}

/* Opens a device into `gpu`, which is zero before and closed by spki_cuda_close, also when this
   fails. */
SPKI_FN spk_result spki_cuda_open(spki_gpu *gpu, spki_mem *mem, spki_cuda_calls *cu,
                                  const spk_cuda_desc *desc, const spk_cuda_device *found)
{
    spki_cuda_device *d = (spki_cuda_device *)spki_alloc(mem, 1, sizeof *d);
    gpu->api = desc->exchange == SPK_CUDA_EXCHANGE_HOST ? &spki_cuda_api_by_host : &spki_cuda_api;
    gpu->mem = mem;
    gpu->handle = d;
    snprintf(gpu->name, sizeof gpu->name, "%s", found->name);
    if (!d) {
        snprintf(gpu->why, sizeof gpu->why, "no memory");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    d->cu = cu;
    d->desc = desc;
    d->major = found->major;
    d->minor = found->minor;
    d->shared_bytes = found->shared_bytes;
    snprintf(d->identity, sizeof d->identity, "cuda|%s|%u.%u|%u|%s", found->name, found->major,
             found->minor, found->driver, SPIKELIB_VERSION);
    spki_gpu_cache_dir(desc->cache_dir, d->cache, sizeof d->cache);
    gpu->units = SPKI_MAX(found->units, 1u);
    gpu->memory = desc->memory_budget ? SPKI_MIN(desc->memory_budget, found->memory_bytes)
                                      : found->memory_bytes;
    gpu->largest = gpu->memory;
    gpu->has_double = gpu->has_wide_atomics = true;
    gpu->replays = desc->style == SPK_CUDA_GRAPH;
    gpu->lanes = 1;
    gpu->speed = (double)gpu->units;
    spk_result result =
        spki_cuda_check(gpu, "cuDeviceGet", cu->cuDeviceGet(&d->device, (int)found->index));
    d->cooperative = spki_cuda_attribute(cu, d->device, SPKI_CUDA_COOPERATIVE) != 0;
    d->pools = spki_cuda_attribute(cu, d->device, SPKI_CUDA_HAS_POOLS) != 0;
    d->context = (spki_cuda_handle)desc->context;
    d->own_context = !d->context;
    if (result == SPK_OK && d->own_context) {
        result = spki_cuda_made(gpu, "cuDevicePrimaryCtxRetain", &d->context,
                                cu->cuDevicePrimaryCtxRetain(&d->context, d->device));
    }
    if (result == SPK_OK) {
        result = spki_cuda_begin(gpu);
    }
    if (result == SPK_OK) {
        result = spki_cuda_equip(gpu);
        (void)spki_cuda_end(gpu, "", 0);
    }
    return result;
}

#endif
