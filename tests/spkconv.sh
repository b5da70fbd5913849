#!/bin/bash
# build/spkconv as another program sees it: what it prints about the recordings, conversions there
# and back, windows, and errors.
. "$(dirname "$0")/lib.sh"
D=$BUILD/spkconv
rm -rf "$D"
mkdir -p "$D"
SHARED=${SPIKELIB_SHARED:-../shared}
E=$SHARED/data/events
if ! cc -O0 examples/spkconv.c -o "$D/plain" $LIBS 2>"$D/log"; then
    fail spkconv_compiles_without_libraries "$(head -1 "$D/log")"
    exit 1
fi
ok spkconv_compiles_without_libraries
cc -O1 examples/spkconv.c -o "$D/spkconv" $(library lz4) $(library zstd) $(library hdf5) $LIBS \
    2>"$D/log" || { fail spkconv_compiles "$(head -1 "$D/log")"; exit 1; }
conv() { "$D/spkconv" "$@"; }

# -- errors: status 2, one line, nothing on standard output --
refused() { # refused NAME WORDS ARGUMENTS...
    local name=$1 words=$2 out status
    shift 2
    out=$(conv "$@" 2>"$D/error")
    status=$?
    if [ $status = 2 ] && [ -z "$out" ] && [ "$(wc -l <"$D/error")" = 1 ] &&
        grep -q "$words" "$D/error"; then ok "spkconv_refuses_$name"; else
        fail "spkconv_refuses_$name" "status $status: $out $(head -1 "$D/error")"
    fi
}
printf 't,x,y,p\n1,2,3,1\n5,4,6,0\n9,300,7,1\n' >"$D/a.csv"
refused a_missing_file 'none.raw: cannot be opened' describe "$D/none.raw" --json
refused an_unknown_command 'no command "shrink"' shrink "$D/a.csv"
refused an_unknown_option 'no option --fast' describe "$D/a.csv" --fast
refused a_bad_number 'no number' cut "$D/a.csv" "$D/b.csv" --begin soon
refused a_bad_step 'like 0.1' convert "$D/a.csv" "$D/b.spk" --dt 0
refused a_bad_region 'like 100,50,64,64' cut "$D/a.csv" "$D/b.csv" --region 1,2,3
refused an_unknown_format 'no format "evt9"' convert "$D/a.csv" "$D/b" --to evt9
refused a_name_without_a_format 'tells no format' convert "$D/a.csv" "$D/b.what"
refused overwriting_what_it_reads 'overwrite itself' convert "$D/a.csv" "$D/a.csv"
refused a_cut_of_everything 'what to keep' cut "$D/a.csv" "$D/b.csv"
printf 't,x,y,p\n1643243628737093,2,3,1\n1643243628737092,2,3,1\n' >"$D/epoch.csv"
refused a_time_too_far 'lets time begin at 0' convert "$D/epoch.csv" "$D/b.evt3"
printf 't,x,y,p\n5,2,3,1\n4,2,3,1\n' >"$D/late.csv"
refused a_time_that_runs_back 'puts them in order' convert "$D/late.csv" "$D/b.evt2"
printf 'garbage\n' >"$D/garbage"
refused garbage 'known format' check "$D/garbage"
printf '1 2 3 1\nx\n4 5 6 1\n' >"$D/bad.txt"
refused damage 'make no sense' check "$D/bad.txt" --from text --columns "t x y p"
check spkconv_helps bash -c "'$D/plain' --help | grep -q 'usage: spkconv'"

# -- windows and regions --
same_text() { # same_text NAME WANTED FILE
    if [ "$(cat "$3")" = "$2" ]; then ok "$1"; else fail "$1" "$(tr '\n' ' ' <"$3")"; fi
}
conv cut "$D/a.csv" "$D/b.csv" --begin 2 --end 9 >/dev/null
same_text spkconv_cuts_a_window $'t,x,y,p\n5,4,6,0' "$D/b.csv"
conv cut "$D/a.csv" "$D/b.csv" --region 3,5,300,10 >/dev/null
same_text spkconv_cuts_a_region $'#geometry:300,10\nt,x,y,p\n5,1,1,0\n9,297,2,1' "$D/b.csv"
printf '3 1 1 1\n1 2 2 0\n2 3 3 1\n' >"$D/back.txt"
conv convert "$D/back.txt" "$D/b.csv" --from text --columns "t x y p" --sort --size 10x10 >/dev/null
same_text spkconv_sorts $'#geometry:10,10\nt,x,y,p\n1,2,2,0\n2,3,3,1\n3,1,1,1' "$D/b.csv"
conv index "$D/a.csv" --step 4 >"$D/index"
same_text spkconv_indexes $'t_us,event,events\n0,0,1\n4,1,1\n8,2,1' "$D/index"

