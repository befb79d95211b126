#!/usr/bin/env python3
# Rule: every relative link in a Markdown page leads to a file, every `path/in/backticks` of ours exists, and the README lists every preset.
import json
import re
import sys

from common import main, tracked_files

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"`((?:lib|capi|include|tests|cmake|docs|examples)/[\w./-]+)`")


def check(top):
    problems = []
    for path in tracked_files(top):
        if path.suffix != ".md":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for target in LINK.findall(line):
                file = target.split("#")[0]
                if not re.match(r"[a-z]+:", target) and file and not (path.parent / file).exists():
                    problems.append((path, number, f"link to {target}, which does not exist"))
            for target in MENTION.findall(line):
                if not (top / target.rstrip(".")).exists():
                    problems.append((path, number, f"names {target}, which does not exist"))
    return problems + unlisted_presets(top)


def unlisted_presets(top):
    presets, readme = top / "CMakePresets.json", top / "README.md"
    if not presets.exists():
        return []
    names = [p["name"] for p in json.loads(presets.read_text(encoding="utf-8"))["configurePresets"] if not p.get("hidden")]
    rows = re.findall(r"^\| `([\w-]+)` \|", readme.read_text(encoding="utf-8"), re.M)
    return [(readme, 1, f"does not list the preset {name}") for name in names if name not in rows]


SAMPLES = [
    ({"docs/a.md": "[b](b.md) [web](https://example.org) [here](#x)\n", "docs/b.md": "x\n"}, None),
    ({"docs/a.md": "[b](b.md#part)\n"}, "link to b.md#part"),
    ({"README.md": "see `lib/base/no.hpp`\n"}, "names lib/base/no.hpp"),
    ({"README.md": "see `docs/a.md`\n", "docs/a.md": "x\n"}, None),
    ({"README.md": "| `a` | |\n", "CMakePresets.json": '{"configurePresets": [{"name": "a"}, {"name": "z", "hidden": true}]}'}, None),
    ({"README.md": "| `a` | |\n", "CMakePresets.json": '{"configurePresets": [{"name": "b"}]}'}, "the preset b"),
]

if __name__ == "__main__":
    sys.exit(main(check, SAMPLES))
