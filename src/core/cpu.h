/* ---- >>cpu: instruction sets, number and name of the processors ---- */
#ifndef SPIKELIB_CORE_CPU_H
#define SPIKELIB_CORE_CPU_H

#include "../simd/have.h"
#include "base.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

/* In the order of the enumeration. */
SPKI_FN const char *const *spki_isa_names(void)
{
    static const char *const names[] = {"auto",   "scalar", "sse2",   "avx2",
                                        "avx512", "neon",   "generic"};
    return names;
}

#define SPKI_ISA_COUNT 7

SPIKELIB_API const char *spk_isa_name(spk_isa isa)
{
    return (uint32_t)isa < SPKI_ISA_COUNT ? spki_isa_names()[isa] : "unknown";
}

SPIKELIB_API spk_isa spk_isa_from_name(const char *name)
{
    int i;
    for (i = 0; name && i < SPKI_ISA_COUNT; i++)
        if (strcmp(name, spki_isa_names()[i]) == 0) return (spk_isa)i;
    return SPK_ISA_AUTO;
}

SPKI_FN bool spki_isa_compiled(spk_isa isa)
{
    switch (isa) {
    case SPK_ISA_SCALAR: return true;
    case SPK_ISA_SSE2: return SPKI_HAVE_SSE2 != 0;
    case SPK_ISA_AVX2: return SPKI_HAVE_AVX2 != 0;
    case SPK_ISA_AVX512: return SPKI_HAVE_AVX512 != 0;
    case SPK_ISA_NEON: return SPKI_HAVE_NEON != 0;
    case SPK_ISA_GENERIC: return SPKI_HAVE_GENERIC != 0;
    default: return false;
    }
}

#if SPKI_HAVE_SSE2
/* The CPU must know the instructions, and the operating system must save the registers.
   Source: Intel SDM volume 1, sections 14.3 and 15.2 (detection of AVX2 and AVX-512). */
SPKI_FN bool spki_cpu_has_avx(bool avx512)
{
    uint32_t a, b, c, d, enabled, high;
    uint32_t os_saves = avx512 ? 0xe6u : 0x06u; /* xmm, ymm; opmask, both halves of zmm */
    /* F, DQ, CD, BW, VL */
    uint32_t wanted = avx512 ? 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31 : 0u;
    if (__get_cpuid_max(0, NULL) < 7) return false;
    __cpuid(1, a, b, c, d);
    if ((c & (1u << 27)) == 0 || (c & (1u << 28)) == 0) return false; /* OSXSAVE, AVX */
    __asm__ volatile("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
    (void)high;
    if ((enabled & os_saves) != os_saves) return false;
    __cpuid_count(7, 0, a, b, c, d);
    wanted |= 1u << 5; /* AVX2 */
    return (b & wanted) == wanted;
}
#else
SPKI_FN bool spki_cpu_has_avx(bool avx512)
{
    (void)avx512;
    return false;
}
#endif

/* Cost: asks the CPU each time, which a virtual machine may trap (tens of microseconds). */
SPIKELIB_API bool spk_isa_available(spk_isa isa)
{
    if (!spki_isa_compiled(isa)) return false;
    if (isa == SPK_ISA_AVX2) return spki_cpu_has_avx(false);
    if (isa == SPK_ISA_AVX512) return spki_cpu_has_avx(true);
    return true;
}

SPKI_FN spk_isa spki_isa_widest(void)
{
    static const spk_isa order[] = {SPK_ISA_AVX512, SPK_ISA_AVX2, SPK_ISA_SSE2, SPK_ISA_NEON,
                                    SPK_ISA_GENERIC};
    size_t i;
    for (i = 0; i < sizeof order / sizeof order[0]; i++)
        if (spk_isa_available(order[i])) return order[i];
    return SPK_ISA_SCALAR;
}

/* What a wish comes to. On an error *out is the instruction set that was asked for (AUTO where
   the name or number means none) and *why a clause for the network's sentence. */
SPKI_FN spk_result spki_isa_resolve(spk_isa wanted, spk_isa *out, const char **why)
{
    const char *env = wanted == SPK_ISA_AUTO ? getenv("SPIKELIB_ISA") : NULL;
    *why = "";
    if (env && *env && strcmp(env, "auto") != 0) {
        wanted = spk_isa_from_name(env);
        *out = wanted;
        *why = "the environment variable SPIKELIB_ISA is not one of "
               "auto scalar sse2 avx2 avx512 neon generic";
        if (wanted == SPK_ISA_AUTO) return SPK_ERR_NAME;
    }
    *why = "no instruction set has that number";
    *out = SPK_ISA_AUTO;
    if ((uint32_t)wanted >= SPKI_ISA_COUNT) return SPK_ERR_NAME;
    *out = wanted == SPK_ISA_AUTO ? spki_isa_widest() : wanted;
    *why = "this build of spikelib does not contain it";
    if (!spki_isa_compiled(*out)) return SPK_ERR_UNSUPPORTED;
    *why = "this CPU or its operating system does not have it";
    if (wanted != SPK_ISA_AUTO && !spk_isa_available(*out)) return SPK_ERR_UNSUPPORTED;
    *why = "";
    return SPK_OK;
}

/* An environment variable that cannot be obeyed is an error of spk_net_build, not of this. */
SPIKELIB_API spk_isa spk_isa_best(void)
{
    spk_isa isa;
    const char *why;
    return spki_isa_resolve(SPK_ISA_AUTO, &isa, &why) == SPK_OK ? isa : spki_isa_widest();
}

SPIKELIB_API uint32_t spk_cpu_count(void)
{
#if defined(_WIN32)
    DWORD_PTR mine = 0, all = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &mine, &all) && mine != 0)
        return (uint32_t)__builtin_popcountll((unsigned long long)mine);
    return 1; /* processors of several groups, or no answer */
