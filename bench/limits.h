/* ---- >>limits: what the machine itself can do, measured beside the networks ---- */
#ifndef SPKBENCH_LIMITS_H
#define SPKBENCH_LIMITS_H

#include "../spikelib.h"
#include "options.h"
#include "report.h"

/* Loops of as few instructions as there can be, on as many threads and with the same vectors as the
   run. A pass is timed several times and the fastest counts: other programs only make it slower. */
typedef struct limits {
    double triad_bytes_per_s;   /* a = b + k c beyond the caches: 12 bytes an element, as STREAM */
    double inplace_bytes_per_s; /* a = k a + c beyond the caches: 8 bytes an element */
    double l2_bytes_per_s;      /* the same with 12 bytes, a and b, in the second-level cache */
    double adds_per_s;          /* scattered additions to accumulators as large as a tile's */
    double adds_l1_per_s;       /* to 16 kB of them */
} limits;

typedef struct limits_lane {
    float *a, *b, *c;
    size_t n, steps;
    uint32_t *list;
    int32_t *acc;
    double k;
    uint8_t pad[64];
} limits_lane;

#define LIMITS_LOOPS(name, target, bytes)                                                          \
    typedef float limits_##name __attribute__((vector_size(bytes), aligned(bytes), may_alias));    \
    target static void limits_triad_##name(limits_lane *l)                                         \
    {                                                                                              \
        limits_##name *a = (limits_##name *)(void *)l->a, *b = (limits_##name *)(void *)l->b;      \
        limits_##name *c = (limits_##name *)(void *)l->c;                                          \
        size_t i, n = l->n / (bytes / 4);                                                          \
        const float k = (float)l->k;                                                               \
        for (i = 0; i < n; i += 4) {                                                               \
            a[i] = b[i] + k * c[i];                                                                \
            a[i + 1] = b[i + 1] + k * c[i + 1];                                                    \
            a[i + 2] = b[i + 2] + k * c[i + 2];                                                    \
            a[i + 3] = b[i + 3] + k * c[i + 3];                                                    \
        }                                                                                          \
    }                                                                                              \
    target static void limits_inplace_##name(limits_lane *l)                                       \
    {                                                                                              \
        limits_##name *a = (limits_##name *)(void *)l->a;                                          \
        size_t i, n = l->n / (bytes / 4);                                                          \
        const float k = (float)l->k;                                                               \
        for (i = 0; i < n; i += 4) {                                                               \
            a[i] = k * a[i] + k;                                                                   \
            a[i + 1] = k * a[i + 1] + k;                                                           \
            a[i + 2] = k * a[i + 2] + k;                                                           \
            a[i + 3] = k * a[i + 3] + k;                                                           \
        }                                                                                          \
    }                                                                                              \
    target static void limits_l2_##name(limits_lane *l)                                            \
    {                                                                                              \
        limits_##name *a = (limits_##name *)(void *)l->a, *b = (limits_##name *)(void *)l->b;      \
        size_t i, s, n = LIMITS_L2 / (bytes / 4);                                                  \
        const float k = (float)l->k;                                                               \
        for (s = 0; s < l->steps; s++)                                                             \
            for (i = 0; i < n; i += 4) {                                                           \
                a[i] = k * a[i] + b[i];                                                            \
                a[i + 1] = k * a[i + 1] + b[i + 1];                                                \
                a[i + 2] = k * a[i + 2] + b[i + 2];                                                \
                a[i + 3] = k * a[i + 3] + b[i + 3];                                                \
            }                                                                                      \
    }

