/* ---- >>spikefile-read: opening, also what was cut; finding; reading ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_READ_H
#define SPIKELIB_EVENT_SPIKEFILE_READ_H

#include "../core/alloc.h"
#include "spikefile_codec.h"
#include "spikefile_format.h"

#include <stdarg.h>

struct spk_spikefile {
    spki_mem mem;
    spki_sf_file file;
    spki_unpacker unpacker;
    spk_isa isa;
    bool no_map, no_verify, ready;
    bool headless; /* cut within the file's header: there is nothing */
    bool have_last, salvaged, damaged;
    spk_result status;
    char error[320], lost[320], path[128];
    spki_sf_head head;
    uint64_t size, end, sequence;
    spki_sf_chunk last; /* the last whole one */
    spki_sf_chunk tail; /* the one that was cut, with as many blocks as are there */
    uint8_t
        *head_at[3]; /* headers read where nothing is mapped: of the chunk at hand, others, tail */
    uint8_t *body, *loose, *tail_body; /* a body read; one after decompression; the tail's */
    size_t body_room, loose_room, tail_room;
    spki_sf_scratch *scratch;
    uint8_t *out; /* a decoded block */

    /* The cursor: the next block of the chunk at hand, or the next chunk. */
    spki_sf_chunk chunk;
    bool loaded, done;
    bool by_block; /* only a part of the chunk is wanted, whose blocks are checked one by one */
    const uint8_t *payload;
    uint32_t block, skip; /* skip: records of the block that come before the one sought */
    uint64_t next;        /* offset of the chunk after */
    const uint8_t *left;  /* decoded, and not yet given out */
    size_t left_count;

    /* What is wanted. */
    int64_t t_begin, t_end;   /* t_end INT64_MAX: open */
    uint32_t low[2], high[2]; /* neurons, or x and y; high included */
    bool ranged;
};

SPKI_FN __attribute__((format(printf, 3, 4))) spk_result
spki_sfr_fail(spk_spikefile *r, spk_result result, const char *format, ...)
{
    va_list args;
    const int n = snprintf(r->error, sizeof r->error, "spike file \"%s\": ", r->path);
    va_start(args, format);
    vsnprintf(r->error + n, sizeof r->error - (size_t)n, format, args);
    va_end(args);
    r->status = result;
    return result;
}

SPKI_FN __attribute__((format(printf, 2, 3))) void spki_sfr_lost(spk_spikefile *r,
                                                                 const char *format, ...)
{
    va_list args;
    const int n = snprintf(r->lost, sizeof r->lost, "spike file \"%s\": ", r->path);
    va_start(args, format);
    vsnprintf(r->lost + n, sizeof r->lost - (size_t)n, format, args);
    va_end(args);
}

typedef unsigned long long spki_sf_llu;

#define SPKI_SFR_HEADER 3072u    /* bytes of a chunk's header, mostly at most */
#define SPKI_SFR_SOON 1048576u /* bytes of a window that are announced at once */

/* -- bytes of the file -- */

/* The bytes [at, at + size): in the mapping, or read to `to`. NULL if they are not all there. */
SPKI_FN const uint8_t *spki_sfr_bytes(spk_spikefile *r, uint64_t at, size_t size, uint8_t *to)
{
    if (at > r->size || size > r->size - at) return NULL;
    if (r->file.map && at + size <= r->file.mapped) return r->file.map + at;
    return to && spki_sf_read(&r->file, to, size, at) == size ? to : NULL;
}

/* Room in a buffer that grows. */
SPKI_FN bool spki_sfr_room(spk_spikefile *r, uint8_t **buffer, size_t *room, uint64_t size)
{
    uint8_t *more;
    if (size <= *room) return true;
    if (size > SIZE_MAX / 2) return false;
    more = (uint8_t *)spki_alloc_raw(&r->mem, (size_t)size, 1);
    if (!more) return false;
    spki_free(&r->mem, *buffer, *room, 1);
    *buffer = more;
    *room = (size_t)size;
    return true;
}

