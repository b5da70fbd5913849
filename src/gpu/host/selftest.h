/* ---- >>gpu-selftest: does the device compute what the CPU computes? ---- */
#ifndef SPIKELIB_GPU_HOST_SELFTEST_H
#define SPIKELIB_GPU_HOST_SELFTEST_H

#include "state.h"

/* Numbers of all sizes that matter, and pairs that tempt a compiler to contract. */
SPKI_FN double spki_gpu_trial(uint32_t k)
{
    uint32_t w[4];
    spki_philox(k, 0, 0, 0, 20261121u, 0, w);
    const double u = ((double)w[0] + 0.5) / 4294967296.0 - 0.5;
    static const double size[8] = {1.0, 2.0, 20.0, 200.0, 0.01, 1e-6, 8.0, 3e4};
    return k % 16 == 15 ? 1.0 + (double)(w[1] % 8192) / 8388608.0 : 2.0 * u * size[w[2] % 8];
}

/* One number through everything that the selftest kernel does, on this side. */
#define SPKI_GPU_EXPECT(name, real, S)                                                            \
    SPKI_FN void name(const real *in, real *out)                                                  \
    {                                                                                             \
        volatile real x = in[0], y = in[1], z = in[2], product = x * y, sum = x + y;              \
        const real size = spki_abs_##S(x), small = x * (real)0.001953125;                         \
        out[0] = sum;                                                                             \
        out[1] = product - z;                                                                     \
        out[2] = z - product;                                                                     \
        out[3] = x / y;                                                                           \
        out[4] = spki_sqrt_##S(size);                                                             \
        out[5] = sum - x;                                                                         \
        out[6] = spki_exp_##S(small);                                                             \
        out[7] = spki_exprel_##S(small);                                                          \
        out[8] = spki_log_##S(size);                                                              \
        out[9] = spki_sin_##S(x);                                                                 \
        out[10] = spki_cos_##S(y);                                                                \
        out[11] = spki_tanh_##S(small);                                                           \
        out[12] = spki_pow_##S(size, spki_min_##S(y, (real)3.0));                                 \
        out[13] = x < y ? spki_flush_##S(x * (real)1e-30) : z;                                    \
    }
SPKI_GPU_EXPECT(spki_gpu_expect_f, float, f1)
SPKI_GPU_EXPECT(spki_gpu_expect_d, double, d1)

/* Compares all results; NULL or the name of the first operation that differs. */
SPKI_FN const char *spki_gpu_compare(const char *in, const char *out, bool is_double, uint32_t *k)
{
    static const char *const name[SPKI_GPU_SELFTESTS] = {
        "x + y", "x * y - z", "z - x * y", "x / y", "sqrt", "(x + y) - x", "exp", "exprel",
        "log",   "sin",       "cos",       "tanh",  "pow",  "flush"};
    const size_t size = is_double ? 8 : 4;
    for (*k = 0; *k < SPKI_GPU_TRIALS; ++*k) {
        char want[SPKI_GPU_SELFTESTS * 8];
        char x[3 * 8];
        for (uint32_t j = 0; j < 3; j++) {
            memcpy(x + j * size, in + ((size_t)j * SPKI_GPU_TRIALS + *k) * size, size);
        }
        if (is_double) {
            double arg[3], result[SPKI_GPU_SELFTESTS];
            memcpy(arg, x, sizeof arg);
            spki_gpu_expect_d(arg, result);
            memcpy(want, result, sizeof result);
        } else {
            float arg[3], result[SPKI_GPU_SELFTESTS];
            memcpy(arg, x, sizeof arg);
            spki_gpu_expect_f(arg, result);
            memcpy(want, result, sizeof result);
        }
        for (uint32_t f = 0; f < SPKI_GPU_SELFTESTS; f++) {
            if (memcmp(want + f * size, out + ((size_t)f * SPKI_GPU_TRIALS + *k) * size, size)) {
                return name[f];
            }
        }
    }
    return NULL;
}

