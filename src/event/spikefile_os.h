/* ---- >>spikefile-os: files that are mapped, and grow while others read ---- */
#ifndef SPIKELIB_EVENT_SPIKEFILE_OS_H
#define SPIKELIB_EVENT_SPIKEFILE_OS_H

#include "../core/base.h"

#include <errno.h>
#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#endif

/* Offsets have 64 bits everywhere. -std=c11 hides what is not ISO C, and 32-bit Linux has the large
   forms under names of their own. */
#if defined(__linux__)
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__LP64__)
extern int spki_os_open(const char *path, int flags, ...) __asm__("open");
extern ssize_t spki_os_pread(int fd, void *to, size_t size, int64_t at) __asm__("pread");
extern ssize_t spki_os_pwrite(int fd, const void *data, size_t size, int64_t at) __asm__("pwrite");
extern int64_t spki_os_lseek(int fd, int64_t at, int whence) __asm__("lseek");
extern int spki_os_cut(int fd, int64_t size) __asm__("ftruncate");
extern void *spki_os_mmap(void *at, size_t size, int prot, int flags, int fd,
                          int64_t offset) __asm__("mmap");
#else
extern int spki_os_open(const char *path, int flags, ...) __asm__("open64");
extern ssize_t spki_os_pread(int fd, void *to, size_t size, int64_t at) __asm__("pread64");
extern ssize_t spki_os_pwrite(int fd, const void *data, size_t size,
                              int64_t at) __asm__("pwrite64");
extern int64_t spki_os_lseek(int fd, int64_t at, int whence) __asm__("lseek64");
extern int spki_os_cut(int fd, int64_t size) __asm__("ftruncate64");
extern void *spki_os_mmap(void *at, size_t size, int prot, int flags, int fd,
                          int64_t offset) __asm__("mmap64");
#endif
extern int spki_os_fsync(int fd) __asm__("fsync");
extern int spki_os_flock(int fd, int operation) __asm__("flock");
extern int spki_os_advise(void *at, size_t size, int advice) __asm__("madvise");
#ifdef __cplusplus
}
#endif
#elif !defined(_WIN32)
#define spki_os_open open
#define spki_os_pread pread
#define spki_os_pwrite pwrite
#define spki_os_lseek lseek
#define spki_os_cut ftruncate
#define spki_os_mmap mmap
#define spki_os_fsync fsync
#define spki_os_flock flock
#endif

typedef enum spki_sf_mode { SPKI_SF_READ, SPKI_SF_CREATE, SPKI_SF_APPEND } spki_sf_mode;

typedef struct spki_sf_file {
    bool open;
#if defined(_WIN32)
    HANDLE handle;
#else
    int fd;
#endif
    const uint8_t *map; /* NULL: not mapped */
    uint64_t mapped;    /* bytes */
    bool scattered;     /* the system was told that few pages are wanted, here and there */
    char why[96];       /* what the system said about the last call that failed */
} spki_sf_file;

#if defined(_WIN32)
SPKI_FN void spki_sf_note(spki_sf_file *file)
{
    const DWORD code = GetLastError();
    const char *text = code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND ? "no such file"
                       : code == ERROR_ACCESS_DENIED     ? "access denied"
                       : code == ERROR_SHARING_VIOLATION ? "another writer has it open"
                       : code == ERROR_DISK_FULL || code == ERROR_HANDLE_DISK_FULL ? "disk full"
                                                                                   : "error";
    snprintf(file->why, sizeof file->why, "%s (Windows error %lu)", text, (unsigned long)code);
}

/* One writer: others may read what it has open, none may write. */
SPKI_FN spk_result spki_sf_open(spki_sf_file *file, const char *path, spki_sf_mode mode)
{
    const DWORD access = mode == SPKI_SF_READ ? GENERIC_READ : GENERIC_READ | GENERIC_WRITE;
    const DWORD share = mode == SPKI_SF_READ
                            ? FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE
                            : FILE_SHARE_READ | FILE_SHARE_DELETE;
    const DWORD how = mode == SPKI_SF_CREATE ? CREATE_ALWAYS : OPEN_EXISTING;
    memset(file, 0, sizeof *file);
    file->handle = CreateFileA(path, access, share, NULL, how, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file->handle == INVALID_HANDLE_VALUE) {
        const bool taken = GetLastError() == ERROR_SHARING_VIOLATION;
        spki_sf_note(file);
        return taken && mode != SPKI_SF_READ ? SPK_ERR_STATE : SPK_ERR_IO;
    }
    file->open = true;
    return SPK_OK;
}

