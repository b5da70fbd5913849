/* ---- >>text: events in text, a line each, and spikes in SONATA's text ---- */
#ifndef SPIKELIB_EVENT_TEXT_H
#define SPIKELIB_EVENT_TEXT_H

#include "columns.h"
#include "hold.h"

/* Lines of numbers parted by blanks (the text files of the RPG data sets) or commas, in any order
   of columns: as a line of names says, or the descriptor, or as they look. Lines that begin with
   '#', '%' or "//" are comments; "%geometry:w,h" and a first line of two numbers give the size of
   the sensor, "#trigger t id edge" is what our own writer does with triggers. */

enum { SPKI_POPULATIONS_MOST = 64 };

typedef struct spki_text_state {
    spki_columns columns;
    bool decided, commas, names, geometry;
    uint32_t width, height;
    uint64_t population[SPKI_POPULATIONS_MOST]; /* hashes of their names, in order of appearance */
    uint32_t populations;
    uint64_t lines;
} spki_text_state;

/* -- looking at the beginning -- */

SPKI_FN bool spki_is_number(const uint8_t *s, size_t n, double *value)
{
    spki_decimal number;
    int32_t e;
    if (spki_decimal_read((const char *)s, n, &number) != n || n == 0) return false;
    *value = (double)number.digits;
    for (e = number.exponent; e < 0 && e > -400; e++) *value /= 10.0;
    for (e = number.exponent; e > 0 && e < 400; e--) *value *= 10.0;
    if (number.negative) *value = -*value;
    return true;
}

/* A point tells that times are seconds, but not beside an exponent, which integers get too. */
SPKI_FN bool spki_has_point(const uint8_t *s, size_t n)
{
    return memchr(s, '.', n) != NULL && memchr(s, 'e', n) == NULL && memchr(s, 'E', n) == NULL;
}

/* Two numbers after `at`, parted by anything. */
SPKI_FN void spki_text_size(spki_text_state *s, const uint8_t *at, const uint8_t *end)
{
    uint32_t value[2] = {0, 0};
    int k;
    for (k = 0; k < 2; k++) {
        while (at < end && (*at < '0' || *at > '9')) at++;
        for (; at < end && *at >= '0' && *at <= '9' && value[k] < 100000u; at++)
            value[k] = value[k] * 10 + (uint32_t)(*at - '0');
    }
    if (value[0] == 0 || value[1] == 0 || value[0] > 65536 || value[1] > 65536) return;
    s->width = value[0];
    s->height = value[1];
}

SPKI_INLINE bool spki_text_is_comment(const uint8_t *line, size_t n)
{
    return n > 0 && (*line == '#' || *line == '%' || (n > 1 && line[0] == '/' && line[1] == '/'));
}

/* One line of the beginning. False: it is no text of events. */
SPKI_FN bool spki_text_look(spki_text_state *s, const uint8_t *line, size_t n, spki_looks *looks,
                            uint32_t *rows, uint32_t *fields)
{
    const uint8_t *at = line, *end = line + n, *field;
    bool comment = spki_text_is_comment(line, n), all = true;
    double value[SPKI_COLUMNS_MOST];
    uint32_t count = 0;
    bool points[SPKI_COLUMNS_MOST];
    size_t m;
    if (comment && spki_contains(line, n, "geometry")) {
        spki_text_size(s, line, end);
        s->geometry = *line == '%';
        return true;
    }
    if (comment) at++;
    while (count < SPKI_COLUMNS_MOST && spki_field(&at, end, &field, &m)) {
        value[count] = 0.0;
        if (!spki_is_number(field, m, &value[count])) all = false;
        points[count] = spki_has_point(field, m);
        count++;
    }
    if (count == 0) return true;
    if (comment || (!all && *rows == 0 && !s->names)) {
        spki_columns names = s->columns;
        names.power = SPKI_POWER_UNKNOWN;
        spki_columns_by_names(&names, line + (comment ? 1 : 0), n - (comment ? 1u : 0u),
                              memchr(line, ',', n) || memchr(line, ';', n));
        if (!spki_columns_complete(&names)) return comment;
        s->columns = names;
        s->names = true;
        return true;
    }
    if (*rows == 0 && all && count == 2 && !s->names && !points[0] && !points[1]) {
        spki_text_size(s, line, end); /* the first line of some: width height */
        *fields = 2;
        return s->width != 0;
    }
    if (*rows > 0 && count != *fields) return false;
    *fields = count;
    if (!s->names && !all) return false;
    for (m = 0; m < count; m++) {
        spki_look_at(&looks[m], value[m], *rows == 0);
        if (points[m]) looks[m].point = true;
    }
    (*rows)++;
    return true;
}

