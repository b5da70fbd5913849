/* ---- >>cuda-choose: which devices there are, and which of them to take ---- */
#ifndef SPIKELIB_GPU_CUDA_CHOOSE_H
#define SPIKELIB_GPU_CUDA_CHOOSE_H

#include "../host/names.h"
#include "loader.h"

SPKI_FN int spki_cuda_attribute(const spki_cuda_calls *cu, int device, int what)
{
    int x = 0;
    return cu->cuDeviceGetAttribute(&x, what, device) == 0 ? x : 0;
}

SPKI_FN void spki_cuda_refuse(spk_cuda_device *d, const char *why)
{
    d->usable = false;
    snprintf(d->why, sizeof d->why, "%s", why);
}

SPKI_FN void spki_cuda_describe(const spki_cuda_calls *cu, uint32_t index, spk_cuda_device *d)
{
    int device = 0, version = 0;
    size_t memory = 0;
    memset(d, 0, sizeof *d);
    d->index = index;
    d->usable = true;
    if (cu->cuDeviceGet(&device, (int)index) != 0 ||
        cu->cuDeviceGetName(d->name, (int)sizeof d->name - 1, device) != 0 ||
        cu->cuDeviceTotalMem_v2(&memory, device) != 0) {
        spki_cuda_refuse(d, "the driver cannot describe it");
        return;
    }
    (void)cu->cuDriverGetVersion(&version);
    d->driver = (uint32_t)version;
    d->memory_bytes = memory;
    d->units = (uint32_t)spki_cuda_attribute(cu, device, SPKI_CUDA_UNITS);
    d->major = (uint32_t)spki_cuda_attribute(cu, device, SPKI_CUDA_MAJOR);
    d->minor = (uint32_t)spki_cuda_attribute(cu, device, SPKI_CUDA_MINOR);
    d->shared_bytes = (uint64_t)spki_cuda_attribute(cu, device, SPKI_CUDA_SHARED_MOST);
    if (d->major < 7) {
        spki_cuda_refuse(d, "its compute capability is below 7.0");
    } else if (spki_cuda_attribute(cu, device, SPKI_CUDA_COMPUTE_MODE) == SPKI_CUDA_PROHIBITED) {
        spki_cuda_refuse(d, "its compute mode prohibits work");
    } else if (sizeof(void *) < 8) {
        spki_cuda_refuse(d, "this program is one of 32 bits");
    }
}

SPKI_FN spk_result spki_cuda_count(const spki_cuda_calls *cu, uint32_t *count, char *why,
                                   size_t why_size)
{
    int n = 0;
    const int code = cu->cuDeviceGetCount(&n);
    *count = code == 0 && n > 0 ? (uint32_t)n : 0;
    if (code) {
        return spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: cuDeviceGetCount returned %d",
                            code);
    }
    return *count ? SPK_OK
                  : spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: there are no devices");
}

SPIKELIB_API size_t spk_cuda_devices(const spk_cuda_desc *desc, spk_cuda_device *devices,
                                     size_t capacity, char *why, size_t why_size)
{
    spk_cuda_desc none;
    spki_cuda_library library;
    uint32_t count = 0;
    memset(&none, 0, sizeof none);
    if (why && why_size) {
        why[0] = 0;
    }
    if (spki_cuda_load(desc ? desc : &none, &library, why, why_size) != SPK_OK ||
        spki_cuda_count(&library.calls, &count, why, why_size) != SPK_OK) {
        return 0;
    }
    for (uint32_t k = 0; devices && k < count && k < capacity; k++) {
        spki_cuda_describe(&library.calls, k, &devices[k]);
    }
    return count;
}

/* -- choosing -- */

SPKI_FN double spki_cuda_score(const spk_cuda_desc *desc, const spk_cuda_device *d)
{
    if (desc->score) {
        return desc->score(desc->score_ctx, d);
    }
    return (double)d->units * (double)d->memory_bytes;
}

/* The best of all devices that may be taken. */
SPKI_FN spk_result spki_cuda_best(const spki_cuda_calls *cu, const spk_cuda_desc *desc,
                                  uint32_t count, spk_cuda_device *found, char *why,
                                  size_t why_size)
{
    char seen[300] = "";
    double best = -1.0;
    for (uint32_t k = 0; k < count; k++) {
        spk_cuda_device d;
        spki_cuda_describe(cu, k, &d);
        spki_gpu_seen(seen, sizeof seen, d.name, d.usable, d.why);
        if (!d.usable || (desc->device && !spki_gpu_has(d.name, desc->device))) {
            continue;
        }
        const double score = spki_cuda_score(desc, &d);
        if (score >= 0.0 && score > best) {
            best = score;
            *found = d;
        }
    }
    return best >= 0.0
               ? SPK_OK
               : spki_because(SPK_ERR_DEVICE, why, why_size,
                              "cuda: no usable device%s%s%s; there are %s",
                              desc->device ? " named \"" : "", desc->device ? desc->device : "",
                              desc->device ? "\"" : "", seen);
}

/* The device of the caller's context. */
SPKI_FN spk_result spki_cuda_of_context(const spki_cuda_calls *cu, const spk_cuda_desc *desc,
                                        uint32_t count, spk_cuda_device *found, char *why,
                                        size_t why_size)
{
    spki_cuda_handle context = (spki_cuda_handle)desc->context, before;
    int device = 0, handle = 0;
    int code = cu->cuCtxPushCurrent_v2(context);
    if (code == 0) {
        code = cu->cuCtxGetDevice(&device);
        (void)cu->cuCtxPopCurrent_v2(&before);
    }
    for (uint32_t k = 0; code == 0 && k < count; k++) {
        if (cu->cuDeviceGet(&handle, (int)k) == 0 && handle == device) {
            spki_cuda_describe(cu, k, found);
            return SPK_OK;
        }
    }
    return spki_because(SPK_ERR_DEVICE, why, why_size,
                        "cuda: the context is none of a device's (%d)", code);
}

/* The device that the descriptor asks for: number k of its indices, or its context's, or the
   best. */
SPKI_FN spk_result spki_cuda_choose(const spki_cuda_calls *cu, const spk_cuda_desc *desc, size_t k,
                                    spk_cuda_device *found, char *why, size_t why_size)
{
    uint32_t count = 0;
    spk_result result = spki_cuda_count(cu, &count, why, why_size);
    if (result != SPK_OK) {
        return result;
    }
    if (desc->context) {
        result = spki_cuda_of_context(cu, desc, count, found, why, why_size);
    } else if (!desc->index_count) {
        result = spki_cuda_best(cu, desc, count, found, why, why_size);
    } else if (desc->indices[k] >= count) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "cuda: there is no device number %u; there are %u", desc->indices[k],
                            count);
    } else {
        spki_cuda_describe(cu, desc->indices[k], found);
    }
    if (result == SPK_OK && !found->usable) {
        return spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: \"%s\" cannot be used: %s",
                            found->name, found->why);
    }
    return result;
}

#endif
