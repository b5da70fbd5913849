/* ---- >>aedat3: AEDAT 3.x, the packets of cAER and libcaer ---- */
#ifndef SPIKELIB_EVENT_AEDAT3_H
#define SPIKELIB_EVENT_AEDAT3_H

#include "aedat2.h"

/* Header lines that begin with '#' and end with "#!END-HEADER" (3.0: with the first line that does
   not), then packets: a header of 28 bytes, eventNumber records of eventSize bytes. Little-endian.
   Source: the AEDAT file formats of inivation-docs; libcaer's include/libcaer/events. */

enum {
    SPKI_CAER_SPECIAL = 0,
    SPKI_CAER_POLARITY = 1,
    SPKI_CAER_FRAME = 2,
    SPKI_CAER_IMU6 = 3,
    SPKI_CAER_IMU9 = 4,
    SPKI_CAER_SPIKE = 12
};

/* A frame of 16 megapixels with 4 channels; what is larger is damage. */
#define SPKI_AEDAT3_RECORD_MOST ((uint32_t)1 << 27)

typedef enum spki_aedat3_phase {
    SPKI_AEDAT3_HEADER = 0,
    SPKI_AEDAT3_PACKET,
    SPKI_AEDAT3_RECORDS
} spki_aedat3_phase;

typedef struct spki_aedat3 {
    spki_bytes held, body; /* a record; a compressed packet once unpacked, or what is left of it */
    spki_aedat3_phase phase;
    bool upwards, unpacked, named;
    uint16_t type, camera;
    uint32_t size, ts_at, left; /* of a record; where its time stands; records still to come */
    uint32_t packed;            /* bytes of a compressed body */
    size_t body_at;
    uint64_t skip; /* bytes of a packet of no known type */
    int64_t base;
    uint64_t packets;
} spki_aedat3;

SPKI_FN spki_sniff spki_aedat3_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "#!AER-DAT3";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    return size >= n ? SPKI_SNIFF_YES : whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
}

/* -- header -- */

SPKI_FN void spki_aedat3_line(spk_decoder *d, spki_aedat3 *s, const uint8_t *line, size_t n)
{
    static const struct {
        const char *name;
        uint32_t width, height;
    } cameras[] = {
        {"dvs128", 128, 128},     {"davis128", 128, 128},   {"davis208", 208, 192},
        {"davis240", 240, 180},   {"davis346", 346, 260},   {"davis640", 640, 480},
        {"dvxplorer_lite", 320, 240}, {"dvxplorer lite", 320, 240}, {"dvxplorer", 640, 480},
    };
    size_t k;
    if (n >= 13 && memcmp(line, "#!AER-DAT3.0", 12) == 0) s->upwards = !d->desc.as_stored;
    if (n < 9 || s->named || !spki_contains(line, SPKI_MIN(n, (size_t)9), "source")) return;
    for (k = 0; k < sizeof cameras / sizeof cameras[0] && !s->named; k++) {
        if (!spki_contains(line, n, cameras[k].name)) continue;
        s->named = true;
        spki_decoder_size(d, cameras[k].width, cameras[k].height);
    }
}

/* True once the data are reached. */
SPKI_FN bool spki_aedat3_header(spk_decoder *d, spki_aedat3 *s, spki_io *io)
{
    while (io->in < io->in_end) {
        uint8_t c = *io->in;
        bool end;
        if (s->held.size == 0 && c != '#') return true;
        if (s->held.size >= SPKI_AEDAT2_LINE_MOST) {
            spki_decoder_fail(d, SPK_ERR_FORMAT, io->in, "AEDAT 3: a header line of over 1 MB");
            return false;
        }
        if (!spki_bytes_append(&d->mem, &s->held, &c, 1)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for the header");
            return false;
        }
        io->in++;
        if (c != '\n') continue;
        end = s->held.size >= 13 && memcmp(s->held.data, "#!END-HEADER", 12) == 0;
        spki_aedat3_line(d, s, s->held.data, s->held.size);
        s->held.size = 0;
        if (end) return true;
    }
    return false;
}

/* -- packets -- */

