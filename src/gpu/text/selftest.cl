/* ---- >>kernel-selftest: arithmetic whose results the host compares bit by bit ---- */

SPKI_ENTRY(spki_selftest)(SPKI_GLOBAL const SPKI_E *in, SPKI_GLOBAL SPKI_E *out, uint32_t count)
{
    const uint32_t k = (SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM()) * SPKI_LANES;
    if (k >= count) {
        return;
    }
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R x = SPKI_VLOAD(in, k), y = SPKI_VLOAD(in, count + k);
    const SPKI_R z = SPKI_VLOAD(in, 2 * count + k);
    const SPKI_R size = SPKI_F(spki_abs)(x), small = x * SPKI_C(0.001953125);
    SPKI_R r[SPKI_SELFTESTS];
    r[0] = x + y;
    r[1] = x * y - z;
    r[2] = z - x * y;
    r[3] = x / y;
    r[4] = SPKI_F(spki_sqrt)(size);
    r[5] = (x + y) - x;
    r[6] = SPKI_F(spki_exp)(small);
    r[7] = SPKI_F(spki_exprel)(small);
    r[8] = SPKI_F(spki_log)(size);
    r[9] = SPKI_F(spki_sin)(x);
    r[10] = SPKI_F(spki_cos)(y);
    r[11] = SPKI_F(spki_tanh)(small);
    r[12] = SPKI_F(spki_pow)(size, SPKI_F(spki_min)(y, SPKI_C(3.0)));
    r[13] = SPKI_F(spki_select)(x < y, SPKI_F(spki_flush)(x * SPKI_C(1e-30)), z);
#if defined(SPKI_CODE) /* under the flags of the program, which may flush subnormal numbers */
    const SPKI_R tiny = (size - size + SPKI_C(1.5e-38)) * SPKI_C(0.01);
    r[13] = SPKI_F(spki_select)(tiny > zero, r[13], x / zero);
#endif
    for (uint32_t f = 0; f < SPKI_SELFTESTS; f++) {
        SPKI_VSTORE(r[f], out, f * count + k);
    }
}
