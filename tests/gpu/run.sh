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
# The same with kernels that nvcc compiled: no NVRTC. It has to find every network's among them.
NVCC=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
if [ -n "$NVCC" ]; then
    timeout 1800 "$NVCC" -x cu -O2 -arch=native -Xptxas -O1 -w $NETWORKS_ALONE -DGOLDEN_CUDA -DGOLDEN_CUDA_CODE -I. \
        tests/golden.c -o "$D/golden-nvcc" >"$D/golden-nvcc.log" 2>&1 ||
        { fail gpu/golden-nvcc "does not compile: $(grep -m1 error "$D/golden-nvcc.log")"; failed=1; }
fi
build spkbench bench/spkbench.c
build copy tests/gpu/copy.c -ldl

if "$D/quickstart" >"$D/quickstart.out" && grep -q '^on the CPU, because' "$D/quickstart.out"; then
    skip gpu "$(grep '^on the CPU' "$D/quickstart.out")"
    exit 0
fi
device=$(head -n 1 "$D/quickstart.out")
{
    echo "$device; $(date -u +%Y-%m-%d); \`tests/gpu/run.sh\`"
    echo
} >"$OUT"

for way in cuda cuda-own cuda-all cuda-slices cuda-graph; do
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

if [ -z "$NVCC" ]; then skip gpu/golden_digests/nvcc "no nvcc"; elif [ -e "$D/golden-nvcc" ]; then
    for way in cuda cuda-own cuda-all cuda-slices cuda-graph; do
        timeout 900 "$D/golden-nvcc" --backend $way >"$D/nvcc-$way.txt" 2>"$D/nvcc-$way.err"
        if diff -q tests/golden.txt "$D/nvcc-$way.txt" >/dev/null && [ ! -s "$D/nvcc-$way.err" ]; then
            ok "gpu/golden_digests/nvcc-$way"
            echo "* every golden digest, kernels compiled by nvcc, \`--backend $way\`: the same as the CPU's" >>"$OUT"
        else
            fail "gpu/golden_digests/nvcc-$way" "$(diff tests/golden.txt "$D/nvcc-$way.txt" | grep -c '^>') differ; $(head -n 1 "$D/nvcc-$way.err")"
            failed=1
        fi
    done
fi

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

# value KEYS JSON: the numbers of these keys, as "key number"
value() {
    python3 -c '
import json, sys
row = json.loads(sys.argv[2])
print(", ".join("%s %.4g" % (k, row[k]) for k in sys.argv[1].split() if k in row))' "$1" "$2"
}
time_row() { # time_row WHAT BAR KEYS BACKEND ARGUMENTS...: a line of the table, from spkbench's JSON
    local what=$1 bar=$2 keys=$3 backend=$4 result
    shift 4
    line=$(timeout 900 "$D/spkbench" "$@" --backend "$backend" --json 2>"$D/bench.err" | tail -n 1)
    echo "$line" >>"$D/bench.json"
    result=$(value "$keys" "$line" 2>/dev/null)
    [ -n "$result" ] || result="failed: $(tail -n 1 "$D/bench.err")"
    echo "| $what | $bar | \`spkbench $* --backend $backend\` | $result |" >>"$OUT"
    echo "$what: $result"
}
{
    echo
    echo "| what | bar | command | result |"
    echo "| --- | --- | --- | --- |"
} >>"$OUT"
for backend in cuda cuda-own cuda-all cuda-slices cuda-graph; do
    time_row "microcircuit, full density" "rtf <= 0.10" "rtf construct_s build_s bytes_per_synapse" $backend \
        microcircuit --scale 1 --ms 1000
done
time_row "the same, states of 16 bits" "" "rtf bytes_per_synapse" cuda \
    microcircuit --scale 1 --ms 1000 --precision 16
# construct_s is build_s without the time for compiling kernels and for what is no synapse
for bits in 16 8; do
    time_row "COBA, 1e9 synapses, weights of $bits bits" "rtf <= 0.3, construct_s <= 0.3" \
        "rtf construct_s build_s bytes_per_synapse" cuda scale --synapses 1e9 --ms 200 --weight-bits $bits
done
time_row "neuron update, 1e8 LIF" ">= 0.9 of copy bandwidth" "neuron_steps_per_s" cuda \
    neurons --model lif_exp --n 1e8 --steps 100
# lif_exp reads and writes three states of 4 bytes and reads an accumulator: 28 bytes a neuron and step
if copied=$("$D/copy" 2>"$D/copy.err"); then
    share=$(python3 -c 'import json, sys
print("%.3g" % (28 * json.loads(sys.argv[1])["neuron_steps_per_s"] / float(sys.argv[2])))' \
        "$line" "$copied" 2>/dev/null)
    echo "| the same, of copy bandwidth | >= 0.9 | \`tests/gpu/copy.c\`: $copied B/s | $share |" >>"$OUT"
else
    echo "| the same, of copy bandwidth | >= 0.9 | \`tests/gpu/copy.c\` | $(cat "$D/copy.err") |" >>"$OUT"
fi

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
