/* ---- >>cl-device: what >>gpu wants of a device, done by OpenCL ---- */
#ifndef SPIKELIB_GPU_CL_DEVICE_H
#define SPIKELIB_GPU_CL_DEVICE_H

#include "../host/cache.h"
#include "choose.h"

#if !defined(_WIN32)
#include <sched.h>
#endif

static const char *const spki_cl_prelude[] = {
#include "../text/opencl.cl"
};

/* What OpenCL C reserves and C does not. Function names need not be here: a model's variables hide
   them. */
static const char *const spki_cl_keywords[] = {
    "half",      "kernel",     "global",     "local",     "constant", "private", "generic",
    "read_only", "write_only", "read_write", "uniform",   "pipe",     "uchar",   "ushort",
    "uint",      "ulong",      "event_t",    "sampler_t", "queue_t",  "quad",    "complex",
    "imaginary", NULL};

#define SPKI_CL_OPTIONS "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt -w"

typedef struct spki_cl_device {
    const spki_cl_calls *cl;
    spki_cl_handle device, context, queue;
    bool sub; /* the device is to be released */
    double time_limit_s;
    char identity[512]; /* of device and driver, for the cache */
    char cache[SPKI_GPU_PATH];
} spki_cl_device;

typedef struct spki_cl_program {
    spki_cl_handle program, kernel[SPKI_GPU_ALL_ENTRIES];
} spki_cl_program;

SPKI_FN void spki_cl_yield(void)
{
#if defined(_WIN32)
    Sleep(0);
#else
    (void)sched_yield();
#endif
}

SPKI_FN spki_cl_device *spki_cl_of(const spki_gpu *gpu)
{
    return (spki_cl_device *)gpu->handle;
}

/* A code as our result, with a sentence. */
SPKI_FN spk_result spki_cl_check(spki_gpu *gpu, const char *call, int32_t code)
{
    if (code == 0) {
        return SPK_OK;
    }
    snprintf(gpu->why, sizeof gpu->why, "%s returned %s (%d)", call, spki_cl_code(code), code);
    return spki_cl_result(code);
}

/* -- memory -- */

SPKI_FN spk_result spki_cl_alloc(spki_gpu *gpu, uint64_t bytes, spki_gpu_mem *mem)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    int32_t code = 0;
    spki_cl_handle made = bytes > SIZE_MAX
                              ? NULL
                              : d->cl->clCreateBuffer(d->context, 1, (size_t)bytes, NULL, &code);
    if (!made) {
        code = code ? code : SPKI_CL_INVALID_BUFFER_SIZE;
    }
    *mem = code ? NULL : made;
    return spki_cl_check(gpu, "clCreateBuffer", code);
}

SPKI_FN void spki_cl_free(spki_gpu *gpu, spki_gpu_mem mem)
{
    (void)spki_cl_of(gpu)->cl->clReleaseMemObject((spki_cl_handle)mem);
}

SPKI_FN spk_result spki_cl_write(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, const void *data,
                                 size_t bytes)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    if (bytes == 0) {
        return SPK_OK;
    }
    return spki_cl_check(gpu, "clEnqueueWriteBuffer",
                         d->cl->clEnqueueWriteBuffer(d->queue, (spki_cl_handle)mem, SPKI_CL_TRUE,
                                                     (size_t)at, bytes, data, 0, NULL, NULL));
}

SPKI_FN spk_result spki_cl_zero(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, uint64_t bytes)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const uint32_t none = 0;
    return spki_cl_check(gpu, "clEnqueueFillBuffer",
                         d->cl->clEnqueueFillBuffer(d->queue, (spki_cl_handle)mem, &none, 4,
                                                    (size_t)at, (size_t)bytes / 4 * 4, 0, NULL,
                                                    NULL));
}

/* Waits for an event. What takes longer than the limit is an error, once it has ended: OpenCL
   cannot stop a kernel, and memory of ours that is being written must not be freed. */
