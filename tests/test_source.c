/* ---- >>test_source: sockets on the loopback that lose, break and lie; recordings in time ---- */

#define SPIKELIB_NO_NET
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "check.h"

#if defined(_WIN32)
TEST(sources_need_posix_sockets)
{
    SKIP("no sockets on Windows so far");
}
#else
#include "heap.h"

#include <unistd.h>

#define MS INT64_C(1000000)

static spk_event event_of(uint32_t k)
{
    spk_event e;
    memset(&e, 0, sizeof e);
    e.t_us = 1000 + 3 * (int64_t)k;
    e.x = (uint16_t)(k % 640);
    e.y = (uint16_t)(k / 640 % 480);
    e.polarity = k & 1;
    return e;
}

static void check_event(const spk_event *got, uint32_t k, uint16_t source)
{
    const spk_event want = event_of(k);
    CHECK(got->t_us == want.t_us && got->x == want.x && got->y == want.y &&
          got->polarity == want.polarity && got->kind == SPK_EVENT_CD && got->source == source);
}

/* Reads until `want` events are there, or nothing came for a second. */
static size_t read_all(spk_source *s, spk_event *out, size_t want, size_t piece)
{
    size_t n = 0;
    while (n < want) {
        const size_t got = spk_source_read(s, out + n, want - n < piece ? want - n : piece);
        n += got;
        if (got == 0 && spk_source_wait(&s, 1, 1.0) != SPK_OK) break;
    }
    return n;
}

/* -- bytes: written out by hand from the layouts -- */

TEST(packets_are_laid_out_as_their_formats_say)
{
    const spk_event e = {0x0102030405, 0x123, 0x145, 1, 0, 0};
    const unsigned char spif[] = {0x45, 0x81, 0x23, 0x01, 0x05, 0x04, 0x03, 0x02};
    const unsigned char aer64[] = {0x05, 0x04, 0x03, 0x02, 0x23, 0x01, 0x8b, 0x02};
    const unsigned char aer104[] = {5, 4, 3, 2, 1, 0, 0, 0, 0x23, 0x01, 0x45, 0x01, 1};
    const unsigned char aedat3[] = {
        0x58, 0x66, 0x9a, 0x0b, 0xc9, 0x8b, 0x37, 0x1d, 7, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, /**/
        1,    0,    0,    0,    8,    0,    0,    0,    4, 0, 0, 0, 2, 0, 0, 0,    1, 0, 0, 0, /**/
        1,    0,    0,    0,    1,    0,    0,    0,                                           /**/
        0x17, 0x05, 0x46, 0x02, 0x05, 0x04, 0x03, 0x02};
    unsigned char out[128];
    size_t used;
    uint64_t state = 7;
    CHECK_EQ(spk_wire_encode(SPK_WIRE_SPIF, &e, 1, out, sizeof out, &used, NULL), sizeof spif);
    CHECK(!memcmp(out, spif, sizeof spif));
    CHECK_EQ(spk_wire_encode(SPK_WIRE_AER64, &e, 1, out, sizeof out, &used, NULL), sizeof aer64);
    CHECK(!memcmp(out, aer64, sizeof aer64));
    CHECK_EQ(spk_wire_encode(SPK_WIRE_AER104, &e, 1, out, sizeof out, &used, NULL), sizeof aer104);
    CHECK(!memcmp(out, aer104, sizeof aer104));
    CHECK_EQ(spk_wire_encode(SPK_WIRE_AEDAT3, &e, 1, out, sizeof out, &used, &state), 56);
    CHECK(!memcmp(out, aedat3, sizeof aedat3));
    CHECK_EQ(state, 8);
    CHECK_EQ(spk_wire_encode(SPK_WIRE_SPIF, &e, 1, out, 7, &used, NULL), 0);
}

/* -- UDP -- */

