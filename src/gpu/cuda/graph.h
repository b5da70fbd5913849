/* ---- >>cuda-graph: launches captured as a graph and replayed ----
   What >>gpu-replay wants of a device. A stream of our own is captured, which may be done whatever
   the caller's is used for; the graph is launched where kernels go else. */
#ifndef SPIKELIB_GPU_CUDA_GRAPH_H
#define SPIKELIB_GPU_CUDA_GRAPH_H

#include "device.h"

SPKI_FN spk_result spki_cuda_record(spki_gpu *gpu)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spk_result result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_end(gpu, "cuStreamBeginCapture",
                               d->cu->cuStreamBeginCapture_v2(d->recorder, SPKI_CUDA_OF_THREAD));
    }
    d->recording = result == SPK_OK;
    return result;
}

/* The stream is no longer captured, whatever this returns. */
SPKI_FN spk_result spki_cuda_recorded(spki_gpu *gpu, void **recording)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_handle graph = NULL, made = NULL;
    const char *call = "cuStreamEndCapture";
    const spk_result result = spki_cuda_begin(gpu);
    d->recording = false;
    *recording = NULL;
    if (result != SPK_OK) {
        return result;
    }
    int code = d->cu->cuStreamEndCapture(d->recorder, &graph);
    if (!code) {
        call = "cuGraphInstantiate";
        code = d->cu->cuGraphInstantiateWithFlags(&made, graph, 0);
        *recording = code ? NULL : made;
    }
    if (graph) { /* what has been made of it does not need it */
        (void)d->cu->cuGraphDestroy(graph);
    }
    return spki_cuda_end(gpu, call, code);
}

SPKI_FN spk_result spki_cuda_replay(spki_gpu *gpu, void *recording)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spk_result result = spki_cuda_begin(gpu);
    return result == SPK_OK
               ? spki_cuda_end(gpu, "cuGraphLaunch",
                               d->cu->cuGraphLaunch((spki_cuda_handle)recording, d->stream))
               : result;
}

/* One that is still running ends first. */
SPKI_FN void spki_cuda_forget(spki_gpu *gpu, void *recording)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuGraphExecDestroy",
                            d->cu->cuGraphExecDestroy((spki_cuda_handle)recording));
    }
}

#endif