SPKI_FN spk_result spki_cl_wait_for(spki_gpu *gpu, spki_cl_handle event)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const double start = spk_clock_seconds();
    int32_t status = 1;
    if (gpu->patient || d->time_limit_s <= 0.0) {
        return spki_cl_check(gpu, "clWaitForEvents", d->cl->clWaitForEvents(1, &event));
    }
    while (status > 0) {
        const int32_t code = d->cl->clGetEventInfo(event, SPKI_CL_EVENT_COMMAND_EXECUTION_STATUS,
                                                   sizeof status, &status, NULL);
        if (code) {
            return spki_cl_check(gpu, "clGetEventInfo", code);
        }
        if (status > 0 && spk_clock_seconds() - start > d->time_limit_s) {
            (void)d->cl->clFinish(d->queue);
            snprintf(gpu->why, sizeof gpu->why, "a batch of steps took longer than %g s",
                     d->time_limit_s);
            return SPK_ERR_TIMEOUT;
        }
        if (status > 0) {
            spki_cl_yield();
        }
    }
    return spki_cl_check(gpu, "a command", status);
}

SPKI_FN spk_result spki_cl_read(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, void *data,
                                size_t bytes, spki_gpu_ticket *ticket)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const bool limited = !ticket && !gpu->patient && d->time_limit_s > 0.0;
    spki_cl_handle event = NULL;
    int32_t code = d->cl->clEnqueueReadBuffer(d->queue, (spki_cl_handle)mem, !ticket && !limited,
                                              (size_t)at, bytes, data, 0, NULL,
                                              ticket || limited ? &event : NULL);
    if (ticket && code == 0) {
        *ticket = event;
    }
    if (!limited || code) {
        return spki_cl_check(gpu, "clEnqueueReadBuffer", code);
    }
    code = d->cl->clFlush(d->queue);
    const spk_result result =
        code ? spki_cl_check(gpu, "clFlush", code) : spki_cl_wait_for(gpu, event);
    (void)d->cl->clReleaseEvent(event);
    return result;
}

SPKI_FN spk_result spki_cl_wait(spki_gpu *gpu, spki_gpu_ticket *ticket)
{
    if (!*ticket) {
        return SPK_OK;
    }
    const spk_result result = spki_cl_wait_for(gpu, (spki_cl_handle)*ticket);
    (void)spki_cl_of(gpu)->cl->clReleaseEvent((spki_cl_handle)*ticket);
    *ticket = NULL;
    return result;
}

/* -- programs -- */

SPKI_FN void spki_cl_release(spki_gpu *gpu, void *program)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    spki_cl_program *p = (spki_cl_program *)program;
    for (uint32_t k = 0; k < SPKI_GPU_ALL_ENTRIES; k++) {
        if (p->kernel[k]) {
            (void)d->cl->clReleaseKernel(p->kernel[k]);
        }
    }
    if (p->program) {
        (void)d->cl->clReleaseProgram(p->program);
    }
    spki_free(gpu->mem, p, 1, sizeof *p);
}

SPKI_FN int32_t spki_cl_build(const spki_cl_device *d, spki_cl_handle program)
{
    return d->cl->clBuildProgram(program, 1, &d->device, SPKI_CL_OPTIONS, NULL, NULL);
}

/* A program from the cache, or NULL. */
SPKI_FN spki_cl_handle spki_cl_recall(spki_gpu *gpu, const uint64_t key[2])
{
    const spki_cl_device *d = spki_cl_of(gpu);
    size_t size = 0;
    int32_t status = 0, code = 0;
    unsigned char *data = spki_gpu_cache_read(gpu->mem, d->cache, key, &size);
    const unsigned char *binary = data;
    if (!data) {
        return NULL;
    }
    spki_cl_handle program = d->cl->clCreateProgramWithBinary(d->context, 1, &d->device, &size,
                                                              &binary, &status, &code);
    spki_free(gpu->mem, data, size, 1);
    if (program && (code || status || spki_cl_build(d, program))) {
        (void)d->cl->clReleaseProgram(program);
        program = NULL;
    }
    return program;
}

SPKI_FN void spki_cl_keep(spki_gpu *gpu, spki_cl_handle program, const uint64_t key[2])
{
    const spki_cl_device *d = spki_cl_of(gpu);
    size_t size = 0;
    if (!d->cache[0] || d->cl->clGetProgramInfo(program, SPKI_CL_PROGRAM_BINARY_SIZES, sizeof size,
                                                &size, NULL) || !size) {
        return;
    }
    unsigned char *data = (unsigned char *)spki_alloc_raw(gpu->mem, size, 1);
    if (data && d->cl->clGetProgramInfo(program, SPKI_CL_PROGRAM_BINARIES, sizeof data, &data,
                                        NULL) == 0) {
        spki_gpu_cache_write(d->cache, key, data, size);
    }
    spki_free(gpu->mem, data, size, 1);
}

