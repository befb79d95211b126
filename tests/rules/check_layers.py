#!/usr/bin/env python3
# Rule: folders of lib/ include only the folders below them, and public headers include nothing of third parties.
import re
import sys

from common import CODE, main, tracked_files

LAYERS = {
    "base": "",
    "quant": "base",
    "graph": "base quant",
    "format": "base quant",
    "model": "base quant graph format",
    "text": "base",
    "runtime": "base quant graph format model text",
    "device": "base quant",
}
CAPI = "runtime base"
PUBLIC_FOR_LIB = {"hearth/backend.h", "hearth/ops.def", "hearth/formats.def"}
# capi/ opens the door to everything of include/hearth; the built-in backends are handed over by name, not included.
PUBLIC_NEEDS = {
    "hearth.h": {"stdint.h", "stddef.h"},
    "backend.h": {"stdint.h", "stddef.h", "hearth/ops.def", "hearth/formats.def", "ops.def", "formats.def"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
C_HEADERS = {
    "assert", "ctype", "errno", "fenv", "float", "inttypes", "limits", "locale", "math", "setjmp", "signal", "stdalign",
    "stdarg", "stdatomic", "stdbool", "stddef", "stdint", "stdio", "stdlib", "string", "time", "wchar",
}


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1], found[2]


def is_standard(name):
    """A C or C++ standard header: no folder, and either no suffix or a C header."""
    return "/" not in name and ("." not in name or name.removesuffix(".h") in C_HEADERS)


def check_core(path, inside, home, allowed):
    for number, _, name in includes(path):
        top = name.split("/")[0]
        if top == "hearth":
            if inside == "lib" and name not in PUBLIC_FOR_LIB:
                yield path, number, f"lib/ includes {name}; of include/hearth it may include only {sorted(PUBLIC_FOR_LIB)}"
        elif top in LAYERS and "/" in name and top != home and top not in allowed:
            yield path, number, f"{home} includes {name}, but {home} may see only: {' '.join(sorted(allowed)) or 'nothing'}"
        elif name.startswith("../") or "/../" in name:
            yield path, number, f"includes {name}: include from lib/, not by relative path"


def check_device(path, parts):
    """One device folder never includes another one."""
    for number, _, name in includes(path):
        other = re.match(r"device/(\w+)/", name)
        if other and len(parts) > 3 and other[1] != parts[2]:
            yield path, number, f"device/{parts[2]} includes {name}: backends share only quant/ and base/"


def check_public(path):
    allowed = PUBLIC_NEEDS.get(path.name)
    for number, _, name in includes(path):
        if allowed is not None and name not in allowed:
            yield path, number, f"{path.name} includes {name}; it may include only {sorted(allowed)}"
        elif allowed is None and not is_standard(name) and not name.startswith("hearth/"):
            yield path, number, f"public header includes {name}, which is neither standard nor ours"


def check(top):
    problems = []
    for path in tracked_files(top):
        parts = path.relative_to(top).parts
        if path.suffix not in CODE | {".def", ".inc"}:
            continue
        if parts[0] == "lib" and len(parts) > 2:
            home = parts[1]
            if home not in LAYERS:
                problems.append((path, 1, f"lib/{home} is not a folder of the layer table"))
                continue
            problems += check_core(path, "lib", home, set(LAYERS[home].split()))
            if home == "device":
                problems += check_device(path, parts)
        elif parts[0] == "capi" and "python" not in parts:
            problems += check_core(path, "capi", "capi", set(CAPI.split()))
        elif parts[0] == "include":
            problems += check_public(path)
    return problems


SAMPLES = [
    ({"lib/quant/a.hpp": '#include "base/half.hpp"\n#include <vector>\n'}, None),
    ({"lib/base/a.hpp": '#include "model/archs.hpp"\n'}, "base includes model/archs.hpp"),
    ({"lib/text/a.cpp": '#include "quant/q4.hpp"\n'}, "text includes quant/q4.hpp"),
    ({"lib/device/cpu/a.cpp": '#include "graph/graph.hpp"\n'}, "device includes graph/graph.hpp"),
    ({"lib/device/cpu/a.cpp": '#include "device/ref/run.hpp"\n'}, "device/cpu includes device/ref"),
    ({"lib/runtime/a.cpp": '#include "hearth/hearth.h"\n'}, "lib/ includes hearth/hearth.h"),
    ({"lib/runtime/a.cpp": '#include "hearth/backend.h"\n'}, None),
    ({"lib/util/a.cpp": "int x;\n"}, "not a folder of the layer table"),
    ({"capi/hearth.cpp": '#include "model/archs.hpp"\n'}, "capi includes model/archs.hpp"),
    ({"include/hearth/hearth.hpp": "#include <fmt/format.h>\n"}, "neither standard nor ours"),
    ({"include/hearth/hearth.hpp": '#include "hearth/hearth.h"\n#include <vector>\n'}, None),
    ({"include/hearth/hearth.h": "#include <stdbool.h>\n"}, "hearth.h includes stdbool.h"),
]

if __name__ == "__main__":
    sys.exit(main(check, SAMPLES))
