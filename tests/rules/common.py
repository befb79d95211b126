# What the rule checks share: the list of source files, reporting as file:line, and the self-test frame.
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
CODE = {".cpp", ".hpp", ".h", ".c", ".cu", ".cuh"}
SCRIPTS = {".py", ".sh", ".cmake"}


def tracked_files(top):
    """Paths below top that are source: what git tracks or would track, else everything outside build folders."""
    listed = subprocess.run(["git", "-C", str(top), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        paths = [top / name for name in listed.stdout.splitlines()]
    else:
        paths = [p for p in top.rglob("*") if not p.relative_to(top).parts[0].startswith(("build", ".git"))]
    return sorted(p for p in paths if p.is_file())


def strip_code(text):
    """C and C++ text with comments, strings and characters blanked, line breaks kept."""
    out, i, n = [], 0, len(text)
    while i < n:
        two = text[i : i + 2]
        if two == "//":
            end = text.find("\n", i)
            end = n if end < 0 else end
        elif two == "/*":
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
        elif two == 'R"' and (i == 0 or not (text[i - 1].isalnum() or text[i - 1] == "_")):
            delimiter = text[i + 2 : text.find("(", i)]
            end = text.find(")" + delimiter + '"', i)
            end = n if end < 0 else end + len(delimiter) + 2
        elif text[i] == '"' or (text[i] == "'" and not (i > 0 and text[i - 1].isalnum())):
            end = i + 1
            while end < n and text[end] not in (text[i], "\n"):
                end += 2 if text[end] == "\\" else 1
            end = min(end + 1, n)
            out.append(text[i] + " " * (end - i - 2) + (text[i] if end - i >= 2 else ""))
            i = end
            continue
        else:
            out.append(text[i])
            i += 1
            continue
        out.append("".join(c if c == "\n" else " " for c in text[i:end]))
        i = end
    return "".join(out)


def finish(problems, top=TOP, note=""):
    """Prints every (path, line, sentence) and exits: 1 if there is any."""
    for path, line, sentence in problems:
        name = path.relative_to(top) if isinstance(path, pathlib.Path) and path.is_relative_to(top) else path
        print(f"{name}:{line}: {sentence}")
    if note:
        print(note)
    print(f"{len(problems)} problems" if problems else "ok")
    return 1 if problems else 0


def self_test(check, samples):
    """Each sample is (files {name: text}, words expected in some problem, or None where none may be found)."""
    failed = 0
    for files, expected in samples:
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            for name, text in files.items():
                (top / name).parent.mkdir(parents=True, exist_ok=True)
                (top / name).write_text(text, encoding="utf-8")
            found = [sentence for _, _, sentence in check(top)]
        good = not found if expected is None else any(expected in sentence for sentence in found)
        if not good:
            failed += 1
            print(f"self-test: sample {sorted(files)} expected {expected!r}, found {found}")
    print(f"self-test: {len(samples) - failed} of {len(samples)} samples judged right")
    return 1 if failed else 0


def main(check, samples, note=lambda top: ""):
    if "--self-test" in sys.argv:
        return self_test(check, samples)
    return finish(check(TOP), TOP, note(TOP))
