"""Chats: messages to a prompt by the model's own template, and answers in the OpenAI shape."""
import json

from . import _options
from ._completion import Run, Shape, piece_text


def chat_prompt(llama, messages, tools=None):
    """Tokens of the rendered template. BOS is put before them where the model wants it and the template did not."""
    context = {"messages": messages, "add_generation_prompt": True}
    if tools:
        context["tools"] = tools
    if not llama.chat_template and not llama.model.info["has_chat_template"]:
        raise ValueError(f"{llama.model_path} has no chat template; pass chat_template=TEXT to Llama()")
    text = llama.model.render_chat(json.dumps(context, ensure_ascii=False), llama.chat_template)
    tokens = llama.tokenize(text.encode("utf-8"), False, True)
    bos = llama.token_bos()
    if llama.vocab["add_bos"] and bos >= 0 and tokens[:1] != [bos]:
        tokens.insert(0, bos)
    return tokens


def entry(llama, token, logprob):
    return {"token": piece_text(llama, token), "bytes": list(llama.model.piece(token, special=True)), "logprob": logprob}


def logprob_entry(llama, event):
    best = [entry(llama, token, value) for token, value in event.top]
    return dict(entry(llama, event.token, event.logprob), top_logprobs=best)


def chunks(run, shape):
    """The stream of a chat answer: the role, text as it becomes certain, the finish reason."""
    def chunk(delta, logprobs=None, reason=None):
        content = {"content": logprobs, "refusal": None} if logprobs else None
        return shape.make({"index": 0, "delta": delta, "logprobs": content, "finish_reason": reason})
    started = False
    for event in run:
        if not started:
            started = True
            yield chunk({"role": "assistant"})
        if event.text:
            yield chunk({"content": event.text}, [logprob_entry(run.llama, e) for e in run.take_pending()])
    if not started:
        yield chunk({"role": "assistant"})
    rest, left = run.rest(), [logprob_entry(run.llama, e) for e in run.take_pending()]
    if rest or left:
        yield chunk({"content": rest}, left)
    yield chunk({}, None, run.finish_reason)


def collect(run, shape, parts):
    text, logprobs = [], []
    for part in parts:
        choice = part["choices"][0]
        text.append(choice["delta"].get("content", ""))
        if choice["logprobs"]:
            logprobs += choice["logprobs"]["content"]
    content = {"content": logprobs, "refusal": None} if run.n_logprob is not None else None
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(text)}, "logprobs": content,
              "finish_reason": run.finish_reason}
    return shape.make(choice, run.usage())


@_options.checked_keywords
def create_chat_completion(self, messages, functions=None, function_call=None, tools=None, tool_choice=None, temperature=0.2, top_p=0.95,
                           top_k=40, min_p=0.05, typical_p=1.0, stream=False, stop=None, seed=None, response_format=None, max_tokens=None,
                           presence_penalty=0.0, frequency_penalty=0.0, repeat_penalty=1.0, tfs_z=1.0, mirostat_mode=0, mirostat_tau=5.0,
                           mirostat_eta=0.1, model=None, logits_processor=None, grammar=None, logit_bias=None, logprobs=None,
                           top_logprobs=None):
    """The assistant's next message, as OpenAI's chat.completion; stream=True: an iterator of chat.completion.chunk.
    tools are given to the template; what the model writes comes back as content, tool calls too."""
    o = dict(locals(), stopping_criteria=None)
    _options.only(_options.SAMPLING_ONLY, o)
    _options.only(_options.CHAT_ONLY, o)
    if top_logprobs is not None and not logprobs:
        raise ValueError("top_logprobs needs logprobs=True")
    tokens = chat_prompt(self, messages, None if tool_choice == "none" else tools)
    run = Run(self, tokens, o, max_tokens, (top_logprobs or 0) if logprobs else None)
    name = model or self.model_path
    if stream:
        return chunks(run, Shape("chatcmpl", "chat.completion.chunk", name))
    shape = Shape("chatcmpl", "chat.completion", name)
    return collect(run, shape, chunks(run, shape))
