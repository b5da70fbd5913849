/* ---- >>event: event-camera files and streams, any format in, any format out ---- */
#ifndef SPIKELIB_API_EVENT_H
#define SPIKELIB_API_EVENT_H

#include "base.h"

/* What a place of an event stream holds. Filters and networks act on CD (contrast detection) and
   let the others pass. */
typedef enum spk_event_kind {
    SPK_EVENT_CD = 0,      /* a pixel saw its contrast change */
    SPK_EVENT_TRIGGER = 1, /* external signal: x is the channel, polarity the edge (1: rising) */
    SPK_EVENT_OTHER = 2,   /* a record without a polarity (ES generic and colour) */
    SPK_EVENT_KIND_FORCE_32_BIT = 0x7fffffff
} spk_event_kind;

typedef struct spk_event {
    int64_t t_us;     /* microseconds; 64 bits, so that no counter of a camera wraps here */
    uint16_t x, y;    /* x to the right, y downwards, from 0 */
    uint8_t polarity; /* 1: ON, more light */
    uint8_t kind;     /* spk_event_kind */
    uint16_t source;  /* number of the camera or stream; 0 by default */
} spk_event;

/* -- what comes beside the events, through callbacks -- */

typedef struct spk_trigger {
    int64_t t_us;
    uint16_t channel, source;
    uint8_t edge;  /* 1: rising, or the signal is high */
    uint8_t pulse; /* 1: a pulse, which has no edge */
    uint16_t code; /* the format's own number of the type (AEDAT 3.1, AEDAT4), else 0 */
} spk_trigger;

typedef struct spk_imu {
    int64_t t_us;
    float accel_g[3], gyro_dps[3], mag_ut[3], temperature_c; /* NaN: not measured */
    int16_t raw[6]; /* samples as sent, where no unit is known (EVT2); else 0 */
    uint16_t source, reserved;
} spk_imu;

typedef struct spk_frame {
    int64_t t_us, start_us, end_us, exposure_start_us, exposure_end_us;
    uint16_t x, y, width, height; /* position on the sensor, size in pixels */
    uint16_t channels;            /* 1: grey, 3: BGR or RGB as `code` says, 4: with alpha */
    uint16_t sample_bytes;        /* of a channel: 1, or 2 (in the machine's byte order) */
    uint16_t source, code;        /* the format's own number of the pixel format */
    const void *pixels;           /* row by row, without gaps */
    size_t size;                  /* bytes */
} spk_frame;

/* What fits none of the above. */
typedef enum spk_extra_kind {
    SPK_EXTRA_COUNTER = 0,  /* a camera's own counter: `code` its number, `bytes` a uint32_t */
    SPK_EXTRA_GENERIC = 1,  /* ES generic: bytes of the writer's own */
    SPK_EXTRA_COLOUR = 2,   /* ES colour: r, g, b */
    SPK_EXTRA_EXPOSURE = 3, /* ATIS threshold crossing: 1 byte, 0 the first, 1 the second */
    SPK_EXTRA_FLOW = 4,     /* DAT optical flow: four floats vx, vy, cx, cy and a uint32_t id */
    SPK_EXTRA_SPECIAL = 5,  /* AEDAT 3.1 special event that is no trigger: `code` its type */
    SPK_EXTRA_ADDRESS = 6,  /* AEDAT 2 sample of a frame or IMU: the address, a uint32_t */
    SPK_EXTRA_KIND_FORCE_32_BIT = 0x7fffffff
} spk_extra_kind;

typedef struct spk_extra {
    int64_t t_us;
    uint16_t x, y, source, code;
    spk_extra_kind kind;
    const void *bytes;
    size_t size;
} spk_extra;

/* Called in the order of the stream, from within the call that reads. Ownership: what they point
   to is valid during the call. A NULL function means that nobody wants these; they are counted. */
