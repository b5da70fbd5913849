/* ---- >>synapses: reading and writing the weights of a built network ---- */
#ifndef SPIKELIB_NET_SYNAPSES_H
#define SPIKELIB_NET_SYNAPSES_H

#include "build.h"
#include "prepare.h"
#include "queue.h"

/* One synapse and where it is stored. */
typedef struct spki_synapse_at {
    spk_synapse synapse;
    uint32_t tile, word, slot; /* word: its own, or its bucket's where the row is narrow */
    int32_t stored;
    bool narrow;
    double quantum;
} spki_synapse_at;

/* The neuron and receptor behind a slot of a tile. */
SPKI_FN const spki_population *spki_slot_target(const spk_net *net, const spki_tile *tile,
                                                uint32_t slot, uint32_t *id, uint32_t *receptor)
{
    const uint32_t lane = slot % tile->lanes;
    uint32_t p = 0;
    while (p + 1 < tile->pieces && tile->piece[p + 1].lane <= lane) {
        p++;
    }
    const spki_population *pop = &net->population[tile->piece[p].population];
    *receptor = slot / tile->lanes;
    *id = pop->first + tile->piece[p].first + lane - tile->piece[p].lane;
    return pop;
}

/* The synapses of one source in one tile that reach the view; writes at most `room`. */
SPKI_FN size_t spki_row_synapses(const spk_net *net, uint32_t t, uint32_t source,
                                 const spki_view *post, spki_synapse_at *out, size_t room)
{
    const spki_tile *tile = &net->tile[t];
    const uint32_t per = spki_synapse_words(net);
    spki_row_reader row;
    size_t n = 0;
    spki_row_open(&row, tile, source, per);
    while (spki_row_next(&row)) {
        spki_slots slots;
        spki_slots_open(&slots, tile->words + row.at, row.masks);
        for (uint32_t k = 0; k < row.count; k++) {
            const uint32_t at = row.at + (row.narrow ? 0 : k * per);
            const uint32_t *word = tile->words + at;
            const uint32_t slot = row.narrow ? spki_slots_next(&slots)
                                  : per == 2 ? *word
                                             : *word & 0xffffu;
            uint32_t id, receptor;
            const spki_population *pop = spki_slot_target(net, tile, slot, &id, &receptor);
            if (spki_view_index(post, id) == UINT32_MAX) {
                continue;
            }
            if (n < room) {
                spki_synapse_at *s = &out[n];
                s->stored = row.narrow ? row.weight
                            : per == 2 ? (int32_t)word[1]
                                       : (int32_t)*word >> 16;
                s->narrow = row.narrow;
                s->slot = slot;
                s->quantum = pop->quantum[receptor];
                if (pop->model->input[pop->receptor_input[receptor]].value > 1.5) {
                    s->quantum = -s->quantum; /* SPK_INH stores magnitudes */
                }
                s->tile = t;
                s->word = at;
                s->synapse.source = source;
                s->synapse.target = id;
                s->synapse.delay_steps = row.delay;
                s->synapse.receptor = receptor;
                s->synapse.weight = (double)s->stored * s->quantum + 0.0;
            }
            n++;
        }
    }
    return n;
}

SPKI_FN bool spki_synapse_before(const spki_synapse_at *a, const spki_synapse_at *b)
{
    const spk_synapse *x = &a->synapse, *y = &b->synapse;
    return x->source != y->source             ? x->source < y->source
           : x->target != y->target           ? x->target < y->target
           : x->delay_steps != y->delay_steps ? x->delay_steps < y->delay_steps
           : x->weight != y->weight           ? x->weight < y->weight
                                              : a->word < b->word;
}

SPKI_FN void spki_synapse_sift(spki_synapse_at *s, size_t k, size_t n)
{
    for (;;) {
        size_t big = 2 * k + 1;
        if (big >= n) {
            return;
        }
        big += big + 1 < n && spki_synapse_before(&s[big], &s[big + 1]);
        if (!spki_synapse_before(&s[k], &s[big])) {
            return;
        }
        const spki_synapse_at swap = s[k];
        s[k] = s[big];
        s[big] = swap;
        k = big;
    }
}

