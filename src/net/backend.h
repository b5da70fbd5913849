/* ---- >>backend: what a compute device takes over from the threads ----
   A network is described and built on the host whatever runs it; a backend then gets a copy and
   runs it. The host's copy stays whole: it stands at some earlier step (`synced_step`) with
   the states and the spikes of the last steps, so that a device which fails costs time and no
   spike: the CPU goes on from there, and recorders take nothing twice. */
#ifndef SPIKELIB_NET_BACKEND_H
#define SPIKELIB_NET_BACKEND_H

#include "queue.h"

/* What the host has changed since the device last looked. */
#define SPKI_CHANGED_PARAMS 1u
#define SPKI_CHANGED_STATES 2u
#define SPKI_CHANGED_WEIGHTS 4u
#define SPKI_CHANGED_CURRENTS 8u
#define SPKI_CHANGED_LISTS 16u
#define SPKI_CHANGED_PRECISION 32u

struct spk_backend {
    const char *name; /* "opencl" */
    bool or_cpu;      /* where the device cannot serve, the CPU does without an error */
    /* Targets are cut into this many tiles or a multiple. */
    uint32_t (*tiles)(const spk_backend *backend, const spk_net *net);
    /* Measures the rows of a network that is being built, so that they need not be drawn by the
       host: sets net->elsewhere where it does, and then all of a tile that drawing tells, and the
       accumulators' bits. Errors: only of a device that cannot be used any more. */
    spk_result (*construct)(spk_backend *backend, spk_net *net);
    /* Takes the built network. All or nothing. */
    spk_result (*build)(spk_backend *backend, spk_net *net);
    /* From net->slice to net->run_end, or until a recorder refuses (net->stop_result). */
    spk_result (*run)(spk_backend *backend, spk_net *net);
    /* States and the history of spikes as they are now. */
    spk_result (*pull)(spk_backend *backend, spk_net *net);
    size_t (*describe)(const spk_backend *backend, char *buffer, size_t size);
    void (*destroy)(spk_backend *backend, spk_net *net);
};

/* The host's copy is that of this moment. */
SPKI_FN void spki_mark_synced(spk_net *net)
{
    net->synced_step = net->step;
    for (uint32_t t = 0; t < net->tiles; t++) {
        net->tile[t].synced_spikes = net->tile[t].spikes;
        net->tile[t].synced_events = net->tile[t].events;
    }
}

/* Puts the CPU's engine where the host's copy stands: all that is under way is found again in the
   history (>>deliver: deferred steps). */
SPKI_FN void spki_take_over(spk_net *net)
{
    const uint64_t step = net->synced_step;
    net->step = net->slice.first = step;
    net->pending[0].steps = net->pending[1].steps = 0;
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        tile->spikes = tile->synced_spikes;
        tile->events = tile->synced_events;
    }
    spki_recall_spikes(net);
}

/* Goes over to the CPU for good. The reason is in net->error. */
SPKI_FN void spki_drop_backend(spk_net *net)
{
    spk_backend *backend = net->backend;
    net->backend = NULL;
    if (backend) {
        backend->destroy(backend, net);
    }
}

/* Brings the host's copy up to date. A device that fails at it is dropped; then the network stands
   where the copy stood. */
SPKI_FN spk_result spki_sync(spk_net *net)
{
    if (!net->backend || net->synced_step == net->step) {
        return SPK_OK;
    }
    const spk_result result = net->backend->pull(net->backend, net);
    if (result == SPK_OK) {
        spki_mark_synced(net);
        return SPK_OK;
    }
    spki_take_over(net);
    spki_drop_backend(net);
    return result;
}

/* Hands a built network to its backend. On failure the network is one of the CPU. */
SPKI_FN spk_result spki_start_backend(spk_net *net)
{
    spki_mark_synced(net);
    const spk_result result = net->backend->build(net->backend, net);
    if (result == SPK_OK) {
        return SPK_OK;
    }
    const bool or_cpu = net->backend->or_cpu;
    spki_drop_backend(net);
    return or_cpu ? SPK_OK : result;
}

#endif
