/* ---- >>conv-kernels: the loops of a stage at one vector width (pasted once per width) ---- */
#define SPKI_CF(name) SPKI_CONV_NAME(name, SPKI_CONV_S)
#define SPKI_CONV_INLINE SPKI_CONV_TARGET static inline __attribute__((always_inline, unused))
#if SPKI_CONV_L > 1
typedef float SPKI_CF(spki_conv_f) __attribute__((vector_size(SPKI_CONV_L * 4)));
typedef int32_t SPKI_CF(spki_conv_i) __attribute__((vector_size(SPKI_CONV_L * 4)));
typedef int16_t SPKI_CF(spki_conv_h) __attribute__((vector_size(SPKI_CONV_L * 2)));
#else
typedef float SPKI_CF(spki_conv_f);
typedef int32_t SPKI_CF(spki_conv_i);
typedef int16_t SPKI_CF(spki_conv_h);
#endif
#define SPKI_VF SPKI_CF(spki_conv_f)
#define SPKI_VI SPKI_CF(spki_conv_i)
#define SPKI_VH SPKI_CF(spki_conv_h)

SPKI_CONV_INLINE SPKI_VI SPKI_CF(spki_conv_load)(const int32_t *p)
{
    SPKI_VI x;
    memcpy(&x, p, sizeof x);
    return x;
}

SPKI_CONV_INLINE void SPKI_CF(spki_conv_store)(int32_t *p, SPKI_VI x)
{
    memcpy(p, &x, sizeof x);
}

SPKI_CONV_INLINE SPKI_VI SPKI_CF(spki_conv_widen)(const int16_t *p)
{
    SPKI_VH x;
    memcpy(&x, p, sizeof x);
#if SPKI_CONV_L > 1
    return __builtin_convertvector(x, SPKI_VI);
#else
    return x;
#endif
}

SPKI_CONV_INLINE SPKI_VF SPKI_CF(spki_conv_float)(SPKI_VI x)
{
#if SPKI_CONV_L > 1
    return __builtin_convertvector(x, SPKI_VF);
#else
    return (float)x;
#endif
}

/* A comparison gives -1 or 0 a lane. */
SPKI_CONV_INLINE SPKI_VI SPKI_CF(spki_conv_less)(SPKI_VF a, SPKI_VF b)
{
#if SPKI_CONV_L > 1
    return (SPKI_VI)(a < b);
#else
    return -(a < b);
#endif
}

SPKI_CONV_INLINE SPKI_VF SPKI_CF(spki_conv_choose)(SPKI_VI mask, SPKI_VF yes, SPKI_VF no)
{
#if SPKI_CONV_L > 1
    return (SPKI_VF)((mask & (SPKI_VI)yes) | (~mask & (SPKI_VI)no));
#else
    return mask ? yes : no;
#endif
}

SPKI_CONV_INLINE uint32_t SPKI_CF(spki_conv_bits)(SPKI_VI mask)
{
#if SPKI_CONV_L == 1
    return (uint32_t)mask & 1;
#elif SPKI_HAVE_SSE2 && SPKI_CONV_L == 16
    return (uint32_t)_mm512_movepi32_mask((__m512i)mask);
#elif SPKI_HAVE_SSE2 && SPKI_CONV_L == 8
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
#elif SPKI_HAVE_SSE2 && SPKI_CONV_L == 4
    return (uint32_t)_mm_movemask_ps((__m128)mask);
#else
    uint32_t bits = 0;
    for (int k = 0; k < SPKI_CONV_L; k++) {
        bits |= (uint32_t)(mask[k] & 1) << k;
    }
    return bits;
#endif
}

