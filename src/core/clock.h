/* ---- >>clock: monotonic seconds ---- */
#ifndef SPIKELIB_CORE_CLOCK_H
#define SPIKELIB_CORE_CLOCK_H

#include "base.h"

SPIKELIB_API double spk_clock_seconds(void)
{
#if defined(_WIN32)
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return (double)now.QuadPart / (double)per_second.QuadPart;
#else
    struct timespec now;
#if defined(CLOCK_MONOTONIC)
    clock_gettime(CLOCK_MONOTONIC, &now);
#elif defined(__linux__) && defined(__LP64__)
    spki_os_gettime(1, &now); /* CLOCK_MONOTONIC of the Linux ABI, hidden by -std=c11 */
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
}

#endif
