"""Our template engine renders what jinja2, set up as in transformers, renders, and fails where it fails."""
import json
import os
import random
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    import template_oracle
except ImportError as error:
    raise unittest.SkipTest(f"jinja2 is not installed: {error}")
import template_corpus
import template_random
import template_snippets

SEED = int(os.environ.get("HEARTH_TEST_SEED", "20260805"))
CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "text", "jinja_cases.jsonl")
FIXTURES = os.environ.get("HEARTH_TEST_FIXTURES") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "fixtures")


def gguf_template(path):
    """tokenizer.chat_template of a GGUF file, or None."""
    with open(path, "rb") as file:
        data = file.read(64 << 20)
    key = b"tokenizer.chat_template"
    at = data.find(struct.pack("<Q", len(key)) + key + struct.pack("<I", 8))
    if at < 0:
        return None
    at += 8 + len(key) + 4
    (length,) = struct.unpack_from("<Q", data, at)
    return data[at + 8:at + 8 + length].decode("utf-8")


def committed_cases():
    """What tests/text/test_jinja.cpp renders where jinja2 is not at hand: the contexts, then one template per line."""
    chosen = ("system", "turns", "unicode", "call", "thinking", "wrong order")
    contexts = {name: {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, **template_corpus.CONVERSATIONS[name]} for name in chosen}
    contexts["snippets"] = template_snippets.CONTEXT
    lines = [json.dumps({"now": template_oracle.NOW_SECONDS, "contexts": contexts})]
    for templates, names in ((template_snippets.SNIPPETS + template_snippets.FAILING, ["snippets"]), (template_corpus.FAMILIES.values(), chosen)):
        for template in templates:
            results = {name: template_oracle.render(template, contexts[name])[0] for name in names}
            lines.append(json.dumps({"template": template, "results": results}))
    return "\n".join(lines) + "\n"


@unittest.skipUnless(template_oracle.program(), "hearth_render_template is not built")
class Templates(unittest.TestCase):
    def agree(self, cases):
        found = template_oracle.differences(cases)
        if found:
            self.fail(f"{len(found)} of {len(cases)} differ:\n" + "\n".join(found[:10]))

    def test_templates_of_hugging_face_fixtures(self):
        folder = os.path.join(FIXTURES, "hf")
        if not os.path.isdir(folder):
            self.skipTest("no fixtures")
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name, "tokenizer_config.json"), encoding="utf-8") as file:
                template = json.load(file)["chat_template"]
            with self.subTest(name=name):
                self.agree(list(template_corpus.family_cases(template)))

    def test_templates_of_gguf_fixtures(self):
        folder = os.path.join(FIXTURES, "vocab")
        if not os.path.isdir(folder):
            self.skipTest("no fixtures")
        n_template = 0
        for name in sorted(os.listdir(folder)):
            template = gguf_template(os.path.join(folder, name)) if name.endswith(".gguf") else None
            if template is None:
                continue
            n_template += 1
            with self.subTest(name=name):
                self.agree(list(template_corpus.family_cases(template)))
        self.assertGreater(n_template, 0)

    def test_templates_in_the_style_of_model_families(self):
        for name, template in template_corpus.FAMILIES.items():
            with self.subTest(name=name):
                cases = list(template_corpus.family_cases(template))
                rendered = [template_oracle.render(t, c)[0] for t, c in cases]
                self.assertGreater(sum(text is not None for text in rendered), len(cases) // 4, "hardly a case renders")
                self.agree(cases)

    def test_snippets(self):
        cases = [(t, template_snippets.CONTEXT) for t in template_snippets.SNIPPETS]
        for template, context in cases:
            self.assertIsNotNone(template_oracle.render(template, context)[0], template)
        self.agree(cases)

    def test_snippets_that_must_fail(self):
        cases = [(t, template_snippets.CONTEXT) for t in template_snippets.FAILING]
        for template, context in cases:
            self.assertIsNone(template_oracle.render(template, context)[0], template)
        self.agree(cases)

    def agree_where_comparable(self, cases):
        ours = template_oracle.render_ours(cases)
        self.agree([case for case, result in zip(cases, ours)
                    if template_random.comparable(case[0], template_oracle.render(*case)[0], result)])

    def test_random_expressions(self):
        maker = template_random.Maker(SEED)
        self.agree_where_comparable([(maker.template(), template_snippets.CONTEXT) for _ in range(600)])

    def test_mutated_templates(self):
        rng = random.Random(SEED)
        templates, contexts = list(template_corpus.FAMILIES.values()), list(template_corpus.CONVERSATIONS.values())
        self.agree_where_comparable([
            (template_random.mutated(rng, rng.choice(templates)), {"bos_token": "<s>", "eos_token": "</s>", **rng.choice(contexts)})
            for _ in range(100)])

    def test_committed_cases_are_what_jinja2_renders(self):
        with open(CASES, encoding="utf-8") as file:
            self.assertEqual(file.read(), committed_cases(), "run tests/python/test_templates.py --write")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with open(CASES, "w", encoding="utf-8") as output:
            output.write(committed_cases())
    else:
        unittest.main()
