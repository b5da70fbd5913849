/* cc -O2 ring.c -o ring -lm -lpthread */

/* A sensor's thread hands events to another thread through a ring, in three ways: one at a time, in
   batches, and written straight into the ring's slots. */
#define SPIKELIB_NO_NET
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"
#include <pthread.h>
#include <stdio.h>

enum { EVENTS = 3000000 };

typedef struct event { /* as spk_event: 16 bytes */
    int64_t t_us;
    uint16_t x, y, polarity, source;
} event;

static event make(int64_t n)
{
    event e = {n, (uint16_t)(n % 640), (uint16_t)(n / 640 % 480), (uint16_t)(n & 1), 0};
    return e;
}

static void *sensor(void *arg)
{
    spk_ring *ring = (spk_ring *)arg;
    event batch[64];
    int64_t n = 0;
    while (n < EVENTS / 3) { /* one at a time; the ring's policy is to wait when it is full */
        event e = make(n++);
        spk_ring_push(ring, &e);
    }
    while (n < EVENTS / 3 * 2) { /* in batches */
        int k;
        for (k = 0; k < 64 && n < EVENTS / 3 * 2; k++) batch[k] = make(n++);
        spk_ring_push_n(ring, batch, (size_t)k);
    }
    while (n < EVENTS) { /* in place: no copy at all */
        spk_ring_span span;
        size_t want = EVENTS - n < 64 ? (size_t)(EVENTS - n) : 64, k;
        size_t got = spk_ring_reserve(ring, want, &span);
        for (k = 0; k < span.first_count; k++) ((event *)span.first)[k] = make(n++);
        for (k = 0; k < span.second_count; k++) ((event *)span.second)[k] = make(n++);
        spk_ring_commit(ring, &span, got);
    }
    spk_ring_close(ring); /* the reader gets what is left, then SPK_ERR_CLOSED */
    return NULL;
}

int main(void)
{
    spk_ring_desc desc = {0};
    spk_ring_info info;
    pthread_t thread;
    spk_ring *ring;
    int64_t expected = 0, wrong = 0;
    double start = spk_clock_seconds();
    event e;
    desc.policy = SPK_RING_WAIT;
    desc.capacity = 4096;
    ring = spk_ring_create(&desc);
    if (spk_ring_status(ring) != SPK_OK) {
        fprintf(stderr, "%s\n", spk_ring_error(ring));
        return 1;
    }
    pthread_create(&thread, NULL, sensor, ring);
    while (spk_ring_pop_until(ring, &e, SPK_FOREVER) == SPK_OK) wrong += e.t_us != expected++;
    pthread_join(thread, NULL);
    spk_ring_get_info(ring, &info);
    printf("%lld events in order, %lld wrong, %.0f M/s; %llu sleeps, %llu dropped\n",
           (long long)info.popped, (long long)wrong,
           1e-6 * (double)info.popped / (spk_clock_seconds() - start),
           (unsigned long long)info.sleeps, (unsigned long long)info.dropped_newest);
    spk_ring_destroy(ring);
    return wrong != 0 || expected != EVENTS;
}
