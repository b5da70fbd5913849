/* spikelib_cuda.cuh 0.1.0 - networks of spikelib.h on CUDA devices, with the same spikes. MIT licence,
   The spikelib authors; the text is at the end of spikelib.h. Include it after
   spikelib.h, also in the file that has SPIKELIB_IMPLEMENTATION.
   Generated from src/ by amalgamate.py; edits belong there. */

#ifdef SPKI_CODE
#pragma push_macro("K")
#undef K
#pragma push_macro("SPKI_ADD32")
#undef SPKI_ADD32
#pragma push_macro("SPKI_ALIGNED")
#undef SPKI_ALIGNED
#pragma push_macro("SPKI_ANY")
#undef SPKI_ANY
#pragma push_macro("SPKI_ARRIVE")
#undef SPKI_ARRIVE
#pragma push_macro("SPKI_AS_INT")
#undef SPKI_AS_INT
#pragma push_macro("SPKI_AS_REAL")
#undef SPKI_AS_REAL
#pragma push_macro("SPKI_BATCH_ARGS")
#undef SPKI_BATCH_ARGS
#pragma push_macro("SPKI_BATCH_PARAMS")
#undef SPKI_BATCH_PARAMS
#pragma push_macro("SPKI_BEGIN_BLOCK")
#undef SPKI_BEGIN_BLOCK
#pragma push_macro("SPKI_BLOCK_COUNT")
#undef SPKI_BLOCK_COUNT
#pragma push_macro("SPKI_BUCKET_WORDS")
#undef SPKI_BUCKET_WORDS
#pragma push_macro("SPKI_BYTE_WEIGHTS")
#undef SPKI_BYTE_WEIGHTS
#pragma push_macro("SPKI_C")
#undef SPKI_C
#pragma push_macro("SPKI_CAT")
#undef SPKI_CAT
#pragma push_macro("SPKI_CAT3")
#undef SPKI_CAT3
#pragma push_macro("SPKI_CAT3_")
#undef SPKI_CAT3_
#pragma push_macro("SPKI_CAT_")
#undef SPKI_CAT_
#pragma push_macro("SPKI_COUNT")
#undef SPKI_COUNT
#pragma push_macro("SPKI_DEVICE")
#undef SPKI_DEVICE
#pragma push_macro("SPKI_E")
#undef SPKI_E
#pragma push_macro("SPKI_END_BLOCK")
#undef SPKI_END_BLOCK
#pragma push_macro("SPKI_ENTRY")
#undef SPKI_ENTRY
#pragma push_macro("SPKI_ENTRY_AT")
#undef SPKI_ENTRY_AT
#pragma push_macro("SPKI_ENTRY_KIND")
#undef SPKI_ENTRY_KIND
#pragma push_macro("SPKI_ENTRY_OF")
#undef SPKI_ENTRY_OF
#pragma push_macro("SPKI_EXACT")
#undef SPKI_EXACT
#pragma push_macro("SPKI_F")
#undef SPKI_F
#pragma push_macro("SPKI_FLAT_BITS")
#undef SPKI_FLAT_BITS
#pragma push_macro("SPKI_FROM_BEFORE")
#undef SPKI_FROM_BEFORE
#pragma push_macro("SPKI_FROM_ORIGIN")
#undef SPKI_FROM_ORIGIN
#pragma push_macro("SPKI_GLOBAL")
#undef SPKI_GLOBAL
#pragma push_macro("SPKI_GLOBAL_ADD")
#undef SPKI_GLOBAL_ADD
#pragma push_macro("SPKI_GLOBAL_OR")
#undef SPKI_GLOBAL_OR
#pragma push_macro("SPKI_GNU_VECTOR")
#undef SPKI_GNU_VECTOR
#pragma push_macro("SPKI_GROUPS")
#undef SPKI_GROUPS
#pragma push_macro("SPKI_GROUP_ID")
#undef SPKI_GROUP_ID
#pragma push_macro("SPKI_HALF")
#undef SPKI_HALF
#pragma push_macro("SPKI_HALVES")
#undef SPKI_HALVES
#pragma push_macro("SPKI_HAVE_SSE2")
#undef SPKI_HAVE_SSE2
#pragma push_macro("SPKI_I")
#undef SPKI_I
#pragma push_macro("SPKI_INT")
#undef SPKI_INT
#pragma push_macro("SPKI_IS_DOUBLE")
#undef SPKI_IS_DOUBLE
#pragma push_macro("SPKI_ITEM")
#undef SPKI_ITEM
#pragma push_macro("SPKI_ITEMS")
#undef SPKI_ITEMS
#pragma push_macro("SPKI_ITEMS_OF_GROUP")
#undef SPKI_ITEMS_OF_GROUP
#pragma push_macro("SPKI_LANES")
#undef SPKI_LANES
#pragma push_macro("SPKI_LOCAL")
#undef SPKI_LOCAL
#pragma push_macro("SPKI_LOCAL_SPAN")
#undef SPKI_LOCAL_SPAN
#pragma push_macro("SPKI_LOWEST")
#undef SPKI_LOWEST
#pragma push_macro("SPKI_M")
#undef SPKI_M
#pragma push_macro("SPKI_MATH")
#undef SPKI_MATH
#pragma push_macro("SPKI_MAX32")
#undef SPKI_MAX32
#pragma push_macro("SPKI_MEET")
#undef SPKI_MEET
#pragma push_macro("SPKI_MIN32")
#undef SPKI_MIN32
#pragma push_macro("SPKI_NIL")
#undef SPKI_NIL
#pragma push_macro("SPKI_NUMBER")
#undef SPKI_NUMBER
#pragma push_macro("SPKI_OF_SET")
#undef SPKI_OF_SET
#pragma push_macro("SPKI_ON_DEVICE")
#undef SPKI_ON_DEVICE
#pragma push_macro("SPKI_ORIGIN_LIST")
#undef SPKI_ORIGIN_LIST
#pragma push_macro("SPKI_ORIGIN_PARAM")
#undef SPKI_ORIGIN_PARAM
#pragma push_macro("SPKI_ORIGIN_POS")
#undef SPKI_ORIGIN_POS
#pragma push_macro("SPKI_OVERLOAD_1")
#undef SPKI_OVERLOAD_1
#pragma push_macro("SPKI_OVERLOAD_2")
#undef SPKI_OVERLOAD_2
#pragma push_macro("SPKI_OWNED")
#undef SPKI_OWNED
#pragma push_macro("SPKI_POPCOUNT")
#undef SPKI_POPCOUNT
#pragma push_macro("SPKI_R")
#undef SPKI_R
#pragma push_macro("SPKI_REPLAYED")
#undef SPKI_REPLAYED
#pragma push_macro("SPKI_RN")
#undef SPKI_RN
#pragma push_macro("SPKI_ROOT")
#undef SPKI_ROOT
#pragma push_macro("SPKI_ROWS_MIN")
#undef SPKI_ROWS_MIN
#pragma push_macro("SPKI_ROWS_NONE")
#undef SPKI_ROWS_NONE
#pragma push_macro("SPKI_ROW_OF")
#undef SPKI_ROW_OF
#pragma push_macro("SPKI_S")
#undef SPKI_S
#pragma push_macro("SPKI_SHARED")
#undef SPKI_SHARED
#pragma push_macro("SPKI_SHARED_REST")
#undef SPKI_SHARED_REST
#pragma push_macro("SPKI_SHORTEST_OF")
#undef SPKI_SHORTEST_OF
#pragma push_macro("SPKI_SLOT")
#undef SPKI_SLOT
#pragma push_macro("SPKI_SLOT_OF")
#undef SPKI_SLOT_OF
#pragma push_macro("SPKI_SPIKED")
#undef SPKI_SPIKED
#pragma push_macro("SPKI_SYNAPSE_WORDS")
#undef SPKI_SYNAPSE_WORDS
#pragma push_macro("SPKI_TARGET")
#undef SPKI_TARGET
#pragma push_macro("SPKI_TO_REAL")
#undef SPKI_TO_REAL
#pragma push_macro("SPKI_VLOAD")
#undef SPKI_VLOAD
#pragma push_macro("SPKI_VOTE")
#undef SPKI_VOTE
#pragma push_macro("SPKI_VSTORE")
#undef SPKI_VSTORE
#pragma push_macro("SPKI_WEIGHT")
#undef SPKI_WEIGHT
#pragma push_macro("SPKI_WEIGHT_OF")
#undef SPKI_WEIGHT_OF
#pragma push_macro("SPKI_WIDE")
#undef SPKI_WIDE
#pragma push_macro("SPKI_WIDE_COUNTS")
#undef SPKI_WIDE_COUNTS
#pragma push_macro("SPKI_WIDE_WEIGHTS")
#undef SPKI_WIDE_WEIGHTS
#pragma push_macro("SPKI_WITH_SET")
#undef SPKI_WITH_SET
#pragma push_macro("SPKI_WORDS_OF")
#undef SPKI_WORDS_OF
#pragma push_macro("SPKI_X86_VECTOR")
#undef SPKI_X86_VECTOR
#pragma push_macro("spk_abs")
#undef spk_abs
#pragma push_macro("spk_any")
#undef spk_any
#pragma push_macro("spk_cos")
#undef spk_cos
#pragma push_macro("spk_exp")
#undef spk_exp
#pragma push_macro("spk_exprel")
#undef spk_exprel
#pragma push_macro("spk_flush")
#undef spk_flush
#pragma push_macro("spk_log")
#undef spk_log
#pragma push_macro("spk_max")
#undef spk_max
#pragma push_macro("spk_min")
#undef spk_min
#pragma push_macro("spk_pow")
#undef spk_pow
#pragma push_macro("spk_select")
#undef spk_select
#pragma push_macro("spk_sin")
#undef spk_sin
#pragma push_macro("spk_sqrt")
#undef spk_sqrt
#pragma push_macro("spk_tanh")
#undef spk_tanh
#pragma push_macro("spki_elem")
#undef spki_elem
#ifdef __NVCC__
#pragma nv_diagnostic push
#pragma nv_diag_suppress 177, 550
#endif
namespace SPKI_CODE {
enum { spki_state_bits = SPKI_CODE_STATES, spki_weight_bits = SPKI_CODE_WEIGHTS,
       spki_wide = SPKI_CODE_WIDE };
#define SPKI_ON_DEVICE
#define SPKI_LANES 1
#define SPKI_OWNED 0
#define SPKI_LOCAL_SPAN 0
#define SPKI_IS_DOUBLE (SPKI_CODE_STATES == 64)
#define SPKI_HALF (SPKI_CODE_STATES == 16)
#define SPKI_WIDE SPKI_CODE_WIDE
#define SPKI_WIDE_WEIGHTS (SPKI_CODE_WEIGHTS == 32)
#define SPKI_BYTE_WEIGHTS (SPKI_CODE_WEIGHTS == 8)
#define SPKI_E spki_real
#define SPKI_C(x) (SPKI_E)(x)
#define K(x) (spki_elem)(x)
#define SPKI_NUMBER(name, value) SPKI_##name = value,
enum : uint32_t {
    SPKI_GPU_NUMBERS(SPKI_NUMBER) SPKI_GPU_ROWS_NUMBERS(SPKI_NUMBER)
    SPKI_SELFTESTS = SPKI_GPU_SELFTESTS
};
#if SPKI_IS_DOUBLE
#define SPKI_S d1
typedef double spki_plain;
#define SPKI_RN(name) __d##name##_rn
#else
#define SPKI_S f1
typedef float spki_plain;
#define SPKI_RN(name) __f##name##_rn
#endif
#define SPKI_EXACT friend __device__ __forceinline__
struct spki_mask {
    bool on;
    spki_mask() = default;
    __device__ __forceinline__ spki_mask(bool c) : on(c) {}
    __device__ __forceinline__ explicit operator bool() const { return on; }
    SPKI_EXACT spki_mask operator&(spki_mask a, spki_mask b) { return spki_mask(a.on && b.on); }
    SPKI_EXACT spki_mask operator|(spki_mask a, spki_mask b) { return spki_mask(a.on || b.on); }
    SPKI_EXACT spki_mask operator^(spki_mask a, spki_mask b) { return spki_mask(a.on != b.on); }
    SPKI_EXACT spki_mask operator!(spki_mask a) { return spki_mask(!a.on); }
};
struct spki_nil {
    SPKI_EXACT spki_mask operator>(spki_nil, spki_nil) { return spki_mask(false); }
};
struct spki_lit {
    spki_plain x;
    template <class spki_t>
    __device__ __forceinline__ explicit spki_lit(spki_t value) : x((spki_plain)value) {}
};
struct spki_real {
    spki_plain x;
    spki_real() = default;
    template <class spki_t>
    __device__ __forceinline__ spki_real(spki_t value) : x((spki_plain)value) {}
    __device__ __forceinline__ spki_real(spki_nil) : x(0) {}
    SPKI_EXACT spki_real operator+(spki_real a, spki_real b) { return SPKI_RN(add)(a.x, b.x); }
    SPKI_EXACT spki_real operator-(spki_real a, spki_real b) { return SPKI_RN(sub)(a.x, b.x); }
    SPKI_EXACT spki_real operator*(spki_real a, spki_real b) { return SPKI_RN(mul)(a.x, b.x); }
    SPKI_EXACT spki_real operator/(spki_real a, spki_real b) { return SPKI_RN(div)(a.x, b.x); }
    SPKI_EXACT spki_real operator-(spki_real a) { return spki_real(-a.x); }
    SPKI_EXACT spki_real operator+(spki_real a) { return a; }
    SPKI_EXACT spki_real &operator+=(spki_real &a, spki_real b) { return a = a + b; }
    SPKI_EXACT spki_real &operator-=(spki_real &a, spki_real b) { return a = a - b; }
    SPKI_EXACT spki_real &operator*=(spki_real &a, spki_real b) { return a = a * b; }
    SPKI_EXACT spki_real &operator/=(spki_real &a, spki_real b) { return a = a / b; }
    SPKI_EXACT spki_mask operator<(spki_real a, spki_real b) { return spki_mask(a.x < b.x); }
    SPKI_EXACT spki_mask operator>(spki_real a, spki_real b) { return spki_mask(a.x > b.x); }
    SPKI_EXACT spki_mask operator<=(spki_real a, spki_real b) { return spki_mask(a.x <= b.x); }
    SPKI_EXACT spki_mask operator>=(spki_real a, spki_real b) { return spki_mask(a.x >= b.x); }
    SPKI_EXACT spki_mask operator==(spki_real a, spki_real b) { return spki_mask(a.x == b.x); }
    SPKI_EXACT spki_mask operator!=(spki_real a, spki_real b) { return spki_mask(a.x != b.x); }
};
static __device__ __forceinline__ spki_real operator+(spki_nil, spki_lit b)
{
    return spki_real(b.x);
}
#if SPKI_IS_DOUBLE
typedef spki_real spki_d1;
typedef int64_t spki_id1;
typedef spki_mask spki_md1;
#define SPKI_AS_INT(value) ((int64_t)__double_as_longlong((value).x))
#define SPKI_AS_REAL(bits) spki_real(__longlong_as_double((long long)(bits)))
#define SPKI_ROOT(value) spki_real(__dsqrt_rn((value).x))
#else
typedef spki_real spki_f1;
typedef int32_t spki_if1;
typedef spki_mask spki_mf1;
#define SPKI_AS_INT(value) ((int32_t)__float_as_int((value).x))
#define SPKI_AS_REAL(bits) spki_real(__int_as_float(bits))
#define SPKI_ROOT(value) spki_real(__fsqrt_rn((value).x))
#endif
struct spki_kinds {
    typedef spki_real real;
    typedef spki_mask mask;
    typedef spki_lit elem;
    typedef spki_nil nil;
};
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
#pragma nv_diag_suppress 177
#pragma nv_diag_suppress 550
#endif
#if defined(SPKI_CODE)
#define SPKI_ENTRY_KIND template <class spki_set> __global__ void
#else
#define SPKI_ENTRY_KIND extern "C" __global__ void
#endif
#define SPKI_ENTRY(name) SPKI_ENTRY_KIND name
#define SPKI_ENTRY_OF(items, name) SPKI_ENTRY_KIND __launch_bounds__(items) name
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
#define SPKI_REPLAYED 1
#define SPKI_POPCOUNT(x) ((uint32_t)__popcll(x))
#define SPKI_LOWEST(x) ((uint32_t)__ffsll((long long)(x)) - 1u)
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
SPKI_DEVICE uint32_t spki_vote(int yes)
{
    const uint32_t half = threadIdx.x & 16u;
    return (__ballot_sync(0xffffu << half, yes) >> half) & 0xffffu;
}
#define SPKI_VOTE(c) spki_vote((c) ? 1 : 0)
#define SPKI_FROM_BEFORE(x, d) __shfl_up_sync(0xffffffffu, x, d)
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
#define SPKI_R SPKI_CAT(spki_, SPKI_S)
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_M SPKI_CAT(spki_m, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#ifdef SPKI_ON_DEVICE
#define SPKI_MATH SPKI_DEVICE
#else
#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))
#endif
#ifndef SPKI_C
#define SPKI_C(x) (zero + (SPKI_E)(x))
#endif
#if SPKI_LANES > 1 && !defined(SPKI_ON_DEVICE)
#define SPKI_X86_VECTOR SPKI_HAVE_SSE2
#else
#define SPKI_X86_VECTOR 0
#endif
#if SPKI_IS_DOUBLE
#define SPKI_INT int64_t
#else
#define SPKI_INT int32_t
#endif
#ifdef SPKI_ON_DEVICE
SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    return SPKI_AS_INT(x);
}
SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    return SPKI_AS_REAL(i);
}
#else
SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)
{
    SPKI_R x;
    memcpy(&x, p, sizeof x);
    return x;
}
SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)
{
    memcpy(p, &x, sizeof x);
}
SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)
{
    SPKI_I i;
    memcpy(&i, &x, sizeof i);
    return i;
}
SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)
{
    SPKI_R x;
    memcpy(&x, &i, sizeof x);
    return x;
}
#endif
SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)
{
#if SPKI_LANES == 1
    return c ? a : b;
#else
    const SPKI_M on = c != 0;
    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(a) & on) | (SPKI_F(spki_bits_of)(b) & ~on));
#endif
}
#ifdef SPKI_ON_DEVICE
SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_ANY(c);
}
#else
SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)
{
#if SPKI_LANES == 1
    return c != 0;
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE
    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (uint64_t)_mm512_movepi32_mask((__m512i)c);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (uint64_t)_mm512_movepi64_mask((__m512i)c);
#else
    uint64_t bits = 0;
    for (int k = 0; k < SPKI_LANES; k++) {
        bits |= (uint64_t)(c[k] & 1) << k;
    }
    return bits;
#endif
}
SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c) != 0;
}
#endif
SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)
{
#if SPKI_X86_VECTOR && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8
    return (SPKI_R)_mm256_min_ps((__m256)a, (__m256)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4
    return (SPKI_R)_mm_min_ps((__m128)a, (__m128)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 2
    return (SPKI_R)_mm_min_pd((__m128d)a, (__m128d)b);
#else
    return SPKI_F(spki_select)(a < b, a, b);
#endif
}
SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)
{
#if SPKI_X86_VECTOR && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8
    return (SPKI_R)_mm256_max_ps((__m256)a, (__m256)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 4
    return (SPKI_R)_mm_max_ps((__m128)a, (__m128)b);
#elif SPKI_X86_VECTOR && SPKI_LANES == 2
    return (SPKI_R)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    return SPKI_F(spki_select)(a > b, a, b);
#endif
}
SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)
{
    const SPKI_I zero = SPKI_NIL(SPKI_I);
    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)
                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));
}
SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);
}
SPKI_MATH SPKI_R SPKI_F(spki_scale)(SPKI_R x, SPKI_R n)
{
    const int shift = SPKI_IS_DOUBLE ? 52 : 23;
#if SPKI_LANES == 1 && SPKI_IS_DOUBLE
    const uint64_t up = (uint64_t)SPKI_F(spki_bits_of)(n) << shift;
    return SPKI_F(spki_real_of)((SPKI_I)((uint64_t)SPKI_F(spki_bits_of)(x) + up));
#elif SPKI_LANES == 1
    const uint32_t up = (uint32_t)SPKI_F(spki_bits_of)(n) << shift;
    return SPKI_F(spki_real_of)((SPKI_I)((uint32_t)SPKI_F(spki_bits_of)(x) + up));
#else
    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) + (SPKI_F(spki_bits_of)(n) << shift));
#endif
}
SPKI_MATH SPKI_R SPKI_F(spki_less)(SPKI_R x, SPKI_R n, SPKI_R c)
{
#if SPKI_X86_VECTOR && SPKI_LANES == 16
    return (SPKI_R)_mm512_fnmadd_ps((__m512)n, (__m512)c, (__m512)x);
#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_fnmadd_pd((__m512d)n, (__m512d)c, (__m512d)x);
#else
    return x - n * c;
#endif
}
SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    return (x + magic) - magic;
}
SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
#if SPKI_IS_DOUBLE
    const SPKI_R magic = SPKI_C(6755399441055744.0);
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));
    const SPKI_R up = x * SPKI_C(1.4426950408889634) + magic, n = up - magic;
    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.6931471804855391))
                     - n * SPKI_C(7.440617110012397e-11);
    SPKI_R p = SPKI_C(1.0 / 6227020800.0);
    p = p * r + SPKI_C(1.0 / 479001600.0);
    p = p * r + SPKI_C(1.0 / 39916800.0);
    p = p * r + SPKI_C(1.0 / 3628800.0);
    p = p * r + SPKI_C(1.0 / 362880.0);
    p = p * r + SPKI_C(1.0 / 40320.0);
    p = p * r + SPKI_C(1.0 / 5040.0);
    p = p * r + SPKI_C(1.0 / 720.0);
    p = p * r + SPKI_C(1.0 / 120.0);
    p = p * r + SPKI_C(1.0 / 24.0);
    p = p * r + SPKI_C(1.0 / 6.0);
    p = p * r + SPKI_C(0.5);
#else
    const SPKI_R magic = SPKI_C(12582912.0);
    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));
    const SPKI_R up = x * SPKI_C(1.44269504) + magic, n = up - magic;
    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.693115234375))
                     - n * SPKI_C(3.1946184945309415e-05);
    SPKI_R p = SPKI_C(0.00139506);
    p = p * r + SPKI_C(0.008368954);
    p = p * r + SPKI_C(0.041666206);
    p = p * r + SPKI_C(0.16666518);
    p = p * r + SPKI_C(0.5);
#endif
    return SPKI_F(spki_scale)((p * r) * r + r + SPKI_C(1.0), up);
}
SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);
#ifndef SPKI_ON_DEVICE
    if (!SPKI_F(spki_any)(small)) {
        return (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / x;
    }
#endif
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);
    p = p * x + SPKI_C(1.0 / 87178291200.0);
    p = p * x + SPKI_C(1.0 / 6227020800.0);
    p = p * x + SPKI_C(1.0 / 479001600.0);
    p = p * x + SPKI_C(1.0 / 39916800.0);
    p = p * x + SPKI_C(1.0 / 3628800.0);
    p = p * x + SPKI_C(1.0 / 362880.0);
    p = p * x + SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#else
    SPKI_R p = SPKI_C(1.0 / 40320.0);
    p = p * x + SPKI_C(1.0 / 5040.0);
#endif
    p = p * x + SPKI_C(1.0 / 720.0);
    p = p * x + SPKI_C(1.0 / 120.0);
    p = p * x + SPKI_C(1.0 / 24.0);
    p = p * x + SPKI_C(1.0 / 6.0);
    p = p * x + SPKI_C(0.5);
    p = p * x + SPKI_C(1.0);
    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);
    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);
}
SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
#if SPKI_IS_DOUBLE
    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));
    const SPKI_INT middle = (SPKI_INT)0x3fe6a09e667f3bcd, mant = (SPKI_INT)0x000fffffffffffff;
    const int shift = 52;
    const SPKI_R magic = SPKI_C(6755399441055744.0);
#else
    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));
    const SPKI_INT middle = 0x3f3504f3, mant = 0x007fffff;
    const int shift = 23;
    const SPKI_R magic = SPKI_C(12582912.0);
#endif
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - middle, e = off >> shift;
    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + middle);
    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;
    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;
#if SPKI_IS_DOUBLE
    SPKI_R p = SPKI_C(2.0 / 23.0);
    p = p * z + SPKI_C(2.0 / 21.0);
    p = p * z + SPKI_C(2.0 / 19.0);
    p = p * z + SPKI_C(2.0 / 17.0);
    p = p * z + SPKI_C(2.0 / 15.0);
    p = p * z + SPKI_C(2.0 / 13.0);
    p = p * z + SPKI_C(2.0 / 11.0);
    p = p * z + SPKI_C(2.0 / 9.0);
    p = p * z + SPKI_C(2.0 / 7.0);
    p = p * z + SPKI_C(2.0 / 5.0);
    p = p * z + SPKI_C(2.0 / 3.0);
    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);
#else
    SPKI_R p = SPKI_C(0.23582268);
    p = p * z + SPKI_C(0.28537303);
    p = p * z + SPKI_C(0.40000334);
    p = p * z + SPKI_C(0.6666666);
    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);
#endif
    return hi + (s + s + ((p * z) * s + lo));
}
SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)
{
    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));
}
SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));
    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);
    const SPKI_R y = e / (e + SPKI_C(2.0));
    return SPKI_F(spki_select)(x < zero, -y, y);
}
SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));
#if SPKI_IS_DOUBLE
    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))
                     - n * SPKI_C(2.0222662487959506e-21);
    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;
    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);
    s = s * z - SPKI_C(1.0 / 1307674368000.0);
    s = s * z + SPKI_C(1.0 / 6227020800.0);
    s = s * z - SPKI_C(1.0 / 39916800.0);
    s = s * z + SPKI_C(1.0 / 362880.0);
    s = s * z - SPKI_C(1.0 / 5040.0);
    s = s * z + SPKI_C(1.0 / 120.0);
    s = s * z - SPKI_C(1.0 / 6.0);
    c = c * z - SPKI_C(1.0 / 87178291200.0);
    c = c * z + SPKI_C(1.0 / 479001600.0);
    c = c * z - SPKI_C(1.0 / 3628800.0);
    c = c * z + SPKI_C(1.0 / 40320.0);
    c = c * z - SPKI_C(1.0 / 720.0);
    c = c * z + SPKI_C(1.0 / 24.0);
#else
    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))
                     - n * SPKI_C(7.549789954891882e-08);
    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;
    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);
    s = s * z + SPKI_C(0.008331973);
    s = s * z - SPKI_C(0.16666651);
    c = c * z - SPKI_C(0.0013887362);
    c = c * z + SPKI_C(0.041666646);
#endif
    s = (s * z) * r + r;
    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);
    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;
    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);
    return SPKI_F(spki_select)((k & 2) != 0, -y, y);
}
SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 0);
}
SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)
{
    return SPKI_F(spki_sincos)(x, 1);
}
SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    x = SPKI_F(spki_max)(x, zero);
#if defined(SPKI_ON_DEVICE)
    return SPKI_ROOT(x);
#elif SPKI_LANES == 1 && SPKI_IS_DOUBLE
    return __builtin_sqrt(x);
#elif SPKI_LANES == 1
    return __builtin_sqrtf(x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16
    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8
    return (SPKI_R)_mm256_sqrt_ps((__m256)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE
    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4
    return (SPKI_R)_mm_sqrt_ps((__m128)x);
#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2
    return (SPKI_R)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < SPKI_LANES; k++) {
        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])
                              : (SPKI_E)__builtin_sqrtf((float)x[k]);
    }
    return x;
#endif
}
#if defined(SPKI_ON_DEVICE) && SPKI_LANES > 1
#elif !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)
{
    SPKI_I h = SPKI_NIL(SPKI_I);
    (void)like;
#if SPKI_LANES == 1
    h = *p;
#else
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    spki_h packed;
    memcpy(&packed, p, sizeof packed);
    h = __builtin_convertvector(packed, SPKI_I);
#endif
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));
    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);
    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);
}
SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)
{
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_I none = SPKI_NIL(SPKI_I);
    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;
    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));
    const SPKI_R least = SPKI_C(3.0547380447387695e-05);
    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;
    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;
#if SPKI_LANES == 1
    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;
    code = code > 0x7fff ? 0x7fff : code;
    code = a < least ? (u < a ? 1 : none) : code;
    *p = (uint16_t)(code == 0 ? 0 : (code | sign));
#else
    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;
    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;
    code = (top & 0x7fff) | (~top & code);
    code = (tiny & one) | (~tiny & code);
    code = (code | sign) & (code != none);
    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);
    const spki_h packed = __builtin_convertvector(code, spki_h);
    memcpy(p, &packed, sizeof packed);
#endif
}
#endif
#if defined(__cplusplus) && (!defined(SPKI_ON_DEVICE) || defined(SPKI_CODE))
#define SPKI_OVERLOAD_1(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }
#define SPKI_OVERLOAD_2(name)                                                                     \
    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }
SPKI_OVERLOAD_1(exp)
SPKI_OVERLOAD_1(exprel)
SPKI_OVERLOAD_1(log)
SPKI_OVERLOAD_1(sin)
SPKI_OVERLOAD_1(cos)
SPKI_OVERLOAD_1(tanh)
SPKI_OVERLOAD_1(sqrt)
SPKI_OVERLOAD_1(abs)
SPKI_OVERLOAD_1(flush)
SPKI_OVERLOAD_2(pow)
SPKI_OVERLOAD_2(min)
SPKI_OVERLOAD_2(max)
SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)
{
    return SPKI_F(spki_select)(c, a, b);
}
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE || defined(SPKI_CODE)
SPKI_MATH int spki_ov_any(SPKI_M c)
{
    return SPKI_F(spki_any)(c);
}
#endif
#ifndef SPKI_CODE
#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE
SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)
{
    return SPKI_F(spki_mask_bits)(c);
}
#endif
#if !SPKI_IS_DOUBLE
SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)
{
    return SPKI_F(spki_unpack16)(like, p);
}
SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)
{
    SPKI_F(spki_pack16)(x, p, random);
}
#endif
#endif
#undef SPKI_OVERLOAD_1
#undef SPKI_OVERLOAD_2
#endif
#ifndef SPKI_ON_DEVICE
#undef SPKI_R
#undef SPKI_I
#undef SPKI_M
#undef SPKI_F
#undef SPKI_MATH
#undef SPKI_C
#undef SPKI_X86_VECTOR
#undef SPKI_INT
#undef SPKI_LANES
#undef SPKI_IS_DOUBLE
#undef SPKI_S
#undef SPKI_E
#undef SPKI_TARGET
#endif
typedef SPKI_R real;
typedef SPKI_CAT(spki_m, SPKI_S) mask;
#define spki_elem SPKI_E
#ifndef K
#define K(x) (spki_zero + (spki_elem)(x))
#endif
#define spk_exp(x) SPKI_F(spki_exp)(x)
#define spk_exprel(x) SPKI_F(spki_exprel)(x)
#define spk_log(x) SPKI_F(spki_log)(x)
#define spk_sin(x) SPKI_F(spki_sin)(x)
#define spk_cos(x) SPKI_F(spki_cos)(x)
#define spk_tanh(x) SPKI_F(spki_tanh)(x)
#define spk_sqrt(x) SPKI_F(spki_sqrt)(x)
#define spk_abs(x) SPKI_F(spki_abs)(x)
#define spk_flush(x) SPKI_F(spki_flush)(x)
#define spk_pow(x, y) SPKI_F(spki_pow)(x, y)
#define spk_min(x, y) SPKI_F(spki_min)(x, y)
#define spk_max(x, y) SPKI_F(spki_max)(x, y)
#define spk_any(c) SPKI_F(spki_any)(c)
#define spk_select(c, a, b) SPKI_F(spki_select)(c, a, b)
#if SPKI_WIDE
typedef int64_t spki_acc;
#else
typedef int32_t spki_acc;
#endif
#if SPKI_LANES == 1
typedef spki_acc spki_accs;
#elif SPKI_WIDE
typedef SPKI_CAT(long, SPKI_LANES) spki_accs;
#else
typedef spki_ints spki_accs;
#endif
#if SPKI_HALF
typedef uint16_t spki_stored;
#else
typedef spki_elem spki_stored;
#endif
typedef struct spki_env {
    SPKI_GLOBAL const uint64_t *desc, *pop;
    SPKI_GLOBAL const spki_elem *value;
    SPKI_GLOBAL const uint32_t *table;
    SPKI_GLOBAL const spki_elem *told;
    SPKI_GLOBAL spki_stored *state;
    SPKI_GLOBAL spki_acc *acc;
    uint64_t step, at_acc, stride;
    uint32_t seed0, seed1, group, low, amounts, arrived;
} spki_env;
SPKI_DEVICE void spki_draw(const spki_env *e, uint64_t step, uint32_t stream, spki_words out[4])
{
    spki_words x0, x1, x2, x3;
    uint32_t k0 = e->seed0, k1 = e->seed1;
#if SPKI_LANES == 16
    x0 = (spki_words)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif SPKI_LANES == 8
    x0 = (spki_words)(0, 1, 2, 3, 4, 5, 6, 7);
#elif SPKI_LANES == 4
    x0 = (spki_words)(0, 1, 2, 3);
#else
    x0 = 0;
#endif
    x0 = x0 + (e->group * 16u + e->low);
    x1 = (spki_words)((uint32_t)step);
    x2 = (spki_words)((uint32_t)(step >> 32) ^ (uint32_t)e->pop[SPKI_POP_TAG]);
    x3 = (spki_words)(stream);
    for (int round = 0; round < 10; round++) {
        spki_words l0, l1;
        const spki_words h0 = spki_multiply(x0, 0xD2511F53u, &l0);
        const spki_words h1 = spki_multiply(x2, 0xCD9E8D57u, &l1);
        x0 = h1 ^ x1 ^ k0;
        x1 = l1;
        x2 = h0 ^ x3 ^ k1;
        x3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}
#define SPKI_HALVES(u, high, low)                                                                  \
    const real high = SPKI_TO_REAL((u) >> 16), low = SPKI_TO_REAL((u)&0xffffu)
SPKI_DEVICE real spki_uniform(spki_words u)
{
    const real spki_zero = SPKI_NIL(real);
    SPKI_HALVES(u, high, low);
    return (high * K(65536.0) + (low + K(0.5))) * K(2.3283064365386963e-10);
}
SPKI_DEVICE real spki_normal(spki_words u, spki_elem sd)
{
    const real spki_zero = SPKI_NIL(real);
#if SPKI_LANES == 1
    const uint32_t m = (u & 0x80000000u) ? ~u : u;
#else
    const spki_words m = u ^ (0u - (u >> 31));
#endif
    SPKI_HALVES(m, high, low);
    const real tail = (high * K(65536.0) + (low + K(0.5))) * K(2.3283064365386963e-10);
    const real q = K(0.5) - tail, r = K(0.180625) - q * q;
    const real mid =
        q * (((K(59.109374720) * r + K(159.29113202)) * r + K(50.434271938)) * r +
             K(3.3871327179)) /
        (((K(67.187563600) * r + K(78.757757664)) * r + K(17.895169469)) * r + K(1.0));
    const real s = spk_sqrt(-spk_log(tail)) - K(1.6);
    const real wing = (((K(0.17023821103) * s + K(1.3067284816)) * s + K(2.7568153900)) * s +
                       K(1.4234372777)) /
                      ((K(0.12021132975) * s + K(0.73700164250)) * s + K(1.0));
    const real z = spk_select(q <= K(0.425), mid, wing) * (spki_zero + sd);
#if SPKI_LANES == 1
    return (u & 0x80000000u) ? z : -z;
#else
    return spk_select(SPKI_WIDER((u >> 31) != 0u), z, -z);
#endif
}
SPKI_DEVICE spki_ints spki_events(SPKI_GLOBAL const uint32_t *table, spki_words u)
{
    const uint32_t count = table[1], common = table[2];
    spki_ints hits = SPKI_NIL(spki_ints);
    uint32_t t = 0;
#if SPKI_LANES > 1
    for (; t < common; t++) {
        hits += u >= table[3 + t];
    }
#endif
    for (; t < count; t++) {
        const spki_ints reached = u >= table[3 + t];
#if SPKI_LANES == 1
        if (!reached) {
#else
        if (!SPKI_ANY_INTS(reached)) {
#endif
            break;
        }
        hits += reached;
    }
    return SPKI_COUNT(hits) + (int)table[0];
}
SPKI_DEVICE real spki_add_part(real x, real add, uint32_t lane, uint32_t first, uint32_t count)
{
#if SPKI_LANES == 1
    return lane - first < count ? x + add : x;
#else
    if (lane >= first && lane + SPKI_LANES <= first + count) {
        return x + add;
    }
    spki_elem in[SPKI_LANES], more[SPKI_LANES];
    SPKI_VSTORE(x, in, 0);
    SPKI_VSTORE(add, more, 0);
    for (uint32_t k = 0; k < SPKI_LANES; k++) {
        in[k] = lane + k - first < count ? in[k] + more[k] : in[k];
    }
    return SPKI_VLOAD(in, 0);
#endif
}
SPKI_DEVICE real spki_own_poisson(const spki_env *e, SPKI_GLOBAL const uint64_t *part, uint32_t r,
                                  real x, spki_words u, uint32_t lane)
{
    const uint32_t first = (uint32_t)part[SPKI_PART_FIRST];
    const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];
    SPKI_GLOBAL const spki_elem *amount = e->value + part[SPKI_PART_VALUE];
    SPKI_GLOBAL const uint32_t *where = e->table + part[SPKI_PART_TABLE];
    spki_elem out[SPKI_LANES];
    uint32_t word[SPKI_LANES];
    SPKI_VSTORE(x, out, 0);
    SPKI_VSTORE(u, word, 0);
    for (uint32_t k = 0; k < SPKI_LANES; k++) {
        const uint32_t n = lane + k - first;
        if (n >= count || where[2 * n] != r) {
            continue;
        }
        SPKI_GLOBAL const uint32_t *table = e->table + where[2 * n + 1];
        uint32_t events = 0;
        while (events < table[1] && word[k] >= table[3 + events]) {
            events++;
        }
        out[k] = out[k] + (spki_elem)(int)(table[0] + events) * amount[n];
    }
    return SPKI_VLOAD(out, 0);
}
SPKI_DEVICE void spki_add_poisson(const spki_env *e, SPKI_GLOBAL const uint64_t *part, uint32_t r,
                                  real x[4])
{
    const real spki_zero = SPKI_NIL(real);
    const uint32_t base = e->group * 64u, first = (uint32_t)part[SPKI_PART_FIRST];
    const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];
    const uint32_t own = (uint32_t)part[SPKI_PART_OWN];
    if (base + 64u <= first || base >= first + count ||
        (own ? r != part[SPKI_PART_POS] && r != part[SPKI_PART_NEG] : r != part[SPKI_PART_POS])) {
        return;
    }
    spki_words u[4];
    spki_draw(e, e->step, (uint32_t)part[SPKI_PART_STREAM], u);
    for (uint32_t w = 0; w < 4; w++) {
        const uint32_t lane = base + 16u * w + e->low;
        if (own) {
            x[w] = spki_own_poisson(e, part, r, x[w], u[w], lane);
            continue;
        }
        const real weight = spki_zero + e->value[part[SPKI_PART_VALUE]];
        const real amount =
            SPKI_TO_REAL(spki_events(e->table + part[SPKI_PART_TABLE], u[w])) * weight;
        x[w] = spki_add_part(x[w], amount, lane, first, count);
    }
}
SPKI_DEVICE spki_elem spki_quantum(const spki_env *e, uint32_t r)
{
    return e->value[e->pop[SPKI_POP_QUANTUM + r]];
}
SPKI_DEVICE real spki_arrived(const spki_env *e, uint32_t r, spki_elem quantum, uint32_t w)
{
    const real spki_zero = SPKI_NIL(real);
    if (!e->arrived) {
        return spki_zero;
    }
    SPKI_GLOBAL spki_acc *acc = e->acc + e->at_acc + r * e->stride + e->low + 16u * w;
    const spki_accs in = SPKI_ALIGNED(spki_accs, acc);
#if SPKI_LANES == 1
    *acc = 0;
#else
    if (SPKI_ANY_ACCS(in)) {
        SPKI_ALIGNED(spki_accs, acc) = SPKI_NIL(spki_accs);
    }
#endif
    return SPKI_TO_REAL(in) * (spki_zero + quantum);
}
SPKI_DEVICE void spki_receptor(const spki_env *e, uint32_t r, spki_elem quantum, real x[4])
{
    const uint32_t parts = (uint32_t)e->pop[SPKI_POP_PARTS];
    for (uint32_t w = 0; w < 4; w++) {
        x[w] = spki_arrived(e, r, quantum, w);
    }
    SPKI_GLOBAL const uint64_t *part = e->desc + e->pop[SPKI_POP_PART];
    for (uint32_t k = 0; k < parts; k++, part += SPKI_PART_SIZE) {
        if (part[SPKI_PART_KIND] == 0 && e->step >= part[SPKI_PART_START] &&
            e->step < part[SPKI_PART_STOP]) {
            spki_add_poisson(e, part, r, x);
        }
    }
    if (e->amounts && e->pop[SPKI_POP_AMOUNT + r]) {
        SPKI_GLOBAL const spki_elem *amount =
            e->told + (e->pop[SPKI_POP_AMOUNT + r] - 1) + e->group * 64u + e->low;
        for (uint32_t w = 0; w < 4; w++) {
            x[w] = x[w] + SPKI_VLOAD(amount, 16u * w);
        }
    }
}
#if SPKI_LANES > 1
SPKI_DEVICE real spki_undriven(const spki_env *e, uint32_t r, spki_elem quantum, uint32_t w)
{
    const real x = spki_arrived(e, r, quantum, w);
    return e->amounts && e->pop[SPKI_POP_AMOUNT + r]
               ? x + SPKI_VLOAD(e->told, e->pop[SPKI_POP_AMOUNT + r] - 1 + e->group * 64u +
                                             e->low + 16u * w)
               : x;
}
SPKI_DEVICE real spki_undriven_current(const spki_env *e, uint32_t w)
{
    const real spki_zero = SPKI_NIL(real);
    return e->pop[SPKI_POP_CURRENT]
               ? spki_zero + SPKI_VLOAD(e->told, e->pop[SPKI_POP_CURRENT] - 1 + e->group * 64u +
                                                     e->low + 16u * w)
               : spki_zero;
}
#endif
SPKI_DEVICE void spki_current(const spki_env *e, real x[4])
{
    const real spki_zero = SPKI_NIL(real);
    const uint32_t parts = (uint32_t)e->pop[SPKI_POP_PARTS], base = e->group * 64u;
    SPKI_GLOBAL const uint64_t *part = e->desc + e->pop[SPKI_POP_PART];
    for (uint32_t w = 0; w < 4; w++) {
        x[w] = spki_zero;
    }
    for (uint32_t k = 0; k < parts; k++, part += SPKI_PART_SIZE) {
        const uint32_t first = (uint32_t)part[SPKI_PART_FIRST];
        const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];
        if (part[SPKI_PART_KIND] == 0 || e->step < part[SPKI_PART_START] ||
            e->step >= part[SPKI_PART_STOP] || base + 64u <= first || base >= first + count) {
            continue;
        }
        SPKI_GLOBAL const spki_elem *value = e->value + part[SPKI_PART_VALUE];
        for (uint32_t w = 0; w < 4; w++) {
            const uint32_t lane = base + 16u * w + e->low;
            const real add = part[SPKI_PART_OWN] ? SPKI_VLOAD(value, lane - first + 64u)
                                                 : spki_zero + value[0];
            x[w] = spki_add_part(x[w], add, lane, first, count);
        }
        if (part[SPKI_PART_NOISE]) {
            const uint64_t every = part[SPKI_PART_NOISE];
            const uint64_t since = e->step - part[SPKI_PART_START];
            const spki_elem sd = e->value[part[SPKI_PART_SD]];
            spki_words u[4];
            spki_draw(e, every == 1 ? since : since / every, (uint32_t)part[SPKI_PART_STREAM], u);
            for (uint32_t w = 0; w < 4; w++) {
                x[w] = spki_add_part(x[w], spki_normal(u[w], sd), base + 16u * w + e->low, first,
                                     count);
            }
        }
    }
    if (e->pop[SPKI_POP_CURRENT]) {
        SPKI_GLOBAL const spki_elem *current =
            e->told + (e->pop[SPKI_POP_CURRENT] - 1) + base + e->low;
        for (uint32_t w = 0; w < 4; w++) {
            x[w] = x[w] + SPKI_VLOAD(current, 16u * w);
        }
    }
}
SPKI_DEVICE void spki_random(const spki_env *e, uint32_t input, real x[4])
{
    spki_words u[4];
    spki_draw(e, e->step, SPKI_STREAM_INPUT | input, u);
    for (uint32_t w = 0; w < 4; w++) {
        x[w] = spki_uniform(u[w]);
    }
}
SPKI_DEVICE SPKI_GLOBAL spki_stored *spki_state(const spki_env *e, uint32_t s)
{
    return e->state + e->pop[SPKI_POP_STATE + s];
}
SPKI_DEVICE real spki_get(const spki_env *e, uint32_t s, SPKI_GLOBAL const spki_stored *at)
{
#if SPKI_HALF
    const uint16_t h = *at;
    return SPKI_F(spki_unpack16)(0.0f, &h) + e->value[e->pop[SPKI_POP_OFFSET] + s];
#else
    return SPKI_ALIGNED(const real, at);
#endif
}
SPKI_DEVICE void spki_put(const spki_env *e, uint32_t s, SPKI_GLOBAL spki_stored *at, real x,
                          spki_words random)
{
#if SPKI_HALF
    uint16_t h;
    SPKI_F(spki_pack16)(x - e->value[e->pop[SPKI_POP_OFFSET] + s], &h,
                        (int32_t)((random >> (16u * (s & 1u))) & 0x1fffu));
    *at = h;
#else
    SPKI_ALIGNED(real, at) = x;
#endif
}
#if SPKI_HALF
SPKI_DEVICE SPKI_GLOBAL float *spki_shadow(const spki_env *e, uint32_t words)
{
    const uint64_t groups = e->pop[SPKI_POP_GROUPS], shadows = e->pop[SPKI_POP_SHADOWS];
    const uint64_t slot = e->group * shadows / groups;
    return (e->group + 1u) * shadows / groups == slot
               ? 0
               : (SPKI_GLOBAL float *)e->state + (e->pop[SPKI_POP_SHADOW] + slot * words);
}
SPKI_DEVICE void spki_compare(SPKI_GLOBAL float *at, float x, int spike, int shadow_spike)
{
    SPKI_GLOBAL uint32_t *spikes = (SPKI_GLOBAL uint32_t *)(at + 64);
    *at = *at + (x < 0.0f ? -x : x);
    spikes[0] += spike ? 1u : 0u;
    spikes[64] += shadow_spike ? 1u : 0u;
}
#endif
SPKI_DEVICE spki_elem spki_same(const spki_env *e, uint32_t k)
{
    return e->value[e->pop[SPKI_POP_REAL + k]];
}
SPKI_DEVICE real spki_each(const spki_env *e, uint32_t k, uint32_t lane)
{
    return SPKI_VLOAD(e->value + (e->pop[SPKI_POP_REAL + k] + lane), 0);
}
SPKI_DEVICE uint32_t spki_bits(mask spike)
{
#if SPKI_LANES == 1
    return spike ? 1u : 0u;
#else
    if (!SPKI_ANY(spike)) {
        return 0u;
    }
    return SPKI_MASK_BITS(spike);
#endif
}
#define SPKI_ITEMS_OF_GROUP (16u / SPKI_LANES)
#if SPKI_LANES > 1
#define SPKI_BEGIN_BLOCK                                                                           \
    for (uint32_t spki_s = 0; spki_s < spki_run->steps; spki_s++) {                                \
        for (uint32_t spki_g = SPKI_ITEM(); spki_g < spki_groups; spki_g += SPKI_ITEMS()) {        \
            spki_e->group = spki_first + spki_g;                                                   \
            uint64_t spki_word = 0;                                                                \
            for (uint32_t spki_low = 0; spki_low < 16u; spki_low += SPKI_LANES) {                  \
                spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);
#define SPKI_SPIKED(spike, w)                                                                      \
    spki_word |= (uint64_t)spki_bits(spike) << (16u * (w) + spki_low);
#define SPKI_END_BLOCK                                                                             \
            }                                                                                      \
            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] +           \
                              spki_e->group] = spki_word & spki_valid(spki_e);                     \
        }                                                                                          \
    }
#elif defined(SPKI_VOTE)
#define SPKI_BEGIN_BLOCK                                                                           \
    const uint32_t spki_g = SPKI_ITEM() / 16u % SPKI_BLOCK_GROUPS, spki_low = SPKI_ITEM() % 16u;   \
    spki_e->group = spki_first + spki_g;                                                           \
    for (uint32_t spki_s = 0; spki_g < spki_groups && spki_s < spki_run->steps; spki_s++) {        \
        uint64_t spki_word = 0;                                                                    \
        spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);
#define SPKI_SPIKED(spike, w) spki_word |= (uint64_t)SPKI_VOTE(spike) << (16u * (w));
#define SPKI_END_BLOCK                                                                             \
        if (spki_low == 0) {                                                                       \
            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] +           \
                              spki_e->group] = spki_word & spki_valid(spki_e);                     \
        }                                                                                          \
    }
#else
#define SPKI_BEGIN_BLOCK                                                                           \
    const uint32_t spki_g = SPKI_ITEM() / 16u, spki_low = SPKI_ITEM() % 16u;                       \
    const int spki_on = spki_g < spki_groups;                                                      \
    spki_e->group = spki_first + spki_g;                                                           \
    for (uint32_t spki_s = 0; spki_s < spki_run->steps; spki_s++) {                                \
        if (spki_low == 0) {                                                                       \
            spki_run->bits[2 * spki_g] = spki_run->bits[2 * spki_g + 1] = 0;                       \
        }                                                                                          \
        SPKI_MEET();                                                                               \
        if (spki_on) {                                                                             \
            spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);
#define SPKI_SPIKED(spike, w)                                                                      \
    if (spike) {                                                                                   \
        (void)SPKI_LOCAL_OR(&spki_run->bits[2 * spki_g + (w) / 2],                                 \
                            1u << (16u * ((w)&1u) + spki_low));                                    \
    }
#define SPKI_END_BLOCK                                                                             \
        }                                                                                          \
        SPKI_MEET();                                                                               \
        if (spki_on && spki_low == 0) {                                                            \
            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] +           \
                              spki_e->group] =                                                     \
                ((uint64_t)spki_run->bits[2 * spki_g] |                                            \
                 (uint64_t)spki_run->bits[2 * spki_g + 1] << 32) & spki_valid(spki_e);             \
        }                                                                                          \
        SPKI_MEET();                                                                               \
    }
#endif
typedef struct spki_run {
    SPKI_GLOBAL uint64_t *history;
    SPKI_GLOBAL const uint32_t *arrived;
    SPKI_LOCAL uint32_t *bits;
    uint64_t first, slots, acc_first;
    uint32_t steps, pos, ring, mask, row, amounts;
} spki_run;
SPKI_DEVICE uint64_t spki_row(const spki_run *run, uint32_t s)
{
    return ((run->first + s) & run->mask) * run->row;
}
SPKI_DEVICE uint64_t spki_valid(const spki_env *e)
{
    const uint32_t left = (uint32_t)e->pop[SPKI_POP_COUNT] - e->group * 64u;
    return left >= 64u ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;
}
SPKI_DEVICE void spki_set_step(spki_env *e, const spki_run *run,
                               SPKI_GLOBAL const uint64_t *block, uint32_t g, uint32_t s,
                               uint32_t low)
{
    uint32_t pos = run->pos + s;
    pos -= pos >= run->ring ? run->ring : 0;
    e->step = run->first + s;
    e->low = low;
    e->at_acc = pos * run->slots + block[SPKI_BLOCK_ACC] - run->acc_first + g * 64u;
    e->stride = block[SPKI_BLOCK_STRIDE];
    e->amounts = run->amounts && s == 0;
#if SPKI_OWNED
    e->arrived = run->arrived[block[SPKI_BLOCK_TILE] * run->ring + pos];
#else
    e->arrived = 1;
#endif
}
#if SPKI_HALF
template <class spki_m>
SPKI_DEVICE void spki_step_shadow(const spki_env *e, const real *p, const real *x, real dt,
                                  uint32_t w, uint32_t low, const real *stored, mask was)
{
    const int states = spki_m::SPKI_S_COUNT, v = spki_m::shadow();
    float *const first = spki_shadow(e, (states + 3) * 64u);
    if (!first) {
        return;
    }
    float *const at = first + (16u * w + low);
    real s[states + 1];
    for (int k = 0; k < states; k++) {
        s[k] = at[k * 64];
    }
    const mask spike = spki_m::template step<spki_kinds>(p, s, x, dt);
    for (int k = 0; k < states; k++) {
        at[k * 64] = s[k].x;
    }
    spki_compare(at + states * 64, v >= 0 ? (stored[v < 0 ? 0 : v] - s[v < 0 ? 0 : v]).x : 0.0f,
                 was.on, spike.on);
}
#endif
template <class spki_m, bool spki_own> struct spki_fixed {
    real same[spki_m::SPKI_P_COUNT + spki_m::SPKI_D_COUNT + 1];
    spki_stored *state[spki_m::SPKI_S_COUNT + 1];
    real quantum[spki_m::SPKI_I_COUNT + 1];
};
template <class spki_m, bool spki_own>
SPKI_DEVICE void spki_fix(const spki_env *e, spki_fixed<spki_m, spki_own> *f)
{
    const int reals = spki_m::SPKI_P_COUNT + spki_m::SPKI_D_COUNT, states = spki_m::SPKI_S_COUNT;
    uint32_t receptor = 0;
#pragma unroll
    for (int k = 0; !spki_own && k < reals; k++) {
        f->same[k] = spki_same(e, (uint32_t)(states + k));
    }
#pragma unroll
    for (int k = 0; k < states; k++) {
        f->state[k] = spki_state(e, (uint32_t)k);
    }
#pragma unroll
    for (int k = 0; k < spki_m::SPKI_I_COUNT; k++) {
        if (spki_m::kind(k) <= SPK_INH) {
            f->quantum[k] = spki_quantum(e, receptor++);
        }
    }
}
template <class spki_m, bool spki_own>
SPKI_DEVICE void spki_inputs(const spki_env *e, const spki_fixed<spki_m, spki_own> *f,
                             real (*x)[4])
{
    uint32_t receptor = 0;
#pragma unroll
    for (int k = 0; k < spki_m::SPKI_I_COUNT; k++) {
        if (spki_m::kind(k) <= SPK_INH) {
            spki_receptor(e, receptor++, f->quantum[k], x[k]);
        } else if (spki_m::kind(k) == SPK_RANDOM) {
            spki_random(e, (uint32_t)k, x[k]);
        } else {
            spki_current(e, x[k]);
        }
    }
}
template <class spki_m, bool spki_own>
SPKI_DEVICE void spki_reals(const spki_env *e, const spki_fixed<spki_m, spki_own> *f,
                            uint32_t lane, real *p)
{
    const int reals = spki_m::SPKI_P_COUNT + spki_m::SPKI_D_COUNT, states = spki_m::SPKI_S_COUNT;
#pragma unroll
    for (int k = 0; k < reals; k++) {
        if (spki_own) {
            const uint64_t varied = e->pop[SPKI_POP_VARIED + k / 64] >> (k % 64) & 1u;
            p[k] = e->value[e->pop[SPKI_POP_REAL + states + k] + (varied ? lane : 0u)];
        } else {
            p[k] = f->same[k];
        }
    }
}
template <class spki_m, bool spki_own>
SPKI_DEVICE mask spki_step(const spki_env *e, const spki_fixed<spki_m, spki_own> *f,
                           const real (*x)[4], const spki_words (*random)[4], real dt, uint32_t w,
                           uint32_t low)
{
    const int states = spki_m::SPKI_S_COUNT, inputs = spki_m::SPKI_I_COUNT;
    const uint32_t lane = e->group * 64u + 16u * w + low;
    real p[spki_m::SPKI_P_COUNT + spki_m::SPKI_D_COUNT + 1], s[states + 1], in[inputs + 1];
    spki_reals(e, f, lane, p);
#pragma unroll
    for (int k = 0; k < states; k++) {
        s[k] = spki_get(e, (uint32_t)k, f->state[k] + lane);
    }
#pragma unroll
    for (int k = 0; k < inputs; k++) {
        in[k] = x[k][w];
    }
    const mask spike = spki_m::template step<spki_kinds>(p, s, in, dt);
#pragma unroll
    for (int k = 0; k < states; k++) {
        spki_put(e, (uint32_t)k, f->state[k] + lane, s[k], SPKI_HALF ? random[k / 2][w] : 0u);
    }
#if SPKI_HALF
#pragma unroll
    for (int k = 0; k < states; k++) {
        s[k] = spki_get(e, (uint32_t)k, f->state[k] + lane);
    }
    spki_step_shadow<spki_m>(e, p, in, dt, w, low, s, spike);
#endif
    return spike;
}
template <class spki_m, bool spki_own>
SPKI_DEVICE void spki_block_of(spki_env *spki_e, const spki_run *spki_run,
                               const uint64_t *spki_block)
{
    const uint32_t spki_first = (uint32_t)spki_block[SPKI_BLOCK_FIRST];
    const uint32_t spki_groups = (uint32_t)spki_block[SPKI_BLOCK_COUNT];
    const real dt = __longlong_as_double((long long)spki_e->pop[SPKI_POP_DT]);
    spki_fixed<spki_m, spki_own> fixed;
    spki_fix(spki_e, &fixed);
    SPKI_BEGIN_BLOCK
        real x[spki_m::SPKI_I_COUNT + 1][4];
        spki_words random[(spki_m::SPKI_S_COUNT + 1) / 2 + 1][4];
        spki_inputs(spki_e, &fixed, x);
#if SPKI_HALF
#pragma unroll
        for (int k = 0; k < (spki_m::SPKI_S_COUNT + 1) / 2; k++) {
            spki_draw(spki_e, spki_e->step, SPKI_STREAM_STORAGE | (uint32_t)k, random[k]);
        }
#endif
        for (uint32_t w = 0; w < 4; w++) {
            const mask spike = spki_step(spki_e, &fixed, x, random, dt, w, spki_low);
            SPKI_SPIKED(spike, w)
        }
    SPKI_END_BLOCK
}
template <class... spki_m> struct spki_set_of {
    static __device__ __forceinline__ void update(uint32_t, spki_env *, const spki_run *,
                                                  const uint64_t *)
    {
    }
    static uint32_t models(spk_model *) { return 0; }
};
template <class spki_m, class... spki_more> struct spki_set_of<spki_m, spki_more...> {
    static __device__ __forceinline__ void update(uint32_t number, spki_env *e,
                                                  const spki_run *run, const uint64_t *block)
    {
        if (number == 0) {
            spki_block_of<spki_m, false>(e, run, block);
        } else if (number == 1) {
            spki_block_of<spki_m, true>(e, run, block);
        } else {
            spki_set_of<spki_more...>::update(number - 2, e, run, block);
        }
    }
    static uint32_t models(spk_model *out)
    {
        if (out) {
            *out = spki_m::model();
        }
        return 1 + spki_set_of<spki_more...>::models(out ? out + 1 : out);
    }
};
#define SPKI_OF_SET template <class spki_set>
#define SPKI_WITH_SET(name) name<spki_set>
#ifndef SPKI_OF_SET
#define SPKI_OF_SET
#define SPKI_WITH_SET(name) name
#endif
#if defined(SPKI_REPLAYED)
#define SPKI_ORIGIN_PARAM , const uint64_t *origin
#define SPKI_FROM_ORIGIN(k) (origin ? origin[k] : 0)
#define SPKI_ORIGIN_POS(pos, ring) (origin ? ((pos) + (uint32_t)origin[1]) % (ring) : (pos))
#define SPKI_ORIGIN_LIST(list) (origin ? (uint32_t *)origin[3] : (list))
#else
#define SPKI_ORIGIN_PARAM
#define SPKI_FROM_ORIGIN(k) 0
#define SPKI_ORIGIN_POS(pos, ring) (pos)
#define SPKI_ORIGIN_LIST(list) (list)
#endif
SPKI_OF_SET SPKI_DEVICE void spki_update_block(spki_env *e, const spki_run *run,
                                               SPKI_GLOBAL const uint64_t *block)
{
#if defined(SPKI_DISPATCH)
    switch ((uint32_t)e->pop[SPKI_POP_MODEL]) {
        SPKI_DISPATCH
    default: break;
    }
#else
    spki_set::update((uint32_t)e->pop[SPKI_POP_MODEL], e, run, block);
#endif
}
SPKI_ENTRY(spki_update)(SPKI_GLOBAL const uint64_t *desc, SPKI_GLOBAL const uint64_t *blocks,
                        SPKI_GLOBAL const spki_elem *value, SPKI_GLOBAL const uint32_t *table,
                        SPKI_GLOBAL const spki_elem *told, SPKI_GLOBAL spki_stored *state,
                        SPKI_GLOBAL spki_acc *acc, SPKI_GLOBAL const uint32_t *arrived,
                        SPKI_GLOBAL uint64_t *history, uint64_t seed, uint64_t first,
                        uint64_t slots, uint32_t steps, uint32_t pos, uint32_t ring,
                        uint32_t history_mask, uint32_t history_row,
                        uint32_t amounts SPKI_ORIGIN_PARAM)
{
    SPKI_SHARED uint32_t bits[2 * SPKI_BLOCK_GROUPS];
    spki_env e;
    spki_run run;
    e.desc = desc;
    e.value = value;
    e.table = table;
    e.told = told;
    e.state = state;
    e.acc = acc;
    e.seed0 = (uint32_t)seed;
    e.seed1 = (uint32_t)(seed >> 32);
    run.history = history;
    run.arrived = arrived;
    run.bits = bits;
    run.first = first + SPKI_FROM_ORIGIN(0);
    run.slots = slots;
    run.acc_first = 0;
    run.steps = steps;
    run.pos = SPKI_ORIGIN_POS(pos, ring);
    run.ring = ring;
    run.mask = history_mask;
    run.row = history_row;
    run.amounts = amounts;
    SPKI_GLOBAL const uint64_t *block = blocks + SPKI_GROUP_ID() * SPKI_BLOCK_SIZE;
    e.pop = desc + block[SPKI_BLOCK_POP];
    SPKI_WITH_SET(spki_update_block)(&e, &run, block);
}
SPKI_ENTRY(spki_tell)(SPKI_GLOBAL const uint32_t *lane, SPKI_GLOBAL uint32_t *history,
                      uint64_t row, uint32_t first, uint32_t count)
{
    const uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    const uint32_t n = k < count ? lane[first + k] : 0xffffffffu;
    if (n != 0xffffffffu) {
        (void)SPKI_GLOBAL_OR(&history[row + n / 32u], 1u << (n % 32u));
    }
}
#if defined(SPKI_FROM_BEFORE)
SPKI_DEVICE uint32_t spki_before(SPKI_LOCAL uint32_t *sum, uint32_t mine, uint32_t *all)
{
    const uint32_t lane = SPKI_ITEM() % 32u, warp = SPKI_ITEM() / 32u, warps = SPKI_ITEMS() / 32u;
    uint32_t up = mine, before = 0, total = 0;
    for (uint32_t d = 1; d < 32u; d *= 2) {
        const uint32_t add = SPKI_FROM_BEFORE(up, d);
        up += lane >= d ? add : 0;
    }
    if (lane == 31u) {
        sum[warp] = up;
    }
    SPKI_MEET();
    for (uint32_t w = 0; w < warps; w++) {
        before += w < warp ? sum[w] : 0;
        total += sum[w];
    }
    SPKI_MEET();
    *all = total;
    return before + up - mine;
}
#else
SPKI_DEVICE uint32_t spki_before(SPKI_LOCAL uint32_t *sum, uint32_t mine, uint32_t *all)
{
    const uint32_t item = SPKI_ITEM(), items = SPKI_ITEMS();
    sum[item] = mine;
    SPKI_MEET();
    for (uint32_t d = 1; d < items; d *= 2) {
        const uint32_t add = item >= d ? sum[item - d] : 0;
        SPKI_MEET();
        sum[item] += add;
        SPKI_MEET();
    }
    *all = sum[items - 1];
    const uint32_t before = sum[item] - mine;
    SPKI_MEET();
    return before;
}
#endif
SPKI_ENTRY(spki_count)(SPKI_GLOBAL const uint64_t *history, SPKI_GLOBAL uint32_t *counts,
                       uint64_t first, uint32_t history_mask, uint32_t history_row,
                       uint32_t group_first, uint32_t groups, uint32_t parts SPKI_ORIGIN_PARAM)
{
    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];
    const uint32_t s = SPKI_GROUP_ID() / parts, part = SPKI_GROUP_ID() % parts;
    const uint32_t from = (uint32_t)((uint64_t)groups * part / parts);
    const uint32_t to = (uint32_t)((uint64_t)groups * (part + 1) / parts);
    first += SPKI_FROM_ORIGIN(0);
    SPKI_GLOBAL const uint64_t *row =
        history + ((first + s) & history_mask) * history_row + group_first;
    uint32_t n = 0, all;
    for (uint32_t g = from + SPKI_ITEM(); g < to; g += SPKI_ITEMS()) {
        n += SPKI_POPCOUNT(row[g]);
    }
    (void)spki_before(sum, n, &all);
    if (SPKI_ITEM() == 0) {
        counts[SPKI_GROUP_ID()] = all;
    }
}
SPKI_ENTRY(spki_scan)(SPKI_GLOBAL uint32_t *counts, SPKI_GLOBAL uint32_t *list, uint32_t at,
                      uint32_t steps, uint32_t parts SPKI_ORIGIN_PARAM)
{
    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];
    list = SPKI_ORIGIN_LIST(list);
    at += (uint32_t)SPKI_FROM_ORIGIN(2);
    uint32_t total = list[at];
    for (uint32_t s = 0; s < steps; s++) {
        for (uint32_t k = 0; k < parts; k += SPKI_ITEMS()) {
            const uint32_t mine = k + SPKI_ITEM();
            uint32_t all;
            const uint32_t n = mine < parts ? counts[s * parts + mine] : 0;
            const uint32_t before = spki_before(sum, n, &all);
            if (mine < parts) {
                counts[s * parts + mine] = total + before;
            }
            total += all;
        }
        if (SPKI_ITEM() == 0) {
            list[at + s + 1] = total;
        }
    }
}
SPKI_ENTRY(spki_compact)(SPKI_GLOBAL const uint64_t *history, SPKI_GLOBAL const uint32_t *counts,
                         SPKI_GLOBAL const uint32_t *group_id, SPKI_GLOBAL uint32_t *list,
                         uint64_t first, uint32_t at, uint32_t steps, uint32_t history_mask,
                         uint32_t history_row, uint32_t group_first, uint32_t groups,
                         uint32_t parts SPKI_ORIGIN_PARAM)
{
    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];
    list = SPKI_ORIGIN_LIST(list);
    first += SPKI_FROM_ORIGIN(0);
    at += (uint32_t)SPKI_FROM_ORIGIN(2);
    const uint32_t part = SPKI_GROUP_ID() % parts;
    const uint32_t from = (uint32_t)((uint64_t)groups * part / parts);
    const uint32_t to = (uint32_t)((uint64_t)groups * (part + 1) / parts);
    uint32_t s = SPKI_GROUP_ID() / parts, end = s + 1, total;
    if (parts == 1) {
        uint32_t n = 0, all;
        s = steps * SPKI_GROUP_ID() / SPKI_GROUPS();
        end = steps * (SPKI_GROUP_ID() + 1) / SPKI_GROUPS();
        for (uint32_t k = 0; k < s; k++) {
            SPKI_GLOBAL const uint64_t *row =
                history + ((first + k) & history_mask) * history_row + group_first;
            for (uint32_t g = SPKI_ITEM(); g < groups; g += SPKI_ITEMS()) {
                n += SPKI_POPCOUNT(row[g]);
            }
        }
        (void)spki_before(sum, n, &all);
        total = list[at] + all;
    } else {
        total = counts[SPKI_GROUP_ID()];
    }
    for (; s < end; s++) {
        SPKI_GLOBAL const uint64_t *row =
            history + ((first + s) & history_mask) * history_row + group_first;
        for (uint32_t g = from; g < to; g += SPKI_ITEMS()) {
            const uint32_t mine = g + SPKI_ITEM();
            uint64_t word = mine < to ? row[mine] : 0;
            uint32_t all, n = SPKI_POPCOUNT(word);
            uint32_t put = SPKI_LIST_IDS + total + spki_before(sum, n, &all);
            for (; word; word &= word - 1) {
                list[put++] = group_id[group_first + mine] + SPKI_LOWEST(word);
            }
            total += all;
        }
        if (parts == 1 && SPKI_ITEM() == 0) {
            list[at + s + 1] = total;
        }
    }
}
#if SPKI_WIDE_WEIGHTS
#define SPKI_SYNAPSE_WORDS 2u
#define SPKI_SLOT(p) ((p)[0])
#define SPKI_WEIGHT(p) ((int32_t)(p)[1])
#else
#define SPKI_SYNAPSE_WORDS 1u
#define SPKI_SLOT(p) ((p)[0] & 0xffffu)
#define SPKI_WEIGHT(p) ((int32_t)(p)[0] >> 16)
#endif
#if SPKI_BYTE_WEIGHTS
#define SPKI_BUCKET_WORDS(count) (3u * ((count) / 4u) + ((count) & 3u))
SPKI_DEVICE uint32_t spki_slot_of(SPKI_GLOBAL const uint32_t *bucket, uint32_t count, uint32_t k)
{
    SPKI_GLOBAL const uint32_t *s = bucket + 3u * (k / 4u);
    return k < (count & ~3u) ? s[(k & 3u) / 2u] >> (16u * (k & 1u)) & 0xffffu
                             : s[k & 3u] & 0xffffu;
}
SPKI_DEVICE int32_t spki_weight_of(SPKI_GLOBAL const uint32_t *bucket, uint32_t count, uint32_t k)
{
    SPKI_GLOBAL const uint32_t *s = bucket + 3u * (k / 4u);
    return k < (count & ~3u) ? (int32_t)(s[2] << (24u - 8u * (k & 3u))) >> 24
                             : (int32_t)s[k & 3u] >> 16;
}
#define SPKI_SLOT_OF(bucket, count, k) spki_slot_of(bucket, count, k)
#define SPKI_WEIGHT_OF(bucket, count, k) spki_weight_of(bucket, count, k)
#else
#define SPKI_BUCKET_WORDS(count) ((uint64_t)(count) * SPKI_SYNAPSE_WORDS)
#define SPKI_SLOT_OF(bucket, count, k) SPKI_SLOT((bucket) + (uint64_t)(k)*SPKI_SYNAPSE_WORDS)
#define SPKI_WEIGHT_OF(bucket, count, k) SPKI_WEIGHT((bucket) + (uint64_t)(k)*SPKI_SYNAPSE_WORDS)
#endif
#if SPKI_OWNED
#define SPKI_ARRIVE(p, x) (*(p) += (x))
#else
#define SPKI_ARRIVE(p, x) (void)SPKI_GLOBAL_ADD(p, x)
#endif
#define SPKI_WORDS_OF(layout) ((layout) & (((uint64_t)1 << 40) - 1))
#define SPKI_WIDE_COUNTS ((uint64_t)1 << 63)
#define SPKI_SHORTEST_OF(layout) ((uint32_t)((layout) >> 40) & 0xffffu)
#define SPKI_FLAT_BITS(layout) ((uint32_t)((layout) >> 56) & 31u)
#if !SPKI_OWNED && !SPKI_WIDE_WEIGHTS
SPKI_DEVICE void spki_deliver_flat(SPKI_GLOBAL const uint32_t *row, SPKI_GLOBAL spki_acc *acc,
                                   SPKI_LOCAL spki_acc *near, uint64_t slots, uint32_t pos,
                                   uint32_t ring, uint32_t age, uint64_t layout, uint32_t item,
                                   uint32_t items)
{
    SPKI_GLOBAL const uint32_t *synapse = row + 1;
    const uint32_t count = row[0], bits = SPKI_FLAT_BITS(layout);
    const uint32_t shortest = SPKI_SHORTEST_OF(layout);
    for (uint32_t k = item; k < count; k += items) {
        const uint32_t x = SPKI_SLOT_OF(synapse, count, k), delay = shortest + (x >> bits);
        const uint32_t to = x & ((1u << bits) - 1u);
        const int32_t weight = SPKI_WEIGHT_OF(synapse, count, k);
#if SPKI_LOCAL_SPAN
        if (near) {
            SPKI_LOCAL_ADD(&near[(delay - SPKI_LOCAL_FIRST) * SPKI_LOCAL_STRIDE + to], weight);
            continue;
        }
#endif
        if (delay >= age) {
            uint32_t step = pos + delay - age;
            step -= step >= ring ? ring : 0;
            step -= step >= ring ? ring : 0;
            SPKI_ARRIVE(&acc[step * slots + to], weight);
        }
    }
}
#endif
SPKI_DEVICE void spki_deliver_row(SPKI_GLOBAL const uint32_t *row, SPKI_GLOBAL spki_acc *acc,
                                  SPKI_LOCAL spki_acc *near, SPKI_GLOBAL uint32_t *arrived,
                                  uint64_t slots, uint32_t pos, uint32_t ring, uint32_t age,
                                  uint64_t layout, uint32_t team, uint32_t teams, uint32_t crew,
                                  uint32_t crews)
{
#if !SPKI_OWNED && !SPKI_WIDE_WEIGHTS
    if (SPKI_FLAT_BITS(layout)) {
        spki_deliver_flat(row, acc, near, slots, pos, ring, age, layout, crew * teams + team,
                          crews * teams);
        return;
    }
#endif
    const uint32_t entries = row[0], wide = (layout & SPKI_WIDE_COUNTS) != 0;
    SPKI_GLOBAL const uint32_t *synapse = row + 1 + (wide ? entries : (entries + 1) / 2);
    uint32_t delay = 0;
    for (uint32_t b = 0; b < entries; b++) {
        const uint32_t entry = wide ? row[1 + b] : row[1 + b / 2] >> (16 * (b & 1)) & 0xffffu;
        const uint32_t count = wide ? entry >> 16 : entry >> 8;
        delay += wide ? entry & 0xffffu : entry & 0xffu;
        if (delay >= age && b % crews == crew) {
#if SPKI_LOCAL_SPAN
            SPKI_LOCAL spki_acc *sum = near + (delay - SPKI_LOCAL_FIRST) * SPKI_LOCAL_STRIDE;
            for (uint32_t k = team; near && k < count; k += teams) {
                SPKI_LOCAL_ADD(&sum[SPKI_SLOT_OF(synapse, count, k)],
                               SPKI_WEIGHT_OF(synapse, count, k));
            }
#endif
            uint32_t slot = pos + delay - age;
            slot -= slot >= ring ? ring : 0;
            slot -= slot >= ring ? ring : 0;
            SPKI_GLOBAL spki_acc *to = acc + slot * slots;
#if SPKI_OWNED
            arrived[slot] = 1;
#endif
            for (uint32_t k = near ? count : team; k < count; k += teams) {
                SPKI_ARRIVE(&to[SPKI_SLOT_OF(synapse, count, k)],
                            SPKI_WEIGHT_OF(synapse, count, k));
            }
        }
        synapse += SPKI_BUCKET_WORDS(count);
    }
}
#define SPKI_ROW_OF(tile, id) (words + SPKI_WORDS_OF((tile)[1]) + rows[(tile)[0] + (id)])
#if SPKI_LOCAL_SPAN
SPKI_DEVICE void spki_deliver_tile(SPKI_LOCAL spki_acc *near, SPKI_GLOBAL const uint32_t *list,
                                   SPKI_GLOBAL const uint64_t *tile,
                                   SPKI_GLOBAL const uint32_t *rows,
                                   SPKI_GLOBAL const uint32_t *words, SPKI_GLOBAL spki_acc *acc,
                                   uint64_t slots, uint32_t at, uint32_t steps, uint32_t pos,
                                   uint32_t ring)
{
    const uint32_t team = SPKI_ITEM() / SPKI_TEAM, teams = SPKI_ITEMS() / SPKI_TEAM;
    for (uint32_t k = SPKI_ITEM(); k < SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE; k += SPKI_ITEMS()) {
        near[k] = 0;
    }
    SPKI_MEET();
    for (uint32_t s = 0; s < steps; s++) {
        for (uint32_t k = list[at + s] + team; k < list[at + s + 1]; k += teams) {
            const uint32_t id = list[SPKI_LIST_IDS + k];
            spki_deliver_row(SPKI_ROW_OF(tile, id), acc, near + s * SPKI_LOCAL_STRIDE,
                             (SPKI_GLOBAL uint32_t *)0, slots, pos, ring, 0,
                             tile[1], SPKI_ITEM() % SPKI_TEAM, SPKI_TEAM, 0, 1);
        }
    }
    SPKI_MEET();
    for (uint32_t k = SPKI_ITEM(); k < SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE; k += SPKI_ITEMS()) {
        if (near[k]) {
            const uint32_t step = pos + SPKI_LOCAL_FIRST + k / SPKI_LOCAL_STRIDE;
            acc[step % ring * slots + tile[2] + k % SPKI_LOCAL_STRIDE] += near[k];
        }
    }
}
#endif
SPKI_ENTRY(spki_deliver)(SPKI_GLOBAL const uint32_t *list, SPKI_GLOBAL const uint64_t *tiles,
                         SPKI_GLOBAL const uint32_t *rows, SPKI_GLOBAL const uint32_t *words,
                         SPKI_GLOBAL spki_acc *acc, SPKI_GLOBAL uint32_t *arrived, uint64_t slots,
                         uint32_t at, uint32_t steps, uint32_t pos, uint32_t ring, uint32_t age,
                         uint32_t first_tile, uint32_t tile_count SPKI_ORIGIN_PARAM)
{
    list = SPKI_ORIGIN_LIST(list);
    at += (uint32_t)SPKI_FROM_ORIGIN(2);
    pos = SPKI_ORIGIN_POS(pos, ring);
#if SPKI_OWNED
    arrived += (first_tile + SPKI_GROUP_ID()) * ring;
    for (uint32_t s = 0; age == 0 && s < steps; s++) {
        arrived[(pos + s) % ring] = 0;
    }
#endif
#if SPKI_LOCAL_SPAN
    SPKI_SHARED spki_acc near[SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE];
    if (age == 0) {
        spki_deliver_tile(near, list, tiles + (first_tile + SPKI_GROUP_ID()) * 3u, rows, words, acc,
                          slots, at, steps, pos, ring);
        return;
    }
#endif
    for (uint32_t s = 0; s < steps; s++) {
        const uint32_t from = list[at + s], to = list[at + s + 1];
#if SPKI_OWNED
        SPKI_GLOBAL const uint64_t *tile = tiles + (first_tile + SPKI_GROUP_ID()) * 3u;
        for (uint32_t k = from; k < to; k++) {
            const uint32_t id = list[SPKI_LIST_IDS + k];
            spki_deliver_row(SPKI_ROW_OF(tile, id), acc + tile[2], 0, arrived, slots, pos + s,
                             ring, age, tile[1], 0, 1, 0, 1);
        }
#else
        const uint64_t all = (uint64_t)(to - from) * tile_count;
        for (uint64_t k = SPKI_GROUP_ID(); k < all; k += SPKI_GROUPS()) {
            SPKI_GLOBAL const uint64_t *tile =
                tiles + (first_tile + (uint32_t)(k % tile_count)) * 3u;
            const uint32_t id = list[SPKI_LIST_IDS + from + (uint32_t)(k / tile_count)];
            spki_deliver_row(SPKI_ROW_OF(tile, id), acc + tile[2], 0, arrived, slots, pos + s,
                             ring, age, tile[1], SPKI_ITEM() % SPKI_TEAM, SPKI_TEAM,
                             SPKI_ITEM() / SPKI_TEAM, SPKI_ITEMS() / SPKI_TEAM);
        }
#endif
    }
}
SPKI_ENTRY(spki_sample)(SPKI_GLOBAL const uint32_t *index, SPKI_GLOBAL const spki_stored *state,
                        SPKI_GLOBAL spki_stored *out, uint64_t to, uint32_t from, uint32_t count)
{
    for (uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM(); k < count;
         k += SPKI_GROUPS() * SPKI_ITEMS()) {
        out[to + k] = state[index[from + k]];
    }
}
#if defined(SPKI_REPLAYED)
SPKI_ENTRY(spki_begin)(uint64_t *origin, uint32_t *list, uint64_t step, uint32_t pos, uint32_t at)
{
    if (SPKI_ITEM() == 0) {
        origin[0] = step;
        origin[1] = pos;
        origin[2] = at;
        origin[3] = (uint64_t)list;
    }
}
#endif
typedef struct spki_batch {
    const uint64_t *tiles;
    const uint32_t *rows, *words, *share, *group_id;
    uint32_t *counts, *ids, *list;
    uint64_t places;
    uint32_t group, tile_count, team, sofar;
} spki_batch;
SPKI_DEVICE void spki_note(const spki_batch *b, const uint64_t *row, uint32_t s, uint32_t *sum)
{
    const uint32_t *own = b->share + 2u * SPKI_GROUP_ID();
    const uint32_t from = own[1], to = own[3];
    uint32_t *ids = b->ids + s * b->places + (uint64_t)from * 64u, put = 0;
    for (uint32_t g = from; g < to; g += SPKI_ITEMS()) {
        const uint32_t mine = g + SPKI_ITEM();
        uint64_t word = mine < to ? row[mine] : 0;
        uint32_t all, at = put + spki_before(sum, SPKI_POPCOUNT(word), &all);
        for (; word; word &= word - 1) {
            ids[at++] = b->group_id[b->group + mine] + SPKI_LOWEST(word);
        }
        put += all;
    }
    if (SPKI_ITEM() == 0) {
        b->counts[s * SPKI_GROUPS() + SPKI_GROUP_ID()] = put;
    }
}
SPKI_DEVICE uint32_t spki_starts(const spki_batch *b, uint32_t s, uint32_t *starts, uint32_t *sum)
{
    const uint32_t groups = SPKI_GROUPS();
    uint32_t total = 0;
    for (uint32_t k = 0; k < groups; k += SPKI_ITEMS()) {
        const uint32_t mine = k + SPKI_ITEM();
        uint32_t all;
        const uint32_t n = mine < groups ? b->counts[s * groups + mine] : 0;
        const uint32_t before = spki_before(sum, n, &all);
        if (mine < groups) {
            starts[mine] = total + before;
        }
        total += all;
    }
    if (SPKI_ITEM() == 0) {
        starts[groups] = total;
    }
    SPKI_MEET();
    return total;
}
SPKI_DEVICE uint32_t spki_spike(const spki_batch *b, uint32_t s, const uint32_t *starts, uint32_t k)
{
    uint32_t low = 0, high = SPKI_GROUPS();
    while (high - low > 1u) {
        const uint32_t middle = (low + high) / 2u;
        if (starts[middle] <= k) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return b->ids[s * b->places + (uint64_t)b->share[2u * low + 1u] * 64u + (k - starts[low])];
}
SPKI_DEVICE void spki_spread(const spki_batch *b, uint32_t s, const uint32_t *starts,
                             uint32_t total, int own, spki_acc *acc, uint64_t slots, uint32_t pos,
                             uint32_t ring)
{
    const uint32_t lane = SPKI_ITEM() % 32u, warp = SPKI_ITEM() / 32u, warps = SPKI_ITEMS() / 32u;
    const uint32_t tiles = own ? 1u : b->tile_count;
    const uint64_t all = (uint64_t)total * tiles;
    const uint64_t by = own ? warps : (uint64_t)warps * SPKI_GROUPS();
    for (uint64_t k = own ? warp : (uint64_t)warp * SPKI_GROUPS() + SPKI_GROUP_ID(); k < all;
         k += by) {
        const uint64_t *tile =
            b->tiles + (own ? SPKI_GROUP_ID() : (uint32_t)(k % tiles)) * 3u;
        const uint32_t id = spki_spike(b, s, starts, (uint32_t)(k / tiles));
        const uint32_t *row = b->words + SPKI_WORDS_OF(tile[1]) + b->rows[tile[0] + id];
        spki_deliver_row(row, own ? acc : acc + tile[2], 0, 0, slots, pos, ring, 0,
                         tile[1], lane % b->team, b->team, lane / b->team, 32u / b->team);
    }
}
SPKI_DEVICE void spki_carry(spki_acc *local, spki_acc *acc, uint64_t tile_slots, uint64_t slots,
                            uint32_t ring, int back)
{
    const uint32_t n = (uint32_t)tile_slots * ring;
    for (uint32_t k = SPKI_ITEM(); k < n; k += SPKI_ITEMS()) {
        spki_acc *there = acc + k / (uint32_t)tile_slots * slots + k % (uint32_t)tile_slots;
        if (back) {
            *there = local[k];
        } else {
            local[k] = *there;
        }
    }
    SPKI_MEET();
}
SPKI_DEVICE void spki_carry_states(const uint64_t *desc, const uint32_t *pieces, uint64_t *records,
                                   uint32_t record_words, spki_stored *local, spki_stored *state,
                                   int back)
{
    uint32_t base = 0;
    for (uint32_t p = pieces[SPKI_GROUP_ID()]; p < pieces[SPKI_GROUP_ID() + 1u];
         p += SPKI_PIECE_SIZE) {
        const uint32_t *piece = pieces + p;
        const uint64_t *record = desc + piece[SPKI_PIECE_RECORD];
        const uint32_t lanes = piece[SPKI_PIECE_LANES], states = piece[SPKI_PIECE_STATES];
        for (uint32_t k = SPKI_ITEM(); !back && k < piece[SPKI_PIECE_WORDS]; k += SPKI_ITEMS()) {
            const uint32_t s = k - SPKI_POP_STATE;
            records[k] = k >= SPKI_POP_STATE && s < states
                             ? (uint64_t)base + s * lanes - piece[SPKI_PIECE_FIRST]
                             : record[k];
        }
        for (uint32_t k = SPKI_ITEM(); k < states * lanes; k += SPKI_ITEMS()) {
            spki_stored *there = state + (record[SPKI_POP_STATE + k / lanes] +
                                          piece[SPKI_PIECE_FIRST] + k % lanes);
            if (back) {
                *there = local[base + k];
            } else {
                local[base + k] = *there;
            }
        }
        base += states * lanes;
        records += record_words;
    }
    SPKI_MEET();
}
#define SPKI_BATCH_PARAMS                                                                          \
    const uint64_t *desc, const uint64_t *blocks, const spki_elem *value, const uint32_t *table,   \
        const spki_elem *told, spki_stored *state, spki_acc *acc, uint64_t *history,               \
        const uint64_t *tiles, const uint32_t *rows, const uint32_t *words,                        \
        const uint32_t *share, const uint32_t *group_id, uint32_t *found, uint32_t *list,          \
        uint32_t *meet, uint64_t seed, uint64_t first, uint64_t slots, uint32_t steps,             \
        uint32_t most, uint32_t pos, uint32_t ring, uint32_t history_mask, uint32_t history_row,   \
        uint32_t amounts, uint32_t at, uint32_t group, uint32_t groups, uint32_t tile_count,       \
        uint32_t team, const uint32_t *pieces, uint32_t record_words, uint32_t records_room
SPKI_OF_SET SPKI_DEVICE void spki_run_batch(SPKI_BATCH_PARAMS, uint64_t *shared)
{
    spki_acc *const local = shared ? (spki_acc *)(shared + records_room) : (spki_acc *)0;
    SPKI_SHARED uint32_t sum[32], starts[SPKI_BATCH_GROUPS + 1];
    const uint32_t *own = share + 2u * SPKI_GROUP_ID();
    const uint64_t *tile = tiles + SPKI_GROUP_ID() * 3u;
    const uint64_t end = SPKI_GROUP_ID() + 1u < tile_count ? tile[5] : slots;
    const uint64_t tile_slots = local ? end - tile[2] : 0;
    spki_stored *const states =
        (spki_stored *)(shared + records_room +
                        (tile_slots * ring * sizeof(spki_acc) + sizeof(uint64_t) - 1) /
                            sizeof(uint64_t));
    const uint32_t teams = SPKI_ITEMS() / (16u * SPKI_BLOCK_GROUPS);
    spki_env e;
    spki_run run;
    spki_batch b;
    e.desc = desc;
    e.value = value;
    e.table = table;
    e.told = told;
    e.state = records_room ? states : state;
    e.acc = local ? local : acc;
    e.seed0 = (uint32_t)seed;
    e.seed1 = (uint32_t)(seed >> 32);
    run.history = history;
    run.arrived = (const uint32_t *)0;
    run.bits = sum;
    run.slots = local ? tile_slots : slots;
    run.acc_first = local ? tile[2] : 0;
    run.ring = ring;
    run.mask = history_mask;
    run.row = history_row;
    b.tiles = tiles;
    b.rows = rows;
    b.words = words;
    b.share = share;
    b.group_id = group_id;
    b.list = list;
    b.places = (uint64_t)groups * 64u;
    b.group = group;
    b.tile_count = tile_count;
    b.team = team;
    b.sofar = list[at];
    if (local) {
        spki_carry(local, acc + tile[2], tile_slots, slots, ring, 0);
    }
    if (records_room) {
        spki_carry_states(desc, pieces, shared, record_words, states, state, 0);
    }
    for (uint32_t done = 0, turn = 0; done < steps; done += most, turn ^= 1u) {
        run.first = first + done;
        run.steps = steps - done < most ? steps - done : most;
        run.pos = (pos + done) % ring;
        run.amounts = amounts && done == 0;
        b.counts = found + turn * SPKI_GROUPS() * 32u;
        b.ids = found + 2u * SPKI_GROUPS() * 32u + turn * b.places * most;
        for (uint32_t k = own[0] + SPKI_ITEM() / (16u * SPKI_BLOCK_GROUPS); k < own[2];
             k += teams) {
            const uint64_t *block = blocks + k * SPKI_BLOCK_SIZE;
            e.pop = records_room ? shared + block[SPKI_BLOCK_PIECE] * record_words
                                 : desc + block[SPKI_BLOCK_POP];
            SPKI_WITH_SET(spki_update_block)(&e, &run, block);
        }
        SPKI_MEET();
        for (uint32_t s = 0; s < run.steps; s++) {
            spki_note(&b, history + spki_row(&run, s) + group, s, sum);
        }
        spki_meet_grid(meet);
        for (uint32_t s = 0; s < run.steps; s++) {
            const uint32_t total = spki_starts(&b, s, starts, sum);
            const uint32_t from = starts[SPKI_GROUP_ID()];
            const uint32_t *ids = b.ids + s * b.places + (uint64_t)own[1] * 64u;
            for (uint32_t k = SPKI_ITEM(); k < starts[SPKI_GROUP_ID() + 1u] - from;
                 k += SPKI_ITEMS()) {
                list[SPKI_LIST_IDS + b.sofar + from + k] = ids[k];
            }
            spki_spread(&b, s, starts, total, local != 0, local ? local : acc, run.slots,
                        run.pos + s, ring);
            b.sofar += total;
            if (SPKI_GROUP_ID() == 0 && SPKI_ITEM() == 0) {
                list[at + done + s + 1u] = b.sofar;
            }
            SPKI_MEET();
        }
        if (!local) {
            spki_meet_grid(meet);
        }
    }
    if (local) {
        spki_carry(local, acc + tile[2], tile_slots, slots, ring, 1);
    }
    if (records_room) {
        spki_carry_states(desc, pieces, shared, record_words, states, state, 1);
    }
}
#define SPKI_BATCH_ARGS                                                                            \
    desc, blocks, value, table, told, state, acc, history, tiles, rows, words, share, group_id,    \
        found, list, meet, seed, first, slots, steps, most, pos, ring, history_mask, history_row,  \
        amounts, at, group, groups, tile_count, team, pieces, record_words, records_room
SPKI_ENTRY_OF(SPKI_BATCH_ITEMS, spki_batch_all)(SPKI_BATCH_PARAMS)
{
    SPKI_WITH_SET(spki_run_batch)(SPKI_BATCH_ARGS, (uint64_t *)0);
}
SPKI_ENTRY_OF(SPKI_BATCH_ITEMS, spki_batch_own)(SPKI_BATCH_PARAMS)
{
    SPKI_SHARED_REST(uint64_t, shared);
    SPKI_WITH_SET(spki_run_batch)(SPKI_BATCH_ARGS, shared);
}
SPKI_ENTRY(spki_selftest)(SPKI_GLOBAL const SPKI_E *in, SPKI_GLOBAL SPKI_E *out, uint32_t count)
{
    const uint32_t k = (SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM()) * SPKI_LANES;
    if (k >= count) {
        return;
    }
    const SPKI_R zero = SPKI_NIL(SPKI_R);
    const SPKI_R x = SPKI_VLOAD(in, k), y = SPKI_VLOAD(in, count + k);
    const SPKI_R z = SPKI_VLOAD(in, 2 * count + k);
    const SPKI_R size = SPKI_F(spki_abs)(x), small = x * SPKI_C(0.001953125);
    SPKI_R r[SPKI_SELFTESTS];
    r[0] = x + y;
    r[1] = x * y - z;
    r[2] = z - x * y;
    r[3] = x / y;
    r[4] = SPKI_F(spki_sqrt)(size);
    r[5] = (x + y) - x;
    r[6] = SPKI_F(spki_exp)(small);
    r[7] = SPKI_F(spki_exprel)(small);
    r[8] = SPKI_F(spki_log)(size);
    r[9] = SPKI_F(spki_sin)(x);
    r[10] = SPKI_F(spki_cos)(y);
    r[11] = SPKI_F(spki_tanh)(small);
    r[12] = SPKI_F(spki_pow)(size, SPKI_F(spki_min)(y, SPKI_C(3.0)));
    r[13] = SPKI_F(spki_select)(x < y, SPKI_F(spki_flush)(x * SPKI_C(1e-30)), z);
#if defined(SPKI_CODE)
    const SPKI_R tiny = (size - size + SPKI_C(1.5e-38)) * SPKI_C(0.01);
    r[13] = SPKI_F(spki_select)(tiny > zero, r[13], x / zero);
#endif
    for (uint32_t f = 0; f < SPKI_SELFTESTS; f++) {
        SPKI_VSTORE(r[f], out, f * count + k);
    }
}
#define SPKI_ROWS_NONE 0xffffffffu
#define SPKI_ROWS_MIN(a, b) ((a) < (b) ? (a) : (b))
typedef struct spki_drawn_words {
    uint32_t k0, k1, c0, c1, c2, c3, at;
    uint32_t word[4];
} spki_drawn_words;
SPKI_DEVICE void spki_drawn_philox(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2,
                                 uint32_t c3, uint32_t out[4])
{
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
SPKI_DEVICE uint32_t spki_drawn_at(uint32_t what, uint32_t place)
{
    return (what << 28) | place;
}
SPKI_DEVICE void spki_drawn_open(spki_drawn_words *w, uint32_t k0, uint32_t k1, uint32_t c0,
                               uint32_t c1, uint32_t c2, uint32_t c3)
{
    w->k0 = k0;
    w->k1 = k1;
    w->c0 = c0;
    w->c1 = c1;
    w->c2 = c2;
    w->c3 = c3;
    w->at = 4;
}
SPKI_DEVICE uint32_t spki_drawn_next(spki_drawn_words *w)
{
    if (w->at == 4) {
        spki_drawn_philox(w->k0, w->k1, w->c0, w->c1, w->c2, w->c3, w->word);
        w->c0++;
        w->at = 0;
    }
    return w->word[w->at++];
}
SPKI_DEVICE uint32_t spki_drawn_below(spki_drawn_words *w, uint32_t n, uint32_t refuse)
{
    uint64_t x;
    do {
        x = (uint64_t)spki_drawn_next(w) * n;
    } while ((uint32_t)x < refuse);
    return (uint32_t)(x >> 32);
}
SPKI_DEVICE uint32_t spki_drawn_refuse(uint32_t n)
{
    return (0u - n) % n;
}
SPKI_DEVICE uint32_t spki_drawn_steps(SPKI_GLOBAL const uint32_t *t, uint32_t word)
{
    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 4097;
    uint32_t low = guide[word >> 20], high = guide[(word >> 20) + 1];
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (word > upto[mid]) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return t[0] + low;
}
SPKI_DEVICE uint32_t spki_drawn_counts(SPKI_GLOBAL const uint32_t *t, uint64_t word)
{
    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 257;
    const uint32_t cell = (uint32_t)(word >> 56);
    uint32_t low = guide[cell], high = guide[cell + 1];
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (word > ((uint64_t)upto[2 * mid] << 32 | upto[2 * mid + 1])) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return t[0] + low;
}
SPKI_DEVICE uint32_t spki_drawn_draw_count(SPKI_GLOBAL const uint32_t *t, spki_drawn_words *w)
{
    const uint64_t high = (uint64_t)spki_drawn_next(w) << 32;
    return spki_drawn_counts(t, high | spki_drawn_next(w));
}
SPKI_DEVICE uint64_t spki_drawn_coins(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,
                                    uint64_t n)
{
    uint64_t heads = 0;
    for (; n >= 1024; n -= 1024) {
        heads += spki_drawn_draw_count(coins, w);
    }
    for (; n >= 32; n -= 32) {
        heads += SPKI_POPCOUNT((uint64_t)spki_drawn_next(w));
    }
    if (n) {
        heads += SPKI_POPCOUNT((uint64_t)(spki_drawn_next(w) >> (32 - (uint32_t)n)));
    }
    return heads;
}
SPKI_DEVICE uint64_t spki_drawn_binomial(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,
                                       uint64_t n, uint64_t num, uint64_t den)
{
    uint64_t below = 0;
    if (num >= den) {
        return n;
    }
    while (n > 0 && num > 0) {
        const uint64_t zeros = spki_drawn_coins(coins, w, n);
        num *= 2;
        if (num >= den) {
            num -= den;
            below += zeros;
            n -= zeros;
        } else {
            n = zeros;
        }
    }
    return below;
}
typedef struct spki_drawn {
    SPKI_GLOBAL const uint32_t *proj, *table, *slot;
    SPKI_GLOBAL uint32_t *count, *place, *begin;
    SPKI_GLOBAL uint32_t *indegree;
    SPKI_GLOBAL uint32_t *words;
    uint32_t stride, shortest, tally, write, packed, most;
    uint32_t flat, first, all;
    uint32_t k0, k1, source, t0, t1, self, n;
} spki_drawn;
SPKI_DEVICE uint32_t spki_drawn_packed(uint32_t count)
{
    return count / 4 * 3 + count % 4;
}
SPKI_DEVICE void spki_drawn_pack(SPKI_GLOBAL uint32_t *bucket, uint32_t most, uint32_t k,
                               uint32_t all, uint32_t slot, uint32_t weight)
{
    const uint32_t entry = k / most, within = k % most, group = within / 4, j = within % 4;
    const uint32_t left = all - entry * most, count = left < most ? left : most;
    SPKI_GLOBAL uint32_t *to = bucket + entry * spki_drawn_packed(most) + group * 3;
    if (group == count / 4) {
        to[j] = slot | weight << 16;
        return;
    }
    if (j == 0 && most != SPKI_ROWS_NONE) {
        to[0] = to[1] = to[2] = 0;
    }
    to[j / 2] |= slot << (j % 2 * 16);
    to[2] |= (weight & 0xffu) << (8 * j);
}
SPKI_DEVICE void spki_drawn_put(spki_drawn *r, uint32_t t, uint32_t weight_word,
                                uint32_t delay_word)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    uint32_t d, w, slot;
    if (t - r->t0 >= r->t1 - r->t0) {
        return;
    }
    d = p[SPKI_ROWS_DELAY_AT] == SPKI_ROWS_NONE
            ? p[SPKI_ROWS_DELAY]
            : spki_drawn_steps(r->table + p[SPKI_ROWS_DELAY_AT], delay_word);
    const uint32_t later = d - r->first;
    d = (d - r->shortest) * r->stride;
    if (!r->write) {
        r->count[d]++;
        r->n++;
        if (!r->tally) {
            return;
        }
    }
    w = p[SPKI_ROWS_WEIGHT_AT] == SPKI_ROWS_NONE
            ? p[SPKI_ROWS_WEIGHT]
            : spki_drawn_steps(r->table + p[SPKI_ROWS_WEIGHT_AT], weight_word);
    slot = r->slot[t - r->t0];
    slot = (w & 0x80000000u) ? slot >> 16 : slot & 0xffffu;
    if (!r->write) {
        (void)SPKI_ADD32(r->indegree + slot, 1u);
        return;
    }
    if ((w & 0x80000000u) && p[SPKI_ROWS_MAGNITUDE]) {
        w = 0u - w;
    }
    if (r->flat) {
        slot |= later << r->flat;
    }
    if (r->packed && r->flat) {
        spki_drawn_pack(r->words, SPKI_ROWS_NONE, r->place[d]++, r->all, slot, w);
    } else if (r->packed) {
        spki_drawn_pack(r->words + r->begin[d], r->most, r->place[d]++, r->count[d], slot, w);
    } else {
        r->words[r->place[d]++] = slot | w << 16;
    }
}
SPKI_DEVICE void spki_drawn_four(spki_drawn *r, const uint32_t t[4], uint32_t count, uint32_t c2,
                               uint32_t cw, uint32_t cd)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t span = r->t1 - r->t0;
    uint32_t weight[4], delay[4], any = 0, k;
    for (k = 0; k < 4; k++) {
        weight[k] = delay[k] = 0;
        any |= k < count && t[k] - r->t0 < span ? 1u : 0u;
    }
    if (!any) {
        return;
    }
    if (p[SPKI_ROWS_WEIGHT_AT] != SPKI_ROWS_NONE && (r->write | r->tally)) {
        spki_drawn_philox(r->k0, r->k1, cw, r->source, c2, p[SPKI_ROWS_STREAM], weight);
    }
    if (p[SPKI_ROWS_DELAY_AT] != SPKI_ROWS_NONE) {
        spki_drawn_philox(r->k0, r->k1, cd, r->source, c2, p[SPKI_ROWS_STREAM], delay);
    }
    for (k = 0; k < count; k++) {
        spki_drawn_put(r, t[k], weight[k], delay[k]);
    }
}
SPKI_DEVICE void spki_drawn_listed(spki_drawn *r, const uint32_t t[4], uint32_t j, uint32_t count,
                                 uint32_t all, uint32_t place)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS];
    const uint32_t chunk = j / 128, left = all - chunk * 128;
    const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;
    const uint32_t c = chunk * 32 * (weights + p[SPKI_ROWS_DELAY_WORDS]) + j % 128 / 4;
    spki_drawn_four(r, t, count, spki_drawn_at(SPKI_ROWS_AT_VALUES, place), c, c + here * weights);
}
SPKI_DEVICE void spki_drawn_same(spki_drawn *r)
{
    const uint32_t t[4] = {r->source, 0, 0, 0};
    if (r->self != r->source) {
        spki_drawn_listed(r, t, 0, 1, 1, 0);
    }
}
SPKI_DEVICE void spki_drawn_all(spki_drawn *r)
{
    const uint32_t n = r->proj[SPKI_ROWS_TARGETS];
    for (uint32_t first = r->t0 / 4 * 4; first < r->t1; first += 4) {
        const uint32_t block = first / 4096, begin = block * 4096, left = n - begin;
        uint32_t t[4];
        for (uint32_t k = 0; k < 4; k++) {
            t[k] = first + k == r->self ? SPKI_ROWS_NONE : first + k;
        }
        spki_drawn_listed(r, t, first - begin, n - first < 4 ? n - first : 4u,
                        left < 4096 ? left : 4096u, block);
    }
}
SPKI_DEVICE void spki_drawn_subset(spki_drawn_words *w, uint32_t bits[128], uint32_t n, uint32_t m)
{
    const uint32_t refuse = spki_drawn_refuse(n), others = m > n - m ? 1u : 0u;
    uint32_t left = others ? n - m : m, k;
    for (k = 0; k < 128; k++) {
        bits[k] = 0;
    }
    while (left) {
        const uint32_t t = spki_drawn_below(w, n, refuse), bit = 1u << (t & 31);
        left -= (bits[t >> 5] & bit) ? 0u : 1u;
        bits[t >> 5] |= bit;
    }
    for (k = 0; others && k < 128; k++) {
        const uint32_t end = n - SPKI_ROWS_MIN(n, k * 32);
        bits[k] = ~bits[k] & (end < 32 ? (1u << end) - 1 : 0xffffffffu);
    }
}
SPKI_DEVICE void spki_drawn_bits(spki_drawn *r, const uint32_t bits[128], uint32_t m,
                                 uint32_t block)
{
    const uint32_t base = block * 4096;
    uint32_t j = 0, k, t[4] = {0, 0, 0, 0};
    for (k = 0; k < 128 && j < m && base + k * 32 < r->t1; k++) {
        uint32_t now = bits[k];
        while (now) {
            const uint32_t at = base + k * 32 + SPKI_POPCOUNT((uint64_t)((now & (0u - now)) - 1));
            now &= now - 1;
            t[j % 4] = at == r->self ? SPKI_ROWS_NONE : at;
            j++;
            if (j % 4 == 0) {
                spki_drawn_listed(r, t, j - 4, 4, m, block);
            }
        }
    }
    if (j % 4) {
        spki_drawn_listed(r, t, j / 4 * 4, j % 4, m, block);
    }
}
SPKI_DEVICE void spki_drawn_bernoulli(spki_drawn *r)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t n = p[SPKI_ROWS_TARGETS], end = (n - 1) / 4096, last = (r->t1 - 1) / 4096;
    for (uint32_t b = r->t0 / 4096; b <= last; b++) {
        const uint32_t size = b < end ? 4096u : n - b * 4096;
        uint32_t bits[128];
        spki_drawn_words w;
        spki_drawn_open(&w, r->k0, r->k1, 0, r->source, spki_drawn_at(SPKI_ROWS_AT_BLOCK, b),
                      p[SPKI_ROWS_STREAM]);
        const uint32_t m = spki_drawn_draw_count(
            r->table + (b < end ? p[SPKI_ROWS_BLOCK_AT] : p[SPKI_ROWS_REST_AT]), &w);
        if (m) {
            spki_drawn_subset(&w, bits, size, m);
            spki_drawn_bits(r, bits, m, b);
        }
    }
}
SPKI_DEVICE void spki_drawn_leaf(spki_drawn *r, uint32_t leaf, uint32_t m)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS], values = 1 + weights +
                                                                 p[SPKI_ROWS_DELAY_WORDS];
    const uint32_t base = leaf * p[SPKI_ROWS_LEAF], rest = p[SPKI_ROWS_TARGETS] - base;
    const uint32_t whole = SPKI_ROWS_MIN(p[SPKI_ROWS_LEAF], rest);
    const uint32_t skip = r->self - base < whole ? 1u : 0u, size = whole - skip;
    const uint32_t refuse = spki_drawn_refuse(size), c2 = spki_drawn_at(SPKI_ROWS_AT_LEAF, leaf);
    for (uint32_t j = 0; j < m; j += 4) {
        const uint32_t chunk = j / 128, left = m - chunk * 128;
        const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;
        const uint32_t c = chunk * 32 * values + j % 128 / 4, count = m - j < 4 ? m - j : 4u;
        uint32_t word[4], t[4];
        spki_drawn_philox(r->k0, r->k1, c, r->source, c2, p[SPKI_ROWS_STREAM], word);
        for (uint32_t k = 0; k < count; k++) {
            const uint64_t x = (uint64_t)word[k] * size;
            t[k] = base + (uint32_t)(x >> 32);
            if ((uint32_t)x < refuse) {
                spki_drawn_words w;
                spki_drawn_open(&w, r->k0, r->k1, j + k, r->source,
                              spki_drawn_at(SPKI_ROWS_AT_REDRAW, leaf), p[SPKI_ROWS_STREAM]);
                t[k] = base + spki_drawn_below(&w, size, refuse);
            }
            t[k] += skip && t[k] >= r->self ? 1u : 0u;
        }
        spki_drawn_four(r, t, count, c2, c + here, c + here * (1 + weights));
    }
}
SPKI_DEVICE uint64_t spki_drawn_span(const spki_drawn *r, uint32_t l0, uint32_t l1)
{
    const uint64_t leaf = r->proj[SPKI_ROWS_LEAF], n = r->proj[SPKI_ROWS_TARGETS];
    const uint64_t a = l0 * leaf, end = l1 * leaf, b = end < n ? end : n;
    return b - a - (r->self >= a && r->self < b ? 1u : 0u);
}
SPKI_DEVICE void spki_drawn_tree(spki_drawn *r, uint32_t m)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    const uint64_t leaf = p[SPKI_ROWS_LEAF];
    uint32_t low[32], high[32], size[32], level[32], top = 1;
    low[0] = 0;
    high[0] = (uint32_t)((p[SPKI_ROWS_TARGETS] + leaf - 1) / leaf);
    size[0] = m;
    level[0] = 0;
    while (top) {
        const uint32_t at = --top, l0 = low[at], l1 = high[at], deep = level[at];
        const uint32_t all = size[at];
        uint32_t left = 1;
        spki_drawn_words w;
        if (!all || l0 * leaf >= r->t1 || l1 * leaf <= r->t0) {
            continue;
        }
        if (l1 - l0 == 1) {
            spki_drawn_leaf(r, l0, all);
            continue;
        }
        while (left < l1 - l0 - left) {
            left *= 2;
        }
        spki_drawn_open(&w, r->k0, r->k1, deep << 24, r->source,
                      spki_drawn_at(SPKI_ROWS_AT_NODE, l0), p[SPKI_ROWS_STREAM]);
        const uint32_t here = (uint32_t)spki_drawn_binomial(
            r->table + SPKI_ROWS_HALF, &w, all, spki_drawn_span(r, l0, l0 + left),
            spki_drawn_span(r, l0, l1));
        low[top] = l0 + left;
        high[top] = l1;
        size[top] = all - here;
        level[top] = deep + 1;
        top++;
        low[top] = l0;
        high[top] = l0 + left;
        size[top] = here;
        level[top] = deep + 1;
        top++;
    }
}
SPKI_DEVICE void spki_drawn_indexed(spki_drawn *r, SPKI_GLOBAL const uint32_t *entry, uint32_t from,
                                  uint32_t to)
{
    SPKI_GLOBAL const uint32_t *p = r->proj;
    for (uint32_t i = from; i < to; i++) {
        const uint32_t t = r->t0 + (entry[i] >> 16);
        uint32_t w[4] = {0, 0, 0, 0};
        if (p[SPKI_ROWS_WEIGHT_WORDS] + p[SPKI_ROWS_DELAY_WORDS]) {
            spki_drawn_philox(r->k0, r->k1, entry[i] & 0xffffu, t,
                            spki_drawn_at(SPKI_ROWS_AT_INVALUES, 0), p[SPKI_ROWS_STREAM], w);
        }
        spki_drawn_put(r, t, w[0], w[1]);
    }
}
SPKI_DEVICE uint32_t spki_drawn_find(SPKI_GLOBAL const uint32_t *range, uint32_t ranges,
                                     uint32_t id)
{
    for (uint32_t k = 0; k < ranges; k++) {
        if (id - range[3 * k] < range[3 * k + 1]) {
            return range[3 * k + 2] + (id - range[3 * k]);
        }
    }
    return SPKI_ROWS_NONE;
}
SPKI_DEVICE uint32_t spki_drawn_self(SPKI_GLOBAL const uint32_t *table, uint32_t kind, uint32_t at,
                                   uint32_t k)
{
    return kind == 0 ? SPKI_ROWS_NONE : kind == 1 ? k : table[at + k];
}
SPKI_DEVICE void spki_drawn_draw(spki_drawn *r, SPKI_GLOBAL const uint32_t *plan,
                               SPKI_GLOBAL const uint32_t *feed, SPKI_GLOBAL const uint32_t *slot,
                               SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,
                               uint32_t projections, uint32_t id)
{
    for (uint32_t k = 0; k < projections; k++, feed += SPKI_ROWS_FEED_SIZE) {
        SPKI_GLOBAL const uint32_t *p = plan + k * SPKI_ROWS_SIZE;
        const uint32_t rule = p[SPKI_ROWS_RULE];
        const uint32_t s =
            spki_drawn_find(r->table + p[SPKI_ROWS_RANGE_AT], p[SPKI_ROWS_RANGES], id);
        r->t0 = feed[SPKI_ROWS_FEED_T0];
        r->t1 = feed[SPKI_ROWS_FEED_T1];
        if (s == SPKI_ROWS_NONE || r->t0 >= r->t1) {
            continue;
        }
        r->proj = p;
        r->source = s;
        r->slot = slot + feed[SPKI_ROWS_FEED_SLOT];
        r->self = spki_drawn_self(r->table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_AT], s);
        if (rule == SPKI_ROWS_ONE_TO_ONE) {
            spki_drawn_same(r);
        } else if (rule == SPKI_ROWS_ALL_TO_ALL) {
            spki_drawn_all(r);
        } else if (rule == SPKI_ROWS_BERNOULLI) {
            spki_drawn_bernoulli(r);
        } else if (rule == SPKI_ROWS_FIXED_INDEGREE) {
            const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + s;
            spki_drawn_indexed(r, entry, s ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY], from[at]);
        } else {
            spki_drawn_tree(r, p[SPKI_ROWS_COUNT_AT] == SPKI_ROWS_NONE
                                 ? p[SPKI_ROWS_K]
                                 : r->table[p[SPKI_ROWS_COUNT_AT] + s]);
        }
    }
}
SPKI_DEVICE uint32_t spki_drawn_entries(const spki_drawn *r, uint32_t delays, uint32_t bytes,
                                      SPKI_GLOBAL uint32_t *out, uint32_t at, uint32_t *words)
{
    const uint32_t most = bytes == 1 ? 255u : 65535u;
    uint32_t entries = 0, before = 0, begun = 0;
    for (uint32_t k = 0; k < delays; k++) {
        const uint32_t all = r->count[k * r->stride], d = r->shortest + k;
        if (out) {
            r->place[k * r->stride] = r->packed ? 0 : at;
            if (r->packed) {
                r->begin[k * r->stride] = at;
            }
        }
        for (uint32_t left = all; left; entries++) {
            const uint32_t step = SPKI_ROWS_MIN(d - before, most);
            const uint32_t n = before + step == d ? SPKI_ROWS_MIN(left, most) : 0u;
            before += step;
            left -= n;
            at += r->packed ? spki_drawn_packed(n) : n;
            begun |= bytes == 1 ? (step | n << 8) << (entries % 2 * 16) : step | n << 16;
            if (out && (bytes == 2 || entries % 2)) {
                *out++ = begun;
            }
            begun = bytes == 2 || entries % 2 ? 0 : begun;
        }
    }
    if (out && bytes == 1 && entries % 2) {
        *out = begun;
    }
    *words = at;
    return entries;
}
SPKI_DEVICE uint32_t spki_drawn_head(uint32_t entries, uint32_t bytes)
{
    return 1 + (entries * bytes * 2 + 3) / 4;
}
SPKI_DEVICE uint32_t spki_drawn_places(const spki_drawn *r, uint32_t delays)
{
    uint32_t before = 0;
    for (uint32_t k = 0; k < delays; k++) {
        r->place[k * r->stride] = before;
        before += r->count[k * r->stride];
    }
    return before;
}
SPKI_ENTRY(spki_rows)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,
                      SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL const uint32_t *slot,
                      SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,
                      SPKI_GLOBAL uint32_t *scratch, SPKI_GLOBAL uint32_t *rows,
                      SPKI_GLOBAL uint32_t *out, SPKI_GLOBAL uint32_t *stats,
                      SPKI_GLOBAL uint32_t *indegree, SPKI_GLOBAL uint32_t *outdegree,
                      uint64_t first, uint32_t items, uint32_t neurons,
                      uint32_t projections, uint32_t shortest, uint32_t delays, uint32_t k0,
                      uint32_t k1, uint32_t packed, uint32_t mode)
{
    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    const uint32_t each = mode == SPKI_ROWS_LOOK ? SPKI_ROWS_LOOKS : neurons;
    if (i >= items) {
        return;
    }
    const uint32_t t = (uint32_t)((first + i) / each), k = (uint32_t)((first + i) % each);
    const uint32_t id =
        mode == SPKI_ROWS_LOOK ? (uint32_t)((uint64_t)neurons * k / SPKI_ROWS_LOOKS) : k;
    SPKI_GLOBAL const uint32_t *own =
        tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE);
    const uint32_t bytes = own[SPKI_ROWS_TILE_BYTES];
    const uint64_t at = (uint64_t)t * neurons + id;
    uint32_t words, entries;
    spki_drawn r;
    r.table = table;
    r.stride = items;
    r.count = scratch + i;
    r.place = r.count + (uint64_t)delays * items;
    r.begin = r.place + (uint64_t)delays * items;
    r.indegree = indegree + own[SPKI_ROWS_TILE_SLOT];
    r.words = out;
    r.shortest = shortest;
    r.tally = mode == SPKI_ROWS_MEASURE ? 1u : 0u;
    r.packed = packed;
    r.most = bytes == 1 ? 255u : 65535u;
    r.flat = mode == SPKI_ROWS_WRITE ? own[SPKI_ROWS_TILE_FLAT] : 0;
    r.first = r.flat ? own[SPKI_ROWS_TILE_SHORTEST] : shortest;
    r.k0 = k0;
    r.k1 = k1;
    r.write = r.n = r.all = 0;
    for (uint32_t d = 0; d < delays; d++) {
        r.count[(uint64_t)d * items] = 0;
    }
    spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);
    if (mode == SPKI_ROWS_LOOK) {
        out[2 * (first + i)] = spki_drawn_entries(&r, delays, 1, 0, 0, &words);
        out[2 * (first + i) + 1] = spki_drawn_entries(&r, delays, 2, 0, 0, &words);
        return;
    }
    if (mode == SPKI_ROWS_MEASURE) {
        SPKI_GLOBAL uint32_t *s = stats + t * SPKI_ROWS_STATS;
        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);
        rows[at] = r.n ? words + spki_drawn_head(entries, bytes) : 0;
        out[at] = r.n ? 1 + (packed ? spki_drawn_packed(r.n) : r.n) : 0;
        if (r.n) {
            uint32_t low = 0, high = delays - 1;
            while (!r.count[(uint64_t)low * items]) {
                low++;
            }
            while (!r.count[(uint64_t)high * items]) {
                high--;
            }
            SPKI_MIN32(s + SPKI_ROWS_SHORTEST, shortest + low);
            SPKI_MAX32(s + SPKI_ROWS_LONGEST, shortest + high);
            (void)SPKI_ADD32(s + SPKI_ROWS_SYNAPSES, r.n);
            (void)SPKI_ADD32(s + SPKI_ROWS_BUCKETS, entries);
            (void)SPKI_ADD32(outdegree + id, r.n);
        }
        return;
    }
    r.words = out + ((uint64_t)own[SPKI_ROWS_TILE_WORD] |
                     (uint64_t)own[SPKI_ROWS_TILE_WORD + 1] << 32);
    if (id == 0) {
        r.words[0] = 0;
    }
    if (r.n && r.flat) {
        r.words += rows[at];
        *r.words++ = r.all = spki_drawn_places(&r, delays);
        for (uint32_t w = 0; packed && w < spki_drawn_packed(r.all); w++) {
            r.words[w] = 0;
        }
        r.write = 1;
        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);
    } else if (r.n) {
        const uint32_t start = rows[at];
        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);
        const uint32_t head = spki_drawn_head(entries, bytes);
        r.words[start] = entries;
        (void)spki_drawn_entries(&r, delays, bytes, r.words + start + 1, start + head, &words);
        r.write = 1;
        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);
    }
}
SPKI_ENTRY(spki_rows_scan)(SPKI_GLOBAL const uint32_t *x, SPKI_GLOBAL uint32_t *to,
                           SPKI_GLOBAL const uint32_t *segment, SPKI_GLOBAL uint32_t *sum,
                           uint32_t keep)
{
    SPKI_SHARED uint64_t part[SPKI_SCAN_ITEMS];
    SPKI_GLOBAL const uint32_t *own = segment + SPKI_GROUP_ID() * SPKI_ROWS_SEGMENT;
    const uint64_t at = (uint64_t)own[0] | (uint64_t)own[1] << 32;
    const uint32_t n = own[2], each = (n + SPKI_SCAN_ITEMS - 1) / SPKI_SCAN_ITEMS;
    const uint32_t item = SPKI_ITEM(), begin = SPKI_ROWS_MIN(n, item * each);
    const uint32_t end = SPKI_ROWS_MIN(n, begin + each);
    uint64_t all = 0;
    for (uint32_t k = begin; k < end; k++) {
        all += x[at + k];
    }
    part[item] = all;
    SPKI_MEET();
    if (item == 0) {
        uint64_t before = own[3];
        for (uint32_t k = 0; k < SPKI_SCAN_ITEMS; k++) {
            const uint64_t here = part[k];
            part[k] = before;
            before += here;
        }
        sum[2 * own[4]] = (uint32_t)before;
        sum[2 * own[4] + 1] = (uint32_t)(before >> 32);
    }
    SPKI_MEET();
    all = part[item];
    for (uint32_t k = begin; k < end; k++) {
        const uint32_t here = x[at + k];
        to[at + k] = keep && !here ? 0 : (uint32_t)all;
        all += here;
    }
}
SPKI_ENTRY(spki_rows_collect)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,
                              SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL uint32_t *from,
                              SPKI_GLOBAL uint32_t *entry, uint32_t which, uint32_t projections,
                              uint32_t tile, uint32_t count, uint32_t k0, uint32_t k1,
                              uint32_t put)
{
    SPKI_GLOBAL const uint32_t *p = plan + which * SPKI_ROWS_SIZE;
    const uint64_t size = SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE;
    SPKI_GLOBAL const uint32_t *feed =
        tiles + SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;
    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    const uint32_t t = feed[tile * size + SPKI_ROWS_FEED_T0] + i;
    uint32_t low = tile, high = tile + count - 1;
    if (t >= feed[high * size + SPKI_ROWS_FEED_T1]) {
        return;
    }
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (t >= feed[mid * size + SPKI_ROWS_FEED_T1]) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    feed += low * size;
    const uint32_t n = p[SPKI_ROWS_SOURCES], refuse = spki_drawn_refuse(n), k = p[SPKI_ROWS_K];
    const uint32_t self = spki_drawn_self(table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_SOURCE_AT], t);
    spki_drawn_words w, again;
    spki_drawn_open(&w, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INDEGREE, 0), p[SPKI_ROWS_STREAM]);
    spki_drawn_open(&again, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INREDRAW, 0),
                  p[SPKI_ROWS_STREAM]);
    for (uint32_t j = 0; j < k; j++) {
        const uint64_t x = (uint64_t)spki_drawn_next(&w) * n;
        uint32_t s = (uint32_t)(x >> 32);
        if ((uint32_t)x < refuse) {
            s = spki_drawn_below(&again, n, refuse);
        }
        while (s == self) {
            s = spki_drawn_below(&again, n, refuse);
        }
        const uint32_t at = SPKI_ADD32(from + feed[SPKI_ROWS_FEED_FROM] + s, 1u);
        if (put) {
            entry[at] = (t - feed[SPKI_ROWS_FEED_T0]) << 16 | j;
        }
    }
}
SPKI_DEVICE void spki_drawn_sift(SPKI_GLOBAL uint32_t *x, uint32_t root, uint32_t n)
{
    const uint32_t own = x[root];
    for (uint32_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        child += child + 1 < n && x[child + 1] > x[child] ? 1u : 0u;
        if (x[child] <= own) {
            break;
        }
        x[root] = x[child];
        root = child;
    }
    x[root] = own;
}
SPKI_ENTRY(spki_rows_sort)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *tiles,
                           SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL uint32_t *entry,
                           uint32_t which, uint32_t projections, uint32_t tile, uint32_t count)
{
    const uint32_t n = plan[which * SPKI_ROWS_SIZE + SPKI_ROWS_SOURCES];
    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    if (i >= n) {
        return;
    }
    for (uint32_t t = tile; t < tile + count; t++) {
        SPKI_GLOBAL const uint32_t *feed =
            tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE) +
            SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;
        const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + i;
        const uint32_t begin = i ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY];
        const uint32_t all =
            feed[SPKI_ROWS_FEED_T0] < feed[SPKI_ROWS_FEED_T1] ? from[at] - begin : 0;
        SPKI_GLOBAL uint32_t *x = entry + begin;
        for (uint32_t k = all / 2; k > 0; k--) {
            spki_drawn_sift(x, k - 1, all);
        }
        for (uint32_t k = all; k > 1; k--) {
            const uint32_t last = x[k - 1];
            x[k - 1] = x[0];
            x[0] = last;
            spki_drawn_sift(x, 0, k - 1);
        }
    }
}
#if defined(SPKI_CUDA_ON_CPU)
#define SPKI_ENTRY_AT(name) SPKI_CUDA_ON_CPU(name)
#else
#define SPKI_ENTRY_AT(name) (const void *)(name)
#endif
template <class spki_set> static void spki_entries(const void **entry)
{
    entry[SPKI_GPU_UPDATE] = SPKI_ENTRY_AT(spki_update<spki_set>);
    entry[SPKI_GPU_TELL] = SPKI_ENTRY_AT(spki_tell<void>);
    entry[SPKI_GPU_COUNT] = SPKI_ENTRY_AT(spki_count<void>);
    entry[SPKI_GPU_SCAN] = SPKI_ENTRY_AT(spki_scan<void>);
    entry[SPKI_GPU_COMPACT] = SPKI_ENTRY_AT(spki_compact<void>);
    entry[SPKI_GPU_DELIVER] = SPKI_ENTRY_AT(spki_deliver<void>);
    entry[SPKI_GPU_SAMPLE] = SPKI_ENTRY_AT(spki_sample<void>);
    entry[SPKI_GPU_SELFTEST] = SPKI_ENTRY_AT(spki_selftest<void>);
    entry[SPKI_GPU_ROWS] = SPKI_ENTRY_AT(spki_rows<void>);
    entry[SPKI_GPU_ROWS_SCAN] = SPKI_ENTRY_AT(spki_rows_scan<void>);
    entry[SPKI_GPU_ROWS_COLLECT] = SPKI_ENTRY_AT(spki_rows_collect<void>);
    entry[SPKI_GPU_ROWS_SORT] = SPKI_ENTRY_AT(spki_rows_sort<void>);
    entry[SPKI_GPU_BATCH_ALL] = SPKI_ENTRY_AT(spki_batch_all<spki_set>);
    entry[SPKI_GPU_BATCH_OWN] = SPKI_ENTRY_AT(spki_batch_own<spki_set>);
    entry[SPKI_GPU_BEGIN] = SPKI_ENTRY_AT(spki_begin<void>);
}
}
#ifdef __NVCC__
#pragma nv_diagnostic pop
#endif
#undef K
#pragma pop_macro("K")
#undef SPKI_ADD32
#pragma pop_macro("SPKI_ADD32")
#undef SPKI_ALIGNED
#pragma pop_macro("SPKI_ALIGNED")
#undef SPKI_ANY
#pragma pop_macro("SPKI_ANY")
#undef SPKI_ARRIVE
#pragma pop_macro("SPKI_ARRIVE")
#undef SPKI_AS_INT
#pragma pop_macro("SPKI_AS_INT")
#undef SPKI_AS_REAL
#pragma pop_macro("SPKI_AS_REAL")
#undef SPKI_BATCH_ARGS
#pragma pop_macro("SPKI_BATCH_ARGS")
#undef SPKI_BATCH_PARAMS
#pragma pop_macro("SPKI_BATCH_PARAMS")
#undef SPKI_BEGIN_BLOCK
#pragma pop_macro("SPKI_BEGIN_BLOCK")
#undef SPKI_BLOCK_COUNT
#pragma pop_macro("SPKI_BLOCK_COUNT")
#undef SPKI_BUCKET_WORDS
#pragma pop_macro("SPKI_BUCKET_WORDS")
#undef SPKI_BYTE_WEIGHTS
#pragma pop_macro("SPKI_BYTE_WEIGHTS")
#undef SPKI_C
#pragma pop_macro("SPKI_C")
#undef SPKI_CAT
#pragma pop_macro("SPKI_CAT")
#undef SPKI_CAT3
#pragma pop_macro("SPKI_CAT3")
#undef SPKI_CAT3_
#pragma pop_macro("SPKI_CAT3_")
#undef SPKI_CAT_
#pragma pop_macro("SPKI_CAT_")
#undef SPKI_COUNT
#pragma pop_macro("SPKI_COUNT")
#undef SPKI_DEVICE
#pragma pop_macro("SPKI_DEVICE")
#undef SPKI_E
#pragma pop_macro("SPKI_E")
#undef SPKI_END_BLOCK
#pragma pop_macro("SPKI_END_BLOCK")
#undef SPKI_ENTRY
#pragma pop_macro("SPKI_ENTRY")
#undef SPKI_ENTRY_AT
#pragma pop_macro("SPKI_ENTRY_AT")
#undef SPKI_ENTRY_KIND
#pragma pop_macro("SPKI_ENTRY_KIND")
#undef SPKI_ENTRY_OF
#pragma pop_macro("SPKI_ENTRY_OF")
#undef SPKI_EXACT
#pragma pop_macro("SPKI_EXACT")
#undef SPKI_F
#pragma pop_macro("SPKI_F")
#undef SPKI_FLAT_BITS
#pragma pop_macro("SPKI_FLAT_BITS")
#undef SPKI_FROM_BEFORE
#pragma pop_macro("SPKI_FROM_BEFORE")
#undef SPKI_FROM_ORIGIN
#pragma pop_macro("SPKI_FROM_ORIGIN")
#undef SPKI_GLOBAL
#pragma pop_macro("SPKI_GLOBAL")
#undef SPKI_GLOBAL_ADD
#pragma pop_macro("SPKI_GLOBAL_ADD")
#undef SPKI_GLOBAL_OR
#pragma pop_macro("SPKI_GLOBAL_OR")
#undef SPKI_GNU_VECTOR
#pragma pop_macro("SPKI_GNU_VECTOR")
#undef SPKI_GROUPS
#pragma pop_macro("SPKI_GROUPS")
#undef SPKI_GROUP_ID
#pragma pop_macro("SPKI_GROUP_ID")
#undef SPKI_HALF
#pragma pop_macro("SPKI_HALF")
#undef SPKI_HALVES
#pragma pop_macro("SPKI_HALVES")
#undef SPKI_HAVE_SSE2
#pragma pop_macro("SPKI_HAVE_SSE2")
#undef SPKI_I
#pragma pop_macro("SPKI_I")
#undef SPKI_INT
#pragma pop_macro("SPKI_INT")
#undef SPKI_IS_DOUBLE
#pragma pop_macro("SPKI_IS_DOUBLE")
#undef SPKI_ITEM
#pragma pop_macro("SPKI_ITEM")
#undef SPKI_ITEMS
#pragma pop_macro("SPKI_ITEMS")
#undef SPKI_ITEMS_OF_GROUP
#pragma pop_macro("SPKI_ITEMS_OF_GROUP")
#undef SPKI_LANES
#pragma pop_macro("SPKI_LANES")
#undef SPKI_LOCAL
#pragma pop_macro("SPKI_LOCAL")
#undef SPKI_LOCAL_SPAN
#pragma pop_macro("SPKI_LOCAL_SPAN")
#undef SPKI_LOWEST
#pragma pop_macro("SPKI_LOWEST")
#undef SPKI_M
#pragma pop_macro("SPKI_M")
#undef SPKI_MATH
#pragma pop_macro("SPKI_MATH")
#undef SPKI_MAX32
#pragma pop_macro("SPKI_MAX32")
#undef SPKI_MEET
#pragma pop_macro("SPKI_MEET")
#undef SPKI_MIN32
#pragma pop_macro("SPKI_MIN32")
#undef SPKI_NIL
#pragma pop_macro("SPKI_NIL")
#undef SPKI_NUMBER
#pragma pop_macro("SPKI_NUMBER")
#undef SPKI_OF_SET
#pragma pop_macro("SPKI_OF_SET")
#undef SPKI_ON_DEVICE
#pragma pop_macro("SPKI_ON_DEVICE")
#undef SPKI_ORIGIN_LIST
#pragma pop_macro("SPKI_ORIGIN_LIST")
#undef SPKI_ORIGIN_PARAM
#pragma pop_macro("SPKI_ORIGIN_PARAM")
#undef SPKI_ORIGIN_POS
#pragma pop_macro("SPKI_ORIGIN_POS")
#undef SPKI_OVERLOAD_1
#pragma pop_macro("SPKI_OVERLOAD_1")
#undef SPKI_OVERLOAD_2
#pragma pop_macro("SPKI_OVERLOAD_2")
#undef SPKI_OWNED
#pragma pop_macro("SPKI_OWNED")
#undef SPKI_POPCOUNT
#pragma pop_macro("SPKI_POPCOUNT")
#undef SPKI_R
#pragma pop_macro("SPKI_R")
#undef SPKI_REPLAYED
#pragma pop_macro("SPKI_REPLAYED")
#undef SPKI_RN
#pragma pop_macro("SPKI_RN")
#undef SPKI_ROOT
#pragma pop_macro("SPKI_ROOT")
#undef SPKI_ROWS_MIN
#pragma pop_macro("SPKI_ROWS_MIN")
#undef SPKI_ROWS_NONE
#pragma pop_macro("SPKI_ROWS_NONE")
#undef SPKI_ROW_OF
#pragma pop_macro("SPKI_ROW_OF")
#undef SPKI_S
#pragma pop_macro("SPKI_S")
#undef SPKI_SHARED
#pragma pop_macro("SPKI_SHARED")
#undef SPKI_SHARED_REST
#pragma pop_macro("SPKI_SHARED_REST")
#undef SPKI_SHORTEST_OF
#pragma pop_macro("SPKI_SHORTEST_OF")
#undef SPKI_SLOT
#pragma pop_macro("SPKI_SLOT")
#undef SPKI_SLOT_OF
#pragma pop_macro("SPKI_SLOT_OF")
#undef SPKI_SPIKED
#pragma pop_macro("SPKI_SPIKED")
#undef SPKI_SYNAPSE_WORDS
#pragma pop_macro("SPKI_SYNAPSE_WORDS")
#undef SPKI_TARGET
#pragma pop_macro("SPKI_TARGET")
#undef SPKI_TO_REAL
#pragma pop_macro("SPKI_TO_REAL")
#undef SPKI_VLOAD
#pragma pop_macro("SPKI_VLOAD")
#undef SPKI_VOTE
#pragma pop_macro("SPKI_VOTE")
#undef SPKI_VSTORE
#pragma pop_macro("SPKI_VSTORE")
#undef SPKI_WEIGHT
#pragma pop_macro("SPKI_WEIGHT")
#undef SPKI_WEIGHT_OF
#pragma pop_macro("SPKI_WEIGHT_OF")
#undef SPKI_WIDE
#pragma pop_macro("SPKI_WIDE")
#undef SPKI_WIDE_COUNTS
#pragma pop_macro("SPKI_WIDE_COUNTS")
#undef SPKI_WIDE_WEIGHTS
#pragma pop_macro("SPKI_WIDE_WEIGHTS")
#undef SPKI_WITH_SET
#pragma pop_macro("SPKI_WITH_SET")
#undef SPKI_WORDS_OF
#pragma pop_macro("SPKI_WORDS_OF")
#undef SPKI_X86_VECTOR
#pragma pop_macro("SPKI_X86_VECTOR")
#undef spk_abs
#pragma pop_macro("spk_abs")
#undef spk_any
#pragma pop_macro("spk_any")
#undef spk_cos
#pragma pop_macro("spk_cos")
#undef spk_exp
#pragma pop_macro("spk_exp")
#undef spk_exprel
#pragma pop_macro("spk_exprel")
#undef spk_flush
#pragma pop_macro("spk_flush")
#undef spk_log
#pragma pop_macro("spk_log")
#undef spk_max
#pragma pop_macro("spk_max")
#undef spk_min
#pragma pop_macro("spk_min")
#undef spk_pow
#pragma pop_macro("spk_pow")
#undef spk_select
#pragma pop_macro("spk_select")
#undef spk_sin
#pragma pop_macro("spk_sin")
#undef spk_sqrt
#pragma pop_macro("spk_sqrt")
#undef spk_tanh
#pragma pop_macro("spk_tanh")
#undef spki_elem
#pragma pop_macro("spki_elem")
#undef SPKI_CODE
#undef SPKI_CODE_STATES
#undef SPKI_CODE_WEIGHTS
#undef SPKI_CODE_WIDE
#else
#ifndef SPIKELIB_H
#error "include spikelib.h before spikelib_cuda.cuh"
#endif
#ifdef SPIKELIB_NO_NET
#error "spikelib_cuda.cuh needs networks: no SPIKELIB_NO_NET"
#endif
#ifndef SPIKELIB_CUDA_H
#define SPIKELIB_CUDA_H

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

#ifdef SPIKELIB_IMPLEMENTATION
#ifndef SPIKELIB_CUDA_SECTION
#define SPIKELIB_CUDA_SECTION

#if defined(__NVCC__) /* hands GCC's pragmas on, and warns that it does not know them */
#pragma nv_diagnostic push
#pragma nv_diag_suppress 177, 550, 1675
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized" /* what its own intrinsics leave undefined */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#ifndef SPIKELIB_GPU_SECTION
#define SPIKELIB_GPU_SECTION

#ifndef SPIKELIB_MODELS
#define SPKI_FN static __attribute__((unused))
#define SPKI_GROUP 64   /* neurons are updated, and spikes reported, in groups of 64 */
#define SPKI_MAX(a, b) ((a) > (b) ? (a) : (b))
#define SPKI_MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#define SPKI_CHANGED_CURRENTS 8u
#define SPKI_CHANGED_LISTS 16u
#define SPKI_CHANGED_PARAMS 1u
#define SPKI_CHANGED_PRECISION 32u
#define SPKI_CHANGED_STATES 2u
#define SPKI_CHANGED_WEIGHTS 4u
#define SPKI_GPU_NUMBER(name, value) {#name, value},
#define SPKI_GPU_ROWS_DEFINE(name, value) spki_gpu_define(s, #name, (uint32_t)(value));
#define SPKI_GPU_ROWS_NUMBER(name, value) SPKI_GPU_##name = (int)(value),
#define SPKI_MAX_SLICE 32u                 /* steps between two meetings of the threads */
#define SPKI_MOST_WORDS 0x7fffffffu /* of a tile's rows */
#define SPKI_STREAM_DRIVE 0x30000000u
#define SPKI_STREAM_INPUT 0x40000000u
#define SPKI_STREAM_STORAGE 0x50000000u
#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>gpu: a network on a compute device ----
   How the pieces fit. `text/` holds the kernels, one text for every API: a prelude per API
   (opencl.cl) that says what SPKI_ENTRY, SPKI_GLOBAL, SPKI_DEVICE and the vectors are; the
   functions of simd/math.inc.h, the same text as the CPU's; engine.cl (random numbers, inputs,
   states of one item); the models, whose statements >>gpu-source wraps in the loops of engine.cl;
   kernels.cl (the entries). amalgamate.py pastes each text as an array of lines.

   On the host, an API fills in an spki_gpu_api (below) and one spki_gpu for each device. All
   else is shared: >>gpu-source writes the program of a network, >>gpu-layout lays the network out
   as the buffers that the kernels read (and says what is too large before anything is allocated),
   >>gpu-state moves states, parameters, weights and injected input, >>gpu-run steps, >>gpu-net is
   the spk_backend that >>backend wants. A new API needs a prelude, an spki_gpu_api, and a function
   that opens devices; see the cl/ folder, which is nothing else.

   Two ways to work, chosen by spki_gpu.lanes. 16 lanes (CPU devices): a group is one item which
   does vectors of 16 neurons, and which owns the accumulators of a tile, so nothing is atomic.
   1 lane (GPUs): an item does four neurons, a spike's row is spread over many items, and
   accumulators are added to atomically; integers, so that no order matters. Where a tile's
   arrivals of a slice fit into local memory, a group of items has the tile, adds there, and writes
   the sums.

   Buffers, for the tiles of one device: `state`, `value` (parameters, weights, quanta), `acc` (a
   ring of arrival steps, each one accumulator a neuron and receptor), `history` (a bit a neuron
   and step, as on the CPU), `list` (spikes of a batch of steps, in order; two, read back in turn
   while the other fills), `words` and `rows` (the tiles' synapses as built). */

#define SPKI_GPU_LIST_IDS 64u     /* words in front of the ids in a list: the starts of 32 steps */
#define SPKI_GPU_BLOCK_GROUPS 8u  /* groups of 64 neurons a block */
#define SPKI_GPU_SCAN_ITEMS 256u
#define SPKI_GPU_TEAM 32u         /* items that share a bucket */
#define SPKI_GPU_DELIVER_ITEMS 128u
#define SPKI_GPU_MOST_PARTS 64u  /* devices of one network */
#define SPKI_GPU_BATCH_ITEMS 512u
#define SPKI_GPU_BATCH_GROUPS 1024u /* groups of items that may meet */
#define SPKI_GPU_SPARES 16u       /* blocks that a device's pool keeps for the next who wants one */

enum { SPKI_GPU_TRIALS = 2048, SPKI_GPU_SELFTESTS = 14 }; /* of >>gpu-selftest */

typedef enum spki_gpu_entry {
    SPKI_GPU_UPDATE,
    SPKI_GPU_TELL,
    SPKI_GPU_COUNT,
    SPKI_GPU_SCAN,
    SPKI_GPU_COMPACT,
    SPKI_GPU_DELIVER,
    SPKI_GPU_SAMPLE,
    SPKI_GPU_ENTRIES,
    SPKI_GPU_SELFTEST = SPKI_GPU_ENTRIES,
    SPKI_GPU_ROWS, /* >>gpu-construct */
    SPKI_GPU_ROWS_SCAN,
    SPKI_GPU_ROWS_COLLECT,
    SPKI_GPU_ROWS_SORT,
    SPKI_GPU_ALL_ENTRIES,
    SPKI_GPU_BATCH_ALL = SPKI_GPU_ALL_ENTRIES, /* where groups of items can meet */
    SPKI_GPU_BATCH_OWN,
    SPKI_GPU_BEGIN, /* of a replay */
    SPKI_GPU_MORE_ENTRIES
} spki_gpu_entry;

typedef void *spki_gpu_mem;    /* the API's handle of a block of device memory */
typedef void *spki_gpu_ticket; /* of something under way; NULL: nothing */

/* One argument of a kernel: `size` bytes at `value`, or device memory. */
typedef struct spki_gpu_arg {
    size_t size;
    union {
        uint64_t whole;
        uint32_t word;
    } value;
    spki_gpu_mem mem;
    bool is_mem;
} spki_gpu_arg;

typedef struct spki_gpu_block {
    spki_gpu_mem mem;
    uint64_t bytes;
} spki_gpu_block;

typedef struct spki_gpu {
    const struct spki_gpu_api *api;
    void *handle;     /* the API's own */
    spki_mem *mem;    /* host memory for it */
    char name[128];
    uint64_t memory;  /* bytes that may be used in all */
    uint64_t largest; /* and of one block */
    uint64_t used, peak;
    spki_gpu_block spare[SPKI_GPU_SPARES]; /* blocks that nobody uses, counted in `used` */
    uint32_t units;   /* compute units */
    uint32_t lanes;   /* 16: vectors of 16 floats or 8 doubles; 1: scalars */
    uint64_t local_bytes; /* for a tile's arrivals in a group of items; 0: not to be used so */
    bool has_double, has_wide_atomics;
    bool replays;     /* runs of slices are recorded once and replayed */
    bool patient;     /* the limit is one of batches: what is at hand is none */
    double speed;     /* work a second, only ratios matter: by units until it is measured */
    char why[1024];   /* what went wrong last */
} spki_gpu;

struct spki_gpu_choice;
struct spki_gpu_variant;

/* What an API does for a device. All work is in order. A failure fills in gpu->why with a sentence
   that names the call and the code. */
typedef struct spki_gpu_api {
    const char *name;
    const char *const *prelude; /* lines, NULL at the end */
    const char *const *keywords; /* names that models may use and the language may not */
    /* A program from `text`; `log` gets the compiler's words. */
    spk_result (*compile)(spki_gpu *gpu, const char *text, size_t size, int kind, void **program,
                          char *log, size_t log_size); /* kind: spki_gpu_kind */
    void (*release)(spki_gpu *gpu, void *program);
    spk_result (*alloc)(spki_gpu *gpu, uint64_t bytes, spki_gpu_mem *mem);
    void (*free)(spki_gpu *gpu, spki_gpu_mem mem);
    spk_result (*write)(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, const void *data,
                        size_t bytes); /* `data` may change afterwards */
    spk_result (*zero)(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, uint64_t bytes);
    spk_result (*read)(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, void *data, size_t bytes,
                       spki_gpu_ticket *ticket); /* with a ticket: under way until waited for */
    spk_result (*wait)(spki_gpu *gpu, spki_gpu_ticket *ticket);
    spk_result (*launch)(spki_gpu *gpu, void *program, spki_gpu_entry entry, uint32_t groups,
                         uint32_t items, const spki_gpu_arg *arg, uint32_t args);
    spk_result (*flush)(spki_gpu *gpu);
    spk_result (*finish)(spki_gpu *gpu);
    void (*close)(spki_gpu *gpu);
    /* NULL where groups of items cannot meet: a launch in which all groups run at the same time,
       each with `shared` bytes, and how many groups of SPKI_GPU_BATCH_ITEMS items such a launch may
       have (0: none). */
    spk_result (*together)(spki_gpu *gpu, void *program, spki_gpu_entry entry, uint32_t groups,
                           uint64_t shared, const spki_gpu_arg *arg, uint32_t args);
    uint32_t (*room)(spki_gpu *gpu, void *program, spki_gpu_entry entry, uint64_t shared);
    /* NULL: through the host. Copies from the memory of gpu `from` to the same place of each gpu's
       `to`; what they do later waits for it. */
    spk_result (*share)(spki_gpu *const *gpu, uint32_t gpus, uint32_t from, spki_gpu_mem source,
                        uint64_t source_at, const spki_gpu_mem *to, uint64_t at, uint64_t bytes);
    /* NULL, or gives a program with all of a network's models, and the selftest, that was compiled
       with the host's code; NULL: there is none for this choice, and `compile` says why where it
       cannot either. `form`: the number of a variant's model in such a program; others number
       variants as they come. */
    void *(*held)(spki_gpu *gpu, const spk_net *net, const struct spki_gpu_choice *choice);
    uint32_t (*form)(const void *program, const struct spki_gpu_variant *variant, uint32_t number);
    /* NULL where kernels have no `origin` (>>gpu-replay). Launches after `record` are recorded
       instead of run, until `recorded`, which has to be called even if one of them fails. */
    spk_result (*record)(spki_gpu *gpu);
    spk_result (*recorded)(spki_gpu *gpu, void **recording);
    spk_result (*replay)(spki_gpu *gpu, void *recording);
    void (*forget)(spki_gpu *gpu, void *recording);
} spki_gpu_api;

SPKI_FN const char *spki_gpu_entry_name(spki_gpu_entry entry)
{
    static const char *const name[] = {"spki_update",  "spki_tell",    "spki_count",
                                       "spki_scan",    "spki_compact", "spki_deliver",
                                       "spki_sample",  "spki_selftest",
                                       "spki_rows",    "spki_rows_scan",
                                       "spki_rows_collect", "spki_rows_sort",
                                       "spki_batch_all", "spki_batch_own", "spki_begin"};
    return name[entry];
}

/* What a text is for, and so which entries it has. */
typedef enum spki_gpu_kind {
    SPKI_GPU_OF_NETWORK,
    SPKI_GPU_OF_TEST,
    SPKI_GPU_OF_ROWS
} spki_gpu_kind;

SPKI_FN spki_gpu_kind spki_gpu_entry_kind(uint32_t entry)
{
    return entry < SPKI_GPU_ENTRIES || entry >= SPKI_GPU_ALL_ENTRIES ? SPKI_GPU_OF_NETWORK
           : entry == SPKI_GPU_SELFTEST                             ? SPKI_GPU_OF_TEST
                                                                    : SPKI_GPU_OF_ROWS;
}

/* -- memory on the device: a pool with a budget. What is given back waits for somebody whom it
   fits; it goes back to the driver when the budget or the driver runs short, or the network
   leaves. Safe while work is under way, since all work of a device is in order. -- */

SPKI_FN void spki_gpu_drop(spki_gpu *gpu, spki_gpu_block *block)
{
    if (block->mem) {
        gpu->api->free(gpu, block->mem);
        gpu->used -= block->bytes;
    }
    block->mem = NULL;
    block->bytes = 0;
}

/* Gives all spare blocks back to the driver; false: there were none. */
SPKI_FN bool spki_gpu_drain(spki_gpu *gpu)
{
    bool any = false;
    for (uint32_t k = 0; k < SPKI_GPU_SPARES; k++) {
        any = any || gpu->spare[k].mem;
        spki_gpu_drop(gpu, &gpu->spare[k]);
    }
    return any;
}

SPKI_FN void spki_gpu_free(spki_gpu *gpu, spki_gpu_block *block)
{
    for (uint32_t k = 0; k < SPKI_GPU_SPARES && block->mem; k++) {
        if (!gpu->spare[k].mem) {
            gpu->spare[k] = *block;
            block->mem = NULL;
        }
    }
    spki_gpu_drop(gpu, block);
}

/* The smallest spare block that is large enough and not twice as large as it has to be. */
SPKI_FN bool spki_gpu_reuse(spki_gpu *gpu, uint64_t bytes, spki_gpu_block *block)
{
    uint32_t best = SPKI_GPU_SPARES;
    for (uint32_t k = 0; k < SPKI_GPU_SPARES; k++) {
        const uint64_t have = gpu->spare[k].mem ? gpu->spare[k].bytes : 0;
        if (have >= bytes && have / 2 <= bytes &&
            (best == SPKI_GPU_SPARES || have < gpu->spare[best].bytes)) {
            best = k;
        }
    }
    if (best == SPKI_GPU_SPARES) {
        return false;
    }
    *block = gpu->spare[best];
    gpu->spare[best].mem = NULL;
    gpu->spare[best].bytes = 0;
    return true;
}

SPKI_FN spk_result spki_gpu_alloc(spki_gpu *gpu, uint64_t bytes, spki_gpu_block *block)
{
    bytes = SPKI_MAX(bytes, (uint64_t)64);
    if (spki_gpu_reuse(gpu, bytes, block)) {
        return SPK_OK;
    }
    if (bytes > gpu->memory || gpu->used > gpu->memory - bytes) {
        (void)spki_gpu_drain(gpu);
    }
    if (bytes > gpu->largest || bytes > gpu->memory || gpu->used > gpu->memory - bytes) {
        const uint64_t over = bytes > gpu->largest ? bytes - gpu->largest
                                                   : gpu->used + bytes - gpu->memory;
        snprintf(gpu->why, sizeof gpu->why, "a block of %llu bytes is %llu bytes too large",
                 (spki_llu)bytes, (spki_llu)over);
        return SPK_ERR_OUT_OF_MEMORY;
    }
    spk_result result = gpu->api->alloc(gpu, bytes, &block->mem);
    if (result == SPK_ERR_OUT_OF_MEMORY && spki_gpu_drain(gpu)) {
        result = gpu->api->alloc(gpu, bytes, &block->mem);
    }
    if (result == SPK_OK) {
        block->bytes = bytes;
        gpu->used += bytes;
        gpu->peak = SPKI_MAX(gpu->peak, gpu->used);
    }
    return result;
}

/* Room for `bytes`; what was in the block is lost if it has to grow. */
SPKI_FN spk_result spki_gpu_reserve(spki_gpu *gpu, uint64_t bytes, spki_gpu_block *block)
{
    if (block->mem && bytes <= block->bytes) {
        return SPK_OK;
    }
    spki_gpu_free(gpu, block);
    return spki_gpu_alloc(gpu, bytes, block);
}

/* -- arguments -- */

SPKI_FN spki_gpu_arg spki_gpu_memory(const spki_gpu_block *block)
{
    spki_gpu_arg arg;
    memset(&arg, 0, sizeof arg);
    arg.mem = block->mem;
    arg.is_mem = true;
    return arg;
}

SPKI_FN spki_gpu_arg spki_gpu_u32(uint32_t x)
{
    spki_gpu_arg arg;
    memset(&arg, 0, sizeof arg);
    arg.size = 4;
    arg.value.word = x;
    return arg;
}

SPKI_FN spki_gpu_arg spki_gpu_u64(uint64_t x)
{
    spki_gpu_arg arg;
    memset(&arg, 0, sizeof arg);
    arg.size = 8;
    arg.value.whole = x;
    return arg;
}

/* -- host arrays that grow while they are filled -- */

typedef struct spki_gpu_bytes {
    spki_mem *mem;
    char *data;
    size_t used, capacity;
    bool failed;
} spki_gpu_bytes;

/* Room for `bytes` more, zeroed; NULL: no memory. */
SPKI_FN void *spki_gpu_more(spki_gpu_bytes *b, size_t bytes)
{
    if (b->failed || bytes > (size_t)PTRDIFF_MAX / 4 - b->used) {
        b->failed = true;
        return NULL;
    }
    if (!b->data || b->used + bytes > b->capacity) {
        const size_t more = SPKI_MAX(b->capacity * 2, b->used + bytes + 4096);
        char *data = (char *)spki_alloc_raw(b->mem, more, 1);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        if (b->data) {
            memcpy(data, b->data, b->used);
            spki_free(b->mem, b->data, b->capacity, 1);
        }
        b->data = data;
        b->capacity = more;
    }
    void *at = b->data + b->used;
    memset(at, 0, bytes);
    b->used += bytes;
    return at;
}

SPKI_FN void spki_gpu_forget(spki_gpu_bytes *b)
{
    spki_free(b->mem, b->data, b->capacity, 1);
    b->data = NULL;
    b->used = b->capacity = 0;
    b->failed = false;
}

/* ---- >>gpu-cache: compiled programs on disk ----
   A file is named by 128 bits of hash over source, options, device and driver, and says how long it
   is and what it hashes to. It is written beside its place and renamed, so that nobody sees half
   of one; whatever is damaged is made anew. Without a directory nothing is kept. */

#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>
#if defined(_WIN32)
#include <direct.h>
#endif

#define SPKI_GPU_PATH 1024u
#define SPKI_GPU_CACHE_MAGIC UINT64_C(0x31626c636b697073) /* "spikclb1" */

typedef struct spki_gpu_cache_entry {
    uint64_t magic, key[2], size, hash;
} spki_gpu_cache_entry;

SPKI_FN void spki_gpu_make_dir(const char *path)
{
#if defined(_WIN32)
    (void)_mkdir(path);
#else
    (void)mkdir(path, 0777);
#endif
}

SPKI_FN bool spki_gpu_replace(const char *from, const char *to)
{
#if defined(_WIN32)
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) != 0; /* rename replaces nothing */
#else
    return rename(from, to) == 0;
#endif
}

/* Makes the directory and those above it; a failure shows when a file is opened. */
SPKI_FN void spki_gpu_make_dirs(const char *path)
{
    char part[SPKI_GPU_PATH];
    const size_t n = strlen(path);
    for (size_t k = 1; k <= n && k < sizeof part; k++) {
        if (path[k] == 0 || path[k] == '/' || path[k] == '\\') {
            memcpy(part, path, k);
            part[k] = 0;
            spki_gpu_make_dir(part);
        }
    }
}

/* Where entries lie; "" for nowhere. */
SPKI_FN void spki_gpu_cache_dir(const char *wanted, char *out, size_t size)
{
    static const struct {
        const char *variable, *tail;
    } place[] = {{"SPIKELIB_CACHE", ""},
                 {"XDG_CACHE_HOME", "/spikelib"},
                 {"HOME", "/.cache/spikelib"},
                 {"LOCALAPPDATA", "\\spikelib"}};
    out[0] = 0;
    if (wanted) {
        snprintf(out, size, "%s", wanted);
        return;
    }
    for (size_t k = 0; k < sizeof place / sizeof place[0] && !out[0]; k++) {
        const char *value = getenv(place[k].variable);
        if (value && *value && strlen(value) + strlen(place[k].tail) + 64 < size) {
            snprintf(out, size, "%s%s", value, place[k].tail);
        }
    }
}

SPKI_FN bool spki_gpu_cache_path(const char *dir, const uint64_t key[2], char *out, size_t size)
{
    const int n = snprintf(out, size, "%s/%016llx%016llx.clb", dir, (spki_llu)key[0],
                           (spki_llu)key[1]);
    return dir[0] && n > 0 && (size_t)n < size;
}

/* An entry's bytes (of *size, to be freed with spki_free), or NULL. */
SPKI_FN unsigned char *spki_gpu_cache_read(spki_mem *mem, const char *dir, const uint64_t key[2],
                                          size_t *size)
{
    char path[SPKI_GPU_PATH];
    spki_gpu_cache_entry entry;
    unsigned char *data = NULL;
    FILE *file = spki_gpu_cache_path(dir, key, path, sizeof path) ? fopen(path, "rb") : NULL;
    if (!file) {
        return NULL;
    }
    if (fread(&entry, sizeof entry, 1, file) == 1 && entry.magic == SPKI_GPU_CACHE_MAGIC &&
        entry.key[0] == key[0] && entry.key[1] == key[1] && entry.size > 0 &&
        entry.size < (uint64_t)1 << 30) {
        *size = (size_t)entry.size;
        data = (unsigned char *)spki_alloc_raw(mem, *size, 1);
        if (data && (fread(data, 1, *size, file) != *size || fgetc(file) != EOF ||
                     spk_xxh64(data, *size, 0) != entry.hash)) {
            spki_free(mem, data, *size, 1);
            data = NULL;
        }
    }
    fclose(file);
    return data;
}

SPKI_FN void spki_gpu_cache_write(const char *dir, const uint64_t key[2], const unsigned char *data,
                                 size_t size)
{
    char path[SPKI_GPU_PATH], temporary[SPKI_GPU_PATH + 40];
    spki_gpu_cache_entry entry = {
        SPKI_GPU_CACHE_MAGIC, {key[0], key[1]}, size, spk_xxh64(data, size, 0)};
    if (!spki_gpu_cache_path(dir, key, path, sizeof path)) {
        return;
    }
    const double now = spk_clock_seconds();
    const void *here = &entry;
    uint64_t tag[2] = {0, (uint64_t)(uintptr_t)here};
    memcpy(tag, &now, sizeof now);
    snprintf(temporary, sizeof temporary, "%s.%016llx", path,
             (spki_llu)spk_xxh64(tag, sizeof tag, 0));
    FILE *file = fopen(temporary, "wb");
    if (!file) {
        spki_gpu_make_dirs(dir);
        file = fopen(temporary, "wb");
    }
    if (!file) {
        return;
    }
    bool whole = fwrite(&entry, sizeof entry, 1, file) == 1 && fwrite(data, 1, size, file) == size;
    whole = fclose(file) == 0 && whole;
    if (!whole || !spki_gpu_replace(temporary, path)) {
        (void)remove(temporary);
    }
}

/* ---- >>gpu-texts: the kernels as arrays of lines ---- */

/* amalgamate.py puts the lines of the file named in place of each #include. */
static const char *const spki_gpu_text_math[] = {
"#define SPKI_R SPKI_CAT(spki_, SPKI_S)\n",
"#define SPKI_I SPKI_CAT(spki_i, SPKI_S)\n",
"#define SPKI_M SPKI_CAT(spki_m, SPKI_S)\n",
"#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)\n",
"#ifdef SPKI_ON_DEVICE\n",
"#define SPKI_MATH SPKI_DEVICE\n",
"#else\n",
"#define SPKI_MATH SPKI_TARGET static inline __attribute__((always_inline, unused))\n",
"#endif\n",
"#ifndef SPKI_C\n",
"#define SPKI_C(x) (zero + (SPKI_E)(x))\n",
"#endif\n",
"#if SPKI_LANES > 1 && !defined(SPKI_ON_DEVICE)\n",
"#define SPKI_X86_VECTOR SPKI_HAVE_SSE2\n",
"#else\n",
"#define SPKI_X86_VECTOR 0\n",
"#endif\n",
"#if SPKI_IS_DOUBLE\n",
"#define SPKI_INT int64_t\n",
"#else\n",
"#define SPKI_INT int32_t\n",
"#endif\n",
"#ifdef SPKI_ON_DEVICE\n",
"SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)\n",
"{\n",
"    return SPKI_AS_INT(x);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)\n",
"{\n",
"    return SPKI_AS_REAL(i);\n",
"}\n",
"#else\n",
"SPKI_MATH SPKI_R SPKI_F(spki_load)(const void *p)\n",
"{\n",
"    SPKI_R x;\n",
"    memcpy(&x, p, sizeof x);\n",
"    return x;\n",
"}\n",
"SPKI_MATH void SPKI_F(spki_store)(void *p, SPKI_R x)\n",
"{\n",
"    memcpy(p, &x, sizeof x);\n",
"}\n",
"SPKI_MATH SPKI_I SPKI_F(spki_bits_of)(SPKI_R x)\n",
"{\n",
"    SPKI_I i;\n",
"    memcpy(&i, &x, sizeof i);\n",
"    return i;\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_real_of)(SPKI_I i)\n",
"{\n",
"    SPKI_R x;\n",
"    memcpy(&x, &i, sizeof x);\n",
"    return x;\n",
"}\n",
"#endif\n",
"SPKI_MATH SPKI_R SPKI_F(spki_select)(SPKI_M c, SPKI_R a, SPKI_R b)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return c ? a : b;\n",
"#else\n",
"    const SPKI_M on = c != 0;\n",
"    return SPKI_F(spki_real_of)((SPKI_F(spki_bits_of)(a) & on) | (SPKI_F(spki_bits_of)(b) & ~on));\n",
"#endif\n",
"}\n",
"#ifdef SPKI_ON_DEVICE\n",
"SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)\n",
"{\n",
"    return SPKI_ANY(c);\n",
"}\n",
"#else\n",
"SPKI_MATH uint64_t SPKI_F(spki_mask_bits)(SPKI_M c)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return c != 0;\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && !SPKI_IS_DOUBLE\n",
"    return (uint64_t)(uint32_t)_mm_movemask_ps((__m128)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2\n",
"    return (uint64_t)(uint32_t)_mm_movemask_pd((__m128d)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && !SPKI_IS_DOUBLE\n",
"    return (uint64_t)(uint32_t)_mm256_movemask_ps((__m256)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4\n",
"    return (uint64_t)(uint32_t)_mm256_movemask_pd((__m256d)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16\n",
"    return (uint64_t)_mm512_movepi32_mask((__m512i)c);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8\n",
"    return (uint64_t)_mm512_movepi64_mask((__m512i)c);\n",
"#else\n",
"    uint64_t bits = 0;\n",
"    for (int k = 0; k < SPKI_LANES; k++) {\n",
"        bits |= (uint64_t)(c[k] & 1) << k;\n",
"    }\n",
"    return bits;\n",
"#endif\n",
"}\n",
"SPKI_MATH int SPKI_F(spki_any)(SPKI_M c)\n",
"{\n",
"    return SPKI_F(spki_mask_bits)(c) != 0;\n",
"}\n",
"#endif\n",
"SPKI_MATH SPKI_R SPKI_F(spki_min)(SPKI_R a, SPKI_R b)\n",
"{\n",
"#if SPKI_X86_VECTOR && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8\n",
"    return (SPKI_R)_mm256_min_ps((__m256)a, (__m256)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm256_min_pd((__m256d)a, (__m256d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4\n",
"    return (SPKI_R)_mm_min_ps((__m128)a, (__m128)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 2\n",
"    return (SPKI_R)_mm_min_pd((__m128d)a, (__m128d)b);\n",
"#else\n",
"    return SPKI_F(spki_select)(a < b, a, b);\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_max)(SPKI_R a, SPKI_R b)\n",
"{\n",
"#if SPKI_X86_VECTOR && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8\n",
"    return (SPKI_R)_mm256_max_ps((__m256)a, (__m256)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm256_max_pd((__m256d)a, (__m256d)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 4\n",
"    return (SPKI_R)_mm_max_ps((__m128)a, (__m128)b);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 2\n",
"    return (SPKI_R)_mm_max_pd((__m128d)a, (__m128d)b);\n",
"#else\n",
"    return SPKI_F(spki_select)(a > b, a, b);\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_abs)(SPKI_R x)\n",
"{\n",
"    const SPKI_I zero = SPKI_NIL(SPKI_I);\n",
"    const SPKI_INT low = (SPKI_INT)((~(SPKI_IS_DOUBLE ? (uint64_t)0 : (uint64_t)0xffffffff00000000u)\n",
"                                     & ~((uint64_t)1 << (SPKI_IS_DOUBLE ? 63 : 31))));\n",
"    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) & (zero + low));\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_flush)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    return SPKI_F(spki_select)(SPKI_F(spki_abs)(x) < SPKI_C(1e-30), zero, x);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_scale)(SPKI_R x, SPKI_R n)\n",
"{\n",
"    const int shift = SPKI_IS_DOUBLE ? 52 : 23;\n",
"#if SPKI_LANES == 1 && SPKI_IS_DOUBLE\n",
"    const uint64_t up = (uint64_t)SPKI_F(spki_bits_of)(n) << shift;\n",
"    return SPKI_F(spki_real_of)((SPKI_I)((uint64_t)SPKI_F(spki_bits_of)(x) + up));\n",
"#elif SPKI_LANES == 1\n",
"    const uint32_t up = (uint32_t)SPKI_F(spki_bits_of)(n) << shift;\n",
"    return SPKI_F(spki_real_of)((SPKI_I)((uint32_t)SPKI_F(spki_bits_of)(x) + up));\n",
"#else\n",
"    return SPKI_F(spki_real_of)(SPKI_F(spki_bits_of)(x) + (SPKI_F(spki_bits_of)(n) << shift));\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_less)(SPKI_R x, SPKI_R n, SPKI_R c)\n",
"{\n",
"#if SPKI_X86_VECTOR && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_fnmadd_ps((__m512)n, (__m512)c, (__m512)x);\n",
"#elif SPKI_X86_VECTOR && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_fnmadd_pd((__m512d)n, (__m512d)c, (__m512d)x);\n",
"#else\n",
"    return x - n * c;\n",
"#endif\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_round)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"#if SPKI_IS_DOUBLE\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0);\n",
"#else\n",
"    const SPKI_R magic = SPKI_C(12582912.0);\n",
"#endif\n",
"    return (x + magic) - magic;\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_exp)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"#if SPKI_IS_DOUBLE\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0);\n",
"    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(709.0)), SPKI_C(-708.0));\n",
"    const SPKI_R up = x * SPKI_C(1.4426950408889634) + magic, n = up - magic;\n",
"    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.6931471804855391))\n",
"                     - n * SPKI_C(7.440617110012397e-11);\n",
"    SPKI_R p = SPKI_C(1.0 / 6227020800.0);\n",
"    p = p * r + SPKI_C(1.0 / 479001600.0);\n",
"    p = p * r + SPKI_C(1.0 / 39916800.0);\n",
"    p = p * r + SPKI_C(1.0 / 3628800.0);\n",
"    p = p * r + SPKI_C(1.0 / 362880.0);\n",
"    p = p * r + SPKI_C(1.0 / 40320.0);\n",
"    p = p * r + SPKI_C(1.0 / 5040.0);\n",
"    p = p * r + SPKI_C(1.0 / 720.0);\n",
"    p = p * r + SPKI_C(1.0 / 120.0);\n",
"    p = p * r + SPKI_C(1.0 / 24.0);\n",
"    p = p * r + SPKI_C(1.0 / 6.0);\n",
"    p = p * r + SPKI_C(0.5);\n",
"#else\n",
"    const SPKI_R magic = SPKI_C(12582912.0);\n",
"    x = SPKI_F(spki_max)(SPKI_F(spki_min)(x, SPKI_C(88.0)), SPKI_C(-87.0));\n",
"    const SPKI_R up = x * SPKI_C(1.44269504) + magic, n = up - magic;\n",
"    const SPKI_R r = SPKI_F(spki_less)(x, n, SPKI_C(0.693115234375))\n",
"                     - n * SPKI_C(3.1946184945309415e-05);\n",
"    SPKI_R p = SPKI_C(0.00139506);\n",
"    p = p * r + SPKI_C(0.008368954);\n",
"    p = p * r + SPKI_C(0.041666206);\n",
"    p = p * r + SPKI_C(0.16666518);\n",
"    p = p * r + SPKI_C(0.5);\n",
"#endif\n",
"    return SPKI_F(spki_scale)((p * r) * r + r + SPKI_C(1.0), up);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_exprel)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_M small = SPKI_F(spki_abs)(x) < SPKI_C(0.5);\n",
"#ifndef SPKI_ON_DEVICE\n",
"    if (!SPKI_F(spki_any)(small)) {\n",
"        return (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / x;\n",
"    }\n",
"#endif\n",
"#if SPKI_IS_DOUBLE\n",
"    SPKI_R p = SPKI_C(1.0 / 1307674368000.0);\n",
"    p = p * x + SPKI_C(1.0 / 87178291200.0);\n",
"    p = p * x + SPKI_C(1.0 / 6227020800.0);\n",
"    p = p * x + SPKI_C(1.0 / 479001600.0);\n",
"    p = p * x + SPKI_C(1.0 / 39916800.0);\n",
"    p = p * x + SPKI_C(1.0 / 3628800.0);\n",
"    p = p * x + SPKI_C(1.0 / 362880.0);\n",
"    p = p * x + SPKI_C(1.0 / 40320.0);\n",
"    p = p * x + SPKI_C(1.0 / 5040.0);\n",
"#else\n",
"    SPKI_R p = SPKI_C(1.0 / 40320.0);\n",
"    p = p * x + SPKI_C(1.0 / 5040.0);\n",
"#endif\n",
"    p = p * x + SPKI_C(1.0 / 720.0);\n",
"    p = p * x + SPKI_C(1.0 / 120.0);\n",
"    p = p * x + SPKI_C(1.0 / 24.0);\n",
"    p = p * x + SPKI_C(1.0 / 6.0);\n",
"    p = p * x + SPKI_C(0.5);\n",
"    p = p * x + SPKI_C(1.0);\n",
"    const SPKI_R d = SPKI_F(spki_select)(small, zero + (SPKI_E)1, x);\n",
"    return SPKI_F(spki_select)(small, p, (SPKI_F(spki_exp)(x) - SPKI_C(1.0)) / d);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_log)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"#if SPKI_IS_DOUBLE\n",
"    x = SPKI_F(spki_max)(x, SPKI_C(2.2250738585072014e-308));\n",
"    const SPKI_INT middle = (SPKI_INT)0x3fe6a09e667f3bcd, mant = (SPKI_INT)0x000fffffffffffff;\n",
"    const int shift = 52;\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0);\n",
"#else\n",
"    x = SPKI_F(spki_max)(x, SPKI_C(1.17549435e-38));\n",
"    const SPKI_INT middle = 0x3f3504f3, mant = 0x007fffff;\n",
"    const int shift = 23;\n",
"    const SPKI_R magic = SPKI_C(12582912.0);\n",
"#endif\n",
"    const SPKI_I bits = SPKI_F(spki_bits_of)(x), off = bits - middle, e = off >> shift;\n",
"    const SPKI_R m = SPKI_F(spki_real_of)((off & mant) + middle);\n",
"    const SPKI_R n = SPKI_F(spki_real_of)(e + SPKI_F(spki_bits_of)(magic)) - magic;\n",
"    const SPKI_R s = (m - SPKI_C(1.0)) / (m + SPKI_C(1.0)), z = s * s;\n",
"#if SPKI_IS_DOUBLE\n",
"    SPKI_R p = SPKI_C(2.0 / 23.0);\n",
"    p = p * z + SPKI_C(2.0 / 21.0);\n",
"    p = p * z + SPKI_C(2.0 / 19.0);\n",
"    p = p * z + SPKI_C(2.0 / 17.0);\n",
"    p = p * z + SPKI_C(2.0 / 15.0);\n",
"    p = p * z + SPKI_C(2.0 / 13.0);\n",
"    p = p * z + SPKI_C(2.0 / 11.0);\n",
"    p = p * z + SPKI_C(2.0 / 9.0);\n",
"    p = p * z + SPKI_C(2.0 / 7.0);\n",
"    p = p * z + SPKI_C(2.0 / 5.0);\n",
"    p = p * z + SPKI_C(2.0 / 3.0);\n",
"    const SPKI_R hi = n * SPKI_C(0.6931471804855391), lo = n * SPKI_C(7.440617110012397e-11);\n",
"#else\n",
"    SPKI_R p = SPKI_C(0.23582268);\n",
"    p = p * z + SPKI_C(0.28537303);\n",
"    p = p * z + SPKI_C(0.40000334);\n",
"    p = p * z + SPKI_C(0.6666666);\n",
"    const SPKI_R hi = n * SPKI_C(0.693115234375), lo = n * SPKI_C(3.1946184945309415e-05);\n",
"#endif\n",
"    return hi + (s + s + ((p * z) * s + lo));\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_pow)(SPKI_R x, SPKI_R y)\n",
"{\n",
"    return SPKI_F(spki_exp)(y * SPKI_F(spki_log)(x));\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_tanh)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(20.0));\n",
"    const SPKI_R e = (a + a) * SPKI_F(spki_exprel)(a + a);\n",
"    const SPKI_R y = e / (e + SPKI_C(2.0));\n",
"    return SPKI_F(spki_select)(x < zero, -y, y);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_sincos)(SPKI_R x, int quarter)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R n = SPKI_F(spki_round)(x * SPKI_C(0.6366197723675814));\n",
"#if SPKI_IS_DOUBLE\n",
"    const SPKI_R r = ((x - n * SPKI_C(1.5707963267341256)) - n * SPKI_C(6.077100506303966e-11))\n",
"                     - n * SPKI_C(2.0222662487959506e-21);\n",
"    const SPKI_R magic = SPKI_C(6755399441055744.0), z = r * r;\n",
"    SPKI_R s = SPKI_C(1.0 / 355687428096000.0), c = SPKI_C(1.0 / 20922789888000.0);\n",
"    s = s * z - SPKI_C(1.0 / 1307674368000.0);\n",
"    s = s * z + SPKI_C(1.0 / 6227020800.0);\n",
"    s = s * z - SPKI_C(1.0 / 39916800.0);\n",
"    s = s * z + SPKI_C(1.0 / 362880.0);\n",
"    s = s * z - SPKI_C(1.0 / 5040.0);\n",
"    s = s * z + SPKI_C(1.0 / 120.0);\n",
"    s = s * z - SPKI_C(1.0 / 6.0);\n",
"    c = c * z - SPKI_C(1.0 / 87178291200.0);\n",
"    c = c * z + SPKI_C(1.0 / 479001600.0);\n",
"    c = c * z - SPKI_C(1.0 / 3628800.0);\n",
"    c = c * z + SPKI_C(1.0 / 40320.0);\n",
"    c = c * z - SPKI_C(1.0 / 720.0);\n",
"    c = c * z + SPKI_C(1.0 / 24.0);\n",
"#else\n",
"    const SPKI_R r = ((x - n * SPKI_C(1.5703125)) - n * SPKI_C(0.0004837512969970703))\n",
"                     - n * SPKI_C(7.549789954891882e-08);\n",
"    const SPKI_R magic = SPKI_C(12582912.0), z = r * r;\n",
"    SPKI_R s = SPKI_C(-0.0001949495), c = SPKI_C(2.443773e-05);\n",
"    s = s * z + SPKI_C(0.008331973);\n",
"    s = s * z - SPKI_C(0.16666651);\n",
"    c = c * z - SPKI_C(0.0013887362);\n",
"    c = c * z + SPKI_C(0.041666646);\n",
"#endif\n",
"    s = (s * z) * r + r;\n",
"    c = (c * z) * z - SPKI_C(0.5) * z + SPKI_C(1.0);\n",
"    const SPKI_I k = SPKI_F(spki_bits_of)(n + magic) + (SPKI_INT)quarter;\n",
"    const SPKI_R y = SPKI_F(spki_select)((k & 1) != 0, c, s);\n",
"    return SPKI_F(spki_select)((k & 2) != 0, -y, y);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_sin)(SPKI_R x)\n",
"{\n",
"    return SPKI_F(spki_sincos)(x, 0);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_cos)(SPKI_R x)\n",
"{\n",
"    return SPKI_F(spki_sincos)(x, 1);\n",
"}\n",
"SPKI_MATH SPKI_R SPKI_F(spki_sqrt)(SPKI_R x)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    x = SPKI_F(spki_max)(x, zero);\n",
"#if defined(SPKI_ON_DEVICE)\n",
"    return SPKI_ROOT(x);\n",
"#elif SPKI_LANES == 1 && SPKI_IS_DOUBLE\n",
"    return __builtin_sqrt(x);\n",
"#elif SPKI_LANES == 1\n",
"    return __builtin_sqrtf(x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 16\n",
"    return (SPKI_R)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 8\n",
"    return (SPKI_R)_mm256_sqrt_ps((__m256)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4 && SPKI_IS_DOUBLE\n",
"    return (SPKI_R)_mm256_sqrt_pd((__m256d)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 4\n",
"    return (SPKI_R)_mm_sqrt_ps((__m128)x);\n",
"#elif SPKI_HAVE_SSE2 && SPKI_LANES == 2\n",
"    return (SPKI_R)_mm_sqrt_pd((__m128d)x);\n",
"#else\n",
"    for (int k = 0; k < SPKI_LANES; k++) {\n",
"        x[k] = SPKI_IS_DOUBLE ? (SPKI_E)__builtin_sqrt((double)x[k])\n",
"                              : (SPKI_E)__builtin_sqrtf((float)x[k]);\n",
"    }\n",
"    return x;\n",
"#endif\n",
"}\n",
"#if defined(SPKI_ON_DEVICE) && SPKI_LANES > 1\n",
"#elif !SPKI_IS_DOUBLE\n",
"SPKI_MATH SPKI_R SPKI_F(spki_unpack16)(SPKI_R like, const uint16_t *p)\n",
"{\n",
"    SPKI_I h = SPKI_NIL(SPKI_I);\n",
"    (void)like;\n",
"#if SPKI_LANES == 1\n",
"    h = *p;\n",
"#else\n",
"    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);\n",
"    spki_h packed;\n",
"    memcpy(&packed, p, sizeof packed);\n",
"    h = __builtin_convertvector(packed, SPKI_I);\n",
"#endif\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R x = SPKI_F(spki_real_of)(((h & 0x7fff) << 13) + (SPKI_INT)(112 << 23));\n",
"    const SPKI_R y = SPKI_F(spki_select)((h & 0x8000) != 0, -x, x);\n",
"    return SPKI_F(spki_select)((h & 0x7fff) == 0, zero, y);\n",
"}\n",
"SPKI_MATH void SPKI_F(spki_pack16)(SPKI_R x, uint16_t *p, SPKI_I random)\n",
"{\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_I none = SPKI_NIL(SPKI_I);\n",
"    const SPKI_I bits = SPKI_F(spki_bits_of)(x), sign = (bits >> 16) & 0x8000;\n",
"    const SPKI_R a = SPKI_F(spki_min)(SPKI_F(spki_abs)(x), SPKI_C(131008.0));\n",
"    const SPKI_R least = SPKI_C(3.0547380447387695e-05);\n",
"    SPKI_I up = SPKI_F(spki_bits_of)(a) + random;\n",
"    SPKI_I code = (up - (SPKI_INT)(112 << 23)) >> 13;\n",
"#if SPKI_LANES == 1\n",
"    const SPKI_R u = (SPKI_R)random * SPKI_C(1.220703125e-4) * least;\n",
"    code = code > 0x7fff ? 0x7fff : code;\n",
"    code = a < least ? (u < a ? 1 : none) : code;\n",
"    *p = (uint16_t)(code == 0 ? 0 : (code | sign));\n",
"#else\n",
"    const SPKI_R u = __builtin_convertvector(random, SPKI_R) * SPKI_C(1.220703125e-4) * least;\n",
"    const SPKI_I top = code > 0x7fff, tiny = a < least, one = (u < a) & 1;\n",
"    code = (top & 0x7fff) | (~top & code);\n",
"    code = (tiny & one) | (~tiny & code);\n",
"    code = (code | sign) & (code != none);\n",
"    typedef uint16_t spki_h SPKI_GNU_VECTOR(SPKI_LANES * 2);\n",
"    const spki_h packed = __builtin_convertvector(code, spki_h);\n",
"    memcpy(p, &packed, sizeof packed);\n",
"#endif\n",
"}\n",
"#endif\n",
"#if defined(__cplusplus) && (!defined(SPKI_ON_DEVICE) || defined(SPKI_CODE))\n",
"#define SPKI_OVERLOAD_1(name) \\\n",
"    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x) { return SPKI_F(spki_##name)(x); }\n",
"#define SPKI_OVERLOAD_2(name) \\\n",
"    SPKI_MATH SPKI_R spki_ov_##name(SPKI_R x, SPKI_R y) { return SPKI_F(spki_##name)(x, y); }\n",
"SPKI_OVERLOAD_1(exp)\n",
"SPKI_OVERLOAD_1(exprel)\n",
"SPKI_OVERLOAD_1(log)\n",
"SPKI_OVERLOAD_1(sin)\n",
"SPKI_OVERLOAD_1(cos)\n",
"SPKI_OVERLOAD_1(tanh)\n",
"SPKI_OVERLOAD_1(sqrt)\n",
"SPKI_OVERLOAD_1(abs)\n",
"SPKI_OVERLOAD_1(flush)\n",
"SPKI_OVERLOAD_2(pow)\n",
"SPKI_OVERLOAD_2(min)\n",
"SPKI_OVERLOAD_2(max)\n",
"SPKI_MATH SPKI_R spki_ov_select(SPKI_M c, SPKI_R a, SPKI_R b)\n",
"{\n",
"    return SPKI_F(spki_select)(c, a, b);\n",
"}\n",
"#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE || defined(SPKI_CODE)\n",
"SPKI_MATH int spki_ov_any(SPKI_M c)\n",
"{\n",
"    return SPKI_F(spki_any)(c);\n",
"}\n",
"#endif\n",
"#ifndef SPKI_CODE\n",
"#if SPKI_LANES > 1 || !SPKI_IS_DOUBLE\n",
"SPKI_MATH uint64_t spki_ov_mask_bits(SPKI_M c)\n",
"{\n",
"    return SPKI_F(spki_mask_bits)(c);\n",
"}\n",
"#endif\n",
"#if !SPKI_IS_DOUBLE\n",
"SPKI_MATH SPKI_R spki_ov_unpack16(SPKI_R like, const uint16_t *p)\n",
"{\n",
"    return SPKI_F(spki_unpack16)(like, p);\n",
"}\n",
"SPKI_MATH void spki_ov_pack16(SPKI_R x, uint16_t *p, SPKI_I random)\n",
"{\n",
"    SPKI_F(spki_pack16)(x, p, random);\n",
"}\n",
"#endif\n",
"#endif\n",
"#undef SPKI_OVERLOAD_1\n",
"#undef SPKI_OVERLOAD_2\n",
"#endif\n",
"#ifndef SPKI_ON_DEVICE\n",
"#undef SPKI_R\n",
"#undef SPKI_I\n",
"#undef SPKI_M\n",
"#undef SPKI_F\n",
"#undef SPKI_MATH\n",
"#undef SPKI_C\n",
"#undef SPKI_X86_VECTOR\n",
"#undef SPKI_INT\n",
"#undef SPKI_LANES\n",
"#undef SPKI_IS_DOUBLE\n",
"#undef SPKI_S\n",
"#undef SPKI_E\n",
"#undef SPKI_TARGET\n",
"#endif\n",
0
};

static const char *const spki_gpu_text_engine[] = {
"typedef SPKI_R real;\n",
"typedef SPKI_CAT(spki_m, SPKI_S) mask;\n",
"#define spki_elem SPKI_E\n",
"#ifndef K\n",
"#define K(x) (spki_zero + (spki_elem)(x))\n",
"#endif\n",
"#define spk_exp(x) SPKI_F(spki_exp)(x)\n",
"#define spk_exprel(x) SPKI_F(spki_exprel)(x)\n",
"#define spk_log(x) SPKI_F(spki_log)(x)\n",
"#define spk_sin(x) SPKI_F(spki_sin)(x)\n",
"#define spk_cos(x) SPKI_F(spki_cos)(x)\n",
"#define spk_tanh(x) SPKI_F(spki_tanh)(x)\n",
"#define spk_sqrt(x) SPKI_F(spki_sqrt)(x)\n",
"#define spk_abs(x) SPKI_F(spki_abs)(x)\n",
"#define spk_flush(x) SPKI_F(spki_flush)(x)\n",
"#define spk_pow(x, y) SPKI_F(spki_pow)(x, y)\n",
"#define spk_min(x, y) SPKI_F(spki_min)(x, y)\n",
"#define spk_max(x, y) SPKI_F(spki_max)(x, y)\n",
"#define spk_any(c) SPKI_F(spki_any)(c)\n",
"#define spk_select(c, a, b) SPKI_F(spki_select)(c, a, b)\n",
"#if SPKI_WIDE\n",
"typedef int64_t spki_acc;\n",
"#else\n",
"typedef int32_t spki_acc;\n",
"#endif\n",
"#if SPKI_LANES == 1\n",
"typedef spki_acc spki_accs;\n",
"#elif SPKI_WIDE\n",
"typedef SPKI_CAT(long, SPKI_LANES) spki_accs;\n",
"#else\n",
"typedef spki_ints spki_accs;\n",
"#endif\n",
"#if SPKI_HALF\n",
"typedef uint16_t spki_stored;\n",
"#else\n",
"typedef spki_elem spki_stored;\n",
"#endif\n",
"typedef struct spki_env {\n",
"    SPKI_GLOBAL const uint64_t *desc, *pop;\n",
"    SPKI_GLOBAL const spki_elem *value;\n",
"    SPKI_GLOBAL const uint32_t *table;\n",
"    SPKI_GLOBAL const spki_elem *told;\n",
"    SPKI_GLOBAL spki_stored *state;\n",
"    SPKI_GLOBAL spki_acc *acc;\n",
"    uint64_t step, at_acc, stride;\n",
"    uint32_t seed0, seed1, group, low, amounts, arrived;\n",
"} spki_env;\n",
"SPKI_DEVICE void spki_draw(const spki_env *e, uint64_t step, uint32_t stream, spki_words out[4])\n",
"{\n",
"    spki_words x0, x1, x2, x3;\n",
"    uint32_t k0 = e->seed0, k1 = e->seed1;\n",
"#if SPKI_LANES == 16\n",
"    x0 = (spki_words)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);\n",
"#elif SPKI_LANES == 8\n",
"    x0 = (spki_words)(0, 1, 2, 3, 4, 5, 6, 7);\n",
"#elif SPKI_LANES == 4\n",
"    x0 = (spki_words)(0, 1, 2, 3);\n",
"#else\n",
"    x0 = 0;\n",
"#endif\n",
"    x0 = x0 + (e->group * 16u + e->low);\n",
"    x1 = (spki_words)((uint32_t)step);\n",
"    x2 = (spki_words)((uint32_t)(step >> 32) ^ (uint32_t)e->pop[SPKI_POP_TAG]);\n",
"    x3 = (spki_words)(stream);\n",
"    for (int round = 0; round < 10; round++) {\n",
"        spki_words l0, l1;\n",
"        const spki_words h0 = spki_multiply(x0, 0xD2511F53u, &l0);\n",
"        const spki_words h1 = spki_multiply(x2, 0xCD9E8D57u, &l1);\n",
"        x0 = h1 ^ x1 ^ k0;\n",
"        x1 = l1;\n",
"        x2 = h0 ^ x3 ^ k1;\n",
"        x3 = l0;\n",
"        k0 += 0x9E3779B9u;\n",
"        k1 += 0xBB67AE85u;\n",
"    }\n",
"    out[0] = x0;\n",
"    out[1] = x1;\n",
"    out[2] = x2;\n",
"    out[3] = x3;\n",
"}\n",
"#define SPKI_HALVES(u, high, low) \\\n",
"    const real high = SPKI_TO_REAL((u) >> 16), low = SPKI_TO_REAL((u)&0xffffu)\n",
"SPKI_DEVICE real spki_uniform(spki_words u)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    SPKI_HALVES(u, high, low);\n",
"    return (high * K(65536.0) + (low + K(0.5))) * K(2.3283064365386963e-10);\n",
"}\n",
"SPKI_DEVICE real spki_normal(spki_words u, spki_elem sd)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"#if SPKI_LANES == 1\n",
"    const uint32_t m = (u & 0x80000000u) ? ~u : u;\n",
"#else\n",
"    const spki_words m = u ^ (0u - (u >> 31));\n",
"#endif\n",
"    SPKI_HALVES(m, high, low);\n",
"    const real tail = (high * K(65536.0) + (low + K(0.5))) * K(2.3283064365386963e-10);\n",
"    const real q = K(0.5) - tail, r = K(0.180625) - q * q;\n",
"    const real mid =\n",
"        q * (((K(59.109374720) * r + K(159.29113202)) * r + K(50.434271938)) * r +\n",
"             K(3.3871327179)) /\n",
"        (((K(67.187563600) * r + K(78.757757664)) * r + K(17.895169469)) * r + K(1.0));\n",
"    const real s = spk_sqrt(-spk_log(tail)) - K(1.6);\n",
"    const real wing = (((K(0.17023821103) * s + K(1.3067284816)) * s + K(2.7568153900)) * s +\n",
"                       K(1.4234372777)) /\n",
"                      ((K(0.12021132975) * s + K(0.73700164250)) * s + K(1.0));\n",
"    const real z = spk_select(q <= K(0.425), mid, wing) * (spki_zero + sd);\n",
"#if SPKI_LANES == 1\n",
"    return (u & 0x80000000u) ? z : -z;\n",
"#else\n",
"    return spk_select(SPKI_WIDER((u >> 31) != 0u), z, -z);\n",
"#endif\n",
"}\n",
"SPKI_DEVICE spki_ints spki_events(SPKI_GLOBAL const uint32_t *table, spki_words u)\n",
"{\n",
"    const uint32_t count = table[1], common = table[2];\n",
"    spki_ints hits = SPKI_NIL(spki_ints);\n",
"    uint32_t t = 0;\n",
"#if SPKI_LANES > 1\n",
"    for (; t < common; t++) {\n",
"        hits += u >= table[3 + t];\n",
"    }\n",
"#endif\n",
"    for (; t < count; t++) {\n",
"        const spki_ints reached = u >= table[3 + t];\n",
"#if SPKI_LANES == 1\n",
"        if (!reached) {\n",
"#else\n",
"        if (!SPKI_ANY_INTS(reached)) {\n",
"#endif\n",
"            break;\n",
"        }\n",
"        hits += reached;\n",
"    }\n",
"    return SPKI_COUNT(hits) + (int)table[0];\n",
"}\n",
"SPKI_DEVICE real spki_add_part(real x, real add, uint32_t lane, uint32_t first, uint32_t count)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return lane - first < count ? x + add : x;\n",
"#else\n",
"    if (lane >= first && lane + SPKI_LANES <= first + count) {\n",
"        return x + add;\n",
"    }\n",
"    spki_elem in[SPKI_LANES], more[SPKI_LANES];\n",
"    SPKI_VSTORE(x, in, 0);\n",
"    SPKI_VSTORE(add, more, 0);\n",
"    for (uint32_t k = 0; k < SPKI_LANES; k++) {\n",
"        in[k] = lane + k - first < count ? in[k] + more[k] : in[k];\n",
"    }\n",
"    return SPKI_VLOAD(in, 0);\n",
"#endif\n",
"}\n",
"SPKI_DEVICE real spki_own_poisson(const spki_env *e, SPKI_GLOBAL const uint64_t *part, uint32_t r,\n",
"                                  real x, spki_words u, uint32_t lane)\n",
"{\n",
"    const uint32_t first = (uint32_t)part[SPKI_PART_FIRST];\n",
"    const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];\n",
"    SPKI_GLOBAL const spki_elem *amount = e->value + part[SPKI_PART_VALUE];\n",
"    SPKI_GLOBAL const uint32_t *where = e->table + part[SPKI_PART_TABLE];\n",
"    spki_elem out[SPKI_LANES];\n",
"    uint32_t word[SPKI_LANES];\n",
"    SPKI_VSTORE(x, out, 0);\n",
"    SPKI_VSTORE(u, word, 0);\n",
"    for (uint32_t k = 0; k < SPKI_LANES; k++) {\n",
"        const uint32_t n = lane + k - first;\n",
"        if (n >= count || where[2 * n] != r) {\n",
"            continue;\n",
"        }\n",
"        SPKI_GLOBAL const uint32_t *table = e->table + where[2 * n + 1];\n",
"        uint32_t events = 0;\n",
"        while (events < table[1] && word[k] >= table[3 + events]) {\n",
"            events++;\n",
"        }\n",
"        out[k] = out[k] + (spki_elem)(int)(table[0] + events) * amount[n];\n",
"    }\n",
"    return SPKI_VLOAD(out, 0);\n",
"}\n",
"SPKI_DEVICE void spki_add_poisson(const spki_env *e, SPKI_GLOBAL const uint64_t *part, uint32_t r,\n",
"                                  real x[4])\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    const uint32_t base = e->group * 64u, first = (uint32_t)part[SPKI_PART_FIRST];\n",
"    const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];\n",
"    const uint32_t own = (uint32_t)part[SPKI_PART_OWN];\n",
"    if (base + 64u <= first || base >= first + count ||\n",
"        (own ? r != part[SPKI_PART_POS] && r != part[SPKI_PART_NEG] : r != part[SPKI_PART_POS])) {\n",
"        return;\n",
"    }\n",
"    spki_words u[4];\n",
"    spki_draw(e, e->step, (uint32_t)part[SPKI_PART_STREAM], u);\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        const uint32_t lane = base + 16u * w + e->low;\n",
"        if (own) {\n",
"            x[w] = spki_own_poisson(e, part, r, x[w], u[w], lane);\n",
"            continue;\n",
"        }\n",
"        const real weight = spki_zero + e->value[part[SPKI_PART_VALUE]];\n",
"        const real amount =\n",
"            SPKI_TO_REAL(spki_events(e->table + part[SPKI_PART_TABLE], u[w])) * weight;\n",
"        x[w] = spki_add_part(x[w], amount, lane, first, count);\n",
"    }\n",
"}\n",
"SPKI_DEVICE spki_elem spki_quantum(const spki_env *e, uint32_t r)\n",
"{\n",
"    return e->value[e->pop[SPKI_POP_QUANTUM + r]];\n",
"}\n",
"SPKI_DEVICE real spki_arrived(const spki_env *e, uint32_t r, spki_elem quantum, uint32_t w)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    if (!e->arrived) {\n",
"        return spki_zero;\n",
"    }\n",
"    SPKI_GLOBAL spki_acc *acc = e->acc + e->at_acc + r * e->stride + e->low + 16u * w;\n",
"    const spki_accs in = SPKI_ALIGNED(spki_accs, acc);\n",
"#if SPKI_LANES == 1\n",
"    *acc = 0;\n",
"#else\n",
"    if (SPKI_ANY_ACCS(in)) {\n",
"        SPKI_ALIGNED(spki_accs, acc) = SPKI_NIL(spki_accs);\n",
"    }\n",
"#endif\n",
"    return SPKI_TO_REAL(in) * (spki_zero + quantum);\n",
"}\n",
"SPKI_DEVICE void spki_receptor(const spki_env *e, uint32_t r, spki_elem quantum, real x[4])\n",
"{\n",
"    const uint32_t parts = (uint32_t)e->pop[SPKI_POP_PARTS];\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        x[w] = spki_arrived(e, r, quantum, w);\n",
"    }\n",
"    SPKI_GLOBAL const uint64_t *part = e->desc + e->pop[SPKI_POP_PART];\n",
"    for (uint32_t k = 0; k < parts; k++, part += SPKI_PART_SIZE) {\n",
"        if (part[SPKI_PART_KIND] == 0 && e->step >= part[SPKI_PART_START] &&\n",
"            e->step < part[SPKI_PART_STOP]) {\n",
"            spki_add_poisson(e, part, r, x);\n",
"        }\n",
"    }\n",
"    if (e->amounts && e->pop[SPKI_POP_AMOUNT + r]) {\n",
"        SPKI_GLOBAL const spki_elem *amount =\n",
"            e->told + (e->pop[SPKI_POP_AMOUNT + r] - 1) + e->group * 64u + e->low;\n",
"        for (uint32_t w = 0; w < 4; w++) {\n",
"            x[w] = x[w] + SPKI_VLOAD(amount, 16u * w);\n",
"        }\n",
"    }\n",
"}\n",
"#if SPKI_LANES > 1\n",
"SPKI_DEVICE real spki_undriven(const spki_env *e, uint32_t r, spki_elem quantum, uint32_t w)\n",
"{\n",
"    const real x = spki_arrived(e, r, quantum, w);\n",
"    return e->amounts && e->pop[SPKI_POP_AMOUNT + r]\n",
"               ? x + SPKI_VLOAD(e->told, e->pop[SPKI_POP_AMOUNT + r] - 1 + e->group * 64u +\n",
"                                             e->low + 16u * w)\n",
"               : x;\n",
"}\n",
"SPKI_DEVICE real spki_undriven_current(const spki_env *e, uint32_t w)\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    return e->pop[SPKI_POP_CURRENT]\n",
"               ? spki_zero + SPKI_VLOAD(e->told, e->pop[SPKI_POP_CURRENT] - 1 + e->group * 64u +\n",
"                                                     e->low + 16u * w)\n",
"               : spki_zero;\n",
"}\n",
"#endif\n",
"SPKI_DEVICE void spki_current(const spki_env *e, real x[4])\n",
"{\n",
"    const real spki_zero = SPKI_NIL(real);\n",
"    const uint32_t parts = (uint32_t)e->pop[SPKI_POP_PARTS], base = e->group * 64u;\n",
"    SPKI_GLOBAL const uint64_t *part = e->desc + e->pop[SPKI_POP_PART];\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        x[w] = spki_zero;\n",
"    }\n",
"    for (uint32_t k = 0; k < parts; k++, part += SPKI_PART_SIZE) {\n",
"        const uint32_t first = (uint32_t)part[SPKI_PART_FIRST];\n",
"        const uint32_t count = (uint32_t)part[SPKI_PART_COUNT];\n",
"        if (part[SPKI_PART_KIND] == 0 || e->step < part[SPKI_PART_START] ||\n",
"            e->step >= part[SPKI_PART_STOP] || base + 64u <= first || base >= first + count) {\n",
"            continue;\n",
"        }\n",
"        SPKI_GLOBAL const spki_elem *value = e->value + part[SPKI_PART_VALUE];\n",
"        for (uint32_t w = 0; w < 4; w++) {\n",
"            const uint32_t lane = base + 16u * w + e->low;\n",
"            const real add = part[SPKI_PART_OWN] ? SPKI_VLOAD(value, lane - first + 64u)\n",
"                                                 : spki_zero + value[0];\n",
"            x[w] = spki_add_part(x[w], add, lane, first, count);\n",
"        }\n",
"        if (part[SPKI_PART_NOISE]) {\n",
"            const uint64_t every = part[SPKI_PART_NOISE];\n",
"            const uint64_t since = e->step - part[SPKI_PART_START];\n",
"            const spki_elem sd = e->value[part[SPKI_PART_SD]];\n",
"            spki_words u[4];\n",
"            spki_draw(e, every == 1 ? since : since / every, (uint32_t)part[SPKI_PART_STREAM], u);\n",
"            for (uint32_t w = 0; w < 4; w++) {\n",
"                x[w] = spki_add_part(x[w], spki_normal(u[w], sd), base + 16u * w + e->low, first,\n",
"                                     count);\n",
"            }\n",
"        }\n",
"    }\n",
"    if (e->pop[SPKI_POP_CURRENT]) {\n",
"        SPKI_GLOBAL const spki_elem *current =\n",
"            e->told + (e->pop[SPKI_POP_CURRENT] - 1) + base + e->low;\n",
"        for (uint32_t w = 0; w < 4; w++) {\n",
"            x[w] = x[w] + SPKI_VLOAD(current, 16u * w);\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_random(const spki_env *e, uint32_t input, real x[4])\n",
"{\n",
"    spki_words u[4];\n",
"    spki_draw(e, e->step, SPKI_STREAM_INPUT | input, u);\n",
"    for (uint32_t w = 0; w < 4; w++) {\n",
"        x[w] = spki_uniform(u[w]);\n",
"    }\n",
"}\n",
"SPKI_DEVICE SPKI_GLOBAL spki_stored *spki_state(const spki_env *e, uint32_t s)\n",
"{\n",
"    return e->state + e->pop[SPKI_POP_STATE + s];\n",
"}\n",
"SPKI_DEVICE real spki_get(const spki_env *e, uint32_t s, SPKI_GLOBAL const spki_stored *at)\n",
"{\n",
"#if SPKI_HALF\n",
"    const uint16_t h = *at;\n",
"    return SPKI_F(spki_unpack16)(0.0f, &h) + e->value[e->pop[SPKI_POP_OFFSET] + s];\n",
"#else\n",
"    return SPKI_ALIGNED(const real, at);\n",
"#endif\n",
"}\n",
"SPKI_DEVICE void spki_put(const spki_env *e, uint32_t s, SPKI_GLOBAL spki_stored *at, real x,\n",
"                          spki_words random)\n",
"{\n",
"#if SPKI_HALF\n",
"    uint16_t h;\n",
"    SPKI_F(spki_pack16)(x - e->value[e->pop[SPKI_POP_OFFSET] + s], &h,\n",
"                        (int32_t)((random >> (16u * (s & 1u))) & 0x1fffu));\n",
"    *at = h;\n",
"#else\n",
"    SPKI_ALIGNED(real, at) = x;\n",
"#endif\n",
"}\n",
"#if SPKI_HALF\n",
"SPKI_DEVICE SPKI_GLOBAL float *spki_shadow(const spki_env *e, uint32_t words)\n",
"{\n",
"    const uint64_t groups = e->pop[SPKI_POP_GROUPS], shadows = e->pop[SPKI_POP_SHADOWS];\n",
"    const uint64_t slot = e->group * shadows / groups;\n",
"    return (e->group + 1u) * shadows / groups == slot\n",
"               ? 0\n",
"               : (SPKI_GLOBAL float *)e->state + (e->pop[SPKI_POP_SHADOW] + slot * words);\n",
"}\n",
"SPKI_DEVICE void spki_compare(SPKI_GLOBAL float *at, float x, int spike, int shadow_spike)\n",
"{\n",
"    SPKI_GLOBAL uint32_t *spikes = (SPKI_GLOBAL uint32_t *)(at + 64);\n",
"    *at = *at + (x < 0.0f ? -x : x);\n",
"    spikes[0] += spike ? 1u : 0u;\n",
"    spikes[64] += shadow_spike ? 1u : 0u;\n",
"}\n",
"#endif\n",
"SPKI_DEVICE spki_elem spki_same(const spki_env *e, uint32_t k)\n",
"{\n",
"    return e->value[e->pop[SPKI_POP_REAL + k]];\n",
"}\n",
"SPKI_DEVICE real spki_each(const spki_env *e, uint32_t k, uint32_t lane)\n",
"{\n",
"    return SPKI_VLOAD(e->value + (e->pop[SPKI_POP_REAL + k] + lane), 0);\n",
"}\n",
"SPKI_DEVICE uint32_t spki_bits(mask spike)\n",
"{\n",
"#if SPKI_LANES == 1\n",
"    return spike ? 1u : 0u;\n",
"#else\n",
"    if (!SPKI_ANY(spike)) {\n",
"        return 0u;\n",
"    }\n",
"    return SPKI_MASK_BITS(spike);\n",
"#endif\n",
"}\n",
"#define SPKI_ITEMS_OF_GROUP (16u / SPKI_LANES)\n",
"#if SPKI_LANES > 1\n",
"#define SPKI_BEGIN_BLOCK \\\n",
"    for (uint32_t spki_s = 0; spki_s < spki_run->steps; spki_s++) { \\\n",
"        for (uint32_t spki_g = SPKI_ITEM(); spki_g < spki_groups; spki_g += SPKI_ITEMS()) { \\\n",
"            spki_e->group = spki_first + spki_g; \\\n",
"            uint64_t spki_word = 0; \\\n",
"            for (uint32_t spki_low = 0; spki_low < 16u; spki_low += SPKI_LANES) { \\\n",
"                spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);\n",
"#define SPKI_SPIKED(spike, w) \\\n",
"    spki_word |= (uint64_t)spki_bits(spike) << (16u * (w) + spki_low);\n",
"#define SPKI_END_BLOCK \\\n",
"            } \\\n",
"            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] + \\\n",
"                              spki_e->group] = spki_word & spki_valid(spki_e); \\\n",
"        } \\\n",
"    }\n",
"#elif defined(SPKI_VOTE)\n",
"#define SPKI_BEGIN_BLOCK \\\n",
"    const uint32_t spki_g = SPKI_ITEM() / 16u % SPKI_BLOCK_GROUPS, spki_low = SPKI_ITEM() % 16u; \\\n",
"    spki_e->group = spki_first + spki_g; \\\n",
"    for (uint32_t spki_s = 0; spki_g < spki_groups && spki_s < spki_run->steps; spki_s++) { \\\n",
"        uint64_t spki_word = 0; \\\n",
"        spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);\n",
"#define SPKI_SPIKED(spike, w) spki_word |= (uint64_t)SPKI_VOTE(spike) << (16u * (w));\n",
"#define SPKI_END_BLOCK \\\n",
"        if (spki_low == 0) { \\\n",
"            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] + \\\n",
"                              spki_e->group] = spki_word & spki_valid(spki_e); \\\n",
"        } \\\n",
"    }\n",
"#else\n",
"#define SPKI_BEGIN_BLOCK \\\n",
"    const uint32_t spki_g = SPKI_ITEM() / 16u, spki_low = SPKI_ITEM() % 16u; \\\n",
"    const int spki_on = spki_g < spki_groups; \\\n",
"    spki_e->group = spki_first + spki_g; \\\n",
"    for (uint32_t spki_s = 0; spki_s < spki_run->steps; spki_s++) { \\\n",
"        if (spki_low == 0) { \\\n",
"            spki_run->bits[2 * spki_g] = spki_run->bits[2 * spki_g + 1] = 0; \\\n",
"        } \\\n",
"        SPKI_MEET(); \\\n",
"        if (spki_on) { \\\n",
"            spki_set_step(spki_e, spki_run, spki_block, spki_g, spki_s, spki_low);\n",
"#define SPKI_SPIKED(spike, w) \\\n",
"    if (spike) { \\\n",
"        (void)SPKI_LOCAL_OR(&spki_run->bits[2 * spki_g + (w) / 2], \\\n",
"                            1u << (16u * ((w)&1u) + spki_low)); \\\n",
"    }\n",
"#define SPKI_END_BLOCK \\\n",
"        } \\\n",
"        SPKI_MEET(); \\\n",
"        if (spki_on && spki_low == 0) { \\\n",
"            spki_run->history[spki_row(spki_run, spki_s) + spki_e->pop[SPKI_POP_GROUP] + \\\n",
"                              spki_e->group] = \\\n",
"                ((uint64_t)spki_run->bits[2 * spki_g] | \\\n",
"                 (uint64_t)spki_run->bits[2 * spki_g + 1] << 32) & spki_valid(spki_e); \\\n",
"        } \\\n",
"        SPKI_MEET(); \\\n",
"    }\n",
"#endif\n",
"typedef struct spki_run {\n",
"    SPKI_GLOBAL uint64_t *history;\n",
"    SPKI_GLOBAL const uint32_t *arrived;\n",
"    SPKI_LOCAL uint32_t *bits;\n",
"    uint64_t first, slots, acc_first;\n",
"    uint32_t steps, pos, ring, mask, row, amounts;\n",
"} spki_run;\n",
"SPKI_DEVICE uint64_t spki_row(const spki_run *run, uint32_t s)\n",
"{\n",
"    return ((run->first + s) & run->mask) * run->row;\n",
"}\n",
"SPKI_DEVICE uint64_t spki_valid(const spki_env *e)\n",
"{\n",
"    const uint32_t left = (uint32_t)e->pop[SPKI_POP_COUNT] - e->group * 64u;\n",
"    return left >= 64u ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;\n",
"}\n",
"SPKI_DEVICE void spki_set_step(spki_env *e, const spki_run *run,\n",
"                               SPKI_GLOBAL const uint64_t *block, uint32_t g, uint32_t s,\n",
"                               uint32_t low)\n",
"{\n",
"    uint32_t pos = run->pos + s;\n",
"    pos -= pos >= run->ring ? run->ring : 0;\n",
"    e->step = run->first + s;\n",
"    e->low = low;\n",
"    e->at_acc = pos * run->slots + block[SPKI_BLOCK_ACC] - run->acc_first + g * 64u;\n",
"    e->stride = block[SPKI_BLOCK_STRIDE];\n",
"    e->amounts = run->amounts && s == 0;\n",
"#if SPKI_OWNED\n",
"    e->arrived = run->arrived[block[SPKI_BLOCK_TILE] * run->ring + pos];\n",
"#else\n",
"    e->arrived = 1;\n",
"#endif\n",
"}\n",
0
};

static const char *const spki_gpu_text_kernels[] = {
"#ifndef SPKI_OF_SET\n",
"#define SPKI_OF_SET\n",
"#define SPKI_WITH_SET(name) name\n",
"#endif\n",
"#if defined(SPKI_REPLAYED)\n",
"#define SPKI_ORIGIN_PARAM , const uint64_t *origin\n",
"#define SPKI_FROM_ORIGIN(k) (origin ? origin[k] : 0)\n",
"#define SPKI_ORIGIN_POS(pos, ring) (origin ? ((pos) + (uint32_t)origin[1]) % (ring) : (pos))\n",
"#define SPKI_ORIGIN_LIST(list) (origin ? (uint32_t *)origin[3] : (list))\n",
"#else\n",
"#define SPKI_ORIGIN_PARAM\n",
"#define SPKI_FROM_ORIGIN(k) 0\n",
"#define SPKI_ORIGIN_POS(pos, ring) (pos)\n",
"#define SPKI_ORIGIN_LIST(list) (list)\n",
"#endif\n",
"SPKI_OF_SET SPKI_DEVICE void spki_update_block(spki_env *e, const spki_run *run,\n",
"                                               SPKI_GLOBAL const uint64_t *block)\n",
"{\n",
"#if defined(SPKI_DISPATCH)\n",
"    switch ((uint32_t)e->pop[SPKI_POP_MODEL]) {\n",
"        SPKI_DISPATCH\n",
"    default: break;\n",
"    }\n",
"#else\n",
"    spki_set::update((uint32_t)e->pop[SPKI_POP_MODEL], e, run, block);\n",
"#endif\n",
"}\n",
"SPKI_ENTRY(spki_update)(SPKI_GLOBAL const uint64_t *desc, SPKI_GLOBAL const uint64_t *blocks,\n",
"                        SPKI_GLOBAL const spki_elem *value, SPKI_GLOBAL const uint32_t *table,\n",
"                        SPKI_GLOBAL const spki_elem *told, SPKI_GLOBAL spki_stored *state,\n",
"                        SPKI_GLOBAL spki_acc *acc, SPKI_GLOBAL const uint32_t *arrived,\n",
"                        SPKI_GLOBAL uint64_t *history, uint64_t seed, uint64_t first,\n",
"                        uint64_t slots, uint32_t steps, uint32_t pos, uint32_t ring,\n",
"                        uint32_t history_mask, uint32_t history_row,\n",
"                        uint32_t amounts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t bits[2 * SPKI_BLOCK_GROUPS];\n",
"    spki_env e;\n",
"    spki_run run;\n",
"    e.desc = desc;\n",
"    e.value = value;\n",
"    e.table = table;\n",
"    e.told = told;\n",
"    e.state = state;\n",
"    e.acc = acc;\n",
"    e.seed0 = (uint32_t)seed;\n",
"    e.seed1 = (uint32_t)(seed >> 32);\n",
"    run.history = history;\n",
"    run.arrived = arrived;\n",
"    run.bits = bits;\n",
"    run.first = first + SPKI_FROM_ORIGIN(0);\n",
"    run.slots = slots;\n",
"    run.acc_first = 0;\n",
"    run.steps = steps;\n",
"    run.pos = SPKI_ORIGIN_POS(pos, ring);\n",
"    run.ring = ring;\n",
"    run.mask = history_mask;\n",
"    run.row = history_row;\n",
"    run.amounts = amounts;\n",
"    SPKI_GLOBAL const uint64_t *block = blocks + SPKI_GROUP_ID() * SPKI_BLOCK_SIZE;\n",
"    e.pop = desc + block[SPKI_BLOCK_POP];\n",
"    SPKI_WITH_SET(spki_update_block)(&e, &run, block);\n",
"}\n",
"SPKI_ENTRY(spki_tell)(SPKI_GLOBAL const uint32_t *lane, SPKI_GLOBAL uint32_t *history,\n",
"                      uint64_t row, uint32_t first, uint32_t count)\n",
"{\n",
"    const uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    const uint32_t n = k < count ? lane[first + k] : 0xffffffffu;\n",
"    if (n != 0xffffffffu) {\n",
"        (void)SPKI_GLOBAL_OR(&history[row + n / 32u], 1u << (n % 32u));\n",
"    }\n",
"}\n",
"#if defined(SPKI_FROM_BEFORE)\n",
"SPKI_DEVICE uint32_t spki_before(SPKI_LOCAL uint32_t *sum, uint32_t mine, uint32_t *all)\n",
"{\n",
"    const uint32_t lane = SPKI_ITEM() % 32u, warp = SPKI_ITEM() / 32u, warps = SPKI_ITEMS() / 32u;\n",
"    uint32_t up = mine, before = 0, total = 0;\n",
"    for (uint32_t d = 1; d < 32u; d *= 2) {\n",
"        const uint32_t add = SPKI_FROM_BEFORE(up, d);\n",
"        up += lane >= d ? add : 0;\n",
"    }\n",
"    if (lane == 31u) {\n",
"        sum[warp] = up;\n",
"    }\n",
"    SPKI_MEET();\n",
"    for (uint32_t w = 0; w < warps; w++) {\n",
"        before += w < warp ? sum[w] : 0;\n",
"        total += sum[w];\n",
"    }\n",
"    SPKI_MEET();\n",
"    *all = total;\n",
"    return before + up - mine;\n",
"}\n",
"#else\n",
"SPKI_DEVICE uint32_t spki_before(SPKI_LOCAL uint32_t *sum, uint32_t mine, uint32_t *all)\n",
"{\n",
"    const uint32_t item = SPKI_ITEM(), items = SPKI_ITEMS();\n",
"    sum[item] = mine;\n",
"    SPKI_MEET();\n",
"    for (uint32_t d = 1; d < items; d *= 2) {\n",
"        const uint32_t add = item >= d ? sum[item - d] : 0;\n",
"        SPKI_MEET();\n",
"        sum[item] += add;\n",
"        SPKI_MEET();\n",
"    }\n",
"    *all = sum[items - 1];\n",
"    const uint32_t before = sum[item] - mine;\n",
"    SPKI_MEET();\n",
"    return before;\n",
"}\n",
"#endif\n",
"SPKI_ENTRY(spki_count)(SPKI_GLOBAL const uint64_t *history, SPKI_GLOBAL uint32_t *counts,\n",
"                       uint64_t first, uint32_t history_mask, uint32_t history_row,\n",
"                       uint32_t group_first, uint32_t groups, uint32_t parts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];\n",
"    const uint32_t s = SPKI_GROUP_ID() / parts, part = SPKI_GROUP_ID() % parts;\n",
"    const uint32_t from = (uint32_t)((uint64_t)groups * part / parts);\n",
"    const uint32_t to = (uint32_t)((uint64_t)groups * (part + 1) / parts);\n",
"    first += SPKI_FROM_ORIGIN(0);\n",
"    SPKI_GLOBAL const uint64_t *row =\n",
"        history + ((first + s) & history_mask) * history_row + group_first;\n",
"    uint32_t n = 0, all;\n",
"    for (uint32_t g = from + SPKI_ITEM(); g < to; g += SPKI_ITEMS()) {\n",
"        n += SPKI_POPCOUNT(row[g]);\n",
"    }\n",
"    (void)spki_before(sum, n, &all);\n",
"    if (SPKI_ITEM() == 0) {\n",
"        counts[SPKI_GROUP_ID()] = all;\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_scan)(SPKI_GLOBAL uint32_t *counts, SPKI_GLOBAL uint32_t *list, uint32_t at,\n",
"                      uint32_t steps, uint32_t parts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];\n",
"    list = SPKI_ORIGIN_LIST(list);\n",
"    at += (uint32_t)SPKI_FROM_ORIGIN(2);\n",
"    uint32_t total = list[at];\n",
"    for (uint32_t s = 0; s < steps; s++) {\n",
"        for (uint32_t k = 0; k < parts; k += SPKI_ITEMS()) {\n",
"            const uint32_t mine = k + SPKI_ITEM();\n",
"            uint32_t all;\n",
"            const uint32_t n = mine < parts ? counts[s * parts + mine] : 0;\n",
"            const uint32_t before = spki_before(sum, n, &all);\n",
"            if (mine < parts) {\n",
"                counts[s * parts + mine] = total + before;\n",
"            }\n",
"            total += all;\n",
"        }\n",
"        if (SPKI_ITEM() == 0) {\n",
"            list[at + s + 1] = total;\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_compact)(SPKI_GLOBAL const uint64_t *history, SPKI_GLOBAL const uint32_t *counts,\n",
"                         SPKI_GLOBAL const uint32_t *group_id, SPKI_GLOBAL uint32_t *list,\n",
"                         uint64_t first, uint32_t at, uint32_t steps, uint32_t history_mask,\n",
"                         uint32_t history_row, uint32_t group_first, uint32_t groups,\n",
"                         uint32_t parts SPKI_ORIGIN_PARAM)\n",
"{\n",
"    SPKI_SHARED uint32_t sum[SPKI_SCAN_ITEMS];\n",
"    list = SPKI_ORIGIN_LIST(list);\n",
"    first += SPKI_FROM_ORIGIN(0);\n",
"    at += (uint32_t)SPKI_FROM_ORIGIN(2);\n",
"    const uint32_t part = SPKI_GROUP_ID() % parts;\n",
"    const uint32_t from = (uint32_t)((uint64_t)groups * part / parts);\n",
"    const uint32_t to = (uint32_t)((uint64_t)groups * (part + 1) / parts);\n",
"    uint32_t s = SPKI_GROUP_ID() / parts, end = s + 1, total;\n",
"    if (parts == 1) {\n",
"        uint32_t n = 0, all;\n",
"        s = steps * SPKI_GROUP_ID() / SPKI_GROUPS();\n",
"        end = steps * (SPKI_GROUP_ID() + 1) / SPKI_GROUPS();\n",
"        for (uint32_t k = 0; k < s; k++) {\n",
"            SPKI_GLOBAL const uint64_t *row =\n",
"                history + ((first + k) & history_mask) * history_row + group_first;\n",
"            for (uint32_t g = SPKI_ITEM(); g < groups; g += SPKI_ITEMS()) {\n",
"                n += SPKI_POPCOUNT(row[g]);\n",
"            }\n",
"        }\n",
"        (void)spki_before(sum, n, &all);\n",
"        total = list[at] + all;\n",
"    } else {\n",
"        total = counts[SPKI_GROUP_ID()];\n",
"    }\n",
"    for (; s < end; s++) {\n",
"        SPKI_GLOBAL const uint64_t *row =\n",
"            history + ((first + s) & history_mask) * history_row + group_first;\n",
"        for (uint32_t g = from; g < to; g += SPKI_ITEMS()) {\n",
"            const uint32_t mine = g + SPKI_ITEM();\n",
"            uint64_t word = mine < to ? row[mine] : 0;\n",
"            uint32_t all, n = SPKI_POPCOUNT(word);\n",
"            uint32_t put = SPKI_LIST_IDS + total + spki_before(sum, n, &all);\n",
"            for (; word; word &= word - 1) {\n",
"                list[put++] = group_id[group_first + mine] + SPKI_LOWEST(word);\n",
"            }\n",
"            total += all;\n",
"        }\n",
"        if (parts == 1 && SPKI_ITEM() == 0) {\n",
"            list[at + s + 1] = total;\n",
"        }\n",
"    }\n",
"}\n",
"#if SPKI_WIDE_WEIGHTS\n",
"#define SPKI_SYNAPSE_WORDS 2u\n",
"#define SPKI_SLOT(p) ((p)[0])\n",
"#define SPKI_WEIGHT(p) ((int32_t)(p)[1])\n",
"#else\n",
"#define SPKI_SYNAPSE_WORDS 1u\n",
"#define SPKI_SLOT(p) ((p)[0] & 0xffffu)\n",
"#define SPKI_WEIGHT(p) ((int32_t)(p)[0] >> 16)\n",
"#endif\n",
"#if SPKI_BYTE_WEIGHTS\n",
"#define SPKI_BUCKET_WORDS(count) (3u * ((count) / 4u) + ((count) & 3u))\n",
"SPKI_DEVICE uint32_t spki_slot_of(SPKI_GLOBAL const uint32_t *bucket, uint32_t count, uint32_t k)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *s = bucket + 3u * (k / 4u);\n",
"    return k < (count & ~3u) ? s[(k & 3u) / 2u] >> (16u * (k & 1u)) & 0xffffu\n",
"                             : s[k & 3u] & 0xffffu;\n",
"}\n",
"SPKI_DEVICE int32_t spki_weight_of(SPKI_GLOBAL const uint32_t *bucket, uint32_t count, uint32_t k)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *s = bucket + 3u * (k / 4u);\n",
"    return k < (count & ~3u) ? (int32_t)(s[2] << (24u - 8u * (k & 3u))) >> 24\n",
"                             : (int32_t)s[k & 3u] >> 16;\n",
"}\n",
"#define SPKI_SLOT_OF(bucket, count, k) spki_slot_of(bucket, count, k)\n",
"#define SPKI_WEIGHT_OF(bucket, count, k) spki_weight_of(bucket, count, k)\n",
"#else\n",
"#define SPKI_BUCKET_WORDS(count) ((uint64_t)(count) * SPKI_SYNAPSE_WORDS)\n",
"#define SPKI_SLOT_OF(bucket, count, k) SPKI_SLOT((bucket) + (uint64_t)(k)*SPKI_SYNAPSE_WORDS)\n",
"#define SPKI_WEIGHT_OF(bucket, count, k) SPKI_WEIGHT((bucket) + (uint64_t)(k)*SPKI_SYNAPSE_WORDS)\n",
"#endif\n",
"#if SPKI_OWNED\n",
"#define SPKI_ARRIVE(p, x) (*(p) += (x))\n",
"#else\n",
"#define SPKI_ARRIVE(p, x) (void)SPKI_GLOBAL_ADD(p, x)\n",
"#endif\n",
"#define SPKI_WORDS_OF(layout) ((layout) & (((uint64_t)1 << 40) - 1))\n",
"#define SPKI_WIDE_COUNTS ((uint64_t)1 << 63)\n",
"#define SPKI_SHORTEST_OF(layout) ((uint32_t)((layout) >> 40) & 0xffffu)\n",
"#define SPKI_FLAT_BITS(layout) ((uint32_t)((layout) >> 56) & 31u)\n",
"#if !SPKI_OWNED && !SPKI_WIDE_WEIGHTS\n",
"SPKI_DEVICE void spki_deliver_flat(SPKI_GLOBAL const uint32_t *row, SPKI_GLOBAL spki_acc *acc,\n",
"                                   SPKI_LOCAL spki_acc *near, uint64_t slots, uint32_t pos,\n",
"                                   uint32_t ring, uint32_t age, uint64_t layout, uint32_t item,\n",
"                                   uint32_t items)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *synapse = row + 1;\n",
"    const uint32_t count = row[0], bits = SPKI_FLAT_BITS(layout);\n",
"    const uint32_t shortest = SPKI_SHORTEST_OF(layout);\n",
"    for (uint32_t k = item; k < count; k += items) {\n",
"        const uint32_t x = SPKI_SLOT_OF(synapse, count, k), delay = shortest + (x >> bits);\n",
"        const uint32_t to = x & ((1u << bits) - 1u);\n",
"        const int32_t weight = SPKI_WEIGHT_OF(synapse, count, k);\n",
"#if SPKI_LOCAL_SPAN\n",
"        if (near) {\n",
"            SPKI_LOCAL_ADD(&near[(delay - SPKI_LOCAL_FIRST) * SPKI_LOCAL_STRIDE + to], weight);\n",
"            continue;\n",
"        }\n",
"#endif\n",
"        if (delay >= age) {\n",
"            uint32_t step = pos + delay - age;\n",
"            step -= step >= ring ? ring : 0;\n",
"            step -= step >= ring ? ring : 0;\n",
"            SPKI_ARRIVE(&acc[step * slots + to], weight);\n",
"        }\n",
"    }\n",
"}\n",
"#endif\n",
"SPKI_DEVICE void spki_deliver_row(SPKI_GLOBAL const uint32_t *row, SPKI_GLOBAL spki_acc *acc,\n",
"                                  SPKI_LOCAL spki_acc *near, SPKI_GLOBAL uint32_t *arrived,\n",
"                                  uint64_t slots, uint32_t pos, uint32_t ring, uint32_t age,\n",
"                                  uint64_t layout, uint32_t team, uint32_t teams, uint32_t crew,\n",
"                                  uint32_t crews)\n",
"{\n",
"#if !SPKI_OWNED && !SPKI_WIDE_WEIGHTS\n",
"    if (SPKI_FLAT_BITS(layout)) {\n",
"        spki_deliver_flat(row, acc, near, slots, pos, ring, age, layout, crew * teams + team,\n",
"                          crews * teams);\n",
"        return;\n",
"    }\n",
"#endif\n",
"    const uint32_t entries = row[0], wide = (layout & SPKI_WIDE_COUNTS) != 0;\n",
"    SPKI_GLOBAL const uint32_t *synapse = row + 1 + (wide ? entries : (entries + 1) / 2);\n",
"    uint32_t delay = 0;\n",
"    for (uint32_t b = 0; b < entries; b++) {\n",
"        const uint32_t entry = wide ? row[1 + b] : row[1 + b / 2] >> (16 * (b & 1)) & 0xffffu;\n",
"        const uint32_t count = wide ? entry >> 16 : entry >> 8;\n",
"        delay += wide ? entry & 0xffffu : entry & 0xffu;\n",
"        if (delay >= age && b % crews == crew) {\n",
"#if SPKI_LOCAL_SPAN\n",
"            SPKI_LOCAL spki_acc *sum = near + (delay - SPKI_LOCAL_FIRST) * SPKI_LOCAL_STRIDE;\n",
"            for (uint32_t k = team; near && k < count; k += teams) {\n",
"                SPKI_LOCAL_ADD(&sum[SPKI_SLOT_OF(synapse, count, k)],\n",
"                               SPKI_WEIGHT_OF(synapse, count, k));\n",
"            }\n",
"#endif\n",
"            uint32_t slot = pos + delay - age;\n",
"            slot -= slot >= ring ? ring : 0;\n",
"            slot -= slot >= ring ? ring : 0;\n",
"            SPKI_GLOBAL spki_acc *to = acc + slot * slots;\n",
"#if SPKI_OWNED\n",
"            arrived[slot] = 1;\n",
"#endif\n",
"            for (uint32_t k = near ? count : team; k < count; k += teams) {\n",
"                SPKI_ARRIVE(&to[SPKI_SLOT_OF(synapse, count, k)],\n",
"                            SPKI_WEIGHT_OF(synapse, count, k));\n",
"            }\n",
"        }\n",
"        synapse += SPKI_BUCKET_WORDS(count);\n",
"    }\n",
"}\n",
"#define SPKI_ROW_OF(tile, id) (words + SPKI_WORDS_OF((tile)[1]) + rows[(tile)[0] + (id)])\n",
"#if SPKI_LOCAL_SPAN\n",
"SPKI_DEVICE void spki_deliver_tile(SPKI_LOCAL spki_acc *near, SPKI_GLOBAL const uint32_t *list,\n",
"                                   SPKI_GLOBAL const uint64_t *tile,\n",
"                                   SPKI_GLOBAL const uint32_t *rows,\n",
"                                   SPKI_GLOBAL const uint32_t *words, SPKI_GLOBAL spki_acc *acc,\n",
"                                   uint64_t slots, uint32_t at, uint32_t steps, uint32_t pos,\n",
"                                   uint32_t ring)\n",
"{\n",
"    const uint32_t team = SPKI_ITEM() / SPKI_TEAM, teams = SPKI_ITEMS() / SPKI_TEAM;\n",
"    for (uint32_t k = SPKI_ITEM(); k < SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE; k += SPKI_ITEMS()) {\n",
"        near[k] = 0;\n",
"    }\n",
"    SPKI_MEET();\n",
"    for (uint32_t s = 0; s < steps; s++) {\n",
"        for (uint32_t k = list[at + s] + team; k < list[at + s + 1]; k += teams) {\n",
"            const uint32_t id = list[SPKI_LIST_IDS + k];\n",
"            spki_deliver_row(SPKI_ROW_OF(tile, id), acc, near + s * SPKI_LOCAL_STRIDE,\n",
"                             (SPKI_GLOBAL uint32_t *)0, slots, pos, ring, 0,\n",
"                             tile[1], SPKI_ITEM() % SPKI_TEAM, SPKI_TEAM, 0, 1);\n",
"        }\n",
"    }\n",
"    SPKI_MEET();\n",
"    for (uint32_t k = SPKI_ITEM(); k < SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE; k += SPKI_ITEMS()) {\n",
"        if (near[k]) {\n",
"            const uint32_t step = pos + SPKI_LOCAL_FIRST + k / SPKI_LOCAL_STRIDE;\n",
"            acc[step % ring * slots + tile[2] + k % SPKI_LOCAL_STRIDE] += near[k];\n",
"        }\n",
"    }\n",
"}\n",
"#endif\n",
"SPKI_ENTRY(spki_deliver)(SPKI_GLOBAL const uint32_t *list, SPKI_GLOBAL const uint64_t *tiles,\n",
"                         SPKI_GLOBAL const uint32_t *rows, SPKI_GLOBAL const uint32_t *words,\n",
"                         SPKI_GLOBAL spki_acc *acc, SPKI_GLOBAL uint32_t *arrived, uint64_t slots,\n",
"                         uint32_t at, uint32_t steps, uint32_t pos, uint32_t ring, uint32_t age,\n",
"                         uint32_t first_tile, uint32_t tile_count SPKI_ORIGIN_PARAM)\n",
"{\n",
"    list = SPKI_ORIGIN_LIST(list);\n",
"    at += (uint32_t)SPKI_FROM_ORIGIN(2);\n",
"    pos = SPKI_ORIGIN_POS(pos, ring);\n",
"#if SPKI_OWNED\n",
"    arrived += (first_tile + SPKI_GROUP_ID()) * ring;\n",
"    for (uint32_t s = 0; age == 0 && s < steps; s++) {\n",
"        arrived[(pos + s) % ring] = 0;\n",
"    }\n",
"#endif\n",
"#if SPKI_LOCAL_SPAN\n",
"    SPKI_SHARED spki_acc near[SPKI_LOCAL_SPAN * SPKI_LOCAL_STRIDE];\n",
"    if (age == 0) {\n",
"        spki_deliver_tile(near, list, tiles + (first_tile + SPKI_GROUP_ID()) * 3u, rows, words, acc,\n",
"                          slots, at, steps, pos, ring);\n",
"        return;\n",
"    }\n",
"#endif\n",
"    for (uint32_t s = 0; s < steps; s++) {\n",
"        const uint32_t from = list[at + s], to = list[at + s + 1];\n",
"#if SPKI_OWNED\n",
"        SPKI_GLOBAL const uint64_t *tile = tiles + (first_tile + SPKI_GROUP_ID()) * 3u;\n",
"        for (uint32_t k = from; k < to; k++) {\n",
"            const uint32_t id = list[SPKI_LIST_IDS + k];\n",
"            spki_deliver_row(SPKI_ROW_OF(tile, id), acc + tile[2], 0, arrived, slots, pos + s,\n",
"                             ring, age, tile[1], 0, 1, 0, 1);\n",
"        }\n",
"#else\n",
"        const uint64_t all = (uint64_t)(to - from) * tile_count;\n",
"        for (uint64_t k = SPKI_GROUP_ID(); k < all; k += SPKI_GROUPS()) {\n",
"            SPKI_GLOBAL const uint64_t *tile =\n",
"                tiles + (first_tile + (uint32_t)(k % tile_count)) * 3u;\n",
"            const uint32_t id = list[SPKI_LIST_IDS + from + (uint32_t)(k / tile_count)];\n",
"            spki_deliver_row(SPKI_ROW_OF(tile, id), acc + tile[2], 0, arrived, slots, pos + s,\n",
"                             ring, age, tile[1], SPKI_ITEM() % SPKI_TEAM, SPKI_TEAM,\n",
"                             SPKI_ITEM() / SPKI_TEAM, SPKI_ITEMS() / SPKI_TEAM);\n",
"        }\n",
"#endif\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_sample)(SPKI_GLOBAL const uint32_t *index, SPKI_GLOBAL const spki_stored *state,\n",
"                        SPKI_GLOBAL spki_stored *out, uint64_t to, uint32_t from, uint32_t count)\n",
"{\n",
"    for (uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM(); k < count;\n",
"         k += SPKI_GROUPS() * SPKI_ITEMS()) {\n",
"        out[to + k] = state[index[from + k]];\n",
"    }\n",
"}\n",
"#if defined(SPKI_REPLAYED)\n",
"SPKI_ENTRY(spki_begin)(uint64_t *origin, uint32_t *list, uint64_t step, uint32_t pos, uint32_t at)\n",
"{\n",
"    if (SPKI_ITEM() == 0) {\n",
"        origin[0] = step;\n",
"        origin[1] = pos;\n",
"        origin[2] = at;\n",
"        origin[3] = (uint64_t)list;\n",
"    }\n",
"}\n",
"#endif\n",
0
};

static const char *const spki_gpu_text_batch[] = {
"typedef struct spki_batch {\n",
"    const uint64_t *tiles;\n",
"    const uint32_t *rows, *words, *share, *group_id;\n",
"    uint32_t *counts, *ids, *list;\n",
"    uint64_t places;\n",
"    uint32_t group, tile_count, team, sofar;\n",
"} spki_batch;\n",
"SPKI_DEVICE void spki_note(const spki_batch *b, const uint64_t *row, uint32_t s, uint32_t *sum)\n",
"{\n",
"    const uint32_t *own = b->share + 2u * SPKI_GROUP_ID();\n",
"    const uint32_t from = own[1], to = own[3];\n",
"    uint32_t *ids = b->ids + s * b->places + (uint64_t)from * 64u, put = 0;\n",
"    for (uint32_t g = from; g < to; g += SPKI_ITEMS()) {\n",
"        const uint32_t mine = g + SPKI_ITEM();\n",
"        uint64_t word = mine < to ? row[mine] : 0;\n",
"        uint32_t all, at = put + spki_before(sum, SPKI_POPCOUNT(word), &all);\n",
"        for (; word; word &= word - 1) {\n",
"            ids[at++] = b->group_id[b->group + mine] + SPKI_LOWEST(word);\n",
"        }\n",
"        put += all;\n",
"    }\n",
"    if (SPKI_ITEM() == 0) {\n",
"        b->counts[s * SPKI_GROUPS() + SPKI_GROUP_ID()] = put;\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint32_t spki_starts(const spki_batch *b, uint32_t s, uint32_t *starts, uint32_t *sum)\n",
"{\n",
"    const uint32_t groups = SPKI_GROUPS();\n",
"    uint32_t total = 0;\n",
"    for (uint32_t k = 0; k < groups; k += SPKI_ITEMS()) {\n",
"        const uint32_t mine = k + SPKI_ITEM();\n",
"        uint32_t all;\n",
"        const uint32_t n = mine < groups ? b->counts[s * groups + mine] : 0;\n",
"        const uint32_t before = spki_before(sum, n, &all);\n",
"        if (mine < groups) {\n",
"            starts[mine] = total + before;\n",
"        }\n",
"        total += all;\n",
"    }\n",
"    if (SPKI_ITEM() == 0) {\n",
"        starts[groups] = total;\n",
"    }\n",
"    SPKI_MEET();\n",
"    return total;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_spike(const spki_batch *b, uint32_t s, const uint32_t *starts, uint32_t k)\n",
"{\n",
"    uint32_t low = 0, high = SPKI_GROUPS();\n",
"    while (high - low > 1u) {\n",
"        const uint32_t middle = (low + high) / 2u;\n",
"        if (starts[middle] <= k) {\n",
"            low = middle;\n",
"        } else {\n",
"            high = middle;\n",
"        }\n",
"    }\n",
"    return b->ids[s * b->places + (uint64_t)b->share[2u * low + 1u] * 64u + (k - starts[low])];\n",
"}\n",
"SPKI_DEVICE void spki_spread(const spki_batch *b, uint32_t s, const uint32_t *starts,\n",
"                             uint32_t total, int own, spki_acc *acc, uint64_t slots, uint32_t pos,\n",
"                             uint32_t ring)\n",
"{\n",
"    const uint32_t lane = SPKI_ITEM() % 32u, warp = SPKI_ITEM() / 32u, warps = SPKI_ITEMS() / 32u;\n",
"    const uint32_t tiles = own ? 1u : b->tile_count;\n",
"    const uint64_t all = (uint64_t)total * tiles;\n",
"    const uint64_t by = own ? warps : (uint64_t)warps * SPKI_GROUPS();\n",
"    for (uint64_t k = own ? warp : (uint64_t)warp * SPKI_GROUPS() + SPKI_GROUP_ID(); k < all;\n",
"         k += by) {\n",
"        const uint64_t *tile =\n",
"            b->tiles + (own ? SPKI_GROUP_ID() : (uint32_t)(k % tiles)) * 3u;\n",
"        const uint32_t id = spki_spike(b, s, starts, (uint32_t)(k / tiles));\n",
"        const uint32_t *row = b->words + SPKI_WORDS_OF(tile[1]) + b->rows[tile[0] + id];\n",
"        spki_deliver_row(row, own ? acc : acc + tile[2], 0, 0, slots, pos, ring, 0,\n",
"                         tile[1], lane % b->team, b->team, lane / b->team, 32u / b->team);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_carry(spki_acc *local, spki_acc *acc, uint64_t tile_slots, uint64_t slots,\n",
"                            uint32_t ring, int back)\n",
"{\n",
"    const uint32_t n = (uint32_t)tile_slots * ring;\n",
"    for (uint32_t k = SPKI_ITEM(); k < n; k += SPKI_ITEMS()) {\n",
"        spki_acc *there = acc + k / (uint32_t)tile_slots * slots + k % (uint32_t)tile_slots;\n",
"        if (back) {\n",
"            *there = local[k];\n",
"        } else {\n",
"            local[k] = *there;\n",
"        }\n",
"    }\n",
"    SPKI_MEET();\n",
"}\n",
"SPKI_DEVICE void spki_carry_states(const uint64_t *desc, const uint32_t *pieces, uint64_t *records,\n",
"                                   uint32_t record_words, spki_stored *local, spki_stored *state,\n",
"                                   int back)\n",
"{\n",
"    uint32_t base = 0;\n",
"    for (uint32_t p = pieces[SPKI_GROUP_ID()]; p < pieces[SPKI_GROUP_ID() + 1u];\n",
"         p += SPKI_PIECE_SIZE) {\n",
"        const uint32_t *piece = pieces + p;\n",
"        const uint64_t *record = desc + piece[SPKI_PIECE_RECORD];\n",
"        const uint32_t lanes = piece[SPKI_PIECE_LANES], states = piece[SPKI_PIECE_STATES];\n",
"        for (uint32_t k = SPKI_ITEM(); !back && k < piece[SPKI_PIECE_WORDS]; k += SPKI_ITEMS()) {\n",
"            const uint32_t s = k - SPKI_POP_STATE;\n",
"            records[k] = k >= SPKI_POP_STATE && s < states\n",
"                             ? (uint64_t)base + s * lanes - piece[SPKI_PIECE_FIRST]\n",
"                             : record[k];\n",
"        }\n",
"        for (uint32_t k = SPKI_ITEM(); k < states * lanes; k += SPKI_ITEMS()) {\n",
"            spki_stored *there = state + (record[SPKI_POP_STATE + k / lanes] +\n",
"                                          piece[SPKI_PIECE_FIRST] + k % lanes);\n",
"            if (back) {\n",
"                *there = local[base + k];\n",
"            } else {\n",
"                local[base + k] = *there;\n",
"            }\n",
"        }\n",
"        base += states * lanes;\n",
"        records += record_words;\n",
"    }\n",
"    SPKI_MEET();\n",
"}\n",
"#define SPKI_BATCH_PARAMS \\\n",
"    const uint64_t *desc, const uint64_t *blocks, const spki_elem *value, const uint32_t *table, \\\n",
"        const spki_elem *told, spki_stored *state, spki_acc *acc, uint64_t *history, \\\n",
"        const uint64_t *tiles, const uint32_t *rows, const uint32_t *words, \\\n",
"        const uint32_t *share, const uint32_t *group_id, uint32_t *found, uint32_t *list, \\\n",
"        uint32_t *meet, uint64_t seed, uint64_t first, uint64_t slots, uint32_t steps, \\\n",
"        uint32_t most, uint32_t pos, uint32_t ring, uint32_t history_mask, uint32_t history_row, \\\n",
"        uint32_t amounts, uint32_t at, uint32_t group, uint32_t groups, uint32_t tile_count, \\\n",
"        uint32_t team, const uint32_t *pieces, uint32_t record_words, uint32_t records_room\n",
"SPKI_OF_SET SPKI_DEVICE void spki_run_batch(SPKI_BATCH_PARAMS, uint64_t *shared)\n",
"{\n",
"    spki_acc *const local = shared ? (spki_acc *)(shared + records_room) : (spki_acc *)0;\n",
"    SPKI_SHARED uint32_t sum[32], starts[SPKI_BATCH_GROUPS + 1];\n",
"    const uint32_t *own = share + 2u * SPKI_GROUP_ID();\n",
"    const uint64_t *tile = tiles + SPKI_GROUP_ID() * 3u;\n",
"    const uint64_t end = SPKI_GROUP_ID() + 1u < tile_count ? tile[5] : slots;\n",
"    const uint64_t tile_slots = local ? end - tile[2] : 0;\n",
"    spki_stored *const states =\n",
"        (spki_stored *)(shared + records_room +\n",
"                        (tile_slots * ring * sizeof(spki_acc) + sizeof(uint64_t) - 1) /\n",
"                            sizeof(uint64_t));\n",
"    const uint32_t teams = SPKI_ITEMS() / (16u * SPKI_BLOCK_GROUPS);\n",
"    spki_env e;\n",
"    spki_run run;\n",
"    spki_batch b;\n",
"    e.desc = desc;\n",
"    e.value = value;\n",
"    e.table = table;\n",
"    e.told = told;\n",
"    e.state = records_room ? states : state;\n",
"    e.acc = local ? local : acc;\n",
"    e.seed0 = (uint32_t)seed;\n",
"    e.seed1 = (uint32_t)(seed >> 32);\n",
"    run.history = history;\n",
"    run.arrived = (const uint32_t *)0;\n",
"    run.bits = sum;\n",
"    run.slots = local ? tile_slots : slots;\n",
"    run.acc_first = local ? tile[2] : 0;\n",
"    run.ring = ring;\n",
"    run.mask = history_mask;\n",
"    run.row = history_row;\n",
"    b.tiles = tiles;\n",
"    b.rows = rows;\n",
"    b.words = words;\n",
"    b.share = share;\n",
"    b.group_id = group_id;\n",
"    b.list = list;\n",
"    b.places = (uint64_t)groups * 64u;\n",
"    b.group = group;\n",
"    b.tile_count = tile_count;\n",
"    b.team = team;\n",
"    b.sofar = list[at];\n",
"    if (local) {\n",
"        spki_carry(local, acc + tile[2], tile_slots, slots, ring, 0);\n",
"    }\n",
"    if (records_room) {\n",
"        spki_carry_states(desc, pieces, shared, record_words, states, state, 0);\n",
"    }\n",
"    for (uint32_t done = 0, turn = 0; done < steps; done += most, turn ^= 1u) {\n",
"        run.first = first + done;\n",
"        run.steps = steps - done < most ? steps - done : most;\n",
"        run.pos = (pos + done) % ring;\n",
"        run.amounts = amounts && done == 0;\n",
"        b.counts = found + turn * SPKI_GROUPS() * 32u;\n",
"        b.ids = found + 2u * SPKI_GROUPS() * 32u + turn * b.places * most;\n",
"        for (uint32_t k = own[0] + SPKI_ITEM() / (16u * SPKI_BLOCK_GROUPS); k < own[2];\n",
"             k += teams) {\n",
"            const uint64_t *block = blocks + k * SPKI_BLOCK_SIZE;\n",
"            e.pop = records_room ? shared + block[SPKI_BLOCK_PIECE] * record_words\n",
"                                 : desc + block[SPKI_BLOCK_POP];\n",
"            SPKI_WITH_SET(spki_update_block)(&e, &run, block);\n",
"        }\n",
"        SPKI_MEET();\n",
"        for (uint32_t s = 0; s < run.steps; s++) {\n",
"            spki_note(&b, history + spki_row(&run, s) + group, s, sum);\n",
"        }\n",
"        spki_meet_grid(meet);\n",
"        for (uint32_t s = 0; s < run.steps; s++) {\n",
"            const uint32_t total = spki_starts(&b, s, starts, sum);\n",
"            const uint32_t from = starts[SPKI_GROUP_ID()];\n",
"            const uint32_t *ids = b.ids + s * b.places + (uint64_t)own[1] * 64u;\n",
"            for (uint32_t k = SPKI_ITEM(); k < starts[SPKI_GROUP_ID() + 1u] - from;\n",
"                 k += SPKI_ITEMS()) {\n",
"                list[SPKI_LIST_IDS + b.sofar + from + k] = ids[k];\n",
"            }\n",
"            spki_spread(&b, s, starts, total, local != 0, local ? local : acc, run.slots,\n",
"                        run.pos + s, ring);\n",
"            b.sofar += total;\n",
"            if (SPKI_GROUP_ID() == 0 && SPKI_ITEM() == 0) {\n",
"                list[at + done + s + 1u] = b.sofar;\n",
"            }\n",
"            SPKI_MEET();\n",
"        }\n",
"        if (!local) {\n",
"            spki_meet_grid(meet);\n",
"        }\n",
"    }\n",
"    if (local) {\n",
"        spki_carry(local, acc + tile[2], tile_slots, slots, ring, 1);\n",
"    }\n",
"    if (records_room) {\n",
"        spki_carry_states(desc, pieces, shared, record_words, states, state, 1);\n",
"    }\n",
"}\n",
"#define SPKI_BATCH_ARGS \\\n",
"    desc, blocks, value, table, told, state, acc, history, tiles, rows, words, share, group_id, \\\n",
"        found, list, meet, seed, first, slots, steps, most, pos, ring, history_mask, history_row, \\\n",
"        amounts, at, group, groups, tile_count, team, pieces, record_words, records_room\n",
"SPKI_ENTRY_OF(SPKI_BATCH_ITEMS, spki_batch_all)(SPKI_BATCH_PARAMS)\n",
"{\n",
"    SPKI_WITH_SET(spki_run_batch)(SPKI_BATCH_ARGS, (uint64_t *)0);\n",
"}\n",
"SPKI_ENTRY_OF(SPKI_BATCH_ITEMS, spki_batch_own)(SPKI_BATCH_PARAMS)\n",
"{\n",
"    SPKI_SHARED_REST(uint64_t, shared);\n",
"    SPKI_WITH_SET(spki_run_batch)(SPKI_BATCH_ARGS, shared);\n",
"}\n",
0
};

static const char *const spki_gpu_text_selftest[] = {
"SPKI_ENTRY(spki_selftest)(SPKI_GLOBAL const SPKI_E *in, SPKI_GLOBAL SPKI_E *out, uint32_t count)\n",
"{\n",
"    const uint32_t k = (SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM()) * SPKI_LANES;\n",
"    if (k >= count) {\n",
"        return;\n",
"    }\n",
"    const SPKI_R zero = SPKI_NIL(SPKI_R);\n",
"    const SPKI_R x = SPKI_VLOAD(in, k), y = SPKI_VLOAD(in, count + k);\n",
"    const SPKI_R z = SPKI_VLOAD(in, 2 * count + k);\n",
"    const SPKI_R size = SPKI_F(spki_abs)(x), small = x * SPKI_C(0.001953125);\n",
"    SPKI_R r[SPKI_SELFTESTS];\n",
"    r[0] = x + y;\n",
"    r[1] = x * y - z;\n",
"    r[2] = z - x * y;\n",
"    r[3] = x / y;\n",
"    r[4] = SPKI_F(spki_sqrt)(size);\n",
"    r[5] = (x + y) - x;\n",
"    r[6] = SPKI_F(spki_exp)(small);\n",
"    r[7] = SPKI_F(spki_exprel)(small);\n",
"    r[8] = SPKI_F(spki_log)(size);\n",
"    r[9] = SPKI_F(spki_sin)(x);\n",
"    r[10] = SPKI_F(spki_cos)(y);\n",
"    r[11] = SPKI_F(spki_tanh)(small);\n",
"    r[12] = SPKI_F(spki_pow)(size, SPKI_F(spki_min)(y, SPKI_C(3.0)));\n",
"    r[13] = SPKI_F(spki_select)(x < y, SPKI_F(spki_flush)(x * SPKI_C(1e-30)), z);\n",
"#if defined(SPKI_CODE)\n",
"    const SPKI_R tiny = (size - size + SPKI_C(1.5e-38)) * SPKI_C(0.01);\n",
"    r[13] = SPKI_F(spki_select)(tiny > zero, r[13], x / zero);\n",
"#endif\n",
"    for (uint32_t f = 0; f < SPKI_SELFTESTS; f++) {\n",
"        SPKI_VSTORE(r[f], out, f * count + k);\n",
"    }\n",
"}\n",
0
};

static const char *const spki_gpu_text_rows[] = {
"#define SPKI_ROWS_NONE 0xffffffffu\n",
"#define SPKI_ROWS_MIN(a, b) ((a) < (b) ? (a) : (b))\n",
"typedef struct spki_drawn_words {\n",
"    uint32_t k0, k1, c0, c1, c2, c3, at;\n",
"    uint32_t word[4];\n",
"} spki_drawn_words;\n",
"SPKI_DEVICE void spki_drawn_philox(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2,\n",
"                                 uint32_t c3, uint32_t out[4])\n",
"{\n",
"    for (int round = 0; round < 10; round++) {\n",
"        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;\n",
"        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;\n",
"        c1 = (uint32_t)p1;\n",
"        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;\n",
"        c3 = (uint32_t)p0;\n",
"        k0 += 0x9E3779B9u;\n",
"        k1 += 0xBB67AE85u;\n",
"    }\n",
"    out[0] = c0;\n",
"    out[1] = c1;\n",
"    out[2] = c2;\n",
"    out[3] = c3;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_at(uint32_t what, uint32_t place)\n",
"{\n",
"    return (what << 28) | place;\n",
"}\n",
"SPKI_DEVICE void spki_drawn_open(spki_drawn_words *w, uint32_t k0, uint32_t k1, uint32_t c0,\n",
"                               uint32_t c1, uint32_t c2, uint32_t c3)\n",
"{\n",
"    w->k0 = k0;\n",
"    w->k1 = k1;\n",
"    w->c0 = c0;\n",
"    w->c1 = c1;\n",
"    w->c2 = c2;\n",
"    w->c3 = c3;\n",
"    w->at = 4;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_next(spki_drawn_words *w)\n",
"{\n",
"    if (w->at == 4) {\n",
"        spki_drawn_philox(w->k0, w->k1, w->c0, w->c1, w->c2, w->c3, w->word);\n",
"        w->c0++;\n",
"        w->at = 0;\n",
"    }\n",
"    return w->word[w->at++];\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_below(spki_drawn_words *w, uint32_t n, uint32_t refuse)\n",
"{\n",
"    uint64_t x;\n",
"    do {\n",
"        x = (uint64_t)spki_drawn_next(w) * n;\n",
"    } while ((uint32_t)x < refuse);\n",
"    return (uint32_t)(x >> 32);\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_refuse(uint32_t n)\n",
"{\n",
"    return (0u - n) % n;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_steps(SPKI_GLOBAL const uint32_t *t, uint32_t word)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 4097;\n",
"    uint32_t low = guide[word >> 20], high = guide[(word >> 20) + 1];\n",
"    while (low < high) {\n",
"        const uint32_t mid = (low + high) / 2;\n",
"        if (word > upto[mid]) {\n",
"            low = mid + 1;\n",
"        } else {\n",
"            high = mid;\n",
"        }\n",
"    }\n",
"    return t[0] + low;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_counts(SPKI_GLOBAL const uint32_t *t, uint64_t word)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *guide = t + 2, *upto = t + 2 + 257;\n",
"    const uint32_t cell = (uint32_t)(word >> 56);\n",
"    uint32_t low = guide[cell], high = guide[cell + 1];\n",
"    while (low < high) {\n",
"        const uint32_t mid = (low + high) / 2;\n",
"        if (word > ((uint64_t)upto[2 * mid] << 32 | upto[2 * mid + 1])) {\n",
"            low = mid + 1;\n",
"        } else {\n",
"            high = mid;\n",
"        }\n",
"    }\n",
"    return t[0] + low;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_draw_count(SPKI_GLOBAL const uint32_t *t, spki_drawn_words *w)\n",
"{\n",
"    const uint64_t high = (uint64_t)spki_drawn_next(w) << 32;\n",
"    return spki_drawn_counts(t, high | spki_drawn_next(w));\n",
"}\n",
"SPKI_DEVICE uint64_t spki_drawn_coins(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,\n",
"                                    uint64_t n)\n",
"{\n",
"    uint64_t heads = 0;\n",
"    for (; n >= 1024; n -= 1024) {\n",
"        heads += spki_drawn_draw_count(coins, w);\n",
"    }\n",
"    for (; n >= 32; n -= 32) {\n",
"        heads += SPKI_POPCOUNT((uint64_t)spki_drawn_next(w));\n",
"    }\n",
"    if (n) {\n",
"        heads += SPKI_POPCOUNT((uint64_t)(spki_drawn_next(w) >> (32 - (uint32_t)n)));\n",
"    }\n",
"    return heads;\n",
"}\n",
"SPKI_DEVICE uint64_t spki_drawn_binomial(SPKI_GLOBAL const uint32_t *coins, spki_drawn_words *w,\n",
"                                       uint64_t n, uint64_t num, uint64_t den)\n",
"{\n",
"    uint64_t below = 0;\n",
"    if (num >= den) {\n",
"        return n;\n",
"    }\n",
"    while (n > 0 && num > 0) {\n",
"        const uint64_t zeros = spki_drawn_coins(coins, w, n);\n",
"        num *= 2;\n",
"        if (num >= den) {\n",
"            num -= den;\n",
"            below += zeros;\n",
"            n -= zeros;\n",
"        } else {\n",
"            n = zeros;\n",
"        }\n",
"    }\n",
"    return below;\n",
"}\n",
"typedef struct spki_drawn {\n",
"    SPKI_GLOBAL const uint32_t *proj, *table, *slot;\n",
"    SPKI_GLOBAL uint32_t *count, *place, *begin;\n",
"    SPKI_GLOBAL uint32_t *indegree;\n",
"    SPKI_GLOBAL uint32_t *words;\n",
"    uint32_t stride, shortest, tally, write, packed, most;\n",
"    uint32_t flat, first, all;\n",
"    uint32_t k0, k1, source, t0, t1, self, n;\n",
"} spki_drawn;\n",
"SPKI_DEVICE uint32_t spki_drawn_packed(uint32_t count)\n",
"{\n",
"    return count / 4 * 3 + count % 4;\n",
"}\n",
"SPKI_DEVICE void spki_drawn_pack(SPKI_GLOBAL uint32_t *bucket, uint32_t most, uint32_t k,\n",
"                               uint32_t all, uint32_t slot, uint32_t weight)\n",
"{\n",
"    const uint32_t entry = k / most, within = k % most, group = within / 4, j = within % 4;\n",
"    const uint32_t left = all - entry * most, count = left < most ? left : most;\n",
"    SPKI_GLOBAL uint32_t *to = bucket + entry * spki_drawn_packed(most) + group * 3;\n",
"    if (group == count / 4) {\n",
"        to[j] = slot | weight << 16;\n",
"        return;\n",
"    }\n",
"    if (j == 0 && most != SPKI_ROWS_NONE) {\n",
"        to[0] = to[1] = to[2] = 0;\n",
"    }\n",
"    to[j / 2] |= slot << (j % 2 * 16);\n",
"    to[2] |= (weight & 0xffu) << (8 * j);\n",
"}\n",
"SPKI_DEVICE void spki_drawn_put(spki_drawn *r, uint32_t t, uint32_t weight_word,\n",
"                                uint32_t delay_word)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    uint32_t d, w, slot;\n",
"    if (t - r->t0 >= r->t1 - r->t0) {\n",
"        return;\n",
"    }\n",
"    d = p[SPKI_ROWS_DELAY_AT] == SPKI_ROWS_NONE\n",
"            ? p[SPKI_ROWS_DELAY]\n",
"            : spki_drawn_steps(r->table + p[SPKI_ROWS_DELAY_AT], delay_word);\n",
"    const uint32_t later = d - r->first;\n",
"    d = (d - r->shortest) * r->stride;\n",
"    if (!r->write) {\n",
"        r->count[d]++;\n",
"        r->n++;\n",
"        if (!r->tally) {\n",
"            return;\n",
"        }\n",
"    }\n",
"    w = p[SPKI_ROWS_WEIGHT_AT] == SPKI_ROWS_NONE\n",
"            ? p[SPKI_ROWS_WEIGHT]\n",
"            : spki_drawn_steps(r->table + p[SPKI_ROWS_WEIGHT_AT], weight_word);\n",
"    slot = r->slot[t - r->t0];\n",
"    slot = (w & 0x80000000u) ? slot >> 16 : slot & 0xffffu;\n",
"    if (!r->write) {\n",
"        (void)SPKI_ADD32(r->indegree + slot, 1u);\n",
"        return;\n",
"    }\n",
"    if ((w & 0x80000000u) && p[SPKI_ROWS_MAGNITUDE]) {\n",
"        w = 0u - w;\n",
"    }\n",
"    if (r->flat) {\n",
"        slot |= later << r->flat;\n",
"    }\n",
"    if (r->packed && r->flat) {\n",
"        spki_drawn_pack(r->words, SPKI_ROWS_NONE, r->place[d]++, r->all, slot, w);\n",
"    } else if (r->packed) {\n",
"        spki_drawn_pack(r->words + r->begin[d], r->most, r->place[d]++, r->count[d], slot, w);\n",
"    } else {\n",
"        r->words[r->place[d]++] = slot | w << 16;\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_four(spki_drawn *r, const uint32_t t[4], uint32_t count, uint32_t c2,\n",
"                               uint32_t cw, uint32_t cd)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t span = r->t1 - r->t0;\n",
"    uint32_t weight[4], delay[4], any = 0, k;\n",
"    for (k = 0; k < 4; k++) {\n",
"        weight[k] = delay[k] = 0;\n",
"        any |= k < count && t[k] - r->t0 < span ? 1u : 0u;\n",
"    }\n",
"    if (!any) {\n",
"        return;\n",
"    }\n",
"    if (p[SPKI_ROWS_WEIGHT_AT] != SPKI_ROWS_NONE && (r->write | r->tally)) {\n",
"        spki_drawn_philox(r->k0, r->k1, cw, r->source, c2, p[SPKI_ROWS_STREAM], weight);\n",
"    }\n",
"    if (p[SPKI_ROWS_DELAY_AT] != SPKI_ROWS_NONE) {\n",
"        spki_drawn_philox(r->k0, r->k1, cd, r->source, c2, p[SPKI_ROWS_STREAM], delay);\n",
"    }\n",
"    for (k = 0; k < count; k++) {\n",
"        spki_drawn_put(r, t[k], weight[k], delay[k]);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_listed(spki_drawn *r, const uint32_t t[4], uint32_t j, uint32_t count,\n",
"                                 uint32_t all, uint32_t place)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS];\n",
"    const uint32_t chunk = j / 128, left = all - chunk * 128;\n",
"    const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;\n",
"    const uint32_t c = chunk * 32 * (weights + p[SPKI_ROWS_DELAY_WORDS]) + j % 128 / 4;\n",
"    spki_drawn_four(r, t, count, spki_drawn_at(SPKI_ROWS_AT_VALUES, place), c, c + here * weights);\n",
"}\n",
"SPKI_DEVICE void spki_drawn_same(spki_drawn *r)\n",
"{\n",
"    const uint32_t t[4] = {r->source, 0, 0, 0};\n",
"    if (r->self != r->source) {\n",
"        spki_drawn_listed(r, t, 0, 1, 1, 0);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_all(spki_drawn *r)\n",
"{\n",
"    const uint32_t n = r->proj[SPKI_ROWS_TARGETS];\n",
"    for (uint32_t first = r->t0 / 4 * 4; first < r->t1; first += 4) {\n",
"        const uint32_t block = first / 4096, begin = block * 4096, left = n - begin;\n",
"        uint32_t t[4];\n",
"        for (uint32_t k = 0; k < 4; k++) {\n",
"            t[k] = first + k == r->self ? SPKI_ROWS_NONE : first + k;\n",
"        }\n",
"        spki_drawn_listed(r, t, first - begin, n - first < 4 ? n - first : 4u,\n",
"                        left < 4096 ? left : 4096u, block);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_subset(spki_drawn_words *w, uint32_t bits[128], uint32_t n, uint32_t m)\n",
"{\n",
"    const uint32_t refuse = spki_drawn_refuse(n), others = m > n - m ? 1u : 0u;\n",
"    uint32_t left = others ? n - m : m, k;\n",
"    for (k = 0; k < 128; k++) {\n",
"        bits[k] = 0;\n",
"    }\n",
"    while (left) {\n",
"        const uint32_t t = spki_drawn_below(w, n, refuse), bit = 1u << (t & 31);\n",
"        left -= (bits[t >> 5] & bit) ? 0u : 1u;\n",
"        bits[t >> 5] |= bit;\n",
"    }\n",
"    for (k = 0; others && k < 128; k++) {\n",
"        const uint32_t end = n - SPKI_ROWS_MIN(n, k * 32);\n",
"        bits[k] = ~bits[k] & (end < 32 ? (1u << end) - 1 : 0xffffffffu);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_bits(spki_drawn *r, const uint32_t bits[128], uint32_t m,\n",
"                                 uint32_t block)\n",
"{\n",
"    const uint32_t base = block * 4096;\n",
"    uint32_t j = 0, k, t[4] = {0, 0, 0, 0};\n",
"    for (k = 0; k < 128 && j < m && base + k * 32 < r->t1; k++) {\n",
"        uint32_t now = bits[k];\n",
"        while (now) {\n",
"            const uint32_t at = base + k * 32 + SPKI_POPCOUNT((uint64_t)((now & (0u - now)) - 1));\n",
"            now &= now - 1;\n",
"            t[j % 4] = at == r->self ? SPKI_ROWS_NONE : at;\n",
"            j++;\n",
"            if (j % 4 == 0) {\n",
"                spki_drawn_listed(r, t, j - 4, 4, m, block);\n",
"            }\n",
"        }\n",
"    }\n",
"    if (j % 4) {\n",
"        spki_drawn_listed(r, t, j / 4 * 4, j % 4, m, block);\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_bernoulli(spki_drawn *r)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t n = p[SPKI_ROWS_TARGETS], end = (n - 1) / 4096, last = (r->t1 - 1) / 4096;\n",
"    for (uint32_t b = r->t0 / 4096; b <= last; b++) {\n",
"        const uint32_t size = b < end ? 4096u : n - b * 4096;\n",
"        uint32_t bits[128];\n",
"        spki_drawn_words w;\n",
"        spki_drawn_open(&w, r->k0, r->k1, 0, r->source, spki_drawn_at(SPKI_ROWS_AT_BLOCK, b),\n",
"                      p[SPKI_ROWS_STREAM]);\n",
"        const uint32_t m = spki_drawn_draw_count(\n",
"            r->table + (b < end ? p[SPKI_ROWS_BLOCK_AT] : p[SPKI_ROWS_REST_AT]), &w);\n",
"        if (m) {\n",
"            spki_drawn_subset(&w, bits, size, m);\n",
"            spki_drawn_bits(r, bits, m, b);\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_leaf(spki_drawn *r, uint32_t leaf, uint32_t m)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint32_t weights = p[SPKI_ROWS_WEIGHT_WORDS], values = 1 + weights +\n",
"                                                                 p[SPKI_ROWS_DELAY_WORDS];\n",
"    const uint32_t base = leaf * p[SPKI_ROWS_LEAF], rest = p[SPKI_ROWS_TARGETS] - base;\n",
"    const uint32_t whole = SPKI_ROWS_MIN(p[SPKI_ROWS_LEAF], rest);\n",
"    const uint32_t skip = r->self - base < whole ? 1u : 0u, size = whole - skip;\n",
"    const uint32_t refuse = spki_drawn_refuse(size), c2 = spki_drawn_at(SPKI_ROWS_AT_LEAF, leaf);\n",
"    for (uint32_t j = 0; j < m; j += 4) {\n",
"        const uint32_t chunk = j / 128, left = m - chunk * 128;\n",
"        const uint32_t here = ((left < 128 ? left : 128u) + 3) / 4;\n",
"        const uint32_t c = chunk * 32 * values + j % 128 / 4, count = m - j < 4 ? m - j : 4u;\n",
"        uint32_t word[4], t[4];\n",
"        spki_drawn_philox(r->k0, r->k1, c, r->source, c2, p[SPKI_ROWS_STREAM], word);\n",
"        for (uint32_t k = 0; k < count; k++) {\n",
"            const uint64_t x = (uint64_t)word[k] * size;\n",
"            t[k] = base + (uint32_t)(x >> 32);\n",
"            if ((uint32_t)x < refuse) {\n",
"                spki_drawn_words w;\n",
"                spki_drawn_open(&w, r->k0, r->k1, j + k, r->source,\n",
"                              spki_drawn_at(SPKI_ROWS_AT_REDRAW, leaf), p[SPKI_ROWS_STREAM]);\n",
"                t[k] = base + spki_drawn_below(&w, size, refuse);\n",
"            }\n",
"            t[k] += skip && t[k] >= r->self ? 1u : 0u;\n",
"        }\n",
"        spki_drawn_four(r, t, count, c2, c + here, c + here * (1 + weights));\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint64_t spki_drawn_span(const spki_drawn *r, uint32_t l0, uint32_t l1)\n",
"{\n",
"    const uint64_t leaf = r->proj[SPKI_ROWS_LEAF], n = r->proj[SPKI_ROWS_TARGETS];\n",
"    const uint64_t a = l0 * leaf, end = l1 * leaf, b = end < n ? end : n;\n",
"    return b - a - (r->self >= a && r->self < b ? 1u : 0u);\n",
"}\n",
"SPKI_DEVICE void spki_drawn_tree(spki_drawn *r, uint32_t m)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    const uint64_t leaf = p[SPKI_ROWS_LEAF];\n",
"    uint32_t low[32], high[32], size[32], level[32], top = 1;\n",
"    low[0] = 0;\n",
"    high[0] = (uint32_t)((p[SPKI_ROWS_TARGETS] + leaf - 1) / leaf);\n",
"    size[0] = m;\n",
"    level[0] = 0;\n",
"    while (top) {\n",
"        const uint32_t at = --top, l0 = low[at], l1 = high[at], deep = level[at];\n",
"        const uint32_t all = size[at];\n",
"        uint32_t left = 1;\n",
"        spki_drawn_words w;\n",
"        if (!all || l0 * leaf >= r->t1 || l1 * leaf <= r->t0) {\n",
"            continue;\n",
"        }\n",
"        if (l1 - l0 == 1) {\n",
"            spki_drawn_leaf(r, l0, all);\n",
"            continue;\n",
"        }\n",
"        while (left < l1 - l0 - left) {\n",
"            left *= 2;\n",
"        }\n",
"        spki_drawn_open(&w, r->k0, r->k1, deep << 24, r->source,\n",
"                      spki_drawn_at(SPKI_ROWS_AT_NODE, l0), p[SPKI_ROWS_STREAM]);\n",
"        const uint32_t here = (uint32_t)spki_drawn_binomial(\n",
"            r->table + SPKI_ROWS_HALF, &w, all, spki_drawn_span(r, l0, l0 + left),\n",
"            spki_drawn_span(r, l0, l1));\n",
"        low[top] = l0 + left;\n",
"        high[top] = l1;\n",
"        size[top] = all - here;\n",
"        level[top] = deep + 1;\n",
"        top++;\n",
"        low[top] = l0;\n",
"        high[top] = l0 + left;\n",
"        size[top] = here;\n",
"        level[top] = deep + 1;\n",
"        top++;\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_indexed(spki_drawn *r, SPKI_GLOBAL const uint32_t *entry, uint32_t from,\n",
"                                  uint32_t to)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = r->proj;\n",
"    for (uint32_t i = from; i < to; i++) {\n",
"        const uint32_t t = r->t0 + (entry[i] >> 16);\n",
"        uint32_t w[4] = {0, 0, 0, 0};\n",
"        if (p[SPKI_ROWS_WEIGHT_WORDS] + p[SPKI_ROWS_DELAY_WORDS]) {\n",
"            spki_drawn_philox(r->k0, r->k1, entry[i] & 0xffffu, t,\n",
"                            spki_drawn_at(SPKI_ROWS_AT_INVALUES, 0), p[SPKI_ROWS_STREAM], w);\n",
"        }\n",
"        spki_drawn_put(r, t, w[0], w[1]);\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_find(SPKI_GLOBAL const uint32_t *range, uint32_t ranges,\n",
"                                     uint32_t id)\n",
"{\n",
"    for (uint32_t k = 0; k < ranges; k++) {\n",
"        if (id - range[3 * k] < range[3 * k + 1]) {\n",
"            return range[3 * k + 2] + (id - range[3 * k]);\n",
"        }\n",
"    }\n",
"    return SPKI_ROWS_NONE;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_self(SPKI_GLOBAL const uint32_t *table, uint32_t kind, uint32_t at,\n",
"                                   uint32_t k)\n",
"{\n",
"    return kind == 0 ? SPKI_ROWS_NONE : kind == 1 ? k : table[at + k];\n",
"}\n",
"SPKI_DEVICE void spki_drawn_draw(spki_drawn *r, SPKI_GLOBAL const uint32_t *plan,\n",
"                               SPKI_GLOBAL const uint32_t *feed, SPKI_GLOBAL const uint32_t *slot,\n",
"                               SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,\n",
"                               uint32_t projections, uint32_t id)\n",
"{\n",
"    for (uint32_t k = 0; k < projections; k++, feed += SPKI_ROWS_FEED_SIZE) {\n",
"        SPKI_GLOBAL const uint32_t *p = plan + k * SPKI_ROWS_SIZE;\n",
"        const uint32_t rule = p[SPKI_ROWS_RULE];\n",
"        const uint32_t s =\n",
"            spki_drawn_find(r->table + p[SPKI_ROWS_RANGE_AT], p[SPKI_ROWS_RANGES], id);\n",
"        r->t0 = feed[SPKI_ROWS_FEED_T0];\n",
"        r->t1 = feed[SPKI_ROWS_FEED_T1];\n",
"        if (s == SPKI_ROWS_NONE || r->t0 >= r->t1) {\n",
"            continue;\n",
"        }\n",
"        r->proj = p;\n",
"        r->source = s;\n",
"        r->slot = slot + feed[SPKI_ROWS_FEED_SLOT];\n",
"        r->self = spki_drawn_self(r->table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_AT], s);\n",
"        if (rule == SPKI_ROWS_ONE_TO_ONE) {\n",
"            spki_drawn_same(r);\n",
"        } else if (rule == SPKI_ROWS_ALL_TO_ALL) {\n",
"            spki_drawn_all(r);\n",
"        } else if (rule == SPKI_ROWS_BERNOULLI) {\n",
"            spki_drawn_bernoulli(r);\n",
"        } else if (rule == SPKI_ROWS_FIXED_INDEGREE) {\n",
"            const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + s;\n",
"            spki_drawn_indexed(r, entry, s ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY], from[at]);\n",
"        } else {\n",
"            spki_drawn_tree(r, p[SPKI_ROWS_COUNT_AT] == SPKI_ROWS_NONE\n",
"                                 ? p[SPKI_ROWS_K]\n",
"                                 : r->table[p[SPKI_ROWS_COUNT_AT] + s]);\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_entries(const spki_drawn *r, uint32_t delays, uint32_t bytes,\n",
"                                      SPKI_GLOBAL uint32_t *out, uint32_t at, uint32_t *words)\n",
"{\n",
"    const uint32_t most = bytes == 1 ? 255u : 65535u;\n",
"    uint32_t entries = 0, before = 0, begun = 0;\n",
"    for (uint32_t k = 0; k < delays; k++) {\n",
"        const uint32_t all = r->count[k * r->stride], d = r->shortest + k;\n",
"        if (out) {\n",
"            r->place[k * r->stride] = r->packed ? 0 : at;\n",
"            if (r->packed) {\n",
"                r->begin[k * r->stride] = at;\n",
"            }\n",
"        }\n",
"        for (uint32_t left = all; left; entries++) {\n",
"            const uint32_t step = SPKI_ROWS_MIN(d - before, most);\n",
"            const uint32_t n = before + step == d ? SPKI_ROWS_MIN(left, most) : 0u;\n",
"            before += step;\n",
"            left -= n;\n",
"            at += r->packed ? spki_drawn_packed(n) : n;\n",
"            begun |= bytes == 1 ? (step | n << 8) << (entries % 2 * 16) : step | n << 16;\n",
"            if (out && (bytes == 2 || entries % 2)) {\n",
"                *out++ = begun;\n",
"            }\n",
"            begun = bytes == 2 || entries % 2 ? 0 : begun;\n",
"        }\n",
"    }\n",
"    if (out && bytes == 1 && entries % 2) {\n",
"        *out = begun;\n",
"    }\n",
"    *words = at;\n",
"    return entries;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_head(uint32_t entries, uint32_t bytes)\n",
"{\n",
"    return 1 + (entries * bytes * 2 + 3) / 4;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_drawn_places(const spki_drawn *r, uint32_t delays)\n",
"{\n",
"    uint32_t before = 0;\n",
"    for (uint32_t k = 0; k < delays; k++) {\n",
"        r->place[k * r->stride] = before;\n",
"        before += r->count[k * r->stride];\n",
"    }\n",
"    return before;\n",
"}\n",
"SPKI_ENTRY(spki_rows)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,\n",
"                      SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL const uint32_t *slot,\n",
"                      SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL const uint32_t *entry,\n",
"                      SPKI_GLOBAL uint32_t *scratch, SPKI_GLOBAL uint32_t *rows,\n",
"                      SPKI_GLOBAL uint32_t *out, SPKI_GLOBAL uint32_t *stats,\n",
"                      SPKI_GLOBAL uint32_t *indegree, SPKI_GLOBAL uint32_t *outdegree,\n",
"                      uint64_t first, uint32_t items, uint32_t neurons,\n",
"                      uint32_t projections, uint32_t shortest, uint32_t delays, uint32_t k0,\n",
"                      uint32_t k1, uint32_t packed, uint32_t mode)\n",
"{\n",
"    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    const uint32_t each = mode == SPKI_ROWS_LOOK ? SPKI_ROWS_LOOKS : neurons;\n",
"    if (i >= items) {\n",
"        return;\n",
"    }\n",
"    const uint32_t t = (uint32_t)((first + i) / each), k = (uint32_t)((first + i) % each);\n",
"    const uint32_t id =\n",
"        mode == SPKI_ROWS_LOOK ? (uint32_t)((uint64_t)neurons * k / SPKI_ROWS_LOOKS) : k;\n",
"    SPKI_GLOBAL const uint32_t *own =\n",
"        tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE);\n",
"    const uint32_t bytes = own[SPKI_ROWS_TILE_BYTES];\n",
"    const uint64_t at = (uint64_t)t * neurons + id;\n",
"    uint32_t words, entries;\n",
"    spki_drawn r;\n",
"    r.table = table;\n",
"    r.stride = items;\n",
"    r.count = scratch + i;\n",
"    r.place = r.count + (uint64_t)delays * items;\n",
"    r.begin = r.place + (uint64_t)delays * items;\n",
"    r.indegree = indegree + own[SPKI_ROWS_TILE_SLOT];\n",
"    r.words = out;\n",
"    r.shortest = shortest;\n",
"    r.tally = mode == SPKI_ROWS_MEASURE ? 1u : 0u;\n",
"    r.packed = packed;\n",
"    r.most = bytes == 1 ? 255u : 65535u;\n",
"    r.flat = mode == SPKI_ROWS_WRITE ? own[SPKI_ROWS_TILE_FLAT] : 0;\n",
"    r.first = r.flat ? own[SPKI_ROWS_TILE_SHORTEST] : shortest;\n",
"    r.k0 = k0;\n",
"    r.k1 = k1;\n",
"    r.write = r.n = r.all = 0;\n",
"    for (uint32_t d = 0; d < delays; d++) {\n",
"        r.count[(uint64_t)d * items] = 0;\n",
"    }\n",
"    spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);\n",
"    if (mode == SPKI_ROWS_LOOK) {\n",
"        out[2 * (first + i)] = spki_drawn_entries(&r, delays, 1, 0, 0, &words);\n",
"        out[2 * (first + i) + 1] = spki_drawn_entries(&r, delays, 2, 0, 0, &words);\n",
"        return;\n",
"    }\n",
"    if (mode == SPKI_ROWS_MEASURE) {\n",
"        SPKI_GLOBAL uint32_t *s = stats + t * SPKI_ROWS_STATS;\n",
"        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);\n",
"        rows[at] = r.n ? words + spki_drawn_head(entries, bytes) : 0;\n",
"        out[at] = r.n ? 1 + (packed ? spki_drawn_packed(r.n) : r.n) : 0;\n",
"        if (r.n) {\n",
"            uint32_t low = 0, high = delays - 1;\n",
"            while (!r.count[(uint64_t)low * items]) {\n",
"                low++;\n",
"            }\n",
"            while (!r.count[(uint64_t)high * items]) {\n",
"                high--;\n",
"            }\n",
"            SPKI_MIN32(s + SPKI_ROWS_SHORTEST, shortest + low);\n",
"            SPKI_MAX32(s + SPKI_ROWS_LONGEST, shortest + high);\n",
"            (void)SPKI_ADD32(s + SPKI_ROWS_SYNAPSES, r.n);\n",
"            (void)SPKI_ADD32(s + SPKI_ROWS_BUCKETS, entries);\n",
"            (void)SPKI_ADD32(outdegree + id, r.n);\n",
"        }\n",
"        return;\n",
"    }\n",
"    r.words = out + ((uint64_t)own[SPKI_ROWS_TILE_WORD] |\n",
"                     (uint64_t)own[SPKI_ROWS_TILE_WORD + 1] << 32);\n",
"    if (id == 0) {\n",
"        r.words[0] = 0;\n",
"    }\n",
"    if (r.n && r.flat) {\n",
"        r.words += rows[at];\n",
"        *r.words++ = r.all = spki_drawn_places(&r, delays);\n",
"        for (uint32_t w = 0; packed && w < spki_drawn_packed(r.all); w++) {\n",
"            r.words[w] = 0;\n",
"        }\n",
"        r.write = 1;\n",
"        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);\n",
"    } else if (r.n) {\n",
"        const uint32_t start = rows[at];\n",
"        entries = spki_drawn_entries(&r, delays, bytes, 0, 0, &words);\n",
"        const uint32_t head = spki_drawn_head(entries, bytes);\n",
"        r.words[start] = entries;\n",
"        (void)spki_drawn_entries(&r, delays, bytes, r.words + start + 1, start + head, &words);\n",
"        r.write = 1;\n",
"        spki_drawn_draw(&r, plan, own + SPKI_ROWS_TILE_SIZE, slot, from, entry, projections, id);\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_rows_scan)(SPKI_GLOBAL const uint32_t *x, SPKI_GLOBAL uint32_t *to,\n",
"                           SPKI_GLOBAL const uint32_t *segment, SPKI_GLOBAL uint32_t *sum,\n",
"                           uint32_t keep)\n",
"{\n",
"    SPKI_SHARED uint64_t part[SPKI_SCAN_ITEMS];\n",
"    SPKI_GLOBAL const uint32_t *own = segment + SPKI_GROUP_ID() * SPKI_ROWS_SEGMENT;\n",
"    const uint64_t at = (uint64_t)own[0] | (uint64_t)own[1] << 32;\n",
"    const uint32_t n = own[2], each = (n + SPKI_SCAN_ITEMS - 1) / SPKI_SCAN_ITEMS;\n",
"    const uint32_t item = SPKI_ITEM(), begin = SPKI_ROWS_MIN(n, item * each);\n",
"    const uint32_t end = SPKI_ROWS_MIN(n, begin + each);\n",
"    uint64_t all = 0;\n",
"    for (uint32_t k = begin; k < end; k++) {\n",
"        all += x[at + k];\n",
"    }\n",
"    part[item] = all;\n",
"    SPKI_MEET();\n",
"    if (item == 0) {\n",
"        uint64_t before = own[3];\n",
"        for (uint32_t k = 0; k < SPKI_SCAN_ITEMS; k++) {\n",
"            const uint64_t here = part[k];\n",
"            part[k] = before;\n",
"            before += here;\n",
"        }\n",
"        sum[2 * own[4]] = (uint32_t)before;\n",
"        sum[2 * own[4] + 1] = (uint32_t)(before >> 32);\n",
"    }\n",
"    SPKI_MEET();\n",
"    all = part[item];\n",
"    for (uint32_t k = begin; k < end; k++) {\n",
"        const uint32_t here = x[at + k];\n",
"        to[at + k] = keep && !here ? 0 : (uint32_t)all;\n",
"        all += here;\n",
"    }\n",
"}\n",
"SPKI_ENTRY(spki_rows_collect)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *table,\n",
"                              SPKI_GLOBAL const uint32_t *tiles, SPKI_GLOBAL uint32_t *from,\n",
"                              SPKI_GLOBAL uint32_t *entry, uint32_t which, uint32_t projections,\n",
"                              uint32_t tile, uint32_t count, uint32_t k0, uint32_t k1,\n",
"                              uint32_t put)\n",
"{\n",
"    SPKI_GLOBAL const uint32_t *p = plan + which * SPKI_ROWS_SIZE;\n",
"    const uint64_t size = SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE;\n",
"    SPKI_GLOBAL const uint32_t *feed =\n",
"        tiles + SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;\n",
"    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    const uint32_t t = feed[tile * size + SPKI_ROWS_FEED_T0] + i;\n",
"    uint32_t low = tile, high = tile + count - 1;\n",
"    if (t >= feed[high * size + SPKI_ROWS_FEED_T1]) {\n",
"        return;\n",
"    }\n",
"    while (low < high) {\n",
"        const uint32_t mid = (low + high) / 2;\n",
"        if (t >= feed[mid * size + SPKI_ROWS_FEED_T1]) {\n",
"            low = mid + 1;\n",
"        } else {\n",
"            high = mid;\n",
"        }\n",
"    }\n",
"    feed += low * size;\n",
"    const uint32_t n = p[SPKI_ROWS_SOURCES], refuse = spki_drawn_refuse(n), k = p[SPKI_ROWS_K];\n",
"    const uint32_t self = spki_drawn_self(table, p[SPKI_ROWS_SELF], p[SPKI_ROWS_SELF_SOURCE_AT], t);\n",
"    spki_drawn_words w, again;\n",
"    spki_drawn_open(&w, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INDEGREE, 0), p[SPKI_ROWS_STREAM]);\n",
"    spki_drawn_open(&again, k0, k1, 0, t, spki_drawn_at(SPKI_ROWS_AT_INREDRAW, 0),\n",
"                  p[SPKI_ROWS_STREAM]);\n",
"    for (uint32_t j = 0; j < k; j++) {\n",
"        const uint64_t x = (uint64_t)spki_drawn_next(&w) * n;\n",
"        uint32_t s = (uint32_t)(x >> 32);\n",
"        if ((uint32_t)x < refuse) {\n",
"            s = spki_drawn_below(&again, n, refuse);\n",
"        }\n",
"        while (s == self) {\n",
"            s = spki_drawn_below(&again, n, refuse);\n",
"        }\n",
"        const uint32_t at = SPKI_ADD32(from + feed[SPKI_ROWS_FEED_FROM] + s, 1u);\n",
"        if (put) {\n",
"            entry[at] = (t - feed[SPKI_ROWS_FEED_T0]) << 16 | j;\n",
"        }\n",
"    }\n",
"}\n",
"SPKI_DEVICE void spki_drawn_sift(SPKI_GLOBAL uint32_t *x, uint32_t root, uint32_t n)\n",
"{\n",
"    const uint32_t own = x[root];\n",
"    for (uint32_t child = 2 * root + 1; child < n; child = 2 * root + 1) {\n",
"        child += child + 1 < n && x[child + 1] > x[child] ? 1u : 0u;\n",
"        if (x[child] <= own) {\n",
"            break;\n",
"        }\n",
"        x[root] = x[child];\n",
"        root = child;\n",
"    }\n",
"    x[root] = own;\n",
"}\n",
"SPKI_ENTRY(spki_rows_sort)(SPKI_GLOBAL const uint32_t *plan, SPKI_GLOBAL const uint32_t *tiles,\n",
"                           SPKI_GLOBAL const uint32_t *from, SPKI_GLOBAL uint32_t *entry,\n",
"                           uint32_t which, uint32_t projections, uint32_t tile, uint32_t count)\n",
"{\n",
"    const uint32_t n = plan[which * SPKI_ROWS_SIZE + SPKI_ROWS_SOURCES];\n",
"    const uint32_t i = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();\n",
"    if (i >= n) {\n",
"        return;\n",
"    }\n",
"    for (uint32_t t = tile; t < tile + count; t++) {\n",
"        SPKI_GLOBAL const uint32_t *feed =\n",
"            tiles + (uint64_t)t * (SPKI_ROWS_TILE_SIZE + projections * SPKI_ROWS_FEED_SIZE) +\n",
"            SPKI_ROWS_TILE_SIZE + which * SPKI_ROWS_FEED_SIZE;\n",
"        const uint32_t at = feed[SPKI_ROWS_FEED_FROM] + i;\n",
"        const uint32_t begin = i ? from[at - 1] : feed[SPKI_ROWS_FEED_ENTRY];\n",
"        const uint32_t all =\n",
"            feed[SPKI_ROWS_FEED_T0] < feed[SPKI_ROWS_FEED_T1] ? from[at] - begin : 0;\n",
"        SPKI_GLOBAL uint32_t *x = entry + begin;\n",
"        for (uint32_t k = all / 2; k > 0; k--) {\n",
"            spki_drawn_sift(x, k - 1, all);\n",
"        }\n",
"        for (uint32_t k = all; k > 1; k--) {\n",
"            const uint32_t last = x[k - 1];\n",
"            x[k - 1] = x[0];\n",
"            x[0] = last;\n",
"            spki_drawn_sift(x, 0, k - 1);\n",
"        }\n",
"    }\n",
"}\n",
0
};

/* ---- >>gpu-source: the program of a network, from the statements of its models ---- */

/* Words of the records that kernels read; the numbers go into the text as macros. */
enum {
    SPKI_GPU_POP_MODEL,
    SPKI_GPU_POP_TAG,
    SPKI_GPU_POP_GROUP,
    SPKI_GPU_POP_COUNT,
    SPKI_GPU_POP_PART,
    SPKI_GPU_POP_PARTS,
    SPKI_GPU_POP_GROUPS, /* of the whole population, and those with a shadow */
    SPKI_GPU_POP_SHADOWS,
    SPKI_GPU_POP_SHADOW,
    SPKI_GPU_POP_DT,     /* bits of a double; for code that nvcc compiled, which does not know it */
    SPKI_GPU_POP_VARIED, /* four words, a bit a real: differs between neurons; for the same */
    SPKI_GPU_POP_CURRENT = SPKI_GPU_POP_VARIED + 4,
    SPKI_GPU_POP_OFFSET,
    SPKI_GPU_POP_QUANTUM,
    SPKI_GPU_POP_AMOUNT = SPKI_GPU_POP_QUANTUM + 8,
    SPKI_GPU_POP_LISTS = SPKI_GPU_POP_AMOUNT + 8, /* states, then reals */

    SPKI_GPU_PART_KIND = 0, /* 0 Poisson, 1 current */
    SPKI_GPU_PART_START,
    SPKI_GPU_PART_STOP,
    SPKI_GPU_PART_FIRST,
    SPKI_GPU_PART_COUNT,
    SPKI_GPU_PART_POS,
    SPKI_GPU_PART_NEG,
    SPKI_GPU_PART_OWN,
    SPKI_GPU_PART_STREAM,
    SPKI_GPU_PART_VALUE,
    SPKI_GPU_PART_TABLE,
    SPKI_GPU_PART_NOISE,
    SPKI_GPU_PART_SD,
    SPKI_GPU_PART_SIZE,

    SPKI_GPU_BLOCK_POP = 0,
    SPKI_GPU_BLOCK_FIRST,
    SPKI_GPU_BLOCK_COUNT,
    SPKI_GPU_BLOCK_ACC,
    SPKI_GPU_BLOCK_STRIDE,
    SPKI_GPU_BLOCK_TILE,
    SPKI_GPU_BLOCK_PIECE, /* of its tile */
    SPKI_GPU_BLOCK_SIZE,

    SPKI_GPU_PIECE_RECORD = 0,
    SPKI_GPU_PIECE_WORDS,
    SPKI_GPU_PIECE_FIRST,
    SPKI_GPU_PIECE_LANES,
    SPKI_GPU_PIECE_STATES,
    SPKI_GPU_PIECE_SIZE
};

/* One model with one choice of which parameters differ between neurons. */
typedef struct spki_gpu_variant {
    spk_model model;
    uint64_t varied[4]; /* a bit a real */
    uint64_t alone;     /* 1: vectors, and no drive acts on them */
} spki_gpu_variant;

#define SPKI_GPU_REALS 256u /* parameters and derived of one model */

/* Where a statement stands in the text, so that a compiler's complaint can quote it. */
typedef struct spki_gpu_line {
    uint32_t line, size;
    spk_model model;
    const char *statement;
} spki_gpu_line;

typedef struct spki_gpu_source {
    spki_gpu_bytes text, lines; /* of spki_gpu_line */
    uint32_t line;              /* of the next character, from 1 */
} spki_gpu_source;

SPKI_FN void spki_gpu_put(spki_gpu_source *s, const char *piece, size_t n)
{
    char *to = (char *)spki_gpu_more(&s->text, n);
    for (size_t k = 0; to && k < n; k++) {
        to[k] = piece[k];
        s->line += piece[k] == '\n';
    }
}

__attribute__((format(printf, 2, 3))) SPKI_FN void spki_gpu_say(spki_gpu_source *s,
                                                                const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    spki_gpu_put(s, line, strlen(line));
}

SPKI_FN void spki_gpu_paste(spki_gpu_source *s, const char *const *lines)
{
    for (; *lines; lines++) {
        spki_gpu_put(s, *lines, strlen(*lines));
    }
}

/* The statements, a line each: a statement ends at a semicolon or brace outside parentheses. */
SPKI_FN void spki_gpu_statements(spki_gpu_source *s, spk_model model)
{
    const char *from = model->text;
    int depth = 0;
    for (const char *p = model->text;; p++) {
        depth += *p == '(' ? 1 : *p == ')' ? -1 : 0;
        if (*p && (depth || (*p != ';' && *p != '{' && *p != '}'))) {
            continue;
        }
        const char *end = *p ? p + 1 : p;
        while (from < end && *from == ' ') {
            from++;
        }
        spki_gpu_line *line = (spki_gpu_line *)spki_gpu_more(&s->lines, sizeof *line);
        if (line) {
            line->line = s->line;
            line->model = model;
            line->statement = from;
            line->size = (uint32_t)(end - from);
        }
        spki_gpu_put(s, from, (size_t)(end - from));
        spki_gpu_put(s, "\n", 1);
        from = end;
        if (!*p) {
            return;
        }
    }
}

SPKI_FN bool spki_gpu_varies(const spki_gpu_variant *v, uint32_t real)
{
    return (v->varied[real / 64] >> (real % 64)) & 1;
}

/* How the block function gets real number k of the model. */
SPKI_FN void spki_gpu_real_text(spki_gpu_source *s, const spki_gpu_variant *v, uint32_t k,
                                const char *name, bool head)
{
    if (head && !spki_gpu_varies(v, k)) {
        spki_gpu_say(s, "const spki_elem spki_u%u = spki_same(spki_e, SPKI_REALS + %uu);\n", k, k);
    } else if (!head && spki_gpu_varies(v, k)) {
        spki_gpu_say(s, "const real %s = spki_each(spki_e, SPKI_REALS + %uu, spki_lane);\n", name,
                     k);
    } else if (!head) {
        spki_gpu_say(s, "const real %s = spki_zero + spki_u%u;\n", name, k);
    }
}

SPKI_FN void spki_gpu_reals_text(spki_gpu_source *s, const spki_gpu_variant *v, bool head)
{
    const spk_model m = v->model;
    for (uint32_t k = 0; k < m->param_count; k++) {
        spki_gpu_real_text(s, v, k, m->param[k].name, head);
    }
    for (uint32_t k = 0; k < m->derived_count; k++) {
        spki_gpu_real_text(s, v, m->param_count + k, m->derived[k], head);
    }
}

/* What does not change within a block: where states lie, and the quanta of receptors. */
SPKI_FN void spki_gpu_places_text(spki_gpu_source *s, spk_model m)
{
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "SPKI_GLOBAL spki_stored *const spki_s%u = spki_state(spki_e, %uu);\n", k,
                     k);
    }
    for (uint32_t k = 0; k < m->input_count; k++) {
        if ((int)(m->input[k].value + 0.5) <= SPK_INH) {
            spki_gpu_say(s, "const spki_elem spki_q%u = spki_quantum(spki_e, %uu);\n", receptor,
                         receptor);
            receptor++;
        }
    }
}

/* The inputs of all four vectors of an item. */
SPKI_FN void spki_gpu_inputs_text(spki_gpu_source *s, const spki_gpu_variant *v)
{
    const spk_model m = v->model;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->input_count; k++) {
        const int kind = (int)(m->input[k].value + 0.5);
        if (v->alone && kind != SPK_RANDOM) {
            continue;
        }
        spki_gpu_say(s, "real spki_i%u[4];\n", k);
        if (kind <= SPK_INH) {
            spki_gpu_say(s, "spki_receptor(spki_e, %uu, spki_q%u, spki_i%u);\n", receptor,
                         receptor, k);
            receptor++;
        } else if (kind == SPK_RANDOM) {
            spki_gpu_say(s, "spki_random(spki_e, %uu, spki_i%u);\n", k, k);
        } else {
            spki_gpu_say(s, "spki_current(spki_e, spki_i%u);\n", k);
        }
    }
}

/* Those of the vector at hand. */
SPKI_FN void spki_gpu_input_text(spki_gpu_source *s, const spki_gpu_variant *v)
{
    const spk_model m = v->model;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->input_count; k++) {
        const int kind = (int)(m->input[k].value + 0.5);
        const char *name = m->input[k].name;
        if (!v->alone || kind == SPK_RANDOM) {
            spki_gpu_say(s, "const real %s = spki_i%u[spki_w];\n", name, k);
        } else if (kind <= SPK_INH) {
            spki_gpu_say(s, "const real %s = spki_undriven(spki_e, %uu, spki_q%u, spki_w);\n",
                         name, receptor, receptor);
            receptor++;
        } else {
            spki_gpu_say(s, "const real %s = spki_undriven_current(spki_e, spki_w);\n", name);
        }
    }
}

/* The statements once more, for the shadow of the item's neuron (>>shadow). */
SPKI_FN void spki_gpu_shadow_text(spki_gpu_source *s, spk_model m)
{
    const int v = spki_shadow_state(m);
    spki_gpu_say(s,
                 "SPKI_GLOBAL float *const spki_h = spki_shadow(spki_e, %uu);\n"
                 "if (spki_h) {\n"
                 "SPKI_GLOBAL float *const spki_p = spki_h + (16u * spki_w + spki_low);\n"
                 "const mask spki_was = spike;\n",
                 (m->state_count + 3) * SPKI_GROUP);
    if (v >= 0) {
        spki_gpu_say(s, "const real spki_v = spki_get(spki_e, %uu, spki_s%u + spki_lane);\n",
                     (uint32_t)v, (uint32_t)v);
    }
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "real %s = spki_p[%u];\n", m->state[k].name, k * SPKI_GROUP);
    }
    spki_gpu_say(s, "mask spike = spki_zero > spki_zero;\n{\n");
    spki_gpu_statements(s, m);
    spki_gpu_say(s, "}\n");
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "spki_p[%u] = %s;\n", k * SPKI_GROUP, m->state[k].name);
    }
    spki_gpu_say(s, "spki_compare(spki_p + %u, %s, spki_was, spike);\n}\n",
                 m->state_count * SPKI_GROUP, v >= 0 ? "spki_v - v" : "spki_zero");
}

/* A function that updates a block of neurons of one variant. */
SPKI_FN void spki_gpu_variant_text(spki_gpu_source *s, const spki_gpu_variant *v, uint32_t number,
                                   bool half, bool shadow)
{
    const spk_model m = v->model;
    const uint32_t words = half ? (m->state_count + 1) / 2 : 0;
    spki_gpu_say(s, "/* %.100s */\n#define SPKI_REALS %uu\n", m->name, m->state_count);
    spki_gpu_say(s,
                 "SPKI_DEVICE void spki_block_%u(spki_env *spki_e, const spki_run *spki_run,\n"
                 "    SPKI_GLOBAL const uint64_t *spki_block, spki_elem spki_dt)\n{\n"
                 "const uint32_t spki_first = (uint32_t)spki_block[SPKI_BLOCK_FIRST];\n"
                 "const uint32_t spki_groups = (uint32_t)spki_block[SPKI_BLOCK_COUNT];\n"
                 "const real spki_zero = SPKI_NIL(real);\n"
                 "const real dt = spki_zero + spki_dt;\n",
                 number);
    spki_gpu_reals_text(s, v, true);
    spki_gpu_places_text(s, m);
    spki_gpu_say(s, "SPKI_BEGIN_BLOCK\n");
    spki_gpu_inputs_text(s, v);
    for (uint32_t k = 0; k < words; k++) {
        spki_gpu_say(s, "spki_words spki_r%u[4];\n"
                        "spki_draw(spki_e, spki_e->step, SPKI_STREAM_STORAGE | %uu, spki_r%u);\n",
                     k, k, k);
    }
    spki_gpu_say(s, "for (uint32_t spki_w = 0; spki_w < 4; spki_w++) {\n"
                    "const uint32_t spki_lane = spki_e->group * 64u + 16u * spki_w + spki_low;\n");
    spki_gpu_reals_text(s, v, false);
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "real %s = spki_get(spki_e, %uu, spki_s%u + spki_lane);\n",
                     m->state[k].name, k, k);
    }
    spki_gpu_input_text(s, v);
    spki_gpu_say(s, "mask spike = spki_zero > spki_zero;\n{\n");
    spki_gpu_statements(s, m);
    spki_gpu_say(s, "}\n");
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "spki_put(spki_e, %uu, spki_s%u + spki_lane, %s, ", k, k,
                     m->state[k].name);
        if (half) {
            spki_gpu_say(s, "spki_r%u[spki_w]);\n", k / 2);
        } else {
            spki_gpu_say(s, "SPKI_NIL(spki_words));\n");
        }
    }
    if (shadow) {
        spki_gpu_shadow_text(s, m);
    }
    spki_gpu_say(s, "SPKI_SPIKED(spike, spki_w)\n}\nSPKI_END_BLOCK\n}\n#undef SPKI_REALS\n");
}

typedef struct spki_gpu_choice {
    uint32_t lanes;
    bool is_double, half, shadow, wide, wide_weights, byte_weights, owned;
    double dt;
    uint32_t first_delay, span, stride; /* of arrivals in local memory: step `first_delay` is the
                                           first of `span`, each `stride` slots; span 0: none */
} spki_gpu_choice;

SPKI_FN void spki_gpu_define(spki_gpu_source *s, const char *name, uint32_t value)
{
    spki_gpu_say(s, "#define SPKI_%s %uu\n", name, value);
}

/* Prelude and mathematics: what every program begins with. */
SPKI_FN void spki_gpu_head(spki_gpu_source *s, const spki_gpu_api *api, const spki_gpu_choice *c)
{
    spki_gpu_say(s,
                 "#define SPKI_ON_DEVICE\n#define SPKI_LANES %u\n#define SPKI_IS_DOUBLE %d\n"
                 "#define SPKI_HALF %d\n#define SPKI_WIDE %d\n#define SPKI_WIDE_WEIGHTS %d\n"
                 "#define SPKI_BYTE_WEIGHTS %d\n#define SPKI_OWNED %d\n#define SPKI_E %s\n"
                 "#define SPKI_S %c%u\n",
                 c->lanes, c->is_double, c->half, c->wide, c->wide_weights, c->byte_weights,
                 c->owned, c->is_double ? "double" : "float", c->is_double ? 'd' : 'f', c->lanes);
    spki_gpu_say(s,
                 "#define SPKI_LOCAL_FIRST %uu\n#define SPKI_LOCAL_SPAN %u\n"
                 "#define SPKI_LOCAL_STRIDE %uu\n",
                 c->first_delay, c->span, c->stride);
    spki_gpu_paste(s, api->prelude);
    spki_gpu_paste(s, spki_gpu_text_math);
}

/* What the kernels' text calls these numbers, as SPKI_NAME. */
#define SPKI_GPU_NUMBERS(X)                                                                        \
    X(POP_MODEL, SPKI_GPU_POP_MODEL) X(POP_TAG, SPKI_GPU_POP_TAG)                                  \
    X(POP_GROUP, SPKI_GPU_POP_GROUP) X(POP_COUNT, SPKI_GPU_POP_COUNT)                              \
    X(POP_PART, SPKI_GPU_POP_PART) X(POP_PARTS, SPKI_GPU_POP_PARTS)                                \
    X(POP_GROUPS, SPKI_GPU_POP_GROUPS) X(POP_SHADOWS, SPKI_GPU_POP_SHADOWS)                        \
    X(POP_SHADOW, SPKI_GPU_POP_SHADOW) X(POP_DT, SPKI_GPU_POP_DT)                                  \
    X(POP_VARIED, SPKI_GPU_POP_VARIED) X(POP_CURRENT, SPKI_GPU_POP_CURRENT)                        \
    X(POP_OFFSET, SPKI_GPU_POP_OFFSET) X(POP_QUANTUM, SPKI_GPU_POP_QUANTUM)                        \
    X(POP_AMOUNT, SPKI_GPU_POP_AMOUNT) X(POP_STATE, SPKI_GPU_POP_LISTS)                            \
    X(POP_REAL, SPKI_GPU_POP_LISTS) X(PART_KIND, SPKI_GPU_PART_KIND)                               \
    X(PART_START, SPKI_GPU_PART_START) X(PART_STOP, SPKI_GPU_PART_STOP)                            \
    X(PART_FIRST, SPKI_GPU_PART_FIRST) X(PART_COUNT, SPKI_GPU_PART_COUNT)                          \
    X(PART_POS, SPKI_GPU_PART_POS) X(PART_NEG, SPKI_GPU_PART_NEG) X(PART_OWN, SPKI_GPU_PART_OWN)   \
    X(PART_STREAM, SPKI_GPU_PART_STREAM) X(PART_VALUE, SPKI_GPU_PART_VALUE)                        \
    X(PART_TABLE, SPKI_GPU_PART_TABLE) X(PART_NOISE, SPKI_GPU_PART_NOISE)                          \
    X(PART_SD, SPKI_GPU_PART_SD) X(PART_SIZE, SPKI_GPU_PART_SIZE)                                  \
    X(BLOCK_POP, SPKI_GPU_BLOCK_POP) X(BLOCK_FIRST, SPKI_GPU_BLOCK_FIRST)                          \
    X(BLOCK_COUNT, SPKI_GPU_BLOCK_COUNT) X(BLOCK_ACC, SPKI_GPU_BLOCK_ACC)                          \
    X(BLOCK_STRIDE, SPKI_GPU_BLOCK_STRIDE) X(BLOCK_TILE, SPKI_GPU_BLOCK_TILE)                      \
    X(BLOCK_PIECE, SPKI_GPU_BLOCK_PIECE) X(BLOCK_SIZE, SPKI_GPU_BLOCK_SIZE)                        \
    X(PIECE_RECORD, SPKI_GPU_PIECE_RECORD) X(PIECE_WORDS, SPKI_GPU_PIECE_WORDS)                    \
    X(PIECE_FIRST, SPKI_GPU_PIECE_FIRST) X(PIECE_LANES, SPKI_GPU_PIECE_LANES)                      \
    X(PIECE_STATES, SPKI_GPU_PIECE_STATES) X(PIECE_SIZE, SPKI_GPU_PIECE_SIZE)                      \
    X(BLOCK_GROUPS, SPKI_GPU_BLOCK_GROUPS) X(SCAN_ITEMS, SPKI_GPU_SCAN_ITEMS)                      \
    X(BATCH_ITEMS, SPKI_GPU_BATCH_ITEMS) X(BATCH_GROUPS, SPKI_GPU_BATCH_GROUPS)                    \
    X(LIST_IDS, SPKI_GPU_LIST_IDS) X(TEAM, SPKI_GPU_TEAM)

SPKI_FN void spki_gpu_numbers(spki_gpu_source *s)
{
#define SPKI_GPU_NUMBER(name, value) {#name, value},
    static const struct {
        const char *name;
        uint32_t value;
    } number[] = {SPKI_GPU_NUMBERS(SPKI_GPU_NUMBER)};
#undef SPKI_GPU_NUMBER
    for (size_t k = 0; k < sizeof number / sizeof number[0]; k++) {
        spki_gpu_define(s, number[k].name, number[k].value);
    }
    spki_gpu_define(s, "STREAM_INPUT", SPKI_STREAM_INPUT);
    spki_gpu_define(s, "STREAM_STORAGE", SPKI_STREAM_STORAGE);
}

/* A name that a model uses and the language does not leave free. */
SPKI_FN void spki_gpu_names(spki_gpu_source *s, const char *const *keywords, bool begin)
{
    for (; *keywords; keywords++) {
        if (begin) {
            spki_gpu_say(s, "#define %s spki_name_%s\n", *keywords, *keywords);
        } else {
            spki_gpu_say(s, "#undef %s\n", *keywords);
        }
    }
}

/* The whole program. False: no memory. */
SPKI_FN bool spki_gpu_program_text(spki_gpu_source *s, const spki_gpu_api *api,
                                   const spki_gpu_choice *c, const spki_gpu_variant *variant,
                                   uint32_t variants)
{
    uint64_t bits;
    memcpy(&bits, &c->dt, sizeof bits);
    s->line = 1;
    spki_gpu_head(s, api, c);
    spki_gpu_numbers(s);
    spki_gpu_paste(s, spki_gpu_text_engine);
    spki_gpu_names(s, api->keywords, true);
    for (uint32_t k = 0; k < variants; k++) {
        spki_gpu_variant_text(s, &variant[k], k, c->half, c->shadow);
    }
    spki_gpu_names(s, api->keywords, false);
    spki_gpu_say(s, "#define SPKI_DT ((spki_elem)%.17g)\n#define SPKI_DISPATCH", c->dt);
    for (uint32_t k = 0; k < variants; k++) {
        spki_gpu_say(s, " \\\n    case %u: spki_block_%u(e, run, block, SPKI_DT); break;", k, k);
    }
    spki_gpu_say(s, "\n");
    spki_gpu_paste(s, spki_gpu_text_kernels);
    if (api->together) {
        spki_gpu_paste(s, spki_gpu_text_batch);
    }
    spki_gpu_put(s, "", 1);
    return !s->text.failed && !s->lines.failed;
}

SPKI_FN void spki_gpu_source_free(spki_gpu_source *s)
{
    spki_gpu_forget(&s->text);
    spki_gpu_forget(&s->lines);
}

/* The statement that the first complaint of a compiler is about, or NULL: a line with "error" and a
   place, as ":LINE:COLUMN:" or "(LINE):". `what` gets the compiler's words. */
SPKI_FN const spki_gpu_line *spki_gpu_blamed(const spki_gpu_source *s, const char *log,
                                             const char **what, int *what_size)
{
    const spki_gpu_line *line = (const spki_gpu_line *)(const void *)s->lines.data;
    const size_t lines = s->lines.used / sizeof *line;
    for (const char *p = strstr(log, "error"); p; p = strstr(p + 1, "error")) {
        const char *start = p;
        while (start > log && start[-1] != '\n') {
            start--;
        }
        for (const char *q = start; *q && *q != '\n'; q++) {
            char *end;
            if (*q != ':' && *q != '(') {
                continue;
            }
            const unsigned long at = strtoul(q + 1, &end, 10);
            const bool place = end != q + 1 && *end == (*q == '(' ? ')' : ':');
            const char *words = place ? end + 1 + strspn(end + 1, "0123456789: ") : end;
            for (size_t k = 0; place && k < lines; k++) {
                if (line[k].line == at) {
                    *what = words;
                    *what_size = (int)strcspn(words, "\n");
                    return &line[k];
                }
            }
        }
    }
    return NULL;
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>gpu-pack: rows as a device reads them ----
   The host's rows are made for vectors: buckets of one delay, 16 bits for a weight even where it
   has 8. On a device the bytes that are read are the time, and where each multiprocessor has a
   tile, buckets hold one or two synapses: their heads take a third of a row. Two changes, where
   they apply:

   Flat rows: where the bits of a tile's slots and those of its delays fit into 16 together, a row
   is the number of its synapses and the synapses, in the order of the host's, each with (delay
   less the tile's shortest) << bits | slot where it had its slot.

   Weights of 8 bits: each four synapses of a bucket, or of a flat row, are three words (two slots,
   two slots, four weights), what is left of it one word each, as ever. */

#define SPKI_GPU_PACK 4u

SPKI_FN uint32_t spki_gpu_bucket_words(uint32_t count)
{
    return count / SPKI_GPU_PACK * 3 + count % SPKI_GPU_PACK;
}

/* One bucket; returns what is behind it. */
SPKI_FN uint32_t *spki_gpu_pack_bucket(const uint32_t *from, uint32_t count, uint32_t *out)
{
    uint32_t k = 0;
    for (; k + SPKI_GPU_PACK <= count; k += SPKI_GPU_PACK, out += 3) {
        out[0] = (from[k] & 0xffffu) | from[k + 1] << 16;
        out[1] = (from[k + 2] & 0xffffu) | from[k + 3] << 16;
        out[2] = 0;
        for (uint32_t j = 0; j < SPKI_GPU_PACK; j++) {
            out[2] |= (from[k + j] >> 16 & 0xffu) << 8 * j;
        }
    }
    for (; k < count; k++) {
        *out++ = from[k];
    }
    return out;
}

/* Synapse k of the n of a flat row; `field`: its slot and delay. */
SPKI_FN void spki_gpu_put_flat(uint32_t *out, uint32_t k, uint32_t n, uint32_t field,
                               uint32_t weight, bool bytes)
{
    const uint32_t j = k % SPKI_GPU_PACK;
    if (!bytes) {
        out[k] = field | weight << 16;
        return;
    }
    out += k / SPKI_GPU_PACK * 3;
    if (k / SPKI_GPU_PACK == n / SPKI_GPU_PACK) {
        out[j] = field | weight << 16;
        return;
    }
    if (j == 0) {
        out[0] = out[1] = out[2] = 0;
    }
    out[j / 2] |= field << (j % 2 * 16);
    out[2] |= (weight & 0xffu) << 8 * j;
}

/* A row without its buckets, where `out` is given; returns its words. */
SPKI_FN size_t spki_gpu_flatten(const spk_net *net, const spki_tile *tile, uint32_t id,
                                uint32_t *out)
{
    const bool bytes = net->desc.weight_bits == 8;
    spki_row_reader r;
    uint32_t n = 0, at = 0;
    spki_row_open(&r, tile, id, 1);
    while (spki_row_next(&r)) {
        n += r.count;
    }
    if (out) {
        out[0] = n;
        spki_row_open(&r, tile, id, 1);
        while (spki_row_next(&r)) {
            const uint32_t delay = (r.delay - tile->min_delay) << tile->flat;
            for (uint32_t k = 0; k < r.count; k++) {
                const uint32_t x = tile->words[r.at + k];
                spki_gpu_put_flat(out + 1, at++, n, (x & 0xffffu) | delay, x >> 16, bytes);
            }
        }
    }
    return 1 + (bytes ? spki_gpu_bucket_words(n) : n);
}

/* A row of 8-bit weights with its buckets. */
SPKI_FN size_t spki_gpu_pack_row(const spki_tile *tile, uint32_t id, uint32_t *out)
{
    spki_row_reader r;
    size_t used;
    spki_row_open(&r, tile, id, 1);
    used = r.at - tile->row[id];
    if (out) {
        memcpy(out, tile->words + tile->row[id], used * sizeof *out);
    }
    while (spki_row_next(&r)) {
        if (out) {
            (void)spki_gpu_pack_bucket(tile->words + r.at, r.count, out + used);
        }
        used += spki_gpu_bucket_words(r.count);
    }
    return used;
}

/* A tile's rows: how many words they become. Where `out` is given, they are written there, and
   where each begins to `row`. */
SPKI_FN size_t spki_gpu_pack_tile(const spk_net *net, const spki_tile *tile, uint32_t *out,
                                  uint32_t *row)
{
    size_t used = 1;
    if (out) {
        out[0] = tile->words[0];
    }
    for (uint32_t id = 0; id < net->neurons; id++) {
        uint32_t *to = out ? out + used : NULL;
        if (row) {
            row[id] = tile->row[id] ? (uint32_t)used : 0;
        }
        if (tile->row[id]) {
            used += tile->flat ? spki_gpu_flatten(net, tile, id, to)
                               : spki_gpu_pack_row(tile, id, to);
        }
    }
    return used;
}

SPKI_FN bool spki_gpu_packs(const spk_net *net, const spki_tile *tile)
{
    return net->desc.weight_bits == 8 || tile->flat;
}

/* Bits that hold all numbers below n. */
SPKI_FN uint32_t spki_gpu_bits_below(uint64_t n)
{
    uint32_t bits = 0;
    while ((uint64_t)1 << bits < n) {
        bits++;
    }
    return bits;
}

/* Makes a tile's rows flat where they can be; they are shorter then, always. `may`: no device of
   the network wants buckets. */
SPKI_FN void spki_gpu_choose_flat(const spk_net *net, spki_tile *tile, bool may)
{
    const uint32_t slots =
        spki_gpu_bits_below((uint64_t)tile->lanes * SPKI_MAX(tile->receptors, 1u));
    tile->flat = 0;
    if (may && tile->synapses && net->desc.weight_bits != 32 &&
        slots + spki_gpu_bits_below((uint64_t)tile->max_delay - tile->min_delay + 1) <= 16) {
        tile->flat = slots;
    }
}

/* Measures all tiles, once they are built: their buckets do not change afterwards. */
SPKI_FN void spki_gpu_measure(spk_net *net, bool may_be_flat)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        spki_gpu_choose_flat(net, tile, may_be_flat);
        tile->device_words = spki_gpu_packs(net, tile) ? spki_gpu_pack_tile(net, tile, NULL, NULL)
                                                       : tile->words_used;
    }
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>gpu-layout: a built network as the buffers of one device ---- */

/* Consecutive tiles whose words lie in one block of device memory. */
typedef struct spki_gpu_segment {
    uint32_t tile, tiles; /* counted from the device's first */
    uint64_t words, synapses;
    spki_gpu_block block;
} spki_gpu_segment;

/* The lanes of a population that a device has. */
typedef struct spki_gpu_range {
    uint32_t lo, hi;   /* multiples of 64; equal: none */
    uint64_t record;   /* of desc */
    uint64_t state;    /* first element of its states: (hi - lo) elements each, in turn */
    uint64_t shadow;   /* behind all states: the first of its slots of >>shadow, in words */
    uint32_t slot, slots;
} spki_gpu_range;

/* A recorder of states, as one device sees it. */
typedef struct spki_gpu_sample {
    spk_rec rec;
    uint32_t first, count; /* of the index */
    uint64_t out;          /* first element of its rows in the buffer */
} spki_gpu_sample;

/* What one device has of a network. */
typedef struct spki_gpu_part {
    spki_gpu gpu;
    uint32_t tile, tiles;          /* of the network's */
    uint32_t next_tile, next_tiles; /* as the devices' speeds would have it */
    double busy_s;                 /* for the slices that were timed */
    uint32_t group, groups;        /* of 64 lanes */
    uint64_t slots, states;        /* accumulators of a step; elements of state */
    uint32_t blocks, ring, parts;  /* ring: steps of accumulators; parts: of a compaction */
    spki_gpu_range *range;         /* one a population */
    spki_gpu_segment *segment;
    uint32_t segments;
    void *program;
    uint64_t program_hash;
    bool held;                     /* the program was compiled with the host's code */
    struct spki_gpu_drawing *drawing; /* >>gpu-construct: rows that are measured, not written */
    void *rows_program;            /* that draws them; NULL: not wanted yet */
    bool drawn;                    /* the device drew its rows */
    spki_gpu_block desc, block, value, table, told, state, acc, arrived, history, group_id, counts,
        rows, tile_at, list[2], lanes, index, sample[2];
    uint32_t together;           /* groups of items that run whole batches; 0: a launch a slice */
    bool own;                    /* each with a tile's accumulators in shared memory */
    uint32_t record_words, records_room; /* and states there: words of a record, and of all */
    spki_gpu_block share, pieces, found, meet;
    spki_gpu_block origin;         /* >>gpu-replay */
    void *recording[SPKI_MAX_SLICE + 1]; /* by its steps; NULL: none */
    uint64_t recorded_with, seen;  /* a digest of what recordings hold; bits: lengths met once */
    bool recording_now;
    uint32_t *read_list[2];        /* where lists arrive */
    uint64_t list_words, asked[2], last_spikes; /* words of a list: room, and what was read */
    spki_gpu_ticket ticket[2], sampled[2];
    char *read_sample[2], *read_state;
    size_t read_state_bytes;
    uint64_t *read_history;
    size_t sample_bytes, sample_room, index_room;
    spki_gpu_sample *samples;
    uint32_t *sampled_at;          /* by element of the index: column of the recorder's row */
} spki_gpu_part;

/* What is made on the host and then uploaded. */
typedef struct spki_gpu_draft {
    spki_gpu_bytes desc, value, table, block, variant;
} spki_gpu_draft;

SPKI_FN void spki_gpu_draft_free(spki_gpu_draft *d)
{
    spki_gpu_forget(&d->desc);
    spki_gpu_forget(&d->value);
    spki_gpu_forget(&d->table);
    spki_gpu_forget(&d->block);
    spki_gpu_forget(&d->variant);
}

SPKI_FN uint32_t spki_gpu_up(uint32_t n, uint32_t to)
{
    return (n + to - 1) / to * to;
}

SPKI_FN uint64_t spki_gpu_tile_slots(const spki_tile *tile)
{
    return (uint64_t)tile->lanes * SPKI_MAX(tile->receptors, 1u);
}

/* Where what arrives at a tile in a slice fits into local memory, groups of items deliver there. */
SPKI_FN void spki_gpu_choose_local(const spk_net *net, const spki_gpu *gpu, spki_gpu_choice *c)
{
    const uint64_t span = (uint64_t)net->max_delay - net->min_delay + net->slice_max;
    uint64_t most = 0;
    for (uint32_t t = 0; t < net->tiles; t++) {
        most = SPKI_MAX(most, spki_gpu_tile_slots(&net->tile[t]));
    }
    if (net->max_delay && most * span * (net->accumulator_bits / 8) <= gpu->local_bytes) {
        c->first_delay = net->min_delay;
        c->span = (uint32_t)span;
        c->stride = (uint32_t)most;
    }
}

SPKI_FN spki_gpu_choice spki_gpu_choose(const spk_net *net, const spki_gpu *gpu)
{
    spki_gpu_choice c;
    memset(&c, 0, sizeof c);
    c.is_double = net->desc.precision == SPK_FLOAT64;
    c.half = net->desc.precision == SPK_FLOAT16;
    c.shadow = net->window != 0;
    c.lanes = gpu->lanes == 1 || c.half ? 1 : c.is_double ? 8 : 16;
    c.wide = net->accumulator_bits == 64;
    c.wide_weights = net->desc.weight_bits == 32;
    c.byte_weights = net->desc.weight_bits == 8;
    c.owned = gpu->lanes > 1 || (c.wide && !gpu->has_wide_atomics);
    c.dt = net->desc.dt_ms;
    if (!c.owned && gpu->local_bytes) {
        spki_gpu_choose_local(net, gpu, &c);
    }
    return c;
}

/* -- geometry: what follows from the tiles alone -- */

SPKI_FN void spki_gpu_ranges(const spk_net *net, spki_gpu_part *part)
{
    uint32_t low = UINT32_MAX, high = 0;
    uint64_t state = 0;
    memset(part->range, 0, net->populations * sizeof *part->range);
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        for (uint32_t p = 0; p < net->tile[t].pieces; p++) {
            const spki_piece *piece = &net->tile[t].piece[p];
            const uint32_t lane = net->population[piece->population].lane / SPKI_GROUP;
            spki_gpu_range *range = &part->range[piece->population];
            range->lo = range->hi ? SPKI_MIN(range->lo, piece->first) : piece->first;
            range->hi = piece->first + spki_gpu_up(piece->count, SPKI_GROUP);
            low = SPKI_MIN(low, lane + range->lo / SPKI_GROUP);
            high = SPKI_MAX(high, lane + range->hi / SPKI_GROUP);
        }
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        part->range[p].state = state;
        state += (uint64_t)(part->range[p].hi - part->range[p].lo) *
                 net->population[p].model->state_count;
    }
    state /= 2; /* behind them, in words of two 16-bit elements, what >>shadow has */
    for (uint32_t p = 0; p < net->populations && net->window; p++) {
        const spki_population *pop = &net->population[p];
        spki_gpu_range *range = &part->range[p];
        range->shadow = state;
        range->slot = spki_shadows_before(pop, range->lo / SPKI_GROUP);
        range->slots = spki_shadows_before(pop, range->hi / SPKI_GROUP) - range->slot;
        state += (uint64_t)range->slots * spki_shadow_words(pop);
    }
    state *= 2;
    part->group = low == UINT32_MAX ? 0 : low;
    part->groups = low == UINT32_MAX ? 0 : high - low;
    part->states = state;
}

SPKI_FN void spki_gpu_geometry(const spk_net *net, spki_gpu_part *part)
{
    const bool few = part->gpu.lanes > 1;
    spki_gpu_ranges(net, part);
    part->slots = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        part->slots += spki_gpu_tile_slots(&net->tile[t]);
    }
    part->ring = SPKI_MAX(SPKI_MAX(net->max_delay, net->slice_max), 1u);
    part->parts = part->groups < 8192 ? 1
                                      : SPKI_MIN(part->groups / (few ? 4096 : 2048),
                                                 SPKI_MAX(part->gpu.units, 1u) * 8);
    part->list_words =
        SPKI_GPU_LIST_IDS + (uint64_t)SPKI_MAX(part->groups, 1u) * SPKI_GROUP * net->batch_max;
}

/* Cuts the tiles into segments; `segment` NULL only counts. */
SPKI_FN uint32_t spki_gpu_cut(const spk_net *net, const spki_gpu_part *part,
                              spki_gpu_segment *segment)
{
    uint32_t n = 0;
    uint64_t words = 0;
    for (uint32_t t = 0; t < part->tiles; t++) {
        const uint64_t more = net->tile[part->tile + t].device_words;
        if (n == 0 || (words + more) * 4 > part->gpu.largest) {
            n++;
            words = 0;
            if (segment) {
                segment[n - 1].tile = t;
                segment[n - 1].tiles = 0;
                segment[n - 1].synapses = 0;
            }
        }
        words += more;
        if (segment) {
            segment[n - 1].tiles++;
            segment[n - 1].words = words;
            segment[n - 1].synapses += net->tile[part->tile + t].synapses;
        }
    }
    return n;
}

/* -- records -- */

/* Appends numbers in the network's precision; returns the first one's element. */
SPKI_FN uint64_t spki_gpu_values(spk_net *net, spki_gpu_draft *d, const double *x, size_t n)
{
    const uint64_t at = d->value.used / net->real_size;
    char *to = (char *)spki_gpu_more(&d->value, n * net->real_size);
    for (size_t k = 0; to && k < n; k++) {
        spki_put_real(net, to, k, x[k]);
    }
    return at;
}

SPKI_FN uint64_t spki_gpu_value(spk_net *net, spki_gpu_draft *d, double x)
{
    return spki_gpu_values(net, d, &x, 1);
}

/* A table of a Poisson drive: base, count, common, thresholds as plain unsigned numbers. */
SPKI_FN uint64_t spki_gpu_table(spki_gpu_draft *d, const spki_poisson_table *t)
{
    const uint64_t at = d->table.used / 4;
    uint32_t *to = (uint32_t *)spki_gpu_more(&d->table, (3 + (size_t)t->count) * 4);
    if (to) {
        to[0] = t->base;
        to[1] = t->count;
        to[2] = t->common;
    }
    for (uint32_t k = 0; to && k < t->count; k++) {
        to[3 + k] = (uint32_t)t->threshold[k] ^ 0x80000000u;
    }
    return at;
}

/* Rates, weights and receptors of each neuron of a part. */
SPKI_FN void spki_gpu_own_poisson(spk_net *net, spki_gpu_draft *d, const spki_drive *drive,
                                  const spki_drive_part *p, uint64_t *out)
{
    uint64_t *tables = (uint64_t *)spki_alloc(&net->mem, drive->tables, sizeof *tables);
    if (!tables) {
        d->table.failed = true;
        return;
    }
    for (uint32_t t = 0; t < drive->tables; t++) {
        tables[t] = drive->table[t].threshold ? spki_gpu_table(d, &drive->table[t]) : 0;
    }
    out[SPKI_GPU_PART_VALUE] = d->value.used / net->real_size;
    out[SPKI_GPU_PART_TABLE] = d->table.used / 4;
    char *amount = (char *)spki_gpu_more(&d->value, (size_t)p->count * net->real_size);
    uint32_t *where = (uint32_t *)spki_gpu_more(&d->table, (size_t)p->count * 8);
    for (uint32_t k = 0; amount && where && k < p->count; k++) {
        const uint32_t index = p->index + k;
        const double w = spki_param_at(&drive->value, index);
        spki_put_real(net, amount, k, p->magnitude && w < 0.0 ? -w : w);
        where[2 * k] = w < 0.0 ? p->receptor_neg : p->receptor_pos;
        where[2 * k + 1] = (uint32_t)tables[drive->table_of ? drive->table_of[index] : 0];
    }
    spki_free(&net->mem, tables, drive->tables, sizeof *tables);
}

SPKI_FN void spki_gpu_drive_record(spk_net *net, spki_gpu_draft *d, const spki_drive_part *p,
                                   uint64_t *out)
{
    const spki_drive *drive = &net->drive[p->drive];
    const double w = drive->value.uniform;
    out[SPKI_GPU_PART_KIND] = drive->kind == SPKI_DRIVE_CURRENT;
    out[SPKI_GPU_PART_START] = drive->start;
    out[SPKI_GPU_PART_STOP] = drive->stop;
    out[SPKI_GPU_PART_FIRST] = p->first;
    out[SPKI_GPU_PART_COUNT] = p->count;
    out[SPKI_GPU_PART_POS] = p->receptor_pos;
    out[SPKI_GPU_PART_NEG] = p->receptor_neg;
    out[SPKI_GPU_PART_STREAM] = SPKI_STREAM_DRIVE | p->drive;
    if (drive->kind == SPKI_DRIVE_POISSON) {
        out[SPKI_GPU_PART_OWN] = drive->value.each || drive->table_of;
        if (out[SPKI_GPU_PART_OWN]) {
            spki_gpu_own_poisson(net, d, drive, p, out);
            return;
        }
        out[SPKI_GPU_PART_POS] = w < 0.0 ? p->receptor_neg : p->receptor_pos;
        out[SPKI_GPU_PART_VALUE] = spki_gpu_value(net, d, p->magnitude && w < 0.0 ? -w : w);
        out[SPKI_GPU_PART_TABLE] = spki_gpu_table(d, &drive->table[0]);
        return;
    }
    out[SPKI_GPU_PART_OWN] = drive->value.each != NULL;
    out[SPKI_GPU_PART_VALUE] = d->value.used / net->real_size;
    if (drive->value.each) { /* vectors may begin and end outside: 64 to spare on both sides */
        (void)spki_gpu_more(&d->value, 64 * net->real_size);
        (void)spki_gpu_values(net, d, drive->value.each + p->index, p->count);
        (void)spki_gpu_more(&d->value, 64 * net->real_size);
    } else {
        (void)spki_gpu_value(net, d, w);
    }
    if (drive->noise_sd > 0.0) {
        out[SPKI_GPU_PART_NOISE] = drive->noise_steps;
        out[SPKI_GPU_PART_SD] = spki_gpu_value(net, d, drive->noise_sd);
    }
}

/* The number of the variant that a population needs. */
SPKI_FN uint32_t spki_gpu_find_variant(const spki_population *pop, bool vectors,
                                       spki_gpu_draft *d)
{
    spki_gpu_variant want;
    const uint32_t reals = pop->model->param_count + pop->model->derived_count;
    memset(&want, 0, sizeof want);
    want.model = pop->model;
    want.alone = vectors && pop->parts == 0;
    for (uint32_t k = 0; k < reals && k < SPKI_GPU_REALS; k++) {
        want.varied[k / 64] |= (uint64_t)(pop->real_mask[k] != 0) << (k % 64);
    }
    const uint32_t n = (uint32_t)(d->variant.used / sizeof want);
    for (uint32_t k = 0; k < n; k++) {
        if (memcmp(d->variant.data + k * sizeof want, &want, sizeof want) == 0) {
            return k;
        }
    }
    void *to = spki_gpu_more(&d->variant, sizeof want);
    if (to) {
        memcpy(to, &want, sizeof want);
    }
    return n;
}

/* The record of one population. Offsets count from lane 0, which the device may not have. */
SPKI_FN void spki_gpu_pop_record(spk_net *net, spki_gpu_part *part, uint32_t population,
                                 spki_gpu_draft *d)
{
    const spki_population *pop = &net->population[population];
    const spk_model m = pop->model;
    spki_gpu_range *range = &part->range[population];
    const uint32_t reals = m->param_count + m->derived_count;
    const size_t lanes = range->hi - range->lo, words = SPKI_GPU_POP_LISTS + m->state_count + reals;
    const size_t record = d->desc.used / 8;
    uint64_t *out = (uint64_t *)spki_alloc(&net->mem, words, 8);
    if (!out || !spki_gpu_more(&d->desc, (words + (size_t)pop->parts * SPKI_GPU_PART_SIZE) * 8)) {
        d->desc.failed = true;
        spki_free(&net->mem, out, words, 8);
        return;
    }
    range->record = record;
    out[SPKI_GPU_POP_MODEL] = spki_gpu_find_variant(
        pop, spki_gpu_choose(net, &part->gpu).lanes > 1, d);
    out[SPKI_GPU_POP_TAG] = (uint64_t)population << 16;
    out[SPKI_GPU_POP_GROUP] = pop->lane / SPKI_GROUP;
    out[SPKI_GPU_POP_COUNT] = pop->count;
    out[SPKI_GPU_POP_PART] = record + words;
    out[SPKI_GPU_POP_PARTS] = pop->parts;
    out[SPKI_GPU_POP_GROUPS] = pop->lanes / SPKI_GROUP;
    out[SPKI_GPU_POP_SHADOWS] = pop->shadows;
    out[SPKI_GPU_POP_SHADOW] = range->shadow - (uint64_t)range->slot * spki_shadow_words(pop);
    memcpy(&out[SPKI_GPU_POP_DT], &net->desc.dt_ms, 8);
    for (uint32_t k = 0; k < reals && k < SPKI_GPU_REALS; k++) {
        out[SPKI_GPU_POP_VARIED + k / 64] |= (uint64_t)(pop->real_mask[k] != 0) << (k % 64);
    }
    out[SPKI_GPU_POP_OFFSET] = spki_gpu_values(net, d, pop->state_offset, m->state_count);
    for (uint32_t r = 0; r < 8; r++) {
        out[SPKI_GPU_POP_QUANTUM + r] = spki_gpu_value(net, d, pop->quantum[r]);
    }
    for (uint32_t s = 0; s < m->state_count; s++) {
        out[SPKI_GPU_POP_LISTS + s] = range->state + s * (uint64_t)lanes - range->lo;
    }
    for (uint32_t k = 0; k < reals; k++) {
        const bool varied = pop->real_mask[k] != 0;
        const size_t n = varied ? lanes : 1, first = varied ? range->lo : 0;
        out[SPKI_GPU_POP_LISTS + m->state_count + k] = d->value.used / net->real_size - first;
        void *to = spki_gpu_more(&d->value, n * net->real_size);
        if (to) {
            memcpy(to, pop->real[k] + first * net->real_size, n * net->real_size);
        }
    }
    memcpy(d->desc.data + record * 8, out, words * 8);
    spki_free(&net->mem, out, words, 8);
    for (uint32_t k = 0; k < pop->parts; k++) {
        uint64_t drive[SPKI_GPU_PART_SIZE] = {0};
        spki_gpu_drive_record(net, d, &net->part[pop->part + k], drive);
        memcpy(d->desc.data + (record + words + (size_t)k * SPKI_GPU_PART_SIZE) * 8, drive,
               sizeof drive);
    }
}

/* Blocks of neurons: each of one population and one tile. */
SPKI_FN void spki_gpu_block_records(const spk_net *net, spki_gpu_part *part, spki_gpu_draft *d)
{
    const uint32_t most = SPKI_GPU_BLOCK_GROUPS;
    uint64_t acc = 0;
    part->blocks = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (uint32_t p = 0; p < tile->pieces; p++) {
            const spki_piece *piece = &tile->piece[p];
            const uint32_t groups = (piece->count + SPKI_GROUP - 1) / SPKI_GROUP;
            for (uint32_t g = 0; g < groups; g += most) {
                uint64_t *b = (uint64_t *)spki_gpu_more(&d->block, SPKI_GPU_BLOCK_SIZE * 8);
                if (!b) {
                    return;
                }
                b[SPKI_GPU_BLOCK_POP] = part->range[piece->population].record;
                b[SPKI_GPU_BLOCK_FIRST] = piece->first / SPKI_GROUP + g;
                b[SPKI_GPU_BLOCK_COUNT] = SPKI_MIN(most, groups - g);
                b[SPKI_GPU_BLOCK_ACC] = acc + piece->lane + (uint64_t)g * SPKI_GROUP;
                b[SPKI_GPU_BLOCK_STRIDE] = tile->lanes;
                b[SPKI_GPU_BLOCK_TILE] = t - part->tile;
                b[SPKI_GPU_BLOCK_PIECE] = p;
                part->blocks++;
            }
        }
        acc += spki_gpu_tile_slots(tile);
    }
}

/* Everything that is described by records. False: no memory. */
SPKI_FN bool spki_gpu_draft_make(spk_net *net, spki_gpu_part *part, spki_gpu_draft *d)
{
    memset(d, 0, sizeof *d);
    d->desc.mem = d->value.mem = d->table.mem = d->block.mem = d->variant.mem = &net->mem;
    (void)spki_gpu_more(&d->value, 64 * net->real_size);
    (void)spki_gpu_more(&d->table, 64);
    for (uint32_t p = 0; p < net->populations; p++) {
        if (part->range[p].hi) {
            spki_gpu_pop_record(net, part, p, d);
        }
    }
    spki_gpu_block_records(net, part, d);
    (void)spki_gpu_more(&d->value, 64 * net->real_size);
    return !(d->desc.failed || d->value.failed || d->table.failed || d->block.failed ||
             d->variant.failed);
}

/* -- what it takes -- */

/* Bytes of all blocks, and of the largest. */
typedef struct spki_gpu_bill {
    uint64_t sum, most;
} spki_gpu_bill;

SPKI_FN void spki_gpu_charge(spki_gpu_bill *bill, uint64_t bytes)
{
    bytes = SPKI_MAX(bytes, (uint64_t)64);
    bill->sum += bytes;
    bill->most = SPKI_MAX(bill->most, bytes);
}

/* Bytes of an element of state: with a shadow, as many as it may become. */
SPKI_FN size_t spki_gpu_state_room(const spk_net *net)
{
    return net->window ? sizeof(float) : net->state_size;
}

SPKI_FN void spki_gpu_charge_recorders(const spk_net *net, spki_gpu_bill *bill)
{
    uint64_t n = 0;
    for (uint32_t r = 0; r < net->recorders; r++) {
        n += net->recorder[r]->kind == SPK_REC_STATE ? net->view[net->recorder[r]->view].size : 0;
    }
    if (n) {
        spki_gpu_charge(bill, n * 4);
        spki_gpu_charge(bill, n * SPKI_MAX_SLICE * spki_gpu_state_room(net));
        spki_gpu_charge(bill, n * SPKI_MAX_SLICE * spki_gpu_state_room(net));
    }
}

/* Of the table of all tiles' pieces (>>gpu-batch). */
SPKI_FN uint64_t spki_gpu_pieces_bytes(const spk_net *net, const spki_gpu_part *part)
{
    uint64_t words = part->tiles + 1;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        words += (uint64_t)net->tile[t].pieces * SPKI_GPU_PIECE_SIZE;
    }
    return words * 4;
}

/* All that the device will hold for the network as it has been described; what the host injects
   later may add to it. */
SPKI_FN spki_gpu_bill spki_gpu_need(const spk_net *net, const spki_gpu_part *part,
                                    const spki_gpu_draft *d, uint32_t parts)
{
    spki_gpu_bill bill = {0, 0};
    const uint64_t words = SPKI_GPU_LIST_IDS + (uint64_t)net->neurons;
    uint64_t segment = 0;
    for (uint32_t t = 0; t < part->tiles; t++) { /* as spki_gpu_cut does it */
        const uint64_t more = (uint64_t)net->tile[part->tile + t].device_words * 4;
        if (segment + more > part->gpu.largest && t) {
            spki_gpu_charge(&bill, segment);
            segment = 0;
        }
        segment += more;
    }
    spki_gpu_charge(&bill, segment);
    spki_gpu_charge(&bill, d->desc.used);
    spki_gpu_charge(&bill, d->value.used);
    spki_gpu_charge(&bill, d->table.used);
    spki_gpu_charge(&bill, d->block.used);
    spki_gpu_charge(&bill, 64 * net->real_size);
    spki_gpu_charge(&bill, part->states * spki_gpu_state_room(net));
    spki_gpu_charge(&bill, (uint64_t)part->tiles * 24);
    spki_gpu_charge(&bill, (uint64_t)net->lanes / SPKI_GROUP * 4);
    spki_gpu_charge(&bill, (uint64_t)part->tiles * net->neurons * 4);
    spki_gpu_charge(&bill, (uint64_t)net->ring * (net->lanes / SPKI_GROUP) * 8);
    spki_gpu_charge(&bill, (uint64_t)part->parts * 32 * 4);
    spki_gpu_charge(&bill, part->list_words * 4);
    spki_gpu_charge(&bill, part->list_words * 4);
    spki_gpu_charge(&bill, part->ring * part->slots * (net->accumulator_bits / 8));
    spki_gpu_charge(&bill, (uint64_t)part->tiles * part->ring * 4);
    spki_gpu_charge(&bill, words * 4); /* spikes on their way, when weights or shares change */
    if (parts > 1) {
        spki_gpu_charge(&bill, (SPKI_GPU_LIST_IDS + (uint64_t)net->neurons * net->slice_max) * 4);
    }
    if (part->gpu.replays) {
        spki_gpu_charge(&bill, 64);
    } else if (part->gpu.api->together) { /* >>gpu-batch: a group of items a tile, or a unit */
        const uint64_t most = SPKI_MIN(SPKI_MAX(part->tiles, part->gpu.units),
                                       SPKI_GPU_BATCH_GROUPS);
        const uint64_t places = (uint64_t)part->groups * SPKI_GROUP * net->slice_max;
        spki_gpu_charge(&bill, 2 * (most + 1) * 4);
        spki_gpu_charge(&bill, 2 * (most * 32 + places) * 4);
        spki_gpu_charge(&bill, spki_gpu_pieces_bytes(net, part));
        spki_gpu_charge(&bill, 64);
    }
    uint64_t told = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        told += pop->list.count + (pop->has_forced && pop->forced ? pop->count : 0);
    }
    spki_gpu_charge(&bill, told * 4);
    spki_gpu_charge_recorders(net, &bill);
    const uint64_t test = SPKI_GPU_TRIALS * (3 + SPKI_GPU_SELFTESTS) * (uint64_t)net->real_size;
    bill.sum = SPKI_MAX(bill.sum, test); /* which is over before the rest is there */
    return bill;
}

/* Does it all go onto the device? `say`: an error of the network where it does not. */
SPKI_FN spk_result spki_gpu_check_fit(spk_net *net, spki_gpu_part *part, uint32_t parts, bool say)
{
    const spki_gpu *gpu = &part->gpu;
    spki_gpu_draft d;
    const bool made = spki_gpu_draft_make(net, part, &d);
    const spki_gpu_bill bill = spki_gpu_need(net, part, &d, parts);
    const bool fits = bill.sum <= gpu->memory && bill.most <= gpu->largest &&
                      part->states <= UINT32_MAX;
    spki_gpu_draft_free(&d);
    if (made && fits) {
        return SPK_OK;
    }
    if (!say) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    if (!made) {
        return spki_no_memory(net, "the records of a device");
    }
    if (bill.sum > gpu->memory) {
        return spki_fail(net, SPK_ERR_OUT_OF_MEMORY,
                         "%s \"%s\": the network needs %llu bytes, %llu more than the %llu that "
                         "may be used",
                         gpu->api->name, gpu->name, (spki_llu)bill.sum,
                         (spki_llu)(bill.sum - gpu->memory), (spki_llu)gpu->memory);
    }
    if (bill.most > gpu->largest) {
        return spki_fail(net, SPK_ERR_OUT_OF_MEMORY,
                         "%s \"%s\": the network needs a block of %llu bytes, %llu more than the "
                         "device's largest, %llu",
                         gpu->api->name, gpu->name, (spki_llu)bill.most,
                         (spki_llu)(bill.most - gpu->largest), (spki_llu)gpu->largest);
    }
    return spki_fail(net, SPK_ERR_UNSUPPORTED, "%s \"%s\": more than 2^32 states",
                     gpu->api->name, gpu->name);
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>gpu-origin: what recorded launches count from ----
   A run of slices is the same launches again and again but for four numbers: the step at which it
   begins, that step's place in the ring of accumulators, where the list goes on, and which of the
   two lists it is. Where a device can record launches and replay them, its kernels find these in
   memory (`origin`), a small kernel in front of each replay puts them there, and all other
   arguments stay what they were when they were recorded. */

/* The last argument of the kernels of a slice: while they are recorded the origin, else 0. */
SPKI_FN spki_gpu_arg spki_gpu_origin(const spki_gpu_part *part)
{
    const spki_gpu_block none = {NULL, 0};
    return spki_gpu_memory(part->recording_now ? &part->origin : &none);
}

/* Kernels of an API without recordings do not have it. */
SPKI_FN uint32_t spki_gpu_args(const spki_gpu *gpu, size_t args)
{
    return (uint32_t)args - (gpu->api->record ? 0 : 1);
}

SPKI_FN void spki_gpu_forget_recordings(spki_gpu_part *part)
{
    for (uint32_t k = 0; k <= SPKI_MAX_SLICE; k++) {
        if (part->recording[k]) {
            part->gpu.api->forget(&part->gpu, part->recording[k]);
        }
        part->recording[k] = NULL;
    }
    part->seen = 0;
}

/* Other recordings are needed where memory or the program are others. */
SPKI_FN uint64_t spki_gpu_recorded_with(const spki_gpu_part *part)
{
    const spki_gpu_block *const block[] = {
        &part->desc,    &part->block,    &part->value,   &part->table,  &part->told,
        &part->state,   &part->acc,      &part->arrived, &part->history, &part->group_id,
        &part->counts,  &part->rows,     &part->tile_at, &part->list[0], &part->list[1],
        &part->origin};
    uintptr_t what[sizeof block / sizeof block[0] + 1];
    uint64_t hash = 0;
    for (size_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        what[k] = (uintptr_t)block[k]->mem;
    }
    what[sizeof block / sizeof block[0]] = (uintptr_t)part->program;
    hash = spk_xxh64(what, sizeof what, part->program_hash);
    for (uint32_t k = 0; k < part->segments; k++) {
        hash = spk_xxh64(&part->segment[k].block.mem, sizeof part->segment[k].block.mem, hash);
    }
    return hash;
}

/* ---- >>gpu-state: moving states, parameters, weights and what the host injects ---- */

/* A network on its devices. */
typedef struct spki_gpu_net {
    spk_backend base;
    spki_mem mem; /* for what exists before a network does */
    spki_gpu_part *part;
    uint32_t parts;
    uint32_t *outdegree; /* synapses of each source */
    char host_draws[200];   /* why no device draws the rows though one was to; "": it may */
    uint32_t *merged;       /* several devices: the list of a slice, from all */
    uint64_t merged_words;
    spki_gpu_block *exchange; /* and on each device */
    uint64_t *told_step;    /* of spike lists and injected spikes: (step, lane), in order */
    uint32_t *told_lane;
    size_t told, told_room, told_next;
    uint32_t samples, sample_slots, seen_recorders;
    double sync_s, last_sync; /* what a sync takes, and when the last one was */
    uint64_t slices, watch;   /* several devices: slices done, and when to time them next */
    bool watching;            /* the slice at hand is timed, one device after the other */
} spki_gpu_net;

/* May tiles have flat rows? Not where a device works on vectors, which wants buckets. */
SPKI_FN bool spki_gpu_may_be_flat(const spk_net *net, const spki_gpu_net *g)
{
    bool may = true;
    for (uint32_t k = 0; k < g->parts; k++) {
        may = may && !spki_gpu_choose(net, &g->part[k].gpu).owned;
    }
    return may;
}

/* An error of a device, as the network's. */
SPKI_FN spk_result spki_gpu_failed(spk_net *net, const spki_gpu *gpu, spk_result code)
{
    return spki_fail(net, code, "%s \"%s\": %s", gpu->api->name, gpu->name, gpu->why);
}

/* Growing a device block and filling it from the host. */
SPKI_FN spk_result spki_gpu_fill(spk_net *net, spki_gpu *gpu, spki_gpu_block *block,
                                 const void *data, uint64_t bytes)
{
    spk_result result = spki_gpu_reserve(gpu, bytes, block);
    if (result == SPK_OK && bytes) {
        result = gpu->api->write(gpu, block->mem, 0, data, (size_t)bytes);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN spk_result spki_gpu_fill_bytes(spk_net *net, spki_gpu *gpu, spki_gpu_block *block,
                                       const spki_gpu_bytes *data)
{
    return spki_gpu_fill(net, gpu, block, data->data, data->used);
}

/* A block of zeros. */
SPKI_FN spk_result spki_gpu_blank(spk_net *net, spki_gpu *gpu, spki_gpu_block *block,
                                  uint64_t bytes)
{
    spk_result result = spki_gpu_reserve(gpu, bytes, block);
    if (result == SPK_OK) {
        result = gpu->api->zero(gpu, block->mem, 0, block->bytes);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* -- the program -- */

SPKI_FN spk_result spki_gpu_blame(spk_net *net, const spki_gpu *gpu, const spki_gpu_source *s,
                                  spk_result result, const char *log)
{
    const char *what = log;
    int size = (int)SPKI_MIN(strcspn(log, "\n"), (size_t)200);
    const spki_gpu_line *line = spki_gpu_blamed(s, log, &what, &size);
    if (result != SPK_ERR_COMPILE) {
        return spki_gpu_failed(net, gpu, result);
    }
    if (line) {
        return spki_fail(net, result, "model \"%.60s\": the compiler of %s \"%.60s\" refuses "
                         "\"%.*s\": %.*s",
                         line->model->name, gpu->api->name, gpu->name,
                         (int)SPKI_MIN(line->size, 160u), line->statement, SPKI_MIN(size, 160),
                         what);
    }
    return spki_fail(net, result, "the compiler of %s \"%.60s\" says: %.*s", gpu->api->name,
                     gpu->name, SPKI_MIN(size, 300), what);
}

SPKI_FN void spki_gpu_take_program(spki_gpu_part *part, void *program, uint64_t hash, bool held)
{
    spki_gpu_forget_recordings(part);
    if (part->program) {
        part->gpu.api->release(&part->gpu, part->program);
    }
    part->program = program;
    part->program_hash = hash;
    part->held = held;
}

/* The program that was compiled with the host's code, if there is one: its models are those of the
   network, so that only the choice may have changed. */
SPKI_FN bool spki_gpu_hold_program(const spk_net *net, spki_gpu_part *part,
                                   const spki_gpu_choice *c)
{
    spki_gpu *gpu = &part->gpu;
    const uint64_t key[3] = {(uint64_t)net->desc.precision, c->wide, net->desc.weight_bits};
    const uint64_t hash = spk_xxh64(key, sizeof key, 1);
    if (part->program && part->held && part->program_hash == hash) {
        return true;
    }
    void *program = gpu->api->held ? gpu->api->held(gpu, net, c) : NULL;
    if (program) {
        spki_gpu_take_program(part, program, hash, true);
    }
    return program != NULL;
}

/* The numbers of the models, as the program knows them. */
SPKI_FN void spki_gpu_number_models(const spk_net *net, const spki_gpu_part *part,
                                    spki_gpu_draft *d)
{
    const spki_gpu_variant *v = (const spki_gpu_variant *)(const void *)d->variant.data;
    for (uint32_t p = 0; part->gpu.api->form && p < net->populations; p++) {
        if (part->range[p].hi) {
            uint64_t *out = (uint64_t *)(void *)d->desc.data + part->range[p].record;
            const uint32_t k = (uint32_t)out[SPKI_GPU_POP_MODEL];
            out[SPKI_GPU_POP_MODEL] = part->gpu.api->form(part->program, &v[k], k);
        }
    }
}

/* Compiles the program that the draft asks for, unless it is the one at hand. */
SPKI_FN spk_result spki_gpu_make_program(spk_net *net, spki_gpu_part *part,
                                         const spki_gpu_draft *d)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_choice c = spki_gpu_choose(net, gpu);
    spki_gpu_source s;
    if (spki_gpu_hold_program(net, part, &c)) {
        return SPK_OK;
    }
    char *log = (char *)spki_alloc(&net->mem, 65536, 1);
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    spk_result result = SPK_OK;
    if (!log || !spki_gpu_program_text(&s, gpu->api, &c,
                                       (const spki_gpu_variant *)(const void *)d->variant.data,
                                       (uint32_t)(d->variant.used / sizeof(spki_gpu_variant)))) {
        result = spki_no_memory(net, "a program");
    }
    const uint64_t hash = result == SPK_OK ? spk_xxh64(s.text.data, s.text.used, 0) : 0;
    if (result == SPK_OK && (!part->program || part->held || part->program_hash != hash)) {
        void *program = NULL;
        result = gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_NETWORK,
                                    &program, log, 65536);
        if (result != SPK_OK) {
            result = spki_gpu_blame(net, gpu, &s, result, log);
        } else {
            spki_gpu_take_program(part, program, hash, false);
        }
    }
    spki_gpu_source_free(&s);
    spki_free(&net->mem, log, 65536, 1);
    return result;
}

/* -- what the host injects: numbers per neuron -- */

/* Appends lanes [lo, hi) of `each`; returns 1 + the element of lane 0. */
SPKI_FN uint64_t spki_gpu_told_lanes(spk_net *net, spki_gpu_bytes *told, const double *each,
                                     uint32_t count, const spki_gpu_range *range)
{
    const uint64_t at = told->used / net->real_size;
    char *to = (char *)spki_gpu_more(told, (size_t)(range->hi - range->lo) * net->real_size);
    for (uint32_t k = range->lo; to && k < SPKI_MIN(range->hi, count); k++) {
        spki_put_real(net, to, k - range->lo, each[k]);
    }
    return 1 + at - range->lo;
}

/* Uploads injected inputs and currents, and where they lie into the drafted records. */
SPKI_FN spk_result spki_gpu_push_told(spk_net *net, spki_gpu_part *part, spki_gpu_draft *d)
{
    spki_gpu_bytes told;
    memset(&told, 0, sizeof told);
    told.mem = &net->mem;
    /* element 0 is never lane 0 of anything: 64 in front keep the offsets above 0 */
    (void)spki_gpu_more(&told, 64 * net->real_size);
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        uint64_t *out = (uint64_t *)(void *)d->desc.data + range->record;
        if (!range->hi) {
            continue;
        }
        for (uint32_t r = 0; r < 8; r++) {
            out[SPKI_GPU_POP_AMOUNT + r] =
                pop->has_amount && pop->amount[r]
                    ? spki_gpu_told_lanes(net, &told, pop->amount[r], pop->count, range)
                    : 0;
        }
        out[SPKI_GPU_POP_CURRENT] =
            pop->current ? spki_gpu_told_lanes(net, &told, pop->current, pop->count, range) : 0;
    }
    const spk_result result = told.failed
                                  ? spki_no_memory(net, "injected input")
                                  : spki_gpu_fill_bytes(net, &part->gpu, &part->told, &told);
    spki_gpu_forget(&told);
    return result;
}

/* Everything that records describe, and the program for it. */
SPKI_FN spk_result spki_gpu_push_records(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_draft d;
    spk_result result = SPK_OK;
    if (!spki_gpu_draft_make(net, part, &d)) {
        result = spki_no_memory(net, "the records of a device");
    }
    if (result == SPK_OK) {
        result = spki_gpu_make_program(net, part, &d);
    }
    if (result == SPK_OK) {
        spki_gpu_number_models(net, part, &d);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_told(net, part, &d);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->desc, &d.desc);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->value, &d.value);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->table, &d.table);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->block, &d.block);
    }
    spki_gpu_draft_free(&d);
    return result;
}

/* -- states and history -- */

SPKI_FN spk_result spki_gpu_push_states(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spk_result result = spki_gpu_reserve(gpu, part->states * net->state_size, &part->state);
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        const size_t lanes = range->hi - range->lo;
        for (uint32_t s = 0; lanes && s < pop->model->state_count && result == SPK_OK; s++) {
            result = gpu->api->write(gpu, part->state.mem,
                                     (range->state + s * (uint64_t)lanes) * net->state_size,
                                     pop->state[s] + (size_t)range->lo * net->state_size,
                                     lanes * net->state_size);
        }
        if (range->slots && result == SPK_OK) {
            const size_t words = spki_shadow_words(pop);
            result = gpu->api->write(gpu, part->state.mem, range->shadow * 4,
                                     pop->shadow + range->slot * words,
                                     range->slots * words * 4);
        }
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN size_t spki_gpu_history_bytes(const spk_net *net)
{
    return (size_t)net->ring * (net->lanes / SPKI_GROUP) * 8;
}

/* Reads all first, then changes the host's copy, so that a failure leaves it whole. */
SPKI_FN spk_result spki_gpu_pull_part(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spk_result result = SPK_OK;
    if (part->states) {
        result = gpu->api->read(gpu, part->state.mem, 0, part->read_state,
                                (size_t)part->states * net->state_size, NULL);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, part->history.mem, 0, part->read_history,
                                spki_gpu_history_bytes(net), NULL);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN void spki_gpu_take_part(spk_net *net, const spki_gpu_part *part)
{
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        const size_t lanes = range->hi - range->lo;
        for (uint32_t s = 0; lanes && s < pop->model->state_count; s++) {
            memcpy(pop->state[s] + (size_t)range->lo * net->state_size,
                   part->read_state + (range->state + s * (uint64_t)lanes) * net->state_size,
                   lanes * net->state_size);
        }
        if (range->slots) {
            const size_t words = spki_shadow_words(pop);
            memcpy(pop->shadow + range->slot * words, part->read_state + range->shadow * 4,
                   range->slots * words * 4);
        }
    }
    const size_t row = net->lanes / SPKI_GROUP;
    for (uint32_t k = 0; k < net->ring; k++) {
        memcpy(net->history + k * row + part->group, part->read_history + k * row + part->group,
               part->groups * sizeof(uint64_t));
    }
}

SPKI_FN spk_result spki_gpu_pull(spk_backend *backend, spk_net *net)
{
    spki_gpu_net *g = (spki_gpu_net *)backend;
    spk_result result = SPK_OK;
    const double start = spk_clock_seconds();
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_pull_part(net, &g->part[k]);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_take_part(net, &g->part[k]);
    }
    g->last_sync = spk_clock_seconds();
    g->sync_s = g->last_sync - start;
    return result;
}

/* -- weights, and what is on its way -- */

/* The words of one of the part's tiles, to `at` of their segment, and where its rows begin. */
SPKI_FN spk_result spki_gpu_push_tile(spk_net *net, spki_gpu_part *part, uint32_t t,
                                      const spki_gpu_segment *segment, uint64_t at)
{
    spki_gpu *gpu = &part->gpu;
    const spki_tile *tile = &net->tile[part->tile + t];
    const bool packed = spki_gpu_packs(net, tile);
    const size_t words = tile->device_words;
    uint32_t *made = packed ? (uint32_t *)spki_alloc_raw(&net->mem, words, 4) : tile->words;
    uint32_t *row = packed ? (uint32_t *)spki_alloc_raw(&net->mem, net->neurons, 4) : tile->row;
    spk_result result = SPK_OK;
    if (!made || !row) {
        result = spki_no_memory(net, "packed rows");
    } else {
        if (packed) {
            (void)spki_gpu_pack_tile(net, tile, made, row);
        }
        result = gpu->api->write(gpu, segment->block.mem, at, made, words * 4);
        if (result == SPK_OK) {
            result = gpu->api->write(gpu, part->rows.mem, (uint64_t)t * net->neurons * 4, row,
                                     (size_t)net->neurons * 4);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    if (packed) {
        spki_free(&net->mem, made, words, 4);
        spki_free(&net->mem, row, net->neurons, 4);
    }
    return result;
}

/* When profiling: waits for what is under way, and says since when it was. */
SPKI_FN spk_result spki_gpu_lap(spk_net *net, spki_gpu *gpu, double *since, double *sum)
{
    spk_result result = SPK_OK;
    if (net->profile) {
        result = gpu->api->finish(gpu);
        const double now = spk_clock_seconds();
        if (sum) {
            *sum += now - *since;
        }
        *since = now;
    }
    return result;
}

/* Several devices: a lap of a slice that is timed, for the device's share of the work. */
SPKI_FN spk_result spki_gpu_watch(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                  double *since)
{
    if (!g->watching) {
        return SPK_OK;
    }
    spki_gpu *gpu = &part->gpu;
    const spk_result result = gpu->api->finish(gpu);
    const double now = spk_clock_seconds();
    part->busy_s += *since > 0.0 ? now - *since : 0.0;
    *since = now;
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Delivers the spikes of a list that begins at `at` and covers `steps` steps, the first of which
   has its arrivals `age` steps ahead of `pos`. */
SPKI_FN spk_result spki_gpu_deliver(spk_net *net, spki_gpu_part *part, const spki_gpu_block *list,
                                    uint32_t at, uint32_t steps, uint32_t pos, uint32_t age)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_choice c = spki_gpu_choose(net, gpu);
    double since = 0.0;
    spk_result result = spki_gpu_lap(net, gpu, &since, NULL);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        const spki_gpu_segment *segment = &part->segment[k];
        if (!segment->synapses) {
            continue;
        }
        const spki_gpu_arg arg[] = {spki_gpu_memory(list),
                                    spki_gpu_memory(&part->tile_at),
                                    spki_gpu_memory(&part->rows),
                                    spki_gpu_memory(&segment->block),
                                    spki_gpu_memory(&part->acc),
                                    spki_gpu_memory(&part->arrived),
                                    spki_gpu_u64(part->slots),
                                    spki_gpu_u32(at),
                                    spki_gpu_u32(steps),
                                    spki_gpu_u32(pos),
                                    spki_gpu_u32(part->ring),
                                    spki_gpu_u32(age),
                                    spki_gpu_u32(segment->tile),
                                    spki_gpu_u32(segment->tiles),
                                    spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_DELIVER,
                                  c.owned || (c.span && !age) ? segment->tiles
                                                              : SPKI_MAX(gpu->units, 1u) * 8,
                                  c.owned ? 1 : SPKI_GPU_DELIVER_ITEMS, arg,
                                  spki_gpu_args(gpu, sizeof arg / sizeof arg[0]));
    }
    if (result == SPK_OK) {
        result = spki_gpu_lap(net, gpu, &since, &net->scratch[0].deliver_s);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* The ids of all spikes of one step, from the host's history. */
SPKI_FN uint32_t spki_gpu_recall(const spk_net *net, uint64_t step, uint32_t *ids)
{
    const uint64_t *row =
        net->history + (size_t)(step & (net->ring - 1)) * (net->lanes / SPKI_GROUP);
    uint32_t n = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const uint64_t *words = row + pop->lane / SPKI_GROUP;
        for (uint32_t k = 0; k < pop->lanes / SPKI_GROUP; k++) {
            for (uint64_t w = words[k]; w; w &= w - 1) {
                ids[n++] = pop->first + k * SPKI_GROUP + (uint32_t)__builtin_ctzll(w);
            }
        }
    }
    return n;
}

/* Fills the accumulators anew with all that is on its way, from a host's copy that stands where the
   device does. */
SPKI_FN spk_result spki_gpu_push_arrivals(spk_net *net, spki_gpu_net *g)
{
    const size_t words = SPKI_GPU_LIST_IDS + (size_t)net->neurons;
    uint32_t *list = (uint32_t *)spki_alloc(&net->mem, words, 4);
    spk_result result = list ? SPK_OK : spki_no_memory(net, "spikes on their way");
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        spki_gpu_block block = {NULL, 0};
        const uint32_t pos = (uint32_t)(net->step % part->ring);
        result = spki_gpu_blank(net, gpu, &part->acc,
                                part->ring * part->slots * (net->accumulator_bits / 8));
        if (result == SPK_OK) {
            result = spki_gpu_blank(net, gpu, &part->arrived,
                                    (uint64_t)part->tiles * part->ring * 4);
        }
        if (result == SPK_OK && net->step) {
            result = spki_gpu_alloc(gpu, words * 4, &block);
            result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
        }
        for (uint64_t age = 1; age <= net->max_delay && age <= net->step && result == SPK_OK;
             age++) {
            const uint32_t n =
                spki_gpu_recall(net, net->step - age, list + SPKI_GPU_LIST_IDS);
            list[1] = n;
            if (!n) {
                continue;
            }
            result = gpu->api->write(gpu, block.mem, 0, list, (SPKI_GPU_LIST_IDS + (size_t)n) * 4);
            result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
            if (result == SPK_OK) {
                result = spki_gpu_deliver(net, part, &block, 0, 1, pos, (uint32_t)age);
            }
        }
        if (block.mem && result == SPK_OK) {
            result = gpu->api->finish(gpu);
            result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
        }
        spki_gpu_free(gpu, &block);
    }
    spki_free(&net->mem, list, words, 4);
    return result;
}

/* ---- >>gpu-tables: projections as tables of integers, for kernels that draw their rows ----
   A distribution of weights becomes what one of delays is already: thresholds of random words, one
   for each weight in quanta. So a device draws without floating-point numbers, and draws what
   >>connect draws. */

/* What text/rows.cl calls these numbers, as SPKI_NAME: records of projections, of tiles, of a
   projection on a tile, statistics of a tile; modes; rules; places of random words. */
#define SPKI_GPU_ROWS_NUMBERS(X)                                                                   \
    X(ROWS_RULE, 0) X(ROWS_SOURCES, 1) X(ROWS_TARGETS, 2) X(ROWS_K, 3) X(ROWS_LEAF, 4)             \
    X(ROWS_STREAM, 5) X(ROWS_SELF, 6) X(ROWS_SELF_AT, 7) X(ROWS_SELF_SOURCE_AT, 8)                 \
    X(ROWS_COUNT_AT, 9) X(ROWS_RANGES, 10) X(ROWS_RANGE_AT, 11) X(ROWS_WEIGHT, 12)                 \
    X(ROWS_WEIGHT_AT, 13) X(ROWS_WEIGHT_WORDS, 14) X(ROWS_DELAY, 15) X(ROWS_DELAY_AT, 16)          \
    X(ROWS_DELAY_WORDS, 17) X(ROWS_BLOCK_AT, 18) X(ROWS_REST_AT, 19) X(ROWS_MAGNITUDE, 20)         \
    X(ROWS_SIZE, 21) X(ROWS_HALF, 0)                                                               \
    X(ROWS_TILE_BYTES, 0) X(ROWS_TILE_SLOT, 1) X(ROWS_TILE_WORD, 2) X(ROWS_TILE_FLAT, 4)           \
    X(ROWS_TILE_SHORTEST, 5) X(ROWS_TILE_SIZE, 6) X(ROWS_SEGMENT, 5)                               \
    X(ROWS_FEED_T0, 0) X(ROWS_FEED_T1, 1) X(ROWS_FEED_SLOT, 2) X(ROWS_FEED_FROM, 3)                \
    X(ROWS_FEED_ENTRY, 4) X(ROWS_FEED_SIZE, 5)                                                     \
    X(ROWS_SHORTEST, 0) X(ROWS_LONGEST, 1) X(ROWS_SYNAPSES, 2) X(ROWS_BUCKETS, 3) X(ROWS_STATS, 4) \
    X(ROWS_LOOK, 0) X(ROWS_MEASURE, 1) X(ROWS_WRITE, 2) X(ROWS_LOOKS, 64)                          \
    X(ROWS_ONE_TO_ONE, SPK_ONE_TO_ONE) X(ROWS_ALL_TO_ALL, SPK_ALL_TO_ALL)                          \
    X(ROWS_BERNOULLI, SPK_BERNOULLI) X(ROWS_FIXED_INDEGREE, SPK_FIXED_INDEGREE)                    \
    X(ROWS_AT_NODE, SPKI_AT_NODE) X(ROWS_AT_LEAF, SPKI_AT_LEAF)                                    \
    X(ROWS_AT_REDRAW, SPKI_AT_REDRAW) X(ROWS_AT_BLOCK, SPKI_AT_BLOCK)                              \
    X(ROWS_AT_VALUES, SPKI_AT_VALUES) X(ROWS_AT_INDEGREE, SPKI_AT_INDEGREE)                        \
    X(ROWS_AT_INREDRAW, SPKI_AT_INREDRAW) X(ROWS_AT_INVALUES, SPKI_AT_INVALUES)

#define SPKI_GPU_ROWS_NUMBER(name, value) SPKI_GPU_##name = (int)(value),
enum { SPKI_GPU_ROWS_NUMBERS(SPKI_GPU_ROWS_NUMBER) SPKI_GPU_ROWS_LAST };
#undef SPKI_GPU_ROWS_NUMBER

#define SPKI_GPU_ROWS_NONE UINT32_MAX
#define SPKI_GPU_STEPS_GUIDE 4097u
#define SPKI_GPU_COUNTS_GUIDE 257u

/* A table that grows, and how many words it has. */
SPKI_FN uint32_t spki_gpu_table_end(const spki_gpu_bytes *b)
{
    return (uint32_t)(b->used / 4);
}

SPKI_FN void spki_gpu_table_put(spki_gpu_bytes *b, const uint32_t *x, size_t n)
{
    void *to = n ? spki_gpu_more(b, n * 4) : NULL;
    if (to) {
        memcpy(to, x, n * 4);
    }
}

/* Appends [first, count, guide, upto]. `upto` ascends to UINT32_MAX. */
SPKI_FN uint32_t spki_gpu_steps_table(spki_gpu_bytes *b, uint32_t first, uint32_t count,
                                      const uint32_t *upto)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t *to = (uint32_t *)spki_gpu_more(b, (2 + SPKI_GPU_STEPS_GUIDE + (size_t)count) * 4);
    if (to) {
        uint32_t i = 0;
        to[0] = first;
        to[1] = count;
        for (uint32_t cell = 0; cell + 1 < SPKI_GPU_STEPS_GUIDE; cell++) {
            while ((cell << 20) > upto[i]) {
                i++;
            }
            to[2 + cell] = i;
        }
        to[1 + SPKI_GPU_STEPS_GUIDE] = count - 1;
        memcpy(to + 2 + SPKI_GPU_STEPS_GUIDE, upto, (size_t)count * 4);
    }
    return at;
}

/* The same of counts: thresholds of 64 bits, upper halves first. */
SPKI_FN uint32_t spki_gpu_counts_table(spki_gpu_bytes *b, const spki_counts *c)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t *to =
        (uint32_t *)spki_gpu_more(b, (2 + SPKI_GPU_COUNTS_GUIDE + 2 * (size_t)c->count) * 4);
    if (to) {
        to[0] = c->first;
        to[1] = c->count;
        for (uint32_t cell = 0; cell + 1 < SPKI_GPU_COUNTS_GUIDE; cell++) {
            to[2 + cell] = c->guide[cell];
        }
        to[1 + SPKI_GPU_COUNTS_GUIDE] = c->count - 1;
        to += 2 + SPKI_GPU_COUNTS_GUIDE;
        for (uint32_t k = 0; k < c->count; k++) {
            to[2 * k] = (uint32_t)(c->upto[k] >> 32);
            to[2 * k + 1] = (uint32_t)c->upto[k];
        }
    }
    return at;
}

/* -- weights -- */

/* The weight in quanta that a random word gives. */
SPKI_FN int32_t spki_gpu_weight_of(const spki_proj *p, uint32_t word)
{
    return p->weight_kind == SPKI_WEIGHT_UNIFORM
               ? spki_quanta(p, p->weight_a + p->weight_width * ((double)word + 0.5))
               : spki_quanta(p, spki_weight_from_word(p, word));
}

/* Weights ascend with the word, but for rounding, which may exchange words nearer to each other
   than 4 where a step of words moves the weight by less than it rounds. It does not where the
   spread is wide enough: a word moves it by at least 2.5 * spread / 2^32 quanta (the density of a
   normal distribution is at most 0.4), and 2^-44 of a weight of 2^15 quanta, more than its double
   is wrong by, is 2e-9. */
SPKI_FN bool spki_gpu_weights_ascend(const spki_proj *p)
{
    const double q = p->per_quantum;
    if (p->weight_kind == SPKI_WEIGHT_UNIFORM) {
        return p->weight_width * 4294967296.0 * q >= 8.0;
    }
    if (p->weight_quantile.kind == SPK_VALUE_LOGNORMAL) {
        return p->weight_quantile.b >= 1e-3;
    }
    return p->weight_quantile.kind == SPK_VALUE_NORMAL &&
           p->weight_quantile.b * p->weight_quantile.width * q >= 2.0 &&
           p->weight_quantile.width >= 1e-3;
}

/* The last word whose weight is at most `most`, between two of which the first's is and the last's
   is not. */
SPKI_FN uint32_t spki_gpu_last_word(const spki_proj *p, uint32_t low, uint32_t high, int32_t most)
{
    while (high - low > 1) {
        const uint32_t mid = low + (high - low) / 2;
        if (spki_gpu_weight_of(p, mid) <= most) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Thresholds of weights first .. last, the words' ends included: halves that hold one weight need
   no further look. */
SPKI_FN void spki_gpu_find_words(const spki_proj *p, int32_t first, int32_t last, uint32_t low,
                                 uint32_t high, uint32_t *upto)
{
    while (first < last) {
        const int32_t mid = first + (last - first) / 2;
        const uint32_t at = spki_gpu_last_word(p, low, high, mid);
        upto[mid - first] = at;
        spki_gpu_find_words(p, first, mid, low, at + 1, upto);
        upto += mid + 1 - first;
        first = mid + 1;
        low = at;
    }
}

/* Are the words around each threshold on the right side of it? */
SPKI_FN bool spki_gpu_words_agree(const spki_proj *p, int32_t first, uint32_t count,
                                  const uint32_t *upto)
{
    for (uint32_t i = 0; i + 1 < count; i++) {
        for (uint32_t k = 0; k < 4; k++) {
            if ((upto[i] >= k && spki_gpu_weight_of(p, upto[i] - k) > first + (int32_t)i) ||
                (upto[i] < UINT32_MAX - k &&
                 spki_gpu_weight_of(p, upto[i] + 1 + k) <= first + (int32_t)i)) {
                return false;
            }
        }
    }
    return true;
}

/* Appends the table of a distribution of weights; SPKI_GPU_ROWS_NONE: it has none that is certain
   to agree with every word. */
SPKI_FN uint32_t spki_gpu_weights_table(spki_gpu_bytes *b, const spki_proj *p)
{
    const int32_t first = spki_gpu_weight_of(p, 0), last = spki_gpu_weight_of(p, UINT32_MAX);
    uint32_t at = SPKI_GPU_ROWS_NONE;
    if (!spki_gpu_weights_ascend(p) || last - first < 1 || last - first > 65535) {
        return at;
    }
    const uint32_t count = (uint32_t)(last - first) + 1;
    uint32_t *upto = (uint32_t *)spki_alloc(b->mem, count, 4);
    if (!upto) {
        b->failed = true;
        return at;
    }
    spki_gpu_find_words(p, first, last, 0, UINT32_MAX, upto);
    upto[count - 1] = UINT32_MAX;
    if (spki_gpu_words_agree(p, first, count, upto)) {
        at = spki_gpu_steps_table(b, (uint32_t)first, count, upto);
    }
    spki_free(b->mem, upto, count, 4);
    return at;
}

SPKI_FN bool spki_gpu_same_weights(const spki_proj *a, const spki_proj *b)
{
    return a->weight_kind == b->weight_kind && a->per_quantum == b->per_quantum &&
           a->weight_max == b->weight_max && a->weight_a == b->weight_a &&
           a->weight_width == b->weight_width &&
           a->weight_quantile.kind == b->weight_quantile.kind &&
           a->weight_quantile.a == b->weight_quantile.a &&
           a->weight_quantile.b == b->weight_quantile.b &&
           a->weight_quantile.lo == b->weight_quantile.lo &&
           a->weight_quantile.hi == b->weight_quantile.hi;
}

/* -- which networks -- */

SPKI_FN bool spki_gpu_draws(const spki_proj *p)
{
    const bool weights = p->weight_kind == SPKI_WEIGHT_CONSTANT ||
                         p->weight_kind == SPKI_WEIGHT_UNIFORM ||
                         p->weight_kind == SPKI_WEIGHT_TABLE;
    const bool delays =
        p->delay_kind == SPKI_DELAY_CONSTANT || p->delay_kind == SPKI_DELAY_STEPS;
    switch (p->rule) {
    case SPK_ONE_TO_ONE:
    case SPK_ALL_TO_ALL:
    case SPK_BERNOULLI: return weights && delays;
    case SPK_FIXED_INDEGREE:
    case SPK_FIXED_OUTDEGREE:
    case SPK_FIXED_TOTAL: return weights && delays && !p->no_multapses && !p->wide;
    case SPK_COO:
    case SPK_CSR:
    case SPK_CALLBACK:
    case SPK_RULE_FORCE_32_BIT: break;
    }
    return false;
}

/* Why the rows of a network cannot be drawn by a device; NULL: they can. */
SPKI_FN const char *spki_gpu_draws_not(const spk_net *net)
{
    if (net->projections == 0) {
        return "there is nothing to draw";
    }
    if (net->desc.weight_bits == 32) {
        return "weights have 32 bits";
    }
    for (uint32_t r = 0; r < net->recorders; r++) {
        if (net->recorder[r]->kind == SPK_REC_WEIGHTS) {
            return "weights are recorded";
        }
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        if (!spki_gpu_draws(&net->projection[k].proj)) {
            return "a projection comes from a list, an array, a function or a callback, or has a "
                   "fixed number without multapses";
        }
    }
    return NULL;
}

/* -- records -- */

typedef struct spki_gpu_tables {
    spki_gpu_bytes plan, table, tiles, slot;
    uint32_t shortest, longest;
    bool indexed;    /* a fixed in-degree is among them */
    const char *not_; /* why there are none; NULL: no memory, where they failed */
} spki_gpu_tables;

SPKI_FN void spki_gpu_tables_free(spki_gpu_tables *t)
{
    spki_gpu_forget(&t->plan);
    spki_gpu_forget(&t->table);
    spki_gpu_forget(&t->tiles);
    spki_gpu_forget(&t->slot);
}

SPKI_FN bool spki_gpu_tables_failed(const spki_gpu_tables *t)
{
    return t->plan.failed || t->table.failed || t->tiles.failed || t->slot.failed || t->not_;
}

/* Weights of projection k, whose record is `out`; an earlier one may have the same. */
SPKI_FN void spki_gpu_put_weights(const spk_net *net, spki_gpu_tables *t, uint32_t k,
                                  uint32_t *out)
{
    const spki_proj *p = &net->projection[k].proj;
    out[SPKI_GPU_ROWS_WEIGHT] = (uint32_t)p->weight_constant;
    out[SPKI_GPU_ROWS_WEIGHT_AT] = SPKI_GPU_ROWS_NONE;
    out[SPKI_GPU_ROWS_WEIGHT_WORDS] = spki_weight_words(p);
    if (p->weight_kind == SPKI_WEIGHT_CONSTANT) {
        return;
    }
    for (uint32_t j = 0; j < k; j++) {
        if (spki_gpu_same_weights(&net->projection[j].proj, p)) {
            const uint32_t *as = (const uint32_t *)(const void *)t->plan.data;
            out[SPKI_GPU_ROWS_WEIGHT_AT] =
                as[(size_t)j * SPKI_GPU_ROWS_SIZE + SPKI_GPU_ROWS_WEIGHT_AT];
            return;
        }
    }
    out[SPKI_GPU_ROWS_WEIGHT_AT] = spki_gpu_weights_table(&t->table, p);
    if (out[SPKI_GPU_ROWS_WEIGHT_AT] == SPKI_GPU_ROWS_NONE) {
        t->not_ = "weights are spread too little to be drawn by thresholds";
    }
}

SPKI_FN void spki_gpu_put_delays(const spki_proj *p, spki_gpu_tables *t, uint32_t *out)
{
    const bool spread = p->delay_kind == SPKI_DELAY_STEPS;
    const uint32_t first = spread ? p->steps.first : p->delay_constant;
    out[SPKI_GPU_ROWS_DELAY] = p->delay_constant;
    out[SPKI_GPU_ROWS_DELAY_WORDS] = spki_delay_words(p);
    out[SPKI_GPU_ROWS_DELAY_AT] =
        spread ? spki_gpu_steps_table(&t->table, p->steps.first, p->steps.count, p->steps.upto)
               : SPKI_GPU_ROWS_NONE;
    t->shortest = SPKI_MIN(t->shortest, first);
    t->longest = SPKI_MAX(t->longest, spread ? first + p->steps.count - 1 : first);
}

SPKI_FN uint32_t spki_gpu_put_ranges(const spki_view *view, spki_gpu_bytes *b)
{
    const uint32_t at = spki_gpu_table_end(b);
    uint32_t index = 0;
    for (uint32_t r = 0; r < view->ranges; r++) {
        const uint32_t x[3] = {view->range[r].first, view->range[r].count, index};
        spki_gpu_table_put(b, x, 3);
        index += view->range[r].count;
    }
    return at;
}

SPKI_FN void spki_gpu_put_projection(const spk_net *net, spki_gpu_tables *t, uint32_t k)
{
    const spki_projection *projection = &net->projection[k];
    const spki_proj *p = &projection->proj;
    const spki_view *source = &net->view[projection->source];
    uint32_t out[SPKI_GPU_ROWS_SIZE];
    memset(out, 0, sizeof out);
    out[SPKI_GPU_ROWS_RULE] = (uint32_t)p->rule;
    out[SPKI_GPU_ROWS_SOURCES] = p->n_source;
    out[SPKI_GPU_ROWS_TARGETS] = p->n_target;
    out[SPKI_GPU_ROWS_K] = p->k;
    out[SPKI_GPU_ROWS_LEAF] = p->leaf;
    out[SPKI_GPU_ROWS_STREAM] = p->stream;
    out[SPKI_GPU_ROWS_MAGNITUDE] = projection->magnitude;
    out[SPKI_GPU_ROWS_RANGES] = source->ranges;
    out[SPKI_GPU_ROWS_RANGE_AT] = spki_gpu_put_ranges(source, &t->table);
    out[SPKI_GPU_ROWS_SELF] = !p->no_autapses ? 0 : p->self ? 2 : p->same_view ? 1 : 0;
    if (p->self) {
        out[SPKI_GPU_ROWS_SELF_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->self, p->n_source);
        out[SPKI_GPU_ROWS_SELF_SOURCE_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->self_source, p->n_target);
    }
    out[SPKI_GPU_ROWS_COUNT_AT] = SPKI_GPU_ROWS_NONE;
    if (p->row_count) {
        out[SPKI_GPU_ROWS_COUNT_AT] = spki_gpu_table_end(&t->table);
        spki_gpu_table_put(&t->table, p->row_count, p->n_source);
    }
    if (p->rule == SPK_BERNOULLI && p->n_target) {
        out[SPKI_GPU_ROWS_BLOCK_AT] = spki_gpu_counts_table(&t->table, &p->block);
        out[SPKI_GPU_ROWS_REST_AT] = spki_gpu_counts_table(&t->table, &p->rest);
    }
    spki_gpu_put_weights(net, t, k, out);
    spki_gpu_put_delays(p, t, out);
    spki_gpu_table_put(&t->plan, out, SPKI_GPU_ROWS_SIZE);
    t->indexed = t->indexed || p->rule == SPK_FIXED_INDEGREE;
}

/* The slots of a projection's targets in a tile: those for weights >= 0 in the lower half. A
   projection onto the same targets has the same. */
SPKI_FN void spki_gpu_put_feed(spk_net *net, spki_gpu_tables *t, const spki_tile *tile, uint32_t k,
                               uint32_t *feeds)
{
    const spki_projection *p = &net->projection[k];
    uint32_t *out = feeds + (size_t)k * SPKI_GPU_ROWS_FEED_SIZE;
    for (uint32_t j = 0; j < k; j++) {
        const spki_projection *q = &net->projection[j];
        const bool same = p->receptor && q->receptor ? strcmp(p->receptor, q->receptor) == 0
                                                     : p->receptor == q->receptor;
        if (same && p->target == q->target) {
            memcpy(out, feeds + (size_t)j * SPKI_GPU_ROWS_FEED_SIZE,
                   SPKI_GPU_ROWS_FEED_SIZE * sizeof *out);
            return;
        }
    }
    spki_feed feed;
    memset(&feed, 0, sizeof feed);
    feed.projection = p;
    t->slot.failed = !spki_feed_slots(net, tile, &feed) || t->slot.failed;
    const uint32_t n = feed.t1 - feed.t0;
    out[SPKI_GPU_ROWS_FEED_T0] = feed.t0;
    out[SPKI_GPU_ROWS_FEED_T1] = feed.t1;
    out[SPKI_GPU_ROWS_FEED_SLOT] = spki_gpu_table_end(&t->slot);
    uint32_t *slot = n ? (uint32_t *)spki_gpu_more(&t->slot, (size_t)n * 4) : NULL;
    for (uint32_t i = 0; slot && i < n; i++) {
        slot[i] = feed.slot[0][i] | (uint32_t)feed.slot[1][i] << 16;
    }
    spki_free(&net->mem, feed.slot[0], n, sizeof(uint16_t));
    spki_free(&net->mem, feed.slot[1], n, sizeof(uint16_t));
}

/* Words of a tile's record and its feeds. */
SPKI_FN size_t spki_gpu_tile_words(const spk_net *net)
{
    return SPKI_GPU_ROWS_TILE_SIZE + (size_t)net->projections * SPKI_GPU_ROWS_FEED_SIZE;
}

SPKI_FN void spki_gpu_put_tile(spk_net *net, spki_gpu_tables *t, const spki_tile *tile,
                               uint64_t slots)
{
    uint32_t *out = (uint32_t *)spki_gpu_more(&t->tiles, spki_gpu_tile_words(net) * 4);
    if (!out) {
        return;
    }
    out[SPKI_GPU_ROWS_TILE_BYTES] = tile->count_bytes;
    out[SPKI_GPU_ROWS_TILE_SLOT] = (uint32_t)slots;
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_gpu_put_feed(net, t, tile, k, out + SPKI_GPU_ROWS_TILE_SIZE);
    }
}

/* All that drawing the rows of `tiles` tiles needs. False: what `not_` says, or no memory. */
SPKI_FN bool spki_gpu_tables_make(spk_net *net, spki_gpu_tables *t, uint32_t tile, uint32_t tiles)
{
    uint64_t slots = 0;
    memset(t, 0, sizeof *t);
    t->plan.mem = t->table.mem = t->tiles.mem = t->slot.mem = &net->mem;
    t->shortest = UINT32_MAX;
    t->not_ = spki_gpu_draws_not(net);
    if (!t->not_) {
        (void)spki_gpu_counts_table(&t->table, &net->projection[0].proj.half);
    }
    for (uint32_t k = 0; k < net->projections && !spki_gpu_tables_failed(t); k++) {
        spki_gpu_put_projection(net, t, k);
    }
    for (uint32_t k = tile; k < tile + tiles && !spki_gpu_tables_failed(t); k++) {
        spki_gpu_put_tile(net, t, &net->tile[k], slots);
        slots += spki_gpu_tile_slots(&net->tile[k]);
        if (slots > UINT32_MAX || t->slot.used / 4 > UINT32_MAX) {
            t->not_ = "there are more than 2^32 accumulators";
        }
    }
    (void)spki_gpu_more(&t->slot, 4);
    return !spki_gpu_tables_failed(t);
}

/* ---- >>gpu-construct: connectivity drawn on the device ----
   While a network is built, one device measures its rows: how many words each tile takes, delays,
   in-degrees, all that the host learns by drawing them. The rows stay undrawn here (net->elsewhere)
   until somebody wants them: the CPU, which goes on where a device fails, or who reads synapses.
   When the network enters its devices, each writes the rows of its tiles, with the same tables. */

#define SPKI_GPU_DRAW_ITEMS 128u
#define SPKI_GPU_DRAW_SCRATCH ((uint64_t)256 << 20) /* bytes of counts by delay, at most */
#define SPKI_GPU_DRAW_FROM 10000000.0               /* synapses from which it is worth a program */

/* Drawing the rows of one device's tiles. */
typedef struct spki_gpu_drawing {
    uint32_t tile, tiles;
    spki_gpu_tables t;
    uint32_t delays, at_once; /* items of a launch */
    uint32_t *batch;          /* tiles whose indices are there together begin here */
    uint32_t batches, indexed_batch; /* the one that is there */
    uint64_t from_words, entry_words;
    uint64_t slots;
    spki_gpu_block plan, table, tiles_at, slot, from, entry, scratch, rows, flat, stats, indegree,
        outdegree, segment, sum;
    void *program; /* the part's */
    bool tiles_changed; /* the records, since they were uploaded */
} spki_gpu_drawing;

/* -- the program -- */

SPKI_FN void spki_gpu_rows_text(spki_gpu_source *s, const spki_gpu_api *api)
{
    spki_gpu_choice c;
    memset(&c, 0, sizeof c);
    c.lanes = 1; /* there are only integers in it */
    s->line = 1;
    spki_gpu_head(s, api, &c);
    spki_gpu_numbers(s);
#define SPKI_GPU_ROWS_DEFINE(name, value) spki_gpu_define(s, #name, (uint32_t)(value));
    SPKI_GPU_ROWS_NUMBERS(SPKI_GPU_ROWS_DEFINE)
#undef SPKI_GPU_ROWS_DEFINE
    spki_gpu_paste(s, spki_gpu_text_rows);
    spki_gpu_put(s, "", 1);
}

SPKI_FN spk_result spki_gpu_rows_program(spk_net *net, spki_gpu *gpu, void **program)
{
    spki_gpu_choice c = spki_gpu_choose(net, gpu);
    spki_gpu_source s;
    *program = NULL;
    for (uint32_t wide = 0; wide < 2 && gpu->api->held && !*program; wide++) {
        c.wide = wide != 0;
        *program = gpu->api->held(gpu, net, &c);
    }
    if (*program) {
        return SPK_OK;
    }
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    spki_gpu_rows_text(&s, gpu->api);
    char *log = (char *)spki_alloc(&net->mem, 65536, 1);
    spk_result result = SPK_ERR_OUT_OF_MEMORY;
    if (log && !s.text.failed) {
        result = gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_ROWS, program,
                                   log, 65536);
    }
    if (result == SPK_ERR_COMPILE) {
        snprintf(gpu->why, sizeof gpu->why, "%.*s", (int)SPKI_MIN(strlen(log), (size_t)400), log);
    }
    spki_free(&net->mem, log, 65536, 1);
    spki_gpu_source_free(&s);
    return result;
}

/* -- buffers -- */

SPKI_FN void spki_gpu_drawing_free(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_block *const block[] = {&d->plan,    &d->table,    &d->tiles_at,  &d->slot,
                                     &d->from,    &d->entry,    &d->scratch,   &d->rows,
                                     &d->flat,    &d->stats,    &d->indegree,  &d->outdegree,
                                     &d->segment, &d->sum};
    for (uint32_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        spki_gpu_drop(gpu, block[k]); /* they are large: nobody else wants them */
    }
    spki_gpu_tables_free(&d->t);
    spki_free(&net->mem, d->batch, (size_t)d->tiles + 1, 4);
    spki_free(&net->mem, d, 1, sizeof *d);
}

SPKI_FN uint32_t *spki_gpu_record_of(const spk_net *net, const spki_gpu_drawing *d, uint32_t t)
{
    return (uint32_t *)(void *)d->t.tiles.data + t * spki_gpu_tile_words(net);
}

SPKI_FN uint32_t *spki_gpu_feed_of(const spk_net *net, const spki_gpu_drawing *d, uint32_t t,
                                   uint32_t projection)
{
    return spki_gpu_record_of(net, d, t) + SPKI_GPU_ROWS_TILE_SIZE +
           (size_t)projection * SPKI_GPU_ROWS_FEED_SIZE;
}

/* What the indices of a tile take: counters of sources and entries. */
SPKI_FN void spki_gpu_index_words(const spk_net *net, const spki_gpu_drawing *d, uint32_t t,
                                  uint64_t *from, uint64_t *entry)
{
    *from = *entry = 0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_proj *p = &net->projection[k].proj;
        const uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
        if (p->rule == SPK_FIXED_INDEGREE) {
            *from += p->n_source;
            *entry += (uint64_t)(feed[SPKI_GPU_ROWS_FEED_T1] - feed[SPKI_GPU_ROWS_FEED_T0]) * p->k;
        }
    }
}

/* Cuts the tiles into batches whose indices fit into a quarter of the memory, and places them. */
SPKI_FN bool spki_gpu_cut_indices(spk_net *net, const spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint64_t most = SPKI_MIN(gpu->memory / 16, (uint64_t)INT32_MAX); /* words */
    uint64_t from = 0, entry = 0;
    d->batch = (uint32_t *)spki_alloc(&net->mem, (size_t)d->tiles + 1, 4);
    if (!d->batch) {
        d->t.not_ = "there is no memory";
        return false;
    }
    for (uint32_t t = 0; t < d->tiles; t++) {
        uint64_t more_from, more_entry;
        spki_gpu_index_words(net, d, t, &more_from, &more_entry);
        if (more_from + more_entry > most) {
            d->t.not_ = "the index of a tile's fixed in-degrees is too large";
            return false;
        }
        if (t == 0 || from + more_from + entry + more_entry > most) {
            d->batch[d->batches++] = t;
            from = entry = 0;
        }
        for (uint32_t k = 0; k < net->projections; k++) {
            const spki_proj *p = &net->projection[k].proj;
            uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
            if (p->rule == SPK_FIXED_INDEGREE) {
                feed[SPKI_GPU_ROWS_FEED_FROM] = (uint32_t)from;
                feed[SPKI_GPU_ROWS_FEED_ENTRY] = (uint32_t)entry;
                from += p->n_source;
                entry += (uint64_t)(feed[SPKI_GPU_ROWS_FEED_T1] - feed[SPKI_GPU_ROWS_FEED_T0]) *
                         p->k;
            }
        }
        d->from_words = SPKI_MAX(d->from_words, from);
        d->entry_words = SPKI_MAX(d->entry_words, entry);
    }
    d->batch[d->batches] = d->tiles;
    return true;
}

SPKI_FN spk_result spki_gpu_upload(spki_gpu *gpu, spki_gpu_block *block, const spki_gpu_bytes *data)
{
    const spk_result result = spki_gpu_reserve(gpu, data->used, block);
    return result == SPK_OK ? gpu->api->write(gpu, block->mem, 0, data->data, data->used) : result;
}

SPKI_FN spk_result spki_gpu_zeroed(spki_gpu *gpu, spki_gpu_block *block, uint64_t bytes)
{
    const spk_result result = spki_gpu_reserve(gpu, bytes, block);
    return result == SPK_OK ? gpu->api->zero(gpu, block->mem, 0, block->bytes) : result;
}

SPKI_FN spk_result spki_gpu_drawing_buffers(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint64_t lists = net->desc.weight_bits == 8 ? 3 : 2, each = d->delays * lists * 4;
    const uint64_t room = SPKI_MIN(SPKI_GPU_DRAW_SCRATCH, gpu->memory / 16);
    const uint64_t rows = (uint64_t)d->tiles * net->neurons;
    const struct {
        spki_gpu_block *block;
        uint64_t words;
    } want[] = {{&d->from, d->from_words},
                {&d->entry, d->entry_words},
                {&d->rows, rows},
                {&d->flat, rows},
                {&d->stats, (uint64_t)d->tiles * SPKI_GPU_ROWS_STATS},
                {&d->indegree, d->slots},
                {&d->outdegree, net->neurons},
                {&d->segment, SPKI_GPU_ROWS_SEGMENT * (uint64_t)d->tiles * net->projections},
                {&d->sum, 2 * (uint64_t)d->tiles * net->projections}};
    d->at_once = (uint32_t)SPKI_MIN(SPKI_MAX(room / each, (uint64_t)SPKI_GPU_DRAW_ITEMS),
                                    (uint64_t)1 << 22);
    d->at_once = (uint32_t)SPKI_MIN((uint64_t)d->at_once, rows);
    spk_result result = spki_gpu_upload(gpu, &d->plan, &d->t.plan);
    result = result == SPK_OK ? spki_gpu_upload(gpu, &d->table, &d->t.table) : result;
    result = result == SPK_OK ? spki_gpu_upload(gpu, &d->slot, &d->t.slot) : result;
    result = result == SPK_OK ? spki_gpu_reserve(gpu, d->at_once * each, &d->scratch) : result;
    for (uint32_t k = 0; k < sizeof want / sizeof want[0] && result == SPK_OK; k++) {
        result = spki_gpu_zeroed(gpu, want[k].block, want[k].words * 4);
    }
    return result;
}

/* Everything that drawing `tiles` tiles needs. SPK_ERR_UNSUPPORTED: the host has to, for what
   (*out)->t.not_ says. */
SPKI_FN spk_result spki_gpu_drawing_make(spk_net *net, spki_gpu_part *part, uint32_t tile,
                                         uint32_t tiles, spki_gpu_drawing **out)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_drawing *d = (spki_gpu_drawing *)spki_alloc(&net->mem, 1, sizeof *d);
    *out = d;
    if (!d) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    d->tile = tile;
    d->tiles = tiles;
    d->indexed_batch = UINT32_MAX;
    d->tiles_changed = true;
    for (uint32_t t = tile; t < tile + tiles; t++) {
        d->slots += spki_gpu_tile_slots(&net->tile[t]);
    }
    if (!spki_gpu_tables_make(net, &d->t, tile, tiles)) {
        return d->t.not_ ? SPK_ERR_UNSUPPORTED : SPK_ERR_OUT_OF_MEMORY;
    }
    if (!spki_gpu_cut_indices(net, gpu, d)) {
        return SPK_ERR_UNSUPPORTED;
    }
    d->delays = d->t.longest - d->t.shortest + 1;
    const double start = spk_clock_seconds();
    const spk_result result =
        part->rows_program ? SPK_OK : spki_gpu_rows_program(net, gpu, &part->rows_program);
    d->program = part->rows_program;
    net->construct_s -= spk_clock_seconds() - start;
    if (result != SPK_OK) {
        d->t.not_ = "there are no kernels: ";
        return SPK_ERR_UNSUPPORTED;
    }
    return spki_gpu_drawing_buffers(net, gpu, d);
}

/* -- launches -- */

SPKI_FN uint32_t spki_gpu_draw_groups(uint64_t items)
{
    return (uint32_t)((items + SPKI_GPU_DRAW_ITEMS - 1) / SPKI_GPU_DRAW_ITEMS);
}

/* Sums of what stands before, in each of the segments. */
SPKI_FN spk_result spki_gpu_scan_rows(spki_gpu *gpu, spki_gpu_drawing *d, const spki_gpu_block *x,
                                      const spki_gpu_block *to, const spki_gpu_bytes *segments,
                                      uint32_t keep)
{
    const uint32_t n = (uint32_t)(segments->used / (SPKI_GPU_ROWS_SEGMENT * 4));
    if (segments->failed) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    spk_result result = n ? gpu->api->write(gpu, d->segment.mem, 0, segments->data, segments->used)
                          : SPK_OK;
    if (result == SPK_OK && n) {
        const spki_gpu_arg arg[] = {spki_gpu_memory(x), spki_gpu_memory(to),
                                    spki_gpu_memory(&d->segment), spki_gpu_memory(&d->sum),
                                    spki_gpu_u32(keep)};
        result = gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_SCAN, n, SPKI_GPU_SCAN_ITEMS, arg,
                                  5);
    }
    return result;
}

SPKI_FN void spki_gpu_add_segment(spki_gpu_bytes *b, uint64_t at, uint32_t n, uint32_t begin,
                                  uint32_t sum)
{
    uint32_t *to = (uint32_t *)spki_gpu_more(b, SPKI_GPU_ROWS_SEGMENT * 4);
    if (to) {
        to[4] = sum;
        to[0] = (uint32_t)at;
        to[1] = (uint32_t)(at >> 32);
        to[2] = n;
        to[3] = begin;
    }
}

SPKI_FN spk_result spki_gpu_collect(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d, uint32_t k,
                                    uint32_t tile, uint32_t tiles, uint32_t put)
{
    const uint32_t first = spki_gpu_feed_of(net, d, tile, k)[SPKI_GPU_ROWS_FEED_T0];
    const uint32_t end = spki_gpu_feed_of(net, d, tile + tiles - 1, k)[SPKI_GPU_ROWS_FEED_T1];
    const spki_proj *p = &net->projection[k].proj;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&d->plan),     spki_gpu_memory(&d->table),
                                spki_gpu_memory(&d->tiles_at), spki_gpu_memory(&d->from),
                                spki_gpu_memory(&d->entry),    spki_gpu_u32(k),
                                spki_gpu_u32(net->projections), spki_gpu_u32(tile),
                                spki_gpu_u32(tiles),           spki_gpu_u32(p->key[0]),
                                spki_gpu_u32(p->key[1]),       spki_gpu_u32(put)};
    return p->n_source && p->k && end > first
               ? gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_COLLECT,
                                  spki_gpu_draw_groups(end - first), SPKI_GPU_DRAW_ITEMS, arg, 12)
               : SPK_OK;
}

SPKI_FN spk_result spki_gpu_sort(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d, uint32_t k,
                                 uint32_t tile, uint32_t tiles)
{
    const spki_gpu_arg arg[] = {spki_gpu_memory(&d->plan), spki_gpu_memory(&d->tiles_at),
                                spki_gpu_memory(&d->from), spki_gpu_memory(&d->entry),
                                spki_gpu_u32(k),           spki_gpu_u32(net->projections),
                                spki_gpu_u32(tile),        spki_gpu_u32(tiles)};
    return gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_SORT,
                            spki_gpu_draw_groups(net->projection[k].proj.n_source),
                            SPKI_GPU_DRAW_ITEMS, arg, 8);
}

/* The indices of a batch of tiles: sources counted, entries put behind those of each, in order. */
SPKI_FN spk_result spki_gpu_index_batch(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                        uint32_t batch)
{
    const uint32_t tile = d->batch[batch], tiles = d->batch[batch + 1] - tile;
    spki_gpu_bytes segments;
    if (!d->t.indexed || batch == d->indexed_batch) {
        return SPK_OK;
    }
    memset(&segments, 0, sizeof segments);
    segments.mem = &net->mem;
    spk_result result = gpu->api->zero(gpu, d->from.mem, 0, d->from.bytes);
    for (uint32_t k = 0; k < net->projections && result == SPK_OK; k++) {
        if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
            result = spki_gpu_collect(net, gpu, d, k, tile, tiles, 0);
        }
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        for (uint32_t t = tile; t < tile + tiles; t++) {
            const uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
            if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
                spki_gpu_add_segment(&segments, feed[SPKI_GPU_ROWS_FEED_FROM],
                                     net->projection[k].proj.n_source,
                                     feed[SPKI_GPU_ROWS_FEED_ENTRY],
                                     (uint32_t)(segments.used / (SPKI_GPU_ROWS_SEGMENT * 4)));
            }
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_scan_rows(gpu, d, &d->from, &d->from, &segments, 0);
    }
    for (uint32_t k = 0; k < net->projections && result == SPK_OK; k++) {
        if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
            result = spki_gpu_collect(net, gpu, d, k, tile, tiles, 1);
            result = result == SPK_OK ? spki_gpu_sort(net, gpu, d, k, tile, tiles) : result;
        }
    }
    d->indexed_batch = result == SPK_OK ? batch : UINT32_MAX;
    spki_gpu_forget(&segments);
    return result;
}

/* The rows of tiles [tile, end), in one of the modes. */
SPKI_FN spk_result spki_gpu_draw_tiles(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                       uint32_t mode, uint32_t tile, uint32_t end,
                                       const spki_gpu_block *out)
{
    const uint64_t each = mode == SPKI_GPU_ROWS_LOOK ? (uint64_t)SPKI_GPU_ROWS_LOOKS : net->neurons;
    const uint32_t *key = net->projection[0].proj.key;
    spk_result result = SPK_OK;
    for (uint64_t first = tile * each; first < end * each && result == SPK_OK;
         first += d->at_once) {
        const uint32_t items = (uint32_t)SPKI_MIN(end * each - first, (uint64_t)d->at_once);
        const spki_gpu_arg arg[] = {
            spki_gpu_memory(&d->plan),      spki_gpu_memory(&d->table),
            spki_gpu_memory(&d->tiles_at),  spki_gpu_memory(&d->slot),
            spki_gpu_memory(&d->from),      spki_gpu_memory(&d->entry),
            spki_gpu_memory(&d->scratch),   spki_gpu_memory(&d->rows),
            spki_gpu_memory(out),           spki_gpu_memory(&d->stats),
            spki_gpu_memory(&d->indegree),  spki_gpu_memory(&d->outdegree),
            spki_gpu_u64(first),            spki_gpu_u32(items),
            spki_gpu_u32(net->neurons),     spki_gpu_u32(net->projections),
            spki_gpu_u32(d->t.shortest),    spki_gpu_u32(d->delays),
            spki_gpu_u32(key[0]),           spki_gpu_u32(key[1]),
            spki_gpu_u32(net->desc.weight_bits == 8), spki_gpu_u32(mode)};
        result = gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS, spki_gpu_draw_groups(items),
                                  SPKI_GPU_DRAW_ITEMS, arg, sizeof arg / sizeof arg[0]);
    }
    return result;
}

/* All tiles in one of the modes, batch by batch. */
SPKI_FN spk_result spki_gpu_draw_all(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                     uint32_t mode, const spki_gpu_block *out)
{
    spk_result result = d->tiles_changed ? spki_gpu_upload(gpu, &d->tiles_at, &d->t.tiles) : SPK_OK;
    d->tiles_changed = false;
    for (uint32_t b = 0; b < d->batches && result == SPK_OK; b++) {
        result = spki_gpu_index_batch(net, gpu, d, b);
        if (result == SPK_OK) {
            result = spki_gpu_draw_tiles(net, gpu, d, mode, d->batch[b], d->batch[b + 1], out);
        }
    }
    return result;
}

/* -- measuring -- */

/* How wide the counts of each tile's rows are: as spki_choose_layout has it. */
SPKI_FN spk_result spki_gpu_choose_bytes(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint32_t looks = SPKI_MIN(net->neurons, (uint32_t)SPKI_GPU_ROWS_LOOKS);
    const size_t words = (size_t)d->tiles * SPKI_GPU_ROWS_LOOKS * 2;
    uint32_t *seen = (uint32_t *)spki_alloc(&net->mem, words, 4);
    spki_gpu_block out = {NULL, 0};
    spk_result result = seen ? spki_gpu_zeroed(gpu, &out, words * 4) : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK) {
        result = spki_gpu_draw_all(net, gpu, d, SPKI_GPU_ROWS_LOOK, &out);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, out.mem, 0, seen, words * 4, NULL);
    }
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        const uint32_t *x = seen + (size_t)t * SPKI_GPU_ROWS_LOOKS * 2;
        uint64_t bytes = 0, pairs = 0;
        for (uint32_t k = 0; k < SPKI_GPU_ROWS_LOOKS; k++) {
            /* fewer neurons than looks: the kernel has seen some twice */
            const bool again = k * (uint64_t)looks / SPKI_GPU_ROWS_LOOKS ==
                               (k + 1) * (uint64_t)looks / SPKI_GPU_ROWS_LOOKS;
            bytes += again ? 0 : x[2 * k];
            pairs += again ? 0 : x[2 * k + 1];
        }
        net->tile[d->tile + t].count_bytes = bytes < 2 * pairs ? 1 : 2;
        spki_gpu_record_of(net, d, t)[SPKI_GPU_ROWS_TILE_BYTES] =
            net->tile[d->tile + t].count_bytes;
    }
    d->tiles_changed = true;
    spki_gpu_free(gpu, &out);
    spki_free(&net->mem, seen, words, 4);
    return result;
}

/* Measures all rows. */
SPKI_FN spk_result spki_gpu_measure_tiles(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_bytes none;
    memset(&none, 0, sizeof none);
    none.mem = &net->mem;
    for (uint32_t t = 0; t < d->tiles; t++) {
        uint32_t *stats = (uint32_t *)spki_gpu_more(&none, SPKI_GPU_ROWS_STATS * 4);
        if (stats) {
            stats[SPKI_GPU_ROWS_SHORTEST] = UINT32_MAX; /* of a tile without rows */
        }
    }
    spk_result result = none.failed ? SPK_ERR_OUT_OF_MEMORY
                                    : spki_gpu_upload(gpu, &d->stats, &none);
    if (result == SPK_OK) {
        result = spki_gpu_draw_all(net, gpu, d, SPKI_GPU_ROWS_MEASURE, &d->flat);
    }
    spki_gpu_forget(&none);
    return result;
}

/* What the host would know of its tiles if it had drawn them. */
SPKI_FN spk_result spki_gpu_take_measures(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const size_t room = (size_t)d->tiles * SPKI_GPU_ROWS_STATS;
    uint32_t *stats = (uint32_t *)spki_alloc(&net->mem, room, 4);
    spk_result result = stats ? gpu->api->read(gpu, d->stats.mem, 0, stats, room * 4, NULL)
                              : SPK_ERR_OUT_OF_MEMORY;
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        spki_tile *tile = &net->tile[d->tile + t];
        const uint32_t *s = stats + (size_t)t * SPKI_GPU_ROWS_STATS;
        tile->min_delay = s[SPKI_GPU_ROWS_SHORTEST];
        tile->max_delay = s[SPKI_GPU_ROWS_LONGEST];
        tile->synapses = s[SPKI_GPU_ROWS_SYNAPSES];
        tile->buckets = s[SPKI_GPU_ROWS_BUCKETS];
    }
    spki_free(&net->mem, stats, room, 4);
    return result;
}

/* Says where each row begins in its tile, flat or not. */
SPKI_FN spk_result spki_gpu_place_rows(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_bytes with[2]; /* segments of tiles with buckets, and of flat ones */
    uint32_t *sum = (uint32_t *)spki_alloc(&net->mem, (size_t)d->tiles * 2, 4);
    memset(with, 0, sizeof with);
    with[0].mem = with[1].mem = &net->mem;
    for (uint32_t t = 0; t < d->tiles; t++) {
        const spki_tile *tile = &net->tile[d->tile + t];
        uint32_t *record = spki_gpu_record_of(net, d, t);
        record[SPKI_GPU_ROWS_TILE_FLAT] = tile->flat;
        record[SPKI_GPU_ROWS_TILE_SHORTEST] = tile->min_delay;
        spki_gpu_add_segment(&with[tile->flat ? 1 : 0], (uint64_t)t * net->neurons, net->neurons, 1,
                             t);
    }
    d->tiles_changed = true;
    spk_result result = sum ? spki_gpu_scan_rows(gpu, d, &d->rows, &d->rows, &with[0], 1)
                            : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK) {
        result = spki_gpu_scan_rows(gpu, d, &d->flat, &d->rows, &with[1], 1);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, d->sum.mem, 0, sum, (size_t)d->tiles * 8, NULL);
    }
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        spki_tile *tile = &net->tile[d->tile + t];
        const uint64_t words = (uint64_t)sum[2 * t] | (uint64_t)sum[2 * t + 1] << 32;
        if (words > SPKI_MOST_WORDS) {
            d->t.not_ = "a tile has more than 2^31 words of synapses";
            result = SPK_ERR_UNSUPPORTED; /* the host says it */
        }
        tile->device_words = tile->words_used = (size_t)words;
    }
    spki_gpu_forget(&with[0]);
    spki_gpu_forget(&with[1]);
    spki_free(&net->mem, sum, (size_t)d->tiles * 2, 4);
    return result;
}

/* Synapses that the rules promise, and by how many there may be more or fewer: ten standard
   deviations where each is drawn by itself. */
SPKI_FN double spki_gpu_promised(const spk_net *net, double *within)
{
    double all = 0.0, variance = 0.0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_proj *p = &net->projection[k].proj;
        const double pairs = (double)spki_pairs(p, 0, p->n_source);
        switch (p->rule) {
        case SPK_ONE_TO_ONE:
            all += pairs < (double)p->n_source * p->n_target && p->same_view ? 0.0 : p->n_source;
            variance += p->self ? (double)p->n_source * p->n_source : 0.0; /* some are left out */
            break;
        case SPK_ALL_TO_ALL: all += pairs; break;
        case SPK_FIXED_INDEGREE: all += p->n_source ? (double)p->k * p->n_target : 0.0; break;
        case SPK_FIXED_OUTDEGREE: all += p->n_target ? (double)p->k * p->n_source : 0.0; break;
        case SPK_FIXED_TOTAL: all += (double)p->total; break;
        case SPK_BERNOULLI:
            all += pairs * p->p;
            variance += pairs * p->p * (1.0 - p->p);
            break;
        case SPK_COO:
        case SPK_CSR:
        case SPK_CALLBACK:
        case SPK_RULE_FORCE_32_BIT: break;
        }
    }
    *within = 10.0 * __builtin_sqrt(variance) + (variance > 0.0 ? 10.0 : 0.0);
    return all;
}

/* In-degrees, for the width of accumulators, and out-degrees, for counting events. */
SPKI_FN spk_result spki_gpu_take_degrees(spk_net *net, spki_gpu_net *g, spki_gpu *gpu,
                                         spki_gpu_drawing *d)
{
    uint32_t *degree = (uint32_t *)spki_alloc(&net->mem, (size_t)d->slots, 4), largest = 0;
    g->outdegree = (uint32_t *)spki_alloc(&net->mem, net->neurons, sizeof *g->outdegree);
    spk_result result = degree && g->outdegree ? SPK_OK : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK && d->slots) {
        result = gpu->api->read(gpu, d->indegree.mem, 0, degree, (size_t)d->slots * 4, NULL);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, d->outdegree.mem, 0, g->outdegree, (size_t)net->neurons * 4,
                                NULL);
    }
    for (uint64_t k = 0; k < d->slots && result == SPK_OK; k++) {
        largest = SPKI_MAX(largest, degree[k]);
    }
    spki_free(&net->mem, degree, (size_t)d->slots, 4);
    if (result == SPK_OK) {
        spki_choose_accumulator(net, largest);
    }
    return result;
}

/* Do as many synapses arrive as the rules promise? */
SPKI_FN spk_result spki_gpu_count_drawn(spk_net *net, const spki_gpu *gpu)
{
    double drawn = 0.0, within;
    const double promised = spki_gpu_promised(net, &within);
    for (uint32_t t = 0; t < net->tiles; t++) {
        drawn += (double)net->tile[t].synapses;
    }
    if (drawn >= promised - within && drawn <= promised + within) {
        return SPK_OK;
    }
    return spki_fail(net, SPK_ERR_ARITHMETIC,
                     "%s \"%s\": the device drew %.0f synapses where the rules say %.0f",
                     gpu->api->name, gpu->name, drawn, promised);
}

SPKI_FN spk_result spki_gpu_measure_rows(spk_net *net, spki_gpu_net *g, spki_gpu *gpu,
                                         spki_gpu_drawing *d)
{
    spk_result result = spki_gpu_choose_bytes(net, gpu, d);
    result = result == SPK_OK ? spki_gpu_measure_tiles(net, gpu, d) : result;
    result = result == SPK_OK ? spki_gpu_take_measures(net, gpu, d) : result;
    result = result == SPK_OK ? spki_gpu_take_degrees(net, g, gpu, d) : result;
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        spki_gpu_choose_flat(net, &net->tile[t], spki_gpu_may_be_flat(net, g));
    }
    return result == SPK_OK ? spki_gpu_place_rows(net, gpu, d) : result;
}

/* The tiles as before anything was measured. */
SPKI_FN void spki_gpu_unmeasure(spk_net *net, spki_gpu_net *g)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_forget_rows(net, &net->tile[t]);
    }
    spki_free(&net->mem, g->outdegree, net->neurons, sizeof *g->outdegree);
    g->outdegree = NULL;
}

/* Measures the rows of a network that is being built, so that the host need not draw them; leaves
   it to the host where a device cannot (net->elsewhere says whether). Errors: the device's. */
SPKI_FN spk_result spki_gpu_construct(spk_net *net, spki_gpu_net *g, spk_construction where)
{
    spki_gpu_part *part = &g->part[0];
    spki_gpu *gpu = &part->gpu;
    double within;
    g->host_draws[0] = gpu->why[0] = 0;
    if (where == SPK_CONSTRUCTION_HOST ||
        (where == SPK_CONSTRUCTION_AUTO &&
         (gpu->lanes > 1 || !(spki_gpu_promised(net, &within) >= SPKI_GPU_DRAW_FROM)))) {
        return SPK_OK;
    }
    const double start = spk_clock_seconds();
    gpu->patient = true;
    spk_result result = spki_gpu_drawing_make(net, part, 0, net->tiles, &part->drawing);
    result = result == SPK_OK ? spki_gpu_measure_rows(net, g, gpu, part->drawing) : result;
    gpu->patient = false;
    if (result == SPK_OK) {
        result = spki_gpu_count_drawn(net, gpu);
    } else if (result == SPK_ERR_UNSUPPORTED || result == SPK_ERR_OUT_OF_MEMORY) {
        const char *not_ = part->drawing ? part->drawing->t.not_ : NULL;
        snprintf(g->host_draws, sizeof g->host_draws, "%s%.140s",
                 not_ ? not_ : "there is no memory for it", gpu->why);
    } else {
        result = spki_gpu_failed(net, gpu, result);
    }
    if (result != SPK_OK || g->parts > 1) {
        if (part->drawing) {
            spki_gpu_drawing_free(net, gpu, part->drawing);
            part->drawing = NULL;
        }
    }
    if (result != SPK_OK) {
        spki_gpu_unmeasure(net, g);
        return g->host_draws[0] ? SPK_OK : result;
    }
    net->construct_s += spk_clock_seconds() - start;
    net->elsewhere = true;
    return SPK_OK;
}

/* -- writing -- */

/* Where each tile's words lie in the block of its segment. */
SPKI_FN void spki_gpu_place_words(spk_net *net, const spki_gpu_part *part, spki_gpu_drawing *d)
{
    for (uint32_t k = 0; k < part->segments; k++) {
        uint64_t words = 0;
        for (uint32_t t = 0; t < part->segment[k].tiles; t++) {
            const uint32_t own = part->segment[k].tile + t;
            uint32_t *record = spki_gpu_record_of(net, d, own);
            record[SPKI_GPU_ROWS_TILE_WORD] = (uint32_t)words;
            record[SPKI_GPU_ROWS_TILE_WORD + 1] = (uint32_t)(words >> 32);
            words += net->tile[part->tile + own].device_words;
        }
    }
    d->tiles_changed = true;
}

SPKI_FN spk_result spki_gpu_write_drawn(spk_net *net, spki_gpu_part *part, spki_gpu_drawing *d)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_place_words(net, part, d);
    spk_result result = spki_gpu_upload(gpu, &d->tiles_at, &d->t.tiles);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        result = spki_gpu_reserve(gpu, part->segment[k].words * 4, &part->segment[k].block);
    }
    for (uint32_t b = 0; b < d->batches && result == SPK_OK; b++) {
        result = spki_gpu_index_batch(net, gpu, d, b);
        for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
            const spki_gpu_segment *s = &part->segment[k];
            const uint32_t tile = SPKI_MAX(d->batch[b], s->tile);
            const uint32_t end = SPKI_MIN(d->batch[b + 1], s->tile + s->tiles);
            if (tile < end) {
                result = spki_gpu_draw_tiles(net, gpu, d, SPKI_GPU_ROWS_WRITE, tile, end,
                                             &s->block);
            }
        }
    }
    result = result == SPK_OK ? gpu->api->finish(gpu) : result;
    if (result == SPK_OK) { /* the rows' places are what the kernels of the network read */
        spki_gpu_free(gpu, &part->rows);
        part->rows = d->rows;
        d->rows.mem = NULL;
        d->rows.bytes = 0;
    }
    return result;
}

/* Draws the rows of a part's tiles into its memory. */
SPKI_FN spk_result spki_gpu_write_rows(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_drawing *d = part->drawing;
    const double start = spk_clock_seconds();
    spk_result result = SPK_OK;
    gpu->patient = true;
    part->drawing = NULL;
    if (d && (d->tile != part->tile || d->tiles != part->tiles)) {
        spki_gpu_drawing_free(net, gpu, d);
        d = NULL;
    }
    if (!d) {
        result = spki_gpu_drawing_make(net, part, part->tile, part->tiles, &d);
        result = result == SPK_OK ? spki_gpu_measure_tiles(net, gpu, d) : result;
        result = result == SPK_OK ? spki_gpu_place_rows(net, gpu, d) : result;
    }
    result = result == SPK_OK ? spki_gpu_write_drawn(net, part, d) : result;
    if (d) {
        spki_gpu_drawing_free(net, gpu, d);
    }
    gpu->patient = false;
    net->construct_s += spk_clock_seconds() - start;
    return result;
}

/* The rows of a part's tiles: drawn there, or from the host's copy. */
SPKI_FN spk_result spki_gpu_push_words(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    part->drawn = false;
    if (net->elsewhere) {
        const spk_result drawn = spki_gpu_write_rows(net, part);
        part->drawn = drawn == SPK_OK;
        if (drawn == SPK_OK || (drawn != SPK_ERR_OUT_OF_MEMORY && drawn != SPK_ERR_UNSUPPORTED)) {
            return drawn == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, drawn);
        }
    }
    spk_result result = spki_fetch_rows(net);
    if (result != SPK_OK) {
        return result;
    }
    result =
        spki_gpu_reserve(gpu, (uint64_t)part->tiles * net->neurons * 4, &part->rows);
    result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        spki_gpu_segment *segment = &part->segment[k];
        uint64_t at = 0;
        result = spki_gpu_reserve(gpu, segment->words * 4, &segment->block);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
        for (uint32_t t = 0; t < segment->tiles && result == SPK_OK; t++) {
            result = spki_gpu_push_tile(net, part, segment->tile + t, segment, at);
            at += (uint64_t)net->tile[part->tile + segment->tile + t].device_words * 4;
        }
    }
    return result;
}

/* ---- >>gpu-deal: which device gets which tiles ---- */

/* Several devices take consecutive tiles in proportion to their speeds. When a network is built
   these are guessed by compute units; 32 slices of the run are then timed, one device after the
   other, from each of three moments on (the first when programs are warm, the last when activity
   has settled), and the network is dealt anew where that saves a tenth of the time or more. Which
   device has which tile changes no spike. */
#define SPKI_GPU_FIRST_WATCH 8u
#define SPKI_GPU_NEXT_WATCH 32u   /* times as late, each */
#define SPKI_GPU_LAST_WATCH 8192u
#define SPKI_GPU_WATCH_SLICES 32u

/* What a tile costs a step, in the units of >>build. */
SPKI_FN double spki_gpu_tile_cost(const spki_tile *tile)
{
    return (double)tile->synapses + 1000.0 * (double)tile->lanes;
}

SPKI_FN double spki_gpu_cost(const spk_net *net, uint32_t first, uint32_t tiles)
{
    double cost = 0.0;
    for (uint32_t t = first; t < first + tiles; t++) {
        cost += spki_gpu_tile_cost(&net->tile[t]);
    }
    return cost;
}

/* Proposes a share for each device; at least one tile each, where there are as many. */
SPKI_FN void spki_gpu_propose(const spk_net *net, spki_gpu_net *g)
{
    const double all = spki_gpu_cost(net, 0, net->tiles);
    double speed = 0.0, done = 0.0, share = 0.0;
    for (uint32_t k = 0; k < g->parts; k++) {
        speed += g->part[k].gpu.speed;
    }
    uint32_t t = 0;
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        const uint32_t later = g->parts - k - 1;
        share += all * part->gpu.speed / speed;
        part->next_tile = t;
        for (part->next_tiles = 0; t < net->tiles; t++, part->next_tiles++) {
            const double cost = spki_gpu_tile_cost(&net->tile[t]);
            if (part->next_tiles &&
                (net->tiles - t <= later || (later && done + 0.5 * cost > share))) {
                break;
            }
            done += cost;
        }
    }
}

/* The proposal becomes what is so; what was so, the proposal. */
SPKI_FN void spki_gpu_take_proposal(spki_gpu_net *g)
{
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        const uint32_t tile = part->tile, tiles = part->tiles;
        part->tile = part->next_tile;
        part->tiles = part->next_tiles;
        part->next_tile = tile;
        part->next_tiles = tiles;
    }
}

/* Called for each slice before it begins. */
SPKI_FN void spki_gpu_watch_slice(spki_gpu_net *g)
{
    if (g->parts > 1) {
        g->watching = g->watch && g->slices >= g->watch;
        g->slices++;
    }
}

SPKI_FN bool spki_gpu_is_timed(const spki_gpu_net *g)
{
    return g->parts > 1 && g->watch && g->slices >= g->watch + SPKI_GPU_WATCH_SLICES;
}

/* Takes the timed slices for the devices' speeds; true: other shares would be better by a tenth. */
SPKI_FN bool spki_gpu_judge(const spk_net *net, spki_gpu_net *g)
{
    double known = 0.0, units = 0.0, now = 0.0, then = 0.0;
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        if (part->tiles && part->busy_s > 0.0) {
            part->gpu.speed = spki_gpu_cost(net, part->tile, part->tiles) / part->busy_s;
            known += part->gpu.speed;
            units += part->gpu.units;
            now = SPKI_MAX(now, part->busy_s);
        }
    }
    for (uint32_t k = 0; k < g->parts && units > 0.0; k++) {
        spki_gpu_part *part = &g->part[k];
        if (!part->tiles || part->busy_s <= 0.0) { /* has had nothing to do */
            part->gpu.speed = part->gpu.units * known / units;
        }
        part->busy_s = 0.0;
    }
    g->watch = g->watch >= SPKI_GPU_LAST_WATCH ? 0 : g->watch * SPKI_GPU_NEXT_WATCH;
    g->watching = false;
    if (units <= 0.0) {
        return false;
    }
    spki_gpu_propose(net, g);
    for (uint32_t k = 0; k < g->parts; k++) {
        const spki_gpu_part *part = &g->part[k];
        then = SPKI_MAX(then, spki_gpu_cost(net, part->next_tile, part->next_tiles) /
                                  part->gpu.speed);
    }
    return then < 0.9 * now;
}

/* ---- >>gpu-batch: whole batches in one launch, where groups of items can meet ----
   What a launch for each slice costs is more than most slices do. So the groups of items stay, and
   meet after each slice (>>kernel-batch). Where a tile's accumulators fit into the shared memory of
   one group, and the tiles are no more than the groups that can run at once, each group has a tile
   of its own, with its states there too where these fit; else all deliver to all. A slice in which
   the host tells spikes is launched as ever, and so is everything when a network is profiled. */

SPKI_FN uint32_t spki_gpu_record_words(spk_model m)
{
    return SPKI_GPU_POP_LISTS + m->state_count + m->param_count + m->derived_count;
}

/* Bytes of shared memory that the largest tile takes: accumulators, and states and records where
   these are there too. */
SPKI_FN uint64_t spki_gpu_tile_bytes(const spk_net *net, const spki_gpu_part *part)
{
    uint64_t most = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        uint64_t bytes = spki_gpu_tile_slots(tile) * part->ring * (net->accumulator_bits / 8);
        for (uint32_t p = 0; part->records_room && p < tile->pieces; p++) {
            bytes += (uint64_t)spki_gpu_up(tile->piece[p].count, SPKI_GROUP) *
                     net->population[tile->piece[p].population].model->state_count *
                     net->state_size;
        }
        most = SPKI_MAX(most, bytes);
    }
    return most + 8 + (uint64_t)part->records_room * 8;
}

/* Room for the records of the tile with most pieces. Not where states have a shadow, which stays
   behind those in global memory. */
SPKI_FN void spki_gpu_plan_records(const spk_net *net, spki_gpu_part *part, bool states)
{
    uint32_t pieces = 0;
    part->record_words = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        pieces = SPKI_MAX(pieces, tile->pieces);
        for (uint32_t p = 0; p < tile->pieces; p++) {
            part->record_words = SPKI_MAX(
                part->record_words,
                spki_gpu_record_words(net->population[tile->piece[p].population].model));
        }
    }
    part->records_room = states && !net->window ? pieces * part->record_words : 0;
}

/* Where each tile's pieces begin in the table, and the pieces. */
SPKI_FN spk_result spki_gpu_push_pieces(spk_net *net, spki_gpu_part *part)
{
    const size_t words = (size_t)spki_gpu_pieces_bytes(net, part) / 4;
    uint32_t *table = (uint32_t *)spki_alloc(&net->mem, words, 4), at = part->tiles + 1;
    if (!table) {
        return spki_no_memory(net, "a device's pieces");
    }
    for (uint32_t t = 0; t < part->tiles; t++) {
        const spki_tile *tile = &net->tile[part->tile + t];
        table[t] = at;
        for (uint32_t p = 0; p < tile->pieces; p++, at += SPKI_GPU_PIECE_SIZE) {
            const spki_piece *piece = &tile->piece[p];
            const spk_model m = net->population[piece->population].model;
            table[at + SPKI_GPU_PIECE_RECORD] = (uint32_t)part->range[piece->population].record;
            table[at + SPKI_GPU_PIECE_WORDS] = spki_gpu_record_words(m);
            table[at + SPKI_GPU_PIECE_FIRST] = piece->first;
            table[at + SPKI_GPU_PIECE_LANES] = spki_gpu_up(piece->count, SPKI_GROUP);
            table[at + SPKI_GPU_PIECE_STATES] = m->state_count;
        }
    }
    table[part->tiles] = at;
    const spk_result result =
        spki_gpu_fill(net, &part->gpu, &part->pieces, table, (uint64_t)words * 4);
    spki_free(&net->mem, table, words, 4);
    return result;
}

/* What each group of items has: its first block of neurons, and that block's first group of 64;
   one pair more than there are groups of items. */
SPKI_FN void spki_gpu_shares(const spk_net *net, const spki_gpu_part *part, uint32_t *share)
{
    const uint32_t most = SPKI_GPU_BLOCK_GROUPS;
    uint32_t block = 0, lane_group = 0, to = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (; part->own && to <= t - part->tile; to++) {
            share[2 * to] = block;
            share[2 * to + 1] = lane_group;
        }
        for (uint32_t p = 0; p < tile->pieces; p++) {
            const uint32_t groups = (tile->piece[p].count + SPKI_GROUP - 1) / SPKI_GROUP;
            for (uint32_t g = 0; g < groups; g += most, block++) {
                for (; !part->own && (uint64_t)block * part->together >=
                                         (uint64_t)to * part->blocks; to++) {
                    share[2 * to] = block;
                    share[2 * to + 1] = lane_group;
                }
                lane_group += SPKI_MIN(most, groups - g);
            }
        }
    }
    for (; to <= part->together; to++) {
        share[2 * to] = block;
        share[2 * to + 1] = lane_group;
    }
}

/* How many items share a bucket of a row: rows of few synapses have buckets of one or two. */
SPKI_FN uint32_t spki_gpu_team(const spk_net *net, const spki_gpu_part *part)
{
    uint64_t synapses = 0;
    for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
        synapses += net->tile[t].synapses;
    }
    const uint64_t rows = SPKI_MAX((uint64_t)net->neurons * part->tiles, (uint64_t)1);
    const uint64_t delays = (uint64_t)net->max_delay - net->min_delay + 1;
    const uint64_t each = synapses / rows / SPKI_MAX(delays, (uint64_t)1);
    uint32_t team = 1;
    while (team < 32 && team < each) {
        team *= 2;
    }
    return team;
}

/* Chooses the way and makes what it needs; leaves part->together 0 where batches cannot run so. */
SPKI_FN spk_result spki_gpu_plan_batches(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_api *api = gpu->api;
    part->together = 0;
    part->own = false;
    part->records_room = 0;
    if (!api->together || part->segments != 1 || part->blocks == 0) {
        return SPK_OK;
    }
    uint32_t room = 0;
    for (uint32_t k = 0; k < 2 && room < part->tiles; k++) {
        spki_gpu_plan_records(net, part, k == 0);
        room = api->room(gpu, part->program, SPKI_GPU_BATCH_OWN, spki_gpu_tile_bytes(net, part));
    }
    if (part->tiles <= room && part->tiles <= SPKI_GPU_BATCH_GROUPS) {
        part->together = part->tiles;
        part->own = true;
    } else {
        part->records_room = 0;
        room = api->room(gpu, part->program, SPKI_GPU_BATCH_ALL, 0);
        part->together = SPKI_MIN(room, SPKI_GPU_BATCH_GROUPS);
    }
    if (!part->together) {
        return SPK_OK;
    }
    const size_t words = 2 * ((size_t)part->together + 1);
    const uint64_t found = 2 * ((uint64_t)part->together * 32 +
                                (uint64_t)part->groups * SPKI_GROUP * net->slice_max);
    uint32_t *share = (uint32_t *)spki_alloc(&net->mem, words, 4);
    if (!share) {
        return spki_no_memory(net, "a device's shares");
    }
    spki_gpu_shares(net, part, share);
    spk_result result = spki_gpu_fill(net, gpu, &part->share, share, (uint64_t)words * 4);
    if (result == SPK_OK) {
        result = spki_gpu_push_pieces(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_blank(net, gpu, &part->found, found * 4);
    }
    if (result == SPK_OK) {
        result = spki_gpu_blank(net, gpu, &part->meet, 64);
    }
    spki_free(&net->mem, share, words, 4);
    return result;
}

/* How many steps from `first` on, before `end`, can go in one launch or be replayed; 0: a slice as
   ever. */
SPKI_FN uint32_t spki_gpu_batch_steps(const spk_net *net, const spki_gpu_net *g, uint64_t first,
                                      uint64_t end)
{
    const spki_gpu_part *part = &g->part[0];
    const uint64_t told = g->told_next < g->told ? g->told_step[g->told_next] : end;
    if (g->parts != 1 || !(part->together || part->gpu.replays) || net->profile ||
        told <= first) {
        return 0;
    }
    return (uint32_t)(SPKI_MIN(end, told) - first);
}

SPKI_FN spk_result spki_gpu_launch_batch(spk_net *net, spki_gpu_part *part,
                                         const spki_gpu_block *list, uint64_t first,
                                         uint32_t steps, uint32_t at, bool amounts)
{
    spki_gpu *gpu = &part->gpu;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->desc),
                                spki_gpu_memory(&part->block),
                                spki_gpu_memory(&part->value),
                                spki_gpu_memory(&part->table),
                                spki_gpu_memory(&part->told),
                                spki_gpu_memory(&part->state),
                                spki_gpu_memory(&part->acc),
                                spki_gpu_memory(&part->history),
                                spki_gpu_memory(&part->tile_at),
                                spki_gpu_memory(&part->rows),
                                spki_gpu_memory(&part->segment[0].block),
                                spki_gpu_memory(&part->share),
                                spki_gpu_memory(&part->group_id),
                                spki_gpu_memory(&part->found),
                                spki_gpu_memory(list),
                                spki_gpu_memory(&part->meet),
                                spki_gpu_u64(net->desc.seed),
                                spki_gpu_u64(first),
                                spki_gpu_u64(part->slots),
                                spki_gpu_u32(steps),
                                spki_gpu_u32(net->slice_max),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(part->ring),
                                spki_gpu_u32(net->ring - 1),
                                spki_gpu_u32(net->lanes / SPKI_GROUP),
                                spki_gpu_u32(amounts),
                                spki_gpu_u32(at),
                                spki_gpu_u32(part->group),
                                spki_gpu_u32(part->groups),
                                spki_gpu_u32(part->tiles),
                                spki_gpu_u32(spki_gpu_team(net, part)),
                                spki_gpu_memory(&part->pieces),
                                spki_gpu_u32(part->record_words),
                                spki_gpu_u32(part->records_room)};
    spk_result result = gpu->api->zero(gpu, part->meet.mem, 0, 64);
    if (result == SPK_OK) {
        result = gpu->api->together(gpu, part->program,
                                    part->own ? SPKI_GPU_BATCH_OWN : SPKI_GPU_BATCH_ALL,
                                    part->together, part->own ? spki_gpu_tile_bytes(net, part) : 0,
                                    arg, sizeof arg / sizeof arg[0]);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* ---- >>gpu-run: slices, batches, and what comes back from them ----
   A slice is as many steps as the shortest delay allows: one update of all neurons, one
   compaction, one delivery. A batch is the slices between two read-backs. While a batch runs the
   host unpacks the one before and hands it to the recorders, as the CPU's engine does with
   slices. Several devices exchange their spikes through the host after each slice. */

/* -- spikes that lists and the host ask for -- */

/* All told spikes from now on, sorted by step: each population's list is, so they are merged. */
SPKI_FN spk_result spki_gpu_make_told(spk_net *net, spki_gpu_net *g)
{
    size_t n = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        n += pop->list.count + (pop->has_forced && pop->forced ? pop->count : 0);
    }
    spki_free(&net->mem, g->told_step, g->told_room, sizeof *g->told_step);
    spki_free(&net->mem, g->told_lane, g->told_room, sizeof *g->told_lane);
    g->told = g->told_next = 0;
    g->told_room = n;
    g->told_step = (uint64_t *)spki_alloc(&net->mem, n, sizeof *g->told_step);
    g->told_lane = (uint32_t *)spki_alloc(&net->mem, n, sizeof *g->told_lane);
    size_t *at = (size_t *)spki_alloc(&net->mem, net->populations, sizeof *at);
    if (!g->told_step || !g->told_lane || !at) {
        spki_free(&net->mem, at, net->populations, sizeof *at);
        return spki_no_memory(net, "told spikes");
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        for (uint32_t k = 0; pop->has_forced && pop->forced && k < pop->count; k++) {
            if ((pop->forced[k / 64] >> (k % 64)) & 1) {
                g->told_step[g->told] = net->step;
                g->told_lane[g->told++] = pop->lane + k;
            }
        }
        while (at[p] < pop->list.count && pop->list.step[at[p]] <= net->step) {
            at[p]++;
        }
    }
    for (;;) { /* stamps are one more than the step that finds the spike */
        uint32_t best = UINT32_MAX;
        for (uint32_t p = 0; p < net->populations; p++) {
            const spki_spike_list *list = &net->population[p].list;
            if (at[p] < list->count &&
                (best == UINT32_MAX ||
                 list->step[at[p]] < net->population[best].list.step[at[best]])) {
                best = p;
            }
        }
        if (best == UINT32_MAX) {
            break;
        }
        const spki_population *pop = &net->population[best];
        g->told_step[g->told] = pop->list.step[at[best]] - 1;
        g->told_lane[g->told++] = pop->lane + pop->list.neuron[at[best]++];
    }
    spki_free(&net->mem, at, net->populations, sizeof *at);
    return SPK_OK;
}

/* Each device gets those of its own lanes: told_from holds where they begin, by entry. */
SPKI_FN spk_result spki_gpu_push_lists(spk_net *net, spki_gpu_net *g)
{
    spk_result result = spki_gpu_make_told(net, g);
    uint32_t *own = (uint32_t *)spki_alloc(&net->mem, g->told, sizeof *own);
    if (result == SPK_OK && !own) {
        result = spki_no_memory(net, "told spikes");
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        for (size_t j = 0; j < g->told; j++) { /* what is another's falls on a lane of nobody */
            const uint32_t group = g->told_lane[j] / SPKI_GROUP;
            own[j] = group - part->group < part->groups ? g->told_lane[j] : UINT32_MAX;
        }
        result = spki_gpu_fill(net, &part->gpu, &part->lanes, own, (uint64_t)g->told * 4);
    }
    spki_free(&net->mem, own, g->told, sizeof *own);
    return result;
}

/* -- recorders of states -- */

/* The places of a recorder's neurons in one device's states. */
SPKI_FN void spki_gpu_index(const spk_net *net, const spki_gpu_part *part, spk_rec rec,
                            spki_gpu_bytes *index, spki_gpu_bytes *column)
{
    const spki_view *view = &net->view[rec->view];
    for (uint32_t k = 0; k < view->size; k++) {
        const uint32_t id = spki_view_id(view, k), p = spki_population_of(net, id);
        const spki_population *pop = &net->population[p];
        const spki_gpu_range *range = &part->range[p];
        const int s = spki_find_field(pop->model->state, pop->model->state_count, rec->state);
        const uint32_t n = id - pop->first;
        if (s < 0 || !range->hi || n < range->lo || n >= range->hi) {
            continue;
        }
        uint32_t *at = (uint32_t *)spki_gpu_more(index, 4);
        uint32_t *to = (uint32_t *)spki_gpu_more(column, 4);
        if (at && to) {
            *at = (uint32_t)(range->state + (uint64_t)s * (range->hi - range->lo) + n - range->lo);
            *to = k;
        }
    }
}

SPKI_FN void spki_gpu_free_samples(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    for (uint32_t k = 0; k < 2; k++) {
        spki_free(&net->mem, part->read_sample[k], part->sample_room, 1);
        part->read_sample[k] = NULL;
    }
    spki_free(&net->mem, part->samples, g->sample_slots, sizeof *part->samples);
    spki_free(&net->mem, part->sampled_at, part->index_room, sizeof *part->sampled_at);
    part->samples = NULL;
    part->sampled_at = NULL;
    part->sample_bytes = part->sample_room = part->index_room = 0;
}

SPKI_FN spk_result spki_gpu_make_samples(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_bytes index, column;
    memset(&index, 0, sizeof index);
    memset(&column, 0, sizeof column);
    index.mem = column.mem = &net->mem;
    part->samples = (spki_gpu_sample *)spki_alloc(&net->mem, g->sample_slots,
                                                  sizeof *part->samples);
    spk_result result = part->samples ? SPK_OK : spki_no_memory(net, "a recorder");
    uint64_t out = 0;
    uint32_t n = 0;
    for (uint32_t r = 0; r < net->recorders && result == SPK_OK; r++) {
        if (net->recorder[r]->kind != SPK_REC_STATE) {
            continue;
        }
        spki_gpu_sample *sample = &part->samples[n++];
        sample->rec = net->recorder[r];
        sample->first = (uint32_t)(index.used / 4);
        spki_gpu_index(net, part, sample->rec, &index, &column);
        sample->count = (uint32_t)(index.used / 4) - sample->first;
        sample->out = out;
        out += (uint64_t)sample->count * SPKI_MAX_SLICE;
    }
    if (result == SPK_OK && (index.failed || column.failed)) {
        result = spki_no_memory(net, "a recorder");
    }
    part->sample_bytes = (size_t)out * net->state_size;
    part->sample_room = SPKI_MAX(part->sample_bytes, (size_t)1);
    part->index_room = column.used / 4;
    part->sampled_at = (uint32_t *)spki_alloc(&net->mem, part->index_room, 4);
    for (uint32_t k = 0; k < 2 && result == SPK_OK; k++) {
        part->read_sample[k] = (char *)spki_alloc(&net->mem, part->sample_room, 1);
        if (!part->read_sample[k] || !part->sampled_at) {
            result = spki_no_memory(net, "a recorder");
        } else {
            result = spki_gpu_blank(net, gpu, &part->sample[k], part->sample_bytes);
        }
    }
    if (result == SPK_OK && column.used) {
        memcpy(part->sampled_at, column.data, column.used);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->index, &index);
    }
    spki_gpu_forget(&index);
    spki_gpu_forget(&column);
    return result;
}

/* Recorders may have been added since the last run. */
SPKI_FN spk_result spki_gpu_find_samples(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    if (g->seen_recorders == net->recorders) {
        return SPK_OK;
    }
    uint32_t n = 0;
    for (uint32_t r = 0; r < net->recorders; r++) {
        n += net->recorder[r]->kind == SPK_REC_STATE;
    }
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_free_samples(net, g, &g->part[k]);
    }
    g->samples = g->sample_slots = n;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        result = spki_gpu_make_samples(net, g, &g->part[k]);
    }
    g->seen_recorders = result == SPK_OK ? net->recorders : 0;
    return result;
}

/* The first step at or after `step`, before `end`, whose end some recorder samples; or the last. */
SPKI_FN uint64_t spki_gpu_next_sample(const spk_net *net, uint64_t step, uint64_t end)
{
    uint64_t next = end - 1;
    for (uint32_t r = 0; r < net->recorders; r++) {
        const struct spk_rec_data *rec = net->recorder[r];
        if (rec->kind == SPK_REC_STATE && step >= rec->start_step) {
            const uint64_t since = step - rec->start_step;
            next = SPKI_MIN(next, step + rec->every - 1 - since % rec->every);
        }
    }
    return next;
}

/* Takes the samples that are due at the end of `step`. */
SPKI_FN spk_result spki_gpu_sample_step(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                        const spki_slice *batch, uint64_t step)
{
    spki_gpu *gpu = &part->gpu;
    for (uint32_t k = 0; k < g->samples; k++) {
        const spki_gpu_sample *s = &part->samples[k];
        if (!spki_rec_due(s->rec, step + 1) || !s->count) {
            continue;
        }
        const uint64_t row = spki_rec_staging_row(s->rec, batch->first, step + 1);
        const spki_gpu_arg arg[] = {spki_gpu_memory(&part->index),
                                    spki_gpu_memory(&part->state),
                                    spki_gpu_memory(&part->sample[batch->parity]),
                                    spki_gpu_u64(s->out + row * s->count),
                                    spki_gpu_u32(s->first),
                                    spki_gpu_u32(s->count)};
        const uint32_t items = gpu->lanes > 1 ? 16 : 128;
        const spk_result result =
            gpu->api->launch(gpu, part->program, SPKI_GPU_SAMPLE,
                             SPKI_MIN((s->count + items - 1) / items, 1024u), items, arg, 6);
        if (result != SPK_OK) {
            return spki_gpu_failed(net, gpu, result);
        }
    }
    return SPK_OK;
}

/* What a sampled element is worth. */
SPKI_FN double spki_gpu_stored(const spk_net *net, const spki_population *pop, uint32_t s,
                               const char *at)
{
    if (net->desc.precision == SPK_FLOAT64) {
        double x;
        memcpy(&x, at, 8);
        return x;
    }
    if (net->desc.precision == SPK_FLOAT32) {
        float x;
        memcpy(&x, at, 4);
        return (double)x;
    }
    uint16_t h;
    memcpy(&h, at, 2);
    return (double)spki_unpack16_f1(0.0f, &h) + pop->state_offset[s];
}

/* One sampled row from the devices into the recorder's staging; parameters come from the host. */
SPKI_FN void spki_gpu_unpack_row(spk_net *net, spki_gpu_net *g, uint32_t k, uint32_t parity,
                                 uint32_t row)
{
    spk_rec rec = g->part[0].samples[k].rec;
    const spki_view *view = &net->view[rec->view];
    double *to = rec->staging[parity] + (size_t)row * rec->width;
    for (uint32_t d = 0; d < g->parts; d++) {
        const spki_gpu_part *part = &g->part[d];
        const spki_gpu_sample *s = &part->samples[k];
        const char *from =
            part->read_sample[parity] + (size_t)(s->out + (uint64_t)row * s->count) *
                                            net->state_size;
        for (uint32_t j = 0; j < s->count; j++) {
            const uint32_t column = part->sampled_at[s->first + j];
            const uint32_t id = spki_view_id(view, column);
            const spki_population *pop = &net->population[spki_population_of(net, id)];
            const uint32_t state = (uint32_t)spki_find_field(
                pop->model->state, pop->model->state_count, rec->state);
            const double x = spki_gpu_stored(net, pop, state, from + (size_t)j * net->state_size);
            const spki_param *base = spki_state_base(pop, state);
            to[column] = base ? x + spki_param_at(base, id - pop->first) : x;
        }
    }
    for (uint32_t p = 0; p < net->populations; p++) {
        const spki_population *pop = &net->population[p];
        const uint32_t lo = spki_view_below(view, pop->first),
                       hi = spki_view_below(view, pop->first + pop->count);
        if (lo < hi && spki_find_field(pop->model->state, pop->model->state_count,
                                       rec->state) < 0) {
            spki_sample_piece(net, pop, rec->state, view, lo, hi, to);
        }
    }
}

SPKI_FN void spki_gpu_unpack_samples(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    for (uint32_t k = 0; k < g->samples; k++) {
        const struct spk_rec_data *rec = g->part[0].samples[k].rec;
        for (uint32_t s = 0; s < batch->steps; s++) {
            const uint64_t stamp = batch->first + s + 1;
            if (spki_rec_due(rec, stamp)) {
                spki_gpu_unpack_row(net, g, k, batch->parity,
                                    spki_rec_staging_row(rec, batch->first, stamp));
            }
        }
    }
}

/* -- one slice on one device -- */

SPKI_FN spk_result spki_gpu_update(spk_net *net, spki_gpu_part *part, uint64_t first,
                                   uint32_t steps, bool amounts)
{
    spki_gpu *gpu = &part->gpu;
    const uint32_t lanes = spki_gpu_choose(net, gpu).lanes;
    /* a block of a CPU device is one item; scalar text wants 16 items a group of neurons */
    const uint32_t items = lanes > 1 ? 1 : 16 * SPKI_GPU_BLOCK_GROUPS;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->desc),
                                spki_gpu_memory(&part->block),
                                spki_gpu_memory(&part->value),
                                spki_gpu_memory(&part->table),
                                spki_gpu_memory(&part->told),
                                spki_gpu_memory(&part->state),
                                spki_gpu_memory(&part->acc),
                                spki_gpu_memory(&part->arrived),
                                spki_gpu_memory(&part->history),
                                spki_gpu_u64(net->desc.seed),
                                spki_gpu_u64(first),
                                spki_gpu_u64(part->slots),
                                spki_gpu_u32(steps),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(part->ring),
                                spki_gpu_u32(net->ring - 1),
                                spki_gpu_u32(net->lanes / SPKI_GROUP),
                                spki_gpu_u32(amounts),
                                spki_gpu_origin(part)};
    double since = 0.0;
    spk_result result = spki_gpu_lap(net, gpu, &since, NULL);
    if (result == SPK_OK) {
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_UPDATE, part->blocks, items, arg,
                                  spki_gpu_args(gpu, sizeof arg / sizeof arg[0]));
    }
    if (result == SPK_OK) {
        result = spki_gpu_lap(net, gpu, &since, &net->scratch[0].update_s);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Spikes told for steps [first, first + steps): g->told_next is the first not yet told. */
SPKI_FN spk_result spki_gpu_tell(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                 uint64_t first, uint32_t steps)
{
    spki_gpu *gpu = &part->gpu;
    size_t at = g->told_next;
    while (at < g->told && g->told_step[at] < first + steps) {
        const uint64_t step = g->told_step[at];
        const size_t from = at;
        while (at < g->told && g->told_step[at] == step) {
            at++;
        }
        const uint32_t n = (uint32_t)(at - from), items = gpu->lanes > 1 ? 16 : 128;
        const spki_gpu_arg arg[] = {
            spki_gpu_memory(&part->lanes), spki_gpu_memory(&part->history),
            spki_gpu_u64((step & (net->ring - 1)) * (net->lanes / 32)),
            spki_gpu_u32((uint32_t)from), spki_gpu_u32(n)};
        const spk_result result = gpu->api->launch(gpu, part->program, SPKI_GPU_TELL,
                                                   (n + items - 1) / items, items, arg, 5);
        if (result != SPK_OK) {
            return spki_gpu_failed(net, gpu, result);
        }
    }
    return SPK_OK;
}

/* Appends the slice's spikes to the list, whose starts it continues at `at`. */
SPKI_FN spk_result spki_gpu_compact(spk_net *net, spki_gpu_part *part, const spki_gpu_block *list,
                                    uint64_t first, uint32_t steps, uint32_t at)
{
    spki_gpu *gpu = &part->gpu;
    const uint32_t items = gpu->lanes > 1 ? 1 : SPKI_GPU_SCAN_ITEMS, parts = part->parts;
    const uint32_t mask = net->ring - 1, row = net->lanes / SPKI_GROUP;
    const uint32_t together = gpu->lanes > 1 ? SPKI_MIN(gpu->units, steps) : 1;
    const spki_gpu_arg history = spki_gpu_memory(&part->history);
    const spki_gpu_arg counts = spki_gpu_memory(&part->counts), to = spki_gpu_memory(list);
    const spki_gpu_arg group = spki_gpu_u32(part->group), groups = spki_gpu_u32(part->groups);
    spk_result result = SPK_OK;
    if (parts > 1) {
        const spki_gpu_arg count[] = {history, counts, spki_gpu_u64(first), spki_gpu_u32(mask),
                                      spki_gpu_u32(row), group, groups, spki_gpu_u32(parts),
                                      spki_gpu_origin(part)};
        const spki_gpu_arg scan[] = {counts, to, spki_gpu_u32(at), spki_gpu_u32(steps),
                                     spki_gpu_u32(parts), spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_COUNT, parts * steps, items, count,
                                  spki_gpu_args(gpu, 9));
        if (result == SPK_OK) {
            result = gpu->api->launch(gpu, part->program, SPKI_GPU_SCAN, 1, items, scan,
                                      spki_gpu_args(gpu, 6));
        }
    }
    if (result == SPK_OK) {
        const spki_gpu_arg arg[] = {history,
                                    counts,
                                    spki_gpu_memory(&part->group_id),
                                    to,
                                    spki_gpu_u64(first),
                                    spki_gpu_u32(at),
                                    spki_gpu_u32(steps),
                                    spki_gpu_u32(mask),
                                    spki_gpu_u32(row),
                                    group,
                                    groups,
                                    spki_gpu_u32(parts),
                                    spki_gpu_origin(part)};
        result = gpu->api->launch(gpu, part->program, SPKI_GPU_COMPACT,
                                  parts > 1 ? parts * steps : together, items, arg,
                                  spki_gpu_args(gpu, 13));
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN spk_result spki_gpu_step(spk_net *net, spki_gpu_net *g, spki_gpu_part *part,
                                 uint32_t parity, uint64_t first, uint32_t steps, uint32_t at,
                                 bool amounts)
{
    spk_result result = spki_gpu_update(net, part, first, steps, amounts);
    if (result == SPK_OK) {
        result = spki_gpu_tell(net, g, part, first, steps);
    }
    if (result == SPK_OK) {
        result = spki_gpu_compact(net, part, &part->list[parity], first, steps, at);
    }
    return result;
}

/* -- several devices: everybody's spikes of a slice, to everybody -- */

SPKI_FN spk_result spki_gpu_read_list(spk_net *net, spki_gpu_part *part, uint32_t parity,
                                      uint64_t from, uint64_t words, spki_gpu_ticket *ticket)
{
    spki_gpu *gpu = &part->gpu;
    const spk_result result =
        gpu->api->read(gpu, part->list[parity].mem, from * 4, part->read_list[parity] + from,
                       (size_t)words * 4, ticket);
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Reads the ids of a device's list up to its start number `at`. */
SPKI_FN spk_result spki_gpu_read_ids(spk_net *net, spki_gpu_part *part, uint32_t parity,
                                     uint32_t from, uint32_t at)
{
    const uint32_t have = part->read_list[parity][from], all = part->read_list[parity][at];
    return all > have ? spki_gpu_read_list(net, part, parity, SPKI_GPU_LIST_IDS + (uint64_t)have,
                                           all - have, NULL)
                      : SPK_OK;
}

/* Where each step's spikes begin in the list of all; with `ids` the list too, on the host. */
SPKI_FN uint32_t spki_gpu_merge(spki_gpu_net *g, uint32_t parity, uint32_t steps, uint32_t at,
                                bool ids)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < steps; s++) {
        g->merged[s] = n;
        for (uint32_t k = 0; k < g->parts; k++) {
            const uint32_t *list = g->part[k].read_list[parity];
            const uint32_t from = list[at + s], count = list[at + s + 1] - from;
            if (ids) {
                memcpy(g->merged + SPKI_GPU_LIST_IDS + n, list + SPKI_GPU_LIST_IDS + from,
                       (size_t)count * 4);
            }
            n += count;
        }
        g->merged[s + 1] = n;
    }
    return n;
}

/* The ids of all, from each device to every device. */
SPKI_FN spk_result spki_gpu_share_ids(spk_net *net, spki_gpu_net *g, uint32_t parity,
                                      uint32_t steps, uint32_t at)
{
    spki_gpu *gpu[SPKI_GPU_MOST_PARTS];
    spki_gpu_mem to[SPKI_GPU_MOST_PARTS];
    spk_result result = SPK_OK;
    uint64_t n = 0;
    for (uint32_t k = 0; k < g->parts; k++) {
        gpu[k] = &g->part[k].gpu;
        to[k] = g->exchange[k].mem;
    }
    for (uint32_t s = 0; s < steps; s++) {
        for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
            const uint32_t *list = g->part[k].read_list[parity];
            const uint64_t from = list[at + s], count = list[at + s + 1] - from;
            if (count) {
                result = gpu[k]->api->share(gpu, g->parts, k, g->part[k].list[parity].mem,
                                            (SPKI_GPU_LIST_IDS + from) * 4, to,
                                            (SPKI_GPU_LIST_IDS + n) * 4, count * 4);
                result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu[k], result);
            }
            n += count;
        }
    }
    return result;
}

SPKI_FN spk_result spki_gpu_exchange(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                     uint32_t steps, uint32_t at)
{
    const bool direct = g->part[0].gpu.api->share != NULL;
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) { /* all work at the same time */
        spki_gpu *gpu = &g->part[k].gpu;
        result = gpu->api->flush(gpu);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_read_list(net, &g->part[k], parity, 0, SPKI_GPU_LIST_IDS, NULL);
        if (result == SPK_OK && !direct) {
            result = spki_gpu_read_ids(net, &g->part[k], parity, at, at + steps);
        }
    }
    const uint32_t n = result == SPK_OK ? spki_gpu_merge(g, parity, steps, at, !direct) : 0;
    const size_t words = SPKI_GPU_LIST_IDS + (direct ? 0 : (size_t)n);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        spki_gpu *gpu = &g->part[k].gpu;
        result = gpu->api->write(gpu, g->exchange[k].mem, 0, g->merged, words * 4);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    if (result == SPK_OK && n && direct) {
        result = spki_gpu_share_ids(net, g, parity, steps, at);
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK && n; k++) {
        spki_gpu_part *part = &g->part[k];
        double since = 0.0;
        result = spki_gpu_watch(net, g, part, &since);
        if (result == SPK_OK) {
            result = spki_gpu_deliver(net, part, &g->exchange[k], 0, steps,
                                      (uint32_t)(first % part->ring), 0);
        }
        if (result == SPK_OK) {
            result = spki_gpu_watch(net, g, part, &since);
        }
    }
    return result;
}

/* -- a batch -- */

/* One slice on all devices, and what follows from it. */
SPKI_FN spk_result spki_gpu_slice(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                  uint32_t steps, uint32_t at, bool amounts)
{
    spk_result result = SPK_OK;
    spki_gpu_watch_slice(g);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        double since = 0.0;
        result = spki_gpu_watch(net, g, &g->part[k], &since);
        if (result == SPK_OK) {
            result = spki_gpu_step(net, g, &g->part[k], parity, first, steps, at, amounts);
        }
        if (result == SPK_OK) {
            result = spki_gpu_watch(net, g, &g->part[k], &since);
        }
    }
    if (result == SPK_OK && g->parts > 1) {
        return spki_gpu_exchange(net, g, parity, first, steps, at);
    }
    return result == SPK_OK ? spki_gpu_deliver(net, g->part, &g->part->list[parity], at, steps,
                                               (uint32_t)(first % g->part->ring), 0)
                            : result;
}

/* Asks for what the batch will have found. */
SPKI_FN spk_result spki_gpu_ask(spk_net *net, spki_gpu_net *g, uint32_t parity)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        /* as many ids as came last time, and half as many again */
        const uint64_t words = SPKI_GPU_LIST_IDS + 1024 + part->last_spikes * 3 / 2;
        if (part->sample_bytes) {
            result = gpu->api->read(gpu, part->sample[parity].mem, 0, part->read_sample[parity],
                                    part->sample_bytes, &part->sampled[parity]);
        }
        if (result == SPK_OK && g->parts == 1) {
            part->asked[parity] = SPKI_MIN(words, part->list_words);
            result = gpu->api->read(gpu, part->list[parity].mem, 0, part->read_list[parity],
                                    (size_t)part->asked[parity] * 4, &part->ticket[parity]);
        }
        if (result == SPK_OK) {
            result = gpu->api->flush(gpu);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    return result;
}

SPKI_FN spk_result spki_gpu_wait(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        spki_gpu *gpu = &part->gpu;
        result = gpu->api->wait(gpu, &part->ticket[batch->parity]);
        if (result == SPK_OK) {
            result = gpu->api->wait(gpu, &part->sampled[batch->parity]);
        }
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    }
    return result;
}

/* The spikes of a finished batch into the tiles, as if the CPU had found them. */
SPKI_FN void spki_gpu_unpack(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    for (uint32_t k = 0; k < g->parts; k++) {
        const spki_gpu_part *part = &g->part[k];
        const uint32_t *list = part->read_list[batch->parity], *ids = list + SPKI_GPU_LIST_IDS;
        for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
            net->tile[t].spike_start[batch->parity][0] = 0;
        }
        for (uint32_t s = 0; s < batch->steps; s++) {
            uint32_t j = list[s];
            for (uint32_t t = part->tile; t < part->tile + part->tiles; t++) {
                spki_tile *tile = &net->tile[t];
                uint32_t *const start = tile->spike_start[batch->parity];
                uint32_t *const to = tile->spike[batch->parity] + start[s];
                uint32_t n = 0;
                uint64_t events = 0;
                for (; j < list[s + 1] && ids[j] < tile->end_id; j++) {
                    to[n++] = ids[j];
                    events += g->outdegree[ids[j]];
                }
                tile->spikes += n;
                tile->events += events;
                start[s + 1] = start[s] + n;
            }
        }
    }
    spki_gpu_unpack_samples(net, g, batch);
}

/* Waits for a batch, reads what was longer than asked for, and hands it to the recorders. */
SPKI_FN spk_result spki_gpu_end_batch(spk_net *net, spki_gpu_net *g, const spki_slice *batch)
{
    spki_gpu_part *part = g->part;
    spk_result result = spki_gpu_wait(net, g, batch);
    if (result == SPK_OK && g->parts == 1) {
        const uint64_t all = SPKI_GPU_LIST_IDS + part->read_list[batch->parity][batch->steps];
        const uint64_t have = part->asked[batch->parity];
        if (all > have) {
            result = spki_gpu_read_list(net, part, batch->parity, have, all - have, NULL);
        }
        part->last_spikes = part->read_list[batch->parity][batch->steps];
    }
    for (uint32_t k = 0; g->parts > 1 && k < g->parts && result == SPK_OK; k++) {
        if (g->part[k].gpu.api->share) { /* else they have come with each slice */
            result = spki_gpu_read_ids(net, &g->part[k], batch->parity, 0, batch->steps);
        }
    }
    if (result == SPK_OK) {
        spki_gpu_unpack(net, g, batch);
        spki_end_slice(net, batch);
    }
    return result;
}

/* -- a run -- */

/* Brings to the devices what the host has changed. */
SPKI_FN spk_result spki_gpu_push(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    const uint32_t changed = net->changed;
    bool told = (changed & SPKI_CHANGED_CURRENTS) != 0, lists = (changed & SPKI_CHANGED_LISTS) != 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        told = told || net->population[p].has_amount;
        lists = lists || net->population[p].has_forced;
    }
    if ((changed || told || lists) && net->synced_step != net->step) {
        result = spki_gpu_pull(&g->base, net); /* from here it can be run again */
        if (result == SPK_OK) {
            spki_mark_synced(net);
        }
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_part *part = &g->part[k];
        if (told || (changed & SPKI_CHANGED_PARAMS)) {
            result = spki_gpu_push_records(net, part);
        }
        if (result == SPK_OK && (changed & (SPKI_CHANGED_STATES | SPKI_CHANGED_PARAMS))) {
            result = spki_gpu_push_states(net, part);
        }
        if (result == SPK_OK && (changed & SPKI_CHANGED_WEIGHTS)) {
            result = spki_gpu_push_words(net, part);
        }
    }
    if (result == SPK_OK && (changed & SPKI_CHANGED_WEIGHTS)) {
        result = spki_gpu_push_arrivals(net, g);
    }
    if (result == SPK_OK && lists) {
        result = spki_gpu_push_lists(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_find_samples(net, g);
    }
    net->changed = result == SPK_OK ? 0 : net->changed;
    return result;
}

/* What was injected has acted, and must not act again. */
SPKI_FN bool spki_gpu_forget_told(spk_net *net)
{
    bool any = false;
    for (uint32_t p = 0; p < net->populations; p++) {
        spki_population *pop = &net->population[p];
        for (uint32_t r = 0; r < 8 && pop->has_amount; r++) {
            if (pop->amount[r]) {
                memset(pop->amount[r], 0, pop->count * sizeof(double));
            }
        }
        if (pop->has_forced && pop->forced) {
            memset(pop->forced, 0, pop->lanes / SPKI_GROUP * sizeof(uint64_t));
        }
        any = any || pop->has_amount || pop->has_forced;
        pop->has_amount = pop->has_forced = false;
    }
    return any;
}

/* Keeps the host's copy young for a hundredth of the time, and after each injection. */
SPKI_FN spk_result spki_gpu_settle(spk_net *net, spki_gpu_net *g)
{
    const bool told = spki_gpu_forget_told(net);
    spk_result result = SPK_OK;
    if (told || spk_clock_seconds() - g->last_sync > 100.0 * g->sync_s) {
        result = spki_gpu_pull(&g->base, net);
        if (result == SPK_OK) {
            spki_mark_synced(net);
        }
    }
    return result;
}

/* ---- >>gpu-replay: the slices of a batch, launched one by one, recorded, or replayed ----
   Between two steps that are sampled, or in which the host tells spikes, a batch is a run of
   slices. Where a device replays (>>gpu-origin), there is one recording for each length of such a
   run, made when the length comes a second time: ends of runs may never come again, and by then
   the driver has loaded every kernel. A slice that injected input acts in is launched as ever, as
   all are while a network is profiled or split over devices. */

/* Some slices, which nothing interrupts, from `first` on. */
SPKI_FN spk_result spki_gpu_slices(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                   uint32_t steps, uint32_t at)
{
    spk_result result = SPK_OK;
    for (uint32_t done = 0; done < steps && result == SPK_OK; done += net->slice_max) {
        const uint32_t some = SPKI_MIN(net->slice_max, steps - done);
        result = spki_gpu_slice(net, g, parity, first + done, some, at + done, false);
    }
    return result;
}

SPKI_FN spk_result spki_gpu_record(spk_net *net, spki_gpu_net *g, uint32_t steps)
{
    spki_gpu_part *part = g->part;
    spki_gpu *gpu = &part->gpu;
    spk_result result = gpu->api->record(gpu);
    if (result != SPK_OK) {
        return spki_gpu_failed(net, gpu, result);
    }
    part->recording_now = true;
    result = spki_gpu_slices(net, g, 0, 0, steps, 0);
    part->recording_now = false;
    const spk_result ended = gpu->api->recorded(gpu, &part->recording[steps]);
    return result != SPK_OK || ended == SPK_OK ? result : spki_gpu_failed(net, gpu, ended);
}

SPKI_FN spk_result spki_gpu_replay(spk_net *net, spki_gpu_net *g, uint32_t parity, uint64_t first,
                                   uint32_t steps, uint32_t at)
{
    spki_gpu_part *part = g->part;
    spki_gpu *gpu = &part->gpu;
    spk_result result = SPK_OK;
    if (!part->origin.mem) {
        result = spki_gpu_blank(net, gpu, &part->origin, 64);
    }
    const uint64_t with = result == SPK_OK ? spki_gpu_recorded_with(part) : 0;
    if (result == SPK_OK && with != part->recorded_with) {
        spki_gpu_forget_recordings(part);
        part->recorded_with = with;
    }
    if (result == SPK_OK && !(part->seen >> steps & 1)) {
        part->seen |= (uint64_t)1 << steps;
        return spki_gpu_slices(net, g, parity, first, steps, at);
    }
    if (result == SPK_OK && !part->recording[steps]) {
        result = spki_gpu_record(net, g, steps);
    }
    if (result != SPK_OK) {
        return result;
    }
    const spki_gpu_arg arg[] = {spki_gpu_memory(&part->origin),
                                spki_gpu_memory(&part->list[parity]),
                                spki_gpu_u64(first),
                                spki_gpu_u32((uint32_t)(first % part->ring)),
                                spki_gpu_u32(at)};
    result = gpu->api->launch(gpu, part->program, SPKI_GPU_BEGIN, 1, 32, arg, 5);
    if (result == SPK_OK) {
        result = gpu->api->replay(gpu, part->recording[steps]);
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* The steps from `first` on, before `end`, in the way of the device; *steps: how many those are. */
SPKI_FN spk_result spki_gpu_some_steps(spk_net *net, spki_gpu_net *g, uint32_t parity,
                                       uint64_t first, uint64_t end, uint32_t at, bool amounts,
                                       uint32_t *steps)
{
    const bool replays = g->part->gpu.replays;
    const uint32_t many = replays && amounts ? 0 : spki_gpu_batch_steps(net, g, first, end);
    *steps = many ? many : (uint32_t)SPKI_MIN((uint64_t)net->slice_max, end - first);
    if (!many) {
        return spki_gpu_slice(net, g, parity, first, *steps, at, amounts);
    }
    return replays ? spki_gpu_replay(net, g, parity, first, many, at)
                   : spki_gpu_launch_batch(net, g->part, &g->part->list[parity], first, many, at,
                                           amounts);
}

/* Puts all slices of a batch under way. The first start in a list is 0 from when it was made. */
SPKI_FN spk_result spki_gpu_begin_batch(spk_net *net, spki_gpu_net *g, const spki_slice *batch,
                                        bool amounts)
{
    const uint64_t end = batch->first + batch->steps;
    spk_result result = SPK_OK;
    for (uint64_t first = batch->first; first < end && result == SPK_OK;) {
        uint32_t steps = 0;
        result = spki_gpu_some_steps(net, g, batch->parity, first,
                                     spki_gpu_next_sample(net, first, end) + 1,
                                     (uint32_t)(first - batch->first), amounts, &steps);
        for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
            result = spki_gpu_sample_step(net, g, &g->part[k], batch, first + steps - 1);
        }
        while (g->told_next < g->told && g->told_step[g->told_next] < first + steps) {
            g->told_next++;
        }
        first += steps;
        amounts = false;
    }
    return result;
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>gpu-selftest: does the device compute what the CPU computes? ---- */

/* Numbers of all sizes that matter, and pairs that tempt a compiler to contract. */
SPKI_FN double spki_gpu_trial(uint32_t k)
{
    uint32_t w[4];
    spki_philox(k, 0, 0, 0, 20261121u, 0, w);
    const double u = ((double)w[0] + 0.5) / 4294967296.0 - 0.5;
    static const double size[8] = {1.0, 2.0, 20.0, 200.0, 0.01, 1e-6, 8.0, 3e4};
    return k % 16 == 15 ? 1.0 + (double)(w[1] % 8192) / 8388608.0 : 2.0 * u * size[w[2] % 8];
}

/* One number through everything that the selftest kernel does, on this side. */
#define SPKI_GPU_EXPECT(name, real, S)                                                            \
    SPKI_FN void name(const real *in, real *out)                                                  \
    {                                                                                             \
        volatile real x = in[0], y = in[1], z = in[2], product = x * y, sum = x + y;              \
        const real size = spki_abs_##S(x), small = x * (real)0.001953125;                         \
        out[0] = sum;                                                                             \
        out[1] = product - z;                                                                     \
        out[2] = z - product;                                                                     \
        out[3] = x / y;                                                                           \
        out[4] = spki_sqrt_##S(size);                                                             \
        out[5] = sum - x;                                                                         \
        out[6] = spki_exp_##S(small);                                                             \
        out[7] = spki_exprel_##S(small);                                                          \
        out[8] = spki_log_##S(size);                                                              \
        out[9] = spki_sin_##S(x);                                                                 \
        out[10] = spki_cos_##S(y);                                                                \
        out[11] = spki_tanh_##S(small);                                                           \
        out[12] = spki_pow_##S(size, spki_min_##S(y, (real)3.0));                                 \
        out[13] = x < y ? spki_flush_##S(x * (real)1e-30) : z;                                    \
    }
SPKI_GPU_EXPECT(spki_gpu_expect_f, float, f1)
SPKI_GPU_EXPECT(spki_gpu_expect_d, double, d1)

/* Compares all results; NULL or the name of the first operation that differs. */
SPKI_FN const char *spki_gpu_compare(const char *in, const char *out, bool is_double, uint32_t *k)
{
    static const char *const name[SPKI_GPU_SELFTESTS] = {
        "x + y", "x * y - z", "z - x * y", "x / y", "sqrt", "(x + y) - x", "exp", "exprel",
        "log",   "sin",       "cos",       "tanh",  "pow",  "flush"};
    const size_t size = is_double ? 8 : 4;
    for (*k = 0; *k < SPKI_GPU_TRIALS; ++*k) {
        char want[SPKI_GPU_SELFTESTS * 8];
        char x[3 * 8];
        for (uint32_t j = 0; j < 3; j++) {
            memcpy(x + j * size, in + ((size_t)j * SPKI_GPU_TRIALS + *k) * size, size);
        }
        if (is_double) {
            double arg[3], result[SPKI_GPU_SELFTESTS];
            memcpy(arg, x, sizeof arg);
            spki_gpu_expect_d(arg, result);
            memcpy(want, result, sizeof result);
        } else {
            float arg[3], result[SPKI_GPU_SELFTESTS];
            memcpy(arg, x, sizeof arg);
            spki_gpu_expect_f(arg, result);
            memcpy(want, result, sizeof result);
        }
        for (uint32_t f = 0; f < SPKI_GPU_SELFTESTS; f++) {
            if (memcmp(want + f * size, out + ((size_t)f * SPKI_GPU_TRIALS + *k) * size, size)) {
                return name[f];
            }
        }
    }
    return NULL;
}

SPKI_FN spk_result spki_gpu_try(spk_net *net, spki_gpu *gpu, const spki_gpu_choice *c,
                                void *program, char *in, char *out)
{
    const size_t size = c->is_double ? 8 : 4, bytes = (size_t)SPKI_GPU_TRIALS * size;
    spki_gpu_block from = {NULL, 0}, to = {NULL, 0};
    spk_result result = spki_gpu_alloc(gpu, 3 * bytes, &from);
    if (result == SPK_OK) {
        result = spki_gpu_alloc(gpu, SPKI_GPU_SELFTESTS * bytes, &to);
    }
    if (result == SPK_OK) {
        result = gpu->api->write(gpu, from.mem, 0, in, 3 * bytes);
    }
    if (result == SPK_OK) {
        const uint32_t items = c->lanes > 1 ? 1 : 64;
        const spki_gpu_arg arg[] = {spki_gpu_memory(&from), spki_gpu_memory(&to),
                                    spki_gpu_u32(SPKI_GPU_TRIALS)};
        result = gpu->api->launch(gpu, program, SPKI_GPU_SELFTEST,
                                  SPKI_GPU_TRIALS / c->lanes / items, items, arg, 3);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, to.mem, 0, out, SPKI_GPU_SELFTESTS * bytes, NULL);
    }
    spki_gpu_free(gpu, &from);
    spki_gpu_free(gpu, &to);
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

/* Compiles and runs the selftest; a device that differs in one bit is refused. */
SPKI_FN spk_result spki_gpu_selftest(spk_net *net, spki_gpu *gpu)
{
    const spki_gpu_choice c = spki_gpu_choose(net, gpu);
    const size_t size = c.is_double ? 8 : 4, room = 65536;
    const size_t bytes = (size_t)SPKI_GPU_TRIALS * size;
    char *in = (char *)spki_alloc(&net->mem, 3 * bytes, 1);
    char *out = (char *)spki_alloc(&net->mem, SPKI_GPU_SELFTESTS * bytes, 1);
    char *log = (char *)spki_alloc(&net->mem, room, 1);
    spki_gpu_source s;
    void *program = NULL;
    bool held = false;
    spk_result result = SPK_OK;
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    s.line = 1;
    spki_gpu_head(&s, gpu->api, &c);
    spki_gpu_define(&s, "SELFTESTS", SPKI_GPU_SELFTESTS);
    spki_gpu_paste(&s, spki_gpu_text_selftest);
    spki_gpu_put(&s, "", 1);
    if (!in || !out || !log || s.text.failed) {
        result = spki_no_memory(net, "a device's test");
    }
    if (result == SPK_OK) {
        for (uint32_t k = 0; k < 3 * SPKI_GPU_TRIALS; k++) {
            spki_put_real(net, in, k, spki_gpu_trial(k));
        }
        program = gpu->api->held ? gpu->api->held(gpu, net, &c) : NULL;
        held = program != NULL;
        result = held ? SPK_OK
                      : gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_TEST,
                                          &program, log, room);
        if (result != SPK_OK) {
            result = spki_gpu_blame(net, gpu, &s, result, log);
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_try(net, gpu, &c, program, in, out);
    }
    if (result == SPK_OK) {
        uint32_t k;
        const char *differs = spki_gpu_compare(in, out, c.is_double, &k);
        if (differs) {
            result = spki_fail(net, SPK_ERR_ARITHMETIC,
                               "%s \"%s\": %s of trial %u is not what the CPU computes, so its "
                               "spikes would differ%s",
                               gpu->api->name, gpu->name, differs, k,
                               held ? " (was the file compiled with --use_fast_math or --ftz=true? "
                                      "They change kernels, and have to go)"
                                    : "");
        }
    }
    if (program) {
        gpu->api->release(gpu, program);
    }
    spki_gpu_source_free(&s);
    spki_free(&net->mem, in, 3 * bytes, 1);
    spki_free(&net->mem, out, SPKI_GPU_SELFTESTS * bytes, 1);
    spki_free(&net->mem, log, room, 1);
    return result;
}

/* ---- >>gpu-net: a network goes to its devices, moves between them, and leaves them ---- */

/* -- making and freeing the buffers -- */

/* Leaves the device itself, its program and the array of ranges. */
SPKI_FN void spki_gpu_clear_part(spk_net *net, spki_gpu_net *g, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_block *const block[] = {&part->desc,    &part->block,    &part->value,
                                     &part->table,   &part->told,     &part->state,
                                     &part->acc,     &part->arrived,  &part->history,
                                     &part->group_id,
                                     &part->counts,  &part->rows,     &part->tile_at,
                                     &part->list[0], &part->list[1],  &part->lanes,
                                     &part->index,   &part->sample[0], &part->sample[1],
                                     &part->share,   &part->pieces,   &part->found,
                                     &part->meet,    &part->origin};
    (void)gpu->api->finish(gpu); /* nothing may still be arriving, whatever has failed */
    spki_gpu_forget_recordings(part);
    for (uint32_t k = 0; k < 2; k++) {
        (void)gpu->api->wait(gpu, &part->ticket[k]);
        (void)gpu->api->wait(gpu, &part->sampled[k]);
    }
    for (uint32_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        spki_gpu_free(gpu, block[k]);
    }
    for (uint32_t k = 0; part->segment && k < part->segments; k++) {
        spki_gpu_free(gpu, &part->segment[k].block);
    }
    spki_gpu_free_samples(net, g, part);
    spki_mem *mem = &net->mem;
    spki_free(mem, part->segment, part->segments, sizeof *part->segment);
    spki_free(mem, part->read_list[0], (size_t)part->list_words, 4);
    spki_free(mem, part->read_list[1], (size_t)part->list_words, 4);
    spki_free(mem, part->read_state, part->read_state_bytes, 1);
    spki_free(mem, part->read_history, spki_gpu_history_bytes(net), 1);
    part->segment = NULL;
    part->read_list[0] = part->read_list[1] = NULL;
    part->read_state = NULL;
    part->read_history = NULL;
    part->segments = 0;
    part->last_spikes = 0;
}

/* Everything that depends on which device has what. */
SPKI_FN void spki_gpu_clear(spk_net *net, spki_gpu_net *g)
{
    for (uint32_t k = 0; k < g->parts; k++) {
        if (g->exchange) {
            spki_gpu_free(&g->part[k].gpu, &g->exchange[k]);
        }
        if (g->part[k].range) {
            spki_gpu_clear_part(net, g, &g->part[k]);
        }
    }
    spki_free(&net->mem, g->exchange, g->parts, sizeof *g->exchange);
    spki_free(&net->mem, g->merged, (size_t)g->merged_words, 4);
    spki_free(&net->mem, g->told_step, g->told_room, sizeof *g->told_step);
    spki_free(&net->mem, g->told_lane, g->told_room, sizeof *g->told_lane);
    g->exchange = NULL;
    g->merged = NULL;
    g->told_step = NULL;
    g->told_lane = NULL;
    g->told = g->told_room = g->told_next = 0;
    g->samples = g->sample_slots = g->seen_recorders = 0;
}

SPKI_FN spk_result spki_gpu_make_host(spk_net *net, spki_gpu_part *part)
{
    spki_mem *mem = &net->mem;
    part->segments = spki_gpu_cut(net, part, NULL);
    part->segment =
        (spki_gpu_segment *)spki_alloc(mem, part->segments, sizeof *part->segment);
    part->read_list[0] = (uint32_t *)spki_alloc(mem, (size_t)part->list_words, 4);
    part->read_list[1] = (uint32_t *)spki_alloc(mem, (size_t)part->list_words, 4);
    part->read_state_bytes = (size_t)part->states * net->state_size;
    part->read_state = (char *)spki_alloc(mem, part->read_state_bytes, 1);
    part->read_history = (uint64_t *)spki_alloc(mem, spki_gpu_history_bytes(net), 1);
    if (!part->segment || !part->read_list[0] || !part->read_list[1] || !part->read_state ||
        !part->read_history) {
        return spki_no_memory(net, "a device's copies");
    }
    (void)spki_gpu_cut(net, part, part->segment);
    return SPK_OK;
}

/* Row indices, where each tile's things begin, ids of the groups. */
SPKI_FN spk_result spki_gpu_push_tables(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_bytes at, id;
    memset(&at, 0, sizeof at);
    memset(&id, 0, sizeof id);
    at.mem = id.mem = &net->mem;
    uint64_t *tile_at = (uint64_t *)spki_gpu_more(&at, (size_t)part->tiles * 24);
    uint32_t *group_id = (uint32_t *)spki_gpu_more(&id, (size_t)net->lanes / SPKI_GROUP * 4);
    uint64_t acc = 0;
    spk_result result = tile_at && group_id ? SPK_OK : spki_no_memory(net, "a device's tables");
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        uint64_t words = 0;
        for (uint32_t t = 0; t < part->segment[k].tiles; t++) {
            const uint32_t own = part->segment[k].tile + t;
            const spki_tile *tile = &net->tile[part->tile + own];
            tile_at[3 * own] = (uint64_t)own * net->neurons;
            tile_at[3 * own + 1] = words | (uint64_t)(tile->count_bytes == 2) << 63 |
                                   (uint64_t)tile->flat << 56 |
                                   (uint64_t)(tile->flat ? tile->min_delay : 0) << 40;
            tile_at[3 * own + 2] = acc;
            words += tile->device_words;
            acc += spki_gpu_tile_slots(tile);
        }
    }
    for (uint32_t p = 0; p < net->populations && result == SPK_OK; p++) {
        const spki_population *pop = &net->population[p];
        for (uint32_t k = 0; k < pop->lanes / SPKI_GROUP; k++) {
            group_id[pop->lane / SPKI_GROUP + k] = pop->first + k * SPKI_GROUP;
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->tile_at, &at);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_bytes(net, gpu, &part->group_id, &id);
    }
    spki_gpu_forget(&at);
    spki_gpu_forget(&id);
    return result;
}

SPKI_FN spk_result spki_gpu_make_part(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spk_result result = spki_gpu_make_host(net, part);
    if (result == SPK_OK) {
        result = spki_gpu_push_records(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_states(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_words(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_tables(net, part);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill(net, gpu, &part->history, net->history,
                               spki_gpu_history_bytes(net));
    }
    if (result == SPK_OK) {
        result = spki_gpu_blank(net, gpu, &part->counts, (uint64_t)part->parts * 32 * 4);
    }
    for (uint32_t k = 0; k < 2 && result == SPK_OK; k++) {
        result = spki_gpu_blank(net, gpu, &part->list[k], part->list_words * 4);
    }
    if (result == SPK_OK) {
        result = spki_gpu_plan_batches(net, part);
    }
    return result;
}

/* Several devices: room for everybody's spikes of a slice. */
SPKI_FN spk_result spki_gpu_make_exchange(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    if (g->parts == 1) {
        return SPK_OK;
    }
    g->merged_words = SPKI_GPU_LIST_IDS + (uint64_t)net->neurons * net->slice_max;
    g->merged = (uint32_t *)spki_alloc(&net->mem, (size_t)g->merged_words, 4);
    g->exchange = (spki_gpu_block *)spki_alloc(&net->mem, g->parts, sizeof *g->exchange);
    if (!g->merged || !g->exchange) {
        return spki_no_memory(net, "the exchange between devices");
    }
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_blank(net, &g->part[k].gpu, &g->exchange[k], g->merged_words * 4);
    }
    return result;
}

/* How many synapses each source has. */
SPKI_FN spk_result spki_gpu_count_rows(spk_net *net, spki_gpu_net *g)
{
    if (g->outdegree) {
        return SPK_OK; /* from the device that measured the rows */
    }
    g->outdegree = (uint32_t *)spki_alloc(&net->mem, net->neurons, sizeof *g->outdegree);
    if (!g->outdegree) {
        return spki_no_memory(net, "out-degrees");
    }
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (uint32_t id = 0; id < net->neurons; id++) {
            spki_row_reader row;
            spki_row_open(&row, tile, id, spki_synapse_words(net));
            while (spki_row_next(&row)) {
                g->outdegree[id] += row.count;
            }
        }
    }
    return SPK_OK;
}

/* Geometry of each device's tiles; refuses, before anything is allocated, what does not fit. */
SPKI_FN spk_result spki_gpu_fit(spk_net *net, spki_gpu_net *g, bool say)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        spki_gpu_geometry(net, &g->part[k]);
        result = spki_gpu_check_fit(net, &g->part[k], g->parts, say);
    }
    return result;
}

/* The host's copy, which is that of this moment, onto the devices. */
SPKI_FN spk_result spki_gpu_fill_all(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_make_part(net, &g->part[k]);
    }
    if (result == SPK_OK) {
        result = spki_gpu_make_exchange(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_arrivals(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_push_lists(net, g);
    }
    return result;
}

SPKI_FN void spki_gpu_leave(spk_net *net, spki_gpu_net *g)
{
    spki_gpu_clear(net, g);
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        if (part->drawing) {
            spki_gpu_drawing_free(net, &part->gpu, part->drawing);
            part->drawing = NULL;
        }
        if (part->rows_program) {
            part->gpu.api->release(&part->gpu, part->rows_program);
            part->rows_program = NULL;
        }
        if (part->program) {
            part->gpu.api->release(&part->gpu, part->program);
            part->program = NULL;
        }
        spki_free(&net->mem, part->range, net->populations, sizeof *part->range);
        part->range = NULL;
        (void)spki_gpu_drain(&part->gpu);
    }
    spki_free(&net->mem, g->outdegree, net->neurons, sizeof *g->outdegree);
    g->outdegree = NULL;
}

/* The whole of `build`, once the devices are open. */
SPKI_FN spk_result spki_gpu_enter(spk_net *net, spki_gpu_net *g)
{
    spk_result result = SPK_OK;
    for (uint32_t k = 0; k < g->parts; k++) {
        spki_gpu_part *part = &g->part[k];
        const spki_gpu *gpu = &part->gpu;
        part->range =
            (spki_gpu_range *)spki_alloc(&net->mem, net->populations, sizeof *part->range);
        if (!part->range) {
            return spki_no_memory(net, "a device's ranges");
        }
        if (net->desc.precision == SPK_FLOAT64 && !gpu->has_double) {
            return spki_fail(net, SPK_ERR_UNSUPPORTED,
                             "%s \"%s\" has no 64-bit floating point; use SPK_FLOAT32",
                             gpu->api->name, gpu->name);
        }
    }
    if (!net->elsewhere) {
        spki_gpu_measure(net, spki_gpu_may_be_flat(net, g));
    }
    spki_gpu_propose(net, g);
    spki_gpu_take_proposal(g);
    result = spki_gpu_fit(net, g, true);
    for (uint32_t k = 0; k < g->parts && result == SPK_OK; k++) {
        result = spki_gpu_selftest(net, &g->part[k].gpu);
    }
    if (result == SPK_OK) {
        result = spki_gpu_count_rows(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_all(net, g);
        net->changed = 0;
    }
    g->watch = SPKI_GPU_FIRST_WATCH;
    g->last_sync = spk_clock_seconds();
    return result;
}

/* Other shares, where the timed slices speak for them. The host's copy is brought up to date, and
   the devices are filled from it as when the network was built. */
SPKI_FN spk_result spki_gpu_deal(spk_net *net, spki_gpu_net *g)
{
    if (!spki_gpu_judge(net, g)) {
        return SPK_OK;
    }
    (void)spki_gpu_forget_told(net);
    spk_result result = spki_gpu_pull(&g->base, net);
    if (result != SPK_OK) {
        return result;
    }
    spki_mark_synced(net);
    spki_gpu_clear(net, g);
    spki_gpu_take_proposal(g);
    if (spki_gpu_fit(net, g, false) != SPK_OK) { /* the faster device is too small: as before */
        spki_gpu_take_proposal(g);
        result = spki_gpu_fit(net, g, true);
        g->watch = 0;
    }
    if (result == SPK_OK) {
        result = spki_gpu_fill_all(net, g);
    }
    return result == SPK_OK ? spki_gpu_find_samples(net, g) : result;
}

/* States have another size since the last run, which left the host's copy up to date. */
SPKI_FN spk_result spki_gpu_refill(spk_net *net, spki_gpu_net *g)
{
    spki_gpu_clear(net, g);
    spk_result result = spki_gpu_fit(net, g, true);
    if (result == SPK_OK) {
        result = spki_gpu_fill_all(net, g);
    }
    if (result == SPK_OK) {
        result = spki_gpu_find_samples(net, g);
    }
    net->changed = result == SPK_OK ? 0 : net->changed;
    return result;
}

SPKI_FN spk_result spki_gpu_run_steps(spk_backend *backend, spk_net *net)
{
    spki_gpu_net *g = (spki_gpu_net *)backend;
    spki_slice batch = net->slice, before;
    bool amounts = false, pending = false, begun = false;
    memset(&before, 0, sizeof before);
    spk_result result = net->changed & SPKI_CHANGED_PRECISION ? spki_gpu_refill(net, g)
                                                              : spki_gpu_push(net, g);
    for (uint32_t p = 0; p < net->populations; p++) {
        amounts = amounts || net->population[p].has_amount;
    }
    while (batch.first < net->run_end && net->stop_result == SPK_OK && result == SPK_OK) {
        if (begun && spki_gpu_is_timed(g)) { /* not while what was injected has still to act */
            result = pending ? spki_gpu_end_batch(net, g, &before) : SPK_OK;
            pending = false;
            if (result == SPK_OK && net->stop_result == SPK_OK) {
                result = spki_gpu_deal(net, g);
            }
            continue;
        }
        batch.steps = (uint32_t)SPKI_MIN(net->run_end - batch.first, (uint64_t)net->batch_max);
        result = spki_gpu_begin_batch(net, g, &batch, amounts);
        if (result == SPK_OK) {
            result = spki_gpu_ask(net, g, batch.parity);
        }
        if (result == SPK_OK && pending) {
            result = spki_gpu_end_batch(net, g, &before);
        }
        before = batch;
        pending = begun = true;
        amounts = false;
        spki_next_slice(&batch);
    }
    if (result == SPK_OK && pending) {
        result = spki_gpu_end_batch(net, g, &before);
    }
    if (result == SPK_OK) {
        net->next_slice = batch;
        result = spki_gpu_settle(net, g);
    }
    return result;
}

SPKI_FN size_t spki_gpu_describe(const spk_backend *backend, char *buffer, size_t size)
{
    const spki_gpu_net *g = (const spki_gpu_net *)backend;
    spki_text text = {buffer, buffer ? size : 0, 0};
    char line[200];
    if (buffer && size) {
        buffer[0] = 0;
    }
    for (uint32_t k = 0; k < g->parts; k++) {
        const spki_gpu_part *part = &g->part[k];
        snprintf(line, sizeof line, "%s \"%.60s\": tiles %u .. %u, %llu bytes%s%s%s%s\n",
                 backend->name, part->gpu.name, part->tile, part->tile + part->tiles,
                 (spki_llu)part->gpu.used,
                 !part->own || g->parts > 1 ? ""
                 : part->records_room       ? "; states and accumulators in shared memory"
                                            : "; accumulators in shared memory",
                 part->gpu.replays && g->parts == 1 ? "; slices replayed" : "",
                 part->held ? "; kernels compiled with the program" : "",
                 part->drawn ? "; rows drawn there" : "");
        spki_text_add(&text, line);
    }
    if (g->host_draws[0]) {
        snprintf(line, sizeof line, "rows drawn by the host: %.150s\n", g->host_draws);
        spki_text_add(&text, line);
    }
    return text.length;
}

/* -- a backend for which there was no memory: says so when the network is built -- */

SPKI_FN uint32_t spki_gpu_no_tiles(const spk_backend *backend, const spk_net *net)
{
    (void)backend;
    (void)net;
    return 1;
}

SPKI_FN spk_result spki_gpu_no_memory(spk_backend *backend, spk_net *net)
{
    return spki_fail(net, SPK_ERR_OUT_OF_MEMORY, "%s: no memory for a backend", backend->name);
}

SPKI_FN size_t spki_gpu_describe_none(const spk_backend *backend, char *buffer, size_t size)
{
    (void)backend;
    return (size_t)snprintf(buffer, size, "no backend\n");
}

SPKI_FN void spki_gpu_leave_none(spk_backend *backend, spk_net *net)
{
    (void)backend;
    (void)net;
}

#define SPKI_GPU_NONE(name)                                                                        \
    {                                                                                              \
        name, false, spki_gpu_no_tiles, spki_gpu_no_memory, spki_gpu_no_memory,                    \
            spki_gpu_no_memory, spki_gpu_no_memory, spki_gpu_describe_none,                        \
            spki_gpu_leave_none                                                                    \
    }

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>gpu-names: devices by their names, as people write them and as errors list them ---- */

/* Letters alike. */
SPKI_FN bool spki_gpu_has(const char *text, const char *part)
{
    const size_t n = strlen(part);
    for (; strlen(text) >= n; text++) {
        size_t k = 0;
        for (; k < n; k++) {
            const int a = text[k] >= 'A' && text[k] <= 'Z' ? text[k] + 32 : text[k];
            const int b = part[k] >= 'A' && part[k] <= 'Z' ? part[k] + 32 : part[k];
            if (a != b) {
                break;
            }
        }
        if (k == n) {
            return true;
        }
        if (!*text) {
            break;
        }
    }
    return false;
}

/* One more device in the list that an error shows. */
SPKI_FN void spki_gpu_seen(char *list, size_t size, const char *name, bool usable, const char *why)
{
    const size_t used = strlen(list);
    snprintf(list + used, size - used, "%s\"%.60s\"%s%.80s", used ? ", " : "", name,
             usable ? "" : ", unusable: ", why);
}

#undef SPKI_CHANGED_CURRENTS
#undef SPKI_CHANGED_LISTS
#undef SPKI_CHANGED_PARAMS
#undef SPKI_CHANGED_PRECISION
#undef SPKI_CHANGED_STATES
#undef SPKI_CHANGED_WEIGHTS
#undef SPKI_GPU_BATCH_GROUPS
#undef SPKI_GPU_BATCH_ITEMS
#undef SPKI_GPU_BLOCK_GROUPS
#undef SPKI_GPU_CACHE_MAGIC
#undef SPKI_GPU_COUNTS_GUIDE
#undef SPKI_GPU_DELIVER_ITEMS
#undef SPKI_GPU_DRAW_FROM
#undef SPKI_GPU_DRAW_ITEMS
#undef SPKI_GPU_DRAW_SCRATCH
#undef SPKI_GPU_EXPECT
#undef SPKI_GPU_FIRST_WATCH
#undef SPKI_GPU_LAST_WATCH
#undef SPKI_GPU_LIST_IDS
#undef SPKI_GPU_MOST_PARTS
#undef SPKI_GPU_NEXT_WATCH
#undef SPKI_GPU_NONE
#undef SPKI_GPU_NUMBER
#undef SPKI_GPU_NUMBERS
#undef SPKI_GPU_PACK
#undef SPKI_GPU_PATH
#undef SPKI_GPU_REALS
#undef SPKI_GPU_ROWS_DEFINE
#undef SPKI_GPU_ROWS_NONE
#undef SPKI_GPU_ROWS_NUMBER
#undef SPKI_GPU_ROWS_NUMBERS
#undef SPKI_GPU_SCAN_ITEMS
#undef SPKI_GPU_SPARES
#undef SPKI_GPU_STEPS_GUIDE
#undef SPKI_GPU_TEAM
#undef SPKI_GPU_WATCH_SLICES
#undef SPKI_MAX_SLICE
#undef SPKI_MOST_WORDS
#undef SPKI_STREAM_DRIVE
#undef SPKI_STREAM_INPUT
#undef SPKI_STREAM_STORAGE
#ifndef SPIKELIB_MODELS
#undef SPKI_FN
#undef SPKI_GROUP
#undef SPKI_MAX
#undef SPKI_MIN
#endif
#endif /* shared with other devices */

#ifndef SPIKELIB_MODELS
#define SPKI_FN static __attribute__((unused))
#define SPKI_MAX(a, b) ((a) > (b) ? (a) : (b))
#define SPKI_MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#define SPKI_GPU_BATCH_GROUPS 1024u /* groups of items that may meet */
#define SPKI_GPU_BATCH_ITEMS 512u
#define SPKI_GPU_BLOCK_GROUPS 8u  /* groups of 64 neurons a block */
#define SPKI_GPU_LIST_IDS 64u     /* words in front of the ids in a list: the starts of 32 steps */
#define SPKI_GPU_MOST_PARTS 64u  /* devices of one network */
#define SPKI_GPU_NONE(name)                                                                        \
    {                                                                                              \
        name, false, spki_gpu_no_tiles, spki_gpu_no_memory, spki_gpu_no_memory,                    \
            spki_gpu_no_memory, spki_gpu_no_memory, spki_gpu_describe_none,                        \
            spki_gpu_leave_none                                                                    \
    }
#define SPKI_GPU_NUMBERS(X)                                                                        \
    X(POP_MODEL, SPKI_GPU_POP_MODEL) X(POP_TAG, SPKI_GPU_POP_TAG)                                  \
    X(POP_GROUP, SPKI_GPU_POP_GROUP) X(POP_COUNT, SPKI_GPU_POP_COUNT)                              \
    X(POP_PART, SPKI_GPU_POP_PART) X(POP_PARTS, SPKI_GPU_POP_PARTS)                                \
    X(POP_GROUPS, SPKI_GPU_POP_GROUPS) X(POP_SHADOWS, SPKI_GPU_POP_SHADOWS)                        \
    X(POP_SHADOW, SPKI_GPU_POP_SHADOW) X(POP_DT, SPKI_GPU_POP_DT)                                  \
    X(POP_VARIED, SPKI_GPU_POP_VARIED) X(POP_CURRENT, SPKI_GPU_POP_CURRENT)                        \
    X(POP_OFFSET, SPKI_GPU_POP_OFFSET) X(POP_QUANTUM, SPKI_GPU_POP_QUANTUM)                        \
    X(POP_AMOUNT, SPKI_GPU_POP_AMOUNT) X(POP_STATE, SPKI_GPU_POP_LISTS)                            \
    X(POP_REAL, SPKI_GPU_POP_LISTS) X(PART_KIND, SPKI_GPU_PART_KIND)                               \
    X(PART_START, SPKI_GPU_PART_START) X(PART_STOP, SPKI_GPU_PART_STOP)                            \
    X(PART_FIRST, SPKI_GPU_PART_FIRST) X(PART_COUNT, SPKI_GPU_PART_COUNT)                          \
    X(PART_POS, SPKI_GPU_PART_POS) X(PART_NEG, SPKI_GPU_PART_NEG) X(PART_OWN, SPKI_GPU_PART_OWN)   \
    X(PART_STREAM, SPKI_GPU_PART_STREAM) X(PART_VALUE, SPKI_GPU_PART_VALUE)                        \
    X(PART_TABLE, SPKI_GPU_PART_TABLE) X(PART_NOISE, SPKI_GPU_PART_NOISE)                          \
    X(PART_SD, SPKI_GPU_PART_SD) X(PART_SIZE, SPKI_GPU_PART_SIZE)                                  \
    X(BLOCK_POP, SPKI_GPU_BLOCK_POP) X(BLOCK_FIRST, SPKI_GPU_BLOCK_FIRST)                          \
    X(BLOCK_COUNT, SPKI_GPU_BLOCK_COUNT) X(BLOCK_ACC, SPKI_GPU_BLOCK_ACC)                          \
    X(BLOCK_STRIDE, SPKI_GPU_BLOCK_STRIDE) X(BLOCK_TILE, SPKI_GPU_BLOCK_TILE)                      \
    X(BLOCK_PIECE, SPKI_GPU_BLOCK_PIECE) X(BLOCK_SIZE, SPKI_GPU_BLOCK_SIZE)                        \
    X(PIECE_RECORD, SPKI_GPU_PIECE_RECORD) X(PIECE_WORDS, SPKI_GPU_PIECE_WORDS)                    \
    X(PIECE_FIRST, SPKI_GPU_PIECE_FIRST) X(PIECE_LANES, SPKI_GPU_PIECE_LANES)                      \
    X(PIECE_STATES, SPKI_GPU_PIECE_STATES) X(PIECE_SIZE, SPKI_GPU_PIECE_SIZE)                      \
    X(BLOCK_GROUPS, SPKI_GPU_BLOCK_GROUPS) X(SCAN_ITEMS, SPKI_GPU_SCAN_ITEMS)                      \
    X(BATCH_ITEMS, SPKI_GPU_BATCH_ITEMS) X(BATCH_GROUPS, SPKI_GPU_BATCH_GROUPS)                    \
    X(LIST_IDS, SPKI_GPU_LIST_IDS) X(TEAM, SPKI_GPU_TEAM)
#define SPKI_GPU_PATH 1024u
#define SPKI_GPU_ROWS_NUMBERS(X)                                                                   \
    X(ROWS_RULE, 0) X(ROWS_SOURCES, 1) X(ROWS_TARGETS, 2) X(ROWS_K, 3) X(ROWS_LEAF, 4)             \
    X(ROWS_STREAM, 5) X(ROWS_SELF, 6) X(ROWS_SELF_AT, 7) X(ROWS_SELF_SOURCE_AT, 8)                 \
    X(ROWS_COUNT_AT, 9) X(ROWS_RANGES, 10) X(ROWS_RANGE_AT, 11) X(ROWS_WEIGHT, 12)                 \
    X(ROWS_WEIGHT_AT, 13) X(ROWS_WEIGHT_WORDS, 14) X(ROWS_DELAY, 15) X(ROWS_DELAY_AT, 16)          \
    X(ROWS_DELAY_WORDS, 17) X(ROWS_BLOCK_AT, 18) X(ROWS_REST_AT, 19) X(ROWS_MAGNITUDE, 20)         \
    X(ROWS_SIZE, 21) X(ROWS_HALF, 0)                                                               \
    X(ROWS_TILE_BYTES, 0) X(ROWS_TILE_SLOT, 1) X(ROWS_TILE_WORD, 2) X(ROWS_TILE_FLAT, 4)           \
    X(ROWS_TILE_SHORTEST, 5) X(ROWS_TILE_SIZE, 6) X(ROWS_SEGMENT, 5)                               \
    X(ROWS_FEED_T0, 0) X(ROWS_FEED_T1, 1) X(ROWS_FEED_SLOT, 2) X(ROWS_FEED_FROM, 3)                \
    X(ROWS_FEED_ENTRY, 4) X(ROWS_FEED_SIZE, 5)                                                     \
    X(ROWS_SHORTEST, 0) X(ROWS_LONGEST, 1) X(ROWS_SYNAPSES, 2) X(ROWS_BUCKETS, 3) X(ROWS_STATS, 4) \
    X(ROWS_LOOK, 0) X(ROWS_MEASURE, 1) X(ROWS_WRITE, 2) X(ROWS_LOOKS, 64)                          \
    X(ROWS_ONE_TO_ONE, SPK_ONE_TO_ONE) X(ROWS_ALL_TO_ALL, SPK_ALL_TO_ALL)                          \
    X(ROWS_BERNOULLI, SPK_BERNOULLI) X(ROWS_FIXED_INDEGREE, SPK_FIXED_INDEGREE)                    \
    X(ROWS_AT_NODE, SPKI_AT_NODE) X(ROWS_AT_LEAF, SPKI_AT_LEAF)                                    \
    X(ROWS_AT_REDRAW, SPKI_AT_REDRAW) X(ROWS_AT_BLOCK, SPKI_AT_BLOCK)                              \
    X(ROWS_AT_VALUES, SPKI_AT_VALUES) X(ROWS_AT_INDEGREE, SPKI_AT_INDEGREE)                        \
    X(ROWS_AT_INREDRAW, SPKI_AT_INREDRAW) X(ROWS_AT_INVALUES, SPKI_AT_INVALUES)
#define SPKI_GPU_SCAN_ITEMS 256u
#define SPKI_GPU_TEAM 32u         /* items that share a bucket */
#define SPKI_STREAM_INPUT 0x40000000u
#define SPKI_STREAM_STORAGE 0x50000000u
#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>cuda-loader: the functions of the driver, of NVRTC and of NCCL ---- */

#if !defined(_WIN32)
#include <dlfcn.h>
#endif
#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#elif !defined(SPIKELIB_CUDA_NVRTC)
#error "define SPIKELIB_CUDA_NVRTC, or compile this file with nvcc"
#endif

/* What of the driver is used, declared here so that no header of it is needed.
   Source: the CUDA Driver API and NVRTC reference manuals, NVIDIA (CUDA 11.2 to 13.0). Names with
   _v2 are those that the driver's own header gives to the plain ones. */
typedef struct spki_cuda_object *spki_cuda_handle; /* context, stream, event, module, function */
typedef uint64_t spki_cuda_ptr;                    /* device memory */

#if defined(_WIN32)
#define SPKI_CUDA_CALL __stdcall
#else
#define SPKI_CUDA_CALL
#endif

/* A pool's wishes. */
typedef struct spki_cuda_pool_desc {
    int32_t kind, handles, place, device;
    void *security;
    size_t most;
    unsigned char reserved[56];
} spki_cuda_pool_desc;

#define SPKI_CUDA_FUNCTIONS(X)                                                                    \
    X(cuInit, int, (uint32_t))                                                                    \
    X(cuDriverGetVersion, int, (int *))                                                           \
    X(cuGetErrorName, int, (int, const char **))                                                  \
    X(cuDeviceGetCount, int, (int *))                                                             \
    X(cuDeviceGet, int, (int *, int))                                                             \
    X(cuDeviceGetName, int, (char *, int, int))                                                   \
    X(cuDeviceTotalMem_v2, int, (size_t *, int))                                                  \
    X(cuDeviceGetAttribute, int, (int *, int, int))                                               \
    X(cuDevicePrimaryCtxRetain, int, (spki_cuda_handle *, int))                                   \
    X(cuDevicePrimaryCtxRelease_v2, int, (int))                                                   \
    X(cuCtxPushCurrent_v2, int, (spki_cuda_handle))                                               \
    X(cuCtxPopCurrent_v2, int, (spki_cuda_handle *))                                              \
    X(cuCtxGetDevice, int, (int *))                                                               \
    X(cuStreamCreate, int, (spki_cuda_handle *, uint32_t))                                        \
    X(cuStreamDestroy_v2, int, (spki_cuda_handle))                                                \
    X(cuStreamSynchronize, int, (spki_cuda_handle))                                               \
    X(cuStreamWaitEvent, int, (spki_cuda_handle, spki_cuda_handle, uint32_t))                     \
    X(cuEventCreate, int, (spki_cuda_handle *, uint32_t))                                         \
    X(cuEventDestroy_v2, int, (spki_cuda_handle))                                                 \
    X(cuEventRecord, int, (spki_cuda_handle, spki_cuda_handle))                                   \
    X(cuEventQuery, int, (spki_cuda_handle))                                                      \
    X(cuEventSynchronize, int, (spki_cuda_handle))                                                \
    X(cuMemPoolCreate, int, (spki_cuda_handle *, const spki_cuda_pool_desc *))                    \
    X(cuMemPoolDestroy, int, (spki_cuda_handle))                                                  \
    X(cuMemPoolSetAttribute, int, (spki_cuda_handle, int, void *))                                \
    X(cuMemAllocFromPoolAsync, int,                                                               \
      (spki_cuda_ptr *, size_t, spki_cuda_handle, spki_cuda_handle))                              \
    X(cuMemFreeAsync, int, (spki_cuda_ptr, spki_cuda_handle))                                     \
    X(cuMemAlloc_v2, int, (spki_cuda_ptr *, size_t))                                              \
    X(cuMemFree_v2, int, (spki_cuda_ptr))                                                         \
    X(cuMemHostAlloc, int, (void **, size_t, uint32_t))                                           \
    X(cuMemFreeHost, int, (void *))                                                               \
    X(cuMemcpyHtoDAsync_v2, int, (spki_cuda_ptr, const void *, size_t, spki_cuda_handle))         \
    X(cuMemcpyDtoHAsync_v2, int, (void *, spki_cuda_ptr, size_t, spki_cuda_handle))               \
    X(cuMemcpyPeerAsync, int,                                                                     \
      (spki_cuda_ptr, spki_cuda_handle, spki_cuda_ptr, spki_cuda_handle, size_t,                  \
       spki_cuda_handle))                                                                         \
    X(cuMemsetD8Async, int, (spki_cuda_ptr, unsigned char, size_t, spki_cuda_handle))             \
    X(cuModuleLoadData, int, (spki_cuda_handle *, const void *))                                  \
    X(cuModuleUnload, int, (spki_cuda_handle))                                                    \
    X(cuModuleGetFunction, int, (spki_cuda_handle *, spki_cuda_handle, const char *))             \
    X(cuFuncSetAttribute, int, (spki_cuda_handle, int, int))                                      \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor, int, (int *, spki_cuda_handle, int, size_t))   \
    X(cuLaunchKernel, int,                                                                        \
      (spki_cuda_handle, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,    \
       spki_cuda_handle, void **, void **))                                                       \
    X(cuLaunchCooperativeKernel, int,                                                             \
      (spki_cuda_handle, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,    \
       spki_cuda_handle, void **))
/* For >>cuda-graph alone: CUDA 11.4. */
#define SPKI_CUDA_GRAPH_FUNCTIONS(X)                                                              \
    X(cuStreamBeginCapture_v2, int, (spki_cuda_handle, int))                                      \
    X(cuStreamEndCapture, int, (spki_cuda_handle, spki_cuda_handle *))                            \
    X(cuGraphInstantiateWithFlags, int,                                                           \
      (spki_cuda_handle *, spki_cuda_handle, unsigned long long))                                 \
    X(cuGraphDestroy, int, (spki_cuda_handle))                                                    \
    X(cuGraphLaunch, int, (spki_cuda_handle, spki_cuda_handle))                                   \
    X(cuGraphExecDestroy, int, (spki_cuda_handle))
#define SPKI_NVRTC_FUNCTIONS(X)                                                                   \
    X(nvrtcVersion, int, (int *, int *))                                                          \
    X(nvrtcGetErrorString, const char *, (int))                                                   \
    X(nvrtcCreateProgram, int,                                                                    \
      (spki_cuda_handle *, const char *, const char *, int, const char *const *,                  \
       const char *const *))                                                                      \
    X(nvrtcDestroyProgram, int, (spki_cuda_handle *))                                             \
    X(nvrtcCompileProgram, int, (spki_cuda_handle, int, const char *const *))                     \
    X(nvrtcGetPTXSize, int, (spki_cuda_handle, size_t *))                                         \
    X(nvrtcGetPTX, int, (spki_cuda_handle, char *))                                               \
    X(nvrtcGetCUBINSize, int, (spki_cuda_handle, size_t *))                                       \
    X(nvrtcGetCUBIN, int, (spki_cuda_handle, char *))                                             \
    X(nvrtcGetProgramLogSize, int, (spki_cuda_handle, size_t *))                                  \
    X(nvrtcGetProgramLog, int, (spki_cuda_handle, char *))
#define SPKI_NCCL_FUNCTIONS(X)                                                                    \
    X(ncclCommInitAll, int, (spki_cuda_handle *, int, const int *))                               \
    X(ncclCommDestroy, int, (spki_cuda_handle))                                                   \
    X(ncclGroupStart, int, (void))                                                                \
    X(ncclGroupEnd, int, (void))                                                                  \
    X(ncclBroadcast, int,                                                                         \
      (const void *, void *, size_t, int, int, spki_cuda_handle, spki_cuda_handle))               \
    X(ncclGetErrorString, const char *, (int))

typedef struct spki_cuda_calls {
#define SPKI_CUDA_MEMBER(name, result, args) result(SPKI_CUDA_CALL *name) args;
    SPKI_CUDA_FUNCTIONS(SPKI_CUDA_MEMBER)
    SPKI_CUDA_GRAPH_FUNCTIONS(SPKI_CUDA_MEMBER)
    SPKI_NVRTC_FUNCTIONS(SPKI_CUDA_MEMBER)
    SPKI_NCCL_FUNCTIONS(SPKI_CUDA_MEMBER)
#undef SPKI_CUDA_MEMBER
    bool has_nvrtc, has_nccl;
} spki_cuda_calls;

enum {
    SPKI_CUDA_OUT_OF_MEMORY = 2,
    SPKI_CUDA_NO_DEVICE = 100,
    SPKI_CUDA_NOT_READY = 600,
    SPKI_NVRTC_OUT_OF_MEMORY = 1,
    SPKI_NVRTC_INVALID_OPTION = 5,
    SPKI_NVRTC_COMPILATION = 6,
    SPKI_NCCL_UINT8 = 1,
    SPKI_CUDA_OLDEST = 11020, /* memory pools */
    SPKI_CUDA_UNITS = 16,     /* attributes of devices */
    SPKI_CUDA_COMPUTE_MODE = 20,
    SPKI_CUDA_MAJOR = 75,
    SPKI_CUDA_MINOR = 76,
    SPKI_CUDA_COOPERATIVE = 95,
    SPKI_CUDA_SHARED_MOST = 97,
    SPKI_CUDA_HAS_POOLS = 115,
    SPKI_CUDA_PROHIBITED = 2, /* a compute mode */
    SPKI_CUDA_POOL_KEEPS = 4, /* of a pool: bytes that it does not give back when idle */
    SPKI_CUDA_SHARED_BYTES = 8, /* of a function: dynamic shared memory it may have */
    SPKI_CUDA_NON_BLOCKING = 1, /* a stream that does not wait for the default one */
    SPKI_CUDA_NO_TIMING = 2,    /* an event */
    SPKI_CUDA_OF_THREAD = 1     /* capture: only what this thread does has to keep to its rules */
};

typedef struct spki_cuda_library {
    spki_cuda_calls calls;
} spki_cuda_library;

/* POSIX gives functions as object pointers. */
SPKI_FN bool spki_cuda_bind(void *member, void *symbol)
{
    memcpy(member, &symbol, sizeof symbol);
    return symbol != NULL;
}

SPKI_FN void *spki_cuda_find(void *handle, const char *name)
{
#if defined(_WIN32)
    FARPROC found = handle ? GetProcAddress((HMODULE)handle, name) : NULL;
    void *symbol;
    memcpy(&symbol, &found, sizeof symbol);
    return symbol;
#else
    return handle ? dlsym(handle, name) : NULL;
#endif
}

SPKI_FN void *spki_cuda_open_path(const char *path)
{
#if defined(_WIN32)
    return (void *)LoadLibraryA(path);
#else
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
#endif
}

/* The first of the names that can be opened, as it is or in the toolkit's folder. */
SPKI_FN void *spki_cuda_open_library(const char *const *name)
{
    static const char *const variable[] = {"CUDA_PATH", "CUDA_HOME"};
    static const char *const folder[] = {"lib64", "lib", "bin", "bin/x64"};
    void *handle = NULL;
    for (size_t k = 0; name[k] && !handle; k++) {
        handle = spki_cuda_open_path(name[k]);
    }
    for (size_t v = 0; v < 2 && !handle; v++) {
        const char *root = getenv(variable[v]);
        for (size_t k = 0; root && name[k] && !handle; k++) {
            for (size_t f = 0; f < 4 && !handle; f++) {
                char path[1024];
                const int n = snprintf(path, sizeof path, "%s/%s/%s", root, folder[f], name[k]);
                handle = n > 0 && (size_t)n < sizeof path ? spki_cuda_open_path(path) : NULL;
            }
        }
    }
    return handle;
}

#if defined(_WIN32)
static const char *const spki_cuda_driver_names[] = {"nvcuda.dll", NULL};
static const char *const spki_cuda_nvrtc_names[] = {"nvrtc64_130_0.dll", "nvrtc64_120_0.dll",
                                                    "nvrtc64_112_0.dll", NULL};
static const char *const spki_cuda_nccl_names[] = {"nccl.dll", NULL};
#else
static const char *const spki_cuda_driver_names[] = {"libcuda.so.1", "libcuda.so", NULL};
static const char *const spki_cuda_nvrtc_names[] = {"libnvrtc.so.13", "libnvrtc.so.12",
                                                    "libnvrtc.so.11.2", "libnvrtc.so", NULL};
static const char *const spki_cuda_nccl_names[] = {"libnccl.so.2", "libnccl.so", NULL};
#endif

/* A function of the driver. With nvcc the runtime that it links knows where they are. */
SPKI_FN void *spki_cuda_driver_symbol(const spk_cuda_desc *desc, void *handle, const char *name)
{
    if (desc->symbol) {
        return desc->symbol(desc->symbol_ctx, name);
    }
#if defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)
    char plain[64];
    void *found = NULL;
    cudaDriverEntryPointQueryResult how;
    const size_t n = strlen(name);
    const bool later = n > 3 && strcmp(name + n - 3, "_v2") == 0;
    (void)handle;
    snprintf(plain, sizeof plain, "%.*s", (int)(later ? n - 3 : n), name);
    return cudaGetDriverEntryPointByVersion(plain, &found, 12000, cudaEnableDefault, &how) ==
                       cudaSuccess &&
                   how == cudaDriverEntryPointSuccess
               ? found
               : NULL;
#else
    return spki_cuda_find(handle, name);
#endif
}

SPKI_FN bool spki_cuda_load_driver(const spk_cuda_desc *desc, spki_cuda_calls *calls, char *why,
                                   size_t why_size)
{
    void *handle = NULL;
    const char *missing = NULL;
#if !defined(__CUDACC__) || defined(SPIKELIB_CUDA_NVRTC)
    if (!desc->symbol && !(handle = spki_cuda_open_library(spki_cuda_driver_names))) {
        (void)spki_because(SPK_ERR_DEVICE, why, why_size,
                           "cuda: there is no driver (libcuda.so.1, nvcuda.dll)");
        return false;
    }
#endif
#define SPKI_CUDA_BIND(name, result, args)                                                        \
    if (!spki_cuda_bind((void *)&calls->name, spki_cuda_driver_symbol(desc, handle, #name))) {    \
        missing = missing ? missing : #name;                                                      \
    }
    SPKI_CUDA_FUNCTIONS(SPKI_CUDA_BIND)
    if (!missing && desc->style == SPK_CUDA_GRAPH) {
        SPKI_CUDA_GRAPH_FUNCTIONS(SPKI_CUDA_BIND)
        if (missing) {
            (void)spki_because(SPK_ERR_DEVICE, why, why_size,
                               "cuda: the driver has no %s (SPK_CUDA_GRAPH needs CUDA 11.4 or "
                               "later)", missing);
            return false;
        }
    }
#undef SPKI_CUDA_BIND
    if (missing && strcmp(missing, "cuInit") == 0) {
        (void)spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: there is no driver");
    } else if (missing) {
        (void)spki_because(SPK_ERR_DEVICE, why, why_size,
                           "cuda: the driver has no %s (CUDA 11.2 or later is needed)", missing);
    }
    return !missing;
}

/* The libraries stay loaded: drivers do not all survive being unloaded. NVRTC and NCCL may be
   absent. */
SPKI_FN spk_result spki_cuda_load(const spk_cuda_desc *desc, spki_cuda_library *library, char *why,
                                  size_t why_size)
{
    spki_cuda_calls *calls = &library->calls;
    int code, version = 0;
    memset(library, 0, sizeof *library);
    if (!spki_cuda_load_driver(desc, calls, why, why_size)) {
        return SPK_ERR_DEVICE;
    }
    code = calls->cuInit(0);
    if (code == 0) {
        code = calls->cuDriverGetVersion(&version);
    }
    if (code != 0) {
        return code == SPKI_CUDA_NO_DEVICE
                   ? spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: there are no devices")
                   : spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: cuInit returned %d", code);
    }
    if (version < SPKI_CUDA_OLDEST) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "cuda: the driver is one of CUDA %d.%d; 11.2 or later is needed",
                            version / 1000, version % 1000 / 10);
    }
    return SPK_OK;
}

#define SPKI_CUDA_TAKE(name, result, args)                                                        \
    ok = spki_cuda_bind((void *)&calls->name,                                                     \
                        desc->symbol ? desc->symbol(desc->symbol_ctx, #name)                      \
                                     : spki_cuda_find(handle, #name)) && ok;
/* NVRTC, when there is something to compile. */
SPKI_FN bool spki_cuda_load_nvrtc(const spk_cuda_desc *desc, spki_cuda_calls *calls)
{
    if (!calls->has_nvrtc) {
        void *handle = desc->symbol ? NULL : spki_cuda_open_library(spki_cuda_nvrtc_names);
        bool ok = true;
        SPKI_NVRTC_FUNCTIONS(SPKI_CUDA_TAKE)
        calls->has_nvrtc = ok;
    }
    return calls->has_nvrtc;
}

/* NCCL, when there are several devices. */
SPKI_FN bool spki_cuda_load_nccl(const spk_cuda_desc *desc, spki_cuda_calls *calls)
{
    if (!calls->has_nccl) {
        void *handle = desc->symbol ? NULL : spki_cuda_open_library(spki_cuda_nccl_names);
        bool ok = true;
        SPKI_NCCL_FUNCTIONS(SPKI_CUDA_TAKE)
        calls->has_nccl = ok;
    }
    return calls->has_nccl;
}
#undef SPKI_CUDA_TAKE

/* ---- >>cuda-choose: which devices there are, and which of them to take ---- */

SPKI_FN int spki_cuda_attribute(const spki_cuda_calls *cu, int device, int what)
{
    int x = 0;
    return cu->cuDeviceGetAttribute(&x, what, device) == 0 ? x : 0;
}

SPKI_FN void spki_cuda_refuse(spk_cuda_device *d, const char *why)
{
    d->usable = false;
    snprintf(d->why, sizeof d->why, "%s", why);
}

SPKI_FN void spki_cuda_describe(const spki_cuda_calls *cu, uint32_t index, spk_cuda_device *d)
{
    int device = 0, version = 0;
    size_t memory = 0;
    memset(d, 0, sizeof *d);
    d->index = index;
    d->usable = true;
    if (cu->cuDeviceGet(&device, (int)index) != 0 ||
        cu->cuDeviceGetName(d->name, (int)sizeof d->name - 1, device) != 0 ||
        cu->cuDeviceTotalMem_v2(&memory, device) != 0) {
        spki_cuda_refuse(d, "the driver cannot describe it");
        return;
    }
    (void)cu->cuDriverGetVersion(&version);
    d->driver = (uint32_t)version;
    d->memory_bytes = memory;
    d->units = (uint32_t)spki_cuda_attribute(cu, device, SPKI_CUDA_UNITS);
    d->major = (uint32_t)spki_cuda_attribute(cu, device, SPKI_CUDA_MAJOR);
    d->minor = (uint32_t)spki_cuda_attribute(cu, device, SPKI_CUDA_MINOR);
    d->shared_bytes = (uint64_t)spki_cuda_attribute(cu, device, SPKI_CUDA_SHARED_MOST);
    if (d->major < 7) {
        spki_cuda_refuse(d, "its compute capability is below 7.0");
    } else if (spki_cuda_attribute(cu, device, SPKI_CUDA_COMPUTE_MODE) == SPKI_CUDA_PROHIBITED) {
        spki_cuda_refuse(d, "its compute mode prohibits work");
    } else if (sizeof(void *) < 8) {
        spki_cuda_refuse(d, "this program is one of 32 bits");
    }
}

SPKI_FN spk_result spki_cuda_count(const spki_cuda_calls *cu, uint32_t *count, char *why,
                                   size_t why_size)
{
    int n = 0;
    const int code = cu->cuDeviceGetCount(&n);
    *count = code == 0 && n > 0 ? (uint32_t)n : 0;
    if (code) {
        return spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: cuDeviceGetCount returned %d",
                            code);
    }
    return *count ? SPK_OK
                  : spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: there are no devices");
}

SPIKELIB_API size_t spk_cuda_devices(const spk_cuda_desc *desc, spk_cuda_device *devices,
                                     size_t capacity, char *why, size_t why_size)
{
    spk_cuda_desc none;
    spki_cuda_library library;
    uint32_t count = 0;
    memset(&none, 0, sizeof none);
    if (why && why_size) {
        why[0] = 0;
    }
    if (spki_cuda_load(desc ? desc : &none, &library, why, why_size) != SPK_OK ||
        spki_cuda_count(&library.calls, &count, why, why_size) != SPK_OK) {
        return 0;
    }
    for (uint32_t k = 0; devices && k < count && k < capacity; k++) {
        spki_cuda_describe(&library.calls, k, &devices[k]);
    }
    return count;
}

/* -- choosing -- */

SPKI_FN double spki_cuda_score(const spk_cuda_desc *desc, const spk_cuda_device *d)
{
    if (desc->score) {
        return desc->score(desc->score_ctx, d);
    }
    return (double)d->units * (double)d->memory_bytes;
}

/* The best of all devices that may be taken. */
SPKI_FN spk_result spki_cuda_best(const spki_cuda_calls *cu, const spk_cuda_desc *desc,
                                  uint32_t count, spk_cuda_device *found, char *why,
                                  size_t why_size)
{
    char seen[300] = "";
    double best = -1.0;
    for (uint32_t k = 0; k < count; k++) {
        spk_cuda_device d;
        spki_cuda_describe(cu, k, &d);
        spki_gpu_seen(seen, sizeof seen, d.name, d.usable, d.why);
        if (!d.usable || (desc->device && !spki_gpu_has(d.name, desc->device))) {
            continue;
        }
        const double score = spki_cuda_score(desc, &d);
        if (score >= 0.0 && score > best) {
            best = score;
            *found = d;
        }
    }
    return best >= 0.0
               ? SPK_OK
               : spki_because(SPK_ERR_DEVICE, why, why_size,
                              "cuda: no usable device%s%s%s; there are %s",
                              desc->device ? " named \"" : "", desc->device ? desc->device : "",
                              desc->device ? "\"" : "", seen);
}

/* The device of the caller's context. */
SPKI_FN spk_result spki_cuda_of_context(const spki_cuda_calls *cu, const spk_cuda_desc *desc,
                                        uint32_t count, spk_cuda_device *found, char *why,
                                        size_t why_size)
{
    spki_cuda_handle context = (spki_cuda_handle)desc->context, before;
    int device = 0, handle = 0;
    int code = cu->cuCtxPushCurrent_v2(context);
    if (code == 0) {
        code = cu->cuCtxGetDevice(&device);
        (void)cu->cuCtxPopCurrent_v2(&before);
    }
    for (uint32_t k = 0; code == 0 && k < count; k++) {
        if (cu->cuDeviceGet(&handle, (int)k) == 0 && handle == device) {
            spki_cuda_describe(cu, k, found);
            return SPK_OK;
        }
    }
    return spki_because(SPK_ERR_DEVICE, why, why_size,
                        "cuda: the context is none of a device's (%d)", code);
}

/* The device that the descriptor asks for: number k of its indices, or its context's, or the
   best. */
SPKI_FN spk_result spki_cuda_choose(const spki_cuda_calls *cu, const spk_cuda_desc *desc, size_t k,
                                    spk_cuda_device *found, char *why, size_t why_size)
{
    uint32_t count = 0;
    spk_result result = spki_cuda_count(cu, &count, why, why_size);
    if (result != SPK_OK) {
        return result;
    }
    if (desc->context) {
        result = spki_cuda_of_context(cu, desc, count, found, why, why_size);
    } else if (!desc->index_count) {
        result = spki_cuda_best(cu, desc, count, found, why, why_size);
    } else if (desc->indices[k] >= count) {
        return spki_because(SPK_ERR_DEVICE, why, why_size,
                            "cuda: there is no device number %u; there are %u", desc->indices[k],
                            count);
    } else {
        spki_cuda_describe(cu, desc->indices[k], found);
    }
    if (result == SPK_OK && !found->usable) {
        return spki_because(SPK_ERR_DEVICE, why, why_size, "cuda: \"%s\" cannot be used: %s",
                            found->name, found->why);
    }
    return result;
}

/* ---- >>cuda-device: what >>gpu wants of a device, done by the CUDA driver ---- */

#define SPKI_CUDA_TICKETS 8u

/* Something on its way to the host: it arrives in memory that the driver has pinned. */
typedef struct spki_cuda_ticket {
    spki_cuda_handle ready, done; /* events */
    void *pinned, *to;
    size_t room, bytes;
    bool busy;
} spki_cuda_ticket;

typedef struct spki_cuda_device {
    spki_cuda_calls *cu;
    const spk_cuda_desc *desc;
    int device;
    uint32_t major, minor;
    spki_cuda_handle context, stream, copies, pool, clock; /* clock: an event */
    spki_cuda_handle recorder; /* the stream of >>cuda-graph */
    bool recording;            /* launches go there */
    bool own_context, own_stream, own_copies, pools, cooperative;
    uint64_t shared_bytes;
    spki_cuda_ticket ticket[SPKI_CUDA_TICKETS];
    spki_cuda_handle comm; /* of NCCL */
    char identity[256];    /* of device and driver, for the cache */
    char lacks[400];       /* why nothing that nvcc compiled serves the network */
    char cache[SPKI_GPU_PATH];
} spki_cuda_device;

typedef struct spki_cuda_program {
    spki_cuda_handle module, function[SPKI_GPU_MORE_ENTRIES];
    const struct spki_cuda_holding *held; /* compiled by nvcc: there is no module */
    uint64_t shared[SPKI_GPU_MORE_ENTRIES]; /* what each has been allowed */
} spki_cuda_program;

SPKI_FN spki_cuda_device *spki_cuda_of(const spki_gpu *gpu)
{
    return (spki_cuda_device *)gpu->handle;
}

SPKI_FN const char *spki_cuda_code(const spki_cuda_calls *cu, int code)
{
    const char *name = NULL;
    return cu->cuGetErrorName(code, &name) == 0 && name ? name : "an error";
}

/* A code as our result, with a sentence. */
SPKI_FN spk_result spki_cuda_check(spki_gpu *gpu, const char *call, int code)
{
    if (code == 0) {
        return SPK_OK;
    }
    snprintf(gpu->why, sizeof gpu->why, "%s returned %s (%d)", call,
             spki_cuda_code(spki_cuda_of(gpu)->cu, code), code);
    return code == SPKI_CUDA_OUT_OF_MEMORY ? SPK_ERR_OUT_OF_MEMORY : SPK_ERR_DEVICE;
}

/* Everything happens in the device's context; the thread's own is there again afterwards. */
SPKI_FN spk_result spki_cuda_begin(spki_gpu *gpu)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    return spki_cuda_check(gpu, "cuCtxPushCurrent", d->cu->cuCtxPushCurrent_v2(d->context));
}

SPKI_FN spk_result spki_cuda_end(spki_gpu *gpu, const char *call, int code)
{
    spki_cuda_handle context;
    (void)spki_cuda_of(gpu)->cu->cuCtxPopCurrent_v2(&context);
    return spki_cuda_check(gpu, call, code);
}

SPKI_FN spki_cuda_ptr spki_cuda_at(spki_gpu_mem mem, uint64_t at)
{
    return (spki_cuda_ptr)(uintptr_t)mem + at;
}

/* Waits for all work up to here, no longer than the limit. In the context. */
SPKI_FN spk_result spki_cuda_settle(spki_gpu *gpu, spki_cuda_handle event)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const double start = spk_clock_seconds();
    const double limit = gpu->patient ? 0.0 : d->desc->time_limit_s;
    int code = d->cu->cuEventQuery(event);
    if (code != SPKI_CUDA_NOT_READY || limit <= 0.0) {
        code = code == SPKI_CUDA_NOT_READY ? d->cu->cuEventSynchronize(event) : code;
        return spki_cuda_check(gpu, "a command", code);
    }
    while (code == SPKI_CUDA_NOT_READY) {
        if (spk_clock_seconds() - start > limit) {
            snprintf(gpu->why, sizeof gpu->why, "a batch of steps took longer than %g s", limit);
            return SPK_ERR_TIMEOUT;
        }
        code = d->cu->cuEventQuery(event);
    }
    return spki_cuda_check(gpu, "a command", code);
}

/* The same for the stream of the kernels. */
SPKI_FN spk_result spki_cuda_catch_up(spki_gpu *gpu)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (gpu->patient || d->desc->time_limit_s <= 0.0) {
        return spki_cuda_check(gpu, "cuStreamSynchronize", d->cu->cuStreamSynchronize(d->stream));
    }
    const spk_result result =
        spki_cuda_check(gpu, "cuEventRecord", d->cu->cuEventRecord(d->clock, d->stream));
    return result == SPK_OK ? spki_cuda_settle(gpu, d->clock) : result;
}

/* -- memory: a pool of the network's own, in order with its work -- */

SPKI_FN spk_result spki_cuda_alloc(spki_gpu *gpu, uint64_t bytes, spki_gpu_mem *mem)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_ptr made = 0;
    *mem = NULL;
    spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    if (d->pools) {
        result = spki_cuda_end(gpu, "cuMemAllocFromPoolAsync",
                               d->cu->cuMemAllocFromPoolAsync(&made, (size_t)bytes, d->pool,
                                                              d->stream));
    } else {
        result = spki_cuda_end(gpu, "cuMemAlloc", d->cu->cuMemAlloc_v2(&made, (size_t)bytes));
    }
    *mem = result == SPK_OK ? (spki_gpu_mem)(uintptr_t)made : NULL;
    return result;
}

SPKI_FN void spki_cuda_free(spki_gpu *gpu, spki_gpu_mem mem)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuMemFree",
                            d->pools ? d->cu->cuMemFreeAsync(spki_cuda_at(mem, 0), d->stream)
                                     : d->cu->cuMemFree_v2(spki_cuda_at(mem, 0)));
    }
}

/* Waits, because the driver may read pageable memory later than it says where the device can. */
SPKI_FN spk_result spki_cuda_write(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, const void *data,
                                   size_t bytes)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spk_result result = bytes ? spki_cuda_begin(gpu) : SPK_OK;
    if (result != SPK_OK || !bytes) {
        return result;
    }
    int code = d->cu->cuMemcpyHtoDAsync_v2(spki_cuda_at(mem, at), data, bytes, d->stream);
    result = spki_cuda_check(gpu, "cuMemcpyHtoDAsync", code);
    if (result == SPK_OK) {
        result = spki_cuda_catch_up(gpu);
    }
    (void)spki_cuda_end(gpu, "", 0);
    return result;
}

SPKI_FN spk_result spki_cuda_zero(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, uint64_t bytes)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spk_result result = bytes ? spki_cuda_begin(gpu) : SPK_OK;
    if (result != SPK_OK || !bytes) {
        return result;
    }
    return spki_cuda_end(gpu, "cuMemsetD8Async",
                         d->cu->cuMemsetD8Async(spki_cuda_at(mem, at), 0, (size_t)bytes,
                                                d->stream));
}

/* A ticket with room. In the context. */
SPKI_FN int spki_cuda_take(spki_cuda_device *d, size_t bytes, spki_cuda_ticket **out)
{
    spki_cuda_ticket *t = NULL;
    int code = 0;
    for (uint32_t k = 0; k < SPKI_CUDA_TICKETS && (!t || t->room < bytes); k++) {
        t = d->ticket[k].busy ? t : &d->ticket[k];
    }
    if (!t) {
        return SPKI_CUDA_OUT_OF_MEMORY;
    }
    if (t->room < bytes) {
        if (t->pinned) {
            (void)d->cu->cuMemFreeHost(t->pinned);
        }
        t->pinned = NULL;
        t->room = 0;
        code = d->cu->cuMemHostAlloc(&t->pinned, bytes + bytes / 2, 0);
        t->room = code ? 0 : bytes + bytes / 2;
        t->pinned = code ? NULL : t->pinned;
    }
    if (!code && !t->ready) {
        code = d->cu->cuEventCreate(&t->ready, SPKI_CUDA_NO_TIMING);
        t->ready = code ? NULL : t->ready;
    }
    if (!code && !t->done) {
        code = d->cu->cuEventCreate(&t->done, SPKI_CUDA_NO_TIMING);
        t->done = code ? NULL : t->done;
    }
    *out = t;
    return code;
}

/* With a ticket it goes through a stream of its own, beside the kernels of the next batch. */
SPKI_FN spk_result spki_cuda_read(spki_gpu *gpu, spki_gpu_mem mem, uint64_t at, void *data,
                                  size_t bytes, spki_gpu_ticket *ticket)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_ticket *t = NULL;
    spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    if (!ticket) {
        result = spki_cuda_check(gpu, "cuMemcpyDtoHAsync",
                                 d->cu->cuMemcpyDtoHAsync_v2(data, spki_cuda_at(mem, at), bytes,
                                                             d->stream));
        if (result == SPK_OK) {
            result = spki_cuda_catch_up(gpu);
        }
        (void)spki_cuda_end(gpu, "", 0);
        return result;
    }
    const char *call = "cuMemHostAlloc";
    int code = spki_cuda_take(d, bytes, &t);
    if (!code) {
        call = "cuEventRecord";
        code = d->cu->cuEventRecord(t->ready, d->stream);
    }
    if (!code) {
        call = "cuStreamWaitEvent";
        code = d->cu->cuStreamWaitEvent(d->copies, t->ready, 0);
    }
    if (!code) {
        call = "cuMemcpyDtoHAsync";
        code = d->cu->cuMemcpyDtoHAsync_v2(t->pinned, spki_cuda_at(mem, at), bytes, d->copies);
    }
    if (!code) {
        call = "cuEventRecord";
        code = d->cu->cuEventRecord(t->done, d->copies);
    }
    if (!code) {
        t->busy = true;
        t->to = data;
        t->bytes = bytes;
        *ticket = t;
    }
    return spki_cuda_end(gpu, call, code);
}

SPKI_FN spk_result spki_cuda_wait(spki_gpu *gpu, spki_gpu_ticket *ticket)
{
    spki_cuda_ticket *t = (spki_cuda_ticket *)*ticket;
    if (!t) {
        return SPK_OK;
    }
    spk_result result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_settle(gpu, t->done);
        (void)spki_cuda_end(gpu, "", 0);
    }
    if (result == SPK_OK) {
        memcpy(t->to, t->pinned, t->bytes);
    }
    t->busy = false;
    *ticket = NULL;
    return result;
}

/* -- work -- */

SPKI_FN uint32_t spki_cuda_params(const spki_gpu_arg *arg, uint32_t args, void **param)
{
    for (uint32_t k = 0; k < args; k++) {
        const void *at = arg[k].is_mem ? (const void *)&arg[k].mem : (const void *)&arg[k].value;
        param[k] = (void *)(uintptr_t)at;
    }
    return args;
}

#define SPKI_CUDA_PARAMS 40u

SPKI_FN spk_result spki_cuda_launch(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                    uint32_t groups, uint32_t items, const spki_gpu_arg *arg,
                                    uint32_t args)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_handle function = ((spki_cuda_program *)program)->function[entry];
    void *param[SPKI_CUDA_PARAMS];
    const spk_result result = groups ? spki_cuda_begin(gpu) : SPK_OK;
    if (result != SPK_OK || groups == 0) {
        return result;
    }
    (void)spki_cuda_params(arg, args, param);
    return spki_cuda_end(gpu, spki_gpu_entry_name(entry),
                         d->cu->cuLaunchKernel(function, groups, 1, 1, items, 1, 1, 0,
                                               d->recording ? d->recorder : d->stream, param,
                                               NULL));
}

/* Lets a function have so much shared memory. In the context. */
SPKI_FN int spki_cuda_allow(spki_gpu *gpu, spki_cuda_program *p, spki_gpu_entry entry,
                            uint64_t shared)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (shared <= p->shared[entry]) {
        return 0;
    }
    const int code =
        d->cu->cuFuncSetAttribute(p->function[entry], SPKI_CUDA_SHARED_BYTES, (int)shared);
    p->shared[entry] = code ? p->shared[entry] : shared;
    return code;
}

SPKI_FN spk_result spki_cuda_together(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                      uint32_t groups, uint64_t shared, const spki_gpu_arg *arg,
                                      uint32_t args)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_program *p = (spki_cuda_program *)program;
    void *param[SPKI_CUDA_PARAMS];
    const spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    (void)spki_cuda_params(arg, args, param);
    int code = spki_cuda_allow(gpu, p, entry, shared);
    if (!code) {
        code = d->cu->cuLaunchCooperativeKernel(p->function[entry], groups, 1, 1,
                                                SPKI_GPU_BATCH_ITEMS, 1, 1, (uint32_t)shared,
                                                d->stream, param);
    }
    return spki_cuda_end(gpu, spki_gpu_entry_name(entry), code);
}

SPKI_FN uint32_t spki_cuda_room(spki_gpu *gpu, void *program, spki_gpu_entry entry,
                                uint64_t shared)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_program *p = (spki_cuda_program *)program;
    const spk_cuda_style style = d->desc->style;
    const bool wanted = style == SPK_CUDA_AUTO ||
                        style == (entry == SPKI_GPU_BATCH_OWN ? SPK_CUDA_OWN : SPK_CUDA_ALL);
    int each = 0;
    /* some of the shared memory is the kernel's own */
    if (!d->cooperative || !wanted || shared + 8192 > d->shared_bytes ||
        spki_cuda_begin(gpu) != SPK_OK) {
        return 0;
    }
    int code = spki_cuda_allow(gpu, p, entry, shared);
    if (!code) {
        code = d->cu->cuOccupancyMaxActiveBlocksPerMultiprocessor(
            &each, p->function[entry], (int)SPKI_GPU_BATCH_ITEMS, (size_t)shared);
    }
    if (spki_cuda_end(gpu, "cuOccupancyMaxActiveBlocksPerMultiprocessor", code) != SPK_OK ||
        each < 1) {
        return 0;
    }
    /* all targets: what meets often should be few */
    return entry == SPKI_GPU_BATCH_OWN ? gpu->units * (uint32_t)each : gpu->units;
}

/* Between devices: NCCL, or copies from one to each other. */
SPKI_FN spk_result spki_cuda_share(spki_gpu *const *gpu, uint32_t gpus, uint32_t from,
                                   spki_gpu_mem source, uint64_t source_at,
                                   const spki_gpu_mem *to, uint64_t at, uint64_t bytes)
{
    const spki_cuda_device *src = spki_cuda_of(gpu[from]);
    const spki_cuda_calls *cu = src->cu;
    spk_result result = SPK_OK;
    if (src->comm) {
        int code = cu->ncclGroupStart();
        for (uint32_t k = 0; k < gpus && code == 0; k++) {
            const spki_cuda_device *d = spki_cuda_of(gpu[k]);
            code = cu->ncclBroadcast((const void *)(uintptr_t)spki_cuda_at(source, source_at),
                                     (void *)(uintptr_t)spki_cuda_at(to[k], at), (size_t)bytes,
                                     SPKI_NCCL_UINT8, (int)from, d->comm, d->stream);
        }
        const int ended = cu->ncclGroupEnd();
        code = code ? code : ended;
        if (code) {
            snprintf(gpu[from]->why, sizeof gpu[from]->why, "ncclBroadcast: %s",
                     cu->ncclGetErrorString(code));
            return SPK_ERR_DEVICE;
        }
        return SPK_OK;
    }
    for (uint32_t k = 0; k < gpus && result == SPK_OK; k++) {
        const spki_cuda_device *d = spki_cuda_of(gpu[k]);
        result = spki_cuda_begin(gpu[k]);
        if (result == SPK_OK) {
            result = spki_cuda_end(gpu[k], "cuMemcpyPeerAsync",
                                   cu->cuMemcpyPeerAsync(spki_cuda_at(to[k], at), d->context,
                                                         spki_cuda_at(source, source_at),
                                                         src->context, (size_t)bytes, d->stream));
        }
    }
    return result;
}

/* Kernels begin by themselves. */
SPKI_FN spk_result spki_cuda_flush(spki_gpu *gpu)
{
    (void)gpu;
    return SPK_OK;
}

SPKI_FN spk_result spki_cuda_finish(spki_gpu *gpu)
{
    spk_result result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_catch_up(gpu);
        (void)spki_cuda_end(gpu, "", 0);
    }
    return result;
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>cuda-graph: launches captured as a graph and replayed ----
   What >>gpu-replay wants of a device. A stream of our own is captured, which may be done whatever
   the caller's is used for; the graph is launched where kernels go else. */

SPKI_FN spk_result spki_cuda_record(spki_gpu *gpu)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spk_result result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_end(gpu, "cuStreamBeginCapture",
                               d->cu->cuStreamBeginCapture_v2(d->recorder, SPKI_CUDA_OF_THREAD));
    }
    d->recording = result == SPK_OK;
    return result;
}

/* The stream is no longer captured, whatever this returns. */
SPKI_FN spk_result spki_cuda_recorded(spki_gpu *gpu, void **recording)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_handle graph = NULL, made = NULL;
    const char *call = "cuStreamEndCapture";
    const spk_result result = spki_cuda_begin(gpu);
    d->recording = false;
    *recording = NULL;
    if (result != SPK_OK) {
        return result;
    }
    int code = d->cu->cuStreamEndCapture(d->recorder, &graph);
    if (!code) {
        call = "cuGraphInstantiate";
        code = d->cu->cuGraphInstantiateWithFlags(&made, graph, 0);
        *recording = code ? NULL : made;
    }
    if (graph) { /* what has been made of it does not need it */
        (void)d->cu->cuGraphDestroy(graph);
    }
    return spki_cuda_end(gpu, call, code);
}

SPKI_FN spk_result spki_cuda_replay(spki_gpu *gpu, void *recording)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spk_result result = spki_cuda_begin(gpu);
    return result == SPK_OK
               ? spki_cuda_end(gpu, "cuGraphLaunch",
                               d->cu->cuGraphLaunch((spki_cuda_handle)recording, d->stream))
               : result;
}

/* One that is still running ends first. */
SPKI_FN void spki_cuda_forget(spki_gpu *gpu, void *recording)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    if (spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuGraphExecDestroy",
                            d->cu->cuGraphExecDestroy((spki_cuda_handle)recording));
    }
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif

/* ---- >>cuda-compile: programs, from text by NVRTC ---- */

static const char *const spki_cuda_prelude[] = {
"#if defined(SPKI_CODE)\n",
"#elif defined(__CUDACC_RTC__)\n",
"typedef int int32_t;\n",
"typedef unsigned int uint32_t;\n",
"typedef long long int64_t;\n",
"typedef unsigned long long uint64_t;\n",
"typedef unsigned short uint16_t;\n",
"#else\n",
"#include <stdint.h>\n",
"#endif\n",
"#if defined(__CUDACC__) && !defined(SPKI_CODE)\n",
"#pragma nv_diag_suppress 177\n",
"#pragma nv_diag_suppress 550\n",
"#endif\n",
"#if defined(SPKI_CODE)\n",
"#define SPKI_ENTRY_KIND template <class spki_set> __global__ void\n",
"#else\n",
"#define SPKI_ENTRY_KIND extern \"C\" __global__ void\n",
"#endif\n",
"#define SPKI_ENTRY(name) SPKI_ENTRY_KIND name\n",
"#define SPKI_ENTRY_OF(items, name) SPKI_ENTRY_KIND __launch_bounds__(items) name\n",
"#if !defined(SPKI_CUDA_ON_CPU)\n",
"#define SPKI_SHARED_REST(type, name) \\\n",
"    extern __shared__ uint64_t spki_shared[]; \\\n",
"    type *const name = (type *)spki_shared\n",
"#else\n",
"#define SPKI_SHARED_REST(type, name) type *const name = (type *)::spki_shared\n",
"#endif\n",
"#define SPKI_GLOBAL\n",
"#define SPKI_LOCAL\n",
"#define SPKI_SHARED __shared__\n",
"#define SPKI_DEVICE static __device__ inline\n",
"#define SPKI_GROUP_ID() spki_group_id()\n",
"#define SPKI_GROUPS() spki_group_count()\n",
"#define SPKI_ITEM() spki_item()\n",
"#define SPKI_ITEMS() spki_item_count()\n",
"#define SPKI_MEET() __syncthreads()\n",
"#define SPKI_GLOBAL_OR(p, x) atomicOr(p, x)\n",
"#define SPKI_ADD32(p, x) atomicAdd(p, x)\n",
"#define SPKI_MIN32(p, x) (void)atomicMin(p, x)\n",
"#define SPKI_MAX32(p, x) (void)atomicMax(p, x)\n",
"#if SPKI_WIDE\n",
"#define SPKI_GLOBAL_ADD(p, x) \\\n",
"    atomicAdd((unsigned long long *)(p), (unsigned long long)(int64_t)(x))\n",
"#else\n",
"#define SPKI_GLOBAL_ADD(p, x) atomicAdd((int *)(p), (int)(x))\n",
"#endif\n",
"#define SPKI_REPLAYED 1\n",
"#define SPKI_POPCOUNT(x) ((uint32_t)__popcll(x))\n",
"#define SPKI_LOWEST(x) ((uint32_t)__ffsll((long long)(x)) - 1u)\n",
"SPKI_DEVICE uint32_t spki_group_id(void)\n",
"{\n",
"    return blockIdx.x;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_group_count(void)\n",
"{\n",
"    return gridDim.x;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_item(void)\n",
"{\n",
"    return threadIdx.x;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_item_count(void)\n",
"{\n",
"    return blockDim.x;\n",
"}\n",
"SPKI_DEVICE uint32_t spki_vote(int yes)\n",
"{\n",
"    const uint32_t half = threadIdx.x & 16u;\n",
"    return (__ballot_sync(0xffffu << half, yes) >> half) & 0xffffu;\n",
"}\n",
"#define SPKI_VOTE(c) spki_vote((c) ? 1 : 0)\n",
"#define SPKI_FROM_BEFORE(x, d) __shfl_up_sync(0xffffffffu, x, d)\n",
"#define SPKI_CAT_(a, b) a##b\n",
"#define SPKI_CAT(a, b) SPKI_CAT_(a, b)\n",
"#define SPKI_CAT3_(a, b, c) a##b##c\n",
"#define SPKI_CAT3(a, b, c) SPKI_CAT3_(a, b, c)\n",
"#define SPKI_NIL(type) ((type)(0))\n",
"typedef uint32_t spki_words;\n",
"typedef int32_t spki_ints;\n",
"#if defined(SPKI_CODE)\n",
"#elif SPKI_IS_DOUBLE\n",
"typedef double spki_d1;\n",
"typedef int64_t spki_id1;\n",
"typedef int spki_md1;\n",
"#define SPKI_ROOT(x) __dsqrt_rn(x)\n",
"#define SPKI_AS_INT(x) ((int64_t)__double_as_longlong(x))\n",
"#define SPKI_AS_REAL(x) __longlong_as_double((long long)(x))\n",
"#else\n",
"typedef float spki_f1;\n",
"typedef int32_t spki_if1;\n",
"typedef int spki_mf1;\n",
"#define SPKI_ROOT(x) __fsqrt_rn(x)\n",
"#define SPKI_AS_INT(x) ((int32_t)__float_as_int(x))\n",
"#define SPKI_AS_REAL(x) __int_as_float(x)\n",
"#endif\n",
"#define SPKI_TO_REAL(x) ((real)(x))\n",
"#define SPKI_ALIGNED(type, p) (*(p))\n",
"#define SPKI_VLOAD(p, at) ((p)[at])\n",
"#define SPKI_VSTORE(x, p, at) ((p)[at] = (x))\n",
"#define SPKI_COUNT(mask) (mask)\n",
"#define SPKI_ANY(mask) ((mask) ? 1 : 0)\n",
"SPKI_DEVICE spki_words spki_multiply(spki_words a, uint32_t m, spki_words *low)\n",
"{\n",
"    *low = a * m;\n",
"    return __umulhi(a, m);\n",
"}\n",
"SPKI_DEVICE void spki_meet_grid(uint32_t *meet)\n",
"{\n",
"    __syncthreads();\n",
"    if (threadIdx.x == 0) {\n",
"        __threadfence();\n",
"        const uint32_t before = atomicAdd(meet, 1u);\n",
"        const uint32_t all = (before / gridDim.x + 1u) * gridDim.x;\n",
"        while (*(volatile uint32_t *)meet < all) {\n",
"            __nanosleep(16);\n",
"        }\n",
"        __threadfence();\n",
"    }\n",
"    __syncthreads();\n",
"}\n",
0
};

/* What CUDA C++ reserves and C does not, but for the names of operators, which no macro may
   have. */
static const char *const spki_cuda_keywords[] = {
    "alignas",   "alignof",   "asm",       "catch",    "class",        "constexpr", "decltype",
    "delete",    "explicit",  "export",    "friend",   "mutable",      "namespace", "new",
    "noexcept",  "nullptr",   "operator",  "private",  "protected",    "public",    "template",
    "this",      "throw",     "try",       "typeid",   "typename",     "using",     "virtual",
    "threadIdx", "blockIdx",  "blockDim",  "gridDim",  "warpSize",     NULL};

/* Two roundings for a * b + c, division and roots correctly rounded, no flush to zero. */
#define SPKI_CUDA_EXACT "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"

SPKI_FN void spki_cuda_release(spki_gpu *gpu, void *program)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_program *p = (spki_cuda_program *)program;
    if (p->module && spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuModuleUnload", d->cu->cuModuleUnload(p->module));
    }
    spki_free(gpu->mem, p, 1, sizeof *p);
}

SPKI_FN spk_result spki_cuda_nvrtc_check(spki_gpu *gpu, const char *call, int code)
{
    if (code == 0) {
        return SPK_OK;
    }
    snprintf(gpu->why, sizeof gpu->why, "%s: %s (%d)", call,
             spki_cuda_of(gpu)->cu->nvrtcGetErrorString(code), code);
    return code == SPKI_NVRTC_COMPILATION      ? SPK_ERR_COMPILE
           : code == SPKI_NVRTC_OUT_OF_MEMORY ? SPK_ERR_OUT_OF_MEMORY
                                                : SPK_ERR_DEVICE;
}

SPKI_FN void spki_cuda_take_log(const spki_cuda_calls *cu, spki_cuda_handle made, spki_gpu *gpu,
                                char *log, size_t log_size)
{
    size_t size = 0;
    log[0] = 0;
    if (cu->nvrtcGetProgramLogSize(made, &size) != 0 || size == 0) {
        return;
    }
    char *all = (char *)spki_alloc(gpu->mem, size + 1, 1);
    if (all && cu->nvrtcGetProgramLog(made, all) == 0) {
        snprintf(log, log_size, "%s", all);
    }
    spki_free(gpu->mem, all, size + 1, 1);
}

/* Compiles for the device itself, or, where NVRTC is older than it, for what it can translate. */
SPKI_FN int spki_cuda_translate(const spki_cuda_device *d, spki_cuda_handle made, bool *binary)
{
    char arch[32];
    const char *option[] = {arch, SPKI_CUDA_EXACT, "--std=c++11", "-default-device"};
    const int options = (int)(sizeof option / sizeof option[0]);
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%u%u", d->major, d->minor);
    *binary = true;
    int code = d->cu->nvrtcCompileProgram(made, options, option);
    if (code == SPKI_NVRTC_INVALID_OPTION) {
        snprintf(arch, sizeof arch, "--gpu-architecture=compute_%s", d->major < 8 ? "70" : "80");
        *binary = false;
        code = d->cu->nvrtcCompileProgram(made, options, option);
    }
    return code;
}

/* The compiled program, of *size bytes, to be freed with spki_free. */
SPKI_FN spk_result spki_cuda_result_of(spki_gpu *gpu, spki_cuda_handle made, bool binary,
                                       char **image, size_t *size)
{
    const spki_cuda_calls *cu = spki_cuda_of(gpu)->cu;
    int code = binary ? cu->nvrtcGetCUBINSize(made, size) : cu->nvrtcGetPTXSize(made, size);
    spk_result result = spki_cuda_nvrtc_check(gpu, "nvrtcGetCUBINSize", code);
    if (result != SPK_OK) {
        return result;
    }
    *image = (char *)spki_alloc(gpu->mem, *size + 1, 1);
    if (!*image) {
        snprintf(gpu->why, sizeof gpu->why, "no memory for a program");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    code = binary ? cu->nvrtcGetCUBIN(made, *image) : cu->nvrtcGetPTX(made, *image);
    result = spki_cuda_nvrtc_check(gpu, "nvrtcGetCUBIN", code);
    if (result != SPK_OK) {
        spki_free(gpu->mem, *image, *size + 1, 1);
        *image = NULL;
    }
    return result;
}

SPKI_FN spk_result spki_cuda_from_source(spki_gpu *gpu, const char *text, char **image,
                                         size_t *size, char *log, size_t log_size)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_handle made = NULL;
    bool binary = true;
    if (!spki_cuda_load_nvrtc(d->desc, d->cu)) {
        snprintf(gpu->why, sizeof gpu->why,
                 "there is no NVRTC (libnvrtc) to compile the network's kernels with%.400s",
                 d->lacks);
        return SPK_ERR_DEVICE;
    }
    spk_result result = spki_cuda_nvrtc_check(
        gpu, "nvrtcCreateProgram",
        d->cu->nvrtcCreateProgram(&made, text, "spikelib.cu", 0, NULL, NULL));
    if (result != SPK_OK) {
        return result;
    }
    result = spki_cuda_nvrtc_check(gpu, "nvrtcCompileProgram",
                                   spki_cuda_translate(d, made, &binary));
    if (result == SPK_ERR_COMPILE) {
        spki_cuda_take_log(d->cu, made, gpu, log, log_size);
    }
    if (result == SPK_OK) {
        result = spki_cuda_result_of(gpu, made, binary, image, size);
    }
    (void)d->cu->nvrtcDestroyProgram(&made);
    return result;
}

SPKI_FN spk_result spki_cuda_load_image(spki_gpu *gpu, const char *image, int kind,
                                        spki_cuda_program *p)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    spk_result result = spki_cuda_begin(gpu);
    if (result != SPK_OK) {
        return result;
    }
    const char *call = "cuModuleLoadData";
    int code = d->cu->cuModuleLoadData(&p->module, image);
    p->module = code ? NULL : p->module;
    for (uint32_t k = 0; k < SPKI_GPU_MORE_ENTRIES && !code; k++) {
        if ((int)spki_gpu_entry_kind(k) == kind) {
            call = "cuModuleGetFunction";
            code = d->cu->cuModuleGetFunction(&p->function[k], p->module,
                                              spki_gpu_entry_name((spki_gpu_entry)k));
        }
    }
    return spki_cuda_end(gpu, call, code);
}

/* A program from the cache; false: it is to be compiled. */
SPKI_FN bool spki_cuda_recall(spki_gpu *gpu, const uint64_t key[2], int kind,
                              spki_cuda_program *p)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    size_t size = 0;
    unsigned char *image = spki_gpu_cache_read(gpu->mem, d->cache, key, &size);
    if (!image) {
        return false;
    }
    const bool loaded =
        image[size - 1] == 0 && spki_cuda_load_image(gpu, (char *)image, kind, p) == SPK_OK;
    spki_free(gpu->mem, image, size, 1);
    if (!loaded && p->module && spki_cuda_begin(gpu) == SPK_OK) {
        (void)spki_cuda_end(gpu, "cuModuleUnload", d->cu->cuModuleUnload(p->module));
    }
    if (!loaded) {
        memset(p, 0, sizeof *p);
    }
    return loaded;
}

SPKI_FN spk_result spki_cuda_compile(spki_gpu *gpu, const char *text, size_t size, int kind,
                                     void **out, char *log, size_t log_size)
{
    const spki_cuda_device *d = spki_cuda_of(gpu);
    char *image = NULL;
    size_t bytes = 0;
    uint64_t key[2];
    spki_cuda_program *p = (spki_cuda_program *)spki_alloc(gpu->mem, 1, sizeof *p);
    if (!p) {
        snprintf(gpu->why, sizeof gpu->why, "no memory for a program");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    for (uint32_t k = 0; k < 2; k++) {
        key[k] = spk_xxh64(text, size, k + spk_xxh64(d->identity, strlen(d->identity), k));
    }
    if (spki_cuda_recall(gpu, key, kind, p)) {
        *out = p;
        return SPK_OK;
    }
    spk_result result = spki_cuda_from_source(gpu, text, &image, &bytes, log, log_size);
    if (result == SPK_OK) {
        result = spki_cuda_load_image(gpu, image, kind, p);
        if (result == SPK_OK) { /* with the end of a PTX text */
            spki_gpu_cache_write(d->cache, key, (const unsigned char *)image, bytes + 1);
        }
        spki_free(gpu->mem, image, bytes + 1, 1);
    }
    if (result != SPK_OK) {
        spki_cuda_release(gpu, p);
        return result;
    }
    *out = p;
    return SPK_OK;
}

/* ---- >>cuda-held: programs that nvcc has compiled with the file ----
   SPIKELIB_CUDA_KERNELS(X) names them. Each is a set of templates in the namespace of its choice of
   bits (text/exact.cu and the texts behind it, which this header includes itself for); the runtime
   that nvcc links gives the driver's handles of their functions. */

#define SPKI_CUDA_MOST_MODELS 16u /* of one program */

typedef struct spki_cuda_holding {
    uint32_t state_bits, weight_bits, wide;
    uint32_t (*models)(spk_model *out); /* how many; `out` may be NULL */
    void (*entries)(const void **out);  /* by spki_gpu_entry: what the runtime knows them by */
} spki_cuda_holding;

#if (defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)) || defined(SPKI_CUDA_ON_CPU)
#define SPKI_CUDA_HOLDS 1
#else
#define SPKI_CUDA_HOLDS 0
#endif

#if SPKI_CUDA_HOLDS && defined(SPIKELIB_CUDA_KERNELS)
#if !defined(SPIKELIB_CUDA_HEADER)
#define SPIKELIB_CUDA_HEADER "spikelib_cuda.cuh"
#endif
#define SPKI_CODE spki_code_16_8
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_16
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_32
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 32
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_8_wide
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_16_16_wide
#define SPKI_CODE_STATES 16
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_8
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_16
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_32
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 32
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_8_wide
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_32_16_wide
#define SPKI_CODE_STATES 32
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_8
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_16
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 0
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_32
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 32
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_8_wide
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 8
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
#define SPKI_CODE spki_code_64_16_wide
#define SPKI_CODE_STATES 64
#define SPKI_CODE_WEIGHTS 16
#define SPKI_CODE_WIDE 1
#include SPIKELIB_CUDA_HEADER
/* The classes of the models that an X names. */
#define SPKI_EACH_1(a) spki_code_##a
#define SPKI_EACH_2(a, ...) spki_code_##a, SPKI_EACH_1(__VA_ARGS__)
#define SPKI_EACH_3(a, ...) spki_code_##a, SPKI_EACH_2(__VA_ARGS__)
#define SPKI_EACH_4(a, ...) spki_code_##a, SPKI_EACH_3(__VA_ARGS__)
#define SPKI_EACH_5(a, ...) spki_code_##a, SPKI_EACH_4(__VA_ARGS__)
#define SPKI_EACH_6(a, ...) spki_code_##a, SPKI_EACH_5(__VA_ARGS__)
#define SPKI_EACH_7(a, ...) spki_code_##a, SPKI_EACH_6(__VA_ARGS__)
#define SPKI_EACH_8(a, ...) spki_code_##a, SPKI_EACH_7(__VA_ARGS__)
#define SPKI_EACH_9(a, ...) spki_code_##a, SPKI_EACH_8(__VA_ARGS__)
#define SPKI_EACH_10(a, ...) spki_code_##a, SPKI_EACH_9(__VA_ARGS__)
#define SPKI_EACH_11(a, ...) spki_code_##a, SPKI_EACH_10(__VA_ARGS__)
#define SPKI_EACH_12(a, ...) spki_code_##a, SPKI_EACH_11(__VA_ARGS__)
#define SPKI_EACH_13(a, ...) spki_code_##a, SPKI_EACH_12(__VA_ARGS__)
#define SPKI_EACH_14(a, ...) spki_code_##a, SPKI_EACH_13(__VA_ARGS__)
#define SPKI_EACH_15(a, ...) spki_code_##a, SPKI_EACH_14(__VA_ARGS__)
#define SPKI_EACH_16(a, ...) spki_code_##a, SPKI_EACH_15(__VA_ARGS__)
#define SPKI_EACH_PICK(                                                                            \
    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, pick, ...) pick
#define SPKI_EACH(...)                                                                             \
    SPKI_EACH_PICK(__VA_ARGS__, SPKI_EACH_16, SPKI_EACH_15, SPKI_EACH_14, SPKI_EACH_13,            \
    SPKI_EACH_12, SPKI_EACH_11, SPKI_EACH_10, SPKI_EACH_9, SPKI_EACH_8, SPKI_EACH_7,               \
    SPKI_EACH_6, SPKI_EACH_5, SPKI_EACH_4, SPKI_EACH_3, SPKI_EACH_2, SPKI_EACH_1,                  \
    0)(__VA_ARGS__)
#define SPKI_HOLDING_OF(space, ...)                                                                \
    {space::spki_state_bits, space::spki_weight_bits, space::spki_wide,                            \
     &space::spki_set_of<__VA_ARGS__>::models,                                                     \
     &space::spki_entries<space::spki_set_of<__VA_ARGS__>>},
#define SPKI_HOLDING(states, weights, ...)                                                         \
    SPKI_HOLDING_OF(spki_code_##states##_##weights, SPKI_EACH(__VA_ARGS__))
static const spki_cuda_holding spki_cuda_holdings[] = {
    SPIKELIB_CUDA_KERNELS(SPKI_HOLDING) {0, 0, 0, NULL, NULL}};
#else
static const spki_cuda_holding spki_cuda_holdings[] = {{0, 0, 0, NULL, NULL}};
#endif

/* Has the program all of the network's models? Then how many it has, else 0. */
SPKI_FN uint32_t spki_cuda_serves(const spki_cuda_holding *h, const spk_net *net)
{
    spk_model model[SPKI_CUDA_MOST_MODELS];
    const uint32_t n = h->models(model);
    for (uint32_t p = 0; p < net->populations; p++) {
        uint32_t k = 0;
        while (k < n && model[k] != net->population[p].model) {
            k++;
        }
        if (k == n) {
            return 0;
        }
    }
    return n;
}

/* The program with the fewest models that does. */
SPKI_FN const spki_cuda_holding *spki_cuda_choose_holding(const spk_net *net,
                                                          const spki_gpu_choice *c)
{
    const uint32_t state_bits = c->half ? 16 : c->is_double ? 64 : 32;
    const spki_cuda_holding *best = NULL;
    uint32_t least = UINT32_MAX;
    for (const spki_cuda_holding *h = spki_cuda_holdings; h->models; h++) {
        const bool fits = h->state_bits == state_bits && h->weight_bits == net->desc.weight_bits &&
                          h->wide == (uint32_t)c->wide;
        const uint32_t n = fits ? spki_cuda_serves(h, net) : 0;
        if (n && n < least) {
            best = h;
            least = n;
        }
    }
    return best;
}

/* What to write so that nvcc compiles what the network needs. */
SPKI_FN void spki_cuda_say_wanted(char *out, size_t size, const spk_net *net,
                                  const spki_gpu_choice *c)
{
    spki_text text = {out, size, 0};
    char piece[100];
    const bool wide = c->wide && net->desc.weight_bits != 32;
    snprintf(piece, sizeof piece,
             "; or let nvcc do it: #define SPIKELIB_CUDA_KERNELS(X) X(%d, %u%s",
             c->half ? 16 : c->is_double ? 64 : 32, net->desc.weight_bits, wide ? "_wide" : "");
    spki_text_add(&text, piece);
    for (uint32_t p = 0; p < net->populations; p++) {
        uint32_t before = 0;
        while (before < p && net->population[before].model != net->population[p].model) {
            before++;
        }
        if (before == p) {
            snprintf(piece, sizeof piece, ", %.80s", net->population[p].model->name);
            spki_text_add(&text, piece);
        }
    }
    spki_text_add(&text, ")");
}

typedef int (*spki_cuda_by_symbol)(spki_cuda_handle *function, const void *symbol);

#if defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)
SPKI_FN int spki_cuda_from_runtime(spki_cuda_handle *function, const void *symbol)
{
    cudaFunction_t found;
    const int code = (int)cudaGetFuncBySymbol(&found, symbol);
    *function = code ? NULL : (spki_cuda_handle)(void *)found;
    return code;
}
#endif

/* Who knows the driver's handle of a kernel that nvcc has compiled. */
SPKI_FN spki_cuda_by_symbol spki_cuda_finder(const spk_cuda_desc *desc)
{
    spki_cuda_by_symbol find = NULL;
    if (desc->symbol) {
        (void)spki_cuda_bind((void *)&find, desc->symbol(desc->symbol_ctx, "cudaGetFuncBySymbol"));
        return find;
    }
#if defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)
    find = spki_cuda_from_runtime;
#endif
    return find;
}

/* The functions of a program, in the device's context. */
SPKI_FN bool spki_cuda_take_functions(spki_gpu *gpu, spki_cuda_by_symbol find,
                                      spki_cuda_program *p)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    const void *entry[SPKI_GPU_MORE_ENTRIES];
    int code = 0;
    if (spki_cuda_begin(gpu) != SPK_OK) {
        return false;
    }
    p->held->entries(entry);
    for (uint32_t k = 0; k < SPKI_GPU_MORE_ENTRIES && !code; k++) {
        code = find(&p->function[k], entry[k]);
    }
    (void)spki_cuda_end(gpu, "", 0);
    if (code) {
        snprintf(d->lacks, sizeof d->lacks,
                 "; what nvcc compiled cannot be used: cudaGetFuncBySymbol returned %d (it was "
                 "compiled for other devices unless -arch allows sm_%u%u)",
                 code, d->major, d->minor);
    }
    return code == 0;
}

SPKI_FN void *spki_cuda_held(spki_gpu *gpu, const spk_net *net, const spki_gpu_choice *c)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_holding *held = spki_cuda_choose_holding(net, c);
    const spki_cuda_by_symbol find = spki_cuda_finder(d->desc);
    d->lacks[0] = 0;
    if (!held || !find) {
        if (SPKI_CUDA_HOLDS) {
            spki_cuda_say_wanted(d->lacks, sizeof d->lacks, net, c);
        }
        return NULL;
    }
    spki_cuda_program *p = (spki_cuda_program *)spki_alloc(gpu->mem, 1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->held = held;
    if (!spki_cuda_take_functions(gpu, find, p)) {
        spki_cuda_release(gpu, p);
        return NULL;
    }
    return p;
}

/* Twice the place of the model, and one more where anything is each neuron's own. */
SPKI_FN uint32_t spki_cuda_form(const void *program, const spki_gpu_variant *variant,
                                uint32_t number)
{
    const spki_cuda_holding *held = ((const spki_cuda_program *)program)->held;
    const uint64_t *varied = variant->varied;
    spk_model model[SPKI_CUDA_MOST_MODELS];
    if (!held) {
        return number;
    }
    const uint32_t n = held->models(model);
    for (uint32_t k = 0; k < n; k++) {
        if (model[k] == variant->model) {
            return 2 * k + ((varied[0] | varied[1] | varied[2] | varied[3]) ? 1u : 0u);
        }
    }
    return UINT32_MAX; /* never: it serves the network */
}

/* ---- >>cuda-open: a device, opened and closed ---- */

SPKI_FN void spki_cuda_close(spki_gpu *gpu)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    spki_cuda_handle context;
    if (!d) {
        return;
    }
    if (d->context && d->cu->cuCtxPushCurrent_v2(d->context) == 0) {
        const spki_cuda_calls *cu = d->cu;
        if (d->comm) {
            (void)cu->ncclCommDestroy(d->comm);
        }
        if (d->stream) {
            (void)cu->cuStreamSynchronize(d->stream);
        }
        for (uint32_t k = 0; k < SPKI_CUDA_TICKETS; k++) {
            spki_cuda_ticket *t = &d->ticket[k];
            if (t->pinned) {
                (void)cu->cuMemFreeHost(t->pinned);
            }
            if (t->ready) {
                (void)cu->cuEventDestroy_v2(t->ready);
            }
            if (t->done) {
                (void)cu->cuEventDestroy_v2(t->done);
            }
        }
        if (d->clock) {
            (void)cu->cuEventDestroy_v2(d->clock);
        }
        if (d->recorder) {
            (void)cu->cuStreamDestroy_v2(d->recorder);
        }
        if (d->copies && d->own_copies) {
            (void)cu->cuStreamDestroy_v2(d->copies);
        }
        if (d->pool) {
            (void)cu->cuMemPoolDestroy(d->pool);
        }
        if (d->stream && d->own_stream) {
            (void)cu->cuStreamDestroy_v2(d->stream);
        }
        (void)cu->cuCtxPopCurrent_v2(&context);
    }
    if (d->context && d->own_context) {
        (void)d->cu->cuDevicePrimaryCtxRelease_v2(d->device);
    }
    spki_free(gpu->mem, d, 1, sizeof *d);
    gpu->handle = NULL;
}

static const spki_gpu_api spki_cuda_api = {
    "cuda",          spki_cuda_prelude, spki_cuda_keywords, spki_cuda_compile, spki_cuda_release,
    spki_cuda_alloc, spki_cuda_free,    spki_cuda_write,    spki_cuda_zero,    spki_cuda_read,
    spki_cuda_wait,  spki_cuda_launch,  spki_cuda_flush,    spki_cuda_finish,  spki_cuda_close,
    spki_cuda_together, spki_cuda_room, spki_cuda_share, spki_cuda_held, spki_cuda_form,
    spki_cuda_record, spki_cuda_recorded, spki_cuda_replay, spki_cuda_forget};
/* The same, where spikes go from device to device through the host. */
static const spki_gpu_api spki_cuda_api_by_host = {
    "cuda",          spki_cuda_prelude, spki_cuda_keywords, spki_cuda_compile, spki_cuda_release,
    spki_cuda_alloc, spki_cuda_free,    spki_cuda_write,    spki_cuda_zero,    spki_cuda_read,
    spki_cuda_wait,  spki_cuda_launch,  spki_cuda_flush,    spki_cuda_finish,  spki_cuda_close,
    spki_cuda_together, spki_cuda_room, NULL, spki_cuda_held, spki_cuda_form,
    spki_cuda_record, spki_cuda_recorded, spki_cuda_replay, spki_cuda_forget};

/* A call that makes a handle, which is none where it fails. */
SPKI_FN spk_result spki_cuda_made(spki_gpu *gpu, const char *call, spki_cuda_handle *handle,
                                  int code)
{
    *handle = code ? NULL : *handle;
    return spki_cuda_check(gpu, call, code);
}

/* Streams, pool and event, in the context. */
SPKI_FN spk_result spki_cuda_equip(spki_gpu *gpu)
{
    spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_calls *cu = d->cu;
    spki_cuda_pool_desc pool;
    uint64_t keep = UINT64_MAX;
    spk_result result = SPK_OK;
    memset(&pool, 0, sizeof pool);
    pool.kind = 1;  /* pinned to the device */
    pool.place = 1; /* a device */
    pool.device = d->device;
    d->own_stream = !d->desc->stream;
    d->stream = (spki_cuda_handle)d->desc->stream;
    if (d->own_stream) {
        result = spki_cuda_made(gpu, "cuStreamCreate", &d->stream,
                                cu->cuStreamCreate(&d->stream, SPKI_CUDA_NON_BLOCKING));
    }
    d->own_copies = !d->desc->copy_stream;
    d->copies = (spki_cuda_handle)d->desc->copy_stream;
    if (result == SPK_OK && d->own_copies) {
        result = spki_cuda_made(gpu, "cuStreamCreate", &d->copies,
                                cu->cuStreamCreate(&d->copies, SPKI_CUDA_NON_BLOCKING));
    }
    if (result == SPK_OK && gpu->replays) {
        result = spki_cuda_made(gpu, "cuStreamCreate", &d->recorder,
                                cu->cuStreamCreate(&d->recorder, SPKI_CUDA_NON_BLOCKING));
    }
    if (result == SPK_OK) {
        result = spki_cuda_made(gpu, "cuEventCreate", &d->clock,
                                cu->cuEventCreate(&d->clock, SPKI_CUDA_NO_TIMING));
    }
    if (result == SPK_OK && d->pools) {
        result = spki_cuda_made(gpu, "cuMemPoolCreate", &d->pool,
                                cu->cuMemPoolCreate(&d->pool, &pool));
    }
    if (result == SPK_OK && d->pools) { /* what is freed is wanted again */
        result = spki_cuda_check(gpu, "cuMemPoolSetAttribute",
                                 cu->cuMemPoolSetAttribute(d->pool, SPKI_CUDA_POOL_KEEPS, &keep));
    }
    return result;
}

/* Opens a device into `gpu`, which is zero before and closed by spki_cuda_close, also when this
   fails. */
SPKI_FN spk_result spki_cuda_open(spki_gpu *gpu, spki_mem *mem, spki_cuda_calls *cu,
                                  const spk_cuda_desc *desc, const spk_cuda_device *found)
{
    spki_cuda_device *d = (spki_cuda_device *)spki_alloc(mem, 1, sizeof *d);
    gpu->api = desc->exchange == SPK_CUDA_EXCHANGE_HOST ? &spki_cuda_api_by_host : &spki_cuda_api;
    gpu->mem = mem;
    gpu->handle = d;
    snprintf(gpu->name, sizeof gpu->name, "%s", found->name);
    if (!d) {
        snprintf(gpu->why, sizeof gpu->why, "no memory");
        return SPK_ERR_OUT_OF_MEMORY;
    }
    d->cu = cu;
    d->desc = desc;
    d->major = found->major;
    d->minor = found->minor;
    d->shared_bytes = found->shared_bytes;
    snprintf(d->identity, sizeof d->identity, "cuda|%s|%u.%u|%u|%s", found->name, found->major,
             found->minor, found->driver, SPIKELIB_VERSION);
    spki_gpu_cache_dir(desc->cache_dir, d->cache, sizeof d->cache);
    gpu->units = SPKI_MAX(found->units, 1u);
    gpu->memory = desc->memory_budget ? SPKI_MIN(desc->memory_budget, found->memory_bytes)
                                      : found->memory_bytes;
    gpu->largest = gpu->memory;
    gpu->has_double = gpu->has_wide_atomics = true;
    gpu->replays = desc->style == SPK_CUDA_GRAPH;
    gpu->lanes = 1;
    gpu->speed = (double)gpu->units;
    spk_result result =
        spki_cuda_check(gpu, "cuDeviceGet", cu->cuDeviceGet(&d->device, (int)found->index));
    d->cooperative = spki_cuda_attribute(cu, d->device, SPKI_CUDA_COOPERATIVE) != 0;
    d->pools = spki_cuda_attribute(cu, d->device, SPKI_CUDA_HAS_POOLS) != 0;
    d->context = (spki_cuda_handle)desc->context;
    d->own_context = !d->context;
    if (result == SPK_OK && d->own_context) {
        result = spki_cuda_made(gpu, "cuDevicePrimaryCtxRetain", &d->context,
                                cu->cuDevicePrimaryCtxRetain(&d->context, d->device));
    }
    if (result == SPK_OK) {
        result = spki_cuda_begin(gpu);
    }
    if (result == SPK_OK) {
        result = spki_cuda_equip(gpu);
        (void)spki_cuda_end(gpu, "", 0);
    }
    return result;
}

#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif

/* ---- >>cuda-backend: spk_cuda_backend, the network's side of CUDA ---- */

#define SPKI_CUDA_MOST_PARTS SPKI_GPU_MOST_PARTS

typedef struct spki_cuda_backend {
    spki_gpu_net net;   /* first: what the network sees */
    spk_cuda_desc desc; /* with copies of what it points to */
    uint32_t *indices;
    char *device, *cache_dir;
    spki_cuda_library library;
    bool opened;
    spk_result result;  /* of opening, or of a bad descriptor */
    char why[600];
} spki_cuda_backend;

/* -- opening -- */

/* One communicator a device; NCCL wants each device once. */
SPKI_FN spk_result spki_cuda_connect(spki_cuda_backend *b)
{
    const spk_cuda_exchange how = b->desc.exchange;
    spki_cuda_handle comm[SPKI_CUDA_MOST_PARTS];
    int device[SPKI_CUDA_MOST_PARTS];
    bool twice = false;
    if (b->net.parts < 2 || how == SPK_CUDA_EXCHANGE_PEER || how == SPK_CUDA_EXCHANGE_HOST) {
        return SPK_OK;
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        device[k] = spki_cuda_of(&b->net.part[k].gpu)->device;
        for (uint32_t j = 0; j < k; j++) {
            twice = twice || device[j] == device[k];
        }
    }
    int code = 0;
    const char *lacks = NULL;
    if (twice) {
        lacks = "one device twice";
    } else if (!spki_cuda_load_nccl(&b->desc, &b->library.calls)) {
        lacks = "no NCCL";
    }
    if (!lacks) {
        code = b->library.calls.ncclCommInitAll(comm, (int)b->net.parts, device);
    }
    if (!lacks && code == 0) {
        for (uint32_t k = 0; k < b->net.parts; k++) {
            spki_cuda_of(&b->net.part[k].gpu)->comm = comm[k];
        }
    } else if (how == SPK_CUDA_EXCHANGE_NCCL) {
        return spki_because(SPK_ERR_DEVICE, b->why, sizeof b->why, "cuda: NCCL cannot be used: %s",
                            lacks ? lacks : b->library.calls.ncclGetErrorString(code));
    }
    return SPK_OK;
}

SPKI_FN spk_result spki_cuda_open_all(spki_cuda_backend *b)
{
    const size_t devices = SPKI_MAX(b->desc.index_count, (size_t)1);
    spk_result result = spki_cuda_load(&b->desc, &b->library, b->why, sizeof b->why);
    if (result == SPK_OK) {
        b->net.part = (spki_gpu_part *)spki_alloc(&b->net.mem, devices, sizeof *b->net.part);
        if (!b->net.part) {
            result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                  "cuda: no memory for %llu devices", (spki_llu)devices);
        }
    }
    for (size_t k = 0; k < devices && result == SPK_OK; k++) {
        spki_gpu *gpu = &b->net.part[k].gpu;
        spk_cuda_device found;
        result = spki_cuda_choose(&b->library.calls, &b->desc, k, &found, b->why, sizeof b->why);
        if (result != SPK_OK) {
            break;
        }
        b->net.parts = (uint32_t)k + 1;
        result = spki_cuda_open(gpu, &b->net.mem, &b->library.calls, &b->desc, &found);
        if (result != SPK_OK) {
            (void)spki_because(result, b->why, sizeof b->why, "cuda \"%s\": %.400s", gpu->name,
                               gpu->why);
        }
    }
    return result == SPK_OK ? spki_cuda_connect(b) : result;
}

SPKI_FN void spki_cuda_open_once(spki_cuda_backend *b)
{
    if (!b->opened && b->result == SPK_OK) {
        b->result = spki_cuda_open_all(b);
    }
    b->opened = true;
}

/* -- what the network calls -- */

/* Bytes of accumulators of one group of items, if each had one tile and delays were of 64 steps. */
SPKI_FN uint64_t spki_cuda_own_bytes(const spk_net *net, uint32_t units)
{
    uint64_t slots = 0;
    for (uint32_t p = 0; p < net->populations; p++) {
        slots += (uint64_t)net->population[p].lanes * SPKI_MAX(net->population[p].receptors, 1u);
    }
    return slots / units * 64 * (net->desc.weight_bits == 32 ? 8 : 4);
}

/* A tile for each multiprocessor where its accumulators may stay in shared memory; devices that
   share want some to share. */
SPKI_FN uint32_t spki_cuda_tiles(const spk_backend *backend, const spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)(uintptr_t)backend;
    spki_cuda_open_once(b);
    if (b->desc.tiles) {
        return b->desc.tiles;
    }
    if (b->result != SPK_OK || b->net.parts != 1) {
        return SPKI_MAX(b->net.parts, 1u) * (b->net.parts > 1 ? 4 : 1);
    }
    const spki_cuda_device *d = spki_cuda_of(&b->net.part[0].gpu);
    const uint32_t units = b->net.part[0].gpu.units;
    const bool may = b->desc.style == SPK_CUDA_OWN ||
                     (b->desc.style == SPK_CUDA_AUTO &&
                      spki_cuda_own_bytes(net, units) + 8192 < d->shared_bytes);
    return may && d->cooperative ? units : 1;
}

SPKI_FN spk_result spki_cuda_construct(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    spki_cuda_open_once(b);
    return b->result == SPK_OK ? spki_gpu_construct(net, &b->net, b->desc.construction)
                               : SPK_OK; /* entering says why */
}

SPKI_FN spk_result spki_cuda_enter(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    spki_cuda_open_once(b);
    if (b->result != SPK_OK) {
        return spki_fail(net, b->result, "%s", b->why);
    }
    return spki_gpu_enter(net, &b->net);
}

/* A run, between the caller's events. With a context of the caller's there is one device. */
SPKI_FN spk_result spki_cuda_run(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    spki_gpu *gpu = &b->net.part[0].gpu;
    const spki_cuda_device *d = spki_cuda_of(gpu);
    const spki_cuda_handle begin = (spki_cuda_handle)b->desc.begin_event,
                           end = (spki_cuda_handle)b->desc.end_event;
    spk_result result = begin ? spki_cuda_begin(gpu) : SPK_OK;
    if (begin && result == SPK_OK) {
        result = spki_cuda_end(gpu, "cuStreamWaitEvent",
                               d->cu->cuStreamWaitEvent(d->stream, begin, 0));
    }
    if (result != SPK_OK) {
        return spki_gpu_failed(net, gpu, result);
    }
    result = spki_gpu_run_steps(backend, net);
    if (!end || result != SPK_OK) {
        return result;
    }
    result = spki_cuda_begin(gpu);
    if (result == SPK_OK) {
        result = spki_cuda_end(gpu, "cuEventRecord", d->cu->cuEventRecord(end, d->stream));
    }
    return result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
}

SPKI_FN void spki_cuda_leave(spk_backend *backend, spk_net *net)
{
    spki_cuda_backend *b = (spki_cuda_backend *)backend;
    const size_t parts = SPKI_MAX(b->desc.index_count, (size_t)1);
    spki_mem mem = b->net.mem;
    if (net) {
        spki_gpu_leave(net, &b->net);
    }
    for (uint32_t k = 0; k < b->net.parts; k++) {
        spki_cuda_close(&b->net.part[k].gpu);
    }
    spki_free(&mem, b->net.part, parts, sizeof *b->net.part);
    spki_free(&mem, b->indices, b->desc.index_count, sizeof *b->indices);
    spki_free_string(&mem, b->device);
    spki_free_string(&mem, b->cache_dir);
    spki_free(&mem, b, 1, sizeof *b);
}

/* Where there is no memory for a backend. */
static const struct spk_backend spki_cuda_none = SPKI_GPU_NONE("cuda");

/* Copies what the descriptor points to. */
SPKI_FN bool spki_cuda_copy(spki_cuda_backend *b)
{
    spki_mem *mem = &b->net.mem;
    bool ok = true;
    if (b->desc.device) {
        ok = (b->device = spki_copy_string(mem, b->desc.device)) != NULL && ok;
    }
    if (b->desc.cache_dir) {
        ok = (b->cache_dir = spki_copy_string(mem, b->desc.cache_dir)) != NULL && ok;
    }
    if (b->desc.index_count) {
        b->indices = (uint32_t *)spki_alloc(mem, b->desc.index_count, sizeof *b->indices);
        ok = ok && b->indices;
        if (b->indices) {
            memcpy(b->indices, b->desc.indices, b->desc.index_count * sizeof *b->indices);
        }
    }
    b->desc.device = b->device;
    b->desc.cache_dir = b->cache_dir;
    b->desc.indices = b->indices;
    return ok;
}

SPKI_FN bool spki_cuda_bad(const spk_cuda_desc *d)
{
    return (d->index_count && !d->indices) || d->index_count > SPKI_CUDA_MOST_PARTS ||
           (int)d->style < 0 || d->style > SPK_CUDA_GRAPH || (int)d->exchange < 0 ||
           d->exchange > SPK_CUDA_EXCHANGE_HOST || !(d->time_limit_s >= 0.0) ||
           d->tiles > 65536u || (int)d->construction < 0 ||
           d->construction > SPK_CONSTRUCTION_DEVICE || (d->context && d->index_count) ||
           (!d->context && (d->stream || d->copy_stream || d->begin_event || d->end_event)) ||
           (d->stream && d->stream == d->copy_stream);
}

SPIKELIB_API spk_backend *spk_cuda_backend(const spk_cuda_desc *desc)
{
    spk_cuda_desc d;
    spki_mem mem;
    memset(&d, 0, sizeof d);
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    if (desc && !garbage) {
        d = *desc;
    }
    const bool bad = spki_cuda_bad(&d);
    if (bad) {
        d.index_count = 0;
        d.indices = NULL;
    }
    spki_mem_init(&mem, &d.allocator, 0);
    spki_cuda_backend *b = (spki_cuda_backend *)spki_alloc(&mem, 1, sizeof *b);
    if (!b) {
        return (spk_backend *)(uintptr_t)&spki_cuda_none;
    }
    b->net.mem = mem;
    b->desc = d;
    b->net.base.name = "cuda";
    b->net.base.or_cpu = d.or_cpu;
    b->net.base.tiles = spki_cuda_tiles;
    b->net.base.construct = spki_cuda_construct;
    b->net.base.build = spki_cuda_enter;
    b->net.base.run = spki_cuda_run;
    b->net.base.pull = spki_gpu_pull;
    b->net.base.describe = spki_gpu_describe;
    b->net.base.destroy = spki_cuda_leave;
    if (garbage) {
        b->result = spki_because(SPK_ERR_UNINITIALISED, b->why, sizeof b->why,
                                 "cuda: the descriptor's sentinels are not 0: start it with = {0}");
    } else if (bad) {
        b->result = spki_because(SPK_ERR_RANGE, b->why, sizeof b->why,
                                 "cuda: indices is NULL, a stream or event comes without its "
                                 "context, a context with indices, one stream for both, or a "
                                 "field of the descriptor is out of range (style %d, exchange %d, "
                                 "time_limit_s %g, %u tiles)",
                                 (int)d.style, (int)d.exchange, d.time_limit_s, d.tiles);
    } else if (!spki_cuda_copy(b)) {
        b->result = spki_because(SPK_ERR_OUT_OF_MEMORY, b->why, sizeof b->why,
                                 "cuda: no memory for a descriptor's copies");
    }
    return &b->net.base;
}

SPIKELIB_API spk_backend *spk_cuda_backend_auto(void)
{
    spk_cuda_desc d;
    memset(&d, 0, sizeof d);
    d.or_cpu = true;
    return spk_cuda_backend(&d);
}

#undef SPKI_CODE
#undef SPKI_CODE_STATES
#undef SPKI_CODE_WEIGHTS
#undef SPKI_CODE_WIDE
#undef SPKI_CUDA_CALL
#undef SPKI_CUDA_EXACT
#undef SPKI_CUDA_FUNCTIONS
#undef SPKI_CUDA_GRAPH_FUNCTIONS
#undef SPKI_CUDA_HOLDS
#undef SPKI_CUDA_MOST_MODELS
#undef SPKI_CUDA_MOST_PARTS
#undef SPKI_CUDA_PARAMS
#undef SPKI_CUDA_TICKETS
#undef SPKI_EACH
#undef SPKI_EACH_1
#undef SPKI_EACH_10
#undef SPKI_EACH_11
#undef SPKI_EACH_12
#undef SPKI_EACH_13
#undef SPKI_EACH_14
#undef SPKI_EACH_15
#undef SPKI_EACH_16
#undef SPKI_EACH_2
#undef SPKI_EACH_3
#undef SPKI_EACH_4
#undef SPKI_EACH_5
#undef SPKI_EACH_6
#undef SPKI_EACH_7
#undef SPKI_EACH_8
#undef SPKI_EACH_9
#undef SPKI_EACH_PICK
#undef SPKI_GPU_BATCH_GROUPS
#undef SPKI_GPU_BATCH_ITEMS
#undef SPKI_GPU_BLOCK_GROUPS
#undef SPKI_GPU_LIST_IDS
#undef SPKI_GPU_MOST_PARTS
#undef SPKI_GPU_NONE
#undef SPKI_GPU_NUMBERS
#undef SPKI_GPU_PATH
#undef SPKI_GPU_ROWS_NUMBERS
#undef SPKI_GPU_SCAN_ITEMS
#undef SPKI_GPU_TEAM
#undef SPKI_HOLDING
#undef SPKI_HOLDING_OF
#undef SPKI_NCCL_FUNCTIONS
#undef SPKI_NVRTC_FUNCTIONS
#undef SPKI_STREAM_INPUT
#undef SPKI_STREAM_STORAGE
#ifndef SPIKELIB_MODELS
#undef SPKI_FN
#undef SPKI_MAX
#undef SPKI_MIN
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
#if defined(__NVCC__)
#pragma nv_diagnostic pop
#endif

#endif
#endif
#endif /* SPKI_CODE */
