/* ---- >>fuzz_spikefile: no file makes the reader of spike files leave its bounds ---- */

/* By itself, for as many seconds as the argument says (default 10), with random changes to files
   that spikelib wrote:
       gcc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -I. \
           tests/fuzz/fuzz_spikefile.c -o fuzz_spikefile -lm -lpthread
       ./fuzz_spikefile 600
   With libFuzzer, whose inputs begin with the byte of choices of `try_file`:
       clang -g -O1 -DFUZZ_LIBFUZZER -fsanitize=fuzzer,address,undefined -I. \
           tests/fuzz/fuzz_spikefile.c -o fuzz_spikefile -lm -lpthread
   Checksums would stop nearly every change at once, so most inputs get right ones put in. */
#define SPIKELIB_NO_NET
#define SPIKELIB_NO_RINGS
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "../spikefile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t get64(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return x;
}

static void put64(uint8_t *p, uint64_t x)
{
    memcpy(p, &x, 8);
}

/* Puts right checksums wherever there is room for them. */
static void seal(uint8_t *data, size_t size)
{
    uint64_t link;
    size_t at = 128;
    if (size < 128) return;
    put64(data + 56, spk_xxh64(data, 56, 0));
    put64(data + 88, spk_xxh64(data + 64, 24, 0));
    put64(data + 120, spk_xxh64(data + 96, 24, 0));
    link = get64(data + 56);
    while (at + 128 <= size) {
        const uint32_t head = get32(data + at + 4);
        const uint64_t bytes = get64(data + at + 24);
        if (head < 136 || head > size - at || bytes < head || bytes > size - at) break;
        put64(data + at + 120, link);
        put64(data + at + 112, spk_xxh64(data + at + head, (size_t)bytes - head, 0));
        link = spk_xxh64(data + at, head - 8, 0);
        put64(data + at + head - 8, link);
        at += (size_t)bytes;
    }
}

static void put_file(const char *path, const uint8_t *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) exit(2);
    close(fd);
}

static uint64_t read_some(spk_spikefile *file, spk_spikefile_kind kind)
{
    uint64_t sum = 0;
    for (int k = 0; k < 4000; k++) {
        size_t n = 0;
        if (kind == SPK_SPIKEFILE_EVENTS) {
            const spk_event *e = spk_spikefile_next_events(file, &n);
            for (size_t i = 0; e && i < n; i++) sum += (uint64_t)e[i].t_us + e[i].x + e[i].source;
        } else {
            const spk_spike *s = spk_spikefile_next_spikes(file, &n);
            for (size_t i = 0; s && i < n; i++) sum += s[i].step + s[i].neuron;
        }
        if (n == 0 && spk_spikefile_status(file) == SPK_OK) break;
    }
    return sum;
}

static const char *temporary(char *path, size_t size)
{
    const char *dir = getenv("SPIKELIB_TEST_TMP");
    snprintf(path, size, "%s/fuzz_spikefile.%ld", dir && *dir ? dir : "/dev/shm", (long)getpid());
    return path;
}

/* Everything a program can do with a file. */
static void try_file(uint8_t choices, const uint8_t *data, size_t size)
{
    static const spk_isa isas[4] = {SPK_ISA_SCALAR, SPK_ISA_AVX2, SPK_ISA_AVX512, SPK_ISA_AUTO};
    char path[256];
    spk_spikefile_read_desc d;
    spk_spikefile_info info;
    spk_spikefile *file;
    spk_event events[1300];
    spk_spike spikes[1300];
    memset(&d, 0, sizeof d);
    d.no_map = (choices & 1) != 0;
    d.no_verify = (choices & 2) != 0;
    d.isa = isas[choices >> 2 & 3];
    if (!spk_isa_available(d.isa)) d.isa = SPK_ISA_AUTO;
    put_file(temporary(path, sizeof path), data, size);
    file = spk_spikefile_open(path, &d);
    if (!file) exit(2);
    spk_spikefile_get_info(file, &info);
    read_some(file, info.kind);
    spk_spikefile_verify(file);
    spk_spikefile_window(file, info.t_min / 2 + info.t_max / 2, info.t_max);
    read_some(file, info.kind);
    spk_spikefile_seek_record(file, info.records / 3 + choices);
    if (info.kind == SPK_SPIKEFILE_EVENTS) {
        while (spk_spikefile_read_events(file, events, 1 + 8 * (size_t)choices / 2)) {
        }
        spk_spikefile_pixels(file, 10, 10, 200, 300);
        spk_spikefile_seek(file, INT64_MIN);
    } else {
        while (spk_spikefile_read_spikes(file, spikes, 1 + 8 * (size_t)choices / 2)) {
        }
        spk_spikefile_neurons(file, 10, 300);
        spk_spikefile_seek(file, INT64_MIN);
    }
    read_some(file, info.kind);
    spk_spikefile_refresh(file);
    spk_spikefile_close(file);
    if (choices & 64) { /* write on behind it: that must be readable then */
        spk_spikefile_desc w;
        spk_spikefile_writer *writer;
        memset(&w, 0, sizeof w);
        w.kind = info.kind;
        w.chunk_records = 500;
        writer = spk_spikefile_append(path, &w);
        memset(spikes, 0, sizeof spikes);
        memset(events, 0, sizeof events);
        if (w.kind == SPK_SPIKEFILE_EVENTS)
            spk_spikefile_write_events(writer, events, 600);
        else
            spk_spikefile_write_spikes(writer, spikes, 600);
        if (spk_spikefile_writer_close(writer) == SPK_OK) {
            file = spk_spikefile_open(path, &d);
            if (spk_spikefile_status(file) != SPK_OK) abort();
            spk_spikefile_get_info(file, &info);
            if (info.records < 600) abort();
            spk_spikefile_close(file);
        }
    }
}

