/* ---- >>pipeline: throughput, latency of the urgent, overload and recovery ---- */
#ifndef SPKBENCH_PIPELINE_H
#define SPKBENCH_PIPELINE_H

#include "options.h"
#include "report.h"

#ifdef _WIN32
static int pipeline_measure(report *r, const options *o, const char **error)
{
    (void)r;
    (void)o;
    *error = "this subcommand needs POSIX threads";
    return 2;
}
#else
#include <pthread.h>
#include <time.h>

static void pipeline_nap(double seconds)
{
    struct timespec t;
    t.tv_sec = (time_t)seconds;
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

/* -- three stages that do a little: crop and shift, a refractory map, sums -- */

typedef struct pipeline_world {
    spk_pipeline *p;
    int64_t last[128 * 128];
    uint64_t delivered, sum;
    double item_s; /* overload: busy time of the middle stage for an item */
    volatile bool stop;
    double rate_per_s;
} pipeline_world;

static spk_result pipeline_crop(void *ctx, spk_batch *b)
{
    spk_event *e = (spk_event *)b->items;
    size_t n = 0, i;
    (void)ctx;
    for (i = 0; i < b->count; i++) {
        spk_event v = e[i];
        v.x = (uint16_t)(v.x >> 1);
        v.y = (uint16_t)(v.y >> 1);
        e[n] = v;
        n += v.x < 128 && v.y < 128;
    }
    b->count = n;
    return SPK_OK;
}

static spk_result pipeline_refractory(void *ctx, spk_batch *b)
{
    pipeline_world *w = (pipeline_world *)ctx;
    spk_event *e = (spk_event *)b->items;
    size_t n = 0, i;
    for (i = 0; i < b->count; i++) {
        spk_event v = e[i];
        int64_t *last = &w->last[v.y * 128 + v.x];
        bool keep = v.t_us - *last >= 0;
        *last = keep ? v.t_us : *last;
        e[n] = v;
        n += keep;
    }
    b->count = n;
    return SPK_OK;
}

static spk_result pipeline_sum(void *ctx, spk_batch *b)
{
    pipeline_world *w = (pipeline_world *)ctx;
    const spk_event *e = (const spk_event *)b->items;
    uint64_t sum = 0;
    size_t i;
    for (i = 0; i < b->count; i++) sum += (uint64_t)e[i].x + e[i].y + e[i].polarity;
    w->sum += sum;
    w->delivered += b->count;
    return SPK_OK;
}

static spk_result pipeline_busy(void *ctx, spk_batch *b)
{
    pipeline_world *w = (pipeline_world *)ctx;
    double until = spk_clock_seconds() + w->item_s * (double)b->count;
    while (spk_clock_seconds() < until) continue;
    return SPK_OK;
}

static void pipeline_events(spk_event *e, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const uint32_t counter[4] = {(uint32_t)i, 0, 0, 0}, key[2] = {1, 0};
        uint32_t out[4];
        spk_philox4x32(counter, key, out);
        memset(&e[i], 0, sizeof e[i]);
        e[i].t_us = (int64_t)i;
        e[i].x = (uint16_t)(out[0] & 255);
        e[i].y = (uint16_t)(out[1] & 255);
        e[i].polarity = (uint8_t)(out[2] & 1);
    }
}

static spk_result pipeline_open(pipeline_world *w, const options *o, bool busy)
{
    spk_pipeline_desc d = {0};
    d.workers = (uint32_t)o->threads;
    d.seed = (uint64_t)o->seed;
    w->p = spk_pipeline_create(&d);
    spk_pipeline_add(w->p, "crop", pipeline_crop, NULL, NULL);
    if (busy)
        spk_pipeline_add(w->p, "busy", pipeline_busy, w, NULL);
    else
        spk_pipeline_add(w->p, "refractory", pipeline_refractory, w, NULL);
    spk_pipeline_add(w->p, "sum", pipeline_sum, w, NULL);
    return spk_pipeline_start(w->p);
}

static spk_event pipeline_block[256];

/* Submits as fast as the pipeline takes. */
static void *pipeline_flood(void *arg)
{
    pipeline_world *w = (pipeline_world *)arg;
    while (!w->stop)
        spk_pipeline_submit_wait(w->p, SPK_PRIORITY_BATCH, 1, pipeline_block, 256, 0.1);
    return NULL;
}

