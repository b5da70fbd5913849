/* ---- >>test_pipeline_threads: order, counts and waking with real workers ----
   check: threads */

#include "spikelib.h"

#include "check.h"

#include <pthread.h>

#define KEYS 64u
#define PRODUCERS 3u

/* Sanitizers are slow. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SCALE 1u
#else
#define SCALE 8u
#endif

typedef struct item {
    uint32_t key, number; /* counts within the key and priority */
    uint32_t priority, sum;
} item;

typedef struct sink {
    uint32_t next[KEYS * PRODUCERS][SPK_PRIORITY_COUNT];
    uint64_t seen, wrong;
    bool gaps; /* items may be missing, but none may come late */
} sink;

/* Of one key and priority never two calls at a time, so each word has one writer at a time. */
static spk_result in_order(void *ctx, spk_batch *b)
{
    sink *s = (sink *)ctx;
    const item *in = (const item *)b->items;
    for (size_t i = 0; i < b->count; i++) {
        uint32_t *next = &s->next[in[i].key][in[i].priority];
        const bool right = s->gaps ? in[i].number >= *next : in[i].number == *next;
        if (!right || in[i].priority != (uint32_t)b->priority)
            __atomic_fetch_add(&s->wrong, 1, __ATOMIC_RELAXED);
        *next = in[i].number + 1;
    }
    __atomic_fetch_add(&s->seen, b->count, __ATOMIC_RELAXED);
    return SPK_OK;
}

static spk_result add_one(void *ctx, spk_batch *b)
{
    item *in = (item *)b->items;
    (void)ctx;
    for (size_t i = 0; i < b->count; i++) in[i].sum++;
    return SPK_OK;
}

typedef struct producer {
    spk_pipeline *p;
    uint32_t first, items, burst;
    uint32_t next[KEYS][SPK_PRIORITY_COUNT];
    uint64_t taken, offered;
    bool drops;
    pthread_t thread;
} producer;

static uint32_t random_of(uint32_t a, uint32_t b)
{
    const uint32_t counter[4] = {a, b, 0, 0}, key[2] = {5, 6};
    uint32_t out[4];
    spk_philox4x32(counter, key, out);
    return out[0];
}

/* Bursts of random length, key and priority; every third by reserve and commit. */
static void *produce(void *arg)
{
    producer *pr = (producer *)arg;
    item items[64];
    for (uint32_t k = 0, done = 0; done < pr->items; k++) {
        const uint32_t r = random_of(pr->first, k), key = r % KEYS;
        const uint32_t priority = 1 + (r >> 8) % 5;
        size_t n = 1 + (r >> 16) % pr->burst, took;
        for (size_t i = 0; i < n; i++) {
            const item it = {pr->first + key, pr->next[key][priority] + (uint32_t)i, priority, 0};
            items[i] = it;
        }
        if (r % 3 == 0) {
            spk_pipeline_span span =
                spk_pipeline_reserve(pr->p, (spk_priority)priority, pr->first + key);
            took = span.capacity < n ? span.capacity : n;
            if (span.items) memcpy(span.items, items, took * sizeof *items);
            spk_pipeline_commit(pr->p, &span, took);
        } else if (pr->drops) {
            took = spk_pipeline_offer(pr->p, (spk_priority)priority, pr->first + key, items, n);
        } else {
            took = spk_pipeline_submit_wait(pr->p, (spk_priority)priority, pr->first + key, items,
                                            n, 60.0);
        }
        pr->next[key][priority] += (uint32_t)took;
        pr->taken += took;
        pr->offered += n;
        done += (uint32_t)n;
    }
    return NULL;
}

static void check_conserved(spk_pipeline *p, uint32_t stages)
{
    spk_pipeline_stats s, next;
    for (uint32_t pr = 0; pr < SPK_PRIORITY_COUNT; pr++) {
        for (uint32_t k = 0; k < stages; k++) {
            spk_pipeline_get_stats(p, k, (spk_priority)pr, &s);
            CHECK_EQ(s.in, s.done + s.dropped_all);
            CHECK_EQ(s.depth, 0);
            if (k + 1 == stages) continue;
            spk_pipeline_get_stats(p, k + 1, (spk_priority)pr, &next);
            CHECK_EQ(s.out, next.in);
        }
        spk_pipeline_get_stats(p, SPK_PIPELINE_WHOLE, (spk_priority)pr, &s);
        CHECK_EQ(s.offered, s.refused + s.in + s.dropped[SPK_DROP_FULL]);
        CHECK_EQ(s.latency.count, s.out);
    }
}

