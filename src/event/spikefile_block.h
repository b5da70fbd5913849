/* ---- >>spikefile-block: 1,024 records to bytes and back ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_BLOCK_H
#define SPIKELIB_EVENT_SPIKEFILE_BLOCK_H

#include "../api/spikefile.h"
#include "spikefile_unpack.h"

#define SPKI_SF_RECORD 16u
/* Descriptors, 64-bit times, three columns that do not pack at all. */
#define SPKI_SF_BLOCK_MAX (16u + 8u * SPKI_SF_BLOCK + 3u * (4u * SPKI_SF_BLOCK + 64u))

/* Room for the columns of a block and for what coding them takes. */
typedef struct spki_sf_scratch {
    uint32_t column[4][SPKI_SF_BLOCK_ROOM];
    uint32_t residual[3][SPKI_SF_BLOCK_ROOM];
    uint32_t place[4][SPKI_SF_BLOCK_ROOM];
} spki_sf_scratch;

SPKI_INLINE uint32_t spki_sf_columns(spk_spikefile_kind kind)
{
    return kind == SPK_SPIKEFILE_EVENTS ? 4 : 2;
}

SPKI_INLINE int64_t spki_sf_time(spk_spikefile_kind kind, const void *records, size_t k)
{
    if (kind == SPK_SPIKEFILE_EVENTS) return ((const spk_event *)records)[k].t_us;
    return (int64_t)((const spk_spike *)records)[k].step;
}

/* -- to bytes -- */

SPKI_FN void spki_sf_split(spk_spikefile_kind kind, const void *records, uint32_t n, int64_t first,
                           spki_sf_scratch *s)
{
    const spk_event *event = (const spk_event *)records;
    const spk_spike *spike = (const spk_spike *)records;
    for (uint32_t k = 0; k < n; k++) {
        s->column[0][k] = (uint32_t)((uint64_t)spki_sf_time(kind, records, k) - (uint64_t)first);
        if (kind == SPK_SPIKEFILE_SPIKES) {
            s->column[1][k] = spike[k].neuron;
            continue;
        }
        s->column[1][k] = event[k].x;
        s->column[2][k] = event[k].y;
        s->column[3][k] = (uint32_t)event[k].polarity | (uint32_t)event[k].kind << 1 |
                          (uint32_t)event[k].source << 9;
    }
}

/* Spikes in (step, neuron) order are one rising number, (step << width) + neuron, whose gaps are
   smaller than the two apart. False where they are not, or where it does not fit 32 bits. */
SPKI_FN bool spki_sf_fuse(spki_sf_scratch *s, uint32_t n, uint32_t *fused, uint32_t *width)
{
    uint32_t ids = 0, times = 0, last = 0;
    for (uint32_t k = 0; k < n; k++) {
        ids |= s->column[1][k];
        times |= s->column[0][k];
    }
    *width = spki_bits32(ids);
    if (*width + spki_bits32(times) > 31) return false;
    for (uint32_t k = 0; k < n; k++) {
        fused[k] = s->column[0][k] << *width | s->column[1][k];
        if (fused[k] < last) return false;
        last = fused[k];
    }
    return true;
}

/* One block; `first` is its earliest time and `span` the time from there to the latest. `bytes`:
   whole bytes only, for a compressor. Returns the end of what was written. */
SPKI_FN uint8_t *spki_sf_encode(spk_spikefile_kind kind, const void *records, uint32_t n,
                                int64_t first, uint64_t span, bool bytes, uint8_t *to,
                                spki_sf_scratch *s)
{
    const uint32_t columns = spki_sf_columns(kind);
    uint8_t *descriptor = to;
    uint32_t c = 0, width = 0;
    spki_sf_split(kind, records, n, first, s);
    to += 4 * columns;
    if (span >= UINT32_MAX) {
        spki_store32_le(descriptor, SPKI_COL_WIDE);
        for (uint32_t k = 0; k < n; k++, to += 8)
            spki_store64_le(to, (uint64_t)spki_sf_time(kind, records, k));
        c = 1;
    } else if (kind == SPK_SPIKEFILE_SPIKES && !bytes && spki_sf_fuse(s, n, s->column[2], &width)) {
        const spki_col time = spki_col_choose(s->column[0], n, false, s->residual[0]);
        const spki_col neuron = spki_col_choose(s->column[1], n, false, s->residual[0]);
        const spki_col both = spki_col_choose(s->column[2], n, false, s->residual[0]);
        if (both.bits <= time.bits + neuron.bits) {
            to = spki_col_put(to, descriptor, &both, s->column[2], n, s->residual[0]);
            spki_store32_le(descriptor + 4, SPKI_COL_FUSED | width << 8);
            return to;
        }
    }
    for (; c < columns; c++) {
        const spki_col col = spki_col_choose(s->column[c], n, bytes, s->residual[0]);
        to = spki_col_put(to, descriptor + 4 * c, &col, s->column[c], n, s->residual[0]);
    }
    return to;
}

