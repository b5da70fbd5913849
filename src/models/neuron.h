/* ---- >>models: one definition of a neuron, every target ----

   SPIKELIB_NEURON(name, PARAMS, DERIVED, STATE, INPUTS, statements...) defines `name`, an
   spk_model. The four lists are X-macros:

     PARAMS   X(tau_m, 10.0, "ms")           name, default, unit. Names that begin with tau, c_m or
                                             delta_t must be positive, t_ref and substeps not
                                             negative.
     DERIVED  X(h, dt / tau_m)               computed once, in double, from parameters, dt (ms) and
                                             earlier derived ones; spk_exp and its like, no libm
     STATE    X(v, -65.0, "mV")              name, initial value (may name parameters), unit, and
              X(v, e_l, "mV", e_l)           optionally the parameter that the text sees it relative
                                             to: what the user reads and sets is absolute
     INPUTS   X(i_syn, SPK_DELTA)            see spk_input_kind

   An empty list is SPK_NONE. The statements see all of these and `dt` as reals, assign to the
   states, and set `spike`. They are vector code: literals are K(0.04), choices spk_select(mask,
   a, b), conditions are combined with & and |; a loop may run while spk_any(mask). No other
   control flow. Available: spk_exp spk_exprel spk_log spk_pow spk_sin spk_cos spk_tanh spk_sqrt
   spk_abs spk_min spk_max spk_flush (0 below 1e-30). Further variables: real, mask. */
#ifndef SPIKELIB_MODELS_NEURON_H
#define SPIKELIB_MODELS_NEURON_H

#include "../api/net.h"
#include "../simd/types.h"

typedef enum spk_input_kind {
    SPK_DELTA = 0, /* the summed weights of the synapses that arrive, with their signs */
    SPK_EXC,       /* the sum of the weights >= 0 */
    SPK_INH,       /* the sum of the magnitudes of the weights < 0 */
    SPK_CURRENT,   /* currents: drives, noise and what the host injects */
    SPK_RANDOM,    /* uniform in (0, 1], new in each step */
    SPK_INPUT_FORCE_32_BIT = 0x7fffffff
} spk_input_kind;

#define SPK_NONE(X)
/* A literal of the text's precision. */
#define K(x) (spki_zero + (spki_elem)(x))

#define SPKI_GROUP 64   /* neurons are updated, and spikes reported, in groups of 64 */
#define SPKI_ISA_SLOTS 7 /* indexed by spk_isa */

/* What a kernel works on: `groups` x 64 neurons. Parameters and inputs are arrays; where uniform
   (mask 0), one block of 64 bytes or one group. */
typedef struct spki_kernel_args {
    size_t groups;
    const char *const *param;     /* parameters, then derived */
    const size_t *param_mask;
    char *const *state;
    const double *state_offset;   /* 16-bit storage: what the stored values are relative to */
    const char *const *input;
    const size_t *input_mask;
    const uint32_t *random;       /* 16-bit storage: random_stride words for each two states */
    size_t random_stride;
    uint64_t *spikes;             /* one bit a neuron, one word a group */
    double dt;
} spki_kernel_args;
typedef void (*spki_kernel)(const spki_kernel_args *args);

typedef struct spki_model_field {
    const char *name, *unit, *relative;
    double value; /* parameters: the default; inputs: the kind */
} spki_model_field;

struct spk_model_def {
    const char *name;
    uint32_t param_count, derived_count, state_count, input_count;
    const spki_model_field *param, *state, *input;
    const char *const *derived; /* names */
    void (*derive)(const double *param, double dt, double *derived);
    void (*init)(const double *param, double dt, double *state);
    spki_kernel kernel[SPKI_ISA_SLOTS][3]; /* [spk_isa][spk_precision] */
    const char *derived_text, *text;       /* for devices and for spk_model_describe */
};

#define SPKI_FIRST_(a, ...) a
#define SPKI_SECOND_(a, b, ...) #b
#define SPKI_STATE_UNIT(...) SPKI_FIRST_(__VA_ARGS__, 0)
#define SPKI_STATE_RELATIVE(...) SPKI_SECOND_(__VA_ARGS__, spki_absolute, 0)

