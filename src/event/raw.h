/* ---- >>raw: the text header of Prophesee's files, and time high words ---- */
#ifndef SPIKELIB_EVENT_RAW_H
#define SPIKELIB_EVENT_RAW_H

#include "codec.h"

/* Source: openeb 5.1.1, generic_header.cpp, psee_raw_file_header.cpp (keys), device_system_id.h. */

#define SPKI_RAW_LINE ((size_t)4000) /* a longer "line" is data; less than SPKI_CARRY */

typedef enum spki_line { SPKI_LINE_NONE, SPKI_LINE_MORE, SPKI_LINE_WHOLE } spki_line;

/* "% serial_number ...": two or more letters, digits and '_', then a blank or the end. */
SPKI_FN bool spki_raw_has_key(const uint8_t *p, const uint8_t *p_end)
{
    const uint8_t *q = p + 2;
    for (; q < p_end; q++) {
        bool letter = (*q >= 'a' && *q <= 'z') || (*q >= 'A' && *q <= 'Z') || *q == '_' ||
                      (*q >= '0' && *q <= '9');
        if (!letter) break;
    }
    return q - p >= 4 && q < p_end && (*q == ' ' || *q == '\t' || *q == '\r' || *q == '\n');
}

/* Does a header line begin at p? WHOLE: it ends at *end, which is behind its '\n'. NONE: here the
   data begin, since a line begins with "% " and is printable to its end. Names of people and places
   need not be ASCII, but then there has to be a key before them. */
SPKI_FN spki_line spki_raw_line(const uint8_t *p, const uint8_t *p_end, bool last,
                                const uint8_t **end)
{
    const uint8_t *q = p;
    bool ascii = true;
    if (p < p_end && *p != '%') return SPKI_LINE_NONE;
    if (p + 1 < p_end && p[1] != ' ') return SPKI_LINE_NONE;
    for (; q < p_end; q++) {
        if (*q == '\n') {
            *end = q + 1;
            return SPKI_LINE_WHOLE;
        }
        if ((*q < 0x20 && *q != '\t' && *q != '\r') || *q == 0x7f) return SPKI_LINE_NONE;
        if (*q > 0x7f && ascii && !spki_raw_has_key(p, q)) return SPKI_LINE_NONE;
        ascii = ascii && *q < 0x80;
        if ((size_t)(q - p) >= SPKI_RAW_LINE) return SPKI_LINE_NONE;
    }
    return last ? SPKI_LINE_NONE : SPKI_LINE_MORE;
}

/* What the lines have told so far. */
typedef struct spki_raw_header {
    spk_event_format format; /* AUTO: not told */
    uint32_t width, height, system_id;
    uint32_t dat_version; /* 0: not told */
    bool lines, legacy, little, foreign, unknown_format, is_dat;
} spki_raw_header;

SPKI_FN bool spki_word_is(const char *word, size_t n, const char *text)
{
    return strlen(text) == n && memcmp(word, text, n) == 0;
}

/* A whole number at the start of n characters; 0 if there is none, at most 2^31. */
SPKI_FN uint32_t spki_parse_u32(const char *s, size_t n, size_t *used)
{
    uint64_t value = 0;
    size_t k;
    for (k = 0; k < n && s[k] >= '0' && s[k] <= '9'; k++)
        if (value < UINT64_C(0x80000000)) value = 10 * value + (uint64_t)(s[k] - '0');
    if (used) *used = k;
    return (uint32_t)SPKI_MIN(value, UINT64_C(0x80000000));
}

/* "2", "2.1": of "EVT2", "evt 2.1". */
SPKI_FN spk_event_format spki_raw_evt(const char *s, size_t n)
{
    if (n == 3 && s[1] == '.' && s[2] == '0') n = 1;
    if (spki_word_is(s, n, "2")) return SPK_FORMAT_EVT2;
    if (spki_word_is(s, n, "21") || spki_word_is(s, n, "2.1")) return SPK_FORMAT_EVT21;
    if (spki_word_is(s, n, "3")) return SPK_FORMAT_EVT3;
    return spki_word_is(s, n, "4") ? SPK_FORMAT_EVT4 : SPK_FORMAT_AUTO;
}

