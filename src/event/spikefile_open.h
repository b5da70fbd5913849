/* ---- >>spikefile-open: the reader's functions ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_OPEN_H
#define SPIKELIB_EVENT_SPIKEFILE_OPEN_H

#include "spikefile_read.h"

/* -- opening and closing -- */

SPKI_FN bool spki_sfr_memory(spk_spikefile *r)
{
    for (int k = 0; k < 3; k++) {
        r->head_at[k] = (uint8_t *)spki_alloc_raw(&r->mem, SPKI_SF_HEAD_MAX, 1);
        if (!r->head_at[k]) return false;
    }
    r->scratch = (spki_sf_scratch *)spki_alloc(&r->mem, 1, sizeof *r->scratch);
    r->out = (uint8_t *)spki_alloc(&r->mem, SPKI_SF_BLOCK_ROOM, SPKI_SF_RECORD);
    return r->scratch && r->out;
}

/* The first bytes of the file. A file that was cut within them is an empty one. */
SPKI_FN void spki_sfr_begin(spk_spikefile *r)
{
    uint8_t bytes[SPKI_SF_HEAD];
    const size_t want = (size_t)SPKI_MIN((uint64_t)SPKI_SF_HEAD, r->size);
    const char *why;
    spk_result result;
    memset(bytes, 0, sizeof bytes);
    if (spki_sf_read(&r->file, bytes, want, 0) != want) {
        spki_sfr_fail(r, SPK_ERR_IO, "cannot be read: %s", r->file.why);
        return;
    }
    if (memcmp(bytes, spki_sf_magic(), SPKI_MIN(want, (size_t)8)) != 0) {
        spki_sfr_fail(r, SPK_ERR_FORMAT, "is not a spike file");
        return;
    }
    if (want < SPKI_SF_SLOT) {
        r->headless = true;
        spki_sfr_lost(r,
                      "all is lost: it was cut within its header, of which %u of 128 bytes are "
                      "there",
                      (unsigned)want);
        return;
    }
    why = spki_sf_head_get(bytes, &r->head, &result);
    if (why) {
        spki_sfr_fail(r, result, "%s", why);
        return;
    }
    if (want < SPKI_SF_HEAD) {
        r->end = r->size;
        spki_sfr_lost(r, "all records are lost: it was cut after %u of the 128 bytes of its header",
                      (unsigned)want);
        return;
    }
    spki_sfr_map(r);
    spki_sfr_find_end(r);
}

SPKI_FN const char *spki_sfr_check(const spk_spikefile_read_desc *d, spk_result *result,
                                   spk_isa *isa)
{
    const char *why;
    *result = SPK_ERR_UNINITIALISED;
    if (d->begin_sentinel || d->end_sentinel)
        return "the descriptor's sentinels are not 0: start it with = {0}";
    *result = spki_isa_resolve(d->isa, isa, &why);
    return *result == SPK_OK ? NULL : why;
}

SPIKELIB_API spk_spikefile *spk_spikefile_open(const char *path,
                                               const spk_spikefile_read_desc *desc)
{
    const bool sound = desc && !desc->begin_sentinel && !desc->end_sentinel;
    spki_mem mem;
    spk_spikefile_read_desc d;
    spk_spikefile *r;
    spk_result result = SPK_OK;
    const char *why;
    spki_mem_init(&mem, sound ? &desc->allocator : NULL, sound ? desc->memory_limit : 0);
    r = (spk_spikefile *)spki_alloc(&mem, 1, sizeof *r);
    if (!r) return NULL;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    r->mem = mem;
    r->no_map = d.no_map;
    r->no_verify = d.no_verify;
    r->t_begin = INT64_MIN;
    r->t_end = INT64_MAX;
    r->high[0] = r->high[1] = UINT32_MAX;
    r->next = SPKI_SF_HEAD;
    snprintf(r->path, sizeof r->path, "%s", path ? path : "(null)");
    why = spki_sfr_check(&d, &result, &r->isa);
    if (!path)
        spki_sfr_fail(r, SPK_ERR_NULL, "the path is NULL");
    else if (why)
        spki_sfr_fail(r, result, "%s", why);
    else if (!spki_sfr_memory(r))
        spki_sfr_fail(r, SPK_ERR_OUT_OF_MEMORY, "no memory to read");
    else if ((result = spki_sf_open(&r->file, path, SPKI_SF_READ)) != SPK_OK ||
             !spki_sf_size(&r->file, &r->size))
        spki_sfr_fail(r, SPK_ERR_IO, "cannot be opened: %s", r->file.why);
    if (r->status != SPK_OK) return r;
    r->unpacker = spki_unpacker_for(r->isa);
    spki_sfr_begin(r);
    r->ready = r->status == SPK_OK;
    return r;
}

