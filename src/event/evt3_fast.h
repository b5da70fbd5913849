/* ---- >>evt3-fast: EVT3, 32 words at a time ---- */
#ifndef SPIKELIB_EVENT_EVT3_FAST_H
#define SPIKELIB_EVENT_EVT3_FAST_H

#include "evt3.h"
#include "lanes.h"

/* Nearly all words are rows, x, vectors, low halves of the time, and repetitions of the last
   TIME_HIGH. Masks say where the words of each type are; the first word of any other kind ends the
   step and is decoded by itself. What each x needs, the row and the time before it, is found
   without a branch: as the highest bit below its own (AVX2), or by copying rows and times forward
   over all words (AVX-512). Branches remain for vectors, of which a step has one or two. */

/* Room for 32 words of 12 pixels, and for writing beyond the end. */
#define SPKI_EVT3_ROOM (32 * 12 + 32)

typedef struct spki_evt3_step {
    const uint8_t *in;
    int64_t high; /* of the time: TIME_HIGH changes nowhere within */
    uint64_t source;
    uint32_t columns, rows;
    uint32_t xs, vectors, slow; /* bit n: word n is an x, of a vector, of another kind */
} spki_evt3_step;

/* The pixels of `mask` from the base on; most vectors have few, so that four at a time are written
   without asking. */
SPKI_INLINE void spki_evt3_pixels(spk_decoder *d, const spki_evt3_step *k, spki_io *io, int64_t t,
                                  uint32_t y, uint32_t mask)
{
    const spki_raw_state *s = (const spki_raw_state *)d->state;
    uint64_t bits = (uint64_t)mask | (uint64_t)1 << 32;
    uint64_t rest = (k->source | (uint64_t)y << 16 | (uint64_t)s->base_on << 32) + s->base;
    spk_event *out = io->out, *end = out + __builtin_popcount(mask);
    int i;
    if (s->base + 32 > k->columns) {
        io->out = spki_raw_vector(d, out, t, s->base, y, s->base_on, mask);
        return;
    }
    do {
        for (i = 0; i < 4; i++) {
            spki_event_store(out + i, t, rest + (uint64_t)__builtin_ctzll(bits));
            bits = (bits & (bits - 1)) | (uint64_t)1 << 32;
        }
        out += 4;
    } while (out < end);
    io->out = end;
}

/* One to four words at `at`, the first of them of a vector: a base, 12, 12 and 8 pixels, or a part
   of these. Returns how many. */
SPKI_INLINE uint32_t spki_evt3_group(spk_decoder *d, const spki_evt3_step *k, spki_io *io,
                                     uint32_t at, uint32_t stop, int64_t t, uint32_t y)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    uint64_t w = spki_load64_le(k->in + 2 * at);
    uint32_t type = (uint32_t)(w >> 12) & 15u, mask, count = 1, width = 8, base = 0;
    if (type == SPKI_EVT3_BASE_X) {
        s->base = (uint32_t)w & 2047u;
        s->base_on = (uint32_t)(w >> 11) & 1u;
        s->has_base = true;
        if ((w & UINT64_C(0xf000f000f0000000)) != UINT64_C(0x5000400040000000) || at + 3 >= stop)
            return 1;
        w >>= 16;
        type = SPKI_EVT3_VECT_12;
        base = 1;
    }
    mask = (uint32_t)w & (type == SPKI_EVT3_VECT_12 ? 0xfffu : 0xffu);
    if (type == SPKI_EVT3_VECT_12) width = 12;
    if ((w & UINT64_C(0xf000f000f000)) == UINT64_C(0x500040004000) && at + base + 2 < stop) {
        mask |= (uint32_t)(w >> 4) & 0xfff000u;
        mask |= (uint32_t)(w >> 8) & 0xff000000u;
        width = 32;
        count = 3;
    }
    if (s->has_base)
        spki_evt3_pixels(d, k, io, t, y, mask);
    else {
        d->stats.dropped += (uint32_t)__builtin_popcount(mask);
        d->stats.bytes_skipped += 2 * count;
    }
    s->base += width;
    return base + count;
}

/* Can a step be made? There are 32 words, room for all that they can hold, and what an x needs. */
SPKI_INLINE bool spki_evt3_ready(const spk_decoder *d, const spki_io *io, spki_evt3_step *k)
{
    const spki_raw_state *s = (const spki_raw_state *)d->state;
    k->in = io->in;
    k->high = s->time & ~(int64_t)0xfff;
    return io->in_end - io->in >= 72 && io->out_end - io->out >= SPKI_EVT3_ROOM && s->has_time &&
           s->has_y && s->y < k->rows && d->result == SPK_OK;
}

