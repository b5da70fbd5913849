/* ---- >>aedat4-write: events to AEDAT 4.0 ---- */
#ifndef SPIKELIB_EVENT_AEDAT4_WRITE_H
#define SPIKELIB_EVENT_AEDAT4_WRITE_H

#include "inflate.h"
#include "writer.h"

/* Two streams, events (0) and triggers (1). A packet holds up to 4,096 events, or 10 ms, as DV
   writes them. Every FlatBuffer is laid out by hand: its shape is always the same. */

enum {
    SPKI_AEDAT4_EVENTS_MOST = 4096,
    SPKI_AEDAT4_TRIGGERS_MOST = 1024,
    SPKI_AEDAT4_SPAN_US = 10000,
    SPKI_AEDAT4_EVENT_HEAD = 32,   /* bytes before the first event */
    SPKI_AEDAT4_TABLE_ENTRY = 48,
    SPKI_AEDAT4_POSITION_AT = 46   /* of dataTablePosition in the file */
};

/* An entry of the table at the end. */
typedef struct spki_aedat4_entry {
    uint64_t at;
    int64_t first, last;
    uint32_t size, count, stream;
} spki_aedat4_entry;

typedef struct spki_aedat4_writer {
    spki_bytes events, tables, packed, entries; /* the packet under way; others; their entries */
    uint32_t event_count, trigger_count;
    int64_t first, last; /* the events' smallest and largest time */
    int64_t trigger_t[SPKI_AEDAT4_TRIGGERS_MOST];
    uint8_t trigger_code[SPKI_AEDAT4_TRIGGERS_MOST];
    bool lz4;
} spki_aedat4_writer;

SPKI_INLINE void spki_store64_le(uint8_t *p, uint64_t x)
{
    spki_store32_le(p, (uint32_t)(x & 0xffffffffu));
    spki_store32_le(p + 4, (uint32_t)(x >> 32));
}

/* -- header -- */

SPKI_FN size_t spki_aedat4_write_xml(spk_event_writer *w, char *text, size_t size, bool lz4)
{
    static const char *const name[2][3] = {{"EVTS", "events", "Array of events (polarity ON/OFF)."},
                                           {"TRIG", "triggers",
                                            "External triggers and special signals."}};
    static const char root[] = "/mainloop/spikelib/outInfo/";
    int n = snprintf(text, size,
                     "<dv version=\"2.0\">\n<node name=\"outInfo\" path=\"%s\">\n", root);
    int k;
    for (k = 0; k < 2; k++) {
        n += snprintf(text + n, size - (size_t)n,
                      "<node name=\"%d\" path=\"%s%d/\">\n"
                      "<attr key=\"compression\" type=\"string\">%s</attr>\n"
                      "<attr key=\"originalModuleName\" type=\"string\">spikelib</attr>\n"
                      "<attr key=\"originalOutputName\" type=\"string\">%s</attr>\n"
                      "<attr key=\"typeDescription\" type=\"string\">%s</attr>\n"
                      "<attr key=\"typeIdentifier\" type=\"string\">%s</attr>\n"
                      "<node name=\"info\" path=\"%s%d/info/\">\n",
                      k, root, k, lz4 ? "LZ4" : "NONE", name[k][1], name[k][2], name[k][0], root,
                      k);
        if (k == 0)
            n += snprintf(text + n, size - (size_t)n,
                          "<attr key=\"sizeX\" type=\"int\">%u</attr>\n"
                          "<attr key=\"sizeY\" type=\"int\">%u</attr>\n",
                          w->desc.width, w->desc.height);
        n += snprintf(text + n, size - (size_t)n,
                      "<attr key=\"source\" type=\"string\">spikelib</attr>\n"
                      "<attr key=\"tsOffset\" type=\"long\">0</attr>\n</node>\n</node>\n");
    }
    n += snprintf(text + n, size - (size_t)n, "</node>\n</dv>\n");
    return (size_t)n;
}

/* From the length on: 4 root, 8 "IOHE", 12 vtable of 10 bytes, 28 table (32 dataTablePosition,
   40 compression, 44 infoNode), 48 the string. */
