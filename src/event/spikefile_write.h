/* ---- >>spikefile-write: chunks appended and published ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_WRITE_H
#define SPIKELIB_EVENT_SPIKEFILE_WRITE_H

#include "../core/alloc.h"
#include "spikefile_open.h"

struct spk_spikefile_writer {
    spki_mem mem;
    spki_sf_file file;
    spk_spikefile_desc desc;
    spki_sf_head head;
    spk_result status;
    char error[320], path[128];
    uint8_t *records, *chunk, *spare, *packed; /* spare, packed: with a compressor */
    size_t chunk_room, spare_room, packed_room;
    spki_sf_scratch *scratch;
    spki_sf_entry *spine;
    uint32_t spine_count, fill, again; /* again: taken of a recorder's items that will come again */
    uint64_t end, last, number, sequence, before, taken, written, back, link;
    int64_t t_before, t_first;
    bool ready;
};

SPKI_FN __attribute__((format(printf, 3, 4))) spk_result
spki_sfw_fail(spk_spikefile_writer *w, spk_result result, const char *format, ...)
{
    va_list args;
    const int n = snprintf(w->error, sizeof w->error, "spike file \"%s\": ", w->path);
    va_start(args, format);
    vsnprintf(w->error + n, sizeof w->error - (size_t)n, format, args);
    va_end(args);
    w->status = result;
    return result;
}

/* -- a chunk's body -- */

SPKI_FN uint8_t *spki_sfw_record(const spk_spikefile_writer *w, size_t k)
{
    return w->records + k * SPKI_SF_RECORD;
}

/* Earliest and latest time of records [at, at + n). */
SPKI_FN void spki_sfw_times(const spk_spikefile_writer *w, uint32_t at, uint32_t n, int64_t *low,
                            int64_t *high)
{
    *low = INT64_MAX;
    *high = INT64_MIN;
    for (uint32_t k = at; k < at + n; k++) {
        const int64_t t = spki_sf_time(w->head.kind, w->records, k);
        *low = SPKI_MIN(*low, t);
        *high = SPKI_MAX(*high, t);
    }
}

/* All blocks, one after the other, to `to`; with `directory` also their places there. */
SPKI_FN uint8_t *spki_sfw_blocks(spk_spikefile_writer *w, bool bytes, uint8_t *to,
                                 uint8_t *directory)
{
    uint8_t *begin = to;
    for (uint32_t at = 0; at < w->fill; at += SPKI_SF_BLOCK, directory += SPKI_SF_PLACE) {
        const uint32_t n = SPKI_MIN(SPKI_SF_BLOCK, w->fill - at);
        uint8_t *block = to;
        int64_t low, high;
        uint64_t span;
        spki_sfw_times(w, at, n, &low, &high);
        span = (uint64_t)high - (uint64_t)low;
        if (w->desc.codec == SPK_SPIKEFILE_RAW) {
            spki_sf_raw_put(w->head.kind, spki_sfw_record(w, at), n, to);
            to += (size_t)n * SPKI_SF_RECORD;
        } else {
            to = spki_sf_encode(w->head.kind, spki_sfw_record(w, at), n, low, span, bytes, to,
                                w->scratch);
        }
        spki_sf_place_put(directory, (uint64_t)(block - begin), low, span,
                          (uint32_t)spk_xxh64(block, (size_t)(to - block), 0));
    }
    return to;
}

/* Compressed where that is smaller than packed. */
SPKI_FN void spki_sfw_compress(spk_spikefile_writer *w, spki_sf_chunk *c, uint8_t *body,
                               uint8_t *directory)
{
    const size_t size = (size_t)(spki_sfw_blocks(w, true, w->spare, directory) - w->spare);
    const size_t got =
        spki_sf_squeeze(w->desc.codec, w->desc.level, w->spare, size, w->packed, w->packed_room);
    const size_t plain = (size_t)(spki_sfw_blocks(w, false, body, directory) - body);
    c->codec = SPK_SPIKEFILE_PACKED;
    c->stored = c->unpacked = plain;
    if (got == 0 || got >= plain) return;
    (void)spki_sfw_blocks(w, true, w->spare, directory);
    memcpy(body, w->packed, got);
    c->codec = w->desc.codec;
    c->stored = got;
    c->unpacked = size;
}

