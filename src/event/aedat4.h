/* ---- >>aedat4: AEDAT 4.0, the files of DV ---- */
#ifndef SPIKELIB_EVENT_AEDAT4_H
#define SPIKELIB_EVENT_AEDAT4_H

#include "aedat3.h"
#include "flatbuf.h"
#include "inflate.h"
#include "lanes.h"

/* "#!AER-DAT4.0\r\n"; u32 and a FlatBuffer IOHE; packets of i32 stream, i32 size and one
   FlatBuffer, compressed by itself; a table of all packets at the end. Little-endian.
   Source: the AEDAT file formats of inivation-docs; jAER's aedat4 schemas. */

enum { SPKI_AEDAT4_STREAMS = 64 };

typedef enum spki_aedat4_phase {
    SPKI_AEDAT4_MARK = 0, /* the first line, and the length of the header */
    SPKI_AEDAT4_HEADER,
    SPKI_AEDAT4_PACKET,
    SPKI_AEDAT4_BODY,
    SPKI_AEDAT4_EVENTS, /* of a packet, until all found room */
    SPKI_AEDAT4_TABLE   /* the rest of the stream */
} spki_aedat4_phase;

typedef struct spki_aedat4 {
    spki_aedat4_phase phase;
    int32_t compression;
    int64_t table_at;  /* offset in the stream, negative: not known */
    uint64_t position; /* of the next packet */
    uint64_t packets, skip;
    uint32_t size; /* of the header, or the packet's body */
    spki_bytes held, plain;
    spki_fb fb;         /* the packet at hand */
    bool lent;          /* it lies in the input, which the next call will not find there */
    size_t at;          /* of its next element in `fb`; events, or the vector of tables */
    uint32_t left;      /* elements still to come */
    uint8_t kind;       /* first letter of the identifier: E, F, I, T */
    uint16_t source;    /* number of its camera */
    int32_t stream[SPKI_AEDAT4_STREAMS]; /* in the order in which the header names them */
    uint8_t type[SPKI_AEDAT4_STREAMS];   /* their identifiers' first letters */
    uint32_t streams;
#ifdef SPIKELIB_ZSTD
    ZSTD_DCtx *zstd;
#endif
} spki_aedat4;

SPKI_FN spki_sniff spki_aedat4_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "#!AER-DAT4";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    return size >= n ? SPKI_SNIFF_YES : whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
}

/* -- the header's XML -- */

/* The number that an attribute of this name holds, within a piece of XML; -1 if none. */
SPKI_FN int64_t spki_xml_number(const uint8_t *text, size_t n, const char *key)
{
    size_t m = strlen(key), i = 0;
    int64_t value = 0;
    while (i + m <= n && memcmp(text + i, key, m) != 0) i++;
    if (i + m > n) return -1;
    i += m;
    while (i < n && text[i] != '>') i++;
    if (++i >= n || text[i] < '0' || text[i] > '9') return -1;
    for (; i < n && text[i] >= '0' && text[i] <= '9' && value < INT32_MAX; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

/* What stands between two nodes that are named by a number belongs to the first of them. */
SPKI_FN void spki_aedat4_node(spk_decoder *d, spki_aedat4 *s, int32_t id, const uint8_t *text,
                              size_t n)
{
    int64_t width = spki_xml_number(text, n, "\"sizeX\""), height;
    uint8_t type = spki_contains(text, n, ">evts<")   ? 'E'
                   : spki_contains(text, n, ">frme<") ? 'F'
                   : spki_contains(text, n, ">imus<") ? 'I'
                                                      : 'T';
    height = spki_xml_number(text, n, "\"sizeY\"");
    if (s->streams < SPKI_AEDAT4_STREAMS) {
        s->stream[s->streams] = id;
        s->type[s->streams++] = type;
    }
    if (type != 'E' || width <= 0 || width > 65536 || height <= 0 || height > 65536) return;
    spki_decoder_size(d, SPKI_MAX(d->stats.width, (uint32_t)width),
                      SPKI_MAX(d->stats.height, (uint32_t)height));
}

SPKI_FN void spki_aedat4_xml(spk_decoder *d, spki_aedat4 *s, const uint8_t *text, size_t n)
{
    static const char key[] = "<node name=\"";
    size_t m = sizeof key - 1, i, begin = 0;
    int32_t open = -1;
    for (i = 0; i + m < n; i++) {
        int32_t id = 0;
        size_t k = i + m;
        if (text[i] != '<' || memcmp(text + i, key, m) != 0) continue;
        for (; k < n && text[k] >= '0' && text[k] <= '9' && id < 100000000; k++)
            id = id * 10 + (text[k] - '0');
        if (k == i + m || k == n || text[k] != '"') continue;
        if (open >= 0) spki_aedat4_node(d, s, open, text + begin, i - begin);
        open = id;
        begin = i;
    }
    if (open >= 0) spki_aedat4_node(d, s, open, text + begin, n - begin);
}

/* How many streams of its type come before it: the number of its camera. */
SPKI_FN uint16_t spki_aedat4_source(const spki_aedat4 *s, int32_t stream)
{
    uint32_t k, before = 0;
    uint8_t type = 0;
    for (k = 0; k < s->streams && type == 0; k++)
        if (s->stream[k] == stream) type = s->type[k];
    for (k = 0; k < s->streams && type != 0 && s->stream[k] != stream; k++)
        if (s->type[k] == type) before++;
    return (uint16_t)before;
}

/* -- header -- */

SPKI_FN bool spki_aedat4_mark(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, 18);
    if (!p) return false;
    s->size = spki_load32_le(p + 14);
    if (memcmp(p, "#!AER-DAT4", 10) != 0 || s->size < 8 || s->size > (1u << 26)) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: its first line, or the length of the "
                                                   "header (%u bytes), makes no sense", s->size);
        return false;
    }
    s->position = 18 + (uint64_t)s->size;
    s->phase = SPKI_AEDAT4_HEADER;
    return true;
}

