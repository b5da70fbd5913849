/* ---- >>cuda-held: programs that nvcc has compiled with the file ----
   SPIKELIB_CUDA_KERNELS(X) names them. Each is a set of templates in the namespace of its choice of
   bits (text/exact.cu and the texts behind it, which this header includes itself for); the runtime
   that nvcc links gives the driver's handles of their functions. */
#ifndef SPIKELIB_GPU_CUDA_HELD_H
#define SPIKELIB_GPU_CUDA_HELD_H

#include "compile.h"

#define SPKI_CUDA_MOST_MODELS 16u /* of one program */

typedef struct spki_cuda_holding {
    uint32_t state_bits, weight_bits, wide;
    uint32_t (*models)(spk_model *out); /* how many; `out` may be NULL */
    void (*entries)(const void **out);  /* by spki_gpu_entry: what the runtime knows them by */
} spki_cuda_holding;

#if (defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)) || defined(SPKI_CUDA_ON_CPU)
#define SPKI_CUDA_HOLDS 1
#else
#define SPKI_CUDA_HOLDS 0
#endif

#if SPKI_CUDA_HOLDS && defined(SPIKELIB_CUDA_KERNELS)
#if !defined(SPIKELIB_CUDA_HEADER)
#define SPIKELIB_CUDA_HEADER "spikelib_cuda.cuh"
#endif
#define SPKI_CODE spki_code_16_8
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_16
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_32
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 32
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_8_wide
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_16_wide
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_8
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_16
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_32
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 32
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_8_wide
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_16_wide
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_8
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_16
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_32
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 32
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_8_wide
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_16_wide
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
/* The classes of the models that an X names. */
#define SPKI_EACH_1(a) spki_code_##a
#define SPKI_EACH_2(a, ...) spki_code_##a, SPKI_EACH_1(__VA_ARGS__)
#define SPKI_EACH_3(a, ...) spki_code_##a, SPKI_EACH_2(__VA_ARGS__)
#define SPKI_EACH_4(a, ...) spki_code_##a, SPKI_EACH_3(__VA_ARGS__)
#define SPKI_EACH_5(a, ...) spki_code_##a, SPKI_EACH_4(__VA_ARGS__)
#define SPKI_EACH_6(a, ...) spki_code_##a, SPKI_EACH_5(__VA_ARGS__)
#define SPKI_EACH_7(a, ...) spki_code_##a, SPKI_EACH_6(__VA_ARGS__)
#define SPKI_EACH_8(a, ...) spki_code_##a, SPKI_EACH_7(__VA_ARGS__)
#define SPKI_EACH_9(a, ...) spki_code_##a, SPKI_EACH_8(__VA_ARGS__)
#define SPKI_EACH_10(a, ...) spki_code_##a, SPKI_EACH_9(__VA_ARGS__)
#define SPKI_EACH_11(a, ...) spki_code_##a, SPKI_EACH_10(__VA_ARGS__)
#define SPKI_EACH_12(a, ...) spki_code_##a, SPKI_EACH_11(__VA_ARGS__)
#define SPKI_EACH_13(a, ...) spki_code_##a, SPKI_EACH_12(__VA_ARGS__)
#define SPKI_EACH_14(a, ...) spki_code_##a, SPKI_EACH_13(__VA_ARGS__)
#define SPKI_EACH_15(a, ...) spki_code_##a, SPKI_EACH_14(__VA_ARGS__)
#define SPKI_EACH_16(a, ...) spki_code_##a, SPKI_EACH_15(__VA_ARGS__)
#define SPKI_EACH_PICK(                                                                            \
    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, pick, ...) pick
#define SPKI_EACH(...)                                                                             \
    SPKI_EACH_PICK(__VA_ARGS__, SPKI_EACH_16, SPKI_EACH_15, SPKI_EACH_14, SPKI_EACH_13,            \
    SPKI_EACH_12, SPKI_EACH_11, SPKI_EACH_10, SPKI_EACH_9, SPKI_EACH_8, SPKI_EACH_7,               \
    SPKI_EACH_6, SPKI_EACH_5, SPKI_EACH_4, SPKI_EACH_3, SPKI_EACH_2, SPKI_EACH_1,                  \
    0)(__VA_ARGS__)
#define SPKI_HOLDING_OF(space, ...)                                                                \
    {space::spki_state_bits, space::spki_weight_bits, space::spki_wide,                            \
     &space::spki_set_of<__VA_ARGS__>::models,                                                     \
     &space::spki_entries<space::spki_set_of<__VA_ARGS__>>},
