/* ---- >>spike_list: a source that spikes when told ---- */
#ifndef SPIKELIB_MODELS_SPIKE_LIST_H
#define SPIKELIB_MODELS_SPIKE_LIST_H

#include "neuron.h"
#include "propagator.h"

/* Has no dynamics: its spikes come from spk_net_spike_list and spk_net_inject_spikes. */
#define SPKI_SPIKE_LIST_PARAMS(X)
#define SPKI_SPIKE_LIST_DERIVED(X)
#define SPKI_SPIKE_LIST_STATE(X)
#define SPKI_SPIKE_LIST_INPUTS(X)

SPKI_BUILTIN_NEURON(spike_list, SPKI_SPIKE_LIST_PARAMS, SPKI_SPIKE_LIST_DERIVED,
                    SPKI_SPIKE_LIST_STATE, SPKI_SPIKE_LIST_INPUTS,
    spike = spki_zero > spki_zero;
)

#endif