SPKI_FN void spki_raw_format_word(spki_raw_header *h, const char *word, size_t n)
{
    size_t m = 0;
    while (n > 0 && (*word == ' ' || *word == '\t')) word++, n--;
    while (n > 0 && (word[n - 1] == ' ' || word[n - 1] == '\t')) n--;
    if (n > 3 && (memcmp(word, "EVT", 3) == 0 || memcmp(word, "evt", 3) == 0) &&
        spki_raw_evt(word + 3, n - 3) != SPK_FORMAT_AUTO)
        h->format = spki_raw_evt(word + 3, n - 3);
    else if (n > 6 && memcmp(word, "width=", 6) == 0)
        h->width = spki_parse_u32(word + 6, n - 6, NULL);
    else if (n > 7 && memcmp(word, "height=", 7) == 0)
        h->height = spki_parse_u32(word + 7, n - 7, NULL);
    else if (spki_word_is(word, n, "endianness=legacy"))
        h->legacy = true;
    else if (spki_word_is(word, n, "endianness=little"))
        h->little = true;
    else {
        while (m < n && word[m] != '=') m++;
        if (m == n && n > 0) h->unknown_format = true; /* HISTO3D, DIFF3D, AER-8b, MTR... */
    }
}

/* "EVT3;height=720;width=1280", in any order. */
SPKI_FN void spki_raw_format(spki_raw_header *h, const char *value, size_t n)
{
    while (n > 0) {
        size_t m = 0;
        while (m < n && value[m] != ';') m++;
        if (m > 0) spki_raw_format_word(h, value, m);
        m += m < n;
        value += m;
        n -= m;
    }
    if (h->format != SPK_FORMAT_AUTO) h->unknown_format = false;
}

SPKI_FN void spki_raw_geometry(spki_raw_header *h, const char *value, size_t n)
{
    size_t k;
    uint32_t width = spki_parse_u32(value, n, &k), height;
    if (k == 0) return;
    while (k < n && value[k] == ' ') k++;
    if (k == n || value[k] != 'x') return;
    for (k++; k < n && value[k] == ' ';) k++;
    height = spki_parse_u32(value + k, n - k, NULL);
    if (width == 0 || height == 0) return;
    h->width = width;
    h->height = height;
}

SPKI_FN void spki_raw_key(spki_raw_header *h, const char *key, size_t n, const char *value,
                          size_t m)
{
    if (spki_word_is(key, n, "format"))
        spki_raw_format(h, value, m);
    else if (spki_word_is(key, n, "evt")) {
        if (h->format == SPK_FORMAT_AUTO) h->format = spki_raw_evt(value, m);
    } else if (spki_word_is(key, n, "geometry"))
        spki_raw_geometry(h, value, m);
    else if (spki_word_is(key, n, "endianness")) {
        h->legacy = h->legacy || spki_word_is(value, m, "legacy");
        h->little = h->little || spki_word_is(value, m, "little");
    } else if (spki_word_is(key, n, "system_ID"))
        h->system_id = spki_parse_u32(value, m, NULL);
    else if (n >= 15 && memcmp(key + n - 15, "integrator_name", 15) == 0)
        h->foreign = h->foreign || !spki_word_is(value, m, "Prophesee");
    else if (spki_word_is(key, n, "Version")) {
        h->is_dat = true;
        h->dat_version = spki_parse_u32(value, m, NULL);
    } else if (spki_word_is(key, n, "Width"))
        h->width = spki_parse_u32(value, m, NULL);
    else if (spki_word_is(key, n, "Height"))
        h->height = spki_parse_u32(value, m, NULL);
}

/* One line, "% key value...\n"; true if it is the end of the header ("% end"). */
SPKI_FN bool spki_raw_take_line(spki_raw_header *h, const uint8_t *line, const uint8_t *end)
{
    const char *p = (const char *)line + 1, *q = (const char *)end, *key;
    size_t n;
    h->lines = true;
    while (q > p && (q[-1] == '\n' || q[-1] == '\r' || q[-1] == ' ' || q[-1] == '\t')) q--;
    while (p < q && (*p == ' ' || *p == '\t')) p++;
    key = p;
    while (p < q && *p != ' ' && *p != '\t') p++;
    n = (size_t)(p - key);
    while (p < q && (*p == ' ' || *p == '\t')) p++;
    if (p == q && spki_word_is(key, n, "end")) return true;
    spki_raw_key(h, key, n, p, (size_t)(q - p));
    return false;
}

