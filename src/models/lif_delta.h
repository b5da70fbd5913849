/* ---- >>lif_delta: leaky integrate-and-fire, synapses that jump the membrane potential ---- */
#ifndef SPIKELIB_MODELS_LIF_DELTA_H
#define SPIKELIB_MODELS_LIF_DELTA_H

#include "neuron.h"
#include "propagator.h"

/* A weight (mV) is a jump of V in the step in which it arrives; what arrives while the neuron is
   refractory is lost. Source: Brunel, J. Comput. Neurosci. 8:183 (2000), section 2. */
#define SPKI_LIF_DELTA_PARAMS(X)                                                                  \
    X(c_m, 250.0, "pF") X(tau_m, 20.0, "ms") X(e_l, 0.0, "mV") X(v_th, 20.0, "mV")                \
    X(v_reset, 10.0, "mV") X(t_ref, 2.0, "ms") X(i_dc, 0.0, "pA")
#define SPKI_LIF_DELTA_DERIVED(X)                                                                 \
    X(p_vv, spk_exp(-dt / tau_m)) X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                     \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_DELTA_STATE(X) X(v, e_l, "mV", e_l) X(refractory, 0.0, "steps")
#define SPKI_LIF_DELTA_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_delta, SPKI_LIF_DELTA_PARAMS, SPKI_LIF_DELTA_DERIVED, SPKI_LIF_DELTA_STATE,
                    SPKI_LIF_DELTA_INPUTS,
    v = spk_select(refractory > K(0.0), v, spk_flush(p_vv * v) + p_vc * (i_dc + i_ext) + input);
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)

#endif
