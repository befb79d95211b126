"""Llama on a tiny model that the tests write: shapes, streaming, stop strings, seeds, state, errors."""
import math
import os
import unittest

import support
from support import Script, hearth


class TinyCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = support.tiny_model()
        cls.llama = hearth.Llama(cls.path, n_threads=1)

    @classmethod
    def tearDownClass(cls):
        cls.llama.close()

    def text(self, *arguments, **keywords):
        return self.llama(*arguments, **keywords)["choices"][0]["text"]

    def scripted(self, script, **keywords):
        """A completion whose tokens are forced, so that the text is known."""
        forced = Script(self.llama, script)
        return self.llama("the cat", logits_processor=forced, temperature=0, max_tokens=keywords.pop("max_tokens", len(forced.tokens)), **keywords)


class Tokens(TinyCase):
    def test_sizes_are_those_of_the_file(self):
        import tiny_gguf
        self.assertEqual(self.llama.n_vocab(), len(tiny_gguf.vocabulary()))
        self.assertEqual(self.llama.n_embd(), tiny_gguf.N_EMBD)
        self.assertEqual(self.llama.n_ctx(), tiny_gguf.N_CTX)
        self.assertEqual((self.llama.token_bos(), self.llama.token_eos()), (1, 2))
        self.assertEqual(self.llama.metadata["general.name"], "tiny")
        self.assertEqual(self.llama.model_path, self.path)

    def test_tokens_come_back_as_their_text(self):
        for text in ("the cat sat on a mat", "caf\u00e9 \u20ac \U0001F600", "a\nb", ""):
            data = text.encode("utf-8")
            tokens = self.llama.tokenize(data, add_bos=False)
            self.assertEqual(self.llama.detokenize(tokens), data)
            self.assertEqual(self.llama.tokenize(data), [1] + tokens)
        self.assertIn(4, self.llama.tokenize(b"a<|assistant|>", special=True))
        self.assertNotIn(4, self.llama.tokenize(b"a<|assistant|>"))

    def test_detokenize_goes_on_after_previous_tokens(self):
        tokens = self.llama.tokenize(b"the cat sat on", add_bos=False)
        for i in range(1, len(tokens)):
            whole = self.llama.detokenize(tokens[:i]) + self.llama.detokenize(tokens[i:], prev_tokens=tokens[:i])
            self.assertEqual(whole, b"the cat sat on")


class Streams(TinyCase):
    def stream(self, data, **keywords):
        """(pieces, rest) of a text token by token."""
        tokens = self.llama.tokenize(data, add_bos=False)
        with hearth.Detokenizer(self.llama.model, **keywords) as stream:
            return [stream.feed(t) for t in tokens], stream.flush()

    def test_characters_come_out_whole(self):
        text = "caf\u00e9 \u20ac \U0001F600"
        pieces, rest = self.stream(text.encode("utf-8"))
        self.assertEqual(("".join(pieces).lstrip(), rest), (text, ""))
        self.assertIn("", pieces)  # a byte token of a character waits
        self.assertIn("\U0001F600", pieces)

    def test_the_first_space_stays_only_where_the_text_goes_on(self):
        whole, on = (["".join(self.stream(b"the cat", go_on=go_on)[0]) for go_on in (False, True)])
        self.assertEqual((whole, on.lstrip()), ("the cat", "the cat"))
        self.assertEqual(whole.encode("utf-8"), self.llama.detokenize(self.llama.tokenize(b"the cat", add_bos=False)))
        self.assertTrue(on.startswith(" "))

    def test_a_character_that_never_ends_becomes_a_replacement(self):
        tokens = self.llama.tokenize("\U0001F600".encode("utf-8"), add_bos=False)
        stream = hearth.Detokenizer(self.llama.model)
        self.assertEqual("".join(stream.feed(t) for t in tokens[:-1]).strip(), "")
        self.assertEqual(stream.flush(), "\ufffd")
        self.assertEqual(stream.flush(), "")
        with self.assertRaises(hearth.InvalidArgumentError):
            stream.feed(self.llama.n_vocab())

    def test_control_tokens_are_printed_when_asked_for(self):
        for special, wanted in ((False, ""), (True, "<|assistant|>")):
            stream = hearth.Detokenizer(self.llama.model, special=special)
            self.assertEqual(stream.feed(4), wanted)


