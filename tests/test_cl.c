/* ---- >>test-cl: a network on an OpenCL device is the network ----
   The same life of a network, once on the CPU and once on a device, in each way that a device can
   work; everything that comes out has to be equal. Skipped where there is no OpenCL device.
   check: not under sanitizers, because the device's compiler runs inside this process */
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cl.h"

#include "check.h"
#include "construct.h"
#include "helped.h"
#include "life.h"

#if !defined(_WIN32)
#include <dlfcn.h>
#include <unistd.h>
#endif

/* Why there is nothing to test on, or "". */
static const char *absent(void)
{
    static char why[300];
    spk_cl_device d[8];
    const size_t n = spk_cl_devices(NULL, d, 8, why, sizeof why);
    for (size_t k = 0; k < n && k < 8; k++) {
        if (d[k].usable) {
            return "";
        }
        snprintf(why, sizeof why, "no usable OpenCL device: %.100s: %.100s", d[k].name, d[k].why);
    }
    return why;
}

static void compare(spk_cl_style style, uint32_t sub_devices, uint32_t tiles,
                    spk_precision precision)
{
    spk_cl_desc d;
    memset(&d, 0, sizeof d);
    d.style = style;
    d.sub_devices = sub_devices;
    d.tiles = tiles;
    const life cpu = live(NULL, precision), device = live(spk_cl_backend(&d), precision);
    same(&cpu, &device);
    CHECK_HAS(device.text, "opencl \"");
}

TEST(a_network_lives_the_same_life_on_a_device)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CL_AUTO, 0, 0, SPK_FLOAT32);
}

TEST(so_it_does_the_way_gpus_work)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CL_ITEMS, 0, 3, SPK_FLOAT32);
}

static spk_backend *drawing(spk_construction where, uint32_t tiles, uint32_t devices)
{
    spk_cl_desc d;
    memset(&d, 0, sizeof d);
    d.style = SPK_CL_ITEMS;
    d.construction = where;
    d.tiles = tiles;
    d.sub_devices = devices;
    return spk_cl_backend(&d);
}

TEST(a_device_draws_the_hosts_rows_by_every_rule)
{
    if (*absent()) SKIP(absent());
    for (int which = 0; which < CONSTRUCT_NETS; which++) {
        (void)construct_compare(drawing, which, which % 3 ? 16 : 8, (uint32_t)which % 3 + 1, 0);
    }
    (void)construct_compare(drawing, 0, 16, 4, 2);
}

TEST(and_where_groups_add_up_a_tiles_arrivals_in_local_memory)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CL_TILES, 0, 3, SPK_FLOAT32);
}

TEST(and_with_states_of_16_bits)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CL_AUTO, 0, 0, SPK_FLOAT16);
}

/* The shadow of a sample is within its tolerance for some windows, and out of it then. */
TEST(and_with_a_shadow_of_32_bits_and_when_it_goes_over_to_them)
{
    if (*absent()) SKIP(absent());
    life_shadow_v = 0.06;
    compare(SPK_CL_AUTO, 0, 3, SPK_FLOAT16);
    life_shadow_v = 0.0;
}

TEST(and_with_weights_of_8_bits)
{
    if (*absent()) SKIP(absent());
    life_weight_bits = 8;
    compare(SPK_CL_AUTO, 0, 0, SPK_FLOAT32);
    compare(SPK_CL_ITEMS, 0, 3, SPK_FLOAT32);
    life_weight_bits = 0;
}

TEST(and_split_over_two_sub_devices)
{
    spk_cl_device d[1];
    if (*absent()) SKIP(absent());
    if (!spk_cl_devices(NULL, d, 1, NULL, 0) || !d[0].is_cpu || d[0].units < 2) {
        SKIP("the first device is no CPU of two units or more");
    }
    compare(SPK_CL_AUTO, 2, 0, SPK_FLOAT32);
    compare(SPK_CL_ITEMS, 2, 5, SPK_FLOAT32);
}

