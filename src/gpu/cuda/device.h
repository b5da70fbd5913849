/* ---- >>cuda-device: what >>gpu wants of a device, done by the CUDA driver ---- */
#ifndef SPIKELIB_GPU_CUDA_DEVICE_H
#define SPIKELIB_GPU_CUDA_DEVICE_H

#include "../host/cache.h"
#include "choose.h"

#define SPKI_CUDA_TICKETS 8u

/* Something on its way to the host: it arrives in memory that the driver has pinned. */
typedef struct spki_cuda_ticket {
    spki_cuda_handle ready, done; /* events */
    void *pinned, *to;
    size_t room, bytes;
    bool busy;
} spki_cuda_ticket;

typedef struct spki_cuda_device {
    spki_cuda_calls *cu;
    const spk_cuda_desc *desc;
    int device;
    uint32_t major, minor;
    spki_cuda_handle context, stream, copies, pool, clock; /* clock: an event */
    spki_cuda_handle recorder; /* the stream of >>cuda-graph */
    bool recording;            /* launches go there */
    bool own_context, own_stream, own_copies, pools, cooperative;
    uint64_t shared_bytes;
    spki_cuda_ticket ticket[SPKI_CUDA_TICKETS];
    spki_cuda_handle comm; /* of NCCL */
    char identity[256];    /* of device and driver, for the cache */
    char lacks[400];       /* why nothing that nvcc compiled serves the network */
    char cache[SPKI_GPU_PATH];
} spki_cuda_device;

typedef struct spki_cuda_program {
    spki_cuda_handle module, function[SPKI_GPU_MORE_ENTRIES];
    const struct spki_cuda_holding *held; /* compiled by nvcc: there is no module */
    uint64_t shared[SPKI_GPU_MORE_ENTRIES]; /* what each has been allowed */
} spki_cuda_program;

SPKI_FN spki_cuda_device *spki_cuda_of(const spki_gpu *gpu)
{
    return (spki_cuda_device *)gpu->handle;
}

SPKI_FN const char *spki_cuda_code(const spki_cuda_calls *cu, int code)
{
    const char *name = NULL;
    return cu->cuGetErrorName(code, &name) == 0 && name ? name : "an error";
}

/* A code as our result, with a sentence. */
SPKI_FN spk_result spki_cuda_check(spki_gpu *gpu, const char *call, int code)
{
    if (code == 0) {
        return SPK_OK;
    }
    snprintf(gpu->why, sizeof gpu->why, "%s returned %s (%d)", call,
             spki_cuda_code(spki_cuda_of(gpu)->cu, code), code);
    return code == SPKI_CUDA_OUT_OF_MEMORY ? SPK_ERR_OUT_OF_MEMORY : SPK_ERR_DEVICE;
}

/* Everything happens in the device's context; the thread's own is there again afterwards. */
SPKI_FN spk_result spki_cuda_begin(spki_gpu *gpu)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    return spki_cuda_check(gpu, "cuCtxPushCurrent", d->cu->cuCtxPushCurrent_v2(d->context));
}

SPKI_FN spk_result spki_cuda_end(spki_gpu *gpu, const char *call, int code)
{
    spki_cuda_handle context;
    (void)spki_cuda_of(gpu)->cu->cuCtxPopCurrent_v2(&context);
    return spki_cuda_check(gpu, call, code);
}

SPKI_FN spki_cuda_ptr spki_cuda_at(spki_gpu_mem mem, uint64_t at)
{
    return (spki_cuda_ptr)(uintptr_t)mem + at;
}

/* Waits for all work up to here, no longer than the limit. In the context. */
SPKI_FN spk_result spki_cuda_settle(spki_gpu *gpu, spki_cuda_handle event)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const double start = spk_clock_seconds();
    const double limit = gpu->patient ? 0.0 : d->desc->time_limit_s;
    int code = d->cu->cuEventQuery(event);
    if (code != SPKI_CUDA_NOT_READY || limit <= 0.0) {
        code = code == SPKI_CUDA_NOT_READY ? d->cu->cuEventSynchronize(event) : code;
        return spki_cuda_check(gpu, "a command", code);
    }
    while (code == SPKI_CUDA_NOT_READY) {
        if (spk_clock_seconds() - start > limit) {
            snprintf(gpu->why, sizeof gpu->why, "a batch of steps took longer than %g s", limit);
            return SPK_ERR_TIMEOUT;
        }
        code = d->cu->cuEventQuery(event);
    }
    return spki_cuda_check(gpu, "a command", code);
}