/* -- and back -- */

/* Adds the high bits of the values that did not fit. Returns the end of the column, or NULL. */
SPKI_FN const uint8_t *spki_sf_patch(const spki_unpacker *u, const uint8_t *p, const uint8_t *end,
                                     uint32_t n, uint32_t width, uint32_t count, uint32_t *out,
                                     spki_sf_scratch *s)
{
    const uint32_t bits = spki_place_bits(n);
    const size_t places = spki_packed_bytes(count, bits);
    uint32_t high;
    if (count > n || width > 31 || p == end) return NULL;
    high = *p++;
    if (high > 32 || places + spki_packed_bytes(count, high) > (size_t)(end - p)) return NULL;
    u->unpack(p, bits, count, s->residual[0]);
    p += places;
    u->unpack(p, high, count, s->residual[1]);
    for (uint32_t k = 0; k < count; k++) {
        const uint32_t at = s->residual[0][k];
        if (at >= n) return NULL;
        out[at] |= s->residual[1][k] << width;
    }
    return p + spki_packed_bytes(count, high);
}

/* One column. Returns its end, or NULL where the bytes make no sense. */
SPKI_FN const uint8_t *spki_sf_column(const spki_unpacker *u, const uint8_t *p, const uint8_t *end,
                                      const uint8_t *descriptor, uint32_t n, uint32_t *out,
                                      spki_sf_scratch *s)
{
    const uint32_t mode = descriptor[0], width = descriptor[1];
    const uint32_t extra = spki_load16_le(descriptor + 2), kind = mode & SPKI_COL_KIND;
    uint32_t base = 0;
    if ((mode & ~(uint32_t)(SPKI_COL_KIND | SPKI_COL_RICE | SPKI_COL_BASE)) || width > 32)
        return NULL;
    if (mode & SPKI_COL_BASE) {
        if (end - p < 4) return NULL;
        base = spki_load32_le(p);
        p += 4;
    }
    if (spki_packed_bytes(n, width) > (size_t)(end - p)) return NULL;
    u->unpack(p, width, n, out);
    p += spki_packed_bytes(n, width);
    if (mode & SPKI_COL_RICE) {
        uint32_t *place = s->residual[0] + 16;
        if (width > 31 || extra > (size_t)(end - p)) return NULL;
        place[-1] = UINT32_MAX;
        if (!u->ones(p, extra, n, place)) return NULL;
        u->unary(out, place, width, n);
        p += extra;
    } else if (extra) {
        p = spki_sf_patch(u, p, end, n, width, extra, out, s);
        if (!p) return NULL;
    }
    if (kind == SPKI_COL_DELTA)
        u->sum(out, n, base);
    else if (kind == SPKI_COL_ZIGZAG)
        u->zigzag(out, n, base);
    else if (kind != SPKI_COL_PLAIN)
        return NULL;
    else if (base)
        u->add(out, n, base);
    return p;
}

/* A column that needs no more than unpacking (times may be gaps): where it is, and its end in *p.
   Else false, and the column's own function sees what is wrong, if anything is. */
SPKI_FN bool spki_sf_packed(const spki_unpacker *u, const uint8_t **p, const uint8_t *end,
                            const uint8_t *descriptor, uint32_t n, bool times, uint32_t *room,
                            spki_sf_source *from)
{
    const uint32_t mode = descriptor[0], width = descriptor[1];
    const uint32_t extra = spki_load16_le(descriptor + 2);
    const bool rice = (mode & SPKI_COL_RICE) != 0;
    const uint8_t *in = *p;
    from->gaps = times && (mode & SPKI_COL_KIND) == SPKI_COL_DELTA;
    if ((mode & ~(SPKI_COL_BASE | SPKI_COL_RICE)) != (from->gaps ? SPKI_COL_DELTA : SPKI_COL_PLAIN))
        return false;
    if (width > SPKI_SF_DIRECT || (extra && !rice)) return false;
    from->base = 0;
    if (mode & SPKI_COL_BASE) {
        if (end - in < 4) return false;
        from->base = spki_load32_le(in);
        in += 4;
    }
    if (spki_packed_bytes(n, width) > (size_t)(end - in)) return false;
    from->in = in;
    from->column = NULL;
    from->width = width;
    in += spki_packed_bytes(n, width);
    from->place = rice ? room + 16 : NULL;
    room[15] = UINT32_MAX;
    if (rice && (extra > (size_t)(end - in) || !u->ones(in, extra, n, room + 16))) return false;
    *p = in + extra;
    return true;
}

/* Events whose columns are unpacked while they are put together; those that take more become
   columns first. */
