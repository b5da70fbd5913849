/* ---- >>kernel-opencl: what the kernels' text is made of, in OpenCL C 1.2 ---- */
#pragma OPENCL FP_CONTRACT OFF
#if SPKI_IS_DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#if SPKI_WIDE && !SPKI_OWNED
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#endif

typedef int int32_t;
typedef uint uint32_t;
typedef long int64_t;
typedef ulong uint64_t;
typedef ushort uint16_t;

#define SPKI_ENTRY(name) __kernel void name
#define SPKI_GLOBAL __global
#define SPKI_LOCAL __local
#define SPKI_SHARED __local /* of an array; a pointer to it is SPKI_LOCAL */
#define SPKI_DEVICE static inline
#define SPKI_GROUP_ID() ((uint32_t)get_group_id(0))
#define SPKI_GROUPS() ((uint32_t)get_num_groups(0))
#define SPKI_ITEM() ((uint32_t)get_local_id(0))
#define SPKI_ITEMS() ((uint32_t)get_local_size(0))
#define SPKI_MEET() barrier(CLK_LOCAL_MEM_FENCE)
#define SPKI_MEET_GLOBAL() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define SPKI_LOCAL_OR(p, x) atomic_or(p, x)
#define SPKI_GLOBAL_OR(p, x) atomic_or(p, x)
#define SPKI_ADD32(p, x) atomic_add(p, x)
#define SPKI_MIN32(p, x) (void)atomic_min(p, x)
#define SPKI_MAX32(p, x) (void)atomic_max(p, x)
#if SPKI_WIDE
#define SPKI_GLOBAL_ADD(p, x) atom_add(p, x)
#define SPKI_LOCAL_ADD(p, x) (void)atom_add(p, x)
#else
#define SPKI_GLOBAL_ADD(p, x) atomic_add(p, x)
#define SPKI_LOCAL_ADD(p, x) (void)atomic_add(p, x)
#endif
#define SPKI_POPCOUNT(x) ((uint32_t)popcount(x))
#define SPKI_LOWEST(x) ((uint32_t)popcount(((x) & (0 - (x))) - 1))
#define SPKI_ROOT(x) sqrt(x)

/* Vectors of SPKI_LANES elements: one item of a CPU device handles as many neurons at a time, one
   of a GPU a single one. */