/* Bytes of a mark that some editors put in front of UTF-8. */
SPKI_FN size_t spki_text_mark(const uint8_t *p, size_t n)
{
    return n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* What the lines of the beginning are. `end`: the stream ends here, otherwise the last line may not
   be whole. False: no text of events. */
SPKI_FN bool spki_text_study(spki_text_state *s, const uint8_t *p, size_t n, bool end)
{
    spki_looks looks[SPKI_COLUMNS_MOST];
    const uint8_t *stop = p + n, *next;
    uint32_t rows = 0, fields = 0, k;
    bool seconds = false;
    memset(looks, 0, sizeof looks);
    s->columns.power = SPKI_POWER_UNKNOWN;
    p += spki_text_mark(p, n);
    for (; p < stop && rows < SPKI_LINES_LOOK; p = next) {
        const uint8_t *line_end = (const uint8_t *)memchr(p, '\n', (size_t)(stop - p));
        size_t m;
        if (!line_end && !end) break;
        next = line_end ? line_end + 1 : stop;
        if (!line_end) line_end = stop;
        m = (size_t)(line_end - p);
        if (m > 0 && p[m - 1] == '\r') m--;
        for (k = 0; k < m; k++)
            if ((p[k] < 0x20 && p[k] != '\t') || p[k] == 0x7f) return false;
        if (m > 0 && !spki_text_is_comment(p, m) && (memchr(p, ',', m) || memchr(p, ';', m)))
            s->commas = true;
        if (!spki_text_look(s, p, m, looks, &rows, &fields)) {
            if (line_end == stop && (rows > 0 || s->names)) break; /* a file that was cut */
            return false;
        }
    }
    if (rows == 0) return s->names;
    if (s->names && fields < s->columns.count) { /* the names are not those of the columns */
        spki_columns found = s->columns;
        if (spki_columns_by_looks(&found, looks, fields)) s->columns = found;
    }
    if (!s->names) {
        /* Metavision's: x,y,p,t after the size of the sensor ("#geometry" is our own writer's). */
        if (s->geometry && fields == 4 && looks[2].sign && looks[0].pixel && looks[1].pixel &&
            looks[0].whole && !looks[0].point) {
            static const uint8_t order[] = {SPKI_ROLE_X, SPKI_ROLE_Y, SPKI_ROLE_P, SPKI_ROLE_T};
            memcpy(s->columns.role, order, sizeof order);
            s->columns.count = 4;
        } else if (!spki_columns_by_looks(&s->columns, looks, fields)) return false;
    }
    for (k = 0; k < fields && k < s->columns.count; k++)
        if (s->columns.role[k] == SPKI_ROLE_T) seconds = spki_look_seconds(&looks[k]);
    if (s->columns.power == SPKI_POWER_UNKNOWN) {
        s->columns.power = seconds ? 6 : 0;
        if (spki_columns_have(&s->columns, SPKI_ROLE_NODE)) s->columns.power = 3; /* SONATA's */
    }
    return true;
}

SPKI_FN spki_sniff spki_text_is(const uint8_t *head, size_t size, bool whole,
                                spk_event_format format)
{
    spki_text_state s;
    spk_event_format found;
    if (size > 0 && head[0] != '\t' && head[0] < 0x20 && head[0] != '\n' && head[0] != '\r')
        return SPKI_SNIFF_NO;
    if (!whole) return SPKI_SNIFF_MORE;
    memset(&s, 0, sizeof s);
    if (!spki_text_study(&s, head, size, size < SPKI_CARRY)) return SPKI_SNIFF_NO;
    found = spki_columns_have(&s.columns, SPKI_ROLE_NODE) ? SPK_FORMAT_SONATA
            : s.commas                                    ? SPK_FORMAT_CSV
                                                          : SPK_FORMAT_TEXT;
    return found == format ? SPKI_SNIFF_YES : SPKI_SNIFF_NO;
}

SPKI_FN spki_sniff spki_rpg_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_text_is(head, size, whole, SPK_FORMAT_TEXT);
}

SPKI_FN spki_sniff spki_csv_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_text_is(head, size, whole, SPK_FORMAT_CSV);
}