SPKI_FN bool spki_aedat3_packet(spk_decoder *d, spki_aedat3 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, 28);
    uint16_t type;
    uint32_t capacity, number, overflow;
    if (!p) return false;
    type = spki_load16_le(p);
    s->type = type & 0x7fff;
    s->camera = spki_load16_le(p + 2);
    s->size = spki_load32_le(p + 4);
    s->ts_at = spki_load32_le(p + 8);
    overflow = spki_load32_le(p + 12);
    capacity = spki_load32_le(p + 16);
    number = spki_load32_le(p + 20);
    if (s->size < 8 || s->size > SPKI_AEDAT3_RECORD_MOST || s->ts_at > s->size - 4 ||
        number > INT32_MAX || capacity > INT32_MAX || overflow > INT32_MAX || s->type > 1023) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, io->in,
                          "AEDAT 3: the header of packet %llu makes no sense (type %u, %u events "
                          "of %u bytes)",
                          (unsigned long long)s->packets, (unsigned)type, number, s->size);
        return false;
    }
    s->packets++;
    s->base = (int64_t)overflow << 31;
    s->left = number;
    s->packed = type & 0x8000 ? capacity : 0;
    s->unpacked = false;
    s->phase = SPKI_AEDAT3_RECORDS;
    return true;
}

/* Where a record's time stands among others without a time of their own.
   Source: cAER's "SerializedTS". Runs of three and more equal times: bit 31 of the first one's time
   is set, the second one's time counts how many follow it, which have none. */
SPKI_FN bool spki_aedat3_unpack(spk_decoder *d, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t left = s->packed, run = 0, time = 0, k;
    bool counted = false;
    s->body.size = 0;
    for (k = 0; k < s->left; k++) {
        uint32_t n = run > 0 ? s->ts_at : s->size;
        uint8_t *to;
        if (n > left || (uint64_t)s->left * s->size > (UINT64_C(1) << 30)) break;
        if (!spki_bytes_reserve(&d->mem, &s->body, s->body.size + s->size)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to unpack a packet");
            return false;
        }
        to = s->body.data + s->body.size;
        memset(to, 0, s->size);
        memcpy(to, p, n);
        p += n;
        left -= n;
        if (run > 0) run--;
        else if (counted) {
            run = spki_load32_le(to + s->ts_at);
            counted = false;
        } else {
            time = spki_load32_le(to + s->ts_at);
            counted = (time & 0x80000000u) != 0;
            time &= 0x7fffffffu;
        }
        spki_store32_le(to + s->ts_at, time);
        s->body.size += s->size;
    }
    if (k < s->left || left > 0) {
        d->stats.bytes_skipped += s->packed;
        s->body.size = 0;
        s->left = 0;
        return spki_decoder_violation(d, NULL, "AEDAT 3: a compressed packet is damaged");
    }
    return true;
}

/* -- records -- */

SPKI_FN void spki_aedat3_special(spk_decoder *d, spki_io *io, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t word = spki_load32_le(p), type = word >> 1 & 0x7f, data = word >> 8;
    int64_t t = s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu);
    bool edge = type >= 2 && type != 5 && type <= 11, generated = type == 12 || type == 13;
    if (edge || generated) {
        /* Three inputs of three types each: rising, falling, pulse. */
        uint32_t input = generated ? 3 : type <= 4 ? 0 : type <= 8 ? 1 : 2;
        uint32_t what = generated ? type - 12 : type <= 4 ? type - 2 : (type - 6) % 3;
        spk_trigger e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.channel = (uint16_t)input;
        e.edge = what != 1;
        e.pulse = what == 2;
        e.code = (uint16_t)type;
        spki_decoder_trigger(d, io, &e);
    } else {
        spk_extra e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.kind = SPK_EXTRA_SPECIAL;
        e.code = (uint16_t)type;
        e.bytes = &data;
        e.size = sizeof data;
        spki_decoder_extra(d, &e);
    }
}

