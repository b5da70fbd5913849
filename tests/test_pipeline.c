/* ---- >>test_pipeline: every policy on a clock turned by hand, one batch at a time ---- */

#define SPIKELIB_NO_NET
#define SPIKELIB_NO_EVENTS
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "check.h"
#include "heap.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

/* -- a pipeline turned by hand -- */

typedef struct world {
    int64_t now;
    spk_pipeline *p;
    char log[512]; /* a letter for each item that the stage saw */
    int64_t at[512];
    size_t seen;
    int64_t cost;  /* of a call */
    int fail_next; /* so many calls fail */
    size_t most;   /* items of the largest call */
} world;

static int64_t world_now(void *ctx)
{
    return ((world *)ctx)->now;
}

typedef struct item {
    char name;
    char pad[15];
} item;

static spk_result note(void *ctx, spk_batch *b)
{
    world *w = (world *)ctx;
    const item *in = (const item *)b->items;
    w->now += w->cost;
    w->most = b->count > w->most ? b->count : w->most;
    if (w->fail_next > 0) {
        w->fail_next--;
        return SPK_ERR_IO;
    }
    for (size_t i = 0; i < b->count && w->seen < 500; i++) {
        w->log[w->seen] = in[i].name;
        w->at[w->seen++] = w->now;
    }
    return SPK_OK;
}

static spk_result pass(void *ctx, spk_batch *b)
{
    (void)ctx;
    (void)b;
    return SPK_OK;
}

static spk_pipeline_desc manual_desc(world *w)
{
    spk_pipeline_desc d = {0};
    d.manual = true;
    d.clock.ctx = w;
    d.clock.now_ns = world_now;
    d.capacity = 1024;
    d.batch = 16;
    d.lanes = 4;
    return d;
}

static void begin(world *w, const spk_pipeline_desc *d, const spk_stage_desc *s)
{
    w->p = spk_pipeline_create(d);
    spk_pipeline_add(w->p, "note", note, w, s);
    CHECK_EQ(spk_pipeline_start(w->p), SPK_OK);
    CHECK_STR(spk_pipeline_error(w->p), "");
}

static size_t put(world *w, spk_priority priority, uint64_t key, const char *names)
{
    item items[256];
    const size_t n = strlen(names);
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < n; i++) items[i].name = names[i];
    return spk_pipeline_submit(w->p, priority, key, items, n);
}

static spk_pipeline_stats stats_of(world *w, uint32_t stage, spk_priority priority)
{
    spk_pipeline_stats s;
    CHECK_EQ(spk_pipeline_get_stats(w->p, stage, priority, &s), SPK_OK);
    return s;
}

/* Conservation, of each stage and priority and of the whole. */
static void check_counts(world *w, uint32_t stages)
{
    for (uint32_t pr = 0; pr < SPK_PRIORITY_COUNT; pr++) {
        for (uint32_t k = 0; k < stages; k++) {
            const spk_pipeline_stats s = stats_of(w, k, (spk_priority)pr);
            uint64_t sum = 0;
            for (int r = 0; r < SPK_DROP_COUNT; r++) sum += s.dropped[r];
            CHECK_EQ(sum, s.dropped_all);
            CHECK_EQ(s.in, s.done + s.dropped_all + s.depth);
            if (k + 1 < stages) CHECK_EQ(stats_of(w, k + 1, (spk_priority)pr).in, s.out);
        }
        const spk_pipeline_stats s = stats_of(w, SPK_PIPELINE_WHOLE, (spk_priority)pr);
        CHECK_EQ(s.offered, s.refused + s.dropped[SPK_DROP_FULL] + s.in);
    }
}

static void finish(world *w, uint32_t stages)
{
    check_counts(w, stages);
    (void)spk_pipeline_stop(w->p, 0.0);
    check_counts(w, stages);
    spk_pipeline_destroy(w->p);
}

/* -- order and priorities -- */

TEST(the_most_urgent_goes_first_and_order_is_kept_within)
{
    world w = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    begin(&w, &d, NULL);
    put(&w, SPK_PRIORITY_BATCH, 1, "ab");
    put(&w, SPK_PRIORITY_LOW, 1, "cd");
    put(&w, SPK_PRIORITY_DEFAULT, 1, "ef");
    put(&w, SPK_PRIORITY_HIGH, 1, "gh");
    put(&w, SPK_PRIORITY_CRITICAL, 1, "ij");
    put(&w, SPK_PRIORITY_BATCH, 1, "kl");
    while (spk_pipeline_step(w.p)) continue;
    w.log[w.seen] = 0;
    CHECK_STR(w.log, "ijghefcdabkl");
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_NORMAL).done, 2);
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_DEFAULT).done, 12);
    finish(&w, 1);
}

/* A boost of 10 ms: a batch item is worth low at 10, normal at 20, high at 30 ms. Of equal rank the
   older goes first; a critical item is never overtaken (the overdue share is switched off here). */
