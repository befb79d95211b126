"""The network: a Llama decoder (RMSNorm, rotary pairs, grouped queries, SwiGLU) in plain torch."""
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
    """Cosines and sines, [n_token, head_width / 2], and the angles of one step, [head_width / 2]."""
    angle = base ** (-torch.arange(0, head_width, 2).float() / head_width)
    turned = torch.outer(torch.arange(n_token).float(), angle)
    return turned.cos(), turned.sin(), angle


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

    def attend(self, x, cos, sin, mask, past):
        """Attention where mask, added to the scores, allows it; past: the keys and values so far, or None in training."""
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
        out = torch.softmax(scores + mask, -1) @ v
        return self.attn_output(out.transpose(1, 2).reshape(n_batch, n_token, width))

    def forward(self, x, cos, sin, mask, past=None):
        x = x + self.attend(self.attn_norm(x), cos, sin, mask, past)
        y = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))


def causal(n_token, n_past):
    """The mask of n_token tokens after n_past others: 0 where a key may be seen, else minus infinity."""
    return torch.full((n_token, n_past + n_token), float("-inf")).triu(n_past + 1)


class Model(nn.Module):
    """Tokens to hidden states, and those to scores of the next token.

    The embedding starts large beside what the layers add, so that these always see which token it is; the output head,
    which has to start small, is therefore a matrix of its own.
    """

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.token_embd = nn.Embedding(settings["n_vocab"], settings["n_embd"])
        nn.init.normal_(self.token_embd.weight, std=0.7)
        self.blk = nn.ModuleList(Layer(settings) for _ in range(settings["n_layer"]))
        self.output_norm = Norm(settings["n_embd"], settings["eps"])
        self.output = nn.Linear(settings["n_embd"], settings["n_vocab"], bias=False)
        nn.init.zeros_(self.output.weight)
        cos, sin, self.angle = rotary(settings["n_ctx"], settings["n_embd"] // settings["n_head"], settings["rope_base"])
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens, pasts=None, n_past=0, mask=None):
        """tokens: [batch, token] -> normed hidden states [batch, token, n_embd]; the mask is causal if not given."""
        mask = causal(tokens.shape[1], n_past) if mask is None else mask
        cos, sin = (t[n_past:n_past + tokens.shape[1]] for t in (self.cos, self.sin))
        x = self.token_embd(tokens)
        for i, layer in enumerate(self.blk):
            x = layer(x, cos, sin, mask, pasts[i] if pasts else None)
        return self.output_norm(x)

    @torch.no_grad()
    def look_back(self):
        """Makes the first two heads of the first layer look one and two tokens back, for a sharp start of recall.

        Recall ("who has the hat?") needs heads that mark each token with the ones before it; they are slow to form by
        themselves. Channel 0 becomes a constant, which those heads turn into a query and a key whose product, by the
        rotation of the faster pairs, is largest at the wanted distance. All other weights stop reading that channel.
        """
        first, n_pair = self.blk[0], 8
        head = self.settings["n_embd"] // self.settings["n_head"]
        for layer in self.blk:
            for reader in (layer.attn_q, layer.attn_k, layer.attn_v, layer.ffn_gate, layer.ffn_up):
                reader.weight[:, 0] = 0
            layer.attn_output.weight[0] = layer.ffn_down.weight[0] = 0
        self.output.weight[:, 0] = 0
        self.token_embd.weight[:, 0] = 3
        first.attn_q.weight[:2 * head] = first.attn_k.weight[:head] = 0
        first.attn_k.weight[0:2 * n_pair:2, 0] = 1.4
        for distance in (1, 2):
            turn = -distance * self.angle[:n_pair]
            rows = first.attn_q.weight[(distance - 1) * head:distance * head]
            rows[0:2 * n_pair:2, 0], rows[1:2 * n_pair:2, 0] = 1.4 * turn.cos(), 1.4 * turn.sin()


@torch.no_grad()
def generate(model, prompts, n_max, stops):
    """Greedy continuations of prompts of one length, [batch of lists of ids], each up to its first stop token."""
    pasts, n_past = [{} for _ in model.blk], 0
    tokens = torch.tensor(prompts)
    out, open_rows = [[] for _ in prompts], set(range(len(prompts)))
    for _ in range(n_max):
        hidden = model(tokens, pasts, n_past)
        n_past += tokens.shape[1]
        best = model.output(hidden[:, -1]).argmax(-1)
        for row in list(open_rows):
            if best[row].item() in stops:
                open_rows.discard(row)
            else:
                out[row].append(best[row].item())
        if not open_rows or n_past >= model.settings["n_ctx"]:
            break
        tokens = best[:, None]
    return out
