/* ---- >>kernel-exact: numbers of code that nvcc compiles, the same under every flag ----
   In a file that nvcc compiles, the flags are the program's: nvcc fuses a * b + c unless it is told
   --fmad=false, and may be told to divide approximately. So a real is a class here, whose operators
   are the functions that are never fused and always correctly rounded. A literal is a class too,
   because those functions are not folded: the zero that is added to it elsewhere vanishes. Who
   includes this says SPKI_CODE (the namespace), SPKI_CODE_STATES, SPKI_CODE_WEIGHTS (bits) and
   SPKI_CODE_WIDE (accumulators of 64 bits). */

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

/* A zero before a literal, as K writes it in models. */
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

/* What the models' statements are made of. */
struct spki_kinds {
    typedef spki_real real;
    typedef spki_mask mask;
    typedef spki_lit elem;
    typedef spki_nil nil;
};
