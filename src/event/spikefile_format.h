/* ---- >>spikefile-format: the file's header, a chunk's header, the index in it ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_FORMAT_H
#define SPIKELIB_EVENT_SPIKEFILE_FORMAT_H

#include "spikefile_block.h"
#include "spikefile_os.h"

/* All numbers are little-endian; docs/spikefile.md tells each byte. */
#define SPKI_SF_HEAD 128u /* the file's header: 64 bytes for good, then two slots of 32 */
#define SPKI_SF_VERSION 1u
#define SPKI_SF_SLOT 64u
#define SPKI_SF_CHUNK 128u /* a chunk's header without index and directory */
#define SPKI_SF_ENTRY 24u  /* of the index */
#define SPKI_SF_PLACE 20u  /* of the directory of blocks */
#define SPKI_SF_FANOUT 16u
#define SPKI_SF_SPINE_MAX 240u /* 15 entries on each of 16 levels: 2^64 chunks */
#define SPKI_SF_RECORDS_MAX 1048576u
#define SPKI_SF_BLOCKS_MAX (SPKI_SF_RECORDS_MAX / SPKI_SF_BLOCK)
#define SPKI_SF_HEAD_MAX                                                                           \
    (SPKI_SF_CHUNK + SPKI_SF_ENTRY * SPKI_SF_SPINE_MAX + SPKI_SF_PLACE * SPKI_SF_BLOCKS_MAX + 32u)
#define SPKI_SF_ALIGN 64u
#define SPKI_SF_SORTED 1u /* flags of a chunk: its records do not run back in time */
#define SPKI_SF_OTHERS 2u /* it holds events without a pixel */

SPKI_FN const uint8_t *spki_sf_magic(void)
{
    static const uint8_t magic[8] = {0x89, 'S', 'P', 'K', '\r', '\n', 0x1a, '\n'};
    return magic;
}

/* What the end of the file is, published after it was written. */
typedef struct spki_sf_slot {
    uint64_t end, last, sequence; /* last: offset of the last chunk, 0: none */
    bool valid, blank;
} spki_sf_slot;

SPKI_FN void spki_sf_slot_put(uint8_t *p, const spki_sf_slot *slot)
{
    spki_store64_le(p, slot->end);
    spki_store64_le(p + 8, slot->last);
    spki_store64_le(p + 16, slot->sequence);
    spki_store64_le(p + 24, spk_xxh64(p, 24, 0));
}

SPKI_FN spki_sf_slot spki_sf_slot_get(const uint8_t *p)
{
    spki_sf_slot slot;
    slot.end = spki_load64_le(p);
    slot.last = spki_load64_le(p + 8);
    slot.sequence = spki_load64_le(p + 16);
    slot.valid = spki_load64_le(p + 24) == spk_xxh64(p, 24, 0);
    slot.blank = (slot.end | slot.last | slot.sequence | spki_load64_le(p + 24)) == 0;
    return slot;
}

typedef struct spki_sf_head {
    uint32_t version, width, height;
    spk_spikefile_kind kind;
    double dt_ms;
    uint64_t hash;
} spki_sf_head;

SPKI_FN void spki_sf_head_put(uint8_t *p, const spki_sf_head *head)
{
    uint64_t dt;
    memset(p, 0, SPKI_SF_HEAD);
    memcpy(p, spki_sf_magic(), 8);
    spki_store32_le(p + 8, SPKI_SF_VERSION);
    spki_store32_le(p + 12, (uint32_t)head->kind);
    memcpy(&dt, &head->dt_ms, 8);
    spki_store64_le(p + 16, dt);
    spki_store32_le(p + 24, head->width);
    spki_store32_le(p + 28, head->height);
    spki_store64_le(p + 56, spk_xxh64(p, 56, 0));
}

/* A sentence about what is wrong with the first 64 bytes, or NULL. */
SPKI_FN const char *spki_sf_head_get(const uint8_t *p, spki_sf_head *head, spk_result *result)
{
    const uint64_t dt = spki_load64_le(p + 16);
    *result = SPK_ERR_FORMAT;
    if (memcmp(p, spki_sf_magic(), 8) != 0) return "is not a spike file";
    head->hash = spki_load64_le(p + 56);
    if (head->hash != spk_xxh64(p, 56, 0))
        return "the file's header (offset 0) is damaged: its checksum is wrong";
    head->version = spki_load32_le(p + 8);
    head->kind = (spk_spikefile_kind)spki_load32_le(p + 12);
    memcpy(&head->dt_ms, &dt, 8);
    head->width = spki_load32_le(p + 24);
    head->height = spki_load32_le(p + 28);
    *result = SPK_ERR_UNSUPPORTED;
    if (head->version != SPKI_SF_VERSION) return "is of a later version of the format";
    if (spki_load32_le(p + 12) > SPK_SPIKEFILE_EVENTS) return "holds a kind of records of its own";
    *result = SPK_OK;
    return NULL;
}

/* -- a chunk -- */

