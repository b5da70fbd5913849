/* ---- >>decoder: bytes cut anywhere become events ---- */
#ifndef SPIKELIB_EVENT_DECODER_H
#define SPIKELIB_EVENT_DECODER_H

#include "formats.h"
#include "lanes.h"

/* Events that one call of a codec may give out: they are counted while they are in the cache. */
#define SPKI_EVENT_CHUNK ((size_t)2048)
/* A caller's array is given back when no more than this is left of it: less slows codecs down. */
#define SPKI_EVENT_ENOUGH ((size_t)512)

SPKI_FN const char *spki_format_name(spk_event_format format)
{
    switch (format) {
#define SPKI_FORMAT_NAME(number, enumerator, name)                                                 \
    case enumerator:                                                                               \
        return name;
        SPIKELIB_EVENT_FORMATS(SPKI_FORMAT_NAME)
#undef SPKI_FORMAT_NAME
    default:
        return NULL;
    }
}

SPIKELIB_API const char *spk_event_format_name(spk_event_format format)
{
    const char *name = spki_format_name(format);
    return name ? name : "unknown";
}

SPIKELIB_API spk_event_format spk_event_format_from_name(const char *name)
{
    int k;
    for (k = 0; name && spki_format_name((spk_event_format)k); k++)
        if (strcmp(name, spki_format_name((spk_event_format)k)) == 0) return (spk_event_format)k;
    return SPK_FORMAT_AUTO;
}

SPIKELIB_API bool spk_event_format_readable(spk_event_format format)
{
#ifndef SPIKELIB_HDF5
    if (format == SPK_FORMAT_HDF5) return false;
#endif
    return spki_codec_of(format) != NULL;
}

/* -- which format -- */

/* Does the name end in one of the suffixes (".raw .evt3 "), whatever the case of its letters? */
SPKI_FN bool spki_name_fits(const char *name, const char *suffixes)
{
    size_t n = strlen(name);
    while (*suffixes) {
        size_t m = strcspn(suffixes, " "), k = 0;
        if (m <= n)
            for (; k < m; k++) {
                char c = name[n - m + k];
                if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
                if (c != suffixes[k]) break;
            }
        if (m > 0 && k == m) return true;
        suffixes += m;
        while (*suffixes == ' ') suffixes++;
    }
    return false;
}

SPKI_FN bool spki_decoder_begin(spk_decoder *d, const spki_codec *codec)
{
    d->codec = codec;
    d->stats.format = codec->format;
    d->state = spki_alloc(&d->mem, 1, codec->state_size);
    if (!d->state)
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to decode %s",
                          spk_event_format_name(codec->format));
    else if (codec->begin)
        codec->begin(d);
    return d->result == SPK_OK;
}

/* By content: the first codec that says yes after all before it said no. NULL with *more: wait. */
SPKI_FN const spki_codec *spki_sniff_content(const uint8_t *head, size_t size, bool whole,
                                             bool *more)
{
    const spki_codec *codec;
    size_t k;
    *more = false;
    for (k = 0; (codec = spki_codec_at(k)) != NULL; k++) {
        spki_sniff said = codec->sniff ? codec->sniff(head, size, whole) : SPKI_SNIFF_NO;
        if (said == SPKI_SNIFF_YES) return codec;
        if (said == SPKI_SNIFF_MORE && !whole) {
            *more = true;
            return NULL;
        }
    }
    return NULL;
}

SPKI_FN const spki_codec *spki_sniff_name(const spk_decoder *d)
{
    const spki_codec *codec;
    size_t k;
    for (k = 0; d->name && d->carried > 0 && (codec = spki_codec_at(k)) != NULL; k++)
        if (spki_name_fits(d->name, codec->suffixes) &&
            (!codec->accept || codec->accept(d->carry, d->carried)))
            return codec;
    return NULL;
}

/* Neither content nor name told: Prophesee's words without a header, if time goes on in them. */
SPKI_FN const spki_codec *spki_sniff_bare(const spk_decoder *d)
{
    bool legacy;
    spk_event_format format;
    const uint8_t *end;
    if (d->carried < 512 ||
        spki_raw_line(d->carry, d->carry + d->carried, true, &end) == SPKI_LINE_WHOLE)
        return NULL;
    format = spki_raw_guess(d->carry, d->carried, &legacy);
    return format == SPK_FORMAT_AUTO ? NULL : spki_codec_of(format);
}

