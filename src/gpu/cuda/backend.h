/* ---- >>cuda-backend: spk_cuda_backend, the network's side of CUDA ---- */
#ifndef SPIKELIB_GPU_CUDA_BACKEND_H
#define SPIKELIB_GPU_CUDA_BACKEND_H

#include "open.h"

#define SPKI_CUDA_MOST_PARTS SPKI_GPU_MOST_PARTS

typedef struct spki_cuda_backend {
    spki_gpu_net net;   /* first: what the network sees */
    spk_cuda_desc desc; /* with copies of what it points to */
    uint32_t *indices;
    char *device, *cache_dir;
    spki_cuda_library library;
    bool opened;
    spk_result result;  /* of opening, or of a bad descriptor */
    char why[600];
} spki_cuda_backend;

/* -- opening -- */

/* One communicator a device; NCCL wants each device once. */
SPKI_FN spk_result spki_cuda_connect(spki_cuda_backend *b)
{
    const spk_cuda_exchange how = b->desc.exchange;
    spki_cuda_handle comm[SPKI_CUDA_MOST_PARTS];
    int device[SPKI_CUDA_MOST_PARTS];
    bool twice = false;
    if (b->net.parts < 2 || how == SPK_CUDA_EXCHANGE_PEER || how == SPK_CUDA_EXCHANGE_HOST) {
        return SPK_OK;
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        device[k] = spki_cuda_of(&b->net.part[k].gpu)->device;
        for (uint32_t j = 0; j < k; j++) {
            twice = twice || device[j] == device[k];
        }
    }
    int code = 0;
    const char *lacks = NULL;
    if (twice) {
        lacks = "one device twice";
    } else if (!spki_cuda_load_nccl(&b->desc, &b->library.calls)) {
        lacks = "no NCCL";
    }
    if (!lacks) {
        code = b->library.calls.ncclCommInitAll(comm, (int)b->net.parts, device);
    }
    if (!lacks && code == 0) {
        for (uint32_t k = 0; k < b->net.parts; k++) {
            spki_cuda_of(&b->net.part[k].gpu)->comm = comm[k];
        }
    } else if (how == SPK_CUDA_EXCHANGE_NCCL) {
        return spki_because(SPK_ERR_DEVICE, b->why, sizeof b->why, "cuda: NCCL cannot be used: %s",
                            lacks ? lacks : b->library.calls.ncclGetErrorString(code));
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_cuda_open_all(spki_cuda_backend *b)
{
    const size_t devices = SPKI_MAX(b->desc.index_count, (size_t)1);
    spk_result result = spki_cuda_load(&b->desc, &b->library, b->why, sizeof b->why);
    if (result == SPK_OK) {
        b->net.part = (spki_gpu_part *)spki_alloc(&b->net.mem, devices, sizeof *b->net.part);
        if (!b->net.part) {
            result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                  "cuda: no memory for %llu devices", (spki_llu)devices);
        }
    }
    for (size_t k = 0; k < devices && result == SPK_OK; k++) {
        spki_gpu *gpu = &b->net.part[k].gpu;
        spk_cuda_device found;
        result = spki_cuda_choose(&b->library.calls, &b->desc, k, &found, b->why, sizeof b->why);
        if (result != SPK_OK) {
            break;
        }
        b->net.parts = (uint32_t)k + 1;
        result = spki_cuda_open(gpu, &b->net.mem, &b->library.calls, &b->desc, &found);
        if (result != SPK_OK) {
            (void)spki_because(result, b->why, sizeof b->why, "cuda \"%s\": %.400s", gpu->name,
                               gpu->why);
        }
    }
    return result == SPK_OK ? spki_cuda_connect(b) : result;
}

SPKI_FN void spki_cuda_open_once(spki_cuda_backend *b)
{
    if (!b->opened && b->result == SPK_OK) {
        b->result = spki_cuda_open_all(b);
    }
    b->opened = true;
}

/* -- what the network calls -- */

/* Bytes of accumulators of one group of items, if each had one tile and delays were of 64 steps. */
SPKI_FN uint64_t spki_cuda_own_bytes(const spk_net *net, uint32_t units)
{
    uint64_t slots = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        slots += (uint64_t)net->population[p].lanes * SPKI_MAX(net->population[p].receptors, 1u);
    }
    return slots / units * 64 * (net->desc.weight_bits == 32 ? 8 : 4);
}

/* A tile for each multiprocessor where its accumulators may stay in shared memory; devices that
   share want some to share. */
SPKI_FN uint32_t spki_cuda_tiles(const spk_backend *backend, const spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)(uintptr_t)backend;
    spki_cuda_open_once(b);
    if (b->desc.tiles) {
        return b->desc.tiles;
    }
    if (b->result != SPK_OK || b->net.parts != 1) {
        return SPKI_MAX(b->net.parts, 1u) * (b->net.parts > 1 ? 4 : 1);
    }
    const spki_cuda_device *d = spki_cuda_of(&b->net.part[0].gpu);
    const uint32_t units = b->net.part[0].gpu.units;
    const bool may = b->desc.style == SPK_CUDA_OWN ||
                     (b->desc.style == SPK_CUDA_AUTO &&
                      spki_cuda_own_bytes(net, units) + 8192 < d->shared_bytes);
    return may && d->cooperative ? units : 1;
}

SPKI_FN spk_result spki_cuda_construct(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    spki_cuda_open_once(b);
    return b->result == SPK_OK ? spki_gpu_construct(net, &b->net, b->desc.construction)
                               : SPK_OK; /* entering says why */
}

SPKI_FN spk_result spki_cuda_enter(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    spki_cuda_open_once(b);
    if (b->result != SPK_OK) {
        return spki_fail(net, b->result, "%s", b->why);
    }
    return spki_gpu_enter(net, &b->net);
}