SPKI_FN void spki_aedat4_write_head(spk_event_writer *w)
{
    spki_aedat4_writer *s = (spki_aedat4_writer *)w->state;
    char xml[4096];
    size_t n, total;
    uint8_t *p;
    s->lz4 = w->desc.lz4;
#ifndef SPIKELIB_LZ4
    if (s->lz4) {
        spki_writer_fail(w, SPK_ERR_UNSUPPORTED,
                         "AEDAT4 with LZ4: compile with SPIKELIB_LZ4 defined and link its library "
                         "(-llz4)");
        return;
    }
#endif
    n = spki_aedat4_write_xml(w, xml, sizeof xml, s->lz4);
    total = (48 + 4 + n + 1 + 3) & ~(size_t)3;
    if ((p = spki_writer_room(w, 14 + total)) == NULL) return;
    memcpy(p, "#!AER-DAT4.0\r\n", 14);
    p += 14;
    memset(p, 0, total);
    spki_store32_le(p, (uint32_t)total - 4);
    spki_store32_le(p + 4, 24);
    memcpy(p + 8, "IOHE", 4);
    spki_store16_le(p + 12, 10);
    spki_store16_le(p + 14, 20);
    spki_store16_le(p + 16, 12);
    spki_store16_le(p + 18, 4);
    spki_store16_le(p + 20, 16);
    spki_store32_le(p + 28, 16);
    spki_store64_le(p + 32, UINT64_MAX); /* -1: no table yet */
    spki_store32_le(p + 40, s->lz4 ? 1 : 0);
    spki_store32_le(p + 44, 4);
    spki_store32_le(p + 48, (uint32_t)n);
    memcpy(p + 52, xml, n);
    w->fill += 14 + total;
}

/* -- packets -- */

/* In front of the elements: 4 root, 8 identifier, 14 vtable of 6 bytes, 20 table, 28 the vector's
   length. For vectors of tables one vtable follows for all of them. */
SPKI_FN void spki_aedat4_packet_head(uint8_t *p, const char *identifier, size_t total,
                                     uint32_t count)
{
    memset(p, 0, SPKI_AEDAT4_EVENT_HEAD);
    spki_store32_le(p, (uint32_t)total - 4);
    spki_store32_le(p + 4, 16);
    memcpy(p + 8, identifier, 4);
    spki_store16_le(p + 14, 6);
    spki_store16_le(p + 16, 8);
    spki_store16_le(p + 18, 4);
    spki_store32_le(p + 20, 6);
    spki_store32_le(p + 24, 4);
    spki_store32_le(p + 28, count);
}

/* A FlatBuffer of `count` tables in s->tables: their offsets, one vtable for all, the tables,
   `stride` bytes apart and 4 short of a multiple of 8. Where the first one stands; 0 without
   memory. */
SPKI_FN size_t spki_aedat4_tables(spk_event_writer *w, spki_aedat4_writer *s, const char *name,
                                  uint32_t count, const uint16_t *at, uint32_t fields,
                                  size_t stride)
{
    size_t vtable = SPKI_AEDAT4_EVENT_HEAD + 4 * (size_t)count, first, k;
    uint8_t *p;
    first = (vtable + 4 + 2 * (size_t)fields + 3) / 8 * 8 + 4;
    s->tables.size = 0;
    if (!spki_bytes_reserve(&w->mem, &s->tables, first + stride * count)) {
        spki_writer_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory for a packet");
        return 0;
    }
    p = s->tables.data;
    s->tables.size = first + stride * count;
    memset(p, 0, s->tables.size);
    spki_aedat4_packet_head(p, name, s->tables.size, count);
    spki_store16_le(p + vtable, (uint16_t)(4 + 2 * fields));
    spki_store16_le(p + vtable + 2, (uint16_t)stride);
    for (k = 0; k < fields; k++) spki_store16_le(p + vtable + 4 + 2 * k, at[k]);
    for (k = 0; k < count; k++) {
        size_t here = SPKI_AEDAT4_EVENT_HEAD + 4 * k, table = first + stride * k;
        spki_store32_le(p + here, (uint32_t)(table - here));
        spki_store32_le(p + table, (uint32_t)(table - vtable));
    }
    return first;
}

/* One LZ4 frame of independent 64 kB blocks; false without memory. */
SPKI_FN bool spki_aedat4_pack(spk_event_writer *w, spki_aedat4_writer *s, const uint8_t *data,
                              size_t size)
{
#ifdef SPIKELIB_LZ4
    static const uint8_t head[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40};
    size_t at, n;
    uint8_t *p;
    if (!spki_bytes_reserve(&w->mem, &s->packed, size + size / 255 + size / 4096 + 256))
        return false;
    p = s->packed.data;
    memcpy(p, head, 6);
    p[6] = (uint8_t)(spki_xxh32(p + 4, 2) >> 8);
    p += 7;
    for (at = 0; at < size; at += n) {
        int got;
        n = SPKI_MIN(size - at, (size_t)65536);
        got = LZ4_compress_default((const char *)data + at, (char *)p + 4, (int)n, (int)n - 1);
        spki_store32_le(p, got > 0 ? (uint32_t)got : (uint32_t)n | 0x80000000u);
        if (got <= 0) memcpy(p + 4, data + at, n);
        p += 4 + (got > 0 ? (size_t)got : n);
    }
    spki_store32_le(p, 0);
    s->packed.size = (size_t)(p + 4 - s->packed.data);
    return true;
#else
    (void)w;
    (void)s;
    (void)data;
    (void)size;
    return false;
#endif
}