SPKI_FN spk_result spki_gpu_try(spk_net *net, spki_gpu *gpu, const spki_gpu_choice *c,
                                void *program, char *in, char *out)
{
    const size_t size = c->is_double ? 8 : 4, bytes = (size_t)SPKI_GPU_TRIALS * size;
    spki_gpu_block from = {NULL, 0}, to = {NULL, 0};
    spk_result result = spki_gpu_alloc(gpu, 3 * bytes, &from);
    if (result == SPK_OK) {
        result = spki_gpu_alloc(gpu, SPKI_GPU_SELFTESTS * bytes, &to);
    }
    if (result == SPK_OK) {
        result = gpu->api->write(gpu, from.mem, 0, in, 3 * bytes);
    }
    if (result == SPK_OK) {
        const uint32_t items = c->lanes > 1 ? 1 : 64;
        const spki_gpu_arg arg[] = {spki_gpu_memory(&from), spki_gpu_memory(&to),
                                    spki_gpu_u32(SPKI_GPU_TRIALS)};
        result = gpu->api->launch(gpu, program, SPKI_GPU_SELFTEST,
                                  SPKI_GPU_TRIALS / c->lanes / items, items, arg, 3);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, to.mem, 0, out, SPKI_GPU_SELFTESTS * bytes, NULL);
    }
    spki_gpu_free(gpu, &from);
    spki_gpu_free(gpu, &to);
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Compiles and runs the selftest; a device that differs in one bit is refused. */
SPKI_FN spk_result spki_gpu_selftest(spk_net *net, spki_gpu *gpu)
{
    const spki_gpu_choice c = spki_gpu_choose(net, gpu);
    const size_t size = c.is_double ? 8 : 4, room = 65536;
    const size_t bytes = (size_t)SPKI_GPU_TRIALS * size;
    char *in = (char *)spki_alloc(&net->mem, 3 * bytes, 1);
    char *out = (char *)spki_alloc(&net->mem, SPKI_GPU_SELFTESTS * bytes, 1);
    char *log = (char *)spki_alloc(&net->mem, room, 1);
    spki_gpu_source s;
    void *program = NULL;
    bool held = false;
    spk_result result = SPK_OK;
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    s.line = 1;
    spki_gpu_head(&s, gpu->api, &c);
    spki_gpu_define(&s, "SELFTESTS", SPKI_GPU_SELFTESTS);
    spki_gpu_paste(&s, spki_gpu_text_selftest);
    spki_gpu_put(&s, "", 1);
    if (!in || !out || !log || s.text.failed) {
        result = spki_no_memory(net, "a device's test");
    }
    if (result == SPK_OK) {
        for (uint32_t k = 0; k < 3 * SPKI_GPU_TRIALS; k++) {
            spki_put_real(net, in, k, spki_gpu_trial(k));
        }
        program = gpu->api->held ? gpu->api->held(gpu, net, &c) : NULL;
        held = program != NULL;
        result = held ? SPK_OK
                      : gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_TEST,
                                          &program, log, room);
        if (result != SPK_OK) {
            result = spki_gpu_blame(net, gpu, &s, result, log);
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_try(net, gpu, &c, program, in, out);
    }
    if (result == SPK_OK) {
        uint32_t k;
        const char *differs = spki_gpu_compare(in, out, c.is_double, &k);
        if (differs) {
            result = spki_fail(net, SPK_ERR_ARITHMETIC,
                               "%s \"%s\": %s of trial %u is not what the CPU computes, so its "
                               "spikes would differ%s",
                               gpu->api->name, gpu->name, differs, k,
                               held ? " (was the file compiled with --use_fast_math or --ftz=true? "
                                      "They change kernels, and have to go)"
                                    : "");
        }
    }
    if (program) {
        gpu->api->release(gpu, program);
    }
    spki_gpu_source_free(&s);
    spki_free(&net->mem, in, 3 * bytes, 1);
    spki_free(&net->mem, out, SPKI_GPU_SELFTESTS * bytes, 1);
    spki_free(&net->mem, log, room, 1);
    return result;
}

#endif
