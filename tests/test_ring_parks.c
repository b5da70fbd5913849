/* ---- >>test-ring-parks: the tests of test_ring_threads.c without futexes ----
   As on other systems than Linux: a lock and a condition variable, and a fence in each push.
   (SPIKELIB_IMPLEMENTATION is in that file.) */
#define SPKI_USE_FUTEX 0
#include "test_ring_threads.c"
