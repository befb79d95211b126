"""Runtime, Model, Context and Sampler: thin objects over the handles of the C ABI, closed by `with`, close() or the collector."""
import ctypes
import os

from . import _abi
from ._library import check, lib, make, text_bytes, two_calls

# A decode comes back this often, so that Ctrl-C is noticed in the middle of a long prompt.
SLICE_US = 50000
CACHE_TYPES = {None: 0, "f32": _abi.HEARTH_TYPE_F32, "f16": _abi.HEARTH_TYPE_F16, "bf16": _abi.HEARTH_TYPE_BF16,
               "q8_0": _abi.HEARTH_TYPE_Q8_0, "q4_0": _abi.HEARTH_TYPE_Q4_0}


def struct_dict(struct):
    """The fields of an info struct as a dict; text fields as str."""
    found = {name: getattr(struct, name) for name, _ in struct._fields_ if name != "struct_size"}
    return {name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in found.items()}


class Handle:
    """Something that is released once. Using it afterwards is an error, closing it again is not."""
    _release = None

    def __init__(self):
        self._handle = None

    @property
    def handle(self):
        if not self._handle:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._handle

    @property
    def closed(self):
        return not self._handle

    def close(self):
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            type(self)._release(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        try:
            self.close()
        except TypeError:  # the interpreter is going down and took the library along
            pass


class Runtime(Handle):
    """Threads, memory, log and devices. n_threads: 0 = physical cores. log: called as log(level, message), from any thread.
    plugin_path: folders or files of device plugins, separated as in PATH. unload_unused: where memory is short, models without a
    context give their weights up, the least recently used first, and load them again for their next context."""
    _release = lib.hearth_runtime_release

    def __init__(self, n_threads=0, log=None, log_level=3, plugin_path=None, unload_unused=False):
        super().__init__()
        params = make(_abi.hearth_runtime_params, n_threads=n_threads, unload_unused=_abi.HEARTH_ON if unload_unused else 0)
        if plugin_path:
            path = text_bytes(os.fspath(plugin_path))
            params.plugin_path, params.plugin_path_size = path, len(path)
        if log:
            kind = dict(_abi.hearth_runtime_params._fields_)["log"]
            self._log = kind(lambda _, level, message: log(level, message.decode("utf-8", "replace")))
            params.log, params.log_level = self._log, log_level
        out = _abi.hearth_runtime()
        check(lib.hearth_runtime_create(ctypes.byref(params), ctypes.byref(out)))
        self._handle = out

    def devices(self):
        """Every device, and every plugin that cannot be used, as a dict: spec, name, detail, unavailable ("" = it can be used, else
        the reason), total_bytes, free_bytes. Opens all plugins."""
        found = []
        while True:
            info = make(_abi.hearth_device_info)
            status = lib.hearth_runtime_device(self.handle, len(found), ctypes.byref(info))
            if status == _abi.HEARTH_E_NOT_FOUND:
                return found
            check(status)
            found.append(struct_dict(info))

    def memory(self):
        """(bytes allocated now, at most so far)"""
        now, peak = ctypes.c_uint64(), ctypes.c_uint64()
        check(lib.hearth_runtime_memory(self.handle, ctypes.byref(now), ctypes.byref(peak)))
        return now.value, peak.value


class Model(Handle):
    """A model file. progress: called as progress(bytes_done, bytes_total), a true result cancels; so does an exception.
    context: a dict of what Context will get, for which layers that "fit" leave room."""
    _release = lib.hearth_model_release

    def __init__(self, runtime, path, device=None, use_mmap=False, vocab_only=False, progress=None, context=None):
        super().__init__()
        source, params, wanted, _keep = load_params(path, device, context, use_mmap)
        params.vocab_only = _abi.HEARTH_ON if vocab_only else 0
        if context:
            params.context = ctypes.pointer(wanted)
        raised = []

        def report(_, done, total):
            try:  # Ctrl-C arrives here too: Python runs signal handlers in this call
                return 1 if progress and progress(done, total) else 0
            except BaseException as error:
                raised.append(error)
                return 1

        params.progress = dict(_abi.hearth_model_params._fields_)["progress"](report)
        out = _abi.hearth_model()
        status = lib.hearth_model_load(runtime.handle, ctypes.byref(source), ctypes.byref(params), ctypes.byref(out))
        if raised:
            if status == _abi.HEARTH_OK:
                lib.hearth_model_release(out)
            raise raised[0]
        check(status)
        self._handle, self._pieces, self._eog = out, {}, {}
        self.info = self._read_info()

    def _read_info(self):
        info = make(_abi.hearth_model_info)
        check(lib.hearth_model_get_info(self.handle, ctypes.byref(info)))
        return struct_dict(info)

    @property
    def loaded(self):
        """Whether the weights are in memory: not with vocab_only, nor after they gave way in a Runtime with unload_unused."""
        return bool(self._read_info()["is_loaded"])

    def placement(self):
        """Where the weights really are: a list of dicts, one per device."""
        return device_plans(lambda *out: lib.hearth_model_placement(self.handle, *out))

    @staticmethod
    def plan(runtime, path, device=None, context=None, use_mmap=False):
        """What loading a model and creating a context will take, from the file's header alone, as a dict: fits, weight_bytes, cache_bytes,
        activation_bytes, scratch_bytes, output_bytes, total_bytes, available_bytes, reserve_bytes, n_ctx_fits, n_layer_fits, and devices,
        a list of the same by device; mapped_bytes, in none of the sums, are of weights that stay in the file (use_mmap). device: a device
        spec; context: a dict of what Context will get."""
        source, params, wanted, _keep = load_params(path, device, context, use_mmap)
        info = make(_abi.hearth_plan_info)
        arguments = (runtime.handle, ctypes.byref(source), ctypes.byref(params), ctypes.byref(wanted))
        check(lib.hearth_plan_make(*arguments, ctypes.byref(info)))
        found = struct_dict(info)
        found["devices"] = device_plans(lambda *out: lib.hearth_plan_devices(*arguments, *out))
        found["n_layer_fits"] = found["devices"][0]["n_layer_fits"]
        for each in [found, *found["devices"]]:
            each["fits"] = bool(each["fits"])
        return found

    def vocab(self):
        """A dict: n_token, bos, eos, eot, unk, pad, newline (-1 = none), add_bos, add_eos, kind, pre_tokenizer."""
        info = make(_abi.hearth_vocab_info)
        check(lib.hearth_vocab_get_info(self.handle, ctypes.byref(info)))
        return struct_dict(info)

    def metadata(self):
        """{key: text}; arrays are cut after 16 entries."""
        count = ctypes.c_size_t()
        check(lib.hearth_model_meta_count(self.handle, ctypes.byref(count)))
        keys = [two_calls(lib.hearth_model_meta_key, self.handle, i) for i in range(count.value)]
        return {key.decode("utf-8", "replace"): two_calls(lib.hearth_model_meta_value, self.handle, key, len(key)).decode("utf-8", "replace")
                for key in keys}

    def tokenize(self, text, add_special=True, parse_special=False):
        """Token ids of a text (str or bytes); add_special: BOS and EOS where the model wants them."""
        data = text_bytes(text)
        flags = (_abi.HEARTH_TOKENIZE_SPECIAL if add_special else 0) | (_abi.HEARTH_TOKENIZE_PARSE if parse_special else 0)
        cap = len(data) + 8
        while True:
            tokens, n = (ctypes.c_int32 * cap)(), ctypes.c_size_t()
            check(lib.hearth_tokenize(self.handle, data, len(data), flags, tokens, cap, ctypes.byref(n)))
            if n.value <= cap:
                return list(tokens[:n.value])
            cap = n.value

    def piece(self, token, special=False):
        """The bytes of one token, perhaps part of a character."""
        key = (token, special)
        if key not in self._pieces:
            flag = _abi.HEARTH_ON if special else _abi.HEARTH_OFF
            self._pieces[key] = two_calls(lib.hearth_token_piece, self.handle, token, flag)
        return self._pieces[key]

    def detokenize(self, tokens, special=False):
        """The bytes of many tokens, as a text of its own."""
        ids = (ctypes.c_int32 * len(tokens))(*tokens)
        return two_calls(lib.hearth_detokenize, self.handle, ids, len(tokens), _abi.HEARTH_ON if special else _abi.HEARTH_OFF)

    def is_eog(self, token):
        """Whether a token ends a generation."""
        if token not in self._eog:
            out = ctypes.c_int32()
            check(lib.hearth_token_is_eog(self.handle, token, ctypes.byref(out)))
            self._eog[token] = bool(out.value)
        return self._eog[token]

    def render_chat(self, context_json, template=None):
        """The prompt that the model's chat template (or another) makes of a JSON object with "messages" and more."""
        source = text_bytes(template) if template else None
        data = text_bytes(context_json)
        return two_calls(lib.hearth_chat_render, self.handle, source, len(source or b""), data, len(data)).decode("utf-8", "replace")


def load_params(path, device, context, use_mmap=False):
    """(hearth_source, hearth_model_params, hearth_context_params, what they point to)"""
    name, spec = os.fsencode(path), text_bytes(device or "auto")
    source = make(_abi.hearth_source, path=name, path_size=len(name), use_mmap=_abi.HEARTH_ON if use_mmap else 0)
    params = make(_abi.hearth_model_params, device=spec, device_size=len(spec))
    return source, params, context_params(**(context or {})), (name, spec)


def device_plans(call):
    """What hearth_plan_devices or hearth_model_placement, called with (out, cap, n), writes: a list of dicts, one per device."""
    out, n = (_abi.hearth_device_plan * 65)(), ctypes.c_size_t()
    out[0].struct_size = ctypes.sizeof(_abi.hearth_device_plan)
    check(call(out, len(out), ctypes.byref(n)))
    return [struct_dict(out[i]) for i in range(min(n.value, len(out)))]


def context_params(n_ctx=0, type_k=None, type_v=None, **fields):
    return make(_abi.hearth_context_params, n_ctx=n_ctx, type_k=CACHE_TYPES[type_k], type_v=CACHE_TYPES[type_v], **fields)


class Context(Handle):
    """Sequences of tokens of a model, and their evaluation. type_k, type_v: "f32", "f16" (default), "bf16", "q8_0" or "q4_0"."""
    _release = lib.hearth_context_release

    def __init__(self, model, n_ctx=0, type_k=None, type_v=None, **fields):
        super().__init__()
        self.model = model
        params = context_params(n_ctx, type_k, type_v, **fields)
        out = _abi.hearth_context()
        check(lib.hearth_context_create(model.handle, ctypes.byref(params), ctypes.byref(out)))
        self._handle = out

    def decode(self, tokens, seq=0, want_logits=None):
        """Appends tokens to a sequence; want_logits: one truth value per token, None = the last alone.
        All or nothing: after an exception, KeyboardInterrupt too, the context is as it was."""
        n = len(tokens)
        batch = make(_abi.hearth_batch, n_token=n, token=(ctypes.c_int32 * n)(*tokens), seq=(ctypes.c_int32 * n)(*[seq] * n))
        if want_logits is not None:
            batch.want_logits = (ctypes.c_uint8 * n)(*map(bool, want_logits))
        paused = ctypes.c_int32()
        try:
            check(lib.hearth_context_decode_for(self.handle, ctypes.byref(batch), SLICE_US, ctypes.byref(paused)))
            while paused.value:
                check(lib.hearth_context_resume(self.handle, SLICE_US, ctypes.byref(paused)))
        except BaseException:
            if self._handle:
                lib.hearth_context_abandon(self._handle)
            raise

    def cancel(self):
        """Stops the decode that is running, from any thread: it raises CancelledError."""
        check(lib.hearth_context_cancel(self.handle))

    def logits(self, index=-1):
        """A pointer to n_vocab floats, valid until the next decode; index: token of the last decode, -1 = its last output."""
        out = ctypes.POINTER(ctypes.c_float)()
        check(lib.hearth_context_logits(self.handle, index, ctypes.byref(out)))
        return out

    def remove(self, seq=0, begin=0, end=-1):
        """Removes positions [begin, end) of a sequence; end < 0 = to the end."""
        check(lib.hearth_sequence_remove(self.handle, seq, begin, end))

    def clear(self):
        check(lib.hearth_context_clear(self.handle))

    def range(self, seq=0):
        """(number of tokens, first position, last position) of a sequence; -1 when empty."""
        n, first, last = ctypes.c_int32(), ctypes.c_int32(), ctypes.c_int32()
        check(lib.hearth_sequence_range(self.handle, seq, ctypes.byref(n), ctypes.byref(first), ctypes.byref(last)))
        return n.value, first.value, last.value

    def save(self, seq=0):
        """A sequence as bytes."""
        size = ctypes.c_size_t()
        check(lib.hearth_sequence_save(self.handle, seq, None, 0, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(max(size.value, 1))
        check(lib.hearth_sequence_save(self.handle, seq, buffer, size.value, ctypes.byref(size)))
        return buffer.raw[:size.value]

    def load(self, data, seq=0):
        check(lib.hearth_sequence_load(self.handle, seq, data, len(data)))


class Sampler(Handle):
    """From logits to a token. options: {"top_k": 40, ...} over the preset's; seed None: one is drawn; bias: {token: value}."""
    _release = lib.hearth_sampler_release

    def __init__(self, model, preset="llama.cpp", seed=None, bias=None, options=None):
        super().__init__()
        name = text_bytes(preset)
        listed = ",".join(f"{key}={value!r}" for key, value in (options or {}).items()).encode("ascii")
        bias = bias or {}
        params = make(_abi.hearth_sampler_params, has_seed=seed is not None, seed=(seed or 0) % (1 << 64), preset=name, preset_size=len(name),
                      options=listed, options_size=len(listed), n_bias=len(bias))
        if bias:
            params.bias_token = (ctypes.c_int32 * len(bias))(*bias.keys())
            params.bias = (ctypes.c_float * len(bias))(*bias.values())
        out = _abi.hearth_sampler()
        check(lib.hearth_sampler_create(model.handle, ctypes.byref(params), ctypes.byref(out)))
        self._handle = out

    def sample(self, logits, n_vocab, position):
        """The next token; position numbers the choice for the random draw."""
        token = ctypes.c_int32()
        check(lib.hearth_sampler_sample(self.handle, logits, n_vocab, position, ctypes.byref(token)))
        return token.value

    def accept(self, token):
        """Tells the sampler that a token was used."""
        check(lib.hearth_sampler_accept(self.handle, token))

    def reset(self):
        check(lib.hearth_sampler_reset(self.handle))

    @property
    def seed(self):
        out = ctypes.c_uint64()
        check(lib.hearth_sampler_seed(self.handle, ctypes.byref(out)))
        return out.value


class Detokenizer(Handle):
    """Text of tokens that arrive one at a time, in whole characters.

    special: print control tokens too; go_on: the tokens go on from a prompt, so a space before the first word stays.
    """
    _release = lib.hearth_detokenizer_release

    def __init__(self, model, special=False, go_on=True):
        super().__init__()
        flags = (_abi.HEARTH_DETOKENIZE_SPECIAL if special else 0) | (_abi.HEARTH_DETOKENIZE_CONTINUE if go_on else 0)
        out = _abi.hearth_detokenizer()
        check(lib.hearth_detokenizer_create(model.handle, flags, ctypes.byref(out)))
        self._handle = out

    def _text(self, call, *args):
        text, size = ctypes.c_char_p(), ctypes.c_size_t()
        check(call(self.handle, *args, ctypes.byref(text), ctypes.byref(size)))
        return ctypes.string_at(text, size.value).decode("utf-8") if size.value else ""

    def feed(self, token):
        """The str that this token completes, perhaps empty."""
        return self._text(lib.hearth_detokenizer_feed, token)

    def flush(self):
        """What still waits, as U+FFFD; then it starts anew."""
        return self._text(lib.hearth_detokenizer_flush)


def logprobs(logits, n_vocab, token, n_top=0):
    """(log probability of token, [(token, log probability)] of the n_top best) under the plain softmax."""
    own, ids, values = ctypes.c_float(), (ctypes.c_int32 * n_top)(), (ctypes.c_float * n_top)()
    check(lib.hearth_logprobs(logits, n_vocab, token, ctypes.byref(own), ids, values, n_top))
    return own.value, list(zip(ids, values))