# -- spike files of our own --
printf '#geometry:400,300\nt,x,y,p\n1,2,3,1\n5,4,6,0\n#trigger 7 2 1\n9,300,7,1\n' >"$D/a.csv"
conv convert "$D/a.csv" "$D/a.spk" >/dev/null
conv convert "$D/a.spk" "$D/b.csv" >/dev/null
check spkconv_to_and_from_spike_files cmp "$D/a.csv" "$D/b.csv"
conv index "$D/a.spk" --step 4 >"$D/index"
same_text spkconv_indexes_spike_files $'t_us,event,events\n0,0,1\n4,1,1\n8,2,1' "$D/index"
conv cut "$D/a.spk" "$D/b.spk" --begin 5 --end 9 >/dev/null
conv convert "$D/b.spk" "$D/b.csv" >/dev/null
same_text spkconv_cuts_spike_files $'#geometry:400,300\nt,x,y,p\n5,4,6,0\n#trigger 7 2 1' "$D/b.csv"
head -c -5 "$D/a.spk" >"$D/cut.spk"
refused a_spike_file_that_was_cut 'make no sense' check "$D/cut.spk"
conv convert "$D/a.csv" "$D/neurons.spk" --dt 0.001 >/dev/null
check spkconv_spikes_of_neurons bash -c "'$D/spkconv' describe '$D/neurons.spk' --json |
    grep -q '\"spikes\", .*\"events\": 3, .*\"t_last_us\": 9, \"sum_t\": 15, \"sum_x\": 306,'"

