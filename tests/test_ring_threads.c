/* ---- >>test-ring-threads: several threads at a time: nothing lost, doubled, torn or out of order;
   waiting, waking and closing ----
   check: threads */
#define SPIKELIB_NO_NET
#define SPIKELIB_NO_EVENTS
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include "check.h"

#ifdef __SANITIZE_THREAD__
#define ITEMS 12000u
#else
#define ITEMS 48000u
#endif
#define MOST 8

typedef struct item {
    uint32_t producer, number;
    uint64_t check;
} item;

static item make(uint32_t producer, uint32_t number)
{
    item it;
    it.producer = producer;
    it.number = number;
    it.check = ((uint64_t)producer << 32 | number) * UINT64_C(0x9E3779B97F4A7C15);
    return it;
}

/* How items go in and out. */
typedef enum way { ONE, BATCH, SPAN, WAITING, WAYS } way;

typedef struct job {
    spk_ring *ring;
    uint32_t k, items, producers;
    way how;
    size_t batch;
    /* of a consumer: what it saw */
    uint32_t next[MOST], count[MOST], torn, disorder;
} job;

static void *produce(void *arg)
{
    job *j = (job *)arg;
    uint32_t n = 0;
    item batch[64];
    while (n < j->items) {
        size_t want = j->batch < j->items - n ? j->batch : j->items - n, k, done = 0;
        spk_ring_span span;
        for (k = 0; k < want; k++) batch[k] = make(j->k, n + (uint32_t)k);
        switch (j->how) {
        case ONE: done = spk_ring_push(j->ring, batch) == SPK_OK; break;
        case WAITING:
            done = spk_ring_push_until(j->ring, batch, SPK_FOREVER) == SPK_OK;
            break;
        case BATCH: done = spk_ring_push_n(j->ring, batch, want); break;
        default:
            done = spk_ring_reserve(j->ring, want, &span);
            if (span.first_count) memcpy(span.first, batch, span.first_count * sizeof(item));
            if (span.second_count)
                memcpy(span.second, batch + span.first_count, span.second_count * sizeof(item));
            CHECK(spk_ring_commit(j->ring, &span, done) == SPK_OK);
        }
        if (done == 0) sched_yield();
        n += (uint32_t)done;
    }
    return NULL;
}

static void see(job *j, const item *it, size_t count)
{
    for (; count > 0; count--, it++) {
        item want;
        if (it->producer >= j->producers) {
            j->torn++;
            continue;
        }
        want = make(it->producer, it->number);
        if (want.check != it->check) j->torn++;
        if (it->number < j->next[it->producer]) j->disorder++;
        j->next[it->producer] = it->number + 1;
        j->count[it->producer]++;
    }
}

static void *consume(void *arg)
{
    job *j = (job *)arg;
    item batch[64];
    for (;;) {
        spk_ring_span span;
        spk_result result = SPK_OK;
        size_t n = 0;
        switch (j->how) {
        case ONE: result = spk_ring_pop(j->ring, batch); break;
        case WAITING: result = spk_ring_pop_until(j->ring, batch, SPK_FOREVER); break;
        case BATCH: n = spk_ring_pop_n(j->ring, batch, j->batch); break;
        default:
            n = spk_ring_peek(j->ring, j->batch, &span);
            see(j, (const item *)span.first, span.first_count);
            see(j, (const item *)span.second, span.second_count);
            CHECK(spk_ring_consume(j->ring, &span, n) == SPK_OK);
        }
        if (j->how == ONE || j->how == WAITING) n = result == SPK_OK;
        if (j->how != SPAN) see(j, batch, n);
        if (n > 0) continue;
        if (j->how == WAITING || j->how == ONE) {
            if (result == SPK_ERR_CLOSED) return NULL;
        } else if (spk_ring_wait_items(j->ring, 1, spk_clock_seconds() + 0.001) ==
                   SPK_ERR_CLOSED) {
            return NULL;
        }
        sched_yield();
    }
}