SPIKELIB_API void spk_spikefile_close(spk_spikefile *file)
{
    spki_mem mem;
    if (!file) return;
    spki_sf_close(&file->file);
    mem = file->mem;
    for (int k = 0; k < 3; k++) spki_free(&mem, file->head_at[k], SPKI_SF_HEAD_MAX, 1);
    spki_free(&mem, file->body, file->body_room, 1);
    spki_free(&mem, file->loose, file->loose_room, 1);
    spki_free(&mem, file->tail_body, file->tail_room, 1);
    spki_free(&mem, file->scratch, 1, sizeof *file->scratch);
    spki_free(&mem, file->out, SPKI_SF_BLOCK_ROOM, SPKI_SF_RECORD);
    spki_free(&mem, file, 1, sizeof *file);
}

/* What the file is in is kept by the caller's word: SPK_OK, or why nothing can be done. */
SPKI_FN spk_result spki_sfr_ready(spk_spikefile *r)
{
    if (!r) return SPK_ERR_NULL;
    if (r->ready) r->status = SPK_OK;
    return r->status;
}

/* -- following a file that grows -- */

/* The number of the next record that is not decoded. */
SPKI_FN uint64_t spki_sfr_position(const spk_spikefile *r)
{
    const uint64_t blocks = (uint64_t)r->block * SPKI_SF_BLOCK;
    return r->chunk.before + SPKI_MIN(blocks, (uint64_t)r->chunk.records);
}

SPKI_FN spk_result spki_sfr_go_record(spk_spikefile *r, uint64_t index)
{
    spki_sf_chunk c;
    const spk_result result = index > INT64_MAX ? spki_sfr_go(r, SPKI_SFR_RECORD, INT64_MAX)
                                                : spki_sfr_go(r, SPKI_SFR_RECORD, (int64_t)index);
    if (result != SPK_OK || r->next >= spki_sfr_limit(r)) return result;
    if (spki_sfr_enter(r, r->next, 1, &c) != SPK_OK) return r->status;
    r->skip = (uint32_t)(index - c.before);
    return SPK_OK;
}

/* After the mapping moved, or the file turned out to be another: back to the same record. */
SPKI_FN spk_result spki_sfr_again(spk_spikefile *r, bool salvaged, const uint8_t *map)
{
    const uint8_t *left = r->left;
    const size_t count = r->left_count;
    if (salvaged) {
        (void)spki_sfr_go_record(r, spki_sfr_position(r));
        r->left = left;
        r->left_count = count;
        return r->status;
    }
    if (!r->loaded || (r->file.map && r->file.map == map)) return SPK_OK;
    if (spki_sfr_enter(r, r->chunk.offset, 0, &r->chunk) != SPK_OK) return r->status;
    return spki_sfr_payload(r);
}

