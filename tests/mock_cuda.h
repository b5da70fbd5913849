/* ---- >>mock-cuda: a CUDA driver, NVRTC and NCCL without a GPU ----
   To be included after the implementation of spikelib_cuda.cuh. Every call is checked: a context
   has to be current where one is needed, handles alive and of the right kind, sizes inside blocks,
   what another stream reads finished or waited for. What the driver may do later happens later:
   copies to the host arrive when somebody waits for them. Device memory has walls around it.

   With `execute` NVRTC is g++: the kernels' text runs on the CPU (mock_cuda_kernel.h), and the
   spikes have to be those of the CPU's engine. Without, kernels do nothing (the selftest gives what
   the host expects), which is enough to make every call fail in turn. */
#ifndef SPIKELIB_TESTS_MOCK_CUDA_H
#define SPIKELIB_TESTS_MOCK_CUDA_H

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MOCK_CUDA_HERE
#define MOCK_CUDA_HERE "tests"
#endif

enum { MOCK_STREAM = 1, MOCK_EVENT, MOCK_POOL, MOCK_MEMORY, MOCK_PINNED, MOCK_MODULE, MOCK_FUNCTION,
       MOCK_PROGRAM, MOCK_COMM, MOCK_CONTEXT, MOCK_GRAPH, MOCK_EXEC, MOCK_KINDS };
enum { MOCK_WALL = 256, MOCK_OBJECTS = 2048, MOCK_DEVICES = 3, MOCK_LATER = 64 };

typedef struct mock_object {
    int kind, alive, device;
    size_t size;
    char *data;         /* memory: behind the wall */
    char name[32];      /* of a function */
    const void *entry;  /* of a function that can run */
    unsigned params;
    void *library;      /* of a module */
    char *text;         /* of a program */
    struct mock_object *stream, *owner; /* of an event; of a function: the module; of a stream: the
                                           graph that it is captured as */
    long born;          /* a number of its own */
    long seq;           /* event: what it waits for; stream: work that it has */
    long seen;          /* stream: work of others that it waits for */
} mock_object;

typedef struct mock_later {
    mock_object *stream;
    long seq;
    char *to, *data;
    size_t size;
} mock_later;

static struct mock {
    mock_object object[MOCK_OBJECTS];
    int live[MOCK_KINDS];
    mock_later later[MOCK_LATER];
    int laters;
    long calls, fail_at, allocs, fail_alloc, misuse; /* fail_..: this one and all later ones */
    int fail_once; /* fail_alloc: that one alone */
    long launches, trap_at, builds;
    long retained[MOCK_DEVICES];
    long together, kernel_seq[MOCK_DEVICES], seq, broadcasts, peers;
    spki_cuda_handle fail_record; /* an event that cannot be recorded */
    const char *fail_name; /* a call of >>mock-cuda-graph, or a kernel there, that fails once */
    long must_see; /* of another stream's work: no kernel may begin before */
    int fail_code, trapped, code_of_trap;
    const mock_object *captured; /* a stream */
    int in_capture;              /* a call that may be made then */
    long born, graphs, replays;
    char *source; /* with `keep`: the last program's text */
    int keep, execute, stuck, wrong, old_arch, no_cooperative, no_pools, no_nccl, no_nvrtc;
    int no_code;            /* what nvcc compiled is for another device */
    const char *log, *refused; /* of a program that is not to compile, and the text it is about */
    const char *missing;    /* a function that is not there */
    int devices, version, units, shared, mode;
    size_t memory;
    spki_cuda_handle stack[16];
    int depth, init;
} mock;

static mock_object mock_contexts[MOCK_DEVICES];

/* In a unit that holds kernels as code: runs one of them, and says how many parameters it has. */
static void (*mock_launch_code)(const void *, unsigned, unsigned, int, void **);
static unsigned (*mock_bytes_code)(const void *, unsigned);

static void mock_misused(const char *what)
{
    if (mock.misuse++ < 5) {
        printf("    misuse: %s\n", what);
    }
}

static void mock_forget(mock_object *o)
{
    if (o->kind == MOCK_MEMORY && o->data) {
        const unsigned char *wall = (const unsigned char *)o->data - MOCK_WALL;
        for (size_t k = 0; k < MOCK_WALL; k++) {
            if (wall[k] != 0xb7 || wall[MOCK_WALL + o->size + k] != 0xb7) {
                mock_misused("a kernel wrote outside a block");
                break;
            }
        }
        free(o->data - MOCK_WALL);
    } else {
        free(o->data);
    }
    free(o->text);
    memset(o, 0, sizeof *o);
}

static void mock_reset(void)
{
    for (int k = 0; k < MOCK_OBJECTS; k++) {
        if (mock.object[k].kind) {
            mock_forget(&mock.object[k]);
        }
    }
    for (int k = 0; k < mock.laters; k++) {
        free(mock.later[k].data);
    }
    free(mock.source);
    memset(&mock, 0, sizeof mock);
    mock.devices = 1;
    mock.version = 13000;
    mock.units = 4;
    mock.shared = 232448;
    mock.memory = (size_t)1 << 30;
    for (int k = 0; k < MOCK_DEVICES; k++) {
        mock_contexts[k].kind = MOCK_CONTEXT;
        mock_contexts[k].device = k;
    }
}