/* A packet into the buffer, and its entry. */
SPKI_FN bool spki_aedat4_put(spk_event_writer *w, spki_aedat4_writer *s, spki_aedat4_entry *entry,
                             const uint8_t *data, size_t size)
{
    uint8_t *p;
    bool memory = true;
    if (s->lz4) {
        memory = spki_aedat4_pack(w, s, data, size);
        data = s->packed.data;
        size = s->packed.size;
    }
    entry->size = (uint32_t)size;
    if (!memory || !spki_bytes_reserve(&w->mem, &s->entries, s->entries.size + sizeof *entry)) {
        spki_writer_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory for the table of packets");
        return false;
    }
    if ((p = spki_writer_room(w, size + 8)) == NULL) return false;
    spki_store32_le(p, entry->stream);
    spki_store32_le(p + 4, entry->size);
    memcpy(p + 8, data, size);
    entry->at = w->bytes + w->fill + 8;
    w->fill += size + 8;
    w->encoded += entry->count;
    spki_bytes_append(&w->mem, &s->entries, entry, sizeof *entry);
    return true;
}

/* A trigger has no channel in AEDAT4: each is the external signal, rising (1) or falling (2). */
SPKI_FN bool spki_aedat4_emit_triggers(spk_event_writer *w, spki_aedat4_writer *s)
{
    static const uint16_t at[] = {4, 12};
    spki_aedat4_entry entry;
    uint32_t n = s->trigger_count, k;
    size_t first;
    if (n == 0) return true;
    first = spki_aedat4_tables(w, s, "TRIG", n, at, 2, 16);
    if (first == 0) return false;
    memset(&entry, 0, sizeof entry);
    entry.stream = 1;
    entry.count = n;
    entry.first = entry.last = s->trigger_t[0];
    for (k = 0; k < n; k++) {
        uint8_t *table = s->tables.data + first + 16 * (size_t)k;
        spki_store64_le(table + 4, (uint64_t)s->trigger_t[k]);
        table[12] = s->trigger_code[k];
        entry.first = SPKI_MIN(entry.first, s->trigger_t[k]);
        entry.last = SPKI_MAX(entry.last, s->trigger_t[k]);
    }
    s->trigger_count = 0;
    return spki_aedat4_put(w, s, &entry, s->tables.data, s->tables.size);
}

/* What has been gathered becomes packets. */
SPKI_FN bool spki_aedat4_emit(spk_event_writer *w, spki_aedat4_writer *s)
{
    spki_aedat4_entry entry;
    if (s->event_count > 0) {
        memset(&entry, 0, sizeof entry);
        spki_aedat4_packet_head(s->events.data, "EVTS", s->events.size, s->event_count);
        entry.count = s->event_count;
        entry.first = s->first;
        entry.last = s->last;
        s->event_count = 0;
        if (!spki_aedat4_put(w, s, &entry, s->events.data, s->events.size)) return false;
    }
    return spki_aedat4_emit_triggers(w, s);
}

/* -- events -- */

SPKI_FN void spki_aedat4_add(spki_aedat4_writer *s, const spk_event *e)
{
    uint8_t *p;
    if (e->kind == SPK_EVENT_TRIGGER) {
        s->trigger_t[s->trigger_count] = e->t_us;
        s->trigger_code[s->trigger_count++] = e->polarity ? 1 : 2;
        return;
    }
    if (s->event_count == 0) {
        s->first = s->last = e->t_us;
        s->events.size = SPKI_AEDAT4_EVENT_HEAD;
    }
    s->first = SPKI_MIN(s->first, e->t_us);
    s->last = SPKI_MAX(s->last, e->t_us);
    p = s->events.data + s->events.size;
    spki_store64_le(p, (uint64_t)e->t_us);
    spki_store32_le(p + 8, (uint32_t)e->x | (uint32_t)e->y << 16);
    spki_store32_le(p + 12, e->polarity ? 1 : 0);
    s->events.size += 16;
    s->event_count++;
}

/* Is the packet under way complete before this event? */
SPKI_INLINE bool spki_aedat4_full(const spki_aedat4_writer *s, const spk_event *e)
{
    if (s->event_count == SPKI_AEDAT4_EVENTS_MOST || s->trigger_count == SPKI_AEDAT4_TRIGGERS_MOST)
        return true;
    return s->event_count > 0 &&
           (e->t_us < s->first || (uint64_t)e->t_us - (uint64_t)s->first > SPKI_AEDAT4_SPAN_US);
}

