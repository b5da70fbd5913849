/* cc -O2 cuda_quickstart.c -o cuda_quickstart -lm -lpthread */

/* The quickstart on the best CUDA device, or on the CPU where there is none; compiles without any
   toolkit. One line differs from a network of the CPU, and the digest is the same. */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_CUDA_NVRTC
#include "../spikelib.h"
#include "../spikelib_cuda.cuh"

#include <stdio.h>

int main(void)
{
    char why[256];
    spk_cuda_device device[4];
    const size_t devices = spk_cuda_devices(NULL, device, 4, why, sizeof why);
    for (size_t k = 0; k < devices && k < 4; k++) {
        printf("%s: %u multiprocessors, compute capability %u.%u%s%s\n", device[k].name,
               device[k].units, device[k].major, device[k].minor,
               device[k].usable ? "" : ", unusable: ", device[k].why);
    }
    spk_net *net = spk_net_create(
        &(spk_net_desc){.dt_ms = 0.1, .seed = 42, .backend = SPK_BACKEND_AUTO});
    spk_pop exc = spk_net_add(net, "exc", 800, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(450)}));
    spk_pop inh = spk_net_add(net, "inh", 200, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(450)}));
    spk_pop all = spk_net_union(net, exc, inh);
    spk_net_connect(net, exc, all,
                    &(spk_conn_desc){.rule = SPK_FIXED_INDEGREE, .k = 80,
                                     .weight = spk_normal_clipped(45.0, 4.5, 0.0, 100.0),
                                     .delay_ms = spk_constant(1.5)});
    spk_net_connect(net, inh, all,
                    &(spk_conn_desc){.rule = SPK_FIXED_INDEGREE, .k = 20,
                                     .weight = spk_constant(-200.0),
                                     .delay_ms = spk_constant(0.8)});
    spk_rec spikes = spk_net_record_spikes(net, all);
    if (spk_net_run(net, 500.0) != SPK_OK) {
        fprintf(stderr, "%s\n", spk_net_error(net));
        spk_net_destroy(net);
        return 1;
    }
    if (*spk_net_error(net)) printf("on the CPU, because: %s\n", spk_net_error(net));
    printf("%llu spikes, %.2f per second and neuron, digest %016llx\n",
           (unsigned long long)spk_rec_count(spikes), spk_rec_rate_hz(spikes),
           (unsigned long long)spk_rec_digest(spikes));
    spk_net_destroy(net);
    return 0;
}
