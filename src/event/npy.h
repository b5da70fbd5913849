/* ---- >>npy: NumPy's files of events ---- */
#ifndef SPIKELIB_EVENT_NPY_H
#define SPIKELIB_EVENT_NPY_H

#include "columns.h"
#include "hold.h"

/* "\x93NUMPY", a version, the length of a Python dictionary as text, the dictionary, the records.
   Structured arrays go by the names of their fields; arrays of N x 4 (or 4 x N) numbers by the
   descriptor or by looks. Source: NumPy's "NPY format" (numpy.lib.format), versions 1.0 to 3.0. */

typedef struct spki_npy_field {
    uint32_t at, size;
    char kind; /* i u f b; V is anything else */
    bool swap;
    int32_t power; /* of a type that has a unit */
} spki_npy_field;

typedef struct spki_npy {
    spki_bytes held; /* the header, or all of an array whose columns follow each other */
    bool header, decided, columnar, fast;
    uint32_t head_size;
    spki_columns columns;
    spki_npy_field field[SPKI_COLUMNS_MOST];
    uint32_t item, fields; /* bytes of a record; of plain arrays: numbers in one */
    uint64_t count, done;  /* records: in all, given out */
    spki_npy_field t, x, y, p, node;
} spki_npy;

SPKI_FN spki_sniff spki_npy_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "\x93NUMPY";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    return size >= n ? SPKI_SNIFF_YES : whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
}

/* -- the dictionary -- */

typedef struct spki_py {
    const char *p, *end;
} spki_py;

SPKI_FN bool spki_py_take(spki_py *s, char c)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n')) s->p++;
    if (s->p == s->end || *s->p != c) return false;
    s->p++;
    return true;
}

SPKI_FN bool spki_py_string(spki_py *s, const char **text, size_t *n)
{
    const char *quote;
    char mark = '\'';
    if (!spki_py_take(s, mark) && !spki_py_take(s, mark = '"')) return false;
    quote = (const char *)memchr(s->p, mark, (size_t)(s->end - s->p));
    if (!quote) return false;
    *text = s->p;
    *n = (size_t)(quote - s->p);
    s->p = quote + 1;
    return true;
}

SPKI_FN bool spki_py_number(spki_py *s, uint64_t *value)
{
    size_t digits = 0;
    while (s->p < s->end && *s->p == ' ') s->p++;
    *value = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9' && digits < 18; s->p++, digits++)
        *value = *value * 10 + (uint64_t)(*s->p - '0');
    if (s->p < s->end && *s->p == 'L') s->p++; /* Python 2 */
    return digits > 0;
}

/* The value of a key; false if there is none. */
SPKI_FN bool spki_py_find(const char *text, size_t n, const char *key, spki_py *value)
{
    size_t m = strlen(key), i;
    for (i = 0; i + m + 2 <= n; i++) {
        if ((text[i] != '\'' && text[i] != '"') || memcmp(text + i + 1, key, m) != 0 ||
            text[i + 1 + m] != text[i])
            continue;
        value->p = text + i + m + 2;
        value->end = text + n;
        return spki_py_take(value, ':');
    }
    return false;
}

/* "<u2" */
SPKI_FN bool spki_npy_type(const char *text, size_t n, spki_npy_field *field)
{
    size_t k = 0;
    bool big = false;
    field->power = SPKI_POWER_UNKNOWN;
    if (n > 0 && (*text == '<' || *text == '>' || *text == '|' || *text == '='))
        big = text[k++] == '>';
    if (k + 1 >= n) return false;
    field->kind = text[k++];
    field->size = 0;
    for (; k < n && text[k] >= '0' && text[k] <= '9' && field->size < 100000; k++)
        field->size = field->size * 10 + (uint32_t)(text[k] - '0');
    if (field->kind == 'U') field->size *= 4;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    field->swap = big;
#else
    field->swap = !big && *text == '<';
#endif
    if (field->kind == 'f') return field->size == 2 || field->size == 4 || field->size == 8;
    if (field->kind == 'i' || field->kind == 'u')
        return field->size == 1 || field->size == 2 || field->size == 4 || field->size == 8;
    if (field->kind == 'b') return field->size == 1;
    if ((field->kind == 'm' || field->kind == 'M') && field->size == 8) { /* "<m8[us]" */
        field->power = spki_unit_power((const uint8_t *)text + k, n - k);
        field->kind = field->power == SPKI_POWER_UNKNOWN ? 'V' : 'i';
        return true;
    }
    field->kind = 'V';
    return true;
}

