/* ---- >>build: cutting the targets into tiles and drawing their synapses ---- */
#ifndef SPIKELIB_NET_BUILD_H
#define SPIKELIB_NET_BUILD_H

#include "describe.h"
#include "row.h"

/* -- the common unit of each receptor's accumulator -- */

/* Smallest power of two such that `largest` fits into `bits` - 1 bits of it. */
SPKI_FN double spki_quantum_for(double largest, uint32_t bits)
{
    const double most = (double)spki_most_weight(bits);
    double q = 1.0;
    if (!(largest > 0.0)) {
        return 1.0 / 65536.0;
    }
    while (largest > q * most) {
        q *= 2.0;
    }
    while (largest <= 0.5 * q * most && q > 1e-300) {
        q *= 0.5;
    }
    return q;
}

/* All receptors that one projection reaches share a quantum, and so do all projections that reach
   one receptor: the largest wins, until nothing changes. */
SPKI_FN void spki_choose_quanta(spk_net *net)
{
    for (uint32_t p = 0; p < net->populations; p++) {
        for (uint32_t r = 0; r < 8; r++) {
            net->population[p].quantum[r] = 0.0;
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t k = 0; k < net->projections; k++) {
            const spki_projection *proj = &net->projection[k];
            double q = spki_quantum_for(SPKI_MAX(-proj->lo, proj->hi), net->desc.weight_bits);
            for (int pass = 0; pass < 2; pass++) {
                for (uint32_t p = 0; p < net->populations; p++) {
                    spki_population *pop = &net->population[p];
                    uint32_t pos, neg;
                    bool magnitude;
                    if (!spki_view_meets(&net->view[proj->target], pop) ||
                        spki_resolve_receptor(net, pop, proj->receptor, &pos, &neg, &magnitude) !=
                            SPK_OK) {
                        continue;
                    }
                    if (pass == 0) {
                        q = SPKI_MAX(q, SPKI_MAX(pop->quantum[pos], pop->quantum[neg]));
                    } else if (pop->quantum[pos] != q || pop->quantum[neg] != q) {
                        pop->quantum[pos] = pop->quantum[neg] = q;
                        changed = true;
                    }
                }
            }
        }
    }
}

/* -- tiles -- */

/* What a neuron costs a step, roughly, in synapses delivered once a second and neuron: its update
   and its incoming synapses. */
SPKI_FN double spki_neuron_cost(const spk_net *net, uint32_t population)
{
    const spki_population *pop = &net->population[population];
    double cost = 1000.0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_view *view = &net->view[net->projection[k].target];
        if (view->size && spki_view_meets(view, pop)) {
            const double all =
                spki_proj_expected_row_total(&net->projection[k].proj, 0, view->size);
            cost += (spki_finite(all) ? all : 0.0) / (double)view->size;
        }
    }
    return cost;
}

typedef struct spki_cutter {
    spk_net *net;
    double *cost; /* of one neuron, by population */
    double share; /* of a tile */
    uint32_t want, tiles;
    double filled; /* cost of all tiles so far */
    uint32_t lanes, receptors;
    bool fill_in;
} spki_cutter;

/* Gives lanes [first, first + count) of a population to the current tile. */
SPKI_FN void spki_cutter_add(spki_cutter *c, uint32_t population, uint32_t first, uint32_t count)
{
    const spki_population *pop = &c->net->population[population];
    if (c->fill_in) {
        spki_tile *tile = &c->net->tile[c->tiles];
        spki_piece *last = tile->pieces ? &tile->piece[tile->pieces - 1] : NULL;
        if (last && last->population == population) {
            last->count += count;
        } else {
            last = &tile->piece[tile->pieces++];
            last->population = population;
            last->first = first;
            last->count = count;
            last->lane = tile->lanes;
        }
        if (tile->lanes == 0) {
            tile->first_id = pop->first + first;
        }
        tile->end_id = pop->first + first + count;
        tile->lanes += (count + SPKI_GROUP - 1) / SPKI_GROUP * SPKI_GROUP;
        tile->receptors = SPKI_MAX(tile->receptors, pop->receptors);
    }
    c->lanes += SPKI_GROUP;
    c->receptors = SPKI_MAX(c->receptors, pop->receptors);
    c->filled += c->cost[population] * (double)count;
}

SPKI_FN void spki_cutter_next(spki_cutter *c)
{
    c->tiles++;
    c->lanes = c->receptors = 0;
}

