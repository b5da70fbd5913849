/* ---- >>reader: event files ---- */
#ifndef SPIKELIB_EVENT_READER_H
#define SPIKELIB_EVENT_READER_H

#include "decoder.h"
#include "file.h"

/* Bytes read at a time: they are decoded while they are in the second-level cache. */
#define SPKI_READ_BUFFER ((size_t)256 << 10)

struct spk_events {
    spk_decoder *decoder;
    FILE *file;
    uint8_t *buffer;
    char *name;
    size_t name_size;
};

SPKI_FN void spki_events_open_file(spk_events *in, const char *path)
{
    spk_decoder *d = in->decoder;
    if (d->result != SPK_OK) return;
    in->file = spki_file_open(path, "rb");
    if (!in->file) {
        spki_decoder_fail(d, SPK_ERR_IO, NULL, "cannot be opened: %s", spki_file_why());
        return;
    }
    d->by_path = true;
    setvbuf(in->file, NULL, _IONBF, 0);
    in->buffer = (uint8_t *)spki_alloc_raw(&d->mem, SPKI_READ_BUFFER, 1);
    if (!in->buffer) spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory to read it");
}

SPKI_FN spk_events *spki_events_create(const char *path, const spk_events_desc *desc)
{
    spki_mem mem;
    spk_events *in;
    const char *name = path ? path : "events in memory";
    spki_mem_init(&mem, desc ? &desc->allocator : NULL, desc ? desc->memory_limit : 0);
    in = (spk_events *)spki_alloc(&mem, 1, sizeof *in);
    if (!in) return NULL;
    in->name_size = strlen(name) + 1;
    in->name = (char *)spki_alloc_raw(&mem, in->name_size, 1);
    if (in->name) {
        memcpy(in->name, name, in->name_size);
        in->decoder = spki_decoder_create(desc, in->name);
    }
    if (!in->decoder) {
        spki_free(&mem, in->name, in->name_size, 1);
        spki_free(&mem, in, 1, sizeof *in);
        return NULL;
    }
    return in;
}

SPIKELIB_API spk_events *spk_events_open(const char *path, const spk_events_desc *desc)
{
    spk_events *in = spki_events_create(path ? path : "spk_events_open", desc);
    if (!in) return NULL;
    if (!path)
        spki_decoder_fail(in->decoder, SPK_ERR_NULL, NULL, "the path is NULL");
    else
        spki_events_open_file(in, path);
    return in;
}

SPIKELIB_API spk_events *spk_events_open_memory(const void *data, size_t size,
                                                const spk_events_desc *desc)
{
    spk_events *in = spki_events_create(NULL, desc);
    if (!in) return NULL;
    if (!data && size > 0) spki_decoder_fail(in->decoder, SPK_ERR_NULL, NULL, "the data are NULL");
    spk_decoder_feed(in->decoder, data, size);
    spk_decoder_finish(in->decoder);
    return in;
}

/* Fetches more bytes. False: the end, or they cannot be read. */
SPKI_FN bool spki_events_fetch(spk_events *in)
{
    spk_decoder *d = in->decoder;
    size_t n;
    if (!in->file || d->finished || d->result != SPK_OK) return false;
    if (d->codec && d->codec->open_path) {
        d->codec->open_path(d, in->name);
        d->finished = true;
        return d->result == SPK_OK;
    }
    n = fread(in->buffer, 1, SPKI_READ_BUFFER, in->file);
    if (n < SPKI_READ_BUFFER && ferror(in->file)) {
        spki_decoder_fail(d, SPK_ERR_IO, NULL, "byte %llu: cannot be read: %s",
                          (unsigned long long)(d->stats.bytes + n), spki_file_why());
        return false;
    }
    if (n < SPKI_READ_BUFFER && feof(in->file)) spk_decoder_finish(d);
    d->data = in->buffer;
    d->left = n;
    d->stats.bytes += n;
    return true;
}

SPIKELIB_API size_t spk_events_read(spk_events *in, spk_event *out, size_t capacity)
{
    size_t n;
    if (!in || !out || capacity == 0) return 0;
    do {
        n = spk_decoder_read(in->decoder, out, capacity);
    } while (n == 0 && spki_events_fetch(in));
    return n;
}

SPIKELIB_API spk_result spk_events_status(const spk_events *in)
{
    return in ? in->decoder->result : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_events_error(const spk_events *in)
{
    return in ? in->decoder->error : "the reader is NULL";
}

SPIKELIB_API spk_result spk_events_get_stats(const spk_events *in, spk_event_stats *stats)
{
    return in ? spk_decoder_get_stats(in->decoder, stats) : SPK_ERR_NULL;
}

SPIKELIB_API void spk_events_close(spk_events *in)
{
    spki_mem mem;
    if (!in) return;
    if (in->file) fclose(in->file);
    mem = in->decoder->mem;
    spki_free(&mem, in->buffer, SPKI_READ_BUFFER, 1);
    spk_decoder_destroy(in->decoder);
    spki_free(&mem, in->name, in->name_size, 1);
    spki_free(&mem, in, 1, sizeof *in);
}

#endif
