#!/bin/bash
# Gets from the distribution what the tests can use and the machine lacks, in one go; where that
# is not possible the tests that need it are skipped, each with its reason.
. "$(dirname "$0")/lib.sh"

need=()
want() { # want PRESENT? PACKAGE...
    local test=$1
    shift
    case $test in
    /*) [ -e "$test" ] || need+=("$@") ;;
    *) have "$test" || need+=("$@") ;;
    esac
}
want g++ g++
want clang clang
want python3 python3
want cmake cmake
want pkg-config pkg-config
want xxhsum xxhash
want spin spin
want /usr/include/xxhash.h libxxhash-dev
want /usr/include/simde libsimde-dev
want /usr/include/lz4.h liblz4-dev
want /usr/include/zstd.h libzstd-dev
want /usr/include/hdf5 libhdf5-dev
ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1 || need+=(ocl-icd-libopencl1 pocl-opencl-icd)
want "/usr/lib/$(uname -m)-linux-gnu/libOpenCL.so" ocl-icd-opencl-dev
want oclgrind oclgrind
if [ "$(uname -m)" = x86_64 ]; then
    want qemu-aarch64 qemu-user
    want aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    want x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
    want wine wine wine64
fi
[ ${#need[@]} -gt 0 ] || exit 0

echo "installing, where allowed: ${need[*]}"
if ! have apt-get; then
    echo "no apt-get here; going on without"
    exit 0
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
    if have sudo && sudo -n true 2>/dev/null; then as_root=(sudo -n)
    else
        echo "not root, and sudo wants a password; going on without"
        exit 0
    fi
fi
export DEBIAN_FRONTEND=noninteractive
timeout 120 "${as_root[@]}" apt-get update -qq >"$LOGS/apt" 2>&1
known=()
for package in "${need[@]}"; do
    apt-cache show "$package" >/dev/null 2>&1 && known+=("$package")
done
[ ${#known[@]} -gt 0 ] &&
    timeout 600 "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${known[@]}" \
        >>"$LOGS/apt" 2>&1
status=$?
[ $status = 0 ] && [ ${#known[@]} = ${#need[@]} ] ||
    echo "apt-get did not bring all of it (status $status); see ${LOGS#"$ROOT"/}/apt"
exit 0
