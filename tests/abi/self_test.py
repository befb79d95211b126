"""Proves that each ABI check can fail: every sample breaks one promise and must be noticed."""
import pathlib
import subprocess
import tempfile

from c_header import Header, HeaderError
import check_abi

SMALL = """
#include <stddef.h>
#include <stdint.h>
#define HEARTH_API
#define HEARTH_NUL_TERMINATED SIZE_MAX
typedef int32_t hearth_status;
enum { HEARTH_OK = 0, HEARTH_E_IO = -3 };
typedef struct hearth_thing hearth_thing;
typedef struct hearth_info { uint32_t struct_size; int32_t a, b; /* comment; */ void *(*make)(void *user, size_t n); } hearth_info;
HEARTH_API uint32_t hearth_version(void);
HEARTH_API hearth_status hearth_thing_make(const hearth_info *info, hearth_thing **out);
"""

# (what is replaced, by what, words of the problem) against SMALL's snapshot
CHANGES = [
    ("HEARTH_E_IO = -3", "HEARTH_E_IO = -4", "enum HEARTH_E_IO = -3"),
    ("int32_t a, b;", "int32_t b, a;", "field hearth_info.a @4"),
    ("int32_t a, b;", "int32_t a;", "field hearth_info.b"),
    ("int32_t a, b;", "uint32_t a, b;", "hearth_info.a"),
    ("void *(*make)(void *user, size_t n)", "void *(*make)(void *user, uint32_t n)", "hearth_info.make"),
    ("const hearth_info *info", "hearth_info *info", "function hearth_thing_make"),
    ("HEARTH_API uint32_t hearth_version(void);", "", "function hearth_version"),
    ("hearth_thing **out);", "hearth_thing **out);\nHEARTH_API hearth_status hearth_more(void);", "abi.txt has not: function hearth_more"),
    ("typedef struct hearth_thing hearth_thing;", "typedef struct hearth_thing hearth_thing;\ntypedef struct hearth_new hearth_new;", "hearth_new"),
]
# The same, where appending is right: nothing disappears.
GROWTH = [
    ("size_t n); }", "size_t n); uint64_t more; }", None),
    ("enum { HEARTH_OK = 0,", "enum { HEARTH_MORE = 7, HEARTH_OK = 0,", None),
    ("int32_t a, b;", "int32_t a, b, c;", "hearth_info.c lies inside the older struct"),
]
REFUSED = [
    ("int32_t a, b;", "bool a, b;", "'bool' does not cross"),
    ("int32_t a, b;", "long a, b;", "'long' does not cross"),
    ("const hearth_info *info", "hearth_info info", "by value"),
    ("uint32_t struct_size; int32_t a", "int32_t a", "not uint32_t struct_size"),
    ("enum {", "union {", "cannot read"),
]


def snapshot(text, cc):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "hearth").mkdir()
        (pathlib.Path(folder) / "hearth" / "hearth.h").write_text(text)
        return check_abi.facts(text, folder, cc)


def expect(found, words, sample):
    """[] when the problem is among those found (or none is wanted and none was found)."""
    if words is None:
        return [f"self-test: '{sample}' was reported: {found}"] if found else []
    return [] if any(words in problem for problem in found) else [f"self-test: '{sample}' was not noticed, only {found}"]


def changed(old, new):
    if SMALL.count(old) != 1:
        raise HeaderError(f"self-test: '{old}' is not there exactly once")
    return SMALL.replace(old, new)


def header_problems(cc):
    before, problems = snapshot(SMALL, cc), []
    problems += expect(check_abi.compare(before, before), None, "no change")
    for old, new, words in CHANGES:
        problems += expect(check_abi.compare(snapshot(changed(old, new), cc), before), words, new or "removed " + old)
    for old, new, words in GROWTH:
        now = snapshot(changed(old, new), cc)
        kept = now + [line for line in before if line.startswith("struct ") and line not in now]
        problems += expect(check_abi.compare_growth(before, kept) + check_abi.compare(now, kept), words, new)
    problems += expect(check_abi.compare_growth(before, before[1:]), "a promise is gone", "a lost line")
    for old, new, words in REFUSED:
        try:
            Header(changed(old, new))
            problems.append(f"self-test: '{new}' was accepted")
        except HeaderError as error:
            problems += expect([str(error)], words, new)
    return problems


def library_problems(cc):
    """A library that lacks one function and has one too many."""
    names = sorted(check_abi.functions_of(check_abi.lines_of(check_abi.SNAPSHOT.read_text())))
    with tempfile.TemporaryDirectory() as folder:
        source, library = pathlib.Path(folder) / "a.c", pathlib.Path(folder) / "liba.so"
        source.write_text("".join(f"int {name}(void) {{ return 1; }}\n" for name in names[1:] + ["hearth_secret"]))
        subprocess.run([cc, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        found = check_abi.compare_exports(check_abi.lines_of(check_abi.SNAPSHOT.read_text()), check_abi.exported(library))
        problems = expect(found, f"does not export {names[0]}", "a missing export")
        problems += expect(found, "exports hearth_secret", "an extra export")
        return problems + expect(check_abi.check_link(names, library, cc), "does not link", "linking without a function")


def compile_problems(cc, cxx):
    problems = []
    for text, words in ((SMALL, None), (SMALL + "bool f(void);\n", "as c:"), (SMALL + "typedef struct { int class; } x;\n", "as c++:"),
                        (SMALL + "int f();\n", "as c:")):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "hearth").mkdir()
            (pathlib.Path(folder) / "hearth" / "hearth.h").write_text(text)
            problems += expect(check_abi.check_header(folder, cc, cxx), words, text[-40:])
    return problems


def problems(cc, cxx):
    return header_problems(cc) + library_problems(cc) + compile_problems(cc, cxx)
