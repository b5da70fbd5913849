#!/bin/bash
# The Spin models of the rings, exhaustively: every state is visited, and none is wrong.
. "$(dirname "$0")/lib.sh"

model() { # model NAME FILE [-DX=..]...
    local name=$1 file=$ROOT/tests/model/$2 dir=$BUILD/model/$1 out
    shift 2
    rm -rf "$dir"
    mkdir -p "$dir"
    cd "$dir" || return
    if ! spin "$@" -a "$file" >spin.out 2>&1 || ! gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c >gcc.out 2>&1; then
        fail "$name" "spin or gcc: $(grep -h -m1 -i error spin.out gcc.out)"
        return
    fi
    out=$(timeout 120 ./pan -m200000 -w22 2>&1)
    if printf '%s\n' "$out" | grep -q -E 'errors: [1-9]|max search depth too small|out of memory' ||
        ! printf '%s\n' "$out" | grep -q 'errors: 0'; then
        fail "$name" "$(printf '%s\n' "$out" | grep -m1 -E 'pan:|error')"
    else
        ok "$name"
        printf '%s\n' "$out" | grep -E 'states, stored' | sed 's/^/   /'
    fi
}

if ! have spin; then
    skip models "no spin"
else
    job model model_spsc spsc.pml
    job model model_spsc_of_3 spsc.pml -DCAPACITY=3
    job model model_spsc_of_1 spsc.pml -DCAPACITY=1
    job model model_mpmc mpmc.pml -DEACH=2
    job model model_mpmc_two_consumers mpmc.pml -DEACH=1 -DCONSUMERS=2
    job model model_mpmc_death mpmc.pml -DEACH=2 -DDEATH
    job model model_mpmc_death_two_consumers mpmc.pml -DEACH=1 -DDEATH -DCONSUMERS=2
    jobs_done
fi
