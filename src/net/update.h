/* ---- >>update: one step of a tile's neurons ---- */
#ifndef SPIKELIB_NET_UPDATE_H
#define SPIKELIB_NET_UPDATE_H

#include "lanes.h"
#include "rest.h"

SPKI_FN double spki_profile_clock(const spk_net *net)
{
    return net->profile ? spk_clock_seconds() : 0.0;
}

/* A block of neurons on its way through one step. */
typedef struct spki_block {
    spk_net *net;
    spki_tile *tile;
    const spki_population *pop;
    uint32_t population;
    uint32_t first, lanes, count; /* within the population; lanes a multiple of 64 */
    uint32_t lane;                /* within the tile */
    uint64_t step;
    const spki_lane_ops *ops;
    spki_scratch *scratch;
    bool look, still; /* whether states are watched, and have not changed so far */
} spki_block;

SPKI_FN char *spki_block_buffer(const spki_block *b, uint32_t k)
{
    return b->scratch->buffer + (size_t)k * SPKI_UPDATE_BLOCK * b->net->real_size;
}

SPKI_FN double spki_get_real(const spki_block *b, const char *at, uint32_t k)
{
    if (b->net->real_size == 8) {
        double x;
        memcpy(&x, at + (size_t)k * 8, 8);
        return x;
    }
    float x;
    memcpy(&x, at + (size_t)k * 4, 4);
    return (double)x;
}

/* out[k] += x in the network's precision. */
SPKI_FN void spki_add_real(const spki_block *b, char *out, uint32_t k, double x)
{
    if (b->net->real_size == 8) {
        spki_put_real(b->net, out, k, spki_get_real(b, out, k) + x);
    } else {
        float f;
        memcpy(&f, out + (size_t)k * 4, 4);
        f = f + (float)x;
        memcpy(out + (size_t)k * 4, &f, 4);
    }
}

/* 64-bit accumulators: rare, so plain code. Each sum is converted with one rounding. */
SPKI_FN void spki_take_wide(const spki_block *b, int64_t *acc, char *out, double quantum)
{
    for (uint32_t k = 0; k < b->lanes; k++) {
        if (b->net->real_size == 8) {
            spki_put_real(b->net, out, k, (double)acc[k] * quantum);
        } else {
            const float f = (float)acc[k] * (float)quantum;
            memcpy(out + (size_t)k * 4, &f, 4);
        }
        acc[k] = 0;
    }
}

/* The lanes [lo, hi) of the block that a part of a drive covers; false: none. */
SPKI_FN bool spki_part_lanes(const spki_block *b, const spki_drive_part *part, uint32_t *lo,
                             uint32_t *hi)
{
    const uint32_t end = b->first + b->count, part_end = part->first + part->count;
    *lo = SPKI_MAX(part->first, b->first);
    *hi = SPKI_MIN(part_end, end);
    if (*lo >= *hi) {
        return false;
    }
    *lo -= b->first;
    *hi -= b->first;
    return true;
}

/* Adds a buffer's lanes: whole vectors where the drive covers the block (its padding is masked). */
SPKI_FN void spki_add_lanes(const spki_block *b, char *out, const char *add, uint32_t lo,
                            uint32_t hi)
{
    if (lo == 0 && hi == b->count) {
        b->ops->add(out, add, b->lanes);
        return;
    }
    for (uint32_t k = lo; k < hi; k++) {
        spki_add_real(b, out, k, spki_get_real(b, add, k));
    }
}

SPKI_FN spki_word_address spki_block_address(const spki_block *b, uint64_t step, uint32_t stream)
{
    return spki_words_of(b->first / SPKI_GROUP, step, b->population << 16, stream,
                         b->net->desc.seed);
}

SPKI_FN void spki_block_words(const spki_block *b, uint64_t step, uint32_t stream)
{
    const spki_word_address a = spki_block_address(b, step, stream);
    b->ops->words(b->scratch->words, b->lanes / SPKI_GROUP, &a);
}

/* One rate and one weight for all. */
SPKI_FN bool spki_is_plain(const spki_drive *drive)
{
    return drive->kind == SPKI_DRIVE_POISSON && !drive->value.each && !drive->table_of;
}

SPKI_FN bool spki_is_on(const spki_drive *drive, uint64_t step)
{
    return step >= drive->start && step < drive->stop;
}

/* Events of a plain drive times their weight, for the whole block: out = x, or out += x. */
SPKI_FN void spki_draw_poisson(const spki_block *b, const spki_drive_part *part, char *out,
                               bool add)
{
    const spki_drive *drive = &b->net->drive[part->drive];
    const spki_word_address a = spki_block_address(b, b->step, SPKI_STREAM_DRIVE | part->drive);
    const double w = part->magnitude && drive->value.uniform < 0.0 ? -drive->value.uniform
                                                                   : drive->value.uniform;
    b->ops->poisson(&a, out, b->lanes, &drive->table[0], w, add);
}

