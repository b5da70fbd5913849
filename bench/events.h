/* ---- >>events: decode, filter, convolutional layers, spikes: how fast, and how late ---- */
#ifndef SPKBENCH_EVENTS_H
#define SPKBENCH_EVENTS_H

#include "options.h"
#include "report.h"

#include <stdlib.h>

/* A recording in memory is played again and again, its times moved on, through the path that a
   program takes:

       bytes -> spk_decoder -> spk_filter_background -> spk_conv -> spikes, handed to a callback

   First as fast as it goes. Then with events offered at a rate of real time, in packets of 512
   bytes as USB brings them: event number i is there at i / rate, not before, and its latency is the
   time from then until the step that it acts in is finished and its spikes are handed over. That
   takes until an event of a later step is decoded, since nothing else tells that a step is over. */

enum { EVENTS_BUFFER = 2048, EVENTS_PACKET = 512, EVENTS_BINS = 1 << 16 };

typedef struct events_bench {
    unsigned char *bytes;
    size_t size;
    uint64_t events; /* in the recording */
    int64_t t_first, t_last;
    uint32_t width, height;
    uint64_t spikes_seen;
    float *weights[3];
    spk_conv_layer layers[6];
    spk_conv *conv;
    spk_filter *filter;
    spk_event buffer[EVENTS_BUFFER];
} events_bench;

/* -- the network: 1280 x 720 -> 160 x 90 -> 8 edges -> 16 features -> 10 -- */

static double events_uniform(uint64_t seed, uint32_t stream, uint32_t index)
{
    uint32_t counter[4] = {0}, key[2], out[4];
    counter[0] = index;
    counter[1] = stream;
    key[0] = (uint32_t)seed;
    key[1] = (uint32_t)(seed >> 32);
    spk_philox4x32(counter, key, out);
    return (double)out[0] / 4294967296.0;
}

/* Edges that move in eight directions: OFF events behind, ON events ahead. */
static float *events_edges(size_t *count)
{
    static const double direction[8][2] = {{1, 0},  {0.7071, 0.7071},   {0, 1},  {-0.7071, 0.7071},
                                           {-1, 0}, {-0.7071, -0.7071}, {0, -1}, {0.7071, -0.7071}};
    float *w = (float *)malloc(8 * 2 * 25 * sizeof *w);
    int c, p, y, x;
    *count = 8 * 2 * 25;
    for (c = 0; c < 8 && w; c++)
        for (p = 0; p < 2; p++)
            for (y = 0; y < 5; y++)
                for (x = 0; x < 5; x++) {
                    const double along = direction[c][0] * (x - 2) + direction[c][1] * (y - 2);
                    w[((c * 2 + p) * 5 + y) * 5 + x] = (float)(0.016 * (p ? along : -along));
                }
    return w;
}

static float *events_drawn(size_t count, uint64_t seed, uint32_t stream, double low, double high)
{
    float *w = (float *)malloc(count * sizeof *w);
    size_t k;
    for (k = 0; k < count && w; k++)
        w[k] = (float)(low + (high - low) * events_uniform(seed, stream, (uint32_t)k));
    return w;
}