typedef struct spk_event_callbacks {
    void *ctx;
    void (*trigger)(void *ctx, const spk_trigger *trigger);
    void (*imu)(void *ctx, const spk_imu *imu);
    void (*frame)(void *ctx, const spk_frame *frame);
    void (*extra)(void *ctx, const spk_extra *extra);
} spk_event_callbacks;

/* -- formats -- */

/* Number, enumerator, name. */
#define SPIKELIB_EVENT_FORMATS(X)                                                                  \
    X(0, SPK_FORMAT_AUTO, "auto")                                                                  \
    X(1, SPK_FORMAT_EVT2, "evt2")                                                                  \
    X(2, SPK_FORMAT_EVT21, "evt21")                                                                \
    X(3, SPK_FORMAT_EVT3, "evt3")                                                                  \
    X(4, SPK_FORMAT_EVT4, "evt4")                                                                  \
    X(5, SPK_FORMAT_DAT, "dat")                                                                    \
    X(6, SPK_FORMAT_ES, "es")                                                                      \
    X(7, SPK_FORMAT_NMNIST, "nmnist")                                                              \
    X(8, SPK_FORMAT_AEDAT2, "aedat2")                                                              \
    X(9, SPK_FORMAT_AEDAT3, "aedat3")                                                              \
    X(10, SPK_FORMAT_AEDAT4, "aedat4")                                                             \
    X(11, SPK_FORMAT_TEXT, "text")                                                                 \
    X(12, SPK_FORMAT_CSV, "csv")                                                                   \
    X(13, SPK_FORMAT_NPY, "npy")                                                                   \
    X(14, SPK_FORMAT_SONATA, "sonata")                                                             \
    X(15, SPK_FORMAT_HDF5, "hdf5")                                                                 \
    X(16, SPK_FORMAT_SPIKES, "spikes")

typedef enum spk_event_format {
#define SPKI_FORMAT_ENUM(number, enumerator, name) enumerator = number,
    SPIKELIB_EVENT_FORMATS(SPKI_FORMAT_ENUM)
#undef SPKI_FORMAT_ENUM
        SPK_FORMAT_FORCE_32_BIT = 0x7fffffff
} spk_event_format;

/* "evt3", and back (SPK_FORMAT_AUTO if there is none of that name). Thread: any. */
SPIKELIB_API const char *spk_event_format_name(spk_event_format format);
SPIKELIB_API spk_event_format spk_event_format_from_name(const char *name);
/* Can this build read it, write it? Thread: any. */
SPIKELIB_API bool spk_event_format_readable(spk_event_format format);
SPIKELIB_API bool spk_event_format_writable(spk_event_format format);

/* -- reading -- */

/* Of the times in text and NPY. */
typedef enum spk_time_unit {
    SPK_TIME_AUTO = 0, /* as the column's name says ("t_ms"); seconds if they have a fraction, else
                          microseconds; SONATA: milliseconds */
    SPK_TIME_S = 1,
    SPK_TIME_MS = 2,
    SPK_TIME_US = 3,
    SPK_TIME_NS = 4,
    SPK_TIME_UNIT_FORCE_32_BIT = 0x7fffffff
} spk_time_unit;

typedef struct spk_events_desc {
    uint32_t begin_sentinel;       /* leave 0 */
    spk_event_format format;       /* default: by the content, then by the name */
    uint32_t width, height;        /* default: what the file says; given here, they win */
    uint16_t source;               /* what every event carries; default: 0 */
    bool shift_time;               /* time begins at 0: at the first TIME_HIGH of an EVT stream,
                                      at the first event of any other */
    bool triggers_in_stream;       /* triggers also come as events of kind SPK_EVENT_TRIGGER */
    bool as_stored;                /* leave x and y as stored where a format's origin is not the
                                      upper left (ES, AEDAT 2) */
    bool evt21_legacy;             /* EVT2.1 in the old word order, where no header says it */
    spk_time_unit time_unit;       /* default: SPK_TIME_AUTO */
    const char *columns;           /* text, CSV, NPY: "t x y p" in their order, "-" for one of no
                                      interest; "t node" for spikes of neurons, which come as
                                      x | y << 16; default: a line of names, or as they look */
    bool strict;                   /* an error where the stream breaks its format's rules, instead
                                      of going on and counting a violation */
    spk_event_callbacks callbacks; /* default: none */
    spk_isa isa;                   /* default: SPK_ISA_AUTO */
    spk_allocator allocator;       /* default: malloc and free */
    size_t memory_limit;           /* bytes in all; default: no limit */
    uint32_t end_sentinel;         /* leave 0 */
} spk_events_desc;

