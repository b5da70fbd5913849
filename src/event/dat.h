/* ---- >>dat: Prophesee DAT, records of decoded events ---- */
#ifndef SPIKELIB_EVENT_DAT_H
#define SPIKELIB_EVENT_DAT_H

#include "lanes.h"
#include "raw.h"
#include "writer.h"

/* Source: openeb 5.1.1, DAT_helper.h, event2d.h, event_ext_trigger.h; metavision_core dat_tools.py.
   Header lines, a byte of type and one of size (neither where there is no line), then records that
   begin with a 32-bit time. */
#define SPKI_DAT_EVENT2D 0u
#define SPKI_DAT_CD 12u
#define SPKI_DAT_TRIGGER 14u
#define SPKI_DAT_FLOW 40u
/* A step forward of nearly the whole range is a small one back across a wrap. */
#define SPKI_DAT_FAR (((int64_t)1 << 32) - 1000000)

typedef struct spki_dat_state {
    spki_raw_header header;
    bool has_lines_end, in_data, has_time;
    uint8_t type, size;
    uint32_t last; /* time as stored */
    int64_t loops; /* 2^32 us for each wrap so far */
} spki_dat_state;

/* Records may be longer than what is known of them. */
SPKI_FN bool spki_dat_known(uint32_t type, uint32_t size)
{
    return ((type == SPKI_DAT_EVENT2D || type == SPKI_DAT_CD || type == SPKI_DAT_TRIGGER) &&
            size >= 8) ||
           (type == SPKI_DAT_FLOW && size >= 28);
}

SPKI_FN spki_sniff spki_dat_sniff(const uint8_t *head, size_t size, bool whole)
{
    spki_raw_header h;
    spki_io io;
    memset(&h, 0, sizeof h);
    memset(&io, 0, sizeof io);
    io.in = head;
    io.in_end = head + size;
    io.last = whole;
    if (size > 0 && head[0] != '%') return SPKI_SNIFF_NO;
    if (!spki_raw_read_header(&h, &io) && !whole) return SPKI_SNIFF_MORE;
    if (!h.lines || h.format != SPK_FORMAT_AUTO) return SPKI_SNIFF_NO;
    if (io.in_end - io.in < 2)
        return !whole ? SPKI_SNIFF_MORE : h.is_dat ? SPKI_SNIFF_YES : SPKI_SNIFF_NO;
    return (h.is_dat && h.system_id == 0) || spki_dat_known(io.in[0], io.in[1]) ? SPKI_SNIFF_YES
                                                                               : SPKI_SNIFF_NO;
}

/* By name alone: no header, so that it must be records of eight bytes with times that go on. */
SPKI_FN bool spki_dat_accept(const uint8_t *head, size_t size)
{
    size_t k, back = 0;
    if (size < 8 || head[0] == '%' || head[0] == '#') return false;
    for (k = 8; k + 8 <= size; k += 8)
        back += spki_load32_le(head + k) < spki_load32_le(head + k - 8);
    return back <= size / 64;
}

/* True once the header and the two bytes after it are behind us. */
SPKI_FN bool spki_dat_begin_data(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    if (s->in_data) return true;
    if (!s->has_lines_end && !spki_raw_read_header(&s->header, io)) return false;
    s->has_lines_end = true;
    s->type = SPKI_DAT_EVENT2D;
    s->size = 8;
    if (s->header.lines) {
        if (io->in_end - io->in < 2) return false;
        s->type = io->in[0];
        s->size = io->in[1];
        if (!spki_dat_known(s->type, s->size)) {
            spki_decoder_fail(d, SPK_ERR_FORMAT, io->in,
                              "DAT: events of type %u and %u bytes (known: 0, 12 and 14 of 8 or "
                              "more, 40 of 28 or more)",
                              s->type, s->size);
            return false;
        }
        io->in += 2;
    }
    spki_decoder_size(d, SPKI_MIN(s->header.width, 65536u), SPKI_MIN(s->header.height, 65536u));
    s->in_data = true;
    return true;
}

SPKI_FN int64_t spki_dat_time(spk_decoder *d, uint32_t t, const uint8_t *where)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    if (s->has_time) {
        if (t < s->last && s->last - t > 0x80000000u)
            s->loops += (int64_t)1 << 32;
        else if (t > s->last && t - s->last > SPKI_DAT_FAR && s->loops > 0) {
            spki_decoder_violation(d, where, "time goes back across its wrap");
            return s->loops - ((int64_t)1 << 32) + t; /* `last` stays behind the wrap */
        } else if (t < s->last)
            spki_decoder_violation(d, where, "time goes back");
    }
    s->has_time = true;
    s->last = t;
    return s->loops + t;
}

