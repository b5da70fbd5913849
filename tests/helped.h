/* ---- >>helped: a model whose second statement no compiler of a device takes ---- */
#ifndef SPIKELIB_TESTS_HELPED_H
#define SPIKELIB_TESTS_HELPED_H

#define HELPED_PARAMS(X) X(tau, 10.0, "ms")
#define HELPED_DERIVED(X) X(h, dt / tau)
#define HELPED_STATE(X) X(v, 0.0, "mV") X(half, 1.0, "")
#define HELPED_INPUTS(X) X(input, SPK_DELTA)
#define twice(x) ((x) + (x)) /* known here, not to a device */
SPIKELIB_NEURON(helped, HELPED_PARAMS, HELPED_DERIVED, HELPED_STATE, HELPED_INPUTS,
    half = half * K(0.5);
    v = v + h * (twice(input) - v);
    spike = v > K(100.0);
)

#endif
