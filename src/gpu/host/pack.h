/* ---- >>gpu-pack: rows as a device reads them ----
   The host's rows are made for vectors: buckets of one delay, 16 bits for a weight even where it
   has 8. On a device the bytes that are read are the time, and where each multiprocessor has a
   tile, buckets hold one or two synapses: their heads take a third of a row. Two changes, where
   they apply:

   Flat rows: where the bits of a tile's slots and those of its delays fit into 16 together, a row
   is the number of its synapses and the synapses, in the order of the host's, each with (delay
   less the tile's shortest) << bits | slot where it had its slot.

   Weights of 8 bits: each four synapses of a bucket, or of a flat row, are three words (two slots,
   two slots, four weights), what is left of it one word each, as ever. */
#ifndef SPIKELIB_GPU_HOST_PACK_H
#define SPIKELIB_GPU_HOST_PACK_H

#include "source.h"

#define SPKI_GPU_PACK 4u

SPKI_FN uint32_t spki_gpu_bucket_words(uint32_t count)
{
    return count / SPKI_GPU_PACK * 3 + count % SPKI_GPU_PACK;
}

/* One bucket; returns what is behind it. */
SPKI_FN uint32_t *spki_gpu_pack_bucket(const uint32_t *from, uint32_t count, uint32_t *out)
{
    uint32_t k = 0;
    for (; k + SPKI_GPU_PACK <= count; k += SPKI_GPU_PACK, out += 3) {
        out[0] = (from[k] & 0xffffu) | from[k + 1] << 16;
        out[1] = (from[k + 2] & 0xffffu) | from[k + 3] << 16;
        out[2] = 0;
        for (uint32_t j = 0; j < SPKI_GPU_PACK; j++) {
            out[2] |= (from[k + j] >> 16 & 0xffu) << 8 * j;
        }
    }
    for (; k < count; k++) {
        *out++ = from[k];
    }
    return out;
}

/* Synapse k of the n of a flat row; `field`: its slot and delay. */
SPKI_FN void spki_gpu_put_flat(uint32_t *out, uint32_t k, uint32_t n, uint32_t field,
                               uint32_t weight, bool bytes)
{
    const uint32_t j = k % SPKI_GPU_PACK;
    if (!bytes) {
        out[k] = field | weight << 16;
        return;
    }
    out += k / SPKI_GPU_PACK * 3;
    if (k / SPKI_GPU_PACK == n / SPKI_GPU_PACK) {
        out[j] = field | weight << 16;
        return;
    }
    if (j == 0) {
        out[0] = out[1] = out[2] = 0;
    }
    out[j / 2] |= field << (j % 2 * 16);
    out[2] |= (weight & 0xffu) << 8 * j;
}

/* A row without its buckets, where `out` is given; returns its words. */
SPKI_FN size_t spki_gpu_flatten(const spk_net *net, const spki_tile *tile, uint32_t id,
                                uint32_t *out)
{
    const bool bytes = net->desc.weight_bits == 8;
    spki_row_reader r;
    uint32_t n = 0, at = 0;
    spki_row_open(&r, tile, id, 1);
    while (spki_row_next(&r)) {
        n += r.count;
    }
    if (out) {
        out[0] = n;
        spki_row_open(&r, tile, id, 1);
        while (spki_row_next(&r)) {
            const uint32_t delay = (r.delay - tile->min_delay) << tile->flat;
            for (uint32_t k = 0; k < r.count; k++) {
                const uint32_t x = tile->words[r.at + k];
                spki_gpu_put_flat(out + 1, at++, n, (x & 0xffffu) | delay, x >> 16, bytes);
            }
        }
    }
    return 1 + (bytes ? spki_gpu_bucket_words(n) : n);
}

/* A row of 8-bit weights with its buckets. */
SPKI_FN size_t spki_gpu_pack_row(const spki_tile *tile, uint32_t id, uint32_t *out)
{
    spki_row_reader r;
    size_t used;
    spki_row_open(&r, tile, id, 1);
    used = r.at - tile->row[id];
    if (out) {
        memcpy(out, tile->words + tile->row[id], used * sizeof *out);
    }
    while (spki_row_next(&r)) {
        if (out) {
            (void)spki_gpu_pack_bucket(tile->words + r.at, r.count, out + used);
        }
        used += spki_gpu_bucket_words(r.count);
    }
    return used;
}

/* A tile's rows: how many words they become. Where `out` is given, they are written there, and
   where each begins to `row`. */
SPKI_FN size_t spki_gpu_pack_tile(const spk_net *net, const spki_tile *tile, uint32_t *out,
                                  uint32_t *row)
{
    size_t used = 1;
    if (out) {
        out[0] = tile->words[0];
    }
    for (uint32_t id = 0; id < net->neurons; id++) {
        uint32_t *to = out ? out + used : NULL;
        if (row) {
            row[id] = tile->row[id] ? (uint32_t)used : 0;
        }
        if (tile->row[id]) {
            used += tile->flat ? spki_gpu_flatten(net, tile, id, to)
                               : spki_gpu_pack_row(tile, id, to);
        }
    }
    return used;
}

SPKI_FN bool spki_gpu_packs(const spk_net *net, const spki_tile *tile)
{
    return net->desc.weight_bits == 8 || tile->flat;
}

/* Bits that hold all numbers below n. */
SPKI_FN uint32_t spki_gpu_bits_below(uint64_t n)
{
    uint32_t bits = 0;
    while ((uint64_t)1 << bits < n) {
        bits++;
    }
    return bits;
}

/* Makes a tile's rows flat where they can be; they are shorter then, always. `may`: no device of
   the network wants buckets. */
SPKI_FN void spki_gpu_choose_flat(const spk_net *net, spki_tile *tile, bool may)
{
    const uint32_t slots =
        spki_gpu_bits_below((uint64_t)tile->lanes * SPKI_MAX(tile->receptors, 1u));
    tile->flat = 0;
    if (may && tile->synapses && net->desc.weight_bits != 32 &&
        slots + spki_gpu_bits_below((uint64_t)tile->max_delay - tile->min_delay + 1) <= 16) {
        tile->flat = slots;
    }
}

/* Measures all tiles, once they are built: their buckets do not change afterwards. */
SPKI_FN void spki_gpu_measure(spk_net *net, bool may_be_flat)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        spki_gpu_choose_flat(net, tile, may_be_flat);
        tile->device_words = spki_gpu_packs(net, tile) ? spki_gpu_pack_tile(net, tile, NULL, NULL)
                                                       : tile->words_used;
    }
}

#endif
