#!/bin/bash
# The header as a user's compiler sees it: warnings, standards, flags, several units, -ffast-math.
. "$(dirname "$0")/lib.sh"
D=$BUILD/headers
rm -rf "$D"
mkdir -p "$D"
cp spikelib.h spikelib_cl.h spikelib_cuda.cuh spikelib.c "$D/"
cp tests/program.c "$D/use.c"
cp tests/program.c "$D/use.cpp"
cp tests/helped.h "$D/"
cd "$D" || exit 1

printf '#define SPIKELIB_IMPLEMENTATION\n#include "spikelib.h"\n' | tee impl.c >impl.cpp
printf '#define SPIKELIB_MODELS\n#include "spikelib.h"\ntypedef int not_empty;\n' |
    tee models.c >models.cpp
printf '#include <stdio.h>\n#define SPIKELIB_IMPLEMENTATION\n#include "spikelib.h"\n' >late.c
printf 'int use(void);\nint main(void) { return use(); }\n' >main.c
printf '#include "spikelib.h"\n#include "spikelib.h"\nint more(void);\n%s\n' \
    'int more(void) { return spk_version()[0] == 0; }' | tee more.c >more.cpp
printf '#define SPIKELIB_STATIC\n#define SPIKELIB_IMPLEMENTATION\n#include "spikelib.h"\n%s\n' \
    'int NAME(void); int NAME(void) { return spk_version()[0] == 0; }' >static.c
printf 'int a(void); int b(void); int main(void) { return a() + b(); }\n' >static_main.c
printf '#define SPIKELIB_IMPLEMENTATION\n#include "spikelib.h"\n#include "spikelib.h"\n' >twice.c
printf '#define SPIKELIB_IMPLEMENTATION\n#define SPIKELIB_MODELS\n#include "spikelib.h"\n%s\n%s\n' \
    '#include "helped.h"' 'spk_model use(void); spk_model use(void) { return helped; }' >both.c

# -- warnings: C11, C++11 and C++17, both compilers, and the public section as C99 --
# Warnings that only an optimiser gives are asked of GCC at -O2, once; code is generated at -O0 where a
# compiler, a language or a system is the question (an instruction set refused, a function that cannot
# be inlined, objects that are linked below), and not at all where that was asked before.
clean() { # clean NAME COMPILER ARGS...
    local name=$1 compiler=$2
    if ! have "$compiler"; then skip "no_warnings/$name" "no $compiler"; return; fi
    shift 2
    check "no_warnings/$name" "$compiler" $STYLE "$@"
}
for pair in gcc/g++ clang/clang++; do
    c=${pair%/*} cxx=${pair#*/}
    if [ $c = gcc ]; then job clean gcc-c11 gcc -std=c11 -O2 -c impl.c -o impl-gcc.o; fi
    job clean "$c-c++11" $cxx -std=c++11 -fsyntax-only impl.cpp
    job clean "$c-c++17" $cxx -std=c++17 -O0 -c impl.cpp -o impl-$cxx.o
    job clean "$c-public-c99" $c -std=c99 -fsyntax-only use.c
    job clean "$c-public-c++11" $cxx -std=c++11 -fsyntax-only use.cpp
    job clean "$c-models-c11" $c -std=c11 -fsyntax-only models.c
    job clean "$c-models-c++11" $cxx -std=c++11 -fsyntax-only models.cpp
    job clean "$c-spikelib.c-O0" $c -std=c11 -O0 -c spikelib.c -o spikelib-$c.o
    job clean "$c-after-stdio-strict-c11" $c -std=c11 -fsyntax-only late.c
    job clean "$c-models-and-implementation" $c -std=c11 -fsyntax-only both.c
    job clean "$c-included-twice" $c -std=c11 -fsyntax-only twice.c
done
printf '#define SPIKELIB_IMPLEMENTATION\n#include "spikelib.h"\n#include "spikelib_cl.h"\n' |
    tee cl.c >cl.cpp
printf '#include "spikelib.h"\n#include "spikelib_cl.h"\nint cl_use(void);\n%s\n' \
    'int cl_use(void) { return spk_cl_devices(0, 0, 0, 0, 0) > 99; }' | tee cl_use.c >cl_use.cpp
for pair in gcc/g++ clang/clang++; do
    c=${pair%/*} cxx=${pair#*/}
    job clean "$c-opencl-c11" $c -std=c11 -O0 -c cl.c -o cl-$c.o
    job clean "$c-opencl-c++11" $cxx -std=c++11 -fsyntax-only cl.cpp
    job clean "$c-opencl-public-c99" $c -std=c99 -fsyntax-only cl_use.c
    job clean "$c-opencl-public-c++11" $cxx -std=c++11 -fsyntax-only cl_use.cpp
done
printf '#define SPIKELIB_CUDA_NVRTC\n#define SPIKELIB_IMPLEMENTATION\n%s\n%s\n' \
    '#include "spikelib.h"' '#include "spikelib_cuda.cuh"' | tee cuda.c >cuda.cpp
