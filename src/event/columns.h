/* ---- >>columns: which column of a table of events is what ---- */
#ifndef SPIKELIB_EVENT_COLUMNS_H
#define SPIKELIB_EVENT_COLUMNS_H

#include "codec.h"
#include "decimal.h"

enum { SPKI_COLUMNS_MOST = 16, SPKI_LINES_LOOK = 64 };

typedef enum spki_role {
    SPKI_ROLE_NONE = 0,
    SPKI_ROLE_T,
    SPKI_ROLE_X,
    SPKI_ROLE_Y,
    SPKI_ROLE_P,
    SPKI_ROLE_NODE,       /* of a neuron: x | y << 16 */
    SPKI_ROLE_POPULATION, /* its name: the source */
    SPKI_ROLE_COUNT
} spki_role;

#define SPKI_POWER_UNKNOWN (-1000)

typedef struct spki_columns {
    uint8_t role[SPKI_COLUMNS_MOST];
    uint32_t count;
    int32_t power; /* a time is its number * 10^power us */
} spki_columns;

/* -- by name -- */

SPKI_FN bool spki_name_in(const uint8_t *s, size_t n, const char *list)
{
    while (*list) {
        size_t m = strcspn(list, " "), k = 0;
        for (; k < m && k < n; k++) {
            uint8_t c = s[k];
            if (c >= 'A' && c <= 'Z') c = (uint8_t)(c - 'A' + 'a');
            if (c != (uint8_t)list[k]) break;
        }
        if (k == m && k == n) return true;
        list += m;
        while (*list == ' ') list++;
    }
    return false;
}

SPKI_FN size_t spki_word(const uint8_t *s, size_t n)
{
    size_t k = 0;
    while (k < n && ((s[k] >= 'a' && s[k] <= 'z') || (s[k] >= 'A' && s[k] <= 'Z'))) k++;
    return k;
}

/* A unit of time among the words after a column's name ("t_us", "time [ms]"). */
SPKI_FN int32_t spki_unit_power(const uint8_t *s, size_t n)
{
    size_t k = 0, m;
    while (k < n) {
        m = spki_word(s + k, n - k);
        if (m == 0) {
            k++;
            continue;
        }
        if (spki_name_in(s + k, m, "us usec microseconds micros")) return 0;
        if (spki_name_in(s + k, m, "ms msec milliseconds")) return 3;
        if (spki_name_in(s + k, m, "s sec seconds second")) return 6;
        if (spki_name_in(s + k, m, "ns nsec nanoseconds nanos")) return -3;
        k += m;
    }
    return SPKI_POWER_UNKNOWN;
}

/* What a column of this name holds; of a time also its unit, if the name says it. */
SPKI_FN spki_role spki_role_of(const uint8_t *s, size_t n, int32_t *power)
{
    size_t m = spki_word(s, n);
    if (spki_name_in(s, m, "t ts time times timestamp timestamps")) {
        int32_t unit = spki_unit_power(s + m, n - m);
        if (unit != SPKI_POWER_UNKNOWN) *power = unit;
        return SPKI_ROLE_T;
    }
    if (spki_name_in(s, m, "x xs col column")) return SPKI_ROLE_X;
    if (spki_name_in(s, m, "y ys row")) return SPKI_ROLE_Y;
    if (spki_name_in(s, m, "p ps pol pols polarity polarities on")) return SPKI_ROLE_P;
    if (spki_name_in(s, m, "node gid gids sender senders neuron neurons id ids"))
        return SPKI_ROLE_NODE;
    if (spki_name_in(s, m, "population")) return SPKI_ROLE_POPULATION;
    return SPKI_ROLE_NONE;
}

/* A time, and a pixel or a neuron, each once. */
SPKI_FN bool spki_columns_complete(const spki_columns *c)
{
    uint32_t seen[SPKI_ROLE_COUNT], k;
    memset(seen, 0, sizeof seen);
    for (k = 0; k < c->count; k++) seen[c->role[k]]++;
    for (k = 1; k < SPKI_ROLE_COUNT; k++)
        if (seen[k] > 1) return false;
    return seen[SPKI_ROLE_T] == 1 &&
           ((seen[SPKI_ROLE_X] == 1 && seen[SPKI_ROLE_Y] == 1) || seen[SPKI_ROLE_NODE] == 1);
}

SPKI_FN bool spki_columns_have(const spki_columns *c, spki_role role)
{
    uint32_t k;
    for (k = 0; k < c->count; k++)
        if (c->role[k] == role) return true;
    return false;
}

/* The next field of a line: fields are parted by a comma, a semicolon or blanks; quotes around one
   do not belong to it. False at the end of the line. */
SPKI_FN bool spki_field(const uint8_t **at, const uint8_t *end, const uint8_t **field, size_t *n)
{
    const uint8_t *p = *at, *q;
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    if (p == end) return false;
    q = p;
    if (*p == '"') {
        p++;
        for (q = p; q < end && *q != '"'; q++) {}
        *field = p;
        *n = (size_t)(q - p);
        if (q < end) q++;
    } else {
        while (q < end && *q != ',' && *q != ';' && *q != ' ' && *q != '\t') q++;
        *field = p;
        *n = (size_t)(q - p);
    }
    while (q < end && (*q == ' ' || *q == '\t')) q++;
    if (q < end && (*q == ',' || *q == ';')) q++;
    *at = q;
    return true;
}