static spk_result events_network(events_bench *b, const options *o, char *error, size_t size)
{
    spk_conv_desc d = {0};
    spk_conv_layer *l = b->layers;
    const uint32_t w1 = (b->width / 8 - 1) / 2 + 1, h1 = (b->height / 8 - 1) / 2 + 1;
    spk_result result;
    l[0].kind = SPK_CONV_SUM_POOL;
    l[0].kernel_x = 8;
    l[1].name = "edges";
    l[1].channels = 8;
    l[1].kernel_x = 5;
    l[1].stride_x = 2;
    l[1].padding_x = l[1].padding_y = 2;
    l[1].weights = b->weights[0] = events_edges(&l[1].weight_count);
    l[2].kind = SPK_CONV_SUM_POOL;
    l[2].kernel_x = 2;
    l[3].name = "features";
    l[3].channels = 16;
    l[3].kernel_x = 3;
    l[3].padding_x = l[3].padding_y = 1;
    l[3].weight_count = 16 * 8 * 9;
    l[3].weights = b->weights[1] = events_drawn(16 * 8 * 9, (uint64_t)o->seed, 1, -0.10, 0.13);
    l[4].kind = SPK_CONV_SUM_POOL;
    l[4].kernel_x = 4;
    l[5].name = "classes";
    l[5].kind = SPK_CONV_DENSE;
    l[5].channels = 10;
    l[5].weight_count = (size_t)10 * 16 * (w1 / 8) * (h1 / 8);
    l[5].weights = b->weights[2] =
        events_drawn(l[5].weight_count, (uint64_t)o->seed, 2, -0.05, 0.08);
    d.width = b->width;
    d.height = b->height;
    d.dt_us = (uint32_t)o->dt_us;
    d.layers = l;
    d.layer_count = 6;
    d.isa = o->isa;
    d.spikes = NULL;
    b->conv = spk_conv_create(&d);
    result = b->conv ? spk_conv_status(b->conv) : SPK_ERR_OUT_OF_MEMORY;
    snprintf(error, size, "%s", b->conv ? spk_conv_error(b->conv) : "no memory");
    return result;
}

/* -- the recording -- */

/* Without a recording: three bars that cross each other at 25 million events a second. */
static size_t events_write(void *ctx, const void *data, size_t size)
{
    events_bench *b = (events_bench *)ctx;
    unsigned char *more = (unsigned char *)realloc(b->bytes, b->size + size);
    if (!more) return 0;
    memcpy(more + b->size, data, size);
    b->bytes = more;
    b->size += size;
    return size;
}

static void events_make(events_bench *b, uint64_t seed)
{
    spk_event_writer_desc d = {0};
    spk_event_writer *out;
    uint32_t t, k;
    d.format = SPK_FORMAT_EVT3;
    d.width = 1280;
    d.height = 720;
    d.write = events_write;
    d.write_ctx = b;
    out = spk_event_writer_open(NULL, &d);
    for (t = 0; t < 8800; t++) {
        spk_event e[25];
        for (k = 0; k < 25; k++) {
            const double u = events_uniform(seed, 7, t * 64 + k);
            const uint32_t at = (uint32_t)(720.0 * u), bar = k % 3;
            memset(&e[k], 0, sizeof e[k]);
            e[k].t_us = 20000 + t;
            e[k].x = (uint16_t)(bar == 2 ? at * 16 / 9 : (bar ? 1200 - t / 16 : 100 + t / 8) + k);
            e[k].y = (uint16_t)(bar == 2 ? 40 + t / 16 + k : at);
            e[k].polarity = (uint8_t)(k > 12);
        }
        spk_event_writer_write(out, e, 25);
    }
    spk_event_writer_close(out);
}

static bool events_load(events_bench *b, const char *path)
{
    FILE *f = fopen(path, "rb");
    long size;
    if (!f) return false;
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    b->bytes = size > 0 ? (unsigned char *)malloc((size_t)size) : NULL;
    b->size = b->bytes ? fread(b->bytes, 1, (size_t)size, f) : 0;
    fclose(f);
    return b->size > 0;
}

/* Decodes once: counts, first and last time, size of the sensor. */
static spk_result events_survey(events_bench *b, char *error, size_t size)
{
    spk_events *in = spk_events_open_memory(b->bytes, b->size, NULL);
    spk_event_stats stats;
    spk_result result;
    while (spk_events_read(in, b->buffer, EVENTS_BUFFER) > 0) continue;
    result = spk_events_status(in);
    snprintf(error, size, "%s", spk_events_error(in));
    memset(&stats, 0, sizeof stats);
    spk_events_get_stats(in, &stats);
    b->events = stats.events;
    b->t_first = stats.t_first_us;
    b->t_last = stats.t_last_us;
    b->width = stats.width ? stats.width : 1280;
    b->height = stats.height ? stats.height : 720;
    spk_events_close(in);
    if (result == SPK_OK && b->events == 0) {
        snprintf(error, size, "the recording holds no events");
        result = SPK_ERR_FORMAT;
    }
    return result;
}

