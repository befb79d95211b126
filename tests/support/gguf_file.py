"""Encodes GGUF version 3 files for the tests, written from the format's description and not from the library's writer."""
import struct

ALIGNMENT = 32


def text(value):
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def value_bytes(value):
    """(GGUF type, bytes): bool, int (uint32), float (float32), str and lists of these."""
    if isinstance(value, bool):
        return 7, struct.pack("<B", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, text(value)
    kind = value_bytes(value[0])[0]
    return 9, struct.pack("<IQ", kind, len(value)) + b"".join(value_bytes(v)[1] for v in value)


def header_bytes(entries, tensors):
    """(header, bytes of the whole file): like file_bytes(), with the number of bytes in place of each tensor's bytes."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(entries))
    for key, value in entries.items():
        kind, data = value_bytes(value)
        head += text(key) + struct.pack("<I", kind) + data
    offset = 0
    for name, shape, type_id, n_byte in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", type_id, offset)
        offset += n_byte + -n_byte % ALIGNMENT
    head += bytes(-len(head) % ALIGNMENT)
    return head, len(head) + offset


def file_bytes(entries, tensors):
    """entries: {key: value}; tensors: [(name, shape with the fastest dimension first, GGUF type number, bytes)]."""
    head, _ = header_bytes(entries, [(name, shape, type_id, len(data)) for name, shape, type_id, data in tensors])
    return head + b"".join(data + bytes(-len(data) % ALIGNMENT) for _, _, _, data in tensors)
