/* ---- >>kernel-held: where the host finds what nvcc compiled ---- */

#if defined(SPKI_CUDA_ON_CPU) /* a test's */
#define SPKI_ENTRY_AT(name) SPKI_CUDA_ON_CPU(name)
#else
#define SPKI_ENTRY_AT(name) (const void *)(name)
#endif

/* What does not depend on models is there once for all sets. */
template <class spki_set> static void spki_entries(const void **entry)
{
    entry[SPKI_GPU_UPDATE] = SPKI_ENTRY_AT(spki_update<spki_set>);
    entry[SPKI_GPU_TELL] = SPKI_ENTRY_AT(spki_tell<void>);
    entry[SPKI_GPU_COUNT] = SPKI_ENTRY_AT(spki_count<void>);
    entry[SPKI_GPU_SCAN] = SPKI_ENTRY_AT(spki_scan<void>);
    entry[SPKI_GPU_COMPACT] = SPKI_ENTRY_AT(spki_compact<void>);
    entry[SPKI_GPU_DELIVER] = SPKI_ENTRY_AT(spki_deliver<void>);
    entry[SPKI_GPU_SAMPLE] = SPKI_ENTRY_AT(spki_sample<void>);
    entry[SPKI_GPU_SELFTEST] = SPKI_ENTRY_AT(spki_selftest<void>);
    entry[SPKI_GPU_ROWS] = SPKI_ENTRY_AT(spki_rows<void>);
    entry[SPKI_GPU_ROWS_SCAN] = SPKI_ENTRY_AT(spki_rows_scan<void>);
    entry[SPKI_GPU_ROWS_COLLECT] = SPKI_ENTRY_AT(spki_rows_collect<void>);
    entry[SPKI_GPU_ROWS_SORT] = SPKI_ENTRY_AT(spki_rows_sort<void>);
    entry[SPKI_GPU_BATCH_ALL] = SPKI_ENTRY_AT(spki_batch_all<spki_set>);
    entry[SPKI_GPU_BATCH_OWN] = SPKI_ENTRY_AT(spki_batch_own<spki_set>);
    entry[SPKI_GPU_BEGIN] = SPKI_ENTRY_AT(spki_begin<void>);
}