/* So far. Bytes that made no sense are skipped, counted, and never taken for events. */
typedef struct spk_event_stats {
    spk_event_format format;
    uint32_t width, height;   /* of the sensor; 0: the stream does not say */
    uint64_t events, on, off; /* given out; triggers are not among them */
    uint64_t triggers, imu, frames, extras;
    uint64_t bytes, bytes_skipped; /* taken in; of these, such that no known record holds them */
    uint64_t dropped;              /* events before the first time, or outside of the sensor */
    uint64_t violations;           /* time running back in the stream's own clock, broken records */
    int64_t t_first_us, t_last_us; /* of the events; 0 while there is none */
} spk_event_stats;

typedef struct spk_events spk_events;

/* A file of events, to be read from its beginning. NULL `desc`: all defaults. What is wrong (no
   such file, no known format, a bad descriptor) is remembered: spk_events_status, spk_events_error.
   NULL only without memory. Files may be larger than memory. Thread: one reader, one thread at a
   time. Ownership: the caller's, until spk_events_close; `path` is copied. */
SPIKELIB_API spk_events *spk_events_open(const char *path, const spk_events_desc *desc);
/* The same from memory. Ownership: `data` stays the caller's and valid until the close. */
SPIKELIB_API spk_events *spk_events_open_memory(const void *data, size_t size,
                                                const spk_events_desc *desc);
/* The next events, in the order of the file: as many as fit, or fewer; 0 at the end, or when
   something is wrong, which spk_events_status tells. What was read before an error is right.
   Cost: allocates nothing but where a format is compressed; a capacity of 4,096 is a good one. */
SPIKELIB_API size_t spk_events_read(spk_events *in, spk_event *out, size_t capacity);
/* SPK_OK while nothing went wrong, the end included; a sentence that names the file, the byte and
   what was wrong there, "" if nothing was. Ownership: the reader's, until the next call. */
SPIKELIB_API spk_result spk_events_status(const spk_events *in);
SPIKELIB_API const char *spk_events_error(const spk_events *in);
/* Format and size are known from the first read on. Errors: NULL. */
SPIKELIB_API spk_result spk_events_get_stats(const spk_events *in, spk_event_stats *stats);
/* NULL is fine. */
SPIKELIB_API void spk_events_close(spk_events *in);

/* -- decoding bytes as they come -- */

typedef struct spk_decoder spk_decoder;

/* Decodes a stream that arrives in pieces, cut anywhere: the same events as from a file. Where no
   format is given, up to 4,096 bytes are gathered until the content tells it. A stream without a
   header had better have `format`: of those only Prophesee's words are told, by their times.
   Errors, Thread, Ownership: as spk_events_open. */
SPIKELIB_API spk_decoder *spk_decoder_create(const spk_events_desc *desc);
/* Hands over the next bytes, which are then read with spk_decoder_read until that returns 0; till
   then they stay the caller's and valid. Errors: SPK_ERR_STATE while earlier bytes are unread or
   after spk_decoder_finish; NULL; what went wrong before. */
SPIKELIB_API spk_result spk_decoder_feed(spk_decoder *decoder, const void *data, size_t size);
/* The next events: as many as fit, or fewer; 0 when all bytes fed are used up, or on an error. */
SPIKELIB_API size_t spk_decoder_read(spk_decoder *decoder, spk_event *out, size_t capacity);
/* No more bytes follow; read on until 0. An unfinished record at the end counts as skipped. */
SPIKELIB_API spk_result spk_decoder_finish(spk_decoder *decoder);
/* Bytes were lost, or the stream goes on elsewhere: forgets the unfinished record, and waits for
   the next time stamp before it gives out events again. Wraps seen so far stay counted. */
