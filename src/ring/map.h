/* ---- >>map: files that several processes map ---- */
#ifndef SPIKELIB_RING_MAP_H
#define SPIKELIB_RING_MAP_H

#include "../core/base.h"

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Hidden by -std=c11. */
#ifdef __cplusplus
extern "C" {
#endif
extern int spki_os_ftruncate(int fd, off_t size) __asm__("ftruncate");
#ifdef __cplusplus
}
#endif

/* A new file of `bytes` (create), or an old one with all that it has. NULL: errno says why. */
SPKI_FN void *spki_map_file(const char *path, bool create, size_t *bytes)
{
    struct stat is;
    void *mapping = NULL;
    int fd = create ? open(path, O_RDWR | O_CREAT | O_EXCL, 0600) : open(path, O_RDWR);
    bool ok = fd >= 0;
    if (ok && create) ok = spki_os_ftruncate(fd, (off_t)*bytes) == 0;
    if (ok) ok = fstat(fd, &is) == 0;
    if (ok && !create) *bytes = (size_t)is.st_size;
    if (ok) mapping = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (ok && mapping != MAP_FAILED) return mapping;
    if (fd >= 0 && create) unlink(path);
    return NULL;
}

SPKI_FN void spki_unmap(void *mapping, size_t bytes)
{
    if (mapping) munmap(mapping, bytes);
}

SPKI_FN bool spki_can_share(void) { return true; }
#else
SPKI_FN void *spki_map_file(const char *path, bool create, size_t *bytes)
{
    (void)path;
    (void)create;
    (void)bytes;
    return NULL;
}

SPKI_FN void spki_unmap(void *mapping, size_t bytes)
{
    (void)mapping;
    (void)bytes;
}

SPKI_FN bool spki_can_share(void) { return false; }
#endif

#endif
