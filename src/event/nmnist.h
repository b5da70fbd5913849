/* ---- >>nmnist: the 40-bit records of N-MNIST and N-Caltech101 ---- */
#ifndef SPIKELIB_EVENT_NMNIST_H
#define SPIKELIB_EVENT_NMNIST_H

#include "lanes.h"
#include "writer.h"

/* Source: gorchard/event-Python. Five bytes, big-endian: x, y, a bit of polarity, 23 of time. y 240
   is no row: it adds 2^13 us to all times that follow. SLAYER's .bs2 files lack that rule. */
#define SPKI_NMNIST_OVERFLOW 240u
#define SPKI_NMNIST_STEP ((int64_t)1 << 13)

typedef struct spki_nmnist_state {
    int64_t base;
    bool no_overflow;
} spki_nmnist_state;

/* There is no mark: records whose times go on, and rows that there are. */
SPKI_FN bool spki_nmnist_accept(const uint8_t *head, size_t size)
{
    uint64_t last = 0, base = 0, t;
    size_t k;
    for (k = 0; k + 5 <= size; k += 5) {
        t = (uint32_t)(head[k + 2] & 0x7f) << 16 | (uint32_t)head[k + 3] << 8 | head[k + 4];
        t += base;
        if (head[k + 1] > SPKI_NMNIST_OVERFLOW) return false;
        if (head[k + 1] == SPKI_NMNIST_OVERFLOW) {
            base += (uint64_t)SPKI_NMNIST_STEP;
            continue;
        }
        if (t + (uint64_t)SPKI_NMNIST_STEP < last) return false;
        last = t;
    }
    return size >= 5;
}

/* By content alone it has to be whole, too. */
SPKI_FN spki_sniff spki_nmnist_sniff(const uint8_t *head, size_t size, bool whole)
{
    if (!whole) return SPKI_SNIFF_MORE;
    return size >= 80 && (size >= SPKI_CARRY || size % 5 == 0) && spki_nmnist_accept(head, size)
               ? SPKI_SNIFF_YES
               : SPKI_SNIFF_NO;
}

SPKI_FN void spki_nmnist_begin(spk_decoder *d)
{
    size_t n = d->name ? strlen(d->name) : 0;
    ((spki_nmnist_state *)d->state)->no_overflow = n > 4 && strcmp(d->name + n - 4, ".bs2") == 0;
}

/* Four records at a time, while none is an overflow or outside of the sensor. */
#if SPKI_HAVE_AVX2
SPKI_EVENT_AVX2 SPKI_INLINE __m256i spki_two_loads_avx2(const uint8_t *p)
{
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 10));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

SPKI_EVENT_AVX2 SPKI_FN void spki_nmnist_run_avx2(const spk_decoder *d, spki_io *io, bool overflow)
{
    const spki_nmnist_state *s = (const spki_nmnist_state *)d->state;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    __m256i x_max = _mm256_set1_epi64x((int64_t)(columns > 256 ? 256 : columns) - 1);
    __m256i y_max = _mm256_set1_epi64x((int64_t)(rows > 256 ? 256 : rows) - 1);
    __m256i special = _mm256_set1_epi64x(overflow ? SPKI_NMNIST_OVERFLOW : 256);
    __m256i base = _mm256_set1_epi64x(s->base), on = _mm256_set1_epi64x((int64_t)1 << 32);
    __m256i more = _mm256_set1_epi64x((int64_t)d->source_bits), byte = _mm256_set1_epi64x(255);
    /* t: bytes 4, 3, 2 of a record, upwards; rest: x in byte 0, y in byte 2, byte 2 in byte 4 */
    __m256i to_t = _mm256_setr_epi8(4, 3, 2, -1, -1, -1, -1, -1, 9, 8, 7, -1, -1, -1, -1, -1, 4, 3,
                                    2, -1, -1, -1, -1, -1, 9, 8, 7, -1, -1, -1, -1, -1);
    __m256i to_rest = _mm256_setr_epi8(0, -1, 1, -1, 2, -1, -1, -1, 5, -1, 6, -1, 7, -1, -1, -1, 0,
                                       -1, 1, -1, 2, -1, -1, -1, 5, -1, 6, -1, 7, -1, -1, -1);
    while (io->in_end - io->in >= 26 && io->out_end - io->out >= 4) {
        __m256i v = spki_two_loads_avx2(io->in), rest = _mm256_shuffle_epi8(v, to_rest);
        __m256i t = _mm256_and_si256(_mm256_shuffle_epi8(v, to_t), _mm256_set1_epi64x(0x7fffff));
        __m256i x = _mm256_and_si256(rest, byte);
        __m256i y = _mm256_and_si256(_mm256_srli_epi64(rest, 16), byte), bad;
        bad = _mm256_or_si256(_mm256_cmpgt_epi64(x, x_max), _mm256_cmpgt_epi64(y, y_max));
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi64(y, special));
        if (!_mm256_testz_si256(bad, bad)) return;
        rest = _mm256_or_si256(_mm256_and_si256(rest, _mm256_set1_epi64x(0xff00ff)),
                               _mm256_and_si256(_mm256_srli_epi64(rest, 7), on));
        spki_store4_avx2(io->out, _mm256_add_epi64(base, t), _mm256_or_si256(rest, more));
        io->in += 20;
        io->out += 4;
    }
}
#endif

