#!/bin/bash
# What each flag costs or saves: bytes of code and constants (size's text) of spikelib.c at -O2, in
# kB. The flag table of src/api/manual.h takes its numbers from here.
. "$(dirname "$0")/lib.sh"
CC=${CC:-gcc}
measure() { # measure FLAGS...: text bytes
    local object=$LOGS/$$.o
    "$CC" -std=gnu11 -O2 "$@" -c spikelib.c -o "$object" && size "$object" | awk 'NR == 2 { print $1 }'
    rm -f "$object"
}
full=$(measure) || exit 1
printf '%-28s %8.1f kB\n' 'everything' "$(awk "BEGIN { print $full / 1000 }")"
for flag in NO_NET NO_AVX512 NO_AVX2 NO_THREADS NO_PLOT NO_RINGS NO_PIPELINE NO_EVENTS NO_SPIKEFILE \
    NO_SOURCES NO_SOCKETS NO_XXHASH; do
    printf '%-28s %+8.1f kB\n' "SPIKELIB_$flag" \
        "$(awk "BEGIN { print ($(measure -DSPIKELIB_$flag) - $full) / 1000 }")"
done
# Flags that add a library: what spikelib's own part of it takes.
for flag in lz4 zstd hdf5; do
    with=$(library $flag | sed 's/ -l[^ ]*//g')
    [ -n "$with" ] || continue
    printf '%-28s %+8.1f kB\n' "SPIKELIB_${flag^^}" \
        "$(awk "BEGIN { print ($(measure $with) - $full) / 1000 }")"
done
# The headers of devices, in a unit that holds the implementation.
for header in spikelib_cl.h spikelib_cuda.cuh; do
    unit=$LOGS/$header.c
    printf '#define SPIKELIB_CUDA_NVRTC\n#define SPIKELIB_IMPLEMENTATION\n#include "%s"\n#include "%s"\n' \
        spikelib.h $header >"$unit"
    with=$("$CC" -std=gnu11 -O2 -I. -c "$unit" -o "$unit.o" &&
        size "$unit.o" | awk 'NR == 2 { print $1 }')
    printf '%-28s %+8.1f kB\n' "$header" "$(awk "BEGIN { print ($with - $full) / 1000 }")"
done
