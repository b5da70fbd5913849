/* ---- >>test_ahead: what a thread draws while it waits is what it would have drawn in time ----
   check: threads
   check: networks alone */

#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "check.h"

static bool dawdle(void *ctx, uint64_t step, const void *items, size_t count)
{
    const double end = spk_clock_seconds() + 0.0003;
    while (spk_clock_seconds() < end) {
    }
    return ctx || step || items || count;
}

/* 100 steps of three populations with one, two and no drives, blocks of neurons in several tiles.
   The caller's thread is slow, so that the others wait for it, and draw ahead. */
static uint64_t digest_of_waiting(spk_precision precision, uint32_t threads, bool *ahead)
{
    spk_net_desc d = {0};
    spk_poisson_desc p = {0};
    spk_conn_desc c = {0};
    spk_rec_desc slow = {0};
    d.seed = 9;
    d.threads = threads;
    d.precision = precision;
    spk_net *net = spk_net_create(&d);
    spk_pop a = spk_net_add(net, "a", 5000, SPK_LIF_EXP, SPK_SET({"v", spk_uniform(-65, -50)}));
    spk_pop b = spk_net_add(net, "b", 70, SPK_LIF_EXP, NULL);
    spk_pop e = spk_net_add(net, "e", 2100, SPK_LIF_EXP2, SPK_SET({"v", spk_uniform(-65, -50)}));
    p.rate_hz = SPK_HZ(8000);
    p.weight = spk_constant(50);
    spk_net_drive_poisson(net, a, &p);
    spk_net_drive_poisson(net, e, &p);
    p.weight = spk_constant(-20);
    p.start_ms = 3;
    p.stop_ms = 7;
    spk_net_drive_poisson(net, e, &p);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 5;
    c.weight = spk_constant(30);
    c.delay_ms = spk_constant(0.1);
    spk_net_connect(net, a, spk_net_union(net, a, b), &c);
    spk_net_connect(net, e, e, &c);
    spk_rec spikes = spk_net_record_spikes(net, spk_net_union(net, spk_net_union(net, a, b), e));
    slow.kind = SPK_REC_STATE;
    slow.state = "v";
    slow.sink = SPK_SINK_CALLBACK;
    slow.callback = dawdle;
    (void)spk_net_record(net, spk_net_slice(net, b, 0, 1), &slow);
    CHECK_EQ(spk_net_run_steps(net, 37), SPK_OK);
    CHECK_EQ(spk_net_run_steps(net, 1), SPK_OK);
    CHECK_EQ(spk_net_run_steps(net, 62), SPK_OK);
    *ahead = false;
    for (uint32_t t = 0; t < net->tiles; t++) *ahead = *ahead || net->tile[t].ahead_step != 0;
    CHECK(spk_rec_count(spikes) > 1000);
    const uint64_t digest = spk_rec_digest(spikes);
    spk_net_destroy(net);
    return digest;
}

TEST(inputs_that_were_drawn_while_waiting_are_those_drawn_in_time)
{
    for (int k = 0; k < 2; k++) {
        const spk_precision precision = k ? SPK_FLOAT64 : SPK_FLOAT32;
        bool ahead;
        const uint64_t want = digest_of_waiting(precision, 1, &ahead);
        CHECK(!ahead);
        for (uint32_t threads = 2; threads < 4; threads++) {
            CHECK_EQ(digest_of_waiting(precision, threads, &ahead), want);
            CHECK(ahead);
        }
    }
}

TEST_MAIN()