/* Ranges of times and places, and how far time runs back. */
SPKI_FN void spki_sfw_ranges(const spk_spikefile_writer *w, spki_sf_chunk *c)
{
    int64_t latest = w->t_before, last = INT64_MIN;
    uint32_t x0 = UINT32_MAX, x1 = 0, y0 = 0xffff, y1 = 0;
    c->flags = SPKI_SF_SORTED;
    c->back = w->back;
    spki_sfw_times(w, 0, w->fill, &c->t_min, &c->t_max);
    c->t_first = SPKI_MIN(w->t_first, c->t_min);
    for (uint32_t k = 0; k < w->fill; k++) {
        const int64_t t = spki_sf_time(w->head.kind, w->records, k);
        if (t < last) c->flags &= ~SPKI_SF_SORTED;
        if (t < latest) c->back = SPKI_MAX(c->back, (uint64_t)latest - (uint64_t)t);
        latest = SPKI_MAX(latest, t);
        last = t;
        if (w->head.kind == SPK_SPIKEFILE_SPIKES) {
            const uint32_t id = ((const spk_spike *)(const void *)w->records)[k].neuron;
            x0 = SPKI_MIN(x0, id);
            x1 = SPKI_MAX(x1, id);
            continue;
        }
        const spk_event *e = (const spk_event *)(const void *)w->records + k;
        if (e->kind != SPK_EVENT_CD) {
            c->flags |= SPKI_SF_OTHERS;
            continue;
        }
        x0 = SPKI_MIN(x0, e->x);
        x1 = SPKI_MAX(x1, e->x);
        y0 = SPKI_MIN(y0, e->y);
        y1 = SPKI_MAX(y1, e->y);
    }
    const bool spikes = w->head.kind == SPK_SPIKEFILE_SPIKES;
    c->low = spikes ? x0 : (x0 & 0xffff) | y0 << 16;
    c->high = spikes ? x1 : x1 | y1 << 16;
}

/* -- to the disk -- */

/* What a failed write left behind is cut off, as far as that is possible: nobody reads beyond the
   published end anyway, and the next chunk overwrites it. */
SPKI_FN spk_result spki_sfw_no_room(spk_spikefile_writer *w, const char *what)
{
    char why[96];
    memcpy(why, w->file.why, sizeof why);
    (void)spki_sf_cut(&w->file, w->end);
    return spki_sfw_fail(w, SPK_ERR_IO,
                         "%s at offset %llu cannot be written: %s; the %llu records before it are "
                         "in the file, %u wait",
                         what, (unsigned long long)w->end, why, (unsigned long long)w->before,
                         (unsigned)w->fill);
}

/* Only when all bytes of a chunk are there does a slot say so; the two take turns, so that a slot
   that was only half written leaves the other. */
SPKI_FN bool spki_sfw_publish(spk_spikefile_writer *w, uint64_t end, uint64_t last)
{
    uint8_t bytes[32];
    spki_sf_slot slot;
    memset(&slot, 0, sizeof slot);
    slot.end = end;
    slot.last = last;
    slot.sequence = w->sequence + 1;
    spki_sf_slot_put(bytes, &slot);
    if (w->desc.sync && !spki_sf_sync(&w->file)) return false;
    if (spki_sf_write(&w->file, bytes, 32, SPKI_SF_SLOT + 32 * (slot.sequence % 2)) != 32)
        return false;
    if (w->desc.sync && !spki_sf_sync(&w->file)) return false;
    w->sequence++;
    return true;
}

SPKI_FN void spki_sfw_advance(spk_spikefile_writer *w, const spki_sf_chunk *c)
{
    const spki_sf_entry entry = spki_sf_entry_of(c);
    w->spine_count = spki_sf_spine_push(w->spine, w->spine_count, c->number, &entry);
    w->end = c->offset + c->bytes;
    w->last = c->offset;
    w->number = c->number + 1;
    w->before = entry.end;
    w->t_before = entry.t_max;
    w->t_first = c->t_first;
    w->back = c->back;
    w->link = c->hash;
}

