/* ---- >>lif_alpha: leaky integrate-and-fire, alpha-shaped postsynaptic currents ---- */
#ifndef SPIKELIB_MODELS_LIF_ALPHA_H
#define SPIKELIB_MODELS_LIF_ALPHA_H

#include "neuron.h"
#include "propagator.h"

/* A weight w (pA) adds w (t / tau) e^(1 - t / tau), which peaks at w after tau_syn. Integrated
   exactly: Rotter and Diesmann, Biol. Cybern. 81:381 (1999). d_ex and d_in are the first of each
   alpha function's two variables. */
#define SPKI_LIF_ALPHA_PARAMS(X)                                                                  \
    X(c_m, 250.0, "pF") X(tau_m, 10.0, "ms") X(tau_syn_ex, 2.0, "ms") X(tau_syn_in, 2.0, "ms")    \
    X(e_l, -70.0, "mV") X(v_th, -55.0, "mV") X(v_reset, -70.0, "mV") X(t_ref, 2.0, "ms")          \
    X(i_dc, 0.0, "pA")
#define SPKI_LIF_ALPHA_DERIVED(X)                                                                 \
    X(p_vv, spk_exp(-dt / tau_m)) X(p_vc, spki_propagator_dc(dt, c_m, tau_m))                     \
    X(p_ve, spki_propagator_exp(dt, c_m, tau_m, tau_syn_ex))                                      \
    X(p_vn, spki_propagator_exp(dt, c_m, tau_m, tau_syn_in))                                      \
    X(p_vde, spki_propagator_alpha(dt, c_m, tau_m, tau_syn_ex))                                   \
    X(p_vdn, spki_propagator_alpha(dt, c_m, tau_m, tau_syn_in))                                   \
    X(p_ee, spk_exp(-dt / tau_syn_ex)) X(p_nn, spk_exp(-dt / tau_syn_in))                         \
    X(jump_ex, 2.718281828459045 / tau_syn_ex) X(jump_in, 2.718281828459045 / tau_syn_in)         \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_ALPHA_STATE(X)                                                                   \
    X(v, e_l, "mV", e_l) X(d_ex, 0.0, "pA/ms") X(i_ex, 0.0, "pA") X(d_in, 0.0, "pA/ms")           \
    X(i_in, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_LIF_ALPHA_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_alpha, SPKI_LIF_ALPHA_PARAMS, SPKI_LIF_ALPHA_DERIVED, SPKI_LIF_ALPHA_STATE,
                    SPKI_LIF_ALPHA_INPUTS,
    v = spk_select(refractory > K(0.0), v,
                   p_vv * v + p_vde * d_ex + p_ve * i_ex - p_vdn * d_in - p_vn * i_in
                       + p_vc * (i_dc + i_ext));
    i_ex = spk_flush(p_ee * (i_ex + dt * d_ex));
    i_in = spk_flush(p_nn * (i_in + dt * d_in));
    d_ex = spk_flush(p_ee * d_ex) + jump_ex * ex;
    d_in = spk_flush(p_nn * d_in) + jump_in * in;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)

#endif
