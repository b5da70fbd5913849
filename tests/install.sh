#!/bin/bash
# make install, pkg-config, and CMake three ways: FetchContent, find_package after cmake --install,
# find_package after make install. All offline.
. "$(dirname "$0")/lib.sh"
D=$BUILD/install
rm -rf "$D"
mkdir -p "$D/app"

# Where the header is found and what is linked with it is the question: parts are left out of it.
cat >"$D/app/main.c" <<'END'
#define SPIKELIB_IMPLEMENTATION
#define SPIKELIB_NO_AVX2
#define SPIKELIB_NO_EVENTS
#define SPIKELIB_NO_PIPELINE
#include <spikelib.h>
int main(void)
{
    spk_net *net = spk_net_create(NULL);
    int bad = net == NULL || spk_version()[0] == 0;
    spk_net_destroy(net);
    return bad;
}
END
sed '/^#define/d' "$D/app/main.c" >"$D/app/user.c"
cp "$D/app/user.c" "$D/app/user.cpp"

make_install() {
    make -s install DESTDIR="$D/stage" PREFIX=/usr/local &&
        [ -e "$D/stage/usr/local/include/spikelib.h" ] &&
        cmp spikelib_cl.h "$D/stage/usr/local/include/spikelib_cl.h" &&
        make -s install PREFIX="$D/prefix" && cmp spikelib.h "$D/prefix/include/spikelib.h" &&
        ! grep -r '@[A-Z]*@' "$D/prefix/lib" "$D/prefix/share"
}
check make_install_installs make_install

with_pkg_config() {
    export PKG_CONFIG_PATH=$D/prefix/lib/pkgconfig
    local version
    version=$(sed -n 's/^#define SPIKELIB_VERSION "\(.*\)"/\1/p' spikelib.h)
    [ "$(pkg-config --modversion spikelib)" = "$version" ] || { echo "error: version"; return 1; }
    cc "$D/app/main.c" -o "$D/app/by_pkg_config" $(pkg-config --cflags --libs spikelib) &&
        "$D/app/by_pkg_config"
}
if have pkg-config; then check pkg_config_finds_it with_pkg_config
else skip pkg_config_finds_it "no pkg-config"; fi

if ! have cmake; then
    skip cmake_fetchcontent "no cmake"
    skip cmake_find_package "no cmake"
    skip cmake_find_package_after_make_install "no cmake"
    exit 0
fi

languages="C"
cxx_app=
if have c++; then
    languages="C CXX"
    cxx_app='
add_executable(in_cpp user.cpp)
target_link_libraries(in_cpp spikelib::static)'
fi
project() { # project FOLDER HOW STATIC?
    mkdir -p "$D/$1"
    cp "$D"/app/*.c* "$D/$1/"
    {
        echo "cmake_minimum_required(VERSION 3.14)"
        echo "project(app LANGUAGES $languages)"
        echo "$2"
        echo "add_executable(header main.c)"
        echo "target_link_libraries(header spikelib::spikelib)"
        if [ "$3" = static ]; then
            echo "add_executable(archive user.c)"
            echo "target_link_libraries(archive spikelib::static)"
            echo "$cxx_app"
        fi
    } >"$D/$1/CMakeLists.txt"
}
try() { # try FOLDER STATIC? ARGS...
    local folder=$1 static=$2
    shift 2
    cmake -S "$D/$folder" -B "$D/$folder/build" "$@" && cmake --build "$D/$folder/build" &&
        "$D/$folder/build/header" &&
        { [ "$static" != static ] || "$D/$folder/build/archive"; } &&
        { [ "$static" != static ] || [ -z "$cxx_app" ] || "$D/$folder/build/in_cpp"; }
}

project fetch "include(FetchContent)
FetchContent_Declare(spikelib SOURCE_DIR \"$ROOT\")
FetchContent_MakeAvailable(spikelib)" static
project found "find_package(spikelib 0.1 REQUIRED)" static
project header_only "find_package(spikelib 0.1 REQUIRED)" no

cmake_installed() {
    cmake -S . -B "$D/build" -DCMAKE_INSTALL_PREFIX="$D/cmake prefix" &&
        cmake --build "$D/build" && cmake --install "$D/build" &&
        try found static "-DCMAKE_PREFIX_PATH=$D/cmake prefix"
}
job check cmake_fetchcontent try fetch static
job check cmake_find_package cmake_installed
job check cmake_find_package_after_make_install try header_only no -DCMAKE_PREFIX_PATH="$D/prefix"
jobs_done