/* Sizes of the sensors of the cameras that wrote no geometry, by system_ID. */
SPKI_FN void spki_raw_infer_size(spki_raw_header *h)
{
    static const struct {
        uint8_t id;
        uint16_t width, height;
    } known[] = {{0x14, 480, 360},  {0x15, 640, 480},  {0x17, 640, 480},  {0x19, 640, 480},
                 {0x97, 640, 480},  {0x99, 640, 480},  {0x1c, 640, 480},  {0x1d, 640, 480},
                 {0x21, 640, 480},  {0xa1, 640, 480},  {0x22, 640, 480},  {0xa2, 640, 480},
                 {0x23, 640, 480},  {0x28, 640, 480},  {0x29, 640, 480},  {0x1a, 1280, 720},
                 {0x9a, 1280, 720}, {0x1e, 1280, 720}, {0x1f, 1280, 720}, {0x20, 1280, 720},
                 {0x27, 1280, 720}, {0x2e, 1280, 720}, {0x30, 1280, 720}, {0x31, 1280, 720},
                 {0x32, 1280, 720}, {0x34, 640, 512},  {0x35, 1280, 720}, {0x36, 640, 512},
                 {0x3a, 1280, 720}, {0x3b, 320, 320},  {0x40, 320, 320},  {0x42, 1280, 720}};
    size_t k;
    if (h->width != 0 && h->height != 0) return;
    h->width = h->height = 0;
    for (k = 0; !h->foreign && k < sizeof known / sizeof known[0]; k++)
        if (known[k].id == h->system_id) {
            h->width = known[k].width;
            h->height = known[k].height;
        }
}

/* Reads header lines from the front of io. True: the header is over and io stands at the data. */
SPKI_FN bool spki_raw_read_header(spki_raw_header *h, spki_io *io)
{
    while (io->in < io->in_end) {
        const uint8_t *end = NULL, *line = io->in;
        spki_line kind = spki_raw_line(line, io->in_end, io->last, &end);
        if (kind == SPKI_LINE_NONE) return true;
        if (kind == SPKI_LINE_MORE) return false;
        io->in = end;
        if (spki_raw_take_line(h, line, end)) return true;
    }
    return false;
}

/* -- which of the encodings, where no header says it: the one in which time makes most sense -- */

/* Words of the form that are plausible, by 1,000; needs time words that step on regularly. */
SPKI_FN uint32_t spki_raw_score(const uint8_t *p, size_t size, spk_event_format format, bool legacy)
{
    size_t step = format == SPK_FORMAT_EVT3 ? 2 : format == SPK_FORMAT_EVT21 ? 8 : 4, k;
    uint32_t words = 0, good = 0, times = 0, jumps = 0, last = 0;
    for (k = 0; k + step <= size; k += step) {
        uint32_t w, type, high, limit;
        bool is_time, known;
        if (format == SPK_FORMAT_EVT3) {
            w = spki_load16_le(p + k);
            type = w >> 12;
            is_time = type == 8;
            known = type <= 8 || type == 10 || type >= 13;
            high = w & 0xfffu;
            limit = 2;
        } else {
            w = spki_load32_le(p + k + (format == SPK_FORMAT_EVT21 && !legacy ? 4 : 0));
            type = w >> 28;
            is_time = type == (format == SPK_FORMAT_EVT4 ? 14u : 8u);
            known = format == SPK_FORMAT_EVT4 ? type >= 6 && type != 8
                                              : type < 2 || type == 8 || type == 10 || type >= 13;
            high = w & 0xfffffffu;
            limit = 1u << 14;
            if (format == SPK_FORMAT_EVT4 && (type == 12 || type == 13)) k += step;
        }
        words++;
        good += known;
        if (!is_time) continue;
        if (times > 0 && high - last > limit) jumps++;
        last = high;
        times++;
    }
    if (words == 0 || times == 0 || jumps > times / 8) return 0;
    return (uint32_t)((uint64_t)good * 1000 / words);
}

/* Are the time words of EVT2.1 such that their second half is empty? Words of EVT2, two by two,
   otherwise look like vectors of one pixel. */
SPKI_FN bool spki_raw_is_double(const uint8_t *p, size_t size, bool legacy)
{
    uint32_t times = 0, empty = 0;
    size_t k;
    for (k = 0; k + 8 <= size; k += 8) {
        if (spki_load32_le(p + k + (legacy ? 0 : 4)) >> 28 != 8) continue;
        times++;
        empty += spki_load32_le(p + k + (legacy ? 4 : 0)) == 0;
    }
    return empty > 1 && empty >= times - times / 8;
}

