/* ---- >>test_inject: events into networks ---- */

/* Injected events against spike lists whose times are computed here, step by step. */
#include "../spikelib.h"

#include "check.h"

enum { W = 40, H = 30, N = 6000 };

static uint32_t draw_state;
static uint32_t draw(uint32_t below)
{
    draw_state = draw_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(draw_state >> 8) * below) >> 24);
}

static void draw_events(spk_event *e, size_t n, int64_t t0, bool shuffled)
{
    size_t k;
    draw_state = 31;
    for (k = 0; k < n; k++) {
        memset(&e[k], 0, sizeof e[k]);
        t0 += draw(20);
        e[k].t_us = t0 + (shuffled ? (int64_t)draw(3000) : 0);
        e[k].x = (uint16_t)draw(W);
        e[k].y = (uint16_t)draw(H);
        e[k].polarity = (uint8_t)draw(2);
    }
}

/* A retina of spike sources that drives a sheet of neurons; `source` may be a model of any kind. */
typedef struct eye {
    spk_net *net;
    spk_pop retina, sheet;
    spk_rec spikes;
} eye;

static eye eye_open(double dt_ms, uint32_t threads, spk_model source)
{
    eye e;
    spk_net_desc d = {0};
    spk_conn_desc c = {0};
    spk_pop dark;
    d.dt_ms = dt_ms;
    d.threads = threads;
    d.seed = 5;
    e.net = spk_net_create(&d);
    dark = spk_net_add(e.net, "dark", 70, SPK_SPIKE_LIST, NULL); /* so that ids are no indices */
    e.retina = spk_net_add(e.net, "retina", W * H * 2, source, NULL);
    e.sheet = spk_net_add(e.net, "sheet", 500, SPK_LIF_EXP, NULL);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 60;
    c.weight = spk_constant(400.0);
    spk_net_connect(e.net, e.retina, e.sheet, &c);
    e.spikes = spk_net_record_spikes(e.net, spk_net_union(e.net, e.retina, e.sheet));
    (void)dark;
    return e;
}

static spk_pixel_map pixels(void)
{
    spk_pixel_map map = {0};
    map.width = W;
    map.height = H;
    map.polarities = 2;
    return map;
}

/* The digest with a list: stamps are floor((t - origin) / dt) + 1, neurons (p h + y) w + x. */
static uint64_t by_list(const spk_event *e, size_t n, int64_t origin, int64_t dt_us, uint64_t steps)
{
    uint32_t *neuron = (uint32_t *)malloc(n * sizeof *neuron);
    double *t_ms = (double *)malloc(n * sizeof *t_ms);
    eye a = eye_open((double)dt_us / 1000.0, 1, SPK_SPIKE_LIST);
    uint64_t digest;
    size_t k;
    for (k = 0; k < n; k++) {
        neuron[k] = (uint32_t)((e[k].polarity * H + e[k].y) * W + e[k].x);
        t_ms[k] = (double)((e[k].t_us - origin) / dt_us + 1) * (double)dt_us / 1000.0;
    }
    CHECK(spk_net_spike_list(a.net, a.retina, neuron, t_ms, n) == SPK_OK);
    CHECK(spk_net_run_steps(a.net, steps) == SPK_OK);
    CHECK(spk_rec_count(a.spikes) > n / 2);
    digest = spk_rec_digest(a.spikes);
    spk_net_destroy(a.net);
    free(neuron);
    free(t_ms);
    return digest;
}

TEST(injected_events_are_the_spikes_of_a_list_however_the_stream_is_cut)
{
    static spk_event e[N];
    static const size_t pieces[] = {N, 1000, 97, 7};
    static const int64_t dts[] = {100, 1000, 30};
    const int64_t t0 = INT64_C(1643243628737093);
    size_t p, k, q;
    draw_events(e, N, t0, false);
    for (q = 0; q < 3; q++) {
        const int64_t dt = dts[q];
        const uint64_t steps = (uint64_t)((e[N - 1].t_us - e[0].t_us) / dt) + 2;
        const uint64_t want = by_list(e, N, e[0].t_us, dt, steps);
        for (p = 0; p < 4; p++) {
            eye a = eye_open((double)dt / 1000.0, p % 2 ? 3 : 1, SPK_SPIKE_LIST);
            spk_pixel_map map = pixels();
            spk_event_counts counts;
            CHECK(spk_net_map_pixels(a.net, a.retina, &map) == SPK_OK);
            for (k = 0; k < N; k += pieces[p]) {
                const size_t n = N - k < pieces[p] ? N - k : pieces[p];
                CHECK(spk_net_inject_events(a.net, a.retina, e + k, n) == SPK_OK);
                CHECK(spk_net_run_until_us(a.net, e[k + n - 1].t_us) == SPK_OK);
            }
            CHECK_EQ(spk_net_step(a.net), (e[N - 1].t_us - e[0].t_us) / dt);
            CHECK(spk_net_run_steps(a.net, steps - spk_net_step(a.net)) == SPK_OK);
            CHECK_EQ(spk_rec_digest(a.spikes), want);
            CHECK(spk_net_event_counts(a.net, a.retina, &counts) == SPK_OK);
            CHECK_EQ(counts.injected, N);
            CHECK_EQ(counts.late + counts.outside, 0);
            spk_net_destroy(a.net);
        }
    }
}

