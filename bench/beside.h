/* ---- >>beside: busy loops of other processes, as a shared machine has them ---- */
#ifndef SPKBENCH_BESIDE_H
#define SPKBENCH_BESIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#if !defined(_WIN32)
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

/* Processes of their own, forked before there is a network, so that its pages are not copied, and
   asleep until beside_go. They end with this one, however it ends. */
typedef struct beside {
    int count, go[2];
#if !defined(_WIN32)
    pid_t *child;
#endif
} beside;

#if defined(_WIN32)
__attribute__((unused)) static bool beside_begin(beside *b, int count)
{
    memset(b, 0, sizeof *b);
    return count == 0;
}
static void beside_go(beside *b) { (void)b; }
__attribute__((unused)) static void beside_end(beside *b) { (void)b; }
#else
static void beside_loop(const int go[2], pid_t parent)
{
    volatile uint32_t x = 1;
    char byte;
    close(go[1]);
    if (read(go[0], &byte, 1) == 1)
        while (getppid() == parent) {
            uint32_t k;
            for (k = 0; k < 1000000; k++) x = x * 1664525u + 1013904223u;
        }
    _exit(0);
}

__attribute__((unused)) static void beside_end(beside *b)
{
    int k;
    for (k = 0; k < b->count; k++) kill(b->child[k], SIGKILL);
    for (k = 0; k < b->count; k++) waitpid(b->child[k], NULL, 0);
    if (b->child) {
        close(b->go[0]);
        close(b->go[1]);
    }
    free(b->child);
    memset(b, 0, sizeof *b);
}

__attribute__((unused)) static bool beside_begin(beside *b, int count)
{
    pid_t parent = getpid();
    memset(b, 0, sizeof *b);
    if (count == 0) return true;
    b->child = (pid_t *)calloc((size_t)count, sizeof *b->child);
    if (!b->child || pipe(b->go) != 0) {
        free(b->child);
        b->child = NULL;
        return false;
    }
    for (; b->count < count; b->count++) {
        pid_t child = fork();
        if (child == 0) beside_loop(b->go, parent);
        if (child < 0) {
            beside_end(b);
            return false;
        }
        b->child[b->count] = child;
    }
    return true;
}

/* One byte wakes one of them. */
static void beside_go(beside *b)
{
    int k;
    for (k = 0; k < b->count; k++)
        if (write(b->go[1], "!", 1) != 1) return;
}
#endif

#endif
