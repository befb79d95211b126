"""Reads the declarations of hearth.h: a parser for our own disciplined C, which refuses what the ABI rules forbid."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "capi"))
from bind import SCALARS, Declarator, type_text  # noqa: E402


class HeaderError(Exception):
    pass


class Header:
    """constants: names; handles, types: {name: target}; structs: {name: [(field, type text)]}; functions:
    {name: (parameter type texts, result type text)}; all in header order."""

    def __init__(self, text):
        self.constants, self.handles, self.types, self.structs, self.functions = [], [], {}, {}, {}
        for statement in statements(text):
            self.read(statement)
        self.check_rules()

    def read(self, text):
        enum = re.fullmatch(r"enum \{(.*)\}", text)
        struct = re.fullmatch(r"typedef struct (\w+) \{(.*)\} (\w+)", text)
        handle = re.fullmatch(r"typedef struct (\w+) (\w+)", text)
        typedef = re.fullmatch(r"typedef (\w+) (\w+)", text)
        function = re.fullmatch(r"HEARTH_API (.+?)(hearth_\w+)(\(.*\))", text)
        if enum:
            self.constants += [part.split("=")[0].strip() for part in enum[1].split(",") if part.strip()]
        elif struct and struct[1] == struct[3]:
            self.structs[struct[1]] = fields(struct[2])
        elif handle and handle[1] == handle[2]:
            self.handles.append(handle[1])
        elif typedef:
            self.types[typedef[2]] = typedef[1]
        elif function:
            # As a function pointer, so that one parser serves both.
            kind = Declarator(f"{function[1]} (*{function[2]}){function[3]}").type[1]
            self.functions[function[2]] = ([type_text(p) for p in kind[2]], type_text(kind[1]))
        else:
            raise HeaderError(f"hearth.h: cannot read the declaration '{text}'")

    def check_rules(self):
        known = set(SCALARS) | {"void"} | set(self.types)
        named = set(self.handles) | set(self.structs)
        texts = [(f"{s}.{f}", kind) for s, members in self.structs.items() for f, kind in members]
        texts += [(name, kind) for name, (parameters, result) in self.functions.items() for kind in parameters + [result]]
        for where, kind in texts:
            for word in re.findall(r"[A-Za-z_]\w*", kind):
                if word not in known | named | {"const"}:
                    raise HeaderError(f"{where}: the type '{word}' does not cross the ABI")
            if kind in named:
                raise HeaderError(f"{where}: '{kind}' is passed by value; pass a pointer")
        for name, members in self.structs.items():
            if members[0] != ("struct_size", "uint32_t"):
                raise HeaderError(f"{name}: the first field is not uint32_t struct_size")


def fields(body):
    """[(name, type text)] of a struct's members; 'uint64_t a, b;' are two."""
    found = []
    for member in (part.strip() for part in body.split(";")):
        if not member:
            continue
        names = [member]
        if "(" not in member and "," in member:
            first, *others = [part.strip() for part in member.split(",")]
            base = re.match(r"(const )?\w+ ", first)[0]
            names = [first] + [base + other for other in others]
        for text in names:
            declarator = Declarator(text)
            found.append((declarator.name, type_text(declarator.type)))
    return found


def statements(text):
    """The header's declarations, each on one line without its semicolon; comments and the preprocessor are gone."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = re.sub(r"(?m)^\s*#(?:[^\n]*\\\n)*[^\n]*", "", text)
    text = re.sub(r'extern "C" \{', "", text)
    depth, start = 0, 0
    for i, c in enumerate(text):
        depth += (c == "{") - (c == "}")
        if depth < 0:  # the end of extern "C"
            return
        if c == ";" and depth == 0:
            yield re.sub(r"\s+", " ", text[start:i]).strip()
            start = i + 1