SPKI_FN void spki_aedat3_imu(spk_decoder *d, spki_aedat3 *s, const uint8_t *p)
{
    spk_imu e;
    float v[10];
    uint32_t k, n = s->type == SPKI_CAER_IMU9 ? 10 : 7, bits;
    memset(&e, 0, sizeof e);
    for (k = 0; k < n; k++) {
        bits = spki_load32_le(p + 8 + 4 * k);
        memcpy(&v[k], &bits, 4);
    }
    e.t_us = s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu);
    bits = 0x7fc00000u;
    for (k = 0; k < 3; k++) {
        e.accel_g[k] = v[k];
        e.gyro_dps[k] = v[3 + k];
        if (n == 10) e.mag_ut[k] = v[7 + k];
        else memcpy(&e.mag_ut[k], &bits, 4); /* not measured */
    }
    e.temperature_c = v[6];
    spki_decoder_imu(d, &e);
}

/* 36 bytes of header, then 16-bit samples from the upper left. */
SPKI_FN void spki_aedat3_frame(spk_decoder *d, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t info = spki_load32_le(p);
    uint32_t width = spki_load32_le(p + 20), height = spki_load32_le(p + 24);
    uint64_t samples;
    spk_frame e;
    memset(&e, 0, sizeof e);
    e.channels = (uint16_t)(info >> 1 & 7);
    samples = (uint64_t)width * height * e.channels;
    if (width > 65535 || height > 65535 || samples > (s->size - 36) / 2) {
        d->stats.bytes_skipped += s->size;
        spki_decoder_violation(d, NULL, "AEDAT 3: a frame is larger than its packet");
        return;
    }
    e.start_us = s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu);
    e.end_us = s->base | (int64_t)(spki_load32_le(p + 8) & 0x7fffffffu);
    e.exposure_start_us = s->base | (int64_t)(spki_load32_le(p + 12) & 0x7fffffffu);
    e.exposure_end_us = s->base | (int64_t)(spki_load32_le(p + 16) & 0x7fffffffu);
    e.t_us = e.exposure_start_us + (e.exposure_end_us - e.exposure_start_us) / 2;
    e.width = (uint16_t)width;
    e.height = (uint16_t)height;
    e.x = spki_load16_le(p + 28);
    e.y = spki_load16_le(p + 32);
    e.sample_bytes = 2;
    e.code = (uint16_t)(info >> 4 & 15);
    e.size = (size_t)samples * 2;
    s->body.size = 0; /* samples of two bytes want an address to match */
    if (!spki_bytes_append(&d->mem, &s->body, p + 36, e.size)) {
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for a frame");
        return;
    }
    e.pixels = s->body.data;
    spki_decoder_frame(d, &e);
}

/* A spike of a Dynap-SE: which neuron fired, as x | y << 16 (5 bits of core, 6 of chip, 20 of
   neuron). */
SPKI_INLINE uint64_t spki_aedat3_neuron(uint32_t word)
{
    return (uint64_t)(word >> 1) | UINT64_C(1) << 32;
}

SPKI_FN void spki_aedat3_one(spk_decoder *d, spki_io *io, spki_aedat3 *s, const uint8_t *p)
{
    uint32_t word = spki_load32_le(p);
    if ((word & 1) == 0) { /* not valid: a filter took it out */
        d->stats.dropped++;
        return;
    }
    switch (s->type) {
    case SPKI_CAER_SPECIAL: spki_aedat3_special(d, io, s, p); break;
    case SPKI_CAER_IMU6:
    case SPKI_CAER_IMU9: spki_aedat3_imu(d, s, p); break;
    case SPKI_CAER_FRAME: spki_aedat3_frame(d, s, p); break;
    default:
        spki_event_store(io->out++, s->base | (int64_t)(spki_load32_le(p + 4) & 0x7fffffffu),
                         spki_aedat3_neuron(word) | d->source_bits);
    }
}

/* Polarity events in one piece. How many were taken. */
SPKI_FN size_t spki_aedat3_polarity(spk_decoder *d, spki_io *io, spki_aedat3 *s, const uint8_t *p,
                                    size_t count)
{
    size_t room = (size_t)(io->out_end - io->out), n = SPKI_MIN(room, count), k;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    uint32_t bottom = s->upwards && d->stats.height != 0 ? rows - 1 : 0;
    spk_event *out = io->out;
    for (k = 0; k < n; k++) {
        const uint8_t *e = p + k * s->size;
        uint32_t word = spki_load32_le(e), x = word >> 17, y = word >> 2 & 0x7fff;
        bool good = (word & 1) != 0 && x < columns && y < rows;
        y = bottom != 0 ? bottom - y : y;
        spki_event_store(out, s->base | (int64_t)(spki_load32_le(e + 4) & 0x7fffffffu),
                         (uint64_t)x | (uint64_t)(y & 0xffff) << 16 |
                             (uint64_t)(word >> 1 & 1) << 32 | d->source_bits);
        out += good;
    }
    d->stats.dropped += n - (size_t)(out - io->out);
    io->out = out;
    return n;
}

