/* ---- >>inflate: LZ4 and zstd frames, through their libraries ---- */
#ifndef SPIKELIB_EVENT_INFLATE_H
#define SPIKELIB_EVENT_INFLATE_H

#include "hold.h"

#ifdef SPIKELIB_LZ4
#include <lz4.h>
#endif
#ifdef SPIKELIB_ZSTD
#include <zstd.h>
#endif

/* A packet of a camera is a few kB, one of a converter a few MB. */
#define SPKI_INFLATE_MOST ((size_t)1 << 30)

#ifdef SPIKELIB_LZ4

/* Source: the xxHash specification 0.1.1, XXH32 (the checksums of LZ4 frames). */
SPKI_FN uint32_t spki_xxh32(const uint8_t *p, size_t size)
{
    const uint32_t p1 = 2654435761u, p2 = 2246822519u, p3 = 3266489917u, p4 = 668265263u;
    const uint32_t p5 = 374761393u;
    uint32_t acc[4], h = p5;
    size_t n = size;
    int k;
    if (n >= 16) {
        acc[0] = p1 + p2;
        acc[1] = p2;
        acc[2] = 0;
        acc[3] = 0u - p1;
        for (; n >= 16; n -= 16, p += 16) {
            for (k = 0; k < 4; k++) {
                acc[k] += spki_load32_le(p + 4 * k) * p2;
                acc[k] = (acc[k] << 13 | acc[k] >> 19) * p1;
            }
        }
        h = (acc[0] << 1 | acc[0] >> 31) + (acc[1] << 7 | acc[1] >> 25) +
            (acc[2] << 12 | acc[2] >> 20) + (acc[3] << 18 | acc[3] >> 14);
    }
    h += (uint32_t)size;
    for (; n >= 4; n -= 4, p += 4) {
        h += spki_load32_le(p) * p3;
        h = (h << 17 | h >> 15) * p4;
    }
    for (; n > 0; n--, p++) {
        h += *p * p5;
        h = (h << 11 | h >> 21) * p1;
    }
    h = (h ^ h >> 15) * p2;
    h = (h ^ h >> 13) * p3;
    return h ^ h >> 16;
}

/* What the header of a frame says. Source: LZ4 frame format 1.6.2. */
typedef struct spki_lz4_head {
    size_t bytes, block_most;
    bool linked, block_checksum, content_checksum;
} spki_lz4_head;

SPKI_FN const char *spki_lz4_read_head(const uint8_t *in, size_t n, spki_lz4_head *head)
{
    uint8_t flags, block;
    if (n < 7 || spki_load32_le(in) != 0x184d2204u) return "no LZ4 frame begins there";
    flags = in[4];
    block = in[5];
    if ((flags & 0xc0) != 0x40) return "its LZ4 frame has another version than 1";
    if ((flags & 0x02) != 0 || (block & 0x8f) != 0 || block < 0x40)
        return "the header of its LZ4 frame is damaged";
    if ((flags & 0x01) != 0) return "its LZ4 frame needs a dictionary";
    head->bytes = 7 + ((flags & 0x08) ? 8u : 0u);
    head->linked = (flags & 0x20) == 0;
    head->block_checksum = (flags & 0x10) != 0;
    head->content_checksum = (flags & 0x04) != 0;
    head->block_most = (size_t)1 << (8 + 2 * (block >> 4));
    if (n < head->bytes) return "its LZ4 frame ends within the header";
    if (in[head->bytes - 1] != (uint8_t)(spki_xxh32(in + 4, head->bytes - 5) >> 8))
        return "the header of its LZ4 frame is damaged";
    return NULL;
}

/* One block, already within bounds, at the end of `out`, which has room for it. */
SPKI_FN const char *spki_lz4_block(const uint8_t *in, size_t size, bool stored,
                                   const spki_lz4_head *head, spki_bytes *out)
{
    size_t history = head->linked ? SPKI_MIN(out->size, (size_t)65536) : 0;
    int got;
    if (stored) {
        memcpy(out->data + out->size, in, size);
        out->size += size;
        return NULL;
    }
    got = LZ4_decompress_safe_usingDict(
        (const char *)in, (char *)out->data + out->size, (int)size, (int)head->block_most,
        (const char *)out->data + out->size - history, (int)history);
    if (got < 0) return "an LZ4 block of it is damaged";
    out->size += (size_t)got;
    return NULL;
}

/* A whole frame from `in`. Linked blocks refer to what was unpacked before them, which stands right
   before them in `out`. NULL, or what is wrong; *memory is set where that is the lack of it. */
SPKI_FN const char *spki_lz4_inflate(spki_mem *mem, const uint8_t *in, size_t n, spki_bytes *out,
                                     bool *memory)
{
    spki_lz4_head head;
    const char *why = spki_lz4_read_head(in, n, &head);
    size_t at;
    out->size = 0;
    if (why) return why;
    for (at = head.bytes;;) {
        uint32_t word;
        size_t size;
        if (n - at < 4) return "its LZ4 frame has no end";
        word = spki_load32_le(in + at);
        at += 4;
        if (word == 0) break;
        size = word & 0x7fffffffu;
        if (size > head.block_most || size > n - at) return "an LZ4 block of it is too long";
        if (head.block_most > SPKI_INFLATE_MOST - out->size) return "it unpacks to over 1 GiB";
        if (!spki_bytes_reserve(mem, out, out->size + head.block_most)) {
            *memory = true;
            return "there is no memory to unpack it";
        }
        why = spki_lz4_block(in + at, size, (word & 0x80000000u) != 0, &head, out);
        if (why) return why;
        if (head.block_checksum) {
            if (n - at - size < 4) return "its LZ4 frame has no end";
            if (spki_xxh32(in + at, size) != spki_load32_le(in + at + size))
                return "the checksum of an LZ4 block of it is wrong";
            at += 4;
        }
        at += size;
    }
    if (!head.content_checksum) return NULL;
    if (n - at < 4 || spki_xxh32(out->data, out->size) != spki_load32_le(in + at))
        return "the checksum of its LZ4 frame is wrong";
    return NULL;
}

#endif

#ifdef SPIKELIB_ZSTD

/* The same for zstd. The context, which zstd allocates itself, lives for this call: a packet every
   few milliseconds makes it cheap. */
SPKI_FN const char *spki_zstd_inflate(spki_mem *mem, ZSTD_DCtx *context, const uint8_t *in,
                                      size_t n, spki_bytes *out, bool *memory)
{
    ZSTD_inBuffer from;
    size_t left = 1;
    from.src = in;
    from.size = n;
    from.pos = 0;
    out->size = 0;
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    while (left != 0) {
        ZSTD_outBuffer to;
        size_t before = from.pos;
        if (out->size >= SPKI_INFLATE_MOST) return "it unpacks to over 1 GiB";
        if (!spki_bytes_reserve(mem, out, out->size + 65536)) {
            *memory = true;
            return "there is no memory to unpack it";
        }
        to.dst = out->data;
        to.size = out->capacity;
        to.pos = out->size;
        left = ZSTD_decompressStream(context, &to, &from);
        if (ZSTD_isError(left)) return "its zstd frame is damaged";
        if (left != 0 && from.pos == before && to.pos == out->size)
            return "its zstd frame has no end";
        out->size = to.pos;
    }
    return NULL;
}

#endif

#endif
