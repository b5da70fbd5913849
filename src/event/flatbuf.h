/* ---- >>flatbuf: reading FlatBuffers, every offset checked ---- */
#ifndef SPIKELIB_EVENT_FLATBUF_H
#define SPIKELIB_EVENT_FLATBUF_H

#include "hold.h"

/* Source: the FlatBuffers binary format ("FlatBuffer Internals"). A table begins with the signed
   distance back to its vtable; a vtable is u16 own bytes, u16 table bytes, then a u16 offset a
   field, 0 or missing where the field has its default; vectors, strings and tables hang on a u32
   that counts from its own place. Wherever one of these points outside, `bad` is set and stays
   set, and what is read is 0: the reader looks once, at the end. Positions are bytes from `data`;
   0 means none (byte 0 is the root offset). */
typedef struct spki_fb {
    const uint8_t *data;
    size_t size;
    bool bad;
} spki_fb;

SPKI_INLINE bool spki_fb_holds(spki_fb *fb, size_t at, size_t bytes)
{
    if (at <= fb->size && bytes <= fb->size - at) return true;
    fb->bad = true;
    return false;
}

/* The table, vector or string that the u32 at `at` points to. */
SPKI_FN size_t spki_fb_follow(spki_fb *fb, size_t at)
{
    size_t to;
    if (at == 0 && fb->bad) return 0;
    if (!spki_fb_holds(fb, at, 4)) return 0;
    to = at + spki_load32_le(fb->data + at);
    if (to == at || !spki_fb_holds(fb, to, 4)) {
        fb->bad = true;
        return 0;
    }
    return to;
}

SPKI_FN size_t spki_fb_root(spki_fb *fb)
{
    return spki_fb_follow(fb, 0);
}

/* Where field number `field` of `table` stands, 0 if it has its default; `bytes` its size. */
SPKI_FN size_t spki_fb_field(spki_fb *fb, size_t table, uint32_t field, size_t bytes)
{
    int64_t back;
    size_t vtable, offset, slots;
    if (table == 0 || !spki_fb_holds(fb, table, 4)) return 0;
    back = (int64_t)(int32_t)spki_load32_le(fb->data + table);
    if ((int64_t)table - back < 0 || (int64_t)table - back > (int64_t)fb->size) {
        fb->bad = true;
        return 0;
    }
    vtable = (size_t)((int64_t)table - back);
    if (!spki_fb_holds(fb, vtable, 4)) return 0;
    slots = spki_load16_le(fb->data + vtable);
    if (!spki_fb_holds(fb, vtable, slots)) return 0;
    if (4 + 2 * (size_t)field + 2 > slots) return 0;
    offset = spki_load16_le(fb->data + vtable + 4 + 2 * (size_t)field);
    if (offset == 0) return 0;
    return spki_fb_holds(fb, table + offset, bytes) ? table + offset : 0;
}

SPKI_FN int64_t spki_fb_i64(spki_fb *fb, size_t table, uint32_t field, int64_t otherwise)
{
    size_t at = spki_fb_field(fb, table, field, 8);
    return at ? (int64_t)spki_load64_le(fb->data + at) : otherwise;
}

SPKI_FN int32_t spki_fb_i32(spki_fb *fb, size_t table, uint32_t field, int32_t otherwise)
{
    size_t at = spki_fb_field(fb, table, field, 4);
    return at ? (int32_t)spki_load32_le(fb->data + at) : otherwise;
}

SPKI_FN int16_t spki_fb_i16(spki_fb *fb, size_t table, uint32_t field)
{
    size_t at = spki_fb_field(fb, table, field, 2);
    return at ? (int16_t)spki_load16_le(fb->data + at) : (int16_t)0;
}

SPKI_FN int8_t spki_fb_i8(spki_fb *fb, size_t table, uint32_t field)
{
    size_t at = spki_fb_field(fb, table, field, 1);
    return at ? (int8_t)fb->data[at] : (int8_t)0;
}

SPKI_FN float spki_fb_f32(spki_fb *fb, size_t table, uint32_t field)
{
    uint32_t bits = (uint32_t)spki_fb_i32(fb, table, field, 0);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The elements of a vector field, `bytes` each: where the first stands; *count is 0 where the
   field is missing. */
SPKI_FN size_t spki_fb_vector(spki_fb *fb, size_t table, uint32_t field, size_t bytes,
                              uint32_t *count)
{
    size_t at = spki_fb_field(fb, table, field, 4);
    *count = 0;
    if (at == 0 || (at = spki_fb_follow(fb, at)) == 0) return 0;
    if ((fb->size - at - 4) / bytes < spki_load32_le(fb->data + at)) {
        fb->bad = true;
        return 0;
    }
    *count = spki_load32_le(fb->data + at);
    return at + 4;
}

#endif