/* What a call returns: a failure where one is due. */
static int mock_call(void)
{
    mock.calls++;
    if (mock.captured && !mock.in_capture) {
        mock_misused("a call while a stream is captured");
        return 900;
    }
    if (mock.trapped) {
        return mock.code_of_trap;
    }
    return mock.fail_at && mock.calls >= mock.fail_at ? mock.fail_code : 0;
}

static int mock_device(void)
{
    if (!mock.depth) {
        mock_misused("no context is current");
        return 0;
    }
    return ((mock_object *)(void *)mock.stack[mock.depth - 1])->device;
}

static mock_object *mock_new(int kind, size_t size)
{
    mock_object *o = mock.object;
    while (o < mock.object + MOCK_OBJECTS && o->kind) {
        o++;
    }
    if (o == mock.object + MOCK_OBJECTS) {
        mock_misused("too many objects");
        abort();
    }
    o->kind = kind;
    o->alive = 1;
    o->size = size;
    o->born = ++mock.born;
    mock.live[kind]++;
    return o;
}

static mock_object *mock_at(spki_cuda_handle handle, int kind)
{
    static mock_object nobody;
    mock_object *o = (mock_object *)(void *)handle;
    if (o < mock.object || o >= mock.object + MOCK_OBJECTS || !o->alive || o->kind != kind) {
        mock_misused("a handle is not alive or of another kind");
        memset(&nobody, 0, sizeof nobody);
        return &nobody;
    }
    return o;
}

static int mock_release(mock_object *o)
{
    if (mock.captured && o->kind != MOCK_GRAPH) {
        mock_misused("something released while a stream is captured");
    }
    if (o->alive) {
        mock.live[o->kind]--;
        mock_forget(o);
    }
    return 0; /* releasing works whatever else fails */
}

static int mock_make(int kind, size_t size, spki_cuda_handle *out)
{
    const int code = mock_call();
    if (!code) {
        mock_object *o = mock_new(kind, size);
        o->device = kind == MOCK_PROGRAM || kind == MOCK_COMM ? 0 : mock_device();
        *out = (spki_cuda_handle)(void *)o;
    }
    return code;
}

/* -- what arrives later -- */

static void mock_arrive(const mock_object *stream, long seq)
{
    int left = 0;
    for (int k = 0; k < mock.laters; k++) {
        mock_later *l = &mock.later[k];
        if ((!stream || l->stream == stream) && l->seq <= seq) {
            memcpy(l->to, l->data, l->size);
            free(l->data);
        } else {
            mock.later[left++] = *l;
        }
    }
    mock.laters = left;
}

/* -- driver -- */

static int mock_cuInit(uint32_t flags)
{
    mock.init++;
    return flags ? 1 : mock_call();
}

static int mock_cuDriverGetVersion(int *version)
{
    *version = mock.version;
    return mock_call();
}

static int mock_cuGetErrorName(int code, const char **name)
{
    *name = code == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
            : code == 46  ? "CUDA_ERROR_DEVICE_UNAVAILABLE"
            : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : code == 719 ? "CUDA_ERROR_LAUNCH_FAILED"
                          : "CUDA_ERROR_UNKNOWN";
    return 0;
}

static int mock_cuDeviceGetCount(int *count)
{
    *count = mock.devices;
    return mock_call();
}

static int mock_cuDeviceGet(int *device, int k)
{
    *device = k;
    return k < 0 || k >= mock.devices ? 101 : mock_call();
}

static int mock_cuDeviceGetName(char *name, int size, int k)
{
    snprintf(name, (size_t)size, "Mock GPU %d", k);
    return mock_call();
}

static int mock_cuDeviceTotalMem_v2(size_t *bytes, int k)
{
    (void)k;
    *bytes = mock.memory;
    return mock_call();
}

static int mock_cuDeviceGetAttribute(int *x, int what, int k)
{
    (void)k;
    *x = what == SPKI_CUDA_UNITS          ? mock.units
         : what == SPKI_CUDA_MAJOR        ? (mock.old_arch ? 6 : 9)
         : what == SPKI_CUDA_COOPERATIVE  ? !mock.no_cooperative
         : what == SPKI_CUDA_SHARED_MOST  ? mock.shared
         : what == SPKI_CUDA_HAS_POOLS    ? !mock.no_pools
         : what == SPKI_CUDA_COMPUTE_MODE ? mock.mode
                                          : 0;
    return 0;
}

static int mock_cuDevicePrimaryCtxRetain(spki_cuda_handle *out, int k)
{
    const int code = mock_call();
    if (!code) {
        mock.retained[k]++;
        *out = (spki_cuda_handle)(void *)&mock_contexts[k];
    }
    return code;
}

static int mock_cuDevicePrimaryCtxRelease_v2(int k)
{
    mock.retained[k]--;
    return 0;
}

static int mock_cuCtxPushCurrent_v2(spki_cuda_handle context)
{
    const mock_object *o = (const mock_object *)(const void *)context;
    if (o < mock_contexts || o >= mock_contexts + MOCK_DEVICES || mock.depth == 16) {
        mock_misused("a context that is none, or too many");
        return 201;
    }
    mock.stack[mock.depth++] = context;
    return 0;
}