/* Walks over all groups of 64 neurons and cuts where a tile has its share of the cost, or where
   its accumulators would outgrow 16 bits. The result does not depend on anything drawn. */
SPKI_FN void spki_cut(spki_cutter *c)
{
    c->tiles = c->lanes = c->receptors = 0;
    c->filled = 0.0;
    for (uint32_t p = 0; p < c->net->populations; p++) {
        const spki_population *pop = &c->net->population[p];
        for (uint32_t first = 0; first < pop->count; first += SPKI_GROUP) {
            const uint32_t count = SPKI_MIN(SPKI_GROUP, pop->count - first);
            const uint32_t receptors = SPKI_MAX(SPKI_MAX(c->receptors, pop->receptors), 1u);
            const double half = 0.5 * c->cost[p] * (double)count;
            const double end = c->tiles + 1 < c->want ? c->share * (c->tiles + 1.0) : DBL_MAX;
            if (c->lanes && ((c->lanes + SPKI_GROUP) * receptors > SPKI_TILE_SLOTS ||
                             c->filled + half > end)) {
                spki_cutter_next(c);
            }
            spki_cutter_add(c, p, first, count);
        }
    }
    c->tiles += c->lanes ? 1 : 0;
}

/* As many tiles as threads, or a multiple of that if the slots need more. */
SPKI_FN spk_result spki_make_tiles(spk_net *net)
{
    spki_cutter c;
    memset(&c, 0, sizeof c);
    c.net = net;
    c.cost = (double *)spki_alloc(&net->mem, net->populations, sizeof(double));
    if (!c.cost) {
        return spki_no_memory(net, "tiles");
    }
    double total = 0.0;
    for (uint32_t p = 0; p < net->populations; p++) {
        c.cost[p] = spki_neuron_cost(net, p);
        total += c.cost[p] * (double)net->population[p].count;
    }
    const uint32_t unit = net->backend ? net->backend->tiles(net->backend, net) : net->threads;
    for (uint32_t want = unit;; want += unit) {
        c.want = want;
        c.share = total / (double)want;
        spki_cut(&c);
        if (c.tiles <= want) {
            break;
        }
    }
    spk_result result = SPK_OK;
    net->tiles = SPKI_MAX(c.tiles, 1u);
    net->tile = (spki_tile *)spki_alloc(&net->mem, net->tiles, sizeof *net->tile);
    if (!net->tile) {
        net->tiles = 0;
        result = spki_no_memory(net, "tiles");
    }
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        net->tile[t].piece =
            (spki_piece *)spki_alloc(&net->mem, net->populations, sizeof(spki_piece));
        if (!net->tile[t].piece) {
            result = spki_no_memory(net, "tiles");
        }
    }
    if (result == SPK_OK) {
        c.fill_in = true;
        spki_cut(&c);
    }
    spki_free(&net->mem, c.cost, net->populations, sizeof(double));
    return result;
}

/* -- rows -- */

/* A projection as one tile sees it. */
typedef struct spki_feed {
    const spki_projection *projection;
    uint32_t t0, t1;
    uint16_t *slot[2]; /* of target t0 + k, for weights >= 0 and < 0 */
    bool one_slot;     /* for both */
    void *index;
    size_t index_bytes;
} spki_feed;

/* All that drawing the rows of a tile needs; grown by the caller's thread when it runs short. */
typedef struct spki_tile_build {
    spk_net *net;
    spki_tile *tile;
    spki_feed *feed;
    uint32_t feeds;
    spki_edges edges;
    uint32_t *by_delay; /* synapses of the row at hand, then places; all 0 between rows */
    bool narrow;        /* rows may be */
    void *scratch;
    size_t scratch_bytes;
    uint32_t next; /* source to go on with */
    spk_result result;
    uint32_t failed_feed;
} spki_tile_build;

