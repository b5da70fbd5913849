/* A short, deterministic run of tests/fuzz/fuzz_events.c: damaged streams of every format that is
   read give no sanitizer anything to say, and the same events however they are cut and decoded.
   (SPIKELIB_IMPLEMENTATION is in that file.) */
#define main fuzz_main
#include "fuzz/fuzz_events.c"
#undef main

TEST(damaged_streams_decode_alike_in_pieces_and_on_every_instruction_set)
{
    static const char *const formats[] = {"evt2", "evt21",  "evt3",   "evt4",   "dat",  "es",
                                          "nmnist", "aedat2", "aedat3", "aedat4", "text", "npy"};
    size_t k;
    for (k = 0; k < sizeof formats / sizeof formats[0]; k++)
        CHECK_EQ(fuzz_run(formats[k], 0, 300, 99), 0);
}

TEST_MAIN()
