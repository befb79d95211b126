# Writes a tiny llama model as GGUF whose every logit is known: each token is followed by the next letter, then by the end.
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import gguf_file  # noqa: E402

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
FIRST_LETTER = 3 + 256 + 1  # <unk> <s> </s>, the bytes, the space mark
N_VOCAB = 288               # the same as the width: embeddings are one-hot
EPSILON = 1e-5


def vocabulary():
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["\u2581"]
    tokens += [chr(ord("a") + i) for i in range(26)]
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * 27
    for i in range(N_VOCAB - len(tokens)):
        tokens.append(f"<spare{i}>")
        types.append(CONTROL)
    return tokens, types


def following(token, endless):
    """The token that the model predicts after this one."""
    letter = token - FIRST_LETTER
    if 0 <= letter < 25:
        return token + 1
    return FIRST_LETTER if letter != 25 or endless else 2


def matrix(rows, columns, ones):
    out = bytearray(4 * rows * columns)
    for row, column in ones:
        struct.pack_into("<f", out, 4 * (row * columns + column), 1.0)
    return bytes(out)


def tensors(endless):
    n, kv, ffn = N_VOCAB, 96, 32
    ones = struct.pack("<f", 1.0) * n
    yield "token_embd.weight", (n, n), matrix(n, n, [(i, i) for i in range(n)])
    yield "output.weight", (n, n), matrix(n, n, [(following(i, endless), i) for i in range(n)])
    yield "output_norm.weight", (n,), ones
    yield "blk.0.attn_norm.weight", (n,), ones
    yield "blk.0.ffn_norm.weight", (n,), ones
    # All zero: the layer adds nothing, so the logits stay known.
    for name, rows, columns in [("attn_q", n, n), ("attn_k", kv, n), ("attn_v", kv, n), ("attn_output", n, n),
                                ("ffn_gate", ffn, n), ("ffn_up", ffn, n), ("ffn_down", n, ffn)]:
        yield f"blk.0.{name}.weight", (columns, rows), matrix(rows, columns, [])


def metadata(architecture):
    tokens, types = vocabulary()
    return {
        "general.architecture": architecture, "general.name": "alphabet", "llama.context_length": 256,
        "llama.embedding_length": N_VOCAB, "llama.block_count": 1, "llama.feed_forward_length": 32,
        "llama.attention.head_count": 9, "llama.attention.head_count_kv": 3,
        "llama.attention.layer_norm_rms_epsilon": EPSILON, "llama.rope.dimension_count": 32,
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": types, "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    }


def write(path, endless=False, type_id=0, architecture="llama", with_tensors=True):
    """type_id: what every tensor claims to be; only 0, F32, is true."""
    all_tensors = [(name, shape, type_id, raw) for name, shape, raw in tensors(endless)] if with_tensors else []
    path.write_bytes(gguf_file.file_bytes(metadata(architecture), all_tensors))