SPKI_FN bool spki_sf_size(spki_sf_file *file, uint64_t *size)
{
    LARGE_INTEGER bytes;
    if (!GetFileSizeEx(file->handle, &bytes)) {
        spki_sf_note(file);
        return false;
    }
    *size = (uint64_t)bytes.QuadPart;
    return true;
}

SPKI_FN size_t spki_sf_read(spki_sf_file *file, void *to, size_t size, uint64_t at)
{
    size_t done = 0;
    while (done < size) {
        OVERLAPPED where;
        DWORD got = 0;
        memset(&where, 0, sizeof where);
        where.Offset = (DWORD)(at + done);
        where.OffsetHigh = (DWORD)((at + done) >> 32);
        if (!ReadFile(file->handle, (char *)to + done,
                      (DWORD)SPKI_MIN(size - done, (size_t)1 << 30), &got, &where) ||
            got == 0) {
            if (GetLastError() != ERROR_HANDLE_EOF) spki_sf_note(file);
            break;
        }
        done += got;
    }
    return done;
}

SPKI_FN size_t spki_sf_write(spki_sf_file *file, const void *data, size_t size, uint64_t at)
{
    size_t done = 0;
    while (done < size) {
        OVERLAPPED where;
        DWORD put = 0;
        memset(&where, 0, sizeof where);
        where.Offset = (DWORD)(at + done);
        where.OffsetHigh = (DWORD)((at + done) >> 32);
        if (!WriteFile(file->handle, (const char *)data + done,
                       (DWORD)SPKI_MIN(size - done, (size_t)1 << 30), &put, &where) ||
            put == 0) {
            spki_sf_note(file);
            break;
        }
        done += put;
    }
    return done;
}

/* Fails while a reader has the end mapped; whoever writes next overwrites it then. */
SPKI_FN bool spki_sf_cut(spki_sf_file *file, uint64_t size)
{
    LARGE_INTEGER to;
    to.QuadPart = (LONGLONG)size;
    return SetFilePointerEx(file->handle, to, NULL, FILE_BEGIN) && SetEndOfFile(file->handle);
}

SPKI_FN bool spki_sf_sync(spki_sf_file *file)
{
    if (FlushFileBuffers(file->handle)) return true;
    spki_sf_note(file);
    return false;
}

SPKI_FN void spki_sf_unmap(spki_sf_file *file)
{
    if (file->map) UnmapViewOfFile(file->map);
    file->map = NULL;
    file->mapped = 0;
}

SPKI_FN void spki_sf_scatter(spki_sf_file *file, bool scattered)
{
    (void)file;
    (void)scattered;
}

SPKI_FN void spki_sf_soon(const spki_sf_file *file, uint64_t at, uint64_t size)
{
    (void)file;
    (void)at;
    (void)size;
}

SPKI_FN bool spki_sf_map(spki_sf_file *file, uint64_t size)
{
    HANDLE section;
    spki_sf_unmap(file);
    if (size == 0 || size > (uint64_t)(SIZE_MAX / 4)) return false;
    section = CreateFileMappingA(file->handle, NULL, PAGE_READONLY, (DWORD)(size >> 32),
                                 (DWORD)size, NULL);
    if (!section) return false;
    file->map = (const uint8_t *)MapViewOfFile(section, FILE_MAP_READ, 0, 0, (SIZE_T)size);
    CloseHandle(section); /* the view keeps it */
    if (!file->map) return false;
    file->mapped = size;
    return true;
}

SPKI_FN void spki_sf_close(spki_sf_file *file)
{
    spki_sf_unmap(file);
    if (file->open) CloseHandle(file->handle);
    file->open = false;
}
#else
SPKI_FN void spki_sf_note(spki_sf_file *file)
{
    snprintf(file->why, sizeof file->why, "%s", errno ? strerror(errno) : "no reason given");
}

/* One writer: the lock goes with the descriptor, so that it ends with the process. 2 | 4 are
   LOCK_EX | LOCK_NB of every system that has them. A file system without locks is no error. */