/* A run, between the caller's events. With a context of the caller's there is one device. */
SPKI_FN spk_result spki_cuda_run(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    spki_gpu *gpu = &b->net.part[0].gpu;
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_handle begin = (spki_cuda_handle)b->desc.begin_event,
                           end = (spki_cuda_handle)b->desc.end_event;
    spk_result result = begin ? spki_cuda_begin(gpu) : SPK_OK;
    if (begin && result == SPK_OK) {
        result = spki_cuda_end(gpu, "cuStreamWaitEvent",
                               d->cu->cuStreamWaitEvent(d->stream, begin, 0));
    }
    if (result != SPK_OK) {
        return spki_gpu_failed(net, gpu, result);
    }
    result = spki_gpu_run_steps(backend, net);
    if (!end || result != SPK_OK) {
        return result;
    }
    result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_end(gpu, "cuEventRecord", d->cu->cuEventRecord(end, d->stream));
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN void spki_cuda_leave(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    const size_t parts = SPKI_MAX(b->desc.index_count, (size_t)1);
    spki_mem mem = b->net.mem;
    if (net) {
        spki_gpu_leave(net, &b->net);
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        spki_cuda_close(&b->net.part[k].gpu);
    }
    spki_free(&mem, b->net.part, parts, sizeof *b->net.part);
    spki_free(&mem, b->indices, b->desc.index_count, sizeof *b->indices);
    spki_free_string(&mem, b->device);
    spki_free_string(&mem, b->cache_dir);
    spki_free(&mem, b, 1, sizeof *b);
}

/* Where there is no memory for a backend. */
static const struct spk_backend spki_cuda_none = SPKI_GPU_NONE("cuda");

/* Copies what the descriptor points to. */
SPKI_FN bool spki_cuda_copy(spki_cuda_backend *b)
{
    spki_mem *mem = &b->net.mem;
    bool ok = true;
    if (b->desc.device) {
        ok = (b->device = spki_copy_string(mem, b->desc.device)) != NULL && ok;
    }
    if (b->desc.cache_dir) {
        ok = (b->cache_dir = spki_copy_string(mem, b->desc.cache_dir)) != NULL && ok;
    }
    if (b->desc.index_count) {
        b->indices = (uint32_t *)spki_alloc(mem, b->desc.index_count, sizeof *b->indices);
        ok = ok && b->indices;
        if (b->indices) {
            memcpy(b->indices, b->desc.indices, b->desc.index_count * sizeof *b->indices);
        }
    }
    b->desc.device = b->device;
    b->desc.cache_dir = b->cache_dir;
    b->desc.indices = b->indices;
    return ok;
}

SPKI_FN bool spki_cuda_bad(const spk_cuda_desc *d)
{
    return (d->index_count && !d->indices) || d->index_count > SPKI_CUDA_MOST_PARTS ||
           (int)d->style < 0 || d->style > SPK_CUDA_GRAPH || (int)d->exchange < 0 ||
           d->exchange > SPK_CUDA_EXCHANGE_HOST || !(d->time_limit_s >= 0.0) ||
           d->tiles > 65536u || (int)d->construction < 0 ||
           d->construction > SPK_CONSTRUCTION_DEVICE || (d->context && d->index_count) ||
           (!d->context && (d->stream || d->copy_stream || d->begin_event || d->end_event)) ||
           (d->stream && d->stream == d->copy_stream);
}

SPIKELIB_API spk_backend *spk_cuda_backend(const spk_cuda_desc *desc)
{
    spk_cuda_desc d;
    spki_mem mem;
    memset(&d, 0, sizeof d);
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    if (desc && !garbage) {
        d = *desc;
    }
    const bool bad = spki_cuda_bad(&d);
    if (bad) {
        d.index_count = 0;
        d.indices = NULL;
    }
    spki_mem_init(&mem, &d.allocator, 0);
    spki_cuda_backend *b = (spki_cuda_backend *)spki_alloc(&mem, 1, sizeof *b);
    if (!b) {
        return (spk_backend *)(uintptr_t)&spki_cuda_none;
    }
    b->net.mem = mem;
    b->desc = d;
    b->net.base.name = "cuda";
    b->net.base.or_cpu = d.or_cpu;
    b->net.base.tiles = spki_cuda_tiles;
    b->net.base.construct = spki_cuda_construct;
    b->net.base.build = spki_cuda_enter;
    b->net.base.run = spki_cuda_run;
    b->net.base.pull = spki_gpu_pull;
    b->net.base.describe = spki_gpu_describe;
    b->net.base.destroy = spki_cuda_leave;
    if (garbage) {
        b->result = spki_because(SPK_ERR_UNINITIALISED, b->why, sizeof b->why,
                                 "cuda: the descriptor's sentinels are not 0: start it with = {0}");
    } else if (bad) {
        b->result = spki_because(SPK_ERR_RANGE, b->why, sizeof b->why,
                                 "cuda: indices is NULL, a stream or event comes without its "
                                 "context, a context with indices, one stream for both, or a "
                                 "field of the descriptor is out of range (style %d, exchange %d, "
                                 "time_limit_s %g, %u tiles)",
                                 (int)d.style, (int)d.exchange, d.time_limit_s, d.tiles);
    } else if (!spki_cuda_copy(b)) {
        b->result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                 "cuda: no memory for a descriptor's copies");
    }
    return &b->net.base;
}

SPIKELIB_API spk_backend *spk_cuda_backend_auto(void)
{
    spk_cuda_desc d;
    memset(&d, 0, sizeof d);
    d.or_cpu = true;
    return spk_cuda_backend(&d);
}

#endif