static int mock_cuCtxPopCurrent_v2(spki_cuda_handle *context)
{
    if (!mock.depth) {
        mock_misused("nothing to pop");
        return 201;
    }
    *context = mock.stack[--mock.depth];
    return 0;
}

static int mock_cuCtxGetDevice(int *device)
{
    *device = mock_device();
    return mock_call();
}

static int mock_cuStreamCreate(spki_cuda_handle *out, uint32_t flags)
{
    (void)flags;
    return mock_make(MOCK_STREAM, 0, out);
}

static int mock_cuStreamDestroy_v2(spki_cuda_handle s)
{
    (void)mock_device();
    return mock_release(mock_at(s, MOCK_STREAM));
}

static mock_object *mock_stream(spki_cuda_handle s)
{
    mock_object *o = mock_at(s, MOCK_STREAM);
    if (o->device != mock_device()) {
        mock_misused("a stream of another device");
    }
    return o;
}

static int mock_cuStreamSynchronize(spki_cuda_handle s)
{
    mock_arrive(mock_stream(s), mock.seq);
    return mock_call();
}

static int mock_cuStreamWaitEvent(spki_cuda_handle s, spki_cuda_handle e, uint32_t flags)
{
    mock_object *stream = mock_stream(s);
    const mock_object *event = mock_at(e, MOCK_EVENT);
    (void)flags;
    stream->seen = event->seq > stream->seen ? event->seq : stream->seen;
    return mock_call();
}

static int mock_cuEventCreate(spki_cuda_handle *out, uint32_t flags)
{
    (void)flags;
    return mock_make(MOCK_EVENT, 0, out);
}

static int mock_cuEventDestroy_v2(spki_cuda_handle e)
{
    return mock_release(mock_at(e, MOCK_EVENT));
}

static int mock_cuEventRecord(spki_cuda_handle e, spki_cuda_handle s)
{
    mock_object *event = mock_at(e, MOCK_EVENT);
    event->stream = mock_stream(s);
    event->seq = mock.seq;
    return e == mock.fail_record ? 400 : mock_call();
}

static int mock_cuEventQuery(spki_cuda_handle e)
{
    const mock_object *event = mock_at(e, MOCK_EVENT);
    const int code = mock_call();
    if (code) {
        return code;
    }
    if (mock.stuck) {
        return SPKI_CUDA_NOT_READY;
    }
    if (mock.calls % 3 == 0) { /* sometimes it is not there yet */
        return SPKI_CUDA_NOT_READY;
    }
    mock_arrive(event->stream, event->seq);
    return 0;
}

static int mock_cuEventSynchronize(spki_cuda_handle e)
{
    const mock_object *event = mock_at(e, MOCK_EVENT);
    const int code = mock_call();
    if (!code) {
        mock_arrive(event->stream, event->seq);
    }
    return code;
}

/* -- memory -- */

static int mock_cuMemPoolCreate(spki_cuda_handle *out, const spki_cuda_pool_desc *desc)
{
    if (desc->kind != 1 || desc->place != 1 || desc->handles || desc->security || desc->most ||
        sizeof *desc != 88) {
        mock_misused("a pool's wishes");
    }
    return mock_make(MOCK_POOL, 0, out);
}

static int mock_cuMemPoolDestroy(spki_cuda_handle p)
{
    return mock_release(mock_at(p, MOCK_POOL));
}

static int mock_cuMemPoolSetAttribute(spki_cuda_handle p, int what, void *value)
{
    (void)mock_at(p, MOCK_POOL);
    if (what != SPKI_CUDA_POOL_KEEPS || !value) {
        mock_misused("a pool's attribute");
    }
    return mock_call();
}

static int mock_memory(spki_cuda_ptr *out, size_t size)
{
    spki_cuda_handle made;
    mock.allocs++;
    if (mock.fail_alloc && (mock.fail_once ? mock.allocs == mock.fail_alloc
                                           : mock.allocs >= mock.fail_alloc)) {
        mock.calls++;
        return SPKI_CUDA_OUT_OF_MEMORY;
    }
    const int code = mock_make(MOCK_MEMORY, size, &made);
    if (!code) {
        mock_object *o = (mock_object *)(void *)made;
        char *all = (char *)aligned_alloc(256, (size + 2 * MOCK_WALL + 255) / 256 * 256);
        memset(all, 0xb7, size + 2 * MOCK_WALL);
        o->data = all + MOCK_WALL;
        memset(o->data, 0xcd, size);
        *out = (spki_cuda_ptr)(uintptr_t)o->data;
    }
    return code;
}

/* The block in which [at, at + size) lies. */
static mock_object *mock_block(spki_cuda_ptr at, size_t size)
{
    for (int k = 0; k < MOCK_OBJECTS; k++) {
        mock_object *o = &mock.object[k];
        const spki_cuda_ptr begin = (spki_cuda_ptr)(uintptr_t)o->data;
        if (o->kind == MOCK_MEMORY && at >= begin && at - begin < o->size &&
            size <= o->size - (at - begin)) {
            return o;
        }
    }
    mock_misused("memory that is in no block");
    return NULL;
}

static int mock_free(spki_cuda_ptr at)
{
    mock_object *o = mock_block(at, 1);
    if (!o || (spki_cuda_ptr)(uintptr_t)o->data != at) {
        mock_misused("freed in the middle");
        return 1;
    }
    return mock_release(o);
}