TEST(and_with_states_of_64_bits_where_the_device_has_them)
{
    spk_cl_device d[1];
    if (*absent()) SKIP(absent());
    if (!spk_cl_devices(NULL, d, 1, NULL, 0) || !d[0].has_double) SKIP("no doubles");
    compare(SPK_CL_AUTO, 0, 0, SPK_FLOAT64);
}

TEST(auto_takes_the_device)
{
    if (*absent()) SKIP(absent());
    const life cpu = live(NULL, SPK_FLOAT32), device = live(SPK_BACKEND_AUTO, SPK_FLOAT32);
    same(&cpu, &device);
    CHECK_HAS(device.text, "opencl \"");
    CHECK_STR(device.error, cpu.error);
}

/* -- events of a camera -- */

static uint64_t watched(spk_backend *backend)
{
    static spk_event event[600];
    spk_net_desc d;
    spk_pixel_map map;
    memset(&d, 0, sizeof d);
    memset(&map, 0, sizeof map);
    d.backend = backend;
    spk_net *net = spk_net_create(&d);
    const spk_pop retina = spk_net_add(net, "retina", 100, SPK_PARROT, NULL);
    const spk_pop cells = spk_net_add(net, "cells", 50, SPK_LIF_EXP, NULL);
    connect_fixed(net, retina, cells, 20, spk_constant(200), spk_uniform(0.1, 2));
    map.width = map.height = 10;
    (void)spk_net_map_pixels(net, retina, &map);
    const spk_rec rec = spk_net_record_spikes(net, spk_net_union(net, retina, cells));
    for (uint32_t part = 0; part < 3; part++) {
        for (uint32_t k = 0; k < 600; k++) {
            memset(&event[k], 0, sizeof event[k]);
            event[k].t_us = 1000 + 20000 * part + 30 * k;
            event[k].x = (uint16_t)(k * 7 % 10);
            event[k].y = (uint16_t)(k * k % 10);
        }
        CHECK_EQ(spk_net_inject_events(net, retina, event, 600), SPK_OK);
        CHECK_EQ(spk_net_run_until_us(net, 20000 * (part + 1)), SPK_OK);
    }
    CHECK(spk_rec_count(rec) > 1500);
    const uint64_t digest = spk_rec_digest(rec);
    spk_net_destroy(net);
    return digest;
}

TEST(events_reach_neurons_on_a_device)
{
    if (*absent()) SKIP(absent());
    const uint64_t want = watched(NULL);
    CHECK_EQ(watched(spk_cl_backend(NULL)), want);
}

/* -- what a user's model brings -- */

TEST(the_devices_compiler_refuses_a_model_and_the_error_quotes_the_statement)
{
    spk_cl_desc cl;
    spk_net_desc d;
    memset(&cl, 0, sizeof cl);
    memset(&d, 0, sizeof d);
    if (*absent()) SKIP(absent());
    cl.cache_dir = "";
    d.backend = spk_cl_backend(&cl);
    spk_net *net = spk_net_create(&d);
    (void)spk_net_add(net, "cells", 100, helped, NULL);
    CHECK_EQ(spk_net_build(net), SPK_ERR_COMPILE);
    CHECK_HAS(spk_net_error(net), "model \"helped\"");
    CHECK_HAS(spk_net_error(net), "\"v = v + h * (twice(input) - v);\": ");
    CHECK_EQ(spk_net_run_steps(net, 10), SPK_OK); /* on the CPU */
    CHECK_EQ(spk_net_step(net), 10);
    spk_net_destroy(net);
}

/* -- a device that computes rightly, until it fails or while it is slow -- */

#if !defined(_WIN32)
static struct {
    void *opencl;
    long launches, fail_at;
    spki_cl_handle slow; /* the first queue that is used */
    bool sleeps;
    int32_t (*launch)(spki_cl_handle, spki_cl_handle, uint32_t, const size_t *, const size_t *,
                      const size_t *, uint32_t, const spki_cl_handle *, spki_cl_handle *);
} meddle;