/* What is buffered, as one chunk. */
SPKI_FN spk_result spki_sfw_chunk(spk_spikefile_writer *w)
{
    spki_sf_chunk c;
    uint8_t *p = w->chunk, *directory;
    if (w->fill == 0) return SPK_OK;
    memset(&c, 0, sizeof c);
    c.offset = w->end;
    c.number = w->number;
    c.before = w->before;
    c.t_before = w->t_before;
    c.link = w->link;
    c.records = w->fill;
    c.blocks = (w->fill + SPKI_SF_BLOCK - 1) / SPKI_SF_BLOCK;
    c.spine = w->spine_count;
    c.kind = w->head.kind;
    c.codec = w->desc.codec;
    c.head_bytes = spki_sf_head_bytes(c.spine, c.blocks);
    memset(p, 0, c.head_bytes);
    directory = p + SPKI_SF_CHUNK + (size_t)SPKI_SF_ENTRY * c.spine;
    for (uint32_t k = 0; k < c.spine; k++)
        spki_sf_entry_put(p + SPKI_SF_CHUNK + (size_t)SPKI_SF_ENTRY * k, &w->spine[k]);
    spki_sfw_ranges(w, &c);
    if (c.codec >= SPK_SPIKEFILE_LZ4) {
        spki_sfw_compress(w, &c, p + c.head_bytes, directory);
    } else {
        c.stored =
            (uint64_t)(spki_sfw_blocks(w, false, p + c.head_bytes, directory) - (p + c.head_bytes));
        c.unpacked = c.stored;
    }
    c.bytes = (c.head_bytes + c.stored + SPKI_OVERREAD + SPKI_SF_ALIGN - 1) &
              ~(uint64_t)(SPKI_SF_ALIGN - 1);
    memset(p + c.head_bytes + c.stored, 0, (size_t)(c.bytes - c.head_bytes - c.stored));
    c.body_hash = spk_xxh64(p + c.head_bytes, (size_t)(c.bytes - c.head_bytes), 0);
    spki_sf_chunk_put(p, &c);
    c.hash = spki_sf_chunk_seal(p, c.head_bytes);
    if (spki_sf_write(&w->file, p, (size_t)c.bytes, c.offset) != c.bytes)
        return spki_sfw_no_room(w, "a chunk");
    if (!spki_sfw_publish(w, c.offset + c.bytes, c.offset))
        return spki_sfw_no_room(w, "the end of a chunk");
    spki_sfw_advance(w, &c);
    w->written += w->fill;
    w->fill = 0;
    w->status = SPK_OK;
    w->error[0] = 0;
    return SPK_OK;
}

/* Whole records, checked before. */
SPKI_FN spk_result spki_sfw_write(spk_spikefile_writer *w, const void *records, size_t count)
{
    const uint8_t *from = (const uint8_t *)records;
    while (count > 0) {
        size_t n;
        if (w->fill == w->desc.chunk_records && spki_sfw_chunk(w) != SPK_OK) return w->status;
        n = SPKI_MIN(count, (size_t)(w->desc.chunk_records - w->fill));
        memcpy(spki_sfw_record(w, w->fill), from, n * SPKI_SF_RECORD);
        w->fill += (uint32_t)n;
        w->taken += n;
        from += n * SPKI_SF_RECORD;
        count -= n;
    }
    return w->fill == w->desc.chunk_records ? spki_sfw_chunk(w) : SPK_OK;
}

/* -- beginning -- */

SPKI_FN const char *spki_sfw_check(const spk_spikefile_desc *d, spk_result *result)
{
    *result = SPK_ERR_UNINITIALISED;
    if (d->begin_sentinel || d->end_sentinel)
        return "the descriptor's sentinels are not 0: start it with = {0}";
    *result = SPK_ERR_RANGE;
    if ((uint32_t)d->kind > SPK_SPIKEFILE_EVENTS) return "desc.kind is none";
    if ((uint32_t)d->codec > SPK_SPIKEFILE_ZSTD) return "desc.codec is none";
    if (!(d->dt_ms >= 0.0 && d->dt_ms < 1e15)) return "desc.dt_ms is negative, NaN or absurd";
    if (d->chunk_records > SPKI_SF_RECORDS_MAX) return "desc.chunk_records is above 1,048,576";
    *result = SPK_ERR_UNSUPPORTED;
    if (!spki_sf_codec_known(d->codec)) return spki_sf_codec_flag(d->codec);
    *result = SPK_OK;
    return NULL;
}