/* The slots of a view's targets that lie in this tile. */
SPKI_FN bool spki_feed_slots(spk_net *net, const spki_tile *tile, spki_feed *feed)
{
    const spki_view *view = &net->view[feed->projection->target];
    feed->t0 = spki_view_below(view, tile->first_id);
    feed->t1 = spki_view_below(view, tile->end_id);
    const uint32_t n = feed->t1 - feed->t0;
    feed->slot[0] = (uint16_t *)spki_alloc(&net->mem, n, sizeof(uint16_t));
    feed->slot[1] = (uint16_t *)spki_alloc(&net->mem, n, sizeof(uint16_t));
    if (!feed->slot[0] || !feed->slot[1]) {
        return false;
    }
    feed->one_slot = true;
    uint32_t k = 0, range = 0, skip = feed->t0;
    while (range < view->ranges && skip >= view->range[range].count) {
        skip -= view->range[range++].count;
    }
    uint32_t piece = 0;
    while (k < n) {
        const uint32_t id = view->range[range].first + skip;
        const spki_population *pop = &net->population[tile->piece[piece].population];
        const spki_piece *at = &tile->piece[piece];
        if (id >= pop->first + at->first + at->count) {
            piece++;
            continue;
        }
        uint32_t pos, neg;
        bool magnitude;
        (void)spki_resolve_receptor(net, pop, feed->projection->receptor, &pos, &neg, &magnitude);
        feed->one_slot = feed->one_slot && pos == neg && !feed->projection->magnitude;
        const uint32_t lane = at->lane + (id - pop->first - at->first);
        feed->slot[0][k] = (uint16_t)(pos * tile->lanes + lane);
        feed->slot[1][k] = (uint16_t)(neg * tile->lanes + lane);
        k++;
        if (++skip == view->range[range].count) {
            skip = 0;
            range++;
        }
    }
    return true;
}

/* Rows may share weights where these have 16 bits, nobody records them and no device reads them. */
SPKI_FN bool spki_may_be_narrow(const spk_net *net)
{
    bool may = net->desc.weight_bits != 32 && !net->backend;
    for (uint32_t r = 0; r < net->recorders; r++) {
        may = may && net->recorder[r]->kind != SPK_REC_WEIGHTS;
    }
    return may;
}

/* Words that a tile's rows will take, from what the rules promise. */
SPKI_FN size_t spki_expected_words(const spki_tile_build *b)
{
    double synapses = 0.0, sources = 0.0, each = b->narrow ? 0.5 : spki_synapse_words(b->net);
    for (uint32_t f = 0; f < b->feeds; f++) {
        const spki_feed *feed = &b->feed[f];
        const double n = spki_proj_expected_row_total(&feed->projection->proj, feed->t0, feed->t1);
        synapses += spki_finite(n) ? n : 0.0;
        each = feed->projection->lo < feed->projection->hi ? SPKI_MAX(each, 1.0) : each;
        sources += (double)b->net->view[feed->projection->source].size;
    }
    /* a bucket for every few synapses, at most one a delay: 48 is typical of 1.5 +- 0.75 ms */
    const double buckets = SPKI_MIN(synapses, 48.0 * SPKI_MIN(sources, (double)b->net->neurons));
    const double words = synapses * each + buckets + sources + 1024.0;
    return words < 2e9 ? (size_t)words : (size_t)2000000000u;
}

SPKI_FN bool spki_grow_words(spk_net *net, spki_tile *tile, size_t capacity)
{
    uint32_t *words = (uint32_t *)spki_alloc_raw(&net->mem, capacity, sizeof *words);
    if (!words) {
        return false;
    }
    if (tile->words) {
        memcpy(words, tile->words, tile->words_used * sizeof *words);
        spki_free(&net->mem, tile->words, tile->words_capacity, sizeof *words);
    }
    tile->words = words;
    tile->words_capacity = capacity;
    return true;
}

/* Targets become slots. */
SPKI_FN void spki_find_slots(const spki_feed *feed, const spki_edges *e, uint32_t from)
{
    const uint32_t end = e->count, t0 = feed->t0;
    uint32_t *target = e->target;
    int32_t *weight = e->weight;
    if (feed->one_slot) {
        const uint16_t *slot = feed->slot[0];
        for (uint32_t k = from; k < end; k++) {
            target[k] = slot[target[k] - t0];
        }
        return;
    }
    for (uint32_t k = from; k < end; k++) {
        const int32_t w = weight[k];
        target[k] = feed->slot[w < 0][target[k] - t0];
        weight[k] = feed->projection->magnitude && w < 0 ? -w : w;
    }
}