SPKI_FN void spki_evt3_limits(const spk_decoder *d, spki_evt3_step *k)
{
    k->columns = SPKI_MIN(spki_decoder_columns(d), 2048u);
    k->rows = SPKI_MIN(spki_decoder_rows(d), 2048u);
    k->source = d->source_bits;
}

/* Cuts the step before the first word of another kind, and tells where that is. */
SPKI_INLINE uint32_t spki_evt3_stop(spki_evt3_step *k)
{
    uint32_t keep = k->slow ? (k->slow & (0u - k->slow)) - 1u : 0xffffffffu;
    k->xs &= keep;
    k->vectors &= keep;
    return k->slow ? (uint32_t)__builtin_ctz(k->slow) : 32u;
}

/* Moves on, over the word that ended the step, too. */
SPKI_INLINE void spki_evt3_advance(spk_decoder *d, spki_io *io, uint32_t stop)
{
    io->in += 2 * stop;
    if (stop == 32) return;
    spki_evt3_word(d, io, spki_load16_le(io->in));
    io->in += 2;
}

/* -- one by one -- */

/* Rows, x and low halves of the time follow each other as the scene has it, so that a branch on
   their type is a guess. Each of them stores an event and counts it if it was an x, and sets row
   and time to what they become or were. */
SPKI_FN void spki_evt3_fast_scalar(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    uint32_t limit[16] = {0}; /* of the lower 11 bits, for the words that are easy */
    spki_evt3_step k;
    spki_evt3_limits(d, &k);
    limit[SPKI_EVT3_Y] = k.rows;
    limit[SPKI_EVT3_X] = k.columns;
    limit[SPKI_EVT3_TIME_LOW] = 2048;
    while (spki_evt3_ready(d, io, &k)) {
        const uint32_t same = 0x8000u | s->high;
        uint64_t y = s->y, low = (uint64_t)s->time & 0xfff;
        spk_event *out = io->out;
        uint32_t at;
        for (at = 0; at < 32; at++) {
            const uint32_t w = spki_load16_le(k.in + 2 * at), type = w >> 12, v = w & 2047u;
            if (__builtin_expect((v < limit[type]) | (w == same), 1)) {
                y ^= (y ^ v) & (0u - (uint64_t)(type == SPKI_EVT3_Y));
                low ^= (low ^ (w & 4095u)) & (0u - (uint64_t)(type == SPKI_EVT3_TIME_LOW));
                spki_event_store(out, k.high + (int64_t)low,
                                 k.source | y << 16 | (uint64_t)(w & 2048u) << 21 | v);
                out += type == SPKI_EVT3_X;
                continue;
            }
            if (type - SPKI_EVT3_BASE_X > SPKI_EVT3_VECT_8 - SPKI_EVT3_BASE_X) break;
            io->out = out;
            at += spki_evt3_group(d, &k, io, at, 32, k.high + (int64_t)low, (uint32_t)y) - 1;
            out = io->out;
        }
        io->out = out;
        s->y = (uint32_t)y;
        s->time = k.high + (int64_t)low;
        spki_evt3_advance(d, io, at);
    }
}

/* -- AVX2 -- */

#if SPKI_HAVE_AVX2
typedef struct spki_evt3_known {
    /* Bit n + 1: word n is a row (a TIME_LOW); bit 0: what was known before. */
    uint64_t y_bits, low_bits;
    uint16_t y[33], low[33]; /* place n + 1: the value that word n has if it is one */
} spki_evt3_known;

SPKI_EVENT_AVX2 SPKI_INLINE uint32_t spki_bits32_avx2(__m256i a, __m256i b)
{
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8);
    return (uint32_t)_mm256_movemask_epi8(packed);
}

#define SPKI_TYPE(value)                                                                           \
    spki_bits32_avx2(_mm256_cmpeq_epi16(ta, _mm256_set1_epi16((short)(value))),                    \
                     _mm256_cmpeq_epi16(tb, _mm256_set1_epi16((short)(value))))
#define SPKI_OVER(limit)                                                                           \
    spki_bits32_avx2(_mm256_cmpgt_epi16(ya, _mm256_set1_epi16((short)((limit)-1))),                \
                     _mm256_cmpgt_epi16(yb, _mm256_set1_epi16((short)((limit)-1))))