# -- the recordings --
if [ ! -d "$E" ]; then skip spkconv_recordings "no $E"; exit 0; fi
describes() { # describes FILE LINE
    local name=describe_${1//[.]/_} said
    said=$(conv describe "$E/$1" --json 2>"$D/error" | sed 's/, "x_max".*/}/')
    if [ "$said" = "$2" ]; then ok "spkconv_$name"; else
        if grep -q 'compile with' "$D/error"; then skip "spkconv_$name" "$(cat "$D/error")"; else
            fail "spkconv_$name" "$said $(cat "$D/error")"
        fi
    fi
}
line() { # line FORMAT WIDTH HEIGHT EVENTS ON OFF FIRST LAST SUM_T SUM_X SUM_Y TRIGGERS
    printf '{"format": "%s", "width": %s, "height": %s, "events": %s, "on": %s, "off": %s, ' \
        "$1" "$2" "$3" "$4" "$5" "$6"
    printf '"t_first_us": %s, "t_last_us": %s, "sum_t": %s, "sum_x": %s, "sum_y": %s, ' \
        "$7" "$8" "$9" "${10}" "${11}"
    printf '"triggers": %s, "bytes_skipped": 0}' "${12}"
}
describes vga640_triggers.evt3.raw "$(line evt3 640 480 343474 125183 218291 7139845 9218023 \
    2851601611994 116731888 80879209 4157)"
describes gen41_vectors.evt3.raw "$(line evt3 1280 720 219596 115532 104064 11718656 11727457 \
    2574324900467 159113225 85638051 0)"
describes gen3.evt2.raw "$(line evt2 640 480 521252 185861 335391 913716224 913812095 \
    476298094656969 128979953 216346680 0)"
describes dvxplorer_rollover.aedat "$(line aedat3 640 480 334331 181908 152423 2146490012 \
    2148489998 717973252360524 111651612 82801007 0)"
describes davis346_demo01.aedat4 "$(line aedat4 346 260 319512 166736 152776 1643243628737093 \
    1643243629248083 525036058391144081901 52911189 50906193 52)"
describes dvs.es "$(line es 320 240 473225 270001 203224 0 999000 200862071000 72946016 57092979 0)"
describes slider_depth_chunk.txt "$(line text null null 50000 21147 28853 3811 174156 4724578334 \
    5741863 5095686 0)"
# Of these the README gives no sums of t, x and y: a second reader, od and awk, adds them up.
sums=$(tail -c +94 "$E/ncars_sample.dat" | od -An -v -w8 -t u4 |
    awk '{ t += $1; x += $2 % 16384; y += int($2 / 16384) % 16384 } END { print t, x, y }')
describes ncars_sample.dat "$(line dat null null 2009 1350 659 0 99952 $sums 0)"
sums=$(od -An -v -w5 -t u1 "$E/nmnist_sample.bin" |
    awk '{ t += $3 % 128 * 65536 + $4 * 256 + $5; x += $1; y += $2 } END { print t, x, y }')
describes nmnist_sample.bin "$(line nmnist null null 4325 2145 2180 654 311175 $sums 0)"
sums=$(tail -n +2 "$E/sonata_one_pop_spikes.csv" |
    awk '{ t += int($1 * 1000 + 0.5); x += $3 } END { print t, x, 0 }')
describes sonata_one_pop_spikes.csv "$(line sonata null null 124 124 0 136600 958000 $sums 0)"
describes sonata_one_pop_spikes.h5 "$(line sonata null null 124 124 0 136600 958000 $sums 0)"

# Which size a sensor has that the file does not tell is unknown; what pixels occur is not.
occurs() { # occurs FILE X Y
    local name=extent_of_${1//[.]/_}
    if conv describe "$E/$1" --json | grep -q ", \"x_max\": $2, \"y_max\": $3}\$" &&
        conv describe "$E/$1" | grep -q "^sensor      unknown (x to $2, y to $3 occur)\$"; then
        ok "spkconv_$name"; else fail "spkconv_$name" "$(conv describe "$E/$1" --json)"; fi
}
occurs nmnist_sample.bin 33 33
occurs ncars_sample.dat 77 41
occurs slider_depth_chunk.txt $(awk '{ if ($2 > x) x = $2; if ($3 > y) y = $3 }
    END { print x, y }' "$E/slider_depth_chunk.txt")

# Spikes of neurons go through our own files and text, and come back.
neurons() { # neurons FILE
    conv convert "$E/$1" "$D/neurons.spk" --dt 0.001 >/dev/null || return 1
    conv convert "$D/neurons.spk" "$D/neurons.csv" >/dev/null || return 1
    [ "$(conv describe "$D/neurons.csv" --json | sed 's/.*"events"/"events"/')" = \
        "$(conv describe "$E/$1" --json | sed 's/.*"events"/"events"/')" ]
}
check spkconv_sonata_text_through_spike_files neurons sonata_one_pop_spikes.csv
if [ -n "$(library hdf5)" ]; then
    check spkconv_sonata_hdf5_through_spike_files neurons sonata_one_pop_spikes.h5
else skip spkconv_sonata_hdf5_through_spike_files "no libhdf5"; fi

# Through a chain of formats and back to text: the same lines.
chain() { # chain FILE FORMAT...
    local file=$1 from=$E/$1 format to
    conv convert "$from" "$D/first.csv" --no-triggers >/dev/null 2>&1 || return 1
    from=$D/first.csv
    shift
    for format in "$@"; do
        to=$D/chain.$format
        conv convert "$from" "$to" >/dev/null || return 1
        from=$to
    done
    conv convert "$from" "$D/last.csv" >/dev/null || return 1
    grep -v '^#' "$D/first.csv" | cmp - <(grep -v '^#' "$D/last.csv")
}
check spkconv_chain_of_formats_loses_nothing chain gen3.evt2.raw evt2 npy \
    aedat4 txt spk es evt3 dat
check spkconv_text_whose_rows_begin_at_0_loses_nothing chain dvs.es txt
check spkconv_nmnist_there_and_back chain nmnist_sample.bin spk bin npy bin
whole() { # whole FILE: bytes that come back through a spike file
    conv convert "$E/$1" "$D/whole.spk" >/dev/null && conv convert "$D/whole.spk" "$D/back.${1##*.}" &&
        cmp "$E/$1" "$D/back.${1##*.}"
}
check spkconv_nmnist_comes_back_to_the_byte whole nmnist_sample.bin
check spkconv_keeps_triggers bash -c "'$D/spkconv' convert '$E/vga640_triggers.evt3.raw' \
    '$D/t.aedat4' && '$D/spkconv' describe '$D/t.aedat4' --json | grep -q '\"triggers\": 4157,'"
