/* ---- >>izhikevich: Izhikevich 2003 ---- */
#ifndef SPIKELIB_MODELS_IZHIKEVICH_H
#define SPIKELIB_MODELS_IZHIKEVICH_H

#include "neuron.h"
#include "propagator.h"

/* dv/dt = k2 v^2 + k1 v + k0 - u + I,  du/dt = a (b (v - v_u) - u); at v >= v_peak: v = c, u += d.
   v takes `substeps` Euler steps, then u one, from the new v (u_old = 0) or from the v before
   them (u_old = 1). A weight is a current for one step. Source: Izhikevich, IEEE Trans. Neural
   Netw. 14:1569 (2003) and 15:1063 (2004). */
#define SPKI_IZHIKEVICH_PARAMS(X)                                                                 \
    X(a, 0.02, "1/ms") X(b, 0.2, "") X(c, -65.0, "mV") X(d, 8.0, "mV") X(v_peak, 30.0, "mV")      \
    X(k2, 0.04, "1/(mV ms)") X(k1, 5.0, "1/ms") X(k0, 140.0, "mV/ms") X(v_u, 0.0, "mV")           \
    X(substeps, 2.0, "") X(u_old, 0.0, "") X(i_dc, 0.0, "mV/ms")
#define SPKI_IZHIKEVICH_DERIVED(X) X(h, dt / spk_max(substeps, 1.0)) X(h_u, dt * a)
#define SPKI_IZHIKEVICH_STATE(X) X(v, -65.0, "mV") X(u, b * (-65.0 - v_u), "mV/ms")
#define SPKI_IZHIKEVICH_INPUTS(X) X(input, SPK_DELTA) X(i_ext, SPK_CURRENT)

SPKI_BUILTIN_NEURON(izhikevich, SPKI_IZHIKEVICH_PARAMS, SPKI_IZHIKEVICH_DERIVED,
                    SPKI_IZHIKEVICH_STATE, SPKI_IZHIKEVICH_INPUTS,
    const real drive = input + i_dc + i_ext;
    const real before = v;
    v = v + h * ((k2 * v + k1) * v + k0 - u + drive);
    if (!spk_any(substeps != K(2.0))) {
        v = v + h * ((k2 * v + k1) * v + k0 - u + drive);
    } else {
        for (real n = K(1.0); spk_any(n < substeps); n = n + K(1.0)) {
            v = spk_select(n < substeps, v + h * ((k2 * v + k1) * v + k0 - u + drive), v);
        }
    }
    u = u + h_u * (b * (spk_select(u_old > K(0.0), before, v) - v_u) - u);
    spike = v >= v_peak;
    v = spk_select(spike, c, v);
    u = spk_select(spike, u + d, u);
)

#endif
