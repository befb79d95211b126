# Writes a tiny llama model as GGUF whose every logit is known: each token is followed by the next letter, then by the end.
import struct

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
FIRST_LETTER = 3 + 256 + 1  # <unk> <s> </s>, the bytes, the space mark
N_VOCAB = 288               # the same as the width: embeddings are one-hot
EPSILON = 1e-5


def text(value):
    raw = value.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def array(key, kind, values):
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(scalar(kind, v) for v in values)


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
    return [
        entry("general.architecture", STRING, architecture),
        entry("general.name", STRING, "alphabet"),
        entry("llama.context_length", U32, 256),
        entry("llama.embedding_length", U32, N_VOCAB),
        entry("llama.block_count", U32, 1),
        entry("llama.feed_forward_length", U32, 32),
        entry("llama.attention.head_count", U32, 9),
        entry("llama.attention.head_count_kv", U32, 3),
        entry("llama.attention.layer_norm_rms_epsilon", F32, EPSILON),
        entry("llama.rope.dimension_count", U32, 32),
        entry("tokenizer.ggml.model", STRING, "llama"),
        array("tokenizer.ggml.tokens", STRING, tokens),
        array("tokenizer.ggml.scores", F32, [0.0] * len(tokens)),
        array("tokenizer.ggml.token_type", I32, types),
        entry("tokenizer.ggml.bos_token_id", U32, 1),
        entry("tokenizer.ggml.eos_token_id", U32, 2),
        entry("tokenizer.chat_template", STRING, "{% for m in messages %}{{ m.content }}{% endfor %}"),
    ]


def write(path, endless=False, type_id=0, architecture="llama", with_tensors=True):
    """type_id: what every tensor claims to be; only 0, F32, is true."""
    entries, infos, data = metadata(architecture), b"", b""
    all_tensors = list(tensors(endless)) if with_tensors else []
    for name, shape, raw in all_tensors:
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        infos += struct.pack("<IQ", type_id, len(data))
        data += raw + bytes(-len(raw) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(all_tensors), len(entries)) + b"".join(entries) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)
