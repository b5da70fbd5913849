/* ---- >>wire: events as packets ---- */
#ifndef SPIKELIB_PIPELINE_WIRE_H
#define SPIKELIB_PIPELINE_WIRE_H

#include "../api/source.h"
#include "../core/base.h"

#define SPKI_AEDAT3_MAGIC UINT64_C(0x1D378BC90B9A6658)
#define SPKI_AEDAT3_NETWORK 20u
#define SPKI_AEDAT3_PACKET 28u

SPKI_INLINE uint64_t spki_wire_get(const unsigned char *p, uint32_t bytes)
{
    uint64_t x = 0;
    while (bytes-- > 0) x = x << 8 | p[bytes];
    return x;
}

SPKI_INLINE void spki_wire_put(unsigned char *p, uint32_t bytes, uint64_t x)
{
    uint32_t k;
    for (k = 0; k < bytes; k++) p[k] = (unsigned char)(x >> 8 * k);
}

/* A decoder's state. */
typedef struct spki_wire {
    spk_wire kind;
    uint16_t source, width, height;
    bool timed;      /* has seen a time */
    int64_t time_us; /* the last one, unwrapped */
    int64_t now_us;  /* for events without one */
    uint64_t outside;
    uint64_t packet_left; /* AEDAT3: events of the packet that are still to come */
    uint64_t skip;        /* bytes of no interest */
    uint32_t event_size;
    int64_t overflow;
    bool damaged; /* AEDAT3: this is no packet */
} spki_wire;

/* 32-bit microseconds go on where they were: the nearest time with these lower bits. */
SPKI_FN int64_t spki_wire_time(spki_wire *w, uint32_t t)
{
    if (!w->timed)
        w->time_us = t;
    else
        w->time_us += (int32_t)(t - (uint32_t)w->time_us);
    w->timed = true;
    return w->time_us;
}

/* Writes an event, and says whether it counts. */
SPKI_INLINE bool spki_wire_event(spki_wire *w, spk_event *out, int64_t t, uint32_t x, uint32_t y,
                                 uint32_t polarity)
{
    out->t_us = t;
    out->x = (uint16_t)x;
    out->y = (uint16_t)y;
    out->polarity = (uint8_t)polarity;
    out->kind = SPK_EVENT_CD;
    out->source = w->source;
    if ((w->width && x >= w->width) || (w->height && y >= w->height)) {
        w->outside++;
        return false;
    }
    return true;
}

/* Each decodes whole events from `bytes`, at most `capacity`, and says how many bytes it used. */

SPKI_FN size_t spki_wire_spif(spki_wire *w, const unsigned char *bytes, size_t size, spk_event *out,
                              size_t capacity, size_t *used)
{
    size_t at = 0, n = 0;
    while (n < capacity && size - at >= 4) {
        uint32_t word = (uint32_t)spki_wire_get(bytes + at, 4);
        int64_t t = w->now_us;
        if (!(word >> 31)) {
            if (size - at < 8) break;
            t = spki_wire_time(w, (uint32_t)spki_wire_get(bytes + at + 4, 4));
            at += 4;
        }
        at += 4;
        n += spki_wire_event(w, &out[n], t, word >> 16 & 0x7fff, word & 0x7fff, word >> 15 & 1);
    }
    *used = at;
    return n;
}

SPKI_FN size_t spki_wire_aer64(spki_wire *w, const unsigned char *bytes, size_t size,
                               spk_event *out, size_t capacity, size_t *used)
{
    size_t at, n = 0;
    for (at = 0; n < capacity && size - at >= 8; at += 8) {
        uint32_t y = (uint32_t)spki_wire_get(bytes + at + 6, 2);
        n += spki_wire_event(w, &out[n], spki_wire_time(w, (uint32_t)spki_wire_get(bytes + at, 4)),
                             (uint32_t)spki_wire_get(bytes + at + 4, 2), y >> 1, y & 1);
    }
    *used = at;
    return n;
}

SPKI_FN size_t spki_wire_aer104(spki_wire *w, const unsigned char *bytes, size_t size,
                                spk_event *out, size_t capacity, size_t *used)
{
    size_t at, n = 0;
    for (at = 0; n < capacity && size - at >= 13; at += 13)
        n += spki_wire_event(w, &out[n], (int64_t)spki_wire_get(bytes + at, 8),
                             (uint32_t)spki_wire_get(bytes + at + 8, 2),
                             (uint32_t)spki_wire_get(bytes + at + 10, 2), bytes[at + 12] & 1u);
    *used = at;
    return n;
}

/* The header of a packet: what follows is events of ours, or bytes to skip. */
SPKI_FN void spki_wire_packet(spki_wire *w, const unsigned char *p)
{
    uint32_t type = (uint32_t)spki_wire_get(p, 2);
    uint32_t size = (uint32_t)spki_wire_get(p + 4, 4), number = (uint32_t)spki_wire_get(p + 20, 4);
    bool sane = size >= 8 && size <= 4096 && number <= 1u << 20 && type < 128;
    w->packet_left = 0;
    w->skip = 0;
    w->damaged = !sane;
    if (!sane) return;
    w->event_size = size;
    w->overflow = (int64_t)spki_wire_get(p + 12, 4) << 31;
    if (type == 1 && size == 8)
        w->packet_left = number;
    else
        w->skip = (uint64_t)number * size;
}

