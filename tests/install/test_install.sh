#!/usr/bin/env bash
# Installs a build folder into a temporary prefix, moves it, and builds and runs a C and a C++ host against the moved copy.
# usage: test_install.sh BUILD_FOLDER CC CXX
set -euo pipefail
build="$(cd "$1" && pwd)" cc="$2" cxx="$3"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/install.log" || { cat "$work/install.log" && exit 1; }
mv "$work/first" "$work/prefix" # nothing installed may remember where it was
if grep -rlI "$work/first" "$work/prefix"; then echo "installed files name the prefix" && exit 1; fi
if grep -rlI "$(dirname "$build")/" "$work/prefix"; then echo "installed files name the source folder" && exit 1; fi

pc="$(dirname "$(find "$work/prefix" -name hearth.pc)")"
export PKG_CONFIG_PATH="$pc" LD_LIBRARY_PATH="$(dirname "$pc")"
static=""
if [ -e "$(dirname "$pc")/libhearth.a" ]; then static=--static; fi
if command -v pkg-config >/dev/null; then
    "$cc" -std=c11 -Wall -Wextra -Werror -pedantic $(pkg-config --cflags hearth) "$here/c/main.c" -o "$work/host_c" \
        $(pkg-config --libs $static hearth)
    "$work/host_c"
else
    echo "SKIPPED: pkg-config is not installed"
fi

cmake -S "$here/cpp" -B "$work/cpp" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DCMAKE_CXX_COMPILER="$cxx" >"$work/cpp.log" && cmake --build "$work/cpp" >>"$work/cpp.log" ||
    { cat "$work/cpp.log" && exit 1; }
"$work/cpp/host_cpp"

if [ -x "$work/prefix/bin/hearth" ]; then env -u LD_LIBRARY_PATH "$work/prefix/bin/hearth" --help >/dev/null; fi
echo "installed, moved, and used from C and C++"
