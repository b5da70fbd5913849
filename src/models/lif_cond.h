/* ---- >>lif_cond: leaky integrate-and-fire, exponential conductances ---- */
#ifndef SPIKELIB_MODELS_LIF_COND_H
#define SPIKELIB_MODELS_LIF_COND_H

#include "neuron.h"
#include "propagator.h"

/* C dV/dt = -g_l (V - E_l) - g_ex (V - E_ex) - g_in (V - E_in) + I; weights (nS) are jumps of g_ex,
   magnitudes of negative ones of g_in. Conductances decay exactly; V by the implicit midpoint
   rule with the conductances at the middle of the step (second order, stable for any g). */
#define SPKI_LIF_COND_PARAMS(X)                                                                   \
    X(c_m, 200.0, "pF") X(g_l, 10.0, "nS") X(e_l, -60.0, "mV") X(v_th, -50.0, "mV")               \
    X(v_reset, -60.0, "mV") X(t_ref, 5.0, "ms") X(e_ex, 0.0, "mV") X(e_in, -80.0, "mV")           \
    X(tau_syn_ex, 5.0, "ms") X(tau_syn_in, 10.0, "ms") X(i_dc, 0.0, "pA")
#define SPKI_LIF_COND_DERIVED(X)                                                                  \
    X(h_ex, spk_exp(-0.5 * dt / tau_syn_ex)) X(h_in, spk_exp(-0.5 * dt / tau_syn_in))             \
    X(half, 0.5 * dt / c_m) X(u_ex, e_ex - e_l) X(u_in, e_in - e_l)                               \
    X(theta, v_th - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_LIF_COND_STATE(X)                                                                    \
    X(v, e_l, "mV", e_l) X(g_ex, 0.0, "nS") X(g_in, 0.0, "nS") X(refractory, 0.0, "steps")
#define SPKI_LIF_COND_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(lif_cond, SPKI_LIF_COND_PARAMS, SPKI_LIF_COND_DERIVED, SPKI_LIF_COND_STATE,
                    SPKI_LIF_COND_INPUTS,
    const real m_ex = h_ex * g_ex;
    const real m_in = h_in * g_in;
    const real k = half * (g_l + m_ex + m_in);
    const real drive = half * (m_ex * u_ex + m_in * u_in + i_dc + i_ext);
    const real next = (v - k * v + drive + drive) / (K(1.0) + k);
    v = spk_select(refractory > K(0.0), v, next);
    g_ex = spk_flush(h_ex * m_ex) + ex;
    g_in = spk_flush(h_in * m_in) + in;
    spike = v >= theta;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
)

#endif
