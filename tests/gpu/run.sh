#!/bin/bash
# On a machine with an NVIDIA GPU: builds, checks every golden digest in each way of working, runs
# compute-sanitizer on small networks where it is installed, times the table, and writes the result
# into docs/gpu.md, between its two marks, with the device's name and the date.
. "$(dirname "$0")/../lib.sh"
D=$BUILD/gpu
rm -rf "$D"
mkdir -p "$D"
OUT=$D/table.md
failed=0

build() { # build NAME SOURCE FLAGS...
    local name=$1 source=$2
    shift 2
    gcc -O2 "$@" -I. "$source" -o "$D/$name" $LIBS >"$D/$name.log" 2>&1 || {
        fail "gpu/$name" "does not compile: $(grep -m1 error "$D/$name.log")"
        exit 1
    }
}
build golden tests/golden.c $NETWORKS_ALONE -DGOLDEN_CUDA
build quickstart examples/cuda_quickstart.c
build spkbench bench/spkbench.c

if "$D/quickstart" >"$D/quickstart.out" && grep -q '^on the CPU, because' "$D/quickstart.out"; then
    skip gpu "$(grep '^on the CPU' "$D/quickstart.out")"
    exit 0
fi
device=$(head -n 1 "$D/quickstart.out")
{
    echo "$device; $(date -u +%Y-%m-%d); \`tests/gpu/run.sh\`"
    echo
} >"$OUT"

for way in cuda cuda-own cuda-all cuda-slices; do
    timeout 900 "$D/golden" --backend $way >"$D/$way.txt" 2>"$D/$way.err"
    if diff -q tests/golden.txt "$D/$way.txt" >/dev/null; then
        ok "gpu/golden_digests/$way"
        echo "* every golden digest, \`--backend $way\`: the same as the CPU's" >>"$OUT"
    else
        fail "gpu/golden_digests/$way" "$(diff tests/golden.txt "$D/$way.txt" | grep -c '^>') differ"
        diff tests/golden.txt "$D/$way.txt" | head -n 8
        failed=1
    fi
done

if ! have compute-sanitizer; then skip gpu/compute-sanitizer "compute-sanitizer is not installed"; else
    for tool in memcheck racecheck initcheck synccheck; do
        if timeout 900 compute-sanitizer --tool $tool --error-exitcode 9 "$D/quickstart" \
            >"$D/$tool.log" 2>&1; then
            ok "gpu/compute-sanitizer/$tool"
            echo "* compute-sanitizer $tool on a network of 1,000 neurons: clean" >>"$OUT"
        else
            fail "gpu/compute-sanitizer/$tool" "$(grep -m1 ERROR "$D/$tool.log")"
            failed=1
        fi
    done
fi

time_row() { # time_row WHAT BAR ARGUMENTS...: a line of the table, from spkbench's JSON
    local what=$1 bar=$2 line
    shift 2
    line=$(timeout 900 "$D/spkbench" "$@" --backend cuda --json 2>"$D/bench.err" | tail -n 1)
    [ -n "$line" ] || line="failed: $(tail -n 1 "$D/bench.err")"
    echo "| $what | $bar | \`spkbench $*\` | \`$line\` |" >>"$OUT"
    echo "$what: $line"
}
{
    echo
    echo "| what | bar | command, with \`--backend cuda --json\` | result |"
    echo "| --- | --- | --- | --- |"
} >>"$OUT"
time_row "microcircuit, full density" "rtf <= 0.10" microcircuit --scale 1 --ms 1000
time_row "COBA, 1e9 synapses" "rtf <= 0.3" scale --synapses 1e9 --ms 200
time_row "neuron update, 1e8 LIF" ">= 0.9 of copy bandwidth" neurons --model lif_exp --n 1e8 --steps 100

python3 - "$OUT" <<'END'
import sys
page = open("docs/gpu.md").read()
begin, end = "<!-- begin of what tests/gpu/run.sh wrote -->\n", "<!-- end -->\n"
head, rest = page.split(begin)
tail = rest.split(end)[1]
open("docs/gpu.md", "w").write(head + begin + "\n" + open(sys.argv[1]).read() + "\n" + end + tail)
END
echo "written to docs/gpu.md"
exit $failed
