#!/bin/bash
# The test suite. `make test`, or tests/run.sh [-l] [GROUP...]. Installs what it lacks where it may,
# says what it skips and why, and ends with "N passed, N failed, N skipped".
. "$(dirname "$0")/lib.sh"

GROUPS_ALL="amalgam style unamalgamated headers c sanitizers examples spkconv bench readme install models golden cuda"

group_amalgam() {
    if ! have python3; then skip amalgam_is_up_to_date "no python3"; return; fi
    check amalgam_is_up_to_date make -s check-amalgam
    # It refuses a file that no list names, and is deterministic.
    rm -rf "$BUILD/amalgam"
    mkdir -p "$BUILD/amalgam"
    cp -r amalgamate.py LICENSE src "$BUILD/amalgam/"
    again() { python3 "$BUILD/amalgam/amalgamate.py" --out "$BUILD/amalgam/out.h" &&
        cmp "$BUILD/amalgam/out.h" spikelib.h; }
    check amalgam_is_deterministic again
    refuses() { # refuses WORDS
        ! python3 "$BUILD/amalgam/amalgamate.py" --out "$BUILD/amalgam/out.h" \
            2>"$BUILD/amalgam/error" && grep -q "$1" "$BUILD/amalgam/error"
    }
    echo '/* */' >"$BUILD/amalgam/src/core/stray.h"
    check amalgam_refuses_an_unlisted_file refuses 'src/core/stray.h is in no list'
    rm "$BUILD/amalgam/src/core/stray.h"
    sed -i '/^PUBLIC = /a\    "api/base.h",' "$BUILD/amalgam/amalgamate.py"
    check amalgam_refuses_a_file_listed_twice refuses 'src/api/base.h is listed twice'
}

# object COMPILER FLAGS...: where the implementation compiled so is; compiled by the first who asks.
object() {
    local o
    mkdir -p "$BUILD/object"
    o=$BUILD/object/$(printf '%s ' "$@" | cksum | tr ' ' -).o
    flock "$o.lock" sh -c '[ -e "$0" ] || { "$@" -I. -c spikelib.c -o "$0.new" && mv "$0.new" "$0"; }' \
        "$o" "$@" || return 1
    echo "$o"
}

# compile SOURCE PROGRAM COMPILER FLAGS...: a test that does not hold the implementation is linked
# with it. A test that says "check: with lz4 zstd" (and what else it needs) gets all libraries that are
# there, with the flags that switch them on, and skips what the others would be needed for. One that
# holds the implementation and says "check: networks alone" gets it without the other parts, in less
# time; one that holds it gets -O1 (what -O2 makes of it, the others see).
compile() {
    local source=$1 program=$2
    shift 2
    local libraries=
    if grep -q 'check: with' "$source"; then
        libraries="$(library lz4) $(library zstd) $(library hdf5)"
    fi
    local with= flags=
    if ! grep -q -E 'SPIKELIB_IMPLEMENTATION|\.\./src/' "$source"; then
        with=$(object "$@" $libraries 2>"$program.log") || return 1
    else
        flags=-O1
        if grep -q 'check: networks alone' "$source"; then flags="-O1 $NETWORKS_ALONE"; fi
    fi
    "$@" $flags -I. "$source" $with -o "$program" $libraries $LIBS >"$program.log" 2>&1
}
c_test() { # c_test NAME SOURCE LIMIT_S COMPILER FLAGS...
    local name=$1 source=$2 limit=$3 program=$BUILD/c/$1
    shift 3
    mkdir -p "$(dirname "$program")"
    if compile "$source" "$program" "$@"; then run_test "$name" "$limit" "$program"; else
        fail "$name" "does not compile: $(grep -m1 -E 'error|undefined' "$program.log")"
    fi
}
group_c() {
    for f in tests/test_*.c; do
        [ -e "$f" ] || continue
        n=$(basename "$f" .c)
        job c_test "${n#test_}" "$f" 900 gcc -std=gnu11 -O2 -Wall -Wextra
    done
    jobs_done
}

# A test says in a comment what it needs: "check: not under sanitizers, because ..." or
# "check: threads" (then it runs under ThreadSanitizer too).
group_sanitizers() {
    for f in tests/test_*.c; do
        [ -e "$f" ] || continue
        n=$(basename "$f" .c)
        grep -q 'check: not under sanitizers' "$f" ||
            job c_test "asan/${n#test_}" "$f" 900 gcc -std=gnu11 -O1 -g1 -fno-var-tracking \
                -fsanitize=address,undefined -fno-sanitize-recover=all
        grep -q 'check: threads' "$f" &&
            job c_test "tsan/${n#test_}" "$f" 900 gcc -std=gnu11 -O1 -g1 -fno-var-tracking -fsanitize=thread
    done
    jobs_done
}

group_style() { bash tests/style.sh; }
group_unamalgamated() { bash tests/unamalgamated.sh; }
group_headers() { bash tests/headers.sh; }
group_examples() { bash tests/examples.sh run; }
group_spkconv() { bash tests/spkconv.sh; }
group_bench() { bash tests/bench.sh; }
group_readme() { bash tests/readme.sh; }
group_install() { bash tests/install.sh; }
group_models() { bash tests/model.sh; }
group_golden() { bash tests/golden.sh; }
group_cuda() { bash tests/cuda.sh; }

if [ "${1:-}" = -l ]; then
    echo "$GROUPS_ALL" | tr ' ' '\n'
    exit 0
fi
if ! have gcc; then
    echo "FAIL gcc: the tests need gcc"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
groups=${*:-$GROUPS_ALL}
bash tests/packages.sh
rm -rf "$BUILD/object"
: >"$BUILD/all"
begin=$SECONDS
for g in $groups; do
    case " $GROUPS_ALL " in
    *" $g "*) ;;
    *) fail "$g" "there is no such group (tests/run.sh -l lists them)" | tee -a "$BUILD/all"; continue ;;
    esac
    echo "== $g"
    start=$SECONDS
    "group_$g" 2>&1 | tee "$BUILD/group-$g"
    grep -q -E '^(ok|FAIL|skip) ' "$BUILD/group-$g" ||
        fail "$g" "the group held no test" | tee -a "$BUILD/group-$g"
    cat "$BUILD/group-$g" >>"$BUILD/all"
    echo "== $g: $((SECONDS - start)) s"
done

passed=$(grep -c '^ok ' "$BUILD/all")
failed=$(grep -c '^FAIL ' "$BUILD/all")
skipped=$(grep -c '^skip ' "$BUILD/all")
if [ "$skipped" != 0 ]; then
    echo "== skipped"
    grep '^skip ' "$BUILD/all"
fi
if [ "$failed" != 0 ]; then
    echo "== failed"
    grep '^FAIL ' "$BUILD/all"
fi
echo "== all: $((SECONDS - begin)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
