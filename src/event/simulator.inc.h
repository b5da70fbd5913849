/* ---- >>simulator-rows: pixels that a picture may make fire (pasted once per instruction set) ----
   Picture values become log intensities, `level`; bit k of `fires` is set where pixel k has moved
   by a threshold from `ref`. The count is a multiple of 64. */
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)

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

#undef SPKI_R
#undef SPKI_F
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_TARGET
