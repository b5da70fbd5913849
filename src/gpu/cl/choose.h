/* ---- >>cl-choose: which devices there are, and which of them to take ---- */
#ifndef SPIKELIB_GPU_CL_CHOOSE_H
#define SPIKELIB_GPU_CL_CHOOSE_H

#include "../host/names.h"
#include "loader.h"

#define SPKI_CL_PLATFORMS 32u
#define SPKI_CL_DEVICES 64u /* of one platform */

SPKI_FN void spki_cl_text(const spki_cl_calls *cl, spki_cl_handle device, uint32_t what, char *out,
                          size_t size)
{
    char text[256] = "";
    if (cl->clGetDeviceInfo(device, what, sizeof text - 1, text, NULL)) {
        text[0] = 0;
    }
    snprintf(out, size, "%.*s", (int)size - 1, text);
}

SPKI_FN uint64_t spki_cl_number(const spki_cl_calls *cl, spki_cl_handle device, uint32_t what,
                                size_t size)
{
    unsigned char bytes[8] = {0};
    uint64_t x = 0;
    if (cl->clGetDeviceInfo(device, what, size, bytes, NULL)) {
        return 0;
    }
    if (size == 4) {
        uint32_t word;
        memcpy(&word, bytes, 4);
        return word;
    }
    memcpy(&x, bytes, 8);
    return x;
}

SPKI_FN bool spki_cl_extension(const spki_cl_calls *cl, spki_cl_handle device, const char *name)
{
    char text[8192] = "";
    return cl->clGetDeviceInfo(device, SPKI_CL_DEVICE_EXTENSIONS, sizeof text - 1, text, NULL) ==
               0 &&
           strstr(text, name) != NULL;
}

SPKI_FN void spki_cl_refuse(spk_cl_device *d, const char *why)
{
    d->usable = false;
    snprintf(d->why, sizeof d->why, "%s", why);
}

/* What a device is, and whether its spikes can be the same. */
SPKI_FN void spki_cl_describe(const spki_cl_calls *cl, spki_cl_handle platform,
                              spki_cl_handle device, uint32_t index, spk_cl_device *d)
{
    char text[128] = "", version[64];
    memset(d, 0, sizeof *d);
    d->index = index;
    d->usable = true;
    if (platform && cl->clGetPlatformInfo(platform, SPKI_CL_PLATFORM_NAME, sizeof text - 1, text,
                                          NULL) == 0) {
        snprintf(d->platform, sizeof d->platform, "%s", text);
    }
    spki_cl_text(cl, device, SPKI_CL_DEVICE_NAME, d->name, sizeof d->name);
    spki_cl_text(cl, device, SPKI_CL_DRIVER_VERSION, d->driver, sizeof d->driver);
    spki_cl_text(cl, device, SPKI_CL_DEVICE_VERSION, version, sizeof version);
    const uint64_t type = spki_cl_number(cl, device, SPKI_CL_DEVICE_TYPE, 8);
    const uint64_t fp = spki_cl_number(cl, device, SPKI_CL_DEVICE_SINGLE_FP_CONFIG, 8);
    d->is_cpu = (type & SPKI_CL_TYPE_CPU) != 0;
    d->is_gpu = (type & SPKI_CL_TYPE_GPU) != 0;
    d->units = (uint32_t)spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    d->memory_bytes = spki_cl_number(cl, device, SPKI_CL_DEVICE_GLOBAL_MEM_SIZE, 8);
    d->block_bytes = spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
    d->has_double = spki_cl_extension(cl, device, "cl_khr_fp64");
    if (strncmp(version, "OpenCL ", 7) != 0 || strncmp(version, "OpenCL 1.0", 10) == 0 ||
        strncmp(version, "OpenCL 1.1", 10) == 0) {
        spki_cl_refuse(d, "it is older than OpenCL 1.2");
    } else if (!spki_cl_number(cl, device, SPKI_CL_DEVICE_AVAILABLE, 4) ||
               !spki_cl_number(cl, device, SPKI_CL_DEVICE_COMPILER_AVAILABLE, 4)) {
        spki_cl_refuse(d, "the device or its compiler is not available");
    } else if (!(fp & SPKI_CL_CORRECTLY_ROUNDED) || !(fp & SPKI_CL_ROUND_TO_NEAREST)) {
        spki_cl_refuse(d, "its 32-bit division and roots are not correctly rounded");
    } else if (!spki_cl_number(cl, device, SPKI_CL_DEVICE_ENDIAN_LITTLE, 4)) {
        spki_cl_refuse(d, "it is not little-endian");
    } else if (spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t)) <
               SPKI_GPU_SCAN_ITEMS) {
        spki_cl_refuse(d, "its groups have fewer than 256 items");
    }
}

/* Calls `each` for all devices in order, until it returns false. */
typedef bool (*spki_cl_each_fn)(void *ctx, spki_cl_handle platform, spki_cl_handle device,
                                const spk_cl_device *d);