SPKI_FN spk_result spki_cl_from_source(spki_gpu *gpu, const char *text, size_t size,
                                       spki_cl_handle *program, char *log, size_t log_size)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    int32_t code = 0;
    *program = d->cl->clCreateProgramWithSource(d->context, 1, &text, &size, &code);
    if (!*program || code) {
        return spki_cl_check(gpu, "clCreateProgramWithSource", code ? code : -6);
    }
    code = spki_cl_build(d, *program);
    if (code) {
        log[0] = 0;
        (void)d->cl->clGetProgramBuildInfo(*program, d->device, SPKI_CL_PROGRAM_BUILD_LOG,
                                           log_size - 1, log, NULL);
        (void)spki_cl_check(gpu, "clBuildProgram", code);
        (void)d->cl->clReleaseProgram(*program);
        *program = NULL;
        return code == SPKI_CL_BUILD_PROGRAM_FAILURE ? SPK_ERR_COMPILE : spki_cl_result(code);
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_cl_compile(spki_gpu *gpu, const char *text, size_t size, int kind,
                                   void **out, char *log, size_t log_size)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    uint64_t key[2] = {0, 0};
    spki_cl_program *p = (spki_cl_program *)spki_alloc(gpu->mem, 1, sizeof *p);
    if (!p) {
        snprintf(gpu->why, sizeof gpu->why, "no memory for a program");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    for (uint32_t k = 0; k < 2; k++) {
        key[k] = spk_xxh64(text, size, k + spk_xxh64(d->identity, strlen(d->identity), k));
    }
    spk_result result = SPK_OK;
    p->program = spki_cl_recall(gpu, key);
    const bool known = p->program != NULL;
    if (!known) {
        result = spki_cl_from_source(gpu, text, size, &p->program, log, log_size);
    }
    for (uint32_t k = 0; k < SPKI_GPU_ALL_ENTRIES && result == SPK_OK; k++) {
        int32_t code = 0;
        if ((int)spki_gpu_entry_kind(k) == kind) {
            p->kernel[k] =
                d->cl->clCreateKernel(p->program, spki_gpu_entry_name((spki_gpu_entry)k), &code);
            result = spki_cl_check(gpu, "clCreateKernel", p->kernel[k] ? code : code ? code : -6);
        }
    }
    if (result == SPK_OK && !known) {
        spki_cl_keep(gpu, p->program, key);
    }
    if (result != SPK_OK) {
        spki_cl_release(gpu, p);
        return result;
    }
    *out = p;
    return SPK_OK;
}

/* -- work -- */

SPKI_FN spk_result spki_cl_launch(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                  uint32_t groups, uint32_t items, const spki_gpu_arg *arg,
                                  uint32_t args)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    const spki_cl_handle kernel = ((spki_cl_program *)program)->kernel[entry];
    const size_t local = items, global = (size_t)groups * items;
    int32_t code = 0;
    if (groups == 0) {
        return SPK_OK;
    }
    for (uint32_t k = 0; k < args && !code; k++) {
        code = arg[k].is_mem ? d->cl->clSetKernelArg(kernel, k, sizeof arg[k].mem, &arg[k].mem)
                             : d->cl->clSetKernelArg(kernel, k, arg[k].size, &arg[k].value);
    }
    if (code) {
        return spki_cl_check(gpu, "clSetKernelArg", code);
    }
    return spki_cl_check(gpu, spki_gpu_entry_name(entry),
                         d->cl->clEnqueueNDRangeKernel(d->queue, kernel, 1, NULL, &global, &local,
                                                       0, NULL, NULL));
}

SPKI_FN spk_result spki_cl_flush(spki_gpu *gpu)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    return spki_cl_check(gpu, "clFlush", d->cl->clFlush(d->queue));
}

SPKI_FN spk_result spki_cl_finish(spki_gpu *gpu)
{
    const spki_cl_device *d = spki_cl_of(gpu);
    return spki_cl_check(gpu, "clFinish", d->cl->clFinish(d->queue));
}

