/* ---- >>gpu-construct: connectivity drawn on the device ----
   While a network is built, one device measures its rows: how many words each tile takes, delays,
   in-degrees, all that the host learns by drawing them. The rows stay undrawn here (net->elsewhere)
   until somebody wants them: the CPU, which goes on where a device fails, or who reads synapses.
   When the network enters its devices, each writes the rows of its tiles, with the same tables. */
#ifndef SPIKELIB_GPU_HOST_CONSTRUCT_H
#define SPIKELIB_GPU_HOST_CONSTRUCT_H

#include "tables.h"

#define SPKI_GPU_DRAW_ITEMS 128u
#define SPKI_GPU_DRAW_SCRATCH ((uint64_t)256 << 20) /* bytes of counts by delay, at most */
#define SPKI_GPU_DRAW_FROM 10000000.0               /* synapses from which it is worth a program */

/* Drawing the rows of one device's tiles. */
typedef struct spki_gpu_drawing {
    uint32_t tile, tiles;
    spki_gpu_tables t;
    uint32_t delays, at_once; /* items of a launch */
    uint32_t *batch;          /* tiles whose indices are there together begin here */
    uint32_t batches, indexed_batch; /* the one that is there */
    uint64_t from_words, entry_words;
    uint64_t slots;
    spki_gpu_block plan, table, tiles_at, slot, from, entry, scratch, rows, flat, stats, indegree,
        outdegree, segment, sum;
    void *program; /* the part's */
    bool tiles_changed; /* the records, since they were uploaded */
} spki_gpu_drawing;

/* -- the program -- */

SPKI_FN void spki_gpu_rows_text(spki_gpu_source *s, const spki_gpu_api *api)
{
    spki_gpu_choice c;
    memset(&c, 0, sizeof c);
    c.lanes = 1; /* there are only integers in it */
    s->line = 1;
    spki_gpu_head(s, api, &c);
    spki_gpu_numbers(s);
#define SPKI_GPU_ROWS_DEFINE(name, value) spki_gpu_define(s, #name, (uint32_t)(value));
    SPKI_GPU_ROWS_NUMBERS(SPKI_GPU_ROWS_DEFINE)
#undef SPKI_GPU_ROWS_DEFINE
    spki_gpu_paste(s, spki_gpu_text_rows);
    spki_gpu_put(s, "", 1);
}

SPKI_FN spk_result spki_gpu_rows_program(spk_net *net, spki_gpu *gpu, void **program)
{
    spki_gpu_choice c = spki_gpu_choose(net, gpu);
    spki_gpu_source s;
    *program = NULL;
    for (uint32_t wide = 0; wide < 2 && gpu->api->held && !*program; wide++) {
        c.wide = wide != 0;
        *program = gpu->api->held(gpu, net, &c);
    }
    if (*program) {
        return SPK_OK;
    }
    memset(&s, 0, sizeof s);
    s.text.mem = s.lines.mem = &net->mem;
    spki_gpu_rows_text(&s, gpu->api);
    char *log = (char *)spki_alloc(&net->mem, 65536, 1);
    spk_result result = SPK_ERR_OUT_OF_MEMORY;
    if (log && !s.text.failed) {
        result = gpu->api->compile(gpu, s.text.data, s.text.used - 1, SPKI_GPU_OF_ROWS, program,
                                   log, 65536);
    }
    if (result == SPK_ERR_COMPILE) {
        snprintf(gpu->why, sizeof gpu->why, "%.*s", (int)SPKI_MIN(strlen(log), (size_t)400), log);
    }
    spki_free(&net->mem, log, 65536, 1);
    spki_gpu_source_free(&s);
    return result;
}

/* -- buffers -- */

SPKI_FN void spki_gpu_drawing_free(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_block *const block[] = {&d->plan,    &d->table,    &d->tiles_at,  &d->slot,
                                     &d->from,    &d->entry,    &d->scratch,   &d->rows,
                                     &d->flat,    &d->stats,    &d->indegree,  &d->outdegree,
                                     &d->segment, &d->sum};
    for (uint32_t k = 0; k < sizeof block / sizeof block[0]; k++) {
        spki_gpu_drop(gpu, block[k]); /* they are large: nobody else wants them */
    }
    spki_gpu_tables_free(&d->t);
    spki_free(&net->mem, d->batch, (size_t)d->tiles + 1, 4);
    spki_free(&net->mem, d, 1, sizeof *d);
}

SPKI_FN uint32_t *spki_gpu_record_of(const spk_net *net, const spki_gpu_drawing *d, uint32_t t)
{
    return (uint32_t *)(void *)d->t.tiles.data + t * spki_gpu_tile_words(net);
}