/* Draws the row of one source into `edges`. */
SPKI_FN spk_result spki_draw_row(spki_tile_build *b, uint32_t id)
{
    b->edges.count = 0;
    for (uint32_t f = 0; f < b->feeds; f++) {
        const spki_feed *feed = &b->feed[f];
        const uint32_t s = spki_view_index(&b->net->view[feed->projection->source], id);
        if (s == UINT32_MAX || feed->t0 == feed->t1) {
            continue;
        }
        const uint32_t before = b->edges.count;
        const spk_result result = spki_proj_row(&feed->projection->proj, feed->index, b->scratch, s,
                                                feed->t0, feed->t1, &b->edges);
        if (result != SPK_OK) {
            b->failed_feed = f;
            return result;
        }
        spki_find_slots(feed, &b->edges, before);
    }
    return SPK_OK;
}

/* Puts a synapse where the next one of its delay goes: `place` in words, or in slots if narrow. */
SPKI_INLINE void spki_put_synapse(uint32_t *out, uint32_t *place, uint32_t slot, int32_t weight,
                                  bool narrow, uint32_t words)
{
    const uint32_t at = *place;
    *place += narrow ? 1 : words;
    if (narrow) {
        out[at / 2] = at % 2 ? out[at / 2] | slot << 16 : slot;
    } else if (words == 2) {
        out[at] = slot;
        out[at + 1] = (uint32_t)weight;
    } else {
        out[at] = slot | (uint32_t)weight << 16;
    }
}

/* The masks of a planned row, from out[at] on. */
SPKI_FN void spki_write_masks(spki_tile *tile, const spki_edges *e, const spki_row_plan *plan,
                              uint32_t *out, uint32_t at)
{
    uint32_t place[SPKI_CLASSES];
    for (uint32_t c = 0; c < plan->classes; c++) {
        const uint32_t words = 1 + plan->high[c] - plan->low[c];
        out[at] = plan->low[c] | words << 16;
        memset(out + at + 1, 0, words * sizeof *out);
        place[c] = at + 1 - plan->low[c];
        at += 1 + words;
    }
    for (uint32_t k = 0; k < e->count; k++) {
        const uint32_t slot = e->target[k];
        out[place[spki_weight_class(plan, e->weight[k])] + slot / 32] |= 1u << (slot % 32);
        tile->indegree[slot]++;
    }
}

/* The synapses of a row, a word each; place[delay]: where the next one goes. */
SPKI_FN void spki_write_wide(const spki_tile *tile, const spki_edges *e, uint32_t *place,
                             uint32_t *out)
{
    uint32_t *indegree = tile->indegree;
    const uint32_t n = e->count, *target = e->target;
    const int32_t *weight = e->weight;
    const uint16_t *delay = e->delay;
    for (uint32_t k = 0; k < n; k++) {
        indegree[target[k]]++;
        out[place[delay[k]]++] = target[k] | (uint32_t)weight[k] << 16;
    }
}

/* The synapses of a planned row, counted in `place`, sorted by delay, from out[at] on. */
SPKI_FN void spki_write_buckets(spki_tile *tile, const spki_edges *e, const spki_row_plan *plan,
                                uint32_t *place, uint32_t per, uint32_t *out, uint32_t at)
{
    for (uint32_t d = plan->first * plan->classes; d < (plan->last + 1) * plan->classes; d++) {
        const uint32_t n = place[d];
        place[d] = plan->narrow ? 2 * at : at;
        at += spki_bucket_words(n, per, plan->narrow);
    }
    if (!plan->narrow && per == 1) {
        spki_write_wide(tile, e, place, out);
        return;
    }
    for (uint32_t k = 0; k < e->count; k++) {
        const uint32_t c = plan->narrow ? spki_weight_class(plan, e->weight[k]) : 0;
        tile->indegree[e->target[k]]++;
        spki_put_synapse(out, &place[e->delay[k] * plan->classes + c], e->target[k], e->weight[k],
                         plan->narrow, per);
    }
}

