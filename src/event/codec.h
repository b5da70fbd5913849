/* ---- >>codec: what a format of events has to provide, and what it is given ---- */
#ifndef SPIKELIB_EVENT_CODEC_H
#define SPIKELIB_EVENT_CODEC_H

#include "../api/event.h"
#include "../core/alloc.h"
#include "../core/cpu.h"
#include "../core/digest.h"

#include <stdarg.h>

/* A format is one spki_codec in a file of its own, listed in event/formats.h. Its `decode` turns
   bytes into events as far as both go, and is called again with what it left unread followed by
   more. It must not depend on where the bytes are cut: a record that is not whole stays unread.
   What it leaves unread (for lack of bytes, not of room) is at most SPKI_CARRY bytes; a format with
   longer records copies them into memory of its own. */
#define SPKI_CARRY ((size_t)4096)
/* Free places that `decode` finds at every call; it returns when fewer may be left than the next
   record can fill. */
#define SPKI_EVENT_ROOM ((size_t)64)

typedef struct spki_io {
    const uint8_t *in, *in_end; /* `in` moves on */
    spk_event *out, *out_end;   /* `out` moves on */
    bool last;                  /* no bytes follow in_end */
} spki_io;

typedef enum spki_sniff { SPKI_SNIFF_NO = 0, SPKI_SNIFF_MORE = 1, SPKI_SNIFF_YES = 2 } spki_sniff;

typedef struct spki_codec {
    spk_event_format format;
    const char *suffixes; /* of file names, lower case, each followed by a blank: ".raw .evt3 " */
    size_t state_size;    /* of spk_decoder.state, zeroed before `begin` */
    /* Is it this format? MORE: cannot be said yet. `whole`: no more bytes can be had (the end, or
       SPKI_CARRY bytes). An answer other than MORE must not change when bytes are added. Formats
       without a mark of their own answer when `whole`. NULL: only by name. */
    spki_sniff (*sniff)(const uint8_t *head, size_t size, bool whole);
    /* The name fits and no content did; may look at the content. NULL: the name is enough. */
    bool (*accept)(const uint8_t *head, size_t size);
    /* Before the first byte; optional. Errors through spki_decoder_fail, here and below. */
    void (*begin)(spk_decoder *decoder);
    /* Formats that read the file themselves (HDF5): called after `begin`, instead of bytes being
       fed; `decode` is then called without bytes until it gives no event. NULL for all others. */
    void (*open_path)(spk_decoder *decoder, const char *path);
    void (*decode)(spk_decoder *decoder, spki_io *io);
    void (*resync)(spk_decoder *decoder); /* see spk_decoder_resync; optional */
    void (*end)(spk_decoder *decoder);    /* frees what the state holds; optional */
} spki_codec;

struct spk_decoder {
    spki_mem mem;
    spk_events_desc desc;
    const spki_codec *codec; /* NULL until the format is known */
    void *state;             /* the codec's */
    uint32_t flags;          /* the codec's, for variants of a format */
    spk_isa isa;
    spk_event_stats stats;
    uint64_t other;       /* events given out that have no polarity */
    bool mixed;           /* triggers or OTHER may be among the events */
    uint64_t source_bits; /* desc.source where it lies in the second half of an spk_event */
    int64_t shift_us;     /* subtracted, once known, where shift_time is asked for */
    bool shift_known;
    /* Bytes: first those carried over, then those fed. */
    const uint8_t *data;
    size_t left;
    uint8_t *carry; /* 2 * SPKI_CARRY bytes */
    size_t carried;
    uint64_t at; /* offset in the stream of carry[0] if anything is carried, else of data */
    const uint8_t *io_start;  /* of the call of `decode` under way: its first byte, at `at` */
    const struct spki_io *io; /* that call's, and where its first event goes */
    const spk_event *io_out;
    bool finished, ended;
    bool by_path; /* `name` can be opened */
    /* Events that did not fit the caller's array. */
    spk_event spill[2 * SPKI_EVENT_ROOM];
    size_t spill_next, spill_count;
    spk_result result;
    const char *name; /* of the file, for sentences; NULL: a stream */
    char error[512];
};

/* -- for codecs -- */

/* Remembers the first error: SENTENCE gets "name: byte N: " in front, N being the offset of `where`
   (a pointer into io, or NULL for none). */
