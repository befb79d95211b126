#!/usr/bin/env python3
# Adds up what tests/run.sh ran (its steps and the JUnit files of ctest) and prints the closing line.
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

CASES = re.compile(r"^cases: (\d+) passed, (\d+) failed, (\d+) skipped$", re.M)


def count_test(case):
    """(passed, failed, skipped, skip lines) of one ctest test: its own case line where it prints one, else itself."""
    output = case.findtext("system-out") or ""
    skips = re.findall(r"^SKIPPED: (.*)$", output, re.M)
    if case.get("status") == "notrun" or case.find("skipped") is not None:
        return 0, 0, 1, skips or [case.get("name") + ": not run"]
    broken = case.get("status") == "fail" or case.find("failure") is not None
    found = CASES.findall(output)
    if not found:
        return int(not broken), int(broken), 0, skips
    passed, failed, skipped = (sum(int(line[i]) for line in found) for i in range(3))
    if broken and failed == 0:
        failed = 1
    return passed, failed, skipped, skips


def main(folder):
    passed = failed = skipped = 0
    skip_lines, failures = [], []
    steps = folder / "steps"
    for line in steps.read_text().splitlines() if steps.exists() else []:
        how, name, reason = line.split("\t")
        passed += how == "passed"
        failed += how == "failed"
        skipped += how == "skipped"
        if how == "skipped":
            skip_lines.append(f"{name} {reason}")
        if how == "failed":
            failures.append(f"{name} {reason}")
    for path in sorted(folder.glob("*.xml")):
        for case in xml.parse(path).getroot().iter("testcase"):
            p, f, s, skips = count_test(case)
            passed, failed, skipped = passed + p, failed + f, skipped + s
            skip_lines += [f"{path.stem} {case.get('name')}: {text}" for text in skips]
            if f:
                failures.append(f"{path.stem} {case.get('name')}: {f} failed")
    for text in skip_lines:
        print("skipped:", text)
    for text in failures:
        print("failed:", text)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
