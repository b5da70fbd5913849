/* ---- >>source-read: sources: replay, UDP, TCP with reconnection ---- */
#ifndef SPIKELIB_PIPELINE_SOURCE_H
#define SPIKELIB_PIPELINE_SOURCE_H

#include "../core/alloc.h"
#include "../core/clock.h"
#include "policy.h"
#include "socket.h"
#include "state.h"
#include "wire.h"

#define SPKI_REPLAY_EVENTS 4096u
#define SPKI_STREAM_BYTES 65536u
#define SPKI_SOURCES 1024u

typedef enum spki_link { SPKI_LINK_NONE, SPKI_LINK_CONNECTING, SPKI_LINK_UP } spki_link;

struct spk_source {
    spki_mem mem;
    spk_source_desc desc; /* defaults filled in */
    char address[64];
    spk_result status;
    char error[200];
    spki_wire wire;
    spk_source_stats stats;
    /* replay */
    spk_event *ahead; /* read from the recording, not due yet */
    size_t ahead_at, ahead_count;
    bool begun, over; /* the first event has been seen; the recording has no more */
    int64_t start_ns, first_us;
    /* sockets */
    int fd;
    spki_link link;
    uint32_t tries;
    int64_t retry_ns;
    bool greeted;         /* AEDAT3: has seen the header of the connection */
    uint64_t sequence;    /* AEDAT3: number of the next datagram */
    unsigned char *bytes; /* of a stream, [from, to) */
    size_t from, to;
#if !defined(SPIKELIB_NO_SOCKETS)
    spki_datagrams datagrams;
#endif
};

SPKI_FN void spki_source_say(spk_source *s, spk_result status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

SPKI_FN void spki_source_say(spk_source *s, spk_result status, const char *format, ...)
{
    va_list args;
    s->status = status;
    va_start(args, format);
    vsnprintf(s->error, sizeof s->error, format, args);
    va_end(args);
}

SPKI_FN int64_t spki_source_now(const spk_source *s)
{
    return s->desc.clock.now_ns(s->desc.clock.ctx);
}

/* -- replay -- */

SPKI_FN size_t spki_replay_pull(spk_source *s, spk_event *out, size_t capacity)
{
    size_t n = s->desc.read ? s->desc.read(s->desc.read_ctx, out, capacity)
                            : spk_events_read(s->desc.recording, out, capacity);
    size_t k;
    if (n == 0) s->over = true;
    for (k = 0; s->desc.source && k < n; k++) out[k].source = s->desc.source;
    return n;
}

SPKI_FN void spki_replay_end(spk_source *s)
{
    const char *why = s->desc.recording ? spk_events_error(s->desc.recording) : "";
    s->stats.ended = true;
    if (s->desc.recording && spk_events_status(s->desc.recording) != SPK_OK)
        spki_source_say(s, spk_events_status(s->desc.recording), "replay: %.150s", why);
    else
        spki_source_say(s, SPK_ERR_CLOSED, "replay: the recording is over");
}

/* When an event is due. */
SPKI_FN int64_t spki_replay_due(const spk_source *s, int64_t t_us)
{
    return s->start_ns + (int64_t)(1e3 * (double)(t_us - s->first_us) / s->desc.speed);
}

/* In time: from what was read ahead, as far as it is due. An event that steps back is due with the
   one before it. Without waiting: straight into `out`. */
SPKI_FN size_t spki_replay_read(spk_source *s, spk_event *out, size_t capacity)
{
    size_t n = 0;
    int64_t now;
    if (s->desc.speed < 0.0) {
        n = spki_replay_pull(s, out, capacity);
        if (n == 0) spki_replay_end(s);
        return n;
    }
    if (s->ahead_at == s->ahead_count && !s->over) {
        s->ahead_count = spki_replay_pull(s, s->ahead, SPKI_REPLAY_EVENTS);
        s->ahead_at = 0;
    }
    if (s->ahead_at == s->ahead_count) {
        spki_replay_end(s);
        return 0;
    }
    now = spki_source_now(s);
    if (!s->begun) {
        s->begun = true;
        s->start_ns = now;
        s->first_us = s->ahead[0].t_us;
    }
    while (n < capacity && s->ahead_at < s->ahead_count &&
           spki_replay_due(s, s->ahead[s->ahead_at].t_us) <= now)
        out[n++] = s->ahead[s->ahead_at++];
    return n;
}

#if !defined(SPIKELIB_NO_SOCKETS)
/* -- UDP -- */

SPKI_FN void spki_udp_open(spk_source *s)
{
    struct sockaddr_in at;
    (void)spki_socket_address(s->address, s->desc.port, &at);
    s->fd = spki_socket_open(true);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, sizeof at) != 0) {
        spki_source_say(s, SPK_ERR_IO, "udp %s:%u: %s", s->address, s->desc.port, strerror(errno));
        return;
    }
    s->stats.receive_buffer = spki_socket_buffer(s->fd, s->desc.receive_buffer);
    spki_datagrams_option(&s->datagrams, s->fd);
    s->stats.connected = true;
}

