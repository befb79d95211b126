"""Completions: runs a generation to text, log probabilities and the dicts of the OpenAI shape."""
import time
import uuid

from . import _options
from ._stream import TextStream
from .model import logprobs as token_logprobs

INFILL_KEYS = (("fim_pre", "prefix"), ("fim_suf", "suffix"), ("fim_mid", "middle"))


class Event:
    """One generated token: where it begins in the answer (bytes, characters), the text that is certain now, log probabilities."""

    def __init__(self, token, start, offset, logprob, top):
        self.token, self.start, self.offset, self.logprob, self.top = token, start, offset, logprob, top
        self.text = ""


class Run:
    """One generation over a list of prompt tokens; iterate it for events, then read finish_reason and n_token."""

    def __init__(self, llama, prompt_tokens, o, max_tokens, n_logprob=None, prompt_row=None):
        room = llama.n_ctx() - len(prompt_tokens)
        if n_logprob is not None and n_logprob < 0:
            raise ValueError(f"{n_logprob} best tokens cannot be reported; logprobs is 0 or more")
        if not prompt_tokens:
            raise ValueError("the prompt has no tokens and the model adds no BOS")
        if room < 1:
            raise ValueError(f"the prompt has {len(prompt_tokens)} tokens; the context holds {llama.n_ctx()}, the answer included: "
                             "shorten it or open the model with a larger n_ctx")
        self.llama, self.prompt_tokens, self.o, self.prompt_row = llama, prompt_tokens, o, prompt_row
        self.max_tokens = room if max_tokens is None or max_tokens < 1 else min(max_tokens, room)
        self.n_logprob, self.n_token, self.finish_reason = n_logprob, 0, None
        self.pending = []  # events whose log probabilities were not handed out yet
        self.stream = TextStream(_options.stop_list(o["stop"]))

    def __iter__(self):
        llama, start, offset = self.llama, 0, 0
        tokens = llama._generate(list(self.prompt_tokens), dict(self.o, reset=True), self.o["seed"], self.prompt_row)
        try:
            for token in tokens:
                if llama.model.is_eog(token):
                    self.finish_reason = "stop"
                    break
                self.n_token += 1
                piece = llama.model.piece(token)
                own, top = (None, [])
                if self.n_logprob is not None:
                    own, top = token_logprobs(llama.last_logits(), llama.n_vocab(), token, min(self.n_logprob, llama.n_vocab()))
                event = Event(token, start, offset, own, top)
                start, offset = start + len(piece), offset + len(piece.decode("utf-8", "replace"))
                self.pending.append(event)
                event.text = self.stream.feed(piece)
                yield event
                if self.stream.stopped:
                    self.finish_reason = "stop"
                    break
                if self.n_token >= self.max_tokens:
                    self.finish_reason = "length"
                    break
            else:  # the criteria said so, or the context is full
                full = len(self.prompt_tokens) + self.n_token >= llama.n_ctx()
                self.finish_reason = "length" if full else "stop"
        finally:
            tokens.close()

    def take_pending(self):
        """The events to report now; tokens that lie behind the stop string are no part of the answer."""
        stopped, end = self.stream.stopped, self.stream.n_bytes
        events, self.pending = [e for e in self.pending if not stopped or e.start < end], []
        return events if self.n_logprob is not None else []

    def rest(self):
        """Text that was held back at the end."""
        return "" if self.stream.stopped else self.stream.finish()

    def usage(self):
        n = len(self.prompt_tokens)
        return {"prompt_tokens": n, "completion_tokens": self.n_token, "total_tokens": n + self.n_token}


def piece_text(llama, token):
    return llama.model.piece(token, special=True).decode("utf-8", "replace")


def logprob_row(llama, token, own, top, offset):
    """One token of a completion's logprobs: OpenAI's parallel lists with one entry each."""
    best = {}
    for other, value in [*top, (token, own)]:  # best first: of tokens with the same text the likelier one stays
        best.setdefault(piece_text(llama, other), value)
    return {"tokens": [piece_text(llama, token)], "text_offset": [offset], "token_logprobs": [own], "top_logprobs": [best]}


def empty_logprobs():
    return {"tokens": [], "text_offset": [], "token_logprobs": [], "top_logprobs": []}


def extend_logprobs(into, row):
    for name, values in row.items():
        into[name] += values


class PromptLogprobs:
    """Collects the log probabilities of the prompt itself, for echo: each token's from the logits before it."""

    def __init__(self, llama, tokens, n_logprob):
        self.llama, self.tokens, self.n = llama, tokens, n_logprob
        self.rows, self.offset = empty_logprobs(), 0
        self.append(0, None, None)

    def append(self, index, own, top):
        token = self.tokens[index]
        row = logprob_row(self.llama, token, own, top or [], self.offset)
        if top is None:
            row["top_logprobs"] = [None]
        extend_logprobs(self.rows, row)
        self.offset += len(self.llama.model.piece(token).decode("utf-8", "replace"))

    def __call__(self, index, row):
        if index + 1 < len(self.tokens):
            n_vocab = self.llama.n_vocab()
            self.append(index + 1, *token_logprobs(row, n_vocab, self.tokens[index + 1], min(self.n, n_vocab)))