static int mock_cuMemAllocFromPoolAsync(spki_cuda_ptr *out, size_t size, spki_cuda_handle p,
                                        spki_cuda_handle s)
{
    (void)mock_at(p, MOCK_POOL);
    (void)mock_stream(s);
    return mock_memory(out, size);
}

static int mock_cuMemFreeAsync(spki_cuda_ptr at, spki_cuda_handle s)
{
    (void)mock_stream(s);
    return mock_free(at);
}

static int mock_cuMemAlloc_v2(spki_cuda_ptr *out, size_t size)
{
    if (!mock.no_pools) {
        mock_misused("there are pools");
    }
    return mock_memory(out, size);
}

static int mock_cuMemFree_v2(spki_cuda_ptr at)
{
    (void)mock_device();
    return mock_free(at);
}

static int mock_cuMemHostAlloc(void **out, size_t size, uint32_t flags)
{
    spki_cuda_handle made;
    (void)flags;
    mock.allocs++;
    if (mock.fail_alloc && (mock.fail_once ? mock.allocs == mock.fail_alloc
                                           : mock.allocs >= mock.fail_alloc)) {
        mock.calls++;
        return SPKI_CUDA_OUT_OF_MEMORY;
    }
    const int code = mock_make(MOCK_PINNED, size, &made);
    if (!code) {
        mock_object *o = (mock_object *)(void *)made;
        *out = o->data = (char *)malloc(size);
    }
    return code;
}

static int mock_cuMemFreeHost(void *p)
{
    for (int k = 0; k < mock.laters; k++) {
        mock_later *l = &mock.later[k];
        if (l->to == (char *)p) { /* the driver would wait for it */
            free(l->data);
            *l = mock.later[--mock.laters];
            k--;
        }
    }
    for (int k = 0; k < MOCK_OBJECTS; k++) {
        if (mock.object[k].kind == MOCK_PINNED && mock.object[k].data == (char *)p) {
            return mock_release(&mock.object[k]);
        }
    }
    mock_misused("freed what was never pinned");
    return 1;
}

static int mock_cuMemcpyHtoDAsync_v2(spki_cuda_ptr to, const void *from, size_t size,
                                     spki_cuda_handle s)
{
    const mock_object *stream = mock_stream(s), *block = mock_block(to, size);
    const int code = mock_call();
    if (block && block->device != stream->device) {
        mock_misused("memory of another device");
    }
    if (block && !code) {
        memcpy((void *)(uintptr_t)to, from, size);
        mock.seq++;
    }
    return code;
}

static int mock_cuMemcpyDtoHAsync_v2(void *to, spki_cuda_ptr from, size_t size, spki_cuda_handle s)
{
    mock_object *stream = mock_stream(s);
    const mock_object *block = mock_block(from, size);
    const int code = mock_call();
    if (stream->seq < mock.kernel_seq[stream->device] &&
        stream->seen < mock.kernel_seq[stream->device]) {
        mock_misused("a copy that waits for no kernel");
    }
    if (block && !code && mock.laters < MOCK_LATER) {
        mock_later *l = &mock.later[mock.laters++];
        l->stream = stream;
        l->seq = ++mock.seq;
        l->to = (char *)to;
        l->size = size;
        l->data = (char *)malloc(size);
        memcpy(l->data, (const void *)(uintptr_t)from, size);
        memset(to, 0x5e, size);
    }
    return code;
}

static int mock_cuMemcpyPeerAsync(spki_cuda_ptr to, spki_cuda_handle to_context, spki_cuda_ptr from,
                                  spki_cuda_handle from_context, size_t size, spki_cuda_handle s)
{
    const mock_object *a = mock_block(to, size), *b = mock_block(from, size);
    const int code = mock_call();
    (void)mock_stream(s);
    if (a && b && (&mock_contexts[a->device] != (mock_object *)(void *)to_context ||
                   &mock_contexts[b->device] != (mock_object *)(void *)from_context)) {
        mock_misused("a peer copy between other contexts");
    }
    if (a && b && !code) {
        memmove((void *)(uintptr_t)to, (const void *)(uintptr_t)from, size);
        mock.peers++;
        mock.seq++;
    }
    return code;
}

static int mock_cuMemsetD8Async(spki_cuda_ptr at, unsigned char x, size_t size, spki_cuda_handle s)
{
    const int code = mock_call();
    (void)mock_stream(s);
    if (mock_block(at, size) && !code) {
        memset((void *)(uintptr_t)at, x, size);
    }
    return code;
}

/* -- programs -- */

static const char *mock_nvrtcGetErrorString(int code)
{
    return code == 1 ? "NVRTC_ERROR_OUT_OF_MEMORY" : code == 6 ? "NVRTC_ERROR_COMPILATION" : "no";
}

static int mock_nvrtcVersion(int *major, int *minor)
{
    *major = 13;
    *minor = 0;
    return 0;
}