#define SPKI_CAT_(a, b) a##b
#define SPKI_CAT(a, b) SPKI_CAT_(a, b)
#define SPKI_CAT3_(a, b, c) a##b##c
#define SPKI_CAT3(a, b, c) SPKI_CAT3_(a, b, c)
#define SPKI_NIL(type) ((type)(0))
#if SPKI_LANES == 1
typedef uint spki_words;
typedef int spki_ints;
#if SPKI_IS_DOUBLE
typedef double spki_d1;
typedef long spki_id1;
typedef int spki_md1;
#define SPKI_AS_INT(x) as_long(x)
#define SPKI_AS_REAL(x) as_double(x)
#else
typedef float spki_f1;
typedef int spki_if1;
typedef int spki_mf1;
#define SPKI_AS_INT(x) as_int(x)
#define SPKI_AS_REAL(x) as_float(x)
#endif
#define SPKI_TO_REAL(x) ((real)(x))
#define SPKI_ALIGNED(type, p) (*(p))
#define SPKI_VLOAD(p, at) ((p)[at])
#define SPKI_VSTORE(x, p, at) ((p)[at] = (x))
#define SPKI_COUNT(mask) (mask)
#define SPKI_ANY(mask) (mask)
#else
typedef SPKI_CAT(uint, SPKI_LANES) spki_words;
typedef SPKI_CAT(int, SPKI_LANES) spki_ints;
#if SPKI_IS_DOUBLE
typedef SPKI_CAT(double, SPKI_LANES) SPKI_CAT(spki_d, SPKI_LANES);
typedef SPKI_CAT(long, SPKI_LANES) SPKI_CAT(spki_id, SPKI_LANES);
typedef SPKI_CAT(long, SPKI_LANES) SPKI_CAT(spki_md, SPKI_LANES);
#define SPKI_AS_INT(x) SPKI_CAT(as_long, SPKI_LANES)(x)
#define SPKI_AS_REAL(x) SPKI_CAT(as_double, SPKI_LANES)(x)
#define SPKI_TO_REAL(x) SPKI_CAT(convert_double, SPKI_LANES)(x)
#define SPKI_WIDER(x) SPKI_CAT(convert_long, SPKI_LANES)(x)
#else
typedef SPKI_CAT(float, SPKI_LANES) SPKI_CAT(spki_f, SPKI_LANES);
typedef SPKI_CAT(int, SPKI_LANES) SPKI_CAT(spki_if, SPKI_LANES);
typedef SPKI_CAT(int, SPKI_LANES) SPKI_CAT(spki_mf, SPKI_LANES);
#define SPKI_AS_INT(x) SPKI_CAT(as_int, SPKI_LANES)(x)
#define SPKI_AS_REAL(x) SPKI_CAT(as_float, SPKI_LANES)(x)
#define SPKI_TO_REAL(x) SPKI_CAT(convert_float, SPKI_LANES)(x)
#define SPKI_WIDER(x) (x)
#endif
/* States and accumulators come in groups of 64, buffers where the largest vector may stand. */
#define SPKI_ALIGNED(type, p) (*(SPKI_GLOBAL type *)(p))
#define SPKI_VLOAD(p, at) SPKI_CAT(vload, SPKI_LANES)(0, (p) + (at))
#define SPKI_VSTORE(x, p, at) SPKI_CAT(vstore, SPKI_LANES)(x, 0, (p) + (at))
#define SPKI_COUNT(mask) (-(mask))
/* Is any bit set? Drivers do any() a lane at a time. */
SPKI_DEVICE int spki_any_4(ulong4 x)
{
    const ulong2 y = x.lo | x.hi;
    return (y.x | y.y) != 0;
}
SPKI_DEVICE int spki_any_8(ulong8 x)
{
    return spki_any_4(x.lo | x.hi);
}
SPKI_DEVICE int spki_any_16(ulong16 x)
{
    return spki_any_8(x.lo | x.hi);
}
#define SPKI_ANY(mask) spki_any_8(as_ulong8(mask))
/* Bit k of the result: lane k of a mask. */
SPKI_DEVICE uint32_t spki_mask_bits(uint16 mask)
{
#if SPKI_LANES == 16
    const uint16 x = mask & (uint16)(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                     8192, 16384, 32768);
#else
    const uint16 x = mask & (uint16)(1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0, 64, 0, 128, 0);
#endif
    const uint8 y = x.lo | x.hi;
    const uint4 z = y.lo | y.hi;
    const uint2 w = z.lo | z.hi;
    return w.x | w.y;
}
#define SPKI_MASK_BITS(mask) spki_mask_bits(as_uint16(mask))
#if SPKI_LANES == 16
#define SPKI_ANY_INTS(x) spki_any_8(as_ulong8(x))
#else
#define SPKI_ANY_INTS(x) spki_any_4(as_ulong4(x))
#endif
#if SPKI_WIDE && SPKI_LANES == 16
#define SPKI_ANY_ACCS(x) spki_any_16(as_ulong16(x))
#elif SPKI_WIDE
#define SPKI_ANY_ACCS(x) spki_any_8(as_ulong8(x))
#else
#define SPKI_ANY_ACCS(x) SPKI_ANY_INTS(x)
#endif
#endif

/* High and low halves of the products of 32-bit numbers; vectors in pairs, which is what CPUs
   multiply. */
#if SPKI_LANES == 1
SPKI_DEVICE spki_words spki_multiply(spki_words a, uint32_t m, spki_words *low)
{
    *low = a * m;
    return mul_hi(a, m);
}
#else
#if SPKI_LANES == 16
typedef ulong8 spki_pairs;
#define SPKI_AS_PAIRS(x) as_ulong8(x)
#else
typedef ulong4 spki_pairs;
#define SPKI_AS_PAIRS(x) as_ulong4(x)
#endif
#define SPKI_AS_WORDS(x) SPKI_CAT(as_uint, SPKI_LANES)(x)
SPKI_DEVICE spki_words spki_multiply(spki_words a, uint32_t m, spki_words *low)
{
    const spki_pairs pairs = SPKI_AS_PAIRS(a), factor = (spki_pairs)((ulong)m);
    const spki_pairs even = (pairs & (ulong)0xffffffffu) * factor, odd = (pairs >> 32) * factor;
    *low = SPKI_AS_WORDS((even & (ulong)0xffffffffu) | (odd << 32));
    return SPKI_AS_WORDS((odd & ~(ulong)0xffffffffu) | (even >> 32));
}
#endif