SPKI_FN const char *spki_aedat4_compression(int32_t compression)
{
    if (compression == 1 || compression == 2) return "LZ4";
    if (compression == 3 || compression == 4) return "ZSTD";
    return "";
}

/* Sets the error if this build cannot unpack the file. */
SPKI_FN bool spki_aedat4_can_inflate(spk_decoder *d, const spki_aedat4 *s)
{
    bool lz4 = false, zstd = false, wants_lz4, wants_zstd;
#ifdef SPIKELIB_LZ4
    lz4 = true;
#endif
#ifdef SPIKELIB_ZSTD
    zstd = true;
#endif
    wants_lz4 = s->compression == 1 || s->compression == 2;
    wants_zstd = s->compression == 3 || s->compression == 4;
    if (s->compression == 0 || (wants_lz4 && lz4) || (wants_zstd && zstd)) return true;
    if (wants_lz4 || wants_zstd) {
        const char *name = spki_aedat4_compression(s->compression);
        spki_decoder_fail(d, SPK_ERR_UNSUPPORTED, NULL,
                          "AEDAT4 compressed with %s: compile with SPIKELIB_%s defined and link "
                          "its library (-l%s)",
                          name, name, wants_lz4 ? "lz4" : "zstd");
    } else
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: there is no compression number %d",
                          (int)s->compression);
    return false;
}

SPKI_FN bool spki_aedat4_header(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, s->size);
    spki_fb fb;
    size_t root, text;
    uint32_t n;
    if (!p) return false;
    memset(&fb, 0, sizeof fb);
    fb.data = p;
    fb.size = s->size;
    root = spki_fb_root(&fb);
    s->compression = spki_fb_i32(&fb, root, 0, 0);
    s->table_at = spki_fb_i64(&fb, root, 1, -1);
    text = spki_fb_vector(&fb, root, 2, 1, &n);
    if (fb.bad || memcmp(p + 4, "IOHE", 4) != 0) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: the header is damaged");
        return false;
    }
    if (text) spki_aedat4_xml(d, s, p + text, n);
    s->phase = SPKI_AEDAT4_PACKET;
    return spki_aedat4_can_inflate(d, s);
}

/* -- packets -- */

/* Where the header does not name the table's place (a recorder that died): something that can only
   be the table. */
