#!/bin/bash
# Every source file compiles by itself, in any order, without amalgamate.py.
. "$(dirname "$0")/lib.sh"
D=$BUILD/unamalgamated
mkdir -p "$D"
have gcc || { skip every_source_compiles_by_itself "no gcc"; exit 0; }

one() { # a unit that includes one source, twice
    local f=$1 unit=$D/$(echo "$1" | tr / _).c
    printf '#include "%s"\n#include "%s"\ntypedef int spki_not_empty;\n' \
        "$ROOT/$f" "$ROOT/$f" >"$unit"
    check "by_itself/${f#src/}" gcc -std=gnu11 -Wall -Wextra -fsyntax-only "$unit"
}
for f in src/*/*.h; do
    case $f in *.inc.h) ;; *) job one "$f" ;; esac
done
jobs_done

# All of them together, in the order of the alphabet, are the library.
{
    echo '#define _GNU_SOURCE'
    for f in src/*/*.h; do
        case $f in *.inc.h) ;; *) echo "#include \"$ROOT/$f\"" ;; esac
    done
    echo '#include <stdio.h>'
    echo 'int main(void) { spk_net *n = spk_net_create(0); puts(spk_version());'
    echo 'spk_net_destroy(n); return n ? 0 : 1; }'
} >"$D/all.c"
together() { gcc -std=gnu11 -O1 -ffp-contract=off "$D/all.c" -o "$D/all" $LIBS && "$D/all"; }
check the_sources_without_amalgamation_are_a_working_library together