static int mock_nvrtcCreateProgram(spki_cuda_handle *out, const char *text, const char *name,
                                   int headers, const char *const *header,
                                   const char *const *header_name)
{
    (void)name;
    (void)header;
    (void)header_name;
    const int code = mock_make(MOCK_PROGRAM, 0, out);
    if (headers) {
        mock_misused("headers");
    }
    if (!code) {
        mock_object *o = (mock_object *)(void *)*out;
        o->text = (char *)malloc(strlen(text) + 1);
        memcpy(o->text, text, strlen(text) + 1);
        if (mock.keep) {
            free(mock.source);
            mock.source = (char *)malloc(strlen(text) + 1);
            memcpy(mock.source, text, strlen(text) + 1);
        }
    }
    return code ? 2 : 0;
}

static int mock_nvrtcDestroyProgram(spki_cuda_handle *p)
{
    return mock_release(mock_at(*p, MOCK_PROGRAM));
}

/* Where compiled programs are kept: by what they are made of. */
static void mock_path(const char *text, const char *end, char *path, size_t size)
{
    struct stat kernel;
    (void)mkdir("build", 0777);
    (void)mkdir("build/mock_cuda", 0777);
    if (stat(MOCK_CUDA_HERE "/mock_cuda_kernel.h", &kernel) != 0) {
        memset(&kernel, 0, sizeof kernel);
    }
    const uint64_t seed = (uint64_t)kernel.st_mtime * 31 + (uint64_t)kernel.st_size;
    snprintf(path, size, "build/mock_cuda/%016llx%s",
             (unsigned long long)spk_xxh64(text, strlen(text), seed), end);
}

/* g++ makes a library of the text; false: it does not compile. */
static int mock_compile(const char *text, char *path, size_t size)
{
    static const char *const entries[] = {"spki_update", "spki_tell", "spki_count", "spki_scan",
                                          "spki_compact", "spki_deliver", "spki_sample",
                                          "spki_batch_all", "spki_batch_own", "spki_begin"};
    static const char *const rows[] = {"spki_rows", "spki_rows_scan", "spki_rows_collect",
                                       "spki_rows_sort"};
    char source[600], made[700], command[4000];
    struct stat there;
    const int selftest = strstr(text, "SPKI_ENTRY(spki_selftest)") != NULL;
    const int of_rows = strstr(text, "SPKI_ENTRY(spki_rows)") != NULL;
    mock_path(text, ".so", path, size);
    if (stat(path, &there) == 0) {
        return 1;
    }
    mock_path(text, ".cpp", source, sizeof source);
    snprintf(made, sizeof made, "%s.%d", path, (int)getpid());
    FILE *file = fopen(source, "w");
    if (!file) {
        return 0;
    }
    fprintf(file, "#include \"mock_cuda_kernel.h\"\n#line 1 \"spikelib.cu\"\n%s\n", text);
    fprintf(file, "const mock_entry mock_entries[] = {\n");
    for (int k = 0; k < 10 && !selftest && !of_rows; k++) {
        fprintf(file, "MOCK_ENTRY(%s)\n", entries[k]);
    }
    for (int k = 0; k < 4 && of_rows; k++) {
        fprintf(file, "MOCK_ENTRY(%s)\n", rows[k]);
    }
    fprintf(file, "%s{0, 0, 0, 0}};\n", selftest ? "MOCK_ENTRY(spki_selftest)\n" : "");
    fclose(file);
    snprintf(command, sizeof command,
             "g++ -std=c++17 -O1 -w -U_FORTIFY_SOURCE -ffp-contract=off -fno-strict-aliasing "
             "-fPIC -shared -pthread -I%s \"%s\" -o \"%s\" >\"%s.log\" 2>&1 && mv \"%s\" \"%s\"",
             MOCK_CUDA_HERE, source, made, source, made, path);
    return system(command) == 0;
}

static int mock_nvrtcCompileProgram(spki_cuda_handle p, int options, const char *const *option)
{
    mock_object *o = mock_at(p, MOCK_PROGRAM);
    int exact = 0, arch = 0;
    char path[600];
    for (int k = 0; k < options; k++) {
        exact += strcmp(option[k], "--fmad=false") == 0 || strcmp(option[k], "--ftz=false") == 0 ||
                 strcmp(option[k], "--prec-div=true") == 0 ||
                 strcmp(option[k], "--prec-sqrt=true") == 0;
        arch += strcmp(option[k], "--gpu-architecture=sm_90") == 0;
    }
    if (exact != 4 || arch != 1) {
        mock_misused("options that change the arithmetic, or another device's");
    }
    mock.builds++;
    if (mock_call()) {
        return 11;
    }
    if (mock.log && strstr(o->text, mock.refused)) {
        return SPKI_NVRTC_COMPILATION;
    }
    if (mock.execute && !mock_compile(o->text, path, sizeof path)) {
        mock_misused("the kernels' text does not compile");
        return SPKI_NVRTC_COMPILATION;
    }
    return 0;
}

static int mock_nvrtcGetProgramLogSize(spki_cuda_handle p, size_t *size)
{
    (void)mock_at(p, MOCK_PROGRAM);
    *size = mock.log ? strlen(mock.log) + 1 : 1;
    return 0;
}

static int mock_nvrtcGetProgramLog(spki_cuda_handle p, char *log)
{
    (void)mock_at(p, MOCK_PROGRAM);
    strcpy(log, mock.log ? mock.log : "");
    return 0;
}

