#!/usr/bin/env python3
# Rule: libhearth exports hearth_* alone and needs only the C and C++ runtime; its objects print nothing, end nothing,
# and the objects of a CPU level have no weak symbol (the linker could keep the AVX-512 copy for every CPU).
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

FORBIDDEN = {
    "abort", "exit", "_exit", "quick_exit", "printf", "puts", "putchar", "perror", "vprintf", "__printf_chk", "__vprintf_chk",
    "stdout", "stderr", "__assert_fail", "std::cout", "std::cerr", "std::clog",
}
NEEDED = re.compile(r"^(libc|libm|libstdc\+\+|libgcc_s|ld-linux[\w-]*|libc\+\+|libpthread|libdl)\.so")
RUNTIME_WEAK = re.compile(r"^(__asan|__ubsan|__tsan|__odr_asan|DW\.ref\.|_ITM_|__gmon_start__|__cxa_finalize)")
TOOLCHAIN_EXPORT = re.compile(r"^(_init|_fini|__bss_start|_edata|_end|HEARTH_[\d.]+)$")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def object_symbols(paths):
    """(object, type letter, name) of every symbol of objects and archives."""
    current = ""
    for path in paths:
        for line in run("nm", "-C", str(path)).splitlines():
            found = re.match(r"^(?:[0-9a-f]+)?\s+([a-zA-Z?])\s+(.*)$", line)
            if found:
                yield f"{pathlib.Path(path).name}:{current}", found[1], found[2]
            elif line.endswith(":"):
                current = line[:-1]


def check_core(paths):
    for where, kind, name in object_symbols(paths):
        if kind == "U" and re.sub(r"@.*", "", name) in FORBIDDEN:
            yield where, 0, f"refers to {name}: the library prints nothing and never ends the process"


def check_levels(paths):
    for where, kind, name in object_symbols(paths):
        if kind in "WwVvu" and not RUNTIME_WEAK.match(name):
            yield where, 0, f"weak symbol {name} in an object compiled for one CPU level"


def check_shared(path):
    for line in run("nm", "-D", "--defined-only", str(path)).splitlines():
        name = line.split()[-1].split("@")[0]
        if not name.startswith("hearth_") and not TOOLCHAIN_EXPORT.match(name):
            yield path, 0, f"exports {name}; only hearth_* may be seen"
    for name in re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", str(path))):
        if not NEEDED.match(name):
            yield path, 0, f"needs {name} at run time; only the C and C++ runtime may be needed"


def self_test(compiler):
    """Compiles a good and a bad sample for each check and sees that exactly the bad one is found."""
    samples = [
        (check_core, "int f(int x) { return x; }", [], False),
        (check_core, "#include <cstdio>\nvoid f(int x) { std::printf(\"%d\", x); }", [], True),
        (check_core, "#include <cstdlib>\nvoid f() { std::abort(); }", [], True),
        (check_levels, "namespace { int g(int x) { return x; } }\nextern const int t = 1;\nint f(int x) { return g(x); }", [], False),
        (check_levels, "inline int g(int x) { return x * x; }\nint (*f())(int) { return g; }", [], True),
        (check_shared, 'extern "C" int hearth_f() { return 1; }', ["-shared"], False),
        (check_shared, 'extern "C" int other_f() { return 1; }', ["-shared"], True),
    ]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, (check, source, flags, expected) in enumerate(samples):
            text, out = pathlib.Path(folder, f"{i}.cpp"), pathlib.Path(folder, f"{i}.so" if flags else f"{i}.o")
            text.write_text(source + "\n")
            run(compiler, "-O0", "-fPIC", *(flags or ["-c"]), str(text), "-o", str(out))
            found = list(check(out if check is check_shared else [out]))
            if bool(found) != expected:
                failed += 1
                print(f"self-test: sample {i} ({check.__name__}): found {found}")
    print(f"self-test: {len(samples) - failed} of {len(samples)} samples judged right")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", metavar="COMPILER")
    parser.add_argument("--core", nargs="*", default=[])
    parser.add_argument("--levels", nargs="*", default=[])
    parser.add_argument("--shared")
    given = parser.parse_args()
    if given.self_test:
        return self_test(given.self_test)
    problems = list(check_core(given.core)) + list(check_levels(given.levels))
    if given.shared:
        problems += check_shared(given.shared)
    for where, _, sentence in problems:
        print(f"{where}: {sentence}")
    print(f"{len(problems)} problems" if problems else "ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