TEST(every_wire_format_comes_through_udp_in_pieces_of_any_size)
{
    static spk_event sent[3000], got[3000];
    const size_t pieces[] = {3000, 256, 7, 1};
    for (uint32_t k = 0; k < 3000; k++) sent[k] = event_of(k);
    for (int wire = 0; wire < 4; wire++)
        for (int piece = 0; piece < 4; piece++) {
            spk_source_desc d = {0};
            spk_source_stats st;
            d.wire = (spk_wire)wire;
            d.source = 5;
            spk_source *s = spk_source_open(&d);
            REQUIRE(spk_source_status(s) == SPK_OK);
            spk_sender *to = spk_sender_open(NULL, spk_source_port(s), (spk_wire)wire, 512);
            memset(got, 0, sizeof got);
            size_t n = 0;
            for (int part = 0; part < 6; part++) {
                CHECK_EQ(spk_sender_send(to, sent + 500 * part, 500), 500);
                n += read_all(s, got + n, 500, pieces[piece]);
            }
            CHECK_EQ(n, 3000);
            for (uint32_t k = 0; k < n; k++) check_event(&got[k], k, 5);
            spk_source_get_stats(s, &st);
            CHECK_EQ(st.events, 3000);
            CHECK_EQ(st.truncated + st.garbage + st.lost_datagrams + st.outside, 0);
            spk_sender_close(to);
            spk_source_close(s);
        }
}

static void send_bytes(uint16_t port, const void *bytes, size_t size)
{
    struct sockaddr_in at;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(sendto(fd, bytes, size, 0, (struct sockaddr *)&at, sizeof at) == (ssize_t)size);
    close(fd);
}

TEST(truncated_and_garbage_datagrams_are_counted_and_hurt_nothing)
{
    unsigned char junk[3000];
    spk_event out[4000];
    spk_source_desc d = {0};
    spk_source_stats st;
    d.wire = SPK_WIRE_AER64;
    d.width = 640;
    d.height = 480;
    spk_source *s = spk_source_open(&d);
    const spk_event e = event_of(77);
    for (uint32_t k = 0; k < sizeof junk; k++) junk[k] = 0xff;
    size_t used, size = spk_wire_encode(d.wire, &e, 1, junk, 8, &used, NULL);
    send_bytes(spk_source_port(s), junk, size + 5); /* an event and a part of one */
    CHECK_EQ(read_all(s, out, 1, 100), 1);
    check_event(&out[0], 77, 0);
    send_bytes(spk_source_port(s), junk, 0);        /* an empty one */
    send_bytes(spk_source_port(s), junk + 8, 800);  /* x and y out of range */
    send_bytes(spk_source_port(s), junk + 8, 2500); /* longer than any frame */
    while (spk_source_wait(&s, 1, 0.05) == SPK_OK) CHECK_EQ(spk_source_read(s, out, 4000), 0);
    spk_source_get_stats(s, &st);
    CHECK_EQ(st.datagrams, 4);
    CHECK_EQ(st.truncated, 2);
    CHECK_EQ(st.outside, 100 + 256);
    spk_source_close(s);

    /* AEDAT3 knows its header, and every byte of it may be wrong. */
    d.wire = SPK_WIRE_AEDAT3;
    s = spk_source_open(&d);
    for (uint32_t k = 0; k < 400; k++) {
        unsigned char packet[64];
        const uint32_t counter[4] = {k, 0, 0, 0}, key[2] = {3, 4};
        uint32_t r[4];
        spk_philox4x32(counter, key, r);
        size = spk_wire_encode(d.wire, &e, 1, packet, sizeof packet, &used, NULL);
        packet[r[0] % size] ^= (unsigned char)(1u << r[1] % 8);
        send_bytes(spk_source_port(s), packet, r[2] % 4 == 0 ? r[3] % size : size);
        while (spk_source_read(s, out, 4000)) continue;
    }
    spk_source_get_stats(s, &st);
    CHECK(st.garbage > 20);
    CHECK(st.events < 400);
    const spk_event good = event_of(5);
    unsigned char packet[64];
    size = spk_wire_encode(d.wire, &good, 1, packet, sizeof packet, &used, NULL);
    send_bytes(spk_source_port(s), packet, size);
    CHECK_EQ(read_all(s, out, 1, 10), 1); /* the next good one is read */
    check_event(&out[0], 5, 0);
    spk_source_close(s);
}

