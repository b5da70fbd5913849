/* ---- >>spikefile: records of many shapes, for the tests of spike files ---- */
#ifndef SPIKELIB_TESTS_SPIKEFILE_H
#define SPIKELIB_TESTS_SPIKEFILE_H

#include "../spikelib.h"

#include <stdlib.h>
#include <string.h>

#define UNUSED_OK static __attribute__((unused))

/* `count` spk_spike or spk_event. */
typedef struct records {
    spk_spikefile_kind kind;
    size_t count;
    void *data;
} records;

enum {
    SHAPE_SPIKES,      /* in (step, neuron) order */
    SHAPE_EVENTS,      /* like a camera: bursts, some triggers, sorted by time */
    SHAPE_UNSORTED,    /* events whose time runs back now and then */
    SHAPE_WILD_SPIKES, /* anything that fits the types */
    SHAPE_WILD_EVENTS,
    SHAPE_CONSTANT, /* one event again and again */
    SHAPE_ROWS,     /* read out row by row, as frame-like sensors do */
    SHAPES
};

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
UNUSED_OK uint64_t random64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

UNUSED_OK void make_spikes(spk_spike *s, size_t count, int shape, uint64_t seed)
{
    uint64_t step = 1000;
    uint32_t id = 0;
    for (size_t k = 0; k < count; k++) {
        const uint64_t r = random64(&seed);
        memset(&s[k], 0, sizeof s[k]);
        if (shape == SHAPE_WILD_SPIKES) {
            s[k].step = random64(&seed) >> (1 + r % 63);
            s[k].neuron = (uint32_t)(r >> 8);
            continue;
        }
        id += 1 + (uint32_t)(r % 37);
        while (id >= 500) {
            id -= 500;
            step += 1 + r / 64 % 3;
        }
        s[k].step = step;
        s[k].neuron = id;
    }
}

UNUSED_OK void make_events(spk_event *e, size_t count, int shape, uint64_t seed)
{
    int64_t t = -5000; /* times may be negative */
    uint16_t row = 0, column = 0;
    for (size_t k = 0; k < count; k++) {
        const uint64_t r = random64(&seed);
        memset(&e[k], 0, sizeof e[k]);
        if (shape == SHAPE_WILD_EVENTS) {
            const uint64_t q = random64(&seed);
            e[k].t_us = (int64_t)random64(&seed) >> (r % 64);
            e[k].x = (uint16_t)q;
            e[k].y = (uint16_t)(q >> 16);
            e[k].polarity = (uint8_t)(q >> 32 & 1);
            e[k].kind = (uint8_t)(r >> 8);
            e[k].source = (uint16_t)(q >> 40);
            continue;
        }
        t += shape == SHAPE_CONSTANT || r % 4 ? 0 : (int64_t)(r / 4 % 25);
        column = (uint16_t)(column + 1 + r / 8 % 20);
        if (column >= 346) {
            column = (uint16_t)(column - 346);
            row = (uint16_t)((row + 1) % 260);
        }
        e[k].t_us = t - (shape == SHAPE_UNSORTED && r % 50 == 0 ? (int64_t)(r / 64 % 700) : 0);
        e[k].x = shape == SHAPE_ROWS ? column : (uint16_t)(r / 128 % 346);
        e[k].y = shape == SHAPE_ROWS ? row : (uint16_t)(r / 65536 % 260);
        e[k].polarity = (uint8_t)(r >> 40 & 1);
        if (shape == SHAPE_EVENTS && r % 97 == 0) {
            e[k].kind = SPK_EVENT_TRIGGER;
            e[k].x = 6;
            e[k].y = 0;
            e[k].source = 2;
        }
        if (shape == SHAPE_CONSTANT) {
            e[k].x = 17;
            e[k].y = 4;
            e[k].polarity = 1;
        }
    }
}

