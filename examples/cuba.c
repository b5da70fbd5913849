/* cc -O2 cuba.c -o cuba -lm -lpthread */

/* Self-sustained activity of 4,000 neurons with current-based synapses: Vogels and Abbott
   (J. Neurosci. 25:10786, 2005) as benchmark 2 of Brette et al. (J. Comput. Neurosci. 23:349,
   2007), in two forms: Brian's (random connectivity and start) and NEST's (fixed in-degrees,
   stronger inhibition, started by 50 ms of stimulation). */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <stdio.h>
#include <string.h>

enum { CUBA_BRIAN, CUBA_NEST };

/* Weights: 1.62 mV and -9 mV at C / tau_m = 10 pF/ms are 16.2 pA and -90 pA. */
static void cuba_describe(spk_net *net, int form, spk_pop pop[2])
{
    const bool nest = form == CUBA_NEST;
    const spk_set *set = SPK_SET({"c_m", SPK_PF(200)}, {"tau_m", SPK_MS(20)}, {"e_l", SPK_MV(-49)},
                                 {"v_th", SPK_MV(-50)}, {"v_reset", SPK_MV(-60)},
                                 {"t_ref", SPK_MS(5)}, {"tau_syn_ex", SPK_MS(5)},
                                 {"tau_syn_in", SPK_MS(10)},
                                 {"v", nest ? SPK_MV(-49) : spk_uniform(-60.0, -50.0)});
    spk_conn_desc exc = {.rule = nest ? SPK_FIXED_INDEGREE : SPK_BERNOULLI, .k = 64, .p = 0.02,
                         .weight = SPK_PA(16.2)};
    spk_conn_desc inh = {.rule = exc.rule, .k = 16, .p = 0.02,
                         .weight = SPK_PA(nest ? -139.5 : -90.0)};
    spk_pop all;
    pop[0] = spk_net_add(net, "exc", 3200, SPK_LIF_EXP2, set);
    pop[1] = spk_net_add(net, "inh", 800, SPK_LIF_EXP2, set);
    all = spk_net_union(net, pop[0], pop[1]);
    spk_net_connect(net, pop[0], all, &exc);
    spk_net_connect(net, pop[1], all, &inh);
    if (nest)
        spk_net_drive_poisson(net, spk_net_slice(net, pop[0], 0, 50), &(spk_poisson_desc){
            .rate_hz = SPK_HZ(300), .weight = SPK_PA(16.2), .start_ms = 1.0, .stop_ms = 51.0});
}

#ifndef SPIKELIB_EXAMPLE_PART /* spkbench and the tests take the network without the program */

int main(int argc, char **argv)
{
    int form = argc > 1 && strcmp(argv[1], "nest") == 0 ? CUBA_NEST : CUBA_BRIAN;
    spk_net *net = spk_net_create(&(spk_net_desc){ .threads = spk_cpu_count(), .seed = 1 });
    spk_pop pop[2];
    spk_rec exc, inh;
    cuba_describe(net, form, pop);
    exc = spk_net_record_spikes(net, pop[0]);
    inh = spk_net_record_spikes(net, pop[1]);
    if (spk_net_run(net, 2000.0) != SPK_OK) {
        fprintf(stderr, "%s\n", spk_net_error(net));
        return 1;
    }
    printf("%s form: excitatory %.2f Hz, inhibitory %.2f Hz (in the long run %s)\n",
           form == CUBA_NEST ? "NEST" : "Brian", spk_rec_rate_hz(exc), spk_rec_rate_hz(inh),
           form == CUBA_NEST ? "4.0, 4.0" : "5.5, 5.6");
    spk_plot_raster(exc, "cuba.svg");
    spk_net_destroy(net);
    return 0;
}

#endif