/* The next name, where commas part them: blanks within belong to it ("X coordinate"). */
SPKI_FN bool spki_name(const uint8_t **at, const uint8_t *end, const uint8_t **name, size_t *n)
{
    const uint8_t *p = *at, *q = p;
    if (p == end) return false;
    while (q < end && *q != ',' && *q != ';') q++;
    *at = q < end ? q + 1 : q;
    while (p < q && (*p == ' ' || *p == '\t' || *p == '"')) p++;
    while (q > p && (q[-1] == ' ' || q[-1] == '\t' || q[-1] == '"')) q--;
    *name = p;
    *n = (size_t)(q - p);
    return true;
}

/* Columns by a line of names; `commas`: parted by those alone. Otherwise a unit in brackets parted
   by a blank belongs to the name before. */
SPKI_FN void spki_columns_by_names(spki_columns *c, const uint8_t *line, size_t n, bool commas)
{
    const uint8_t *at = line, *end = line + n, *field;
    size_t m;
    c->count = 0;
    while (c->count < SPKI_COLUMNS_MOST &&
           (commas ? spki_name(&at, end, &field, &m) : spki_field(&at, end, &field, &m))) {
        if (m > 0 && (*field == '[' || *field == '(') && c->count > 0) {
            int32_t unit = spki_unit_power(field, m);
            if (c->role[c->count - 1] == SPKI_ROLE_T && unit != SPKI_POWER_UNKNOWN)
                c->power = unit;
            continue;
        }
        c->role[c->count++] = (uint8_t)spki_role_of(field, m, &c->power);
    }
}

/* -- by looks -- */

/* What the first rows of a column have in common. */
typedef struct spki_looks {
    bool whole, sign, pixel, rising; /* no fraction; -1, 0 or 1; 0 to 65,535; never falls */
    bool point, moves;               /* written with a point; not the same everywhere */
    double last;
} spki_looks;

SPKI_FN void spki_look_at(spki_looks *l, double value, bool first)
{
    if (first) {
        l->whole = l->sign = l->pixel = l->rising = true;
        l->last = value;
    }
    if (!(value > -9e15 && value < 9e15) || value != (double)(int64_t)value) l->whole = false;
    if (value != -1.0 && value != 0.0 && value != 1.0) l->sign = false;
    if (!(value >= 0.0 && value <= 65535.0)) l->pixel = false;
    if (!(value >= l->last)) l->rising = false;
    if (value != l->last) l->moves = true;
    l->last = value;
}

/* Seconds, as times look that have no unit? "12.0", "13.0" are none: a table of floats writes whole
   microseconds so. */
SPKI_FN bool spki_look_seconds(const spki_looks *l)
{
    return !l->whole || (l->point && !l->moves);
}

/* The orders that are known: the first that fits with a time that rises, else the first that
   fits. */
SPKI_FN bool spki_columns_by_looks(spki_columns *c, const spki_looks *looks, uint32_t count)
{
    static const char *const orders[] = {"txyp", "xypt", "xytp", "ptxy",
                                         "tpxy", "pxyt", "txy",  "xyt"};
    uint32_t rising, k, i;
    for (rising = 2; rising-- > 0;) {
        for (k = 0; k < sizeof orders / sizeof orders[0]; k++) {
            const char *order = orders[k];
            if (strlen(order) != count) continue;
            for (i = 0; i < count; i++) {
                const spki_looks *l = &looks[i];
                bool fits = order[i] == 't'   ? l->rising || !rising
                            : order[i] == 'p' ? l->sign && l->whole
                                              : l->pixel && l->whole;
                if (!fits) break;
                c->role[i] = (uint8_t)(order[i] == 't'   ? SPKI_ROLE_T
                                       : order[i] == 'x' ? SPKI_ROLE_X
                                       : order[i] == 'y' ? SPKI_ROLE_Y
                                                         : SPKI_ROLE_P);
            }
            if (i < count) continue;
            c->count = count;
            return true;
        }
    }
    return false;
}

/* What the descriptor says; false if it says nothing. Sets the error where that makes no sense. */
SPKI_FN bool spki_columns_by_desc(spk_decoder *d, spki_columns *c)
{
    static const int32_t powers[] = {SPKI_POWER_UNKNOWN, 6, 3, 0, -3};
    const char *text = d->desc.columns;
    int32_t unit = SPKI_POWER_UNKNOWN;
    if (!text) return false;
    c->power = SPKI_POWER_UNKNOWN;
    spki_columns_by_names(c, (const uint8_t *)text, strlen(text), false);
    unit = powers[d->desc.time_unit];
    if (unit != SPKI_POWER_UNKNOWN) c->power = unit;
    if (!spki_columns_complete(c))
        spki_decoder_fail(d, SPK_ERR_RANGE, NULL,
                          "spk_events_desc.columns \"%.60s\" does not name t and x and y, or t and "
                          "node, each once",
                          text);
    return true;
}

/* The unit that the descriptor gives wins. */
SPKI_FN void spki_columns_unit(const spk_decoder *d, spki_columns *c)
{
    static const int32_t powers[] = {SPKI_POWER_UNKNOWN, 6, 3, 0, -3};
    if (d->desc.time_unit != SPK_TIME_AUTO) c->power = powers[d->desc.time_unit];
}

#endif
