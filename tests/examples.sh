#!/bin/bash
# Compiles every example by the command in its first comment, in a copy of examples/ beside a copy
# of the header, as a user would. With "run" it runs them too, and compiles the library once for all
# of them: each example is checked, as it is, by its own command with -fsyntax-only, and then, without
# SPIKELIB_IMPLEMENTATION, compiled and linked by its own command with that library. (The quickstart is
# compiled as it is by tests/readme.sh.) What the two leave out is code generated for the same library
# again and again; what is new: an example includes what it uses, and works as one of several files.
. "$(dirname "$0")/lib.sh"
MODE=${1:-build}
D=$ROOT/build/examples
mkdir -p "$D/examples"
cp spikelib.h spikelib_cl.h spikelib_cuda.cuh "$D/"
cp examples/*.[ch]* "$D/examples/"

arguments() { # what makes an example short enough for a test
    case $1 in
    microcircuit) echo --scale 0.02 --ms 100 ;;
    esac
}
compile() { # compile FILE COMMAND
    case $MODE:$2 in
    run:cc*" $1 "*)
        sh -c "$2 -fsyntax-only" && mkdir -p user &&
            sed '/^#define SPIKELIB_IMPLEMENTATION$/d; s,"\.\./spikelib,"../../spikelib,' "$1" >"user/$1" &&
            ! grep -q '^#define SPIKELIB_IMPLEMENTATION' "user/$1" &&
            sh -c "${2/ $1 / -Werror=implicit-function-declaration ../library.o user/$1 }" ;;
    run:nvcc*) sh -c "${2/ -O2 / -O0 }" ;; # the optimiser of the host's compiler is not the question
    *) sh -c "$2" ;;
    esac
}
example() {
    local file=$1 name command out status
    name=$(basename "$file")
    name=${name%.*}
    command=$(sed -n '1s,^/\* *\(.*[^ ]\) *\*/$,\1,p' "$file")
    if [ -z "$command" ]; then
        fail "example_$name" "the first line should be the command, as /* cc ... */"
        return
    fi
    case $command in
    nvcc*) have nvcc || { skip "example_$name" "no nvcc"; return; } ;;
    c++*) have c++ || { skip "example_$name" "no C++ compiler"; return; } ;;
    esac
    if ! out=$(cd "$D/examples" && compile "$(basename "$file")" "$command" 2>&1); then
        fail "example_$name" "does not compile: $command"
        printf '%s\n' "$out" | grep -m5 -E 'error|undefined' | sed 's/^/    /'
        return
    fi
    if [ "$MODE" != run ]; then ok "example_$name"; return; fi
    (cd "$D/examples" && timeout 300 "./$name" $(arguments "$name")) >"$D/$name.out" 2>"$D/$name.err"
    status=$?
    if [ $status = 0 ]; then ok "example_$name"; else
        fail "example_$name" "exit status $status: $(tail -n 1 "$D/$name.err")"
    fi
}
if [ "$MODE" = run ]; then
    printf '#define SPIKELIB_IMPLEMENTATION\n#define SPIKELIB_CUDA_NVRTC\n%s\n%s\n%s\n' '#include "spikelib.h"' \
        '#include "spikelib_cl.h"' '#include "spikelib_cuda.cuh"' >"$D/library.c"
    (cd "$D" && cc -O2 -c library.c -o library.o) || { fail examples "the library does not compile"; exit 1; }
fi
found=0
have nvcc || PATH=$PATH:/usr/local/cuda/bin
for f in examples/*.c examples/*.cpp examples/*.cu; do
    [ -f "$f" ] || continue
    found=1
    job example "$f"
done
jobs_done >"$LOGS/all"
cat "$LOGS/all"
[ $found = 1 ] || fail examples "there are none"
[ "$MODE" = run ] || echo "the programs are in build/examples/examples"
! grep -q ^FAIL "$LOGS/all"