def infill_tokens(llama):
    """The three tokens of fill-in-the-middle, or ValueError for a model that has none."""
    metadata, found = llama.metadata, []
    for names in INFILL_KEYS:
        keys = [f"tokenizer.ggml.{name}_token_id" for name in names]
        found += [int(metadata[key]) for key in keys if key in metadata][:1]
    if len(found) != 3:
        raise ValueError(f"suffix: {llama.model_path} has no tokens for filling in the middle")
    return found


def prompt_tokens(llama, prompt, suffix=None):
    """Tokens of a prompt, str or a list of tokens; with a suffix, of the infill form."""
    if suffix is None:
        return llama.tokenize(prompt.encode("utf-8"), True, True) if isinstance(prompt, str) else list(prompt)
    pre, suf, mid = infill_tokens(llama)
    head = [llama.token_bos()] if llama.vocab["add_bos"] else []
    body = llama.tokenize(prompt.encode("utf-8"), False, False) if isinstance(prompt, str) else list(prompt)
    return head + [pre] + body + [suf] + llama.tokenize(suffix.encode("utf-8"), False, False) + [mid]


class Shape:
    """The id, time and name that all dicts of one answer share."""

    def __init__(self, prefix, kind, model):
        self.base = {"id": f"{prefix}-{uuid.uuid4()}", "object": kind, "created": int(time.time()), "model": model}

    def make(self, choice, usage=None):
        made = dict(self.base, choices=[choice])
        if usage is not None:
            made["usage"] = usage
        return made


def chunks(run, shape, echo_text, prompt_logprobs, prompt_length):
    """The stream of a completion: text as it becomes certain, then the finish reason."""
    def chunk(text, logprobs=None, reason=None):
        return shape.make({"text": text, "index": 0, "logprobs": logprobs, "finish_reason": reason})
    def rows():
        found = empty_logprobs() if run.n_logprob is not None else None
        for event in run.take_pending():
            extend_logprobs(found, logprob_row(run.llama, event.token, event.logprob, event.top, prompt_length + event.offset))
        return found

    echoed = not echo_text
    for event in run:
        if not echoed:
            echoed = True
            yield chunk(echo_text, prompt_logprobs and prompt_logprobs.rows)
        if event.text:
            yield chunk(event.text, rows())
    if not echoed:
        yield chunk(echo_text, prompt_logprobs and prompt_logprobs.rows)
    rest, left = run.rest(), rows()
    if rest or (left and left["tokens"]):
        yield chunk(rest, left)
    yield chunk("", None, run.finish_reason)


def collect(run, shape, stream):
    """The whole answer from the parts that streaming would have sent."""
    text, logprobs = [], empty_logprobs()
    for part in stream:
        choice = part["choices"][0]
        text.append(choice["text"])
        if choice["logprobs"]:
            extend_logprobs(logprobs, choice["logprobs"])
    choice = {"text": "".join(text), "index": 0, "logprobs": logprobs if run.n_logprob is not None else None,
              "finish_reason": run.finish_reason}
    return shape.make(choice, run.usage())


@_options.checked_keywords
def create_completion(self, prompt, suffix=None, max_tokens=16, temperature=0.8, top_p=0.95, min_p=0.05, typical_p=1.0, logprobs=None,
                      echo=False, stop=None, frequency_penalty=0.0, presence_penalty=0.0, repeat_penalty=1.0, top_k=40, stream=False,
                      seed=None, tfs_z=1.0, mirostat_mode=0, mirostat_tau=5.0, mirostat_eta=0.1, model=None, stopping_criteria=None,
                      logits_processor=None, grammar=None, logit_bias=None):
    """Text that follows a prompt (str or tokens), as OpenAI's text_completion; stream=True: an iterator of its parts.
    max_tokens None or < 1: until the context is full. logprobs: that many best tokens at each place."""
    o = dict(locals())
    _options.only(_options.SAMPLING_ONLY, o)
    tokens = prompt_tokens(self, prompt, suffix)
    prompt_rows = PromptLogprobs(self, tokens, logprobs) if echo and logprobs is not None and tokens else None
    run = Run(self, tokens, o, max_tokens, logprobs, prompt_rows)
    text = prompt if isinstance(prompt, str) else self.detokenize(tokens).decode("utf-8", "replace")
    shape = Shape("cmpl", "text_completion", model or self.model_path)
    parts = chunks(run, shape, text if echo else "", prompt_rows, len(text))
    return parts if stream else collect(run, shape, parts)