SPIKELIB_API spk_result spk_spikefile_refresh(spk_spikefile *file)
{
    spk_spikefile *r = file;
    const uint8_t *map;
    uint64_t size = 0, sequence;
    spki_sf_slot slot;
    bool salvaged, inside;
    if (spki_sfr_ready(r) != SPK_OK) return r ? r->status : SPK_ERR_NULL;
    if (!spki_sf_size(&r->file, &size))
        return spki_sfr_fail(r, SPK_ERR_IO, "cannot be read: %s", r->file.why);
    if (r->size < SPKI_SF_HEAD) { /* it had no header: begin again once there is one */
        if (size < SPKI_SF_HEAD) return SPK_OK;
        r->size = size;
        r->headless = false;
        r->lost[0] = 0;
        spki_sfr_begin(r);
        return r->status;
    }
    sequence = spki_sfr_slots(r, &slot) == 0 ? slot.sequence : r->sequence;
    if (size == r->size && sequence == r->sequence) return SPK_OK;
    if (r->left_count && r->left != r->out) { /* in the mapping: a place of their own */
        memmove(r->out, r->left, r->left_count * SPKI_SF_RECORD);
        r->left = r->out;
    }
    map = r->file.map;
    salvaged = r->salvaged;
    inside = salvaged && r->loaded && r->chunk.offset == r->tail.offset;
    if (salvaged && !inside && r->next > r->tail.offset) {
        inside = true; /* it was read to its end */
        r->chunk = r->tail;
        r->block = r->tail.blocks;
    }
    r->size = size;
    if (r->file.mapped > size) spki_sf_unmap(&r->file);
    spki_sfr_map(r);
    spki_sfr_find_end(r);
    r->done = false;
    return spki_sfr_again(r, inside, map);
}

SPIKELIB_API spk_result spk_spikefile_get_info(const spk_spikefile *file, spk_spikefile_info *info)
{
    const spki_sf_chunk *newest;
    if (!file || !info) return SPK_ERR_NULL;
    memset(info, 0, sizeof *info);
    if (!file->ready) return file->status;
    newest = spki_sfr_newest(file);
    info->kind = file->head.kind;
    info->dt_ms = file->head.dt_ms;
    info->width = file->head.width;
    info->height = file->head.height;
    info->bytes = file->end;
    info->bytes_lost = file->size - SPKI_MIN(file->size, file->end);
    info->mapped = file->file.map != NULL;
    info->isa = file->isa;
    if (!newest) return SPK_OK;
    info->codec = newest->codec;
    info->records = newest->before + newest->records;
    info->chunks = newest->number + 1;
    info->t_max = SPKI_MAX(newest->t_before, newest->t_max);
    info->t_min = newest->t_first;
    info->back = newest->back;
    return SPK_OK;
}

SPIKELIB_API const char *spk_spikefile_lost(const spk_spikefile *file)
{
    return file ? file->lost : "the spike file is NULL";
}

/* -- choosing -- */

SPIKELIB_API spk_result spk_spikefile_window(spk_spikefile *file, int64_t begin, int64_t end)
{
    if (spki_sfr_ready(file) != SPK_OK) return file ? file->status : SPK_ERR_NULL;
    if (begin > end)
        return spki_sfr_fail(file, SPK_ERR_RANGE, "the window [%lld, %lld) ends before it begins",
                             (long long)begin, (long long)end);
    file->t_begin = begin;
    file->t_end = end;
    spki_sf_scatter(&file->file, end < INT64_MAX);
    return spki_sfr_go(file, SPKI_SFR_TIME, begin);
}

SPIKELIB_API spk_result spk_spikefile_seek(spk_spikefile *file, int64_t t)
{
    return spk_spikefile_window(file, t, INT64_MAX);
}

SPIKELIB_API spk_result spk_spikefile_seek_record(spk_spikefile *file, uint64_t index)
{
    if (spki_sfr_ready(file) != SPK_OK) return file ? file->status : SPK_ERR_NULL;
    file->t_begin = INT64_MIN;
    file->t_end = INT64_MAX;
    spki_sf_scatter(&file->file, false);
    return spki_sfr_go_record(file, index);
}