static int32_t meddle_launch(spki_cl_handle q, spki_cl_handle k, uint32_t dim, const size_t *offset,
                             const size_t *global, const size_t *local, uint32_t n,
                             const spki_cl_handle *e, spki_cl_handle *out)
{
    meddle.launches++;
    if (meddle.fail_at && meddle.launches >= meddle.fail_at) {
        return -36;
    }
    meddle.slow = meddle.slow ? meddle.slow : q;
    if (meddle.sleeps && q == meddle.slow && meddle.launches < 600) {
        usleep(1000);
    }
    return meddle.launch(q, k, dim, offset, global, local, n, e, out);
}

static void *meddle_symbol(void *ctx, const char *name)
{
    void *found = dlsym(meddle.opencl, name);
    (void)ctx;
    if (found && strcmp(name, "clEnqueueNDRangeKernel") == 0) {
        int32_t (*mine)(spki_cl_handle, spki_cl_handle, uint32_t, const size_t *, const size_t *,
                        const size_t *, uint32_t, const spki_cl_handle *, spki_cl_handle *) =
            meddle_launch;
        memcpy((void *)&meddle.launch, &found, sizeof found);
        memcpy(&found, (void *)&mine, sizeof found);
    }
    return found;
}

static spk_cl_desc meddle_desc(void)
{
    spk_cl_desc d;
    memset(&d, 0, sizeof d);
    memset(&meddle, 0, sizeof meddle);
    meddle.opencl = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    d.symbol = meddle_symbol;
    d.or_cpu = true;
    return d;
}

TEST(a_device_lost_amid_spikes_costs_none_of_them)
{
    if (*absent()) SKIP(absent());
    const life cpu = live(NULL, SPK_FLOAT32);
    const long when[4] = {12, 150, 777, 1500};
    for (int k = 0; k < 4; k++) {
        spk_cl_desc d = meddle_desc();
        meddle.fail_at = when[k];
        const life device = live(spk_cl_backend(&d), SPK_FLOAT32);
        CHECK(meddle.launches >= when[k]); /* it did fail */
        same(&cpu, &device);
        CHECK(strstr(device.text, "opencl") == NULL);
    }
}

TEST(a_batch_that_takes_too_long_costs_no_spike)
{
    if (*absent()) SKIP(absent());
    const life cpu = live(NULL, SPK_FLOAT32);
    spk_cl_desc d = meddle_desc();
    d.time_limit_s = 1e-7;
    const life device = live(spk_cl_backend(&d), SPK_FLOAT32);
    same(&cpu, &device);
    CHECK(strstr(device.text, "opencl") == NULL);
}

TEST(sub_devices_share_by_measured_speed_and_the_spikes_stay)
{
    spk_cl_device found[1];
    int a = 0, b = 0, c = 0, e = 0;
    if (*absent()) SKIP(absent());
    if (!spk_cl_devices(NULL, found, 1, NULL, 0) || !found[0].is_cpu || found[0].units < 2) {
        SKIP("the first device is no CPU of two units or more");
    }
    const life cpu = live(NULL, SPK_FLOAT32);
    for (int k = 0; k < 2; k++) {
        spk_cl_desc d = meddle_desc();
        meddle.sleeps = true; /* one of them waits a millisecond before whatever it does */
        d.sub_devices = 2;
        d.tiles = 12;
        d.style = k ? SPK_CL_ITEMS : SPK_CL_AUTO;
        const life device = live(spk_cl_backend(&d), SPK_FLOAT32);
        same(&cpu, &device);
        const char *at = strstr(device.text, ": tiles ");
        REQUIRE(at && sscanf(at, ": tiles %d .. %d", &a, &b) == 2);
        at = strstr(at + 1, ": tiles ");
        REQUIRE(at && sscanf(at, ": tiles %d .. %d", &c, &e) == 2);
        CHECK(a == 0 && b == c && b < e - b); /* it has the lesser part */
    }
}
#endif

TEST_MAIN()