/* What is wrong with the header at `offset`, or NULL. `slot`: which buffer it may be read to. */
SPKI_FN const char *spki_sfr_header(spk_spikefile *r, uint64_t offset, int slot, spki_sf_chunk *c)
{
    const uint8_t *p = spki_sfr_bytes(r, offset, SPKI_SF_CHUNK, r->head_at[slot]);
    if (!p) return "is cut";
    spki_sf_soon(&r->file, offset, SPKI_SFR_HEADER);
    if (!spki_sf_chunk_get(p, offset, c)) return "is damaged: its numbers make no sense";
    p = spki_sfr_bytes(r, offset, c->head_bytes, r->head_at[slot]);
    if (!p) return "is cut";
    c->head = p;
    if (!spki_sf_chunk_sealed(p, c)) return "is damaged: its checksum is wrong";
    if (c->kind != r->head.kind) return "holds another kind of records than the file";
    return NULL;
}

/* -- where the file ends -- */

/* The newer of the two slots that are whole. A slot may be read while it is written, so a broken
   one gets another chance. Returns how many are broken. */
SPKI_FN int spki_sfr_slots(spk_spikefile *r, spki_sf_slot *best)
{
    int broken = 0;
    for (int attempt = 0; attempt < 8; attempt++) {
        uint8_t bytes[64];
        broken = 0;
        memset(best, 0, sizeof *best);
        if (spki_sf_read(&r->file, bytes, 64, SPKI_SF_SLOT) != 64) return 2;
        for (int k = 0; k < 2; k++) {
            const spki_sf_slot slot = spki_sf_slot_get(bytes + 32 * k);
            broken += !slot.valid && !slot.blank;
            if (slot.valid && !slot.blank && (!best->valid || slot.sequence > best->sequence))
                *best = slot;
        }
        if (broken == 0) break;
    }
    return broken;
}

/* Is what a slot says true? Then r->last is set. */
SPKI_FN bool spki_sfr_believe(spk_spikefile *r, const spki_sf_slot *slot)
{
    spki_sf_chunk last;
    if (!slot->valid || slot->end > r->size) return false;
    if (slot->last == 0 && slot->end != SPKI_SF_HEAD) return false;
    if (slot->last != 0) {
        if (spki_sfr_header(r, slot->last, 2, &last) != NULL) return false;
        if (last.offset + last.bytes != slot->end) return false;
        r->last = last;
        r->have_last = true;
    }
    r->end = slot->end;
    r->sequence = slot->sequence;
    return true;
}

SPKI_FN bool spki_sfr_body_whole(spk_spikefile *r, const spki_sf_chunk *c)
{
    const uint64_t size = c->bytes - c->head_bytes;
    const uint8_t *body;
    if (!r->file.map && !spki_sfr_room(r, &r->body, &r->body_room, size)) return false;
    body = spki_sfr_bytes(r, c->offset + c->head_bytes, (size_t)size, r->body);
    return body && c->body_hash == spk_xxh64(body, (size_t)size, 0);
}

/* Of a chunk whose header is there and whose body was cut: the whole blocks before the cut. */
SPKI_FN void spki_sfr_salvage(spk_spikefile *r, const spki_sf_chunk *c)
{
    const uint64_t from = c->offset + c->head_bytes, have = r->size - SPKI_MIN(from, r->size);
    spki_sf_chunk tail = *c;
    uint32_t blocks = 0, head_bytes = c->head_bytes;
    uint64_t end = 0;
    if (c->codec >= SPK_SPIKEFILE_LZ4 || have == 0) return;
    if (!spki_sfr_room(r, &r->tail_body, &r->tail_room, head_bytes + have + SPKI_OVERREAD)) return;
    memset(r->tail_body, 0, r->tail_room);
    if (spki_sf_read(&r->file, r->tail_body, (size_t)(head_bytes + have), c->offset) !=
        head_bytes + have)
        return;
    tail.head = r->tail_body;
    for (; blocks < c->blocks; blocks++) {
        spki_sf_place place;
        if (!spki_sf_place_get(&tail, blocks, &place) || place.end > have) break;
        if (place.hash != (uint32_t)spk_xxh64(r->tail_body + head_bytes + place.begin,
                                              (size_t)(place.end - place.begin), 0))
            break;
        end = place.end;
    }
    if (blocks == 0) return;
    tail.records = SPKI_MIN(tail.records, blocks * SPKI_SF_BLOCK);
    tail.blocks = blocks;
    tail.stored = tail.unpacked = end;
    r->tail = tail;
    r->salvaged = true;
}

