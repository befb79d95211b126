#!/usr/bin/env python3
"""Writes capi/python/hearth/_abi.py, the ctypes side of the C ABI, from capi/abi.txt (--check: only says whether it is current)."""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SNAPSHOT, BINDING = HERE / "abi.txt", HERE / "python" / "hearth" / "_abi.py"

# Every C type that crosses the ABI by value; no bool, no long, no enum type.
SCALARS = {
    "char": "c_char", "float": "c_float", "int32_t": "c_int32", "int64_t": "c_int64", "size_t": "c_size_t",
    "uint8_t": "c_uint8", "uint32_t": "c_uint32", "uint64_t": "c_uint64",
}


class Declarator:
    """A C declarator, parsed: `name` (or "") and `type`, nested tuples:
    ("name", base, is_const), ("pointer", type), ("array", type, n), ("function", result, (parameter types...))."""

    def __init__(self, text, typedefs=()):
        self.tokens = re.findall(r"\w+|[*()\[\],]", text)
        self.at, self.text, self.typedefs = 0, text, typedefs
        self.name, self.type = self.declaration()
        if self.at != len(self.tokens):
            raise ValueError(f"cannot read '{text}' from '{' '.join(self.tokens[self.at:])}'")

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted=None):
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise ValueError(f"cannot read '{self.text}': {wanted or 'a word'} is missing at '{token}'")
        self.at += 1
        return token

    def declaration(self):
        is_const = self.peek() == "const"
        if is_const:
            self.take()
        kind = ("name", self.take(), is_const)
        while self.peek() == "*":
            self.take()
            kind = ("pointer", kind)
        if self.peek() == "(" and self.tokens[self.at + 1] == "*":
            return self.function_pointer(kind)
        name = self.take() if re.match(r"[A-Za-z_]", self.peek()) else ""
        if self.peek() == "[":
            self.take()
            kind = ("array", kind, int(self.take()))
            self.take("]")
        return name, kind

    def function_pointer(self, result):
        self.take("(")
        self.take("*")
        name = self.take() if self.peek() != ")" else ""
        self.take(")")
        return name, ("pointer", ("function", result, self.parameters()))

    def parameters(self):
        self.take("(")
        found = []
        while self.peek() != ")":
            found.append(self.declaration()[1])
            if self.peek() == ",":
                self.take()
        self.take(")")
        return () if found == [("name", "void", False)] else tuple(found)


def parse_type(text):
    return Declarator(text).type


def type_text(kind):
    """The C spelling without names: 'const char *', 'char[64]', 'int32_t (*)(void *, uint64_t)'."""
    if kind[0] == "name":
        return ("const " if kind[2] else "") + kind[1]
    if kind[0] == "array":
        return f"{type_text(kind[1])}[{kind[2]}]"
    if kind[1][0] == "function":
        return f"{type_text(kind[1][1])} (*)({', '.join(map(type_text, kind[1][2])) or 'void'})"
    inner = type_text(kind[1])
    return inner + ("*" if inner.endswith("*") else " *")


def ctype(kind, names):
    """The ctypes expression for a parsed type; names: what the handles, structs and typedefs are called."""
    if kind[0] == "name":
        if kind[1] in SCALARS:
            return SCALARS[kind[1]]
        if kind[1] == "void":
            return "None"
        return names[kind[1]]
    if kind[0] == "array":
        return f"{ctype(kind[1], names)} * {kind[2]}"
    inner = kind[1]
    if inner[0] == "function":
        return f"CFUNCTYPE({', '.join([ctype(inner[1], names)] + [ctype(p, names) for p in inner[2]])})"
    if inner[0] == "name" and inner[1] == "void":
        return "c_void_p"
    if inner[0] == "name" and inner[1] == "char" and inner[2]:
        return "c_char_p"
    if inner[0] == "name" and names.get(inner[1], "").startswith("handle "):
        return inner[1]
    return f"POINTER({ctype(inner, names)})"


def read_snapshot(text):
    """abi.txt as lists in file order: {"enum": [(name, value)], "handle", "type", "struct", "field", "function"}."""
    found = {kind: [] for kind in ("enum", "handle", "type", "struct", "field", "function")}
    patterns = {
        "enum": r"(\w+) = (-?\d+)", "handle": r"(\w+)", "type": r"(\w+) = (.+)", "struct": r"(\w+) (\d+)",
        "field": r"(\w+)\.(\w+) @(\d+) \+(\d+) (.+)", "function": r"(\w+)\((.*)\) -> (.+)",
    }
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        kind, _, rest = line.partition(" ")
        matched = re.fullmatch(patterns[kind], rest) if kind in patterns else None
        if not matched:
            raise ValueError(f"abi.txt: cannot read '{line}'")
        found[kind].append(matched.groups())
    return found


def split_types(text):
    """Splits at commas outside parentheses: the parameter types of a function."""
    return re.findall(r"(?:[^,(]|\([^()]*(?:\([^()]*\)[^()]*)*\))+", text) if text != "void" else []


HEAD = '''"""Generated by capi/bind.py from capi/abi.txt; do not edit. The C ABI as ctypes structs, constants and signatures."""
from ctypes import (CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint8, c_uint32,
                    c_uint64, c_void_p)
'''


def render(text):
    abi = read_snapshot(text)
    names = {name: "handle " + name for (name,) in abi["handle"]}
    names.update({name: name for name, _ in abi["struct"]})
    names.update({name: SCALARS[target] for name, target in abi["type"]})
    out = [HEAD]
    out += [f"{name} = {value}" for name, value in abi["enum"]]
    for (name,) in abi["handle"]:
        out.append(f"\n\nclass {name}(c_void_p):\n    pass")
    for name in dict.fromkeys(name for name, _ in abi["struct"]):
        out.append(f"\n\nclass {name}(Structure):\n    _fields_ = [")
        for struct, field, _, _, kind in abi["field"]:
            if struct == name:
                out.append(f'        ("{field}", {ctype(parse_type(kind), names)}),')
        out.append("    ]")
    out.append("\n\n# name: (result, [parameters])\nFUNCTIONS = {")
    for name, parameters, result in abi["function"]:
        kinds = ", ".join(ctype(parse_type(p.strip()), names) for p in split_types(parameters))
        out.append(f'    "{name}": ({ctype(parse_type(result), names)}, [{kinds}]),')
    return "\n".join(out + ["}", ""])


def main(arguments):
    wanted = render(SNAPSHOT.read_text())
    if arguments == ["--check"]:
        if BINDING.exists() and BINDING.read_text() == wanted:
            return 0
        print("capi/python/hearth/_abi.py is not what capi/bind.py makes of capi/abi.txt; run capi/bind.py")
        return 1
    if arguments:
        print("usage: bind.py [--check]")
        return 2
    BINDING.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