typedef struct spki_sf_chunk {
    uint64_t offset, number, bytes, stored, unpacked, before, back, body_hash, link, hash;
    uint32_t head_bytes, records, blocks, spine, flags;
    spk_spikefile_codec codec;
    spk_spikefile_kind kind;
    int64_t t_min, t_max, t_before, t_first; /* t_first: earliest of all chunks up to this */
    uint32_t low, high;                      /* neurons, or x | y << 16 of pixels */
    const uint8_t *head;
} spki_sf_chunk;

/* Entries of the index of a chunk: the sum of the digits of its number to the base 16. */
SPKI_FN uint32_t spki_sf_spine_count(uint64_t number)
{
    uint32_t sum = 0;
    for (; number > 0; number /= SPKI_SF_FANOUT) sum += (uint32_t)(number % SPKI_SF_FANOUT);
    return sum;
}

SPKI_INLINE uint32_t spki_sf_head_bytes(uint32_t spine, uint32_t blocks)
{
    const uint32_t bytes = SPKI_SF_CHUNK + SPKI_SF_ENTRY * spine + SPKI_SF_PLACE * blocks + 8;
    return (bytes + 15) & ~15u;
}

/* The fixed part; the checksum at the header's end comes last, by spki_sf_chunk_seal. */
SPKI_FN void spki_sf_chunk_put(uint8_t *p, const spki_sf_chunk *c)
{
    memcpy(p, "SPKC", 4);
    spki_store32_le(p + 4, c->head_bytes);
    spki_store64_le(p + 8, c->offset);
    spki_store64_le(p + 16, c->number);
    spki_store64_le(p + 24, c->bytes);
    spki_store32_le(p + 32, (uint32_t)c->stored);
    spki_store32_le(p + 36, (uint32_t)c->unpacked);
    spki_store64_le(p + 40, (uint64_t)c->t_first);
    spki_store64_le(p + 48, c->before);
    spki_store32_le(p + 56, c->records);
    spki_store32_le(p + 60, c->spine);
    p[64] = (uint8_t)c->codec;
    p[65] = (uint8_t)c->kind;
    p[66] = (uint8_t)c->flags;
    p[67] = 0;
    spki_store32_le(p + 68, 0);
    spki_store64_le(p + 72, (uint64_t)c->t_min);
    spki_store64_le(p + 80, (uint64_t)c->t_max);
    spki_store64_le(p + 88, (uint64_t)c->t_before);
    spki_store64_le(p + 96, c->back);
    spki_store32_le(p + 104, c->low);
    spki_store32_le(p + 108, c->high);
    spki_store64_le(p + 112, c->body_hash);
    spki_store64_le(p + 120, c->link);
}

SPKI_FN uint64_t spki_sf_chunk_seal(uint8_t *p, uint32_t head_bytes)
{
    const uint64_t hash = spk_xxh64(p, head_bytes - 8, 0);
    spki_store64_le(p + head_bytes - 8, hash);
    return hash;
}

/* Reads the fixed part, as far as its numbers bound each other. */
SPKI_FN bool spki_sf_chunk_get(const uint8_t *p, uint64_t offset, spki_sf_chunk *c)
{
    const uint32_t known = SPKI_SF_SORTED | SPKI_SF_OTHERS;
    memset(c, 0, sizeof *c);
    c->head = p;
    c->head_bytes = spki_load32_le(p + 4);
    c->offset = spki_load64_le(p + 8);
    c->number = spki_load64_le(p + 16);
    c->bytes = spki_load64_le(p + 24);
    c->stored = spki_load32_le(p + 32);
    c->unpacked = spki_load32_le(p + 36);
    c->t_first = (int64_t)spki_load64_le(p + 40);
    c->before = spki_load64_le(p + 48);
    c->records = spki_load32_le(p + 56);
    c->spine = spki_load32_le(p + 60);
    c->codec = (spk_spikefile_codec)p[64];
    c->kind = (spk_spikefile_kind)p[65];
    c->flags = p[66];
    c->t_min = (int64_t)spki_load64_le(p + 72);
    c->t_max = (int64_t)spki_load64_le(p + 80);
    c->t_before = (int64_t)spki_load64_le(p + 88);
    c->back = spki_load64_le(p + 96);
    c->low = spki_load32_le(p + 104);
    c->high = spki_load32_le(p + 108);
    c->body_hash = spki_load64_le(p + 112);
    c->link = spki_load64_le(p + 120);
    if (memcmp(p, "SPKC", 4) != 0 || c->offset != offset) return false;
    if (c->records == 0 || c->records > SPKI_SF_RECORDS_MAX ||
        c->spine != spki_sf_spine_count(c->number) || p[64] > SPK_SPIKEFILE_ZSTD ||
        p[65] > SPK_SPIKEFILE_EVENTS || (c->flags & ~known))
        return false;
    c->blocks = (c->records + SPKI_SF_BLOCK - 1) / SPKI_SF_BLOCK;
    return c->head_bytes == spki_sf_head_bytes(c->spine, c->blocks) &&
           c->bytes == ((c->head_bytes + c->stored + SPKI_OVERREAD + SPKI_SF_ALIGN - 1) &
                        ~(uint64_t)(SPKI_SF_ALIGN - 1)) &&
           c->unpacked <= (uint64_t)c->blocks * SPKI_SF_BLOCK_MAX &&
           (c->codec >= SPK_SPIKEFILE_LZ4 || c->unpacked == c->stored) &&
           (c->codec != SPK_SPIKEFILE_RAW || c->stored == (uint64_t)c->records * SPKI_SF_RECORD) &&
           c->t_min <= c->t_max && c->number <= offset && c->before <= INT64_MAX &&
           c->bytes <= INT64_MAX - offset;
}