/* Where a thread that waited has drawn, or draws, the block's share of a drive. */
SPKI_INLINE char *spki_ahead_at(const spki_block *b, const spki_drive_part *part)
{
    return b->tile->ahead + ((size_t)part->ahead * b->tile->lanes + b->lane) * b->net->real_size;
}

SPKI_INLINE bool spki_is_ahead(const spki_block *b, const spki_drive_part *part)
{
    return part->ahead != SPKI_NOT_AHEAD && b->step == b->tile->ahead_step &&
           b->lane < b->tile->ahead_lane;
}

/* Poisson events of one part of a drive that reach receptor r. */
SPKI_FN void spki_add_poisson(const spki_block *b, const spki_drive_part *part, uint32_t r,
                              char *out)
{
    const spki_drive *drive = &b->net->drive[part->drive];
    const bool plain = spki_is_plain(drive);
    uint32_t lo, hi;
    if (r != part->receptor_pos && r != part->receptor_neg) {
        return;
    }
    if (plain && r != (drive->value.uniform < 0.0 ? part->receptor_neg : part->receptor_pos)) {
        return;
    }
    if (!spki_part_lanes(b, part, &lo, &hi)) {
        return;
    }
    if (plain && spki_is_ahead(b, part)) {
        b->ops->add(out, spki_ahead_at(b, part), b->lanes);
        return;
    }
    if (plain && lo == 0 && hi == b->count) {
        spki_draw_poisson(b, part, out, true);
        return;
    }
    if (plain) {
        char *tmp = spki_block_buffer(b, b->net->extent.inputs);
        spki_draw_poisson(b, part, tmp, false);
        spki_add_lanes(b, out, tmp, lo, hi);
        return;
    }
    spki_block_words(b, b->step, SPKI_STREAM_DRIVE | part->drive);
    for (uint32_t k = lo; k < hi; k++) {
        const uint32_t index = part->index + b->first + k - part->first;
        const spki_poisson_table *t = &drive->table[drive->table_of ? drive->table_of[index] : 0];
        const double w = spki_param_at(&drive->value, index);
        const int32_t u = (int32_t)(b->scratch->words[k] ^ 0x80000000u);
        uint32_t events = 0;
        if (r != (w < 0.0 ? part->receptor_neg : part->receptor_pos)) {
            continue;
        }
        while (events < t->count && u >= t->threshold[events]) {
            events++;
        }
        const double amount = part->magnitude && w < 0.0 ? -w : w;
        if (b->net->real_size == 8) {
            spki_add_real(b, out, k, (double)(t->base + events) * amount);
        } else {
            spki_add_real(b, out, k, (double)((float)(t->base + events) * (float)amount));
        }
    }
}

/* What synapses, Poisson drives and the host bring to receptor r. */
SPKI_FN void spki_receptor_input(const spki_block *b, uint32_t r, char *out)
{
    const size_t at = (size_t)r * b->tile->lanes + b->lane;
    if (b->net->accumulator_bits == 32) {
        b->ops->take((int32_t *)b->tile->acc + at, out, b->lanes, b->pop->quantum[r]);
    } else {
        spki_take_wide(b, (int64_t *)b->tile->acc + at, out, b->pop->quantum[r]);
    }
    for (uint32_t k = 0; k < b->pop->parts; k++) {
        const spki_drive_part *part = &b->net->part[b->pop->part + k];
        const spki_drive *drive = &b->net->drive[part->drive];
        if (drive->kind == SPKI_DRIVE_POISSON && spki_is_on(drive, b->step)) {
            spki_add_poisson(b, part, r, out);
        }
    }
    for (uint32_t k = 0; b->pop->has_amount && b->pop->amount[r] && k < b->count; k++) {
        spki_add_real(b, out, k, b->pop->amount[r][b->first + k]);
        b->pop->amount[r][b->first + k] = 0.0;
    }
}