TEST(gaps_in_sequence_numbers_are_lost_datagrams)
{
    spk_event out[64];
    spk_source_desc d = {0};
    spk_source_stats st;
    d.wire = SPK_WIRE_AEDAT3;
    spk_source *s = spk_source_open(&d);
    const uint64_t numbers[] = {10, 11, 14, 15, 15, 20}; /* 12, 13 lost; 15 twice; 16 to 19 lost */
    for (int k = 0; k < 6; k++) {
        unsigned char packet[64];
        uint64_t state = numbers[k];
        const spk_event e = event_of((uint32_t)k);
        size_t used;
        const size_t size = spk_wire_encode(d.wire, &e, 1, packet, sizeof packet, &used, &state);
        send_bytes(spk_source_port(s), packet, size);
    }
    CHECK_EQ(read_all(s, out, 6, 64), 6);
    spk_source_get_stats(s, &st);
    CHECK_EQ(st.lost_datagrams, 6);
    spk_source_close(s);
}

/* A packet of 30 events cut into datagrams in the middle of events, as libcaer does. */
TEST(a_packet_in_parts_is_joined_and_a_lost_part_drops_the_rest)
{
    spk_event e[30], out[64];
    unsigned char whole[512], part[512];
    size_t used;
    for (int lost = 0; lost < 2; lost++) {
        spk_source_desc d = {0};
        spk_source_stats st;
        uint64_t state = 0;
        d.wire = SPK_WIRE_AEDAT3;
        spk_source *s = spk_source_open(&d);
        for (uint32_t k = 0; k < 30; k++) e[k] = event_of(k);
        const size_t size = spk_wire_encode(d.wire, e, 30, whole, sizeof whole, &used, &state);
        CHECK_EQ(size, 48 + 240);
        const size_t cuts[] = {20, 20 + 28 + 52, 20 + 28 + 52 + 77, size}; /* 52 = 6.5 events */
        for (int k = 0; k < 3; k++) {
            if (lost && k == 1) continue;
            memcpy(part, whole, 20);
            spki_wire_put(part + 8, 8, (uint64_t)k | (k == 0 ? (uint64_t)1 << 63 : 0));
            memcpy(part + 20, whole + cuts[k], cuts[k + 1] - cuts[k]);
            send_bytes(spk_source_port(s), part, 20 + cuts[k + 1] - cuts[k]);
        }
        const size_t n = read_all(s, out, lost ? 7 : 30, 4);
        CHECK_EQ(n, lost ? 6 : 30);
        for (uint32_t k = 0; k < n; k++) check_event(&out[k], k, 0);
        spk_source_get_stats(s, &st);
        CHECK_EQ(st.lost_datagrams, lost ? 1 : 0);
        spk_source_close(s);
    }
}

/* Nobody reads: the kernel's buffer overflows, and what it drops is counted. */
TEST(what_the_kernel_drops_is_counted_and_the_buffer_grows)
{
    static spk_event sent[64000], out[64000];
    spk_source_desc d = {0};
    spk_source_stats st;
    size_t got = 0, n;
    d.receive_buffer = 4096;
    d.receive_buffer_max = 1u << 20;
    spk_source *s = spk_source_open(&d);
    spk_source_get_stats(s, &st);
    const uint32_t before = st.receive_buffer;
    if (!s->datagrams.counts) {
        spk_source_close(s);
        SKIP("this system does not count dropped datagrams (SO_RXQ_OVFL)");
    }
    for (uint32_t k = 0; k < 64000; k++) sent[k] = event_of(k);
    spk_sender *to = spk_sender_open("127.0.0.1", spk_source_port(s), SPK_WIRE_SPIF, 512);
    CHECK_EQ(spk_sender_send(to, sent, 64000), 64000); /* 1,000 datagrams of 64 events */
    while ((n = spk_source_read(s, out, 64000)) > 0) got += n;
    /* The count of drops comes with the next datagram. */
    CHECK_EQ(spk_sender_send(to, sent, 64), 64);
    got += read_all(s, out, 64, 64);
    spk_source_get_stats(s, &st);
    CHECK(st.lost_in_kernel > 0);
    CHECK_EQ(st.datagrams + st.lost_in_kernel, 1001);
    CHECK_EQ(got, 64 * st.datagrams);
    CHECK(st.receive_buffer > before);
    spk_sender_close(to);
    spk_source_close(s);
}

