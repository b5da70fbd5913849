/* ---- >>cl-backend: spk_cl_backend, the network's side of OpenCL ---- */
#ifndef SPIKELIB_GPU_CL_BACKEND_H
#define SPIKELIB_GPU_CL_BACKEND_H

#include "device.h"

#define SPKI_CL_MOST_PARTS 64u

typedef struct spki_cl_backend {
    spki_gpu_net net; /* first: what the network sees */
    spk_cl_desc desc; /* with copies of what it points to */
    uint32_t *indices;
    char *device, *cache_dir;
    spki_cl_library library;
    bool opened;
    spk_result result; /* of opening, or of a bad descriptor */
    char why[600];
} spki_cl_backend;

/* -- opening -- */

/* A device, whole or cut into equal sub-devices, as parts from `at` on. */
SPKI_FN spk_result spki_cl_open_wish(spki_cl_backend *b, const spki_cl_wish *wish, uint32_t at)
{
    const spki_cl_calls *cl = &b->library.calls;
    const uint32_t want = b->desc.sub_devices;
    spki_cl_handle sub[SPKI_CL_MOST_PARTS];
    uint32_t made = 0;
    spk_result result = SPK_OK;
    if (want > 1) {
        const uint32_t units = wish->found.units / want;
        const intptr_t how[3] = {SPKI_CL_DEVICE_PARTITION_EQUALLY, (intptr_t)units, 0};
        const int32_t code =
            units ? cl->clCreateSubDevices(wish->device, how, SPKI_CL_MOST_PARTS, sub, &made) : -18;
        if (code || made < want) {
            for (uint32_t k = 0; !code && k < made; k++) {
                (void)cl->clReleaseDevice(sub[k]);
            }
            return spki_because(SPK_ERR_DEVICE, b->why, sizeof b->why,
                                "opencl \"%s\" cannot be cut into %u parts of %u units: %s (%d)",
                                wish->found.name, want, units, spki_cl_code(code), code);
        }
    }
    for (uint32_t k = 0; k < SPKI_MAX(want, 1u); k++) {
        spki_gpu *gpu = &b->net.part[at + k].gpu;
        if (result != SPK_OK) {
            (void)cl->clReleaseDevice(sub[k]);
            continue;
        }
        b->net.parts = at + k + 1;
        result = spki_cl_open(gpu, &b->net.mem, cl, &b->desc, wish,
                              want > 1 ? sub[k] : wish->device, want > 1);
        if (result != SPK_OK) {
            (void)spki_because(result, b->why, sizeof b->why, "opencl \"%s\": %.400s", gpu->name,
                               gpu->why);
        }
    }
    for (uint32_t k = want; want > 1 && k < made; k++) {
        (void)cl->clReleaseDevice(sub[k]);
    }
    return result;
}

SPKI_FN spk_result spki_cl_open_all(spki_cl_backend *b)
{
    const size_t devices = SPKI_MAX(b->desc.index_count, (size_t)1);
    const uint32_t each = SPKI_MAX(b->desc.sub_devices, 1u);
    if (each > SPKI_CL_MOST_PARTS || devices > SPKI_CL_MOST_PARTS / each) {
        return spki_because(SPK_ERR_RANGE, b->why, sizeof b->why,
                            "opencl: %llu devices of %u parts are more than 64",
                            (spki_llu)devices, each);
    }
    spk_result result = spki_cl_load(&b->desc, &b->library, b->why, sizeof b->why);
    if (result == SPK_OK) {
        b->net.part = (spki_gpu_part *)spki_alloc(&b->net.mem, devices * each,
                                                  sizeof *b->net.part);
        if (!b->net.part) {
            result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                  "opencl: no memory for %llu devices", (spki_llu)devices);
        }
    }
    for (size_t k = 0; k < devices && result == SPK_OK; k++) {
        spki_cl_wish wish;
        result = spki_cl_choose(&b->library.calls, &b->desc, k, &wish, b->why, sizeof b->why);
        if (result == SPK_OK) {
            result = spki_cl_open_wish(b, &wish, (uint32_t)k * each);
        }
    }
    return result;
}

SPKI_FN void spki_cl_open_once(spki_cl_backend *b)
{
    if (!b->opened && b->result == SPK_OK) {
        b->result = spki_cl_open_all(b);
    }
    b->opened = true;
}

/* -- what the network calls -- */

/* How many tiles a device wants: one for each unit where a group of items is to own a tile, up to
   four where more of them fit its local memory with arrivals of 64 steps; else one. */
SPKI_FN uint32_t spki_cl_tiles_of(const spki_gpu *gpu, const spk_net *net)
{
    uint64_t slots = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        slots += (uint64_t)net->population[p].lanes * SPKI_MAX(net->population[p].receptors, 1u);
    }
    const uint64_t bytes = slots * 64 * (net->desc.weight_bits == 32 ? 8 : 4);
    for (uint32_t tiles = gpu->units; gpu->local_bytes && tiles <= 4 * gpu->units;
         tiles += gpu->units) {
        if (bytes / tiles <= gpu->local_bytes) {
            return tiles;
        }
    }
    return gpu->lanes > 1 ? gpu->units : 1;
}

