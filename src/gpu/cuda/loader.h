/* ---- >>cuda-loader: the functions of the driver, of NVRTC and of NCCL ---- */
#ifndef SPIKELIB_GPU_CUDA_LOADER_H
#define SPIKELIB_GPU_CUDA_LOADER_H

#include "../host/net.h"
#include "api.h"

#if !defined(_WIN32)
#include <dlfcn.h>
#endif
#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#elif !defined(SPIKELIB_CUDA_NVRTC)
#error "define SPIKELIB_CUDA_NVRTC, or compile this file with nvcc"
#endif

/* What of the driver is used, declared here so that no header of it is needed.
   Source: the CUDA Driver API and NVRTC reference manuals, NVIDIA (CUDA 11.2 to 13.0). Names with
   _v2 are those that the driver's own header gives to the plain ones. */
typedef struct spki_cuda_object *spki_cuda_handle; /* context, stream, event, module, function */
typedef uint64_t spki_cuda_ptr;                    /* device memory */

#if defined(_WIN32)
#define SPKI_CUDA_CALL __stdcall
#else
#define SPKI_CUDA_CALL
#endif

/* A pool's wishes. */
typedef struct spki_cuda_pool_desc {
    int32_t kind, handles, place, device;
    void *security;
    size_t most;
    unsigned char reserved[56];
} spki_cuda_pool_desc;

#define SPKI_CUDA_FUNCTIONS(X)                                                                    \
    X(cuInit, int, (uint32_t))                                                                    \
    X(cuDriverGetVersion, int, (int *))                                                           \
    X(cuGetErrorName, int, (int, const char **))                                                  \
    X(cuDeviceGetCount, int, (int *))                                                             \
    X(cuDeviceGet, int, (int *, int))                                                             \
    X(cuDeviceGetName, int, (char *, int, int))                                                   \
    X(cuDeviceTotalMem_v2, int, (size_t *, int))                                                  \
    X(cuDeviceGetAttribute, int, (int *, int, int))                                               \
    X(cuDevicePrimaryCtxRetain, int, (spki_cuda_handle *, int))                                   \
    X(cuDevicePrimaryCtxRelease_v2, int, (int))                                                   \
    X(cuCtxPushCurrent_v2, int, (spki_cuda_handle))                                               \
    X(cuCtxPopCurrent_v2, int, (spki_cuda_handle *))                                              \
    X(cuCtxGetDevice, int, (int *))                                                               \
    X(cuStreamCreate, int, (spki_cuda_handle *, uint32_t))                                        \
    X(cuStreamDestroy_v2, int, (spki_cuda_handle))                                                \
    X(cuStreamSynchronize, int, (spki_cuda_handle))                                               \
    X(cuStreamWaitEvent, int, (spki_cuda_handle, spki_cuda_handle, uint32_t))                     \
    X(cuEventCreate, int, (spki_cuda_handle *, uint32_t))                                         \
    X(cuEventDestroy_v2, int, (spki_cuda_handle))                                                 \
    X(cuEventRecord, int, (spki_cuda_handle, spki_cuda_handle))                                   \
    X(cuEventQuery, int, (spki_cuda_handle))                                                      \
    X(cuEventSynchronize, int, (spki_cuda_handle))                                                \
    X(cuMemPoolCreate, int, (spki_cuda_handle *, const spki_cuda_pool_desc *))                    \
    X(cuMemPoolDestroy, int, (spki_cuda_handle))                                                  \
    X(cuMemPoolSetAttribute, int, (spki_cuda_handle, int, void *))                                \
    X(cuMemAllocFromPoolAsync, int,                                                               \
      (spki_cuda_ptr *, size_t, spki_cuda_handle, spki_cuda_handle))                              \
    X(cuMemFreeAsync, int, (spki_cuda_ptr, spki_cuda_handle))                                     \
    X(cuMemAlloc_v2, int, (spki_cuda_ptr *, size_t))                                              \
    X(cuMemFree_v2, int, (spki_cuda_ptr))                                                         \
    X(cuMemHostAlloc, int, (void **, size_t, uint32_t))                                           \
    X(cuMemFreeHost, int, (void *))                                                               \
    X(cuMemcpyHtoDAsync_v2, int, (spki_cuda_ptr, const void *, size_t, spki_cuda_handle))         \
    X(cuMemcpyDtoHAsync_v2, int, (void *, spki_cuda_ptr, size_t, spki_cuda_handle))               \
    X(cuMemcpyPeerAsync, int,                                                                     \
      (spki_cuda_ptr, spki_cuda_handle, spki_cuda_ptr, spki_cuda_handle, size_t,                  \
       spki_cuda_handle))                                                                         \
    X(cuMemsetD8Async, int, (spki_cuda_ptr, unsigned char, size_t, spki_cuda_handle))             \
    X(cuModuleLoadData, int, (spki_cuda_handle *, const void *))                                  \
    X(cuModuleUnload, int, (spki_cuda_handle))                                                    \
    X(cuModuleGetFunction, int, (spki_cuda_handle *, spki_cuda_handle, const char *))             \
    X(cuFuncSetAttribute, int, (spki_cuda_handle, int, int))                                      \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor, int, (int *, spki_cuda_handle, int, size_t))   \
    X(cuLaunchKernel, int,                                                                        \
      (spki_cuda_handle, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,    \
       spki_cuda_handle, void **, void **))                                                       \
    X(cuLaunchCooperativeKernel, int,                                                             \
      (spki_cuda_handle, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,    \
       spki_cuda_handle, void **))
