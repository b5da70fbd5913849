/* ---- >>kernel-batch: all steps of a batch in one launch, for devices that can meet ----
   Each group of items has some blocks of neurons, and for each slice: updates them, notes their
   spikes, meets all other groups, and delivers. With a tile a group, the tile's accumulators, and
   its states where there is room, stay in shared memory from the first step to the last: nobody
   else adds to them, and one meeting a slice is enough. Without, everybody delivers everywhere,
   and the groups meet once more. */

typedef struct spki_batch {
    const uint64_t *tiles;
    const uint32_t *rows, *words, *share, *group_id;
    uint32_t *counts, *ids, *list; /* of the slice at hand: a count and places a step and group */
    uint64_t places;               /* of one step */
    uint32_t group, tile_count, team, sofar;
} spki_batch;

/* The words of one step of this group of items become ids, in order. */
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

/* Where each group's spikes of a step begin among all; returns how many there are. */
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

/* Spike k of a step, in order of all groups. */
SPKI_DEVICE uint32_t spki_spike(const spki_batch *b, uint32_t s, const uint32_t *starts, uint32_t k)
{
    uint32_t low = 0, high = SPKI_GROUPS();
    while (high - low > 1u) { /* starts[low] <= k < starts[high] */
        const uint32_t middle = (low + high) / 2u;
        if (starts[middle] <= k) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return b->ids[s * b->places + (uint64_t)b->share[2u * low + 1u] * 64u + (k - starts[low])];
}

/* The spikes of step s, to this group's tile (`own`) or by all groups to all tiles. */
SPKI_DEVICE void spki_spread(const spki_batch *b, uint32_t s, const uint32_t *starts,
                             uint32_t total, int own, spki_acc *acc, uint64_t slots, uint32_t pos,
                             uint32_t ring)
{
    const uint32_t lane = SPKI_ITEM() % 32u, warp = SPKI_ITEM() / 32u, warps = SPKI_ITEMS() / 32u;
    const uint32_t tiles = own ? 1u : b->tile_count;
    const uint64_t all = (uint64_t)total * tiles;
    const uint64_t by = own ? warps : (uint64_t)warps * SPKI_GROUPS();
    /* neighbouring pairs go to different groups, so that all begin at once */
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

/* A tile's accumulators into shared memory, or back. */
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

/* A tile's states into shared memory, or back; `records` get what their populations' records say,
   with the places that states have there. `pieces` begins with where each tile's begin. */
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

/* `shared`: records_room words of records, the tile's accumulators, and its states where there are
   records; or nothing. */
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
    run.bits = sum; /* not used by votes */
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
