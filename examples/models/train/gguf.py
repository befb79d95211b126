"""Writes GGUF version 3 files, with F32 and Q8_0 tensors; and reads back what Q8_0 keeps of a matrix."""
import struct

import numpy as np

ALIGNMENT = 32
F32, Q8_0 = 0, 8
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
PLAIN = {U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}


def packed_string(text):
    """u64 length in bytes, then UTF-8."""
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def packed_value(kind, value):
    """A value without its type; an array is (element type, list)."""
    if kind == STRING:
        return packed_string(value)
    if kind == ARRAY:
        element, items = value
        return struct.pack("<iQ", element, len(items)) + b"".join(packed_value(element, item) for item in items)
    return struct.pack(PLAIN[kind], value)


def to_q8_0(x):
    """The rows of x, [row, column] with columns a multiple of 32, as blocks: f16 scale = max |x| / 127, 32 signed bytes."""
    blocks = np.ascontiguousarray(x, np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    codes = np.rint(np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0))
    out = np.empty((len(blocks), 34), np.uint8)
    out[:, :2] = scale.astype("<f2").view(np.uint8)
    out[:, 2:] = codes.astype(np.int8).view(np.uint8)
    return out


def from_q8_0(raw, shape):
    """The float32 values that the blocks stand for."""
    scale = np.ascontiguousarray(raw[:, :2]).view("<f2").astype(np.float32)
    return (scale * raw[:, 2:].view(np.int8).astype(np.float32)).reshape(shape)


def write_gguf(path, fields, tensors):
    """fields: [(key, type, value)]; tensors: [(name, array)], vectors are kept as F32 and matrices become Q8_0."""
    head = b"GGUF" + struct.pack("<Iqq", 3, len(tensors), len(fields))
    for key, kind, value in fields:
        head += packed_string(key) + struct.pack("<i", kind) + packed_value(kind, value)
    blobs, offset = [], 0
    for name, array in tensors:
        kind = Q8_0 if array.ndim == 2 else F32
        blob = to_q8_0(array).tobytes() if kind == Q8_0 else array.astype("<f4").tobytes()
        dims = array.shape[::-1]
        head += packed_string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}q", *dims)
        head += struct.pack("<iQ", kind, offset)
        blob += bytes(-len(blob) % ALIGNMENT)
        blobs.append(blob)
        offset += len(blob)
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + b"".join(blobs))
