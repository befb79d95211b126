"""The Python package on real models: the stories fixture, and the demo model of this repository."""
import json
import os
import subprocess
import sys
import unittest

import support
from support import hearth


class Stories(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = support.fixture("model", "stories260K.gguf")
        with open(support.fixture("model", "stories260K.expected.json"), encoding="utf-8") as file:
            cls.expected = json.load(file)
        cls.llama = hearth.Llama(cls.path, n_threads=1)

    @classmethod
    def tearDownClass(cls):
        cls.llama.close()

    def test_greedy_text_is_the_expected_one(self):
        prompt = self.expected["prompt"]
        self.assertEqual(self.llama.tokenize(prompt.encode()), self.expected["prompt_ids"])
        for keywords in ({"temperature": 0}, {"temperature": 0, "stream": True}, {"top_k": 1}):
            answer = self.llama(prompt, max_tokens=100, **keywords)
            parts = answer if keywords.get("stream") else [answer]
            self.assertEqual("".join(part["choices"][0]["text"] for part in parts), self.expected["greedy_100_tokens"])

    def test_the_example_prints_it(self):
        script = os.path.join(support.TOP, "examples", "python", "complete.py")
        environment = dict(os.environ, PYTHONPATH=os.path.join(support.TOP, "capi", "python"))
        done = subprocess.run([sys.executable, script, self.path, self.expected["prompt"]], env=environment, capture_output=True, text=True)
        self.assertEqual((done.stdout, done.stderr), (self.expected["greedy_100_tokens"] + "\n", ""))


class Demo(unittest.TestCase):
    def test_the_demo_model_answers(self):
        path = os.path.join(support.TOP, "examples", "models", "hearth-demo.gguf")
        if not os.path.exists(path):
            print("SKIPPED: no examples/models/hearth-demo.gguf", flush=True)
            self.skipTest("no demo model")
        with hearth.Llama(path, n_threads=1) as llama:
            for question, wanted in (("What is 23 plus 45?", "23 plus 45 is 68[.]"), ("Where does a bear live?", "A bear lives in the forest[.]"),
                                     ("Tom has a red ball. Mia has a blue hat. Who has the hat?", "Mia has the hat[.]"),
                                     ("The box is golden. The scarf is blue. Is the scarf purple?", "No, the scarf is blue[.]"),
                                     ("Tell me a story about a fox and a lantern.", "[A-Z].* fox .* lantern.*[.!\"]")):
                answer = llama.create_chat_completion([{"role": "user", "content": question}], temperature=0)
                self.assertRegex(answer["choices"][0]["message"]["content"], f"^{wanted}$")
                self.assertEqual(answer["choices"][0]["finish_reason"], "stop")


if __name__ == "__main__":
    unittest.main()
