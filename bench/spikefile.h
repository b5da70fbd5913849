/* ---- >>spikefile: how small a spike file is, how fast it is read, how fast a window is found ----
 */
#ifndef SPKBENCH_SPIKEFILE_H
#define SPKBENCH_SPIKEFILE_H

#include "options.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <fcntl.h>
#endif

#define SPIKEFILE_REPEATS 9
#define SPIKEFILE_WINDOWS 1000

typedef struct spikefile_data {
    spk_spikefile_kind kind;
    const char *name;
    void *records; /* spk_spike or spk_event */
    size_t count;
} spikefile_data;

static int compare_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t spikefile_random(uint64_t *state)
{
    uint32_t counter[4] = {0}, key[2] = {0}, out[4];
    memcpy(counter, state, 8);
    (*state)++;
    spk_philox4x32(counter, key, out);
    return (uint64_t)out[1] << 32 | out[0];
}

/* Spikes as of the microcircuit: 77,169 neurons at 3 Hz, steps of 0.1 ms, in (step, neuron) order.
 */
static void spikefile_spikes(spikefile_data *d, size_t count, uint64_t seed)
{
    spk_spike *s = (spk_spike *)calloc(count, sizeof *s);
    uint64_t step = 0, state = seed << 32;
    uint32_t id = 0;
    for (size_t k = 0; s && k < count; k++) {
        id += 1 + (uint32_t)(spikefile_random(&state) % 6667);
        step += id / 77169;
        id %= 77169;
        s[k].step = step;
        s[k].neuron = id;
    }
    d->kind = SPK_SPIKEFILE_SPIKES;
    d->name = "spikes";
    d->records = s;
    d->count = s ? count : 0;
}

/* Events of a 640 x 480 camera, 0.25 a microsecond, no pixel likelier than another. */
static void spikefile_events(spk_event *e, size_t count, int64_t *t, uint64_t *state)
{
    for (size_t k = 0; k < count; k++) {
        const uint64_t r = spikefile_random(state);
        memset(&e[k], 0, sizeof e[k]);
        for (uint64_t gap = r >> 32; gap % 5; gap /= 5) ++*t; /* geometric, 4 on average */
        e[k].t_us = *t;
        e[k].x = (uint16_t)(r % 640);
        e[k].y = (uint16_t)(r / 640 % 480);
        e[k].polarity = (uint8_t)(r >> 31 & 1);
    }
}

static void spikefile_noise(spikefile_data *d, size_t count, uint64_t seed)
{
    uint64_t state = seed << 32;
    int64_t t = 0;
    d->kind = SPK_SPIKEFILE_EVENTS;
    d->name = "noise";
    d->records = malloc(count * sizeof(spk_event));
    d->count = d->records ? count : 0;
    spikefile_events((spk_event *)d->records, d->count, &t, &state);
}

/* A recording of any format that spikelib reads. */
static const char *spikefile_recording(spikefile_data *d, const char *path)
{
    spk_events_desc desc = {0};
    spk_events *in;
    static char error[256];
    size_t room = 0, n;
    desc.triggers_in_stream = true;
    in = spk_events_open(path, &desc);
    d->kind = SPK_SPIKEFILE_EVENTS;
    d->name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    d->records = NULL;
    d->count = 0;
    do {
        if (room < d->count + 4096) d->records = realloc(d->records, 16 * (room += room + 8192));
        n = spk_events_read(in, (spk_event *)d->records + d->count, 4096);
        d->count += n;
    } while (n);
    snprintf(error, sizeof error, "%s", spk_events_status(in) ? spk_events_error(in) : "");
    spk_events_close(in);
    return *error ? error : d->count ? NULL : "the recording holds no events";
}

static const char *spikefile_write(const spikefile_data *d, const char *path,
                                   spk_spikefile_codec codec, double *seconds)
{
    static char error[400];
    spk_spikefile_desc desc = {0};
    spk_spikefile_writer *w;
    double begin = spk_clock_seconds();
    desc.kind = d->kind;
    desc.codec = codec;
    w = spk_spikefile_create(path, &desc);
    if (d->kind == SPK_SPIKEFILE_SPIKES)
        spk_spikefile_write_spikes(w, (const spk_spike *)d->records, d->count);
    else
        spk_spikefile_write_events(w, (const spk_event *)d->records, d->count);
    spk_spikefile_flush(w);
    *seconds = spk_clock_seconds() - begin;
    snprintf(error, sizeof error, "%s", spk_spikefile_writer_error(w));
    spk_spikefile_writer_close(w);
    return *error ? error : NULL;
}