SPKI_FN spk_event_format spki_raw_guess(const uint8_t *p, size_t size, bool *legacy)
{
    static const spk_event_format order[] = {SPK_FORMAT_EVT21, SPK_FORMAT_EVT21, SPK_FORMAT_EVT3,
                                             SPK_FORMAT_EVT2,  SPK_FORMAT_EVT21, SPK_FORMAT_EVT21,
                                             SPK_FORMAT_EVT4};
    spk_event_format best = SPK_FORMAT_AUTO;
    uint32_t most = 900, k;
    *legacy = false;
    for (k = 0; k < 7; k++) {
        bool swapped = k == 1 || k == 5;
        uint32_t score = spki_raw_score(p, size, order[k], swapped);
        if (score <= most || (k < 2 && !spki_raw_is_double(p, size, swapped))) continue;
        most = score;
        best = order[k];
        *legacy = swapped;
    }
    return best;
}

/* The format of a file that begins so. MORE until the header has said it. */
SPKI_FN spki_sniff spki_raw_sniff(const uint8_t *head, size_t size, bool whole,
                                  spk_event_format format)
{
    spki_raw_header h;
    spki_io io;
    bool legacy, over = false;
    memset(&h, 0, sizeof h);
    memset(&io, 0, sizeof io);
    io.in = head;
    io.in_end = head + size;
    io.last = whole;
    if (size > 0 && head[0] != '%') return SPKI_SNIFF_NO;
    over = spki_raw_read_header(&h, &io);
    if (!over && !whole) return SPKI_SNIFF_MORE; /* a later key may say otherwise */
    if (h.format == format && h.format != SPK_FORMAT_AUTO) return SPKI_SNIFF_YES;
    if (h.format != SPK_FORMAT_AUTO || h.is_dat) return SPKI_SNIFF_NO;
    if (!h.lines || h.unknown_format || h.system_id == 0) return SPKI_SNIFF_NO;
    if (!whole) return SPKI_SNIFF_MORE;
    return spki_raw_guess(io.in, (size_t)(io.in_end - io.in), &legacy) == format ? SPKI_SNIFF_YES
                                                                                 : SPKI_SNIFF_NO;
}

/* The name fits, and no header says the format: what may be behind a header without the key. */
SPKI_FN bool spki_raw_accept(const uint8_t *head, size_t size, spk_event_format format)
{
    spki_raw_header h;
    spki_io io;
    bool legacy;
    memset(&h, 0, sizeof h);
    memset(&io, 0, sizeof io);
    io.in = head;
    io.in_end = head + size;
    io.last = true;
    (void)spki_raw_read_header(&h, &io);
    return !h.unknown_format &&
           spki_raw_guess(io.in, (size_t)(io.in_end - io.in), &legacy) == format;
}

/* -- what the decoders share -- */

typedef struct spki_raw_state {
    spki_raw_header header;
    bool in_data, has_time;    /* a TIME_HIGH was seen */
    bool has_y, has_base;      /* EVT3 */
    bool legacy;               /* EVT2.1: the halves of a word are swapped */
    uint32_t high;             /* the last TIME_HIGH, as sent */
    int64_t loops;             /* microseconds of all wraps so far */
    int64_t time;              /* of the last TIME_HIGH, wraps included (EVT3: and TIME_LOW) */
    uint32_t y, base, base_on; /* EVT3: row; x and polarity of the next vector */
    uint32_t mask_of;          /* EVT4: the header word of a vector */
    /* What CONTINUED words continue: the subtype of an OTHER, or IMU; the words so far. */
    uint32_t other, others, value;
    int64_t other_t;
    int16_t samples[6];
} spki_raw_state;

#define SPKI_RAW_NOTHING 0x10000u /* values of `other` that are no subtype */
#define SPKI_RAW_IMU 0x10001u
#define SPKI_RAW_IN_COUNT 0x14u /* the camera's counters: events in, and after rate control */
#define SPKI_RAW_OUT_COUNT 0x16u

/* True once the header is behind us. */
SPKI_FN bool spki_raw_begin_data(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    spki_raw_header *h = &s->header;
    if (s->in_data) return true;
    if (!spki_raw_read_header(h, io)) return false;
    s->legacy = h->legacy || (!h->little && !h->foreign && h->system_id && h->system_id < 0x37) ||
                (!h->little && !h->lines && (d->desc.evt21_legacy || s->legacy));
    spki_raw_infer_size(h);
    spki_decoder_size(d, SPKI_MIN(h->width, 65536u), SPKI_MIN(h->height, 65536u));
    s->other = SPKI_RAW_NOTHING;
    s->in_data = true;
    return true;
}

SPKI_FN void spki_raw_resync(spk_decoder *d)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    s->has_time = s->has_y = s->has_base = false;
    s->other = SPKI_RAW_NOTHING;
    s->mask_of = 0;
}

