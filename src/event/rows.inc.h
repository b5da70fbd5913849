/* ---- >>rows: many pixels of a picture or a surface (pasted once per instruction set) ---- */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#if SPKI_LANES == 1
#define SPKI_PICK(c, x, y) ((c) ? (x) : (y))
#define SPKI_TO_REAL(i) ((SPKI_R)(i))
#else
#define SPKI_PICK(c, x, y) (((c) & (x)) | (~(c) & (y)))
#define SPKI_TO_REAL(i) __builtin_convertvector(i, SPKI_R)
#endif

/* The simulator's: picture values become log intensities, `level`; bit k of `fires` is set where
   pixel k has moved by a threshold from `ref`. The count is a multiple of 64. */
SPKI_TARGET SPKI_FN void SPKI_F(spki_sim_rows)(const spki_sim_pixels *p, float dark, float range,
                                               float drift)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    for (size_t k = 0; k < p->count; k += 64) {
        uint64_t bits = 0;
        for (size_t i = k; i < k + 64; i += SPKI_LANES) {
            const SPKI_R v = SPKI_F(spki_load)(p->value + i) * (zero + range) + (zero + dark);
            const SPKI_R level = SPKI_F(spki_log)(v) + (zero + drift);
            const SPKI_R ref = SPKI_F(spki_load)(p->ref + i);
            const SPKI_R up = ref + SPKI_F(spki_load)(p->on + i);
            const SPKI_R down = ref - SPKI_F(spki_load)(p->off + i);
            SPKI_F(spki_store)(p->level + i, level);
            bits |= SPKI_F(spki_mask_bits)((level >= up) | (level <= down)) << (i - k);
        }
        p->fires[k / 64] = bits;
    }
}

/* A surface's: of the newer of two times each, `a` and `b`: with `sign`, negative where b is newer.
   The count is a multiple of the lanes; times are those of a map, `now` within 2^30 of its base. */
SPKI_TARGET SPKI_FN void SPKI_F(spki_view_rows)(const int32_t *a, const int32_t *b, float *out,
                                                size_t count, const spki_surface *s)
{
    SPKI_NO_CONTRACT
    const SPKI_R zero = {0};
    const SPKI_I none = {0};
    for (size_t k = 0; k < count; k += SPKI_LANES) {
        SPKI_I ta, tb;
        memcpy(&ta, a + k, sizeof ta);
        memcpy(&tb, b + k, sizeof tb);
        const SPKI_M older = tb > ta;
        const SPKI_I t = SPKI_PICK(older, tb, ta);
        const SPKI_I now = none + s->now;
        const SPKI_M never = t == (none + SPKI_NEVER), later = t > now;
        const SPKI_I age = now - SPKI_PICK(later | never, now, t);
        const SPKI_R x = SPKI_TO_REAL(age) * (zero + s->inverse_tau);
        const SPKI_R line = SPKI_F(spki_max)((zero + 1.0f) - x, zero);
        const SPKI_R v = s->exponential ? SPKI_F(spki_exp)(zero - x) : line;
        const SPKI_R w = s->sign ? SPKI_F(spki_select)(older, zero - v, v) : v;
        SPKI_F(spki_store)(out + k, SPKI_F(spki_select)(never, zero, w));
    }
}

#undef SPKI_PICK
#undef SPKI_TO_REAL
#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
