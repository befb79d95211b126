#!/usr/bin/env bash
# Fills a folder with what the Windows cross build needs: PCRE2 and utf8proc compiled from the distribution's sources, and the
# headers of the packages that are headers alone. Needs apt, no root; installs nothing.
# usage: windows_libraries.sh FOLDER
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial" "$1/source"
folder="$(cd "$1" && pwd)"
if [ -e "$folder/complete" ]; then exit 0; fi
"$here/sysroot.sh" "$(dpkg --print-architecture)" "$folder/debian" libfmt-dev libeigen3-dev nlohmann-json3-dev libcli11-dev

# The sources of this release: the machine's own apt lists, asked for sources instead of packages.
{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | sed -n 's/^deb /deb-src /p' >"$folder/apt/sources.list"
mkdir -p "$folder/apt/parts"
for file in /etc/apt/sources.list.d/*.sources; do
    if [ -e "$file" ]; then sed 's/^Types:.*/Types: deb-src/' "$file" >"$folder/apt/parts/$(basename "$file")"; fi
done
touch "$folder/apt/status"
options=(-q -o "Dir::Etc::sourcelist=$folder/apt/sources.list" -o "Dir::Etc::sourceparts=$folder/apt/parts"
    -o "Dir::State=$folder/apt" -o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt"
    -o "APT::Sandbox::User=" -o "Debug::NoLocking=1")
apt-get "${options[@]}" update >/dev/null

# library name option...: unpacks the sources of the package `name` and installs the static library into the folder.
library() {
    local name="$1"
    shift
    cd "$folder/source"
    apt-get "${options[@]}" source --tar-only --download-only "$name" >/dev/null
    rm -rf "$name" && mkdir "$name"
    tar -xf "$name"_*.orig.tar.* --strip-components=1 -C "$name"
    cmake -S "$name" -B "$name/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/toolchain-mingw.cmake" -DBUILD_SHARED_LIBS=OFF \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$folder" "$@" >"$name.log"
    cmake --build "$name/build" >>"$name.log"
    cmake --install "$name/build" >>"$name.log"
}
library pcre2 -DPCRE2_BUILD_PCRE2GREP=OFF -DPCRE2_BUILD_TESTS=OFF
library utf8proc
touch "$folder/complete"