TEST(waiting_lifts_an_item_one_level_every_boost)
{
    struct {
        spk_priority rival;
        int64_t age_us;
        const char *want;
    } cases[] = {
        {SPK_PRIORITY_LOW, 9999, "rb"},
        {SPK_PRIORITY_LOW, 10000, "br"},
        {SPK_PRIORITY_NORMAL, 19999, "rb"},
        {SPK_PRIORITY_NORMAL, 20000, "br"},
        {SPK_PRIORITY_HIGH, 29999, "rb"},
        {SPK_PRIORITY_HIGH, 30000, "br"},
        {SPK_PRIORITY_CRITICAL, 1000000000, "rb"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        world w = {0};
        spk_stage_desc s = {0};
        spk_pipeline_desc d = manual_desc(&w);
        s.no_shedding = true;
        d.overdue_share = UINT32_MAX;
        begin(&w, &d, &s);
        w.now = 5 * MS;
        put(&w, SPK_PRIORITY_BATCH, 1, "b");
        w.now += cases[k].age_us * US;
        put(&w, cases[k].rival, 2, "r");
        while (spk_pipeline_step(w.p)) continue;
        w.log[w.seen] = 0;
        CHECK_STR(w.log, cases[k].want);
        finish(&w, 1);
    }
}

/* Critical work without end, and one batch item: it is overdue at 4 boosts (40 ms), and then the
   next pick whose number is a multiple of 16 is its. A call takes 1 ms and critical items come
   before each: pick 16 is at 15 ms (not overdue), 32 at 31 ms (not), 48 at 47 ms: it runs. */
TEST(one_pick_in_sixteen_goes_to_what_is_overdue)
{
    world w = {0};
    spk_stage_desc s = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    s.no_shedding = true;
    begin(&w, &d, &s);
    w.cost = MS;
    put(&w, SPK_PRIORITY_BATCH, 1, "b");
    for (int k = 0; k < 100; k++) {
        put(&w, SPK_PRIORITY_CRITICAL, 2, "c");
        CHECK(spk_pipeline_step(w.p));
    }
    for (size_t k = 0; k < w.seen; k++) CHECK_EQ(w.log[k] == 'b', k == 47);
    CHECK_EQ(w.at[47], 48 * MS);
    finish(&w, 1);
}

TEST(two_lanes_of_one_priority_go_by_age)
{
    world w = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    uint64_t other = 2;
    begin(&w, &d, NULL);
    while (spki_lane_of(w.p, other) == spki_lane_of(w.p, 1)) other++;
    put(&w, SPK_PRIORITY_NORMAL, other, "a");
    w.now += 1;
    put(&w, SPK_PRIORITY_NORMAL, 1, "b");
    w.now += 1;
    put(&w, SPK_PRIORITY_NORMAL, other, "c");
    while (spk_pipeline_step(w.p)) continue;
    w.log[w.seen] = 0;
    CHECK_STR(w.log, "acb"); /* c was appended to a's batch */
    finish(&w, 1);
}

/* -- batches -- */

/* While items wait they fill the newest block (16 here); a call gets as much as there is, up to a
   limit that starts at 16, halves when a call takes more than a slice, and doubles back. */
TEST(batches_grow_under_load_and_shrink_when_calls_are_slow_or_idle)
{
    world w = {0};
    spk_stage_desc s = {0};
    spk_pipeline_desc d = manual_desc(&w);
    spk_stage_stats st;
    d.batch = 64;
    s.slice_us = 100;
    begin(&w, &d, &s);
    for (int k = 0; k < 200; k++) put(&w, SPK_PRIORITY_NORMAL, 1, "x");
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_NORMAL).depth, 200);
    CHECK_NEAR(spk_pipeline_pressure(w.p, SPK_PRIORITY_NORMAL), 4.0 / 20.0, 1e-12);
    while (spk_pipeline_step(w.p)) continue;
    /* 16, 32, then 64 at most: blocks of 64, 64, 64, 8 in slices 16 32 16 | 64 | 64 | 8 */
    CHECK_EQ(w.most, 64);
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_NORMAL).calls, 6);
    w.cost = 150 * US; /* slower than a slice: 64 -> 32 -> 16 */
    put(&w, SPK_PRIORITY_NORMAL, 1,
        "0123456789012345678901234567890123456789012345678901234567890123");
    while (spk_pipeline_step(w.p)) continue;
    spk_pipeline_get_stage(w.p, 0, &st);
    CHECK(st.batch <= 16);
    w.cost = 0;
    for (int k = 0; k < 20; k++) { /* single items: idle */
        put(&w, SPK_PRIORITY_NORMAL, 1, "y");
        while (spk_pipeline_step(w.p)) continue;
    }
    spk_pipeline_get_stage(w.p, 0, &st);
    CHECK(st.batch <= 4);
    finish(&w, 1);
}

/* Between two slices of a block something more urgent gets its turn, and the block goes on after.
 */