SPKI_FN spk_result spki_sfr_choose(spk_spikefile *r, uint32_t x0, uint32_t y0, uint32_t x1,
                                   uint32_t y1)
{
    r->low[0] = x0;
    r->low[1] = y0;
    r->high[0] = x1;
    r->high[1] = y1;
    return spki_sfr_go(r, SPKI_SFR_TIME, r->t_begin);
}

SPIKELIB_API spk_result spk_spikefile_neurons(spk_spikefile *file, uint32_t begin, uint32_t end)
{
    spk_result result;
    if (spki_sfr_ready(file) != SPK_OK) return file ? file->status : SPK_ERR_NULL;
    if (file->head.kind != SPK_SPIKEFILE_SPIKES)
        return spki_sfr_fail(file, SPK_ERR_STATE, "holds events, which have pixels, not neurons");
    if (begin >= end)
        return spki_sfr_fail(file, SPK_ERR_RANGE, "the neurons [%u, %u) are none", (unsigned)begin,
                             (unsigned)end);
    result = spki_sfr_choose(file, begin, 0, end == UINT32_MAX ? end : end - 1, 0);
    file->ranged = begin > 0 || end < UINT32_MAX;
    return result;
}

SPIKELIB_API spk_result spk_spikefile_pixels(spk_spikefile *file, uint32_t x0, uint32_t y0,
                                             uint32_t x1, uint32_t y1)
{
    spk_result result;
    if (spki_sfr_ready(file) != SPK_OK) return file ? file->status : SPK_ERR_NULL;
    if (file->head.kind != SPK_SPIKEFILE_EVENTS)
        return spki_sfr_fail(file, SPK_ERR_STATE, "holds spikes, which have neurons, not pixels");
    if (x0 >= x1 || y0 >= y1)
        return spki_sfr_fail(file, SPK_ERR_RANGE, "the pixels from %u, %u to %u, %u are none",
                             (unsigned)x0, (unsigned)y0, (unsigned)x1, (unsigned)y1);
    result = spki_sfr_choose(file, x0, y0, x1 - 1, y1 - 1);
    file->ranged = x0 > 0 || y0 > 0 || x1 < 65536 || y1 < 65536;
    return result;
}

/* -- reading -- */

SPKI_FN bool spki_sfr_kind(spk_spikefile *r, spk_spikefile_kind kind)
{
    if (spki_sfr_ready(r) != SPK_OK) return false;
    if (r->head.kind == kind || r->headless) return true;
    spki_sfr_fail(r, SPK_ERR_STATE, "holds %s, not %s", kind ? "spikes" : "events",
                  kind ? "events" : "spikes");
    return false;
}

SPKI_FN const uint8_t *spki_sfr_span(spk_spikefile *r, spk_spikefile_kind kind, size_t *count)
{
    const uint8_t *records = r ? r->left : NULL;
    *count = 0;
    if (!spki_sfr_kind(r, kind)) return NULL;
    if (!r->left_count) return spki_sfr_next(r, r->out, true, count);
    *count = r->left_count;
    r->left_count = 0;
    return records;
}

/* Blocks are decoded to where they are wanted if they fit there whole. */
SPKI_FN size_t spki_sfr_copy(spk_spikefile *r, spk_spikefile_kind kind, uint8_t *out,
                             size_t capacity)
{
    size_t done = 0;
    if (!out || !spki_sfr_kind(r, kind)) {
        if (r && r->ready && !out) spki_sfr_fail(r, SPK_ERR_NULL, "the room for records is NULL");
        return 0;
    }
    while (done < capacity) {
        uint8_t *to = out + done * SPKI_SF_RECORD;
        size_t n;
        if (!r->left_count) {
            uint8_t *room = capacity - done >= SPKI_SF_BLOCK + 16 ? to : r->out;
            r->left = spki_sfr_next(r, room, false, &r->left_count);
            if (!r->left) break;
            if (r->left == to) {
                done += r->left_count;
                r->left_count = 0;
                continue;
            }
        }
        n = SPKI_MIN(r->left_count, capacity - done);
        memmove(to, r->left, n * SPKI_SF_RECORD);
        r->left += n * SPKI_SF_RECORD;
        r->left_count -= n;
        done += n;
    }
    return done;
}

