/* ---- >>test-cuda: a network on a CUDA device is the network ----
   The kernels' text that NVRTC gets, compiled by g++ and run on the CPU behind a driver that checks
   every call (mock_cuda.h); everything that comes out has to be what the CPU's engine gives.
   check: not under sanitizers, because the kernels' threads are fibers
   check: networks alone */
#define SPIKELIB_CUDA_NVRTC
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_MODELS
#include "spikelib.h"
#include "spikelib_cuda.cuh"

#include "check.h"
#include "life.h"
#include "mock_cuda.h"

static const char *absent(void)
{
    static int found = -1;
    if (found < 0) {
        found = system("g++ --version >/dev/null 2>&1") == 0;
    }
    return found ? "" : "no g++ to compile the kernels' text with";
}

static void compare(spk_cuda_style style, spk_cuda_exchange exchange, uint32_t devices,
                    uint32_t tiles, spk_precision precision)
{
    static const uint32_t index[3] = {0, 1, 2};
    spk_cuda_desc d;
    memset(&d, 0, sizeof d);
    mock_reset();
    mock.execute = 1;
    mock.devices = (int)devices;
    d.symbol = mock_symbol;
    d.cache_dir = "";
    d.style = style;
    d.exchange = exchange;
    d.tiles = tiles;
    d.indices = index;
    d.index_count = devices;
    const life cpu = live(NULL, precision), device = live(spk_cuda_backend(&d), precision);
    same(&cpu, &device);
    CHECK_HAS(device.text, "cuda \"");
    CHECK_STR(device.error, cpu.error);
    CHECK_EQ(mock_leaks(), 0);
    CHECK_EQ(mock.misuse, 0);
}

TEST(a_network_lives_the_same_life_with_each_tile_in_shared_memory)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CUDA_OWN, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT32);
    CHECK(mock.together > 10);
}

TEST(so_it_does_where_all_groups_deliver_to_all)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CUDA_ALL, SPK_CUDA_EXCHANGE_AUTO, 1, 3, SPK_FLOAT32);
    CHECK(mock.together > 10);
}

TEST(and_slice_by_slice)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CUDA_SLICES, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT32);
    CHECK_EQ(mock.together, 0);
}

TEST(and_with_states_of_16_bits)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT16);
}

TEST(and_with_states_of_64_bits)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_AUTO, 1, 0, SPK_FLOAT64);
}

TEST(and_split_over_devices_that_exchange_spikes_in_each_way)
{
    if (*absent()) SKIP(absent());
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_HOST, 2, 0, SPK_FLOAT32);
    CHECK_EQ(mock.peers + mock.broadcasts, 0);
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_PEER, 3, 0, SPK_FLOAT32);
    CHECK(mock.peers > 100);
    compare(SPK_CUDA_AUTO, SPK_CUDA_EXCHANGE_NCCL, 2, 0, SPK_FLOAT32);
    CHECK(mock.broadcasts > 100);
}

TEST_MAIN()
