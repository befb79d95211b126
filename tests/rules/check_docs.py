#!/usr/bin/env python3
# Rule: every relative link in a Markdown page leads to a file, and every `path/in/backticks` of ours exists.
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
    return problems


SAMPLES = [
    ({"docs/a.md": "[b](b.md) [web](https://example.org) [here](#x)\n", "docs/b.md": "x\n"}, None),
    ({"docs/a.md": "[b](b.md#part)\n"}, "link to b.md#part"),
    ({"README.md": "see `lib/base/no.hpp`\n"}, "names lib/base/no.hpp"),
    ({"README.md": "see `docs/a.md`\n", "docs/a.md": "x\n"}, None),
]

if __name__ == "__main__":
    sys.exit(main(check, SAMPLES))