/* The sum of all currents into `out`; false: there is none. */
SPKI_FN bool spki_current_input(const spki_block *b, char *out)
{
    bool any = b->pop->current != NULL;
    if (!any && !b->pop->parts) {
        return false;
    }
    memset(out, 0, b->lanes * b->net->real_size);
    for (uint32_t k = 0; k < b->pop->parts; k++) {
        const spki_drive_part *part = &b->net->part[b->pop->part + k];
        const spki_drive *drive = &b->net->drive[part->drive];
        uint32_t lo, hi;
        if (drive->kind != SPKI_DRIVE_CURRENT || !spki_is_on(drive, b->step) ||
            !spki_part_lanes(b, part, &lo, &hi)) {
            continue;
        }
        any = true;
        for (uint32_t j = lo; j < hi; j++) {
            spki_add_real(b, out, j,
                          spki_param_at(&drive->value, part->index + b->first + j - part->first));
        }
        if (drive->noise_sd > 0.0) {
            char *tmp = spki_block_buffer(b, b->net->extent.inputs);
            spki_block_words(b, (b->step - drive->start) / drive->noise_steps,
                             SPKI_STREAM_DRIVE | part->drive);
            b->ops->normal(b->scratch->words, tmp, b->lanes, drive->noise_sd);
            spki_add_lanes(b, out, tmp, lo, hi);
        }
    }
    for (uint32_t k = 0; b->pop->current && k < b->count; k++) {
        spki_add_real(b, out, k, b->pop->current[b->first + k]);
    }
    return any;
}

/* Whether receptors are sure to have got nothing: their accumulators are clear then. */
SPKI_INLINE bool spki_no_input(const spki_block *b)
{
    return !b->tile->arrived && !b->pop->parts && !b->pop->has_amount;
}

SPKI_FN void spki_gather_inputs(const spki_block *b)
{
    const spk_model model = b->pop->model;
    spki_scratch *s = b->scratch;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < model->input_count; k++) {
        const int kind = (int)(model->input[k].value + 0.5);
        char *out = spki_block_buffer(b, k);
        s->input[k] = out;
        s->input_mask[k] = ~(size_t)0;
        if (kind <= SPK_INH && spki_no_input(b)) {
            s->input[k] = s->zero;
            s->input_mask[k] = 0;
            receptor++;
        } else if (kind <= SPK_INH) {
            spki_receptor_input(b, receptor++, out);
        } else if (kind == SPK_RANDOM) {
            spki_block_words(b, b->step, SPKI_STREAM_INPUT | k);
            b->ops->uniform(s->words, out, b->lanes);
        } else if (!spki_current_input(b, out)) {
            s->input[k] = s->zero;
            s->input_mask[k] = 0;
        }
    }
}

/* Random bits that round the 16-bit states: a word for each two of them. */
SPKI_FN void spki_gather_random(const spki_block *b)
{
    const uint32_t words = (b->pop->model->state_count + 1) / 2;
    for (uint32_t k = 0; k < words; k++) {
        const spki_word_address a = spki_block_address(b, b->step, SPKI_STREAM_STORAGE | k);
        b->ops->words(b->scratch->random + (size_t)k * SPKI_UPDATE_BLOCK, b->lanes / SPKI_GROUP,
                      &a);
    }
}

/* Keeps the states of the block, or compares them with those that were kept. */
SPKI_FN bool spki_watch_states(const spki_block *b, bool keep)
{
    const size_t bytes = b->lanes * b->net->state_size;
    bool same = true;
    for (uint32_t k = 0; k < b->pop->model->state_count; k++) {
        char *kept = b->scratch->before + (size_t)k * SPKI_UPDATE_BLOCK * b->net->real_size;
        if (keep) {
            memcpy(kept, b->scratch->state[k], bytes);
        } else {
            same = same && memcmp(kept, b->scratch->state[k], bytes) == 0;
        }
    }
    return same;
}

/* Runs the model's kernel on the block; `spikes` gets a word for each 64 neurons. */
SPKI_FN void spki_update_block(spki_block *b, uint64_t *spikes)
{
    const spk_model model = b->pop->model;
    spki_scratch *s = b->scratch;
    const uint32_t reals = model->param_count + model->derived_count;
    const double t0 = spki_profile_clock(b->net);
    spki_gather_inputs(b);
    if (b->net->desc.precision == SPK_FLOAT16) {
        spki_gather_random(b);
    }
    const double input_s = spki_profile_clock(b->net) - t0;
    s->input_s += input_s;
    s->update_s -= input_s;
    for (uint32_t k = 0; k < reals; k++) {
        s->param_mask[k] = b->pop->real_mask[k];
        s->param[k] = b->pop->real[k] + (s->param_mask[k] & (b->first * b->net->real_size));
    }
    for (uint32_t k = 0; k < model->state_count; k++) {
        s->state[k] = b->pop->state[k] + (size_t)b->first * b->net->state_size;
    }
    spki_kernel_args args;
    args.groups = b->lanes / SPKI_GROUP;
    args.param = s->param;
    args.param_mask = s->param_mask;
    args.state = s->state;
    args.state_offset = b->pop->state_offset;
    args.input = s->input;
    args.input_mask = s->input_mask;
    args.random = s->random;
    args.random_stride = SPKI_UPDATE_BLOCK;
    args.spikes = spikes;
    args.dt = b->net->desc.dt_ms;
    if (b->look) {
        (void)spki_watch_states(b, true);
    }
    model->kernel[b->net->isa][b->net->desc.precision](&args);
    b->still = b->look && b->still && spki_watch_states(b, false);
    if (b->pop->shadow) {
        spki_update_shadows(b->net, b->pop, b->first / SPKI_GROUP, s, args);
    }
}

