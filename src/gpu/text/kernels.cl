/* ---- >>kernel-entries: the kernels ---- */

#ifndef SPKI_OF_SET /* code that nvcc compiles is a template of a set of models */
#define SPKI_OF_SET
#define SPKI_WITH_SET(name) name
#endif

/* Kernels that are recorded and run again (>>gpu-replay) find in memory what has changed since:
   the step that their own steps count from, its place in the ring, where it begins in the list,
   and the list. Elsewhere there is no such argument, or it is 0. */
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

/* The steps of a slice for one block of neurons, of the population whose record is e->pop. */
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

/* All steps of a slice, a group of items a block. */
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

/* Spikes that lists and the host ask for: bits of one step's row of the history. */
SPKI_ENTRY(spki_tell)(SPKI_GLOBAL const uint32_t *lane, SPKI_GLOBAL uint32_t *history,
                      uint64_t row, uint32_t first, uint32_t count)
{
    const uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM();
    const uint32_t n = k < count ? lane[first + k] : 0xffffffffu;
    if (n != 0xffffffffu) { /* a lane of another device */
        (void)SPKI_GLOBAL_OR(&history[row + n / 32u], 1u << (n % 32u));
    }
}

/* -- compaction: the words of each step, cut into `parts`, become a list of ids in order -- */

/* The sum of what the group's items before this one have; `all` gets the whole. */
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

/* Turns the counts of `steps` x `parts` into starts behind start[at], one group of items. */
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

/* With one part nothing has been counted: each group of items has some of the steps, and counts
   those before. */
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

/* -- delivery: a row is the number of its buckets, two counts for each (steps since the delay of
   the one before, and synapses), then the synapses in order of their delay: slot | weight << 16, or
   slot and weight. Flat rows, and weights of 8 bits: >>gpu-pack. This is the only reader of rows on
   a device. -- */

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

/* Where a tile's words begin, and what they are like. */
#define SPKI_WORDS_OF(layout) ((layout) & (((uint64_t)1 << 40) - 1))
#define SPKI_WIDE_COUNTS ((uint64_t)1 << 63)
#define SPKI_SHORTEST_OF(layout) ((uint32_t)((layout) >> 40) & 0xffffu)
#define SPKI_FLAT_BITS(layout) ((uint32_t)((layout) >> 56) & 31u)

/* A flat row, whose synapses go round among `items`. */
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

/* `team` of `teams` items share each bucket; buckets go round among the `crews`. Arrivals earlier
   than `age` steps after the spike are past. `layout`: of the tile's rows. The owner of a tile
   notes in `arrived` which slots of the ring are no longer empty. With `near`, arrivals go to local
   memory, which begins with those of a delay of SPKI_LOCAL_FIRST. */
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
/* All that a slice brings to one tile, which is this group's: added up in local memory, a team a
   spike, and then written, by nobody else. */
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

/* The spikes of `steps` steps, whose list begins at `at`. `tiles` holds, for each tile, the start
   of its rows' index, of its words (and what these are like) and of its accumulators. */
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
    for (uint32_t s = 0; age == 0 && s < steps; s++) { /* the neurons have taken what was there */
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

/* States of chosen neurons, as stored. */
SPKI_ENTRY(spki_sample)(SPKI_GLOBAL const uint32_t *index, SPKI_GLOBAL const spki_stored *state,
                        SPKI_GLOBAL spki_stored *out, uint64_t to, uint32_t from, uint32_t count)
{
    for (uint32_t k = SPKI_GROUP_ID() * SPKI_ITEMS() + SPKI_ITEM(); k < count;
         k += SPKI_GROUPS() * SPKI_ITEMS()) {
        out[to + k] = state[index[from + k]];
    }
}

#if defined(SPKI_REPLAYED)
/* One item, in front of a replay: what it is to begin with. */
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
