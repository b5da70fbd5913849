/* ---- >>kernel-engine: inputs, random numbers and states of the neurons of one item ---- */

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

/* What every function below reads. The host's side of the layout is plan.h. */
typedef struct spki_env {
    SPKI_GLOBAL const uint64_t *desc, *pop;
    SPKI_GLOBAL const spki_elem *value; /* parameters, weights, currents: one or one a neuron */
    SPKI_GLOBAL const uint32_t *table;  /* of Poisson drives */
    SPKI_GLOBAL const spki_elem *told;  /* injected inputs and currents */
    SPKI_GLOBAL spki_stored *state;
    SPKI_GLOBAL spki_acc *acc;
    uint64_t step, at_acc, stride;
    uint32_t seed0, seed1, group, low, amounts, arrived;
} spki_env;

/* -- random numbers: the 64 neurons of a group share 16 counters; word w of counter l is that of
   neuron 16 w + l -- */

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

/* Source: Wichura, Applied Statistics 37:477 (1988), PPND7; the same as the CPU's. */
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

/* Events of a Poisson process: the thresholds that the word reaches, and a base. What comparing
   gives is summed up as it is (-1 in vectors) and negated at the end: where a compiler joins the
   two, Oclgrind 21.10 makes 255 of the 1. */
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

/* -- inputs: `x` holds the four vectors of neurons 16 w + low of the group -- */

/* Adds where the part covers the neuron. */
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

/* Neurons with rates, weights or receptors of their own. */
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

/* What synapses bring to vector w of receptor r, which is 0 from then on. */
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
    if (SPKI_ANY_ACCS(in)) { /* most are 0 already */
        SPKI_ALIGNED(spki_accs, acc) = SPKI_NIL(spki_accs);
    }
#endif
    return SPKI_TO_REAL(in) * (spki_zero + quantum);
}

/* What synapses, Poisson drives and the host bring to receptor r. */
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
/* The same of vector w alone, where no drive acts: nothing has to be drawn for four at a time. */
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

/* The sum of all currents. */
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

/* -- states -- */

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

/* `random`: a word for each two states, which rounds 16-bit storage. */
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
/* Where the shadow of this group's neurons is, behind the states (>>shadow): so many words; or
   nowhere. */
SPKI_DEVICE SPKI_GLOBAL float *spki_shadow(const spki_env *e, uint32_t words)
{
    const uint64_t groups = e->pop[SPKI_POP_GROUPS], shadows = e->pop[SPKI_POP_SHADOWS];
    const uint64_t slot = e->group * shadows / groups;
    return (e->group + 1u) * shadows / groups == slot
               ? 0
               : (SPKI_GLOBAL float *)e->state + (e->pop[SPKI_POP_SHADOW] + slot * words);
}

/* Adds to what stands behind the shadow's states: the distance, spikes, the shadow's spikes. */
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

/* Bit k of the result: lane k spiked. */
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

/* -- the loops around a model's statements: over the items of a block, the steps of a slice, and
   the four vectors of an item -- */

#define SPKI_ITEMS_OF_GROUP (16u / SPKI_LANES)
#if SPKI_LANES > 1
/* An item of a CPU device does whole groups, one after the other, a step at a time: states stay in
   its first cache, and accumulators come in the order in which they lie. */
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
/* An item of a GPU does neurons low, low + 16, low + 32 and low + 48 of one group. Its 16 items run
   together, and vote. */
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
/* Without votes, the group's bits meet in local memory. */
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

/* The slice at hand. `pos` is the place of its first step in the ring of accumulators, which begins
   with slot `acc_first` of each step. */
typedef struct spki_run {
    SPKI_GLOBAL uint64_t *history;
    SPKI_GLOBAL const uint32_t *arrived; /* a word a tile and slot of the ring: is it not empty? */
    SPKI_LOCAL uint32_t *bits;
    uint64_t first, slots, acc_first;
    uint32_t steps, pos, ring, mask, row, amounts;
} spki_run;

SPKI_DEVICE uint64_t spki_row(const spki_run *run, uint32_t s)
{
    return ((run->first + s) & run->mask) * run->row;
}

/* Neurons that exist: the last group of a population has lanes to spare. */
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
    e->arrived = 1; /* who delivers to a tile is not one item, and would have to ask the others */
#endif
}
