#!/bin/bash
# The kernels' text without a GPU: nvcc compiles it for four architectures with every warning an
# error, NVRTC compiles the same text, and no multiply-add in its PTX is contracted; and a .cu that
# includes spikelib_cuda.cuh compiles, with kernels of its own and without. The text is what the
# library itself writes (tests/cuda_text.c) for networks of all models and in each precision. tests/test_cuda*.c run it. (-Xptxas -O0: without
# it the assembler takes minutes, and warns of no more.)
. "$(dirname "$0")/lib.sh"
D=$BUILD/cuda
rm -rf "$D"
mkdir -p "$D"
NVCC=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
ARCHS="75 80 90 100"
EXACT="--fmad=false --ftz=false --prec-div=true --prec-sqrt=true"

if ! timeout 300 gcc -std=gnu11 -O1 -w $NETWORKS_ALONE -I. tests/cuda_text.c -o "$D/cuda_text" $LIBS \
    >"$D/build.log" 2>&1; then
    fail cuda_text "does not compile: $(grep -m1 error "$D/build.log")"
    exit 1
fi
texts=$("$D/cuda_text" "$D")
[ -n "$texts" ] || { fail cuda_text "wrote nothing"; exit 1; }

compile() { # compile NAME ARCH
    if "$NVCC" -cubin -arch=sm_$2 -std=c++11 -Xptxas -O0 $EXACT -Werror all-warnings -Wno-deprecated-gpu-targets \
        "$D/$1.cu" -o "$D/$1.$2.cubin" >"$D/$1.$2.log" 2>&1; then
        ok "nvcc_compiles_every_kernel/$1-sm_$2"
    else
        fail "nvcc_compiles_every_kernel/$1-sm_$2" "$(grep -m1 -E 'error|warning' "$D/$1.$2.log")"
    fi
}
if [ -z "$NVCC" ]; then
    skip nvcc_compiles_every_kernel "no nvcc"
else
    for arch in $ARCHS; do
        if ! "$NVCC" --list-gpu-code | grep -q "sm_$arch$"; then
            skip "nvcc_compiles_every_kernel/sm_$arch" "this nvcc does not know it"
            continue
        fi
        for name in $texts; do job compile "$name" "$arch"; done
    done
    jobs_done
fi

contracts() { # contracts NAME: NVRTC's PTX
    local why
    if ! why=$("$D/cuda_text" --ptx "$D/$1.cu" "$D/$1.ptx" 2>&1); then
        case $why in
        *"no NVRTC"*) skip "no_multiply_add_is_contracted/$1" "no NVRTC" ;;
        *) fail "no_multiply_add_is_contracted/$1" "$why" ;;
        esac
    elif grep -q -E '\b(fma|mad)\.[a-z0-9.]*f(16|32|64)' "$D/$1.ptx"; then
        fail "no_multiply_add_is_contracted/$1" "$(grep -m1 -n -E '\b(fma|mad)\.[a-z0-9.]*f' "$D/$1.ptx")"
    elif grep -q -E '\.(ftz|approx)\b' "$D/$1.ptx"; then
        fail "no_multiply_add_is_contracted/$1" "$(grep -m1 -n -E '\.(ftz|approx)' "$D/$1.ptx")"
    elif [ "$1" != rows ] && ! grep -q -E '\bdiv\.rn\.f' "$D/$1.ptx"; then
        fail "no_multiply_add_is_contracted/$1" "no division is correctly rounded"
    else
        ok "no_multiply_add_is_contracted/$1"
    fi
}
export CUDA_PATH=${CUDA_PATH:-${NVCC%/bin/nvcc}}
for name in $texts; do job contracts "$name"; done
jobs_done

# A .cu that includes the header, and a program from it; plain C with no toolkit in sight.
printf '%s\n' '#define SPIKELIB_IMPLEMENTATION' '#include "spikelib.h"' '#include "spikelib_cuda.cuh"' \
    'int main(void)' '{' '    spk_net_desc d = {};' '    d.backend = spk_cuda_backend_auto();' \
    '    spk_net *net = spk_net_create(&d);' '    spk_net_add(net, "cells", 100, SPK_LIF_EXP, NULL);' \
    '    const int ok = spk_net_run(net, 1.0) == SPK_OK;' '    spk_net_destroy(net);' \
    '    return !ok;' '}' >"$D/main.cu"