class Completions(TinyCase):
    def test_shape(self):
        answer = self.llama("the cat", max_tokens=5, temperature=0)
        self.assertEqual(sorted(answer), ["choices", "created", "id", "model", "object", "usage"])
        self.assertEqual((answer["object"], answer["model"], answer["id"][:5]), ("text_completion", self.path, "cmpl-"))
        choice = answer["choices"][0]
        self.assertEqual(sorted(choice), ["finish_reason", "index", "logprobs", "text"])
        n = len(self.llama.tokenize(b"the cat"))
        self.assertEqual(answer["usage"], {"prompt_tokens": n, "completion_tokens": 5, "total_tokens": n + 5})
        self.assertEqual((choice["index"], choice["logprobs"], choice["finish_reason"]), (0, None, "length"))

    def test_streaming_equals_the_whole(self):
        for seed in range(8):  # hot and random: many broken characters
            keywords = dict(max_tokens=40, temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed, stop=["cat", "e "], logprobs=2)
            whole = self.llama("the cat", **keywords)["choices"][0]
            parts = [part["choices"][0] for part in self.llama("the cat", stream=True, **keywords)]
            self.assertEqual("".join(part["text"] for part in parts), whole["text"])
            self.assertEqual([t for part in parts if part["logprobs"] for t in part["logprobs"]["tokens"]], whole["logprobs"]["tokens"])
            self.assertEqual([part["finish_reason"] for part in parts[:-1]], [None] * (len(parts) - 1))
            self.assertEqual(parts[-1]["finish_reason"], whole["finish_reason"])

    def test_a_character_is_never_split(self):
        script = "a\u00e9\u20ac\U0001F600b"
        parts = [part["choices"][0]["text"] for part in self.scripted(script.encode(), stream=True)]
        self.assertEqual([part for part in parts if part], list(script))
        cut = self.scripted(script.encode(), max_tokens=5)["choices"][0]  # inside the euro sign
        self.assertEqual((cut["text"], cut["finish_reason"]), ("a\u00e9", "length"))

    def test_stop_strings_are_found_across_tokens(self):
        for stop, wanted in (("STOP", "ab ST"), (["xx", "ST"], "ab "), ("OP", "ab STST"), ("never", "ab STSTOPcd"), (["", "c"], "ab STSTOP")):
            with self.subTest(stop=stop):
                choice = self.scripted(b"ab STSTOPcd", stop=stop)["choices"][0]
                self.assertEqual(choice["text"], wanted)
                self.assertEqual(choice["finish_reason"], "length" if stop == "never" else "stop")

    def test_an_unfinished_stop_string_is_text(self):
        self.assertEqual(self.scripted(b"ab ST", stop="STOP")["choices"][0]["text"], "ab ST")

    def test_end_of_generation_ends_it(self):
        answer = self.scripted([self.llama.tokenize(b"a", False)[0], self.llama.token_eos(), 5], max_tokens=9)
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        self.assertEqual(answer["usage"]["completion_tokens"], 1)

    def test_a_seed_repeats_and_zero_is_one(self):
        hot = dict(max_tokens=20, temperature=1.5, top_k=0, top_p=1.0, min_p=0.0)
        for seed in (0, 7):
            self.assertEqual(self.text("the", seed=seed, **hot), self.text("the", seed=seed, **hot))
        self.assertNotEqual(self.text("the", seed=0, **hot), self.text("the", seed=1, **hot))
        self.assertGreater(len({self.text("the", **hot) for _ in range(4)}), 1)
        self.llama.set_seed(0)
        self.assertEqual(self.text("the", **hot), self.text("the", seed=0, **hot))
        self.llama.set_seed(None)

    def test_reusing_a_prefix_changes_nothing(self):
        keywords = dict(max_tokens=12, temperature=0)
        fresh = {}
        for prompt in ("the cat sat", "the cat ran to", "a dog"):
            self.llama.reset()
            fresh[prompt] = self.text(prompt, **keywords)
        for prompt in ("the cat sat", "the cat ran to", "the cat sat", "a dog", "a dog"):
            self.assertEqual(self.text(prompt, **keywords), fresh[prompt])

    def test_logprobs_are_a_distribution(self):
        n_vocab = self.llama.n_vocab()
        found = self.llama("the cat", max_tokens=4, temperature=0, logprobs=n_vocab)["choices"][0]["logprobs"]
        self.assertEqual([len(found[name]) for name in ("tokens", "text_offset", "token_logprobs", "top_logprobs")], [4] * 4)
        for own, top in zip(found["token_logprobs"], found["top_logprobs"]):
            self.assertEqual(own, max(top.values()))  # greedy takes the best
        llama = self.llama
        llama.reset()
        llama.eval(llama.tokenize(b"the cat"))
        values = [value for _, value in hearth.logprobs(llama.last_logits(), n_vocab, 0, n_vocab)[1]]
        # n_vocab rounded float32 log probabilities of magnitude below 32: each exp is off by at most 32 * 2^-24 relatively.
        self.assertAlmostEqual(sum(map(math.exp, values)), 1.0, delta=32 * 2.0 ** -23)
        self.assertEqual(found["text_offset"][0], len("the cat"))

    def test_echo_repeats_the_prompt_with_its_logprobs(self):
        answer = self.llama("the cat sat", max_tokens=2, temperature=0, echo=True, logprobs=1)["choices"][0]
        self.assertTrue(answer["text"].startswith("the cat sat"))
        tokens = self.llama.tokenize(b"the cat sat")
        found = answer["logprobs"]
        self.assertEqual(len(found["tokens"]), len(tokens) + 2)
        self.assertIsNone(found["token_logprobs"][0])
        self.llama.reset()
        for i, token in enumerate(tokens[1:], 1):
            self.llama.eval(tokens[i - 1:i])
            own, _ = hearth.logprobs(self.llama.last_logits(), self.llama.n_vocab(), token)
            # Batches of other sizes may round otherwise; the f16 cache too: 2^-11 of logits of magnitude about 4.
            self.assertAlmostEqual(found["token_logprobs"][i], own, delta=4 * 2.0 ** -9)
        self.assertEqual(self.llama("the cat", max_tokens=1, echo=True)["choices"][0]["text"][:7], "the cat")

    def test_prompts_of_tokens_and_generators(self):
        tokens = self.llama.tokenize(b"the cat")
        wanted = self.text("the cat", max_tokens=6, temperature=0)
        self.assertEqual(self.text(tokens, max_tokens=6, temperature=0), wanted)
        made = []
        for token in self.llama.generate(tokens, temp=0):
            made.append(token)
            if len(made) == 6:
                break
        self.assertEqual(self.llama.detokenize(made, prev_tokens=tokens).decode("utf-8", "replace")[:len(wanted)], wanted)
        self.llama.reset()
        self.llama.eval(tokens)
        self.assertEqual(self.llama.sample(temp=0), made[0])

    def test_send_puts_tokens_behind(self):
        generator = self.llama.generate(self.llama.tokenize(b"the"), temp=0)
        first, more = next(generator), self.llama.tokenize(b" cat", add_bos=False)
        generator.send(more)
        self.assertEqual(self.llama.eval_tokens[-len(more) - 1:], [first] + more)

    def test_logit_bias_forces_and_bans(self):
        token = self.llama.tokenize(b"ball", add_bos=False)[0]
        self.assertEqual(self.text("the", max_tokens=3, temperature=0, logit_bias={str(token): 1000.0}), " ball ball ball")
        best = self.llama("the", max_tokens=1, temperature=0, logprobs=1)["choices"][0]["logprobs"]["tokens"][0]
        ban = {t: -math.inf for t in range(self.llama.n_vocab()) if self.llama.model.piece(t, True).decode("utf-8", "replace") == best}
        self.assertNotEqual(self.text("the", max_tokens=1, temperature=0, logit_bias=ban), best)

    def test_stopping_criteria_stop(self):
        criteria = hearth.StoppingCriteriaList([lambda ids, logits: len(ids) >= 8 and len(logits) == self.llama.n_vocab()])
        answer = self.llama("the cat", max_tokens=50, temperature=0, logit_bias={2: -math.inf}, stopping_criteria=criteria)
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        self.assertEqual(answer["usage"]["total_tokens"], 8)

    def test_logits_all_keeps_every_row(self):
        with hearth.Llama(self.path, n_threads=1, logits_all=True, n_batch=4) as llama:
            tokens = llama.tokenize(b"the cat sat on a mat")
            llama.eval(tokens)
            rows = llama.eval_logits
            self.assertEqual((len(rows), len(rows[0])), (len(tokens), llama.n_vocab()))
            self.assertEqual(rows[-1], list(llama.last_logits()[:llama.n_vocab()]))
            llama("the cat ran", max_tokens=1, temperature=0)
            self.assertEqual(len(llama.eval_logits), llama.n_tokens)
            self.assertEqual(llama.eval_logits[:2], rows[:2])

    def test_state_comes_back(self):
        keywords = dict(max_tokens=8, temperature=0)
        self.llama.reset()
        self.text("the cat sat on", **keywords)
        state, tokens, last = self.llama.save_state(), self.llama.eval_tokens, self.llama.eval_logits
        self.llama.eval([10, 11])
        wanted = self.llama.eval_logits
        self.llama.reset()
        self.llama.load_state(state)
        self.assertEqual((self.llama.eval_tokens, self.llama.eval_logits), (tokens, last))
        self.llama.eval([10, 11])
        self.assertEqual(self.llama.eval_logits, wanted)
        with self.assertRaises(hearth.HearthError):
            self.llama.ctx.load(state.llama_state[:-1] + bytes([state.llama_state[-1] ^ 1]))


