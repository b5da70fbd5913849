/* ---- >>gpu-names: devices by their names, as people write them and as errors list them ---- */
#ifndef SPIKELIB_GPU_HOST_NAMES_H
#define SPIKELIB_GPU_HOST_NAMES_H

#include "device.h"

/* Letters alike. */
SPKI_FN bool spki_gpu_has(const char *text, const char *part)
{
    const size_t n = strlen(part);
    for (; strlen(text) >= n; text++) {
        size_t k = 0;
        for (; k < n; k++) {
            const int a = text[k] >= 'A' && text[k] <= 'Z' ? text[k] + 32 : text[k];
            const int b = part[k] >= 'A' && part[k] <= 'Z' ? part[k] + 32 : part[k];
            if (a != b) {
                break;
            }
        }
        if (k == n) {
            return true;
        }
        if (!*text) {
            break;
        }
    }
    return false;
}

/* One more device in the list that an error shows. */
SPKI_FN void spki_gpu_seen(char *list, size_t size, const char *name, bool usable, const char *why)
{
    const size_t used = strlen(list);
    snprintf(list + used, size - used, "%s\"%.60s\"%s%.80s", used ? ", " : "", name,
             usable ? "" : ", unusable: ", why);
}

#endif