/* The rest of it: its checksum. */
SPKI_FN bool spki_sf_chunk_sealed(const uint8_t *p, spki_sf_chunk *c)
{
    c->hash = spki_load64_le(p + c->head_bytes - 8);
    return c->hash == spk_xxh64(p, c->head_bytes - 8, 0);
}

SPKI_INLINE uint32_t spki_sf_block_records(const spki_sf_chunk *c, uint32_t block)
{
    return SPKI_MIN(SPKI_SF_BLOCK, c->records - block * SPKI_SF_BLOCK);
}

/* -- its directory: where each block lies, and when -- */

typedef struct spki_sf_place {
    uint64_t begin, end; /* within the payload before compression */
    int64_t t_min, t_max;
    uint32_t hash;
} spki_sf_place;

SPKI_FN void spki_sf_place_put(uint8_t *p, uint64_t offset, int64_t first, uint64_t span,
                               uint32_t hash)
{
    spki_store32_le(p, (uint32_t)offset);
    spki_store32_le(p + 4, span < UINT32_MAX ? (uint32_t)span : UINT32_MAX);
    spki_store64_le(p + 8, (uint64_t)first);
    spki_store32_le(p + 16, hash);
}

/* False where it leads out of the payload. */
SPKI_FN bool spki_sf_place_get(const spki_sf_chunk *c, uint32_t block, spki_sf_place *place)
{
    const uint8_t *p =
        c->head + SPKI_SF_CHUNK + (size_t)SPKI_SF_ENTRY * c->spine + (size_t)SPKI_SF_PLACE * block;
    const uint32_t span = spki_load32_le(p + 4);
    place->begin = spki_load32_le(p);
    place->end = block + 1 < c->blocks ? spki_load32_le(p + SPKI_SF_PLACE) : c->unpacked;
    place->t_min = (int64_t)spki_load64_le(p + 8);
    place->hash = spki_load32_le(p + 16);
    place->t_max = span == UINT32_MAX || place->t_min > INT64_MAX - (int64_t)span
                       ? INT64_MAX
                       : place->t_min + (int64_t)span;
    return place->begin <= place->end && place->end <= c->unpacked &&
           (c->codec != SPK_SPIKEFILE_RAW ||
            (place->begin == (uint64_t)block * SPKI_SF_BLOCK * SPKI_SF_RECORD &&
             place->end - place->begin ==
                 (uint64_t)spki_sf_block_records(c, block) * SPKI_SF_RECORD));
}

/* -- its index --
   Each chunk tells of all chunks before it: of those since the last multiple of 16 each, of the
   sixteens since the last multiple of 256 each, and so on: the digits of its number to the base 16
   say how many entries of each level there are. An entry names the last chunk of its group, which
   in turn tells of the others of the group: so log16(n) headers lead to any chunk, and what is
   written is never changed. */

typedef struct spki_sf_entry {
    uint64_t offset; /* of the group's last chunk */
    int64_t t_max;   /* latest time up to its end */
    uint64_t end;    /* records up to its end */
} spki_sf_entry;

SPKI_FN spki_sf_entry spki_sf_entry_get(const spki_sf_chunk *c, uint32_t k)
{
    const uint8_t *p = c->head + SPKI_SF_CHUNK + (size_t)SPKI_SF_ENTRY * k;
    spki_sf_entry entry;
    entry.offset = spki_load64_le(p);
    entry.t_max = (int64_t)spki_load64_le(p + 8);
    entry.end = spki_load64_le(p + 16);
    return entry;
}

SPKI_FN void spki_sf_entry_put(uint8_t *p, const spki_sf_entry *entry)
{
    spki_store64_le(p, entry->offset);
    spki_store64_le(p + 8, (uint64_t)entry->t_max);
    spki_store64_le(p + 16, entry->end);
}

SPKI_INLINE spki_sf_entry spki_sf_entry_of(const spki_sf_chunk *c)
{
    spki_sf_entry entry;
    entry.offset = c->offset;
    entry.t_max = SPKI_MAX(c->t_before, c->t_max);
    entry.end = c->before + c->records;
    return entry;
}

/* The index of chunk `number` + 1 from that of chunk `number` and its own entry. */
SPKI_FN uint32_t spki_sf_spine_push(spki_sf_entry *spine, uint32_t count, uint64_t number,
                                    const spki_sf_entry *entry)
{
    spine[count++] = *entry;
    for (number++; number > 0 && number % SPKI_SF_FANOUT == 0; number /= SPKI_SF_FANOUT) {
        spine[count - SPKI_SF_FANOUT] = spine[count - 1]; /* 16 of a level are 1 of the next */
        count -= SPKI_SF_FANOUT - 1;
    }
    return count;
}

#endif
