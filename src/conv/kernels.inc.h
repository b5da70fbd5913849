/* ---- >>conv-kernels: the sweep of a stage at one vector width (pasted once per width) ---- */
#define SPKI_CF(name) SPKI_CONV_NAME(name, SPKI_CONV_S)
#define SPKI_CONV_INLINE SPKI_CONV_TARGET static inline __attribute__((always_inline, unused))
#if SPKI_CONV_L > 1
typedef float SPKI_CF(spki_conv_f) __attribute__((vector_size(SPKI_CONV_L * 4)));
typedef int32_t SPKI_CF(spki_conv_i) __attribute__((vector_size(SPKI_CONV_L * 4)));
#else
typedef float SPKI_CF(spki_conv_f);
typedef int32_t SPKI_CF(spki_conv_i);
#endif
#define SPKI_VF SPKI_CF(spki_conv_f)
#define SPKI_VI SPKI_CF(spki_conv_i)

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

/* A pair of counts in every lane, where the target multiplies pairs. */
#if SPKI_HAVE_SSE2 && SPKI_CONV_L > 1
#define SPKI_VB SPKI_VI
#else
#define SPKI_VB SPKI_CF(spki_conv_both)
typedef struct SPKI_CF(spki_conv_both) {
    int32_t even, odd;
} SPKI_CF(spki_conv_both);
#endif

SPKI_CONV_INLINE SPKI_VB SPKI_CF(spki_conv_spread)(const int16_t *pair)
{
#if SPKI_HAVE_SSE2 && SPKI_CONV_L > 1
    const SPKI_VI none = {0};
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return none + both;
#else
    SPKI_VB both;
    both.even = pair[0];
    both.odd = pair[1];
    return both;
#endif
}

/* sum + first count * even weights + second count * odd ones. */
SPKI_CONV_INLINE SPKI_VI SPKI_CF(spki_conv_pair)(SPKI_VI sum, SPKI_VB both, const int16_t *w)
{
#if SPKI_HAVE_SSE2 && SPKI_CONV_L == 16
    return sum + (SPKI_VI)_mm512_madd_epi16((__m512i)both, _mm512_loadu_si512((const void *)w));
#elif SPKI_HAVE_SSE2 && SPKI_CONV_L == 8
    return sum + (SPKI_VI)_mm256_madd_epi16((__m256i)both,
                                            _mm256_loadu_si256((const __m256i *)(const void *)w));
#elif SPKI_HAVE_SSE2 && SPKI_CONV_L == 4
    return sum + (SPKI_VI)_mm_madd_epi16((__m128i)both,
                                         _mm_loadu_si128((const __m128i *)(const void *)w));
#elif SPKI_CONV_L > 1
    for (int k = 0; k < SPKI_CONV_L; k++) {
        sum[k] += both.even * w[2 * k] + both.odd * w[2 * k + 1];
    }
    return sum;
#else
    return sum + both.even * w[0] + both.odd * w[1];
#endif
}

/* -- inputs touch their footprints -- */

/* Vector k of a row of a footprint, if it has so many: straight code where the width is constant.
 */
#define SPKI_CONV_ADD(k)                                                                           \
    if (width > (k)*SPKI_CONV_L) {                                                                 \
        SPKI_CF(spki_conv_store)                                                                   \
        (sum + (k)*SPKI_CONV_L,                                                                    \
         SPKI_CF(spki_conv_pair)(SPKI_CF(spki_conv_load)(sum + (k)*SPKI_CONV_L), both,             \
                                 w + 2 * (k)*SPKI_CONV_L));                                        \
    }

SPKI_CONV_INLINE void SPKI_CF(spki_conv_touch_row)(int32_t *sum, SPKI_VB both, const int16_t *w,
                                                   uint32_t width)
{
    SPKI_CONV_ADD(0u)
    SPKI_CONV_ADD(1u)
    SPKI_CONV_ADD(2u)
    SPKI_CONV_ADD(3u)
    SPKI_CONV_ADD(4u)
    SPKI_CONV_ADD(5u)
    for (uint32_t k = 6 * SPKI_CONV_L; k < width; k += SPKI_CONV_L) {
        SPKI_CF(spki_conv_store)
        (sum + k, SPKI_CF(spki_conv_pair)(SPKI_CF(spki_conv_load)(sum + k), both, w + 2 * k));
    }
}

