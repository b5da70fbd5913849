/* cc -O2 opencl_mixed.c -o opencl_mixed -lm -lpthread */

/* The same network on the CPU and on an OpenCL device, side by side: after each 50 ms the spikes
   and the states of both are compared, bit for bit. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"
#include "../spikelib_cl.h"

#include <stdio.h>

typedef struct side {
    spk_net *net;
    spk_rec spikes;
} side;

static side make(spk_backend *backend)
{
    side s;
    s.net = spk_net_create(&(spk_net_desc){.dt_ms = 0.1, .seed = 3, .backend = backend});
    spk_pop cells =
        spk_net_add(s.net, "cells", 1000, SPK_ADEX, SPK_SET({"i_dc", SPK_PA(650)}));
    spk_net_connect(s.net, cells, cells,
                    &(spk_conn_desc){.rule = SPK_FIXED_INDEGREE, .k = 50,
                                     .weight = spk_normal(0.0, 30.0),
                                     .delay_ms = spk_uniform(0.5, 8.0)});
    spk_net_drive_poisson(s.net, cells,
                          &(spk_poisson_desc){.rate_hz = SPK_HZ(2000), .weight = SPK_PA(60)});
    s.spikes = spk_net_record_spikes(s.net, cells);
    return s;
}

int main(void)
{
    side cpu = make(NULL), device = make(spk_cl_backend(NULL));
    int status = 0;
    if (spk_net_build(device.net) != SPK_OK) {
        /* a machine without OpenCL: both are networks of the CPU from here on */
        printf("no device: %s\n", spk_net_error(device.net));
    }
    for (int k = 1; k <= 6 && !status; k++) {
        if (spk_net_run(cpu.net, 50.0) != SPK_OK || spk_net_run(device.net, 50.0) != SPK_OK) {
            fprintf(stderr, "%s%s\n", spk_net_error(cpu.net), spk_net_error(device.net));
            status = 1;
        }
        unsigned long long a = spk_rec_digest(cpu.spikes), b = spk_rec_digest(device.spikes);
        bool same = a == b && spk_net_state_digest(cpu.net) == spk_net_state_digest(device.net);
        printf("%3d ms: %6llu spikes, digests %016llx %016llx: %s\n", 50 * k,
               (unsigned long long)spk_rec_count(cpu.spikes), a, b,
               same ? "the same" : "DIFFERENT");
        status |= !same;
    }
    spk_net_destroy(cpu.net);
    spk_net_destroy(device.net);
    return status;
}
