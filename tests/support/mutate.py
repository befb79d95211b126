#!/usr/bin/env python3
# Breaks one thing at a time in a copy of the source, as tests/mutations.txt lists them, and sees a test fail each time.
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.sax.saxutils

TOP = pathlib.Path(__file__).resolve().parents[2]
TABLE = TOP / "tests/mutations.txt"
COPY = TOP / "build-mutate"
BUILD = COPY / "build"
LOG = BUILD / "mutate.log"


class Mistake(Exception):
    """Nothing can be said about a mutation: it is stale, does not compile, or the tests fail without it."""


class Mutation:
    def __init__(self, path, name, needs, tests):
        self.path, self.name, self.needs, self.tests = path, name, needs, tests
        self.old, self.new = [], []

    def apply_to(self, text):
        old, new = "\n".join(self.old), "\n".join(self.new)
        # Where lines are broken does not matter.
        pattern = r"\s*".join(re.escape(c) for c in re.sub(r"\s", "", old))
        found = re.findall(pattern, text)
        if len(found) != 1:
            raise Mistake(f"stale: its text occurs {len(found)} times in {self.path}, where once is needed")
        if old == new:
            raise Mistake("changes nothing")
        return text.replace(found[0], new)


def read_table():
    """A line with a path, below it `name (flag): kind[ filter], ...`, below that what is replaced (-) by what (+)."""
    mutations, path = [], None
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            path = line
        elif re.match(r"  \S", line):
            head, tests = line.strip().split(": ", 1)
            name, _, needs = head.rstrip(")").partition(" (")
            mutations.append(Mutation(path, name, needs, [t.strip().partition(" ")[::2] for t in tests.split(",")]))
        elif re.match(r"    [-+]( |$)", line):
            (mutations[-1].old if line[4] == "-" else mutations[-1].new).append(line[6:])
        else:
            raise Mistake(f"{TABLE.name}:{number}: not understood: {line}")
    names = [m.name for m in mutations]
    for m in mutations:
        if names.count(m.name) > 1 or not m.old:
            raise Mistake(f"{TABLE.name}: the mutation {m.name} occurs twice or replaces nothing")
    return mutations


def copy_source():
    """Brings the copy up to date, leaving unchanged files alone, so that a second run builds little."""
    listed = subprocess.run(["git", "-C", str(TOP), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True)
    if listed.returncode != 0:
        raise Mistake("the list of source files comes from git, which failed")
    names = {name for name in listed.stdout.decode().split("\0") if name and (TOP / name).is_file()}
    for folder in {name.split("/")[0] for name in names if "/" in name}:
        for path in (COPY / folder).rglob("*"):
            if path.is_file() and str(path.relative_to(COPY)) not in names:
                path.unlink()
    for name in names:
        source, target = TOP / name, COPY / name
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run_logged(command, **options):
    with LOG.open("a") as log:
        print("$", *command, file=log, flush=True)
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, **options).returncode


def configure():
    BUILD.mkdir(parents=True, exist_ok=True)
    LOG.write_text("")
    cached = shutil.which("ccache")
    launcher = [f"-DCMAKE_CXX_COMPILER_LAUNCHER={cached}"] if cached else []
    if run_logged(["cmake", "-S", str(COPY), "-B", str(BUILD), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                   "-DHEARTH_BUILD_TESTS=ON", "-DHEARTH_BUILD_EXAMPLES=OFF", *launcher]):
        raise Mistake(f"CMake failed, see {LOG}")


def build(kinds, jobs):
    if run_logged(["ninja", "-C", str(BUILD), "-j", str(jobs), *[f"test_{kind}" for kind in kinds]]):
        raise Mistake(f"it does not compile, see {LOG}")


def failing_case(kind):
    """The test case that stopped the last run, from Catch's report: the last one that began."""
    report = BUILD / f"mutate-{kind}.xml"
    text = report.read_text(errors="replace") if report.exists() else ""
    found = re.findall(r'<TestCase name="([^"]*)"', text)
    return xml.sax.saxutils.unescape(found[-1], {"&quot;": '"'}) if found else "before any test case"


