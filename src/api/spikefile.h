/* ---- >>spikefile: files of spikes and events, larger than memory, read while they grow ---- */
#ifndef SPIKELIB_API_SPIKEFILE_H
#define SPIKELIB_API_SPIKEFILE_H

#include "base.h"
#include "event.h"

/* One file holds either the spikes of a network or the events of cameras, in the order in which
   they were appended (which may run back in time). It consists of chunks that are complete in
   themselves: each has a checksum (XXH64), its range of times and places, and an index of all
   chunks before it, so that a file cut anywhere is a valid one up to the cut, a time is found in
   O(log n), and nobody ever rewrites what is there. docs/spikefile.md has the bytes. */
typedef enum spk_spikefile_kind {
    SPK_SPIKEFILE_SPIKES = 0, /* spk_spike: step (below 2^63), neuron */
    SPK_SPIKEFILE_EVENTS = 1, /* spk_event */
    SPK_SPIKEFILE_KIND_FORCE_32_BIT = 0x7fffffff
} spk_spikefile_kind;

typedef enum spk_spikefile_codec {
    SPK_SPIKEFILE_PACKED = 0, /* delta and bit-packing, the smallest layout of each block */
    SPK_SPIKEFILE_RAW = 1,    /* the records as they are: 16 bytes each, read without a copy */
    SPK_SPIKEFILE_LZ4 = 2,    /* SPIKELIB_LZ4: LZ4 over byte-wide columns, where that is smaller */
    SPK_SPIKEFILE_ZSTD = 3,   /* SPIKELIB_ZSTD: the same with Zstandard */
    SPK_SPIKEFILE_CODEC_FORCE_32_BIT = 0x7fffffff
} spk_spikefile_codec;

/* -- writing -- */

typedef struct spk_spikefile_desc {
    uint32_t begin_sentinel;   /* leave 0 */
    spk_spikefile_kind kind;   /* default: spikes */
    spk_spikefile_codec codec; /* default: packed */
    double dt_ms;              /* spikes: length of a step; default: 0, not told */
    uint32_t width, height;    /* events: of the sensor; spikes: width is the number of neurons;
                                  default: 0, not told */
    uint32_t chunk_records;    /* 1 to 1,048,576; default: 65,536 */
    int32_t level;             /* Zstandard's; default: 0, its own default */
    bool sync;                 /* each chunk is on the disk before the file says that it is there:
                                  survives a loss of power, and costs as much as the disk wants */
    spk_allocator allocator;   /* default: malloc and free */
    size_t memory_limit;       /* bytes in all; default: no limit */
    uint32_t end_sentinel;     /* leave 0 */
} spk_spikefile_desc;

typedef struct spk_spikefile_writer spk_spikefile_writer;

/* A new file; one that is there is replaced. NULL `desc`: all defaults. What is wrong is
   remembered: spk_spikefile_writer_status. NULL only without memory. A file has one writer at a
   time: SPK_ERR_STATE for the second. Thread: one writer, one thread at a time. Ownership: the
   caller's, until spk_spikefile_writer_close; `path` is copied. Cost: holds chunk_records records
   of 16 bytes and about as much again for the coded chunk. */
SPIKELIB_API spk_spikefile_writer *spk_spikefile_create(const char *path,
                                                        const spk_spikefile_desc *desc);
/* Goes on behind the last whole chunk of a file; what a crash left behind it is cut off. Kind,
   dt_ms, width and height are the file's; those of `desc` must be the same or 0. */
SPIKELIB_API spk_spikefile_writer *spk_spikefile_append(const char *path,
                                                        const spk_spikefile_desc *desc);
/* Appends records; a chunk is written when it is full. Errors: SPK_ERR_RANGE names the record that
   the file cannot hold (a step of 2^63 or more, a polarity above 1), SPK_ERR_STATE the wrong kind;
   then nothing is taken. SPK_ERR_IO where the disk does not take a chunk: the file is as it was
   before that chunk, spk_spikefile_writer_count says how many records were taken so far, those
   not yet on the disk are kept, and a later call tries again. */
