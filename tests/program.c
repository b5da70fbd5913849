/* ---- >>program: the smallest user of the declarations, as C99 and C++11 ---- */
#include "spikelib.h"

int use(void);
int use(void)
{
    static spk_net_desc desc; /* zero: all defaults */
    spk_net *net;
    spk_pop cells;
    int ok;
    desc.dt_ms = 0.1;
    net = spk_net_create(&desc);
    cells = spk_net_add(net, "cells", 10, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(500)}));
    ok = spk_net_run(net, 20.0) == SPK_OK && spk_net_pop_size(net, cells) == 10;
    spk_net_destroy(net);
    return ok ? 0 : 1;
}