/* sum + low half of the pair * even weights + high half * odd ones. */
SPKI_CONV_INLINE SPKI_VI SPKI_CF(spki_conv_pair)(SPKI_VI sum, const int16_t *pair, const int16_t *w)
{
#if SPKI_HAVE_SSE2 && SPKI_CONV_L > 1
    int32_t both;
    memcpy(&both, pair, sizeof both);
#if SPKI_CONV_L == 16
    return sum +
           (SPKI_VI)_mm512_madd_epi16(_mm512_set1_epi32(both), _mm512_loadu_si512((const void *)w));
#elif SPKI_CONV_L == 8
    return sum + (SPKI_VI)_mm256_madd_epi16(_mm256_set1_epi32(both),
                                            _mm256_loadu_si256((const __m256i *)(const void *)w));
#else
    return sum + (SPKI_VI)_mm_madd_epi16(_mm_set1_epi32(both),
                                         _mm_loadu_si128((const __m128i *)(const void *)w));
#endif
#elif SPKI_CONV_L > 1
    for (int k = 0; k < SPKI_CONV_L; k++) {
        sum[k] += pair[0] * w[2 * k] + pair[1] * w[2 * k + 1];
    }
    return sum;
#else
    return sum + pair[0] * w[0] + pair[1] * w[1];
#endif
}

/* -- inputs touch their footprints -- */

/* What the loop over inputs needs of a stage, in registers: the stores to the sums might alias the
   stage for all that the compiler knows. */
typedef struct SPKI_CF(spki_conv_hand) {
    const spki_conv_column *column;
    const spki_conv_row *row;
    const int16_t *weights;
    int32_t *sums;
    uint64_t *marks;
    uint32_t weights_channel, pitch, words;
    uint32_t dirty_first, dirty_end;
} SPKI_CF(spki_conv_hand);

SPKI_CONV_INLINE SPKI_CF(spki_conv_hand) SPKI_CF(spki_conv_take)(const spki_conv_stage *s)
{
    SPKI_CF(spki_conv_hand) h;
    h.column = s->column;
    h.row = s->row;
    h.weights = s->weights;
    h.sums = s->sums;
    h.marks = s->marks;
    h.weights_channel = s->weights_channel;
    h.pitch = s->pitch * s->lanes;
    h.words = s->words;
    h.dirty_first = s->dirty_first;
    h.dirty_end = s->dirty_end;
    return h;
}

/* `width` and `height` are the footprint's, in elements and rows: constants where it matters. */
SPKI_CONV_INLINE void SPKI_CF(spki_conv_touch)(SPKI_CF(spki_conv_hand) * h, uint32_t x, uint32_t y,
                                               uint32_t c, uint32_t width, uint32_t height)
{
    const spki_conv_column *col = &h->column[x];
    const spki_conv_row *row = &h->row[y];
    const int16_t *w = h->weights + c * h->weights_channel + col->weights + row->weights;
    int32_t *sum = h->sums + row->sums + col->sums;
    uint64_t *mark = h->marks + row->word + col->word;
    const uint32_t rows = row->rows;
    const uint64_t marks = col->marks;
    for (uint32_t r = 0; r < height; r++) {
        for (uint32_t k = 0; k < width; k += SPKI_CONV_L) {
            SPKI_CF(spki_conv_store)
            (sum + k, SPKI_CF(spki_conv_load)(sum + k) + SPKI_CF(spki_conv_widen)(w + k));
        }
        *mark |= marks & ((uint64_t)0 - (rows >> r & 1));
        sum += h->pitch;
        w += width;
        mark += h->words;
    }
    h->dirty_first = SPKI_MIN(h->dirty_first, row->first);
    h->dirty_end = SPKI_MAX(h->dirty_end, row->first + height);
}

