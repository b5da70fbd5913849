/* ---- >>stream: decoding bytes whole and in pieces, and comparing what comes out ---- */
#ifndef SPIKELIB_TESTS_STREAM_H
#define SPIKELIB_TESTS_STREAM_H

#include "check.h"

/* What a stream gave: sums, and a digest over every event and everything passed to callbacks. */
typedef struct stream_result {
    uint64_t events, on, off, triggers, imu, frames, extras, skipped, violations, dropped;
    uint64_t sum_t, sum_x, sum_y, sum_trigger_t, digest;
    int64_t first, last;
    uint32_t width, height;
    spk_event_format format;
    spk_result result;
    char error[512];
    spk_digest d;
} stream_result;

CHECK_FN void stream_on_trigger(void *ctx, const spk_trigger *e)
{
    stream_result *r = (stream_result *)ctx;
    r->sum_trigger_t += (uint64_t)e->t_us;
    spk_digest_update(&r->d, &e->t_us, 8);
    spk_digest_update(&r->d, &e->channel, 2);
    spk_digest_update(&r->d, &e->source, 2);
    spk_digest_update(&r->d, &e->edge, 1);
    spk_digest_update(&r->d, &e->code, 2);
}

CHECK_FN void stream_on_imu(void *ctx, const spk_imu *e)
{
    stream_result *r = (stream_result *)ctx;
    spk_digest_update(&r->d, &e->t_us, 8);
    spk_digest_update(&r->d, e->accel_g, sizeof e->accel_g);
    spk_digest_update(&r->d, e->gyro_dps, sizeof e->gyro_dps);
}

CHECK_FN void stream_on_frame(void *ctx, const spk_frame *e)
{
    stream_result *r = (stream_result *)ctx;
    spk_digest_update(&r->d, &e->t_us, 8);
    spk_digest_update(&r->d, e->pixels, e->size);
}

CHECK_FN void stream_on_extra(void *ctx, const spk_extra *e)
{
    stream_result *r = (stream_result *)ctx;
    spk_digest_update(&r->d, &e->t_us, 8);
    spk_digest_update(&r->d, e->bytes, e->size);
}

CHECK_FN void stream_begin(stream_result *r, spk_events_desc *desc)
{
    memset(r, 0, sizeof *r);
    spk_digest_begin(&r->d);
    desc->callbacks.ctx = r;
    desc->callbacks.trigger = stream_on_trigger;
    desc->callbacks.imu = stream_on_imu;
    desc->callbacks.frame = stream_on_frame;
    desc->callbacks.extra = stream_on_extra;
}

/* Events and what callbacks got may interleave differently with the sizes of the pieces, so events
   have a digest of their own: of the sum of a mix of each, in order. */
CHECK_FN void stream_take(stream_result *r, const spk_event *e, size_t n)
{
    size_t k;
    for (k = 0; k < n; k++) {
        uint64_t mix = spk_xxh64(&e[k], sizeof e[k], r->digest);
        r->digest = mix;
        if (e[k].kind == SPK_EVENT_TRIGGER) continue;
        r->sum_t += (uint64_t)e[k].t_us;
        r->sum_x += e[k].x;
        r->sum_y += e[k].y;
    }
}

CHECK_FN void stream_end(stream_result *r, spk_event_stats s, spk_result result, const char *error)
{
    r->events = s.events;
    r->on = s.on;
    r->off = s.off;
    r->triggers = s.triggers;
    r->imu = s.imu;
    r->frames = s.frames;
    r->extras = s.extras;
    r->skipped = s.bytes_skipped;
    r->violations = s.violations;
    r->dropped = s.dropped;
    r->first = s.t_first_us;
    r->last = s.t_last_us;
    r->width = s.width;
    r->height = s.height;
    r->format = s.format;
    r->result = result;
    snprintf(r->error, sizeof r->error, "%s", error);
    r->digest ^= spk_digest_value(&r->d);
}

