/* ---- >>decode: how fast each event format becomes events, against a copy of these ---- */
#ifndef SPKBENCH_DECODE_H
#define SPKBENCH_DECODE_H

#include "options.h"
#include "report.h"

/* The bytes of a stream in memory, and where its events and a copy of them go. */
typedef struct decode_case {
    uint8_t *bytes;
    size_t size, room, fill;
    spk_event *events, *copy;
    size_t count, capacity;
    spk_event_format format;
    spk_event_stats stats;
} decode_case;

static size_t decode_take(void *ctx, const void *data, size_t size)
{
    decode_case *c = (decode_case *)ctx;
    if (c->room - c->size < size) {
        c->room = 2 * (c->size + size);
        c->bytes = (uint8_t *)realloc(c->bytes, c->room);
        if (!c->bytes) return 0;
    }
    memcpy(c->bytes + c->size, data, size);
    c->size += size;
    return size;
}

/* Events of a busy camera of 240 x 180: a tenth in rows of neighbours at one time if `vectors`. */
static void decode_make(decode_case *c, size_t count, uint64_t seed, bool vectors)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, at[4] = {0, 0, 0, 0}, w[4];
    int64_t t = 1000;
    size_t k, left = 0;
    for (k = 0; k < count; k++) {
        spk_event *e = c->events + k;
        at[0] = (uint32_t)k;
        spk_philox4x32(at, key, w);
        memset(e, 0, sizeof *e);
        if (left > 0) {
            *e = e[-1];
            e->x++;
            left--;
            continue;
        }
        t += (w[0] & 15) == 0;
        e->t_us = t;
        e->x = (uint16_t)(w[1] % 200);
        e->y = (uint16_t)(w[2] % 180);
        e->polarity = (uint8_t)(w[3] & 1);
        if (vectors && w[0] >> 16 < 1500) left = 6;
    }
}

static const char *decode_write(decode_case *c, size_t count, bool vectors)
{
    static char error[256];
    spk_event_writer_desc d = {0};
    spk_event_writer *w;
    spk_result result;
    d.format = c->format;
    d.width = 240;
    d.height = 180;
    d.no_vectors = !vectors;
    d.write = decode_take;
    d.write_ctx = c;
    c->size = 0;
    w = spk_event_writer_open(NULL, &d);
    spk_event_writer_write(w, c->events, count);
    result = spk_event_writer_finish(w);
    snprintf(error, sizeof error, "%s", spk_event_writer_error(w));
    spk_event_writer_close(w);
    return result == SPK_OK ? NULL : error;
}

static int decode_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians of turns: the stream is decoded, the events are copied. */
static const char *decode_measure(decode_case *c, const options *o, double *decode_s,
                                  double *copy_s)
{
    enum { TURNS = 11 };
    double decode[TURNS], copy[TURNS];
    static char error[256];
    int k;
    for (k = 0; k < TURNS; k++) {
        spk_events_desc d = {0};
        spk_events *in;
        size_t n;
        double start;
        d.format = c->format;
        d.isa = o->isa;
        start = spk_clock_seconds();
        in = spk_events_open_memory(c->bytes, c->size, &d);
        for (c->count = 0;
             (n = spk_events_read(in, c->events + c->count, c->capacity - c->count)) > 0;)
            c->count += n;
        decode[k] = spk_clock_seconds() - start;
        snprintf(error, sizeof error, "%s", spk_events_error(in));
        spk_events_get_stats(in, &c->stats);
        spk_events_close(in);
        if (*error) return error;
        start = spk_clock_seconds();
        memcpy(c->copy, c->events, c->count * sizeof *c->events);
        __asm__ volatile("" ::: "memory");
        copy[k] = spk_clock_seconds() - start;
    }
    qsort(decode, TURNS, sizeof decode[0], decode_order);
    qsort(copy, TURNS, sizeof copy[0], decode_order);
    *decode_s = decode[TURNS / 2];
    *copy_s = copy[TURNS / 2];
    return NULL;
}

static const char *decode_report(report *r, decode_case *c, const options *o, const char *what)
{
    double decode_s = 0, copy_s = 0;
    const char *error = decode_measure(c, o, &decode_s, &copy_s);
    double n = (double)c->count;
    if (error) return error;
    report_begin(r, "decode", o->isa ? o->isa : spk_isa_best(), 1, (uint64_t)o->seed);
    report_text(r, "stream", what);
    report_text(r, "format", spk_event_format_name(c->stats.format));
    report_integer(r, "events", c->stats.events);
    report_integer(r, "bytes", c->size);
    report_number(r, "events_per_s", n / decode_s);
    report_number(r, "bytes_in_per_s", (double)c->size / decode_s);
    report_number(r, "copy_events_per_s", n / copy_s);
    report_number(r, "speed_by_copy", copy_s / decode_s);
    report_end(r);
    return NULL;
}

static const char *decode_file(decode_case *c, const char *path)
{
    static uint8_t block[1 << 16];
    FILE *f = fopen(path, "rb");
    size_t n;
    if (!f) return "the file cannot be opened";
    while ((n = fread(block, 1, sizeof block, f)) > 0) decode_take(c, block, n);
    fclose(f);
    c->format = SPK_FORMAT_AUTO;
    return NULL;
}

static const char *decode_streams(report *r, decode_case *c, const options *o)
{
    static const struct {
        const char *what;
        spk_event_format format;
        bool vectors;
    } streams[] = {{"evt3", SPK_FORMAT_EVT3, false},    {"evt3 vectors", SPK_FORMAT_EVT3, true},
                   {"evt2", SPK_FORMAT_EVT2, false},    {"dat", SPK_FORMAT_DAT, false},
                   {"es", SPK_FORMAT_ES, false},        {"nmnist", SPK_FORMAT_NMNIST, false},
                   {"aedat4", SPK_FORMAT_AEDAT4, false}};
    const char *error = NULL;
    size_t k, count = c->capacity / 2;
    for (k = 0; k < sizeof streams / sizeof streams[0] && !error; k++) {
        if (!spk_event_format_writable(streams[k].format)) continue;
        c->format = streams[k].format;
        decode_make(c, count, (uint64_t)o->seed, streams[k].vectors);
        error = decode_write(c, count, streams[k].vectors);
        if (!error) error = decode_report(r, c, o, streams[k].what);
    }
    return error;
}

/* A file, or streams of every format that can be written. NULL, or what was wrong. */
static const char *decode_run(const options *o)
{
    const char *error = NULL;
    decode_case c;
    report r = {0};
    memset(&c, 0, sizeof c);
    r.json = o->json;
    r.row = !o->json;
    if (o->file) error = decode_file(&c, o->file);
    c.capacity = o->file ? 12 * c.size + 4096 : 2000000;
    c.events = (spk_event *)calloc(c.capacity, sizeof(spk_event));
    c.copy = (spk_event *)calloc(c.capacity, sizeof(spk_event));
    if (c.events && c.copy) memset(c.copy, 1, c.capacity * sizeof(spk_event));
    if (!c.events || !c.copy)
        error = "no memory";
    else if (!error && o->file)
        error = decode_report(&r, &c, o, o->file);
    else if (!error)
        error = decode_streams(&r, &c, o);
    free(c.bytes);
    free(c.events);
    free(c.copy);
    return error;
}

#endif
