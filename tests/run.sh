#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: Release, then the sanitizers; --all adds the slow and rare builds.
# Ends with one line: "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/packages.sh

usage() {
    echo "usage: tests/run.sh [--quick | --all] [--no-install]"
    echo "  --quick       the Release build and its tests only"
    echo "  --all         also Clang, minimal, static, libFuzzer, valgrind, aarch64 under qemu, mingw-w64, tests/mutate.sh"
    echo "  --no-install  take the machine as it is"
}

mode=default install=yes
for argument in "$@"; do
    case "$argument" in
        --quick) mode=quick ;;
        --all) mode=all ;;
        --no-install) install=no ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
done

jobs="${HEARTH_JOBS:-$(nproc)}"
fuzz_seconds="${HEARTH_FUZZ_SECONDS:-30}"
results="$PWD/build/results"
rm -rf "$results" && mkdir -p "$results"
export UBSAN_OPTIONS="print_stacktrace=1" TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1"
export ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"

# note passed|failed|skipped name [reason]: one line of the final count.
note() {
    printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$results/steps"
    if [ "$1" != passed ]; then echo "$1: $2 ${3:-}"; fi
}

# step name command...: runs the command and notes how it ended.
step() {
    local name="$1" started=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        note passed "$name"
    else
        note failed "$name" "(command: $*)"
        return 1
    fi
    echo "   $name: $((SECONDS - started)) s"
}

# build preset [target...]: configures by preset and builds.
build() {
    local preset="$1" folder
    shift
    folder="$(build_folder "$preset")"
    step "configure $preset" configure "$preset" &&
        step "build $preset" ninja -C "$folder" -j "$jobs" --quiet "$@"
}

configure() {
    cmake --preset "$1" >"$results/configure-$1.log" 2>&1 || { cat "$results/configure-$1.log" && return 1; }
}

build_folder() {
    case "$1" in release) echo build ;; dev) echo build-asan ;; *) echo "build-$1" ;; esac
}

# run_tests preset [ctest option...]: every test is counted by tests/support/summary.py from the JUnit file.
run_tests() {
    local preset="$1" started=$SECONDS
    shift
    echo "== test $preset"
    rm -f "$results/$preset.xml"
    ctest --test-dir "$(build_folder "$preset")" -j "$jobs" --output-on-failure --timeout 900 --no-tests=error \
        --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
        --output-junit "$results/$preset.xml" "$@"
    if [ ! -s "$results/$preset.xml" ]; then note failed "test $preset" "(ctest wrote no result)"; fi
    echo "   test $preset: $((SECONDS - started)) s"
}

# have tool step-name: notes a skip where the tool is missing.
have() {
    command -v "$1" >/dev/null || { note skipped "$2" "($1 is not installed)" && return 1; }
}

if [ "$install" = yes ]; then
    tags="build test"
    if [ "$mode" = all ]; then tags="build test all"; fi
    step "packages" packages_install cmake/packages.txt $tags
fi

build release all hearth_benchmarks && run_tests release
if [ "$mode" != quick ]; then
    build dev hearth_memory_tests && run_tests dev -L '^memory$'
    build tsan hearth_thread_tests && run_tests tsan -L '^thread$'
fi
if [ "$mode" = all ]; then
    . tests/run_all.sh
fi

python3 tests/support/summary.py "$results"