/* The kernel has dropped datagrams: it gets a larger buffer. */
SPKI_FN void spki_udp_adapt(spk_source *s)
{
    uint64_t lost = s->datagrams.dropped - (uint32_t)s->stats.lost_in_kernel;
    s->stats.batch = s->datagrams.wanted;
    if ((uint32_t)lost == 0) return;
    s->stats.lost_in_kernel += (uint32_t)lost;
    if (s->desc.receive_buffer >= s->desc.receive_buffer_max) return;
    s->desc.receive_buffer = SPKI_MIN(2 * s->desc.receive_buffer, s->desc.receive_buffer_max);
    s->stats.receive_buffer = spki_socket_buffer(s->fd, s->desc.receive_buffer);
}

/* The header of an AEDAT3 datagram. Bit 63 of the number marks the first part of a packet; what
   follows a gap, up to the next first part, belongs to nothing. False: throw it away. */
SPKI_FN bool spki_udp_greet(spk_source *s, const unsigned char *bytes, size_t size)
{
    uint64_t number;
    bool first;
    if (size < SPKI_AEDAT3_NETWORK || spki_wire_get(bytes, 8) != SPKI_AEDAT3_MAGIC ||
        bytes[16] != 1) {
        s->stats.garbage++;
        return false;
    }
    number = spki_wire_get(bytes + 8, 8);
    first = number >> 63 != 0;
    number &= ~((uint64_t)1 << 63);
    if (s->greeted && number > s->sequence) s->stats.lost_datagrams += number - s->sequence;
    if (!first && (!s->greeted || number != s->sequence)) s->wire.damaged = true;
    s->greeted = true;
    s->sequence = number + 1;
    if (first) { /* a new packet, whatever became of the last one */
        s->wire.damaged = false;
        s->wire.packet_left = s->wire.skip = 0;
        s->to = 0;
    }
    return !s->wire.damaged;
}

/* A new datagram: its bytes begin at `from` in its room. */
SPKI_FN bool spki_udp_begin(spk_source *s, const unsigned char *bytes, uint32_t size)
{
    s->stats.datagrams++;
    s->stats.bytes += size;
    s->from = 0;
    if (s->datagrams.cut[s->datagrams.at]) s->stats.truncated++;
    if (s->wire.kind != SPK_WIRE_AEDAT3) return true;
    s->from = SPKI_AEDAT3_NETWORK;
    return spki_udp_greet(s, bytes, size);
}

/* What is left of a datagram that does not make an event. A part of an AEDAT3 packet may end within
   one, and goes on in the next datagram: its bytes (`bytes` of them) wait at the beginning of it.
 */
SPKI_FN void spki_udp_rest(spk_source *s, const unsigned char *rest, size_t size)
{
    if (s->wire.kind == SPK_WIRE_AEDAT3) {
        if (s->wire.damaged)
            s->stats.garbage++;
        else if (size > 0 && size < 8 && s->wire.packet_left) {
            memcpy(s->bytes, rest, size);
            s->to = size;
            return;
        }
        s->to = 0;
        if (size > 0 && !s->wire.damaged) s->stats.truncated++;
        return;
    }
    if (size > 0) s->stats.truncated++;
}

/* The event that two parts of a packet share. */
SPKI_FN size_t spki_udp_join(spk_source *s, const unsigned char *bytes, uint32_t size,
                             spk_event *out)
{
    size_t need = 8 - s->to, used = 0, n;
    if (s->to == 0 || s->to >= 8 || size - s->from < need) return 0;
    memcpy(s->bytes + s->to, bytes + s->from, need);
    s->from += need;
    n = spki_wire_decode(&s->wire, s->bytes, 8, out, 1, &used);
    s->to = 0;
    return n;
}