/* Writes `edges` behind the tile's words, sorted by delay. False: no room. */
SPKI_FN bool spki_write_row(spki_tile_build *b, uint32_t id)
{
    spki_tile *tile = b->tile;
    const spki_edges *e = &b->edges;
    const uint32_t per = spki_synapse_words(b->net);
    uint32_t *place = b->by_delay;
    spki_row_plan plan;
    if (e->count == 0) {
        tile->row[id] = 0;
        return true;
    }
    spki_plan_row(e, place, tile->count_bytes, per, b->narrow, &plan);
    if ((size_t)plan.words + SPKI_COPIED > tile->words_capacity - tile->words_used) {
        spki_forget_counts(place, &plan); /* copies read further than the last word */
        return false;
    }
    const uint32_t head = spki_row_head(plan.entries, tile->count_bytes, plan.narrow);
    uint32_t *out = tile->words + tile->words_used;
    out[head - 1] = 0; /* the padding */
    out[0] = plan.entries | (plan.narrow ? SPKI_ROW_NARROW : 0) | (plan.masks ? SPKI_ROW_MASKS : 0);
    (void)spki_row_entries(place, &plan, tile->count_bytes, (uint8_t *)(out + 1));
    if (plan.masks) {
        spki_write_masks(tile, e, &plan, out, head);
    } else {
        spki_write_buckets(tile, e, &plan, place, per, out, head);
    }
    spki_forget_counts(place, &plan);
    tile->min_delay = SPKI_MIN(tile->min_delay, plan.first);
    tile->max_delay = SPKI_MAX(tile->max_delay, plan.last);
    tile->row[id] = (uint32_t)tile->words_used;
    tile->words_used += plan.words;
    tile->synapses += e->count;
    tile->narrow += plan.narrow ? e->count : 0;
    tile->masked += plan.masks ? e->count : 0;
    tile->buckets += plan.entries;
    return true;
}

/* Chooses how wide the counts of a tile's rows are by looking at some of them. */
SPKI_FN void spki_choose_layout(spki_tile_build *b)
{
    const uint32_t looks = SPKI_MIN(b->net->neurons, 64u);
    uint64_t bytes = 0, pairs = 0;
    for (uint32_t k = 0; k < looks; k++) {
        const uint32_t id = (uint32_t)((uint64_t)b->net->neurons * k / looks);
        spki_row_plan plan;
        if (spki_draw_row(b, id) != SPK_OK || b->edges.count == 0) {
            continue; /* where it fails, it will again */
        }
        spki_plan_row(&b->edges, b->by_delay, 1, 1, b->narrow, &plan);
        bytes += spki_row_entries(b->by_delay, &plan, 1, NULL);
        pairs += spki_row_entries(b->by_delay, &plan, 2, NULL);
        spki_forget_counts(b->by_delay, &plan);
    }
    b->tile->count_bytes = bytes < 2 * pairs ? 1 : 2; /* twice the entries: as many bytes, slower */
}

/* Draws rows until done or short of room: any thread, a tile each. */
SPKI_FN void spki_draw_rows(spki_tile_build *b)
{
    b->result = SPK_OK;
    if (b->next == 0) {
        spki_choose_layout(b);
    }
    for (; b->next < b->net->neurons; b->next++) {
        b->result = spki_draw_row(b, b->next);
        if (b->result != SPK_OK) {
            return;
        }
        if (!spki_write_row(b, b->next)) {
            b->result = SPK_ERR_FULL;
            b->failed_feed = UINT32_MAX;
            return;
        }
    }
}

typedef struct spki_build_job {
    const spk_net *net;
    spki_tile_build *build;
} spki_build_job;

/* The tiles of thread k begin here. Whoever runs a tile also draws it, so that its memory is near:
   systems place a page where it is first written to. */
SPKI_FN uint32_t spki_first_tile(const spk_net *net, uint32_t k)
{
    return (uint32_t)((uint64_t)net->tiles * k / net->threads);
}

SPKI_FN void spki_draw_task(void *arg, uint32_t k)
{
    spki_build_job *job = (spki_build_job *)arg;
    const uint32_t end = spki_first_tile(job->net, k + 1);
    for (uint32_t t = spki_first_tile(job->net, k); t < end; t++) {
        if (job->build[t].result == SPK_ERR_FULL) {
            for (uint32_t f = 0; f < job->build[t].feeds && job->build[t].next == 0; f++) {
                spki_feed *feed = &job->build[t].feed[f];
                if (feed->index) {
                    spki_proj_index_build(&feed->projection->proj, feed->t0, feed->t1, feed->index);
                }
            }
            spki_draw_rows(&job->build[t]);
        }
    }
}

/* Runs task(arg, k) for k in [0, threads) on the host's executor, our own pool or right here. */
SPKI_FN void spki_parallel(spk_net *net, void (*task)(void *arg, uint32_t k), void *arg)
{
    if (net->desc.executor.run) {
        net->desc.executor.run(net->desc.executor.ctx, task, arg, net->threads);
    } else if (net->pool) {
        spki_pool_run(net->pool, task, arg);
    } else {
        for (uint32_t k = 0; k < net->threads; k++) {
            task(arg, k);
        }
    }
}

