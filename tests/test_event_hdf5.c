/* Spikes and events in HDF5: SONATA, DSEC, Metavision, MVSEC. check: with hdf5 */
#include "spikelib.h"
#ifdef SPIKELIB_HDF5
#include <hdf5.h>
#endif

#include "stream.h"

TEST(sonata_spikes_of_the_reference_readers)
{
    char path[256];
    stream_result r;
    if (!check_shared("data/events/sonata_one_pop_spikes.h5", path, sizeof path))
        SKIP("no ../shared/data/events");
    r = stream_file(path, NULL, 4096);
#ifdef SPIKELIB_HDF5
    {
        char text[256];
        stream_result s, pieces;
        uint8_t *data;
        size_t size = 0;
        CHECK_STR(r.error, "");
        CHECK_EQ(r.format, SPK_FORMAT_SONATA);
        CHECK_EQ(r.events, 124);
        CHECK_EQ((uint64_t)r.first, 136600);
        CHECK_EQ((uint64_t)r.last, 958000);
        check_shared("data/events/sonata_one_pop_spikes.csv", text, sizeof text);
        s = stream_file(text, NULL, 4096); /* the same spikes as text */
        CHECK(r.digest == s.digest && r.sum_x == s.sum_x && r.sum_t == s.sum_t);
        data = stream_load(path, &size);
        pieces = stream_bytes(data, size, NULL, 7, 501, 5);
        CHECK(stream_same(&r, &pieces));
        free(data);
    }
#else
    CHECK_EQ((uint64_t)(int64_t)r.result, (uint64_t)(int64_t)SPK_ERR_UNSUPPORTED);
    CHECK_HAS(r.error, "SPIKELIB_HDF5");
    CHECK(!spk_event_format_readable(SPK_FORMAT_HDF5));
#endif
}

#ifdef SPIKELIB_HDF5

enum { MANY = 40000 }; /* more than a read takes, and than the file that is read as bytes */

typedef struct record {
    uint16_t x, y;
    int16_t p, gap[1];
    int64_t t;
} record;

static record rows[MANY];
static uint64_t sum_t, sum_x, sum_y, on;

static void walk(void)
{
    size_t k;
    sum_t = sum_x = sum_y = on = 0;
    for (k = 0; k < MANY; k++) {
        rows[k].t = (int64_t)(100 + 7 * k);
        rows[k].x = (uint16_t)(k * 7919 % 640);
        rows[k].y = (uint16_t)(k * 104729 % 480);
        rows[k].p = (int16_t)(k % 3 == 0);
        sum_t += (uint64_t)rows[k].t;
        sum_x += rows[k].x;
        sum_y += rows[k].y;
        on += (uint64_t)rows[k].p;
    }
}

static void put_column(hid_t group, const char *name, hid_t file_type, hid_t type, size_t count,
                       const void *data, bool packed)
{
    hsize_t n = count, chunk = 5000;
    hid_t space = H5Screate_simple(1, &n, NULL), plan = H5Pcreate(H5P_DATASET_CREATE), set;
    if (packed) {
        H5Pset_chunk(plan, 1, &chunk);
        H5Pset_deflate(plan, 4);
    }
    set = H5Dcreate2(group, name, file_type, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(set);
    H5Pclose(plan);
    H5Sclose(space);
}

static void put_text_attribute(hid_t object, const char *name, const char *text)
{
    hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1), attribute;
    H5Tset_size(type, strlen(text) + 1);
    attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, text);
    H5Aclose(attribute);
    H5Tclose(type);
    H5Sclose(space);
}

