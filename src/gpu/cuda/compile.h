/* ---- >>cuda-compile: programs, from text by NVRTC ---- */
#ifndef SPIKELIB_GPU_CUDA_COMPILE_H
#define SPIKELIB_GPU_CUDA_COMPILE_H

#include "graph.h"

static const char *const spki_cuda_prelude[] = {
#include "../text/cuda.cu"
};

/* What CUDA C++ reserves and C does not, but for the names of operators, which no macro may
   have. */
static const char *const spki_cuda_keywords[] = {
    "alignas",   "alignof",   "asm",       "catch",    "class",        "constexpr", "decltype",
    "delete",    "explicit",  "export",    "friend",   "mutable",      "namespace", "new",
    "noexcept",  "nullptr",   "operator",  "private",  "protected",    "public",    "template",
    "this",      "throw",     "try",       "typeid",   "typename",     "using",     "virtual",
    "threadIdx", "blockIdx",  "blockDim",  "gridDim",  "warpSize",     NULL};

/* Two roundings for a * b + c, division and roots correctly rounded, no flush to zero. */
#define SPKI_CUDA_EXACT "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"

SPKI_FN void spki_cuda_release(spki_gpu *gpu, void *program)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_program *p = (spki_cuda_program *)program;
    if (p->module && spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuModuleUnload", d->cu->cuModuleUnload(p->module));
    }
    spki_free(gpu->mem, p, 1, sizeof *p);
}

SPKI_FN spk_result spki_cuda_nvrtc_check(spki_gpu *gpu, const char *call, int code)
{
    if (code == 0) {
        return SPK_OK;
    }
    snprintf(gpu->why, sizeof gpu->why, "%s: %s (%d)", call,
             spki_cuda_of(gpu)->cu->nvrtcGetErrorString(code), code);
    return code == SPKI_NVRTC_COMPILATION      ? SPK_ERR_COMPILE
           : code == SPKI_NVRTC_OUT_OF_MEMORY ? SPK_ERR_OUT_OF_MEMORY
                                                : SPK_ERR_DEVICE;
}

SPKI_FN void spki_cuda_take_log(const spki_cuda_calls *cu, spki_cuda_handle made, spki_gpu *gpu,
                                char *log, size_t log_size)
{
    size_t size = 0;
    log[0] = 0;
    if (cu->nvrtcGetProgramLogSize(made, &size) != 0 || size == 0) {
        return;
    }
    char *all = (char *)spki_alloc(gpu->mem, size + 1, 1);
    if (all && cu->nvrtcGetProgramLog(made, all) == 0) {
        snprintf(log, log_size, "%s", all);
    }
    spki_free(gpu->mem, all, size + 1, 1);
}

/* Compiles for the device itself, or, where NVRTC is older than it, for what it can translate. */
SPKI_FN int spki_cuda_translate(const spki_cuda_device *d, spki_cuda_handle made, bool *binary)
{
    char arch[32];
    const char *option[] = {arch, SPKI_CUDA_EXACT, "--std=c++11", "-default-device"};
    const int options = (int)(sizeof option / sizeof option[0]);
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%u%u", d->major, d->minor);
    *binary = true;
    int code = d->cu->nvrtcCompileProgram(made, options, option);
    if (code == SPKI_NVRTC_INVALID_OPTION) {
        snprintf(arch, sizeof arch, "--gpu-architecture=compute_%s", d->major < 8 ? "70" : "80");
        *binary = false;
        code = d->cu->nvrtcCompileProgram(made, options, option);
    }
    return code;
}