TEST(events_out_of_order_and_far_ahead_wait_for_their_steps)
{
    static spk_event e[N];
    eye a;
    spk_pixel_map map = pixels();
    size_t k;
    uint64_t want;
    draw_events(e, N, 500, true);
    want = by_list(e, N, 0, 100, 2000);
    a = eye_open(0.1, 2, SPK_SPIKE_LIST);
    CHECK(spk_net_map_pixels(a.net, a.retina, &map) == SPK_OK);
    CHECK(spk_net_event_origin_us(a.net, 0) == SPK_OK);
    CHECK(spk_net_inject_events(a.net, a.retina, e + N / 2, N / 2) == SPK_OK);
    for (k = 0; k < N / 2; k += 500)
        CHECK(spk_net_inject_events(a.net, a.retina, e + k, 500) == SPK_OK);
    for (k = 0; k < 2000; k += 250) CHECK(spk_net_run_steps(a.net, 250) == SPK_OK);
    CHECK_EQ(spk_rec_digest(a.spikes), want);
    CHECK(spk_net_event_origin_us(a.net, 1) == SPK_ERR_STATE);
    spk_net_destroy(a.net);
}

TEST(any_model_spikes_when_an_event_says_so_and_the_network_keeps_its_own_drive)
{
    spk_event e[3] = {{0, 3, 2, 1, 0, 0}, {250, 3, 2, 1, 0, 0}, {1999, 0, 0, 0, 0, 0}};
    eye a = eye_open(0.1, 1, SPK_LIF_EXP);
    spk_pixel_map map = pixels();
    const spk_spike *s;
    size_t n;
    CHECK(spk_net_map_pixels(a.net, a.retina, &map) == SPK_OK);
    CHECK(spk_net_inject_events(a.net, a.retina, e, 3) == SPK_OK);
    CHECK(spk_net_run(a.net, 5.0) == SPK_OK);
    s = spk_rec_spikes(a.spikes, &n);
    REQUIRE(n == 3);
    CHECK_EQ(s[0].step, 1);
    CHECK_EQ(s[0].neuron, 70 + (H + 2) * W + 3);
    CHECK_EQ(s[1].step, 3);
    CHECK_EQ(s[2].step, 20);
    CHECK_EQ(s[2].neuron, 70);
    /* the origin of a network that has run: its present time */
    spk_net_destroy(a.net);
    a = eye_open(0.1, 1, SPK_SPIKE_LIST);
    CHECK(spk_net_map_pixels(a.net, a.retina, &map) == SPK_OK);
    CHECK(spk_net_run_steps(a.net, 50) == SPK_OK);
    e[0].t_us = -777;
    CHECK(spk_net_inject_events(a.net, a.retina, e, 1) == SPK_OK);
    CHECK(spk_net_run_steps(a.net, 10) == SPK_OK);
    s = spk_rec_spikes(a.spikes, &n);
    REQUIRE(n == 1);
    CHECK_EQ(s[0].step, 51);
    spk_net_destroy(a.net);
}

