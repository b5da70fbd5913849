/* ---- >>lif_exp: leaky integrate-and-fire, exponential postsynaptic current ---- */
#ifndef SPIKELIB_MODELS_LIF_EXP_H
#define SPIKELIB_MODELS_LIF_EXP_H

#include "neuron.h"
#include "propagator.h"

/* C dV/dt = -(V - E_L) C / tau_m + I_syn + I_dc,  dI_syn/dt = -I_syn / tau_syn; a synaptic weight
   (pA) is a jump of I_syn. Integrated exactly: Rotter and Diesmann, Biol. Cybern. 81:381 (1999).
   v is held at v_reset for t_ref; inputs count in the refractory time too. */
#define SPKI_LIF_EXP_PARAMS(X)                                                                    \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn, 0.5, "ms") X(e_l, -65.0, "mV")            \
    X(v_th, -50.0, "mV") X(v_reset, -65.0, "mV") X(t_ref, 2.0, "ms") X(i_dc, 0.0, "pA")
#define SPKI_LIF_EXP_DERIVED(X)                                                                   \
    X(p_vv, spk_exp(-dt / tau_m))                                                                 \
    X(p_vi, spki_propagator_exp(dt, c_m, tau_m, tau_syn))                                         \
    X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                                                   \
    X(p_ii, spk_exp(-dt / tau_syn))                                                               \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_EXP_STATE(X)                                                                     \
    X(v, e_l, "mV", e_l) X(i_syn, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_LIF_EXP_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_exp, SPKI_LIF_EXP_PARAMS, SPKI_LIF_EXP_DERIVED, SPKI_LIF_EXP_STATE,
                    SPKI_LIF_EXP_INPUTS,
    v = spk_select(refractory > K(0.0), v, p_vv * v + p_vi * i_syn + p_vc * (i_dc + i_ext));
    i_syn = spk_flush(p_ii * i_syn) + input;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)

#endif
