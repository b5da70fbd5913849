/* ---- >>kernel-models: the loop around a model's statements, where nvcc compiles them ----
   What >>gpu-source writes for a network's models, as templates of the classes that SPIKELIB_NEURON
   defines. Each model is there twice: with parameters that all neurons share, and with any of them
   each neuron's own. */

#if SPKI_HALF
/* The statements once more, for the shadow of the item's neuron (>>shadow). */
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

/* What does not change within a block. */
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

/* The inputs of all four neurons of an item. */
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

/* The parameters of one neuron. */
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

/* One neuron; true: it spiked. */
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

/* A set of models; a record's number of its model is twice the place here, and one more where
   parameters are each neuron's own. */
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