__attribute__((format(printf, 4, 5))) SPKI_FN void spki_decoder_fail(spk_decoder *decoder,
                                                                     spk_result result,
                                                                     const uint8_t *where,
                                                                     const char *format, ...)
{
    char offset[40] = "";
    size_t used;
    va_list args;
    if (decoder->result != SPK_OK) return;
    decoder->result = result;
    if (where)
        snprintf(offset, sizeof offset, "byte %llu: ",
                 (unsigned long long)(decoder->at + (uint64_t)(where - decoder->io_start)));
    snprintf(decoder->error, sizeof decoder->error, "%.300s: %s",
             decoder->name ? decoder->name : "event stream", offset);
    used = strlen(decoder->error);
    va_start(args, format);
    vsnprintf(decoder->error + used, sizeof decoder->error - used, format, args);
    va_end(args);
}

/* A rule of the format was broken; false (an error is set) if the caller wants that told. */
SPKI_FN bool spki_decoder_violation(spk_decoder *decoder, const uint8_t *where, const char *what)
{
    decoder->stats.violations++;
    if (decoder->desc.strict) spki_decoder_fail(decoder, SPK_ERR_FORMAT, where, "%s", what);
    return !decoder->desc.strict;
}

/* The size of the sensor as the stream tells it; what the caller said wins. */
SPKI_FN void spki_decoder_size(spk_decoder *decoder, uint32_t width, uint32_t height)
{
    if (decoder->desc.width == 0) decoder->stats.width = width;
    if (decoder->desc.height == 0) decoder->stats.height = height;
}

/* First column and row outside of the sensor: 65,536 where its size is not known. */
SPKI_INLINE uint32_t spki_decoder_columns(const spk_decoder *decoder)
{
    uint32_t n = decoder->stats.width;
    return n == 0 || n > 65536u ? 65536u : n;
}

SPKI_INLINE uint32_t spki_decoder_rows(const spk_decoder *decoder)
{
    uint32_t n = decoder->stats.height;
    return n == 0 || n > 65536u ? 65536u : n;
}

/* Where time begins if the caller wants it to begin at 0; only the first call counts. */
SPKI_FN void spki_decoder_epoch(spk_decoder *decoder, int64_t t_us)
{
    if (!decoder->shift_known && decoder->desc.shift_time) decoder->shift_us = t_us;
    decoder->shift_known = true;
}

/* The same for what comes beside the events: those given out in this call came before it. */
SPKI_FN void spki_decoder_beside(spk_decoder *decoder, int64_t t_us)
{
    if (decoder->shift_known || !decoder->desc.shift_time) return;
    if (decoder->io && decoder->io->out > decoder->io_out) t_us = decoder->io_out->t_us;
    spki_decoder_epoch(decoder, t_us);
}

/* A time as the caller wants it. Damaged files hold any times: it wraps instead of overflowing. */
SPKI_INLINE int64_t spki_decoder_shifted(const spk_decoder *decoder, int64_t t_us)
{
    return (int64_t)((uint64_t)t_us - (uint64_t)decoder->shift_us);
}

/* An event, its second half being x | y << 16 | polarity << 32 | kind << 40 | source << 48. Times
   are the stream's own; shift_time is seen to afterwards. */
SPKI_INLINE void spki_event_store(spk_event *out, int64_t t_us, uint64_t rest)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(out, &t_us, 8);
    memcpy((uint8_t *)out + 8, &rest, 8);
#else
    out->t_us = t_us;
    out->x = (uint16_t)rest;
    out->y = (uint16_t)(rest >> 16);
    out->polarity = (uint8_t)(rest >> 32);
    out->kind = (uint8_t)(rest >> 40);
    out->source = (uint16_t)(rest >> 48);
#endif
}

SPKI_INLINE uint64_t spki_event_rest(const spk_event *event)
{
    return (uint64_t)event->x | (uint64_t)event->y << 16 | (uint64_t)event->polarity << 32 |
           (uint64_t)event->kind << 40 | (uint64_t)event->source << 48;
}

/* Triggers, IMU samples, frames and the rest: counted, and passed on if the caller wants them.
   Their source and time shift are filled in here. A trigger takes a place in io where
   triggers_in_stream says so: leave room for it. */