/* Is the last column the time? */
SPKI_FN bool spki_npy_last_is_time(const spki_npy *s)
{
    return s->columns.role[s->columns.count - 1] == SPKI_ROLE_T;
}

/* 't', or ('a title', 't'). */
SPKI_FN bool spki_npy_name(spki_py *value, const char **name, size_t *n)
{
    if (!spki_py_take(value, '(')) return spki_py_string(value, name, n);
    return spki_py_string(value, name, n) && spki_py_take(value, ',') &&
           spki_py_string(value, name, n) && spki_py_take(value, ')');
}

SPKI_FN bool spki_npy_descr(spki_npy *s, spki_py *value)
{
    const char *name, *type;
    size_t n, m;
    if (!spki_py_take(value, '[')) { /* a plain array */
        s->fields = 1;
        return spki_py_string(value, &type, &m) && spki_npy_type(type, m, &s->field[0]) &&
               s->field[0].kind != 'V' && (s->item = s->field[0].size) > 0;
    }
    while (!spki_py_take(value, ']')) {
        spki_npy_field f;
        uint64_t times = 1, extent;
        memset(&f, 0, sizeof f);
        if (!spki_py_take(value, '(') || !spki_npy_name(value, &name, &n) ||
            !spki_py_take(value, ',') || !spki_py_string(value, &type, &m) ||
            !spki_npy_type(type, m, &f))
            return false;
        if (spki_py_take(value, ',') && spki_py_take(value, '(')) { /* an array as a field */
            while (!spki_py_take(value, ')')) {
                if (!spki_py_number(value, &extent) || extent > 100000) return false;
                times *= extent;
                if (times > 100000) return false;
                spki_py_take(value, ',');
            }
            f.kind = 'V';
        }
        if (!spki_py_take(value, ')')) return false;
        f.at = s->item;
        s->item += f.size * (uint32_t)times;
        if (s->item > 4000) return false;
        if (f.kind != 'V' && n > 0 && s->columns.count < SPKI_COLUMNS_MOST) {
            s->field[s->columns.count] = f;
            s->columns.role[s->columns.count++] =
                (uint8_t)spki_role_of((const uint8_t *)name, n, &s->columns.power);
            if (spki_npy_last_is_time(s) && f.power != SPKI_POWER_UNKNOWN)
                s->columns.power = f.power;
        }
        spki_py_take(value, ',');
    }
    return s->item > 0;
}

/* Records, and for plain arrays their rows and columns. */
SPKI_FN bool spki_npy_shape(spki_npy *s, spki_py *value, bool fortran)
{
    uint64_t extent[8];
    uint32_t count = 0, k;
    if (!spki_py_take(value, '(')) return false;
    while (!spki_py_take(value, ')')) {
        if (count == 8 || !spki_py_number(value, &extent[count])) return false;
        if (extent[count] > (UINT64_C(1) << 56)) return false;
        count++;
        spki_py_take(value, ',');
    }
    s->count = 1;
    if (s->fields == 0) { /* structured: however many dimensions, record by record */
        for (k = 0; k < count; k++)
            if (__builtin_mul_overflow(s->count, extent[k], &s->count)) return false;
        return s->count < UINT64_MAX / s->item;
    }
    if (count != 2) return false;
    k = extent[1] >= 2 && extent[1] <= 4 ? 1 : 0;
    if (extent[k] < 2 || extent[k] > 4) return false;
    s->fields = (uint32_t)extent[k];
    s->count = extent[1 - k];
    s->columnar = (k == 1) == fortran;
    s->item *= s->fields;
    return s->count < UINT64_MAX / s->item;
}

/* -- values -- */

SPKI_INLINE uint64_t spki_npy_bits(const uint8_t *p, const spki_npy_field *f)
{
    uint64_t v = 0;
    uint32_t k;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&v, p, f->size);
#else
    memcpy((uint8_t *)&v + 8 - f->size, p, f->size);
#endif
    if (f->swap)
        for (k = 0, v = 0; k < f->size; k++) v = v << 8 | p[k];
    return v;
}

SPKI_FN double spki_npy_float(const uint8_t *p, const spki_npy_field *f)
{
    uint64_t bits = spki_npy_bits(p, f);
    uint32_t half = (uint32_t)bits;
    double wide;
    float narrow;
    if (f->size == 2) { /* as a float whose exponent is 112 too small */
        half = (half & 0x7fffu) << 13 | (half & 0x8000u) << 16;
        memcpy(&narrow, &half, 4);
        if ((half & 0x0f800000u) == 0x0f800000u) return 1e300; /* not finite */
        return (double)narrow * 5192296858534827628530496329220096.0;
    }
    if (f->size == 4) {
        memcpy(&narrow, &half, 4);
        return (double)narrow;
    }
    memcpy(&wide, &bits, 8);
    return wide;
}

