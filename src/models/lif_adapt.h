/* ---- >>lif_adapt: leaky integrate-and-fire, adaptive threshold ---- */
#ifndef SPIKELIB_MODELS_LIF_ADAPT_H
#define SPIKELIB_MODELS_LIF_ADAPT_H

#include "neuron.h"
#include "propagator.h"

/* lif_exp whose threshold is v_th + a: each spike adds q_th to a, which decays with tau_th.
   Source: Kobayashi, Tsubo and Shinomoto, Front. Comput. Neurosci. 3:9 (2009), with one
   exponential and the reset of an integrate-and-fire neuron. The slow a loses a share of itself,
   which 32 bits hold more exactly than a factor near 1. */
#define SPKI_LIF_ADAPT_PARAMS(X)                                                                  \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn, 2.0, "ms") X(e_l, -70.0, "mV")            \
    X(v_th, -55.0, "mV") X(v_reset, -70.0, "mV") X(t_ref, 2.0, "ms") X(i_dc, 0.0, "pA")           \
    X(tau_th, 100.0, "ms") X(q_th, 3.0, "mV")
#define SPKI_LIF_ADAPT_DERIVED(X)                                                                 \
    X(p_vv, spk_exp(-dt / tau_m)) X(p_vi, spki_propagator_exp(dt, c_m, tau_m, tau_syn))           \
    X(p_vc, spki_propagator_dc(dt, c_m, tau_m)) X(p_ii, spk_exp(-dt / tau_syn))                   \
    X(q_aa, dt / tau_th * spk_exprel(-dt / tau_th))                                               \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_ADAPT_STATE(X)                                                                   \
    X(v, e_l, "mV", e_l) X(i_syn, 0.0, "pA") X(a, 0.0, "mV") X(refractory, 0.0, "steps")
#define SPKI_LIF_ADAPT_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_adapt, SPKI_LIF_ADAPT_PARAMS, SPKI_LIF_ADAPT_DERIVED, SPKI_LIF_ADAPT_STATE,
                    SPKI_LIF_ADAPT_INPUTS,
    v = spk_select(refractory > K(0.0), v, p_vv * v + p_vi * i_syn + p_vc * (i_dc + i_ext));
    i_syn = spk_flush(p_ii * i_syn) + input;
    a = spk_flush(a - q_aa * a);
    spike = v >= theta + a;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    a = spk_select(spike, a + q_th, a);
    v = spk_select(spike, reset, v);
)

#endif
