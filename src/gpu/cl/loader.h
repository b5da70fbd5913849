/* ---- >>cl-loader: the functions of OpenCL, found at run time ---- */
#ifndef SPIKELIB_GPU_CL_LOADER_H
#define SPIKELIB_GPU_CL_LOADER_H

#include "../host/net.h"
#include "api.h"

#if !defined(SPIKELIB_CL_LINK) && !defined(_WIN32)
#include <dlfcn.h>
#endif

#if defined(_WIN32)
#define SPKI_CL_CALL __stdcall
#else
#define SPKI_CL_CALL
#endif

/* What of OpenCL 1.2 is used, declared here so that no header of it is needed.
   Source: the OpenCL 1.2 specification, Khronos (2012), and its registry of constants. */
typedef struct spki_cl_object *spki_cl_handle; /* platform, device, context, queue, .. */

#define SPKI_CL_FUNCTIONS(X)                                                                      \
    X(clGetPlatformIDs, int32_t, (uint32_t, spki_cl_handle *, uint32_t *))                        \
    X(clGetPlatformInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))           \
    X(clGetDeviceIDs, int32_t,                                                                    \
      (spki_cl_handle, uint64_t, uint32_t, spki_cl_handle *, uint32_t *))                         \
    X(clGetDeviceInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))             \
    X(clCreateSubDevices, int32_t,                                                                \
      (spki_cl_handle, const intptr_t *, uint32_t, spki_cl_handle *, uint32_t *))                 \
    X(clReleaseDevice, int32_t, (spki_cl_handle))                                                 \
    X(clCreateContext, spki_cl_handle,                                                            \
      (const intptr_t *, uint32_t, const spki_cl_handle *,                                        \
       void(SPKI_CL_CALL *)(const char *, const void *, size_t, void *), void *, int32_t *))      \
    X(clReleaseContext, int32_t, (spki_cl_handle))                                                \
    X(clCreateCommandQueue, spki_cl_handle,                                                       \
      (spki_cl_handle, spki_cl_handle, uint64_t, int32_t *))                                      \
    X(clReleaseCommandQueue, int32_t, (spki_cl_handle))                                           \
    X(clCreateBuffer, spki_cl_handle, (spki_cl_handle, uint64_t, size_t, void *, int32_t *))      \
    X(clReleaseMemObject, int32_t, (spki_cl_handle))                                              \
    X(clCreateProgramWithSource, spki_cl_handle,                                                  \
      (spki_cl_handle, uint32_t, const char **, const size_t *, int32_t *))                       \
    X(clCreateProgramWithBinary, spki_cl_handle,                                                  \
      (spki_cl_handle, uint32_t, const spki_cl_handle *, const size_t *, const unsigned char **,  \
       int32_t *, int32_t *))                                                                     \
    X(clBuildProgram, int32_t,                                                                    \
      (spki_cl_handle, uint32_t, const spki_cl_handle *, const char *,                            \
       void(SPKI_CL_CALL *)(spki_cl_handle, void *), void *))                                     \
    X(clGetProgramBuildInfo, int32_t,                                                             \
      (spki_cl_handle, spki_cl_handle, uint32_t, size_t, void *, size_t *))                       \
    X(clGetProgramInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))            \
    X(clReleaseProgram, int32_t, (spki_cl_handle))                                                \
    X(clCreateKernel, spki_cl_handle, (spki_cl_handle, const char *, int32_t *))                  \
    X(clSetKernelArg, int32_t, (spki_cl_handle, uint32_t, size_t, const void *))                  \
    X(clReleaseKernel, int32_t, (spki_cl_handle))                                                 \
    X(clEnqueueWriteBuffer, int32_t,                                                              \
      (spki_cl_handle, spki_cl_handle, uint32_t, size_t, size_t, const void *, uint32_t,          \
       const spki_cl_handle *, spki_cl_handle *))                                                 \
    X(clEnqueueReadBuffer, int32_t,                                                               \
      (spki_cl_handle, spki_cl_handle, uint32_t, size_t, size_t, void *, uint32_t,                \
       const spki_cl_handle *, spki_cl_handle *))                                                 \
    X(clEnqueueFillBuffer, int32_t,                                                               \
      (spki_cl_handle, spki_cl_handle, const void *, size_t, size_t, size_t, uint32_t,            \
       const spki_cl_handle *, spki_cl_handle *))                                                 \
    X(clEnqueueNDRangeKernel, int32_t,                                                            \
      (spki_cl_handle, spki_cl_handle, uint32_t, const size_t *, const size_t *, const size_t *,  \
       uint32_t, const spki_cl_handle *, spki_cl_handle *))                                       \
    X(clFlush, int32_t, (spki_cl_handle))                                                         \
    X(clFinish, int32_t, (spki_cl_handle))                                                        \
    X(clWaitForEvents, int32_t, (uint32_t, const spki_cl_handle *))                               \
    X(clGetEventInfo, int32_t, (spki_cl_handle, uint32_t, size_t, void *, size_t *))              \
    X(clReleaseEvent, int32_t, (spki_cl_handle))

