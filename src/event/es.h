/* ---- >>es: Event Stream 2.0 ---- */
#ifndef SPIKELIB_EVENT_ES_H
#define SPIKELIB_EVENT_ES_H

#include "nmnist.h"

/* Source: neuromorphic-paris/event_stream, README. "Event Stream", three bytes of version, one of
   type, then width and height but for type 0. Times are steps from the last event. */
#define SPKI_ES_GENERIC 0u
#define SPKI_ES_DVS 1u
#define SPKI_ES_ATIS 2u
#define SPKI_ES_AMD 3u
#define SPKI_ES_COLOUR 4u

typedef struct spki_es_state {
    bool in_data;
    uint8_t type;
    uint32_t flip; /* height - 1: y = 0 is the bottom row; UINT32_MAX: leave y */
    int64_t t;
    uint8_t *bytes;         /* of a generic event: as long as the longest so far */
    size_t room, size, got; /* `size` of the event under way, of which `got` bytes came */
    uint32_t shift;         /* bits of its size that were read */
    uint32_t part;          /* 0: idle, 1: the size, 2: the bytes */
} spki_es_state;

SPKI_FN spki_sniff spki_es_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "Event Stream";
    size_t n = SPKI_MIN(size, sizeof mark - 1);
    (void)whole;
    if (memcmp(head, mark, n) != 0) return SPKI_SNIFF_NO;
    return n == sizeof mark - 1 ? SPKI_SNIFF_YES : SPKI_SNIFF_MORE;
}

/* True once the header is behind us. */
SPKI_FN bool spki_es_begin_data(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    size_t n = (size_t)(io->in_end - p), need = 16;
    if (s->in_data) return true;
    if (n >= 12 && memcmp(p, "Event Stream", 12) != 0) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, p, "ES: it does not begin with \"Event Stream\"");
        return false;
    }
    if (n >= 16 && p[12] == 2 && p[15] != SPKI_ES_GENERIC && p[15] <= SPKI_ES_COLOUR) need = 20;
    if (n < need) {
        if (io->last)
            spki_decoder_fail(d, SPK_ERR_FORMAT, p, "ES: the stream ends within the header");
        return false;
    }
    if (p[12] != 2 || p[15] > SPKI_ES_COLOUR || p[15] == SPKI_ES_AMD) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, p + 12,
                          "ES: version %u.%u.%u, type %u (known: 2, types 0, 1, 2 and 4)", p[12],
                          p[13], p[14], p[15]);
        return false;
    }
    s->type = p[15];
    s->flip = UINT32_MAX;
    if (need == 20) spki_decoder_size(d, spki_load16_le(p + 16), spki_load16_le(p + 18));
    if (need == 20 && !d->desc.as_stored) s->flip = (uint32_t)spki_load16_le(p + 18) - 1u;
    if (s->type == SPKI_ES_GENERIC || s->type == SPKI_ES_COLOUR) d->mixed = true;
    io->in += need;
    s->in_data = true;
    return true;
}

/* A place on the sensor; false: outside of it. */
SPKI_FN bool spki_es_place(spk_decoder *d, const uint8_t *p, uint32_t *x, uint32_t *y)
{
    const spki_es_state *s = (const spki_es_state *)d->state;
    *x = spki_load16_le(p);
    *y = spki_load16_le(p + 2);
    if (s->flip != UINT32_MAX && *y <= s->flip)
        *y = s->flip - *y;
    else if (s->flip != UINT32_MAX)
        *y = 65536;
    if (*x < spki_decoder_columns(d) && *y < spki_decoder_rows(d)) return true;
    d->stats.dropped++;
    return false;
}

SPKI_FN void spki_es_extra(spk_decoder *d, spk_extra_kind kind, uint32_t x, uint32_t y,
                           const uint8_t *bytes, size_t size)
{
    spk_extra extra;
    memset(&extra, 0, sizeof extra);
    extra.t_us = ((spki_es_state *)d->state)->t;
    extra.x = (uint16_t)x;
    extra.y = (uint16_t)y;
    extra.kind = kind;
    extra.bytes = bytes;
    extra.size = size;
    spki_decoder_extra(d, &extra);
}

/* One byte or one event; false: it is not whole. */
SPKI_FN bool spki_es_dvs(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    uint32_t x, y;
    if (*p >= 0xfe) {
        s->t += *p == 0xff ? 127 : 0;
        io->in++;
        return true;
    }
    if (io->in_end - p < 5) return false;
    s->t += *p >> 1;
    if (spki_es_place(d, p + 1, &x, &y))
        spki_event_store(io->out++, s->t,
                         x | (uint64_t)y << 16 | (uint64_t)(*p & 1u) << 32 | d->source_bits);
    io->in += 5;
    return true;
}

SPKI_FN bool spki_es_atis(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    uint8_t second = (uint8_t)((*p >> 1) & 1u);
    uint32_t x, y;
    if ((*p & 0xfc) == 0xfc) {
        s->t += 63 * (*p & 3);
        io->in++;
        return true;
    }
    if (io->in_end - p < 5) return false;
    s->t += *p >> 2;
    io->in += 5;
    if (!spki_es_place(d, p + 1, &x, &y)) return true;
    if (*p & 1u)
        spki_es_extra(d, SPK_EXTRA_EXPOSURE, x, y, &second, 1);
    else
        spki_event_store(io->out++, s->t,
                         x | (uint64_t)y << 16 | (uint64_t)second << 32 | d->source_bits);
    return true;
}