/* For >>cuda-graph alone: CUDA 11.4. */
#define SPKI_CUDA_GRAPH_FUNCTIONS(X)                                                              \
    X(cuStreamBeginCapture_v2, int, (spki_cuda_handle, int))                                      \
    X(cuStreamEndCapture, int, (spki_cuda_handle, spki_cuda_handle *))                            \
    X(cuGraphInstantiateWithFlags, int,                                                           \
      (spki_cuda_handle *, spki_cuda_handle, unsigned long long))                                 \
    X(cuGraphDestroy, int, (spki_cuda_handle))                                                    \
    X(cuGraphLaunch, int, (spki_cuda_handle, spki_cuda_handle))                                   \
    X(cuGraphExecDestroy, int, (spki_cuda_handle))
#define SPKI_NVRTC_FUNCTIONS(X)                                                                   \
    X(nvrtcVersion, int, (int *, int *))                                                          \
    X(nvrtcGetErrorString, const char *, (int))                                                   \
    X(nvrtcCreateProgram, int,                                                                    \
      (spki_cuda_handle *, const char *, const char *, int, const char *const *,                  \
       const char *const *))                                                                      \
    X(nvrtcDestroyProgram, int, (spki_cuda_handle *))                                             \
    X(nvrtcCompileProgram, int, (spki_cuda_handle, int, const char *const *))                     \
    X(nvrtcGetPTXSize, int, (spki_cuda_handle, size_t *))                                         \
    X(nvrtcGetPTX, int, (spki_cuda_handle, char *))                                               \
    X(nvrtcGetCUBINSize, int, (spki_cuda_handle, size_t *))                                       \
    X(nvrtcGetCUBIN, int, (spki_cuda_handle, char *))                                             \
    X(nvrtcGetProgramLogSize, int, (spki_cuda_handle, size_t *))                                  \
    X(nvrtcGetProgramLog, int, (spki_cuda_handle, char *))
#define SPKI_NCCL_FUNCTIONS(X)                                                                    \
    X(ncclCommInitAll, int, (spki_cuda_handle *, int, const int *))                               \
    X(ncclCommDestroy, int, (spki_cuda_handle))                                                   \
    X(ncclGroupStart, int, (void))                                                                \
    X(ncclGroupEnd, int, (void))                                                                  \
    X(ncclBroadcast, int,                                                                         \
      (const void *, void *, size_t, int, int, spki_cuda_handle, spki_cuda_handle))               \
    X(ncclGetErrorString, const char *, (int))

typedef struct spki_cuda_calls {
#define SPKI_CUDA_MEMBER(name, result, args) result(SPKI_CUDA_CALL *name) args;
    SPKI_CUDA_FUNCTIONS(SPKI_CUDA_MEMBER)
    SPKI_CUDA_GRAPH_FUNCTIONS(SPKI_CUDA_MEMBER)
    SPKI_NVRTC_FUNCTIONS(SPKI_CUDA_MEMBER)
    SPKI_NCCL_FUNCTIONS(SPKI_CUDA_MEMBER)
#undef SPKI_CUDA_MEMBER
    bool has_nvrtc, has_nccl;
} spki_cuda_calls;