typedef struct spki_cl_calls {
#define SPKI_CL_MEMBER(name, result, args) result(SPKI_CL_CALL *name) args;
    SPKI_CL_FUNCTIONS(SPKI_CL_MEMBER)
#undef SPKI_CL_MEMBER
} spki_cl_calls;

enum {
    SPKI_CL_TRUE = 1,
    SPKI_CL_DEVICE_NOT_FOUND = -1,
    SPKI_CL_BUILD_PROGRAM_FAILURE = -11,
    SPKI_CL_MEM_OBJECT_ALLOCATION_FAILURE = -4,
    SPKI_CL_OUT_OF_RESOURCES = -5,
    SPKI_CL_OUT_OF_HOST_MEMORY = -6,
    SPKI_CL_INVALID_BUFFER_SIZE = -61,
    SPKI_CL_PLATFORM_NOT_FOUND = -1001, /* of the loader */
    SPKI_CL_PLATFORM_NAME = 0x0902,
    SPKI_CL_PLATFORM_VERSION = 0x0901,
    SPKI_CL_DEVICE_TYPE = 0x1000,
    SPKI_CL_DEVICE_MAX_COMPUTE_UNITS = 0x1002,
    SPKI_CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
    SPKI_CL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010,
    SPKI_CL_DEVICE_SINGLE_FP_CONFIG = 0x101B,
    SPKI_CL_DEVICE_GLOBAL_MEM_SIZE = 0x101F,
    SPKI_CL_DEVICE_ENDIAN_LITTLE = 0x1026,
    SPKI_CL_DEVICE_AVAILABLE = 0x1027,
    SPKI_CL_DEVICE_COMPILER_AVAILABLE = 0x1028,
    SPKI_CL_DEVICE_NAME = 0x102B,
    SPKI_CL_DRIVER_VERSION = 0x102D,
    SPKI_CL_DEVICE_VERSION = 0x102F,
    SPKI_CL_DEVICE_LOCAL_MEM_TYPE = 0x1022,
    SPKI_CL_DEVICE_LOCAL_MEM_SIZE = 0x1023,
    SPKI_CL_LOCAL = 1, /* memory of its own; 2: a part of the global one */
    SPKI_CL_DEVICE_EXTENSIONS = 0x1030,
    SPKI_CL_DEVICE_PARTITION_EQUALLY = 0x1086,
    SPKI_CL_CONTEXT_PLATFORM = 0x1084,
    SPKI_CL_PROGRAM_BINARY_SIZES = 0x1165,
    SPKI_CL_PROGRAM_BINARIES = 0x1166,
    SPKI_CL_PROGRAM_BUILD_LOG = 0x1183,
    SPKI_CL_EVENT_COMMAND_EXECUTION_STATUS = 0x11D3,
    SPKI_CL_TYPE_CPU = 1 << 1,
    SPKI_CL_TYPE_GPU = 1 << 2,
    SPKI_CL_ROUND_TO_NEAREST = 1 << 2,
    SPKI_CL_CORRECTLY_ROUNDED = 1 << 7
};
#define SPKI_CL_TYPE_ALL 0xffffffffu