/* Walks from header to header, as far as they are whole and follow each other. */
SPKI_FN void spki_sfr_scan(spk_spikefile *r)
{
    uint64_t at = r->have_last ? r->end : SPKI_SF_HEAD;
    uint64_t link = r->have_last ? r->last.hash : r->head.hash;
    uint64_t number = r->have_last ? r->last.number + 1 : 0;
    spki_sf_chunk before = r->last, c;
    bool had = r->have_last;
    const char *why = NULL;
    uint32_t cut_records = 0, cut_blocks = 0;
    memset(&c, 0, sizeof c);
    while (at < r->size) {
        why = spki_sfr_header(r, at, 1, &c);
        if (!why && (c.link != link || c.number != number)) why = "does not follow the one before";
        if (why) break;
        if (c.bytes > r->size - at) {
            why = "is there, its records are cut";
            cut_records = c.records;
            cut_blocks = 1;
            break;
        }
        before = r->last;
        had = r->have_last;
        r->last = c;
        r->have_last = true;
        at += c.bytes;
        link = c.hash;
        number++;
    }
    r->end = at;
    /* The last one may have been under way when its writer ended. */
    if (r->have_last && !why && !spki_sfr_body_whole(r, &r->last)) {
        c = r->last;
        at = r->end = c.offset;
        number = c.number;
        why = "is there, its records are not whole";
        cut_records = c.records;
        cut_blocks = 1;
        r->last = before;
        r->have_last = had;
    }
    if (r->have_last && !r->file.map) (void)spki_sfr_header(r, r->last.offset, 2, &r->last);
    if (!why) return;
    if (cut_blocks) spki_sfr_salvage(r, &c);
    if (cut_blocks)
        spki_sfr_lost(
            r,
            "chunk %llu at offset %llu is cut after %llu of its %llu bytes: %u of its "
            "%u records are lost",
            (spki_sf_llu)number, (spki_sf_llu)at, (spki_sf_llu)(r->size - at), (spki_sf_llu)c.bytes,
            (unsigned)(cut_records - (r->salvaged ? r->tail.records : 0)), (unsigned)cut_records);
    else
        spki_sfr_lost(r, "%llu bytes from offset %llu on are lost: the header of chunk %llu %s",
                      (spki_sf_llu)(r->size - at), (spki_sf_llu)at, (spki_sf_llu)number, why);
}

/* Finds the end, whole or not. */
SPKI_FN void spki_sfr_find_end(spk_spikefile *r)
{
    spki_sf_slot slot;
    const int broken = spki_sfr_slots(r, &slot);
    r->have_last = r->salvaged = r->damaged = false;
    r->lost[0] = 0;
    r->sequence = slot.valid ? slot.sequence : 0;
    if (spki_sfr_believe(r, &slot) && !broken) {
        if (r->size > r->end)
            spki_sfr_lost(r,
                          "%llu bytes behind the last chunk, from offset %llu on, are of a chunk "
                          "that is not finished, or never was",
                          (spki_sf_llu)(r->size - r->end), (spki_sf_llu)r->end);
        return;
    }
    r->damaged = true;
    spki_sfr_scan(r);
    if (r->lost[0]) return;
    if (broken)
        spki_sfr_lost(r, "nothing, but the note of where the file ends (offset 64 to 127) is "
                         "damaged: its checksum is wrong");
    else
        spki_sfr_lost(r,
                      "%llu bytes from offset %llu on are lost: the file was cut between two "
                      "chunks",
                      (spki_sf_llu)(slot.end > r->end ? slot.end - r->end : 0),
                      (spki_sf_llu)r->end);
}

SPKI_FN void spki_sfr_map(spk_spikefile *r)
{
    if (r->no_map || (r->file.map && r->file.mapped >= r->size)) return;
    (void)spki_sf_map(&r->file, r->size); /* else it is read */
}

/* -- the chunk at hand -- */

SPKI_FN const spki_sf_chunk *spki_sfr_newest(const spk_spikefile *r)
{
    return r->salvaged ? &r->tail : r->have_last ? &r->last : NULL;
}

SPKI_FN spk_result spki_sfr_damaged(spk_spikefile *r, uint64_t number, uint64_t offset,
                                    const char *why)
{
    return spki_sfr_fail(r, SPK_ERR_FORMAT, "chunk %llu at offset %llu: %s", (spki_sf_llu)number,
                         (spki_sf_llu)offset, why);
}

