/* ---- >>hold: records that are longer than a piece of the stream ---- */
#ifndef SPIKELIB_EVENT_HOLD_H
#define SPIKELIB_EVENT_HOLD_H

#include "codec.h"

/* A block that grows. What it holds past `size` is undefined. */
typedef struct spki_bytes {
    uint8_t *data;
    size_t size, capacity;
} spki_bytes;

SPKI_FN bool spki_bytes_reserve(spki_mem *mem, spki_bytes *b, size_t capacity)
{
    uint8_t *data;
    size_t wanted;
    if (capacity <= b->capacity) return true;
    wanted = SPKI_MAX(capacity, b->capacity + b->capacity / 2);
    wanted = SPKI_MAX(wanted, (size_t)4096);
    data = (uint8_t *)spki_alloc_raw(mem, wanted, 1);
    if (!data) return false;
    if (b->size) memcpy(data, b->data, b->size);
    spki_free(mem, b->data, b->capacity, 1);
    b->data = data;
    b->capacity = wanted;
    return true;
}

SPKI_FN bool spki_bytes_append(spki_mem *mem, spki_bytes *b, const void *data, size_t size)
{
    if (!spki_bytes_reserve(mem, b, b->size + size)) return false;
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
    return true;
}

SPKI_FN void spki_bytes_free(spki_mem *mem, spki_bytes *b)
{
    spki_free(mem, b->data, b->capacity, 1);
    memset(b, 0, sizeof *b);
}

/* The next `need` bytes in one piece: where they came in if they are whole there, else from `held`,
   which keeps what has come of them so far. NULL: more must come, or there is no memory (an error
   is set then). What it returns is valid until the next call. */
SPKI_FN const uint8_t *spki_hold(spk_decoder *d, spki_io *io, spki_bytes *held, size_t need)
{
    size_t there = (size_t)(io->in_end - io->in), take;
    const uint8_t *whole = io->in;
    if (held->size == 0 && there >= need) {
        io->in += need;
        return whole;
    }
    take = SPKI_MIN(need - held->size, there);
    if (!spki_bytes_append(&d->mem, held, io->in, take)) {
        spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, io->in, "no memory for a record of %llu bytes",
                          (unsigned long long)need);
        return NULL;
    }
    io->in += take;
    if (held->size < need) return NULL;
    held->size = 0;
    return held->data;
}

/* Counts up to `count` bytes as skipped and moves over them; how many are left to be skipped. */
SPKI_FN uint64_t spki_skip(spk_decoder *d, spki_io *io, uint64_t count)
{
    uint64_t there = (uint64_t)(io->in_end - io->in);
    uint64_t now = SPKI_MIN(count, there);
    io->in += (size_t)now;
    d->stats.bytes_skipped += now;
    return count - now;
}

/* A text found in others, whatever the case of the letters; `what` is in lower case. */
SPKI_FN bool spki_contains(const uint8_t *text, size_t size, const char *what)
{
    size_t n = strlen(what), i, k;
    for (i = 0; i + n <= size; i++) {
        for (k = 0; k < n; k++) {
            uint8_t c = text[i + k];
            if (c >= 'A' && c <= 'Z') c = (uint8_t)(c - 'A' + 'a');
            if (c != (uint8_t)what[k]) break;
        }
        if (k == n) return true;
    }
    return false;
}

#endif