#if defined(FUZZ_LIBFUZZER)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;
    if (size < 1) return 0;
    copy = (uint8_t *)malloc(size);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 128) seal(copy, size - 1);
    try_file(data[0], copy, size - 1);
    free(copy);
    return 0;
}
#else
#define SEEDS (2 * SHAPES * 4)

typedef struct seed {
    uint8_t *data;
    size_t size;
} seed;

static seed make_seed(int k)
{
    char path[256];
    seed s = {NULL, 0};
    struct stat what;
    records r = make_records(k % SHAPES, k % 2 ? 300 : 2500, (uint64_t)k);
    spk_spikefile_codec codec = (spk_spikefile_codec)(k / SHAPES % 4);
    int fd;
    if (!codec_built(codec)) codec = SPK_SPIKEFILE_PACKED;
    if (write_records(temporary(path, sizeof path), &r, codec, k % 2 ? 13 : 1200) != SPK_OK)
        exit(2);
    fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &what) != 0) exit(2);
    s.size = (size_t)what.st_size;
    s.data = (uint8_t *)malloc(s.size);
    if (read(fd, s.data, s.size) != (ssize_t)s.size) exit(2);
    close(fd);
    free_records(&r);
    return s;
}

/* One to eight changes, most of them where the numbers are. */
static size_t change(uint8_t *data, size_t size, uint64_t *state)
{
    static const uint64_t wild[8] = {0,        1,          0xff,      0xffff,
                                     1u << 31, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (int k = 1 + (int)(random64(state) % 8); k > 0 && size > 160; k--) {
        const uint64_t r = random64(state);
        size_t at = (size_t)(r >> 8) % size;
        if (r % 3 == 0) at = 128 + (size_t)(r >> 8) % (size < 800 ? size - 128 : 600);
        if (r % 16 < 9)
            data[at] ^= (uint8_t)(1u << (r >> 40) % 8);
        else if (r % 16 < 12)
            data[at] = (uint8_t)(r >> 40);
        else if (r % 16 < 14 && at + 8 <= size)
            memcpy(data + at, &wild[(r >> 40) % 8], (r >> 50) % 2 ? 4 : 8);
        else if (r % 16 == 14 && at + 64 < size)
            memmove(data + at, data + at + 16, 48);
        else if (r % 64 == 15)
            size = at;
    }
    return size;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 10.0;
    const double begin = spk_clock_seconds();
    uint64_t state = argc > 2 ? (uint64_t)atoll(argv[2]) : (uint64_t)time(NULL), tries = 0;
    static seed seeds[SEEDS];
    char path[256];
    printf("seed %llu\n", (unsigned long long)state);
    fflush(stdout);
    for (int k = 0; k < SEEDS; k++) seeds[k] = make_seed(k);
    while (spk_clock_seconds() - begin < seconds) {
        const seed *s = &seeds[random64(&state) % SEEDS];
        const uint8_t choices = (uint8_t)random64(&state);
        uint8_t *copy = (uint8_t *)malloc(s->size);
        size_t size;
        memcpy(copy, s->data, s->size);
        size = change(copy, s->size, &state);
        if (random64(&state) % 8) seal(copy, size);
        try_file(choices, copy, size);
        free(copy);
        tries++;
    }
    remove(temporary(path, sizeof path));
    for (int k = 0; k < SEEDS; k++) free(seeds[k].data);
    printf("%llu files, no finding\n", (unsigned long long)tries);
    return 0;
}
#endif