if [ -z "$NVCC" ]; then
    skip a_cu_includes_the_header "no nvcc"
else
    check a_cu_includes_the_header "$NVCC" -std=c++17 -arch=sm_90 $NETWORKS_ALONE -I. "$D/main.cu" \
        -o "$D/main"
    [ -e "$D/main" ] && check a_program_of_nvcc_runs_without_a_driver_on_the_cpu "$D/main"
fi

# Kernels that a file holds as code. g++ compiles them too, and they run behind a mock driver; nvcc
# compiles an example as a user would, which may be told anything but --use_fast_math: no flag is
# needed for exact arithmetic.
if ! have g++; then skip code "no g++ to compile kernels with"; else
    if timeout 600 g++ -std=c++17 -O1 -w -U_FORTIFY_SOURCE -ffp-contract=off -fno-strict-aliasing -pthread \
        $NETWORKS_ALONE -DSPIKELIB_NO_AVX2 -I. -Itests tests/cuda_code.cc -o "$D/cuda_code" -ldl \
        >"$D/cuda_code.log" 2>&1; then
        run_test cuda_code 900 "$D/cuda_code"
    else
        fail cuda_code "does not compile: $(grep -m1 -E 'error|undefined' "$D/cuda_code.log")"
    fi
fi
EXAMPLE=examples/cuda_kernels.cu
# No text asks for an architecture, so one PTX serves those that follow: nvcc's compiler of kernels, a
# minute of work, runs for the oldest and the newest.
holds() { # holds ARCH FOR...: PTX of the example, warnings and all, assembled for each of FOR
    local ptx=$D/example.$1.ptx arch of=$1
    shift
    if ! "$NVCC" -ptx -arch=compute_$of -Werror all-warnings -Wno-deprecated-gpu-targets $NETWORKS_ALONE \
        -DSPIKELIB_NO_AVX2 "$EXAMPLE" -o "$ptx" >"$ptx.log" 2>&1; then
        fail "a_cu_holds_its_kernels/sm_$of" "$(grep -m1 -E 'error|warning' "$ptx.log")"
    elif [ "$(grep -c '^\.visible \.entry.*spki_code_32_16' "$ptx")" != 15 ]; then
        fail "a_cu_holds_its_kernels/sm_$of" "$(grep -c '^\.visible \.entry' "$ptx") kernels"
    elif grep -q -E '\b(fma|mad)\.[a-z0-9.]*f(16|32|64)|\.(ftz|approx)\b' "$ptx"; then
        fail "a_cu_holds_its_kernels/sm_$of" "$(grep -m1 -n -E '\b(fma|mad)\.[a-z0-9.]*f|\.(ftz|approx)' "$ptx")"
    else
        for arch in "$@"; do
            "$NVCC" --list-gpu-code | grep -q "sm_$arch$" || continue
            check "a_cu_holds_its_kernels/sm_$arch" "${NVCC%nvcc}ptxas" -O0 -arch=sm_$arch "$ptx" -o "$ptx.$arch.cubin"
        done
    fi
}
no_text_asks_for_an_architecture() { ! grep -n __CUDA_ARCH__ "$D"/*.cu src/gpu/text/* examples/cuda_kernels.cu; }
renamed() { # under another name and in another folder
    mkdir -p "$D/renamed" && cp spikelib_cuda.cuh "$D/renamed/device.cuh" &&
        sed 's,"\.\./spikelib_cuda\.cuh","renamed/device.cuh",; s,"\.\./spikelib,"spikelib,' "$EXAMPLE" >"$D/other.cu" &&
        "$NVCC" -E -I. "-DSPIKELIB_CUDA_HEADER=\"device.cuh\"" "$D/other.cu" | grep -q '^namespace spki_code_32_16'
}
if [ -z "$NVCC" ]; then skip a_cu_holds_its_kernels "no nvcc"; else
    check a_renamed_header_holds_kernels_too renamed
    check no_text_asks_for_an_architecture no_text_asks_for_an_architecture
    known=$(for arch in $ARCHS; do "$NVCC" --list-gpu-code | grep -q "sm_$arch$" && echo $arch; done)
    oldest=$(echo $known | sed 's/ .*//') newest=$(echo $known | sed 's/.* //')
    job holds "$oldest" $(echo " $known" | tr '\n' ' ' | sed "s/ $newest *$//")
    job holds "$newest" "$newest"
    jobs_done
fi