enum {
    SPKI_CUDA_OUT_OF_MEMORY = 2,
    SPKI_CUDA_NO_DEVICE = 100,
    SPKI_CUDA_NOT_READY = 600,
    SPKI_NVRTC_OUT_OF_MEMORY = 1,
    SPKI_NVRTC_INVALID_OPTION = 5,
    SPKI_NVRTC_COMPILATION = 6,
    SPKI_NCCL_UINT8 = 1,
    SPKI_CUDA_OLDEST = 11020, /* memory pools */
    SPKI_CUDA_UNITS = 16,     /* attributes of devices */
    SPKI_CUDA_COMPUTE_MODE = 20,
    SPKI_CUDA_MAJOR = 75,
    SPKI_CUDA_MINOR = 76,
    SPKI_CUDA_COOPERATIVE = 95,
    SPKI_CUDA_SHARED_MOST = 97,
    SPKI_CUDA_HAS_POOLS = 115,
    SPKI_CUDA_PROHIBITED = 2, /* a compute mode */
    SPKI_CUDA_POOL_KEEPS = 4, /* of a pool: bytes that it does not give back when idle */
    SPKI_CUDA_SHARED_BYTES = 8, /* of a function: dynamic shared memory it may have */
    SPKI_CUDA_NON_BLOCKING = 1, /* a stream that does not wait for the default one */
    SPKI_CUDA_NO_TIMING = 2,    /* an event */
    SPKI_CUDA_OF_THREAD = 1     /* capture: only what this thread does has to keep to its rules */
};

typedef struct spki_cuda_library {
    spki_cuda_calls calls;
} spki_cuda_library;

/* POSIX gives functions as object pointers. */
SPKI_FN bool spki_cuda_bind(void *member, void *symbol)
{
    memcpy(member, &symbol, sizeof symbol);
    return symbol != NULL;
}

SPKI_FN void *spki_cuda_find(void *handle, const char *name)
{
#if defined(_WIN32)
    FARPROC found = handle ? GetProcAddress((HMODULE)handle, name) : NULL;
    void *symbol;
    memcpy(&symbol, &found, sizeof symbol);
    return symbol;
#else
    return handle ? dlsym(handle, name) : NULL;
#endif
}

SPKI_FN void *spki_cuda_open_path(const char *path)
{
#if defined(_WIN32)
    return (void *)LoadLibraryA(path);
#else
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
#endif
}

/* The first of the names that can be opened, as it is or in the toolkit's folder. */
SPKI_FN void *spki_cuda_open_library(const char *const *name)
{
    static const char *const variable[] = {"CUDA_PATH", "CUDA_HOME"};
    static const char *const folder[] = {"lib64", "lib", "bin", "bin/x64"};
    void *handle = NULL;
    for (size_t k = 0; name[k] && !handle; k++) {
        handle = spki_cuda_open_path(name[k]);
    }
    for (size_t v = 0; v < 2 && !handle; v++) {
        const char *root = getenv(variable[v]);
        for (size_t k = 0; root && name[k] && !handle; k++) {
            for (size_t f = 0; f < 4 && !handle; f++) {
                char path[1024];
                const int n = snprintf(path, sizeof path, "%s/%s/%s", root, folder[f], name[k]);
                handle = n > 0 && (size_t)n < sizeof path ? spki_cuda_open_path(path) : NULL;
            }
        }
    }
    return handle;
}

#if defined(_WIN32)
static const char *const spki_cuda_driver_names[] = {"nvcuda.dll", NULL};
static const char *const spki_cuda_nvrtc_names[] = {"nvrtc64_130_0.dll", "nvrtc64_120_0.dll",
                                                    "nvrtc64_112_0.dll", NULL};
static const char *const spki_cuda_nccl_names[] = {"nccl.dll", NULL};
#else
static const char *const spki_cuda_driver_names[] = {"libcuda.so.1", "libcuda.so", NULL};
static const char *const spki_cuda_nvrtc_names[] = {"libnvrtc.so.13", "libnvrtc.so.12",
                                                    "libnvrtc.so.11.2", "libnvrtc.so", NULL};
static const char *const spki_cuda_nccl_names[] = {"libnccl.so.2", "libnccl.so", NULL};
#endif

/* A function of the driver. With nvcc the runtime that it links knows where they are. */
SPKI_FN void *spki_cuda_driver_symbol(const spk_cuda_desc *desc, void *handle, const char *name)
{
    if (desc->symbol) {
        return desc->symbol(desc->symbol_ctx, name);
    }
#if defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)
    char plain[64];
    void *found = NULL;
    cudaDriverEntryPointQueryResult how;
    const size_t n = strlen(name);
    const bool later = n > 3 && strcmp(name + n - 3, "_v2") == 0;
    (void)handle;
    snprintf(plain, sizeof plain, "%.*s", (int)(later ? n - 3 : n), name);
    return cudaGetDriverEntryPointByVersion(plain, &found, 12000, cudaEnableDefault, &how) ==
                       cudaSuccess &&
                   how == cudaDriverEntryPointSuccess
               ? found
               : NULL;
#else
    return spki_cuda_find(handle, name);
#endif
}

