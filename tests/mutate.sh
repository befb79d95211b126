#!/usr/bin/env bash
# Breaks one thing at a time in a copy of the source (build-mutate/) and sees a test fail each time; --help says more.
# Ends with one line: "N caught, N survived"; exits 1 if any survived. The table is tests/mutations.txt.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/support/mutate.py" "$@"