SPIKELIB_API spk_result spk_decoder_resync(spk_decoder *decoder);
SPIKELIB_API spk_result spk_decoder_status(const spk_decoder *decoder);
SPIKELIB_API const char *spk_decoder_error(const spk_decoder *decoder);
SPIKELIB_API spk_result spk_decoder_get_stats(const spk_decoder *decoder, spk_event_stats *stats);
/* NULL is fine. */
SPIKELIB_API void spk_decoder_destroy(spk_decoder *decoder);

/* -- writing -- */

typedef struct spk_event_writer_desc {
    uint32_t begin_sentinel; /* leave 0 */
    spk_event_format format; /* default: by the name's ending */
    uint32_t width, height;  /* of the sensor; default: not written, and an error of formats that
                                cannot do without (ES) */
    bool no_vectors;         /* EVT3: every event by itself */
    bool as_stored;          /* y of the events runs upwards, as ES has it */
    bool lz4;                /* AEDAT4, spike files: compressed (SPIKELIB_LZ4) */
    double dt_ms;            /* spike files: the events are spikes of neurons (x | y << 16, as they
                                are read from SONATA), kept in steps of this; default: events */
    /* Where the bytes go instead of a file (the path is then NULL, the format given). Returns how
       many it took; fewer than `size` is an error. default: a file */
    size_t (*write)(void *ctx, const void *data, size_t size);
    void *write_ctx;
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_event_writer_desc;

typedef struct spk_event_writer spk_event_writer;

/* A new file of events; one that is there is replaced. NULL `desc`: all defaults. What is wrong is
   remembered (spk_event_writer_status); NULL only without memory. Thread: one writer, one thread at
   a time. Ownership: the caller's, until spk_event_writer_close. */
SPIKELIB_API spk_event_writer *spk_event_writer_open(const char *path,
                                                     const spk_event_writer_desc *desc);
/* Appends events; they are buffered. Errors: an event that the format cannot hold (a coordinate or
   a time out of its range, a time that runs back, a trigger where there are none): named with its
   number in the stream, and what came before it is written; a full disk: the file is cut after the
   last whole block, and the sentence says how many events it holds. Later calls return the same. */
SPIKELIB_API spk_result spk_event_writer_write(spk_event_writer *writer, const spk_event *events,
                                               size_t count);
/* Writes what is buffered, and what the format wants at its end. Nothing can be appended then. */
SPIKELIB_API spk_result spk_event_writer_finish(spk_event_writer *writer);
SPIKELIB_API spk_result spk_event_writer_status(const spk_event_writer *writer);
SPIKELIB_API const char *spk_event_writer_error(const spk_event_writer *writer);
/* Events that the operating system (or `write`) has taken. */
SPIKELIB_API uint64_t spk_event_writer_written(const spk_event_writer *writer);
/* Finishes it, if that was not done, and frees it. Call spk_event_writer_finish first to learn
   whether all could be written. NULL is fine. */
SPIKELIB_API void spk_event_writer_close(spk_event_writer *writer);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_events *spk_events_open(const char *path, const spk_events_desc &desc)
{
    return spk_events_open(path, &desc);
}
SPKI_OVERLOAD spk_events *spk_events_open_memory(const void *data, size_t size,
                                                 const spk_events_desc &desc)
{
    return spk_events_open_memory(data, size, &desc);
}
SPKI_OVERLOAD spk_decoder *spk_decoder_create(const spk_events_desc &desc)
{
    return spk_decoder_create(&desc);
}
SPKI_OVERLOAD spk_event_writer *spk_event_writer_open(const char *path,
                                                      const spk_event_writer_desc &desc)
{
    return spk_event_writer_open(path, &desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
