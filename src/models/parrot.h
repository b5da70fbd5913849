/* ---- >>parrot: repeats its input ---- */
#ifndef SPIKELIB_MODELS_PARROT_H
#define SPIKELIB_MODELS_PARROT_H

#include "neuron.h"
#include "propagator.h"

/* Spikes in each step in which input arrives, once however much it is. */
#define SPKI_PARROT_PARAMS(X)
#define SPKI_PARROT_DERIVED(X)
#define SPKI_PARROT_STATE(X)
#define SPKI_PARROT_INPUTS(X) X(input, SPK_DELTA)

SPKI_BUILTIN_NEURON(parrot, SPKI_PARROT_PARAMS, SPKI_PARROT_DERIVED, SPKI_PARROT_STATE,
                    SPKI_PARROT_INPUTS,
    spike = input > K(0.0);
)

#endif
