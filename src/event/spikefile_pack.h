/* ---- >>spikefile-pack: columns of a block as few bits: packed with exceptions, or Rice ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_PACK_H
#define SPIKELIB_EVENT_SPIKEFILE_PACK_H

#include "codec.h"

/* A block has up to 1,024 records, each column of it is one sequence of u32 (docs/spikefile.md).
   Sources: frame of reference and patched exceptions, Zukowski, Heman, Nes, Boncz, "Super-scalar
   RAM-CPU cache compression" (ICDE 2006); Rice codes, Rice and Plaunt (IEEE Trans. Comm. 1971). */
#define SPKI_SF_BLOCK 1024u
#define SPKI_SF_BLOCK_ROOM (SPKI_SF_BLOCK + 64u) /* vector code writes whole vectors */

/* What a column's residuals are ... */
#define SPKI_COL_PLAIN 0u  /* value - base */
#define SPKI_COL_DELTA 1u  /* value - the one before (of the first: - base) */
#define SPKI_COL_ZIGZAG 2u /* the same, signed: 0 -1 1 -2 ... are 0 1 2 3 ... */
#define SPKI_COL_KIND 3u
/* ... and how they lie there. */
#define SPKI_COL_RICE 4u  /* low bits packed, the rest unary; else packed with exceptions */
#define SPKI_COL_BASE 8u  /* a base follows; else it is 0 */
#define SPKI_COL_WIDE 16u /* time only: 64 bits a record, nothing else */
#define SPKI_COL_FUSED                                                                             \
    32u /* neuron only: time holds both, the neuron in the lowest `width` bits                     \
         */
#define SPKI_COL_KNOWN 63u

SPKI_INLINE uint32_t spki_bits32(uint32_t x)
{
    return x ? 32u - (uint32_t)__builtin_clz(x) : 0u;
}

SPKI_INLINE size_t spki_packed_bytes(uint32_t n, uint32_t width)
{
    return ((size_t)n * width + 7) / 8;
}

/* The lowest `width` bits of each value, the first value in the lowest bits of the first byte. */
SPKI_FN uint8_t *spki_pack(uint8_t *to, const uint32_t *value, uint32_t n, uint32_t width)
{
    uint64_t word = 0;
    uint32_t fill = 0;
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    for (uint32_t k = 0; k < n; k++) {
        word |= (value[k] & mask) << fill;
        fill += width;
        if (fill >= 32) {
            spki_store32_le(to, (uint32_t)word);
            to += 4;
            word >>= 32;
            fill -= 32;
        }
    }
    for (; fill > 0; fill -= SPKI_MIN(fill, 8u), word >>= 8) *to++ = (uint8_t)word;
    return to;
}

/* -- how to code a column -- */

typedef struct spki_col {
    uint32_t mode, width, extra; /* extra: exceptions, or bytes of the unary part */
    uint32_t base, high;         /* high: bits of an exception above `width` */
    uint64_t bits;               /* what it takes */
} spki_col;

SPKI_FN void spki_col_residuals(const uint32_t *value, uint32_t n, uint32_t mode, uint32_t base,
                                uint32_t *out)
{
    const bool zigzag = (mode & SPKI_COL_KIND) == SPKI_COL_ZIGZAG;
    if ((mode & SPKI_COL_KIND) == SPKI_COL_PLAIN) {
        for (uint32_t k = 0; k < n; k++) out[k] = value[k] - base;
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t d = value[k] - (k > 0 ? value[k - 1] : base);
        out[k] = zigzag ? d << 1 ^ (0u - (d >> 31)) : d;
    }
}

/* Bits of a position within n records. */
SPKI_INLINE uint32_t spki_place_bits(uint32_t n)
{
    return spki_bits32(n - 1);
}

/* The cheapest width for residuals whose bit lengths are counted in `length`. */
SPKI_FN void spki_col_packed(spki_col *col, const uint32_t length[33], uint32_t n, bool bytes)
{
    uint32_t longest = 32, over = 0;
    while (longest > 0 && !length[longest]) longest--;
    for (int w = (int)(bytes ? (longest + 7) / 8 * 8 : longest); w >= 0; w--) {
        uint64_t bits = (uint64_t)n * (uint32_t)w;
        if (w < 32) over += length[w + 1];
        if (over > 0) bits += 8 + (uint64_t)over * (spki_place_bits(n) + longest - (uint32_t)w);
        if ((col->bits == 0 || bits < col->bits - 1) && !(bytes && over > 0)) {
            col->width = (uint32_t)w;
            col->extra = over;
            col->high = over ? longest - (uint32_t)w : 0;
            col->bits = bits + 1; /* 0 means that nothing was tried */
        }
        if (bytes) break;
    }
}

