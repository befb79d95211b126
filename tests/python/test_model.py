"""Loading, errors, keywords and the thin objects of the Python package."""
import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import unittest

import support
from support import hearth
from hearth import _abi


class Binding(unittest.TestCase):
    def test_structs_are_laid_out_as_the_snapshot_says(self):
        with open(os.path.join(support.TOP, "capi", "abi.txt"), encoding="ascii") as file:
            lines = file.read().splitlines()
        sizes = {}
        for line in lines:
            field = re.match(r"field (\w+)\.(\w+) @(\d+) \+(\d+) ", line)
            size = re.match(r"struct (\w+) (\d+)$", line)
            if field:
                found = getattr(getattr(_abi, field[1]), field[2])
                self.assertEqual((found.offset, found.size), (int(field[3]), int(field[4])), line)
            if size:
                sizes[size[1]] = int(size[2])
        for name, size in sizes.items():
            self.assertEqual(ctypes.sizeof(getattr(_abi, name)), size, name)
        self.assertGreater(len(sizes), 5)

    def test_a_handle_of_another_kind_is_refused(self):
        with hearth.Runtime(1) as runtime:
            with self.assertRaises(ctypes.ArgumentError):
                hearth.lib.hearth_model_release(runtime.handle)


class Loading(unittest.TestCase):
    def load_error(self, data, kind, words):
        path = os.path.join(support.FOLDER, "broken.gguf")
        if data is None:
            path = os.path.join(support.FOLDER, "absent.gguf")
        else:
            with open(path, "wb") as file:
                file.write(data)
        with self.assertRaisesRegex(kind, words) as caught:
            hearth.Llama(path, n_threads=1)
        self.assertIn(os.path.basename(path), str(caught.exception))
        return caught.exception

    def test_a_missing_file_says_so(self):
        error = self.load_error(None, hearth.FileError, "")
        self.assertIn(error.code, (_abi.HEARTH_E_NOT_FOUND, _abi.HEARTH_E_IO))

    def test_damaged_files_say_so(self):
        with open(support.tiny_model(), "rb") as file:
            data = file.read()
        self.load_error(data[:-1000], hearth.FileError, "")
        self.load_error(data[:5000], hearth.FileError, "")
        self.load_error(b"", hearth.FileError, "")
        self.load_error(b"PK\3\4" + data[4:], hearth.FileError, "")

    def test_another_architecture_is_unsupported(self):
        with open(support.tiny_model(), "rb") as file:
            data = file.read().replace(b"\5\0\0\0\0\0\0\0llama", b"\5\0\0\0\0\0\0\0ghost", 1)
        self.load_error(data, hearth.UnsupportedError, "ghost")

    def test_progress_and_cancelling(self):
        seen = []
        hearth.Llama(support.tiny_model(), n_threads=1, progress=lambda done, total: seen.append((done, total))).close()
        self.assertTrue(seen)
        self.assertEqual(seen[-1][0], seen[-1][1])
        with self.assertRaises(hearth.CancelledError):
            hearth.Llama(support.tiny_model(), n_threads=1, progress=lambda done, total: True)

        def interrupt(done, total):
            raise KeyboardInterrupt
        with self.assertRaises(KeyboardInterrupt):
            hearth.Llama(support.tiny_model(), n_threads=1, progress=interrupt)

    def test_vocab_only_has_tokens_but_no_context(self):
        with hearth.Llama(support.tiny_model(), vocab_only=True) as llama:
            self.assertEqual(llama.tokenize(b"the cat")[0], 1)
            with self.assertRaisesRegex(ValueError, "vocab_only"):
                llama("the")


