#!/bin/bash
# One digest for each golden network, whatever compiles it and wherever it runs. tests/golden.c
# prints lines "network digest"; it takes --isa NAME and --threads N, and --isas lists the
# instruction sets that the program can use here. Rows of the table are builds, its columns the
# networks; a cell is "same" when every instruction set and thread count gave the digest of
# tests/golden.txt. `tests/golden.sh --accept` writes that file from the plain build.
. "$(dirname "$0")/lib.sh"
D=$BUILD/golden
rm -rf "$D"
mkdir -p "$D"
EXPECTED=$ROOT/tests/golden.txt
NATIVE=$(uname -m)

build() { # build ROW COMPILER FLAGS...
    local row=$1 compiler=$2 lang=c
    shift 2
    case $compiler in *++*) lang=c++ ;; esac
    have "$compiler" || { echo "no $compiler" >"$D/$row.skip"; return; }
    timeout 600 "$compiler" -x $lang "$@" $NETWORKS_ALONE tests/golden.c -o "$D/$row.exe" $LIBS \
        >"$D/$row.log" 2>&1 || echo "does not compile: $(grep -m1 error "$D/$row.log")" >"$D/$row.bad"
}

emulator() { # what runs the programs of a row
    case $1 in
    aarch64-*) [ "$NATIVE" = aarch64 ] || echo "qemu-aarch64 -L /usr/aarch64-linux-gnu" ;;
    windows-*) echo wine ;;
    esac
}

# runs ROW: every instruction set with 2 threads, every thread count with the best instruction set;
# all combinations for the plain build. Output: "isa threads network digest".
runs() {
    local row=$1 run isas isa threads out
    run=$(emulator "$row")
    [ -e "$D/$row.exe" ] || return
    if [ -n "$run" ] && ! have "${run%% *}"; then
        echo "no ${run%% *}" >"$D/$row.skip"
        return
    fi
    isas=$(timeout 300 $run "$D/$row.exe" --isas 2>>"$D/$row.log" | tr -d '\r')
    if [ -z "$isas" ]; then
        echo "does not start" >"$D/$row.bad"
        return
    fi
    echo $isas >"$D/$row.isas"
    {
        for isa in $isas; do
            case $row in
            gcc-O2-c) for threads in 1 2 3 8; do echo "$isa $threads"; done ;;
            *) echo "$isa 2" ;;
            esac
        done
        for threads in 1 3 8; do echo "auto $threads"; done
    } | while read -r isa threads; do
        out=$(timeout 300 $run "$D/$row.exe" --isa "$isa" --threads "$threads" </dev/null \
            2>>"$D/$row.log" | tr -d '\r')
        [ -n "$out" ] || out="run failed-with-$isa-$threads"
        printf '%s\n' "$out" | sed "s/^/$isa $threads /"
    done >"$D/$row.out"
}

row() {
    build "$@"
    runs "$1"
}

# On an OpenCL device: by vectors or items as the device suggests, and the way that GPUs take.
row_cl() {
    local row=$1 backend out
    build "$@" -DGOLDEN_CL
    [ -e "$D/$row.exe" ] || return
    export SPIKELIB_CACHE=$BUILD/cache POCL_CACHE_DIR=$BUILD/pocl
    mkdir -p "$POCL_CACHE_DIR"
    timeout 60 "$D/$row.exe" --devices >"$D/$row.isas" 2>"$D/$row.why"
    if [ ! -s "$D/$row.isas" ]; then
        echo "no OpenCL device: $(tail -n 1 "$D/$row.why")" >"$D/$row.skip"
        return
    fi
    for backend in cl cl-items cl-tiles; do # side by side: this row takes longest
        {
            export POCL_CACHE_DIR=$BUILD/pocl/$backend
            mkdir -p "$POCL_CACHE_DIR"
            out=$(timeout 900 "$D/$row.exe" --backend $backend </dev/null 2>>"$D/$row.log")
            [ -n "$out" ] || out="run failed-with-$backend"
            printf '%s\n' "$out" | sed "s/^/$backend 1 /" >"$D/$row.$backend"
        } &
    done
    wait
    cat "$D/$row".cl* >"$D/$row.out"
}

# The text that CUDA gets, run on the CPU by tests/mock_cuda.h.
row_cuda() {
    local row=$1 backend out
    build "$@" -DGOLDEN_CUDA -DGOLDEN_CUDA_MOCK
    [ -e "$D/$row.exe" ] || return
    have g++ || { echo "no g++" >"$D/$row.skip"; return; }
    echo "tiles of their own, all to all, graphs" >"$D/$row.isas"
    for backend in cuda-own cuda-all cuda-graph; do
        out=$(timeout 900 "$D/$row.exe" --backend $backend </dev/null 2>>"$D/$row.log")
        [ -n "$out" ] || out="run failed-with-$backend"
        printf '%s\n' "$out" | sed "s/^/$backend 1 /"
    done >"$D/$row.out"
}

