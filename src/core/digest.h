/* ---- >>digest: XXH64, the same with and without the xxHash package ---- */
#ifndef SPIKELIB_CORE_DIGEST_H
#define SPIKELIB_CORE_DIGEST_H

#include "base.h"

/* SPIKELIB_NO_XXHASH: do not look for the package. */
#define SPKI_HAVE_XXHASH 0
#if !defined(SPIKELIB_NO_XXHASH) && defined(__has_include)
#if __has_include(<xxhash.h>)
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>
#if defined(XXH_VERSION_NUMBER)
#if XXH_VERSION_NUMBER >= 800
#undef SPKI_HAVE_XXHASH
#define SPKI_HAVE_XXHASH 1
#endif
#endif
#endif
#endif

/* Source: xxHash fast digest algorithm, specification 0.1.1 (Collet 2018), "XXH64". */
#define SPKI_XXH_P1 UINT64_C(0x9E3779B185EBCA87)
#define SPKI_XXH_P2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define SPKI_XXH_P3 UINT64_C(0x165667B19E3779F9)
#define SPKI_XXH_P4 UINT64_C(0x85EBCA77C2B2AE63)
#define SPKI_XXH_P5 UINT64_C(0x27D4EB2F165667C5)

SPKI_INLINE uint64_t spki_rotl64(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

SPKI_INLINE uint64_t spki_load64_le(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

SPKI_INLINE uint32_t spki_load32_le(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap32(x);
#endif
    return x;
}

SPKI_INLINE uint64_t spki_xxh_round(uint64_t acc, uint64_t lane)
{
    return spki_rotl64(acc + lane * SPKI_XXH_P2, 31) * SPKI_XXH_P1;
}

SPKI_INLINE uint64_t spki_xxh_merge(uint64_t hash, uint64_t acc)
{
    return (hash ^ spki_xxh_round(0, acc)) * SPKI_XXH_P1 + SPKI_XXH_P4;
}

SPKI_FN void spki_xxh_begin(spk_digest *digest, uint64_t seed)
{
    memset(digest, 0, sizeof *digest);
    digest->acc[0] = seed + SPKI_XXH_P1 + SPKI_XXH_P2;
    digest->acc[1] = seed + SPKI_XXH_P2;
    digest->acc[2] = seed; /* still the seed when fewer than 32 bytes came */
    digest->acc[3] = seed - SPKI_XXH_P1;
}

SPKI_FN void spki_xxh_stripes(uint64_t acc[4], const uint8_t *p, size_t stripes)
{
    uint64_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    for (; stripes > 0; stripes--, p += 32) {
        a = spki_xxh_round(a, spki_load64_le(p));
        b = spki_xxh_round(b, spki_load64_le(p + 8));
        c = spki_xxh_round(c, spki_load64_le(p + 16));
        d = spki_xxh_round(d, spki_load64_le(p + 24));
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}

SPKI_FN void spki_xxh_update(spk_digest *digest, const void *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)data;
    digest->total += size;
    if (digest->fill > 0) {
        size_t part = SPKI_MIN(size, (size_t)(32u - digest->fill));
        memcpy(digest->tail + digest->fill, p, part);
        digest->fill += (uint32_t)part;
        p += part;
        size -= part;
        if (digest->fill < 32) return;
        spki_xxh_stripes(digest->acc, digest->tail, 1);
        digest->fill = 0;
    }
    spki_xxh_stripes(digest->acc, p, size / 32);
    digest->fill = (uint32_t)(size % 32);
    if (digest->fill > 0) memcpy(digest->tail, p + (size - digest->fill), digest->fill);
}

SPKI_FN uint64_t spki_xxh_tail(uint64_t hash, const uint8_t *p, uint32_t size)
{
    for (; size >= 8; size -= 8, p += 8) {
        hash ^= spki_xxh_round(0, spki_load64_le(p));
        hash = spki_rotl64(hash, 27) * SPKI_XXH_P1 + SPKI_XXH_P4;
    }
    if (size >= 4) {
        hash ^= spki_load32_le(p) * SPKI_XXH_P1;
        hash = spki_rotl64(hash, 23) * SPKI_XXH_P2 + SPKI_XXH_P3;
        size -= 4;
        p += 4;
    }
    for (; size > 0; size--, p++) {
        hash ^= *p * SPKI_XXH_P5;
        hash = spki_rotl64(hash, 11) * SPKI_XXH_P1;
    }
    return hash;
}

SPKI_FN uint64_t spki_xxh_value(const spk_digest *digest)
{
    const uint64_t *acc = digest->acc;
    uint64_t hash = acc[2] + SPKI_XXH_P5;
    if (digest->total >= 32) {
        hash = spki_rotl64(acc[0], 1) + spki_rotl64(acc[1], 7) + spki_rotl64(acc[2], 12) +
               spki_rotl64(acc[3], 18);
        hash = spki_xxh_merge(hash, acc[0]);
        hash = spki_xxh_merge(hash, acc[1]);
        hash = spki_xxh_merge(hash, acc[2]);
        hash = spki_xxh_merge(hash, acc[3]);
    }
    hash = spki_xxh_tail(hash + digest->total, digest->tail, digest->fill);
    hash = (hash ^ (hash >> 33)) * SPKI_XXH_P2;
    hash = (hash ^ (hash >> 29)) * SPKI_XXH_P3;
    return hash ^ (hash >> 32);
}

SPKI_FN uint64_t spki_xxh64(const void *data, size_t size, uint64_t seed)
{
    spk_digest digest;
    spki_xxh_begin(&digest, seed);
    if (data && size > 0) spki_xxh_update(&digest, data, size);
    return spki_xxh_value(&digest);
}

SPIKELIB_API uint64_t spk_xxh64(const void *data, size_t size, uint64_t seed)
{
#if SPKI_HAVE_XXHASH
    return (uint64_t)XXH64(data, data ? size : 0, seed);
#else
    return spki_xxh64(data, size, seed);
#endif
}

/* In pieces always by our own code: the package's state is larger than spk_digest, which must not
   depend on what was found, and the speed is that of the multiplier either way. */
SPIKELIB_API void spk_digest_begin(spk_digest *digest)
{
    if (digest) spki_xxh_begin(digest, 0);
}

SPIKELIB_API void spk_digest_update(spk_digest *digest, const void *data, size_t size)
{
    if (digest && data && size > 0) spki_xxh_update(digest, data, size);
}

SPIKELIB_API uint64_t spk_digest_value(const spk_digest *digest)
{
    return digest ? spki_xxh_value(digest) : 0;
}

#endif