#define SPKI_P_ENUM(name, ...) SPKI_P_##name,
#define SPKI_P_FIELD(name, value, unit) {#name, unit, 0, value},
#define SPKI_P_LOCAL(name, ...)                                                                   \
    const double name = spki_given[SPKI_P_##name];                                                \
    (void)name;
#define SPKI_P_SETUP(name, ...)                                                                   \
    const char *const spki_pp_##name = spki_a->param[SPKI_P_##name];                              \
    const size_t spki_pm_##name = spki_a->param_mask[SPKI_P_##name];                              \
    real spki_pv_##name;                                                                          \
    memcpy(&spki_pv_##name, spki_pp_##name, sizeof(real));                                        \
    spki_varied |= spki_pm_##name;
#define SPKI_P_RELOAD(name, ...)                                                                  \
    memcpy(&spki_pv_##name, spki_pp_##name + (spki_at & spki_pm_##name), sizeof(real));
#define SPKI_P_LOAD(name, ...)                                                                    \
    const real name = spki_pv_##name;                                                             \
    (void)name;
#define SPKI_D_ENUM(name, ...) SPKI_D_##name,
#define SPKI_D_NAME(name, ...) #name,
#define SPKI_D_TEXT(name, ...) #name " = " #__VA_ARGS__ ";\n"
#define SPKI_D_COMPUTE(name, ...)                                                                 \
    const double name = (__VA_ARGS__);                                                            \
    spki_derived[SPKI_D_##name] = name;
#define SPKI_D_SETUP(name, ...)                                                                   \
    const char *const spki_dp_##name = spki_a->param[SPKI_P_COUNT + SPKI_D_##name];               \
    const size_t spki_dm_##name = spki_a->param_mask[SPKI_P_COUNT + SPKI_D_##name];               \
    real spki_dv_##name;                                                                          \
    memcpy(&spki_dv_##name, spki_dp_##name, sizeof(real));                                        \
    spki_varied |= spki_dm_##name;
#define SPKI_D_RELOAD(name, ...)                                                                  \
    memcpy(&spki_dv_##name, spki_dp_##name + (spki_at & spki_dm_##name), sizeof(real));
#define SPKI_D_LOAD(name, ...)                                                                    \
    const real name = spki_dv_##name;                                                             \
    (void)name;

#define SPKI_S_ENUM(name, ...) SPKI_S_##name,
#define SPKI_S_FIELD(name, value, ...)                                                            \
    {#name, SPKI_STATE_UNIT(__VA_ARGS__), SPKI_STATE_RELATIVE(__VA_ARGS__), 0.0},
#define SPKI_S_INIT(name, value, ...) spki_state[SPKI_S_##name] = (value);
#define SPKI_S_SETUP(name, ...) char *spki_sp_##name = spki_a->state[SPKI_S_##name];
#define SPKI_S_NEXT(name, ...) spki_sp_##name += spki_state_bytes;
#define SPKI_S_LOAD(name, ...)                                                                    \
    real name;                                                                                    \
    memcpy(&name, spki_sp_##name + spki_j, sizeof name);
#define SPKI_S_STORE(name, ...) memcpy(spki_sp_##name + spki_j, &name, sizeof name);
#define SPKI_S_SETUP16(name, ...)                                                                 \
    SPKI_S_SETUP(name, 0)                                                                         \
    const float spki_so_##name = (float)spki_a->state_offset[SPKI_S_##name];
#define SPKI_S_LOAD16(name, ...)                                                                  \
    real name = SPKI_BY_FLOAT(unpack16, spki_zero)(                                               \
                    spki_zero, (const uint16_t *)(const void *)(spki_sp_##name + spki_j / 2)) +  \
                spki_so_##name;
#define SPKI_S_STORE16(name, ...)                                                                 \
    {                                                                                             \
        spki_int spki_r;                                                                          \
        memcpy(&spki_r,                                                                           \
               spki_a->random + (SPKI_S_##name / 2) * spki_a->random_stride + spki_at / 4,        \
               sizeof spki_r);                                                                    \
        spki_r = (spki_r >> (16 * (SPKI_S_##name & 1))) & 0x1fff;                                 \
        SPKI_BY_FLOAT(pack16, spki_zero)(                                                         \
            name - spki_so_##name, (uint16_t *)(void *)(spki_sp_##name + spki_j / 2), spki_r);   \
    }

#define SPKI_I_ENUM(name, ...) SPKI_I_##name,
#define SPKI_I_FIELD(name, kind) {#name, #kind, 0, (double)(kind)},
#define SPKI_I_SETUP(name, ...)                                                                   \
    const char *spki_ip_##name = spki_a->input[SPKI_I_##name];                                    \
    const size_t spki_is_##name = spki_a->input_mask[SPKI_I_##name] & spki_group_bytes;
#define SPKI_I_NEXT(name, ...) spki_ip_##name += spki_is_##name;
#define SPKI_I_LOAD(name, ...)                                                                    \
    real name;                                                                                    \
    memcpy(&name, spki_ip_##name + spki_j, sizeof name);                                          \
    (void)name;

#define SPKI_ELEM_f1 float
#define SPKI_ELEM_f4 float
#define SPKI_ELEM_f8 float
#define SPKI_ELEM_f16 float
#define SPKI_ELEM_d1 double
#define SPKI_ELEM_d2 double
#define SPKI_ELEM_d4 double
#define SPKI_ELEM_d8 double

/* GCC does not unroll at -O2. Where four vectors are a group (floats with AVX-512), what does not
   change within it is then worked out once, a quarter of the instructions of a short text; long
   ones have nothing to gain. Longer loops that hold a branch GCC leaves as they are. */
#if defined(__GNUC__) && !defined(__clang__)
#define SPKI_UNROLL _Pragma("GCC unroll spki_unrolled")
#else
#define SPKI_UNROLL
#endif
#define SPKI_UNROLLED(text) (sizeof(text) < 1500 ? 4 : 1)

/* One kernel. S names the types; stored, setup, load and store are those of the state's format. */
#define SPKI_KERNEL(symbol, target, unrolled, S, stored, setup, load, store, PARAMS, DERIVED,     \
                    STATE, INPUTS, ...)                                                           \
    target static void symbol(const spki_kernel_args *spki_a)                                     \
    {                                                                                             \
        SPKI_NO_CONTRACT                                                                          \
        typedef spki_##S real;                                                                    \
        typedef spki_m##S mask;                                                                   \
        typedef spki_i##S spki_int;                                                               \
        typedef SPKI_ELEM_##S spki_elem;                                                          \
        enum { PARAMS(SPKI_P_ENUM) SPKI_P_COUNT };                                                \
        enum { DERIVED(SPKI_D_ENUM) SPKI_D_COUNT };                                               \
        enum { STATE(SPKI_S_ENUM) SPKI_S_COUNT };                                                 \
        enum { INPUTS(SPKI_I_ENUM) SPKI_I_COUNT };                                                \
        enum { spki_unrolled = unrolled, spki_lanes = sizeof(real) / sizeof(spki_elem) };         \
        const real spki_zero = {0};                                                               \
        const real dt = spki_zero + (spki_elem)spki_a->dt;                                        \
        const size_t spki_group_bytes = SPKI_GROUP * sizeof(spki_elem);                           \
        const size_t spki_state_bytes = SPKI_GROUP * sizeof(stored);                              \
        (void)dt;                                                                                 \
        (void)spki_state_bytes;                                                                   \
        (void)sizeof(spki_int);                                                                   \
        size_t spki_varied = 0; /* uniform parameters stay in registers */                        \
        PARAMS(SPKI_P_SETUP) DERIVED(SPKI_D_SETUP) STATE(setup) INPUTS(SPKI_I_SETUP)              \
        for (size_t spki_g = 0; spki_g < spki_a->groups; spki_g++) {                              \
            uint64_t spki_word = 0;                                                               \
            SPKI_UNROLL                                                                           \
            for (size_t spki_j = 0; spki_j < spki_group_bytes; spki_j += sizeof(real)) {          \
                const size_t spki_at = spki_g * spki_group_bytes + spki_j;                        \
                (void)spki_at;                                                                    \
                if (spki_varied) {                                                                \
                    PARAMS(SPKI_P_RELOAD) DERIVED(SPKI_D_RELOAD)                                  \
                }                                                                                 \
                PARAMS(SPKI_P_LOAD) DERIVED(SPKI_D_LOAD) STATE(load) INPUTS(SPKI_I_LOAD)          \
                mask spike = spki_zero > spki_zero;                                               \
                __VA_ARGS__                                                                       \
                STATE(store)                                                                      \
                spki_word = spki_word >> spki_lanes |                                             \
                            SPKI_BY_MASK(mask_bits, spike)(spike) << (SPKI_GROUP - spki_lanes);   \
            }                                                                                     \
            STATE(SPKI_S_NEXT) INPUTS(SPKI_I_NEXT)                                                \
            spki_a->spikes[spki_g] = spki_word;                                                   \
        }                                                                                         \
    }

/* The three precisions of one instruction set. */
#define SPKI_KERNELS(symbol, target, unrolled, F, D, ...)                                         \
    SPKI_KERNEL(SPKI_CAT3(symbol, _, F), target, unrolled, F, float, SPKI_S_SETUP, SPKI_S_LOAD,   \
                SPKI_S_STORE, __VA_ARGS__)                                                        \
    SPKI_KERNEL(SPKI_CAT3(symbol, _, D), target, unrolled, D, double, SPKI_S_SETUP, SPKI_S_LOAD,  \
                SPKI_S_STORE, __VA_ARGS__)                                                        \
    SPKI_KERNEL(SPKI_CAT3(symbol, _16_, F), target, 1, F, uint16_t, SPKI_S_SETUP16, SPKI_S_LOAD16,\
                SPKI_S_STORE16, __VA_ARGS__)
#define SPKI_KERNEL_ROW(symbol, F, D)                                                             \
    {                                                                                             \
        symbol##_##F, symbol##_##D, symbol##_16_##F                                               \
    }
#define SPKI_NO_KERNELS {0, 0, 0}

#if SPKI_HAVE_SSE2 || SPKI_HAVE_NEON || SPKI_HAVE_GENERIC
#define SPKI_KERNELS_BASE(symbol, unrolled, ...)                                                  \
    SPKI_KERNELS(symbol, SPKI_TARGET_BASE, unrolled, f4, d2, __VA_ARGS__)
#else
#define SPKI_KERNELS_BASE(symbol, unrolled, ...)
#endif
#if SPKI_HAVE_SSE2
#define SPKI_ROW_SSE2(symbol) SPKI_KERNEL_ROW(symbol, f4, d2)
#else
#define SPKI_ROW_SSE2(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_NEON
#define SPKI_ROW_NEON(symbol) SPKI_KERNEL_ROW(symbol, f4, d2)
#else
#define SPKI_ROW_NEON(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_GENERIC
#define SPKI_ROW_GENERIC(symbol) SPKI_KERNEL_ROW(symbol, f4, d2)
#else
#define SPKI_ROW_GENERIC(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_AVX2
#define SPKI_KERNELS_AVX2(symbol, unrolled, ...)                                                  \
    SPKI_KERNELS(symbol, SPKI_TARGET_AVX2, unrolled, f8, d4, __VA_ARGS__)
#define SPKI_ROW_AVX2(symbol) SPKI_KERNEL_ROW(symbol, f8, d4)
#else
#define SPKI_KERNELS_AVX2(symbol, unrolled, ...)
#define SPKI_ROW_AVX2(symbol) SPKI_NO_KERNELS
#endif
#if SPKI_HAVE_AVX512
#define SPKI_KERNELS_AVX512(symbol, unrolled, ...)                                                \
    SPKI_KERNELS(symbol, SPKI_TARGET_AVX512, unrolled, f16, d8, __VA_ARGS__)
#define SPKI_ROW_AVX512(symbol) SPKI_KERNEL_ROW(symbol, f16, d8)
#else
#define SPKI_KERNELS_AVX512(symbol, unrolled, ...)
#define SPKI_ROW_AVX512(symbol) SPKI_NO_KERNELS
#endif

#if defined(__NVCC__) /* hands GCC's pragmas on, and warns that it does not know them */
#define SPKI_QUIET_BEGIN                                                                          \
    _Pragma("nv_diagnostic push") _Pragma("nv_diag_suppress 1675")
#define SPKI_QUIET_END _Pragma("nv_diagnostic pop")
#elif defined(__GNUC__) && !defined(__clang__)
#define SPKI_QUIET_BEGIN                                                                          \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wpsabi\"")
#define SPKI_QUIET_END _Pragma("GCC diagnostic pop")
#else
#define SPKI_QUIET_BEGIN
#define SPKI_QUIET_END
#endif

/* Everything that a model needs, as `spki_def_<symbol>`. */
#define SPKI_MODEL(symbol, display, text, PARAMS, DERIVED, STATE, INPUTS, ...)                    \
    SPKI_QUIET_BEGIN                                                                              \
    SPKI_KERNELS(spki_k_##symbol, SPKI_TARGET_SCALAR, 1, f1, d1, PARAMS, DERIVED, STATE, INPUTS,  \
                 __VA_ARGS__)                                                                     \
    SPKI_KERNELS_BASE(spki_k_##symbol, SPKI_UNROLLED(text), PARAMS, DERIVED, STATE, INPUTS,       \
                      __VA_ARGS__)                                                                \
    SPKI_KERNELS_AVX2(spki_k_##symbol, SPKI_UNROLLED(text), PARAMS, DERIVED, STATE, INPUTS,       \
                      __VA_ARGS__)                                                                \
    SPKI_KERNELS_AVX512(spki_k_##symbol, SPKI_UNROLLED(text), PARAMS, DERIVED, STATE, INPUTS,     \
                        __VA_ARGS__)                                                              \
    SPKI_QUIET_END                                                                                \
    static void spki_derive_##symbol(const double *spki_given, double dt, double *spki_derived)   \
    {                                                                                             \
        SPKI_NO_CONTRACT                                                                          \
        enum { PARAMS(SPKI_P_ENUM) SPKI_P_COUNT };                                                \
        enum { DERIVED(SPKI_D_ENUM) SPKI_D_COUNT };                                               \
        (void)spki_given;                                                                         \
        (void)dt;                                                                                 \
        (void)spki_derived;                                                                       \
        PARAMS(SPKI_P_LOCAL) DERIVED(SPKI_D_COMPUTE)                                              \
    }                                                                                             \
    static void spki_init_##symbol(const double *spki_given, double dt, double *spki_state)       \
    {                                                                                             \
        SPKI_NO_CONTRACT                                                                          \
        enum { PARAMS(SPKI_P_ENUM) SPKI_P_COUNT };                                                \
        enum { STATE(SPKI_S_ENUM) SPKI_S_COUNT };                                                 \
        (void)spki_given;                                                                         \
        (void)dt;                                                                                 \
        (void)spki_state;                                                                         \
        PARAMS(SPKI_P_LOCAL) STATE(SPKI_S_INIT)                                                   \
    }                                                                                             \
    static const spki_model_field spki_param_##symbol[] = {PARAMS(SPKI_P_FIELD){0, 0, 0, 0}};     \
    static const spki_model_field spki_state_##symbol[] = {STATE(SPKI_S_FIELD){0, 0, 0, 0}};      \
    static const spki_model_field spki_input_##symbol[] = {INPUTS(SPKI_I_FIELD){0, 0, 0, 0}};     \
    static const char *const spki_derived_##symbol[] = {DERIVED(SPKI_D_NAME) 0};                  \
    static const struct spk_model_def spki_def_##symbol = {                                       \
        display,                                                                                  \
        (uint32_t)(sizeof spki_param_##symbol / sizeof(spki_model_field) - 1),                    \
        (uint32_t)(sizeof spki_derived_##symbol / sizeof(const char *) - 1),                      \
        (uint32_t)(sizeof spki_state_##symbol / sizeof(spki_model_field) - 1),                    \
        (uint32_t)(sizeof spki_input_##symbol / sizeof(spki_model_field) - 1),                    \
        spki_param_##symbol,                                                                      \
        spki_state_##symbol,                                                                      \
        spki_input_##symbol,                                                                      \
        spki_derived_##symbol,                                                                    \
        spki_derive_##symbol,                                                                     \
        spki_init_##symbol,                                                                       \
        {SPKI_NO_KERNELS, SPKI_KERNEL_ROW(spki_k_##symbol, f1, d1),                               \
         SPKI_ROW_SSE2(spki_k_##symbol), SPKI_ROW_AVX2(spki_k_##symbol),                          \
         SPKI_ROW_AVX512(spki_k_##symbol), SPKI_ROW_NEON(spki_k_##symbol),                        \
         SPKI_ROW_GENERIC(spki_k_##symbol)},                                                      \
        DERIVED(SPKI_D_TEXT) "",                                                                  \
        text}

/* In a file that nvcc compiles, the statements once more, for kernels that it makes of them
   (spikelib_cuda.cuh, SPIKELIB_CUDA_KERNELS): a template, which costs nothing where nobody uses it.
   spki_t says what real and mask are, and its namespace what spk_exp and its like are. */
#if (defined(__CUDACC__) && !defined(SPIKELIB_CUDA_NVRTC)) || defined(SPKI_CUDA_ON_CPU)
#define SPKI_ON_GPU static __device__ __forceinline__
#define SPKI_P_ON_GPU(name, ...)                                                                  \
    const real name = spki_p[SPKI_P_##name];                                                      \
    (void)name;
#define SPKI_D_ON_GPU(name, ...)                                                                  \
    const real name = spki_p[SPKI_P_COUNT + SPKI_D_##name];                                       \
    (void)name;
#define SPKI_S_ON_GPU(name, ...) real name = spki_s[SPKI_S_##name];
#define SPKI_S_OFF_GPU(name, ...) spki_s[SPKI_S_##name] = name;
#define SPKI_S_IS_V(name, ...) #name[0] == 'v' && #name[1] == 0 ? SPKI_S_##name:
#define SPKI_I_ON_GPU(name, ...)                                                                  \
    const real name = spki_i[SPKI_I_##name];                                                      \
    (void)name;
#define SPKI_I_KIND(name, kind) spki_k == SPKI_I_##name ? (int)(kind):
#define SPKI_MODEL_ON_GPU(symbol, PARAMS, DERIVED, STATE, INPUTS, ...)                            \
    struct spki_code_##symbol {                                                                   \
        enum { PARAMS(SPKI_P_ENUM) SPKI_P_COUNT };                                                \
        enum { DERIVED(SPKI_D_ENUM) SPKI_D_COUNT };                                               \
        enum { STATE(SPKI_S_ENUM) SPKI_S_COUNT };                                                 \
        enum { INPUTS(SPKI_I_ENUM) SPKI_I_COUNT };                                                \
        static spk_model model(void) { return &spki_def_##symbol; }                               \
        SPKI_ON_GPU constexpr int kind(int spki_k)                                                \
        {                                                                                         \
            return INPUTS(SPKI_I_KIND) spki_k * 0 - 1;                                            \
        }                                                                                         \
        SPKI_ON_GPU constexpr int shadow(void) { return STATE(SPKI_S_IS_V) - 1; }                 \
        template <class spki_t>                                                                   \
        SPKI_ON_GPU typename spki_t::mask step(                                                   \
            const typename spki_t::real *spki_p, typename spki_t::real *spki_s,                   \
            const typename spki_t::real *spki_i, const typename spki_t::real dt)                  \
        {                                                                                         \
            typedef typename spki_t::real real;                                                   \
            typedef typename spki_t::mask mask;                                                   \
            typedef typename spki_t::elem spki_elem;                                              \
            const typename spki_t::nil spki_zero = typename spki_t::nil();                        \
            (void)spki_zero;                                                                      \
            (void)sizeof(spki_elem);                                                              \
            (void)spki_p;                                                                         \
            (void)spki_s;                                                                         \
            (void)spki_i;                                                                         \
            (void)dt;                                                                             \
            PARAMS(SPKI_P_ON_GPU) DERIVED(SPKI_D_ON_GPU)                                          \
            STATE(SPKI_S_ON_GPU) INPUTS(SPKI_I_ON_GPU)                                            \
            mask spike = mask(false);                                                             \
            {                                                                                     \
                __VA_ARGS__                                                                       \
            }                                                                                     \
            STATE(SPKI_S_OFF_GPU)                                                                 \
            return spike;                                                                         \
        }                                                                                         \
    };
#else
#define SPKI_MODEL_ON_GPU(...)
#endif

/* See the top of this section. */
#define SPIKELIB_NEURON(name, PARAMS, DERIVED, STATE, INPUTS, ...)                                \
    SPKI_MODEL(name, #name, #__VA_ARGS__, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__);           \
    SPKI_MODEL_ON_GPU(name, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__)                          \
    __attribute__((unused)) static spk_model const name = &spki_def_##name;
/* The built-in ones differ only in having no variable of their name. */
#define SPKI_BUILTIN_NEURON(name, PARAMS, DERIVED, STATE, INPUTS, ...)                            \
    SPKI_MODEL(name, #name, #__VA_ARGS__, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__);           \
    SPKI_MODEL_ON_GPU(name, PARAMS, DERIVED, STATE, INPUTS, __VA_ARGS__)

#endif