UNUSED_OK records make_records(int shape, size_t count, uint64_t seed)
{
    records r;
    r.kind = shape == SHAPE_SPIKES || shape == SHAPE_WILD_SPIKES ? SPK_SPIKEFILE_SPIKES
                                                                 : SPK_SPIKEFILE_EVENTS;
    r.count = count;
    r.data = malloc(16 * count + 16);
    if (r.kind == SPK_SPIKEFILE_SPIKES)
        make_spikes((spk_spike *)r.data, count, shape, seed);
    else
        make_events((spk_event *)r.data, count, shape, seed);
    return r;
}

UNUSED_OK int64_t time_of(const records *r, size_t k)
{
    return r->kind == SPK_SPIKEFILE_EVENTS ? ((const spk_event *)r->data)[k].t_us
                                           : (int64_t)((const spk_spike *)r->data)[k].step;
}

UNUSED_OK bool same_records(const records *a, const records *b)
{
    return a->count == b->count && (a->count == 0 || memcmp(a->data, b->data, 16 * a->count) == 0);
}

UNUSED_OK void free_records(records *r)
{
    free(r->data);
    r->data = NULL;
}

UNUSED_OK bool codec_built(spk_spikefile_codec codec)
{
    (void)codec;
#if !defined(SPIKELIB_LZ4)
    if (codec == SPK_SPIKEFILE_LZ4) return false;
#endif
#if !defined(SPIKELIB_ZSTD)
    if (codec == SPK_SPIKEFILE_ZSTD) return false;
#endif
    return true;
}

/* Some at a time. */
UNUSED_OK spk_result append_records(spk_spikefile_writer *w, const records *r)
{
    spk_result result = spk_spikefile_writer_status(w);
    for (size_t k = 0, n = 1; result == SPK_OK && k < r->count; k += n, n = n * 5 % 4093) {
        if (n > r->count - k) n = r->count - k;
        result = r->kind == SPK_SPIKEFILE_SPIKES
                     ? spk_spikefile_write_spikes(w, (const spk_spike *)r->data + k, n)
                     : spk_spikefile_write_events(w, (const spk_event *)r->data + k, n);
    }
    return result;
}

UNUSED_OK spk_result write_records(const char *path, const records *r, spk_spikefile_codec codec,
                                   uint32_t chunk)
{
    spk_spikefile_desc d;
    spk_spikefile_writer *w;
    spk_result result, closed;
    memset(&d, 0, sizeof d);
    d.kind = r->kind;
    d.codec = codec;
    d.chunk_records = chunk;
    w = spk_spikefile_create(path, &d);
    result = append_records(w, r);
    closed = spk_spikefile_writer_close(w);
    return result != SPK_OK ? result : closed;
}

/* All that is left, read in pieces of odd sizes. */
UNUSED_OK records read_all(spk_spikefile *file, spk_spikefile_kind kind)
{
    records r = {kind, 0, malloc(16)};
    size_t n = 100, got;
    do {
        r.data = realloc(r.data, 16 * (r.count + n));
        got = kind == SPK_SPIKEFILE_SPIKES
                  ? spk_spikefile_read_spikes(file, (spk_spike *)r.data + r.count, n)
                  : spk_spikefile_read_events(file, (spk_event *)r.data + r.count, n);
        r.count += got;
        n = n % 3000 + 111;
    } while (got);
    return r;
}

UNUSED_OK records read_spans(spk_spikefile *file, spk_spikefile_kind kind)
{
    records r = {kind, 0, malloc(16)};
    for (;;) {
        size_t n;
        const void *span = kind == SPK_SPIKEFILE_SPIKES
                               ? (const void *)spk_spikefile_next_spikes(file, &n)
                               : (const void *)spk_spikefile_next_events(file, &n);
        if (!span) return r;
        r.data = realloc(r.data, 16 * (r.count + n));
        memcpy((char *)r.data + 16 * r.count, span, 16 * n);
        r.count += n;
    }
}

#endif