SPKI_FN bool spki_aedat4_is_table(const spki_aedat4 *s, const uint8_t *p)
{
    uint32_t k, stream = spki_load32_le(p);
    for (k = 0; k < s->streams; k++)
        if ((uint32_t)s->stream[k] == stream) return false;
    if (s->compression == 1 || s->compression == 2) return stream == 0x184d2204u;
    if (s->compression == 3 || s->compression == 4) return stream == 0xfd2fb528u;
    return s->streams > 0 && stream > 255 && s->table_at < 0;
}

SPKI_FN bool spki_aedat4_packet(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p;
    if (s->table_at >= 0 && s->position >= (uint64_t)s->table_at) {
        s->phase = SPKI_AEDAT4_TABLE;
        return true;
    }
    if ((p = spki_hold(d, io, &s->held, 8)) == NULL) return false;
    if (spki_aedat4_is_table(s, p)) {
        s->phase = SPKI_AEDAT4_TABLE;
        return true;
    }
    s->size = spki_load32_le(p + 4);
    if (s->size > (uint32_t)INT32_MAX || (spki_load32_le(p) & 0x80000000u) != 0) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "AEDAT4: packet %llu at byte %llu has no sensible header (stream %d, %d "
                          "bytes)",
                          (unsigned long long)s->packets, (unsigned long long)s->position,
                          (int)spki_load32_le(p), (int)s->size);
        return false;
    }
    s->source = spki_aedat4_source(s, (int32_t)spki_load32_le(p));
    s->position += 8 + (uint64_t)s->size;
    s->packets++;
    s->phase = SPKI_AEDAT4_BODY;
    return true;
}

/* The FlatBuffer of a packet, or NULL with *why. */
SPKI_FN const uint8_t *spki_aedat4_inflate(spk_decoder *d, spki_aedat4 *s, const uint8_t *p,
                                           size_t *n, const char **why)
{
    bool memory = false;
    *n = s->size;
    *why = NULL;
    if (s->compression == 0) return p;
#ifdef SPIKELIB_LZ4
    if (s->compression <= 2) *why = spki_lz4_inflate(&d->mem, p, s->size, &s->plain, &memory);
#endif
#ifdef SPIKELIB_ZSTD
    if (s->compression >= 3) {
        if (!s->zstd) s->zstd = ZSTD_createDCtx();
        memory = !s->zstd;
        *why = !s->zstd ? "there is no memory to unpack it"
                        : spki_zstd_inflate(&d->mem, s->zstd, p, s->size, &s->plain, &memory);
    }
#endif
    if (memory)
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to unpack packet %llu",
                          (unsigned long long)(s->packets - 1));
    *n = s->plain.size;
    return *why ? NULL : s->plain.data;
}

/* A packet that makes no sense is skipped whole: the next one's place is known. */
SPKI_FN bool spki_aedat4_refuse(spk_decoder *d, spki_aedat4 *s, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "AEDAT4: packet %llu at byte %llu: %s",
             (unsigned long long)(s->packets - 1),
             (unsigned long long)(s->position - 8 - s->size), why);
    d->stats.bytes_skipped += 8 + (uint64_t)s->size;
    s->phase = SPKI_AEDAT4_PACKET;
    return spki_decoder_violation(d, NULL, text);
}

SPKI_FN bool spki_aedat4_body(spk_decoder *d, spki_aedat4 *s, spki_io *io)
{
    const uint8_t *p = spki_hold(d, io, &s->held, s->size), *plain;
    const char *why;
    size_t n, root;
    if (!p) return false;
    plain = spki_aedat4_inflate(d, s, p, &n, &why);
    if (d->result != SPK_OK) return false;
    if (!plain) return spki_aedat4_refuse(d, s, why);
    if (n < 12 || spki_load32_le(plain) > n - 4)
        return spki_aedat4_refuse(d, s, "it is shorter than it says");
    s->lent = s->compression == 0 && p != s->held.data;
    s->fb.data = plain + 4;
    s->fb.size = spki_load32_le(plain);
    s->fb.bad = false;
    s->kind = plain[8];
    root = spki_fb_root(&s->fb);
    s->left = 0;
    if (memcmp(plain + 8, "EVTS", 4) == 0) s->at = spki_fb_vector(&s->fb, root, 0, 16, &s->left);
    else if (memcmp(plain + 8, "TRIG", 4) == 0 || memcmp(plain + 8, "IMUS", 4) == 0)
        s->at = spki_fb_vector(&s->fb, root, 0, 4, &s->left);
    else if (memcmp(plain + 8, "FRME", 4) == 0) {
        s->at = root;
        s->left = 1;
    } else { /* another kind of data (bounding boxes, poses): not events, and no damage */
        d->stats.bytes_skipped += 8 + (uint64_t)s->size;
        s->phase = SPKI_AEDAT4_PACKET;
        return true;
    }
    if (s->fb.bad) return spki_aedat4_refuse(d, s, "its FlatBuffer is damaged");
    s->phase = SPKI_AEDAT4_EVENTS;
    return true;
}