SPKI_FN uint32_t *spki_gpu_feed_of(const spk_net *net, const spki_gpu_drawing *d, uint32_t t,
                                   uint32_t projection)
{
    return spki_gpu_record_of(net, d, t) + SPKI_GPU_ROWS_TILE_SIZE +
           (size_t)projection * SPKI_GPU_ROWS_FEED_SIZE;
}

/* What the indices of a tile take: counters of sources and entries. */
SPKI_FN void spki_gpu_index_words(const spk_net *net, const spki_gpu_drawing *d, uint32_t t,
                                  uint64_t *from, uint64_t *entry)
{
    *from = *entry = 0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_proj *p = &net->projection[k].proj;
        const uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
        if (p->rule == SPK_FIXED_INDEGREE) {
            *from += p->n_source;
            *entry += (uint64_t)(feed[SPKI_GPU_ROWS_FEED_T1] - feed[SPKI_GPU_ROWS_FEED_T0]) * p->k;
        }
    }
}

/* Cuts the tiles into batches whose indices fit into a quarter of the memory, and places them. */
SPKI_FN bool spki_gpu_cut_indices(spk_net *net, const spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint64_t most = SPKI_MIN(gpu->memory / 16, (uint64_t)INT32_MAX); /* words */
    uint64_t from = 0, entry = 0;
    d->batch = (uint32_t *)spki_alloc(&net->mem, (size_t)d->tiles + 1, 4);
    if (!d->batch) {
        d->t.not_ = "there is no memory";
        return false;
    }
    for (uint32_t t = 0; t < d->tiles; t++) {
        uint64_t more_from, more_entry;
        spki_gpu_index_words(net, d, t, &more_from, &more_entry);
        if (more_from + more_entry > most) {
            d->t.not_ = "the index of a tile's fixed in-degrees is too large";
            return false;
        }
        if (t == 0 || from + more_from + entry + more_entry > most) {
            d->batch[d->batches++] = t;
            from = entry = 0;
        }
        for (uint32_t k = 0; k < net->projections; k++) {
            const spki_proj *p = &net->projection[k].proj;
            uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
            if (p->rule == SPK_FIXED_INDEGREE) {
                feed[SPKI_GPU_ROWS_FEED_FROM] = (uint32_t)from;
                feed[SPKI_GPU_ROWS_FEED_ENTRY] = (uint32_t)entry;
                from += p->n_source;
                entry += (uint64_t)(feed[SPKI_GPU_ROWS_FEED_T1] - feed[SPKI_GPU_ROWS_FEED_T0]) *
                         p->k;
            }
        }
        d->from_words = SPKI_MAX(d->from_words, from);
        d->entry_words = SPKI_MAX(d->entry_words, entry);
    }
    d->batch[d->batches] = d->tiles;
    return true;
}

SPKI_FN spk_result spki_gpu_upload(spki_gpu *gpu, spki_gpu_block *block, const spki_gpu_bytes *data)
{
    const spk_result result = spki_gpu_reserve(gpu, data->used, block);
    return result == SPK_OK ? gpu->api->write(gpu, block->mem, 0, data->data, data->used) : result;
}

SPKI_FN spk_result spki_gpu_zeroed(spki_gpu *gpu, spki_gpu_block *block, uint64_t bytes)
{
    const spk_result result = spki_gpu_reserve(gpu, bytes, block);
    return result == SPK_OK ? gpu->api->zero(gpu, block->mem, 0, block->bytes) : result;
}

SPKI_FN spk_result spki_gpu_drawing_buffers(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint64_t lists = net->desc.weight_bits == 8 ? 3 : 2, each = d->delays * lists * 4;
    const uint64_t room = SPKI_MIN(SPKI_GPU_DRAW_SCRATCH, gpu->memory / 16);
    const uint64_t rows = (uint64_t)d->tiles * net->neurons;
    const struct {
        spki_gpu_block *block;
        uint64_t words;
    } want[] = {{&d->from, d->from_words},
                {&d->entry, d->entry_words},
                {&d->rows, rows},
                {&d->flat, rows},
                {&d->stats, (uint64_t)d->tiles * SPKI_GPU_ROWS_STATS},
                {&d->indegree, d->slots},
                {&d->outdegree, net->neurons},
                {&d->segment, SPKI_GPU_ROWS_SEGMENT * (uint64_t)d->tiles * net->projections},
                {&d->sum, 2 * (uint64_t)d->tiles * net->projections}};
    d->at_once = (uint32_t)SPKI_MIN(SPKI_MAX(room / each, (uint64_t)SPKI_GPU_DRAW_ITEMS),
                                    (uint64_t)1 << 22);
    d->at_once = (uint32_t)SPKI_MIN((uint64_t)d->at_once, rows);
    spk_result result = spki_gpu_upload(gpu, &d->plan, &d->t.plan);
    result = result == SPK_OK ? spki_gpu_upload(gpu, &d->table, &d->t.table) : result;
    result = result == SPK_OK ? spki_gpu_upload(gpu, &d->slot, &d->t.slot) : result;
    result = result == SPK_OK ? spki_gpu_reserve(gpu, d->at_once * each, &d->scratch) : result;
    for (uint32_t k = 0; k < sizeof want / sizeof want[0] && result == SPK_OK; k++) {
        result = spki_gpu_zeroed(gpu, want[k].block, want[k].words * 4);
    }
    return result;
}

