/* ---- >>hdf5: spikes and events in HDF5 files, through its library ---- */
#ifndef SPIKELIB_EVENT_HDF5_H
#define SPIKELIB_EVENT_HDF5_H

#include "columns.h"
#include "hold.h"

#ifdef SPIKELIB_HDF5
#include <hdf5.h>
/* The library has these in several versions, and a name without one changes its meaning. */
#if H5_VERSION_GE(1, 12, 0)
#define SPKI_H5_VISIT H5Ovisit3
#define SPKI_H5_INFO H5Oget_info_by_name3
#define SPKI_H5_ITERATE H5Literate2
typedef H5O_info2_t spki_h5_object;
typedef H5L_info2_t spki_h5_link;
#else
#define SPKI_H5_VISIT H5Ovisit2
#define SPKI_H5_INFO H5Oget_info_by_name2
#define SPKI_H5_ITERATE H5Literate
typedef H5O_info_t spki_h5_object;
typedef H5L_info_t spki_h5_link;
#endif
#endif

/* Found by their names, wherever they are: groups with a column each for t, x, y and p (DSEC, M3ED)
   or timestamps and node_ids (SONATA), tables of records with such fields (Metavision), tables of
   N x 4 numbers named events (MVSEC). Source: SONATA's developer guide; the files of DSEC, MVSEC
   and Metavision's recorder. */

SPKI_FN spki_sniff spki_hdf5_sniff(const uint8_t *head, size_t size, bool whole)
{
    static const char mark[] = "\x89HDF\r\n\x1a\n";
    size_t n = sizeof mark - 1;
    if (memcmp(head, mark, SPKI_MIN(size, n)) != 0) return SPKI_SNIFF_NO;
    return size >= n ? SPKI_SNIFF_YES : whole ? SPKI_SNIFF_NO : SPKI_SNIFF_MORE;
}

#ifndef SPIKELIB_HDF5

SPKI_FN void spki_hdf5_missing(spk_decoder *d)
{
    spki_decoder_fail(d, SPK_ERR_UNSUPPORTED, NULL,
                      "HDF5: compile with SPIKELIB_HDF5 defined and link its library "
                      "(pkg-config --cflags --libs hdf5)");
}

SPKI_FN void spki_hdf5_nothing(spk_decoder *d, spki_io *io)
{
    (void)d;
    io->in = io->in_end;
}

static const spki_codec spki_hdf5_codec = {SPK_FORMAT_HDF5, ".h5 .hdf5 ", 1, spki_hdf5_sniff, NULL,
                                           spki_hdf5_missing, NULL, spki_hdf5_nothing, NULL, NULL};

#else

enum { SPKI_HDF5_ROWS = 4096, SPKI_HDF5_TRACKS = 64, SPKI_HDF5_NAME = 256 };

/* One place of events: columns in a group, or one table. */
typedef struct spki_hdf5_track {
    char group[SPKI_HDF5_NAME];
    char column[SPKI_ROLE_COUNT][64]; /* names of the columns or fields; "" if there is none */
    char table[SPKI_HDF5_NAME];       /* of records or rows; "": columns */
    bool triggers, rows, whole;       /* a plain N x 4 table; times are integers */
    uint64_t count;
    int32_t power;
} spki_hdf5_track;

typedef struct spki_hdf5 {
    spki_bytes image; /* the file, where it comes as bytes */
    bool open, failed;
    hid_t file;
    spki_hdf5_track track[SPKI_HDF5_TRACKS];
    uint32_t tracks, now;
    uint64_t row, offset_us; /* of the track at hand; DSEC's t_offset */
    hid_t set[SPKI_ROLE_COUNT], table;
    bool begun;
    uint32_t got, used; /* rows in the arrays below, and of these given out */
    int64_t value[SPKI_ROLE_COUNT][SPKI_HDF5_ROWS];
    double time[SPKI_HDF5_ROWS], wide[4 * SPKI_HDF5_ROWS];
    spki_columns columns; /* of an N x 4 table */
} spki_hdf5;

