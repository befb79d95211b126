"""Trains the demo model: python3 train.py [WORK_FOLDER]; a stopped run goes on from its last checkpoint.

Two processes of one thread each share the parameters: each takes the gradient of its half of a batch, then updates its
half of the parameters. On a busy machine this loses less than two threads that wait for each other at each product.
"""
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402  (the thread counts must be set before)
import torch  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from corpus import BOS, SPECIALS  # noqa: E402
from model import Model, causal  # noqa: E402
from optimiser import make_optimisers  # noqa: E402
from prepare import prepare  # noqa: E402

HERE = pathlib.Path(__file__).parent
N_WORKER = 2


def rate(step, s):
    """Share of the peak learning rate: straight lines between the points [step, share] of the settings."""
    return float(np.interp(step, *zip(*s["schedule"])))


def phase(step, s):
    """The phase that a step belongs to: the length of its sequences (short ones save attention) and whether documents
    in a sequence see each other."""
    return next(p for p in s["phases"] if step < p["until"])


def batch(tokens, weights, step, worker, s):
    """Inputs, targets and the mask of targets that count, of one worker: [rows, length] each, pieces of the corpus."""
    n = s["n_batch_token"] // N_WORKER
    start = (step * N_WORKER + worker) * n % (len(tokens) - n - 1)
    length = phase(step, s)["length"]
    x, y, w = tokens[start:start + n], tokens[start + 1:start + n + 1], weights[start + 1:start + n + 1]
    x, y = (torch.from_numpy(v.astype(np.int64)).view(-1, length) for v in (x, y))
    return x, y, torch.from_numpy(w).view(-1, length) > 0


def same_document(x, bos):
    """The causal mask in which a token sees its own document only; x: [row, token] -> [row, 1, token, token].

    It is easy to learn from; the last steps go without it, so that the model gets used to long chats.
    """
    document = (x == bos).cumsum(1)
    other = (document[:, :, None] != document[:, None, :])[:, None]
    return causal(x.shape[1], 0).masked_fill(other, float("-inf"))


def share_out(model, worker):
    """The named parameters that this worker updates: about an equal number of elements each."""
    mine, loads = [], [0] * N_WORKER
    for name, p in sorted(model.named_parameters(), key=lambda item: -item[1].numel()):
        k = loads.index(min(loads))
        loads[k] += p.numel()
        mine += [(name, p)] if k == worker else []
    return mine


def work(worker, model, grads, barrier, folder, s):
    """One of the processes; grads: {name: [N_WORKER, *shape]} in shared memory."""
    torch.set_num_threads(1)
    tokens, weights = np.load(folder / "tokens.npy"), np.load(folder / "weights.npy")
    bos = s["n_vocab"] - len(SPECIALS) + SPECIALS.index(BOS)
    mine = share_out(model, worker)
    optimisers = make_optimisers(mine, s)
    first = load_checkpoint(folder, worker, model, optimisers)
    barrier.wait()
    start, losses = time.time(), []
    for step in range(first, s["n_step"]):
        if step == s["look_back_step"]:
            if worker == 0:
                model.look_back()
            barrier.wait()
        x, y, mask = batch(tokens, weights, step, worker, s)
        alone = same_document(x, bos) if phase(step, s)["alone"] else None
        loss = F.cross_entropy(model.output(model(x, mask=alone)[mask]), y[mask])
        loss.backward()
        for name, p in model.named_parameters():
            grads[name][worker].copy_(p.grad)
        barrier.wait()
        for name, p in mine:
            p.grad.copy_(grads[name].mean(0))
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * rate(step, s)
            optimiser.step()
        model.zero_grad(set_to_none=False)
        barrier.wait()
        losses.append(loss.item())
        if worker == 0 and (step % 20 == 19 or step == s["n_step"] - 1):
            report(step, first, losses, time.time() - start, s)
            losses = []
        if step % 50 == 49 or step == s["n_step"] - 1:
            save_checkpoint(folder, worker, model, optimisers, step + 1)
            barrier.wait()


def report(step, first, losses, seconds, s):
    """One line of progress."""
    speed = (step + 1 - first) * s["n_batch_token"] / seconds
    print(f"step {step + 1}: loss {np.mean(losses):.4f}, {speed:.0f} tokens/s, {seconds:.0f} s", flush=True)


def save_checkpoint(folder, worker, model, optimisers, step):
    """Each worker keeps the state of its optimisers; the first one the parameters too."""
    state = dict(step=step, optimisers=[o.state_dict() for o in optimisers])
    if worker == 0:
        state["model"] = model.state_dict()
    torch.save(state, folder / f"checkpoint{worker}.pt")


def load_checkpoint(folder, worker, model, optimisers):
    """The step to go on from: 0 where there is no checkpoint."""
    path = folder / f"checkpoint{worker}.pt"
    if not path.exists():
        return 0
    state = torch.load(path)
    for optimiser, kept in zip(optimisers, state["optimisers"]):
        peaks = [group["base_lr"] for group in optimiser.param_groups]
        optimiser.load_state_dict(kept)
        for group, peak in zip(optimiser.param_groups, peaks):
            group["base_lr"] = peak
    if worker == 0:
        model.load_state_dict(state["model"])
    return state["step"]


def main(folder):
    s = json.loads((HERE / "settings.json").read_text())
    torch.manual_seed(s["seed"])
    prepare(folder, s)
    model = Model(s).share_memory()
    n_parameter = sum(p.numel() for p in model.parameters())
    print(f"{n_parameter} parameters, {s['n_step']} steps of {s['n_batch_token']} tokens", flush=True)
    grads = {name: torch.zeros(N_WORKER, *p.shape).share_memory_() for name, p in model.named_parameters()}
    mp.spawn(work, (model, grads, mp.get_context("spawn").Barrier(N_WORKER), folder, s), N_WORKER)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "work"))
