"""The class Llama, shaped like llama-cpp-python's: a model, one context, and text in and out."""
import array
import ctypes
import inspect
import logging
import os
import random

from . import _chat, _completion, _options
from ._library import HearthError, UnsupportedError
from .model import Context, Model, Runtime, Sampler

RANDOM_SEED = 0xFFFFFFFF
MAX_DEFAULT_CTX = 4096
LOG = logging.getLogger("hearth")
LOG.addHandler(logging.NullHandler())
LOG_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}

try:
    import numpy
except ImportError:
    numpy = None


class LogitsProcessorList(list):
    """Processors called one after another: scores = processor(input_ids, scores)."""

    def __call__(self, input_ids, scores):
        for processor in self:
            scores = processor(input_ids, scores)
        return scores


class StoppingCriteriaList(list):
    """Stops when any of them says so: criterion(input_ids, logits)."""

    def __call__(self, input_ids, logits):
        return any(criterion(input_ids, logits) for criterion in self)


class LlamaState:
    """What save_state returns. logits: of the last token, so that sampling can go on, or None."""

    def __init__(self, tokens, seed, data, logits):
        self.input_ids, self.n_tokens, self.seed = list(tokens), len(tokens), seed
        self.llama_state, self.llama_state_size, self.logits = data, len(data), logits


def integers(values):
    return numpy.array(values, dtype=numpy.intc) if numpy else list(values)


def floats(row, n):
    """A copy of n floats behind a pointer."""
    return numpy.ctypeslib.as_array(row, (n,)).copy() if numpy else list(row[:n])


