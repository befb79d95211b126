#!/usr/bin/env python3
# The hearth program end to end: right output on stdout, one sentence on stderr where the work fails, and the exit codes.
# Usage: test_cli.py PATH_OF_HEARTH [unittest arguments]
import array
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import gguf_writer

PROGRAM = ""
TOP = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = pathlib.Path(os.environ.get("HEARTH_TEST_FIXTURES", TOP.parent / "shared" / "fixtures"))
LEVELS = ("generic", "generic-tiles", "neon-dot", "neon-i8mm", "v2", "v3", "v3-vnni", "v4", "v4-amx")


def fixture(name):
    path = FIXTURES / name
    if not path.exists():
        raise unittest.SkipTest(f"fixture {name} is not here")
    return path


def hearth(*arguments, level=None, stdin=""):
    env = dict(os.environ)
    env.pop("HEARTH_CPU_LEVEL", None)
    if level:
        env["HEARTH_CPU_LEVEL"] = level
    done = subprocess.run([PROGRAM, *map(str, arguments)], env=env, input=stdin.encode(), capture_output=True, timeout=300)
    done.out, done.err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    return done


def usable_levels():
    """The CPU levels that this machine has: the others are an error that lists these."""
    found = [level for level in LEVELS if "unavailable" not in hearth("devices", level=level).out.split("ref")[0]]
    return found or [None]


def floats(path):
    values = array.array("f")
    values.frombytes(pathlib.Path(path).read_bytes())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def nmse(got, want):
    return sum((a - b) ** 2 for a, b in zip(got, want)) / sum(b * b for b in want)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.model = cls.folder / "alphabet.gguf"
        gguf_writer.write(cls.model)

    def ok(self, *arguments, **named):
        done = hearth(*arguments, **named)
        self.assertEqual(done.returncode, 0, done.err)
        return done

    def fails(self, code, *arguments, says=""):
        """Exit code, nothing on stdout, one sentence on stderr."""
        done = hearth(*arguments)
        self.assertEqual(done.returncode, code, done.err)
        self.assertEqual(done.out, "")
        self.assertEqual(len(done.err.strip().splitlines()), 1, done.err)
        self.assertIn(says, done.err)


