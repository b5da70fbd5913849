#!/bin/bash
# build/spkbench's networks as another program sees them, and what bench/report.py makes of results.
. "$(dirname "$0")/lib.sh"
D=$BUILD/bench
rm -rf "$D"
mkdir -p "$D"
if ! gcc -std=gnu11 -O1 -Wall -Wextra -Werror -I. bench/spkbench.c -o "$D/spkbench" $LIBS 2>"$D/log"
then
    fail spkbench_compiles "$(grep -m1 error "$D/log")"
    exit 1
fi
ok spkbench_compiles
if ! have python3; then skip spkbench_results "no python3"; exit 0; fi
bench() { "$D/spkbench" "$@"; }

# results NAME COUNT ARGUMENTS...: prints COUNT JSON objects of which `python3 -c` says that $CHECK
# holds, where `r` is the list of results.
results() {
    local name=$1 count=$2
    shift 2
    if ! bench "$@" --json >"$D/$name.json" 2>"$D/error"; then
        fail "$name" "$(head -1 "$D/error")"
        return
    fi
    local said
    if said=$(python3 - "$D/$name.json" "$count" "$CHECK" 2>&1 <<'END'
import json, sys
r = [json.loads(line) for line in open(sys.argv[1])]
def near(a, b): return abs(a - b) <= 1e-6 * max(abs(a), abs(b))
assert len(r) == int(sys.argv[2]), f"{len(r)} results"
for one in r:
    for key in "benchmark version compiler cpu isa threads backend seed".split():
        assert key in one, key + " is missing"
for check in filter(None, (c.strip() for c in sys.argv[3].split(";"))):
    assert eval(check), check
END
    ); then ok "$name"; else fail "$name" "$(printf '%s' "$said" | tail -1)"; fi
}

N="--scale 0.02 --ms 60 --warmup-ms 20"
CHECK='near(r[0]["adds_share"], r[0]["events_per_s"] / r[0]["limit_adds_per_s"]);
    near(r[0]["triad_share"], r[0]["synapse_bytes_per_s"] / r[0]["limit_triad_bytes_per_s"]);
    near(r[0]["rtf"], r[0]["sim_s"] / 0.06); r[0]["runs"] == 3;
    r[0]["rtf_least"] <= r[0]["rtf"] <= r[0]["rtf_most"]; 0 <= r[0].get("others_share", 0) <= 1; near(r[0]["ns_per_event"] * r[0]["events_per_s"], 1e9);
    r[0]["limit_adds_per_s"] > 1e6 and r[0]["limit_adds_l1_per_s"] > 1e6;
    near(r[0]["outside_share"], 1 - sum(r[0][k + "_s"] for k in ("file", "deliver", "input", "update"))
         / (2 * 0.06 * sum(r[0][k] for k in ("rtf", "rtf_least", "rtf_most"))))'
results networks_are_held_against_the_limits_of_the_machine 1 microcircuit $N --threads 2 --profile \
    --runs 3
CHECK='near(r[0]["beside_ratio"], r[0]["beside_rtf"] / r[0]["rtf"]); r[0]["beside_loops"] == 2;
    "limit_adds_per_s" not in r[0]'
results a_run_beside_busy_loops_is_measured_too 1 microcircuit $N --threads 1 --beside 2 --no-limits
CHECK='0 < r[0]["critical_rtf"] < r[0]["rtf"]; r[0]["threads"] == 24'
results shares_of_many_threads_in_turn 1 microcircuit $N --threads 24 --in-turn --no-limits
CHECK='[x["neurons"] for x in r] == [1000, 40000];
    all(near(x["bytes_per_s"], x["bytes_per_neuron_step"] * x["neuron_steps_per_s"]) for x in r);
    all(near(x["l2_share"], x["bytes_per_s"] / x["limit_l2_bytes_per_s"]) for x in r);
    all(near(x["triad_share"], x["bytes_per_s"] / x["limit_triad_bytes_per_s"]) for x in r);
    r[0]["bytes_per_neuron_step"] >= 24'
results neurons_of_several_sizes 2 neurons --model lif_exp --n 1000,4e4 --steps 200 --threads 1
CHECK='[round(x["synapses"], -4) for x in r] == [100000, 200000];
    0.9e5 < r[0]["synapses"] < 1.1e5; near(r[0]["ns_per_event_to_first"], 1);
    near(r[1]["ns_per_event_to_first"], r[1]["ns_per_event"] / r[0]["ns_per_event"]);
    all(1 < x["rate_hz"] < 40 for x in r)'
results cost_against_size 2 scale --synapses 1e5,2e5 --ms 50 --warmup-ms 50 --threads 1
CHECK='[x["neurons"] for x in r] == [200, 500]; all(x["spikes"] == 0 for x in r);
    all(x["us_per_step"] > 0 for x in r)'
results an_idle_network 2 idle --n 200,500 --steps 200 --threads 2
CHECK='near(r[0]["synapses_per_s"], r[0]["synapses"] / r[0]["build_s"]); r[0]["triad_share"] > 0'
results construction 1 build --scale 0.02

# Busy loops and the time that they take change nothing else, and they end with the run.
digest() { sed 's/.*"digest":"\([0-9a-f]*\)".*/\1/' "$1"; }
one=$(bench microcircuit $N --threads 1 --no-limits --json | sed 's/.*"digest":"\([0-9a-f]*\)".*/\1/')
check busy_loops_do_not_change_the_digest test -n "$one" -a \
    "$one" = "$(digest "$D/a_run_beside_busy_loops_is_measured_too.json")"
