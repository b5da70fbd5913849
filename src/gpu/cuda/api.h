/* ---- >>cuda: networks on CUDA devices ----
   From C or C++ without any toolkit: define SPIKELIB_CUDA_NVRTC where the implementation is; the
   driver (libcuda.so.1, nvcuda.dll) and the compiler (libnvrtc) are then opened at run time. In a
   file that nvcc compiles, nothing need be defined, and NVRTC compiles the kernels too, unless the
   file with the implementation names those that it holds, in front of the #include:

       #define SPIKELIB_CUDA_KERNELS(X) X(32, 16, lif_exp, poisson) X(64, 16, my_neuron)

   Each X is a program: bits of states (16, 32, 64); bits of weights (8, 16, 32, as in spk_net_desc;
   8_wide and 16_wide where accumulators need 64 bits, which spk_net_get_info tells); and up to 16
   models by their names, those of SPIKELIB_NEURON included, which stand in front too. A network
   takes the program with the fewest models that has all of its own; then only the driver is needed.
   Where there is none, NVRTC is asked, and without it the error says which X to add. Cost: nvcc
   takes 7 s more for one model and an architecture, 52 s for all twelve in one X; no flag is
   needed for exact arithmetic, but --use_fast_math and --ftz=true are refused when it runs. Give
   nvcc the device's -arch. This header includes itself for that, by its name: where it was given
   another one, #define SPIKELIB_CUDA_HEADER "the_other.cuh". */
#ifndef SPIKELIB_GPU_CUDA_API_H
#define SPIKELIB_GPU_CUDA_API_H

/* One device as the driver describes it. `index` is its place in the driver's list, from 0. */
typedef struct spk_cuda_device {
    uint32_t index, units;     /* units: multiprocessors */
    char name[128];
    uint64_t memory_bytes, shared_bytes; /* shared: the most that one group of threads may have */
    uint32_t major, minor;     /* compute capability */
    uint32_t driver;           /* CUDA version of the driver, as 13000 for 13.0 */
    bool usable;               /* has what is needed; else `why` says what it lacks */
    char why[128];
} spk_cuda_device;

/* How well a device suits; the highest wins, negative is never taken. Thread: the caller's. */
typedef double (*spk_cuda_score_fn)(void *ctx, const spk_cuda_device *device);
/* A function of the driver, of NVRTC or of NCCL by name ("cuInit", "nvrtcCompileProgram"), or
   NULL. */
typedef void *(*spk_cuda_symbol_fn)(void *ctx, const char *name);

typedef enum spk_cuda_style {
    SPK_CUDA_AUTO = 0, /* the first of these that fits the network and the device */
    SPK_CUDA_OWN,      /* a batch a launch, each group of threads with the targets of a tile */
    SPK_CUDA_ALL,      /* a batch a launch, all groups deliver to all targets */
    SPK_CUDA_SLICES,   /* some launches a slice of steps */
    SPK_CUDA_GRAPH,    /* these launches, captured as graphs and replayed: only where it is asked
                          for; CUDA 11.4 or later; several devices: as SPK_CUDA_SLICES */
    SPK_CUDA_STYLE_FORCE_32_BIT = 0x7fffffff
} spk_cuda_style;

/* How several devices exchange spikes. */
typedef enum spk_cuda_exchange {
    SPK_CUDA_EXCHANGE_AUTO = 0, /* NCCL where it is found, else peer copies */
    SPK_CUDA_EXCHANGE_NCCL,     /* an error where it is not found */
    SPK_CUDA_EXCHANGE_PEER,
    SPK_CUDA_EXCHANGE_HOST,
    SPK_CUDA_EXCHANGE_FORCE_32_BIT = 0x7fffffff
} spk_cuda_exchange;

typedef struct spk_cuda_desc {
    uint32_t begin_sentinel;   /* leave 0 */
    spk_cuda_style style;      /* default: SPK_CUDA_AUTO; it changes the speed and no spike */
    const char *device;        /* a part of the device's name; default: any */
    const uint32_t *indices;   /* or places in the list; several: the network is split over them;
                                  one place several times: that device is shared */
    size_t index_count;
    spk_cuda_score_fn score;   /* or the best by this; default: units times memory */
    void *score_ctx;
    spk_cuda_exchange exchange; /* of several devices; default: SPK_CUDA_EXCHANGE_AUTO */
    void *context;             /* a CUcontext to work in; default: the device's primary context */
    void *stream;              /* a CUstream of it to work in; default: one of its own */
    void *copy_stream;         /* another, for what goes to the host; default: one of its own */
    void *begin_event;         /* a CUevent of it: what a run does on the device waits for it */
    void *end_event;           /* one that each run records in the stream behind its last work */
    uint32_t tiles;            /* targets are cut into a multiple of it; default: by the device */
    spk_construction construction; /* where connectivity is drawn; it changes no synapse */
    uint64_t memory_budget;    /* bytes a device; default: all of its memory */
    const char *cache_dir;     /* of compiled programs, as in spk_cl_desc; "": none */
    double time_limit_s;       /* for what one batch of steps may take; default: none */
    bool or_cpu;               /* where no device can serve, the CPU does: spk_net_error says why */
    spk_cuda_symbol_fn symbol; /* where functions are found; default: the system's libraries */
    void *symbol_ctx;
    spk_allocator allocator;   /* default: malloc and free */
    uint32_t end_sentinel;     /* leave 0 */
} spk_cuda_desc;

/* A backend for spk_net_desc.backend: `backend = spk_cuda_backend(NULL)`. Nothing else changes, the
   digest included. Errors: never NULL; whatever is wrong (no driver, one that is too old, no such
   device, a descriptor that is garbage) is what spk_net_build returns, with a sentence. After an
   error of the device, while building or running, the network is one of the CPU: the next run goes
   on there, from the step at which spk_net_step says it stands, and recorders take nothing twice.
   Ownership: the network's, from spk_net_create on; one backend, one network. Strings and arrays
   are copied; context, streams and events are the caller's and outlive the network. Cost: opens
   nothing before the network is built. Thread: any; the calling thread's current context is left as
   it was. */
SPIKELIB_API spk_backend *spk_cuda_backend(const spk_cuda_desc *desc);
/* The best device, or the CPU where there is none: spk_net_error then says why. */
SPIKELIB_API spk_backend *spk_cuda_backend_auto(void);
#ifndef SPK_BACKEND_AUTO
#define SPK_BACKEND_AUTO spk_cuda_backend_auto()
#endif

/* All devices, usable or not: how many, the first `capacity` of them in `devices`. `desc` may be
   NULL; its `symbol` is used. Errors: 0 where there is no driver, and `why` (of `why_size` bytes,
   may be NULL) says so. Thread: any. */
SPIKELIB_API size_t spk_cuda_devices(const spk_cuda_desc *desc, spk_cuda_device *devices,
                                     size_t capacity, char *why, size_t why_size);

#endif
