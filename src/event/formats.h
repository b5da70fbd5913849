/* ---- >>formats: the list of readers and writers ---- */
#ifndef SPIKELIB_EVENT_FORMATS_H
#define SPIKELIB_EVENT_FORMATS_H

#include "aedat4.h"
#include "aedat4_write.h"
#include "codec.h"
#include "dat.h"
#include "es.h"
#include "evt2.h"
#include "evt21.h"
#include "evt3_fast.h"
#include "evt4.h"
#include "hdf5.h"
#include "nmnist.h"
#include "npy.h"
#include "npy_write.h"
#ifndef SPIKELIB_NO_SPIKEFILE
#include "spikefile_events.h"
#endif
#include "text.h"
#include "text_write.h"

/* In the order in which their contents are asked; those that know themselves by a mark come first,
   those that guess last. */
SPKI_FN const spki_codec *spki_codec_at(size_t index)
{
    static const spki_codec *const list[] = {
        &spki_hdf5_codec,
#ifndef SPIKELIB_NO_SPIKEFILE
        &spki_spikes_codec,
#endif
        &spki_es_codec,   &spki_aedat4_codec, &spki_aedat3_codec, &spki_aedat2_codec,
        &spki_evt3_codec, &spki_evt2_codec,   &spki_evt21_codec,  &spki_evt4_codec,
        &spki_npy_codec,  &spki_dat_codec,    &spki_sonata_text_codec, &spki_csv_codec,
        &spki_text_codec, &spki_nmnist_codec,
    };
    return index < sizeof list / sizeof list[0] ? list[index] : NULL;
}

SPKI_FN const spki_encoder *spki_encoder_at(size_t index)
{
    static const spki_encoder *const list[] = {
#ifndef SPIKELIB_NO_SPIKEFILE
        &spki_spikes_encoder,
#endif
        &spki_evt3_encoder, &spki_evt2_encoder,   &spki_dat_encoder,
        &spki_es_encoder,   &spki_nmnist_encoder, &spki_aedat4_encoder,
        &spki_csv_encoder,  &spki_npy_encoder,    &spki_text_encoder,
    };
    return index < sizeof list / sizeof list[0] ? list[index] : NULL;
}

SPKI_FN const spki_codec *spki_codec_of(spk_event_format format)
{
    size_t k;
    for (k = 0; spki_codec_at(k); k++)
        if (spki_codec_at(k)->format == format) return spki_codec_at(k);
    return NULL;
}

SPKI_FN const spki_encoder *spki_encoder_of(spk_event_format format)
{
    size_t k;
    for (k = 0; spki_encoder_at(k); k++)
        if (spki_encoder_at(k)->format == format) return spki_encoder_at(k);
    return NULL;
}

#endif
