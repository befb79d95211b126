"""Writes the trained model as GGUF: python3 export.py [WORK_FOLDER [OUT.gguf]]."""
import json
import pathlib
import sys

import torch

from corpus import ASSISTANT, BOS, END, SPECIALS
from gguf import ARRAY, BOOL, FLOAT, I32, STRING, U32, write_gguf
from prepare import load_tokenizer

HERE = pathlib.Path(__file__).parent
NORMAL, CONTROL, UNUSED = 1, 3, 5

TEMPLATE = ("{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] | trim }}"
            "{% if message['role'] == 'assistant' %}" + "{{ '" + END + "' }}{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}{{ '" + ASSISTANT + "' }}{% endif %}")


def model_fields(s):
    """What the file says about the model and its shape."""
    return [
        ("general.architecture", STRING, "llama"), ("general.type", STRING, "model"),
        ("general.name", STRING, "Hearth Demo"), ("general.size_label", STRING, "2.1M"),
        ("general.license", STRING, "MIT"), ("general.languages", ARRAY, (STRING, ["en"])),
        ("general.description", STRING, "A very small chat and story model that ships with Hearth. It was trained on text "
         "made by examples/models/train: stories, questions about small worlds, and sums under 100."),
        ("general.file_type", U32, 7), ("general.quantization_version", U32, 2),
        ("llama.vocab_size", U32, s["n_vocab"]), ("llama.context_length", U32, s["n_ctx"]),
        ("llama.embedding_length", U32, s["n_embd"]), ("llama.block_count", U32, s["n_layer"]),
        ("llama.feed_forward_length", U32, s["n_ff"]), ("llama.attention.head_count", U32, s["n_head"]),
        ("llama.attention.head_count_kv", U32, s["n_head_kv"]),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT, s["eps"]),
        ("llama.rope.dimension_count", U32, s["n_embd"] // s["n_head"]), ("llama.rope.freq_base", FLOAT, s["rope_base"]),
    ]


def tokenizer_fields(tokenizer):
    """The vocabulary, its merges and special tokens, and the chat template."""
    n_special = len(SPECIALS)
    n_normal = len(tokenizer.tokens) - tokenizer.n_filler - n_special
    kinds = [NORMAL] * n_normal + [UNUSED] * tokenizer.n_filler + [CONTROL] * n_special
    return [
        ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "qwen2"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokenizer.tokens)), ("tokenizer.ggml.token_type", ARRAY, (I32, kinds)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, [f"{x} {y}" for x, y in tokenizer.merges])),
        ("tokenizer.ggml.bos_token_id", U32, tokenizer.ids[BOS]), ("tokenizer.ggml.eos_token_id", U32, tokenizer.ids[END]),
        ("tokenizer.ggml.add_bos_token", BOOL, True), ("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def main(folder, out):
    s = json.loads((HERE / "settings.json").read_text())
    state = torch.load(folder / "checkpoint0.pt")["model"]
    tensors = [(name, p.numpy()) for name, p in state.items()]
    write_gguf(out, model_fields(s) + tokenizer_fields(load_tokenizer(folder, s)), tensors)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "work"),
         pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else HERE.parent / "hearth-demo.gguf"))