/* What wraps files of any kind, and is worth a sentence of its own; else NULL. */
SPKI_FN const char *spki_sniff_packed(const uint8_t *head, size_t size)
{
    if (size < 6) return NULL;
    if (memcmp(head, "PK\x03\x04", 4) == 0) return "ZIP, as .npz files are";
    if (memcmp(head, "\x1f\x8b", 2) == 0) return "gzip";
    if (memcmp(head, "BZh", 3) == 0) return "bzip2";
    if (memcmp(head, "\xfd" "7zXZ", 5) == 0) return "xz";
    return memcmp(head, "7z\xbc\xaf", 4) == 0 ? "7-Zip" : NULL;
}

/* Gathers the first bytes until they tell the format. True: it is known and has begun. */
SPKI_FN bool spki_decoder_detect(spk_decoder *d)
{
    const spki_codec *codec;
    const char *packed;
    bool more, whole;
    size_t take = SPKI_MIN(d->left, SPKI_CARRY - d->carried);
    if (take > 0) memcpy(d->carry + d->carried, d->data, take);
    d->carried += take;
    d->data += take;
    d->left -= take;
    whole = d->carried == SPKI_CARRY || (d->finished && d->left == 0);
    if (d->carried == 0 && !whole) return false;
    codec = spki_sniff_content(d->carry, d->carried, whole, &more);
    if (!codec && !whole) return false;
    if (!codec) codec = spki_sniff_name(d);
    packed = spki_sniff_packed(d->carry, d->carried);
    if (!codec && !packed) codec = spki_sniff_bare(d);
    if (codec) return spki_decoder_begin(d, codec);
    if (d->carried == 0)
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "there is nothing in it");
    else if (packed)
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "it is packed (%s): unpack it first", packed);
    else
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "neither the content nor the name tells a known format; "
                          "spk_events_desc.format can name it");
    return false;
}

/* -- bytes in, events out -- */

/* Counts what was given out, and shifts its time. */
SPKI_FN void spki_decoder_account(spk_decoder *d, spk_event *out, size_t count)
{
    uint64_t on = 0, others = 0, triggers = 0;
    size_t k;
    if (count == 0) return;
    if (d->desc.shift_time) {
        spki_decoder_epoch(d, out[0].t_us);
        for (k = 0; k < count; k++) out[k].t_us = spki_decoder_shifted(d, out[k].t_us);
    }
    if (d->mixed) {
        for (k = 0; k < count; k++) {
            if (out[k].kind == SPK_EVENT_TRIGGER) {
                triggers++;
                continue;
            }
            on += out[k].kind == SPK_EVENT_CD && out[k].polarity;
            others += out[k].kind != SPK_EVENT_CD;
            if (d->stats.events + k - triggers == 0) d->stats.t_first_us = out[k].t_us;
            d->stats.t_last_us = out[k].t_us;
        }
    } else {
        on = spki_count_on(d, out, count);
        if (d->stats.events == 0) d->stats.t_first_us = out[0].t_us;
        d->stats.t_last_us = out[count - 1].t_us;
    }
    count -= (size_t)triggers;
    d->stats.events += count;
    d->stats.on += on;
    d->stats.off += count - on - others;
    d->other += others;
}

/* One call of the codec. */
SPKI_FN void spki_decoder_call(spk_decoder *d, spki_io *io)
{
    spk_event *out = io->out;
    d->io_start = io->in;
    d->io = io;
    d->io_out = out;
    d->codec->decode(d, io);
    d->io = NULL;
    spki_decoder_account(d, out, (size_t)(io->out - out));
}