SPKI_FN size_t spki_wire_aedat3(spki_wire *w, const unsigned char *bytes, size_t size,
                                spk_event *out, size_t capacity, size_t *used)
{
    size_t at = 0, n = 0;
    while (n < capacity && at < size && !w->damaged) {
        if (w->skip) {
            size_t step = w->skip < size - at ? (size_t)w->skip : size - at;
            at += step;
            w->skip -= step;
        } else if (w->packet_left) {
            uint32_t data, t;
            if (size - at < 8) break;
            data = (uint32_t)spki_wire_get(bytes + at, 4);
            t = (uint32_t)spki_wire_get(bytes + at + 4, 4);
            at += 8;
            w->packet_left--;
            if (data & 1) /* valid */
                n += spki_wire_event(w, &out[n], w->overflow | t, data >> 17, data >> 2 & 0x7fff,
                                     data >> 1 & 1);
        } else {
            if (size - at < SPKI_AEDAT3_PACKET) break;
            spki_wire_packet(w, bytes + at);
            at += SPKI_AEDAT3_PACKET;
        }
    }
    *used = at;
    return n;
}

SPKI_FN size_t spki_wire_decode(spki_wire *w, const unsigned char *bytes, size_t size,
                                spk_event *out, size_t capacity, size_t *used)
{
    switch (w->kind) {
    case SPK_WIRE_AER64:
        return spki_wire_aer64(w, bytes, size, out, capacity, used);
    case SPK_WIRE_AER104:
        return spki_wire_aer104(w, bytes, size, out, capacity, used);
    case SPK_WIRE_AEDAT3:
        return spki_wire_aedat3(w, bytes, size, out, capacity, used);
    default:
        return spki_wire_spif(w, bytes, size, out, capacity, used);
    }
}

/* -- encoding -- */

/* One packet of polarity events in one datagram. Its events share the upper bits of their times. */
SPKI_FN size_t spki_wire_encode_aedat3(const spk_event *e, size_t count, unsigned char *to,
                                       size_t size, size_t *used, uint64_t *state)
{
    size_t head = SPKI_AEDAT3_NETWORK + SPKI_AEDAT3_PACKET, n = 0;
    unsigned char *p = to + SPKI_AEDAT3_NETWORK;
    *used = 0;
    if (size < head + 8) return 0;
    while (n < count && head + 8 * (n + 1) <= size && e[n].t_us >> 31 == e[0].t_us >> 31) {
        unsigned char *at = to + head + 8 * n;
        spki_wire_put(at, 4,
                      1u | (uint32_t)(e[n].polarity & 1) << 1 | (e[n].y & 0x7fffu) << 2 |
                          (uint32_t)e[n].x << 17);
        spki_wire_put(at + 4, 4, (uint64_t)e[n].t_us & 0x7fffffffu);
        n++;
    }
    memset(to, 0, head);
    spki_wire_put(to, 8, SPKI_AEDAT3_MAGIC);
    spki_wire_put(to + 8, 8, (state ? (*state)++ : 0) | (uint64_t)1 << 63);
    to[16] = 1;
    spki_wire_put(p, 2, 1);
    spki_wire_put(p + 4, 4, 8);
    spki_wire_put(p + 8, 4, 4);
    spki_wire_put(p + 12, 4, (uint64_t)(e[0].t_us >> 31));
    spki_wire_put(p + 16, 4, n);
    spki_wire_put(p + 20, 4, n);
    spki_wire_put(p + 24, 4, n);
    *used = n;
    return head + 8 * n;
}

SPIKELIB_API size_t spk_wire_encode(spk_wire wire, const spk_event *events, size_t count,
                                    void *bytes, size_t size, size_t *used, uint64_t *state)
{
    unsigned char *to = (unsigned char *)bytes;
    size_t each = wire == SPK_WIRE_AER104 ? 13 : 8, n, k;
    size_t none = 0;
    if (!used) used = &none;
    *used = 0;
    if (!events || !bytes || count == 0) return 0;
    if (wire == SPK_WIRE_AEDAT3)
        return spki_wire_encode_aedat3(events, count, to, size, used, state);
    n = SPKI_MIN(count, size / each);
    for (k = 0; k < n; k++, to += each) {
        const spk_event *e = &events[k];
        uint64_t t = (uint64_t)e->t_us;
        uint32_t on = e->polarity & 1u;
        if (wire == SPK_WIRE_SPIF) {
            spki_wire_put(to, 4, (e->x & 0x7fffu) << 16 | on << 15 | (e->y & 0x7fffu));
            spki_wire_put(to + 4, 4, t);
        } else if (wire == SPK_WIRE_AER64) {
            spki_wire_put(to, 4, t);
            spki_wire_put(to + 4, 2, e->x);
            spki_wire_put(to + 6, 2, (uint64_t)e->y << 1 | on);
        } else {
            spki_wire_put(to, 8, t);
            spki_wire_put(to + 8, 2, e->x);
            spki_wire_put(to + 10, 2, e->y);
            to[12] = (unsigned char)on;
        }
    }
    *used = n;
    return n * each;
}

#endif