printf '#include "spikelib.h"\n#include "spikelib_cuda.cuh"\nint cuda_use(void);\n%s\n' \
    'int cuda_use(void) { return spk_cuda_devices(0, 0, 0, 0, 0) > 99; }' |
    tee cuda_use.c >cuda_use.cpp
printf '#define SPIKELIB_CUDA_NVRTC\n#define SPIKELIB_IMPLEMENTATION\n%s\n%s\n%s\n' \
    '#include "spikelib.h"' '#include "spikelib_cl.h"' '#include "spikelib_cuda.cuh"' >devices.c
for pair in gcc/g++ clang/clang++; do
    c=${pair%/*} cxx=${pair#*/}
    job clean "$c-cuda-c11" $c -std=c11 -O0 $NETWORKS_ALONE -c cuda.c -o cuda-$c.o
    job clean "$c-cuda-c++11" $cxx -std=c++11 $NETWORKS_ALONE -fsyntax-only cuda.cpp
    job clean "$c-cuda-public-c99" $c -std=c99 -fsyntax-only cuda_use.c
    job clean "$c-cuda-public-c++11" $cxx -std=c++11 -fsyntax-only cuda_use.cpp
    job clean "$c-opencl-and-cuda" $c -std=c11 $NETWORKS_ALONE -fsyntax-only devices.c
done
job clean windows-cuda-c11 x86_64-w64-mingw32-gcc -std=c11 $NETWORKS_ALONE -fsyntax-only cuda.c
job clean gcc-opencl-linked gcc -std=c11 -DSPIKELIB_CL_LINK -fsyntax-only cl.c
job clean gcc-opencl-static gcc -std=c11 -DSPIKELIB_STATIC -fsyntax-only cl.c
job clean gcc-opencl-models gcc -std=c11 -DSPIKELIB_MODELS -fsyntax-only cl.c
job clean windows-opencl-c11 x86_64-w64-mingw32-gcc -std=c11 -fsyntax-only cl.c
job clean windows-c11 x86_64-w64-mingw32-gcc -std=c11 -O0 -c impl.c -o impl-windows.o
job clean aarch64-c11 aarch64-linux-gnu-gcc -std=c11 -O0 -c impl.c -o impl-aarch64.o
for flag in NO_NET NO_AVX2 NO_AVX512 NO_THREADS NO_PLOT NO_RINGS NO_PIPELINE NO_EVENTS NO_SPIKEFILE \
    NO_SOURCES NO_SOCKETS NO_XXHASH STATIC; do
    job clean "flag-$flag" gcc -std=c11 -DSPIKELIB_$flag -fsyntax-only impl.c
done
for name in lz4 zstd hdf5; do
    with=$(library $name | sed 's/ -l[^ ]*//g; s/-I/-isystem /g')
    if [ -z "$with" ]; then skip "no_warnings/flag-${name^^}" "no $name"; continue; fi
    job clean "flag-${name^^}" gcc -std=c11 $with -fsyntax-only impl.c
done
job clean flags-all gcc -std=c11 -DSPIKELIB_NO_AVX2 -DSPIKELIB_NO_AVX512 -DSPIKELIB_NO_THREADS \
    -DSPIKELIB_NO_PLOT -DSPIKELIB_NO_RINGS -DSPIKELIB_NO_PIPELINE -DSPIKELIB_NO_EVENTS \
    -DSPIKELIB_NO_SPIKEFILE -DSPIKELIB_NO_XXHASH -DSPIKELIB_STATIC -fsyntax-only impl.c
jobs_done

# -- -ffast-math is an error that says why --
refused() {
    local out
    if ! have "$1"; then skip "fast_math_is_refused/$1$2" "no $1"; return; fi
    if out=$("$1" "$2" -fsyntax-only impl.c 2>&1); then
        fail "fast_math_is_refused/$1$2" "it compiled"
    elif printf '%s\n' "$out" | grep -q 'error.*fast-math'; then ok "fast_math_is_refused/$1$2"
    else fail "fast_math_is_refused/$1$2" "the error does not say why: ${out%%$'\n'*}"; fi
}
job refused gcc -ffast-math
job refused gcc -Ofast
job refused clang -ffast-math
job refused clang -Ofast
jobs_done

# -- several units --
link() { # link NAME COMPILER OBJECTS-AND-SOURCES...: links and runs
    local name=$1
    shift
    "$@" -o "run-$name" $LIBS && "./run-$name"
}
if have g++; then
    cc -c use.c -o use-c.o && cc -c more.c -o more-c.o && cc -c main.c -o main-c.o
    g++ -std=c++11 -c more.cpp -o more-cpp.o && g++ -std=c++11 -c use.cpp -o use-cpp.o
    sed 's/more/again/' more.cpp >again.cpp && g++ -c again.cpp -o again-cpp.o
    check two_c_units_and_a_cpp_unit_link \
        link units g++ main-c.o use-c.o more-c.o again-cpp.o impl-gcc.o
    sed 's/int use(void)/extern "C" &/' use.cpp >use2.cpp && g++ -std=c++11 -c use2.cpp -o use2.o
    check an_implementation_in_cpp_serves_c_units link cpp g++ main-c.o use-c.o more-c.o impl-g++.o
    check an_implementation_in_c_serves_cpp_units link c g++ main-c.o use2.o more-cpp.o impl-gcc.o
