/* cc -O2 spkconv.c -o spkconv -lm -lpthread */
/* Converts, cuts, indexes, checks and describes files of events and of spikes, our own spike files
   (.spk) among them. AEDAT4 with LZ4 or zstd and HDF5
   need their libraries: add -DSPIKELIB_LZ4 -llz4, -DSPIKELIB_ZSTD -lzstd, and
   -DSPIKELIB_HDF5 $(pkg-config --cflags --libs hdf5); `make` does where they are there. */
#define SPIKELIB_NO_NET
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const help =
    "usage: spkconv COMMAND ... [OPTIONS]\n"
    "\n"
    "  describe FILE          format, size, numbers and times of its events\n"
    "  check FILE             reads all of it; says what is damaged, and where time runs back\n"
    "  index FILE             where each step of time begins: t_us,event,events a line\n"
    "  convert FILE TO        writes it anew, in the format that the name TO ends in\n"
    "  cut FILE TO            the same for a window of time or a region\n"
    "\n"
    "reading\n"
    "  --from FORMAT          instead of by the content: @FORMATS@\n"
    "  --columns \"t x y p\"    what the columns of text, CSV or NPY are\n"
    "  --unit s|ms|us|ns      of times in text, CSV or NPY\n"
    "  --size WxH             of the sensor, where the file does not say\n"
    "  --as-stored            leave coordinates as they are in the file (ES, AEDAT 2);\n"
    "                         describe and check always do\n"
    "writing\n"
    "  --to FORMAT            instead of by the name: @WRITABLE@\n"
    "  --begin US, --end US   events of begin <= t < end\n"
    "  --region X,Y,W,H       events within; X,Y becomes 0,0 and W,H the size\n"
    "  --shift                the first event's time becomes 0\n"
    "  --sort                 by time, where it runs back by less than 65,536 events\n"
    "  --no-triggers          leave them out (formats that hold none do so anyway)\n"
    "  --lz4                  compress AEDAT4 and spike files\n"
    "  --dt MS                .spk: spikes of neurons (from SONATA), in steps of MS\n"
    "others\n"
    "  --step US              of an index; default: 1,000,000\n"
    "  --json                 describe: one JSON object\n"
    "\n"
    "Exit status: 0, or 2 with one line that says what was wrong.\n";

typedef struct options {
    const char *command, *file, *to;
    spk_events_desc in;
    spk_event_writer_desc out;
    int64_t begin, end, step;
    uint32_t region[4]; /* x, y, width, height; width 0: none */
    bool windowed, sort, no_triggers, json;
} options;