SPKI_FN bool spki_grow_edges(spk_net *net, spki_edges *e, uint32_t capacity)
{
    return spki_edges_grow(&net->mem, e, capacity);
}

SPKI_FN spk_result spki_begin_tile(spk_net *net, spki_tile_build *b, spki_tile *tile)
{
    spki_mem *mem = &net->mem;
    b->net = net;
    b->tile = tile;
    b->result = SPK_ERR_FULL; /* "go on" */
    tile->min_delay = UINT32_MAX;
    b->feed = (spki_feed *)spki_alloc(mem, net->projections, sizeof *b->feed);
    b->narrow = spki_may_be_narrow(net);
    b->by_delay = (uint32_t *)spki_alloc(
        mem, ((size_t)net->desc.max_delay_steps + 2) * SPKI_CLASSES, sizeof(uint32_t));
    tile->row = (uint32_t *)spki_alloc(mem, net->neurons, sizeof(uint32_t));
    tile->indegree = (uint32_t *)spki_alloc(
        mem, (size_t)tile->lanes * SPKI_MAX(tile->receptors, 1u), sizeof(uint32_t));
    if (!b->feed || !b->by_delay || !tile->row || !tile->indegree) {
        return spki_no_memory(net, "a tile");
    }
    size_t row = 1024;
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_feed *feed = &b->feed[b->feeds];
        feed->projection = &net->projection[k];
        b->feeds++;
        if (!spki_feed_slots(net, tile, feed)) {
            return spki_no_memory(net, "a tile");
        }
        const spki_proj *proj = &feed->projection->proj;
        const uint32_t size = net->view[feed->projection->target].size;
        if (size) {
            row += (size_t)((double)spki_proj_max_row(proj) * (double)(feed->t1 - feed->t0) /
                            (double)size * 1.1) +
                   64;
        }
        b->scratch_bytes = SPKI_MAX(b->scratch_bytes, spki_proj_scratch_size(proj));
        feed->index_bytes = spki_proj_index_bytes(proj, feed->t0, feed->t1);
        if (feed->index_bytes && feed->t0 < feed->t1) {
            feed->index = spki_alloc_raw(mem, feed->index_bytes, 1);
            if (!feed->index) {
                return spki_no_memory(net, "drawing a fixed in-degree");
            }
        }
    }
    b->scratch = spki_alloc(mem, SPKI_MAX(b->scratch_bytes, (size_t)64), 1);
    if (!b->scratch || row > UINT32_MAX || !spki_grow_edges(net, &b->edges, (uint32_t)row) ||
        !spki_grow_words(net, tile, spki_expected_words(b))) {
        return spki_no_memory(net, "synapses");
    }
    tile->words[0] = 0; /* the row of a source without synapses */
    tile->words_used = 1;
    return SPK_OK;
}

SPKI_FN void spki_end_tile(spk_net *net, spki_tile_build *b)
{
    for (uint32_t f = 0; b->feed && f < b->feeds; f++) {
        const uint32_t n = b->feed[f].t1 - b->feed[f].t0;
        spki_free(&net->mem, b->feed[f].slot[0], n, sizeof(uint16_t));
        spki_free(&net->mem, b->feed[f].slot[1], n, sizeof(uint16_t));
        spki_free(&net->mem, b->feed[f].index, b->feed[f].index_bytes, 1);
    }
    spki_free(&net->mem, b->feed, net->projections, sizeof *b->feed);
    spki_free(&net->mem, b->by_delay, ((size_t)net->desc.max_delay_steps + 2) * SPKI_CLASSES,
              sizeof(uint32_t));
    spki_free(&net->mem, b->scratch, SPKI_MAX(b->scratch_bytes, (size_t)64), 1);
    (void)spki_grow_edges(net, &b->edges, 0);
    if (b->tile && b->tile->indegree) {
        spki_free(&net->mem, b->tile->indegree,
                  (size_t)b->tile->lanes * SPKI_MAX(b->tile->receptors, 1u), sizeof(uint32_t));
        b->tile->indegree = NULL;
    }
}

