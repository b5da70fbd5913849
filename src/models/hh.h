/* ---- >>hh: Hodgkin-Huxley with Traub-Miles rates ---- */
#ifndef SPIKELIB_MODELS_HH_H
#define SPIKELIB_MODELS_HH_H

#include "neuron.h"
#include "propagator.h"

/* C dV/dt = -g_l (V - E_l) - g_na m^3 h (V - E_na) - g_k n^4 (V - E_k) - g_ex (V - E_ex)
   - g_in (V - E_in) + I. Rates written with (e^x - 1) / x, so that none is singular. Gates decay
   exactly towards their steady state and sit half a step ahead of V, which takes the implicit
   midpoint rule: second order (Hines, Int. J. Biomed. Comput. 15:69, 1984). Each step is cut into
   `substeps`: at 0.05 ms the spike counts are within 0.5 % of converged ones, at 0.1 ms 1.2 %. A
   spike is an upward crossing of v_th. Source: Traub and Miles (1991), as in Brette et al., J.
   Comput. Neurosci. 23:349 (2007), benchmark 3. */
#define SPKI_HH_PARAMS(X)                                                                         \
    X(c_m, 200.0, "pF") X(g_l, 10.0, "nS") X(e_l, -60.0, "mV") X(g_na, 20000.0, "nS")             \
    X(e_na, 50.0, "mV") X(g_k, 6000.0, "nS") X(e_k, -90.0, "mV") X(v_t, -63.0, "mV")              \
    X(e_ex, 0.0, "mV") X(e_in, -80.0, "mV") X(tau_syn_ex, 5.0, "ms") X(tau_syn_in, 10.0, "ms")    \
    X(i_dc, 0.0, "pA") X(v_th, -20.0, "mV") X(substeps, 2.0, "")
#define SPKI_HH_DERIVED(X)                                                                        \
    X(step, dt / spk_max(substeps, 1.0)) X(half, 0.5 * step / c_m)                                \
    X(h_ex, spk_exp(-0.5 * step / tau_syn_ex)) X(h_in, spk_exp(-0.5 * step / tau_syn_in))         \
    X(e_leak, e_l - v_t) X(e_sodium, e_na - v_t) X(e_potassium, e_k - v_t)                        \
    X(u_ex, e_ex - v_t) X(u_in, e_in - v_t) X(theta, v_th - v_t)
#define SPKI_HH_STATE(X)                                                                          \
    X(v, e_l, "mV", v_t) X(m, spki_hh_gate(e_l - v_t, 0), "") X(h, spki_hh_gate(e_l - v_t, 1), "")\
    X(n, spki_hh_gate(e_l - v_t, 2), "") X(g_ex, 0.0, "nS") X(g_in, 0.0, "nS")
#define SPKI_HH_INPUTS(X) X(ex, SPK_EXC) X(in, SPK_INH) X(i_ext, SPK_CURRENT)

/* Steady state of a gate (0 m, 1 h, 2 n) at u mV above v_t. */
SPKI_TARGET_SCALAR __attribute__((unused)) static double spki_hh_gate(double u, int gate)
{
    SPKI_NO_CONTRACT
    const double a[3] = {1.28 / spk_exprel((13.0 - u) / 4.0), 0.128 * spk_exp((17.0 - u) / 18.0),
                         0.16 / spk_exprel((15.0 - u) / 5.0)};
    const double b[3] = {1.4 / spk_exprel((u - 40.0) / 5.0),
                         4.0 / (1.0 + spk_exp((40.0 - u) / 5.0)),
                         0.5 * spk_exp((10.0 - u) / 40.0)};
    return a[gate] / (a[gate] + b[gate]);
}

SPKI_BUILTIN_NEURON(hh, SPKI_HH_PARAMS, SPKI_HH_DERIVED, SPKI_HH_STATE,
                    SPKI_HH_INPUTS,
    const real before = v;
    for (real s = K(0.0); spk_any(s < spk_max(substeps, K(1.0))); s = s + K(1.0)) {
        const mask on = s < spk_max(substeps, K(1.0));
        const real a_m = K(1.28) / spk_exprel((K(13.0) - v) * K(0.25));
        const real b_m = K(1.4) / spk_exprel((v - K(40.0)) * K(0.2));
        const real a_h = K(0.128) * spk_exp((K(17.0) - v) * K(0.05555555555555555));
        const real b_h = K(4.0) / (K(1.0) + spk_exp((K(40.0) - v) * K(0.2)));
        const real a_n = K(0.16) / spk_exprel((K(15.0) - v) * K(0.2));
        const real b_n = K(0.5) * spk_exp((K(10.0) - v) * K(0.025));
        const real r_m = a_m + b_m;
        const real r_h = a_h + b_h;
        const real r_n = a_n + b_n;
        const real m_inf = a_m / r_m;
        const real h_inf = a_h / r_h;
        const real n_inf = a_n / r_n;
        m = spk_select(on, spk_flush(m_inf + (m - m_inf) * spk_exp(-step * r_m)), m);
        h = spk_select(on, spk_flush(h_inf + (h - h_inf) * spk_exp(-step * r_h)), h);
        n = spk_select(on, spk_flush(n_inf + (n - n_inf) * spk_exp(-step * r_n)), n);
        const real c_na = g_na * (m * m * m * h);
        const real c_k = g_k * ((n * n) * (n * n));
        const real c_ex = h_ex * g_ex;
        const real c_in = h_in * g_in;
        const real k = half * (g_l + c_na + c_k + c_ex + c_in);
        const real drive = half * (g_l * e_leak + c_na * e_sodium + c_k * e_potassium
                                   + c_ex * u_ex + c_in * u_in + i_dc + i_ext);
        v = spk_select(on, (v - k * v + drive + drive) / (K(1.0) + k), v);
        g_ex = spk_select(on, spk_flush(h_ex * c_ex), g_ex);
        g_in = spk_select(on, spk_flush(h_in * c_in), g_in);
    }
    g_ex = g_ex + ex;
    g_in = g_in + in;
    spike = (v >= theta) & (before < theta);
)

#endif