/* -- the library without its printing -- */

typedef struct spki_hdf5_quiet {
    H5E_auto2_t fn;
    void *ctx;
} spki_hdf5_quiet;

SPKI_FN void spki_hdf5_hush(spki_hdf5_quiet *q)
{
    H5Eget_auto2(H5E_DEFAULT, &q->fn, &q->ctx);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

SPKI_FN void spki_hdf5_unhush(spki_hdf5_quiet *q)
{
    H5Eset_auto2(H5E_DEFAULT, q->fn, q->ctx);
}

/* -- finding -- */

SPKI_FN void spki_hdf5_path(char *to, size_t size, const char *group, const char *name)
{
    snprintf(to, size, "%s%s%s", group, *group ? "/" : "", name);
}

SPKI_FN uint64_t spki_hdf5_rows(hid_t set, uint32_t *dimensions, uint64_t *second)
{
    hsize_t extent[8];
    hid_t space = H5Dget_space(set);
    int n = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    *dimensions = 0;
    *second = 0;
    if (n >= 1 && n <= 8 && H5Sget_simple_extent_dims(space, extent, NULL) == n) {
        *dimensions = (uint32_t)n;
        if (n > 1) *second = extent[1];
    } else n = -1;
    if (space >= 0) H5Sclose(space);
    return n >= 1 ? extent[0] : 0;
}

/* A table of records with the fields of events, or rows of four numbers in a set named events. */
SPKI_FN void spki_hdf5_look_at_table(spki_hdf5 *s, const char *path, hid_t set)
{
    spki_hdf5_track *t = &s->track[s->tracks];
    hid_t type = H5Dget_type(set);
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    uint32_t dimensions;
    uint64_t second;
    int32_t power = SPKI_POWER_UNKNOWN;
    H5T_class_t class_of = H5Tget_class(type);
    memset(t, 0, sizeof *t);
    t->count = spki_hdf5_rows(set, &dimensions, &second);
    snprintf(t->table, sizeof t->table, "%s", path);
    t->power = SPKI_POWER_UNKNOWN;
    if (class_of == H5T_COMPOUND && dimensions == 1) {
        int k, n = H5Tget_nmembers(type);
        bool id = false;
        for (k = 0; k < n; k++) {
            char *member = H5Tget_member_name(type, (unsigned)k);
            spki_role role;
            if (!member) continue;
            role = spki_role_of((const uint8_t *)member, strlen(member), &power);
            if (role != SPKI_ROLE_NONE && strlen(member) < 64)
                snprintf(t->column[role], sizeof t->column[role], "%s", member);
            if (role == SPKI_ROLE_T)
                t->whole = H5Tget_member_class(type, (unsigned)k) == H5T_INTEGER;
            id = id || strcmp(member, "id") == 0;
            H5free_memory(member);
        }
        t->power = power;
        t->triggers = id && t->column[SPKI_ROLE_P][0] && !t->column[SPKI_ROLE_X][0];
        if (t->column[SPKI_ROLE_T][0] &&
            ((t->column[SPKI_ROLE_X][0] && t->column[SPKI_ROLE_Y][0]) || t->triggers))
            s->tracks++;
    } else if (dimensions == 2 && second == 4 && strcmp(name, "events") == 0 &&
               (class_of == H5T_FLOAT || class_of == H5T_INTEGER)) {
        t->rows = true;
        s->tracks++;
    }
    H5Tclose(type);
}

typedef struct spki_hdf5_children {
    hid_t group;
    spki_hdf5_track *track;
} spki_hdf5_children;

SPKI_FN herr_t spki_hdf5_child(hid_t group, const char *name, const spki_h5_link *info, void *ctx)
{
    spki_hdf5_track *t = ((spki_hdf5_children *)ctx)->track;
    int32_t power = SPKI_POWER_UNKNOWN;
    spki_role role = spki_role_of((const uint8_t *)name, strlen(name), &power);
    spki_h5_object object;
    hid_t set, type;
    uint32_t dimensions;
    uint64_t second;
    (void)info;
    if (role == SPKI_ROLE_NONE || strlen(name) >= 64 || t->column[role][0]) return 0;
    if (SPKI_H5_INFO(group, name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0 ||
        object.type != H5O_TYPE_DATASET || (set = H5Dopen2(group, name, H5P_DEFAULT)) < 0)
        return 0;
    type = H5Dget_type(set);
    if (H5Tget_class(type) == H5T_INTEGER || H5Tget_class(type) == H5T_FLOAT) {
        uint64_t rows = spki_hdf5_rows(set, &dimensions, &second);
        if (dimensions == 1) {
            snprintf(t->column[role], sizeof t->column[role], "%s", name);
            t->count = role == SPKI_ROLE_T ? rows : t->count;
            if (role == SPKI_ROLE_T) {
                t->whole = H5Tget_class(type) == H5T_INTEGER;
                t->power = power;
            }
        }
    }
    H5Tclose(type);
    H5Dclose(set);
    return 0;
}

SPKI_FN void spki_hdf5_look_at_group(spki_hdf5 *s, const char *path, hid_t group)
{
    spki_hdf5_track *t = &s->track[s->tracks];
    spki_hdf5_children children;
    memset(t, 0, sizeof *t);
    snprintf(t->group, sizeof t->group, "%s", path);
    t->power = SPKI_POWER_UNKNOWN;
    children.group = group;
    children.track = t;
    SPKI_H5_ITERATE(group, H5_INDEX_NAME, H5_ITER_INC, NULL, spki_hdf5_child, &children);
    if (t->column[SPKI_ROLE_T][0] &&
        ((t->column[SPKI_ROLE_X][0] && t->column[SPKI_ROLE_Y][0]) || t->column[SPKI_ROLE_NODE][0]))
        s->tracks++;
}

SPKI_FN herr_t spki_hdf5_visit(hid_t root, const char *path, const spki_h5_object *info, void *ctx)
{
    spki_hdf5 *s = (spki_hdf5 *)ctx;
    hid_t object;
    if (s->tracks >= SPKI_HDF5_TRACKS - 1 || strlen(path) >= SPKI_HDF5_NAME - 64) return 0;
    if (info->type != H5O_TYPE_GROUP && info->type != H5O_TYPE_DATASET) return 0;
    if ((object = H5Oopen(root, path, H5P_DEFAULT)) < 0) return 0;
    if (info->type == H5O_TYPE_GROUP) spki_hdf5_look_at_group(s, path, object);
    else spki_hdf5_look_at_table(s, path, object);
    H5Oclose(object);
    return 0;
}

/* An attribute that is text; "" if there is none. */
SPKI_FN void spki_hdf5_text(hid_t object, const char *name, char text[64])
{
    hid_t attribute, type;
    memset(text, 0, 64);
    if (H5Aexists(object, name) <= 0 || (attribute = H5Aopen(object, name, H5P_DEFAULT)) < 0)
        return;
    type = H5Aget_type(attribute);
    if (H5Tget_class(type) == H5T_STRING) {
        if (H5Tis_variable_str(type) > 0) {
            char *long_text = NULL;
            hid_t memory = H5Tcopy(H5T_C_S1);
            H5Tset_size(memory, H5T_VARIABLE);
            H5Tset_cset(memory, H5Tget_cset(type));
            if (H5Aread(attribute, memory, &long_text) >= 0 && long_text) {
                snprintf(text, 64, "%s", long_text);
                H5free_memory(long_text);
            }
            H5Tclose(memory);
        } else if (H5Tget_size(type) < 64) H5Aread(attribute, type, text);
    }
    H5Tclose(type);
    H5Aclose(attribute);
}

/* SONATA's attribute units of the times: "ms" and its like, or seconds. */
SPKI_FN void spki_hdf5_units(hid_t set, int32_t *power)
{
    char text[64];
    spki_hdf5_text(set, "units", text);
    if (text[0]) {
        int32_t unit = spki_unit_power((const uint8_t *)text, strlen(text));
        if (unit != SPKI_POWER_UNKNOWN) *power = unit;
    }
}

/* -- opening -- */

/* Metavision's attribute of the file, "1280x720". */
SPKI_FN void spki_hdf5_geometry(spk_decoder *d, hid_t file)
{
    char text[64];
    unsigned width = 0, height = 0;
    spki_hdf5_text(file, "geometry", text);
    if (sscanf(text, "%5ux%5u", &width, &height) == 2 && width && height && width <= 65536 &&
        height <= 65536)
        spki_decoder_size(d, width, height);
}

SPKI_FN void spki_hdf5_found(spk_decoder *d, spki_hdf5 *s)
{
    hid_t offset;
    uint32_t k;
    if (s->file < 0) {
        s->failed = true;
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "HDF5: the library cannot open it: damaged, or "
                                                   "cut off");
        return;
    }
    s->open = true;
    spki_hdf5_geometry(d, s->file);
    SPKI_H5_VISIT(s->file, H5_INDEX_NAME, H5_ITER_INC, spki_hdf5_visit, s, H5O_INFO_BASIC);
    if (s->tracks == 0) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "HDF5: there are neither columns t, x, y nor timestamps, node_ids in it");
        return;
    }
    for (k = 0; k < s->tracks; k++)
        if (s->track[k].column[SPKI_ROLE_NODE][0] && !s->track[k].triggers)
            d->stats.format = SPK_FORMAT_SONATA;
    if (H5Lexists(s->file, "t_offset", H5P_DEFAULT) > 0 &&
        (offset = H5Dopen2(s->file, "t_offset", H5P_DEFAULT)) >= 0) {
        int64_t value = 0;
        hid_t space = H5Dget_space(offset);
        if (H5Sget_simple_extent_npoints(space) == 1 &&
            H5Dread(offset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value) >= 0)
            s->offset_us = (uint64_t)value;
        H5Sclose(space);
        H5Dclose(offset);
    }
}