static spk_result interrupt(void *ctx, spk_batch *b)
{
    world *w = (world *)ctx;
    if (b->priority == SPK_PRIORITY_BATCH && w->seen == 0) put(w, SPK_PRIORITY_CRITICAL, 9, "c");
    return note(ctx, b);
}

TEST(a_batch_is_left_at_a_slice_and_taken_up_again)
{
    world w = {0};
    spk_stage_desc s = {0};
    spk_pipeline_desc d = manual_desc(&w);
    d.batch = 64;
    s.batch = 4;
    w.p = spk_pipeline_create(&d);
    spk_pipeline_add(w.p, "interrupt", interrupt, &w, &s);
    CHECK_EQ(spk_pipeline_start(w.p), SPK_OK);
    put(&w, SPK_PRIORITY_BATCH, 1, "0123456789");
    while (spk_pipeline_step(w.p)) continue;
    w.log[w.seen] = 0;
    CHECK_STR(w.log, "0123c456789");
    finish(&w, 1);
}

/* -- stages that change their items -- */

/* In place: keeps capitals. With an out_size: doubles each item into two wider ones. */
static spk_result capitals(void *ctx, spk_batch *b)
{
    item *items = (item *)b->items;
    size_t kept = 0;
    (void)ctx;
    for (size_t i = 0; i < b->count; i++)
        if (items[i].name >= 'A' && items[i].name <= 'Z') items[kept++] = items[i];
    b->count = kept;
    return SPK_OK;
}

typedef struct wide {
    char name;
    char pad[39];
} wide;

static spk_result twice(void *ctx, spk_batch *b)
{
    const item *in = (const item *)b->items;
    wide *out = (wide *)b->out;
    (void)ctx;
    if (2 * b->count > b->capacity) return SPK_ERR_FULL;
    for (size_t i = 0; i < b->count; i++) out[2 * i].name = out[2 * i + 1].name = in[i].name;
    b->count *= 2;
    return SPK_OK;
}

static spk_result note_wide(void *ctx, spk_batch *b)
{
    world *w = (world *)ctx;
    const wide *in = (const wide *)b->items;
    for (size_t i = 0; i < b->count; i++) w->log[w->seen++] = in[i].name;
    return SPK_OK;
}

TEST(stages_filter_in_place_and_may_change_size_and_number)
{
    world w = {0};
    spk_pipeline_desc d = manual_desc(&w);
    spk_stage_desc wider = {0}, small = {0};
    wider.out_size = sizeof(wide);
    small.batch = 3; /* several slices a block */
    w.p = spk_pipeline_create(&d);
    spk_pipeline_add(w.p, "capitals", capitals, NULL, &small);
    spk_pipeline_add(w.p, "twice", twice, NULL, &wider);
    spk_pipeline_add(w.p, "note", note_wide, &w, NULL);
    CHECK_EQ(spk_pipeline_start(w.p), SPK_OK);
    put(&w, SPK_PRIORITY_NORMAL, 1, "aBcDeFGh");
    put(&w, SPK_PRIORITY_NORMAL, 1, "xyz");
    put(&w, SPK_PRIORITY_NORMAL, 1, "K");
    while (spk_pipeline_step(w.p)) continue;
    w.log[w.seen] = 0;
    CHECK_STR(w.log, "BBDDFFGGKK");
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_NORMAL).in, 12);
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_NORMAL).out, 5);
    CHECK_EQ(stats_of(&w, 2, SPK_PRIORITY_NORMAL).in, 10);
    finish(&w, 3);
}

/* -- deadlines, retries, breaker, shedding -- */

TEST(what_is_older_than_the_deadline_does_not_enter_the_stage)
{
    world w = {0};
    spk_stage_desc s = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    s.deadline_us = 5000;
    begin(&w, &d, &s);
    put(&w, SPK_PRIORITY_CRITICAL, 1, "abc");
    w.now += 5 * MS;
    put(&w, SPK_PRIORITY_HIGH, 1, "de");
    while (spk_pipeline_step(w.p)) continue; /* abc: exactly 5 ms, not older */
    put(&w, SPK_PRIORITY_CRITICAL, 1, "fgh");
    w.now += 5 * MS + 1;
    while (spk_pipeline_step(w.p)) continue;
    w.log[w.seen] = 0;
    CHECK_STR(w.log, "abcde");
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_CRITICAL).dropped[SPK_DROP_DEADLINE], 3);
    finish(&w, 1);
}

/* Without jitter: 1, 2, 4, 5, 5 ms (the maximum); the sixth failure gives up. What comes behind in
   the same lane and priority waits; another lane does not. */