if [ "${1:-}" = --accept ]; then
    row gcc-O2-c gcc -O2
    [ -s "$D/gcc-O2-c.out" ] || { cat "$D"/*.log; exit 1; }
    awk '$1 == "auto" && $2 == 1 { print $3, $4 }' "$D/gcc-O2-c.out" >"$EXPECTED"
    cat "$EXPECTED"
    exit 0
fi

# Each network on Oclgrind, which reports data races, bad accesses and wrong calls, in the three ways
# of working: an hour or more, so by hand and not in `make test`. `tests/golden.sh --oclgrind NAME...`
# checks the networks named, NAME:vectors, NAME:items and NAME:tiles one of the ways.
under_oclgrind() { # under_oclgrind NETWORK BACKEND
    local name=digest_under_$2/$1 log=$D/$2-$1 want
    want=$(grep -E "^$1(\.v)? " "$EXPECTED")
    OCLGRIND_DATA_RACES=1 OCLGRIND_CHECK_API=1 OCLGRIND_LOG=$log.report \
        "$D/oclgrind.exe" --network "$1" --backend "$2" >"$log.out" 2>"$log.err"
    if [ -z "$want" ] || [ "$(tr -d '\r' <"$log.out")" != "$want" ]; then
        fail "$name" "$(tr '\n' ' ' <"$log.out")$(tail -n 1 "$log.err"), not $(echo $want)"
    elif [ -s "$log.report" ]; then fail "$name" "$(grep -m1 . "$log.report")"
    else ok "$name"; fi
}
if [ "${1:-}" = --oclgrind ]; then
    shift
    export SPIKELIB_CACHE=
    gcc -O2 $NETWORKS_ALONE -DGOLDEN_CL tests/golden.c -o "$D/oclgrind.exe" $LIBS || exit 1
    for n in ${*:-$(sed -E 's/(\.v)? .*//' "$EXPECTED" | uniq)}; do
        case $n in
        *:vectors) job under_oclgrind "${n%:*}" oclgrind ;;
        *:*) job under_oclgrind "${n%:*}" "oclgrind-${n#*:}" ;;
        *) for b in oclgrind oclgrind-items oclgrind-tiles; do job under_oclgrind "$n" $b; done ;;
        esac
    done
    jobs_done
    exit 0
fi
[ -e tests/golden.c ] || { skip golden_digests "tests/golden.c is not there"; exit 0; }

WINE_READY=
if have wine && have x86_64-w64-mingw32-gcc; then
    export WINEDEBUG=-all WINEPREFIX=$BUILD/wine
    timeout 180 wine wineboot -i >/dev/null 2>&1 && WINE_READY=1
fi

# The slowest rows first, so that none is left running alone.
job row_cl opencl-gcc-O2-c gcc -O2
job row_cuda cuda-text-gcc-O2-c gcc -O1
for pair in gcc/g++ clang/clang++; do
    for opt in O0 O2 O3 native; do
        flags=-$opt
        [ $opt = native ] && flags="-O2 -march=native"
        job row "${pair%/*}-$opt-c" "${pair%/*}" $flags
    done
    job row "${pair%/*}-O2-c++" "${pair#*/}" -O2
    job row "${pair%/*}-O2-c-no-xxhash" "${pair%/*}" -O2 -DSPIKELIB_NO_XXHASH
done
if [ "$NATIVE" = x86_64 ]; then
    job row aarch64-gcc-O2-c aarch64-linux-gnu-gcc -O2 -static
    job row aarch64-gcc-O3-c aarch64-linux-gnu-gcc -O3 -static
    if [ -n "$WINE_READY" ]; then job row windows-mingw-O2-c x86_64-w64-mingw32-gcc -O2 -static
    else echo "no MinGW or no working wine" >"$D/windows-mingw-O2-c.skip"; fi
fi
jobs_done

# The reference: the committed digests, or else the plain build.
reference=$EXPECTED
if [ ! -e "$reference" ]; then
    echo "tests/golden.txt is not there; comparing with gcc -O2 instead"
    reference=$D/reference
    awk '$1 == "auto" && $2 == 1 { print $3, $4 }' "$D/gcc-O2-c.out" >"$reference" 2>/dev/null
fi
networks=$(awk '{ print $1 }' "$reference")
[ -n "$networks" ] || { fail golden_digests "no reference digests"; exit 1; }

widest=26
echo "golden networks:"
awk '{ printf "    %-24s %s\n", $1, $2 }' "$reference"
printf "%-${widest}s" build
for n in $networks; do printf ' %-10.10s' "$n"; done
echo " instruction sets"
verdicts=$D/verdicts
: >"$verdicts"
for r in $(ls "$D" | sed -n -E 's/\.(exe|skip|bad)$//p' | sort -u); do
    printf "%-${widest}s" "$r"
    if [ -e "$D/$r.skip" ]; then
        echo " skipped: $(cat "$D/$r.skip")"
        skip "digest_is_the_same/$r" "$(cat "$D/$r.skip")" >>"$verdicts"
        continue
    fi
    if [ -e "$D/$r.bad" ]; then
        echo " $(cat "$D/$r.bad")"
        fail "digest_is_the_same/$r" "$(cat "$D/$r.bad")" >>"$verdicts"
        continue
    fi
    bad=
    for n in $networks; do
        want=$(awk -v n="$n" '$1 == n { print $2 }' "$reference")
        got=$(awk -v n="$n" '$3 == n { print $4 }' "$D/$r.out" | sort -u)
        if [ "$got" = "$want" ] && ! grep -q ' run failed-with-' "$D/$r.out"; then
            printf ' %-10s' same
        else
            printf ' %-10s' DIFFERENT
            bad="$bad $n"
        fi
    done
    echo " $(cat "$D/$r.isas")"
    if [ -z "$bad" ]; then ok "digest_is_the_same/$r" >>"$verdicts"; else
        fail "digest_is_the_same/$r" "$(printf '%s' "${bad# }" | tr ' ' ,) differ" >>"$verdicts"
        awk -v ref="$reference" 'BEGIN { while ((getline l < ref) > 0) { split(l, a, " ");
            want[a[1]] = a[2] } } want[$3] != $4 { print "    " $0 ", not " want[$3] }' \
            "$D/$r.out" | head -n 8 >>"$verdicts"
    fi
done
cat "$verdicts"