SPKI_FN void spki_hdf5_open_path(spk_decoder *d, const char *path)
{
    spki_hdf5 *s = (spki_hdf5 *)d->state;
    spki_hdf5_quiet quiet;
    spki_bytes_free(&d->mem, &s->image);
    spki_hdf5_hush(&quiet);
    s->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    spki_hdf5_found(d, s);
    spki_hdf5_unhush(&quiet);
}

SPKI_FN void spki_hdf5_open_image(spk_decoder *d, spki_hdf5 *s)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 65536, 0);
    s->file = H5Pset_file_image(access, s->image.data, s->image.size) >= 0
                  ? H5Fopen("spikelib", H5F_ACC_RDONLY, access)
                  : -1;
    H5Pclose(access);
    spki_bytes_free(&d->mem, &s->image);
    spki_hdf5_found(d, s);
}

/* -- a track -- */

/* A filter that the library lacks makes every read fail: its number is worth telling. */
SPKI_FN bool spki_hdf5_filters(spk_decoder *d, hid_t set, const char *name)
{
    hid_t plan = H5Dget_create_plist(set);
    int n = plan >= 0 ? H5Pget_nfilters(plan) : 0, k;
    bool good = true;
    for (k = 0; k < n && good; k++) {
        unsigned flags, config;
        size_t values = 0;
        H5Z_filter_t filter = H5Pget_filter2(plan, (unsigned)k, &flags, &values, NULL, 0, NULL,
                                             &config);
        if (filter > 0 && H5Zfilter_avail(filter) <= 0) {
            spki_decoder_fail(d, SPK_ERR_UNSUPPORTED, NULL,
                              "HDF5: %.100s is packed with filter %d%s, which the library has no "
                              "plugin for (HDF5_PLUGIN_PATH)",
                              name, (int)filter,
                              filter == 36559   ? " (ECF)"
                              : filter == 32001 ? " (Blosc)"
                                                : "");
            good = false;
        }
    }
    if (plan >= 0) H5Pclose(plan);
    return good;
}

