"""Writes a tiny GGUF model with random weights, a tokenizer and a chat template, so that the tests need no other file."""
import array
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import gguf_file  # noqa: E402

N_EMBD, N_HEAD, N_LAYER, N_FF, N_CTX = 32, 4, 2, 64, 256
WORDS = ["the", "cat", "sat", "on", "mat", "dog", "ran", "to", "a", "big", "red", "ball", "and", "was", "hap", "py"]
PIECES = ["\u2581"] + ["\u2581" + word for word in WORDS] + WORDS + list("abcdefghijklmnopqrstuvwxyz.,!?<>|_:STOP")
SPECIAL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
TEMPLATE = ("{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
            "{% if tools %}tools {{ tools | length }}{% endif %}{% if add_generation_prompt %}<|assistant|>{% endif %}")
UNKNOWN, CONTROL, BYTE, NORMAL = 2, 3, 6, 1


def vocabulary():
    """[(text, score, type)]: the special tokens, 256 bytes, then pieces, the longer the better."""
    found = [(text, 0.0, UNKNOWN if text == "<unk>" else CONTROL) for text in SPECIAL]
    found += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    found += [(piece, float(len(piece)), NORMAL) for piece in dict.fromkeys(PIECES)]
    # SPM merges pair by pair, so that every beginning of a word is a token too.
    have = {text for text, _, _ in found}
    for word in WORDS:
        for start in ("\u2581" + word, word):
            for end in range(2, len(start)):
                if start[:end] not in have:
                    have.add(start[:end])
                    found.append((start[:end], float(end), NORMAL))
    return found


def metadata(tokens, template):
    found = {
        "general.architecture": "llama", "general.name": "tiny", "general.alignment": 32,
        "llama.context_length": N_CTX, "llama.embedding_length": N_EMBD, "llama.block_count": N_LAYER, "llama.feed_forward_length": N_FF,
        "llama.attention.head_count": N_HEAD, "llama.attention.head_count_kv": N_HEAD, "llama.rope.dimension_count": N_EMBD // N_HEAD,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": [t for t, _, _ in tokens],
        "tokenizer.ggml.scores": [s for _, s, _ in tokens], "tokenizer.ggml.token_type": [k for _, _, k in tokens],
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
    }
    if template:
        found["tokenizer.chat_template"] = template
    return found


def tensors(n_vocab):
    """[(name, GGUF shape, fastest dimension first)]"""
    found = [("token_embd.weight", (N_EMBD, n_vocab)), ("output_norm.weight", (N_EMBD,)), ("output.weight", (N_EMBD, n_vocab))]
    for layer in range(N_LAYER):
        block = f"blk.{layer}."
        found += [(block + name + ".weight", (N_EMBD,)) for name in ("attn_norm", "ffn_norm")]
        found += [(block + f"attn_{name}.weight", (N_EMBD, N_EMBD)) for name in ("q", "k", "v", "output")]
        found += [(block + "ffn_gate.weight", (N_EMBD, N_FF)), (block + "ffn_up.weight", (N_EMBD, N_FF)),
                  (block + "ffn_down.weight", (N_FF, N_EMBD))]
    return found


def tensor_bytes(name, shape, draw):
    n = shape[0] * (shape[1] if len(shape) > 1 else 1)
    if "norm" in name:
        return array.array("f", [1.0] * n).tobytes()
    scale = 3.0 if name == "output.weight" else 1.0
    return array.array("f", [draw.gauss(0, scale * shape[0] ** -0.5) for _ in range(n)]).tobytes()


def write(path, seed=1, template=TEMPLATE, extra=None):
    """Writes the model; extra: more metadata. Little-endian machines only, like the library."""
    tokens, draw = vocabulary(), random.Random(seed)
    entries = dict(metadata(tokens, template), **(extra or {}))
    found = [(name, shape, 0, tensor_bytes(name, shape, draw)) for name, shape in tensors(len(tokens))]
    pathlib.Path(path).write_bytes(gguf_file.file_bytes(entries, found))