TEST(late_events_act_next_are_dropped_or_refused_as_asked_and_are_counted)
{
    int way;
    for (way = 0; way < 3; way++) {
        spk_event e[4] = {{2000, 1, 0, 0, 0, 0},
                          {150, 2, 0, 0, 0, 0},
                          {999, 3, 0, 0, 0, 0},
                          {1000, 4, 0, 0, 0, 0}};
        eye a = eye_open(0.1, 1, SPK_SPIKE_LIST);
        spk_pixel_map map = pixels();
        spk_event_counts counts;
        const spk_spike *s;
        size_t n;
        CHECK(spk_net_map_pixels(a.net, a.retina, &map) == SPK_OK);
        CHECK(spk_net_event_late(a.net, a.retina, (spk_late)way) == SPK_OK);
        CHECK(spk_net_event_origin_us(a.net, 0) == SPK_OK);
        CHECK(spk_net_run_until_us(a.net, 1099) == SPK_OK);
        CHECK_EQ(spk_net_step(a.net), 10);
        CHECK(spk_net_inject_events(a.net, a.retina, e, 4) ==
              (way == SPK_LATE_ERROR ? SPK_ERR_RANGE : SPK_OK));
        if (way == SPK_LATE_ERROR) CHECK_HAS(spk_net_error(a.net), "event 1, at 150 us, is late");
        CHECK(spk_net_run_until_us(a.net, 3000) == SPK_OK);
        s = spk_rec_spikes(a.spikes, &n);
        CHECK(spk_net_event_counts(a.net, a.retina, &counts) == SPK_OK);
        CHECK_EQ(counts.late, way == SPK_LATE_ERROR ? 0 : 2);
        CHECK_EQ(counts.injected, way == SPK_LATE_ERROR ? 0 : way == SPK_LATE_DROP ? 2 : 4);
        if (way == SPK_LATE_NEXT) {
            REQUIRE(n == 4);
            CHECK(s[0].step == 11 && s[1].step == 11 && s[2].step == 11 && s[3].step == 21);
            CHECK(s[0].neuron == 72 && s[1].neuron == 73 && s[2].neuron == 74);
        } else {
            CHECK_EQ(n, way == SPK_LATE_DROP ? 2 : 0);
        }
        spk_net_destroy(a.net);
    }
}

TEST(slices_downsampled_regions_and_tables_reach_their_neurons)
{
    eye a = eye_open(0.1, 1, SPK_SPIKE_LIST);
    spk_pop part = spk_net_slice(a.net, a.retina, 100, 4);
    spk_pixel_map map = {0};
    spk_event e[5] = {{0, 20, 10, 0, 0, 0},
                      {0, 39, 29, 1, 0, 0},
                      {0, 19, 10, 1, 0, 0},
                      {0, 25, 25, 1, SPK_EVENT_TRIGGER, 0},
                      {100, 20, 29, 1, 0, 0}};
    static const uint32_t table[4] = {3, SPK_NO_NEURON, 0, 1};
    static const uint32_t bad[4] = {3, 4, 0, 1};
    spk_event_counts counts;
    const spk_spike *s;
    size_t n;
    map.width = W;
    map.height = H;
    map.region_x = 20;
    map.region_y = 10;
    map.downsample = 10;
    CHECK(spk_net_map_pixels(a.net, part, &map) == SPK_OK);
    CHECK(spk_net_inject_events(a.net, part, e, 4) == SPK_OK);
    map.table = table;
    map.table_count = 4;
    CHECK(spk_net_map_pixels(a.net, part, &map) == SPK_OK); /* from now on */
    CHECK(spk_net_inject_events(a.net, part, e + 4, 1) == SPK_OK);
    CHECK(spk_net_run_until_us(a.net, 500) == SPK_OK);
    s = spk_rec_spikes(a.spikes, &n);
    REQUIRE(n == 3);
    CHECK_EQ(s[0].neuron, 70 + 100);
    CHECK_EQ(s[1].neuron, 70 + 100 + 3);
    CHECK_EQ(s[2].neuron, 70 + 100 + 0);
    CHECK_EQ(s[2].step, 2);
    CHECK(spk_net_event_counts(a.net, part, &counts) == SPK_OK);
    CHECK_EQ(counts.outside, 1);
    CHECK_EQ(counts.injected, 3);
    map.table = bad;
    CHECK(spk_net_map_pixels(a.net, part, &map) == SPK_ERR_RANGE);
    CHECK_HAS(spk_net_error(a.net), "neuron 4 of cell 1, the view has 4");
    spk_net_destroy(a.net);
}

/* What is wrong while a network is described is remembered, as everywhere: a network each. */
#define WRONG(call, code, part)                                                                    \
    do {                                                                                           \
        eye a = eye_open(0.1, 1, SPK_SPIKE_LIST);                                                  \
        spk_pixel_map map = pixels();                                                              \
        CHECK_EQ(-(int)(call), -(int)(code));                                                      \
        CHECK_HAS(spk_net_error(a.net), part);                                                     \
        spk_net_destroy(a.net);                                                                    \
        (void)map;                                                                                 \
    } while (0)