/* Decodes what is carried over, with some of the new bytes behind it. False: it led to nothing. */
SPKI_FN bool spki_decoder_step_carry(spk_decoder *d, spk_event *out, size_t room, size_t *got)
{
    spki_io io;
    size_t old = d->carried, take = SPKI_MIN(d->left, 2 * SPKI_CARRY - old), used;
    take = SPKI_MIN(take, (size_t)64);
    if (take > 0) memcpy(d->carry + old, d->data, take);
    io.in = d->carry;
    io.in_end = d->carry + old + take;
    io.out = out;
    io.out_end = out + room;
    io.last = d->finished && take == d->left;
    spki_decoder_call(d, &io);
    used = (size_t)(io.in - d->carry);
    *got = (size_t)(io.out - out);
    if (used >= old) {
        d->data += used - old;
        d->left -= used - old;
        d->carried = 0;
    } else if (used > 0 || *got > 0) {
        d->carried = old - used;
        memmove(d->carry, d->carry + used, d->carried);
    } else { /* the record is longer than this */
        d->data += take;
        d->left -= take;
        d->carried += take;
        if (d->carried > SPKI_CARRY + 64)
            spki_decoder_fail(d, SPK_ERR_FORMAT, d->carry, "a record of more than %u bytes",
                              (unsigned)SPKI_CARRY);
    }
    d->at += used;
    return used > 0 || *got > 0 || take > 0;
}

SPKI_FN bool spki_decoder_step(spk_decoder *d, spk_event *out, size_t room, size_t *got)
{
    spki_io io;
    size_t used;
    if (d->carried > 0) return spki_decoder_step_carry(d, out, room, got);
    io.in = d->data;
    io.in_end = d->data + d->left;
    io.out = out;
    io.out_end = out + room;
    io.last = d->finished;
    spki_decoder_call(d, &io);
    used = (size_t)(io.in - d->data);
    *got = (size_t)(io.out - out);
    d->data += used;
    d->left -= used;
    d->at += used;
    if (used > 0 || *got > 0) return true;
    if (d->left > SPKI_CARRY) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, d->data, "a record of more than %u bytes",
                          (unsigned)SPKI_CARRY);
        return false;
    }
    if (d->left > 0) memcpy(d->carry, d->data, d->left);
    d->carried = d->left;
    d->data += d->left;
    d->left = 0;
    return false;
}

/* The end: what is still carried over is an unfinished record. */
SPKI_FN void spki_decoder_at_end(spk_decoder *d)
{
    if (!d->finished || d->ended || d->left > 0 || d->result != SPK_OK) return;
    d->ended = true;
    d->stats.bytes_skipped += d->carried;
    d->carried = 0;
}

SPKI_FN size_t spki_decoder_take_spill(spk_decoder *d, spk_event *out, size_t room)
{
    size_t n = SPKI_MIN(room, d->spill_count - d->spill_next);
    memcpy(out, d->spill + d->spill_next, n * sizeof *out);
    d->spill_next += n;
    return n;
}

SPIKELIB_API size_t spk_decoder_read(spk_decoder *d, spk_event *out, size_t capacity)
{
    size_t total = 0, got;
    if (!d || !out) return 0;
    while (total < capacity) {
        bool moved;
        if (d->spill_next < d->spill_count) {
            total += spki_decoder_take_spill(d, out + total, capacity - total);
            continue;
        }
        if (d->result != SPK_OK || d->ended) break;
        if (total > 0 && capacity - total < SPKI_EVENT_ENOUGH) break;
        if (!d->codec && !spki_decoder_detect(d)) break;
        got = 0;
        if (capacity - total >= SPKI_EVENT_ROOM) {
            moved = spki_decoder_step(d, out + total, SPKI_MIN(capacity - total, SPKI_EVENT_CHUNK),
                                      &got);
            total += got;
        } else {
            moved = spki_decoder_step(d, d->spill, 2 * SPKI_EVENT_ROOM, &got);
            d->spill_next = 0;
            d->spill_count = got;
        }
        if (!moved) {
            spki_decoder_at_end(d);
            break;
        }
    }
    return total;
}