/* A file, read `capacity` events at a time (at most 4,096). */
CHECK_FN stream_result stream_file(const char *path, const spk_events_desc *or_null,
                                   size_t capacity)
{
    static spk_event buffer[4096];
    spk_events_desc desc;
    spk_event_stats stats;
    stream_result r;
    spk_events *in;
    size_t n;
    memset(&desc, 0, sizeof desc);
    if (or_null) desc = *or_null;
    stream_begin(&r, &desc);
    in = spk_events_open(path, &desc);
    while ((n = spk_events_read(in, buffer, capacity)) > 0) stream_take(&r, buffer, n);
    spk_events_get_stats(in, &stats);
    stream_end(&r, stats, spk_events_status(in), spk_events_error(in));
    spk_events_close(in);
    return r;
}

/* Bytes fed in pieces: up to `first`, then `step` at a time (0: the rest at once). */
CHECK_FN stream_result stream_bytes(const void *data, size_t size, const spk_events_desc *or_null,
                                    size_t first, size_t step, size_t capacity)
{
    static spk_event buffer[4096];
    const uint8_t *p = (const uint8_t *)data;
    spk_events_desc desc;
    spk_event_stats stats;
    stream_result r;
    spk_decoder *d;
    size_t at = 0, n;
    memset(&desc, 0, sizeof desc);
    if (or_null) desc = *or_null;
    stream_begin(&r, &desc);
    d = spk_decoder_create(&desc);
    while (at < size && spk_decoder_status(d) == SPK_OK) {
        size_t take = at == 0 ? first : step ? step : size;
        /* a copy of its own, so that a sanitizer sees what is read beyond the piece */
        uint8_t *piece;
        if (take > size - at) take = size - at;
        piece = (uint8_t *)malloc(take ? take : 1);
        memcpy(piece, p + at, take);
        at += take;
        spk_decoder_feed(d, piece, take);
        while ((n = spk_decoder_read(d, buffer, capacity)) > 0) stream_take(&r, buffer, n);
        free(piece);
        if (take == 0 && first == 0) first = 1;
    }
    spk_decoder_finish(d);
    while ((n = spk_decoder_read(d, buffer, capacity)) > 0) stream_take(&r, buffer, n);
    spk_decoder_get_stats(d, &stats);
    stream_end(&r, stats, spk_decoder_status(d), spk_decoder_error(d));
    spk_decoder_destroy(d);
    return r;
}

CHECK_FN int stream_same(const stream_result *a, const stream_result *b)
{
    return a->events == b->events && a->on == b->on && a->off == b->off &&
           a->triggers == b->triggers && a->imu == b->imu && a->frames == b->frames &&
           a->extras == b->extras && a->skipped == b->skipped && a->violations == b->violations &&
           a->dropped == b->dropped && a->digest == b->digest && a->first == b->first &&
           a->last == b->last && a->width == b->width && a->height == b->height &&
           a->format == b->format && a->result == b->result;
}

/* The first split of the bytes that does not give what the whole gives; size + 1 if none. */
CHECK_FN size_t stream_bad_split(const void *data, size_t size, const spk_events_desc *desc,
                                 size_t stride)
{
    stream_result whole = stream_bytes(data, size, desc, size, 0, 4096), r;
    size_t k;
    for (k = 1; k < size; k += stride) {
        r = stream_bytes(data, size, desc, k, 0, 4096);
        if (!stream_same(&whole, &r)) return k;
    }
    r = stream_bytes(data, size, desc, 1, 1, 7);
    if (!stream_same(&whole, &r)) return 0;
    r = stream_bytes(data, size, desc, 13, 13, 1);
    return stream_same(&whole, &r) ? size + 1 : 0;
}

/* A whole file; the caller frees it. NULL: not there. */
CHECK_FN uint8_t *stream_load(const char *path, size_t *size)
{
    FILE *f = path ? fopen(path, "rb") : NULL;
    uint8_t *data;
    long n;
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    n = ftell(f);
    rewind(f);
    data = (uint8_t *)malloc(n > 0 ? (size_t)n : 1);
    *size = fread(data, 1, (size_t)n, f);
    fclose(f);
    return data;
}

#endif