SPKI_CONV_INLINE void SPKI_CF(spki_conv_scatter_n)(spki_conv_stage *s, const spk_event *e, size_t n,
                                                   uint32_t width, uint32_t height)
{
    SPKI_CF(spki_conv_hand) h = SPKI_CF(spki_conv_take)(s);
    const uint16_t *fold_x = s->fold_x, *fold_y = s->fold_y;
    const uint32_t two = s->in.channels > 1, in_x = s->source.width, in_y = s->source.height;
    for (size_t k = 0; k < n; k++) {
        uint32_t x, y;
        if (e[k].kind != SPK_EVENT_CD) {
            s->others++;
            continue;
        }
        if (e[k].x >= in_x || e[k].y >= in_y) {
            s->outside++;
            continue;
        }
        x = fold_x[e[k].x];
        y = fold_y[e[k].y];
        if (x != SPKI_CONV_NOWHERE && y != SPKI_CONV_NOWHERE) {
            SPKI_CF(spki_conv_touch)(&h, x, y, (e[k].polarity != 0) & two, width, height);
        }
    }
    s->dirty_first = h.dirty_first;
    s->dirty_end = h.dirty_end;
}

SPKI_CONV_TARGET static void SPKI_CF(spki_conv_scatter)(spki_conv_stage *s, const spk_event *e,
                                                        size_t n)
{
    const uint32_t width = s->reach_x * s->lanes;
    if (width == 24 && s->reach_y == 3) {
        SPKI_CF(spki_conv_scatter_n)(s, e, n, 24, 3);
    } else if (width == 16 && s->reach_y == 2) {
        SPKI_CF(spki_conv_scatter_n)(s, e, n, 16, 2);
    } else {
        SPKI_CF(spki_conv_scatter_n)(s, e, n, width, s->reach_y);
    }
}

SPKI_CONV_TARGET static void SPKI_CF(spki_conv_scatter_items)(spki_conv_stage *s,
                                                              const spki_conv_item *item, size_t n)
{
    SPKI_CF(spki_conv_hand) h = SPKI_CF(spki_conv_take)(s);
    const uint32_t width = s->reach_x * s->lanes, height = s->reach_y;
    for (size_t k = 0; k < n; k++) {
        const uint32_t x = s->fold_x[item[k].x], y = s->fold_y[item[k].y];
        if (x != SPKI_CONV_NOWHERE && y != SPKI_CONV_NOWHERE) {
            SPKI_CF(spki_conv_touch)(&h, x, y, item[k].c, width, height);
        }
    }
    s->dirty_first = h.dirty_first;
    s->dirty_end = h.dirty_end;
}

/* -- a step of the neurons -- */

/* What the counted inputs of a site's window bring to one vector of its channels. */
SPKI_CONV_INLINE SPKI_VI SPKI_CF(spki_conv_window)(const spki_conv_stage *s, const int16_t *count,
                                                   uint32_t lane, SPKI_VI sum)
{
    const uint32_t pairs = s->kernel_x * s->count_channels / 2;
    const int16_t *w = s->windows + (size_t)lane * 2;
    for (uint32_t r = 0; r < s->kernel_y; r++) {
        for (uint32_t k = 0; k < pairs; k++) {
            sum = SPKI_CF(spki_conv_pair)(sum, count + (size_t)k * 2, w);
            w += (size_t)s->lanes * 2;
        }
        count += s->count_pitch;
    }
    return sum;
}

/* Decays, adds the input, fires and resets one vector of neurons; the lanes that fired, as bits. */
SPKI_CONV_INLINE uint32_t SPKI_CF(spki_conv_lif)(spki_conv_stage *s, size_t at, SPKI_VF input,
                                                 float factor, int32_t elapsed)
{
    SPKI_NO_CONTRACT_HERE
    const SPKI_VF zero = {0};
    const SPKI_VI none = {0};
    const SPKI_VF threshold = zero + s->threshold;
    SPKI_VI hold = none, fired;
    SPKI_VF v, after;
    memcpy(&v, s->v + at, sizeof v);
    v = v * (zero + factor);
    v = SPKI_CF(spki_conv_choose)(SPKI_CF(spki_conv_less)(v, zero + 1e-30f) &
                                      SPKI_CF(spki_conv_less)(zero - 1e-30f, v),
                                  zero, v);
    if (s->hold) {
        hold = SPKI_CF(spki_conv_load)(s->hold + at) - elapsed;
        hold = hold & ~(hold >> 31);
        input = SPKI_CF(spki_conv_choose)((none - hold) >> 31, zero, input);
    }
    v = v + input;
    v = SPKI_CF(spki_conv_choose)(SPKI_CF(spki_conv_less)(v, zero + s->v_min), zero + s->v_min, v);
    fired = ~SPKI_CF(spki_conv_less)(v, threshold) & ~((none - hold) >> 31);
    after = s->subtract ? v - threshold : zero + s->v_reset;
    v = SPKI_CF(spki_conv_choose)(fired, after, v);
    memcpy(s->v + at, &v, sizeof v);
    if (s->hold) {
        SPKI_CF(spki_conv_store)(s->hold + at, (fired & (none + s->refractory)) | (~fired & hold));
    }
    return SPKI_CF(spki_conv_bits)(fired);
}

