#!/usr/bin/env bash
# Unpacks packages of another Debian architecture into a folder, without installing them and without root.
# usage: sysroot.sh ARCHITECTURE FOLDER PACKAGE...
set -euo pipefail
architecture="$1" folder="$2"
shift 2
mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
folder="$(cd "$folder" && pwd)"
touch "$folder/apt/status"
options=(-q -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o "Dir::State=$folder/apt"
    -o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt" -o "APT::Sandbox::User=" -o "Debug::NoLocking=1")
apt-get "${options[@]}" update >/dev/null
cd "$folder/apt"
for package in "$@"; do
    apt-get "${options[@]}" download "$package" >/dev/null 2>&1
done
for file in "$folder"/apt/*.deb; do dpkg-deb -x "$file" "$folder"; done
