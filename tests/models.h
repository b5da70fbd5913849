/* What the tests of models, drives and arithmetic share: small networks in a few words. */
#ifndef TESTS_MODELS_H
#define TESTS_MODELS_H

#define SPIKELIB_MODELS
#include "../spikelib.h"

#include "check.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

#define SHARED __attribute__((unused)) static /* not every test uses all of it */

SHARED spk_net *net_of(spk_precision precision, double dt, uint64_t seed)
{
    spk_net_desc d = {0};
    d.dt_ms = dt;
    d.seed = seed;
    d.precision = precision;
    d.weight_bits = 32;
    return spk_net_create(&d);
}

SHARED spk_rec record(spk_net *net, spk_pop pop, const char *state)
{
    spk_rec_desc r = {0};
    r.kind = SPK_REC_STATE;
    r.state = state;
    return spk_net_record(net, pop, &r);
}

SHARED void run(spk_net *net, uint64_t steps)
{
    if (spk_net_run_steps(net, steps) != SPK_OK) {
        check_fail(__FILE__, __LINE__, spk_net_error(net));
    }
}

SHARED void direct_current(spk_net *net, spk_pop pop, double amplitude, double start, double stop)
{
    spk_current_desc c = {0};
    c.amplitude = spk_constant(amplitude);
    c.start_ms = start;
    c.stop_ms = stop;
    spk_net_drive_current(net, pop, &c);
}

/* One input spike at `ms` with a weight and a delay, to all of the population. */
SHARED void one_spike(spk_net *net, spk_pop pop, double ms, double weight, double delay)
{
    const uint32_t neuron = 0;
    spk_conn_desc c = {0};
    spk_pop list = spk_net_add(net, "list", 1, SPK_SPIKE_LIST, NULL);
    c.rule = SPK_ALL_TO_ALL;
    c.weight = spk_constant(weight);
    c.delay_ms = spk_constant(delay);
    spk_net_connect(net, list, pop, &c);
    spk_net_spike_list(net, list, &neuron, &ms, 1);
}

#endif
