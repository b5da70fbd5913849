/* ---- >>spikefile-codec: LZ4 and Zstandard, where they are built in ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_CODEC_H
#define SPIKELIB_EVENT_SPIKEFILE_CODEC_H

#include "../api/spikefile.h"
#include "../core/base.h"

#if defined(SPIKELIB_LZ4)
#include <lz4.h>
#endif
#if defined(SPIKELIB_ZSTD)
#include <zstd.h>
#endif

SPKI_FN bool spki_sf_codec_known(spk_spikefile_codec codec)
{
#if defined(SPIKELIB_LZ4)
    if (codec == SPK_SPIKEFILE_LZ4) return true;
#endif
#if defined(SPIKELIB_ZSTD)
    if (codec == SPK_SPIKEFILE_ZSTD) return true;
#endif
    return codec == SPK_SPIKEFILE_PACKED || codec == SPK_SPIKEFILE_RAW;
}

/* What to do about a codec that is not built in. */
SPKI_FN const char *spki_sf_codec_flag(spk_spikefile_codec codec)
{
    return codec == SPK_SPIKEFILE_LZ4 ? "LZ4 is not built in: define SPIKELIB_LZ4, link with -llz4"
                                      : "Zstandard is not built in: define SPIKELIB_ZSTD, link "
                                        "with -lzstd";
}

/* The room that compressing may take. */
SPKI_FN size_t spki_sf_squeezed(spk_spikefile_codec codec, size_t size)
{
    (void)codec;
#if defined(SPIKELIB_LZ4)
    if (codec == SPK_SPIKEFILE_LZ4) return (size_t)LZ4_compressBound((int)size);
#endif
#if defined(SPIKELIB_ZSTD)
    if (codec == SPK_SPIKEFILE_ZSTD) return ZSTD_compressBound(size);
#endif
    return size;
}

/* Returns the compressed size; 0: it cannot be done. */
SPKI_FN size_t spki_sf_squeeze(spk_spikefile_codec codec, int32_t level, const uint8_t *from,
                               size_t size, uint8_t *to, size_t room)
{
    (void)codec, (void)level, (void)from, (void)size, (void)to, (void)room;
#if defined(SPIKELIB_LZ4)
    if (codec == SPK_SPIKEFILE_LZ4) {
        const int got = LZ4_compress_default((const char *)from, (char *)to, (int)size, (int)room);
        return got > 0 ? (size_t)got : 0;
    }
#endif
#if defined(SPIKELIB_ZSTD)
    if (codec == SPK_SPIKEFILE_ZSTD) {
        const size_t got = ZSTD_compress(to, room, from, size, level ? level : 3);
        return ZSTD_isError(got) ? 0 : got;
    }
#endif
    return 0;
}

/* True if exactly `room` bytes came out. */
SPKI_FN bool spki_sf_unsqueeze(spk_spikefile_codec codec, const uint8_t *from, size_t size,
                               uint8_t *to, size_t room)
{
    (void)codec, (void)from, (void)size, (void)to, (void)room;
#if defined(SPIKELIB_LZ4)
    if (codec == SPK_SPIKEFILE_LZ4)
        return size <= INT_MAX && room <= INT_MAX &&
               LZ4_decompress_safe((const char *)from, (char *)to, (int)size, (int)room) ==
                   (int)room;
#endif
#if defined(SPIKELIB_ZSTD)
    if (codec == SPK_SPIKEFILE_ZSTD) return ZSTD_decompress(to, room, from, size) == room;
#endif
    return false;
}

#endif
