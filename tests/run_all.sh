# The slow and rare steps of tests/run.sh --all; sourced by it. Each is skipped aloud where its tool is missing.

if have clang++ "build clang"; then build clang && run_tests clang -LE '^(rules|install|python)$'; fi
build minimal
if build static; then run_tests static -LE '^(rules|python)$'; fi

# Every libFuzzer target for a while, starting from its committed corpus; a crash leaves its input beside the target.
fuzz_all() {
    local target name failed=0
    for target in build-fuzz/bin/fuzz_*; do
        name="$(basename "$target")"
        mkdir -p "build-fuzz/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}"
        step "libFuzzer $name ($fuzz_seconds s)" "$target" -max_total_time="$fuzz_seconds" -rss_limit_mb=4096 \
            -artifact_prefix="build-fuzz/$name." -verbosity=0 -print_final_stats=0 \
            "build-fuzz/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}" || failed=1
    done
    return $failed
}
if have clang++ "libFuzzer" && build fuzz hearth_fuzzers; then fuzz_all; fi

if have valgrind "valgrind"; then
    for program in build/bin/test_unit build/bin/test_format build/bin/test_text; do
        [ -x "$program" ] || continue
        step "valgrind $(basename "$program")" valgrind -q --error-exitcode=9 --leak-check=full \
            --errors-for-leak-kinds=definite "$program" '~[slow]~[thread]'
    done
fi

if have aarch64-linux-gnu-g++ "aarch64" && have qemu-aarch64 "aarch64"; then
    if cmake/sysroot.sh arm64 build-aarch64/sysroot libpcre2-dev libpcre2-8-0 libutf8proc-dev; then
        build aarch64 && QEMU_LD_PREFIX=/usr/aarch64-linux-gnu run_tests aarch64 -L '^(unit|quant|text)$'
    else
        note skipped "aarch64" "(no arm64 packages from this machine's mirror)"
    fi
fi

if have x86_64-w64-mingw32-g++ "mingw-w64"; then build mingw hearth_core; fi

# The tests themselves: each of many small mistakes in the source must make one fail, also without ../shared/fixtures.
step "mutations" tests/mutate.sh --no-fixtures --jobs "$jobs"