/* The same for the stream of the kernels. */
SPKI_FN spk_result spki_cuda_catch_up(spki_gpu *gpu)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (gpu->patient || d->desc->time_limit_s <= 0.0) {
        return spki_cuda_check(gpu, "cuStreamSynchronize", d->cu->cuStreamSynchronize(d->stream));
    }
    const spk_result result =
        spki_cuda_check(gpu, "cuEventRecord", d->cu->cuEventRecord(d->clock, d->stream));
    return result == SPK_OK ? spki_cuda_settle(gpu, d->clock) : result;
}

/* -- memory: a pool of the network's own, in order with its work -- */

SPKI_FN spk_result spki_cuda_alloc(spki_gpu *gpu, uint64_t bytes, spki_gpu_mem *mem)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_ptr made = 0;
    *mem = NULL;
    spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    if (d->pools) {
        result = spki_cuda_end(gpu, "cuMemAllocFromPoolAsync",
                               d->cu->cuMemAllocFromPoolAsync(&made, (size_t)bytes, d->pool,
                                                              d->stream));
    } else {
        result = spki_cuda_end(gpu, "cuMemAlloc", d->cu->cuMemAlloc_v2(&made, (size_t)bytes));
    }
    *mem = result == SPK_OK ? (spki_gpu_mem)(uintptr_t)made : NULL;
    return result;
}

SPKI_FN void spki_cuda_free(spki_gpu *gpu, spki_gpu_mem mem)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuMemFree",
                            d->pools ? d->cu->cuMemFreeAsync(spki_cuda_at(mem, 0), d->stream)
                                     : d->cu->cuMemFree_v2(spki_cuda_at(mem, 0)));
    }
}

/* Waits, because the driver may read pageable memory later than it says where the device can. */
SPKI_FN spk_result spki_cuda_write(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, const void *data,
                                   size_t bytes)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spk_result result = bytes ? spki_cuda_begin(gpu) : SPK_OK;
    if (result != SPK_OK || !bytes) {
        return result;
    }
    int code = d->cu->cuMemcpyHtoDAsync_v2(spki_cuda_at(mem, at), data, bytes, d->stream);
    result = spki_cuda_check(gpu, "cuMemcpyHtoDAsync", code);
    if (result == SPK_OK) {
        result = spki_cuda_catch_up(gpu);
    }
    (void)spki_cuda_end(gpu, "", 0);
    return result;
}

SPKI_FN spk_result spki_cuda_zero(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, uint64_t bytes)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spk_result result = bytes ? spki_cuda_begin(gpu) : SPK_OK;
    if (result != SPK_OK || !bytes) {
        return result;
    }
    return spki_cuda_end(gpu, "cuMemsetD8Async",
                         d->cu->cuMemsetD8Async(spki_cuda_at(mem, at), 0, (size_t)bytes,
                                                d->stream));
}

/* A ticket with room. In the context. */
SPKI_FN int spki_cuda_take(spki_cuda_device *d, size_t bytes, spki_cuda_ticket **out)
{
    spki_cuda_ticket *t = NULL;
    int code = 0;
    for (uint32_t k = 0; k < SPKI_CUDA_TICKETS && (!t || t->room < bytes); k++) {
        t = d->ticket[k].busy ? t : &d->ticket[k];
    }
    if (!t) {
        return SPKI_CUDA_OUT_OF_MEMORY;
    }
    if (t->room < bytes) {
        if (t->pinned) {
            (void)d->cu->cuMemFreeHost(t->pinned);
        }
        t->pinned = NULL;
        t->room = 0;
        code = d->cu->cuMemHostAlloc(&t->pinned, bytes + bytes / 2, 0);
        t->room = code ? 0 : bytes + bytes / 2;
        t->pinned = code ? NULL : t->pinned;
    }
    if (!code && !t->ready) {
        code = d->cu->cuEventCreate(&t->ready, SPKI_CUDA_NO_TIMING);
        t->ready = code ? NULL : t->ready;
    }
    if (!code && !t->done) {
        code = d->cu->cuEventCreate(&t->done, SPKI_CUDA_NO_TIMING);
        t->done = code ? NULL : t->done;
    }
    *out = t;
    return code;
}

