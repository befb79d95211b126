"""Our template engine renders what jinja2, set up as in transformers, renders, and fails where it fails."""
import json
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    import template_oracle
except ImportError as error:
    raise unittest.SkipTest(f"jinja2 is not installed: {error}")
import template_corpus
import template_snippets

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


if __name__ == "__main__":
    unittest.main()
