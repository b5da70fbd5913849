/* ---- >>evt3: Prophesee EVT3, 16-bit words that change a state ---- */
#ifndef SPIKELIB_EVENT_EVT3_H
#define SPIKELIB_EVENT_EVT3_H

#include "raw.h"
#include "writer.h"

/* Source: openeb 5.1.1, decoders/evt3/evt3_event_types.h. Bits 15..12 are the type. */
#define SPKI_EVT3_Y 0x0u
#define SPKI_EVT3_X 0x2u
#define SPKI_EVT3_BASE_X 0x3u
#define SPKI_EVT3_VECT_12 0x4u
#define SPKI_EVT3_VECT_8 0x5u
#define SPKI_EVT3_TIME_LOW 0x6u
#define SPKI_EVT3_CONTINUED_4 0x7u
#define SPKI_EVT3_TIME_HIGH 0x8u
#define SPKI_EVT3_TRIGGER 0xau
#define SPKI_EVT3_IMU 0xdu
#define SPKI_EVT3_OTHERS 0xeu
#define SPKI_EVT3_CONTINUED_12 0xfu
/* TIME_HIGH sometimes goes back by a little. By half its range it is a wrap. */
#define SPKI_EVT3_JITTER 10u
#define SPKI_EVT3_HALF 2048u

SPKI_FN spki_sniff spki_evt3_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT3);
}

SPKI_FN bool spki_evt3_accept(const uint8_t *head, size_t size)
{
    return spki_raw_accept(head, size, SPK_FORMAT_EVT3);
}

/* The counter has 12 bits of 4,096 us. TIME_LOW, which is not monotonic, never tells a wrap. A
   small step back leaves time as it is; a large one that is no wrap (a stream put together from
   parts) is believed. */
SPKI_FN void spki_evt3_time_high(spk_decoder *d, uint32_t high, const uint8_t *where)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (s->has_time && high == s->high) return;
    if (!s->has_time)
        spki_decoder_epoch(d, s->loops + ((int64_t)high << 12));
    else if (((s->high - high) & 4095u) <= SPKI_EVT3_JITTER) {
        spki_decoder_violation(d, where, "TIME_HIGH goes back");
        return;
    } else if (s->high >= high + SPKI_EVT3_HALF)
        s->loops += (int64_t)1 << 24;
    else if (high < s->high)
        spki_decoder_violation(d, where, "TIME_HIGH goes back");
    s->has_time = true;
    s->high = high;
    s->time = s->loops + ((int64_t)high << 12);
}

SPKI_FN void spki_evt3_continued(spk_decoder *d, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (s->other != SPKI_RAW_IN_COUNT && s->other != SPKI_RAW_OUT_COUNT) return;
    if (s->others < 2) {
        if (w >> 12 == SPKI_EVT3_CONTINUED_12) s->value |= (w & 0xfffu) << (12 * s->others++);
        return;
    }
    if (w >> 12 != SPKI_EVT3_CONTINUED_4) return;
    spki_raw_counter(d, s->other_t, s->other, s->value | (w & 0xfu) << 24);
    s->other = SPKI_RAW_NOTHING;
}

SPKI_FN void spki_evt3_vector(spk_decoder *d, spki_io *io, uint32_t mask, uint32_t width)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (!s->has_base || !s->has_y || !s->has_time) {
        d->stats.dropped += (uint32_t)__builtin_popcount(mask);
        d->stats.bytes_skipped += 2;
    } else {
        io->out = spki_raw_vector(d, io->out, s->time, s->base, s->y, s->base_on, mask);
    }
    s->base += width;
}

/* Any word. */
SPKI_FN void spki_evt3_word(spk_decoder *d, spki_io *io, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    uint32_t low = w & 0xfffu;
    switch (w >> 12) {
    case SPKI_EVT3_Y:
        s->y = w & 2047u;
        s->has_y = true;
        return;
    case 1: /* a row of something else: its x are no CD events */
        s->has_y = false;
        d->stats.bytes_skipped += 2;
        return;
    case SPKI_EVT3_X:
        if (s->has_y && s->has_time)
            io->out = spki_raw_vector(d, io->out, s->time, w & 2047u, s->y, (w >> 11) & 1u, 1u);
        else {
            d->stats.dropped++;
            d->stats.bytes_skipped += 2;
        }
        return;
    case SPKI_EVT3_BASE_X:
        s->base = w & 2047u;
        s->base_on = (w >> 11) & 1u;
        s->has_base = true;
        return;
    case SPKI_EVT3_VECT_12:
        spki_evt3_vector(d, io, low, 12);
        return;
    case SPKI_EVT3_VECT_8:
        spki_evt3_vector(d, io, low & 0xffu, 8);
        return;
    case SPKI_EVT3_TIME_LOW:
        s->time = (s->time & ~(int64_t)0xfff) | (int64_t)low;
        return;
    case SPKI_EVT3_TIME_HIGH:
        spki_evt3_time_high(d, low, io->in);
        return;
    case SPKI_EVT3_TRIGGER:
        if (s->has_time)
            spki_raw_trigger(d, io, s->time, low >> 8, w & 1u);
        else
            d->stats.bytes_skipped += 2;
        return;
    case SPKI_EVT3_OTHERS:
        spki_raw_open(s, low, s->time);
        return;
    case SPKI_EVT3_CONTINUED_4:
    case SPKI_EVT3_CONTINUED_12:
        spki_evt3_continued(d, w);
        return;
    case SPKI_EVT3_IMU:
        return;
    default:
        d->stats.bytes_skipped += 2;
    }
}