static int fail(const char *format, ...)
{
    va_list args;
    fputs("spkconv: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return 2;
}

/* The writer's sentence, and what may help. */
static int writer_fail(spk_event_writer *out)
{
    const char *why = spk_event_writer_error(out);
    const char *hint = strstr(why, "further than") || strstr(why, "do not tell it")
                           ? " (--shift lets time begin at 0)"
                       : strstr(why, "before the last event's") ? " (--sort puts them in order)"
                                                                : "";
    return fail("%s%s", why, hint);
}

/* -- the command line -- */

static void print_names(bool (*wanted)(spk_event_format))
{
    const char *gap = "";
    for (int k = 1; strcmp(spk_event_format_name((spk_event_format)k), "unknown") != 0; k++) {
        if (!wanted((spk_event_format)k)) continue;
        printf("%s%s", gap, spk_event_format_name((spk_event_format)k));
        gap = " ";
    }
}

static void print_help(void)
{
    for (const char *p = help; *p;) {
        if (strncmp(p, "@FORMATS@", 9) == 0) {
            print_names(spk_event_format_readable);
            p += 9;
        } else if (strncmp(p, "@WRITABLE@", 10) == 0) {
            print_names(spk_event_format_writable);
            p += 10;
        } else putchar(*p++);
    }
}

static bool read_integers(const char *text, const char *gaps, int64_t *value, int count)
{
    for (int k = 0; k < count; k++) {
        char *end;
        value[k] = strtoll(text, &end, 10);
        if (end == text || *end != (k + 1 < count ? gaps[k] : 0)) return false;
        text = end + 1;
    }
    return true;
}

static int read_format(const char *name, spk_event_format *format)
{
    *format = spk_event_format_from_name(name);
    return *format == SPK_FORMAT_AUTO ? fail("there is no format \"%s\"", name) : 0;
}

/* An option with a value. */
static int read_option(options *o, const char *name, const char *value)
{
    int64_t v[4];
    if (strcmp(name, "--from") == 0) return read_format(value, &o->in.format);
    if (strcmp(name, "--to") == 0) return read_format(value, &o->out.format);
    if (strcmp(name, "--columns") == 0) o->in.columns = value;
    else if (strcmp(name, "--unit") == 0) {
        static const char *const units[] = {"s", "ms", "us", "ns"};
        for (int k = 0; k < 4; k++)
            if (strcmp(value, units[k]) == 0) o->in.time_unit = (spk_time_unit)(k + 1);
        if (o->in.time_unit == SPK_TIME_AUTO)
            return fail("--unit %s: it is one of s, ms, us, ns", value);
    } else if (strcmp(name, "--size") == 0) {
        if (!read_integers(value, "x", v, 2) || v[0] < 1 || v[1] < 1 || v[0] > 65536 ||
            v[1] > 65536)
            return fail("--size %s: it should be like 640x480", value);
        o->in.width = (uint32_t)v[0];
        o->in.height = (uint32_t)v[1];
    } else if (strcmp(name, "--region") == 0) {
        if (!read_integers(value, ",,,", v, 4) || v[0] < 0 || v[1] < 0 || v[2] < 1 || v[3] < 1 ||
            v[0] > 65535 || v[1] > 65535 || v[2] > 65536 || v[3] > 65536)
            return fail("--region %s: it should be like 100,50,64,64", value);
        for (int k = 0; k < 4; k++) o->region[k] = (uint32_t)v[k];
        o->windowed = true;
    } else if (strcmp(name, "--dt") == 0) {
        char *end;
        o->out.dt_ms = strtod(value, &end);
        if (end == value || *end || !(o->out.dt_ms > 0))
            return fail("--dt %s: it should be a number of milliseconds, like 0.1", value);
    } else {
        if (!read_integers(value, "", v, 1)) return fail("%s %s: it is no number", name, value);
        if (strcmp(name, "--begin") == 0) o->begin = v[0];
        else if (strcmp(name, "--end") == 0) o->end = v[0];
        else if (v[0] < 1) return fail("--step %s: it should be positive", value);
        else o->step = v[0];
        if (strcmp(name, "--step") != 0) o->windowed = true;
    }
    return 0;
}

static int read_arguments(options *o, int argc, char **argv)
{
    static const char *const valued[] = {"--from",  "--to",     "--columns", "--unit", "--size",
                                         "--begin", "--region", "--end",     "--step",
                                         "--dt"};
    for (int k = 1; k < argc; k++) {
        const char *a = argv[k];
        bool has_value = false;
        for (size_t i = 0; i < sizeof valued / sizeof valued[0]; i++)
            if (strcmp(a, valued[i]) == 0) has_value = true;
        if (has_value) {
            if (k + 1 == argc) return fail("%s needs a value", a);
            int status = read_option(o, a, argv[++k]);
            if (status) return status;
        } else if (strcmp(a, "--as-stored") == 0) o->in.as_stored = true;
        else if (strcmp(a, "--shift") == 0) o->in.shift_time = true;
        else if (strcmp(a, "--sort") == 0) o->sort = true;
        else if (strcmp(a, "--no-triggers") == 0) o->no_triggers = true;
        else if (strcmp(a, "--lz4") == 0) o->out.lz4 = true;
        else if (strcmp(a, "--json") == 0) o->json = true;
        else if (a[0] == '-' && a[1]) return fail("there is no option %s; --help lists them", a);
        else if (!o->command) o->command = a;
        else if (!o->file) o->file = a;
        else if (!o->to) o->to = a;
        else return fail("too much on the command line: %s", a);
    }
    return 0;
}

/* -- sums that do not overflow: units of 10^9 and the rest -- */

typedef struct sum {
    int64_t high, low;
} sum;

static void add(sum *s, int64_t value)
{
    s->low += value % 1000000000;
    s->high += value / 1000000000;
    if (s->low >= 1000000000 || s->low <= -1000000000) {
        s->high += s->low / 1000000000;
        s->low %= 1000000000;
    }
}

static void print_sum(sum s)
{
    if (s.high > 0 && s.low < 0) {
        s.high--;
        s.low += 1000000000;
    }
    if (s.high < 0 && s.low > 0) {
        s.high++;
        s.low -= 1000000000;
    }
    if (s.high == 0) printf("%" PRId64, s.low);
    else printf("%" PRId64 "%09" PRId64, s.high, s.low < 0 ? -s.low : s.low);
}

/* -- describe and check -- */

enum { CHUNK = 4096 };
static spk_event buffer[CHUNK];

typedef struct summary {
    spk_event_stats stats;
    sum t;
    uint64_t x, y, back; /* back: events before their predecessors */
    unsigned x_max, y_max;
    int64_t back_us, last;
    spk_result result;
} summary;

/* Reads all; the reader stays open for its error. */
static spk_events *summarise(const options *o, summary *s)
{
    spk_events_desc desc = o->in;
    memset(s, 0, sizeof *s);
    desc.as_stored = true;
    spk_events *in = spk_events_open(o->file, &desc);
    if (!in) return NULL;
    s->last = INT64_MIN;
    for (size_t n; (n = spk_events_read(in, buffer, CHUNK)) > 0;) {
        for (size_t k = 0; k < n; k++) {
            add(&s->t, buffer[k].t_us);
            s->x += buffer[k].x;
            s->y += buffer[k].y;
            if (buffer[k].x > s->x_max) s->x_max = buffer[k].x;
            if (buffer[k].y > s->y_max) s->y_max = buffer[k].y;
            if (buffer[k].t_us < s->last) {
                s->back++;
                if (s->last - buffer[k].t_us > s->back_us) s->back_us = s->last - buffer[k].t_us;
            } else s->last = buffer[k].t_us;
        }
    }
    spk_events_get_stats(in, &s->stats);
    s->result = spk_events_status(in);
    return in;
}

/* A number of a JSON object, null where it is not known. */
static void print_known(const char *key, bool known, unsigned value)
{
    printf(", \"%s\": ", key);
    if (known) printf("%u", value);
    else printf("null");
}

/* The sensor's size is what the file says; most N-MNIST, text and DAT files say nothing. */
static void print_json(const summary *s)
{
    const spk_event_stats *t = &s->stats;
    printf("{\"format\": \"%s\"", spk_event_format_name(t->format));
    print_known("width", t->width != 0, t->width);
    print_known("height", t->height != 0, t->height);
    printf(", \"events\": %" PRIu64 ", \"on\": %" PRIu64 ", \"off\": %" PRIu64
           ", \"t_first_us\": %" PRId64 ", \"t_last_us\": %" PRId64 ", \"sum_t\": ",
           t->events, t->on, t->off, t->t_first_us, t->t_last_us);
    print_sum(s->t);
    printf(", \"sum_x\": %" PRIu64 ", \"sum_y\": %" PRIu64 ", \"triggers\": %" PRIu64
           ", \"bytes_skipped\": %" PRIu64,
           s->x, s->y, t->triggers, t->bytes_skipped);
    print_known("x_max", t->events != 0, s->x_max);
    print_known("y_max", t->events != 0, s->y_max);
    printf("}\n");
}

static void print_text(const summary *s)
{
    const spk_event_stats *t = &s->stats;
    double seconds = (double)(t->t_last_us - t->t_first_us) * 1e-6;
    printf("format      %s\n", spk_event_format_name(t->format));
    if (t->width && t->height) printf("sensor      %u x %u\n", t->width, t->height);
    else if (t->events)
        printf("sensor      unknown (x to %u, y to %u occur)\n", s->x_max, s->y_max);
    else printf("sensor      unknown\n");
    printf("events      %" PRIu64 " (%" PRIu64 " on, %" PRIu64 " off)\n", t->events, t->on, t->off);
    if (t->events) {
        printf("time        %" PRId64 " to %" PRId64 " us (%.6f s", t->t_first_us, t->t_last_us,
               seconds);
        if (seconds > 0)
            printf(", %.3f million events a second", 1e-6 * (double)t->events / seconds);
        printf(")\nsums        t ");
        print_sum(s->t);
        printf(", x %" PRIu64 ", y %" PRIu64 "\n", s->x, s->y);
    }
    printf("besides     %" PRIu64 " triggers, %" PRIu64 " IMU samples, %" PRIu64 " frames, %" PRIu64
           " others\n",
           t->triggers, t->imu, t->frames, t->extras);
    if (t->bytes_skipped || t->dropped || t->violations)
        printf("left out    %" PRIu64 " bytes, %" PRIu64 " events; %" PRIu64 " violations\n",
               t->bytes_skipped, t->dropped, t->violations);
}

static int describe(const options *o)
{
    summary s;
    spk_events *in = summarise(o, &s);
    int status = 0;
    if (!in) return fail("out of memory");
    if (s.result == SPK_OK || s.stats.events > 0) {
        if (o->json) print_json(&s);
        else print_text(&s);
    }
    if (s.result != SPK_OK) status = fail("%s", spk_events_error(in));
    spk_events_close(in);
    return status;
}

static int check(const options *o)
{
    summary s;
    spk_events *in = summarise(o, &s);
    int status = 0;
    if (!in) return fail("out of memory");
    const spk_event_stats *t = &s.stats;
    if (s.result != SPK_OK) status = fail("%s", spk_events_error(in));
    else if (t->bytes_skipped || t->dropped || t->violations)
        status = fail("%s: %" PRIu64 " of %" PRIu64 " bytes make no sense, %" PRIu64
                      " events are outside of the sensor or without a time, %" PRIu64
                      " rules of the format are broken",
                      o->file, t->bytes_skipped, t->bytes, t->dropped, t->violations);
    else {
        printf("%s: %s, %" PRIu64 " events, whole", o->file, spk_event_format_name(t->format),
               t->events);
        if (s.back)
            printf("; time runs back %" PRIu64 " times, by up to %" PRId64 " us", s.back,
                   s.back_us);
        putchar('\n');
    }
    spk_events_close(in);
    return status;
}

/* -- index -- */

/* A line for each step of time that holds events, by the latest time so far. */
static int make_index(const options *o)
{
    spk_events *in = spk_events_open(o->file, &o->in);
    uint64_t number = 0, first = 0;
    int64_t step = 0;
    int status = 0;
    if (!in) return fail("out of memory");
    for (size_t n; (n = spk_events_read(in, buffer, CHUNK)) > 0;) {
        for (size_t k = 0; k < n; k++, number++) {
            int64_t t = buffer[k].t_us, here = t / o->step - (t % o->step < 0);
            if (number == 0) {
                puts("t_us,event,events");
                step = here;
            }
            if (here <= step) continue;
            printf("%" PRId64 ",%" PRIu64 ",%" PRIu64 "\n", step * o->step, first, number - first);
            first = number;
            step = here;
        }
    }
    if (number > 0)
        printf("%" PRId64 ",%" PRIu64 ",%" PRIu64 "\n", step * o->step, first, number - first);
    if (spk_events_status(in) != SPK_OK) status = fail("%s", spk_events_error(in));
    spk_events_close(in);
    return status;
}

/* -- convert and cut -- */

enum { WINDOW = 65536 };

/* Events wait here, sorted by time; the older half leaves when it is full. */
typedef struct sorter {
    spk_event event[2 * WINDOW];
    size_t count;
} sorter;

static void sorter_add(sorter *s, const spk_event *e)
{
    size_t k = s->count++;
    for (; k > 0 && s->event[k - 1].t_us > e->t_us; k--) s->event[k] = s->event[k - 1];
    s->event[k] = *e;
}

static spk_result sorter_leave(sorter *s, spk_event_writer *out, size_t n)
{
    spk_result result = spk_event_writer_write(out, s->event, n);
    memmove(s->event, s->event + n, (s->count - n) * sizeof s->event[0]);
    s->count -= n;
    return result;
}

/* Keeps what is wanted of the chunk, in place. */
static size_t select_events(const options *o, spk_event *e, size_t n)
{
    const uint32_t *r = o->region;
    size_t kept = 0;
    if (!o->windowed) return n;
    for (size_t k = 0; k < n; k++) {
        if (e[k].t_us < o->begin || e[k].t_us >= o->end) continue;
        spk_event one = e[k];
        if (r[2] && one.kind != SPK_EVENT_TRIGGER) {
            if (one.x < r[0] || one.y < r[1] || one.x - r[0] >= r[2] || one.y - r[1] >= r[3])
                continue;
            one.x = (uint16_t)(one.x - r[0]);
            one.y = (uint16_t)(one.y - r[1]);
        }
        e[kept++] = one;
    }
    return kept;
}

static bool holds_triggers(spk_event_format format)
{
    return format == SPK_FORMAT_EVT2 || format == SPK_FORMAT_EVT3 || format == SPK_FORMAT_CSV ||
           format == SPK_FORMAT_TEXT || format == SPK_FORMAT_AEDAT4 || format == SPK_FORMAT_SPIKES;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* What the writer will make of the name; the formats whose writers hold triggers. */
static bool wants_triggers(const options *o)
{
    static const char *const ends[] = {".evt2", ".evt3", ".raw", ".csv", ".txt", ".aedat4",
                                       ".spk"};
    if (o->no_triggers || o->out.dt_ms > 0) return false;
    if (o->out.format != SPK_FORMAT_AUTO) return holds_triggers(o->out.format);
    for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++)
        if (ends_in(o->to, ends[k])) return true;
    return false;
}

/* The smallest sensor that holds all events, for formats that must name one. */
static void measure(const options *o, spk_event_writer_desc *out)
{
    spk_events *in = spk_events_open(o->file, &o->in);
    for (size_t n; in && (n = spk_events_read(in, buffer, CHUNK)) > 0;)
        for (size_t k = 0; k < n; k++) {
            if (buffer[k].x >= out->width) out->width = (uint32_t)buffer[k].x + 1;
            if (buffer[k].y >= out->height) out->height = (uint32_t)buffer[k].y + 1;
        }
    spk_events_close(in);
}

static int transfer(const options *o, spk_events *in, spk_event_writer *out, size_t n)
{
    static sorter sorted;
    spk_event_stats stats;
    do {
        spk_result result = SPK_OK;
        n = select_events(o, buffer, n);
        if (!o->sort) result = spk_event_writer_write(out, buffer, n);
        for (size_t k = 0; o->sort && k < n && result == SPK_OK; k++) {
            sorter_add(&sorted, &buffer[k]);
            if (sorted.count == 2 * WINDOW) result = sorter_leave(&sorted, out, WINDOW);
        }
        if (result != SPK_OK) break;
    } while ((n = spk_events_read(in, buffer, CHUNK)) > 0);
    if (sorted.count) sorter_leave(&sorted, out, sorted.count);
    if (spk_event_writer_finish(out) != SPK_OK) return writer_fail(out);
    if (spk_events_status(in) != SPK_OK) return fail("%s", spk_events_error(in));
    spk_events_get_stats(in, &stats);
    printf("%s: %" PRIu64 " events\n", o->to, spk_event_writer_written(out));
    if (stats.imu || stats.frames || stats.extras || (stats.triggers && !o->in.triggers_in_stream))
        fprintf(stderr,
                "left out: %" PRIu64 " triggers, %" PRIu64 " IMU samples, %" PRIu64
                " frames, %" PRIu64 " others\n",
                o->in.triggers_in_stream ? 0 : stats.triggers, stats.imu, stats.frames,
                stats.extras);
    return 0;
}

static int convert(options *o)
{
    spk_event_writer *out = NULL;
    spk_event_stats stats;
    int status;
    o->in.triggers_in_stream = wants_triggers(o);
    o->out.as_stored = o->in.as_stored;
    spk_events *in = spk_events_open(o->file, &o->in);
    size_t n = spk_events_read(in, buffer, CHUNK); /* the size is known from the first read on */
    if (!in || (n == 0 && spk_events_status(in) != SPK_OK)) {
        status = fail("%s", in ? spk_events_error(in) : "out of memory");
        spk_events_close(in);
        return status;
    }
    spk_events_get_stats(in, &stats);
    o->out.width = o->region[2] ? o->region[2] : stats.width;
    o->out.height = o->region[2] ? o->region[3] : stats.height;
    if (o->out.width == 0 && (o->out.format == SPK_FORMAT_ES || ends_in(o->to, ".es"))) {
        spk_events_close(in);
        measure(o, &o->out);
        in = spk_events_open(o->file, &o->in);
        n = spk_events_read(in, buffer, CHUNK);
    }
    out = spk_event_writer_open(o->to, &o->out);
    if (!out) status = fail("out of memory");
    else if (spk_event_writer_status(out) != SPK_OK)
        status = fail("%s", spk_event_writer_error(out));
    else status = transfer(o, in, out, n);
    spk_event_writer_close(out);
    spk_events_close(in);
    return status;
}

int main(int argc, char **argv)
{
    options o = {.begin = INT64_MIN, .end = INT64_MAX, .step = 1000000};
    for (int k = 1; k < argc; k++)
        if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) {
            print_help();
            return 0;
        }
    int status = read_arguments(&o, argc, argv);
    if (status) return status;
    if (!o.command) {
        print_help(); /* run by itself it is an example that says what it can do */
        return 0;
    }
    bool writes = strcmp(o.command, "convert") == 0 || strcmp(o.command, "cut") == 0;
    if (!o.file) return fail("%s: which file? (--help)", o.command);
    if (writes && !o.to) return fail("%s: to which file? (--help)", o.command);
    if (!writes && o.to) return fail("%s takes one file", o.command);
    if (writes && strcmp(o.to, o.file) == 0) return fail("%s: it would overwrite itself", o.file);
    if (strcmp(o.command, "describe") == 0) return describe(&o);
    if (strcmp(o.command, "check") == 0) return check(&o);
    if (strcmp(o.command, "index") == 0) return make_index(&o);
    if (strcmp(o.command, "cut") == 0 && !o.windowed)
        return fail("cut: --begin, --end or --region says what to keep");
    if (writes) return convert(&o);
    return fail("there is no command \"%s\"; --help lists them", o.command);
}
