/* Rows and the queue of what is on its way: every synapse arrives once, in its step, with the
   weight of that moment, whatever the row looks like. Expected values are counted by hand: the
   membranes here neither leak (within 1e-6) nor spike.
   check: networks alone */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include "check.h"

enum { TARGETS = 3000 };

typedef struct net_of {
    spk_net *net;
    spk_pop source, target;
} net_of;

/* `sources` neurons that spike when told, and targets that add up what they get. */
static net_of begin(uint32_t sources, uint32_t threads, uint32_t weight_bits)
{
    net_of n;
    spk_net_desc d = {0};
    const spk_set sum[] = {{"tau_m", spk_constant(1e9)}, {"v_th", spk_constant(1e9)},
                           {"e_l", spk_constant(0.0)},   {"v_reset", spk_constant(0.0)},
                           {NULL, spk_constant(0.0)}};
    d.threads = threads;
    d.weight_bits = weight_bits;
    n.net = spk_net_create(&d);
    n.source = spk_net_add(n.net, "source", sources, SPK_SPIKE_LIST, NULL);
    n.target = spk_net_add(n.net, "target", TARGETS, SPK_LIF_DELTA, sum);
    return n;
}

/* Connects and checks that it could be built. */
static void connect(net_of *n, const uint32_t *from, const uint32_t *to, const double *delay_steps,
                    size_t count)
{
    spk_conn_desc c = {0};
    double *ms = (double *)malloc(count * sizeof *ms);
    size_t k;
    for (k = 0; k < count; k++) ms[k] = 0.1 * delay_steps[k];
    c.rule = SPK_COO;
    c.sources = from;
    c.targets = to;
    c.total = count;
    c.delay_ms = spk_array(ms, count);
    CHECK_EQ(spk_net_connect(n->net, n->source, n->target, &c), SPK_OK);
    CHECK_EQ(spk_net_build(n->net), SPK_OK);
    CHECK_STR(spk_net_error(n->net), "");
    free(ms);
}

TEST(new_weights_meet_the_spikes_that_are_on_their_way)
{
    enum { DELAYS = 12, SPIKE = 2, CHANGE = 7 };
    uint32_t threads;
    for (threads = 1; threads <= 3; threads += 2) {
        net_of n = begin(1, threads, threads == 1 ? 16 : 32);
        const uint32_t zero = 0;
        uint32_t from[DELAYS] = {0}, to[DELAYS];
        double delay[DELAYS], weight[DELAYS], v[TARGETS];
        uint32_t k;
        for (k = 0; k < DELAYS; k++) {
            to[k] = k * 250;
            delay[k] = k + 1;
            weight[k] = 0.5;
        }
        connect(&n, from, to, delay, DELAYS);
        CHECK_EQ(spk_net_run_steps(n.net, SPIKE), SPK_OK);
        CHECK_EQ(spk_net_inject_spikes(n.net, n.source, &zero, 1), SPK_OK);
        CHECK_EQ(spk_net_run_steps(n.net, CHANGE - SPIKE), SPK_OK);
        CHECK_EQ(spk_net_set_weights(n.net, n.source, n.target, weight, DELAYS), SPK_OK);
        CHECK_EQ(spk_net_run_steps(n.net, 20), SPK_OK);
        CHECK_EQ(spk_net_get(n.net, n.target, "v", v, TARGETS), SPK_OK);
        /* the spike of step SPIKE arrives in step SPIKE + delay: with the new weight from CHANGE */
        for (k = 0; k < DELAYS; k++)
            CHECK_NEAR(v[to[k]], SPIKE + delay[k] < CHANGE ? 1.0 : 0.5, 1e-5);
        spk_net_destroy(n.net);
    }
}

/* Rows of one synapse make counts of a byte; hubs exceed them in their length and in their gaps. */
TEST(hubs_among_short_rows_lose_nothing)
{
    enum { SOURCES = 600, HUBS = 2, SHORT = SOURCES - HUBS };
    static const double hub_delay[] = {1, 2, 3, 4, 5, 300, 1000};
    enum { KINDS = sizeof hub_delay / sizeof hub_delay[0], PER_KIND = 1300 };
    static uint32_t from[SHORT + HUBS * KINDS * PER_KIND], to[SHORT + HUBS * KINDS * PER_KIND];
    static double delay[SHORT + HUBS * KINDS * PER_KIND], v[TARGETS], expected[TARGETS];
    uint32_t bits, all[SOURCES], k, h, d;
    for (bits = 16; bits <= 32; bits += 16) {
        net_of n = begin(SOURCES, 2, bits);
        size_t count = 0;
        uint64_t step = 0;
        for (k = 0; k < SOURCES; k++) all[k] = k;
        for (k = 0; k < SHORT; k++, count++) {
            from[count] = HUBS + k;
            to[count] = k * 5;
            delay[count] = 2;
        }
        for (h = 0; h < HUBS; h++)
            for (d = 0; d < KINDS; d++)
                for (k = 0; k < PER_KIND; k++, count++) {
                    from[count] = h;
                    to[count] = (k * 7 + d * 13 + h) % TARGETS;
                    delay[count] = hub_delay[d];
                }
        connect(&n, from, to, delay, count);
        CHECK_EQ(spk_net_inject_spikes(n.net, n.source, all, SOURCES), SPK_OK);
        memset(expected, 0, sizeof expected);
        for (d = 0; d <= KINDS; d++) { /* before and after each arrival of the hubs' */
            const uint64_t until = d < KINDS ? (uint64_t)hub_delay[d] : 1200;
            CHECK_EQ(spk_net_run_steps(n.net, until - step), SPK_OK);
            step = until;
            CHECK_EQ(spk_net_get(n.net, n.target, "v", v, TARGETS), SPK_OK);
            memset(expected, 0, sizeof expected);
            for (k = 0; k < count; k++) expected[to[k]] += delay[k] < (double)step;
            for (k = 0; k < TARGETS; k++) CHECK_NEAR(v[k], expected[k], 1e-3);
        }
        spk_net_destroy(n.net);
    }
}

TEST_MAIN()