SPKI_FN void spki_nmnist_decode(spk_decoder *d, spki_io *io)
{
    spki_nmnist_state *s = (spki_nmnist_state *)d->state;
    uint32_t columns = spki_decoder_columns(d), rows = spki_decoder_rows(d);
    for (; io->in_end - io->in >= 5 && io->out < io->out_end; io->in += 5) {
        const uint8_t *p;
        int64_t t;
#if SPKI_HAVE_AVX2
        if (d->isa != SPK_ISA_SCALAR) spki_nmnist_run_avx2(d, io, !s->no_overflow);
        if (io->in_end - io->in < 5 || io->out == io->out_end) return;
#endif
        p = io->in;
        t = (int64_t)(p[2] & 0x7f) << 16 | (int64_t)p[3] << 8 | p[4];
        if (p[1] == SPKI_NMNIST_OVERFLOW && !s->no_overflow)
            s->base += SPKI_NMNIST_STEP;
        else if (p[0] >= columns || p[1] >= rows)
            d->stats.dropped++;
        else
            spki_event_store(io->out++, s->base + t,
                             (uint64_t)p[0] | (uint64_t)p[1] << 16 | (uint64_t)(p[2] >> 7) << 32 |
                                 d->source_bits);
    }
}

static const spki_codec spki_nmnist_codec = {SPK_FORMAT_NMNIST,
                                             ".bin .bs2 ",
                                             sizeof(spki_nmnist_state),
                                             spki_nmnist_sniff,
                                             spki_nmnist_accept,
                                             spki_nmnist_begin,
                                             NULL,
                                             spki_nmnist_decode,
                                             NULL,
                                             NULL};

/* -- writer -- */

typedef struct spki_nmnist_writer {
    int64_t last_us, base;
} spki_nmnist_writer;

#define SPKI_NMNIST_GAP ((int64_t)1 << 36) /* 40 MB of overflow records */

SPKI_FN bool spki_nmnist_put_gap(spk_event_writer *w, const spk_event *e)
{
    spki_nmnist_writer *s = (spki_nmnist_writer *)w->state;
    if (e->t_us - s->base > SPKI_NMNIST_GAP)
        return spki_writer_refuse(w, e, "the time is further than 19 hours from the last one");
    while (e->t_us - s->base >= (int64_t)1 << 23) {
        uint8_t *p = spki_writer_room(w, 16);
        if (!p) return false;
        memset(p, 0, 5);
        p[1] = SPKI_NMNIST_OVERFLOW;
        w->fill += 5;
        s->base += SPKI_NMNIST_STEP;
    }
    return true;
}

SPKI_FN void spki_nmnist_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_nmnist_writer *s = (spki_nmnist_writer *)w->state;
    for (; count > 0; count--, e++) {
        uint32_t t;
        uint8_t *p;
        if (!spki_writer_time(w, e, &s->last_us) || !spki_writer_cd(w, e) ||
            !spki_writer_range(w, e, 255, SPKI_NMNIST_OVERFLOW - 1) || !spki_writer_room(w, 16) ||
            !spki_nmnist_put_gap(w, e))
            return;
        p = w->buffer + w->fill;
        t = (uint32_t)(e->t_us - s->base);
        p[0] = (uint8_t)e->x;
        p[1] = (uint8_t)e->y;
        p[2] = (uint8_t)((e->polarity ? 0x80u : 0u) | t >> 16);
        p[3] = (uint8_t)(t >> 8);
        p[4] = (uint8_t)t;
        w->fill += 5;
        w->encoded++;
    }
}

static const spki_encoder spki_nmnist_encoder = {
    SPK_FORMAT_NMNIST, ".bin ", sizeof(spki_nmnist_writer), NULL, spki_nmnist_encode, NULL, NULL};

#endif