/* Everything that drawing `tiles` tiles needs. SPK_ERR_UNSUPPORTED: the host has to, for what
   (*out)->t.not_ says. */
SPKI_FN spk_result spki_gpu_drawing_make(spk_net *net, spki_gpu_part *part, uint32_t tile,
                                         uint32_t tiles, spki_gpu_drawing **out)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_drawing *d = (spki_gpu_drawing *)spki_alloc(&net->mem, 1, sizeof *d);
    *out = d;
    if (!d) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    d->tile = tile;
    d->tiles = tiles;
    d->indexed_batch = UINT32_MAX;
    d->tiles_changed = true;
    for (uint32_t t = tile; t < tile + tiles; t++) {
        d->slots += spki_gpu_tile_slots(&net->tile[t]);
    }
    if (!spki_gpu_tables_make(net, &d->t, tile, tiles)) {
        return d->t.not_ ? SPK_ERR_UNSUPPORTED : SPK_ERR_OUT_OF_MEMORY;
    }
    if (!spki_gpu_cut_indices(net, gpu, d)) {
        return SPK_ERR_UNSUPPORTED;
    }
    d->delays = d->t.longest - d->t.shortest + 1;
    const double start = spk_clock_seconds();
    const spk_result result =
        part->rows_program ? SPK_OK : spki_gpu_rows_program(net, gpu, &part->rows_program);
    d->program = part->rows_program;
    net->construct_s -= spk_clock_seconds() - start;
    if (result != SPK_OK) {
        d->t.not_ = "there are no kernels: ";
        return SPK_ERR_UNSUPPORTED;
    }
    return spki_gpu_drawing_buffers(net, gpu, d);
}

/* -- launches -- */

SPKI_FN uint32_t spki_gpu_draw_groups(uint64_t items)
{
    return (uint32_t)((items + SPKI_GPU_DRAW_ITEMS - 1) / SPKI_GPU_DRAW_ITEMS);
}

/* Sums of what stands before, in each of the segments. */
SPKI_FN spk_result spki_gpu_scan_rows(spki_gpu *gpu, spki_gpu_drawing *d, const spki_gpu_block *x,
                                      const spki_gpu_block *to, const spki_gpu_bytes *segments,
                                      uint32_t keep)
{
    const uint32_t n = (uint32_t)(segments->used / (SPKI_GPU_ROWS_SEGMENT * 4));
    if (segments->failed) {
        return SPK_ERR_OUT_OF_MEMORY;
    }
    spk_result result = n ? gpu->api->write(gpu, d->segment.mem, 0, segments->data, segments->used)
                          : SPK_OK;
    if (result == SPK_OK && n) {
        const spki_gpu_arg arg[] = {spki_gpu_memory(x), spki_gpu_memory(to),
                                    spki_gpu_memory(&d->segment), spki_gpu_memory(&d->sum),
                                    spki_gpu_u32(keep)};
        result = gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_SCAN, n, SPKI_GPU_SCAN_ITEMS, arg,
                                  5);
    }
    return result;
}

SPKI_FN void spki_gpu_add_segment(spki_gpu_bytes *b, uint64_t at, uint32_t n, uint32_t begin,
                                  uint32_t sum)
{
    uint32_t *to = (uint32_t *)spki_gpu_more(b, SPKI_GPU_ROWS_SEGMENT * 4);
    if (to) {
        to[4] = sum;
        to[0] = (uint32_t)at;
        to[1] = (uint32_t)(at >> 32);
        to[2] = n;
        to[3] = begin;
    }
}

