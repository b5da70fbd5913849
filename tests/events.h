/* ---- >>events: what the tests of event formats share ---- */
#ifndef SPIKELIB_TESTS_EVENTS_H
#define SPIKELIB_TESTS_EVENTS_H

#include "check.h"

/* Everything that came out of a stream. */
typedef struct heard {
    spk_event *events;
    size_t count, room;
    spk_trigger triggers[64]; /* the first */
    spk_imu imu[8];
    spk_extra extras[64];
    uint8_t bytes[64][32]; /* of the extras */
    size_t trigger_count, imu_count, frame_count, extra_count;
    int64_t trigger_t;
    spk_event_stats stats;
    spk_result result;
    char error[512];
} heard;

CHECK_FN void heard_trigger(void *ctx, const spk_trigger *t)
{
    heard *h = (heard *)ctx;
    if (h->trigger_count < 64) h->triggers[h->trigger_count] = *t;
    h->trigger_count++;
    h->trigger_t += t->t_us;
}

CHECK_FN void heard_imu(void *ctx, const spk_imu *imu)
{
    heard *h = (heard *)ctx;
    if (h->imu_count < 8) h->imu[h->imu_count] = *imu;
    h->imu_count++;
}

CHECK_FN void heard_frame(void *ctx, const spk_frame *frame)
{
    (void)frame;
    ((heard *)ctx)->frame_count++;
}

CHECK_FN void heard_extra(void *ctx, const spk_extra *extra)
{
    heard *h = (heard *)ctx;
    if (h->extra_count < 64) {
        h->extras[h->extra_count] = *extra;
        memcpy(h->bytes[h->extra_count], extra->bytes, extra->size < 32 ? extra->size : 32);
        h->extras[h->extra_count].bytes = NULL;
    }
    h->extra_count++;
}

CHECK_FN spk_event *heard_room(heard *h, size_t n)
{
    if (h->room - h->count < n) {
        h->room = 2 * h->room + n;
        h->events = (spk_event *)realloc(h->events, h->room * sizeof(spk_event));
    }
    return h->events + h->count;
}

CHECK_FN void heard_desc(heard *h, spk_events_desc *d)
{
    memset(h, 0, sizeof *h);
    d->callbacks.ctx = h;
    d->callbacks.trigger = heard_trigger;
    d->callbacks.imu = heard_imu;
    d->callbacks.frame = heard_frame;
    d->callbacks.extra = heard_extra;
}

CHECK_FN void heard_take(heard *h, spk_events *in, size_t capacity)
{
    size_t n;
    while ((n = spk_events_read(in, heard_room(h, capacity), capacity)) > 0) h->count += n;
    h->result = spk_events_status(in);
    snprintf(h->error, sizeof h->error, "%s", spk_events_error(in));
    spk_events_get_stats(in, &h->stats);
    spk_events_close(in);
}

CHECK_FN heard hear_file(const char *path, spk_events_desc d, size_t capacity)
{
    heard h;
    heard_desc(&h, &d);
    heard_take(&h, spk_events_open(path, &d), capacity);
    return h;
}

CHECK_FN heard hear(const void *data, size_t size, spk_events_desc d)
{
    heard h;
    heard_desc(&h, &d);
    heard_take(&h, spk_events_open_memory(data, size, &d), 4096);
    return h;
}

CHECK_FN void heard_drain(heard *h, spk_decoder *decoder, size_t capacity)
{
    size_t n;
    while ((n = spk_decoder_read(decoder, heard_room(h, capacity), capacity)) > 0) h->count += n;
}

/* In pieces: `cut` returns the length of the next one. */
CHECK_FN heard hear_pieces(const uint8_t *data, size_t size, spk_events_desc d, size_t capacity,
                           size_t (*cut)(void *ctx, size_t at), void *ctx)
{
    heard h;
    spk_decoder *decoder;
    size_t at = 0, n;
    heard_desc(&h, &d);
    decoder = spk_decoder_create(&d);
    for (; at < size; at += n) {
        uint8_t *piece; /* of its own, so that a read beyond it is seen */
        n = cut(ctx, at);
        if (n > size - at) n = size - at;
        piece = (uint8_t *)malloc(n ? n : 1);
        memcpy(piece, data + at, n);
        if (spk_decoder_feed(decoder, piece, n) != SPK_OK) {
            free(piece);
            break;
        }
        heard_drain(&h, decoder, capacity);
        free(piece);
    }
    spk_decoder_finish(decoder);
    heard_drain(&h, decoder, capacity);
    h.result = spk_decoder_status(decoder);
    snprintf(h.error, sizeof h.error, "%s", spk_decoder_error(decoder));
    spk_decoder_get_stats(decoder, &h.stats);
    spk_decoder_destroy(decoder);
    return h;
}

CHECK_FN void heard_free(heard *h)
{
    free(h->events);
    h->events = NULL;
}

/* Did both streams say the same? (How many bytes were taken in before an error depends on how they
   were handed over.) */
CHECK_FN int heard_same(const heard *a, const heard *b)
{
    const spk_event_stats *s = &a->stats, *t = &b->stats;
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->events, b->events, a->count * sizeof *a->events) == 0) &&
           a->trigger_count == b->trigger_count && a->trigger_t == b->trigger_t &&
           memcmp(a->triggers, b->triggers, sizeof a->triggers) == 0 &&
           a->imu_count == b->imu_count && a->frame_count == b->frame_count &&
           a->extra_count == b->extra_count &&
           memcmp(a->extras, b->extras, sizeof a->extras) == 0 &&
           memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0 && a->result == b->result &&
           s->events == t->events && s->on == t->on && s->off == t->off &&
           s->triggers == t->triggers && (a->result != SPK_OK || s->bytes == t->bytes) &&
           s->bytes_skipped == t->bytes_skipped && s->dropped == t->dropped &&
           s->violations == t->violations && s->t_first_us == t->t_first_us &&
           s->t_last_us == t->t_last_us && s->width == t->width && s->height == t->height;
}

/* -- streams made by hand -- */

typedef struct bytes {
    uint8_t at[1 << 16];
    size_t size;
} bytes;

CHECK_FN void put(bytes *b, const void *data, size_t size)
{
    memcpy(b->at + b->size, data, size);
    b->size += size;
}
CHECK_FN void put_text(bytes *b, const char *text)
{
    put(b, text, strlen(text));
}
CHECK_FN void put8(bytes *b, unsigned x)
{
    b->at[b->size++] = (uint8_t)x;
}
CHECK_FN void put16(bytes *b, unsigned x)
{
    put8(b, x & 255);
    put8(b, x >> 8);
}
CHECK_FN void put32(bytes *b, uint32_t x)
{
    put16(b, x & 65535);
    put16(b, x >> 16);
}

/* A small generator of random numbers (xorshift64*). */
CHECK_FN uint64_t dice(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

#endif
