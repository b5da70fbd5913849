/* ---- >>test_rest: neurons at rest are left alone, and nobody can tell ----
   check: networks alone
   check: threads */
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "check.h"

typedef struct outcome {
    uint64_t spikes, digest, state;
    uint32_t resting; /* pieces at the end */
} outcome;

/* Populations of each kind of model, woken by a list, drives and each other at times that leave
   hundreds of milliseconds of silence in between. In pieces of `piece` steps: a run looks for rest
   from its second step on, so that pieces of one never find any. */
static outcome woken(spk_precision precision, uint32_t threads, uint32_t weight_bits,
                     uint64_t piece)
{
    static const uint32_t who[6] = {3, 70, 3, 99, 0, 64};
    static const double when[6] = {0.1, 200, 600.3, 600.3, 1100, 1900};
    static const char *const model_name[4] = {"exp", "izhikevich", "adex", "hh"};
    static const spk_model_id id[4] = {SPK_MODEL_LIF_EXP, SPK_MODEL_IZHIKEVICH, SPK_MODEL_ADEX,
                                       SPK_MODEL_HH};
    static const double weight[4] = {2000, 15, 900, 8}, current[4] = {500, 10, 900, 400};
    spk_net_desc d;
    outcome o;
    spk_pop pop[4], list, source, all;
    spk_net *net;
    spk_rec rec;
    memset(&d, 0, sizeof d);
    memset(&o, 0, sizeof o);
    d.precision = precision;
    d.threads = threads;
    d.weight_bits = weight_bits;
    d.seed = 11;
    net = spk_net_create(&d);
    list = spk_net_add(net, "list", 130, spk_model_builtin(SPK_MODEL_SPIKE_LIST), NULL);
    source = spk_net_add(net, "source", 80, spk_model_builtin(SPK_MODEL_PARROT), NULL);
    all = spk_net_union(net, list, source);
    (void)spk_net_spike_list(net, list, who, when, 6);
    for (int k = 0; k < 4; k++) {
        spk_conn_desc c;
        spk_current_desc i;
        spk_poisson_desc p;
        memset(&c, 0, sizeof c);
        memset(&i, 0, sizeof i);
        memset(&p, 0, sizeof p);
        pop[k] = spk_net_add(net, model_name[k], 100 + 1100 * (size_t)(k == 0),
                             spk_model_builtin(id[k]),
                             k == 0 ? SPK_SET({"tau_m", SPK_MS(2)}) /* at rest within 0.3 s */
                             : k == 2 ? SPK_SET({"tau_w", SPK_MS(2)}) : NULL);
        all = spk_net_union(net, all, pop[k]);
        c.rule = SPK_FIXED_INDEGREE;
        c.k = 20;
        c.weight = spk_constant(weight[k]);
        c.delay_ms = spk_uniform(0.5, 30);
        (void)spk_net_connect(net, list, pop[k], &c);
        if (k) {
            c.weight = spk_constant(weight[k] / 4);
            (void)spk_net_connect(net, pop[k - 1], pop[k], &c);
        }
        i.amplitude = spk_constant(current[k]);
        i.start_ms = 900 + 0.1 * k;
        i.stop_ms = 930;
        (void)spk_net_drive_current(net, spk_net_slice(net, pop[k], 10, 50), &i);
        p.rate_hz = spk_constant(300);
        p.weight = spk_constant(weight[k]);
        p.start_ms = 1500;
        p.stop_ms = 1510.1;
        (void)spk_net_drive_poisson(net, pop[k], &p);
    }
    rec = spk_net_record_spikes(net, all);
    for (uint64_t step = 0; step < 25000; step += piece) {
        if (step % 5000 == 0 && step > 0) { /* the host wakes some, too */
            (void)spk_net_inject_spikes(net, source, who, 2);
            (void)spk_net_inject_input(net, spk_net_slice(net, pop[0], 0, 1), NULL, &weight[0], 1);
        }
        CHECK_EQ(spk_net_run_steps(net, piece), SPK_OK);
    }
    CHECK_STR(spk_net_error(net), "");
    o.spikes = spk_rec_count(rec);
    o.digest = spk_rec_digest(rec);
    o.state = spk_net_state_digest(net);
    for (uint32_t t = 0; t < net->tiles; t++) {
        for (uint32_t k = 0; k < net->tile[t].pieces; k++) {
            o.resting += net->tile[t].piece[k].rest_until > net->step ? 1u : 0u;
        }
    }
    spk_net_destroy(net);
    return o;
}

TEST(rest_changes_no_spike_and_no_state)
{
    for (int k = 0; k < 4; k++) {
        const spk_precision precision = k == 1 ? SPK_FLOAT64 : k == 3 ? SPK_FLOAT16 : SPK_FLOAT32;
        const uint32_t bits = k == 2 ? 32 : 16, threads = k == 1 ? 1 : 2;
        const outcome always = woken(precision, threads, bits, 1);
        const outcome rested = woken(precision, threads, bits, 5000);
        CHECK(always.spikes > 2000);
        CHECK_EQ(rested.spikes, always.spikes);
        CHECK_EQ(rested.digest, always.digest);
        CHECK_EQ(rested.state, always.state);
        CHECK_EQ(always.resting, 0);
        /* 64-bit states take longer than this run to come to rest; 16-bit ones, rounded at random,
           never do */
        CHECK(rested.resting >= (k == 3 ? 0u : k == 1 ? 2u : 5u));
        CHECK(k != 3 || rested.resting == 0);
    }
}

TEST_MAIN()
