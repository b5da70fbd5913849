#!/bin/bash
# The README keeps its word: its program is examples/quickstart.c, prints what it says, and every
# file that it points to exists.
. "$(dirname "$0")/lib.sh"
D=$BUILD/readme
rm -rf "$D"
mkdir -p "$D"
cp spikelib.h "$D/"

block() { awk -v lang="$1" '$0 == "```" lang && !done { on = 1; next } /^```/ { if (on) done = 1; on = 0 }
    on' README.md; }
block c >"$D/quickstart.c"
block text >"$D/expected"

same_program() {
    sed 's,"\.\./spikelib\.h","spikelib.h",' examples/quickstart.c | diff - "$D/quickstart.c"
}
check readme_program_is_the_quickstart_example same_program
output() {
    (cd "$D" && sh -c "$(sed -n '1s,^/\* *\(.*[^ ]\) *\*/$,\1,p' quickstart.c)" &&
        ./quickstart >got && diff expected got && [ -s raster.svg ])
}
check readme_program_prints_what_it_says output
links() {
    local bad=0 to
    for to in $(grep -oE '\]\([^)#]+' README.md docs/*.md | sed 's/.*](//' | grep -v '^http'); do
        [ -e "$to" ] || [ -e "docs/$to" ] || { echo "error: no file $to"; bad=1; }
    done
    return $bad
}
check readme_links_lead_somewhere links