SPKI_FN uint32_t spki_aedat3_least(uint32_t type)
{
    if (type == SPKI_CAER_IMU9) return 48;
    return type == SPKI_CAER_FRAME || type == SPKI_CAER_IMU6 ? 36 : 8;
}

/* The records of a packet, from the stream or from what was unpacked. */
SPKI_FN bool spki_aedat3_records(spk_decoder *d, spki_aedat3 *s, spki_io *io)
{
    bool packed = s->packed > 0;
    if (packed && !s->unpacked) {
        const uint8_t *p = spki_hold(d, io, &s->held, s->packed);
        if (!p || !spki_aedat3_unpack(d, s, p)) return false;
        s->unpacked = true;
        s->body_at = 0;
    }
    while (s->left > 0 && io->out < io->out_end && d->result == SPK_OK) {
        const uint8_t *p;
        size_t there, n = 1;
        if (packed) {
            there = s->left;
            p = s->body.data + s->body_at;
        } else {
            there = s->held.size == 0 ? (size_t)(io->in_end - io->in) / s->size : 0;
            p = io->in;
            if (there == 0) {
                if ((p = spki_hold(d, io, &s->held, s->size)) == NULL) return false;
                there = 1;
            } else io->in += s->size;
        }
        if (s->type == SPKI_CAER_POLARITY) {
            n = spki_aedat3_polarity(d, io, s, p, SPKI_MIN(there, (size_t)s->left));
        } else spki_aedat3_one(d, io, s, p);
        if (packed) s->body_at += n * s->size;
        else if (n > 1) io->in += (n - 1) * s->size;
        s->left -= (uint32_t)n;
    }
    return s->left == 0;
}

SPKI_FN void spki_aedat3_decode(spk_decoder *d, spki_io *io)
{
    spki_aedat3 *s = (spki_aedat3 *)d->state;
    if (s->phase == SPKI_AEDAT3_HEADER && spki_aedat3_header(d, s, io))
        s->phase = SPKI_AEDAT3_PACKET;
    while (s->phase != SPKI_AEDAT3_HEADER && d->result == SPK_OK && io->out < io->out_end) {
        bool known;
        if (s->skip > 0 && (s->skip = spki_skip(d, io, s->skip)) > 0) break;
        if (s->phase == SPKI_AEDAT3_PACKET && !spki_aedat3_packet(d, s, io)) break;
        known = (s->type <= SPKI_CAER_IMU9 || s->type == SPKI_CAER_SPIKE) &&
                s->size >= spki_aedat3_least(s->type) && !(s->packed && s->type == SPKI_CAER_FRAME);
        if (!known) {
            s->skip = s->packed ? s->packed : (uint64_t)s->left * s->size;
            s->phase = SPKI_AEDAT3_PACKET;
            continue;
        }
        if (!spki_aedat3_records(d, s, io)) break;
        s->phase = SPKI_AEDAT3_PACKET;
    }
    if (io->last && io->in == io->in_end && s->held.size > 0) {
        d->stats.bytes_skipped += s->held.size;
        s->held.size = 0;
        spki_decoder_violation(d, NULL, "AEDAT 3: the stream ends within a packet");
    }
}

SPKI_FN void spki_aedat3_end(spk_decoder *d)
{
    spki_aedat3 *s = (spki_aedat3 *)d->state;
    spki_bytes_free(&d->mem, &s->held);
    spki_bytes_free(&d->mem, &s->body);
}

static const spki_codec spki_aedat3_codec = {
    SPK_FORMAT_AEDAT3, ".aedat3 ", sizeof(spki_aedat3), spki_aedat3_sniff, spki_aedat_accept, NULL,
    NULL, spki_aedat3_decode, NULL, spki_aedat3_end};

#endif