SPKI_FN void spki_sort_synapses(spki_synapse_at *s, size_t n)
{
    for (size_t k = n / 2; k-- > 0;) {
        spki_synapse_sift(s, k, n);
    }
    for (size_t k = n; k-- > 1;) {
        const spki_synapse_at swap = s[0];
        s[0] = s[k];
        s[k] = swap;
        spki_synapse_sift(s, 0, k);
    }
}

/* All synapses between two views in order: how many (with `out` NULL), or filled in. */
SPKI_FN size_t spki_find_synapses(const spk_net *net, const spki_view *pre, const spki_view *post,
                                  spki_synapse_at *out, size_t room)
{
    size_t n = 0;
    for (uint32_t r = 0; r < pre->ranges; r++) {
        for (uint32_t k = 0; k < pre->range[r].count; k++) {
            for (uint32_t t = 0; t < net->tiles; t++) {
                n += spki_row_synapses(net, t, pre->range[r].first + k, post, out ? out + n : NULL,
                                       room > n ? room - n : 0);
            }
        }
    }
    if (out) {
        spki_sort_synapses(out, SPKI_MIN(n, room));
    }
    return n;
}

SPKI_FN spk_result spki_check_synapses(spk_net *net, spk_pop source, spk_pop target,
                                       const spki_view **pre, const spki_view **post)
{
    if (!net->built) {
        return spki_decline(net, SPK_ERR_STATE, "synapses: the network is not built yet");
    }
    const spk_result result = spki_may_change(net, "synapses");
    if (result != SPK_OK) {
        return result;
    }
    *pre = spki_check_view(net, source, "synapses");
    *post = *pre ? spki_check_view(net, target, "synapses") : NULL;
    return *post ? spki_fetch_rows(net) : SPK_ERR_HANDLE;
}

SPIKELIB_API spk_result spk_net_synapses(spk_net *net, spk_pop source, spk_pop target,
                                         spk_synapse *synapses, size_t capacity, size_t *count)
{
    const spki_view *pre, *post;
    if (!net || !count) {
        return SPK_ERR_NULL;
    }
    *count = 0;
    spk_result result = spki_check_synapses(net, source, target, &pre, &post);
    if (result != SPK_OK) {
        return result;
    }
    const size_t n = spki_find_synapses(net, pre, post, NULL, 0);
    *count = n;
    if (!synapses || !capacity) {
        return SPK_OK;
    }
    spki_synapse_at *at = (spki_synapse_at *)spki_alloc_raw(&net->mem, n, sizeof *at);
    if (!at) {
        return spki_no_memory(net, "a list of synapses");
    }
    (void)spki_find_synapses(net, pre, post, at, n);
    for (size_t k = 0; k < SPKI_MIN(n, capacity); k++) {
        synapses[k] = at[k].synapse;
    }
    spki_free(&net->mem, at, n, sizeof *at);
    return SPK_OK;
}

/* What a weight becomes in storage; false: it does not fit there. */
SPKI_FN bool spki_store_weight(const spk_net *net, const spki_synapse_at *s, double w,
                               int32_t *stored)
{
    const double most = (double)spki_most_weight(net->desc.weight_bits);
    uint32_t id, receptor;
    const spki_population *pop =
        spki_slot_target(net, &net->tile[s->tile], s->slot, &id, &receptor);
    const double kind = pop->model->input[pop->receptor_input[receptor]].value;
    double q = w / s->quantum;
    if ((kind > 0.5 && q < 0.0) || !(q <= most && q >= -most)) {
        return false;
    }
    q = (q + 6755399441055744.0) - 6755399441055744.0;
    *stored = (int32_t)q;
    return true;
}