/* One active pair of channels: adds its weights to the rows of sums that `row` points to. */
SPKI_CONV_INLINE void SPKI_CF(spki_conv_touch)(int32_t *const *row, SPKI_VB both, const int16_t *w,
                                               uint32_t at, uint32_t width, uint32_t height)
{
    SPKI_CF(spki_conv_touch_row)(row[0] + at, both, w, width);
    if (height > 1) {
        SPKI_CF(spki_conv_touch_row)(row[1] + at, both, w + 2 * width, width);
    }
    if (height > 2) {
        SPKI_CF(spki_conv_touch_row)(row[2] + at, both, w + 4 * width, width);
    }
    for (uint32_t r = 3; r < height; r++) {
        SPKI_CF(spki_conv_touch_row)(row[r] + at, both, w + (size_t)2 * r * width, width);
    }
}

/* All active inputs of row y. */
SPKI_CONV_INLINE void SPKI_CF(spki_conv_row_n)(const spki_conv_stage *s, uint32_t y, bool full,
                                               uint32_t width, uint32_t height)
{
    const spki_conv_column *column = s->column;
    const uint32_t pairs = s->pairs, weights_pair = s->weights_pair;
    const int16_t *weights = s->weights + s->row[y].weights;
    int16_t *count = s->counts + s->count_origin + (size_t)y * s->count_pitch;
    uint64_t *active = s->active + (size_t)y * s->active_words;
    int32_t *row[SPKI_CONV_REACH];
    uint64_t *mark[SPKI_CONV_REACH];
    uint64_t within[SPKI_CONV_REACH];
    for (uint32_t r = 0; r < height; r++) {
        const uint32_t at = (s->row[y].first + r) & (s->ring - 1);
        row[r] = s->sums + (size_t)at * s->pitch * s->lanes;
        mark[r] = s->marks + (size_t)at * s->words;
        within[r] = (uint64_t)0 - (s->row[y].rows >> r & 1);
    }
    for (uint32_t k = 0; k < s->active_words; k++) {
        uint64_t bits = active[k];
        active[k] = 0;
        for (; bits; bits &= bits - 1) {
            const uint32_t at = k * 64 + (uint32_t)__builtin_ctzll(bits);
            const uint32_t x = pairs == 1 ? at : at / pairs, pair = pairs == 1 ? 0 : at % pairs;
            const spki_conv_column *col = &column[x];
            const uint64_t marks = col->marks;
            const uint32_t word = col->word;
            if (!full) {
                SPKI_CF(spki_conv_touch)
                (row, SPKI_CF(spki_conv_spread)(count + (size_t)at * 2),
                 weights + (size_t)pair * weights_pair + col->weights, col->sums, width, height);
                memset(count + (size_t)at * 2, 0, 2 * sizeof *count);
            }
            mark[0][word] |= marks & within[0];
            if (height > 1) {
                mark[1][word] |= marks & within[1];
            }
            if (height > 2) {
                mark[2][word] |= marks & within[2];
            }
            for (uint32_t r = 3; r < height; r++) {
                mark[r][word] |= marks & within[r];
            }
        }
    }
}

/* The common sizes have loops of their own, where weights are added and there are vectors. */
SPKI_CONV_INLINE void SPKI_CF(spki_conv_row)(const spki_conv_stage *s, uint32_t y, bool full)
{
    const uint32_t width = s->reach_x * s->lanes;
#if SPKI_CONV_L > 1
    if (!full && width == 24 && s->reach_y == 3) {
        SPKI_CF(spki_conv_row_n)(s, y, false, 24, 3);
        return;
    }
    if (!full && width == 48 && s->reach_y == 3) {
        SPKI_CF(spki_conv_row_n)(s, y, false, 48, 3);
        return;
    }
#endif
    SPKI_CF(spki_conv_row_n)(s, y, full, width, s->reach_y);
}

/* -- a step of the neurons -- */

/* What the counted inputs of a site's window bring to one vector of its channels. */
SPKI_CONV_INLINE SPKI_VI SPKI_CF(spki_conv_window)(const spki_conv_stage *s, const int16_t *count,
                                                   uint32_t lane, SPKI_VI sum)
{
    const uint32_t pairs = s->kernel_x * s->pairs;
    const int16_t *w = s->windows + (size_t)lane * 2;
    for (uint32_t r = 0; r < s->kernel_y; r++) {
        for (uint32_t k = 0; k < pairs; k++) {
            sum = SPKI_CF(spki_conv_pair)(sum, SPKI_CF(spki_conv_spread)(count + (size_t)k * 2), w);
            w += (size_t)s->lanes * 2;
        }
        count += s->count_pitch;
    }
    return sum;
}

