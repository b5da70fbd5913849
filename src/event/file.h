/* ---- >>file: files beyond 2 GB on every system ---- */
#ifndef SPIKELIB_EVENT_FILE_H
#define SPIKELIB_EVENT_FILE_H

#include "../core/base.h"

#include <errno.h>
#if defined(_WIN32)
#include <io.h>
#endif

/* 32-bit Linux opens large files under another name, and -std=c11 hides fileno and ftruncate. */
#if defined(__linux__)
#ifdef __cplusplus
extern "C" {
#endif
extern int spki_os_fileno(FILE *file) __asm__("fileno");
#if defined(__LP64__)
extern int spki_os_ftruncate(int fd, int64_t size) __asm__("ftruncate");
#else
extern int spki_os_ftruncate(int fd, int64_t size) __asm__("ftruncate64");
extern FILE *spki_os_fopen(const char *path, const char *mode) __asm__("fopen64");
#endif
#ifdef __cplusplus
}
#endif
#endif

SPKI_FN FILE *spki_file_open(const char *path, const char *mode)
{
    errno = 0;
#if defined(__linux__) && !defined(__LP64__)
    return spki_os_fopen(path, mode);
#else
    return fopen(path, mode);
#endif
}

/* Cuts a file that is open for writing; nothing of it may be buffered. */
SPKI_FN bool spki_file_truncate(FILE *file, uint64_t size)
{
#if defined(_WIN32)
    return _chsize_s(_fileno(file), (int64_t)size) == 0;
#elif defined(__linux__)
    return spki_os_ftruncate(spki_os_fileno(file), (int64_t)size) == 0;
#else
    return ftruncate(fileno(file), (off_t)size) == 0;
#endif
}

/* What the system says went wrong with the last call. */
SPKI_FN const char *spki_file_why(void)
{
    return errno ? strerror(errno) : "no reason given";
}

#endif