/* -- what is in them -- */

/* Events as they stand in the file: i64 time, i16 x, i16 y, u8 polarity, 3 unused. Those outside of
   the sensor are left out. */
SPKI_INLINE spk_event *spki_aedat4_convert(const uint8_t *p, size_t n, uint32_t columns,
                                           uint32_t rows, uint64_t source, spk_event *out)
{
    size_t k;
    for (k = 0; k < n; k++, p += 16) {
        uint64_t rest = spki_load64_le(p + 8), xy = rest & 0xffffffffu;
        uint64_t on = (rest & UINT64_C(0xff00000000)) != 0;
        bool good = ((xy & 0xffff) < columns) & (xy >> 16 < rows);
        spki_event_store(out, (int64_t)spki_load64_le(p), xy | on << 32 | source);
        out += good;
    }
    return out;
}

/* That is nearly an spk_event: a minimum of bytes makes polarity 0 or 1 and clears what is unused,
   and a saturating difference of 16-bit words is 0 where all are within the sensor. Eight at a
   time; those with one outside by one. */
#define SPKI_AEDAT4_BYTES INT64_C(0x01ffffffff)
#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_FN spk_event *spki_aedat4_convert_avx2(const uint8_t *p, size_t n,
                                                            uint32_t columns, uint32_t rows,
                                                            uint64_t source, spk_event *out)
{
    const int64_t last = (int64_t)(UINT64_C(0xffffffff00000000) | (rows - 1) << 16 | (columns - 1));
    const __m256i most = _mm256_setr_epi64x(-1, SPKI_AEDAT4_BYTES, -1, SPKI_AEDAT4_BYTES);
    const __m256i limit = _mm256_setr_epi64x(-1, last, -1, last);
    const __m256i more = _mm256_setr_epi64x(0, (int64_t)source, 0, (int64_t)source);
    for (; n >= 8; n -= 8, p += 128) {
        __m256i v[4], over = _mm256_setzero_si256();
        int k;
        for (k = 0; k < 4; k++) {
            v[k] = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * k));
            over = _mm256_or_si256(over, _mm256_subs_epu16(v[k], limit));
        }
        if (!_mm256_testz_si256(over, over)) {
            out = spki_aedat4_convert(p, 8, columns, rows, source, out);
            continue;
        }
        for (k = 0; k < 4; k++)
            _mm256_storeu_si256((__m256i *)(void *)(out + 2 * k),
                                _mm256_or_si256(_mm256_min_epu8(v[k], most), more));
        out += 8;
    }
    return spki_aedat4_convert(p, n, columns, rows, source, out);
}
#endif

#if SPKI_HAVE_AVX512
SPKI_EVENT_AVX512 SPKI_FN spk_event *spki_aedat4_convert_avx512(const uint8_t *p, size_t n,
                                                                uint32_t columns, uint32_t rows,
                                                                uint64_t source, spk_event *out)
{
    const int64_t last = (int64_t)(UINT64_C(0xffffffff00000000) | (rows - 1) << 16 | (columns - 1));
    const __m512i most = _mm512_set4_epi64(SPKI_AEDAT4_BYTES, -1, SPKI_AEDAT4_BYTES, -1);
    const __m512i limit = _mm512_set4_epi64(last, -1, last, -1);
    const __m512i more = _mm512_set4_epi64((int64_t)source, 0, (int64_t)source, 0);
    for (; n >= 8; n -= 8, p += 128) {
        const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64);
        const __m512i over = _mm512_or_si512(_mm512_subs_epu16(a, limit),
                                             _mm512_subs_epu16(b, limit));
        if (_mm512_test_epi64_mask(over, over)) {
            out = spki_aedat4_convert(p, 8, columns, rows, source, out);
            continue;
        }
        _mm512_storeu_si512(out, _mm512_or_si512(_mm512_min_epu8(a, most), more));
        _mm512_storeu_si512(out + 4, _mm512_or_si512(_mm512_min_epu8(b, most), more));
        out += 8;
    }
    return spki_aedat4_convert(p, n, columns, rows, source, out);
}
#endif