SPKI_EVENT_AVX2 SPKI_INLINE void spki_evt3_masks_avx2(spki_evt3_step *k, spki_evt3_known *v,
                                                      uint32_t high)
{
    const __m256i *p = (const __m256i *)(const void *)k->in;
    __m256i a = _mm256_loadu_si256(p), b = _mm256_loadu_si256(p + 1);
    __m256i ta = _mm256_srli_epi16(a, 12), tb = _mm256_srli_epi16(b, 12);
    __m256i row = _mm256_set1_epi16(2047), time = _mm256_set1_epi16(4095);
    __m256i ya = _mm256_and_si256(a, row), yb = _mm256_and_si256(b, row);
    __m256i same = _mm256_set1_epi16((short)(uint16_t)(0x8000u | high));
    uint32_t y = SPKI_TYPE(SPKI_EVT3_Y), low = SPKI_TYPE(SPKI_EVT3_TIME_LOW), known;
    _mm256_storeu_si256((__m256i *)(void *)(v->y + 1), ya);
    _mm256_storeu_si256((__m256i *)(void *)(v->y + 17), yb);
    _mm256_storeu_si256((__m256i *)(void *)(v->low + 1), _mm256_and_si256(a, time));
    _mm256_storeu_si256((__m256i *)(void *)(v->low + 17), _mm256_and_si256(b, time));
    k->xs = SPKI_TYPE(SPKI_EVT3_X);
    k->vectors =
        SPKI_TYPE(SPKI_EVT3_BASE_X) | SPKI_TYPE(SPKI_EVT3_VECT_12) | SPKI_TYPE(SPKI_EVT3_VECT_8);
    v->y_bits = (uint64_t)y << 1 | 1;
    v->low_bits = (uint64_t)low << 1 | 1;
    known = y | low | k->xs | k->vectors |
            spki_bits32_avx2(_mm256_cmpeq_epi16(a, same), _mm256_cmpeq_epi16(b, same));
    k->slow = ~known | (k->xs & SPKI_OVER(k->columns)) | (y & SPKI_OVER(k->rows));
}
#undef SPKI_TYPE
#undef SPKI_OVER

SPKI_EVENT_AVX2 SPKI_INLINE uint32_t spki_evt3_y_avx2(const spki_evt3_known *v, uint32_t at)
{
    return v->y[63 - __builtin_clzll(v->y_bits & (((uint64_t)2 << at) - 1))];
}

SPKI_EVENT_AVX2 SPKI_INLINE uint32_t spki_evt3_low_avx2(const spki_evt3_known *v, uint32_t at)
{
    return v->low[63 - __builtin_clzll(v->low_bits & (((uint64_t)2 << at) - 1))];
}

SPKI_EVENT_AVX2 SPKI_INLINE spk_event *
spki_evt3_xs_avx2(const spki_evt3_step *k, const spki_evt3_known *v, spk_event *out, uint32_t xs)
{
    for (; xs; xs &= xs - 1) {
        uint32_t at = (uint32_t)__builtin_ctz(xs), w = spki_load16_le(k->in + 2 * at);
        spki_event_store(out++, k->high + (int64_t)spki_evt3_low_avx2(v, at),
                         k->source | (uint64_t)spki_evt3_y_avx2(v, at) << 16 |
                             (uint64_t)(w & 2048u) << 21 | (w & 2047u));
    }
    return out;
}

SPKI_EVENT_AVX2 SPKI_FN void spki_evt3_fast_avx2(spk_decoder *d, spki_io *io)
{
    spki_raw_state *s = (spki_raw_state *)d->state;
    spki_evt3_step k;
    spki_evt3_known v;
    spki_evt3_limits(d, &k);
    while (spki_evt3_ready(d, io, &k)) {
        uint32_t stop, at, before;
        v.y[0] = (uint16_t)s->y;
        v.low[0] = (uint16_t)(s->time & 0xfff);
        spki_evt3_masks_avx2(&k, &v, s->high);
        stop = spki_evt3_stop(&k);
        while (k.vectors) {
            at = (uint32_t)__builtin_ctz(k.vectors);
            before = k.xs & ((1u << at) - 1u);
            io->out = spki_evt3_xs_avx2(&k, &v, io->out, before);
            k.xs ^= before;
            before =
                spki_evt3_group(d, &k, io, at, stop, k.high + (int64_t)spki_evt3_low_avx2(&v, at),
                                spki_evt3_y_avx2(&v, at));
            k.vectors &= ~(((1u << before) - 1u) << at);
        }
        io->out = spki_evt3_xs_avx2(&k, &v, io->out, k.xs);
        s->y = spki_evt3_y_avx2(&v, stop);
        s->time = k.high + (int64_t)spki_evt3_low_avx2(&v, stop);
        spki_evt3_advance(d, io, stop);
    }
}
#endif