/* The header at `offset`, into buffer `slot`, the tail's included. */
SPKI_FN spk_result spki_sfr_enter(spk_spikefile *r, uint64_t offset, int slot, spki_sf_chunk *c)
{
    const char *why;
    if (r->salvaged && offset == r->tail.offset) {
        *c = r->tail;
        return SPK_OK;
    }
    why = spki_sfr_header(r, offset, slot, c);
    if (!why) return SPK_OK;
    return spki_sfr_fail(r, SPK_ERR_FORMAT, "the header of the chunk at offset %llu %s",
                         (spki_sf_llu)offset, why);
}

/* Announces the blocks of a window. */
SPKI_FN void spki_sfr_expect(spk_spikefile *r)
{
    uint64_t begin = UINT64_MAX, end = 0;
    for (uint32_t k = 0; k < r->chunk.blocks; k++) {
        spki_sf_place place;
        if (!spki_sf_place_get(&r->chunk, k, &place)) return; /* an error when it is read */
        if (place.t_max < r->t_begin || place.t_min >= r->t_end) continue;
        begin = SPKI_MIN(begin, place.begin);
        end = SPKI_MAX(end, place.end);
    }
    if (begin < end)
        spki_sf_soon(&r->file, r->chunk.offset + r->chunk.head_bytes + begin,
                     SPKI_MIN(end - begin, SPKI_SFR_SOON));
}

/* Where the payload of the chunk at hand lies, read and decompressed if need be. */
SPKI_FN spk_result spki_sfr_payload(spk_spikefile *r)
{
    const spki_sf_chunk *c = &r->chunk;
    const uint64_t size = c->bytes - c->head_bytes;
    const uint8_t *body;
    bool part;
    r->by_block = false;
    if (r->salvaged && c->offset == r->tail.offset) {
        r->payload = r->tail_body + c->head_bytes;
        return SPK_OK;
    }
    if (size > SIZE_MAX / 2 || (!r->file.map && !spki_sfr_room(r, &r->body, &r->body_room, size)))
        return spki_sfr_fail(r, SPK_ERR_OUT_OF_MEMORY, "no memory for a chunk of %llu bytes",
                             (spki_sf_llu)size);
    body = spki_sfr_bytes(r, c->offset + c->head_bytes, (size_t)size, r->body);
    if (!body) return spki_sfr_damaged(r, c->number, c->offset, "its records are cut");
    part = c->codec < SPK_SPIKEFILE_LZ4 &&
           (c->t_min < r->t_begin || (r->t_end != INT64_MAX && c->t_max >= r->t_end));
    r->by_block = part && !r->no_verify;
    if (!part) spki_sf_scatter(&r->file, false); /* the window is a long one: read ahead again */
    if (part) spki_sfr_expect(r);
    if (!r->no_verify && !r->by_block && c->body_hash != spk_xxh64(body, (size_t)size, 0))
        return spki_sfr_damaged(r, c->number, c->offset,
                                "its records are damaged: their checksum is wrong");
    r->payload = body;
    if (c->codec < SPK_SPIKEFILE_LZ4) return SPK_OK;
    if (!spki_sf_codec_known(c->codec))
        return spki_sfr_fail(r, SPK_ERR_UNSUPPORTED, "chunk %llu at offset %llu: %s",
                             (spki_sf_llu)c->number, (spki_sf_llu)c->offset,
                             spki_sf_codec_flag(c->codec));
    if (!spki_sfr_room(r, &r->loose, &r->loose_room, c->unpacked + SPKI_OVERREAD))
        return spki_sfr_fail(r, SPK_ERR_OUT_OF_MEMORY, "no memory for a chunk of %llu bytes",
                             (spki_sf_llu)c->unpacked);
    if (!spki_sf_unsqueeze(c->codec, body, (size_t)c->stored, r->loose, (size_t)c->unpacked))
        return spki_sfr_damaged(r, c->number, c->offset, "its records cannot be decompressed");
    memset(r->loose + c->unpacked, 0, SPKI_OVERREAD);
    r->payload = r->loose;
    return SPK_OK;
}

/* -- finding -- */

typedef enum spki_sfr_key { SPKI_SFR_TIME, SPKI_SFR_RECORD, SPKI_SFR_OFFSET } spki_sfr_key;

