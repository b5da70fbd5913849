/* ---- >>text-write: events to CSV and to the text of the RPG data sets ---- */
#ifndef SPIKELIB_EVENT_TEXT_WRITE_H
#define SPIKELIB_EVENT_TEXT_WRITE_H

#include "writer.h"

/* The longest line: a sign, 19 digits, a point, two times five digits, a polarity and the gaps. */
#define SPKI_TEXT_LINE 64

SPKI_INLINE uint8_t *spki_put_digits(uint8_t *p, uint64_t value)
{
    uint8_t digits[20];
    uint32_t n = 0;
    do {
        digits[n++] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (n > 0) *p++ = digits[--n];
    return p;
}

SPKI_INLINE uint8_t *spki_put_us(uint8_t *p, int64_t t)
{
    if (t < 0) *p++ = '-';
    return spki_put_digits(p, t < 0 ? 0 - (uint64_t)t : (uint64_t)t);
}

/* Seconds with six decimals. */
SPKI_INLINE uint8_t *spki_put_seconds(uint8_t *p, int64_t t)
{
    uint64_t us = t < 0 ? 0 - (uint64_t)t : (uint64_t)t;
    uint32_t part = (uint32_t)(us % 1000000), k;
    if (t < 0) *p++ = '-';
    p = spki_put_digits(p, us / 1000000);
    *p = '.';
    for (k = 6; k > 0; k--, part /= 10) p[k] = (uint8_t)('0' + part % 10);
    return p + 7;
}

SPKI_FN void spki_text_write_head(spk_event_writer *w)
{
    char text[64];
    if (w->desc.width && w->desc.height) {
        snprintf(text, sizeof text, "#geometry:%u,%u\n", w->desc.width, w->desc.height);
        spki_writer_text(w, text);
    }
    if (w->encoder->format == SPK_FORMAT_CSV) spki_writer_text(w, "t,x,y,p\n");
}

SPKI_FN uint8_t *spki_text_write_trigger(uint8_t *p, const spk_event *e)
{
    memcpy(p, "#trigger ", 9);
    p = spki_put_us(p + 9, e->t_us);
    *p++ = ' ';
    p = spki_put_digits(p, e->x);
    *p++ = ' ';
    *p++ = e->polarity ? '1' : '0';
    return p;
}

SPKI_FN void spki_text_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    bool csv = w->encoder->format == SPK_FORMAT_CSV;
    uint8_t gap = csv ? ',' : ' ';
    for (; count > 0; count--, e++) {
        uint8_t *p = spki_writer_room(w, SPKI_TEXT_LINE), *begin = p;
        if (!p) return;
        if (e->kind == SPK_EVENT_TRIGGER) p = spki_text_write_trigger(p, e);
        else {
            if (!spki_writer_cd(w, e)) return;
            p = csv ? spki_put_us(p, e->t_us) : spki_put_seconds(p, e->t_us);
            *p++ = gap;
            p = spki_put_digits(p, e->x);
            *p++ = gap;
            p = spki_put_digits(p, e->y);
            *p++ = gap;
            *p++ = e->polarity ? '1' : '0';
        }
        *p++ = '\n';
        w->fill += (size_t)(p - begin);
        w->encoded++;
    }
}

static const spki_encoder spki_csv_encoder = {
    SPK_FORMAT_CSV, ".csv ", 1, spki_text_write_head, spki_text_encode, NULL, NULL};

static const spki_encoder spki_text_encoder = {
    SPK_FORMAT_TEXT, ".txt ", 1, spki_text_write_head, spki_text_encode, NULL, NULL};

#endif