/* -- TCP -- */

static int listen_at(uint16_t *port)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons(*port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4) != 0) {
        close(fd);
        return -1;
    }
    getsockname(fd, (struct sockaddr *)&at, &size);
    *port = ntohs(at.sin_port);
    return fd;
}

typedef struct turned {
    int64_t now;
} turned;

static int64_t turned_now(void *ctx)
{
    return ((turned *)ctx)->now;
}

/* Refused: 100, 200, 400 ms (no jitter) on a clock turned by hand; then it gives up. */
TEST(a_refused_connection_backs_off_and_gives_up)
{
    turned clock = {0};
    spk_source_desc d = {0};
    spk_event out[4];
    uint16_t port = 0;
    close(listen_at(&port)); /* a port where nobody listens */
    d.kind = SPK_SOURCE_TCP;
    d.port = port;
    d.jitter = -1.0;
    d.attempts = 4;
    d.clock.ctx = &clock;
    d.clock.now_ns = turned_now;
    spk_source *s = spk_source_open(&d);
    const int64_t want[] = {100, 300, 700};
    for (int k = 0; k < 3; k++) {
        spk_source_stats st;
        for (int w = 0; w < 1000 && spk_source_status(s) == SPK_OK; w++) {
            CHECK_EQ(spk_source_read(s, out, 4), 0);
            usleep(1000);
        }
        CHECK_EQ(spk_source_status(s), SPK_ERR_AGAIN);
        CHECK_HAS(spk_source_error(s), "tcp 127.0.0.1:");
        CHECK_HAS(spk_source_error(s), "refused");
        spk_source_get_stats(s, &st);
        CHECK_EQ(st.failures, k + 1);
        CHECK_EQ(s->retry_ns, want[k] * MS);
        clock.now = want[k] * MS - 1;
        CHECK_EQ(spk_source_read(s, out, 4), 0);
        spk_source_get_stats(s, &st);
        CHECK_EQ(st.failures, k + 1);
        clock.now = want[k] * MS;
        s->status = SPK_OK;
    }
    for (int w = 0; w < 1000 && !s->stats.ended; w++) {
        CHECK_EQ(spk_source_read(s, out, 4), 0);
        usleep(1000);
    }
    CHECK_EQ(spk_source_status(s), SPK_ERR_CLOSED);
    CHECK_HAS(spk_source_error(s), "gave up after 4 attempts");
    spk_source_close(s);
}