else
    skip two_c_units_and_a_cpp_unit_link "no g++"
fi
check spikelib_c_is_the_library link file cc main.c use.c spikelib-gcc.o
two_static() { # the second is the first under another name: all that it could clash with is private
    gcc -O0 -Wall -Wextra -Werror -DNAME=a -c static.c -o static-a.o &&
        objcopy --redefine-sym a=b static-a.o static-b.o &&
        link static gcc static_main.c static-a.o static-b.o
}
check static_in_two_units_links two_static

# -- what the object and the preprocessor give away --
none() { # none FILE COMMAND PATTERN: no line of what the command says about the file matches
    [ -s "$1" ] || { echo "error: no $1"; return 1; }
    local said
    said=$($2 "$1") || return 1
    [ -n "$said" ] || { echo "error: $2 $1 said nothing"; return 1; }
    ! printf '%s\n' "$said" | grep -E "$3"
}
libm='(exp|log|pow|sin|cos|tan|exp2|log2|log10|expm1|log1p|cbrt|hypot|tanh|erf|fma)[fl]?'
check opencl_exports_only_names_that_begin_with_spk none cl-gcc.o "nm -g --defined-only" \
    ' ([^s]|s[^p]|sp[^k]|spk[^_])[^ ]*$'
check cuda_exports_only_names_that_begin_with_spk none cuda-gcc.o "nm -g --defined-only" \
    ' ([^s]|s[^p]|sp[^k]|spk[^_])[^ ]*$'
check exported_names_begin_with_spk none impl-gcc.o "nm -g --defined-only" \
    ' ([^s]|s[^p]|sp[^k]|spk[^_])[^ ]*$'
data='\.bss|\.data|\.tbss|\.tdata|\.data\.rel|\.data\.rel\.local|\*COM\*'
check there_are_no_writable_globals_with_opencl none cl-gcc.o "objdump -t" \
    " ($data)[[:space:]]+0*[1-9a-f][0-9a-f]* "
check there_are_no_writable_globals_with_cuda none cuda-gcc.o "objdump -t" \
    " ($data)[[:space:]]+0*[1-9a-f][0-9a-f]* "
check there_are_no_writable_globals none impl-gcc.o "objdump -t" \
    " ($data)[[:space:]]+0*[1-9a-f][0-9a-f]* "
check static_exports_nothing none static-a.o "nm -g --defined-only" ' ([^a]|a.+)$'
check private_macros_are_undefined_at_the_end \
    none impl.c "gcc -dM -E" '^#define (SPKI_|spki_|spk_|K\()'
check private_macros_of_opencl_are_undefined_at_the_end \
    none cl.c "gcc -dM -E" '^#define (SPKI_|spki_|spk_|K\()'
check private_macros_of_cuda_are_undefined_at_the_end \
    none cuda.c "gcc -dM -E" '^#define (SPKI_|spki_|spk_|K\()'
check never_prints_and_never_exits \
    none impl-gcc.o "nm -u" ' (printf|puts|putchar|perror|abort|_?exit|stdout|stderr|__printf_chk)$'
check libm_is_not_called none impl-gcc.o "nm -u" " $libm\$"

# -- OpenCL: opened at run time, or linked --
opencl_linked() {
    sed 's,\.\./,,' "$ROOT/examples/opencl_devices.c" >devices.c
    cc $NETWORKS_ALONE -DSPIKELIB_CL_LINK devices.c -o run-devices-linked $LIBS -lOpenCL &&
        objdump -p run-devices-linked | grep -q 'NEEDED.*libOpenCL' &&
        cc $NETWORKS_ALONE devices.c -o run-devices $LIBS && ./run-devices >devices-opened &&
        ./run-devices-linked >devices-linked && cmp devices-opened devices-linked
}
check opencl_is_opened_at_run_time none cl-gcc.o "nm -u" ' cl[A-Z]'
if [ -e /usr/lib/"$(uname -m)"-linux-gnu/libOpenCL.so ]; then
    check opencl_may_be_linked opencl_linked
else skip opencl_may_be_linked "no libOpenCL.so to link with"; fi

# -- the copy with xxHash inside --
bundle() {
    (cd "$ROOT" && python3 amalgamate.py --bundle "$D/bundle/spikelib.h") || return 1
    grep -q 'BSD 2-Clause' bundle/spikelib.h &&
        ! gcc -M bundle/spikelib.h -DSPIKELIB_IMPLEMENTATION | grep xxhash &&
        (cd bundle && cp ../use.c ../main.c ../spikelib.c . &&
            gcc -std=c11 $STYLE -O0 -c spikelib.c && link bundle gcc main.c use.c spikelib.o)
}
mkdir -p bundle
if ! have python3; then skip bundle_holds_xxhash_and_works "no python3"
elif [ ! -e /usr/include/xxhash.h ]; then skip bundle_holds_xxhash_and_works "no xxhash.h"
else check bundle_holds_xxhash_and_works bundle; fi