TEST(what_is_wrong_is_named)
{
    spk_event e[2] = {{0, 0, 0, 0, 0, 0}, {INT64_MAX, 0, 0, 0, 0, 0}};
    spk_pixel_map wide = pixels();
    spk_event_counts counts;
    spk_pop none = {0, 0};
    wide.width = W + 1;
    WRONG(spk_net_map_pixels(a.net, a.retina, NULL), SPK_ERR_NULL, "the map is NULL");
    WRONG(spk_net_map_pixels(a.net, a.retina, &wide), SPK_ERR_RANGE,
          "41 x 30 in 2 planes for 2400");
    WRONG((map.width = 0, spk_net_map_pixels(a.net, a.retina, &map)), SPK_ERR_RANGE, "\"retina\"");
    WRONG((map.end_sentinel = 3, spk_net_map_pixels(a.net, a.retina, &map)), SPK_ERR_UNINITIALISED,
          "garbage");
    WRONG(spk_net_map_pixels(a.net, spk_net_union(a.net, a.retina, a.sheet), &map),
          SPK_ERR_UNSUPPORTED, "spans several populations");
    WRONG(spk_net_inject_events(a.net, a.retina, e, 1), SPK_ERR_STATE,
          "\"retina\" has no pixel map");
    WRONG(spk_net_event_late(a.net, a.retina, SPK_LATE_DROP), SPK_ERR_STATE, "no pixel map");
    WRONG((spk_net_map_pixels(a.net, a.retina, &map),
           spk_net_inject_events(a.net, a.retina, NULL, 1)),
          SPK_ERR_NULL, "array is NULL");
    WRONG((spk_net_map_pixels(a.net, a.retina, &map), spk_net_inject_events(a.net, a.retina, e, 2)),
          SPK_ERR_RANGE, "absurdly far");
    WRONG((spk_net_map_pixels(a.net, a.retina, &map),
           spk_net_event_late(a.net, a.retina, (spk_late)4)),
          SPK_ERR_RANGE, "no way has number 4");
    CHECK(spk_net_inject_events(NULL, none, e, 1) == SPK_ERR_NULL);
    CHECK(spk_net_run_until_us(NULL, 0) == SPK_ERR_NULL);
    CHECK(spk_net_event_counts(NULL, none, &counts) == SPK_ERR_NULL);
}

/* -- memory -- */

typedef struct arena {
    int allow, now;
} arena;

static void *arena_alloc(void *ctx, size_t size, size_t align)
{
    arena *a = (arena *)ctx;
    void *block = NULL;
    if (a->allow-- <= 0 || posix_memalign(&block, align, size)) return NULL;
    a->now++;
    return block;
}

static void arena_free(void *ctx, void *block, size_t size)
{
    (void)size;
    ((arena *)ctx)->now--;
    free(block);
}

TEST(no_memory_at_any_allocation_injects_nothing_and_leaks_nothing)
{
    static const uint32_t table[4] = {0, 1, 2, 3};
    const spk_event e[2] = {{0, 0, 0, 0, 0, 0}, {0, 1, 1, 0, 0, 0}};
    int allow, done = 0;
    for (allow = 0; allow < 20 && !done; allow++) {
        arena a = {1000, 0};
        spk_net_desc d = {0};
        spk_pixel_map map = {0};
        spk_net *net;
        spk_pop pop;
        spk_rec rec;
        spk_result result;
        d.allocator.ctx = &a;
        d.allocator.alloc = arena_alloc;
        d.allocator.free = arena_free;
        net = spk_net_create(&d);
        pop = spk_net_add(net, "retina", 4, SPK_SPIKE_LIST, NULL);
        rec = spk_net_record_spikes(net, pop);
        CHECK(spk_net_build(net) == SPK_OK);
        map.width = map.height = 2;
        map.table = table;
        map.table_count = 4;
        a.allow = allow;
        result = spk_net_map_pixels(net, pop, &map);
        if (result == SPK_OK) result = spk_net_inject_events(net, pop, e, 2);
        done = result == SPK_OK;
        CHECK(done || result == SPK_ERR_OUT_OF_MEMORY);
        a.allow = 1000;
        CHECK(spk_net_run_steps(net, 3) == SPK_OK);
        CHECK_EQ(spk_rec_count(rec), done ? 2 : 0);
        spk_net_destroy(net);
        CHECK_EQ(a.now, 0);
    }
    CHECK(done && allow > 4);
}

TEST_MAIN()