class Alphabet(Case):
    """The model of gguf_writer.py, where everything is known."""

    def test_greedy_text_is_the_rest_of_the_alphabet_on_every_device_and_level(self):
        runs = [("cpu", level) for level in usable_levels()] + [("ref", None)]
        for device, level in runs:
            with self.subTest(device=device, level=level):
                done = self.ok("run", "-m", self.model, "-p", "hello", "--greedy", "--device", device, level=level)
                self.assertEqual(done.out, "pqrstuvwxyz\n")
                self.assertIn("tokens/s", done.err)

    def test_n_limits_the_answer(self):
        self.assertEqual(self.ok("run", "-m", self.model, "-p", "a", "--temp", "0", "-n", "3").out, "bcd\n")

    def test_prompt_from_a_file_and_from_stdin(self):
        prompt = self.folder / "prompt.txt"
        prompt.write_text("w")
        self.assertEqual(self.ok("run", "-m", self.model, "-f", prompt, "--greedy").out, "xyz\n")
        self.assertEqual(self.ok("run", "-m", self.model, "-f", "-", "--greedy", stdin="w").out, "xyz\n")

    def test_chat_and_conversation_go_through_the_template(self):
        self.assertEqual(self.ok("run", "-m", self.model, "--chat", "-p", "x", "--greedy").out, "yz\n")
        done = self.ok("run", "-m", self.model, "-i", "--greedy", stdin="v\nx\n")
        self.assertEqual(done.out, "wxyz\nyz\n")
        done = self.ok("run", "-m", self.model, "-i", "-p", "w", "--greedy", stdin="x\n")
        self.assertEqual(done.out, "xyz\nyz\n")

    def test_a_seed_gives_the_same_text_and_a_hot_sampler_different_ones(self):
        def text(seed):
            return self.ok("run", "-m", self.model, "-p", "a", "-n", "12", "--seed", seed, "--temp", "9",
                           "--sampling", "top_k=0,min_p=0,top_p=1").out
        self.assertEqual(text(7), text(7))
        self.assertGreater(len({text(seed) for seed in range(4)}), 1)

    def test_output_is_whole_utf8_also_where_bytes_are_drawn(self):
        done = self.ok("run", "-m", self.model, "-p", "a", "-n", "60", "--seed", "1", "--temp", "50",
                       "--sampling", "top_k=0,min_p=0,top_p=1")
        done.stdout.decode("utf-8")
        self.assertIn("\ufffd", done.out)

    def test_a_full_context_ends_the_answer_and_says_so(self):
        endless = self.folder / "endless.gguf"
        gguf_writer.write(endless, endless=True)
        done = self.ok("run", "-m", endless, "-p", "a", "--greedy", "--ctx", "64")
        self.assertIn("the context is full", done.err)
        exact = self.ok("run", "-m", endless, "-p", "a", "--greedy", "--ctx", "32", "-n", "30")  # 3 of the prompt, 29 that are read
        self.assertNotIn("full", exact.err)
        self.assertTrue(done.out.startswith("bcdefghijklmnopqrstuvwxyzabc"), done.out)

    def test_a_conversation_forgets_its_oldest_messages_where_the_context_is_full(self):
        # BOS, the space mark and a letter; each exchange adds 26. From 48 tokens on it is cut down to 32.
        done = self.ok("run", "-m", self.model, "-i", "--greedy", "--ctx", "64", stdin="a\na\na\na\nv\n")
        self.assertEqual(done.out, 4 * "bcdefghijklmnopqrstuvwxyz\n" + "wxyz\n")
        self.assertEqual(done.err.count("the context is full: the oldest 2 messages are forgotten"), 3, done.err)

    def test_the_system_message_is_never_forgotten(self):
        done = self.ok("run", "-m", self.model, "-i", "--greedy", "--ctx", "64", "--system", 20 * "s", stdin="a\na\na\n")
        self.assertEqual(done.out, 3 * "bcdefghijklmnopqrstuvwxyz\n")
        self.assertEqual(re.findall(r"prompt (\d+) tokens", done.err), ["23", "1", "1"], done.err)

    def test_a_message_longer_than_the_context_is_refused_and_the_conversation_goes_on(self):
        done = hearth("run", "-m", self.model, "-i", "--greedy", "--ctx", "32", stdin="w\n" + 40 * "a" + "\nx\n")
        self.assertEqual((done.returncode, done.out), (1, "xyz\nyz\n"), done.err)
        self.assertIn("hearth: the message needs 42 tokens, but the context holds 32", done.err)
        self.assertNotIn("forgotten", done.err)

    def test_an_answer_that_fills_the_context_is_cut_and_the_conversation_goes_on(self):
        endless = self.folder / "endless.gguf"
        gguf_writer.write(endless, endless=True)
        done = self.ok("run", "-m", endless, "-i", "--greedy", "--ctx", "32", stdin="a\nb\n")
        self.assertEqual([line[:3] for line in done.out.splitlines()], ["bcd", "cde"])
        self.assertEqual(done.err.count("the answer was cut off"), 2, done.err)

    @unittest.skipIf(os.name == "nt", "signals")
    def test_interrupt_stops_the_answer(self):
        endless = self.folder / "endless.gguf"
        gguf_writer.write(endless, endless=True)
        command = [PROGRAM, "run", "-m", endless, "-p", "a", "--greedy", "--ctx", "100000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            self.assertEqual(running.stdout.read(4), b"bcde")
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 1, err)
        self.assertIn(b"stopped by Ctrl-C", err)
        self.assertTrue(out.endswith(b"\n"))

    def test_tokenize(self):
        a = gguf_writer.FIRST_LETTER
        self.assertEqual(self.ok("tokenize", "-m", self.model, "-p", "ab").out, f"1 {a - 1} {a} {a + 1}\n")
        self.assertEqual(self.ok("tokenize", "-m", self.model, "-p", "ab", "--no-special").out, f"{a - 1} {a} {a + 1}\n")
        listed = json.loads(self.ok("tokenize", "-m", self.model, "-p", "b", "--json").out)
        self.assertEqual([t["id"] for t in listed], [1, a - 1, a + 1])
        self.assertEqual(listed[-1]["piece"], "b")

    def test_logits_are_the_ones_that_the_weights_say(self):
        a, n = gguf_writer.FIRST_LETTER, gguf_writer.N_VOCAB
        peak = 1 / math.sqrt(1 / n + gguf_writer.EPSILON)
        out = self.folder / "logits.f32"
        for batch in (512, 2):
            self.ok("logits", "-m", self.model, "--tokens", f"1 {a},{a + 25}", "-o", out, "--batch", batch, "--kv", "f32")
            got = floats(out)
            self.assertEqual(len(got), 3 * n)
            for row, token in enumerate((a, a + 1, 2)):
                want = [peak if i == token else 0.0 for i in range(n)]
                self.assertLess(nmse(got[row * n:(row + 1) * n], want), 1e-10)

    def test_perplexity_is_the_one_that_the_weights_say(self):
        text = self.folder / "text.txt"
        text.write_text("abcdefghijklmnopqrstuvwxyz")  # with BOS and the space mark: 28 tokens, 3 windows of 8
        peak = 1 / math.sqrt(1 / gguf_writer.N_VOCAB + gguf_writer.EPSILON)
        want = math.exp(math.log(math.exp(peak) + gguf_writer.N_VOCAB - 1) - peak)
        got = json.loads(self.ok("perplexity", "-m", self.model, "-f", text, "--ctx", "8", "--json").out)
        self.assertEqual((got["n_window"], got["n_token"]), (3, 9))
        self.assertAlmostEqual(got["perplexity"], want, delta=1e-6)

    def test_inspect(self):
        shown = json.loads(self.ok("inspect", self.model, "--json").out)
        self.assertEqual((shown["architecture"], shown["n_vocab"], shown["n_embd"]), ("llama", 288, 288))
        self.assertEqual(shown["metadata"]["general.name"], "alphabet")
        self.assertEqual(shown["types"]["F32"]["n_tensor"], len(shown["tensors"]), 12)
        ffn = next(t for t in shown["tensors"] if t["name"] == "blk.0.ffn_up.weight")
        self.assertEqual((ffn["shape"], ffn["bytes"]), ([32, 288], 32 * 288 * 4))
        self.assertIn("general.name = alphabet", self.ok("inspect", self.model).out)

    def test_a_file_with_a_tokenizer_alone_and_an_unknown_architecture_can_be_read(self):
        other = self.folder / "other.gguf"
        gguf_writer.write(other, architecture="steam", with_tensors=False)
        self.assertEqual(self.ok("tokenize", "-m", other, "-p", "ab").out, self.ok("tokenize", "-m", self.model, "-p", "ab").out)
        shown = json.loads(self.ok("inspect", other, "--json").out)
        self.assertEqual((shown["architecture"], shown["n_vocab"], shown["tensors"]), ("steam", gguf_writer.N_VOCAB, []))
        self.fails(1, "run", "-m", other, "-p", "a", says="steam")

    def test_plan_adds_up(self):
        p = json.loads(self.ok("plan", "-m", self.model, "--device", "cpu", "--ctx", "256", "--json").out)
        parts = ("weight_bytes", "cache_bytes", "activation_bytes", "scratch_bytes", "output_bytes")
        self.assertEqual(sum(p[part] for part in parts), p["total_bytes"])
        self.assertTrue(p["fits"])
        self.assertGreaterEqual(p["n_ctx_fits"], 256)
        self.assertIn("weights", self.ok("plan", "-m", self.model, "--ctx", "256").out)

    def test_devices_lists_cpu_and_ref(self):
        specs = [d["spec"] for d in json.loads(self.ok("devices", "--json").out)]
        self.assertTrue({"cpu", "ref"} <= set(specs), specs)

    def test_a_forced_level_is_the_one_that_runs(self):
        for level in filter(None, usable_levels()):
            with self.subTest(level=level):
                cpu = next(d for d in json.loads(self.ok("devices", "--json", level=level).out) if d["spec"] == "cpu")
                self.assertIn(f"level {level}", cpu["detail"])

    def test_bench_reports_every_test(self):
        done = self.ok("bench", "-m", self.model, "-p", "16", "-n", "4", "-b", "1,2", "-r", "2", "-d", "8", "--json")
        tests = json.loads(done.out)
        self.assertEqual([t["test"] for t in tests], ["pp16@d8", "tg4@d8", "tg4@b2@d8"])
        keys = {"test", "n_prompt", "n_gen", "n_batch", "depth", "tokens_per_second", "threads", "device", "cpu_level", "model",
                "model_bytes", "roofline", "reached"}
        for t in tests:
            self.assertEqual(set(t), keys)
            rate = t["tokens_per_second"]
            self.assertTrue(0 < rate["min"] <= rate["median"] <= rate["max"])
            self.assertGreater(t["threads"], 0)
            self.assertGreater(t["roofline"]["bytes_per_second"], 1e8)
            self.assertEqual("of_bandwidth" in t["reached"], t["n_gen"] > 0)

    def test_bench_profiles_the_cpu_only_when_asked(self):
        arguments = ["bench", "-m", self.model, "-p", "0", "-n", "4", "-r", "1", "--device", "cpu"]
        table = self.ok(*arguments, "--profile").err
        for what in ("GB/s", "LINEAR F32 288x288", "ATTENTION", "all of 6 tokens"):  # 4 and the 2 that warm up
            self.assertIn(what, table)
        runs = {line.split()[5]: line.split()[0] for line in table.splitlines() if line.endswith((" ATTENTION", " CACHE_STORE"))}
        self.assertEqual(runs["ATTENTION"], runs["CACHE_STORE"])  # one of each in every layer and step
        rates = [float(line.split()[4]) for line in table.splitlines() if " LINEAR " in line]
        self.assertGreater(min(rates), 0)  # of the output matrix too, which sees fewer rows
        self.assertNotIn("LINEAR", self.ok(*arguments).err)

    def test_quantized_copies_still_know_the_alphabet(self):
        for kind in ("Q8_0", "Q4_0"):
            with self.subTest(kind=kind):
                out = self.folder / f"{kind}.gguf"
                self.ok("quantize", self.model, out, kind)
                self.assertLess(out.stat().st_size, self.model.stat().st_size / 2)
                self.assertEqual(self.ok("run", "-m", out, "-p", "t", "--greedy").out, "uvwxyz\n")
                self.assertIn(kind, json.loads(self.ok("inspect", out, "--json").out)["types"])