/* Decays, adds the input, fires and resets one vector of neurons; the lanes that fired, as bits. */
SPKI_CONV_INLINE uint32_t SPKI_CF(spki_conv_lif)(const spki_conv_stage *s, size_t at, SPKI_VF input,
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

/* Updates the neurons of a site; `sums` are its inputs, left at zero. */
SPKI_CONV_INLINE spki_conv_item *SPKI_CF(spki_conv_site)(const spki_conv_stage *s, uint32_t x,
                                                         uint32_t y, int32_t *sums, uint64_t now,
                                                         bool full, spki_conv_item *out)
{
    const size_t site = (size_t)y * s->pitch + x, at = site * s->lanes;
    const uint64_t elapsed = now - s->last[site];
    const float factor = spki_conv_decay(s, elapsed);
    const int32_t short_elapsed = (int32_t)SPKI_MIN(elapsed, (uint64_t)1 << 30);
    const SPKI_VI none = {0};
    const uint32_t ox = x - s->left, oy = y - s->top;
    const int16_t *count = full ? s->counts + (size_t)oy * s->stride_y * s->count_pitch +
                                      (size_t)ox * s->stride_x * s->pairs * 2
                                : NULL;
    s->last[site] = now;
    for (uint32_t c = 0; c < s->lanes; c += SPKI_CONV_L) {
        SPKI_VI sum = none;
        uint32_t bits;
        if (full) {
            sum = SPKI_CF(spki_conv_window)(s, count, c, sum);
        } else {
            sum = SPKI_CF(spki_conv_load)(sums + c);
            SPKI_CF(spki_conv_store)(sums + c, none);
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

/* Sums of margins are never looked at: they start the next row that takes this place at zero. */
SPKI_CONV_INLINE void SPKI_CF(spki_conv_clear)(const spki_conv_stage *s, uint32_t y, int32_t *sums)
{
    const uint32_t end = s->left + s->out.width;
    if (y < s->top || y >= s->top + s->out.height) {
        memset(sums, 0, (size_t)s->pitch * s->lanes * sizeof *sums);
        return;
    }
    memset(sums, 0, (size_t)s->left * s->lanes * sizeof *sums);
    memset(sums + (size_t)end * s->lanes, 0, (size_t)(s->pitch - end) * s->lanes * sizeof *sums);
}

/* The marked sites of row y. */
SPKI_CONV_INLINE spki_conv_item *SPKI_CF(spki_conv_sites)(const spki_conv_stage *s, uint32_t y,
                                                          uint64_t now, bool full,
                                                          spki_conv_item *out)
{
    const size_t place = y & (s->ring - 1);
    int32_t *sums = s->sums + place * s->pitch * s->lanes;
    uint64_t *mark = s->marks + place * s->words;
    uint32_t carry = 0;
    for (uint32_t k = 0; k < s->words; k++) {
        uint32_t bits = (uint32_t)mark[k] | carry;
        carry = (uint32_t)(mark[k] >> 32);
        mark[k] = 0;
        for (; bits; bits &= bits - 1) {
            const uint32_t x = k * 32 + (uint32_t)__builtin_ctz(bits);
            out = SPKI_CF(spki_conv_site)(s, x, y, sums + (size_t)x * s->lanes, now, full, out);
        }
    }
    if (!full) {
        SPKI_CF(spki_conv_clear)(s, y, sums);
    }
    return out;
}

SPKI_CONV_INLINE size_t SPKI_CF(spki_conv_sweep_as)(const spki_conv_stage *s, uint64_t now,
                                                    bool full)
{
    spki_conv_item *out = s->item;
    uint32_t done = s->row[s->dirty_first].first;
    for (uint32_t y = s->dirty_first; y < s->dirty_end; y++) {
        for (; done < s->row[y].first; done++) {
            out = SPKI_CF(spki_conv_sites)(s, done, now, full, out);
        }
        SPKI_CF(spki_conv_row)(s, y, full);
    }
    for (; done < s->row[s->dirty_end - 1].first + s->reach_y; done++) {
        out = SPKI_CF(spki_conv_sites)(s, done, now, full, out);
    }
    return (size_t)(out - s->item);
}

/* A copy of the stage, whose address nobody has: stores to sums and potentials leave it alone. */
SPKI_CONV_TARGET static size_t SPKI_CF(spki_conv_sweep)(spki_conv_stage *stage, uint64_t now,
                                                        bool full)
{
    const spki_conv_stage s = *stage;
    return full ? SPKI_CF(spki_conv_sweep_as)(&s, now, true)
                : SPKI_CF(spki_conv_sweep_as)(&s, now, false);
}

#undef SPKI_CF
#undef SPKI_CONV_INLINE
#undef SPKI_VF
#undef SPKI_VI
#undef SPKI_VB
#undef SPKI_CONV_ADD
#undef SPKI_CONV_L
#undef SPKI_CONV_S
#undef SPKI_CONV_TARGET