SPKI_FN spk_result spki_gpu_collect(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d, uint32_t k,
                                    uint32_t tile, uint32_t tiles, uint32_t put)
{
    const uint32_t first = spki_gpu_feed_of(net, d, tile, k)[SPKI_GPU_ROWS_FEED_T0];
    const uint32_t end = spki_gpu_feed_of(net, d, tile + tiles - 1, k)[SPKI_GPU_ROWS_FEED_T1];
    const spki_proj *p = &net->projection[k].proj;
    const spki_gpu_arg arg[] = {spki_gpu_memory(&d->plan),     spki_gpu_memory(&d->table),
                                spki_gpu_memory(&d->tiles_at), spki_gpu_memory(&d->from),
                                spki_gpu_memory(&d->entry),    spki_gpu_u32(k),
                                spki_gpu_u32(net->projections), spki_gpu_u32(tile),
                                spki_gpu_u32(tiles),           spki_gpu_u32(p->key[0]),
                                spki_gpu_u32(p->key[1]),       spki_gpu_u32(put)};
    return p->n_source && p->k && end > first
               ? gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_COLLECT,
                                  spki_gpu_draw_groups(end - first), SPKI_GPU_DRAW_ITEMS, arg, 12)
               : SPK_OK;
}

SPKI_FN spk_result spki_gpu_sort(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d, uint32_t k,
                                 uint32_t tile, uint32_t tiles)
{
    const spki_gpu_arg arg[] = {spki_gpu_memory(&d->plan), spki_gpu_memory(&d->tiles_at),
                                spki_gpu_memory(&d->from), spki_gpu_memory(&d->entry),
                                spki_gpu_u32(k),           spki_gpu_u32(net->projections),
                                spki_gpu_u32(tile),        spki_gpu_u32(tiles)};
    return gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS_SORT,
                            spki_gpu_draw_groups(net->projection[k].proj.n_source),
                            SPKI_GPU_DRAW_ITEMS, arg, 8);
}

/* The indices of a batch of tiles: sources counted, entries put behind those of each, in order. */
SPKI_FN spk_result spki_gpu_index_batch(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                        uint32_t batch)
{
    const uint32_t tile = d->batch[batch], tiles = d->batch[batch + 1] - tile;
    spki_gpu_bytes segments;
    if (!d->t.indexed || batch == d->indexed_batch) {
        return SPK_OK;
    }
    memset(&segments, 0, sizeof segments);
    segments.mem = &net->mem;
    spk_result result = gpu->api->zero(gpu, d->from.mem, 0, d->from.bytes);
    for (uint32_t k = 0; k < net->projections && result == SPK_OK; k++) {
        if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
            result = spki_gpu_collect(net, gpu, d, k, tile, tiles, 0);
        }
    }
    for (uint32_t k = 0; k < net->projections; k++) {
        for (uint32_t t = tile; t < tile + tiles; t++) {
            const uint32_t *feed = spki_gpu_feed_of(net, d, t, k);
            if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
                spki_gpu_add_segment(&segments, feed[SPKI_GPU_ROWS_FEED_FROM],
                                     net->projection[k].proj.n_source,
                                     feed[SPKI_GPU_ROWS_FEED_ENTRY],
                                     (uint32_t)(segments.used / (SPKI_GPU_ROWS_SEGMENT * 4)));
            }
        }
    }
    if (result == SPK_OK) {
        result = spki_gpu_scan_rows(gpu, d, &d->from, &d->from, &segments, 0);
    }
    for (uint32_t k = 0; k < net->projections && result == SPK_OK; k++) {
        if (net->projection[k].proj.rule == SPK_FIXED_INDEGREE) {
            result = spki_gpu_collect(net, gpu, d, k, tile, tiles, 1);
            result = result == SPK_OK ? spki_gpu_sort(net, gpu, d, k, tile, tiles) : result;
        }
    }
    d->indexed_batch = result == SPK_OK ? batch : UINT32_MAX;
    spki_gpu_forget(&segments);
    return result;
}

/* The rows of tiles [tile, end), in one of the modes. */
SPKI_FN spk_result spki_gpu_draw_tiles(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                       uint32_t mode, uint32_t tile, uint32_t end,
                                       const spki_gpu_block *out)
{
    const uint64_t each = mode == SPKI_GPU_ROWS_LOOK ? (uint64_t)SPKI_GPU_ROWS_LOOKS : net->neurons;
    const uint32_t *key = net->projection[0].proj.key;
    spk_result result = SPK_OK;
    for (uint64_t first = tile * each; first < end * each && result == SPK_OK;
         first += d->at_once) {
        const uint32_t items = (uint32_t)SPKI_MIN(end * each - first, (uint64_t)d->at_once);
        const spki_gpu_arg arg[] = {
            spki_gpu_memory(&d->plan),      spki_gpu_memory(&d->table),
            spki_gpu_memory(&d->tiles_at),  spki_gpu_memory(&d->slot),
            spki_gpu_memory(&d->from),      spki_gpu_memory(&d->entry),
            spki_gpu_memory(&d->scratch),   spki_gpu_memory(&d->rows),
            spki_gpu_memory(out),           spki_gpu_memory(&d->stats),
            spki_gpu_memory(&d->indegree),  spki_gpu_memory(&d->outdegree),
            spki_gpu_u64(first),            spki_gpu_u32(items),
            spki_gpu_u32(net->neurons),     spki_gpu_u32(net->projections),
            spki_gpu_u32(d->t.shortest),    spki_gpu_u32(d->delays),
            spki_gpu_u32(key[0]),           spki_gpu_u32(key[1]),
            spki_gpu_u32(net->desc.weight_bits == 8), spki_gpu_u32(mode)};
        result = gpu->api->launch(gpu, d->program, SPKI_GPU_ROWS, spki_gpu_draw_groups(items),
                                  SPKI_GPU_DRAW_ITEMS, arg, sizeof arg / sizeof arg[0]);
    }
    return result;
}

