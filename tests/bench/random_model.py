#!/usr/bin/env python3
"""Writes a Llama of a real shape with random weights, for speed measurements: random_model.py SHAPE TYPE OUTPUT_TYPE FILE

SHAPE is 0.5B, 1B or 8B; TYPE that of the layers' matrices, OUTPUT_TYPE that of the embedding and the output matrix.
Blocks are random bytes with small scales, a pool of 4096 blocks over and over: speeds do not depend on the values."""
import pathlib
import random
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import gguf_file  # noqa: E402

# name: (GGUF number, elements and bytes of a block, places of half-precision scales in it)
TYPES = {
    "F32": (0, 1, 4, ()), "F16": (1, 1, 2, (0,)), "BF16": (30, 1, 2, ()), "Q4_0": (2, 32, 18, (0,)), "Q4_1": (3, 32, 20, (0, 2)),
    "Q5_0": (6, 32, 22, (0,)), "Q5_1": (7, 32, 24, (0, 2)), "Q8_0": (8, 32, 34, (0,)), "Q2_K": (10, 256, 84, (80, 82)),
    "Q3_K": (11, 256, 110, (108,)), "Q4_K": (12, 256, 144, (0, 2)), "Q5_K": (13, 256, 176, (0, 2)), "Q6_K": (14, 256, 210, (208,)),
    "IQ4_NL": (20, 32, 18, (0,)), "IQ4_XS": (23, 256, 136, (0,)), "MXFP4": (39, 32, 17, ()),
}
# width, layers, feed-forward width, query heads, key/value heads, tied
SHAPES = {
    "0.5B": (1024, 24, 4096, 16, 4, True),
    "1B": (2048, 16, 8192, 32, 8, True),
    "8B": (4096, 32, 14336, 32, 8, False),
}
N_VOCAB, N_POOL = 128256, 4096


def pool(type_name):
    _, _, n_byte, scales = TYPES[type_name]
    generator = random.Random(1)
    blocks = bytearray()
    for _ in range(N_POOL):
        block = bytearray(generator.randbytes(n_byte))
        for at in scales:
            block[at:at + 2] = struct.pack("<e", generator.uniform(1e-4, 4e-4))
        if type_name == "MXFP4":
            block[0] = generator.randrange(112, 118)
        if type_name == "F32":
            block = bytearray(struct.pack("<f", generator.gauss(0, 0.02)))
        if type_name == "BF16":
            block = bytearray(struct.pack("<f", generator.gauss(0, 0.02))[2:])
        blocks += block
    return bytes(blocks)


def tensor_list(shape, layer_type, output_type):
    """(name, shape with the fastest dimension first, type name)"""
    width, n_layer, n_ffn, n_head, n_kv, tied = shape
    kv = width // n_head * n_kv
    yield "token_embd.weight", (width, N_VOCAB), output_type
    if not tied:
        yield "output.weight", (width, N_VOCAB), output_type
    yield "output_norm.weight", (width,), "F32"
    for i in range(n_layer):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{i}.{name}.weight", (width,), "F32"
        for name, n_out, n_in in (("attn_q", width, width), ("attn_k", kv, width), ("attn_v", kv, width),
                                  ("attn_output", width, width), ("ffn_gate", n_ffn, width), ("ffn_up", n_ffn, width),
                                  ("ffn_down", width, n_ffn)):
            yield f"blk.{i}.{name}.weight", (n_in, n_out), layer_type


def metadata(shape):
    width, n_layer, n_ffn, n_head, n_kv, _ = shape
    words = [f"<t{i}>" for i in range(N_VOCAB)]
    return {
        "general.architecture": "llama", "general.name": "random", "llama.context_length": 131072,
        "llama.embedding_length": width, "llama.block_count": n_layer, "llama.feed_forward_length": n_ffn,
        "llama.attention.head_count": n_head, "llama.attention.head_count_kv": n_kv,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 500000.0, "llama.vocab_size": N_VOCAB,
        "llama.rope.dimension_count": width // n_head, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": words, "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 1,
    }


def main():
    shape_name, layer_type, output_type, path = sys.argv[1:]
    pools = {name: pool(name) for name in {layer_type, output_type, "F32"}}
    tensors = []
    for name, shape, type_name in tensor_list(SHAPES[shape_name], layer_type, output_type):
        number, n_element, n_byte, _ = TYPES[type_name]
        n = shape[0] * (shape[1] if len(shape) == 2 else 1) // n_element * n_byte
        tensors.append((name, shape, number, n, type_name))
    head, _ = gguf_file.header_bytes(metadata(SHAPES[shape_name]), [t[:4] for t in tensors])
    with open(path, "wb") as file:
        file.write(head)
        for _, _, _, n, type_name in tensors:
            data = pools[type_name]
            whole, rest = divmod(n, len(data))
            for _ in range(whole):
                file.write(data)
            file.write(data[:rest] + bytes(-n % gguf_file.ALIGNMENT))


if __name__ == "__main__":
    main()
