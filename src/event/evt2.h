/* ---- >>evt2: Prophesee EVT2, 32-bit words ---- */
#ifndef SPIKELIB_EVENT_EVT2_H
#define SPIKELIB_EVENT_EVT2_H

#include "lanes.h"
#include "raw.h"
#include "writer.h"

/* Source: openeb 5.1.1, decoders/evt2/evt2_event_types.h. Bits 31..28 are the type, 27..22 the low
   six bits of the time; CD: 21..11 x, 10..0 y. */
#define SPKI_EVT2_OFF 0x0u
#define SPKI_EVT2_ON 0x1u
#define SPKI_EVT2_TIME_HIGH 0x8u
#define SPKI_EVT2_TRIGGER 0xau
#define SPKI_EVT2_IMU 0xdu
#define SPKI_EVT2_OTHER 0xeu
#define SPKI_EVT2_CONTINUED 0xfu
/* A step back that is no less is the wrap of the 34 bits. */
#define SPKI_EVT2_WRAP (((int64_t)1 << 34) - 64 - 10000)

SPKI_FN spki_sniff spki_evt2_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT2);
}

SPKI_FN bool spki_evt2_accept(const uint8_t *head, size_t size)
{
    return spki_raw_accept(head, size, SPK_FORMAT_EVT2);
}

/* All words but CD. */
SPKI_FN void spki_evt2_word(spk_decoder *d, spki_io *io, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = s->time + (int64_t)((w >> 22) & 63u);
    switch (w >> 28) {
    case SPKI_EVT2_TIME_HIGH:
        spki_raw_time_high(d, w & 0xfffffffu, SPKI_EVT2_WRAP, io->in);
        return;
    case SPKI_EVT2_TRIGGER:
        spki_raw_trigger(d, io, t, (w >> 8) & 31u, w & 1u);
        return;
    case SPKI_EVT2_IMU:
        spki_raw_open(s, SPKI_RAW_IMU, t);
        s->samples[0] = (int16_t)(uint16_t)(w >> 1);
        return;
    case SPKI_EVT2_OTHER:
        spki_raw_open(s, w & 0xffffu, t);
        return;
    case SPKI_EVT2_CONTINUED:
        spki_raw_continued(d, w);
        return;
    default:
        d->stats.bytes_skipped += 4;
    }
}

/* CD words, up to the first of another kind or outside of the sensor. */
#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_FN void spki_cd_run_avx2(const spk_decoder *d, spki_io *io, uint32_t off,
                                              int64_t time)
{
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d), n = 8;
    while (n == 8 && io->in_end - io->in >= 32 && io->out_end - io->out >= 8) {
        n = spki_cd_words_avx2(io->in, io->out, off, time, d->source_bits, columns, rows);
        io->in += 4 * n;
        io->out += n;
    }
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EVENT_AVX512 SPKI_FN void spki_cd_run_avx512(const spk_decoder *d, spki_io *io, uint32_t off,
                                                  int64_t time)
{
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d), n = 16;
    while (n == 16 && io->in_end - io->in >= 64 && io->out_end - io->out >= 16) {
        n = spki_cd_words_avx512(io->in, io->out, off, time, d->source_bits, columns, rows);
        io->in += 4 * n;
        io->out += n;
    }
}
#endif

SPKI_INLINE void spki_cd_run(const spk_decoder *d, spki_io *io, uint32_t off, int64_t time)
{
#if SPKI_HAVE_AVX512
    if (d->isa == SPK_ISA_AVX512) spki_cd_run_avx512(d, io, off, time);
#endif
#if SPKI_HAVE_AVX2
    if (d->isa == SPK_ISA_AVX2) spki_cd_run_avx2(d, io, off, time);
#endif
    (void)d;
    (void)io;
    (void)off;
    (void)time;
}