/* -- as fast as it goes -- */

enum { STAGE_DECODE = 1, STAGE_FILTER = 2, STAGE_CONV = 3 };

/* The recording once more; returns events decoded. */
static uint64_t events_play(events_bench *b, uint64_t round, int stages)
{
    const int64_t shift = (int64_t)round * (b->t_last - b->t_first + 1);
    spk_decoder *in = spk_decoder_create(NULL);
    uint64_t events = 0;
    size_t n, k;
    spk_decoder_feed(in, b->bytes, b->size);
    while ((n = spk_decoder_read(in, b->buffer, EVENTS_BUFFER)) > 0) {
        events += n;
        if (stages == STAGE_DECODE) continue;
        for (k = 0; k < n; k++) b->buffer[k].t_us += shift;
        n = spk_filter_apply(b->filter, b->buffer, n);
        if (stages == STAGE_CONV) spk_conv_feed(b->conv, b->buffer, n);
    }
    spk_decoder_destroy(in);
    return events;
}

/* Events per second, the median of five. */
static double events_speed(events_bench *b, const options *o, int stages)
{
    double speed[5];
    int k, j;
    uint64_t round = 0, i;
    for (k = 0; k < 5; k++) {
        uint64_t events = 0;
        const double start = spk_clock_seconds();
        for (i = 0; i < (uint64_t)o->repeat; i++) events += events_play(b, round++, stages);
        speed[k] = (double)events / (spk_clock_seconds() - start);
        progress("events", (k + 1) / 5.0);
    }
    for (k = 1; k < 5; k++)
        for (j = k; j > 0 && speed[j] < speed[j - 1]; j--) {
            const double x = speed[j];
            speed[j] = speed[j - 1];
            speed[j - 1] = x;
        }
    return speed[2];
}

/* -- at a rate -- */

/* What is known ahead: for each packet the events that it completes; for each event its step. */
typedef struct events_schedule {
    uint64_t *events_by; /* after packet k of the recording */
    size_t packets;
    uint32_t *step; /* of event i, all rounds, running maximum */
    uint64_t events;
    struct events_mark {
        uint64_t steps;
        double at;
    } * mark;
    size_t marks;
} events_schedule;

static bool events_plan(events_bench *b, const options *o, events_schedule *s)
{
    const uint64_t rounds = (uint64_t)o->repeat;
    const int64_t span = b->t_last - b->t_first + 1;
    spk_decoder *in = spk_decoder_create(NULL);
    uint64_t n = 0, round, i;
    size_t at, got, k;
    s->packets = (b->size + EVENTS_PACKET - 1) / EVENTS_PACKET;
    s->events = b->events * rounds;
    s->events_by = (uint64_t *)calloc(s->packets, sizeof *s->events_by);
    s->step = (uint32_t *)calloc((size_t)s->events, sizeof *s->step);
    s->mark = (struct events_mark *)calloc(s->packets * (size_t)rounds + 1, sizeof *s->mark);
    if (!s->events_by || !s->step || !s->mark) return false;
    for (at = 0; at < s->packets; at++) {
        const size_t from = at * EVENTS_PACKET, left = b->size - from;
        spk_decoder_feed(in, b->bytes + from, left < EVENTS_PACKET ? left : EVENTS_PACKET);
        while ((got = spk_decoder_read(in, b->buffer, EVENTS_BUFFER)) > 0)
            for (k = 0; k < got; k++) {
                const int64_t since = b->buffer[k].t_us - b->t_first;
                const uint32_t step = (uint32_t)((since > 0 ? since : 0) / (int64_t)o->dt_us);
                s->step[n] = n && s->step[n - 1] > step ? s->step[n - 1] : step;
                n++;
            }
        s->events_by[at] = n;
    }
    spk_decoder_destroy(in);
    if (n != b->events) return false;
    for (round = 1; round < rounds; round++)
        for (i = 0; i < n; i++) {
            const uint64_t first = (uint64_t)round * (uint64_t)span / (uint64_t)o->dt_us;
            /* within a step of it, since the span is no multiple of the step: later, never sooner
             */
            s->step[round * n + i] = (uint32_t)(first + s->step[i] + 1);
        }
    return true;
}

