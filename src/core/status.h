/* ---- >>status: names and meanings of results ---- */
#ifndef SPIKELIB_CORE_STATUS_H
#define SPIKELIB_CORE_STATUS_H

#include "base.h"

SPIKELIB_API const char *spk_result_name(spk_result result)
{
    switch (result) {
#define SPKI_RESULT_NAME(code, name, text)                                                        \
    case name: return #name;
        SPIKELIB_RESULTS(SPKI_RESULT_NAME)
#undef SPKI_RESULT_NAME
    default: return "SPK_RESULT_UNKNOWN";
    }
}

SPIKELIB_API const char *spk_result_text(spk_result result)
{
    switch (result) {
#define SPKI_RESULT_TEXT(code, name, text)                                                        \
    case name: return text;
        SPIKELIB_RESULTS(SPKI_RESULT_TEXT)
#undef SPKI_RESULT_TEXT
    default: return "this version of spikelib has no such result";
    }
}

SPIKELIB_API const char *spk_version(void)
{
    return SPIKELIB_VERSION;
}

#endif
