/* ---- >>philox: random numbers addressed by a counter, with no state ---- */
#ifndef SPIKELIB_CORE_PHILOX_H
#define SPIKELIB_CORE_PHILOX_H

#include "base.h"

/* Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11
   (2011), section 4.3: Philox-4x32 with 10 rounds; the key is bumped between rounds. */
#define SPKI_PHILOX_MUL0 UINT32_C(0xD2511F53)
#define SPKI_PHILOX_MUL1 UINT32_C(0xCD9E8D57)
#define SPKI_PHILOX_WEYL0 UINT32_C(0x9E3779B9) /* golden ratio */
#define SPKI_PHILOX_WEYL1 UINT32_C(0xBB67AE85) /* sqrt(3) - 1 */

SPKI_INLINE void spki_philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                             uint32_t k1, uint32_t out[4])
{
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)SPKI_PHILOX_MUL0 * c0;
        uint64_t p1 = (uint64_t)SPKI_PHILOX_MUL1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += SPKI_PHILOX_WEYL0;
        k1 += SPKI_PHILOX_WEYL1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

#define SPKI_PHILOX_KEYS 20

/* The two words of the key in each of the ten rounds. */
SPKI_INLINE void spki_philox_keys(uint32_t k0, uint32_t k1, uint32_t key[SPKI_PHILOX_KEYS])
{
    uint32_t round;
    for (round = 0; round < 10; round++) {
        key[2 * round] = k0 + round * SPKI_PHILOX_WEYL0;
        key[2 * round + 1] = k1 + round * SPKI_PHILOX_WEYL1;
    }
}

SPIKELIB_API void spk_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    spki_philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
}

#endif