TEST(retries_back_off_hold_their_lane_and_give_up)
{
    world w = {0};
    spk_stage_desc s = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    const int64_t want[] = {1, 3, 7, 12, 17};
    uint64_t other = 2;
    s.retries = 5;
    s.backoff_us = 1000;
    s.backoff_max_us = 5000;
    s.jitter = -1.0;
    begin(&w, &d, &s);
    while (spki_lane_of(w.p, other) == spki_lane_of(w.p, 1)) other++;
    put(&w, SPK_PRIORITY_NORMAL, 1, "a");
    w.fail_next = 6;
    CHECK(spk_pipeline_step(w.p));
    put(&w, SPK_PRIORITY_NORMAL, 1, "b");
    for (int k = 0; k < 5; k++) {
        CHECK(!spk_pipeline_step(w.p));
        CHECK_EQ(spk_pipeline_next_ns(w.p), want[k] * MS);
        w.now = want[k] * MS - 1;
        CHECK(!spk_pipeline_step(w.p));
        w.now = want[k] * MS;
        CHECK(spk_pipeline_step(w.p));
    }
    CHECK_EQ(w.fail_next, 0);
    put(&w, SPK_PRIORITY_NORMAL, other, "o");
    while (spk_pipeline_step(w.p)) continue;
    w.log[w.seen] = 0;
    CHECK(strlen(w.log) == 2 && strchr(w.log, 'b') && strchr(w.log, 'o'));
    const spk_pipeline_stats st = stats_of(&w, 0, SPK_PRIORITY_NORMAL);
    CHECK_EQ(st.retries, 5);
    CHECK_EQ(st.failures, 6);
    CHECK_EQ(st.dropped[SPK_DROP_FAILED], 1);
    finish(&w, 1);
}

TEST(a_retry_that_succeeds_delivers_in_order)
{
    world w = {0};
    spk_stage_desc s = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    s.retries = 3;
    begin(&w, &d, &s);
    put(&w, SPK_PRIORITY_NORMAL, 1, "abc");
    w.fail_next = 2;
    while (w.seen < 6) {
        if (spk_pipeline_step(w.p)) continue;
        if (stats_of(&w, 0, SPK_PRIORITY_NORMAL).in == 3) put(&w, SPK_PRIORITY_NORMAL, 1, "def");
        REQUIRE(spk_pipeline_next_ns(w.p) != INT64_MAX);
        w.now = spk_pipeline_next_ns(w.p);
    }
    w.log[w.seen] = 0;
    CHECK_STR(w.log, "abcdef");
    CHECK(w.now > MS / 2 && w.now <= 3 * MS); /* 1 + 2 ms, less up to half */
    finish(&w, 1);
}

/* Four failing calls open it (window 4); closed for 1 s: drops; then two trials. */
TEST(the_breaker_drops_or_holds_while_open_and_lets_trials_through)
{
    for (int holds = 0; holds < 2; holds++) {
        world w = {0};
        spk_stage_desc s = {0};
        const spk_pipeline_desc d = manual_desc(&w);
        spk_stage_stats st;
        s.breaker_failures = 0.5;
        s.breaker_window = 4;
        s.breaker_trials = 2;
        s.breaker_open_us = 1000000;
        s.breaker_holds = holds;
        begin(&w, &d, &s);
        w.now = 1;
        w.fail_next = 4;
        for (int k = 0; k < 4; k++) {
            put(&w, SPK_PRIORITY_HIGH, 1, "f");
            CHECK(spk_pipeline_step(w.p));
        }
        spk_pipeline_get_stage(w.p, 0, &st);
        CHECK_EQ(st.breaker, SPK_BREAKER_OPEN);
        CHECK_EQ(st.breaker_opened, 1);
        w.now = 500 * MS;
        put(&w, SPK_PRIORITY_HIGH, 1, "a");
        while (spk_pipeline_step(w.p)) continue;
        CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_HIGH).dropped[SPK_DROP_BREAKER], holds ? 0 : 1);
        if (holds) CHECK_EQ(spk_pipeline_next_ns(w.p), 1000 * MS + 1);
        w.now = 1000 * MS + 1;
        while (spk_pipeline_step(w.p)) continue;
        for (int k = holds; k < 2; k++) {
            put(&w, SPK_PRIORITY_HIGH, 1, "b");
            spk_pipeline_get_stage(w.p, 0, &st);
            CHECK_EQ(st.breaker, k == 0 ? SPK_BREAKER_OPEN : SPK_BREAKER_HALF_OPEN);
            CHECK(spk_pipeline_step(w.p));
        }
        spk_pipeline_get_stage(w.p, 0, &st);
        CHECK_EQ(st.breaker, SPK_BREAKER_CLOSED);
        w.log[w.seen] = 0;
        CHECK_STR(w.log, holds ? "ab" : "bb");
        finish(&w, 1);
    }
}

/* A call every ms, of one block each; blocks have waited 10 ms and the queue never empties. The
   times are those of RFC 8289 (tests/test_pipeline_policy.c): drops at 100, 200, 271, 329, 379. */