/* A Rice code, if it beats what `col` has. `sum`: of the residuals. */
SPKI_FN void spki_col_rice(spki_col *col, const uint32_t *r, uint32_t n, uint64_t sum)
{
    const uint64_t mean = sum / n;
    const uint32_t k0 = mean >= UINT32_MAX ? 31 : spki_bits32((uint32_t)mean);
    for (uint32_t k = k0 > 1 ? k0 - 2 : 0; k <= k0 && k < 32; k++) {
        uint64_t unary = n;
        if ((uint64_t)n * k + (sum >> k) >= col->bits) continue; /* it takes no less */
        for (uint32_t i = 0; i < n; i++) unary += r[i] >> k;
        if ((unary + 7) / 8 > 65535 || (uint64_t)n * k + unary + 1 >= col->bits) continue;
        col->mode |= SPKI_COL_RICE;
        col->width = k;
        col->extra = (uint32_t)((unary + 7) / 8);
        col->high = 0;
        col->bits = (uint64_t)n * k + unary + 1;
    }
}

/* Tries one kind of residuals; `bytes`: only whole bytes, for a compressor that sees none else. */
SPKI_FN void spki_col_try(spki_col *best, const uint32_t *value, uint32_t n, uint32_t mode,
                          uint32_t base, bool bytes, uint32_t *scratch)
{
    uint32_t length[33];
    uint64_t sum = 0;
    spki_col col;
    memset(length, 0, sizeof length);
    memset(&col, 0, sizeof col);
    col.mode = mode;
    col.base = base;
    spki_col_residuals(value, n, mode, base, scratch);
    for (uint32_t k = 0; k < n; k++) {
        length[32 - __builtin_clz(scratch[k] | 1) - (scratch[k] == 0)]++;
        sum += scratch[k];
    }
    spki_col_packed(&col, length, n, bytes);
    if (!bytes) spki_col_rice(&col, scratch, n, sum);
    if (base) {
        col.mode |= SPKI_COL_BASE;
        col.bits += 32;
    }
    if (best->bits == 0 || col.bits < best->bits) *best = col;
}

/* Of all ways to code a column the smallest. */
SPKI_FN spki_col spki_col_choose(const uint32_t *value, uint32_t n, bool bytes, uint32_t *scratch)
{
    spki_col best;
    uint32_t low = value[0], high = value[0];
    bool rising = true;
    memset(&best, 0, sizeof best);
    for (uint32_t k = 1; k < n; k++) {
        rising &= value[k] >= value[k - 1];
        low = SPKI_MIN(low, value[k]);
        high = SPKI_MAX(high, value[k]);
    }
    if (!rising || high - low < 2 || bytes) {
        spki_col_try(&best, value, n, SPKI_COL_PLAIN, 0, bytes, scratch);
        if (low > 0) spki_col_try(&best, value, n, SPKI_COL_PLAIN, low, bytes, scratch);
    }
    if (best.bits == 0 || best.bits > 2 * (uint64_t)n) /* differences take more than a bit */
        spki_col_try(&best, value, n, rising ? SPKI_COL_DELTA : SPKI_COL_ZIGZAG, value[0], bytes,
                     scratch);
    return best;
}

/* -- writing it -- */

/* One bit set after each residual's zeros. */
SPKI_FN uint8_t *spki_put_unary(uint8_t *to, const uint32_t *r, uint32_t n, uint32_t k,
                                size_t bytes)
{
    size_t at = 0;
    memset(to, 0, bytes);
    for (uint32_t i = 0; i < n; i++) {
        at += r[i] >> k;
        to[at / 8] = (uint8_t)(to[at / 8] | 1u << (at % 8));
        at++;
    }
    return to + bytes;
}

/* The places and high bits of the residuals that do not fit `width`. `scratch`: 2 blocks. */
SPKI_FN uint8_t *spki_put_exceptions(uint8_t *to, const spki_col *col, const uint32_t *r,
                                     uint32_t n, uint32_t *scratch)
{
    uint32_t *place = scratch, *high = scratch + SPKI_SF_BLOCK_ROOM, m = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (spki_bits32(r[i]) <= col->width) continue;
        place[m] = i;
        high[m++] = col->width < 32 ? r[i] >> col->width : 0;
    }
    *to++ = (uint8_t)col->high;
    to = spki_pack(to, place, m, spki_place_bits(n));
    return spki_pack(to, high, m, col->high);
}

/* The column's data; its descriptor goes to `descriptor` (4 bytes). `scratch`: 3 blocks. */
SPKI_FN uint8_t *spki_col_put(uint8_t *to, uint8_t *descriptor, const spki_col *col,
                              const uint32_t *value, uint32_t n, uint32_t *scratch)
{
    descriptor[0] = (uint8_t)col->mode;
    descriptor[1] = (uint8_t)col->width;
    spki_store16_le(descriptor + 2, (uint16_t)col->extra);
    spki_col_residuals(value, n, col->mode, col->base, scratch);
    if (col->mode & SPKI_COL_BASE) {
        spki_store32_le(to, col->base);
        to += 4;
    }
    to = spki_pack(to, scratch, n, col->width);
    if (col->mode & SPKI_COL_RICE) return spki_put_unary(to, scratch, n, col->width, col->extra);
    if (col->extra) to = spki_put_exceptions(to, col, scratch, n, scratch + SPKI_SF_BLOCK_ROOM);
    return to;
}

#endif
