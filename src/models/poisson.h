/* ---- >>poisson: a source of independent Poisson spikes ---- */
#ifndef SPIKELIB_MODELS_POISSON_H
#define SPIKELIB_MODELS_POISSON_H

#include "neuron.h"
#include "propagator.h"

/* Spikes in a step with probability 1 - e^(-rate dt): at most one, so that rates far below 1 / dt
   are meant. The uniform number is Philox at (neuron, step). */
#define SPKI_POISSON_PARAMS(X) X(rate, 10.0, "Hz")
#define SPKI_POISSON_DERIVED(X) X(p, 1e-3 * rate * dt * spk_exprel(-1e-3 * rate * dt))
#define SPKI_POISSON_STATE(X)
#define SPKI_POISSON_INPUTS(X) X(u, SPK_RANDOM)

SPKI_BUILTIN_NEURON(poisson, SPKI_POISSON_PARAMS, SPKI_POISSON_DERIVED, SPKI_POISSON_STATE,
                    SPKI_POISSON_INPUTS,
    spike = u <= p;
)

#endif