TEST(an_overloaded_queue_sheds_by_the_law_and_critical_items_never)
{
    for (int critical = 0; critical < 2; critical++) {
        world w = {0};
        spk_stage_desc s = {0};
        spk_pipeline_desc d = manual_desc(&w);
        const spk_priority priority = critical ? SPK_PRIORITY_CRITICAL : SPK_PRIORITY_NORMAL;
        const int64_t want[] = {100, 200, 271, 329, 379};
        uint64_t before = 0;
        int found = 0;
        d.batch = 1; /* an item a block */
        begin(&w, &d, &s);
        for (int64_t t = -10; t < 400; t++) {
            w.now = (t + 10) * MS; /* so that it starts at 0 */
            put(&w, priority, 1, "x");
            if (t < 0) continue;
            w.seen = 0;
            const uint64_t calls = stats_of(&w, 0, priority).calls;
            while (stats_of(&w, 0, priority).calls == calls) CHECK(spk_pipeline_step(w.p));
            const uint64_t shed = stats_of(&w, 0, priority).dropped[SPK_DROP_SHED];
            if (shed != before && found < 5) CHECK_EQ(t, want[found++]);
            if (shed != before) put(&w, priority, 1, "y"); /* keeps the wait at 10 ms */
            before = shed;
        }
        CHECK_EQ(found, critical ? 0 : 5);
        finish(&w, 1);
    }
}

/* -- room -- */

TEST(capacity_is_what_was_asked_for_and_a_full_pipeline_refuses_or_counts)
{
    world w = {0};
    spk_stage_desc s = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    item items[100];
    size_t taken = 0, n;
    memset(items, 'x', sizeof items);
    s.no_shedding = true;
    begin(&w, &d, &s);
    while ((n = spk_pipeline_submit(w.p, SPK_PRIORITY_LOW, 1, items, 7)) > 0) taken += n;
    CHECK(taken >= 1024);
    CHECK_EQ(taken, 1024 + 4 * 16); /* and the blocks that lanes may have begun */
    CHECK(spk_pipeline_pause(w.p, SPK_PRIORITY_LOW, false));
    CHECK_NEAR(spk_pipeline_pressure(w.p, SPK_PRIORITY_LOW), 1.0, 0.0);
    CHECK_EQ(spk_pipeline_offer(w.p, SPK_PRIORITY_LOW, 1, items, 5), 0);
    CHECK_EQ(spk_pipeline_submit_wait(w.p, SPK_PRIORITY_LOW, 1, items, 5, 0.01), 0);
    CHECK_EQ(stats_of(&w, SPK_PIPELINE_WHOLE, SPK_PRIORITY_LOW).dropped[SPK_DROP_FULL], 5);
    /* The flood of one priority keeps out no other. */
    CHECK_EQ(put(&w, SPK_PRIORITY_CRITICAL, 1, "c"), 1);
    CHECK_NEAR(spk_pipeline_pressure(w.p, SPK_PRIORITY_CRITICAL), 1.0 / 68.0, 1e-12);
    /* Two marks: pausing ends below a half. */
    bool paused = true;
    int steps = 0;
    while (paused && spk_pipeline_step(w.p)) {
        paused = spk_pipeline_pause(w.p, SPK_PRIORITY_LOW, paused);
        steps++;
    }
    CHECK(spk_pipeline_pressure(w.p, SPK_PRIORITY_LOW) < 0.5);
    CHECK(steps > 30);
    CHECK_EQ(spk_pipeline_drain(w.p, 0.0), SPK_OK);
    const spk_pipeline_stats whole = stats_of(&w, SPK_PIPELINE_WHOLE, SPK_PRIORITY_DEFAULT);
    CHECK_EQ(whole.offered, whole.refused + whole.out + whole.dropped_all);
    finish(&w, 1);
}

TEST(a_span_is_written_in_place_and_handed_over_in_order)
{
    world w = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    begin(&w, &d, NULL);
    put(&w, SPK_PRIORITY_NORMAL, 1, "a");
    spk_pipeline_span span = spk_pipeline_reserve(w.p, SPK_PRIORITY_NORMAL, 1);
    REQUIRE(span.items != NULL);
    CHECK_EQ(span.capacity, 16);
    for (int k = 0; k < 3; k++) ((item *)span.items)[k].name = (char)('b' + k);
    spk_pipeline_commit(w.p, &span, 3);
    CHECK(span.items == NULL);
    put(&w, SPK_PRIORITY_NORMAL, 1, "e");
    span = spk_pipeline_reserve(w.p, SPK_PRIORITY_NORMAL, 1);
    spk_pipeline_commit(w.p, &span, 0); /* nothing came of it */
    CHECK_EQ(spk_pipeline_drain(w.p, 0.0), SPK_OK);
    w.log[w.seen] = 0;
    CHECK_STR(w.log, "abcde");
    CHECK_EQ(stats_of(&w, 0, SPK_PRIORITY_NORMAL).calls, 1); /* small blocks became one batch */
    finish(&w, 1);
}

/* -- closing -- */

