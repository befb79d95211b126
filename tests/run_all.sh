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
    for kind in unit graph text runtime; do
        step "valgrind test_$kind" valgrind -q --error-exitcode=9 --leak-check=full \
            --errors-for-leak-kinds=definite "build/bin/test_$kind" '~[thread]'
    done
fi

# An emulated processor must get the best level that it has (of QEMU's own, only max has i8mm).
arm_level() {
    HEARTH_TEST_LEVEL="$2" qemu-aarch64 -cpu "$1" -L /usr/aarch64-linux-gnu build-aarch64/bin/test_ops '[levels]'
}
arm_levels() {
    arm_level cortex-a53 generic && arm_level cortex-a76 neon-dot && arm_level max neon-i8mm
}

if have aarch64-linux-gnu-g++ "aarch64" && have qemu-aarch64 "aarch64"; then
    if cmake/sysroot.sh arm64 build-aarch64/sysroot libpcre2-dev libutf8proc-dev libfmt-dev libeigen3-dev \
        nlohmann-json3-dev "$(package_choose "libcatch2-dev|catch2")"; then
        if build aarch64 test_unit test_quant test_text test_ops test_golden; then
            step "aarch64 levels" arm_levels
            run_tests aarch64 -L '^(quant|text|ops|golden)$'  # ops: every level; golden: the best one
            # QEMU does not wipe pages on fork, and a fork beside threads can hang in it.
            step "aarch64 unit" qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu build-aarch64/bin/test_unit '~[fork]'
        fi
    else
        note skipped "aarch64" "(no arm64 packages from this machine's mirror)"
    fi
fi

if have x86_64-w64-mingw32-g++ "mingw-w64"; then
    if cmake/windows_libraries.sh build-mingw/sysroot; then
        build mingw hearth
    else
        note skipped "mingw-w64" "(no source packages from this machine's mirror)"
    fi
fi

# The tests themselves: each of many small mistakes in the source must make one fail, also without ../shared/fixtures.
step "mutations" tests/mutate.sh --no-fixtures --jobs "$jobs"