SPKI_FN void spki_decoder_trigger(spk_decoder *decoder, spki_io *io, const spk_trigger *trigger)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    spki_decoder_beside(decoder, trigger->t_us);
    decoder->stats.triggers++;
    if (decoder->desc.triggers_in_stream)
        spki_event_store(io->out++, trigger->t_us,
                         (uint64_t)trigger->channel | (uint64_t)(trigger->edge & 1u) << 32 |
                             (uint64_t)SPK_EVENT_TRIGGER << 40 |
                             (decoder->source_bits + ((uint64_t)trigger->source << 48)));
    if (c->trigger) {
        spk_trigger copy = *trigger;
        copy.t_us = spki_decoder_shifted(decoder, copy.t_us);
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->trigger(c->ctx, &copy);
    }
}

SPKI_FN void spki_decoder_imu(spk_decoder *decoder, const spk_imu *imu)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    spki_decoder_beside(decoder, imu->t_us);
    decoder->stats.imu++;
    if (c->imu) {
        spk_imu copy = *imu;
        copy.t_us = spki_decoder_shifted(decoder, copy.t_us);
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->imu(c->ctx, &copy);
    }
}

SPKI_FN void spki_decoder_frame(spk_decoder *decoder, const spk_frame *frame)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    spki_decoder_beside(decoder, frame->t_us);
    decoder->stats.frames++;
    if (c->frame) {
        spk_frame copy = *frame;
        copy.t_us = spki_decoder_shifted(decoder, copy.t_us);
        copy.start_us = spki_decoder_shifted(decoder, copy.start_us);
        copy.end_us = spki_decoder_shifted(decoder, copy.end_us);
        copy.exposure_start_us = spki_decoder_shifted(decoder, copy.exposure_start_us);
        copy.exposure_end_us = spki_decoder_shifted(decoder, copy.exposure_end_us);
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->frame(c->ctx, &copy);
    }
}

SPKI_FN void spki_decoder_extra(spk_decoder *decoder, const spk_extra *extra)
{
    const spk_event_callbacks *c = &decoder->desc.callbacks;
    spki_decoder_beside(decoder, extra->t_us);
    decoder->stats.extras++;
    if (c->extra) {
        spk_extra copy = *extra;
        copy.t_us = spki_decoder_shifted(decoder, copy.t_us);
        copy.source = (uint16_t)(copy.source + decoder->desc.source);
        c->extra(c->ctx, &copy);
    }
}

/* Memory of a codec, within the caller's limit; the error is set when there is none. */
SPKI_FN void *spki_decoder_alloc(spk_decoder *decoder, size_t count, size_t size)
{
    void *block = spki_alloc_raw(&decoder->mem, count, size);
    if (!block)
        spki_decoder_fail(decoder, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for %llu bytes",
                          (unsigned long long)count * (unsigned long long)size);
    return block;
}

/* -- bytes -- */

SPKI_INLINE uint16_t spki_load16_le(const uint8_t *p)
{
    uint16_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap16(x);
#endif
    return x;
}

SPKI_INLINE void spki_store16_le(uint8_t *p, uint16_t x)
{
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
}

SPKI_INLINE void spki_store32_le(uint8_t *p, uint32_t x)
{
    spki_store16_le(p, (uint16_t)x);
    spki_store16_le(p + 2, (uint16_t)(x >> 16));
}

/* -- for writers -- */

typedef struct spki_encoder {
    spk_event_format format;
    const char *suffixes;                    /* as above */
    size_t state_size;                       /* of spk_event_writer.state, zeroed before `begin` */
    void (*begin)(spk_event_writer *writer); /* header; optional. Errors: spki_writer_fail */
    /* Appends the events; stops at the first that cannot be held, after spki_writer_refuse. Adds to
       writer->encoded each time that all bytes of an event are in the buffer. */
    void (*encode)(spk_event_writer *writer, const spk_event *events, size_t count);
    void (*finish)(spk_event_writer *writer); /* optional */
    void (*end)(spk_event_writer *writer);    /* frees what the state holds; optional */
} spki_encoder;

#define SPKI_WRITE_BUFFER ((size_t)256 << 10)

struct spk_event_writer {
    spki_mem mem;
    spk_event_writer_desc desc;
    const spki_encoder *encoder;
    void *state;
    FILE *file;
    uint8_t *buffer;
    size_t fill;
    uint64_t bytes;            /* given to the file so far */
    uint64_t encoded, written; /* events whole in the buffer or file, and in the file */
    bool finished;
    spk_result result;
    char *name; /* of the file; NULL: `write` */
    size_t name_size;
    char error[512];
};

#endif