enum {
    LIMITS_L2 = 24576,   /* floats of each of two arrays: 192 kB */
    LIMITS_LIST = 16384, /* synapses: 64 kB */
    LIMITS_PASSES = 7
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* no vector passes between functions */
#endif
LIMITS_LOOPS(narrow, , 16)
#if defined(__x86_64__) || defined(__i386__)
LIMITS_LOOPS(avx2, __attribute__((target("avx2"))), 32)
LIMITS_LOOPS(avx512, __attribute__((target("avx512f"))), 64)
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* What delivery does to a synapse, and nothing else: the list comes from the second-level cache. */
static void limits_adds(limits_lane *l)
{
    int32_t *acc = l->acc;
    size_t k, s;
    for (s = 0; s < l->steps; s++) {
        const uint32_t *w = l->list;
        for (k = 0; k < LIMITS_LIST; k += 8) {
            acc[w[k] & 0xffffu] += (int32_t)w[k] >> 16;
            acc[w[k + 1] & 0xffffu] += (int32_t)w[k + 1] >> 16;
            acc[w[k + 2] & 0xffffu] += (int32_t)w[k + 2] >> 16;
            acc[w[k + 3] & 0xffffu] += (int32_t)w[k + 3] >> 16;
            acc[w[k + 4] & 0xffffu] += (int32_t)w[k + 4] >> 16;
            acc[w[k + 5] & 0xffffu] += (int32_t)w[k + 5] >> 16;
            acc[w[k + 6] & 0xffffu] += (int32_t)w[k + 6] >> 16;
            acc[w[k + 7] & 0xffffu] += (int32_t)w[k + 7] >> 16;
        }
    }
}

/* -- on all threads -- */

typedef struct limits_job {
    spki_pool *pool;
    uint32_t threads;
    limits_lane *lane;
    void (*loop)(limits_lane *lane);
} limits_job;

static void limits_task(void *arg, uint32_t k)
{
    limits_job *job = (limits_job *)arg;
    job->loop(&job->lane[k]);
}

/* Memory is first touched by the thread that will use it. */
static void limits_fill(limits_lane *l)
{
    size_t i;
    uint32_t x = 1;
    for (i = 0; i < l->n; i++) {
        l->a[i] = 0.5f;
        l->b[i] = l->c[i] = 0.25f;
    }
    for (i = 0; i < LIMITS_LIST; i++) {
        x = x * 1664525u + 1013904223u;
        l->list[i] = x; /* slot and weight; limits_slots says how many slots there are */
    }
    memset(l->acc, 0, 65536 * sizeof *l->acc);
}

/* Seconds of the fastest pass. */
static double limits_time(limits_job *job, void (*loop)(limits_lane *))
{
    double best = 1e300;
    int pass;
    job->loop = loop;
    for (pass = 0; pass < LIMITS_PASSES; pass++) {
        double start = spk_clock_seconds();
        spki_pool_run(job->pool, limits_task, job);
        start = spk_clock_seconds() - start;
        if (start < best) best = start;
    }
    return best;
}

/* Additions a second of all threads, each to `slots` accumulators of its own. */
static double limits_adds_to(limits_job *job, uint32_t slots)
{
    uint32_t t, i;
    size_t steps = 64;
    slots = slots < 1 ? 1 : slots > 65536 ? 65536 : slots;
    for (t = 0; t < job->threads; t++) {
        limits_lane *l = &job->lane[t];
        l->steps = steps;
        for (i = 0; i < LIMITS_LIST; i++) {
            uint32_t random = l->list[i] * 2654435761u ^ l->list[i] >> 15;
            l->list[i] = (l->list[i] & 0xffff0000u) |
                         (uint32_t)((uint64_t)(random & 0xffffffu) * slots >> 24);
        }
    }
    return (double)job->threads * (double)steps * LIMITS_LIST / limits_time(job, limits_adds);
}

/* Elements of each array of one thread: all threads together leave every cache behind. */
static size_t limits_elements(uint32_t threads)
{
    double bytes = 64e6;
    size_t n;
#if defined(_SC_LEVEL3_CACHE_SIZE)
    long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (l3 > 0 && 2.0 * (double)l3 > bytes) bytes = 2.0 * (double)l3;
#endif
    n = (size_t)(bytes / 4.0 / threads) & ~(size_t)255;
    return n < LIMITS_L2 ? LIMITS_L2 : n;
}

static void limits_loops(limits_job *job, spk_isa isa, size_t n, uint32_t slots, limits *out)
{
    void (*triad)(limits_lane *) = limits_triad_narrow;
    void (*inplace)(limits_lane *) = limits_inplace_narrow, (*l2)(limits_lane *) = limits_l2_narrow;
    double all = (double)n * job->threads;
    uint32_t t;
#if defined(__x86_64__) || defined(__i386__)
    if (isa == SPK_ISA_AVX2) triad = limits_triad_avx2, inplace = limits_inplace_avx2;
    if (isa == SPK_ISA_AVX2) l2 = limits_l2_avx2;
    if (isa == SPK_ISA_AVX512) triad = limits_triad_avx512, inplace = limits_inplace_avx512;
    if (isa == SPK_ISA_AVX512) l2 = limits_l2_avx512;
#endif
    (void)isa;
    job->loop = limits_fill;
    spki_pool_run(job->pool, limits_task, job);
    out->triad_bytes_per_s = 12.0 * all / limits_time(job, triad);
    out->inplace_bytes_per_s = 8.0 * all / limits_time(job, inplace);
    for (t = 0; t < job->threads; t++) job->lane[t].steps = 64;
    out->l2_bytes_per_s = 12.0 * LIMITS_L2 * 64.0 * job->threads / limits_time(job, l2);
    out->adds_per_s = limits_adds_to(job, slots);
    out->adds_l1_per_s = limits_adds_to(job, 4096);
}

/* `slots`: accumulators of a tile. False: no memory or threads. */
static bool limits_measure(limits *out, spk_isa isa, uint32_t threads, uint32_t slots)
{
    limits_job job = {0};
    spki_mem mem;
    size_t n = limits_elements(threads);
    uint32_t t;
    bool ok;
    memset(out, 0, sizeof *out);
    spki_mem_init(&mem, NULL, 0);
    job.threads = threads;
    job.lane = (limits_lane *)spki_alloc(&mem, threads, sizeof *job.lane);
    ok = job.lane && spki_pool_create(&mem, threads, &job.pool) == SPK_OK;
    for (t = 0; job.lane && t < threads; t++) {
        limits_lane *l = &job.lane[t];
        l->n = n;
        l->k = 0.5;
        l->a = (float *)spki_alloc_raw(&mem, n, sizeof(float));
        l->b = (float *)spki_alloc_raw(&mem, n, sizeof(float));
        l->c = (float *)spki_alloc_raw(&mem, n, sizeof(float));
        l->list = (uint32_t *)spki_alloc_raw(&mem, LIMITS_LIST, sizeof(uint32_t));
        l->acc = (int32_t *)spki_alloc_raw(&mem, 65536, sizeof(int32_t));
        ok = ok && l->a && l->b && l->c && l->list && l->acc;
    }
    if (ok) limits_loops(&job, isa, n, slots, out);
    spki_pool_destroy(&mem, job.pool);
    for (t = 0; job.lane && t < threads; t++) {
        limits_lane *l = &job.lane[t];
        spki_free(&mem, l->a, n, sizeof(float));
        spki_free(&mem, l->b, n, sizeof(float));
        spki_free(&mem, l->c, n, sizeof(float));
        spki_free(&mem, l->list, LIMITS_LIST, sizeof(uint32_t));
        spki_free(&mem, l->acc, 65536, sizeof(int32_t));
    }
    spki_free(&mem, job.lane, threads, sizeof *job.lane);
    return ok;
}

/* -- what a network is held against -- */

/* Accumulators of the largest tile. */
static uint32_t limits_tile_slots(const spk_net *net)
{
    uint32_t t, most = 1;
    for (t = 0; t < net->tiles; t++) {
        uint32_t slots = net->tile[t].lanes * (net->tile[t].receptors ? net->tile[t].receptors : 1);
        if (slots > most) most = slots;
    }
    return most;
}

/* Bytes of a step of a population's neurons to which nothing arrives: states read and written,
   parameters that differ between neurons, a bit for the spike. */
static double limits_neuron_bytes(const spk_net *net)
{
    const spki_population *pop = &net->population[0];
    uint32_t k, reals = pop->model->param_count + pop->model->derived_count;
    double bytes = 2.0 * (double)net->state_size * pop->model->state_count + 0.125;
    for (k = 0; k < reals; k++)
        if (pop->real_mask[k]) bytes += (double)net->real_size;
    return bytes;
}

#endif