#else
    long online;
#if defined(__linux__)
    unsigned long mask[1024 / sizeof(unsigned long)]; /* 8,192 CPUs */
    uint32_t count = 0;
    size_t i;
    memset(mask, 0, sizeof mask);
    if (spki_os_getaffinity(0, sizeof mask, mask) == 0) {
        for (i = 0; i < sizeof mask / sizeof mask[0]; i++)
            count += (uint32_t)__builtin_popcountl(mask[i]);
        if (count > 0) return count;
    }
#endif
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
#endif
}

/* Copies without the blanks before, after and doubled within. */
SPKI_FN void spki_copy_name(char *buffer, size_t size, const char *from)
{
    size_t n = 0;
    for (; *from && n + 1 < size; from++) {
        bool blank = *from == ' ' || *from == '\t' || *from == '\n' || *from == '\r';
        if (blank && (n == 0 || buffer[n - 1] == ' ')) continue;
        buffer[n++] = blank ? ' ' : *from;
    }
    if (n > 0 && buffer[n - 1] == ' ') n--;
    buffer[n] = 0;
}

#if defined(__x86_64__) || defined(__i386__)
SPKI_FN void spki_cpu_read_name(char *buffer, size_t size)
{
    uint32_t words[13];
    uint32_t k;
    memset(words, 0, sizeof words);
    for (k = 0; k < 3; k++) /* does nothing where the CPU does not go so far */
        __get_cpuid(0x80000002u + k, &words[4 * k], &words[4 * k + 1], &words[4 * k + 2],
                    &words[4 * k + 3]);
    spki_copy_name(buffer, size, words[0] ? (const char *)words : "x86");
}
#else
/* The value of a line "key : value" if the line has that key, else NULL. */
SPKI_FN const char *spki_cpuinfo_value(const char *line, const char *key)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0) return NULL;
    line += n;
    while (*line == ' ' || *line == '\t') line++;
    return *line == ':' ? line + 1 : NULL;
}

/* Linux tells a name on some architectures, on ARM only who made the core and its number. */
SPKI_FN void spki_cpu_read_name(char *buffer, size_t size)
{
    char line[256], maker[32] = "", part[32] = "";
    FILE *f = fopen("/proc/cpuinfo", "r");
    buffer[0] = 0;
    while (f && !buffer[0] && fgets(line, (int)sizeof line, f)) {
        const char *v = spki_cpuinfo_value(line, "model name");
        if (!v) v = spki_cpuinfo_value(line, "cpu model");
        if (v) spki_copy_name(buffer, size, v);
        v = spki_cpuinfo_value(line, "CPU implementer");
        if (v) spki_copy_name(maker, sizeof maker, v);
        v = spki_cpuinfo_value(line, "CPU part");
        if (v) spki_copy_name(part, sizeof part, v);
    }
    if (f) fclose(f);
    if (buffer[0]) return;
#if defined(__aarch64__)
    if (part[0]) snprintf(buffer, size, "aarch64 (implementer %s, part %s)", maker, part);
    else snprintf(buffer, size, "aarch64");
#else
    snprintf(buffer, size, "unknown CPU");
#endif
}
#endif

SPIKELIB_API const char *spk_cpu_name(char *buffer, size_t size)
{
    if (!buffer || size == 0) return "";
    spki_cpu_read_name(buffer, size);
    return buffer;
}

#endif
