#!/usr/bin/env python3
# Rule: source is plain ASCII without tabs, begins with its purpose, and says nothing that hosts or readers must not see.
import re
import sys

from common import CODE, SCRIPTS, main, strip_code, tracked_files

TEXT = CODE | SCRIPTS | {".def", ".md", ".txt", ".json", ".in", ".toml", ".yml"}
COMMENT = {"//", "/*", "#!", "# ", '""', "<!"}


# Words are written apart here, so that this file passes its own check.
def joined(*parts):
    return "".join(parts)


EVERYWHERE = [
    (re.compile(joined(r"\bTO", r"DO\b|\bFIX", r"ME\b|\bXX", r"X\b")), "unfinished work is not committed"),
    (re.compile(joined(r"(?<![\w.$}])/(wo", r"rk|ro", r"ot|mnt|sandbox)/")), "a path of one machine"),
    (re.compile(joined(r"\barti", r"factory\b|\bnex", r"us\.|\bpypi\.int", r"ernal")), "a registry host"),
    (re.compile(joined(r"\b(cla", r"ude|anthr", r"opic|chat", r"gpt session|co-authored", r"-by)\b"), re.I), "who wrote it is not said"),
    (re.compile(joined(r"\b(AI|coding|LLM|helper|sub)[ -]?ag", r"ents?\b"), re.I), "who wrote it is not said"),
    (re.compile(joined(r"\b(this|my|our|your) ses", r"sion\b|\bhelper ses", r"sion"), re.I), "who wrote it is not said"),
]
IN_LIBRARY = [
    (re.compile(r"\b(std::)?(f|v|vf)?printf\s*\(|\bf?puts\s*\(|\bputchar\s*\(|\bperror\s*\("), "the library prints nothing"),
    (re.compile(r"\bstd::(cout|cerr|clog)\b|\bstd(out|err)\b|<iostream>"), "the library prints nothing"),
    (re.compile(r"(?<![\w.>])(std::)?(abort|_?exit|quick_exit|terminate)\s*\("), "the library never ends the process"),
    (re.compile(r"(?<![\w.>])assert\s*\(|<cassert>"), "a broken promise is an error value, not an assert"),
    (re.compile(r"(?<![\w])throw\b(?!\(\))"), "errors are values"),
]


def check_lines(path, lines):
    for number, line in enumerate(lines, 1):
        if path.suffix != ".md" and not line.isascii():
            yield path, number, "not ASCII"
        if path.suffix in CODE and len(line) > 140:
            yield path, number, "more than 140 columns"
        if "\t" in line and path.suffix != ".txt":
            yield path, number, "tab"
        if line != line.rstrip():
            yield path, number, "space at the end of the line"
        for pattern, sentence in EVERYWHERE:
            found = pattern.search(line)
            if found:
                yield path, number, f"'{found[0]}': {sentence}"


def check_library(path, text):
    code = strip_code(text).splitlines()
    raw = text.splitlines()
    for number, line in enumerate(code, 1):
        if line.lstrip().startswith("#include"):
            line = raw[number - 1]
        for pattern, sentence in IN_LIBRARY:
            found = pattern.search(line)
            if found:
                yield path, number, f"'{found[0].strip()}': {sentence}"


def check(top):
    problems = []
    for path in tracked_files(top):
        parts = path.relative_to(top).parts
        if path.suffix not in TEXT and path.name != "run":
            continue
        if "corpus" in parts or "golden" in parts or path.name == "LICENSE":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problems.append((path, 1, "not ASCII, nor UTF-8"))
            continue
        problems += check_lines(path, text.splitlines())
        if path.suffix in CODE | SCRIPTS | {".def"} and text and text[:2] not in COMMENT:
            problems.append((path, 1, "the first line is a comment that says what the file is for"))
        if text and not text.endswith("\n"):
            problems.append((path, len(text.splitlines()), "the last line has no end"))
        if parts[0] in ("lib", "capi") and path.suffix in CODE:
            problems += check_library(path, text)
    return problems


GOOD = "// Adds numbers.\nint f();\n"
SAMPLES = [
    ({"lib/a.hpp": GOOD}, None),
    ({"lib/a.hpp": GOOD + 'const char* s = "printf(abort())";  // never calls exit()\n'}, None),
    ({"lib/a.hpp": GOOD + "int x = snprintf(b, n, f);\n"}, None),
    ({"lib/a.hpp": "int f();\n"}, "first line"),
    ({"lib/a.hpp": GOOD + "int x; \n"}, "end of the line"),
    ({"lib/a.hpp": GOOD + "\tint x;\n"}, "tab"),
    ({"lib/a.hpp": GOOD + "// caf\u00e9\n"}, "not ASCII"),
    ({"lib/a.hpp": GOOD + "int x;"}, "no end"),
    ({"lib/a.hpp": GOOD + "// " + joined("TO", "DO: later\n")}, "unfinished"),
    ({"docs/a.md": "see " + joined("/wo", "rk/main\n")}, "path of one machine"),
    ({"docs/a.md": "written by an " + joined("AI ag", "ent\n")}, "who wrote it"),
    ({"lib/a.cpp": GOOD + "void g() { std::printf(x); }\n"}, "prints nothing"),
    ({"lib/a.cpp": GOOD + "#include <iostream>\n"}, "prints nothing"),
    ({"lib/a.cpp": GOOD + "void g() { std::abort(); }\n"}, "never ends"),
    ({"lib/a.cpp": GOOD + "void g() { exit(1); }\n"}, "never ends"),
    ({"lib/a.cpp": GOOD + "void g() { assert(x); }\n"}, "assert"),
    ({"lib/a.cpp": GOOD + "void g() { throw 1; }\n"}, "errors are values"),
    ({"lib/a.cpp": GOOD + "static_assert(sizeof(int) == 4);\n"}, None),
    ({"tests/a.cpp": GOOD + "int main() { printf(x); abort(); }\n"}, None),
]

if __name__ == "__main__":
    sys.exit(main(check, SAMPLES))
