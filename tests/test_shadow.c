/* ---- >>test-shadow: a sample with 32 bits tells when 16 are too few ----
   check: networks alone */
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "check.h"
#include "heap.h"

#define CELLS 300u
#define WINDOW 200u /* steps: 20 ms */

typedef struct net_of {
    spk_net *net;
    spk_pop cells;
    spk_rec spikes;
} net_of;

static spk_net_desc desc_of(spk_precision precision, double v_error)
{
    spk_net_desc d;
    memset(&d, 0, sizeof d);
    d.seed = 11;
    d.precision = precision;
    if (precision == SPK_FLOAT16) {
        d.shadow = CELLS;
        d.shadow_ms = 20.0;
        d.shadow_rate_error = 1e9;
        d.shadow_v_error = v_error;
    }
    return d;
}

/* Neurons with Poisson input and, where asked for, synapses. They begin at values that 16 bits hold
   exactly. */
static net_of make(const spk_net_desc *d, bool synapses)
{
    net_of n;
    spk_poisson_desc p;
    spk_conn_desc c;
    memset(&p, 0, sizeof p);
    memset(&c, 0, sizeof c);
    n.net = spk_net_create(d);
    n.cells = spk_net_add(n.net, "cells", CELLS, SPK_LIF_EXP, NULL);
    p.rate_hz = spk_constant(9000);
    p.weight = spk_constant(85);
    (void)spk_net_drive_poisson(n.net, n.cells, &p);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 20;
    c.weight = spk_uniform(-40, 60);
    c.delay_ms = spk_uniform(0.5, 4);
    if (synapses) {
        (void)spk_net_connect(n.net, n.cells, n.cells, &c);
    }
    n.spikes = spk_net_record_spikes(n.net, n.cells);
    return n;
}

static uint64_t spikes_of(const spk_net_desc *d, uint64_t steps, uint64_t cut, spk_net_info *info)
{
    const net_of n = make(d, true);
    for (uint64_t done = 0; done < steps; done += cut) {
        CHECK_EQ(spk_net_run_steps(n.net, cut < steps - done ? cut : steps - done), SPK_OK);
    }
    const uint64_t digest = spk_rec_digest(n.spikes) ^ spk_net_state_digest(n.net);
    CHECK(spk_rec_count(n.spikes) > 100);
    CHECK_EQ(spk_net_get_info(n.net, info), SPK_OK);
    spk_net_destroy(n.net);
    return digest;
}

TEST(a_shadow_within_its_tolerance_changes_no_spike)
{
    spk_net_info info;
    spk_net_desc d = desc_of(SPK_FLOAT16, 1e9);
    const uint64_t with = spikes_of(&d, 1500, 1500, &info);
    CHECK_EQ(info.precision, SPK_FLOAT16);
    CHECK_EQ(info.shadow_windows, 7);
    CHECK_EQ(info.widened_step, 0);
    CHECK(info.shadow_v_error > 0.0 && info.shadow_v_error < 2.0);
    d.shadow = 0;
    CHECK_EQ(spikes_of(&d, 1500, 1500, &info), with);
    CHECK_EQ(info.shadow_windows, 0);
}

/* Without synapses neurons get the same in both precisions, so that the shadow of a first window is
   a network of its own with 32 bits. */
TEST(the_distances_are_those_of_two_networks)
{
    static double a[CELLS], b[CELLS];
    const uint32_t steps = 3 * WINDOW;
    spk_net_desc d16 = desc_of(SPK_FLOAT16, 1e9), d32 = desc_of(SPK_FLOAT32, 0);
    d16.shadow_ms *= 3.0;
    const net_of n16 = make(&d16, false), n32 = make(&d32, false);
    double sum = 0.0;
    for (uint32_t s = 0; s < steps; s++) {
        CHECK_EQ(spk_net_run_steps(n16.net, 1), SPK_OK);
        CHECK_EQ(spk_net_run_steps(n32.net, 1), SPK_OK);
        CHECK_EQ(spk_net_get(n16.net, n16.cells, "v", a, CELLS), SPK_OK);
        CHECK_EQ(spk_net_get(n32.net, n32.cells, "v", b, CELLS), SPK_OK);
        for (uint32_t k = 0; k < CELLS; k++) {
            sum += a[k] < b[k] ? b[k] - a[k] : a[k] - b[k];
        }
    }
    spk_net_info info;
    CHECK_EQ(spk_net_get_info(n16.net, &info), SPK_OK);
    CHECK_EQ(info.shadow_windows, 1);
    CHECK_NEAR(info.shadow_v_error, sum / CELLS / steps, 1e-4);
    const double c16 = (double)spk_rec_count(n16.spikes), c32 = (double)spk_rec_count(n32.spikes);
    CHECK(c32 > 20);
    CHECK_NEAR(info.shadow_rate_error,
               (c16 > c32 ? c16 - c32 : c32 - c16) / (c32 > CELLS ? c32 : CELLS), 1e-12);
    spk_net_destroy(n16.net);
    spk_net_destroy(n32.net);
}