/* Writes a row's synapses with a weight each behind `out`; returns where it ends. */
SPKI_FN uint32_t *spki_widen_row(const spki_tile *tile, uint32_t id, uint32_t *out)
{
    spki_row_reader row;
    spki_row_open(&row, tile, id, 1);
    const uint32_t head = spki_row_head(row.left, tile->count_bytes, false);
    uint32_t *to = out + head;
    uint8_t *entry = (uint8_t *)(out + 1);
    out[head - 1] = 0; /* the padding */
    out[0] = row.left;
    for (uint32_t before = 0; spki_row_next(&row); before = row.delay) {
        spki_put_count(&entry, row.delay - before, tile->count_bytes);
        spki_put_count(&entry, row.count, tile->count_bytes);
        spki_slots slots;
        spki_slots_open(&slots, tile->words + row.at, row.masks);
        for (uint32_t k = 0; k < row.count; k++) {
            *to++ = row.narrow ? spki_slots_next(&slots) | (uint32_t)row.weight << 16
                               : tile->words[row.at + k];
        }
    }
    return to;
}

/* Gives every synapse of a tile a weight of its own. */
SPKI_FN spk_result spki_widen_tile(spk_net *net, spki_tile *tile)
{
    size_t words = 1;
    for (uint32_t id = 0; id < net->neurons; id++) {
        spki_row_reader row;
        spki_row_open(&row, tile, id, 1);
        words += tile->row[id] ? spki_row_head(row.left, tile->count_bytes, false) : 0;
        while (spki_row_next(&row)) {
            words += row.count;
        }
    }
    const size_t capacity = words + SPKI_COPIED;
    if (capacity > SPKI_MOST_WORDS) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "weights that differ: a tile would have more than 2^31 words");
    }
    uint32_t *wide = (uint32_t *)spki_alloc_raw(&net->mem, capacity, sizeof *wide), *to = wide;
    if (!wide) {
        return spki_no_memory(net, "weights that differ");
    }
    *to++ = 0;
    for (uint32_t id = 0; id < net->neurons; id++) {
        uint32_t *const start = to;
        if (tile->row[id]) {
            to = spki_widen_row(tile, id, start);
            tile->row[id] = (uint32_t)(start - wide);
        }
    }
    spki_free(&net->mem, tile->words, tile->words_capacity, sizeof *tile->words);
    tile->words = wide;
    tile->words_used = words;
    tile->words_capacity = capacity;
    tile->narrow = tile->masked = 0;
    return SPK_OK;
}

/* Widens the tiles in which a synapse of a narrow row gets a weight of its own. What is on its way
   is recalled first, since it says where its buckets are. `moved`: some were. */
SPKI_FN spk_result spki_widen_for(spk_net *net, const spki_synapse_at *at, const double *weights,
                                  size_t n, bool *moved)
{
    spk_result result = SPK_OK;
    *moved = false;
    for (size_t k = 0; k < n && result == SPK_OK; k++) {
        spki_tile *tile = &net->tile[at[k].tile];
        int32_t stored = 0;
        if (!tile->narrow || !at[k].narrow ||
            !spki_store_weight(net, &at[k], weights[k], &stored) || stored == at[k].stored) {
            continue;
        }
        if (!*moved) {
            spki_recall_spikes(net);
            *moved = true;
        }
        result = spki_widen_tile(net, tile);
    }
    return result;
}

/* What each weight becomes in storage: in `stored` of its synapse. */
SPKI_FN spk_result spki_store_weights(spk_net *net, spki_synapse_at *at, const double *weights,
                                      size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (!spki_store_weight(net, &at[k], weights[k], &at[k].stored)) {
            return spki_fail(net, SPK_ERR_RANGE,
                             "set weights: %g of synapse %llu (%u -> %u) does not fit its "
                             "receptor or %u bits of %g",
                             weights[k], (spki_llu)k, at[k].synapse.source, at[k].synapse.target,
                             net->desc.weight_bits, at[k].quantum);
        }
    }
    return SPK_OK;
}