class Keywords(unittest.TestCase):
    def test_unknown_keywords_name_the_close_match(self):
        with self.assertRaisesRegex(TypeError, "offload_qkv.*did you mean 'offload_kqv'"):
            hearth.Llama(support.tiny_model(), offload_qkv=True)
        with hearth.Llama(support.tiny_model(), n_threads=1) as llama:
            with self.assertRaisesRegex(TypeError, "max_token.*did you mean 'max_tokens'"):
                llama("the", max_token=3)
            with self.assertRaisesRegex(TypeError, "did you mean 'messages'"):
                llama.create_chat_completion(message=[])
            with self.assertRaisesRegex(TypeError, "'xyzzy'$"):
                llama("the", xyzzy=3)

    def test_what_is_not_supported_is_refused_not_ignored(self):
        for name, value in (("main_gpu", 1), ("lora_path", "x"), ("embedding", True), ("chat_format", "chatml"), ("type_k", 3),
                            ("use_mlock", True), ("draft_model", object()), ("n_threads_batch", 99), ("swa_full", True)):
            with self.subTest(name=name), self.assertRaisesRegex(hearth.UnsupportedError, name):
                hearth.Llama(support.tiny_model(), **{name: value})
        with hearth.Llama(support.tiny_model(), n_threads=1) as llama:
            for keywords in ({"tfs_z": 0.5}, {"grammar": "root ::= x"}):
                with self.assertRaises(NotImplementedError):
                    llama("the", **keywords)
            for keywords in ({"tool_choice": {"type": "function"}}, {"response_format": {"type": "json_object"}}, {"functions": []}):
                with self.assertRaises(NotImplementedError):
                    llama.create_chat_completion([], **keywords)
            with self.assertRaisesRegex(ValueError, "logprobs is 0 or more"):
                llama("the", logprobs=-1)
            with self.assertRaisesRegex(ValueError, "middle"):
                llama("the", suffix="mat")

    def test_infill_puts_prefix_suffix_middle(self):
        from hearth._completion import prompt_tokens
        extra = {f"tokenizer.ggml.fim_{name}_token_id": token for name, token in (("pre", 300), ("suf", 301), ("mid", 302))}
        with hearth.Llama(support.tiny_model(extra=extra), n_threads=1) as llama:
            tokens = prompt_tokens(llama, "the", "cat")
            body, tail = llama.tokenize(b"the", False), llama.tokenize(b"cat", False)
            self.assertEqual(tokens, [1, 300] + body + [301] + tail + [302])

    def test_n_ctx_says_what_does_not_fit(self):
        with hearth.Llama(support.tiny_model(), n_ctx=32, n_threads=1) as llama:
            self.assertEqual(llama.n_ctx(), 32)
            with self.assertRaisesRegex(ValueError, "the context holds 32"):
                llama(list(range(3, 35)))
            answer = llama([1, 5, 6], max_tokens=None, temperature=0, logit_bias={2: float("-inf")})
            self.assertEqual(answer["choices"][0]["finish_reason"], "length")
            self.assertEqual(answer["usage"]["total_tokens"], 32)
            with self.assertRaises(ValueError):
                llama.eval([5] * 40)

    def test_cache_types_and_rope_are_passed_on(self):
        path, found = support.tiny_model(), []
        for keywords in ({}, {"type_k": 0, "type_v": "f32"}, {"rope_freq_base": 100.0}, {"rope_scaling_type": 1, "rope_freq_scale": 0.25}):
            with hearth.Llama(path, n_threads=1, **keywords) as llama:
                llama.eval(llama.tokenize(b"the cat sat on a mat and ran to the big red ball"))
                found.append(llama.eval_logits[0])
        self.assertEqual(len({tuple(row) for row in found}), 4)
        for keywords in ({"type_k": 30}, {"type_k": "bf16", "type_v": 1}):
            with hearth.Llama(path, n_threads=1, **keywords) as llama:
                llama.eval(llama.tokenize(b"the cat sat on a mat and ran to the big red ball"))
                self.assertNotIn(tuple(llama.eval_logits[0]), {tuple(row) for row in found})
        demo = os.path.join(support.TOP, "examples", "models", "hearth-demo.gguf")
        for keywords in ({"type_k": 8, "type_v": 2}, {"type_k": "q8_0", "type_v": "q4_0"}):  # GGUF's numbers, and names
            with hearth.Llama(demo, n_ctx=64, n_threads=1, **keywords) as llama:
                llama.eval(llama.tokenize(b"Once upon a time"))
                found.append(llama.eval_logits[0])
        self.assertEqual(list(found[-1]), list(found[-2]))
        close = max(abs(a - b) for a, b in zip(found[0], found[1]))
        self.assertLess(close, max(abs(a - b) for a, b in zip(found[0], found[2])))


