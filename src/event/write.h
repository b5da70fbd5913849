/* ---- >>write: events to files, whatever the format ---- */
#ifndef SPIKELIB_EVENT_WRITE_H
#define SPIKELIB_EVENT_WRITE_H

#include "decoder.h"
#include "writer.h"

SPIKELIB_API bool spk_event_format_writable(spk_event_format format)
{
    return spki_encoder_of(format) != NULL;
}

SPKI_FN const spki_encoder *spki_writer_choose(spk_event_writer *w)
{
    const spki_encoder *encoder;
    size_t k;
    if (w->desc.format != SPK_FORMAT_AUTO) {
        encoder = spki_encoder_of(w->desc.format);
        if (!encoder)
            spki_writer_fail(w, SPK_ERR_UNSUPPORTED,
                             "spk_event_writer_desc.format: this build cannot write %s",
                             spk_event_format_name(w->desc.format));
        return encoder;
    }
    for (k = 0; w->name && (encoder = spki_encoder_at(k)) != NULL; k++)
        if (spki_name_fits(w->name, encoder->suffixes)) return encoder;
    spki_writer_fail(w, SPK_ERR_FORMAT,
                     "the name's ending tells no format that can be written; "
                     "spk_event_writer_desc.format can");
    return NULL;
}

SPKI_FN void spki_writer_configure(spk_event_writer *w)
{
    const spk_event_writer_desc *d = &w->desc;
    if (d->begin_sentinel != 0 || d->end_sentinel != 0)
        spki_writer_fail(w, SPK_ERR_UNINITIALISED,
                         "spk_event_writer_desc: sentinels are not 0; start it with = {0}");
    else if (d->width > 65536u || d->height > 65536u)
        spki_writer_fail(w, SPK_ERR_RANGE, "spk_event_writer_desc: a sensor of %u x %u", d->width,
                         d->height);
    else if (!w->name && !d->write)
        spki_writer_fail(w, SPK_ERR_NULL, "the path and spk_event_writer_desc.write are NULL");
    else if (w->name && d->write)
        spki_writer_fail(w, SPK_ERR_RANGE, "a path and spk_event_writer_desc.write: one is enough");
    else if (!(d->dt_ms >= 0.0 && d->dt_ms < 1e9)) /* not NaN either */
        spki_writer_fail(w, SPK_ERR_RANGE, "spk_event_writer_desc.dt_ms is %g", d->dt_ms);
    if (w->result == SPK_OK) w->encoder = spki_writer_choose(w);
}

SPKI_FN void spki_writer_start(spk_event_writer *w)
{
    w->state = spki_alloc(&w->mem, 1, w->encoder->state_size);
    w->buffer = (uint8_t *)spki_alloc_raw(&w->mem, SPKI_WRITE_BUFFER, 1);
    if (!w->state || !w->buffer) {
        spki_writer_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory for its buffer");
        return;
    }
    if (w->name && w->encoder->format != SPK_FORMAT_SPIKES) { /* which opens its own */
        w->file = spki_file_open(w->name, "wb");
        if (!w->file) {
            spki_writer_fail(w, SPK_ERR_IO, "cannot be opened for writing: %s", spki_file_why());
            return;
        }
        setvbuf(w->file, NULL, _IONBF, 0);
    }
    if (w->encoder->begin) w->encoder->begin(w);
}

SPIKELIB_API spk_event_writer *spk_event_writer_open(const char *path,
                                                     const spk_event_writer_desc *desc)
{
    spki_mem mem;
    spk_event_writer *w;
    spki_mem_init(&mem, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0);
    w = (spk_event_writer *)spki_alloc(&mem, 1, sizeof *w);
    if (!w) return NULL;
    if (desc) w->desc = *desc;
    if (path) {
        w->name_size = strlen(path) + 1;
        w->name = (char *)spki_alloc_raw(&mem, w->name_size, 1);
        if (!w->name) {
            spki_free(&mem, w, 1, sizeof *w);
            return NULL;
        }
        memcpy(w->name, path, w->name_size);
    }
    w->mem = mem;
    spki_writer_configure(w);
    if (w->result == SPK_OK) spki_writer_start(w);
    return w;
}

SPIKELIB_API spk_result spk_event_writer_write(spk_event_writer *w, const spk_event *events,
                                               size_t count)
{
    if (!w || (!events && count > 0)) return SPK_ERR_NULL;
    if (w->result != SPK_OK) return w->result;
    if (w->finished) return SPK_ERR_STATE;
    w->encoder->encode(w, events, count);
    return w->result;
}

/* After an event that the format cannot hold, what came before it is still written. */
SPIKELIB_API spk_result spk_event_writer_finish(spk_event_writer *w)
{
    spk_result before;
    if (!w) return SPK_ERR_NULL;
    if (w->finished || !w->encoder || !w->buffer) return w->result;
    before = w->result;
    if (before != SPK_OK && before != SPK_ERR_RANGE) return before;
    w->finished = true;
    w->result = SPK_OK;
    if (w->encoder->finish) w->encoder->finish(w);
    if (w->result == SPK_OK) spki_writer_flush(w);
    if (w->result == SPK_OK) w->result = before;
    return w->result;
}

SPIKELIB_API spk_result spk_event_writer_status(const spk_event_writer *w)
{
    return w ? w->result : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_event_writer_error(const spk_event_writer *w)
{
    return w ? w->error : "the writer is NULL";
}

SPIKELIB_API uint64_t spk_event_writer_written(const spk_event_writer *w)
{
    return w ? w->written : 0;
}

SPIKELIB_API void spk_event_writer_close(spk_event_writer *w)
{
    spki_mem mem;
    if (!w) return;
    spk_event_writer_finish(w);
    if (w->file) fclose(w->file);
    mem = w->mem;
    if (w->state) {
        if (w->encoder->end) w->encoder->end(w);
        spki_free(&mem, w->state, 1, w->encoder->state_size);
    }
    spki_free(&mem, w->buffer, SPKI_WRITE_BUFFER, 1);
    spki_free(&mem, w->name, w->name_size, 1);
    spki_free(&mem, w, 1, sizeof *w);
}

#endif