/* -- AVX-512 -- */

#if SPKI_HAVE_AVX512
typedef struct spki_evt3_filled {
    __m512i xy[2], low[2];    /* of each word, in 32 bits: x | y << 16; time | polarity << 15 */
    uint16_t y[32], time[32]; /* after each word */
} spki_evt3_filled;

/* Each word's place + 1 where its bit is set, else that of the last such word before; 0: none. */
SPKI_EVENT_AVX512 SPKI_INLINE __m512i spki_evt3_last_avx512(uint32_t bits, __m512i places,
                                                            __m512i before)
{
    __m512i zero = _mm512_setzero_si512(), v = _mm512_maskz_mov_epi16(bits, places);
    v = _mm512_max_epu16(v, _mm512_maskz_permutexvar_epi16(0xfffffffeu, before, v));
    v = _mm512_max_epu16(v, _mm512_alignr_epi32(v, zero, 15));
    v = _mm512_max_epu16(v, _mm512_alignr_epi32(v, zero, 14));
    v = _mm512_max_epu16(v, _mm512_alignr_epi32(v, zero, 12));
    return _mm512_max_epu16(v, _mm512_alignr_epi32(v, zero, 8));
}

/* The word at place `last` - 1 of v, or what was known before. */
SPKI_EVENT_AVX512 SPKI_INLINE __m512i spki_evt3_take_avx512(__m512i last, __m512i v, uint32_t known)
{
    __m512i at = _mm512_sub_epi16(last, _mm512_set1_epi16(1));
    return _mm512_mask_permutexvar_epi16(_mm512_set1_epi16((short)known),
                                         _mm512_test_epi16_mask(last, last), at, v);
}

#define SPKI_TYPE(value) _mm512_cmpeq_epi16_mask(t, _mm512_set1_epi16((short)(value)))
SPKI_EVENT_AVX512 SPKI_INLINE void spki_evt3_fill_avx512(spki_evt3_step *k, spki_evt3_filled *f,
                                                         const spki_raw_state *s, __m512i places,
                                                         __m512i before)
{
    __m512i w = _mm512_loadu_si512(k->in), t = _mm512_srli_epi16(w, 12);
    __m512i v = _mm512_and_si512(w, _mm512_set1_epi16(2047)), y, low, on;
    uint32_t ys = SPKI_TYPE(SPKI_EVT3_Y), lows = SPKI_TYPE(SPKI_EVT3_TIME_LOW), known;
    uint32_t wide = _mm512_cmpge_epu16_mask(v, _mm512_set1_epi16((short)k->columns));
    uint32_t tall = _mm512_cmpge_epu16_mask(v, _mm512_set1_epi16((short)k->rows));
    k->xs = SPKI_TYPE(SPKI_EVT3_X);
    k->vectors =
        _mm512_cmple_epu16_mask(_mm512_sub_epi16(t, _mm512_set1_epi16(3)), _mm512_set1_epi16(2));
    known = ys | lows | k->xs | k->vectors |
            _mm512_cmpeq_epi16_mask(w, _mm512_set1_epi16((short)(uint16_t)(0x8000u | s->high)));
    k->slow = ~known | (k->xs & wide) | (ys & tall);
    y = spki_evt3_take_avx512(spki_evt3_last_avx512(ys, places, before), v, s->y);
    low = spki_evt3_take_avx512(spki_evt3_last_avx512(lows, places, before),
                                _mm512_and_si512(w, _mm512_set1_epi16(4095)),
                                (uint32_t)(s->time & 0xfff));
    _mm512_storeu_si512(f->y, y);
    _mm512_storeu_si512(f->time, low);
    on = _mm512_slli_epi16(_mm512_and_si512(w, _mm512_set1_epi16(2048)), 4);
    low = _mm512_or_si512(low, on);
#define SPKI_WIDE(u, half) _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(u, half))
    f->xy[0] = _mm512_or_si512(SPKI_WIDE(v, 0), _mm512_slli_epi32(SPKI_WIDE(y, 0), 16));
    f->xy[1] = _mm512_or_si512(SPKI_WIDE(v, 1), _mm512_slli_epi32(SPKI_WIDE(y, 1), 16));
    f->low[0] = SPKI_WIDE(low, 0);
    f->low[1] = SPKI_WIDE(low, 1);
#undef SPKI_WIDE
}
#undef SPKI_TYPE

