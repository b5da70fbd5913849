/* ---- >>report: results as one JSON object a line, or as text ---- */
#ifndef SPKBENCH_REPORT_H
#define SPKBENCH_REPORT_H

#include "../spikelib.h"

#include <stdarg.h>
#include <stdio.h>
#ifdef _WIN32
#include <io.h>
#include <windows.h>

#include <psapi.h>
#define isatty _isatty
#else
#include <sys/resource.h>
#include <unistd.h>
#endif

/* Text output: a result is a block of lines, or one line of a table (`row`). What describes the
   machine comes once. */
typedef struct report {
    bool json, row;
    int results, keys;
    const char *backend; /* NULL: "cpu" */
    bool machine, quiet; /* a key of the machine; one that was told already */
    char head[512], line[512];
} report;

/* Bounded: a table that does not fit its line is cut, never overrun. */
static void report_append(char *to, size_t size, const char *format, ...)
{
    size_t used = strlen(to);
    va_list args;
    va_start(args, format);
    if (used < size) vsnprintf(to + used, size - used, format, args);
    va_end(args);
}

static void report_value(report *r, const char *key, const char *value, bool quote)
{
    if (r->json) {
        printf("%s\"%s\":", r->keys++ ? "," : "{", key);
        if (!quote) {
            fputs(value, stdout);
            return;
        }
        putchar('"');
        for (; *value; value++) {
            if (*value == '"' || *value == '\\') putchar('\\');
            if ((unsigned char)*value >= 0x20) putchar(*value);
        }
        putchar('"');
    } else if (r->quiet) {
        return;
    } else if (r->row && !r->machine) {
        int width = (int)strlen(key) > 12 ? (int)strlen(key) : 12;
        report_append(r->head, sizeof r->head, " %*s", width, key);
        report_append(r->line, sizeof r->line, " %*s", width, value);
    } else {
        printf("%-20s %s\n", key, value);
    }
}

static void report_text(report *r, const char *key, const char *value)
{
    report_value(r, key, value, true);
}

static void report_integer(report *r, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    report_value(r, key, text, false);
}

static void report_format(const report *r, char *text, size_t size, double value)
{
    bool finite = value - value == 0.0;
    if (!finite) snprintf(text, size, "null");
    else snprintf(text, size, r->json ? "%.9g" : "%.5g", value);
}

static void report_number(report *r, const char *key, double value)
{
    char text[64];
    report_format(r, text, sizeof text, value);
    report_value(r, key, text, false);
}

static void report_array(report *r, const char *key, const double *values, size_t count)
{
    char text[512] = "";
    size_t i;
    if (r->json) report_append(text, sizeof text, "[");
    for (i = 0; i < count; i++) {
        char one[64];
        report_format(r, one, sizeof one, values[i]);
        report_append(text, sizeof text, "%s%s", i == 0 ? "" : r->json ? "," : "  ", one);
    }
    if (r->json) report_append(text, sizeof text, "]");
    report_value(r, key, text, false);
}

static void report_digest(report *r, uint64_t digest)
{
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)digest);
    report_value(r, "digest", text, true);
}

static void report_compiler(report *r)
{
    char text[64];
#if defined(__clang__)
    snprintf(text, sizeof text, "clang %d.%d.%d", __clang_major__, __clang_minor__,
             __clang_patchlevel__);
#else
    snprintf(text, sizeof text, "gcc %d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    report_text(r, "compiler", text);
}

/* The keys that every result has. */
static void report_begin(report *r, const char *what, spk_isa isa, uint32_t threads, uint64_t seed)
{
    char cpu[256];
    r->keys = 0;
    r->head[0] = r->line[0] = 0;
    r->machine = true;
    r->quiet = r->results > 0;
    report_text(r, "benchmark", what);
    report_text(r, "version", spk_version());
    report_compiler(r);
    report_text(r, "cpu", spk_cpu_name(cpu, sizeof cpu));
    report_text(r, "isa", spk_isa_name(isa));
    report_integer(r, "threads", threads);
    report_text(r, "backend", r->backend ? r->backend : "cpu");
    report_integer(r, "seed", seed);
    r->machine = r->quiet = false;
}

static void report_end(report *r)
{
    if (r->json) puts("}");
    else if (r->row && r->results == 0) printf("%s\n%s\n", r->head, r->line);
    else if (r->row) puts(r->line);
    r->results++;
    fflush(stdout);
}

/* Others' share of the CPUs; not told where it is not known. */
static void report_noise(report *r, double others)
{
    if (others >= 0.0) report_number(r, "others_share", others);
}

/* The most memory that this process has had, in MB of 10^6 bytes. */
static double peak_rss_mb(void)
{
#if defined(_WIN32)
    PROCESS_MEMORY_COUNTERS counters;
    memset(&counters, 0, sizeof counters);
    if (!K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)) return 0.0;
    return (double)counters.PeakWorkingSetSize / 1e6;
#else
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0.0;
#if defined(__APPLE__)
    return (double)usage.ru_maxrss / 1e6;
#else
    return (double)usage.ru_maxrss * 1024.0 / 1e6;
#endif
#endif
}

/* On standard error, and only where someone looks. */
static void progress(const char *what, double done)
{
    if (!isatty(2)) return;
    if (done >= 1.0) fprintf(stderr, "\r%50s\r", "");
    else fprintf(stderr, "\r%s %3.0f %%", what, 100.0 * done);
}

#endif