/* With a ticket it goes through a stream of its own, beside the kernels of the next batch. */
SPKI_FN spk_result spki_cuda_read(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, void *data,
                                  size_t bytes, spki_gpu_ticket *ticket)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_ticket *t = NULL;
    spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    if (!ticket) {
        result = spki_cuda_check(gpu, "cuMemcpyDtoHAsync",
                                 d->cu->cuMemcpyDtoHAsync_v2(data, spki_cuda_at(mem, at), bytes,
                                                             d->stream));
        if (result == SPK_OK) {
            result = spki_cuda_catch_up(gpu);
        }
        (void)spki_cuda_end(gpu, "", 0);
        return result;
    }
    const char *call = "cuMemHostAlloc";
    int code = spki_cuda_take(d, bytes, &t);
    if (!code) {
        call = "cuEventRecord";
        code = d->cu->cuEventRecord(t->ready, d->stream);
    }
    if (!code) {
        call = "cuStreamWaitEvent";
        code = d->cu->cuStreamWaitEvent(d->copies, t->ready, 0);
    }
    if (!code) {
        call = "cuMemcpyDtoHAsync";
        code = d->cu->cuMemcpyDtoHAsync_v2(t->pinned, spki_cuda_at(mem, at), bytes, d->copies);
    }
    if (!code) {
        call = "cuEventRecord";
        code = d->cu->cuEventRecord(t->done, d->copies);
    }
    if (!code) {
        t->busy = true;
        t->to = data;
        t->bytes = bytes;
        *ticket = t;
    }
    return spki_cuda_end(gpu, call, code);
}

SPKI_FN spk_result spki_cuda_wait(spki_gpu *gpu, spki_gpu_ticket *ticket)
{
    spki_cuda_ticket *t = (spki_cuda_ticket *)*ticket;
    if (!t) {
        return SPK_OK;
    }
    spk_result result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_settle(gpu, t->done);
        (void)spki_cuda_end(gpu, "", 0);
    }
    if (result == SPK_OK) {
        memcpy(t->to, t->pinned, t->bytes);
    }
    t->busy = false;
    *ticket = NULL;
    return result;
}

/* -- work -- */

SPKI_FN uint32_t spki_cuda_params(const spki_gpu_arg *arg, uint32_t args, void **param)
{
    for (uint32_t k = 0; k < args; k++) {
        const void *at = arg[k].is_mem ? (const void *)&arg[k].mem : (const void *)&arg[k].value;
        param[k] = (void *)(uintptr_t)at;
    }
    return args;
}

#define SPKI_CUDA_PARAMS 40u

SPKI_FN spk_result spki_cuda_launch(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                    uint32_t groups, uint32_t items, const spki_gpu_arg *arg,
                                    uint32_t args)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_handle function = ((spki_cuda_program *)program)->function[entry];
    void *param[SPKI_CUDA_PARAMS];
    const spk_result result = groups ? spki_cuda_begin(gpu) : SPK_OK;
    if (result != SPK_OK || groups == 0) {
        return result;
    }
    (void)spki_cuda_params(arg, args, param);
    return spki_cuda_end(gpu, spki_gpu_entry_name(entry),
                         d->cu->cuLaunchKernel(function, groups, 1, 1, items, 1, 1, 0,
                                               d->recording ? d->recorder : d->stream, param,
                                               NULL));
}

/* Lets a function have so much shared memory. In the context. */
SPKI_FN int spki_cuda_allow(spki_gpu *gpu, spki_cuda_program *p, spki_gpu_entry entry,
                            uint64_t shared)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (shared <= p->shared[entry]) {
        return 0;
    }
    const int code =
        d->cu->cuFuncSetAttribute(p->function[entry], SPKI_CUDA_SHARED_BYTES, (int)shared);
    p->shared[entry] = code ? p->shared[entry] : shared;
    return code;
}