SPKI_FN void spki_hdf5_leave(spki_hdf5 *s)
{
    int k;
    for (k = 0; k < SPKI_ROLE_COUNT; k++)
        if (s->set[k] > 0) H5Dclose(s->set[k]);
    memset(s->set, 0, sizeof s->set);
    if (s->table > 0) H5Dclose(s->table);
    s->table = 0;
    s->begun = false;
    s->row = 0;
    s->got = s->used = 0;
}

SPKI_FN bool spki_hdf5_enter(spk_decoder *d, spki_hdf5 *s, spki_hdf5_track *t)
{
    char path[SPKI_HDF5_NAME + 64];
    int k;
    s->begun = true;
    if (t->table[0]) {
        s->table = H5Dopen2(s->file, t->table, H5P_DEFAULT);
        if (s->table < 0) spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "HDF5: %s", t->table);
        return s->table >= 0 && spki_hdf5_filters(d, s->table, t->table);
    }
    for (k = 1; k < SPKI_ROLE_COUNT; k++) {
        uint32_t dimensions;
        uint64_t second, rows;
        if (!t->column[k][0]) continue;
        spki_hdf5_path(path, sizeof path, t->group, t->column[k]);
        s->set[k] = H5Dopen2(s->file, path, H5P_DEFAULT);
        if (s->set[k] < 0) {
            spki_decoder_fail(d, SPK_ERR_FORMAT, NULL, "HDF5: %.200s cannot be opened", path);
            return false;
        }
        if (!spki_hdf5_filters(d, s->set[k], path)) return false;
        rows = spki_hdf5_rows(s->set[k], &dimensions, &second);
        if (rows != t->count) {
            spki_decoder_violation(d, NULL, "HDF5: columns of different lengths");
            t->count = SPKI_MIN(t->count, rows);
        }
    }
    if (t->power == SPKI_POWER_UNKNOWN) spki_hdf5_units(s->set[SPKI_ROLE_T], &t->power);
    if (t->power == SPKI_POWER_UNKNOWN && t->column[SPKI_ROLE_NODE][0]) t->power = 3;
    return true;
}

