#!/usr/bin/env bash
# On Debian or Ubuntu: installs what is missing, builds Hearth, and tells a story with the model that is in this repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/packages.sh

packages_install cmake/packages.txt build
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DHEARTH_BUILD_TESTS=OFF --log-level=WARNING
cmake --build build

model=examples/models/hearth-demo.gguf
if [ ! -f "$model" ]; then
    echo "built; the demo model $model is not in this checkout, so there is nothing to run" >&2
    exit 1
fi
exec build/bin/hearth run -m "$model" --chat -p "${1:-Tell me a story about a fox and a river.}" -n 200