/* A TIME_HIGH of 28 bits that counts 64 us, as in EVT2, EVT2.1 and EVT4. A step back by at least
   `wrap_us` is the wrap of the 34 bits, a step as far forward one back across it; a smaller step
   back is an error of the stream, and the new time counts. */
SPKI_FN void spki_raw_time_high(spk_decoder *d, uint32_t high, int64_t wrap_us,
                                const uint8_t *where)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    int64_t t = (int64_t)high << 6, old = (int64_t)s->high << 6;
    if (!s->has_time)
        spki_decoder_epoch(d, s->loops + t);
    else if (old - t >= wrap_us)
        s->loops += (int64_t)1 << 34;
    else if (t - old >= wrap_us && s->loops > 0) {
        s->loops -= (int64_t)1 << 34;
        spki_decoder_violation(d, where, "TIME_HIGH goes back across its wrap");
    } else if (t < old)
        spki_decoder_violation(d, where, "TIME_HIGH goes back");
    s->has_time = true;
    s->high = high;
    s->time = s->loops + t;
}

SPKI_FN void spki_raw_trigger(spk_decoder *d, spki_io *io, int64_t t_us, uint32_t id, uint32_t edge)
{
    spk_trigger trigger;
    memset(&trigger, 0, sizeof trigger);
    trigger.t_us = t_us;
    trigger.channel = (uint16_t)id;
    trigger.edge = (uint8_t)edge;
    spki_decoder_trigger(d, io, &trigger);
}

SPKI_FN void spki_raw_counter(spk_decoder *d, int64_t t_us, uint32_t subtype, uint32_t count)
{
    spk_extra extra;
    memset(&extra, 0, sizeof extra);
    extra.t_us = t_us;
    extra.kind = SPK_EXTRA_COUNTER;
    extra.code = (uint16_t)subtype;
    extra.bytes = &count;
    extra.size = sizeof count;
    spki_decoder_extra(d, &extra);
}

/* A record that CONTINUED words follow. */
SPKI_FN void spki_raw_open(spki_raw_state *s, uint32_t what, int64_t t_us)
{
    s->other = what;
    s->others = s->value = 0;
    s->other_t = t_us;
}

/* EVT2 and EVT4: the first word after OTHER 0x14 or 0x16 is a count of 22 bits. EVT2: five more
   samples follow an IMU word. All other continuations are skipped. */
SPKI_FN void spki_raw_continued(spk_decoder *d, uint32_t word)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    spk_imu imu;
    int k;
    if (s->other == SPKI_RAW_IN_COUNT || s->other == SPKI_RAW_OUT_COUNT)
        spki_raw_counter(d, s->other_t, s->other, word & 0x3fffffu);
    if (s->other != SPKI_RAW_IMU) {
        s->other = SPKI_RAW_NOTHING;
        return;
    }
    s->samples[++s->others] = (int16_t)(uint16_t)(word >> 1);
    if (s->others < 5) return;
    memset(&imu, 0, sizeof imu);
    imu.t_us = s->other_t;
    for (k = 0; k < 3; k++)
        imu.accel_g[k] = imu.gyro_dps[k] = imu.mag_ut[k] = imu.temperature_c = __builtin_nanf("");
    memcpy(imu.raw, s->samples, sizeof imu.raw);
    s->other = SPKI_RAW_NOTHING;
    spki_decoder_imu(d, &imu);
}

/* Events at x + k for each bit k of the mask. */
SPKI_INLINE spk_event *spki_raw_vector(spk_decoder *d, spk_event *out, int64_t t_us, uint32_t x,
                                       uint32_t y, uint32_t on, uint32_t mask)
{
    uint32_t columns = spki_decoder_columns(d);
    uint64_t rest = (uint64_t)y << 16 | (uint64_t)on << 32 | d->source_bits;
    if (y >= spki_decoder_rows(d)) {
        d->stats.dropped += (uint32_t)__builtin_popcount(mask);
        return out;
    }
    if (x + 32 > columns) { /* drop what is outside of the sensor */
        uint32_t inside = x >= columns ? 0 : columns - x;
        uint32_t keep = inside >= 32 ? 0xffffffffu : (1u << inside) - 1u;
        d->stats.dropped += (uint32_t)__builtin_popcount(mask & ~keep);
        mask &= keep;
    }
    for (; mask; mask &= mask - 1)
        spki_event_store(out++, t_us, rest | (x + (uint32_t)__builtin_ctz(mask)));
    return out;
}

#endif