SPKI_FN bool spki_sf_direct(const spki_unpacker *u, const uint8_t *p, const uint8_t *end,
                            const uint8_t *descriptor, uint32_t n, int64_t first,
                            spki_sf_scratch *s, spk_event *out)
{
    spki_sf_source from[4];
    for (uint32_t c = 0; c < 4; c++) {
        const uint8_t *d = descriptor + 4 * c;
        memset(from + c, 0, sizeof *from);
        if (spki_sf_packed(u, &p, end, d, n, c == 0, s->place[c], from + c)) continue;
        p = spki_sf_column(u, p, end, d, n, s->column[c], s);
        if (!p) return false;
        memset(from + c, 0, sizeof *from);
        from[c].column = s->column[c];
    }
    u->direct(out, first, from, n);
    return true;
}

SPKI_FN void spki_sf_wide(spk_spikefile_kind kind, const uint8_t *p, uint32_t n, void *out)
{
    for (uint32_t k = 0; k < n; k++) {
        const uint64_t t = spki_load64_le(p + 8 * (size_t)k);
        if (kind == SPK_SPIKEFILE_EVENTS)
            ((spk_event *)out)[k].t_us = (int64_t)t;
        else
            ((spk_spike *)out)[k].step = t;
    }
}

/* n records to `out`, which has room for n rounded up to a multiple of 16. False where the bytes
   make no sense, which only a writer with bad intentions (or a skipped checksum) brings about. */
SPKI_FN bool spki_sf_decode(const spki_unpacker *u, spk_spikefile_kind kind, const uint8_t *p,
                            size_t size, uint32_t n, int64_t first, spki_sf_scratch *s, void *out)
{
    const uint32_t columns = spki_sf_columns(kind);
    const uint8_t *descriptor = p, *end = p + size, *wide = NULL;
    uint32_t c = 0;
    if (size < 4 * columns || n == 0 || n > SPKI_SF_BLOCK) return false;
    p += 4 * columns;
    if (descriptor[0] == SPKI_COL_WIDE) {
        if (size < 4 * columns + 8 * (size_t)n) return false;
        wide = p;
        p += 8 * (size_t)n;
        memset(s->column[0], 0, sizeof s->column[0]);
        first = 0;
        c = 1;
    } else if (kind == SPK_SPIKEFILE_EVENTS && u->direct)
        return spki_sf_direct(u, p, end, descriptor, n, first, s, (spk_event *)out);
    for (; c < columns; c++) {
        if (c == 1 && !wide && kind == SPK_SPIKEFILE_SPIKES && descriptor[4] == SPKI_COL_FUSED) {
            if (descriptor[5] > 32) return false;
            u->fused((spk_spike *)out, first, s->column[0], descriptor[5], n);
            return true;
        }
        p = spki_sf_column(u, p, end, descriptor + 4 * c, n, s->column[c], s);
        if (!p) return false;
    }
    if (kind == SPK_SPIKEFILE_EVENTS)
        u->events((spk_event *)out, first, s->column[0], s->column[1], s->column[2], s->column[3],
                  n);
    else
        u->spikes((spk_spike *)out, first, s->column[0], s->column[1], n);
    if (wide) spki_sf_wide(kind, wide, n, out);
    return true;
}

/* -- records as they are: little-endian, 16 bytes -- */

SPKI_FN void spki_sf_raw_put(spk_spikefile_kind kind, const void *records, size_t n, uint8_t *to)
{
    for (size_t k = 0; k < n; k++, to += SPKI_SF_RECORD) {
        const spk_event *e = (const spk_event *)records + k;
        const spk_spike *spike = (const spk_spike *)records + k;
        spki_store64_le(to, (uint64_t)spki_sf_time(kind, records, k));
        if (kind == SPK_SPIKEFILE_SPIKES) {
            spki_store32_le(to + 8, spike->neuron);
            spki_store32_le(to + 12, 0);
            continue;
        }
        spki_store16_le(to + 8, e->x);
        spki_store16_le(to + 10, e->y);
        to[12] = e->polarity;
        to[13] = e->kind;
        spki_store16_le(to + 14, e->source);
    }
}

SPKI_FN void spki_sf_raw_get(spk_spikefile_kind kind, const uint8_t *from, size_t n, void *records)
{
    for (size_t k = 0; k < n; k++, from += SPKI_SF_RECORD) {
        spk_event *e = (spk_event *)records + k;
        spk_spike *spike = (spk_spike *)records + k;
        if (kind == SPK_SPIKEFILE_SPIKES) {
            spike->step = spki_load64_le(from);
            spike->neuron = spki_load32_le(from + 8);
            spike->reserved = spki_load32_le(from + 12);
            continue;
        }
        e->t_us = (int64_t)spki_load64_le(from);
        e->x = (uint16_t)spki_load16_le(from + 8);
        e->y = (uint16_t)spki_load16_le(from + 10);
        e->polarity = from[12];
        e->kind = from[13];
        e->source = (uint16_t)spki_load16_le(from + 14);
    }
}

#endif
