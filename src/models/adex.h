/* ---- >>adex: adaptive exponential integrate-and-fire ---- */
#ifndef SPIKELIB_MODELS_ADEX_H
#define SPIKELIB_MODELS_ADEX_H

#include "neuron.h"
#include "propagator.h"

/* C dV/dt = -g_l (V - E_l) + g_l D e^((V - V_t) / D) - w + I,  tau_w dw/dt = a (V - E_l) - w; at
   V >= v_peak: V = v_reset, w += b. Forward Euler. The exponent is at most 60, V at least 10 V
   below E_l and dt / tau_w at most 1, so that no parameters explode. A weight (pA) is a jump of
   an exponential current. Source: Brette and Gerstner, J. Neurophysiol. 94:3637 (2005); defaults
   from there, v_peak after Naud et al., Biol. Cybern. 99:335 (2008). */
#define SPKI_ADEX_PARAMS(X)                                                                       \
    X(c_m, 281.0, "pF") X(g_l, 30.0, "nS") X(e_l, -70.6, "mV") X(v_t, -50.4, "mV")                \
    X(delta_t, 2.0, "mV") X(a, 4.0, "nS") X(tau_w, 144.0, "ms") X(b, 80.5, "pA")                  \
    X(v_reset, -70.6, "mV") X(v_peak, 0.0, "mV") X(t_ref, 0.0, "ms") X(tau_syn, 2.0, "ms")        \
    X(i_dc, 0.0, "pA")
#define SPKI_ADEX_DERIVED(X)                                                                      \
    X(slope, 1.0 / delta_t) X(onset, (e_l - v_t) / delta_t) X(leak, dt * g_l / c_m)               \
    X(spread, dt * g_l * delta_t / c_m) X(gain, dt / c_m)                                         \
    X(h_w, spk_min(dt / tau_w, 1.0))                                                              \
    X(p_ii, spk_exp(-dt / tau_syn))                                                               \
    X(peak, v_peak - e_l) X(reset, v_reset - e_l) X(n_ref, spki_whole_steps(t_ref, dt))
#define SPKI_ADEX_STATE(X)                                                                        \
    X(v, e_l, "mV", e_l) X(w, 0.0, "pA") X(i_syn, 0.0, "pA") X(refractory, 0.0, "steps")
#define SPKI_ADEX_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(adex, SPKI_ADEX_PARAMS, SPKI_ADEX_DERIVED, SPKI_ADEX_STATE,
                    SPKI_ADEX_INPUTS,
    const real upstroke = spk_exp(spk_min(slope * v + onset, K(60.0)));
    const real next = v - leak * v + spread * upstroke + gain * (i_syn + i_dc + i_ext - w);
    w = spk_flush(w + h_w * (a * v - w));
    v = spk_select(refractory > K(0.0), v, spk_max(next, K(-1e4)));
    i_syn = spk_flush(p_ii * i_syn) + input;
    spike = v >= peak;
    refractory = spk_select(spike, n_ref, spk_max(refractory - K(1.0), K(0.0)));
    v = spk_select(spike, reset, v);
    w = spk_select(spike, w + b, w);
)

#endif
