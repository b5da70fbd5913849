/* ---- >>gpu-copy: how fast a CUDA device copies its own memory ----
   The yardstick of the neurons' row in docs/gpu.md: a gigabyte from one place to another, timed by
   the device's events, median of nine. Prints bytes read and written in a second.

       gcc -O2 tests/gpu/copy.c -o copy -ldl && ./copy */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES ((size_t)1 << 30)
#define RUNS 9

typedef int (*call_init)(unsigned);
typedef int (*call_device)(int *, int);
typedef int (*call_context)(void **, int);
typedef int (*call_handle)(void *);
typedef int (*call_event)(void **, unsigned);
typedef int (*call_record)(void *, void *);
typedef int (*call_elapsed)(float *, void *, void *);
typedef int (*call_alloc)(uint64_t *, size_t);
typedef int (*call_copy)(uint64_t, uint64_t, size_t, void *);

static void *library;

static void *find(const char *name)
{
    void *found = library ? dlsym(library, name) : NULL;
    if (!found) {
        fprintf(stderr, "copy: no driver, or it has no %s\n", name);
        exit(2);
    }
    return found;
}

static void check(int code, const char *what)
{
    if (code) {
        fprintf(stderr, "copy: %s returned %d\n", what, code);
        exit(2);
    }
}

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    void *context = NULL, *begin = NULL, *end = NULL;
    uint64_t from = 0, to = 0;
    float ms[RUNS];
    int device = 0;
    library = dlopen("libcuda.so.1", RTLD_NOW);
    check(((call_init)find("cuInit"))(0), "cuInit");
    check(((call_device)find("cuDeviceGet"))(&device, 0), "cuDeviceGet");
    check(((call_context)find("cuDevicePrimaryCtxRetain"))(&context, device), "a context");
    check(((call_handle)find("cuCtxSetCurrent"))(context), "cuCtxSetCurrent");
    check(((call_event)find("cuEventCreate"))(&begin, 0), "cuEventCreate");
    check(((call_event)find("cuEventCreate"))(&end, 0), "cuEventCreate");
    check(((call_alloc)find("cuMemAlloc_v2"))(&from, BYTES), "cuMemAlloc");
    check(((call_alloc)find("cuMemAlloc_v2"))(&to, BYTES), "cuMemAlloc");
    const call_record record = (call_record)find("cuEventRecord");
    const call_copy copy = (call_copy)find("cuMemcpyDtoDAsync_v2");
    for (int k = -1; k < RUNS; k++) { /* the first warms up */
        check(record(begin, NULL), "cuEventRecord");
        for (int n = 0; n < 10; n++) {
            check(copy(to, from, BYTES, NULL), "cuMemcpyDtoDAsync");
        }
        check(record(end, NULL), "cuEventRecord");
        check(((call_handle)find("cuEventSynchronize"))(end), "cuEventSynchronize");
        check(((call_elapsed)find("cuEventElapsedTime"))(&ms[k < 0 ? 0 : k], begin, end),
              "cuEventElapsedTime");
    }
    qsort(ms, RUNS, sizeof ms[0], by_size);
    printf("%.6g\n", 2.0 * 10.0 * (double)BYTES / ((double)ms[RUNS / 2] * 1e-3));
    return 0;
}