class Llama:
    """A model with one context. Differences from llama-cpp-python's class stand in docs/python.md."""

    def __init__(self, model_path, *, n_gpu_layers=0, split_mode=1, main_gpu=0, tensor_split=None, vocab_only=False, use_mmap=False,
                 use_mlock=False, kv_overrides=None, seed=RANDOM_SEED, n_ctx=None, n_batch=512, n_ubatch=512, n_threads=None,
                 n_threads_batch=None, rope_scaling_type=-1, pooling_type=-1, attention_type=-1, rope_freq_base=0.0, rope_freq_scale=0.0,
                 yarn_ext_factor=-1.0, yarn_attn_factor=1.0, yarn_beta_fast=32.0, yarn_beta_slow=1.0, yarn_orig_ctx=0, logits_all=False,
                 embedding=False, offload_kqv=True, flash_attn=False, op_offload=None, swa_full=None, no_perf=False, last_n_tokens_size=64,
                 lora_base=None, lora_scale=1.0, lora_path=None, numa=False, chat_format=None, chat_handler=None, draft_model=None,
                 tokenizer=None, type_k=None, type_v=None, spm_infill=False, verbose=True, device=None, chat_template=None, progress=None,
                 **unknown):
        values = dict(locals())
        for name in unknown:
            known = [n for n in inspect.signature(Llama.__init__).parameters if n not in ("self", "unknown")]
            raise _options.unknown_keyword("Llama", name, known)
        _options.only(_options.CONSTRUCTOR_ONLY, values)
        if n_threads_batch not in (None, n_threads):
            raise UnsupportedError(f"n_threads_batch={n_threads_batch} is not supported: it cannot differ from n_threads")
        self.model_path = os.fspath(model_path)
        self.verbose, self.chat_template, self.logits_all = verbose, chat_template, logits_all
        self.last_n_tokens_size = last_n_tokens_size
        self._ctx = self._model = self._runtime = None
        self._tokens, self._scores, self._row = [], [], None
        self.set_seed(seed)
        log = (lambda level, message: LOG.log(LOG_LEVELS.get(level, logging.INFO), message)) if verbose else None
        try:
            self._runtime = Runtime(n_threads or 0, log)
            device = _options.device_spec(values, self._runtime.devices)
            wanted = dict(n_ctx=n_ctx, n_batch=max(1, min(values["n_batch"], values["n_ubatch"], n_ctx)),
                          type_k=_options.cache_type("type_k", values["type_k"]),
                          type_v=_options.cache_type("type_v", values["type_v"])) if n_ctx and n_ctx > 0 else None
            self._model = Model(self._runtime, model_path, device, use_mmap, vocab_only, progress, wanted)
            if n_gpu_layers == -1 and self._model.info["device"] == "cpu":
                LOG.warning("n_gpu_layers=-1: there is no usable GPU, so everything is on the CPU (Runtime.devices() has the reasons)")
            self._vocab = self._model.vocab() if self._model.info["has_vocab"] else None
            if not vocab_only:
                self._make_context(values)
        except BaseException:
            self.close()
            raise

    def _make_context(self, p):
        """The context; by default one that holds what the model was trained for, at most 4096 tokens."""
        train = self._model.info["n_ctx_train"]
        n_ctx = min(train, MAX_DEFAULT_CTX) if p["n_ctx"] is None else p["n_ctx"] or train
        if n_ctx < 0:
            raise ValueError(f"n_ctx is {n_ctx}; it is a number of tokens, 0 for the training context, None for at most {MAX_DEFAULT_CTX}")
        self._n_batch = max(1, min(p["n_batch"], p["n_ubatch"], n_ctx))
        self._n_ctx = n_ctx
        self._ctx = Context(self._model, n_ctx, _options.cache_type("type_k", p["type_k"]), _options.cache_type("type_v", p["type_v"]),
                            n_batch=self._n_batch, n_output_max=self._n_batch if p["logits_all"] else 0, **_options.rope_fields(p))

    # What it is

    @property
    def ctx(self):
        if self._ctx is None:
            raise ValueError("this Llama is closed, or was opened with vocab_only=True")
        return self._ctx

    @property
    def model(self):
        if self._model is None:
            raise ValueError("this Llama is closed")
        return self._model

    @property
    def vocab(self):
        self.model  # closed is the better reason
        if self._vocab is None:
            raise ValueError(f"{self.model_path} has no tokenizer")
        return self._vocab

    @property
    def metadata(self):
        return self.model.metadata()

    @property
    def n_tokens(self):
        return len(self._tokens)

    @property
    def eval_tokens(self):
        return list(self._tokens)

    @property
    def eval_logits(self):
        """Logits of every evaluated token with logits_all=True, else of the last one."""
        if self.logits_all:
            return [list(row) for row in self._scores]
        return [list(self.last_logits()[:self.n_vocab()])] if self._tokens else []

    def n_ctx(self):
        self.ctx
        return self._n_ctx

    def n_embd(self):
        return self.model.info["n_embd"]

    def n_vocab(self):
        return self.model.info["n_vocab"]

    def token_bos(self):
        return self.vocab["bos"]

    def token_eos(self):
        return self.vocab["eos"]

    def token_nl(self):
        return self.vocab["newline"]

    def tokenizer(self):
        """An object with encode(text) -> tokens and decode(tokens) -> text."""
        return LlamaTokenizer(self)

    def set_seed(self, seed):
        """The seed of every generation that is given none. None and 0xFFFFFFFF: a new one each time; 0 is a seed."""
        self._seed = None if seed in (None, RANDOM_SEED, -1) else seed

    def close(self):
        for handle in (self._ctx, self._model, self._runtime):
            if handle is not None:
                handle.close()
        self._ctx = self._model = self._runtime = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Text and tokens

    def tokenize(self, text, add_bos=True, special=False):
        """Tokens of UTF-8 bytes. special: "<|im_end|>" in the text becomes that token."""
        self.vocab
        return self.model.tokenize(text, add_bos, special)

    def detokenize(self, tokens, prev_tokens=None, special=False):
        """Bytes of tokens; with prev_tokens, as they go on after those."""
        self.vocab
        if prev_tokens:
            return b"".join(self.model.piece(token, special) for token in tokens)
        return self.model.detokenize(list(tokens), special)

    # Tokens and logits

    def reset(self):
        """Forgets what was evaluated."""
        self.ctx.clear()
        self._tokens, self._scores, self._row = [], [], None

    def eval(self, tokens, want_logits=None):
        """Evaluates tokens after those before. want_logits: called as want_logits(index in tokens, row) for the logits of each."""
        tokens = list(tokens)
        if len(self._tokens) + len(tokens) > self._n_ctx:
            raise ValueError(f"{len(self._tokens)} evaluated tokens and {len(tokens)} more do not fit a context of {self._n_ctx}")
        every = self.logits_all or want_logits is not None
        step = self._n_batch if self.logits_all or not every else min(self._n_batch, 32)
        for begin in range(0, len(tokens), step):
            part = tokens[begin:begin + step]
            self.ctx.decode(part, want_logits=[True] * len(part) if every else None)
            self._tokens += part
            self._row = None
            for i in range(len(part) if every else 0):
                row = self.ctx.logits(i)
                if self.logits_all:
                    self._scores.append(array.array("f", row[:self.n_vocab()]))
                if want_logits is not None:
                    want_logits(begin + i, row)

    def last_logits(self):
        """A pointer to the n_vocab logits of the last token, valid until the next evaluation."""
        return self.ctx.logits(-1) if self._row is None else ctypes.cast(self._row, ctypes.POINTER(ctypes.c_float))

    def longest_token_prefix(self, a, b):
        n = 0
        for x, y in zip(a, b):
            if x != y:
                break
            n += 1
        return n

    def _reuse(self, tokens):
        """Keeps what the context shares with tokens, but for the last, whose logits are needed; the number of tokens kept."""
        n = self.longest_token_prefix(self._tokens, tokens[:-1])
        if n < self.ctx.range()[0]:  # not len(_tokens): an interrupt may have come between decode and bookkeeping
            try:
                if n:
                    self.ctx.remove(0, n)
            except HearthError:  # recurrent state and windows cannot go back
                n = 0
            if n == 0:
                self.reset()
        del self._tokens[n:], self._scores[n:]
        return n

    def _make_sampler(self, o, seed=None):
        names = ("temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty", "frequency_penalty", "presence_penalty")
        options = {name: o[name] for name in names}
        options.update(mirostat=o["mirostat_mode"], mirostat_tau=o["mirostat_tau"], mirostat_eta=o["mirostat_eta"],
                       repeat_last_n=self.last_n_tokens_size)
        options = {name: int(v) if name in ("top_k", "mirostat", "repeat_last_n") else float(v) for name, v in options.items()}
        seed = self._seed if seed in (None, RANDOM_SEED, -1) else seed
        if seed is None:
            seed = random.SystemRandom().getrandbits(64)
        bias = {int(token): float(value) for token, value in (o.get("logit_bias") or {}).items()}
        return Sampler(self.model, "llama-cpp-python", seed, bias, options)

    def _draw(self, sampler, logits_processor=None):
        """One token from the last logits; it is accepted."""
        row, n = self.last_logits(), self.n_vocab()
        if logits_processor is not None:
            scores = logits_processor(integers(self._tokens), floats(row, n))
            if len(scores) != n:
                raise ValueError(f"the logits processor returned {len(scores)} scores, the vocabulary has {n} tokens")
            row = (ctypes.c_float * n)(*scores)
        token = sampler.sample(row, n, len(self._tokens))
        sampler.accept(token)
        return token

    @_options.checked_keywords
    def sample(self, top_k=40, top_p=0.95, min_p=0.05, typical_p=1.0, temp=0.80, repeat_penalty=1.0, frequency_penalty=0.0,
               presence_penalty=0.0, tfs_z=1.0, mirostat_mode=0, mirostat_eta=0.1, mirostat_tau=5.0, penalize_nl=True,
               logits_processor=None, grammar=None, logit_bias=None, seed=None):
        """One token from the logits of the last evaluated one."""
        values = dict(locals(), temperature=temp)
        _options.only(_options.SAMPLING_ONLY, values)
        if not self._tokens:
            raise ValueError("nothing was evaluated yet; call eval(tokens) first")
        with self._make_sampler(values, seed) as sampler:
            return self._draw(sampler, logits_processor)

    @_options.checked_keywords
    def generate(self, tokens, top_k=40, top_p=0.95, min_p=0.05, typical_p=1.0, temp=0.80, repeat_penalty=1.0, reset=True,
                 frequency_penalty=0.0, presence_penalty=0.0, tfs_z=1.0, mirostat_mode=0, mirostat_tau=5.0, mirostat_eta=0.1,
                 penalize_nl=True, logits_processor=None, stopping_criteria=None, grammar=None, logit_bias=None, seed=None):
        """Yields tokens without end (until the context is full); .send(tokens) puts more tokens behind the last one.
        reset: start from these tokens, reusing what the context already has of them; else go on after what it has."""
        values = dict(locals(), temperature=temp)
        _options.only(_options.SAMPLING_ONLY, values)
        tokens = list(tokens)
        if reset and not tokens:
            raise ValueError("there is no token to start from; the prompt is empty and the model adds no BOS")
        return self._generate(tokens, values, seed)

    def _generate(self, tokens, o, seed, want_logits=None):
        with self._make_sampler(o, seed) as sampler:
            if want_logits is not None:
                self.reset()
            elif o["reset"]:
                tokens = tokens[self._reuse(tokens):]
            while True:
                if tokens:
                    self.eval(tokens, want_logits)
                want_logits = None
                token = self._draw(sampler, o["logits_processor"])
                criteria = o["stopping_criteria"]
                if criteria is not None and criteria(integers(self._tokens), floats(self.last_logits(), self.n_vocab())):
                    return
                more = yield token
                tokens = [token] + list(more or [])
                if len(self._tokens) + len(tokens) > self._n_ctx:
                    return

    def save_state(self):
        """The evaluated tokens and their cache, to be loaded into a Llama of the same model."""
        row = None
        if self._tokens:
            row = (ctypes.c_float * self.n_vocab())()
            ctypes.memmove(row, self.last_logits(), ctypes.sizeof(row))
        return LlamaState(self._tokens, self._seed, self.ctx.save(), row)

    def load_state(self, state):
        if state.n_tokens > self._n_ctx:
            raise ValueError(f"the state has {state.n_tokens} tokens, the context holds {self._n_ctx}")
        self.reset()
        self.ctx.load(state.llama_state)
        self._tokens, self._seed, self._row = list(state.input_ids), state.seed, state.logits

    create_completion = _completion.create_completion
    __call__ = _completion.create_completion
    create_chat_completion = _chat.create_chat_completion


class LlamaTokenizer:
    """The tokenizer of a Llama as an object."""

    def __init__(self, llama):
        self.llama = llama

    def tokenize(self, text, add_bos=True, special=True):
        return self.llama.tokenize(text, add_bos, special)

    def detokenize(self, tokens, prev_tokens=None, special=False):
        return self.llama.detokenize(tokens, prev_tokens, special)

    def encode(self, text, add_bos=True, special=True):
        return self.tokenize(text.encode("utf-8"), add_bos, special)

    def decode(self, tokens):
        return self.detokenize(tokens).decode("utf-8", "replace")