SPIKELIB_API const spk_spike *spk_spikefile_next_spikes(spk_spikefile *file, size_t *count)
{
    size_t ignored;
    return (const spk_spike *)(const void *)spki_sfr_span(file, SPK_SPIKEFILE_SPIKES,
                                                          count ? count : &ignored);
}

SPIKELIB_API const spk_event *spk_spikefile_next_events(spk_spikefile *file, size_t *count)
{
    size_t ignored;
    return (const spk_event *)(const void *)spki_sfr_span(file, SPK_SPIKEFILE_EVENTS,
                                                          count ? count : &ignored);
}

SPIKELIB_API size_t spk_spikefile_read_spikes(spk_spikefile *file, spk_spike *out, size_t capacity)
{
    return spki_sfr_copy(file, SPK_SPIKEFILE_SPIKES, (uint8_t *)out, capacity);
}

SPIKELIB_API size_t spk_spikefile_read_events(spk_spikefile *file, spk_event *out, size_t capacity)
{
    return spki_sfr_copy(file, SPK_SPIKEFILE_EVENTS, (uint8_t *)out, capacity);
}

/* -- checking -- */

SPKI_FN spk_result spki_sfr_verify(spk_spikefile *r)
{
    uint64_t at = SPKI_SF_HEAD, link, number = 0;
    uint8_t bytes[SPKI_SF_SLOT];
    spki_sf_head head;
    spk_result result;
    if (spki_sf_read(&r->file, bytes, SPKI_SF_SLOT, 0) != SPKI_SF_SLOT ||
        spki_sf_head_get(bytes, &head, &result))
        return spki_sfr_fail(r, SPK_ERR_FORMAT, "the file's header (offset 0) is damaged");
    for (link = r->head.hash; at < r->end; number++) {
        spki_sf_chunk c;
        const char *why = spki_sfr_header(r, at, 1, &c);
        if (why)
            return spki_sfr_fail(r, SPK_ERR_FORMAT, "the header of chunk %llu at offset %llu %s",
                                 (spki_sf_llu)number, (spki_sf_llu)at, why);
        if (c.number != number || c.link != link)
            return spki_sfr_damaged(r, number, at, "it does not follow the one before");
        if (c.bytes > r->end - at) return spki_sfr_damaged(r, number, at, "it is cut");
        if (!spki_sfr_body_whole(r, &c))
            return spki_sfr_damaged(r, number, at,
                                    "its records are damaged: their checksum is wrong");
        link = c.hash;
        at += c.bytes;
    }
    return SPK_OK;
}

SPIKELIB_API spk_result spk_spikefile_verify(spk_spikefile *file)
{
    spk_spikefile *r = file;
    uint8_t *body = r ? r->body : NULL;
    const size_t room = r ? r->body_room : 0;
    if (spki_sfr_ready(r) != SPK_OK) return r ? r->status : SPK_ERR_NULL;
    if (r->damaged || r->size < SPKI_SF_HEAD) { /* the sentence begins as all do */
        snprintf(r->error, sizeof r->error, "%s", r->lost);
        return r->status = SPK_ERR_FORMAT;
    }
    r->body = NULL; /* that of the chunk at hand stays */
    r->body_room = 0;
    (void)spki_sfr_verify(r);
    spki_free(&r->mem, r->body, r->body_room, 1);
    r->body = body;
    r->body_room = room;
    return r->status;
}

SPIKELIB_API spk_result spk_spikefile_status(const spk_spikefile *file)
{
    return file ? file->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_spikefile_error(const spk_spikefile *file)
{
    return !file ? "the spike file is NULL" : file->status != SPK_OK ? file->error : "";
}

#endif
