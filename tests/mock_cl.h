/* ---- >>mock-cl: an OpenCL that computes nothing, counts everything and fails when told ---- */
#ifndef SPIKELIB_TESTS_MOCK_CL_H
#define SPIKELIB_TESTS_MOCK_CL_H

/* To be included after the implementation of spikelib_cl.h. Buffers are memory, kernels do nothing
   (the selftest gives what the host expects), so a network on it never spikes and its states stay.
   Every call is checked: handles must be alive and of the right kind, sizes inside buffers. */

#ifdef _WIN32
#define SPKI_CL_CALL __stdcall
#else
#define SPKI_CL_CALL
#endif

enum { MOCK_PLATFORM = 1, MOCK_DEVICE, MOCK_CONTEXT, MOCK_QUEUE, MOCK_BUFFER, MOCK_PROGRAM,
       MOCK_KERNEL, MOCK_EVENT, MOCK_KINDS };

typedef struct mock_object {
    int kind, alive;
    size_t size;
    char *data;
    char name[32];
    spki_cl_handle arg[3];
    long launches;     /* when an event was made */
    int device;        /* of a queue */
} mock_object;

static struct mock {
    mock_object object[4096];
    int objects, live[MOCK_KINDS];
    long calls, fail_at, buffers, fail_buffer, misuse; /* fail_at: this call and all later ones */
    int fail_once;          /* of buffers: a driver that had no memory for a moment */
    size_t held, most_held; /* bytes of all buffers */
    long overlap;           /* most launches between the asking for a read and its waiting */
    double slow_s[3];       /* a launch of updates takes so long for each group, by device */
    const char *extensions, *driver;
    int fail_code;
    long builds, binaries, launches;
    const char *log, *refused; /* of a build that is to fail, and the text that it is about */
    const char *missing;    /* a function that is not there */
    int stuck;              /* events never complete */
    int wrong;              /* the selftest lies */
    char *source;           /* of the last program */
    char device_names[3][64];
    int devices, rounded[3], cpu[3];
    size_t memory, largest, local; /* local: of a group of items; 0: a part of the global one */
} mock;

static void mock_reset(void)
{
    for (int k = 0; k < mock.objects; k++) {
        free(mock.object[k].data);
    }
    free(mock.source);
    memset(&mock, 0, sizeof mock);
    mock.devices = 1;
    mock.rounded[0] = mock.rounded[1] = mock.rounded[2] = 1;
    mock.cpu[0] = 1;
    strcpy(mock.device_names[0], "Mock CPU");
    strcpy(mock.device_names[1], "Mock Accelerator 9000");
    strcpy(mock.device_names[2], "Mock Old");
    mock.memory = (size_t)1 << 30;
    mock.largest = (size_t)1 << 28;
    mock.extensions = "cl_khr_fp64 cl_khr_int64_base_atomics";
    mock.driver = "1";
}

/* What a call returns: a failure where one is due. */
static int32_t mock_call(void)
{
    mock.calls++;
    return mock.fail_at && mock.calls >= mock.fail_at ? mock.fail_code : 0;
}

static spki_cl_handle mock_new(int kind, size_t size)
{
    if (mock.objects == 4096) {
        for (int k = 0; k < mock.objects; k++) { /* events pass by in great number */
            if (!mock.object[k].alive) {
                free(mock.object[k].data);
                memset(&mock.object[k], 0, sizeof mock.object[k]);
                mock.object[k].kind = kind;
                mock.object[k].alive = 1;
                mock.object[k].size = size;
                mock.object[k].data = size ? (char *)calloc(1, size) : NULL;
                mock.live[kind]++;
                return (spki_cl_handle)(void *)&mock.object[k];
            }
        }
        mock.misuse++;
        return NULL;
    }
    mock_object *o = &mock.object[mock.objects++];
    o->kind = kind;
    o->alive = 1;
    o->size = size;
    o->data = size ? (char *)calloc(1, size) : NULL;
    mock.live[kind]++;
    return (spki_cl_handle)(void *)o;
}

static mock_object *mock_at(spki_cl_handle handle, int kind)
{
    static mock_object nobody;
    mock_object *o = (mock_object *)(void *)handle;
    if (o < mock.object || o >= mock.object + mock.objects || !o->alive || o->kind != kind) {
        mock.misuse++;
        memset(&nobody, 0, sizeof nobody);
        return &nobody;
    }
    return o;
}