static void run_producers(spk_pipeline *p, producer *pr, uint32_t items, bool drops)
{
    for (uint32_t k = 0; k < PRODUCERS; k++) {
        memset(&pr[k], 0, sizeof pr[k]);
        pr[k].p = p;
        pr[k].first = k * KEYS;
        pr[k].items = items;
        pr[k].burst = 20;
        pr[k].drops = drops;
        CHECK_EQ(pthread_create(&pr[k].thread, NULL, produce, &pr[k]), 0);
    }
    for (uint32_t k = 0; k < PRODUCERS; k++) pthread_join(pr[k].thread, NULL);
}

static producer producers[PRODUCERS];
static sink sinks;

/* More workers than CPUs, small rooms, all priorities, stages that may run many at a time: whatever
   is stolen, nothing overtakes within its key and priority, and nothing is lost. */
TEST(order_within_a_key_holds_under_stealing)
{
    spk_pipeline_desc d = {0};
    spk_stage_desc s = {0};
    spk_stage_stats st;
    uint64_t taken = 0, stolen = 0;
    memset(&sinks, 0, sizeof sinks);
    d.workers = 4;
    d.lanes = 8;
    d.batch = 16;
    d.capacity = 256;
    s.concurrency = 4;
    s.no_shedding = true;
    spk_pipeline *p = spk_pipeline_create(&d);
    spk_pipeline_add(p, "one", add_one, NULL, &s);
    spk_pipeline_add(p, "two", add_one, NULL, &s);
    spk_pipeline_add(p, "sink", in_order, &sinks, &s);
    CHECK_EQ(spk_pipeline_start(p), SPK_OK);
    run_producers(p, producers, 50000 * SCALE, false);
    for (uint32_t k = 0; k < PRODUCERS; k++) taken += producers[k].taken;
    CHECK_EQ(spk_pipeline_drain(p, 60.0), SPK_OK);
    CHECK_EQ(sinks.wrong, 0);
    CHECK_EQ(sinks.seen, taken);
    CHECK(taken > 0);
    for (uint32_t k = 0; k < 3; k++) {
        spk_pipeline_get_stage(p, k, &st);
        stolen += st.stolen;
    }
    CHECK(stolen > 0);
    CHECK_EQ(spk_pipeline_stop(p, 1.0), SPK_OK);
    check_conserved(p, 3);
    spk_pipeline_destroy(p);
}

/* A middle stage that fails now and then, and takes its time now and then. */
typedef struct faulty {
    uint32_t calls;
} faulty;

static spk_result fail_sometimes(void *ctx, spk_batch *b)
{
    faulty *f = (faulty *)ctx;
    const uint32_t call = __atomic_fetch_add(&f->calls, 1, __ATOMIC_RELAXED);
    if (call % 1000 == 999) {
        const double until = spk_clock_seconds() + 0.002;
        while (spk_clock_seconds() < until) continue;
    }
    if (random_of(99, call) % 3 == 0) return SPK_ERR_IO;
    return add_one(NULL, b);
}

TEST(retries_keep_order_and_every_drop_is_counted)
{
    spk_pipeline_desc d = {0};
    spk_stage_desc s = {0};
    spk_pipeline_stats st;
    uint64_t offered = 0;
    faulty f = {0};
    memset(&sinks, 0, sizeof sinks);
    sinks.gaps = true;
    d.workers = 3;
    d.lanes = 4;
    d.batch = 8;
    d.capacity = 128;
    s.concurrency = 3;
    s.adaptive = true;
    s.retries = 1;
    s.backoff_us = 50;
    s.breaker_failures = 0.9;
    s.deadline_us = 50000;
    s.codel_target_us = 500;
    s.codel_interval_us = 5000;
    spk_pipeline *p = spk_pipeline_create(&d);
    spk_pipeline_add(p, "faulty", fail_sometimes, &f, &s);
    s.breaker_failures = 0.0;
    s.deadline_us = 0;
    spk_pipeline_add(p, "sink", in_order, &sinks, &s);
    CHECK_EQ(spk_pipeline_start(p), SPK_OK);
    run_producers(p, producers, 20000 * SCALE, true);
    for (uint32_t k = 0; k < PRODUCERS; k++) offered += producers[k].taken;
    CHECK_EQ(spk_pipeline_drain(p, 60.0), SPK_OK);
    CHECK_EQ(sinks.wrong, 0);
    spk_pipeline_get_stats(p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_DEFAULT, &st);
    CHECK_EQ(st.in, offered);
    CHECK_EQ(st.in, sinks.seen + st.dropped_all - st.dropped[SPK_DROP_FULL]);
    CHECK(st.retries > 0);
    CHECK(st.dropped[SPK_DROP_FAILED] > 0);
    CHECK_EQ(spk_pipeline_stop(p, 1.0), SPK_OK);
    check_conserved(p, 2);
    spk_pipeline_destroy(p);
}