/* Events a second, delivered: the median of `repeat` runs. */
static double pipeline_throughput(const options *o, int repeat, double seconds, uint64_t *bytes)
{
    static pipeline_world w;
    double rates[9];
    int k, i;
    for (k = 0; k < repeat; k++) {
        double begin, end;
        double rate;
        memset(&w, 0, sizeof w);
        if (pipeline_open(&w, o, false) != SPK_OK) return 0.0;
        *bytes = spk_pipeline_bytes(w.p);
        begin = spk_clock_seconds();
        while (spk_clock_seconds() - begin < seconds)
            for (i = 0; i < 64; i++)
                spk_pipeline_submit_wait(w.p, SPK_PRIORITY_NORMAL, 1, pipeline_block, 256, 1.0);
        spk_pipeline_drain(w.p, 10.0);
        end = spk_clock_seconds();
        rate = (double)w.delivered / (end - begin);
        spk_pipeline_destroy(w.p);
        for (i = k; i > 0 && rates[i - 1] > rate; i--) rates[i] = rates[i - 1];
        rates[i] = rate;
    }
    return rates[repeat / 2];
}

static void pipeline_begin(report *r, const options *o, const char *what)
{
    report_begin(r, "pipeline", spk_isa_best(), (uint32_t)o->threads, (uint64_t)o->seed);
    report_text(r, "case", what);
}

static void pipeline_latency(report *r, const spk_latency *l)
{
    report_number(r, "p50_us", l->p50_us);
    report_number(r, "p99_us", l->p99_us);
    report_number(r, "p999_us", l->p999_us);
    report_number(r, "max_us", l->max_us);
}

/* A critical item every millisecond while batch items fill the pipeline. */
static spk_result pipeline_urgent(report *r, const options *o, double seconds)
{
    static pipeline_world w;
    pthread_t flood;
    spk_pipeline_stats s;
    double begin;
    uint64_t sent = 0;
    memset(&w, 0, sizeof w);
    if (pipeline_open(&w, o, false) != SPK_OK) return SPK_ERR_THREAD;
    if (pthread_create(&flood, NULL, pipeline_flood, &w)) return SPK_ERR_THREAD;
    for (begin = spk_clock_seconds(); spk_clock_seconds() - begin < seconds; pipeline_nap(0.001))
        sent += spk_pipeline_submit(w.p, SPK_PRIORITY_CRITICAL, 2, pipeline_block, 1);
    w.stop = true;
    pthread_join(flood, NULL);
    spk_pipeline_drain(w.p, 10.0);
    pipeline_begin(r, o, "critical_under_batch");
    spk_pipeline_get_stats(w.p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_CRITICAL, &s);
    report_integer(r, "critical_sent", sent);
    report_integer(r, "critical_delivered", s.out);
    pipeline_latency(r, &s.latency);
    spk_pipeline_get_stats(w.p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_BATCH, &s);
    report_number(r, "batch_events_per_s", (double)s.out / seconds);
    report_end(r);
    spk_pipeline_destroy(w.p);
    return SPK_OK;
}

/* The time of single submissions, while the workers keep up. */
static int pipeline_order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static spk_result pipeline_operation(report *r, const options *o)
{
    enum { OPERATIONS = 400000 };
    static pipeline_world w;
    double *took = (double *)malloc(OPERATIONS * sizeof *took), empty[1001];
    int k;
    memset(&w, 0, sizeof w);
    if (!took || pipeline_open(&w, o, false) != SPK_OK) return SPK_ERR_THREAD;
    for (k = 0; k < 1001; k++) {
        double begin = spk_clock_seconds();
        empty[k] = spk_clock_seconds() - begin;
    }
    qsort(empty, 1001, sizeof empty[0], pipeline_order);
    for (k = 0; k < OPERATIONS; k++) {
        double begin = spk_clock_seconds();
        size_t n = spk_pipeline_submit(w.p, SPK_PRIORITY_NORMAL, 1, pipeline_block, 1);
        took[k] = spk_clock_seconds() - begin - empty[500];
        if (n == 0) pipeline_nap(0.001);
    }
    spk_pipeline_drain(w.p, 10.0);
    qsort(took, OPERATIONS, sizeof *took, pipeline_order);
    pipeline_begin(r, o, "submit_one");
    report_number(r, "p50_ns", 1e9 * took[OPERATIONS / 2]);
    report_number(r, "p99_ns", 1e9 * took[OPERATIONS / 100 * 99]);
    report_number(r, "p999_ns", 1e9 * took[OPERATIONS / 1000 * 999]);
    report_number(r, "clock_ns", 1e9 * empty[500]);
    report_end(r);
    spk_pipeline_destroy(w.p);
    free(took);
    return SPK_OK;
}