static int32_t mock_release(spki_cl_handle handle, int kind)
{
    mock_object *o = mock_at(handle, kind);
    if (o->alive) {
        o->alive = 0;
        mock.live[kind]--;
        free(o->data);
        o->data = NULL;
    }
    return 0; /* releasing works whatever else fails */
}

/* -- platforms and devices: handles are small numbers -- */

static spki_cl_handle mock_number(intptr_t n)
{
    return (spki_cl_handle)n;
}

static int32_t SPKI_CL_CALL mock_clGetPlatformIDs(uint32_t n, spki_cl_handle *out, uint32_t *count)
{
    (void)n;
    out[0] = mock_number(100);
    *count = 1;
    return mock_call();
}

static int32_t mock_text(const char *text, size_t size, void *out, size_t *all)
{
    snprintf((char *)out, size, "%s", text);
    if (all) {
        *all = strlen(text) + 1;
    }
    return 0;
}

static int32_t SPKI_CL_CALL mock_clGetPlatformInfo(spki_cl_handle p, uint32_t what, size_t size,
                                                   void *out, size_t *all)
{
    (void)p;
    (void)what;
    return mock_text("Mock Platform", size, out, all);
}

static int32_t SPKI_CL_CALL mock_clGetDeviceIDs(spki_cl_handle p, uint64_t type, uint32_t n,
                                                spki_cl_handle *out, uint32_t *count)
{
    (void)p;
    (void)type;
    (void)n;
    for (int k = 0; k < mock.devices; k++) {
        out[k] = mock_number(200 + k);
    }
    *count = (uint32_t)mock.devices;
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clGetDeviceInfo(spki_cl_handle device, uint32_t what, size_t size,
                                                 void *out, size_t *all)
{
    const intptr_t number = (intptr_t)device;
    const int k = number >= 200 && number < 203 ? (int)(number - 200) : 0;
    uint64_t x = 1;
    switch (what) {
    case SPKI_CL_DEVICE_NAME: return mock_text(mock.device_names[k], size, out, all);
    case SPKI_CL_DEVICE_VERSION: return mock_text("OpenCL 1.2 mock", size, out, all);
    case SPKI_CL_DRIVER_VERSION: return mock_text(mock.driver, size, out, all);
    case SPKI_CL_DEVICE_EXTENSIONS: return mock_text(mock.extensions, size, out, all);
    case SPKI_CL_DEVICE_TYPE: x = mock.cpu[k] ? SPKI_CL_TYPE_CPU : SPKI_CL_TYPE_GPU; break;
    case SPKI_CL_DEVICE_SINGLE_FP_CONFIG: x = mock.rounded[k] ? 0xff : 0x7; break;
    case SPKI_CL_DEVICE_MAX_COMPUTE_UNITS: x = 4; break;
    case SPKI_CL_DEVICE_GLOBAL_MEM_SIZE: x = mock.memory; break;
    case SPKI_CL_DEVICE_MAX_MEM_ALLOC_SIZE: x = mock.largest; break;
    case SPKI_CL_DEVICE_MAX_WORK_GROUP_SIZE: x = 1024; break;
    case SPKI_CL_DEVICE_LOCAL_MEM_TYPE: x = mock.local ? 1 : 2; break;
    case SPKI_CL_DEVICE_LOCAL_MEM_SIZE: x = mock.local ? mock.local : 32768; break;
    default: break;
    }
    memcpy(out, &x, size < 8 ? size : 8);
    return 0;
}

static int32_t SPKI_CL_CALL mock_clCreateSubDevices(spki_cl_handle device, const intptr_t *how,
                                                    uint32_t n, spki_cl_handle *out,
                                                    uint32_t *count)
{
    const int32_t code = mock_call();
    (void)device;
    if (code) {
        return code;
    }
    *count = (uint32_t)(4 / how[1]);
    for (uint32_t k = 0; k < *count && k < n; k++) {
        out[k] = mock_new(MOCK_DEVICE, 0);
    }
    return 0;
}

static int32_t SPKI_CL_CALL mock_clReleaseDevice(spki_cl_handle d)
{
    return mock_release(d, MOCK_DEVICE);
}

static spki_cl_handle mock_make(int kind, size_t size, int32_t *code)
{
    *code = mock_call();
    return *code ? NULL : mock_new(kind, size);
}

static spki_cl_handle SPKI_CL_CALL
mock_clCreateContext(const intptr_t *p, uint32_t n, const spki_cl_handle *d,
                     void(SPKI_CL_CALL *fn)(const char *, const void *, size_t, void *), void *ctx,
                     int32_t *code)
{
    (void)p;
    (void)n;
    (void)d;
    (void)fn;
    (void)ctx;
    return mock_make(MOCK_CONTEXT, 0, code);
}

static int32_t SPKI_CL_CALL mock_clReleaseContext(spki_cl_handle c)
{
    return mock_release(c, MOCK_CONTEXT);
}

static spki_cl_handle SPKI_CL_CALL mock_clCreateCommandQueue(spki_cl_handle c, spki_cl_handle d,
                                                             uint64_t how, int32_t *code)
{
    const intptr_t number = (intptr_t)d;
    (void)how;
    (void)mock_at(c, MOCK_CONTEXT);
    spki_cl_handle made = mock_make(MOCK_QUEUE, 0, code);
    if (made) {
        mock_at(made, MOCK_QUEUE)->device = number >= 200 && number < 203 ? (int)number - 200 : 0;
    }
    return made;
}

static int32_t SPKI_CL_CALL mock_clReleaseCommandQueue(spki_cl_handle q)
{
    return mock_release(q, MOCK_QUEUE);
}

static spki_cl_handle SPKI_CL_CALL mock_clCreateBuffer(spki_cl_handle c, uint64_t flags,
                                                       size_t size, void *host, int32_t *code)
{
    (void)flags;
    (void)host;
    (void)mock_at(c, MOCK_CONTEXT);
    mock.buffers++;
    if (mock.fail_buffer && (mock.fail_once ? mock.buffers == mock.fail_buffer
                                            : mock.buffers >= mock.fail_buffer)) {
        *code = SPKI_CL_MEM_OBJECT_ALLOCATION_FAILURE;
        return NULL;
    }
    spki_cl_handle made = mock_make(MOCK_BUFFER, size, code);
    mock.held += made ? size : 0;
    mock.most_held = mock.held > mock.most_held ? mock.held : mock.most_held;
    return made;
}

static int32_t SPKI_CL_CALL mock_clReleaseMemObject(spki_cl_handle m)
{
    mock.held -= mock_at(m, MOCK_BUFFER)->size;
    return mock_release(m, MOCK_BUFFER);
}

/* -- programs -- */

static spki_cl_handle SPKI_CL_CALL mock_clCreateProgramWithSource(spki_cl_handle c, uint32_t n,
                                                                  const char **text,
                                                                  const size_t *size,
                                                                  int32_t *code)
{
    (void)n;
    (void)mock_at(c, MOCK_CONTEXT);
    free(mock.source);
    mock.source = (char *)calloc(1, size[0] + 1);
    memcpy(mock.source, text[0], size[0]);
    return mock_make(MOCK_PROGRAM, 8, code);
}

static spki_cl_handle SPKI_CL_CALL mock_clCreateProgramWithBinary(
    spki_cl_handle c, uint32_t n, const spki_cl_handle *d, const size_t *size,
    const unsigned char **data, int32_t *status, int32_t *code)
{
    (void)n;
    (void)d;
    (void)mock_at(c, MOCK_CONTEXT);
    mock.binaries++;
    *status = 0;
    if (size[0] != 8 || memcmp(data[0], "compiled", 8) != 0) {
        mock.misuse++;
    }
    return mock_make(MOCK_PROGRAM, 8, code);
}

static int32_t SPKI_CL_CALL mock_clBuildProgram(spki_cl_handle p, uint32_t n,
                                                const spki_cl_handle *d, const char *options,
                                                void(SPKI_CL_CALL *fn)(spki_cl_handle, void *),
                                                void *ctx)
{
    (void)n;
    (void)d;
    (void)fn;
    (void)ctx;
    (void)mock_at(p, MOCK_PROGRAM);
    mock.misuse += strstr(options, "-cl-fp32-correctly-rounded-divide-sqrt") == NULL;
    mock.builds++;
    const int32_t code = mock_call();
    return code                                               ? code
           : mock.log && strstr(mock.source, mock.refused) ? SPKI_CL_BUILD_PROGRAM_FAILURE
                                                           : 0;
}

static int32_t SPKI_CL_CALL mock_clGetProgramBuildInfo(spki_cl_handle p, spki_cl_handle d,
                                                       uint32_t what, size_t size, void *out,
                                                       size_t *all)
{
    (void)p;
    (void)d;
    (void)what;
    return mock_text(mock.log ? mock.log : "", size, out, all);
}

static int32_t SPKI_CL_CALL mock_clGetProgramInfo(spki_cl_handle p, uint32_t what, size_t size,
                                                  void *out, size_t *all)
{
    const size_t eight = 8;
    unsigned char *to;
    (void)size;
    (void)all;
    (void)mock_at(p, MOCK_PROGRAM);
    if (what == SPKI_CL_PROGRAM_BINARY_SIZES) {
        memcpy(out, &eight, sizeof eight);
    } else {
        memcpy(&to, out, sizeof to);
        memcpy(to, "compiled", 8);
    }
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clReleaseProgram(spki_cl_handle p)
{
    return mock_release(p, MOCK_PROGRAM);
}

static spki_cl_handle SPKI_CL_CALL mock_clCreateKernel(spki_cl_handle p, const char *name,
                                                       int32_t *code)
{
    (void)mock_at(p, MOCK_PROGRAM);
    spki_cl_handle made = mock_make(MOCK_KERNEL, 0, code);
    if (made) {
        snprintf(mock_at(made, MOCK_KERNEL)->name, 32, "%s", name);
    }
    return made;
}

static int32_t SPKI_CL_CALL mock_clSetKernelArg(spki_cl_handle k, uint32_t index, size_t size,
                                                const void *value)
{
    mock_object *o = mock_at(k, MOCK_KERNEL);
    if (index < 3 && size == sizeof(spki_cl_handle)) {
        memcpy(&o->arg[index], value, size);
    }
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clReleaseKernel(spki_cl_handle k)
{
    return mock_release(k, MOCK_KERNEL);
}

/* -- work -- */

static char *mock_bytes(spki_cl_handle buffer, size_t at, size_t size)
{
    mock_object *o = mock_at(buffer, MOCK_BUFFER);
    if (at > o->size || size > o->size - at || size == 0) {
        mock.misuse++;
        return NULL;
    }
    return o->data + at;
}

static int32_t SPKI_CL_CALL mock_clEnqueueWriteBuffer(spki_cl_handle q, spki_cl_handle m,
                                                      uint32_t wait, size_t at, size_t size,
                                                      const void *data, uint32_t n,
                                                      const spki_cl_handle *e, spki_cl_handle *out)
{
    char *to = mock_bytes(m, at, size);
    const int32_t code = mock_call();
    (void)wait;
    (void)n;
    (void)e;
    (void)out;
    (void)mock_at(q, MOCK_QUEUE);
    if (to && !code) {
        memcpy(to, data, size);
    }
    return code;
}

static int32_t SPKI_CL_CALL mock_clEnqueueReadBuffer(spki_cl_handle q, spki_cl_handle m,
                                                     uint32_t wait, size_t at, size_t size,
                                                     void *data, uint32_t n,
                                                     const spki_cl_handle *e, spki_cl_handle *out)
{
    const char *from = mock_bytes(m, at, size);
    const int32_t code = mock_call();
    (void)wait;
    (void)n;
    (void)e;
    (void)mock_at(q, MOCK_QUEUE);
    if (from && !code) {
        memcpy(data, from, size);
    }
    if (out && !code) {
        *out = mock_new(MOCK_EVENT, 0);
        mock_at(*out, MOCK_EVENT)->launches = mock.launches;
    }
    return code;
}

static int32_t SPKI_CL_CALL mock_clEnqueueFillBuffer(spki_cl_handle q, spki_cl_handle m,
                                                     const void *pattern, size_t pattern_size,
                                                     size_t at, size_t size, uint32_t n,
                                                     const spki_cl_handle *e, spki_cl_handle *out)
{
    char *to = mock_bytes(m, at, size);
    (void)pattern;
    (void)n;
    (void)e;
    (void)out;
    (void)mock_at(q, MOCK_QUEUE);
    mock.misuse += size % pattern_size != 0;
    if (to) {
        memset(to, 0, size);
    }
    return mock_call();
}

/* The selftest's results as the host expects them. */
static void mock_selftest(const mock_object *kernel)
{
    const mock_object *in = mock_at(kernel->arg[0], MOCK_BUFFER);
    mock_object *out = mock_at(kernel->arg[1], MOCK_BUFFER);
    const float *x = (const float *)(const void *)in->data;
    float *to = (float *)(void *)out->data;
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

static int32_t SPKI_CL_CALL mock_clEnqueueNDRangeKernel(
    spki_cl_handle q, spki_cl_handle k, uint32_t dim, const size_t *offset, const size_t *global,
    const size_t *local, uint32_t n, const spki_cl_handle *e, spki_cl_handle *out)
{
    const mock_object *kernel = mock_at(k, MOCK_KERNEL);
    (void)dim;
    (void)offset;
    (void)n;
    (void)e;
    (void)out;
    (void)mock_at(q, MOCK_QUEUE);
    mock.misuse += *global == 0 || *global % *local != 0;
    mock.launches++;
    if (strcmp(kernel->name, "spki_selftest") == 0) {
        mock_selftest(kernel);
    }
    if (strcmp(kernel->name, "spki_update") == 0) {
        const double until = spk_clock_seconds() + mock.slow_s[mock_at(q, MOCK_QUEUE)->device] *
                                                       (double)(*global / *local);
        while (spk_clock_seconds() < until) {
        }
    }
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clFlush(spki_cl_handle q)
{
    (void)mock_at(q, MOCK_QUEUE);
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clFinish(spki_cl_handle q)
{
    (void)mock_at(q, MOCK_QUEUE);
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clWaitForEvents(uint32_t n, const spki_cl_handle *event)
{
    const long since = mock.launches - mock_at(event[0], MOCK_EVENT)->launches;
    (void)n;
    mock.overlap = since > mock.overlap ? since : mock.overlap;
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clGetEventInfo(spki_cl_handle event, uint32_t what, size_t size,
                                                void *out, size_t *all)
{
    const int32_t status = mock.stuck ? 1 : 0; /* running, complete */
    (void)what;
    (void)size;
    (void)all;
    (void)mock_at(event, MOCK_EVENT);
    memcpy(out, &status, sizeof status);
    return mock_call();
}

static int32_t SPKI_CL_CALL mock_clReleaseEvent(spki_cl_handle e)
{
    return mock_release(e, MOCK_EVENT);
}

/* For spk_cl_desc.symbol. */
static void *mock_symbol(void *ctx, const char *name)
{
    (void)ctx;
    void *found = NULL;
    spki_cl_calls calls; /* checks the types */
#define MOCK_FIND(function)                                                                       \
    if (strcmp(name, #function) == 0) {                                                           \
        calls.function = mock_##function;                                                         \
        memcpy(&found, (void *)&calls.function, sizeof found);                                    \
    }
    MOCK_FIND(clGetPlatformIDs)
    MOCK_FIND(clGetPlatformInfo)
    MOCK_FIND(clGetDeviceIDs)
    MOCK_FIND(clGetDeviceInfo)
    MOCK_FIND(clCreateSubDevices)
    MOCK_FIND(clReleaseDevice)
    MOCK_FIND(clCreateContext)
    MOCK_FIND(clReleaseContext)
    MOCK_FIND(clCreateCommandQueue)
    MOCK_FIND(clReleaseCommandQueue)
    MOCK_FIND(clCreateBuffer)
    MOCK_FIND(clReleaseMemObject)
    MOCK_FIND(clCreateProgramWithSource)
    MOCK_FIND(clCreateProgramWithBinary)
    MOCK_FIND(clBuildProgram)
    MOCK_FIND(clGetProgramBuildInfo)
    MOCK_FIND(clGetProgramInfo)
    MOCK_FIND(clReleaseProgram)
    MOCK_FIND(clCreateKernel)
    MOCK_FIND(clSetKernelArg)
    MOCK_FIND(clReleaseKernel)
    MOCK_FIND(clEnqueueWriteBuffer)
    MOCK_FIND(clEnqueueReadBuffer)
    MOCK_FIND(clEnqueueFillBuffer)
    MOCK_FIND(clEnqueueNDRangeKernel)
    MOCK_FIND(clFlush)
    MOCK_FIND(clFinish)
    MOCK_FIND(clWaitForEvents)
    MOCK_FIND(clGetEventInfo)
    MOCK_FIND(clReleaseEvent)
#undef MOCK_FIND
    return mock.missing && strcmp(mock.missing, name) == 0 ? NULL : found;
}

/* Objects that were never released. */
static int mock_leaks(void)
{
    int n = 0;
    for (int k = 0; k < MOCK_KINDS; k++) {
        n += mock.live[k];
    }
    return n;
}

#endif