/* Plays all rounds at o->rate; afterwards the marks tell when which steps were finished. */
static void events_paced(events_bench *b, const options *o, events_schedule *s)
{
    const uint64_t rounds = (uint64_t)o->repeat;
    const int64_t span = b->t_last - b->t_first + 1;
    const double per_event = 1.0 / o->rate, start = spk_clock_seconds();
    uint64_t round;
    size_t packet, n, k;
    s->marks = 0;
    for (round = 0; round < rounds; round++) {
        spk_decoder *in = spk_decoder_create(NULL);
        for (packet = 0; packet < s->packets; packet++) {
            const size_t from = packet * EVENTS_PACKET, left = b->size - from;
            const double due =
                start + (double)(round * b->events + s->events_by[packet]) * per_event;
            spk_conv_info info;
            while (spk_clock_seconds() < due) continue;
            spk_decoder_feed(in, b->bytes + from, left < EVENTS_PACKET ? left : EVENTS_PACKET);
            while ((n = spk_decoder_read(in, b->buffer, EVENTS_BUFFER)) > 0) {
                for (k = 0; k < n; k++) b->buffer[k].t_us += (int64_t)round * span;
                n = spk_filter_apply(b->filter, b->buffer, n);
                spk_conv_feed(b->conv, b->buffer, n);
            }
            spk_conv_get_info(b->conv, &info);
            if (s->marks == 0 || info.steps > s->mark[s->marks - 1].steps) {
                s->mark[s->marks].steps = info.steps;
                s->mark[s->marks++].at = spk_clock_seconds() - start;
            }
        }
        spk_decoder_destroy(in);
        progress("latency", (double)(round + 1) / (double)rounds);
    }
}

/* Latencies of all events whose steps were finished, in a histogram of 0.1 us. */
static void events_latency(const events_bench *b, const options *o, const events_schedule *s,
                           double *p50, double *p99, double *worst)
{
    uint64_t *bin = (uint64_t *)calloc(EVENTS_BINS, sizeof *bin);
    uint64_t n = 0, sum = 0, i;
    size_t m = 0, k;
    (void)b;
    *p50 = *p99 = *worst = 0.0;
    for (i = 0; bin && i < s->events; i++) {
        double us;
        while (m < s->marks && s->mark[m].steps <= s->step[i]) m++;
        if (m == s->marks) break;
        us = 1e6 * (s->mark[m].at - (double)(i + 1) / o->rate);
        if (us > *worst) *worst = us;
        bin[us < 0.0 ? 0 : us * 10.0 < EVENTS_BINS - 1 ? (size_t)(us * 10.0) : EVENTS_BINS - 1]++;
        n++;
    }
    for (k = 0; bin && k < EVENTS_BINS; k++) {
        sum += bin[k];
        if (*p50 == 0.0 && 2 * sum >= n) *p50 = 0.1 * (double)(k + 1);
        if (*p99 == 0.0 && 100 * sum >= 99 * n) *p99 = 0.1 * (double)(k + 1);
    }
    free(bin);
}

/* -- the subcommand -- */