SPKI_FN bool spki_es_colour(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    const uint8_t *p = io->in;
    uint32_t x, y;
    if (*p >= 0xfe) {
        s->t += *p == 0xff ? 254 : 0;
        io->in++;
        return true;
    }
    if (io->in_end - p < 8) return false;
    s->t += *p;
    io->in += 8;
    if (!spki_es_place(d, p + 1, &x, &y)) return true;
    spki_event_store(io->out++, s->t,
                     x | (uint64_t)y << 16 | (uint64_t)SPK_EVENT_OTHER << 40 | d->source_bits);
    spki_es_extra(d, SPK_EXTRA_COLOUR, x, y, p + 5, 3);
    return true;
}

SPKI_FN bool spki_es_grow(spk_decoder *d, size_t room)
{
    spki_es_state *s = (spki_es_state *)d->state;
    uint8_t *bytes = (uint8_t *)spki_decoder_alloc(d, room, 1);
    if (!bytes) return false;
    if (s->got > 0) memcpy(bytes, s->bytes, s->got);
    spki_free(&d->mem, s->bytes, s->room, 1);
    s->bytes = bytes;
    s->room = room;
    return true;
}

/* The bytes of a generic event, as many as there are: room grows with what really comes, so that a
   damaged size costs no memory. */
SPKI_FN void spki_es_generic_bytes(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    size_t n = SPKI_MIN(s->size - s->got, (size_t)(io->in_end - io->in));
    if (s->got + n > s->room && !spki_es_grow(d, SPKI_MAX(2 * s->room, s->got + n))) return;
    if (n > 0) memcpy(s->bytes + s->got, io->in, n);
    s->got += n;
    io->in += n;
    if (s->got < s->size) return;
    spki_event_store(io->out++, s->t, (uint64_t)SPK_EVENT_OTHER << 40 | d->source_bits);
    spki_es_extra(d, SPK_EXTRA_GENERIC, 0, 0, s->bytes, s->size);
    s->part = 0;
}

SPKI_FN bool spki_es_generic(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    uint32_t b;
    if (s->part == 2) {
        spki_es_generic_bytes(d, io);
        return true;
    }
    b = *io->in;
    if (s->part == 0) {
        io->in++;
        s->t += b == 0xff ? 254 : b == 0xfe ? 0 : b;
        s->part = b < 0xfe;
        s->size = s->got = 0;
        s->shift = 0;
        return true;
    }
    if (s->shift >= 28) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, io->in, "ES: an event of more than 2^28 bytes");
        return false;
    }
    io->in++;
    s->size |= (size_t)(b >> 1) << s->shift; /* the lowest bit: more bytes of size follow */
    s->shift += 7;
    if ((b & 1u) == 0) s->part = 2;
    if (s->part == 2 && s->size == 0) spki_es_generic_bytes(d, io);
    return true;
}

/* Four DVS events at a time, while none is an overflow, a reset, or outside of the sensor. */
#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_FN void spki_es_run_avx2(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    __m256i x_max = _mm256_set1_epi64x((int64_t)spki_decoder_columns(d) - 1);
    __m256i y_max = _mm256_set1_epi64x((int64_t)spki_decoder_rows(d) - 1);
    __m256i more = _mm256_set1_epi64x((int64_t)d->source_bits), word = _mm256_set1_epi64x(0xffff);
    __m256i on = _mm256_set1_epi64x((int64_t)1 << 32), base = _mm256_set1_epi64x(s->t);
    __m256i flip = _mm256_set1_epi64x((int64_t)s->flip), flips;
    /* x and y in bytes 0 to 3, the byte of time and polarity in byte 4 */
    __m256i order = _mm256_setr_epi8(1, 2, 3, 4, 0, -1, -1, -1, 6, 7, 8, 9, 5, -1, -1, -1, 1, 2, 3,
                                     4, 0, -1, -1, -1, 6, 7, 8, 9, 5, -1, -1, -1);
    flips = _mm256_set1_epi64x(s->flip == UINT32_MAX ? 0 : -1);
    while (io->in_end - io->in >= 26 && io->out_end - io->out >= 4) {
        __m256i v = _mm256_shuffle_epi8(spki_two_loads_avx2(io->in), order);
        __m256i dt = _mm256_srli_epi64(v, 33), x = _mm256_and_si256(v, word), bad, t;
        __m256i y = _mm256_and_si256(_mm256_srli_epi64(v, 16), word);
        y = _mm256_blendv_epi8(y, _mm256_sub_epi64(flip, y), flips); /* below 0: outside, too */
        bad = _mm256_or_si256(_mm256_cmpgt_epi64(x, x_max), _mm256_cmpgt_epi64(y, y_max));
        bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(dt, _mm256_set1_epi64x(126)));
        bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(_mm256_setzero_si256(), y));
        if (!_mm256_testz_si256(bad, bad)) break;
        t = _mm256_add_epi64(dt, _mm256_slli_si256(dt, 8));
        t = _mm256_add_epi64(
            t, _mm256_blend_epi32(_mm256_setzero_si256(), _mm256_permute4x64_epi64(t, 0x55), 0xf0));
        t = _mm256_add_epi64(t, base);
        base = _mm256_permute4x64_epi64(t, 0xff);
        x = _mm256_or_si256(_mm256_or_si256(x, more), _mm256_slli_epi64(y, 16));
        spki_store4_avx2(io->out, t, _mm256_or_si256(x, _mm256_and_si256(v, on)));
        io->in += 20;
        io->out += 4;
    }
    s->t = _mm256_extract_epi64(base, 0);
}
#endif