SPIKELIB_API spk_result spk_spikefile_write_spikes(spk_spikefile_writer *writer,
                                                   const spk_spike *spikes, size_t count);
SPIKELIB_API spk_result spk_spikefile_write_events(spk_spikefile_writer *writer,
                                                   const spk_event *events, size_t count);
/* The same as an spk_rec_fn: a recorder of spikes with SPK_SINK_CALLBACK, this function and the
   writer as its ctx records into a spike file. False where the disk is full; the run stops with
   SPK_ERR_FULL and goes on without a loss once there is room. */
SPIKELIB_API bool spk_spikefile_record(void *writer, uint64_t step, const void *items,
                                       size_t count);
/* Writes what is buffered as a chunk of its own, so that readers see it. Cost: a chunk has about
   400 bytes besides its records, so not after each record. Errors: SPK_ERR_IO, as above. */
SPIKELIB_API spk_result spk_spikefile_flush(spk_spikefile_writer *writer);
/* Records taken so far by this writer, and those of them that are in the file. */
SPIKELIB_API uint64_t spk_spikefile_writer_count(const spk_spikefile_writer *writer);
SPIKELIB_API uint64_t spk_spikefile_writer_written(const spk_spikefile_writer *writer);
/* The last error, and its sentence: "" if there was none. Ownership: the writer's. */
SPIKELIB_API spk_result spk_spikefile_writer_status(const spk_spikefile_writer *writer);
SPIKELIB_API const char *spk_spikefile_writer_error(const spk_spikefile_writer *writer);
/* Flushes, closes, frees. Errors: what could not be written (and is lost now: call
   spk_spikefile_flush before, to try again). NULL is fine. */
SPIKELIB_API spk_result spk_spikefile_writer_close(spk_spikefile_writer *writer);

/* -- reading -- */

typedef struct spk_spikefile_read_desc {
    uint32_t begin_sentinel; /* leave 0 */
    bool no_map;             /* read into memory instead of mapping the file: for file systems that
                                cannot map, and files that somebody might cut while they are read */
    bool no_verify;          /* leave out the checksums of what is read: only for files that nobody
                                else wrote (the reader stays within bounds anyway) */
    spk_isa isa;             /* default: SPK_ISA_AUTO */
    spk_allocator allocator; /* default: malloc and free */
    size_t memory_limit;     /* bytes in all; default: no limit */
    uint32_t end_sentinel;   /* leave 0 */
} spk_spikefile_read_desc;

typedef struct spk_spikefile_info {
    spk_spikefile_kind kind;
    spk_spikefile_codec codec; /* of the last chunk */
    double dt_ms;
    uint32_t width, height; /* as the writer told them; 0: it did not */
    uint64_t records, chunks;
    int64_t t_min, t_max; /* microseconds or steps; 0 while there are no records */
    uint64_t back;        /* how far a record lies behind the latest before it, at most;
                             0: sorted by time */
    uint64_t bytes;       /* of the file's valid part */
    uint64_t bytes_lost;  /* behind it: cut, or not finished by its writer */
    bool mapped;
    spk_isa isa;
} spk_spikefile_info;

typedef struct spk_spikefile spk_spikefile;

/* Opens a file. A file that was cut opens with everything before the cut (with the packed and raw
   codecs the whole blocks of 1,024 records of the chunk that was hit, too); spk_spikefile_lost says
   what is missing. What is wrong (no such file, no spike file) is remembered: spk_spikefile_status.
   NULL only without memory. A file larger than the address space, or on a file system that cannot
   map, is read instead. Thread: one reader, one thread at a time; any number of readers. Ownership:
   the caller's, until spk_spikefile_close. Cost: a few reads; one for each chunk if it was cut. */
SPIKELIB_API spk_spikefile *spk_spikefile_open(const char *path,
                                               const spk_spikefile_read_desc *desc);
/* Looks whether the file has grown; the cursor stays, and reading goes on. Spans of before are no
   longer valid. Thread: the writer may be another thread or process. */