/* Decodes from the datagrams received, straight into `out`; receives more when they are used up. */
SPKI_FN size_t spki_udp_read(spk_source *s, spk_event *out, size_t capacity)
{
    spki_datagrams *d = &s->datagrams;
    size_t n = 0, used;
    int error = 0;
    while (n < capacity) {
        const unsigned char *bytes;
        uint32_t size;
        if (d->at == d->count) {
            spki_datagrams_receive(d, s->fd, &error);
            spki_udp_adapt(s);
            s->wire.now_us = spki_source_now(s) / 1000;
            s->from = SIZE_MAX;
            if (d->count == 0) break;
        }
        bytes = d->bytes + (size_t)d->at * SPKI_DATAGRAM;
        size = d->size[d->at];
        if (s->from == SIZE_MAX && !spki_udp_begin(s, bytes, size)) {
            d->at++;
            s->from = SIZE_MAX;
            continue;
        }
        n += spki_udp_join(s, bytes, size, out + n);
        if (n == capacity) break;
        n += spki_wire_decode(&s->wire, bytes + s->from, size - s->from, out + n, capacity - n,
                              &used);
        s->from += used;
        if (n == capacity && s->from < size) break;
        spki_udp_rest(s, bytes + s->from, size - s->from);
        d->at++;
        s->from = SIZE_MAX;
    }
    return n;
}

/* -- TCP -- */

SPKI_FN void spki_tcp_drop(spk_source *s, const char *why)
{
    int64_t wait;
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
    s->link = SPKI_LINK_NONE;
    s->stats.connected = false;
    s->tries++;
    if (s->desc.attempts && s->tries >= s->desc.attempts) {
        s->stats.ended = true;
        spki_source_say(s, SPK_ERR_CLOSED, "tcp %s:%u: %s; gave up after %u attempts", s->address,
                        s->desc.port, why, s->tries);
        return;
    }
    wait =
        spki_backoff_ns((int64_t)s->desc.backoff_us * 1000, (int64_t)s->desc.backoff_max_us * 1000,
                        (uint32_t)(s->desc.jitter * 65536.0), s->tries,
                        s->stats.failures + s->stats.losses, s->desc.port, s->desc.seed);
    s->retry_ns = spki_source_now(s) + wait;
    spki_source_say(s, SPK_ERR_AGAIN, "tcp %s:%u: %s (attempt %u; the next in %.3f s)", s->address,
                    s->desc.port, why, s->tries, 1e-9 * (double)wait);
}

SPKI_FN void spki_tcp_refused(spk_source *s, int error)
{
    s->stats.failures++;
    spki_tcp_drop(s, strerror(error));
}

SPKI_FN void spki_tcp_lost(spk_source *s, const char *why)
{
    s->stats.losses++;
    spki_tcp_drop(s, why);
}

SPKI_FN void spki_tcp_up(spk_source *s)
{
    s->link = SPKI_LINK_UP;
    s->stats.connects++;
    s->stats.connected = true;
    s->greeted = false;
    s->from = s->to = 0;
    s->wire.packet_left = s->wire.skip = 0;
    s->wire.damaged = false;
    s->status = SPK_OK;
    s->error[0] = 0;
}