class Examples(Case):
    """examples/generate.c and examples/chat.cpp, beside the program."""

    def example(self, name, *arguments, stdin=""):
        program = pathlib.Path(PROGRAM).with_name(name + pathlib.Path(PROGRAM).suffix)
        return subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, timeout=300)

    def test_generate(self):
        done = self.example("generate", self.model, "a")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "bcdefghijklmnopqrstuvwxyz\n", ""))
        done = self.example("generate", self.folder / "none.gguf", "a")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("none.gguf", done.stderr)

    def test_chat(self):
        done = self.example("chat", self.model, stdin="x\nw\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "> yz\n> xyz\n> ", ""))


class Failures(Case):
    def test_missing_file(self):
        for command in (["run", "-p", "a", "-m"], ["tokenize", "-p", "a", "-m"], ["inspect"], ["plan", "-m"], ["bench", "-m"]):
            with self.subTest(command=command):
                self.fails(1, *command, self.folder / "none.gguf", says="none.gguf")

    def test_truncated_file(self):
        cut, raw = self.folder / "cut.gguf", self.model.read_bytes()
        for n in (0, 3, 20, 1000, len(raw) // 2, len(raw) - 64):
            with self.subTest(n=n):
                cut.write_bytes(raw[:n])
                self.fails(1, "run", "-m", cut, "-p", "a", says="cut.gguf")

    def test_wrong_type(self):
        other = self.folder / "other.gguf"
        other.write_text("this is no model file, but it is long enough to be looked at")
        self.fails(1, "run", "-m", other, "-p", "a", says="other.gguf")
        gguf_writer.write(other, type_id=9999)
        self.fails(1, "run", "-m", other, "-p", "a", says="other.gguf")
        out = self.folder / "no.gguf"
        self.fails(1, "quantize", self.model, out, "Q9_9", says="Q9_9")
        self.assertFalse(out.exists())

    def test_work_that_fails(self):
        out = self.folder / "none" / "out.f32"
        self.fails(1, "logits", "-m", self.model, "--tokens", "1", "-o", out, says="out.f32")
        self.fails(1, "logits", "-m", self.model, "--tokens", "1 99999", "-o", self.folder / "bad.f32", says="99999")
        self.assertFalse((self.folder / "bad.f32").exists())
        self.fails(1, "run", "-m", self.model, "-p", "a", "--device", "toaster", says="toaster")
        self.fails(1, "run", "-m", self.model, "-f", self.folder / "none.txt", says="none.txt")
        self.fails(1, "perplexity", "-m", self.model, "-p", "abc", "--ctx", "64", says="--ctx")

    def test_wrong_usage(self):
        for arguments in ([], ["sing"], ["run"], ["run", "-m", self.model], ["run", "-m", self.model, "-p", "a", "--tempp", "1"],
                          ["run", "-m", self.model, "-p", "a", "--temp", "hot"], ["run", "-m", self.model, "-p", "a", "-f", "b"],
                          ["run", "-m", self.model, "-p", "a", "--preset", "x"],
                          ["run", "-m", self.model, "-p", "a", "--sampling", "top_q=1"],
                          ["logits", "-m", self.model, "--tokens", "1 two", "-o", "x"], ["logits", "-m", self.model, "-o", "x"],
                          ["logits", "-m", self.model, "--tokens", "1", "-o", "x", "--kv", "q1"], ["quantize", self.model],
                          ["tokenize", "-m", self.model], ["perplexity", "-m", self.model, "-p", "a", "--ctx", "1"]):
            with self.subTest(arguments=arguments):
                self.fails(2, *arguments)

    def test_help_is_one_page(self):
        for command in ("run", "bench", "tokenize", "logits", "perplexity", "inspect", "plan", "devices", "quantize"):
            with self.subTest(command=command):
                lines = self.ok(command, "--help").out.splitlines()
                self.assertTrue(3 <= len(lines) <= 60, len(lines))


class Fixtures(Case):
    """Real weights, against values of another program."""

    def test_stories_greedy_word_for_word_at_every_level_and_on_ref(self):
        model = fixture("model/stories260K.gguf")
        want = json.loads(fixture("model/stories260K.expected.json").read_text())
        ids = self.ok("tokenize", "-m", model, "-p", want["prompt"]).out
        self.assertEqual([int(i) for i in ids.split()], want["prompt_ids"])
        for device, level in [("cpu", level) for level in usable_levels()] + [("ref", None)]:
            with self.subTest(device=device, level=level):
                done = self.ok("run", "-m", model, "-p", want["prompt"], "-n", "100", "--greedy", "--device", device, level=level)
                self.assertEqual(done.out, want["greedy_100_tokens"] + "\n")

    def test_real_vocabularies_without_weights(self):
        for name in ("llama-spm", "bert-bge", "gpt-2", "qwen2"):
            with self.subTest(name=name):
                file = fixture(f"vocab/{name}.gguf")
                texts = fixture(f"vocab/{name}.gguf.inp").read_bytes().decode("utf-8").split("\n__ggml_vocab_test__\n")
                want = fixture(f"vocab/{name}.gguf.out").read_text().splitlines()
                for i in (0, 1, 11):
                    got = self.ok("tokenize", "-m", file, "--no-special", "-f", "-", stdin=texts[i]).out
                    self.assertEqual(got.split(), want[i].split())

    def test_stories_perplexity(self):
        model, text = fixture("model/stories260K.gguf"), fixture("text/tinystories.txt")
        want = json.loads(fixture("model/stories260K.expected.json").read_text())["perplexity"]
        done = self.ok("perplexity", "-m", model, "-f", text, "--ctx", want["context"], "--windows", want["windows"], "--json")
        got = json.loads(done.out)
        self.assertEqual(got["n_window"], want["windows"])
        self.assertAlmostEqual(got["perplexity"], want["value"], delta=0.01)

    def test_logits_of_architectures(self):
        out = self.folder / "out.f32"
        for name in ("llama-dense", "llama-moe", "gemma2-dense", "lfm2-dense", "gpt-oss-moe", "deepseek2-moe"):
            for device in ("cpu", "ref"):
                with self.subTest(name=name, device=device):
                    model = fixture(f"arch/{name}.gguf")
                    tokens = fixture(f"arch/{name}.tokens.txt")
                    self.ok("logits", "-m", model, "-f", tokens, "--kv", "f32", "--device", device, "-o", out)
                    got, want = floats(out), floats(fixture(f"arch/{name}.logits.f32"))
                    self.assertEqual(len(got), len(want))
                    self.assertLess(nmse(got, want), 1e-10)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
