/* cc -O2 brunel.c -o brunel -lm -lpthread */

/* Brunel's sparsely connected network (J. Comput. Neurosci. 8:183, 2000): 10,000 excitatory and
   2,500 inhibitory neurons whose state depends on the relative strength of inhibition, g, and on
   the external rate, eta (in units of the rate that reaches threshold). Runs the four states of
   the paper's figure 8 and writes a raster of each. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <stdio.h>

/* Rates: [M] of an independent double-precision simulation, E and I. */
typedef struct brunel_state {
    const char *name, *text;
    double g, eta, rate_e, rate_i;
} brunel_state;
static const brunel_state brunel_states[4] = {
    {"A", "synchronous regular, fast", 3.0, 2.0, 333.4, 333.4},
    {"B", "synchronous irregular, fast", 6.0, 4.0, 58.3, 58.8},
    {"C", "asynchronous irregular", 5.0, 2.0, 37.55, 37.7},
    {"D", "synchronous irregular, slow", 4.5, 0.9, 5.735, 5.77}};

/* J = 0.1 mV, theta = 20 mV, tau_m = 20 ms: eta = 1 is theta / (J tau_m) = 10 events a ms. */
static void brunel_describe(spk_net *net, double g, double eta, double v_reset, spk_pop pop[2])
{
    const spk_set *set = SPK_SET({"tau_m", SPK_MS(20)}, {"e_l", SPK_MV(0)}, {"v_th", SPK_MV(20)},
                                 {"v_reset", SPK_MV(v_reset)}, {"t_ref", SPK_MS(2)});
    spk_pop all;
    pop[0] = spk_net_add(net, "exc", 10000, SPK_LIF_DELTA, set);
    pop[1] = spk_net_add(net, "inh", 2500, SPK_LIF_DELTA, set);
    all = spk_net_union(net, pop[0], pop[1]);
    spk_net_connect(net, pop[0], all, &(spk_conn_desc){
        .rule = SPK_FIXED_INDEGREE, .k = 1000, .weight = SPK_MV(0.1), .delay_ms = SPK_MS(1.5)});
    spk_net_connect(net, pop[1], all, &(spk_conn_desc){
        .rule = SPK_FIXED_INDEGREE, .k = 250, .weight = SPK_MV(-0.1 * g), .delay_ms = SPK_MS(1.5)});
    spk_net_drive_poisson(net, all, &(spk_poisson_desc){
        .rate_hz = SPK_HZ(10000.0 * eta), .weight = SPK_MV(0.1)});
}

#ifndef SPIKELIB_EXAMPLE_PART /* spkbench and the tests take the network without the program */

static spk_result run_state(const brunel_state *state, spk_net *net)
{
    spk_pop pop[2];
    spk_rec exc, inh, some;
    spk_result result;
    char path[32];
    brunel_describe(net, state->g, state->eta, 10.0, pop);
    exc = spk_net_record_spikes(net, pop[0]);
    inh = spk_net_record_spikes(net, pop[1]);
    some = spk_net_record_spikes(net, spk_net_slice(net, pop[0], 0, 100));
    result = spk_net_run(net, 300.0);
    if (result != SPK_OK) return result;
    printf("%s  %-28s %8.1f %8.1f    %8.1f %8.1f\n", state->name, state->text,
           spk_rec_rate_hz(exc), spk_rec_rate_hz(inh), state->rate_e, state->rate_i);
    snprintf(path, sizeof path, "brunel_%s.svg", state->name);
    return spk_plot_raster(some, path);
}

int main(void)
{
    int k;
    printf("state                           E (Hz)   I (Hz)    expected, in the long run\n");
    for (k = 0; k < 4; k++) {
        spk_net *net = spk_net_create(&(spk_net_desc){ .threads = spk_cpu_count(), .seed = 1 });
        spk_result result = run_state(&brunel_states[k], net);
        if (result != SPK_OK) fprintf(stderr, "%s\n", spk_net_error(net));
        spk_net_destroy(net);
        if (result != SPK_OK) return 1;
    }
    return 0;
}

#endif