/* An integer, floats cut to the nearest; false where there is none in 63 bits. */
SPKI_FN bool spki_npy_integer(const uint8_t *p, const spki_npy_field *f, double scale, int64_t *out)
{
    if (f->kind == 'f') {
        double v = spki_npy_float(p, f) * scale;
        if (!(v > -9.2e18 && v < 9.2e18)) return false;
        *out = (int64_t)(v + (v < 0.0 ? -0.5 : 0.5));
        return true;
    }
    *out = (int64_t)spki_npy_bits(p, f);
    if (f->kind == 'i' && f->size < 8) {
        int shift = (int)(64 - 8 * f->size);
        *out = (int64_t)((uint64_t)*out << shift) >> shift;
    }
    if (scale != 1.0) {
        if (scale < 1.0) { /* ns */
            int64_t v = *out;
            *out = (v + (v < 0 ? -500 : 500)) / 1000;
        } else if (__builtin_mul_overflow(*out, (int64_t)scale, out)) return false;
    }
    return !(f->kind == 'u' && f->size == 8 && *out < 0);
}

/* -- what is where -- */

SPKI_FN double spki_npy_scale(const spki_npy *s)
{
    switch (s->columns.power) {
    case 6: return 1e6;
    case 3: return 1e3;
    case -3: return 1e-3;
    default: return 1.0;
    }
}

/* Plain arrays: where number `column` of a record stands. */
SPKI_FN uint64_t spki_npy_plain_at(const spki_npy *s, uint64_t row, uint32_t column)
{
    uint32_t size = s->field[0].size;
    return s->columnar ? (column * s->count + row) * size : row * s->item + column * size;
}

SPKI_FN double spki_npy_value(const uint8_t *p, const spki_npy_field *f)
{
    int64_t v;
    if (f->kind == 'f') return spki_npy_float(p, f);
    return spki_npy_integer(p, f, 1.0, &v) ? (double)v : 1e300;
}

/* The columns of a plain array, from its first rows. */
SPKI_FN bool spki_npy_study(spki_npy *s, const uint8_t *data, uint64_t rows, bool named)
{
    spki_looks looks[SPKI_COLUMNS_MOST];
    uint32_t k;
    uint64_t row;
    memset(looks, 0, sizeof looks);
    for (k = 0; k < s->fields; k++)
        for (row = 0; row < rows; row++)
            spki_look_at(&looks[k],
                         spki_npy_value(data + spki_npy_plain_at(s, row, k), &s->field[0]),
                         row == 0);
    if (!named && !spki_columns_by_looks(&s->columns, looks, s->fields)) return false;
    for (k = 0; k < s->fields && s->columns.power == SPKI_POWER_UNKNOWN; k++)
        if (s->columns.role[k] == SPKI_ROLE_T)
            s->columns.power = spki_look_seconds(&looks[k]) ? 6 : 0;
    return true;
}

/* A structured array's time without a unit: seconds if it has fractions. */
SPKI_FN void spki_npy_unit(spki_npy *s, const uint8_t *data, uint64_t rows)
{
    spki_looks look;
    uint64_t row;
    if (s->columns.power != SPKI_POWER_UNKNOWN) return;
    memset(&look, 0, sizeof look);
    for (row = 0; row < rows; row++)
        spki_look_at(&look, spki_npy_value(data + row * s->item + s->t.at, &s->t), row == 0);
    s->columns.power = s->t.kind == 'f' && rows > 0 && !look.whole ? 6 : 0;
}

SPKI_FN void spki_npy_places(spki_npy *s, bool plain)
{
    uint32_t k;
    for (k = 0; k < s->columns.count; k++) {
        spki_npy_field f = s->field[plain ? 0 : k];
        if (plain) f.at = k * f.size;
        switch (s->columns.role[k]) {
        case SPKI_ROLE_T: s->t = f; break;
        case SPKI_ROLE_X: s->x = f; break;
        case SPKI_ROLE_Y: s->y = f; break;
        case SPKI_ROLE_P: s->p = f; break;
        case SPKI_ROLE_NODE: s->node = f; break;
        default: break;
        }
    }
}

SPKI_FN bool spki_npy_is_fast(const spki_npy *s)
{
    return !s->columnar && s->t.kind != 'f' && s->t.size == 8 && !s->t.swap && s->x.size == 2 &&
           s->x.kind == 'u' && !s->x.swap && s->y.size == 2 && s->y.kind == 'u' && !s->y.swap &&
           s->p.kind != 'f' && s->p.size >= 1 && s->p.size <= 2 && !s->p.swap &&
           s->node.size == 0 && s->columns.power == 0;
}

