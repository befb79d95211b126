"""Muon for the matrices (momentum whose update is made orthogonal) and AdamW for the embedding and the norms.

Muon: K. Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/; the coefficients of the iteration are those
of N. Amsel and others, "The Polar Express", 2025, arXiv 2505.16932 (the methods; this code is our own).
"""
import torch

QUINTIC = [(8.2872, -23.5959, 17.3004), (4.1071, -2.9478, 0.5448), (3.9487, -2.9089, 0.5518)]


def orthogonal(m):
    """A matrix with the singular vectors of m and singular values of about 1 (three steps; the small ones stay smaller)."""
    tall = m.shape[0] > m.shape[1]
    x = m.t() if tall else m
    x = x / (x.norm() * 1.02 + 1e-7)
    for c1, c3, c5 in QUINTIC:
        gram = x @ x.t()
        x = c1 * x + (c3 * gram + c5 * gram @ gram) @ x
    return x.t() if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, with decoupled weight decay."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.1):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(m, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def make_optimisers(params, settings):
    """[Muon for the given matrices of the layers, AdamW for the rest]; each group remembers its peak rate as base_lr."""
    matrices = [p for name, p in params if p.ndim == 2 and name.startswith("blk")]
    others = [p for name, p in params if not (p.ndim == 2 and name.startswith("blk"))]
    optimisers = [Muon(matrices, settings["muon_lr"], weight_decay=settings["weight_decay"])] if matrices else []
    if others:
        optimisers.append(torch.optim.AdamW(others, settings["adam_lr"], betas=(0.9, 0.95), weight_decay=0.0))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["base_lr"] = group["lr"]
    return optimisers