SPKI_FN void spki_aedat4_events(spk_decoder *d, spki_io *io, spki_aedat4 *s)
{
    size_t n = SPKI_MIN((size_t)(io->out_end - io->out), (size_t)s->left);
    const uint8_t *p = s->fb.data + s->at;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    uint64_t source = d->source_bits + ((uint64_t)s->source << 48);
    spk_event *(*convert)(const uint8_t *, size_t, uint32_t, uint32_t, uint64_t, spk_event *) =
        spki_aedat4_convert;
    spk_event *out;
#if SPKI_HAVE_AVX2
    if (d->isa == SPK_ISA_AVX2) convert = spki_aedat4_convert_avx2;
#endif
#if SPKI_HAVE_AVX512
    if (d->isa == SPK_ISA_AVX512) convert = spki_aedat4_convert_avx512;
#endif
    out = convert(p, n, columns, rows, source, io->out);
    d->stats.dropped += n - (size_t)(out - io->out);
    io->out = out;
    s->at += 16 * n;
    s->left -= (uint32_t)n;
}

/* Source: dv's trigger types. 0 reset; 1, 2, 3 signal rising, falling, pulse; 4, 5 the camera's own
   generator; 6, 7 a frame's readout and 8, 9 its exposure, begin and end. */
SPKI_FN void spki_aedat4_trigger(spk_decoder *d, spki_io *io, spki_aedat4 *s, size_t table)
{
    spk_trigger e;
    int code = spki_fb_i8(&s->fb, table, 1);
    memset(&e, 0, sizeof e);
    e.t_us = spki_fb_i64(&s->fb, table, 0, 0);
    e.code = (uint16_t)(code & 0xff);
    e.source = s->source;
    e.channel = (uint16_t)(code >= 1 && code <= 3   ? 0
                           : code >= 4 && code <= 9 ? (code - 2) / 2
                                                    : 4);
    e.edge = code == 1 || code == 3 || (code >= 4 && code % 2 == 0);
    e.pulse = code == 0 || code == 3;
    if (!s->fb.bad) spki_decoder_trigger(d, io, &e);
}

SPKI_FN void spki_aedat4_imu(spk_decoder *d, spki_aedat4 *s, size_t table)
{
    spk_imu e;
    uint32_t k;
    memset(&e, 0, sizeof e);
    e.t_us = spki_fb_i64(&s->fb, table, 0, 0);
    e.source = s->source;
    e.temperature_c = spki_fb_f32(&s->fb, table, 1);
    for (k = 0; k < 3; k++) {
        e.accel_g[k] = spki_fb_f32(&s->fb, table, 2 + k);
        e.gyro_dps[k] = spki_fb_f32(&s->fb, table, 5 + k);
        e.mag_ut[k] = spki_fb_f32(&s->fb, table, 8 + k);
    }
    if (!s->fb.bad) spki_decoder_imu(d, &e);
}

SPKI_FN void spki_aedat4_frame(spk_decoder *d, spki_aedat4 *s, size_t table)
{
    spk_frame e;
    uint32_t n;
    int format = spki_fb_i8(&s->fb, table, 5);
    size_t pixels;
    memset(&e, 0, sizeof e);
    e.t_us = spki_fb_i64(&s->fb, table, 0, 0);
    e.start_us = spki_fb_i64(&s->fb, table, 1, 0);
    e.end_us = spki_fb_i64(&s->fb, table, 2, 0);
    e.exposure_start_us = spki_fb_i64(&s->fb, table, 3, 0);
    e.exposure_end_us = spki_fb_i64(&s->fb, table, 4, 0);
    e.width = (uint16_t)spki_fb_i16(&s->fb, table, 6);
    e.height = (uint16_t)spki_fb_i16(&s->fb, table, 7);
    e.x = (uint16_t)spki_fb_i16(&s->fb, table, 8);
    e.y = (uint16_t)spki_fb_i16(&s->fb, table, 9);
    pixels = spki_fb_vector(&s->fb, table, 10, 1, &n);
    /* OpenCV's numbers of types: the depth in 3 bits, the channels less one in the others. */
    e.channels = (uint16_t)(((format & 0xff) >> 3) + 1);
    e.sample_bytes = (uint16_t)((format & 7) >= 2 && (format & 7) <= 3 ? 2 : 1);
    e.source = s->source;
    e.code = (uint16_t)(format & 0xff);
    e.pixels = s->fb.data + pixels;
    e.size = n;
    if (n != (uint64_t)e.width * e.height * e.channels * e.sample_bytes) s->fb.bad = true;
    if (!s->fb.bad) spki_decoder_frame(d, &e);
}

