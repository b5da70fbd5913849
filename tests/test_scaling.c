/* ---- >>test_scaling: many more threads than cores: the same spikes, memory apart ----
   What docs/scaling.md builds on.
   check: threads
   check: networks alone */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include "check.h"

enum { STEPS = 60 };

/* Enough groups of 64 neurons for a tile a thread, delays from one step to many, two receptors. */
static spk_net *network(const spk_net_desc *d, spk_rec *rec)
{
    spk_net *net = spk_net_create(d);
    spk_set set[] = {{"i_dc", spk_uniform(300.0, 600.0)}, {"v", spk_uniform(-65.0, -50.0)}, {0}};
    spk_conn_desc c = {0};
    spk_pop a = spk_net_add(net, "a", 8000, SPK_LIF_EXP, set);
    spk_pop b = spk_net_add(net, "b", 2500, SPK_LIF_EXP2, NULL);
    c.rule = SPK_FIXED_OUTDEGREE;
    c.k = 40;
    c.weight = spk_normal(30.0, 60.0);
    c.delay_ms = spk_uniform(0.1, 2.0);
    spk_net_connect(net, a, a, &c);
    spk_net_connect(net, a, b, &c);
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 20;
    c.delay_ms = spk_constant(0.3);
    spk_net_connect(net, a, b, &c);
    *rec = spk_net_record_spikes(net, spk_net_union(net, a, b));
    return net;
}

static void backwards(void *ctx, void (*task)(void *arg, uint32_t k), void *arg, uint32_t count)
{
    (void)ctx;
    while (count-- > 0) task(arg, count);
}

/* Digests of the spikes and of the state. */
static void digests(uint32_t threads, bool host, uint64_t out[2], uint32_t *tiles)
{
    spk_net_desc d = {0};
    spk_net_info info;
    spk_rec rec;
    d.threads = threads;
    d.seed = 11;
    if (host) d.executor.run = backwards;
    spk_net *net = network(&d, &rec);
    CHECK_EQ(spk_net_run_steps(net, STEPS), SPK_OK);
    CHECK_STR(spk_net_error(net), "");
    CHECK(spk_rec_count(rec) > 1000);
    out[0] = spk_rec_digest(rec);
    out[1] = spk_net_state_digest(net);
    spk_net_get_info(net, &info);
    *tiles = info.tiles;
    spk_net_destroy(net);
}

TEST(sixty_four_and_a_hundred_and_twenty_eight_threads_give_the_same_spikes)
{
    static const uint32_t threads[] = {2, 64, 128};
    uint64_t one[2], many[2];
    uint32_t tiles;
    digests(1, false, one, &tiles);
    CHECK_EQ(tiles, 1);
    for (size_t k = 0; k < sizeof threads / sizeof threads[0]; k++)
        for (int host = 0; host < 2; host++) {
            digests(threads[k], host != 0, many, &tiles);
            CHECK_EQ(tiles, threads[k]);
            CHECK_EQ(many[0], one[0]);
            CHECK_EQ(many[1], one[1]);
        }
}

TEST(more_threads_than_groups_of_neurons_leave_some_idle)
{
    uint64_t digest = 0;
    for (uint32_t threads = 1; threads <= 128; threads += 127) {
        spk_net_desc d = {0};
        spk_rec rec;
        d.threads = threads;
        spk_net *net = spk_net_create(&d);
        spk_set set[] = {{"i_dc", spk_uniform(400.0, 600.0)}, {0}};
        spk_pop a = spk_net_add(net, "a", 300, SPK_LIF_EXP, set);
        spk_conn_desc c = {0};
        c.rule = SPK_ALL_TO_ALL;
        c.weight = spk_constant(5.0);
        spk_net_connect(net, a, a, &c);
        rec = spk_net_record_spikes(net, a);
        CHECK_EQ(spk_net_run_steps(net, 300), SPK_OK);
        CHECK(spk_rec_count(rec) > 300);
        if (threads == 1) digest = spk_rec_digest(rec);
        CHECK_EQ(spk_rec_digest(rec), digest);
        spk_net_destroy(net);
    }
}

/* What one thread writes while others read or write beside it lies on no line of theirs, wherever
   in a line the arrays begin. */
TEST(no_cache_line_is_written_by_one_thread_and_used_by_another)
{
    const size_t line = 64;
    CHECK(offsetof(spki_tile, spike) >= offsetof(spki_tile, synced_spikes) + 8 + line);
    CHECK(sizeof(spki_tile) >= offsetof(spki_tile, spike_start) +
                                   sizeof(((spki_tile *)0)->spike_start) + line);
    CHECK(sizeof(spki_scratch) >= offsetof(spki_scratch, wait_s) + sizeof(double) + line);
    CHECK(offsetof(spki_barrier, phase) >= offsetof(spki_barrier, arrived) + 4 + line);
    CHECK(offsetof(spki_barrier, parked) >= offsetof(spki_barrier, phase) + 4 + line);
}

/* A page lies on the node of the thread that first writes to it, so a tile has to be drawn by the
   thread that will run it. This executor runs the parts in order and looks after each. */
static const spk_net *drawn;
static uint32_t looks;

static void in_order(void *ctx, void (*task)(void *arg, uint32_t k), void *arg, uint32_t count)
{
    (void)ctx;
    bool first = true;
    for (uint32_t t = 0; t < drawn->tiles; t++) first = first && drawn->tile[t].synapses == 0;
    for (uint32_t k = 0; k < count; k++) {
        const uint32_t end = spki_first_tile(drawn, k + 1);
        task(arg, k);
        for (uint32_t t = 0; first && t < drawn->tiles; t++) {
            CHECK_EQ(drawn->tile[t].synapses > 0, t < end);
            looks++;
        }
    }
}

TEST(each_thread_draws_the_tiles_that_it_will_run)
{
    spk_net_desc d = {0};
    spk_conn_desc c = {0};
    d.threads = 2;
    d.executor.run = in_order;
    spk_net *net = spk_net_create(&d);
    spk_pop a = spk_net_add(net, "a", 300000, SPK_LIF_DELTA, NULL); /* a tile has 65,536 at most */
    CHECK_EQ(spk_net_connect(net, a, a, &c), SPK_OK);
    drawn = net;
    looks = 0;
    CHECK_EQ(spk_net_build(net), SPK_OK);
    CHECK_EQ(net->tiles, 6);
    CHECK(looks >= 12);
    spk_net_destroy(net);
}

TEST_MAIN()
