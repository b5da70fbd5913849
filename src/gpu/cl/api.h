/* ---- >>cl: networks on OpenCL devices ---- */
#ifndef SPIKELIB_GPU_CL_API_H
#define SPIKELIB_GPU_CL_API_H

/* One device as OpenCL describes it. `index` is its place in the list, from 0, which is in the
   order of the platforms and their devices. */
typedef struct spk_cl_device {
    uint32_t index, units;     /* units: compute units */
    char platform[128], name[128], driver[64];
    uint64_t memory_bytes, block_bytes; /* global memory, largest allocation */
    bool is_cpu, is_gpu, has_double;
    bool usable;               /* has what the same spikes need; else `why` says what it lacks */
    char why[128];
} spk_cl_device;

/* How well a device suits; the highest wins, negative is never taken. Thread: the caller's. */
typedef double (*spk_cl_score_fn)(void *ctx, const spk_cl_device *device);
/* A function of OpenCL by name ("clGetPlatformIDs"), or NULL. */
typedef void *(*spk_cl_symbol_fn)(void *ctx, const char *name);

typedef enum spk_cl_style {
    SPK_CL_AUTO = 0, /* vectors on CPU devices, items elsewhere */
    SPK_CL_VECTORS,  /* an item does vectors of neurons, nothing is atomic */
    SPK_CL_ITEMS,    /* an item does a few neurons, deliveries are atomic */
    SPK_CL_TILES,    /* so too, but where a group of items has room for what arrives at a tile in a
                        slice, it is added up in local memory and then written once; AUTO does so
                        on devices whose local memory is one of its own */
    SPK_CL_STYLE_FORCE_32_BIT = 0x7fffffff
} spk_cl_style;

typedef struct spk_cl_desc {
    uint32_t begin_sentinel;   /* leave 0 */
    spk_cl_style style;        /* default: SPK_CL_AUTO; it changes the speed and no spike */
    const char *device;        /* a part of the device's or its platform's name; default: any */
    const uint32_t *indices;   /* or places in the list; several: the network is split over them,
                                  by compute units at first, then by speed as measured */
    size_t index_count;
    spk_cl_score_fn score;     /* or the best by this; default: GPUs, then memory and units */
    void *score_ctx;
    uint32_t sub_devices;      /* cut each into so many equal parts; default: whole devices */
    uint32_t tiles;            /* targets are cut into a multiple of it; default: by the device */
    spk_construction construction; /* where connectivity is drawn; it changes no synapse */
    uint64_t memory_budget;    /* bytes a device; default: all of its memory */
    const char *cache_dir;     /* of compiled programs; "": none; default: $SPIKELIB_CACHE,
                                  $XDG_CACHE_HOME/spikelib, ~/.cache/spikelib, or
                                  %LOCALAPPDATA%\spikelib, where there is one */
    double time_limit_s;       /* for what one batch of steps may take; what takes longer is an
                                  error once the device has ended it; default: none */
    bool or_cpu;               /* where no device can serve, the CPU does: spk_net_error says why */
    spk_cl_symbol_fn symbol;   /* where OpenCL is found; default: the system's loader */
    void *symbol_ctx;
    spk_allocator allocator;   /* default: malloc and free */
    uint32_t end_sentinel;     /* leave 0 */
} spk_cl_desc;

/* A backend for spk_net_desc.backend: `backend = spk_cl_backend(NULL)`. Nothing else changes, the
   digest included. Errors: never NULL; whatever is wrong (no OpenCL, no such device, a descriptor
   that is garbage) is what spk_net_build returns, with a sentence. After an error of the device,
   while building or running, the network is one of the CPU: the next run goes on there, from the
   step at which spk_net_step says it stands, and recorders take nothing twice.
   Ownership: the network's, from spk_net_create on; one backend, one network. Strings and arrays
   are copied. Cost: opens nothing before the network is built. Thread: any. */
SPIKELIB_API spk_backend *spk_cl_backend(const spk_cl_desc *desc);
/* The best device, or the CPU where there is none: spk_net_error then says why. */
SPIKELIB_API spk_backend *spk_cl_backend_auto(void);
#ifndef SPK_BACKEND_AUTO
#define SPK_BACKEND_AUTO spk_cl_backend_auto()
#endif

/* All devices of all platforms, usable or not: how many, the first `capacity` of them in `devices`.
   `desc` may be NULL; its `symbol` is used. Errors: 0 where there is no OpenCL, and `why` (of
   `why_size` bytes, may be NULL) says so. Thread: any. */
SPIKELIB_API size_t spk_cl_devices(const spk_cl_desc *desc, spk_cl_device *devices,
                                   size_t capacity, char *why, size_t why_size);

#endif