SPKI_FN spki_sniff spki_sonata_text_sniff(const uint8_t *head, size_t size, bool whole)
{
    return spki_text_is(head, size, whole, SPK_FORMAT_SONATA);
}

/* True once the columns are known; needs SPKI_CARRY bytes or all there are. */
SPKI_FN bool spki_text_decide(spk_decoder *d, spki_text_state *s, spki_io *io)
{
    size_t there = (size_t)(io->in_end - io->in);
    spki_columns wanted;
    bool told, known;
    if (there < SPKI_CARRY && !io->last) return false;
    if (there == 0) return false;
    told = spki_columns_by_desc(d, &wanted);
    known = spki_text_study(s, io->in, SPKI_MIN(there, SPKI_CARRY),
                            there <= SPKI_CARRY && io->last);
    if (d->result != SPK_OK) return false;
    if (told) {
        if (wanted.power == SPKI_POWER_UNKNOWN) wanted.power = known ? s->columns.power : 0;
        s->columns = wanted;
    } else if (!known) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, io->in,
                          "the columns cannot be told; spk_events_desc.columns can name them");
        return false;
    }
    spki_columns_unit(d, &s->columns);
    if (s->width) spki_decoder_size(d, s->width, s->height);
    io->in += spki_text_mark(io->in, there);
    s->decided = true;
    return true;
}

/* -- lines, any -- */

typedef enum spki_text_kind { SPKI_LINE_EVENT, SPKI_LINE_OTHER, SPKI_LINE_BAD } spki_text_kind;

SPKI_FN bool spki_text_polarity(const uint8_t *s, size_t n, uint64_t *on)
{
    spki_decimal number;
    int64_t value;
    if (spki_name_in(s, n, "true on t")) *on = 1;
    else if (spki_name_in(s, n, "false off f")) *on = 0;
    else {
        if (n == 0 || spki_decimal_read((const char *)s, n, &number) != n ||
            !spki_decimal_scale(&number, 0, &value))
            return false;
        *on = value > 0;
    }
    return true;
}

SPKI_FN uint64_t spki_text_population(spki_text_state *s, const uint8_t *name, size_t n)
{
    uint64_t hash = spk_xxh64(name, n, 0);
    uint32_t k;
    for (k = 0; k < s->populations; k++)
        if (s->population[k] == hash) return k;
    if (k < SPKI_POPULATIONS_MOST) s->population[s->populations++] = hash;
    return k;
}

SPKI_FN bool spki_text_integer(const uint8_t *s, size_t n, int64_t most, uint64_t *out)
{
    spki_decimal number;
    int64_t value;
    if (n == 0 || spki_decimal_read((const char *)s, n, &number) != n ||
        !spki_decimal_scale(&number, 0, &value) || value < 0 || value > most)
        return false;
    *out = (uint64_t)value;
    return true;
}

SPKI_FN spki_text_kind spki_text_line(const spk_decoder *d, spki_text_state *s, const uint8_t *line,
                                      size_t n, int64_t *t, uint64_t *rest)
{
    const uint8_t *at = line, *end = line + n, *field;
    uint64_t x = 0, y = 0, on = 1, source = 0, node;
    uint32_t k;
    size_t m;
    for (k = 0; k < s->columns.count; k++) {
        spki_decimal number;
        if (!spki_field(&at, end, &field, &m)) return k == 0 ? SPKI_LINE_OTHER : SPKI_LINE_BAD;
        switch (s->columns.role[k]) {
        case SPKI_ROLE_T:
            if (m == 0 || spki_decimal_read((const char *)field, m, &number) != m ||
                !spki_decimal_scale(&number, s->columns.power, t))
                return SPKI_LINE_BAD;
            break;
        case SPKI_ROLE_X:
            if (!spki_text_integer(field, m, 65535, &x)) return SPKI_LINE_BAD;
            break;
        case SPKI_ROLE_Y:
            if (!spki_text_integer(field, m, 65535, &y)) return SPKI_LINE_BAD;
            break;
        case SPKI_ROLE_P:
            if (!spki_text_polarity(field, m, &on)) return SPKI_LINE_BAD;
            break;
        case SPKI_ROLE_NODE:
            if (!spki_text_integer(field, m, UINT32_MAX, &node)) return SPKI_LINE_BAD;
            x = node & 0xffff;
            y = node >> 16;
            break;
        case SPKI_ROLE_POPULATION: source = spki_text_population(s, field, m); break;
        default: break;
        }
    }
    *rest = x | y << 16 | on << 32 | (d->source_bits + (source << 48));
    return SPKI_LINE_EVENT;
}

