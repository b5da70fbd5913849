/* ---- >>aedat2: AEDAT 1.0 and 2.0, the files of jAER ---- */
#ifndef SPIKELIB_EVENT_AEDAT2_H
#define SPIKELIB_EVENT_AEDAT2_H

#include "hold.h"

/* Lines that begin with '#', then records, all big-endian: u32 address (1.0: u16), i32 time in us.
   What an address means depends on the chip, which a line of the header names.
   Source: the AEDAT file formats of inivation-docs; jAER's DVS128 and DavisChip. */

typedef enum spki_chip { SPKI_CHIP_UNKNOWN = 0, SPKI_CHIP_DVS, SPKI_CHIP_DAVIS } spki_chip;

enum { SPKI_AEDAT2_LINE_MOST = 1 << 20, SPKI_AEDAT2_LOOK = 64 };

typedef struct spki_aedat2 {
    spki_bytes held; /* a line of the header, or the records that tell the chip */
    bool data, old, any, view;
    spki_chip chip;
    uint32_t width, height, last;
    int64_t base;
} spki_aedat2;

SPKI_FN spki_sniff spki_aedat2_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "#!AER-DAT";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    if (size <= n) return whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
    return head[n] == '1' || head[n] == '2' ? SPKI_SNIFF_YES : SPKI_SNIFF_NO;
}

/* One line of the header: which chip, and how large. */
SPKI_FN void spki_aedat2_line(spk_decoder *d, spki_aedat2 *s, const uint8_t *line, size_t n)
{
    static const struct {
        const char *name;
        spki_chip chip;
        uint32_t width, height;
    } chips[] = {
        {"dvs128", SPKI_CHIP_DVS, 128, 128},      {"tmpdiff128", SPKI_CHIP_DVS, 128, 128},
        {"davis128", SPKI_CHIP_DAVIS, 128, 128},  {"davis208", SPKI_CHIP_DAVIS, 208, 192},
        {"davis346", SPKI_CHIP_DAVIS, 346, 260},  {"davis640", SPKI_CHIP_DAVIS, 640, 480},
        {"davis240", SPKI_CHIP_DAVIS, 240, 180},  {"sbret", SPKI_CHIP_DAVIS, 240, 180},
    };
    size_t k;
    if (n > 10 && memcmp(line, "#!AER-DAT", 9) == 0) s->old = line[9] == '1';
    if (s->chip != SPKI_CHIP_UNKNOWN || !spki_contains(line, n, "chip")) return;
    for (k = 0; k < sizeof chips / sizeof chips[0] && s->chip == SPKI_CHIP_UNKNOWN; k++) {
        if (!spki_contains(line, n, chips[k].name)) continue;
        s->chip = chips[k].chip;
        spki_decoder_size(d, chips[k].width, chips[k].height);
    }
}

/* The header ends before the first line that does not begin with '#', or that is no text: a record
   may begin with the byte of a '#'. True once the data are reached; what of them was taken for a
   line is then in `held`. */
SPKI_FN bool spki_aedat2_header(spk_decoder *d, spki_aedat2 *s, spki_io *io)
{
    while (io->in < io->in_end) {
        uint8_t c = *io->in;
        bool text = c >= 0x20 || c == '\t' || c == '\r' || c == '\n';
        if ((s->held.size == 0 && c != '#') || !text || s->held.size >= SPKI_AEDAT2_LINE_MOST)
            return true;
        if (!spki_bytes_append(&d->mem, &s->held, &c, 1)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for the header");
            return false;
        }
        io->in++;
        if (c != '\n') continue;
        spki_aedat2_line(d, s, s->held.data, s->held.size);
        s->held.size = 0;
    }
    if (io->last) { /* within a line */
        d->stats.bytes_skipped += s->held.size;
        s->held.size = 0;
    }
    return false;
}

SPKI_INLINE uint32_t spki_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* No line named the chip: only a DAVIS has bits above the 16th. */
SPKI_FN void spki_aedat2_guess(spk_decoder *d, spki_aedat2 *s, const uint8_t *p, size_t n)
{
    s->chip = SPKI_CHIP_DVS;
    for (; n >= 8 && !s->old; p += 8, n -= 8)
        if (p[0] != 0 || p[1] != 0) s->chip = SPKI_CHIP_DAVIS;
    if (s->chip == SPKI_CHIP_DVS) spki_decoder_size(d, 128, 128);
    else if (d->stats.width == 0) spki_decoder_size(d, 346, 260);
}

SPKI_FN int64_t spki_aedat2_time(spk_decoder *d, spki_aedat2 *s, uint32_t t, const uint8_t *at)
{
    if (s->any && t < s->last) {
        if (s->last - t > UINT32_C(0x80000000)) s->base += INT64_C(1) << 32;
        else spki_decoder_violation(d, at, "time runs back");
    }
    s->any = true;
    s->last = t;
    return s->base + t;
}

