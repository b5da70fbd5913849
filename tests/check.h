/* ---- >>check: the test harness, one header, no state outside the including file ---- */
#ifndef SPIKELIB_TESTS_CHECK_H
#define SPIKELIB_TESTS_CHECK_H

/* A test file:

       #include "check.h"
       TEST(addition_is_commutative) { CHECK(1 + 2 == 2 + 1); }
       TEST_MAIN()

   A TEST registers itself. Run without arguments the program runs all tests in the order of the
   file; with arguments those whose names contain one of them ("-l" lists the names). It prints
   "ok name", "FAIL name: file:line: what" or "skip name: why" for each, and at the end
   "N passed, N failed, N skipped". Exit status 1 where anything failed.

   CHECK and its relatives note a failure and go on (the first five of a test are printed);
   REQUIRE returns from the test. SKIP(why) ends a test that cannot run here. Both must stand in
   the TEST itself, CHECK may stand in any function. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_FN static __attribute__((unused))

typedef struct check_test {
    const char *name;
    void (*run)(void);
    struct check_test *next;
} check_test;

static check_test *check_first, *check_last, *check_now;
static const char *check_skip_reason;
static int check_failures;

CHECK_FN void check_register(check_test *test)
{
    if (check_last) check_last->next = test;
    else check_first = test;
    check_last = test;
}

CHECK_FN void check_fail(const char *file, int line, const char *what)
{
    const char *name = check_now ? check_now->name : "(outside any test)";
    if (check_failures++ < 5) printf("FAIL %s: %s:%d: %s\n", name, file, line, what);
    fflush(stdout);
}

CHECK_FN void check_true(int ok, const char *file, int line, const char *text)
{
    if (!ok) check_fail(file, line, text);
}

CHECK_FN void check_near(double a, double b, double tol, const char *file, int line,
                         const char *text)
{
    double d = a > b ? a - b : b - a;
    char what[512];
    if (d <= tol || a == b) return; /* false for NaN */
    snprintf(what, sizeof what, "%s: %.17g and %.17g differ by %.3g, more than %.3g", text, a, b,
             d, tol);
    check_fail(file, line, what);
}

CHECK_FN void check_eq(unsigned long long a, unsigned long long b, const char *file, int line,
                       const char *text)
{
    char what[512];
    if (a == b) return;
    snprintf(what, sizeof what, "%s: %llu (0x%llx) is not %llu (0x%llx)", text, a, a, b, b);
    check_fail(file, line, what);
}

CHECK_FN void check_str(const char *a, const char *b, const char *file, int line, const char *text)
{
    char what[1024];
    if (a && b && strcmp(a, b) == 0) return;
    snprintf(what, sizeof what, "%s: \"%.400s\" is not \"%.400s\"", text, a ? a : "(null)",
             b ? b : "(null)");
    check_fail(file, line, what);
}

CHECK_FN void check_has(const char *text, const char *part, const char *file, int line)
{
    char what[1024];
    if (text && strstr(text, part)) return;
    snprintf(what, sizeof what, "\"%.600s\" does not contain \"%.300s\"", text ? text : "(null)",
             part);
    check_fail(file, line, what);
}

/* The path of a file of the shared test data: $SPIKELIB_SHARED, or ../shared seen from the
   repository's root, where the tests are run. NULL if it cannot be opened. */
CHECK_FN const char *check_shared(const char *relative, char *buffer, size_t size)
{
    const char *root = getenv("SPIKELIB_SHARED");
    FILE *f;
    snprintf(buffer, size, "%s/%s", root && *root ? root : "../shared", relative);
    f = fopen(buffer, "rb");
    if (!f) return NULL;
    fclose(f);
    return buffer;
}

/* A path in the directory for temporary files: $SPIKELIB_TEST_TMP (tests/run.sh sets it), $TMPDIR
   or the current directory. */
CHECK_FN const char *check_tmp(const char *name, char *buffer, size_t size)
{
    const char *dir = getenv("SPIKELIB_TEST_TMP");
    if (!dir || !*dir) dir = getenv("TMPDIR");
    snprintf(buffer, size, "%s/%s", dir && *dir ? dir : ".", name);
    return buffer;
}

CHECK_FN int check_wanted(const char *name, int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++)
        if (strstr(name, argv[i])) return 1;
    return argc < 2;
}

CHECK_FN int check_main(int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0;
    int list = argc == 2 && strcmp(argv[1], "-l") == 0;
    for (check_now = check_first; check_now; check_now = check_now->next) {
        if (list) printf("%s\n", check_now->name);
        if (list || !check_wanted(check_now->name, argc, argv)) continue;
        check_failures = 0;
        check_skip_reason = NULL;
        check_now->run();
        if (check_failures > 5)
            printf("FAIL %s: and %d more\n", check_now->name, check_failures - 5);
        if (check_failures) failed++;
        else if (check_skip_reason) skipped++;
        else passed++;
        if (!check_failures && !check_skip_reason) printf("ok %s\n", check_now->name);
        else if (!check_failures) printf("skip %s: %s\n", check_now->name, check_skip_reason);
        fflush(stdout);
    }
    if (!list) printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}

#define TEST(name)                                                                                \
    static void check_body_##name(void);                                                          \
    __attribute__((constructor)) static void check_add_##name(void)                               \
    {                                                                                             \
        static check_test test = {#name, check_body_##name, NULL};                                \
        check_register(&test);                                                                    \
    }                                                                                             \
    static void check_body_##name(void)

#define TEST_MAIN()                                                                               \
    int main(int argc, char **argv)                                                               \
    {                                                                                             \
        return check_main(argc, argv);                                                            \
    }

/* A condition; doubles that differ by at most tol; integers (printed when they differ); strings;
   a sentence that must contain a part. */
#define CHECK(cond) check_true((cond) ? 1 : 0, __FILE__, __LINE__, #cond)
#define CHECK_NEAR(a, b, tol)                                                                     \
    check_near((double)(a), (double)(b), (double)(tol), __FILE__, __LINE__, #a " ~ " #b)
#define CHECK_EQ(a, b)                                                                            \
    check_eq((unsigned long long)(a), (unsigned long long)(b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_STR(a, b) check_str((a), (b), __FILE__, __LINE__, #a)
#define CHECK_HAS(text, part) check_has((text), (part), __FILE__, __LINE__)

#define REQUIRE(cond)                                                                             \
    do {                                                                                          \
        if (!(cond)) {                                                                            \
            check_fail(__FILE__, __LINE__, #cond);                                                \
            return;                                                                               \
        }                                                                                         \
    } while (0)

#define SKIP(why)                                                                                 \
    do {                                                                                          \
        check_skip_reason = (why);                                                                \
        return;                                                                                   \
    } while (0)

#endif