SPKI_FN void spki_dat_flow(spk_decoder *d, int64_t t_us, uint32_t x, uint32_t y, const uint8_t *p)
{
    spk_extra extra;
    memset(&extra, 0, sizeof extra);
    extra.t_us = t_us;
    extra.x = (uint16_t)x;
    extra.y = (uint16_t)y;
    extra.kind = SPK_EXTRA_FLOW;
    extra.bytes = p;
    extra.size = 20;
    spki_decoder_extra(d, &extra);
}

SPKI_FN void spki_dat_record(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    const uint8_t *p = io->in;
    uint32_t w = spki_load32_le(p + 4), x = w & 0x3fffu, y = (w >> 14) & 0x3fffu, on = w >> 28 & 1u;
    int64_t t = spki_dat_time(d, spki_load32_le(p), p);
    if (s->type == SPKI_DAT_TRIGGER) {
        spki_raw_trigger(d, io, t, w >> 26, w & 1u);
        return;
    }
    if (s->header.dat_version == 1) {
        x = w & 0x1ffu;
        y = (w >> 9) & 0xffu;
        on = (w >> 17) & 1u;
    }
    if (x >= spki_decoder_columns(d) || y >= spki_decoder_rows(d)) {
        d->stats.dropped++;
        return;
    }
    spki_event_store(io->out++, t, x | (uint64_t)y << 16 | (uint64_t)on << 32 | d->source_bits);
    if (s->type == SPKI_DAT_FLOW) spki_dat_flow(d, t, x, y, p + 8);
}

/* CD records of version 2 whose times do not run back, eight (four) at a time. The comparison with
   the next record reads that one, too. */
#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_FN void spki_dat_run_avx2(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    __m256i columns = _mm256_set1_epi64x(spki_decoder_columns(d));
    __m256i rows = _mm256_set1_epi64x(spki_decoder_rows(d));
    __m256i base = _mm256_set1_epi64x(s->loops), low = _mm256_set1_epi64x(0xffffffff);
    __m256i more = _mm256_set1_epi64x((int64_t)d->source_bits);
    __m256i far = _mm256_set1_epi64x(SPKI_DAT_FAR);
    while (io->in_end - io->in >= 40 && io->out_end - io->out >= 4) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)io->in);
        __m256i n = _mm256_loadu_si256((const __m256i *)(const void *)(io->in + 8));
        __m256i t = _mm256_and_si256(v, low), w = _mm256_srli_epi64(v, 32), x, y, bad, rest;
        x = _mm256_and_si256(w, _mm256_set1_epi64x(0x3fff));
        y = _mm256_and_si256(_mm256_srli_epi64(w, 14), _mm256_set1_epi64x(0x3fff));
        n = _mm256_sub_epi64(_mm256_and_si256(n, low), t);
        bad = _mm256_or_si256(_mm256_cmpgt_epi64(_mm256_setzero_si256(), n),
                              _mm256_cmpgt_epi64(n, far));
        bad = _mm256_or_si256(
            bad, _mm256_cmpgt_epi64(x, _mm256_sub_epi64(columns, _mm256_set1_epi64x(1))));
        bad = _mm256_or_si256(bad,
                              _mm256_cmpgt_epi64(y, _mm256_sub_epi64(rows, _mm256_set1_epi64x(1))));
        if (!_mm256_testz_si256(bad, bad)) return;
        rest = _mm256_or_si256(_mm256_or_si256(x, more), _mm256_slli_epi64(y, 16));
        w = _mm256_and_si256(_mm256_slli_epi64(w, 4), _mm256_set1_epi64x((int64_t)1 << 32));
        spki_store4_avx2(io->out, _mm256_add_epi64(base, t), _mm256_or_si256(rest, w));
        s->last = spki_load32_le(io->in + 24);
        io->in += 32;
        io->out += 4;
    }
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EVENT_AVX512 SPKI_FN void spki_dat_run_avx512(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    __m512i columns = _mm512_set1_epi64(spki_decoder_columns(d));
    __m512i rows = _mm512_set1_epi64(spki_decoder_rows(d));
    __m512i base = _mm512_set1_epi64(s->loops), low = _mm512_set1_epi64(0xffffffff);
    __m512i more = _mm512_set1_epi64((int64_t)d->source_bits);
    __m512i far = _mm512_set1_epi64(SPKI_DAT_FAR);
    while (io->in_end - io->in >= 72 && io->out_end - io->out >= 8) {
        __m512i v = _mm512_loadu_si512(io->in), n = _mm512_loadu_si512(io->in + 8);
        __m512i t = _mm512_and_si512(v, low), w = _mm512_srli_epi64(v, 32), x, y, rest;
        uint32_t bad = _mm512_cmpgt_epu64_mask(_mm512_sub_epi64(_mm512_and_si512(n, low), t), far);
        x = _mm512_and_si512(w, _mm512_set1_epi64(0x3fff));
        y = _mm512_and_si512(_mm512_srli_epi64(w, 14), _mm512_set1_epi64(0x3fff));
        bad |= _mm512_cmpge_epu64_mask(x, columns) | _mm512_cmpge_epu64_mask(y, rows);
        if (bad) return;
        rest = _mm512_or_si512(_mm512_or_si512(x, more), _mm512_slli_epi64(y, 16));
        w = _mm512_and_si512(_mm512_slli_epi64(w, 4), _mm512_set1_epi64((int64_t)1 << 32));
        spki_store8_avx512(io->out, _mm512_add_epi64(base, t), _mm512_or_si512(rest, w));
        s->last = spki_load32_le(io->in + 56);
        io->in += 64;
        io->out += 8;
    }
}
#endif

