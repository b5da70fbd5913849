/* Rows and the queue of what is on its way: every synapse arrives once, in its step, with the
   weight of that moment, whatever the row looks like. Expected values are counted by hand: the
   membranes here neither leak (within 1e-6) nor spike. */
#include "../spikelib.h"

#include "check.h"

enum { TARGETS = 3000 };

typedef struct net_of {
    spk_net *net;
    spk_pop source, target;
} net_of;

/* `sources` neurons that spike when told, and targets that add up what they get. */
static net_of begin_with(const spk_net_desc *d, uint32_t sources)
{
    net_of n;
    const spk_set sum[] = {{"tau_m", spk_constant(1e9)}, {"v_th", spk_constant(1e9)},
                           {"e_l", spk_constant(0.0)},   {"v_reset", spk_constant(0.0)},
                           {NULL, spk_constant(0.0)}};
    n.net = spk_net_create(d);
    n.source = spk_net_add(n.net, "source", sources, SPK_SPIKE_LIST, NULL);
    n.target = spk_net_add(n.net, "target", TARGETS, SPK_LIF_DELTA, sum);
    return n;
}

static net_of begin(uint32_t sources, uint32_t threads, uint32_t weight_bits)
{
    spk_net_desc d = {0};
    d.threads = threads;
    d.weight_bits = weight_bits;
    return begin_with(&d, sources);
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

/* A few different weights a source: rows of slots alone, which have pieces of odd length, more
   synapses a delay than an entry counts, and rows with too many weights or an empty one beside
   them. The membranes add up what is listed here. */
enum { MANY = 5, PER_SOURCE = 1400 };
typedef struct listed {
    uint32_t from[MANY * PER_SOURCE], to[MANY * PER_SOURCE];
    double delay[MANY * PER_SOURCE], weight[MANY * PER_SOURCE];
    size_t count;
} listed;

static void list_synapses(listed *l)
{
    static const uint32_t different[MANY] = {1, 2, 4, 5, 3};
    uint32_t s, k;
    l->count = 0;
    for (s = 0; s < MANY; s++)
        for (k = 0; k < PER_SOURCE - s; k++, l->count++) {
            l->from[l->count] = s;
            l->to[l->count] = (k * 11 + s) % TARGETS;
            l->delay[l->count] = k < 700 ? 3 : k % 3 ? 7 : 500;
            l->weight[l->count] = 1.0 + k % different[s];
            if (s == 4 && k % 3 == 1) l->weight[l->count] = 0.0;
        }
}

static void expect_sums(net_of *n, const double *expected)
{
    static double v[TARGETS];
    size_t k;
    CHECK_EQ(spk_net_get(n->net, n->target, "v", v, TARGETS), SPK_OK);
    for (k = 0; k < TARGETS; k++) CHECK_NEAR(v[k], expected[k], 1e-2);
}

static void connect_listed(net_of *n, const listed *l)
{
    spk_conn_desc c = {0};
    static double ms[MANY * PER_SOURCE];
    size_t k;
    for (k = 0; k < l->count; k++) ms[k] = 0.1 * l->delay[k];
    c.rule = SPK_COO;
    c.sources = l->from;
    c.targets = l->to;
    c.total = l->count;
    c.delay_ms = spk_array(ms, l->count);
    c.weight = spk_array(l->weight, l->count);
    CHECK_EQ(spk_net_connect(n->net, n->source, n->target, &c), SPK_OK);
    CHECK_EQ(spk_net_build(n->net), SPK_OK);
    CHECK_STR(spk_net_error(n->net), "");
}

static bool says(const spk_net *net, const char *words)
{
    static char text[4096];
    (void)spk_net_describe(net, text, sizeof text);
    return strstr(text, words) != NULL;
}

TEST(rows_of_few_weights_take_two_bytes_a_synapse_and_arrive_whole)
{
    static listed l;
    static double expected[TARGETS];
    const uint32_t all[MANY] = {0, 1, 2, 3, 4};
    uint32_t threads;
    size_t k;
    list_synapses(&l);
    memset(expected, 0, sizeof expected);
    for (k = 0; k < l.count; k++) expected[l.to[k]] += l.weight[k];
    for (threads = 1; threads <= 3; threads++) {
        net_of n = begin(MANY, threads, 16);
        spk_net_info info;
        connect_listed(&n, &l);
        CHECK(threads > 1 || says(n.net, "  4197 synapses of 2 bytes"));
        CHECK(threads > 1 || says(n.net, "  2793 synapses of 4 bytes"));
        CHECK_EQ(spk_net_get_info(n.net, &info), SPK_OK);
        CHECK_EQ(info.synapses, l.count);
        CHECK_EQ(spk_net_inject_spikes(n.net, n.source, all, MANY), SPK_OK);
        CHECK_EQ(spk_net_run_steps(n.net, 510), SPK_OK);
        expect_sums(&n, expected);
        spk_net_destroy(n.net);
    }
}

/* Every source reaches most targets with one of two weights: bits instead of slots. */
TEST(dense_rows_are_masks_and_arrive_whole_on_every_isa)
{
    enum { SOURCES = 9, DENSE = SOURCES * TARGETS };
    static uint32_t from[DENSE], to[DENSE];
    static double weight[DENSE], expected[TARGETS];
    static spk_synapse list[DENSE];
    const uint32_t some[] = {0, 3, 8};
    const spk_isa isas[] = {SPK_ISA_SCALAR, SPK_ISA_SSE2, SPK_ISA_AVX2, SPK_ISA_AVX512,
                            SPK_ISA_AUTO};
    size_t count = 0, listed_count, i, k;
    uint32_t s, t, ran = 0;
    memset(expected, 0, sizeof expected);
    for (s = 0; s < SOURCES; s++)
        for (t = s * 70; t < TARGETS - s * 31; t++) {
            if ((t * 7 + s) % 5 == 0) continue;
            from[count] = s;
            to[count] = t;
            weight[count++] = (t + s) % 3 ? 1.0 : -2.0;
            if (s == 0 || s == 3 || s == 8) expected[t] += (t + s) % 3 ? 1.0 : -2.0;
        }
    for (i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        spk_net_desc d = {0};
        spk_conn_desc c = {0};
        net_of n;
        if (!spk_isa_available(isas[i])) continue;
        ran++;
        d.isa = isas[i];
        d.threads = 1;
        n = begin_with(&d, SOURCES);
        c.rule = SPK_COO;
        c.sources = from;
        c.targets = to;
        c.total = count;
        c.weight = spk_array(weight, count);
        c.delay_ms = spk_constant(40.0); /* more steps than an entry of bytes holds */
        CHECK_EQ(spk_net_connect(n.net, n.source, n.target, &c), SPK_OK);
        CHECK_EQ(spk_net_build(n.net), SPK_OK);
        CHECK(!says(n.net, "  0 synapses in bit masks"));
        CHECK(says(n.net, "  0 synapses of 2 bytes"));
        CHECK(says(n.net, "  0 synapses of 4 bytes"));
        CHECK_EQ(spk_net_synapses(n.net, n.source, n.target, list, count, &listed_count), SPK_OK);
        CHECK_EQ(listed_count, count);
        for (k = 0; k < count; k++) { /* both are in order of source and target */
            CHECK_EQ(list[k].source, from[k]);
            CHECK_EQ(list[k].target - spk_net_pop_id(n.net, n.target, 0), to[k]);
            CHECK_EQ(list[k].delay_steps, 400);
            CHECK_NEAR(list[k].weight, weight[k], 1e-3);
        }
        CHECK_EQ(spk_net_inject_spikes(n.net, n.source, some, 3), SPK_OK);
        CHECK_EQ(spk_net_run_steps(n.net, 402), SPK_OK);
        expect_sums(&n, expected);
        CHECK_EQ(spk_net_inject_spikes(n.net, n.source, some, 3), SPK_OK);
        CHECK_EQ(spk_net_run_steps(n.net, 5), SPK_OK);
        for (k = 0; k < count; k++) weight[k] += 0.5;
        CHECK_EQ(spk_net_set_weights(n.net, n.source, n.target, weight, count), SPK_OK);
        CHECK(says(n.net, "  0 synapses in bit masks"));
        for (k = 0; k < count; k++) weight[k] -= 0.5;
        spk_net_destroy(n.net);
    }
    CHECK(ran > 0);
}

/* 65,536 and more synapses on one target. */
TEST(masks_reach_accumulators_of_64_bits)
{
    enum { SOURCES = 66000, FEW = 100 };
    static uint32_t all[SOURCES];
    static double v[FEW];
    spk_net_info info;
    spk_conn_desc c = {0};
    net_of n = begin(SOURCES, 2, 16);
    uint32_t k;
    for (k = 0; k < SOURCES; k++) all[k] = k;
    c.rule = SPK_ALL_TO_ALL;
    c.weight = spk_constant(0.25);
    n.target = spk_net_slice(n.net, n.target, 50, FEW);
    CHECK_EQ(spk_net_connect(n.net, n.source, n.target, &c), SPK_OK);
    CHECK_EQ(spk_net_build(n.net), SPK_OK);
    CHECK_EQ(spk_net_get_info(n.net, &info), SPK_OK);
    CHECK_EQ(info.accumulator_bits, 64);
    CHECK(says(n.net, "  0 synapses of 2 bytes"));
    CHECK_EQ(spk_net_inject_spikes(n.net, n.source, all, SOURCES), SPK_OK);
    CHECK_EQ(spk_net_run_steps(n.net, 50), SPK_OK);
    CHECK_EQ(spk_net_get(n.net, n.target, "v", v, FEW), SPK_OK);
    for (k = 0; k < FEW; k++) CHECK_NEAR(v[k], 0.25 * SOURCES, 1e-2);
    spk_net_destroy(n.net);
}

/* As listed by a network of 32-bit weights, which has no narrow rows. */
TEST(narrow_rows_list_the_same_synapses)
{
    static listed l;
    static spk_synapse a[MANY * PER_SOURCE], b[MANY * PER_SOURCE];
    net_of narrow = begin(MANY, 2, 16), wide = begin(MANY, 1, 32);
    size_t na, nb, k;
    list_synapses(&l);
    connect_listed(&narrow, &l);
    connect_listed(&wide, &l);
    CHECK_EQ(spk_net_synapses(narrow.net, narrow.source, narrow.target, a, l.count, &na), SPK_OK);
    CHECK_EQ(spk_net_synapses(wide.net, wide.source, wide.target, b, l.count, &nb), SPK_OK);
    CHECK_EQ(na, l.count);
    CHECK_EQ(nb, l.count);
    for (k = 0; k < l.count; k++) {
        CHECK_EQ(a[k].source, b[k].source);
        CHECK_EQ(a[k].target, b[k].target);
        CHECK_EQ(a[k].delay_steps, b[k].delay_steps);
        CHECK_NEAR(a[k].weight, b[k].weight, 1e-3);
    }
    spk_net_destroy(narrow.net);
    spk_net_destroy(wide.net);
}

/* Spikes are on their way by reference when the weights of narrow rows begin to differ. */
TEST(weights_that_begin_to_differ_meet_the_spikes_on_their_way)
{
    enum { CHANGE = 5 };
    static listed l;
    static spk_synapse list[MANY * PER_SOURCE];
    static double weight[MANY * PER_SOURCE], expected[TARGETS];
    const uint32_t all[MANY] = {0, 1, 2, 3, 4};
    net_of n = begin(MANY, 2, 16);
    size_t count, k;
    list_synapses(&l);
    connect_listed(&n, &l);
    CHECK_EQ(spk_net_synapses(n.net, n.source, n.target, list, l.count, &count), SPK_OK);
    memset(expected, 0, sizeof expected);
    for (k = 0; k < count; k++) {
        weight[k] = (double)(k % 7) * 0.5;
        expected[list[k].target - spk_net_pop_id(n.net, n.target, 0)] +=
            list[k].delay_steps < CHANGE ? list[k].weight : weight[k];
    }
    CHECK_EQ(spk_net_inject_spikes(n.net, n.source, all, MANY), SPK_OK);
    CHECK_EQ(spk_net_run_steps(n.net, CHANGE), SPK_OK);
    CHECK_EQ(spk_net_set_weights(n.net, n.source, n.target, weight, count), SPK_OK);
    CHECK(says(n.net, "  0 synapses of 2 bytes"));
    CHECK_EQ(spk_net_run_steps(n.net, 510), SPK_OK);
    expect_sums(&n, expected);
    spk_net_destroy(n.net);
}

/* Without room for weights that differ nothing changes, and with it the network goes on. */
TEST(no_room_for_weights_that_differ_changes_nothing)
{
    static listed l;
    static double weight[MANY * PER_SOURCE], before[TARGETS];
    const uint32_t all[MANY] = {0, 1, 2, 3, 4};
    spk_net_info info;
    net_of n;
    size_t k, refused = 0, more;
    list_synapses(&l);
    memset(before, 0, sizeof before);
    for (k = 0; k < l.count; k++) before[l.to[k]] += l.weight[k];
    for (k = 0; k < l.count; k++) weight[k] = 0.5 + (double)(k % 4);
    n = begin(MANY, 1, 16);
    connect_listed(&n, &l);
    CHECK_EQ(spk_net_inject_spikes(n.net, n.source, all, MANY), SPK_OK);
    CHECK_EQ(spk_net_get_info(n.net, &info), SPK_OK);
    spk_net_destroy(n.net);
    for (more = 0; more < 2000000; more += 40000) {
        spk_net_desc d = {0};
        spk_result result;
        d.memory_limit = (size_t)info.bytes_peak + more;
        n = begin_with(&d, MANY);
        connect_listed(&n, &l);
        CHECK_EQ(spk_net_inject_spikes(n.net, n.source, all, MANY), SPK_OK);
        CHECK_EQ(spk_net_run_steps(n.net, 5), SPK_OK);
        result = spk_net_set_weights(n.net, n.source, n.target, weight, l.count);
        if (result != SPK_OK) {
            refused++;
            CHECK_EQ(result, SPK_ERR_OUT_OF_MEMORY);
            CHECK_EQ(spk_net_run_steps(n.net, 505), SPK_OK);
            expect_sums(&n, before);
        }
        spk_net_destroy(n.net);
        if (result == SPK_OK) break;
    }
    CHECK(refused > 2 && more < 2000000);
}

TEST_MAIN()