/* The step after which it goes over: from there on it is a network of 32 bits that was given the
   states of then. */
TEST(outside_its_tolerance_the_network_goes_on_with_32_bits)
{
    static const char *const state[3] = {"v", "i_syn", "refractory"};
    static double x[CELLS];
    const spk_net_desc tight = desc_of(SPK_FLOAT16, 1e-6), wide = desc_of(SPK_FLOAT16, 1e9);
    const spk_net_desc d32 = desc_of(SPK_FLOAT32, 0);
    const net_of a = make(&tight, false), b = make(&wide, false), c = make(&d32, false);
    CHECK_EQ(spk_net_run_steps(a.net, WINDOW + 500), SPK_OK);
    CHECK_EQ(spk_net_run_steps(b.net, WINDOW), SPK_OK);
    CHECK_EQ(spk_net_run_steps(c.net, WINDOW), SPK_OK);
    char text[4000];
    (void)spk_model_describe(SPK_LIF_EXP, text, sizeof text);
    uint32_t states = 0;
    for (uint32_t k = 0; k < 3; k++) {
        if (spk_net_get(b.net, b.cells, state[k], x, CELLS) == SPK_OK) {
            CHECK_EQ(spk_net_set(c.net, c.cells, state[k], x, CELLS), SPK_OK);
            states++;
        }
    }
    CHECK_EQ(states, 3);
    CHECK_EQ(spk_net_run_steps(c.net, 500), SPK_OK);
    CHECK_EQ(spk_net_state_digest(a.net), spk_net_state_digest(c.net));
    spk_net_info info;
    CHECK_EQ(spk_net_get_info(a.net, &info), SPK_OK);
    CHECK_EQ(info.precision, SPK_FLOAT32);
    CHECK_EQ(info.widened_step, WINDOW);
    CHECK_EQ(info.shadow_windows, 1);
    CHECK_HAS(spk_net_error(a.net), "population \"cells\"");
    CHECK_HAS(spk_net_error(a.net), "from step 200 on all states have 32 bits");
    (void)spk_net_describe(a.net, text, sizeof text);
    CHECK_HAS(text, "32 bits since step 200");
    spk_net_destroy(a.net);
    spk_net_destroy(b.net);
    spk_net_destroy(c.net);
}

/* A tolerance that the third of some windows leaves. */
static double tolerance_of(void)
{
    const spk_net_desc d = desc_of(SPK_FLOAT16, 1e9);
    const net_of n = make(&d, true);
    spk_net_info info;
    CHECK_EQ(spk_net_run_steps(n.net, 2 * WINDOW), SPK_OK);
    CHECK_EQ(spk_net_get_info(n.net, &info), SPK_OK);
    const double seen = info.shadow_v_error;
    spk_net_destroy(n.net);
    return seen;
}

TEST(when_it_goes_over_depends_on_no_thread_instruction_set_or_cut_of_the_runs)
{
    static const spk_isa isa[3] = {SPK_ISA_AUTO, SPK_ISA_SCALAR, SPK_ISA_GENERIC};
    spk_net_info info;
    spk_net_desc d = desc_of(SPK_FLOAT16, tolerance_of());
    d.shadow = 100;
    const uint64_t want = spikes_of(&d, 1500, 1500, &info);
    const uint64_t at = info.widened_step;
    CHECK(at > 0);
    CHECK_EQ(at % WINDOW, 0);
    CHECK_EQ(spikes_of(&d, 1500, 1, &info), want);
    CHECK_EQ(spikes_of(&d, 1500, 77, &info), want);
    for (int k = 0; k < 3; k++) {
        d.isa = isa[k];
        d.threads = 1 + 2 * (uint32_t)k;
        const net_of n = make(&d, true);
        if (spk_net_status(n.net) == SPK_OK) {
            CHECK_EQ(spikes_of(&d, 1500, 400, &info), want);
            CHECK_EQ(info.widened_step, at);
        }
        spk_net_destroy(n.net);
    }
}

/* What the host sets is set for the shadow too: else the distance would be that of the change. */
TEST(states_that_the_host_sets_move_the_shadow)
{
    static double x[CELLS];
    const spk_net_desc d = desc_of(SPK_FLOAT16, 1e9);
    const net_of n = make(&d, false);
    spk_net_info before, after;
    CHECK_EQ(spk_net_run_steps(n.net, WINDOW), SPK_OK);
    CHECK_EQ(spk_net_get_info(n.net, &before), SPK_OK);
    for (uint32_t k = 0; k < CELLS; k++) {
        x[k] = -200.0;
    }
    CHECK_EQ(spk_net_set(n.net, n.cells, "v", x, CELLS), SPK_OK);
    CHECK_EQ(spk_net_run_steps(n.net, WINDOW), SPK_OK);
    CHECK_EQ(spk_net_get_info(n.net, &after), SPK_OK);
    CHECK(after.shadow_v_error < before.shadow_v_error + 1.0);
    spk_net_destroy(n.net);
}