SPKI_FN void spki_tcp_connect(spk_source *s)
{
    struct sockaddr_in at;
    int state;
    if (s->link == SPKI_LINK_NONE) {
        if (spki_source_now(s) < s->retry_ns) return;
        (void)spki_socket_address(s->address, s->desc.port, &at);
        s->fd = spki_socket_open(false);
        if (s->fd < 0) {
            spki_tcp_refused(s, errno);
            return;
        }
        s->stats.receive_buffer = spki_socket_buffer(s->fd, s->desc.receive_buffer);
        s->link = SPKI_LINK_CONNECTING;
        if (connect(s->fd, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS &&
            errno != EINTR) {
            spki_tcp_refused(s, errno);
            return;
        }
    }
    state = spki_socket_connected(s->fd);
    if (state < 0)
        spki_tcp_refused(s, -state);
    else if (state > 0)
        spki_tcp_up(s);
}

/* Fills the buffer behind what is left of the last event; 0 from the peer ends the connection. */
SPKI_FN bool spki_tcp_receive(spk_source *s)
{
    long got;
    if (s->from > 0) memmove(s->bytes, s->bytes + s->from, s->to - s->from);
    s->to -= s->from;
    s->from = 0;
    if (s->to == SPKI_STREAM_BYTES) return true;
    got = (long)recv(s->fd, s->bytes + s->to, SPKI_STREAM_BYTES - s->to, 0);
    if (got > 0) {
        s->to += (size_t)got;
        s->stats.bytes += (uint64_t)got;
        s->tries = 0;
        return true;
    }
    if (got < 0 && spki_socket_would_wait(errno)) return false;
    if (s->to > 0) s->stats.truncated++;
    spki_tcp_lost(s, got == 0 ? "the other side has closed it" : strerror(errno));
    return false;
}

/* The 20 bytes that an AEDAT3 stream begins with. */
SPKI_FN bool spki_tcp_greet(spk_source *s)
{
    if (s->wire.kind != SPK_WIRE_AEDAT3 || s->greeted) return true;
    if (s->to - s->from < SPKI_AEDAT3_NETWORK) return false;
    s->greeted = true;
    if (spki_wire_get(s->bytes + s->from, 8) != SPKI_AEDAT3_MAGIC) {
        s->wire.damaged = true;
        return true;
    }
    s->from += SPKI_AEDAT3_NETWORK;
    return true;
}

SPKI_FN size_t spki_tcp_read(spk_source *s, spk_event *out, size_t capacity)
{
    size_t n = 0, used, was;
    if (s->link != SPKI_LINK_UP) spki_tcp_connect(s);
    while (s->link == SPKI_LINK_UP && n < capacity) {
        was = s->to - s->from;
        if (spki_tcp_greet(s)) {
            n += spki_wire_decode(&s->wire, s->bytes + s->from, s->to - s->from, out + n,
                                  capacity - n, &used);
            s->from += used;
        }
        if (s->wire.damaged) {
            s->stats.garbage++;
            spki_tcp_lost(s, "what comes is no AEDAT 3.1 stream");
            break;
        }
        if (n == capacity) break;
        if (was == s->to - s->from || s->from == s->to || s->to - s->from < 64) {
            if (!spki_tcp_receive(s)) break;
            s->wire.now_us = spki_source_now(s) / 1000;
        }
    }
    return n;
}
#endif

/* -- any of them -- */

SPKI_FN spk_result spki_source_bad(spk_source *s, const char *field, double value)
{
    spki_source_say(s, SPK_ERR_RANGE, "open: %s = %g is out of range", field, value);
    return s->status;
}

SPKI_FN void spki_source_defaults(spk_source_desc *d)
{
    if (!d->address) d->address = "127.0.0.1";
    if (!d->receive_buffer) d->receive_buffer = 262144;
    if (!d->receive_buffer_max) d->receive_buffer_max = 8u << 20;
    if (!d->datagrams) d->datagrams = 64;
    if (!d->backoff_us) d->backoff_us = 100000;
    if (!d->backoff_max_us) d->backoff_max_us = 5000000;
    d->jitter = d->jitter == 0.0 ? 0.5 : d->jitter < 0.0 ? 0.0 : d->jitter;
    if (d->speed == 0.0) d->speed = 1.0;
    if (!d->clock.now_ns) d->clock.now_ns = spki_default_now;
}

SPKI_FN spk_result spki_source_check(spk_source *s)
{
    const spk_source_desc *d = &s->desc;
    if ((uint32_t)d->kind > 2) return spki_source_bad(s, "kind", (double)d->kind);
    if ((uint32_t)d->wire > 3) return spki_source_bad(s, "wire", (double)d->wire);
    if (d->datagrams > 256) return spki_source_bad(s, "datagrams", d->datagrams);
    if (!(d->jitter <= 1.0)) return spki_source_bad(s, "jitter", d->jitter);
    if (!(d->speed >= -1e9 && d->speed <= 1e9)) return spki_source_bad(s, "speed", d->speed);
    if (d->kind == SPK_SOURCE_REPLAY) {
        if (d->recording || d->read) return SPK_OK;
        spki_source_say(s, SPK_ERR_NULL, "open: a replay needs a recording, or a read function");
        return s->status;
    }
#if defined(SPIKELIB_NO_SOCKETS)
    spki_source_say(s, SPK_ERR_UNSUPPORTED, "open: this build has no sockets");
    return s->status;
#else
    {
        struct sockaddr_in at;
        if (!spki_socket_address(s->address, d->port, &at)) {
            spki_source_say(s, SPK_ERR_IO, "open: \"%s\" is no numeric IPv4 address", s->address);
            return s->status;
        }
        if (d->kind == SPK_SOURCE_TCP && d->port == 0) return spki_source_bad(s, "port", 0.0);
        return SPK_OK;
    }
#endif
}

SPKI_FN void spki_source_release(spk_source *s)
{
    spki_free(&s->mem, s->ahead, SPKI_REPLAY_EVENTS, sizeof(spk_event));
    spki_free(&s->mem, s->bytes, SPKI_STREAM_BYTES, 1);
#if !defined(SPIKELIB_NO_SOCKETS)
    spki_free(&s->mem, s->datagrams.bytes, s->datagrams.most, SPKI_DATAGRAM);
    spki_free(&s->mem, s->datagrams.size, s->datagrams.most, sizeof(uint32_t));
    spki_free(&s->mem, s->datagrams.cut, s->datagrams.most, sizeof(bool));
    if (s->fd >= 0) close(s->fd);
#endif
}

SPKI_FN bool spki_source_take(spk_source *s)
{
    if (s->desc.kind == SPK_SOURCE_REPLAY) {
        s->ahead = (spk_event *)spki_alloc(&s->mem, SPKI_REPLAY_EVENTS, sizeof(spk_event));
        return s->ahead != NULL;
    }
    s->bytes = (unsigned char *)spki_alloc(&s->mem, SPKI_STREAM_BYTES, 1);
#if !defined(SPIKELIB_NO_SOCKETS)
    if (s->desc.kind == SPK_SOURCE_UDP) {
        spki_datagrams *d = &s->datagrams;
        d->most = s->desc.datagrams;
        d->wanted = SPKI_MIN(4u, d->most);
        d->bytes = (unsigned char *)spki_alloc(&s->mem, d->most, SPKI_DATAGRAM);
        d->size = (uint32_t *)spki_alloc(&s->mem, d->most, sizeof(uint32_t));
        d->cut = (bool *)spki_alloc(&s->mem, d->most, sizeof(bool));
        s->from = SIZE_MAX;
        if (!d->bytes || !d->size || !d->cut) return false;
    }
#endif
    return s->bytes != NULL;
}

SPIKELIB_API spk_source *spk_source_open(const spk_source_desc *desc)
{
    bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    const spk_source_desc *d = garbage ? NULL : desc;
    spki_mem mem;
    spk_source *s;
    spki_mem_init(&mem, d ? &d->allocator : NULL, d ? d->memory_limit : 0);
    s = (spk_source *)spki_alloc(&mem, 1, sizeof *s);
    if (!s) return NULL;
    s->mem = mem;
    s->fd = -1;
    if (d) s->desc = *d;
    spki_source_defaults(&s->desc);
    snprintf(s->address, sizeof s->address, "%s", s->desc.address);
    s->desc.address = s->address;
    s->wire.kind = s->desc.wire;
    s->wire.source = s->desc.source;
    s->wire.width = s->desc.width;
    s->wire.height = s->desc.height;
    if (garbage) {
        spki_source_say(s, SPK_ERR_UNINITIALISED, "open: the descriptor's sentinels are not 0");
        return s;
    }
    if (spki_source_check(s) != SPK_OK) return s;
    if (!spki_source_take(s)) {
        spki_source_release(s);
        mem = s->mem;
        spki_free(&mem, s, 1, sizeof *s);
        return NULL;
    }
#if !defined(SPIKELIB_NO_SOCKETS)
    if (s->desc.kind == SPK_SOURCE_UDP) spki_udp_open(s);
    if (s->desc.kind == SPK_SOURCE_TCP) spki_tcp_connect(s);
#endif
    return s;
}

SPIKELIB_API void spk_source_close(spk_source *s)
{
    spki_mem mem;
    if (!s) return;
    spki_source_release(s);
    mem = s->mem;
    spki_free(&mem, s, 1, sizeof *s);
}

SPIKELIB_API spk_result spk_source_status(const spk_source *s)
{
    return s ? s->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_source_error(const spk_source *s)
{
    return s ? s->error : "the source is NULL";
}

SPIKELIB_API uint16_t spk_source_port(const spk_source *s)
{
    if (!s) return 0;
#if !defined(SPIKELIB_NO_SOCKETS)
    if (s->fd >= 0 && s->desc.kind == SPK_SOURCE_UDP) return spki_socket_port(s->fd);
#endif
    return s->desc.port;
}

SPIKELIB_API size_t spk_source_read(spk_source *s, spk_event *out, size_t capacity)
{
    size_t n = 0;
    if (!s || !out || capacity == 0 || s->stats.ended) return 0;
    if (s->status != SPK_OK && s->status != SPK_ERR_AGAIN) return 0;
    if (s->desc.kind == SPK_SOURCE_REPLAY) n = spki_replay_read(s, out, capacity);
#if !defined(SPIKELIB_NO_SOCKETS)
    if (s->desc.kind == SPK_SOURCE_UDP) n = spki_udp_read(s, out, capacity);
    if (s->desc.kind == SPK_SOURCE_TCP) n = spki_tcp_read(s, out, capacity);
#endif
    s->stats.events += n;
    s->stats.outside = s->wire.outside;
    return n;
}

SPIKELIB_API size_t spk_source_to_ring(spk_source *s, spk_ring *ring)
{
    size_t total = 0;
    if (!s || !ring || ring->item_size != sizeof(spk_event)) return 0;
    for (;;) {
        spk_ring_span span;
        size_t got, more = 0;
        if (spk_ring_reserve(ring, 4096, &span) == 0) return total;
        got = spk_source_read(s, (spk_event *)span.first, span.first_count);
        if (got == span.first_count && span.second_count)
            more = spk_source_read(s, (spk_event *)span.second, span.second_count);
        (void)spk_ring_commit(ring, &span, got + more);
        total += got + more;
        if (got + more < span.first_count + span.second_count) return total;
    }
}

SPIKELIB_API size_t spk_source_to_pipeline(spk_source *s, spk_pipeline *p, spk_priority priority,
                                           uint64_t key)
{
    size_t total = 0;
    if (!s || !p || p->desc.item_size != sizeof(spk_event)) return 0;
    for (;;) {
        spk_pipeline_span span = spk_pipeline_reserve(p, priority, key);
        size_t room = span.capacity, got;
        if (!span.items) return total;
        got = spk_source_read(s, (spk_event *)span.items, room);
        spk_pipeline_commit(p, &span, got);
        total += got;
        if (got < room) return total;
    }
}

/* When the source may have something without its socket saying so. */
SPKI_FN int64_t spki_source_wait_ns(const spk_source *s)
{
    int64_t now = spki_source_now(s);
    if (s->stats.ended || (s->status != SPK_OK && s->status != SPK_ERR_AGAIN)) return INT64_MAX;
    if (s->desc.kind == SPK_SOURCE_REPLAY) {
        if (!s->begun || s->ahead_at == s->ahead_count || s->desc.speed < 0.0) return 0;
        return spki_replay_due(s, s->ahead[s->ahead_at].t_us) - now;
    }
    if (s->desc.kind == SPK_SOURCE_TCP && s->link == SPKI_LINK_NONE) return s->retry_ns - now;
#if !defined(SPIKELIB_NO_SOCKETS)
    if (s->desc.kind == SPK_SOURCE_UDP && s->datagrams.at < s->datagrams.count) return 0;
#endif
    if (s->desc.kind == SPK_SOURCE_TCP && s->to - s->from >= 64) return 0;
    return INT64_MAX;
}

/* Sleeps on the sockets up to `ns`; true: one of them has something. */
SPKI_FN bool spki_source_poll(spk_source *const *sources, size_t count, int64_t ns)
{
    int ms = ns > 1000000000 ? 1000 : (int)((ns + 999999) / 1000000);
#if !defined(SPIKELIB_NO_SOCKETS)
    struct pollfd p[SPKI_SOURCES];
    nfds_t n = 0;
    size_t k;
    for (k = 0; k < count; k++) {
        if (sources[k]->fd < 0) continue;
        p[n].fd = sources[k]->fd;
        p[n].events = sources[k]->link == SPKI_LINK_CONNECTING ? POLLOUT : POLLIN;
        p[n++].revents = 0;
    }
    return poll(p, n, ms) > 0;
#else
    (void)sources;
    (void)count;
#if defined(_WIN32)
    Sleep((DWORD)ms);
#else
    {
        double until = spk_clock_seconds() + 1e-3 * ms;
        while (spk_clock_seconds() < until) sched_yield();
    }
#endif
    return false;
#endif
}

SPIKELIB_API spk_result spk_source_wait(spk_source *const *sources, size_t count, double timeout_s)
{
    double until = spk_clock_seconds() + (timeout_s > 0.0 ? timeout_s : 0.0);
    size_t k;
    if (!sources) return SPK_ERR_NULL;
    if (count > SPKI_SOURCES) return SPK_ERR_RANGE;
    for (k = 0; k < count; k++)
        if (!sources[k]) return SPK_ERR_NULL;
    for (;;) {
        double left = until - spk_clock_seconds();
        int64_t ns = left > 0.0 ? (int64_t)(1e9 * SPKI_MIN(left, 1.0)) : 0;
        for (k = 0; k < count; k++) {
            int64_t due = spki_source_wait_ns(sources[k]);
            if (due <= 0) return SPK_OK;
            ns = SPKI_MIN(ns, due);
        }
        if (spki_source_poll(sources, count, ns)) return SPK_OK;
        if (!(left > 0.0)) return SPK_ERR_TIMEOUT;
    }
}

SPIKELIB_API spk_result spk_source_get_stats(const spk_source *s, spk_source_stats *stats)
{
    if (!s || !stats) return SPK_ERR_NULL;
    *stats = s->stats;
    return SPK_OK;
}

/* -- sender -- */

struct spk_sender {
    spk_result status;
    int fd;
    spk_wire wire;
    uint32_t size;
    uint64_t state;
    char error[160];
#if !defined(SPIKELIB_NO_SOCKETS)
    struct sockaddr_in to;
#endif
    unsigned char bytes[1472];
};

SPIKELIB_API spk_sender *spk_sender_open(const char *address, uint16_t port, spk_wire wire,
                                         uint32_t per_datagram)
{
    spk_sender *s = (spk_sender *)malloc(sizeof *s);
    if (!s) return NULL;
    memset(s, 0, sizeof *s);
    s->fd = -1;
    s->wire = wire;
    s->size = SPKI_MIN(per_datagram ? per_datagram : 512u, (uint32_t)sizeof s->bytes);
    s->status = SPK_ERR_UNSUPPORTED;
    snprintf(s->error, sizeof s->error, "sender: this build has no sockets");
#if !defined(SPIKELIB_NO_SOCKETS)
    s->status = SPK_ERR_IO;
    if (!spki_socket_address(address ? address : "127.0.0.1", port, &s->to)) {
        snprintf(s->error, sizeof s->error, "sender: \"%.60s\" is no numeric IPv4 address",
                 address);
        return s;
    }
    s->fd = spki_socket_open(true);
    snprintf(s->error, sizeof s->error, "%s", s->fd < 0 ? strerror(errno) : "");
    if (s->fd >= 0) s->status = SPK_OK;
#else
    (void)address;
    (void)port;
#endif
    if (s->status == SPK_OK && ((uint32_t)wire > 3 || s->size < 64)) {
        s->status = SPK_ERR_RANGE;
        snprintf(s->error, sizeof s->error, "sender: wire = %d, per_datagram = %u", (int)wire,
                 s->size);
    }
    return s;
}

SPIKELIB_API void spk_sender_close(spk_sender *s)
{
    if (!s) return;
#if !defined(SPIKELIB_NO_SOCKETS)
    if (s->fd >= 0) close(s->fd);
#endif
    free(s);
}

SPIKELIB_API spk_result spk_sender_status(const spk_sender *s)
{
    return s ? s->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_sender_error(const spk_sender *s)
{
    return s ? s->error : "the sender is NULL";
}

SPIKELIB_API size_t spk_sender_send(spk_sender *s, const spk_event *events, size_t count)
{
    size_t done = 0;
    if (!s || s->status != SPK_OK || !events) return 0;
#if !defined(SPIKELIB_NO_SOCKETS)
    while (done < count) {
        size_t used = 0;
        size_t size = spk_wire_encode(s->wire, events + done, count - done, s->bytes, s->size,
                                      &used, &s->state);
        if (sendto(s->fd, s->bytes, size, SPKI_SEND_FLAGS, (struct sockaddr *)&s->to,
                   sizeof s->to) < 0)
            break;
        done += used;
    }
#else
    (void)count;
#endif
    return done;
}

#endif