SPKI_FN bool spki_sfw_memory(spk_spikefile_writer *w)
{
    const size_t n = w->desc.chunk_records, blocks = (n + SPKI_SF_BLOCK - 1) / SPKI_SF_BLOCK;
    const size_t body =
        w->desc.codec == SPK_SPIKEFILE_RAW ? n * SPKI_SF_RECORD : blocks * SPKI_SF_BLOCK_MAX;
    w->chunk_room = SPKI_SF_HEAD_MAX + body + SPKI_OVERREAD + SPKI_SF_ALIGN;
    w->records = (uint8_t *)spki_alloc_raw(&w->mem, n, SPKI_SF_RECORD);
    w->chunk = (uint8_t *)spki_alloc_raw(&w->mem, w->chunk_room, 1);
    w->scratch = (spki_sf_scratch *)spki_alloc_raw(&w->mem, 1, sizeof *w->scratch);
    w->spine = (spki_sf_entry *)spki_alloc_raw(&w->mem, SPKI_SF_SPINE_MAX + 1, sizeof *w->spine);
    if (w->desc.codec >= SPK_SPIKEFILE_LZ4) {
        w->spare_room = body;
        w->packed_room = spki_sf_squeezed(w->desc.codec, body);
        w->spare = (uint8_t *)spki_alloc_raw(&w->mem, w->spare_room, 1);
        w->packed = (uint8_t *)spki_alloc_raw(&w->mem, w->packed_room, 1);
        if (!w->spare || !w->packed) return false;
    }
    return w->records && w->chunk && w->scratch && w->spine;
}

SPKI_FN void spki_sfw_new_file(spk_spikefile_writer *w)
{
    uint8_t bytes[SPKI_SF_HEAD];
    spki_sf_slot slot;
    w->head.kind = w->desc.kind;
    w->head.dt_ms = w->desc.dt_ms;
    w->head.width = w->desc.width;
    w->head.height = w->desc.height;
    spki_sf_head_put(bytes, &w->head);
    memset(&slot, 0, sizeof slot);
    slot.end = SPKI_SF_HEAD;
    spki_sf_slot_put(bytes + SPKI_SF_SLOT, &slot);
    w->link = spki_load64_le(bytes + 56);
    w->end = SPKI_SF_HEAD;
    if (spki_sf_write(&w->file, bytes, SPKI_SF_HEAD, 0) != SPKI_SF_HEAD ||
        (w->desc.sync && !spki_sf_sync(&w->file)))
        spki_sfw_fail(w, SPK_ERR_IO, "the header cannot be written: %s", w->file.why);
}

/* The whole blocks of a chunk that was cut, which the reader has in memory, go on as new records.
 */
SPKI_FN void spki_sfw_salvaged(spk_spikefile_writer *w, spk_spikefile *old)
{
    old->chunk = old->tail;
    old->payload = old->tail_body + old->tail.head_bytes;
    for (uint32_t k = 0; k < old->tail.blocks && w->status == SPK_OK; k++) {
        const uint32_t n = spki_sf_block_records(&old->tail, k);
        const uint8_t *records = NULL;
        spki_sf_place place;
        if (spki_sf_place_get(&old->tail, k, &place))
            records = spki_sfr_block(old, &place, n, old->out);
        if (!records) return; /* no writer of ours made it */
        (void)spki_sfw_write(w, records, n);
    }
}

/* The file that is there is read with a reader of our own, with all that it does about files that
   were cut. */