/* The peer dies in the middle of an event; the source connects again and reads on. */
TEST(a_stream_that_breaks_within_an_event_is_taken_up_again)
{
    static spk_event got[2000];
    static unsigned char bytes[32000];
    for (int wire = 0; wire < 4; wire++) {
        spk_source_desc d = {0};
        spk_source_stats st;
        uint16_t port = 0;
        const int server = listen_at(&port);
        REQUIRE(server >= 0);
        d.kind = SPK_SOURCE_TCP;
        d.wire = (spk_wire)wire;
        d.port = port;
        d.backoff_us = 1000;
        spk_source *s = spk_source_open(&d);
        for (int round = 0; round < 3; round++) {
            spk_event e[1000];
            size_t used, size = 0, n = 0;
            for (uint32_t k = 0; k < 1000; k++) e[k] = event_of(k);
            size = spk_wire_encode(d.wire, e, 1000, bytes, sizeof bytes, &used, NULL);
            CHECK_EQ(used, 1000);
            struct pollfd p = {server, POLLIN, 0};
            while (poll(&p, 1, 0) == 0) { /* until it has connected (again) */
                (void)spk_source_read(s, got, 2000);
                usleep(200);
            }
            const int peer = accept(server, NULL, NULL);
            const size_t cut = size - (round < 2 ? 3 : 0), half = cut / 2 + 1;
            CHECK(write(peer, bytes, half) == (ssize_t)half);
            n += read_all(s, got, 400, 100);
            CHECK(write(peer, bytes + half, cut - half) == (ssize_t)(cut - half));
            n += read_all(s, got + n, (round < 2 ? 999 : 1000) - n, 100);
            CHECK_EQ(n, round < 2 ? 999 : 1000);
            for (uint32_t k = 0; k < n; k++) check_event(&got[k], k, 0);
            CHECK_EQ(spk_source_status(s), SPK_OK);
            close(peer);
            for (int w = 0; w < 5000 && spk_source_status(s) == SPK_OK; w++) {
                CHECK_EQ(spk_source_read(s, got, 2000), 0);
                usleep(200);
            }
            CHECK_HAS(spk_source_error(s), "the other side has closed it");
            s->wire.timed = false; /* each round begins at the same time */
        }
        spk_source_get_stats(s, &st);
        CHECK_EQ(st.connects, 3);
        CHECK_EQ(st.losses, 3);
        CHECK_EQ(st.truncated, 2);
        spk_source_close(s);
        close(server);
    }
}

TEST(a_stream_of_garbage_is_left)
{
    spk_source_desc d = {0};
    spk_source_stats st;
    spk_event out[16];
    uint16_t port = 0;
    const int server = listen_at(&port);
    d.kind = SPK_SOURCE_TCP;
    d.wire = SPK_WIRE_AEDAT3;
    d.port = port;
    spk_source *s = spk_source_open(&d);
    struct pollfd p = {server, POLLIN, 0};
    while (poll(&p, 1, 0) == 0) (void)spk_source_read(s, out, 16);
    const int peer = accept(server, NULL, NULL);
    CHECK(write(peer, "GET / HTTP/1.1\r\nHost: somebody else\r\n\r\n", 40) == 40);
    for (int w = 0; w < 1000 && spk_source_status(s) == SPK_OK; w++) {
        CHECK_EQ(spk_source_read(s, out, 16), 0);
        usleep(1000);
    }
    spk_source_get_stats(s, &st);
    CHECK_EQ(st.garbage, 1);
    CHECK_HAS(spk_source_error(s), "no AEDAT 3.1 stream");
    spk_source_close(s);
    close(peer);
    close(server);
}

/* -- replay -- */

typedef struct tape {
    uint32_t next, end;
} tape;

static size_t tape_read(void *ctx, spk_event *out, size_t capacity)
{
    tape *t = (tape *)ctx;
    size_t n = 0;
    while (n < capacity && n < 1000 && t->next < t->end) out[n++] = event_of(t->next++);
    return n;
}

/* 3 us between events: at twice the speed, after 1,500 us of the clock 3,000 us have been played:
   events 0 to 1,000. */