/* Rows [row, row + n) of a set into memory. */
SPKI_FN bool spki_hdf5_slab(hid_t set, uint64_t row, uint32_t n, uint32_t width, hid_t type,
                            void *to)
{
    hsize_t start[2] = {0, 0}, count[2] = {0, 0};
    hid_t file_space = H5Dget_space(set), memory;
    herr_t status;
    start[0] = row;
    count[0] = n;
    count[1] = width;
    memory = H5Screate_simple(width ? 2 : 1, count, NULL);
    H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, count, NULL);
    status = H5Dread(set, type, memory, file_space, H5P_DEFAULT, to);
    H5Sclose(memory);
    H5Sclose(file_space);
    return status >= 0;
}

/* Fields of records, each converted to 8 bytes, then taken apart. */
SPKI_FN bool spki_hdf5_records(spki_hdf5 *s, const spki_hdf5_track *t, uint32_t n)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, 32);
    uint32_t order[4], fields = 0, k, row;
    bool good;
    for (k = 1; k < SPKI_ROLE_COUNT && fields < 4; k++) {
        if (!t->column[k][0]) continue;
        H5Tinsert(type, t->column[k], 8 * fields,
                  k == SPKI_ROLE_T && !t->whole ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64);
        order[fields++] = k;
    }
    good = spki_hdf5_slab(s->table, s->row, n, 0, type, s->wide);
    for (row = 0; row < n && good; row++)
        for (k = 0; k < fields; k++) {
            memcpy(&s->value[order[k]][row], &s->wide[4 * row + k], 8);
            if (order[k] == SPKI_ROLE_T) memcpy(&s->time[row], &s->wide[4 * row + k], 8);
        }
    H5Tclose(type);
    return good;
}

SPKI_FN int64_t spki_hdf5_round(double v)
{
    if (!(v > -9.2e18 && v < 9.2e18)) return -1;
    return (int64_t)(v + (v < 0.0 ? -0.5 : 0.5));
}