/* After a round of drawing: gives more room where it was short, reports what failed. */
SPKI_FN spk_result spki_continue_tile(spk_net *net, spki_tile_build *b)
{
    if (b->result == SPK_OK) {
        return SPK_OK;
    }
    if (b->result != SPK_ERR_FULL) {
        const spki_projection *p = b->feed[b->failed_feed].projection;
        return spki_fail(net, b->result, "connect \"%s\" -> \"%s\": %s",
                         spki_view_name(net, &net->view[p->source]),
                         spki_view_name(net, &net->view[p->target]), spki_proj_row_why(b->scratch));
    }
    if (b->failed_feed != UINT32_MAX) {
        if (b->edges.capacity > 0x40000000u ||
            !spki_grow_edges(net, &b->edges, b->edges.capacity * 2)) {
            return spki_no_memory(net, "a row of synapses");
        }
        return SPK_OK;
    }
    const size_t grown = b->tile->words_capacity + b->tile->words_capacity / 8 + 65536;
    if (grown > SPKI_MOST_WORDS) {
        return spki_fail(net, SPK_ERR_RANGE, "a tile has more than 2^31 words of synapses");
    }
    return spki_grow_words(net, b->tile, grown) ? SPK_OK : spki_no_memory(net, "synapses");
}

SPKI_FN spk_result spki_draw_all(spk_net *net, spki_build_job *job)
{
    spk_result result = SPK_OK;
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        result = spki_begin_tile(net, &job->build[t], &net->tile[t]);
    }
    for (bool more = true; more && result == SPK_OK;) {
        spki_parallel(net, spki_draw_task, job);
        more = false;
        for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
            more = more || job->build[t].result != SPK_OK;
            result = spki_continue_tile(net, &job->build[t]);
        }
    }
    return result;
}

SPKI_FN uint32_t spki_largest_indegree(const spk_net *net)
{
    uint32_t largest = 0;
    for (uint32_t t = 0; t < net->tiles; t++) {
        const spki_tile *tile = &net->tile[t];
        for (size_t k = 0; k < (size_t)tile->lanes * tile->receptors; k++) {
            largest = SPKI_MAX(largest, tile->indegree[k]);
        }
    }
    return largest;
}

/* `largest`: in-degree of any accumulator: with 16-bit weights and fewer than 65,536 synapses, or
   8-bit weights and 256 times as many, a 32-bit sum cannot overflow, whatever the weights are set
   to later. */
SPKI_FN void spki_choose_accumulator(spk_net *net, uint32_t largest)
{
    const uint32_t bits = net->desc.weight_bits;
    net->accumulator_bits = bits != 32 && largest < 1u << (32 - bits) ? 32 : 64;
}

/* Weights that share an accumulator share its quantum, and a named excitatory receptor takes no
   negative ones: refuses what would be lost without a word. */
SPKI_FN spk_result spki_check_weights(spk_net *net, const spki_projection *p, double quantum)
{
    const char *from = spki_view_name(net, &net->view[p->source]);
    const char *to = spki_view_name(net, &net->view[p->target]);
    if (p->typical > 0.0 && p->typical < 8.0 * quantum) {
        return spki_fail(net, SPK_ERR_RANGE,
                         "connect \"%s\" -> \"%s\": weights of %g are lost beside those that share "
                         "their receptor (%u bits resolve %g)%s",
                         from, to, p->typical, net->desc.weight_bits, quantum,
                         net->desc.weight_bits == 8    ? "; use weight_bits = 16"
                         : net->desc.weight_bits == 16 ? "; use weight_bits = 32"
                                                       : "");
    }
    if (p->receptor && p->magnitude && p->excitatory && p->lo < 0.0) {
        return spki_fail(
            net, SPK_ERR_RANGE,
            "connect \"%s\" -> \"%s\": receptor \"%s\" takes no negative weights, and %g "
            "may be drawn",
            from, to, p->receptor, p->lo);
    }
    return SPK_OK;
}

/* Tells each projection the quantum of the receptors it reaches: all have the same. */
SPKI_FN spk_result spki_set_quanta(spk_net *net)
{
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_projection *p = &net->projection[k];
        uint32_t n = 0, pos, neg;
        bool magnitude;
        while (n < net->populations &&
               !spki_view_meets(&net->view[p->target], &net->population[n])) {
            n++;
        }
        if (n == net->populations) {
            continue;
        }
        const spki_population *pop = &net->population[n];
        (void)spki_resolve_receptor(net, pop, p->receptor, &pos, &neg, &magnitude);
        p->excitatory = pop->model->input[pop->receptor_input[pos]].value < 1.5;
        const spk_result result = spki_check_weights(net, p, pop->quantum[pos]);
        if (result != SPK_OK) {
            return result;
        }
        spki_proj_set_quantum(&p->proj, pop->quantum[pos],
                              spki_most_weight(net->desc.weight_bits));
    }
    return SPK_OK;
}