SPKI_FN void spki_evt2_decode(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    uint32_t columns, rows;
    if (!spki_raw_begin_data(d, io)) return;
    columns = spki_decoder_columns(d);
    rows = spki_decoder_rows(d);
    for (; io->in_end - io->in >= 4 && io->out < io->out_end && d->result == SPK_OK; io->in += 4) {
        uint32_t w = spki_load32_le(io->in), x = (w >> 11) & 2047u, y = w & 2047u;
        bool cd = w >> 28 <= SPKI_EVT2_ON;
        if (cd && s->has_time) {
            spki_cd_run(d, io, SPKI_EVT2_OFF, s->time);
            if (io->in_end - io->in < 4 || io->out == io->out_end) return;
            w = spki_load32_le(io->in);
            x = (w >> 11) & 2047u;
            y = w & 2047u;
            cd = w >> 28 <= SPKI_EVT2_ON;
        }
        if (!s->has_time && w >> 28 != SPKI_EVT2_TIME_HIGH) {
            d->stats.bytes_skipped += 4;
            d->stats.dropped += cd;
        } else if (!cd)
            spki_evt2_word(d, io, w);
        else if (x >= columns || y >= rows)
            d->stats.dropped++;
        else
            spki_event_store(io->out++, s->time + (int64_t)((w >> 22) & 63u),
                             x | (uint64_t)y << 16 | (uint64_t)(w >> 28) << 32 | d->source_bits);
    }
}

static const spki_codec spki_evt2_codec = {SPK_FORMAT_EVT2,
                                           ".raw .evt2 ",
                                           sizeof(spki_raw_state),
                                           spki_evt2_sniff,
                                           spki_evt2_accept,
                                           NULL,
                                           NULL,
                                           spki_evt2_decode,
                                           spki_raw_resync,
                                           NULL};

/* -- writer -- */

typedef struct spki_evt2_writer {
    int64_t high; /* time >> 6 of the last TIME_HIGH; -1: none yet */
    int64_t last_us;
} spki_evt2_writer;

SPKI_FN void spki_evt2_write_header(spk_event_writer *w)
{
    ((spki_evt2_writer *)w->state)->high = -1;
    spki_raw_write_header(w, "EVT2", "2.0");
}

SPKI_FN bool spki_evt2_put_high(spk_event_writer *w, int64_t high)
{
    uint8_t *p = spki_writer_room(w, 16);
    if (!p) return false;
    spki_store32_le(p, SPKI_EVT2_TIME_HIGH << 28 | (uint32_t)(high & 0xfffffff));
    w->fill += 4;
    return true;
}

/* What is beyond 34 bits is told by letting the counter wrap as often: two words for 4.8 hours. */
#define SPKI_EVT2_FILL 1000000

SPKI_FN bool spki_evt2_put_time(spk_event_writer *w, const spk_event *e)
{
    spki_evt2_writer *s = (spki_evt2_writer *)w->state;
    int64_t high = e->t_us >> 6, loops = (s->high < 0 ? 0 : s->high) >> 28;
    if (high == s->high) return true;
    if ((high >> 28) - loops > SPKI_EVT2_FILL)
        return spki_writer_refuse(w, e, "the time is further than 544 years from the last one");
    for (; loops < high >> 28; loops++)
        if (!spki_evt2_put_high(w, 0xfffffff) || !spki_evt2_put_high(w, 0)) return false;
    s->high = high;
    return spki_evt2_put_high(w, high);
}

SPKI_FN void spki_evt2_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_evt2_writer *s = (spki_evt2_writer *)w->state;
    for (; count > 0; count--, e++) {
        uint32_t type = e->polarity ? SPKI_EVT2_ON : SPKI_EVT2_OFF;
        uint32_t word = (uint32_t)e->x << 11 | e->y;
        if (!spki_writer_time(w, e, &s->last_us)) return;
        if (e->kind == SPK_EVENT_TRIGGER) {
            type = SPKI_EVT2_TRIGGER;
            word = (uint32_t)e->x << 8 | (e->polarity ? 1u : 0u);
            if (!spki_writer_range(w, e, 31, 65535)) return;
        } else if (!spki_writer_cd(w, e) || !spki_writer_range(w, e, 2047, 2047))
            return;
        if (!spki_writer_room(w, 16) || !spki_evt2_put_time(w, e)) return;
        spki_store32_le(w->buffer + w->fill, type << 28 | (uint32_t)(e->t_us & 63) << 22 | word);
        w->fill += 4;
        w->encoded++;
    }
}

static const spki_encoder spki_evt2_encoder = {SPK_FORMAT_EVT2,
                                               ".evt2 ",
                                               sizeof(spki_evt2_writer),
                                               spki_evt2_write_header,
                                               spki_evt2_encode,
                                               NULL,
                                               NULL};

#endif