SPKI_FN void spki_sfw_old_file(spk_spikefile_writer *w, spk_spikefile *old)
{
    const spk_spikefile_desc *d = &w->desc;
    const spki_sf_chunk *last = &old->last;
    w->head = old->head;
    w->link = old->head.hash;
    w->end = SPKI_SF_HEAD;
    w->sequence = old->sequence;
    if (old->status != SPK_OK || old->headless) {
        spki_sfw_fail(w, old->status != SPK_OK ? old->status : SPK_ERR_FORMAT,
                      "cannot be appended to: %s", old->status != SPK_OK ? old->error : old->lost);
    } else if (d->kind != w->head.kind || (d->width && d->width != w->head.width) ||
               (d->height && d->height != w->head.height) ||
               (d->dt_ms != 0.0 && d->dt_ms != w->head.dt_ms)) {
        spki_sfw_fail(w, SPK_ERR_RANGE,
                      "holds %s of %u x %u with dt_ms %g, the descriptor says otherwise",
                      w->head.kind == SPK_SPIKEFILE_EVENTS ? "events" : "spikes",
                      (unsigned)w->head.width, (unsigned)w->head.height, w->head.dt_ms);
    }
    if (w->status != SPK_OK) return;
    if (old->have_last) {
        w->spine_count = last->spine;
        for (uint32_t k = 0; k < last->spine; k++) w->spine[k] = spki_sf_entry_get(last, k);
        spki_sfw_advance(w, last);
    }
    spki_sf_close(&old->file); /* Windows cuts no file that is mapped */
    if (!spki_sf_cut(&w->file, w->end))
        spki_sfw_fail(w, SPK_ERR_IO, "cannot be cut behind its last whole chunk, at offset %llu",
                      (unsigned long long)w->end);
    else if (!spki_sfw_publish(w, w->end, w->last) || !spki_sfw_publish(w, w->end, w->last))
        spki_sfw_fail(w, SPK_ERR_IO, "its header cannot be written: %s", w->file.why);
    else if (old->salvaged)
        spki_sfw_salvaged(w, old);
}

SPKI_FN spk_spikefile_writer *spki_sfw_open(const char *path, const spk_spikefile_desc *desc,
                                            spki_sf_mode mode)
{
    spki_mem mem;
    spk_spikefile_writer *w;
    spk_spikefile *old = NULL;
    spk_result result = SPK_OK;
    const char *why;
    const bool sound = desc && !desc->begin_sentinel && !desc->end_sentinel;
    spki_mem_init(&mem, sound ? &desc->allocator : NULL, sound ? desc->memory_limit : 0);
    w = (spk_spikefile_writer *)spki_alloc(&mem, 1, sizeof *w);
    if (!w) return NULL;
    w->mem = mem;
    w->t_before = INT64_MIN;
    w->t_first = INT64_MAX;
    if (desc) w->desc = *desc;
    snprintf(w->path, sizeof w->path, "%s", path ? path : "(null)");
    why = spki_sfw_check(&w->desc, &result);
    if (!w->desc.chunk_records) w->desc.chunk_records = 65536;
    if (!path)
        spki_sfw_fail(w, SPK_ERR_NULL, "the path is NULL");
    else if (why)
        spki_sfw_fail(w, result, "%s", why);
    else if (!spki_sfw_memory(w))
        spki_sfw_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory to write");
    else if ((result = spki_sf_open(&w->file, path, mode)) != SPK_OK)
        spki_sfw_fail(w, result, "cannot be opened for writing: %s", w->file.why);
    if (w->status != SPK_OK) return w;
    if (mode == SPKI_SF_CREATE) {
        spki_sfw_new_file(w);
    } else {
        spk_spikefile_read_desc d;
        memset(&d, 0, sizeof d);
        d.allocator = w->desc.allocator;
        d.memory_limit = w->desc.memory_limit;
        old = spk_spikefile_open(path, &d);
        if (old)
            spki_sfw_old_file(w, old);
        else
            spki_sfw_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory to read it");
        spk_spikefile_close(old);
    }
    w->ready = w->status == SPK_OK;
    return w;
}

SPIKELIB_API spk_spikefile_writer *spk_spikefile_create(const char *path,
                                                        const spk_spikefile_desc *desc)
{
    return spki_sfw_open(path, desc, SPKI_SF_CREATE);
}

SPIKELIB_API spk_spikefile_writer *spk_spikefile_append(const char *path,
                                                        const spk_spikefile_desc *desc)
{
    return spki_sfw_open(path, desc, SPKI_SF_APPEND);
}

/* -- going on -- */

