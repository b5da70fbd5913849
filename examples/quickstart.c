/* cc -O2 quickstart.c -o quickstart -lm -lpthread */
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"
#include <stdio.h>

int main(void)
{
    spk_net *net = spk_net_create(&(spk_net_desc){ .dt_ms = 0.1, .seed = 42 });

    spk_pop exc = spk_net_add(net, "exc", 8000, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(450)}));
    spk_pop inh = spk_net_add(net, "inh", 2000, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(450)}));
    spk_pop all = spk_net_union(net, exc, inh);

    spk_net_connect(net, exc, all, &(spk_conn_desc){ .rule = SPK_FIXED_INDEGREE, .k = 800,
        .weight = spk_normal(45.0, 4.5), .delay_ms = spk_constant(1.5) });
    spk_net_connect(net, inh, all, &(spk_conn_desc){ .rule = SPK_FIXED_INDEGREE, .k = 200,
        .weight = spk_constant(-270.0), .delay_ms = spk_constant(0.8) });
    spk_rec spikes = spk_net_record_spikes(net, all);

    if (spk_net_run(net, 1000.0) != SPK_OK) { /* builds; the first error of all calls above */
        fprintf(stderr, "%s\n", spk_net_error(net));
        return 1;
    }
    printf("%.1f Hz, digest %016llx\n", spk_rec_rate_hz(spikes),
           (unsigned long long)spk_rec_digest(spikes));
    spk_plot_raster(spikes, "raster.svg");
    spk_net_destroy(net);
}