/* A comment: of ours if it tells a trigger. */
SPKI_FN void spki_text_comment(spk_decoder *d, spki_io *io, const uint8_t *line, size_t n)
{
    const uint8_t *at = line + 8, *end = line + n, *field;
    uint64_t value[3];
    size_t m;
    int k;
    spk_trigger e;
    if (n < 9 || memcmp(line, "#trigger ", 9) != 0) return;
    for (k = 0; k < 3; k++) {
        bool negative = false;
        if (!spki_field(&at, end, &field, &m)) return;
        if (k == 0 && m > 0 && *field == '-') {
            negative = true;
            field++;
            m--;
        }
        if (!spki_text_integer(field, m, k == 0 ? INT64_MAX : 65535, &value[k])) return;
        if (negative) value[k] = 0 - value[k];
    }
    memset(&e, 0, sizeof e);
    e.t_us = (int64_t)value[0];
    e.channel = (uint16_t)value[1];
    e.edge = value[2] != 0;
    spki_decoder_trigger(d, io, &e);
}

/* -- lines as they mostly are -- */

/* Numbers of at most 16 digits. `p` moves on; false where there is none. */
SPKI_INLINE bool spki_fast_number(const uint8_t **p, uint64_t *out)
{
    uint64_t w = spki_load_text((const char *)*p), value;
    uint32_t n = spki_count_digits(w);
    if (n == 0) return false;
    value = spki_eight_digits(w << (64 - 8 * n));
    *p += n;
    if (n == 8) {
        static const uint32_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
                                        100000000};
        w = spki_load_text((const char *)*p);
        n = spki_count_digits(w);
        if (n > 0) value = value * tens[n] + spki_eight_digits(w << (64 - 8 * n));
        *p += n;
    }
    *out = value;
    return true;
}

/* Seconds with a fraction of up to 15 digits, or whole microseconds. */
SPKI_INLINE bool spki_fast_time(const uint8_t **p, int32_t power, int64_t *t)
{
    uint64_t value, w;
    uint32_t n;
    if (!spki_fast_number(p, &value)) return false;
    if (power == 0) {
        *t = (int64_t)value;
        return **p != '.';
    }
    if (value > UINT64_C(1000000000000)) return false;
    value *= 1000000;
    if (**p == '.') {
        w = spki_load_text((const char *)*p + 1);
        n = spki_count_digits(w);
        if (n < 8) w &= (UINT64_C(1) << 8 * n) - 1;
        value += (spki_eight_digits(w) + 50) / 100; /* halves round up, and so do more digits */
        *p += 1 + n;
        if (n == 8) {
            n = spki_count_digits(spki_load_text((const char *)*p));
            if (n == 8) return false;
            *p += n;
        }
    }
    *t = (int64_t)value;
    return true;
}

SPKI_INLINE bool spki_fast_gap(const uint8_t **p)
{
    uint8_t c = **p;
    *p += 1;
    return c == ' ' || c == ',' || c == '\t' || c == ';';
}

/* The longest line that the fast path may look at, and what it reads beyond. */
#define SPKI_FAST_LINE 128

/* A line of t x y p in `order` (their places); the next line's beginning, NULL if it is not as
   simple as that. Reads up to SPKI_FAST_LINE bytes. */
SPKI_INLINE const uint8_t *spki_fast_line(const uint8_t *p, const char *order, int32_t power,
                                          int64_t *t, uint64_t *x, uint64_t *y, uint64_t *on)
{
    int k;
    for (k = 0; k < 4; k++) {
        if (k > 0 && !spki_fast_gap(&p)) return NULL;
        if (order[k] == 't') {
            if (!spki_fast_time(&p, power, t)) return NULL;
        } else if (order[k] == 'p') {
            bool minus = *p == '-';
            p += minus;
            if (*p != '0' && *p != '1') return NULL;
            *on = *p == '1' && !minus;
            p++;
        } else if (!spki_fast_number(&p, order[k] == 'x' ? x : y)) return NULL;
    }
    if (*p == ' ') p++;
    if (*p == '\r') p++;
    return *p == '\n' ? p + 1 : NULL;
}

