/* ---- >>ring: items per second through a ring, and round trips ---- */
#ifndef SPKBENCH_RING_H
#define SPKBENCH_RING_H

#include "options.h"
#include "report.h"
#include "ring_race.h"

#ifndef _WIN32
#include <pthread.h>
#include <sched.h>
#endif

/* -- ours -- */

static void *ours_open(spk_ring_kind kind, size_t slots)
{
    spk_ring_desc d = {0};
    d.kind = kind;
    d.capacity = slots;
    return spk_ring_create(&d);
}
static void *ours_spsc_open(size_t slots) { return ours_open(SPK_RING_SPSC, slots); }
static void *ours_mpmc_open(size_t slots) { return ours_open(SPK_RING_MPMC, slots); }
static void ours_close(void *ring) { spk_ring_destroy((spk_ring *)ring); }

static void *ours_pair(spk_ring_kind kind, size_t slots)
{
    spk_ring **pair = (spk_ring **)malloc(2 * sizeof(spk_ring *));
    pair[0] = (spk_ring *)ours_open(kind, slots);
    pair[1] = (spk_ring *)ours_open(kind, slots);
    return pair;
}
static void *ours_spsc_pair(size_t slots) { return ours_pair(SPK_RING_SPSC, slots); }
static void *ours_mpmc_pair(size_t slots) { return ours_pair(SPK_RING_MPMC, slots); }
static void ours_pair_close(void *queue)
{
    spk_ring **pair = (spk_ring **)queue;
    spk_ring_destroy(pair[0]);
    spk_ring_destroy(pair[1]);
    free(pair);
}

#define OURS_PUSH(q, it) (spk_ring_try_push(q, &(it)) == SPK_OK)
#define OURS_POP(q, it) (spk_ring_pop(q, &(it)) == SPK_OK)
RACE_ONE(ours_one, spk_ring, OURS_PUSH, OURS_POP)
RACE_BATCH(ours_32, spk_ring, 32, spk_ring_push_n, spk_ring_pop_n)
RACE_BATCH(ours_256, spk_ring, 256, spk_ring_push_n, spk_ring_pop_n)
RACE_TRIP(ours_trip, spk_ring, OURS_PUSH, OURS_POP)

/* Zero copy: items are made and checked in the slots. */
static void ours_span_produce(void *queue, size_t count)
{
    spk_ring *q = (spk_ring *)queue;
    size_t k = 0, i;
    while (k < count) {
        spk_ring_span s;
        size_t n = spk_ring_reserve(q, count - k < 32 ? count - k : 32, &s);
        race_item *a = (race_item *)s.first, *b = (race_item *)s.second;
        for (i = 0; i < s.first_count; i++) a[i].number = k + i, a[i].check = ~(k + i);
        k += s.first_count;
        for (i = 0; i < s.second_count; i++) b[i].number = k + i, b[i].check = ~(k + i);
        k += s.second_count;
        spk_ring_commit(q, &s, n);
    }
}

static size_t ours_span_consume(void *queue, size_t count)
{
    spk_ring *q = (spk_ring *)queue;
    size_t k = 0, i, wrong = 0;
    while (k < count) {
        spk_ring_span s;
        size_t n = spk_ring_peek(q, 32, &s);
        const race_item *a = (const race_item *)s.first, *b = (const race_item *)s.second;
        for (i = 0; i < s.first_count; i++, k++)
            wrong += a[i].number != k || a[i].check != ~(uint64_t)k;
        for (i = 0; i < s.second_count; i++, k++)
            wrong += b[i].number != k || b[i].check != ~(uint64_t)k;
        spk_ring_consume(q, &s, n);
    }
    return wrong;
}

/* -- what the machine can do at all: two words in two cache lines, there and back -- */

typedef struct bare_lines {
    uint64_t there, pad0[31], back, pad1[31];
} bare_lines;

static void *bare_open(size_t slots)
{
    (void)slots;
    return calloc(1, sizeof(bare_lines));
}

static void bare_produce(void *queue, size_t count)
{
    bare_lines *q = (bare_lines *)queue;
    uint64_t k;
    for (k = 1; k <= count; k++) {
        __atomic_store_n(&q->there, k, __ATOMIC_RELEASE);
        while (__atomic_load_n(&q->back, __ATOMIC_ACQUIRE) != k) continue;
    }
}

static size_t bare_consume(void *queue, size_t count)
{
    bare_lines *q = (bare_lines *)queue;
    uint64_t k;
    for (k = 1; k <= count; k++) {
        while (__atomic_load_n(&q->there, __ATOMIC_ACQUIRE) != k) continue;
        __atomic_store_n(&q->back, k, __ATOMIC_RELEASE);
    }
    return 0;
}