/* An address that is no pixel's: a trigger, or a sample of a frame or IMU, passed on as it is. */
SPKI_FN void spki_aedat2_special(spk_decoder *d, spki_io *io, spki_aedat2 *s, uint32_t address,
                                 int64_t t)
{
    bool trigger = s->chip == SPKI_CHIP_DVS || (address & UINT32_C(0x80000000)) == 0;
    if (trigger) {
        spk_trigger e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.pulse = 1;
        e.edge = s->chip == SPKI_CHIP_DVS ? (uint8_t)(address & 1) : (uint8_t)(address >> 11 & 1);
        spki_decoder_trigger(d, io, &e);
    } else {
        spk_extra e;
        memset(&e, 0, sizeof e);
        e.t_us = t;
        e.kind = SPK_EXTRA_ADDRESS;
        e.code = (uint16_t)(address >> 10 & 3);
        e.x = (uint16_t)(address >> 12 & 0x3ff);
        e.y = (uint16_t)(address >> 22 & 0x1ff);
        e.bytes = &address;
        e.size = sizeof address;
        spki_decoder_extra(d, &e);
    }
}

SPKI_FN void spki_aedat2_record(spk_decoder *d, spki_io *io, spki_aedat2 *s, const uint8_t *p)
{
    uint32_t address = s->old ? (uint32_t)p[0] << 8 | p[1] : spki_be32(p);
    int64_t t = spki_aedat2_time(d, s, spki_be32(p + (s->old ? 2 : 4)), NULL);
    uint32_t x, y, on;
    if (s->chip == SPKI_CHIP_DVS) {
        if (address & 0x8000u) {
            spki_aedat2_special(d, io, s, address, t);
            return;
        }
        x = address >> 1 & 0x7f;
        y = address >> 8 & 0x7f;
        on = (address & 1) ^ (s->view ? 1u : 0u);
    } else {
        if ((address & UINT32_C(0x80000400)) != 0) {
            spki_aedat2_special(d, io, s, address, t);
            return;
        }
        x = address >> 12 & 0x3ff;
        y = address >> 22 & 0x1ff;
        on = address >> 11 & 1;
    }
    if (x >= s->width || y >= s->height) {
        d->stats.dropped++;
        return;
    }
    if (s->view) { /* the chips count columns from the right and rows from the bottom */
        x = s->width - 1 - x;
        y = s->height - 1 - y;
    }
    spki_event_store(io->out++, t, (uint64_t)x | (uint64_t)y << 16 | (uint64_t)on << 32 |
                                       d->source_bits);
}

/* Records that were gathered to tell the chip, or begun in an earlier piece. */
SPKI_FN bool spki_aedat2_decide(spk_decoder *d, spki_aedat2 *s, spki_io *io)
{
    size_t want = SPKI_AEDAT2_LOOK * 8;
    if (s->chip == SPKI_CHIP_UNKNOWN) {
        size_t take = SPKI_MIN((size_t)(io->in_end - io->in), want - SPKI_MIN(want, s->held.size));
        if (!spki_bytes_append(&d->mem, &s->held, io->in, take)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for the first records");
            return false;
        }
        io->in += take;
        if (s->held.size < want && !io->last) return false;
        spki_aedat2_guess(d, s, s->held.data, s->held.size);
    }
    s->view = !d->desc.as_stored && d->stats.width != 0 && d->stats.height != 0;
    s->width = spki_decoder_columns(d);
    s->height = spki_decoder_rows(d);
    s->data = true;
    return true;
}

SPKI_FN void spki_aedat2_decode(spk_decoder *d, spki_io *io)
{
    spki_aedat2 *s = (spki_aedat2 *)d->state;
    size_t record, k = 0;
    if (!s->data && s->width == 0) {
        if (!spki_aedat2_header(d, s, io)) return;
        s->width = 1; /* the header is over */
    }
    if (!s->data && !spki_aedat2_decide(d, s, io)) return;
    record = s->old ? 6 : 8;
    while (s->held.size - k >= record && io->out < io->out_end && d->result == SPK_OK) {
        spki_aedat2_record(d, io, s, s->held.data + k);
        k += record;
    }
    if (k > 0) {
        s->held.size -= k;
        memmove(s->held.data, s->held.data + k, s->held.size);
    }
    while (s->held.size < record && io->out < io->out_end && d->result == SPK_OK) {
        const uint8_t *p = spki_hold(d, io, &s->held, record);
        if (!p) break;
        spki_aedat2_record(d, io, s, p);
    }
    if (io->last && io->in == io->in_end && s->held.size < record) {
        d->stats.bytes_skipped += s->held.size;
        s->held.size = 0;
    }
}

SPKI_FN void spki_aedat2_end(spk_decoder *d)
{
    spki_bytes_free(&d->mem, &((spki_aedat2 *)d->state)->held);
}

SPKI_FN bool spki_aedat_accept(const uint8_t *head, size_t size)
{
    return size > 0 && head[0] == '#';
}

static const spki_codec spki_aedat2_codec = {
    SPK_FORMAT_AEDAT2, ".aedat ", sizeof(spki_aedat2), spki_aedat2_sniff, spki_aedat_accept,
    NULL, NULL, spki_aedat2_decode, NULL, spki_aedat2_end};

#endif