SPKI_FN spk_result spki_sf_lock(spki_sf_file *file)
{
    if (spki_os_flock(file->fd, 2 | 4) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        return SPK_OK;
    snprintf(file->why, sizeof file->why, "another writer has it open");
    return SPK_ERR_STATE;
}

SPKI_FN spk_result spki_sf_open(spki_sf_file *file, const char *path, spki_sf_mode mode)
{
    struct stat what;
    spk_result result = SPK_OK;
    int flags = mode == SPKI_SF_READ ? O_RDONLY
                : mode == SPKI_SF_APPEND ? O_RDWR
                                         : O_RDWR | O_CREAT;
#if defined(O_CLOEXEC)
    flags |= O_CLOEXEC;
#endif
    memset(file, 0, sizeof *file);
    errno = 0;
    file->fd = spki_os_open(path, flags, 0666);
    if (file->fd < 0) {
        spki_sf_note(file);
        return SPK_ERR_IO;
    }
    file->open = true;
    if (fstat(file->fd, &what) == 0 && S_ISDIR(what.st_mode)) {
        snprintf(file->why, sizeof file->why, "it is a directory");
        return SPK_ERR_IO;
    }
    if (mode != SPKI_SF_READ) result = spki_sf_lock(file);
    if (result == SPK_OK && mode == SPKI_SF_CREATE && S_ISREG(what.st_mode) &&
        spki_os_cut(file->fd, 0) != 0) {
        spki_sf_note(file);
        result = SPK_ERR_IO;
    }
    return result;
}

SPKI_FN bool spki_sf_size(spki_sf_file *file, uint64_t *size)
{
    const int64_t end = spki_os_lseek(file->fd, 0, SEEK_END);
    if (end < 0) {
        spki_sf_note(file);
        return false;
    }
    *size = (uint64_t)end;
    return true;
}

/* Returns how many bytes were there. */
SPKI_FN size_t spki_sf_read(spki_sf_file *file, void *to, size_t size, uint64_t at)
{
    size_t done = 0;
    while (done < size) {
        const ssize_t got =
            spki_os_pread(file->fd, (char *)to + done, SPKI_MIN(size - done, (size_t)1 << 30),
                          (int64_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) spki_sf_note(file);
        if (got <= 0) break;
        done += (size_t)got;
    }
    return done;
}

/* Returns how many bytes were taken; fewer: spki_sf_file.why. */
SPKI_FN size_t spki_sf_write(spki_sf_file *file, const void *data, size_t size, uint64_t at)
{
    size_t done = 0;
    errno = 0;
    while (done < size) {
        const ssize_t put =
            spki_os_pwrite(file->fd, (const char *)data + done,
                           SPKI_MIN(size - done, (size_t)1 << 30), (int64_t)(at + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            spki_sf_note(file);
            break;
        }
        done += (size_t)put;
    }
    return done;
}

SPKI_FN bool spki_sf_cut(spki_sf_file *file, uint64_t size)
{
    return spki_os_cut(file->fd, (int64_t)size) == 0;
}

SPKI_FN bool spki_sf_sync(spki_sf_file *file)
{
    errno = 0;
    if (spki_os_fsync(file->fd) == 0 || errno == EINVAL) return true;
    spki_sf_note(file);
    return false;
}

SPKI_FN void spki_sf_unmap(spki_sf_file *file)
{
    union { /* munmap of some systems takes a char pointer; none of them writes there */
        const uint8_t *shown;
        void *taken;
    } map;
    map.shown = file->map;
    if (file->map) (void)munmap(map.taken, (size_t)file->mapped);
    file->map = NULL;
    file->mapped = 0;
    file->scattered = false;
}

/* Reading ahead is right for a scan; for a window it makes each of a dozen pages as slow as 32. */
SPKI_FN void spki_sf_scatter(spki_sf_file *file, bool scattered)
{
#if defined(__linux__)
    union {
        const uint8_t *shown;
        void *taken;
    } map;
    map.shown = file->map;
    if (!file->map || file->scattered == scattered) return;
    (void)spki_os_advise(map.taken, (size_t)file->mapped, scattered ? 1 : 0);
    file->scattered = scattered;
#else
    (void)file;
    (void)scattered;
#endif
}

/* Where few pages are wanted, these are: one answer of the disk brings them all. A page alone needs
   no announcement. */
SPKI_FN void spki_sf_soon(const spki_sf_file *file, uint64_t at, uint64_t size)
{
#if defined(__linux__)
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), from = at / page * page;
    const uint64_t end = SPKI_MIN(at + size, file->mapped);
    union {
        const uint8_t *shown;
        void *taken;
    } map;
    if (!file->scattered || end <= from + page) return;
    map.shown = file->map + from;
    (void)spki_os_advise(map.taken, (size_t)(end - from), 3);
#else
    (void)file;
    (void)at;
    (void)size;
#endif
}

/* False where mapping is impossible (too large for the address space, a pipe, ...). */
SPKI_FN bool spki_sf_map(spki_sf_file *file, uint64_t size)
{
    void *at;
    spki_sf_unmap(file);
    if (size == 0 || size > (uint64_t)(SIZE_MAX / 4)) return false;
    at = spki_os_mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, file->fd, 0);
    if (at == MAP_FAILED) return false;
    file->map = (const uint8_t *)at;
    file->mapped = size;
    return true;
}

SPKI_FN void spki_sf_close(spki_sf_file *file)
{
    spki_sf_unmap(file);
    if (file->open) (void)close(file->fd);
    file->open = false;
}
#endif

#endif