static int mock_nvrtcGetPTXSize(spki_cuda_handle p, size_t *size)
{
    (void)mock_at(p, MOCK_PROGRAM);
    *size = 0;
    mock_misused("PTX, though the device is known");
    return 11;
}

static int mock_nvrtcGetPTX(spki_cuda_handle p, char *out)
{
    (void)p;
    (void)out;
    return 11;
}

static int mock_nvrtcGetCUBINSize(spki_cuda_handle p, size_t *size)
{
    (void)mock_at(p, MOCK_PROGRAM);
    *size = 600;
    return mock_call() ? 11 : 0;
}

static int mock_nvrtcGetCUBIN(spki_cuda_handle p, char *out)
{
    memset(out, 0, 600);
    if (mock.execute) {
        mock_path(mock_at(p, MOCK_PROGRAM)->text, ".so", out, 600);
    }
    return mock_call() ? 11 : 0;
}

static int mock_cuModuleLoadData(spki_cuda_handle *out, const void *image)
{
    const int code = mock_make(MOCK_MODULE, 0, out);
    if (!code && mock.execute) {
        mock_object *o = (mock_object *)(void *)*out;
        char path[700];
        snprintf(path, sizeof path, "./%.600s", (const char *)image);
        o->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!o->library) {
            printf("    %s\n", dlerror());
            mock_misused("a program that cannot be loaded");
        }
    }
    return code;
}

static int mock_cuModuleUnload(spki_cuda_handle m)
{
    mock_object *o = mock_at(m, MOCK_MODULE);
    for (int k = 0; k < MOCK_OBJECTS; k++) {
        if (mock.object[k].kind == MOCK_FUNCTION && mock.object[k].owner == o) {
            (void)mock_release(&mock.object[k]);
        }
    }
    return mock_release(o); /* the library stays: it may be wanted again */
}

static int mock_cuModuleGetFunction(spki_cuda_handle *out, spki_cuda_handle m, const char *name)
{
    mock_object *module = mock_at(m, MOCK_MODULE);
    const int code = mock_make(MOCK_FUNCTION, 0, out);
    if (!code) {
        mock_object *o = (mock_object *)(void *)*out;
        o->owner = module;
        snprintf(o->name, sizeof o->name, "%s", name);
        if (module->library) {
            const void *(*find)(const char *, unsigned *);
            void *symbol = dlsym(module->library, "mock_find");
            memcpy(&find, &symbol, sizeof find);
            o->entry = find(name, &o->params);
            if (!o->entry) {
                mock_misused("a kernel that is not there");
            }
        }
    }
    return code;
}

/* The runtime's: functions of what nvcc has compiled, which stay. */
static int mock_cudaGetFuncBySymbol(spki_cuda_handle *out, const void *symbol)
{
    const int code = mock.no_code ? 98 : mock_call();
    const int device = mock_device();
    for (int k = 0; k < MOCK_OBJECTS && !code; k++) {
        mock_object *o = &mock.object[k];
        if (o->kind == MOCK_FUNCTION && o->entry == symbol && o->device == device) {
            *out = (spki_cuda_handle)(void *)o;
            return 0;
        }
    }
    if (!code) {
        mock_object *o = mock_new(MOCK_FUNCTION, 0);
        mock.live[MOCK_FUNCTION]--;
        o->device = device;
        o->entry = symbol;
        *out = (spki_cuda_handle)(void *)o;
    }
    return code;
}

static int mock_cuFuncSetAttribute(spki_cuda_handle f, int what, int value)
{
    mock_object *o = mock_at(f, MOCK_FUNCTION);
    if (what != SPKI_CUDA_SHARED_BYTES || value > mock.shared) {
        mock_misused("a function's attribute");
    }
    o->size = (size_t)value;
    return mock_call();
}

static int mock_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *each, spki_cuda_handle f,
                                                            int items, size_t shared)
{
    (void)mock_at(f, MOCK_FUNCTION);
    *each = items <= 1024 && shared <= (size_t)mock.shared;
    return mock_call();
}

/* -- work -- */

/* The selftest's results as the host expects them. */
static void mock_selftest(void **param)
{
    const float *x;
    float *to;
    memcpy(&x, param[0], sizeof x);
    memcpy(&to, param[1], sizeof to);
    for (uint32_t k = 0; k < SPKI_GPU_TRIALS; k++) {
        const float arg[3] = {x[k], x[SPKI_GPU_TRIALS + k], x[2 * SPKI_GPU_TRIALS + k]};
        float result[SPKI_GPU_SELFTESTS];
        spki_gpu_expect_f(arg, result);
        for (uint32_t f = 0; f < SPKI_GPU_SELFTESTS; f++) {
            to[f * SPKI_GPU_TRIALS + k] = result[f];
        }
    }
    if (mock.wrong) {
        to[3 * SPKI_GPU_TRIALS + 77] *= 1.0000001f;
    }
}