/* -- the stream -- */

SPKI_FN void spki_npy_header(spk_decoder *d, spki_npy *s, spki_io *io)
{
    const uint8_t *p;
    const char *text;
    spki_py descr, shape, order;
    bool fortran;
    if (s->head_size == 0) {
        uint32_t wide;
        if (io->in_end - io->in < 12) return;
        wide = io->in[6] >= 2 ? 4 : 2;
        s->head_size = wide == 4 ? spki_load32_le(io->in + 8) : spki_load16_le(io->in + 8);
        if (memcmp(io->in, "\x93NUMPY", 6) != 0 || io->in[6] < 1 || io->in[6] > 3 ||
            s->head_size < 10 || s->head_size > (1u << 20)) {
            spki_decoder_fail(d, SPK_ERR_FORMAT, io->in, "NPY: the header is damaged");
            return;
        }
        io->in += 8 + wide;
    }
    p = spki_hold(d, io, &s->held, s->head_size);
    if (!p) return;
    text = (const char *)p;
    s->columns.power = SPKI_POWER_UNKNOWN;
    fortran =
        spki_py_find(text, s->head_size, "fortran_order", &order) && spki_py_take(&order, 'T');
    if (!spki_py_find(text, s->head_size, "descr", &descr) || !spki_npy_descr(s, &descr) ||
        !spki_py_find(text, s->head_size, "shape", &shape) || !spki_npy_shape(s, &shape, fortran)) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "NPY: neither a structured array of events nor N x 2, 3 or 4 numbers: "
                          "%.*s",
                          (int)SPKI_MIN(s->head_size, 160u), text);
        return;
    }
    s->header = true;
}

/* Needs the first rows; of an array by columns, all of it. */
SPKI_FN bool spki_npy_decide(spk_decoder *d, spki_npy *s, spki_io *io)
{
    bool plain = s->fields > 0, named = false;
    uint64_t rows = SPKI_MIN(s->count, (uint64_t)SPKI_MIN(64u, 4000u / s->item));
    const uint8_t *data = io->in;
    spki_columns wanted;
    if (s->columnar) {
        uint64_t size = s->count * s->item;
        if (size > SIZE_MAX / 2 || !spki_bytes_reserve(&d->mem, &s->held, 1)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for the array");
            return false;
        }
        if (s->count > 0 && (data = spki_hold(d, io, &s->held, (size_t)size)) == NULL) {
            if (!io->last || d->result != SPK_OK) return false;
            d->stats.bytes_skipped += s->held.size;
            s->held.size = 0;
            s->done = s->count;
            s->decided = true;
            return spki_decoder_violation(d, NULL, "NPY: the stream ends within the array");
        }
        if (data != s->held.data && s->count > 0 && !spki_bytes_append(&d->mem, &s->held, data,
                                                                       (size_t)size)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for the array");
            return false;
        }
        data = s->held.data;
    } else {
        uint64_t there = (uint64_t)(io->in_end - io->in) / s->item;
        if (there < rows && !io->last) return false;
        rows = SPKI_MIN(rows, there);
    }
    if (spki_columns_by_desc(d, &wanted)) {
        if (d->result != SPK_OK) return false;
        if (wanted.count != (plain ? s->fields : s->columns.count)) {
            spki_decoder_fail(d, SPK_ERR_RANGE, NULL,
                              "NPY: spk_events_desc.columns names %u columns; the array has %u",
                              wanted.count, plain ? s->fields : s->columns.count);
            return false;
        }
        s->columns = wanted;
        named = true;
    }
    spki_columns_unit(d, &s->columns);
    if (rows > 0 && plain && !spki_npy_study(s, data, rows, named)) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "NPY: the columns cannot be told; spk_events_desc.columns can name them");
        return false;
    }
    if (rows > 0 && !spki_columns_complete(&s->columns)) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "NPY: no fields t, x, y (and p), or t and node; spk_events_desc.columns "
                          "can name them");
        return false;
    }
    spki_npy_places(s, plain);
    if (!plain) spki_npy_unit(s, data, rows);
    s->fast = spki_npy_is_fast(s);
    s->decided = true;
    return true;
}