/* A recorder that is full just where a window ends: the look comes with the next run. */
TEST(a_run_that_stops_at_the_end_of_a_window_loses_no_look)
{
    spk_net_info info, want;
    spk_spike taken[64];
    spk_net_desc d = desc_of(SPK_FLOAT16, 1e-6);
    spk_rec_desc r;
    memset(&r, 0, sizeof r);
    r.sink = SPK_SINK_RING;
    r.capacity = 64;
    d.shadow_ms = 0.1; /* each step */
    const net_of n = make(&d, true), m = make(&d, true);
    const spk_rec ring = spk_net_record(n.net, n.cells, &r);
    uint32_t full = 0;
    while (spk_net_step(n.net) < 1000) {
        full += spk_net_run_steps(n.net, 1000 - spk_net_step(n.net)) == SPK_ERR_FULL;
        while (spk_rec_read(ring, taken, 64)) {
        }
    }
    CHECK(full > 3);
    CHECK_EQ(spk_net_run_steps(m.net, 1000), SPK_OK);
    CHECK_EQ(spk_net_get_info(n.net, &info), SPK_OK);
    CHECK_EQ(spk_net_get_info(m.net, &want), SPK_OK);
    CHECK_EQ(info.widened_step, want.widened_step);
    CHECK_EQ(spk_net_state_digest(n.net), spk_net_state_digest(m.net));
    spk_net_destroy(n.net);
    spk_net_destroy(m.net);
}

TEST(without_memory_to_go_over_the_network_stays_as_it_is_and_tries_again)
{
    spk_net_info info;
    spk_net_desc d = desc_of(SPK_FLOAT16, 1e-6);
    const uint64_t want = spikes_of(&d, 600, 600, &info);
    for (size_t k = 1;; k++) {
        heap h;
        memset(&h, 0, sizeof h);
        d.allocator = heap_allocator(&h);
        const net_of n = make(&d, true);
        CHECK_EQ(spk_net_run_steps(n.net, WINDOW - 1), SPK_OK);
        h.fail_at = h.calls + k;
        const spk_result result = spk_net_run_steps(n.net, 1);
        CHECK_EQ(spk_net_step(n.net), WINDOW);
        if (result != SPK_OK) {
            CHECK_EQ(result, SPK_ERR_OUT_OF_MEMORY);
            CHECK_HAS(spk_net_error(n.net), "states of 32 bits");
            CHECK_EQ(spk_net_get_info(n.net, &info), SPK_OK);
            CHECK_EQ(info.precision, SPK_FLOAT16);
        }
        CHECK_EQ(spk_net_run_steps(n.net, 600 - WINDOW), SPK_OK);
        CHECK_EQ(spk_rec_digest(n.spikes) ^ spk_net_state_digest(n.net), want);
        spk_net_destroy(n.net);
        CHECK_EQ(h.blocks, 0);
        if (result == SPK_OK) {
            CHECK(k > 4);
            break;
        }
    }
}

TEST(a_descriptor_that_makes_no_sense_is_an_error)
{
    spk_net_desc d = desc_of(SPK_FLOAT16, 0.5);
    d.precision = SPK_FLOAT32;
    CHECK_EQ(spk_net_desc_defaults(&d), SPK_ERR_RANGE);
    d = desc_of(SPK_FLOAT16, -0.5);
    CHECK_EQ(spk_net_desc_defaults(&d), SPK_ERR_RANGE);
    d = desc_of(SPK_FLOAT16, 0.0);
    d.shadow_ms = 0.0 / 0.0 * d.dt_ms;
    CHECK_EQ(spk_net_desc_defaults(&d), SPK_ERR_RANGE);
    d = desc_of(SPK_FLOAT16, 0.0);
    d.shadow_ms = 0.0;
    d.shadow_rate_error = 0.0;
    CHECK_EQ(spk_net_desc_defaults(&d), SPK_OK);
    CHECK_NEAR(d.shadow_ms, 100.0, 0);
    CHECK_NEAR(d.shadow_rate_error, 0.05, 0);
    CHECK_NEAR(d.shadow_v_error, 0.5, 0);
}

/* A line of the log, and no error. */
static void hear(void *ctx, spk_result severity, const char *line)
{
    char *to = (char *)ctx;
    CHECK_EQ(severity, SPK_OK);
    snprintf(to, 600, "%s", line);
}

TEST(the_log_hears_of_it)
{
    char line[600] = "";
    spk_net_desc d = desc_of(SPK_FLOAT16, 1e-6);
    d.log = hear;
    d.log_ctx = line;
    const net_of n = make(&d, true);
    CHECK_EQ(spk_net_run_steps(n.net, WINDOW - 1), SPK_OK);
    CHECK_STR(line, "");
    CHECK_EQ(spk_net_run_steps(n.net, 1), SPK_OK);
    CHECK_HAS(line, "16-bit states went");
    CHECK_HAS(line, "a shadow of 300 neurons within 20 ms");
    spk_net_destroy(n.net);
}

TEST_MAIN()