static void events_report(report *r, const options *o, const events_bench *b, const double *speed,
                          const double *latency)
{
    static const char *const names[3] = {"edges", "features", "classes"};
    spk_conv_info info;
    spk_conv_layer_info layer;
    spk_filter_stats filtered;
    char text[256], key[64];
    uint64_t spikes = 0;
    int k;
    spk_conv_get_info(b->conv, &info);
    spk_filter_get_stats(b->filter, &filtered);
    report_begin(r, "events", info.isa, 1, (uint64_t)o->seed);
    snprintf(text, sizeof text,
             "background filter 2 ms; %u x %u x 2, pool 8, conv 5x5/2 x 8, pool 2, conv 3x3 x 16, "
             "pool 4, dense 10; tau 10 ms",
             (unsigned)b->width, (unsigned)b->height);
    report_text(r, "network", text);
    report_text(r, "recording", o->file && *o->file ? o->file : "three bars, made here");
    report_integer(r, "dt_us", info.dt_us);
    report_integer(r, "recorded_events", b->events);
    report_number(r, "recorded_events_per_s",
                  1e6 * (double)b->events / (double)(b->t_last - b->t_first + 1));
    report_number(r, "decode_events_per_s", speed[STAGE_DECODE]);
    report_number(r, "decode_filter_events_per_s", speed[STAGE_FILTER]);
    report_number(r, "events_per_s", speed[STAGE_CONV]);
    report_number(r, "filter_passed", (double)filtered.passed / (double)filtered.events);
    report_number(r, "offered_events_per_s", o->rate);
    report_number(r, "latency_p50_us", latency[0]);
    report_number(r, "latency_p99_us", latency[1]);
    report_number(r, "latency_max_us", latency[2]);
    for (k = 0; k < 3; k++) {
        spk_conv_get_layer(b->conv, (size_t)(2 * k + 1), &layer);
        snprintf(key, sizeof key, "spikes_%s", names[k]);
        report_integer(r, key, layer.spikes);
        spikes += layer.spikes;
    }
    report_integer(r, "spikes", spikes);
    report_digest(r, layer.digest);
    report_end(r);
}

static const char *events_default_file(void)
{
    static const char *const places[] = {"../shared/data/events/gen41_vectors.evt3.raw",
                                         "shared/data/events/gen41_vectors.evt3.raw"};
    size_t k;
    for (k = 0; k < 2; k++) {
        FILE *f = fopen(places[k], "rb");
        if (f) {
            fclose(f);
            return places[k];
        }
    }
    return "";
}

static spk_result events_measure(report *r, options *o, char *error, size_t size)
{
    events_bench *b = (events_bench *)calloc(1, sizeof *b);
    events_schedule s;
    spk_background_desc f = {0};
    double speed[4], latency[3];
    spk_result result = b ? SPK_OK : SPK_ERR_OUT_OF_MEMORY;
    int k;
    memset(&s, 0, sizeof s);
    snprintf(error, size, "no memory");
    if (b) {
        o->file = o->file ? o->file : events_default_file();
        if (!*o->file)
            events_make(b, (uint64_t)o->seed);
        else if (!events_load(b, o->file)) {
            snprintf(error, size, "%s: cannot be read", o->file);
            result = SPK_ERR_IO;
        }
    }
    if (result == SPK_OK) result = events_survey(b, error, size);
    if (result == SPK_OK) result = events_network(b, o, error, size);
    if (result == SPK_OK) {
        f.width = b->width;
        f.height = b->height;
        f.isa = o->isa;
        b->filter = spk_filter_background(&f);
        for (k = STAGE_DECODE; k <= STAGE_CONV; k++) {
            spk_filter_reset(b->filter);
            spk_conv_restart(b->conv);
            speed[k] = events_speed(b, o, k);
        }
        spk_filter_reset(b->filter);
        spk_conv_restart(b->conv);
        if (events_plan(b, o, &s)) {
            events_paced(b, o, &s);
            events_latency(b, o, &s, &latency[0], &latency[1], &latency[2]);
            events_report(r, o, b, speed, latency);
        } else {
            snprintf(error, size, "no memory for the schedule");
            result = SPK_ERR_OUT_OF_MEMORY;
        }
    }
    free(s.events_by);
    free(s.step);
    free(s.mark);
    if (b) {
        spk_filter_destroy(b->filter);
        spk_conv_destroy(b->conv);
        for (k = 0; k < 3; k++) free(b->weights[k]);
        free(b->bytes);
    }
    free(b);
    return result;
}

#endif