/* Finds the synapses between two views and puts the weights there. */
SPKI_FN spk_result spki_write_weights(spk_net *net, const spki_view *pre, const spki_view *post,
                                      spki_synapse_at *at, const double *weights, size_t n)
{
    bool moved;
    (void)spki_find_synapses(net, pre, post, at, n);
    spk_result result = spki_widen_for(net, at, weights, n, &moved);
    if (result == SPK_OK && moved) {
        (void)spki_find_synapses(net, pre, post, at, n);
    }
    result = result == SPK_OK ? spki_store_weights(net, at, weights, n) : result;
    result = result == SPK_OK ? spki_sync(net) : result;
    if (result != SPK_OK) {
        return result;
    }
    net->changed |= SPKI_CHANGED_WEIGHTS;
    for (size_t k = 0; k < n; k++) {
        uint32_t *word = &net->tile[at[k].tile].words[at[k].word];
        if (net->desc.weight_bits == 32) {
            word[1] = (uint32_t)at[k].stored;
        } else if (!at[k].narrow) { /* a narrow one has its weight already */
            *word = at[k].slot | (uint32_t)at[k].stored << 16;
        }
    }
    spki_recall_spikes(net); /* what is on its way arrives with the new weights */
    return SPK_OK;
}

SPIKELIB_API spk_result spk_net_set_weights(spk_net *net, spk_pop source, spk_pop target,
                                            const double *weights, size_t count)
{
    const spki_view *pre, *post;
    if (!net) {
        return SPK_ERR_NULL;
    }
    spk_result result = spki_check_synapses(net, source, target, &pre, &post);
    if (result != SPK_OK) {
        return result;
    }
    const size_t n = spki_find_synapses(net, pre, post, NULL, 0);
    if (!weights && count) {
        return spki_fail(net, SPK_ERR_NULL, "set weights: the array is NULL");
    }
    if (count != n) {
        return spki_fail(net, SPK_ERR_RANGE, "set weights: %llu weights for %llu synapses",
                         (spki_llu)count, (spki_llu)n);
    }
    spki_synapse_at *at = (spki_synapse_at *)spki_alloc_raw(&net->mem, n, sizeof *at);
    if (!at) {
        return spki_no_memory(net, "a list of synapses");
    }
    result = spki_write_weights(net, pre, post, at, weights, n);
    spki_free(&net->mem, at, n, sizeof *at);
    return result;
}

/* -- for recorders of weights -- */

/* A recorder remembers where its weights are, so that rows that share them, and would move when one
   is set, are widened first. */
SPKI_FN spk_result spki_rec_find_synapses(spk_net *net, spk_rec rec)
{
    const spki_view *pre = &net->view[rec->view], *post = &net->view[rec->post];
    spk_result result = spki_fetch_rows(net);
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        if (net->tile[t].narrow) {
            spki_recall_spikes(net);
            result = spki_widen_tile(net, &net->tile[t]);
        }
    }
    if (result != SPK_OK) {
        return result;
    }
    rec->width = spki_find_synapses(net, pre, post, NULL, 0);
    rec->synapse = (spki_synapse_at *)spki_alloc_raw(&net->mem, rec->width, sizeof *rec->synapse);
    if (!rec->synapse) {
        return spki_no_memory(net, "a recorder of weights");
    }
    (void)spki_find_synapses(net, pre, post, rec->synapse, rec->width);
    return SPK_OK;
}

SPKI_FN void spki_rec_read_weights(const struct spk_rec_data *rec, double *out)
{
    const spk_net *net = rec->net;
    for (size_t k = 0; k < rec->width; k++) {
        const spki_synapse_at *s = &rec->synapse[k];
        const uint32_t *word = &net->tile[s->tile].words[s->word];
        const int32_t stored =
            net->desc.weight_bits == 32 ? (int32_t)word[1] : (int32_t)word[0] >> 16;
        out[k] = (double)stored * s->quantum + 0.0;
    }
}

#endif