/* Is what is sought up to the end of this? All three only rise along the file. */
SPKI_FN bool spki_sfr_reached(const spki_sf_entry *entry, spki_sfr_key key, int64_t value)
{
    switch (key) {
    case SPKI_SFR_TIME:
        return entry->t_max >= value;
    case SPKI_SFR_RECORD:
        return entry->end > (uint64_t)value;
    default:
        return entry->offset > (uint64_t)value;
    }
}

/* The first chunk that reaches `value`; *found is false if none does. */
SPKI_FN spk_result spki_sfr_find(spk_spikefile *r, spki_sfr_key key, int64_t value,
                                 uint64_t *offset, bool *found)
{
    const spki_sf_chunk *newest = spki_sfr_newest(r);
    spki_sf_chunk c;
    spki_sf_entry entry;
    *found = false;
    if (!newest) return SPK_OK;
    c = *newest;
    entry = spki_sf_entry_of(&c);
    if (!spki_sfr_reached(&entry, key, value)) return SPK_OK;
    *found = true;
    for (;;) {
        uint32_t k = 0;
        spk_result result;
        for (; k < c.spine; k++) {
            entry = spki_sf_entry_get(&c, k);
            if (spki_sfr_reached(&entry, key, value)) break;
        }
        *offset = c.offset;
        if (k == c.spine) return SPK_OK;
        if (entry.offset >= c.offset) /* downwards only: so it ends */
            return spki_sfr_damaged(r, c.number, c.offset, "its index leads nowhere");
        result = spki_sfr_enter(r, entry.offset, 1, &c);
        if (result != SPK_OK) return result;
    }
}

SPKI_FN void spki_sfr_leave(spk_spikefile *r)
{
    r->loaded = false;
    r->left = NULL;
    r->left_count = 0;
    r->skip = 0;
}

SPKI_FN uint64_t spki_sfr_limit(const spk_spikefile *r)
{
    return r->salvaged ? r->tail.offset + r->tail.bytes : r->end;
}

SPKI_FN spk_result spki_sfr_go(spk_spikefile *r, spki_sfr_key key, int64_t value)
{
    uint64_t offset = 0;
    bool found;
    spk_result result;
    spki_sfr_leave(r);
    r->done = false;
    r->next = spki_sfr_limit(r);
    result = spki_sfr_find(r, key, value, &offset, &found);
    if (result == SPK_OK && found) r->next = offset;
    return result;
}

/* -- reading -- */

/* Can no record be wanted that follows one of time `t`? Records lie at most `back` behind the
   latest before them. */
SPKI_FN bool spki_sfr_beyond(const spk_spikefile *r, int64_t t)
{
    const spki_sf_chunk *newest = spki_sfr_newest(r);
    if (r->t_end == INT64_MAX || t < r->t_end || !newest) return false;
    return (uint64_t)t - (uint64_t)r->t_end >= newest->back;
}

SPKI_FN bool spki_sfr_wanted(const spk_spikefile *r, const spki_sf_chunk *c)
{
    if (c->t_max < r->t_begin || (r->t_end != INT64_MAX && c->t_min >= r->t_end)) return false;
    if (!r->ranged || (c->flags & SPKI_SF_OTHERS)) return true;
    if (c->kind == SPK_SPIKEFILE_SPIKES) return c->low <= r->high[0] && c->high >= r->low[0];
    return (c->low & 0xffff) <= r->high[0] && (c->high & 0xffff) >= r->low[0] &&
           c->low >> 16 <= r->high[1] && c->high >> 16 >= r->low[1];
}

/* Behind a header that is damaged the index of the last chunk leads on. */
SPKI_FN void spki_sfr_step_over(spk_spikefile *r, uint64_t offset)
{
    char sentence[sizeof r->error];
    const spk_result result = r->status;
    uint64_t next = 0;
    bool found = false;
    memcpy(sentence, r->error, sizeof sentence);
    if (spki_sfr_find(r, SPKI_SFR_OFFSET, (int64_t)offset, &next, &found) != SPK_OK || !found)
        next = spki_sfr_limit(r);
    memcpy(r->error, sentence, sizeof sentence);
    r->status = result;
    r->next = next;
}

