/* ---- >>test-disk: a disk that is full ---- */
#ifndef SPIKELIB_TESTS_DISK_H
#define SPIKELIB_TESTS_DISK_H

#if defined(__linux__)
#include <sys/resource.h>

#include "check.h"

/* From now on files of this process end after so many bytes; returns what held before. */
CHECK_FN rlim_t disk_holds(rlim_t bytes)
{
    struct rlimit limit;
    rlim_t before;
    getrlimit(RLIMIT_FSIZE, &limit);
    before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
    return before;
}
#endif

#endif