/* Decodes time and place of each record of the file, `passes` times. */
static double spikefile_pass(spk_spikefile *f, spk_spikefile_kind kind, int passes,
                             uint64_t *records)
{
    double begin = spk_clock_seconds();
    *records = 0;
    for (int k = 0; k < passes; k++) {
        size_t n;
        spk_spikefile_seek(f, INT64_MIN);
        if (kind == SPK_SPIKEFILE_SPIKES)
            while (spk_spikefile_next_spikes(f, &n)) *records += n;
        else
            while (spk_spikefile_next_events(f, &n)) *records += n;
    }
    return spk_clock_seconds() - begin;
}

/* What copying as many decoded records within the cache takes. */
static double spikefile_copy(size_t count, int passes)
{
    static uint8_t from[16384], to[16384];
    const size_t blocks = (count + 1023) / 1024;
    double begin = spk_clock_seconds();
    for (int k = 0; k < passes; k++)
        for (size_t b = 0; b < blocks; b++) {
            memcpy(to, from, sizeof to);
            __asm__ volatile("" : : "r"(to), "r"(from) : "memory");
        }
    return (spk_clock_seconds() - begin) * (double)count / (1024.0 * (double)blocks);
}

static const char *spikefile_scan(report *r, const options *o, const spikefile_data *d,
                                  const char *path, spk_spikefile_codec codec, bool verify)
{
    static const char *const codecs[] = {"packed", "raw", "lz4", "zstd"};
    static char error[400];
    spk_spikefile_read_desc desc = {0};
    spk_spikefile_info info;
    spk_spikefile *f;
    double times[SPIKEFILE_REPEATS], copies[SPIKEFILE_REPEATS], write_s = 0.0;
    const int passes = (int)(20000000 / d->count) + 1;
    uint64_t records = 0;
    const char *why = spikefile_write(d, path, codec, &write_s);
    if (why) return why;
    desc.isa = o->isa;
    desc.no_verify = !verify;
    f = spk_spikefile_open(path, &desc);
    spk_spikefile_get_info(f, &info);
    for (int k = 0; k < SPIKEFILE_REPEATS && spk_spikefile_status(f) == SPK_OK; k++) {
        times[k] = spikefile_pass(f, d->kind, passes, &records);
        copies[k] = spikefile_copy(d->count, passes);
    }
    snprintf(error, sizeof error, "%s", spk_spikefile_error(f));
    spk_spikefile_close(f);
    remove(path);
    if (*error) return error;
    if (records != (uint64_t)passes * d->count) return "a scan lost records";
    qsort(times, SPIKEFILE_REPEATS, sizeof *times, compare_double);
    qsort(copies, SPIKEFILE_REPEATS, sizeof *copies, compare_double);
    report_begin(r, "spikefile_scan", info.isa, 1, (uint64_t)o->seed);
    report_text(r, "data", d->name);
    report_text(r, "codec", codecs[codec]);
    report_text(r, "verified", verify ? "yes" : "no");
    report_integer(r, "records", d->count);
    report_integer(r, "file_bytes", info.bytes);
    report_number(r, "ratio_12", 12.0 * (double)d->count / (double)info.bytes);
    report_number(r, "write_per_s", (double)d->count / write_s);
    report_number(r, "scan_per_s", (double)records / times[SPIKEFILE_REPEATS / 2]);
    report_number(r, "copy_ratio", copies[SPIKEFILE_REPEATS / 2] / times[SPIKEFILE_REPEATS / 2]);
    report_end(r);
    return NULL;
}

/* -- a window out of a large file -- */

static const char *spikefile_large(const char *path, double gb, bool raw, uint64_t seed)
{
    enum { N = 65536 };
    static char error[400];
    spk_event *e = (spk_event *)malloc(N * sizeof *e);
    spk_spikefile_desc desc = {0};
    spk_spikefile_writer *w;
    uint64_t state = seed << 32;
    int64_t t = 0, span = 0;
    double records = gb * 1e9 / (raw ? 16.03 : 2.975);
    if (!e) return "no memory";
    desc.kind = SPK_SPIKEFILE_EVENTS;
    desc.codec = raw ? SPK_SPIKEFILE_RAW : SPK_SPIKEFILE_PACKED;
    desc.width = 640;
    desc.height = 480;
    w = spk_spikefile_create(path, &desc);
    spikefile_events(e, N, &t, &state);
    span = t + 4;
    for (double done = 0; done < records; done += N) { /* the same places, later */
        if (spk_spikefile_write_events(w, e, N) != SPK_OK) break;
        for (size_t k = 0; k < N; k++) e[k].t_us += span;
        progress("writing", done / records);
    }
    progress("writing", 1.0);
    snprintf(error, sizeof error, "%s", spk_spikefile_writer_error(w));
    spk_spikefile_writer_close(w);
    free(e);
    return *error ? error : NULL;
}