SPIKELIB_API spk_result spk_decoder_feed(spk_decoder *d, const void *data, size_t size)
{
    if (!d || (!data && size > 0)) return SPK_ERR_NULL;
    if (d->result != SPK_OK) return d->result;
    if (d->finished || d->left > 0 || d->spill_next < d->spill_count) return SPK_ERR_STATE;
    d->data = size > 0 ? (const uint8_t *)data : d->carry; /* never NULL: it is added to */
    d->left = size;
    d->stats.bytes += size;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_decoder_finish(spk_decoder *d)
{
    if (!d) return SPK_ERR_NULL;
    d->finished = true;
    return d->result;
}

SPIKELIB_API spk_result spk_decoder_resync(spk_decoder *d)
{
    if (!d) return SPK_ERR_NULL;
    if (d->result != SPK_OK) return d->result;
    if (d->codec) {
        d->stats.bytes_skipped += d->carried;
        d->at += d->carried;
        d->carried = 0;
        if (d->codec->resync) d->codec->resync(d);
    }
    return d->result;
}

/* -- life -- */

SPKI_FN void spki_decoder_configure(spk_decoder *d)
{
    const spk_events_desc *desc = &d->desc;
    const char *why;
    if (desc->begin_sentinel != 0 || desc->end_sentinel != 0) {
        spki_decoder_fail(d, SPK_ERR_UNINITIALISED, NULL,
                          "spk_events_desc: sentinels are not 0; start it with = {0}");
        return;
    }
    if (desc->width > 65536u || desc->height > 65536u) {
        spki_decoder_fail(d, SPK_ERR_RANGE, NULL,
                          "spk_events_desc: a sensor of %u x %u; at most 65536 x 65536",
                          desc->width, desc->height);
        return;
    }
    if ((uint32_t)desc->time_unit > SPK_TIME_NS) {
        spki_decoder_fail(d, SPK_ERR_RANGE, NULL, "spk_events_desc.time_unit: there is no unit %d",
                          (int)desc->time_unit);
        return;
    }
    if (desc->format != SPK_FORMAT_AUTO && !spki_codec_of(desc->format)) {
        bool known = spki_format_name(desc->format) != NULL;
        spki_decoder_fail(d, known ? SPK_ERR_UNSUPPORTED : SPK_ERR_NAME, NULL,
                          known ? "spk_events_desc.format: this build cannot read %s"
                                : "spk_events_desc.format: there is no format of that number (%s)",
                          spk_event_format_name(desc->format));
        return;
    }
    if (spki_isa_resolve(desc->isa, &d->isa, &why) != SPK_OK) {
        spki_decoder_fail(d, SPK_ERR_UNSUPPORTED, NULL, "spk_events_desc.isa %s: %s",
                          spk_isa_name(d->isa), why);
        return;
    }
    d->isa = spki_event_isa(d->isa);
    d->stats.width = desc->width;
    d->stats.height = desc->height;
    d->source_bits = (uint64_t)desc->source << 48;
    d->mixed = desc->triggers_in_stream;
}

/* `name` of the file or NULL; must live as long as the decoder. */
SPKI_FN spk_decoder *spki_decoder_create(const spk_events_desc *desc, const char *name)
{
    spki_mem mem;
    spk_decoder *d;
    spki_mem_init(&mem, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0);
    d = (spk_decoder *)spki_alloc(&mem, 1, sizeof *d);
    if (!d) return NULL;
    d->mem = mem;
    d->name = name;
    if (desc) d->desc = *desc;
    d->carry = (uint8_t *)spki_alloc_raw(&d->mem, 2 * SPKI_CARRY + 64, 1);
    if (!d->carry) {
        spk_decoder_destroy(d);
        return NULL;
    }
    d->data = d->carry;
    spki_decoder_configure(d);
    if (d->result == SPK_OK && d->desc.format != SPK_FORMAT_AUTO)
        spki_decoder_begin(d, spki_codec_of(d->desc.format));
    return d;
}

SPIKELIB_API spk_decoder *spk_decoder_create(const spk_events_desc *desc)
{
    return spki_decoder_create(desc, NULL);
}

SPIKELIB_API void spk_decoder_destroy(spk_decoder *d)
{
    spki_mem mem;
    if (!d) return;
    if (d->codec && d->state) {
        if (d->codec->end) d->codec->end(d);
        spki_free(&d->mem, d->state, 1, d->codec->state_size);
    }
    spki_free(&d->mem, d->carry, 2 * SPKI_CARRY + 64, 1);
    mem = d->mem;
    spki_free(&mem, d, 1, sizeof *d);
}

SPIKELIB_API spk_result spk_decoder_status(const spk_decoder *d)
{
    return d ? d->result : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_decoder_error(const spk_decoder *d)
{
    return d ? d->error : "the decoder is NULL";
}

SPIKELIB_API spk_result spk_decoder_get_stats(const spk_decoder *d, spk_event_stats *stats)
{
    if (!d || !stats) return SPK_ERR_NULL;
    *stats = d->stats;
    return SPK_OK;
}

#endif
