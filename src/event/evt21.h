/* ---- >>evt21: Prophesee EVT2.1, 64-bit words with vectors of 32 pixels ---- */
#ifndef SPIKELIB_EVENT_EVT21_H
#define SPIKELIB_EVENT_EVT21_H

#include "raw.h"

/* Source: openeb 5.1.1, decoders/evt21/evt21_event_types.h. Bits 63..60 are the type, 59..54 the
   low six bits of the time, 53..43 x, 42..32 y, 31..0 a mask of the pixels from x on. Older cameras
   send the two halves the other way round. */
#define SPKI_EVT21_TIME_HIGH 0x8u
#define SPKI_EVT21_TRIGGER 0xau
#define SPKI_EVT21_OTHERS 0xeu
#define SPKI_EVT21_CONTINUED 0xfu
#define SPKI_EVT21_WRAP (((int64_t)1 << 34) - 64)

SPKI_FN spki_sniff spki_evt21_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_raw_sniff(head, size, whole, SPK_FORMAT_EVT21);
}

SPKI_FN bool spki_evt21_accept(const uint8_t *head, size_t size)
{
    return spki_raw_accept(head, size, SPK_FORMAT_EVT21);
}

/* Where no header is, the content told that it is EVT2.1: then it tells the word order, too. */
SPKI_FN void spki_evt21_begin(spk_decoder *d)
{
    if (d->carried > 0 && d->carry[0] != '%')
        spki_raw_guess(d->carry, d->carried, &((spki_raw_state *)d->state)->legacy);
}

/* All words but CD; `upper` and `lower` halves. */
SPKI_FN void spki_evt21_word(spk_decoder *d, spki_io *io, uint32_t upper, uint32_t lower)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = s->time + (int64_t)((upper >> 22) & 63u);
    uint32_t subtype = upper & 0xffffu;
    switch (upper >> 28) {
    case SPKI_EVT21_TIME_HIGH:
        spki_raw_time_high(d, upper & 0xfffffffu, SPKI_EVT21_WRAP, io->in);
        return;
    case SPKI_EVT21_TRIGGER:
        spki_raw_trigger(d, io, t, (upper >> 8) & 31u, lower & 1u);
        return;
    case SPKI_EVT21_OTHERS:
        if (subtype == SPKI_RAW_IN_COUNT || subtype == SPKI_RAW_OUT_COUNT)
            spki_raw_counter(d, t, subtype, lower & 0x3fffffu);
        return;
    case SPKI_EVT21_CONTINUED:
        return;
    default:
        d->stats.bytes_skipped += 8;
    }
}

SPKI_FN void spki_evt21_decode(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    if (!spki_raw_begin_data(d, io)) return;
    for (; io->in_end - io->in >= 8 && io->out_end - io->out >= 32 && d->result == SPK_OK;
         io->in += 8) {
        uint32_t lower = spki_load32_le(io->in + (s->legacy ? 4 : 0));
        uint32_t upper = spki_load32_le(io->in + (s->legacy ? 0 : 4));
        uint32_t type = upper >> 28;
        if (!s->has_time && type != SPKI_EVT21_TIME_HIGH) {
            d->stats.bytes_skipped += 8;
            if (type <= 1) d->stats.dropped += (uint32_t)__builtin_popcount(lower);
        } else if (type <= 1)
            io->out = spki_raw_vector(d, io->out, s->time + (int64_t)((upper >> 22) & 63u),
                                      (upper >> 11) & 2047u, upper & 2047u, type, lower);
        else
            spki_evt21_word(d, io, upper, lower);
    }
}

static const spki_codec spki_evt21_codec = {
    SPK_FORMAT_EVT21, ".raw .evt21 ", sizeof(spki_raw_state), spki_evt21_sniff, spki_evt21_accept,
    spki_evt21_begin, NULL,           spki_evt21_decode,      spki_raw_resync,  NULL};

#endif
