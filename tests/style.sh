#!/bin/bash
# The house style, as far as a script can see it.
. "$(dirname "$0")/lib.sh"

files=(src/*/*.h src/gpu/*/* examples/*.[ch]* bench/*.[ch]* tests/*.[ch]* spikelib.c)
present=()
for f in "${files[@]}"; do [ -f "$f" ] && present+=("$f"); done

clean() { # clean NAME PATTERN FILES...: no line matches
    local name=$1 pattern=$2 out
    shift 2
    out=$(LC_ALL=C grep -nP -e "$pattern" "$@" /dev/null | head -5)
    if [ -z "$out" ]; then ok "$name"; else
        fail "$name" "${out%%$'\n'*}"
        printf '%s\n' "$out" | sed 's/^/    /'
    fi
}
clean sources_are_ascii_without_tabs_and_cr '[^\x20-\x7e]' "${present[@]}"
clean sources_have_at_most_100_columns '^.{101,}$' "${present[@]}"
clean sources_have_no_space_at_line_ends ' $' "${present[@]}"
clean no_machine_paths_and_nothing_unfinished '/wor''k/|/tm''p/h|TO''DO|FIX''ME|X''XX' \
    "${present[@]}" tests/*.sh Makefile CMakeLists.txt amalgamate.py README.md docs/*.md

check public_section_includes_only_stddef_stdint_stdbool bash -c '
    ! grep -hE "^ *# *include *<" src/api/*.h | grep -vE "<(stddef|stdint|stdbool)\.h>"'
