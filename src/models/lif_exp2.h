/* ---- >>lif_exp2: leaky integrate-and-fire, excitatory and inhibitory exponential currents ---- */
#ifndef SPIKELIB_MODELS_LIF_EXP2_H
#define SPIKELIB_MODELS_LIF_EXP2_H

#include "neuron.h"
#include "propagator.h"

/* lif_exp with a time constant for each sign of weight: weights >= 0 (pA) are jumps of i_ex, the
   magnitudes of negative ones of i_in, which is subtracted. */
#define SPKI_LIF_EXP2_PARAMS(X)                                                                   \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn_ex, 2.0, "ms") X(tau_syn_in, 2.0, "ms")    \
    X(e_l, -70.0, "mV") X(v_th, -55.0, "mV") X(v_reset, -70.0, "mV") X(t_ref, 2.0, "ms")          \
    X(i_dc, 0.0, "pA")
#define SPKI_LIF_EXP2_DERIVED(X)                                                                  \
    X(p_vv, spk_exp(-dt / tau_m))                                                                 \
    X(p_ve, spki_propagator_exp(dt, c_m, tau_m, tau_syn_ex))                                      \
    X(p_vn, spki_propagator_exp(dt, c_m, tau_m, tau_syn_in))                                      \
    X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                                                   \
    X(p_ee, spk_exp(-dt / tau_syn_ex)) X(p_nn, spk_exp(-dt / tau_syn_in))                         \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_EXP2_STATE(X)                                                                    \
    X(v, e_l, "mV", e_l) X(i_ex, 0.0, "pA") X(i_in, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_LIF_EXP2_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_exp2, SPKI_LIF_EXP2_PARAMS, SPKI_LIF_EXP2_DERIVED, SPKI_LIF_EXP2_STATE,
                    SPKI_LIF_EXP2_INPUTS,
    v = spk_select(refractory > K(0.0), v,
                   p_vv * v + p_ve * i_ex - p_vn * i_in + p_vc * (i_dc + i_ext));
    i_ex = spk_flush(p_ee * i_ex) + ex;
    i_in = spk_flush(p_nn * i_in) + in;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)

#endif