/* All tiles in one of the modes, batch by batch. */
SPKI_FN spk_result spki_gpu_draw_all(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d,
                                     uint32_t mode, const spki_gpu_block *out)
{
    spk_result result = d->tiles_changed ? spki_gpu_upload(gpu, &d->tiles_at, &d->t.tiles) : SPK_OK;
    d->tiles_changed = false;
    for (uint32_t b = 0; b < d->batches && result == SPK_OK; b++) {
        result = spki_gpu_index_batch(net, gpu, d, b);
        if (result == SPK_OK) {
            result = spki_gpu_draw_tiles(net, gpu, d, mode, d->batch[b], d->batch[b + 1], out);
        }
    }
    return result;
}

/* -- measuring -- */

/* How wide the counts of each tile's rows are: as spki_choose_layout has it. */
SPKI_FN spk_result spki_gpu_choose_bytes(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const uint32_t looks = SPKI_MIN(net->neurons, (uint32_t)SPKI_GPU_ROWS_LOOKS);
    const size_t words = (size_t)d->tiles * SPKI_GPU_ROWS_LOOKS * 2;
    uint32_t *seen = (uint32_t *)spki_alloc(&net->mem, words, 4);
    spki_gpu_block out = {NULL, 0};
    spk_result result = seen ? spki_gpu_zeroed(gpu, &out, words * 4) : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK) {
        result = spki_gpu_draw_all(net, gpu, d, SPKI_GPU_ROWS_LOOK, &out);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, out.mem, 0, seen, words * 4, NULL);
    }
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        const uint32_t *x = seen + (size_t)t * SPKI_GPU_ROWS_LOOKS * 2;
        uint64_t bytes = 0, pairs = 0;
        for (uint32_t k = 0; k < SPKI_GPU_ROWS_LOOKS; k++) {
            /* fewer neurons than looks: the kernel has seen some twice */
            const bool again = k * (uint64_t)looks / SPKI_GPU_ROWS_LOOKS ==
                               (k + 1) * (uint64_t)looks / SPKI_GPU_ROWS_LOOKS;
            bytes += again ? 0 : x[2 * k];
            pairs += again ? 0 : x[2 * k + 1];
        }
        net->tile[d->tile + t].count_bytes = bytes < 2 * pairs ? 1 : 2;
        spki_gpu_record_of(net, d, t)[SPKI_GPU_ROWS_TILE_BYTES] =
            net->tile[d->tile + t].count_bytes;
    }
    d->tiles_changed = true;
    spki_gpu_free(gpu, &out);
    spki_free(&net->mem, seen, words, 4);
    return result;
}

/* Measures all rows. */
SPKI_FN spk_result spki_gpu_measure_tiles(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_bytes none;
    memset(&none, 0, sizeof none);
    none.mem = &net->mem;
    for (uint32_t t = 0; t < d->tiles; t++) {
        uint32_t *stats = (uint32_t *)spki_gpu_more(&none, SPKI_GPU_ROWS_STATS * 4);
        if (stats) {
            stats[SPKI_GPU_ROWS_SHORTEST] = UINT32_MAX; /* of a tile without rows */
        }
    }
    spk_result result = none.failed ? SPK_ERR_OUT_OF_MEMORY
                                    : spki_gpu_upload(gpu, &d->stats, &none);
    if (result == SPK_OK) {
        result = spki_gpu_draw_all(net, gpu, d, SPKI_GPU_ROWS_MEASURE, &d->flat);
    }
    spki_gpu_forget(&none);
    return result;
}

