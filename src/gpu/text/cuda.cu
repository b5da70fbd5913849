/* ---- >>kernel-cuda: what the kernels' text is made of, in CUDA C++ ---- */
#if defined(SPKI_CODE)
#elif defined(__CUDACC_RTC__)
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned short uint16_t;
#else
#include <stdint.h>
#endif
#if defined(__CUDACC__) && !defined(SPKI_CODE)
#pragma nv_diag_suppress 177 /* a model may leave a parameter unused, a program a function */
#pragma nv_diag_suppress 550 /* a state that is only set */
#endif

#if defined(SPKI_CODE) /* in a file that nvcc compiles: templates of a program's models */
#define SPKI_ENTRY_KIND template <class spki_set> __global__ void
#else
#define SPKI_ENTRY_KIND extern "C" __global__ void
#endif
#define SPKI_ENTRY(name) SPKI_ENTRY_KIND name
/* An entry that groups of so many items run, and no larger ones. */
#define SPKI_ENTRY_OF(items, name) SPKI_ENTRY_KIND __launch_bounds__(items) name
/* Shared memory whose size the launch says. */
#if !defined(SPKI_CUDA_ON_CPU)
#define SPKI_SHARED_REST(type, name)                                                               \
    extern __shared__ uint64_t spki_shared[];                                                      \
    type *const name = (type *)spki_shared
#else
#define SPKI_SHARED_REST(type, name) type *const name = (type *)::spki_shared
#endif
#define SPKI_GLOBAL
#define SPKI_LOCAL
#define SPKI_SHARED __shared__
#define SPKI_DEVICE static __device__ inline
#define SPKI_GROUP_ID() spki_group_id()
#define SPKI_GROUPS() spki_group_count()
#define SPKI_ITEM() spki_item()
#define SPKI_ITEMS() spki_item_count()
#define SPKI_MEET() __syncthreads()
#define SPKI_GLOBAL_OR(p, x) atomicOr(p, x)
#define SPKI_ADD32(p, x) atomicAdd(p, x)
#define SPKI_MIN32(p, x) (void)atomicMin(p, x)
#define SPKI_MAX32(p, x) (void)atomicMax(p, x)
#if SPKI_WIDE
#define SPKI_GLOBAL_ADD(p, x)                                                                      \
    atomicAdd((unsigned long long *)(p), (unsigned long long)(int64_t)(x))
#else
#define SPKI_GLOBAL_ADD(p, x) atomicAdd((int *)(p), (int)(x))
#endif
#define SPKI_REPLAYED 1 /* kernels may be recorded and run again for other steps */
#define SPKI_POPCOUNT(x) ((uint32_t)__popcll(x))
#define SPKI_LOWEST(x) ((uint32_t)__ffsll((long long)(x)) - 1u)

/* Functions, because a model may use the names that these use. */
SPKI_DEVICE uint32_t spki_group_id(void)
{
    return blockIdx.x;
}
SPKI_DEVICE uint32_t spki_group_count(void)
{
    return gridDim.x;
}
SPKI_DEVICE uint32_t spki_item(void)
{
    return threadIdx.x;
}
SPKI_DEVICE uint32_t spki_item_count(void)
{
    return blockDim.x;
}

/* The 16 items of half a warp vote: bit k is item k's. */
SPKI_DEVICE uint32_t spki_vote(int yes)
{
    const uint32_t half = threadIdx.x & 16u;
    return (__ballot_sync(0xffffu << half, yes) >> half) & 0xffffu;
}
#define SPKI_VOTE(c) spki_vote((c) ? 1 : 0)
/* The value of the item `d` places before this one in the warp. */
#define SPKI_FROM_BEFORE(x, d) __shfl_up_sync(0xffffffffu, x, d)

/* One item, one number. */
#define SPKI_CAT_(a, b) a##b
#define SPKI_CAT(a, b) SPKI_CAT_(a, b)
#define SPKI_CAT3_(a, b, c) a##b##c
#define SPKI_CAT3(a, b, c) SPKI_CAT3_(a, b, c)
#define SPKI_NIL(type) ((type)(0))
typedef uint32_t spki_words;
typedef int32_t spki_ints;
#if defined(SPKI_CODE)
#elif SPKI_IS_DOUBLE
typedef double spki_d1;
typedef int64_t spki_id1;
typedef int spki_md1;
#define SPKI_ROOT(x) __dsqrt_rn(x)
#define SPKI_AS_INT(x) ((int64_t)__double_as_longlong(x))
#define SPKI_AS_REAL(x) __longlong_as_double((long long)(x))
#else
typedef float spki_f1;
typedef int32_t spki_if1;
typedef int spki_mf1;
#define SPKI_ROOT(x) __fsqrt_rn(x)
#define SPKI_AS_INT(x) ((int32_t)__float_as_int(x))
#define SPKI_AS_REAL(x) __int_as_float(x)
#endif
#define SPKI_TO_REAL(x) ((real)(x))
#define SPKI_ALIGNED(type, p) (*(p))
#define SPKI_VLOAD(p, at) ((p)[at])
#define SPKI_VSTORE(x, p, at) ((p)[at] = (x))
#define SPKI_COUNT(mask) (mask)
#define SPKI_ANY(mask) ((mask) ? 1 : 0)

SPKI_DEVICE spki_words spki_multiply(spki_words a, uint32_t m, spki_words *low)
{
    *low = a * m;
    return __umulhi(a, m);
}

/* All groups of a cooperative launch wait for each other. `meet` counts arrivals, from 0 at the
   launch; the fences make what was written before visible after, in the caches too. */
SPKI_DEVICE void spki_meet_grid(uint32_t *meet)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        const uint32_t before = atomicAdd(meet, 1u);
        const uint32_t all = (before / gridDim.x + 1u) * gridDim.x;
        while (*(volatile uint32_t *)meet < all) {
            __nanosleep(16);
        }
        __threadfence();
    }
    __syncthreads();
}