TEST(a_replay_hands_out_what_is_due_at_its_speed)
{
    static spk_event out[20000];
    turned clock = {1000 * MS};
    tape t = {0, 10000};
    spk_source_desc d = {0};
    size_t n = 0, k;
    d.kind = SPK_SOURCE_REPLAY;
    d.read = tape_read;
    d.read_ctx = &t;
    d.speed = 2.0;
    d.source = 9;
    d.clock.ctx = &clock;
    d.clock.now_ns = turned_now;
    spk_source *s = spk_source_open(&d);
    CHECK_EQ(spk_source_read(s, out, 20000), 1);
    CHECK_EQ(spk_source_read(s, out + 1, 20000), 0);
    clock.now += 1500000;
    for (n = 1; (k = spk_source_read(s, out + n, 300)) > 0;) n += k;
    CHECK_EQ(n, 1001);
    clock.now += 1499;
    CHECK_EQ(spk_source_read(s, out + n, 300), 0);
    clock.now += 1;
    CHECK_EQ(spk_source_read(s, out + n, 300), 1);
    n++;
    clock.now += 100 * MS;
    while ((k = spk_source_read(s, out + n, 3000)) > 0) n += k;
    CHECK_EQ(n, 10000);
    for (uint32_t i = 0; i < n; i++) check_event(&out[i], i, 9);
    CHECK_EQ(spk_source_status(s), SPK_ERR_CLOSED);
    CHECK_HAS(spk_source_error(s), "over");
    spk_source_close(s);
}

static spk_result count_items(void *ctx, spk_batch *b)
{
    const spk_event *e = (const spk_event *)b->items;
    uint32_t *next = (uint32_t *)ctx;
    for (size_t k = 0; k < b->count; k++) check_event(&e[k], (*next)++, 0);
    return SPK_OK;
}

TEST(a_source_fills_rings_and_pipelines_and_stops_where_there_is_no_room)
{
    static spk_event out[2048];
    tape t = {0, 5000};
    spk_ring_desc rd = {0};
    spk_pipeline_desc pd = {0};
    spk_source_desc d = {0};
    uint32_t next = 0;
    d.kind = SPK_SOURCE_REPLAY;
    d.read = tape_read;
    d.read_ctx = &t;
    d.speed = -1.0;
    rd.capacity = 1500;
    spk_ring *ring = spk_ring_create(&rd);
    spk_source *s = spk_source_open(&d);
    size_t n = 0, k;
    for (int round = 0; round < 20; round++) {
        n += spk_source_to_ring(s, ring);
        k = spk_ring_pop_n(ring, out, 700);
        for (size_t i = 0; i < k; i++) check_event(&out[i], next++, 0);
    }
    while ((k = spk_ring_pop_n(ring, out, 700)) > 0)
        for (size_t i = 0; i < k; i++) check_event(&out[i], next++, 0);
    CHECK_EQ(n, 5000);
    CHECK_EQ(next, 5000);
    spk_source_close(s);
    spk_ring_destroy(ring);

    t.next = next = 0;
    pd.manual = true;
    pd.capacity = 1024;
    pd.lanes = 1;
    spk_pipeline *p = spk_pipeline_create(&pd);
    spk_pipeline_add(p, "count", count_items, &next, NULL);
    CHECK_EQ(spk_pipeline_start(p), SPK_OK);
    s = spk_source_open(&d);
    CHECK_EQ(spk_source_to_pipeline(s, p, SPK_PRIORITY_NORMAL, 3), 1280); /* five blocks */
    n = 1280;
    while (n < 5000) {
        while (spk_pipeline_step(p)) continue;
        n += spk_source_to_pipeline(s, p, SPK_PRIORITY_NORMAL, 3);
    }
    while (spk_pipeline_step(p)) continue;
    CHECK_EQ(next, 5000);
    CHECK_EQ(spk_source_to_pipeline(s, p, SPK_PRIORITY_NORMAL, 3), 0);
    spk_source_close(s);
    spk_pipeline_destroy(p);
}

/* -- errors, memory, many at a time -- */

static void bad(const spk_source_desc *d, spk_result code, const char *part)
{
    spk_event out[4];
    spk_source *s = spk_source_open(d);
    CHECK_EQ(spk_source_status(s), code);
    CHECK_HAS(spk_source_error(s), part);
    CHECK_EQ(spk_source_read(s, out, 4), 0);
    spk_source_close(s);
}