static void run(spk_ring_kind kind, spk_ring_policy policy, size_t capacity, uint32_t producers,
                uint32_t consumers, way how, size_t batch, uint64_t start)
{
    static job in[MOST], out[MOST];
    pthread_t pt[MOST], ct[MOST];
    spk_ring_desc d;
    spk_ring_info info;
    spk_ring *r;
    uint32_t k, p;
    uint64_t all = 0;
    memset(in, 0, sizeof in);
    memset(out, 0, sizeof out);
    memset(&d, 0, sizeof d);
    d.kind = kind;
    d.policy = policy;
    d.capacity = capacity;
    r = spk_ring_create(&d);
    CHECK(r != NULL);
    if (!r) return;
    spki_ring_start_at(r, start);
    for (k = 0; k < consumers; k++) {
        out[k].ring = r;
        out[k].how = how;
        out[k].batch = batch;
        out[k].producers = producers;
        pthread_create(&ct[k], NULL, consume, &out[k]);
    }
    for (k = 0; k < producers; k++) {
        in[k].ring = r;
        in[k].k = k;
        in[k].items = ITEMS / producers;
        in[k].how = how;
        in[k].batch = how == ONE || how == WAITING ? 1 : batch;
        pthread_create(&pt[k], NULL, produce, &in[k]);
    }
    for (k = 0; k < producers; k++) pthread_join(pt[k], NULL);
    CHECK(spk_ring_close(r) == SPK_OK);
    for (k = 0; k < consumers; k++) pthread_join(ct[k], NULL);
    CHECK(spk_ring_get_info(r, &info) == SPK_OK);
    for (k = 0; k < consumers; k++) {
        CHECK_EQ(out[k].torn, 0);
        CHECK_EQ(out[k].disorder, 0);
    }
    for (p = 0; p < producers; p++) {
        uint32_t sum = 0;
        for (k = 0; k < consumers; k++) sum += out[k].count[p];
        all += sum;
        if (policy == SPK_RING_REFUSE || policy == SPK_RING_WAIT) CHECK_EQ(sum, in[p].items);
    }
    CHECK_EQ(info.popped, all);
    CHECK_EQ(info.count, 0);
    CHECK_EQ(info.pushed, info.popped + info.dropped_oldest);
    CHECK_EQ(info.pushed + info.dropped_newest + info.sampled_out,
             (uint64_t)(ITEMS / producers) * producers);
    spk_ring_destroy(r);
}

TEST(spsc_loses_and_doubles_nothing)
{
    int how;
    for (how = 0; how < WAYS; how++) {
        run(SPK_RING_SPSC, SPK_RING_REFUSE, 5, 1, 1, (way)how, 3, 0);
        run(SPK_RING_SPSC, SPK_RING_REFUSE, 1000, 1, 1, (way)how, 32, UINT64_C(0xfffffff0));
        run(SPK_RING_SPSC, SPK_RING_WAIT, 64, 1, 1, (way)how, 64, UINT64_MAX - 1000);
    }
}

TEST(mpmc_loses_and_doubles_nothing)
{
    int how;
    for (how = 0; how < WAYS; how++) {
        run(SPK_RING_MPMC, SPK_RING_REFUSE, 5, 2, 2, (way)how, 3, 0);
        run(SPK_RING_MPMC, SPK_RING_REFUSE, 1000, 4, 4, (way)how, 32, UINT64_C(0xfffffff0));
        run(SPK_RING_MPMC, SPK_RING_WAIT, 64, 3, 2, (way)how, 64, UINT64_MAX - 1000);
    }
}

TEST(what_the_policies_drop_is_counted)
{
    int policy;
    for (policy = SPK_RING_OVERWRITE; policy <= SPK_RING_SAMPLE; policy++) {
        run(SPK_RING_SPSC, (spk_ring_policy)policy, 16, 1, 1, ONE, 1, 0);
        run(SPK_RING_SPSC, (spk_ring_policy)policy, 100, 1, 1, BATCH, 32, 0);
        run(SPK_RING_MPMC, (spk_ring_policy)policy, 16, 3, 3, BATCH, 7, UINT64_C(0xfffff000));
    }
}

TEST(waiting_works_without_membarrier)
{
    spk_ring_desc d;
    int kind;
    for (kind = 0; kind < 2; kind++) {
        static job in, out;
        pthread_t a, b;
        spk_ring *r;
        memset(&d, 0, sizeof d);
        memset(&in, 0, sizeof in);
        memset(&out, 0, sizeof out);
        d.kind = (spk_ring_kind)kind;
        d.policy = SPK_RING_WAIT;
        d.capacity = 2;
        d.spin_us = -1.0;
        r = spk_ring_create(&d);
        REQUIRE(r);
        r->fence = 1;
        in.ring = out.ring = r;
        in.items = ITEMS / 20;
        in.batch = 1;
        in.how = out.how = WAITING;
        out.producers = 1;
        pthread_create(&b, NULL, consume, &out);
        pthread_create(&a, NULL, produce, &in);
        pthread_join(a, NULL);
        spk_ring_close(r);
        pthread_join(b, NULL);
        CHECK_EQ(out.count[0], in.items);
        CHECK_EQ(out.disorder + out.torn, 0);
        spk_ring_destroy(r);
    }
}

