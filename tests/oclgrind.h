/* ---- >>oclgrind: the simulator of OpenCL devices that reports data races and bad accesses ---- */
#ifndef SPIKELIB_TESTS_OCLGRIND_H
#define SPIKELIB_TESTS_OCLGRIND_H

/* To be included after the implementation of spikelib_cl.h. What it is to check and where it says
   what it found are in the environment: OCLGRIND_DATA_RACES, OCLGRIND_CHECK_API, OCLGRIND_LOG. */

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

/* The simulator computes as the host does, but does not claim correct rounding, without which a
   device is refused: here it claims it, and the selftest at each build still has to agree. */
static int32_t (*oclgrind_info)(spki_cl_handle, uint32_t, size_t, void *, size_t *);

static int32_t oclgrind_claim(spki_cl_handle device, uint32_t what, size_t size, void *out,
                              size_t *all)
{
    const int32_t code = oclgrind_info(device, what, size, out, all);
    if (!code && what == SPKI_CL_DEVICE_SINGLE_FP_CONFIG && out && size == 8) {
        uint64_t x;
        memcpy(&x, out, 8);
        x |= SPKI_CL_CORRECTLY_ROUNDED | SPKI_CL_ROUND_TO_NEAREST;
        memcpy(out, &x, 8);
    }
    return code;
}

static void *oclgrind_open(void)
{
    static const char *const place[] = {"liboclgrind-rt.so", "/usr/lib/oclgrind/liboclgrind-rt.so",
                                        "/usr/lib/x86_64-linux-gnu/oclgrind/liboclgrind-rt.so",
                                        "/usr/local/lib/oclgrind/liboclgrind-rt.so"};
    void *handle = NULL;
    for (size_t k = 0; k < sizeof place / sizeof place[0] && !handle; k++) {
        handle = dlopen(place[k], RTLD_NOW | RTLD_LOCAL);
    }
    return handle;
}

static void *oclgrind_symbol(void *ctx, const char *name)
{
    void *found = dlsym(ctx, name);
    if (found && strcmp(name, "clGetDeviceInfo") == 0) {
        int32_t (*mine)(spki_cl_handle, uint32_t, size_t, void *, size_t *) = oclgrind_claim;
        memcpy((void *)&oclgrind_info, &found, sizeof found);
        memcpy(&found, (void *)&mine, sizeof found);
    }
    return found;
}

#endif