SPKI_FN spk_result spki_sfw_ready(spk_spikefile_writer *w, spk_spikefile_kind kind,
                                  const void *records, size_t count)
{
    if (!w) return SPK_ERR_NULL;
    if (!w->ready) return w->status;
    if (kind != w->head.kind)
        return spki_sfw_fail(w, SPK_ERR_STATE, "holds %s, not %s", kind ? "spikes" : "events",
                             kind ? "events" : "spikes");
    if (!records && count) return spki_sfw_fail(w, SPK_ERR_NULL, "the records are NULL");
    for (size_t k = 0; k < count; k++) {
        const spk_spike *spike = (const spk_spike *)records + k;
        const spk_event *event = (const spk_event *)records + k;
        if (kind == SPK_SPIKEFILE_SPIKES && spike->step > INT64_MAX)
            return spki_sfw_fail(w, SPK_ERR_RANGE, "spike %llu: step %llu is not below 2^63",
                                 (unsigned long long)k, (unsigned long long)spike->step);
        if (kind == SPK_SPIKEFILE_EVENTS && event->polarity > 1)
            return spki_sfw_fail(w, SPK_ERR_RANGE, "event %llu: polarity %u is neither 0 nor 1",
                                 (unsigned long long)k, (unsigned)event->polarity);
    }
    return SPK_OK;
}

SPIKELIB_API spk_result spk_spikefile_write_spikes(spk_spikefile_writer *writer,
                                                   const spk_spike *spikes, size_t count)
{
    const spk_result result = spki_sfw_ready(writer, SPK_SPIKEFILE_SPIKES, spikes, count);
    return result == SPK_OK ? spki_sfw_write(writer, spikes, count) : result;
}

SPIKELIB_API spk_result spk_spikefile_write_events(spk_spikefile_writer *writer,
                                                   const spk_event *events, size_t count)
{
    const spk_result result = spki_sfw_ready(writer, SPK_SPIKEFILE_EVENTS, events, count);
    return result == SPK_OK ? spki_sfw_write(writer, events, count) : result;
}

/* A recorder hands the same items again after a refusal, of which some may have been taken. */
SPIKELIB_API bool spk_spikefile_record(void *writer, uint64_t step, const void *items, size_t count)
{
    spk_spikefile_writer *w = (spk_spikefile_writer *)writer;
    const spk_spike *spikes = (const spk_spike *)items;
    (void)step;
    if (spki_sfw_ready(w, SPK_SPIKEFILE_SPIKES, items, count) != SPK_OK) return false;
    for (size_t done = SPKI_MIN((size_t)w->again, count); done < count; done++) {
        if (w->fill == w->desc.chunk_records && spki_sfw_chunk(w) != SPK_OK) {
            w->again = (uint32_t)done;
            return false;
        }
        memcpy(spki_sfw_record(w, w->fill++), &spikes[done], SPKI_SF_RECORD);
        w->taken++;
    }
    w->again = 0;
    return true;
}

SPIKELIB_API spk_result spk_spikefile_flush(spk_spikefile_writer *writer)
{
    if (!writer) return SPK_ERR_NULL;
    return writer->ready ? spki_sfw_chunk(writer) : writer->status;
}

SPIKELIB_API uint64_t spk_spikefile_writer_count(const spk_spikefile_writer *writer)
{
    return writer ? writer->taken : 0;
}

SPIKELIB_API uint64_t spk_spikefile_writer_written(const spk_spikefile_writer *writer)
{
    return writer ? writer->written : 0;
}

SPIKELIB_API spk_result spk_spikefile_writer_status(const spk_spikefile_writer *writer)
{
    return writer ? writer->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_spikefile_writer_error(const spk_spikefile_writer *writer)
{
    return writer ? writer->error : "the spike file writer is NULL";
}

SPIKELIB_API spk_result spk_spikefile_writer_close(spk_spikefile_writer *writer)
{
    spki_mem mem;
    spk_result result;
    if (!writer) return SPK_OK;
    result = spk_spikefile_flush(writer);
    spki_sf_close(&writer->file);
    mem = writer->mem;
    spki_free(&mem, writer->records, writer->desc.chunk_records, SPKI_SF_RECORD);
    spki_free(&mem, writer->chunk, writer->chunk_room, 1);
    spki_free(&mem, writer->spare, writer->spare_room, 1);
    spki_free(&mem, writer->packed, writer->packed_room, 1);
    spki_free(&mem, writer->scratch, 1, sizeof *writer->scratch);
    spki_free(&mem, writer->spine, SPKI_SF_SPINE_MAX + 1, sizeof *writer->spine);
    spki_free(&mem, writer, 1, sizeof *writer);
    return result;
}

#endif