/* One record; for an array by columns its fields lie `step` apart. */
SPKI_FN void spki_npy_one(spk_decoder *d, spki_io *io, const spki_npy *s, const uint8_t *p,
                          uint64_t step, double scale)
{
    int64_t t, x = 0, y = 0, on = 1, node = 0;
    bool good = spki_npy_integer(p + s->t.at * step, &s->t, scale, &t);
    if (s->node.size) {
        good = good && spki_npy_integer(p + s->node.at * step, &s->node, 1.0, &node);
        good = good && node >= 0 && node <= (int64_t)UINT32_MAX;
        x = node & 0xffff;
        y = node >> 16;
    } else {
        good = good && spki_npy_integer(p + s->x.at * step, &s->x, 1.0, &x);
        good = good && spki_npy_integer(p + s->y.at * step, &s->y, 1.0, &y);
    }
    if (s->p.size) good = good && spki_npy_integer(p + s->p.at * step, &s->p, 1.0, &on);
    if (!good || x < 0 || y < 0 || x >= (int64_t)spki_decoder_columns(d) ||
        y >= (int64_t)spki_decoder_rows(d)) {
        d->stats.dropped++;
        return;
    }
    spki_event_store(io->out++, t, (uint64_t)x | (uint64_t)y << 16 | (uint64_t)(on > 0) << 32 |
                                       d->source_bits);
}

/* Records of an i8, two u2 and a small integer, which is what most are. */
SPKI_FN void spki_npy_many(spk_decoder *d, spki_io *io, const spki_npy *s, size_t n)
{
    const uint8_t *p = io->in;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    uint64_t source = d->source_bits;
    size_t item = s->item, t_at = s->t.at, x_at = s->x.at, y_at = s->y.at, p_at = s->p.at, k;
    bool wide = s->p.size == 2, sign = s->p.kind == 'i';
    spk_event *out = io->out;
    for (k = 0; k < n; k++, p += item) {
        uint32_t x = spki_load16_le(p + x_at), y = spki_load16_le(p + y_at), v = p[p_at];
        uint64_t on;
        if (wide) v = spki_load16_le(p + p_at);
        on = v != 0 && !(sign && (v & (wide ? 0x8000u : 0x80u)) != 0);
        spki_event_store(out, (int64_t)spki_load64_le(p + t_at),
                         (uint64_t)x | (uint64_t)y << 16 | on << 32 | source);
        out += x < columns && y < rows;
    }
    d->stats.dropped += n - (size_t)(out - io->out);
    io->in = p;
    io->out = out;
}

SPKI_FN void spki_npy_columnar(spk_decoder *d, spki_io *io, spki_npy *s)
{
    double scale = spki_npy_scale(s);
    for (; s->done < s->count && io->out < io->out_end; s->done++) /* a field's `at` is k * size */
        spki_npy_one(d, io, s, s->held.data + s->done * s->field[0].size, s->count, scale);
}

SPKI_FN void spki_npy_rows(spk_decoder *d, spki_io *io, spki_npy *s)
{
    double scale = spki_npy_scale(s);
    while (s->done < s->count && io->out < io->out_end) {
        uint64_t there = (uint64_t)(io->in_end - io->in) / s->item;
        size_t n = (size_t)SPKI_MIN(there, s->count - s->done);
        n = SPKI_MIN(n, (size_t)(io->out_end - io->out));
        if (n == 0) break;
        if (s->fast) {
            spki_npy_many(d, io, s, n);
        } else {
            n = 1;
            spki_npy_one(d, io, s, io->in, 1, scale);
            io->in += s->item;
        }
        s->done += n;
    }
}

SPKI_FN void spki_npy_decode(spk_decoder *d, spki_io *io)
{
    spki_npy *s = (spki_npy *)d->state;
    if (!s->header) spki_npy_header(d, s, io);
    if (s->header && !s->decided && !spki_npy_decide(d, s, io)) return;
    if (s->decided && s->columnar) spki_npy_columnar(d, io, s);
    else if (s->decided) spki_npy_rows(d, io, s);
    if (s->decided && s->done == s->count) spki_skip(d, io, UINT64_MAX); /* behind the array */
    if (!io->last || d->result != SPK_OK || io->out == io->out_end) return;
    if (!s->header)
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "NPY: the stream ends in the header");
    else if (s->decided && s->done < s->count && (uint64_t)(io->in_end - io->in) < s->item) {
        spki_skip(d, io, UINT64_MAX);
        s->done = s->count;
        spki_decoder_violation(d, NULL, "NPY: the stream ends before the array does");
    }
}

SPKI_FN void spki_npy_end(spk_decoder *d)
{
    spki_bytes_free(&d->mem, &((spki_npy *)d->state)->held);
}

static const spki_codec spki_npy_codec = {SPK_FORMAT_NPY, ".npy ", sizeof(spki_npy),
                                          spki_npy_sniff, NULL, NULL, NULL, spki_npy_decode, NULL,
                                          spki_npy_end};

#endif
