/* ---- >>writer: what all writers of events share ---- */
#ifndef SPIKELIB_EVENT_WRITER_H
#define SPIKELIB_EVENT_WRITER_H

#include "codec.h"
#include "file.h"

/* Remembers the first error. */
__attribute__((format(printf, 3, 4))) SPKI_FN void
spki_writer_fail(spk_event_writer *w, spk_result result, const char *format, ...)
{
    size_t used;
    va_list args;
    if (w->result != SPK_OK) return;
    w->result = result;
    snprintf(w->error, sizeof w->error, "%.300s: ", w->name ? w->name : "event writer");
    used = strlen(w->error);
    va_start(args, format);
    vsnprintf(w->error + used, sizeof w->error - used, format, args);
    va_end(args);
}

/* The next event cannot be held by the format: names it. Always false. */
SPKI_FN bool spki_writer_refuse(spk_event_writer *w, const spk_event *e, const char *why)
{
    spki_writer_fail(w, SPK_ERR_RANGE, "event %llu (t %lld us, x %u, y %u, %s): %s: %s",
                     (unsigned long long)w->encoded, (long long)e->t_us, (unsigned)e->x,
                     (unsigned)e->y,
                     e->kind == SPK_EVENT_TRIGGER ? "trigger"
                     : e->polarity                ? "on"
                                                  : "off",
                     spk_event_format_name(w->encoder->format), why);
    return false;
}

/* Checks of an event, each false after an error. Time: not negative, not before *last, which moves
   on. */
SPKI_INLINE bool spki_writer_time(spk_event_writer *w, const spk_event *e, int64_t *last)
{
    if (e->t_us < *last)
        return spki_writer_refuse(
            w, e, e->t_us < 0 ? "the time is negative" : "the time is before the last event's");
    *last = e->t_us;
    return true;
}

SPKI_INLINE bool spki_writer_range(spk_event_writer *w, const spk_event *e, uint32_t x_max,
                                   uint32_t y_max)
{
    if (e->x > x_max) return spki_writer_refuse(w, e, "x (of a trigger: the channel) is too large");
    if (e->y > y_max) return spki_writer_refuse(w, e, "y is too large");
    return true;
}

/* A CD event, within the sensor if its size was given. */
SPKI_INLINE bool spki_writer_cd(spk_event_writer *w, const spk_event *e)
{
    if (e->kind != SPK_EVENT_CD) return spki_writer_refuse(w, e, "it has no such kind of event");
    if (w->desc.width != 0 && e->x >= w->desc.width)
        return spki_writer_refuse(w, e, "x is outside of the sensor");
    if (w->desc.height != 0 && e->y >= w->desc.height)
        return spki_writer_refuse(w, e, "y is outside of the sensor");
    return true;
}

/* Hands the buffer to the system. What it did not take whole is cut off again, so that the file
   ends with the last event that `written` counts. */
SPKI_FN bool spki_writer_flush(spk_event_writer *w)
{
    size_t n;
    int reason;
    if (w->result != SPK_OK) return false;
    if (w->fill == 0) return true;
    errno = 0;
    n = w->file ? fwrite(w->buffer, 1, w->fill, w->file)
                : w->desc.write(w->desc.write_ctx, w->buffer, w->fill);
    if (n != w->fill) {
        reason = errno;
        if (w->file) spki_file_truncate(w->file, w->bytes);
        errno = reason;
        spki_writer_fail(w, SPK_ERR_IO, "cannot be written (%s): it holds the first %llu events",
                         w->file ? spki_file_why() : "the write function took less",
                         (unsigned long long)w->written);
        return false;
    }
    w->bytes += w->fill;
    w->fill = 0;
    w->written = w->encoded;
    return true;
}

/* `size` bytes of room in the buffer, to be filled and added to `fill`; NULL: an error is set.
   Everything in the buffer belongs to whole events when this is called. */
SPKI_INLINE uint8_t *spki_writer_room(spk_event_writer *w, size_t size)
{
    if (SPKI_WRITE_BUFFER - w->fill < size && !spki_writer_flush(w)) return NULL;
    return w->buffer + w->fill;
}

SPKI_FN void spki_writer_text(spk_event_writer *w, const char *text)
{
    size_t n = strlen(text);
    uint8_t *p = spki_writer_room(w, n);
    if (!p) return;
    memcpy(p, text, n);
    w->fill += n;
}

/* The header of Prophesee's files. */
SPKI_FN void spki_raw_write_header(spk_event_writer *w, const char *format, const char *evt)
{
    char text[256], size[64] = "";
    if (w->desc.width && w->desc.height)
        snprintf(size, sizeof size, ";height=%u;width=%u", w->desc.height, w->desc.width);
    snprintf(text, sizeof text, "%% evt %s\n%% format %s%s\n", evt, format, size);
    spki_writer_text(w, text);
    if (size[0]) {
        snprintf(text, sizeof text, "%% geometry %ux%u\n", w->desc.width, w->desc.height);
        spki_writer_text(w, text);
    }
    spki_writer_text(w, "% end\n");
}

#endif