SPKI_FN void spki_aedat4_encode(spk_event_writer *w, const spk_event *e, size_t count)
{
    spki_aedat4_writer *s = (spki_aedat4_writer *)w->state;
    size_t most = SPKI_AEDAT4_EVENT_HEAD + 16 * (size_t)SPKI_AEDAT4_EVENTS_MOST;
    if (!spki_bytes_reserve(&w->mem, &s->events, most)) {
        spki_writer_fail(w, SPK_ERR_OUT_OF_MEMORY, "no memory for a packet");
        return;
    }
    for (; count > 0; count--, e++) {
        bool trigger = e->kind == SPK_EVENT_TRIGGER;
        bool good = trigger || (e->kind == SPK_EVENT_CD && e->x <= 32767 && e->y <= 32767 &&
                                (w->desc.width == 0 || e->x < w->desc.width) &&
                                (w->desc.height == 0 || e->y < w->desc.height));
        if ((!good || spki_aedat4_full(s, e)) && !spki_aedat4_emit(w, s)) return;
        if (!good && (!spki_writer_cd(w, e) || !spki_writer_range(w, e, 32767, 32767))) return;
        spki_aedat4_add(s, e);
    }
}

/* -- the end -- */

/* The table of packets, and its place into the header. Without a file to go back in, there is none,
   and a reader goes on to the end of the stream. */
SPKI_FN void spki_aedat4_write_table(spk_event_writer *w, spki_aedat4_writer *s)
{
    static const uint16_t at[] = {4, 12, 20, 28, 36};
    size_t n = s->entries.size / sizeof(spki_aedat4_entry), k, first, done, size;
    uint64_t position = w->bytes + w->fill;
    const uint8_t *data;
    uint8_t word[8];
    first = spki_aedat4_tables(w, s, "FTAB", (uint32_t)n, at, 5, SPKI_AEDAT4_TABLE_ENTRY);
    if (first == 0) return;
    for (k = 0; k < n; k++) {
        uint8_t *p = s->tables.data + first + SPKI_AEDAT4_TABLE_ENTRY * k;
        spki_aedat4_entry entry;
        memcpy(&entry, s->entries.data + k * sizeof entry, sizeof entry);
        spki_store64_le(p + 4, entry.at);
        spki_store32_le(p + 12, entry.stream);
        spki_store32_le(p + 16, entry.size);
        spki_store64_le(p + 20, entry.count);
        spki_store64_le(p + 28, (uint64_t)entry.first);
        spki_store64_le(p + 36, (uint64_t)entry.last);
    }
    data = s->tables.data;
    size = s->tables.size;
    if (s->lz4) {
        if (!spki_aedat4_pack(w, s, data, size)) return;
        data = s->packed.data;
        size = s->packed.size;
    }
    for (done = 0; done < size;) {
        size_t part = SPKI_MIN(size - done, (size_t)65536);
        uint8_t *p = spki_writer_room(w, part);
        if (!p) return;
        memcpy(p, data + done, part);
        w->fill += part;
        done += part;
    }
    if (!spki_writer_flush(w)) return;
    spki_store64_le(word, position);
    errno = 0;
    if (fseek(w->file, SPKI_AEDAT4_POSITION_AT, SEEK_SET) != 0 ||
        fwrite(word, 1, sizeof word, w->file) != sizeof word)
        spki_writer_fail(w, SPK_ERR_IO, "the header cannot be written: %s", spki_file_why());
}

SPKI_FN void spki_aedat4_finish(spk_event_writer *w)
{
    spki_aedat4_writer *s = (spki_aedat4_writer *)w->state;
    if (spki_aedat4_emit(w, s) && w->file) spki_aedat4_write_table(w, s);
}

SPKI_FN void spki_aedat4_write_end(spk_event_writer *w)
{
    spki_aedat4_writer *s = (spki_aedat4_writer *)w->state;
    spki_bytes_free(&w->mem, &s->events);
    spki_bytes_free(&w->mem, &s->tables);
    spki_bytes_free(&w->mem, &s->packed);
    spki_bytes_free(&w->mem, &s->entries);
}

static const spki_encoder spki_aedat4_encoder = {
    SPK_FORMAT_AEDAT4, ".aedat4 ", sizeof(spki_aedat4_writer), spki_aedat4_write_head,
    spki_aedat4_encode, spki_aedat4_finish, spki_aedat4_write_end};

#endif
