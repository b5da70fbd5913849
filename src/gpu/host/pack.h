/* ---- >>gpu-pack: rows of 8-bit weights, in three bytes a synapse ----
   The host's rows have 16 bits for a weight, which its vector code takes as they are. A device,
   where the bytes that are read are the time, gets them packed: each four synapses of a bucket are
   three words (two slots, two slots, four weights), what is left of a bucket one word each, as
   ever. Heads are the host's. */
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
        const uint32_t start = tile->row[id];
        spki_row_reader r;
        if (row) {
            row[id] = start ? (uint32_t)used : 0;
        }
        if (!start) {
            continue;
        }
        spki_row_open(&r, tile, id, 1);
        const uint32_t head = r.at - start;
        if (out) {
            memcpy(out + used, tile->words + start, head * sizeof *out);
        }
        used += head;
        while (spki_row_next(&r)) {
            if (out) {
                (void)spki_gpu_pack_bucket(tile->words + r.at, r.count, out + used);
            }
            used += spki_gpu_bucket_words(r.count);
        }
    }
    return used;
}

/* Measures all tiles, once they are built: their buckets do not change afterwards. */
SPKI_FN void spki_gpu_measure(spk_net *net)
{
    for (uint32_t t = 0; t < net->tiles; t++) {
        spki_tile *tile = &net->tile[t];
        tile->device_words = net->desc.weight_bits == 8 ? spki_gpu_pack_tile(net, tile, NULL, NULL)
                                                        : tile->words_used;
    }
}

#endif