/* What the host would know of its tiles if it had drawn them. */
SPKI_FN spk_result spki_gpu_take_measures(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    const size_t room = (size_t)d->tiles * SPKI_GPU_ROWS_STATS;
    uint32_t *stats = (uint32_t *)spki_alloc(&net->mem, room, 4);
    spk_result result = stats ? gpu->api->read(gpu, d->stats.mem, 0, stats, room * 4, NULL)
                              : SPK_ERR_OUT_OF_MEMORY;
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        spki_tile *tile = &net->tile[d->tile + t];
        const uint32_t *s = stats + (size_t)t * SPKI_GPU_ROWS_STATS;
        tile->min_delay = s[SPKI_GPU_ROWS_SHORTEST];
        tile->max_delay = s[SPKI_GPU_ROWS_LONGEST];
        tile->synapses = s[SPKI_GPU_ROWS_SYNAPSES];
        tile->buckets = s[SPKI_GPU_ROWS_BUCKETS];
    }
    spki_free(&net->mem, stats, room, 4);
    return result;
}

/* Says where each row begins in its tile, flat or not. */
SPKI_FN spk_result spki_gpu_place_rows(spk_net *net, spki_gpu *gpu, spki_gpu_drawing *d)
{
    spki_gpu_bytes with[2]; /* segments of tiles with buckets, and of flat ones */
    uint32_t *sum = (uint32_t *)spki_alloc(&net->mem, (size_t)d->tiles * 2, 4);
    memset(with, 0, sizeof with);
    with[0].mem = with[1].mem = &net->mem;
    for (uint32_t t = 0; t < d->tiles; t++) {
        const spki_tile *tile = &net->tile[d->tile + t];
        uint32_t *record = spki_gpu_record_of(net, d, t);
        record[SPKI_GPU_ROWS_TILE_FLAT] = tile->flat;
        record[SPKI_GPU_ROWS_TILE_SHORTEST] = tile->min_delay;
        spki_gpu_add_segment(&with[tile->flat ? 1 : 0], (uint64_t)t * net->neurons, net->neurons, 1,
                             t);
    }
    d->tiles_changed = true;
    spk_result result = sum ? spki_gpu_scan_rows(gpu, d, &d->rows, &d->rows, &with[0], 1)
                            : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK) {
        result = spki_gpu_scan_rows(gpu, d, &d->flat, &d->rows, &with[1], 1);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, d->sum.mem, 0, sum, (size_t)d->tiles * 8, NULL);
    }
    for (uint32_t t = 0; t < d->tiles && result == SPK_OK; t++) {
        spki_tile *tile = &net->tile[d->tile + t];
        const uint64_t words = (uint64_t)sum[2 * t] | (uint64_t)sum[2 * t + 1] << 32;
        if (words > SPKI_MOST_WORDS) {
            d->t.not_ = "a tile has more than 2^31 words of synapses";
            result = SPK_ERR_UNSUPPORTED; /* the host says it */
        }
        tile->device_words = tile->words_used = (size_t)words;
    }
    spki_gpu_forget(&with[0]);
    spki_gpu_forget(&with[1]);
    spki_free(&net->mem, sum, (size_t)d->tiles * 2, 4);
    return result;
}

/* Synapses that the rules promise, and by how many there may be more or fewer: ten standard
   deviations where each is drawn by itself. */
SPKI_FN double spki_gpu_promised(const spk_net *net, double *within)
{
    double all = 0.0, variance = 0.0;
    for (uint32_t k = 0; k < net->projections; k++) {
        const spki_proj *p = &net->projection[k].proj;
        const double pairs = (double)spki_pairs(p, 0, p->n_source);
        switch (p->rule) {
        case SPK_ONE_TO_ONE:
            all += pairs < (double)p->n_source * p->n_target && p->same_view ? 0.0 : p->n_source;
            variance += p->self ? (double)p->n_source * p->n_source : 0.0; /* some are left out */
            break;
        case SPK_ALL_TO_ALL: all += pairs; break;
        case SPK_FIXED_INDEGREE: all += p->n_source ? (double)p->k * p->n_target : 0.0; break;
        case SPK_FIXED_OUTDEGREE: all += p->n_target ? (double)p->k * p->n_source : 0.0; break;
        case SPK_FIXED_TOTAL: all += (double)p->total; break;
        case SPK_BERNOULLI:
            all += pairs * p->p;
            variance += pairs * p->p * (1.0 - p->p);
            break;
        case SPK_COO:
        case SPK_CSR:
        case SPK_CALLBACK:
        case SPK_RULE_FORCE_32_BIT: break;
        }
    }
    *within = 10.0 * __builtin_sqrt(variance) + (variance > 0.0 ? 10.0 : 0.0);
    return all;
}