SPKI_FN bool spki_cuda_load_driver(const spk_cuda_desc *desc, spki_cuda_calls *calls, char *why,
                                   size_t why_size)
{
    void *handle = NULL;
    const char *missing = NULL;
#if !defined(__CUDACC__) || defined(SPIKELIB_CUDA_NVRTC)
    if (!desc->symbol && !(handle = spki_cuda_open_library(spki_cuda_driver_names))) {
        (void)spki_because(SPK_ERR_DEVICE, why, why_size,
                           "cuda: there is no driver (libcuda.so.1, nvcuda.dll)");
        return false;
    }
#endif
#define SPKI_CUDA_BIND(name, result, args)                                                        \
    if (!spki_cuda_bind((void *)&calls->name, spki_cuda_driver_symbol(desc, handle, #name))) {    \
        missing = missing ? missing : #name;                                                      \
    }
    SPKI_CUDA_FUNCTIONS(SPKI_CUDA_BIND)
    if (!missing && desc->style == SPK_CUDA_GRAPH) {
        SPKI_CUDA_GRAPH_FUNCTIONS(SPKI_CUDA_BIND)
        if (missing) {
            (void)spki_because(SPK_ERR_DEVICE, why, why_size,
                               "cuda: the driver has no %s (SPK_CUDA_GRAPH needs CUDA 11.4 or "
                               "later)", missing);
            return false;
        }
    }
#undef SPKI_CUDA_BIND
    if (missing && strcmp(missing, "cuInit") == 0) {
        (void)spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: there is no driver");
    } else if (missing) {
        (void)spki_because(SPK_ERR_DEVICE, why, why_size,
                           "cuda: the driver has no %s (CUDA 11.2 or later is needed)", missing);
    }
    return !missing;
}

/* The libraries stay loaded: drivers do not all survive being unloaded. NVRTC and NCCL may be
   absent. */
SPKI_FN spk_result spki_cuda_load(const spk_cuda_desc *desc, spki_cuda_library *library, char *why,
                                  size_t why_size)
{
    spki_cuda_calls *calls = &library->calls;
    int code, version = 0;
    memset(library, 0, sizeof *library);
    if (!spki_cuda_load_driver(desc, calls, why, why_size)) {
        return SPK_ERR_DEVICE;
    }
    code = calls->cuInit(0);
    if (code == 0) {
        code = calls->cuDriverGetVersion(&version);
    }
    if (code != 0) {
        return code == SPKI_CUDA_NO_DEVICE
                   ? spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: there are no devices")
                   : spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: cuInit returned %d", code);
    }
    if (version < SPKI_CUDA_OLDEST) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "cuda: the driver is one of CUDA %d.%d; 11.2 or later is needed",
                            version / 1000, version % 1000 / 10);
    }
    return SPK_OK;
}

#define SPKI_CUDA_TAKE(name, result, args)                                                        \
    ok = spki_cuda_bind((void *)&calls->name,                                                     \
                        desc->symbol ? desc->symbol(desc->symbol_ctx, #name)                      \
                                     : spki_cuda_find(handle, #name)) && ok;
/* NVRTC, when there is something to compile. */
SPKI_FN bool spki_cuda_load_nvrtc(const spk_cuda_desc *desc, spki_cuda_calls *calls)
{
    if (!calls->has_nvrtc) {
        void *handle = desc->symbol ? NULL : spki_cuda_open_library(spki_cuda_nvrtc_names);
        bool ok = true;
        SPKI_NVRTC_FUNCTIONS(SPKI_CUDA_TAKE)
        calls->has_nvrtc = ok;
    }
    return calls->has_nvrtc;
}

/* NCCL, when there are several devices. */
SPKI_FN bool spki_cuda_load_nccl(const spk_cuda_desc *desc, spki_cuda_calls *calls)
{
    if (!calls->has_nccl) {
        void *handle = desc->symbol ? NULL : spki_cuda_open_library(spki_cuda_nccl_names);
        bool ok = true;
        SPKI_NCCL_FUNCTIONS(SPKI_CUDA_TAKE)
        calls->has_nccl = ok;
    }
    return calls->has_nccl;
}
#undef SPKI_CUDA_TAKE

#endif
