"""Keyword checks: unknown names are errors that name the close match; known ones that do nothing here are never ignored silently."""
import difflib
import functools
import inspect

from ._library import UnsupportedError


def unknown_keyword(function, name, known):
    close = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return TypeError(f"{function}() got an unknown keyword '{name}'{hint}")


def checked_keywords(function):
    """Decorator: an unknown keyword is a TypeError that names the close match."""
    known = [p.name for p in inspect.signature(function).parameters.values() if p.name != "self"]

    @functools.wraps(function)
    def call(*arguments, **keywords):
        for name in keywords:
            if name not in known:
                raise unknown_keyword(function.__name__, name, known)
        return function(*arguments, **keywords)
    return call


# Parameters of llama-cpp-python's constructor that have no effect here, so that only these values mean what they say.
CONSTRUCTOR_ONLY = {
    "op_offload": ((None, False), "work stays on the device that holds its layer"),
    "use_mlock": ((False,), "weights are not locked in memory"),
    "kv_overrides": ((None,), "metadata cannot be overridden"),
    "pooling_type": ((-1,), "embeddings are not available yet"),
    "attention_type": ((-1,), "attention follows the model"),
    "embedding": ((False,), "embeddings are not available yet"),
    "swa_full": ((None, False), "window layers keep their window only"),
    "lora_base": ((None,), "adapters are not available yet"),
    "lora_scale": ((1.0,), "adapters are not available yet"),
    "lora_path": ((None,), "adapters are not available yet"),
    "numa": ((False, 0), "memory is not placed by NUMA node"),
    "chat_format": ((None,), "chats use the model's own template, or chat_template=TEXT"),
    "chat_handler": ((None,), "chats use the model's own template, or chat_template=TEXT"),
    "draft_model": ((None,), "speculative decoding is not available yet"),
    "tokenizer": ((None,), "the model's own tokenizer is used"),
    "spm_infill": ((False,), "infill always puts the prefix first"),
}
SAMPLING_ONLY = {
    "tfs_z": ((1.0,), "tail-free sampling is not part of llama-cpp-python's order; use hearth.Sampler with the preset koboldcpp"),
    "penalize_nl": ((True,), "penalties treat a newline like any token"),
    "grammar": ((None,), "grammars are not available yet"),
}
CHAT_ONLY = {
    "functions": ((None,), "use tools"),
    "function_call": ((None,), "use tools and tool_choice"),
    "tool_choice": ((None, "none", "auto"), "a choice cannot be forced yet; use 'auto' or 'none'"),
    "response_format": ((None, {"type": "text"}), "output cannot be constrained yet"),
    "grammar": ((None,), "grammars are not available yet"),
}


def only(table, values):
    """Raises for every parameter whose value this version cannot honour."""
    for name, (allowed, reason) in table.items():
        if name in values and not any(values[name] is a or values[name] == a for a in allowed):
            raise UnsupportedError(f"{name}={values[name]!r} is not supported: {reason}")


PLACEMENT_DEFAULTS = {"n_gpu_layers": 0, "split_mode": 1, "main_gpu": 0, "tensor_split": None, "offload_kqv": True}
SPLIT_MODES = {0: "", 1: "", 2: ",split=tensor", 3: ",split=tensor"}  # none, layer, row, tensor
NOT_ACCELERATORS = ("cpu", "ref", "sim", "onednn")


def share_text(share):
    """A decimal of at most six places, as a device spec has it."""
    if not 0 <= share <= 1e6:
        raise ValueError(f"tensor_split has {share!r}; it holds numbers from 0 to 1000000, one per GPU")
    return f"{share:.6f}".rstrip("0").rstrip(".")


