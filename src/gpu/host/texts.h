/* ---- >>gpu-texts: the kernels as arrays of lines ---- */
#ifndef SPIKELIB_GPU_HOST_TEXTS_H
#define SPIKELIB_GPU_HOST_TEXTS_H

/* amalgamate.py puts the lines of the file named in place of each #include. */
static const char *const spki_gpu_text_math[] = {
#include "../../simd/math.inc.h"
};

static const char *const spki_gpu_text_engine[] = {
#include "../text/engine.cl"
};

static const char *const spki_gpu_text_kernels[] = {
#include "../text/kernels.cl"
};

static const char *const spki_gpu_text_batch[] = {
#include "../text/batch.cl"
};

static const char *const spki_gpu_text_selftest[] = {
#include "../text/selftest.cl"
};

static const char *const spki_gpu_text_rows[] = {
#include "../text/rows.cl"
};

#endif