/* The next chunk with something wanted becomes the one at hand. False at the end or on an error. */
SPKI_FN bool spki_sfr_advance(spk_spikefile *r)
{
    while (!r->done && r->next < spki_sfr_limit(r)) {
        const uint64_t offset = r->next;
        if (spki_sfr_enter(r, offset, 0, &r->chunk) != SPK_OK) {
            spki_sfr_step_over(r, offset);
            return false;
        }
        if (spki_sfr_beyond(r, r->chunk.t_before)) {
            r->done = true;
            break;
        }
        r->next = offset + r->chunk.bytes;
        if (!spki_sfr_wanted(r, &r->chunk)) {
            r->skip = 0;
            continue;
        }
        if (spki_sfr_payload(r) != SPK_OK) return false;
        r->loaded = true;
        r->block = 0;
        return true;
    }
    return false;
}

SPKI_FN size_t spki_sfr_keep_spikes(const spk_spikefile *r, const spk_spike *in, size_t n,
                                    spk_spike *out)
{
    const bool open = r->t_end == INT64_MAX;
    size_t kept = 0;
    for (size_t k = 0; k < n; k++) {
        const spk_spike s = in[k];
        const int64_t t = (int64_t)s.step;
        out[kept] = s;
        kept += (t >= r->t_begin) & (open | (t < r->t_end)) & (s.neuron >= r->low[0]) &
                (s.neuron <= r->high[0]);
    }
    return kept;
}

SPKI_FN size_t spki_sfr_keep_events(const spk_spikefile *r, const spk_event *in, size_t n,
                                    spk_event *out)
{
    const bool open = r->t_end == INT64_MAX;
    size_t kept = 0;
    for (size_t k = 0; k < n; k++) {
        const spk_event e = in[k];
        const bool inside =
            (e.x >= r->low[0]) & (e.x <= r->high[0]) & (e.y >= r->low[1]) & (e.y <= r->high[1]);
        out[kept] = e;
        kept += (e.t_us >= r->t_begin) & (open | (e.t_us < r->t_end)) &
                (inside | (e.kind != SPK_EVENT_CD));
    }
    return kept;
}

