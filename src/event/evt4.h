/* ---- >>evt4: Prophesee EVT4, 32-bit words, vectors in a second one ---- */
#ifndef SPIKELIB_EVENT_EVT4_H
#define SPIKELIB_EVENT_EVT4_H

#include "evt2.h"

/* Source: openeb 5.1.1, decoders/evt4/evt4_event_types.h. Fields as in EVT2; a vector's header is
   followed by a mask of 32 pixels, which may look like any word. */
#define SPKI_EVT4_OTHER 0x6u
#define SPKI_EVT4_CONTINUED 0x7u
#define SPKI_EVT4_TRIGGER 0x9u
#define SPKI_EVT4_OFF 0xau
#define SPKI_EVT4_ON 0xbu
#define SPKI_EVT4_VECTOR_OFF 0xcu
#define SPKI_EVT4_VECTOR_ON 0xdu
#define SPKI_EVT4_TIME_HIGH 0xeu
#define SPKI_EVT4_PADDING 0xfu
#define SPKI_EVT4_WRAP ((int64_t)1 << 33)

SPKI_FN spki_sniff spki_evt4_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT4);
}

SPKI_FN bool spki_evt4_accept(const uint8_t *head, size_t size)
{
    return spki_raw_accept(head, size, SPK_FORMAT_EVT4);
}

SPKI_FN void spki_evt4_word(spk_decoder *d, spki_io *io, uint32_t w)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = s->time + (int64_t)((w >> 22) & 63u);
    uint32_t type = w >> 28;
    switch (type) {
    case SPKI_EVT4_OFF:
    case SPKI_EVT4_ON:
        io->out = spki_raw_vector(d, io->out, t, (w >> 11) & 2047u, w & 2047u, type & 1u, 1u);
        return;
    case SPKI_EVT4_TIME_HIGH:
        spki_raw_time_high(d, w & 0xfffffffu, SPKI_EVT4_WRAP, io->in);
        return;
    case SPKI_EVT4_TRIGGER:
        spki_raw_trigger(d, io, t, (w >> 8) & 31u, w & 1u);
        return;
    case SPKI_EVT4_OTHER:
        spki_raw_open(s, w & 0xffffu, t);
        return;
    case SPKI_EVT4_CONTINUED:
        spki_raw_continued(d, w);
        return;
    case SPKI_EVT4_PADDING:
        return;
    default:
        d->stats.bytes_skipped += 4;
    }
}

SPKI_FN void spki_evt4_decode(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (!spki_raw_begin_data(d, io)) return;
    while (io->in_end - io->in >= 4 && io->out_end - io->out >= 32 && d->result == SPK_OK) {
        uint32_t w = spki_load32_le(io->in), type = w >> 28, mask;
        bool vector = type == SPKI_EVT4_VECTOR_OFF || type == SPKI_EVT4_VECTOR_ON;
        if (s->has_time && (type == SPKI_EVT4_OFF || type == SPKI_EVT4_ON)) {
            spki_cd_run(d, io, SPKI_EVT4_OFF, s->time);
            if (io->in_end - io->in < 4 || io->out_end - io->out < 32) return;
            w = spki_load32_le(io->in);
            type = w >> 28;
            vector = type == SPKI_EVT4_VECTOR_OFF || type == SPKI_EVT4_VECTOR_ON;
        }
        if (vector && io->in_end - io->in < 8) return;
        if (!s->has_time && type != SPKI_EVT4_TIME_HIGH) {
            mask = vector ? spki_load32_le(io->in + 4) : 1u;
            if (vector || type == SPKI_EVT4_OFF || type == SPKI_EVT4_ON)
                d->stats.dropped += (uint32_t)__builtin_popcount(mask);
            d->stats.bytes_skipped += vector ? 8 : 4;
        } else if (vector)
            io->out =
                spki_raw_vector(d, io->out, s->time + (int64_t)((w >> 22) & 63u), (w >> 11) & 2047u,
                                w & 2047u, type & 1u, spki_load32_le(io->in + 4));
        else
            spki_evt4_word(d, io, w);
        io->in += vector ? 8 : 4;
    }
}

static const spki_codec spki_evt4_codec = {SPK_FORMAT_EVT4,
                                           ".raw .evt4 ",
                                           sizeof(spki_raw_state),
                                           spki_evt4_sniff,
                                           spki_evt4_accept,
                                           NULL,
                                           NULL,
                                           spki_evt4_decode,
                                           spki_raw_resync,
                                           NULL};

#endif