/* In-degrees, for the width of accumulators, and out-degrees, for counting events. */
SPKI_FN spk_result spki_gpu_take_degrees(spk_net *net, spki_gpu_net *g, spki_gpu *gpu,
                                         spki_gpu_drawing *d)
{
    uint32_t *degree = (uint32_t *)spki_alloc(&net->mem, (size_t)d->slots, 4), largest = 0;
    g->outdegree = (uint32_t *)spki_alloc(&net->mem, net->neurons, sizeof *g->outdegree);
    spk_result result = degree && g->outdegree ? SPK_OK : SPK_ERR_OUT_OF_MEMORY;
    if (result == SPK_OK && d->slots) {
        result = gpu->api->read(gpu, d->indegree.mem, 0, degree, (size_t)d->slots * 4, NULL);
    }
    if (result == SPK_OK) {
        result = gpu->api->read(gpu, d->outdegree.mem, 0, g->outdegree, (size_t)net->neurons * 4,
                                NULL);
    }
    for (uint64_t k = 0; k < d->slots && result == SPK_OK; k++) {
        largest = SPKI_MAX(largest, degree[k]);
    }
    spki_free(&net->mem, degree, (size_t)d->slots, 4);
    if (result == SPK_OK) {
        spki_choose_accumulator(net, largest);
    }
    return result;
}

/* Do as many synapses arrive as the rules promise? */
SPKI_FN spk_result spki_gpu_count_drawn(spk_net *net, const spki_gpu *gpu)
{
    double drawn = 0.0, within;
    const double promised = spki_gpu_promised(net, &within);
    for (uint32_t t = 0; t < net->tiles; t++) {
        drawn += (double)net->tile[t].synapses;
    }
    if (drawn >= promised - within && drawn <= promised + within) {
        return SPK_OK;
    }
    return spki_fail(net, SPK_ERR_ARITHMETIC,
                     "%s \"%s\": the device drew %.0f synapses where the rules say %.0f",
                     gpu->api->name, gpu->name, drawn, promised);
}

SPKI_FN spk_result spki_gpu_measure_rows(spk_net *net, spki_gpu_net *g, spki_gpu *gpu,
                                         spki_gpu_drawing *d)
{
    spk_result result = spki_gpu_choose_bytes(net, gpu, d);
    result = result == SPK_OK ? spki_gpu_measure_tiles(net, gpu, d) : result;
    result = result == SPK_OK ? spki_gpu_take_measures(net, gpu, d) : result;
    result = result == SPK_OK ? spki_gpu_take_degrees(net, g, gpu, d) : result;
    for (uint32_t t = 0; t < net->tiles && result == SPK_OK; t++) {
        spki_gpu_choose_flat(net, &net->tile[t], spki_gpu_may_be_flat(net, g));
    }
    return result == SPK_OK ? spki_gpu_place_rows(net, gpu, d) : result;
}

/* The tiles as before anything was measured. */
SPKI_FN void spki_gpu_unmeasure(spk_net *net, spki_gpu_net *g)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_forget_rows(net, &net->tile[t]);
    }
    spki_free(&net->mem, g->outdegree, net->neurons, sizeof *g->outdegree);
    g->outdegree = NULL;
}

/* Measures the rows of a network that is being built, so that the host need not draw them; leaves
   it to the host where a device cannot (net->elsewhere says whether). Errors: the device's. */
SPKI_FN spk_result spki_gpu_construct(spk_net *net, spki_gpu_net *g, spk_construction where)
{
    spki_gpu_part *part = &g->part[0];
    spki_gpu *gpu = &part->gpu;
    double within;
    g->host_draws[0] = gpu->why[0] = 0;
    if (where == SPK_CONSTRUCTION_HOST ||
        (where == SPK_CONSTRUCTION_AUTO &&
         (gpu->lanes > 1 || !(spki_gpu_promised(net, &within) >= SPKI_GPU_DRAW_FROM)))) {
        return SPK_OK;
    }
    const double start = spk_clock_seconds();
    gpu->patient = true;
    spk_result result = spki_gpu_drawing_make(net, part, 0, net->tiles, &part->drawing);
    result = result == SPK_OK ? spki_gpu_measure_rows(net, g, gpu, part->drawing) : result;
    gpu->patient = false;
    if (result == SPK_OK) {
        result = spki_gpu_count_drawn(net, gpu);
    } else if (result == SPK_ERR_UNSUPPORTED || result == SPK_ERR_OUT_OF_MEMORY) {
        const char *not_ = part->drawing ? part->drawing->t.not_ : NULL;
        snprintf(g->host_draws, sizeof g->host_draws, "%s%.140s",
                 not_ ? not_ : "there is no memory for it", gpu->why);
    } else {
        result = spki_gpu_failed(net, gpu, result);
    }
    if (result != SPK_OK || g->parts > 1) {
        if (part->drawing) {
            spki_gpu_drawing_free(net, gpu, part->drawing);
            part->drawing = NULL;
        }
    }
    if (result != SPK_OK) {
        spki_gpu_unmeasure(net, g);
        return g->host_draws[0] ? SPK_OK : result;
    }
    net->construct_s += spk_clock_seconds() - start;
    net->elsewhere = true;
    return SPK_OK;
}