/* True when all of the packet has been given out. */
SPKI_FN bool spki_aedat4_elements(spk_decoder *d, spki_io *io, spki_aedat4 *s)
{
    while (s->left > 0 && io->out < io->out_end) {
        if (s->kind == 'E') {
            spki_aedat4_events(d, io, s);
            continue;
        }
        if (s->kind == 'F') spki_aedat4_frame(d, s, s->at);
        else {
            size_t table = spki_fb_follow(&s->fb, s->at);
            if (s->kind == 'T') spki_aedat4_trigger(d, io, s, table);
            else spki_aedat4_imu(d, s, table);
            s->at += 4;
        }
        s->left--;
        if (s->fb.bad) {
            s->left = 0;
            return spki_aedat4_refuse(d, s, "its FlatBuffer is damaged");
        }
    }
    if (s->left > 0) return false;
    s->phase = SPKI_AEDAT4_PACKET;
    return true;
}

SPKI_FN void spki_aedat4_keep(spk_decoder *d, spki_aedat4 *s)
{
    s->plain.size = 0;
    s->lent = false;
    if (spki_bytes_append(&d->mem, &s->plain, s->fb.data, s->fb.size)) s->fb.data = s->plain.data;
    else spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for a packet");
}

SPKI_FN void spki_aedat4_decode(spk_decoder *d, spki_io *io)
{
    spki_aedat4 *s = (spki_aedat4 *)d->state;
    bool more = true;
    while (more && d->result == SPK_OK && io->out < io->out_end) {
        switch (s->phase) {
        case SPKI_AEDAT4_MARK: more = spki_aedat4_mark(d, s, io); break;
        case SPKI_AEDAT4_HEADER: more = spki_aedat4_header(d, s, io); break;
        case SPKI_AEDAT4_PACKET: more = spki_aedat4_packet(d, s, io); break;
        case SPKI_AEDAT4_BODY: more = spki_aedat4_body(d, s, io); break;
        case SPKI_AEDAT4_EVENTS: more = spki_aedat4_elements(d, io, s); break;
        default:
            io->in = io->in_end;
            more = false;
        }
    }
    if (s->left > 0 && s->lent) spki_aedat4_keep(d, s);
    if (!io->last || io->in != io->in_end || d->result != SPK_OK || s->left > 0) return;
    if (s->phase == SPKI_AEDAT4_MARK || s->phase == SPKI_AEDAT4_HEADER) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "AEDAT4: the stream ends within the header");
    } else if (s->held.size > 0 || s->phase == SPKI_AEDAT4_BODY) {
        d->stats.bytes_skipped += s->held.size + (s->phase == SPKI_AEDAT4_BODY ? 8u : 0u);
        s->held.size = 0;
        s->phase = SPKI_AEDAT4_TABLE;
        spki_decoder_violation(d, NULL, "AEDAT4: the stream ends within a packet");
    }
}

SPKI_FN void spki_aedat4_end(spk_decoder *d)
{
    spki_aedat4 *s = (spki_aedat4 *)d->state;
    spki_bytes_free(&d->mem, &s->held);
    spki_bytes_free(&d->mem, &s->plain);
#ifdef SPIKELIB_ZSTD
    ZSTD_freeDCtx(s->zstd);
#endif
}

static const spki_codec spki_aedat4_codec = {
    SPK_FORMAT_AEDAT4, ".aedat4 ", sizeof(spki_aedat4), spki_aedat4_sniff, spki_aedat_accept, NULL,
    NULL, spki_aedat4_decode, NULL, spki_aedat4_end};

#endif