TEST(stopping_counts_what_did_not_come_through)
{
    world w = {0};
    spk_pipeline_desc d = manual_desc(&w);
    w.p = spk_pipeline_create(&d);
    spk_pipeline_add(w.p, "one", pass, NULL, NULL);
    spk_pipeline_add(w.p, "two", note, &w, NULL);
    CHECK_EQ(spk_pipeline_start(w.p), SPK_OK);
    put(&w, SPK_PRIORITY_NORMAL, 1, "abcd");
    put(&w, SPK_PRIORITY_NORMAL, 3, "efg");
    CHECK(spk_pipeline_step(w.p));
    spk_pipeline_close(w.p);
    CHECK_EQ(put(&w, SPK_PRIORITY_NORMAL, 1, "x"), 0);
    w.fail_next = 1000000;
    CHECK_EQ(spk_pipeline_stop(w.p, 0.0), SPK_OK); /* steps through; the second stage fails */
    CHECK_EQ(stats_of(&w, 1, SPK_PRIORITY_NORMAL).dropped[SPK_DROP_FAILED], 7);
    CHECK_EQ(spk_pipeline_stop(w.p, 0.0), SPK_ERR_STATE);
    CHECK(!spk_pipeline_step(w.p));
    finish(&w, 2);

    world v = {0};
    spk_stage_desc s = {0};
    s.retries = 10;
    d = manual_desc(&v);
    begin(&v, &d, &s);
    v.fail_next = 1;
    put(&v, SPK_PRIORITY_LOW, 1, "abcd");
    CHECK(spk_pipeline_step(v.p));
    CHECK_EQ(spk_pipeline_drain(v.p, 0.0), SPK_ERR_TIMEOUT); /* waits for a retry */
    CHECK_EQ(spk_pipeline_stop(v.p, 0.0), SPK_ERR_TIMEOUT);
    CHECK_EQ(stats_of(&v, 0, SPK_PRIORITY_LOW).dropped[SPK_DROP_CLOSED], 4);
    CHECK_EQ(stats_of(&v, 0, SPK_PRIORITY_LOW).depth, 0);
    finish(&v, 1);
}

/* -- adaptive concurrency -- */

/* Other workers' calls, as many as are allowed beside the one to come. */
static uint32_t step_beside(world *w, const char *item)
{
    spki_stage *s = &w->p->stage[0];
    spk_stage_stats st;
    CHECK_EQ(put(w, SPK_PRIORITY_NORMAL, 1, item), 1);
    s->running = s->allowed;
    CHECK(!spk_pipeline_step(w->p)); /* as many calls as are allowed run already */
    s->running = s->allowed - 1;
    CHECK(spk_pipeline_step(w->p));
    s->running = 0;
    CHECK_EQ(spk_pipeline_get_stage(w->p, 0, &st), SPK_OK);
    return st.concurrency;
}

/* Gradient2 with a tolerance of 1.5, a smoothing of 0.2 and a queue of 1: a call that takes ten
   times the average halves the aim (the gradient's floor), so limit -> 0.9 limit + 0.2; one that
   takes the average raises it by 0.2. From 8: 7.4, 6.86, 6.374, 5.9366, 5.5429, 5.1886, 4.8698,
   4.5828; then 4.7828, 4.9828, 5.1828, ..., 5.9828, 6.1828. What is allowed is the whole part. */
TEST(concurrency_falls_when_calls_slow_down_and_comes_back)
{
    static const uint32_t slow[] = {7, 6, 6, 5, 5, 5, 4, 4};
    static const uint32_t quick[] = {4, 4, 5, 5, 5, 5, 5, 6};
    world w = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    spk_stage_desc s = {0};
    s.adaptive = true;
    s.concurrency = 8;
    begin(&w, &d, &s);
    w.cost = 100 * US;
    for (int k = 0; k < 12; k++) CHECK_EQ(step_beside(&w, "a"), 8);
    w.cost = 1000 * US;
    for (int k = 0; k < 8; k++) CHECK_EQ(step_beside(&w, "b"), slow[k]);
    w.cost = 100 * US;
    for (int k = 0; k < 8; k++) CHECK_EQ(step_beside(&w, "c"), quick[k]);
    for (int k = 0; k < 9; k++) (void)step_beside(&w, "d");
    CHECK_EQ(step_beside(&w, "e"), 8);
    CHECK_EQ(step_beside(&w, "f"), 8); /* never above what was asked for */
    finish(&w, 1);
}

/* A stage that is hardly used says nothing about how much it could do. */
TEST(concurrency_stays_while_less_than_half_of_it_is_used)
{
    world w = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    spk_stage_desc s = {0};
    s.adaptive = true;
    s.concurrency = 8;
    begin(&w, &d, &s);
    for (int k = 0; k < 30; k++) {
        spk_stage_stats st;
        w.cost = k < 12 ? 100 * US : 1000 * US;
        CHECK_EQ(put(&w, SPK_PRIORITY_NORMAL, 1, "a"), 1);
        CHECK(spk_pipeline_step(w.p));
        CHECK_EQ(spk_pipeline_get_stage(w.p, 0, &st), SPK_OK);
        CHECK_EQ(st.concurrency, 8);
    }
    finish(&w, 1);
}