/* Devices that share want some tiles to share. */
SPKI_FN uint32_t spki_cl_tiles(const spk_backend *backend, const spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)(uintptr_t)backend;
    uint32_t tiles = 0;
    spki_cl_open_once(b);
    if (b->desc.tiles) {
        return b->desc.tiles;
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        tiles += spki_cl_tiles_of(&b->net.part[k].gpu, net);
    }
    return SPKI_MAX(tiles * (b->net.parts > 1 ? 4 : 1), 1u);
}

SPKI_FN spk_result spki_cl_construct(spk_backend *backend, spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)backend;
    spki_cl_open_once(b);
    return b->result == SPK_OK ? spki_gpu_construct(net, &b->net, b->desc.construction)
                               : SPK_OK; /* entering says why */
}

SPKI_FN spk_result spki_cl_enter(spk_backend *backend, spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)backend;
    spki_cl_open_once(b);
    if (b->result != SPK_OK) {
        return spki_fail(net, b->result, "%s", b->why);
    }
    return spki_gpu_enter(net, &b->net);
}

SPKI_FN void spki_cl_leave(spk_backend *backend, spk_net *net)
{
    spki_cl_backend *b = (spki_cl_backend *)backend;
    const size_t parts = SPKI_MAX(b->desc.index_count, (size_t)1) *
                         SPKI_MAX(b->desc.sub_devices, 1u);
    spki_mem mem = b->net.mem;
    if (net) {
        spki_gpu_leave(net, &b->net);
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        spki_cl_close(&b->net.part[k].gpu);
    }
    spki_free(&mem, b->net.part, parts, sizeof *b->net.part);
    spki_free(&mem, b->indices, b->desc.index_count, sizeof *b->indices);
    spki_free_string(&mem, b->device);
    spki_free_string(&mem, b->cache_dir);
    spki_free(&mem, b, 1, sizeof *b);
}

/* Where there is no memory for a backend. */
static const struct spk_backend spki_cl_none = SPKI_GPU_NONE("opencl");

SPKI_FN spk_backend *spki_cl_constant(const struct spk_backend *backend)
{
    return (spk_backend *)(uintptr_t)backend;
}

/* Copies what the descriptor points to. */
SPKI_FN bool spki_cl_copy(spki_cl_backend *b)
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

SPIKELIB_API spk_backend *spk_cl_backend(const spk_cl_desc *desc)
{
    spk_cl_desc d;
    spki_mem mem;
    memset(&d, 0, sizeof d);
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    if (desc && !garbage) {
        d = *desc;
    }
    const bool bad = (d.index_count && !d.indices) || (int)d.style < 0 ||
                     d.style > SPK_CL_TILES || !(d.time_limit_s >= 0.0) ||
                     d.index_count > SPKI_CL_MOST_PARTS || d.sub_devices > SPKI_CL_MOST_PARTS ||
                     d.tiles > 65536u || (int)d.construction < 0 ||
                     d.construction > SPK_CONSTRUCTION_DEVICE;
    if (bad) {
        d.index_count = d.sub_devices = 0;
        d.indices = NULL;
    }
    spki_mem_init(&mem, &d.allocator, 0);
    spki_cl_backend *b = (spki_cl_backend *)spki_alloc(&mem, 1, sizeof *b);
    if (!b) {
        return spki_cl_constant(&spki_cl_none);
    }
    b->net.mem = mem;
    b->desc = d;
    b->net.base.name = "opencl";
    b->net.base.or_cpu = d.or_cpu;
    b->net.base.tiles = spki_cl_tiles;
    b->net.base.construct = spki_cl_construct;
    b->net.base.build = spki_cl_enter;
    b->net.base.run = spki_gpu_run_steps;
    b->net.base.pull = spki_gpu_pull;
    b->net.base.describe = spki_gpu_describe;
    b->net.base.destroy = spki_cl_leave;
    if (garbage) {
        b->result = spki_because(SPK_ERR_UNINITIALISED, b->why, sizeof b->why,
                                 "opencl: the descriptor's sentinels are not 0: start it with "
                                 "= {0}");
    } else if (bad) {
        b->result = spki_because(SPK_ERR_RANGE, b->why, sizeof b->why,
                                 "opencl: indices is NULL, or a field of the descriptor is out of "
                                 "range (style %d, time_limit_s %g, %u tiles)",
                                 (int)d.style, d.time_limit_s, d.tiles);
    } else if (!spki_cl_copy(b)) {
        b->result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                 "opencl: no memory for a descriptor's copies");
    }
    return &b->net.base;
}

SPIKELIB_API spk_backend *spk_cl_backend_auto(void)
{
    spk_cl_desc d;
    memset(&d, 0, sizeof d);
    d.or_cpu = true;
    return spk_cl_backend(&d);
}

#endif