/* A tile as it was before its rows were drawn. */
SPKI_FN void spki_forget_rows(spk_net *net, spki_tile *tile)
{
    spki_free(&net->mem, tile->words, tile->words_capacity, sizeof *tile->words);
    spki_free(&net->mem, tile->row, net->neurons, sizeof *tile->row);
    tile->words = NULL;
    tile->row = NULL;
    tile->words_used = tile->words_capacity = tile->device_words = 0;
    tile->synapses = tile->narrow = tile->masked = tile->buckets = 0;
    tile->min_delay = tile->max_delay = tile->count_bytes = tile->flat = 0;
}

/* Draws all rows with the network's threads; the rules have then served. */
SPKI_FN spk_result spki_draw_here(spk_net *net)
{
    spki_build_job job;
    job.net = net;
    job.build = (spki_tile_build *)spki_alloc(&net->mem, net->tiles, sizeof *job.build);
    if (!job.build) {
        return spki_no_memory(net, "tiles");
    }
    const double start = spk_clock_seconds();
    const spk_result result = spki_draw_all(net, &job);
    net->construct_s += spk_clock_seconds() - start;
    if (result == SPK_OK) {
        spki_choose_accumulator(net, spki_largest_indegree(net));
    }
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_end_tile(net, &job.build[t]);
    }
    spki_free(&net->mem, job.build, net->tiles, sizeof *job.build);
    for (uint32_t k = 0; k < net->projections && result == SPK_OK; k++) {
        const spk_rule rule = net->projection[k].proj.rule; /* lists and tables have served */
        spki_proj_destroy(&net->mem, &net->projection[k].proj);
        net->projection[k].proj.rule = rule;
    }
    return result;
}

/* Draws the rows that only a device has. All or nothing: without the memory for them they stay
   where they are. */
SPKI_FN spk_result spki_fetch_rows(spk_net *net)
{
    if (!net->elsewhere) {
        return SPK_OK;
    }
    spki_tile *before = (spki_tile *)spki_alloc_raw(&net->mem, net->tiles, sizeof *before);
    if (!before) {
        return spki_no_memory(net, "rows");
    }
    memcpy(before, net->tile, net->tiles * sizeof *before);
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_forget_rows(net, &net->tile[t]);
    }
    const spk_result result = spki_draw_here(net);
    for (uint32_t t = 0; t < net->tiles; t++) {
        if (result != SPK_OK) {
            spki_forget_rows(net, &net->tile[t]);
            net->tile[t] = before[t];
        }
        net->tile[t].device_words = before[t].device_words;
        net->tile[t].flat = before[t].flat;
    }
    spki_free(&net->mem, before, net->tiles, sizeof *before);
    net->elsewhere = result != SPK_OK;
    return result;
}

/* Asks a backend to draw the rows. One that fails at it is dropped, and the host does; the error is
   what spk_net_build will return (`failed`). */
SPKI_FN void spki_draw_elsewhere(spk_net *net)
{
    net->built = true; /* what a device says of itself does not spoil the description */
    net->failed = net->backend->construct(net->backend, net);
    net->built = false;
    if (net->failed != SPK_OK) {
        net->failed = net->backend->or_cpu ? SPK_OK : net->failed;
        spki_drop_backend(net);
    }
}

SPKI_FN spk_result spki_build_synapses(spk_net *net)
{
    char why[256] = "";
    for (uint32_t k = 0; k < net->projections; k++) {
        spki_projection *p = &net->projection[k];
        const spk_result result = spki_proj_scan_weights(&net->mem, &p->proj, why, sizeof why);
        if (result != SPK_OK) {
            return result == SPK_ERR_OUT_OF_MEMORY
                       ? spki_no_memory(net, "a projection")
                       : spki_fail(net, result, "connect \"%s\" -> \"%s\": %s",
                                   spki_view_name(net, &net->view[p->source]),
                                   spki_view_name(net, &net->view[p->target]), why);
        }
        spki_proj_weight_range(&p->proj, &p->lo, &p->hi);
    }
    spki_choose_quanta(net);
    const spk_result fits = spki_set_quanta(net);
    if (fits != SPK_OK) {
        return fits;
    }
    if (net->backend) {
        spki_draw_elsewhere(net);
    }
    return net->elsewhere ? SPK_OK : spki_draw_here(net);
}

#endif
