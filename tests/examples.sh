#!/bin/bash
# Compiles every example by the command in its first comment, in a copy of examples/ beside a copy
# of the header, as a user would. With "run" it runs them too.
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
    if ! out=$(cd "$D/examples" && sh -c "$command" 2>&1); then
        fail "example_$name" "does not compile: $command"
        printf '%s\n' "$out" | grep -m5 error | sed 's/^/    /'
        return
    fi
    if [ "$MODE" != run ]; then ok "example_$name"; return; fi
    (cd "$D/examples" && timeout 300 "./$name" $(arguments "$name")) >"$D/$name.out" 2>"$D/$name.err"
    status=$?
    if [ $status = 0 ]; then ok "example_$name"; else
        fail "example_$name" "exit status $status: $(tail -n 1 "$D/$name.err")"
    fi
}
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
