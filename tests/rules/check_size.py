#!/usr/bin/env python3
# Rule: files have at most 500 lines, functions 60 (kernels in lib/device 80); prints the median and 90th percentile.
import ast
import re
import statistics
import sys

from common import CODE, SCRIPTS, main, strip_code, tracked_files

FILE_LINES, FUNCTION_LINES, KERNEL_LINES = 500, 60, 80
NOT_A_FUNCTION = re.compile(
    r"(^|[\s;}])(namespace|class|struct|union|enum|extern)\b[^()]*$|=\s*$|\benum\b|(^|\s)(if|for|while|switch|catch|do|else|try)\b")


def is_table(path, top):
    """Lists are exempt: .def files, generated or tabulated data, JSON, and files named ..._table or archs.cpp."""
    return path.suffix == ".def" or path.stem.endswith(("_table", "_tables", "_data")) or path.name == "archs.cpp"


def functions(text):
    """(line, lines, header) of every function body in C or C++ text, found by matching braces."""
    code = re.sub(r"(?m)^\s*#.*(?:\\\n.*)*", lambda m: "\n" * m[0].count("\n"), strip_code(text))
    stack, start = [], 0
    for i, c in enumerate(code):
        if c == "{":
            header = code[start:i].strip()
            inside = any(kind for kind, _, _ in stack)
            is_function = not inside and ")" in header and not NOT_A_FUNCTION.search(header)
            first = i - len(code[start:i]) + (len(code[start:i]) - len(code[start:i].lstrip()))
            stack.append((is_function, first, header))
            start = i + 1
        elif c == "}":
            if stack:
                is_function, first, header = stack.pop()
                if is_function:
                    line = code.count("\n", 0, first) + 1
                    yield line, code.count("\n", first, i) + 1, header
            start = i + 1
        elif c == ";":
            start = i + 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1, node.name


def short_name(header):
    """The declarator before the first parenthesis, for messages."""
    return re.sub(r"\s+", " ", header.split("(")[0]).strip().split(" ")[-1] or "function"


def measure(top):
    """(path, lines, [(line, lines, name)], function limit) of every source file."""
    for path in tracked_files(top):
        if path.suffix not in CODE | SCRIPTS | {".def"} or is_table(path, top):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        parts = path.relative_to(top).parts
        limit = KERNEL_LINES if parts[:2] == ("lib", "device") else FUNCTION_LINES
        found = []
        if path.suffix in CODE:
            found = [(line, n, short_name(header)) for line, n, header in functions(text)]
        elif path.suffix == ".py":
            found = list(python_functions(text))
        yield path, text.count("\n"), found, limit


def check(top):
    problems = []
    for path, lines, found, limit in measure(top):
        if lines > FILE_LINES:
            problems.append((path, lines, f"file of {lines} lines; at most {FILE_LINES}"))
        for line, n, name in found:
            if n > limit:
                problems.append((path, line, f"function {name} of {n} lines; at most {limit}"))
    return problems


def note(top):
    core = [m for m in measure(top) if m[0].relative_to(top).parts[0] in ("lib", "capi", "include", "examples")]
    sizes = sorted(lines for _, lines, _, _ in core)
    lengths = sorted(n for _, _, found, _ in core for _, n, _ in found)
    if not lengths:
        return "no functions"
    return (f"{len(sizes)} files: median {statistics.median(sizes):.0f} lines, longest {sizes[-1]}; {len(lengths)} functions: "
            f"median {statistics.median(lengths):.0f}, 90th percentile {lengths[len(lengths) * 9 // 10]}, longest {lengths[-1]}")


def body(n):
    return "".join(f"    x += {i};\n" for i in range(n))


SAMPLES = [
    ({"lib/base/a.cpp": "int f(int x) {\n" + body(58) + "}\n"}, None),
    ({"lib/base/a.cpp": "int f(int x) {\n" + body(59) + "}\n"}, "function f of 61 lines"),
    ({"lib/device/cpu/a.cpp": "void f(int x) {\n" + body(70) + "}\n"}, None),
    ({"lib/device/cpu/a.cpp": "void f(int x) {\n" + body(90) + "}\n"}, "function f of 92 lines"),
    ({"lib/base/a.cpp": "namespace a {\nclass B {\n  B(int x) : y_(x) {\n" + body(60) + "}\n};\n}\n"}, "function B of 62"),
    ({"lib/base/a.cpp": "namespace a {\n" + "int f() { return 1; }\n" * 200 + "}\n"}, None),
    ({"lib/base/a.cpp": "constexpr int kTable[] = {\n" + "1,\n" * 100 + "};\n"}, None),
    ({"lib/base/a.cpp": 'const char* s() {\n return "}";\n' + "// }\n" * 60 + "}\n"}, "function s of 63 lines"),
    ({"lib/base/a.hpp": "int x;\n" * 501}, "file of 501 lines"),
    ({"include/hearth/ops.def": "X(1)\n" * 600}, None),
    ({"capi/bind.py": "def f():\n" + "    x = 1\n" * 60}, "function f of 61 lines"),
    ({"tests/run.sh": "true\n" * 501}, "file of 501 lines"),
]

if __name__ == "__main__":
    sys.exit(main(check, SAMPLES, note))