check many_threads_in_turn_do_not_either test -n "$one" -a \
    "$one" = "$(digest "$D/shares_of_many_threads_in_turn.json")"
still_running() { # by what /proc says; nothing elsewhere
    for p in /proc/[0-9]*; do
        [ "$(readlink "$p/exe" 2>/dev/null)" = "$D/spkbench" ] && return 0
    done
    return 1
}
no_loops_left() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do still_running || return 0; sleep 0.3; done
    return 1
}
if [ -d /proc/self ]; then
    "$D/spkbench" microcircuit $N --ms 60000 --beside 2 --threads 1 >/dev/null 2>&1 &
    sleep 1
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    check busy_loops_end_with_the_program no_loops_left
else skip busy_loops_end_with_the_program "no /proc"; fi
refused() { # refused NAME WORDS ARGUMENTS...
    local name=$1 words=$2 out status
    shift 2
    out=$(bench "$@" 2>"$D/error")
    status=$?
    if [ $status = 2 ] && [ -z "$out" ] && [ "$(wc -l <"$D/error")" = 1 ] &&
        grep -q -e "$words" "$D/error"; then ok "spkbench_refuses_$name"; else
        fail "spkbench_refuses_$name" "status $status: $(head -1 "$D/error")"
    fi
}
refused a_list_with_a_hole '--n: numbers' neurons --n 100,,200
refused a_list_of_words '--synapses: numbers' scale --synapses many
refused a_model_with_nothing_to_update 'only passes spikes on' neurons --model parrot
refused loops_beside_nothing 'no such option' build --beside 2

# -- report.py --
report() { python3 bench/report.py "$@"; }
for rtf in 2 4 3; do
    echo '{"benchmark":"microcircuit","version":"0.1.0","compiler":"gcc 12","cpu":"A <&> B","isa":"avx512",' \
        '"threads":2,"backend":"cpu","seed":1,"scale":1,"drive":"poisson","rtf":'$rtf',"sim_s":'$rtf',' \
        '"file_share":0.2,"deliver_share":0.3,"input_share":0.1,"update_share":0.2,"record_share":0,' \
        '"wait_share":0.1,"adds_share":0.4,"digest":"00aa"}'
done >"$D/one.json"
sed 's/"A <&> B"/"C"/; s/"rtf":[0-9]/"rtf":1.5/; s/00aa/00bb/' "$D/one.json" >"$D/two.json"
cat "$D/neurons_of_several_sizes.json" "$D/cost_against_size.json" "$D/an_idle_network.json" \
    >>"$D/one.json"
echo '{"benchmark":"ring","version":"0","compiler":"c","cpu":"C","isa":"avx2","threads":1,"race":"spsc_one",' \
    '"slots":1024,"items_per_s":12345678,"items_per_s_low":9}' >>"$D/two.json"
sed -n 's/"slots":1024/"slots":65536/; s/12345678/87654321/; $p' "$D/two.json" >"$D/ring.json"
cat "$D/ring.json" >>"$D/two.json"
check report_reads_results report "$D/one.json" "other=$D/two.json" --out "$D/report"
M=$D/report/report.md
check report_shows_the_median_and_the_range grep -q \
    '| 3 (2 to 4, 3 runs) |.* 1.5 (1.5 to 1.5, 3 runs); 0.50 times (better) |' "$M"
check report_has_a_column_for_each_machine grep -qF '| measurement | figure | A <&> B' "$M"
check report_sees_digests_that_differ grep -qF '2 different digests: 00aa, 00bb' "$M"
check report_shows_what_other_subcommands_print grep -qF 'ring, spsc_one, 1024 slots, 1 thread | items a second |' "$M"
check report_keeps_sizes_apart grep -q '65.5 k slots, 1 thread | items a second |.* 87.7 M |' "$M"
charts() {
    python3 - "$D/report" <<'END'
import os, re, sys, xml.etree.ElementTree as tree
folder = sys.argv[1]
shown = re.findall(r"\]\((.*?)\)", open(os.path.join(folder, "report.md")).read())
expected = ["networks", "profile", "neurons", "scale", "limits", "ring"]
assert sorted(shown) == sorted(name + ".svg" for name in expected), f"error: {shown}"
for name in shown:
    root = tree.parse(os.path.join(folder, name)).getroot()
    width, height = float(root.get("width")), float(root.get("height"))
    for e in root:
        for x in ("x", "x1", "x2", "cx"):
            assert 0 <= float(e.get(x, "0").rstrip("%")) <= width, f"error: {name}: {e.attrib}"
        for y in ("y", "y1", "y2", "cy"):
            assert 0 <= float(e.get(y, "0").rstrip("%")) <= height, f"error: {name}: {e.attrib}"
text = [e.text for e in tree.parse(os.path.join(folder, "networks.svg")).getroot() if e.text]
assert any(t.startswith("A <&> B") for t in text) and "1.5" in text, f"error: {text}"
text = [e.text for e in tree.parse(os.path.join(folder, "ring.svg")).getroot() if e.text]
assert any("(spsc_one, 1 thread)" in t for t in text), f"error: {text}" # said once, above
assert not any(t.startswith("A <&> B") for t in text), f"error: {text}" # which has no bar
END
}
check report_draws_charts_that_are_whole charts
echo 'rtf 2' >"$D/text"
wrong() { ! report "$D/text" --out "$D/none" 2>"$D/error" && grep -q 'text:1: this is no JSON' "$D/error"; }
check report_refuses_what_is_no_result wrong
