/* cc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -DSPIKELIB_HDF5 -I. \
       tests/fuzz/fuzz_hdf5.c -o build/fuzz_hdf5 $(pkg-config --cflags --libs hdf5) -lm -lpthread */

/* HDF5 files of every shape, which the reader has to survive:

       fuzz_hdf5 SECONDS [SEED]

   The library writes them: groups, columns and tables with the names that are looked for, or
   nearly, of random types, ranks and lengths, now and then one missing, one that is a link to
   nowhere, or a group. So what is tried is how spikelib takes what the library gives it; damaged
   bytes are the library's to refuse. Two readings of a file, one cut into pieces of another size,
   have to agree. */
#define SPIKELIB_NO_NET
#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"

#include "../events.h"

#include <hdf5.h>

#define PATH "fuzz.h5"

static uint32_t below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((dice(state) >> 24) % n);
}

static const char *const names[] = {"t",      "x",    "y",           "p",        "timestamps",
                                    "ts",     "time", "node_ids",    "gids",     "polarity",
                                    "pol",    "xs",   "ys",          "id",       "events",
                                    "spikes", "CD",   "EXT_TRIGGER", "t_offset", "EXT_EVENTS"};
enum { NAMES = sizeof names / sizeof names[0] };

static hid_t number_type(uint64_t *state)
{
    switch (below(state, 14)) {
    case 0:
        return H5T_STD_I8LE;
    case 1:
        return H5T_STD_U8LE;
    case 2:
        return H5T_STD_I16BE;
    case 3:
    case 4:
        return H5T_STD_U16LE;
    case 5:
        return H5T_STD_I32LE;
    case 6:
        return H5T_STD_U32BE;
    case 7:
    case 8:
    case 9:
        return H5T_STD_I64LE;
    case 10:
        return H5T_STD_U64LE;
    case 11:
        return H5T_IEEE_F32LE;
    case 12:
        return H5T_IEEE_F64LE;
    default:
        return H5T_C_S1; /* a string of one character */
    }
}

static void annotate(uint64_t *state, hid_t at)
{
    static const char *const keys[] = {"units", "sorting", "geometry", "width", "height", "offset"};
    static const char *const words[] = {
        "ms", "milliseconds", "1280x720", "us", "", "x",
        "more than sixty-four letters, for which there is no room in what the reader keeps"};
    hid_t space = H5Screate(H5S_SCALAR), type, attribute;
    const bool text = below(state, 2);
    const char *word = words[below(state, 7)];
    const int64_t number = (int64_t)dice(state) >> below(state, 64);
    type = H5Tcopy(text ? H5T_C_S1 : H5T_NATIVE_INT64);
    if (text) H5Tset_size(type, strlen(word) + 1);
    attribute = H5Acreate2(at, keys[below(state, 6)], type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        H5Awrite(attribute, type, text ? (const void *)word : (const void *)&number);
        H5Aclose(attribute);
    }
    H5Tclose(type);
    H5Sclose(space);
}

static hid_t table_type(uint64_t *state)
{
    const uint32_t fields = 1 + below(state, 6);
    hid_t type = H5Tcreate(H5T_COMPOUND, 16 * fields);
    for (uint32_t k = 0; k < fields; k++)
        H5Tinsert(type, names[k < 4 && below(state, 4) ? k : below(state, NAMES)], 16 * k,
                  number_type(state));
    return type;
}

static void add_set(uint64_t *state, hid_t in, const char *name, uint32_t rows)
{
    static uint8_t data[1 << 17];
    hsize_t extent[3] = {rows, below(state, 6), 2};
    const int rank = below(state, 8) ? 1 : (int)below(state, 4);
    const bool table = below(state, 3) == 0;
    hid_t type = table ? table_type(state) : H5Tcopy(number_type(state));
    hid_t space = rank ? H5Screate_simple(rank, extent, NULL) : H5Screate(H5S_SCALAR), set;
    set = H5Dcreate2(in, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (set >= 0) {
        const size_t bytes = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
        const uint32_t kind = below(state, 3);
        uint64_t rising = 0;
        for (size_t k = 0; k < sizeof data && k < bytes; k += 8) {
            rising += dice(state) & 0xff;
            const uint64_t any = kind == 0 ? 0 : kind == 1 ? rising : dice(state);
            memcpy(data + k, &any, 8);
        }
        if (bytes <= sizeof data && below(state, 16)) /* else what the library fills in */
            H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
        if (below(state, 4) == 0) annotate(state, set);
        H5Dclose(set);
    }
    H5Sclose(space);
    H5Tclose(type);
}

static void add_group(uint64_t *state, hid_t in, const char *name, int depth)
{
    const uint32_t most = below(state, 12) ? 900 : 9000; /* more than are read at a time */
    const uint32_t rows = below(state, 3) ? below(state, most) : below(state, 3);
    const uint32_t sets = below(state, 7);
    hid_t group = H5Gcreate2(in, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0) return;
    if (below(state, 3) == 0) annotate(state, group);
    for (uint32_t k = 0; k < sets; k++) {
        const char *of = names[k < 4 && below(state, 3) ? k : below(state, NAMES)];
        const uint32_t length = below(state, 10) ? rows : below(state, 900);
        if (below(state, 24) == 0)
            H5Lcreate_soft("/nowhere", group, of, H5P_DEFAULT, H5P_DEFAULT);
        else if (depth < 3 && below(state, 6) == 0)
            add_group(state, group, of, depth + 1);
        else
            add_set(state, group, of, length);
    }
    H5Gclose(group);
}

static void write_file(uint64_t *state)
{
    hid_t file = H5Fcreate(PATH, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (below(state, 3) == 0) annotate(state, file);
    for (uint32_t k = 0; k < 1 + below(state, 3); k++)
        add_group(state, file, names[below(state, NAMES)], 0);
    if (below(state, 3) == 0) add_set(state, file, names[below(state, NAMES)], below(state, 900));
    H5Fclose(file);
}

/* A digest of all that reading gives, and how many events; in pieces of `piece` of them. */
static uint64_t read_file(size_t piece, uint64_t *events)
{
    static spk_event buffer[4096];
    spk_events *in = spk_events_open(PATH, NULL);
    spk_digest digest;
    int status;
    *events = 0;
    spk_digest_begin(&digest);
    for (size_t n; (n = spk_events_read(in, buffer, piece)) > 0; *events += n)
        spk_digest_update(&digest, buffer, n * sizeof buffer[0]);
    status = (int)spk_events_status(in);
    spk_events_close(in);
    return spk_digest_value(&digest) ^ (uint64_t)(uint32_t)status;
}

int main(int argc, char **argv)
{
    const double end = spk_clock_seconds() + (argc > 1 ? atof(argv[1]) : 10.0);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, files = 0, read = 0;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    while (spk_clock_seconds() < end) {
        uint64_t state = seed + files, events, again;
        write_file(&state);
        const uint64_t whole = read_file(4096, &events);
        const uint64_t pieces = read_file(1 + below(&state, 100), &again);
        read += events != 0;
        if (whole != pieces || events != again) {
            printf("file %llu: pieces read otherwise\n", (unsigned long long)(seed + files));
            return 1;
        }
        files++;
    }
    printf("hdf5: %llu files, %llu with events, no finding\n", (unsigned long long)files,
           (unsigned long long)read);
    remove(PATH);
    return 0;
}
