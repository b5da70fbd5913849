/* ---- >>source: events as they come: sockets, and recordings played in time ---- */
#ifndef SPIKELIB_API_SOURCE_H
#define SPIKELIB_API_SOURCE_H

#include "event.h"
#include "pipeline.h"
#include "ring.h"

/* A source hands out events when they are there and never waits, so that one loop may serve a
   thousand of them:

       spk_source *camera = spk_source_open(&(spk_source_desc){ .port = 3333 });
       while (running) {
           spk_source_wait(&camera, 1, 0.1);
           spk_source_to_pipeline(camera, p, SPK_PRIORITY_NORMAL, 0);
       }
       spk_source_close(camera);

   Datagrams are received many at a time and decoded from the receive buffer straight into the room
   reserved in the ring, or in the pipeline; no event is copied after that. */

typedef enum spk_source_kind {
    SPK_SOURCE_UDP = 0,    /* receives on address and port */
    SPK_SOURCE_TCP = 1,    /* connects to address and port, and again when the connection is lost */
    SPK_SOURCE_REPLAY = 2, /* a recording, or a function, at the times of its events */
    SPK_SOURCE_KIND_FORCE_32_BIT = 0x7fffffff
} spk_source_kind;

/* What the bytes mean; all little-endian. Source: the packet layouts of SpiNNaker's spif (README of
   spiffer), of faery's UDP, and of cAER's network streams. */
typedef enum spk_wire {
    SPK_WIRE_SPIF = 0,   /* u32: 31 no time, 30..16 x, 15 polarity, 14..0 y; then u32 t unless 31 */
    SPK_WIRE_AER64 = 1,  /* u32 t, u16 x, u16 y << 1 | polarity */
    SPK_WIRE_AER104 = 2, /* u64 t, u16 x, u16 y, u8 polarity */
    SPK_WIRE_AEDAT3 = 3, /* 20 bytes of network header with a sequence number, AEDAT 3.1 packets */
    SPK_WIRE_FORCE_32_BIT = 0x7fffffff
} spk_wire;

typedef struct spk_source_desc {
    uint32_t begin_sentinel;     /* leave 0 */
    spk_source_kind kind;        /* default: SPK_SOURCE_UDP */
    spk_wire wire;               /* default: SPK_WIRE_SPIF */
    const char *address;         /* numeric IPv4; default: "127.0.0.1" */
    uint16_t port;               /* UDP: default: any free one (spk_source_port tells) */
    uint16_t source;             /* goes into the events; default: 0 */
    uint16_t width, height;      /* events outside are dropped and counted; default: no check */
    uint32_t receive_buffer;     /* bytes (SO_RCVBUF) to begin with; default: 262,144 */
    uint32_t receive_buffer_max; /* doubled up to this while the kernel drops; default: 8 MB */
    uint32_t datagrams;          /* received at a time, at most 256; default: 64 */
    uint32_t backoff_us;         /* before connecting again, doubled each time; default: 100,000 */
    uint32_t backoff_max_us;     /* default: 5 s */
    uint32_t attempts;           /* in a row that fail before it gives up; default: never */
    double jitter;               /* random part of a delay; default: 0.5; below 0: none */
    uint64_t seed;               /* of the jitter; default: 0 */
    spk_events *recording;       /* replay: from here, ... */
    size_t (*read)(void *ctx, spk_event *out, size_t capacity); /* ... or from here: 0 ends it */
    void *read_ctx;
    double speed;                /* replay: default: 1 (real time); below 0: without waiting */
    spk_clock clock;             /* default: a monotonic clock */
    spk_allocator allocator;     /* default: malloc and free */
    size_t memory_limit;         /* default: none */
    uint32_t end_sentinel;       /* leave 0 */
} spk_source_desc;

typedef struct spk_source spk_source;

/* A source, or NULL without memory. Whatever is wrong is remembered; reading gives nothing then.
   Thread: one at a time for each source. Ownership: the caller's; a recording stays the caller's.
   Cost: takes all its memory here. Errors (status): range, sentinels, io (an address that is no
   address, or a port that is taken), unsupported (SPIKELIB_NO_SOCKETS, or Windows so far). */
SPIKELIB_API spk_source *spk_source_open(const spk_source_desc *desc);
SPIKELIB_API void spk_source_close(spk_source *s);
/* SPK_OK: at work. SPK_ERR_AGAIN: not connected, tries again by itself. SPK_ERR_CLOSED: it has come
   to its end. Others: see open. The sentence names address and cause; "" if there is none. */
SPIKELIB_API spk_result spk_source_status(const spk_source *s);
SPIKELIB_API const char *spk_source_error(const spk_source *s);
/* The port it receives on (UDP). */
SPIKELIB_API uint16_t spk_source_port(const spk_source *s);

/* The events that are there now, at most `capacity`; never waits. 0: none now; see the status. */
SPIKELIB_API size_t spk_source_read(spk_source *s, spk_event *out, size_t capacity);
/* The same into the room that a ring (of 16-byte items) has, or into blocks of a pipeline, until
   there is nothing more or no room; returns how many. What finds no room stays in the socket. */
SPIKELIB_API size_t spk_source_to_ring(spk_source *s, spk_ring *ring);
SPIKELIB_API size_t spk_source_to_pipeline(spk_source *s, spk_pipeline *p, spk_priority priority,
                                           uint64_t key);
/* Waits until one of at most 1,024 sources may have something. Errors: timeout, range, NULL. */
SPIKELIB_API spk_result spk_source_wait(spk_source *const *sources, size_t count, double timeout_s);

typedef struct spk_source_stats {
    uint64_t events, bytes, datagrams;
    uint64_t lost_datagrams; /* gaps in sequence numbers (AEDAT3 over UDP) */
    uint64_t lost_in_kernel; /* datagrams for which the receive buffer was full (Linux) */
    uint64_t truncated;      /* datagrams, or streams, that ended within an event */
    uint64_t garbage;        /* datagrams, or streams, that are not what they should be */
    uint64_t outside;        /* events outside width x height */
    uint64_t connects, failures, losses; /* TCP: made, refused, broken */
    uint32_t receive_buffer; /* bytes now, as the system counts them */
    uint32_t batch;          /* datagrams at a time now */
    bool connected, ended;
} spk_source_stats;
SPIKELIB_API spk_result spk_source_get_stats(const spk_source *s, spk_source_stats *stats);

/* Bytes of up to `count` events, as far as they fit; *used: how many of them. `t` of SPIF with
   times. `state` counts AEDAT3's sequence numbers; else it may be NULL. */
SPIKELIB_API size_t spk_wire_encode(spk_wire wire, const spk_event *events, size_t count,
                                    void *bytes, size_t size, size_t *used, uint64_t *state);

/* Sends events as datagrams, `per_datagram` bytes each at most (default: 512). For tests, examples
   and bridges. Errors: as spk_source_open. */
typedef struct spk_sender spk_sender;
SPIKELIB_API spk_sender *spk_sender_open(const char *address, uint16_t port, spk_wire wire,
                                         uint32_t per_datagram);
SPIKELIB_API void spk_sender_close(spk_sender *s);
SPIKELIB_API spk_result spk_sender_status(const spk_sender *s);
SPIKELIB_API const char *spk_sender_error(const spk_sender *s);
/* Returns how many events were handed to the system. */
SPIKELIB_API size_t spk_sender_send(spk_sender *s, const spk_event *events, size_t count);

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_source *spk_source_open(const spk_source_desc &desc)
{
    return spk_source_open(&desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
