/* cc -O2 izhikevich1000.c -o izhikevich1000 -lm -lpthread */

/* Izhikevich's thousand neurons (IEEE Trans. Neural Netw. 14:1569, 2003): 800 excitatory and 200
   inhibitory, each a little different, all-to-all with random weights, driven by noise, in steps
   of 1 ms. Alpha and gamma rhythms come out. */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <stdio.h>

/* A number in [0, 1) with 14 bits, so that the squares and products below are exact. */
static double izhikevich_random(uint64_t seed, uint32_t neuron)
{
    uint32_t counter[4] = {neuron, 0, 0, 0}, key[2], word[4];
    key[0] = (uint32_t)seed;
    key[1] = (uint32_t)(seed >> 32);
    spk_philox4x32(counter, key, word);
    return (double)(word[0] >> 18) / 16384.0;
}

/* The network's steps must be 1 ms. */
static void izhikevich_describe(spk_net *net, uint64_t seed, spk_pop pop[2])
{
    double c[800], d[800], a[200], b[200];
    spk_pop all;
    uint32_t i;
    for (i = 0; i < 1000; i++) {
        double r = izhikevich_random(seed, i);
        if (i < 800) {
            c[i] = -65.0 + 15.0 * r * r;
            d[i] = 8.0 - 6.0 * r * r;
        } else {
            a[i - 800] = (20.0 + 80.0 * r) / 1000.0;
            b[i - 800] = (250.0 - 50.0 * r) / 1000.0;
        }
    }
    pop[0] = spk_net_add(net, "exc", 800, SPK_IZHIKEVICH,
                         SPK_SET({"c", spk_array(c, 800)}, {"d", spk_array(d, 800)}));
    pop[1] = spk_net_add(net, "inh", 200, SPK_IZHIKEVICH,
                         SPK_SET({"a", spk_array(a, 200)}, {"b", spk_array(b, 200)},
                                 {"d", spk_constant(2.0)}));
    all = spk_net_union(net, pop[0], pop[1]);
    spk_net_connect(net, pop[0], all, &(spk_conn_desc){
        .rule = SPK_ALL_TO_ALL, .weight = spk_uniform(0.0, 0.5)});
    spk_net_connect(net, pop[1], all, &(spk_conn_desc){
        .rule = SPK_ALL_TO_ALL, .weight = spk_uniform(-1.0, 0.0)});
    spk_net_drive_current(net, pop[0], &(spk_current_desc){ .noise_sd = 5.0 });
    spk_net_drive_current(net, pop[1], &(spk_current_desc){ .noise_sd = 2.0 });
}

#ifndef SPIKELIB_EXAMPLE_PART /* spkbench and the tests take the network without the program */

int main(void)
{
    spk_net *net = spk_net_create(&(spk_net_desc){ .dt_ms = 1.0, .seed = 1 });
    spk_pop pop[2];
    spk_rec spikes;
    spk_plot_group groups[2] = {{"excitatory", 0, 800, 0}, {"inhibitory", 800, 1000, 0}};
    const spk_spike *list;
    size_t count;
    izhikevich_describe(net, 1, pop);
    spikes = spk_net_record_spikes(net, spk_net_union(net, pop[0], pop[1]));
    if (spk_net_run(net, 1000.0) != SPK_OK) {
        fprintf(stderr, "%s\n", spk_net_error(net));
        return 1;
    }
    list = spk_rec_spikes(spikes, &count);
    printf("%zu spikes in 1 s (7250 to 7630 are usual)\n", count);
    spk_plot_raster_desc(list, count, 1.0, &(spk_plot_desc){ .groups = groups, .group_count = 2 },
                         "izhikevich.svg");
    spk_plot_rates(list, count, 1.0, 5.0, &(spk_plot_desc){ .groups = groups, .group_count = 2 },
                   "izhikevich_rates.svg");
    spk_net_destroy(net);
    return 0;
}

#endif