/* Runs a kernel, unless the call that wants it has failed. */
static void mock_launch_node(const mock_object *function, uint32_t groups, uint32_t items,
                             spki_cuda_handle s, void **param, int together)
{
    mock_object *stream = mock_stream(s);
    mock.launches++;
    mock.together += together;
    if (stream->seen < mock.must_see) {
        mock_misused("a kernel that does not wait for the caller's event");
    }
    stream->seq = mock.kernel_seq[stream->device] = ++mock.seq;
    if (mock.trapped || (mock.trap_at && mock.launches >= mock.trap_at)) {
        mock.trapped = 1; /* noticed by whatever comes next */
        mock.code_of_trap = 719;
        return;
    }
    if (function->entry) {
        void (*launch)(const void *, unsigned, unsigned, int, void **) = mock_launch_code;
        if (function->owner) {
            void *symbol = dlsym(function->owner->library, "mock_launch");
            memcpy(&launch, &symbol, sizeof launch);
        }
        launch(function->entry, groups, items, together, param);
    } else if (strcmp(function->name, "spki_selftest") == 0) {
        mock_selftest(param);
    }
}

#include "mock_cuda_graph.h"

static int mock_work(spki_cuda_handle f, uint32_t groups, uint32_t items, spki_cuda_handle s,
                     void **param, int together)
{
    const mock_object *function = mock_at(f, MOCK_FUNCTION);
    mock_object *stream = mock_stream(s);
    if (stream == mock.captured) {
        return mock_add_node(f, groups, items, stream, param);
    }
    const int code = mock_call();
    if (function->device != stream->device || groups == 0 || items == 0 || items > 1024) {
        mock_misused("a launch");
    }
    if (!code) {
        mock_launch_node(function, groups, items, s, param, together);
    }
    return code;
}

static int mock_cuLaunchKernel(spki_cuda_handle f, uint32_t x, uint32_t y, uint32_t z, uint32_t i,
                               uint32_t j, uint32_t k, uint32_t shared, spki_cuda_handle s,
                               void **param, void **extra)
{
    if (y != 1 || z != 1 || j != 1 || k != 1 || shared || extra) {
        mock_misused("a launch's shape");
    }
    return mock_work(f, x, i, s, param, 0);
}

static int mock_cuLaunchCooperativeKernel(spki_cuda_handle f, uint32_t x, uint32_t y, uint32_t z,
                                          uint32_t i, uint32_t j, uint32_t k, uint32_t shared,
                                          spki_cuda_handle s, void **param)
{
    if (y != 1 || z != 1 || j != 1 || k != 1 || x > (uint32_t)mock.units ||
        shared > mock_at(f, MOCK_FUNCTION)->size || mock.no_cooperative || mock.captured) {
        mock_misused("a cooperative launch that cannot be");
    }
    return mock_work(f, x, i, s, param, 1);
}

/* -- NCCL -- */

static struct {
    const void *from;
    void *to[MOCK_DEVICES];
    size_t size;
    int root, calls, open;
} mock_group;

static int mock_ncclCommInitAll(spki_cuda_handle *comm, int n, const int *device)
{
    for (int k = 0; k < n; k++) {
        const int code = mock_make(MOCK_COMM, 0, &comm[k]);
        if (code) {
            while (k-- > 0) {
                (void)mock_release((mock_object *)(void *)comm[k]);
            }
            return 2;
        }
        ((mock_object *)(void *)comm[k])->device = device[k];
    }
    return 0;
}

static int mock_ncclCommDestroy(spki_cuda_handle c)
{
    return mock_release(mock_at(c, MOCK_COMM));
}

static int mock_ncclGroupStart(void)
{
    if (mock_group.open) {
        mock_misused("a group in a group");
    }
    memset(&mock_group, 0, sizeof mock_group);
    mock_group.open = 1;
    return mock_call() ? 1 : 0;
}

static int mock_ncclBroadcast(const void *from, void *to, size_t count, int type, int root,
                              spki_cuda_handle c, spki_cuda_handle s)
{
    const mock_object *comm = mock_at(c, MOCK_COMM), *stream = mock_at(s, MOCK_STREAM);
    if (!mock_group.open || type != SPKI_NCCL_UINT8 || comm->device != stream->device ||
        (mock_group.calls && (mock_group.root != root || mock_group.size != count))) {
        mock_misused("a broadcast");
    }
    mock_group.root = root;
    mock_group.size = count;
    mock_group.from = from;
    if (mock_group.calls < MOCK_DEVICES) {
        mock_group.to[mock_group.calls++] = to;
    }
    return mock_call() ? 1 : 0;
}

static int mock_ncclGroupEnd(void)
{
    const int code = mock_call();
    if (mock_group.calls && mock_group.calls != mock.devices) {
        if (!code && !mock.fail_at) {
            mock_misused("a broadcast without everybody");
        }
    }
    for (int k = 0; !code && k < mock_group.calls; k++) {
        if (mock_block((spki_cuda_ptr)(uintptr_t)mock_group.to[k], mock_group.size) &&
            mock_block((spki_cuda_ptr)(uintptr_t)mock_group.from, mock_group.size)) {
            memmove(mock_group.to[k], mock_group.from, mock_group.size);
        }
    }
    mock.broadcasts += mock_group.calls != 0;
    mock_group.open = 0;
    return code ? 1 : 0;
}

static const char *mock_ncclGetErrorString(int code)
{
    return code ? "unhandled cuda error" : "no error";
}