/* -- sequence numbers -- */

/* Those of the queues have 32 bits. */
TEST(sequence_numbers_wrap_at_32_bits)
{
    world w = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    char want[301] = {0};
    w.p = spk_pipeline_create(&d);
    CHECK_EQ(spk_pipeline_add(w.p, "pass", pass, NULL, NULL), SPK_OK);
    CHECK_EQ(spk_pipeline_add(w.p, "note", note, &w, NULL), SPK_OK);
    CHECK_EQ(spk_pipeline_start(w.p), SPK_OK);
    for (uint32_t k = 0; k < 2 * w.p->lanes * (SPK_PRIORITY_COUNT - 1); k++) {
        w.p->queue[k].open = UINT64_C(0xfffffffe) << 32;
        w.p->queue[k].seq = 0xfffffffeu;
    }
    for (int round = 0; round < 30; round++) {
        char ten[11] = {0};
        for (int k = 0; k < 10; k++) ten[k] = want[round * 10 + k] = (char)('a' + (round + k) % 26);
        if (round % 3 == 0) { /* one at a time, all waiting: items are appended across the wrap */
            for (int k = 0; k < 10; k++) {
                const char one[2] = {ten[k], 0};
                CHECK_EQ(put(&w, SPK_PRIORITY_NORMAL, 1, one), 1);
            }
        } else {
            CHECK_EQ(put(&w, SPK_PRIORITY_NORMAL, 1, ten), 10);
        }
        if (round % 2 == 0) continue;
        while (spk_pipeline_step(w.p)) continue;
    }
    while (spk_pipeline_step(w.p)) continue;
    CHECK_EQ(w.seen, 300);
    CHECK_STR(w.log, want);
    CHECK((w.p->queue[spki_queue_index(w.p, 0, spki_lane_of(w.p, 1), 2)].open >> 32) < 1000);
    finish(&w, 2);
}

/* -- errors -- */

TEST(every_allocation_may_fail_and_nothing_leaks)
{
    for (size_t fail = 1;; fail++) {
        world w = {0};
        heap h = {0};
        spk_pipeline_desc d = manual_desc(&w);
        d.allocator = heap_allocator(&h);
        h.fail_at = fail;
        spk_pipeline *p = spk_pipeline_create(&d);
        if (!p) {
            CHECK_EQ(fail, 1);
            continue;
        }
        spk_pipeline_add(p, "a", pass, NULL, NULL);
        spk_pipeline_add(p, "b", pass, NULL, NULL);
        const spk_result r = spk_pipeline_start(p);
        if (r == SPK_OK && h.calls < fail) {
            const size_t calls = h.calls;
            item it = {'x', {0}};
            for (int k = 0; k < 1000; k++) {
                spk_pipeline_submit(p, SPK_PRIORITY_NORMAL, (uint64_t)k, &it, 1);
                spk_pipeline_step(p);
            }
            CHECK_EQ(h.calls, calls); /* nothing is allocated after the start */
            spk_pipeline_destroy(p);
            CHECK_EQ(h.blocks, 0);
            CHECK(fail > 8);
            return;
        }
        CHECK_EQ(r, SPK_ERR_OUT_OF_MEMORY);
        CHECK_HAS(spk_pipeline_error(p), "start: no memory for");
        CHECK_EQ(h.blocks, 1);
        h.fail_at = 0;
        CHECK_EQ(spk_pipeline_start(p), SPK_OK); /* once there is memory */
        CHECK_STR(spk_pipeline_error(p), "");
        spk_pipeline_destroy(p);
        CHECK_EQ(h.blocks, 0);
    }
}

static void bad(spk_pipeline_desc d, spk_result code, const char *part)
{
    spk_pipeline *p = spk_pipeline_create(&d);
    CHECK_EQ(spk_pipeline_status(p), code);
    CHECK_HAS(spk_pipeline_error(p), part);
    CHECK_EQ(spk_pipeline_add(p, "a", pass, NULL, NULL), code);
    CHECK_EQ(spk_pipeline_start(p), code);
    CHECK_EQ(spk_pipeline_submit(p, SPK_PRIORITY_HIGH, 0, "0123456789abcdef", 1), 0);
    CHECK(spk_pipeline_reserve(p, SPK_PRIORITY_HIGH, 0).items == NULL);
    spk_pipeline_destroy(p);
}

static void bad_stage(spk_stage_desc s, spk_result code, const char *part)
{
    spk_pipeline *p = spk_pipeline_create(NULL);
    CHECK_EQ(spk_pipeline_add(p, "a", pass, NULL, &s), code);
    CHECK_HAS(spk_pipeline_error(p), part);
    spk_pipeline_destroy(p);
}