static double pipeline_rss_mb(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size = 0, pages = 0;
    if (f && fscanf(f, "%ld %ld", &size, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* Latency of one item through an otherwise idle pipeline. */
static double pipeline_probe(pipeline_world *w)
{
    double begin = spk_clock_seconds();
    spk_pipeline_submit(w->p, SPK_PRIORITY_NORMAL, 1, pipeline_block, 1);
    spk_pipeline_drain(w->p, 10.0);
    return spk_clock_seconds() - begin;
}

static double pipeline_idle(pipeline_world *w)
{
    double took[101];
    int k;
    for (k = 0; k < 101; k++) {
        took[k] = pipeline_probe(w);
        pipeline_nap(0.001);
    }
    qsort(took, 101, sizeof took[0], pipeline_order);
    return took[90];
}

/* Three times what the middle stage can do (1 us an item), offered at an even pace, and ten
   critical items a millisecond. */
static spk_result pipeline_overload(report *r, const options *o, double seconds)
{
    static pipeline_world w;
    spk_pipeline_stats s, c;
    double begin, end, idle, back = -1.0, rss, took;
    uint64_t critical = 0, offered = 0;
    memset(&w, 0, sizeof w);
    w.item_s = 1e-6;
    if (pipeline_open(&w, o, true) != SPK_OK) return SPK_ERR_THREAD;
    idle = pipeline_idle(&w);
    rss = pipeline_rss_mb();
    begin = spk_clock_seconds();
    for (end = begin; end - begin < seconds; end = spk_clock_seconds()) {
        while ((double)offered < 3e6 * (end - begin)) {
            spk_pipeline_offer(w.p, SPK_PRIORITY_NORMAL, 1, pipeline_block, 256);
            offered += 256;
        }
        while ((double)critical < 10e3 * (end - begin)) {
            critical++;
            spk_pipeline_offer(w.p, SPK_PRIORITY_CRITICAL, 2, pipeline_block, 1);
        }
        pipeline_nap(0.0002);
    }
    rss = pipeline_rss_mb() - rss;
    spk_pipeline_get_stats(w.p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_CRITICAL, &c);
    begin = spk_clock_seconds();
    /* Back: a probe takes no longer than one in ten did when idle. */
    do {
        took = pipeline_probe(&w);
        back = spk_clock_seconds() - begin;
    } while (took > 2.0 * idle && back < 5.0);
    spk_pipeline_drain(w.p, 10.0);
    pipeline_begin(r, o, "overload");
    report_number(r, "seconds", seconds);
    spk_pipeline_get_stats(w.p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_NORMAL, &s);
    report_integer(r, "offered", s.offered);
    report_integer(r, "delivered", s.out);
    report_integer(r, "dropped_full", s.dropped[SPK_DROP_FULL]);
    report_integer(r, "dropped_shed", s.dropped[SPK_DROP_SHED]);
    {
        spk_pipeline_stats one;
        uint64_t filtered = 0;
        spk_pipeline_get_stats(w.p, 0, SPK_PRIORITY_NORMAL, &one);
        filtered = one.done - one.out;
        report_integer(r, "unaccounted", s.offered - s.out - s.dropped_all - filtered);
    }
    spk_pipeline_get_stats(w.p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_CRITICAL, &s);
    report_integer(r, "critical_sent", critical);
    report_integer(r, "critical_delivered", s.out);
    pipeline_latency(r, &c.latency);
    report_number(r, "rss_growth_mb", rss);
    report_number(r, "pipeline_mb", (double)spk_pipeline_bytes(w.p) / 1e6);
    report_number(r, "idle_us", 1e6 * idle);
    report_number(r, "back_to_idle_ms", 1e3 * back);
    report_end(r);
    spk_pipeline_destroy(w.p);
    return SPK_OK;
}

static int pipeline_measure(report *r, const options *o, const char **error)
{
    uint64_t bytes = 0;
    double rate;
    *error = "a thread could not be started, or there was no memory";
    pipeline_events(pipeline_block, 256);
    rate = pipeline_throughput(o, 5, 1.0, &bytes);
    if (rate == 0.0) return 2;
    pipeline_begin(r, o, "three_stages");
    report_number(r, "events_per_s", rate);
    report_number(r, "pipeline_mb", (double)bytes / 1e6);
    report_end(r);
    if (pipeline_urgent(r, o, 5.0) != SPK_OK) return 2;
    if (pipeline_operation(r, o) != SPK_OK) return 2;
    if (pipeline_overload(r, o, o->seconds) != SPK_OK) return 2;
    return 0;
}
#endif

#endif