SPIKELIB_API spk_result spk_spikefile_refresh(spk_spikefile *file);
SPIKELIB_API spk_result spk_spikefile_get_info(const spk_spikefile *file, spk_spikefile_info *info);
/* A sentence that says what is missing at the end, or "". Ownership: the file's. */
SPIKELIB_API const char *spk_spikefile_lost(const spk_spikefile *file);

/* Reads from now on only the records of times [begin, end), from the first of them on. INT64_MIN
   and INT64_MAX leave a side open. Out-of-order records are found wherever they are.
   Cost: O(log n) headers. */
SPIKELIB_API spk_result spk_spikefile_window(spk_spikefile *file, int64_t begin, int64_t end);
/* spk_spikefile_window(file, t, INT64_MAX): the first record at t or later is the next. */
SPIKELIB_API spk_result spk_spikefile_seek(spk_spikefile *file, int64_t t);
/* Reads from record number `index` on, whatever its time; ends a window. Cost: O(log n). */
SPIKELIB_API spk_result spk_spikefile_seek_record(spk_spikefile *file, uint64_t index);
/* Of those only neurons [begin, end), or pixels of the rectangle with the corners (x0, y0) and
   (x1, y1), which it does not include; triggers have no pixel and pass. All: 0, UINT32_MAX; 0, 0,
   65536, 65536. Begins again at the window's begin. Chunks without any are not read. Errors:
   SPK_ERR_STATE for the other kind. */
SPIKELIB_API spk_result spk_spikefile_neurons(spk_spikefile *file, uint32_t begin, uint32_t end);
SPIKELIB_API spk_result spk_spikefile_pixels(spk_spikefile *file, uint32_t x0, uint32_t y0,
                                             uint32_t x1, uint32_t y1);

/* The next records that are wanted, as many as lie together: of a raw file those in the mapping
   itself, without a copy (unless a range of neurons or pixels picks single ones), else up to 1,024
   decoded ones. NULL and a count of 0 at the end (spk_spikefile_refresh may bring more) and on an
   error, which spk_spikefile_status tells: SPK_ERR_FORMAT names the damaged chunk and its offset,
   and the next call goes on behind it. Ownership: the file's, until the next call. */
SPIKELIB_API const spk_spike *spk_spikefile_next_spikes(spk_spikefile *file, size_t *count);
SPIKELIB_API const spk_event *spk_spikefile_next_events(spk_spikefile *file, size_t *count);
/* The same, copied: how many of at most `capacity` there were, 0 at the end or on an error. */
SPIKELIB_API size_t spk_spikefile_read_spikes(spk_spikefile *file, spk_spike *out, size_t capacity);
SPIKELIB_API size_t spk_spikefile_read_events(spk_spikefile *file, spk_event *out, size_t capacity);

/* Reads all of the file and compares every checksum. Errors: SPK_ERR_FORMAT names the first chunk
   that is damaged, and where it lies. The cursor stays. Cost: the whole file. */
SPIKELIB_API spk_result spk_spikefile_verify(spk_spikefile *file);
/* Of the last call. */
SPIKELIB_API spk_result spk_spikefile_status(const spk_spikefile *file);
SPIKELIB_API const char *spk_spikefile_error(const spk_spikefile *file);
/* NULL is fine. */
SPIKELIB_API void spk_spikefile_close(spk_spikefile *file);

/* -- C++: descriptors by reference -- */

#ifdef __cplusplus
#ifdef SPIKELIB_STATIC
#define SPKI_OVERLOAD __attribute__((unused)) static inline
#else
#define SPKI_OVERLOAD inline
#endif
SPKI_OVERLOAD spk_spikefile_writer *spk_spikefile_create(const char *path,
                                                         const spk_spikefile_desc &desc)
{
    return spk_spikefile_create(path, &desc);
}
SPKI_OVERLOAD spk_spikefile_writer *spk_spikefile_append(const char *path,
                                                         const spk_spikefile_desc &desc)
{
    return spk_spikefile_append(path, &desc);
}
SPKI_OVERLOAD spk_spikefile *spk_spikefile_open(const char *path,
                                                const spk_spikefile_read_desc &desc)
{
    return spk_spikefile_open(path, &desc);
}
#undef SPKI_OVERLOAD
#endif

#endif
