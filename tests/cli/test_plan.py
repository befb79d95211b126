"""hearth plan and run over simulated devices: an 8B model that exists as a header only, and a small one that runs."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

import gguf_writer
import gguf_file  # noqa: E402  (its folder is on the path now)

PROGRAM = ""
Q4_K = 12
N_LAYER, N_EMBD, N_FF, N_KV, N_VOCAB = 32, 4096, 14336, 1024, 128256


def write_8b(path):
    """The header of a Llama of 8B, all Q4_K, in a file without data: its tensors are a hole."""
    entries = {
        "general.architecture": "llama", "llama.context_length": 8192, "llama.embedding_length": N_EMBD, "llama.block_count": N_LAYER,
        "llama.feed_forward_length": N_FF, "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": 128, "llama.vocab_size": N_VOCAB,
    }
    shapes = [("token_embd.weight", (N_EMBD, N_VOCAB)), ("output.weight", (N_EMBD, N_VOCAB)), ("output_norm.weight", (N_EMBD,))]
    for i in range(N_LAYER):
        wide = [("attn_q", N_EMBD, N_EMBD), ("attn_k", N_EMBD, N_KV), ("attn_v", N_EMBD, N_KV), ("attn_output", N_EMBD, N_EMBD),
                ("ffn_gate", N_EMBD, N_FF), ("ffn_up", N_EMBD, N_FF), ("ffn_down", N_FF, N_EMBD)]
        shapes += [(f"blk.{i}.{name}.weight", (n_in, n_out)) for name, n_in, n_out in wide]
        shapes += [(f"blk.{i}.{name}.weight", (N_EMBD,)) for name in ("attn_norm", "ffn_norm")]
    tensors = [(name, shape, Q4_K, shape[0] * shape[1] // 256 * 144) if len(shape) > 1 else (name, shape, 0, 4 * shape[0])
               for name, shape in shapes]
    head, size = gguf_file.header_bytes(entries, tensors)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(size)
    return size


class Plans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.small, cls.large = pathlib.Path(folder.name) / "alphabet.gguf", pathlib.Path(folder.name) / "8b.gguf"
        gguf_writer.write(cls.small)
        cls.large_bytes = write_8b(cls.large)

    def hearth(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=300)

    def plan(self, model, device, ctx=4096):
        done = self.hearth("plan", "-m", model, "--device", device, "--ctx", ctx, "--json")
        plan = json.loads(done.stdout)
        self.assertEqual((done.returncode, done.stderr == ""), (0, True) if plan["fits"] else (1, False), done.stderr)
        return plan

    def test_33_layers_of_8b_do_not_fit_into_4_gib(self):
        begin = time.time()
        done = self.hearth("run", "-m", self.large, "--device", "sim:4GiB,layers=33", "--ctx", 4096, "-p", "a")
        seconds = time.time() - begin
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"sim:0: 33 layers need \d\.\d GiB \(weights \d\.\d GiB, KV [\d.]+ [MG]iB, compute [\d.]+ [MG]iB\) but 3\.8 GiB are "
                                      r"free; \d+ layers fit; use layers=\d+ or layers=auto")
        fit = int(re.search(r"(\d+) layers fit", done.stderr)[1])
        self.assertTrue(20 <= fit < 33)
        self.assertEqual(self.plan(self.large, "sim:4GiB,layers=auto")["n_layer_fits"], fit)
        self.assertTrue(self.plan(self.large, f"sim:4GiB,layers={fit}")["fits"])
        self.assertFalse(self.plan(self.large, f"sim:4GiB,layers={fit + 1}")["fits"])
        done = self.hearth("plan", "-m", self.large, "--device", f"sim:4GiB,layers={fit + 1}", "--ctx", 4096)
        self.assertEqual((done.returncode, "fits                  no" in done.stdout), (1, True), done.stdout)
        self.assertRegex(done.stderr, rf"^hearth: sim:0: \d\.\d+ GiB are needed, but \d\.\d+ GiB are free; use layers={fit} or layers=auto\n$")
        print(f"refusal of 33 layers: {1000 * seconds:.0f} ms, process included")

    def test_what_the_devices_hold_is_the_model(self):
        n_vector = 4 * N_EMBD * (2 * N_LAYER + 1)
        for device in ("cpu", "sim:8GiB,layers=33", "sim:3x2GiB,layers=20", "sim:8GiB,layers=10,kv=cpu"):
            p = self.plan(self.large, device)
            weights = sum(d["weight_bytes"] for d in p["devices"])
            self.assertEqual(weights, p["weight_bytes"])
            # Blocks as in the file, but for rows added up to whole panels, of which these shapes need none.
            wanted = sum(n_in * n_out // 256 * 144 for n_in, n_out in 2 * [(N_EMBD, N_VOCAB)] + N_LAYER * (
                2 * [(N_EMBD, N_EMBD), (N_EMBD, N_KV)] + 3 * [(N_EMBD, N_FF)])) + n_vector
            self.assertAlmostEqual(weights / wanted, 1, delta=0.02)
            self.assertEqual(sum(d["layers"] for d in p["devices"]), N_LAYER + 1)
            self.assertEqual(sum(d["cache_bytes"] for d in p["devices"]), 2 * 2 * N_KV * 4096 * N_LAYER)
            if "kv=cpu" in device:
                self.assertEqual([d["cache"] for d in p["devices"]], [True, False])

    def test_a_token_reads_its_weights_at_the_rate_of_each_device(self):
        device = "sim:2x4GiB;memory=8GB/s:2GB/s;free=2GiB:,layers=auto"
        plan = self.plan(self.large, device)
        cpu, *sims = plan["devices"]
        self.assertEqual([(d["device"], d["host"], d["declared_rate"]) for d in plan["devices"]],
                         [("cpu", True, 0), ("sim:0", False, 8000000000), ("sim:1", False, 2000000000)])
        self.assertEqual([d["token_bytes"] for d in sims], [d["weight_bytes"] for d in sims])
        self.assertAlmostEqual(cpu["token_bytes"], N_EMBD // 256 * 144, delta=64)  # one row of the embedding
        # Layers of 117 MiB with a cache of 16 into 2 GiB, less the reserve of 256 MiB, a sixteenth of 4 GiB, and some 100 of activations.
        self.assertEqual([d["layers"] for d in plan["devices"]], [0, 12, N_LAYER + 1 - 12])
        text = self.hearth("plan", "-m", self.large, "--device", device, "--ctx", 4096).stdout
        self.assertRegex(text, r"read per token +1\.\d+ GiB of the weights, at 8\.0 GB/s")
        self.assertRegex(text, r"read per token +2\.\d+ GiB of the weights, at 2\.0 GB/s")

    def test_a_small_model_says_the_same_everywhere(self):
        want = self.hearth("run", "-m", self.small, "--device", "cpu", "--greedy", "-p", "a", "-n", 20).stdout
        self.assertIn("bcdef", want)
        for device in ("sim:8MiB", "sim:8MiB,layers=1", "sim:2x8MiB,layers=all,kv=cpu", "sim:8MiB,layers=auto"):
            done = self.hearth("run", "-m", self.small, "--device", device, "--greedy", "-p", "a", "-n", 20)
            self.assertEqual((done.returncode, done.stdout), (0, want), done.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
