"""Hearth: language models inside your program. `Llama` is the easy door; Runtime, Model, Context, Sampler and Detokenizer are the parts."""
from ._library import (CancelledError, ContextFullError, FileError, HearthError, InvalidArgumentError, NotFoundError, OutOfMemoryError,
                       TemplateError, UnsupportedError, lib)
from .llama import Llama, LlamaState, LlamaTokenizer, LogitsProcessorList, StoppingCriteriaList
from .model import Context, Detokenizer, Model, Runtime, Sampler, logprobs

__version__ = "0.1.0"
__all__ = [
    "CancelledError", "Context", "ContextFullError", "Detokenizer", "FileError", "HearthError", "InvalidArgumentError", "Llama", "LlamaState",
    "LlamaTokenizer", "LogitsProcessorList", "Model", "NotFoundError", "OutOfMemoryError", "Runtime", "Sampler", "StoppingCriteriaList",
    "TemplateError", "UnsupportedError", "lib", "logprobs",
]
