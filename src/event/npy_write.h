/* ---- >>npy-write: events to NumPy's files ---- */
#ifndef SPIKELIB_EVENT_NPY_WRITE_H
#define SPIKELIB_EVENT_NPY_WRITE_H

#include "writer.h"

/* The layout of Metavision's EventCD, 16 bytes. The header has a fixed size, since the number of
   events is known at the end; the data begin at a multiple of 64, as NumPy has it. */
#define SPKI_NPY_HEAD 192

typedef struct spki_npy_writer {
    bool closed;
} spki_npy_writer;

SPKI_FN void spki_npy_head(char head[SPKI_NPY_HEAD + 1], uint64_t count)
{
    int n;
    memset(head, ' ', SPKI_NPY_HEAD);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = (char)(SPKI_NPY_HEAD - 10);
    head[9] = 0;
    n = snprintf(head + 10, SPKI_NPY_HEAD - 10,
                 "{'descr': [('x', '<u2'), ('y', '<u2'), ('p', '<i2'), ('', '|V2'), ('t', '<i8')], "
                 "'fortran_order': False, 'shape': (%llu,), }",
                 (unsigned long long)count);
    head[10 + n] = ' ';
    head[SPKI_NPY_HEAD - 1] = '\n';
}

SPKI_FN void spki_npy_write_head(spk_event_writer *w)
{
    char head[SPKI_NPY_HEAD + 1];
    uint8_t *p;
    if (!w->file) {
        spki_writer_fail(w, SPK_ERR_UNSUPPORTED,
                         "NPY holds the number of events at its beginning: it needs a file");
        return;
    }
    spki_npy_head(head, 0);
    p = spki_writer_room(w, SPKI_NPY_HEAD);
    if (!p) return;
    memcpy(p, head, SPKI_NPY_HEAD);
    w->fill += SPKI_NPY_HEAD;
}

/* The header once more, with the number of events that the file holds, on a full disk too. */
SPKI_FN void spki_npy_close(spk_event_writer *w)
{
    spki_npy_writer *s = (spki_npy_writer *)w->state;
    char head[SPKI_NPY_HEAD + 1];
    if (s->closed || !w->file || w->bytes < SPKI_NPY_HEAD) return;
    s->closed = true;
    spki_npy_head(head, w->written);
    errno = 0;
    if (fseek(w->file, 0, SEEK_SET) != 0 ||
        fwrite(head, 1, SPKI_NPY_HEAD, w->file) != SPKI_NPY_HEAD)
        spki_writer_fail(w, SPK_ERR_IO, "the header cannot be written: %s", spki_file_why());
}

SPKI_FN void spki_npy_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    for (; count > 0; count--, e++) {
        uint8_t *p;
        if (!spki_writer_cd(w, e)) return;
        if ((p = spki_writer_room(w, 16)) == NULL) {
            spki_npy_close(w);
            return;
        }
        spki_store16_le(p, e->x);
        spki_store16_le(p + 2, e->y);
        spki_store32_le(p + 4, e->polarity ? 1 : 0);
        spki_store32_le(p + 8, (uint32_t)((uint64_t)e->t_us & 0xffffffffu));
        spki_store32_le(p + 12, (uint32_t)((uint64_t)e->t_us >> 32));
        w->fill += 16;
        w->encoded++;
    }
}

SPKI_FN void spki_npy_finish(spk_event_writer *w)
{
    spki_writer_flush(w);
    spki_npy_close(w);
}

static const spki_encoder spki_npy_encoder = {
    SPK_FORMAT_NPY, ".npy ", sizeof(spki_npy_writer), spki_npy_write_head, spki_npy_encode,
    spki_npy_finish, NULL};

#endif
