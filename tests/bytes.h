/* ---- >>bytes: building files of events by hand, independent of the writers ---- */
#ifndef SPIKELIB_TESTS_BYTES_H
#define SPIKELIB_TESTS_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    uint8_t data[1 << 18];
    size_t size;
} bytes;

static inline void put(bytes *b, const void *data, size_t size)
{
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static inline void put_text(bytes *b, const char *text)
{
    put(b, text, strlen(text));
}

/* Little-endian, `n` bytes; big-endian. */
static inline void put_le(bytes *b, uint64_t value, size_t n)
{
    for (; n > 0; n--, value >>= 8) b->data[b->size++] = (uint8_t)value;
}

static inline void put_be(bytes *b, uint64_t value, size_t n)
{
    for (; n > 0; n--) b->data[b->size++] = (uint8_t)(value >> 8 * (n - 1));
}

static inline void put_f32(bytes *b, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put_le(b, bits, 4);
}

/* -- FlatBuffers: the vtable stands before its table, vectors and tables after it -- */

/* Overwrites the u32 at `at` with the distance from there to the end of what is built. */
static inline void point_here(bytes *b, size_t at)
{
    uint32_t distance = (uint32_t)(b->size - at);
    b->data[at] = (uint8_t)distance;
    b->data[at + 1] = (uint8_t)(distance >> 8);
    b->data[at + 2] = (uint8_t)(distance >> 16);
    b->data[at + 3] = (uint8_t)(distance >> 24);
}

/* A table: `offsets` of its `count` fields (0: absent), `size` of the table. Returns where it
   begins; the caller puts `size` - 4 bytes of fields then. */
static inline size_t begin_table(bytes *b, const uint16_t *offsets, size_t count, uint16_t size)
{
    size_t k;
    put_le(b, 4 + 2 * count, 2);
    put_le(b, size, 2);
    for (k = 0; k < count; k++) put_le(b, offsets[k], 2);
    put_le(b, 4 + 2 * count, 4); /* back to the vtable */
    return b->size - 4;
}

static inline void begin_file4(bytes *b, int compression, int64_t table_at, const char *xml)
{
    static const uint16_t offsets[] = {4, 8, 16};
    size_t length, root, text;
    put_text(b, "#!AER-DAT4.0\r\n");
    length = b->size;
    put_le(b, 0, 4);
    root = b->size;
    put_le(b, 0, 4);
    put_text(b, "IOHE");
    put_le(b, 0, 2);
    b->data[root] = 20; /* the vtable has 10 bytes */
    begin_table(b, offsets, 3, 20);
    put_le(b, (uint64_t)(int64_t)compression, 4);
    put_le(b, (uint64_t)table_at, 8);
    text = b->size;
    put_le(b, 0, 4);
    point_here(b, text);
    put_le(b, strlen(xml), 4);
    put(b, xml, strlen(xml) + 1);
    length = b->size - length - 4;
    b->data[14] = (uint8_t)length;
    b->data[15] = (uint8_t)(length >> 8);
}

/* The first bytes of a packet; end_packet4 fills in the sizes. */
static inline size_t begin_packet4(bytes *b, int stream, const char *identifier)
{
    size_t at = b->size;
    put_le(b, (uint64_t)stream, 4);
    put_le(b, 0, 4);
    put_le(b, 0, 4);
    put_le(b, 0, 4); /* root */
    put_text(b, identifier);
    return at;
}

static inline void end_packet4(bytes *b, size_t at)
{
    size_t size = b->size - at - 8, k;
    for (k = 0; k < 4; k++) {
        b->data[at + 4 + k] = (uint8_t)(size >> 8 * k);
        b->data[at + 8 + k] = (uint8_t)((size - 4) >> 8 * k);
    }
}

/* The table of packets of one vector: root, and the vector's length. */
static inline void begin_vector4(bytes *b, size_t at, uint32_t count)
{
    static const uint16_t offsets[] = {4};
    size_t field;
    b->data[at + 12] = (uint8_t)(b->size + 6 - at - 12);
    begin_table(b, offsets, 1, 8);
    field = b->size;
    put_le(b, 0, 4);
    point_here(b, field);
    put_le(b, count, 4);
}

static inline void put_event4(bytes *b, int64_t t, unsigned x, unsigned y, unsigned on)
{
    put_le(b, (uint64_t)t, 8);
    put_le(b, x, 2);
    put_le(b, y, 2);
    put_le(b, on, 1);
    put_le(b, 0, 3);
}

#endif