/* As many lines as are that simple. */
SPKI_INLINE void spki_fast_lines(spk_decoder *d, spki_io *io, const char *order, int32_t power)
{
    const uint8_t *p = io->in;
    uint64_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    uint64_t source = d->source_bits;
    spk_event *out = io->out;
    while (out < io->out_end && io->in_end - p >= SPKI_FAST_LINE) {
        int64_t t = 0;
        uint64_t x = 0, y = 0, on = 0;
        const uint8_t *next = spki_fast_line(p, order, power, &t, &x, &y, &on);
        if (!next || x > 65535 || y > 65535) break;
        p = next;
        spki_event_store(out, t, x | y << 16 | on << 32 | source);
        if (x < columns && y < rows) out++;
        else d->stats.dropped++;
    }
    io->in = p;
    io->out = out;
}

SPKI_FN void spki_text_fast(spk_decoder *d, spki_io *io, const spki_text_state *s)
{
    static const uint8_t txyp[] = {SPKI_ROLE_T, SPKI_ROLE_X, SPKI_ROLE_Y, SPKI_ROLE_P};
    static const uint8_t xypt[] = {SPKI_ROLE_X, SPKI_ROLE_Y, SPKI_ROLE_P, SPKI_ROLE_T};
    int32_t power = s->columns.power;
    if (s->columns.count != 4 || (power != 0 && power != 6)) return;
    if (memcmp(s->columns.role, txyp, 4) == 0) spki_fast_lines(d, io, "txyp", power);
    else if (memcmp(s->columns.role, xypt, 4) == 0) spki_fast_lines(d, io, "xypt", power);
}

/* -- the stream -- */

/* One line of any kind. */
SPKI_FN void spki_text_any(spk_decoder *d, spki_io *io, spki_text_state *s, const uint8_t *line,
                           size_t n)
{
    int64_t t = 0;
    uint64_t rest = 0;
    spki_text_kind kind;
    if (n > 0 && line[n - 1] == '\r') n--;
    if (n == 0 || spki_text_is_comment(line, n)) {
        spki_text_comment(d, io, line, n);
        return;
    }
    kind = spki_text_line(d, s, line, n, &t, &rest);
    if (kind == SPKI_LINE_BAD) {
        double number;
        const uint8_t *at = line, *field;
        size_t m;
        /* Before the first event: names, or the size of the sensor. */
        if (s->lines == 0 && spki_field(&at, line + n, &field, &m) &&
            (s->names || s->width != 0 || !spki_is_number(field, m, &number)))
            return;
        d->stats.bytes_skipped += n + 1;
        spki_decoder_violation(d, line, "text: the line does not hold the numbers that it should");
    } else if (kind == SPKI_LINE_EVENT) {
        s->lines++;
        spki_event_store(io->out, t, rest);
        if (io->out->x < spki_decoder_columns(d) && io->out->y < spki_decoder_rows(d)) io->out++;
        else d->stats.dropped++;
    }
}

SPKI_FN void spki_text_decode(spk_decoder *d, spki_io *io)
{
    spki_text_state *s = (spki_text_state *)d->state;
    if (!s->decided && !spki_text_decide(d, s, io)) return;
    while (io->in < io->in_end && io->out < io->out_end && d->result == SPK_OK) {
        const uint8_t *line, *end;
        spki_text_fast(d, io, s);
        if (io->in == io->in_end || io->out == io->out_end) break;
        line = io->in;
        end = (const uint8_t *)memchr(line, '\n', (size_t)(io->in_end - line));
        if (!end && !io->last) break;
        io->in = end ? end + 1 : io->in_end;
        spki_text_any(d, io, s, line, (size_t)((end ? end : io->in_end) - line));
    }
}

SPKI_FN bool spki_text_accept(const uint8_t *head, size_t size)
{
    size_t k;
    for (k = 0; k < size; k++)
        if (head[k] == 0) return false;
    return size > 0;
}

static const spki_codec spki_text_codec = {SPK_FORMAT_TEXT, ".txt ", sizeof(spki_text_state),
                                           spki_rpg_sniff, spki_text_accept, NULL, NULL,
                                           spki_text_decode, NULL, NULL};

static const spki_codec spki_csv_codec = {SPK_FORMAT_CSV, ".csv ", sizeof(spki_text_state),
                                          spki_csv_sniff, spki_text_accept, NULL, NULL,
                                          spki_text_decode, NULL, NULL};

static const spki_codec spki_sonata_text_codec = {
    SPK_FORMAT_SONATA, "", sizeof(spki_text_state), spki_sonata_text_sniff, spki_text_accept, NULL,
    NULL, spki_text_decode, NULL, NULL};

#endif