/* For spk_cuda_desc.symbol. */
static void *mock_symbol(void *ctx, const char *name)
{
    void *found = NULL;
    spki_cuda_calls calls; /* checks the types */
    (void)ctx;
#define MOCK_FIND(function)                                                          \
    if (strcmp(name, #function) == 0) {                                                           \
        calls.function = mock_##function;                                                         \
        memcpy(&found, (void *)&calls.function, sizeof found);                                    \
    }
    MOCK_FIND(cuInit)
    MOCK_FIND(cuDriverGetVersion)
    MOCK_FIND(cuGetErrorName)
    MOCK_FIND(cuDeviceGetCount)
    MOCK_FIND(cuDeviceGet)
    MOCK_FIND(cuDeviceGetName)
    MOCK_FIND(cuDeviceTotalMem_v2)
    MOCK_FIND(cuDeviceGetAttribute)
    MOCK_FIND(cuDevicePrimaryCtxRetain)
    MOCK_FIND(cuDevicePrimaryCtxRelease_v2)
    MOCK_FIND(cuCtxPushCurrent_v2)
    MOCK_FIND(cuCtxPopCurrent_v2)
    MOCK_FIND(cuCtxGetDevice)
    MOCK_FIND(cuStreamCreate)
    MOCK_FIND(cuStreamDestroy_v2)
    MOCK_FIND(cuStreamSynchronize)
    MOCK_FIND(cuStreamWaitEvent)
    MOCK_FIND(cuEventCreate)
    MOCK_FIND(cuEventDestroy_v2)
    MOCK_FIND(cuEventRecord)
    MOCK_FIND(cuEventQuery)
    MOCK_FIND(cuEventSynchronize)
    MOCK_FIND(cuMemPoolCreate)
    MOCK_FIND(cuMemPoolDestroy)
    MOCK_FIND(cuMemPoolSetAttribute)
    MOCK_FIND(cuMemAllocFromPoolAsync)
    MOCK_FIND(cuMemFreeAsync)
    MOCK_FIND(cuMemAlloc_v2)
    MOCK_FIND(cuMemFree_v2)
    MOCK_FIND(cuMemHostAlloc)
    MOCK_FIND(cuMemFreeHost)
    MOCK_FIND(cuMemcpyHtoDAsync_v2)
    MOCK_FIND(cuMemcpyDtoHAsync_v2)
    MOCK_FIND(cuMemcpyPeerAsync)
    MOCK_FIND(cuMemsetD8Async)
    MOCK_FIND(cuModuleLoadData)
    MOCK_FIND(cuModuleUnload)
    MOCK_FIND(cuModuleGetFunction)
    MOCK_FIND(cuFuncSetAttribute)
    MOCK_FIND(cuOccupancyMaxActiveBlocksPerMultiprocessor)
    MOCK_FIND(cuLaunchKernel)
    MOCK_FIND(cuLaunchCooperativeKernel)
    MOCK_FIND(cuStreamBeginCapture_v2)
    MOCK_FIND(cuStreamEndCapture)
    MOCK_FIND(cuGraphInstantiateWithFlags)
    MOCK_FIND(cuGraphDestroy)
    MOCK_FIND(cuGraphLaunch)
    MOCK_FIND(cuGraphExecDestroy)
    MOCK_FIND(nvrtcVersion)
    MOCK_FIND(nvrtcGetErrorString)
    MOCK_FIND(nvrtcCreateProgram)
    MOCK_FIND(nvrtcDestroyProgram)
    MOCK_FIND(nvrtcCompileProgram)
    MOCK_FIND(nvrtcGetPTXSize)
    MOCK_FIND(nvrtcGetPTX)
    MOCK_FIND(nvrtcGetCUBINSize)
    MOCK_FIND(nvrtcGetCUBIN)
    MOCK_FIND(nvrtcGetProgramLogSize)
    MOCK_FIND(nvrtcGetProgramLog)
    MOCK_FIND(ncclCommInitAll)
    MOCK_FIND(ncclCommDestroy)
    MOCK_FIND(ncclGroupStart)
    MOCK_FIND(ncclGroupEnd)
    MOCK_FIND(ncclBroadcast)
    MOCK_FIND(ncclGetErrorString)
#undef MOCK_FIND
    if (strcmp(name, "cudaGetFuncBySymbol") == 0 && mock_launch_code) {
        const spki_cuda_by_symbol find = mock_cudaGetFuncBySymbol;
        memcpy(&found, (const void *)&find, sizeof found);
    }
    if ((mock.no_nccl && strncmp(name, "nccl", 4) == 0) ||
        (mock.no_nvrtc && strncmp(name, "nvrtc", 5) == 0)) {
        return NULL;
    }
    return mock.missing && strcmp(mock.missing, name) == 0 ? NULL : found;
}

/* Objects that were never released, contexts that are still held or current. */
static int mock_leaks(void)
{
    int n = mock.depth + (mock.captured != NULL);
    for (int k = 0; k < MOCK_KINDS; k++) {
        n += mock.live[k];
    }
    for (int k = 0; k < MOCK_DEVICES; k++) {
        n += (int)mock.retained[k];
    }
    return n;
}

/* Why kernels cannot run behind this driver, or "". */
static __attribute__((unused)) const char *mock_absent(void)
{
    static int found = -1;
    if (found < 0) {
        found = system("g++ --version >/dev/null 2>&1") == 0;
    }
    return found ? "" : "no g++ to compile the kernels' text with";
}

#endif