SPKI_CONV_INLINE spki_conv_item *SPKI_CF(spki_conv_site)(spki_conv_stage *s, uint32_t x, uint32_t y,
                                                         uint64_t now, bool full,
                                                         spki_conv_item *out)
{
    const size_t site = (size_t)y * s->pitch + x, at = site * s->lanes;
    const uint64_t elapsed = now - s->last[site];
    const float factor = spki_conv_decay(s, elapsed);
    const int32_t short_elapsed = (int32_t)SPKI_MIN(elapsed, (uint64_t)1 << 30);
    const SPKI_VI none = {0};
    const uint32_t ox = x - s->left, oy = y - s->top;
    const int16_t *count = full ? s->counts + (size_t)oy * s->stride_y * s->count_pitch +
                                      (size_t)ox * s->stride_x * s->count_channels
                                : NULL;
    s->last[site] = now;
    for (uint32_t c = 0; c < s->lanes; c += SPKI_CONV_L) {
        SPKI_VI sum = SPKI_CF(spki_conv_load)(s->sums + at + c);
        uint32_t bits;
        SPKI_CF(spki_conv_store)(s->sums + at + c, none);
        if (full) {
            sum = SPKI_CF(spki_conv_window)(s, count, c, sum);
        }
        bits = SPKI_CF(spki_conv_lif)(s, at + c, SPKI_CF(spki_conv_float)(sum) * s->quantum, factor,
                                      short_elapsed);
        for (; bits; bits &= bits - 1) {
            out->x = (uint16_t)ox;
            out->y = (uint16_t)oy;
            out->c = (uint16_t)(c + (uint32_t)__builtin_ctz(bits));
            out++;
        }
    }
    return out;
}

SPKI_CONV_INLINE size_t SPKI_CF(spki_conv_finish_as)(spki_conv_stage *s, uint64_t now, bool full)
{
    spki_conv_item *out = s->item;
    for (uint32_t y = s->dirty_first; y < s->dirty_end; y++) {
        uint64_t *mark = s->marks + (size_t)y * s->words;
        uint32_t carry = 0;
        for (uint32_t k = 0; k < s->words; k++) {
            uint32_t bits = (uint32_t)mark[k] | carry;
            carry = (uint32_t)(mark[k] >> 32);
            mark[k] = 0;
            for (; bits; bits &= bits - 1) {
                out = SPKI_CF(spki_conv_site)(s, k * 32 + (uint32_t)__builtin_ctz(bits), y, now,
                                              full, out);
            }
        }
    }
    return (size_t)(out - s->item);
}

SPKI_CONV_TARGET static size_t SPKI_CF(spki_conv_finish)(spki_conv_stage *s, uint64_t now,
                                                         bool full)
{
    return full ? SPKI_CF(spki_conv_finish_as)(s, now, true)
                : SPKI_CF(spki_conv_finish_as)(s, now, false);
}

#undef SPKI_CF
#undef SPKI_CONV_INLINE
#undef SPKI_VF
#undef SPKI_VI
#undef SPKI_VH
#undef SPKI_CONV_L
#undef SPKI_CONV_S
#undef SPKI_CONV_TARGET