def device_spec(p, devices):
    """The device spec that llama-cpp-python's words mean. devices: called for the list of devices where one is meant by its number."""
    given = [name for name, default in PLACEMENT_DEFAULTS.items() if p[name] is not default and p[name] != default]
    if p["device"] is not None:
        if given:
            raise ValueError(f"device={p['device']!r} and {given[0]}={p[given[0]]!r} both say where the model goes; use one of them")
        return p["device"]
    n, mode, gpu = p["n_gpu_layers"], p["split_mode"], p["main_gpu"]
    if not isinstance(n, int) or n < -1:
        raise ValueError(f"n_gpu_layers is {n!r}; it is a number of layers, 0 for the CPU alone, or -1 for as many as fit")
    if mode not in SPLIT_MODES:
        raise ValueError(f"split_mode is {mode!r}; it is 0 none, 1 layer, 2 row or 3 tensor")
    if not isinstance(gpu, int) or gpu < 0:
        raise ValueError(f"main_gpu is {gpu!r}; it is the number of a GPU from 0 on")
    if n == 0:
        for name in given:
            if name != "offload_kqv":
                raise UnsupportedError(f"{name}={p[name]!r} has no effect with n_gpu_layers=0, which is the CPU alone")
        return "cpu"
    if mode != 0 and gpu != 0:
        raise UnsupportedError(f"main_gpu={gpu} is not supported with split_mode={mode}: it chooses the one GPU of split_mode=0")
    where = "auto"
    if mode == 0:
        if p["tensor_split"] is not None:
            raise UnsupportedError("tensor_split is not supported with split_mode=0: everything goes to main_gpu")
        found = [d["spec"] for d in devices() if not d["unavailable"] and d["spec"].split(":")[0] not in NOT_ACCELERATORS]
        if gpu < len(found):
            where = found[gpu]
        elif gpu > 0:
            raise ValueError(f"main_gpu is {gpu}; the usable GPUs are {', '.join(found) or 'none'}")
    spec = where + (",layers=auto" if n == -1 else f",layers={n}") + SPLIT_MODES[mode]
    if p["tensor_split"] is not None:
        spec += ",shares=" + ":".join(share_text(share) for share in p["tensor_split"])
    return spec if p["offload_kqv"] else spec + ",kv=cpu"


# GGML type numbers, as llama-cpp-python takes them, and names.
CACHE_TYPE_IDS = {0: "f32", 1: "f16", 2: "q4_0", 8: "q8_0", 30: "bf16"}  # as in GGUF
CACHE_TYPE_NAMES = {None: None, **CACHE_TYPE_IDS, **{name: name for name in CACHE_TYPE_IDS.values()}}


def cache_type(name, value):
    if value not in CACHE_TYPE_NAMES:
        raise UnsupportedError(f"{name}={value!r} is not supported: the cache holds f32 (0), f16 (1), q4_0 (2), q8_0 (8) or bf16 (30)")
    return CACHE_TYPE_NAMES[value]


def rope_fields(p):
    """The context's RoPE fields from llama-cpp-python's parameters, whose defaults mean the model's own."""
    kinds = {-1: 0, 0: 1, 1: 2, 2: 3, 3: 4}
    if p["rope_scaling_type"] not in kinds:
        raise ValueError(f"rope_scaling_type is {p['rope_scaling_type']}; it is -1 (the model's), 0 none, 1 linear, 2 YaRN or 3 LongRoPE")
    if p["yarn_ext_factor"] == 0:
        raise UnsupportedError("yarn_ext_factor=0 is not supported: use rope_scaling_type=1 for plain linear scaling")
    defaults = {"yarn_ext_factor": -1.0, "yarn_attn_factor": 1.0, "yarn_beta_fast": 32.0, "yarn_beta_slow": 1.0}
    fields = {name: 0.0 if p[name] == default else float(p[name]) for name, default in defaults.items()}
    fields.update(rope_scaling_type=kinds[p["rope_scaling_type"]], rope_freq_base=float(p["rope_freq_base"]),
                  rope_freq_scale=float(p["rope_freq_scale"]), yarn_orig_ctx=p["yarn_orig_ctx"])
    return fields


def stop_list(stop):
    """Stop strings as a list of nonempty bytes."""
    if stop is None:
        return []
    texts = [stop] if isinstance(stop, (str, bytes)) else list(stop)
    return [t if isinstance(t, bytes) else t.encode("utf-8") for t in texts if t]
