/* cc -O2 own_neuron.c -o own_neuron -lm -lpthread */

/* Two neuron models that spikelib does not ship, each written once, as in its paper; they run on
   every instruction set at the speed of the built-in ones.

   qif: quadratic integrate-and-fire, tau dv/dt = slope (v - v_rest) (v - v_crit); a weight is a
   jump of v. Source: Latham et al., J. Neurophysiol. 83:808 (2000).

   resonator: resonate-and-fire, z' = (b + i omega) z + I with z = x + i y, a spike where y reaches
   1. It prefers input in rhythm with its own oscillation. The oscillation is solved exactly.
   Source: Izhikevich, Neural Networks 14:883 (2001). */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "../spikelib.h"

#include <stdio.h>

#define QIF_PARAMS(X)                                                                             \
    X(tau_m, 10.0, "ms") X(v_rest, -65.0, "mV") X(v_crit, -50.0, "mV") X(slope, 0.05, "1/mV")     \
    X(v_peak, 30.0, "mV") X(v_reset, -68.0, "mV")
#define QIF_DERIVED(X) X(h, dt / tau_m) /* once, in double */
#define QIF_STATE(X) X(v, -65.0, "mV")
#define QIF_INPUTS(X) X(i_syn, SPK_DELTA)

SPIKELIB_NEURON(qif, QIF_PARAMS, QIF_DERIVED, QIF_STATE, QIF_INPUTS,
    v += h * (slope * (v - v_rest) * (v - v_crit)) + i_syn;
    spike = v >= v_peak;
    v = spk_select(spike, v_reset, v);
)

#define RESONATOR_PARAMS(X) X(b, -0.02, "1/ms") X(frequency, 20.0, "Hz")
#define RESONATOR_DERIVED(X)                                                                      \
    X(angle, 6.283185307179586e-3 * frequency * dt)                                               \
    X(turn_x, spk_exp(b * dt) * spk_cos(angle)) X(turn_y, spk_exp(b * dt) * spk_sin(angle))
#define RESONATOR_STATE(X) X(x, 0.0, "") X(y, 0.0, "")
#define RESONATOR_INPUTS(X) X(pulse, SPK_DELTA)

SPIKELIB_NEURON(resonator, RESONATOR_PARAMS, RESONATOR_DERIVED, RESONATOR_STATE, RESONATOR_INPUTS,
    const real x_before = x;
    x = spk_flush(turn_x * x - turn_y * y) + pulse;
    y = spk_flush(turn_y * x_before + turn_x * y);
    spike = y >= K(1.0);
    x = spk_select(spike, K(0.0), x);
    y = spk_select(spike, K(1.0), y);
)

/* Draws how often each of the resonators fired. */
static void draw_tuning(spk_rec rec, const double *hz, size_t n, double seconds)
{
    double rate[400] = {0};
    spk_plot_curve curve = {.x = hz, .y = rate, .count = n};
    size_t count, i;
    const spk_spike *spikes = spk_rec_spikes(rec, &count);
    for (i = 0; i < count; i++) rate[spikes[i].neuron - spk_rec_first_id(rec)] += 1.0 / seconds;
    spk_plot_curves(&curve, 1, &(spk_plot_desc){
        .title = "Resonators hear 20 Hz and its double", .y_label = "response (Hz)",
        .x_label = "own frequency (Hz)" }, "own_neuron.svg");
}

int main(void)
{
    enum { RESONATORS = 400, PULSES = 40 };
    spk_net *net = spk_net_create(NULL);
    double hz[RESONATORS], times[PULSES];
    uint32_t zeros[PULSES] = {0};
    int i;

    spk_pop cells = spk_net_add(net, "cells", 10000, qif, SPK_SET({"tau_m", spk_uniform(8, 12)}));
    spk_net_drive_poisson(net, cells, &(spk_poisson_desc){ .rate_hz = SPK_HZ(1500),
        .weight = SPK_MV(1.0) });
    spk_rec spikes = spk_net_record_spikes(net, cells);

    for (i = 0; i < RESONATORS; i++) hz[i] = 5.0 + 0.125 * i;
    for (i = 0; i < PULSES; i++) times[i] = 50.0 * (i + 1); /* 20 a second */
    spk_pop drum = spk_net_add(net, "drum", 1, SPK_SPIKE_LIST, NULL);
    spk_pop ears = spk_net_add(net, "ears", RESONATORS, resonator,
                               SPK_SET({"frequency", spk_array(hz, RESONATORS)}));
    spk_net_spike_list(net, drum, zeros, times, PULSES);
    spk_net_connect(net, drum, ears, &(spk_conn_desc){ .rule = SPK_ALL_TO_ALL,
        .weight = spk_constant(0.85) });
    spk_rec heard = spk_net_record_spikes(net, ears);

    if (spk_net_run(net, 2000.0) != SPK_OK) {
        fprintf(stderr, "%s\n", spk_net_error(net));
        return 1;
    }
    printf("qif: %.2f Hz, digest %016llx\n", spk_rec_rate_hz(spikes),
           (unsigned long long)spk_rec_digest(spikes));
    printf("resonators: %llu spikes; their tuning is in own_neuron.svg\n",
           (unsigned long long)spk_rec_count(heard));
    draw_tuning(heard, hz, RESONATORS, 2.0);
    spk_net_destroy(net);
    return 0;
}