static const race_case ours_cases[] = {
    {"spsc_one", "spikelib", 1, ours_spsc_open, ours_close, ours_one_produce, ours_one_consume},
    {"spsc_32", "spikelib", 32, ours_spsc_open, ours_close, ours_32_produce, ours_32_consume},
    {"spsc_256", "spikelib", 256, ours_spsc_open, ours_close, ours_256_produce, ours_256_consume},
    {"spsc_32", "spikelib, in place", 32, ours_spsc_open, ours_close, ours_span_produce,
     ours_span_consume},
    {"mpmc_one", "spikelib", 1, ours_mpmc_open, ours_close, ours_one_produce, ours_one_consume},
    {"mpmc_32", "spikelib", 32, ours_mpmc_open, ours_close, ours_32_produce, ours_32_consume},
    {"mpmc_256", "spikelib", 256, ours_mpmc_open, ours_close, ours_256_produce, ours_256_consume},
    {"round_trip", "bare cache line", 0, bare_open, free, bare_produce, bare_consume},
    {"round_trip", "spikelib spsc", 0, ours_spsc_pair, ours_pair_close, ours_trip_produce,
     ours_trip_consume},
    {"round_trip", "spikelib mpmc", 0, ours_mpmc_pair, ours_pair_close, ours_trip_produce,
     ours_trip_consume}};

/* -- a race -- */

typedef struct race {
    const race_case *c;
    void *queue;
    size_t count, wrong;
    uint32_t ready;
    double end[2];
} race;

/* Each side on a CPU of its own: without this the scheduler puts both on one for a while. */
static void race_pin(uint32_t cpu)
{
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set); /* refused: unpinned */
#else
    (void)cpu;
#endif
}

static void race_meet(race *r)
{
    __atomic_fetch_add(&r->ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE) != 2) continue;
}

static void *race_consumer(void *arg)
{
    race *r = (race *)arg;
    race_pin(1);
    race_meet(r);
    r->wrong = r->c->consume(r->queue, r->count);
    r->end[1] = spk_clock_seconds();
    return NULL;
}

/* Seconds, negative if the queue lost or changed something. */
static double race_run(const race_case *c, size_t slots, size_t count)
{
    race r = {0};
    pthread_t consumer;
    double start;
    r.c = c;
    r.count = count;
    r.queue = c->open(slots);
    if (!r.queue) return -1.0;
    race_pin(1); /* the new thread begins there, and does not wait for this one's CPU */
    if (pthread_create(&consumer, NULL, race_consumer, &r) != 0) return -1.0;
    race_pin(0);
    race_meet(&r);
    start = spk_clock_seconds();
    c->produce(r.queue, count);
    r.end[0] = spk_clock_seconds();
    pthread_join(consumer, NULL);
    c->close(r.queue);
    if (r.wrong) return -1.0;
    return (r.end[1] > r.end[0] ? r.end[1] : r.end[0]) - start;
}

enum { RACE_CASES = 64, RACE_ROUNDS = 31 };

static size_t race_list(const race_case **list)
{
    size_t n = 0, k;
    for (k = 0; k < sizeof ours_cases / sizeof ours_cases[0]; k++) list[n++] = &ours_cases[k];
#ifdef SPKBENCH_PEERS
    {
        size_t count;
        const race_case *peers = ring_peers_c(&count);
        for (k = 0; k < count; k++) list[n++] = &peers[k];
        peers = ring_peers_cc(&count);
        for (k = 0; k < count; k++) list[n++] = &peers[k];
    }
#endif
    return n;
}

static int race_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* All queues of a race take turns, so that a disturbance of the machine meets each of them. */
static int ring_measure(report *r, const options *o, const char *only, const char **error)
{
    static const size_t slots[] = {1024, 65536};
    static double times[RACE_CASES][RACE_ROUNDS];
    const race_case *list[RACE_CASES];
    const size_t cases = race_list(list), rounds = (size_t)o->rounds;
    size_t s, k, i;
    for (s = 0; s < 2; s++) {
        for (i = 0; i < rounds; i++) {
            for (k = 0; k < cases; k++) {
                const race_case *c = list[k];
                size_t count = (size_t)o->items;
                if (only && strcmp(only, c->race)) continue;
                if (c->batch == 0) count /= 20;
                if (c->batch > 1) count = (2 * count + 255) / 256 * 256;
                times[k][i] = race_run(c, slots[s], count) / (double)count;
                *error = c->name;
                if (times[k][i] <= 0.0) return -1;
            }
            progress("ring", (double)(s * rounds + i + 1) / (double)(2 * rounds));
        }
        for (k = 0; k < cases; k++) {
            const race_case *c = list[k];
            const double *t = times[k];
            if (only && strcmp(only, c->race)) continue;
            if (c->batch == 0 && s == 1) continue;
            qsort(times[k], rounds, sizeof(double), race_compare);
            report_begin(r, "ring", spk_isa_best(), 2, (uint64_t)o->seed);
            report_text(r, "race", c->race);
            report_text(r, "queue", c->name);
            report_integer(r, "slots", slots[s]);
            report_number(r, "ns_per_item", 1e9 * t[rounds / 2]);
            report_number(r, "items_per_s", 1.0 / t[rounds / 2]);
            report_number(r, "items_per_s_low", 1.0 / t[rounds - 1]);
            report_number(r, "items_per_s_high", 1.0 / t[0]);
            report_end(r);
        }
    }
    return 0;
}

#endif
