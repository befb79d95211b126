#!/usr/bin/env python3
"""The C ABI only grows: compares hearth.h, capi/abi.txt, its committed version and the library's exports (--write updates abi.txt)."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from c_header import Header, HeaderError

TOP = pathlib.Path(__file__).resolve().parents[2]
SNAPSHOT, INCLUDE = TOP / "capi" / "abi.txt", TOP / "include"
HEADER = INCLUDE / "hearth" / "hearth.h"
HEAD = """\
# The C ABI of Hearth on 64-bit machines, written from hearth.h by tests/abi/check_abi.py --write. Lines are only ever added.
# enum NAME = value | handle NAME | type NAME = C type | struct NAME bytes (one line for every size it ever had)
# field STRUCT.NAME @offset +bytes C type | function NAME(C types) -> C type
"""


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def measure(header, include, cc):
    """{expression: number}: constants, sizes and offsets, printed by a C program."""
    wanted = header.constants + ["HEARTH_NUL_TERMINATED"]
    for name, members in header.structs.items():
        wanted.append(f"sizeof({name})")
        for field, _ in members:
            wanted += [f"offsetof({name}, {field})", f"sizeof((({name} *)0)->{field})"]
    # Unsigned for SIZE_MAX; the others fit a long long.
    lines = "".join(f'    printf("%s=%lld\\n", "{w}", (long long)({w}));\n' for w in wanted)
    source = f"#include <stdio.h>\n#include <hearth/hearth.h>\nint main(void) {{\n{lines}    return 0;\n}}\n"
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "print.c").write_text(source)
        built = run([cc, "-std=c11", "-I", str(include), str(path / "print.c"), "-o", str(path / "print")])
        if built.returncode:
            raise HeaderError("hearth.h does not compile as C11:\n" + built.stderr)
        printed = run([str(path / "print")], check=True).stdout
    return {name: int(value) for name, value in (line.rsplit("=", 1) for line in printed.splitlines())}


def facts(text, include, cc):
    """The lines of abi.txt that a header text means, in its order."""
    header = Header(text)
    numbers = measure(header, include, cc)
    found = [f"enum {name} = {numbers[name]}" for name in header.constants]
    found.append(f"enum HEARTH_NUL_TERMINATED = {numbers['HEARTH_NUL_TERMINATED'] % (1 << 64)}")
    found += [f"type {name} = {target}" for name, target in header.types.items()]
    found += [f"handle {name}" for name in header.handles]
    for name, members in header.structs.items():
        found.append(f"struct {name} {numbers[f'sizeof({name})']}")
        for field, kind in members:
            offset, size = numbers[f"offsetof({name}, {field})"], numbers[f"sizeof((({name} *)0)->{field})"]
            found.append(f"field {name}.{field} @{offset} +{size} {kind}")
    for name, (parameters, result) in header.functions.items():
        found.append(f"function {name}({', '.join(parameters) or 'void'}) -> {result}")
    return found


def lines_of(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def struct_sizes(lines):
    """{struct: [every size it had]}"""
    sizes = {}
    for line in lines:
        if line.startswith("struct "):
            _, name, size = line.split(" ")
            sizes.setdefault(name, []).append(int(size))
    return sizes


def is_old_size(line, now):
    """A struct line that is no longer what the header says but stays: hosts of that size still call."""
    if not line.startswith("struct "):
        return False
    _, name, size = line.split(" ")
    return int(size) < max(struct_sizes(now).get(name, [0]))


def compare(now, committed):
    """Problems between what the header means and what abi.txt says."""
    problems = [f"hearth.h has, abi.txt has not: {line}" for line in now if line not in committed]
    problems += [f"abi.txt has, hearth.h has not: {line}" for line in committed if line not in now and not is_old_size(line, now)]
    return problems


def compare_growth(old, new):
    """Problems between an older abi.txt and a newer one: only appending is allowed."""
    problems = [f"a promise is gone: {line}" for line in old if line not in new]
    sizes = struct_sizes(old)
    for line in new:
        field = re.match(r"field (\w+)\.(\w+) @(\d+) ", line)
        if line in old or not field or field[1] not in sizes:
            continue
        if int(field[3]) < max(sizes[field[1]]):
            problems.append(f"{field[1]}.{field[2]} lies inside the older struct of {max(sizes[field[1]])} bytes; append it")
    return problems


def committed_text(top):
    """abi.txt as of git HEAD, or None without git."""
    shown = run(["git", "-C", str(top), "show", "HEAD:capi/abi.txt"])
    return shown.stdout if shown.returncode == 0 else None


def functions_of(lines):
    return {re.match(r"function (\w+)", line)[1] for line in lines if line.startswith("function ")}


def exported(library):
    listed = run(["nm", "-D", "--defined-only", str(library)], check=True).stdout
    return {parts[-1].split("@")[0] for parts in map(str.split, listed.splitlines()) if parts and parts[-2] != "A"}


def compare_exports(lines, symbols):
    promised = functions_of(lines)
    problems = [f"the library does not export {name}" for name in sorted(promised - symbols)]
    return problems + [f"the library exports {name}, which abi.txt does not have" for name in sorted(symbols - promised)]


def check_snapshot(cc):
    now = facts(HEADER.read_text(), INCLUDE, cc)
    committed = lines_of(SNAPSHOT.read_text())
    problems = compare(now, committed)
    old = committed_text(TOP)
    if old is not None:
        problems += compare_growth(lines_of(old), committed)
    return problems


def write_snapshot(cc):
    """abi.txt from the header; sizes that a struct once had stay before its present one."""
    now = facts(HEADER.read_text(), INCLUDE, cc)
    before = lines_of(SNAPSHOT.read_text()) if SNAPSHOT.exists() else []
    problems = compare_growth([line for line in before if not line.startswith("struct ")], now)
    if problems:
        return problems
    sizes, out = struct_sizes(before), []
    for line in now:
        if line.startswith("struct "):
            _, name, size = line.split(" ")
            out += [f"struct {name} {old}" for old in sizes.get(name, []) if old < int(size)]
        out.append(line)
    SNAPSHOT.write_text(HEAD + "\n".join(out) + "\n")
    return []


def check_header(include, cc, cxx):
    """hearth.h compiles alone, in both languages, with every warning an error."""
    problems = []
    strict = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", str(include)]
    for compiler, language in (([cc, "-std=c11", "-Wstrict-prototypes"], "c"), ([cxx, "-std=c++20"], "c++")):
        built = run(compiler + strict + ["-x", language, "-"], input="#include <hearth/hearth.h>\nint main(void) { return 0; }\n")
        if built.returncode:
            problems.append(f"hearth.h as {language}:\n{built.stderr}")
    return problems


def check_link(names, library, cc, flags=()):
    """A C program that refers to every function links with the library and runs."""
    table = "".join(f"    (anything){name},\n" for name in names)
    source = (f"#include <hearth/hearth.h>\ntypedef void (*anything)(void);\nstatic const anything all[] = {{\n{table}}};\n"
              "int main(void) {\n    size_t n = 0;\n    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) n += all[i] != 0;\n"
              f"    return n == {len(names)} && hearth_version() ? 0 : 1;\n}}\n")
    with tempfile.TemporaryDirectory() as folder:
        path, library = pathlib.Path(folder), pathlib.Path(library).resolve()
        (path / "link.c").write_text(source)
        command = [cc, "-std=c11", "-Wall", "-Werror", *flags, "-I", str(INCLUDE), str(path / "link.c"), str(library)]
        built = run(command + [f"-Wl,-rpath,{library.parent}", "-o", str(path / "link")])
        if built.returncode:
            return ["a C program that refers to every function does not link:\n" + built.stderr]
        if run([str(path / "link")]).returncode:
            return ["a C program that refers to every function does not run"]
    return []


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    parser.add_argument("--cxx", default=os.environ.get("CXX", "c++"))
    parser.add_argument("--flags", default="", help="for linking, such as -fsanitize=address")
    for name in ("write", "headers", "self-test"):
        parser.add_argument("--" + name, action="store_true")
    parser.add_argument("--exports", metavar="LIBRARY")
    parser.add_argument("--link", metavar="LIBRARY")
    return parser.parse_args(arguments)


def problems_of(options):
    if options.self_test:
        import self_test
        return self_test.problems(options.cc, options.cxx)
    if options.write:
        return write_snapshot(options.cc)
    if options.headers:
        return check_header(INCLUDE, options.cc, options.cxx)
    committed = lines_of(SNAPSHOT.read_text())
    if options.exports:
        return compare_exports(committed, exported(options.exports))
    if options.link:
        return check_link(sorted(functions_of(committed)), options.link, options.cc, options.flags.split())
    return check_snapshot(options.cc)


if __name__ == "__main__":
    try:
        found = problems_of(parse(sys.argv[1:]))
    except HeaderError as error:
        found = [str(error)]
    for problem in found:
        print(problem)
    sys.exit(1 if found else 0)