/* -- writing -- */

/* Where each tile's words lie in the block of its segment. */
SPKI_FN void spki_gpu_place_words(spk_net *net, const spki_gpu_part *part, spki_gpu_drawing *d)
{
    for (uint32_t k = 0; k < part->segments; k++) {
        uint64_t words = 0;
        for (uint32_t t = 0; t < part->segment[k].tiles; t++) {
            const uint32_t own = part->segment[k].tile + t;
            uint32_t *record = spki_gpu_record_of(net, d, own);
            record[SPKI_GPU_ROWS_TILE_WORD] = (uint32_t)words;
            record[SPKI_GPU_ROWS_TILE_WORD + 1] = (uint32_t)(words >> 32);
            words += net->tile[part->tile + own].device_words;
        }
    }
    d->tiles_changed = true;
}

SPKI_FN spk_result spki_gpu_write_drawn(spk_net *net, spki_gpu_part *part, spki_gpu_drawing *d)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_place_words(net, part, d);
    spk_result result = spki_gpu_upload(gpu, &d->tiles_at, &d->t.tiles);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        result = spki_gpu_reserve(gpu, part->segment[k].words * 4, &part->segment[k].block);
    }
    for (uint32_t b = 0; b < d->batches && result == SPK_OK; b++) {
        result = spki_gpu_index_batch(net, gpu, d, b);
        for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
            const spki_gpu_segment *s = &part->segment[k];
            const uint32_t tile = SPKI_MAX(d->batch[b], s->tile);
            const uint32_t end = SPKI_MIN(d->batch[b + 1], s->tile + s->tiles);
            if (tile < end) {
                result = spki_gpu_draw_tiles(net, gpu, d, SPKI_GPU_ROWS_WRITE, tile, end,
                                             &s->block);
            }
        }
    }
    result = result == SPK_OK ? gpu->api->finish(gpu) : result;
    if (result == SPK_OK) { /* the rows' places are what the kernels of the network read */
        spki_gpu_free(gpu, &part->rows);
        part->rows = d->rows;
        d->rows.mem = NULL;
        d->rows.bytes = 0;
    }
    return result;
}

/* Draws the rows of a part's tiles into its memory. */
SPKI_FN spk_result spki_gpu_write_rows(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    spki_gpu_drawing *d = part->drawing;
    const double start = spk_clock_seconds();
    spk_result result = SPK_OK;
    gpu->patient = true;
    part->drawing = NULL;
    if (d && (d->tile != part->tile || d->tiles != part->tiles)) {
        spki_gpu_drawing_free(net, gpu, d);
        d = NULL;
    }
    if (!d) {
        result = spki_gpu_drawing_make(net, part, part->tile, part->tiles, &d);
        result = result == SPK_OK ? spki_gpu_measure_tiles(net, gpu, d) : result;
        result = result == SPK_OK ? spki_gpu_place_rows(net, gpu, d) : result;
    }
    result = result == SPK_OK ? spki_gpu_write_drawn(net, part, d) : result;
    if (d) {
        spki_gpu_drawing_free(net, gpu, d);
    }
    gpu->patient = false;
    net->construct_s += spk_clock_seconds() - start;
    return result;
}

/* The rows of a part's tiles: drawn there, or from the host's copy. */
SPKI_FN spk_result spki_gpu_push_words(spk_net *net, spki_gpu_part *part)
{
    spki_gpu *gpu = &part->gpu;
    part->drawn = false;
    if (net->elsewhere) {
        const spk_result drawn = spki_gpu_write_rows(net, part);
        part->drawn = drawn == SPK_OK;
        if (drawn == SPK_OK || (drawn != SPK_ERR_OUT_OF_MEMORY && drawn != SPK_ERR_UNSUPPORTED)) {
            return drawn == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, drawn);
        }
    }
    spk_result result = spki_fetch_rows(net);
    if (result != SPK_OK) {
        return result;
    }
    result =
        spki_gpu_reserve(gpu, (uint64_t)part->tiles * net->neurons * 4, &part->rows);
    result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
    for (uint32_t k = 0; k < part->segments && result == SPK_OK; k++) {
        spki_gpu_segment *segment = &part->segment[k];
        uint64_t at = 0;
        result = spki_gpu_reserve(gpu, segment->words * 4, &segment->block);
        result = result == SPK_OK ? SPK_OK : spki_gpu_failed(net, gpu, result);
        for (uint32_t t = 0; t < segment->tiles && result == SPK_OK; t++) {
            result = spki_gpu_push_tile(net, part, segment->tile + t, segment, at);
            at += (uint64_t)net->tile[part->tile + segment->tile + t].device_words * 4;
        }
    }
    return result;
}

#endif