/* The next record is known to come no earlier than the last. */
SPKI_INLINE void spki_dat_run(spk_decoder *d, spki_io *io)
{
    const spki_dat_state *s = (const spki_dat_state *)d->state;
    if (s->size != 8 || s->type == SPKI_DAT_TRIGGER || s->header.dat_version == 1) return;
    if (!s->has_time || io->in_end - io->in < 8 || spki_load32_le(io->in) < s->last ||
        spki_load32_le(io->in) - s->last > SPKI_DAT_FAR)
        return;
#if SPKI_HAVE_AVX512
    if (d->isa == SPK_ISA_AVX512) spki_dat_run_avx512(d, io);
#endif
#if SPKI_HAVE_AVX2
    if (d->isa == SPK_ISA_AVX2) spki_dat_run_avx2(d, io);
#endif
}

SPKI_FN void spki_dat_decode(spk_decoder *d, spki_io *io)
{
    spki_dat_state *s = (spki_dat_state *)d->state;
    if (!spki_dat_begin_data(d, io)) return;
    while (d->result == SPK_OK) {
        spki_dat_run(d, io);
        if (io->in_end - io->in < s->size || io->out == io->out_end) return;
        spki_dat_record(d, io);
        io->in += s->size;
    }
}

static const spki_codec spki_dat_codec = {
    SPK_FORMAT_DAT, ".dat ", sizeof(spki_dat_state), spki_dat_sniff, spki_dat_accept,
    NULL,           NULL,    spki_dat_decode,        NULL,           NULL};

/* -- writer -- */

typedef struct spki_dat_writer {
    int64_t last_us;
} spki_dat_writer;

SPKI_FN void spki_dat_write_header(spk_event_writer *w)
{
    char text[128];
    spki_writer_text(w, "% Data file containing CD events.\n% Version 2\n");
    if (w->desc.width && w->desc.height) {
        snprintf(text, sizeof text, "%% Width %u\n%% Height %u\n", w->desc.width, w->desc.height);
        spki_writer_text(w, text);
    }
    spki_writer_text(w, "\x0c\x08");
}

/* The reader sees a wrap where the stored time steps back by more than half its range. */
SPKI_FN bool spki_dat_can_tell(int64_t last, int64_t t)
{
    return t >> 32 == last >> 32 ||
           (t >> 32 == (last >> 32) + 1 && (last & 0xffffffff) - (t & 0xffffffff) > 0x80000000);
}

SPKI_FN void spki_dat_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_dat_writer *s = (spki_dat_writer *)w->state;
    for (; count > 0; count--, e++) {
        int64_t last = s->last_us;
        uint8_t *p;
        if (!spki_writer_time(w, e, &s->last_us) || !spki_writer_cd(w, e) ||
            !spki_writer_range(w, e, 16383, 16383))
            return;
        if (!spki_dat_can_tell(last, e->t_us)) {
            spki_writer_refuse(w, e, "the low 32 bits of the time do not tell it");
            return;
        }
        p = spki_writer_room(w, 8);
        if (!p) return;
        spki_store32_le(p, (uint32_t)e->t_us);
        spki_store32_le(p + 4,
                        (uint32_t)e->x | (uint32_t)e->y << 14 | (e->polarity ? 1u : 0u) << 28);
        w->fill += 8;
        w->encoded++;
    }
}

static const spki_encoder spki_dat_encoder = {
    SPK_FORMAT_DAT, ".dat ", sizeof(spki_dat_writer), spki_dat_write_header, spki_dat_encode,
    NULL,           NULL};

#endif