#define SPKI_HOLDING(states, weights, ...)                                                         \
    SPKI_HOLDING_OF(spki_code_##states##_##weights, SPKI_EACH(__VA_ARGS__))
static const spki_cuda_holding spki_cuda_holdings[] = {
    SPIKELIB_CUDA_KERNELS(SPKI_HOLDING) {0, 0, 0, NULL, NULL}};
#else
static const spki_cuda_holding spki_cuda_holdings[] = {{0, 0, 0, NULL, NULL}};
#endif

/* Has the program all of the network's models? Then how many it has, else 0. */
SPKI_FN uint32_t spki_cuda_serves(const spki_cuda_holding *h, const spk_net *net)
{
    spk_model model[SPKI_CUDA_MOST_MODELS];
    const uint32_t n = h->models(model);
    for (uint32_t p = 0; p < net->populations; p++) {
        uint32_t k = 0;
        while (k < n && model[k] != net->population[p].model) {
            k++;
        }
        if (k == n) {
            return 0;
        }
    }
    return n;
}

/* The program with the fewest models that does. */
SPKI_FN const spki_cuda_holding *spki_cuda_choose_holding(const spk_net *net,
                                                          const spki_gpu_choice *c)
{
    const uint32_t state_bits = c->half ? 16 : c->is_double ? 64 : 32;
    const spki_cuda_holding *best = NULL;
    uint32_t least = UINT32_MAX;
    for (const spki_cuda_holding *h = spki_cuda_holdings; h->models; h++) {
        const bool fits = h->state_bits == state_bits && h->weight_bits == net->desc.weight_bits &&
                          h->wide == (uint32_t)c->wide;
        const uint32_t n = fits ? spki_cuda_serves(h, net) : 0;
        if (n && n < least) {
            best = h;
            least = n;
        }
    }
    return best;
}

/* What to write so that nvcc compiles what the network needs. */
SPKI_FN void spki_cuda_say_wanted(char *out, size_t size, const spk_net *net,
                                  const spki_gpu_choice *c)
{
    spki_text text = {out, size, 0};
    char piece[100];
    const bool wide = c->wide && net->desc.weight_bits != 32;
    snprintf(piece, sizeof piece,
             "; or let nvcc do it: #define SPIKELIB_CUDA_KERNELS(X) X(%d, %u%s",
             c->half ? 16 : c->is_double ? 64 : 32, net->desc.weight_bits, wide ? "_wide" : "");
    spki_text_add(&text, piece);
    for (uint32_t p = 0; p < net->populations; p++) {
        uint32_t before = 0;
        while (before < p && net->population[before].model != net->population[p].model) {
            before++;
        }
        if (before == p) {
            snprintf(piece, sizeof piece, ", %.80s", net->population[p].model->name);
            spki_text_add(&text, piece);
        }
    }
    spki_text_add(&text, ")");
}

typedef int (*spki_cuda_by_symbol)(spki_cuda_handle *function, const void *symbol);

#if defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)
SPKI_FN int spki_cuda_from_runtime(spki_cuda_handle *function, const void *symbol)
{
    cudaFunction_t found;
    const int code = (int)cudaGetFuncBySymbol(&found, symbol);
    *function = code ? NULL : (spki_cuda_handle)(void *)found;
    return code;
}
#endif

/* Who knows the driver's handle of a kernel that nvcc has compiled. */
SPKI_FN spki_cuda_by_symbol spki_cuda_finder(const spk_cuda_desc *desc)
{
    spki_cuda_by_symbol find = NULL;
    if (desc->symbol) {
        (void)spki_cuda_bind((void *)&find, desc->symbol(desc->symbol_ctx, "cudaGetFuncBySymbol"));
        return find;
    }
#if defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)
    find = spki_cuda_from_runtime;
#endif
    return find;
}

/* The functions of a program, in the device's context. */
SPKI_FN bool spki_cuda_take_functions(spki_gpu *gpu, spki_cuda_by_symbol find,
                                      spki_cuda_program *p)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    const void *entry[SPKI_GPU_MORE_ENTRIES];
    int code = 0;
    if (spki_cuda_begin(gpu) != SPK_OK) {
        return false;
    }
    p->held->entries(entry);
    for (uint32_t k = 0; k < SPKI_GPU_MORE_ENTRIES && !code; k++) {
        code = find(&p->function[k], entry[k]);
    }
    (void)spki_cuda_end(gpu, "", 0);
    if (code) {
        snprintf(d->lacks, sizeof d->lacks,
                 "; what nvcc compiled cannot be used: cudaGetFuncBySymbol returned %d (it was "
                 "compiled for other devices unless -arch allows sm_%u%u)",
                 code, d->major, d->minor);
    }
    return code == 0;
}

SPKI_FN void *spki_cuda_held(spki_gpu *gpu, const spk_net *net, const spki_gpu_choice *c)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_holding *held = spki_cuda_choose_holding(net, c);
    const spki_cuda_by_symbol find = spki_cuda_finder(d->desc);
    d->lacks[0] = 0;
    if (!held || !find) {
        if (SPKI_CUDA_HOLDS) {
            spki_cuda_say_wanted(d->lacks, sizeof d->lacks, net, c);
        }
        return NULL;
    }
    spki_cuda_program *p = (spki_cuda_program *)spki_alloc(gpu->mem, 1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->held = held;
    if (!spki_cuda_take_functions(gpu, find, p)) {
        spki_cuda_release(gpu, p);
        return NULL;
    }
    return p;
}

/* Twice the place of the model, and one more where anything is each neuron's own. */
SPKI_FN uint32_t spki_cuda_form(const void *program, const spki_gpu_variant *variant,
                                uint32_t number)
{
    const spki_cuda_holding *held = ((const spki_cuda_program *)program)->held;
    const uint64_t *varied = variant->varied;
    spk_model model[SPKI_CUDA_MOST_MODELS];
    if (!held) {
        return number;
    }
    const uint32_t n = held->models(model);
    for (uint32_t k = 0; k < n; k++) {
        if (model[k] == variant->model) {
            return 2 * k + ((varied[0] | varied[1] | varied[2] | varied[3]) ? 1u : 0u);
        }
    }
    return UINT32_MAX; /* never: it serves the network */
}

#endif