/* Workers asleep wake for each single item; nothing is left lying. */
TEST(a_lone_item_wakes_a_sleeping_worker)
{
    spk_pipeline_desc d = {0};
    spk_pipeline_stats st;
    uint32_t next = 0;
    memset(&sinks, 0, sizeof sinks);
    d.workers = 2;
    d.spin_us = 1;
    spk_pipeline *p = spk_pipeline_create(&d);
    spk_pipeline_add(p, "one", add_one, NULL, NULL);
    spk_pipeline_add(p, "sink", in_order, &sinks, NULL);
    CHECK_EQ(spk_pipeline_start(p), SPK_OK);
    for (uint32_t k = 0; k < 2000 * SCALE; k++) {
        const item it = {7, next++, SPK_PRIORITY_HIGH, 0};
        CHECK_EQ(spk_pipeline_submit(p, SPK_PRIORITY_HIGH, 7, &it, 1), 1);
        if (k % 4 == 0) CHECK_EQ(spk_pipeline_drain(p, 20.0), SPK_OK);
    }
    CHECK_EQ(spk_pipeline_drain(p, 20.0), SPK_OK);
    CHECK_EQ(sinks.wrong, 0);
    CHECK_EQ(sinks.seen, next);
    spk_pipeline_get_stats(p, 0, SPK_PRIORITY_HIGH, &st);
    CHECK_EQ(st.done, next);
    spk_pipeline_destroy(p);
}

static spk_result slow(void *ctx, spk_batch *b)
{
    const double until = spk_clock_seconds() + 0.001;
    (void)ctx;
    (void)b;
    while (spk_clock_seconds() < until) continue;
    return SPK_OK;
}

/* Stopping with a backlog: it ends, and what did not come through is counted. */
TEST(stopping_with_a_backlog_ends_and_counts)
{
    spk_pipeline_desc d = {0};
    spk_stage_desc s = {0};
    spk_pipeline_stats st;
    static item items[4096];
    d.workers = 2;
    s.no_shedding = true;
    spk_pipeline *p = spk_pipeline_create(&d);
    spk_pipeline_add(p, "pass", add_one, NULL, &s);
    spk_pipeline_add(p, "slow", slow, NULL, &s);
    CHECK_EQ(spk_pipeline_start(p), SPK_OK);
    for (uint64_t k = 0; k < 16; k++)
        CHECK_EQ(spk_pipeline_submit(p, SPK_PRIORITY_BATCH, k, items, 4096), 4096);
    CHECK_EQ(spk_pipeline_stop(p, 0.005), SPK_ERR_TIMEOUT);
    spk_pipeline_get_stats(p, SPK_PIPELINE_WHOLE, SPK_PRIORITY_DEFAULT, &st);
    CHECK_EQ(st.in, 65536);
    CHECK_EQ(st.in, st.out + st.dropped_all);
    CHECK(st.dropped[SPK_DROP_CLOSED] > 0);
    check_conserved(p, 2);
    spk_pipeline_destroy(p);
}

/* A stage with a concurrency of 1 is never called twice at a time; one with 3 at most three times.
 */
typedef struct crowd {
    int32_t inside, most;
} crowd;

static spk_result crowded(void *ctx, spk_batch *b)
{
    crowd *c = (crowd *)ctx;
    const int32_t now = __atomic_add_fetch(&c->inside, 1, __ATOMIC_SEQ_CST);
    int32_t most = __atomic_load_n(&c->most, __ATOMIC_SEQ_CST);
    while (now > most && !__atomic_compare_exchange_n(&c->most, &most, now, false, __ATOMIC_SEQ_CST,
                                                      __ATOMIC_SEQ_CST))
        continue;
    (void)slow(NULL, b);
    __atomic_sub_fetch(&c->inside, 1, __ATOMIC_SEQ_CST);
    return SPK_OK;
}

TEST(a_stage_is_called_by_no_more_workers_than_it_allows)
{
    for (uint32_t allowed = 1; allowed <= 3; allowed += 2) {
        spk_pipeline_desc d = {0};
        spk_stage_desc s = {0};
        crowd c = {0, 0};
        d.workers = 5;
        s.concurrency = allowed;
        spk_pipeline *p = spk_pipeline_create(&d);
        spk_pipeline_add(p, "crowded", crowded, &c, &s);
        CHECK_EQ(spk_pipeline_start(p), SPK_OK);
        for (uint64_t k = 0; k < 60; k++)
            spk_pipeline_submit(p, SPK_PRIORITY_CRITICAL, k, "0123456789abcdef", 1);
        CHECK_EQ(spk_pipeline_drain(p, 20.0), SPK_OK);
        CHECK(c.most >= 1 && c.most <= (int32_t)allowed);
        if (allowed > 1) CHECK(c.most > 1);
        spk_pipeline_destroy(p);
    }
}

TEST_MAIN()