/* Takes the file out of the system's cache, where that can be asked for. */
static bool spikefile_cool(const char *path)
{
#if defined(__linux__)
    int fd = open(path, O_RDONLY);
    bool ok = fd >= 0 && fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    if (fd >= 0) close(fd);
    return ok;
#else
    (void)path;
    return false;
#endif
}

/* The seconds that each of `count` windows of 1 ms takes; returns the records in them. */
static uint64_t spikefile_read_windows(spk_spikefile *f, int64_t t_max, uint64_t state, int count,
                                       double *seconds)
{
    uint64_t found = 0;
    for (int k = 0; k < count && spk_spikefile_status(f) == SPK_OK; k++) {
        const int64_t t = (int64_t)(spikefile_random(&state) % (uint64_t)(t_max - 1000));
        double begin = spk_clock_seconds();
        size_t n;
        spk_spikefile_window(f, t, t + 1000);
        while (spk_spikefile_next_events(f, &n)) found += n;
        seconds[k] = spk_clock_seconds() - begin;
    }
    return found;
}

static const char *spikefile_windows(report *r, const options *o, const char *path, bool cold)
{
    static double times[SPIKEFILE_WINDOWS];
    static char error[400];
    const int count = cold ? 50 : SPIKEFILE_WINDOWS;
    spk_spikefile_info info;
    spk_spikefile *f;
    uint64_t found;
    if (cold && !spikefile_cool(path)) return NULL;
    f = spk_spikefile_open(path, NULL);
    spk_spikefile_get_info(f, &info);
    found = spikefile_read_windows(f, info.t_max, (uint64_t)o->seed, count, times);
    if (!cold) found = spikefile_read_windows(f, info.t_max, (uint64_t)o->seed, count, times);
    snprintf(error, sizeof error, "%s", spk_spikefile_error(f));
    spk_spikefile_close(f);
    if (*error) return error;
    qsort(times, (size_t)count, sizeof *times, compare_double);
    report_begin(r, "spikefile_window", info.isa, 1, (uint64_t)o->seed);
    report_text(r, "cache", cold ? "cold" : "warm");
    report_text(r, "codec", info.codec == SPK_SPIKEFILE_RAW ? "raw" : "packed");
    report_integer(r, "file_bytes", info.bytes);
    report_integer(r, "records", info.records);
    report_integer(r, "chunks", info.chunks);
    report_integer(r, "windows", (uint64_t)count);
    report_number(r, "records_per_window", (double)found / count);
    report_number(r, "window_p50_us", 1e6 * times[count / 2]);
    report_number(r, "window_p99_us", 1e6 * times[count - 1 - count / 100]);
    report_number(r, "window_max_us", 1e6 * times[count - 1]);
    report_end(r);
    return NULL;
}

static const char *spikefile_run(const options *o)
{
    report r = {0};
    char path[600], large[600];
    spikefile_data d = {SPK_SPIKEFILE_SPIKES, "", NULL, 0};
    const char *why = NULL;
    FILE *there;
    r.json = o->json;
    r.row = !o->json;
    snprintf(path, sizeof path, "%s/spkbench-scan.spk", o->dir);
    snprintf(large, sizeof large, "%s/spkbench-window.spk", o->dir);
    if (o->file) {
        why = spikefile_recording(&d, o->file);
        if (!why) why = spikefile_scan(&r, o, &d, path, SPK_SPIKEFILE_PACKED, true);
        free(d.records);
        return why;
    }
    for (int kind = 0; kind < 2 && !why; kind++) {
        if (kind == 0)
            spikefile_spikes(&d, 65536, (uint64_t)o->seed);
        else
            spikefile_noise(&d, 65536, (uint64_t)o->seed);
        why = spikefile_scan(&r, o, &d, path, SPK_SPIKEFILE_PACKED, true);
        if (!why) why = spikefile_scan(&r, o, &d, path, SPK_SPIKEFILE_PACKED, false);
        if (!why) why = spikefile_scan(&r, o, &d, path, SPK_SPIKEFILE_RAW, true);
        free(d.records);
    }
    if (why) return why;
    r.results = 0; /* another table */
    there = fopen(large, "rb");
    if (there)
        fclose(there);
    else
        why = spikefile_large(large, o->gb, !strcmp(o->codec, "raw"), (uint64_t)o->seed);
    if (!why) why = spikefile_windows(&r, o, large, true);
    if (!why) why = spikefile_windows(&r, o, large, false);
    if (!there) remove(large);
    return why;
}

#endif
