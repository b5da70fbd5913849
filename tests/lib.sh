# What the test scripts share. Each script prints lines "ok NAME", "FAIL NAME: WHY" and
# "skip NAME: WHY", which tests/run.sh counts; all other lines are for the reader.
# Scripts are run from anywhere and work in the repository's root; they write only under build/.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD
BUILD=${SPIKELIB_TEST_BUILD:-$ROOT/build/test}
LOGS=$BUILD/log/$(basename "$0" .sh)
rm -rf "$LOGS"
mkdir -p "$BUILD" "$LOGS"
export SPIKELIB_TEST_TMP=$BUILD/tmp
mkdir -p "$SPIKELIB_TEST_TMP"
unset SPIKELIB_ISA MAKEFLAGS MAKELEVEL MFLAGS

STYLE="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
NETWORKS_ALONE="-DSPIKELIB_NO_EVENTS -DSPIKELIB_NO_RINGS -DSPIKELIB_NO_PIPELINE"
LIBS="-lm -lpthread"
CORES=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
JOBS=${SPIKELIB_TEST_JOBS:-$CORES}

# library lz4|zstd|hdf5: what compiles and links a program with it, the flag of spikelib that switches
# it on included; nothing where it is not installed.
library() {
    local name
    case $1 in hdf5) name=hdf5 ;; *) name=lib$1 ;; esac
    if have pkg-config && pkg-config --exists "$name" 2>/dev/null; then
        echo "-DSPIKELIB_${1^^} $(pkg-config --cflags --libs "$name")"
    elif [ "$1" != hdf5 ] && [ -e "/usr/include/$1.h" ]; then echo "-DSPIKELIB_${1^^} -l$1"; fi
}

have() { command -v "$1" >/dev/null 2>&1; }
ok() { echo "ok $1"; }
fail() { echo "FAIL $1: $2"; }
skip() { echo "skip $1: $2"; }

# check NAME COMMAND...: ok if the command succeeds, else its last lines.
check() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then ok "$name"; else
        fail "$name" "$(printf '%s\n' "$out" | grep -m1 -E 'error|Error|FAIL|undefined' || echo failed)"
        printf '%s\n' "$out" | tail -n 12 | sed 's/^/    /'
    fi
}

# job COMMAND...: runs beside others, as many as there are cores; jobs_done waits for all and prints
# what they said, in the order in which they were started.
job_count=0
job() {
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n 2>/dev/null; done
    job_count=$((job_count + 1))
    "$@" >"$LOGS/$(printf %04d $job_count)" 2>&1 &
}
jobs_done() {
    wait
    local k
    for k in $(seq 1 $job_count); do cat "$LOGS/$(printf %04d "$k")"; done
    job_count=0
}

# run_test NAME LIMIT_S COMMAND...: a program built with tests/check.h; its last line and its exit
# status have to agree with what it printed.
run_test() {
    local name=$1 limit=$2 out status
    shift 2
    out=$(timeout "$limit" "$@" 2>&1)
    status=$?
    printf '%s\n' "$out" | grep -v -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' |
        sed -E "s,^(ok|FAIL|skip) ,\1 $name/,"
    if [ $status = 124 ]; then fail "$name" "took longer than $limit s"
    elif ! printf '%s\n' "$out" | grep -q -E '^[0-9]+ passed, '; then
        fail "$name" "ended with status $status before its last line"
    elif [ $status != 0 ] && ! printf '%s\n' "$out" | grep -q '^FAIL'; then
        fail "$name" "exit status $status"
    elif ! printf '%s\n' "$out" | grep -q -E '^(ok|FAIL|skip) '; then
        fail "$name" "holds no test"
    fi
}