static hid_t begin(const char *name, char *path, size_t size)
{
    return H5Fcreate(check_tmp(name, path, size), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

static void check_walk(const char *path, const spk_events_desc *desc, uint64_t offset)
{
    stream_result r = stream_file(path, desc, 1000);
    CHECK_STR(r.error, "");
    CHECK_EQ(r.format, SPK_FORMAT_HDF5);
    CHECK_EQ(r.events, MANY);
    CHECK_EQ(r.on, on);
    CHECK_EQ(r.sum_t, sum_t + MANY * offset);
    CHECK(r.sum_x == sum_x && r.sum_y == sum_y && r.dropped == 0 && r.violations == 0);
}

/* Two populations, each with its own type and unit of time, and the datasets of older files. */
TEST(sonata_populations_units_and_older_files)
{
    static const double ms[3] = {1.5, 2.25, 7};
    static const float s[2] = {0.004f, 0.0055f};
    static const uint64_t nodes[3] = {5, 70000, 1};
    static const uint32_t gids[2] = {9, 8};
    char path[512];
    int old;
    for (old = 0; old < 2; old++) {
        hid_t file = begin("sonata.h5", path, sizeof path), spikes, group, set;
        spk_event e[8];
        spk_events *in;
        size_t n;
        spikes = H5Gcreate2(file, "spikes", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        group = old ? H5Gopen2(file, "spikes", H5P_DEFAULT)
                    : H5Gcreate2(spikes, "cortex", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        put_column(group, "timestamps", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 3, ms, false);
        put_column(group, old ? "gids" : "node_ids", H5T_STD_U64LE, H5T_NATIVE_UINT64, 3, nodes,
                   false);
        H5Gclose(group);
        if (!old) {
            group = H5Gcreate2(spikes, "thalamus", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
            put_column(group, "timestamps", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, s, false);
            put_column(group, "node_ids", H5T_STD_U32BE, H5T_NATIVE_UINT32, 2, gids, false);
            set = H5Dopen2(group, "timestamps", H5P_DEFAULT);
            put_text_attribute(set, "units", "s");
            H5Dclose(set);
            H5Gclose(group);
        }
        H5Gclose(spikes);
        H5Fclose(file);
        in = spk_events_open(path, NULL);
        n = spk_events_read(in, e, 8);
        CHECK_STR(spk_events_error(in), "");
        CHECK_EQ(n, old ? 3 : 5);
        CHECK(e[0].t_us == 1500 && e[0].x == 5 && e[0].source == 0);
        CHECK(e[1].t_us == 2250 && e[1].x == 70000 - 65536 && e[1].y == 1);
        CHECK(e[2].t_us == 7000 && e[2].x == 1);
        if (!old) CHECK(e[3].t_us == 4000 && e[3].x == 9 && e[3].source == 1);
        if (!old) CHECK(e[4].t_us == 5500 && e[4].x == 8 && e[4].source == 1);
        spk_events_close(in);
        remove(path);
    }
}

/* DSEC's layout: unsigned columns, packed, and an offset beside them. */
TEST(columns_in_a_group_packed_and_with_an_offset)
{
    static uint32_t t[MANY];
    static uint16_t x[MANY], y[MANY];
    static uint8_t p[MANY];
    char path[512];
    int64_t offset = 5000000;
    hid_t file = begin("dsec.h5", path, sizeof path), space = H5Screate(H5S_SCALAR), set, group;
    size_t k;
    walk();
    for (k = 0; k < MANY; k++) {
        t[k] = (uint32_t)rows[k].t;
        x[k] = rows[k].x;
        y[k] = rows[k].y;
        p[k] = (uint8_t)rows[k].p;
    }
    group = H5Gcreate2(file, "events", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_column(group, "t", H5T_STD_U32LE, H5T_NATIVE_UINT32, MANY, t, true);
    put_column(group, "x", H5T_STD_U16LE, H5T_NATIVE_UINT16, MANY, x, true);
    put_column(group, "y", H5T_STD_U16BE, H5T_NATIVE_UINT16, MANY, y, true);
    put_column(group, "p", H5T_STD_U8LE, H5T_NATIVE_UINT8, MANY, p, false);
    set = H5Dcreate2(file, "t_offset", H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &offset);
    H5Dclose(set);
    H5Sclose(space);
    H5Gclose(group);
    H5Fclose(file);
    check_walk(path, NULL, 5000000);
    remove(path);
}

/* Metavision's layout: a table of records, and one of triggers. */
TEST(a_table_of_records_and_one_of_triggers)
{
    typedef struct trigger {
        int64_t t;
        int16_t p, id;
    } trigger;
    trigger triggers[3] = {{10, 1, 6}, {20, 0, 6}, {30, 1, 6}};
    char path[512];
    hid_t file = begin("metavision.h5", path, sizeof path), group;
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(record));
    hid_t other = H5Tcreate(H5T_COMPOUND, sizeof(trigger));
    stream_result r;
    walk();
    H5Tinsert(type, "x", offsetof(record, x), H5T_NATIVE_UINT16);
    H5Tinsert(type, "y", offsetof(record, y), H5T_NATIVE_UINT16);
    H5Tinsert(type, "p", offsetof(record, p), H5T_NATIVE_INT16);
    H5Tinsert(type, "t", offsetof(record, t), H5T_NATIVE_INT64);
    H5Tinsert(other, "p", offsetof(trigger, p), H5T_NATIVE_INT16);
    H5Tinsert(other, "t", offsetof(trigger, t), H5T_NATIVE_INT64);
    H5Tinsert(other, "id", offsetof(trigger, id), H5T_NATIVE_INT16);
    group = H5Gcreate2(file, "CD", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_column(group, "events", type, type, MANY, rows, true);
    H5Gclose(group);
    put_text_attribute(file, "geometry", "640x480");
    group = H5Gcreate2(file, "EXT_TRIGGER", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_column(group, "events", other, other, 3, triggers, false);
    H5Gclose(group);
    H5Tclose(type);
    H5Tclose(other);
    H5Fclose(file);
    check_walk(path, NULL, 0);
    r = stream_file(path, NULL, 4096);
    CHECK(r.triggers == 3 && r.sum_trigger_t == 60);
    CHECK(r.width == 640 && r.height == 480);
    remove(path);
}

/* MVSEC's layout: N x 4 doubles, x y t p, seconds, -1 and 1. */
TEST(a_table_of_four_numbers_a_row)
{
    static double table[MANY][4];
    char path[512];
    hsize_t extent[2] = {MANY, 4};
    hid_t file = begin("mvsec.h5", path, sizeof path), set;
    hid_t space = H5Screate_simple(2, extent, NULL);
    size_t k;
    walk();
    for (k = 0; k < MANY; k++) {
        table[k][0] = rows[k].x;
        table[k][1] = rows[k].y;
        table[k][2] = (double)rows[k].t * 1e-6;
        table[k][3] = rows[k].p ? 1 : -1;
    }
    set = H5Dcreate2(file, "events", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, table);
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(file);
    check_walk(path, NULL, 0);
    remove(path);
}

TEST(files_without_events_and_cut_files_are_errors)
{
    char path[512], shared[256];
    hid_t file = begin("nothing.h5", path, sizeof path);
    stream_result r;
    uint8_t *data;
    size_t size = 0, k;
    H5Fclose(file);
    r = stream_file(path, NULL, 4096);
    CHECK_HAS(r.error, "neither columns t, x, y nor timestamps");
    remove(path);
    data = stream_load(check_shared("data/events/sonata_one_pop_spikes.h5", shared, sizeof shared),
                       &size);
    if (!data) SKIP("no ../shared/data/events");
    for (k = 8; k < size; k += 311) {
        r = stream_bytes(data, k, NULL, k, 0, 4096);
        CHECK(r.result != SPK_OK && r.error[0] != 0 && r.events == 0);
    }
    free(data);
}

#endif

TEST_MAIN()