class Chats(TinyCase):
    MESSAGES = [{"role": "user", "content": "the cat"}]

    def test_the_prompt_is_the_template_with_one_bos(self):
        from hearth._chat import chat_prompt
        text = b"<s><|user|>the cat</s><|assistant|>"
        self.assertEqual(chat_prompt(self.llama, self.MESSAGES), self.llama.tokenize(text, False, True))
        with_tools = chat_prompt(self.llama, self.MESSAGES, [{"type": "function"}])
        self.assertEqual(with_tools, self.llama.tokenize(b"<s><|user|>the cat</s>tools 1<|assistant|>", False, True))

    def test_shape_and_streaming(self):
        keywords = dict(max_tokens=12, seed=3, temperature=1.5, logprobs=True, top_logprobs=2)
        whole = self.llama.create_chat_completion(self.MESSAGES, **keywords)
        self.assertEqual((whole["object"], whole["id"][:9]), ("chat.completion", "chatcmpl-"))
        choice = whole["choices"][0]
        self.assertEqual(sorted(choice), ["finish_reason", "index", "logprobs", "message"])
        self.assertEqual(choice["message"]["role"], "assistant")
        self.assertEqual(sorted(whole["usage"]), ["completion_tokens", "prompt_tokens", "total_tokens"])
        for entry in choice["logprobs"]["content"]:
            self.assertEqual(sorted(entry), ["bytes", "logprob", "token", "top_logprobs"])
            self.assertEqual(len(entry["top_logprobs"]), 2)
        parts = list(self.llama.create_chat_completion(self.MESSAGES, stream=True, **keywords))
        self.assertEqual(parts[0]["choices"][0]["delta"], {"role": "assistant"})
        self.assertEqual({part["object"] for part in parts}, {"chat.completion.chunk"})
        deltas = [part["choices"][0]["delta"] for part in parts]
        self.assertEqual("".join(d.get("content", "") for d in deltas), choice["message"]["content"])
        self.assertEqual((deltas[-1], parts[-1]["choices"][0]["finish_reason"]), ({}, choice["finish_reason"]))

    def test_a_broken_template_says_where(self):
        with hearth.Llama(self.path, n_threads=1, chat_template="{{ messages[0].content }}\n{% if %}") as llama:
            with self.assertRaises(hearth.TemplateError) as caught:
                llama.create_chat_completion(self.MESSAGES)
            self.assertEqual(caught.exception.line, 2)

    def test_no_template_is_an_error(self):
        with hearth.Llama(support.tiny_model(template=None), n_threads=1) as llama:
            with self.assertRaisesRegex(ValueError, "no chat template"):
                llama.create_chat_completion(self.MESSAGES)
            llama.chat_template = "{{ messages[0]['content'] }}"
            llama.create_chat_completion(self.MESSAGES, max_tokens=2)


if __name__ == "__main__":
    unittest.main()
