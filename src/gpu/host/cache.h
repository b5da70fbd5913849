/* ---- >>gpu-cache: compiled programs on disk ----
   A file is named by 128 bits of hash over source, options, device and driver, and says how long it
   is and what it hashes to. It is written beside its place and renamed, so that nobody sees half
   of one; whatever is damaged is made anew. Without a directory nothing is kept. */
#ifndef SPIKELIB_GPU_HOST_CACHE_H
#define SPIKELIB_GPU_HOST_CACHE_H

#include "device.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>
#if defined(_WIN32)
#include <direct.h>
#endif

#define SPKI_GPU_PATH 1024u
#define SPKI_GPU_CACHE_MAGIC UINT64_C(0x31626c636b697073) /* "spikclb1" */

typedef struct spki_gpu_cache_entry {
    uint64_t magic, key[2], size, hash;
} spki_gpu_cache_entry;

SPKI_FN void spki_gpu_make_dir(const char *path)
{
#if defined(_WIN32)
    (void)_mkdir(path);
#else
    (void)mkdir(path, 0777);
#endif
}

SPKI_FN bool spki_gpu_replace(const char *from, const char *to)
{
#if defined(_WIN32)
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) != 0; /* rename replaces nothing */
#else
    return rename(from, to) == 0;
#endif
}

/* Makes the directory and those above it; a failure shows when a file is opened. */
SPKI_FN void spki_gpu_make_dirs(const char *path)
{
    char part[SPKI_GPU_PATH];
    const size_t n = strlen(path);
    for (size_t k = 1; k <= n && k < sizeof part; k++) {
        if (path[k] == 0 || path[k] == '/' || path[k] == '\\') {
            memcpy(part, path, k);
            part[k] = 0;
            spki_gpu_make_dir(part);
        }
    }
}

/* Where entries lie; "" for nowhere. */
SPKI_FN void spki_gpu_cache_dir(const char *wanted, char *out, size_t size)
{
    static const struct {
        const char *variable, *tail;
    } place[] = {{"SPIKELIB_CACHE", ""},
                 {"XDG_CACHE_HOME", "/spikelib"},
                 {"HOME", "/.cache/spikelib"},
                 {"LOCALAPPDATA", "\\spikelib"}};
    out[0] = 0;
    if (wanted) {
        snprintf(out, size, "%s", wanted);
        return;
    }
    for (size_t k = 0; k < sizeof place / sizeof place[0] && !out[0]; k++) {
        const char *value = getenv(place[k].variable);
        if (value && *value && strlen(value) + strlen(place[k].tail) + 64 < size) {
            snprintf(out, size, "%s%s", value, place[k].tail);
        }
    }
}

SPKI_FN bool spki_gpu_cache_path(const char *dir, const uint64_t key[2], char *out, size_t size)
{
    const int n = snprintf(out, size, "%s/%016llx%016llx.clb", dir, (spki_llu)key[0],
                           (spki_llu)key[1]);
    return dir[0] && n > 0 && (size_t)n < size;
}

/* An entry's bytes (of *size, to be freed with spki_free), or NULL. */
SPKI_FN unsigned char *spki_gpu_cache_read(spki_mem *mem, const char *dir, const uint64_t key[2],
                                          size_t *size)
{
    char path[SPKI_GPU_PATH];
    spki_gpu_cache_entry entry;
    unsigned char *data = NULL;
    FILE *file = spki_gpu_cache_path(dir, key, path, sizeof path) ? fopen(path, "rb") : NULL;
    if (!file) {
        return NULL;
    }
    if (fread(&entry, sizeof entry, 1, file) == 1 && entry.magic == SPKI_GPU_CACHE_MAGIC &&
        entry.key[0] == key[0] && entry.key[1] == key[1] && entry.size > 0 &&
        entry.size < (uint64_t)1 << 30) {
        *size = (size_t)entry.size;
        data = (unsigned char *)spki_alloc_raw(mem, *size, 1);
        if (data && (fread(data, 1, *size, file) != *size || fgetc(file) != EOF ||
                     spk_xxh64(data, *size, 0) != entry.hash)) {
            spki_free(mem, data, *size, 1);
            data = NULL;
        }
    }
    fclose(file);
    return data;
}

SPKI_FN void spki_gpu_cache_write(const char *dir, const uint64_t key[2], const unsigned char *data,
                                 size_t size)
{
    char path[SPKI_GPU_PATH], temporary[SPKI_GPU_PATH + 40];
    spki_gpu_cache_entry entry = {
        SPKI_GPU_CACHE_MAGIC, {key[0], key[1]}, size, spk_xxh64(data, size, 0)};
    if (!spki_gpu_cache_path(dir, key, path, sizeof path)) {
        return;
    }
    const double now = spk_clock_seconds();
    const void *here = &entry;
    uint64_t tag[2] = {0, (uint64_t)(uintptr_t)here};
    memcpy(tag, &now, sizeof now);
    snprintf(temporary, sizeof temporary, "%s.%016llx", path,
             (spki_llu)spk_xxh64(tag, sizeof tag, 0));
    FILE *file = fopen(temporary, "wb");
    if (!file) {
        spki_gpu_make_dirs(dir);
        file = fopen(temporary, "wb");
    }
    if (!file) {
        return;
    }
    bool whole = fwrite(&entry, sizeof entry, 1, file) == 1 && fwrite(data, 1, size, file) == size;
    whole = fclose(file) == 0 && whole;
    if (!whole || !spki_gpu_replace(temporary, path)) {
        (void)remove(temporary);
    }
}

#endif