/* Adds the spikes that lists and the host ask for in this step. */
SPKI_FN void spki_add_told(spk_net *net, spki_piece *piece, uint64_t step, uint64_t *spikes)
{
    spki_population *pop = &net->population[piece->population];
    const uint64_t stamp = step + 1;
    while (piece->list_cursor < pop->list.count && pop->list.step[piece->list_cursor] <= stamp) {
        const size_t k = piece->list_cursor++;
        const uint32_t n = pop->list.neuron[k] - piece->first;
        if (pop->list.step[k] == stamp && n < piece->count) {
            spikes[n / 64] |= (uint64_t)1 << (n % 64);
        }
    }
    if (pop->has_forced) {
        const uint32_t base = piece->first / 64;
        for (uint32_t k = 0; k < (piece->count + 63) / 64; k++) {
            spikes[k] |= pop->forced[base + k];
            pop->forced[base + k] = 0;
        }
    }
}

/* What the blocks of a piece share. */
SPKI_FN spki_block spki_piece_block(spk_net *net, spki_tile *tile, const spki_piece *piece,
                                    uint64_t step)
{
    spki_block b;
    memset(&b, 0, sizeof b);
    b.net = net;
    b.tile = tile;
    b.pop = &net->population[piece->population];
    b.population = piece->population;
    b.step = step;
    b.ops = spki_lanes_for(net->isa, net->real_size);
    return b;
}

/* The block whose first lane is `at` lanes into the piece. */
SPKI_FN void spki_block_move(spki_block *b, const spki_piece *piece, uint32_t at)
{
    const uint32_t lanes = (piece->count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP;
    b->first = piece->first + at;
    b->lane = piece->lane + at;
    b->lanes = SPKI_MIN(SPKI_UPDATE_BLOCK, lanes - at);
    b->count = SPKI_MIN(SPKI_UPDATE_BLOCK, piece->count - at);
}

/* One step of a piece; its spikes go to `spikes`. */
SPKI_FN void spki_update_piece(spk_net *net, spki_tile *tile, spki_piece *piece,
                               spki_scratch *scratch, uint64_t step, uint64_t *spikes)
{
    const uint32_t lanes = (piece->count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP;
    const bool resting = step < piece->rest_until, due = step >= piece->look_at;
    const bool touched = (resting || due) && spki_piece_touched(net, tile, piece);
    uint64_t any = 0;
    if (resting && !touched) {
        spki_rest(net, piece, spikes);
        return;
    }
    spki_block b = spki_piece_block(net, tile, piece, step);
    b.scratch = scratch;
    b.look = b.still = due && !touched;
    for (uint32_t at = 0; at < lanes; at += SPKI_UPDATE_BLOCK) {
        spki_block_move(&b, piece, at);
        spki_update_block(&b, spikes + at / SPKI_GROUP);
    }
    if (piece->count % 64) {
        spikes[lanes / 64 - 1] &= ((uint64_t)1 << (piece->count % 64)) - 1;
    }
    spki_add_told(net, piece, step, spikes);
    for (uint32_t k = 0; k < lanes / 64; k++) {
        any |= spikes[k];
    }
    piece->blank = any ? 0 : SPKI_MIN(piece->blank + 1, net->ring);
    piece->rest_until = 0;
    if (b.look) {
        spki_looked(net, piece, step, b.still && !any);
    }
}

/* One step of all neurons of a tile; their spikes go to the history and, as ids, to `out`. */
SPKI_FN uint32_t spki_update_tile(spk_net *net, spki_tile *tile, spki_scratch *scratch,
                                  uint64_t step, uint32_t *out)
{
    uint64_t *row = net->history + (size_t)(step & (net->ring - 1)) * (net->lanes / SPKI_GROUP);
    uint32_t n = 0;
    for (uint32_t p = 0; p < tile->pieces; p++) {
        spki_piece *piece = &tile->piece[p];
        const spki_population *pop = &net->population[piece->population];
        uint64_t *spikes = row + (pop->lane + piece->first) / SPKI_GROUP;
        const uint32_t id = pop->first + piece->first;
        spki_update_piece(net, tile, piece, scratch, step, spikes);
        for (uint32_t k = 0; !piece->blank && k < (piece->count + 63) / 64; k++) {
            for (uint64_t word = spikes[k]; word; word &= word - 1) {
                out[n++] = id + k * 64 + (uint32_t)__builtin_ctzll(word);
            }
        }
    }
    tile->spikes += n;
    return n;
}

#endif