/* -- writer -- */

typedef struct spki_evt3_writer {
    int64_t last_us, sent_us; /* of the last event; what the reader knows, -1: nothing */
    uint32_t y;               /* that the reader knows; 65536: none */
} spki_evt3_writer;

SPKI_FN void spki_evt3_write_header(spk_event_writer *w)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    s->sent_us = -1;
    s->y = 65536;
    spki_raw_write_header(w, "EVT3", "3.0");
}

SPKI_INLINE void spki_evt3_put(spk_event_writer *w, uint32_t type, uint32_t value)
{
    spki_store16_le(w->buffer + w->fill, (uint16_t)(type << 12 | value));
    w->fill += 2;
}

/* What is beyond 24 bits is told by letting the counter pass: one word for each 8.4 s, since a step
   of half its range would be a wrap too few. */
#define SPKI_EVT3_FILL 1000000

/* Time words for an event, in room that there is. False: too far away. */
SPKI_FN bool spki_evt3_put_time(spk_event_writer *w, const spk_event *e)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    int64_t high = e->t_us >> 12, sent = s->sent_us < 0 ? 0 : s->sent_us >> 12;
    if (s->sent_us == e->t_us) return true;
    if ((high - sent) / 2047 > SPKI_EVT3_FILL)
        return spki_writer_refuse(w, e, "the time is further than 97 days from the last one");
    if (s->sent_us < 0 || high != sent) {
        while (high - sent > 2047) {
            if (!spki_writer_room(w, 80)) return false;
            sent += 2047;
            spki_evt3_put(w, SPKI_EVT3_TIME_HIGH, (uint32_t)(sent & 0xfff));
        }
        spki_evt3_put(w, SPKI_EVT3_TIME_HIGH, (uint32_t)(high & 0xfff));
    }
    spki_evt3_put(w, SPKI_EVT3_TIME_LOW, (uint32_t)(e->t_us & 0xfff));
    s->sent_us = e->t_us;
    return true;
}

/* How many events from here on make a vector: one row, time and polarity, x ascending within 32
   columns from *base on. OpenEB drops a vector that reaches beyond the sensor. */
SPKI_FN size_t spki_evt3_run(const spk_event_writer *w, const spk_event *e, size_t count,
                             uint32_t *base, uint32_t *mask)
{
    uint32_t columns = w->desc.width ? w->desc.width : 2048;
    size_t n = 0;
    *mask = 0;
    if (columns < 32 || w->desc.no_vectors) return 0;
    *base = SPKI_MIN((uint32_t)e->x, columns - 32);
    for (; n < count; n++) {
        bool same = e[n].t_us == e->t_us && e[n].y == e->y && e[n].kind == SPK_EVENT_CD &&
                    !e[n].polarity == !e->polarity;
        if (!same || (n > 0 && e[n].x <= e[n - 1].x) || e[n].x - *base > 31) break;
        *mask |= 1u << (e[n].x - *base);
    }
    return n;
}

/* The event, or the vector that begins with it; returns how many events those are, 0 on errors. */
SPKI_FN size_t spki_evt3_put_events(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    uint32_t on = e->polarity ? 2048u : 0u, base = 0, mask;
    size_t n;
    if (!spki_writer_room(w, 80)) return 0;
    if (e->kind == SPK_EVENT_TRIGGER) {
        if (!spki_writer_range(w, e, 15, 65535) || !spki_evt3_put_time(w, e)) return 0;
        spki_evt3_put(w, SPKI_EVT3_TRIGGER, (uint32_t)e->x << 8 | (e->polarity ? 1u : 0u));
        return 1;
    }
    if (!spki_writer_cd(w, e) || !spki_writer_range(w, e, 2047, 2047)) return 0;
    if (!spki_evt3_put_time(w, e)) return 0;
    if (s->y != e->y) spki_evt3_put(w, SPKI_EVT3_Y, e->y);
    s->y = e->y;
    n = spki_evt3_run(w, e, count, &base, &mask);
    if (n < 4) {
        spki_evt3_put(w, SPKI_EVT3_X, on | e->x);
        return 1;
    }
    spki_evt3_put(w, SPKI_EVT3_BASE_X, on | base);
    spki_evt3_put(w, SPKI_EVT3_VECT_12, mask & 0xfffu);
    spki_evt3_put(w, SPKI_EVT3_VECT_12, (mask >> 12) & 0xfffu);
    spki_evt3_put(w, SPKI_EVT3_VECT_8, mask >> 24);
    return n;
}

SPKI_FN void spki_evt3_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_evt3_writer *s = (spki_evt3_writer *)w->state;
    while (count > 0) {
        size_t n;
        if (!spki_writer_time(w, e, &s->last_us)) return;
        n = spki_evt3_put_events(w, e, count);
        if (n == 0) return;
        w->encoded += n;
        e += n;
        count -= n;
    }
}

static const spki_encoder spki_evt3_encoder = {SPK_FORMAT_EVT3,
                                               ".evt3 .raw ",
                                               sizeof(spki_evt3_writer),
                                               spki_evt3_write_header,
                                               spki_evt3_encode,
                                               NULL,
                                               NULL};

#endif
