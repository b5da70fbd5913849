/* nvcc -O2 -w cuda_kernels.cu -o cuda_kernels */

/* Kernels compiled by nvcc: the program holds those of SPIKELIB_CUDA_KERNELS, built-in models and
   one of its own, and needs nothing but the driver when it runs. */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "../spikelib.h"

#define FAST_PARAMS(X) X(tau_m, 8.0, "ms") X(v_th, 15.0, "mV") X(noise, 2.0, "mV")
#define FAST_DERIVED(X) X(keep, spk_exp(-dt / tau_m))
#define FAST_STATE(X) X(v, 0.0, "mV")
#define FAST_INPUTS(X) X(input, SPK_DELTA) X(dice, SPK_RANDOM)
SPIKELIB_NEURON(fast, FAST_PARAMS, FAST_DERIVED, FAST_STATE, FAST_INPUTS,
    v = keep * v + input + noise * (dice - K(0.4));
    spike = v >= v_th;
    v = spk_select(spike, K(0.0), v);
)

/* An X is a program: bits of states, bits of weights, the models that its networks may have. */
#define SPIKELIB_CUDA_KERNELS(X) X(32, 16, lif_exp, fast)
#include "../spikelib_cuda.cuh"

#include <stdio.h>

int main(void)
{
    char text[4000];
    spk_net_desc d = {};
    d.seed = 42;
    d.backend = spk_cuda_backend_auto();
    spk_net *net = spk_net_create(d);
    spk_pop exc = spk_net_add(net, "exc", 800, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(450)}));
    spk_pop inh = spk_net_add(net, "inh", 200, fast, NULL);
    spk_conn_desc c = {};
    c.rule = SPK_FIXED_INDEGREE;
    c.k = 40;
    c.weight = spk_constant(0.2);
    c.delay_ms = spk_constant(1.5);
    spk_net_connect(net, exc, inh, c);
    c.weight = spk_constant(-200.0);
    spk_net_connect(net, inh, exc, c);
    spk_rec spikes = spk_net_record_spikes(net, spk_net_union(net, exc, inh));
    if (spk_net_run(net, 500.0) != SPK_OK) {
        fprintf(stderr, "%s\n", spk_net_error(net));
        spk_net_destroy(net);
        return 1;
    }
    if (*spk_net_error(net)) printf("on the CPU, because: %s\n", spk_net_error(net));
    spk_net_describe(net, text, sizeof text);
    printf("%s%llu spikes, %.2f per second and neuron, digest %016llx\n", text,
           (unsigned long long)spk_rec_count(spikes), spk_rec_rate_hz(spikes),
           (unsigned long long)spk_rec_digest(spikes));
    spk_net_destroy(net);
    return 0;
}