/* Eight events from their 32-bit parts. */
SPKI_EVENT_AVX512 SPKI_INLINE void spki_evt3_store_avx512(spk_event *out, __m256i xy, __m256i low,
                                                          __m512i high, __m512i source)
{
    __m512i a = _mm512_cvtepu32_epi64(xy), b = _mm512_cvtepu32_epi64(low);
    __m512i t = _mm512_add_epi64(high, _mm512_and_si512(b, _mm512_set1_epi64(4095)));
    __m512i on = _mm512_slli_epi64(_mm512_and_si512(b, _mm512_set1_epi64(0x8000)), 17);
    spki_store8_avx512(out, t, _mm512_or_si512(_mm512_or_si512(a, source), on));
}

/* Events of the x words in `xs`; writes up to 16 places beyond their end. */
SPKI_EVENT_AVX512 SPKI_INLINE spk_event *spki_evt3_xs_avx512(const spki_evt3_filled *f,
                                                             spk_event *out, uint32_t xs,
                                                             __m512i high, __m512i source)
{
    int half;
    for (half = 0; half < 2; half++) {
        __mmask16 bits = (__mmask16)(xs >> 16 * half);
        __m512i xy = _mm512_maskz_compress_epi32(bits, f->xy[half]);
        __m512i low = _mm512_maskz_compress_epi32(bits, f->low[half]);
        spki_evt3_store_avx512(out, _mm512_castsi512_si256(xy), _mm512_castsi512_si256(low), high,
                               source);
        spki_evt3_store_avx512(out + 8, _mm512_extracti64x4_epi64(xy, 1),
                               _mm512_extracti64x4_epi64(low, 1), high, source);
        out += __builtin_popcount(bits);
    }
    return out;
}

SPKI_EVENT_AVX512 SPKI_FN void spki_evt3_fast_avx512(spk_decoder *d, spki_io *io)
{
    static const uint16_t count[33] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                       11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                       22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
    spki_raw_state *s = (spki_raw_state *)d->state;
    __m512i places = _mm512_loadu_si512(count + 1), high, source;
    __m512i before = _mm512_sub_epi16(places, _mm512_set1_epi16(2));
    spki_evt3_step k;
    spki_evt3_filled f;
    spki_evt3_limits(d, &k);
    source = _mm512_set1_epi64((int64_t)k.source);
    while (spki_evt3_ready(d, io, &k)) {
        uint32_t stop, at, part;
        high = _mm512_set1_epi64(k.high);
        spki_evt3_fill_avx512(&k, &f, s, places, before);
        stop = spki_evt3_stop(&k);
        while (k.vectors) {
            at = (uint32_t)__builtin_ctz(k.vectors);
            part = k.xs & ((1u << at) - 1u);
            io->out = spki_evt3_xs_avx512(&f, io->out, part, high, source);
            k.xs ^= part;
            part = spki_evt3_group(d, &k, io, at, stop, k.high + (int64_t)f.time[at], f.y[at]);
            k.vectors &= ~(((1u << part) - 1u) << at);
        }
        io->out = spki_evt3_xs_avx512(&f, io->out, k.xs, high, source);
        if (stop > 0) {
            s->y = f.y[stop - 1];
            s->time = k.high + (int64_t)f.time[stop - 1];
        }
        spki_evt3_advance(d, io, stop);
    }
}
#endif

SPKI_FN void spki_evt3_decode(spk_decoder *d, spki_io *io)
{
    bool roomy = io->out_end - io->out >= SPKI_EVT3_ROOM;
    if (!spki_raw_begin_data(d, io)) return;
    while (io->in_end - io->in >= 2 && io->out_end - io->out >= 12 && d->result == SPK_OK) {
#if SPKI_HAVE_AVX512
        if (d->isa == SPK_ISA_AVX512) spki_evt3_fast_avx512(d, io);
#endif
#if SPKI_HAVE_AVX2
        if (d->isa == SPK_ISA_AVX2) spki_evt3_fast_avx2(d, io);
#endif
        if (d->isa == SPK_ISA_SCALAR) spki_evt3_fast_scalar(d, io);
        if (io->in_end - io->in < 2 || d->result != SPK_OK) return;
        if (roomy && io->out_end - io->out < SPKI_EVT3_ROOM) return; /* the next call is as fast */
        spki_evt3_word(d, io, spki_load16_le(io->in));
        io->in += 2;
    }
}

static const spki_codec spki_evt3_codec = {SPK_FORMAT_EVT3,
                                           ".raw .evt3 ",
                                           sizeof(spki_raw_state),
                                           spki_evt3_sniff,
                                           spki_evt3_accept,
                                           NULL,
                                           NULL,
                                           spki_evt3_decode,
                                           spki_raw_resync,
                                           NULL};

#endif