def run_test(kind, cases, limit_s):
    """(how it ended: None = passed, else words; seconds)"""
    started = time.monotonic()
    command = [str(BUILD / "bin" / f"test_{kind}"), "--abort", "-r", "xml", "-o", str(BUILD / f"mutate-{kind}.xml")]
    try:
        code = run_logged(command + ([cases] if cases else []), cwd=BUILD, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"test_{kind} by a timeout of {limit_s:.0f} s: {failing_case(kind)}", time.monotonic() - started
    seconds = time.monotonic() - started
    if code == 0:
        return None, seconds
    return f"test_{kind}{' by a crash' if code < 0 else ''}: {failing_case(kind)}", seconds


def prove_baseline(mutations, jobs):
    """The unbroken copy passes; returns how long each test may take later, by (kind, cases)."""
    wanted = {test for m in mutations for test in m.tests}
    kinds = sorted({kind for kind, _ in wanted})
    for m in mutations:
        m.apply_to((COPY / m.path).read_text())  # stale ones are known before anything is built
    started = time.monotonic()
    build(kinds, jobs)
    print(f"built the unbroken copy ({time.monotonic() - started:.0f} s)", flush=True)
    limits = {}
    for kind, cases in sorted(wanted):
        if cases and (kind, "") in limits:  # sorted: a program's whole run comes before its parts
            limits[kind, cases] = limits[kind, ""]
            continue
        how, seconds = run_test(kind, cases, 1800)
        if how:
            raise Mistake(f"the unbroken copy fails: {how}")
        if cases and "<TestCase" not in (BUILD / f"mutate-{kind}.xml").read_text():
            raise Mistake(f"test_{kind} has no case {cases!r}")
        limits[kind, cases] = 60 + 10 * seconds
        print(f"passes unbroken: test_{kind} {cases}".rstrip() + f" ({seconds:.1f} s)", flush=True)
    return limits


def try_mutation(m, limits, jobs):
    """What caught it, or None. The file is put back on disk at once; the next build compiles it."""
    target = COPY / m.path
    whole = target.read_text()
    target.write_text(m.apply_to(whole))
    try:
        build(sorted({kind for kind, _ in m.tests}), jobs)
        for kind, cases in m.tests:
            how, _ = run_test(kind, cases, limits[kind, cases])
            if how:
                return how
    finally:
        target.write_text(whole)
    return None


def processor_has(flag):
    try:
        return re.search(rf"^flags\s*:.*\b(?:{flag})\b", pathlib.Path("/proc/cpuinfo").read_text(), re.M) is not None
    except OSError:
        return False


def break_one_by_one(mutations, jobs):
    limits = prove_baseline(mutations, jobs)
    caught, survived, errors, left_out = 0, 0, 0, 0
    for m in mutations:
        if m.needs and not processor_has(m.needs):
            print(f"NOT RUN   {m.name}: this processor has no {m.needs}", flush=True)
            left_out += 1
            continue
        started = time.monotonic()
        try:
            how = try_mutation(m, limits, jobs)
        except Mistake as mistake:
            print(f"ERROR     {m.name}: {mistake}", flush=True)
            errors += 1
            continue
        seconds = time.monotonic() - started
        caught, survived = caught + bool(how), survived + (not how)
        print(f"{'caught' if how else 'SURVIVED':9} {m.name} ({seconds:.0f} s){' by ' + how if how else ''}", flush=True)
    print(f"{caught} caught, {survived} survived" + (f", {errors} errors" if errors else "") + (f", {left_out} not run" if left_out else ""))
    return 1 if survived or errors else 0


def main():
    parser = argparse.ArgumentParser(prog="tests/mutate.sh", description="Breaks one thing at a time and sees a test fail.")
    parser.add_argument("names", nargs="*", help="only these mutations")
    parser.add_argument("--list", action="store_true", help="the mutations and the tests that must catch them; fails where one is stale")
    parser.add_argument("--no-fixtures", action="store_true", help="as on a machine without ../shared/fixtures")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at a time")
    options = parser.parse_args()
    try:
        mutations = read_table()
        unknown = set(options.names) - {m.name for m in mutations}
        if unknown:
            raise Mistake(f"no such mutation: {', '.join(sorted(unknown))} (--list shows them)")
        mutations = [m for m in mutations if not options.names or m.name in options.names]
        if options.list:
            for m in mutations:
                m.apply_to((TOP / m.path).read_text())
                print(f"{m.name:28} {m.path}: {', '.join(kind for kind, _ in m.tests)}")
            return 0
        os.environ.setdefault("HEARTH_TEST_SEED", "1")  # the same numbers unbroken and broken
        os.environ.setdefault("HEARTH_TEST_FIXTURES", str(TOP.parent / "shared/fixtures"))
        if options.no_fixtures:
            os.environ["HEARTH_TEST_FIXTURES"] = str(BUILD / "none")
        # Paths below the copy look the same to ccache as in any other checkout.
        os.environ.setdefault("CCACHE_BASEDIR", str(COPY))
        os.environ.setdefault("CCACHE_NOHASHDIR", "1")
        copy_source()
        configure()
        return break_one_by_one(mutations, options.jobs)
    except Mistake as mistake:
        print(f"tests/mutate.sh: {mistake}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