TEST(what_is_wrong_is_named)
{
    spk_source_desc d = {0};
    d.address = "localhost";
    bad(&d, SPK_ERR_IO, "open: \"localhost\" is no numeric IPv4 address");
    d.address = "127.0.0.256";
    bad(&d, SPK_ERR_IO, "127.0.0.256");
    memset(&d, 0, sizeof d);
    spk_source *first = spk_source_open(&d);
    d.port = spk_source_port(first);
    bad(&d, SPK_ERR_IO, "udp 127.0.0.1:"); /* taken */
    spk_source_close(first);
    memset(&d, 0, sizeof d);
    d.kind = SPK_SOURCE_TCP;
    bad(&d, SPK_ERR_RANGE, "port = 0");
    d.kind = SPK_SOURCE_REPLAY;
    bad(&d, SPK_ERR_NULL, "a replay needs a recording");
    d.kind = (spk_source_kind)3;
    bad(&d, SPK_ERR_RANGE, "kind = 3");
    memset(&d, 0, sizeof d);
    d.wire = (spk_wire)4;
    bad(&d, SPK_ERR_RANGE, "wire = 4");
    d.wire = SPK_WIRE_SPIF;
    d.datagrams = 257;
    bad(&d, SPK_ERR_RANGE, "datagrams = 257");
    memset(&d, 0xa5, sizeof d);
    bad(&d, SPK_ERR_UNINITIALISED, "sentinels");
    CHECK_EQ(spk_source_read(NULL, NULL, 0), 0);
    CHECK_EQ(spk_source_wait(NULL, 0, 0.0), SPK_ERR_NULL);
    spk_source_close(NULL);
    spk_sender_close(NULL);
    spk_sender *to = spk_sender_open("nowhere", 1, SPK_WIRE_SPIF, 0);
    CHECK_EQ(spk_sender_status(to), SPK_ERR_IO);
    CHECK_HAS(spk_sender_error(to), "nowhere");
    spk_sender_close(to);
}

TEST(every_allocation_may_fail_and_nothing_leaks)
{
    for (int kind = 0; kind < 3; kind++)
        for (size_t fail = 1;; fail++) {
            heap h = {0, 0, fail};
            tape t = {0, 10};
            spk_source_desc d = {0};
            d.kind = (spk_source_kind)kind;
            d.port = kind == SPK_SOURCE_TCP ? 9 : 0;
            d.read = tape_read;
            d.read_ctx = &t;
            d.allocator = heap_allocator(&h);
            spk_source *s = spk_source_open(&d);
            CHECK_EQ(s == NULL, h.calls >= fail);
            spk_source_close(s);
            CHECK_EQ(h.blocks, 0);
            if (h.calls < fail) break;
        }
}

/* One loop over many: only those that have something are due, and none waits for another. */
TEST(one_loop_serves_many_sources)
{
    enum { MANY = 100 };
    spk_source *all[MANY];
    spk_sender *to[MANY];
    uint32_t got[MANY] = {0};
    spk_event out[64];
    spk_source_desc d = {0};
    for (uint16_t k = 0; k < MANY; k++) {
        d.source = k;
        d.datagrams = 4;
        all[k] = spk_source_open(&d);
        REQUIRE(spk_source_status(all[k]) == SPK_OK);
        to[k] = spk_sender_open(NULL, spk_source_port(all[k]), SPK_WIRE_SPIF, 0);
    }
    CHECK_EQ(spk_source_wait(all, MANY, 0.01), SPK_ERR_TIMEOUT);
    for (uint32_t k = 0; k < MANY; k++) {
        const spk_event e = event_of(k);
        spk_sender_send(to[k], &e, 1);
    }
    for (uint32_t sum = 0; sum < MANY && spk_source_wait(all, MANY, 1.0) == SPK_OK;)
        for (uint16_t k = 0; k < MANY; k++)
            for (size_t n = spk_source_read(all[k], out, 64), i = 0; i < n; i++, sum++) {
                check_event(&out[i], k, k);
                got[k]++;
            }
    for (uint16_t k = 0; k < MANY; k++) {
        CHECK_EQ(got[k], 1);
        spk_source_close(all[k]);
        spk_sender_close(to[k]);
    }
}
#endif

TEST_MAIN()