SPKI_FN spk_result spki_cuda_together(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                      uint32_t groups, uint64_t shared, const spki_gpu_arg *arg,
                                      uint32_t args)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_program *p = (spki_cuda_program *)program;
    void *param[SPKI_CUDA_PARAMS];
    const spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    (void)spki_cuda_params(arg, args, param);
    int code = spki_cuda_allow(gpu, p, entry, shared);
    if (!code) {
        code = d->cu->cuLaunchCooperativeKernel(p->function[entry], groups, 1, 1,
                                                SPKI_GPU_BATCH_ITEMS, 1, 1, (uint32_t)shared,
                                                d->stream, param);
    }
    return spki_cuda_end(gpu, spki_gpu_entry_name(entry), code);
}

SPKI_FN uint32_t spki_cuda_room(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                uint64_t shared)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_program *p = (spki_cuda_program *)program;
    const spk_cuda_style style = d->desc->style;
    const bool wanted = style == SPK_CUDA_AUTO ||
                        style == (entry == SPKI_GPU_BATCH_OWN ? SPK_CUDA_OWN : SPK_CUDA_ALL);
    int each = 0;
    /* some of the shared memory is the kernel's own */
    if (!d->cooperative || !wanted || shared + 8192 > d->shared_bytes ||
        spki_cuda_begin(gpu) != SPK_OK) {
        return 0;
    }
    int code = spki_cuda_allow(gpu, p, entry, shared);
    if (!code) {
        code = d->cu->cuOccupancyMaxActiveBlocksPerMultiprocessor(
            &each, p->function[entry], (int)SPKI_GPU_BATCH_ITEMS, (size_t)shared);
    }
    if (spki_cuda_end(gpu, "cuOccupancyMaxActiveBlocksPerMultiprocessor", code) != SPK_OK ||
        each < 1) {
        return 0;
    }
    /* all targets: what meets often should be few */
    return entry == SPKI_GPU_BATCH_OWN ? gpu->units * (uint32_t)each : gpu->units;
}

/* Between devices: NCCL, or copies from one to each other. */
SPKI_FN spk_result spki_cuda_share(spki_gpu *const *gpu, uint32_t gpus, uint32_t from,
                                   spki_gpu_mem source, uint64_t source_at,
                                   const spki_gpu_mem *to, uint64_t at, uint64_t bytes)
{
    const spki_cuda_device *src = spki_cuda_of(gpu[from]);
    const spki_cuda_calls *cu = src->cu;
    spk_result result = SPK_OK;
    if (src->comm) {
        int code = cu->ncclGroupStart();
        for (uint32_t k = 0; k < gpus && code == 0; k++) {
            const spki_cuda_device *d = spki_cuda_of(gpu[k]);
            code = cu->ncclBroadcast((const void *)(uintptr_t)spki_cuda_at(source, source_at),
                                     (void *)(uintptr_t)spki_cuda_at(to[k], at), (size_t)bytes,
                                     SPKI_NCCL_UINT8, (int)from, d->comm, d->stream);
        }
        const int ended = cu->ncclGroupEnd();
        code = code ? code : ended;
        if (code) {
            snprintf(gpu[from]->why, sizeof gpu[from]->why, "ncclBroadcast: %s",
                     cu->ncclGetErrorString(code));
            return SPK_ERR_DEVICE;
        }
        return SPK_OK;
    }
    for (uint32_t k = 0; k < gpus && result == SPK_OK; k++) {
        const spki_cuda_device *d = spki_cuda_of(gpu[k]);
        result = spki_cuda_begin(gpu[k]);
        if (result == SPK_OK) {
            result = spki_cuda_end(gpu[k], "cuMemcpyPeerAsync",
                                   cu->cuMemcpyPeerAsync(spki_cuda_at(to[k], at), d->context,
                                                         spki_cuda_at(source, source_at),
                                                         src->context, (size_t)bytes, d->stream));
        }
    }
    return result;
}

/* Kernels begin by themselves. */
SPKI_FN spk_result spki_cuda_flush(spki_gpu *gpu)
{
    (void)gpu;
    return SPK_OK;
}

SPKI_FN spk_result spki_cuda_finish(spki_gpu *gpu)
{
    spk_result result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_catch_up(gpu);
        (void)spki_cuda_end(gpu, "", 0);
    }
    return result;
}

#endif
