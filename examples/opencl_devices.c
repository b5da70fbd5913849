/* cc -O2 opencl_devices.c -o opencl_devices -lm -lpthread */

/* Lists the OpenCL devices of this machine, and says of each whether it can run networks with the
   same spikes as the CPU, or what it lacks. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"
#include "../spikelib_cl.h"

#include <stdio.h>

int main(void)
{
    spk_cl_device device[16];
    char why[300];
    size_t n = spk_cl_devices(NULL, device, 16, why, sizeof why);
    if (n == 0) printf("%s\n", why);
    for (size_t k = 0; k < n && k < 16; k++) {
        const spk_cl_device *d = &device[k];
        printf("%u: %s\n   platform %s, driver %s\n", d->index, d->name, d->platform, d->driver);
        printf("   %s, %u units, %.1f GB, blocks of %.1f GB, 64-bit states: %s\n",
               d->is_gpu ? "GPU" : d->is_cpu ? "CPU" : "other", d->units,
               1e-9 * (double)d->memory_bytes, 1e-9 * (double)d->block_bytes,
               d->has_double ? "yes" : "no");
        printf("   %s%s\n", d->usable ? "usable" : "cannot be used: ", d->why);
    }
    return 0;
}