SPKI_FN bool spki_es_dvs_run(spk_decoder *d, spki_io *io)
{
#if SPKI_HAVE_AVX2
    if (d->isa != SPK_ISA_SCALAR) spki_es_run_avx2(d, io);
#endif
    while (io->in < io->in_end && io->out < io->out_end) {
        bool step = *io->in >= 0xfe; /* after these, many at a time again */
        if (!spki_es_dvs(d, io)) return false;
        if (step && d->isa != SPK_ISA_SCALAR) return true;
    }
    return true;
}

SPKI_FN void spki_es_decode(spk_decoder *d, spki_io *io)
{
    spki_es_state *s = (spki_es_state *)d->state;
    bool more = spki_es_begin_data(d, io);
    while (more && io->in < io->in_end && io->out < io->out_end && d->result == SPK_OK) {
        switch (s->type) {
        case SPKI_ES_DVS:
            more = spki_es_dvs_run(d, io);
            break;
        case SPKI_ES_ATIS:
            more = spki_es_atis(d, io);
            break;
        case SPKI_ES_COLOUR:
            more = spki_es_colour(d, io);
            break;
        default:
            more = spki_es_generic(d, io);
            break;
        }
    }
}

SPKI_FN void spki_es_end(spk_decoder *d)
{
    spki_es_state *s = (spki_es_state *)d->state;
    spki_free(&d->mem, s->bytes, s->room, 1);
}

static const spki_codec spki_es_codec = {
    SPK_FORMAT_ES, ".es ", sizeof(spki_es_state), spki_es_sniff, NULL,
    NULL,          NULL,   spki_es_decode,        NULL,          spki_es_end};

/* -- writer: DVS events -- */

typedef struct spki_es_writer {
    int64_t last_us, sent_us;
} spki_es_writer;

/* One byte for each 127 us without events. */
#define SPKI_ES_GAP ((int64_t)1 << 34)

SPKI_FN void spki_es_write_header(spk_event_writer *w)
{
    uint8_t *p;
    if (w->desc.width == 0 || w->desc.height == 0 || w->desc.width > 65535 ||
        w->desc.height > 65535) {
        spki_writer_fail(w, SPK_ERR_RANGE,
                         "ES: a sensor of %u x %u: spk_event_writer_desc.width and height have to "
                         "be 1 to 65535",
                         w->desc.width, w->desc.height);
        return;
    }
    spki_writer_text(w, "Event Stream\x02");
    p = spki_writer_room(w, 7);
    if (!p) return;
    p[0] = p[1] = 0;
    p[2] = SPKI_ES_DVS;
    spki_store16_le(p + 3, (uint16_t)w->desc.width);
    spki_store16_le(p + 5, (uint16_t)w->desc.height);
    w->fill += 7;
}

SPKI_FN bool spki_es_put_gap(spk_event_writer *w, const spk_event *e)
{
    spki_es_writer *s = (spki_es_writer *)w->state;
    if (e->t_us - s->sent_us > SPKI_ES_GAP)
        return spki_writer_refuse(w, e, "the time is further than 4.7 hours from the last one");
    while (e->t_us - s->sent_us >= 127) {
        uint8_t *p = spki_writer_room(w, 8);
        if (!p) return false;
        *p = 0xff;
        w->fill++;
        s->sent_us += 127;
    }
    return true;
}

SPKI_FN void spki_es_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_es_writer *s = (spki_es_writer *)w->state;
    for (; count > 0; count--, e++) {
        uint8_t *p;
        if (!spki_writer_time(w, e, &s->last_us) || !spki_writer_cd(w, e) ||
            !spki_writer_room(w, 8) || !spki_es_put_gap(w, e))
            return;
        p = w->buffer + w->fill;
        p[0] = (uint8_t)((e->t_us - s->sent_us) << 1 | (e->polarity ? 1 : 0));
        spki_store16_le(p + 1, e->x);
        spki_store16_le(p + 3, (uint16_t)(w->desc.as_stored ? e->y : w->desc.height - 1u - e->y));
        s->sent_us = e->t_us;
        w->fill += 5;
        w->encoded++;
    }
}

static const spki_encoder spki_es_encoder = {
    SPK_FORMAT_ES, ".es ", sizeof(spki_es_writer), spki_es_write_header, spki_es_encode,
    NULL,          NULL};

#endif