/* Four numbers a row: which is what, by the descriptor or by looks. */
SPKI_FN bool spki_hdf5_wide(spk_decoder *d, spki_hdf5 *s, spki_hdf5_track *t, uint32_t n)
{
    spki_looks looks[4];
    uint32_t k, row;
    if (!spki_hdf5_slab(s->table, s->row, n, 4, H5T_NATIVE_DOUBLE, s->wide)) return false;
    if (s->row == 0) {
        memset(looks, 0, sizeof looks);
        for (row = 0; row < SPKI_MIN(n, 64u); row++)
            for (k = 0; k < 4; k++) spki_look_at(&looks[k], s->wide[4 * row + k], row == 0);
        if (!spki_columns_by_desc(d, &s->columns) &&
            !spki_columns_by_looks(&s->columns, looks, 4)) {
            spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                              "HDF5: the columns of %.100s cannot be told; spk_events_desc.columns "
                              "can name them",
                              t->table);
            return false;
        }
        for (k = 0; k < 4; k++)
            if (s->columns.role[k] == SPKI_ROLE_T && t->power == SPKI_POWER_UNKNOWN)
                t->power = looks[k].whole ? 0 : 6;
    }
    t->column[SPKI_ROLE_P][0] = 'p';
    for (row = 0; row < n; row++)
        for (k = 0; k < 4; k++) {
            s->value[s->columns.role[k]][row] = spki_hdf5_round(s->wide[4 * row + k]);
            if (s->columns.role[k] == SPKI_ROLE_T) s->time[row] = s->wide[4 * row + k];
        }
    return true;
}

/* Times to microseconds. */
SPKI_FN void spki_hdf5_times(spk_decoder *d, spki_hdf5 *s, spki_hdf5_track *t, uint32_t n)
{
    static const double scales[] = {1e-3, 1.0, 1e3, 1e6};
    spki_columns unit;
    uint32_t row;
    bool whole = true;
    unit.power = t->power;
    spki_columns_unit(d, &unit);
    t->power = unit.power;
    for (row = 0; row < SPKI_MIN(n, 64u) && !t->whole; row++)
        whole = whole && s->time[row] == (double)spki_hdf5_round(s->time[row]);
    if (t->power == SPKI_POWER_UNKNOWN) t->power = whole ? 0 : 6;
    for (row = 0; row < n; row++) {
        double scale = scales[(t->power + 3) / 3];
        int64_t us;
        if (!t->whole) us = spki_hdf5_round(s->time[row] * scale);
        else if (t->power == 0) us = s->value[SPKI_ROLE_T][row];
        else us = spki_hdf5_round((double)s->value[SPKI_ROLE_T][row] * scale);
        s->value[SPKI_ROLE_T][row] = (int64_t)((uint64_t)us + s->offset_us);
    }
}

/* The next rows of the track at hand. */
SPKI_FN bool spki_hdf5_fetch(spk_decoder *d, spki_hdf5 *s, spki_hdf5_track *t)
{
    uint32_t n = (uint32_t)SPKI_MIN(t->count - s->row, (uint64_t)SPKI_HDF5_ROWS);
    bool good = true;
    int k;
    if (t->rows) good = spki_hdf5_wide(d, s, t, n);
    else if (t->table[0]) good = spki_hdf5_records(s, t, n);
    else
        for (k = 1; k < SPKI_ROLE_COUNT && good; k++) {
            bool wide = k == SPKI_ROLE_T && !t->whole;
            if (s->set[k] <= 0) continue;
            good = spki_hdf5_slab(s->set[k], s->row, n, 0,
                                  wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64,
                                  wide ? (void *)s->time : (void *)s->value[k]);
        }
    if (!good) {
        spki_decoder_fail(d, SPK_ERR_FORMAT, NULL,
                          "HDF5: rows %llu to %llu of %.150s cannot be read: damaged",
                          (unsigned long long)s->row, (unsigned long long)(s->row + n - 1),
                          t->table[0] ? t->table : t->group);
        return false;
    }
    spki_hdf5_times(d, s, t, n);
    s->got = n;
    s->used = 0;
    s->row += n;
    return true;
}

