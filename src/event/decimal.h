/* ---- >>decimal: decimal numbers in text, exactly, in any locale ---- */
#ifndef SPIKELIB_EVENT_DECIMAL_H
#define SPIKELIB_EVENT_DECIMAL_H

#include "../core/base.h"

/* -- eight digits at a time -- */

SPKI_INLINE uint64_t spki_load_text(const char *at)
{
    uint64_t w;
    memcpy(&w, at, sizeof w);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* How many of the eight characters, from the first, are digits. A byte that is none may carry into
   the bytes above it, which no longer count. */
SPKI_INLINE uint32_t spki_count_digits(uint64_t w)
{
    uint64_t x = w ^ UINT64_C(0x3030303030303030);
    uint64_t other = ((x + UINT64_C(0x7676767676767676)) | x) & UINT64_C(0x8080808080808080);
    return other ? (uint32_t)__builtin_ctzll(other) >> 3 : 8;
}

/* The value of eight digits, the first in the lowest byte; bytes of 0 count as digits 0. Neighbours
   are joined to numbers of 2, 4 and 8 digits by one multiplication each. */
SPKI_INLINE uint32_t spki_eight_digits(uint64_t w)
{
    w = (w & UINT64_C(0x0f0f0f0f0f0f0f0f)) * 2561 >> 8;
    w = (w & UINT64_C(0x00ff00ff00ff00ff)) * 6553601 >> 16;
    return (uint32_t)((w & UINT64_C(0x0000ffff0000ffff)) * UINT64_C(42949672960001) >> 32);
}

/* -- any number -- */

/* digits * 10^exponent. Of more than 19 digits the last are cut off, which no rounding sees:
   halves round away from zero. */
typedef struct spki_decimal {
    uint64_t digits;
    int32_t exponent;
    bool negative, point;
} spki_decimal;

/* [sign] digits [. digits] [e [sign] digits]. The number of characters that it takes, 0 if no
   number is there. */
SPKI_FN size_t spki_decimal_read(const char *s, size_t n, spki_decimal *out)
{
    size_t i = 0, figures = 0;
    memset(out, 0, sizeof *out);
    if (i < n && (s[i] == '-' || s[i] == '+')) out->negative = s[i++] == '-';
    for (; i < n && ((s[i] >= '0' && s[i] <= '9') || (s[i] == '.' && !out->point)); i++) {
        if (s[i] == '.') {
            out->point = true;
            continue;
        }
        figures++;
        if (out->digits < UINT64_C(1000000000000000000)) {
            out->digits = out->digits * 10 + (uint64_t)(s[i] - '0');
            if (out->point) out->exponent--;
        } else if (!out->point && out->exponent < 100000) out->exponent++;
    }
    if (figures == 0) return 0;
    if (i + 1 < n && (s[i] == 'e' || s[i] == 'E')) {
        size_t k = i + 1;
        int32_t e = 0;
        bool minus = s[k] == '-';
        if (s[k] == '-' || s[k] == '+') k++;
        if (k >= n || s[k] < '0' || s[k] > '9') return i;
        for (; k < n && s[k] >= '0' && s[k] <= '9'; k++)
            if (e < 100000) e = e * 10 + (s[k] - '0');
        out->exponent += minus ? -e : e;
        i = k;
    }
    return i;
}

/* value * 10^power as the nearest integer. False where that needs more than 63 bits. */
SPKI_FN bool spki_decimal_scale(const spki_decimal *d, int32_t power, int64_t *out)
{
    int32_t e = d->exponent + power;
    uint64_t v = d->digits;
    *out = 0;
    if (v == 0 || e < -20) return true;
    for (; e > 0; e--) {
        if (v > (uint64_t)INT64_MAX / 10) return false;
        v *= 10;
    }
    for (; e < -1; e++) v /= 10;
    if (e == -1) v = v / 10 + (v % 10 >= 5 ? 1u : 0u);
    if (v > (uint64_t)INT64_MAX) return false;
    *out = d->negative ? -(int64_t)v : (int64_t)v;
    return true;
}

#endif
