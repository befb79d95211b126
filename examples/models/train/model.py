"""The network: a Llama decoder (RMSNorm, rotary pairs, grouped queries, SwiGLU, tied embedding) in plain torch."""
import torch
from torch import nn
from torch.nn import functional as F


class Norm(nn.Module):
    """Root mean square norm with a weight per channel."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rotary(n_token, head_width, base):
    """Cosines and sines, [n_token, head_width / 2]."""
    angle = torch.outer(torch.arange(n_token).float(), base ** (-torch.arange(0, head_width, 2).float() / head_width))
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """Turns the pairs (0, 1), (2, 3), ... of x: [batch, head, token, width]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Layer(nn.Module):
    """Attention and feed-forward network, each behind a norm and added to the stream."""

    def __init__(self, s):
        super().__init__()
        width, self.n_head, self.n_kv = s["n_embd"], s["n_head"], s["n_head_kv"]
        head = width // self.n_head

        def linear(n_in, n_out, std):
            m = nn.Linear(n_in, n_out, bias=False)
            nn.init.normal_(m.weight, std=std) if std else nn.init.zeros_(m.weight)
            return m

        self.attn_norm, self.ffn_norm = Norm(width, s["eps"]), Norm(width, s["eps"])
        self.attn_q, self.attn_k = linear(width, width, 0.03), linear(width, self.n_kv * head, 0.03)
        self.attn_v, self.attn_output = linear(width, self.n_kv * head, 0.03), linear(width, width, 0)
        self.ffn_gate, self.ffn_up = linear(width, s["n_ff"], 0.03), linear(width, s["n_ff"], 0.03)
        self.ffn_down = linear(s["n_ff"], width, 0)

    def attend(self, x, cos, sin, past):
        """Causal attention; past is a dict with the keys and values so far, or None in training."""
        n_batch, n_token, width = x.shape

        def heads(y, n):
            return y.view(n_batch, n_token, n, width // self.n_head).transpose(1, 2)

        q, k = rotate(heads(self.attn_q(x), self.n_head), cos, sin), rotate(heads(self.attn_k(x), self.n_kv), cos, sin)
        v = heads(self.attn_v(x), self.n_kv)
        if past is not None:
            if past:
                k, v = torch.cat((past["k"], k), 2), torch.cat((past["v"], v), 2)
            past.update(k=k, v=v)
        share = self.n_head // self.n_kv
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        scores = q @ k.transpose(2, 3) * (width // self.n_head) ** -0.5
        hidden = torch.full((n_token, k.shape[2]), float("-inf")).triu(k.shape[2] - n_token + 1)
        out = torch.softmax(scores + hidden, -1) @ v
        return self.attn_output(out.transpose(1, 2).reshape(n_batch, n_token, width))

    def forward(self, x, cos, sin, past=None):
        x = x + self.attend(self.attn_norm(x), cos, sin, past)
        y = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))


class Model(nn.Module):
    """Tokens to the hidden states before the output head, which is the embedding itself."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.token_embd = nn.Embedding(settings["n_vocab"], settings["n_embd"])
        nn.init.normal_(self.token_embd.weight, std=0.02)
        self.blk = nn.ModuleList(Layer(settings) for _ in range(settings["n_layer"]))
        self.output_norm = Norm(settings["n_embd"], settings["eps"])
        cos, sin = rotary(settings["n_ctx"], settings["n_embd"] // settings["n_head"], settings["rope_base"])
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens, pasts=None, n_past=0):
        """tokens: [batch, token] -> normed hidden states [batch, token, n_embd]."""
        cos, sin = (t[n_past:n_past + tokens.shape[1]] for t in (self.cos, self.sin))
        x = self.token_embd(tokens)
        for i, layer in enumerate(self.blk):
            x = layer(x, cos, sin, pasts[i] if pasts else None)
        return self.output_norm(x)

    def logits(self, hidden):
        """The scores of each token of the vocabulary."""
        return hidden @ self.token_embd.weight.t()


@torch.no_grad()
def generate(model, prompts, n_max, stops):
    """Greedy continuations of prompts of one length, [batch of lists of ids], each up to its first stop token."""
    pasts, n_past = [{} for _ in model.blk], 0
    tokens = torch.tensor(prompts)
    out, open_rows = [[] for _ in prompts], set(range(len(prompts)))
    for _ in range(n_max):
        hidden = model(tokens, pasts, n_past)
        n_past += tokens.shape[1]
        best = model.logits(hidden[:, -1]).argmax(-1)
        for row in list(open_rows):
            if best[row].item() in stops:
                open_rows.discard(row)
            else:
                out[row].append(best[row].item())
        if not open_rows or n_past >= model.settings["n_ctx"]:
            break
        tokens = best[:, None]
    return out