SPKI_FN void spki_hdf5_give(spk_decoder *d, spki_io *io, spki_hdf5 *s, const spki_hdf5_track *t)
{
    bool node = t->column[SPKI_ROLE_NODE][0] != 0, polar = t->column[SPKI_ROLE_P][0] != 0;
    uint64_t source = d->source_bits + ((uint64_t)s->now << 48);
    int64_t columns = (int64_t)spki_decoder_columns(d), rows = (int64_t)spki_decoder_rows(d);
    for (; s->used < s->got && io->out < io->out_end; s->used++) {
        uint32_t k = s->used;
        int64_t time = s->value[SPKI_ROLE_T][k], x, y;
        if (t->triggers) {
            spk_trigger e;
            memset(&e, 0, sizeof e);
            e.t_us = time;
            e.channel = (uint16_t)s->value[SPKI_ROLE_NODE][k];
            e.edge = s->value[SPKI_ROLE_P][k] > 0;
            spki_decoder_trigger(d, io, &e);
            continue;
        }
        x = node ? s->value[SPKI_ROLE_NODE][k] & 0xffff : s->value[SPKI_ROLE_X][k];
        y = node ? s->value[SPKI_ROLE_NODE][k] >> 16 : s->value[SPKI_ROLE_Y][k];
        if (x < 0 || y < 0 || x >= columns || y >= rows) {
            d->stats.dropped++;
            continue;
        }
        spki_event_store(io->out++, time,
                         (uint64_t)x | (uint64_t)y << 16 |
                             (uint64_t)(!polar || s->value[SPKI_ROLE_P][k] > 0) << 32 | source);
    }
}

/* -- the stream -- */

SPKI_FN void spki_hdf5_tracks(spk_decoder *d, spki_io *io, spki_hdf5 *s)
{
    while (s->now < s->tracks && io->out < io->out_end && d->result == SPK_OK) {
        spki_hdf5_track *t = &s->track[s->now];
        if (!s->begun && !spki_hdf5_enter(d, s, t)) return;
        if (s->used < s->got) spki_hdf5_give(d, io, s, t);
        else if (s->row < t->count) {
            if (!spki_hdf5_fetch(d, s, t)) return;
        } else {
            spki_hdf5_leave(s);
            s->now++;
        }
    }
}

SPKI_FN void spki_hdf5_decode(spk_decoder *d, spki_io *io)
{
    spki_hdf5 *s = (spki_hdf5 *)d->state;
    spki_hdf5_quiet quiet;
    size_t n = (size_t)(io->in_end - io->in);
    if (!s->open && !s->failed) {
        if (!spki_bytes_append(&d->mem, &s->image, io->in, n)) {
            spki_decoder_fail(d, SPK_ERR_OUT_OF_MEMORY, NULL, "no memory for the file");
            return;
        }
        io->in = io->in_end;
        if (!io->last) return;
    }
    io->in = io->in_end;
    spki_hdf5_hush(&quiet);
    if (!s->open && !s->failed) spki_hdf5_open_image(d, s);
    spki_hdf5_tracks(d, io, s);
    spki_hdf5_unhush(&quiet);
}

SPKI_FN void spki_hdf5_end(spk_decoder *d)
{
    spki_hdf5 *s = (spki_hdf5 *)d->state;
    spki_hdf5_leave(s);
    if (s->open) H5Fclose(s->file);
    spki_bytes_free(&d->mem, &s->image);
}

static const spki_codec spki_hdf5_codec = {
    SPK_FORMAT_HDF5, ".h5 .hdf5 ", sizeof(spki_hdf5), spki_hdf5_sniff, NULL, NULL,
    spki_hdf5_open_path, spki_hdf5_decode, NULL, spki_hdf5_end};

#endif

#endif