/* First of n records in the order of time that is not before t. */
SPKI_FN size_t spki_sfr_lower(const spk_spikefile *r, const void *records, size_t n, int64_t t)
{
    size_t low = 0;
    while (n > 0) {
        const size_t half = n / 2;
        if (spki_sf_time(r->head.kind, records, low + half) < t) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* Of n records those that are wanted; `to`: where they are put if single ones have to be picked. */
SPKI_FN size_t spki_sfr_select(const spk_spikefile *r, const spki_sf_place *place,
                               const uint8_t **records, size_t n, uint8_t *to)
{
    const bool whole =
        place->t_min >= r->t_begin && (r->t_end == INT64_MAX || place->t_max < r->t_end);
    if (whole && !r->ranged) return n;
    if (!r->ranged && (r->chunk.flags & SPKI_SF_SORTED)) {
        const size_t from = spki_sfr_lower(r, *records, n, r->t_begin);
        if (r->t_end != INT64_MAX) n = spki_sfr_lower(r, *records, n, r->t_end);
        *records += from * SPKI_SF_RECORD;
        return n > from ? n - from : 0;
    }
    n = r->head.kind == SPK_SPIKEFILE_SPIKES
            ? spki_sfr_keep_spikes(r, (const spk_spike *)(const void *)*records, n,
                                   (spk_spike *)(void *)to)
            : spki_sfr_keep_events(r, (const spk_event *)(const void *)*records, n,
                                   (spk_event *)(void *)to);
    *records = to;
    return n;
}

/* A block of the chunk at hand: decoded to `to`, or where it lies. NULL if it is damaged. */
SPKI_FN const uint8_t *spki_sfr_block(spk_spikefile *r, const spki_sf_place *place, uint32_t n,
                                      uint8_t *to)
{
    const uint8_t *from = r->payload + place->begin;
    if (r->chunk.codec != SPK_SPIKEFILE_RAW)
        return spki_sf_decode(&r->unpacker, r->head.kind, from, (size_t)(place->end - place->begin),
                              n, place->t_min, r->scratch, to)
                   ? to
                   : NULL;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if ((uintptr_t)from % 8 == 0) return from;
#endif
    spki_sf_raw_get(r->head.kind, from, n, to);
    return to;
}

/* All that is wanted of a sorted raw chunk lies together. */
SPKI_FN bool spki_sfr_together(const spk_spikefile *r)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return r->chunk.codec == SPK_SPIKEFILE_RAW && (r->chunk.flags & SPKI_SF_SORTED) && !r->ranged &&
           (uintptr_t)r->payload % 8 == 0;
#else
    (void)r;
    return false;
#endif
}

/* A block is checked by itself where the whole chunk was not. */
SPKI_FN bool spki_sfr_block_sound(spk_spikefile *r, const spki_sf_place *place)
{
    if (!r->by_block || place->hash == (uint32_t)spk_xxh64(r->payload + place->begin,
                                                           (size_t)(place->end - place->begin), 0))
        return true;
    r->loaded = false;
    spki_sfr_damaged(r, r->chunk.number, r->chunk.offset,
                     "its records are damaged: the checksum of a block is wrong");
    return false;
}

SPKI_FN bool spki_sfr_place(spk_spikefile *r, uint32_t block, spki_sf_place *place)
{
    if (spki_sf_place_get(&r->chunk, block, place)) return true;
    r->loaded = false;
    spki_sfr_damaged(r, r->chunk.number, r->chunk.offset, "its directory is damaged");
    return false;
}

/* The rest of what is wanted of a sorted raw chunk; only its own blocks are touched. NULL if there
   is none, or on an error. */
SPKI_FN const uint8_t *spki_sfr_stretch(spk_spikefile *r, uint8_t *to, size_t *count)
{
    spki_sf_place place, all;
    const uint8_t *records = NULL;
    size_t n = 0;
    memset(&all, 0, sizeof all);
    for (; r->block < r->chunk.blocks; r->block++) {
        const uint32_t here = spki_sf_block_records(&r->chunk, r->block);
        const uint32_t skip = SPKI_MIN(r->skip, here);
        if (!spki_sfr_place(r, r->block, &place)) return NULL;
        if (r->t_end != INT64_MAX && place.t_min >= r->t_end) break;
        r->skip -= skip;
        if (skip == here || place.t_max < r->t_begin) continue;
        if (!spki_sfr_block_sound(r, &place)) return NULL;
        if (!records) {
            records = r->payload + place.begin + (size_t)skip * SPKI_SF_RECORD;
            all.t_min = place.t_min;
        }
        all.t_max = place.t_max;
        n += here - skip;
    }
    r->block = r->chunk.blocks;
    if (!records) return NULL;
    *count = spki_sfr_select(r, &all, &records, n, to);
    return *count ? records : NULL;
}

/* The next records that are wanted: a pointer to *count of them. `to` (room for a block) is used
   where they have to be decoded. `chunks`: more than a block at once, where they lie together. NULL
   at the end or on an error. */
SPKI_FN const uint8_t *spki_sfr_next(spk_spikefile *r, uint8_t *to, bool chunks, size_t *count)
{
    *count = 0;
    r->status = SPK_OK;
    for (;;) {
        spki_sf_place place;
        const uint8_t *records;
        uint32_t n, skip;
        if (!r->loaded && !spki_sfr_advance(r)) return NULL;
        if (r->block == r->chunk.blocks) { /* without a look at the next, if it is known */
            r->loaded = false;
            r->done = spki_sfr_beyond(r, SPKI_MAX(r->chunk.t_before, r->chunk.t_max));
            continue;
        }
        if (chunks && spki_sfr_together(r)) {
            records = spki_sfr_stretch(r, to, count);
            if (records) return records;
            if (r->status != SPK_OK) return NULL;
            continue;
        }
        n = spki_sf_block_records(&r->chunk, r->block);
        skip = SPKI_MIN(r->skip, n);
        r->skip -= skip;
        if (!spki_sfr_place(r, r->block++, &place)) return NULL;
        if (skip == n || place.t_max < r->t_begin ||
            (r->t_end != INT64_MAX && place.t_min >= r->t_end))
            continue;
        if (!spki_sfr_block_sound(r, &place)) return NULL;
        records = spki_sfr_block(r, &place, n, to);
        if (!records) {
            r->loaded = false;
            spki_sfr_damaged(r, r->chunk.number, r->chunk.offset, "a block makes no sense");
            return NULL;
        }
        records += (size_t)skip * SPKI_SF_RECORD;
        *count = spki_sfr_select(r, &place, &records, n - skip, to);
        if (*count) return records;
    }
}

#endif