class Objects(unittest.TestCase):
    def test_closing_twice_is_fine_and_use_after_it_an_error(self):
        llama = hearth.Llama(support.tiny_model(), n_threads=1)
        llama.close()
        llama.close()
        for use in (lambda: llama("the"), lambda: llama.tokenize(b"a"), llama.n_ctx, llama.n_vocab, llama.reset):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()

    def test_memory_comes_back(self):
        with hearth.Runtime(1) as runtime:
            before = runtime.memory()[0]
            with hearth.Model(runtime, support.tiny_model()) as model, hearth.Context(model, 64) as context:
                context.decode([1, 5, 6])
                self.assertEqual(context.range(), (3, 0, 2))
                self.assertGreater(runtime.memory()[0], before)
            gc.collect()
            self.assertEqual(runtime.memory()[0], before)
            self.assertTrue(any(device["spec"] == "cpu" for device in runtime.devices()))

    def test_order_of_closing_does_not_matter(self):
        runtime = hearth.Runtime(1)
        model = hearth.Model(runtime, support.tiny_model())
        context = hearth.Context(model, 64)
        runtime.close()
        model.close()
        context.decode([1, 5, 6])
        context.close()

    def test_cancel_leaves_the_context_as_it_was(self):
        with hearth.Runtime(1) as runtime, hearth.Model(runtime, support.tiny_model()) as model, hearth.Context(model, 64) as context:
            context.decode([1, 5])
            context.cancel()
            with self.assertRaises(hearth.CancelledError):
                context.decode([6, 7])
            self.assertEqual(context.range()[0], 2)
            context.decode([6, 7])
            with self.assertRaises(hearth.NotFoundError):
                context.logits(0)

    def test_samplers_report_their_seed_and_refuse_nonsense(self):
        with hearth.Runtime(1) as runtime, hearth.Model(runtime, support.tiny_model()) as model:
            with hearth.Sampler(model, seed=0) as sampler:
                self.assertEqual(sampler.seed, 0)
            with self.assertRaisesRegex(hearth.InvalidArgumentError, "top_k"):
                hearth.Sampler(model, options={"topk": 3})
            with self.assertRaises(hearth.HearthError):
                hearth.Sampler(model, preset="nobody")

    def test_logging_goes_to_the_logging_module_only(self):
        code = ("import support\nfrom support import hearth\n"
                "with hearth.Llama(support.tiny_model(), n_threads=1) as llama: llama('the', max_tokens=2)\n")
        done = subprocess.run([sys.executable, "-c", code], cwd=support.HERE, capture_output=True, text=True, check=True)
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    @unittest.skipUnless(hasattr(signal, "pthread_kill"), "no signals")
    def test_ctrl_c_stops_a_generation_and_leaves_it_usable(self):
        with hearth.Llama(support.tiny_model(), n_threads=1) as llama:
            wanted = llama("the cat", max_tokens=8, temperature=0)["choices"][0]["text"]
            timer = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
            timer.start()
            with self.assertRaises(KeyboardInterrupt):
                while True:
                    llama("the cat", max_tokens=None, logit_bias={2: float("-inf")})
            timer.join()
            self.assertEqual(llama("the cat", max_tokens=8, temperature=0)["choices"][0]["text"], wanted)


if __name__ == "__main__":
    unittest.main()