/* The compiled program, of *size bytes, to be freed with spki_free. */
SPKI_FN spk_result spki_cuda_result_of(spki_gpu *gpu, spki_cuda_handle made, bool binary,
                                       char **image, size_t *size)
{
    const spki_cuda_calls *cu = spki_cuda_of(gpu)->cu;
    int code = binary ? cu->nvrtcGetCUBINSize(made, size) : cu->nvrtcGetPTXSize(made, size);
    spk_result result = spki_cuda_nvrtc_check(gpu, "nvrtcGetCUBINSize", code);
    if (result != SPK_OK) {
        return result;
    }
    *image = (char *)spki_alloc(gpu->mem, *size + 1, 1);
    if (!*image) {
        snprintf(gpu->why, sizeof gpu->why, "no memory for a program");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    code = binary ? cu->nvrtcGetCUBIN(made, *image) : cu->nvrtcGetPTX(made, *image);
    result = spki_cuda_nvrtc_check(gpu, "nvrtcGetCUBIN", code);
    if (result != SPK_OK) {
        spki_free(gpu->mem, *image, *size + 1, 1);
        *image = NULL;
    }
    return result;
}

SPKI_FN spk_result spki_cuda_from_source(spki_gpu *gpu, const char *text, char **image,
                                         size_t *size, char *log, size_t log_size)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_handle made = NULL;
    bool binary = true;
    if (!spki_cuda_load_nvrtc(d->desc, d->cu)) {
        snprintf(gpu->why, sizeof gpu->why,
                 "there is no NVRTC (libnvrtc) to compile the network's kernels with%.400s",
                 d->lacks);
        return SPK_ERR_DEVICE;
    }
    spk_result result = spki_cuda_nvrtc_check(
        gpu, "nvrtcCreateProgram",
        d->cu->nvrtcCreateProgram(&made, text, "spikelib.cu", 0, NULL, NULL));
    if (result != SPK_OK) {
        return result;
    }
    result = spki_cuda_nvrtc_check(gpu, "nvrtcCompileProgram",
                                   spki_cuda_translate(d, made, &binary));
    if (result == SPK_ERR_COMPILE) {
        spki_cuda_take_log(d->cu, made, gpu, log, log_size);
    }
    if (result == SPK_OK) {
        result = spki_cuda_result_of(gpu, made, binary, image, size);
    }
    (void)d->cu->nvrtcDestroyProgram(&made);
    return result;
}

SPKI_FN spk_result spki_cuda_load_image(spki_gpu *gpu, const char *image, int kind,
                                        spki_cuda_program *p)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    const char *call = "cuModuleLoadData";
    int code = d->cu->cuModuleLoadData(&p->module, image);
    p->module = code ? NULL : p->module;
    for (uint32_t k = 0; k < SPKI_GPU_MORE_ENTRIES && !code; k++) {
        if ((int)spki_gpu_entry_kind(k) == kind) {
            call = "cuModuleGetFunction";
            code = d->cu->cuModuleGetFunction(&p->function[k], p->module,
                                              spki_gpu_entry_name((spki_gpu_entry)k));
        }
    }
    return spki_cuda_end(gpu, call, code);
}

/* A program from the cache; false: it is to be compiled. */
SPKI_FN bool spki_cuda_recall(spki_gpu *gpu, const uint64_t key[2], int kind,
                              spki_cuda_program *p)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    size_t size = 0;
    unsigned char *image = spki_gpu_cache_read(gpu->mem, d->cache, key, &size);
    if (!image) {
        return false;
    }
    const bool loaded =
        image[size - 1] == 0 && spki_cuda_load_image(gpu, (char *)image, kind, p) == SPK_OK;
    spki_free(gpu->mem, image, size, 1);
    if (!loaded && p->module && spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuModuleUnload", d->cu->cuModuleUnload(p->module));
    }
    if (!loaded) {
        memset(p, 0, sizeof *p);
    }
    return loaded;
}

SPKI_FN spk_result spki_cuda_compile(spki_gpu *gpu, const char *text, size_t size, int kind,
                                     void **out, char *log, size_t log_size)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    char *image = NULL;
    size_t bytes = 0;
    uint64_t key[2];
    spki_cuda_program *p = (spki_cuda_program *)spki_alloc(gpu->mem, 1, sizeof *p);
    if (!p) {
        snprintf(gpu->why, sizeof gpu->why, "no memory for a program");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    for (uint32_t k = 0; k < 2; k++) {
        key[k] = spk_xxh64(text, size, k + spk_xxh64(d->identity, strlen(d->identity), k));
    }
    if (spki_cuda_recall(gpu, key, kind, p)) {
        *out = p;
        return SPK_OK;
    }
    spk_result result = spki_cuda_from_source(gpu, text, &image, &bytes, log, log_size);
    if (result == SPK_OK) {
        result = spki_cuda_load_image(gpu, image, kind, p);
        if (result == SPK_OK) { /* with the end of a PTX text */
            spki_gpu_cache_write(d->cache, key, (const unsigned char *)image, bytes + 1);
        }
        spki_free(gpu->mem, image, bytes + 1, 1);
    }
    if (result != SPK_OK) {
        spki_cuda_release(gpu, p);
        return result;
    }
    *out = p;
    return SPK_OK;
}

#endif