SPKI_FN const char *spki_cl_code(int32_t code)
{
    static const struct {
        int32_t code;
        const char *name;
    } known[] = {{-1, "CL_DEVICE_NOT_FOUND"},
                 {-2, "CL_DEVICE_NOT_AVAILABLE"},
                 {-3, "CL_COMPILER_NOT_AVAILABLE"},
                 {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
                 {-5, "CL_OUT_OF_RESOURCES"},
                 {-6, "CL_OUT_OF_HOST_MEMORY"},
                 {-11, "CL_BUILD_PROGRAM_FAILURE"},
                 {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
                 {-18, "CL_DEVICE_PARTITION_FAILED"},
                 {-30, "CL_INVALID_VALUE"},
                 {-33, "CL_INVALID_DEVICE"},
                 {-36, "CL_INVALID_COMMAND_QUEUE"},
                 {-38, "CL_INVALID_MEM_OBJECT"},
                 {-42, "CL_INVALID_BINARY"},
                 {-43, "CL_INVALID_BUILD_OPTIONS"},
                 {-54, "CL_INVALID_WORK_GROUP_SIZE"},
                 {-61, "CL_INVALID_BUFFER_SIZE"},
                 {-1001, "CL_PLATFORM_NOT_FOUND_KHR"}};
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        if (known[k].code == code) {
            return known[k].name;
        }
    }
    return "an error";
}

/* Our result for a code of OpenCL. */
SPKI_FN spk_result spki_cl_result(int32_t code)
{
    return code == 0                                        ? SPK_OK
           : code == SPKI_CL_MEM_OBJECT_ALLOCATION_FAILURE ||
                   code == SPKI_CL_OUT_OF_HOST_MEMORY || code == SPKI_CL_INVALID_BUFFER_SIZE
               ? SPK_ERR_OUT_OF_MEMORY
               : SPK_ERR_DEVICE;
}

/* The library and its functions. */
typedef struct spki_cl_library {
    void *handle;
    spki_cl_calls calls;
} spki_cl_library;

#if defined(SPIKELIB_CL_LINK)
#if defined(__APPLE__)
#define SPKI_CL_LABEL "_"
#else
#define SPKI_CL_LABEL ""
#endif
#ifdef __cplusplus
extern "C" {
#endif
#define SPKI_CL_EXTERN(name, result, args)                                                        \
    extern result SPKI_CL_CALL spki_cl_##name args __asm__(SPKI_CL_LABEL #name);
SPKI_CL_FUNCTIONS(SPKI_CL_EXTERN)
#undef SPKI_CL_EXTERN
#ifdef __cplusplus
}
#endif
#endif

/* POSIX gives functions as object pointers. */
SPKI_FN bool spki_cl_bind(void *member, void *symbol)
{
    memcpy(member, &symbol, sizeof symbol);
    return symbol != NULL;
}

#if !defined(SPIKELIB_CL_LINK)
SPKI_FN void *spki_cl_open_library(void)
{
#if defined(_WIN32)
    return (void *)LoadLibraryA("OpenCL.dll");
#else
    static const char *const name[] = {"libOpenCL.so.1", "libOpenCL.so",
                                       "/System/Library/Frameworks/OpenCL.framework/OpenCL"};
    void *handle = NULL;
    for (size_t k = 0; k < 3 && !handle; k++) {
        handle = dlopen(name[k], RTLD_NOW | RTLD_LOCAL);
    }
    return handle;
#endif
}

SPKI_FN void *spki_cl_find(void *handle, const char *name)
{
#if defined(_WIN32)
    FARPROC found = GetProcAddress((HMODULE)handle, name);
    void *symbol;
    memcpy(&symbol, &found, sizeof symbol);
    return symbol;
#else
    return dlsym(handle, name);
#endif
}
#endif

/* The library stays loaded: drivers do not all survive being unloaded. */
SPKI_FN spk_result spki_cl_load(const spk_cl_desc *desc, spki_cl_library *library, char *why,
                                size_t why_size)
{
    const char *missing = NULL;
    memset(library, 0, sizeof *library);
#if defined(SPIKELIB_CL_LINK)
    if (!desc->symbol) {
#define SPKI_CL_TAKE(name, result, args) library->calls.name = spki_cl_##name;
        SPKI_CL_FUNCTIONS(SPKI_CL_TAKE)
#undef SPKI_CL_TAKE
        return SPK_OK;
    }
#else
    if (!desc->symbol && !(library->handle = spki_cl_open_library())) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "opencl: there is no OpenCL loader (libOpenCL.so.1, OpenCL.dll)");
    }
#define SPKI_CL_FIND_HERE(name) spki_cl_find(library->handle, name)
#endif
#ifndef SPKI_CL_FIND_HERE
#define SPKI_CL_FIND_HERE(name) NULL
#endif
#define SPKI_CL_BIND(name, result, args)                                                          \
    if (!spki_cl_bind((void *)&library->calls.name,                                               \
                      desc->symbol ? desc->symbol(desc->symbol_ctx, #name)                        \
                                   : SPKI_CL_FIND_HERE(#name))) {                                 \
        missing = #name;                                                                          \
    }
    SPKI_CL_FUNCTIONS(SPKI_CL_BIND)
#undef SPKI_CL_BIND
    return missing ? spki_because(SPK_ERR_DEVICE, why, why_size,
                                  "opencl: the loader has no %s (OpenCL 1.2 is needed)", missing)
                   : SPK_OK;
}

#endif
