/* ---- >>noise: what other programs took of the machine meanwhile ---- */
#ifndef SPKBENCH_NOISE_H
#define SPKBENCH_NOISE_H

#include "../spikelib.h"

#include <stdio.h>
#if !defined(_WIN32)
#include <sys/resource.h>
#endif

/* CPU time since some moment, in seconds: of all CPUs' work, of this process, and wall time. */
typedef struct noise {
    double busy_s, own_s, wall_s, cpus;
} noise;

/* Where the system does not tell (it is Linux's /proc/stat), cpus is 0. */
static noise noise_now(void)
{
    noise n = {0};
#if defined(__linux__)
    double user, nice, system, idle, iowait, irq, softirq, steal, tick = 1.0 / 100.0;
    FILE *file = fopen("/proc/stat", "r");
    struct rusage usage;
    if (!file) return n;
    if (fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &iowait,
               &irq, &softirq, &steal) == 8 &&
        getrusage(RUSAGE_SELF, &usage) == 0) {
        n.busy_s = tick * (user + nice + system + irq + softirq + steal);
        n.own_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                  1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
        n.wall_s = spk_clock_seconds();
        n.cpus = (double)spk_cpu_count();
    }
    fclose(file);
#endif
    return n;
}

/* Others' share of all CPU time since then, -1 where that is not known. */
static double noise_since(const noise *before)
{
    noise n = noise_now();
    double all = (n.wall_s - before->wall_s) * n.cpus, others;
    if (n.cpus == 0.0 || before->cpus == 0.0 || all < 0.05) return -1.0;
    others = (n.busy_s - before->busy_s) - (n.own_s - before->own_s);
    return others > 0.0 ? others / all : 0.0;
}

#endif