TEST(what_is_wrong_is_named)
{
    spk_pipeline_desc d = {0};
    spk_stage_desc s = {0};
    d.item_size = 5000;
    bad(d, SPK_ERR_RANGE, "item_size = 5000");
    d.item_size = 0;
    d.workers = 65;
    bad(d, SPK_ERR_RANGE, "workers = 65");
    d.workers = 0;
    d.lanes = 65;
    bad(d, SPK_ERR_RANGE, "lanes = 65");
    d.lanes = 0;
    d.batch = 8193;
    bad(d, SPK_ERR_RANGE, "batch = 8193");
    d.batch = 0;
    d.capacity_of[SPK_PRIORITY_LOW] = SIZE_MAX / 2;
    bad(d, SPK_ERR_RANGE, "capacity = ");
    memset(&d, 0xa5, sizeof d);
    bad(d, SPK_ERR_UNINITIALISED, "sentinels");
    s.jitter = 1.5;
    bad_stage(s, SPK_ERR_RANGE, "jitter = 1.5");
    s.jitter = 0.0 / (s.jitter - s.jitter);
    bad_stage(s, SPK_ERR_RANGE, "jitter = ");
    memset(&s, 0, sizeof s);
    s.breaker_failures = 1.01;
    bad_stage(s, SPK_ERR_RANGE, "breaker_failures = 1.01");
    memset(&s, 0, sizeof s);
    s.breaker_window = 1025;
    bad_stage(s, SPK_ERR_RANGE, "breaker_window = 1025");
    s.breaker_window = 10;
    s.breaker_minimum = 11;
    bad_stage(s, SPK_ERR_RANGE, "breaker_minimum = 11");
    memset(&s, 0, sizeof s);
    s.breaker_trials = 33;
    bad_stage(s, SPK_ERR_RANGE, "breaker_trials = 33");
    memset(&s, 0, sizeof s);
    s.codel_interval_us = 4000001;
    bad_stage(s, SPK_ERR_RANGE, "codel_interval_us");
    memset(&s, 0, sizeof s);
    s.out_size = 4097;
    bad_stage(s, SPK_ERR_RANGE, "out_size = 4097");
    memset(&s, 0, sizeof s);
    s.shed_from = (spk_priority)-1;
    bad_stage(s, SPK_ERR_RANGE, "shed_from");
    memset(&s, 0x11, sizeof s);
    bad_stage(s, SPK_ERR_UNINITIALISED, "sentinels");
}

TEST(null_and_wrong_times_are_errors)
{
    spk_pipeline_stats st;
    spk_stage_stats ss;
    CHECK_EQ(spk_pipeline_start(NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_pipeline_add(NULL, "a", pass, NULL, NULL), SPK_ERR_NULL);
    CHECK_EQ(spk_pipeline_stop(NULL, 1.0), SPK_ERR_NULL);
    CHECK_EQ(spk_pipeline_get_stats(NULL, 0, SPK_PRIORITY_LOW, &st), SPK_ERR_NULL);
    CHECK_EQ(spk_pipeline_submit(NULL, SPK_PRIORITY_LOW, 0, "x", 1), 0);
    spk_pipeline_destroy(NULL);
    spk_pipeline *p = spk_pipeline_create(NULL);
    CHECK_EQ(spk_pipeline_start(p), SPK_ERR_STATE);
    CHECK_HAS(spk_pipeline_error(p), "no stages");
    spk_pipeline_destroy(p);
    p = spk_pipeline_create(NULL);
    CHECK_EQ(spk_pipeline_add(p, "a", NULL, NULL, NULL), SPK_ERR_NULL);
    spk_pipeline_destroy(p);
    p = spk_pipeline_create(NULL);
    for (int k = 0; k < 16; k++) CHECK_EQ(spk_pipeline_add(p, "a", pass, NULL, NULL), SPK_OK);
    CHECK_EQ(spk_pipeline_add(p, "b", pass, NULL, NULL), SPK_ERR_RANGE);
    CHECK_HAS(spk_pipeline_error(p), "add \"b\": there are 16 stages");
    spk_pipeline_destroy(p);
    world w = {0};
    const spk_pipeline_desc d = manual_desc(&w);
    begin(&w, &d, NULL);
    CHECK_EQ(spk_pipeline_get_stats(w.p, 1, SPK_PRIORITY_LOW, &st), SPK_ERR_RANGE);
    CHECK_EQ(spk_pipeline_get_stats(w.p, 0, (spk_priority)6, &st), SPK_ERR_RANGE);
    CHECK_EQ(spk_pipeline_get_stage(w.p, 1, &ss), SPK_ERR_RANGE);
    CHECK_EQ(spk_pipeline_submit(w.p, (spk_priority)6, 0, "x", 1), 0);
    CHECK_EQ(spk_pipeline_submit(w.p, (spk_priority)-1, 0, "x", 1), 0);
    CHECK_EQ(spk_pipeline_submit(w.p, SPK_PRIORITY_LOW, 0, NULL, 1), 0);
    CHECK(spk_pipeline_bytes(w.p) > 0);
    finish(&w, 1);
}

TEST_MAIN()