SPKI_FN spk_result spki_cl_each(const spki_cl_calls *cl, spki_cl_each_fn each, void *ctx, char *why,
                                size_t why_size)
{
    spki_cl_handle platform[SPKI_CL_PLATFORMS], device[SPKI_CL_DEVICES];
    uint32_t platforms = 0, devices = 0, index = 0;
    int32_t code = cl->clGetPlatformIDs(SPKI_CL_PLATFORMS, platform, &platforms);
    if (code && code != SPKI_CL_PLATFORM_NOT_FOUND) {
        return spki_because(spki_cl_result(code), why, why_size,
                            "opencl: clGetPlatformIDs returned %s (%d)", spki_cl_code(code), code);
    }
    platforms = code ? 0 : SPKI_MIN(platforms, SPKI_CL_PLATFORMS);
    for (uint32_t p = 0; p < platforms; p++) {
        code = cl->clGetDeviceIDs(platform[p], SPKI_CL_TYPE_ALL, SPKI_CL_DEVICES, device, &devices);
        for (uint32_t k = 0; !code && k < SPKI_MIN(devices, SPKI_CL_DEVICES); k++) {
            spk_cl_device d;
            spki_cl_describe(cl, platform[p], device[k], index++, &d);
            if (!each(ctx, platform[p], device[k], &d)) {
                return SPK_OK;
            }
        }
    }
    return index ? SPK_OK
                 : spki_because(SPK_ERR_DEVICE, why, why_size, "opencl: there are no devices");
}

typedef struct spki_cl_listing {
    spk_cl_device *out;
    size_t capacity, count;
} spki_cl_listing;

SPKI_FN bool spki_cl_list_one(void *ctx, spki_cl_handle platform, spki_cl_handle device,
                              const spk_cl_device *d)
{
    spki_cl_listing *l = (spki_cl_listing *)ctx;
    (void)platform;
    (void)device;
    if (l->out && l->count < l->capacity) {
        l->out[l->count] = *d;
    }
    l->count++;
    return true;
}

SPIKELIB_API size_t spk_cl_devices(const spk_cl_desc *desc, spk_cl_device *devices,
                                   size_t capacity, char *why, size_t why_size)
{
    spk_cl_desc none;
    spki_cl_library library;
    spki_cl_listing listing = {devices, capacity, 0};
    memset(&none, 0, sizeof none);
    if (why && why_size) {
        why[0] = 0;
    }
    if (spki_cl_load(desc ? desc : &none, &library, why, why_size) == SPK_OK) {
        (void)spki_cl_each(&library.calls, spki_cl_list_one, &listing, why, why_size);
    }
    return listing.count;
}

/* -- choosing -- */

/* A wish, and what fulfils it so far. */
typedef struct spki_cl_wish {
    const spk_cl_desc *desc;
    uint32_t index;  /* UINT32_MAX: by name and score */
    spki_cl_handle platform, device;
    spk_cl_device found;
    double score;
    char seen[300];  /* names, for the message */
} spki_cl_wish;

SPKI_FN double spki_cl_score(const spk_cl_desc *desc, const spk_cl_device *d)
{
    if (desc->score) {
        return desc->score(desc->score_ctx, d);
    }
    return (d->is_gpu ? 1e6 : 0.0) + (double)d->units + (double)d->memory_bytes * 1e-9;
}

SPKI_FN bool spki_cl_wish_one(void *ctx, spki_cl_handle platform, spki_cl_handle device,
                              const spk_cl_device *d)
{
    spki_cl_wish *w = (spki_cl_wish *)ctx;
    const spk_cl_desc *desc = w->desc;
    spki_gpu_seen(w->seen, sizeof w->seen, d->name, d->usable, d->why);
    if (w->index != UINT32_MAX ? d->index != w->index
                               : desc->device && !spki_gpu_has(d->name, desc->device) &&
                                     !spki_gpu_has(d->platform, desc->device)) {
        return true;
    }
    const double score = w->index != UINT32_MAX || !d->usable ? 0.0 : spki_cl_score(desc, d);
    if (!(score >= 0.0) || (w->index == UINT32_MAX && !d->usable)) {
        return true;
    }
    if (!w->device || score > w->score) {
        w->platform = platform;
        w->device = device;
        w->found = *d;
        w->score = score;
    }
    return true;
}

/* The device that the descriptor asks for: number k of its indices, or the best. */
SPKI_FN spk_result spki_cl_choose(const spki_cl_calls *cl, const spk_cl_desc *desc, size_t k,
                                  spki_cl_wish *wish, char *why, size_t why_size)
{
    memset(wish, 0, sizeof *wish);
    wish->desc = desc;
    wish->index = desc->index_count ? desc->indices[k] : UINT32_MAX;
    const spk_result result = spki_cl_each(cl, spki_cl_wish_one, wish, why, why_size);
    if (result != SPK_OK) {
        return result;
    }
    if (!wish->device && desc->index_count) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "opencl: there is no device number %u; there are %s",
                            desc->indices[k], wish->seen);
    }
    if (!wish->device) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "opencl: no usable device%s%s%s; there are %s",
                            desc->device ? " named \"" : "", desc->device ? desc->device : "",
                            desc->device ? "\"" : "", wish->seen);
    }
    if (!wish->found.usable) {
        return spki_because(SPK_ERR_DEVICE, why, why_size, "opencl: \"%s\" cannot be used: %s",
                            wish->found.name, wish->found.why);
    }
    return SPK_OK;
}

#endif