SPKI_FN void spki_cl_close(spki_gpu *gpu)
{
    spki_cl_device *d = spki_cl_of(gpu);
    if (!d) {
        return;
    }
    if (d->queue) {
        (void)d->cl->clReleaseCommandQueue(d->queue);
    }
    if (d->context) {
        (void)d->cl->clReleaseContext(d->context);
    }
    if (d->sub) {
        (void)d->cl->clReleaseDevice(d->device);
    }
    spki_free(gpu->mem, d, 1, sizeof *d);
    gpu->handle = NULL;
}

static const spki_gpu_api spki_cl_api = {
    "opencl",      spki_cl_prelude, spki_cl_keywords, spki_cl_compile, spki_cl_release,
    spki_cl_alloc, spki_cl_free,    spki_cl_write,    spki_cl_zero,    spki_cl_read,
    spki_cl_wait,  spki_cl_launch,  spki_cl_flush,    spki_cl_finish,  spki_cl_close,
    NULL,          NULL,            NULL,             NULL,            NULL,
    NULL,          NULL,            NULL,             NULL};

/* Opens a device into `gpu`, which is zero before and closed by spki_cl_close. `sub`: it is a part
   of a device, and released with it even when this fails. */
SPKI_FN spk_result spki_cl_open(spki_gpu *gpu, spki_mem *mem, const spki_cl_calls *cl,
                                const spk_cl_desc *desc, const spki_cl_wish *wish,
                                spki_cl_handle device, bool sub)
{
    const spk_cl_device *found = &wish->found;
    const intptr_t property[3] = {SPKI_CL_CONTEXT_PLATFORM, (intptr_t)wish->platform, 0};
    spki_cl_device *d = (spki_cl_device *)spki_alloc(mem, 1, sizeof *d);
    int32_t code = 0;
    gpu->api = &spki_cl_api;
    gpu->mem = mem;
    gpu->handle = d;
    snprintf(gpu->name, sizeof gpu->name, "%s", found->name);
    if (!d) {
        if (sub) {
            (void)cl->clReleaseDevice(device);
        }
        snprintf(gpu->why, sizeof gpu->why, "no memory");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    d->cl = cl;
    d->device = device;
    d->sub = sub;
    d->time_limit_s = desc->time_limit_s;
    gpu->units = (uint32_t)spki_cl_number(cl, device, SPKI_CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    gpu->units = SPKI_MAX(gpu->units, 1u);
    gpu->memory = desc->memory_budget ? SPKI_MIN(desc->memory_budget, found->memory_bytes)
                                      : found->memory_bytes;
    gpu->largest = found->block_bytes;
    gpu->has_double = found->has_double;
    gpu->has_wide_atomics = spki_cl_extension(cl, device, "cl_khr_int64_base_atomics");
    const bool vectors = desc->style == SPK_CL_AUTO ? found->is_cpu : desc->style == SPK_CL_VECTORS;
    const bool local = desc->style == SPK_CL_AUTO
                           ? !vectors && spki_cl_number(cl, device, SPKI_CL_DEVICE_LOCAL_MEM_TYPE,
                                                        4) == SPKI_CL_LOCAL
                           : desc->style == SPK_CL_TILES;
    gpu->lanes = vectors ? 16 : 1;
    gpu->local_bytes = local ? spki_cl_number(cl, device, SPKI_CL_DEVICE_LOCAL_MEM_SIZE, 8) : 0;
    gpu->speed = (double)gpu->units;
    snprintf(d->identity, sizeof d->identity, "%s|%s|%s|%s|%s", found->platform, found->name,
             found->driver, SPKI_CL_OPTIONS, SPIKELIB_VERSION);
    spki_gpu_cache_dir(desc->cache_dir, d->cache, sizeof d->cache);
    d->context = cl->clCreateContext(property, 1, &device, NULL, NULL, &code);
    if (!d->context || code) {
        return spki_cl_check(gpu, "clCreateContext", code ? code : -6);
    }
    d->queue = cl->clCreateCommandQueue(d->context, device, 0, &code);
    return d->queue && !code ? SPK_OK
                             : spki_cl_check(gpu, "clCreateCommandQueue", code ? code : -6);
}

#endif
