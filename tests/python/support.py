"""What the tests of the Python package share: the package from this repository, the tiny model, forced generations."""
import atexit
import os
import shutil
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "capi", "python")]
FIXTURES = os.environ.get("HEARTH_TEST_FIXTURES") or os.path.join(os.path.dirname(TOP), "shared", "fixtures")

try:
    import hearth
except ImportError as error:
    raise unittest.SkipTest(str(error))

import tiny_gguf  # noqa: E402

FOLDER = tempfile.mkdtemp(prefix="hearth-python-")
atexit.register(shutil.rmtree, FOLDER, True)


def tiny_model(**options):
    """The path of a tiny model, written once per set of options."""
    name = "-".join(["tiny"] + [f"{key}{hash(str(value)) & 0xffff:x}" for key, value in sorted(options.items())]) + ".gguf"
    path = os.path.join(FOLDER, name)
    if not os.path.exists(path):
        tiny_gguf.write(path, **options)
    return path


def fixture(*parts):
    """A shared fixture's path; skips aloud where it is absent."""
    path = os.path.join(FIXTURES, *parts)
    if not os.path.exists(path):
        print(f"SKIPPED: no fixture {'/'.join(parts)}", flush=True)
        raise unittest.SkipTest(f"no fixture {'/'.join(parts)}")
    return path


class Script:
    """A logits processor that forces tokens: a list of ids, or bytes, each by its byte token."""

    def __init__(self, llama, script):
        self.llama = llama
        byte0 = next(t for t in range(llama.n_vocab()) if llama.model.piece(t) == b"\0")
        self.tokens = [byte0 + b for b in script] if isinstance(script, bytes) else list(script)
        self.at = 0

    def __call__(self, input_ids, scores):
        forced = [-1e9] * len(scores)
        forced[self.tokens[self.at]] = 0.0
        self.at += 1
        return forced