/* A sleeper that was not woken would sleep SPKI_RING_NAP, a tenth of a second, each time. */
TEST(sleepers_are_woken_at_once)
{
    int kind;
    for (kind = 0; kind < 2; kind++) {
        spk_ring_desc d;
        static job out;
        pthread_t t;
        spk_ring *r;
        spk_ring_info info;
        double start;
        uint32_t n;
        memset(&d, 0, sizeof d);
        memset(&out, 0, sizeof out);
        d.kind = (spk_ring_kind)kind;
        d.spin_us = -1.0;
        d.capacity = 4;
        r = spk_ring_create(&d);
        REQUIRE(r);
        out.ring = r;
        out.how = WAITING;
        out.producers = 1;
        pthread_create(&t, NULL, consume, &out);
        start = spk_clock_seconds();
        for (n = 0; n < 200; n++) {
            item it = make(0, n);
            do spk_ring_get_info(r, &info);
            while (info.sleeps < n + 1 && spk_clock_seconds() < start + 10.0 && sched_yield() == 0);
            CHECK(spk_ring_push(r, &it) == SPK_OK);
            CHECK(spk_ring_drain(r, start + 20.0) == SPK_OK);
        }
        spk_ring_close(r);
        pthread_join(t, NULL);
        CHECK(spk_clock_seconds() - start < 10.0); /* 200 naps would be 20 s */
        CHECK_EQ(out.count[0], 200);
        spk_ring_destroy(r);
    }
}

static void *close_later(void *arg)
{
    struct timespec t = {0, 20000000};
    nanosleep(&t, NULL);
    spk_ring_close((spk_ring *)arg);
    return NULL;
}

/* Answers come back by a second ring; every now and then several items go at a time, so that
   letters are asked for and given up again and again. */
typedef struct dialogue {
    spk_ring *there, *back;
} dialogue;

static void take(spk_ring *r, item *it)
{
    while (spk_ring_pop(r, it) != SPK_OK) sched_yield();
}

static void *answer(void *arg)
{
    dialogue *g = (dialogue *)arg;
    uint32_t n;
    item it;
    for (n = 0; n < ITEMS; n++) {
        item want = make(0, n);
        take(g->there, &it);
        CHECK(!memcmp(&it, &want, sizeof it));
        CHECK(spk_ring_push(g->back, &it) == SPK_OK);
    }
    return NULL;
}

TEST(a_dialogue_with_bursts_loses_nothing)
{
    spk_ring_desc d;
    dialogue g;
    pthread_t t;
    uint32_t n = 0, k, talked = 0, random = 1;
    item it;
    memset(&d, 0, sizeof d);
    d.capacity = 64;
    g.there = spk_ring_create(&d);
    g.back = spk_ring_create(&d);
    REQUIRE(g.there && g.back);
    pthread_create(&t, NULL, answer, &g);
    while (n < ITEMS) {
        uint32_t burst = 1;
        random = random * 1664525u + 1013904223u;
        if (random >> 26 == 0) burst = 1 + (random >> 16) % 5;
        if (burst > ITEMS - n) burst = ITEMS - n;
        for (k = 0; k < burst; k++) {
            it = make(0, n + k);
            CHECK(spk_ring_push(g.there, &it) == SPK_OK);
        }
        for (k = 0; k < burst; k++, n++) {
            item want = make(0, n);
            take(g.back, &it);
            CHECK(!memcmp(&it, &want, sizeof it));
        }
        talked += g.back->control->talking;
    }
    pthread_join(t, NULL);
    CHECK(talked > 0 && talked < ITEMS);
    spk_ring_destroy(g.there);
    spk_ring_destroy(g.back);
}

TEST(closing_wakes_both_sides)
{
    int kind, side;
    for (kind = 0; kind < 2; kind++)
        for (side = 0; side < 2; side++) {
            spk_ring_desc d;
            pthread_t t;
            spk_ring *r;
            item it = make(0, 0);
            memset(&d, 0, sizeof d);
            d.kind = (spk_ring_kind)kind;
            d.policy = SPK_RING_WAIT;
            d.capacity = 1;
            r = spk_ring_create(&d);
            REQUIRE(r);
            if (side == 0) CHECK(spk_ring_push(r, &it) == SPK_OK);
            pthread_create(&t, NULL, close_later, r);
            if (side == 0) CHECK(spk_ring_push(r, &it) == SPK_ERR_CLOSED);
            else CHECK(spk_ring_pop_until(r, &it, SPK_FOREVER) == SPK_ERR_CLOSED);
            pthread_join(t, NULL);
            spk_ring_destroy(r);
        }
}

TEST_MAIN()
